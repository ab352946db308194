"""What the roles share: one segment, and two semaphores that say whose turn it is.

::

    byte      written by   what
    0         supervisor   magic, slots, slot size, bytes to transfer: before anybody joins
    64        producer     its account: bytes, chunks, waits, start; sha256
    128       consumer     its account: bytes, chunks, waits, end; sha256
    192       consumer     256 counters: how often each byte value came
    2240      producer     length of the chunk in each slot; 0: the end of the file
    page …    producer     the slots, one after another

The producer takes an empty slot (semaphore `empty`), fills it, and says so (`filled`); the
consumer takes a filled one and gives it back empty. Slots are used in order, round and round.
So each slot has one user at a time, and passing it on orders all memory accesses before it.
The accounts may be looked at by anybody at any time: each field has one writer and is
64 bits wide, a look gets the value of some moment.

Everything has a name only until all roles have joined. From then on the kernel frees it when
the last of them is gone, in whichever way.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress

from isthmus import Segment, posix
from isthmus.demo.errors import DemoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_MAGIC = int.from_bytes(b"isthdemo", "little")
_PRODUCER, _CONSUMER, _HISTOGRAM, _LENGTHS = 64, 128, 192, 2240
# Nobody wants more, and the lengths stay a small part of the whole.
SLOTS_MAX = 4096
SLOT_MIN = 64


def slot_size(segment_size: int, slots: int) -> int:
    """Bytes of each of `slots` slots in `segment_size` bytes: whole cache lines.

    >>> slot_size(4 << 20, 8)
    524288
    """
    return segment_size // slots // SLOT_MIN * SLOT_MIN


def _slots_start(slots: int) -> int:
    return -(-(_LENGTHS + 8 * slots) // mmap.PAGESIZE) * mmap.PAGESIZE


class Account:
    """What one side tells about itself: one cache line that only this side writes."""

    __slots__ = ("_digest", "_words")

    def __init__(self, line: memoryview) -> None:
        self._words = line[:32].cast("Q")
        self._digest = line[32:64]

    def open(self) -> None:
        """Start from nothing."""
        for index in range(4):
            self._words[index] = 0
        self._digest[:] = bytes(32)

    def moved(self, length: int) -> None:
        """One more chunk, of `length` bytes."""
        self._words[0] += length
        self._words[1] += 1

    def waited(self) -> None:
        """It had to wait for the other side."""
        self._words[2] += 1

    def stamp(self, nanoseconds: int) -> None:
        self._words[3] = nanoseconds

    def sign(self, digest: bytes) -> None:
        self._digest[:] = digest

    @property
    def bytes(self) -> int:
        return self._words[0]

    @property
    def chunks(self) -> int:
        return self._words[1]

    @property
    def waits(self) -> int:
        return self._words[2]

    @property
    def time(self) -> int:
        """CLOCK_MONOTONIC, in nanoseconds: of the producer its start, of the consumer its end."""
        return self._words[3]

    @property
    def digest(self) -> str:
        return self._digest.hex()


class Transfer:
    """The segment of a transfer, laid out as told above."""

    def __init__(self, segment: Segment) -> None:
        buf = segment.buf
        words = buf[:32].cast("Q")
        magic, slots, size, total = words
        if (
            magic != _MAGIC
            or slots > SLOTS_MAX
            or segment.size < _slots_start(slots) + slots * size
        ):
            raise DemoError(f"{segment.name!r} is not the segment of a transfer")
        self.slots, self.slot_size, self.total = slots, size, total
        self._segment = segment
        self.producer = Account(buf[_PRODUCER : _PRODUCER + 64])
        self.consumer = Account(buf[_CONSUMER : _CONSUMER + 64])
        self.histogram = buf[_HISTOGRAM:_LENGTHS].cast("Q")
        self._lengths = buf[_LENGTHS : _LENGTHS + 8 * slots].cast("Q")
        self._data = buf[_slots_start(slots) :]

    @classmethod
    def create(cls, session: str, slots: int, slot_size: int, total: int) -> Self:
        segment = Segment.create(session, _slots_start(slots) + slots * slot_size)
        words = segment.buf[:32].cast("Q")
        for index, value in enumerate((_MAGIC, slots, slot_size, total)):
            words[index] = value
        return cls(segment)

    @classmethod
    def attach(cls, session: str, *, readonly: bool = False) -> Self:
        return cls(Segment.attach(session, readonly=readonly))

    def slot(self, index: int) -> memoryview:
        start = index * self.slot_size
        return self._data[start : start + self.slot_size]

    def set_length(self, index: int, length: int) -> None:
        self._lengths[index] = length

    def chunk(self, index: int) -> memoryview:
        """The filled part of a slot. The length comes from the other side: it is checked."""
        length = self._lengths[index]
        if length > self.slot_size:
            raise DemoError(f"slot {index} claims to hold {length} bytes; it has {self.slot_size}")
        return self.slot(index)[:length]


class Turns:
    """The two named semaphores: how many slots are empty, and how many are filled."""

    def __init__(self, session: str, oflag: int = 0, slots: int = 0) -> None:
        self.empty = posix.sem_open(f"/{session}-empty", oflag, 0o600, slots)
        self.filled = posix.sem_open(f"/{session}-filled", oflag, 0o600, 0)

    @classmethod
    def create(cls, session: str, slots: int) -> Self:
        return cls(session, os.O_CREAT | os.O_EXCL, slots)


def unlink(session: str) -> None:
    """Remove all names of a session, those that are there."""
    with suppress(FileNotFoundError):
        posix.shm_unlink(f"/{session}")
    for turn in ("empty", "filled"):
        with suppress(FileNotFoundError):
            posix.sem_unlink(f"/{session}-{turn}")
