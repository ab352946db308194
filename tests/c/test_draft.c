/* Drafts: nothing to be seen before they are published, complete from then on, both ways. */
#include "check.h"
#include "draft.h"
#include "fixture.h"
#include "os.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* Where drafts of either sort are made, and how: unnamed, or by the fallback. */
struct way {
    char directory[FIXTURE_PATH_SIZE];
    unsigned flags;
};

/* Run a test once each way. */
static void both_ways(void (*test)(const struct way *way))
{
    struct way way = {.flags = 0};
    fixture_directory(way.directory);
    test(&way);
    CHECK_UINT(fixture_count(way.directory, ""), 0);
    way.flags = ISTHMUS_DRAFT_NAMED;
    test(&way);
    CHECK_UINT(fixture_count(way.directory, ""), 0);
    CHECK_INT(rmdir(way.directory), 0);
}

static void new_path(const struct way *way, char path[FIXTURE_PATH_SIZE])
{
    char name[FIXTURE_NAME_SIZE];
    fixture_name(name);
    snprintf(path, FIXTURE_PATH_SIZE, "%.200s/%s", way->directory, name);
}

static void reserve_all(struct isthmus_draft *draft)
{
    int error;
    do
        error = isthmus_draft_reserve(draft);
    while (error == -EINTR);
    CHECK_OK(error);
}

/* Is the whole range of the open file free of locks that others hold? */
static int unlocked(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CHECK_INT(fcntl(fd, F_OFD_GETLK, &lock), 0);
    return lock.l_type == F_UNLCK;
}

static void publish_and_look(const struct way *way)
{
    struct isthmus_draft draft;
    char path[FIXTURE_PATH_SIZE];
    struct stat found;

    new_path(way, path);
    CHECK_OK(isthmus_draft_open(&draft, way->directory, 10000, NULL, way->flags));
    CHECK_INT(draft.temporary[0] != '\0', way->flags != 0);
    CHECK_UINT(fixture_count(way->directory, ""), way->flags ? 1 : 0);
    reserve_all(&draft);
    CHECK_INT(lstat(path, &found), -1);
    CHECK_OK(isthmus_draft_publish(&draft, path));

    CHECK_INT(lstat(path, &found), 0);
    CHECK_INT(found.st_size, 10000);
    CHECK_INT(found.st_mode, S_IFREG | 0600);
    CHECK_UINT(found.st_nlink, 1);
    CHECK(found.st_blocks * 512 >= 10000);
    CHECK_UINT(fixture_count(way->directory, ""), 1);
    CHECK_OK(isthmus_os_close(draft.fd));
    CHECK_INT(unlink(path), 0);
}

static void a_draft_is_found_by_nobody_until_it_is_published_complete(void)
{
    both_ways(publish_and_look);
}

static void mode_for(const struct way *way)
{
    static const uint32_t modes[] = {0, 0400, 0600, 0666, 0777, 0123};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct isthmus_create_options options = ISTHMUS_CREATE_DEFAULT;
        struct isthmus_draft draft;
        struct stat found;
        options.mode = modes[i];
        CHECK_OK(isthmus_draft_open(&draft, way->directory, 1, &options, way->flags));
        CHECK_INT(fstat(draft.fd, &found), 0);
        CHECK_UINT(found.st_mode & 07777, modes[i]);
        isthmus_draft_abandon(&draft);
    }
}

static void the_mode_is_exact_whatever_the_umask(void)
{
    umask(0777);
    both_ways(mode_for);
    umask(0);
    both_ways(mode_for);
}

static void publish_taken(const struct way *way)
{
    struct isthmus_draft first, second;
    char path[FIXTURE_PATH_SIZE], other[FIXTURE_PATH_SIZE];
    struct stat before, after;

    new_path(way, path);
    new_path(way, other);
    CHECK_OK(isthmus_draft_open(&first, way->directory, 100, NULL, way->flags));
    CHECK_OK(isthmus_draft_open(&second, way->directory, 200, NULL, way->flags));
    reserve_all(&first);
    reserve_all(&second);
    CHECK_OK(isthmus_draft_publish(&first, path));
    CHECK_INT(lstat(path, &before), 0);
    CHECK_RESULT(isthmus_draft_publish(&second, path), -EEXIST);
    CHECK_INT(lstat(path, &after), 0);
    CHECK_UINT(after.st_ino, before.st_ino);
    CHECK_INT(after.st_size, 100);

    /* The draft is as good as before. */
    CHECK_OK(isthmus_draft_publish(&second, other));
    CHECK_INT(lstat(other, &after), 0);
    CHECK_INT(after.st_size, 200);
    CHECK_OK(isthmus_os_close(first.fd));
    CHECK_OK(isthmus_os_close(second.fd));
    CHECK_INT(unlink(path), 0);
    CHECK_INT(unlink(other), 0);
}

static void a_taken_name_is_EEXIST_and_the_draft_may_take_another(void)
{
    both_ways(publish_taken);
}

static void abandon_one(const struct way *way)
{
    struct isthmus_draft draft;
    CHECK_OK(isthmus_draft_open(&draft, way->directory, 5 * MIB, NULL, way->flags));
    reserve_all(&draft);
    const int fd = draft.fd;
    isthmus_draft_abandon(&draft);
    CHECK_INT(draft.fd, -1);
    CHECK_INT(fcntl(fd, F_GETFD), -1);
    isthmus_draft_abandon(&draft);
}

static void an_abandoned_draft_leaves_nothing_and_may_be_abandoned_again(void)
{
    both_ways(abandon_one);
}

static void refuse_nonsense(const struct way *way)
{
    struct isthmus_create_options options = ISTHMUS_CREATE_DEFAULT;
    struct isthmus_draft draft = {.fd = 12345};
    char missing[FIXTURE_PATH_SIZE];

    CHECK_RESULT(isthmus_draft_open(&draft, way->directory, 0, NULL, way->flags), -EINVAL);
    CHECK_RESULT(isthmus_draft_open(&draft, way->directory, UINT64_MAX, NULL, way->flags), -EFBIG);
    CHECK_RESULT(isthmus_draft_open(&draft, way->directory, UINT64_C(1) << 63, NULL, way->flags),
                 -EFBIG);
    options.mode = 01000;
    CHECK_RESULT(isthmus_draft_open(&draft, way->directory, 1, &options, way->flags), -EINVAL);
    new_path(way, missing);
    CHECK_RESULT(isthmus_draft_open(&draft, missing, 1, NULL, way->flags), -ENOENT);
    CHECK_INT(draft.fd, 12345);
}

static void sizes_modes_and_places_that_cannot_be_are_refused(void)
{
    both_ways(refuse_nonsense);
}

static void a_directory_whose_name_is_too_long_is_refused_by_the_fallback(void)
{
    struct isthmus_draft draft;
    char directory[400];
    memset(directory, 'x', sizeof directory - 1);
    directory[sizeof directory - 1] = '\0';
    CHECK_RESULT(isthmus_draft_open(&draft, directory, 1, NULL, ISTHMUS_DRAFT_NAMED),
                 -ENAMETOOLONG);
}

static void be_denied(void *argument)
{
    const struct way *way = argument;
    struct isthmus_create_options options = ISTHMUS_CREATE_DEFAULT;
    struct isthmus_draft draft;
    fixture_drop_privileges();
    options.owner = 0;
    CHECK_RESULT(isthmus_draft_open(&draft, way->directory, 1, &options, way->flags), -EPERM);
    options.owner = ISTHMUS_ID_UNCHANGED;
    options.group = 0;
    CHECK_RESULT(isthmus_draft_open(&draft, way->directory, 1, &options, way->flags), -EPERM);
}

static void give_away(const struct way *way)
{
    struct isthmus_create_options options = {0640, FIXTURE_NOBODY, FIXTURE_NOBODY};
    struct isthmus_draft draft;
    struct stat found;
    CHECK_OK(isthmus_draft_open(&draft, way->directory, 1, &options, way->flags));
    CHECK_INT(fstat(draft.fd, &found), 0);
    CHECK_UINT(found.st_uid, FIXTURE_NOBODY);
    CHECK_UINT(found.st_gid, FIXTURE_NOBODY);
    CHECK_UINT(found.st_mode & 07777, 0640);
    isthmus_draft_abandon(&draft);

    struct way denied = *way;
    CHECK_INT(chmod(denied.directory, 0777), 0);
    CHECK_INT(check_in_child(be_denied, &denied), 0);
}

static void owner_and_group_are_set_or_refused_and_nothing_is_left(void)
{
    if (geteuid() != 0)
        check_skip("only root can give objects away", 0);
    both_ways(give_away);
}

static void a_named_draft_is_locked_while_it_is_made_and_not_afterwards(void)
{
    struct way way = {.flags = ISTHMUS_DRAFT_NAMED};
    struct isthmus_draft draft;
    char path[FIXTURE_PATH_SIZE];

    fixture_directory(way.directory);
    new_path(&way, path);
    CHECK_OK(isthmus_draft_open(&draft, way.directory, 1, NULL, way.flags));
    int other = open(draft.temporary, O_RDWR | O_CLOEXEC);
    CHECK(other >= 0);
    CHECK(!unlocked(other));
    reserve_all(&draft);
    CHECK_OK(isthmus_draft_publish(&draft, path));
    CHECK(unlocked(other));
    CHECK_INT(close(other), 0);
    CHECK_OK(isthmus_os_close(draft.fd));
    CHECK_INT(unlink(path), 0);
    CHECK_INT(rmdir(way.directory), 0);
}

static void grow(const struct way *way)
{
    struct isthmus_draft draft;
    struct stat found;
    uint64_t step = 4096;
    uint64_t reserved = 5000;

    CHECK_OK(isthmus_draft_open(&draft, way->directory, 5000, NULL, way->flags));
    reserve_all(&draft);
    CHECK_OK(isthmus_draft_reserve_more(draft.fd, &reserved, 100000, &step));
    CHECK_UINT(reserved, 100000);
    CHECK_INT(fstat(draft.fd, &found), 0);
    CHECK_INT(found.st_size, 100000);
    CHECK(found.st_blocks * 512 >= 100000);
    /* Smaller than what is there already: nothing to do, and nothing done. */
    CHECK_OK(isthmus_draft_reserve_more(draft.fd, &reserved, 10, &step));
    CHECK_UINT(reserved, 100000);
    isthmus_draft_abandon(&draft);
}

static void a_file_grows_with_every_page_allocated(void)
{
    both_ways(grow);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int signal)
{
    (void)signal;
    alarms++;
}

static void set_timer(suseconds_t microseconds)
{
    const struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    CHECK_INT(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static void reserve_under_fire(const struct way *way)
{
    struct isthmus_draft draft;
    struct stat found;
    unsigned interrupted = 0;
    int error;

    CHECK_OK(isthmus_draft_open(&draft, way->directory, 64 * MIB, NULL, way->flags));
    set_timer(300);
    for (;;) {
        const uint64_t before = draft.reserved;
        error = isthmus_draft_reserve(&draft);
        CHECK(draft.reserved >= before);
        if (error != -EINTR)
            break;
        interrupted++;
        CHECK(draft.reserved < draft.size);
        /* Even if every step were hit a few times there would not be that many. */
        CHECK(interrupted < 100000);
    }
    set_timer(0);
    CHECK_OK(error);
    /* Newer kernels do not interrupt it; test_interference does so on every kernel. */
    printf("       %u signals, %u interruptions\n", (unsigned)alarms, interrupted);
    CHECK(alarms > 0);
    CHECK_UINT(draft.reserved, 64 * MIB);
    CHECK_INT(fstat(draft.fd, &found), 0);
    CHECK_INT(found.st_size, 64 * (int64_t)MIB);
    CHECK(found.st_blocks * 512 >= 64 * (int64_t)MIB);
    isthmus_draft_abandon(&draft);
}

static void reserving_makes_progress_under_a_fast_interval_timer(void)
{
    const struct sigaction action = {.sa_handler = count_alarm};
    CHECK_INT(sigaction(SIGALRM, &action, NULL), 0);
    both_ways(reserve_under_fire);
}

static void fill_up(const struct way *way)
{
    const uint64_t before = fixture_free_bytes();
    struct isthmus_draft draft;

    CHECK_OK(isthmus_draft_open(&draft, way->directory, 2 * MIB, NULL, way->flags));
    CHECK_RESULT(isthmus_draft_reserve(&draft), -ENOSPC);
    /* Asked before, so that nothing was taken from others on the way. */
    CHECK_UINT(draft.reserved, 0);
    CHECK_UINT(fixture_free_bytes(), before);
    isthmus_draft_abandon(&draft);

    /* What fits to the byte fits; not one page more; and all comes back. */
    CHECK_OK(isthmus_draft_open(&draft, way->directory, before, NULL, way->flags));
    reserve_all(&draft);
    CHECK_UINT(fixture_free_bytes(), 0);
    uint64_t reserved = before, step = MIB;
    CHECK_RESULT(isthmus_draft_reserve_more(draft.fd, &reserved, before + 1, &step), -ENOSPC);
    CHECK_UINT(reserved, before);
    isthmus_draft_abandon(&draft);
    CHECK_UINT(fixture_free_bytes(), before);
}

static void a_full_file_system_is_ENOSPC_and_all_pages_come_back(void)
{
    int error = fixture_private_shm("1m");
    if (error)
        check_skip("no file system of its own for this test", error);
    both_ways(fill_up);
}

static const struct check_test tests[] = {
    CHECK_TEST(a_draft_is_found_by_nobody_until_it_is_published_complete),
    CHECK_TEST(the_mode_is_exact_whatever_the_umask),
    CHECK_TEST(a_taken_name_is_EEXIST_and_the_draft_may_take_another),
    CHECK_TEST(an_abandoned_draft_leaves_nothing_and_may_be_abandoned_again),
    CHECK_TEST(sizes_modes_and_places_that_cannot_be_are_refused),
    CHECK_TEST(a_directory_whose_name_is_too_long_is_refused_by_the_fallback),
    CHECK_TEST(owner_and_group_are_set_or_refused_and_nothing_is_left),
    CHECK_TEST(a_named_draft_is_locked_while_it_is_made_and_not_afterwards),
    CHECK_TEST(a_file_grows_with_every_page_allocated),
    CHECK_TEST(reserving_makes_progress_under_a_fast_interval_timer),
    CHECK_TEST(a_full_file_system_is_ENOSPC_and_all_pages_come_back),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
