"""The structs of shared memory, read by the table that the core carries with it (layout.h)."""

from __future__ import annotations

import struct
from functools import cache

from isthmus._core import memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# A field of so many bytes is a number; others are arrays of numbers, or structs.
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Struct:
    """One struct of layout.h: where its fields are, and a reader for them."""

    __slots__ = ("_code", "_names", "fields", "name", "size")

    def __init__(self, name: str, size: int, fields: dict[str, tuple[int, int]]) -> None:
        self.name = name
        #: Bytes.
        self.size = size
        #: Offset and bytes of each field.
        self.fields = fields
        codes, names, at = ["="], [], 0
        for field, (offset, length) in fields.items():
            if length not in _CODES:
                continue
            codes.append(f"{offset - at}x{_CODES[length]}")
            names.append(field)
            at = offset + length
        codes.append(f"{size - at}x")
        self._code = struct.Struct("".join(codes))
        self._names = tuple(names)

    def read(self, data: bytes, offset: int = 0) -> dict[str, int]:
        """The fields that are plain numbers. `data` must reach to the end of the struct."""
        return dict(zip(self._names, self._code.unpack_from(data, offset), strict=True))

    def each(self, data: bytes) -> Iterator[dict[str, int]]:
        """The structs that follow each other in `data`, as many as are whole."""
        whole = len(data) // self.size * self.size
        for values in self._code.iter_unpack(memoryview(data)[:whole]):
            yield dict(zip(self._names, values, strict=True))

    def numbers(self, data: bytes, field: str, size: int, offset: int = 0) -> tuple[int, ...]:
        """A field that is an array of numbers of `size` bytes each."""
        start, length = self.fields[field]
        return struct.unpack_from(f"={length // size}{_CODES[size]}", data, offset + start)


@cache
def structs() -> dict[str, Struct]:
    """All of them, by their names without `isthmus_shared_`."""
    sizes: dict[str, int] = {}
    fields: dict[str, dict[str, tuple[int, int]]] = {}
    for name, field, offset, size in memory.layout():
        short = name.removeprefix("isthmus_shared_")
        if field is None:
            sizes[short] = size
        else:
            fields.setdefault(short, {})[field] = (offset, size)
    return {name: Struct(name, sizes[name], fields[name]) for name in sizes}
