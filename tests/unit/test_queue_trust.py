"""Who may make a process unpickle something; and messages that are damaged."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from bare_calls import PATIENCE
from rings import Memory

import isthmus
from isthmus import Queue, RecordError, UntrustedPickleError


@pytest.fixture
def damaged(name: str) -> Iterator[tuple[Queue, Memory]]:
    with Queue(name, capacity=8192, max_attempts=3) as queue:
        memory = Memory(name, queue.capacity)
        yield queue, memory
        memory.close()


# ---- Trust -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o620, 0o602, 0o666])
def test_pickles_are_read_only_where_nobody_else_may_write(mode: int, name: str) -> None:
    q = Queue(name, mode=mode)
    q.put({"a"})
    if mode & 0o022 == 0:
        assert q.get() == {"a"}
        return
    for get in (q.get, q.get_nowait, lambda: q.get_many(3), q.lease, lambda: next(q)):
        with pytest.raises(UntrustedPickleError, match="allow_pickle=True") as caught:
            get()
        assert isinstance(caught.value, PermissionError)
        assert (caught.value.number, caught.value.name) == (0, name)
    assert q.qsize() == 1  # it stays
    with Queue(name, allow_pickle=True) as trusting:
        assert trusting.allow_pickle is True
        assert trusting.get() == {"a"}
    for obj in (b"x", "x", bytearray(b"x"), np.arange(3), 1, {"a": [1]}):
        q.put(obj)
        assert type(q.get()) is type(obj)


def test_a_refused_pickle_stays_also_where_attempts_are_limited(name: str) -> None:
    with Queue.create(name, mode=0o666, max_attempts=1) as q:
        q.put({"a"})
        for _ in range(3):
            with pytest.raises(UntrustedPickleError):
                q.get(block=False)
        assert (q.qsize(), q.aside()) == (1, [])
        with Queue.attach(name, allow_pickle=True) as trusting:
            assert trusting.get(block=False) == {"a"}


def test_pickles_can_be_refused_altogether() -> None:
    q = Queue(allow_pickle=False)
    q.put({1})
    with pytest.raises(UntrustedPickleError, match="allow_pickle=False"):
        q.get()
    q.clear()
    for obj in ("text", {"job": 17, "sizes": [640, 480]}):
        q.put(obj)
        assert q.get() == obj


def test_a_pickle_that_was_refused_was_no_delivery(name: str) -> None:
    with Queue(name, max_attempts=2, allow_pickle=False) as q:
        q.put({1})
        for _ in range(3):
            with pytest.raises(UntrustedPickleError):
                q.lease()
        assert q.stats().aside == 0
        with Queue.attach(name, allow_pickle=True) as trusting, trusting.lease() as job:
            assert (job.value, job.attempt) == ({1}, 1)


def test_the_mode_is_asked_each_time(name: str) -> None:
    q = Queue(name)
    q.put({1})
    os.chmod(f"/dev/shm/isthmus.{name}", 0o666)
    with pytest.raises(UntrustedPickleError):
        q.get()
    os.chmod(f"/dev/shm/isthmus.{name}", 0o600)
    assert q.get() == {1}


def test_an_anonymous_one_is_trusted() -> None:
    q = Queue()
    q.put({1})
    assert q.get() == {1}


def test_of_another_user_no_pickle_is_read(
    name: str, run_python: Callable[..., str], unprivileged: int
) -> None:
    """Root makes a queue and gives it away; its owner puts a pickle into it."""
    with Queue.create(name, owner=unprivileged) as q:
        program = """
        import isthmus, sys
        with isthmus.Queue.attach(sys.argv[1]) as q:
            assert q.get() == {"root"}   # root may write everywhere anyway
            q.put({"another"})
            q.put(b"bytes")
        """
        q.put({"root"})
        run_python(program, name, user=unprivileged)
        with pytest.raises(UntrustedPickleError):
            q.get()
        assert q.qsize() == 2
        with Queue.attach(name, owner="any", allow_pickle=True) as trusting:
            assert trusting.get() == {"another"}
        assert q.get() == b"bytes"


def test_a_user_reads_no_pickle_from_a_queue_that_others_may_write_to(
    name: str, run_python: Callable[..., str], unprivileged: int
) -> None:
    """Root's queue, open to all, in which another user finds what anybody could have put."""
    with Queue(name, mode=0o666) as q:
        q.put({"any code"})
        program = """
        import isthmus, sys
        with isthmus.Queue.attach(sys.argv[1], owner=0) as q:
            try:
                q.get()
            except isthmus.UntrustedPickleError as error:
                print("refused", error.number)
            q.put(b"harmless")
        """
        assert run_python(program, name, user=unprivileged) == "refused 0\n"
        assert q.stats().ready == 2


# ---- Damage -----------------------------------------------------------------------------


def test_an_unknown_type_is_named_and_the_message_stays(damaged: tuple[Queue, Memory]) -> None:
    q, memory = damaged
    q.put_many([b"first", b"second"])
    memory.change(0, type=77)
    gets = (q.get, q.get_nowait, lambda: q.get_many(3), lambda: next(q))
    for get in (*gets, q.lease, q.lease, q.lease):
        assert q.stats().aside == 0
        with pytest.raises(RecordError, match="does not know its type 77") as caught:
            get()
        assert (caught.value.number, caught.value.position) == (0, 0)
        assert isinstance(caught.value, isthmus.CorruptError)
    (message,) = q.aside()  # after three deliveries by lease
    with pytest.raises(RecordError, match="message 0, at position 0, of queue"):
        message.value
    assert q.get() == b"second"


@pytest.mark.parametrize(
    "fields",
    [
        {"type": 3, "checked": False},
        {"size": 2**62},
        {"size": 9000},
        {"data": 2**31},
        {"data": 0},
        {"data": 8},
        {"sequence": 5, "checked": False},
        {"check": 1, "checked": False},
    ],
    ids=str,
)
def test_a_damaged_header_is_noticed_and_clear_helps(
    fields: dict[str, Any], damaged: tuple[Queue, Memory]
) -> None:
    q, memory = damaged
    q.put_many([b"first", b"second"])
    memory.change(0, **fields)
    for get in (q.get, q.get_nowait, lambda: q.get_many(3), lambda: next(q), q.lease):
        with pytest.raises(RecordError, match="contradicts itself"):
            get()
    q.clear()
    q.put(b"third")
    assert q.get() == b"third"


def test_messages_before_a_damaged_one_can_be_got(damaged: tuple[Queue, Memory]) -> None:
    q, memory = damaged
    q.put_many([b"first", b"second", "\u00fc"])
    memory.change(64 * 2, type=3)
    memory.map[memory.place(128) + memory.record(128)["data"]] = 0xFF
    assert q.get_many(3) == [b"first", b"second"]
    for get in (q.get, lambda: q.get_many(3), q.lease):
        with pytest.raises(RecordError, match=r"message 2.*not UTF-8"):
            get()


META_OF_ARRAYS = [
    ("<I", 0, 65),  # ndim
    ("<I", 0, 3),
    ("<I", 0, 1),
    ("<I", 4, 2),  # flags
    ("<Q", 8, 4),  # itemsize
    ("<Q", 8, 0),
    ("<Q", 8, 2**63),
    ("<I", 16, 60000),  # length of the dtype's text
    ("<I", 16, 1),
    ("<I", 16, 0),
    ("<Q", 24, 7),  # shape
    ("<Q", 24, 2**63),
    ("<Q", 24, 0),
    ("<Q", 32, 2**61),
    ("<I", 40, 0x2250_2250),  # the text
    ("<I", 40, 0),
]


@pytest.mark.parametrize(("format", "offset", "value"), META_OF_ARRAYS)
def test_an_array_that_contradicts_itself_is_refused(
    format: str, offset: int, value: int, damaged: tuple[Queue, Memory]
) -> None:
    q, memory = damaged
    q.put(np.ones((2, 3)))
    memory.meta(0, offset, format, value)
    for get in (q.get, q.lease):
        with pytest.raises(RecordError, match="message 0, at position 0, of queue"):
            get()
    q.clear()
    assert q.stats().used == 0


@pytest.mark.parametrize(
    ("format", "offset", "value"),
    [
        ("<Q", 0, 10_000),  # bytes of the pickle
        ("<Q", 0, 2**64 - 1),
        ("<I", 8, 1000),  # how many buffers
        ("<I", 8, 2**32 - 1),
        ("<Q", 16, 9_000),  # bytes of a buffer
        ("<Q", 16, 2**63 - 1),
        ("<Q", 16, 2**64 - 1),
    ],
)
def test_a_pickle_that_contradicts_itself_is_refused(
    format: str, offset: int, value: int, damaged: tuple[Queue, Memory]
) -> None:
    q, memory = damaged
    q.put({"a": np.ones(100)})
    memory.meta(0, offset, format, value)
    for get in (q.get, q.lease):
        with pytest.raises(RecordError, match="message 0, at position 0, of queue"):
            get()


COLLECTING = """
import gc, sys
import isthmus, isthmus._ring_errors
q = isthmus.Queue(sys.argv[1])
for _ in range(2):
    gc.collect()
    gc.disable()
    cycle = [q.lease()]
    cycle.append(cycle)
    del cycle
    spare = [[] for _ in range(50)]  # lists that get() can have without a collection
    del spare
    gc.set_threshold(1)
    gc.enable()
    try:
        q.get(True, 1)
    except isthmus.RecordError as error:
        print(error.number)
"""


def test_a_collection_of_garbage_in_the_middle_of_a_damaged_text_holds_up_nobody(
    damaged: tuple[Queue, Memory], name: str
) -> None:
    q, memory = damaged
    q.put_many([b"leased, till collected", b"\xff\xfe"])
    memory.change(64, type=3)
    done = subprocess.run(
        [sys.executable, "-c", COLLECTING, name],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.stdout, done.stderr) == ("1\n1\n", "")


@pytest.mark.parametrize("kind", [4, 5])
def test_bytes_that_claim_to_be_something_else_are_refused(
    kind: int, damaged: tuple[Queue, Memory]
) -> None:
    q, memory = damaged
    q.put(b"x" * 100)
    memory.change(0, type=kind)
    with pytest.raises(RecordError, match="too little meta data"):
        q.get()


def test_cursors_that_make_no_sense_raise(name: str) -> None:
    q = Queue(name, capacity=4096)
    memory = Memory(name, q.capacity)
    q.put(b"x")
    (cursors,) = struct.unpack_from("<Q", memory.map, 256 + 64 + 16)
    for offset in (0, 256):  # tail, head
        before = memory.map[cursors + offset : cursors + offset + 8]
        for value in (1, 2**63, 4096 * 5):
            struct.pack_into("<Q", memory.map, cursors + offset, value)
            for use in (lambda: q.put(b"y", timeout=0.01), lambda: q.get(timeout=0.01), q.clear):
                try:
                    use()
                except isthmus.IsthmusError:
                    pass
            memory.map[cursors + offset : cursors + offset + 8] = before
    memory.close()
