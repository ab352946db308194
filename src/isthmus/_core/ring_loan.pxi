# Loans: messages that are written in place.

cdef extern from "loan.h" nogil:
    struct isthmus_loan_map:
        unsigned char *data
        void *base

    int isthmus_loan_map_ring "isthmus_loan_map"(const isthmus_ring *ring, isthmus_loan_map *map)
    void *isthmus_loan_place(const isthmus_loan_map *map, const isthmus_ring *ring,
                             const isthmus_record *record)
    int isthmus_loan_cut(const isthmus_loan_map *map)
    void isthmus_loan_unmap(isthmus_loan_map *map)


@cython.final
@cython.no_gc
@cython.internal
cdef class LoanMap:
    """A publisher's memory once more, at addresses that can be cut off from it."""

    cdef isthmus_loan_map map

    def __dealloc__(self):
        isthmus_loan_unmap(&self.map)


@cython.final
@cython.no_gc
@cython.internal
cdef class Lent:
    """What a loan gives to its user: memory that is written to as long as it exports it."""

    cdef LoanMap keep
    cdef void *address
    cdef Py_ssize_t size
    cdef Py_ssize_t exports

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.address, self.size, 0, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer *buffer):
        self.exports -= 1


cdef extern from "Python.h":
    int PyBuffer_FillInfo(Py_buffer *view, object exporter, void *buf, Py_ssize_t len,
                          int readonly, int flags) except -1


cdef uint64_t loan_bytes(object size) except? 0:
    from isthmus import _arguments
    return _arguments.size(size, "nbytes", 0)


cdef dict lent_before = {}  # what `prepare_array` found out


cdef int prepare_array(Loan loan, object shape, object dtype, object order) except -1:
    key = (shape, dtype, order)
    try:
        found = lent_before.get(key)
    except TypeError:  # a list, say
        key = found = None
    if found is None:
        from isthmus import _loan
        shape, dtype, order, size, text = _loan.array(shape, dtype, order)
        found = shape, dtype, order, size, array_meta(shape, dtype, order, text)
        if key is not None:
            if len(lent_before) >= 256:
                lent_before.clear()
            lent_before[key] = found
    loan.shape, loan.dtype, loan.order, loan.size, loan.meta = found
    loan.meta_size = PyBytes_GET_SIZE(loan.meta)
    loan.type = ISTHMUS_TYPE_ARRAY
    return 0


cdef bytes array_meta(tuple shape, object dtype, str order, bytes text):
    cdef isthmus_shared_elements elements
    cdef uint64_t length
    memset(&elements, 0, sizeof(elements))
    elements.ndim, elements.itemsize = len(shape), dtype.itemsize
    elements.dtype_size = len(text)
    if order == "F":
        elements.flags = ISTHMUS_ARRAY_FORTRAN
    meta = PyBytes_FromStringAndSize(NULL, sizeof(elements) + len(shape) * 8 + len(text))
    cdef char *to = PyBytes_AS_STRING(meta)
    memcpy(to, &elements, sizeof(elements))
    to += sizeof(elements)
    for each in shape:
        length = each
        memcpy(to, &length, 8)
        to += 8
    memcpy(to, PyBytes_AS_STRING(text), elements.dtype_size)
    return meta


cdef object numpy_array = None


cdef enum:
    NOT_BEGUN, OPEN, OVER


@cython.final
cdef class Loan:
    """A message that is being written in place. Made by `Publisher.loan`; used once."""

    cdef Publisher publisher
    cdef object timeout
    cdef tuple shape
    cdef object dtype
    cdef str order
    cdef uint32_t type
    cdef uint64_t size
    cdef uint32_t meta_size
    cdef bytes meta
    cdef isthmus_write write
    cdef Lent lent
    cdef object root    # the array of which `handed` is a view, as all that are made from it
    cdef object handed  # what the user has
    cdef uint32_t pid   # of the process that has it: a forked child does not
    cdef int state

    def __init__(self):
        raise TypeError("a loan is made by Publisher.loan()")

    def __enter__(self):
        if self.state != NOT_BEGUN:
            from isthmus import _loan
            raise _loan.used(self.publisher, "loan")
        loan_begin(self, until_room(self.publisher, self.timeout), False)
        return self.handed

    def _enter_or_none(self):
        """As `__enter__`, but None where that would wait."""
        if self.state != NOT_BEGUN:
            from isthmus import _loan
            raise _loan.used(self.publisher, "loan")
        return self.handed if loan_begin(self, 0, True) else None

    @property
    def _room(self):
        """Bytes that it takes in the ring, at most."""
        return isthmus_record_room(self.meta_size, self.size)

    def __exit__(self, kind, error, traceback, /):
        if self.state != OPEN:
            return
        if not loan_end(self, error is None) and error is None:
            from isthmus import _loan
            raise _loan.still_there(self.publisher)

    def __del__(self):
        # A generator, say, that was dropped within the block.
        if self.state == OPEN:
            loan_end(self, False)


cdef bint loan_begin(Loan loan, uint64_t deadline, bint quiet) except -1:
    """`quiet`, with a deadline of 0: False where it would have to wait, even for a lock."""
    global numpy_array
    cdef Publisher publisher = loan.publisher
    cdef isthmus_record record
    cdef LoanMap loans
    cdef Lent lent
    cdef int result
    publisher.enter()
    try:
        check_no_loan(publisher)
        fitting(publisher, loan.meta_size, loan.size)
        loans = publisher.loans
        if loans is None:
            loans = LoanMap.__new__(LoanMap)
            result = isthmus_loan_map_ring(publisher.core, &loans.map)
            if result == -ISTHMUS_E_NOT_JOINED:
                publisher.take_part()
                result = isthmus_loan_map_ring(publisher.core, &loans.map)
            if result < 0:
                raise publisher.failed(result)
            publisher.loans = loans
        lent = Lent.__new__(Lent)
        lent.keep, lent.size = loans, loan.size
        while True:
            result = publisher.begin_write(&loan.write, True, 0 if quiet else patience(deadline))
            if quiet and result == -ETIMEDOUT:
                return False
            if result < 0:
                raise publishing_failed(publisher, result)
            result = isthmus_write_reserve(publisher.core, &loan.write, loan.type, loan.meta_size,
                                           loan.size, &record)
            if result == 0:
                break
            isthmus_write_abort(publisher.core, &loan.write)
            if result == -EAGAIN:
                result = publisher.await_room(&loan.write, deadline)
            if quiet and result == -ETIMEDOUT:
                return False
            if result < 0 and result != -ISTHMUS_E_NOT_JOINED:
                raise publishing_failed(publisher, result)
        # From here on the write is open, and this is the loan's.
        if loan.meta_size:
            memcpy(record.meta, PyBytes_AS_STRING(loan.meta), loan.meta_size)
        lent.address = isthmus_loan_place(&loans.map, publisher.core, &record)
        loan.lent, loan.pid, loan.state = lent, publisher.core.primitive.pid, OPEN
        publisher.lender_pid = publisher.core.primitive.pid
        publisher.lender = PyThread_get_thread_ident()
        publisher.hold()
        try:
            if loan.type == ISTHMUS_TYPE_BYTES:
                loan.handed = memoryview(lent)
            else:
                if numpy_array is None:
                    from numpy import ndarray as numpy_array
                loan.root = numpy_array(loan.shape, loan.dtype, memoryview(lent), 0, None,
                                        loan.order)
                loan.handed = loan.root.view()
        except BaseException:
            loan_end(loan, False)
            raise
    finally:
        publisher.leave()
    return True


cdef bint take_back(Loan loan, Lent lent) except -1:
    """Let what the user has lead nowhere. False: there may be more that leads there."""
    cdef object handed = loan.handed
    loan.handed = None
    if handed is not None and loan.type == ISTHMUS_TYPE_BYTES:
        try:
            handed.release()
        except BufferError:
            return False
    elif handed is not None:
        # `handed` here, and one name in the block that is just ending. Views of it do not refer
        # to it, but to `root`; all else does: other names, memoryviews.
        if Py_REFCNT(handed) > 2:
            return False
        # The one way to make an array let go of its memory; it is then as a new, empty one.
        handed.__setstate__((1, (0,), loan.dtype, False, b""))
    loan.root = None
    # Whatever is left keeps it: our caller, and nothing else.
    return Py_REFCNT(lent) == 1 and lent.exports == 0


cdef bint loan_end(Loan loan, bint publish):
    """False: it was not published, since something still refers to its memory."""
    cdef Publisher publisher = loan.publisher
    cdef Lent lent = loan.lent
    cdef LoanMap loans = lent.keep
    cdef bint free = False
    loan.state, loan.lent = OVER, None
    try:
        free = take_back(loan, lent)
    except Exception:
        pass
    loan.root = None
    if not free:
        # Before the write ends, for then somebody else writes there.
        isthmus_loan_cut(&loans.map)
        if publisher.loans is loans:
            publisher.loans = None
    finish(loan, publish and free)
    return free


cdef void finish(Loan loan, bint publish) noexcept:
    cdef Publisher publisher = loan.publisher
    publisher.lender = 0
    publisher.let_go()
    # A child that was forked in the block has no part in it.
    if publisher.core.primitive.pid != loan.pid:
        return
    if publish:
        isthmus_write_commit(publisher.core, &loan.write)
    else:
        isthmus_write_abort(publisher.core, &loan.write)
    if publisher.roomy is not None:
        publisher.settle_now()
