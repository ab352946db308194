/*
 * Whatever stands where a primitive should be, opening it answers with one of the documented
 * errors, and what is opened can be used: nothing outside it is read or written, and what only
 * tries comes back. The same for what a partner writes into it while it is open.
 *
 * One thing is left out, as there is no help against it: a lock whose word names a participant
 * that lives and does not know of it is waited for.
 *
 * The first byte of an input chooses what the rest is taken for.
 */
#define _GNU_SOURCE
#include "readiness.h"
#include <errno.h>
#include <isthmus/isthmus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): a release build must find the same. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define PARTICIPANTS 4u
#define LENGTH ISTHMUS_PRIMITIVE_SIZE(PARTICIPANTS)
#define SEGMENT 4096u
/* It ends with the mapping, so that whatever is beyond it is not there. */
#define PLACE (SEGMENT - LENGTH)
#define HEADER sizeof(struct isthmus_shared_header)
#define OBJECT (HEADER + LENGTH)
#define CANARY 0x5a

/* The rest of an input. */
struct input {
    const uint8_t *data;
    size_t size;
};

static uint64_t take(struct input *input, size_t width)
{
    uint64_t value = 0;
    for (; width && input->size; width--, input->size--)
        value = value << 8 | *input->data++;
    return value;
}

/* ---- What there is to be damaged ----------------------------------------------------------------
 */

/* A segment, and behind its mapping a page that nobody may touch. */
static char *segment;
static int segment_fd, object_fd;
static struct isthmus_primitive other_lock; /* of conditions whose lock is another object */

static void prepare(void)
{
    const struct isthmus_primitive_plan plan = {.kind = ISTHMUS_KIND_LOCK, .participants = 1};
    if (segment)
        return;
    segment_fd = memfd_create("segment", MFD_CLOEXEC);
    object_fd = memfd_create("object", MFD_CLOEXEC);
    REQUIRE(segment_fd >= 0 && object_fd >= 0);
    REQUIRE(ftruncate(segment_fd, SEGMENT) == 0 && ftruncate(object_fd, OBJECT) == 0);
    char *area = mmap(NULL, 2 * SEGMENT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(area != MAP_FAILED);
    segment = mmap(area, SEGMENT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, segment_fd, 0);
    REQUIRE(segment == area);
    REQUIRE(isthmus_primitive_anonymous(&other_lock, &plan) == 0);
}

static struct isthmus_primitive_plan some_plan(struct input *input)
{
    static const struct isthmus_primitive_plan plans[] = {
        {.kind = ISTHMUS_KIND_LOCK},
        {.kind = ISTHMUS_KIND_RLOCK},
        {.kind = ISTHMUS_KIND_SEMAPHORE, .value = 2, .maximum = 3},
        {.kind = ISTHMUS_KIND_SEMAPHORE, .flags = ISTHMUS_ROBUST, .value = 2},
        {.kind = ISTHMUS_KIND_EVENT},
        {.kind = ISTHMUS_KIND_CONDITION},
        {.kind = ISTHMUS_KIND_CONDITION, .flags = ISTHMUS_EXTERNAL_LOCK},
        {.kind = ISTHMUS_KIND_BARRIER, .value = 2},
        {.kind = ISTHMUS_KIND_BARRIER, .value = 1},
        {.kind = ISTHMUS_KIND_RWLOCK},
        {.kind = ISTHMUS_KIND_RWLOCK, .flags = ISTHMUS_READER_PREFERENCE},
        {.kind = ISTHMUS_KIND_ATOMIC_INT, .value = -1},
    };
    struct isthmus_primitive_plan plan = plans[take(input, 1) % (sizeof plans / sizeof plans[0])];
    plan.participants = PARTICIPANTS;
    return plan;
}

/* Change some of the 32-bit words of [start, start + size), until the input says stop. */
static void damage(char *start, size_t size, struct input *input)
{
    for (unsigned edits = (unsigned)take(input, 1) % 8; edits; edits--) {
        uint32_t word;
        char *at = start + take(input, 1) % (size / 4) * 4;
        const uint64_t how = take(input, 1);
        memcpy(&word, at, sizeof word);
        switch (how % 6) {
        case 0:
            word = (uint32_t)take(input, 4);
            break;
        case 1: /* a slot, perhaps of nobody, perhaps with the bits of a lock word */
            word = (uint32_t)(how / 6 % 4) << 30 | (uint32_t)take(input, 1) % (PARTICIPANTS + 3);
            break;
        case 2:
            word += (uint32_t)take(input, 1);
            break;
        case 3:
            word ^= UINT32_C(1) << (how / 6 % 32);
            break;
        case 4:
            word = UINT32_MAX - (uint32_t)take(input, 1);
            break;
        default:
            word = 0;
        }
        memcpy(at, &word, sizeof word);
    }
}

/* See the top: what would say that we own it, unless we do. */
static void disown(struct isthmus_primitive *primitive)
{
    uint32_t *words = (uint32_t *)(primitive->shared + 1);
    for (unsigned i = 0; i < 2; i++)
        if ((words[i] & ISTHMUS_WORD_OWNER) == (uint32_t)primitive->slot + 1)
            words[i]++;
}

/* ---- Use ----------------------------------------------------------------------------------------
 */

#define require_known(result) require_known_at(__LINE__, result)

static void require_known_at(int line, int result)
{
    if (result >= 0 || result == -EOWNERDEAD || result == -ETIMEDOUT || result == -EPERM ||
        result == -EOVERFLOW || result == -ISTHMUS_E_BROKEN)
        return;
    fprintf(stderr, "%s:%d: a result of %d (%s)\n", __FILE__, line, result, strerror(-result));
    abort();
}

static int held(int result)
{
    require_known(result);
    return result == 0 || result == -EOWNERDEAD;
}

static void use_lock(struct isthmus_primitive *lock, struct input *input)
{
    if (!held(isthmus_lock_acquire(lock, 0)))
        return;
    if (lock->kind == ISTHMUS_KIND_RLOCK && held(isthmus_lock_acquire(lock, 0)))
        require_known(isthmus_lock_release(lock));
    require_known(isthmus_lock_is_mine(lock));
    if (take(input, 1) % 2)
        require_known(isthmus_lock_abandon(lock));
    else
        require_known(isthmus_lock_release(lock));
    require_known(isthmus_lock_locked(lock));
}

static void use_condition(struct isthmus_primitive *condition, struct input *input)
{
    struct isthmus_primitive *lock =
        condition->flags & ISTHMUS_EXTERNAL_LOCK ? &other_lock : condition;
    int notified;
    if (!held(isthmus_lock_acquire(lock, 0)))
        return;
    require_known(isthmus_condition_notify(condition, lock, (uint32_t)take(input, 1)));
    require_known(isthmus_condition_wait(condition, lock, 0, &notified));
    require_known(isthmus_condition_notify(condition, lock, UINT32_MAX));
    require_known(isthmus_lock_release(lock));
}

static void use_semaphore(struct isthmus_primitive *semaphore)
{
    for (unsigned i = 0; i < 3; i++)
        require_known(isthmus_semaphore_acquire(semaphore, 0));
    isthmus_semaphore_value(semaphore);
    require_known(isthmus_semaphore_release(semaphore, 2));
}

static void use_event(struct isthmus_primitive *event)
{
    uint32_t seen = 0;
    require_known(isthmus_event_wait(event, 0, &seen));
    require_known(isthmus_event_set(event));
    require_known(isthmus_event_wait(event, 0, &seen));
    require_known(isthmus_event_clear(event));
    require_known(isthmus_event_is_set(event));
}

static void use_barrier(struct isthmus_primitive *barrier, struct input *input)
{
    uint32_t round;
    require_known(isthmus_barrier_wait(barrier, 0));
    if (take(input, 1) % 2)
        require_known(isthmus_barrier_reset(barrier));
    if (isthmus_barrier_arrive(barrier, 0, &round) >= 0) {
        require_known(isthmus_barrier_await(barrier, 0, round));
        require_known(take(input, 1) % 2 ? isthmus_barrier_withdraw(barrier, round)
                                         : isthmus_barrier_expire(barrier, round));
    }
    isthmus_barrier_waiting(barrier);
    isthmus_barrier_parties(barrier);
    require_known(isthmus_barrier_is_broken(barrier));
    if (take(input, 1) % 2)
        require_known(isthmus_barrier_abort(barrier));
}

static void use_rwlock(struct isthmus_primitive *rwlock, struct input *input)
{
    if (held(isthmus_rwlock_acquire_read(rwlock, 0)))
        require_known(isthmus_rwlock_release_read(rwlock));
    if (held(isthmus_rwlock_acquire_write(rwlock, 0))) {
        require_known(isthmus_rwlock_is_writing(rwlock));
        require_known(take(input, 1) % 2 ? isthmus_rwlock_abandon_write(rwlock)
                                         : isthmus_rwlock_release_write(rwlock));
    }
    isthmus_rwlock_readers(rwlock);
}

static void use_integer(struct isthmus_primitive *integer)
{
    const int64_t before = isthmus_atomic_int_add(integer, 1);
    REQUIRE(isthmus_atomic_int_load(integer) == (int64_t)((uint64_t)before + 1));
    require_known(isthmus_atomic_int_wait_while(integer, before, 0));
}

static void look(const struct isthmus_primitive *primitive)
{
    struct isthmus_participant participant;
    isthmus_primitive_owner(primitive, &participant);
    for (uint32_t i = 0; i < PARTICIPANTS + 1; i++)
        isthmus_primitive_participant(primitive, i, &participant);
}

/* As one that waits by doorbell, for any side of it; nothing of that is known of an integer. */
static void wait_by_doorbell(struct isthmus_primitive *primitive, struct input *input)
{
    struct isthmus_waited thing = {.primitive = primitive,
                                   .side = (uint32_t)take(input, 1) % (ISTHMUS_WAIT_READERS + 2)};
    thing.about = take(input, 1) % 4;
    const int armed = isthmus_doorbell_arm(&thing);
    const int asked = isthmus_look(&thing, ISTHMUS_ASK);
    REQUIRE(armed == 0 || armed == 1 || armed == -EINVAL);
    REQUIRE((armed == -EINVAL) == (asked == -EINVAL));
    REQUIRE(asked == 0 || asked == 1 || asked == -EINVAL);
}

static void use(struct isthmus_primitive *primitive, struct input *input)
{
    look(primitive);
    wait_by_doorbell(primitive, input);
    switch (primitive->kind) {
    case ISTHMUS_KIND_LOCK:
    case ISTHMUS_KIND_RLOCK:
        use_lock(primitive, input);
        break;
    case ISTHMUS_KIND_CONDITION:
        use_condition(primitive, input);
        break;
    case ISTHMUS_KIND_SEMAPHORE:
        use_semaphore(primitive);
        break;
    case ISTHMUS_KIND_EVENT:
        use_event(primitive);
        break;
    case ISTHMUS_KIND_BARRIER:
        use_barrier(primitive, input);
        break;
    case ISTHMUS_KIND_RWLOCK:
        use_rwlock(primitive, input);
        break;
    default:
        use_integer(primitive);
    }
    look(primitive);
}

static void use_and_close(struct isthmus_primitive *primitive, struct input *input)
{
    REQUIRE(primitive->count <= PARTICIPANTS);
    use(primitive, input);
    /* A partner goes mad. */
    damage((char *)(primitive->shared + 1), LENGTH - sizeof *primitive->shared, input);
    disown(primitive);
    use(primitive, input);
    isthmus_primitive_close(primitive);
}

/* ---- Where it stands
 * ------------------------------------------------------------------------------ */

static void placed(const struct isthmus_primitive_plan *plan, struct input *input)
{
    struct isthmus_primitive primitive;
    const size_t cut = (size_t)take(input, 1);
    const size_t mapped = cut < 240 ? SEGMENT : SEGMENT - (cut - 239) * 37;
    int error = isthmus_primitive_find(&primitive, segment, mapped, segment_fd, PLACE, plan->kind);
    REQUIRE(error == 0 || error == -ENOENT || error == -ERANGE || error == -ISTHMUS_E_FOREIGN ||
            error == -ISTHMUS_E_KIND || error == -ISTHMUS_E_LAYOUT || error == -ISTHMUS_E_CORRUPT ||
            error == -ISTHMUS_E_TRUNCATED);
    if (error == -ENOENT && mapped == SEGMENT) {
        /* Being made, by one that is gone: make it. */
        error = isthmus_primitive_place(&primitive, segment, SEGMENT, segment_fd, PLACE, plan);
        REQUIRE(error == 0 || error == -ISTHMUS_E_FOREIGN);
    }
    if (!error)
        use_and_close(&primitive, input);
    for (size_t i = 0; i < PLACE; i++)
        REQUIRE(segment[i] == CANARY);
}

static void damaged_placed(struct input *input)
{
    const struct isthmus_primitive_plan plan = some_plan(input);
    struct isthmus_primitive primitive;
    memset(segment, CANARY, PLACE);
    memset(segment + PLACE, 0, LENGTH);
    REQUIRE(isthmus_primitive_place(&primitive, segment, SEGMENT, segment_fd, PLACE, &plan) == 0);
    isthmus_primitive_close(&primitive);
    damage(segment + PLACE, LENGTH, input);
    placed(&plan, input);
}

static void raw_placed(struct input *input)
{
    const struct isthmus_primitive_plan plan = some_plan(input);
    memset(segment, CANARY, PLACE);
    memset(segment + PLACE, 0, LENGTH);
    for (size_t i = 0; i < LENGTH && input->size > 16; i++)
        segment[PLACE + i] = (char)take(input, 1);
    placed(&plan, input);
}

static void damaged_object(struct input *input)
{
    static struct {
        uint32_t kind, flags;
        char bytes[OBJECT];
    } sound[16];
    const struct isthmus_primitive_plan plan = some_plan(input);
    struct isthmus_primitive primitive;
    char bytes[OBJECT];

    unsigned i = 0;
    while (sound[i].kind && (sound[i].kind != plan.kind || sound[i].flags != plan.flags))
        i++;
    if (!sound[i].kind) {
        REQUIRE(isthmus_primitive_anonymous(&primitive, &plan) == 0);
        REQUIRE(primitive.mapped <= OBJECT);
        memcpy(sound[i].bytes, primitive.mapping, primitive.mapped);
        isthmus_primitive_close(&primitive);
        sound[i].kind = plan.kind;
        sound[i].flags = plan.flags;
    }
    memcpy(bytes, sound[i].bytes, sizeof bytes);
    damage(bytes, sizeof bytes, input);
    REQUIRE(pwrite(object_fd, bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes);
    const int error = isthmus_primitive_from_fd(&primitive, object_fd, plan.kind);
    REQUIRE(error == 0 || error == -ISTHMUS_E_NOT_READY || error == -ISTHMUS_E_FOREIGN ||
            error == -ISTHMUS_E_VERSION || error == -ISTHMUS_E_KIND || error == -ISTHMUS_E_LAYOUT ||
            error == -ISTHMUS_E_CORRUPT || error == -ISTHMUS_E_TRUNCATED);
    if (!error)
        use_and_close(&primitive, input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(struct input *) = {damaged_placed, damaged_object,
                                                      damaged_placed, raw_placed};
    if (size) {
        struct input input = {data + 1, size - 1};
        prepare();
        targets[data[0] % (sizeof targets / sizeof targets[0])](&input);
    }
    return 0;
}
