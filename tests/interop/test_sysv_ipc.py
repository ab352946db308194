"""isthmus.sysv on one end, sysv_ipc on the other, in a process of its own; both ways."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bare_calls import Background

from isthmus import sysv

pytestmark = pytest.mark.slow

pytest.importorskip("sysv_ipc")

RunPython = Callable[..., str]
THEIRS = "import sys, sysv_ipc\nkey = int(sys.argv[1])\n"


def theirs(run_python: RunPython, program: str, key: int) -> str:
    return run_python(THEIRS + program, key)


def test_they_write_to_our_memory(key: int, shmid: int, run_python: RunPython) -> None:
    region = sysv.shmat(shmid)
    program = """
memory = sysv_ipc.SharedMemory(key)
memory.write(b"hello")
print(memory.id, memory.size)
"""
    assert theirs(run_python, program, key) == f"{shmid} 4096\n"
    assert bytes(region.buf[:5]) == b"hello"


def test_we_read_what_they_wrote_to_their_memory(key: int, run_python: RunPython) -> None:
    program = """
memory = sysv_ipc.SharedMemory(key, sysv_ipc.IPC_CREX, size=4096)
memory.write(b"hello")
"""
    theirs(run_python, program, key)
    region = sysv.shmat(sysv.shmget(key, 0))
    assert (len(region), bytes(region.buf[:5])) == (4096, b"hello")


def test_they_wait_on_our_semaphore(key: int, semid: int, run_python: RunPython) -> None:
    program = """
semaphore = sysv_ipc.Semaphore(key)
semaphore.acquire()
print(semaphore.value)
"""
    waiting = Background(lambda: theirs(run_python, program, key))
    sysv.semop(semid, [(0, 3, 0)])
    assert waiting.finish() == "2\n"


def test_we_wait_on_a_semaphore_of_theirs(key: int, run_python: RunPython) -> None:
    theirs(run_python, "sysv_ipc.Semaphore(key, sysv_ipc.IPC_CREX, initial_value=1)", key)
    semid = sysv.semget(key, 0)
    assert sysv.semctl(semid, 0, sysv.IPC_STAT).nsems == 1
    sysv.semop(semid, [(0, -1, 0)])
    waiting = Background(lambda: sysv.semop(semid, [(0, -1, 0)]))
    theirs(run_python, "sysv_ipc.Semaphore(key).release()", key)
    waiting.finish()


def test_they_receive_from_our_queue_and_answer(
    key: int, msqid: int, run_python: RunPython
) -> None:
    sysv.msgsnd(msqid, 4, b"question")
    program = """
queue = sysv_ipc.MessageQueue(key)
print(queue.receive())
queue.send(b"answer", type=9)
"""
    assert theirs(run_python, program, key) == "(b'question', 4)\n"
    assert sysv.msgrcv(msqid, 100) == (9, b"answer")


def test_we_receive_from_their_queue_and_answer(key: int, run_python: RunPython) -> None:
    program = """
queue = sysv_ipc.MessageQueue(key, sysv_ipc.IPC_CREX)
queue.send(b"question", type=3)
"""
    theirs(run_python, program, key)
    msqid = sysv.msgget(key)
    assert sysv.msgrcv(msqid, 100) == (3, b"question")
    sysv.msgsnd(msqid, 2, b"answer")
    program = "print(sysv_ipc.MessageQueue(key).receive())"
    assert theirs(run_python, program, key) == "(b'answer', 2)\n"
