"""Checks of what the kernel, or a sandbox around this process, lets it do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from isthmus.inspect._doctor._facts import Facts
from isthmus.inspect._doctor._finding import Finding, Grade

GROUP = "kernel"
_SECCOMP = (
    "if the kernel is newer, a filter of system calls forbids it: a newer Docker or Podman, or "
    "`--security-opt seccomp=PROFILE` with one that allows it"
)


@dataclass(frozen=True, slots=True)
class _Feature:
    works: str
    lacks: str
    severity: Grade
    why: str
    remedy: str


_FEATURES = {
    "unnamed-files": _Feature(
        "files without a name can be made in /dev/shm (O_TMPFILE)",
        "no file without a name can be made in /dev/shm (O_TMPFILE)",
        "note",
        "objects are made under another name first; a process killed just then leaves that file, "
        "until somebody makes the next object",
        "a tmpfs at /dev/shm, and Linux 3.11 or newer",
    ),
    "naming": _Feature(
        "and get their name when they are complete (linkat)",
        "a complete file in /dev/shm cannot be given its name (linkat)",
        "problem",
        "this is how every named object is made, so none can be",
        "`mount -t proc proc /proc` as root, if /proc is missing; else a sandbox forbids it "
        "(AppArmor, SELinux, seccomp): see `dmesg` and `journalctl -k`",
    ),
    "description-locks": _Feature(
        "open files can hold locks (F_OFD_SETLK)",
        "open files cannot hold locks (F_OFD_SETLK)",
        "problem",
        "by these locks isthmus knows who is alive; typed objects do not work without",
        "Linux 3.15 or newer and a tmpfs at /dev/shm",
    ),
    "reopening": _Feature(
        "open files can be opened once more by /proc/self/fd",
        "open files cannot be opened once more by /proc/self/fd",
        "warning",
        "children of a fork cannot take part under a lock of their own, and anonymous objects "
        "cannot ring doorbells",
        "`mount -t proc proc /proc` as root",
    ),
    "anonymous-memory": _Feature(
        "memory without a name can be had and sealed (memfd_create)",
        "no memory without a name can be had (memfd_create)",
        "warning",
        "anonymous objects (`Queue()`, `Segment.anonymous`) do not work, named ones do",
        "Linux 3.17 or newer; " + _SECCOMP,
    ),
    "safe-copy": _Feature(
        "memory that may vanish can be read safely (process_vm_readv)",
        "memory that may vanish cannot be read safely (process_vm_readv)",
        "note",
        "`isthmus ls` and others that look at objects of others can be killed by SIGBUS, if one is "
        "cut off just then",
        "`docker run --cap-add SYS_PTRACE`, or Linux 4.8 or newer; " + _SECCOMP,
    ),
    "futex-waitv": _Feature(
        "a thread can sleep on several objects at once (futex_waitv)",
        "a thread cannot sleep on several objects at once (futex_waitv)",
        "note",
        "`isthmus.wait` looks again and again instead, every 2 ms; single waits are not concerned",
        "Linux 5.16 or newer; " + _SECCOMP,
    ),
    "inotify": _Feature(
        "files can be watched (inotify)",
        "files cannot be watched (inotify)",
        "warning",
        "who waits on a descriptor or in an event loop looks every 12 ms instead of being told",
        _SECCOMP,
    ),
    "pidfd": _Feature(
        "signals can be sent to just one process (pidfd_send_signal)",
        "signals cannot be sent to a process by a descriptor (pidfd_send_signal)",
        "note",
        "channels `signal:` do not work",
        "Linux 5.3 or newer; " + _SECCOMP,
    ),
    "populate": _Feature(
        "pages can be looked at before they are touched (MADV_POPULATE_READ)",
        "pages cannot be looked at before they are touched (MADV_POPULATE_READ)",
        "note",
        "where an object was cut off by another program, a process may be killed by SIGBUS rather "
        "than get an error",
        "Linux 5.14 or newer",
    ),
}
# Of no use to try, and nothing to say, where the first of them does not work.
_NEEDS = {"naming": "unnamed-files"}
# Answers that are not for want of the feature; other checks tell of the cause.
_OTHERS = {
    "unnamed-files": ("EACCES", "EPERM", "EROFS", "ENOSPC", "ENOENT"),
    "inotify": ("EMFILE",),
}


def version(facts: Facts) -> Iterator[Finding]:
    yield Finding(
        check="kernel", group=GROUP, severity="ok", what=f"Linux {facts.kernel}",
        facts={"release": facts.kernel},
    )  # fmt: skip


def features(facts: Facts) -> Iterator[Finding]:
    """What was tried."""
    for name, feature in _FEATURES.items():
        if name not in facts.features:
            continue
        answer = facts.features[name]
        if answer is None:
            yield Finding(check=name, group=GROUP, severity="ok", what=feature.works)
            continue
        if facts.features.get(_NEEDS.get(name, "")) is not None:
            continue
        if answer.startswith(_OTHERS.get(name, ())):
            continue
        yield Finding(
            check=name,
            group=GROUP,
            severity=feature.severity,
            what=f"{feature.lacks}: {answer}",
            why=feature.why,
            remedy=_remedy(name, feature, facts),
            facts={"answer": answer},
        )


def _remedy(name: str, feature: _Feature, facts: Facts) -> str:
    if name == "anonymous-memory" and facts.setting("vm.memfd_noexec") == 2:
        return (
            "`vm.memfd_noexec=1` in /etc/sysctl.d, and start the machine again: before Linux 6.6 "
            "it can only be raised while the machine runs; Linux 6.6 and newer need no change"
        )
    return feature.remedy


def processes(facts: Facts) -> Iterator[Finding]:
    """/proc is there, and shows everybody's processes."""
    if not facts.proc:
        yield Finding(
            check="proc",
            group=GROUP,
            severity="warning",
            what="nothing is mounted at /proc",
            why="it cannot be told who uses what, and open files cannot be opened once more",
            remedy="`mount -t proc proc /proc` as root",
        )
    elif facts.hidepid is not None and facts.uid != 0:
        yield Finding(
            check="proc",
            group=GROUP,
            severity="note",
            what=f"/proc is mounted with hidepid={facts.hidepid}",
            why="of processes of other users, `isthmus ls` and `info` cannot tell the command "
            "line, nor whether they use an object that is not of isthmus",
            remedy="look as root; or `mount -o remount,hidepid=0 /proc` as root",
            facts={"hidepid": facts.hidepid},
        )
    else:
        yield Finding(check="proc", group=GROUP, severity="ok", what="/proc shows all processes")


def sticky(facts: Facts) -> Iterator[Finding]:
    """A rule that surprises users of objects of others; isthmus is made for it."""
    value = facts.setting("fs.protected_regular")
    if value is None:
        return
    rule = "a program that opens another user's object with O_CREAT is refused, root included"
    yield Finding(
        check="protected-files",
        group=GROUP,
        severity="ok",
        what=f"fs.protected_regular is {value}"
        + (f": {rule} (isthmus does not open with it)" if value else ""),
        facts={"fs.protected_regular": value},
    )


CHECKS = (version, features, processes, sticky)
