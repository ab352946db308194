"""Tasks that wait for other processes, and for those that die; forks; containers."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy  # noqa: F401  (before the forks: a child that is killed must not be importing it)
import pytest
from bare_calls import PATIENCE
from sharing import Forked, forked, objects
from tasks import answer_by_a_loop, asleep, run

import isthmus
from isthmus import aio

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def test_a_lease_of_one_that_is_killed_comes_to_a_task_that_waits(name: str) -> None:
    async def main() -> None:
        async with aio.Queue(name) as q:
            ready = isthmus.Event()

            def take() -> None:
                with isthmus.Queue(name).lease():
                    ready.set()
                    signal.pause()

            await q.put("job")
            with forked(take) as worker:
                await asyncio.to_thread(ready.wait)
                task = asyncio.create_task(q.get())
                await asleep(q)
                worker.kill()
                assert await task == "job"

    run(main())


def test_a_lease_of_one_that_had_died_before_anybody_waited(name: str) -> None:
    async def main() -> None:
        async with aio.Queue(name) as q:
            await q.put("job")

            def take() -> None:
                isthmus.Queue(name).lease()
                os.kill(os.getpid(), signal.SIGKILL)

            with forked(take) as worker:
                assert worker.finish() == -signal.SIGKILL
            assert await q.get() == "job"

    run(main())


def test_a_dead_subscriber_is_no_longer_in_the_way(name: str) -> None:
    async def main() -> None:
        async with aio.Publisher(name, capacity=4096) as pub:
            ready = isthmus.Event()

            def subscribe() -> None:
                with isthmus.Subscriber(name):
                    ready.set()
                    signal.pause()

            with forked(subscribe) as reader:
                await asyncio.to_thread(ready.wait)
                await pub.publish_many([b"x" * 1500] * 2)
                task = asyncio.create_task(pub.publish(b"y" * 1500))
                await asleep(pub)
                reader.kill()
                await task

    run(main())


def test_join_does_not_wait_for_the_dead(name: str) -> None:
    async def main() -> None:
        async with aio.Queue(name) as q:
            await q.put("job")
            ready = isthmus.Event()

            def take() -> None:
                with isthmus.Queue(name) as theirs:
                    theirs.get()
                    ready.set()
                    signal.pause()

            with forked(take) as worker:
                await asyncio.to_thread(ready.wait)
                task = asyncio.create_task(q.join())
                await asleep(q)
                worker.kill()
                assert await task is True

    run(main())


def on_and_on(call: Callable[[int], object], tell: aio.Queue) -> AbstractContextManager[Forked]:
    """A process that does something again and again until it is killed, and says so in between."""

    def work() -> None:
        for number in itertools.count():
            call(number)
            if number == 20:
                tell.put_nowait(os.getpid())

    return forked(work)


@pytest.mark.slow
def test_producers_that_are_killed_again_and_again(name: str) -> None:
    """Each one's messages come whole, from the first on, without a gap."""

    async def main() -> None:
        async with aio.Queue(name, capacity=8192, spin=0) as q, aio.Queue(spin=0) as tell:
            last: dict[int, int] = {}

            async def consume() -> None:
                async for pid, number in q:
                    assert number == last.get(pid, -1) + 1
                    last[pid] = number

            consuming = asyncio.create_task(consume())
            for _ in range(30):
                with on_and_on(lambda n: sync.put((os.getpid(), n)), tell) as producer:
                    assert await tell.get(timeout=PATIENCE) == producer.pid
                    producer.kill()
                # What is there comes, though nobody is left who would ring for it again.
                while not q.empty():
                    await asyncio.sleep(0.0005)
            q.shutdown()
            await consuming
            assert len(last) == 30

    with isthmus.Queue(name, capacity=8192) as sync:
        run(main())


@pytest.mark.slow
def test_consumers_that_are_killed_again_and_again(name: str) -> None:
    """A task that waits for room gets it, whoever dies on the way."""

    async def main() -> None:
        async with aio.Queue(name, capacity=4096, spin=0) as q, aio.Queue(spin=0) as tell:

            async def produce() -> None:
                while True:
                    await q.put(b"x" * 500)

            producing = asyncio.create_task(produce())
            for _ in range(30):
                with on_and_on(lambda _: sync.get(), tell) as consumer:
                    assert await tell.get(timeout=PATIENCE) == consumer.pid
                    consumer.kill()
            producing.cancel()

    with isthmus.Queue(name, capacity=4096) as sync:
        run(main())


def test_a_task_that_is_killed_with_its_process_leaves_nothing(name: str) -> None:
    """Nothing beside the queue, and the queue goes with its last handle."""

    def wait() -> None:
        async def main() -> None:
            async with aio.Queue(name) as q:
                task = asyncio.create_task(q.get())
                await asleep(q)
                asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGKILL)
                await task

        run(main())

    with isthmus.Queue(name) as q:
        for _ in range(3):
            with forked(wait) as process:
                assert process.finish() == -signal.SIGKILL
            assert len(objects(name)) == 1
        q.put("whoever comes next")
        assert q.get() == "whoever comes next"
    assert objects(name) == []


def test_a_child_that_is_forked_has_a_loop_of_its_own() -> None:
    questions, answers = aio.Queue(), aio.Queue()

    async def answer() -> None:
        async for question in questions:
            await answers.put(question * 2)

    async def ask() -> None:
        task = asyncio.create_task(answers.get())
        await asleep(answers)
        # In the midst of a wait: the child must not read what its parent is to hear.
        with forked(lambda: run(answer())) as child:
            await questions.put(1)
            assert await task == 2
            for number in range(50):
                await questions.put(number)
                assert await answers.get(timeout=PATIENCE) == 2 * number
            questions.shutdown()
            assert await asyncio.to_thread(child.finish) == 0

    run(ask())


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_handle_goes_to_a_child_as_an_argument(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    questions, answers = aio.Queue(), aio.Queue()
    process = context.Process(target=answer_by_a_loop, args=(questions, answers))
    process.start()

    async def main() -> None:
        for number in range(20):
            await questions.put(number)
            assert await answers.get(timeout=PATIENCE) == number + 1
        questions.shutdown()

    run(main())
    process.join(PATIENCE)
    assert process.exitcode == 0


def unsharing(apart: list[str]) -> list[str]:
    """The command before a program that is to run in namespaces of its own."""
    command = [shutil.which("unshare") or "", *apart]
    if not command[0] or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("this user may not make namespaces")
    return command


# In other namespaces of the network, of processes, of System V and names of hosts; the same
# /dev/shm.
_ELSEWHERE = """
import asyncio, sys
from isthmus import aio

async def main():
    async with aio.Queue(sys.argv[1]) as questions, aio.Queue(sys.argv[2]) as answers:
        async for question in questions:
            await answers.put(question.upper())

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "apart", [["-n"], ["-p", "-f"], ["-n", "-p", "-f", "-i", "-u"]], ids=" ".join
)
def test_containers_that_share_nothing_but_the_memory(apart: list[str], name: str) -> None:
    unshare = unsharing(apart)

    async def main() -> None:
        async with aio.Queue(name, spin=0) as questions, aio.Queue(name + "-a", spin=0) as answers:
            command = [*unshare, sys.executable, "-c", _ELSEWHERE, name, name + "-a"]
            process = await asyncio.create_subprocess_exec(*command)
            for _ in range(20):
                await questions.put("text")
                assert await answers.get(timeout=PATIENCE) == "TEXT"
            # One that dies there while it holds something.
            questions.shutdown()
            assert await process.wait() == 0

    run(main())


# What is first in a namespace of processes cannot be killed by its own hand.
_HOLD_AS_A_CHILD = """
import subprocess, sys
subprocess.run([sys.executable, "-c", *sys.argv[1:]])
"""
_HOLD = """
import os, sys
import isthmus
with isthmus.Queue(sys.argv[1]).lease() as job:
    print("leased", flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_a_death_in_another_container_is_heard(name: str) -> None:
    unshare = unsharing(["-n", "-p", "-f"])

    async def main() -> None:
        async with aio.Queue(name) as q:
            await q.put("job")
            command = [*unshare, sys.executable, "-c", _HOLD_AS_A_CHILD, _HOLD, name]
            process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
            assert process.stdout is not None
            assert await process.stdout.readline() == b"leased\n"
            assert await q.get(timeout=PATIENCE) == "job"
            await process.wait()

    run(main())
