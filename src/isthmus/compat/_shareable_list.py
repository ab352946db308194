"""`ShareableList` of multiprocessing.shared_memory, in the format that it has in memory.

    8 bytes                 N, how many items there are
    (N + 1) x 8 bytes       where the slot of each begins, from the start of the slots; the end
    the slots               the values, each slot a multiple of 8 bytes
    N x 8 bytes             the format of each value, for `struct`, padded with NUL
    N bytes                 what the value is: 0 int, float or bool; 1 str; 2 bytes; 3 None

A str or bytes fills its slot with NULs, and its format is the size of the slot, as in "8s";
readers strip the NULs. In safe mode one that itself ends in NUL has its own length as its
format, and a space: "3s ". The standard class reads such a value as any other, without the
NULs, and when it assigns to the slot it takes the size of the slot again, since the format
does not end in "s".
"""

from __future__ import annotations

import struct
from functools import partial
from itertools import accumulate
from types import GenericAlias

from isthmus.compat._mode import strict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Generic, TypeVar

    from isthmus.compat.shared_memory import SharedMemory

    _Item = TypeVar("_Item")

    class _Items(Generic[_Item]): ...

else:
    _Item = None

    class _Items:
        def __class_getitem__(cls, item):
            return cls


_WORD = 8
_EXACT = "s "
_NO_ROOM = (
    "a str or bytes of {} bytes that ends in NUL cannot be kept in a ShareableList: "
    "from a million bytes on, its format has no room to say that the NUL is part of it"
)


class ShareableList(_Items[_Item]):
    """A list of fixed length in shared memory, of int, float, bool, str, bytes and None.

    sequence: the values of a new list, each of which gets a slot for good. Any iterable.
    name: that of the new list's segment (None: made up), or of the existing one to attach to
        when there is no `sequence`.

    Nothing here makes one process wait for another: with several writers, or to read what
    somebody is assigning to, use a lock. Does not block.

    Raises what SharedMemory does; KeyError for a value of another type; struct.error for an
    int beyond 64 bits; ValueError for a str or bytes that does not fit into its slot. A
    creator that is killed leaves nothing, or a complete list.
    """

    __module__ = "isthmus.compat.shared_memory"

    shm: SharedMemory
    _list_len: int
    _allocated_offsets: list[int]

    _alignment = _WORD
    _types_mapping: dict[type, str] = {  # noqa: RUF012 - as in the standard class
        int: "q",
        float: "d",
        bool: "xxxxxxx?",
        str: "%ds",
        bytes: "%ds",
        type(None): "xxxxxx?x",
    }
    _back_transforms_mapping: dict[int, Callable[[Any], Any]] = {  # noqa: RUF012
        0: lambda value: value,
        1: lambda value: value.rstrip(b"\0").decode("utf-8"),
        2: lambda value: value.rstrip(b"\0"),
        3: lambda value: None,
    }

    @staticmethod
    def _extract_recreation_code(value: object) -> int:
        if isinstance(value, str):
            return 1
        if isinstance(value, bytes):
            return 2
        return 3 if value is None else 0

    def __init__(self, sequence: Iterable[_Item] | None = None, *, name: str | None = None) -> None:
        from isthmus.compat import shared_memory

        self._strict = strict()
        if name is not None and sequence is None:
            self.shm = shared_memory.SharedMemory(name)
            self._list_len = len(self)
            offsets = struct.unpack_from(self._format_size_metainfo, self.shm.buf, _WORD)
            self._allocated_offsets = list(offsets)
            return
        contents = self._packed(tuple(sequence or ()))
        fill = getattr(shared_memory.SharedMemory, "_filled", None)
        if self._strict or fill is None:
            self.shm = shared_memory.SharedMemory(name, create=True, size=len(contents))
            self.shm.buf[: len(contents)] = contents
        else:
            self.shm = fill(name, contents)

    def _packed(self, values: tuple[Any, ...]) -> bytearray:
        """All of the list, as it will be in memory."""
        encoded = [_encoded(value) for value in values]
        slots = [self._slot_format(*both) for both in zip(values, encoded, strict=True)]
        if any(len(slot) > _WORD for slot in slots):
            raise AssertionError("a str or bytes of ten million bytes or more is too long")
        self._list_len = len(values)
        self._allocated_offsets = [0, *accumulate(map(struct.calcsize, slots))]
        kept = [self._kept_format(*both) for both in zip(slots, encoded, strict=True)]
        codes = map(self._extract_recreation_code, values)
        return bytearray().join(
            (
                struct.pack(
                    "q" + self._format_size_metainfo, len(values), *self._allocated_offsets
                ),
                struct.pack("".join(slots), *encoded),
                struct.pack(self._format_packing_metainfo, *(form.encode() for form in kept)),
                struct.pack(self._format_back_transform_codes, *codes),
            )
        )

    def _slot_format(self, value: object, encoded: Any) -> str:
        """The format that fills the slot of a new value."""
        form = self._types_mapping[type(value)]
        if not isinstance(value, str | bytes):
            return form
        # The standard class counts letters, and cuts off what does not fit when some of them
        # need several bytes. Where it fits, the slots are the same.
        words = len(value) // self._alignment + 1
        if not self._strict:
            words = max(words, -(-len(encoded) // self._alignment))
        return form % (self._alignment * words)

    def _kept_format(self, slot: str, encoded: object) -> str:
        """What is written down as the format of a value whose slot has the format `slot`."""
        if self._strict or not isinstance(encoded, bytes) or not encoded.endswith(b"\0"):
            return slot
        exact = f"{len(encoded)}{_EXACT}"
        if len(exact) > _WORD:
            raise ValueError(_NO_ROOM.format(len(encoded)))
        return exact

    # ---- One item's format and kind ----------------------------------------------------

    def _get_packing_format(self, position: int) -> str:
        """The format of one item, as it is written down."""
        position = position if position >= 0 else position + self._list_len
        if position >= self._list_len or self._list_len < 0:
            raise IndexError("Requested position out of range.")
        place = self._offset_packing_formats + position * _WORD
        (found,) = struct.unpack_from("8s", self.shm.buf, place)
        form: str = found.rstrip(b"\0").decode("utf-8")
        return form

    def _get_back_transform(self, position: int) -> Callable[[Any], Any]:
        """What makes the item from what `struct` reads."""
        if position >= self._list_len or self._list_len < 0:
            raise IndexError("Requested position out of range.")
        if not self._strict and self._get_packing_format(position).endswith(_EXACT):
            return _exact_transforms.get(self._code(position), _as_it_is)
        return self._back_transforms_mapping[self._code(position)]

    def _code(self, position: int) -> int:
        place = self._offset_back_transform_codes + position
        code: int = struct.unpack_from("b", self.shm.buf, place)[0]
        return code

    def _set_packing_format_and_transform(
        self, position: int, fmt_as_str: str, value: object
    ) -> None:
        if position >= self._list_len or self._list_len < 0:
            raise IndexError("Requested position out of range.")
        place = self._offset_packing_formats + position * _WORD
        struct.pack_into("8s", self.shm.buf, place, fmt_as_str.encode("utf-8"))
        place = self._offset_back_transform_codes + position
        struct.pack_into("b", self.shm.buf, place, self._extract_recreation_code(value))

    def _index(self, position: int) -> int:
        """A position from the start. Strict mode lets one before the start pass, and reads on."""
        position = position if position >= 0 else position + self._list_len
        if position < 0 and not self._strict:
            raise IndexError(position)
        return position

    def _capacity(self, position: int) -> int:
        return self._allocated_offsets[position + 1] - self._allocated_offsets[position]

    # ---- As a list ---------------------------------------------------------------------

    def __getitem__(self, position: int) -> _Item:
        try:
            position = self._index(position)
            offset = self._offset_data_start + self._allocated_offsets[position]
            form = self._get_packing_format(position)
        except IndexError:
            raise IndexError("index out of range") from None
        (found,) = struct.unpack_from(form, self.shm.buf, offset)
        value: _Item = self._get_back_transform(position)(found)
        return value

    def __setitem__(self, position: int, value: _Item) -> None:
        try:
            position = self._index(position)
            offset = self._offset_data_start + self._allocated_offsets[position]
            current = self._get_packing_format(position)
        except IndexError:
            raise IndexError("assignment index out of range") from None
        encoded = _encoded(value)
        if isinstance(value, str | bytes):
            capacity = self._capacity(position)
            if len(encoded) > capacity:
                raise ValueError("bytes/str item exceeds available storage")
            form = current if current.endswith("s") else self._types_mapping[str] % (capacity,)
        else:
            form = self._types_mapping[type(value)]
        kept = self._kept_format(form, encoded)
        # A value that `struct` refuses changes nothing; in the standard class, the format.
        packed = b"" if self._strict else struct.pack(form, encoded)
        self._set_packing_format_and_transform(position, kept, value)
        if self._strict:
            struct.pack_into(form, self.shm.buf, offset, encoded)
        else:
            self.shm.buf[offset : offset + len(packed)] = packed

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(self.__class__, name=self.shm.name), ()

    def __len__(self) -> int:
        found: int = struct.unpack_from("q", self.shm.buf, 0)[0]
        return found

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[_Item]: ...

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({list(self)}, name={self.shm.name!r})"

    def count(self, value: _Item) -> int:
        """How many items are equal to `value`."""
        return sum(bool(value == item) for item in self)

    def index(self, value: _Item) -> int:
        """The first position of an item equal to `value`. ValueError: there is none."""
        for position, item in enumerate(self):
            if value == item:
                return position
        raise ValueError(f"{value!r} not in this container")

    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(GenericAlias)

    # ---- The parts in memory -----------------------------------------------------------

    @property
    def format(self) -> str:
        """The slots, as `struct` reads them all at once from the start of the first."""
        forms = map(self._get_packing_format, range(self._list_len))
        return "".join(
            f"{self._capacity(position)}s" if form.endswith(_EXACT) else form
            for position, form in enumerate(forms)
        )

    @property
    def _format_size_metainfo(self) -> str:
        return "q" * (self._list_len + 1)

    @property
    def _format_packing_metainfo(self) -> str:
        return "8s" * self._list_len

    @property
    def _format_back_transform_codes(self) -> str:
        return "b" * self._list_len

    @property
    def _offset_data_start(self) -> int:
        return (self._list_len + 2) * _WORD

    @property
    def _offset_packing_formats(self) -> int:
        return self._offset_data_start + self._allocated_offsets[-1]

    @property
    def _offset_back_transform_codes(self) -> int:
        return self._offset_packing_formats + self._list_len * _WORD


def _as_it_is(value: Any) -> Any:
    return value


# By code, for a value whose format is its own length.
_exact_transforms: dict[int, Callable[[Any], Any]] = {1: lambda value: value.decode("utf-8")}


def _encoded(value: Any) -> Any:
    return value.encode("utf-8") if isinstance(value, str) else value
