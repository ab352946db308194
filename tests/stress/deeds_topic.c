/*
 * Topics: every subscriber gets every message, whole and in order, or is told how many it has
 * missed; what one has in view does not change; nobody waits for one that is dead.
 */
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct isthmus_ring *ring_of(struct self *self, unsigned object)
{
    return &self->rings[object - FIRST_RING];
}

static struct hearing *hearing_of(struct self *self, unsigned object)
{
    return &self->hearings[object - FIRST_RING];
}

static void deed_publish(struct self *self, unsigned object)
{
    /* Never for ever: another one that does the same may be the subscriber in the way. */
    const uint64_t deadline = pick(self, 2) ? 0 : isthmus_deadline_after(1 + pick(self, 3000000));
    begin(self, "publishes to", object);
    const int result = bring(self, object, deadline);
    if (result && result != -EAGAIN && result != -EBUSY && result != -ETIMEDOUT)
        unexpected(object, "publishing", result);
}

/* ---- Subscribing ----------------------------------------------------------------------------- */

static uint64_t published(struct self *self, unsigned object)
{
    struct isthmus_topic_state state;
    const int result = isthmus_topic_state(ring_of(self, object), &state);
    if (result)
        unexpected(object, "looking at the state", result);
    REQUIRE(state.tail - state.oldest <= ring_plan(object - FIRST_RING).capacity, object);
    return state.published;
}

static void subscribe(struct self *self, unsigned object)
{
    struct hearing *hearing = hearing_of(self, object);
    const uint32_t choice = pick(self, 3);
    const uint64_t start = choice == 0   ? ISTHMUS_START_NEXT
                           : choice == 1 ? ISTHMUS_START_OLDEST
                                         : 1 + pick(self, 20);
    begin(self, "subscribes to", object);
    *hearing = (struct hearing){.earliest = published(self, object)};
    int result;
    do
        result = isthmus_topic_subscribe(ring_of(self, object), start);
    while (result == -EINTR);
    if (result)
        unexpected(object, "subscribing", result);
    hearing->latest = published(self, object);
    /* Elsewhere it may start with earlier ones. */
    if (start != ISTHMUS_START_NEXT)
        hearing->earliest = 0;
    hearing->subscribed = 1;
}

void inherit_hearings(struct self *child)
{
    for (unsigned i = 0; i < RINGS; i++)
        if (child->hearings[i].subscribed)
            /* The count of a new participant begins at 0. */
            child->hearings[i].before = child->hearings[i].missed;
}

/* ---- Hearing --------------------------------------------------------------------------------- */

/* Nothing that was published for sure may lie between two that follow each other. */
static void require_none_between(unsigned object, const struct message *message, uint64_t from)
{
    const struct log *log = &accounts[object - FIRST_RING].logs[message->actor];
    for (uint64_t i = from; i < message->number; i++)
        if (get(&log->entries[i].marks) & PUT)
            fail("%s: message %u of actor %u came, and %u before it did not", objects[object].label,
                 message->number, message->actor, (unsigned)i);
}

/* The next one that this subscriber gets. */
static void hear(struct self *self, unsigned object, const struct message *message,
                 uint64_t sequence)
{
    struct hearing *hearing = hearing_of(self, object);
    uint64_t *from = &hearing->whole_from[message->actor];
    if (hearing->received && sequence < hearing->expected)
        fail("%s: number %llu comes after %llu", objects[object].label,
             (unsigned long long)sequence, (unsigned long long)hearing->expected - 1);
    if (message->number < *from)
        fail("%s: message %u of actor %u after %u", objects[object].label, message->number,
             message->actor, (unsigned)*from - 1);
    if (sequence != hearing->expected)
        memset(hearing->whole_from, 0, sizeof hearing->whole_from);
    else if (*from)
        require_none_between(object, message, *from);
    *from = message->number + 1;
    hearing->expected = sequence + 1;
    hearing->received++;
}

/*
 * All from its first one on were received or missed: so the number of the first follows, which is
 * known at least to lie in some range, and then stays the same. `lapped`: it may have been told of
 * more, as some that it saw were gone before it had got them.
 */
static void require_told(struct self *self, unsigned object, int lapped)
{
    struct hearing *hearing = hearing_of(self, object);
    const uint64_t missed = hearing->before + isthmus_topic_missed(ring_of(self, object));
    const uint64_t told = missed - hearing->missed;
    const int64_t start = (int64_t)(hearing->expected - hearing->received - missed);
    const int known = hearing->earliest == hearing->latest;
    hearing->missed = missed;
    add(&accounts[object - FIRST_RING].tally.missed, told);
    if (start > (int64_t)hearing->latest || (!lapped && start < (int64_t)hearing->earliest))
        fail("%s: received %llu up to number %llu, and missed %llu, from %llu or up to %llu on",
             objects[object].label, (unsigned long long)hearing->received,
             (unsigned long long)hearing->expected - 1, (unsigned long long)missed,
             (unsigned long long)hearing->earliest, (unsigned long long)hearing->latest);
    if (!lapped)
        hearing->earliest = hearing->latest = (uint64_t)start;
    if (told && known && ring_only_blocks(object - FIRST_RING))
        fail("%s: missed %llu though nobody overwrites", objects[object].label,
             (unsigned long long)told);
}

static int is_no(int result, uint64_t deadline)
{
    return result == -EAGAIN || (result == -EBUSY && !deadline) ||
           (result == -ETIMEDOUT && deadline != ISTHMUS_FOREVER);
}

/* What was read from memory that a publisher may have written to meanwhile. */
struct copy {
    struct message message;
    uint64_t sequence;
};

/* 0: a message that was copied whole. Else as isthmus_read_next(). *lapped: one that was not. */
static int next_copy(struct self *self, unsigned object, struct isthmus_read *read,
                     unsigned char *buffer, struct copy *copy, int *lapped)
{
    struct isthmus_ring *topic = ring_of(self, object);
    struct isthmus_record record;
    for (*lapped = 0;; *lapped = 1) {
        const int result = isthmus_read_next(topic, read, &record);
        if (result)
            return result;
        REQUIRE(record.size <= ring_plan(object - FIRST_RING).capacity, object);
        /* In two parts, between which publishers may get to it. */
        const size_t half = (size_t)record.size / 2;
        memcpy(buffer, record.data, half);
        linger(self);
        memcpy(buffer + half, (const unsigned char *)record.data + half,
               (size_t)record.size - half);
        if (isthmus_read_valid(topic, read, &record) == 0)
            break;
    }
    require_whole(object - FIRST_RING, buffer, record.size, &copy->message);
    copy->sequence = record.sequence;
    *lapped = 0; /* it was told, but of what lies before this one */
    return 0;
}

static int begin_hearing(struct self *self, unsigned object, struct isthmus_read *read,
                         uint64_t deadline)
{
    int result;
    do
        result = isthmus_read_begin(ring_of(self, object), read, deadline);
    while (result == -EINTR);
    return result;
}

static int await_message(struct self *self, unsigned object, const struct isthmus_read *read,
                         uint64_t deadline)
{
    int result;
    if (pick(self, 2))
        isthmus_read_glance(ring_of(self, object), read);
    do
        result = isthmus_read_await(ring_of(self, object), read, deadline);
    while (result == -EINTR);
    return result;
}

/* Several together, as copies. How many, or what was in the way. */
static int hear_several(struct self *self, unsigned object, unsigned wanted, uint64_t deadline)
{
    struct isthmus_ring *topic = ring_of(self, object);
    unsigned char *buffer = malloc((size_t)ring_plan(object - FIRST_RING).capacity);
    struct copy copies[BATCH];
    struct isthmus_read read;
    unsigned count = 0;
    int result, lapped = 0;

    if (!buffer)
        fail("no memory");
    for (;;) {
        result = begin_hearing(self, object, &read, deadline);
        if (result)
            break;
        while (count < wanted &&
               !(result = next_copy(self, object, &read, buffer, &copies[count], &lapped)))
            count++;
        if (count)
            break;
        isthmus_read_abort(topic, &read);
        if (result != -EAGAIN || !deadline)
            break;
        result = await_message(self, object, &read, deadline);
        if (result)
            break;
    }
    free(buffer);
    if (!count || (result && result != -EAGAIN))
        return result;
    if (pick(self, 16) == 0) {
        isthmus_read_abort(topic, &read);
        return 0;
    }
    isthmus_read_commit(topic, &read);
    for (unsigned i = 0; i < count; i++)
        hear(self, object, &copies[i].message, copies[i].sequence);
    require_told(self, object, lapped);
    return (int)count;
}

/* One, in place: pinned, it stays as it is, whatever the publishers do. */
static int view_one(struct self *self, unsigned object, uint64_t deadline)
{
    const unsigned number = object - FIRST_RING;
    struct isthmus_ring *topic = ring_of(self, object);
    struct isthmus_record record;
    struct message message;
    struct isthmus_read read;
    int result;

    for (;;) {
        result = begin_hearing(self, object, &read, deadline);
        if (result)
            return result;
        result = isthmus_read_next(topic, &read, &record);
        if (result == 0)
            result = isthmus_topic_pin(topic, record.position);
        if (result == 0)
            break;
        isthmus_read_abort(topic, &read);
        if (result == -ESTALE)
            continue; /* it was just about to be overwritten: look again */
        if (result != -EAGAIN || !deadline)
            return result;
        result = await_message(self, object, &read, deadline);
        if (result)
            return result;
    }
    isthmus_read_commit(topic, &read);
    require_whole(number, record.data, record.size, &message);
    begin(self, "has in view something of", object);
    hear(self, object, &message, record.sequence);
    require_told(self, object, 0);
    linger(self);
    require_whole(number, record.data, record.size, &message);
    result = isthmus_topic_pin(topic, UINT64_MAX);
    if (result)
        unexpected(object, "unpinning", result);
    add(&accounts[number].tally.viewed, 1);
    return 1;
}

static void deed_hear(struct self *self, unsigned object)
{
    /* A child does not wait for ever: its parent, which waits for it, may be in the way. */
    const uint64_t deadline =
        self->child ? isthmus_deadline_after(pick(self, 3000000)) : some_deadline(self);
    begin(self, "hears", object);
    const int count = pick(self, 3) ? hear_several(self, object, 1 + pick(self, 6), deadline)
                                    : view_one(self, object, deadline);
    if (count < 0 && !is_no(count, deadline))
        unexpected(object, "receiving", count);
    if (count > 0)
        add(&accounts[object - FIRST_RING].tally.received, (uint64_t)count);
}

void deed_topic(struct self *self, unsigned object)
{
    struct hearing *hearing = hearing_of(self, object);
    const uint32_t choice = pick(self, 100);
    /* What a subscriber has heard is known in its order only to one thread. */
    const int hears = self->child || self->actor % PER_PROCESS == 0;
    if (choice < 40 || !hears) {
        deed_publish(self, object);
    } else if (!hearing->subscribed) {
        subscribe(self, object);
    } else if (choice < 95) {
        deed_hear(self, object);
    } else {
        begin(self, "unsubscribes from", object);
        const int result = isthmus_topic_unsubscribe(ring_of(self, object));
        if (result)
            unexpected(object, "unsubscribing", result);
        hearing->subscribed = 0;
    }
}

/* ---- The warden ------------------------------------------------------------------------------ */

/* Those that wait for ever for a message. */
void tend_topic(struct self *warden, unsigned object)
{
    int result = 0;
    for (unsigned i = get(&stress->stop) ? 2 : 1; i && !result; i--)
        result = bring(warden, object, 0);
    if (result && !is_no(result, 0))
        unexpected(object, "tending", result);
}

/* All workers are gone: what is kept can be read from the oldest to the last. */
void conclude_topic(struct self *warden, unsigned object)
{
    const unsigned number = object - FIRST_RING;
    struct isthmus_ring *topic = ring_of(warden, object);
    struct isthmus_topic_state state;
    uint64_t sure, perhaps, heard = 0;
    int result;

    *hearing_of(warden, object) = (struct hearing){.latest = INT64_MAX};
    REQUIRE(isthmus_topic_subscribe(topic, ISTHMUS_START_OLDEST) == 0, object);
    REQUIRE(isthmus_topic_state(topic, &state) == 0, object);
    const uint64_t kept = isthmus_topic_lag(topic);
    REQUIRE(kept == state.kept, object);
    while ((result = hear_several(warden, object, BATCH, 0)) >= 0)
        heard += (uint64_t)result;
    REQUIRE(result == -EAGAIN, object);
    REQUIRE(heard == kept, object);
    REQUIRE(isthmus_topic_lag(topic) == 0, object);
    ledger_count(number, &sure, &perhaps);
    REQUIRE(state.published >= sure && state.published <= sure + perhaps, object);
    accounts[number].tally.evicted = state.evicted;
    if (objects[object].flags & ISTHMUS_PERSIST)
        REQUIRE(isthmus_ring_unlink(topic) == 0, object);
}

/* ---- One that is there only while somebody uses it ------------------------------------------- */

void deed_fleeting_topic(struct self *self, unsigned object)
{
    struct isthmus_ring table[RINGS], *const shared = self->rings;
    struct hearing hearings[RINGS], *const known = self->hearings;
    const int publishes = (int)pick(self, 2);

    self->rings = table;
    self->hearings = hearings;
    open_object(self, object);
    if (!publishes)
        subscribe(self, object);
    for (unsigned i = pick(self, 4); i; i--) {
        if (publishes) {
            deed_publish(self, object);
            continue;
        }
        begin(self, "hears", object);
        const int count = hear_several(self, object, 3, isthmus_deadline_after(500000));
        if (count < 0 && count != -ETIMEDOUT)
            unexpected(object, "receiving", count);
    }
    begin(self, "closes", object);
    close_object(self, object);
    self->rings = shared;
    self->hearings = known;
}
