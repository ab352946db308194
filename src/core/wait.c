/* Spinning, sleeping, and learning which is better. See wait.h. */
#include "wait.h"

#include "atomic.h"
#include "os.h"
#include "participant.h"

/* Pauses between two looks at the clock, which costs as much as some of them. */
#define LOOKS_PER_CLOCK 8u
/* What is left of spinning when it has not paid for long: this part of the whole. */
#define LEAST_PART 8u

uint64_t isthmus_deadline_after(int64_t nanoseconds)
{
    const uint64_t now = isthmus_os_monotonic_ns();
    if (nanoseconds < 0 || (uint64_t)nanoseconds >= ISTHMUS_FOREVER - now)
        return ISTHMUS_FOREVER;
    return now + (uint64_t)nanoseconds;
}

int isthmus_time_is_over(uint64_t deadline)
{
    return deadline != 0 && deadline != ISTHMUS_FOREVER && isthmus_os_monotonic_ns() >= deadline;
}

int isthmus_unusable(const struct isthmus_primitive *primitive)
{
    return primitive->shared ? -ISTHMUS_E_NOT_JOINED : -EBADF;
}

void isthmus_wait_begin(struct isthmus_wait *wait, struct isthmus_primitive *primitive,
                        uint64_t deadline)
{
    const uint32_t most = isthmus_local_load_u32(&primitive->spin_ns);
    uint32_t spin = isthmus_local_load_u32(&primitive->spin_now_ns);
    *wait = (struct isthmus_wait){.primitive = primitive, .deadline = deadline};
    wait->began_ns = isthmus_os_monotonic_ns();
    if (spin > most)
        spin = most;
    wait->spin_until_ns = wait->began_ns + spin;
    if (wait->spin_until_ns > deadline)
        wait->spin_until_ns = deadline;
}

int isthmus_wait_spin(struct isthmus_wait *wait)
{
    if (wait->spin_until_ns == wait->began_ns)
        return 0;
    isthmus_pause();
    return ++wait->looks % LOOKS_PER_CLOCK != 0 || isthmus_os_monotonic_ns() < wait->spin_until_ns;
}

/* Some milliseconds, of which so many make a wait another one than the one before. */
#define MOMENT_SHIFT 20
#define MOMENTS 200u

static uint32_t moment(uint64_t nanoseconds)
{
    return (uint32_t)(nanoseconds >> MOMENT_SHIFT);
}

/*
 * Bindings wait in pieces, to look after signals in between: for people that is one wait. Other
 * threads of this handle may write the same at the same time; then a wait seems shorter.
 */
static int goes_on(const struct isthmus_primitive *primitive, uint32_t tid, uint64_t now)
{
    return isthmus_local_load_u32(&primitive->gave_up_tid) == tid &&
           moment(now) - isthmus_local_load_u32(&primitive->gave_up_at) <= MOMENTS &&
           isthmus_peek_u32(&isthmus_own(primitive)->waiting_tid) == tid;
}

void isthmus_wait_list(const struct isthmus_primitive *primitive)
{
    if (primitive->slot < 0)
        return;
    struct isthmus_shared_participant *own = isthmus_own(primitive);
    const uint64_t now = isthmus_os_coarse_ns();
    const uint32_t tid = isthmus_os_tid();
    if (!goes_on(primitive, tid, now)) {
        isthmus_note_u64(&own->waiting_ns, now);
        isthmus_note_u32(&own->waiting_tid, tid);
    }
    /* Dies after this: whoever joins in this slot starts from 0; the dead are not shown. */
    isthmus_add_u32(&own->waiting, 1);
}

void isthmus_wait_unlist(const struct isthmus_primitive *primitive)
{
    if (primitive->slot >= 0)
        isthmus_add_u32(&isthmus_own(primitive)->waiting, UINT32_MAX);
}

int isthmus_wait_sleep(struct isthmus_wait *wait, const uint32_t *word, uint32_t expected)
{
    if (!wait->slept) {
        wait->slept = 1;
        isthmus_wait_list(wait->primitive);
    }
    const uint64_t slice = isthmus_os_monotonic_ns() + ISTHMUS_SLICE_NS;
    const int last = wait->deadline <= slice;
    int result = isthmus_os_futex_wait(word, expected, last ? wait->deadline : slice);
    return result == -ETIMEDOUT && !last ? ISTHMUS_WAIT_SLICE : result;
}

void isthmus_wait_end(struct isthmus_wait *wait)
{
    struct isthmus_primitive *primitive = wait->primitive;
    if (wait->slept)
        isthmus_wait_unlist(primitive);

    /*
     * Spinning pays when the wait is over soon, slept or not: then spin for longer next
     * time, else for less. A sleep itself takes as long as the spinning, and so does that of
     * the other, whom we may have waited for: else two that answer each other, and once have
     * begun to sleep, would go on for ever.
     */
    const uint32_t most = isthmus_local_load_u32(&primitive->spin_ns);
    uint32_t spin = isthmus_local_load_u32(&primitive->spin_now_ns);
    const uint64_t now = isthmus_os_monotonic_ns();
    const uint64_t took = now - wait->began_ns;
    if (wait->slept && now >= wait->deadline) {
        isthmus_local_store_u32(&primitive->gave_up_at, moment(isthmus_os_coarse_ns()));
        isthmus_local_store_u32(&primitive->gave_up_tid, isthmus_os_tid());
    }
    if (took < 4 * (uint64_t)most)
        spin = spin < most / 2 ? spin * 2 + 1 : most;
    else
        spin = spin / 2 > most / LEAST_PART ? spin / 2 : most / LEAST_PART;
    isthmus_local_store_u32(&primitive->spin_now_ns, spin);
}
