/*
 * Death at every step. For each operation and each n, a child runs the operation
 * and is killed at its n-th kill point, until a child comes through. After each
 * death: the name does not exist or stands for a complete object, nothing else is
 * left (but for the fallback's draft, unlocked), every page that is not the
 * object's is free again, and the next creator succeeds.
 */
#include "check.h"
#include "draft.h"
#include "fixture.h"
#include "hooks.h"
#include "os.h"
#include <errno.h>
#include <fcntl.h>
#include <isthmus/isthmus.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE 20000u
#define LARGER (SIZE + 5 * 4096u)
#define SMALLER 5000u
#define ELEMENTS 3000u
#define ARRAY_DATA 8192u /* where the elements start, after the lock */
#define OLD 0xa5         /* in the first byte of an object that was there before */
#define MOST_POINTS 500u

enum after {
    ABSENT,
    PRESENT,
    EITHER
};

struct operation {
    const char *what;
    int array;               /* on an array, else on a raw segment */
    int fallback;            /* no unnamed files are to be had */
    unsigned interruptions;  /* signals while reserving */
    int there_before;        /* the object exists already */
    void (*run)(void);       /* in the child */
    enum after after_death;  /* what the name may stand for */
    enum after when_through; /* and after a child that was not killed */
    size_t least, most;      /* size of a segment afterwards */
};

static const struct operation *current;
static char user_name[FIXTURE_NAME_SIZE];
static char posix_name[ISTHMUS_NAME_MAX + 1];
static char path[FIXTURE_PATH_SIZE];
static int is_private; /* /dev/shm is ours alone: look at everything in it */

/* What the operations work on; the parent's are open before the child is forked. */
static struct isthmus_segment segment;
static struct isthmus_array array;

static const uint64_t shape[] = {ELEMENTS / 3, 3};
static const struct isthmus_array_plan plan = {
    .dtype = "\"<f8\"", .itemsize = 8, .shape = shape, .ndim = 2};

static int create(void)
{
    return current->array ? isthmus_array_create(&array, user_name, &plan, NULL)
                          : isthmus_segment_create(&segment, posix_name, SIZE, NULL);
}

static int attach(void)
{
    return current->array ? isthmus_array_attach(&array, user_name, NULL)
                          : isthmus_segment_attach(&segment, posix_name, NULL);
}

static int remove_name(void)
{
    return current->array ? isthmus_array_unlink(&array, user_name)
                          : isthmus_segment_unlink(&segment, posix_name);
}

static void close_it(void)
{
    if (current->array)
        isthmus_array_close(&array);
    else
        isthmus_segment_close(&segment);
}

static unsigned char *first_byte(void)
{
    return current->array ? array.data : segment.data;
}

/* ---- The operations, in the child ------------------------------------------------ */

static void run_create(void)
{
    CHECK_OK(create());
}

static void run_create_taken(void)
{
    CHECK_RESULT(create(), -EEXIST);
}

static void run_create_too_large(void)
{
    static const uint64_t huge[] = {UINT64_C(1) << 40};
    struct isthmus_array_plan large = plan;
    large.shape = huge;
    large.ndim = 1;
    const int error = current->array
                          ? isthmus_array_create(&array, user_name, &large, NULL)
                          : isthmus_segment_create(&segment, posix_name, (size_t)1 << 43, NULL);
    CHECK(error == -ENOSPC || error == -ENOMEM);
}

static void run_attach(void)
{
    CHECK_OK(attach());
}

static void run_attach_and_close(void)
{
    CHECK_OK(attach());
    close_it();
    close_it();
}

static void run_unlink(void)
{
    CHECK_OK(attach());
    CHECK_OK(remove_name());
}

/* What Segment.resize does, step by step: on a description of its own, under the size lock. */
static int open_for_resizing(void)
{
    CHECK_OK(attach());
    int fd = isthmus_os_reopen(segment.fd, 0);
    CHECK(fd >= 0);
    CHECK_OK(isthmus_os_lock_size(fd, 0));
    return fd;
}

static void run_grow(void)
{
    uint64_t reserved = SIZE, step = 4096;
    int error, fd = open_for_resizing();
    do
        error = isthmus_draft_reserve_more(fd, &reserved, LARGER, &step);
    while (error == -EINTR);
    CHECK_OK(error);
    CHECK_OK(isthmus_os_unlock_size(fd));
    CHECK_OK(isthmus_os_close(fd));
}

static void run_shrink(void)
{
    int fd = open_for_resizing();
    isthmus_os_unmap(segment.data, segment.size);
    CHECK_OK(isthmus_os_truncate(fd, SMALLER));
    CHECK_OK(isthmus_os_unlock_size(fd));
    CHECK_OK(isthmus_os_close(fd));
}

static void run_all(void)
{
    CHECK_OK(create());
    CHECK_OK(remove_name());
    close_it();
}

/* ---- What must hold afterwards, in the parent ----------------------------------- */

static int is_there(void)
{
    struct stat found;
    return lstat(path, &found) == 0;
}

static void check_complete(int first, size_t least, size_t most)
{
    struct stat found;
    CHECK_OK(attach());
    CHECK_INT(lstat(path, &found), 0);
    CHECK_UINT(found.st_mode, S_IFREG | 0600);
    if (current->array) {
        CHECK_UINT(array.count, ELEMENTS);
        CHECK_UINT(array.itemsize, 8);
        CHECK_UINT(array.ndim, 2);
        CHECK_UINT(array.shape[0], ELEMENTS / 3);
        CHECK_UINT(array.shape[1], 3);
        CHECK_BYTES(array.dtype, plan.dtype, strlen(plan.dtype));
        CHECK_INT(found.st_size, ARRAY_DATA + 8 * ELEMENTS);
    } else {
        CHECK(segment.size >= least);
        CHECK(segment.size <= most);
        CHECK_INT(found.st_size, (off_t)segment.size);
        /* Nobody lives who could be changing the size: this does not wait. */
        CHECK_OK(isthmus_os_lock_size(segment.fd, 0));
    }
    CHECK(found.st_blocks * 512 >= found.st_size);
    const size_t bytes = current->array ? 8 * ELEMENTS : segment.size;
    CHECK_INT(first_byte()[0], first);
    for (size_t i = 1; i < bytes; i++)
        CHECK_INT(first_byte()[i], 0);
    close_it();
}

/* Tidy up as draft.h says; was there anything? */
static unsigned remove_draft(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (!hooks->draft[0])
        return 0;
    int fd = open(hooks->draft, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        CHECK_INT(errno, ENOENT);
        return 0;
    }
    /* Nobody lives who could be at work on it. */
    CHECK_INT(fcntl(fd, F_OFD_SETLK, &lock), 0);
    CHECK_INT(unlink(hooks->draft), 0);
    CHECK_INT(close(fd), 0);
    return 1;
}

static void check_single_name(void)
{
    struct stat found;
    CHECK_UINT(fixture_count(FIXTURE_SHM, is_private ? "" : posix_name), is_there() ? 1 : 0);
    if (lstat(path, &found) == 0)
        CHECK_UINT(found.st_nlink, 1);
}

static void check_free(uint64_t expected)
{
    if (is_private)
        CHECK_UINT(fixture_free_bytes(), expected);
}

static void remove_object(void)
{
    CHECK_OK(attach());
    CHECK_OK(remove_name());
    close_it();
}

/* Check everything, put all back to the start; how many drafts were left. */
static unsigned check_aftermath(enum after allowed, uint64_t free_before)
{
    const unsigned drafts = remove_draft();
    CHECK(drafts == 0 || current->fallback);
    if (allowed != EITHER)
        CHECK_INT(is_there(), allowed == PRESENT);
    if (is_there())
        check_complete(current->there_before ? OLD : 0, current->least, current->most);
    check_single_name();
    if (is_there())
        remove_object();
    check_free(free_before);

    CHECK_OK(create());
    close_it();
    check_complete(0, SIZE, SIZE);
    check_single_name();
    remove_object();
    CHECK(!is_there());
    check_free(free_before);
    return drafts;
}

static void in_child(void *argument)
{
    const unsigned *kill_at = argument;
    hooks->passed = 0;
    hooks->no_unnamed = current->fallback;
    hooks->interruptions = current->interruptions;
    hooks->draft[0] = '\0';
    hooks->kill_at = *kill_at;
    current->run();
}

static void prepare(void)
{
    fixture_name(user_name);
    if (current->array)
        CHECK_OK(isthmus_name_escape(user_name, posix_name));
    else
        snprintf(posix_name, sizeof posix_name, "%s", user_name);
    fixture_path(path, posix_name);
}

/* The points of one operation. */
static unsigned exercise(const struct operation *operation)
{
    unsigned drafts = 0, objects = 0;

    current = operation;
    prepare();
    const uint64_t free_before = is_private ? fixture_free_bytes() : 0;
    for (unsigned n = 1;; n++) {
        CHECK(n <= MOST_POINTS);
        hooks_reset();
        if (operation->there_before) {
            CHECK_OK(create());
            first_byte()[0] = OLD;
            close_it();
        }
        const int status = check_in_child(in_child, &n);
        hooks->kill_at = 0;
        hooks->no_unnamed = 0;
        hooks->interruptions = 0;
        if (status == 0) {
            CHECK_UINT(hooks->passed, n - 1);
            CHECK_UINT(check_aftermath(operation->when_through, free_before), 0);
            printf("       %-42s %3u points, %3u left the object, %3u an unlocked draft\n",
                   operation->what, n - 1, objects, drafts);
            return n - 1;
        }
        CHECK_INT(status, -SIGKILL);
        CHECK_UINT(hooks->passed, n);
        objects += is_there() != 0;
        drafts += check_aftermath(operation->after_death, free_before);
    }
}

#define WHAT(text, ...)                                                                            \
    {"segment, " text, 0, __VA_ARGS__, SIZE, SIZE},                                                \
    {                                                                                              \
        "array, " text, 1, __VA_ARGS__, SIZE, SIZE                                                 \
    }

static void whoever_dies_at_any_step_leaves_all_or_nothing(void)
{
    static const struct operation operations[] = {
        WHAT("create", 0, 0, 0, run_create, EITHER, PRESENT),
        WHAT("create, named draft", 1, 0, 0, run_create, EITHER, PRESENT),
        WHAT("create under signals", 0, 3, 0, run_create, EITHER, PRESENT),
        WHAT("create under signals, named draft", 1, 3, 0, run_create, EITHER, PRESENT),
        WHAT("create a taken name", 0, 0, 1, run_create_taken, PRESENT, PRESENT),
        WHAT("create a taken name, named draft", 1, 0, 1, run_create_taken, PRESENT, PRESENT),
        WHAT("create too large", 0, 0, 0, run_create_too_large, ABSENT, ABSENT),
        WHAT("create too large, named draft", 1, 0, 0, run_create_too_large, ABSENT, ABSENT),
        WHAT("attach", 0, 0, 1, run_attach, PRESENT, PRESENT),
        WHAT("attach, close twice", 0, 0, 1, run_attach_and_close, PRESENT, PRESENT),
        WHAT("attach, unlink", 0, 0, 1, run_unlink, EITHER, ABSENT),
        {"segment, grow", 0, 0, 0, 1, run_grow, PRESENT, PRESENT, SIZE, LARGER},
        {"segment, grow under signals", 0, 0, 3, 1, run_grow, PRESENT, PRESENT, SIZE, LARGER},
        {"segment, shrink", 0, 0, 0, 1, run_shrink, PRESENT, PRESENT, SMALLER, SIZE},
        WHAT("create, unlink, close", 0, 0, 0, run_all, EITHER, ABSENT),
        WHAT("create, unlink, close, named draft", 1, 0, 0, run_all, EITHER, ABSENT),
    };
    unsigned total = 0;

    int error = fixture_private_shm("16m");
    is_private = !error;
    if (error)
        printf("       on the shared /dev/shm, pages not counted: %s\n", strerror(error));
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        const unsigned points = exercise(&operations[i]);
        CHECK(points > 0);
        total += points;
    }
    printf("       %u deaths in total\n", total);
}

static const struct check_test tests[] = {
    CHECK_TEST(whoever_dies_at_any_step_leaves_all_or_nothing),
};

int main(void)
{
    /* Drafts have names of their own choice: one that a failed test left must go, too. */
    hooks_reset();
    fixture_sweep_also(hooks->draft);
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
