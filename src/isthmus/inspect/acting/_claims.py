"""Having an object to oneself in order to remove it, and the proof that nobody else has it.

For as long as a claim is held, what it says of others stays true, as far as the kernel can see to
that: nobody comes in to an object of isthmus, and nobody opens a file. So what is removed under a
claim is what was looked at, and is still nobody's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets

from isthmus import posix, sysv
from isthmus._core import memory
from isthmus.channel._sockets import _Locked
from isthmus.inspect._address import DRAFT_PREFIX, Address
from isthmus.inspect.acting import _lease
from isthmus.inspect.looking import _typed
from isthmus.inspect.looking._observed import DIRECTORY, Observed, Vanished
from isthmus.inspect.looking._typed import HEADER, LOCK_BYTES
from isthmus.inspect.others import _foreign, _sysv
from isthmus.inspect.others._foreign import DRAFT_BYTE
from isthmus.inspect.others._processes import alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from isthmus.inspect._model import SharedObject
    from isthmus.inspect.others._processes import Users

#: All handles of a typed object of its own hold this byte, but for those of an array (object.c).
PRESENCE_BYTE = LOCK_BYTES + HEADER


# What a free one is known by.
UNUSED = "no handle is open: the lock that each holds is free"
UNMARKED = "its maker has died: the lock that it held is free"
DEAF = "nobody listens there: the kernel refuses a connection"


class Claim:
    """Use it with `with`. Making one raises `Vanished` when the object is no more."""

    #: Whether nobody has the object; None: that cannot be known.
    free: bool | None = None
    #: How that is known, or why not: the second half of a sentence.
    evidence = ""
    #: Of its file.
    status: os.stat_result | None = None
    #: Messages in it; None: not known, or it has none.
    depth: int | None = None
    #: Whether one that is in use can be removed at all.
    by_force = True

    def remove(self, force: bool = False) -> None:
        """Remove it. OSError: it could not be; ESTALE, EBUSY: it, or its use, is another by now."""
        raise NotImplementedError

    def close(self) -> None:
        """Let others at it again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _OfFile(Claim):
    """A file in the directory of shared memory, open if it may be opened."""

    def __init__(self, path: str, readonly: bool) -> None:
        self._path = path
        self._fd: memory.Descriptor | None = None
        try:
            self._fd = memory.open_file(os.fsencode(path), readonly)
            self.status = os.fstat(self._fd.fileno())
        except FileNotFoundError:
            raise Vanished(path) from None
        except BlockingIOError:
            # Somebody has a lease on it.
            self.free, self.evidence = False, "somebody looks at it in order to remove it"
            self.status = _named(path)
        except OSError as error:
            self.evidence = f"it may not be opened ({error.strerror or error})"
            self.status = _named(path)
        if self.status.st_nlink == 0:
            self.close()
            raise Vanished(path)

    def remove(self, force: bool = False) -> None:
        # As long as it is open here, no other file gets its inode.
        status = self.status
        assert status is not None
        memory.remove(status.st_dev, status.st_ino, 0, os.fsencode(self._path))

    def close(self) -> None:
        if self._fd is not None and not self._fd.closed:
            _lease.release(self._fd.fileno())
            self._fd.close()


class TypedClaim(_OfFile):
    """An object of isthmus, but for arrays: by the lock that all who have a handle hold.

    Who comes in while we have it waits until we are gone, and then looks whether the object is
    still there (object.c, come_in). Dies with it: as if nothing had been.
    """

    def __init__(self, path: str, sound: bool) -> None:
        super().__init__(path, readonly=False)
        if self._fd is None:
            return
        self.free = memory.try_byte(self._fd.fileno(), PRESENCE_BYTE)
        self.evidence = UNUSED if self.free else "handles are open: they hold its presence lock"
        if self.free and not sound:
            # What cannot be read, or is of another version, may have another lock.
            self.free = _lease.take(self._fd.fileno(), _lease.PATIENCE)
            self.evidence = _LEASES[self.free]


_LEASES = {
    True: "no process has it: the kernel gives a lease on it",
    False: "a process has it open or mapped: the kernel refuses a lease on it",
    None: "whether a process has it is told only to its owner",
}


class FileClaim(_OfFile):
    """Any other file: by a lease, which only who is alone with it gets."""

    def __init__(self, path: str, users: Users, patience: float = 0.0) -> None:
        super().__init__(path, readonly=True)
        if self._fd is not None:
            self.free = _lease.take(self._fd.fileno(), patience)
            self.evidence = _LEASES[self.free]
            self._leased = self.free
        if self.free is None and self.status is not None:
            self.free, self.evidence = _seen(users, self.status, self.evidence)

    def remove(self, force: bool = False) -> None:
        if force or not self._leased or self._fd is None:
            super().remove(force)
            return
        # Under another name first: who opens it after that finds nothing; who has found it waits
        # for the lease, and is seen to. Dies in between: it is a draft whose maker died.
        aside = f"{DIRECTORY}/{DRAFT_PREFIX}{secrets.token_hex(8)}"
        os.rename(self._path, aside)
        try:
            if not os.path.samestat(os.fstat(self._fd.fileno()), os.lstat(aside)):
                raise OSError(errno.ESTALE, "its name was given to another one")
            if not _lease.undisturbed(self._fd.fileno()):
                raise OSError(errno.EBUSY, "somebody has just opened it")
            os.unlink(aside)
        except BaseException:
            _put_back(aside, self._path)
            raise

    _leased: bool | None = None


def _put_back(aside: str, path: str) -> None:
    """Unless another one has the name by now, or it is gone."""
    with contextlib.suppress(FileNotFoundError, FileExistsError):
        os.link(aside, path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(aside)


def _seen(users: Users, status: os.stat_result, why: str) -> tuple[bool | None, str]:
    """What /proc can tell where the kernel does not."""
    if users.of(status):
        return False, "processes have it open or mapped"
    if users.complete:
        return True, "no process has it open or mapped, and all could be looked at"
    return None, f"{why}, and not all processes could be looked at"


class DraftClaim(_OfFile):
    """One that was being made: by the lock that its maker holds (draft.c).

    One who has just made the file, and not locked it yet, finds that it lost its name, and begins
    anew. A file of others that was being removed (`FileClaim.remove`) may have this name, too, and
    be used: so nobody may have it open, either.
    """

    by_force = False

    def __init__(self, path: str) -> None:
        super().__init__(path, readonly=False)
        if self._fd is not None:
            self.free = memory.try_byte(self._fd.fileno(), DRAFT_BYTE)
            self.evidence = (
                UNMARKED
                if self.free
                else "somebody is at work on it, and holds the lock of its maker"
            )
            if self.free and _lease.take(self._fd.fileno(), _lease.PATIENCE) is False:
                self.free, self.evidence = False, _LEASES[False]


class SocketClaim(Claim):
    """Where a channel listened. Others who listen or clear away in that directory wait for us."""

    by_force = False

    def __init__(self, path: str) -> None:
        self._path = path
        self._locked = _Locked(DIRECTORY)
        self._locked.__enter__()
        try:
            self.status = _named(path)
            answers = _foreign.answers(path)
        except BaseException:
            self.close()
            raise
        self.free = None if answers is None else not answers
        self.evidence = {
            True: "somebody listens there",
            False: DEAF,
            None: "whether somebody listens there is told only to those who may connect",
        }[answers]

    def remove(self, force: bool = False) -> None:
        assert self.status is not None
        memory.remove(self.status.st_dev, self.status.st_ino, 0, os.fsencode(self._path))

    def close(self) -> None:
        self._locked.__exit__()


class QueueClaim(Claim):
    """A POSIX message queue: by a lease on it; it has a file, if perhaps no path."""

    def __init__(self, shared: SharedObject, users: Users) -> None:
        self._name = shared.name
        self._queue: posix.MessageQueue | None = None
        try:
            self._queue = posix.mq_open(shared.name, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            raise Vanished(shared.address) from None
        except BlockingIOError:
            self.free, self.evidence = False, "somebody looks at it in order to remove it"
            return
        except OSError as error:
            self.evidence = f"it may not be opened ({error.strerror})"
        if self._queue is not None:
            self.status = os.fstat(self._queue.fileno())
            self.free = _lease.take(self._queue.fileno(), _lease.PATIENCE)
            self.evidence = _LEASES[self.free]
            self.depth = posix.mq_getattr(self._queue).curmsgs
        if self.free is None and shared.path is not None:
            self.free, self.evidence = _seen(users, _named(shared.path), self.evidence)

    def remove(self, force: bool = False) -> None:
        # The system has no call that asks which queue has the name now without opening it, for
        # which we would have to give up the lease: somebody could replace it in between.
        if not force and self._queue is not None and not _lease.undisturbed(self._queue.fileno()):
            raise OSError(errno.EBUSY, "somebody has just opened it")
        posix.mq_unlink(self._name)

    def close(self) -> None:
        if self._queue is not None:
            _lease.release(self._queue.fileno())
            posix.mq_close(self._queue)
            self._queue = None


class SysvClaim(Claim):
    """A System V object: by what the kernel has noted. Nothing can keep others out.

    Its number is not given to another one soon, so what is removed is what was looked at.
    """

    def __init__(self, shared: SharedObject, users: Users) -> None:
        self._kind, self._address = shared.kind, Address.parse(shared.address)
        _, row = _sysv.sysv_object(self._address, users)
        self.row: Mapping[str, int] = row
        if shared.kind == "segment":
            self._segment()
        elif shared.kind == "semaphores":
            self._semaphores()
        else:
            self._messages(shared)

    def _segment(self) -> None:
        attached = self.row["nattch"]
        self.free = attached == 0
        self.evidence = (
            "nobody has attached it: the kernel counts 0"
            if self.free
            else f"the kernel counts {attached} that have attached it"
        )

    def _semaphores(self) -> None:
        id = self._address.id or 0
        pids = set[int]()
        try:
            for number in range(self.row["nsems"]):
                waiting = sysv.semctl(id, number, sysv.GETNCNT) + sysv.semctl(
                    id, number, sysv.GETZCNT
                )
                if waiting:
                    self.free, self.evidence = False, f"somebody waits for semaphore {number}"
                    return
                pids.add(sysv.semctl(id, number, sysv.GETPID))
        except OSError as error:
            self.evidence = f"it may not be asked who used it last ({error.strerror})"
            return
        self._last_users(pids - {0})

    def _messages(self, shared: SharedObject) -> None:
        if shared.library == "isthmus" and _channel_lives(self.row["key"]):
            self.free, self.evidence = False, "a channel of isthmus has it"
            return
        self.depth = self.row["qnum"]
        self._last_users({self.row["lspid"], self.row["lrpid"]} - {0})
        for time, pid in (("stime", "lspid"), ("rtime", "lrpid")):
            if self.row[time] and not self.row[pid]:
                self.free = self.free and None
                self.evidence = "one of those that used it last is in another container"

    def _last_users(self, pids: set[int]) -> None:
        living = sorted(pid for pid in pids if alive(pid))
        if living:
            self.free = False
            self.evidence = f"process {living[0]}, one of the last to use it, is alive"
        elif pids:
            self.free = True
            self.evidence = "those that used it last have ended: " + ", ".join(
                f"process {pid}" for pid in sorted(pids)[:4]
            )
        else:
            self.evidence = "nobody has ever used it, and the kernel does not note who made it"

    def remove(self, force: bool = False) -> None:
        id = self._address.id or 0
        if self._kind == "segment":
            if not force and sysv.shmctl(id, sysv.IPC_STAT).nattch:
                raise OSError(errno.EBUSY, "somebody has just attached it")
            # Attached after that: it stays for those, without its key.
            sysv.shmctl(id, sysv.IPC_RMID)
        elif self._kind == "semaphores":
            sysv.semctl(id, 0, sysv.IPC_RMID)
        else:
            sysv.msgctl(id, sysv.IPC_RMID)


def _channel_lives(key: int) -> bool:
    """Whether anybody has one of the objects that a channel has beside its queues."""
    for number in (key & 0xFFFFFFFF, key & 0xFFFFFFFF ^ 0x80000000):
        start = f"isthmus.channel.sysv.{number:#x}."
        for name in os.listdir(DIRECTORY):
            if name.startswith(start):
                try:
                    fd = memory.open_file(os.fsencode(f"{DIRECTORY}/{name}"), True)
                except FileNotFoundError:
                    continue
                except OSError:
                    return True
                if memory.bytes_held(fd.fileno(), PRESENCE_BYTE, 1, 1)[0]:
                    return True
    return False


def _named(path: str) -> os.stat_result:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        raise Vanished(path) from None


def claim(shared: SharedObject, users: Users) -> Claim:
    """The claim to an object, as it is now: it may be another one than was looked at."""
    path = shared.path or ""
    if shared.family == "sysv":
        return SysvClaim(shared, users)
    if shared.family == "mqueue":
        return QueueClaim(shared, users)
    if shared.kind == "socket":
        return SocketClaim(path)
    if shared.kind == "draft":
        return DraftClaim(path)
    if shared.family == "posix":
        return FileClaim(path, users)
    if shared.kind == "array":
        # Those who list the objects open it for a moment.
        return FileClaim(path, users, _lease.PATIENCE)
    return TypedClaim(path, _sound(path))


def _sound(path: str) -> bool:
    """Whether it is known for sure by which lock its living are told."""
    try:
        with Observed(path) as observed:
            return not _typed.read(observed).problems
    except OSError:
        return False
