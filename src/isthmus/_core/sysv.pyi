import os
from collections.abc import Iterable
from typing import (
    Any,
    Final,
    Literal,
    NamedTuple,
    SupportsFloat,
    SupportsIndex,
    TypeAlias,
    overload,
)

from typing_extensions import Buffer

_Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
_Seconds: TypeAlias = SupportsFloat | SupportsIndex

# The commands are literals because the result of a *ctl call depends on them.
IPC_RMID: Final = 0
IPC_SET: Final = 1
IPC_STAT: Final = 2
IPC_INFO: Final = 3
SHM_LOCK: Final = 11
SHM_UNLOCK: Final = 12
SHM_STAT: Final = 13
SHM_INFO: Final = 14
SHM_STAT_ANY: Final = 15
GETPID: Final = 11
GETVAL: Final = 12
GETALL: Final = 13
GETNCNT: Final = 14
GETZCNT: Final = 15
SETVAL: Final = 16
SETALL: Final = 17
SEM_STAT: Final = 18
SEM_INFO: Final = 19
SEM_STAT_ANY: Final = 20
MSG_STAT: Final = 11
MSG_INFO: Final = 12
MSG_STAT_ANY: Final = 13

IPC_PRIVATE: Final[int]
IPC_CREAT: Final[int]
IPC_EXCL: Final[int]
IPC_NOWAIT: Final[int]
SHM_RDONLY: Final[int]
SHM_RND: Final[int]
SHM_REMAP: Final[int]
SHM_EXEC: Final[int]
SHM_HUGETLB: Final[int]
SHM_HUGE_SHIFT: Final[int]
SHM_HUGE_2MB: Final[int]
SHM_HUGE_1GB: Final[int]
SHM_NORESERVE: Final[int]
SHM_DEST: Final[int]
SHM_LOCKED: Final[int]
SHMLBA: Final[int]
SEM_UNDO: Final[int]
MSG_NOERROR: Final[int]
MSG_EXCEPT: Final[int]
MSG_COPY: Final[int]

class IpcPerm(NamedTuple):
    key: int
    uid: int
    gid: int
    cuid: int
    cgid: int
    mode: int
    seq: int

class ShmidDs(NamedTuple):
    perm: IpcPerm
    segsz: int
    atime: int
    dtime: int
    ctime: int
    cpid: int
    lpid: int
    nattch: int

class ShmLimits(NamedTuple):
    shmmax: int
    shmmin: int
    shmmni: int
    shmseg: int
    shmall: int

class ShmInfo(NamedTuple):
    used_ids: int
    shm_tot: int
    shm_rss: int
    shm_swp: int
    swap_attempts: int
    swap_successes: int

class SemidDs(NamedTuple):
    perm: IpcPerm
    otime: int
    ctime: int
    nsems: int

class SemInfo(NamedTuple):
    semmap: int
    semmni: int
    semmns: int
    semmnu: int
    semmsl: int
    semopm: int
    semume: int
    semusz: int
    semvmx: int
    semaem: int

class MsqidDs(NamedTuple):
    perm: IpcPerm
    stime: int
    rtime: int
    ctime: int
    cbytes: int
    qnum: int
    qbytes: int
    lspid: int
    lrpid: int

class MsgInfo(NamedTuple):
    msgpool: int
    msgmap: int
    msgmax: int
    msgmnb: int
    msgmni: int
    msgssz: int
    msgtql: int
    msgseg: int

def ftok(path: _Path, proj_id: SupportsIndex) -> int: ...
def shmget(key: SupportsIndex, size: SupportsIndex, shmflg: SupportsIndex = 0) -> int: ...
@overload
def shmctl(shmid: SupportsIndex, cmd: Literal[2], buf: None = None) -> ShmidDs: ...
@overload
def shmctl(shmid: SupportsIndex, cmd: Literal[1], buf: ShmidDs) -> None: ...
@overload
def shmctl(shmid: SupportsIndex, cmd: Literal[0, 11, 12], buf: None = None) -> None: ...
@overload
def shmctl(shmid: SupportsIndex, cmd: Literal[3], buf: None = None) -> tuple[int, ShmLimits]: ...
@overload
def shmctl(shmid: SupportsIndex, cmd: Literal[14], buf: None = None) -> tuple[int, ShmInfo]: ...
@overload
def shmctl(shmid: SupportsIndex, cmd: Literal[13, 15], buf: None = None) -> tuple[int, ShmidDs]: ...
@overload
def shmctl(shmid: SupportsIndex, cmd: SupportsIndex, buf: ShmidDs | None = None) -> Any: ...
def semget(key: SupportsIndex, nsems: SupportsIndex, semflg: SupportsIndex = 0) -> int: ...
def semop(
    semid: SupportsIndex, sops: Iterable[tuple[SupportsIndex, SupportsIndex, SupportsIndex]], /
) -> None: ...
def semtimedop(
    semid: SupportsIndex,
    sops: Iterable[tuple[SupportsIndex, SupportsIndex, SupportsIndex]],
    timeout: _Seconds | None,
    /,
) -> None: ...
@overload
def semctl(
    semid: SupportsIndex, semnum: SupportsIndex, cmd: Literal[11, 12, 14, 15], arg: None = None
) -> int: ...
@overload
def semctl(
    semid: SupportsIndex, semnum: SupportsIndex, cmd: Literal[13], arg: None = None
) -> tuple[int, ...]: ...
@overload
def semctl(
    semid: SupportsIndex, semnum: SupportsIndex, cmd: Literal[16], arg: SupportsIndex
) -> None: ...
@overload
def semctl(
    semid: SupportsIndex, semnum: SupportsIndex, cmd: Literal[17], arg: Iterable[SupportsIndex]
) -> None: ...
@overload
def semctl(
    semid: SupportsIndex, semnum: SupportsIndex, cmd: Literal[0], arg: None = None
) -> None: ...
@overload
def semctl(semid: SupportsIndex, semnum: SupportsIndex, cmd: Literal[1], arg: SemidDs) -> None: ...
@overload
def semctl(
    semid: SupportsIndex, semnum: SupportsIndex, cmd: Literal[2], arg: None = None
) -> SemidDs: ...
@overload
def semctl(
    semid: SupportsIndex, semnum: SupportsIndex, cmd: Literal[3, 19], arg: None = None
) -> tuple[int, SemInfo]: ...
@overload
def semctl(
    semid: SupportsIndex, semnum: SupportsIndex, cmd: Literal[18, 20], arg: None = None
) -> tuple[int, SemidDs]: ...
@overload
def semctl(
    semid: SupportsIndex,
    semnum: SupportsIndex,
    cmd: SupportsIndex,
    arg: SemidDs | SupportsIndex | Iterable[SupportsIndex] | None = None,
) -> Any: ...
def msgget(key: SupportsIndex, msgflg: SupportsIndex = 0) -> int: ...
def msgsnd(
    msqid: SupportsIndex, mtype: SupportsIndex, mtext: Buffer, msgflg: SupportsIndex = 0, /
) -> None: ...
def msgrcv(
    msqid: SupportsIndex,
    msgsz: SupportsIndex,
    msgtyp: SupportsIndex = 0,
    msgflg: SupportsIndex = 0,
    /,
) -> tuple[int, bytes]: ...
@overload
def msgctl(msqid: SupportsIndex, cmd: Literal[2], buf: None = None) -> MsqidDs: ...
@overload
def msgctl(msqid: SupportsIndex, cmd: Literal[1], buf: MsqidDs) -> None: ...
@overload
def msgctl(msqid: SupportsIndex, cmd: Literal[0], buf: None = None) -> None: ...
@overload
def msgctl(msqid: SupportsIndex, cmd: Literal[3, 12], buf: None = None) -> tuple[int, MsgInfo]: ...
@overload
def msgctl(msqid: SupportsIndex, cmd: Literal[11, 13], buf: None = None) -> tuple[int, MsqidDs]: ...
@overload
def msgctl(msqid: SupportsIndex, cmd: SupportsIndex, buf: MsqidDs | None = None) -> Any: ...
