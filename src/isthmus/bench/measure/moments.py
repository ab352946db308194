"""What is not about speed: the time to set one up, and what waiting costs."""

from __future__ import annotations

import mmap
import statistics
import time
from contextlib import ExitStack, contextmanager

from isthmus.bench.errors import BenchError, Disorder
from isthmus.bench.measure.crew import Meeting, Work, described
from isthmus.bench.measure.figures import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from isthmus.bench.measure.carriers import Carrier

# Most times that one is set up in a run: System V keys and the like are not without end.
MOST = 200


def setups(kind: Callable[[], Carrier], seconds: float) -> list[Work]:
    """Work for one process that has both ends: the median time to the first message received.

    In one process, so that neither its start nor the scheduler is in it. The first time is not
    counted: it loads what is needed.
    """

    def work() -> float:
        spent: list[float] = []
        clock = time.perf_counter
        end = clock() + seconds
        while len(spent) < 2 or (clock() < end and len(spent) < MOST):
            begin = clock()
            carrier = kind()
            try:
                message = messages(carrier.size, 1)[0]
                carrier.listen()
                send = carrier.sender()
                receive = carrier.receiver()
                send(message)
                if receive() != message:
                    raise Disorder("the first message is not what was sent")
                spent.append(clock() - begin)
            finally:
                carrier.sent()
                carrier.close()
        return statistics.median(spent[1:])

    return [Work("process", work)]


@contextmanager
def idlers(
    kinds: dict[str, Callable[[], Carrier]], seconds: float
) -> Iterator[tuple[list[Work], dict[str, str]]]:
    """Works for two processes of each, all at once, and why some have none.

    Those that wait need hardly any time, and each counts its own. A receiver gives
    (share of a core, seconds), or the text of what went wrong, a sender the same or an empty one:
    one that cannot begin does not take the others along.
    """
    refused: dict[str, str] = {}
    works: list[Work] = []
    with ExitStack() as stack:
        for id, kind in kinds.items():
            try:
                carrier = kind()
            except (BenchError, OSError, ValueError) as error:
                refused[id] = str(error)
                continue
            stack.callback(carrier.close)
            works += _idle(id, carrier, seconds)
        yield works, refused


def _idle(id: str, carrier: Carrier, seconds: float) -> list[Work]:
    meeting, broken = Meeting(2), mmap.mmap(-1, 2)
    message = messages(carrier.size, 1)[0]

    def prepared(number: int, *steps: Callable[[], Any]) -> tuple[Any, str]:
        """What the last step gives, or else what went wrong here or there; both do each."""
        made, why = None, ""
        for step in steps:
            try:
                made = None if why else step()
            except Exception as error:
                broken[number], why = 1, described(error)
            meeting.wait(number)
        return made, why or ("the other side could not begin" if any(broken[:]) else "")

    def receiver() -> tuple[float, float] | str:
        receive, why = prepared(0, carrier.listen, carrier.receiver)
        if why:
            return why
        begin, used = time.perf_counter(), time.process_time()
        try:
            if receive() != message:
                return "what woke it is not what was sent"
        except Exception as error:
            return described(error)
        used, waited = time.process_time() - used, time.perf_counter() - begin
        carrier.received()
        return used / waited, waited

    def sender() -> str:
        send, why = prepared(1, bool, carrier.sender)
        if why:
            return why
        # This is what is measured: so long, nothing comes.
        time.sleep(seconds)
        send(message)
        carrier.sent()
        return ""

    return [Work(f"receiver of {id}", receiver), Work(f"sender of {id}", sender)]
