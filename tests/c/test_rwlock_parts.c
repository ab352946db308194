/* Writing in parts: claim, let readers have their turn, begin; or give up. */
#include "check.h"
#include "together.h"
#include <errno.h>
#include <unistd.h>

static struct isthmus_primitive rwlock, second;

static struct isthmus_shared_rwlock *state(void)
{
    return (struct isthmus_shared_rwlock *)(rwlock.shared + 1);
}

static void begin(uint32_t flags)
{
    together_make(&rwlock, ISTHMUS_KIND_RWLOCK, flags, 0);
    together_join(&second, &rwlock);
}

static void end(void)
{
    CHECK_UINT(isthmus_rwlock_readers(&rwlock), 0);
    CHECK_INT(isthmus_rwlock_is_writing(&rwlock), 0);
    CHECK_UINT(state()->word & ISTHMUS_WORD_OWNER, 0);
    CHECK_UINT(state()->gate & (ISTHMUS_GATE_CLOSED | ISTHMUS_GATE_DRAINING), 0);
    isthmus_primitive_close(&second);
    isthmus_primitive_close(&rwlock);
}

#define FOR_EACH_PREFERENCE(flags)                                                                 \
    for (uint32_t flags = 0; flags <= ISTHMUS_READER_PREFERENCE; flags += ISTHMUS_READER_PREFERENCE)

static void one_that_has_claimed_and_found_no_readers_writes(void)
{
    FOR_EACH_PREFERENCE(flags)
    {
        begin(flags);
        CHECK_OK(isthmus_rwlock_claim_write(&rwlock, 0));
        CHECK_INT(isthmus_rwlock_turn(&rwlock), 0);
        /* Among writers only: readers come in as before. */
        CHECK_INT(isthmus_rwlock_is_writing(&rwlock), 0);
        CHECK_RESULT(isthmus_rwlock_claim_write(&second, 0), -ETIMEDOUT);
        CHECK_RESULT(isthmus_rwlock_claim_write(&rwlock, 0), -ETIMEDOUT);
        CHECK_RESULT(isthmus_rwlock_acquire_write(&second, 0), -ETIMEDOUT);
        CHECK_OK(isthmus_rwlock_acquire_read(&second, 0));
        CHECK_OK(isthmus_rwlock_release_read(&second));

        CHECK_OK(isthmus_rwlock_begin_write(&rwlock));
        CHECK_INT(isthmus_rwlock_is_writing(&second), 1);
        CHECK_RESULT(isthmus_rwlock_acquire_read(&second, 0), -ETIMEDOUT);
        CHECK_OK(isthmus_rwlock_release_write(&rwlock));
        CHECK_OK(isthmus_rwlock_claim_write(&second, 0));
        CHECK_OK(isthmus_rwlock_give_up_write(&second));
        end();
    }
}

static void one_that_finds_readers_holds_up_new_ones_unless_they_are_preferred(void)
{
    FOR_EACH_PREFERENCE(flags)
    {
        begin(flags);
        CHECK_OK(isthmus_rwlock_acquire_read(&second, 0));
        CHECK_OK(isthmus_rwlock_claim_write(&rwlock, 0));
        for (int i = 0; i < 3; i++) {
            const uint32_t before = state()->drained;
            CHECK_RESULT(isthmus_rwlock_begin_write(&rwlock), -EAGAIN);
            CHECK_RESULT(isthmus_rwlock_acquire_read(&second, 0), flags ? 0 : -ETIMEDOUT);
            if (flags)
                CHECK_OK(isthmus_rwlock_release_read(&second));
            /* Who leaves tells the writer that waits. */
            if (flags)
                CHECK(state()->drained != before);
        }
        const uint32_t before = state()->drained;
        CHECK_OK(isthmus_rwlock_release_read(&second));
        CHECK(state()->drained != before);
        CHECK_OK(isthmus_rwlock_begin_write(&rwlock));
        CHECK_OK(isthmus_rwlock_release_write(&rwlock));
        end();
    }
}

static void one_that_gives_up_has_not_been_there(void)
{
    FOR_EACH_PREFERENCE(flags)
    for (int begun = 0; begun < 2; begun++) {
        begin(flags);
        CHECK_OK(isthmus_rwlock_acquire_read(&second, 0));
        CHECK_OK(isthmus_rwlock_claim_write(&rwlock, 0));
        if (begun)
            CHECK_RESULT(isthmus_rwlock_begin_write(&rwlock), -EAGAIN);
        CHECK_OK(isthmus_rwlock_give_up_write(&rwlock));
        CHECK_OK(isthmus_rwlock_acquire_read(&second, 0));
        CHECK_OK(isthmus_rwlock_release_read(&second));
        CHECK_OK(isthmus_rwlock_release_read(&second));
        CHECK_OK(isthmus_rwlock_acquire_write(&second, 0));
        CHECK_OK(isthmus_rwlock_release_write(&second));
        end();
    }
}

static void *read_once(void *argument)
{
    CHECK_OK(isthmus_rwlock_acquire_read(argument, SOON()));
    CHECK_OK(isthmus_rwlock_release_read(argument));
    return NULL;
}

static void readers_that_waited_for_the_last_writer_have_a_turn(void)
{
    struct together_threads readers;
    begin(0);
    CHECK_OK(isthmus_rwlock_acquire_write(&rwlock, 0));
    together_begin(&readers, 1, read_once, &second);
    UNTIL(together_waiting(&rwlock) == 1 && state()->gate & ISTHMUS_WORD_WAITERS);
    CHECK_OK(isthmus_rwlock_release_write(&rwlock));
    CHECK_OK(isthmus_rwlock_claim_write(&rwlock, 0));
    /* Over when one of them has come in, which it does, since nobody has begun to write. */
    UNTIL(isthmus_rwlock_turn(&rwlock) == 0);
    together_end(&readers);
    CHECK_OK(isthmus_rwlock_begin_write(&rwlock));
    CHECK_OK(isthmus_rwlock_release_write(&rwlock));
    /* One that begins all the same ends the turn. */
    state()->gate |= ISTHMUS_GATE_TURN;
    CHECK_OK(isthmus_rwlock_claim_write(&rwlock, 0));
    CHECK_INT(isthmus_rwlock_turn(&second), 1);
    CHECK_OK(isthmus_rwlock_begin_write(&rwlock));
    CHECK_INT(isthmus_rwlock_turn(&second), 0);
    CHECK_OK(isthmus_rwlock_release_write(&rwlock));
    end();
}

static void read_for_ever(struct isthmus_primitive *own)
{
    CHECK_OK(isthmus_rwlock_acquire_read(own, 0));
}

static void dead_readers_do_not_count(void)
{
    FOR_EACH_PREFERENCE(flags)
    {
        begin(flags);
        pid_t child = together_stay(&rwlock, read_for_ever);
        CHECK_OK(isthmus_rwlock_claim_write(&rwlock, 0));
        CHECK_RESULT(isthmus_rwlock_begin_write(&rwlock), -EAGAIN);
        together_kill(child);
        /* Not at once, when somebody has looked for the dead just now. */
        UNTIL(isthmus_rwlock_begin_write(&rwlock) == 0);
        CHECK_OK(isthmus_rwlock_release_write(&rwlock));
        end();
    }
}

static void claim_for_ever(struct isthmus_primitive *own)
{
    CHECK_OK(isthmus_rwlock_claim_write(own, 0));
    CHECK_RESULT(isthmus_rwlock_begin_write(own), -EAGAIN);
}

static void one_that_dies_between_is_a_dead_writer(void)
{
    begin(0);
    CHECK_OK(isthmus_rwlock_acquire_read(&second, 0));
    together_kill(together_stay(&rwlock, claim_for_ever));
    /* The claim tells nobody: who gives up after it leaves that to the next. */
    CHECK_OK(isthmus_rwlock_claim_write(&rwlock, 0));
    CHECK_UINT(state()->deaths, 1);
    CHECK_RESULT(isthmus_rwlock_begin_write(&rwlock), -EAGAIN);
    CHECK_OK(isthmus_rwlock_give_up_write(&rwlock));
    CHECK_RESULT(isthmus_rwlock_acquire_read(&second, 0), -EOWNERDEAD);
    CHECK_OK(isthmus_rwlock_release_read(&second));
    CHECK_OK(isthmus_rwlock_release_read(&second));
    CHECK_OK(isthmus_rwlock_claim_write(&rwlock, 0));
    CHECK_RESULT(isthmus_rwlock_begin_write(&rwlock), -EOWNERDEAD);
    CHECK_OK(isthmus_rwlock_release_write(&rwlock));
    CHECK_OK(isthmus_rwlock_claim_write(&rwlock, 0));
    CHECK_OK(isthmus_rwlock_begin_write(&rwlock));
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
        CHECK_RESULT(isthmus_rwlock_claim_write(&rwlock, 0), error);
        CHECK_RESULT(isthmus_rwlock_turn(&rwlock), error);
        CHECK_RESULT(isthmus_rwlock_begin_write(&rwlock), error);
        CHECK_RESULT(isthmus_rwlock_give_up_write(&rwlock), error);
    }
    isthmus_primitive_close(&rwlock);
}

static const struct check_test tests[] = {
    CHECK_TEST(one_that_has_claimed_and_found_no_readers_writes),
    CHECK_TEST(one_that_finds_readers_holds_up_new_ones_unless_they_are_preferred),
    CHECK_TEST(one_that_gives_up_has_not_been_there),
    CHECK_TEST(readers_that_waited_for_the_last_writer_have_a_turn),
    CHECK_TEST(dead_readers_do_not_count),
    CHECK_TEST(one_that_dies_between_is_a_dead_writer),
    CHECK_TEST(a_handle_that_is_closed_or_of_another_kind_is_refused),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
