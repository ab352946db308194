/* Two processes on two cores that answer each other, and a clock. */
#ifndef TWO_H
#define TWO_H

#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline void must(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s failed\n", what);
    _exit(1);
}

static inline double now_ns(void)
{
    struct timespec now;
    must(clock_gettime(CLOCK_MONOTONIC, &now) == 0, "clock_gettime");
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline void pin(const char *core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)atoi(core), &set);
    must(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
    /* Whatever becomes of the other one, this one ends. */
    alarm(100);
}

static inline void must_end_well(pid_t child)
{
    int status;
    must(waitpid(child, &status, 0) == child && status == 0, "the other process");
}

#endif
