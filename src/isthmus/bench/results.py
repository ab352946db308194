"""What a benchmark has found, and the file that it is kept in.

Times are in seconds, sizes in bytes, rates a second, shares a fraction of one core. `Results`
goes to JSON and comes back the same; what it is read from is checked field by field, because
people edit such files, cut them off and mix them up.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal

from isthmus.errors import ForeignError, FormatError, TruncatedError, VersionError

FORMAT = "isthmus-bench"
VERSION = 1
# No figure is beyond, nor one that is not 0 so small: ratios of them stay numbers.
_MOST, _LEAST = 1e18, 1e-18
# Of 0 bytes or 0 senders there is no figure.
_COUNTED = ("size", "peers")
# What tells two figures of a contender apart.
_KEY = ("size", "mode", "peers")

# What ends the wait for a message: looking at it again and again, or the kernel.
Mode = Literal["spinning", "blocking"]
# Ours; others' packages; what C reaches with the same means of the kernel.
Family = Literal["form", "rival", "floor"]
Measure = Literal["latency", "throughput", "setup", "idle"]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where it was measured: figures of two machines are not compared unnoticed."""

    processor: str
    cores: int
    pinned: list[int]
    system: str
    python: str
    packages: dict[str, str]
    memory_bytes: int
    load: list[float]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Who takes part. `id` is what the cells refer to, `label` what people read."""

    id: str
    label: str
    family: Family
    note: str = ""
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A rival that is not installed here, and how to have it."""

    id: str
    label: str
    install: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Round trips of one message, each timed by itself; `rounds_p50`: the median of each round."""

    contender: str
    size: int
    mode: Mode
    peers: int = 1
    count: int
    p50: float
    p90: float
    p99: float
    p999: float
    min: float
    mean: float
    rounds_p50: list[float]


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Messages in one direction, from `peers` senders; `rounds` is messages a second of each round.

    `cpu_per_message` is what all processes used, in the program and in the kernel.
    """

    contender: str
    size: int
    mode: Mode
    peers: int = 1
    messages_per_s: float
    bytes_per_s: float
    rounds: list[float]
    cpu_per_message: float


@dataclass(frozen=True, kw_only=True)
class Setup:
    """From nothing to the first message received, without the start of a process."""

    contender: str
    seconds: float
    rounds: list[float]


@dataclass(frozen=True, kw_only=True)
class Idle:
    """What a receiver uses while nothing comes, over `seconds`."""

    contender: str
    cpu_share: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A figure that is not there, and why. What is None holds for all of them."""

    contender: str
    measure: Measure
    size: int | None = None
    mode: Mode | None = None
    peers: int | None = None
    why: str


@dataclass(frozen=True, kw_only=True)
class Results:
    """One run, whole or in part."""

    when: str
    seconds: float
    command: list[str]
    quick: bool
    machine: Machine
    settings: dict[str, Any]
    contenders: list[Contender]
    absent: list[Absent]
    latency: list[Latency]
    throughput: list[Throughput]
    setup: list[Setup]
    idle: list[Idle]
    skipped: list[Gap]
    failed: list[Gap]

    def contender(self, id: str) -> Contender:
        """The one of that id; KeyError if there is none."""
        for contender in self.contenders:
            if contender.id == id:
                return contender
        raise KeyError(id)

    def to_json(self) -> str:
        """As text, ending in a line end."""
        record = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}
        return json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, name: str = "the text") -> Results:
        """Read what `to_json` has written. `name` is what errors call it.

        Raises ForeignError (something else), VersionError, TruncatedError, or FormatError with
        the place of what is wrong. Fields that are not known here are passed over, and
        characters that are not printable come out as escapes.
        """
        record = _parse(text, name)
        results: Results = _built(cls, record, name, "")
        results._check(name)
        return results

    def _check(self, name: str) -> None:
        """Every figure belongs to a contender: a table would otherwise lose it, or fail."""
        known = [contender.id for contender in self.contenders]
        if len(set(known)) != len(known):
            raise FormatError(f"{name}: two contenders have the same id", name=name)
        for field in ("latency", "throughput", "setup", "idle", "skipped", "failed"):
            for number, cell in enumerate(getattr(self, field)):
                if cell.contender not in known:
                    raise FormatError(
                        f"{name}: {field}[{number}] is about {cell.contender!r}, which is not "
                        "among its contenders",
                        name=name,
                    )
        for field in ("latency", "throughput", "setup", "idle"):
            seen = set()
            for number, cell in enumerate(getattr(self, field)):
                key = (cell.contender, *(getattr(cell, one, None) for one in _KEY))
                if key in seen:
                    raise FormatError(
                        f"{name}: {field}[{number}] is there twice; which one counts is not known",
                        name=name,
                    )
                seen.add(key)


def _parse(text: str, name: str) -> dict[str, Any]:
    """The object in a text, if it says that it is of this format and version."""
    if not text.strip():
        raise TruncatedError(f"{name} is empty; measure again with --json", name=name)
    try:
        record = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated string"):
            if f'"{FORMAT}"' in text[:200]:
                raise TruncatedError(
                    f"{name} is cut off in line {error.lineno}; measure again with --json",
                    name=name,
                ) from None
        raise _foreign(name, f"not JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        raise _foreign(name, f"not JSON: {error}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise _foreign(name, "other JSON")
    if record.get("version") != VERSION:
        raise VersionError(
            f"{name} is of version {record.get('version')!r} of its format, and this isthmus "
            f"reads version {VERSION}; measure again, or read it with the isthmus that wrote it",
            name=name,
        )
    return record


def _foreign(name: str, what: str) -> ForeignError:
    return ForeignError(
        f"{name} does not hold results of `isthmus bench --json` ({what})", name=name
    )


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number of JSON")


def _built(kind: Any, value: Any, name: str, place: str) -> Any:
    """`value` as the annotation `kind` wants it: FormatError with the place if it is not."""
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _built_object(kind, value, name, place)
    if kind is Any:
        return value
    if origin is list and isinstance(value, list):
        item = arguments[0]
        return [_built(item, one, name, f"{place}[{n}]") for n, one in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {
            _printable(key): _built(arguments[1], one, name, f"{place}.{key}")
            for key, one in value.items()
        }
    if origin in {types.UnionType, typing.Union}:  # of a Literal, it is the latter
        # Something, or None.
        return None if value is None else _built(arguments[0], value, name, place)
    if origin is Literal and value in arguments:
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if value == 0 or _LEAST <= value <= _MOST:
            return float(value)
    elif kind is int and isinstance(value, int) and not isinstance(value, bool):
        if (place.rpartition(".")[2] in _COUNTED) <= value <= _MOST:
            return value
    elif kind is bool and isinstance(value, bool):
        return value
    elif kind is str and isinstance(value, str):
        return _printable(value)
    raise FormatError(f"{name}: {place} cannot be {_shown(value)}", name=name)


def _built_object(kind: Any, value: dict[str, Any], name: str, place: str) -> Any:
    hints = typing.get_type_hints(kind)
    values = {}
    for field in dataclasses.fields(kind):
        where = f"{place}.{field.name}" if place else field.name
        if field.name in value:
            values[field.name] = _built(hints[field.name], value[field.name], name, where)
        elif field.default is dataclasses.MISSING:
            raise FormatError(f"{name}: {where} is missing", name=name)
    return kind(**values)


def _printable(text: str) -> str:
    """Without anything that a terminal would obey, or that cannot be written: files travel."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else " " if one.isspace() else ascii(one)[1:-1] for one in text
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
