"""Everything that is no typed object: what other libraries and programs share, and what channels
of isthmus leave in the directory of shared memory."""

from __future__ import annotations

import errno
import os
import socket
import stat
from types import MappingProxyType

from isthmus._core import memory
from isthmus.inspect._address import DRAFT_PREFIX, PREFIX, SOCKET_PREFIX, Address
from isthmus.inspect._model import NOTHING, Problem, SharedObject, of_file
from isthmus.inspect.looking._observed import DIRECTORY, Observed, Vanished
from isthmus.inspect.others import _libraries, _mqueue, _sysv
from isthmus.inspect.others._processes import Users, listening, mqueue_mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: What its maker locks as long as it works on a draft (os_linux.c).
DRAFT_BYTE = 1 << 62


def foreign_objects(users: Users) -> list[SharedObject]:
    """All of them, in no order. Reads only; what goes away meanwhile is left out."""
    found = _sysv.sysv_objects(users) + _mqueue.mqueue_objects(users)
    try:
        entries = list(os.scandir(DIRECTORY))
    except OSError:
        return found
    bound = listening()
    for entry in entries:
        try:
            made = _of_file(entry.name, entry.stat(follow_symlinks=False), users, bound)
        except (OSError, Vanished):
            continue
        if made is not None:
            found.append(made)
    return found


def foreign_object(address: Address, users: Users) -> SharedObject:
    """One of them. `Vanished` when there is none, `OSError` when it may not be looked at."""
    if address.family == "sysv":
        return _sysv.sysv_object(address, users)[0]
    if address.family == "mqueue":
        return _mqueue.mqueue_object(address, users)
    path = address.path or ""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        raise Vanished(path) from None
    made = _of_file(os.path.basename(path), status, users, listening())
    if made is None:
        raise Vanished(path)
    return made


def notes(users: Users) -> tuple[Problem, ...]:
    """What a look at everything could not see, and why."""
    found = []
    if users.unseen:
        found.append(
            Problem(
                "note",
                f"{users.unseen} {'process' if users.unseen == 1 else 'processes'} of others could "
                "not be looked at, so whether an object is used is not always known.",
                "Look as root to see all.",
            )
        )
    if users.hidden:
        found.append(
            Problem(
                "note",
                "Processes of other containers, or hidden ones, may use these objects as well.",
                "Look outside of the container, as root, to see all.",
            )
        )
    if not mqueue_mounts():
        found.append(_mqueue.NOT_LISTED)
    return tuple(found)


def details(shared: SharedObject) -> Mapping[str, object]:
    """What there is to know beyond what all objects have; empty when it may not be read."""
    address = Address.parse(shared.address)
    try:
        if shared.family == "sysv":
            _, row = _sysv.sysv_object(address, Users())
            return MappingProxyType(_sysv.details(shared.kind, row))
        if shared.kind == "semaphore" and shared.path:
            return semaphore(shared.path)
        if shared.family == "mqueue":
            status = os.stat(shared.path) if shared.path else None
            found = status and _mqueue.attributes_of(shared.name, status)
            if found:
                return MappingProxyType({"maxmsg": found.maxmsg, "msgsize": found.msgsize})
    except (OSError, Vanished):
        pass
    return NOTHING


def semaphore(path: str) -> Mapping[str, object]:
    """Of a named semaphore, as the GNU C library has it on 64 bits: its value and who waits."""
    with Observed(path) as observed:
        if observed.size != 32:
            return NOTHING
        word = int.from_bytes(observed.read(0, 8), "little")
    return MappingProxyType({"value": word & 0xFFFFFFFF, "waiters": word >> 32})


def answers(path: str) -> bool | None:
    """Whether anybody has bound the socket, in whatever namespace; None: it may not be asked.

    A datagram socket cannot connect to one for streams, and so does not disturb it: the kernel
    says that there is one, of the wrong type.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except FileNotFoundError:
            raise Vanished(path) from None
        except OSError as error:
            return True if error.errno == errno.EPROTOTYPE else None
    return True


def _of_file(
    name: str, status: os.stat_result, users: Users, bound: Mapping[str, int]
) -> SharedObject | None:
    """None: a typed object, or a folder, link or socket of others."""
    path = f"{DIRECTORY}/{name}"
    if stat.S_ISSOCK(status.st_mode):
        return _socket(path, status, users, bound) if name.startswith(SOCKET_PREFIX) else None
    if not stat.S_ISREG(status.st_mode) or (name.startswith(PREFIX) and _typed(name)):
        return None
    if name.startswith(DRAFT_PREFIX):
        return _draft(path, status, users)
    having = users.of(status)
    return of_file(
        path,
        status,
        family="posix",
        kind="semaphore" if name.startswith("sem.") else "segment",
        name=f"/{name}",
        address=f"posix:{name}",
        library=_libraries.library(name),
        created=None,
        users=having,
        in_use=True if having else False if users.complete else None,
    )


def _typed(name: str) -> bool:
    """Whether an object of isthmus can be called so."""
    try:
        memory.unescape(os.fsencode(name))
    except OSError:
        return False
    return True


def _draft(path: str, status: os.stat_result, users: Users) -> SharedObject:
    name, having = os.path.basename(path), users.of(status)
    marked: bool | None = None
    try:
        with Observed(path) as observed:
            marked = observed.held(DRAFT_BYTE)[0]
    except OSError:
        pass  # it may not be asked whether somebody is still at work on it
    return of_file(
        path,
        status,
        family="isthmus",
        kind="draft",
        name=name,
        address=f"posix:{name}",
        library="isthmus",
        created=None,
        users=having,
        in_use=True if having else marked,
    )


def _socket(
    path: str, status: os.stat_result, users: Users, bound: Mapping[str, int]
) -> SharedObject | None:
    escaped = PREFIX + os.path.basename(path).removeprefix(SOCKET_PREFIX)
    try:
        name = os.fsdecode(memory.unescape(os.fsencode(escaped)))
    except OSError:
        return None  # not a name that a channel makes
    return SharedObject(
        family="isthmus",
        kind="socket",
        name=name,
        address=f"socket:{name}",
        library="isthmus",
        path=path,
        size=0,
        resident=None,
        uid=status.st_uid,
        gid=status.st_gid,
        mode=status.st_mode & 0o7777,
        created=None,
        changed=max(status.st_mtime, status.st_ctime),
        users=users.sockets.get(path, ()),
        in_use=True if path in bound else answers(path),
    )
