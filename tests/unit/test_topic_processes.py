"""Topics between processes of every start method, and waits for queues."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
import topics
from bare_calls import PATIENCE, Background, until
from sharing import forked, holding

import isthmus
from isthmus import Event, Publisher, Queue, Subscriber

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.slow,
]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("named", [True, False], ids=["named", "anonymous"])
def test_handles_reach_children(method: str, named: bool, name: str) -> None:
    context: Any = multiprocessing.get_context(method)
    with Publisher(name if named else None) as pub, pub.subscriber(timeout=PATIENCE) as answers:
        with pub.subscriber() as sub:
            pub.publish(b"before")
            child = context.Process(target=topics.answer, args=(sub, pub))
            child.start()
            pub.publish(b"after")
            child.join(PATIENCE)
            assert child.exitcode == 0
        assert answers.recv_many(2) == [b"before", b"after"]
        assert answers.recv() == ("answer", [b"before", b"after"])


def test_frames_go_to_several_processes_uncopied(name: str) -> None:
    count = 50

    def look() -> None:
        with Subscriber(name, timeout=PATIENCE) as sub:
            ready.set()
            for number in range(count):
                with sub.view() as frame:
                    assert frame.shape == (100, 100) and (frame == number).all()
                del frame

    with Publisher(name, capacity="128 KiB") as pub:
        ready = Event()
        with forked(look) as one:
            assert ready.wait(PATIENCE)
            ready.clear()
            with forked(look) as two:
                assert ready.wait(PATIENCE)
                for number in range(count):
                    with pub.loan((100, 100), "u1", timeout=PATIENCE) as frame:
                        frame[:] = number
                assert one.finish() == 0 and two.finish() == 0


def test_wait_tells_of_jobs_that_a_killed_worker_had(name: str) -> None:
    with Queue(name) as queue, Publisher() as pub, pub.subscriber() as sub:
        queue.put(b"job")

        def take() -> None:
            lease = Queue(name).lease(timeout=PATIENCE)
            take.kept = lease  # type: ignore[attr-defined]

        with holding(take) as process:
            assert isthmus.wait([sub, queue], 0.01) == []
            waiting = Background(lambda: isthmus.wait([sub, queue], PATIENCE))
            until(lambda: any(facts[5] for facts in queue._participants()))
            process.kill()
            assert waiting.finish() == [queue]
        assert queue.get(timeout=0) == b"job"


def test_several_processes_wait_for_a_queue_and_take_each_job_once(name: str) -> None:
    jobs = 400
    with Queue(name) as queue, Queue(name + "-done") as done:

        def work() -> None:
            with Publisher() as pub, pub.subscriber() as never:
                while True:
                    assert isthmus.wait([never, queue], PATIENCE) == [queue]
                    try:
                        done.put(queue.get(block=False))
                    except isthmus.Empty:
                        pass
                    except isthmus.ShutDown:
                        return

        def plainly() -> None:
            for job in queue:
                done.put(job)

        with forked(work) as one, forked(work) as two, forked(plainly) as three:
            for number in range(jobs):
                queue.put(number)
            got = sorted(done.get(timeout=PATIENCE) for _ in range(jobs))
            assert got == list(range(jobs))
            queue.shutdown()
            assert [each.finish() for each in (one, two, three)] == [0, 0, 0]
