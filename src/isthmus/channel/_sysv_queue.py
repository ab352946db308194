"""System V queues that wake their receivers, what is opened beside them, and how they go.

A queue has no descriptor, and its calls no timeout. So beside each queue there are two events of
this library: `there`, something has come; `room`, something has gone. Receiver and sender do:

      receives                                sends
        R1  look (msgrcv); if it is empty:      S1  put it (msgsnd); if it is full: as R1 to R4,
        R2  clear `there`                           with `room`
        R3  look again; if it got one:          S2  set `there`
            set `there`
        R4  sleep until `there` is set
        R5  having got one: set `room`

sync: there, room. Why no wake-up is lost: say that a message is in the queue, and that nobody is
between S1 and S2, or R2 and R3. Then `there` is set. Look at the last clearing, R2. If the look
R3 after it found nothing, the message was put later, and its S2 came later still. If it found
something, R3 has set `there`. So a message and a cleared `there` go together only
for as long as somebody is at one of those steps, who will set it, or finds the queue empty. That
holds for any number of both. `room` is the same, with places for messages, each of which is given
back by R5. Set for nothing, it costs one look.

Somebody who is killed at one of those steps does not set it; and a program that knows nothing of
events never does. Hence whoever waits looks every `LOOK` seconds anyway.

With a key, the events are named ``channel.sysv.KEY.…``; they go with the last one who has them
open. Who connects holds the read side of a lock, so that it is known whether anybody is.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager

from isthmus import sysv
from isthmus.errors import (
    AccessError,
    InUseError,
    NameInvalidError,
    NotFoundError,
    OwnerError,
    SystemCallError,
    UnsupportedError,
)
from isthmus.event import Event
from isthmus.lock import Lock
from isthmus.rwlock import RWLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds after which one who waits looks for itself.
LOOK = 0.05
#: What msgrcv and msgsnd say when the queue is no longer there.
REMOVED = (errno.EIDRM, errno.EINVAL)
# The other direction has the key with this bit the other way round.
_BACK = 0x80000000
_KEY_MAX = 0xFFFFFFFF
# For ftok(3).
_PROJECT = ord("i")
# To take a lock from one who died, before a look whether that one is alive; and from one who is
# just opening, or stopped there.
_PATIENCE, _LONG_PATIENCE = 0.02, 1.0


def limit(name: str) -> int:
    try:
        with open(f"/proc/sys/kernel/{name}", "rb") as file:
            return int(file.read())
    except OSError:
        return {"msgmax": 8192, "msgmnb": 16384}.get(name, 32000)


class Queue:
    """One direction: a queue and its events."""

    def __init__(self, id: int, there: Event, room: Event) -> None:
        self.id, self.there, self.room = id, there, room
        self._size = limit("msgmax")

    def put(self, data: memoryview | bytes) -> bool:
        """S1 and S2. False: there is no room, and `room` will be set. OSError (REMOVED)."""
        if not self._put(data):
            self.room.clear()
            if not self._put(data):
                return False
            self.room.set()
        # Dies here: it is there; a receiver that sleeps finds it when it looks for itself.
        self.there.set()
        return True

    def _put(self, data: memoryview | bytes) -> bool:
        try:
            sysv.msgsnd(self.id, 1, data, sysv.IPC_NOWAIT)
        except BlockingIOError:
            return False
        return True

    def get(self) -> bytes | None:
        """R1 to R3, and R5. None: there is none, and `there` will be set. OSError (REMOVED)."""
        message = self._get()
        if message is None:
            self.there.clear()
            message = self._get()
            if message is None:
                return None
            self.there.set()
        # Dies here: a sender that sleeps finds room when it looks for itself.
        self.room.set()
        return message

    def _get(self) -> bytes | None:
        while True:
            try:
                # Of any type: those of foreign programs have what these like.
                return sysv.msgrcv(self.id, self._size, 0, sysv.IPC_NOWAIT)[1]
            except OSError as error:
                if error.errno == errno.ENOMSG:
                    return None
                # The limit was raised since.
                if error.errno != errno.E2BIG:
                    raise
                self._size *= 2

    def wake(self) -> None:
        self.there.set()
        self.room.set()

    @property
    def removed(self) -> bool:
        try:
            sysv.msgctl(self.id, sysv.IPC_STAT)
        except OSError as error:
            return error.errno in REMOVED
        return False

    @property
    def empty(self) -> bool:
        try:
            return sysv.msgctl(self.id, sysv.IPC_STAT).qnum == 0
        except OSError:
            return True

    def remove(self) -> None:
        _remove(self.id)
        self.wake()

    def close(self) -> None:
        self.there.close()
        self.room.close()


def _remove(id: int) -> None:
    try:
        sysv.msgctl(id, sysv.IPC_RMID)
    except OSError:
        pass  # somebody has done so, or it is another user's


# ---- Keys ------------------------------------------------------------------------------


class Address:
    """A key, and what is opened with it."""

    def __init__(self, where: str) -> None:
        self.url = f"sysv:{where}"
        if "/" in where:
            try:
                self._key = sysv.ftok(where, _PROJECT) & _KEY_MAX
            except OSError as error:
                raise NotFoundError(
                    f"sysv:{where}: a key is made of a file that exists: {error.strerror}",
                    name=where, errno=error.errno,
                ) from None  # fmt: skip
        else:
            try:
                self._key = int(where, 0)
            except ValueError:
                self._key = -1
            if not 0 < self._key <= _KEY_MAX or self._key == _BACK:
                raise NameInvalidError(
                    f"{where[:80]!r} is no key of a queue; write a number such as 0x1234 (not 0 or "
                    f"{_BACK:#x}), or the path of a file that exists",
                    name=where,
                )
            self.url = f"sysv:{self._key:#x}"

    def name(self, what: str) -> str:
        return f"channel.sysv.{self._key:#x}.{what}"

    def key(self, back: bool) -> int:
        """As the system takes it: of 32 bits, the highest is the sign."""
        key = self._key ^ (_BACK if back else 0)
        return key - (1 << 32) if key & _BACK else key

    @contextmanager
    def opening(self, mode: int) -> Iterator[None]:
        """One at a time opens, or removes, both queues: else one may have an old, one a new one."""
        if sys.is_finalizing():
            yield  # too late for anything that imports
            return
        lock = Lock(self.name("opening"), mode=shared(mode), owner="any", on_owner_death="ignore")
        # Not for ever: a signal handler may close a channel in the middle of this.
        taken = lock.acquire(timeout=_LONG_PATIENCE)
        try:
            yield
        finally:
            if taken:
                lock.release()
            lock.close()

    def queue(self, back: bool, id: int, mode: int) -> Queue:
        stem = "back" if back else "to"
        opened = []
        try:
            for what in ("there", "room"):
                opened.append(Event(self.name(f"{stem}.{what}"), mode=shared(mode), owner="any"))
            return Queue(id, *opened)
        except BaseException:
            for event in opened:
                event.close()
            raise

    def clients(self, mode: int) -> RWLock:
        """Who is connected holds the read side of it."""
        return RWLock(self.name("client"), mode=shared(mode), owner="any")

    def has_clients(self, mode: int) -> bool:
        if sys.is_finalizing():
            return True
        clients = self.clients(mode)
        try:
            return bool(clients.readers())
        finally:
            clients.close()

    def id(self, back: bool, access: int = 0) -> int | None:
        """The id of the queue; None: there is none. AccessError: not for `access`."""
        try:
            return sysv.msgget(self.key(back), access)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(error) from None

    def made(self, back: bool, mode: int) -> int:
        """A new one, which must not be there."""
        try:
            return sysv.msgget(self.key(back), sysv.IPC_CREAT | sysv.IPC_EXCL | mode)
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> Exception:
        if error.errno == errno.EACCES:
            return AccessError(
                f"{self.url}: the queue may not be used by this user; see its owner and mode",
                name=self.url,
            )
        if error.errno == errno.ENOSPC:
            return SystemCallError(
                f"{self.url}: the system has as many message queues as /proc/sys/kernel/msgmni "
                f"allows ({limit('msgmni')}); remove some that nobody needs (ipcs -q, ipcrm -q ID)",
                name=self.url, errno=error.errno,
            )  # fmt: skip
        if error.errno == errno.ENOSYS:
            return UnsupportedError("this kernel has no System V message queues", name=self.url)
        return error


def shared(mode: int) -> int:
    """Who may do anything with a queue waits, and wakes others: reads and writes an event."""
    return sum(0o6 << shift for shift in (0, 3, 6) if mode >> shift & 0o6)


# ---- The side that listens -------------------------------------------------------------


class Place:
    """Both queues of one who listens, until that and its channel are closed."""

    def __init__(self, address: Address, mode: int) -> None:
        self._address, self._mode = address, mode
        self._pid = os.getpid()
        self._users = 1
        self._lock = Lock(address.name("listener"), mode=mode | 0o600, on_owner_death="ignore")
        try:
            while not self._lock.acquire(timeout=_PATIENCE):
                owner = self._lock.owner
                if owner is not None and owner.alive:
                    raise InUseError(
                        f"somebody listens on {address.url} already; choose another key",
                        name=address.url,
                    )
            try:
                with address.opening(mode):
                    self._open()
            except BaseException:
                self._lock.release()
                raise
        except BaseException:
            self._lock.close()
            raise

    def _open(self) -> None:
        address, mode = self._address, self._mode
        to, back = address.id(False), address.id(True)
        if to is None and back is not None:
            # A listener before has left it to those who were to receive what is in it: it is not
            # for those who come now.
            _owned(back, address)
            sysv.msgctl(back, sysv.IPC_RMID)
            back = None
        for id in (to, back):
            if id is not None:
                _owned(id, address, mode)
        to = address.made(False, mode) if to is None else to
        back = address.made(True, mode) if back is None else back
        self._ids = to, back

    def queues(self) -> tuple[Queue, Queue]:
        """For a channel: the one to receive from, and the one to send to."""
        to = self._address.queue(False, self._ids[0], self._mode)
        try:
            back = self._address.queue(True, self._ids[1], self._mode)
        except BaseException:
            to.close()
            raise
        self._users += 1
        return to, back

    def leave(self) -> None:
        self._users -= 1
        if self._users:
            return
        if self._pid == os.getpid():
            try:
                self._remove()
            finally:
                self._lock.release()
        self._lock.close()

    def _remove(self) -> None:
        address = self._address
        if sys.is_finalizing():
            # Those who wait look for themselves.
            _remove(self._ids[0])
            return
        with address.opening(self._mode):
            to = address.queue(False, self._ids[0], self._mode)
            back = address.queue(True, self._ids[1], self._mode)
            to.remove()
            if not address.has_clients(self._mode) or back.empty:
                back.remove()
            # Else by the last of those, or by the first to find that it has received all.
            back.wake()
            to.close()
            back.close()


def _owned(id: int, address: Address, mode: int | None = None) -> None:
    """Refuse a queue of somebody else, and give it the mode that was asked for."""
    found = sysv.msgctl(id, sysv.IPC_STAT)
    if found.perm.uid != os.geteuid():
        raise OwnerError(
            f"the queue at {address.url} belongs to the user {found.perm.uid}, who would hear what "
            "is sent; choose another key",
            name=address.url,
        )
    if mode is not None and found.perm.mode & 0o777 != mode:
        sysv.msgctl(id, sysv.IPC_SET, found._replace(perm=found.perm._replace(mode=mode)))
