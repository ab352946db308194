/*
 * Count together with other processes, in C or Python (examples/python/lock_counter.py), any of
 * which may be killed at any time: an atomic integer, a number under a lock with a name, and one
 * under a lock that stands beside it in a C struct in shared memory.
 *
 *     lock_counter NAME COUNT      raise each of the three so many times
 *     lock_counter NAME show       print them
 *     lock_counter NAME hold       take both locks and keep them, until killed
 *     lock_counter NAME remove     remove all
 */
#include <inttypes.h>
#include <isthmus/isthmus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* So many programs can count at the same time. */
#define ROOM 16

/* What is in the segment NAME. The lock is made where there are zeros, at a multiple of 64. */
struct numbers {
    uint64_t under_named;
    uint64_t under_placed;
    unsigned char unused[48];
    unsigned char lock[ISTHMUS_PRIMITIVE_SIZE(ROOM)];
};

struct counter {
    struct isthmus_primitive hits;   /* the atomic integer NAME/hits */
    struct isthmus_primitive named;  /* the lock NAME/lock */
    struct isthmus_primitive placed; /* the lock in the segment */
    struct isthmus_segment segment;
    struct numbers *numbers;
};

static int fail(const char *name, int error)
{
    fprintf(stderr, "lock_counter: %s: %s\n", name, strerror(-error));
    return 1;
}

/* The segment, whoever makes it. */
static int open_segment(struct counter *counter, const char *name)
{
    int error;
    do {
        error = isthmus_segment_attach(&counter->segment, name, NULL);
        if (error == -ENOENT)
            error = isthmus_segment_create(&counter->segment, name, sizeof *counter->numbers, NULL);
    } while (error == -EEXIST);
    if (!error && counter->segment.size < sizeof *counter->numbers)
        error = -ISTHMUS_E_FOREIGN;
    if (!error)
        counter->numbers = counter->segment.data;
    return error;
}

/* NAME/part. It stays until it is removed: nobody has to be there all the time. */
static int open_part(struct isthmus_primitive *primitive, const char *name, const char *part,
                     uint32_t kind)
{
    const struct isthmus_primitive_plan plan = {.kind = kind, .flags = ISTHMUS_PERSIST};
    char whole[ISTHMUS_NAME_MAX + 1];
    snprintf(whole, sizeof whole, "%s/%s", name, part);
    return isthmus_primitive_open(primitive, whole, &plan, NULL, NULL);
}

static int open_all(struct counter *counter, const char *name)
{
    const struct isthmus_primitive_plan placed = {.kind = ISTHMUS_KIND_LOCK, .participants = ROOM};
    struct isthmus_segment *segment = &counter->segment;

    /* With the prefix of typed objects and "/hits", before anything is made. */
    int error = strlen(name) > ISTHMUS_NAME_MAX - 20 ? -ENAMETOOLONG : open_segment(counter, name);
    if (!error)
        error = isthmus_primitive_place(&counter->placed, segment->data, segment->size, segment->fd,
                                        offsetof(struct numbers, lock), &placed);
    if (!error)
        error = open_part(&counter->hits, name, "hits", ISTHMUS_KIND_ATOMIC_INT);
    if (!error)
        error = open_part(&counter->named, name, "lock", ISTHMUS_KIND_LOCK);
    return error;
}

static void close_all(struct counter *counter)
{
    isthmus_primitive_close(&counter->named);
    isthmus_primitive_close(&counter->hits);
    /* It stands in the segment, which must be there as long. */
    isthmus_primitive_close(&counter->placed);
    isthmus_segment_close(&counter->segment);
}

/* Take a lock, and say so when its last owner died with it. */
static int take(struct isthmus_primitive *lock, const char *which, uint64_t number)
{
    int result;
    do
        result = isthmus_lock_acquire(lock, ISTHMUS_FOREVER);
    while (result == -EINTR);
    if (result != -EOWNERDEAD)
        return result;
    /* A number that is written in one go is not half done: nothing to repair, here. */
    printf("the last owner of the %s lock died; the number is %" PRIu64 "\n", which, number);
    return 0;
}

/* Not atomic, and slow enough that others come in between, where there is no lock. */
static void raise_number(uint64_t *number)
{
    volatile uint64_t *const shared = number;
    const uint64_t before = *shared;
    *shared = before + 1;
}

static int count(struct counter *counter, uint64_t times)
{
    struct numbers *numbers = counter->numbers;
    for (; times; times--) {
        isthmus_atomic_int_add(&counter->hits, 1);

        int error = take(&counter->named, "named", numbers->under_named);
        if (error)
            return error;
        raise_number(&numbers->under_named);
        isthmus_lock_release(&counter->named);

        error = take(&counter->placed, "placed", numbers->under_placed);
        if (error)
            return error;
        raise_number(&numbers->under_placed);
        isthmus_lock_release(&counter->placed);
    }
    return 0;
}

static int hold(struct counter *counter)
{
    int error = take(&counter->named, "named", counter->numbers->under_named);
    if (!error)
        error = take(&counter->placed, "placed", counter->numbers->under_placed);
    if (error)
        return error;
    puts("holding both locks");
    fflush(stdout);
    for (;;)
        pause();
}

static void show(const struct counter *counter)
{
    printf("hits %" PRId64 ", under the named lock %" PRIu64 ", under the placed lock %" PRIu64
           "\n",
           isthmus_atomic_int_load(&counter->hits), counter->numbers->under_named,
           counter->numbers->under_placed);
}

static int remove_all(const struct counter *counter, const char *name)
{
    int error = isthmus_primitive_unlink(&counter->named);
    if (!error)
        error = isthmus_primitive_unlink(&counter->hits);
    return error ? error : isthmus_segment_unlink(&counter->segment, name);
}

int main(int argc, char **argv)
{
    struct counter counter = {.segment = {.fd = -1}};
    unsigned long long times = 0;
    char *end = NULL;

    if (argc == 3 && strcmp(argv[2], "show") && strcmp(argv[2], "hold") &&
        strcmp(argv[2], "remove")) {
        errno = 0;
        times = strtoull(argv[2], &end, 10);
    }
    if (argc != 3 || (end && (*argv[2] < '0' || *argv[2] > '9' || *end || errno))) {
        fputs("usage: lock_counter NAME COUNT|show|hold|remove\n", stderr);
        return 2;
    }
    int error = open_all(&counter, argv[1]);
    if (error)
        return fail(argv[1], error);
    if (end)
        error = count(&counter, times);
    else if (argv[2][0] == 'h')
        error = hold(&counter);
    else if (argv[2][0] == 's')
        show(&counter);
    else
        error = remove_all(&counter, argv[1]);
    close_all(&counter);
    return error ? fail(argv[1], error) : 0;
}
