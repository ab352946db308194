"""What goes through the rings of a pipe: small messages as they are, large ones in pieces.

- bytes: what `send_bytes` was given, or the pickle of an object. As in the standard library, either
  is received by `recv_bytes` as bytes, and by `recv` as what it is the pickle of.
- a text or an array: an object that needs no pickle.
- `Parts`: a pickle with its large buffers beside it, which are not copied into it.
- `Piece`: a part of something that is too large for the ring.

Pieces are put one by one, so pieces of several senders, and whole messages between them, arrive
mixed. Each says whose it is. When a sender dies, or is interrupted, its pieces remain without their
rest, and are dropped with the connection, or when the same sender has left more of them.
"""

from __future__ import annotations

import os
import sys
import threading
from multiprocessing.reduction import ForkingPickler
from pickle import PickleBuffer, dumps as _dumps, loads

from isthmus.compat.multiprocessing import _pickling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Sender = tuple[bytes, int]
    Buffers = list[memoryview]

# Of these, no reducer can be registered that pickle would ask.
_PLAIN = frozenset({int, float, bool, type(None)})
# Smaller buffers stay in their pickle; smaller bytes go through pickle.
_LARGE = 4096
# Bytes that a message takes beside its data, and those of a piece, generously.
_AROUND, _AROUND_EACH = 512, 96
# What `Piece.layout` says of one whose buffers are: bytes of one message, or a pickle and more.
_BYTES, _PARTS = 0, 1
# So many large messages of one sender may be incomplete at once: as many as threads receive.
_LATE = 16


class Parts:
    """A pickle, and the buffers that it refers to."""

    __slots__ = ("buffers",)

    def __init__(self, *buffers: Any) -> None:
        self.buffers = buffers

    def __reduce__(self) -> tuple[Any, ...]:
        return Parts, tuple(map(PickleBuffer, self.buffers))

    def load(self) -> Any:
        text, *buffers = self.buffers
        return loads(text, buffers=buffers)  # noqa: S301


class Piece:
    """Some slices of the buffers of a large message.

    Attributes:
        sender, number: which message of whom.
        layout: what it will be, and the sizes of its buffers; None: not the first piece.
        places: for each slice, the number of its buffer and where in it it begins.
        slices: the bytes.
    """

    __slots__ = ("layout", "number", "places", "sender", "slices")

    def __init__(
        self,
        sender: Sender,
        number: int,
        layout: tuple[int, tuple[int, ...]] | None,
        places: tuple[tuple[int, int], ...],
        *slices: Any,
    ) -> None:
        self.sender = sender
        self.number = number
        self.layout = layout
        self.places = places
        self.slices = slices

    def __reduce__(self) -> tuple[Any, ...]:
        slices = map(PickleBuffer, self.slices)
        return Piece, (self.sender, self.number, self.layout, self.places, *slices)


class Sizes:
    """How much goes into a ring at once."""

    __slots__ = ("piece", "text", "whole")

    def __init__(self, capacity: int) -> None:
        #: What takes no more goes as it is: a ring that is not empty still has room for it soon.
        self.whole = capacity // 2 - _AROUND
        #: Characters of a text, which can be four bytes each.
        self.text = self.whole // 4
        #: Of a large message, so that sender and receiver copy at the same time.
        self.piece = capacity // 4 - _AROUND


# ---- Sending ---------------------------------------------------------------------------


class _Copied:
    """Bytes or a bytearray that are not copied into their pickle."""

    __slots__ = ("value",)

    def __init__(self, value: bytes | bytearray) -> None:
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self.value), (PickleBuffer(self.value),)


def of_object(obj: Any, sizes: Sizes) -> object:
    """What to put for an object; a generator: several, one after the other.

    Raises what pickling raises.
    """
    kind = type(obj)
    if kind in _PLAIN:
        return _fitting(_dumps(obj, 5), [], sizes)
    if kind is str:
        if len(obj) <= sizes.text:
            return obj
    elif kind is bytes or kind is bytearray:
        if len(obj) >= _LARGE:
            obj = _Copied(obj)
    elif _is_array(kind) and obj.nbytes <= sizes.whole - _AROUND and not obj.dtype.hasobject:
        return obj
    beside: Buffers = []
    most = sizes.piece // _AROUND_EACH

    def collect(buffer: PickleBuffer) -> bool:
        """Called for each buffer. True: it is to be copied into the pickle."""
        try:
            view = buffer.raw()
        except BufferError:
            return True  # not contiguous
        if view.nbytes < _LARGE or len(beside) >= most:
            return True
        beside.append(view)
        return False

    return _fitting(_pickling.dumps(obj, collect), beside, sizes)


def of_bytes(data: memoryview, sizes: Sizes) -> object:
    """What to put for bytes, as `of_object`."""
    if data.nbytes <= sizes.whole:
        return data
    return _pieces(_BYTES, [data], sizes)


def _fitting(text: bytes, beside: Buffers, sizes: Sizes) -> object:
    if not beside and len(text) <= sizes.whole:
        return text
    buffers = [memoryview(text), *beside]
    if sum(_AROUND_EACH + each.nbytes for each in buffers) + _AROUND <= sizes.whole:
        return Parts(*buffers)
    return _pieces(_PARTS, buffers, sizes)


def _is_array(kind: type) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and kind is getattr(numpy, "ndarray", None) and kind not in _reducers()


def _reducers() -> Any:
    return ForkingPickler._extra_reducers  # type: ignore[attr-defined]


def _pieces(kind: int, buffers: Buffers, sizes: Sizes) -> Iterator[Piece]:
    sender, number = _senders.next()
    layout: tuple[int, tuple[int, ...]] | None = (kind, tuple(each.nbytes for each in buffers))
    places: list[tuple[int, int]] = []
    slices: Buffers = []
    room = sizes.piece - 16 * len(buffers)  # for the layout
    for which, buffer in enumerate(buffers):
        start = 0
        while start < buffer.nbytes:
            part = buffer[start : start + room]
            places.append((which, start))
            slices.append(part)
            start += part.nbytes
            room -= part.nbytes + _AROUND_EACH
            if room < _AROUND_EACH:
                yield Piece(sender, number, layout, tuple(places), *slices)
                layout, places, slices, room = None, [], [], sizes.piece
    if slices:
        yield Piece(sender, number, layout, tuple(places), *slices)


class _Senders:
    """Names for the threads of this process, which no other process has."""

    def __init__(self) -> None:
        self._process = os.urandom(8)
        self._numbers = threading.local()

    def next(self) -> tuple[Sender, int]:
        """The calling thread, and the number of a new message of it."""
        numbers = self._numbers
        if not hasattr(numbers, "last"):
            # A thread's own number comes again when it has ended.
            numbers.thread, numbers.last = int.from_bytes(os.urandom(6), "little"), 0
        numbers.last += 1
        return (self._process, numbers.thread), numbers.last


_senders = _Senders()


def _after_fork() -> None:
    global _senders  # noqa: PLW0603
    _senders = _Senders()


os.register_at_fork(after_in_child=_after_fork)


# ---- Receiving -------------------------------------------------------------------------


class _Growing:
    """A large message of which some pieces have come."""

    def __init__(self) -> None:
        # Of several threads that receive, one may come with the second piece before the first.
        self._early: list[Piece] = []
        self._slices: dict[int, Any] = {}
        # Where they are put; bytes are joined in the end instead.
        self._buffers: list[bytearray] | None = None
        self._left: int | None = None

    def add(self, piece: Piece) -> object:
        """The whole message, when this was the last piece of it; else None."""
        if piece.layout is not None:
            kind, sizes = piece.layout
            self._left = sum(sizes)
            if kind == _PARTS:
                self._buffers = [bytearray(size) for size in sizes]
        self._early.append(piece)
        if self._left is None:
            return None
        while self._early:
            self._left -= self._put(self._early.pop())
        if self._left:
            return None
        if self._buffers is None:
            return b"".join(self._slices[start] for start in sorted(self._slices))
        return Parts(*self._buffers)

    def _put(self, piece: Piece) -> int:
        """Where it belongs; its size."""
        size = 0
        for (which, start), part in zip(piece.places, piece.slices, strict=True):
            data = memoryview(part)
            if self._buffers is None:
                self._slices[start] = data
            else:
                memoryview(self._buffers[which])[start : start + data.nbytes] = data
            size += data.nbytes
        return size


class Pieces:
    """Of one connection in one process: the large messages that are not complete yet."""

    __slots__ = ("_growing", "_lock", "_process")

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._growing: dict[Sender, dict[int, _Growing]] = {}
        self._process = os.getpid()

    def add(self, piece: Piece) -> object:
        """What has become complete: bytes or `Parts`; or None."""
        if self._process != os.getpid():
            self._begin()  # in a forked child: the rest comes to the parent
        with self._lock:
            same = self._growing.setdefault(piece.sender, {})
            growing = same.setdefault(piece.number, _Growing())
            whole = growing.add(piece)
            if whole is not None:
                del same[piece.number]
            elif len(same) > _LATE:
                # The sender was interrupted, or somebody else has got a piece of it.
                del same[min(same)]
            if not same:
                del self._growing[piece.sender]
        return whole


def as_object(message: object) -> Any:
    """What `recv` returns for a whole message."""
    if type(message) is bytes:
        return loads(message)  # noqa: S301
    return message.load() if type(message) is Parts else message


def as_bytes(message: object) -> bytes:
    """What `recv_bytes` returns for it."""
    if type(message) is bytes:
        return message
    # What the original would have sent.
    return bytes(ForkingPickler.dumps(as_object(message)))
