"""A participant that dies or hangs ends the run with a message, and nothing is left."""

from __future__ import annotations

import json
import os
import random
import re
import select
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from bench_carriers import Datagrams, Endless, Killed, Stopped, children, contender

from isthmus.bench import ParticipantLost, Settings, run
from isthmus.bench.measure.carriers import new_name
from isthmus.bench.measure.crew import Work, in_processes

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

# Long enough to be hit in the middle.
LONG: dict[str, Any] = {"seconds": 0.5, "rounds": 3, "modes": ["blocking"], "sizes": [64]}
Pids = list[tuple[str, int]]


@pytest.fixture(autouse=True)
def no_children_left() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


class Killer:
    """Kills one of those that were started last, whenever the timer rings."""

    def __init__(self, seed: int, number: int = signal.SIGKILL) -> None:
        self.random = random.Random(seed)
        self.number = number
        self.there: Pids = []
        self.victim: tuple[str, int] | None = None

    def started(self, there: Pids) -> None:
        self.there = there

    def __call__(self, number: int, frame: FrameType | None) -> None:
        role, pid = self.random.choice(self.there or [("", 0)])
        with suppress(ChildProcessError):
            # Of one that has ended, nothing is left to kill; there will be others.
            if pid and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                os.kill(pid, self.number)
                self.victim = role, pid
                return
        signal.setitimer(signal.ITIMER_REAL, 0.01)


@pytest.fixture
def ring() -> Iterator[Callable[[Killer, float], None]]:
    before = signal.getsignal(signal.SIGALRM)

    def set_timer(killer: Killer, seconds: float) -> None:
        signal.signal(signal.SIGALRM, killer)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    yield set_timer
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("seed", range(4))
def test_a_participant_killed_at_any_moment_ends_the_run_with_its_name(
    seed: int, ring: Callable[[Killer, float], None]
) -> None:
    killer = Killer(seed)
    ring(killer, killer.random.uniform(0.001, 0.1))
    with pytest.raises(ParticipantLost) as caught:
        run(
            Settings(measures=["latency", "throughput", "idle"], peers=[2], **LONG),
            contenders=[contender(Datagrams)],
            started=killer.started,
        )
    assert killer.victim is not None
    error = caught.value
    assert (error.role, error.pid) == killer.victim
    assert f"its {error.role} (process {error.pid}) was killed by SIGKILL" in str(error)
    assert re.match("the test|what waits", error.contender)


def test_what_was_measured_until_then_is_told() -> None:
    with pytest.raises(
        ParticipantLost, match=r"the bad: its sender .* was killed by SIGKILL"
    ) as caught:
        run(
            Settings(
                measures=["throughput"],
                peers=[1],
                modes=["blocking"],
                sizes=[64],
                rounds=1,
                seconds=0.004,
            ),
            contenders=[contender(Datagrams, "good"), contender(Killed, "bad")],
        )
    assert caught.value.results is not None
    assert [one.contender for one in caught.value.results.throughput] == ["good"]


def test_one_that_hangs_is_named_with_what_it_does() -> None:
    with pytest.raises(ParticipantLost) as caught:
        run(
            Settings(
                measures=["throughput"],
                peers=[1],
                modes=["blocking"],
                sizes=[64],
                rounds=1,
                seconds=0.004,
                patience=0.1,
            ),
            contenders=[contender(Stopped)],
        )
    assert caught.value.role == "receiver"
    assert f"receiver (process {caught.value.pid}, stopped)" in str(caught.value)


def test_one_that_comes_to_no_end_is_left_out_and_the_run_goes_on() -> None:
    results = run(
        Settings(
            measures=["throughput", "latency"],
            peers=[1],
            modes=["blocking"],
            sizes=[64],
            rounds=2,
            seconds=0.004,
            patience=0.1,
        ),
        contenders=[contender(Endless, "bad")],
    )
    assert (results.throughput, results.latency) == ([], [])
    why = {gap.measure: gap.why for gap in results.failed}
    assert sorted(why) == ["latency", "throughput"]
    said = sorted(why.values())
    # The second is not tried.
    assert said[0].startswith("left out after it had not come to an end in ")
    assert said[1].startswith("not ended in time: ")


def test_one_that_hangs_while_idle_ends_the_run_as_well() -> None:
    with pytest.raises(ParticipantLost, match=r"receiver of test .*stopped"):
        run(
            Settings(measures=["idle"], idle_seconds=0.01, patience=0.1),
            contenders=[contender(Stopped)],
        )


@pytest.mark.parametrize(
    ("how", "error"),
    [
        (KeyboardInterrupt, KeyboardInterrupt),
        (signal.SIGTERM, SystemExit),
        (signal.SIGHUP, SystemExit),
    ],
)
def test_an_end_from_outside_takes_all_processes_along(
    how: Any, error: type[BaseException]
) -> None:
    seen: Pids = []

    def started(there: Pids) -> None:
        seen.extend(there)
        if isinstance(how, signal.Signals):
            os.kill(os.getpid(), how)
        else:
            raise how

    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(error):
        run(
            Settings(measures=["throughput"], peers=[2], **LONG),
            contenders=[contender(Datagrams)],
            started=started,
        )
    assert len(seen) == 3
    for _, pid in seen:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert handlers == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]


def test_participants_do_not_outlive_a_benchmark_that_is_killed() -> None:
    here, there = os.pipe()
    bench = os.fork()
    if bench == 0:

        def started(pids: Pids) -> None:
            os.write(there, json.dumps(pids).encode() + b"\n")
            signal.pause()

        try:
            run(
                Settings(measures=["throughput"], peers=[2], **{**LONG, "seconds": 60}),
                contenders=[contender(Datagrams)],
                started=started,
            )
        finally:
            os._exit(1)
    os.close(there)
    with os.fdopen(here) as file:
        pids = json.loads(file.readline())
        handles = [os.pidfd_open(pid) for _, pid in pids]
        os.kill(bench, signal.SIGKILL)
        os.waitpid(bench, 0)
        for handle in handles:
            # Readable when that process has ended.
            assert select.select([handle], [], [], 10)[0]
            os.close(handle)


def test_names_that_a_killed_process_has_given_are_removed() -> None:
    made: list[int] = []

    class Naming(Datagrams):
        def __init__(self, size: int = 64, **how: Any) -> None:
            super().__init__(size, **how)
            Path(tempfile.mkdtemp(prefix=f"{new_name()}-"), "file").touch()
            Path("/dev/shm", f"of-{new_name()}-x").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ParticipantLost, match="was killed by SIGKILL"):
        run(
            Settings(measures=["setup"]),
            contenders=[contender(Naming)],
            started=lambda there: made.extend(pid for _, pid in there),
        )
    (pid,) = made
    for folder in (tempfile.gettempdir(), "/dev/shm"):
        assert not list(Path(folder).glob(f"*isthmus-bench-{pid}-*"))


@pytest.mark.parametrize("status", [0, 3])
def test_one_that_leaves_without_a_word_is_lost(status: int) -> None:
    work = Work("one", lambda: os._exit(status))
    with pytest.raises(ParticipantLost, match=f"one .* ended with exit code {status}"):
        in_processes("x", [work], [min(os.sched_getaffinity(0))], deadline=20)


def test_a_result_larger_than_a_pipe_arrives_whole() -> None:
    data = bytes(1 << 20)
    assert in_processes("x", [Work("one", lambda: data)], [min(os.sched_getaffinity(0))],
                        deadline=20) == [data]  # fmt: skip


def test_no_descriptor_is_left() -> None:
    core = min(os.sched_getaffinity(0))
    before = len(os.listdir("/proc/self/fd"))
    in_processes("x", [Work("one", int), Work("two", int)], [core], deadline=20)
    with pytest.raises(ParticipantLost):
        in_processes(
            "x",
            [Work("one", lambda: os.kill(os.getpid(), signal.SIGKILL)), Work("two", signal.pause)],
            [core],
            deadline=20,
        )
    assert len(os.listdir("/proc/self/fd")) == before
