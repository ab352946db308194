"""isthmus.posix: named semaphores, and those in a buffer."""

from __future__ import annotations

import errno
import gc
import mmap
import os
import time
import weakref
from typing import Any

import numpy as np
import pytest
from bare_calls import Background, Stop, child, presses_ctrl_c, signals, stop, until, waiters

from isthmus import posix
from isthmus.posix import CLOCK_MONOTONIC, CLOCK_REALTIME, O_CREAT, O_EXCL, SIZEOF_SEM_T

# Ways to wait that all can be interrupted, with a time limit that no test reaches.
WAITS = {
    "sem_wait": posix.sem_wait,
    "sem_timedwait": lambda sem: posix.sem_timedwait(sem, time.time() + 1000),
    "sem_clockwait": lambda sem: posix.sem_clockwait(sem, CLOCK_MONOTONIC, time.monotonic() + 1000),
}
every_wait = pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
USES: list[Any] = [
    posix.sem_wait,
    posix.sem_trywait,
    posix.sem_post,
    posix.sem_getvalue,
    posix.sem_close,
    lambda sem: posix.sem_timedwait(sem, 0),
    lambda sem: posix.sem_clockwait(sem, CLOCK_MONOTONIC, 0),
]


def opened(name: str, value: int = 0) -> posix.Semaphore:
    return posix.sem_open(name, O_CREAT | O_EXCL, 0o600, value)


def test_a_semaphore_counts(posix_name: str) -> None:
    sem = opened(posix_name, 2)
    posix.sem_wait(sem)
    posix.sem_trywait(sem)
    assert posix.sem_getvalue(sem) == 0
    posix.sem_post(sem)
    assert posix.sem_getvalue(sem) == 1


def test_taking_from_an_empty_one_without_waiting_says_so(posix_name: str) -> None:
    sem = opened(posix_name)
    with pytest.raises(BlockingIOError) as caught:
        posix.sem_trywait(sem)
    error = caught.value
    expected = (errno.EAGAIN, os.strerror(errno.EAGAIN), posix_name)
    assert (error.errno, error.strerror, error.filename) == expected


def test_the_attempt_without_an_exception_says_whether_it_took_one(posix_name: str) -> None:
    from isthmus._core.posix import sem_try

    sem = opened(posix_name, 1)
    assert [sem_try(sem), sem_try(sem)] == [True, False]


def test_opening_again_gives_the_same_semaphore_and_ignores_the_value(posix_name: str) -> None:
    first = opened(posix_name, 3)
    second = posix.sem_open(posix_name, O_CREAT, 0o600, 8)
    posix.sem_post(second)
    assert posix.sem_getvalue(first) == 4
    posix.sem_close(second)
    assert posix.sem_getvalue(first) == 4


def test_exclusive_creation_reports_one_that_exists(posix_name: str) -> None:
    opened(posix_name)
    with pytest.raises(FileExistsError) as caught:
        opened(posix_name)
    assert caught.value.filename == posix_name


@pytest.mark.parametrize("call", [posix.sem_open, posix.sem_unlink])
def test_one_that_does_not_exist_is_reported(posix_name: str, call: Any) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        call(posix_name)
    assert caught.value.filename == posix_name


def test_it_outlives_its_name(posix_name: str) -> None:
    sem = opened(posix_name)
    posix.sem_unlink(posix_name)
    posix.sem_post(sem)
    assert posix.sem_getvalue(sem) == 1


def test_the_umask_applies_to_the_mode(posix_name: str) -> None:
    before = os.umask(0o027)
    try:
        posix.sem_open(posix_name, O_CREAT, 0o666)
    finally:
        os.umask(before)
    assert os.stat(f"/dev/shm/sem.{posix_name[1:]}").st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["", "/", "/a/b", "/" + 300 * "x"])
def test_a_name_that_the_system_does_not_take_is_an_error_about_it(name: str) -> None:
    with pytest.raises(OSError) as caught:
        posix.sem_open(name, O_CREAT)
    assert caught.value.filename == name


@pytest.mark.parametrize("call", [posix.sem_open, posix.sem_unlink])
def test_a_nul_in_a_name_is_refused(call: Any) -> None:
    with pytest.raises(ValueError, match="NUL"):
        call("/a\0b")


def test_the_largest_value_cannot_be_exceeded(posix_name: str) -> None:
    sem = opened(posix_name, posix.SEM_VALUE_MAX)
    with pytest.raises(OSError) as caught:
        posix.sem_post(sem)
    assert (caught.value.errno, caught.value.filename) == (errno.EOVERFLOW, posix_name)
    assert posix.sem_getvalue(sem) == posix.SEM_VALUE_MAX


def test_a_first_value_that_is_too_large_is_an_error(posix_name: str) -> None:
    with pytest.raises(OSError) as caught:
        opened(posix_name, posix.SEM_VALUE_MAX + 1)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(OSError) as caught:
        posix.sem_init(bytearray(SIZEOF_SEM_T), value=posix.SEM_VALUE_MAX + 1)
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("bad", [-1, 2**40, 10**100])
def test_a_value_that_is_no_value_is_refused(bad: int) -> None:
    with pytest.raises(ValueError, match="value"):
        posix.sem_open("/never", O_CREAT, 0o600, bad)
    with pytest.raises(ValueError, match="mode"):
        posix.sem_open("/never", O_CREAT, bad)
    with pytest.raises(ValueError, match="value"):
        posix.sem_init(bytearray(SIZEOF_SEM_T), value=bad)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("bad", [None, 0, "sem", object()])
def test_what_is_no_semaphore_is_refused(use: Any, bad: Any) -> None:
    with pytest.raises(TypeError):
        use(bad)


def test_a_semaphore_can_only_be_opened() -> None:
    with pytest.raises(TypeError, match="sem_open"):
        posix.Semaphore()
    for use in USES:
        with pytest.raises(ValueError, match="closed"):
            use(posix.Semaphore.__new__(posix.Semaphore))


# ---- Waiting -----------------------------------------------------------------------


@every_wait
def test_waiting_ends_when_somebody_posts(posix_name: str, wait: Any) -> None:
    sem = opened(posix_name)
    waiting = Background(lambda: wait(sem))
    # Both this and the post need the GIL, which the waiting thread must not hold.
    until(lambda: waiters(posix_name) == 1)
    posix.sem_post(sem)
    waiting.finish()
    assert posix.sem_getvalue(sem) == 0


@every_wait
def test_a_handler_that_returns_does_not_end_the_wait(posix_name: str, wait: Any) -> None:
    sem = opened(posix_name)
    with signals(lambda count: posix.sem_post(sem) if count == 3 else None):
        wait(sem)


@every_wait
def test_a_handler_that_raises_ends_the_wait(posix_name: str, wait: Any) -> None:
    sem = opened(posix_name)
    with pytest.raises(Stop), signals(stop):
        wait(sem)
    posix.sem_post(sem)
    posix.sem_wait(sem)


@pytest.mark.parametrize("call", ["sem_wait(sem)", "sem_timedwait(sem, 2**33)"])
def test_ctrl_c_ends_the_wait(posix_name: str, call: str) -> None:
    opened(posix_name)
    program = f"""
    from isthmus import posix
    sem = posix.sem_open(sys.argv[1])
    posix.{call}
    """
    with child(program, posix_name) as process:
        until(lambda: waiters(posix_name) == 1)
        presses_ctrl_c(process)


def test_a_waiting_process_that_is_killed_takes_nothing(posix_name: str) -> None:
    sem = opened(posix_name)
    program = """
    from isthmus import posix
    posix.sem_wait(posix.sem_open(sys.argv[1]))
    """
    with child(program, posix_name) as process:
        until(lambda: waiters(posix_name) == 1)
        process.kill()
        process.wait()
    posix.sem_post(sem)
    posix.sem_wait(sem)


@pytest.mark.parametrize("ahead", [-5, 0, 0.002])
def test_the_time_runs_out(posix_name: str, ahead: float) -> None:
    sem = opened(posix_name)
    for clock, now in ((CLOCK_REALTIME, time.time), (CLOCK_MONOTONIC, time.monotonic)):
        deadline = now() + ahead
        with pytest.raises(TimeoutError) as caught:
            posix.sem_clockwait(sem, clock, deadline)
        assert (caught.value.errno, caught.value.filename) == (errno.ETIMEDOUT, posix_name)
        assert now() >= deadline
    deadline = time.time() + ahead
    with pytest.raises(TimeoutError):
        posix.sem_timedwait(sem, deadline)
    assert time.time() >= deadline


def test_a_deadline_stays_where_it_is_through_interruptions(posix_name: str) -> None:
    sem = opened(posix_name)
    handled: list[int] = []
    deadline = time.monotonic() + 0.03
    with signals(handled.append), pytest.raises(TimeoutError):
        posix.sem_clockwait(sem, CLOCK_MONOTONIC, deadline)
    assert time.monotonic() >= deadline
    assert handled


def test_what_can_be_taken_at_once_is_taken_however_late_it_is(posix_name: str) -> None:
    sem = opened(posix_name, 3)
    posix.sem_timedwait(sem, -1)
    posix.sem_timedwait(sem, float("-inf"))
    posix.sem_clockwait(sem, CLOCK_MONOTONIC, 0)
    assert posix.sem_getvalue(sem) == 0


@pytest.mark.parametrize(
    "bad", [float("nan"), float("inf"), 1e19, 2**70, pytest.param(10**400, id="1e400")]
)
def test_a_time_that_never_comes_is_refused(posix_name: str, bad: float) -> None:
    sem = opened(posix_name, 1)
    with pytest.raises(ValueError, match="abs_timeout"):
        posix.sem_timedwait(sem, bad)
    with pytest.raises(ValueError, match="abs_timeout"):
        posix.sem_clockwait(sem, CLOCK_MONOTONIC, bad)


@pytest.mark.parametrize("bad", [None, "1", b"1"])
def test_a_time_of_another_type_is_refused(posix_name: str, bad: Any) -> None:
    with pytest.raises(TypeError):
        posix.sem_timedwait(opened(posix_name, 1), bad)


def test_a_clock_that_nobody_can_wait_by_is_an_error(posix_name: str) -> None:
    sem = opened(posix_name)
    with pytest.raises(OSError) as caught:
        posix.sem_clockwait(sem, time.CLOCK_THREAD_CPUTIME_ID, 1)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(ValueError, match="clock"):
        posix.sem_clockwait(sem, -1, 1)


# ---- Closing -----------------------------------------------------------------------


@pytest.mark.parametrize("use", USES)
def test_a_closed_handle_cannot_be_used(posix_name: str, use: Any) -> None:
    sem = opened(posix_name, 1)
    assert not sem.closed
    posix.sem_close(sem)
    assert sem.closed
    with pytest.raises(ValueError, match="closed"):
        use(sem)
    assert repr(sem) == f"<isthmus.posix.Semaphore {posix_name!r} closed>"


def test_closing_while_another_thread_waits_lets_it_wait_on(posix_name: str) -> None:
    sem = opened(posix_name)
    waiting = Background(lambda: posix.sem_wait(sem))
    until(lambda: waiters(posix_name) == 1)
    posix.sem_close(sem)
    with pytest.raises(ValueError, match="closed"):
        posix.sem_post(sem)
    other = posix.sem_open(posix_name)
    posix.sem_post(other)
    waiting.finish()
    assert posix.sem_getvalue(other) == 0


def test_many_threads_may_close_at_once_and_one_succeeds(posix_name: str) -> None:
    opened(posix_name)
    for _ in range(50):
        sem = posix.sem_open(posix_name)

        def close(sem: posix.Semaphore = sem) -> bool:
            try:
                posix.sem_close(sem)
            except ValueError:
                return False
            return True

        threads = [Background(close) for _ in range(4)]
        assert sum(bool(thread.finish()) for thread in threads) == 1


def test_dropping_the_handle_closes_it(posix_name: str) -> None:
    sem = opened(posix_name)
    found = os.stat(f"/dev/shm/sem.{posix_name[1:]}")

    def mappings() -> int:
        # The C library gives it a temporary name first, and that is what is shown.
        with open("/proc/self/maps", encoding="ascii") as maps:
            lines = [line.split() for line in maps if "/dev/shm/" in line]
        return sum(int(line[4]) == found.st_ino for line in lines)

    gone = weakref.ref(sem)
    assert mappings() == 1
    del sem
    gc.collect()
    assert gone() is None
    assert mappings() == 0


def test_a_handle_works_in_a_child_after_a_fork(posix_name: str, run_python: Any) -> None:
    program = """
    import os, sys
    from isthmus import posix
    sem = posix.sem_open(sys.argv[1], posix.O_CREAT)
    if os.fork() == 0:
        posix.sem_post(sem)
        posix.sem_close(sem)
        os._exit(0)
    posix.sem_wait(sem)
    os.wait()
    print(posix.sem_getvalue(sem))
    """
    assert run_python(program, posix_name) == "0\n"


# ---- In a buffer -------------------------------------------------------------------


@pytest.mark.parametrize("pshared", [True, False])
def test_a_semaphore_in_a_buffer_counts(pshared: bool) -> None:
    sem = posix.sem_init(bytearray(SIZEOF_SEM_T), pshared, 1)
    assert sem.name is None
    posix.sem_wait(sem)
    with pytest.raises(BlockingIOError) as caught:
        posix.sem_trywait(sem)
    assert caught.value.filename is None
    assert str(caught.value) == f"[Errno {errno.EAGAIN}] {os.strerror(errno.EAGAIN)}"
    posix.sem_destroy(sem)


def test_the_arguments_of_a_semaphore_in_a_buffer_are_in_the_order_of_c() -> None:
    shared_and_empty = posix.sem_init(bytearray(SIZEOF_SEM_T), True, 0)
    assert posix.sem_getvalue(shared_and_empty) == 0
    private_and_full = posix.sem_init(bytearray(SIZEOF_SEM_T), False, 1)
    assert posix.sem_getvalue(private_and_full) == 1


def test_another_process_waits_on_one_in_shared_memory(posix_name: str, run_python: Any) -> None:
    fd = posix.shm_open(posix_name, posix.O_CREAT | posix.O_RDWR)
    posix.ftruncate(fd, 4096)
    both = posix.PROT_READ | posix.PROT_WRITE
    region = posix.mmap(4096, both, posix.MAP_SHARED, fd)
    os.close(fd)
    ping = posix.sem_init(region.buf, offset=64)
    pong = posix.sem_init(region.buf, offset=128)
    program = """
    import sys
    from isthmus import posix
    fd = posix.shm_open(sys.argv[1], posix.O_RDWR)
    region = posix.mmap(4096, posix.PROT_READ | posix.PROT_WRITE, posix.MAP_SHARED, fd)
    posix.sem_wait(posix.sem_at(region.buf, 64))
    posix.sem_post(posix.sem_at(region.buf, offset=128))
    """
    other = Background(lambda: run_python(program, posix_name))
    posix.sem_post(ping)
    posix.sem_wait(pong)
    other.finish()


def test_the_handle_keeps_the_buffer(posix_name: str) -> None:
    memory = bytearray(SIZEOF_SEM_T)
    sem = posix.sem_init(memory, value=1)
    with pytest.raises(BufferError):
        memory.clear()
    posix.sem_destroy(sem)
    memory.clear()


def test_a_buffer_that_refers_to_its_handle_is_collected() -> None:
    class Memory(bytearray):
        sem: posix.Semaphore

    memory = Memory(SIZEOF_SEM_T)
    memory.sem = posix.sem_init(memory)
    gone = weakref.ref(memory)
    del memory
    gc.collect()
    assert gone() is None


def test_the_handle_outlives_the_region() -> None:
    flags = posix.MAP_SHARED | posix.MAP_ANONYMOUS
    region = posix.mmap(4096, posix.PROT_READ | posix.PROT_WRITE, flags)
    sem = posix.sem_init(region.buf, value=1)
    posix.munmap(region)
    del region
    gc.collect()
    posix.sem_wait(sem)
    posix.sem_close(sem)


@pytest.mark.parametrize("offset", [1, SIZEOF_SEM_T, 10**6])
def test_a_place_that_is_too_small_is_refused(offset: int) -> None:
    memory = bytearray(2 * SIZEOF_SEM_T - 1)
    for make in (posix.sem_init, posix.sem_at):
        with pytest.raises(ValueError, match=r"fit|multiple"):
            make(memory, offset=offset)
    memory.clear()


def test_a_place_that_is_not_aligned_is_refused() -> None:
    memory = mmap.mmap(-1, 4096)
    for offset in range(1, posix.ALIGNOF_SEM_T):
        with pytest.raises(ValueError, match="multiple"):
            posix.sem_init(memory, offset=offset)
    memory.close()


@pytest.mark.parametrize("bad", [-1, 2**70])
def test_an_offset_that_is_none_is_refused(bad: int) -> None:
    with pytest.raises(ValueError, match="offset"):
        posix.sem_at(bytearray(SIZEOF_SEM_T), bad)


def test_memory_that_cannot_be_written_is_refused() -> None:
    bad: Any
    scattered = np.zeros(128, "u1")[::2]
    for bad in (bytes(64), memoryview(bytes(64)), memoryview(bytearray(128))[::2], scattered):
        with pytest.raises(BufferError):
            posix.sem_init(bad)
    bad = 5
    with pytest.raises(TypeError):
        posix.sem_at(bad)


def test_destroying_while_another_thread_waits_is_refused() -> None:
    memory = bytearray(SIZEOF_SEM_T)
    sem = posix.sem_init(memory)
    waiting = Background(lambda: posix.sem_wait(sem))
    until(lambda: int.from_bytes(memory[4:8], "little") == 1)
    with pytest.raises(OSError) as caught:
        posix.sem_destroy(sem)
    assert caught.value.errno == errno.EBUSY
    posix.sem_post(sem)
    waiting.finish()
    posix.sem_destroy(sem)
    with pytest.raises(ValueError, match="closed"):
        posix.sem_destroy(sem)


def test_a_named_one_cannot_be_destroyed(posix_name: str) -> None:
    sem = opened(posix_name)
    with pytest.raises(ValueError, match="sem_close"):
        posix.sem_destroy(sem)
    posix.sem_post(sem)
