"""POSIX message queues: two, `/NAME` towards the one who listens, and `/NAME.back` from it.

Either side may come first: each makes what is not there. What a side has sent stays in the queue
until somebody receives it, whoever dies; so what was left by a listener that was killed is taken
over, with the messages in it, by the next one. The kernel keeps the boundaries, and any bytes are
a message. So a program in another language may be at the other end: it opens both queues by their
names. Its messages come in the order of their priority; ours have priority 0.

Who listens holds a lock (flock) on the first queue, which the kernel releases at its death. Who
receives from a queue holds another kind on a byte of it (see `_presence`): by this those who
connected notice that the queues have lost their names and nobody of the other side is left. Of a
death, nobody is told: the name is there, and somebody may come. One end of a pair notices that
the other one has gone. While it waits, either takes up to `_LOOK` seconds for that.

The queues of a user together may take RLIMIT_MSGQUEUE bytes, filled or not: 800 KiB by default,
which is room for four channels with the `messages` and `size` that the system proposes.

What a death leaves, step by step:

- making the first queue, or both, before their mode is set: they are there, less open than asked
  for. The next one to listen sets it.
- listening, or being connected: both queues with what is in them. The next one to listen has
  them; or ``isthmus.posix.mq_unlink`` removes both names.
- removing the names (`Listener.close`): the second name may be left. As above.
- making a pair: up to two queues named ``/isthmus.pair.…``, empty.

Who connects removes nothing: queues that it made wait for the one who will listen.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress

from isthmus import posix
from isthmus._ring_errors import MessageTooLargeError
from isthmus.channel import _address, _presence
from isthmus.channel._base import Channel, Listener
from isthmus.channel._errors import EndOfChannel, PeerGoneError
from isthmus.channel._forms import Form
from isthmus.channel._mq_queue import (
    BACK,
    LIMITS,
    RECEIVES,
    TRIES,
    Place,
    attributes_of,
    discard,
    limit,
    named,
    names,
    opened,
    unsteady,
)
from isthmus.channel._sole import SoleListener, Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LISTEN = frozenset({"mode", "messages", "size"})
CONNECT = LISTEN
PAIR = frozenset({"messages", "size"})

# Seconds after which one who waits looks whether the other side is there at all.
_LOOK = 0.1


class MqChannel(Channel):
    """A queue to receive from, and one to send to.

    `notices`: whether the other side has gone when it no longer holds its byte.
    """

    form = "mq"

    def __init__(
        self, url: str, source: posix.MessageQueue, sink: posix.MessageQueue,
        notices: bool, turn: Turn | None = None,
    ) -> None:  # fmt: skip
        self._source, self._sink, self._turn = source, sink, turn
        self._largest = posix.mq_getattr(sink).msgsize
        self._notices = notices
        # One of ours has been at the other end: only then is it missed.
        self._seen = notices and _presence.held(sink.fileno(), RECEIVES)
        super().__init__(url)

    @property
    def largest(self) -> int:
        return self._largest

    def _in(self) -> tuple[int, int]:
        return self._source.fileno(), select.POLLIN

    def _out(self) -> tuple[int, int]:
        return self._sink.fileno(), select.POLLOUT

    def _release(self) -> None:
        posix.mq_close(self._source)
        posix.mq_close(self._sink)
        if self._turn is not None:
            self._turn.give_back()

    def _nap(self, side: tuple[int, int]) -> float | None:
        return _LOOK if self._notices else None

    def _gone(self) -> bool:
        """Whether nobody of the other side is left, nor will come."""
        if not self._notices:
            return False
        sink = self._sink.fileno()
        if self._seen and os.fstat(sink).st_nlink:
            return False
        if _presence.held(sink, RECEIVES):
            self._seen = True
            return False
        return self._seen

    def _begin(self, data: memoryview | bytes) -> memoryview | bytes:
        if len(data) > self._largest:
            raise MessageTooLargeError(
                f"a message of {len(data)} bytes is more than this queue takes ({self._largest}); "
                f"make it with size=, up to {LIMITS}/msgsize_max ({limit('msgsize_max')}), or "
                "send it in pieces",
                name=self._url, size=len(data), capacity=self._largest,
            )  # fmt: skip
        return data

    def _try_send(self, message: memoryview | bytes) -> bool | None:
        if self._gone():
            raise PeerGoneError(f"nobody receives on {self!r} any more", name=self._url)
        try:
            posix.mq_send(self._sink, message)
        except BlockingIOError:
            return None
        return True

    def _try_recv(self) -> bytes | None:
        try:
            return posix.mq_receive(self._source)[0]
        except BlockingIOError:
            if not self._gone():
                return None
        # What it sent just before it went.
        try:
            return posix.mq_receive(self._source)[0]
        except BlockingIOError:
            raise EndOfChannel(f"the other end of {self!r} is closed", name=self._url) from None

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        self._check()
        if self._turn is not None or self._held is not None:
            raise TypeError(
                f"{self!r} cannot be passed on: it goes with its listener, or has a message left"
            )
        queues = [DupFd(queue.fileno()) for queue in (self._source, self._sink)]
        return _passed, (self._url, queues, self._notices, self._seen)


def _passed(url: str, queues: list[Any], notices: bool, seen: bool) -> MqChannel:
    """One that came from another process; both have it until they close it."""
    from isthmus._core.posix import queue_from

    source, sink = (queue_from(queue.detach(), None) for queue in queues)
    made = MqChannel(url, source, sink, notices)
    made._seen = seen
    return made


def _joined(
    url: str, source: str, sink: str, mode: int, attributes: posix.MqAttr | None,
    notices: bool, turn: Turn | None = None,
) -> MqChannel:  # fmt: skip
    """A channel over the two queues of these names."""
    for _ in range(TRIES):
        to, new = opened(sink, posix.O_WRONLY, mode, attributes)
        try:
            of, _ = opened(source, posix.O_RDONLY, mode, attributes)
            _presence.hold(of.fileno(), RECEIVES)
        except BaseException:
            if new:
                discard(sink, to)
            posix.mq_close(to)
            raise
        # Held first, and looked at then: who finds nobody here has removed the names before.
        if named(of) and named(to):
            return MqChannel(url, of, to, notices, turn)
        posix.mq_close(of)
        posix.mq_close(to)
    raise unsteady(sink)


# ---- What the form offers --------------------------------------------------------------


def facts() -> Form:
    return Form(
        name="mq",
        title="POSIX message queue",
        reach="host",
        joins="any process that may open both queues",
        connections=False,
        notices_death=False,
        random_access=False,
        keeps="until it is received, or the listener is closed; not over a restart of the system",
        largest=limit("msgsize_max"),
        order="as sent, in each direction; foreign messages by their priority",
        permissions="mode and owner of the queues",
        url="mq:/NAME",
    )


def listen(
    where: str, mode: int = 0o600, messages: int | None = None, size: int | None = None
) -> Listener:
    url = f"mq:{_address.quoted(where)}"
    attributes = attributes_of(messages, size)
    place = Place(where, url, mode, attributes)
    here, back = names(where)

    def made(turn: Turn) -> Channel:
        return _joined(url, here, back, mode, None, False, turn)

    return SoleListener(url, made, place.leave)


def connect(
    where: str, timeout: float | None, mode: int = 0o600,
    messages: int | None = None, size: int | None = None,
) -> Channel:  # fmt: skip
    here, back = names(where)
    url = f"mq:{_address.quoted(where)}"
    return _joined(url, back, here, mode, attributes_of(messages, size), True)


def pair(messages: int | None = None, size: int | None = None) -> tuple[Channel, Channel]:
    stem = f"/isthmus.pair.{os.getpid()}.{os.urandom(8).hex()}"
    both = stem, stem + BACK
    attributes = attributes_of(messages, size)
    one = None
    try:
        one = _joined("mq:", both[0], both[1], 0o600, attributes, False)
        other = _joined("mq:", both[1], both[0], 0o600, attributes, True)
    except BaseException:
        if one is not None:
            one.close()
        raise
    finally:
        for name in both:
            with suppress(FileNotFoundError):
                posix.mq_unlink(name)
    one._notices = one._seen = True
    return one, other
