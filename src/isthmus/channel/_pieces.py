"""Messages through rings of a limited size: small ones as they are, large ones in pieces.

A small one is one record, of an eighth of the ring at most. Before the pieces of a large one goes a
record with its size, a number; each piece is larger than any small message. So small messages of
other threads may stand between the pieces, and are told apart. Of large ones, one goes at a time.
"""

from __future__ import annotations

from isthmus._core.ring import fill, new_bytes
from isthmus.errors import FormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from isthmus.queue import Queue


def small_of(capacity: int) -> int:
    """Bytes of the largest message that goes as it is."""
    return capacity >> 3


def pieces_of(size: int, small: int) -> Sequence[int]:
    """Where the pieces of a large message end: each has more than `small` bytes, none twice that.

    >>> list(pieces_of(25, 8))
    [12, 25]
    """
    count = max(1, size // (small + 1))
    return [size * (number + 1) // count for number in range(count)]


class Outgoing:
    """A message on its way."""

    __slots__ = ("_at", "_data", "_ends", "begun", "done")

    def __init__(self, data: memoryview | bytes) -> None:
        self._data = data
        # Where the next piece begins, and the ends of those that are left, the last one first;
        # None: not even the size has gone.
        self._at = 0
        self._ends: list[int] | None = None
        self.begun = self.done = False

    def next(self, small: int) -> object | None:
        """The record that goes next; None: nothing is left."""
        if self.done:
            return None
        if len(self._data) <= small:
            return self._data
        if self._ends is None:
            return len(self._data)
        return memoryview(self._data)[self._at : self._ends[-1]]

    def sent(self, small: int) -> None:
        """It has gone."""
        self.begun = True
        if len(self._data) <= small:
            self.done = True
        elif self._ends is None:
            self._ends = list(reversed(pieces_of(len(self._data), small)))
        else:
            self._at = self._ends.pop()
            self.done = not self._ends

    def keep(self) -> None:
        """Its owner may change the buffer from now on."""
        self._data = bytes(self._data)


class Incoming:
    """The large message of which pieces have come."""

    __slots__ = ("_at", "_limit", "_small", "_whole", "left", "target")

    def __init__(self, small: int, limit: int) -> None:
        self._small, self._limit = small, limit
        # What the pieces are copied into. Nobody else gets it before it is complete.
        self._whole: bytes | memoryview = b""
        self._at = 0
        #: Where the next large one is to go, if it has room there.
        self.target: memoryview | None = None
        #: Bytes that are still to come.
        self.left = 0

    def add(self, record: object) -> bytes | memoryview | None:
        """A record that has come; the message, if that makes one whole. FormatError."""
        if type(record) is bytes:
            size = len(record)
            if size <= self._small:
                if size > self._limit:
                    raise FormatError(f"a message of {size} bytes")
                return record
            if size <= self.left:
                if isinstance(self._whole, bytes):
                    fill(self._whole, self._at, record)
                else:
                    self._whole[self._at : self._at + size] = record
                return self._come(size)
        elif type(record) is int and not self.left and self._small < record:
            if record > self._limit:
                raise FormatError(f"a message of {record} bytes")
            target = self.target
            has_room = target is not None and record <= len(target)
            self._whole = target[:record] if target is not None and has_room else new_bytes(record)
            self._at, self.left = 0, record
            return None
        raise FormatError("what is no message")

    def take(self, ring: Queue) -> bytes | memoryview | None:
        """All pieces that are there, without waiting; the message, if that makes it whole."""
        while self.left:
            if isinstance(self._whole, bytes):
                size = ring._get_piece(self._whole, self._at, self._small + 1)
            else:
                size = ring._get_piece_into(self._whole[self._at :], self._small + 1)
            if not size:
                return None
            whole = self._come(size)
            if whole is not None:
                return whole
        return None

    def detach(self) -> None:
        """What has come into `target` is kept elsewhere from now on."""
        self.target, whole = None, self._whole
        if isinstance(whole, memoryview):
            self._whole = new_bytes(len(whole))
            fill(self._whole, 0, bytes(whole[: self._at]))
            whole.release()

    def _come(self, size: int) -> bytes | memoryview | None:
        self._at += size
        self.left -= size
        if self.left:
            return None
        whole, self._whole = self._whole, b""
        return whole
