/*
 * stress [--seconds N] [--seed N] [--processes N] [--patience N] [--name NAME]
 *
 * Rounds of a few seconds, each with other objects and another number of processes, which
 * are killed at random: by themselves at some step of the core, and by the supervisor
 * wherever they are, stopped ones among them. Exit status 0: everything held.
 */
#include "ledger.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)
#define MILLISECOND UINT64_C(1000000)
#define SHM "/dev/shm"

/* A worker as the supervisor sees it. */
struct worker {
    pid_t pid;    /* 0: has been reaped */
    int alive_fd; /* at its end when the worker and its child are gone; -1: none */
    int stopped;
    uint64_t continue_ns;
    uint64_t reaped_ns;
};

static struct worker workers[PROCESSES];
static struct self chance; /* only its random numbers are used */
static struct isthmus_segment segment;
static pid_t warden;
static int warden_done;

/* ---- The end, if it is not a good one
 * ------------------------------------------------------------ */

static unsigned remove_left_overs(int complain)
{
    unsigned found = 0;
    DIR *entries = opendir(SHM);
    if (!entries)
        return 0;
    for (struct dirent *entry; (entry = readdir(entries));) {
        if (!strstr(entry->d_name, stress->tag))
            continue;
        found++;
        if (complain)
            fprintf(stderr, "left behind: %s/%s\n", SHM, entry->d_name);
        unlinkat(dirfd(entries), entry->d_name, 0);
    }
    closedir(entries);
    return found;
}

static void kill_all(void)
{
    for (unsigned i = 0; i < PROCESSES; i++)
        if (workers[i].pid)
            kill(workers[i].pid, SIGKILL);
    if (warden && !warden_done)
        kill(warden, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
}

void end_badly(const char *why)
{
    fprintf(stderr, "FAILED: %s (round %u, %u processes, seed %" PRIu64 ")\n", why, stress->round,
            stress->processes, stress->seed);
    diagnose();
    kill_all();
    remove_left_overs(0);
    exit(1);
}

/* ---- Births and deaths
 * ----------------------------------------------------------------------------- */

static uint64_t some_random(void)
{
    return (uint64_t)pick(&chance, UINT32_MAX) << 32 | pick(&chance, UINT32_MAX);
}

static void spawn(unsigned process)
{
    struct worker *worker = &workers[process];
    const uint64_t random = some_random();
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        end_badly("no pipe is to be had");
    fflush(NULL);
    worker->pid = fork();
    if (worker->pid < 0)
        end_badly("fork() failed");
    if (worker->pid == 0) {
        for (unsigned i = 0; i < PROCESSES; i++)
            if (workers[i].alive_fd >= 0 && i != process)
                close(workers[i].alive_fd);
        close(ends[0]);
        live(process, random);
    }
    close(ends[1]);
    worker->alive_fd = ends[0];
    worker->stopped = 0;
}

static void reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        unsigned process = 0;
        while (process < PROCESSES && workers[process].pid != pid)
            process++;
        if (pid == warden) {
            warden_done = 1;
            if (status)
                end_badly("the warden came to a bad end");
            continue;
        }
        /* Of orphans, which are killed with their parents, only a crash is of interest. */
        const int killed =
            WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
            (process == PROCESSES || get(&stress->actors[process * PER_PROCESS].doomed));
        if (status && !killed) {
            fprintf(stderr, "a worker ended with status %#x\n", (unsigned)status);
            end_badly("a worker came to a bad end");
        }
        if (process < PROCESSES) {
            workers[process].pid = 0;
            workers[process].reaped_ns = now_ns();
        }
    }
}

/* When a worker and its child are gone, all that they have left is known: let another come. */
static unsigned bury(int replace)
{
    unsigned there = 0;
    for (unsigned i = 0; i < stress->processes; i++) {
        struct worker *worker = &workers[i];
        char byte;
        if (worker->pid || (worker->alive_fd >= 0 && read(worker->alive_fd, &byte, 1) != 0)) {
            there++;
            if (!worker->pid && now_ns() - worker->reaped_ns > stress->patience_ns)
                end_badly("a child outlives its parent");
            continue;
        }
        if (worker->alive_fd >= 0) {
            for (unsigned k = 0; k < PER_PROCESS; k++)
                forget(i * PER_PROCESS + k);
            close(worker->alive_fd);
            worker->alive_fd = -1;
        }
        if (replace) {
            spawn(i);
            there++;
        }
    }
    return there;
}

static void let_continue(int all)
{
    for (unsigned i = 0; i < stress->processes; i++)
        if (workers[i].stopped && workers[i].pid && (all || now_ns() >= workers[i].continue_ns)) {
            workers[i].stopped = 0;
            kill(workers[i].pid, SIGCONT);
        }
}

/* Something bad happens to somebody. */
static void disturb(void)
{
    const unsigned process = pick(&chance, stress->processes);
    struct worker *worker = &workers[process];
    if (!worker->pid)
        return;
    switch (pick(&chance, 4)) {
    case 0:
        kill(worker->pid, SIGUSR1);
        break;
    case 1:
        worker->stopped = 1;
        worker->continue_ns = now_ns() + pick(&chance, 30) * MILLISECOND;
        kill(worker->pid, SIGSTOP);
        break;
    default:
        doom(process * PER_PROCESS, PER_PROCESS);
        kill(worker->pid, SIGKILL);
    }
}

/* ---- The watchdog
 * ---------------------------------------------------------------------------------- */

static void look_after(void)
{
    const uint64_t now = now_ns();
    if (get(&stress->failed))
        end_badly("somebody found something wrong");
    for (unsigned i = 0; i < ACTORS; i++) {
        const struct actor *actor = &stress->actors[i];
        const uint64_t began = get(&actor->began_ns);
        if (get(&actor->deed) && get(&actor->began_ns) == began && now > began &&
            now - began > stress->patience_ns && !get(&actor->doomed))
            end_badly("somebody does not get on");
    }
}

static void watch_for_a_moment(void)
{
    static const struct timespec moment = {.tv_nsec = 1000000};
    nanosleep(&moment, NULL);
    reap();
    look_after();
}

/* ---- Rounds
 * ------------------------------------------------------------------------------------------ */

static int make_primitive(unsigned object)
{
    const struct isthmus_primitive_plan plan = object_plan(object);
    struct isthmus_primitive first;
    const int error = isthmus_primitive_anonymous(&first, &plan);
    if (error)
        return error;
    stress->descriptors[object] = dup(first.fd);
    isthmus_primitive_close(&first);
    return 0;
}

static int make_ring(unsigned object)
{
    const struct isthmus_ring_plan plan = ring_plan(object - FIRST_RING);
    struct isthmus_ring first;
    const int error = isthmus_ring_anonymous(&first, &plan);
    if (error)
        return error;
    stress->descriptors[object] = dup(first.primitive.fd);
    isthmus_ring_close(&first);
    return 0;
}

static void make_objects(void)
{
    int error = isthmus_segment_create(&segment, stress->segment, segment_size(), NULL);
    if (error) {
        fprintf(stderr, "stress: %s: %s\n", stress->segment, strerror(-error));
        exit(1);
    }
    for (unsigned i = 0; i < OBJECTS; i++) {
        stress->descriptors[i] = -1;
        if (objects[i].place == ANONYMOUS) {
            error = i < FIRST_RING ? make_primitive(i) : make_ring(i);
            if (error) {
                fprintf(stderr, "stress: %s: %s\n", objects[i].label, strerror(-error));
                exit(1);
            }
        }
    }
}

static void remove_objects(void)
{
    for (unsigned i = 0; i < OBJECTS; i++)
        if (stress->descriptors[i] >= 0)
            close(stress->descriptors[i]);
    isthmus_segment_unlink(&segment, stress->segment);
    isthmus_segment_close(&segment);
}

static void start_round(unsigned processes, const char *name)
{
    static const uint32_t odds[] = {20000, 0, 3000, 200000};
    stress->processes = processes;
    stress->parties = 2 + pick(&chance, processes < 4 ? processes - 1 : 3);
    stress->permits = 1 + pick(&chance, 4);
    stress->kill_odds = odds[stress->round % 4];
    stress->ready = stress->stop = stress->finish = 0;
    memset(stress->actors, 0, sizeof stress->actors);
    memset(stress->facts, 0, sizeof stress->facts);
    ledger_clear();
    snprintf(stress->tag, sizeof stress->tag, "%.48s-%u", name, stress->round);
    snprintf(stress->segment, sizeof stress->segment, "%s.segment", stress->tag);
    make_objects();
    for (unsigned i = 0; i < PROCESSES; i++)
        workers[i] = (struct worker){.alive_fd = -1};
    warden_done = 0;
    fflush(NULL);
    warden = fork();
    if (warden < 0)
        end_badly("fork() failed");
    if (warden == 0)
        watch_over(chance.random);
    while (!get(&stress->ready))
        watch_for_a_moment();
}

static void run_round(uint64_t until)
{
    uint64_t next_disturbance = now_ns();
    while (now_ns() < until) {
        bury(1);
        watch_for_a_moment();
        let_continue(0);
        if (now_ns() >= next_disturbance) {
            disturb();
            next_disturbance = now_ns() + pick(&chance, 20) * MILLISECOND;
        }
    }
}

static void end_round(void)
{
    const uint64_t began = now_ns();
    put(&stress->stop, 1);
    let_continue(1);
    while (bury(0)) {
        watch_for_a_moment();
        if (now_ns() - began > 2 * stress->patience_ns)
            end_badly("not all come to an end");
    }
    put(&stress->finish, 1);
    while (!warden_done)
        watch_for_a_moment();
    remove_objects();
    if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
        end_badly("a process is left");
    if (remove_left_overs(1))
        end_badly("names are left");
    add_up();
}

/* ---- The whole
 * ----------------------------------------------------------------------------------------- */

static void interrupt(int number)
{
    (void)number;
}

static _Noreturn void usage(void)
{
    fputs("usage: stress [--seconds N] [--seed N] [--processes N] [--patience N] [--name NAME]\n",
          stderr);
    exit(2);
}

static uint64_t number(const char *text)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno)
        usage();
    return value;
}

int main(int argc, char **argv)
{
    static const unsigned sizes[] = {2, 32, 4, 8, 16, 3, 24, 6, 12};
    const struct sigaction interrupting = {.sa_handler = interrupt};
    uint64_t seconds = 10, patience = 60, processes = 0, seed = 0;
    char name[64];

    snprintf(name, sizeof name, "stress-%ld", (long)getpid());
    if (getrandom(&seed, 4, 0) != 4)
        seed = (uint64_t)getpid();
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            usage();
        if (!strcmp(argv[i], "--seconds"))
            seconds = number(argv[i + 1]);
        else if (!strcmp(argv[i], "--seed"))
            seed = number(argv[i + 1]);
        else if (!strcmp(argv[i], "--processes"))
            processes = number(argv[i + 1]);
        else if (!strcmp(argv[i], "--patience"))
            patience = number(argv[i + 1]);
        else if (!strcmp(argv[i], "--name"))
            snprintf(name, sizeof name, "%s", argv[i + 1]);
        else
            usage();
    }
    if (processes == 1 || processes > PROCESSES)
        usage();

    void *memory =
        mmap(NULL, sizeof *stress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("stress");
        return 1;
    }
    stress = memory;
    ledger_map();
    stress->seed = seed;
    stress->patience_ns = patience * SECOND;
    stress->supervisor = getpid();
    chance.random = seed | 1;
    /* Without SA_RESTART: waits shall be interrupted. */
    sigaction(SIGUSR1, &interrupting, NULL);
    /* Orphans come here, so that nothing is left unseen. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    printf("stress: %" PRIu64 " s, seed %" PRIu64 "\n", seconds, seed);

    const uint64_t began = now_ns(), until = began + seconds * SECOND;
    const uint64_t length = seconds < 5 ? SECOND / 2 : seconds < 15 ? SECOND : 3 * SECOND;
    for (; now_ns() < until; stress->round++) {
        const uint64_t end = now_ns() + length;
        start_round(processes ? (unsigned)processes
                              : sizes[stress->round % (sizeof sizes / sizeof sizes[0])],
                    name);
        run_round(end < until ? end : until);
        end_round();
    }
    summarise(now_ns() - began);
    return 0;
}
