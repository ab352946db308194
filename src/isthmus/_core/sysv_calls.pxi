# The calls and structs of System V, as sysv.pyx and sysv_ipc.pyx take them from the C library.

from libc.stdint cimport int32_t


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
    """


cdef extern from *:
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
    void *c_shmat "shmat"(int id, const void *address, int flags)
    int c_shmdt "shmdt"(const void *address)


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
