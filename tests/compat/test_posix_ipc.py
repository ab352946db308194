"""isthmus.compat.posix_ipc: the names of posix_ipc, and where it is deliberately better."""

from __future__ import annotations

import copy
import gc
import math
import os
import pathlib
import pickle
import resource
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from bare_calls import signals, stop

from isthmus.compat import posix_ipc
from isthmus.compat.posix_ipc import O_CREAT, O_CREX, MessageQueue, Semaphore, SharedMemory

theirs = pytest.importorskip("posix_ipc")
RunPython = Callable[..., str]
# What differs by being ours: who made it, and where it comes from.
ITS_OWN = {"__author__", "__copyright__", "__license__", "__doc__", "__file__", "__loader__",
           "__name__", "__package__", "__spec__"}  # fmt: skip
CLASSES = ["Semaphore", "SharedMemory", "MessageQueue"]
ERRORS = ["Error", "SignalError", "PermissionsError", "ExistentialError", "BusyError"]


def plain_names(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("__")}


def is_mapped(name: str) -> bool:
    """Whether this process has the memory of the semaphore; the C library made it elsewhere."""
    number = str(os.stat("/dev/shm/sem." + name[1:]).st_ino)
    lines = pathlib.Path("/proc/self/maps").read_text().splitlines()
    return any(line.split()[4] == number and "/dev/shm/" in line for line in lines)


# ---- Names -----------------------------------------------------------------------------


def test_every_name_of_the_module_is_there() -> None:
    assert set(dir(theirs)) <= set(dir(posix_ipc))
    assert set(posix_ipc.__all__) == plain_names(theirs)


def test_every_constant_has_the_same_value() -> None:
    constants = [
        name
        for name in dir(theirs)
        if name not in ITS_OWN and isinstance(getattr(theirs, name), (int, str))
    ]
    assert len(constants) == 20
    for name in constants:
        value, expected = getattr(posix_ipc, name), getattr(theirs, name)
        assert (value, type(value)) == (expected, type(expected)), name


@pytest.mark.parametrize("name", CLASSES)
def test_every_method_and_attribute_of_a_class_is_there(name: str) -> None:
    ours, original = getattr(posix_ipc, name), getattr(theirs, name)
    assert plain_names(ours) == plain_names(original)
    assert set(dir(original)) <= set(dir(ours))
    for member in plain_names(ours):
        assert callable(getattr(ours, member)) == callable(getattr(original, member)), member
        assert getattr(ours, member).__doc__, member


def test_the_exceptions_are_derived_as_theirs_are() -> None:
    for name in ERRORS:
        ours, original = getattr(posix_ipc, name), getattr(theirs, name)
        names = [base.__name__ for base in ours.__mro__]
        assert names == [base.__name__ for base in original.__mro__]
        assert not issubclass(ours, OSError)
        assert issubclass(ours, posix_ipc.Error)
        again = pickle.loads(pickle.dumps(ours("why")))
        assert (type(again), again.args) == (ours, ("why",))


def test_texts_of_the_objects_are_as_theirs(queue_name: str) -> None:
    for kind in CLASSES:
        ours = getattr(posix_ipc, kind)(queue_name, O_CREX)
        original = getattr(theirs, kind)(queue_name)
        assert (repr(ours), str(ours)) == (repr(original), str(original))
        for each in (ours, original):
            each.close_fd() if kind == "SharedMemory" else each.close()


# ---- What cannot be done ---------------------------------------------------------------


@pytest.mark.parametrize("kind", CLASSES)
def test_nothing_can_be_set_that_cannot_be_set_there(queue_name: str, kind: str) -> None:
    made = getattr(posix_ipc, kind)(queue_name, O_CREX)
    for name in plain_names(made) - {"block"} | {"another"}:
        with pytest.raises(AttributeError):
            setattr(made, name, 1)
        with pytest.raises(AttributeError):
            delattr(made, name)
    with pytest.raises(AttributeError):
        del made.block
    for copied in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="cannot pickle"):
            copied(made)
    made.close_fd() if kind == "SharedMemory" else made.close()


def test_wrong_arguments_are_type_errors(queue_name: str) -> None:
    sem, queue = Semaphore(queue_name, O_CREX), MessageQueue(queue_name, O_CREX)
    calls: list[Callable[[], Any]] = [
        Semaphore, lambda: Semaphore("/x", 0, 0, 0, 0), lambda: Semaphore("/x", foo=1),
        SharedMemory, lambda: SharedMemory("/x", size="x"), lambda: SharedMemory("/x", size=1.5),
        MessageQueue, lambda: MessageQueue("/x", 0, 0, 0, 0, 0, 0, 0),
        lambda: sem.acquire(1, 2), lambda: sem.release(1), lambda: sem.acquire(foo=1),
        lambda: sem.acquire(math.nan), lambda: queue.receive(math.nan), lambda: sem.close(1),
        queue.send, lambda: queue.send(b"", 0, 0, 0), lambda: queue.receive(0, 1),
        lambda: queue.request_notification(None, None), posix_ipc.unlink_semaphore,
        lambda: posix_ipc.unlink_semaphore("/x", "/y"),
        lambda: posix_ipc.unlink_semaphore(name="/x"),
    ]  # fmt: skip
    for number, call in enumerate(calls):
        with pytest.raises(TypeError):
            pytest.fail(f"{number}: {call()}")
    queue.close()


@pytest.mark.parametrize("kind", [Semaphore, SharedMemory, MessageQueue])
def test_names_that_would_crash_it_are_errors(kind: Any) -> None:
    for name, error in (("/a\0b", ValueError), (b"/a\0b", ValueError), ("/\ud800", UnicodeError)):
        with pytest.raises(error):
            kind(name, O_CREX)
    with pytest.raises(TypeError, match="Name must be None or a string"):
        kind(pathlib.Path("/x"))


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (5, TypeError),
        (None, TypeError),
        ([1], TypeError),
        (pathlib.Path("/a"), TypeError),
        (memoryview(b"abcdef")[::2], BufferError),
        ("\udc80", UnicodeEncodeError),
    ],
)
def test_messages_that_would_crash_it_are_errors(
    queue_name: str, message: Any, error: type[Exception]
) -> None:
    queue = MessageQueue(queue_name, O_CREX)
    for more in ((), (-1, -1), ("x", "x")):
        with pytest.raises(error):
            queue.send(message, *more)
    assert queue.current_messages == 0
    queue.close()
    with pytest.raises(error):
        queue.send(message)


def test_objects_that_were_never_opened_crash_nothing() -> None:
    class Bare(Semaphore):
        def __init__(self, *_: object) -> None:
            pass

    sem, queue = Bare(1, 2, 3), MessageQueue.__new__(MessageQueue)
    memory = SharedMemory.__new__(SharedMemory)
    calls: list[Callable[[], object]] = [
        sem.acquire, sem.release, sem.close, sem.unlink, sem.__enter__, lambda: sem.value,
        queue.close, queue.unlink, lambda: queue.block, lambda: queue.current_messages,
        memory.unlink, lambda: memory.size,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(posix_ipc.ExistentialError):
            call()
    for call in (lambda: queue.send("a"), queue.receive):
        with pytest.raises(posix_ipc.PermissionsError):
            call()
    # Theirs says 0 here, and closes it.
    assert (memory.fd, memory.close_fd(), os.fstat(0).st_mode != 0) == (-1, None, True)
    for each in (sem, queue, memory):
        assert (str(each), each.name, "no name" in repr(each)) == ("(no name)", None, True)


def test_what_they_have_in_common_cannot_be_opened() -> None:
    with pytest.raises(TypeError):
        Semaphore.__base__()  # type: ignore[misc]


# ---- Where it is better ----------------------------------------------------------------


def test_numbers_beyond_the_limits_are_errors_rather_than_cut(queue_name: str) -> None:
    for value in (2**32, 2**32 + 5, 2**64, 10**30, -(2**70)):
        with pytest.raises(ValueError, match=r"Invalid parameter\(s\)"):
            Semaphore(queue_name, O_CREX, initial_value=value)
    for size in (2**64, 2**64 + 100, 10**30, -(2**70)):
        with pytest.raises(ValueError, match="The size is invalid"):
            SharedMemory(queue_name, O_CREX, size=size)
    for kind in (SharedMemory, MessageQueue):
        with pytest.raises(OverflowError):
            kind(queue_name, 2**32 + O_CREAT)
    assert not pathlib.Path("/dev/shm" + queue_name).exists()


def test_whatever_is_a_whole_number_is_a_size(posix_name: str) -> None:
    class Four:
        def __index__(self) -> int:
            return 4

    memory = SharedMemory(posix_name, Four() and O_CREX, size=Four())
    assert memory.size == 4
    memory.close_fd()


def test_waits_without_end_may_be_asked_for_by_number(queue_name: str) -> None:
    sem, queue = Semaphore(queue_name, O_CREX), MessageQueue(queue_name, O_CREX)
    for timeout in (math.inf, 1e300, 2**70, 10**400):
        for wait in (sem.acquire, queue.receive):
            with pytest.raises(posix_ipc.SignalError), signals(lambda _count: None):
                wait(timeout)
    with pytest.raises(TypeError, match="non-negative"):
        sem.acquire(-(10**400))
    queue.close()


def test_what_a_handler_raised_is_not_lost(posix_name: str) -> None:
    sem = Semaphore(posix_name, O_CREX)
    with pytest.raises(posix_ipc.SignalError) as caught, signals(stop):
        sem.acquire()
    assert type(caught.value.__context__).__name__ == "Stop"


def test_bytes_that_are_no_text_are_a_name(name: str) -> None:
    odd = f"/{name}".encode() + b"\xff"
    for kind in (Semaphore, SharedMemory, MessageQueue):
        made = kind(odd, O_CREX)
        assert os.fsencode(made.name) == odd
        made.unlink()
        made.close_fd() if kind is SharedMemory else made.close()


def test_a_semaphore_that_nobody_refers_to_is_closed(posix_name: str) -> None:
    sem = Semaphore(posix_name, O_CREX)
    assert is_mapped(posix_name)
    del sem
    gc.collect()
    assert not is_mapped(posix_name)


def test_descriptors_outlive_their_objects(queue_name: str) -> None:
    fd, mqd = SharedMemory(queue_name, O_CREX, size=7).fd, MessageQueue(queue_name, O_CREX).mqd
    gc.collect()
    assert os.fstat(fd).st_size == 7
    assert os.fstat(mqd)
    os.close(fd)
    os.close(mqd)


def test_opening_again_what_is_open_closes_what_it_was(posix_name: str) -> None:
    sem = Semaphore(posix_name, O_CREX, initial_value=3)
    sem.__init__(posix_name + "-b", O_CREX, initial_value=5)  # type: ignore[misc]
    assert (sem.name, sem.value) == (posix_name + "-b", 5)
    assert (is_mapped(posix_name), is_mapped(posix_name + "-b")) == (False, True)
    sem.unlink()


# ---- A size that is refused ------------------------------------------------------------


@pytest.mark.parametrize("wrong", [{"size": -1}, {"size": 100, "read_only": True}])
@pytest.mark.parametrize("flags", [0, O_CREAT])
def test_a_size_that_is_refused_removes_nobodys_segment(
    posix_name: str, wrong: Any, flags: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attempt() -> bool:
        with pytest.raises(ValueError, match="The size is invalid or the memory is read-only"):
            SharedMemory(posix_name, flags, **wrong)
        return pathlib.Path("/dev/shm" + posix_name).exists()

    if flags:
        # One that the failed call itself has made is gone.
        assert not attempt()
    SharedMemory(posix_name, O_CREX, size=10).close_fd()
    assert attempt()
    monkeypatch.setenv("ISTHMUS_COMPAT", "strict")
    assert not attempt()


def test_a_size_above_the_limit_of_the_process_leaves_nothing(posix_name: str) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(ValueError, match="The size is too large"):
            SharedMemory(posix_name, O_CREX, size=1 << 21)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not pathlib.Path("/dev/shm" + posix_name).exists()


def test_failed_calls_leave_no_descriptor(queue_name: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        for call in (
            lambda: SharedMemory(queue_name, O_CREX, size=-1),
            lambda: SharedMemory(queue_name, O_CREAT, size=5, read_only=True),
            lambda: MessageQueue(queue_name, O_CREX, max_messages=-1),
        ):
            with pytest.raises(ValueError):
                call()
    assert len(os.listdir("/proc/self/fd")) == before


# ---- Permissions and limits, as a user who has none -----------------------------------


def test_another_users_objects_are_refused_as_theirs_are(
    queue_name: str, unprivileged: int, run_python: RunPython
) -> None:
    made = [kind(queue_name, O_CREX) for kind in (Semaphore, SharedMemory, MessageQueue)]
    program = """
    import resource, sys
    name = sys.argv[1]

    def outcomes(module):
        kinds = module.Semaphore, module.SharedMemory, module.MessageQueue
        flags = 0, module.O_CREAT, module.O_CREX
        calls = [lambda k=k, f=f: k(name, f) for k in kinds for f in flags]
        calls += [
            lambda: module.SharedMemory(name, read_only=True),
            lambda: module.SharedMemory(name, module.O_TRUNC),
            lambda: module.MessageQueue(name, read=False),
            lambda: module.unlink_semaphore(name),
            lambda: module.unlink_shared_memory(name),
            lambda: module.unlink_message_queue(name),
            lambda: module.MessageQueue(name + "b", module.O_CREX, max_messages=10**6),
            lambda: module.MessageQueue(name + "b", module.O_CREX, max_message_size=10**6),
        ]
        for call in calls:
            try:
                yield "returned", repr(call())
            except Exception as error:
                yield type(error).__name__, isinstance(error, module.Error), str(error)
        limits = resource.RLIMIT_NOFILE, resource.RLIMIT_MSGQUEUE
        for limit, kind in zip(limits, (module.SharedMemory, module.MessageQueue)):
            before = resource.getrlimit(limit)
            resource.setrlimit(limit, (0, before[1]))
            try:
                yield kind(name + "c", module.O_CREX)
            except OSError as error:
                yield error.args
            finally:
                resource.setrlimit(limit, before)

    theirs, ours = list(outcomes(posix_ipc)), list(outcomes(drop_in))
    assert ours == theirs, (ours, theirs)
    print(len(ours), *sorted({row[0] for row in ours[:-2]}))
    """
    imports = "import posix_ipc\nfrom isthmus.compat import posix_ipc as drop_in\n"
    printed = run_python(imports + textwrap.dedent(program), queue_name, user=unprivileged)
    assert printed == "19 ExistentialError PermissionsError ValueError\n"
    for each in made:
        each.close_fd() if isinstance(each, SharedMemory) else each.close()


# ---- What it costs to have it ----------------------------------------------------------


def test_importing_it_brings_nothing_that_it_does_not_need(run_python: RunPython) -> None:
    program = """
    import sys
    import isthmus
    before = set(sys.modules)
    import isthmus.compat.posix_ipc
    print(*sorted(set(sys.modules) - before))
    """
    brought = {name for name in run_python(program).split() if "cython" not in name}
    assert brought <= {
        "isthmus._core",
        "isthmus._core.posix_ipc",
        "isthmus.compat",
        "isthmus.compat._mode",
        "isthmus.compat.posix_ipc",
        "isthmus.errors",
        "errno",
    }
