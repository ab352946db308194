"""The C core, as the binding sees it."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t


cdef extern from "isthmus/isthmus.h" nogil:
    int ISTHMUS_NAME_MAX
    int isthmus_name_escape(const char *name, char *posix_name)
    int isthmus_name_unescape(const char *posix_name, char *name)

    struct isthmus_create_options:
        uint32_t mode
        int64_t owner
        int64_t group

    struct isthmus_attach_options:
        int readonly
        int64_t owner

    struct isthmus_array_plan:
        const char *dtype
        uint64_t itemsize
        const uint64_t *shape
        uint32_t ndim
        int fortran

    struct isthmus_array:
        void *data
        uint64_t itemsize
        uint64_t count
        uint64_t shape[64]
        uint32_t ndim
        int fortran
        const char *dtype
        size_t dtype_size
        uint64_t lock_offset

    uint32_t ISTHMUS_ARRAY_MAX_NDIM

    struct isthmus_shared_header:
        uint32_t version
        uint32_t kind
        uint64_t fingerprint
        uint64_t total_size
        uint64_t created_ns
        uint32_t creator_pid
        uint32_t creator_uid
        uint64_t control_offset
        uint64_t control_size
        uint64_t participants_offset
        uint32_t participants_count
        uint32_t participant_size
        uint64_t data_offset
        uint64_t data_size

    int isthmus_header_read(const void *data, size_t mapped, uint32_t kind,
                            isthmus_shared_header *header)

    struct isthmus_layout_field:
        const char *type
        const char *field
        uint32_t offset
        uint32_t size

    const isthmus_layout_field *isthmus_layout_fields(size_t *count)
    uint64_t isthmus_layout_fingerprint(uint32_t kind)


cdef extern from "draft.h" nogil:
    unsigned ISTHMUS_DRAFT_NAMED

    struct isthmus_draft:
        int fd
        uint64_t size

    int isthmus_draft_open(isthmus_draft *draft, const char *directory, uint64_t size,
                           const isthmus_create_options *options, unsigned flags)
    int isthmus_draft_reserve(isthmus_draft *draft)
    int isthmus_draft_reserve_more(int fd, uint64_t *reserved, uint64_t size, uint64_t *step)
    int isthmus_draft_publish(isthmus_draft *draft, const char *path)
    void isthmus_draft_abandon(isthmus_draft *draft)


cdef extern from "segment.h" nogil:
    enum:
        ISTHMUS_SEGMENT_PATH_SIZE
    int isthmus_segment_path(const char *name, char *path)
    int isthmus_segment_open(const char *path, const isthmus_attach_options *options,
                             isthmus_os_status *status)
    int isthmus_segment_remove(uint64_t device, uint64_t inode, const char *path)


cdef extern from "array.h" nogil:
    struct isthmus_array_extent:
        uint64_t total_size

    int isthmus_array_measure(const isthmus_array_plan *plan, isthmus_array_extent *extent)
    void isthmus_array_init(void *data, const isthmus_array_plan *plan,
                            const isthmus_array_extent *extent)
    int isthmus_array_read(void *data, size_t mapped, isthmus_array *array)


cdef extern from "atomic.h" nogil:
    int isthmus_exchange_int(int *word, int value)


cdef extern from "os.h" nogil:
    struct isthmus_os_status:
        uint64_t device
        uint64_t inode
        uint64_t size
        uint64_t links
        uint32_t mode
        uint32_t uid
        uint32_t gid
        int regular

    struct isthmus_os_sysv_status:
        uint64_t size
        uint64_t attached
        int32_t key
        uint32_t mode
        uint32_t uid
        uint32_t gid
        int removed

    size_t isthmus_os_page_size()
    int isthmus_os_open(const char *path, int readonly)
    int isthmus_os_reopen(int fd, int readonly)
    int isthmus_os_close(int fd)
    int os_status "isthmus_os_status"(int fd, isthmus_os_status *status)
    int isthmus_os_generation(int fd, const char *path, uint64_t *generation)
    int isthmus_os_lock_size(int fd, int shared)
    int isthmus_os_unlock_size(int fd)
    int isthmus_os_truncate(int fd, uint64_t size)
    int isthmus_os_map(int fd, size_t size, int readonly, void **data)
    int isthmus_os_map_exact(void *hint, size_t size, int protection, int flags, int fd,
                             uint64_t offset, void **data)
    int isthmus_os_copy_out(const void *source, size_t size, void *to)
    int isthmus_os_byte_held(int fd, uint64_t byte)
    int isthmus_os_try_byte(int fd, uint64_t byte, int shared)
    int isthmus_os_unmap(void *data, size_t size)
    int isthmus_os_flush(void *data, size_t size, int flags)
    int isthmus_os_advise(void *data, size_t size, int advice)
    int isthmus_os_lock_memory(const void *data, size_t size)
    int isthmus_os_unlock_memory(const void *data, size_t size)
    int isthmus_os_memory(const char *label)
    int isthmus_os_add_seals(int fd, int seals)
    int isthmus_os_get_seals(int fd, int *seals)
    int isthmus_os_sysv_get(int32_t key, size_t size, int flags, int *id)
    int isthmus_os_sysv_attach(int id, void *hint, int flags, void **data)
    int isthmus_os_sysv_detach(void *data)
    int os_sysv_status "isthmus_os_sysv_status"(int id, isthmus_os_sysv_status *status)
    int isthmus_os_sysv_set_owner(int id, int64_t owner, int64_t group)
    int isthmus_os_sysv_remove(int id)
