/* Raw segments: making, attaching, refusing and removing them. */
#include "check.h"
#include "fixture.h"
#include <errno.h>
#include <fcntl.h>
#include <isthmus/isthmus.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Nobody may touch a result that a failed call was to fill in. */
static const struct isthmus_segment untouched = {.data = NULL, .size = 4711, .fd = -7};

static void check_untouched(const struct isthmus_segment *segment)
{
    CHECK(segment->data == NULL);
    CHECK_UINT(segment->size, 4711);
    CHECK_INT(segment->fd, -7);
}

static void check_attach(const char *name, const struct isthmus_attach_options *options,
                         int expected)
{
    struct isthmus_segment segment = untouched;
    CHECK_RESULT(isthmus_segment_attach(&segment, name, options), expected);
    if (expected)
        check_untouched(&segment);
    else
        isthmus_segment_close(&segment);
}

static void make_and_close(const char *name, uint32_t mode)
{
    struct isthmus_create_options options = ISTHMUS_CREATE_DEFAULT;
    struct isthmus_segment segment;
    options.mode = mode;
    CHECK_OK(isthmus_segment_create(&segment, name, 4096, &options));
    isthmus_segment_close(&segment);
}

static void a_new_segment_is_zero_reserved_and_as_large_as_asked(void)
{
    char name[FIXTURE_NAME_SIZE];
    struct isthmus_segment segment;
    struct stat found;

    fixture_name(name);
    CHECK_OK(isthmus_segment_create(&segment, name, 12345, NULL));
    CHECK_UINT(segment.size, 12345);
    CHECK_INT(segment.readonly, 0);
    for (size_t i = 0; i < segment.size; i++)
        CHECK_INT(((const char *)segment.data)[i], 0);
    CHECK_INT(fstat(segment.fd, &found), 0);
    CHECK_INT(found.st_size, 12345);
    CHECK(found.st_blocks * 512 >= 12345);
    CHECK_UINT(found.st_uid, geteuid());
    CHECK_UINT(found.st_mode & 07777, 0600);
    CHECK(fcntl(segment.fd, F_GETFD) & FD_CLOEXEC);
    CHECK_OK(isthmus_segment_unlink(&segment, name));
    isthmus_segment_close(&segment);
}

static void other_programs_find_it_by_shm_open_and_the_reverse(void)
{
    char name[FIXTURE_NAME_SIZE + 1] = "/";
    struct isthmus_segment segment;

    fixture_name(name + 1);
    CHECK_OK(isthmus_segment_create(&segment, name, 4096, NULL));
    memcpy(segment.data, "here", 5);
    int fd = shm_open(name, O_RDONLY, 0);
    CHECK(fd >= 0);
    char text[5];
    CHECK_INT(pread(fd, text, sizeof text, 0), sizeof text);
    CHECK_TEXT(text, "here");
    CHECK_INT(close(fd), 0);
    CHECK_OK(isthmus_segment_unlink(&segment, name + 1));
    isthmus_segment_close(&segment);

    fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0);
    CHECK_INT(pwrite(fd, "there", 6, 0), 6);
    CHECK_INT(close(fd), 0);
    CHECK_OK(isthmus_segment_attach(&segment, name, NULL));
    CHECK_UINT(segment.size, 6);
    CHECK_TEXT(segment.data, "there");
    CHECK_OK(isthmus_segment_unlink(&segment, name));
    isthmus_segment_close(&segment);
}

static void the_mode_is_exact_despite_the_umask(void)
{
    char name[FIXTURE_NAME_SIZE];
    struct isthmus_create_options options = ISTHMUS_CREATE_DEFAULT;
    struct isthmus_segment segment;
    struct stat found;

    umask(0777);
    fixture_name(name);
    options.mode = 0666;
    CHECK_OK(isthmus_segment_create(&segment, name, 1, &options));
    CHECK_INT(fstat(segment.fd, &found), 0);
    CHECK_UINT(found.st_mode & 07777, 0666);
    CHECK_OK(isthmus_segment_unlink(&segment, name));
    isthmus_segment_close(&segment);
}

static void a_taken_name_is_EEXIST_and_the_first_stays_as_it_was(void)
{
    char name[FIXTURE_NAME_SIZE];
    struct isthmus_segment first, second = untouched;

    fixture_name(name);
    CHECK_OK(isthmus_segment_create(&first, name, 4096, NULL));
    memcpy(first.data, "mine", 5);
    CHECK_RESULT(isthmus_segment_create(&second, name, 8192, NULL), -EEXIST);
    check_untouched(&second);
    CHECK_OK(isthmus_segment_attach(&second, name, NULL));
    CHECK_UINT(second.size, 4096);
    CHECK_TEXT(second.data, "mine");
    isthmus_segment_close(&second);
    CHECK_OK(isthmus_segment_unlink(&first, name));
    isthmus_segment_close(&first);
}

static void nonsense_is_refused_and_leaves_nothing(void)
{
    char name[FIXTURE_NAME_SIZE], path[FIXTURE_PATH_SIZE];
    struct isthmus_create_options options = ISTHMUS_CREATE_DEFAULT;
    struct isthmus_segment segment = untouched;

    fixture_name(name);
    CHECK_RESULT(isthmus_segment_create(&segment, name, 0, NULL), -EINVAL);
    CHECK_RESULT(isthmus_segment_create(&segment, name, SIZE_MAX, NULL), -EFBIG);
    CHECK_RESULT(isthmus_segment_create(&segment, "a/b", 1, NULL), -EINVAL);
    CHECK_RESULT(isthmus_segment_attach(&segment, "a/b", NULL), -EINVAL);
    CHECK_RESULT(isthmus_segment_attach(&segment, "", NULL), -EINVAL);
    options.mode = 07777;
    CHECK_RESULT(isthmus_segment_create(&segment, name, 1, &options), -EINVAL);
    check_untouched(&segment);
    fixture_path(path, name);
    CHECK_INT(access(path, F_OK), -1);
}

static void both_sides_see_what_the_other_writes(void)
{
    char name[FIXTURE_NAME_SIZE];
    struct isthmus_segment mine, theirs;

    fixture_name(name);
    CHECK_OK(isthmus_segment_create(&mine, name, 4096, NULL));
    CHECK_OK(isthmus_segment_attach(&theirs, name, NULL));
    CHECK(mine.data != theirs.data);
    memcpy(mine.data, "ping", 5);
    CHECK_TEXT(theirs.data, "ping");
    memcpy(theirs.data, "pong", 5);
    CHECK_TEXT(mine.data, "pong");
    CHECK_OK(isthmus_segment_unlink(&mine, name));
    /* The memory lives until its last user is gone, and no newcomer finds it. */
    isthmus_segment_close(&mine);
    CHECK_TEXT(theirs.data, "pong");
    check_attach(name, NULL, -ENOENT);
    isthmus_segment_close(&theirs);
}

static void write_into(void *data)
{
    *(volatile char *)data = 1;
}

static void a_read_only_attach_can_neither_write_nor_unlink(void)
{
    char name[FIXTURE_NAME_SIZE];
    const struct isthmus_attach_options options = {1, ISTHMUS_OWNER_SELF};
    struct isthmus_segment segment, reader;

    fixture_name(name);
    CHECK_OK(isthmus_segment_create(&segment, name, 4096, NULL));
    CHECK_OK(isthmus_segment_attach(&reader, name, &options));
    CHECK_INT(reader.readonly, 1);
    CHECK_INT(fcntl(reader.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    memcpy(segment.data, "news", 5);
    CHECK_TEXT(reader.data, "news");
    CHECK(mprotect(reader.data, 4096, PROT_READ | PROT_WRITE) == -1);
    CHECK(check_in_child(write_into, reader.data) != 0);
    CHECK_TEXT(segment.data, "news");
    CHECK_RESULT(isthmus_segment_unlink(&reader, name), -EPERM);
    isthmus_segment_close(&reader);
    CHECK_OK(isthmus_segment_unlink(&segment, name));
    isthmus_segment_close(&segment);
}

static void closing_twice_is_harmless(void)
{
    char name[FIXTURE_NAME_SIZE];
    struct isthmus_segment segment;

    fixture_name(name);
    CHECK_OK(isthmus_segment_create(&segment, name, 4096, NULL));
    CHECK_OK(isthmus_segment_unlink(&segment, name));
    const int fd = segment.fd;
    isthmus_segment_close(&segment);
    CHECK(segment.data == NULL);
    CHECK_UINT(segment.size, 0);
    CHECK_INT(segment.fd, -1);
    /* Another file may have the number by now; the second close must not hit it. */
    CHECK_INT(dup2(STDERR_FILENO, fd), fd);
    isthmus_segment_close(&segment);
    CHECK(fcntl(fd, F_GETFD) >= 0);
    CHECK_INT(close(fd), 0);
}

static void a_missing_name_is_ENOENT(void)
{
    char name[FIXTURE_NAME_SIZE];
    fixture_name(name);
    check_attach(name, NULL, -ENOENT);
}

static void size_zero_means_not_ready_until_it_has_one(void)
{
    char name[FIXTURE_NAME_SIZE], path[FIXTURE_PATH_SIZE];
    fixture_name(name);
    fixture_path(path, name);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    check_attach(name, NULL, -ISTHMUS_E_NOT_READY);
    CHECK_INT(ftruncate(fd, 10), 0);
    check_attach(name, NULL, 0);
    CHECK_INT(close(fd), 0);
    CHECK_INT(unlink(path), 0);
}

/* Attach both ways to what stands at `path` and is no segment; then remove it. */
static void check_foreign(const char *name, const char *path)
{
    const struct isthmus_attach_options readonly = {1, ISTHMUS_OWNER_ANY};
    check_attach(name, NULL, -ISTHMUS_E_FOREIGN);
    check_attach(name, &readonly, -ISTHMUS_E_FOREIGN);
    CHECK_INT(remove(path), 0);
}

static void links_pipes_directories_and_sockets_are_foreign_and_block_nobody(void)
{
    char name[FIXTURE_NAME_SIZE], path[FIXTURE_PATH_SIZE];
    char target[FIXTURE_NAME_SIZE], target_path[FIXTURE_PATH_SIZE];

    fixture_name(target);
    fixture_path(target_path, target);
    make_and_close(target, 0600);

    fixture_name(name);
    fixture_path(path, name);
    CHECK_INT(symlink(target_path, path), 0);
    check_foreign(name, path);
    CHECK_INT(symlink("nowhere", path), 0);
    check_foreign(name, path);
    CHECK_INT(mkfifo(path, 0600), 0);
    check_foreign(name, path);
    CHECK_INT(mkdir(path, 0700), 0);
    check_foreign(name, path);

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CHECK(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    check_foreign(name, path);
    CHECK_INT(close(fd), 0);

    CHECK_INT(unlink(target_path), 0);
}

static void creating_never_follows_a_link(void)
{
    char name[FIXTURE_NAME_SIZE], path[FIXTURE_PATH_SIZE];
    char target[FIXTURE_NAME_SIZE], target_path[FIXTURE_PATH_SIZE];
    struct isthmus_segment segment = untouched;

    fixture_name(name);
    fixture_path(path, name);
    fixture_name(target);
    fixture_path(target_path, target);
    CHECK_INT(symlink(target_path, path), 0);
    CHECK_RESULT(isthmus_segment_create(&segment, name, 4096, NULL), -EEXIST);
    CHECK_INT(access(target_path, F_OK), -1);
    CHECK_INT(unlink(path), 0);
}

static void unlink_leaves_a_replaced_object_alone(void)
{
    char name[FIXTURE_NAME_SIZE];
    struct isthmus_segment old, new;

    fixture_name(name);
    CHECK_OK(isthmus_segment_create(&old, name, 4096, NULL));
    CHECK_OK(isthmus_segment_unlink(&old, name));
    CHECK_RESULT(isthmus_segment_unlink(&old, name), -ENOENT);
    CHECK_OK(isthmus_segment_create(&new, name, 8192, NULL));
    CHECK_RESULT(isthmus_segment_unlink(&old, name), -ISTHMUS_E_REPLACED);
    check_attach(name, NULL, 0);
    CHECK_OK(isthmus_segment_unlink(&new, name));
    isthmus_segment_close(&old);
    isthmus_segment_close(&new);
}

static void unlink_does_not_follow_a_link_to_the_object(void)
{
    char name[FIXTURE_NAME_SIZE], path[FIXTURE_PATH_SIZE];
    char target[FIXTURE_NAME_SIZE], target_path[FIXTURE_PATH_SIZE];
    struct isthmus_segment segment;

    fixture_name(name);
    fixture_path(path, name);
    fixture_name(target);
    fixture_path(target_path, target);
    CHECK_OK(isthmus_segment_create(&segment, target, 4096, NULL));
    CHECK_INT(symlink(target_path, path), 0);
    CHECK_RESULT(isthmus_segment_unlink(&segment, name), -ISTHMUS_E_REPLACED);
    CHECK_INT(unlink(path), 0);
    CHECK_OK(isthmus_segment_unlink(&segment, target));
    isthmus_segment_close(&segment);
}

/* As another user: one object for everybody, one for nobody else. */
static void make_as_nobody(void *names)
{
    char (*name)[FIXTURE_NAME_SIZE] = names;
    fixture_drop_privileges();
    make_and_close(name[0], 0666);
    make_and_close(name[1], 0600);
}

static void attach_as_nobody(void *names)
{
    char (*name)[FIXTURE_NAME_SIZE] = names;
    const struct isthmus_attach_options any = {0, ISTHMUS_OWNER_ANY};
    const struct isthmus_attach_options root = {0, 0};
    const struct isthmus_attach_options reader = {1, 0};

    fixture_drop_privileges();
    check_attach(name[0], NULL, -ISTHMUS_E_OWNER);
    check_attach(name[0], &any, 0);
    check_attach(name[0], &root, 0);
    check_attach(name[1], &any, -EACCES);
    check_attach(name[1], NULL, -EACCES);
    check_attach(name[2], &root, -EACCES);
    check_attach(name[2], &reader, 0);

    struct isthmus_segment segment;
    CHECK_OK(isthmus_segment_attach(&segment, name[0], &root));
    /* The directory is sticky: who may write to an object may still not remove it. */
    const int error = isthmus_segment_unlink(&segment, name[0]);
    CHECK(error == -EPERM || error == -EACCES);
    isthmus_segment_close(&segment);
}

static void remove_named(const char *name)
{
    char path[FIXTURE_PATH_SIZE];
    fixture_path(path, name);
    CHECK_INT(unlink(path), 0);
}

static void an_object_of_another_user_is_refused_unless_asked_for(void)
{
    char names[3][FIXTURE_NAME_SIZE];
    const struct isthmus_attach_options any = {0, ISTHMUS_OWNER_ANY};
    const struct isthmus_attach_options nobody = {0, FIXTURE_NOBODY};
    const struct isthmus_attach_options other = {0, FIXTURE_NOBODY - 1};

    if (geteuid() != 0)
        check_skip("only root can make objects as another user", 0);
    for (size_t i = 0; i < 3; i++)
        fixture_name(names[i]);
    CHECK_INT(check_in_child(make_as_nobody, names), 0);
    for (size_t i = 0; i < 2; i++) {
        check_attach(names[i], NULL, -ISTHMUS_E_OWNER);
        check_attach(names[i], &other, -ISTHMUS_E_OWNER);
        check_attach(names[i], &nobody, 0);
        check_attach(names[i], &any, 0);
        remove_named(names[i]);
    }
}

static void the_mode_decides_who_else_gets_in(void)
{
    static const uint32_t modes[] = {0666, 0600, 0644};
    char names[3][FIXTURE_NAME_SIZE];

    if (geteuid() != 0)
        check_skip("only root can attach as another user", 0);
    for (size_t i = 0; i < 3; i++) {
        fixture_name(names[i]);
        make_and_close(names[i], modes[i]);
    }
    CHECK_INT(check_in_child(attach_as_nobody, names), 0);
    for (size_t i = 0; i < 3; i++)
        remove_named(names[i]);
}

static void a_full_file_system_is_ENOSPC_and_a_failed_creation_gives_all_back(void)
{
    char name[FIXTURE_NAME_SIZE];
    struct isthmus_segment segment = untouched;

    int error = fixture_private_shm("1m");
    if (error)
        check_skip("no file system of its own for this test", error);
    fixture_name(name);
    const uint64_t room = fixture_free_bytes();
    CHECK_RESULT(isthmus_segment_create(&segment, name, 2u << 20, NULL), -ENOSPC);
    check_untouched(&segment);
    CHECK_UINT(fixture_count(FIXTURE_SHM, ""), 0);
    CHECK_UINT(fixture_free_bytes(), room);

    CHECK_OK(isthmus_segment_create(&segment, name, (size_t)room, NULL));
    memset(segment.data, 1, segment.size); /* no SIGBUS */
    CHECK_UINT(fixture_free_bytes(), 0);
    CHECK_OK(isthmus_segment_unlink(&segment, name));
    isthmus_segment_close(&segment);
    CHECK_UINT(fixture_free_bytes(), room);

    /* A taken name is found out last: then too, all comes back. */
    CHECK_OK(isthmus_segment_create(&segment, name, 4096, NULL));
    const uint64_t left = fixture_free_bytes();
    struct isthmus_segment second = untouched;
    CHECK_RESULT(isthmus_segment_create(&second, name, 4096, NULL), -EEXIST);
    check_untouched(&second);
    CHECK_UINT(fixture_free_bytes(), left);
    CHECK_UINT(fixture_count(FIXTURE_SHM, ""), 1);
    isthmus_segment_close(&segment);
}

static unsigned open_descriptors(void)
{
    return fixture_count("/proc/self/fd", "");
}

static void no_call_leaves_a_descriptor_open_when_it_fails(void)
{
    char name[FIXTURE_NAME_SIZE], path[FIXTURE_PATH_SIZE];
    const struct isthmus_attach_options other = {0, 4711};
    struct isthmus_segment segment = untouched;

    fixture_name(name);
    fixture_path(path, name);
    make_and_close(name, 0600);
    const unsigned before = open_descriptors();
    CHECK_RESULT(isthmus_segment_create(&segment, name, 4096, NULL), -EEXIST);
    check_attach(name, &other, -ISTHMUS_E_OWNER);
    check_attach(name, NULL, 0);
    CHECK_INT(truncate(path, 0), 0);
    check_attach(name, NULL, -ISTHMUS_E_NOT_READY);
    CHECK_UINT(open_descriptors(), before);
    CHECK_INT(unlink(path), 0);
}

static const struct check_test tests[] = {
    CHECK_TEST(a_new_segment_is_zero_reserved_and_as_large_as_asked),
    CHECK_TEST(other_programs_find_it_by_shm_open_and_the_reverse),
    CHECK_TEST(the_mode_is_exact_despite_the_umask),
    CHECK_TEST(a_taken_name_is_EEXIST_and_the_first_stays_as_it_was),
    CHECK_TEST(nonsense_is_refused_and_leaves_nothing),
    CHECK_TEST(both_sides_see_what_the_other_writes),
    CHECK_TEST(a_read_only_attach_can_neither_write_nor_unlink),
    CHECK_TEST(closing_twice_is_harmless),
    CHECK_TEST(a_missing_name_is_ENOENT),
    CHECK_TEST(size_zero_means_not_ready_until_it_has_one),
    CHECK_TEST(links_pipes_directories_and_sockets_are_foreign_and_block_nobody),
    CHECK_TEST(creating_never_follows_a_link),
    CHECK_TEST(unlink_leaves_a_replaced_object_alone),
    CHECK_TEST(unlink_does_not_follow_a_link_to_the_object),
    CHECK_TEST(an_object_of_another_user_is_refused_unless_asked_for),
    CHECK_TEST(the_mode_decides_who_else_gets_in),
    CHECK_TEST(a_full_file_system_is_ENOSPC_and_a_failed_creation_gives_all_back),
    CHECK_TEST(no_call_leaves_a_descriptor_open_when_it_fails),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
