"""Queues between processes, whatever started them; forks; many processes at once."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
from bare_calls import PATIENCE, child, presses_ctrl_c
from jobs import answer, double, feed, gather
from sharing import forked, holding, objects

import isthmus
from isthmus import Queue

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

every_method = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])


def test_a_handle_made_before_a_fork_works_in_both() -> None:
    questions, answers = Queue(), Queue()

    def in_child() -> None:
        for item in questions:
            answers.put([item, "answered"])

    with forked(in_child) as process:
        for i in range(100):
            questions.put(b"%d" % i)
            assert answers.get(timeout=PATIENCE) == [b"%d" % i, "answered"]
        questions.shutdown()
        assert process.finish() == 0


def test_parent_and_child_are_two_that_take_part(name: str) -> None:
    q = Queue(name)
    q.put(b"1")
    with forked(lambda: q.put_many([b"2", len(q.producers())])) as process:
        assert process.finish() == 0
    assert q.get_many(5) == [b"1", b"2", 1]  # the child had not put anything then
    assert len(q.producers()) == 1


@pytest.mark.slow
@every_method
@pytest.mark.parametrize("named", [True, False])
def test_a_queue_goes_to_a_child_as_an_argument(method: str, named: bool, name: str) -> None:
    context: Any = multiprocessing.get_context(method)
    work = Queue(name if named else None, max_attempts=3)
    results = Queue(name + "-r" if named else None)
    process = context.Process(target=double, args=(work, results))
    process.start()
    for i in range(10):
        work.put(i)
    assert [results.get(timeout=PATIENCE) for _ in range(10)] == [2 * i for i in range(10)]
    work.shutdown()
    process.join(PATIENCE)
    assert process.exitcode == 0
    if named:
        work.close()
        results.close()
        assert objects(name) == []


@pytest.mark.slow
def test_several_producers_and_consumers_pass_each_message_once() -> None:
    work, results = Queue(capacity=4096), Queue()
    with (
        forked(lambda: gather(work, results)) as a,
        forked(lambda: gather(work, results)) as b,
        forked(lambda: feed(work, 0, 3000)) as c,
        forked(lambda: feed(work, 1, 3000)) as d,
    ):
        assert (c.finish(), d.finish()) == (0, 0)
        work.shutdown()
        got = [results.get(timeout=PATIENCE) for _ in range(2)]
        assert (a.finish(), b.finish()) == (0, 0)
    everything = sorted(item for items in got for item in items)
    assert everything == sorted((who, i) for who in range(2) for i in range(3000))
    for items in got:
        for who in range(2):
            numbers = [i for each, i in items if each == who]
            assert numbers == sorted(numbers)


@pytest.mark.slow
def test_workers_that_are_killed_lose_no_leased_job() -> None:
    work, results = Queue(), Queue()
    work.put_many(range(100))
    kept: list[isthmus.Lease] = []

    def work_a_little() -> None:
        for _ in range(5):
            with work.lease(timeout=PATIENCE) as job:
                results.put(job.value)
        kept.extend(work.lease(timeout=PATIENCE) for _ in range(3))

    for _ in range(5):
        with holding(work_a_little) as process:
            process.kill()
    work.shutdown()
    with forked(lambda: double(work, results, 1)) as process:
        assert process.finish() == 0
    got: list[int] = []
    while len(got) < 100:
        got += results.get_many(100, timeout=PATIENCE)
    assert sorted(got) == list(range(100))


def test_a_forked_child_has_leases_of_its_own() -> None:
    q = Queue()
    q.put_many([b"1", b"2"])
    mine = q.lease()

    def in_child() -> None:
        with q.lease() as lease:
            assert lease.value == b"2"

    with forked(in_child) as process:
        assert process.finish() == 0
    mine.acknowledge()
    assert q.stats().used == 0


@pytest.mark.slow
def test_ctrl_c_ends_a_program_that_waits(name: str) -> None:
    q = Queue(name)
    program = """
    import isthmus, sys
    q = isthmus.Queue.attach(sys.argv[1])
    print("ready", flush=True)
    q.get()
    """
    with child(program, name) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        presses_ctrl_c(process)
    q.put(b"x")
    assert q.get() == b"x"


def test_too_many_handles_are_refused_with_the_limit(name: str) -> None:
    first = Queue(name, participants=2)
    second = Queue(name)
    with pytest.raises(isthmus.TooManyParticipantsError, match="room for 2") as caught:
        Queue(name)
    assert caught.value.room == 2
    with forked(lambda: answer(first)) as process:
        assert process.finish() == 0
    second.close()
    Queue(name).close()
