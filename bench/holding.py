"""What it costs to have queues and topics: while waiting, in memory, and by the thousand."""

from __future__ import annotations

import multiprocessing
import os
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contest import QUICK, Comparison, in_children, two_cores
from harness import duration

import isthmus

IDLE_SECONDS = 0.5 if QUICK else 3.0
HANDLES = 10 if QUICK else 100
MANY = 50 if QUICK else 1000
DATA = 1 << 20
# Descriptors that a queue may take, and those that a process has for other things.
DESCRIPTORS, SPARE = 4, 64


def idle() -> Comparison:
    result = Comparison(
        "Processor time of one that waits", "under 0.5 % of a core", ("waiting in", "of a core")
    )
    queue, publisher = isthmus.Queue(None), isthmus.Publisher(None)
    subscriber = publisher.subscriber()

    def nothing(call: Callable[..., object], *arguments: object) -> Callable[[float], None]:
        def wait(timeout: float) -> None:
            try:
                got = call(*arguments, timeout=timeout)
            except isthmus.Empty:
                return
            if got:
                raise RuntimeError("there was something")

        return wait

    waits = {
        "Queue.get": nothing(queue.get),
        "Queue.get_many": nothing(queue.get_many, 100),
        "Subscriber.recv": nothing(subscriber.recv),
        "isthmus.wait of both": nothing(isthmus.wait, [queue, subscriber]),
    }

    def spent(wait: Callable[[float], object]) -> Callable[[], float]:
        def work() -> float:
            wait(0.02)  # the first one opens the handle anew, in this process
            before, begin = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
            wait(IDLE_SECONDS)
            after, waited = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - begin
            if waited < IDLE_SECONDS:
                raise RuntimeError("the wait ended too early")
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            return used / waited

        return work

    for label, wait in waits.items():
        part = in_children([spent(wait)], two_cores())[0]
        result.figures[label] = part
        result.rows.append((label, f"{part:.3%}"))
    result.met = max(map(float, result.figures.values())) < 0.005  # type: ignore[arg-type]
    subscriber.close()
    publisher.close()
    queue.close()
    return result


# ---- Memory ----------------------------------------------------------------------------


def resident() -> int:
    """Bytes of this process in memory; shared ones in proportion to who shares them."""
    text = Path("/proc/self/smaps_rollup").read_text()
    match = re.search(r"^Pss: +(\d+) kB", text, re.MULTILINE)
    if match is None:
        raise RuntimeError("/proc/self/smaps_rollup has no Pss")
    return int(match[1]) * 1024


def used_queue() -> list[Any]:
    queue = isthmus.Queue(None, capacity=DATA)
    message, count = bytes(64), DATA // 128
    # All of the data is in memory then.
    for _ in range(3):
        queue.put_many([message] * count)
        queue.get_many(count)
    return [queue]


def used_topic() -> list[Any]:
    publisher = isthmus.Publisher(None, capacity=DATA)
    message, count = bytes(64), DATA // 128
    with publisher.subscriber() as subscriber:
        for _ in range(3):
            publisher.publish_many([message] * count)
            subscriber.recv_many(count)
    return [publisher]


def memory() -> Comparison:
    result = Comparison(
        "Resident memory of a handle of its own object of 1 MiB, all of it in use, beyond that",
        "under 100 KiB",
        ("handle", "each"),
    )

    def growth(make: Callable[[], list[Any]]) -> Callable[[], float]:
        def work() -> float:
            make()[0].close()
            kept = []
            before = resident()
            for _ in range(HANDLES):
                kept += make()
            return (resident() - before) / HANDLES - DATA

        return work

    for label, make in (("Queue", used_queue), ("Publisher", used_topic)):
        beyond = in_children([growth(make)], two_cores())[0]
        result.figures[label] = beyond
        result.rows.append((label, f"{beyond / 1024:.1f} KiB"))
    result.met = max(map(float, result.figures.values())) < 100 * 1024  # type: ignore[arg-type]
    return result


def thousand() -> Comparison:
    result = Comparison(
        f"{MANY} queues open at once in one process, a message through each",
        f"{MANY}, if there may be so many descriptors",
        ("open", "descriptors each", "opening each", "memory each"),
    )
    facts = multiprocessing.RawArray("d", 4)

    def work() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = DESCRIPTORS * MANY + SPARE
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        open_before, before = len(os.listdir("/proc/self/fd")), resident()
        begin = time.perf_counter()
        queues = [isthmus.Queue(None, capacity=4096) for _ in range(MANY)]
        spent = time.perf_counter() - begin
        for number, queue in enumerate(queues):
            queue.put(number)
        if [queue.get() for queue in queues] != list(range(MANY)):
            raise RuntimeError("a queue gave another's message")
        each = len(os.listdir("/proc/self/fd")) - open_before
        facts[:] = [len(queues), each / MANY, spent / MANY, (resident() - before) / MANY]

    in_children([work], two_cores())
    opened, descriptors, seconds, size = facts
    result.figures.update(open=opened, descriptors=descriptors, open_s=seconds, resident=size)
    result.rows.append(
        (f"{opened:.0f}", f"{descriptors:.2f}", duration(seconds), f"{size / 1024:.1f} KiB")
    )
    result.met = opened == MANY
    return result


def holding_comparisons() -> list[Comparison]:
    return [idle(), memory(), thousand()]
