"""What looking costs: those who look, with thousands of objects, and those who are looked at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness import CORES, Contender, Race

import isthmus
from isthmus import inspect

OBJECTS = 5000
NAME = f"bench-inspecting-{os.getpid()}"
# Looks a second: ten times what `isthmus top` does.
PACE = 10


def run_command(*words: str) -> Callable[[int], object]:
    def run(count: int) -> None:
        for _ in range(count):
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)

    return run


def times(look: Callable[[], object]) -> Callable[[int], object]:
    def run(count: int) -> None:
        for _ in range(count):
            look()

    return run


def listing_race() -> Race:
    """Half of the objects are queues with messages, half are events."""
    kept = []
    for number in range(OBJECTS // 2):
        queue = isthmus.Queue(f"{NAME}/q{number}", capacity=4096, participants=8)
        queue.put(number)
        kept.append((queue, isthmus.Event(f"{NAME}/e{number}")))
    watch = inspect.Watch()
    command = [sys.executable, "-m", "isthmus", "ls"]
    contenders = [
        Contender("isthmus ls (a whole process)", run_command(*command), 1),
        Contender("inspect.objects()", times(inspect.objects), 1),
        Contender("inspect.objects(users=False)", times(lambda: inspect.objects(users=False)), 1),
        Contender("inspect.Watch.look()", times(watch.look), 1),
        Contender("ls -l /dev/shm", run_command("ls", "-l", "/dev/shm"), 1),
    ]
    if shutil.which("lsof"):
        contenders.append(Contender("lsof /dev/shm", run_command("lsof", "/dev/shm"), 1))
    race = Race(f"List {OBJECTS} objects", contenders, "isthmus ls within 2 s", rounds=7).run()
    for queue, _ in kept:
        queue.close()
    return race


@contextmanager
def watcher() -> Iterator[None]:
    """A process on the other core that looks at everything, PACE times a second."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, {CORES[0]})
        watch = inspect.Watch()
        parent = os.getppid()
        watch.look()
        os.write(tell, b"!")
        while os.getppid() == parent:
            watch.look()
            time.sleep(1 / PACE)
        os._exit(0)
    os.read(ready, 1)
    try:
        yield
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(tell)


def watched_race() -> Race:
    """A put and a get, while somebody watches the queue and while nobody does."""
    queue = isthmus.Queue(f"{NAME}/watched")

    def alone(count: int) -> None:
        for _ in range(count):
            queue.put(1)
            queue.get()

    def watched(count: int) -> None:
        alone(count)

    # The watcher must not run in the other's turns, and starting it is not to be timed.
    race = Race(
        f"Put and get an int while a queue is watched {PACE} times a second",
        [Contender("watched", watched, 1_000_000), Contender("not watched", alone, 1_000_000)],
        "within the noise: 1.02",
        rounds=9,
    )
    race.times = {one.label: [] for one in race.contenders}
    alone(100_000)
    for turn in range(2 * race.rounds):
        contender = race.contenders[turn % 2]
        if contender.label == "watched":
            with watcher():
                spent = timed(contender)
        else:
            spent = timed(contender)
        race.times[contender.label].append(spent)
    queue.close()
    return race


def timed(contender: Contender) -> float:
    start = time.perf_counter()
    contender.run(contender.count)
    return (time.perf_counter() - start) / contender.count


def inspecting_races() -> list[Race]:
    return [listing_race(), watched_race()]
