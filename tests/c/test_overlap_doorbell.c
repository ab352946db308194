/*
 * What one does at any step of another, when one of them waits by doorbell and the other brings
 * what is waited for, as in test_overlap.c: bringing it at each step of waiting, and beginning to
 * wait at each step of bringing it. All is done by one thread, in the same order in each run: what
 * it would sleep for in vain is seen at once. Nobody dies.
 */
#include "bells.h"
#include "check.h"
#include "killpoint.h"
#include "subjects.h"
#include <stdio.h>
#include <string.h>

#define MOST_STEPS 300u

static const struct subject *subject;
static unsigned steps, act_at;
static int counting;
static void (*other)(void);
static const struct isthmus_primitive *stepping; /* the handle that takes them */

/* Who does the other action, once. */
enum {
    NOBODY,
    AT_A_STEP,
    ASLEEP,
    OVER
};
static uint32_t doer;

static int claim(uint32_t as)
{
    uint32_t nobody = NOBODY;
    return __atomic_compare_exchange_n(&doer, &nobody, as, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* Where the other one would wait for us, it is done at the next step at which it would not. */
void isthmus_kill_point(void)
{
    if (!counting || ++steps < act_at || subject_in_the_way(stepping) || !claim(AT_A_STEP))
        return;
    counting = 0;
    other();
    counting = 1;
}

/* ---- Bringing it at any step of waiting ---------------------------------------------------- */

static struct bell bell, neighbour;
static int neighbour_found;

static void watch(struct bell *one)
{
    if (one->thing.primitive)
        bell_move(one, first, subject->side, subject_about);
    else
        subject_watch(one, subject);
}

static void bring(void)
{
    subject->bring();
}

/* Another one hangs just before. */
static void hang_and_bring(void)
{
    neighbour_found = isthmus_doorbell_arm(&neighbour.thing);
    CHECK(neighbour_found == 0 || neighbour_found == 1);
    subject->bring();
}

/* As bell_wait(); in place of sleeping for ever it fails, or brings it itself if nobody has. */
static void wait_for_it(void)
{
    for (;;) {
        bell_read(&bell);
        counting = 1;
        const int there = isthmus_doorbell_arm(&bell.thing);
        counting = 0;
        CHECK(there == 0 || there == 1);
        if (there)
            return;
        if (!bell_is_rung(&bell)) {
            check_true(__FILE__, __LINE__, subject->what, claim(ASLEEP));
            other();
            check_true(__FILE__, __LINE__, subject->what, bell_is_rung(&bell));
        }
    }
}

/* At how many steps it was brought before the one that waits slept. */
static unsigned bring_at_each_step(int looked)
{
    for (act_at = 1;; act_at++) {
        CHECK(act_at < MOST_STEPS);
        subject_begin(subject);
        watch(&bell);
        watch(&neighbour);
        if (looked) {
            CHECK_INT(isthmus_look(&bell.thing, ISTHMUS_LOOK), 0);
            CHECK_INT(isthmus_look(&neighbour.thing, ISTHMUS_LOOK), 0);
        }
        steps = 0;
        neighbour_found = 1;
        stepping = first;
        poke(&doer, NOBODY);
        wait_for_it();
        const int asleep = peek(&doer) == ASLEEP;
        CHECK(peek(&doer) != NOBODY);
        check_true(__FILE__, __LINE__, subject->what, neighbour_found || bell_is_rung(&neighbour));
        subject_end();
        if (asleep)
            return act_at - 1;
    }
}

static void one_that_waits_is_rung_for_or_sees_it_whenever_it_is_brought(void)
{
    for (size_t i = 0; i < subject_count; i++) {
        unsigned count = 0;
        subject = &subjects[i];
        /* To have been set is enough only for one that has looked before. */
        for (int looked = strstr(subject->what, "clear") != NULL; looked < 2; looked++) {
            other = bring;
            count += bring_at_each_step(looked);
            other = hang_and_bring;
            count += bring_at_each_step(looked);
        }
        printf("       %-32s %3u steps\n", subject->what, count);
    }
}

/* ---- Beginning to wait at any step of bringing it ------------------------------------------ */

static int found;

static void begin_to_wait(void)
{
    found = isthmus_doorbell_arm(&bell.thing);
    CHECK(found == 0 || found == 1);
}

/* As one does that is rung for, finds nothing, and hangs again. */
static void begin_to_wait_anew(void)
{
    bell_read(&bell);
    begin_to_wait();
}

static unsigned wait_at_each_step(int hung)
{
    for (act_at = 1;; act_at++) {
        CHECK(act_at < MOST_STEPS);
        subject_begin(subject);
        watch(&bell);
        CHECK_INT(isthmus_look(&bell.thing, ISTHMUS_LOOK), 0);
        if (hung)
            CHECK_INT(isthmus_doorbell_arm(&bell.thing), 0);
        steps = 0;
        stepping = second;
        poke(&doer, NOBODY);
        counting = 1;
        subject->bring();
        counting = 0;
        const int through = claim(OVER);
        if (!through) {
            check_true(__FILE__, __LINE__, subject->what, found || bell_is_rung(&bell));
            check_true(__FILE__, __LINE__, subject->what,
                       isthmus_look(&bell.thing, ISTHMUS_LOOK) == 1);
        }
        subject_end();
        if (through)
            return act_at - 1;
    }
}

static void one_that_begins_to_wait_is_rung_for_or_sees_it_whenever_that_is(void)
{
    for (size_t i = 0; i < subject_count; i++) {
        subject = &subjects[i];
        other = begin_to_wait;
        unsigned count = wait_at_each_step(0);
        other = begin_to_wait_anew;
        count += wait_at_each_step(1);
        printf("       %-32s %3u steps\n", subject->what, count);
    }
}

static const struct check_test tests[] = {
    CHECK_TEST(one_that_waits_is_rung_for_or_sees_it_whenever_it_is_brought),
    CHECK_TEST(one_that_begins_to_wait_is_rung_for_or_sees_it_whenever_that_is),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
