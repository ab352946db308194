"""For the tests of queues and topics: odd starts, and what lies in their memory."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import isthmus
from isthmus._ring import Settings

# isthmus_shared_record
RECORD = struct.Struct("<QQIHHII")


def starting_at(start: int, name: str | None = None, **options: Any) -> isthmus.Queue:
    """A queue whose first record is at the position `start`."""
    plan = isthmus.Queue._plan(
        options.pop("capacity", None),
        options.pop("maxsize", None),
        options.pop("max_attempts", None),
        64,
        False,
        start,
    )
    assert not options
    if name is not None:
        return isthmus.Queue._created(name, plan, Settings(None, None))
    queue = isthmus.Queue.__new__(isthmus.Queue)
    queue._make_anonymous(plan)
    queue._adopt(Settings(None, None))
    return queue


class Memory:
    """The memory of a named queue or topic, to write over what is in it."""

    def __init__(self, name: str, capacity: int) -> None:
        with open(Path("/dev/shm", f"isthmus.{name}"), "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        (self.data,) = struct.unpack_from("<Q", self.map, 80)
        self.capacity = capacity

    def place(self, position: int) -> int:
        return self.data + position % self.capacity

    def record(self, position: int) -> dict[str, int]:
        names = ("sequence", "size", "data", "type", "attempts", "state", "check")
        return dict(zip(names, RECORD.unpack_from(self.map, self.place(position)), strict=True))

    def change(self, position: int, *, checked: bool = True, **fields: int) -> None:
        """Give a record other fields; `checked`: and the check that goes with them."""
        record = {**self.record(position), **fields}
        if checked:
            size = record["size"]
            record["check"] = (
                (position // 32 & 0xFFFFFFFF)
                ^ (record["sequence"] & 0xFFFFFFFF)
                ^ (size & 0xFFFFFFFF)
                ^ (size >> 32)
                ^ record["data"]
                ^ (record["type"] << 16)
            )
        RECORD.pack_into(self.map, self.place(position), *record.values())

    def meta(self, position: int, offset: int, format: str, *values: int) -> None:
        """Write over the meta data of a record."""
        struct.pack_into(format, self.map, self.place(position) + RECORD.size + offset, *values)

    def close(self) -> None:
        self.map.close()
