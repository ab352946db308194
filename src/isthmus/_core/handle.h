/*
 * The handles that this process has open: for what has to be done to all of them in a
 * forked child and when the interpreter ends. Nothing is done here by the operations.
 *
 * Handles live outside of Python's own memory, so that those whose objects are never
 * deallocated can still be closed when the interpreter is gone.
 *
 * Who changes the list holds the GIL, or, in an interpreter without one, the mutex. No
 * Python code runs meanwhile. So a fork, which such an interpreter makes with all
 * threads at rest between two of their own instructions, finds the list whole and the
 * mutex free.
 */
#ifndef ISTHMUS_HANDLE_H
#define ISTHMUS_HANDLE_H

#include <Python.h>
#include <isthmus/isthmus.h>
#include <primitive.h>
#include <stddef.h>

struct isthmus_handle {
    union {
        struct isthmus_primitive primitive;
        struct isthmus_ring ring; /* which begins with a primitive */
    };
    void (*close)(struct isthmus_handle *);
    struct isthmus_handle *previous, *next; /* among those that are open */
    int users;                              /* calls in this process that may be waiting */
    int views;                              /* objects that refer to its memory */
};

_Static_assert(offsetof(struct isthmus_ring, primitive) == 0, "a ring begins with its primitive");

static struct isthmus_handle isthmus_handles = {
    .previous = &isthmus_handles,
    .next = &isthmus_handles,
};

#ifdef Py_GIL_DISABLED
#define ISTHMUS_NO_GIL 1
static PyMutex isthmus_handles_mutex;
#define ISTHMUS_HANDLES_LOCK() PyMutex_Lock(&isthmus_handles_mutex)
#define ISTHMUS_HANDLES_UNLOCK() PyMutex_Unlock(&isthmus_handles_mutex)
#else
#define ISTHMUS_NO_GIL 0
#define ISTHMUS_HANDLES_LOCK() ((void)0)
#define ISTHMUS_HANDLES_UNLOCK() ((void)0)
#endif

/* A closed one: every operation of the core answers -EBADF. NULL: no memory. */
static struct isthmus_handle *isthmus_handle_new(void (*close)(struct isthmus_handle *))
{
    struct isthmus_handle *handle = PyMem_RawCalloc(1, sizeof *handle);
    if (handle) {
        handle->close = close;
        handle->primitive.fd = handle->primitive.fork_fd = -1;
        handle->primitive.slot = -1;
    }
    return handle;
}

/* What is in it has been opened. */
static void isthmus_handle_open(struct isthmus_handle *handle)
{
    ISTHMUS_HANDLES_LOCK();
    handle->previous = &isthmus_handles;
    handle->next = isthmus_handles.next;
    handle->next->previous = handle;
    isthmus_handles.next = handle;
    ISTHMUS_HANDLES_UNLOCK();
}

static void isthmus_handle_close(struct isthmus_handle *handle)
{
    if (handle->next == NULL)
        return;
    ISTHMUS_HANDLES_LOCK();
    handle->previous->next = handle->next;
    handle->next->previous = handle->previous;
    handle->previous = handle->next = NULL;
    ISTHMUS_HANDLES_UNLOCK();
    handle->close(handle);
}

static void isthmus_handle_free(struct isthmus_handle *handle)
{
    if (handle) {
        isthmus_handle_close(handle);
        PyMem_RawFree(handle);
    }
}

/*
 * Around a fork. In the child only the thread that forked is there; calls of others are gone.
 * A handle that cannot be had again is closed by the core, and raises when it is used.
 */
static void isthmus_handles_before_fork(void)
{
    ISTHMUS_HANDLES_LOCK();
    for (struct isthmus_handle *each = isthmus_handles.next; each != &isthmus_handles;
         each = each->next)
        (void)isthmus_primitive_before_fork(&each->primitive); /* else the child does it, later */
    ISTHMUS_HANDLES_UNLOCK();
}

static void isthmus_handles_after_fork(int in_child)
{
    struct isthmus_primitive none = {.slot = -1, .fd = -1, .fork_fd = -1};
    /* Also without any handle: what the core knows about the thread is the parent's. */
    (void)isthmus_primitive_after_fork(&none, in_child);
    ISTHMUS_HANDLES_LOCK();
    for (struct isthmus_handle *each = isthmus_handles.next; each != &isthmus_handles;
         each = each->next) {
        if (in_child)
            each->users = 0;
        (void)isthmus_primitive_after_fork(&each->primitive, in_child);
    }
    ISTHMUS_HANDLES_UNLOCK();
}

/*
 * End the participation of every handle that is still open, so that the last process to do
 * so removes the object. A daemon thread may be waiting on one, in the core, and will be for
 * as long as this process lives, or get what it waits for: its handle keeps its memory, and its
 * place among the participants, which must not become another's before that thread is gone. The
 * same goes for one whose memory something still refers to.
 */
static void isthmus_handles_close_all(void)
{
    while (isthmus_handles.next != &isthmus_handles) {
        struct isthmus_handle *each = isthmus_handles.next;
        if (each->users == 0 && each->views == 0) {
            isthmus_handle_close(each);
            continue;
        }
        isthmus_primitive_forsake(&each->primitive);
        each->previous->next = each->next;
        each->next->previous = each->previous;
        each->previous = each->next = NULL;
    }
}

/* Do that when the interpreter has ended, after all Python code. -1: it has too many such calls. */
static int isthmus_handles_close_at_exit(void)
{
    return Py_AtExit(isthmus_handles_close_all);
}

#endif
