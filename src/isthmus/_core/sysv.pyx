# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""The calls of System V for shared memory, semaphores and message queues, as libc has them.

Conversion only. What users import is `isthmus.sysv`, which adds the constants'
meanings and the mapped memory (shmat, shmdt).
"""

from libc.stdlib cimport free, malloc
from libc.string cimport memset

include "bare.pxi"
include "sysv_calls.pxi"


cdef extern from *:
    """
    /* Linux 4.17, known to glibc since 2.28. */
    #ifndef SHM_STAT_ANY
    #define SHM_STAT_ANY 15
    #endif
    #ifndef SEM_STAT_ANY
    #define SEM_STAT_ANY 20
    #endif
    #ifndef MSG_STAT_ANY
    #define MSG_STAT_ANY 13
    #endif

    #define CONSTANT(name) {#name, (long long)name}
    static const struct constant sysv_constants[] = {
        CONSTANT(IPC_PRIVATE), CONSTANT(IPC_CREAT), CONSTANT(IPC_EXCL), CONSTANT(IPC_NOWAIT),
        CONSTANT(IPC_RMID), CONSTANT(IPC_SET), CONSTANT(IPC_STAT), CONSTANT(IPC_INFO),
        CONSTANT(SHM_RDONLY), CONSTANT(SHM_RND), CONSTANT(SHM_REMAP), CONSTANT(SHM_EXEC),
        CONSTANT(SHM_HUGETLB), CONSTANT(SHM_NORESERVE),
        {"SHM_HUGE_SHIFT", 26}, {"SHM_HUGE_2MB", 21ll << 26}, {"SHM_HUGE_1GB", 30ll << 26},
        CONSTANT(SHM_LOCK), CONSTANT(SHM_UNLOCK), CONSTANT(SHM_STAT), CONSTANT(SHM_STAT_ANY),
        CONSTANT(SHM_INFO), CONSTANT(SHM_DEST), CONSTANT(SHM_LOCKED), {"SHMLBA", 0},
        CONSTANT(SEM_UNDO), CONSTANT(GETPID), CONSTANT(GETVAL), CONSTANT(GETALL),
        CONSTANT(GETNCNT), CONSTANT(GETZCNT), CONSTANT(SETVAL), CONSTANT(SETALL),
        CONSTANT(SEM_STAT), CONSTANT(SEM_STAT_ANY), CONSTANT(SEM_INFO),
        CONSTANT(MSG_NOERROR), CONSTANT(MSG_EXCEPT), CONSTANT(MSG_COPY),
        CONSTANT(MSG_STAT), CONSTANT(MSG_STAT_ANY), CONSTANT(MSG_INFO),
        {NULL, 0},
    };
    #undef CONSTANT
    """
    constant sysv_constants[]
    long SHMLBA_NOW "SHMLBA"


cdef int define_constants() except -1:
    cdef const constant *row = sysv_constants
    names = globals()
    while row.name is not NULL:
        names[(<bytes>row.name).decode()] = row.value
        row += 1
    # Not a constant for the compiler: a call that asks for the page size.
    names["SHMLBA"] = SHMLBA_NOW
    return 0


define_constants()

include "sysv_types.pxi"
include "sysv_memory.pxi"
include "sysv_semaphore.pxi"
include "sysv_queue.pxi"
