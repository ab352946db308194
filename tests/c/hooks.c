#include "hooks.h"

#include "check.h"
#include "draft.h"
#include "killpoint.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct hooks *hooks;

void hooks_reset(void)
{
    if (!hooks) {
        void *memory =
            mmap(NULL, sizeof *hooks, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(memory != MAP_FAILED);
        hooks = memory;
    }
    memset(hooks, 0, sizeof *hooks);
}

void isthmus_kill_point(void)
{
    if (!hooks)
        return;
    hooks->passed++;
    if (hooks->at_point)
        hooks->at_point(hooks->passed);
    if (hooks->passed == hooks->kill_at) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
}

/*
 * The linker sends the calls in the core here. Which of the two names they have
 * depends on how wide the C library's plain off_t is.
 */
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __real_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length);
int __real_munmap(void *data, size_t size);
int __wrap_munmap(void *data, size_t size);

static int open_hooked(const char *path, int flags, mode_t mode)
{
    if (hooks && hooks->no_unnamed && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EISDIR; /* what a kernel says that does not know the flag */
        return -1;
    }
    if (hooks && flags & O_CREAT && strstr(path, ISTHMUS_DRAFT_PREFIX))
        snprintf(hooks->draft, sizeof hooks->draft, "%s", path);
    return __real_open(path, flags | O_LARGEFILE, mode);
}

static mode_t mode_argument(int flags, va_list arguments)
{
    /* mode_t as it arrives through "...": promoted. */
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_argument(flags, arguments);
    va_end(arguments);
    return open_hooked(path, flags, mode);
}

int __wrap_open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_argument(flags, arguments);
    va_end(arguments);
    return open_hooked(path, flags, mode);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t length)
{
    if (hooks)
        hooks->reservations++;
    if (hooks && ((hooks->largest && (unsigned long long)length > hooks->largest) ||
                  (hooks->interruptions && hooks->interruptions--))) {
        errno = EINTR;
        return -1;
    }
    return __real_fallocate(fd, mode, offset, length);
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length)
{
    return __wrap_fallocate(fd, mode, offset, length);
}

int __wrap_munmap(void *data, size_t size)
{
    if (hooks && hooks->page && size % hooks->page) {
        errno = EINVAL; /* what a kernel says of a part of a huge page */
        return -1;
    }
    if (hooks)
        hooks->unmapped = size;
    return __real_munmap(data, size);
}
