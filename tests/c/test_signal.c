/*
 * Signals as messages: they arrive with value and sender, in order, through any thread; and one
 * that comes too early or too late ends nobody.
 */
#include "check.h"
#include "os_signal.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

#define PATIENCE_MS 20000

static int open_process(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        check_skip("no descriptors of processes", errno);
    return fd;
}

static struct signalfd_siginfo next(int fd)
{
    struct signalfd_siginfo info;
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    CHECK_INT(poll(&ready, 1, PATIENCE_MS), 1);
    CHECK_INT(read(fd, &info, sizeof info), sizeof info);
    return info;
}

static void what_is_sent_arrives_in_order_with_its_value_and_sender(void)
{
    const int number = isthmus_signal_first() + 3;
    CHECK_INT(isthmus_signal_disposition(number), ISTHMUS_SIGNAL_DEFAULT);
    CHECK_OK(isthmus_signal_take(number));
    CHECK_INT(isthmus_signal_disposition(number), ISTHMUS_SIGNAL_TAKEN);
    CHECK_INT(isthmus_signal_blocked(number), 1);
    const int fd = isthmus_signal_open(number), self = open_process(getpid());
    for (uint64_t i = 0; i < 100; i++)
        CHECK_OK(isthmus_signal_send(self, number, UINTPTR_MAX - i));
    for (uint64_t i = 0; i < 100; i++) {
        const struct signalfd_siginfo info = next(fd);
        CHECK_UINT(info.ssi_ptr, UINTPTR_MAX - i);
        CHECK_INT(info.ssi_code, SI_QUEUE);
        CHECK_UINT(info.ssi_pid, (uint64_t)getpid());
        CHECK_UINT(info.ssi_uid, getuid());
    }
    close(self);
    close(fd);
}

/* A thread with the signal open, from before it was taken; at the end, whether it still is. */
struct open_thread {
    pthread_t thread;
    pid_t task;
    int number, blocked;
    int ready[2], over[2];
};

static void *stay_open(void *argument)
{
    struct open_thread *open_thread = argument;
    char byte = 0;
    open_thread->task = (pid_t)syscall(SYS_gettid);
    CHECK_INT(write(open_thread->ready[1], &byte, 1), 1);
    /* Not interrupted by the handler: it asks for calls to go on. */
    CHECK_INT(read(open_thread->over[0], &byte, 1), 1);
    open_thread->blocked = isthmus_signal_blocked(open_thread->number);
    return NULL;
}

static void begin(struct open_thread *open_thread, int number)
{
    char byte;
    open_thread->number = number;
    CHECK_INT(pipe(open_thread->ready), 0);
    CHECK_INT(pipe(open_thread->over), 0);
    CHECK_INT(pthread_create(&open_thread->thread, NULL, stay_open, open_thread), 0);
    CHECK_INT(read(open_thread->ready[0], &byte, 1), 1);
}

static void finish(struct open_thread *open_thread)
{
    CHECK_INT(write(open_thread->over[1], "", 1), 1);
    CHECK_INT(pthread_join(open_thread->thread, NULL), 0);
}

static void a_thread_that_has_it_open_sends_it_on_and_blocks_it(void)
{
    const int number = isthmus_signal_first() + 3;
    struct open_thread other;
    begin(&other, number);
    CHECK_OK(isthmus_signal_take(number));
    const int fd = isthmus_signal_open(number);
    /* To that thread: who reads might be faster than it, if it went to the process. */
    siginfo_t sent = {.si_signo = number, .si_code = SI_QUEUE};
    sent.si_pid = 1;
    sent.si_uid = 1234;
    sent.si_value.sival_ptr = (void *)(uintptr_t)0x123456;
    CHECK_INT(syscall(SYS_rt_tgsigqueueinfo, getpid(), other.task, number, &sent), 0);
    const struct signalfd_siginfo info = next(fd);
    CHECK_UINT(info.ssi_ptr, 0x123456);
    CHECK_INT(info.ssi_code, SI_QUEUE);
    CHECK_UINT(info.ssi_pid, 1);
    CHECK_UINT(info.ssi_uid, 1234);
    finish(&other);
    CHECK_INT(other.blocked, 1);
    close(fd);
}

static void a_probe_has_a_thread_block_it_and_is_no_message(void)
{
    const int number = isthmus_signal_first() + 3;
    struct open_thread other;
    begin(&other, number);
    CHECK_OK(isthmus_signal_take(number));
    const int fd = isthmus_signal_open(number);
    CHECK_OK(isthmus_signal_probe(other.task, number));
    finish(&other);
    CHECK_INT(other.blocked, 1);
    struct signalfd_siginfo info;
    CHECK_INT(read(fd, &info, sizeof info), -1);
    CHECK_INT(errno, EAGAIN);
    /* Who joins a thread may be there before its end. */
    int gone;
    while (!(gone = isthmus_signal_probe(other.task, number)))
        ;
    CHECK_RESULT(gone, -ESRCH);
    close(fd);
}

static void what_comes_after_it_was_left_ends_nobody(void)
{
    const int number = isthmus_signal_first() + 3;
    sigset_t set;
    CHECK_OK(isthmus_signal_take(number));
    const int self = open_process(getpid());
    CHECK_OK(isthmus_signal_send(self, number, 1));
    CHECK_OK(isthmus_signal_leave(number));
    CHECK_INT(isthmus_signal_disposition(number), ISTHMUS_SIGNAL_IGNORED);
    CHECK_INT(isthmus_signal_blocked(number), 1);
    CHECK_INT(sigpending(&set), 0);
    CHECK_INT(sigismember(&set, number), 0);
    sigemptyset(&set);
    sigaddset(&set, number);
    CHECK_INT(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
    CHECK_OK(isthmus_signal_send(self, number, 2));
    close(self);
}

static void where_there_is_no_room_that_is_said_and_nothing_is_sent(void)
{
    const int number = isthmus_signal_first() + 3;
    const struct rlimit little = {50, 50};
    /* The limit counts what all processes of a user have pending: one that has no others. */
    if (!geteuid())
        CHECK_INT(setuid(100000 + (uid_t)getpid()), 0);
    CHECK_OK(isthmus_signal_take(number));
    CHECK_INT(setrlimit(RLIMIT_SIGPENDING, &little), 0);
    const int fd = isthmus_signal_open(number), self = open_process(getpid());
    int sent = 0, result;
    while (!(result = isthmus_signal_send(self, number, (uint64_t)sent)))
        sent++;
    CHECK_RESULT(result, -EAGAIN);
    CHECK(sent > 0 && sent <= 50);
    for (int i = 0; i < sent; i++)
        CHECK_UINT(next(fd).ssi_ptr, (uint64_t)i);
    struct signalfd_siginfo info;
    CHECK_INT(read(fd, &info, sizeof info), -1);
    close(self);
    close(fd);
}

static void a_process_that_has_ended_is_not_hit_nor_one_with_its_number(void)
{
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (!pid)
        _exit(0);
    const int gone = open_process(pid);
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    CHECK_RESULT(isthmus_signal_send(gone, isthmus_signal_first(), 0), -ESRCH);
    close(gone);
}

static const struct check_test tests[] = {
    CHECK_TEST(what_is_sent_arrives_in_order_with_its_value_and_sender),
    CHECK_TEST(a_thread_that_has_it_open_sends_it_on_and_blocks_it),
    CHECK_TEST(a_probe_has_a_thread_block_it_and_is_no_message),
    CHECK_TEST(what_comes_after_it_was_left_ends_nobody),
    CHECK_TEST(where_there_is_no_room_that_is_said_and_nothing_is_sent),
    CHECK_TEST(a_process_that_has_ended_is_not_hit_nor_one_with_its_number),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
