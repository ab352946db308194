"""isthmus.compat.posix_ipc against the package that it stands for, call by call."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from itertools import repeat
from typing import Any

import posix_ipc
from harness import Contender, Race
from locks import blocks, calls, pairs

from isthmus.compat import posix_ipc as drop_in

CALLS = 20_000
GOAL = "at most 1.3"
MODULES: dict[str, Any] = {"isthmus.compat.posix_ipc": drop_in, "posix_ipc": posix_ipc}
Run = Callable[[int], None]


class Subject:
    """What the calls of one module are made on; all of it goes with `stack`."""

    def __init__(self, module: Any, stack: ExitStack) -> None:
        self.module = module
        self.stack = stack
        self.name = f"/bench-{os.getpid()}-{module.__name__}"

    def semaphore(self, value: int, name: str | None = None) -> Any:
        made = self.module.Semaphore(name, self.module.O_CREX, initial_value=value)
        self.stack.callback(made.close)
        self.stack.callback(made.unlink)
        return made

    def memory(self) -> Any:
        made = self.module.SharedMemory(self.name, self.module.O_CREX, size=4096)
        self.stack.callback(made.close_fd)
        self.stack.callback(made.unlink)
        return made

    def queue(self) -> Any:
        made = self.module.MessageQueue(self.name, self.module.O_CREX)
        self.stack.callback(made.close)
        self.stack.callback(made.unlink)
        return made


def posix_ipc_races() -> list[Race]:
    return [_race(*row) for row in JOBS]


def _race(title: str, job: Callable[[Subject], Run], count: int) -> Race:
    with ExitStack() as stack:
        contenders = [
            Contender(label, job(Subject(module, stack)), count)
            for label, module in MODULES.items()
        ]
        return Race(title, contenders, GOAL).run()


# ---- Semaphores ------------------------------------------------------------------------


def _pairs(subject: Subject) -> Run:
    return pairs(subject.semaphore(1))


def _blocks(subject: Subject) -> Run:
    return blocks(subject.semaphore(1))


def _timed(subject: Subject) -> Run:
    acquire, release = (made := subject.semaphore(1)).acquire, made.release

    def run(count: int) -> None:
        for _ in repeat(None, count):
            acquire(1.0)
            release()

    return run


def _busy(subject: Subject) -> Run:
    return _refused(subject.semaphore(0).acquire, subject.module.BusyError)


def _refused(call: Callable[[int], object], error: type[Exception]) -> Run:
    def run(count: int) -> None:
        for _ in repeat(None, count):
            try:
                call(0)
            except error:
                continue

    return run


def _value(subject: Subject) -> Run:
    semaphore = subject.semaphore(3)

    def run(count: int) -> None:
        for _ in repeat(None, count):
            semaphore.value  # noqa: B018

    return run


def _open_semaphore(subject: Subject) -> Run:
    subject.semaphore(1, subject.name)
    open_one, name = subject.module.Semaphore, subject.name
    return calls(lambda: open_one(name).close())


def _create_semaphore(subject: Subject) -> Run:
    create, name, flags = subject.module.Semaphore, subject.name, subject.module.O_CREX

    def once() -> None:
        made = create(name, flags)
        made.close()
        # Not made.unlink(), which wants it before the close.
        subject.module.unlink_semaphore(name)

    return calls(once)


# ---- Shared memory ---------------------------------------------------------------------


def _open_memory(subject: Subject) -> Run:
    subject.memory()
    open_one, name = subject.module.SharedMemory, subject.name
    return calls(lambda: open_one(name).close_fd())


def _create_memory(subject: Subject) -> Run:
    create, name, flags = subject.module.SharedMemory, subject.name, subject.module.O_CREX

    def once() -> None:
        made = create(name, flags, size=4096)
        made.close_fd()
        made.unlink()

    return calls(once)


def _size(subject: Subject) -> Run:
    memory = subject.memory()

    def run(count: int) -> None:
        for _ in repeat(None, count):
            memory.size  # noqa: B018

    return run


# ---- Message queues --------------------------------------------------------------------


def _messages(size: int) -> Callable[[Subject], Run]:
    message = b"x" * size

    def job(subject: Subject) -> Run:
        queue = subject.queue()

        def run(count: int) -> None:
            send, receive = queue.send, queue.receive
            for _ in repeat(None, count):
                send(message)
                receive()

        return run

    return job


def _empty(subject: Subject) -> Run:
    return _refused(subject.queue().receive, subject.module.BusyError)


def _current(subject: Subject) -> Run:
    queue = subject.queue()

    def run(count: int) -> None:
        for _ in repeat(None, count):
            queue.current_messages  # noqa: B018

    return run


def _open_queue(subject: Subject) -> Run:
    subject.queue()
    open_one, name = subject.module.MessageQueue, subject.name
    return calls(lambda: open_one(name).close())


def _create_queue(subject: Subject) -> Run:
    create, name, flags = subject.module.MessageQueue, subject.name, subject.module.O_CREX

    def once() -> None:
        made = create(name, flags)
        made.close()
        made.unlink()

    return calls(once)


def _notification(subject: Subject, what: object) -> Run:
    request = subject.queue().request_notification

    def run(count: int) -> None:
        for _ in repeat(None, count):
            request(what)
            request()

    return run


def _by_signal(subject: Subject) -> Run:
    return _notification(subject, subject.module.USER_SIGNAL_MIN)


def _by_call(subject: Subject) -> Run:
    return _notification(subject, (print, None))


JOBS: list[tuple[str, Callable[[Subject], Run], int]] = [
    ("Semaphore: acquire() and release()", _pairs, CALLS),
    ("Semaphore: with", _blocks, CALLS),
    ("Semaphore: acquire(1.0) and release()", _timed, CALLS),
    ("Semaphore: acquire(0) of an empty one: BusyError", _busy, CALLS),
    ("Semaphore: value", _value, CALLS),
    ("Semaphore: open one that exists, close", _open_semaphore, CALLS // 4),
    ("Semaphore: create, close, unlink", _create_semaphore, CALLS // 10),
    ("SharedMemory: open one that exists, close_fd", _open_memory, CALLS // 4),
    ("SharedMemory: create 4096 bytes, close_fd, unlink", _create_memory, CALLS // 10),
    ("SharedMemory: size", _size, CALLS),
    ("MessageQueue: send() and receive(), 16 bytes", _messages(16), CALLS // 2),
    ("MessageQueue: send() and receive(), 8 KiB", _messages(8192), CALLS // 2),
    ("MessageQueue: receive(0) of an empty one: BusyError", _empty, CALLS),
    ("MessageQueue: current_messages", _current, CALLS),
    ("MessageQueue: open one that exists, close", _open_queue, CALLS // 4),
    ("MessageQueue: create, close, unlink", _create_queue, CALLS // 10),
    ("MessageQueue: ask for a signal, take it back", _by_signal, CALLS // 4),
    ("MessageQueue: ask for a call, take it back", _by_call, CALLS // 20),
]
