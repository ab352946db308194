/*
 * Damage. A live queue or topic is damaged at random, or where it hurts, and then everything
 * that can be done with it is done: each call must return, and what it gives must lie inside the
 * object. Trials are numbered and each depends on its number and the seed only:
 *
 *     test_corruption [TRIALS [SEED [FIRST]]]
 *
 * Each quarter of the trials has another victim: a queue, one with all limits, a topic that
 * blocks, and one that overwrites; and in every other trial a second process goes on writing
 * garbage while the calls are made. A call that does not come back, or a crash, is noticed by
 * the parent, which names the trial.
 */
#include "check.h"
#include "rings.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIALS 100000u
#define SEED 1u
/* Of one trial, in slices of the watch; against hanging only. */
#define HANGS_NS INT64_C(30000000000)

static uint64_t trials = TRIALS, seed = SEED, first_trial;

/* Shared with the process that works and the one that damages while it does. */
static struct watch {
    uint64_t trial;
    uint32_t damaging; /* the other one may write */
    uint32_t opened, refused;
    uint64_t calls, failed, records;
} *watch;

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

/* ---- The victim --------------------------------------------------------------------------------
 */

enum victim {
    QUEUE,
    LIMITED,
    BLOCKING,
    OVERWRITING,
    VICTIMS
};

static const struct isthmus_ring_plan plans[VICTIMS] = {
    [QUEUE] = {.kind = ISTHMUS_KIND_QUEUE, .participants = 4, .capacity = ISTHMUS_RING_MIN},
    [LIMITED] = {.kind = ISTHMUS_KIND_QUEUE,
                 .participants = 4,
                 .capacity = ISTHMUS_RING_MIN,
                 .maxsize = 20,
                 .max_attempts = 2,
                 .start = 0 - UINT64_C(160)},
    [BLOCKING] = {.kind = ISTHMUS_KIND_TOPIC, .participants = 4, .capacity = ISTHMUS_RING_MIN},
    [OVERWRITING] = {.kind = ISTHMUS_KIND_TOPIC,
                     .participants = 4,
                     .capacity = ISTHMUS_RING_MIN,
                     .start = 0 - UINT64_C(160)},
};

static struct isthmus_ring rings[2];
static unsigned char *pristine;
static struct isthmus_ring pristine_handles[2];
static struct isthmus_record leased;
static size_t file_size, data_offset;
static unsigned char *file; /* as the handles of the object see it, but mapped once */

static int is_queue(void)
{
    return rings[0].primitive.kind == ISTHMUS_KIND_QUEUE;
}

/* Something of everything is in there. */
static void make_victim(enum victim victim)
{
    struct isthmus_read read;
    struct isthmus_record record;
    rings_make(&rings[0], &plans[victim]);
    rings_join(&rings[1], &rings[0]);
    if (victim == OVERWRITING)
        rings[0].overflow = rings[1].overflow = ISTHMUS_OVERFLOW_OVERWRITE;
    if (is_queue()) {
        rings_put(&rings[0], 1, 0, 12);
        CHECK_OK(rings_lease(&rings[1], &record, 0));
        if (victim == LIMITED) {
            CHECK_OK(rings_give_back(&rings[1], &record));
            CHECK_OK(rings_lease(&rings[1], &record, 0));
            CHECK_OK(rings_give_back(&rings[1], &record)); /* set aside */
            CHECK_OK(rings_lease(&rings[1], &record, 0));
        }
        CHECK_OK(rings_lease(&rings[0], &leased, 0));
        rings_expect(&rings[0], 1, victim == LIMITED ? 3 : 2);
        CHECK_OK(rings_lease(&rings[1], &record, 0));
    } else {
        rings_put(&rings[0], 1, 0, MESSAGES_FIT / 2);
        CHECK_OK(isthmus_topic_subscribe(&rings[1], ISTHMUS_START_OLDEST));
        CHECK_OK(rings_next(&rings[1], &read, &record, 0));
        CHECK_OK(isthmus_topic_pin(&rings[1], record.position));
        isthmus_read_commit(&rings[1], &read);
        CHECK_OK(isthmus_topic_subscribe(&rings[0], 5));
    }
    file_size = rings[0].primitive.mapped;
    file = mmap(NULL, file_size, PROT_READ | PROT_WRITE, MAP_SHARED, rings[0].primitive.fd, 0);
    CHECK(file != MAP_FAILED);
    data_offset = (size_t)((const struct isthmus_shared_header *)(void *)file)->data_offset;
    pristine = malloc(file_size);
    CHECK(pristine != NULL);
    memcpy(pristine, file, file_size);
    memcpy(pristine_handles, rings, sizeof rings);
}

static void restore(void)
{
    memcpy(file, pristine, file_size);
    memcpy(rings, pristine_handles, sizeof rings);
}

/* ---- Damage
 * ---------------------------------------------------------------------------------------- */

/* Numbers that are more often wrong than others. */
static uint64_t bad_number(uint64_t good)
{
    switch (below(12)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return good + 1;
    case 3:
        return good - 1;
    case 4:
        return good + 32 * below(300);
    case 5:
        return good - 32 * below(300);
    case 6:
        return UINT64_C(1) << below(64);
    case 7:
        return good ^ UINT64_C(1) << below(64);
    case 8:
        return 32 * next_random();
    case 9:
        return below(200);
    case 10:
        return UINT64_C(1) << 63 | below(1000);
    default:
        return next_random();
    }
}

static size_t anywhere(size_t from, size_t size, size_t unit)
{
    return from + below(size / unit) * unit;
}

/*
 * Where a lock word must not name a living participant that does not hold it: nobody can tell
 * that from one that does, and its wait would not end before that participant does.
 */
static int is_lock_word(size_t offset)
{
    const size_t cursors =
        (size_t)((unsigned char *)rings[0].cursors - (unsigned char *)rings[0].primitive.mapping);
    const size_t seats =
        (size_t)((unsigned char *)rings[0].seats - (unsigned char *)rings[0].primitive.mapping);
    if (offset == cursors + offsetof(struct isthmus_shared_cursors, producer) ||
        offset == cursors + offsetof(struct isthmus_shared_cursors, consumer))
        return 1;
    return offset >= seats && offset < seats + 4 * sizeof(struct isthmus_shared_seat) &&
           (offset - seats) % sizeof(struct isthmus_shared_seat) ==
               offsetof(struct isthmus_shared_seat, reader);
}

static void write_word(size_t offset, unsigned width, uint64_t value)
{
    unsigned char bytes[8];
    if (offset + width > file_size)
        return;
    memcpy(bytes, &value, sizeof bytes);
    for (size_t at = offset & ~(size_t)3; at < offset + width; at += 4) {
        uint32_t word;
        if (!is_lock_word(at))
            continue;
        memcpy(&word, file + at, sizeof word);
        for (size_t i = 0; i < 4; i++)
            if (at + i >= offset && at + i < offset + width)
                ((unsigned char *)&word)[i] = bytes[at + i - offset];
        word &= ISTHMUS_WORD_OWNER;
        /* Both handles, and the third one that open_another() has for a while. */
        if (word >= 1 && word <= 3)
            return;
    }
    memcpy(file + offset, bytes, width);
}

static void damage_once(void)
{
    const size_t cursors =
        (size_t)((unsigned char *)rings[0].cursors - (unsigned char *)rings[0].primitive.mapping);
    size_t offset;
    uint64_t good = 0;
    switch (below(8)) {
    case 0: /* header, primitive, control block */
        offset = anywhere(0, 448, 4);
        break;
    case 1: /* participants */
        offset = anywhere(448, 4 * sizeof(struct isthmus_shared_participant), 4);
        break;
    case 2:
    case 3: /* cursors and notes */
        offset = anywhere(cursors, sizeof(struct isthmus_shared_cursors), 8);
        break;
    case 4: /* seats */
        offset = anywhere(cursors + sizeof(struct isthmus_shared_cursors),
                          4 * sizeof(struct isthmus_shared_seat), 4);
        break;
    case 5:
    case 6: /* heads of records, all of which start at multiples of 64 here or 32 off */
        offset = anywhere(data_offset, file_size - data_offset, 32) + 4 * below(8);
        break;
    default: /* anything */
        offset = below(file_size);
    }
    const unsigned width = below(4) ? (below(2) ? 8 : 4) : 1;
    if (offset + 8 <= file_size)
        memcpy(&good, file + offset, sizeof good);
    write_word(offset, width, bad_number(width == 8 ? good : good & UINT32_MAX));
}

/* A record whose check is right, and the rest of which is not. */
static void forge_record(void)
{
    const struct isthmus_shared_cursors *cursors = rings[0].cursors;
    const uint64_t start = is_queue() ? cursors->head : cursors->oldest;
    const uint64_t position = start + MESSAGE_ROOM * below(14);
    struct isthmus_shared_record *record =
        (void *)(file + data_offset + (position & (ISTHMUS_RING_MIN - 1)));
    switch (below(4)) {
    case 0:
        record->size = bad_number(record->size);
        break;
    case 1:
        record->data = (uint32_t)bad_number(record->data);
        break;
    case 2:
        record->sequence = bad_number(record->sequence);
        break;
    default:
        record->size = below(2 * ISTHMUS_RING_MIN);
        record->data = (uint32_t)(32 * below(200));
    }
    record->check = (uint32_t)(position / 32) ^ (uint32_t)record->sequence ^
                    (uint32_t)record->size ^ (uint32_t)(record->size >> 32) ^ record->data ^
                    (uint32_t)record->type << 16;
}

static void damage(void)
{
    if (below(6) == 0)
        forge_record();
    for (uint64_t count = below(5) ? 1 + below(3) : 1 + below(40); count > 0; count--)
        damage_once();
}

/* ---- Everything that can be done ----------------------------------------------------------------
 */

static uint64_t sum; /* so that reading is not left out */

static void touch(const void *bytes, uint64_t size)
{
    const unsigned char *all = bytes;
    for (uint64_t i = 0; i < size; i++)
        sum += all[i];
}

/* All of what a record is said to be lies in the bytes of the object, as they are mapped. */
static void look_at(const struct isthmus_ring *ring, const struct isthmus_record *record)
{
    const uintptr_t data = (uintptr_t)record->data, meta = (uintptr_t)record->meta;
    const uintptr_t begin = (uintptr_t)ring->data;
    const uintptr_t end = begin + (ring->aside ? 4 : 2) * (uintptr_t)ring->capacity;
    watch->records++;
    CHECK(record->size <= ring->capacity && record->meta_size <= ring->capacity);
    CHECK(data >= begin && data <= end && record->size <= end - data);
    CHECK(meta >= begin && meta <= end && record->meta_size <= end - meta);
    touch(record->data, record->size);
    touch(record->meta, record->meta_size);
}

static int called(int result)
{
    watch->calls++;
    watch->failed += result < 0;
    CHECK(result <= 0 && result > -4096);
    return result;
}

static uint64_t soon(void)
{
    return below(40) ? 0 : isthmus_deadline_after(100000);
}

static void try_reading(struct isthmus_ring *ring)
{
    struct isthmus_read read;
    struct isthmus_record record;
    int result = called(isthmus_read_begin(ring, &read, soon()));
    if (result)
        return;
    for (uint64_t count = 1 + below(5); count > 0; count--) {
        result = called(isthmus_read_next(ring, &read, &record));
        if (result)
            break;
        look_at(ring, &record);
        if (!is_queue()) {
            if (below(2))
                called(isthmus_topic_pin(ring, record.position));
            called(isthmus_read_valid(ring, &read, &record));
        }
    }
    if (result == -EAGAIN && below(4) == 0) {
        isthmus_read_abort(ring, &read);
        called(isthmus_read_glance(ring, &read));
        called(isthmus_read_await(ring, &read, soon()));
    } else if (below(2)) {
        isthmus_read_commit(ring, &read);
    } else {
        isthmus_read_abort(ring, &read);
    }
}

static void try_writing(struct isthmus_ring *ring)
{
    struct isthmus_write write;
    struct isthmus_record record;
    int result = called(isthmus_write_begin(ring, &write, below(2) != 0, soon()));
    if (result)
        return;
    for (uint64_t count = 1 + below(5); count > 0; count--) {
        const uint32_t meta_size = (uint32_t)(below(3) ? 0 : below(100));
        result = called(isthmus_write_reserve(ring, &write, 1, meta_size,
                                              below(20) ? below(200) : next_random(), &record));
        if (result)
            break;
        look_at(ring, &record);
        memset(record.data, 0x55, record.size);
        memset(record.meta, 0x66, record.meta_size);
    }
    if (below(2))
        isthmus_write_commit(ring, &write);
    else
        isthmus_write_abort(ring, &write);
    if (result == -EAGAIN)
        called(isthmus_write_await(ring, &write, soon()));
}

static void try_leasing(struct isthmus_ring *ring)
{
    struct isthmus_record record;
    if (called(rings_lease(ring, &record, soon())))
        return;
    look_at(ring, &record);
    if (below(3))
        called(below(2) ? rings_acknowledge(ring, &record) : rings_give_back(ring, &record));
}

static void try_aside(struct isthmus_ring *ring)
{
    struct isthmus_read read;
    struct isthmus_record record;
    uint64_t sequence = below(12);
    if (!called(isthmus_queue_aside_begin(ring, &read, soon()))) {
        for (unsigned i = 0; i < 5; i++) {
            if (called(isthmus_queue_aside_next(ring, &read, &record)))
                break;
            look_at(ring, &record);
            sequence = record.sequence;
        }
        isthmus_read_abort(ring, &read);
    }
    called(below(2) ? isthmus_queue_aside_remove(ring, sequence)
                    : isthmus_queue_aside_put_back(ring, sequence, soon()));
}

static void ask(struct isthmus_ring *ring)
{
    struct isthmus_queue_state queue;
    struct isthmus_topic_state topic;
    struct isthmus_seat seat;
    struct isthmus_participant participant;
    called(is_queue() ? isthmus_queue_state(ring, &queue) : isthmus_topic_state(ring, &topic));
    for (uint32_t i = 0; i < 5; i++) {
        called(isthmus_ring_seat(ring, i, &seat));
        called(isthmus_primitive_participant(&ring->primitive, i, &participant));
    }
    sum += isthmus_topic_lag(ring) + isthmus_topic_missed(ring);
}

static void do_with_queue(struct isthmus_ring *ring, uint64_t what)
{
    switch (what) {
    case 0:
    case 1:
        try_leasing(ring);
        break;
    case 2:
        called(rings_acknowledge(&rings[0], &leased));
        break;
    case 3:
        called(rings_give_back(&rings[0], &leased));
        break;
    case 4:
        try_aside(ring);
        break;
    case 5:
        called(isthmus_queue_task_done(ring));
        break;
    case 6:
        called(isthmus_queue_join(ring, soon()));
        break;
    default:
        if (below(4) == 0)
            called(below(3) ? isthmus_queue_clear(ring)
                            : isthmus_queue_shut_down(ring, below(2) != 0));
        else
            called(isthmus_queue_acknowledge(ring, next_random(), next_random()));
    }
}

static void do_with_topic(struct isthmus_ring *ring, uint64_t what)
{
    switch (what) {
    case 0:
        called(isthmus_topic_unsubscribe(ring));
        break;
    case 1:
    case 2:
        called(isthmus_topic_subscribe(
            ring, below(3) ? (below(2) ? ISTHMUS_START_OLDEST : below(100)) : ISTHMUS_START_NEXT));
        break;
    case 3:
        called(isthmus_topic_pin(ring, UINT64_MAX));
        break;
    case 4:
        called(isthmus_topic_pin(ring, next_random()));
        break;
    default:
        try_reading(ring);
    }
}

static void open_another(void)
{
    struct isthmus_ring more;
    const int result =
        called(isthmus_ring_from_fd(&more, rings[0].primitive.fd, rings[0].primitive.kind));
    watch->opened += !result;
    watch->refused += result != 0;
    if (result)
        return;
    more.primitive.spin_ns = 0;
    try_reading(&more);
    try_writing(&more);
    ask(&more);
    isthmus_ring_close(&more);
}

static void do_something(void)
{
    struct isthmus_ring *ring = &rings[below(2)];
    unsigned char bytes[600];
    size_t size;
    switch (below(8)) {
    case 0:
    case 1:
        try_reading(ring);
        break;
    case 2:
        try_writing(ring);
        break;
    case 3:
        if (called(isthmus_ring_read(ring, bytes, below(sizeof bytes), &size, soon())) == 0) {
            CHECK(size < sizeof bytes);
            touch(bytes, size);
        }
        break;
    case 4:
        if (below(4))
            called(isthmus_ring_try_write(ring, 1, pristine, below(300)));
        else
            called(isthmus_ring_write(ring, pristine, below(300), soon()));
        break;
    case 5:
        ask(ring);
        break;
    default:
        if (is_queue())
            do_with_queue(ring, below(8));
        else
            do_with_topic(ring, below(8));
    }
}

/* ---- Trials
 * ------------------------------------------------------------------------------------------ */

static void run_trial(uint64_t trial)
{
    const int live = trial % 2;
    random_state = seed * UINT64_C(1000003) + trial;
    restore();
    damage();
    __atomic_store_n(&watch->damaging, live, __ATOMIC_RELEASE);
    for (uint64_t count = 1 + below(6); count > 0; count--)
        do_something();
    if (below(50) == 0)
        open_another();
    __atomic_store_n(&watch->damaging, 0, __ATOMIC_RELEASE);
}

/* Ends with its parent. */
static void go_on_damaging(void *argument)
{
    (void)argument;
    alarm(0);
    random_state = seed;
    for (;;) {
        while (!__atomic_load_n(&watch->damaging, __ATOMIC_ACQUIRE))
            together_pause();
        damage_once();
    }
}

static void run_trials(void *argument)
{
    const enum victim victim = *(const enum victim *)argument;
    alarm(0);
    make_victim(victim);
    const pid_t other = check_start_child(go_on_damaging, NULL);
    for (uint64_t trial = first_trial + victim; trial < first_trial + trials; trial += VICTIMS) {
        __atomic_store_n(&watch->trial, trial, __ATOMIC_RELEASE);
        run_trial(trial);
    }
    CHECK_INT(kill(other, SIGKILL), 0);
    CHECK_INT(check_join_child(other), -SIGKILL);
    restore();
}

/* Wait for it, as long as it goes on. */
static int watch_over(pid_t child)
{
    uint64_t last = UINT64_MAX, patience = isthmus_deadline_after(HANGS_NS);
    for (;;) {
        const uint64_t now = __atomic_load_n(&watch->trial, __ATOMIC_ACQUIRE);
        siginfo_t info = {0};
        CHECK_INT(waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT), 0);
        if (info.si_pid)
            return check_join_child(child);
        if (now != last)
            patience = isthmus_deadline_after(HANGS_NS);
        last = now;
        if (isthmus_deadline_after(0) > patience) {
            fprintf(stderr, "hangs\n");
            together_kill(child);
            return -SIGKILL;
        }
        together_pause();
    }
}

static void whatever_is_damaged_calls_return_and_give_nothing_from_outside(void)
{
    alarm(0);
    watch = together_memory(sizeof *watch);
    printf("       %" PRIu64 " trials from %" PRIu64 ", seed %" PRIu64 "\n", trials, first_trial,
           seed);
    for (enum victim victim = 0; victim < VICTIMS; victim++) {
        const int status = watch_over(check_start_child(run_trials, &victim));
        if (status)
            fprintf(stderr, "trial %" PRIu64 " of seed %" PRIu64 ", status %d\n", watch->trial,
                    seed, status);
        CHECK_INT(status, 0);
    }
    printf("       %" PRIu64 " calls, %" PRIu64 " of them failed; %" PRIu64 " records; "
           "%u opened, %u refused\n",
           watch->calls, watch->failed, watch->records, watch->opened, watch->refused);
}

static const struct check_test tests[] = {
    CHECK_TEST(whatever_is_damaged_calls_return_and_give_nothing_from_outside),
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
