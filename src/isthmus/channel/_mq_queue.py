"""POSIX message queues by their names: opening them, and those of one who listens."""

from __future__ import annotations

import errno
import fcntl
import os

from isthmus import posix
from isthmus.channel import _presence
from isthmus.errors import (
    AccessError,
    ArgumentError,
    InUseError,
    IsthmusError,
    MismatchError,
    NameInvalidError,
    OwnerError,
    SystemCallError,
    UnsupportedError,
)

LIMITS = "/proc/sys/fs/mqueue"
BACK = ".back"
_NAME_MAX = 255
#: The byte that is held by whoever receives from a queue: see `_presence`.
RECEIVES = 0
#: Somebody who listens, and stops, again and again may remove a queue that was just opened.
TRIES = 1000


def limit(name: str) -> int:
    try:
        with open(f"{LIMITS}/{name}", "rb") as file:
            return int(file.read())
    except OSError:
        return {"msg_default": 10, "msg_max": 10, "queues_max": 256}.get(name, 8192)


def attributes_of(messages: int | None, size: int | None) -> posix.MqAttr | None:
    """For a new queue; None: what the system makes of it."""
    if messages is None and size is None:
        return None
    return posix.MqAttr(
        min(limit("msg_default"), limit("msg_max")) if messages is None else messages,
        min(limit("msgsize_default"), limit("msgsize_max")) if size is None else size,
    )


def _failed(error: OSError, name: str, attributes: posix.MqAttr | None) -> Exception:
    """What a failed mq_open means."""
    if error.errno == errno.EACCES:
        return AccessError(
            f"the message queue {name} may not be used by this user; see its owner and mode",
            name=name,
        )
    if error.errno in (errno.EINVAL, errno.EOVERFLOW) and attributes is not None:
        return ArgumentError(
            f"{attributes.maxmsg} messages of {attributes.msgsize} bytes are more than the system "
            f"allows: {limit('msg_max')} ({LIMITS}/msg_max) of {limit('msgsize_max')} "
            "(msgsize_max)",
            name=name,
        )
    if error.errno == errno.EMFILE:
        return SystemCallError(
            f"no room for the message queue {name}: all queues of a user together may take "
            "RLIMIT_MSGQUEUE bytes (ulimit -q), or this process has too many files open; ask for "
            "less by messages= and size=, or remove queues that nobody needs",
            name=name, errno=error.errno,
        )  # fmt: skip
    if error.errno == errno.ENOSPC:
        return SystemCallError(
            f"no room for the message queue {name}: the system has {limit('queues_max')} "
            f"({LIMITS}/queues_max); remove some that nobody needs",
            name=name, errno=error.errno,
        )  # fmt: skip
    if error.errno == errno.ENOSYS:
        return UnsupportedError("this kernel has no POSIX message queues", name=name)
    return error


def opened(
    name: str, way: int, mode: int, attributes: posix.MqAttr | None
) -> tuple[posix.MessageQueue, bool]:
    """The queue, and whether it was made now."""
    way |= posix.O_NONBLOCK
    for _ in range(TRIES):
        try:
            queue = posix.mq_open(name, way | posix.O_CREAT | posix.O_EXCL, mode, attributes)
        except FileExistsError:
            pass
        except OSError as error:
            raise _failed(error, name, attributes) from None
        else:
            os.fchmod(queue.fileno(), mode)
            return queue, True
        try:
            return posix.mq_open(name, way), False
        except FileNotFoundError:
            continue  # it was removed in between
        except OSError as error:
            raise _failed(error, name, None) from None
    raise unsteady(name)


def unsteady(name: str) -> IsthmusError:
    return InUseError(f"the message queue {name} is made and removed all the time", name=name)


def names(where: str) -> tuple[str, str]:
    if not where.startswith("/") or "/" in where[1:] or len(where) < 2:
        raise NameInvalidError(
            f"{where[:80]!r} is no name of a message queue; write mq:/NAME, with no other slash",
            name=where,
        )
    if len(os.fsencode(where + BACK)) > _NAME_MAX + 1:
        raise NameInvalidError(
            f"{where[:80]!r}… is too long: {_NAME_MAX - len(BACK)} bytes at most", name=where
        )
    return where, where + BACK


def named(queue: posix.MessageQueue) -> bool:
    return os.fstat(queue.fileno()).st_nlink > 0


class Place:
    """Both queues of one who listens, and their names, which go with it."""

    def __init__(self, where: str, url: str, mode: int, attributes: posix.MqAttr | None) -> None:
        self._names = names(where)
        self._pid = os.getpid()
        self._queues: list[posix.MessageQueue] = []
        self._new: list[tuple[str, posix.MessageQueue]] = []
        try:
            for _ in range(TRIES):
                first = self._take(self._names[0], mode, attributes)
                try:
                    fcntl.flock(first.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise InUseError(
                        f"somebody listens on {url} already; choose another name", name=url
                    ) from None
                # Not if the one who held it before was just about to leave.
                if named(first):
                    _presence.hold(first.fileno(), RECEIVES)
                    break
                self._close()
            else:
                raise unsteady(where)
            self._take(self._names[1], mode, attributes)
        except BaseException:
            for name, queue in self._new:
                discard(name, queue)
            self._close()
            raise

    def _take(self, name: str, mode: int, attributes: posix.MqAttr | None) -> posix.MessageQueue:
        queue, new = opened(name, posix.O_RDONLY, mode, attributes)
        self._queues.append(queue)
        if new:
            self._new.append((name, queue))
            return queue
        status = os.fstat(queue.fileno())
        if status.st_uid != os.geteuid():
            raise OwnerError(
                f"the message queue {name} belongs to the user {status.st_uid}, who would hear "
                "what is sent; choose another name",
                name=name,
            )
        found = posix.mq_getattr(queue)
        if attributes and (found.maxmsg, found.msgsize) != (attributes.maxmsg, attributes.msgsize):
            raise MismatchError(
                f"the message queue {name} is there, with room for {found.maxmsg} messages of "
                f"{found.msgsize} bytes; leave messages= and size= out, or remove it, with what "
                f"is in it, by isthmus.posix.mq_unlink({name!r})",
                name=name,
            )
        if status.st_mode & 0o7777 != mode:
            os.fchmod(queue.fileno(), mode)
        return queue

    def leave(self) -> None:
        if self._pid == os.getpid():
            for name, queue in zip(self._names, self._queues, strict=True):
                _unlink(name, queue)
        self._close()

    def _close(self) -> None:
        self._new.clear()
        while self._queues:
            posix.mq_close(self._queues.pop())


def discard(name: str, queue: posix.MessageQueue) -> None:
    """Remove a queue that was made for nothing, unless somebody has sent something to it."""
    if not posix.mq_getattr(queue).curmsgs:
        _unlink(name, queue)


def _unlink(name: str, queue: posix.MessageQueue) -> None:
    """Remove the name, if it still stands for this queue."""
    try:
        there = posix.mq_open(name, posix.O_RDONLY)
        try:
            if os.path.sameopenfile(there.fileno(), queue.fileno()):
                posix.mq_unlink(name)
        finally:
            posix.mq_close(there)
    except OSError:
        pass  # somebody has removed it, or made it unreadable for us
