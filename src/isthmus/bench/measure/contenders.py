"""Who takes part: every form of `isthmus.channel`, the rivals, and the floor."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from isthmus.bench.measure import carriers, floors, packages
from isthmus.bench.measure.carriers import Carrier
from isthmus.bench.measure.crew import Work
from isthmus.bench.measure.floors import Floor
from isthmus.bench.measure.streams import streams
from isthmus.bench.measure.trips import trips
from isthmus.bench.results import Family, Mode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.bench.measure.cells import Cell

Works = AbstractContextManager[list[Work]]


@dataclass(frozen=True)
class Contender:
    """One that takes part.

    Attributes:
        id, label, family, note: as in the results.
        kind: makes a `Carrier`; takes its arguments.
        floor: what it is instead, if it has none.
        modules: which it needs; `package`: where they come from, to be installed by pip.
        modes: that it has.
    """

    id: str
    label: str
    family: Family
    note: str = ""
    kind: Callable[..., Carrier] | None = None
    floor: Floor | None = None
    modules: tuple[str, ...] = ()
    package: str | None = None
    modes: tuple[Mode, ...] = ("blocking", "spinning")

    @property
    def install(self) -> str:
        """How to have it."""
        return f"pip install {self.package}" if self.package else "it comes with Python"

    @property
    def largest(self) -> int | None:
        """Bytes of its largest message, if that is known beforehand."""
        return None

    def missing(self) -> str | None:
        """Why it cannot take part; None: it can."""
        for module in self.modules:
            try:
                importlib.import_module(module)
            except Exception as error:
                # Mostly that it is not installed. Whatever a broken one raises is its own affair.
                return f"{module} cannot be imported: {error}"
        return None

    def refuses(self, cell: Cell) -> str | None:
        """Why it has no such figure, as far as that is known beforehand."""
        if self.floor is not None:
            return self._floor_refuses(cell, self.floor)
        if cell.mode is not None and cell.mode not in self.modes:
            return f"it has no {cell.mode} receive"
        if cell.measure == "idle" and "blocking" not in self.modes:
            return "who waits for it uses a whole core"
        return None

    @staticmethod
    def _floor_refuses(cell: Cell, floor: Floor) -> str | None:
        if cell.measure in {"setup", "idle"}:
            return "the floor is there from the start"
        modes = floor.trip_modes if cell.measure == "latency" else floor.stream_modes
        if not modes:
            return "it only answers" if floor.trip_modes else "it only streams"
        if cell.mode not in modes:
            return f"it is only {' and '.join(modes)}"
        if (cell.peers or 1) > 1:
            return "the floor is for one sender"
        return None

    def carrier(self, cell: Cell, *, streaming: bool = False) -> Callable[[], Carrier]:
        """What makes its carrier for a cell."""
        assert self.kind is not None
        return partial(
            self.kind,
            cell.size or carriers.SIZE,
            spinning=cell.spinning,
            senders=cell.peers or 1,
            streaming=streaming,
        )

    def forget(self, pid: int) -> None:
        """Remove what a process has left that had carriers of its own, and was killed."""
        carriers.sweep(pid)

    def works(self, cell: Cell, seconds: float) -> Works:
        """What the processes do for a cell of latency or throughput."""
        size, peers = cell.size or carriers.SIZE, cell.peers or 1
        if cell.measure == "latency":
            if self.floor is not None:
                return self.floor.trips(size, seconds)
            return trips(self.carrier(cell), size, seconds)
        if self.floor is not None:
            return self.floor.streams(size, peers, seconds)
        return streams(self.carrier(cell, streaming=True), size, peers, seconds)


@dataclass(frozen=True)
class FormContender(Contender):
    """A form of `isthmus.channel`."""

    def forget(self, pid: int) -> None:
        from isthmus.bench.measure.forms import forget

        super().forget(pid)
        if self.id in {"mq", "sysv"}:
            for name in carriers.names_of(pid):
                forget(self.id, name)

    @property
    def largest(self) -> int | None:
        largest: int = _facts(self.id).largest
        return largest

    def missing(self) -> str | None:
        try:
            _facts(self.id)
        except Exception as error:
            return f"isthmus.channel does not have it here: {error}"
        return None

    def carrier(self, cell: Cell, *, streaming: bool = False) -> Callable[[], Carrier]:
        from isthmus.bench.measure.forms import ChannelCarrier

        return partial(
            ChannelCarrier,
            _facts(self.id),
            cell.size or min(carriers.SIZE, _facts(self.id).largest),
            spinning=cell.spinning,
            senders=cell.peers or 1,
            streaming=streaming,
        )


@cache
def _facts(form: str) -> Any:
    """What `isthmus.channel` says about a form."""
    return importlib.import_module(f"isthmus.channel._{form}").facts()


_FORMS = {
    "file": "file",
    "pipe": "pipe",
    "fifo": "named pipe",
    "signal": "real-time signals",
    "shm": "shared memory",
    "unix": "Unix socket",
    "seqpacket": "Unix packet socket",
    "tcp": "TCP",
    "mq": "POSIX message queue",
    "sysv": "System V message queue",
}


_NOTES = {
    "file": "an append-only log; a look is a recv with timeout=0",
    "shm": "spinning: spin=200, blocking: spin=0",
    "tcp": "over loopback; a look is a recv with timeout=0",
}


def forms() -> list[Contender]:
    """All forms that `isthmus.channel` has, or will have."""
    return [
        FormContender(
            id,
            label,
            "form",
            note=_NOTES.get(id, "a look is a recv with timeout=0"),
        )
        for id, label in _FORMS.items()
    ]


def rivals() -> list[Contender]:
    """Others' packages, whether installed or not."""
    return [
        Contender("mp-pipe", "multiprocessing.Pipe", "rival", kind=carriers.PipeCarrier),
        Contender(
            "mp-queue",
            "multiprocessing.Queue",
            "rival",
            note="pickles, and sends from a thread",
            kind=carriers.MultiprocessingQueueCarrier,
        ),
        Contender(
            "posix-ipc-mq",
            "posix_ipc queue",
            "rival",
            note="ten messages, as any user may have",
            kind=carriers.PosixQueueCarrier,
            modules=("posix_ipc",),
            package="posix_ipc",
        ),
        Contender(
            "posix-ipc-sem",
            "posix_ipc semaphores",
            "rival",
            note="beside a raw segment with room for one message",
            kind=carriers.SemaphoreCarrier,
            modules=("posix_ipc",),
            package="posix_ipc",
        ),
        Contender(
            "faster-fifo",
            "faster-fifo",
            "rival",
            note="without pickle",
            kind=packages.FasterFifoCarrier,
            modules=("faster_fifo",),
            package="faster-fifo",
        ),
        Contender(
            "pyzmq",
            "pyzmq",
            "rival",
            note="PUSH and PULL over ipc; its thread has the core of who spins",
            kind=packages.ZmqCarrier,
            modules=("zmq",),
            package="pyzmq",
        ),
        Contender(
            "iceoryx2",
            "iceoryx2",
            "rival",
            note="a loan for each message; blocking: an event for each, too",
            kind=packages.IceoryxCarrier,
            modules=("iceoryx2",),
            package="iceoryx2",
        ),
        Contender(
            "zeroq",
            "zeroq",
            "rival",
            note="places of one size",
            kind=packages.ZeroqCarrier,
            modules=("zeroq",),
            package="zeroq",
        ),
    ]


def floor() -> list[Contender]:
    """What nobody gets below."""
    return [
        Contender("c-spin", "C: spinning", "floor", note="on two words", floor=floors.Words(False)),
        Contender("c-futex", "C: futex", "floor", floor=floors.Words(True)),
        Contender(
            "c-memcpy",
            "C: memcpy",
            "floor",
            note="into shared memory and out of it",
            floor=floors.Memcpy(),
        ),
        Contender("c-pipe", "C: pipe", "floor", floor=floors.Descriptors(os.pipe)),
        Contender("c-unix", "C: Unix socket", "floor", floor=floors.Descriptors(floors.sockets)),
    ]
