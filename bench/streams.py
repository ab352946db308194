"""How many messages of 64 bytes pass: one way, in batches, several to several, one to all.

Every message is counted, and checked to be the one that was due; where any of several may get it,
by the sum of their numbers.
"""

from __future__ import annotations

import itertools
import multiprocessing
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import carriers
from carriers import Carrier
from contest import Contest, Goal, Meeting, Party, in_children, two_cores

# Looked at one by one only in pieces: what was due next has to be the last of each.
PIECE = 1_000
BATCH = 100
CROWD = 4
ROUNDS = 9


def check(right: bool) -> None:
    if not right:
        raise RuntimeError("a message got lost, or out of order")


# ---- One way ---------------------------------------------------------------------------


def warm_up(count: int) -> int:
    """How many pass before those that count: a tenth, in whole pieces."""
    return -(-count // 10 // PIECE) * PIECE


def one_way(kind: Callable[[], Carrier], count: int) -> float:
    meeting = Meeting(2)
    wanted = carriers.messages(PIECE)

    def send_all(send: carriers.Send, count: int) -> None:
        for _ in range(count // PIECE):
            for message in wanted:
                send(message)

    def first(there: Carrier) -> float:
        send = there.sender()
        meeting.wait(0)
        send_all(send, warm_up(count))
        meeting.wait(0)
        begin = time.perf_counter()
        send_all(send, count)
        there.sent()
        return begin

    def second(there: Carrier) -> float:
        receive = there.receiver()
        meeting.wait(1)
        receive_all(receive, wanted, warm_up(count))
        meeting.wait(1)
        receive_all(receive, wanted, count)
        return time.perf_counter()

    with carriers.carriers(kind) as (there,):
        begin, end = in_children([partial(first, there), partial(second, there)], two_cores())
    return (end - begin) / count


def receive_all(receive: carriers.Receive, wanted: list[bytes], count: int) -> None:
    for _ in range(count // PIECE):
        piece = [receive() for _ in itertools.repeat(None, PIECE)]
        check(piece[0] == wanted[0] and piece[-1] == wanted[-1])


def one_way_contest() -> Contest:
    queue, topic = "isthmus.Queue", "isthmus.Publisher, Subscriber"
    parties = [
        Party(queue, partial(one_way, carriers.QueueCarrier), 500_000),
        Party(topic, partial(one_way, carriers.TopicCarrier), 500_000),
    ]
    absent = []
    for module, kind, count in (
        ("zeroq", carriers.ZeroqCarrier, 300_000),
        ("pyzmq", carriers.ZmqCarrier, 100_000),
        ("faster_fifo", carriers.FasterFifoCarrier, 50_000),
    ):
        if carriers.installed("zmq" if module == "pyzmq" else module):
            parties.append(Party(module, partial(one_way, kind), count))
        else:
            absent.append(module)
    parties += [
        Party("multiprocessing.Pipe", partial(one_way, carriers.PipeCarrier), 50_000),
        Party(
            "multiprocessing.Queue", partial(one_way, carriers.MultiprocessingQueueCarrier), 30_000
        ),
    ]
    goals = [Goal(label, "zeroq", at_least=2) for label in (queue, topic)]
    title = "One way, 64 bytes, one call a message"
    return Contest(title, parties, goals, ROUNDS, absent, rate=True).run()


# ---- Batches ---------------------------------------------------------------------------


def batches(kind: Callable[[], Carrier], many: tuple[str, str], count: int) -> float:
    """By the methods `many` of what sends and what receives."""
    meeting = Meeting(2)
    wanted = carriers.messages(PIECE)
    split = [wanted[at : at + BATCH] for at in range(0, PIECE, BATCH)]

    def put_all(put_many: Callable[[list[bytes]], object], count: int) -> None:
        for _ in range(count // PIECE):
            for batch in split:
                put_many(batch)

    def get_all(get_many: Callable[[int], list[bytes]], count: int) -> None:
        got = 0
        while got < count:
            batch = get_many(BATCH)
            check(batch[0] == wanted[got % PIECE])
            got += len(batch)
            check(batch[-1] == wanted[(got - 1) % PIECE])
        check(got == count)

    def first(there: Carrier) -> float:
        put_many = getattr(_owner(there.sender()), many[0])
        meeting.wait(0)
        put_all(put_many, warm_up(count))
        meeting.wait(0)
        begin = time.perf_counter()
        put_all(put_many, count)
        return begin

    def second(there: Carrier) -> float:
        get_many = getattr(_owner(there.receiver()), many[1])
        meeting.wait(1)
        get_all(get_many, warm_up(count))
        meeting.wait(1)
        get_all(get_many, count)
        return time.perf_counter()

    with carriers.carriers(kind) as (there,):
        begin, end = in_children([partial(first, there), partial(second, there)], two_cores())
    return (end - begin) / count


def _owner(method: Any) -> Any:
    return method.__self__


class FasterFifoBatches(carriers.FasterFifoCarrier):
    """Its `get_many` takes the limit by name."""

    def put_many(self, batch: list[bytes]) -> None:
        self.queue.put_many(batch)

    def get_many(self, most: int) -> Any:
        return self.queue.get_many(max_messages_to_get=most)

    def sender(self, number: int = 0) -> carriers.Send:
        return self.send

    def receiver(self) -> carriers.Receive:
        return self.take

    def send(self, message: bytes) -> None:
        self.queue.put(message)

    def take(self) -> bytes:
        return self.queue.get()  # type: ignore[no-any-return]


def batches_contest() -> Contest:
    queue, topic, rival = "isthmus.Queue", "isthmus.Publisher, Subscriber", "faster_fifo"
    methods = ("put_many", "get_many")
    parties = [
        Party(queue, partial(batches, carriers.QueueCarrier, methods), 2_000_000),
        Party(
            topic,
            partial(batches, carriers.TopicCarrier, ("publish_many", "recv_many")),
            2_000_000,
        ),
    ]
    absent = []
    if carriers.installed(rival):
        parties.append(Party(rival, partial(batches, FasterFifoBatches, methods), 200_000))
    else:
        absent.append(rival)
    goals = [Goal(label, rival, at_least=12) for label in (queue, topic)]
    title = f"One way, 64 bytes, in batches of {BATCH}"
    return Contest(title, parties, goals, ROUNDS, absent, rate=True).run()


# ---- Several to several ----------------------------------------------------------------


def crowd(kind: Callable[[], Carrier], count: int) -> float:
    """Four put, four get; two of each on either core."""
    meeting = Meeting(2 * CROWD)
    each = count // CROWD
    wanted = carriers.messages(each)
    sums = multiprocessing.RawArray("q", CROWD)

    def producer(there: Carrier, number: int) -> float:
        send = there.sender()
        meeting.wait(number)
        for message in wanted[: each // 10]:
            send(message)
        meeting.wait(number)
        begin = time.perf_counter()
        for message in wanted:
            send(message)
        there.sent()
        return begin

    def consumer(there: Carrier, number: int) -> float:
        receive = there.receiver()
        meeting.wait(CROWD + number)
        for _ in itertools.repeat(None, each // 10):
            receive()
        meeting.wait(CROWD + number)
        got = [receive() for _ in itertools.repeat(None, each)]
        end = time.perf_counter()
        sums[number] = sum(int.from_bytes(message[:8], "little") for message in got)
        check(all(message == message[:8] * (carriers.SIZE // 8) for message in got))
        return end

    with carriers.carriers(kind) as (there,):
        works: list[Callable[[], float]] = []
        works += [partial(producer, there, number) for number in range(CROWD)]
        works += [partial(consumer, there, number) for number in range(CROWD)]
        times = in_children(works, two_cores())
    check(sum(sums) == CROWD * sum(range(each)))
    return (max(times[CROWD:]) - min(times[:CROWD])) / count


def crowd_contest() -> Contest:
    queue = "isthmus.Queue"
    parties = [Party(queue, partial(crowd, carriers.QueueCarrier), 400_000)]
    absent = []
    for module, kind, count in (
        ("zeroq", carriers.ZeroqCarrier, 200_000),
        ("faster_fifo", carriers.FasterFifoCarrier, 40_000),
    ):
        if carriers.installed(module):
            parties.append(Party(module, partial(crowd, kind), count))
        else:
            absent.append(module)
    parties.append(
        Party("multiprocessing.Queue", partial(crowd, carriers.MultiprocessingQueueCarrier), 20_000)
    )
    goals = [Goal(queue, "zeroq", at_least=1)]
    title = "4 producers, 4 consumers, 64 bytes, on two cores"
    return Contest(title, parties, goals, ROUNDS, absent, rate=True).run()


# ---- One to all ------------------------------------------------------------------------


def fan_out(kinds: Sequence[Callable[[], Carrier]], count: int) -> float:
    """To four receivers: over one carrier that reaches all, or over one for each."""
    meeting = Meeting(1 + CROWD)
    wanted = carriers.messages(PIECE)

    def send_all(sends: Sequence[carriers.Send], count: int) -> None:
        if len(sends) == 1:
            (send,) = sends
            for _ in range(count // PIECE):
                for message in wanted:
                    send(message)
        else:
            for _ in range(count // PIECE):
                for message in wanted:
                    for send in sends:
                        send(message)

    def first(there: Sequence[Carrier]) -> float:
        sends = [carrier.sender() for carrier in there]
        meeting.wait(0)
        send_all(sends, warm_up(count))
        meeting.wait(0)
        begin = time.perf_counter()
        send_all(sends, count)
        for carrier in there:
            carrier.sent()
        return begin

    def other(there: Sequence[Carrier], number: int) -> float:
        receive = there[number % len(there)].receiver()
        meeting.wait(1 + number)
        receive_all(receive, wanted, warm_up(count))
        meeting.wait(1 + number)
        receive_all(receive, wanted, count)
        return time.perf_counter()

    with carriers.carriers(*kinds) as there:
        works = [partial(first, there), *(partial(other, there, n) for n in range(CROWD))]
        times = in_children(works, two_cores())
    return (max(times[1:]) - times[0]) / count


def fan_out_contest() -> Contest:
    topic, rival = "isthmus.Publisher, 4 Subscribers", "loop over 4 multiprocessing pipes"
    parties = [
        Party(topic, partial(fan_out, [carriers.TopicCarrier]), 200_000),
        Party(rival, partial(fan_out, [carriers.PipeCarrier] * CROWD), 20_000),
    ]
    goals = [Goal(topic, rival, at_least=10)]
    title = "1 publisher, 4 subscribers, 64 bytes, each gets all"
    return Contest(title, parties, goals, ROUNDS, rate=True).run()


def stream_contests() -> list[Contest]:
    return [one_way_contest(), batches_contest(), crowd_contest(), fan_out_contest()]
