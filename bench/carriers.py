"""Our own ways to carry messages from one process to another, beside those of `isthmus.bench`.

A carrier is made before the processes that use it are forked. One of them calls `sender`, another
`receiver`; both then meet, so that who listens is there before anything is said.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import isthmus
from isthmus.bench.measure.carriers import (
    ROOM,
    SIZE,
    Carrier,
    MultiprocessingQueueCarrier,
    PipeCarrier,
    PosixQueueCarrier,
    Receive,
    SemaphoreCarrier,
    Send,
    carriers,
    installed,
    new_name,
)
from isthmus.bench.measure.packages import (
    FasterFifoCarrier,
    IceoryxCarrier,
    ZeroqCarrier,
    ZmqCarrier,
)

__all__ = [
    "SIZE",
    "Carrier",
    "FasterFifoCarrier",
    "IceoryxSpinning",
    "MultiprocessingQueueCarrier",
    "PipeCarrier",
    "PosixQueueCarrier",
    "QueueCarrier",
    "Receive",
    "SemaphoreCarrier",
    "Send",
    "TopicCarrier",
    "ZeroqCarrier",
    "ZmqCarrier",
    "carriers",
    "installed",
    "messages",
]

IceoryxSpinning = partial(IceoryxCarrier, spinning=True)


class QueueCarrier(Carrier):
    def __init__(self, spin: float | None = None) -> None:
        super().__init__()
        self.queue = isthmus.Queue(capacity=ROOM, spin=spin)

    def sender(self, number: int = 0) -> Send:
        return self.queue.put

    def receiver(self) -> Receive:
        return self.queue.get

    def close(self) -> None:
        self.queue.close()


class TopicCarrier(Carrier):
    """One publisher; `receiver` is for any number of processes: each gets all."""

    def __init__(self, spin: float | None = None) -> None:
        super().__init__()
        self.name, self.spin = new_name(), spin
        # Not to be lost between one process and the next.
        self.keep = isthmus.Publisher(self.name, capacity=ROOM)

    def sender(self, number: int = 0) -> Send:
        self.handle: Any = isthmus.Publisher(self.name, spin=self.spin)
        return self.handle.publish

    def receiver(self) -> Receive:
        self.handle = isthmus.Subscriber(self.name, spin=self.spin)
        return self.handle.recv  # type: ignore[no-any-return]

    def close(self) -> None:
        self.keep.close()


def messages(count: int) -> list[bytes]:
    """So many, all different."""
    return [number.to_bytes(8, "little") * (SIZE // 8) for number in range(count)]
