/*
 * Doorbells: waiting for shared objects on a file descriptor, without a thread and without polling.
 *
 * A doorbell is a descriptor that polls as readable when something may have happened to the objects
 * that it watches. It is inotify on the object's own file: whoever rings makes a system call on the
 * descriptor that it has open anyway, which changes nothing, but which the kernel tells to all that
 * watch the file. Nothing of it has a name or outlives its process; it works wherever the file is
 * shared, whatever other namespaces are not.
 *
 * Ringing costs a system call, so it is done only for those that have said that they wait:
 *
 *     who waits                               who brings it
 *       D1  read the doorbell empty             R1  make it be there
 *       D2  hang: set the bit of `doorbells`    R2  see that somebody may be asleep
 *       D3  say that somebody may be asleep     R3  take the bit of `doorbells`; if it was set:
 *       D4  look whether it is there            R4  ring
 *       D5  poll the descriptor
 *
 * D3, D4, R1 and R2 are those of the futex waits (eventcount.h, mutex.c, …), and the sleeper's bit
 * is the same, so that who brings something has one look to take for both. All are in one order.
 *
 * sync: doorbell. Why no wake-up is lost. By what the futex waits rest on: if the look D4 does not
 * find it, R2 finds the sleeper's bit, as D3 set it, or another one has found and cleared that
 * since D3, and goes on to R3 as well. So after D3 somebody comes to R3. Then it finds the bit of
 * D2, and rings at R4; or somebody else has taken it since D2, and rings. Either ring comes after
 * D2, so after D1, and stays to be read: the descriptor is readable. Whoever finds it so looks
 * again, and starts at D1 before it polls. A ring may come too early, for something else: then
 * nothing is found, and D1 to D5 are gone through again, with the same argument. All that wait are
 * rung for, not one of them: whoever is rung for and dies, or is cancelled, keeps nobody else from
 * it.
 *
 * In no other order. With D3 before D2, who comes between them clears the sleeper's bit and rings
 * nobody; if another takes what that one brought before D4 looks, D5 waits with the bit gone. With
 * R4 before R3, or before R2 has cleared the sleeper's bit, whoever is rung for may be through with
 * D1 to D4 when its bit is taken from it. Who leaves does not take its bits away: they may be those
 * of others as well. tests/models/doorbell.pml.
 *
 * What death leaves. Who brings something may die anywhere from R1 to R4, or while it holds what
 * others wait for. Its descriptor is open as long as it lives, as the locks that say so are on it
 * (participant.h), and when it goes, the kernel tells those that watch (ISTHMUS_OS_GONE). Then they
 * look. The kernel tells a moment before it takes the locks back; so those that wait for what
 * somebody holds look again after 1 ms, 2 ms, 4 ms and so on, without an end: a death is noticed
 * after twice the time that this took, and in a day they have looked 26 times. Who begins to watch
 * may come between these two moments of one that dies: it looks again after 1 s, 2 s and so on.
 * Who waits and dies leaves two bits set, for which somebody rings once in vain.
 * Who is stopped, not killed, between R2 and R4 keeps those from being told whose bits it has
 * taken, also of what others bring, until it goes on: as one that is stopped with a lock.
 *
 * Where the kernel gives no more watches (fs.inotify.max_user_instances, 128 for each user by
 * default), a doorbell is blind: then it polls as readable at the end of each slice, 12 ms.
 */
#ifndef ISTHMUS_DOORBELL_H
#define ISTHMUS_DOORBELL_H

#include "atomic.h"
#include "os.h"
#include <isthmus/isthmus.h>

void isthmus_doorbells_ring(const struct isthmus_primitive *primitive, uint32_t whom);

/* R3 and R4. `whom`: ISTHMUS_DOORBELL_*, those that wait for what has happened. */
static inline void isthmus_ring_doorbells(const struct isthmus_primitive *primitive, uint32_t whom)
{
    if (isthmus_load_u32(&primitive->shared->doorbells) & whom)
        isthmus_doorbells_ring(primitive, whom);
}

/* Both ways at once: those that sleep on `word`, up to `count`, and those that wait by doorbell. */
static inline void isthmus_wake(const struct isthmus_primitive *primitive, uint32_t *word,
                                uint32_t count)
{
    /* Dies before: told by the end of its descriptor. After: the futex sleepers at a slice's end.
     */
    isthmus_ring_doorbells(primitive, ISTHMUS_DOORBELL_READY | ISTHMUS_DOORBELL_ROOM);
    isthmus_os_futex_wake(word, count);
}

#endif
