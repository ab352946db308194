#include "death.h"

#include "killpoint.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Far more than any act has. Acts that wait in slices have some points for each. */
#define MOST_POINTS 400u
#define WORKERS 8u
#define COMPANIONS_MAX 4u
/*
 * Of the second deaths after each first one, in acts on rings, which have many points, only
 * each third is tried, another third after the next first one; all after one that came
 * through, and all with ISTHMUS_EVERY_DEATH in the environment.
 */
#define SECOND_STRIDE 3u
/* In place of the limit of a test, against hanging only. */
#define RUN_SECONDS 300u

struct stage *stage;
struct isthmus_primitive own, mine;
struct isthmus_ring own_ring, my_ring;
const struct death_act *act;
unsigned death_point;

static pid_t victim, companions[COMPANIONS_MAX];
static unsigned companion_count;

/* All that dies dies in a process of its own, so this counts for one process only. */
static unsigned kill_at, passed;
static int armed;

void isthmus_kill_point(void)
{
    if (!armed)
        return;
    poke(&stage->passed, ++passed);
    if (passed == kill_at) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
}

void death_spare(void)
{
    armed = 0;
}

int death_gone(void)
{
    siginfo_t info = {0};
    CHECK_INT(waitid(P_PID, (id_t)victim, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    return info.si_pid != 0;
}

void death_companion(together_work *work)
{
    CHECK(companion_count < COMPANIONS_MAX);
    companions[companion_count++] = together_send(&own, work);
}

void death_ring_companion(rings_work *work)
{
    CHECK(companion_count < COMPANIONS_MAX);
    companions[companion_count++] = rings_send(&own_ring, work);
}

void death_join_companions(void)
{
    while (companion_count > 0)
        CHECK_INT(check_join_child(companions[--companion_count]), 0);
}

void death_check_table(uint32_t living)
{
    struct isthmus_primitive handles[TOGETHER_PARTICIPANTS], more;
    const uint32_t room = own.count - living;
    for (uint32_t i = 0; i < room; i++)
        together_join(&handles[i], &own);
    CHECK_RESULT(isthmus_primitive_from_fd(&more, own.fd, own.kind), -ISTHMUS_E_FULL);
    for (uint32_t i = 0; i < room; i++)
        isthmus_primitive_close(&handles[i]);
}

void death_check_ring_table(uint32_t living)
{
    struct isthmus_ring handles[RINGS_PARTICIPANTS], more;
    const uint32_t room = own_ring.primitive.count - living;
    for (uint32_t i = 0; i < room; i++)
        rings_join(&handles[i], &own_ring);
    CHECK_RESULT(isthmus_ring_from_fd(&more, own_ring.primitive.fd, own_ring.primitive.kind),
                 -ISTHMUS_E_FULL);
    for (uint32_t i = 0; i < room; i++)
        isthmus_ring_close(&handles[i]);
}

/* ---- One case ------------------------------------------------------------------------- */

struct part {
    void (*prepare)(void);
    void (*run)(void);
    unsigned point;
};

static void be_the_victim(void *argument)
{
    const struct part *part = argument;
    if (act->ring) {
        rings_join(&my_ring, &own_ring);
        poke(&stage->slot, (uint32_t)my_ring.primitive.slot);
    } else if (!act->alone) {
        together_join(&mine, &own);
        poke(&stage->slot, (uint32_t)mine.slot);
    }
    if (part->prepare)
        part->prepare();
    poke(&stage->ready, 1);
    UNTIL(peek(&stage->go));
    kill_at = part->point;
    armed = 1;
    part->run();
    armed = 0;
}

/* 1: it was killed at that point. 0: it came through. */
static int kill_a_victim(const struct part *part, void (*between)(void), void (*meanwhile)(void))
{
    stage->passed = stage->ready = stage->go = 0;
    victim = check_start_child(be_the_victim, (void *)part);
    UNTIL_GONE_OR(peek(&stage->ready));
    if (between)
        between();
    poke(&stage->go, 1);
    if (meanwhile)
        meanwhile();
    const int status = check_join_child(victim);
    if (status != 0)
        CHECK_INT(status, -SIGKILL);
    if (status != 0)
        CHECK_UINT(peek(&stage->passed), part->point);
    return status != 0;
}

/* Which of the two victims died, as bits. */
static unsigned run_case(unsigned first, unsigned second)
{
    const int primitive = !act->ring && !act->alone;
    const struct isthmus_primitive_plan plan = {
        .kind = act->kind,
        .flags = act->flags,
        .participants = act->participants ? act->participants : TOGETHER_PARTICIPANTS,
        .value = act->value,
    };
    const struct part parts[] = {{act->prepare, act->run, first}, {NULL, act->second, second}};

    memset(stage, 0, sizeof *stage);
    own.shared = NULL;
    death_point = first;
    if (primitive) {
        CHECK_OK(isthmus_primitive_anonymous(&own, &plan));
        own.spin_ns = 0;
    }
    if (act->ring)
        rings_make(&own_ring, act->ring);
    if (act->before)
        act->before();
    unsigned died = (unsigned)kill_a_victim(&parts[0], act->between, act->meanwhile);
    if (act->second)
        died |= (unsigned)kill_a_victim(&parts[1], NULL, act->second_meanwhile) << 1;
    act->after();
    death_join_companions();
    if (primitive)
        isthmus_primitive_close(&own);
    if (act->ring)
        isthmus_ring_close(&own_ring);
    return died;
}

/* ---- All of them ------------------------------------------------------------------------ */

struct totals {
    uint32_t workers;
    uint32_t next; /* act to be done */
    uint32_t points, deaths, doubles;
    uint32_t outcomes[DEATH_OUTCOMES];
    /* What each worker is at, for the case that it fails. */
    struct {
        const char *what; /* the same in all processes */
        unsigned first, second;
    } at[WORKERS];
};
static unsigned worker; /* which of them this is */

static const char *const outcome_names[DEATH_OUTCOMES] = {
    [DEATH_NOTHING] = "nothing happened",
    [DEATH_HAPPENED] = "happened",
    [DEATH_REDELIVERED] = "redelivered",
    [DEATH_LOST] = "lost with its reader",
};

/* Those that there were, in one line; nothing for acts that do not tell. */
static void print_outcomes(const uint32_t outcomes[DEATH_OUTCOMES])
{
    for (unsigned i = DEATH_NOTHING; i < DEATH_OUTCOMES; i++)
        if (outcomes[i])
            printf(", %u %s", outcomes[i], outcome_names[i]);
    printf("\n");
}

static void run_act(struct totals *totals)
{
    unsigned points = 0, second_points = 0, deaths = 0, doubles = 0;
    uint32_t outcomes[DEATH_OUTCOMES] = {0};
    for (unsigned first = 1, died_first = 1; died_first; first++) {
        CHECK(first <= MOST_POINTS);
        died_first = 0;
        unsigned stride =
            act->second && act->ring && !getenv("ISTHMUS_EVERY_DEATH") ? SECOND_STRIDE : 1;
        for (unsigned second = 1 + first % stride, died = 2; died & 2; second += stride) {
            CHECK(second <= MOST_POINTS);
            totals->at[worker].what = act->what;
            totals->at[worker].first = first;
            totals->at[worker].second = second;
            died = run_case(first, second);
            died_first |= died & 1;
            if (stride > 1 && !died_first) {
                /* After one that came through, which is what many acts are about: all of them. */
                stride = 1;
                second = 0;
                died = 2;
                continue;
            }
            outcomes[stage->outcome] += died != 0;
            deaths += (died & 1) + (died >> 1) + (unsigned)act->kills_another;
            doubles += died == 3 || (died && act->kills_another);
            /* One that came through has died all the same, by ending without closing. */
            if (died & 2 && second > second_points)
                second_points = second;
        }
        if (died_first)
            points = first;
    }
    CHECK(points + second_points > 0);
    __atomic_fetch_add(&totals->points, points + second_points, __ATOMIC_RELAXED);
    __atomic_fetch_add(&totals->deaths, deaths, __ATOMIC_RELAXED);
    __atomic_fetch_add(&totals->doubles, doubles, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < DEATH_OUTCOMES; i++)
        __atomic_fetch_add(&totals->outcomes[i], outcomes[i], __ATOMIC_RELAXED);
    printf("       %-52s %3u", act->what, points);
    if (act->second)
        printf(" and %3u points, %4u double deaths", second_points, doubles);
    else
        printf(" points");
    print_outcomes(outcomes);
    fflush(stdout);
}

struct job {
    const struct death_act *acts;
    size_t count;
    struct totals *totals;
};

static void work(void *argument)
{
    const struct job *job = argument;
    worker = count_up(&job->totals->workers);
    alarm(RUN_SECONDS);
    stage = together_memory(sizeof *stage);
    for (;;) {
        const uint32_t next = count_up(&job->totals->next);
        job->totals->at[worker].what = NULL;
        if (next >= job->count)
            return;
        act = &job->acts[next];
        run_act(job->totals);
    }
}

void death_run(const struct death_act *acts, size_t count)
{
    struct job job = {acts, count, together_memory(sizeof(struct totals))};
    pid_t workers[WORKERS];
    int failed = 0;
    alarm(RUN_SECONDS);
    for (unsigned i = 0; i < WORKERS; i++)
        workers[i] = check_start_child(work, &job);
    for (unsigned i = 0; i < WORKERS; i++)
        failed |= check_join_child(workers[i]) != 0;
    for (unsigned i = 0; failed && i < WORKERS; i++)
        if (job.totals->at[i].what)
            fprintf(stderr, "in: %s, points %u and %u\n", job.totals->at[i].what,
                    job.totals->at[i].first, job.totals->at[i].second);
    printf("       %u points, %u deaths, %u of them second ones", job.totals->points,
           job.totals->deaths, job.totals->doubles);
    print_outcomes(job.totals->outcomes);
    CHECK(!failed);
}
