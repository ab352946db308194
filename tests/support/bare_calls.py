"""For the tests of `isthmus.posix` and `isthmus.sysv`: names that go away, and who waits where.

The fixtures are made known in the conftest.py of the folders that use them.
"""

from __future__ import annotations

import errno
import os
import platform
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import pytest

from isthmus import posix, sysv

# Longest that anything may take that a test waits for; far more than it needs.
PATIENCE = 60.0
SYSCALLS = {
    "x86_64": {"mq_send": 242, "mq_receive": 243, "msgsnd": 69, "msgrcv": 70},
    "aarch64": {"mq_send": 182, "mq_receive": 183, "msgsnd": 189, "msgrcv": 188},
}


@pytest.fixture
def posix_name(name: str) -> Iterator[str]:
    """A POSIX name; what it stands for at the end is removed."""
    full = "/" + name
    yield full
    for unlink in (posix.shm_unlink, posix.sem_unlink, posix.mq_unlink):
        with suppress(OSError):
            unlink(full)


@pytest.fixture
def queue_name(posix_name: str) -> str:
    """The same, where the kernel has message queues."""
    try:
        posix.mq_unlink(posix_name)
    except OSError as error:
        if error.errno == errno.ENOSYS:
            pytest.skip("this kernel has no POSIX message queues")
    return posix_name


@pytest.fixture
def key() -> Iterator[int]:
    """A System V key that nobody uses; what it leads to at the end is removed."""
    while True:
        number = random.SystemRandom().randrange(1, 2**31)
        if not any(_ids(number)):
            break
    yield number
    clear(number)


def clear(key: int) -> None:
    """Remove what there is with this System V key."""
    for remove, found in zip(_REMOVE, _ids(key), strict=True):
        if found is not None:
            remove(found)


_REMOVE: tuple[Callable[[int], object], ...] = (
    lambda id: sysv.shmctl(id, sysv.IPC_RMID),
    lambda id: sysv.semctl(id, 0, sysv.IPC_RMID),
    lambda id: sysv.msgctl(id, sysv.IPC_RMID),
)


def _ids(key: int) -> list[int | None]:
    gets: tuple[Callable[[], int], ...] = (
        lambda: sysv.shmget(key, 0),
        lambda: sysv.semget(key, 0),
        lambda: sysv.msgget(key),
    )
    found: list[int | None] = []
    for get in gets:
        try:
            found.append(get())
        except OSError:
            found.append(None)
    return found


@pytest.fixture
def shmid(key: int) -> int:
    """A segment of one page."""
    return sysv.shmget(key, 4096, sysv.IPC_CREAT | sysv.IPC_EXCL | 0o600)


@pytest.fixture
def semid(key: int) -> int:
    """A set of three semaphores, all 0."""
    return sysv.semget(key, 3, sysv.IPC_CREAT | sysv.IPC_EXCL | 0o600)


@pytest.fixture
def msqid(key: int) -> int:
    """An empty queue."""
    return sysv.msgget(key, sysv.IPC_CREAT | sysv.IPC_EXCL | 0o600)


def until(holds: Callable[[], bool]) -> None:
    """Return as soon as `holds()`."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "this has not come true"
        time.sleep(0.0005)


def waiters(name: str) -> int:
    """How many wait on the named semaphore: glibc counts them above its value."""
    if platform.libc_ver()[0] != "glibc" or sys.maxsize < 2**32:
        pytest.skip("only the semaphores of glibc on 64 bits show who waits")
    with open(f"/dev/shm/sem.{name[1:]}", "rb") as file:
        return int.from_bytes(file.read(8), sys.byteorder) >> 32


def is_in(call: str, task: int, process: int | None = None) -> bool:
    """Whether a thread of this or another process is in the system call `call`."""
    numbers = SYSCALLS.get(platform.machine())
    if numbers is None:
        pytest.skip("the numbers of system calls on this machine are not known here")
    with open(f"/proc/{process or 'self'}/task/{task}/syscall", encoding="ascii") as file:
        return file.read().split()[0] == str(numbers[call])


class Background(threading.Thread):
    """A call in another thread; `finish()` gives its result or raises what it raised."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._result: object = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error

    @property
    def task(self) -> int:
        assert self.native_id is not None
        return self.native_id

    def finish(self) -> object:
        self.join(PATIENCE)
        assert not self.is_alive(), "the call has not returned"
        if self._error is not None:
            raise self._error
        return self._result


@contextmanager
def signals(handler: Callable[[int], object]) -> Iterator[None]:
    """Call `handler(n)` for the n-th of a signal that comes again and again."""
    count = 0

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        handler(count)

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Stop(Exception):
    """What a handler raises to end a wait."""


def stop(_count: int) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    raise Stop


@contextmanager
def child(program: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs `program`, in which Ctrl-C means what it usually does."""
    text = "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-P", "-c", text + textwrap.dedent(program), *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def presses_ctrl_c(process: subprocess.Popen[str]) -> None:
    """Interrupt it; it must end by KeyboardInterrupt."""
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert errors.rstrip().endswith("KeyboardInterrupt"), errors
