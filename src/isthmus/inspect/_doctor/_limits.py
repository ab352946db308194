"""Checks of limits: of this process, of this user, and of the system's own objects."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.inspect._doctor._facts import Facts
from isthmus.inspect._doctor._finding import Finding, Grade
from isthmus.inspect._doctor._words import kept, size_text

GROUP, SYSTEM_V, MESSAGES = "limits", "System V", "message queues"
_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_NEARLY = 0.85
_LEAST_FILES = 256
_LEAST_SIGNALS = 1000
_LEAST_WATCHES = 1024
_USUAL_QUEUE = 100 * _KIB


def _limit(
    facts: Facts, name: str, check: str, what: str, letter: str, bound: tuple[int, Grade, str]
) -> Iterator[Finding]:
    """One that has to be at least so much; the letter is that of `ulimit`."""
    if name not in facts.limits:
        return
    soft, hard = facts.limits[name]
    least, severity, why = bound
    bytes_ = name not in {"NOFILE", "SIGPENDING"}
    text = "unlimited" if soft is None else size_text(soft) if bytes_ else str(soft)
    found = {"soft": soft, "hard": hard}
    said = f"RLIMIT_{name}, {what}: {text}"
    if soft is None or soft >= least:
        yield Finding(check=check, group=GROUP, severity="ok", what=said, facts=found)
        return
    # Units of the shell's ulimit: blocks of 1 KiB for sizes, numbers and bytes for the others.
    unit = 1 if name in {"NOFILE", "SIGPENDING", "MSGQUEUE"} else _KIB
    to = f"ulimit -{letter} {-(-least // unit)}" if name != "FSIZE" else "ulimit -f unlimited"
    # Docker has all but one of them.
    word = "" if name == "AS" else f"of a container `docker run --ulimit {name.lower()}=…`, "
    root = "" if hard is None or hard >= least else " (as root: the hard limit is below that)"
    yield Finding(
        check=check,
        group=GROUP,
        severity=severity,
        what=said,
        why=why,
        remedy=f"`{to}` in the shell that starts the programs{root}; of a systemd unit "
        f"`Limit{name}=`, {word}of users "
        "/etc/security/limits.conf",
        facts=found,
    )


def files(facts: Facts) -> Iterator[Finding]:
    return _limit(
        facts, "NOFILE", "open-files", "open files of a process", "n",
        (_LEAST_FILES, "warning", "every open object takes a descriptor, and one that is waited "
         "for by a descriptor one or two more"),
    )  # fmt: skip


def locked(facts: Facts) -> Iterator[Finding]:
    return _limit(
        facts, "MEMLOCK", "locked-memory", "memory that a process may lock", "l",
        (_MIB, "note", "`Segment.lock` and MAP_LOCKED keep pages from being swapped out, up to "
         "so much; nothing else needs it"),
    )  # fmt: skip


def file_size(facts: Facts) -> Iterator[Finding]:
    least = facts.shm.size if facts.shm is not None and facts.shm.size else _GIB
    return _limit(
        facts, "FSIZE", "file-size", "the largest file that a process may make", "f",
        (least, "warning", "shared memory is files: an object that is larger cannot be made "
         "(\"file too large\"; C programs are killed by SIGXFSZ)"),
    )  # fmt: skip


def address_space(facts: Facts) -> Iterator[Finding]:
    return _limit(
        facts, "AS", "address-space", "addresses of a process", "v",
        (16 * _GIB, "warning", "all that is mapped counts, used or not, and queues and topics map "
         "their data twice; beyond it mapping fails with \"no memory\""),
    )  # fmt: skip


def queue_bytes(facts: Facts) -> Iterator[Finding]:
    return _limit(
        facts, "MSGQUEUE", "queue-bytes", "all POSIX message queues of a user", "q",
        (_USUAL_QUEUE, "warning", "a queue counts with all the room that it may need: of the "
         "usual 10 messages of 8 KiB, less than 100 KiB hold one"),
    )  # fmt: skip


def signals(facts: Facts) -> Iterator[Finding]:
    return _limit(
        facts, "SIGPENDING", "pending-signals", "signals pending for a user", "i",
        (_LEAST_SIGNALS, "note", "a channel `signal:` queues a signal for each 4 bytes, and waits "
         "when no more are allowed"),
    )  # fmt: skip


def watches(facts: Facts) -> Iterator[Finding]:
    """Doorbells (`fileno()`, asyncio) watch files by inotify."""
    most, used = facts.setting("fs.inotify.max_user_instances"), facts.inotify
    found = {"instances": used, "max_instances": most}
    where = " (on the host: containers share the limit)" if facts.container else ""
    answer = facts.features.get("inotify") or ""
    why = (
        "who waits on a descriptor or in an event loop takes one; without, everything works still, "
        "but looks every 12 ms instead of being told"
    )
    remedy = kept(f"fs.inotify.max_user_instances={max(1024, (most or 0) * 2)}") + where
    if answer.startswith("EMFILE"):
        yield Finding(
            check="inotify-instances",
            group=GROUP,
            severity="warning",
            what=f"this user has no instance of inotify left (fs.inotify.max_user_instances: "
            f"{'?' if most is None else most})",
            why=why,
            remedy=remedy,
            facts=found,
        )
    elif most is not None:
        near = used is not None and used > _NEARLY * most
        known = "" if used is None else f", {used} of them in use"
        yield Finding(
            check="inotify-instances",
            group=GROUP,
            severity="warning" if near else "ok",
            what=f"this user may have {most} instances of inotify{known}",
            why=why if near else "",
            remedy=remedy if near else "",
            facts=found,
        )
    paths = facts.setting("fs.inotify.max_user_watches")
    if paths is not None:
        few = paths < _LEAST_WATCHES
        yield Finding(
            check="inotify-watches",
            group=GROUP,
            severity="note" if few else "ok",
            what=f"this user may watch {paths} files by inotify",
            why="each object that somebody waits for in an event loop takes one" if few else "",
            remedy=kept("fs.inotify.max_user_watches=8192") + where if few else "",
            facts={"max_watches": paths},
        )


def system_v(facts: Facts) -> Iterator[Finding]:
    """How near the System V objects of all users are to what the system allows."""
    if not facts.proc:
        return
    if not facts.sysv and "kernel.shmmni" not in facts.settings:
        yield Finding(
            check="sysv",
            group=SYSTEM_V,
            severity="note",
            what="this kernel has no System V objects",
            why="`isthmus.sysv`, `Segment.sysv` and channels `sysv:` do not work",
            remedy="POSIX shared memory and queues of isthmus instead",
        )
        return
    semaphores = facts.settings.get("kernel.sem", "").split()
    # SEMMSL, SEMMNS, SEMOPM, SEMMNI.
    total, sets = (
        (int(semaphores[1]), int(semaphores[3]))
        if len(semaphores) == 4 and all(one.isdecimal() for one in semaphores)
        else (None, None)
    )
    rows = (
        ("segments", "segments", facts.setting("kernel.shmmni"), "kernel.shmmni={}"),
        ("pages", "pages of segments", facts.setting("kernel.shmall"), "kernel.shmall={}"),
        ("queues", "message queues", facts.setting("kernel.msgmni"), "kernel.msgmni={}"),
        ("sets", "sets of semaphores", sets, _semaphores(semaphores, 3)),
        ("semaphores", "semaphores", total, _semaphores(semaphores, 1)),
    )
    near = False
    for key, what, most, command in rows:
        used = facts.sysv.get(key)
        if used is None or not most or used <= _NEARLY * most:
            continue
        near = True
        yield Finding(
            check=f"sysv-{key}",
            group=SYSTEM_V,
            severity="warning",
            what=f"{used} of {most} {what} are in use",
            why="when none are left, nobody can make one (ENOSPC), whoever has the others",
            remedy="`isthmus gc --foreign` shows those that nobody uses, `ipcs` all of them; or "
            + kept(command.format(most * 2)),
            facts={"used": used, "limit": most},
        )
    largest = facts.setting("kernel.shmmax")
    if largest is not None and largest < _GIB:
        near = True
        yield Finding(
            check="sysv-size",
            group=SYSTEM_V,
            severity="note",
            what=f"the largest System V segment is {size_text(largest)}",
            why='making a larger one fails with "invalid argument"',
            remedy=kept("kernel.shmmax=18446744073692774399"),
            facts={"shmmax": largest},
        )
    if not near:
        counts = ", ".join(f"{count} {key}" for key, count in facts.sysv.items())
        yield Finding(
            check="sysv",
            group=SYSTEM_V,
            severity="ok",
            what=f"System V objects are far from their limits ({counts or 'none seen'})",
            facts=dict(facts.sysv),
        )


def _semaphores(values: list[str], place: int) -> str:
    return 'kernel.sem="' + " ".join([*values[:place], "{}", *values[place + 1 :]]) + '"'


def removed_early(facts: Facts) -> Iterator[Finding]:
    """System V segments stay when nobody is attached."""
    if facts.setting("kernel.shm_rmid_forced") != 1:
        return
    yield Finding(
        check="shm-rmid-forced",
        group=SYSTEM_V,
        severity="warning",
        what="kernel.shm_rmid_forced is 1",
        why="a System V segment goes with the last process that detaches from it, even if it was "
        "to stay for the next one; also one that its maker has died without attaching to",
        remedy=kept("kernel.shm_rmid_forced=0"),
        facts={"kernel.shm_rmid_forced": 1},
    )


def message_queues(facts: Facts) -> Iterator[Finding]:
    """POSIX message queues: there are any, can be listed, and some are left."""
    most = facts.setting("fs.mqueue.queues_max")
    if not facts.proc:
        return
    if most is None:
        yield Finding(
            check="mqueue",
            group=MESSAGES,
            severity="note",
            what="this kernel has no POSIX message queues, or /proc/sys does not show them",
            why="`isthmus.posix.mq_open` and channels `mq:` may not work",
            remedy="another form of channel: `isthmus bench --quick` compares them",
        )
        return
    length, size = facts.setting("fs.mqueue.msg_max"), facts.setting("fs.mqueue.msgsize_max")
    found = {"queues": facts.queues, "queues_max": most, "msg_max": length, "msgsize_max": size}
    if facts.mqueue is None:
        yield Finding(
            check="mqueue",
            group=MESSAGES,
            severity="note",
            what="POSIX message queues work, but are mounted nowhere",
            why="nobody can list them, `isthmus ls` included",
            remedy="`mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue` as root",
            facts=found,
        )
    elif facts.queues is not None and facts.queues > _NEARLY * most:
        yield Finding(
            check="mqueue",
            group=MESSAGES,
            severity="warning",
            what=f"{facts.queues} of {most} POSIX message queues are in use",
            why="when none are left, nobody but root can make one (ENOSPC)",
            remedy="`isthmus ls` shows them; or " + kept(f"fs.mqueue.queues_max={most * 2}"),
            facts=found,
        )
    else:
        yield Finding(
            check="mqueue",
            group=MESSAGES,
            severity="ok",
            what=f"up to {most} POSIX message queues, of {length} messages of {size} bytes each",
            facts=found,
        )


CHECKS = (
    files,
    file_size,
    address_space,
    locked,
    queue_bytes,
    signals,
    watches,
    system_v,
    removed_early,
    message_queues,
)
