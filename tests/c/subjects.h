/*
 * Everything that can be waited for by doorbell: how it is not there, and how it comes to be there.
 * Of the two handles one waits; the other one, which made the object, brings it.
 */
#ifndef SUBJECTS_H
#define SUBJECTS_H

#include "bells.h"
#include "rings.h"

extern struct isthmus_ring waiter, bringer;
/* The same as primitives. */
#define first (&waiter.primitive)
#define second (&bringer.primitive)

struct subject {
    const char *what;
    uint32_t kind, flags;
    int64_t value; /* of a queue: its maxsize */
    uint32_t side;
    uint32_t whom; /* who is rung for */
    void (*prepare)(void);
    void (*bring)(void);
};
extern const struct subject subjects[];
extern const size_t subject_count;
/* What else the side needs to know; as the last prepare has set it. */
extern uint64_t subject_about;

/* Both handles, prepared; closed. */
void subject_begin(const struct subject *subject);
void subject_end(void);
/* A bell of `first`, which has not hung. */
void subject_watch(struct bell *bell, const struct subject *subject);
/* Does this handle hold a lock at the moment that operations of others wait for? */
int subject_in_the_way(const struct isthmus_primitive *handle);

/* By the second handle. */
void subject_put(void);
void subject_get(void);
void subject_fill(void);
void subject_set(void);

#endif
