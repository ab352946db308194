"""What the checks judge: gathered in one place, so that each check is a function of facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

GIB = 1 << 30


def _empty() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A file system, as it is mounted."""

    path: str
    #: "tmpfs", "ext4" …
    kind: str
    options: frozenset[str] = frozenset()
    #: Bytes; 0: without a limit.
    size: int = 0
    free: int = 0
    #: Files; 0: without a limit.
    inodes: int = 0
    inodes_free: int = 0
    #: Permission bits of its root, the sticky bit included.
    mode: int = 0o1777

    def option(self, name: str) -> str | None:
        """The value of an option such as ``huge=never``."""
        values = (one.partition("=")[2] for one in self.options if one.startswith(f"{name}="))
        return next(values, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How much of something there is, and how much may be."""

    used: int | None
    limit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A machine, as a process sees it. The defaults are those of one where all is well."""

    #: As `uname -r` says.
    kernel: str = "6.12.0"
    uid: int = 1000
    user: str | None = None

    #: Where the names of POSIX shared memory are files; None: nothing is mounted there.
    shm: Mount | None = Mount(
        path="/dev/shm",
        kind="tmpfs",
        size=8 * GIB,
        free=7 * GIB,
        inodes=1 << 20,
        inodes_free=1 << 20,
    )
    mqueue: Mount | None = Mount(path="/dev/mqueue", kind="mqueue")
    #: Bytes: MemTotal, MemAvailable, SwapTotal, SwapFree.
    memory: int = 16 * GIB
    memory_available: int = 12 * GIB
    swap: int = 4 * GIB
    swap_free: int = 4 * GIB
    #: The tightest of the memory limits of this process's control groups; None: no limit.
    cgroup: Use = Use(used=None, limit=None)
    #: Processors that the tightest control group allows at a time; None: no limit.
    cpu_quota: float | None = None
    #: Those that this process may run on.
    cpus: int = 4

    #: By the name after RLIMIT_: soft and hard limit; None: unlimited.
    limits: Mapping[str, tuple[int | None, int | None]] = field(default_factory=_empty)
    #: Kernel parameters by the names that sysctl(8) gives them; those that could be read.
    settings: Mapping[str, str] = field(default_factory=_empty)
    #: Instances of inotify of this user, as far as they can be seen.
    inotify: int | None = None
    #: Of System V: "segments", "pages", "sets", "semaphores", "queues", as far as known.
    sysv: Mapping[str, int] = field(default_factory=_empty)
    #: POSIX message queues.
    queues: int | None = None

    #: What was tried: None: it works; else what the system answered.
    features: Mapping[str, str | None] = field(default_factory=_empty)
    #: Whether /proc is there.
    proc: bool = True
    #: Whether other users' processes are hidden: the option of /proc; None: they are not.
    hidepid: str | None = None
    #: Whether systemd runs the machine.
    systemd: bool = False
    #: What RemoveIPC is set to, and the file that says so; None: not known.
    remove_ipc: bool | None = None
    remove_ipc_file: str | None = None
    #: Whether the user's services go on after logout.
    linger: bool = False

    #: "Docker", "Podman", "Kubernetes", …; None: none is recognised.
    container: str | None = None
    #: Whether the namespace is the one that the machine started with; None: not known.
    initial_pid: bool | None = True
    initial_ipc: bool | None = True
    #: Whether system calls are filtered.
    seccomp: bool = False

    #: /sys/kernel/mm/transparent_hugepage/shmem_enabled; None: no huge pages of that kind.
    huge_shmem: str | None = "never"
    #: Bytes of a huge page, and how many are reserved and free.
    huge_size: int | None = None
    huge_total: int = 0
    huge_free: int = 0

    def soft(self, limit: str) -> int | None:
        """The limit in force; None: none."""
        return self.limits.get(limit, (None, None))[0]

    def setting(self, name: str) -> int | None:
        """A kernel parameter that is one number; None: not known."""
        try:
            return int(self.settings[name])
        except (KeyError, ValueError):
            return None
