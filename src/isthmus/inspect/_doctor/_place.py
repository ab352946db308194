"""Checks of where this process runs: under systemd, in a container, on which processors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from isthmus.inspect._doctor._facts import Facts
from isthmus.inspect._doctor._finding import Finding
from isthmus.inspect._doctor._words import kept, size_text

GROUP, SPEED = "surroundings", "speed"
# The last number of a system user, as distributions build systemd (SYS_UID_MAX in login.defs).
_LAST_SYSTEM_USER = 999
_MANY_HUGE = 0.1


def removed_at_logout(facts: Facts) -> Iterator[Finding]:
    """systemd removes all a user has shared, at logout."""
    if not facts.systemd:
        return
    found = {
        "RemoveIPC": facts.remove_ipc,
        "file": facts.remove_ipc_file,
        "linger": facts.linger,
        "uid": facts.uid,
    }
    reasons = (
        (facts.remove_ipc is False, "RemoveIPC=no: logging out removes no shared memory"),
        (facts.uid <= _LAST_SYSTEM_USER, "systemd leaves alone what system users and root share"),
        (facts.linger, "the user lingers: logging out removes no shared memory"),
    )
    for holds, said in reasons:
        if holds:
            yield Finding(check="remove-ipc", group=GROUP, severity="ok", what=said, facts=found)
            return
    user = facts.user or str(facts.uid)
    where = f" ({facts.remove_ipc_file})" if facts.remove_ipc_file else ""
    sure = facts.remove_ipc is True
    yield Finding(
        check="remove-ipc",
        group=GROUP,
        severity="warning" if sure else "note",
        what=f"when {user} logs out, systemd removes all shared memory of {user}: RemoveIPC is "
        + (f"yes{where}" if sure else "set nowhere, and yes unless systemd was built otherwise"),
        why="at the end of the last session (an ssh login, say) everything of this user in "
        "/dev/shm and all its message queues and semaphores lose their names, also where a service "
        "or a program in the background is using them; only System V segments that somebody is "
        "attached to stay",
        remedy=f"`loginctl enable-linger {user}`; or run it as a system user; or for all: "
        "`RemoveIPC=no` below `[Login]` in /etc/systemd/logind.conf.d/ipc.conf, and then "
        "`systemctl restart systemd-logind`",
        facts=found,
    )


def container(facts: Facts) -> Iterator[Finding]:
    """What a container sees, and who sees what is made in it."""
    found = {
        "container": facts.container,
        "initial_pid_namespace": facts.initial_pid,
        "initial_ipc_namespace": facts.initial_ipc,
        "seccomp": facts.seccomp,
    }
    if not facts.proc:
        return
    inside = facts.container is not None or facts.initial_ipc is False
    if not inside and facts.initial_pid is False:
        yield Finding(
            check="container",
            group=GROUP,
            severity="note",
            what="this process has a pid namespace of its own, but may share memory with others",
            why="pids that others have left in shared memory mean other processes here; isthmus "
            "goes by locks, which tell the same everywhere, but libraries that ask whether a pid "
            "lives take the living for dead",
            remedy="with such libraries, one pid namespace for all: `docker run --pid=…`",
            facts=found,
        )
    elif not inside:
        yield Finding(
            check="container", group=GROUP, severity="ok", what="not in a container", facts=found
        )
    else:
        yield _inside(facts, found)


def _inside(facts: Facts, found: Mapping[str, object]) -> Finding:
    outside = (
        ""
        if facts.initial_pid
        else "; pids of processes outside mean nothing here (isthmus goes by locks)"
    )
    if facts.container is None:
        return Finding(
            check="container",
            group=GROUP,
            severity="note",
            what="this process has an IPC namespace of its own, as by PrivateIPC= of systemd",
            why="its System V objects and message queues are not seen outside, nor those outside "
            "by it; /dev/shm may be shared all the same: that is a matter of mounts" + outside,
            remedy="no PrivateIPC=, where they are to be shared",
            facts=found,
        )
    what = f"this process is in a container ({facts.container})"
    if facts.initial_ipc:
        return Finding(
            check="container",
            group=GROUP,
            severity="note",
            what=f"{what}, and in the IPC namespace of the host",
            why="objects are those of the host" + outside,
            facts=found,
        )
    return Finding(
        check="container",
        group=GROUP,
        severity="note",
        what=what,
        why="it has a /dev/shm, System V objects and message queues of its own; what is made here "
        "is not seen outside, nor the other way round" + outside,
        remedy="to share with another container: that one with `--ipc=shareable`, this one with "
        "`--ipc=container:NAME` (Compose: `ipc: shareable`, `ipc: service:NAME`); with the "
        "host: `--ipc=host`; containers of one Kubernetes pod share without more",
        facts=found,
    )


def processors(facts: Facts) -> Iterator[Finding]:
    """Two processes can run at the same time."""
    quota = facts.cpu_quota
    found = {"cpus": facts.cpus, "quota": quota}
    if facts.cpus < 2:
        yield Finding(
            check="processors",
            group=SPEED,
            severity="note",
            what="this process may run on one processor only",
            why="waits do not spin, since whoever they wait for could not run meanwhile; every "
            "message to another process takes a switch, some microseconds",
            remedy="`taskset -cp 0-1 PID`, or `docker run --cpuset-cpus=0-1`, where there are more",
            facts=found,
        )
    elif quota is not None and quota < 2:
        yield Finding(
            check="processors",
            group=SPEED,
            severity="note",
            what=f"the control group gives {quota:.2g} processors' time",
            why="waits that spin use it up, and then all processes of the group stand still until "
            "the next period, usually 100 ms",
            remedy="`ISTHMUS_SPIN_US=0` in the environment: no spinning; or more: `docker run "
            "--cpus=2`, `resources.limits.cpu` in Kubernetes, `CPUQuota=200%` of a systemd unit",
            facts=found,
        )
    else:
        yield Finding(
            check="processors",
            group=SPEED,
            severity="ok",
            what=f"{facts.cpus} processors for this process",
            facts=found,
        )


def huge_pages(facts: Facts) -> Iterator[Finding]:
    """Whether large objects get large pages."""
    shm = facts.shm
    if shm is None:
        return
    mounted = shm.option("huge")
    found = {"shmem_enabled": facts.huge_shmem, "mounted": mounted}
    if facts.huge_shmem is None:
        yield Finding(
            check="huge-pages",
            group=SPEED,
            severity="ok",
            what="this kernel has no huge pages for shared memory",
            facts=found,
        )
    elif facts.huge_shmem == "force" or (
        mounted in {"always", "within_size"} and facts.huge_shmem != "deny"
    ):
        yield Finding(
            check="huge-pages",
            group=SPEED,
            severity="ok",
            what="large objects in /dev/shm get huge pages"
            + (f" (huge={mounted})" if mounted else ""),
            facts=found,
        )
    else:
        deny = facts.huge_shmem == "deny"
        allow = "`echo never > /sys/kernel/mm/transparent_hugepage/shmem_enabled` and "
        yield Finding(
            check="huge-pages",
            group=SPEED,
            severity="note",
            what="objects in /dev/shm get small pages"
            + (" (shmem_enabled is deny)" if deny else f" (huge={mounted or 'never'})"),
            why="that is right for most; arrays of hundreds of MiB that are read here and there "
            "are faster in huge pages, and so is making and mapping them; with within_size, small "
            "objects take no more memory than before",
            remedy="to try it: "
            + (allow if deny else "")
            + "`mount -o remount,huge=within_size /dev/shm` as root; for anonymous and System V "
            "memory: `echo within_size > /sys/kernel/mm/transparent_hugepage/shmem_enabled`",
            facts=found,
        )


def reserved_pages(facts: Facts) -> Iterator[Finding]:
    """Memory that is set aside for hugetlbfs is no memory for /dev/shm."""
    if not facts.huge_size or not facts.huge_total or not facts.memory:
        return
    idle = facts.huge_free * facts.huge_size
    found = {"total": facts.huge_total, "free": facts.huge_free, "size": facts.huge_size}
    much = idle > _MANY_HUGE * facts.memory
    yield Finding(
        check="reserved-pages",
        group=SPEED,
        severity="note" if much else "ok",
        what=f"{facts.huge_total} pages of {size_text(facts.huge_size)} are reserved, "
        f"{facts.huge_free} of them not in use",
        why="that memory is lost for everything else, /dev/shm included; only files on hugetlbfs "
        "(`Segment.map_file`) and SHM_HUGETLB use it"
        if much
        else "",
        remedy=kept(f"vm.nr_hugepages={facts.huge_total - facts.huge_free}") if much else "",
        facts=found,
    )


CHECKS = (removed_at_logout, container, processors, huge_pages, reserved_pages)
