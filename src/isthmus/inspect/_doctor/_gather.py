"""Gathering the facts. Only looks, but for what `_tries` does."""

from __future__ import annotations

import os
import pwd
import resource

from isthmus.inspect._doctor import _surroundings, _tries
from isthmus.inspect._doctor._facts import Facts
from isthmus.inspect._doctor._system import System
from isthmus.inspect.looking._observed import DIRECTORY

_LIMITS = ("NOFILE", "MEMLOCK", "FSIZE", "MSGQUEUE", "AS", "SIGPENDING")
# Kernel parameters that the checks know.
_SETTINGS = (
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
    "fs.mqueue.msg_max",
    "fs.mqueue.msgsize_max",
    "fs.mqueue.queues_max",
    "fs.protected_regular",
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "vm.memfd_noexec",
    "vm.overcommit_memory",
)
_PAGE = resource.getpagesize()
_MQUEUE = "/dev/mqueue"


def gather(root: str = "/", *, tries: bool = True) -> Facts:
    """Look at the machine below `root`; its limits and processors are those of this process."""
    system = System(root)
    memory = system.memory()
    uid = os.geteuid()
    user = _user(uid)
    remove_ipc, remove_ipc_file = _surroundings.remove_ipc(system)
    return Facts(
        kernel=(system.text("/proc/sys/kernel/osrelease") or os.uname().release).strip(),
        uid=uid,
        user=user,
        shm=system.mount(DIRECTORY),
        mqueue=system.mount(_MQUEUE),
        memory=memory.get("MemTotal", 0),
        memory_available=memory.get("MemAvailable", 0),
        swap=memory.get("SwapTotal", 0),
        swap_free=memory.get("SwapFree", 0),
        cgroup=system.memory_limit(),
        cpu_quota=system.cpu_quota(),
        cpus=len(os.sched_getaffinity(0)),
        limits={one: _limit(one) for one in _LIMITS},
        settings=_settings(system),
        inotify=_inotify_instances(system, uid),
        sysv=_sysv(system),
        queues=len(system.names(_MQUEUE)) if system.exists(_MQUEUE) else None,
        features=_tries.features() if tries else {},
        proc=system.exists("/proc/self/status"),
        hidepid=_hidepid(system),
        systemd=system.exists("/run/systemd/system"),
        remove_ipc=remove_ipc,
        remove_ipc_file=remove_ipc_file,
        linger=bool(user) and system.exists(f"/var/lib/systemd/linger/{user}"),
        container=_surroundings.container(system),
        initial_pid=_surroundings.initial(system, "pid"),
        initial_ipc=_surroundings.initial(system, "ipc"),
        seccomp=any(
            line.split() == ["Seccomp:", "2"] for line in system.lines("/proc/self/status")
        ),
        huge_shmem=_chosen(system.text("/sys/kernel/mm/transparent_hugepage/shmem_enabled")),
        huge_size=memory.get("Hugepagesize"),
        huge_total=memory.get("HugePages_Total", 0),
        huge_free=memory.get("HugePages_Free", 0),
    )


def _user(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def _limit(name: str) -> tuple[int | None, int | None]:
    soft, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
    return tuple(None if one == resource.RLIM_INFINITY else one for one in (soft, hard))  # type: ignore[return-value]


def _settings(system: System) -> dict[str, str]:
    found = {}
    for name in _SETTINGS:
        text = system.text(f"/proc/sys/{name.replace('.', '/')}")
        if text is not None:
            found[name] = " ".join(text.split())
    return found


def _inotify_instances(system: System, uid: int) -> int | None:
    """How many this user has, in the processes that may be looked at; None: no /proc."""
    count, looked = 0, False
    for process in system.names("/proc"):
        if not process.isdecimal():
            continue
        try:
            if os.stat(system.path(f"/proc/{process}")).st_uid != uid:
                continue
        except OSError:
            continue
        looked = True
        for fd in system.names(f"/proc/{process}/fd"):
            if system.link(f"/proc/{process}/fd/{fd}") in {"anon_inode:inotify", "inotify"}:
                count += 1
    return count if looked else None


def _sysv(system: System) -> dict[str, int]:
    """What there is of System V objects, of all users."""
    found = {}
    # Columns by their headings: kernels differ in how many there are.
    segments, sets = system.lines("/proc/sysvipc/shm"), system.lines("/proc/sysvipc/sem")
    if segments:
        sizes = _column(segments, "size")
        found["segments"] = len(sizes)
        found["pages"] = sum(-(-size // _PAGE) for size in sizes)
    if sets:
        counts = _column(sets, "nsems")
        found["sets"], found["semaphores"] = len(counts), sum(counts)
    queues = system.lines("/proc/sysvipc/msg")
    if queues:
        found["queues"] = len(queues) - 1
    return found


def _column(lines: list[str], name: str) -> list[int]:
    heading = lines[0].split()
    if name not in heading:
        return []
    place = heading.index(name)
    rows = (line.split() for line in lines[1:])
    return [int(row[place]) for row in rows if len(row) > place and row[place].isdecimal()]


def _hidepid(system: System) -> str | None:
    mount = system.mount("/proc")
    value = None if mount is None else mount.option("hidepid")
    return None if value in {None, "0", "off"} else value


def _chosen(text: str | None) -> str | None:
    """The word in brackets: ``always [never] force``."""
    words = (text or "").split()
    return next((one[1:-1] for one in words if one.startswith("[") and one.endswith("]")), None)
