"""Which processes have a file open or mapped, or a System V segment attached: from /proc.

One pass over all processes tells it for all objects. Files are known by device and inode, not by
their names: an object of isthmus is made without a name, and its maker's maps show none for ever;
and in a container the same file has another path. A process that has a description in no table of
descriptors (sent to a socket, and not yet received) is not seen: what is to be removed is proved
by other means, see `_lease`.

Looking costs the others nothing but that the kernel takes a moment to print their maps.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import cache

from isthmus.inspect._address import DRAFT_PREFIX, SOCKET_PREFIX
from isthmus.inspect._model import Process
from isthmus.inspect.looking._observed import DIRECTORY
from isthmus.participant import _command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Of /proc/PID/ns/pid, where all processes of the host are seen (include/linux/proc_ns.h).
_FIRST_PID_NAMESPACE = 0xEFFFFFFC
_KERNEL_THREAD = 0x00200000
_CAP_SYS_PTRACE = 1 << 19
# Of a System V segment the kernel shows its id in the place of the inode.
_SYSV = re.compile(rb" (\d+) +/SYSV[0-9a-f]{8}(?: \(deleted\))?\n")
_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True)
class Users:
    """Who uses what, as it was at the moment of the look."""

    #: By device and inode.
    files: Mapping[tuple[int, int], tuple[Process, ...]] = field(default_factory=dict)
    #: System V segments, by id.
    segments: Mapping[int, tuple[Process, ...]] = field(default_factory=dict)
    #: Unix sockets in the directory of shared memory, by path: who listens there.
    sockets: Mapping[str, tuple[Process, ...]] = field(default_factory=dict)
    #: Processes that were there and could not be looked at.
    unseen: int = 0
    #: Whether there may be others that are not even listed: of another container, or hidden.
    hidden: bool = False

    @property
    def complete(self) -> bool:
        """Whether all processes of the host were looked at."""
        return not self.unseen and not self.hidden

    def of(self, status: os.stat_result) -> tuple[Process, ...]:
        """Those that have the file of this status."""
        return self.files.get((status.st_dev, status.st_ino), ())


class _Pass:
    """One pass over the processes."""

    def __init__(self) -> None:
        self.files: dict[tuple[int, int], list[int]] = {}
        self.segments: dict[int, list[int]] = {}
        self.sockets: dict[str, list[int]] = {}
        self.unseen = 0
        self._listening = {f"socket:[{inode}]": path for path, inode in listening().items()}
        self._ipc = _link("/proc/self/ns/ipc")
        self._devices, self._names = set[int](), set[str]()
        for folder in (DIRECTORY, *mqueue_mounts()):
            try:
                self._devices.add(os.stat(folder).st_dev)
                self._names.update(os.listdir(folder))
            except OSError:
                continue
        # As the maps write it.
        devices = "|".join(f"{os.major(one):02x}:{os.minor(one):02x}" for one in self._devices)
        self._mapped = re.compile(rf" ({devices or '-'}) (\d+) ".encode())

    def look(self, pid: str) -> None:
        """Note what one process has. One that ends meanwhile has nothing."""
        number = int(pid)
        try:
            self._whole(f"/proc/{pid}", number)
        except PermissionError:
            if not _has_nothing(pid):
                self.unseen += 1
        except (FileNotFoundError, ProcessLookupError):
            pass
        except OSError:
            self.unseen += 1

    def _whole(self, process: str, number: int) -> None:
        if not self._maps(process, number):
            # Of the kernel; or its first thread has ended, and looks as if all had.
            for thread in os.listdir(f"{process}/task"):
                other = f"{process}/task/{thread}"
                if thread != str(number) and self._maps(other, number):
                    process = other
                    break
        self._descriptors(process, number)

    def _maps(self, process: str, number: int) -> bool:
        """False: there are none."""
        with open(f"{process}/maps", "rb", 0) as file:
            maps = file.read() or b""
        for device, inode in set(self._mapped.findall(maps)):
            major, _, minor = device.partition(b":")
            key = os.makedev(int(major, 16), int(minor, 16)), int(inode)
            self.files.setdefault(key, []).append(number)
        ids = {int(one) for one in _SYSV.findall(maps)} if b"/SYSV" in maps else ()
        # In another namespace the same numbers stand for other segments.
        if ids and _link(f"{process}/ns/ipc") == self._ipc:
            for id in ids:
                self.segments.setdefault(id, []).append(number)
        return bool(maps)

    def _descriptors(self, process: str, number: int) -> None:
        folder = f"{process}/fd"
        found = set[tuple[int, int]]()
        for descriptor in os.listdir(folder):
            path = f"{folder}/{descriptor}"
            link = _link(path)
            if link in self._listening:
                holders = self.sockets.setdefault(self._listening[link], [])
                if number not in holders:
                    holders.append(number)
            # Only those that may be it: asking a file of a dead file server would block.
            elif self._worth_a_look(link):
                try:
                    status = os.stat(path)
                except OSError:
                    continue
                if status.st_dev in self._devices:
                    found.add((status.st_dev, status.st_ino))
        for key in found:
            holders = self.files.setdefault(key, [])
            # If it also maps it, it is the last one in the list.
            if not holders or holders[-1] != number:
                holders.append(number)

    def _worth_a_look(self, link: str) -> bool:
        if not link.startswith("/"):
            return False
        if link.startswith(DIRECTORY):
            return True
        # In another mount namespace: by its last name; or made without a name, or as a draft.
        name = link.rpartition("/")[2].removesuffix(_DELETED)
        return name in self._names or name.startswith(("#", DRAFT_PREFIX))


def users_of() -> Users:
    """Look at all processes once: who has which file, segment and socket."""
    seen = _Pass()
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            seen.look(pid)
    made: dict[int, Process] = {}

    def processes(pids: Iterable[int]) -> tuple[Process, ...]:
        for pid in pids:
            if pid not in made:
                made[pid] = Process(pid, _command(pid))
        return tuple(made[pid] for pid in pids)

    return Users(
        {key: processes(pids) for key, pids in seen.files.items()},
        {id: processes(pids) for id, pids in seen.segments.items()},
        {path: processes(pids) for path, pids in seen.sockets.items()},
        seen.unseen,
        _hidden(),
    )


def alive(pid: int) -> bool:
    """Whether there is a process of this number that has not ended yet."""
    try:
        os.kill(pid, 0)  # sends nothing; also tells of those that /proc hides
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return not os.path.exists(f"/proc/{pid}/stat") or not _has_nothing(str(pid))


def stopped(pid: int) -> bool:
    """Whether it was stopped by a signal, or by a debugger."""
    try:
        with open(f"/proc/{pid}/stat", "rb", 0) as file:
            return (file.read() or b"").rpartition(b") ")[2][:1] in (b"T", b"t")
    except OSError:
        return False


def listening() -> dict[str, int]:
    """Sockets in the directory of shared memory that are bound, with their inodes, by path.

    Only those of this network namespace are seen.
    """
    found = {}
    prefix = f"{DIRECTORY}/{SOCKET_PREFIX}"
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                words = line.rstrip("\n").split(maxsplit=7)
                # The sockets that it has accepted have the same path, and are not listening.
                if len(words) == 8 and words[7].startswith(prefix) and int(words[3], 16) & 0x10000:
                    found[words[7]] = int(words[6])
    except (OSError, ValueError):
        pass  # no network at all, or a line of another kind: others tell, too
    return found


def mqueue_mounts() -> list[str]:
    """Where the POSIX message queues are files, if anywhere."""
    return [point for point, kind, _ in _mounts() if kind == "mqueue"]


def _mounts() -> Iterator[tuple[str, str, str]]:
    """Mount point, file system, and its options."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                words = line.split(" ")
                if len(words) >= 4:
                    # Blanks and the like are octal numbers.
                    point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), words[1])
                    yield point, words[2], words[3]
    except OSError:
        return


def _hidden() -> bool:
    """Whether there may be processes that /proc does not list here."""
    try:
        if os.stat("/proc/self/ns/pid").st_ino != _FIRST_PID_NAMESPACE:
            return True
    except OSError:
        return True
    return _hides() and not _may_trace()


def _hides() -> bool:
    for point, kind, options in _mounts():
        if kind == "proc" and point == "/proc":
            for option in options.split(","):
                name, _, value = option.partition("=")
                if name == "hidepid" and value not in ("", "0", "off", "1", "noaccess"):
                    return True
    return False


@cache
def _may_trace() -> bool:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("CapEff:"):
                    return bool(int(line.split()[1], 16) & _CAP_SYS_PTRACE)
    except (OSError, ValueError):
        pass
    return False


def _has_nothing(pid: str) -> bool:
    """Whether it is gone, or only waits to be reaped, or is a thread of the kernel."""
    try:
        with open(f"/proc/{pid}/stat", "rb", 0) as file:
            # The name, in parentheses, may contain anything.
            words = (file.read() or b"").rpartition(b")")[2].split()
        state, flags, threads = words[0], int(words[6]), int(words[17])
    except (FileNotFoundError, ProcessLookupError):
        return True
    except (OSError, IndexError, ValueError):
        return False
    # Its first thread may have ended and others live.
    return (state in (b"Z", b"X") and threads <= 1) or bool(flags & _KERNEL_THREAD)


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
