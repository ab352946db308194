/*
 * Signals with a value, as messages: sent to exactly one process, and taken from a descriptor.
 *
 * A real-time signal that nobody has blocked or handles ends the process. So whoever is to receive
 * some blocks it, in all threads. No system has a call for that: a thread can only block it for
 * itself. Hence the handler that `isthmus_signal_take` installs. A thread that has the signal
 * not blocked runs it, and from then on has it blocked; the handler sends the very same signal
 * (who sent it, its value) on to the own process, where it waits to be read. New threads have
 * blocked what the thread has that makes them.
 *
 * The order of messages is kept only once all threads have it blocked. So whoever takes a signal
 * sends each other thread one of its own, by `isthmus_signal_probe`, which the handler does not
 * send on.
 *
 * Nothing here keeps any state of the process beyond what the kernel has. 0, or a descriptor or
 * number, or -errno.
 */
#ifndef ISTHMUS_OS_SIGNAL_H
#define ISTHMUS_OS_SIGNAL_H

#include <stdint.h>

/* The signals that can carry messages, both included. */
int isthmus_signal_first(void);
int isthmus_signal_last(void);

/* What happens to a signal that is not blocked. */
enum isthmus_disposition {
    ISTHMUS_SIGNAL_DEFAULT,
    ISTHMUS_SIGNAL_IGNORED,
    ISTHMUS_SIGNAL_TAKEN, /* by `isthmus_signal_take` of this library */
    ISTHMUS_SIGNAL_HANDLED,
};
int isthmus_signal_disposition(int number);

/* Whether the calling thread has it blocked. */
int isthmus_signal_blocked(int number);

/*
 * Block it in the calling thread, and install the handler. Dies between the two: nothing, it is
 * blocked. The other way round somebody else's signal would be sent on for nothing.
 */
int isthmus_signal_take(int number);

/*
 * Throw away what is pending, and ignore the signal from now on. Not the default, which would end
 * the process: a message that is sent too late must not. It stays blocked where it is.
 */
int isthmus_signal_leave(int number);

/* Have the thread `task` of this process run the handler. -ESRCH: there is none. */
int isthmus_signal_probe(int task, int number);

/* A new descriptor from which this signal is read (signalfd): does not block, closed by exec. */
int isthmus_signal_open(int number);

/*
 * Send it, with a value and who sends it, to the process of `pidfd`, which no other can be taken
 * for. -EAGAIN: its user has as many signals pending as RLIMIT_SIGPENDING says. -ESRCH: it has
 * ended. -EPERM: it is another user's. Does not block; queued or not, nothing in between.
 */
int isthmus_signal_send(int pidfd, int number, uint64_t value);

#endif
