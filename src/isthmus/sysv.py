"""The bare calls of System V: shared memory, semaphores, message queues.

They do what the manual pages of their names say. What C reports in errno is an OSError here
(FileNotFoundError, BlockingIOError …) with the key, id or path as `filename`. Where C gives
a number and fills a struct, the result is a tuple of both.

    >>> from isthmus import sysv
    >>> shmid = sysv.shmget(sysv.IPC_PRIVATE, 4096, sysv.IPC_CREAT | 0o600)
    >>> region = sysv.shmat(shmid)
    >>> sysv.shmctl(shmid, sysv.IPC_RMID)  # it lives until it is detached
    >>> region.buf[:5] = b"hello"
    >>> sysv.shmdt(region)
"""

from __future__ import annotations

from isthmus import _region
from isthmus._core import memory as _memory, sysv as _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, SupportsIndex

__all__ = [
    "GETALL",
    "GETNCNT",
    "GETPID",
    "GETVAL",
    "GETZCNT",
    "IPC_CREAT",
    "IPC_EXCL",
    "IPC_INFO",
    "IPC_NOWAIT",
    "IPC_PRIVATE",
    "IPC_RMID",
    "IPC_SET",
    "IPC_STAT",
    "MSG_COPY",
    "MSG_EXCEPT",
    "MSG_INFO",
    "MSG_NOERROR",
    "MSG_STAT",
    "MSG_STAT_ANY",
    "SEM_INFO",
    "SEM_STAT",
    "SEM_STAT_ANY",
    "SEM_UNDO",
    "SETALL",
    "SETVAL",
    "SHMLBA",
    "SHM_DEST",
    "SHM_EXEC",
    "SHM_HUGETLB",
    "SHM_HUGE_1GB",
    "SHM_HUGE_2MB",
    "SHM_HUGE_SHIFT",
    "SHM_INFO",
    "SHM_LOCK",
    "SHM_LOCKED",
    "SHM_NORESERVE",
    "SHM_RDONLY",
    "SHM_REMAP",
    "SHM_RND",
    "SHM_STAT",
    "SHM_STAT_ANY",
    "SHM_UNLOCK",
    "IpcPerm",
    "MappedRegion",
    "MsgInfo",
    "MsqidDs",
    "SemInfo",
    "SemidDs",
    "ShmInfo",
    "ShmLimits",
    "ShmidDs",
    "ftok",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
]

# What needs nothing from here; the documentation is with it.
MappedRegion = _region.MappedRegion
IpcPerm = _core.IpcPerm
MsgInfo = _core.MsgInfo
MsqidDs = _core.MsqidDs
SemInfo = _core.SemInfo
SemidDs = _core.SemidDs
ShmInfo = _core.ShmInfo
ShmLimits = _core.ShmLimits
ShmidDs = _core.ShmidDs
ftok = _core.ftok
msgctl = _core.msgctl
msgget = _core.msgget
msgrcv = _core.msgrcv
msgsnd = _core.msgsnd
semctl = _core.semctl
semget = _core.semget
semop = _core.semop
semtimedop = _core.semtimedop
shmctl = _core.shmctl
shmget = _core.shmget

# ---- All three: keys, flags of the *get calls, commands of the *ctl calls ----------

#: The key that always makes a new object, which only its id leads to.
IPC_PRIVATE: Final = _core.IPC_PRIVATE
#: Create it if there is none with this key. Or the permission bits (0o600) to it.
IPC_CREAT: Final = _core.IPC_CREAT
#: With IPC_CREAT: fail with FileExistsError if there is one.
IPC_EXCL: Final = _core.IPC_EXCL
#: semop, msgsnd, msgrcv: fail where they would wait.
IPC_NOWAIT: Final = _core.IPC_NOWAIT
#: Remove it.
IPC_RMID: Final = _core.IPC_RMID
#: Set owner, group and permission bits (of a queue also its room).
IPC_SET: Final = _core.IPC_SET
#: Ask for all about it.
IPC_STAT: Final = _core.IPC_STAT
#: Ask for the system's limits.
IPC_INFO: Final = _core.IPC_INFO

# ---- Shared memory -----------------------------------------------------------------

#: shmat: for reading only.
SHM_RDONLY: Final = _core.SHM_RDONLY
#: shmat: round the address down to a multiple of SHMLBA.
SHM_RND: Final = _core.SHM_RND
#: shmat: in place of what is at the address. shmat() here refuses it.
SHM_REMAP: Final = _core.SHM_REMAP
#: shmat: the memory may be executed.
SHM_EXEC: Final = _core.SHM_EXEC
#: shmget: of huge pages.
SHM_HUGETLB: Final = _core.SHM_HUGETLB
#: With SHM_HUGETLB: shift the logarithm of the page size by this to choose one.
SHM_HUGE_SHIFT: Final = _core.SHM_HUGE_SHIFT
#: With SHM_HUGETLB: pages of 2 MiB.
SHM_HUGE_2MB: Final = _core.SHM_HUGE_2MB
#: With SHM_HUGETLB: pages of 1 GiB.
SHM_HUGE_1GB: Final = _core.SHM_HUGE_1GB
#: shmget: do not set swap space aside; a write may then be a SIGSEGV when memory runs out.
SHM_NORESERVE: Final = _core.SHM_NORESERVE
#: shmctl: keep the segment in memory.
SHM_LOCK: Final = _core.SHM_LOCK
#: shmctl: let it be swapped again.
SHM_UNLOCK: Final = _core.SHM_UNLOCK
#: shmctl: like IPC_STAT, for an index instead of an id.
SHM_STAT: Final = _core.SHM_STAT
#: shmctl: like SHM_STAT, without the right to read (Linux 4.17).
SHM_STAT_ANY: Final = _core.SHM_STAT_ANY
#: shmctl: ask what is in use.
SHM_INFO: Final = _core.SHM_INFO
#: In a segment's mode: removed, goes when the last process detaches.
SHM_DEST: Final = _core.SHM_DEST
#: In a segment's mode: kept in memory by SHM_LOCK.
SHM_LOCKED: Final = _core.SHM_LOCKED
#: What an address for shmat() must be a multiple of.
SHMLBA: Final = _core.SHMLBA

# ---- Semaphores --------------------------------------------------------------------

#: sem_flg of semop: undo the operation when this process ends.
SEM_UNDO: Final = _core.SEM_UNDO
#: semctl: the process that last changed the semaphore.
GETPID: Final = _core.GETPID
#: semctl: its value.
GETVAL: Final = _core.GETVAL
#: semctl: the values of all in the set.
GETALL: Final = _core.GETALL
#: semctl: how many wait for its value to rise.
GETNCNT: Final = _core.GETNCNT
#: semctl: how many wait for its value to be 0.
GETZCNT: Final = _core.GETZCNT
#: semctl: set its value; what SEM_UNDO keeps for it, in all processes, is forgotten.
SETVAL: Final = _core.SETVAL
#: semctl: set the values of all in the set; forgets as SETVAL does.
SETALL: Final = _core.SETALL
#: semctl: like IPC_STAT, for an index instead of an id.
SEM_STAT: Final = _core.SEM_STAT
#: semctl: like SEM_STAT, without the right to read (Linux 4.17).
SEM_STAT_ANY: Final = _core.SEM_STAT_ANY
#: semctl: ask for the limits and what is in use.
SEM_INFO: Final = _core.SEM_INFO

# ---- Message queues ----------------------------------------------------------------

#: msgrcv: cut off what is longer than asked for, instead of failing with E2BIG.
MSG_NOERROR: Final = _core.MSG_NOERROR
#: msgrcv, with a type above 0: the first message of any other type.
MSG_EXCEPT: Final = _core.MSG_EXCEPT
#: msgrcv, with IPC_NOWAIT: leave the message there; the type is its place in the queue.
MSG_COPY: Final = _core.MSG_COPY
#: msgctl: like IPC_STAT, for an index instead of an id.
MSG_STAT: Final = _core.MSG_STAT
#: msgctl: like MSG_STAT, without the right to read (Linux 4.17).
MSG_STAT_ANY: Final = _core.MSG_STAT_ANY
#: msgctl: ask for the limits and what is in use.
MSG_INFO: Final = _core.MSG_INFO


# ---- Attaching memory --------------------------------------------------------------


def shmat(
    shmid: SupportsIndex, shmaddr: SupportsIndex = 0, shmflg: SupportsIndex = 0
) -> MappedRegion:
    """Attach the whole shared memory segment `shmid`.

    `shmflg` is SHM_RDONLY, SHM_EXEC, SHM_RND or several. `shmaddr`: where it must be (0:
    where there is room), a multiple of SHMLBA unless SHM_RND rounds it down.

    Does not block. SHM_REMAP is a ValueError. Raises OSError about `shmid`: EINVAL (no such
    segment; a bad address, or one in use), EIDRM (removed), PermissionError, ENOMEM.
    """
    number = _region.number(shmid, "shmid", -_region.INT_MAX - 1, _region.INT_MAX)
    hint = _region.number(shmaddr, "shmaddr")
    flags = _region.number(shmflg, "shmflg", 0, _region.INT_MAX)
    if flags & SHM_REMAP:
        raise ValueError(
            "SHM_REMAP would replace whatever is at that address, memory that the "
            "interpreter uses included; without it, an address in use is an OSError"
        )
    try:
        mapping = _memory.sysv_attach(number, flags, hint)
    except OSError as error:
        error.filename = shmid
        raise
    return MappedRegion(mapping, "shmdt")


def shmdt(region: MappedRegion) -> None:
    """Detach a region: it cannot be used any more, and a second time is a ValueError.

    The memory is detached at once if nothing else refers to it, else with the last
    memoryview or array made from it. `region` must come from shmat().
    """
    _region.give_back(region, "shmdt")
