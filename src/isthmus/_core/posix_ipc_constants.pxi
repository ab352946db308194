# Constants, as the headers have them.

cdef extern from *:
    """
    static const struct constant posix_ipc_constants[] = {
        {"O_RDONLY", O_RDONLY}, {"O_WRONLY", O_WRONLY}, {"O_RDWR", O_RDWR},
        {"O_NONBLOCK", O_NONBLOCK}, {"O_CREAT", O_CREAT}, {"O_EXCL", O_EXCL},
        {"O_CREX", O_CREAT | O_EXCL}, {"O_TRUNC", O_TRUNC},
        {"SEMAPHORE_VALUE_MAX", SEM_VALUE_MAX}, {"QUEUE_PRIORITY_MAX", MQ_PRIO_MAX - 1},
        {NULL, 0},
    };

    static int isthmus_first_user_signal(void)
    {
        return SIGRTMIN;
    }

    static int isthmus_last_user_signal(void)
    {
        return SIGRTMAX;
    }

    static long isthmus_page_size(void)
    {
        return sysconf(_SC_PAGESIZE);
    }
    """
    constant posix_ipc_constants[]
    int isthmus_first_user_signal()
    int isthmus_last_user_signal()
    long isthmus_page_size()


cdef int define_constants() except -1:
    cdef const constant *row = posix_ipc_constants
    names = globals()
    while row.name is not NULL:
        names[(<bytes>row.name).decode()] = row.value
        row += 1
    return 0


define_constants()
PAGE_SIZE = isthmus_page_size()
USER_SIGNAL_MIN = isthmus_first_user_signal()
USER_SIGNAL_MAX = isthmus_last_user_signal()
