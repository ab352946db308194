"""An object is taken apart as it is, whole or damaged, and nobody notices."""

from __future__ import annotations

import itertools
import os
import random
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from other_processes import PATIENCE, Other
from rings import Memory
from untouched import untouched

import isthmus
from isthmus import inspect, posix, sysv
from isthmus.errors import (
    AccessError,
    ArgumentError,
    ForeignError,
    KindError,
    NotFoundError,
    UnsupportedError,
)
from isthmus.inspect import Dump, Field
from isthmus.inspect.looking._observed import Observed
from isthmus.inspect.looking._structs import structs
from isthmus.inspect.messages._records import RingReader

CAPACITY = 8192


def path_of(name: str) -> str:
    return f"/dev/shm/isthmus.{name}"


@contextmanager
def made(kind: str, name: str) -> Iterator[Any]:
    """One of a kind, gone at the end of the block."""
    one = MAKERS[kind](name)
    try:
        yield one
    finally:
        if kind == "array":
            one.unlink()  # these stay when nobody has them any more
        one.close()


def bytes_of(name: str) -> bytes:
    return Path(path_of(name)).read_bytes()


def fields(found: Dump, title: str) -> dict[str, Field]:
    (part,) = (one for one in found.parts if one.title == title)
    return {one.name: one for one in part.fields}


def meaning(found: Dump, title: str, field: str) -> str:
    return fields(found, title)[field].meaning


MAKERS: dict[str, Callable[[str], Any]] = {
    "array": lambda name: isthmus.Array(name, shape=(2, 3), dtype="<f4"),
    "lock": isthmus.Lock,
    "rlock": isthmus.RLock,
    "semaphore": lambda name: isthmus.Semaphore(name, 2),
    "event": isthmus.Event,
    "condition": isthmus.Condition,
    "barrier": lambda name: isthmus.Barrier(name, parties=2),
    "rwlock": isthmus.RWLock,
    "atomic int": isthmus.AtomicInt,
    "queue": lambda name: isthmus.Queue(name, capacity=CAPACITY),
    "topic": lambda name: isthmus.Publisher(name, capacity=CAPACITY),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_every_kind_is_taken_apart_without_a_trace_and_without_a_complaint(
    kind: str, name: str
) -> None:
    with made(kind, name):
        with untouched(path_of(name)):
            found = inspect.dump(name, bytes_of="header")
        assert (found.kind, found.name, found.address, found.problems) == (kind, name, name, ())
        header = fields(found, "header")
        assert header["kind"].meaning == kind
        assert header["total_size"].value == found.size == os.stat(path_of(name)).st_size
        assert header["creator_pid"].value == os.getpid()
        assert sum(piece.size for piece in found.pieces) == 256
        # Each number is where it is said to be.
        data = bytes_of(name)
        for part in found.parts:
            for one in part.fields:
                if isinstance(one.value, int):
                    assert one.value == int.from_bytes(data[one.offset :][: one.size], "little")


def test_words_are_told_by_who_holds_them(name: str) -> None:
    with closing(isthmus.Lock(name)) as lock:
        assert meaning(inspect.dump(name), "lock", "word") == "free"
        with lock:
            held = meaning(inspect.dump(name), "lock", "word")
            assert held == f"held by slot 0, pid {os.getpid()}"
    with closing(isthmus.Semaphore(name, 3)) as semaphore:
        semaphore.acquire()
        assert meaning(inspect.dump(name), "semaphore", "word") == "2 permits free"
    with closing(isthmus.Event(name)) as event:
        event.set()
        assert meaning(inspect.dump(name), "event", "word") == "set; was set 1 times"
    with closing(isthmus.AtomicInt(name, -5)):
        assert meaning(inspect.dump(name), "atomic int", "value") == "-5"


def test_an_owner_that_died_is_told_as_dead(name: str) -> None:
    def work() -> isthmus.Lock:
        lock = isthmus.Lock.attach(name)
        lock.acquire()
        return lock

    with closing(isthmus.Lock(name)) as lock, Other(work) as other:
        told = meaning(inspect.dump(name), "lock", "word")
        assert told == f"held by slot 1, pid {other.pid}"
        other.kill()
        found = inspect.dump(name)
        assert meaning(found, "lock", "word") == f"held by slot 1, pid {other.pid}, dead"
        titles = [one.title for one in found.parts if one.section == "participants"]
        assert titles == ["slot 0", "slot 1, dead"]
        with suppress(isthmus.OwnerDied), pytest.warns(isthmus.OwnerDiedWarning):
            lock.acquire()
        lock.release()


# ---- Messages --------------------------------------------------------------------------


def numbers(found: Dump) -> list[int]:
    return [one.record.number for one in found.messages]


def test_messages_are_chosen_by_their_numbers(name: str) -> None:
    with isthmus.Queue(name, capacity=CAPACITY) as queue:
        assert inspect.dump(name).messages == () and inspect.dump(name).kept == 0
        queue.put_many(range(30))
        queue.get_many(10)
        assert numbers(inspect.dump(name)) == list(range(20, 30))
        assert inspect.dump(name).kept == 20
        assert numbers(inspect.dump(name, records=3, start="oldest")) == [10, 11, 12]
        assert numbers(inspect.dump(name, records=3, start=15)) == [15, 16, 17]
        assert numbers(inspect.dump(name, records=3, start=2)) == [10, 11, 12]
        assert numbers(inspect.dump(name, records=None)) == list(range(10, 30))
        assert numbers(inspect.dump(name, start=30)) == []
        (one,) = inspect.dump(name, records=1).messages
        assert (one.type, one.preview, len(one.payload)) == ("value", "29", 9)
        assert inspect.dump(name, records=1, payload=3).messages[0].payload == one.payload[:3]


def test_what_was_set_aside_is_shown_beside(name: str) -> None:
    with isthmus.Queue(name, capacity=CAPACITY, max_attempts=1) as queue:
        queue.put_many([b"bad", b"good"])
        queue.lease().give_back()
        found = inspect.dump(name)
        assert [one.preview for one in found.messages] == ["b'bad'", "b'good'"][1:]
        assert [one.preview for one in found.aside] == ["b'bad'"]
        assert inspect.payload(name, 0) == b"bad"
        queue.aside()
        assert found.problems == ()


def test_the_payload_of_a_message_is_given_out_as_it_lies_there(name: str) -> None:
    with isthmus.Queue(name, capacity=1 << 20) as queue:
        queue.put_many([b"a", os.urandom(0), large := os.urandom(500_000)])
        with untouched(path_of(name)):
            assert inspect.payload(name, 2) == large
        assert inspect.payload(name, 1) == b""
        queue.get()
        with pytest.raises(NotFoundError, match="no message 0 now"):
            inspect.payload(name, 0)
    with isthmus.Lock(name), pytest.raises(KindError):
        inspect.payload(name, 0)
    with pytest.raises(KindError):
        inspect.payload("sysv-shm:1", 0)


def test_arguments_that_make_no_sense_are_refused(name: str) -> None:
    with isthmus.Queue(name):
        for options in (
            {"records": -1},
            {"start": "middle"},
            {"start": -1},
            {"payload": -1},
            {"bytes_of": (5, 2)},
            {"bytes_of": "nowhere"},
        ):
            with pytest.raises(ArgumentError):
                inspect.dump(name, **options)  # type: ignore[arg-type]
        assert inspect.dump(name, records=1 << 70).messages == ()
    with pytest.raises(NotFoundError, match="isthmus ls"):
        inspect.dump(name)


# ---- While it is used ------------------------------------------------------------------


@contextmanager
def working(job: Callable[[], object]) -> Iterator[None]:
    """A child that does something again and again."""
    child = os.fork()
    if not child:
        try:
            while True:
                job()
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def told(preview: str) -> int:
    """Each of the messages below is its number, as often as it likes."""
    parts = set(preview.strip("b'…").split("."))
    parts = {one for one in parts if one}
    whole = max(parts, key=len)
    assert all(whole.startswith(one) for one in parts), preview
    return int(whole)


@pytest.mark.parametrize("kind", ["queue", "topic"])
def test_messages_are_right_or_marked_while_others_put_and_get(kind: str, name: str) -> None:
    count = itertools.count()
    sizes = random.Random(3)

    def message() -> bytes:
        return b"%d." % next(count) * sizes.randrange(1, 60)

    if kind == "queue":
        used: Any = isthmus.Queue(name, capacity=CAPACITY)

        def job() -> None:
            for _ in range(sizes.randrange(1, 15)):
                used.put(message())
            used.get_many(100)
    else:
        used = isthmus.Publisher(name, capacity=CAPACITY, overflow="overwrite")

        def job() -> None:
            used.publish(message())

    seen = set[int]()
    deadline = time.monotonic() + PATIENCE
    with working(job), untouched(path_of(name), still=False):
        for round_ in itertools.count():
            # On a busy machine the other one may not have begun yet.
            if round_ >= 40 and (len(seen) > 5 or time.monotonic() > deadline):
                break
            start = ("newest", "oldest")[round_ % 2]
            found = inspect.dump(name, records=8, start=start, width=200)  # type: ignore[arg-type]
            for one in found.messages:
                assert one.record.sound and one.record.problem is None
                if one.overwritten:
                    assert one.payload == b""
                    continue
                assert told(one.preview) == one.record.number
                assert len(one.payload) == one.record.size
                seen.add(one.record.number)
            # Counts are only known where nobody put or got meanwhile.
            assert all("how many" in one for one in found.problems)
    assert len(seen) > 5
    used.close()


def test_one_that_is_overwritten_before_it_was_copied_is_marked(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with isthmus.Publisher(name, capacity=CAPACITY, overflow="overwrite") as publisher:
        publisher.publish(b"old")
        last = RingReader.last

        def too_late(self: RingReader, *options: Any, **more: Any) -> Any:
            found = last(self, *options, **more)
            for _ in range(CAPACITY // 32):
                publisher.publish(b"new")
            return found

        monkeypatch.setattr(RingReader, "last", too_late)
        (one,) = inspect.dump(name, records=1).messages
        assert one.overwritten and one.record.number == 0
        assert (one.preview, one.payload) == ("overwritten while it was read", b"")


# ---- Damage ----------------------------------------------------------------------------


def test_random_damage_is_told_and_never_ends_the_look(name: str) -> None:
    for seed in range(40):
        dice = random.Random(seed)
        kind = list(MAKERS)[seed % len(MAKERS)]
        with made(kind, name) as one:
            if kind == "queue":
                one.put_many([b"x" * dice.randrange(900) for _ in range(6)])
            data = bytearray(bytes_of(name))
        copy = f"{name}-{seed}"
        ends = [256, 448, len(data)]
        for _ in range(dice.choice([1, 3, 200])):
            place = dice.randrange(dice.choice(ends))
            data[place] = dice.choice([0, 0xFF, dice.randrange(256)])
        if dice.randrange(4) == 0:
            del data[dice.randrange(len(data)) :]
        with open(path_of(copy), "wb") as file:
            file.write(data)
        try:
            found = inspect.dump(copy, records=None, bytes_of=(0, 1 << 40))
            assert sum(piece.size for piece in found.pieces) == len(data)
            assert inspect.to_dict(found)
        finally:
            os.unlink(path_of(copy))


def test_a_damaged_header_is_told_and_the_messages_are_shown(name: str) -> None:
    with isthmus.Queue(name, capacity=CAPACITY) as queue:
        queue.put_many(["one", "two"])
        memory = Memory(name, CAPACITY)
        original = bytes(memory.map[:448])
        memory.map[0:256] = os.urandom(256)
        found = inspect.dump(name)
        assert found.kind == "queue"
        assert [one.preview for one in found.messages] == ["'one'", "'two'"]
        assert any(one.startswith("header.magic, byte 0: ") for one in found.problems)
        assert any("header.total_size is " in one for one in found.problems)
        memory.map[:448] = original
        memory.change(0, checked=False, size=9)
        found = inspect.dump(name)
        assert [one.preview for one in found.messages][1] == "'two'"
        (problem,) = found.problems
        assert problem.startswith(f"the record at position 0, byte {memory.data}: its check")
        assert problem.endswith("; the 64 bytes from there on are passed over")
        memory.change(0, checked=False, size=3)
        memory.close()


def test_words_that_nobody_could_have_written_are_told(name: str) -> None:
    with isthmus.Queue(name, capacity=CAPACITY):
        memory = Memory(name, CAPACITY)
        (cursors,) = struct.unpack_from("<Q", memory.map, 320 + 16)
        at = structs()["cursors"].fields
        producer, closed = cursors + at["producer"][0], cursors + at["closed"][0]
        struct.pack_into("<I", memory.map, producer, 60_000)
        struct.pack_into("<I", memory.map, closed, 9)
        struct.pack_into("<I", memory.map, 256 + 12, 1 << 20)
        memory.map[200] = 1
        found = inspect.dump(name)
        wrong = {(part.title, one.name) for part in found.parts for one in part.fields if one.wrong}
        assert wrong == {
            ("cursors", "producer"), ("cursors", "closed"), ("primitive", "flags"),
            ("header", "reserved"),
        }  # fmt: skip
        assert "slot 59999, which there is not" in str(found.problems)
        struct.pack_into("<I", memory.map, producer, 0)
        struct.pack_into("<I", memory.map, closed, 0)
        memory.close()


@pytest.mark.parametrize("kind", ["queue", "array", "lock"])
def test_of_one_that_was_cut_off_the_rest_is_shown(kind: str, name: str) -> None:
    with made(kind, name):
        data = bytes_of(name)
    for size in (0, 1, 255, 256, 300, 448, 900, 8192, len(data) - 1):
        with open(path_of(name), "wb") as file:
            file.write(data[:size])
        found = inspect.dump(name)
        assert found.size == min(size, len(data)) and found.problems
    os.unlink(path_of(name))


def test_one_that_is_cut_off_during_the_look_is_looked_at_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with isthmus.Queue(name, capacity=CAPACITY, persist=True) as queue:
        queue.put_many([b"x" * 10] * 4)
    copy = Observed._copy
    left = [4096 * 5, 4096, 0]

    def cutting(self: Observed, offset: int, size: int) -> bytes:
        if left and offset > 300:
            os.truncate(self.path, left.pop(0))
        return copy(self, offset, size)

    monkeypatch.setattr(Observed, "_copy", cutting)
    found = inspect.dump(name)
    assert found.size in (4096 * 5, 4096, 0) and found.problems

    def removing(self: Observed, offset: int, size: int) -> bytes:
        os.truncate(self.path, 0)
        os.unlink(self.path)
        return copy(self, offset, size)

    with open(path_of(name), "wb") as file:
        file.write(bytes(5000) + b"x")
    monkeypatch.setattr(Observed, "_copy", removing)
    with pytest.raises(NotFoundError):
        inspect.dump(f"posix:isthmus.{name}", bytes_of=(0, 5001))


# ---- Others ----------------------------------------------------------------------------


def test_of_a_segment_of_others_the_bytes_and_the_holes_are_shown(name: str) -> None:
    path = f"/dev/shm/{name}"
    with open(path, "wb") as file:
        file.truncate(3 * 4096)
        os.pwrite(file.fileno(), b"data", 4096)
    with untouched(path):
        found = inspect.dump(name, bytes_of=(4000, 9000))
    assert (found.kind, found.address, found.extents) == (
        "segment", f"posix:{name}", ((4096, 8192),),
    )  # fmt: skip
    assert [(one.offset, one.size, one.data is None) for one in found.pieces] == [
        (4000, 96, True), (4096, 4096, False), (8192, 808, True),
    ]  # fmt: skip
    assert found.pieces[1].data == b"data" + bytes(4092)
    with pytest.raises(ArgumentError):
        inspect.dump(name, bytes_of="header")
    os.unlink(path)
    with pytest.raises(NotFoundError):
        inspect.dump(name)


def test_semaphores_of_others_tell_their_values(name: str) -> None:
    semaphore = posix.sem_open(f"/{name}", os.O_CREAT, 0o600, 3)
    with untouched(f"/dev/shm/sem.{name}"):
        found = inspect.dump(f"posix:sem.{name}")
    assert (found.kind, fields(found, "semaphore")["value"].value) == ("semaphore", 3)
    posix.sem_close(semaphore)
    posix.sem_unlink(f"/{name}")


def test_system_v_memory_is_attached_only_where_its_bytes_are_wanted() -> None:
    id = sysv.shmget(sysv.IPC_PRIVATE, 5000, 0o600)
    try:
        found = inspect.dump(f"sysv-shm:{id}")
        assert (found.kind, found.size, found.pieces) == ("segment", 5000, ())
        assert sysv.shmctl(id, sysv.IPC_STAT).atime == 0
        (piece,) = inspect.dump(f"sysv-shm:{id}", bytes_of=(4000, 1 << 40)).pieces
        assert (piece.offset, piece.data) == (4000, bytes(1000))
    finally:
        sysv.shmctl(id, sysv.IPC_RMID)
    with pytest.raises(NotFoundError):
        inspect.dump(f"sysv-shm:{id}")
    id = sysv.semget(sysv.IPC_PRIVATE, 3, 0o600)
    try:
        sysv.semctl(id, 0, sysv.SETALL, [1, 2, 3])
        values = [one.value for one in inspect.dump(f"sysv-sem:{id}").parts[0].fields]
        assert values == [1, 2, 3]
    finally:
        sysv.semctl(id, 0, sysv.IPC_RMID)


def test_what_cannot_be_looked_into_says_why(name: str) -> None:
    with pytest.raises(UnsupportedError, match="taking them out"):
        inspect.dump(f"mq:{name}")
    os.mkdir(path_of(name))
    with pytest.raises(ForeignError):
        inspect.dump(name)
    os.rmdir(path_of(name))


def test_an_object_of_another_user_is_refused(name: str, unprivileged: int) -> None:
    def look() -> None:
        os.setuid(unprivileged)
        with pytest.raises(AccessError, match="as its owner, or as root"):
            inspect.dump(name)
        with pytest.raises(AccessError):
            inspect.payload(name, 0)

    with isthmus.Queue(name) as queue:
        queue.put(1)
        # Loaded before that user, who may not read our files, needs it.
        inspect.dump(name)
        with Other(look):
            pass
