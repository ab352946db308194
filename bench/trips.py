"""Round trips of 64 bytes between two processes on two cores."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import partial

import carriers
import programs
from carriers import Carrier
from contest import Contest, Goal, Meeting, Party, in_children, two_cores

# Longer than any answer takes, so that nobody goes to sleep.
SPIN = 200
ROUNDS = 11


def round_trip(kind: Callable[[], Carrier], count: int) -> float:
    """Seconds for a message there, and the same one back."""
    meeting = Meeting(2)
    cores = two_cores()
    message = carriers.messages(256)[255]
    with carriers.carriers(kind, kind) as (there, back):

        def first() -> float:
            receive, send = back.receiver(), there.sender()
            meeting.wait(0)
            for _ in itertools.repeat(None, count // 10):
                send(message)
                receive()
            begin = time.perf_counter()
            for _ in itertools.repeat(None, count):
                send(message)
                receive()
            end = time.perf_counter()
            send(message)
            if receive() != message:
                raise RuntimeError("what came back is not what was sent")
            there.sent()
            return (end - begin) / count

        def second() -> None:
            receive, send = there.receiver(), back.sender()
            meeting.wait(1)
            for _ in itertools.repeat(None, count // 10 + count + 1):
                send(receive())
            back.sent()

        return in_children([first, second], cores)[0]


def party(label: str, kind: Callable[[], Carrier], count: int) -> Party:
    return Party(label, partial(round_trip, kind), count)


def c_party(label: str, *arguments: str, count: int) -> Party:
    """A program of bench/c, which forks and pins itself."""

    def measure(count: int) -> float:
        return programs.seconds(*arguments, str(count), *map(str, two_cores()))

    return Party(label, measure, count)


def spinning() -> Contest:
    c, queue, topic = "C, spinning on two words", "isthmus.Queue", "isthmus.Publisher, Subscriber"
    rival = "iceoryx2, loans"
    parties = [
        party(queue, partial(carriers.QueueCarrier, SPIN), 100_000),
        party(topic, partial(carriers.TopicCarrier, SPIN), 100_000),
        party(f"{queue}, spin as by default", carriers.QueueCarrier, 100_000),
        c_party(c, "spin", count=500_000),
        c_party("C, isthmus_ring_write and _read on queues", "ring", "queue", count=200_000),
        c_party("C, the same on topics", "ring", "topic", count=200_000),
    ]
    absent = []
    if carriers.installed("iceoryx2"):
        parties.append(party(rival, carriers.IceoryxSpinning, 20_000))
    else:
        absent.append("iceoryx2")
    if carriers.installed("zeroq"):
        parties.append(party("zeroq", carriers.ZeroqCarrier, 1_000))
    goals = [Goal(label, rival, at_least=6) for label in (queue, topic)]
    goals += [Goal(label, c, at_most=3.5) for label in (queue, topic)]
    title = "Round trip of 64 bytes, spinning, on two cores"
    return Contest(title, parties, goals, ROUNDS, absent).run()


def blocking() -> Contest:
    queue, topic = "isthmus.Queue, spin=0", "isthmus.Publisher, Subscriber, spin=0"
    rival = "two posix_ipc semaphores, raw segment"
    parties = [
        party(queue, partial(carriers.QueueCarrier, 0), 4_000),
        party(topic, partial(carriers.TopicCarrier, 0), 4_000),
        party(rival, carriers.SemaphoreCarrier, 4_000),
        party("posix_ipc.MessageQueue", carriers.PosixQueueCarrier, 4_000),
        party("multiprocessing.Pipe", carriers.PipeCarrier, 4_000),
        party("multiprocessing.Queue", carriers.MultiprocessingQueueCarrier, 2_000),
    ]
    goals = [Goal(label, rival, at_most=1) for label in (queue, topic)]
    return Contest("Round trip of 64 bytes, asleep in between", parties, goals, ROUNDS).run()
