# Shared memory segments; attaching them is in isthmus.sysv.


def shmget(key, size, shmflg=0):
    """The id of the shared memory segment with `key`.

    `shmflg` is IPC_CREAT, IPC_EXCL and permission bits (the umask does not apply), with
    SHM_HUGETLB and SHM_NORESERVE as needed. A new segment has `size` bytes, all zero;
    an existing one must have at least `size` (0: any). IPC_PRIVATE always makes a new one.

    Does not block. Raises OSError about `key`: FileNotFoundError, FileExistsError
    (IPC_EXCL), PermissionError, EINVAL (too small, too large), ENOMEM, ENOSPC (a limit).
    """
    cdef int32_t c_key = to_key(key)
    cdef size_t c_size = whole(size, "size", 0, LLONG_MAX)
    cdef int flags = whole(shmflg, "shmflg", INT_MIN, UINT_MAX)
    cdef int id = c_shmget(c_key, c_size, flags)
    if id < 0:
        fail(errno, key)
    return id


cdef object from_shmid_ds(shmid_ds *ds):
    return ShmidDs(from_perm(&ds.shm_perm), ds.shm_segsz, ds.shm_atime, ds.shm_dtime,
                   ds.shm_ctime, ds.shm_cpid, ds.shm_lpid, ds.shm_nattch)


cdef int call_shmctl(int id, int cmd, void *buf, object shmid) except -1:
    cdef int result, error
    with nogil:
        result = c_shmctl(id, cmd, buf)
        error = errno
    if result < 0:
        fail(error, shmid)
    return result


def shmctl(shmid, cmd, buf=None):
    """Ask or tell about a shared memory segment.

    IPC_STAT: its ShmidDs (needs read permission).
    IPC_SET: give it uid, gid and permission bits of `buf.perm`, `buf` a ShmidDs.
    IPC_RMID: mark it; it goes when the last process detaches, and cannot be found by key.
    SHM_LOCK, SHM_UNLOCK: keep it from being swapped, or allow it.
    IPC_INFO: (highest index in use, ShmLimits). SHM_INFO: (highest index, ShmInfo).
    SHM_STAT, SHM_STAT_ANY: `shmid` is an index from 0 to the highest: (id, ShmidDs);
    SHM_STAT_ANY does not need read permission.

    Does not block. Raises OSError about `shmid`: EINVAL (no such segment or index),
    EIDRM (removed), PermissionError (EACCES: not readable; EPERM: neither owner nor creator).
    """
    cdef int id = to_id(shmid, "shmid")
    cdef int c_cmd = whole(cmd, "cmd", INT_MIN, INT_MAX)
    cdef int result
    cdef shmid_ds ds
    cdef shminfo limits
    cdef shm_info info
    if c_cmd == C_IPC_STAT:
        call_shmctl(id, c_cmd, &ds, shmid)
        return from_shmid_ds(&ds)
    if c_cmd == C_IPC_SET:
        memset(&ds, 0, sizeof(ds))
        to_perm(needed(buf, ShmidDs, "IPC_SET").perm, &ds.shm_perm)
        call_shmctl(id, c_cmd, &ds, shmid)
        return None
    if c_cmd == C_IPC_RMID or c_cmd == C_SHM_LOCK or c_cmd == C_SHM_UNLOCK:
        call_shmctl(id, c_cmd, NULL, shmid)
        return None
    if c_cmd == C_SHM_STAT or c_cmd == C_SHM_STAT_ANY:
        result = call_shmctl(id, c_cmd, &ds, shmid)
        return result, from_shmid_ds(&ds)
    if c_cmd == C_IPC_INFO:
        result = call_shmctl(id, c_cmd, &limits, shmid)
        return result, ShmLimits(limits.shmmax, limits.shmmin, limits.shmmni, limits.shmseg,
                                 limits.shmall)
    if c_cmd == C_SHM_INFO:
        result = call_shmctl(id, c_cmd, &info, shmid)
        return result, ShmInfo(info.used_ids, info.shm_tot, info.shm_rss, info.shm_swp,
                               info.swap_attempts, info.swap_successes)
    refused("shmctl", c_cmd)
