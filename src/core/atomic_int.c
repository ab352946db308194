/* Atomic integers that can be waited for. */
#include "atomic.h"
#include "os.h"
#include "participant.h"
#include "wait.h"

static struct isthmus_shared_atomic_int *state(const struct isthmus_primitive *integer)
{
    return isthmus_state(integer);
}

/*
 * sync: atomic-waiters. Who waits says so and then looks at the value; who changes it has
 * changed it and then looks whether somebody waits: one of the two sees the other.
 */
static void changed(struct isthmus_shared_atomic_int *integer)
{
    if (!isthmus_load_u32(&integer->waiters) || !isthmus_exchange_u32(&integer->waiters, 0))
        return;
    /*
     * Dies before or after the next: who sleeps looks again at the end of the slice. One that
     * said so after our exchange and before this addition sleeps on the old number, and is
     * woken by us for nothing, or does not sleep.
     */
    isthmus_add_u32(&integer->changes, 1);
    isthmus_os_futex_wake(&integer->changes, UINT32_MAX);
}

int64_t isthmus_atomic_int_load(const struct isthmus_primitive *integer)
{
    return (int64_t)isthmus_load_u64(&state(integer)->value);
}

/* Each one: the operation, then whoever waits. Dies between them: the change is there. */
#define CHANGE(name, operation)                                                                    \
    int64_t isthmus_atomic_int_##name(struct isthmus_primitive *integer, int64_t value)            \
    {                                                                                              \
        uint64_t before = operation(&state(integer)->value, (uint64_t)value);                      \
        changed(state(integer));                                                                   \
        return (int64_t)before;                                                                    \
    }

CHANGE(add, isthmus_add_u64)
CHANGE(and, isthmus_and_u64)
CHANGE(or, isthmus_or_u64)
CHANGE(xor, isthmus_xor_u64)
CHANGE(exchange, isthmus_exchange_u64)

int64_t isthmus_atomic_int_sub(struct isthmus_primitive *integer, int64_t value)
{
    /* Unsigned: the negative of the smallest number is itself. */
    return isthmus_atomic_int_add(integer, (int64_t)(0 - (uint64_t)value));
}

void isthmus_atomic_int_store(struct isthmus_primitive *integer, int64_t value)
{
    isthmus_atomic_int_exchange(integer, value);
}

int isthmus_atomic_int_compare_exchange(struct isthmus_primitive *integer, int64_t *expected,
                                        int64_t value)
{
    uint64_t found = (uint64_t)*expected;
    int swapped = isthmus_swap_u64(&state(integer)->value, &found, (uint64_t)value);
    if (swapped)
        changed(state(integer));
    else
        *expected = (int64_t)found;
    return swapped;
}

static int wait_for(struct isthmus_wait *wait, int64_t value)
{
    struct isthmus_primitive *primitive = wait->primitive;
    struct isthmus_shared_atomic_int *integer = state(primitive);

    do
        if (isthmus_atomic_int_load(primitive) != value)
            return 0;
    while (isthmus_wait_spin(wait));
    for (;;) {
        const uint32_t changes = isthmus_load_u32(&integer->changes);
        isthmus_store_u32(&integer->waiters, 1); /* sync: atomic-waiters */
        /* Dies here: the next change wakes nobody, once. */
        if (isthmus_atomic_int_load(primitive) != value)
            return 0;
        int result = isthmus_wait_sleep(wait, &integer->changes, changes);
        if (result < 0)
            return result;
    }
}

int isthmus_atomic_int_wait_while(struct isthmus_primitive *integer, int64_t value,
                                  uint64_t deadline)
{
    struct isthmus_wait wait;
    if (!integer->shared)
        return -EBADF;
    if (integer->kind != ISTHMUS_KIND_ATOMIC_INT)
        return -EINVAL;
    if (isthmus_atomic_int_load(integer) != value)
        return 0;
    if (deadline == 0)
        return -ETIMEDOUT;
    isthmus_wait_begin(&wait, integer, deadline);
    int result = wait_for(&wait, value);
    isthmus_wait_end(&wait);
    return result;
}
