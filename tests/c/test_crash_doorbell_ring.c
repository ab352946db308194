/*
 * Death at every step of what rings for those that wait by doorbell for a message, for room, or
 * for the end of all work; and of waiting so. No slice helps who waits here, only a ring, or that
 * somebody is gone. Primitives: test_crash_doorbell.c. See death.h.
 */
#include "bells.h"
#include "check.h"
#include "death.h"
#include <errno.h>

/* In stage->free. */
enum {
    HUNG, /* those that have hung at a doorbell, and not found what they wait for */
    SAID  /* the victim has been told that it is done */
};

static const struct isthmus_ring_plan queue = {.kind = ISTHMUS_KIND_QUEUE,
                                               .capacity = ISTHMUS_RING_MIN};
static const struct isthmus_ring_plan small = {
    .kind = ISTHMUS_KIND_QUEUE, .capacity = ISTHMUS_RING_MIN, .maxsize = 2};
static const struct isthmus_ring_plan topic = {.kind = ISTHMUS_KIND_TOPIC,
                                               .capacity = ISTHMUS_RING_MIN};

static struct isthmus_record leased;

static uint32_t hung(void)
{
    return peek(&stage->free[HUNG]);
}

/* Another that waits by doorbell, and does. */
static void send(rings_work *work)
{
    const uint32_t before = hung();
    death_ring_companion(work);
    UNTIL(hung() == before + 1);
}

static void finish(int result)
{
    CHECK(result == 0 || result == -ESHUTDOWN);
    if (result)
        count_up(&stage->broken);
    count_up(&stage->done);
}

/* ---- Those that wait --------------------------------------------------------------------- */

static int try_to_get(struct isthmus_ring *ring)
{
    return ledger_get(ring, 0);
}

static int try_to_put(struct isthmus_ring *ring)
{
    return ledger_try(ring, ring == &my_ring ? LEDGER_VICTIM : LEDGER_COMPANION);
}

static void get(struct isthmus_ring *ring)
{
    bells_hung = &stage->free[HUNG];
    finish(bell_ring(ring, ISTHMUS_WAIT_READY, try_to_get));
}

static void put(struct isthmus_ring *ring)
{
    bells_hung = &stage->free[HUNG];
    finish(bell_ring(ring, ISTHMUS_WAIT_ROOM, try_to_put));
}

/* What subscribers read is no business of the ledger: all get the same. */
static int try_to_receive(struct isthmus_ring *ring)
{
    return rings_get(ring, NULL, 0);
}

static void receive(struct isthmus_ring *ring)
{
    bells_hung = &stage->free[HUNG];
    CHECK_OK(isthmus_topic_subscribe(ring, ISTHMUS_START_NEXT));
    finish(bell_ring(ring, ISTHMUS_WAIT_READY, try_to_receive));
}

static void join(struct isthmus_ring *ring)
{
    bells_hung = &stage->free[HUNG];
    finish(bell_queue_join(ring));
}

static void one_gets(void)
{
    send(get);
}

static void two_get(void)
{
    send(get);
    send(get);
}

static void one_puts(void)
{
    send(put);
}

static void one_receives(void)
{
    send(receive);
}

static void one_joins(void)
{
    send(join);
}

/* ---- Victims ------------------------------------------------------------------------------- */

static void said(void)
{
    poke(&stage->free[SAID], 1);
}

static void victim_puts(void)
{
    ledger_put(&my_ring, LEDGER_VICTIM, 1);
    said();
}

static void victim_puts_two_together(void)
{
    struct isthmus_write write;
    CHECK_OK(isthmus_write_begin(&my_ring, &write, 1, SOON()));
    ledger_reserve(&my_ring, &write, LEDGER_VICTIM, 2);
    ledger_commit(&my_ring, &write, LEDGER_VICTIM);
    said();
}

static void victim_gets(void)
{
    CHECK_OK(ledger_get(&my_ring, SOON()));
    said();
}

static void victim_receives(void)
{
    CHECK_OK(rings_get(&my_ring, NULL, SOON()));
}

static void lease(void)
{
    CHECK_OK(rings_lease(&my_ring, &leased, 0));
}

static void acknowledge(void)
{
    ledger_acknowledge(&my_ring, &leased);
    said();
}

static void give_back(void)
{
    CHECK_OK(rings_give_back(&my_ring, &leased));
}

static void take_plainly(void)
{
    CHECK_OK(ledger_get(&my_ring, 0));
}

static void be_done(void)
{
    CHECK_OK(isthmus_queue_task_done(&my_ring));
}

static void shut_down(void)
{
    CHECK_OK(isthmus_queue_shut_down(&my_ring, 0));
    said();
}

static void clear(void)
{
    CHECK_OK(isthmus_queue_clear(&my_ring));
}

static void close_it(void)
{
    isthmus_ring_close(&my_ring);
}

static void subscribe(void)
{
    CHECK_OK(isthmus_topic_subscribe(&my_ring, ISTHMUS_START_OLDEST));
}

static void see_one(void)
{
    struct isthmus_read read;
    struct isthmus_record record;
    subscribe();
    ledger_put(&my_ring, LEDGER_VICTIM, 1);
    CHECK_OK(rings_next(&my_ring, &read, &record, 0));
    CHECK_OK(isthmus_topic_pin(&my_ring, record.position));
    isthmus_read_commit(&my_ring, &read);
    CHECK_OK(isthmus_topic_unsubscribe(&my_ring));
}

static void unpin(void)
{
    CHECK_OK(isthmus_topic_pin(&my_ring, UINT64_MAX));
}

static void unsubscribe(void)
{
    CHECK_OK(isthmus_topic_unsubscribe(&my_ring));
}

static void victim_waits_for_a_message(void)
{
    get(&my_ring);
}

static void victim_waits_for_room(void)
{
    put(&my_ring);
}

static void victim_waits_for_what_is_published(void)
{
    receive(&my_ring);
}

static void victim_waits_for_the_end(void)
{
    join(&my_ring);
}

/* ---- The worker ------------------------------------------------------------------------------ */

static void own_puts(void)
{
    ledger_put(&own_ring, LEDGER_OWN, 1);
}

static void own_gets(void)
{
    CHECK_OK(ledger_get(&own_ring, SOON()));
}

static void own_fills(void)
{
    ledger_fill(&own_ring, LEDGER_OWN);
}

/* While the victim, prepared, is in the way. */
static void own_fills_and_one_puts(void)
{
    own_fills();
    one_puts();
}

static void until_it_hangs_too(void)
{
    UNTIL_GONE_OR(hung() == 2);
}

static void put_when_it_hangs(void)
{
    until_it_hangs_too();
    ledger_put(&own_ring, LEDGER_OWN, 2);
}

static void get_when_it_hangs(void)
{
    until_it_hangs_too();
    own_gets();
    own_gets();
}

static void publish_when_it_hangs(void)
{
    until_it_hangs_too();
    /* One alone may be gone by before the victim subscribes, which then waits in vain. */
    while (!death_gone()) {
        ledger_try(&own_ring, LEDGER_OWN);
        together_pause();
    }
    ledger_put(&own_ring, LEDGER_OWN, 1);
}

static void own_takes_plainly(void)
{
    own_puts();
    CHECK_OK(ledger_get(&own_ring, 0));
}

static void be_done_when_it_hangs(void)
{
    until_it_hangs_too();
    CHECK_OK(isthmus_queue_task_done(&own_ring));
}

/* ---- Afterwards ------------------------------------------------------------------------------ */

/*
 * Is what `side` stands for there, or has the victim been told that it is? Then whoever waits finds
 * it without help. It may do so before we look.
 */
static int is_there(uint32_t side)
{
    struct isthmus_waited thing = {
        .primitive = &own_ring.primitive, .side = side, .about = MESSAGE_SIZE};
    return peek(&stage->free[SAID]) || isthmus_look(&thing, ISTHMUS_LOOK) != 0;
}

/* Perhaps not with the first one, if that is not the oldest: a dead one's was leased before. */
static int own_makes_room(void)
{
    (void)ledger_get(&own_ring, 0);
    return 0;
}

/* Bring the rest, one by one. */
static void help_with(void (*bring)(void))
{
    uint32_t before;
    while ((before = peek(&stage->done)) < hung()) {
        bring();
        UNTIL(peek(&stage->done) > before);
    }
}

static void check_ledger(void)
{
    death_join_companions();
    ledger_drain_queue(&own_ring);
    ledger_check();
    death_check_ring_table(1);
}

static void check_put(void)
{
    if (is_there(ISTHMUS_WAIT_READY))
        UNTIL(peek(&stage->done));
    help_with(own_puts);
    check_ledger();
}

/* The lease of a dead one is ready again, unless it was acknowledged. */
static void check_got(void)
{
    UNTIL(peek(&stage->done));
    check_ledger();
}

static void check_room(void)
{
    if (is_there(ISTHMUS_WAIT_ROOM))
        UNTIL(peek(&stage->done));
    UNTIL(peek(&stage->done) || own_makes_room());
    check_ledger();
}

/* All are gone, from the oldest on, or none. */
static void check_cleared(void)
{
    stage->ledger.lossy = 1;
    if (is_there(ISTHMUS_WAIT_ROOM))
        UNTIL(peek(&stage->done));
    else
        CHECK_OK(isthmus_queue_clear(&own_ring));
    check_ledger();
}

/* Who was in the way is dead. */
static void check_published(void)
{
    death_join_companions();
    death_check_ring_table(1);
}

static void check_received(void)
{
    struct isthmus_topic_state state;
    CHECK_OK(isthmus_topic_state(&own_ring, &state));
    stage->outcome = state.published ? DEATH_HAPPENED : DEATH_NOTHING;
    if (state.published)
        UNTIL(peek(&stage->done));
    help_with(own_puts);
    check_published();
}

static void check_joined(void)
{
    death_join_companions();
    CHECK_OK(isthmus_queue_join(&own_ring, 0));
    death_check_ring_table(1);
}

static void check_shut(void)
{
    struct isthmus_queue_state state;
    CHECK_OK(isthmus_queue_state(&own_ring, &state));
    stage->outcome = state.closed ? DEATH_HAPPENED : DEATH_NOTHING;
    if (!state.closed) {
        CHECK_UINT(peek(&stage->done), 0);
        CHECK_OK(isthmus_queue_shut_down(&own_ring, 0));
    }
    death_join_companions();
    CHECK_UINT(stage->broken, stage->done);
    death_check_ring_table(1);
}

#define QUEUE(text, ...) {.what = "queue, " text, .ring = &queue, __VA_ARGS__}
#define SMALL(text, ...) {.what = "queue, maxsize, " text, .ring = &small, __VA_ARGS__}
#define TOPIC(text, ...) {.what = "topic, " text, .ring = &topic, __VA_ARGS__}

static const struct death_act bringing[] = {
    QUEUE("put", .between = one_gets, .run = victim_puts, .after = check_put),
    QUEUE("put, two wait", .between = two_get, .run = victim_puts, .after = check_put),
    QUEUE("put two together, two wait", .between = two_get, .run = victim_puts_two_together,
          .after = check_put),
    QUEUE("put, then one waits so", .between = one_gets, .run = victim_puts,
          .second = victim_waits_for_a_message, .second_meanwhile = put_when_it_hangs,
          .after = check_got),
    QUEUE("give back", .before = own_puts, .prepare = lease, .between = one_gets, .run = give_back,
          .after = check_got),
    QUEUE("close while leasing", .before = own_puts, .prepare = lease, .between = one_gets,
          .run = close_it, .after = check_got),
    QUEUE("get", .before = own_fills, .between = one_puts, .run = victim_gets, .after = check_room),
    SMALL("get", .before = own_fills, .between = one_puts, .run = victim_gets, .after = check_room),
    QUEUE("acknowledge", .before = own_puts, .prepare = lease, .between = own_fills_and_one_puts,
          .run = acknowledge, .after = check_room),
    SMALL("lease", .before = own_fills, .between = one_puts, .run = lease, .after = check_room),
    QUEUE("clear", .before = own_fills, .between = one_puts, .run = clear, .after = check_cleared),
    QUEUE("task done", .before = own_puts, .prepare = take_plainly, .between = one_joins,
          .run = be_done, .after = check_joined),
    QUEUE("shut down, two wait", .between = two_get, .run = shut_down, .after = check_shut),
    SMALL("shut down, one waits for room", .before = own_fills, .between = one_puts,
          .run = shut_down, .after = check_shut),
    TOPIC("publish", .between = one_receives, .run = victim_puts, .after = check_received),
    TOPIC("receive what is in the way", .prepare = subscribe, .between = own_fills_and_one_puts,
          .run = victim_receives, .after = check_published),
    TOPIC("unsubscribe", .prepare = subscribe, .between = own_fills_and_one_puts,
          .run = unsubscribe, .after = check_published),
    TOPIC("unpin", .prepare = see_one, .between = own_fills_and_one_puts, .run = unpin,
          .after = check_published),
    TOPIC("close while subscribed", .prepare = subscribe, .between = own_fills_and_one_puts,
          .run = close_it, .after = check_published),
};

static const struct death_act waiting[] = {
    QUEUE("wait for a message", .between = one_gets, .run = victim_waits_for_a_message,
          .meanwhile = put_when_it_hangs, .after = check_got),
    QUEUE("wait for room", .before = own_fills, .between = one_puts, .run = victim_waits_for_room,
          .meanwhile = get_when_it_hangs, .after = check_got),
    SMALL("wait for room", .before = own_fills, .between = one_puts, .run = victim_waits_for_room,
          .meanwhile = get_when_it_hangs, .after = check_got),
    QUEUE("wait for the end", .before = own_takes_plainly, .between = one_joins,
          .run = victim_waits_for_the_end, .meanwhile = be_done_when_it_hangs,
          .after = check_joined),
    TOPIC("wait for what is published", .between = one_receives,
          .run = victim_waits_for_what_is_published, .meanwhile = publish_when_it_hangs,
          .after = check_published),
};

static void death_at_any_step_of_ringing_leaves_nobody_waiting(void)
{
    death_run(bringing, sizeof bringing / sizeof bringing[0]);
}

static void death_at_any_step_of_waiting_leaves_it_to_the_others(void)
{
    death_run(waiting, sizeof waiting / sizeof waiting[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(death_at_any_step_of_ringing_leaves_nobody_waiting),
    CHECK_TEST(death_at_any_step_of_waiting_leaves_it_to_the_others),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
