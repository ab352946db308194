"""The queues of the multiprocessing drop-in against those that they stand for.

One process puts, another gets, each on a core of its own; each object is checked to be the one
that was due.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from contest import Contest, Goal, Meeting, Party, in_children, two_cores

from isthmus.compat import multiprocessing as ours

MIB = 1 << 20
ROUNDS = 9
OBJECTS: dict[str, Any] = {
    "an int": 7,
    "a dict": {"job": 17, "name": "resize", "sizes": [640, 480]},
    "bytes of 64": b"x" * 64,
}


def one_way(make: Callable[[], Any], obj: Any, count: int) -> float:
    queue, meeting = make(), Meeting(2)

    def first() -> float:
        for _ in range(count // 10):
            queue.put(obj)
        meeting.wait(0)
        begin = time.perf_counter()
        for _ in range(count):
            queue.put(obj)
        queue.close()
        queue.join_thread()
        return begin

    def second() -> float:
        found = [queue.get() for _ in range(count // 10)]
        meeting.wait(1)
        for _ in range(count):
            found[-1] = queue.get()
        end = time.perf_counter()
        if not np.array_equal(found[-1], obj):
            raise RuntimeError("this is not what was put")
        return end

    begin, end = in_children([first, second], two_cores())
    return (end - begin) / count


def contest(what: str, obj: Any, factor: float, count: int) -> Contest:
    label, rival = "isthmus.compat", "multiprocessing"
    parties = [
        Party(label, partial(one_way, ours.Queue, obj), 4 * count),
        Party(rival, partial(one_way, multiprocessing.Queue, obj), count),
    ]
    goals = [Goal(label, rival, at_least=factor)]
    return Contest(f"Queue, {what}", parties, goals, ROUNDS, rate=True).run()


def compat_mp_contests() -> list[Contest]:
    small = [contest(what, obj, 5, 20_000) for what, obj in OBJECTS.items()]
    return [*small, contest("an array of 8 MiB", np.arange(MIB, dtype="f8"), 10, 20)]
