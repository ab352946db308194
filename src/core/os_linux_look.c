/* Looking at memory that may go away meanwhile: for who only reads. See os.h. */
#define _GNU_SOURCE
#include "os.h"

#include "killpoint.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

int isthmus_os_copy_out(const void *from, size_t size, void *to)
{
    unsigned char *target = to;
    const unsigned char *source = from;
    while (size) {
        const struct iovec local = {.iov_base = target, .iov_len = size};
        const struct iovec remote = {.iov_base = (void *)(uintptr_t)source, .iov_len = size};
        /* The kernel copies within this process, and answers where reading would be SIGBUS. */
        const ssize_t copied = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
        if (copied <= 0) {
            if (copied < 0 && (errno == ENOSYS || errno == EPERM))
                break;
            return copied < 0 ? -errno : -EFAULT;
        }
        target += copied;
        source += copied;
        size -= (size_t)copied;
    }
    if (size == 0)
        return 0;
    /* A sandbox forbids it. Whoever cuts the file off between these two ends this process. */
    const int error = isthmus_os_populate(source, size);
    if (!error)
        memcpy(target, source, size);
    return error;
}
