"""Results of a benchmark that never ran: what a machine with two cores might have said."""

from __future__ import annotations

import random
from dataclasses import replace

from isthmus.bench.results import (
    Absent,
    Contender,
    Family,
    Gap,
    Idle,
    Latency,
    Machine,
    Mode,
    Results,
    Setup,
    Throughput,
)

SIZES = [8, 64, 1 << 10, 8 << 10, 64 << 10, 1 << 20, 8 << 20, 64 << 20]
MACHINE = Machine(
    processor="Example 9000 CPU @ 3.00GHz",
    cores=2,
    pinned=[0, 1],
    system="Linux 6.1.0-13-amd64",
    python="CPython 3.11.2",
    packages={"isthmus": "0.1.0", "numpy": "2.4.6", "pyzmq": "27.1.0"},
    memory_bytes=8 << 30,
    load=[0.1, 0.2, 0.15],
)
# Label, family, round trip spinning and blocking (s), seconds a byte, seconds a message when
# streaming, largest message, set-up (s), share of a core when idle.
_KINDS: dict[str, tuple[str, Family, float, float, float, float, int, float, float]] = {
    "c-spin": ("C: spinning on two words", "floor", 1.9e-7, 0, 0, 0, 8, 0, 0),
    "c-futex": ("C: futex", "floor", 0, 5.1e-6, 0, 0, 8, 0, 0),
    "c-memcpy": ("C: memcpy", "floor", 0, 0, 5.2e-11, 4e-9, 1 << 30, 0, 0),
    "c-pipe": ("C: pipe", "floor", 0, 7.5e-6, 2.6e-10, 6e-7, 1 << 30, 0, 0),
    "c-unix": ("C: Unix socket", "floor", 0, 9.6e-6, 2.9e-10, 9e-7, 1 << 30, 0, 0),
    "file": ("file", "form", 9.2e-6, 2.4e-5, 9e-10, 3.1e-6, 1 << 30, 9e-5, 0.0002),
    "pipe": ("pipe", "form", 6.1e-6, 1.21e-5, 2.9e-10, 1.7e-6, 1 << 30, 3e-5, 0),
    "fifo": ("named pipe", "form", 6.3e-6, 1.25e-5, 2.9e-10, 1.8e-6, 1 << 30, 1.1e-4, 0),
    "signal": ("signal", "form", 5.5e-6, 1.4e-5, 0, 2.4e-6, 4, 2e-5, 0),
    "shm": ("shared memory", "form", 7.5e-7, 7.1e-6, 7e-11, 2.1e-7, 1 << 30, 1.9e-4, 0),
    "unix": ("Unix socket", "form", 7.4e-6, 1.61e-5, 3.1e-10, 2.1e-6, 1 << 30, 1.6e-4, 0),
    "seqpacket": ("Unix seqpacket", "form", 7.2e-6, 1.52e-5, 3.3e-10, 1.9e-6, 200 << 10, 1.5e-4, 0),
    "tcp": ("TCP", "form", 1.71e-5, 2.9e-5, 4.1e-10, 2.6e-6, 1 << 30, 2.8e-4, 0),
    "mq": ("POSIX queue", "form", 5.9e-6, 1.19e-5, 3.2e-10, 1.3e-6, 8 << 10, 6e-5, 0),
    "sysv": ("System V queue", "form", 5.1e-6, 1.23e-5, 4.9e-10, 1.2e-6, 8 << 10, 4e-5, 0),
    "mp-pipe": ("multiprocessing Pipe", "rival", 1.2e-5, 1.9e-5, 5e-10, 4.4e-6, 1 << 30, 8e-5, 0),
    "mp-queue": ("multiprocessing Queue", "rival", 0, 5.5e-5, 9e-10, 1.5e-5, 1 << 30, 1.1e-3, 0),
    "posix-ipc-mq": ("posix_ipc queue", "rival", 5.4e-6, 1.1e-5, 3.3e-10, 1.2e-6, 8192, 5e-5, 0),
    "posix-ipc-sem": ("posix_ipc memory", "rival", 4e-6, 1e-5, 1e-10, 2.4e-6, 1 << 30, 9e-5, 0),
    "faster-fifo": ("faster-fifo", "rival", 0, 1.45e-5, 2.7e-10, 1.6e-6, 1 << 30, 4e-4, 0),
    "pyzmq": ("pyzmq ipc", "rival", 0, 6.6e-5, 4.2e-10, 2.9e-6, 1 << 30, 2.2e-3, 0.0011),
    "iceoryx2": ("iceoryx2", "rival", 2.6e-6, 3.3e-5, 9e-11, 2.8e-6, 1 << 30, 4.1e-3, 0.0003),
}  # fmt: skip


def results(
    *,
    only: list[str] | None = None,
    modes: tuple[Mode, ...] = ("spinning", "blocking"),
    sizes: list[int] | None = None,
    scale: float = 1.0,
    seed: int = 1,
    rounds: int = 5,
) -> Results:
    """A run of those of `only`, or of all, as if everything took `scale` times as long."""
    chance = random.Random(seed)
    sizes = SIZES if sizes is None else sizes
    kinds = {id: kind for id, kind in _KINDS.items() if only is None or id in only}
    made = Results(
        when="2026-01-02T03:04:05Z",
        seconds=25.1,
        command=["isthmus", "bench", "--quick"],
        quick=True,
        machine=MACHINE,
        settings={"rounds": rounds, "sizes": sizes},
        contenders=[Contender(id=id, label=kind[0], family=kind[1]) for id, kind in kinds.items()],
        absent=[
            Absent(id="zeroq", label="zeroq", install="pip install zeroq", why="not installed"),
        ],
        latency=[], throughput=[], setup=[], idle=[], skipped=[], failed=[],
    )  # fmt: skip
    for id, (_, family, spin, block, per_byte, stream, largest, setup, idle) in kinds.items():
        for mode, trip in (("spinning", spin), ("blocking", block)):
            if mode not in modes:
                continue
            for size in sizes:
                if trip and size <= max(largest, 8):
                    seconds = (trip + 2 * size * per_byte) * scale
                    made.latency.append(_latency(id, size, mode, seconds, rounds, chance))
                elif trip:
                    for measure in ("latency", "throughput"):
                        made.skipped.append(
                            Gap(
                                contender=id,
                                measure=measure,
                                size=size,
                                mode=mode,
                                why=f"its messages have at most {largest} bytes",
                            )
                        )
                if stream and size <= largest:
                    each = (stream + size * per_byte) * scale * (0.8 if mode == "spinning" else 1)
                    made.throughput.extend(
                        _throughput(id, size, mode, peers, each, rounds, chance)
                        for peers in (
                            (1, 4) if family == "form" and size in {64, 1 << 20} else (1,)
                        )
                    )
        if setup:
            times = _rounds(setup * scale, rounds, chance)
            made.setup.append(Setup(contender=id, seconds=times[rounds // 2], rounds=times))
            made.idle.append(Idle(contender=id, cpu_share=idle, seconds=1.0))
    return made


def without(made: Results, *fields: str) -> Results:
    """The same without some of its measures."""
    return replace(made, **{field: [] for field in fields})


def _latency(
    id: str, size: int, mode: Mode, seconds: float, rounds: int, chance: random.Random
) -> Latency:
    times = _rounds(seconds, rounds, chance)
    p50 = sorted(times)[rounds // 2]
    tail = 1 + chance.random()
    return Latency(
        contender=id, size=size, mode=mode, count=20_000, p50=p50, p90=p50 * (1 + 0.1 * tail),
        p99=p50 * (1 + 0.6 * tail), p999=p50 * (1 + 4 * tail**2), min=p50 * 0.9, mean=p50 * 1.1,
        rounds_p50=times,
    )  # fmt: skip


def _throughput(
    id: str, size: int, mode: Mode, peers: int, each: float, rounds: int, chance: random.Random
) -> Throughput:
    rates = _rounds((0.8 if peers > 1 else 1) / each, rounds, chance)
    rate = sorted(rates)[rounds // 2]
    return Throughput(
        contender=id, size=size, mode=mode, peers=peers, messages_per_s=rate,
        bytes_per_s=rate * size, rounds=rates, cpu_per_message=each * 1.7,
    )  # fmt: skip


def _rounds(middle: float, rounds: int, chance: random.Random) -> list[float]:
    return [middle * chance.lognormvariate(0, 0.015) for _ in range(rounds)]
