/* What others may do between two steps of the core, and what the system may answer. */
#include "check.h"
#include "draft.h"
#include "fixture.h"
#include "hooks.h"
#include "segment.h"
#include <errno.h>
#include <fcntl.h>
#include <isthmus/isthmus.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* Named drafts carry no tag of ours: where that is permitted, they stay among themselves. */
static void begin_without_unnamed_files(void)
{
    fixture_private_shm("16m");
    hooks_reset();
    hooks->no_unnamed = 1;
}

static void signals_that_cut_every_large_step_cannot_stop_a_reservation(void)
{
    struct isthmus_draft draft;
    unsigned interrupted = 0;
    int error;

    hooks_reset();
    hooks->largest = 64 << 10;
    CHECK_OK(isthmus_draft_open(&draft, FIXTURE_SHM, 3 * MIB + 1, NULL, 0));
    while ((error = isthmus_draft_reserve(&draft)) == -EINTR)
        CHECK(++interrupted < 10);
    CHECK_OK(error);
    CHECK(interrupted > 0);
    CHECK_UINT(draft.reserved, 3 * MIB + 1);
    isthmus_draft_abandon(&draft);
}

static void what_is_reserved_before_a_signal_is_kept(void)
{
    struct isthmus_draft draft;

    hooks_reset();
    CHECK_OK(isthmus_draft_open(&draft, FIXTURE_SHM, 4 * MIB, NULL, 0));
    draft.step = MIB;
    hooks->largest = MIB / 2;
    CHECK_RESULT(isthmus_draft_reserve(&draft), -EINTR);
    CHECK_UINT(draft.reserved, 0);
    CHECK_UINT(draft.step, MIB / 4);
    hooks->largest = 0;
    draft.size = MIB;
    CHECK_OK(isthmus_draft_reserve(&draft));
    draft.size = 4 * MIB;
    hooks->interruptions = 1;
    CHECK_RESULT(isthmus_draft_reserve(&draft), -EINTR);
    CHECK_UINT(draft.reserved, MIB);
    /* At the floor a step does not get shorter, and is simply done again. */
    hooks->interruptions = 50;
    for (int i = 0; i < 50; i++)
        CHECK_RESULT(isthmus_draft_reserve(&draft), -EINTR);
    CHECK(draft.step > 0);
    CHECK_OK(isthmus_draft_reserve(&draft));
    isthmus_draft_abandon(&draft);
}

static void creating_goes_on_after_signals(void)
{
    char name[FIXTURE_NAME_SIZE];
    struct isthmus_segment segment;
    struct stat found;

    hooks_reset();
    hooks->interruptions = 20;
    fixture_name(name);
    CHECK_OK(isthmus_segment_create(&segment, name, 5 * MIB, NULL));
    CHECK_UINT(hooks->interruptions, 0);
    CHECK_INT(fstat(segment.fd, &found), 0);
    CHECK(found.st_blocks * 512 >= 5 * (int64_t)MIB);
    CHECK_OK(isthmus_segment_unlink(&segment, name));
    isthmus_segment_close(&segment);
}

static void without_unnamed_files_everything_goes_by_named_drafts(void)
{
    char name[FIXTURE_NAME_SIZE], path[FIXTURE_PATH_SIZE];
    struct isthmus_segment segment, second;
    struct stat found;

    begin_without_unnamed_files();
    fixture_name(name);
    fixture_path(path, name);
    CHECK_OK(isthmus_segment_create(&segment, name, 4096, NULL));
    CHECK(hooks->draft[0] != '\0');
    CHECK_INT(access(hooks->draft, F_OK), -1);
    CHECK_INT(lstat(path, &found), 0);
    CHECK_UINT(found.st_nlink, 1);
    CHECK_RESULT(isthmus_segment_create(&second, name, 4096, NULL), -EEXIST);
    CHECK_INT(access(hooks->draft, F_OK), -1);
    CHECK_OK(isthmus_segment_unlink(&segment, name));
    isthmus_segment_close(&segment);
}

/* ---- Another process between two steps ------------------------------------------ */

static unsigned tidied, tidy_at_most;
static int hold_lock, held_fd = -1;

/* Whoever tidies up meets a draft that its creator has not marked yet. */
static void tidy_up(unsigned point)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    (void)point;
    if (!hooks->draft[0] || tidied == tidy_at_most)
        return;
    int fd = open(hooks->draft, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
        tidied++;
        CHECK_INT(hold_lock || unlink(hooks->draft) == 0, 1);
    }
    if (hold_lock && tidied) {
        if (held_fd >= 0)
            CHECK_INT(close(held_fd), 0);
        held_fd = fd;
        return;
    }
    CHECK_INT(close(fd), 0);
}

static void create_while_tidied(unsigned times, int expected)
{
    char name[FIXTURE_NAME_SIZE];
    struct isthmus_segment segment;

    begin_without_unnamed_files();
    hooks->at_point = tidy_up;
    tidied = 0;
    tidy_at_most = times;
    fixture_name(name);
    CHECK_RESULT(isthmus_segment_create(&segment, name, 4096, NULL), expected);
    hooks->at_point = NULL;
    CHECK(tidied > 0);
    CHECK_INT(access(hooks->draft, F_OK), -1);
    if (expected)
        return;
    CHECK_UINT(tidied, times);
    CHECK_OK(isthmus_segment_unlink(&segment, name));
    isthmus_segment_close(&segment);
}

static void a_draft_tidied_away_before_it_is_marked_is_made_anew(void)
{
    hold_lock = 0;
    create_while_tidied(1, 0);
    create_while_tidied(5, 0);
}

static void a_draft_that_the_tidier_is_about_to_remove_is_left_to_it(void)
{
    hold_lock = 1;
    create_while_tidied(1, 0);
}

static void a_tidier_that_takes_every_draft_makes_an_error_not_a_loop(void)
{
    hold_lock = 0;
    create_while_tidied(1000, -EAGAIN);
}

static char rival_path[FIXTURE_PATH_SIZE];

/* Another creator publishes first, at the last moment at which it can. */
static void be_first(unsigned point)
{
    (void)point;
    int fd = open(rival_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        CHECK_INT(ftruncate(fd, 1), 0);
        CHECK_INT(close(fd), 0);
    }
}

static void of_two_creators_one_gets_EEXIST_and_leaves_nothing(void)
{
    for (int fallback = 0; fallback < 2; fallback++) {
        char name[FIXTURE_NAME_SIZE];
        struct isthmus_segment segment;
        hooks_reset();
        fixture_name(name);
        fixture_path(rival_path, name);
        hooks->no_unnamed = fallback;
        hooks->at_point = be_first;
        CHECK_RESULT(isthmus_segment_create(&segment, name, 4096, NULL), -EEXIST);
        hooks->at_point = NULL;
        CHECK_INT(hooks->draft[0] != '\0', fallback);
        CHECK_INT(access(hooks->draft, F_OK), -1);
        CHECK_OK(isthmus_segment_attach(&segment, name, NULL));
        CHECK_UINT(segment.size, 1);
        CHECK_OK(isthmus_segment_unlink(&segment, name));
        isthmus_segment_close(&segment);
    }
}

static int filler = -1;

/* Others take all room, after we looked and before we allocate: the file is open by then. */
static void take_all_room(unsigned point)
{
    static const unsigned opened_and_mode_set = 4;
    if (filler >= 0 || point <= opened_and_mode_set)
        return;
    filler = open(FIXTURE_SHM, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CHECK(filler >= 0);
    CHECK_INT(posix_fallocate(filler, 0, (off_t)(fixture_free_bytes() - 4096)), 0);
}

static void a_file_system_that_fills_up_meanwhile_is_ENOSPC_and_all_comes_back(void)
{
    struct isthmus_segment segment;
    int error = fixture_private_shm("1m");
    if (error)
        check_skip("no file system of its own for this test", error);
    hooks_reset();
    const uint64_t before = fixture_free_bytes();
    hooks->at_point = take_all_room;
    CHECK_RESULT(isthmus_segment_create(&segment, "a", 65536, NULL), -ENOSPC);
    hooks->at_point = NULL;
    CHECK(filler >= 0);
    CHECK_UINT(fixture_free_bytes(), 4096);
    CHECK_INT(close(filler), 0);
    CHECK_UINT(fixture_free_bytes(), before);
    CHECK_UINT(fixture_count(FIXTURE_SHM, ""), 0);
}

static void what_does_not_fit_takes_nothing_from_others_on_the_way(void)
{
    struct isthmus_segment segment;
    int error = fixture_private_shm("1m");
    if (error)
        check_skip("no file system of its own for this test", error);
    hooks_reset();
    CHECK_RESULT(isthmus_segment_create(&segment, "a", 2u << 20, NULL), -ENOSPC);
    CHECK_UINT(hooks->reservations, 0);
}

static void huge_pages_are_unmapped_whole_and_nothing_beyond_them(void)
{
    static const size_t huge = 2u << 20;
    void *data = mmap(NULL, 3 * huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(data != MAP_FAILED);
    hooks_reset();
    hooks->page = huge;
    CHECK_OK(isthmus_os_unmap(data, huge + 4096));
    CHECK_UINT(hooks->unmapped, 2 * huge);
    hooks->page = 0;
    /* The rest is there, and only the rest. */
    CHECK_INT(msync((char *)data + 2 * huge, huge, MS_ASYNC), 0);
    CHECK_INT(msync(data, 2 * huge, MS_ASYNC), -1);
    CHECK_INT(errno, ENOMEM);
    CHECK_OK(isthmus_os_unmap((char *)data + 2 * huge, huge));
}

static const struct check_test tests[] = {
    CHECK_TEST(signals_that_cut_every_large_step_cannot_stop_a_reservation),
    CHECK_TEST(what_is_reserved_before_a_signal_is_kept),
    CHECK_TEST(creating_goes_on_after_signals),
    CHECK_TEST(without_unnamed_files_everything_goes_by_named_drafts),
    CHECK_TEST(a_draft_tidied_away_before_it_is_marked_is_made_anew),
    CHECK_TEST(a_draft_that_the_tidier_is_about_to_remove_is_left_to_it),
    CHECK_TEST(a_tidier_that_takes_every_draft_makes_an_error_not_a_loop),
    CHECK_TEST(of_two_creators_one_gets_EEXIST_and_leaves_nothing),
    CHECK_TEST(a_file_system_that_fills_up_meanwhile_is_ENOSPC_and_all_comes_back),
    CHECK_TEST(what_does_not_fit_takes_nothing_from_others_on_the_way),
    CHECK_TEST(huge_pages_are_unmapped_whole_and_nothing_beyond_them),
};

int main(void)
{
    /* Drafts have names of their own choice: one that a failed test left must go, too. */
    hooks_reset();
    fixture_sweep_also(hooks->draft);
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
