"""Several processes at one lock, and two that answer each other."""

from __future__ import annotations

import mmap
import os
import resource
import statistics
import time
from collections.abc import Callable, Sequence

import posix_ipc
from contest import Comparison, in_children
from harness import duration

import isthmus

ROUNDS = 5
# Long enough for the scheduler to have given each of eight its turn on two cores.
SECONDS = 1.5
CROWDED_ROUNDS = 3
TRIPS_ASLEEP = 4_000
TRIPS_AWAKE = 40_000
IDLE_SECONDS = 3.0


# ---- A counter that all want ---------------------------------------------------------


def counting(lock: object, counter: memoryview, start: float) -> Callable[[], int]:
    def work() -> int:
        acquire, release = lock.acquire, lock.release  # type: ignore[attr-defined]
        while time.monotonic() < start:
            pass
        end = start + SECONDS
        done = 0
        while time.monotonic() < end:
            for _ in range(50):
                acquire()
                counter[0] += 1
                release()
            done += 50
        return done

    return work


def contention(cores: Sequence[int]) -> Comparison:
    import multiprocessing

    result = Comparison(
        "One counter under one lock",
        "as many as with multiprocessing.Lock; no process under half of its fair share",
        ("processes", "isthmus.Lock", "multiprocessing.Lock", "ratio", "least share", "its least"),
    )
    counter = memoryview(mmap.mmap(-1, 8)).cast("q")
    locks = {"isthmus": isthmus.Lock(), "multiprocessing": multiprocessing.Lock()}
    for processes in (2, 4, 8):
        rates: dict[str, list[float]] = {label: [] for label in locks}
        shares: dict[str, list[float]] = {label: [] for label in locks}
        for _ in range(CROWDED_ROUNDS):
            for label, lock in locks.items():
                before = counter[0]
                start = time.monotonic() + 0.05
                done = in_children([counting(lock, counter, start)] * processes, cores)
                if counter[0] - before != sum(done):
                    raise RuntimeError(f"{label}: {sum(done)} increments gave {counter[0]}")
                rates[label].append(sum(done) / SECONDS)
                shares[label].append(min(done) * processes / sum(done))
        ratios = [a / b for a, b in zip(*rates.values(), strict=True)]
        result.figures[f"{processes} processes"] = {
            "rates_per_s": rates, "least_shares": shares, "ratio": statistics.median(ratios)
        }  # fmt: skip
        result.rows.append(
            (
                str(processes),
                *(f"{statistics.median(rates[label]) / 1e6:.2f} M/s" for label in locks),
                f"{statistics.median(ratios):.2f}",
                *(f"{min(shares[label]):.2f}" for label in locks),
            )
        )
    return result


# ---- Ping-pong ------------------------------------------------------------------------


def by_semaphore(pair: Sequence[object], trips: int) -> list[Callable[[], float]]:
    def first() -> float:
        begin = time.perf_counter()
        for _ in range(trips):
            pair[0].release()  # type: ignore[attr-defined]
            pair[1].acquire()  # type: ignore[attr-defined]
        return (time.perf_counter() - begin) / trips

    def second() -> float:
        for _ in range(trips):
            pair[0].acquire()  # type: ignore[attr-defined]
            pair[1].release()  # type: ignore[attr-defined]
        return 0.0

    return [first, second]


def by_event(pair: Sequence[isthmus.Event], trips: int) -> list[Callable[[], float]]:
    def first() -> float:
        begin = time.perf_counter()
        for _ in range(trips):
            pair[0].set()
            pair[1].wait()
            pair[1].clear()
        return (time.perf_counter() - begin) / trips

    def second() -> float:
        for _ in range(trips):
            pair[0].wait()
            pair[0].clear()
            pair[1].set()
        return 0.0

    return [first, second]


def ping_pong(cores: Sequence[int]) -> Comparison:
    result = Comparison(
        "Ping-pong between two processes on two cores, a round trip",
        "asleep: at most 1 of posix_ipc; spinning: at most 0.1",
        ("contender", "median", "fastest", "this / posix_ipc"),
    )
    names = [f"/bench-{os.getpid()}-{side}" for side in "ab"]
    posix = [posix_ipc.Semaphore(name, posix_ipc.O_CREX) for name in names]
    contenders = {
        "posix_ipc.Semaphore": (TRIPS_ASLEEP, by_semaphore, posix),
        "isthmus.Semaphore, asleep": (TRIPS_ASLEEP, by_semaphore, _semaphores(0)),
        "isthmus.Event, asleep": (TRIPS_ASLEEP, by_event, _events(0)),
        "isthmus.Semaphore, by default": (TRIPS_AWAKE, by_semaphore, _semaphores(None)),
        "isthmus.Semaphore, spinning": (TRIPS_AWAKE, by_semaphore, _semaphores(200)),
        "isthmus.Event, spinning": (TRIPS_AWAKE, by_event, _events(200)),
    }
    times: dict[str, list[float]] = {label: [] for label in contenders}
    for _ in range(ROUNDS):
        for label, (trips, works, pair) in contenders.items():
            times[label].append(in_children(works(pair, trips), cores)[0])  # type: ignore[operator]
    for semaphore in posix:
        semaphore.unlink()
    base = times["posix_ipc.Semaphore"]
    for label, spent in times.items():
        ratio = statistics.median(a / b for a, b in zip(spent, base, strict=True))
        result.figures[label] = {"rounds_s": spent, "ratio": ratio}
        result.rows.append(
            (label, duration(statistics.median(spent)), duration(min(spent)), f"{ratio:.3f}")
        )
    return result


def _semaphores(spin: int | None) -> list[isthmus.Semaphore]:
    return [isthmus.Semaphore(None, 0, spin=spin) for _ in range(2)]


def _events(spin: int | None) -> list[isthmus.Event]:
    return [isthmus.Event(None, spin=spin) for _ in range(2)]


# ---- Waiting ---------------------------------------------------------------------------


def idling(cores: Sequence[int]) -> Comparison:
    result = Comparison(
        "Processor time of one that waits",
        "under 0.5 % of a core",
        ("waiting in", "of a core"),
    )
    lock = isthmus.Lock()
    waits: dict[str, Callable[[], object]] = {
        "Lock.acquire": lambda: lock.acquire(timeout=IDLE_SECONDS),
        "Semaphore.acquire": lambda: isthmus.Semaphore(None, 0).acquire(timeout=IDLE_SECONDS),
        "Event.wait": lambda: isthmus.Event().wait(IDLE_SECONDS),
        "AtomicInt.wait_while": lambda: isthmus.AtomicInt().wait_while(0, IDLE_SECONDS),
    }

    def spent(wait: Callable[[], object]) -> Callable[[], float]:
        def work() -> float:
            before = resource.getrusage(resource.RUSAGE_SELF)
            wait()
            after = resource.getrusage(resource.RUSAGE_SELF)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            return used / IDLE_SECONDS

        return work

    with lock:
        for label, wait in waits.items():
            part = in_children([spent(wait)], cores)[0]
            result.figures[label] = part
            result.rows.append((label, f"{part:.3%}"))
    return result


def peer_comparisons() -> list[Comparison]:
    """This process is pinned to one core; its children need two."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        cores = sorted(os.sched_getaffinity(0))[-2:]
        return [contention(cores), ping_pong(cores), idling(cores)]
    finally:
        os.sched_setaffinity(0, before)
