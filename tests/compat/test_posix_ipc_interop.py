"""isthmus.compat.posix_ipc on one end, posix_ipc on the other, in a process of its own."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from types import ModuleType

import pytest
from bare_calls import PATIENCE, child

from isthmus.compat import posix_ipc as ours

theirs = pytest.importorskip("posix_ipc")
RunPython = Callable[..., str]
ENDS = [
    pytest.param(ours, "import posix_ipc", id="ours here, theirs there"),
    pytest.param(theirs, "from isthmus.compat import posix_ipc", id="theirs here, ours there"),
]

THERE = """
import mmap, threading
name = sys.argv[1]

# What has been made here before, and what is answered.
memory = posix_ipc.SharedMemory(name)
mapped = mmap.mmap(memory.fd, memory.size)
memory.close_fd()
sem, back = posix_ipc.Semaphore(name), posix_ipc.Semaphore(name + "-back")
queue = posix_ipc.MessageQueue(name)
assert mapped[:5] == b"hello"
mapped[:5] = b"world"
back.release()
sem.acquire(60)

# Priorities, both ways.
assert [queue.receive(60) for _ in range(3)] == [(b"high", 9), (b"low", 1), (b"later", 1)]
for text, priority in (("a", 1), ("b", 5), ("c", 5)):
    queue.send(text, priority=priority)
back.release()

# Being told: of a message from here by a call there, and the other way round.
sem.acquire(60)
told = threading.Event()
queue.request_notification((lambda param: told.set(), "param"))
back.release()
assert told.wait(60)
assert queue.receive(60) == (b"ring", 0)
sem.acquire(60)
queue.send("bell")

# What is made there.
made = posix_ipc.SharedMemory(name + "-there", posix_ipc.O_CREX, size=100)
made.close_fd()
posix_ipc.Semaphore(name + "-there", posix_ipc.O_CREX, initial_value=7).close()
posix_ipc.MessageQueue(name + "-there", posix_ipc.O_CREX, 0o600, 2, 16).send("made there", 0, 3)
back.release()
print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("module", "imports"), ENDS)
def test_they_work_together(queue_name: str, module: ModuleType, imports: str) -> None:
    import threading

    crex = module.O_CREX
    memory = module.SharedMemory(queue_name, crex, size=4096)
    mapped = mmap.mmap(memory.fd, memory.size)
    memory.close_fd()
    mapped[:5] = b"hello"
    sem = module.Semaphore(queue_name, crex)
    back = module.Semaphore(queue_name + "-back", crex)
    queue = module.MessageQueue(queue_name, crex, max_messages=5, max_message_size=64)
    with child(imports + THERE, queue_name) as process:

        def answered() -> None:
            try:
                back.acquire(PATIENCE)
            except module.BusyError:
                process.kill()
                pytest.fail(process.communicate()[1])

        answered()
        assert mapped[:5] == b"world"
        for text, priority in (("low", 1), ("high", 9), ("later", 1)):
            queue.send(text, priority=priority)
        sem.release()
        answered()
        assert [queue.receive(0) for _ in range(3)] == [(b"b", 5), (b"c", 5), (b"a", 1)]
        sem.release()
        answered()
        queue.send("ring")
        told = threading.Event()
        # The other end takes it first, so that the queue is empty when this end asks.
        while queue.current_messages:
            continue
        queue.request_notification((lambda _: told.set(), None))
        sem.release()
        assert told.wait(PATIENCE)
        assert queue.receive(0) == (b"bell", 0)
        answered()
        output, errors = process.communicate(timeout=PATIENCE)
        assert (output, process.returncode) == ("done\n", 0), errors
    made = queue_name + "-there"
    assert module.SharedMemory(made).size == 100
    assert module.Semaphore(made).value == 7
    assert module.MessageQueue(made).receive(0) == (b"made there", 3)
    for unlink in (
        module.unlink_semaphore,
        module.unlink_shared_memory,
        module.unlink_message_queue,
    ):
        unlink(made)
    back.unlink()
    queue.close()
