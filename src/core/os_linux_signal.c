/* Signals as messages: signalfd, pidfd_send_signal, and a handler. See os_signal.h. */
#define _GNU_SOURCE
#include "os_signal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* Linux 5.1; the same number everywhere, but newer than some headers. */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

int isthmus_signal_first(void)
{
    return SIGRTMIN;
}

int isthmus_signal_last(void)
{
    return SIGRTMAX;
}

/* How often, and after how many nanoseconds, what there is no room for is sent on again. */
#define TRIES 10000
#define PAUSE 100000

/*
 * Runs in whatever thread the kernel chose, at any time: system calls only, and nothing is kept.
 * There is room for what is sent on, since it has just given some back; if another sender has been
 * faster, a little later. Not for ever: the only one who could make room may be this thread. So a
 * signal can be lost, in a thread that has unblocked it, while senders fill all that there is.
 */
static void send_on(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    /* From the return of this handler on. */
    sigaddset(&((ucontext_t *)context)->uc_sigmask, number);
    int probe = info->si_code == SI_TKILL && info->si_pid == getpid();
    for (int i = 0; !probe && i < TRIES; i++) {
        if (!syscall(SYS_rt_sigqueueinfo, getpid(), number, info) || errno != EAGAIN)
            break;
        struct timespec little = {0, PAUSE};
        nanosleep(&little, NULL);
    }
    errno = saved;
}

int isthmus_signal_disposition(int number)
{
    struct sigaction now;
    if (sigaction(number, NULL, &now))
        return -errno;
    if (now.sa_flags & SA_SIGINFO)
        return now.sa_sigaction == send_on ? ISTHMUS_SIGNAL_TAKEN : ISTHMUS_SIGNAL_HANDLED;
    if (now.sa_handler == SIG_DFL)
        return ISTHMUS_SIGNAL_DEFAULT;
    return now.sa_handler == SIG_IGN ? ISTHMUS_SIGNAL_IGNORED : ISTHMUS_SIGNAL_HANDLED;
}

int isthmus_signal_blocked(int number)
{
    sigset_t now;
    int error = pthread_sigmask(SIG_BLOCK, NULL, &now);
    return error ? -error : sigismember(&now, number);
}

int isthmus_signal_take(int number)
{
    sigset_t set;
    sigemptyset(&set);
    if (sigaddset(&set, number))
        return -errno;
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (error)
        return -error;

    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = send_on;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    return sigaction(number, &action, NULL) ? -errno : 0;
}

int isthmus_signal_leave(int number)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_IGN;
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, NULL) ? -errno : 0;
}

int isthmus_signal_probe(int task, int number)
{
    return syscall(SYS_tgkill, getpid(), task, number) ? -errno : 0;
}

int isthmus_signal_open(int number)
{
    sigset_t set;
    sigemptyset(&set);
    if (sigaddset(&set, number))
        return -errno;
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int isthmus_signal_send(int pidfd, int number, uint64_t value)
{
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    info.si_signo = number;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    /* Where a pointer has 32 bits, the caller has made sure that the value has no more. */
    info.si_value.sival_ptr = (void *)(uintptr_t)value;
    return syscall(SYS_pidfd_send_signal, pidfd, number, &info, 0) ? -errno : 0;
}
