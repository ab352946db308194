"""The bare calls of POSIX: shared memory, semaphores, message queues.

They do what the manual pages of their names say. What C reports in errno is an OSError here
(FileNotFoundError, BlockingIOError …) with the object's name as `filename`. Nothing is
created, sized or removed that was not asked for; `isthmus.Segment` does that.

    >>> import os
    >>> from isthmus import posix
    >>> name = f"/example-{os.getpid()}"
    >>> fd = posix.shm_open(name, posix.O_CREAT | posix.O_EXCL | posix.O_RDWR)
    >>> posix.ftruncate(fd, 4096)
    >>> region = posix.mmap(4096, posix.PROT_READ | posix.PROT_WRITE, posix.MAP_SHARED, fd)
    >>> os.close(fd)
    >>> region.buf[:5] = b"hello"
    >>> posix.munmap(region)
    >>> posix.shm_unlink(name)
"""

from __future__ import annotations

from collections import namedtuple as _namedtuple

from isthmus import _region
from isthmus._core import memory as _memory, posix as _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any, Final, SupportsIndex

__all__ = [
    "ALIGNOF_SEM_T",
    "CLOCK_MONOTONIC",
    "CLOCK_REALTIME",
    "MAP_32BIT",
    "MAP_ANON",
    "MAP_ANONYMOUS",
    "MAP_DENYWRITE",
    "MAP_EXECUTABLE",
    "MAP_FILE",
    "MAP_FIXED",
    "MAP_FIXED_NOREPLACE",
    "MAP_GROWSDOWN",
    "MAP_HUGETLB",
    "MAP_HUGE_1GB",
    "MAP_HUGE_2MB",
    "MAP_HUGE_SHIFT",
    "MAP_LOCKED",
    "MAP_NONBLOCK",
    "MAP_NORESERVE",
    "MAP_POPULATE",
    "MAP_PRIVATE",
    "MAP_SHARED",
    "MAP_SHARED_VALIDATE",
    "MAP_STACK",
    "MAP_SYNC",
    "MAP_UNINITIALIZED",
    "MQ_PRIO_MAX",
    "MS_ASYNC",
    "MS_INVALIDATE",
    "MS_SYNC",
    "O_CLOEXEC",
    "O_CREAT",
    "O_EXCL",
    "O_NOFOLLOW",
    "O_NONBLOCK",
    "O_RDONLY",
    "O_RDWR",
    "O_TRUNC",
    "O_WRONLY",
    "PROT_EXEC",
    "PROT_NONE",
    "PROT_READ",
    "PROT_WRITE",
    "SEM_VALUE_MAX",
    "SIGEV_NONE",
    "SIGEV_SIGNAL",
    "SIGEV_THREAD",
    "SIZEOF_SEM_T",
    "MappedRegion",
    "MessageQueue",
    "MqAttr",
    "Semaphore",
    "SigEvent",
    "ftruncate",
    "mmap",
    "mq_close",
    "mq_getattr",
    "mq_notify",
    "mq_open",
    "mq_receive",
    "mq_send",
    "mq_setattr",
    "mq_timedreceive",
    "mq_timedsend",
    "mq_unlink",
    "msync",
    "munmap",
    "sem_at",
    "sem_clockwait",
    "sem_close",
    "sem_destroy",
    "sem_getvalue",
    "sem_init",
    "sem_open",
    "sem_post",
    "sem_timedwait",
    "sem_trywait",
    "sem_unlink",
    "sem_wait",
    "shm_open",
    "shm_unlink",
]

# What needs nothing from here; the documentation is with it.
MappedRegion = _region.MappedRegion
MessageQueue = _core.MessageQueue
MqAttr = _core.MqAttr
Semaphore = _core.Semaphore
ftruncate = _core.ftruncate
mq_close = _core.mq_close
mq_getattr = _core.mq_getattr
mq_open = _core.mq_open
mq_receive = _core.mq_receive
mq_send = _core.mq_send
mq_setattr = _core.mq_setattr
mq_timedreceive = _core.mq_timedreceive
mq_timedsend = _core.mq_timedsend
mq_unlink = _core.mq_unlink
sem_at = _core.sem_at
sem_clockwait = _core.sem_clockwait
sem_close = _core.sem_close
sem_destroy = _core.sem_destroy
sem_getvalue = _core.sem_getvalue
sem_init = _core.sem_init
sem_open = _core.sem_open
sem_post = _core.sem_post
sem_timedwait = _core.sem_timedwait
sem_trywait = _core.sem_trywait
sem_unlink = _core.sem_unlink
sem_wait = _core.sem_wait
shm_open = _core.shm_open
shm_unlink = _core.shm_unlink

# ---- oflag of shm_open, sem_open and mq_open ---------------------------------------

#: Open for reading: shared memory to be mapped PROT_READ, a queue to receive from.
O_RDONLY: Final = _core.O_RDONLY
#: Open for writing only: a queue to send to. No use for shared memory.
O_WRONLY: Final = _core.O_WRONLY
#: Open for both.
O_RDWR: Final = _core.O_RDWR
#: Create it if it does not exist. A race: who else does so gets the same one.
O_CREAT: Final = _core.O_CREAT
#: With O_CREAT: fail with FileExistsError if it exists, so that exactly one creates it.
O_EXCL: Final = _core.O_EXCL
#: shm_open, with O_RDWR: make an existing object empty; who has it mapped gets SIGBUS.
O_TRUNC: Final = _core.O_TRUNC
#: mq_open: fail with BlockingIOError where sending or receiving would wait.
O_NONBLOCK: Final = _core.O_NONBLOCK
#: Close the descriptor in exec(). shm_open and mq_open do so anyway.
O_CLOEXEC: Final = _core.O_CLOEXEC
#: Fail with ELOOP if the name is a symbolic link. The C library of Linux does so anyway.
O_NOFOLLOW: Final = _core.O_NOFOLLOW

# ---- prot of mmap ------------------------------------------------------------------

#: No access: any is a SIGSEGV.
PROT_NONE: Final = _core.PROT_NONE
#: The memory may be read.
PROT_READ: Final = _core.PROT_READ
#: The memory may be written; with MAP_SHARED the descriptor must be open for reading and writing.
PROT_WRITE: Final = _core.PROT_WRITE
#: The memory may be executed.
PROT_EXEC: Final = _core.PROT_EXEC

# ---- flags of mmap: exactly one of the first three ---------------------------------

#: What is written goes to the object, and everybody who has it mapped sees it.
MAP_SHARED: Final = _core.MAP_SHARED
#: What is written stays in this process: a page is copied when it is first written to.
MAP_PRIVATE: Final = _core.MAP_PRIVATE
#: Like MAP_SHARED, but a flag that the kernel does not know is EOPNOTSUPP (Linux 4.15).
MAP_SHARED_VALIDATE: Final = _core.MAP_SHARED_VALIDATE
#: No object: new memory, all zero; fd is -1. With MAP_SHARED, children share it after a fork.
MAP_ANONYMOUS: Final = _core.MAP_ANONYMOUS
#: Exactly at `address`, in place of what is there. mmap() here refuses it.
MAP_FIXED: Final = _core.MAP_FIXED
#: Exactly at `address`, or FileExistsError if something is there (Linux 4.17; before: a hint).
MAP_FIXED_NOREPLACE: Final = _core.MAP_FIXED_NOREPLACE
#: Fill the page tables now, so that first accesses do not fault.
MAP_POPULATE: Final = _core.MAP_POPULATE
#: With MAP_POPULATE: only for pages that are in memory (since Linux 2.6.23: none at all).
MAP_NONBLOCK: Final = _core.MAP_NONBLOCK
#: Do not set swap space aside; a write may then be a SIGSEGV when memory runs out.
MAP_NORESERVE: Final = _core.MAP_NORESERVE
#: Keep the pages in memory as mlock() does; EAGAIN above RLIMIT_MEMLOCK.
MAP_LOCKED: Final = _core.MAP_LOCKED
#: Of huge pages; ENOMEM if the system has none to give.
MAP_HUGETLB: Final = _core.MAP_HUGETLB
#: With MAP_HUGETLB: shift the logarithm of the page size by this to choose one.
MAP_HUGE_SHIFT: Final = _core.MAP_HUGE_SHIFT
#: With MAP_HUGETLB: pages of 2 MiB.
MAP_HUGE_2MB: Final = _core.MAP_HUGE_2MB
#: With MAP_HUGETLB: pages of 1 GiB.
MAP_HUGE_1GB: Final = _core.MAP_HUGE_1GB
#: With MAP_SHARED_VALIDATE, for files on persistent memory: a write survives a crash.
MAP_SYNC: Final = _core.MAP_SYNC
#: Memory for a thread's stack; no effect on Linux.
MAP_STACK: Final = _core.MAP_STACK
#: Memory that grows downwards when the page below it is touched.
MAP_GROWSDOWN: Final = _core.MAP_GROWSDOWN
#: In the lowest 2 GiB; x86 only, 0 elsewhere.
MAP_32BIT: Final = _core.MAP_32BIT
#: Do not clear new anonymous memory; kernels without it (nearly all) ignore it.
MAP_UNINITIALIZED: Final = _core.MAP_UNINITIALIZED
#: The older name of MAP_ANONYMOUS.
MAP_ANON: Final = _core.MAP_ANON
#: 0: what is not MAP_ANONYMOUS is a file anyway.
MAP_FILE: Final = _core.MAP_FILE
#: Ignored by Linux.
MAP_DENYWRITE: Final = _core.MAP_DENYWRITE
#: Ignored by Linux.
MAP_EXECUTABLE: Final = _core.MAP_EXECUTABLE

# ---- flags of msync: one of the first two ------------------------------------------

#: Begin to write back; on Linux nothing happens: the kernel writes back anyway.
MS_ASYNC: Final = _core.MS_ASYNC
#: Return when all is written back.
MS_SYNC: Final = _core.MS_SYNC
#: Make other mappings of the file show what was written. On Linux they always do.
MS_INVALIDATE: Final = _core.MS_INVALIDATE

# ---- Semaphores and message queues -------------------------------------------------

#: The largest value of a semaphore.
SEM_VALUE_MAX: Final = _core.SEM_VALUE_MAX
#: How many bytes sem_init() needs.
SIZEOF_SEM_T: Final = _core.SIZEOF_SEM_T
#: What the address of those bytes must be a multiple of.
ALIGNOF_SEM_T: Final = _core.ALIGNOF_SEM_T
#: The time of day, as time.time() has it; it jumps when somebody sets it.
CLOCK_REALTIME: Final = _core.CLOCK_REALTIME
#: Time since some moment in the past, as time.monotonic() has it; it never jumps.
CLOCK_MONOTONIC: Final = _core.CLOCK_MONOTONIC
#: One more than the highest priority of a message.
MQ_PRIO_MAX: Final = _core.MQ_PRIO_MAX
#: mq_notify: be registered, but hear nothing.
SIGEV_NONE: Final = _core.SIGEV_NONE
#: mq_notify: get a signal.
SIGEV_SIGNAL: Final = _core.SIGEV_SIGNAL
#: mq_notify: have a function called in a thread.
SIGEV_THREAD: Final = _core.SIGEV_THREAD


# ---- Mapped memory -----------------------------------------------------------------


def mmap(
    length: SupportsIndex,
    prot: SupportsIndex,
    flags: SupportsIndex,
    fd: SupportsIndex = -1,
    offset: SupportsIndex = 0,
    address: SupportsIndex = 0,
) -> MappedRegion:
    """Map `length` bytes, from `offset` on, of the object open as `fd`.

    `prot` is PROT_READ, PROT_WRITE, PROT_EXEC or several, or PROT_NONE; `flags` one of
    MAP_SHARED and MAP_PRIVATE, with more as needed; MAP_ANONYMOUS needs no `fd`. The
    descriptor may be closed afterwards. `address`: where the memory had better be.

    The object must be long enough: touching a page beyond its end is a SIGBUS, which ends
    the process. Does not block. MAP_FIXED is a ValueError. Raises OSError about `fd`:
    EINVAL (length 0; an offset that is not a multiple of the page size; no or
    contradictory flags), PermissionError (EACCES: not open for what `prot` wants), ENODEV
    (cannot be mapped), ENOMEM (no address space), FileExistsError (MAP_FIXED_NOREPLACE).
    """
    size = _region.number(length, "length")
    protection = _region.number(prot, "prot", 0, _region.INT_MAX)
    bits = _region.number(flags, "flags", 0, 2**32 - 1)
    descriptor = _region.number(fd, "fd", -_region.INT_MAX - 1, _region.INT_MAX)
    start = _region.number(offset, "offset")
    hint = _region.number(address, "address")
    if bits & MAP_FIXED:
        raise ValueError(
            "MAP_FIXED would replace whatever is at that address, memory that the interpreter "
            "uses included; use MAP_FIXED_NOREPLACE, which fails if something is there"
        )
    if bits > _region.INT_MAX:
        bits -= 2**32  # the same bits, as a C int
    try:
        mapping = _memory.map_exact(hint, size, protection, bits, descriptor, start)
    except OSError as error:
        if descriptor >= 0:
            error.filename = descriptor
        raise
    return MappedRegion(mapping, "munmap")


def munmap(region: MappedRegion) -> None:
    """Give a region back: it cannot be used any more, and a second time is a ValueError.

    The memory is unmapped at once if nothing else refers to it, else with the last
    memoryview or array made from it. `region` must come from mmap().
    """
    _region.give_back(region, "munmap")


def msync(
    region: MappedRegion,
    flags: SupportsIndex,
    offset: SupportsIndex = 0,
    length: SupportsIndex | None = None,
) -> None:
    """Write `length` bytes (None: all the rest) from `offset` on back to their file.

    `flags` is MS_SYNC or MS_ASYNC, and MS_INVALIDATE as needed. Shared memory has no file
    to be written to: nothing happens.

    MS_SYNC blocks, without the GIL, until the device has the data. ValueError if the bytes
    are not all in the region, or it has been given back; OSError: EINVAL (bad flags; an
    offset that is not a multiple of the page size), EIO, EBUSY (locked, with MS_INVALIDATE).
    """
    if not isinstance(region, MappedRegion):
        raise TypeError(f"msync takes a MappedRegion, not {type(region).__name__}")
    mapping = _region.mapping_of(region)
    start = _region.number(offset, "offset")
    rest = max(len(mapping) - start, 0)
    count = rest if length is None else _region.number(length, "length")
    mapping.flush(start, count, _region.number(flags, "flags", 0, _region.INT_MAX))


# ---- Notification of messages ------------------------------------------------------


class SigEvent(_namedtuple("SigEvent", "notify signo value function", defaults=(0, 0, None))):
    """How to be told of a message: `struct sigevent`.

    notify: SIGEV_NONE, SIGEV_SIGNAL or SIGEV_THREAD.
    signo: the signal, with SIGEV_SIGNAL.
    value: goes with the signal (an int), or is what the function is called with (anything).
    function: what is called, with SIGEV_THREAD.
    """

    __slots__ = ()
    notify: int
    signo: int
    value: Any
    function: Callable[[Any], object] | None


def mq_notify(mqd: MessageQueue, event: SigEvent | None = None, /) -> None:
    """Be told, once, when a message comes into the empty queue and nobody waits for one.

    `event` says how; None takes a registration back. One process at a time can be
    registered with a queue: OSError(EBUSY) for a second. The registration ends when it
    has told, and when the handle is closed.

    SIGEV_SIGNAL: the process gets the signal `event.signo`. SIGEV_THREAD:
    `event.function(event.value)` is called in a new daemon thread; an exception in it
    goes to threading.excepthook. To hear of the next message, register again, then
    receive until the queue is empty: what came in between told nobody.

    Does not block. Raises OSError about the queue's name: EBUSY, EINVAL (no such signal
    or way).
    """
    if event is None:
        _core.notify_off(mqd)
    elif not isinstance(event, SigEvent):
        raise TypeError(f"mq_notify needs a SigEvent, not {type(event).__name__}")
    elif event.notify == SIGEV_THREAD:
        _notify_by_thread(mqd, event)
    else:
        _core.notify_signal(mqd, event.notify, event.signo, event.value)


def _notify_by_thread(mqd: MessageQueue, event: SigEvent) -> None:
    # The C library would call the function in a thread of its own and never say when it is
    # done with it; a socket, which the kernel also writes to when a registration ends, says so.
    import os
    import socket
    import threading

    function = event.function
    if not callable(function):
        raise TypeError("SIGEV_THREAD needs a function that can be called")
    secret = os.urandom(31)
    notices = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC)
    try:
        _core.notify_socket(mqd, notices.fileno(), secret + b"\0")
    except BaseException:
        notices.close()
        raise
    thread = threading.Thread(
        target=_await_notice,
        args=(notices, secret, function, event.value),
        name=f"mq_notify {mqd.name!r}",
        daemon=True,
    )
    try:
        thread.start()
    except BaseException:
        _core.notify_off(mqd)
        notices.close()
        raise


def _await_notice(
    notices: socket.socket, secret: bytes, function: Callable[[Any], object], value: object
) -> None:
    with notices:
        notice = b""
        while notice[:31] != secret:
            notice = notices.recv(32)
    if notice[31] == 1:
        function(value)
