"""Memory that `posix.mmap` or `sysv.shmat` has mapped, and the checks both need."""

from __future__ import annotations

import operator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    from isthmus._core.memory import Mapping

INT_MAX = 2**31 - 1
SIZE_MAX = 2**63 - 1


def number(value: SupportsIndex, what: str, low: int = 0, high: int = SIZE_MAX) -> int:
    """`value` as an int from `low` to `high`; TypeError or ValueError says what is wrong."""
    try:
        index = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be an integer, not {type(value).__name__}") from None
    if not low <= index <= high:
        raise ValueError(f"{what} must be from {low} to {high}, not {index}")
    return index


class MappedRegion:
    """Mapped memory, until `posix.munmap` or `sysv.shmdt` gives it back.

    After that the region can no longer be used, but the memory stays mapped as long as a
    memoryview or an array made from it lives: what still refers to it never dangles.
    Dropping the last reference to everything gives it back as well.
    """

    __slots__ = ("__weakref__", "_mapping", "_unmap")

    # Private: regions are made by mmap and shmat.
    def __init__(self, mapping: Mapping, unmap: str) -> None:
        self._mapping: Mapping | None = mapping
        self._unmap = unmap

    @property
    def buf(self) -> memoryview:
        """The memory: a new memoryview of all its bytes, read-only if it was mapped so.

        BufferError for memory mapped without PROT_READ.
        """
        return memoryview(mapping_of(self))

    @property
    def address(self) -> int:
        """Where it begins in this process."""
        return mapping_of(self).address

    @property
    def closed(self) -> bool:
        """Whether it has been given back."""
        return self._mapping is None

    def __len__(self) -> int:
        return len(mapping_of(self))

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        if self._mapping is None:
            return f"<MappedRegion, given back by {self._unmap}>"
        return f"<MappedRegion, {len(self)} bytes at {self.address:#x}>"


def mapping_of(region: MappedRegion) -> Mapping:
    """What holds the region's memory; ValueError when the region has been given back."""
    mapping = region._mapping
    if mapping is None:
        raise ValueError(f"this region has been given back by {region._unmap}")
    return mapping


def give_back(region: MappedRegion, by: str) -> None:
    """Let go of the region's memory, which goes now or with the last view of it."""
    if not isinstance(region, MappedRegion):
        raise TypeError(f"{by} takes a MappedRegion, not {type(region).__name__}")
    if region._unmap != by:
        raise ValueError(f"this region is not one for {by}: give it back by {region._unmap}")
    mapping_of(region)
    region._mapping = None
