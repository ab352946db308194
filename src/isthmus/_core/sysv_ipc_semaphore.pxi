# Semaphores: sets that have one each.


cdef int semaphore_failed(int error) except -1:
    if error == EINTR:
        ended_by_signal()
    if error == EINVAL or error == ENOENT:
        raise ExistentialError("No semaphore exists with the specified key")
    if error == EEXIST:
        raise ExistentialError("A semaphore with the specified key already exists")
    if error == EIDRM:
        raise ExistentialError("The semaphore was removed")
    if error == EACCES:
        raise PermissionsError("Permission denied")
    if error == ERANGE:
        raise ValueError("The semaphore's value must remain between 0 and SEMVMX")
    if error == EAGAIN:
        raise BusyError("The semaphore is busy")
    if error == ENOMEM:
        raise MemoryError("Not enough memory")
    fail(error, None)


cdef int semaphore_control(int id, int cmd, semaphore_argument *argument) except -1:
    cdef int result = semctl_with(id, 0, cmd, argument)
    if result < 0:
        semaphore_failed(errno)
    return result


cdef int semaphore_number(int id, int cmd) except -1:
    cdef semaphore_argument argument
    argument.val = 0
    return semaphore_control(id, cmd, &argument)


cdef int semaphore_status(int id, semid_ds *to) except -1:
    cdef semaphore_argument argument
    argument.buf = to
    return semaphore_control(id, C_IPC_STAT, &argument)


cdef int set_semaphore_status(int id, semid_ds *status) except -1:
    cdef semaphore_argument argument
    argument.buf = status
    return semaphore_control(id, C_IPC_SET, &argument)


cdef int set_semaphore_value(int id, int value) except -1:
    cdef semaphore_argument argument
    argument.val = value
    return semaphore_control(id, C_SETVAL, &argument)


cdef int get_semaphore(int32_t key, size_t size, int flags) noexcept nogil:
    return c_semget(key, <int>size, flags)


cdef bint by_strict_rules() except -1:
    from isthmus.compat._mode import strict
    return strict()


cdef int open_or_make_semaphore(Wanted want) noexcept:
    """IPC_CREAT alone, but so that it is known whether this call has made it."""
    cdef int flags = want.flags
    cdef int id
    while True:
        want.flags = flags & ~C_IPC_CREAT
        id = want.get(get_semaphore, 1)
        if id >= 0 or errno != ENOENT:
            return id
        want.flags = flags | CREX
        id = want.get(get_semaphore, 1)
        # Otherwise somebody has been faster: his is opened.
        if id >= 0 or errno != EEXIST:
            return id


cdef bint timed(object timeout, timespec *to) except -1:
    """Whether there is a timeout; it is written to `to`. What exceeds a century is none."""
    if timeout is None:
        return False
    cdef double number = -1
    if isinstance(timeout, (int, float)):
        try:
            number = timeout
        except OverflowError:
            number = -1
        # As far as the original reads an int.
        if isinstance(timeout, int) and number >= 9223372036854775807.0:
            number = -1
    if not number >= 0:
        raise TypeError("The timeout must be None or a non-negative number")
    if number > 4e9:
        return False
    seconds(number, "timeout", to)
    return True


cdef int operate(int id, int change, int flags, const timespec *timeout) except -1:
    cdef sembuf operation
    cdef int failed, error
    operation.sem_num = 0
    operation.sem_op = <short>change
    operation.sem_flg = <short>flags
    with nogil:
        if timeout is NULL:
            failed = c_semop(id, &operation, 1)
        else:
            failed = c_semtimedop(id, &operation, 1, timeout)
        error = errno
    if failed:
        semaphore_failed(error)
    return 0


cdef int difference(object delta) except -1:
    """How much an operation changes the value by: `delta` without its sign."""
    cdef int number = c_short(delta)
    if number == 0:
        raise ValueError("The delta must be non-zero")
    if number == -0x8000:
        # Its absolute value is none of the type, and above SEMVMX.
        semaphore_failed(ERANGE)
    return number if number > 0 else -number


cdef class Semaphore:
    """A semaphore, opened or made: ``Semaphore(key, flags=0, mode=0o600, initial_value=0)``.

    `key` is an integer, IPC_PRIVATE, or None for one that nobody uses. `flags` 0 opens one,
    IPC_CREX makes one, IPC_CREAT does either; `mode` and `initial_value` are for one that
    is made. One that cannot have `initial_value` is removed again.

    Does not block. Raises ExistentialError, PermissionsError, ValueError, OSError (a limit).
    A process that is killed between making it and giving it its value leaves it at 0.
    """

    cdef readonly int id
    cdef int32_t _key
    cdef int flags

    def __init__(self, key, flags=0, mode=0o600, initial_value=0):
        cdef int given = c_int(flags)
        cdef int bits = c_int(mode) & 0o777
        cdef int value = c_int(initial_value)
        cdef Wanted want = wanted(key, given & CREX)
        cdef bint creating = want.flags & C_IPC_CREAT
        cdef bint careful = want.flags == C_IPC_CREAT and want.key != C_IPC_PRIVATE
        if careful and by_strict_rules():
            careful = False
        want.flags |= bits
        cdef int id
        if careful:
            id = open_or_make_semaphore(want)
        else:
            id = want.get(get_semaphore, 1)
        if id < 0:
            semaphore_failed(errno)
        self.flags = 0
        self._key = want.key
        self.id = id
        if creating and bits & 0o200 and (want.made or not careful):
            try:
                set_semaphore_value(id, value)
            except BaseException:
                if want.made:
                    semaphore_number(id, C_IPC_RMID)
                raise

    def __repr__(self):
        return f"sysv_ipc.Semaphore({self._key})"

    def __str__(self):
        return f"Key={self._key}, id={self.id}"

    cdef int take(self, object timeout, object delta) except -1:
        cdef timespec left
        cdef bint limited = timed(timeout, &left)
        cdef int change = -1 if delta is one else -difference(delta)
        return operate(self.id, change, self.flags, &left if limited else NULL)

    def acquire(self, timeout=None, delta=1):
        """Take `delta` (without its sign) off the value, as soon as it is large enough.

        Blocks, without the GIL, for at most `timeout` seconds (None: for ever; 0: not at
        all); then, or at once when `block` is False, BusyError. A signal ends the wait:
        what its handler raises, else Error. Whoever raised has taken nothing. Raises
        ExistentialError when it is removed meanwhile. What a killed process has taken comes
        back if `undo` was True.
        """
        self.take(timeout, delta)

    def P(self, timeout=None, delta=1):
        """The same as acquire()."""
        self.take(timeout, delta)

    def release(self, delta=1):
        """Add `delta` (without its sign) to the value. Never blocks.

        ValueError when that would be above SEMAPHORE_VALUE_MAX.
        """
        operate(self.id, 1 if delta is one else difference(delta), self.flags, NULL)

    def V(self, delta=1):
        """The same as release()."""
        operate(self.id, 1 if delta is one else difference(delta), self.flags, NULL)

    def Z(self, timeout=None):
        """Wait until the value is 0. Blocks and raises as acquire() does."""
        cdef timespec left
        cdef bint limited = timed(timeout, &left)
        operate(self.id, 0, self.flags, &left if limited else NULL)

    def __enter__(self):
        operate(self.id, -1, self.flags, NULL)
        return self

    def __exit__(self, *exception):
        operate(self.id, 1, self.flags, NULL)

    def remove(self):
        """Remove it from the system: whoever waits for it gets ExistentialError."""
        semaphore_number(self.id, C_IPC_RMID)

    @property
    def key(self):
        """The key that it was opened with."""
        return self._key

    @property
    def value(self):
        """Its value. Setting it also forgets what `undo` keeps for it, in all processes."""
        return semaphore_number(self.id, C_GETVAL)

    @value.setter
    def value(self, value):
        if not isinstance(value, int):
            raise TypeError("Attribute 'value' must be an integer")
        cdef long number = PyLong_AsLong(value)
        if number < 0 or number > LARGEST_VALUE:
            semaphore_failed(ERANGE)
        set_semaphore_value(self.id, <int>number)

    @property
    def undo(self):
        """Whether the system undoes what this object does when the process ends."""
        return self.flags & C_SEM_UNDO != 0

    @undo.setter
    def undo(self, value):
        self.flags = self.flags | C_SEM_UNDO if value else self.flags & ~C_SEM_UNDO

    @property
    def block(self):
        """Whether acquire() and Z() wait; otherwise BusyError."""
        return self.flags & C_IPC_NOWAIT == 0

    @block.setter
    def block(self, value):
        self.flags = self.flags & ~C_IPC_NOWAIT if value else self.flags | C_IPC_NOWAIT

    @property
    def mode(self):
        """The permission bits."""
        cdef semid_ds status
        semaphore_status(self.id, &status)
        return status.sem_perm.mode

    @mode.setter
    def mode(self, value):
        cdef unsigned int number = c_attribute(value, "The attribute must be an integer")
        cdef semid_ds status
        semaphore_status(self.id, &status)
        status.sem_perm.mode = number
        set_semaphore_status(self.id, &status)

    @property
    def uid(self):
        """Whose it is: a user id."""
        cdef semid_ds status
        semaphore_status(self.id, &status)
        return status.sem_perm.uid

    @uid.setter
    def uid(self, value):
        cdef unsigned int number = c_attribute(value, "The attribute must be an integer")
        cdef semid_ds status
        semaphore_status(self.id, &status)
        status.sem_perm.uid = number
        set_semaphore_status(self.id, &status)

    @property
    def gid(self):
        """Whose it is: a group id."""
        cdef semid_ds status
        semaphore_status(self.id, &status)
        return status.sem_perm.gid

    @gid.setter
    def gid(self, value):
        cdef unsigned int number = c_attribute(value, "The attribute must be an integer")
        cdef semid_ds status
        semaphore_status(self.id, &status)
        status.sem_perm.gid = number
        set_semaphore_status(self.id, &status)

    @property
    def cuid(self):
        """Who made it: a user id."""
        cdef semid_ds status
        semaphore_status(self.id, &status)
        return status.sem_perm.cuid

    @property
    def cgid(self):
        """Who made it: a group id."""
        cdef semid_ds status
        semaphore_status(self.id, &status)
        return status.sem_perm.cgid

    @property
    def o_time(self):
        """When it was last acquired, released or waited for, in seconds since 1970; or 0."""
        cdef semid_ds status
        semaphore_status(self.id, &status)
        return status.sem_otime

    @property
    def last_pid(self):
        """The process that last did so, or set its value."""
        return semaphore_number(self.id, C_GETPID)

    @property
    def waiting_for_nonzero(self):
        """How many wait in acquire()."""
        return semaphore_number(self.id, C_GETNCNT)

    @property
    def waiting_for_zero(self):
        """How many wait in Z()."""
        return semaphore_number(self.id, C_GETZCNT)


# The default of `delta`, which needs no conversion: small integers are one object each.
cdef object one = 1


def remove_semaphore(id, /):
    """Remove the semaphore with this id from the system."""
    semaphore_number(c_int(id), C_IPC_RMID)
