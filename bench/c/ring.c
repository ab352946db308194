/*
 * A round trip of 64 bytes over isthmus, C to C.
 * ring queue|topic COUNT CORE CORE prints nanoseconds.
 */
#include "two.h"
#include <isthmus/isthmus.h>
#include <stdint.h>
#include <string.h>

#define SIZE 64
/* Longer than any answer takes. */
#define SPIN_NS 200000u

/* Handles of one process: each opens its own. */
static struct isthmus_ring there, back;

static void open_one(struct isthmus_ring *ring, const char *way, uint32_t kind, int subscribes)
{
    struct isthmus_ring_plan plan = {.kind = kind, .capacity = 1 << 20};
    char name[64];
    snprintf(name, sizeof name, "bench-c-%s-%ld", way, (long)getpgrp());
    must(isthmus_ring_open(ring, name, &plan, NULL, NULL) == 0, "isthmus_ring_open");
    ring->primitive.spin_ns = SPIN_NS;
    if (kind == ISTHMUS_KIND_TOPIC && subscribes)
        must(isthmus_topic_subscribe(ring, ISTHMUS_START_NEXT) == 0, "isthmus_topic_subscribe");
}

/* Nobody speaks before the other one listens. */
static void meet(uint32_t *here)
{
    __atomic_add_fetch(here, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(here, __ATOMIC_SEQ_CST) < 2)
        sched_yield();
}

static void put(struct isthmus_ring *ring, const void *message)
{
    must(isthmus_ring_write(ring, message, SIZE, ISTHMUS_FOREVER) == 0, "isthmus_ring_write");
}

static void get(struct isthmus_ring *ring, void *message)
{
    size_t size;
    must(isthmus_ring_read(ring, message, SIZE, &size, ISTHMUS_FOREVER) == 0 && size == SIZE,
         "isthmus_ring_read");
}

static void answer(uint64_t count)
{
    unsigned char message[SIZE];
    for (uint64_t i = 0; i < count; i++) {
        get(&there, message);
        put(&back, message);
    }
}

static double ask(uint64_t warm, uint64_t count)
{
    unsigned char message[SIZE] = {0}, reply[SIZE];
    double begin = 0;
    for (uint64_t i = 0; i < warm + count; i++) {
        if (i == warm)
            begin = now_ns();
        memcpy(message, &i, sizeof i);
        put(&there, message);
        get(&back, reply);
        must(memcmp(message, reply, SIZE) == 0, "the comparison");
    }
    return now_ns() - begin;
}

int main(int argc, char **argv)
{
    must(argc == 5, "ring queue|topic COUNT CORE CORE");
    uint32_t kind = strcmp(argv[1], "topic") ? ISTHMUS_KIND_QUEUE : ISTHMUS_KIND_TOPIC;
    uint64_t count = strtoull(argv[2], NULL, 10), warm = count / 10 + 1;
    uint32_t *here =
        mmap(NULL, sizeof *here, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(here != MAP_FAILED, "mmap");
    must(setpgid(0, 0) == 0, "setpgid"); /* for names of this run's own */
    pid_t child = fork();
    must(child >= 0, "fork");
    pin(argv[child ? 3 : 4]);
    open_one(&there, "there", kind, !child);
    open_one(&back, "back", kind, child != 0);
    meet(here);
    if (child) {
        printf("%.3f\n", ask(warm, count) / (double)count);
        fflush(stdout);
    } else {
        answer(warm + count);
    }
    isthmus_ring_close(&there);
    isthmus_ring_close(&back);
    if (child)
        must_end_well(child);
    return 0;
}
