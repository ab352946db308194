/*
 * Being told of messages through a socket to which the kernel writes: once for each
 * registration, when a message has come for it or when it has ended without one. So whoever
 * reads the socket knows when nobody needs a registration any more, which the C library, whose
 * SIGEV_THREAD is made the same way, never says.
 */
#ifndef ISTHMUS_POSIX_IPC_NOTICES_H
#define ISTHMUS_POSIX_IPC_NOTICES_H

#include <Python.h>
#include <errno.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What is to be called. Two refer to it: who asked, and the notice that will come. */
struct isthmus_request {
    _Atomic(PyObject *) call; /* (function, param); whoever takes it out owns it */
    atomic_int references;
};

/* What the kernel copies and sends back, with how it ended in the last byte. */
union isthmus_cookie {
    struct isthmus_request *request;
    char bytes[32];
};

enum {
    ISTHMUS_NOTICE_MESSAGE = 1
}; /* else 2: without one */

static void isthmus_request_drop(struct isthmus_request *request)
{
    /* Both orders: what the other did to it has happened before it is freed. */
    if (request && atomic_fetch_sub_explicit(&request->references, 1, memory_order_acq_rel) == 1)
        free(request);
}

/* What it was to call, for the first who asks: a reference, or NULL. */
static PyObject *isthmus_request_take(struct isthmus_request *request)
{
    return request ? atomic_exchange_explicit(&request->call, NULL, memory_order_acq_rel) : NULL;
}

static int isthmus_notices_open(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
}

/* Have `call` called: 0 and the request, or an errno. */
static int isthmus_notices_ask(mqd_t queue, int fd, PyObject *call, struct isthmus_request **made)
{
    union isthmus_cookie cookie;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_signo = fd};
    struct isthmus_request *request = malloc(sizeof *request);
    int error = 0;
    if (!request)
        return ENOMEM;
    Py_INCREF(call);
    atomic_init(&request->call, call);
    atomic_init(&request->references, 2);
    memset(&cookie, 0, sizeof cookie);
    cookie.request = request;
    event.sigev_value.sival_ptr = &cookie;
    /* It can wait: for the reader of the socket, when very many queues are registered. */
    Py_BEGIN_ALLOW_THREADS if (syscall(SYS_mq_notify, queue, &event)) error = errno;
    Py_END_ALLOW_THREADS if (error)
    {
        free(request);
        Py_DECREF(call);
        return error;
    }
    *made = request;
    return 0;
}

/*
 * The next call that is due, a reference, waiting for it without the GIL: 0 or an errno. What
 * has ended without a message is let go of here; only if it had not been taken back by
 * who asked does that need the GIL, which is had by way of returning it with *due 0.
 */
static int isthmus_notices_next(int fd, PyObject **call, int *due)
{
    for (;;) {
        union isthmus_cookie cookie;
        struct sockaddr_nl from = {0};
        socklen_t size = sizeof from;
        ssize_t got = recvfrom(fd, &cookie, sizeof cookie, 0, (struct sockaddr *)&from, &size);
        if (got < 0 && errno != EINTR)
            return errno;
        /* Only the kernel's own are believed. */
        if (got != (ssize_t)sizeof cookie || from.nl_pid != 0)
            continue;
        *due = cookie.bytes[sizeof cookie - 1] == ISTHMUS_NOTICE_MESSAGE;
        cookie.bytes[sizeof cookie - 1] = 0;
        *call = isthmus_request_take(cookie.request);
        isthmus_request_drop(cookie.request);
        if (*call)
            return 0;
    }
}

static int isthmus_notify_signal(mqd_t queue, int number)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number};
    return mq_notify(queue, &event);
}

static int isthmus_notify_nobody(mqd_t queue)
{
    return mq_notify(queue, NULL);
}

/* The signals of the calling thread, and of those that it starts. */
static void isthmus_block_signals(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

static void isthmus_set_signals(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

static void isthmus_block_no_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

#endif
