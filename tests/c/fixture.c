#include "fixture.h"

#include "check.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static char tag[32];
static const char *untagged;

void fixture_begin(void)
{
    snprintf(tag, sizeof tag, "ctest-%ld-", (long)getpid());
}

void fixture_name(char name[FIXTURE_NAME_SIZE])
{
    static unsigned counter;
    snprintf(name, FIXTURE_NAME_SIZE, "%s%ld-%u", tag, (long)getpid(), counter++);
}

void fixture_path(char path[FIXTURE_PATH_SIZE], const char *name)
{
    snprintf(path, FIXTURE_PATH_SIZE, "%s/%s", FIXTURE_SHM, name);
}

void fixture_directory(char path[FIXTURE_PATH_SIZE])
{
    char name[FIXTURE_NAME_SIZE];
    fixture_name(name);
    fixture_path(path, name);
    CHECK_INT(mkdir(path, 0700), 0);
    CHECK_INT(chmod(path, 0700), 0); /* a test may have set any umask */
}

/* Call `visit` for each entry of `directory` whose name contains `part`; how many. */
static unsigned each_entry(const char *directory, const char *part, void (*visit)(const char *path))
{
    DIR *entries = opendir(directory);
    if (!entries)
        return 0;
    unsigned found = 0;
    for (struct dirent *entry; (entry = readdir(entries));) {
        char path[FIXTURE_PATH_SIZE];
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
            !strstr(entry->d_name, part))
            continue;
        found++;
        snprintf(path, sizeof path, "%.200s/%s", directory, entry->d_name);
        if (visit)
            visit(path);
    }
    closedir(entries);
    return found;
}

static void remove_file(const char *path)
{
    unlink(path);
}

static void remove_entry(const char *path)
{
    if (unlink(path) && errno == EISDIR) {
        each_entry(path, "", remove_file);
        rmdir(path);
    }
}

static void name_entry(const char *path)
{
    fprintf(stderr, "left behind: %s\n", path);
}

void fixture_sweep_also(const char *path)
{
    untagged = path;
}

unsigned fixture_sweep(int complain)
{
    const int extra = untagged && untagged[0] && access(untagged, F_OK) == 0;
    if (complain) {
        each_entry(FIXTURE_SHM, tag, name_entry);
        if (extra)
            name_entry(untagged);
    }
    if (extra)
        remove_file(untagged);
    return each_entry(FIXTURE_SHM, tag, remove_entry) + (extra ? 1 : 0);
}

unsigned fixture_count(const char *directory, const char *part)
{
    return each_entry(directory, part, NULL);
}

static int write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    ssize_t written = write(fd, text, strlen(text));
    int error = written == (ssize_t)strlen(text) ? 0 : errno;
    close(fd);
    return error;
}

/* Without privileges a mount namespace is to be had inside a user namespace of one's own. */
static int unshare_as_user(void)
{
    const long user = (long)geteuid(), group = (long)getegid();
    char map[64];

    if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
        return errno;
    snprintf(map, sizeof map, "%ld %ld 1", user, user);
    int error = write_text("/proc/self/uid_map", map);
    if (!error)
        error = write_text("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "%ld %ld 1", group, group);
    return error ? error : write_text("/proc/self/gid_map", map);
}

int fixture_private_shm(const char *size)
{
    char options[64];

    if (unshare(CLONE_NEWNS)) {
        int error = errno == EPERM ? unshare_as_user() : errno;
        if (error)
            return error;
    }
    /* Nothing that is mounted from here on may show outside. */
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, ""))
        return errno;
    snprintf(options, sizeof options, "mode=1777,size=%s", size);
    return mount("none", FIXTURE_SHM, "tmpfs", MS_NOSUID | MS_NODEV, options) ? errno : 0;
}

uint64_t fixture_free_bytes(void)
{
    struct statvfs found;
    CHECK_INT(statvfs(FIXTURE_SHM, &found), 0);
    return (uint64_t)found.f_bfree * (uint64_t)found.f_frsize;
}

void fixture_drop_privileges(void)
{
    CHECK_INT(setgroups(0, NULL), 0);
    CHECK_INT(setresgid(FIXTURE_NOBODY, FIXTURE_NOBODY, FIXTURE_NOBODY), 0);
    CHECK_INT(setresuid(FIXTURE_NOBODY, FIXTURE_NOBODY, FIXTURE_NOBODY), 0);
    /* Changing the user makes /proc/self root's; an ordinary process of that user owns its own. */
    prctl(PR_SET_DUMPABLE, 1);
}
