"""Words for the kernel's flags: advice (madvise) and seals (fcntl)."""

from __future__ import annotations

from isthmus.errors import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# madvise(2); those that could make memory vanish under a reader are left out.
_ADVICE = {
    "normal": 0,
    "random": 1,
    "sequential": 2,
    "willneed": 3,
    "dontneed": 4,
    "hugepage": 14,
    "nohugepage": 15,
    "dontdump": 16,
    "dodump": 17,
    "cold": 20,
    "pageout": 21,
    "populate_read": 22,
    "populate_write": 23,
}
# fcntl(F_ADD_SEALS)
_SEALS = {"seal": 1, "shrink": 2, "grow": 4, "write": 8, "future_write": 16}
# Seals after which nobody gets a new writable mapping.
AGAINST_WRITING = _SEALS["write"] | _SEALS["future_write"]


def advice(word: str) -> int:
    """The number of an advice; ArgumentError lists the words there are."""
    if word not in _ADVICE:
        raise ArgumentError(f"there is no advice {word!r}; there is {', '.join(_ADVICE)}")
    return _ADVICE[word]


def seals(words: Iterable[str]) -> int:
    """The bits of some seals; ArgumentError lists the words there are."""
    bits = 0
    for word in words:
        if word not in _SEALS:
            raise ArgumentError(f"there is no seal {word!r}; there are {', '.join(_SEALS)}")
        bits |= _SEALS[word]
    return bits


def seal_words(bits: int) -> frozenset[str]:
    """The seals that are set in `bits`."""
    return frozenset(word for word, bit in _SEALS.items() if bits & bit)
