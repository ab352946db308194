"""isthmus.compat.sysv_ipc on one end, sysv_ipc on the other, in a process of its own; both ways."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

import pytest
from bare_calls import Background, child, until

from isthmus.compat import sysv_ipc

pytestmark = pytest.mark.slow

pytest.importorskip("sysv_ipc")

RunPython = Callable[..., str]
PROGRAM = """
import sys, {module} as sysv_ipc
key = int(sys.argv[1])
"""


def theirs(run_python: RunPython, program: str, key: int) -> str:
    return run_python(PROGRAM.format(module="sysv_ipc") + program, key)


def test_they_use_what_we_have_made(key: int, run_python: RunPython) -> None:
    semaphore = sysv_ipc.Semaphore(key, sysv_ipc.IPC_CREX, 0o660, 1)
    memory = sysv_ipc.SharedMemory(key, sysv_ipc.IPC_CREX, size=100)
    queue = sysv_ipc.MessageQueue(key, sysv_ipc.IPC_CREX)
    memory.write(b"ours")
    queue.send(b"question", type=4)
    program = """
semaphore, memory = sysv_ipc.Semaphore(key), sysv_ipc.SharedMemory(key)
queue = sysv_ipc.MessageQueue(key)
print(semaphore.id, memory.id, queue.id, oct(semaphore.mode), memory.size, memory.read(4))
semaphore.acquire()
memory.write(b"theirs")
print(queue.receive())
print(semaphore.value)
queue.send(b"answer", type=9)
semaphore.acquire()
"""
    background = Background(lambda: theirs(run_python, program, key))
    until(lambda: queue.last_receive_pid != 0 and queue.current_messages == 1)
    assert queue.receive(type=9) == (b"answer", 9)
    semaphore.release()
    assert background.finish() == (
        f"{semaphore.id} {memory.id} {queue.id} 0o660 100 b'ours'\n(b'question', 4)\n0\n"
    )
    assert (semaphore.value, memory.read(6)) == (0, b"theirs")
    assert memory.last_pid == queue.last_send_pid == semaphore.last_pid != os.getpid()


def test_we_use_what_they_have_made(key: int) -> None:
    program = (
        PROGRAM.format(module="sysv_ipc")
        + """
semaphore = sysv_ipc.Semaphore(key, sysv_ipc.IPC_CREX, initial_value=0)
memory = sysv_ipc.SharedMemory(key, sysv_ipc.IPC_CREX, size=100)
queue = sysv_ipc.MessageQueue(key, sysv_ipc.IPC_CREX)
memory.write(b"theirs")
queue.send(b"question", type=4)
print(semaphore.id, memory.id, queue.id, flush=True)
semaphore.acquire()
print(memory.read(4), queue.receive(type=9))
for each in (semaphore, memory, queue):
    each.remove()
"""
    )
    with child(program, key) as process:
        assert process.stdout is not None
        line = Background(process.stdout.readline).finish()
        assert isinstance(line, str)
        ids = [int(word) for word in line.split()]
        semaphore, memory = sysv_ipc.Semaphore(key), sysv_ipc.SharedMemory(key)
        queue = sysv_ipc.MessageQueue(key)
        assert [semaphore.id, memory.id, queue.id] == ids
        assert memory.read(6) == b"theirs"
        assert queue.receive() == (b"question", 4)
        memory.write(b"ours")
        queue.send(b"answer", type=9)
        semaphore.release()
        assert process.communicate(timeout=60)[0] == "b'ours' (b'answer', 9)\n"
    with pytest.raises(sysv_ipc.ExistentialError, match=r"^No semaphore exists"):
        semaphore.acquire()
    with pytest.raises(sysv_ipc.ExistentialError, match=r"^The queue no longer exists$"):
        queue.receive()
    assert memory.read(4) == b"ours"


# What another user may not do, with the module under test; it prints what is raised.
FORBIDDEN = """
import json
def tried(call):
    try:
        return str(call())
    except Exception as error:
        return [type(error).__name__, [str(word) for word in error.args]]
id = {"s": SEMAPHORE, "m": MEMORY, "q": QUEUE}
s, m, q = (kind.__new__(kind) for kind in
           (sysv_ipc.Semaphore, sysv_ipc.SharedMemory, sysv_ipc.MessageQueue))
seen = [tried(lambda: sysv_ipc.Semaphore(key)), tried(lambda: sysv_ipc.SharedMemory(key)),
        tried(lambda: sysv_ipc.MessageQueue(key)), tried(lambda: sysv_ipc.attach(MEMORY)),
        tried(lambda: sysv_ipc.remove_semaphore(SEMAPHORE)),
        tried(lambda: sysv_ipc.remove_shared_memory(MEMORY)),
        tried(lambda: sysv_ipc.remove_message_queue(QUEUE))]
s, q = sysv_ipc.Semaphore(key, 0, 0), sysv_ipc.MessageQueue(key, 0, 0)
for call in (s.acquire, s.release, s.remove, q.receive, lambda: q.send(b"x"), q.remove,
             lambda: s.value, lambda: s.mode, lambda: setattr(s, "value", 1),
             lambda: setattr(s, "mode", 1), lambda: q.mode, lambda: setattr(q, "max_size", 1)):
    seen.append(tried(call))
print(json.dumps(seen))
"""
PERMISSION = "Permission {} cannot be granted on the existing segment"
READABLE = """
s, m, q = (sysv_ipc.Semaphore(key, 0, 0o400), sysv_ipc.SharedMemory(key, 0, 0o400),
           sysv_ipc.MessageQueue(key, 0, 0o400))
seen = []
for each in (s, m, q):
    for name in ("mode", "uid", "gid"):
        seen.append(tried(lambda: setattr(each, name, 0)))
    seen.append(tried(each.remove))
seen.append(tried(lambda: setattr(q, "max_size", 1)))
print(json.dumps(seen))
"""


def test_what_is_forbidden_is_forbidden_in_the_same_words(
    key: int, unprivileged: int, run_python: RunPython
) -> None:
    semaphore = sysv_ipc.Semaphore(key, sysv_ipc.IPC_CREX, 0o600)
    memory = sysv_ipc.SharedMemory(key, sysv_ipc.IPC_CREX, 0o600)
    queue = sysv_ipc.MessageQueue(key, sysv_ipc.IPC_CREX, 0o600)
    ids = f"SEMAPHORE, MEMORY, QUEUE = {semaphore.id}, {memory.id}, {queue.id}\n"

    def seen(module: str, what: str) -> list[object]:
        program = PROGRAM.format(module=module) + ids + what
        printed = run_python(program, key, user=unprivileged)
        return [word for line in printed.splitlines() for word in json.loads(line)]

    results: dict[str, list[object]] = {}
    for module in ("sysv_ipc", "isthmus.compat.sysv_ipc"):
        results[module] = seen(module, FORBIDDEN)
    semaphore.mode = memory.mode = queue.mode = 0o604
    for module in results:
        results[module] += seen(module, FORBIDDEN[: FORBIDDEN.index("id =")] + READABLE)
    ours, original = results["isthmus.compat.sysv_ipc"], results["sysv_ipc"]
    # Before Python 3.12, the original prints its format.
    shown = "600" if sys.version_info >= (3, 12) else "%o"
    assert original[1] == ["PermissionsError", [PERMISSION.format(shown)]]
    assert ours[1] == ["PermissionsError", [PERMISSION.format("600")]]
    assert ours[2:] == original[2:]
    assert ours[0] == original[0]
    assert len(ours) == 19 + 13
    assert all(isinstance(each, list) for each in ours), ours
