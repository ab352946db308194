"""For the tests of channels by a file."""

from __future__ import annotations

from pathlib import Path

from isthmus import channel
from isthmus.channel import Channel, TimedOut
from isthmus.channel._file import FileChannel


def joined(path: Path, start: str = "start", **options: object) -> FileChannel:
    made = channel.connect(f"file:{path}", start=start, **options)
    assert isinstance(made, FileChannel)
    return made


def drained(end: Channel) -> list[bytes]:
    got = []
    while True:
        try:
            got.append(end.recv(0))
        except TimedOut:
            return got
