# What queues and topics have in common: opening, closing, waiting, and who takes part.

cdef void close_ring(isthmus_handle *handle) noexcept nogil:
    isthmus_ring_close(&handle.ring)


cdef isthmus_ring_plan ring_plan_of(tuple plan) except *:
    cdef isthmus_ring_plan made
    (made.kind, made.flags, made.participants, made.max_attempts, made.capacity, made.maxsize,
     made.start) = plan
    return made


# Not before a task has taken so much without waiting does it let the others run: as in isthmus.aio.
cdef enum:
    RUN = 64


cdef class Ring:
    """A handle to one of them. What the Python layer keeps with it is in `_origin`."""

    cdef isthmus_handle *handle
    cdef isthmus_ring *core  # in the handle
    cdef object trust        # allow_pickle
    cdef object pickler      # None: pickle.dumps; else of an object and a buffer callback
    cdef uint32_t runs       # how often tasks have asked for the next message
    # Its descriptors, for what there is to read, and for room; None: nobody has asked for it.
    cdef object readable
    cdef object roomy
    cdef public object _origin
    cdef object __weakref__

    def __cinit__(self):
        self.handle = isthmus_handle_new(close_ring)
        if self.handle is NULL:
            raise MemoryError()
        self.core = &self.handle.ring

    def __dealloc__(self):
        isthmus_handle_free(self.handle)

    # ---- Opening and closing -------------------------------------------------------

    cdef int fresh(self) except -1:
        if self.core.primitive.shared is not NULL:
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
        cdef isthmus_ring_plan made = ring_plan_of(plan)
        cdef isthmus_create_options options
        options.mode, options.owner, options.group = mode, owner, group
        self.fresh()
        while self.again(isthmus_ring_create(self.core, name, &made, &options)):
            pass

    def _attach(self, const char *name, uint32_t kind, int64_t owner):
        cdef isthmus_attach_options options
        options.readonly, options.owner = 0, owner
        self.fresh()
        while self.again(isthmus_ring_attach(self.core, name, kind, &options)):
            pass

    def _anonymous(self, tuple plan):
        cdef isthmus_ring_plan made = ring_plan_of(plan)
        self.fresh()
        while self.again(isthmus_ring_anonymous(self.core, &made)):
            pass

    def _from_fd(self, int fd, uint32_t kind):
        self.fresh()
        while self.again(isthmus_ring_from_fd(self.core, fd, kind)):
            pass

    def _configure(self, spin_ns, allow_pickle):
        """How this handle behaves; spin_ns None: as the core chooses."""
        self.trust = allow_pickle
        cdef isthmus_primitive *primitive = &self.core.primitive
        if spin_ns is not None:
            primitive.spin_ns = spin_ns
            primitive.spin_now_ns = min(<uint32_t>spin_ns, primitive.spin_now_ns)

    @property
    def spin(self):
        """How long a wait spins at most before it sleeps, in microseconds."""
        return self.core.primitive.spin_ns / 1000

    @property
    def allow_pickle(self):
        """Whether pickled objects are read: True, False, or None: if nobody else can write."""
        return self.trust

    @property
    def closed(self):
        """Whether this handle has been closed."""
        return self.core.primitive.shared is NULL

    def _close(self):
        """Close it; False: another thread is waiting on it, or something refers to its memory."""
        cdef bint busy
        with cython.critical_section(self):
            busy = self.handle.users != 0 or self.handle.views != 0
            if not busy:
                isthmus_handle_close(self.handle)
        if not busy:
            self.drop_descriptors()
        return not busy

    @property
    def _views(self):
        """How many objects refer to its memory."""
        return self.handle.views

    def _unlink(self):
        opened(isthmus_ring_unlink(self.core))

    def _fileno(self):
        return self.core.primitive.fd

    def _facts(self):
        """(flags, capacity, maxsize, max_attempts) as they were at creation."""
        return (self.core.primitive.flags, self.core.capacity, self.core.maxsize,
                self.core.max_attempts)

    @property
    def participants(self):
        """How many handles there is room for at once."""
        return self.core.primitive.count

    @property
    def capacity(self):
        """Bytes that there are for messages, each with a header of 32 bytes or more."""
        return self.core.capacity

    # ---- Using it ------------------------------------------------------------------

    # As for locks: around all that may wait, so that it cannot be closed meanwhile; around
    # everything, where no GIL keeps other threads from closing it.

    cdef int enter(self) except -1:
        cdef bint closed
        with cython.critical_section(self):
            closed = self.core.primitive.shared is NULL
            if not closed:
                self.handle.users += 1
        if closed:
            raise self.failed(-EBADF)
        return 0

    cdef void leave(self) noexcept:
        """After an operation."""
        if self.readable is not None or self.roomy is not None:
            self.settle(True)
        self.let_close()

    cdef void let_close(self) noexcept:
        with cython.critical_section(self):
            # In a child that was forked by a signal handler during a wait it is 0 already.
            if self.handle.users > 0:
                self.handle.users -= 1

    # Descriptors tell what an operation of this handle has left: see `Descriptor`.

    cdef void settle(self, bint again) noexcept:
        """Between `enter` and `let_close`."""
        if self.readable is not None:
            self.readable.settle(again)
        if self.roomy is not None:
            self.roomy.settle(again)

    cdef void settle_now(self) noexcept:
        """After an operation that has done it, so short that it does without both."""
        with cython.critical_section(self):
            self.handle.users += 1
        self.settle(False)
        self.let_close()

    cdef void need(self, uint64_t room) noexcept:
        """There was no room for a message that takes so many bytes."""
        cdef uint64_t header = isthmus_record_room(0, 0)
        if self.roomy is not None:
            self.roomy.need(room - header if room > header else 0)

    cdef void drop_descriptors(self) noexcept:
        readable, self.readable = self.readable, None
        roomy, self.roomy = self.roomy, None
        if readable is not None:
            readable.close()
        if roomy is not None:
            roomy.close()

    def _descriptor(self, bint for_room):
        """The number of one of them, which is made if it is not there."""
        self._borrow()
        try:
            if for_room:
                if self.roomy is None:
                    made = new_descriptor(self, ISTHMUS_WAIT_ROOM)
                    with cython.critical_section(self):
                        if self.roomy is None:
                            self.roomy = made
                return self.roomy.open()
            if self.readable is None:
                made = new_descriptor(self, ISTHMUS_WAIT_READY)
                with cython.critical_section(self):
                    if self.readable is None:
                        self.readable = made
            return self.readable.open()
        finally:
            self.leave()

    cdef void hold(self) noexcept:
        """Something refers to its memory from now on."""
        with cython.critical_section(self):
            self.handle.views += 1

    cdef void let_go(self) noexcept:
        with cython.critical_section(self):
            self.handle.views -= 1

    cdef object failed(self, int result):
        """The error to be raised for what the core has returned."""
        from isthmus import _ring
        return _ring.failed(self, -result)

    cdef int take_part(self) except -1:
        """The first use of an inherited handle in a forked child."""
        cdef int result
        with cython.critical_section(self):
            result = isthmus_ring_join(self.core)
        if result < 0:
            raise self.failed(result)
        return 0

    # Each of these waits in chunks without the GIL, lets signal handlers run in between, joins
    # if need be, and gives 0, -ETIMEDOUT or another answer of the core. When a handler
    # raises, nothing has happened.

    cdef int begin_write(self, isthmus_write *write, bint for_long, uint64_t deadline) except 1:
        cdef uint64_t stop
        cdef int result = isthmus_write_begin(self.core, write, for_long, 0)
        while True:
            if result == -ISTHMUS_E_NOT_JOINED:
                self.take_part()
            elif result == -EBUSY and deadline == 0:
                return -ETIMEDOUT
            elif result != -EBUSY and result != -ETIMEDOUT and result != -EINTR:
                return result
            stop = next_stop(deadline)
            with nogil:
                result = isthmus_write_begin(self.core, write, for_long, stop)
            if result == -EINTR or result == -ETIMEDOUT:
                if PyErr_CheckSignals() == 0 and result == -ETIMEDOUT and stop == deadline:
                    return result

    cdef int begin_read(self, isthmus_read *read, uint64_t deadline) except 1:
        cdef uint64_t stop
        cdef int result = isthmus_read_begin(self.core, read, 0)
        while True:
            if result == -ISTHMUS_E_NOT_JOINED:
                self.take_part()
            elif result == -EBUSY and deadline == 0:
                return -ETIMEDOUT
            elif result != -EBUSY and result != -ETIMEDOUT and result != -EINTR:
                return result
            stop = next_stop(deadline)
            with nogil:
                result = isthmus_read_begin(self.core, read, stop)
            if result == -EINTR or result == -ETIMEDOUT:
                if PyErr_CheckSignals() == 0 and result == -ETIMEDOUT and stop == deadline:
                    return result

    cdef int await_room(self, const isthmus_write *write, uint64_t deadline) except 1:
        """After an -EAGAIN of reserve, and commit or abort: until there may be room."""
        cdef uint64_t stop
        cdef int result
        self.need(write.needed)
        while True:
            stop = next_stop(deadline)
            with nogil:
                result = isthmus_write_await(self.core, write, stop)
            if result != -EINTR and result != -ETIMEDOUT:
                return result
            if PyErr_CheckSignals() == 0 and result == -ETIMEDOUT and stop == deadline:
                return result

    cdef int await_message(self, const isthmus_read *read, uint64_t deadline) except 1:
        """After an -EAGAIN of next, and commit or abort: until there may be a message."""
        cdef uint64_t stop
        cdef int result = isthmus_read_glance(self.core, read)
        if result == 0:
            return 0
        while True:
            stop = next_stop(deadline)
            with nogil:
                result = isthmus_read_await(self.core, read, stop)
            if result != -EINTR and result != -ETIMEDOUT:
                return result
            if PyErr_CheckSignals() == 0 and result == -ETIMEDOUT and stop == deadline:
                return result

    def _borrow(self):
        """Where it is, for a wait over several things: it cannot be closed before `_restore`."""
        self.enter()
        try:
            self.take_part()
        except BaseException:
            self.let_close()
            raise
        return <uintptr_t>&self.core.primitive

    def _restore(self):
        self.let_close()

    # ---- Without waiting ---------------------------------------------------------------

    def _others_first(self):
        """Whether it was for the sake of other tasks that there was no next message."""
        return self.runs % RUN == 0

    def _encoded(self, objects):
        """All of them as they will be written: if one of them cannot be, this raises."""
        self.enter()
        try:
            return all_encoded(self, objects)
        finally:
            self.let_close()

    def _room(self, message):
        """Bytes that something encoded, or bytes, or a copied record takes in a ring, at most."""
        cdef Outgoing outgoing
        cdef Arrived copied
        if type(message) is Arrived:
            copied = <Arrived>message
            return isthmus_record_room(copied.record.meta_size, copied.record.size)
        if PyBytes_CheckExact(message):
            return isthmus_record_room(0, PyBytes_GET_SIZE(message))
        outgoing = <Outgoing?>message
        return isthmus_record_room(outgoing.meta_size, outgoing.size)

    # ---- Who takes part ------------------------------------------------------------

    def _members(self):
        """For every slot that somebody has, dead or alive: the facts of locks, and those of rings.

        The latter are (role, lag, missed, leases).
        """
        cdef isthmus_participant found
        cdef isthmus_seat seat
        cdef uint32_t slot
        self.enter()
        facts = []
        try:
            for slot in range(min(self.core.primitive.shared.used, self.core.primitive.count)):
                if isthmus_primitive_participant(&self.core.primitive, slot, &found) < 0:
                    continue
                if isthmus_ring_seat(self.core, slot, &seat) < 0:
                    continue
                facts.append((participant_facts(&found),
                              (seat.role, seat.lag, seat.missed, seat.leases)))
        finally:
            self.leave()
        return facts

    def _participants(self):
        """The facts of locks alone."""
        return [facts for facts, _ in self._members()]
