"""The objects of `isthmus` for asyncio: the same names; what waits there is awaited here.

Each is the class of the same name in `isthmus`, with the same constructors and whatever does not
wait, so one handle may be given to sync code, and another process need not know of it. `channel` is
`isthmus.channel`.

Each part is loaded when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.aio import channel
    from isthmus.aio.barrier import Barrier as Barrier
    from isthmus.aio.condition import Condition as Condition
    from isthmus.aio.event import Event as Event
    from isthmus.aio.lock import Lock as Lock, RLock as RLock
    from isthmus.aio.queue import Queue as Queue
    from isthmus.aio.rwlock import RWLock as RWLock
    from isthmus.aio.semaphore import BoundedSemaphore as BoundedSemaphore, Semaphore as Semaphore
    from isthmus.aio.topic import Publisher as Publisher, Subscriber as Subscriber

__all__ = [
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "Lock",
    "Publisher",
    "Queue",
    "RLock",
    "RWLock",
    "Semaphore",
    "Subscriber",
    "channel",
]

_HOME = {
    "Barrier": "barrier",
    "BoundedSemaphore": "semaphore",
    "Condition": "condition",
    "Event": "event",
    "Lock": "lock",
    "Publisher": "topic",
    "Queue": "queue",
    "RLock": "lock",
    "RWLock": "rwlock",
    "Semaphore": "semaphore",
    "Subscriber": "topic",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "channel":
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
