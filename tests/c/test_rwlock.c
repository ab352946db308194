/* Readers-writer locks. */
#include "check.h"
#include "together.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define ROUNDS 1000u
#define THREADS 3u

static struct isthmus_primitive rwlock, second, third;
static struct together_area *area;

static struct isthmus_shared_rwlock *state(void)
{
    return (struct isthmus_shared_rwlock *)(rwlock.shared + 1);
}

static void begin(uint32_t flags)
{
    together_make(&rwlock, ISTHMUS_KIND_RWLOCK, flags, 0);
    together_join(&second, &rwlock);
    together_join(&third, &rwlock);
    area = together_memory(sizeof *area);
}

static void end(void)
{
    CHECK_UINT(together_waiting(&rwlock), 0);
    CHECK_UINT(isthmus_rwlock_readers(&rwlock), 0);
    CHECK_INT(isthmus_rwlock_is_writing(&rwlock), 0);
    CHECK_UINT(state()->word & ISTHMUS_WORD_OWNER, 0);
    CHECK_UINT(state()->gate & (ISTHMUS_GATE_CLOSED | ISTHMUS_GATE_DRAINING), 0);
    isthmus_primitive_close(&third);
    isthmus_primitive_close(&second);
    isthmus_primitive_close(&rwlock);
}

#define FOR_EACH_PREFERENCE(flags)                                                                 \
    for (uint32_t flags = 0; flags <= ISTHMUS_READER_PREFERENCE; flags += ISTHMUS_READER_PREFERENCE)

static void many_read_or_one_writes(void)
{
    FOR_EACH_PREFERENCE(flags)
    {
        begin(flags);
        CHECK_OK(isthmus_rwlock_acquire_read(&rwlock, 0));
        CHECK_OK(isthmus_rwlock_acquire_read(&rwlock, 0));
        CHECK_OK(isthmus_rwlock_acquire_read(&second, ISTHMUS_FOREVER));
        CHECK_UINT(isthmus_rwlock_readers(&third), 3);
        CHECK_INT(isthmus_rwlock_is_writing(&third), 0);
        CHECK_RESULT(isthmus_rwlock_acquire_write(&third, 0), -ETIMEDOUT);
        CHECK_RESULT(isthmus_rwlock_acquire_write(&third, isthmus_deadline_after(12000000)),
                     -ETIMEDOUT);
        /* One that gave up is not in anybody's way. */
        CHECK_OK(isthmus_rwlock_acquire_read(&third, 0));
        CHECK_OK(isthmus_rwlock_release_read(&third));
        CHECK_OK(isthmus_rwlock_release_read(&rwlock));
        CHECK_OK(isthmus_rwlock_release_read(&second));
        CHECK_RESULT(isthmus_rwlock_acquire_write(&third, 0), -ETIMEDOUT);
        CHECK_OK(isthmus_rwlock_release_read(&rwlock));

        CHECK_OK(isthmus_rwlock_acquire_write(&third, 0));
        CHECK_INT(isthmus_rwlock_is_writing(&rwlock), 1);
        CHECK_RESULT(isthmus_rwlock_acquire_read(&rwlock, 0), -ETIMEDOUT);
        CHECK_RESULT(isthmus_rwlock_acquire_read(&third, 0), -ETIMEDOUT);
        CHECK_RESULT(isthmus_rwlock_acquire_write(&rwlock, 0), -ETIMEDOUT);
        CHECK_RESULT(isthmus_rwlock_acquire_read(&rwlock, isthmus_deadline_after(12000000)),
                     -ETIMEDOUT);
        CHECK_UINT(isthmus_rwlock_readers(&rwlock), 0);
        CHECK_OK(isthmus_rwlock_release_write(&third));
        CHECK_OK(isthmus_rwlock_acquire_read(&rwlock, 0));
        CHECK_OK(isthmus_rwlock_release_read(&rwlock));
        end();
    }
}

static void what_is_not_held_is_not_given_back(void)
{
    begin(0);
    CHECK_RESULT(isthmus_rwlock_release_read(&rwlock), -EPERM);
    CHECK_RESULT(isthmus_rwlock_release_write(&rwlock), -EPERM);
    CHECK_RESULT(isthmus_rwlock_abandon_write(&rwlock), -EPERM);
    CHECK_OK(isthmus_rwlock_acquire_read(&rwlock, 0));
    CHECK_RESULT(isthmus_rwlock_release_write(&rwlock), -EPERM);
    CHECK_RESULT(isthmus_rwlock_release_read(&second), -EPERM);
    CHECK_OK(isthmus_rwlock_release_read(&rwlock));
    CHECK_OK(isthmus_rwlock_acquire_write(&rwlock, 0));
    CHECK_RESULT(isthmus_rwlock_release_read(&rwlock), -EPERM);
    CHECK_RESULT(isthmus_rwlock_release_write(&second), -EPERM);
    CHECK_OK(isthmus_rwlock_release_write(&rwlock));
    end();
}

static void a_handle_that_is_closed_or_of_another_kind_is_refused(void)
{
    begin(0);
    end();
    for (int other_kind = 0; other_kind < 2; other_kind++) {
        const int error = other_kind ? -EINVAL : -EBADF;
        if (other_kind)
            together_make(&rwlock, ISTHMUS_KIND_EVENT, 0, 0);
        CHECK_RESULT(isthmus_rwlock_acquire_read(&rwlock, 0), error);
        CHECK_RESULT(isthmus_rwlock_acquire_write(&rwlock, 0), error);
        CHECK_RESULT(isthmus_rwlock_release_read(&rwlock), error);
        CHECK_RESULT(isthmus_rwlock_release_write(&rwlock), error);
        CHECK_RESULT(isthmus_rwlock_abandon_write(&rwlock), error);
        CHECK_RESULT(isthmus_rwlock_is_writing(&rwlock), error);
        CHECK_UINT(isthmus_rwlock_readers(&rwlock), 0);
    }
    isthmus_primitive_close(&rwlock);
}

static void the_writer_is_told_to_everybody(void)
{
    struct isthmus_participant owner;
    begin(0);
    CHECK_RESULT(isthmus_primitive_owner(&second, &owner), -ENOENT);
    CHECK_OK(isthmus_rwlock_acquire_write(&rwlock, 0));
    CHECK_OK(isthmus_primitive_owner(&second, &owner));
    CHECK_UINT(owner.slot, (uint32_t)rwlock.slot);
    CHECK_UINT(owner.pid, (uint32_t)getpid());
    CHECK_UINT(owner.tid, (uint32_t)gettid());
    CHECK(owner.since_ns != 0);
    CHECK_OK(isthmus_rwlock_release_write(&rwlock));
    end();
}

/* ---- Threads and processes -------------------------------------------------------------- */

static void write_in_turn(struct isthmus_primitive *own)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK_OK(isthmus_rwlock_acquire_write(own, SOON()));
        together_alone(area);
        CHECK_OK(isthmus_rwlock_release_write(own));
    }
}

static void read_in_turn(struct isthmus_primitive *own)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        CHECK_OK(isthmus_rwlock_acquire_read(own, SOON()));
        CHECK_UINT(peek(&area->inside), 0);
        CHECK_UINT(area->first, area->second);
        CHECK_OK(isthmus_rwlock_release_read(own));
    }
}

static void *write_in_a_thread(void *argument)
{
    write_in_turn(argument);
    return NULL;
}

static void *read_in_a_thread(void *argument)
{
    read_in_turn(argument);
    return NULL;
}

static void readers_and_writers_keep_apart(void)
{
    FOR_EACH_PREFERENCE(flags)
    {
        struct together_threads readers, writers;
        begin(flags);
        pid_t writer = together_send(&rwlock, write_in_turn);
        pid_t reader = together_send(&rwlock, read_in_turn);
        together_begin(&readers, THREADS, read_in_a_thread, &rwlock);
        together_begin(&writers, THREADS, write_in_a_thread, &rwlock);
        together_end(&readers);
        together_end(&writers);
        CHECK_INT(check_join_child(writer), 0);
        CHECK_INT(check_join_child(reader), 0);
        CHECK_UINT(area->first, (THREADS + 1) * ROUNDS);
        end();
    }
}

static void *write_once(void *argument)
{
    CHECK_OK(isthmus_rwlock_acquire_write(argument, SOON()));
    together_alone(area);
    CHECK_OK(isthmus_rwlock_release_write(argument));
    return NULL;
}

static void *read_once(void *argument)
{
    CHECK_OK(isthmus_rwlock_acquire_read(argument, SOON()));
    CHECK_OK(isthmus_rwlock_release_read(argument));
    return NULL;
}

static void a_writer_that_waits_holds_up_new_readers_unless_they_are_preferred(void)
{
    FOR_EACH_PREFERENCE(flags)
    {
        struct together_threads writer;
        begin(flags);
        CHECK_OK(isthmus_rwlock_acquire_read(&rwlock, 0));
        together_begin(&writer, 1, write_once, &second);
        UNTIL(together_waiting(&rwlock) == 1);
        CHECK_INT(isthmus_rwlock_is_writing(&third), flags ? 0 : 1);
        if (flags) {
            CHECK_OK(isthmus_rwlock_acquire_read(&third, SOON()));
            CHECK_OK(isthmus_rwlock_release_read(&third));
        } else {
            CHECK_RESULT(isthmus_rwlock_acquire_read(&third, 0), -ETIMEDOUT);
        }
        CHECK_OK(isthmus_rwlock_release_read(&rwlock));
        together_end(&writer);
        CHECK_UINT(area->first, 1);
        CHECK_OK(isthmus_rwlock_acquire_read(&third, 0));
        CHECK_OK(isthmus_rwlock_release_read(&third));
        end();
    }
}

static void a_writer_that_leaves_lets_in_all_readers_that_wait(void)
{
    struct together_threads readers;
    begin(0);
    CHECK_OK(isthmus_rwlock_acquire_write(&rwlock, 0));
    together_begin(&readers, 5, read_once, &second);
    UNTIL(together_waiting(&rwlock) == 5);
    CHECK_OK(isthmus_rwlock_release_write(&rwlock));
    together_end(&readers);
    end();
}

static volatile sig_atomic_t rang;

static void ring(int number)
{
    (void)number;
    rang = 1;
}

static void a_signal_ends_a_wait_of_either_side(void)
{
    const struct sigaction action = {.sa_handler = ring};
    CHECK_INT(sigaction(SIGUSR1, &action, NULL), 0);
    for (int writing = 0; writing < 2; writing++) {
        begin(0);
        if (writing)
            CHECK_OK(isthmus_rwlock_acquire_read(&second, 0));
        else
            CHECK_OK(isthmus_rwlock_acquire_write(&second, 0));
        const pid_t self = getpid();
        pid_t bell = fork();
        CHECK(bell >= 0);
        if (bell == 0) {
            UNTIL(together_waiting(&rwlock));
            while (getppid() == self && kill(self, SIGUSR1) == 0)
                together_pause();
            _exit(0);
        }
        CHECK_RESULT(writing ? isthmus_rwlock_acquire_write(&rwlock, SOON())
                             : isthmus_rwlock_acquire_read(&rwlock, SOON()),
                     -EINTR);
        together_kill(bell);
        CHECK_OK(writing ? isthmus_rwlock_release_read(&second)
                         : isthmus_rwlock_release_write(&second));
        end();
    }
}

/* ---- Death --------------------------------------------------------------------------------- */

static void read_for_ever(struct isthmus_primitive *own)
{
    CHECK_OK(isthmus_rwlock_acquire_read(own, 0));
    CHECK_OK(isthmus_rwlock_acquire_read(own, 0));
}

static void write_for_ever(struct isthmus_primitive *own)
{
    CHECK_OK(isthmus_rwlock_acquire_write(own, 0));
}

static void a_dead_reader_is_as_one_that_has_left(void)
{
    FOR_EACH_PREFERENCE(flags)
    {
        struct together_threads writers;
        begin(flags);
        pid_t child = together_stay(&rwlock, read_for_ever);
        together_begin(&writers, 2, write_once, &second);
        UNTIL(together_waiting(&rwlock) == 2);
        together_kill(child);
        together_end(&writers);
        CHECK_UINT(area->first, 2);
        together_kill(together_stay(&rwlock, read_for_ever));
        UNTIL(isthmus_rwlock_acquire_write(&second, 0) == 0);
        CHECK_OK(isthmus_rwlock_release_write(&second));
        CHECK_UINT(state()->deaths, 0);
        end();
    }
}

static void a_dead_writer_is_reported_until_the_next_one_has_written(void)
{
    FOR_EACH_PREFERENCE(flags)
    {
        for (int try = 0; try < 2; try++) {
            begin(flags);
            together_kill(together_stay(&rwlock, write_for_ever));
            const uint64_t deadline = try ? 0 : SOON();
            CHECK_RESULT(isthmus_rwlock_acquire_read(&rwlock, deadline), -EOWNERDEAD);
            CHECK_RESULT(isthmus_rwlock_acquire_read(&second, deadline), -EOWNERDEAD);
            CHECK_OK(isthmus_rwlock_release_read(&rwlock));
            CHECK_OK(isthmus_rwlock_release_read(&second));
            CHECK_RESULT(isthmus_rwlock_acquire_write(&rwlock, deadline), -EOWNERDEAD);
            CHECK_OK(isthmus_rwlock_release_write(&rwlock));
            CHECK_OK(isthmus_rwlock_acquire_read(&second, deadline));
            CHECK_OK(isthmus_rwlock_release_read(&second));
            CHECK_OK(isthmus_rwlock_acquire_write(&rwlock, deadline));
            CHECK_OK(isthmus_rwlock_release_write(&rwlock));
            end();
        }
    }
}

static void a_writer_takes_over_from_a_dead_one(void)
{
    for (int try = 0; try < 2; try++) {
        begin(0);
        together_kill(together_stay(&rwlock, write_for_ever));
        CHECK_RESULT(isthmus_rwlock_acquire_write(&rwlock, try ? 0 : SOON()), -EOWNERDEAD);
        CHECK_RESULT(isthmus_rwlock_acquire_read(&second, 0), -ETIMEDOUT);
        CHECK_OK(isthmus_rwlock_release_write(&rwlock));
        CHECK_OK(isthmus_rwlock_acquire_read(&second, 0));
        CHECK_OK(isthmus_rwlock_release_read(&second));
        CHECK_UINT(state()->deaths, 1);
        end();
    }
}

static void one_that_gives_up_after_a_death_leaves_the_report_to_the_next(void)
{
    begin(0);
    CHECK_OK(isthmus_rwlock_acquire_write(&rwlock, 0));
    CHECK_OK(isthmus_rwlock_abandon_write(&rwlock));
    CHECK_RESULT(isthmus_rwlock_acquire_read(&second, 0), -EOWNERDEAD);
    CHECK_RESULT(isthmus_rwlock_acquire_write(&rwlock, 0), -ETIMEDOUT);
    CHECK_OK(isthmus_rwlock_release_read(&second));
    CHECK_RESULT(isthmus_rwlock_acquire_write(&rwlock, 0), -EOWNERDEAD);
    CHECK_OK(isthmus_rwlock_release_write(&rwlock));
    CHECK_OK(isthmus_rwlock_acquire_write(&rwlock, 0));
    CHECK_OK(isthmus_rwlock_release_write(&rwlock));
    end();
}

static void closing_gives_back_what_is_held(void)
{
    begin(0);
    CHECK_OK(isthmus_rwlock_acquire_read(&second, 0));
    isthmus_primitive_close(&second);
    CHECK_OK(isthmus_rwlock_acquire_write(&rwlock, 0));
    isthmus_primitive_close(&rwlock);
    CHECK_RESULT(isthmus_rwlock_acquire_read(&third, 0), -EOWNERDEAD);
    CHECK_OK(isthmus_rwlock_release_read(&third));
    CHECK_RESULT(isthmus_rwlock_acquire_write(&third, 0), -EOWNERDEAD);
    CHECK_OK(isthmus_rwlock_release_write(&third));
    isthmus_primitive_close(&third);
}

static void *hear_of_the_dead(void *argument)
{
    CHECK_RESULT(isthmus_rwlock_acquire_read(argument, SOON()), -EOWNERDEAD);
    CHECK_OK(isthmus_rwlock_release_read(argument));
    return NULL;
}

static void readers_that_wait_for_a_dead_writer_get_in(void)
{
    struct together_threads readers;
    begin(0);
    pid_t child = together_stay(&rwlock, write_for_ever);
    together_begin(&readers, 5, hear_of_the_dead, &second);
    UNTIL(together_waiting(&rwlock) == 5);
    together_kill(child);
    together_end(&readers);
    CHECK_RESULT(isthmus_rwlock_acquire_write(&rwlock, 0), -EOWNERDEAD);
    CHECK_OK(isthmus_rwlock_release_write(&rwlock));
    end();
}

/* ---- What others may have written --------------------------------------------------------------
 */

static void check_whole(void)
{
    int result = isthmus_rwlock_acquire_write(&second, SOON());
    CHECK(result == 0 || result == -EOWNERDEAD);
    CHECK_OK(isthmus_rwlock_release_write(&second));
    CHECK_OK(isthmus_rwlock_acquire_read(&rwlock, 0));
    CHECK_OK(isthmus_rwlock_release_read(&rwlock));
}

static void a_gate_that_nobody_closed_is_opened(void)
{
    static const uint32_t gates[] = {ISTHMUS_GATE_CLOSED,
                                     ISTHMUS_GATE_CLOSED | ISTHMUS_GATE_DRAINING, UINT32_MAX};
    static const uint32_t words[] = {0, TOGETHER_PARTICIPANTS, 0xffff, UINT32_MAX,
                                     ISTHMUS_WORD_ABANDONED};
    begin(0);
    for (size_t i = 0; i < sizeof gates / sizeof gates[0]; i++)
        for (size_t j = 0; j < sizeof words / sizeof words[0]; j++)
            for (int try = 0; try < 2; try++) {
                state()->gate = gates[i];
                state()->word = words[j];
                int result = isthmus_rwlock_acquire_read(&rwlock, try ? 0 : SOON());
                CHECK(result == 0 || result == -EOWNERDEAD);
                CHECK_OK(isthmus_rwlock_release_read(&rwlock));
                check_whole();
                state()->gate = gates[i];
                state()->word = words[j];
                check_whole();
            }
    end();
}

static void shares_of_nobody_do_not_keep_writers_out(void)
{
    begin(0);
    rwlock.shared->used = UINT32_MAX;
    rwlock.slots[6].share = UINT32_MAX;
    check_whole();
    CHECK_UINT(rwlock.slots[6].share, 0);
    state()->abandoned = UINT32_MAX;
    CHECK_RESULT(isthmus_rwlock_acquire_read(&rwlock, 0), -EOWNERDEAD);
    CHECK_OK(isthmus_rwlock_release_read(&rwlock));
    check_whole();
    end();
}

static const struct check_test tests[] = {
    CHECK_TEST(many_read_or_one_writes),
    CHECK_TEST(what_is_not_held_is_not_given_back),
    CHECK_TEST(a_handle_that_is_closed_or_of_another_kind_is_refused),
    CHECK_TEST(the_writer_is_told_to_everybody),
    CHECK_TEST(readers_and_writers_keep_apart),
    CHECK_TEST(a_writer_that_waits_holds_up_new_readers_unless_they_are_preferred),
    CHECK_TEST(a_writer_that_leaves_lets_in_all_readers_that_wait),
    CHECK_TEST(a_signal_ends_a_wait_of_either_side),
    CHECK_TEST(a_dead_reader_is_as_one_that_has_left),
    CHECK_TEST(a_dead_writer_is_reported_until_the_next_one_has_written),
    CHECK_TEST(a_writer_takes_over_from_a_dead_one),
    CHECK_TEST(one_that_gives_up_after_a_death_leaves_the_report_to_the_next),
    CHECK_TEST(closing_gives_back_what_is_held),
    CHECK_TEST(readers_that_wait_for_a_dead_writer_get_in),
    CHECK_TEST(a_gate_that_nobody_closed_is_opened),
    CHECK_TEST(shares_of_nobody_do_not_keep_writers_out),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
