"""The supervisor: starts the roles, lets them meet, starts the transfer, cleans up.

Names exist for a moment only. Roles start (which takes a while) before anything is created;
then the supervisor creates the queues and topics, the roles join, and the names are removed.
From then on the kernel frees everything with the last process that has it. A supervisor killed
within that moment is noticed by the roles, which remove the names.
"""

from __future__ import annotations

import os
import queue
import secrets
import time
from dataclasses import dataclass

from isthmus.demo.crew import Crew, uninterrupted
from isthmus.demo.errors import RoleLost
from isthmus.demo.meeting import Meeting
from isthmus.demo.tally import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Any, Self

_MANY = 1000


@dataclass(frozen=True)
class Result:
    """What a transfer has come to, according to both sides.

    `seconds` is from the producer's start to the end of the consumers' work; the start of the
    processes is not in it. `sha256` is of what the producer has read, as a whole; `digest` is of
    the sums of the chunks that the consumers have seen, and `different` counts those that the
    producer has not sent like that. `shares` is how many chunks each consumer has done, by
    process; `again`, how many were delivered more than once.
    """

    sent: int
    received: int
    sha256: str
    digest: str
    different: int
    histogram: tuple[int, ...]
    seconds: float
    chunks: int
    shares: Mapping[int, int]
    again: int
    full_waits: int
    empty_waits: int

    @property
    def sound(self) -> bool:
        """Whether both sides have seen the same bytes."""
        return self.sent == self.received == sum(self.histogram) and not self.different


class Session:
    """The roles, in their processes, and the shared memory that they meet in.

    Use as a context manager: when entered, all have joined and no name is left; when left,
    all have ended, however that came.

    Args:
        input_fd: the file to transfer, its first `total` bytes.
        size: of the chunks; the last one may be shorter, and all with a `rate`.
        capacity: of the queue, and of the topic.
        producer, consumer: further options of these roles, such as the ends of a pipe.
        consumers: how many there are.
        monitor: whether there is one.
        on_loss: called when one has ended before its time without which it goes on.
        rate: bytes a second to keep to, or None.
    """

    def __init__(
        self,
        input_fd: int,
        total: int,
        size: int,
        capacity: int,
        *,
        producer: Sequence[tuple[str, int]] = (),
        consumer: Sequence[tuple[str, int]] = (),
        consumers: int = 1,
        monitor: bool = False,
        on_loss: Callable[[RoleLost], None] = lambda error: None,
        rate: int | None = None,
    ) -> None:
        self.name = f"isthmus-demo-{os.getpid()}-{secrets.token_hex(4)}"
        self._total, self._capacity = total, capacity
        self._crew = Crew(self.name, on_loss)
        pace = [] if rate is None else [("--rate", rate)]
        sizes = [("--size", size)]
        file = [("--input-fd", input_fd), ("--total", total)]
        self._roles: list[tuple[str, list[tuple[str, int]]]] = [
            ("producer", [*file, *sizes, *pace, *producer]),
            *[("consumer", [*sizes, *consumer])] * consumers,
            *[("monitor", [])] * monitor,
        ]
        self._meeting: Meeting | None = None

    @property
    def pids(self) -> list[tuple[str, int]]:
        """The processes that are there, with their roles."""
        return [(member.role, member.pid) for member in self._crew.members]

    def __enter__(self) -> Self:
        try:
            for role, options in self._roles:
                self._crew.start(role, *options)
            self._crew.hear("ready")
            with uninterrupted():
                self._meeting = Meeting(self.name, self._capacity)
            try:
                self._crew.tell("join")
                self._crew.hear("joined")
            finally:
                with uninterrupted():
                    self._meeting.unlink()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._crew.dismiss()
        if self._meeting is not None:
            self._meeting.close()

    def run(self, work: str) -> Result:
        """Transfer the file once.

        `work` is ``"analysis"``: sha256 and histogram of each chunk; ``"transfer"``: of the whole
        file, too; or ``"bare"``: nothing of that, and no results.

        Blocks until all is done. Raises RoleLost as soon as the producer is gone, or the last
        consumer.
        """
        assert self._meeting is not None
        first = self._meeting.jobs.stats().put
        tally = Tally(first)
        self._start = time.monotonic()
        try:
            self._crew.tell(f"{work} {first}")
            if work == "bare":
                (sent,) = self._crew.hear("sent", "producer")
            else:
                sent = self._gather(tally)
            self._crew.tell(str(len(self._crew.having("consumer"))), "producer")
            done = self._crew.hear("done", "consumer")
            (produced,) = self._crew.hear("done", "producer")
            end = max(sent["start"], *(one["end"] for one in done))
            seconds = (end - sent["start"]) / 1e9
            self._tell(tally, seconds)
        except RoleLost as error:
            error.moved = tally.received
            raise
        finally:
            self._crew.finish("monitor")
        return Result(
            sent=sent["bytes"],
            received=sum(one["bytes"] for one in done) if work == "bare" else tally.received,
            sha256=sent["sha256"],
            digest=tally.digest.hexdigest(),
            different=tally.different,
            histogram=tuple(tally.histogram.tolist()),
            seconds=seconds,
            chunks=sent["chunks"],
            shares=dict(tally.shares),
            again=len(tally.again),
            full_waits=produced["waits"],
            empty_waits=sum(one["waits"] for one in done),
        )

    def _gather(self, tally: Tally) -> Any:
        """Take in the results until each chunk that was sent is done; what the producer says."""
        assert self._meeting is not None
        results = self._meeting.results
        (producer,) = self._crew.having("producer")
        self._tell(tally)
        while "sent" not in producer.said or tally.settled < producer.said["sent"]["chunks"]:
            self._crew.attend(results)
            try:
                for chunk in results.get_many(_MANY, block=False):
                    tally.add(chunk)
            except queue.Empty:
                continue
            self._tell(tally)
        return producer.said.pop("sent")

    def _tell(self, tally: Tally, seconds: float | None = None) -> None:
        """Publish how far it is."""
        if not self._crew.having("monitor"):
            return
        assert self._meeting is not None
        jobs = self._meeting.jobs.stats()
        self._meeting.progress.publish(
            {
                "received": tally.received,
                "total": self._total,
                "seconds": time.monotonic() - self._start if seconds is None else seconds,
                "ready": jobs.ready,
                "leased": jobs.leased,
            }
        )
