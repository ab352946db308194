/*
 * Death at every step of making, opening, forking and removing rings, where the victims open
 * what they need themselves; and of ending queues. See death.h.
 */
#include "check.h"
#include "death.h"
#include "fixture.h"
#include <errno.h>
#include <unistd.h>

#define PUT 3u

static char name[FIXTURE_NAME_SIZE], path[FIXTURE_PATH_SIZE];

static struct isthmus_ring_plan plan(void)
{
    return (struct isthmus_ring_plan){
        .kind = act->kind, .flags = act->flags, .participants = 3, .capacity = ISTHMUS_RING_MIN};
}

static void open_as(struct isthmus_ring *ring)
{
    const struct isthmus_ring_plan wanted = plan();
    CHECK_OK(isthmus_ring_open(ring, name, &wanted, NULL, NULL));
    ring->primitive.spin_ns = 0;
}

static int is_there(void)
{
    return access(path, F_OK) == 0;
}

/* ---- Before ------------------------------------------------------------------------------- */

static void new_name(void)
{
    char escaped[ISTHMUS_NAME_MAX + 1];
    fixture_name(name);
    CHECK_OK(isthmus_name_escape(name, escaped));
    fixture_path(path, escaped);
}

static void subscribe_if_topic(struct isthmus_ring *ring)
{
    if (act->kind == ISTHMUS_KIND_TOPIC)
        CHECK_OK(isthmus_topic_subscribe(ring, ISTHMUS_START_OLDEST));
}

static void opened_by_own(void)
{
    new_name();
    open_as(&own_ring);
    rings_put(&own_ring, 1, 0, PUT);
    subscribe_if_topic(&own_ring);
}

static void put_and_end(void *argument)
{
    (void)argument;
    open_as(&my_ring);
    rings_put(&my_ring, 1, 0, PUT);
}

/* Of nobody, since its only participant was killed. */
static void orphaned(void)
{
    new_name();
    CHECK_INT(check_in_child(put_and_end, NULL), 0);
    CHECK(is_there());
}

/* ---- Victims ------------------------------------------------------------------------------- */

static void create(void)
{
    const struct isthmus_ring_plan wanted = plan();
    CHECK_OK(isthmus_ring_create(&my_ring, name, &wanted, NULL));
}

static void open_it(void)
{
    open_as(&my_ring);
}

static void open_and_put(void)
{
    open_it();
    rings_put(&my_ring, 1, 0, PUT);
}

static void open_and_use(void)
{
    struct isthmus_record record;
    open_it();
    if (act->kind == ISTHMUS_KIND_QUEUE)
        CHECK_OK(rings_lease(&my_ring, &record, 0));
    else
        CHECK_OK(isthmus_topic_subscribe(&my_ring, ISTHMUS_START_OLDEST));
}

static void attach(void)
{
    CHECK_OK(isthmus_ring_attach(&my_ring, name, act->kind, NULL));
}

static void close_it(void)
{
    isthmus_ring_close(&my_ring);
}

static void unlink_it(void)
{
    CHECK_OK(isthmus_ring_unlink(&my_ring));
}

static void anonymous(void)
{
    const struct isthmus_ring_plan wanted = plan();
    CHECK_OK(isthmus_ring_anonymous(&my_ring, &wanted));
}

static void before_fork(void)
{
    CHECK_OK(isthmus_primitive_before_fork(&my_ring.primitive));
}

static void open_and_prepare(void)
{
    open_and_use();
    before_fork();
}

static void after_fork_in_parent(void)
{
    CHECK_OK(isthmus_primitive_after_fork(&my_ring.primitive, 0));
}

/* The victim is a child of the worker, whose handle it has inherited. */
static void own_prepares(void)
{
    opened_by_own();
    CHECK_OK(isthmus_primitive_before_fork(&own_ring.primitive));
}

static void go_on_in_the_child(void)
{
    CHECK_OK(isthmus_primitive_after_fork(&own_ring.primitive, 1));
    CHECK_OK(isthmus_ring_join(&own_ring));
}

/* ---- Afterwards ---------------------------------------------------------------------------- */

/* What came out, as bits; each at most once. */
static uint32_t take_all(struct isthmus_ring *ring)
{
    uint32_t found = 0;
    struct message message;
    while (rings_get(ring, &message, isthmus_deadline_after(30000000)) == 0) {
        CHECK(message.number < 32 && !(found & 1u << message.number));
        found |= 1u << message.number;
    }
    return found;
}

/* It works, all slots are to be had, and the last one removes it. */
static void check_works_and_goes(void)
{
    struct isthmus_ring others[2], more;
    for (unsigned i = 0; i < 2; i++)
        CHECK_OK(isthmus_ring_attach(&others[i], name, act->kind, NULL));
    CHECK_RESULT(isthmus_ring_attach(&more, name, act->kind, NULL), -ISTHMUS_E_FULL);
    for (uint32_t i = 0; i < 2 * MESSAGES_FIT; i++) {
        CHECK_OK(rings_write(&others[0], 9, i, MESSAGE_SIZE, SOON()));
        rings_expect(&own_ring, 9, i);
    }
    for (unsigned i = 0; i < 2; i++)
        isthmus_ring_close(&others[i]);
    if (act->flags & ISTHMUS_PERSIST && is_there())
        CHECK_OK(isthmus_ring_unlink(&own_ring));
    isthmus_ring_close(&own_ring);
    CHECK(!is_there());
    CHECK_UINT(fixture_count(FIXTURE_SHM, name), 0);
}

/* Whatever is there, or is not: it can be opened. */
static void check_named(void)
{
    open_as(&own_ring);
    subscribe_if_topic(&own_ring);
    const uint32_t found = take_all(&own_ring);
    CHECK(found < 1u << PUT);
    if (act->flags & ISTHMUS_PERSIST)
        stage->outcome = found ? DEATH_HAPPENED : DEATH_NOTHING;
    check_works_and_goes();
}

/* What persists keeps what was put before. */
static void check_kept(void)
{
    open_as(&own_ring);
    subscribe_if_topic(&own_ring);
    CHECK_UINT(take_all(&own_ring), (1u << PUT) - 1);
    check_works_and_goes();
}

/* The worker has had it open all the time. */
static void check_shared(void)
{
    CHECK(is_there());
    CHECK_UINT(take_all(&own_ring), (1u << PUT) - 1);
    check_works_and_goes();
}

static void check_shared_after_a_fork(void)
{
    CHECK_OK(isthmus_primitive_after_fork(&own_ring.primitive, 0));
    check_shared();
}

static void check_unlinked(void)
{
    stage->outcome = is_there() ? DEATH_NOTHING : DEATH_HAPPENED;
    if (is_there())
        CHECK_OK(isthmus_ring_unlink(&own_ring));
    CHECK(!is_there());
    CHECK_UINT(take_all(&own_ring), (1u << PUT) - 1);
    isthmus_ring_close(&own_ring);
}

static void check_nothing(void)
{
    CHECK_UINT(fixture_count(FIXTURE_SHM, name), 0);
}

#define QUEUE(text, ...)                                                                           \
    {.what = "queue, " text, .kind = ISTHMUS_KIND_QUEUE, .alone = 1, __VA_ARGS__}
#define TOPIC(text, ...)                                                                           \
    {.what = "topic, " text, .kind = ISTHMUS_KIND_TOPIC, .alone = 1, __VA_ARGS__}
#define BOTH(text, ...) QUEUE(text, __VA_ARGS__), TOPIC(text, __VA_ARGS__)

static const struct death_act objects[] = {
    QUEUE("create", .before = new_name, .run = create, .after = check_named),
    QUEUE("open, new", .before = new_name, .run = open_it, .after = check_named),
    BOTH("open, new, and put", .flags = ISTHMUS_PERSIST, .before = new_name, .run = open_and_put,
         .after = check_named),
    BOTH("open what is there, and use it", .before = opened_by_own, .run = open_and_use,
         .after = check_shared),
    BOTH("attach", .before = opened_by_own, .run = attach, .after = check_shared),
    QUEUE("close as the last", .before = new_name, .prepare = open_and_put, .run = close_it,
          .after = check_named),
    QUEUE("close as the last, it persists", .flags = ISTHMUS_PERSIST, .before = new_name,
          .prepare = open_and_put, .run = close_it, .after = check_kept),
    BOTH("close while using it", .before = opened_by_own, .prepare = open_and_use, .run = close_it,
         .after = check_shared),
    QUEUE("unlink", .before = opened_by_own, .prepare = open_it, .run = unlink_it,
          .after = check_unlinked),
    BOTH("before a fork", .before = opened_by_own, .prepare = open_and_use, .run = before_fork,
         .after = check_shared),
    BOTH("after a fork, parent", .before = opened_by_own, .prepare = open_and_prepare,
         .run = after_fork_in_parent, .after = check_shared),
    BOTH("after a fork, child", .before = own_prepares, .run = go_on_in_the_child,
         .after = check_shared_after_a_fork),
    QUEUE("make an anonymous one", .before = new_name, .run = anonymous, .after = check_nothing),
    QUEUE("open an orphan", .before = orphaned, .kills_another = 1, .run = open_it,
          .after = check_named),
    BOTH("open an orphan that persists", .flags = ISTHMUS_PERSIST, .before = orphaned,
         .kills_another = 1, .run = open_and_use, .after = check_kept),
};

/* ---- The end of a queue -----------------------------------------------------------------------
 */

static const struct isthmus_ring_plan queue_plan = {.kind = ISTHMUS_KIND_QUEUE,
                                                    .capacity = ISTHMUS_RING_MIN};

static const struct isthmus_ring_plan small_plan = {
    .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .maxsize = 3};

static void shut_down(void)
{
    CHECK_OK(isthmus_queue_shut_down(&my_ring, 0));
}

static void discard(void)
{
    CHECK_OK(isthmus_queue_shut_down(&my_ring, 1));
}

static void clear(void)
{
    CHECK_OK(isthmus_queue_clear(&my_ring));
}

static struct isthmus_record held;

static void own_puts_and_leases(void)
{
    rings_put(&own_ring, 0, 0, 4);
    CHECK_OK(rings_lease(&own_ring, &held, 0));
}

static void own_fills(void)
{
    CHECK_UINT(rings_fill(&own_ring, 0), act->ring->maxsize);
}

static void get_or_be_told(struct isthmus_ring *ring)
{
    const int result = rings_get(ring, NULL, SOON());
    CHECK(result == 0 || result == -ESHUTDOWN);
}

static void put_or_be_told(struct isthmus_ring *ring)
{
    const int result = rings_write(ring, 1, 0, MESSAGE_SIZE, SOON());
    CHECK(result == 0 || result == -ESHUTDOWN);
}

static void two_wait_for_messages(void)
{
    death_ring_companion(get_or_be_told);
    death_ring_companion(get_or_be_told);
    UNTIL(rings_waiting(&own_ring) == 2);
}

static void two_wait_for_room(void)
{
    death_ring_companion(put_or_be_told);
    death_ring_companion(put_or_be_told);
    UNTIL(rings_waiting(&own_ring) == 2);
}

/* Shut down or not; if it was half done, another one ends it. Nobody hangs. */
static void check_ended(void)
{
    struct isthmus_queue_state state;
    CHECK_OK(isthmus_queue_state(&own_ring, &state));
    stage->outcome = state.closed ? DEATH_HAPPENED : DEATH_NOTHING;
    CHECK_OK(isthmus_queue_shut_down(&own_ring, act->run == discard));
    death_join_companions();
    if (state.leased)
        CHECK_OK(rings_acknowledge(&own_ring, &held));
    int result;
    while ((result = rings_get(&own_ring, NULL, SOON())) == 0)
        CHECK_OK(isthmus_queue_task_done(&own_ring));
    CHECK_RESULT(result, -ESHUTDOWN);
    CHECK_RESULT(rings_try(&own_ring, 0, 0, MESSAGE_SIZE), -ESHUTDOWN);
    CHECK_OK(isthmus_queue_join(&own_ring, SOON()));
    rings_check_state(&own_ring, 0, 0, 0);
    death_check_ring_table(1);
}

/* Some may be gone, from the oldest on; the leased one is not. */
static void check_cleared(void)
{
    struct message message;
    uint32_t left = 0, last = 0;
    CHECK_OK(rings_acknowledge(&own_ring, &held));
    while (rings_get(&own_ring, &message, 0) == 0) {
        CHECK(message.number > last);
        last = message.number;
        left++;
        CHECK_OK(isthmus_queue_task_done(&own_ring));
    }
    CHECK(left == 0 || last == 3);
    stage->outcome = left ? DEATH_NOTHING : DEATH_HAPPENED;
    CHECK_OK(isthmus_queue_join(&own_ring, SOON()));
    rings_check_capacity(&own_ring);
    death_check_ring_table(1);
}

#define END_OF(plan, text, ...) {.what = text, .ring = &plan, __VA_ARGS__}
#define END(text, ...) END_OF(queue_plan, text, __VA_ARGS__)

static const struct death_act ends[] = {
    END("shut down", .before = own_puts_and_leases, .run = shut_down, .after = check_ended),
    END("shut down, two wait for messages", .between = two_wait_for_messages, .run = shut_down,
        .after = check_ended),
    END_OF(small_plan, "shut down, two wait for room", .before = own_fills,
           .between = two_wait_for_room, .run = shut_down, .after = check_ended),
    END("discard", .before = own_puts_and_leases, .run = discard, .after = check_ended),
    END_OF(small_plan, "discard, two wait for room", .before = own_fills,
           .between = two_wait_for_room, .run = discard, .after = check_ended),
    END("clear", .before = own_puts_and_leases, .run = clear, .after = check_cleared),
    END("discard, then one does", .before = own_puts_and_leases, .run = discard, .second = discard,
        .after = check_ended),
    END("clear, then one does", .before = own_puts_and_leases, .run = clear, .second = clear,
        .after = check_cleared),
};

static void death_at_any_step_leaves_a_ring_or_none(void)
{
    death_run(objects, sizeof objects / sizeof objects[0]);
}

static void death_at_any_step_of_its_end_lets_another_one_end_it(void)
{
    death_run(ends, sizeof ends / sizeof ends[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(death_at_any_step_leaves_a_ring_or_none),
    CHECK_TEST(death_at_any_step_of_its_end_lets_another_one_end_it),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
