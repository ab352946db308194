"""What a collector sends: one message of 7 bytes a reading, so that also a signal can carry it."""

import math
import struct
from collections.abc import Callable
from typing import NamedTuple

# Which of SENSORS; the number of the reading, from 0 on; the value.
_FORMAT = struct.Struct("<BHf")
_NUMBERS = 1 << 16


def load() -> float:
    """How many processes want a processor."""
    with open("/proc/loadavg", encoding="ascii") as file:
        return float(file.read().split()[0])


def memory() -> float:
    """MiB that programs could still have."""
    with open("/proc/meminfo", encoding="ascii") as file:
        found = dict(line.split(":") for line in file)
    return int(found["MemAvailable"].split()[0]) / 1024


def wave(number: int) -> float:
    """Made up: for those who want to see something move. Its mean over 20 is 0."""
    return math.sin(2 * math.pi * number / 20)


SENSORS: dict[str, Callable[[int], float]] = {
    "load": lambda _: load(),
    "memory": lambda _: memory(),
    "wave": wave,
}
NAMES = list(SENSORS)


class Reading(NamedTuple):
    sensor: str
    number: int
    value: float

    def pack(self) -> bytes:
        return _FORMAT.pack(NAMES.index(self.sensor), self.number % _NUMBERS, self.value)


def unpack(message: bytes) -> Reading:
    """ValueError: it is none."""
    if len(message) != _FORMAT.size or message[0] >= len(NAMES):
        raise ValueError(f"{message[:20]!r} is no reading")
    which, number, value = _FORMAT.unpack(message)
    return Reading(NAMES[which], number, value)


def missed(last: int | None, number: int) -> int:
    """How many came in between. With number 0, a collector begins anew."""
    if last is None or number == 0:
        return 0
    return (number - last - 1) % _NUMBERS
