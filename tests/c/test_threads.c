/*
 * Threads of one process that share a mapping: by one handle, and by a handle each. What they
 * protect are plain variables, so that ThreadSanitizer, for which tools/check-core builds
 * this program once more, sees whether each primitive orders what it has to order.
 *
 * It is also linked with a core whose waits have no slices (tests/c/meson.build): there every
 * wake-up has to come, since nobody looks again by itself.
 *
 * What ThreadSanitizer cannot see: other processes; the same memory mapped a second time, which
 * is why all handles here are placed in one mapping; and what the kernel does when it compares a
 * futex word, so a lost wake-up shows only as a test that hangs or is late. It looks at the
 * executions that happen, and takes them for interleavings: an order that only a weaker
 * processor would break, where two threads each write one word and read the other's, is not in
 * its view. For deaths there are test_crash_*.c.
 */
#include "check.h"
#include "fixture.h"
#include "together.h"
#include <errno.h>

#define THREADS 4u
#define ROUNDS 1500u
#define PLACES 10u
#define PLACE_SIZE 4096u

static struct isthmus_segment segment;
static struct isthmus_primitive shared[PLACES]; /* one handle for all */
static struct together_area areas[PLACES];
static int each_has_its_own; /* handle */
static uint32_t numbers;     /* given out to threads */

/* Where each kind stands in the segment. */
enum place {
    LOCK,
    RLOCK,
    SEMAPHORE,
    ROBUST,
    EVENT,
    ANSWER,
    CONDITION,
    BARRIER,
    RWLOCK,
    NUMBER
};

static const struct isthmus_primitive_plan plans[PLACES] = {
    [LOCK] = {.kind = ISTHMUS_KIND_LOCK},
    [RLOCK] = {.kind = ISTHMUS_KIND_RLOCK},
    [SEMAPHORE] = {.kind = ISTHMUS_KIND_SEMAPHORE, .value = 1},
    [ROBUST] = {.kind = ISTHMUS_KIND_SEMAPHORE, .flags = ISTHMUS_ROBUST, .value = 1},
    [EVENT] = {.kind = ISTHMUS_KIND_EVENT},
    [ANSWER] = {.kind = ISTHMUS_KIND_EVENT},
    [CONDITION] = {.kind = ISTHMUS_KIND_CONDITION},
    [BARRIER] = {.kind = ISTHMUS_KIND_BARRIER, .value = THREADS},
    [RWLOCK] = {.kind = ISTHMUS_KIND_RWLOCK},
    [NUMBER] = {.kind = ISTHMUS_KIND_ATOMIC_INT},
};

static void open_place(struct isthmus_primitive *primitive, enum place place)
{
    struct isthmus_primitive_plan plan = plans[place];
    plan.participants = 16;
    CHECK_OK(isthmus_primitive_place(primitive, segment.data, segment.size, segment.fd,
                                     place * PLACE_SIZE, &plan));
    primitive->spin_ns = 0;
}

/* The handles that one thread uses. */
struct handles {
    struct isthmus_primitive own[PLACES];
    struct isthmus_primitive *of[PLACES];
};

static void open_handles(struct handles *handles)
{
    for (unsigned i = 0; i < PLACES; i++) {
        handles->of[i] = &shared[i];
        if (each_has_its_own) {
            open_place(&handles->own[i], (enum place)i);
            handles->of[i] = &handles->own[i];
        }
    }
}

static void close_handles(struct handles *handles)
{
    if (each_has_its_own)
        for (unsigned i = 0; i < PLACES; i++)
            isthmus_primitive_close(&handles->own[i]);
}

static void begin_with_handles(int each)
{
    char name[FIXTURE_NAME_SIZE];
    each_has_its_own = each;
    fixture_name(name);
    CHECK_OK(isthmus_segment_create(&segment, name, PLACES * PLACE_SIZE, NULL));
    CHECK_OK(isthmus_segment_unlink(&segment, name));
    for (unsigned i = 0; i < PLACES; i++) {
        areas[i] = (struct together_area){0};
        open_place(&shared[i], (enum place)i);
    }
    numbers = 0;
}

static void end_with_handles(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        isthmus_primitive_close(&shared[i]);
    isthmus_segment_close(&segment);
}

/* Run `work` in all threads, with one handle for all and with a handle each. */
static void in_threads(void *(*work)(void *))
{
    for (int each = 0; each < 2; each++) {
        struct together_threads threads;
        begin_with_handles(each);
        together_begin(&threads, THREADS, work, NULL);
        together_end(&threads);
        end_with_handles();
    }
}

/* ---- One turn with each kind ------------------------------------------------------------------
 */

static void with_lock(struct handles *handles, enum place place)
{
    CHECK_OK(isthmus_lock_acquire(handles->of[place], SOON()));
    together_alone(&areas[place]);
    CHECK_OK(isthmus_lock_release(handles->of[place]));
}

static void with_recursive_lock(struct handles *handles, enum place place)
{
    CHECK_OK(isthmus_lock_acquire(handles->of[place], SOON()));
    with_lock(handles, place);
    together_alone(&areas[place]);
    CHECK_OK(isthmus_lock_release(handles->of[place]));
}

static void with_permit(struct handles *handles, enum place place)
{
    CHECK_OK(isthmus_semaphore_acquire(handles->of[place], SOON()));
    together_alone(&areas[place]);
    CHECK_OK(isthmus_semaphore_release(handles->of[place], 1));
}

static void reading_or_writing(struct handles *handles, int writing)
{
    if (writing) {
        CHECK_OK(isthmus_rwlock_acquire_write(handles->of[RWLOCK], SOON()));
        together_alone(&areas[RWLOCK]);
        CHECK_OK(isthmus_rwlock_release_write(handles->of[RWLOCK]));
    } else {
        CHECK_OK(isthmus_rwlock_acquire_read(handles->of[RWLOCK], SOON()));
        CHECK_UINT(areas[RWLOCK].first, areas[RWLOCK].second);
        CHECK_OK(isthmus_rwlock_release_read(handles->of[RWLOCK]));
    }
}

#define IN_EACH_THREAD(name, turn)                                                                 \
    static void *name(void *argument)                                                              \
    {                                                                                              \
        struct handles handles;                                                                    \
        const uint32_t number = count_up(&numbers);                                                \
        (void)argument;                                                                            \
        (void)number;                                                                              \
        open_handles(&handles);                                                                    \
        for (unsigned i = 0; i < ROUNDS; i++)                                                      \
            turn;                                                                                  \
        close_handles(&handles);                                                                   \
        return NULL;                                                                               \
    }

IN_EACH_THREAD(lock_in_turn, with_lock(&handles, LOCK))
IN_EACH_THREAD(lock_recursively_in_turn, with_recursive_lock(&handles, RLOCK))
IN_EACH_THREAD(take_permits_in_turn, with_permit(&handles, SEMAPHORE))
IN_EACH_THREAD(take_robust_permits_in_turn, with_permit(&handles, ROBUST))
IN_EACH_THREAD(read_and_write_in_turn, reading_or_writing(&handles, (i + number) % 3 == 0))

static void locks_order_what_their_owners_do(void)
{
    in_threads(lock_in_turn);
    in_threads(lock_recursively_in_turn);
}

static void semaphores_order_what_is_done_with_their_only_permit(void)
{
    in_threads(take_permits_in_turn);
    in_threads(take_robust_permits_in_turn);
}

static void readers_see_all_of_what_writers_wrote(void)
{
    in_threads(read_and_write_in_turn);
}

/* ---- Those that hand on ---------------------------------------------------------------------- */

static uint64_t message; /* not atomic */

static void wait_for(struct isthmus_primitive *event)
{
    uint32_t seen = 0;
    CHECK_OK(isthmus_event_wait(event, SOON(), &seen));
    CHECK_OK(isthmus_event_clear(event));
}

static void *hand_on_by_events(void *argument)
{
    struct handles handles;
    const uint32_t number = count_up(&numbers);
    (void)argument;
    if (number > 1)
        return NULL;
    open_handles(&handles);
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (number == 0) {
            message = i;
            CHECK_OK(isthmus_event_set(handles.of[EVENT]));
            wait_for(handles.of[ANSWER]);
            CHECK_UINT(message, i + 1);
        } else {
            wait_for(handles.of[EVENT]);
            CHECK_UINT(message, i);
            message = i + 1;
            CHECK_OK(isthmus_event_set(handles.of[ANSWER]));
        }
    }
    close_handles(&handles);
    return NULL;
}

static void what_was_written_before_an_event_is_seen_after_it(void)
{
    in_threads(hand_on_by_events);
}

static void *hand_on_by_numbers(void *argument)
{
    struct handles handles;
    const int64_t number = count_up(&numbers);
    (void)argument;
    open_handles(&handles);
    struct isthmus_primitive *integer = handles.of[NUMBER];
    for (int64_t turn = number; turn < ROUNDS; turn += THREADS) {
        for (int64_t now; (now = isthmus_atomic_int_load(integer)) != turn;)
            CHECK_OK(isthmus_atomic_int_wait_while(integer, now, SOON()));
        if (turn)
            CHECK_UINT(message, (uint64_t)turn);
        message = (uint64_t)turn + 1;
        CHECK_INT(isthmus_atomic_int_add(integer, 1), turn);
    }
    close_handles(&handles);
    return NULL;
}

static void what_was_written_before_a_number_is_seen_after_it(void)
{
    in_threads(hand_on_by_numbers);
}

static uint64_t made[THREADS]; /* by each thread, not atomic */

static void *go_round(void *argument)
{
    struct handles handles;
    const uint32_t number = count_up(&numbers);
    (void)argument;
    open_handles(&handles);
    made[number] = 0;
    for (unsigned i = 1; i <= ROUNDS / 4; i++) {
        made[number] = i;
        CHECK(isthmus_barrier_wait(handles.of[BARRIER], SOON()) >= 0);
        for (unsigned j = 0; j < THREADS; j++)
            CHECK_UINT(made[j], i);
        CHECK(isthmus_barrier_wait(handles.of[BARRIER], SOON()) >= 0);
    }
    close_handles(&handles);
    return NULL;
}

static void what_all_wrote_before_a_barrier_all_see_after_it(void)
{
    in_threads(go_round);
}

static uint64_t items, taken; /* not atomic */

static void *make_or_take(void *argument)
{
    struct handles handles;
    const uint32_t number = count_up(&numbers);
    (void)argument;
    open_handles(&handles);
    struct isthmus_primitive *condition = handles.of[CONDITION];
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK_OK(isthmus_lock_acquire(condition, SOON()));
        if (number % 2) {
            items++;
            CHECK_OK(isthmus_condition_notify(condition, condition, 1));
        } else {
            while (items == 0)
                CHECK_OK(isthmus_condition_wait(condition, condition, SOON(), NULL));
            items--;
            taken++;
        }
        CHECK_OK(isthmus_lock_release(condition));
    }
    close_handles(&handles);
    return NULL;
}

static void every_item_is_taken_once(void)
{
    items = taken = 0;
    in_threads(make_or_take);
    CHECK_UINT(items, 0);
    CHECK_UINT(taken, 2 * THREADS / 2 * ROUNDS);
}

/* ---- Wake-ups that one releases after the other ------------------------------------------------
 */

static void *take_for_good(void *argument)
{
    struct handles handles;
    const enum place place = argument == NULL ? SEMAPHORE : ROBUST;
    open_handles(&handles);
    CHECK_OK(isthmus_semaphore_acquire(handles.of[place], SOON()));
    /* A robust one's permit goes back with its handle, so give it to the next one. */
    if (place == ROBUST)
        CHECK_OK(isthmus_semaphore_release(handles.of[place], 1));
    close_handles(&handles);
    return NULL;
}

static void permits_given_back_one_by_one_reach_all_that_wait(void)
{
    for (unsigned i = 0; i < 200; i++) {
        struct together_threads threads;
        begin_with_handles(i % 2);
        CHECK_OK(isthmus_semaphore_acquire(&shared[SEMAPHORE], 0));
        together_begin(&threads, THREADS, take_for_good, NULL);
        UNTIL(together_waiting(&shared[SEMAPHORE]));
        /* Only the first of several in a row finds that somebody sleeps. */
        for (unsigned j = 0; j < THREADS; j++)
            CHECK_OK(isthmus_semaphore_release(&shared[SEMAPHORE], 1));
        together_end(&threads);
        CHECK_UINT(isthmus_semaphore_value(&shared[SEMAPHORE]), 0);

        CHECK_OK(isthmus_semaphore_acquire(&shared[ROBUST], 0));
        together_begin(&threads, THREADS, take_for_good, &shared);
        UNTIL(together_waiting(&shared[ROBUST]) == THREADS);
        CHECK_OK(isthmus_semaphore_release(&shared[ROBUST], 1));
        together_end(&threads);
        end_with_handles();
    }
}

static void *be_notified(void *argument)
{
    struct handles handles;
    (void)argument;
    open_handles(&handles);
    struct isthmus_primitive *condition = handles.of[CONDITION];
    CHECK_OK(isthmus_lock_acquire(condition, SOON()));
    count_up(&numbers);
    CHECK_OK(isthmus_condition_wait(condition, condition, SOON(), NULL));
    CHECK_OK(isthmus_lock_release(condition));
    close_handles(&handles);
    return NULL;
}

static void notifications_one_by_one_reach_all_that_wait(void)
{
    for (unsigned i = 0; i < 200; i++) {
        struct together_threads threads;
        begin_with_handles(i % 2);
        together_begin(&threads, THREADS, be_notified, NULL);
        UNTIL(peek(&numbers) == THREADS);
        for (unsigned j = 0; j < THREADS; j++) {
            CHECK_OK(isthmus_lock_acquire(&shared[CONDITION], SOON()));
            CHECK_OK(isthmus_condition_notify(&shared[CONDITION], &shared[CONDITION], 1));
            CHECK_OK(isthmus_lock_release(&shared[CONDITION]));
        }
        together_end(&threads);
        end_with_handles();
    }
}

/* ---- Everything at once ------------------------------------------------------------------------
 */

static void *do_a_bit_of_everything(void *argument)
{
    struct handles handles;
    uint32_t random = 12345 + 67 * count_up(&numbers);
    (void)argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        /* Handles come and go while others are in use. */
        if (i % 100 == 0) {
            if (i > 0)
                close_handles(&handles);
            open_handles(&handles);
        }
        random = random * 1664525 + 1013904223;
        switch (random >> 24 & 7) {
        case 0:
            with_lock(&handles, LOCK);
            break;
        case 1:
            with_recursive_lock(&handles, RLOCK);
            break;
        case 2:
            with_permit(&handles, SEMAPHORE);
            break;
        case 3:
            with_permit(&handles, ROBUST);
            break;
        case 4:
            reading_or_writing(&handles, 1);
            break;
        case 5:
            reading_or_writing(&handles, 0);
            break;
        case 6:
            /* Nobody notifies: it times out, and the lock is held. */
            CHECK_OK(isthmus_lock_acquire(handles.of[CONDITION], SOON()));
            CHECK_RESULT(isthmus_condition_wait(handles.of[CONDITION], handles.of[CONDITION],
                                                isthmus_deadline_after(10000), NULL),
                         -ETIMEDOUT);
            together_alone(&areas[CONDITION]);
            CHECK_OK(isthmus_lock_release(handles.of[CONDITION]));
            break;
        default:
            isthmus_atomic_int_add(handles.of[NUMBER], 1);
            CHECK_OK(isthmus_event_set(handles.of[EVENT]));
            CHECK_OK(isthmus_event_clear(handles.of[EVENT]));
        }
    }
    close_handles(&handles);
    return NULL;
}

static void all_kinds_go_together(void)
{
    in_threads(do_a_bit_of_everything);
}

static const struct check_test tests[] = {
    CHECK_TEST(locks_order_what_their_owners_do),
    CHECK_TEST(semaphores_order_what_is_done_with_their_only_permit),
    CHECK_TEST(readers_see_all_of_what_writers_wrote),
    CHECK_TEST(what_was_written_before_an_event_is_seen_after_it),
    CHECK_TEST(what_was_written_before_a_number_is_seen_after_it),
    CHECK_TEST(what_all_wrote_before_a_barrier_all_see_after_it),
    CHECK_TEST(every_item_is_taken_once),
    CHECK_TEST(permits_given_back_one_by_one_reach_all_that_wait),
    CHECK_TEST(notifications_one_by_one_reach_all_that_wait),
    CHECK_TEST(all_kinds_go_together),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
