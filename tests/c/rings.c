#include "rings.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void rings_make(struct isthmus_ring *ring, const struct isthmus_ring_plan *plan)
{
    struct isthmus_ring_plan complete = *plan;
    if (!complete.participants)
        complete.participants = RINGS_PARTICIPANTS;
    CHECK_OK(isthmus_ring_anonymous(ring, &complete));
    ring->primitive.spin_ns = 0;
}

void rings_join(struct isthmus_ring *ring, const struct isthmus_ring *other)
{
    CHECK_OK(isthmus_ring_from_fd(ring, other->primitive.fd, other->primitive.kind));
    ring->primitive.spin_ns = 0;
}

void rings_queue(struct isthmus_ring *ring)
{
    const struct isthmus_ring_plan plan = {.kind = ISTHMUS_KIND_QUEUE,
                                           .capacity = ISTHMUS_RING_MIN};
    rings_make(ring, &plan);
}

void rings_topic(struct isthmus_ring *ring)
{
    const struct isthmus_ring_plan plan = {.kind = ISTHMUS_KIND_TOPIC,
                                           .capacity = ISTHMUS_RING_MIN};
    rings_make(ring, &plan);
}

/* ---- Children ---------------------------------------------------------------------------- */

struct guest {
    const struct isthmus_ring *ring;
    rings_work *work;
    uint32_t *there; /* NULL: one that does not stay */
};

static void be_a_guest(void *argument)
{
    const struct guest *guest = argument;
    struct isthmus_ring own;
    rings_join(&own, guest->ring);
    guest->work(&own);
    if (!guest->there) {
        isthmus_ring_close(&own);
        return;
    }
    poke(guest->there, 1);
    for (;;)
        pause();
}

pid_t rings_stay(const struct isthmus_ring *ring, rings_work *work)
{
    struct guest guest = {ring, work, together_memory(sizeof(uint32_t))};
    pid_t child = check_start_child(be_a_guest, &guest);
    UNTIL(peek(guest.there));
    CHECK_INT(munmap(guest.there, sizeof(uint32_t)), 0);
    return child;
}

pid_t rings_send(const struct isthmus_ring *ring, rings_work *work)
{
    struct guest guest = {ring, work, NULL};
    return check_start_child(be_a_guest, &guest);
}

uint32_t rings_waiting(const struct isthmus_ring *ring)
{
    return together_waiting(&ring->primitive);
}

/* ---- Messages ------------------------------------------------------------------------ */

static uint32_t next_random(uint32_t random)
{
    return random * 1664525 + 1013904223;
}

static uint32_t seed_of(const struct message *message)
{
    return message->who * 2654435761u ^ message->number * 40503u ^ message->size;
}

void message_write(void *bytes, uint32_t who, uint32_t number, uint32_t size)
{
    struct message message = {who, number, size, 0};
    unsigned char *rest = bytes;
    uint32_t random = seed_of(&message), sum = random;

    CHECK(size >= MESSAGE_MIN);
    for (uint32_t i = MESSAGE_MIN; i < size; i++) {
        random = next_random(random);
        rest[i] = (unsigned char)(random >> 24);
        sum = sum * 31 + rest[i];
    }
    message.sum = sum;
    memcpy(bytes, &message, sizeof message);
}

int message_is_whole(const void *bytes, uint64_t size, struct message *message)
{
    const unsigned char *rest = bytes;

    if (size < MESSAGE_MIN)
        return 0;
    memcpy(message, bytes, sizeof *message);
    if (message->size != size)
        return 0;
    uint32_t random = seed_of(message), sum = random;
    for (uint32_t i = MESSAGE_MIN; i < size; i++) {
        random = next_random(random);
        if (rest[i] != (unsigned char)(random >> 24))
            return 0;
        sum = sum * 31 + rest[i];
    }
    return sum == message->sum;
}

struct message message_read(const void *bytes, uint64_t size)
{
    struct message message = {0};
    CHECK(message_is_whole(bytes, size, &message));
    return message;
}

/* ---- Putting ------------------------------------------------------------------------------ */

int rings_write(struct isthmus_ring *ring, uint32_t who, uint32_t number, uint32_t size,
                uint64_t deadline)
{
    unsigned char bytes[2 * ISTHMUS_RING_MIN];
    CHECK(size <= sizeof bytes);
    message_write(bytes, who, number, size);
    return isthmus_ring_write(ring, bytes, size, deadline);
}

int rings_try(struct isthmus_ring *ring, uint32_t who, uint32_t number, uint32_t size)
{
    unsigned char bytes[2 * ISTHMUS_RING_MIN];
    CHECK(size <= sizeof bytes);
    message_write(bytes, who, number, size);
    return isthmus_ring_try_write(ring, ISTHMUS_TYPE_BYTES, bytes, size);
}

void rings_put(struct isthmus_ring *ring, uint32_t who, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        CHECK_OK(rings_write(ring, who, first + i, MESSAGE_SIZE, SOON()));
}

uint32_t rings_fill(struct isthmus_ring *ring, uint32_t who)
{
    uint32_t count = 0;
    int result;
    while ((result = rings_try(ring, who, count, MESSAGE_SIZE)) == 0)
        count++;
    CHECK_RESULT(result, -EAGAIN);
    return count;
}

/* ---- Getting ------------------------------------------------------------------------------ */

int rings_next(struct isthmus_ring *ring, struct isthmus_read *read, struct isthmus_record *record,
               uint64_t deadline)
{
    for (;;) {
        int result = isthmus_read_begin(ring, read, deadline);
        if (result)
            return result;
        result = isthmus_read_next(ring, read, record);
        if (!result)
            return 0;
        isthmus_read_abort(ring, read);
        if (result != -EAGAIN || deadline == 0)
            return result;
        result = isthmus_read_await(ring, read, deadline);
        if (result)
            return result;
    }
}

int rings_get(struct isthmus_ring *ring, struct message *message, uint64_t deadline)
{
    unsigned char bytes[2 * ISTHMUS_RING_MIN];
    size_t size;
    int result = isthmus_ring_read(ring, bytes, sizeof bytes, &size, deadline);
    if (result)
        return result;
    const struct message found = message_read(bytes, size);
    if (message)
        *message = found;
    return 0;
}

void rings_expect(struct isthmus_ring *ring, uint32_t who, uint32_t number)
{
    struct message message;
    CHECK_OK(rings_get(ring, &message, SOON()));
    CHECK_UINT(message.who, who);
    CHECK_UINT(message.number, number);
}

void rings_expect_none(struct isthmus_ring *ring)
{
    struct isthmus_read read;
    struct isthmus_record record;
    CHECK_RESULT(rings_next(ring, &read, &record, 0), -EAGAIN);
}

int rings_lease(struct isthmus_ring *queue, struct isthmus_record *record, uint64_t deadline)
{
    struct isthmus_read read;
    int result = rings_next(queue, &read, record, deadline);
    return result ? result : isthmus_queue_lease(queue, &read, record);
}

int rings_acknowledge(struct isthmus_ring *queue, const struct isthmus_record *record)
{
    return isthmus_queue_acknowledge(queue, record->position, record->sequence);
}

int rings_give_back(struct isthmus_ring *queue, const struct isthmus_record *record)
{
    return isthmus_queue_give_back(queue, record->position, record->sequence);
}

void rings_check_state(const struct isthmus_ring *queue, uint64_t ready, uint64_t leased,
                       uint64_t aside)
{
    struct isthmus_queue_state state;
    CHECK_OK(isthmus_queue_state(queue, &state));
    CHECK_UINT(state.ready, ready);
    CHECK_UINT(state.leased, leased);
    CHECK_UINT(state.aside, aside);
}

void rings_check_capacity(struct isthmus_ring *queue)
{
    CHECK_UINT(rings_fill(queue, 77), MESSAGES_FIT);
    for (uint32_t i = 0; i < MESSAGES_FIT; i++) {
        rings_expect(queue, 77, i);
        CHECK_OK(isthmus_queue_task_done(queue));
    }
    rings_expect_none(queue);
}
