"""Checks of the memory that is shared: /dev/shm, and what is behind it."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.inspect._doctor._facts import Facts, Mount
from isthmus.inspect._doctor._finding import Finding
from isthmus.inspect._doctor._system import UNKNOWN
from isthmus.inspect._doctor._words import kept, size_text

GROUP = "shared memory"
_MIB = 1 << 20
# What Docker, Podman and Kubernetes give a container that asks for nothing.
_CONTAINER_SIZE = 64 * _MIB
_SMALL = 256 * _MIB
_FULL, _NEARLY = 0.97, 0.85


def in_memory(shm: Mount) -> bool:
    """Whether what is there is in memory: only then its size can be set by mounting it anew."""
    return shm.kind in {"tmpfs", "ramfs", UNKNOWN}


def larger(facts: Facts) -> str:
    """How to get a larger /dev/shm."""
    if facts.shm is not None and not in_memory(facts.shm):
        return "mount a tmpfs there"
    if facts.container == "Kubernetes":
        return (
            "mount a volume there: in the pod, `emptyDir: {medium: Memory, sizeLimit: 1Gi}` with "
            "`mountPath: /dev/shm`"
        )
    if facts.container is not None:
        return (
            "start the container with `docker run --shm-size=1g` (podman: the same), or "
            "`shm_size: 1gb` for the service in compose.yaml; in Kubernetes with a volume "
            "`emptyDir: {medium: Memory, sizeLimit: 1Gi}` mounted at /dev/shm"
        )
    return (
        "`mount -o remount,size=50% /dev/shm` as root, until the next start; for ever: "
        "`tmpfs /dev/shm tmpfs size=50%,mode=1777 0 0` in /etc/fstab"
    )


def mounted(facts: Facts) -> Iterator[Finding]:
    """There is a file system at /dev/shm, and it is one in memory."""
    shm = facts.shm
    if shm is None:
        yield Finding(
            check="shm-mounted",
            group=GROUP,
            severity="problem",
            what="nothing is mounted at /dev/shm",
            why="the names of POSIX shared memory and of semaphores are files there; what is made "
            "in a plain folder is written to the disk, if there is such a folder at all",
            remedy="`mkdir -p /dev/shm && mount -t tmpfs -o mode=1777 tmpfs /dev/shm` as root",
        )
        return
    if not in_memory(shm):
        yield Finding(
            check="shm-mounted",
            group=GROUP,
            severity="warning",
            what=f"/dev/shm is a file system of the kind {shm.kind}, not tmpfs",
            why="it may write to a disk, and may lack unnamed files, locks or watches that objects "
            "rely on",
            remedy="`mount -t tmpfs -o mode=1777 tmpfs /dev/shm` as root; in a container, give no "
            "volume for it, or a tmpfs",
            facts={"kind": shm.kind},
        )
        return
    yield Finding(
        check="shm-mounted",
        group=GROUP,
        severity="ok",
        what="something is mounted at /dev/shm"
        if shm.kind == UNKNOWN
        else f"/dev/shm is a {shm.kind}",
    )


def writable(facts: Facts) -> Iterator[Finding]:
    """Files can be made there, by everybody, and removed only by their owners."""
    shm = facts.shm
    if shm is None:
        return
    found = {"mode": oct(shm.mode), "options": sorted(shm.options)}
    answer = facts.features.get("unnamed-files")
    if "ro" in shm.options:
        yield Finding(
            check="shm-writable",
            group=GROUP,
            severity="problem",
            what="/dev/shm is mounted read-only",
            why="nothing can be made there; objects can only be opened for reading",
            remedy="`mount -o remount,rw /dev/shm` as root; in a container, its volume for "
            "/dev/shm must not be read-only",
            facts=found,
        )
    elif answer is not None and answer.startswith(("EACCES", "EPERM")):
        yield Finding(
            check="shm-writable",
            group=GROUP,
            severity="problem",
            what=f"this user may make nothing in /dev/shm (mode {shm.mode:o}; {answer})",
            why="every object that has a name is a file there",
            remedy="`chmod 1777 /dev/shm` as root",
            facts=found,
        )
    elif shm.mode & 0o002 and not shm.mode & 0o1000:
        yield Finding(
            check="shm-writable",
            group=GROUP,
            severity="warning",
            what=f"the mode of /dev/shm is {shm.mode:o}, without the sticky bit",
            why="every user may remove and replace the objects of all others",
            remedy="`chmod 1777 /dev/shm` as root",
            facts=found,
        )
    elif not shm.mode & 0o002:
        yield Finding(
            check="shm-writable",
            group=GROUP,
            severity="note",
            what=f"the mode of /dev/shm is {shm.mode:o}, not 1777",
            why="other users can make no shared memory here",
            remedy="`chmod 1777 /dev/shm` as root, if they are to",
            facts=found,
        )
    else:
        yield Finding(
            check="shm-writable",
            group=GROUP,
            severity="ok",
            what="everybody may make objects in /dev/shm, and remove their own",
            facts=found,
        )


def size(facts: Facts) -> Iterator[Finding]:
    """It is large enough to begin with."""
    shm = facts.shm
    if shm is None:
        return
    found = {"size": shm.size or None}
    if shm.size == 0:
        yield Finding(
            check="shm-size",
            group=GROUP,
            severity="note",
            what="/dev/shm has no limit of its own",
            why="what is made there can take all memory of the machine",
            remedy="`mount -o remount,size=50% /dev/shm` as root",
            facts=found,
        )
    elif shm.size < _SMALL:
        usual = ", what containers get that ask for nothing" if shm.size == _CONTAINER_SIZE else ""
        yield Finding(
            check="shm-size",
            group=GROUP,
            severity="warning",
            what=f"/dev/shm holds {size_text(shm.size)} only{usual}",
            why="all named objects of all programs here share that; one more that does not fit "
            "cannot be made (isthmus raises an error; other programs die of SIGBUS)",
            remedy=larger(facts),
            facts=found,
        )
    else:
        yield Finding(
            check="shm-size",
            group=GROUP,
            severity="ok",
            what=f"/dev/shm holds {size_text(shm.size)}",
            facts=found,
        )


def use(facts: Facts) -> Iterator[Finding]:
    """There is room left, in bytes and in files."""
    shm = facts.shm
    if shm is None:
        return
    rows = (
        ("shm-use", "bytes", shm.size, shm.free, size_text),
        ("shm-files", "files", shm.inodes, shm.inodes_free, str),
    )
    for check, what, most, free, text in rows:
        if most == 0:
            continue
        share = 1 - free / most
        severe = "problem" if share > _FULL else "warning" if share > _NEARLY else "ok"
        found = {what: most, "free": free}
        said = f"{share:.0%} of the {what} of /dev/shm are in use, {text(free)} free"
        if severe == "ok":
            yield Finding(check=check, group=GROUP, severity="ok", what=said, facts=found)
            continue
        yield Finding(
            check=check,
            group=GROUP,
            severity="problem" if severe == "problem" else "warning",
            what=said,
            why="when none are left, no object can be made, whoever makes it",
            remedy="`isthmus gc` shows what nobody uses any more, `isthmus ls` who has how much; "
            + (
                "or make it larger: " + larger(facts)
                if what == "bytes" or not in_memory(shm)
                else "or allow more: `mount -o remount,nr_inodes=1m /dev/shm` as root"
            ),
            facts=found,
        )


def memory(facts: Facts) -> Iterator[Finding]:
    """What may be put there has room in memory and swap."""
    shm = facts.shm
    if shm is None or not facts.memory or not in_memory(shm):
        return
    room = facts.memory_available + facts.swap_free
    found = {
        "memory": facts.memory,
        "available": facts.memory_available,
        "swap": facts.swap,
        "swap_free": facts.swap_free,
    }
    free = min(shm.free, facts.memory) if shm.size else facts.memory
    said = (
        f"{size_text(facts.memory_available)} of {size_text(facts.memory)} memory are available, "
        f"and {size_text(facts.swap_free)} swap"
    )
    if free > room:
        yield Finding(
            check="memory",
            group=GROUP,
            severity="note",
            what=f"{size_text(free)} are free in /dev/shm, but {said}",
            why="who fills /dev/shm then makes the system kill processes rather than getting an "
            "error; killing them frees nothing of what has a name",
            remedy="a limit that memory can keep: "
            f"`mount -o remount,size={(shm.size - shm.free + room // 2) // _MIB + 1}m /dev/shm` as "
            "root",
            facts=found,
        )
    else:
        yield Finding(check="memory", group=GROUP, severity="ok", what=said, facts=found)


def control_group(facts: Facts) -> Iterator[Finding]:
    """The memory limit of the container or service leaves room for what is in /dev/shm."""
    limit, used, shm = facts.cgroup.limit, facts.cgroup.used or 0, facts.shm
    if limit is None:
        yield Finding(
            check="memory-limit",
            group=GROUP,
            severity="ok",
            what="no control group limits the memory of this process",
        )
        return
    left = max(limit - used, 0)
    found = {"limit": limit, "used": used}
    said = f"its control group allows {size_text(limit)} of memory, {size_text(left)} are left"
    free = 0 if shm is None else shm.free
    if used > _NEARLY * limit or free > left:
        yield Finding(
            check="memory-limit",
            group=GROUP,
            severity="warning" if used > _NEARLY * limit else "note",
            what=said + (f", and {size_text(free)} are free in /dev/shm" if free > left else ""),
            why="pages of shared memory count for the group of the process that touched them "
            "first, and stay counted as long as the object is there; beyond the limit processes "
            "of the group are killed (OOM), and that frees no object that has a name",
            remedy="a /dev/shm that is smaller than the limit, or a higher limit: `docker run "
            "--memory=…`, `resources.limits.memory` in Kubernetes, `MemoryMax=` of a systemd unit",
            facts=found,
        )
    else:
        yield Finding(check="memory-limit", group=GROUP, severity="ok", what=said, facts=found)


def overcommit(facts: Facts) -> Iterator[Finding]:
    """Memory is not promised strictly."""
    value = facts.setting("vm.overcommit_memory")
    if value is None:
        return
    found = {"vm.overcommit_memory": value}
    if value == 2:
        yield Finding(
            check="overcommit",
            group=GROUP,
            severity="note",
            what="vm.overcommit_memory is 2: the system promises no more memory than it has",
            why="pages in /dev/shm count for CommitLimit in /proc/meminfo; making an object can "
            'fail with "no memory" while `free` shows plenty',
            remedy=kept("vm.overcommit_ratio=80") + "; or more swap",
            facts=found,
        )
    else:
        yield Finding(
            check="overcommit",
            group=GROUP,
            severity="ok",
            what=f"vm.overcommit_memory is {value}",
            facts=found,
        )


CHECKS = (mounted, writable, size, use, memory, control_group, overcommit)
