/* Death at every step of evicting another one, and of mending what is damaged. See death.h. */
#include "check.h"
#include "death.h"
#include "mend.h"
#include <errno.h>
#include <string.h>

static const struct isthmus_ring_plan plain = {.kind = ISTHMUS_KIND_QUEUE,
                                               .capacity = ISTHMUS_RING_MIN};
static const struct isthmus_ring_plan wrapping = {
    .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .start = 0 - UINT64_C(96)};
static const struct isthmus_ring_plan once = {
    .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .max_attempts = 1};
static const struct isthmus_ring_plan topic = {.kind = ISTHMUS_KIND_TOPIC,
                                               .capacity = ISTHMUS_RING_MIN};

#define MESSAGES 6u
#define LEASES 3u
static struct isthmus_record leases[LEASES]; /* of the worker, who lives */

/* ---- Victims ----------------------------------------------------------------------------- */

/* The worker, who made the ring, is in the first slot. */
static void evict(void)
{
    struct isthmus_participant whom;
    struct isthmus_evicted evicted;
    CHECK_OK(isthmus_primitive_participant(&my_ring.primitive, 0, &whom));
    CHECK_OK(isthmus_ring_evict(&my_ring, &whom, SOON(), &evicted));
}

static void mend(struct isthmus_ring *ring)
{
    static struct isthmus_mend mend;
    uint32_t word;
    memset(&mend, 0, sizeof mend);
    mend.lossy = 1;
    CHECK_OK(isthmus_mend_begin(ring, SOON(), &word));
    if (ring->primitive.kind == ISTHMUS_KIND_QUEUE)
        isthmus_mend_queue(ring, &mend);
    else
        isthmus_mend_topic(ring, &mend);
    isthmus_mend_end(ring);
}

static void mend_it(void)
{
    mend(&my_ring);
}

static void mend_constants_of(struct isthmus_ring *ring)
{
    static struct isthmus_mend mend;
    memset(&mend, 0, sizeof mend);
    CHECK_OK(isthmus_mend_constants(ring->primitive.mapping, ring->primitive.mapped, &mend));
}

static void mend_constants(void)
{
    mend_constants_of(&my_ring);
}

/* ---- Before ------------------------------------------------------------------------------ */

static void own_has_leases(void)
{
    rings_put(&own_ring, 1, 0, MESSAGES);
    for (unsigned i = 0; i < LEASES; i++)
        CHECK_OK(rings_lease(&own_ring, &leases[i], 0));
}

static void own_is_in_the_way(void)
{
    CHECK_OK(isthmus_topic_subscribe(&own_ring, ISTHMUS_START_NEXT));
    CHECK_UINT(rings_fill(&own_ring, 1), MESSAGES_FIT);
}

static void publish_as_companion(struct isthmus_ring *ring)
{
    CHECK_OK(rings_write(ring, 2, 0, MESSAGE_SIZE, SOON()));
}

static void another_waits_for_room(void)
{
    death_ring_companion(publish_as_companion);
    UNTIL(rings_waiting(&own_ring) == 1);
}

static struct isthmus_shared_record *record_of(uint64_t number)
{
    const uint64_t start = act->ring->start + number * MESSAGE_ROOM;
    return (void *)(own_ring.data + (start & (own_ring.capacity - 1)));
}

/* Two that follow each other, and a third one, are damaged; one of the others is leased. */
static void records_are_damaged(void)
{
    rings_put(&own_ring, 1, 0, MESSAGES);
    CHECK_OK(rings_lease(&own_ring, &leases[0], 0));
    record_of(1)->size = 1;
    record_of(2)->check ^= 1;
    record_of(4)->sequence = 77;
}

static void records_of_a_topic_are_damaged(void)
{
    rings_put(&own_ring, 1, 0, MESSAGES);
    record_of(1)->size = 1;
    record_of(2)->check ^= 1;
}

static void cursors_are_damaged(void)
{
    rings_put(&own_ring, 1, 0, MESSAGES);
    own_ring.cursors->tail = 12345;
    own_ring.cursors->head = UINT64_MAX;
    own_ring.cursors->out = 99;
    own_ring.cursors->next += 32;
    own_ring.cursors->got[0].count = 1000;
}

static void constants_are_damaged(void)
{
    struct isthmus_shared_header *header = own_ring.primitive.mapping;
    memset(header, 0xee, sizeof *header);
    own_ring.primitive.shared->participants = 5;
    ((struct isthmus_shared_ring *)(own_ring.primitive.shared + 1))->data_offset++;
}

/* ---- Afterwards -------------------------------------------------------------------------- */

static void check_empty(void)
{
    rings_expect_none(&own_ring);
    CHECK_OK(isthmus_queue_join(&own_ring, SOON()));
    CHECK_RESULT(isthmus_queue_task_done(&own_ring), -ERANGE);
    rings_check_state(&own_ring, 0, 0, 0);
    rings_check_capacity(&own_ring);
    death_check_ring_table(1);
}

static void get_one(uint32_t seen[MESSAGES])
{
    struct message message;
    CHECK_OK(rings_get(&own_ring, &message, SOON()));
    CHECK(message.number < MESSAGES);
    seen[message.number]++;
    CHECK_OK(isthmus_queue_task_done(&own_ring));
}

/* What was leased is acknowledged by who had it, or given to another; what is set aside, neither.
 */
static void each_message_is_there_once(void)
{
    uint32_t seen[MESSAGES] = {0}, done = 0;
    struct isthmus_queue_state state;
    for (uint32_t i = 0; i < LEASES; i++) {
        const int result = rings_acknowledge(&own_ring, &leases[i]);
        CHECK(result == 0 || result == -ESTALE);
        seen[i] += result == 0;
        done += result == 0;
    }
    CHECK_OK(isthmus_queue_state(&own_ring, &state));
    CHECK_UINT(state.leased, 0);
    for (uint64_t i = state.ready; i > 0; i--)
        get_one(seen);
    for (uint32_t i = 0; i < MESSAGES; i++)
        if (i >= LEASES || state.aside == 0)
            CHECK_UINT(seen[i], 1);
    CHECK_UINT(state.ready + done + state.aside, MESSAGES);
    if (state.aside) {
        for (uint32_t i = 0; i < LEASES; i++) {
            const int result = isthmus_queue_aside_remove(&own_ring, i);
            CHECK_RESULT(result, seen[i] ? -ENOENT : 0);
        }
    }
    check_empty();
}

/* Not evicted: the other one waits for it to read. */
static void it_reads_on_and_is_told_what_it_missed(void)
{
    struct message message;
    uint64_t count = 0;
    if (!isthmus_topic_evicted(&own_ring)) {
        CHECK_OK(rings_get(&own_ring, &message, 0));
        count++;
    }
    death_join_companions();
    while (rings_get(&own_ring, &message, 0) == 0)
        count++;
    CHECK_UINT(count + isthmus_topic_missed(&own_ring), MESSAGES_FIT + 1);
    CHECK_UINT(isthmus_topic_lag(&own_ring), 0);
    CHECK((isthmus_topic_evicted(&own_ring) != 0) == (isthmus_topic_missed(&own_ring) != 0));
    death_check_ring_table(1);
}

static void all_but_the_damaged_are_there(void)
{
    uint32_t seen[MESSAGES] = {0};
    mend(&own_ring);
    CHECK_OK(rings_acknowledge(&own_ring, &leases[0]));
    rings_check_state(&own_ring, 2, 0, 0);
    get_one(seen);
    get_one(seen);
    CHECK(seen[3] && seen[5]);
    check_empty();
}

static void all_are_there(void)
{
    uint32_t seen[MESSAGES] = {0};
    mend(&own_ring);
    rings_check_state(&own_ring, MESSAGES, 0, 0);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        get_one(seen);
        CHECK_UINT(seen[i], 1);
    }
    check_empty();
}

static void a_late_one_gets_what_is_behind_the_damage(void)
{
    mend(&own_ring);
    CHECK_OK(isthmus_topic_subscribe(&own_ring, ISTHMUS_START_OLDEST));
    for (uint32_t i = 3; i < MESSAGES; i++)
        rings_expect(&own_ring, 1, i);
    rings_put(&own_ring, 1, MESSAGES, 1);
    rings_expect(&own_ring, 1, MESSAGES);
    death_check_ring_table(1);
}

static void others_can_come(void)
{
    mend_constants_of(&own_ring);
    rings_put(&own_ring, 1, 0, 1);
    rings_expect(&own_ring, 1, 0);
    CHECK_OK(isthmus_queue_task_done(&own_ring));
    check_empty();
}

#define ACT(plan, text, ...) {.what = text, .ring = &plan, __VA_ARGS__}

static const struct death_act evicting[] = {
    ACT(plain, "evict a consumer", .before = own_has_leases, .run = evict,
        .after = each_message_is_there_once),
    ACT(wrapping, "evict a consumer, over the end", .before = own_has_leases, .run = evict,
        .after = each_message_is_there_once),
    ACT(once, "evict a consumer for the last time", .before = own_has_leases, .run = evict,
        .after = each_message_is_there_once),
    ACT(topic, "evict a subscriber", .before = own_is_in_the_way, .between = another_waits_for_room,
        .run = evict, .after = it_reads_on_and_is_told_what_it_missed),
};

static const struct death_act mending[] = {
    ACT(plain, "mend records", .before = records_are_damaged, .run = mend_it,
        .after = all_but_the_damaged_are_there),
    ACT(wrapping, "mend records, over the end", .before = records_are_damaged, .run = mend_it,
        .after = all_but_the_damaged_are_there),
    ACT(plain, "mend cursors", .before = cursors_are_damaged, .run = mend_it,
        .after = all_are_there),
    ACT(topic, "mend a topic", .before = records_of_a_topic_are_damaged, .run = mend_it,
        .after = a_late_one_gets_what_is_behind_the_damage),
    ACT(plain, "mend constants", .between = constants_are_damaged, .run = mend_constants,
        .after = others_can_come),
};

static void death_at_any_step_of_evicting_loses_no_message_and_no_count(void)
{
    death_run(evicting, sizeof evicting / sizeof evicting[0]);
}

static void death_at_any_step_of_mending_leaves_what_can_be_mended_again(void)
{
    death_run(mending, sizeof mending / sizeof mending[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(death_at_any_step_of_evicting_loses_no_message_and_no_count),
    CHECK_TEST(death_at_any_step_of_mending_leaves_what_can_be_mended_again),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
