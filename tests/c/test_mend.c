/*
 * Mending: what was damaged at random works afterwards, and nothing is lost that was sound.
 * Trials are numbered and each depends on its number and the seed only:
 *
 *     test_mend [TRIALS [SEED [FIRST]]]
 */
#include "array.h"
#include "check.h"
#include "mend.h"
#include "object.h"
#include "rings.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MESSAGES 20u

static uint64_t trials = 4000, seed = 1, first_trial;
static uint64_t random_state;

static uint64_t next_random(void)
{
    /* splitmix64 */
    uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t below(uint64_t limit)
{
    return next_random() % limit;
}

/* ---- The object -------------------------------------------------------------------------- */

static struct isthmus_ring ring;
static struct isthmus_mend report;
static uint64_t positions[MESSAGES];
static uint32_t sizes[MESSAGES];
static uint32_t taken; /* messages before this one are gone */

static const struct isthmus_ring_plan queue_plan = {
    .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .start = 0 - UINT64_C(320)};
static const struct isthmus_ring_plan aside_plan = {
    .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .max_attempts = 3, .maxsize = 100};
static const struct isthmus_ring_plan topic_plan = {.kind = ISTHMUS_KIND_TOPIC,
                                                    .capacity = ISTHMUS_RING_MIN};

static void fill(const struct isthmus_ring_plan *plan)
{
    uint64_t position = plan->start;
    rings_make(&ring, plan);
    taken = plan->kind == ISTHMUS_KIND_QUEUE ? (uint32_t)below(5) : 0;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        sizes[i] = MESSAGE_MIN + (uint32_t)below(100);
        positions[i] = position;
        CHECK_OK(rings_try(&ring, 1, i, sizes[i]));
        position = ring.cursors->tail;
    }
    for (uint32_t i = 0; i < taken; i++)
        rings_expect(&ring, 1, i);
}

static int queue(void)
{
    return ring.primitive.kind == ISTHMUS_KIND_QUEUE;
}

/* As isthmus repair does it; how much was found. */
static uint32_t mend(int lossy)
{
    uint32_t word;
    memset(&report, 0, sizeof report);
    report.lossy = lossy;
    CHECK_OK(isthmus_mend_begin(&ring, SOON(), &word));
    isthmus_mend_table(&ring.primitive, &report);
    if (queue())
        isthmus_mend_queue(&ring, &report);
    else
        isthmus_mend_topic(&ring, &report);
    isthmus_mend_end(&ring);
    return report.count;
}

/* Of one that was in order nothing is changed; of one that was mended, nothing more. */
static void expect_in_order(void)
{
    const uint32_t found = mend(1);
    if (found)
        fprintf(stderr, "found: %s, %" PRIx64 " to %" PRIx64 "\n", report.found[0].what,
                report.found[0].before, report.found[0].after);
    CHECK_UINT(found, 0);
}

static void expect_usable(void)
{
    struct isthmus_ring another;
    struct message message;
    rings_join(&another, &ring);
    if (!queue()) {
        CHECK_OK(isthmus_topic_unsubscribe(&ring));
        CHECK_OK(isthmus_topic_subscribe(&another, ISTHMUS_START_NEXT));
    }
    for (uint32_t i = 0; i < 2 * MESSAGES_FIT; i++) {
        CHECK_OK(rings_try(&ring, 3, i, MESSAGE_SIZE));
        CHECK_OK(rings_get(&another, &message, 0));
        CHECK_UINT(message.number, i);
    }
    isthmus_ring_close(&another);
}

/* Read all that is there: which of the messages that were put, in order. */
static uint32_t read_all(void)
{
    struct message message;
    uint32_t seen = 0, last = 0;
    if (!queue())
        CHECK_OK(isthmus_topic_subscribe(&ring, ISTHMUS_START_OLDEST));
    int result;
    while ((result = rings_get(&ring, &message, 0)) == 0) {
        CHECK(message.number < MESSAGES && (seen == 0 || message.number > last));
        last = message.number;
        seen |= UINT32_C(1) << message.number;
        if (queue())
            CHECK_OK(isthmus_queue_task_done(&ring));
    }
    CHECK_RESULT(result, -ETIMEDOUT);
    return seen;
}

static struct isthmus_shared_record *record_of(uint32_t i)
{
    return (void *)(ring.data + (positions[i] & (ring.capacity - 1)));
}

/* All words of a record's head but `state` and `attempts`, which the check leaves out. */
static void damage_record(uint32_t i)
{
    static const size_t places[] = {0, 4, 8, 12, 16, 28};
    uint32_t *word = (uint32_t *)(void *)((char *)record_of(i) + places[below(6)]);
    const uint32_t before = *word;
    do
        *word = below(2) ? (uint32_t)next_random() : before ^ UINT32_C(1) << below(32);
    while (*word == before);
}

#define ALL ((UINT32_C(1) << MESSAGES) - 1)

/* ---- Trials ------------------------------------------------------------------------------ */

static void damage_some_records(void)
{
    uint32_t damaged = 0, behind = 0;
    for (uint64_t count = 1 + below(4); count > 0; count--) {
        const uint32_t i = taken + (uint32_t)below(MESSAGES - taken);
        if (damaged >> i & 1)
            continue;
        damage_record(i);
        damaged |= UINT32_C(1) << i;
    }
    for (uint32_t i = 0; i < MESSAGES; i++)
        if (damaged >> i & 1)
            behind = i + 1;
    /* Without leave nothing is lost, and nothing is done. */
    CHECK(mend(0) > 0);
    CHECK(report.found[0].flags & ISTHMUS_MENDED_LEFT);
    CHECK(mend(1) > 0);
    expect_in_order();
    const uint32_t gone = (UINT32_C(1) << taken) - 1;
    if (queue())
        CHECK_UINT(read_all(), ALL & ~damaged & ~gone);
    else
        CHECK_UINT(read_all(), ALL & ~((UINT32_C(1) << behind) - 1));
}

/* One word of what changes: the rest tells what it was. */
static void damage_one_cursor(void)
{
    uint64_t *words = (uint64_t *)(void *)ring.cursors;
    const size_t count = sizeof *ring.cursors / sizeof *words;
    size_t i;
    do
        i = below(count);
    while (i == offsetof(struct isthmus_shared_cursors, producer) / 8 ||
           i == offsetof(struct isthmus_shared_cursors, consumer) / 8 ||
           i == offsetof(struct isthmus_shared_cursors, closed) / 8 ||
           (!queue() && i == offsetof(struct isthmus_shared_cursors, oldest) / 8));
    switch (below(4)) {
    case 0:
        words[i] += 32 * (1 + below(100));
        break;
    case 1:
        words[i] -= 32 * (1 + below(100));
        break;
    case 2:
        words[i] ^= UINT64_C(1) << below(64);
        break;
    default:
        words[i] = next_random();
    }
    mend(0);
    /* Of what is set aside nothing tells where it ends. */
    for (uint32_t k = 0; k < report.count; k++)
        CHECK(!(report.found[k].flags & ISTHMUS_MENDED_LEFT) ||
              strncmp(report.found[k].what, "aside", 5) == 0);
    mend(1);
    expect_in_order();
    const uint32_t seen = read_all(), gone = (UINT32_C(1) << taken) - 1;
    /*
     * Moved back to exactly where it was before the last step, a cursor is as of one who died
     * before that step: then what was got comes once more, or what was put last was not.
     */
    const uint32_t last = i == 0 ? UINT32_C(1) << (MESSAGES - 1) : 0;
    CHECK_UINT(seen | gone | last, ALL);
}

/* Anything: it ends, and works. */
static void damage_anything(void)
{
    unsigned char *bytes = (unsigned char *)ring.primitive.mapping;
    const size_t cursors = (size_t)((unsigned char *)ring.cursors - bytes);
    const size_t end = cursors + sizeof *ring.cursors;
    const size_t data = (size_t)(ring.data - bytes);
    for (uint64_t count = 1 + below(30); count > 0; count--) {
        size_t offset =
            below(3) ? cursors + below(sizeof *ring.cursors - 8) : data + below(ring.capacity - 8);
        uint64_t value = below(2) ? next_random() : 32 * below(400);
        memcpy(bytes + offset, &value, below(2) ? 8 : 4);
    }
    CHECK(end < data);
    ring.cursors->producer = ring.cursors->consumer = 0;
    mend(0);
    mend(1);
    expect_in_order();
    /* What is there is what was put, or what looks like it. */
    struct isthmus_read read;
    struct isthmus_record record;
    if (!queue())
        CHECK_OK(isthmus_topic_subscribe(&ring, ISTHMUS_START_OLDEST));
    for (;;) {
        const int result = rings_next(&ring, &read, &record, 0);
        if (result) {
            CHECK(result == -EAGAIN || (queue() && result == -ESHUTDOWN));
            break;
        }
        isthmus_read_commit(&ring, &read);
        if (queue())
            CHECK_OK(isthmus_queue_task_done(&ring));
    }
    ring.cursors->closed = 0;
}

static void run(const struct isthmus_ring_plan *plan, void (*damage)(void), uint64_t salt)
{
    for (uint64_t trial = first_trial; trial < first_trial + trials / 9; trial++) {
        random_state = (seed * UINT64_C(1000003) + trial) * 16 + salt;
        fill(plan);
        expect_in_order();
        damage();
        expect_usable();
        isthmus_ring_close(&ring);
    }
}

static void each(void (*damage)(void))
{
    run(&queue_plan, damage, 0);
    run(&aside_plan, damage, 1);
    run(&topic_plan, damage, 2);
}

static void sound_records_survive_damaged_ones(void)
{
    each(damage_some_records);
}

static void a_damaged_cursor_is_made_anew_and_nothing_is_lost(void)
{
    each(damage_one_cursor);
}

static void whatever_is_damaged_works_afterwards(void)
{
    each(damage_anything);
}

/* ---- What is constant ---------------------------------------------------------------------- */

static int mend_constants(void *data, size_t size)
{
    memset(&report, 0, sizeof report);
    return isthmus_mend_constants(data, size, &report);
}

/* What nobody checks, since nothing else tells it. */
static int is_told_nowhere_else(size_t offset)
{
    return (offset >= 32 && offset < 48) || (offset >= 96 && offset < 256) || /* header */
           (offset >= 256 + 12 && offset < 256 + 16) ||                       /* flags */
           (offset >= 256 + 28 && offset < 320) ||                            /* what changes */
           (offset >= 320 + 8 && offset < 320 + 16) ||                        /* maxsize */
           (offset >= 320 + 48 && offset < 448);
}

static void every_field_of_the_constant_part_is_rebuilt(void)
{
    struct isthmus_ring copy;
    rings_make(&ring, &aside_plan);
    unsigned char *bytes = ring.primitive.mapping;
    const size_t size = ring.primitive.mapped;
    unsigned char *right = malloc(size), *now = malloc(size);
    CHECK(right && now);
    memcpy(right, bytes, 4096);
    CHECK_OK(mend_constants(bytes, size));
    CHECK_UINT(report.count, 0);
    for (size_t offset = 0; offset < 448; offset += 4) {
        if (is_told_nowhere_else(offset))
            continue;
        for (unsigned way = 0; way < 3; way++) {
            memset(now, 0, size);
            memcpy(now, right, 4096);
            memset(now + offset, way == 0 ? 0 : way == 1 ? 0xff : 0x5a, 4);
            if (offset == 8 && way == 0)
                continue; /* version 0: another one */
            CHECK_OK(mend_constants(now, size));
            CHECK_BYTES(now, right, 4096);
            CHECK_OK(isthmus_object_look(&copy, now, size, ISTHMUS_KIND_QUEUE));
        }
    }
    /* All of the header at once, all of the primitive and the ring. */
    memcpy(now, right, 4096);
    memset(now, 0, 256);
    CHECK_OK(mend_constants(now, size));
    CHECK_OK(isthmus_object_look(&copy, now, size, ISTHMUS_KIND_QUEUE));
    memset(now + 256, 0, 192);
    CHECK_OK(mend_constants(now, size));
    CHECK_OK(isthmus_object_look(&copy, now, size, ISTHMUS_KIND_QUEUE));
    isthmus_ring_close(&ring);
    free(right);
    free(now);
}

/* With nothing beyond the end; of a lock, an event, a queue, an array. */
static size_t something(unsigned char **bytes)
{
    static const uint64_t shape[] = {3, 4};
    static const struct isthmus_array_plan array_plan = {
        .dtype = "\"<f8\"", .itemsize = 8, .shape = shape, .ndim = 2};
    const struct isthmus_primitive_plan plans[] = {{.kind = ISTHMUS_KIND_LOCK, .participants = 5},
                                                   {.kind = ISTHMUS_KIND_EVENT}};
    struct isthmus_array_extent extent;
    struct isthmus_primitive primitive;
    const uint64_t what = below(4);
    size_t size;
    if (what == 3) {
        CHECK_OK(isthmus_array_measure(&array_plan, &extent));
        size = (size_t)extent.total_size;
        *bytes = calloc(1, size);
        CHECK(*bytes != NULL);
        isthmus_array_init(*bytes, &array_plan, &extent);
        return size;
    }
    if (what == 2) {
        rings_make(&ring, &aside_plan);
        primitive = ring.primitive;
    } else {
        CHECK_OK(isthmus_primitive_anonymous(&primitive, &plans[what]));
    }
    size = primitive.mapped;
    *bytes = malloc(size);
    CHECK(*bytes != NULL);
    memcpy(*bytes, primitive.mapping, size);
    if (what == 2)
        isthmus_ring_close(&ring);
    else
        isthmus_primitive_close(&primitive);
    return size;
}

static void what_it_says_is_mended_can_be_opened(void)
{
    unsigned mended = 0;
    random_state = seed;
    for (uint64_t trial = 0; trial < trials; trial++) {
        unsigned char *bytes;
        struct isthmus_ring handle;
        struct isthmus_array array;
        const size_t size = something(&bytes);
        for (uint64_t count = 1 + below(below(2) ? 4 : 60); count > 0; count--) {
            const uint64_t value = below(2) ? next_random() : below(1000);
            const size_t limit = size < 1100 ? size : 1100;
            memcpy(bytes + below(limit - 8), &value, below(2) ? 8 : 4);
        }
        if (mend_constants(bytes, size) == 0) {
            const uint32_t kind = ((struct isthmus_shared_header *)(void *)bytes)->kind;
            mended++;
            if (kind == ISTHMUS_KIND_ARRAY)
                CHECK_OK(isthmus_array_read(bytes, size, &array));
            else
                CHECK_OK(isthmus_object_look(&handle, bytes, size, kind));
        }
        free(bytes);
    }
    CHECK(mended > trials / 4);
}

static void what_is_strange_or_cut_off_is_let_alone(void)
{
    struct isthmus_shared_header *header;
    struct isthmus_shared_primitive *primitive;
    rings_make(&ring, &queue_plan);
    const size_t size = ring.primitive.mapped;
    unsigned char *copy = malloc(size);
    CHECK(copy != NULL);
    header = (void *)copy;
    primitive = (void *)(copy + 256);
    memcpy(copy, ring.primitive.mapping, size);
    CHECK_RESULT(mend_constants(copy, size - 4096), -ISTHMUS_E_TRUNCATED);
    CHECK_RESULT(mend_constants(copy, 100), -ISTHMUS_E_TRUNCATED);
    header->version = 2;
    CHECK_RESULT(mend_constants(copy, size), -ISTHMUS_E_VERSION);
    header->version = ISTHMUS_FORMAT_VERSION;
    header->fingerprint = primitive->fingerprint = 1234567;
    CHECK_RESULT(mend_constants(copy, size), -ISTHMUS_E_LAYOUT);
    memset(copy, 0x41, size);
    CHECK_RESULT(mend_constants(copy, size), -ISTHMUS_E_FOREIGN);
    memset(copy, 0, size);
    CHECK_RESULT(mend_constants(copy, size), -ISTHMUS_E_FOREIGN);
    CHECK_UINT(report.count, 0);
    isthmus_ring_close(&ring);
    free(copy);
}

static const struct check_test tests[] = {
    CHECK_TEST(sound_records_survive_damaged_ones),
    CHECK_TEST(a_damaged_cursor_is_made_anew_and_nothing_is_lost),
    CHECK_TEST(whatever_is_damaged_works_afterwards),
    CHECK_TEST(every_field_of_the_constant_part_is_rebuilt),
    CHECK_TEST(what_it_says_is_mended_can_be_opened),
    CHECK_TEST(what_is_strange_or_cut_off_is_let_alone),
};

int main(int argc, char **argv)
{
    if (argc > 1)
        trials = strtoull(argv[1], NULL, 0);
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 0);
    if (argc > 3)
        first_trial = strtoull(argv[3], NULL, 0);
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
