"""isthmus.sysv: semget, semop, semtimedop, semctl."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest
from bare_calls import Background, Stop, child, presses_ctrl_c, signals, stop, until

from isthmus import sysv
from isthmus.sysv import (
    GETALL,
    GETNCNT,
    GETPID,
    GETVAL,
    GETZCNT,
    IPC_CREAT,
    IPC_EXCL,
    IPC_NOWAIT,
    IPC_RMID,
    IPC_SET,
    IPC_STAT,
    SEM_UNDO,
    SETALL,
    SETVAL,
)

TAKE, GIVE = [(0, -1, 0)], [(0, 1, 0)]
WAITS = {
    "semop": lambda semid: sysv.semop(semid, TAKE),
    "semtimedop": lambda semid: sysv.semtimedop(semid, TAKE, 1000),
    "for ever": lambda semid: sysv.semtimedop(semid, TAKE, None),
}
every_wait = pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())


def waiting(semid: int) -> bool:
    return sysv.semctl(semid, 0, GETNCNT) == 1


def test_operations_are_done_together_or_not_at_all(semid: int) -> None:
    sysv.semop(semid, [(0, 2, 0), (1, 1, 0)])
    assert sysv.semctl(semid, 0, GETALL) == (2, 1, 0)
    with pytest.raises(BlockingIOError) as caught:
        sysv.semop(semid, [(0, -1, 0), (2, -1, IPC_NOWAIT)])
    error = caught.value
    expected = (errno.EAGAIN, os.strerror(errno.EAGAIN), semid)
    assert (error.errno, error.strerror, error.filename) == expected
    assert sysv.semctl(semid, 0, GETALL) == (2, 1, 0)
    sysv.semop(semid, ((0, -2, 0), (1, -1, 0), (2, 0, 0)))
    assert sysv.semctl(semid, 0, GETALL) == (0, 0, 0)


def test_there_may_be_many_operations(semid: int) -> None:
    _, limits = sysv.semctl(0, 0, sysv.IPC_INFO)
    sysv.semop(semid, ((i % 3, 1, 0) for i in range(min(limits.semopm, 300))))
    assert sysv.semctl(semid, 0, GETALL) == (100, 100, 100)
    with pytest.raises(OSError) as caught:
        sysv.semop(semid, GIVE * (limits.semopm + 1))
    assert (caught.value.errno, caught.value.filename) == (errno.E2BIG, semid)


def test_values_are_set_and_read(semid: int) -> None:
    sysv.semctl(semid, 1, SETVAL, 7)
    assert sysv.semctl(semid, 1, GETVAL) == 7
    sysv.semctl(semid, 0, SETALL, [1, 2, 3])
    assert sysv.semctl(semid, 0, GETALL) == (1, 2, 3)
    assert sysv.semctl(semid, 0, GETPID) == os.getpid()


def test_values_out_of_range_are_errors(semid: int) -> None:
    for value in (-1, 32768):
        with pytest.raises(OSError) as caught:
            sysv.semctl(semid, 0, SETVAL, value)
        assert (caught.value.errno, caught.value.filename) == (errno.ERANGE, semid)
    with pytest.raises(OSError) as caught:
        sysv.semctl(semid, 0, SETALL, [0, 0, 40000])
    assert caught.value.errno == errno.ERANGE
    sysv.semctl(semid, 0, SETVAL, 32767)
    with pytest.raises(OSError) as caught:
        sysv.semop(semid, GIVE)
    assert caught.value.errno == errno.ERANGE


@pytest.mark.parametrize("values", [[], [1, 2], [1, 2, 3, 4]])
def test_setting_all_needs_one_value_for_each(semid: int, values: list[int]) -> None:
    with pytest.raises(ValueError, match="3 values"):
        sysv.semctl(semid, 0, SETALL, values)


@pytest.mark.parametrize("bad", [2**16, -1, 2**40])
def test_numbers_that_are_none_are_refused(semid: int, bad: int) -> None:
    for operation in ((bad, 1, 0), (0, 2**40, 0), (0, 1, 2**40)):
        with pytest.raises(ValueError, match="sem_"):
            sysv.semop(semid, [operation])
    with pytest.raises(ValueError, match="value"):
        sysv.semctl(semid, 0, SETALL, [bad, 0, 0])


@pytest.mark.parametrize(
    "bad", [None, 5, [5], [(1, 2)], [(1, 2, 3, 4)], [("a", 1, 0)], [(0, None, 0)]]
)
def test_operations_of_another_shape_are_refused(semid: int, bad: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        sysv.semop(semid, bad)


def test_no_operations_and_a_semaphore_that_is_not_there_are_errors(semid: int) -> None:
    for operations, code in (([], errno.EINVAL), ([(3, 1, 0)], errno.EFBIG)):
        with pytest.raises(OSError) as caught:
            sysv.semop(semid, operations)
        assert (caught.value.errno, caught.value.filename) == (code, semid)
    with pytest.raises(OSError) as caught:
        sysv.semctl(semid, 3, GETVAL)
    assert caught.value.errno == errno.EINVAL


def test_what_a_dead_process_did_is_undone(semid: int, run_python: Any) -> None:
    program = """
    import sys
    from isthmus import sysv
    sysv.semop(int(sys.argv[1]), [(0, 5, sysv.SEM_UNDO), (1, 5, 0)])
    """
    run_python(program, semid)
    assert sysv.semctl(semid, 0, GETALL) == (0, 5, 0)


def test_status_tells_all_about_the_set(key: int, semid: int) -> None:
    assert sysv.semctl(semid, 0, IPC_STAT).otime == 0
    sysv.semop(semid, GIVE)
    found = sysv.semctl(semid, 0, IPC_STAT)
    assert found.perm[:6] == (key, os.geteuid(), os.getegid(), os.geteuid(), os.getegid(), 0o600)
    assert found.nsems == 3
    assert abs(found.otime - time.time()) < 60
    assert abs(found.ctime - time.time()) < 60


def test_setting_changes_the_mode(semid: int) -> None:
    found = sysv.semctl(semid, 0, IPC_STAT)
    sysv.semctl(semid, 0, IPC_SET, found._replace(perm=found.perm._replace(mode=0o640)))
    assert sysv.semctl(semid, 0, IPC_STAT).perm.mode == 0o640
    bad: Any
    for bad in (None, 3):
        with pytest.raises(TypeError, match="SemidDs"):
            sysv.semctl(semid, 0, IPC_SET, bad)


def test_the_limits_of_the_system_are_told(semid: int) -> None:
    semmsl, semmns, semopm, semmni = map(int, Path("/proc/sys/kernel/sem").read_text().split())
    highest, limits = sysv.semctl(0, 0, sysv.IPC_INFO)
    assert highest >= 0
    found = (limits.semmsl, limits.semmns, limits.semopm, limits.semmni)
    assert found == (semmsl, semmns, semopm, semmni)
    assert limits.semvmx == 32767


def test_what_is_in_use_is_told(semid: int) -> None:
    highest, info = sysv.semctl(0, 0, sysv.SEM_INFO)
    assert highest >= 0
    assert info.semusz >= 1
    assert info.semaem >= 3


@pytest.mark.parametrize("command", [sysv.SEM_STAT, sysv.SEM_STAT_ANY])
def test_all_sets_can_be_found_by_their_index(key: int, semid: int, command: int) -> None:
    highest, _ = sysv.semctl(0, 0, sysv.SEM_INFO)
    found = {}
    for index in range(highest + 1):
        try:
            id, status = sysv.semctl(index, 0, command)
        except OSError as error:
            assert error.errno in {errno.EINVAL, errno.EIDRM, errno.EACCES}  # noqa: PT017
        else:
            found[id] = status
    assert found[semid].perm.key == key


def test_exclusive_creation_reports_one_that_exists(key: int, semid: int) -> None:
    with pytest.raises(FileExistsError) as caught:
        sysv.semget(key, 1, IPC_CREAT | IPC_EXCL)
    assert caught.value.filename == key


def test_a_key_that_leads_nowhere_is_reported(key: int) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        sysv.semget(key, 0)
    assert caught.value.filename == key


def test_a_set_of_no_semaphores_or_too_many_is_an_error(key: int) -> None:
    for count in (-1, 0, 2**31 - 1):
        with pytest.raises(OSError) as caught:
            sysv.semget(key, count, IPC_CREAT | 0o600)
        assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, key)
    with pytest.raises(ValueError, match="nsems"):
        sysv.semget(key, 2**31, IPC_CREAT)


def test_an_unknown_command_is_refused(semid: int) -> None:
    with pytest.raises(ValueError, match="999"):
        sysv.semctl(semid, 0, 999)


def test_another_users_set_may_not_be_changed(
    semid: int, run_python: Any, unprivileged: int
) -> None:
    program = f"""
    import os, sys
    from isthmus import sysv
    os.setuid({unprivileged})
    try:
        sysv.semop(int(sys.argv[1]), [(0, 1, 0)])
    except PermissionError as error:
        print(error.filename)
    """
    assert run_python(program, semid) == f"{semid}\n"


# ---- Waiting -----------------------------------------------------------------------


@every_wait
def test_waiting_ends_when_another_thread_gives(semid: int, wait: Any) -> None:
    thread = Background(lambda: wait(semid))
    until(lambda: waiting(semid))
    sysv.semop(semid, GIVE)
    thread.finish()


def test_waiting_for_zero_is_counted_and_ends(semid: int) -> None:
    sysv.semop(semid, GIVE)
    thread = Background(lambda: sysv.semop(semid, [(0, 0, 0)]))
    until(lambda: sysv.semctl(semid, 0, GETZCNT) == 1)
    sysv.semop(semid, TAKE)
    thread.finish()


@every_wait
def test_removal_ends_the_wait(semid: int, wait: Any) -> None:
    thread = Background(lambda: wait(semid))
    until(lambda: waiting(semid))
    sysv.semctl(semid, 0, IPC_RMID)
    with pytest.raises(OSError) as caught:
        thread.finish()
    assert (caught.value.errno, caught.value.filename) == (errno.EIDRM, semid)


@every_wait
def test_a_handler_that_returns_does_not_end_the_wait(semid: int, wait: Any) -> None:
    with signals(lambda count: sysv.semop(semid, GIVE) if count == 3 else None):
        wait(semid)
    assert sysv.semctl(semid, 0, GETVAL) == 0


@every_wait
def test_a_handler_that_raises_ends_the_wait(semid: int, wait: Any) -> None:
    with pytest.raises(Stop), signals(stop):
        wait(semid)
    sysv.semop(semid, GIVE)
    assert sysv.semctl(semid, 0, GETVAL) == 1


@pytest.mark.parametrize("seconds", [0, 0.002, -1])
def test_the_time_runs_out(semid: int, seconds: float) -> None:
    start = time.monotonic()
    with pytest.raises(BlockingIOError) as caught:
        sysv.semtimedop(semid, TAKE, seconds)
    assert (caught.value.errno, caught.value.filename) == (errno.EAGAIN, semid)
    assert time.monotonic() - start >= seconds


def test_interruptions_do_not_start_the_time_again(semid: int) -> None:
    handled: list[int] = []
    start = time.monotonic()
    # Each interruption comes sooner than the time is over: were it to start again, it never would.
    with signals(handled.append), pytest.raises(BlockingIOError):
        sysv.semtimedop(semid, TAKE, 0.03)
    assert time.monotonic() - start >= 0.03
    assert handled


@pytest.mark.parametrize(
    "bad", [float("nan"), float("inf"), 2**70, pytest.param(10**400, id="1e400")]
)
def test_a_time_that_never_ends_is_refused(semid: int, bad: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        sysv.semtimedop(semid, GIVE, bad)


def test_a_very_long_time_is_a_time(semid: int) -> None:
    with signals(lambda count: sysv.semop(semid, GIVE) if count == 3 else None):
        sysv.semtimedop(semid, TAKE, 8e18)


@pytest.mark.parametrize("killed", [True, False])
def test_ctrl_c_or_death_ends_a_wait_and_takes_nothing(semid: int, killed: bool) -> None:
    program = """
    from isthmus import sysv
    sysv.semop(int(sys.argv[1]), [(0, -1, sysv.SEM_UNDO)])
    """
    with child(program, semid) as process:
        until(lambda: waiting(semid))
        if killed:
            process.kill()
            process.wait()
        else:
            presses_ctrl_c(process)
    sysv.semop(semid, [(0, 1, SEM_UNDO)])
    assert sysv.semctl(semid, 0, GETVAL) == 1
