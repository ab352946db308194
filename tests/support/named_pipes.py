"""For the tests of channels by named pipes."""

from __future__ import annotations

import os
from pathlib import Path

from channels import PATIENCE

from isthmus import channel
from isthmus.channel import Channel, Listener


def listening(path: Path, **options: object) -> Listener:
    return channel.listen(f"fifo:{path}", **options)


def connected(path: Path, **options: object) -> Channel:
    return channel.connect(f"fifo:{path}", **options)


def left(path: Path) -> list[str]:
    return sorted(os.listdir(path.parent))


def check(one: Channel, other: Channel) -> None:
    """That they are two ends of the same."""
    one.send(b"there")
    assert other.recv(PATIENCE) == b"there"
    other.send(b"and back")
    assert one.recv(PATIENCE) == b"and back"
