# What the *ctl calls give: one tuple with names for each struct of the system.

from collections import namedtuple as _namedtuple


def _row(name, fields, defaults=None):
    return _namedtuple(name, fields, defaults=defaults, module="isthmus.sysv")


class IpcPerm(_row("IpcPerm", "key uid gid cuid cgid mode seq")):
    """Whose an object is and who may use it: `struct ipc_perm`.

    key: what it was made with; IPC_PRIVATE once it is marked for removal.
    uid, gid: the owner; IPC_SET sets them.
    cuid, cgid: who created it.
    mode: permission bits, which IPC_SET sets; for memory also SHM_DEST and SHM_LOCKED.
    seq: how often the kernel has used its slot; part of the id.
    """

    __slots__ = ()


class ShmidDs(_row("ShmidDs", "perm segsz atime dtime ctime cpid lpid nattch")):
    """A shared memory segment: `struct shmid_ds`.

    perm: an IpcPerm.
    segsz: its size in bytes, as asked for.
    atime, dtime, ctime: seconds since 1970 of the last attach, detach (0: never), change.
    cpid, lpid: the process that created it, and that last attached or detached.
    nattch: how many times it is attached now.
    """

    __slots__ = ()


class ShmLimits(_row("ShmLimits", "shmmax shmmin shmmni shmseg shmall")):
    """The limits of shared memory: `struct shminfo`, from IPC_INFO.

    shmmax, shmmin: the largest and smallest segment, in bytes.
    shmmni: how many segments there may be.
    shmseg: how many a process may attach (not enforced).
    shmall: how much there may be in all, in pages.
    """

    __slots__ = ()


class ShmInfo(_row("ShmInfo", "used_ids shm_tot shm_rss shm_swp swap_attempts swap_successes")):
    """What shared memory is in use: `struct shm_info`, from SHM_INFO.

    used_ids: how many segments there are.
    shm_tot, shm_rss, shm_swp: their pages in all, in memory, in the swap area.
    swap_attempts, swap_successes: always 0 since Linux 2.4.
    """

    __slots__ = ()


class SemidDs(_row("SemidDs", "perm otime ctime nsems")):
    """A set of semaphores: `struct semid_ds`.

    perm: an IpcPerm.
    otime, ctime: seconds since 1970 of the last semop (0: never) and change.
    nsems: how many semaphores it has.
    """

    __slots__ = ()


class SemInfo(_row("SemInfo",
                   "semmap semmni semmns semmnu semmsl semopm semume semusz semvmx semaem")):
    """The limits of semaphores: `struct seminfo`, from IPC_INFO and SEM_INFO.

    semmni: how many sets there may be; semmns: semaphores in all; semmsl: in one set.
    semopm: operations in one semop(); semvmx: the largest value; semaem: the largest
    adjustment that SEM_UNDO keeps.
    semmap, semmnu, semume, semusz: not used by the kernel.
    From SEM_INFO, semusz is how many sets there are, and semaem how many semaphores.
    """

    __slots__ = ()


class MsqidDs(_row("MsqidDs", "perm stime rtime ctime cbytes qnum qbytes lspid lrpid")):
    """A message queue: `struct msqid_ds`.

    perm: an IpcPerm.
    stime, rtime, ctime: seconds since 1970 of the last send, receive (0: never), change.
    cbytes, qnum: the bytes and the messages in it now.
    qbytes: how many bytes it may hold; IPC_SET sets it.
    lspid, lrpid: the process that last sent, and received.
    """

    __slots__ = ()


class MsgInfo(_row("MsgInfo", "msgpool msgmap msgmax msgmnb msgmni msgssz msgtql msgseg")):
    """The limits of message queues: `struct msginfo`, from IPC_INFO and MSG_INFO.

    msgmax: the bytes of the longest message; msgmnb: of all in a new queue; msgmni: how
    many queues there may be.
    msgpool, msgmap, msgssz, msgtql, msgseg: not used by the kernel.
    From MSG_INFO, msgpool is how many queues there are, msgmap how many messages in all,
    msgtql how many bytes in all.
    """

    __slots__ = ()


for _type in (IpcPerm, ShmidDs, ShmLimits, ShmInfo, SemidDs, SemInfo, MsqidDs, MsgInfo):
    _type.__module__ = "isthmus.sysv"
del _type


cdef object from_perm(ipc_perm *perm):
    return IpcPerm(PERM_KEY(perm[0]), perm.uid, perm.gid, perm.cuid, perm.cgid, perm.mode,
                   PERM_SEQ(perm[0]))


cdef int to_perm(object perm, ipc_perm *to) except -1:
    needed(perm, IpcPerm, "IPC_SET")
    to.uid = whole(perm.uid, "uid", 0, UINT_MAX)
    to.gid = whole(perm.gid, "gid", 0, UINT_MAX)
    # The kernel keeps nine bits; SHM_DEST and SHM_LOCKED may come back from IPC_STAT.
    to.mode = whole(perm.mode, "mode", 0, 0xffff)
    return 0


cdef int32_t to_key(object key) except? -1:
    return whole(key, "key", INT_MIN, INT_MAX)


cdef int to_id(object number, str what) except? -1:
    return whole(number, what, INT_MIN, INT_MAX)


cdef int refused(str call, int cmd) except -1:
    raise ValueError(f"{call} has no command {cmd}")


def ftok(path, proj_id):
    """A key made from a file that exists and the low 8 bits of `proj_id` (not 0).

    The key depends on the file's inode and device numbers: a file that was replaced has
    another key, and two files may have the same one. Raises OSError about `path`.
    """
    cdef bytes text = encoded(path)
    cdef const char *c_path = text
    cdef int project = whole(proj_id, "proj_id", INT_MIN, INT_MAX)
    cdef int32_t key
    cdef int error
    with nogil:
        key = c_ftok(c_path, project)
        error = errno
    if key == -1:
        fail(error, path)
    return key
