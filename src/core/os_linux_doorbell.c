/* Descriptors to wait on: inotify on the file of an object, and a timer. See os.h. */
#define _GNU_SOURCE
#include "os.h"

#include "killpoint.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

/*
 * Two calls that leave a file as it is, but for its times, and which the kernel tells apart: a
 * read, and a reservation of what has been reserved. Both ask for no more than the descriptor
 * allows; to set the times would ask who we are by now. Where a file system cannot reserve, there
 * is only that left. The third is the end of a description that was open for writing.
 */
#define EVENT_READY IN_ACCESS
#define EVENT_ROOM (IN_MODIFY | IN_ATTRIB)
#define EVENT_GONE IN_CLOSE_WRITE
/* Of a file that is written to: that it was, and that its name has gone, or stands for another. */
#define EVENT_WRITTEN (IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF)

void isthmus_os_ring(int fd, uint32_t whom)
{
    char byte;
    ISTHMUS_KILL_POINT();
    if (whom & ISTHMUS_OS_READY) {
        ssize_t got = pread(fd, &byte, 1, 0);
        (void)got; /* there is at least one byte, and nobody wants it */
        ISTHMUS_KILL_POINT();
    }
    if (whom & ISTHMUS_OS_ROOM) {
        if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1))
            (void)futimens(fd, NULL);
        ISTHMUS_KILL_POINT();
    }
}

int isthmus_os_audible_memory(const char *label)
{
    const int fd = isthmus_os_memory(label);
    const int again = fd < 0 ? fd : isthmus_os_own_description(fd);
    if (again == -ENOSYS)
        return fd; /* without /proc nobody can watch it, either */
    if (fd >= 0)
        close(fd);
    return again;
}

static int add(int poll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int isthmus_os_doorbell_open(struct isthmus_os_doorbell *doorbell, int watch)
{
    struct isthmus_os_doorbell new = ISTHMUS_OS_DOORBELL_CLOSED;
    int error = 0;
    new.poll = epoll_create1(EPOLL_CLOEXEC);
    if (new.poll < 0)
        return -errno;
    new.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (new.timer < 0)
        error = -errno;
    if (!error)
        error = add(new.poll, new.timer);
    if (!error) {
        /* Without one, for lack of descriptors or of instances: blind. */
        new.watch = watch >= 0 ? watch : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (new.watch >= 0)
            error = add(new.poll, new.watch);
    }
    if (error) {
        if (watch >= 0)
            new.watch = -1; /* the caller's still */
        isthmus_os_doorbell_close(&new);
    } else {
        *doorbell = new;
    }
    return error;
}

int isthmus_os_doorbell_keep(struct isthmus_os_doorbell *doorbell)
{
    struct isthmus_os_rung rung[ISTHMUS_OS_RUNG];
    const int watch = doorbell->watch;
    /* What was not heard is nobody's, and so is the kernel's word that each watch has ended. */
    while (isthmus_os_doorbell_read(doorbell, rung, ISTHMUS_OS_RUNG) > 0)
        ;
    doorbell->watch = -1;
    isthmus_os_doorbell_close(doorbell);
    return watch;
}

void isthmus_os_doorbell_close(struct isthmus_os_doorbell *doorbell)
{
    if (doorbell->watch >= 0)
        close(doorbell->watch);
    if (doorbell->timer >= 0)
        close(doorbell->timer);
    if (doorbell->poll >= 0)
        close(doorbell->poll);
    *doorbell = (struct isthmus_os_doorbell)ISTHMUS_OS_DOORBELL_CLOSED;
}

static int hear(struct isthmus_os_doorbell *doorbell, int fd, uint32_t events)
{
    char path[64];
    if (doorbell->watch < 0)
        return -ENOSPC;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int id = inotify_add_watch(doorbell->watch, path, events);
    return id < 0 ? -errno : id;
}

int isthmus_os_doorbell_watch(struct isthmus_os_doorbell *doorbell, int fd)
{
    return hear(doorbell, fd, EVENT_READY | EVENT_ROOM | EVENT_GONE);
}

int isthmus_os_doorbell_watch_writes(struct isthmus_os_doorbell *doorbell, int fd)
{
    return hear(doorbell, fd, EVENT_WRITTEN);
}

void isthmus_os_doorbell_unwatch(struct isthmus_os_doorbell *doorbell, int id)
{
    if (doorbell->watch >= 0)
        (void)inotify_rm_watch(doorbell->watch, id);
}

void isthmus_os_doorbell_after(struct isthmus_os_doorbell *doorbell, uint64_t nanoseconds)
{
    const struct itimerspec in = {.it_value = {.tv_sec = (time_t)(nanoseconds / 1000000000u),
                                               .tv_nsec = (long)(nanoseconds % 1000000000u)}};
    (void)timerfd_settime(doorbell->timer, 0, &in, NULL);
}

int isthmus_os_doorbell_timer(struct isthmus_os_doorbell *doorbell)
{
    uint64_t expired = 0;
    return read(doorbell->timer, &expired, sizeof expired) == sizeof expired;
}

static uint32_t meaning(uint32_t mask)
{
    uint32_t what = 0;
    if (mask & EVENT_READY)
        what |= ISTHMUS_OS_READY;
    if (mask & EVENT_ROOM)
        what |= ISTHMUS_OS_ROOM;
    if (mask & EVENT_GONE)
        what |= ISTHMUS_OS_GONE;
    /* Events were dropped, or the watch has ended: anything may have happened. */
    return what ? what : ISTHMUS_OS_READY | ISTHMUS_OS_ROOM | ISTHMUS_OS_GONE;
}

int isthmus_os_doorbell_read(struct isthmus_os_doorbell *doorbell, struct isthmus_os_rung *rung,
                             unsigned room)
{
    union {
        struct inotify_event event;
        char bytes[sizeof(struct inotify_event) * ISTHMUS_OS_RUNG];
    } buffer;
    unsigned count = 0;
    if (doorbell->watch < 0)
        return 0;
    if (room > ISTHMUS_OS_RUNG)
        room = ISTHMUS_OS_RUNG;
    ssize_t size = read(doorbell->watch, buffer.bytes, room * sizeof(struct inotify_event));
    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    /* None of them has a name, as none of the watches is on a directory: all are of one size. */
    for (const struct inotify_event *each = &buffer.event; size >= (ssize_t)sizeof *each;
         each++, size -= (ssize_t)sizeof *each) {
        rung[count].id = each->wd;
        rung[count].what = meaning(each->mask);
        count++;
    }
    return (int)count;
}
