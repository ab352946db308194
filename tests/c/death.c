#include "death.h"

#include "killpoint.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Far more than any act has. Acts that wait in slices have some points for each. */
#define MOST_POINTS 400u
#define WORKERS 4u
#define COMPANIONS_MAX 4u
/* In place of the limit of a test, against hanging only. */
#define RUN_SECONDS 170u

struct stage *stage;
struct isthmus_primitive own, mine;
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

/* ---- One case ------------------------------------------------------------------------- */

struct part {
    void (*prepare)(void);
    void (*run)(void);
    unsigned point;
};

static void be_the_victim(void *argument)
{
    const struct part *part = argument;
    if (!act->alone) {
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
    if (!act->alone) {
        CHECK_OK(isthmus_primitive_anonymous(&own, &plan));
        own.spin_ns = 0;
    }
    if (act->before)
        act->before();
    unsigned died = (unsigned)kill_a_victim(&parts[0], act->between, act->meanwhile);
    if (act->second)
        died |= (unsigned)kill_a_victim(&parts[1], NULL, act->second_meanwhile) << 1;
    act->after();
    death_join_companions();
    if (!act->alone)
        isthmus_primitive_close(&own);
    return died;
}

/* ---- All of them ------------------------------------------------------------------------ */

struct totals {
    uint32_t next; /* act to be done */
    uint32_t points, deaths, doubles;
};

static void run_act(struct totals *totals)
{
    unsigned points = 0, second_points = 0, deaths = 0, doubles = 0;
    for (unsigned first = 1, died_first = 1; died_first; first++) {
        CHECK(first <= MOST_POINTS);
        died_first = 0;
        for (unsigned second = 1, died = 2; died & 2; second++) {
            CHECK(second <= MOST_POINTS);
            died = run_case(first, second);
            died_first |= died & 1;
            deaths += (died & 1) + (died >> 1) + (unsigned)act->kills_another;
            doubles += died == 3 || (died && act->kills_another);
            /* One that came through has died all the same, by ending without closing. */
            if (died & 2 && second > second_points)
                second_points = second;
        }
        if (died_first)
            points = first;
    }
    CHECK(points > 0);
    __atomic_fetch_add(&totals->points, points + second_points, __ATOMIC_RELAXED);
    __atomic_fetch_add(&totals->deaths, deaths, __ATOMIC_RELAXED);
    __atomic_fetch_add(&totals->doubles, doubles, __ATOMIC_RELAXED);
    if (act->second)
        printf("       %-52s %3u and %3u points, %4u double deaths\n", act->what, points,
               second_points, doubles);
    else
        printf("       %-52s %3u points\n", act->what, points);
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
    alarm(RUN_SECONDS);
    stage = together_memory(sizeof *stage);
    for (;;) {
        const uint32_t next = count_up(&job->totals->next);
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
    printf("       %u points, %u deaths, %u of them second ones\n", job.totals->points,
           job.totals->deaths, job.totals->doubles);
    CHECK(!failed);
}
