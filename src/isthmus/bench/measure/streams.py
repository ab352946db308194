"""Messages in one direction, from one sender or several, as fast as they go."""

from __future__ import annotations

import gc
import mmap
import time
from contextlib import contextmanager
from functools import partial
from itertools import repeat

from isthmus.bench.errors import Disorder
from isthmus.bench.measure.carriers import carriers
from isthmus.bench.measure.crew import Gate, Meeting, Work
from isthmus.bench.measure.figures import messages, piece

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from isthmus.bench.measure.carriers import Carrier, Receive

# The share of its time that a run warms up: buffers are full then, if they ever are.
WARM_UP = 0.3
# Seconds for what was sent last to be received. Then something got lost, and nobody will.
ARRIVES = 10.0
_LOST = "a message got lost, damaged, or out of order"


class Board:
    """How many messages each sender will have sent, written before the last of them are."""

    def __init__(self, senders: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, 8 * senders)).cast("q")

    def announce(self, number: int, count: int) -> None:
        self._counts[number] = count

    def total(self) -> int:
        """Of all; -1 until all have said it."""
        counts = self._counts.tolist()
        return sum(counts) if all(counts) else -1


@contextmanager
def streams(
    kind: Callable[[], Carrier], size: int, peers: int, seconds: float
) -> Iterator[list[Work]]:
    """Work for a receiver and `peers` senders.

    The receiver gives (messages a second, messages, its CPU seconds), the senders (messages, CPU
    seconds). Messages come in pieces, all alike, between which the clock is looked at; of one
    sender, the first and the last of each piece must be those that are due, of several, all.
    """
    meeting = Meeting(1 + peers)
    board, gate = Board(peers), Gate()
    count = piece(size, peers)
    pools = [messages(size, count, number * count) for number in range(peers)]

    with carriers(kind) as (there,):

        def sender(number: int) -> tuple[int, float]:
            meeting.wait(1 + number)
            send = there.sender(number)
            meeting.wait(1 + number)
            used = time.process_time()
            sent = _send_all(send, number, pools[number], board, seconds)
            # Who leaves earlier takes along what the other side has not read yet, with some.
            if not gate.wait(ARRIVES):
                raise Disorder(f"not all that was sent arrived within {ARRIVES:g} s")
            used = time.process_time() - used
            there.sent()
            return sent, used

        def receiver() -> tuple[float, int, float]:
            gc.disable()
            there.listen()
            meeting.wait(0)
            receive = there.receiver()
            meeting.wait(0)
            used = time.process_time()
            if peers == 1:
                rate, got = _receive(receive, pools[0], board, seconds)
            else:
                rate, got = _receive_mixed(receive, pools, board, seconds)
            used = time.process_time() - used
            gate.open(peers)
            there.received()
            return rate, got, used

        works = [Work("receiver", receiver)]
        for number in range(peers):
            role = "sender" if peers == 1 else f"sender {number + 1}"
            works.append(Work(role, partial(sender, number)))
        try:
            yield works
        finally:
            gate.close()


def _send_all(send: Any, number: int, pool: list[bytes], board: Board, seconds: float) -> int:
    gc.disable()
    clock, sent = time.perf_counter, 0
    end = clock() + seconds
    last = False
    while not last:
        last = clock() >= end
        sent += len(pool)
        if last:
            # Who receives the last one has to find this.
            board.announce(number, sent)
        for message in pool:
            send(message)
    return sent


class _Watch:
    """The time of what comes after the warm-up."""

    def __init__(self, seconds: float) -> None:
        self.clock = time.perf_counter
        self.begin = self.clock()
        self._warm = self.begin + WARM_UP * seconds
        self._before = 0

    def look(self, got: int) -> None:
        if not self._before and self.clock() >= self._warm:
            self.begin, self._before = self.clock(), got

    def rate(self, got: int) -> float:
        """Messages a second; of a stream that has ended with the warm-up, all of them."""
        return (got - self._before) / (self.clock() - self.begin)


def _receive(
    receive: Receive, pool: list[bytes], board: Board, seconds: float
) -> tuple[float, int]:
    watch = _Watch(seconds)
    count, first, last = len(pool), pool[0], pool[-1]
    got = 0
    while got != (total := board.total()):
        if 0 <= total < got:
            raise Disorder("more messages arrived than were sent")
        if got and total < 0:
            watch.look(got)
        arrived = [receive() for _ in repeat(None, count)]
        if arrived[0] != first or arrived[-1] != last:
            raise Disorder(_LOST)
        if got == 0 and arrived != pool:
            raise Disorder(_LOST)
        got += count
        del arrived
    return watch.rate(got), got


def _receive_mixed(
    receive: Receive, pools: list[list[bytes]], board: Board, seconds: float
) -> tuple[float, int]:
    watch = _Watch(seconds)
    count, head = len(pools[0]), min(8, len(pools[0][0]))
    heads: list[bytes] = []
    wanted = {message for pool in pools for message in pool}
    while len(heads) != (total := board.total()):
        if 0 <= total < len(heads):
            raise Disorder("more messages arrived than were sent")
        if heads and total < 0:
            watch.look(len(heads))
        if heads:
            heads += [receive()[:head] for _ in repeat(None, count)]
        else:
            arrived = [receive() for _ in repeat(None, count)]
            if not wanted.issuperset(arrived):
                raise Disorder(_LOST)
            heads += [message[:head] for message in arrived]
    rate = watch.rate(len(heads))
    _check_mixed(heads, count, len(pools))
    return rate, len(heads)


def _check_mixed(heads: list[bytes], count: int, senders: int) -> None:
    """Each sender's messages arrived in its order; each begins with its number."""
    due = [number * count for number in range(senders)]
    for number in (int.from_bytes(head, "little") for head in heads):
        sender = number // count
        if sender >= senders or number != due[sender]:
            raise Disorder(_LOST)
        due[sender] = sender * count + (number + 1 - sender * count) % count
