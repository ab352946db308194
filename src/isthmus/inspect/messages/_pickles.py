"""Pickles, looked at and never loaded: a pickle is a program, and this reads its text only."""

from __future__ import annotations

import io
import struct
from collections import deque
from dataclasses import dataclass

from isthmus.inspect.looking._structs import structs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Of a long one only the start is read.
_OPCODES_MOST, _BYTES_MOST, _BUFFERS_MOST = 10_000, 1 << 18, 4096
_GLOBALS_MOST, _CONSTANTS_MOST = 50, 50
_READONLY = 1 << 63


@dataclass(frozen=True, slots=True)
class Pickle:
    """What can be said of a pickle without loading it."""

    protocol: int | None
    #: Bytes of the pickle itself.
    size: int
    #: What it refers to by name: classes and functions that loading it would look up or call.
    names: tuple[str, ...]
    #: The first texts and numbers in it, as Python writes them.
    constants: tuple[str, ...]
    #: Bytes of each buffer that lies beside it.
    buffers: tuple[int, ...]
    #: Instructions that were read.
    opcodes: int
    #: Whether that was all of it, and it ended as it should.
    complete: bool


def pickle(meta: bytes, payload: bytes, size: int) -> Pickle:
    """From the meta data of a record with `size` bytes, and the first of these.

    `ValueError` where the meta data do not suit.
    """
    layout = structs()["pickle"]
    if len(meta) < layout.size:
        raise ValueError("its meta data are no pickle's: there are too few")
    fields = layout.read(meta)
    count = fields["buffers"]
    if count > _BUFFERS_MOST or layout.size + 8 * count > len(meta) or fields["size"] > size:
        raise ValueError("its meta data are no pickle's: the sizes cannot be")
    sizes = struct.unpack_from(f"={count}Q", meta, layout.size)
    buffers = tuple(one & ~_READONLY for one in sizes)
    if fields["size"] + sum(buffers) > size:
        raise ValueError("its meta data are no pickle's: the buffers are larger than it is")
    return _scan(payload[: fields["size"]], fields["size"], buffers)


def preview(found: Pickle, width: int) -> str:
    """One line: the protocol, what it refers to, what is in it."""
    parts = [] if found.protocol is None else [f"protocol {found.protocol}"]
    if found.names:
        parts.append(", ".join(found.names))
    if found.constants:
        parts.append(", ".join(found.constants))
    if found.buffers:
        total = sum(found.buffers)
        parts.insert(1, f"{len(found.buffers)} buffers of {total} bytes")
    text = "; ".join(parts) or "damaged: it does not begin as a pickle does"
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def _scan(data: bytes, size: int, buffers: tuple[int, ...]) -> Pickle:
    from pickletools import genops

    names: dict[str, None] = {}
    constants: list[str] = []
    # What STACK_GLOBAL takes: the last two texts; some come out of the memo.
    texts: deque[str] = deque(maxlen=2)
    memo: dict[int, str] = {}
    protocol, opcodes, complete, last = None, 0, False, None
    try:
        for opcode, argument, _ in genops(io.BytesIO(data[:_BYTES_MOST])):
            opcodes += 1
            name = opcode.name
            if name == "PROTO" and isinstance(argument, int):
                protocol = argument
            elif name in ("GLOBAL", "INST") and isinstance(argument, str):
                names[argument.replace(" ", ".", 1)] = None
            elif name == "STACK_GLOBAL" and len(texts) == 2:
                names[".".join(texts)] = None
                _forget(constants, texts)
            elif name == "MEMOIZE":
                if last is not None:
                    memo[len(memo)] = last
                else:
                    memo[len(memo)] = ""
                continue
            elif name in ("BINGET", "LONG_BINGET") and isinstance(argument, int):
                texts.append(memo.get(argument, ""))
            last = argument if isinstance(argument, str) and "UNICODE" in name else None
            if last is not None:
                texts.append(last)
            _note(constants, name, argument)
            complete = name == "STOP"
            if opcodes >= _OPCODES_MOST or len(names) >= _GLOBALS_MOST:
                break
    except (ValueError, IndexError, KeyError, OverflowError, AttributeError, struct.error):
        # It is cut, or no pickle.
        pass
    return Pickle(protocol, size, tuple(names), tuple(constants), buffers, opcodes, complete)


def _note(constants: list[str], name: str, argument: object) -> None:
    """Texts and numbers that are its content."""
    if len(constants) >= _CONSTANTS_MOST or name in _NO_CONTENT:
        return
    if isinstance(argument, (str, bytes)):
        constants.append(repr(argument[:80]) + ("…" if len(argument) > 80 else ""))
    elif isinstance(argument, float) or (isinstance(argument, int) and argument.bit_length() < 256):
        constants.append(repr(argument))


_NO_CONTENT = frozenset(
    ["PROTO", "FRAME", "GLOBAL", "INST", "BINGET", "LONG_BINGET", "GET", "PUT", "BINPUT",
     "LONG_BINPUT", "EXT1", "EXT2", "EXT4", "PERSID"]
)  # fmt: skip


def _forget(constants: list[str], texts: Sequence[str]) -> None:
    """The texts that were the name of something are not content."""
    for text in reversed(texts):
        if constants and constants[-1] == repr(text):
            constants.pop()
