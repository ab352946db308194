# Publishing: one message to all subscribers.

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident()


cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object)


# The default of timeouts of a subscriber: that with which it was opened.
DEFAULT = type("default", (), {"__repr__": lambda self: "..."})()
cdef object its_own = DEFAULT


cdef enum:
    OVERFLOW_ERROR = 2  # beside ISTHMUS_OVERFLOW_*: do not wait


cdef class Publisher(Ring):
    """A publisher."""

    cdef bint never_waits          # overflow="error"
    cdef unsigned long lender      # the thread that has a loan open …
    cdef uint32_t lender_pid       # … in this process
    cdef LoanMap loans             # where loans are written to, once there was one

    def publish(self, obj, timeout=None):
        """Send a message to all subscribers.

        Args:
            obj: anything that can be pickled. `bytes`, `bytearray`, `str`, `memoryview` (which
                comes out as bytes) and numpy arrays travel as they are; numbers, and tuples,
                lists and dicts of numbers, text and bytes, in a form of their own, unpickled.
            timeout: seconds to wait at most, when it has to wait; None: for ever; zero or less:
                try once. What it waits for is said by `overflow`.

        When it has returned, the message is there, whatever becomes of this process. Waits release
        the GIL, and signal handlers run meanwhile; when one raises (Ctrl-C), nothing was published.

        Raises:
            Full: there was no room in time.
            MessageTooLargeError: it would not even fit if nothing else were there.
            InUseError: this thread has a loan open.
            ArgumentError: timeout is NaN. ClosedError. TooManyParticipantsError (first use in
            a forked child). And what pickling raises.
        """
        if not ISTHMUS_NO_GIL and written_now(self, obj):
            return
        publish_one(self, obj, until_room(self, timeout))

    def publish_many(self, items, timeout=None):
        """Send all of `items`, in order, at a fraction of what as many calls of `publish` cost.

        They need not fit all at once: what fits is published, and the rest when there is room.
        If one of them cannot be sent at all, none is.

        Raises as `publish`. A `Full` has an attribute `done`: how many were published.
        """
        cdef uint64_t deadline = until_room(self, timeout)
        cdef Py_ssize_t done = 0
        cdef int result
        self.enter()
        try:
            check_no_loan(self)
            result = write_many(self, all_encoded(self, items), &done, deadline)
        finally:
            self.leave()
        if result < 0:
            raise publishing_failed(self, result, done)

    def loan(self, shape, dtype=None, *, order="C", timeout=None):
        """A message to be written in place: a context manager that gives what to write to.

        ``with pub.loan((1080, 1920, 3), "u1") as frame:`` gives an array in the topic's own memory;
        at the end of the block it is published, uncopied; if an exception leaves the block,
        nothing is. ``with pub.loan(nbytes) as memory:`` gives a writable memoryview, and
        subscribers receive bytes. What is in there at first is arbitrary.

        After the block the memory is the subscribers': a memoryview is then released, and the
        array is empty, of shape (0,). If anything made from it is still there (another array or
        memoryview, a second name), so that somebody could still write to it, nothing is
        published and InUseError raised; what is written there from then on goes nowhere.

        As long as the block lasts, no one else can publish to this topic; not even this thread.

        Args:
            shape, dtype, order: as for `numpy.empty`. Or a number of bytes, without dtype.
            timeout: seconds to wait for room, at the start of the block; as for `publish`.

        Raises:
            TypeError, ArgumentError: no such array. UnsupportedError: no /proc.
            Otherwise as `publish`.
        """
        cdef Loan loan = Loan.__new__(Loan)
        loan.publisher, loan.timeout = self, timeout
        if dtype is None:
            loan.size = loan_bytes(shape)
            loan.type = ISTHMUS_TYPE_BYTES
        else:
            prepare_array(loan, shape, dtype, order)
        return loan

    def _publish_now(self, obj):
        """None: it has been published. Else: what `_publish_again` may be called with, later."""
        if not ISTHMUS_NO_GIL and written_now(self, obj):
            return None
        cdef Outgoing message = encoded(self, obj)
        return None if self._publish_again(message) else message

    def _publish_again(self, message):
        """Whether it could be published now."""
        cdef int result
        self.enter()
        try:
            check_no_loan(self)
            result = write_quietly(self, <Outgoing?>message)
        finally:
            self.leave()
        if result < 0 and result != -EAGAIN:
            raise publishing_failed(self, result)
        return result == 0

    def _publish_some(self, tuple items, Py_ssize_t done):
        """How many of them are published, of which `done` were before; they are of `_encoded`."""
        cdef int result
        self.enter()
        try:
            check_no_loan(self)
            result = write_many(self, items, &done, 0, True)
        finally:
            self.leave()
        if result < 0 and result != -EAGAIN and result != -ETIMEDOUT:
            raise publishing_failed(self, result, done)
        return done

    @property
    def overflow(self):
        """What `publish` does about subscribers that are in the way."""
        if self.never_waits:
            return "error"
        return "overwrite" if self.core.overflow == ISTHMUS_OVERFLOW_OVERWRITE else "block"

    def _set_overflow(self, int overflow):
        self.never_waits = overflow == OVERFLOW_ERROR
        self.core.overflow = (ISTHMUS_OVERFLOW_OVERWRITE
                              if overflow == <int>ISTHMUS_OVERFLOW_OVERWRITE
                              else ISTHMUS_OVERFLOW_BLOCK)

    def _close(self):
        """Close it; False: another thread is waiting on it, or has a loan open."""
        if not Ring._close(self):
            return False
        self.loans = None
        return True

    def _numbers(self):
        return topic_numbers(self)


cdef inline uint64_t until_room(Publisher publisher, object timeout) except? 0:
    cdef uint64_t deadline = deadline_of(timeout)
    return 0 if publisher.never_waits else deadline


cdef int check_no_loan(Publisher publisher) except -1:
    """The lock that producers take is this thread's already, and it would wait for itself."""
    if publisher.lender_pid != publisher.core.primitive.pid:
        publisher.lender = 0  # that was the parent's
    if publisher.lender != 0 and publisher.lender == PyThread_get_thread_ident():
        from isthmus import _loan
        raise _loan.open_here(publisher)
    return 0


cdef int publish_one(Publisher publisher, object obj, uint64_t deadline) except -1:
    cdef Outgoing message = encoded(publisher, obj)
    cdef int result
    publisher.enter()
    try:
        check_no_loan(publisher)
        result = write_one(publisher, message, deadline)
    finally:
        publisher.leave()
    if result < 0:
        raise publishing_failed(publisher, result)
    return 0


cdef object publishing_failed(Publisher publisher, int result, Py_ssize_t done=0):
    if result == -ETIMEDOUT or result == -EAGAIN or result == -EBUSY:
        from isthmus import _loan
        return _loan.no_room(publisher, done)
    return publisher.failed(result)
