"""POSIX message queues, where they are files: the kernel lists them nowhere else."""

from __future__ import annotations

import contextlib
import os

from isthmus import posix
from isthmus.inspect._address import Address
from isthmus.inspect._model import Problem, SharedObject
from isthmus.inspect.looking._observed import Vanished
from isthmus.inspect.others._processes import mqueue_mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect.others._processes import Users

# Not to wait where somebody holds a lease, see `_lease`.
_LOOKING = os.O_RDONLY | os.O_NONBLOCK
#: For those who ask for all of them, where they cannot be listed.
NOT_LISTED = Problem(
    "note",
    "POSIX message queues are not listed: no file system of the kind mqueue is mounted here.",
    "Mount it, as root: mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue.",
)


def mqueue_objects(users: Users) -> list[SharedObject]:
    """All of them, if they are files anywhere; see `listed`."""
    found: dict[tuple[int, int], SharedObject] = {}
    for folder in mqueue_mounts():
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            with contextlib.suppress(OSError, Vanished):
                status = entry.stat(follow_symlinks=False)
                address = Address("mqueue", "messages", f"/{entry.name}")
                # The file system may be mounted in several places.
                key = status.st_dev, status.st_ino
                if key not in found:
                    found[key] = _shared(address, entry.path, status, users)
    return list(found.values())


def mqueue_object(address: Address, users: Users) -> SharedObject:
    """One of them, whether or not they are files. `Vanished`, or `OSError` if it may not be read
    and is no file anywhere."""
    for folder in mqueue_mounts():
        path = f"{folder}{address.name}"
        with contextlib.suppress(OSError):
            return _shared(address, path, os.lstat(path), users)
    try:
        queue = posix.mq_open(address.name, _LOOKING)
    except FileNotFoundError:
        raise Vanished(str(address)) from None
    try:
        status = os.fstat(queue.fileno())
    finally:
        posix.mq_close(queue)
    return _shared(address, None, status, users)


def _shared(
    address: Address, path: str | None, status: os.stat_result, users: Users
) -> SharedObject:
    attributes = attributes_of(address.name, status)
    having = users.of(status)
    return SharedObject(
        family="mqueue",
        kind="messages",
        name=address.name,
        address=str(address),
        library=None,
        path=path,
        size=0 if attributes is None else attributes.maxmsg * attributes.msgsize,
        resident=None,
        uid=status.st_uid,
        gid=status.st_gid,
        mode=status.st_mode & 0o7777,
        created=None,
        # Sending and receiving, and asking by read(), set these.
        changed=max(status.st_mtime, status.st_ctime),
        depth=None if attributes is None else attributes.curmsgs,
        users=having,
        in_use=True if having else False if users.complete and path else None,
    )


def attributes_of(name: str, status: os.stat_result) -> posix.MqAttr | None:
    """How large it is and what is in it; None when it may not be read, or is another one.

    Asked by a call that changes nothing, unlike a read of its file, which sets its times.
    """
    try:
        queue = posix.mq_open(name, _LOOKING)
    except OSError:
        return None
    try:
        found = os.fstat(queue.fileno())
        # The file system may be that of another IPC namespace.
        if (found.st_dev, found.st_ino) != (status.st_dev, status.st_ino):
            return None
        return posix.mq_getattr(queue)
    finally:
        posix.mq_close(queue)
