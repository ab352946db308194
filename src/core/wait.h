/*
 * How a wait goes: look again and again for a short time, then sleep in the kernel, in
 * slices, at whose ends the waiter asks whether those that it waits for are alive.
 *
 *     struct isthmus_wait wait;
 *     isthmus_wait_begin(&wait, primitive, deadline);
 *     do
 *         if (what is waited for is there) { … isthmus_wait_end(&wait); return 0; }
 *     while (isthmus_wait_spin(&wait));
 *     for (;;) {
 *         say in shared memory that somebody may be asleep; look once more;
 *         int result = isthmus_wait_sleep(&wait, word, as it was at that look);
 *         …
 *     }
 *
 * The slices bound what a death can cost: a wake-up that was owed by one that died, or
 * had been given to one that died, is late by a slice at most. No protocol here needs
 * more of them; that without deaths no wake-up is lost is argued at each of them.
 */
#ifndef ISTHMUS_WAIT_H
#define ISTHMUS_WAIT_H

#include <isthmus/isthmus.h>

/*
 * A dead owner is to be noticed within 20 ms; this leaves 8 for the scheduler. A shorter one
 * would cost more: being woken by the clock takes some 20 µs of a virtual machine's processor,
 * and asking some 5, together 0.2 % of it.
 */
#ifndef ISTHMUS_SLICE_NS /* a test build has none to speak of: there a lost wake-up is a hang */
#define ISTHMUS_SLICE_NS UINT64_C(12000000)
#endif

/* The longest time to spin by default, about what going to sleep and being woken costs. */
#define ISTHMUS_SPIN_DEFAULT_NS 20000u

/* The result of a sleep that a slice ended: nobody woke us, there is time left. */
#define ISTHMUS_WAIT_SLICE 1

struct isthmus_wait {
    struct isthmus_primitive *primitive;
    uint64_t deadline;
    uint64_t began_ns;
    uint64_t spin_until_ns;
    uint32_t looks;
    int slept; /* in the kernel, or about to: this participant is listed as waiting */
};

/* For a deadline that is not 0. Spins as long as spinning has been worth it lately. */
void isthmus_wait_begin(struct isthmus_wait *wait, struct isthmus_primitive *primitive,
                        uint64_t deadline);
/* A pause. 0: enough of it. */
int isthmus_wait_spin(struct isthmus_wait *wait);
/*
 * Sleep while *word is `expected`. 0: look again; ISTHMUS_WAIT_SLICE: look again, and
 * whether the others live; -ETIMEDOUT; -EINTR.
 */
int isthmus_wait_sleep(struct isthmus_wait *wait, const uint32_t *word, uint32_t expected);
/* However it ended. */
void isthmus_wait_end(struct isthmus_wait *wait);

/* For people: this participant waits, since now; it no longer does. */
void isthmus_wait_list(const struct isthmus_primitive *primitive);
void isthmus_wait_unlist(const struct isthmus_primitive *primitive);

/*
 * For waits that end because something has moved, which was perhaps no use and may go on: is the
 * time over? 0 and ISTHMUS_FOREVER never are.
 */
int isthmus_time_is_over(uint64_t deadline);

/* Why an operation cannot be done by this handle: -EBADF closed, -ISTHMUS_E_NOT_JOINED. */
int isthmus_unusable(const struct isthmus_primitive *primitive);

#endif
