import os
from typing import Final, NamedTuple, SupportsFloat, SupportsIndex, TypeAlias, final

from typing_extensions import Buffer, disjoint_base

_Name: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
_Seconds: TypeAlias = SupportsFloat | SupportsIndex

O_RDONLY: Final[int]
O_WRONLY: Final[int]
O_RDWR: Final[int]
O_CREAT: Final[int]
O_EXCL: Final[int]
O_TRUNC: Final[int]
O_NONBLOCK: Final[int]
O_CLOEXEC: Final[int]
O_NOFOLLOW: Final[int]
PROT_NONE: Final[int]
PROT_READ: Final[int]
PROT_WRITE: Final[int]
PROT_EXEC: Final[int]
MAP_SHARED: Final[int]
MAP_PRIVATE: Final[int]
MAP_SHARED_VALIDATE: Final[int]
MAP_ANONYMOUS: Final[int]
MAP_FIXED: Final[int]
MAP_FIXED_NOREPLACE: Final[int]
MAP_POPULATE: Final[int]
MAP_NONBLOCK: Final[int]
MAP_NORESERVE: Final[int]
MAP_LOCKED: Final[int]
MAP_HUGETLB: Final[int]
MAP_HUGE_SHIFT: Final[int]
MAP_HUGE_2MB: Final[int]
MAP_HUGE_1GB: Final[int]
MAP_SYNC: Final[int]
MAP_STACK: Final[int]
MAP_GROWSDOWN: Final[int]
MAP_ANON: Final[int]
MAP_FILE: Final[int]
MAP_32BIT: Final[int]
MAP_DENYWRITE: Final[int]
MAP_EXECUTABLE: Final[int]
MAP_UNINITIALIZED: Final[int]
MS_ASYNC: Final[int]
MS_SYNC: Final[int]
MS_INVALIDATE: Final[int]
SIGEV_NONE: Final[int]
SIGEV_SIGNAL: Final[int]
SIGEV_THREAD: Final[int]
CLOCK_REALTIME: Final[int]
CLOCK_MONOTONIC: Final[int]
SEM_VALUE_MAX: Final[int]
SIZEOF_SEM_T: Final[int]
ALIGNOF_SEM_T: Final[int]
MQ_PRIO_MAX: Final[int]

class MqAttr(NamedTuple):
    maxmsg: int = 0
    msgsize: int = 0
    flags: int = 0
    curmsgs: int = 0

@disjoint_base
class Handle:
    # Always a TypeError.
    def __init__(self, *args: object, **kwargs: object) -> None: ...
    @property
    def name(self) -> _Name | None: ...
    @property
    def closed(self) -> bool: ...

@final
class Semaphore(Handle): ...

@final
class MessageQueue(Handle):
    def fileno(self) -> int: ...

def shm_open(name: _Name, oflag: SupportsIndex, mode: SupportsIndex = 0o600) -> int: ...
def shm_unlink(name: _Name) -> None: ...
def ftruncate(fd: SupportsIndex, length: SupportsIndex) -> None: ...
def sem_open(
    name: _Name,
    oflag: SupportsIndex = 0,
    mode: SupportsIndex = 0o600,
    value: SupportsIndex = 0,
) -> Semaphore: ...
def sem_close(sem: Semaphore, /) -> None: ...
def sem_unlink(name: _Name) -> None: ...
def sem_init(
    buffer: Buffer, pshared: bool = True, value: SupportsIndex = 0, offset: SupportsIndex = 0
) -> Semaphore: ...
def sem_at(buffer: Buffer, offset: SupportsIndex = 0) -> Semaphore: ...
def sem_destroy(sem: Semaphore, /) -> None: ...
def sem_wait(sem: Semaphore, /) -> None: ...
def sem_try(sem: Semaphore, /) -> bool: ...
def sem_trywait(sem: Semaphore, /) -> None: ...
def sem_timedwait(sem: Semaphore, abs_timeout: _Seconds, /) -> None: ...
def sem_clockwait(sem: Semaphore, clock: SupportsIndex, abs_timeout: _Seconds, /) -> None: ...
def sem_post(sem: Semaphore, /) -> None: ...
def sem_getvalue(sem: Semaphore, /) -> int: ...
def mq_open(
    name: _Name,
    oflag: SupportsIndex,
    mode: SupportsIndex = 0o600,
    attr: MqAttr | None = None,
) -> MessageQueue: ...
def queue_from(fd: int, name: _Name | None, /) -> MessageQueue: ...
def mq_close(mqd: MessageQueue, /) -> None: ...
def mq_unlink(name: _Name) -> None: ...
def mq_send(mqd: MessageQueue, msg: Buffer, prio: SupportsIndex = 0, /) -> None: ...
def mq_timedsend(
    mqd: MessageQueue, msg: Buffer, prio: SupportsIndex, abs_timeout: _Seconds, /
) -> None: ...
def mq_receive(mqd: MessageQueue, /) -> tuple[bytes, int]: ...
def mq_timedreceive(mqd: MessageQueue, abs_timeout: _Seconds, /) -> tuple[bytes, int]: ...
def mq_getattr(mqd: MessageQueue, /) -> MqAttr: ...
def mq_setattr(mqd: MessageQueue, attr: MqAttr, /) -> MqAttr: ...
def notify_off(mqd: MessageQueue, /) -> None: ...
def notify_signal(
    mqd: MessageQueue, how: SupportsIndex, signo: SupportsIndex, value: SupportsIndex, /
) -> None: ...
def notify_socket(mqd: MessageQueue, fd: int, cookie: bytes, /) -> None: ...
