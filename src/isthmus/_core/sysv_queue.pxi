# Message queues.

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy


def msgget(key, msgflg=0):
    """The id of the message queue with `key`.

    `msgflg` is IPC_CREAT, IPC_EXCL and permission bits (the umask does not apply).
    IPC_PRIVATE always makes a new one.

    Does not block. Raises OSError about `key`: FileNotFoundError, FileExistsError
    (IPC_EXCL), PermissionError, ENOSPC (a limit).
    """
    cdef int32_t c_key = to_key(key)
    cdef int flags = whole(msgflg, "msgflg", INT_MIN, INT_MAX)
    cdef int id = c_msgget(c_key, flags)
    if id < 0:
        fail(errno, key)
    return id


def msgsnd(msqid, mtype, mtext, msgflg=0, /):
    """Put the message `mtext` (bytes-like) of type `mtype` (above 0) into a queue.

    Blocks, without the GIL, while the queue is full; with IPC_NOWAIT that is BlockingIOError
    (EAGAIN). Signals as in semop(): a call that raised has sent nothing. Raises OSError
    about `msqid`: EINVAL (no such queue, mtype below 1, longer than msgmax), EIDRM
    (removed meanwhile), PermissionError.
    """
    cdef int id = to_id(msqid, "msqid")
    cdef long kind = whole(mtype, "mtype", -LLONG_MAX - 1, LLONG_MAX)
    cdef int flags = whole(msgflg, "msgflg", INT_MIN, INT_MAX)
    cdef int failed, error
    cdef Py_buffer view
    cdef size_t size
    cdef long *message
    PyObject_GetBuffer(mtext, &view, PyBUF_SIMPLE)
    size = view.len
    message = <long *>malloc(sizeof(long) + size)
    if message is not NULL:
        message[0] = kind
        memcpy(message + 1, view.buf, size)
    PyBuffer_Release(&view)
    if message is NULL:
        raise MemoryError
    try:
        while True:
            with nogil:
                failed = c_msgsnd(id, message, size, flags)
                error = errno
            if not failed:
                return
            if error != EINTR:
                fail(error, msqid)
            PyErr_CheckSignals()
    finally:
        free(message)


def msgrcv(msqid, msgsz, msgtyp=0, msgflg=0, /):
    """Take a message of at most `msgsz` bytes out of a queue: (mtype, mtext).

    `msgtyp` 0: the first; above 0: the first of that type, or, with MSG_EXCEPT, of any other;
    below 0: the first of the lowest type that is not above -msgtyp. `msgflg` may have
    IPC_NOWAIT, MSG_NOERROR (cut a longer message off), MSG_COPY (with IPC_NOWAIT: leave
    it there; `msgtyp` is then its place, from 0).

    Blocks, without the GIL, while there is none; with IPC_NOWAIT that is OSError(ENOMSG).
    Signals as in semop(): a call that raised has taken nothing. Raises OSError about
    `msqid`: E2BIG (longer than msgsz: it stays), EIDRM (removed meanwhile), EINVAL (no
    such queue), PermissionError, ENOSYS (MSG_COPY in a kernel without).
    """
    cdef int id = to_id(msqid, "msqid")
    cdef size_t size = whole(msgsz, "msgsz", 0, LLONG_MAX - <long long>sizeof(long))
    cdef long kind = whole(msgtyp, "msgtyp", -LLONG_MAX - 1, LLONG_MAX)
    cdef int flags = whole(msgflg, "msgflg", INT_MIN, INT_MAX)
    cdef ssize_t got
    cdef int error
    cdef long *message = <long *>malloc(sizeof(long) + size)
    if message is NULL:
        raise MemoryError
    try:
        while True:
            with nogil:
                got = c_msgrcv(id, message, size, kind, flags)
                error = errno
            if got >= 0:
                return message[0], PyBytes_FromStringAndSize(<char *>(message + 1), got)
            if error != EINTR:
                fail(error, msqid)
            PyErr_CheckSignals()
    finally:
        free(message)


cdef object from_msqid_ds(msqid_ds *ds):
    return MsqidDs(from_perm(&ds.msg_perm), ds.msg_stime, ds.msg_rtime, ds.msg_ctime,
                   ds.msg_cbytes, ds.msg_qnum, ds.msg_qbytes, ds.msg_lspid, ds.msg_lrpid)


cdef int call_msgctl(int id, int cmd, void *buf, object msqid) except -1:
    cdef int result, error
    with nogil:
        result = c_msgctl(id, cmd, buf)
        error = errno
    if result < 0:
        fail(error, msqid)
    return result


def msgctl(msqid, cmd, buf=None):
    """Ask or tell about a message queue.

    IPC_STAT: its MsqidDs (needs read permission).
    IPC_SET: give it uid, gid and permission bits of `buf.perm`, and room for `buf.qbytes`
    bytes, `buf` a MsqidDs.
    IPC_RMID: remove it at once, with its messages; who waits gets EIDRM.
    IPC_INFO, MSG_INFO: (highest index in use, MsgInfo).
    MSG_STAT, MSG_STAT_ANY: `msqid` is an index from 0 to the highest: (id, MsqidDs);
    MSG_STAT_ANY does not need read permission.

    Does not block. Raises OSError about `msqid`: EINVAL (no such queue or index), EIDRM
    (removed), PermissionError (EACCES: not readable; EPERM: neither owner nor creator, or
    qbytes above msgmnb without the privilege).
    """
    cdef int id = to_id(msqid, "msqid")
    cdef int c_cmd = whole(cmd, "cmd", INT_MIN, INT_MAX)
    cdef int result
    cdef msqid_ds ds
    cdef msginfo info
    if c_cmd == C_IPC_STAT:
        call_msgctl(id, c_cmd, &ds, msqid)
        return from_msqid_ds(&ds)
    if c_cmd == C_IPC_SET:
        memset(&ds, 0, sizeof(ds))
        needed(buf, MsqidDs, "IPC_SET")
        to_perm(buf.perm, &ds.msg_perm)
        ds.msg_qbytes = whole(buf.qbytes, "qbytes", 0, LLONG_MAX)
        call_msgctl(id, c_cmd, &ds, msqid)
        return None
    if c_cmd == C_IPC_RMID:
        call_msgctl(id, c_cmd, NULL, msqid)
        return None
    if c_cmd == C_MSG_STAT or c_cmd == C_MSG_STAT_ANY:
        result = call_msgctl(id, c_cmd, &ds, msqid)
        return result, from_msqid_ds(&ds)
    if c_cmd == C_IPC_INFO or c_cmd == C_MSG_INFO:
        result = call_msgctl(id, c_cmd, &info, msqid)
        return result, MsgInfo(info.msgpool, info.msgmap, info.msgmax, info.msgmnb, info.msgmni,
                               info.msgssz, info.msgtql, info.msgseg)
    refused("msgctl", c_cmd)
