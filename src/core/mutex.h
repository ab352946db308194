/*
 * The robust lock word (isthmus/layout.h): the owner's slot, 0 for nobody. All locks of
 * the library, those that users see and those inside other primitives, are made of it.
 *
 * `tid`: the word that says which thread owns it, or NULL; 0 whenever nobody owns it.
 */
#ifndef ISTHMUS_MUTEX_H
#define ISTHMUS_MUTEX_H

#include <isthmus/isthmus.h>

/* How long one that only tries waits for a guard, whose owner may have been put aside. */
#define ISTHMUS_PATIENCE_NS UINT64_C(100000000)

/* 0: taken. -EOWNERDEAD: taken, from one that died. -ETIMEDOUT, -EINTR. */
int isthmus_mutex_acquire(struct isthmus_primitive *primitive, uint32_t *word, uint32_t *tid,
                          uint64_t deadline);
/* By the owner. `abandoned`: the next one gets -EOWNERDEAD. */
void isthmus_mutex_release(const struct isthmus_primitive *primitive, uint32_t *word,
                           int abandoned);
/* By anybody, whoever owns it. -EPERM: nobody does. Only for words whose `tid` is for people. */
int isthmus_mutex_release_any(const struct isthmus_primitive *primitive, uint32_t *word,
                              uint32_t *tid);

/*
 * Around the few instructions in which a primitive changes several of its words. Death in
 * there is repaired from the records in the slots, so the next one need not know of it.
 * Waits a while even for a deadline of 0: the owner is about to be done. -ETIMEDOUT, -EINTR.
 */
int isthmus_guard_acquire(struct isthmus_primitive *primitive, uint32_t *word, uint64_t deadline);
/* The same without an end, for what must not fail. */
void isthmus_guard_enter(struct isthmus_primitive *primitive, uint32_t *word);

#endif
