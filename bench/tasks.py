"""asyncio: round trips and streams of 64 bytes between the loops of two processes; idle tasks."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from contest import QUICK, Comparison, Contest, Goal, Meeting, Party, in_children, two_cores
from harness import duration

import isthmus
from isthmus import aio

# The default where there are several processors; this process is pinned to one.
SPIN = 20
SIZE = 64
MESSAGE = b"m" * SIZE
ROUNDS = 9
# Messages that the senders of streams hand over at once: theirs is not the time that counts.
BATCH = 256

Send = Callable[[bytes], Awaitable[object]]
Receive = Callable[[], Awaitable[bytes]]
# One end of a connection: made in the process, and on the loop, that uses it.
End = Callable[[], Coroutine[Any, Any, tuple[Send, Receive]]]


# ---- Connections ---------------------------------------------------------------------------


def queues(spin: float = SPIN) -> tuple[End, End]:
    one, other = aio.Queue(spin=spin), aio.Queue(spin=spin)

    async def first() -> tuple[Send, Receive]:
        return one.put, other.get

    async def second() -> tuple[Send, Receive]:
        return other.put, one.get

    return first, second


def topics() -> tuple[End, End]:
    one, other = aio.Publisher(spin=SPIN), aio.Publisher(spin=SPIN)

    # Subscribers of this process itself would read nothing, and be in the way.
    async def first() -> tuple[Send, Receive]:
        return one.publish, other.subscriber(spin=SPIN).recv

    async def second() -> tuple[Send, Receive]:
        return other.publish, one.subscriber(spin=SPIN).recv

    return first, second


async def end_of_socket(
    pair: tuple[socket.socket, socket.socket], which: int, streamed: bool
) -> tuple[Send, Receive]:
    """By the calls of the loop itself, or by streams."""
    loop, sock = asyncio.get_running_loop(), pair[which]
    pair[1 - which].close()
    sock.setblocking(False)
    if not streamed:
        return partial(loop.sock_sendall, sock), partial(loop.sock_recv, sock, SIZE)
    reader, writer = await asyncio.open_unix_connection(sock=sock)

    async def send(message: bytes) -> None:
        writer.write(message)
        await writer.drain()

    return send, partial(reader.readexactly, SIZE)


def sockets(streamed: bool) -> tuple[End, End]:
    pair = socket.socketpair()
    return partial(end_of_socket, pair, 0, streamed), partial(end_of_socket, pair, 1, streamed)


# ---- Round trips ---------------------------------------------------------------------------


def round_trip(connect: Callable[[], tuple[End, End]], count: int) -> float:
    meeting = Meeting(2)
    ends = connect()

    async def first() -> float:
        send, receive = await ends[0]()
        meeting.wait(0)
        for _ in range(count // 10):
            await send(MESSAGE)
            await receive()
        begin = time.perf_counter()
        for _ in range(count):
            await send(MESSAGE)
            answer = await receive()
        end = time.perf_counter()
        if answer != MESSAGE:
            raise RuntimeError("what came back is not what was sent")
        return (end - begin) / count

    async def second() -> None:
        send, receive = await ends[1]()
        meeting.wait(1)
        for _ in range(count // 10 + count):
            await send(await receive())

    works = [lambda: asyncio.run(first()), lambda: asyncio.run(second())]
    return in_children(works, two_cores())[0]


def trips() -> Contest:
    queue, sock, stream = "isthmus.aio.Queue", "loop.sock_*, socketpair", "asyncio streams"
    topic = "isthmus.aio.Publisher, Subscriber"
    parties = [
        Party(queue, partial(round_trip, queues), 20_000),
        Party(topic, partial(round_trip, topics), 20_000),
        Party(f"{queue}, spin=0: by descriptor", partial(round_trip, partial(queues, 0)), 4_000),
        Party(sock, partial(round_trip, partial(sockets, False)), 4_000),
        Party(stream, partial(round_trip, partial(sockets, True)), 4_000),
    ]
    goals = [Goal(label, sock, at_least=1) for label in (queue, topic)]
    goals += [Goal(label, stream, at_least=2) for label in (queue, topic)]
    return Contest("Round trip of 64 bytes between two event loops", parties, goals, ROUNDS).run()


# ---- Consumption under load ----------------------------------------------------------------


def one_way(send: Callable[[int], None], receive: End, count: int, fair: bool = True) -> float:
    """Seconds a message takes its reader, which has another task to be fair to."""
    meeting = Meeting(2)

    async def reader() -> float:
        ends = await receive()  # both: a stream that nobody could write to would be closed
        take = ends[1]
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        task = asyncio.create_task(other())
        meeting.wait(1)
        begin = time.perf_counter()
        for _ in range(count):
            message = await take()
        end = time.perf_counter()
        task.cancel()
        if len(message) != SIZE:
            raise RuntimeError("what came is not what was sent")
        if fair and turns < (end - begin) / 0.02:
            raise RuntimeError("the other task was not let run")
        return (end - begin) / count

    def writer() -> None:
        meeting.wait(0)
        send(count)

    return in_children([writer, lambda: asyncio.run(reader())], two_cores())[1]


def load_queue(count: int) -> float:
    queue = isthmus.Queue(capacity="4 MiB", spin=SPIN)

    def send(count: int) -> None:
        for _ in range(count):
            queue.put(MESSAGE)

    async def receive() -> tuple[Send, Receive]:
        reading = aio.Queue.of(queue)
        return reading.put, reading.get

    return one_way(send, receive, count)


def load_topic(count: int) -> float:
    publisher = isthmus.Publisher(capacity="4 MiB", spin=SPIN)

    def send(count: int) -> None:
        for _ in range(count):
            publisher.publish(MESSAGE)

    async def receive() -> tuple[Send, Receive]:
        writing = aio.Publisher.of(publisher)
        return writing.publish, writing.subscriber(spin=SPIN).recv

    return one_way(send, receive, count)


def load_sockets(streamed: bool, batched: bool, count: int) -> float:
    pair = socket.socketpair()

    def send(count: int) -> None:
        pair[1].close()
        batch = BATCH if batched else 1
        messages = MESSAGE * batch
        for _ in range(count // batch):
            pair[0].sendall(messages)
        pair[0].sendall(MESSAGE * (count % batch))

    async def receive() -> tuple[Send, Receive]:
        return await end_of_socket(pair, 1, streamed)

    # One that never waits never lets others run.
    return one_way(send, receive, count, fair=False)


def loads() -> Contest:
    queue, topic = "isthmus.aio.Queue", "isthmus.aio.Subscriber"
    sock, stream = "loop.sock_recv", "asyncio streams"
    together = f"{BATCH} sent at once"
    parties = [
        Party(queue, load_queue, 200_000),
        Party(topic, load_topic, 200_000),
        Party(sock, partial(load_sockets, False, False), 50_000),
        Party(stream, partial(load_sockets, True, False), 50_000),
        Party(f"{sock}, {together}", partial(load_sockets, False, True), 50_000),
        Party(f"{stream}, {together}", partial(load_sockets, True, True), 50_000),
    ]
    goals = [Goal(each, other, at_least=5) for each in (queue, topic) for other in (sock, stream)]
    title = "Messages of 64 bytes, one by one, read by a task while another process sends"
    return Contest(title, parties, goals, ROUNDS, rate=True).run()


# ---- Idle tasks ----------------------------------------------------------------------------

TASKS = 1_000


def idle(kind: str, seconds: float) -> float:
    """Seconds of a processor that a process uses in which so many tasks wait for nothing."""

    async def wait() -> float:
        async with AsyncExitStack() as stack:
            publisher = await stack.enter_async_context(aio.Publisher(participants=2 * TASKS))
            if kind == "asyncio.sleep":
                tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(TASKS)]
            else:
                tasks = [
                    asyncio.create_task((await stack.enter_async_context(sub)).recv())
                    for sub in (publisher.subscriber() for _ in range(TASKS))
                ]
            await asyncio.sleep(0.5)  # until all of them are asleep
            begin = resource.getrusage(resource.RUSAGE_SELF)
            await asyncio.sleep(seconds)
            end = resource.getrusage(resource.RUSAGE_SELF)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime

    def work() -> float:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * TASKS), hard))
        return asyncio.run(wait())

    return in_children([work], two_cores())[0]


def idling() -> Comparison:
    seconds = 0.2 if QUICK else 3.0
    kinds = ("subscribers that wait", "asyncio.sleep")
    used = {kind: idle(kind, seconds) for kind in kinds}
    return Comparison(
        f"{TASKS} tasks that wait, for {seconds:g} s",
        "no processor time beyond that of the loop itself: at most 1 ms a second",
        ["tasks", "time used", "of one processor"],
        [(kind, duration(value), f"{value / seconds:.3%}") for kind, value in used.items()],
        dict(used),
        used[kinds[0]] - used[kinds[1]] <= 1e-3 * seconds,
    )


def task_contests() -> list[Contest | Comparison]:
    return [trips(), loads(), idling()]
