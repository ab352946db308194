/* Death at every step of readers-writer locks. See death.h. */
#include "check.h"
#include "death.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

static pid_t owner;

static struct isthmus_shared_rwlock *state(void)
{
    return (struct isthmus_shared_rwlock *)(own.shared + 1);
}

static void heard(int result)
{
    CHECK(result == 0 || result == -EOWNERDEAD);
    if (result)
        count_up(&stage->reports);
}

static void read_it(void)
{
    count_up(&stage->reading);
    CHECK_UINT(peek(&stage->area.inside), 0);
    CHECK_UINT(stage->area.first, stage->area.second);
    __atomic_fetch_sub(&stage->reading, 1, __ATOMIC_ACQ_REL);
}

static void write_it(void)
{
    CHECK_UINT(peek(&stage->reading), 0);
    together_alone(&stage->area);
    CHECK_UINT(peek(&stage->reading), 0);
}

static void read_turn(struct isthmus_primitive *rwlock)
{
    heard(isthmus_rwlock_acquire_read(rwlock, SOON()));
    read_it();
    CHECK_OK(isthmus_rwlock_release_read(rwlock));
    count_up(&stage->done);
}

static void write_turn(struct isthmus_primitive *rwlock)
{
    heard(isthmus_rwlock_acquire_write(rwlock, SOON()));
    write_it();
    CHECK_OK(isthmus_rwlock_release_write(rwlock));
    count_up(&stage->done);
}

/* ---- Victims ---------------------------------------------------------------------------- */

static void start_reading(void)
{
    heard(isthmus_rwlock_acquire_read(&mine, SOON()));
    read_it();
}

static void start_writing(void)
{
    heard(isthmus_rwlock_acquire_write(&mine, SOON()));
    write_it();
}

static void stop_reading(void)
{
    CHECK_OK(isthmus_rwlock_release_read(&mine));
}

static void stop_writing(void)
{
    CHECK_OK(isthmus_rwlock_release_write(&mine));
}

static void abandon(void)
{
    CHECK_OK(isthmus_rwlock_abandon_write(&mine));
}

static void close_it(void)
{
    isthmus_primitive_close(&mine);
}

static void try_reading_in_vain(void)
{
    CHECK_RESULT(isthmus_rwlock_acquire_read(&mine, 0), -ETIMEDOUT);
}

static void try_writing_in_vain(void)
{
    CHECK_RESULT(isthmus_rwlock_acquire_write(&mine, 0), -ETIMEDOUT);
}

static void wait_to_write_in_vain(void)
{
    CHECK_RESULT(isthmus_rwlock_acquire_write(&mine, isthmus_deadline_after(10000000)), -ETIMEDOUT);
}

static void wait_to_read_in_vain(void)
{
    CHECK_RESULT(isthmus_rwlock_acquire_read(&mine, isthmus_deadline_after(10000000)), -ETIMEDOUT);
}

/* Until nothing is in the way but the dead, who must not be for long. */
static void try_reading(void)
{
    int result;
    do
        result = isthmus_rwlock_acquire_read(&mine, 0);
    while (result == -ETIMEDOUT);
    heard(result);
    read_it();
}

static void try_writing(void)
{
    int result;
    do
        result = isthmus_rwlock_acquire_write(&mine, 0);
    while (result == -ETIMEDOUT);
    heard(result);
    write_it();
}

/* ---- Others ------------------------------------------------------------------------------ */

static void read_by_own(void)
{
    CHECK_OK(isthmus_rwlock_acquire_read(&own, 0));
}

static void write_by_own(void)
{
    CHECK_OK(isthmus_rwlock_acquire_write(&own, 0));
}

static void read_for_ever(struct isthmus_primitive *rwlock)
{
    CHECK_OK(isthmus_rwlock_acquire_read(rwlock, 0));
}

static void write_for_ever(struct isthmus_primitive *rwlock)
{
    CHECK_OK(isthmus_rwlock_acquire_write(rwlock, 0));
}

static void another_reads(void)
{
    owner = together_stay(&own, read_for_ever);
}

static void another_writes(void)
{
    owner = together_stay(&own, write_for_ever);
}

static void one_waits_to_write(void)
{
    death_companion(write_turn);
    UNTIL(together_waiting(&own) == 1);
}

static void two_wait(void)
{
    death_companion(read_turn);
    UNTIL(together_waiting(&own) == 1);
    death_companion(write_turn);
    UNTIL(together_waiting(&own) == 2);
}

static void kill_the_owner(void)
{
    UNTIL_GONE_OR(together_waiting(&own) == 1);
    together_kill(owner);
}

static void kill_the_owner_of_more(void)
{
    UNTIL_GONE_OR(together_waiting(&own) == 1);
    death_companion(write_turn);
    UNTIL_GONE_OR(together_waiting(&own) == 2);
    /* Preferred readers do not wait for a reader. */
    death_companion(read_turn);
    together_kill(owner);
}

/* The victim sleeps for some slices; others come behind it. */
static void others_come(void)
{
    UNTIL_GONE_OR(together_waiting(&own) == 1);
    UNTIL_PASSED(60);
    death_companion(read_turn);
    death_companion(write_turn);
    UNTIL_PASSED(70);
}

static void stop_reading_after_a_while(void)
{
    others_come();
    CHECK_OK(isthmus_rwlock_release_read(&own));
}

static void stop_writing_after_a_while(void)
{
    others_come();
    CHECK_OK(isthmus_rwlock_release_write(&own));
}

static void stop_reading_soon(void)
{
    UNTIL_GONE_OR(together_waiting(&own) == 1);
    CHECK_OK(isthmus_rwlock_release_read(&own));
}

static void stop_writing_soon(void)
{
    UNTIL_GONE_OR(together_waiting(&own) == 1);
    CHECK_OK(isthmus_rwlock_release_write(&own));
}

/* ---- Afterwards ---------------------------------------------------------------------------- */

static void check_whole(void)
{
    struct isthmus_primitive fresh;
    read_turn(&own);
    write_turn(&own);
    death_join_companions();
    /* A writer has released since, so nothing is to be told any more. */
    together_join(&fresh, &own);
    CHECK_OK(isthmus_rwlock_acquire_read(&fresh, 0));
    CHECK_OK(isthmus_rwlock_release_read(&fresh));
    CHECK_OK(isthmus_rwlock_acquire_write(&fresh, SOON()));
    CHECK_OK(isthmus_rwlock_release_write(&fresh));
    isthmus_primitive_close(&fresh);
    CHECK_UINT(isthmus_rwlock_readers(&own), 0);
    CHECK_UINT(state()->word, 0);
    CHECK_UINT(state()->tid, 0);
    CHECK_UINT(state()->gate & (ISTHMUS_GATE_CLOSED | ISTHMUS_GATE_DRAINING), 0);
    CHECK_UINT(state()->abandoned, 0);
    death_check_table(1);
}

/* Dead readers are nothing to be told of. */
static void check_untold(void)
{
    check_whole();
    CHECK_UINT(stage->reports, 0);
    CHECK_UINT(state()->deaths, 0);
}

/* The victim was writing when it died at its first point. */
static void check_told_at_first(void)
{
    check_whole();
    if (death_point == 1)
        CHECK(stage->reports >= 1);
}

static void check_told(void)
{
    check_whole();
    CHECK(stage->reports >= 1);
}

/* A writer died writing, and none has released since: also readers must hear of it. */
static void check_readers_are_told(void)
{
    CHECK_RESULT(isthmus_rwlock_acquire_read(&own, SOON()), -EOWNERDEAD);
    CHECK_OK(isthmus_rwlock_release_read(&own));
    check_told();
}

static void check_read_by_own(void)
{
    CHECK_OK(isthmus_rwlock_release_read(&own));
    check_whole();
}

static void check_written_by_own(void)
{
    CHECK_OK(isthmus_rwlock_release_write(&own));
    check_untold();
}

#define BOTH_PREFERENCES(text, ...)                                                                \
    {.what = "rwlock, " text, .kind = ISTHMUS_KIND_RWLOCK, __VA_ARGS__},                           \
    {                                                                                              \
        .what = "rwlock, readers first, " text, .kind = ISTHMUS_KIND_RWLOCK,                       \
        .flags = ISTHMUS_READER_PREFERENCE, __VA_ARGS__                                            \
    }

static const struct death_act reading[] = {
    BOTH_PREFERENCES("read free", .run = start_reading, .after = check_untold),
    BOTH_PREFERENCES("try to read, in vain", .before = write_by_own, .run = try_reading_in_vain,
                     .after = check_written_by_own),
    BOTH_PREFERENCES("wait to read, in vain", .before = write_by_own, .run = wait_to_read_in_vain,
                     .after = check_written_by_own),
    BOTH_PREFERENCES("wait to read", .before = write_by_own, .run = start_reading,
                     .meanwhile = stop_writing_soon, .after = check_untold),
    BOTH_PREFERENCES("wait to read, others as well", .before = write_by_own, .run = start_reading,
                     .meanwhile = stop_writing_after_a_while, .after = check_untold),
    BOTH_PREFERENCES("stop reading", .prepare = start_reading, .run = stop_reading,
                     .after = check_untold),
    BOTH_PREFERENCES("stop reading, one waits to write", .prepare = start_reading,
                     .between = one_waits_to_write, .run = stop_reading, .after = check_untold),
    BOTH_PREFERENCES("close while reading, one waits to write", .prepare = start_reading,
                     .between = one_waits_to_write, .run = close_it, .after = check_untold),
};

static const struct death_act writing[] = {
    BOTH_PREFERENCES("write free", .run = start_writing, .after = check_whole),
    BOTH_PREFERENCES("try to write, in vain", .before = read_by_own, .run = try_writing_in_vain,
                     .after = check_read_by_own),
    BOTH_PREFERENCES("wait to write, in vain", .before = read_by_own, .run = wait_to_write_in_vain,
                     .after = check_read_by_own),
    BOTH_PREFERENCES("wait for readers to leave", .before = read_by_own, .run = start_writing,
                     .meanwhile = stop_reading_soon, .after = check_whole),
    BOTH_PREFERENCES("wait for readers to leave, others behind", .before = read_by_own,
                     .run = start_writing, .meanwhile = stop_reading_after_a_while,
                     .after = check_whole),
    BOTH_PREFERENCES("wait for a writer to leave", .before = write_by_own, .run = start_writing,
                     .meanwhile = stop_writing_after_a_while, .after = check_whole),
    BOTH_PREFERENCES("stop writing", .prepare = start_writing, .run = stop_writing,
                     .after = check_told_at_first),
    BOTH_PREFERENCES("stop writing, two wait", .prepare = start_writing, .between = two_wait,
                     .run = stop_writing, .after = check_told_at_first),
    BOTH_PREFERENCES("abandon, two wait", .prepare = start_writing, .between = two_wait,
                     .run = abandon, .after = check_told),
    BOTH_PREFERENCES("close while writing, two wait", .prepare = start_writing, .between = two_wait,
                     .run = close_it, .after = check_told),
};

static const struct death_act repair[] = {
    BOTH_PREFERENCES("read after a dead writer", .kills_another = 1, .before = another_writes,
                     .run = start_reading, .meanwhile = kill_the_owner,
                     .after = check_readers_are_told),
    BOTH_PREFERENCES("write after a dead writer", .kills_another = 1, .before = another_writes,
                     .run = start_writing, .meanwhile = kill_the_owner,
                     .after = check_readers_are_told),
    BOTH_PREFERENCES("write after a dead reader", .kills_another = 1, .before = another_reads,
                     .run = start_writing, .meanwhile = kill_the_owner, .after = check_whole),
    BOTH_PREFERENCES("read after a dead writer, others too", .kills_another = 1,
                     .before = another_writes, .run = start_reading,
                     .meanwhile = kill_the_owner_of_more, .after = check_told),
    BOTH_PREFERENCES("write after a dead reader, others too", .kills_another = 1,
                     .before = another_reads, .run = start_writing,
                     .meanwhile = kill_the_owner_of_more, .after = check_whole),
};

#define PLAIN(text, ...) {.what = "rwlock, " text, .kind = ISTHMUS_KIND_RWLOCK, __VA_ARGS__}

static const struct death_act pairs[] = {
    PLAIN("write, then one reads", .run = start_writing, .second = try_reading,
          .after = check_whole),
    PLAIN("write, then one writes", .run = start_writing, .second = try_writing,
          .after = check_whole),
    PLAIN("read, then one writes", .run = start_reading, .second = try_writing,
          .after = check_whole),
    PLAIN("stop writing, then one reads", .prepare = start_writing, .run = stop_writing,
          .second = try_reading, .after = check_told_at_first),
    PLAIN("close while writing, then one writes", .prepare = start_writing, .run = close_it,
          .second = try_writing, .after = check_readers_are_told),
};

static void readers_that_die_at_any_step_are_as_those_that_have_left(void)
{
    death_run(reading, sizeof reading / sizeof reading[0]);
}

static void writers_that_die_at_any_step_keep_nobody_out(void)
{
    death_run(writing, sizeof writing / sizeof writing[0]);
}

static void those_that_die_at_any_step_of_replacing_the_dead_do_neither(void)
{
    death_run(repair, sizeof repair / sizeof repair[0]);
}

static void two_that_die_one_after_the_other_at_any_step_do_neither(void)
{
    death_run(pairs, sizeof pairs / sizeof pairs[0]);
}

static const struct check_test tests[] = {
    CHECK_TEST(readers_that_die_at_any_step_are_as_those_that_have_left),
    CHECK_TEST(writers_that_die_at_any_step_keep_nobody_out),
    CHECK_TEST(those_that_die_at_any_step_of_replacing_the_dead_do_neither),
    CHECK_TEST(two_that_die_one_after_the_other_at_any_step_do_neither),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
