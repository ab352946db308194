/* Primitives: the pieces that other parts of the core use. Opening them is public. */
#ifndef ISTHMUS_PRIMITIVE_H
#define ISTHMUS_PRIMITIVE_H

#include <isthmus/isthmus.h>

/* How often something may be found in the hands of another that is about to be done. */
#define ISTHMUS_ATTEMPTS 200u

/* Make one of a kind that needs no more to be said, in zeroed memory that nobody else sees yet. */
void isthmus_primitive_init(void *memory, uint32_t kind, uint32_t participants);

/* The flags that a kind may have; whether it has participants. */
uint32_t isthmus_primitive_flags(uint32_t kind);
int isthmus_primitive_has_participants(uint32_t kind, uint32_t flags);

/* Check a plan and fill in what it leaves open. */
int isthmus_primitive_complete(const struct isthmus_primitive_plan *plan,
                               struct isthmus_primitive_plan *complete);
/* Write a primitive into zeroed memory; all but the magic, so that it may be done again. */
void isthmus_primitive_write(struct isthmus_shared_primitive *shared,
                             const struct isthmus_primitive_plan *plan);
/*
 * Make the handle, without a description and not joined, of what is `place` bytes into the
 * `size` bytes at `data`: checked. -ENOENT: nothing, or not ready.
 */
int isthmus_primitive_read(struct isthmus_primitive *primitive, void *data, size_t size,
                           uint64_t place, uint32_t kind);
/* Does what is there suit the plan? -ENOTUNIQ. */
int isthmus_primitive_compare(const struct isthmus_primitive *primitive,
                              const struct isthmus_primitive_plan *plan);

/*
 * At the end of a process, when another thread may still wait on this handle: as
 * isthmus_primitive_close(), as far as the object is concerned. The participant stays, and with
 * it what it holds or is about to get, until the process is gone.
 */
void isthmus_primitive_forsake(const struct isthmus_primitive *primitive);

/* A moment of sleep, between two attempts; -EINTR: a signal has ended it. */
int isthmus_pause_a_moment(void);

#endif
