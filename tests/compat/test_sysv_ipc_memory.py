"""isthmus.compat.sysv_ipc.SharedMemory: buffers, and what crashes with the original."""

from __future__ import annotations

import ctypes
import gc
import struct
from collections.abc import Callable

import pytest
from bare_calls import Background

from isthmus import sysv
from isthmus.compat import sysv_ipc
from isthmus.compat.sysv_ipc import (
    IPC_CREAT,
    IPC_CREX,
    SHM_NORESERVE,
    SHM_RDONLY,
    NotAttachedError,
    SharedMemory,
)


@pytest.fixture
def memory(key: int) -> SharedMemory:
    return SharedMemory(key, IPC_CREX, size=4096)


def test_a_buffer_outlives_detaching(memory: SharedMemory) -> None:
    view = memoryview(memory)
    part = view[:3]
    memory.detach()
    assert (memory.attached, memory.address, memory.number_attached) == (False, 0, 1)
    part[:] = b"abc"
    assert bytes(view[:4]) == b"abc "
    memory.attach()
    assert (memory.read(4), memory.number_attached) == (b"abc ", 2)
    part.release()
    assert memory.number_attached == 2
    view.release()
    assert memory.number_attached == 1
    memory.detach()
    assert memory.number_attached == 0


def test_a_buffer_outlives_its_object(memory: SharedMemory, key: int) -> None:
    view = memoryview(SharedMemory(key))
    gc.collect()
    memory.write(b"abc")
    assert bytes(view[:3]) == b"abc"


def test_an_array_that_keeps_only_the_address_outlives_detaching(key: int) -> None:
    numpy = pytest.importorskip("numpy")
    memory = SharedMemory(key, IPC_CREX, size=4096)
    number = memory.id
    reader = SharedMemory(key, 0, 0o400)
    arrays = [numpy.ndarray((4096,), "u1", buffer=each) for each in (memory, reader)]
    memory.detach()
    reader.detach()
    assert not memory.attached
    assert memory.number_attached == 2
    arrays[0][:] = 7
    assert int(arrays[1].sum()) == 7 * 4096
    del memory, reader
    assert arrays[1][0] == 7
    # The arrays keep the objects, and the objects the memory.
    arrays.clear()
    gc.collect()
    assert sysv.shmctl(number, sysv.IPC_STAT).nattch == 0


def test_an_array_that_keeps_a_buffer_outlives_detaching(memory: SharedMemory) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.frombuffer(memory, "u1")
    memory.detach()
    array[:] = 7
    assert (int(array.sum()), memory.number_attached) == (7 * 4096, 1)
    del array
    gc.collect()
    assert memory.number_attached == 0


def test_without_buffers_detaching_is_immediate(memory: SharedMemory) -> None:
    struct.pack_into("q", memory, 0, struct.unpack_from("q", memory)[0])
    assert bytes(memory) == bytearray(memory)
    memoryview(memory).release()
    memory.detach()
    assert memory.number_attached == 0


def test_there_is_no_buffer_of_detached_memory(memory: SharedMemory) -> None:
    memory.detach()
    with pytest.raises(NotAttachedError, match=r"^Read attempt on unattached memory segment$"):
        memoryview(memory)
    with pytest.raises(NotAttachedError):
        memoryview(SharedMemory.__new__(SharedMemory))


def test_a_buffer_of_memory_for_reading_only_cannot_be_written(memory: SharedMemory) -> None:
    reader = sysv_ipc.attach(memory.id, flags=SHM_RDONLY)
    assert reader.key == -1
    view = memoryview(reader)
    assert view.readonly
    with pytest.raises(TypeError):
        view[0] = 1
    with pytest.raises((BufferError, TypeError)):
        struct.pack_into("q", reader, 0, 1)
    assert memory.read(1) == b" "


def test_an_object_that_goes_leaves_its_memory_attached(memory: SharedMemory, key: int) -> None:
    address = SharedMemory(key).address
    gc.collect()
    assert memory.number_attached == 2
    ctypes.memmove(address, b"abc", 3)
    assert memory.read(3) == b"abc"


def test_attaching_again_leaves_the_first_attached(memory: SharedMemory) -> None:
    first = memory.address
    memory.attach()
    assert memory.address != first
    assert memory.number_attached == 2
    with pytest.raises(ValueError, match=r"^Invalid id, address, or flags$"):
        memory.attach(memory.address + 1)
    assert memory.attached
    memory.detach()
    assert (memory.number_attached, memory.attached) == (1, False)


def test_it_can_be_copied_within_itself(memory: SharedMemory) -> None:
    memory.write(bytes(range(256)) * 16)
    with memoryview(memory) as view:
        memory.write(view[:4000], 50)
    expected = bytes(range(256)) * 16
    assert memory.read() == expected[:50] + expected[:4000] + expected[4050:]


def test_large_reads_and_writes_let_others_detach(key: int) -> None:
    size = 8 << 20
    memory = SharedMemory(key, IPC_CREX | SHM_NORESERVE, size=size)
    data = b"0123456789abcdef" * (size // 16)

    def churn() -> None:
        for _ in range(5):
            try:
                memory.write(data)
                assert memory.read() == data
            except NotAttachedError:
                pass

    jobs = [Background(churn) for _ in range(2)]
    for _ in range(50):
        memory.detach()
        memory.attach()
    for job in jobs:
        job.finish()
    memory.write(data)
    assert memory.read() == data
    memory.detach()
    assert memory.number_attached == 0


def test_what_is_no_bytes_is_refused(memory: SharedMemory) -> None:
    for wrong in (5, None, 1.5, [1]):
        with pytest.raises(TypeError, match="bytes-like"):
            memory.write(wrong)  # type: ignore[arg-type]
    with pytest.raises(BufferError, match="contiguous"):
        memory.write(memoryview(b"abcdef")[::2])
    with pytest.raises(TypeError):
        memory.write()  # type: ignore[call-arg]
    assert set(memory.read()) == {ord(" ")}


def test_sizes_and_offsets_do_not_wrap(memory: SharedMemory, key: int) -> None:
    with pytest.raises(ValueError, match="must be less than"):
        memory.read(1, 2**64)
    with pytest.raises(ValueError, match="past end"):
        memory.write(b"x", 2**64)
    for size in (2**64 + 1, 2**70, -(2**70)):
        with pytest.raises(ValueError, match=r"^The size is invalid$"):
            SharedMemory(key, size=size)
    for address in (2**70, -(2**70)):
        with pytest.raises(OverflowError):
            memory.attach(address)
    assert memory.read(1) == b" "


def test_one_that_cannot_be_attached_is_not_left_behind(
    key: int, unprivileged: int, run_python: Callable[..., str]
) -> None:
    program = f"""
from isthmus.compat import sysv_ipc
for flags, stays in ((sysv_ipc.IPC_CREX, False), (sysv_ipc.IPC_CREAT, True)):
    try:
        sysv_ipc.SharedMemory({key}, flags, 0o200, 100)
    except sysv_ipc.PermissionsError as error:
        print(error)
from isthmus import sysv
sysv.shmctl(sysv.shmget({key}, 0), sysv.IPC_RMID)
sysv_ipc.SharedMemory({key}, sysv_ipc.IPC_CREX, 0o400, 100).remove()
"""
    printed = run_python(program, user=unprivileged)
    # The second may have been there before: it is not this call's to remove.
    assert printed == "No permission to attach\n" * 2
    with pytest.raises(FileNotFoundError):
        sysv.shmget(key, 0)


def test_making_it_again_leaves_what_was_there_attached(key: int) -> None:
    memory = SharedMemory(key, IPC_CREX, size=10)
    memory.__init__(key, IPC_CREAT)  # type: ignore[misc]
    assert (memory.number_attached, memory.size) == (2, 10)


def test_numbers_that_do_not_fit_are_errors(memory: SharedMemory) -> None:
    for name in ("uid", "gid", "mode"):
        before = getattr(memory, name)
        for value in (2**32, -2, 2**70):
            with pytest.raises(OverflowError):
                setattr(memory, name, value)
        assert getattr(memory, name) == before
