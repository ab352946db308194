/*
 * Synchronisation primitives in shared memory: locks and friends that survive their
 * owners. Included by isthmus.h.
 *
 * Who takes part
 *   Every handle (struct isthmus_primitive) is a participant of its own; so two handles
 *   in one process exclude each other. A handle may be used by any number of threads at
 *   once, but for opening and closing it.
 *
 * What a crash leaves
 *   A process may be killed at any instruction of any of these functions. What it held
 *   is taken over by the next one that needs it, within 20 ms of needing it, and
 *   nothing else of it stays. See each kind.
 *
 * Waiting
 *   `deadline` is a time of CLOCK_MONOTONIC in nanoseconds, ISTHMUS_FOREVER, or 0: try
 *   only. Waits spin for isthmus_primitive.spin_ns at most and then sleep in the kernel.
 *   -ETIMEDOUT: the deadline has passed. -EINTR: a signal handler has run; call again.
 *
 * Fork
 *   Around a fork() without exec(), call isthmus_primitive_before_fork() for each handle,
 *   and afterwards, in parent and child, isthmus_primitive_after_fork(). What was held
 *   belongs to the parent; the child is another participant. (The Python package does
 *   this by itself.) A child that does neither that nor exec keeps its parent's
 *   handles looking alive.
 */
#ifndef ISTHMUS_PRIMITIVES_H
#define ISTHMUS_PRIMITIVES_H

#include <isthmus/layout.h>

#ifdef __cplusplus
extern "C" {
#endif

struct isthmus_segment;
struct isthmus_create_options;
struct isthmus_attach_options;

#define ISTHMUS_FOREVER UINT64_MAX

/* Room for participants unless the plan says otherwise. */
#define ISTHMUS_PARTICIPANTS_DEFAULT 256u

/* A semaphore never has more permits than this. */
#define ISTHMUS_PERMITS_MAX ((uint32_t)INT32_MAX)

#define ISTHMUS_E_FULL EUSERS         /* as many participants as there is room for */
#define ISTHMUS_E_BROKEN ECANCELED    /* the barrier is broken */
#define ISTHMUS_E_NOT_JOINED ENOTCONN /* after a fork, before isthmus_primitive_after_fork() */

/* What a primitive to be made is like. Zero stands for the default of each member. */
struct isthmus_primitive_plan {
    uint32_t kind;         /* enum isthmus_kind */
    uint32_t flags;        /* ISTHMUS_ROBUST, ISTHMUS_READER_PREFERENCE … */
    uint32_t participants; /* room for so many handles at once; 0: ISTHMUS_PARTICIPANTS_DEFAULT */
    uint32_t maximum;      /* of a bounded semaphore; 0: not bounded */
    int64_t value;         /* permits of a semaphore, value of an atomic integer, parties of a
                              barrier */
};

/* An open primitive. Set up by one of the functions below; members are for reading. */
struct isthmus_primitive {
    struct isthmus_shared_primitive *shared;
    struct isthmus_shared_participant *slots;
    uint32_t kind, flags; /* checked copies */
    uint32_t count;       /* slots */
    int32_t slot;         /* this participant's; -1: has not joined */
    uint32_t spin_ns;     /* spin so long at most; may be set by the caller */
    uint32_t spin_now_ns; /* how long it is worth at the moment */
    int fd;               /* whose open file description says that this handle lives */
    int fork_fd;          /* the same for a child that is about to be forked; else -1 */
    int borrowed;         /* fd is the caller's, and serves other handles as well */
    uint32_t pid;         /* whose handle it is, in its own eyes */
    int seizing;          /* one thread is at work in the place of a dead participant */
    uint32_t gave_up_tid; /* the thread whose wait ended last for want of time */
    uint32_t gave_up_at;  /* when that was, in some ms */
    uint64_t place;       /* offset of `shared` in the file */
    void *mapping;        /* what isthmus_primitive_close() unmaps; NULL: the caller's */
    size_t mapped;        /* bytes of the file in it, from its start */
    size_t mirrored;      /* of them, at the end, the size of each piece that is mapped twice; 0 */
    uint32_t mirrors;     /* such pieces */
    char path[288];       /* of a named object; else empty */
};

/*
 * Bytes that a primitive takes: it, its state and its participants. A multiple of 64.
 * 0: no such kind, or too many participants. The macro is for arrays in structs.
 */
size_t isthmus_primitive_size(uint32_t kind, uint32_t participants);
#define ISTHMUS_PRIMITIVE_SIZE(participants) (192u + 64u * (participants))

/*
 * A named primitive, the typed object `name`. create: it must not be there; attach: it
 * must; open: whichever it takes.
 *
 * The object is removed when its last participant closes it, unless the plan has
 * ISTHMUS_PERSIST. When all participants were killed, the next one to open it finds
 * nobody, and starts anew; but a lock whose owner was killed is kept, and says so.
 *
 * Errors as for segments; -ISTHMUS_E_FULL.
 * attach does not check anything but the kind; open also flags, maximum and, for
 * semaphores and barriers, value: -ENOTUNIQ when it is there and is another.
 */
int isthmus_primitive_create(struct isthmus_primitive *primitive, const char *name,
                             const struct isthmus_primitive_plan *plan,
                             const struct isthmus_create_options *options);
int isthmus_primitive_attach(struct isthmus_primitive *primitive, const char *name, uint32_t kind,
                             const struct isthmus_attach_options *options);
int isthmus_primitive_open(struct isthmus_primitive *primitive, const char *name,
                           const struct isthmus_primitive_plan *plan,
                           const struct isthmus_create_options *create,
                           const struct isthmus_attach_options *attach);

/* One without a name, in a memory object: for fork, or for passing isthmus_primitive.fd on. */
int isthmus_primitive_anonymous(struct isthmus_primitive *primitive,
                                const struct isthmus_primitive_plan *plan);
/* The same from its descriptor, which stays the caller's. -ENOSYS: no /proc. */
int isthmus_primitive_from_fd(struct isthmus_primitive *primitive, int fd, uint32_t kind);

/*
 * A primitive in a segment of the caller's, `offset` bytes from its start, a multiple of
 * 64. Opens it, or makes it where there are zeros; never removes it. The mapping
 * must stay until the primitive is closed. `data`, `size`: the mapping of the file `fd` from
 * its start. find: opens only, -ENOENT where there are zeros.
 * -ISTHMUS_E_FOREIGN: something else is there. -ERANGE: does not lie inside.
 * -ENOSYS: no /proc, by which a handle gets an open file description of its own.
 */
int isthmus_primitive_place(struct isthmus_primitive *primitive, void *data, size_t size, int fd,
                            uint64_t offset, const struct isthmus_primitive_plan *plan);
int isthmus_primitive_find(struct isthmus_primitive *primitive, void *data, size_t size, int fd,
                           uint64_t offset, uint32_t kind);

/*
 * The same without a description of its own, for thousands in one segment: `fd` itself says
 * that the handle lives. It stays the caller's, who
 *  - opens it for this process alone and keeps it open until all these handles are closed;
 *  - has no second handle to the same primitive by it: the two would take each other for dead;
 *  - in a forked child, before any of these handles is used, puts a descriptor of the child's
 *    own description in its place (dup3), or closes the handles: else those of a parent
 *    that dies go on looking alive.
 */
int isthmus_primitive_place_by_fd(struct isthmus_primitive *primitive, void *data, size_t size,
                                  int fd, uint64_t offset,
                                  const struct isthmus_primitive_plan *plan);
int isthmus_primitive_find_by_fd(struct isthmus_primitive *primitive, void *data, size_t size,
                                 int fd, uint64_t offset, uint32_t kind);

/*
 * End the use of this handle. What it holds counts as held by one that died. The last
 * one removes the object, as said above. Safe to call twice.
 */
void isthmus_primitive_close(struct isthmus_primitive *primitive);

/* Remove the name now; those that have it open keep it. As isthmus_segment_unlink(). */
int isthmus_primitive_unlink(const struct isthmus_primitive *primitive);

/*
 * Before: prepares a description for the child, so that there is no moment in which only
 * the parent keeps the object. After, in the child: the handle is as new, and has not joined;
 * closed, if no description was to be had (-EMFILE, -EACCES: the user has changed …).
 * Async-signal-safe. No use of the handle by other threads from before to after.
 */
int isthmus_primitive_before_fork(struct isthmus_primitive *primitive);
int isthmus_primitive_after_fork(struct isthmus_primitive *primitive, int in_child);
/* Join, if that has not happened. Not by two threads at once. */
int isthmus_primitive_join(struct isthmus_primitive *primitive);

/* A deadline in so many nanoseconds from now; negative: ISTHMUS_FOREVER. */
uint64_t isthmus_deadline_after(int64_t nanoseconds);

/* ---- Who takes part ----------------------------------------------------------- */

/* Who holds or waits for something. */
struct isthmus_participant {
    uint32_t slot;
    uint32_t pid;           /* as it sees itself */
    uint32_t pid_namespace; /* inode of /proc/PID/ns/pid, low 32 bits */
    uint32_t tid;           /* the thread, as its process sees it; 0: not known */
    uint64_t since_ns;      /* CLOCK_MONOTONIC; 0: not known */
    uint64_t joined_ns;     /* CLOCK_REALTIME */
    uint32_t share;         /* as in the shared struct */
    uint32_t waiting;       /* threads that wait */
    int alive;
};

/*
 * A snapshot for people, of things that may change while it is taken.
 * owner: of a lock, recursive lock or condition, or the writer; -ENOENT: nobody.
 * participant: of one slot below isthmus_shared_primitive.used; -ENOENT: nobody there.
 */
int isthmus_primitive_owner(const struct isthmus_primitive *primitive,
                            struct isthmus_participant *owner);
int isthmus_primitive_participant(const struct isthmus_primitive *primitive, uint32_t slot,
                                  struct isthmus_participant *participant);

/* ---- Lock and recursive lock ---------------------------------------------------- */

/*
 * A lock belongs to the participant that took it: any thread that uses the same handle
 * may release it. A recursive lock belongs to the thread, which may take it again.
 *
 * 0: held. -EOWNERDEAD: held as well, and its last owner died holding it: what it
 * protects may be half done. -EOVERFLOW: taken 2^32 - 1 times.
 * These also serve conditions without ISTHMUS_EXTERNAL_LOCK, whose lock is recursive.
 */
int isthmus_lock_acquire(struct isthmus_primitive *lock, uint64_t deadline);
/* -EPERM: not held by this participant, or (recursive) this thread. */
int isthmus_lock_release(struct isthmus_primitive *lock);
/*
 * Release a lock, not a recursive one, whoever holds it: for those that hand a lock on, and for
 * one that is used as a semaphore of one permit. The one that held it is not told, and must not
 * release it, too: that would be somebody else's by then. Killed in here: it is held as before,
 * or free. Any handle may do it, also one that has not joined. -EPERM: nobody holds it.
 */
int isthmus_lock_release_any(struct isthmus_primitive *lock);
/* Release it in a way that the next one gets -EOWNERDEAD, however often it was taken. */
int isthmus_lock_abandon(struct isthmus_primitive *lock);
/* Whether anybody holds it; whether isthmus_lock_release() would find it held. */
int isthmus_lock_locked(const struct isthmus_primitive *lock);
int isthmus_lock_is_mine(const struct isthmus_primitive *lock);

/* ---- Semaphore -------------------------------------------------------------------- */

/*
 * Plain: a count that anybody raises and lowers; a permit of one that dies stays taken.
 * ISTHMUS_ROBUST: permits belong to participants, and those of the dead come back.
 *
 * release: -EOVERFLOW: more than `maximum`, nothing was given back. -EPERM: robust, and
 * this participant has not so many.
 */
int isthmus_semaphore_acquire(struct isthmus_primitive *semaphore, uint64_t deadline);
int isthmus_semaphore_release(struct isthmus_primitive *semaphore, uint32_t permits);
uint32_t isthmus_semaphore_value(const struct isthmus_primitive *semaphore);

/* ---- Event ---------------------------------------------------------------------- */

int isthmus_event_set(struct isthmus_primitive *event);
int isthmus_event_clear(struct isthmus_primitive *event);
int isthmus_event_is_set(const struct isthmus_primitive *event);
/*
 * 0 also when it was set and cleared again meanwhile. *seen: 0 at the first call; the same
 * variable when calling again after -EINTR or for a later deadline.
 */
int isthmus_event_wait(struct isthmus_primitive *event, uint64_t deadline, uint32_t *seen);

/* ---- Condition ------------------------------------------------------------------ */

/*
 * `lock`: the handle of the lock that goes with it, held by the caller, however often;
 * the condition's own handle when it has its own. -EPERM: not held.
 *
 * wait: 0: notified. -ETIMEDOUT, -EINTR: not. -EOWNERDEAD: notified or not, and the
 * lock's last owner died. The lock is held again in each case. *notified (may be NULL) tells.
 * A notification is never lost to a waiter that died.
 */
int isthmus_condition_wait(struct isthmus_primitive *condition, struct isthmus_primitive *lock,
                           uint64_t deadline, int *notified);
/* Wake up to `count` of those that wait now; UINT32_MAX: all. */
int isthmus_condition_notify(struct isthmus_primitive *condition, struct isthmus_primitive *lock,
                             uint32_t count);

/*
 * The parts of a wait, for callers that do something between two sleeps:
 * enter and leave with the lock held, sleep without.
 */
struct isthmus_condition_waiter {
    uint64_t ticket;
    uint32_t depth; /* of the recursive lock, to be restored */
};
int isthmus_condition_enter(struct isthmus_primitive *condition, struct isthmus_primitive *lock,
                            struct isthmus_condition_waiter *waiter);
int isthmus_condition_sleep(struct isthmus_primitive *condition,
                            const struct isthmus_condition_waiter *waiter, uint64_t deadline);
/* Take the lock back; -EINTR: not yet. -EOWNERDEAD: taken, and do not sleep again after that. */
int isthmus_condition_retake(struct isthmus_primitive *lock,
                             const struct isthmus_condition_waiter *waiter, uint64_t deadline);
/* 1: notified. 0: not, and `again` was set: released once more, sleep again; else left. */
int isthmus_condition_leave(struct isthmus_primitive *condition, struct isthmus_primitive *lock,
                            const struct isthmus_condition_waiter *waiter, int again);

/* ---- Barrier ---------------------------------------------------------------------- */

/*
 * wait: the number of this arrival, 0 to parties - 1, once all have arrived;
 * -ISTHMUS_E_BROKEN: aborted, reset, timed out for somebody, or a waiting party died.
 * -EINTR: this party has withdrawn.
 */
int isthmus_barrier_wait(struct isthmus_primitive *barrier, uint64_t deadline);
int isthmus_barrier_abort(struct isthmus_primitive *barrier);
int isthmus_barrier_reset(struct isthmus_primitive *barrier);
int isthmus_barrier_is_broken(const struct isthmus_primitive *barrier);
uint32_t isthmus_barrier_parties(const struct isthmus_primitive *barrier);
uint32_t isthmus_barrier_waiting(const struct isthmus_primitive *barrier);

/*
 * The parts of a wait. arrive: the number of this arrival and the *round; who gets
 * parties - 1 does what is to be done between the rounds and then trips; the others
 * await, and when that gives -ETIMEDOUT may do it again for a later deadline.
 * withdraw: 0: given up. 1: too late, all have arrived or the round has ended: await it.
 * expire: the time for this round is over; break it, unless it has ended: 0, -ISTHMUS_E_BROKEN.
 */
int isthmus_barrier_arrive(struct isthmus_primitive *barrier, uint64_t deadline, uint32_t *round);
int isthmus_barrier_trip(struct isthmus_primitive *barrier, uint32_t round);
int isthmus_barrier_await(struct isthmus_primitive *barrier, uint64_t deadline, uint32_t round);
int isthmus_barrier_expire(struct isthmus_primitive *barrier, uint32_t round);
int isthmus_barrier_withdraw(struct isthmus_primitive *barrier, uint32_t round);

/* ---- Readers-writer lock ---------------------------------------------------------- */

/*
 * Many readers or one writer. A writer that waits holds up new readers, and readers that
 * wait come in before the next writer does, so that neither starves; with
 * ISTHMUS_READER_PREFERENCE readers come in whenever nobody is writing. A reader cannot become a
 * writer: it would wait for itself. A thread that reads may read once more only if no writer can
 * come in between. -EOWNERDEAD: held, and a writer died writing: for readers, until another writer
 * has released. A dead reader is as one that has left.
 */
int isthmus_rwlock_acquire_read(struct isthmus_primitive *rwlock, uint64_t deadline);
int isthmus_rwlock_release_read(struct isthmus_primitive *rwlock);
int isthmus_rwlock_acquire_write(struct isthmus_primitive *rwlock, uint64_t deadline);
/*
 * The parts of that, for callers that do something else while they wait. claim: the first among
 * writers, 0. Then, as long as turn is 1, readers that wait come in first; they ought to get 2 ms.
 * begin: 0 or -EOWNERDEAD: writing; -EAGAIN: readers are there still, no new one comes in, call it
 * again when they have left. give_up: between claim and begin: as if nothing had happened.
 */
int isthmus_rwlock_claim_write(struct isthmus_primitive *rwlock, uint64_t deadline);
int isthmus_rwlock_turn(const struct isthmus_primitive *rwlock);
int isthmus_rwlock_begin_write(struct isthmus_primitive *rwlock);
int isthmus_rwlock_give_up_write(struct isthmus_primitive *rwlock);
int isthmus_rwlock_release_write(struct isthmus_primitive *rwlock);
/* As isthmus_lock_abandon(). */
int isthmus_rwlock_abandon_write(struct isthmus_primitive *rwlock);
uint32_t isthmus_rwlock_readers(const struct isthmus_primitive *rwlock);
int isthmus_rwlock_is_writing(const struct isthmus_primitive *rwlock); /* by anybody */

/* ---- Atomic integer -------------------------------------------------------------- */

/*
 * Sequentially consistent; wraps around. Those that change it give the value before.
 * All but wait_while: of an open handle; nothing is checked.
 */
int64_t isthmus_atomic_int_load(const struct isthmus_primitive *integer);
void isthmus_atomic_int_store(struct isthmus_primitive *integer, int64_t value);
int64_t isthmus_atomic_int_add(struct isthmus_primitive *integer, int64_t value);
int64_t isthmus_atomic_int_sub(struct isthmus_primitive *integer, int64_t value);
int64_t isthmus_atomic_int_and(struct isthmus_primitive *integer, int64_t value);
int64_t isthmus_atomic_int_or(struct isthmus_primitive *integer, int64_t value);
int64_t isthmus_atomic_int_xor(struct isthmus_primitive *integer, int64_t value);
int64_t isthmus_atomic_int_exchange(struct isthmus_primitive *integer, int64_t value);
/* 1: it was *expected and is `value` now. 0: it was another, which *expected receives. */
int isthmus_atomic_int_compare_exchange(struct isthmus_primitive *integer, int64_t *expected,
                                        int64_t value);
/* Wait until it is not `value`. */
int isthmus_atomic_int_wait_while(struct isthmus_primitive *integer, int64_t value,
                                  uint64_t deadline);

#ifdef __cplusplus
}
#endif
#endif
