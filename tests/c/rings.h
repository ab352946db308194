/*
 * Queues and topics in tests: rings with handles for several, and messages that tell whether
 * they are whole, whose they are, and which of them.
 */
#ifndef RINGS_H
#define RINGS_H

#include "together.h"

#define RINGS_PARTICIPANTS 8u

/* An anonymous ring, which does not spin; another handle of it. */
void rings_make(struct isthmus_ring *ring, const struct isthmus_ring_plan *plan);
void rings_join(struct isthmus_ring *ring, const struct isthmus_ring *other);
/* A queue and a topic with the smallest capacity. */
void rings_queue(struct isthmus_ring *ring);
void rings_topic(struct isthmus_ring *ring);

/* A child with a handle of its own: as together_stay() and together_send(). */
typedef void rings_work(struct isthmus_ring *own);
pid_t rings_stay(const struct isthmus_ring *ring, rings_work *work);
pid_t rings_send(const struct isthmus_ring *ring, rings_work *work);

/* How many threads sleep in the kernel for something of this ring, or are about to. */
uint32_t rings_waiting(const struct isthmus_ring *ring);

/* ---- Messages ------------------------------------------------------------------------ */

/* What each begins with; `size` bytes in all, which depend on the rest of it. */
struct message {
    uint32_t who, number, size, sum;
};
#define MESSAGE_MIN ((uint32_t)sizeof(struct message))
/* The size with which a record takes 64 bytes, and so many fill the smallest ring. */
#define MESSAGE_SIZE 32u
#define MESSAGE_ROOM 64u
#define MESSAGES_FIT (ISTHMUS_RING_MIN / MESSAGE_ROOM)

void message_write(void *bytes, uint32_t who, uint32_t number, uint32_t size);
/* Ends the test unless it is one, whole, of so many bytes. */
struct message message_read(const void *bytes, uint64_t size);
/* The same, without ending the test: whether it is. */
int message_is_whole(const void *bytes, uint64_t size, struct message *message);

/* ---- Putting and getting ---------------------------------------------------------------- */

int rings_write(struct isthmus_ring *ring, uint32_t who, uint32_t number, uint32_t size,
                uint64_t deadline);
int rings_try(struct isthmus_ring *ring, uint32_t who, uint32_t number, uint32_t size);
/* Messages first … first + count - 1 of MESSAGE_SIZE, for which there is room. */
void rings_put(struct isthmus_ring *ring, uint32_t who, uint32_t first, uint32_t count);
/* Until there is no room: how many there was room for. */
uint32_t rings_fill(struct isthmus_ring *ring, uint32_t who);

/* begin and next, waiting: 0: the read is open. Else it is over. */
int rings_next(struct isthmus_ring *ring, struct isthmus_read *read, struct isthmus_record *record,
               uint64_t deadline);
/* Take one and commit; *message (may be NULL). */
int rings_get(struct isthmus_ring *ring, struct message *message, uint64_t deadline);
/* The next one is there, and is this one. */
void rings_expect(struct isthmus_ring *ring, uint32_t who, uint32_t number);
void rings_expect_none(struct isthmus_ring *ring);
int rings_lease(struct isthmus_ring *queue, struct isthmus_record *record, uint64_t deadline);
int rings_acknowledge(struct isthmus_ring *queue, const struct isthmus_record *record);
int rings_give_back(struct isthmus_ring *queue, const struct isthmus_record *record);

void rings_check_state(const struct isthmus_ring *queue, uint64_t ready, uint64_t leased,
                       uint64_t aside);
/* An empty queue of the smallest capacity, without maxsize: it can be filled and emptied. */
void rings_check_capacity(struct isthmus_ring *queue);

#endif
