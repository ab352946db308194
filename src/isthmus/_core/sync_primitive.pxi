# What all of them have in common: opening, closing, waiting, and who takes part.

ctypedef int (*Operation)(isthmus_primitive *, uint64_t) noexcept nogil

cdef void close_primitive(isthmus_handle *handle) noexcept nogil:
    isthmus_primitive_close(&handle.primitive)


cdef isthmus_primitive_plan plan_of(tuple plan) except *:
    cdef isthmus_primitive_plan made
    made.kind, made.flags, made.participants, made.maximum, made.value = plan
    return made


@cython.no_gc_clear  # where it lies must stay mapped until it has left, also in a cycle
cdef class Primitive:
    """A handle to one of them. What the Python layer keeps with it is in `_origin`.

    Its subclasses have no C methods of their own: which of the bases of a Python class makes
    the object, and so gives it its table of C methods, depends on their order.
    """

    cdef isthmus_handle *handle
    cdef isthmus_primitive *core  # in the handle
    cdef object mapping           # where it lies, when it was placed in a segment
    # The lock was taken over from a dead owner; of a readers-writer lock: for reading, writing.
    cdef bint died
    cdef bint died_reading
    # Nobody was told, or what was to repair it has failed: whoever is next is to be told as well.
    cdef bint unrepaired
    cdef object policy
    cdef object readable  # its descriptor; None: nobody has asked for it
    cdef public object _origin
    cdef object __weakref__

    def __cinit__(self):
        self.handle = isthmus_handle_new(close_primitive)
        if self.handle is NULL:
            raise MemoryError()
        self.core = &self.handle.primitive

    def __dealloc__(self):
        isthmus_handle_free(self.handle)

    # ---- Opening and closing -------------------------------------------------------

    cdef int fresh(self) except -1:
        if self.core.shared is not NULL:
            raise TypeError("this handle is open already")
        return 0

    cdef bint again(self, int result) except -1:
        """It has been opened, could not be, or a signal handler is to run first: again."""
        if result == -EINTR:
            PyErr_CheckSignals()
            return True
        opened(result)
        isthmus_handle_open(self.handle)
        return False

    # None of these releases the GIL: another thread could fork meanwhile, and the child would
    # have what belongs to no handle yet.

    def _create(self, const char *name, tuple plan, uint32_t mode, int64_t owner, int64_t group):
        cdef isthmus_primitive_plan made = plan_of(plan)
        cdef isthmus_create_options options
        options.mode, options.owner, options.group = mode, owner, group
        self.fresh()
        while self.again(isthmus_primitive_create(self.core, name, &made, &options)):
            pass

    def _attach(self, const char *name, uint32_t kind, int64_t owner):
        cdef isthmus_attach_options options
        options.readonly, options.owner = 0, owner
        self.fresh()
        while self.again(isthmus_primitive_attach(self.core, name, kind, &options)):
            pass

    def _anonymous(self, tuple plan):
        cdef isthmus_primitive_plan made = plan_of(plan)
        self.fresh()
        while self.again(isthmus_primitive_anonymous(self.core, &made)):
            pass

    def _from_fd(self, int fd, uint32_t kind):
        self.fresh()
        while self.again(isthmus_primitive_from_fd(self.core, fd, kind)):
            pass

    def _place(self, mapping, int fd, uint64_t offset, tuple plan):
        cdef isthmus_primitive_plan made = plan_of(plan)
        cdef uintptr_t address = mapping.address
        cdef size_t length = mapping.size
        self.fresh()
        while self.again(isthmus_primitive_place(self.core, <void *>address, length, fd, offset,
                                                 &made)):
            pass
        self.mapping = mapping

    def _find(self, mapping, int fd, uint64_t offset, uint32_t kind):
        cdef uintptr_t address = mapping.address
        cdef size_t length = mapping.size
        self.fresh()
        while self.again(isthmus_primitive_find(self.core, <void *>address, length, fd, offset,
                                                kind)):
            pass
        self.mapping = mapping

    def _configure(self, on_owner_death, spin_ns):
        """How this handle behaves; spin_ns None: as the core chooses."""
        self.policy = on_owner_death
        if spin_ns is not None:
            self.core.spin_ns = spin_ns
            self.core.spin_now_ns = min(<uint32_t>spin_ns, self.core.spin_now_ns)

    @property
    def on_owner_death(self):
        """What happens when the lock is taken over from an owner that died. May be set."""
        return self.policy

    @on_owner_death.setter
    def on_owner_death(self, policy):
        from isthmus import _owner_death
        _owner_death.check(policy)
        self.policy = policy

    @property
    def spin(self):
        """How long a wait spins at most before it sleeps, in microseconds."""
        return self.core.spin_ns / 1000

    @property
    def closed(self):
        """Whether this handle has been closed."""
        return self.core.shared is NULL

    def _close(self):
        """Close it; False: another thread is waiting on it."""
        cdef bint busy
        with cython.critical_section(self):
            busy = self.handle.users != 0
            if not busy:
                isthmus_handle_close(self.handle)
        if not busy:
            readable, self.readable = self.readable, None
            if readable is not None:
                readable.close()
            self.mapping = None
        return not busy

    def _unlink(self):
        opened(isthmus_primitive_unlink(self.core))

    def _fileno(self):
        return self.core.fd

    def _facts(self):
        """(flags, free places at the start, places at most) as they were at creation."""
        self.enter()
        cdef isthmus_shared_semaphore *semaphore
        cdef uint32_t initial = 0
        cdef uint32_t maximum = 0
        if self.core.kind == ISTHMUS_KIND_SEMAPHORE:
            semaphore = <isthmus_shared_semaphore *>(self.core.shared + 1)
            initial, maximum = semaphore.initial, semaphore.maximum
        elif self.core.kind == ISTHMUS_KIND_BARRIER:
            initial = isthmus_barrier_parties(self.core)
        cdef uint32_t flags = self.core.flags
        self.leave()
        return flags, initial, maximum

    @property
    def participants(self):
        """How many handles there is room for at once; 0: any number."""
        return self.core.count

    # ---- Using it ------------------------------------------------------------------

    # Around all that may wait: it cannot be closed meanwhile. Around everything, where no GIL
    # keeps other threads from closing it. The critical sections are nothing where there is one.

    cdef int enter(self) except -1:
        cdef bint closed
        with cython.critical_section(self):
            closed = self.core.shared is NULL
            if not closed:
                self.handle.users += 1
        if closed:
            raise self.failed(-EBADF)
        return 0

    cdef void leave(self) noexcept:
        """After an operation: its descriptor tells what that has left, see `Descriptor`."""
        if self.readable is not None:
            self.readable.settle(True)
        self.let_close()

    cdef void let_close(self) noexcept:
        with cython.critical_section(self):
            # In a child that was forked by a signal handler during a wait it is 0 already.
            if self.handle.users > 0:
                self.handle.users -= 1

    cdef void settle_now(self) noexcept:
        """After one that has done it, so short that it does without `enter` and `leave`."""
        with cython.critical_section(self):
            self.handle.users += 1
        if self.readable is not None:
            self.readable.settle(False)
        self.let_close()

    def _descriptor(self, bint for_room):
        """The number of its descriptor, which is made if it is not there."""
        self._borrow()
        try:
            if self.readable is None:
                made = new_descriptor(self, ISTHMUS_WAIT_READY)
                with cython.critical_section(self):
                    if self.readable is None:
                        self.readable = made
            return self.readable.open()
        finally:
            self.leave()

    cdef object failed(self, int result):
        """The error to be raised for what the core has returned."""
        from isthmus import _primitive
        return _primitive.failed(self, -result)

    cdef int join(self) except -1:
        """The first use of an inherited handle in a forked child."""
        cdef int result
        with cython.critical_section(self):
            result = isthmus_primitive_join(self.core)
        if result < 0:
            raise self.failed(result)
        return 0

    cdef int attempt(self, Operation operation) except 1:
        """Once, without waiting; 0 or the core's answer."""
        cdef int result = operation(self.core, 0)
        if result == -ISTHMUS_E_NOT_JOINED:
            self.join()
            result = operation(self.core, 0)
        return result

    cdef int wait_by(self, Operation operation, uint64_t deadline, bint tried=False) except 1:
        """Until it succeeds or the deadline has passed, without the GIL; the core's answer.

        Signal handlers run meanwhile. When one raises, the operation has not happened.
        `tried`: a moment ago, in vain, so wait at once.
        """
        cdef uint64_t stop
        cdef int result = -ETIMEDOUT
        if not tried or deadline == 0:
            result = self.attempt(operation)
        while result == -ETIMEDOUT or result == -EINTR or result == -ISTHMUS_E_NOT_JOINED:
            if deadline == 0:
                return result
            if result == -ISTHMUS_E_NOT_JOINED:
                self.join()  # a signal handler has forked, and this is the child
            stop = next_stop(deadline)
            with nogil:
                result = operation(self.core, stop)
            if result == -ETIMEDOUT and stop == deadline:
                return result
            if result == -ETIMEDOUT or result == -EINTR:
                PyErr_CheckSignals()
        return result

    cdef object acquire_by(self, Operation operation, object block, object timeout,
                           bint tried=False):
        """What `acquire(block, timeout)` does: True, False, or what the core has answered."""
        cdef uint64_t deadline
        cdef int result
        if not block:
            if timeout is not None:
                raise no_timeout()
            deadline = 0
        else:
            deadline = deadline_of(timeout)
        self.enter()
        try:
            result = self.wait_by(operation, deadline, tried)
        finally:
            self.leave()
        if result == 0:
            return True
        if result == -ETIMEDOUT or result == -EINTR:
            return False
        if result == -EOWNERDEAD:
            return None
        raise self.failed(result)

    def _borrow(self):
        """Where it is, for a wait over several things: it cannot be closed before `_restore`."""
        self.enter()
        try:
            self.join()
        except BaseException:
            self.let_close()
            raise
        return <uintptr_t>self.core

    def _restore(self):
        self.let_close()

    # ---- Who takes part ------------------------------------------------------------

    def _owner(self):
        cdef isthmus_participant found
        self.enter()
        cdef int result = isthmus_primitive_owner(self.core, &found)
        self.leave()
        return None if result < 0 else participant_facts(&found)

    def _participants(self):
        """Facts about every slot that somebody has, dead or alive."""
        cdef isthmus_participant found
        cdef uint32_t slot
        self.enter()
        facts = []
        try:
            for slot in range(min(self.core.shared.used, self.core.count)):
                if isthmus_primitive_participant(self.core, slot, &found) == 0:
                    facts.append(participant_facts(&found))
        finally:
            self.leave()
        return facts

    def _nothing(self):
        """Does nothing: what a call costs, for the benchmark."""


def own_methods(cls):
    """Give a class that inherits methods written here the same ones as its own."""
    own_methods_of(cls, Primitive)


cdef object no_timeout():
    from isthmus.errors import ArgumentError
    return ArgumentError("a timeout for an acquire that does not block: leave one of them out")
