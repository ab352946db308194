/*
 * The bytes of a ring once more, at addresses of their own, for producers that let code that
 * is not ours write to them in place.
 *
 * Whoever was given an address may keep it for longer than the record is the producer's. Then
 * the addresses are cut off: what is written there from then on goes nowhere.
 */
#ifndef ISTHMUS_LOAN_H
#define ISTHMUS_LOAN_H

#include <isthmus/isthmus.h>

struct isthmus_loan_map {
    unsigned char *data; /* as isthmus_ring.data */
    void *base;
    size_t size;
};

/* -ENOSYS: no /proc. The mapping keeps the ring's memory, but no participant alive. */
int isthmus_loan_map(const struct isthmus_ring *ring, struct isthmus_loan_map *map);
/* Where in it a record of the ring has its payload. */
static inline void *isthmus_loan_place(const struct isthmus_loan_map *map,
                                       const struct isthmus_ring *ring,
                                       const struct isthmus_record *record)
{
    return map->data + ((const unsigned char *)record->data - ring->data);
}
/* From now on there is memory of this process's own at these addresses. */
int isthmus_loan_cut(const struct isthmus_loan_map *map);
void isthmus_loan_unmap(struct isthmus_loan_map *map);

#endif
