/*
 * Print the first bytes of any POSIX shared memory segment in hex, in nothing but
 * POSIX calls: what a segment made by isthmus is to a program that does not know it.
 *
 *     segment_peek NAME [COUNT]        16 bytes if COUNT is not given
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PER_LINE 16u

static int complain(const char *action, const char *name)
{
    fprintf(stderr, "segment_peek: cannot %s %s: %s\n", action, name, strerror(errno));
    return 1;
}

static void print_hex(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf("%02x%c", bytes[i], i % PER_LINE == PER_LINE - 1 || i == count - 1 ? '\n' : ' ');
}

static int peek(const char *name, size_t count)
{
    struct stat found;
    const int fd = shm_open(name, O_RDONLY, 0);
    if (fd < 0)
        return complain("attach to", name);

    int result = 0;
    if (fstat(fd, &found)) {
        result = complain("look at", name);
    } else {
        if ((uintmax_t)found.st_size < count)
            count = (size_t)found.st_size;
        /* Nothing to map in an empty one. */
        void *memory = count ? mmap(NULL, count, PROT_READ, MAP_SHARED, fd, 0) : NULL;
        if (memory == MAP_FAILED) {
            result = complain("map", name);
        } else if (memory) {
            print_hex(memory, count);
            munmap(memory, count);
        }
    }
    close(fd);
    return result;
}

int main(int argc, char **argv)
{
    char name[NAME_MAX + 2];
    unsigned long long count = PER_LINE;
    char *end = "";

    errno = 0;
    if (argc == 3)
        count = strtoull(argv[2], &end, 10);
    if (argc < 2 || argc > 3 || *end || errno ||
        (argc == 3 && (*argv[2] < '0' || *argv[2] > '9'))) {
        fputs("usage: segment_peek NAME [COUNT]\n", stderr);
        return 2;
    }
    const int length = snprintf(name, sizeof name, "%s%s", *argv[1] == '/' ? "" : "/", argv[1]);
    if (length < 0 || (size_t)length >= sizeof name) {
        errno = ENAMETOOLONG;
        return complain("attach to", argv[1]);
    }
    const int result = peek(name, count > SIZE_MAX ? SIZE_MAX : (size_t)count);
    return fflush(stdout) ? complain("write to", "standard output") : result;
}
