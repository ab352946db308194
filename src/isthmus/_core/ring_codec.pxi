# What travels: from objects to records and back. See "Records" in docs/segment-format.md.
#
# Encoding happens before a write begins, decoding after a read has ended, since both may run
# code of users. In between, `poured` and `arrived` copy, and do nothing else.

# Buffers of a pickle that are smaller stay in it; and so do those beyond so many.
cdef enum:
    SMALL_BUFFER = 256
    BUFFERS_MAX = 4096
    BUFFER_ALIGNMENT = 64

cdef uint64_t READONLY = <uint64_t>1 << 63

cdef object ndarray = None           # the class, once somebody has loaded numpy
cdef object numpy_empty = None
cdef object nothing = object()       # what is given where None could be a message
cdef object dumps = None
cdef object loads = None
cdef dict texts_of_dtypes = {}       # what `_dtype.encode` made; None: is to be pickled
cdef dict dtypes_of_texts = {}


cdef extern from "sys/stat.h" nogil:
    struct stat_facts "stat":
        unsigned int st_mode
        unsigned int st_uid

    int fstat(int fd, stat_facts *facts)


cdef extern from "unistd.h" nogil:
    unsigned int geteuid()


cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL


cdef extern from "copying.h" nogil:
    void isthmus_copy_strided(char *to, const char *source, int ndim, const Py_ssize_t *shape,
                              const Py_ssize_t *strides, Py_ssize_t itemsize)


cdef void copy(void *to, const void *source, uint64_t size) noexcept:
    """Copy; the GIL is released if that takes long."""
    if size < MUCH:
        memcpy(to, source, size)
    else:
        with nogil:
            memcpy(to, source, size)


# ---- Encoding ----------------------------------------------------------------------


@cython.final
@cython.internal
@cython.no_gc
cdef class Outgoing:
    """A message on its way into a ring: its type, its meta data, where its bytes are."""

    cdef uint32_t type
    cdef uint32_t meta_size
    cdef uint64_t size
    cdef object source         # keeps what `data` points to; a text, a pickle
    cdef const char *data      # the bytes; NULL: in `view`
    cdef Py_buffer view
    cdef bint viewed
    cdef bytes meta
    cdef list buffers          # of a pickle: Buffer

    def __dealloc__(self):
        if self.viewed:
            PyBuffer_Release(&self.view)


@cython.final
@cython.internal
@cython.no_gc
cdef class Buffer:
    """One buffer of a pickle that goes beside it."""

    cdef Py_buffer view

    def __cinit__(self, exporter):
        PyObject_GetBuffer(exporter, &self.view, PyBUF_SIMPLE)

    def __dealloc__(self):
        PyBuffer_Release(&self.view)


cdef Outgoing encoded(Ring ring, object obj):
    """Anything as what can be put: what `pour` takes. Raises what pickling it raises."""
    cdef Outgoing message
    cdef Py_ssize_t length
    if type(obj) is Outgoing:
        return <Outgoing>obj
    message = Outgoing.__new__(Outgoing)
    if may_be_plain(obj) and value_encoded(message, obj):
        return message
    if PyBytes_CheckExact(obj):
        message.type, message.source = ISTHMUS_TYPE_BYTES, obj
        message.data, message.size = PyBytes_AS_STRING(obj), PyBytes_GET_SIZE(obj)
    elif PyUnicode_CheckExact(obj):
        try:
            message.data = PyUnicode_AsUTF8AndSize(obj, &length)
        except UnicodeEncodeError:  # half of a surrogate pair, which pickle can take
            return pickled(ring, message, obj)
        message.type, message.source, message.size = ISTHMUS_TYPE_TEXT, obj, length
    elif PyByteArray_CheckExact(obj):
        viewing(message, obj, PyBUF_SIMPLE)
        message.type = ISTHMUS_TYPE_BYTEARRAY
    elif type(obj) is memoryview:
        try:
            viewing(message, obj, PyBUF_SIMPLE)
        except BufferError:  # not contiguous
            viewing(message, obj.tobytes(), PyBUF_SIMPLE)
        message.type = ISTHMUS_TYPE_BYTES
    elif is_array(obj) and array_encoded(message, obj):
        pass
    else:
        return pickled(ring, message, obj)
    return message


cdef int viewing(Outgoing message, object exporter, int flags) except -1:
    PyObject_GetBuffer(exporter, &message.view, flags)
    message.viewed = True
    message.size = message.view.len
    return 0


cdef bint is_array(object obj) noexcept:
    """Whether it is exactly an ndarray. Nobody has one who has not loaded numpy."""
    global ndarray
    if ndarray is None:
        module = _sys.modules.get("numpy")
        ndarray = getattr(module, "ndarray", None)
        if ndarray is None:
            return False
    return type(obj) is ndarray


cdef bint array_encoded(Outgoing message, object array) except -1:
    """False: it has elements that only pickle can take."""
    cdef isthmus_shared_elements elements
    cdef uint64_t length
    cdef int i
    dtype = array.dtype
    # Equal dtypes may still differ in this, which their text keeps.
    key = dtype if dtype.names is None else (dtype, dtype.isalignedstruct)
    try:
        text = texts_of_dtypes[key]
    except KeyError:
        text = dtype_text(key, dtype)
    if text is None:
        return False
    viewing(message, array, PyBUF_STRIDES)
    message.type = ISTHMUS_TYPE_ARRAY
    memset(&elements, 0, sizeof(elements))
    elements.ndim, elements.itemsize = message.view.ndim, message.view.itemsize
    elements.dtype_size = len(text)
    if not PyBuffer_IsContiguous(&message.view, b"C"):
        if PyBuffer_IsContiguous(&message.view, b"F"):
            elements.flags = ISTHMUS_ARRAY_FORTRAN
    message.meta_size = sizeof(elements) + elements.ndim * 8 + elements.dtype_size
    message.meta = PyBytes_FromStringAndSize(NULL, message.meta_size)
    cdef char *to = PyBytes_AS_STRING(message.meta)
    memcpy(to, &elements, sizeof(elements))
    to += sizeof(elements)
    for i in range(message.view.ndim):
        length = message.view.shape[i]
        memcpy(to, &length, 8)
        to += 8
    memcpy(to, PyBytes_AS_STRING(text), elements.dtype_size)
    return True


cdef object dtype_text(object key, object dtype):
    from isthmus import _dtype
    text = None
    if not dtype.hasobject and dtype.itemsize > 0:
        try:
            text = _dtype.encode(dtype)
        except ValueError:
            pass  # of this process only; pickle may know how to find it
    if len(texts_of_dtypes) >= 256:
        texts_of_dtypes.clear()
    texts_of_dtypes[key] = text
    return text


@cython.final
@cython.internal
@cython.no_gc
cdef class Collector:
    """Receives the buffers of a pickle. True: it is to stay inside."""

    cdef list found

    def __call__(self, buffer):
        cdef Py_buffer view
        PyObject_GetBuffer(buffer, &view, PyBUF_FULL_RO)
        cdef bint small = view.len < SMALL_BUFFER
        PyBuffer_Release(&view)
        if small or len(self.found) >= BUFFERS_MAX:
            return True
        try:
            self.found.append(Buffer(buffer.raw()))
        except BufferError:  # not contiguous
            return True
        return False


cdef Outgoing pickled(Ring ring, Outgoing message, object obj):
    global dumps
    cdef isthmus_shared_pickle facts
    cdef Collector collector = Collector.__new__(Collector)
    cdef Buffer buffer
    cdef uint64_t length
    collector.found = []
    if ring.pickler is not None:
        text = ring.pickler(obj, collector)
    else:
        if dumps is None:
            from pickle import dumps
        text = dumps(obj, 5, buffer_callback=collector)
    message.type, message.source = ISTHMUS_TYPE_PICKLE, text
    message.data, message.size = PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)
    memset(&facts, 0, sizeof(facts))
    facts.size, facts.buffers = message.size, len(collector.found)
    message.meta_size = sizeof(facts) + facts.buffers * 8
    message.meta = PyBytes_FromStringAndSize(NULL, message.meta_size)
    cdef char *to = PyBytes_AS_STRING(message.meta)
    memcpy(to, &facts, sizeof(facts))
    to += sizeof(facts)
    for buffer in collector.found:
        message.size = aligned(message.size) + <uint64_t>buffer.view.len
        length = <uint64_t>buffer.view.len | (READONLY if buffer.view.readonly else 0)
        memcpy(to, &length, 8)
        to += 8
    message.buffers = collector.found
    return message


cdef inline uint64_t aligned(uint64_t size) noexcept nogil:
    return (size + BUFFER_ALIGNMENT - 1) & ~<uint64_t>(BUFFER_ALIGNMENT - 1)


cdef int fitting(Ring ring, uint32_t meta_size, uint64_t size) except -1:
    """MessageTooLargeError, if it would not fit even into an empty ring."""
    cdef uint64_t room = isthmus_record_room(meta_size, size)
    if room > ring.core.capacity:
        from isthmus import _ring
        raise _ring.too_large(ring, room)
    return 0


cdef void pour(Outgoing message, const isthmus_record *record) noexcept:
    """Write it into the room that was reserved for it. Runs no code of users."""
    cdef Buffer buffer
    cdef uint64_t place, after
    cdef char *to = <char *>record.data
    if message.meta_size:
        memcpy(record.meta, PyBytes_AS_STRING(message.meta), message.meta_size)
    if not message.viewed:
        place = message.size if message.buffers is None else PyBytes_GET_SIZE(message.source)
        copy(to, message.data, place)
        if message.buffers is not None:
            for buffer in message.buffers:
                after = aligned(place)
                memset(to + place, 0, after - place)
                copy(to + after, buffer.view.buf, buffer.view.len)
                place = after + <uint64_t>buffer.view.len
    elif message.view.strides is NULL or PyBuffer_IsContiguous(&message.view, b"A"):
        copy(to, message.view.buf, message.size)
    elif message.size < MUCH // 4:
        isthmus_copy_strided(to, <const char *>message.view.buf, message.view.ndim,
                             message.view.shape, message.view.strides, message.view.itemsize)
    else:
        with nogil:
            isthmus_copy_strided(to, <const char *>message.view.buf, message.view.ndim,
                                 message.view.shape, message.view.strides, message.view.itemsize)


# ---- Decoding ----------------------------------------------------------------------


@cython.final
@cython.internal
@cython.no_gc
cdef class Arrived:
    """A record that was copied out of a ring, and can be decoded when no read is open."""

    cdef isthmus_record record  # its pointers lead into the two below
    cdef bytes meta
    cdef object body            # bytearray; of bytes, text and values: bytes


cdef extern from *:
    """
    /* None: it is not a text. An exception would set the garbage collector to work, up to 3.11. */
    static PyObject *isthmus_text_or_none(const char *data, Py_ssize_t size)
    {
    #if PY_VERSION_HEX < 0x030c0000
        const int collecting = PyGC_Disable();
    #endif
        PyObject *text = PyUnicode_DecodeUTF8(data, size, NULL);
        if (!text && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
            PyErr_Clear();
            Py_INCREF(Py_None);
            text = Py_None;
        }
    #if PY_VERSION_HEX < 0x030c0000
        if (collecting)
            PyGC_Enable();
    #endif
        return text;
    }
    """
    object isthmus_text_or_none(const char *data, Py_ssize_t size)


cdef object simple(const isthmus_record *record):
    """Bytes, bytearrays and text at once; None: it is of another type, or no text.

    Runs no code of users, also none that the garbage collector would call: it might wait for
    the lock of the read.
    """
    if record.type == ISTHMUS_TYPE_BYTES:
        return PyBytes_FromStringAndSize(<char *>record.data, record.size)
    if record.type == ISTHMUS_TYPE_TEXT:
        return isthmus_text_or_none(<char *>record.data, record.size)
    if record.type == ISTHMUS_TYPE_BYTEARRAY:
        return PyByteArray_FromStringAndSize(<char *>record.data, record.size)
    return None


cdef Arrived arrived(const isthmus_record *record):
    """A copy of the record as it is, of any type. Runs no code of users."""
    cdef Arrived copied = Arrived.__new__(Arrived)
    copied.record = record[0]
    copied.meta = PyBytes_FromStringAndSize(<const char *>record.meta, record.meta_size)
    copied.record.meta = PyBytes_AS_STRING(copied.meta)
    if record.type in (ISTHMUS_TYPE_BYTES, ISTHMUS_TYPE_TEXT, ISTHMUS_TYPE_VALUE):
        body = PyBytes_FromStringAndSize(NULL, record.size)
        copied.record.data = PyBytes_AS_STRING(body)
    else:
        body = PyByteArray_FromStringAndSize(NULL, record.size)
        copied.record.data = PyByteArray_AS_STRING(body)
    copy(copied.record.data, record.data, record.size)
    copied.body = body
    return copied


cdef object decoded(Ring ring, Arrived copied):
    """The object that it stands for.

    RecordError: the record makes no sense. UntrustedPickleError. And what unpickling raises.
    """
    cdef uint32_t kind = copied.record.type
    if kind == ISTHMUS_TYPE_BYTES or kind == ISTHMUS_TYPE_BYTEARRAY:
        return copied.body
    return value_of(ring, &copied.record, copied.meta, copied.body)


cdef object value_of(Ring ring, const isthmus_record *record, bytes meta, object body):
    """`body`: the payload, copied already, or in the ring and pinned."""
    if record.type == ISTHMUS_TYPE_ARRAY:
        return array_of(ring, record, meta, body)
    if record.type == ISTHMUS_TYPE_PICKLE:
        return unpickled(ring, record, meta, body)
    if record.type == ISTHMUS_TYPE_VALUE:
        return value_decoded(ring, record, body)
    if record.type == ISTHMUS_TYPE_TEXT:
        try:
            return PyUnicode_DecodeUTF8(<char *>record.data, record.size, NULL)
        except UnicodeDecodeError as error:
            raise record_error(ring, record, f"its text is not UTF-8: {error.reason}") from None
    value = simple(record)
    if value is None:
        raise record_error(ring, record, f"this version does not know its type {record.type}")
    return value


cdef object record_error(Ring ring, const isthmus_record *record, str why):
    from isthmus import _ring
    return _ring.damaged(ring, record.sequence, record.position, why)


cdef tuple array_facts(Ring ring, const isthmus_record *record, bytes meta):
    """(shape, dtype, order) of an array, checked against the size of its record."""
    cdef isthmus_shared_elements elements
    cdef uint64_t length, total
    cdef uint32_t i
    cdef bint nothing = False
    cdef const char *place = PyBytes_AS_STRING(meta)
    cdef uint64_t size = PyBytes_GET_SIZE(meta)
    if size < sizeof(elements):
        raise record_error(ring, record, "it has too little meta data for an array")
    memcpy(&elements, place, sizeof(elements))
    place += sizeof(elements)
    size -= sizeof(elements)
    if elements.ndim > ISTHMUS_ARRAY_MAX_NDIM or elements.flags & ~ISTHMUS_ARRAY_FORTRAN:
        raise record_error(ring, record, "its meta data are not those of an array")
    if elements.ndim * 8 + <uint64_t>elements.dtype_size > size or elements.itemsize == 0:
        raise record_error(ring, record, "its meta data are not those of an array")
    total = elements.itemsize
    shape = []
    for i in range(elements.ndim):
        memcpy(&length, place, 8)
        place += 8
        shape.append(length)
        if length == 0:
            nothing = True
        elif total > <uint64_t>PY_SSIZE_T_MAX / length:
            raise record_error(ring, record, "its shape is larger than can be")
        else:
            total *= length
    if (0 if nothing else total) != record.size:
        raise record_error(ring, record, f"its shape {tuple(shape)} is not that of its payload")
    text = PyBytes_FromStringAndSize(place, elements.dtype_size)
    dtype = dtypes_of_texts.get(text)
    if dtype is None:
        from isthmus import _dtype
        try:
            dtype = _dtype.decode(text)
        except ValueError as error:
            raise record_error(ring, record, f"its dtype: {error}") from None
        # One with names can be changed by those that have it.
        if text[:1] == b'"' and len(dtypes_of_texts) < 256:
            dtypes_of_texts[text] = dtype
    if dtype.itemsize != elements.itemsize:
        raise record_error(ring, record, f"its elements are not those of {dtype}")
    return tuple(shape), dtype, "F" if elements.flags else "C"


cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX


cdef object array_of(Ring ring, const isthmus_record *record, bytes meta, object body):
    global numpy_empty
    cdef Py_buffer view
    shape, dtype, order = array_facts(ring, record, meta)
    if numpy_empty is None:
        from numpy import empty as numpy_empty
    try:
        if body is not None:
            from numpy import ndarray
            return ndarray(shape, dtype, body, order=order)
        array = numpy_empty(shape, dtype, order)
    except ValueError as error:  # more dimensions than this numpy can have
        raise record_error(ring, record, f"its shape {shape}: {error}") from None
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_WRITABLE)
    if <uint64_t>view.len == record.size:
        copy(view.buf, record.data, record.size)
    PyBuffer_Release(&view)
    return array


cdef bint trusted(Ring ring) noexcept:
    """Whether nobody but this user and root could have written to it."""
    cdef stat_facts facts
    if ring.trust is not None:
        return ring.trust is True
    if ring.core.primitive.path[0] == 0:
        return True  # anonymous: whoever has it got it from somebody who had it
    if fstat(ring.core.primitive.fd, &facts) < 0:
        return False
    return not facts.st_mode & 0o022 and facts.st_uid in (0, geteuid())


cdef object unpickled(Ring ring, const isthmus_record *record, bytes meta, object body):
    global loads
    cdef isthmus_shared_pickle facts
    cdef uint64_t length, start
    cdef uint64_t size = PyBytes_GET_SIZE(meta)
    cdef uint32_t i
    cdef bint readonly
    cdef const char *place = PyBytes_AS_STRING(meta)
    if not trusted(ring):
        from isthmus import _ring
        raise _ring.untrusted(ring, record.sequence)
    if size < sizeof(facts):
        raise record_error(ring, record, "it has too little meta data for a pickle")
    memcpy(&facts, place, sizeof(facts))
    place += sizeof(facts)
    size -= sizeof(facts)
    if facts.buffers > size / 8 or facts.size > record.size:
        raise record_error(ring, record, "its meta data are not those of a pickle")
    whole = memoryview(body)
    start = facts.size
    buffers = []
    for i in range(facts.buffers):
        memcpy(&length, place, 8)
        place += 8
        readonly = length & READONLY != 0
        length &= ~READONLY
        start = aligned(start)
        if start > record.size or length > record.size - start:
            raise record_error(ring, record, "a buffer of its pickle lies outside of it")
        part = whole[start:start + length]
        buffers.append(part.toreadonly() if readonly else part)
        start += length
    if loads is None:
        from pickle import loads
    return loads(whole[:facts.size], buffers=buffers)
