# Plain values: numbers, texts, bytes, and tuples, lists and dicts of them, in an encoding of
# their own. See "Values" in docs/segment-format.md.
#
# Neither way runs code of users. Encoding comes before a write begins, and allocates nothing but
# what a text may keep of its UTF-8. What was read is checked on a copy while the read is still
# open, which allocates nothing; made into objects when it has ended.

cdef enum:
    VALUE_SMALL = 4096   # bytes that are encoded and decoded on the stack
    VALUE_SHARED = 256   # lists and dicts that somebody else refers to, too


cdef extern from "Python.h":
    void PyErr_Clear()
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    Py_ssize_t PyDict_Size(object items)
    # Without an exception that is passed on; a reference that is borrowed.
    const char *utf8_or_null "PyUnicode_AsUTF8AndSize"(object text, Py_ssize_t *size) noexcept
    PyObject *borrowed_from_list "PyList_GET_ITEM"(object items, Py_ssize_t i)
    PyObject *borrowed_from_tuple "PyTuple_GET_ITEM"(object items, Py_ssize_t i)


# ---- Encoding ----------------------------------------------------------------------


cdef struct Writing:
    char *to
    uint64_t room     # bytes there are; what is beyond is only counted …
    uint64_t limit    # … up to here
    uint64_t size     # bytes it takes
    uint32_t shared
    PyObject *seen[VALUE_SHARED]


cdef inline char *claim(Writing *w, uint64_t size) noexcept:
    """Where the next bytes are to be written; NULL: nowhere."""
    cdef uint64_t start = w.size
    w.size = start + size
    return w.to + start if w.size <= w.room else NULL


cdef inline bint write_tag(Writing *w, char tag) noexcept:
    cdef char *to = claim(w, 1)
    if to is not NULL:
        to[0] = tag
    return True


cdef inline bint write_number(Writing *w, char tag, const void *number) noexcept:
    cdef char *to = claim(w, 9)
    if to is not NULL:
        to[0] = tag
        memcpy(to + 1, number, 8)
    return True


cdef inline bint write_counted(Writing *w, char tag, uint64_t count, const char *content,
                               uint64_t size) noexcept:
    """False: it is too long."""
    cdef char *to
    cdef uint32_t number = <uint32_t>count
    if count >= MUCH:
        return False
    to = claim(w, 5 + size)
    if to is not NULL:
        to[0] = tag
        memcpy(to + 1, &number, 4)
        if size:
            memcpy(to + 5, content, size)
    return True


# Nothing here keeps a reference to what it looks at, since these are counted.

cdef bint write_value(Writing *w, object obj, int depth, bint alone) noexcept:
    """False: it is not plain, or too long. `alone`: nothing above it can be met twice."""
    cdef const char *text
    cdef Py_ssize_t size
    cdef int overflow
    cdef int64_t integer
    cdef double number
    if w.size > w.limit:
        return False
    if PyUnicode_CheckExact(obj):
        if PyUnicode_GET_LENGTH(obj) >= MUCH:
            return False
        text = utf8_or_null(obj, &size)
        if text is NULL:  # half of a surrogate pair; or what pickle says again
            PyErr_Clear()
            return False
        return write_counted(w, ISTHMUS_VALUE_TEXT, size, text, size)
    if PyLong_CheckExact(obj):
        integer = PyLong_AsLongLongAndOverflow(obj, &overflow)
        return overflow == 0 and write_number(w, ISTHMUS_VALUE_INTEGER, &integer)
    if PyFloat_CheckExact(obj):
        number = PyFloat_AS_DOUBLE(obj)
        return write_number(w, ISTHMUS_VALUE_DOUBLE, &number)
    if obj is None:
        return write_tag(w, ISTHMUS_VALUE_NONE)
    if PyBool_Check(obj):
        return write_tag(w, ISTHMUS_VALUE_TRUE if obj is True else ISTHMUS_VALUE_FALSE)
    if PyBytes_CheckExact(obj):
        size = PyBytes_GET_SIZE(obj)
        return write_counted(w, ISTHMUS_VALUE_BYTES, size, PyBytes_AS_STRING(obj), size)
    if depth == 0:
        return False
    if PyTuple_CheckExact(obj):
        # Two of the same may come out as two equal ones, but not what is in it and can be changed.
        if depth < ISTHMUS_VALUE_DEPTH and Py_REFCNT(obj) != 1:
            alone = False
        return write_tuple(w, obj, depth - 1, alone)
    if PyList_CheckExact(obj):
        return is_first(w, obj, alone) and write_list(w, obj, depth - 1, alone)
    if PyDict_CheckExact(obj):
        return is_first(w, obj, alone) and write_dict(w, obj, depth - 1, alone)
    return False


cdef inline bint is_first(Writing *w, object obj, bint alone) noexcept:
    """Whether this list or dict has not been met before: then pickle would make one of the two.

    Also False if there is no room to remember it.
    """
    cdef uint32_t i
    if alone and not ISTHMUS_NO_GIL and Py_REFCNT(obj) == 1:
        return True  # nothing but the one that it was found in refers to it
    for i in range(w.shared):
        if w.seen[i] == <PyObject *>obj:
            return False
    if w.shared == VALUE_SHARED:
        return False
    w.seen[w.shared] = <PyObject *>obj
    w.shared += 1
    return True


cdef bint write_tuple(Writing *w, object items, int depth, bint alone) noexcept:
    cdef Py_ssize_t count = PyTuple_GET_SIZE(items)
    cdef Py_ssize_t i
    if not write_counted(w, ISTHMUS_VALUE_TUPLE, count, NULL, 0):
        return False
    for i in range(count):
        if not write_value(w, <object>borrowed_from_tuple(items, i), depth, alone):
            return False
    return True


# Lists and dicts can be changed by others while they are looked through, but only where there
# is no GIL: then a lock keeps others off; mostly, since it is given away while a thread waits for
# another lock. So each item is held, and the count taken again.

cdef bint write_list(Writing *w, object items, int depth, bint alone) noexcept:
    if ISTHMUS_NO_GIL:
        with cython.critical_section(items):
            return write_list_items(w, items, depth, alone)
    return write_list_items(w, items, depth, alone)


cdef bint write_list_items(Writing *w, object items, int depth, bint alone) noexcept:
    cdef Py_ssize_t count = PyList_GET_SIZE(items)
    cdef Py_ssize_t i = 0
    cdef bint plain = write_counted(w, ISTHMUS_VALUE_LIST, count, NULL, 0)
    while plain and i < PyList_GET_SIZE(items):
        plain = write_held(w, borrowed_from_list(items, i), depth, alone)
        i += 1
    return plain and i == count


cdef bint write_dict(Writing *w, object items, int depth, bint alone) noexcept:
    if ISTHMUS_NO_GIL:
        with cython.critical_section(items):
            return write_dict_items(w, items, depth, alone)
    return write_dict_items(w, items, depth, alone)


cdef bint write_dict_items(Writing *w, object items, int depth, bint alone) noexcept:
    cdef Py_ssize_t count = PyDict_Size(items)
    cdef Py_ssize_t place = 0
    cdef Py_ssize_t found = 0
    cdef PyObject *key
    cdef PyObject *value
    cdef bint plain = write_counted(w, ISTHMUS_VALUE_DICT, count, NULL, 0)
    while plain and PyDict_Next(items, &place, &key, &value):
        if ISTHMUS_NO_GIL:
            Py_INCREF(<object>value)
        plain = write_held(w, key, depth, alone) and write_held(w, value, depth, alone)
        if ISTHMUS_NO_GIL:
            Py_DECREF(<object>value)
        found += 1
    return plain and found == count


cdef inline bint write_held(Writing *w, PyObject *item, int depth, bint alone) noexcept:
    if ISTHMUS_NO_GIL:
        Py_INCREF(<object>item)
    cdef bint plain = write_value(w, <object>item, depth, alone)
    if ISTHMUS_NO_GIL:
        Py_DECREF(<object>item)
    return plain


cdef bint write_plain(Writing *w, object obj, char *to, uint64_t room, uint64_t limit) noexcept:
    """Encode, and count, an object that is plain. False: it is not, or takes more than `limit`."""
    w.to, w.room, w.limit, w.size, w.shared = to, room, limit, 0, 0
    return write_value(w, obj, ISTHMUS_VALUE_DEPTH, True) and w.size <= limit


cdef inline bint may_be_plain(object obj) noexcept:
    """Bytes and text alone are not meant: they travel as they are."""
    return not (PyBytes_CheckExact(obj) or PyUnicode_CheckExact(obj))


cdef bint value_encoded(Outgoing message, object obj) except -1:
    """False: it is not plain, or too large."""
    cdef Writing w
    cdef char small[VALUE_SMALL]
    if not write_plain(&w, obj, small, VALUE_SMALL, MUCH - 1):
        return False
    cdef uint64_t size = w.size
    if size <= VALUE_SMALL:
        text = PyBytes_FromStringAndSize(small, size)
    else:
        text = PyBytes_FromStringAndSize(NULL, size)
        if not write_plain(&w, obj, PyBytes_AS_STRING(text), size, size) or w.size != size:
            return False  # it has been changed meanwhile
    message.type, message.source = ISTHMUS_TYPE_VALUE, text
    message.data, message.size = PyBytes_AS_STRING(text), size
    return True


cdef bint value_written(Ring ring, object obj) noexcept:
    """Put or publish it at once, without an object for it. False: it could not be."""
    cdef Writing w
    cdef char small[VALUE_SMALL]
    return write_plain(&w, obj, small, VALUE_SMALL, VALUE_SMALL) and (
        isthmus_ring_try_write(ring.core, ISTHMUS_TYPE_VALUE, small, w.size) == 0)


# ---- Checking ----------------------------------------------------------------------


cdef struct Reading:
    const unsigned char *at
    const unsigned char *end


cdef bint is_value(const void *data, uint64_t size, uint64_t *place) noexcept nogil:
    """Whether it is one value, and nothing else; if not, it is wrong at *place."""
    cdef Reading r
    cdef bint sound
    r.at = <const unsigned char *>data
    r.end = r.at + size
    sound = is_sound(&r, ISTHMUS_VALUE_DEPTH, False)
    place[0] = r.at - <const unsigned char *>data
    return sound and r.at == r.end


cdef bint is_sound(Reading *r, int depth, bint key) noexcept nogil:
    """Whether there is a value, which can be a key of a dict if it is to be one. Moves behind it.

    After this `value_made` need not look at any length.
    """
    cdef unsigned char tag
    cdef uint32_t count, i
    if r.at == r.end:
        return False
    tag = r.at[0]
    if tag == ISTHMUS_VALUE_NONE or tag == ISTHMUS_VALUE_FALSE or tag == ISTHMUS_VALUE_TRUE:
        r.at += 1
        return True
    if tag == ISTHMUS_VALUE_INTEGER or tag == ISTHMUS_VALUE_DOUBLE:
        if r.end - r.at < 9:
            return False
        r.at += 9
        return True
    if r.end - r.at < 5:
        return False
    memcpy(&count, r.at + 1, 4)
    if r.end - r.at - 5 < <int64_t>count:  # the least that a container has for each is a byte
        return False
    if tag == ISTHMUS_VALUE_TEXT or tag == ISTHMUS_VALUE_BYTES:
        if tag == ISTHMUS_VALUE_TEXT and not is_utf8(r.at + 5, count):
            return False
        r.at += 5 + <uint64_t>count
        return True
    if tag == ISTHMUS_VALUE_LIST or tag == ISTHMUS_VALUE_DICT:
        if key:
            return False
    elif tag != ISTHMUS_VALUE_TUPLE:
        return False
    if depth == 0:
        return False
    r.at += 5
    for i in range(count):
        if tag == ISTHMUS_VALUE_DICT and not is_sound(r, depth - 1, True):
            return False
        if not is_sound(r, depth - 1, key):
            return False
    return True


cdef bint is_utf8(const unsigned char *text, uint64_t size) noexcept nogil:
    cdef uint64_t i = 0
    cdef uint64_t eight
    cdef uint32_t code, least, more
    while i < size:
        if size - i >= 8:
            memcpy(&eight, text + i, 8)
            if eight & 0x8080808080808080ULL == 0:
                i += 8
                continue
        code = text[i]
        i += 1
        if code < 0x80:
            continue
        if code & 0xE0 == 0xC0:
            code, least, more = code & 0x1F, 0x80, 1
        elif code & 0xF0 == 0xE0:
            code, least, more = code & 0x0F, 0x800, 2
        elif code & 0xF8 == 0xF0:
            code, least, more = code & 0x07, 0x10000, 3
        else:
            return False
        if size - i < more:
            return False
        while more:
            if text[i] & 0xC0 != 0x80:
                return False
            code = code << 6 | text[i] & 0x3F
            i += 1
            more -= 1
        if code < least or code > 0x10FFFF or code >> 11 == 0xD800 >> 11:
            return False
    return True


# ---- Decoding ----------------------------------------------------------------------


cdef object value_made(Reading *r):
    """What `is_sound` has found good. Raises only MemoryError."""
    cdef unsigned char tag = r.at[0]
    cdef const char *content
    cdef uint32_t count, i
    cdef int64_t integer
    cdef double number
    r.at += 1
    if tag == ISTHMUS_VALUE_NONE:
        return None
    if tag == ISTHMUS_VALUE_FALSE:
        return False
    if tag == ISTHMUS_VALUE_TRUE:
        return True
    content = <const char *>r.at
    if tag == ISTHMUS_VALUE_INTEGER:
        memcpy(&integer, content, 8)
        r.at += 8
        return PyLong_FromLongLong(integer)
    if tag == ISTHMUS_VALUE_DOUBLE:
        memcpy(&number, content, 8)
        r.at += 8
        return PyFloat_FromDouble(number)
    memcpy(&count, content, 4)
    content += 4
    r.at += 4
    if tag == ISTHMUS_VALUE_TEXT:
        r.at += count
        return PyUnicode_DecodeUTF8(content, count, NULL)
    if tag == ISTHMUS_VALUE_BYTES:
        r.at += count
        return PyBytes_FromStringAndSize(content, count)
    if tag == ISTHMUS_VALUE_TUPLE:
        items = PyTuple_New(count)
        for i in range(count):
            item = value_made(r)
            Py_INCREF(item)
            PyTuple_SET_ITEM(items, i, item)
        return items
    if tag == ISTHMUS_VALUE_LIST:
        items = PyList_New(count)
        for i in range(count):
            item = value_made(r)
            Py_INCREF(item)
            PyList_SET_ITEM(items, i, item)
        return items
    items = {}
    for i in range(count):
        key = value_made(r)
        PyDict_SetItem(items, key, value_made(r))
    return items


cdef object value_decoded(Ring ring, const isthmus_record *record, object body):
    """As `value_of`. What is not a copy yet is copied: it must not change any more."""
    cdef uint64_t place
    cdef Reading r
    if type(body) is not bytes:
        body = PyBytes_FromStringAndSize(NULL, record.size)
        copy(PyBytes_AS_STRING(body), record.data, record.size)
    if not is_value(PyBytes_AS_STRING(body), record.size, &place):
        raise record_error(ring, record, f"its value makes no sense from byte {place} on")
    r.at = <const unsigned char *>PyBytes_AS_STRING(body)
    return value_made(&r)


cdef object value_taken(Ring ring, const void *data, uint64_t sequence):
    """Of one that was found good, and is no longer in the ring."""
    cdef Reading r
    r.at = <const unsigned char *>data
    try:
        return value_made(&r)
    except BaseException as error:
        error.add_note(f"(message {sequence} has been taken from {ring._origin.what})")
        raise


cdef inline bint is_short_value(const isthmus_record *record) noexcept:
    """Whether it may be copied within the read: see `value_arrived`."""
    return record.type == ISTHMUS_TYPE_VALUE and record.size < MUCH


cdef Arrived value_arrived(const isthmus_record *record):
    """A copy, to be made into objects by `make_values`; None: it makes no sense.

    Runs no code of users.
    """
    cdef uint64_t place
    cdef Arrived copied = arrived(record)
    return copied if is_value(copied.record.data, record.size, &place) else None


cdef int make_values(Ring ring, list items) except -1:
    """After the read: what those stand for that `value_arrived` has made."""
    cdef Py_ssize_t i
    cdef Arrived copied
    for i in range(len(items)):
        if type(items[i]) is Arrived:
            copied = <Arrived>items[i]
            items[i] = value_taken(ring, copied.record.data, copied.record.sequence)
    return 0
