"""Locks and friends of the C core, as the binding sees them."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t


cdef extern from "isthmus/isthmus.h" nogil:
    struct isthmus_create_options:
        uint32_t mode
        int64_t owner
        int64_t group

    struct isthmus_attach_options:
        int readonly
        int64_t owner

    enum:
        ISTHMUS_KIND_LOCK
        ISTHMUS_KIND_RLOCK
        ISTHMUS_KIND_SEMAPHORE
        ISTHMUS_KIND_EVENT
        ISTHMUS_KIND_CONDITION
        ISTHMUS_KIND_BARRIER
        ISTHMUS_KIND_RWLOCK
        ISTHMUS_KIND_ATOMIC_INT

    uint32_t ISTHMUS_ROBUST
    uint32_t ISTHMUS_READER_PREFERENCE
    uint32_t ISTHMUS_EXTERNAL_LOCK
    uint32_t ISTHMUS_PERSIST
    uint32_t ISTHMUS_PARTICIPANTS_MAX
    uint32_t ISTHMUS_PARTICIPANTS_DEFAULT
    uint32_t ISTHMUS_PERMITS_MAX
    uint64_t ISTHMUS_FOREVER
    int ISTHMUS_E_NOT_JOINED
    int ISTHMUS_E_BROKEN

    struct isthmus_shared_primitive:
        uint32_t kind
        uint32_t flags
        uint32_t participants
        uint32_t used

    uint32_t ISTHMUS_WORD_OWNER

    struct isthmus_shared_lock:
        uint32_t word
        uint32_t tid
        uint32_t depth
        uint32_t deaths

    struct isthmus_shared_semaphore:
        uint32_t initial
        uint32_t maximum

    struct isthmus_primitive_plan:
        uint32_t kind
        uint32_t flags
        uint32_t participants
        uint32_t maximum
        int64_t value

    struct isthmus_primitive:
        isthmus_shared_primitive *shared
        uint32_t kind
        uint32_t flags
        uint32_t count
        int32_t slot
        uint32_t spin_ns
        uint32_t spin_now_ns
        int fd
        uint32_t pid
        char path[288]

    size_t isthmus_primitive_size(uint32_t kind, uint32_t participants)
    int isthmus_primitive_create(isthmus_primitive *primitive, const char *name,
                                 const isthmus_primitive_plan *plan,
                                 const isthmus_create_options *options)
    int isthmus_primitive_attach(isthmus_primitive *primitive, const char *name, uint32_t kind,
                                 const isthmus_attach_options *options)
    int isthmus_primitive_anonymous(isthmus_primitive *primitive,
                                    const isthmus_primitive_plan *plan)
    int isthmus_primitive_from_fd(isthmus_primitive *primitive, int fd, uint32_t kind)
    int isthmus_primitive_place(isthmus_primitive *primitive, void *data, size_t size, int fd,
                                uint64_t offset, const isthmus_primitive_plan *plan)
    int isthmus_primitive_find(isthmus_primitive *primitive, void *data, size_t size, int fd,
                               uint64_t offset, uint32_t kind)
    int isthmus_primitive_place_by_fd(isthmus_primitive *primitive, void *data, size_t size, int fd,
                                      uint64_t offset, const isthmus_primitive_plan *plan)
    int isthmus_primitive_find_by_fd(isthmus_primitive *primitive, void *data, size_t size, int fd,
                                     uint64_t offset, uint32_t kind)
    void isthmus_primitive_close(isthmus_primitive *primitive)
    int isthmus_primitive_unlink(const isthmus_primitive *primitive)
    int isthmus_primitive_join(isthmus_primitive *primitive)
    uint64_t isthmus_deadline_after(int64_t nanoseconds)

    struct isthmus_participant:
        uint32_t slot
        uint32_t pid
        uint32_t pid_namespace
        uint32_t tid
        uint64_t since_ns
        uint64_t joined_ns
        uint32_t share
        uint32_t waiting
        int alive

    int isthmus_primitive_owner(const isthmus_primitive *primitive, isthmus_participant *owner)
    int isthmus_primitive_participant(const isthmus_primitive *primitive, uint32_t slot,
                                      isthmus_participant *participant)

    int isthmus_lock_acquire(isthmus_primitive *lock, uint64_t deadline)
    int isthmus_lock_release(isthmus_primitive *lock)
    int isthmus_lock_release_any(isthmus_primitive *lock)
    int isthmus_lock_abandon(isthmus_primitive *lock)
    int isthmus_lock_locked(const isthmus_primitive *lock)
    int isthmus_lock_is_mine(const isthmus_primitive *lock)

    int isthmus_semaphore_acquire(isthmus_primitive *semaphore, uint64_t deadline)
    int isthmus_semaphore_release(isthmus_primitive *semaphore, uint32_t permits)
    uint32_t isthmus_semaphore_value(const isthmus_primitive *semaphore)

    int isthmus_event_set(isthmus_primitive *event)
    int isthmus_event_clear(isthmus_primitive *event)
    int isthmus_event_is_set(const isthmus_primitive *event)
    int isthmus_event_wait(isthmus_primitive *event, uint64_t deadline, uint32_t *seen)

    struct isthmus_condition_waiter:
        uint64_t ticket
        uint32_t depth

    int isthmus_condition_enter(isthmus_primitive *condition, isthmus_primitive *lock,
                                isthmus_condition_waiter *waiter)
    int isthmus_condition_sleep(isthmus_primitive *condition,
                                const isthmus_condition_waiter *waiter, uint64_t deadline)
    int isthmus_condition_retake(isthmus_primitive *lock, const isthmus_condition_waiter *waiter,
                                 uint64_t deadline)
    int isthmus_condition_leave(isthmus_primitive *condition, isthmus_primitive *lock,
                                const isthmus_condition_waiter *waiter, int again)
    int isthmus_condition_notify(isthmus_primitive *condition, isthmus_primitive *lock,
                                 uint32_t count)

    int isthmus_barrier_abort(isthmus_primitive *barrier)
    int isthmus_barrier_reset(isthmus_primitive *barrier)
    int isthmus_barrier_is_broken(const isthmus_primitive *barrier)
    uint32_t isthmus_barrier_parties(const isthmus_primitive *barrier)
    uint32_t isthmus_barrier_waiting(const isthmus_primitive *barrier)
    int isthmus_barrier_arrive(isthmus_primitive *barrier, uint64_t deadline, uint32_t *round)
    int isthmus_barrier_trip(isthmus_primitive *barrier, uint32_t round)
    int isthmus_barrier_await(isthmus_primitive *barrier, uint64_t deadline, uint32_t round)
    int isthmus_barrier_expire(isthmus_primitive *barrier, uint32_t round)
    int isthmus_barrier_withdraw(isthmus_primitive *barrier, uint32_t round)

    int isthmus_rwlock_acquire_read(isthmus_primitive *rwlock, uint64_t deadline)
    int isthmus_rwlock_release_read(isthmus_primitive *rwlock)
    int isthmus_rwlock_acquire_write(isthmus_primitive *rwlock, uint64_t deadline)
    int isthmus_rwlock_claim_write(isthmus_primitive *rwlock, uint64_t deadline)
    int isthmus_rwlock_turn(const isthmus_primitive *rwlock)
    int isthmus_rwlock_begin_write(isthmus_primitive *rwlock)
    int isthmus_rwlock_give_up_write(isthmus_primitive *rwlock)
    int isthmus_rwlock_release_write(isthmus_primitive *rwlock)
    int isthmus_rwlock_abandon_write(isthmus_primitive *rwlock)
    uint32_t isthmus_rwlock_readers(const isthmus_primitive *rwlock)
    int isthmus_rwlock_is_writing(const isthmus_primitive *rwlock)

    int64_t isthmus_atomic_int_load(const isthmus_primitive *integer)
    void isthmus_atomic_int_store(isthmus_primitive *integer, int64_t value)
    int64_t isthmus_atomic_int_add(isthmus_primitive *integer, int64_t value)
    int64_t isthmus_atomic_int_sub(isthmus_primitive *integer, int64_t value)
    int64_t isthmus_atomic_int_and(isthmus_primitive *integer, int64_t value)
    int64_t isthmus_atomic_int_or(isthmus_primitive *integer, int64_t value)
    int64_t isthmus_atomic_int_xor(isthmus_primitive *integer, int64_t value)
    int64_t isthmus_atomic_int_exchange(isthmus_primitive *integer, int64_t value)
    int isthmus_atomic_int_compare_exchange(isthmus_primitive *integer, int64_t *expected,
                                            int64_t value)
    int isthmus_atomic_int_wait_while(isthmus_primitive *integer, int64_t value,
                                      uint64_t deadline)


cdef extern from "handle.h" nogil:
    enum:
        ISTHMUS_NO_GIL

    struct isthmus_handle:
        isthmus_primitive primitive
        int users

    isthmus_handle *isthmus_handle_new(void (*close)(isthmus_handle *) noexcept)
    void isthmus_handle_open(isthmus_handle *handle)
    void isthmus_handle_close(isthmus_handle *handle)
    void isthmus_handle_free(isthmus_handle *handle)
    void isthmus_handles_before_fork()
    void isthmus_handles_after_fork(int in_child)
    void isthmus_handles_close_all()
    int isthmus_handles_close_at_exit()


cdef extern from "lock.h" nogil:
    int isthmus_lock_glance(isthmus_primitive *lock)
