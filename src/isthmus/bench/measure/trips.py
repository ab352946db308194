"""Round trips: a message there, the same one back, each timed by itself."""

from __future__ import annotations

import gc
import time
from array import array
from contextlib import contextmanager
from itertools import cycle

from isthmus.bench.errors import Disorder
from isthmus.bench.measure.carriers import carriers
from isthmus.bench.measure.crew import Meeting, Work
from isthmus.bench.measure.figures import clock_cost, last_message, messages, piece

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from isthmus.bench.measure.carriers import Carrier

# Most trips of a run: 1 MiB of times.
MOST = 1 << 17
# Least trips of a run, for which it may take so many more seconds: 100 trips take 4 ms, unless
# others use the cores, when a slice may pass without any.
LEAST, LONGER = 100, 0.05
# The share of its time that a run warms up.
WARM_UP = 0.2


@contextmanager
def trips(kind: Callable[[], Carrier], size: int, seconds: float) -> Iterator[list[Work]]:
    """Work for two processes, of which the first gives the nanoseconds of each trip, as bytes.

    What reading the clock takes is taken off each. The answer is compared after that, so that
    it costs nothing.
    """
    meeting = Meeting(2)
    pool, last = messages(size, piece(size)), last_message(size)

    with carriers(kind) as (there,), carriers(*[kind] * (not there.duplex)) as others:
        # Where one can be asked and answers, it is one; else two, one for each direction.
        back = others[0] if others else None

        def first() -> bytes:
            if back is not None:
                back.listen()
            meeting.wait(0)
            send = there.sender()
            receive = there.receiver_back() if back is None else back.receiver()
            times = _ping(send, receive, pool, seconds)
            send(last)
            if receive() != last:
                raise Disorder("the last answer is not what was sent")
            # Nobody leaves before all is read.
            meeting.wait(0)
            there.sent()
            if back is not None:
                back.received()
            return times.tobytes()

        def second() -> None:
            there.listen()
            meeting.wait(1)
            if back is None:
                receive = there.receiver()
                send = there.sender_back()
            else:
                send, receive = back.sender(), there.receiver()
            for message in iter(receive, last):
                send(message)
            send(last)
            meeting.wait(1)
            there.received()
            if back is not None:
                back.sent()

        yield [Work("first", first), Work("second", second)]


def _ping(
    send: Callable[[bytes], object],
    receive: Callable[[], bytes],
    pool: list[bytes],
    seconds: float,
) -> array[int]:
    gc.disable()
    clock = time.perf_counter_ns
    cost = clock_cost()
    times: list[int] = []
    append = times.append
    begin = clock()
    warm, end = begin + int(seconds * WARM_UP * 1e9), begin + int(seconds * 1e9)
    latest = end + int(LONGER * 1e9)
    warmed = False
    for message in cycle(pool):
        before = clock()
        send(message)
        answer = receive()
        after = clock()
        if answer != message:
            raise Disorder("an answer is not what was sent: a message got lost or out of order")
        append(after - before - cost)
        if after >= warm and not warmed:
            warmed = True
            times.clear()  # of all that have ended by now, this one included
        elif (after >= end and (len(times) >= LEAST or after >= latest)) or len(times) == MOST:
            break
    return array("q", (max(0, one) for one in times))
