"""isthmus.sysv: msgget, msgsnd, msgrcv, msgctl."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest
from bare_calls import Background, Stop, child, is_in, presses_ctrl_c, signals, stop, until

from isthmus import sysv
from isthmus.sysv import IPC_CREAT, IPC_EXCL, IPC_NOWAIT, IPC_RMID, IPC_SET, IPC_STAT


def fill(msqid: int) -> None:
    """Leave no room in the queue."""
    found = sysv.msgctl(msqid, IPC_STAT)
    sysv.msgctl(msqid, IPC_SET, found._replace(qbytes=8))
    sysv.msgsnd(msqid, 1, b"all of 8")


def test_messages_come_in_order_with_their_types(msqid: int) -> None:
    for kind, text in ((3, b"a"), (1, b""), (2**62, bytes(100))):
        sysv.msgsnd(msqid, kind, text)
    received = [sysv.msgrcv(msqid, 100) for _ in range(3)]
    assert received == [(3, b"a"), (1, b""), (2**62, bytes(100))]


@pytest.mark.parametrize(
    ("kind", "flags", "expected"),
    [
        (0, 0, (3, b"first")),
        (2, 0, (2, b"second")),
        (-2, 0, (1, b"third")),
        (-10, 0, (1, b"third")),
        (3, sysv.MSG_EXCEPT, (2, b"second")),
    ],
)
def test_the_type_chooses_the_message(
    msqid: int, kind: int, flags: int, expected: tuple[int, bytes]
) -> None:
    for number, text in ((3, b"first"), (2, b"second"), (1, b"third")):
        sysv.msgsnd(msqid, number, text)
    assert sysv.msgrcv(msqid, 100, kind, flags) == expected


def test_a_longer_message_stays_unless_it_may_be_cut_off(msqid: int) -> None:
    sysv.msgsnd(msqid, 1, b"too long")
    for size in (0, 7):
        with pytest.raises(OSError) as caught:
            sysv.msgrcv(msqid, size)
        assert (caught.value.errno, caught.value.filename) == (errno.E2BIG, msqid)
    assert sysv.msgrcv(msqid, 3, 0, sysv.MSG_NOERROR) == (1, b"too")
    assert sysv.msgctl(msqid, IPC_STAT).qnum == 0


def test_a_copy_leaves_the_message(msqid: int) -> None:
    sysv.msgsnd(msqid, 5, b"a")
    sysv.msgsnd(msqid, 6, b"b")
    flags = sysv.MSG_COPY | IPC_NOWAIT
    try:
        assert sysv.msgrcv(msqid, 10, 1, flags) == (6, b"b")
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        pytest.skip("this kernel has no MSG_COPY (CONFIG_CHECKPOINT_RESTORE)")
    with pytest.raises(OSError) as caught:
        sysv.msgrcv(msqid, 10, 2, flags)
    assert caught.value.errno == errno.ENOMSG
    assert sysv.msgctl(msqid, IPC_STAT).qnum == 2


@pytest.mark.parametrize("kind", [0, -1, -(2**63)])
def test_a_type_that_is_not_above_zero_is_an_error(msqid: int, kind: int) -> None:
    with pytest.raises(OSError) as caught:
        sysv.msgsnd(msqid, kind, b"")
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, msqid)


def test_a_message_longer_than_the_limit_is_an_error(msqid: int) -> None:
    _, limits = sysv.msgctl(0, sysv.IPC_INFO)
    with pytest.raises(OSError) as caught:
        sysv.msgsnd(msqid, 1, bytes(limits.msgmax + 1))
    assert caught.value.errno == errno.EINVAL


def test_numbers_and_texts_that_are_none_are_refused(msqid: int) -> None:
    with pytest.raises(ValueError, match="mtype"):
        sysv.msgsnd(msqid, 2**63, b"")
    with pytest.raises(ValueError, match="msgsz"):
        sysv.msgrcv(msqid, -1)
    with pytest.raises(ValueError, match="msgsz"):
        sysv.msgrcv(msqid, 2**63)
    with pytest.raises(MemoryError):
        sysv.msgrcv(msqid, 2**62)
    with pytest.raises(ValueError, match="msqid"):
        sysv.msgrcv(2**31, 1)
    text: Any = "text"
    with pytest.raises(TypeError):
        sysv.msgsnd(msqid, 1, text)
    with pytest.raises(TypeError):
        sysv.msgrcv(msqid, text)


def test_status_tells_all_about_the_queue(key: int, msqid: int) -> None:
    empty = sysv.msgctl(msqid, IPC_STAT)
    assert (empty.stime, empty.rtime, empty.lspid, empty.lrpid) == (0, 0, 0, 0)
    sysv.msgsnd(msqid, 1, b"12345")
    sysv.msgsnd(msqid, 1, b"67")
    sysv.msgrcv(msqid, 10)
    found = sysv.msgctl(msqid, IPC_STAT)
    assert found.perm[:6] == (key, os.geteuid(), os.getegid(), os.geteuid(), os.getegid(), 0o600)
    assert (found.cbytes, found.qnum) == (2, 1)
    assert (found.lspid, found.lrpid) == (os.getpid(), os.getpid())
    for moment in (found.stime, found.rtime, found.ctime):
        assert abs(moment - time.time()) < 60


def test_setting_changes_mode_and_room(msqid: int) -> None:
    found = sysv.msgctl(msqid, IPC_STAT)
    perm = found.perm._replace(mode=0o640)
    sysv.msgctl(msqid, IPC_SET, found._replace(perm=perm, qbytes=100))
    changed = sysv.msgctl(msqid, IPC_STAT)
    assert (changed.perm.mode, changed.qbytes) == (0o640, 100)
    bad: Any
    for bad in (None, 3):
        with pytest.raises(TypeError, match="MsqidDs"):
            sysv.msgctl(msqid, IPC_SET, bad)


def test_the_limits_of_the_system_are_told(msqid: int) -> None:
    highest, limits = sysv.msgctl(0, sysv.IPC_INFO)
    assert highest >= 0
    for name in ("msgmax", "msgmnb", "msgmni"):
        assert getattr(limits, name) == int(Path("/proc/sys/kernel", name).read_text())


def test_what_is_in_use_is_told(msqid: int) -> None:
    sysv.msgsnd(msqid, 1, b"123")
    highest, info = sysv.msgctl(0, sysv.MSG_INFO)
    assert highest >= 0
    assert info.msgpool >= 1
    assert info.msgmap >= 1
    assert info.msgtql >= 3


@pytest.mark.parametrize("command", [sysv.MSG_STAT, sysv.MSG_STAT_ANY])
def test_all_queues_can_be_found_by_their_index(key: int, msqid: int, command: int) -> None:
    highest, _ = sysv.msgctl(0, sysv.MSG_INFO)
    found = {}
    for index in range(highest + 1):
        try:
            id, status = sysv.msgctl(index, command)
        except OSError as error:
            assert error.errno in {errno.EINVAL, errno.EIDRM, errno.EACCES}  # noqa: PT017
        else:
            found[id] = status
    assert found[msqid].perm.key == key


def test_exclusive_creation_reports_one_that_exists(key: int, msqid: int) -> None:
    with pytest.raises(FileExistsError) as caught:
        sysv.msgget(key, IPC_CREAT | IPC_EXCL)
    assert caught.value.filename == key


def test_a_key_that_leads_nowhere_is_reported(key: int) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        sysv.msgget(key)
    assert caught.value.filename == key


def test_an_unknown_command_is_refused(msqid: int) -> None:
    with pytest.raises(ValueError, match="999"):
        sysv.msgctl(msqid, 999)


def test_another_users_queue_may_not_be_read(
    msqid: int, run_python: Any, unprivileged: int
) -> None:
    program = f"""
    import os, sys
    from isthmus import sysv
    os.setuid({unprivileged})
    for call in (lambda id: sysv.msgsnd(id, 1, b""), lambda id: sysv.msgrcv(id, 1)):
        try:
            call(int(sys.argv[1]))
        except PermissionError as error:
            print(error.filename)
    """
    assert run_python(program, msqid) == 2 * f"{msqid}\n"


# ---- Waiting -----------------------------------------------------------------------


def test_without_waiting_an_empty_or_full_queue_is_an_error(msqid: int) -> None:
    with pytest.raises(OSError) as caught:
        sysv.msgrcv(msqid, 1, 0, IPC_NOWAIT)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOMSG, msqid)
    fill(msqid)
    with pytest.raises(BlockingIOError) as caught:
        sysv.msgsnd(msqid, 1, b"more", IPC_NOWAIT)
    assert (caught.value.errno, caught.value.filename) == (errno.EAGAIN, msqid)


def test_receiving_waits_for_a_message(msqid: int) -> None:
    thread = Background(lambda: sysv.msgrcv(msqid, 10))
    until(lambda: is_in("msgrcv", thread.task))
    sysv.msgsnd(msqid, 4, b"x")
    assert thread.finish() == (4, b"x")


def test_sending_waits_for_room(msqid: int) -> None:
    fill(msqid)
    thread = Background(lambda: sysv.msgsnd(msqid, 2, b"more"))
    until(lambda: is_in("msgsnd", thread.task))
    assert sysv.msgrcv(msqid, 10) == (1, b"all of 8")
    thread.finish()
    assert sysv.msgrcv(msqid, 10) == (2, b"more")


def test_removal_ends_both_waits(msqid: int) -> None:
    fill(msqid)
    sending = Background(lambda: sysv.msgsnd(msqid, 1, b"more"))
    receiving = Background(lambda: sysv.msgrcv(msqid, 10, 99))
    until(lambda: is_in("msgsnd", sending.task) and is_in("msgrcv", receiving.task))
    sysv.msgctl(msqid, IPC_RMID)
    for thread in (sending, receiving):
        with pytest.raises(OSError) as caught:
            thread.finish()
        assert (caught.value.errno, caught.value.filename) == (errno.EIDRM, msqid)


def test_a_handler_that_returns_does_not_end_the_waits(msqid: int) -> None:
    with signals(lambda count: sysv.msgsnd(msqid, 1, b"x") if count == 3 else None):
        assert sysv.msgrcv(msqid, 10) == (1, b"x")
    fill(msqid)
    with signals(lambda count: sysv.msgrcv(msqid, 10) if count == 3 else None):
        sysv.msgsnd(msqid, 2, b"more")
    assert sysv.msgrcv(msqid, 10) == (2, b"more")


def test_a_handler_that_raises_ends_the_waits(msqid: int) -> None:
    with pytest.raises(Stop), signals(stop):
        sysv.msgrcv(msqid, 10)
    fill(msqid)
    with pytest.raises(Stop), signals(stop):
        sysv.msgsnd(msqid, 2, b"more")
    assert sysv.msgctl(msqid, IPC_STAT).qnum == 1


@pytest.mark.parametrize("killed", [True, False])
def test_ctrl_c_or_death_ends_a_wait_and_takes_nothing(msqid: int, killed: bool) -> None:
    program = """
    from isthmus import sysv
    sysv.msgrcv(int(sys.argv[1]), 10)
    """
    with child(program, msqid) as process:
        until(lambda: is_in("msgrcv", process.pid, process.pid))
        if killed:
            process.kill()
            process.wait()
        else:
            presses_ctrl_c(process)
    sysv.msgsnd(msqid, 1, b"x")
    assert sysv.msgrcv(msqid, 10) == (1, b"x")
