"""Records of a log, and one who reads them in order: see `_log`."""

from __future__ import annotations

import struct
from zlib import crc32

from isthmus.channel._log import HEADER, Log
from isthmus.errors import FormatError

_RECORD = struct.Struct("<4sIQ8s")
# What the CRC is of, before the message.
_COUNTED = struct.Struct("<Q8s")
_MAGIC = b"rec1"
# What is read at once, at least.
_AHEAD = 65536


def record_of(data: memoryview | bytes, writer: bytes) -> tuple[list[memoryview | bytes], int]:
    """A message as it stands in the file, in parts that are not copied; and the bytes of all."""
    size = len(data)
    counted = _COUNTED.pack(size, writer)
    head = _MAGIC + struct.pack("<I", crc32(data, crc32(counted))) + counted
    padding = bytes(-size % 8)
    return [head, data, padding], len(head) + size + len(padding)


class Reader:
    """Reads what others than `writer` have appended, from `at` on. What it finds is checked."""

    def __init__(self, log: Log, at: int, limit: int, writer: bytes) -> None:
        self._log, self._limit, self._writer = log, limit, writer
        # Where the next record begins, and where the last message that was given did.
        self.at = self.last = at
        # How far the file counted at the last look.
        self._end = at
        # What was read, and from where it is.
        self._buffer, self._from = b"", at

    @property
    def has_more(self) -> bool:
        """Whether there was a record at the last look that has not been given."""
        return self.at < self._end

    def look(self) -> bool:
        """Look how far the file counts; whether that is further than this one is. FormatError."""
        end = self._log.end()
        if end < self.at:
            raise FormatError(f"{self._log.url} was cut off at offset {end}, before {self.at}")
        self._end = end
        return end > self.at

    def next(self) -> bytes | None:
        """The next message of another one; None: none before the end of the last look.

        FormatError: there is something else, or a message of more than `limit`.
        """
        while self.at < self._end:
            at = self.at
            size, writer, crc = self._head(at)
            after = at + _RECORD.size + size + -size % 8
            if writer == self._writer:
                self.at = after
                continue
            if size > self._limit:
                raise FormatError(
                    f"{self._log.url} has a message of {size} bytes at offset {at}, more than the "
                    f"limit of {self._limit}"
                )
            data = self._bytes(size, at + _RECORD.size)
            if crc32(data, crc32(_COUNTED.pack(size, writer))) != crc:
                raise FormatError(
                    f"{self._log.url} is damaged: the message at offset {at} is not what was sent"
                )
            self.last, self.at = at, after
            return data
        return None

    def seek(self, at: int | None) -> bool:
        """Go there; None: to the end. False: no record begins there. FormatError."""
        before, self._end = self._end, self._log.end()
        if at is None:
            at = self._end
        elif at != self._end:
            try:
                if not HEADER <= at < self._end or at % 8:
                    raise FormatError("outside")
                self._head(at)
            except FormatError:
                self._end = before
                return False
        self.at = self.last = at
        return True

    def _head(self, at: int) -> tuple[int, bytes, int]:
        """Of the record there: its size, who wrote it, and its CRC. FormatError."""
        if self._end - at >= _RECORD.size:
            magic, crc, size, writer = _RECORD.unpack(self._bytes(_RECORD.size, at))
            if magic == _MAGIC and size + -size % 8 <= self._end - at - _RECORD.size:
                return size, writer, crc
        raise FormatError(f"{self._log.url} has no record at offset {at}")

    def _bytes(self, size: int, at: int) -> bytes:
        """From the file, no further than it counts."""
        start = at - self._from
        if start >= 0 and start + size <= len(self._buffer):
            return self._buffer[start : start + size]
        if size >= _AHEAD:
            return self._log.read(size, at)
        self._buffer = self._log.read(min(_AHEAD, self._end - at), at)
        self._from = at
        return self._buffer[:size]
