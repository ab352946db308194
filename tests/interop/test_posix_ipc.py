"""isthmus.posix on one end, posix_ipc on the other, in a process of its own; both ways."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from bare_calls import Background

from isthmus import posix

pytestmark = pytest.mark.slow

pytest.importorskip("posix_ipc")

RunPython = Callable[..., str]
THEIRS = "import mmap, os, sys, posix_ipc\nname = sys.argv[1]\n"


def theirs(run_python: RunPython, program: str, name: str) -> str:
    return run_python(THEIRS + program, name)


def mapped(name: str, flags: int = 0, size: int = 4096) -> posix.MappedRegion:
    fd = posix.shm_open(name, posix.O_RDWR | flags)
    if flags:
        posix.ftruncate(fd, size)
    region = posix.mmap(size, posix.PROT_READ | posix.PROT_WRITE, posix.MAP_SHARED, fd)
    os.close(fd)
    return region


def test_they_write_to_our_memory(posix_name: str, run_python: RunPython) -> None:
    region = mapped(posix_name, posix.O_CREAT | posix.O_EXCL)
    program = """
memory = posix_ipc.SharedMemory(name)
mmap.mmap(memory.fd, memory.size)[:5] = b"hello"
print(memory.size)
"""
    assert theirs(run_python, program, posix_name) == "4096\n"
    assert bytes(region.buf[:5]) == b"hello"


def test_we_read_what_they_wrote_to_their_memory(posix_name: str, run_python: RunPython) -> None:
    program = """
memory = posix_ipc.SharedMemory(name, posix_ipc.O_CREX, size=4096)
mmap.mmap(memory.fd, memory.size)[:5] = b"hello"
"""
    theirs(run_python, program, posix_name)
    assert bytes(mapped(posix_name).buf[:5]) == b"hello"
    posix.shm_unlink(posix_name)


def test_each_wakes_the_other_by_our_semaphore(posix_name: str, run_python: RunPython) -> None:
    ours = posix.sem_open(posix_name, posix.O_CREAT | posix.O_EXCL)
    other_name = posix_name + "-other"
    other = posix.sem_open(other_name, posix.O_CREAT | posix.O_EXCL, 0o600, 1)
    try:
        program = """
posix_ipc.Semaphore(name).acquire()
theirs = posix_ipc.Semaphore(name + "-other")
print(theirs.value)
theirs.release()
"""
        waiting = Background(lambda: theirs(run_python, program, posix_name))
        posix.sem_wait(other)
        posix.sem_post(ours)
        posix.sem_wait(other)
        assert waiting.finish() == "0\n"
    finally:
        posix.sem_unlink(other_name)


def test_we_wait_on_a_semaphore_of_theirs(posix_name: str, run_python: RunPython) -> None:
    theirs(run_python, "posix_ipc.Semaphore(name, posix_ipc.O_CREX, initial_value=2)", posix_name)
    sem = posix.sem_open(posix_name)
    posix.sem_wait(sem)
    posix.sem_trywait(sem)
    waiting = Background(lambda: posix.sem_wait(sem))
    theirs(run_python, "posix_ipc.Semaphore(name).release()", posix_name)
    waiting.finish()
    theirs(run_python, "posix_ipc.unlink_semaphore(name)", posix_name)
    with pytest.raises(FileNotFoundError):
        posix.sem_open(posix_name)


def test_they_receive_from_our_queue_and_answer(queue_name: str, run_python: RunPython) -> None:
    flags = posix.O_CREAT | posix.O_EXCL | posix.O_RDWR
    mqd = posix.mq_open(queue_name, flags, 0o600, posix.MqAttr(4, 64))
    posix.mq_send(mqd, b"low", 1)
    posix.mq_send(mqd, b"high", 9)
    program = """
queue = posix_ipc.MessageQueue(name)
print(queue.receive(), queue.receive(), queue.max_message_size)
queue.send(b"answer", priority=7)
"""
    assert theirs(run_python, program, queue_name) == "(b'high', 9) (b'low', 1) 64\n"
    assert posix.mq_receive(mqd) == (b"answer", 7)


def test_we_receive_from_their_queue_and_answer(queue_name: str, run_python: RunPython) -> None:
    program = """
queue = posix_ipc.MessageQueue(name, posix_ipc.O_CREX, max_messages=3, max_message_size=48)
queue.send(b"question", priority=5)
"""
    theirs(run_python, program, queue_name)
    mqd = posix.mq_open(queue_name, posix.O_RDWR)
    assert posix.mq_getattr(mqd) == posix.MqAttr(3, 48, 0, 1)
    assert posix.mq_receive(mqd) == (b"question", 5)
    posix.mq_send(mqd, b"answer", 2)
    program = "print(posix_ipc.MessageQueue(name).receive())"
    assert theirs(run_python, program, queue_name) == "(b'answer', 2)\n"
