#include "together.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

void together_pause(void)
{
    const struct timespec moment = {.tv_nsec = 100000};
    nanosleep(&moment, NULL);
}

void *together_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

void together_make(struct isthmus_primitive *primitive, uint32_t kind, uint32_t flags,
                   int64_t value)
{
    const struct isthmus_primitive_plan plan = {
        .kind = kind, .flags = flags, .participants = TOGETHER_PARTICIPANTS, .value = value};
    CHECK_OK(isthmus_primitive_anonymous(primitive, &plan));
    primitive->spin_ns = 0;
}

void together_join(struct isthmus_primitive *primitive, const struct isthmus_primitive *other)
{
    CHECK_OK(isthmus_primitive_from_fd(primitive, other->fd, other->kind));
    primitive->spin_ns = 0;
}

uint32_t together_waiting(const struct isthmus_primitive *primitive)
{
    const void *state = primitive->shared + 1;
    const uint32_t used = peek(&primitive->shared->used);
    uint32_t sum = 0;
    if (primitive->kind == ISTHMUS_KIND_ATOMIC_INT)
        return peek(&((const struct isthmus_shared_atomic_int *)state)->waiters);
    if (primitive->count == 0)
        return peek((const uint32_t *)state) >> 31;
    for (uint32_t i = 0; i < used && i < primitive->count; i++)
        sum += peek(&primitive->slots[i].waiting);
    return sum;
}

struct guest {
    const struct isthmus_primitive *primitive;
    together_work *work;
    uint32_t *there; /* NULL: one that does not stay */
};

static void be_a_guest(void *argument)
{
    const struct guest *guest = argument;
    struct isthmus_primitive own;
    together_join(&own, guest->primitive);
    guest->work(&own);
    if (!guest->there) {
        isthmus_primitive_close(&own);
        return;
    }
    poke(guest->there, 1);
    for (;;)
        pause();
}

pid_t together_stay(const struct isthmus_primitive *primitive, together_work *work)
{
    struct guest guest = {primitive, work, together_memory(sizeof(uint32_t))};
    pid_t child = check_start_child(be_a_guest, &guest);
    UNTIL(peek(guest.there));
    CHECK_INT(munmap(guest.there, sizeof(uint32_t)), 0);
    return child;
}

pid_t together_send(const struct isthmus_primitive *primitive, together_work *work)
{
    struct guest guest = {primitive, work, NULL};
    return check_start_child(be_a_guest, &guest);
}

void together_kill(pid_t child)
{
    CHECK_INT(kill(child, SIGKILL), 0);
    CHECK_INT(check_join_child(child), -SIGKILL);
}

void together_alone(struct together_area *area)
{
    CHECK_UINT(__atomic_exchange_n(&area->inside, 1, __ATOMIC_RELAXED), 0);
    CHECK_UINT(area->first, area->second);
    area->first++;
    /* Whoever is not kept out comes in now. */
    sched_yield();
    area->second++;
    CHECK_UINT(area->first, area->second);
    CHECK_UINT(__atomic_exchange_n(&area->inside, 0, __ATOMIC_RELAXED), 1);
}

void together_begin(struct together_threads *threads, unsigned count, void *(*work)(void *),
                    void *argument)
{
    CHECK(count <= TOGETHER_THREADS_MAX);
    threads->count = count;
    for (unsigned i = 0; i < count; i++)
        CHECK_INT(pthread_create(&threads->threads[i], NULL, work, argument), 0);
}

void together_end(struct together_threads *threads)
{
    for (unsigned i = 0; i < threads->count; i++)
        CHECK_INT(pthread_join(threads->threads[i], NULL), 0);
}
