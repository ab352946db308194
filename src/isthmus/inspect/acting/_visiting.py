"""Taking part in an object in order to look after it: as a guest, which leaves it as it was."""

from __future__ import annotations

import contextlib
import errno
import os
import time

from isthmus import _arguments, _ending, _explain, _primitive_errors
from isthmus._core import memory, mending
from isthmus.errors import InUseError, UnsupportedError
from isthmus.inspect._address import Address
from isthmus.inspect.looking._observed import Observed, Vanished
from isthmus.inspect.looking._structs import structs
from isthmus.participant import _command, _namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ending.arrange(mending)

ARRAY, SEMAPHORE, BARRIER, RWLOCK, QUEUE, TOPIC = 1, 4, 7, 8, 10, 11
#: Bits of a role.
SUBSCRIBER = 4
_ROLES = {1: "producer", 2: "consumer", 4: "subscriber"}
# How often an object that is being removed is tried again, and seconds between.
_ATTEMPTS, _PAUSE = 50, 0.002


def typed_address(address: str | Address, doing: str) -> Address:
    """UnsupportedError for what is not an object of isthmus."""
    where = address if isinstance(address, Address) else Address.parse(address)
    if where.family != "isthmus" or where.kind is not None:
        raise UnsupportedError(
            f"{str(where)!r} is not an object of isthmus like a queue or a lock, so it cannot be "
            f"{doing}",
            name=where.name,
        )
    return where


def opening(error: OSError, where: Address) -> Exception:
    """Why it cannot be opened: to be raised."""
    if error.errno == errno.ENOENT:
        return where.missing()
    path = os.fsencode(where.path or "")
    return _explain.opening(
        error, f"{str(where)!r}", where.name, path, "it takes its owner, or root"
    )


class Visit:
    """A guest in an object, and what is known of those that it meets."""

    def __init__(self, where: Address, kind: int, guest: mending.Guest) -> None:
        self.where, self.kind, self.guest = where, kind, guest
        self.what = f"{_primitive_errors.NOUNS[kind]} {str(where)!r}"

    def participants(self) -> list[Facts]:
        """All but the guest."""
        return [Facts(*facts) for facts in self.guest.participants() if facts[0] != self.guest.slot]

    def holder(self, doing: str) -> InUseError:
        """The error for a lock that another one has for too long."""
        owners = dict(zip(("producers'", "consumers'"), self.guest.lock_owners(), strict=True))
        there = {one.slot: one for one in self.participants()}
        for which, slot in owners.items():
            if slot in there:
                held = f"{there[slot].text} has its {which} lock"
                break
        else:
            held = "another process has one of its locks"
        return InUseError(
            f"{self.what} could not be {doing}: {held}, and was not done with it in time; it may "
            "be stopped, or fill a loan: let it go on, or end it, and do this again",
            name=self.where.name,
        )


class Facts:
    """A participant, as the table has it."""

    def __init__(
        self,
        slot: int,
        pid: int,
        namespace: int,
        joined_ns: int,
        share: int,
        alive: bool,
        role: int,
    ) -> None:
        self.slot, self.pid, self.joined_ns = slot, pid, joined_ns
        self.share, self.alive, self.role = share, alive, role
        here = alive and namespace == _namespace()
        self.command = _command(pid) if here else None

    @property
    def text(self) -> str:
        """Who it is, for a sentence."""
        return f"process {self.pid}" + (f" ({self.command})" if self.command else "")

    @property
    def roles(self) -> str:
        return " and ".join(name for bit, name in _ROLES.items() if self.role & bit)


def kind_of(where: Address) -> int:
    """As its header says; 0: it does not. Raises `NotFoundError`, `AccessError`."""
    try:
        with Observed(where.path or "") as observed:
            header = structs()["header"]
            if observed.size < header.size:
                return 0
            kind = header.read(observed.read(0, header.size))["kind"]
    except Vanished:
        raise where.missing() from None
    except OSError as error:
        raise opening(error, where) from None
    return kind if kind in _primitive_errors.NOUNS else 0


@contextlib.contextmanager
def visiting(where: Address) -> Iterator[Visit]:
    """Take part in it. Raises as attaching to it does; whoever it belongs to."""
    kind = kind_of(where)
    path = os.fsencode(where.path or "")
    what = f"{_primitive_errors.NOUNS.get(kind, 'object')} {str(where)!r}"
    guest = mending.Guest()
    for attempt in range(_ATTEMPTS):
        try:
            _enter(guest, kind, path)
            break
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise where.missing() from None
            if error.errno == errno.EAGAIN and kind and attempt < _ATTEMPTS - 1:
                time.sleep(_PAUSE)  # somebody is removing it
                continue
            if not kind:
                error = OSError(errno.EBADMSG, "")
            raise _primitive_errors.opening(error, what, where.name, path, kind or 1) from None
    with guest:
        yield Visit(where, kind, guest)


def _enter(guest: mending.Guest, kind: int, path: bytes) -> None:
    if kind != ARRAY:
        guest.visit(path, kind, _arguments.OWNER_ANY)
        return
    descriptor, mapping = memory.attach(path, False, _arguments.OWNER_ANY)
    with contextlib.closing(descriptor):
        lock = memory.read_array(mapping)[5]
        guest.visit_lock(mapping, mapping.address, mapping.size, descriptor.fileno(), lock)
