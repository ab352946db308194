/* The life of a process that may be killed at any moment, and what its actors have in common. */
#include "ledger.h"

#include "killpoint.h"
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct stress *stress;
/* The actor that runs here, for the steps of the core at which it may die. */
static _Thread_local struct self *acting;

/* ---- For all ----------------------------------------------------------------------------------
 */

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* xorshift64*: no quality needed. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

uint32_t pick(struct self *self, uint32_t below)
{
    return (uint32_t)((next(&self->random) >> 32) % below);
}

void fail(const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    /* One write, so that what several say does not mix. */
    dprintf(STDERR_FILENO, "FAILED: process %ld, actor %d: %s\n", (long)getpid(),
            acting ? (int)acting->actor : -1, text);
    put(&stress->failed, 1);
    if (getpid() == stress->supervisor)
        end_badly("the supervisor found something wrong");
    /* Stay as it is until everybody has been looked at. */
    for (;;)
        pause();
}

void unexpected(unsigned object, const char *what, int result)
{
    fail("%s: %s gave %d (%s)", objects[object].label, what, result,
         result < 0 ? strerror(-result) : "no error");
}

void begin(struct self *self, const char *deed, unsigned object)
{
    struct actor *actor = &stress->actors[self->actor];
    put(&actor->deed, NULL);
    put(&actor->object, object);
    put(&actor->began_ns, now_ns());
    put(&actor->deed, deed);
}

uint64_t some_deadline(struct self *self)
{
    switch (pick(self, 4)) {
    case 0:
        return 0;
    case 1:
        return isthmus_deadline_after(1 + pick(self, 5000000));
    default:
        return ISTHMUS_FOREVER;
    }
}

void linger(struct self *self)
{
    const struct timespec moment = {.tv_nsec = 1000 + (long)pick(self, 300000)};
    const uint32_t choice = pick(self, 100);
    if (choice < 2)
        nanosleep(&moment, NULL);
    else if (choice < 12)
        sched_yield();
    else if (choice < 30)
        for (unsigned i = pick(self, 2000); i; i--)
            __asm__ __volatile__("" ::: "memory");
}

/* An identity is of one life of an actor. */
static uint32_t identity_of(unsigned actor)
{
    return get(&stress->actors[actor].life) << 8 | (actor + 1);
}

int is_doomed(uint32_t identity)
{
    const struct actor *actor = &stress->actors[(identity & 0xff) - 1];
    /* In this order: whoever makes it another first changes its life, then lets it live. */
    return get(&actor->doomed) || get(&actor->life) != identity >> 8;
}

void doom(unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        put(&stress->actors[i].killed_ns, now_ns());
        put(&stress->actors[i].doomed, 1);
    }
    add(&stress->deaths, 1);
}

void forget(unsigned actor)
{
    for (unsigned i = 0; i < OBJECTS; i++)
        if (objects[i].forget)
            objects[i].forget(i, actor);
    ledger_forget(actor);
    put(&stress->actors[actor].deed, NULL);
    put(&stress->actors[actor].life, (get(&stress->actors[actor].life) + 1) & 0xffffff);
    put(&stress->actors[actor].doomed, 0);
}

void took_over(uint32_t from, uint64_t began)
{
    add(&stress->takeovers, 1);
    if (!from)
        return;
    const struct actor *dead = &stress->actors[(from & 0xff) - 1];
    const uint32_t life = get(&dead->life), doomed = get(&dead->doomed);
    const uint64_t killed = get(&dead->killed_ns);
    /* Still that one, or the next one, whose own end is not near. */
    if (!killed || !(life == from >> 8 || (life == (from >> 8) + 1 && !doomed)))
        return;
    const uint64_t since = killed > began ? killed : began, now = now_ns();
    const uint64_t took = now > since ? now - since : 0;
    unsigned bucket = 0;
    while (bucket < BUCKETS - 1 && took >> (bucket + 10))
        bucket++;
    add(&stress->latencies[bucket], 1);
    uint64_t longest = get(&stress->longest_ns);
    while (took > longest && !__atomic_compare_exchange_n(&stress->longest_ns, &longest, took, 0,
                                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

void declare(struct self *self, unsigned object, unsigned what)
{
    uint32_t *entry = &stress->facts[object].census[self->actor];
    put(entry, ((get(entry) >> 8) + 1) << 8 | what);
}

unsigned declared(unsigned object, unsigned actor)
{
    return get(&stress->facts[object].census[actor]) & 0xff;
}

/* Two looks that see the same versions have seen one moment. */
int count_declared(unsigned object, int with_doomed)
{
    const uint32_t *census = stress->facts[object].census;
    uint32_t seen[ACTORS];
    unsigned count[ACTORS];
    for (unsigned attempt = 0; attempt < 8; attempt++) {
        int sum = 0, same = 1;
        for (unsigned i = 0; i < ACTORS; i++)
            seen[i] = get(&census[i]);
        for (unsigned i = 0; i < ACTORS; i++) {
            count[i] = seen[i] & 0xff;
            if (!with_doomed && get(&stress->actors[i].doomed))
                count[i] = 0;
            if (count[i] < 0x40)
                sum += (int)count[i];
        }
        for (unsigned i = 0; i < ACTORS; i++)
            same = same && get(&census[i]) == seen[i];
        if (same)
            return sum;
    }
    return -1;
}

/* ---- Dying ------------------------------------------------------------------------------------
 */

static unsigned first_of_process(unsigned actor)
{
    return actor / PER_PROCESS * PER_PROCESS;
}

/* Called by the core at each of its steps. */
void isthmus_kill_point(void)
{
    struct self *self = acting;
    const uint32_t odds = self ? get(&stress->kill_odds) : 0;
    if (!odds)
        return;
    const uint64_t random = next(&self->steps);
    if ((random >> 32) % odds == 0 && !get(&stress->stop)) {
        /* A forked child dies alone; a worker takes its child with it. */
        if (self->child)
            doom(self->actor, 1);
        else
            doom(first_of_process(self->actor), PER_PROCESS);
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
    if ((random >> 20 & 0xff) == 0)
        sched_yield();
}

/* ---- Acting -------------------------------------------------------------------------------------
 */

static void set_out(struct self *self, unsigned actor, uint64_t random)
{
    self->actor = actor;
    self->identity = identity_of(actor);
    self->random = random | 1;
    self->steps = next(&self->random) | 1;
    memset(self->fresh, 0, sizeof self->fresh);
    memset(self->heard, 0, sizeof self->heard);
    acting = self;
}

static void act(struct self *self, unsigned deeds)
{
    for (; deeds && !get(&stress->stop); deeds--) {
        /* Queues and topics more often than others: there is more to each. */
        const unsigned object =
            pick(self, 5) < 2 ? FIRST_RING + pick(self, RINGS) : pick(self, FIRST_RING);
        if (!objects[object].deed)
            continue;
        objects[object].deed(self, object);
        begin(self, NULL, 0);
        add(&stress->actors[self->actor].deeds, 1);
    }
}

/* ---- Forking ------------------------------------------------------------------------------------
 */

#define HELD_ACROSS 2u /* the placed lock */

static _Noreturn void live_as_child(struct self *parent, pid_t parent_pid, int held,
                                    uint64_t random)
{
    struct self self = *parent;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent_pid)
        _exit(0);
    self.child = 1;
    set_out(&self, parent->actor + 1, random);
    begin(&self, "is a new child", 0);
    for (unsigned i = 0; i < OBJECTS; i++) {
        struct isthmus_primitive *handle = handle_of(&self, i);
        if (!handle->shared)
            continue;
        int error = isthmus_primitive_after_fork(handle, 1);
        if (!error)
            error = join_object(&self, i);
        if (error)
            unexpected(i, "joining after a fork", error);
        if (objects[i].kind == ISTHMUS_KIND_LOCK || objects[i].kind == ISTHMUS_KIND_RLOCK)
            REQUIRE(isthmus_lock_is_mine(handle) == 0, i);
    }
    inherit_hearings(&self);
    if (held)
        REQUIRE(isthmus_lock_release(&self.handles[HELD_ACROSS]) == -EPERM, HELD_ACROSS);
    act(&self, 1 + pick(&self, 20));
    switch (pick(&self, 3)) {
    case 0:
        close_all(&self);
        break;
    case 1:
        begin(&self, "is about to end as an owner", HELD_ACROSS);
        const uint64_t began = now_ns();
        enter(&self, HELD_ACROSS, HELD_ACROSS, take(&self, HELD_ACROSS, ISTHMUS_FOREVER), began);
        put(&stress->facts[HELD_ACROSS].exclusive.dirty, self.identity);
        doom(self.actor, 1);
        break;
    default:
        break; /* as a program that leaves it to the system */
    }
    _exit(0);
}

static void deed_fork(struct self *self)
{
    const pid_t own = getpid();
    const int held = pick(self, 2) != 0;
    const uint64_t random = next(&self->random);
    int status;

    if (held) {
        const uint64_t began = now_ns();
        begin(self, "acquires", HELD_ACROSS);
        enter(self, HELD_ACROSS, HELD_ACROSS, take(self, HELD_ACROSS, ISTHMUS_FOREVER), began);
    }
    begin(self, "forks", HELD_ACROSS);
    for (unsigned i = 0; i < OBJECTS; i++) {
        const int error = isthmus_primitive_before_fork(handle_of(self, i));
        if (error)
            unexpected(i, "preparing a fork", error);
    }
    const pid_t child = fork();
    if (child < 0)
        fail("fork: %s", strerror(errno));
    if (child == 0)
        live_as_child(self, own, held, random);
    add(&stress->forks, 1);
    for (unsigned i = 0; i < OBJECTS; i++)
        isthmus_primitive_after_fork(handle_of(self, i), 0);
    if (held) {
        REQUIRE(isthmus_lock_is_mine(&self->handles[HELD_ACROSS]) == 1, HELD_ACROSS);
        leave(self, HELD_ACROSS);
        drop(self, HELD_ACROSS);
    }
    begin(self, NULL, 0); /* the child is watched itself */
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            fail("waitpid: %s", strerror(errno));
    const int killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
                       get(&stress->actors[self->actor + 1].doomed);
    if (status && !killed)
        fail("a child ended with status %#x", (unsigned)status);
    forget(self->actor + 1);
}

/* ---- Threads ------------------------------------------------------------------------------------
 */

struct thread {
    pthread_t id;
    struct self self;
    unsigned actor, deeds;
    uint64_t random;
};

static void *run_thread(void *argument)
{
    struct thread *thread = argument;
    set_out(&thread->self, thread->actor, thread->random);
    act(&thread->self, thread->deeds);
    acting = NULL;
    return NULL;
}

static void live_with_threads(struct self *self, unsigned count, unsigned deeds)
{
    struct thread threads[PER_PROCESS];
    for (unsigned i = 1; i < count; i++) {
        threads[i] = (struct thread){
            .self = *self, .actor = self->actor + i, .deeds = deeds, .random = next(&self->random)};
        if (pthread_create(&threads[i].id, NULL, run_thread, &threads[i]))
            fail("a thread could not be made");
    }
    act(self, deeds);
    for (unsigned i = 1; i < count; i++)
        pthread_join(threads[i].id, NULL);
}

void live(unsigned process, uint64_t random)
{
    struct isthmus_primitive handles[FIRST_RING];
    struct isthmus_ring rings[RINGS];
    static struct hearing hearings[RINGS];
    struct isthmus_segment segment;
    struct self self = {
        .handles = handles, .rings = rings, .hearings = hearings, .segment = &segment};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != stress->supervisor)
        _exit(0);
    memset(handles, 0, sizeof handles);
    memset(rings, 0, sizeof rings);
    set_out(&self, process * PER_PROCESS, random);
    int error = isthmus_segment_attach(&segment, stress->segment, NULL);
    if (error)
        fail("%s: %s", stress->segment, strerror(-error));
    open_all(&self);

    const unsigned threads = pick(&self, 2) ? 1 : 1 + pick(&self, PER_PROCESS);
    self.alone = threads == 1;
    /* From a short life to one that only the end of the round ends. */
    for (unsigned chapters = 1 + pick(&self, 40); chapters && !get(&stress->stop); chapters--) {
        live_with_threads(&self, threads, 50 + pick(&self, 200));
        if (self.alone && pick(&self, 4) == 0)
            deed_fork(&self);
    }
    close_all(&self);
    isthmus_segment_close(&segment);
    _exit(0);
}
