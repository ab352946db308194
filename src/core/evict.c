/* Taking from a participant, which may be alive, what others wait for. See isthmus/ring.h. */
#include "eventcount.h"
#include "participant.h"
#include "repair.h"
#include "ring.h"

static int the_same(const struct isthmus_ring *ring, const struct isthmus_participant *whom)
{
    const struct isthmus_shared_participant *slot = &ring->primitive.slots[whom->slot];
    return isthmus_peek_u32(&slot->pid) == whom->pid &&
           isthmus_peek_u64(&slot->joined_ns) == whom->joined_ns;
}

/*
 * A subscriber counts by one bit of its seat, which only itself sets, when it subscribes. Without
 * it publishers do not look at its cursor (look_around() in topic.c), and one that waits for it
 * sees the bit go (isthmus_topic_moved()). The subscriber does not look at the bit: it goes on from
 * its cursor, finds by `oldest` what was overwritten before or while it read, counts that as
 * missed by the numbers, and waits on `arrival`, or by a doorbell, as ever: as one of a topic whose
 * publishers overwrite. Its pin is looked at with or without the bit.
 *
 * Between the look at who it is and the change of the bit it may have left, and another one may
 * have subscribed in its slot: some microseconds of system calls. That one is evicted then. It
 * loses nothing unless it is slow, and knows of it (isthmus_topic_evicted()).
 */
static int evict_subscriber(struct isthmus_ring *topic, const struct isthmus_participant *whom,
                            struct isthmus_evicted *evicted)
{
    struct isthmus_shared_seat *seat = &topic->seats[whom->slot];
    if (!the_same(topic, whom))
        return -ESRCH;
    if (!(isthmus_load_u32(&seat->role) & ISTHMUS_ROLE_SUBSCRIBER))
        return -ENOENT;
    evicted->pinned = isthmus_load_u64(&seat->pin) != 0;
    /* The commit. Dies before: nothing. After: evicted; who waits sees it at the slice's end. */
    isthmus_and_u32(&seat->role, ~ISTHMUS_ROLE_SUBSCRIBER);
    isthmus_add_u32(&topic->cursors->evicted, 1);
    isthmus_notify(topic, &topic->cursors->room, INT32_MAX);
    return 0;
}

/*
 * Under the consumer lock it cannot lease, nor leave as long as it has leases: so what is leased by
 * its slot is its own, and nobody else's. It keeps what it owes: what a plain read took.
 *
 * A lease is known by its message. If it leases the same one again, whoever has the old lease in
 * that process can settle it: that is one who has worked on it as well.
 */
static int evict_consumer(struct isthmus_ring *queue, const struct isthmus_participant *whom,
                          uint64_t deadline, struct isthmus_evicted *evicted)
{
    struct isthmus_shared_cursors *cursors = queue->cursors;
    uint32_t ready = 0;
    int error = isthmus_queue_lock(queue, deadline);
    if (error)
        return error;
    if (!the_same(queue, whom)) {
        error = -ESRCH;
    } else {
        ready = isthmus_repair_leases(queue, whom->slot, &evicted->leases);
        /*
         * Dies before, with leases that went back: whoever takes over the lock makes its share
         * anew from what it still has (recover() in queue.c). So it is never less than that.
         */
        if (evicted->leases)
            isthmus_add_u32(&queue->primitive.slots[whom->slot].share, 0 - evicted->leases);
        else
            error = -ENOENT;
        ready = isthmus_queue_lease_ended(queue, ready);
    }
    isthmus_ring_unlock(queue, &cursors->consumer);
    if (!error) {
        /* Dies here: who sleeps looks again at the end of the slice. */
        if (ready)
            isthmus_notify(queue, &cursors->arrival, ready);
        isthmus_notify(queue, &cursors->room, INT32_MAX);
        isthmus_notify(queue, &cursors->finished, INT32_MAX);
    }
    return error;
}

int isthmus_ring_evict(struct isthmus_ring *ring, const struct isthmus_participant *whom,
                       uint64_t deadline, struct isthmus_evicted *evicted)
{
    struct isthmus_evicted done = {.leases = 0};
    int result = isthmus_ring_unfit(ring, ISTHMUS_KIND_ANY);
    if (result)
        return result;
    if (whom->slot >= ring->primitive.count || whom->pid == 0 || !the_same(ring, whom))
        return -ESRCH;
    if (whom->slot == (uint32_t)ring->primitive.slot)
        return -EINVAL;
    done.leases = isthmus_load_u32(&ring->primitive.slots[whom->slot].share);
    result = isthmus_bury(&ring->primitive, whom->slot, deadline);
    if (result < 0)
        return result;
    done.dead = result;
    if (!done.dead)
        result = ring->primitive.kind == ISTHMUS_KIND_TOPIC
                     ? evict_subscriber(ring, whom, &done)
                     : evict_consumer(ring, whom, deadline, &done);
    else
        result = 0;
    if (!result)
        *evicted = done;
    return result;
}

int isthmus_topic_evicted(const struct isthmus_ring *topic)
{
    return !isthmus_ring_unfit(topic, ISTHMUS_KIND_TOPIC) &&
           isthmus_plays(topic, ISTHMUS_ROLE_SUBSCRIBER) &&
           !(isthmus_load_u32(&isthmus_seat_of(topic)->role) & ISTHMUS_ROLE_SUBSCRIBER);
}
