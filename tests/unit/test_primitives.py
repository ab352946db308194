"""What all locks and friends have in common: where they are, how they are opened, how they go."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bare_calls import signals, until
from sharing import Signal, every_kind, forked, objects

import isthmus
from isthmus import (
    AtomicInt,
    Barrier,
    BoundedSemaphore,
    Condition,
    Event,
    Lock,
    RLock,
    RWLock,
    Segment,
    Semaphore,
)

CLASSES = [Lock, RLock, Semaphore, BoundedSemaphore, Event, Condition, Barrier, RWLock, AtomicInt]
every_class = pytest.mark.parametrize("cls", CLASSES)


def attach(make: Any, name: str) -> Any:
    """By the class of what `make` makes."""
    return type(make()).attach(name)


# ---- By name -------------------------------------------------------------------------


@every_kind
def test_opening_makes_it_or_finds_it(make: Any, name: str) -> None:
    with_name = make(name)
    assert with_name.created and with_name.name == name
    same = make(name)
    assert not same.created and same.name == name
    found = attach(make, name)
    assert not found.created
    assert f"isthmus.{type(found).__name__} '{name}'" in repr(found)
    for handle in (with_name, same):
        handle.close()
        assert handle.closed and objects(name)
    found.close()
    assert objects(name) == []


@every_class
def test_creating_insists_that_it_is_new_and_attaching_that_it_is_there(
    cls: Any, name: str
) -> None:
    options = {"parties": 2} if cls is Barrier else {}
    with pytest.raises(isthmus.NotFoundError, match=name):
        cls.attach(name)
    made = cls.create(name, mode=0o640, **options)
    assert made.created
    assert os.stat(f"/dev/shm/isthmus.{name}").st_mode & 0o777 == 0o640
    with pytest.raises(FileExistsError, match=name):
        cls.create(name, **options)
    cls.attach(name, open_timeout=0.1, owner=os.geteuid()).close()


@every_kind
def test_another_kind_is_refused_and_named(make: Any, name: str) -> None:
    there = make(name)
    other = Event if type(there) is not Event else AtomicInt
    with pytest.raises(isthmus.KindError, match=r"is of the kind '[a-z -]+', not an (event|atom)"):
        other(name)
    with pytest.raises(isthmus.KindError, match="another kind"):
        isthmus.Array(name)


def test_other_things_under_the_name_are_told_apart(name: str) -> None:
    path = Path(f"/dev/shm/isthmus.{name}")
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(isthmus.ForeignError, match="not made by isthmus"):
        Lock(name)
    path.unlink()
    path.mkdir()
    with pytest.raises(isthmus.ForeignError):
        Lock(name)
    path.rmdir()
    lock = Lock(name)
    with path.open("r+b") as file:
        file.truncate(300)
        with pytest.raises(isthmus.TruncatedError, match="cut it off"):
            Lock(name)
        file.truncate(8192)
    with path.open("r+b") as file:
        file.seek(8)
        file.write(b"\x63")
    with pytest.raises(isthmus.VersionError, match="another format"):
        Lock(name)
    lock.close()


@pytest.mark.parametrize("bad", ["", "a\0b", 300 * "x", "/" * 90])
def test_names_that_cannot_be_are_refused(bad: str) -> None:
    for make in (Lock, Lock.create, Lock.attach):
        with pytest.raises(isthmus.NameInvalidError):
            make(bad)
    with pytest.raises(TypeError, match="must be a str"):
        Lock(5)  # type: ignore[arg-type]


def test_names_may_contain_what_people_write(name: str) -> None:
    strange = f"{name}/ä b%\n"
    lock = Lock(strange)
    assert Lock.attach(strange).name == strange
    assert len(objects(name)) == 1
    assert lock.name == strange


@every_class
@pytest.mark.parametrize(
    ("option", "value"),
    [("mode", 0o1777), ("owner", "nobody-of-this-name"), ("open_timeout", float("nan"))],
)
def test_options_that_make_no_sense_are_refused(
    cls: Any, option: str, value: Any, name: str
) -> None:
    with pytest.raises(isthmus.ArgumentError):
        cls(name, **{option: value, **({"parties": 2} if cls is Barrier else {})})
    assert objects(name) == []


@pytest.mark.parametrize("number", [0, -1, 32769])
def test_the_room_for_participants_has_limits(number: int, name: str) -> None:
    with pytest.raises(isthmus.ArgumentError, match="participants must be from 1 to 32768"):
        Lock(name, participants=number)
    with pytest.raises(TypeError):
        Lock(name, participants=1.5)  # type: ignore[arg-type]
    assert Lock(name, participants=3).participants == 3


def test_too_many_participants_are_told_so(name: str) -> None:
    handles = [Lock(name, participants=2), Lock(name)]
    with pytest.raises(isthmus.TooManyParticipantsError, match="room for 2") as caught:
        Lock(name)
    assert (caught.value.room, caught.value.in_use, caught.value.name) == (2, 2, name)
    handles.pop().close()
    Lock(name)


def test_one_that_lasts_stays_until_it_is_unlinked(name: str) -> None:
    with_name = Semaphore(name, 3, persist=True)
    with_name.acquire()
    with_name.close()
    again = Semaphore(name)
    assert again.value == 2
    again.unlink()
    assert objects(name) == []
    with pytest.raises(isthmus.NotFoundError, match="unlinked already"):
        again.unlink()


def test_one_that_is_to_last_must_have_been_made_so(name: str) -> None:
    lock = Lock(name)
    with pytest.raises(isthmus.MismatchError, match="persist=False, not True"):
        Lock(name, persist=True)
    lock.close()
    assert objects(name) == []


def test_a_name_that_is_unlinked_can_be_made_anew(name: str) -> None:
    old = Lock(name)
    old.unlink()
    new = Lock(name)
    assert new.created
    with old:
        assert new.acquire(block=False)  # they are two
        new.release()
    with pytest.raises(isthmus.ReplacedError, match="left alone"):
        old.unlink()
    old.close()
    assert objects(name)
    new.close()
    assert objects(name) == []


def test_whose_it_may_be_is_checked(name: str, unprivileged: int) -> None:
    lock = Lock.create(name, owner=unprivileged, group=unprivileged)
    with pytest.raises(isthmus.OwnerError, match="belongs to uid"):
        Lock(name)
    with pytest.raises(isthmus.OwnerError):
        Lock.attach(name)
    for owner in ("any", unprivileged):
        Lock(name, owner=owner).close()
        Lock.attach(name, owner=owner).close()
    lock.close()


def test_what_may_not_be_opened_is_explained(name: str, unprivileged: int, run_python: Any) -> None:
    lock = Lock(name, mode=0o600)
    program = """
    import sys, isthmus
    try:
        isthmus.Lock(sys.argv[1], owner="any")
    except isthmus.AccessError as error:
        print(error)
    """
    message = run_python(program, name, user=unprivileged)
    assert "may not be opened by uid" in message and "0o600" in message
    assert "readonly" not in message  # there is no such lock
    lock.close()


def test_what_the_last_one_may_not_remove_stays_as_it_was(name: str, unprivileged: int) -> None:
    number = AtomicInt(name, 5, mode=0o666)
    with Signal() as closed:

        def in_child() -> None:
            os.setgroups([])
            os.setgid(unprivileged)
            os.setuid(unprivileged)
            closed.wait()
            number.close()
            again = AtomicInt(name, 7, owner="any")
            assert (again.created, again.load()) == (False, 5)

        with forked(in_child) as child:
            number.close()
            closed.set()
            assert child.finish() == 0
    assert objects(name)
    number = AtomicInt(name, 7)
    assert (number.created, number.load()) == (True, 7)
    number.close()
    assert not objects(name)


def test_several_that_open_at_once_get_the_same(name: str) -> None:
    start = threading.Barrier(8)
    found: list[Lock] = []

    def work() -> None:
        start.wait()
        found.append(Lock(name))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(lock.created for lock in found) == 1
    with found[0]:
        assert not any(lock.acquire(block=False) for lock in found[1:])


@pytest.mark.slow
def test_opening_and_closing_at_the_same_time_never_fails(name: str) -> None:
    def work() -> None:
        for _ in range(200):
            with Lock(name, on_owner_death="ignore") as lock:
                assert lock.locked()

    children = [forked(work) for _ in range(3)]
    with children[0] as one, children[1] as two, children[2] as three:
        with signals(lambda count: None):
            work()
        assert [each.finish() for each in (one, two, three)] == [0, 0, 0]
    gc.collect()
    assert objects(name) == []


# ---- In a segment ----------------------------------------------------------------------


@every_kind
def test_it_can_be_in_a_segment(make: Any, name: str, tmp_path: Path) -> None:
    for segment in (
        Segment.create(name, "64 KiB"),
        Segment.anonymous("64 KiB"),
        Segment.map_file(tmp_path / "file", size="64 KiB", create=True),
    ):
        made = make(segment=segment, offset=128)
        found = make(segment=segment, offset=128)
        assert (made.created, found.created) == (True, False)
        assert (made.segment, made.offset) == (segment, 128)
        assert bytes(segment.buf[:128]) == bytes(128)
        after = 128 + type(made).nbytes()
        assert bytes(segment.buf[after:]) == bytes(65536 - after)
        with pytest.raises(isthmus.UnsupportedError, match="no name of its own"):
            made.unlink()
        assert "at 128 of <isthmus.Segment" in repr(made)
        segment.close()  # the memory stays for what lies in it
        assert segment.deferred
        made.close()
        found.close()
        assert not segment.deferred
        if segment.kind == "posix":
            segment.unlink()


def test_two_handles_in_a_segment_exclude_each_other() -> None:
    with Segment.anonymous("64 KiB") as segment:
        one, other = (Lock(segment=segment, offset=0) for _ in range(2))
        with one:
            assert not other.acquire(block=False)
            assert other.owner is not None


def test_nbytes_says_what_it_takes() -> None:
    assert AtomicInt.nbytes() == Event.nbytes() == 192
    assert Lock.nbytes(10) == 192 + 640
    assert Lock.nbytes() == 192 + 256 * 64
    with Segment.anonymous(Lock.nbytes(10)) as segment:
        Lock(segment=segment, participants=10)
        with pytest.raises(isthmus.SizeError, match="does not fit: it takes"):
            Lock(segment=segment, offset=64, participants=10)
    with pytest.raises(isthmus.ArgumentError):
        Lock.nbytes(0)


def test_places_where_it_cannot_be_are_refused() -> None:
    with Segment.anonymous("64 KiB") as segment:
        with pytest.raises(isthmus.SizeError, match="multiple of 64"):
            Lock(segment=segment, offset=8)
        with pytest.raises(isthmus.SizeError, match="at least 0"):
            Lock(segment=segment, offset=-64)
        with pytest.raises(isthmus.SizeError, match="does not fit"):
            Lock(segment=segment, offset=1 << 20)
        with pytest.raises(isthmus.ArgumentError, match="one place"):
            Lock("name", segment=segment)
        segment.buf[640] = 1
        with pytest.raises(isthmus.ForeignError, match="something else is there"):
            Lock(segment=segment, offset=640)
        Lock(segment=segment, offset=32768)
        with pytest.raises(isthmus.KindError, match="another kind, not an event"):
            Event(segment=segment, offset=32768)
        with pytest.raises(isthmus.NotFoundError, match="only zeros"):
            Barrier(segment=segment, offset=0)
        with (
            Segment.from_fd(segment.fileno(), readonly=True) as reading,
            pytest.raises(isthmus.AccessError, match="reading only"),
        ):
            Lock(segment=reading, offset=32768)
    with pytest.raises(isthmus.ClosedError):
        Lock(segment=segment)
    with pytest.raises(TypeError, match="must be a Segment"):
        Lock(segment=b"")  # type: ignore[arg-type]


def test_system_v_memory_is_refused() -> None:
    segment = Segment.sysv(size=65536)
    try:
        with pytest.raises(isthmus.UnsupportedError, match="System V"):
            Lock(segment=segment)
    finally:
        segment.unlink()
        segment.close()


def test_what_is_in_a_segment_must_be_as_asked_for() -> None:
    with Segment.anonymous("64 KiB") as segment:
        semaphore = Semaphore(segment=segment, value=3)
        assert Semaphore(segment=segment).value == 3
        with pytest.raises(isthmus.MismatchError, match="value=3, not 4"):
            Semaphore(segment=segment, value=4)
        semaphore.close()


# ---- Copies ------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_is_another_handle_to_the_same(
    make: Any, duplicate: Callable[[Any], Any], name: str
) -> None:
    with Segment.anonymous("64 KiB") as segment:
        for one in (make(name), make(), make(segment=segment, offset=64)):
            other = duplicate(one)
            assert type(other) is type(one) and other.name == one.name and not other.created
            assert (other.segment, other.offset) == (one.segment, one.offset)
            change, is_changed = CHANGES[type(one)]
            change(one)
            assert is_changed(other)
            if hasattr(one, "release"):
                one.release()
            elif isinstance(one, RWLock):
                one.write.release()


def _not_free(other: Any) -> bool:
    return bool(other.locked())


CHANGES: dict[type, tuple[Callable[[Any], object], Callable[[Any], object]]] = {
    Lock: (Lock.acquire, _not_free),
    RLock: (RLock.acquire, _not_free),
    Condition: (Condition.acquire, _not_free),
    Semaphore: (Semaphore.acquire, _not_free),
    BoundedSemaphore: (BoundedSemaphore.acquire, _not_free),
    Event: (Event.set, Event.is_set),
    Barrier: (Barrier.abort, lambda other: other.broken),
    RWLock: (lambda one: one.write.acquire(), lambda other: other.write.locked()),
    AtomicInt: (lambda one: one.add(5), lambda other: other.load() == 5),
}


@every_kind
def test_a_named_one_pickles_by_name_and_identity(make: Any, name: str) -> None:
    one = make(name)
    sent = pickle.dumps(one)
    assert pickle.loads(sent).name == name
    one.unlink()
    with pytest.raises(isthmus.NotFoundError):
        pickle.loads(sent)
    other = make(name)
    with pytest.raises(isthmus.ReplacedError, match="made anew"):
        pickle.loads(sent)
    other.close()
    one.close()
    with pytest.raises(isthmus.ClosedError):
        pickle.dumps(one)


def test_a_copy_behaves_as_its_original() -> None:
    lock = Lock(spin=3, on_owner_death="raise")
    same = copy.copy(lock)
    assert (same.spin, same.on_owner_death) == (3, "raise")
    barrier = Barrier(parties=1, action=print, timeout=4)
    other = copy.copy(barrier)
    assert (other.action, other.timeout) == (print, 4)
    condition = Condition(None, lock)
    again = copy.copy(condition)
    assert again.lock is lock


def test_what_is_copied_together_stays_together() -> None:
    lock = Lock()
    copied, condition = copy.deepcopy([lock, Condition(None, lock)])
    assert condition.lock is copied is not lock
    condition, copied = copy.deepcopy((Condition(None, lock), lock))
    assert condition.lock is copied is not lock
    with copied:
        condition.notify()
    assert copy.deepcopy(Condition()).lock is None


def test_on_owner_death_is_checked() -> None:
    for cls in (Lock, RLock, Condition, RWLock):
        with pytest.raises(isthmus.ArgumentError, match='"warn", "raise", "ignore"'):
            cls(on_owner_death="explode")


def test_a_handle_is_opened_once(name: str) -> None:
    lock = Lock(name)
    with pytest.raises(TypeError, match="open already"):
        lock.__init__(name)  # type: ignore[misc]
    assert not lock.closed
    unopened = Lock.__new__(Lock)
    assert unopened.closed and "not open" in repr(unopened)
    unopened.close()
    for use in (unopened.acquire, unopened.release, lambda: copy.copy(unopened)):
        with pytest.raises(isthmus.ClosedError):
            use()


# ---- The end of a process -------------------------------------------------------------------


ENDINGS = {
    "normal": "",
    "exit": "sys.exit(0)",
    "in a cycle": "me = []; me.append((me, handles)); del handles, me",
    "never freed": "import ctypes; ctypes.pythonapi.Py_IncRef(ctypes.py_object(handles))",
    "with a daemon thread that waits": (
        "import threading\n"
        "slots = isthmus.Semaphore(sys.argv[1] + '-slots', 0, robust=True, spin=0)\n"
        "threading.Thread(target=slots.acquire, daemon=True).start()\n"
        "while not slots.waiters(): pass\n"
    ),
}


@pytest.mark.parametrize("how", ENDINGS.values(), ids=ENDINGS.keys())
def test_a_process_that_ends_normally_leaves_nothing(
    how: str, name: str, run_python: Callable[..., str]
) -> None:
    program = f"""
import sys, isthmus
handles = [isthmus.Lock(sys.argv[1]), isthmus.Event(sys.argv[1] + "-event")]
{how}
"""
    run_python(program, name)
    assert objects(name) == []


def test_a_thread_that_waits_beyond_the_end_takes_nothing_in_the_name_of_another(
    name: str,
) -> None:
    """When the interpreter has ended, and the process is not gone yet: here it stays like that."""
    program = """
import ctypes, sys, threading, isthmus
at_exit = ctypes.CDLL(None).__cxa_atexit  # the last one first: close(), then pause()
at_exit(ctypes.CDLL(None).pause, None, None)
at_exit(ctypes.CDLL(None).close, ctypes.c_void_p(int(sys.argv[2])), None)
lock = isthmus.Lock(sys.argv[1])
threading.Thread(target=lock.acquire, daemon=True).start()
while not lock.waiters():
    pass
"""
    lock = Lock(name, on_owner_death="ignore")
    lock.acquire()
    here, there = os.pipe()
    command = [sys.executable, "-P", "-c", program, name, str(there)]
    with subprocess.Popen(command, pass_fds=[there]) as process:
        os.close(there)
        try:
            assert os.read(here, 1) == b""
            # Whose place would that be which the other process has left?
            newcomer = Lock(name, on_owner_death="ignore")
            lock.release()
        finally:
            os.close(here)
            process.kill()
    for handle in (newcomer, lock):
        assert handle.acquire(timeout=10)
        handle.release()


def test_a_process_that_is_killed_leaves_it_to_the_next_one(name: str) -> None:
    program = "import sys, isthmus, time; s = isthmus.Semaphore(sys.argv[1], 2); s.acquire();"
    program += "print(flush=True); time.sleep(100)"
    with subprocess.Popen(
        [sys.executable, "-P", "-c", program, name], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert objects(name)
    semaphore = Semaphore(name, 5)
    assert semaphore.created and semaphore.value == 5
    until(lambda: len(objects(name)) == 1)


@pytest.mark.parametrize("make", [Lock, RWLock, Condition, lambda **at: Barrier(parties=2, **at)])
def test_one_in_a_segment_goes_with_a_reference_cycle(make: Any) -> None:
    """Its memory must not go before it has left."""
    with Segment.anonymous(1 << 16) as segment:
        handle = make(segment=segment, offset=0)
        handle.on_owner_death = lambda _, handle=handle: handle
        mapped = weakref.ref(handle)
    del handle, segment
    gc.collect()
    assert mapped() is None
