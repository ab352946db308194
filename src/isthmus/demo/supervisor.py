"""The supervisor: starts the roles, lets them meet, starts the transfer, cleans up.

Names exist for a moment only. Roles start (which takes a while) before anything is created;
then the supervisor creates the segment and the semaphores, the roles join, and the names are
removed. From then on the kernel frees everything with the last process that has it. A
supervisor killed within that moment is noticed by the roles, which remove the names.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass

from isthmus.demo.crew import Crew, uninterrupted
from isthmus.demo.errors import RoleLost
from isthmus.demo.transfer import Transfer, Turns, unlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

_WORKERS = ("producer", "consumer")


@dataclass(frozen=True)
class Result:
    """What a transfer has come to, according to both sides.

    `seconds` is from the producer's start to the end of the consumer's work; the start of the
    processes is not in it.
    """

    total: int
    sent: int
    received: int
    sent_sha256: str
    received_sha256: str
    histogram: tuple[int, ...]
    seconds: float
    chunks: int
    full_waits: int
    empty_waits: int

    @property
    def sound(self) -> bool:
        """Whether both sides have seen the same bytes."""
        return (
            self.sent == self.received == sum(self.histogram)
            and self.sent_sha256 == self.received_sha256
        )


class Session:
    """The roles, in their processes, and the shared memory that they meet in.

    Use as a context manager: when entered, all have joined and no name is left; when left,
    all have ended, however that came.

    Args:
        input_fd: the file to transfer, its first `total` bytes.
        slots, slot_size: how the segment is divided. For another medium the slot size
            is what is written and read at a time.
        producer, consumer: further options of these roles, such as the ends of a pipe.
        monitor: whether there is one.
        on_loss: called when the monitor has ended before its time.
        rate: bytes a second to keep to, or None.
    """

    def __init__(
        self,
        input_fd: int,
        total: int,
        slots: int,
        slot_size: int,
        *,
        producer: Sequence[tuple[str, int]] = (),
        consumer: Sequence[tuple[str, int]] = (),
        monitor: bool = False,
        on_loss: Callable[[RoleLost], None] = lambda error: None,
        rate: int | None = None,
    ) -> None:
        self._name = f"isthmus-demo-{os.getpid()}-{secrets.token_hex(4)}"
        self._layout = (slots, slot_size, total)
        self._crew = Crew(self._name, on_loss)
        pace = [] if rate is None else [("--rate", rate)]
        self._roles = {
            "producer": [("--input-fd", input_fd), *pace, *producer],
            "consumer": [*consumer],
        }
        if monitor:
            self._roles["monitor"] = []

    @property
    def name(self) -> str:
        """What the segment is called, for the moment in which it has a name."""
        return self._name

    @property
    def pids(self) -> dict[str, int]:
        """The processes by role, those that are there."""
        return {role: member.pid for role, member in self._crew.members.items()}

    def __enter__(self) -> Self:
        try:
            for role, options in self._roles.items():
                self._crew.start(role, *options)
            self._crew.hear("ready")
            try:
                self._transfer = Transfer.create(self._name, *self._layout)
                self._turns = Turns.create(self._name, self._layout[0])
                self._crew.tell("join")
                self._crew.hear("joined")
            finally:
                with uninterrupted():
                    unlink(self._name)
        except BaseException:
            self._crew.dismiss()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._crew.dismiss()

    def run(self, work: str) -> Result:
        """Transfer the file once; `work` is ``"analysis"`` or ``"bare"``.

        Blocks until both sides are done. Raises RoleLost as soon as one of them is gone.
        """
        transfer = self._transfer
        try:
            self._crew.tell(f"{work}", ("consumer", "monitor", "producer"))
            self._crew.hear("done", _WORKERS)
        except RoleLost as error:
            account = transfer.producer if error.role == "producer" else transfer.consumer
            error.moved = account.bytes
            raise
        finally:
            self._crew.finish("monitor")
        sent, received = transfer.producer, transfer.consumer
        return Result(
            total=transfer.total,
            sent=sent.bytes,
            received=received.bytes,
            sent_sha256=sent.digest,
            received_sha256=received.digest,
            histogram=tuple(transfer.histogram),
            seconds=(received.time - sent.time) / 1e9,
            chunks=sent.chunks,
            full_waits=sent.waits,
            empty_waits=received.waits,
        )
