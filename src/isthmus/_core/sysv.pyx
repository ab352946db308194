# cython: language_level=3, freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""The calls of System V for shared memory, semaphores and message queues, as libc has them.

Conversion only. What users import is `isthmus.sysv`, which adds the constants'
meanings and the mapped memory (shmat, shmdt).
"""

from libc.stdint cimport int32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

include "bare.pxi"


cdef extern from *:
    """
    #include <sys/ipc.h>
    #include <sys/msg.h>
    #include <sys/sem.h>
    #include <sys/shm.h>

    /* POSIX leaves the key and the sequence number of an object without a name. */
    #ifdef __GLIBC__
    #define PERM_KEY(perm) ((perm).__key)
    #define PERM_SEQ(perm) ((perm).__seq)
    #else
    #define PERM_KEY(perm) ((perm).__ipc_perm_key)
    #define PERM_SEQ(perm) ((perm).__ipc_perm_seq)
    #endif

    /* semctl's last argument, which each program has to define for itself. */
    union semaphore_argument {
        int val;
        struct semid_ds *buf;
        unsigned short *array;
        struct seminfo *info;
    };

    static int semctl_with(int id, int number, int cmd, union semaphore_argument *argument)
    {
        return semctl(id, number, cmd, *argument);
    }

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


cdef extern from *:
    constant sysv_constants[]
    long SHMLBA_NOW "SHMLBA"

    struct ipc_perm:
        unsigned int uid
        unsigned int gid
        unsigned int cuid
        unsigned int cgid
        unsigned int mode
    int32_t PERM_KEY(ipc_perm perm)
    unsigned int PERM_SEQ(ipc_perm perm)

    union semaphore_argument:
        int val
        semid_ds *buf
        unsigned short *array
        seminfo *info
    int semctl_with(int id, int number, int cmd, semaphore_argument *argument) nogil


cdef extern from "<sys/ipc.h>" nogil:
    int32_t c_ftok "ftok"(const char *path, int project)
    enum:
        C_IPC_RMID "IPC_RMID"
        C_IPC_SET "IPC_SET"
        C_IPC_STAT "IPC_STAT"
        C_IPC_INFO "IPC_INFO"


cdef extern from "<sys/shm.h>" nogil:
    struct shmid_ds:
        ipc_perm shm_perm
        size_t shm_segsz
        long shm_atime
        long shm_dtime
        long shm_ctime
        int shm_cpid
        int shm_lpid
        unsigned long shm_nattch
    struct shminfo:
        unsigned long shmmax
        unsigned long shmmin
        unsigned long shmmni
        unsigned long shmseg
        unsigned long shmall
    struct shm_info:
        int used_ids
        unsigned long shm_tot
        unsigned long shm_rss
        unsigned long shm_swp
        unsigned long swap_attempts
        unsigned long swap_successes
    enum:
        C_SHM_LOCK "SHM_LOCK"
        C_SHM_UNLOCK "SHM_UNLOCK"
        C_SHM_STAT "SHM_STAT"
        C_SHM_STAT_ANY "SHM_STAT_ANY"
        C_SHM_INFO "SHM_INFO"
    int c_shmget "shmget"(int32_t key, size_t size, int flags)
    int c_shmctl "shmctl"(int id, int cmd, void *buf)


cdef extern from "<sys/sem.h>" nogil:
    struct sembuf:
        unsigned short sem_num
        short sem_op
        short sem_flg
    struct semid_ds:
        ipc_perm sem_perm
        long sem_otime
        long sem_ctime
        unsigned long sem_nsems
    struct seminfo:
        int semmap
        int semmni
        int semmns
        int semmnu
        int semmsl
        int semopm
        int semume
        int semusz
        int semvmx
        int semaem
    enum:
        C_GETPID "GETPID"
        C_GETVAL "GETVAL"
        C_GETALL "GETALL"
        C_GETNCNT "GETNCNT"
        C_GETZCNT "GETZCNT"
        C_SETVAL "SETVAL"
        C_SETALL "SETALL"
        C_SEM_STAT "SEM_STAT"
        C_SEM_STAT_ANY "SEM_STAT_ANY"
        C_SEM_INFO "SEM_INFO"
    int c_semget "semget"(int32_t key, int count, int flags)
    int c_semop "semop"(int id, sembuf *operations, size_t count)
    int c_semtimedop "semtimedop"(int id, sembuf *operations, size_t count,
                                  const timespec *timeout)


cdef extern from "<sys/msg.h>" nogil:
    struct msqid_ds:
        ipc_perm msg_perm
        long msg_stime
        long msg_rtime
        long msg_ctime
        unsigned long msg_cbytes "__msg_cbytes"
        unsigned long msg_qnum
        unsigned long msg_qbytes
        int msg_lspid
        int msg_lrpid
    struct msginfo:
        int msgpool
        int msgmap
        int msgmax
        int msgmnb
        int msgmni
        int msgssz
        int msgtql
        unsigned short msgseg
    enum:
        C_MSG_STAT "MSG_STAT"
        C_MSG_STAT_ANY "MSG_STAT_ANY"
        C_MSG_INFO "MSG_INFO"
    int c_msgget "msgget"(int32_t key, int flags)
    int c_msgsnd "msgsnd"(int id, const void *message, size_t size, int flags)
    ssize_t c_msgrcv "msgrcv"(int id, void *message, size_t size, long type, int flags)
    int c_msgctl "msgctl"(int id, int cmd, void *buf)


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
