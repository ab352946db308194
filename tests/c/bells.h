/*
 * Waiting by doorbell alone, as doorbell.h tells it: what a test waits for by these comes
 * because somebody rang, or because somebody is gone; no slice ends these waits.
 */
#ifndef BELLS_H
#define BELLS_H

#include "os.h"
#include "readiness.h"
#include "together.h"

/* A doorbell for one thing. Its own process's, and to be left by bell_leave(). */
struct bell {
    struct isthmus_os_doorbell doorbell;
    struct isthmus_waited thing;
    int id;         /* of the file */
    uint64_t again; /* ns from this look for the dead to the next one */
    int due;        /* it is to look for them, as soon as they could have what is waited for */
    int told;       /* that it waits: in *bells_hung */
};

/* Counted up when a bell polls for the first time. NULL: nobody wants to know. */
extern uint32_t *bells_hung;

/* Watch the file of `primitive`, for one side of it. */
void bell_watch(struct bell *bell, struct isthmus_primitive *primitive, uint32_t side,
                uint64_t about);
/*
 * The file of another one, by the same doorbell: to close one takes the kernel some milliseconds.
 * What was rung for before is forgotten.
 */
void bell_move(struct bell *bell, struct isthmus_primitive *primitive, uint32_t side,
               uint64_t about);
/* The same file, but another thing of it. */
void bell_turn(struct bell *bell, uint32_t side, uint64_t about);
void bell_leave(struct bell *bell);

/* Is it readable now; within the time that no test needs? */
int bell_is_rung(const struct bell *bell);
int bell_rings(const struct bell *bell);
/* D1. ISTHMUS_OS_*: what has been rung for, of any file. */
uint32_t bell_read(struct bell *bell);
/* Until it is there: what the look says, 1 or -errno. */
int bell_wait(struct bell *bell);

/* The same, and then `attempt` with a deadline of 0, until it is not too late: its result. */
int bell_acquire(struct bell *bell, uint32_t side,
                 int (*attempt)(struct isthmus_primitive *, uint64_t));

/*
 * Whole operations that wait so; results as of the operation in isthmus.h that has the rest of
 * the name.
 */
int bell_lock_acquire(struct isthmus_primitive *lock);
int bell_semaphore_acquire(struct isthmus_primitive *semaphore);
void bell_event_wait(struct isthmus_primitive *event);
/* 1: notified. 0: not, and the lock's last owner died. The lock is held in either case. */
int bell_condition_wait(struct isthmus_primitive *condition);
int bell_barrier_wait(struct isthmus_primitive *barrier);
int bell_rwlock_acquire_read(struct isthmus_primitive *rwlock);
int bell_rwlock_acquire_write(struct isthmus_primitive *rwlock);
int bell_queue_join(struct isthmus_ring *queue);
/* `attempt` makes one without waiting, and says -EAGAIN, -EBUSY or -ETIMEDOUT if it was in vain. */
int bell_ring(struct isthmus_ring *ring, uint32_t side, int (*attempt)(struct isthmus_ring *ring));

#endif
