"""Queues and topics of the C core, as the binding sees them."""

from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t

from isthmus._core.primitives cimport (
    isthmus_attach_options,
    isthmus_create_options,
    isthmus_participant,
    isthmus_primitive,
)


cdef extern from "isthmus/isthmus.h" nogil:
    enum:
        ISTHMUS_KIND_QUEUE
        ISTHMUS_KIND_TOPIC
        ISTHMUS_RING_MIN
        ISTHMUS_ARRAY_MAX_NDIM
        ISTHMUS_VALUE_DEPTH

    uint32_t ISTHMUS_ARRAY_FORTRAN
    uint32_t ISTHMUS_OVERFLOW_BLOCK
    uint32_t ISTHMUS_OVERFLOW_OVERWRITE
    uint32_t ISTHMUS_ROLE_PRODUCER
    uint32_t ISTHMUS_ROLE_CONSUMER
    uint32_t ISTHMUS_ROLE_SUBSCRIBER

    enum:
        ISTHMUS_TYPE_BYTES
        ISTHMUS_TYPE_BYTEARRAY
        ISTHMUS_TYPE_TEXT
        ISTHMUS_TYPE_ARRAY
        ISTHMUS_TYPE_PICKLE
        ISTHMUS_TYPE_VALUE

    enum:
        ISTHMUS_VALUE_NONE
        ISTHMUS_VALUE_FALSE
        ISTHMUS_VALUE_TRUE
        ISTHMUS_VALUE_INTEGER
        ISTHMUS_VALUE_DOUBLE
        ISTHMUS_VALUE_TEXT
        ISTHMUS_VALUE_BYTES
        ISTHMUS_VALUE_TUPLE
        ISTHMUS_VALUE_LIST
        ISTHMUS_VALUE_DICT

    struct isthmus_shared_elements:
        uint32_t ndim
        uint32_t flags
        uint64_t itemsize
        uint32_t dtype_size
        uint32_t reserved32

    struct isthmus_shared_pickle:
        uint64_t size
        uint32_t buffers
        uint32_t reserved32

    struct isthmus_ring_plan:
        uint32_t kind
        uint32_t flags
        uint32_t participants
        uint32_t max_attempts
        uint64_t capacity
        uint64_t maxsize
        uint64_t start

    struct isthmus_shared_cursors:
        uint32_t producer
        uint32_t consumer

    struct isthmus_ring:
        isthmus_primitive primitive
        isthmus_shared_cursors *cursors
        uint64_t capacity
        uint64_t maxsize
        uint32_t max_attempts
        uint32_t overflow
        uint32_t role

    int isthmus_ring_create(isthmus_ring *ring, const char *name, const isthmus_ring_plan *plan,
                            const isthmus_create_options *options)
    int isthmus_ring_attach(isthmus_ring *ring, const char *name, uint32_t kind,
                            const isthmus_attach_options *options)
    int isthmus_ring_anonymous(isthmus_ring *ring, const isthmus_ring_plan *plan)
    int isthmus_ring_from_fd(isthmus_ring *ring, int fd, uint32_t kind)
    void isthmus_ring_close(isthmus_ring *ring)
    int isthmus_ring_unlink(const isthmus_ring *ring)
    int isthmus_ring_join(isthmus_ring *ring)

    struct isthmus_record:
        uint64_t position
        uint64_t sequence
        uint64_t size
        uint32_t type
        uint32_t attempts
        uint32_t meta_size
        void *meta
        void *data

    uint64_t isthmus_record_room(uint64_t meta_size, uint64_t size)

    int isthmus_ring_try_write(isthmus_ring *ring, uint32_t type, const void *data, size_t size)

    struct isthmus_write:
        uint64_t start
        uint64_t end
        uint64_t count
        uint64_t first
        uint64_t needed
        uint64_t seen
        int32_t blocker

    int isthmus_write_begin(isthmus_ring *ring, isthmus_write *write, int for_long,
                            uint64_t deadline)
    int isthmus_write_reserve(isthmus_ring *ring, isthmus_write *write, uint32_t type,
                              uint32_t meta_size, uint64_t size, isthmus_record *record)
    void isthmus_write_commit(isthmus_ring *ring, isthmus_write *write)
    void isthmus_write_abort(isthmus_ring *ring, isthmus_write *write)
    int isthmus_write_await(isthmus_ring *ring, const isthmus_write *write, uint64_t deadline)

    struct isthmus_read:
        uint64_t position
        uint64_t first
        uint64_t count
        uint64_t sequence
        uint64_t missed

    int isthmus_read_begin(isthmus_ring *ring, isthmus_read *read, uint64_t deadline)
    int isthmus_read_next(isthmus_ring *ring, isthmus_read *read, isthmus_record *record)
    int isthmus_read_valid(isthmus_ring *ring, isthmus_read *read,
                           const isthmus_record *record)
    void isthmus_read_commit(isthmus_ring *ring, isthmus_read *read)
    void isthmus_read_abort(isthmus_ring *ring, isthmus_read *read)
    int isthmus_read_glance(isthmus_ring *ring, const isthmus_read *read)
    int isthmus_read_await(isthmus_ring *ring, const isthmus_read *read, uint64_t deadline)

    int isthmus_queue_lease(isthmus_ring *queue, isthmus_read *read, isthmus_record *record)
    int isthmus_queue_acknowledge(isthmus_ring *queue, uint64_t position, uint64_t sequence)
    int isthmus_queue_take(isthmus_ring *queue, uint64_t position, uint64_t sequence)
    int isthmus_queue_still_leased(const isthmus_ring *queue, const isthmus_record *record)
    int isthmus_queue_give_back(isthmus_ring *queue, uint64_t position, uint64_t sequence)
    int isthmus_queue_untake(isthmus_ring *queue, uint64_t position, uint64_t sequence)

    struct isthmus_queue_state:
        uint64_t ready
        uint64_t leased
        uint64_t aside
        uint64_t put
        uint64_t redelivered
        uint64_t set_aside
        uint64_t used
        uint32_t closed

    int isthmus_queue_read_state "isthmus_queue_state"(const isthmus_ring *queue,
                                                       isthmus_queue_state *state)
    int isthmus_queue_task_done(isthmus_ring *queue)
    int isthmus_queue_join(isthmus_ring *queue, uint64_t deadline)
    int isthmus_queue_shut_down(isthmus_ring *queue, int discard)
    int isthmus_queue_clear(isthmus_ring *queue)
    int isthmus_queue_drop(isthmus_ring *queue, uint64_t position, uint64_t sequence,
                           uint64_t deadline)
    int isthmus_queue_aside_begin(isthmus_ring *queue, isthmus_read *read, uint64_t deadline)
    int isthmus_queue_aside_next(isthmus_ring *queue, isthmus_read *read, isthmus_record *record)
    int isthmus_queue_aside_remove(isthmus_ring *queue, uint64_t sequence)
    int isthmus_queue_aside_put_back(isthmus_ring *queue, uint64_t sequence, uint64_t deadline)

    uint64_t ISTHMUS_START_NEXT
    uint64_t ISTHMUS_START_OLDEST
    int isthmus_topic_subscribe(isthmus_ring *topic, uint64_t start)
    int isthmus_topic_unsubscribe(isthmus_ring *topic)
    uint64_t isthmus_topic_lag(const isthmus_ring *topic)
    uint64_t isthmus_topic_missed(const isthmus_ring *topic)
    int isthmus_topic_pin(isthmus_ring *topic, uint64_t position)

    struct isthmus_topic_state:
        uint64_t published
        uint64_t oldest
        uint64_t tail
        uint64_t kept
        uint32_t subscribers
        uint32_t publishers
        uint32_t evicted

    int isthmus_topic_read_state "isthmus_topic_state"(const isthmus_ring *topic,
                                                       isthmus_topic_state *state)

    struct isthmus_seat:
        uint32_t role
        uint64_t lag
        uint64_t missed
        uint64_t leases

    int isthmus_topic_evicted(const isthmus_ring *topic)

    struct isthmus_evicted:
        uint32_t leases
        int dead
        int pinned

    int isthmus_ring_evict(isthmus_ring *ring, const isthmus_participant *whom,
                           uint64_t deadline, isthmus_evicted *evicted)

    int isthmus_ring_seat(const isthmus_ring *ring, uint32_t slot, isthmus_seat *seat)


cdef extern from "handle.h" nogil:
    enum:
        ISTHMUS_NO_GIL

    struct isthmus_handle:
        isthmus_primitive primitive
        isthmus_ring ring
        int users
        int views

    isthmus_handle *isthmus_handle_new(void (*close)(isthmus_handle *) noexcept)
    void isthmus_handle_open(isthmus_handle *handle)
    void isthmus_handle_close(isthmus_handle *handle)
    void isthmus_handle_free(isthmus_handle *handle)
    void isthmus_handles_before_fork()
    void isthmus_handles_after_fork(int in_child)
    void isthmus_handles_close_all()
    int isthmus_handles_close_at_exit()
