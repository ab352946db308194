"""Messages in a stream of bytes: each behind its length, as `multiprocessing.connection` has it.

A length is four bytes, the highest first; of a message of 2 GiB or more it is -1, and then its
length in eight. So the other side may as well be a `multiprocessing.connection.Connection`.

Killed while sending: the stream ends within a message, which is dropped, since nobody can be
given half of one. What had gone before it arrives.
"""

from __future__ import annotations

import errno
import os
import select
import struct

from isthmus._ring_errors import MessageTooLargeError
from isthmus.channel._base import Channel
from isthmus.channel._errors import EndOfChannel, PeerGoneError, ProtocolError, TimedOut
from isthmus.channel._waiting import deadline_of, octets
from isthmus.errors import ClosedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from typing_extensions import Buffer

#: Bytes that a message may have unless `limit` says otherwise.
LIMIT = 256 << 20

_SHORT = struct.Struct("!i")
_LONG = struct.Struct("!iQ")
_SHORT_MAX = 0x7FFFFFFF
# A message up to here is copied behind its length, and goes with it in one call.
_JOINED = 16384
# What is read at once when nobody knows how much there is.
_AHEAD = 65536
# For send_many: how much is put together.
_BATCH = 65536


def head_of(size: int) -> bytes:
    return _SHORT.pack(size) if size <= _SHORT_MAX else _LONG.pack(-1, size)


class _Sending:
    """A message on its way: what is left of it, and whether any of it has gone."""

    __slots__ = ("begun", "parts")

    def __init__(self, parts: list[memoryview | bytes]) -> None:
        self.parts = parts
        self.begun = False


class StreamChannel(Channel):
    """A channel over two descriptors, or one, that carry bytes. Neither blocks.

    `_limit` may change from one message to the next, for what is received.
    """

    def __init__(self, url: str, source: int, sink: int, limit: int) -> None:
        self._source, self._sink = source, sink
        self._limit = limit
        self._joined = min(limit, _JOINED)
        # What was read and not given yet: from `_at` on.
        self._buffer = b""
        self._at = 0
        # A message of which the length is known, and how much of it is there.
        # It may be what `recv_into` was given.
        self._body: bytearray | memoryview | None = None
        self._filled = 0
        # What a message that timed out has left; it goes before anything else.
        self._rest: list[memoryview | bytes] = []
        self._ahead = True
        self._both = -1
        self._full = -1
        super().__init__(url)

    @property
    def largest(self) -> int:
        return self._limit

    def _in(self) -> tuple[int, int]:
        return self._source, select.POLLIN

    def _out(self) -> tuple[int, int]:
        return self._sink, select.POLLOUT

    def _release(self) -> None:
        for descriptor in {self._source, self._sink, self._both, self._full} - {-1}:
            os.close(descriptor)
        self._source = self._sink = self._both = self._full = -1

    # ---- Sending -------------------------------------------------------------------------

    def send(self, data: Buffer, timeout: float | None = None) -> None:
        # What is usual, in a few steps: bytes that go in one call, and nobody else who sends.
        if type(data) is not bytes or len(data) > self._joined or not self._writing.acquire(False):
            return super().send(data, timeout)
        begun = False
        try:
            if not self._rest and not self._closed and self._sink >= 0:
                frame = _SHORT.pack(len(data)) + data
                written = os.write(self._sink, frame)
                if written == len(frame):
                    return None
                self._rest = [frame[written:]]
                begun = True
        except BlockingIOError:
            pass
        except OSError as error:
            raise self._gone(error) from None
        finally:
            self._writing.release()
            if self._closed:
                self._settle()
        if begun:
            rest = _Sending([])
            rest.begun = True
            try:
                return self._send(rest, deadline_of(timeout))
            except TimedOut as error:
                # Also if another thread has had the lock since, and will send the rest.
                error.begun = True
                raise
        return super().send(data, timeout)

    def _begin(self, data: memoryview | bytes) -> _Sending:
        size = len(data)
        if size > self._limit:
            raise MessageTooLargeError(
                f"a message of {size} bytes is more than the limit of {self._limit}; raise "
                "limit= on both sides, or send it in pieces",
                name=self._url, size=size, capacity=self._limit,
            )  # fmt: skip
        if self._sink < 0:
            self._check()
            raise ClosedError(f"{self!r} can only receive", name=self._url)
        if size <= _JOINED:
            return _Sending([head_of(size) + data])
        return _Sending([head_of(size), data])

    def _try_send(self, message: _Sending) -> bool | None:
        if self._rest and not self._write(self._rest):
            return None
        if not message.parts:
            return True  # it was the rest
        before = len(message.parts), len(message.parts[0])
        done = self._write(message.parts)
        if not done and (len(message.parts), len(message.parts[0])) != before:
            message.begun = True
        return True if done else None

    def _write(self, parts: list[memoryview | bytes]) -> bool:
        """Write what can be written of `parts`, and take it off them. True: all."""
        try:
            while parts:
                written = (
                    os.write(self._sink, parts[0])
                    if len(parts) == 1
                    else os.writev(self._sink, parts)
                )
                while parts and written >= len(parts[0]):
                    written -= len(parts.pop(0))
                if parts and written:
                    parts[0] = memoryview(parts[0])[written:]
        except BlockingIOError:
            return False
        except OSError as error:
            raise self._gone(error) from None
        return True

    def _gone(self, error: OSError) -> Exception:
        """What a failed write or read means."""
        if error.errno in (errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT, errno.ENOTCONN):
            return PeerGoneError(f"nobody receives on {self!r} any more", name=self._url)
        return error

    def _give_up(self, message: _Sending) -> bool:
        if message.begun and message.parts:
            # The caller may change its buffer now.
            self._rest = [bytes(part) for part in message.parts]
        return message.begun

    def send_many(self, messages: Iterable[Buffer], timeout: float | None = None) -> None:
        deadline = deadline_of(timeout)
        done = 0
        together: list[memoryview | bytes] = []
        size = 0
        try:
            for data in messages:
                raw = octets(data)
                if len(raw) > _JOINED:
                    self._send_batch(together, deadline)
                    done, together, size = done + len(together), [], 0
                    self._send(self._begin(raw), deadline)
                    done += 1
                    continue
                together.append(self._begin(raw).parts[0])
                size += len(together[-1])
                if size >= _BATCH:
                    self._send_batch(together, deadline)
                    done, together, size = done + len(together), [], 0
            self._send_batch(together, deadline)
        except TimedOut as error:
            error.done += done
            raise

    def _send_batch(self, frames: list[memoryview | bytes], deadline: float | None) -> None:
        """All of `frames` as one; if time is up, those that have gone, or begun to, are counted."""
        if not frames:
            return
        message = _Sending([b"".join(frames)])
        whole = 0

        def cut() -> bool:
            """Keep what is left of the frame that has gone in part; count those before it."""
            nonlocal whole
            left = len(message.parts[0]) if message.parts else 0
            gone = sum(map(len, frames)) - left
            for frame in frames:
                if gone < len(frame):
                    break
                gone -= len(frame)
                whole += 1
            if gone:
                self._rest = [bytes(frames[whole][gone:])]
            return gone > 0

        try:
            self._locked(
                self._writing, lambda: self._try_send(message), deadline, self._out, "no room", cut
            )
        except TimedOut as error:
            error.done = whole
            raise

    # ---- Receiving -----------------------------------------------------------------------

    def _try_recv(self) -> bytes | None:
        if self._ahead and not self._buffer and self._body is None:
            # What is usual: just one message has come.
            data = self._read(_AHEAD)
            if data is None:
                return None
            if len(data) >= 4:
                size = _SHORT.unpack_from(data)[0]
                if len(data) - 4 == size <= self._limit:
                    return data[4:]
            self._buffer, self._at = data, 0
        message = self._next_message()
        if message is None and self._full >= 0:
            # What is left of that which was read ahead is no message: the descriptor will tell.
            self._end_of_ahead()
        return message

    def _next_message(self) -> bytes | None:
        if self._body is None:
            size = self._next_size()
            if size is None:
                return None
            start = self._at
            if len(self._buffer) - start >= size:
                self._at = start + size
                message = self._buffer[start : self._at]
                if self._at == len(self._buffer):
                    self._drop_buffer()
                return message
            self._begin_body(bytearray(size))
        if not self._fill():
            return None
        body, self._body = self._body, None
        assert body is not None
        return bytes(body)

    def _begin_body(self, body: bytearray | memoryview) -> None:
        """Of a message that is to go there: what of it is in the buffer."""
        part = self._buffer[self._at : self._at + len(body)]
        body[: len(part)] = part
        self._body, self._filled = body, len(part)
        self._at += len(part)
        if self._at == len(self._buffer):
            self._drop_buffer()

    def _try_recv_into(self, view: memoryview) -> int | None:
        if self._body is None:
            size = self._next_size()
            if size is None:
                if self._full >= 0:
                    self._end_of_ahead()
                return None
            self._begin_body(view[:size] if size <= len(view) else bytearray(size))
        if not isinstance(self._body, memoryview):
            return super()._try_recv_into(view)
        if not self._fill():
            if self._full >= 0:
                self._end_of_ahead()
            return None
        body, self._body = self._body, None
        size = len(body)
        body.release()
        return size

    def _detach(self) -> bool:
        body = self._body
        if isinstance(body, memoryview):
            self._body = bytearray(len(body))
            self._body[: self._filled] = body[: self._filled]
            body.release()
        return False

    def _fill(self) -> bool:
        """Read on into the body. True: it is complete."""
        body = self._body
        assert body is not None
        with memoryview(body) as view:
            while self._filled < len(body):
                got = self._read_into(view[self._filled :])
                if got is None:
                    return False
                self._filled += got
        return True

    def _next_size(self) -> int | None:
        """How long the next message is; what is known of it is in the buffer from `_at` on."""
        while True:
            known = len(self._buffer) - self._at
            if known >= 4:
                size: int = _SHORT.unpack_from(self._buffer, self._at)[0]
                if size >= 0:
                    self._at += 4
                    break
                if size != -1:
                    raise self._garbage(f"a length of {size}")
                if known >= 12:
                    (_, size) = _LONG.unpack_from(self._buffer, self._at)
                    self._at += 12
                    break
                wanted = 12 - known
            else:
                wanted = 4 - known
            more = self._read(_AHEAD if self._ahead else wanted)
            if more is None:
                return None
            self._buffer = self._buffer[self._at :] + more
            self._at = 0
        if size > self._limit:
            raise self._garbage(f"a length of {size}, more than the limit of {self._limit}")
        return size

    def _garbage(self, what: str) -> ProtocolError:
        error = ProtocolError(
            f"{self!r} got {what}: the other side is no channel, or has another limit; closed",
            name=self._url,
        )
        self.close()
        return error

    def _read(self, size: int) -> bytes | None:
        try:
            data = os.read(self._source, size)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._end(error) from None
        if not data:
            raise self._end()
        return data

    def _read_into(self, view: memoryview) -> int | None:
        try:
            got: int = os.readv(self._source, [view])
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._end(error) from None
        if not got:
            raise self._end()
        return got

    def _end(self, error: OSError | None = None) -> Exception:
        if self._source < 0:
            return ClosedError(f"{self!r} can only send", name=self._url)
        if error is not None and not isinstance(self._gone(error), PeerGoneError):
            return error
        return EndOfChannel(f"the other end of {self!r} is closed", name=self._url)

    def _drop_buffer(self) -> None:
        self._buffer, self._at = b"", 0
        if self._full >= 0:
            self._end_of_ahead()

    def _end_of_ahead(self) -> None:
        """From now on, the descriptor itself tells."""
        os.close(self._full)
        self._full = -1

    # ---- For another process ------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        self._check()
        left = self._buffer or self._body is not None or self._held is not None
        if left or self._rest:
            raise TypeError(f"{self!r} is in the middle of a message; it cannot be passed on")
        ends = [self._source] if self._source == self._sink else [self._source, self._sink]
        passed = [None if end < 0 else DupFd(end) for end in ends]
        return _passed, (type(self), self._url, passed, self._limit, self._kept())

    def _kept(self) -> tuple[Any, ...]:
        """What `_again` of the class takes, beside what all have."""
        return ()

    @classmethod
    def _again(cls, url: str, source: int, sink: int, limit: int) -> StreamChannel:
        """One that came from another process."""
        return cls(url, source, sink, limit)

    # ---- To be waited for ----------------------------------------------------------------

    def _watched(self) -> int:
        """What was read ahead is no longer in the descriptor; so no more is, from now on.

        While some of it is still to be given, a second descriptor is readable in its place.
        """
        self._ahead = False
        if self._both >= 0:
            return self._both
        if not self._buffer and self._held is None:
            return self._source
        with select.epoll() as epoll:
            epoll.register(self._source, select.EPOLLIN)
            self._full = os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            epoll.register(self._full, select.EPOLLIN)
            self._both = os.dup(epoll.fileno())
        return self._both

    def _fresh_locks(self) -> None:
        super()._fresh_locks()
        if self._both < 0:
            return
        # In a forked child: of its own, with the same numbers. Closing a descriptor that another
        # process has as well does not take it out, and the parent's would stay readable.
        with select.epoll() as epoll:
            epoll.register(self._source, select.EPOLLIN)
            if self._full >= 0:
                full = os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
                os.dup2(full, self._full, inheritable=False)
                os.close(full)
                epoll.register(self._full, select.EPOLLIN)
            os.dup2(epoll.fileno(), self._both, inheritable=False)


def _passed(
    cls: type[StreamChannel], url: str, passed: list[Any], limit: int, kept: tuple[Any, ...]
) -> StreamChannel:
    ends = [-1 if end is None else end.detach() for end in passed]
    return cls._again(url, ends[0], ends[-1], limit, *kept)
