# Sets of semaphores.


def semget(key, nsems, semflg=0):
    """The id of the set of semaphores with `key`.

    `semflg` is IPC_CREAT, IPC_EXCL and permission bits (the umask does not apply). A new
    set has `nsems` semaphores, all 0 on Linux; an existing one must have at least `nsems`
    (0: any). IPC_PRIVATE always makes a new one.

    Does not block. Raises OSError about `key`: FileNotFoundError, FileExistsError
    (IPC_EXCL), PermissionError, EINVAL (a bad number), ENOSPC (a limit).
    """
    cdef int32_t c_key = to_key(key)
    cdef int count = whole(nsems, "nsems", INT_MIN, INT_MAX)
    cdef int flags = whole(semflg, "semflg", INT_MIN, INT_MAX)
    cdef int id = c_semget(c_key, count, flags)
    if id < 0:
        fail(errno, key)
    return id


cdef int operate(object semid, object sops, object timeout) except -1:
    cdef int id = to_id(semid, "semid")
    cdef list operations = list(sops)
    cdef size_t count = len(operations)
    cdef size_t i
    cdef int failed, error
    cdef timespec left, now, end
    if timeout is not None:
        seconds(timeout, "timeout", &left)
        clock_gettime(CLOCK_MONOTONIC, &end)
        # 9e18 s more would be beyond what a clock can show; so would anything above this.
        end.tv_sec += min(left.tv_sec, <long>1 << 61)
        end.tv_nsec += left.tv_nsec
    cdef sembuf *buffer = <sembuf *>malloc((count or 1) * sizeof(sembuf))
    if buffer is NULL:
        raise MemoryError
    try:
        for i in range(count):
            number, change, flags = operations[i]
            buffer[i].sem_num = whole(number, "sem_num", 0, 0xffff)
            buffer[i].sem_op = whole(change, "sem_op", -0x8000, 0x7fff)
            buffer[i].sem_flg = whole(flags, "sem_flg", -0x8000, 0x7fff)
        while True:
            with nogil:
                if timeout is None:
                    failed = c_semop(id, buffer, count)
                else:
                    failed = c_semtimedop(id, buffer, count, &left)
                error = errno
            if not failed:
                return 0
            if error != EINTR:
                fail(error, semid)
            PyErr_CheckSignals()
            if timeout is not None:
                clock_gettime(CLOCK_MONOTONIC, &now)
                left.tv_sec = end.tv_sec - now.tv_sec
                left.tv_nsec = end.tv_nsec - now.tv_nsec
                while left.tv_nsec < 0:
                    left.tv_nsec += 1000000000
                    left.tv_sec -= 1
                while left.tv_nsec >= 1000000000:
                    left.tv_nsec -= 1000000000
                    left.tv_sec += 1
                if left.tv_sec < 0:
                    left.tv_sec = left.tv_nsec = 0
    finally:
        free(buffer)


def semop(semid, sops, /):
    """Do all operations of `sops`, or none: a sequence of (sem_num, sem_op, sem_flg).

    `sem_op` above 0 is added to the semaphore; below 0 it is taken off, when the value is
    large enough; 0 waits until the value is 0. `sem_flg` is 0, IPC_NOWAIT (fail with
    BlockingIOError where it would wait) and SEM_UNDO (undone when this process ends).

    Blocks, without the GIL, until all can be done at once. A signal runs its Python handler;
    if that returns, the wait goes on; if it raises, nothing has been done. Raises OSError
    about `semid`: EAGAIN, EIDRM (removed meanwhile), EINVAL (no such set), EFBIG (no such
    semaphore), ERANGE (value too large), E2BIG (too many operations), PermissionError.
    """
    operate(semid, sops, None)


def semtimedop(semid, sops, timeout, /):
    """Like semop(), for at most `timeout` seconds; then BlockingIOError (EAGAIN).

    None waits for ever; below 0 counts as 0. Time spent in signal handlers counts.
    """
    operate(semid, sops, timeout)


cdef object from_semid_ds(semid_ds *ds):
    return SemidDs(from_perm(&ds.sem_perm), ds.sem_otime, ds.sem_ctime, ds.sem_nsems)


cdef int call_semctl(int id, int number, int cmd, semaphore_argument *argument,
                     object semid) except -1:
    cdef int result, error
    with nogil:
        result = semctl_with(id, number, cmd, argument)
        error = errno
    if result < 0:
        fail(error, semid)
    return result


cdef size_t count_of(int id, object semid) except? 0:
    """How many semaphores the set has; it never changes."""
    cdef semid_ds ds
    cdef semaphore_argument argument
    argument.buf = &ds
    call_semctl(id, 0, C_IPC_STAT, &argument, semid)
    return ds.sem_nsems


cdef object get_all(int id, object semid):
    cdef semaphore_argument argument
    cdef size_t count = count_of(id, semid)
    cdef size_t i
    argument.array = <unsigned short *>malloc(count * sizeof(unsigned short))
    if argument.array is NULL:
        raise MemoryError
    try:
        call_semctl(id, 0, C_GETALL, &argument, semid)
        return tuple([argument.array[i] for i in range(count)])
    finally:
        free(argument.array)


cdef int set_all(int id, object values, object semid) except -1:
    cdef semaphore_argument argument
    cdef list numbers = list(values)
    cdef size_t count = count_of(id, semid)
    cdef size_t i
    if len(numbers) != <Py_ssize_t>count:
        raise ValueError(f"SETALL needs {count} values for this set, not {len(numbers)}")
    argument.array = <unsigned short *>malloc(count * sizeof(unsigned short))
    if argument.array is NULL:
        raise MemoryError
    try:
        for i in range(count):
            argument.array[i] = whole(numbers[i], "value", 0, 0xffff)
        call_semctl(id, 0, C_SETALL, &argument, semid)
    finally:
        free(argument.array)
    return 0


def semctl(semid, semnum, cmd, arg=None):
    """Ask or tell about a set of semaphores. `semnum` counts only where it is named.

    GETVAL: the value of semaphore `semnum`. SETVAL: make it `arg`.
    GETPID: who last changed it. GETNCNT, GETZCNT: how many wait for it to rise, to be 0.
    GETALL: the values of all, a tuple. SETALL: make them those in `arg`, one for each.
    IPC_STAT: the SemidDs. IPC_SET: give it uid, gid and permission bits of `arg.perm`,
    `arg` a SemidDs. IPC_RMID: remove it at once; who waits gets EIDRM.
    IPC_INFO, SEM_INFO: (highest index in use, SemInfo).
    SEM_STAT, SEM_STAT_ANY: `semid` is an index from 0 to the highest: (id, SemidDs);
    SEM_STAT_ANY does not need read permission.

    Does not block. Raises OSError about `semid`: EINVAL (no such set, semaphore or index),
    EIDRM (removed), ERANGE (value too large), PermissionError (EACCES, or EPERM: neither
    owner nor creator). SETALL asks for the set's size first, which needs read permission.
    """
    cdef int id = to_id(semid, "semid")
    cdef int number = whole(semnum, "semnum", INT_MIN, INT_MAX)
    cdef int c_cmd = whole(cmd, "cmd", INT_MIN, INT_MAX)
    cdef int result
    cdef semaphore_argument argument
    cdef semid_ds ds
    cdef seminfo info
    memset(&argument, 0, sizeof(argument))
    if (c_cmd == C_GETVAL or c_cmd == C_GETPID or c_cmd == C_GETNCNT or c_cmd == C_GETZCNT):
        return call_semctl(id, number, c_cmd, &argument, semid)
    if c_cmd == C_SETVAL:
        argument.val = whole(arg, "arg", INT_MIN, INT_MAX)
        call_semctl(id, number, c_cmd, &argument, semid)
        return None
    if c_cmd == C_GETALL:
        return get_all(id, semid)
    if c_cmd == C_SETALL:
        set_all(id, arg, semid)
        return None
    if c_cmd == C_IPC_RMID:
        call_semctl(id, number, c_cmd, &argument, semid)
        return None
    if c_cmd == C_IPC_SET:
        memset(&ds, 0, sizeof(ds))
        to_perm(needed(arg, SemidDs, "IPC_SET").perm, &ds.sem_perm)
        argument.buf = &ds
        call_semctl(id, number, c_cmd, &argument, semid)
        return None
    if c_cmd == C_IPC_STAT:
        argument.buf = &ds
        call_semctl(id, number, c_cmd, &argument, semid)
        return from_semid_ds(&ds)
    if c_cmd == C_SEM_STAT or c_cmd == C_SEM_STAT_ANY:
        argument.buf = &ds
        result = call_semctl(id, number, c_cmd, &argument, semid)
        return result, from_semid_ds(&ds)
    if c_cmd == C_IPC_INFO or c_cmd == C_SEM_INFO:
        argument.info = &info
        result = call_semctl(id, number, c_cmd, &argument, semid)
        return result, SemInfo(info.semmap, info.semmni, info.semmns, info.semmnu, info.semmsl,
                               info.semopm, info.semume, info.semusz, info.semvmx, info.semaem)
    refused("semctl", c_cmd)
