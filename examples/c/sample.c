/*
 * The classic first program with POSIX shared memory, in nothing but POSIX calls.
 *
 * A parent makes a segment of one page that everybody may read and write, maps it
 * and starts a child; the child stores a number at its start and exits; the parent
 * waits for it, prints what it finds there, unmaps and unlinks.
 *
 *     sample [--name NAME]                       both halves, by fork()
 *     sample parent NAME -- COMMAND [ARG ...]    the parent's half; COMMAND is the child
 *     sample child NAME                          the child's half, in a process of its own
 *
 * Since the child may as well be another program, in another language, each half
 * can be had alone. Exit status: 0, or 1 with a message; 2 for wrong usage.
 * Whatever goes wrong, the parent removes the segment.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_NAME "sample"
#define VALUE 0xdbeebeeUL

static int complain(const char *action, const char *name)
{
    fprintf(stderr, "sample: cannot %s %s: %s\n", action, name, strerror(errno));
    return -1;
}

/* The system wants a leading slash, people leave it out. */
static int slashed(const char *name, char with_slash[NAME_MAX + 2])
{
    const int length = snprintf(with_slash, NAME_MAX + 2, "%s%s", *name == '/' ? "" : "/", name);
    if (length > 1 && length < NAME_MAX + 2 && !strchr(with_slash + 1, '/'))
        return 0;
    fprintf(stderr, "sample: not a name for shared memory: %s\n", name);
    return -1;
}

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- The child's half --------------------------------------------------------- */

static int store(void *memory)
{
    *(volatile unsigned long *)memory = VALUE;
    return 0;
}

static int child(const char *name)
{
    char posix_name[NAME_MAX + 2];
    struct stat found;

    if (slashed(name, posix_name))
        return -1;
    const int fd = shm_open(posix_name, O_RDWR, 0);
    if (fd < 0)
        return complain("attach to", posix_name);

    void *memory = MAP_FAILED;
    if (fstat(fd, &found))
        complain("look at", posix_name);
    else if (found.st_size < (off_t)sizeof(unsigned long))
        fprintf(stderr, "sample: %s has %lld bytes, too few for a number\n", posix_name,
                (long long)found.st_size);
    else if ((memory = mmap(NULL, sizeof(unsigned long), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                            0)) == MAP_FAILED)
        complain("map", posix_name);
    close(fd); /* the mapping needs it no longer */
    if (memory == MAP_FAILED)
        return -1;
    store(memory);
    munmap(memory, sizeof(unsigned long));
    return 0;
}

/* ---- The parent's half -------------------------------------------------------- */

/* A new segment of one page with mode 0666 exactly, mapped; NULL when that failed. */
static void *create(const char *posix_name)
{
    const int fd = shm_open(posix_name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
        complain("create", posix_name);
        return NULL;
    }
    /*
     * The mode goes through the umask in shm_open(), here it does not. The page is
     * allocated now: if memory is short, that is an error here and not a SIGBUS later.
     */
    void *memory = MAP_FAILED;
    if (ftruncate(fd, (off_t)page_size()) ||
        (errno = posix_fallocate(fd, 0, (off_t)page_size())) != 0)
        complain("make room for", posix_name);
    else if (fchmod(fd, 0666))
        complain("set the mode of", posix_name);
    else if ((memory = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) ==
             MAP_FAILED)
        complain("map", posix_name);
    close(fd);
    if (memory != MAP_FAILED)
        return memory;
    shm_unlink(posix_name);
    return NULL;
}

/* What run_child() waits for: the child's end, or that somebody ends us. */
static void waited_for(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGCHLD);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGTERM);
}

static void ignore_signal(int signal)
{
    (void)signal;
}

static int judge(int status)
{
    if (WIFSIGNALED(status))
        fprintf(stderr, "sample: the child was ended by signal %d\n", WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        fprintf(stderr, "sample: the child failed with status %d\n", WEXITSTATUS(status));
    else
        return 0;
    return -1;
}

/*
 * The signals are blocked and fetched, so that one which ends us (Ctrl-C) leads
 * back to the caller, who removes the segment.
 */
static int wait_for(pid_t pid, const sigset_t *signals)
{
    int status, received = SIGCHLD;

    for (;;) {
        const pid_t done = waitpid(pid, &status, received == SIGCHLD ? WNOHANG : 0);
        if (done < 0 && errno != EINTR)
            return complain("wait for", "the child");
        if (done > 0)
            break;
        if (done == 0 && (errno = sigwait(signals, &received)) != 0)
            return complain("wait for", "a signal");
        if (received != SIGCHLD)
            kill(pid, SIGKILL);
    }
    if (received == SIGCHLD)
        return judge(status);
    fprintf(stderr, "sample: ended by signal %d\n", received);
    return -1;
}

/* Start the child (COMMAND, or our own half when there is none) and wait for it. */
static int run_child(void *memory, char **command, const sigset_t *signals)
{
    fflush(NULL); /* else the child would print again what is still in the buffers */
    const pid_t pid = fork();
    if (pid < 0)
        return complain("start", "the child");
    if (pid == 0) {
        sigprocmask(SIG_UNBLOCK, signals, NULL);
        if (!command)
            _exit(store(memory));
        execvp(command[0], command);
        complain("run", command[0]);
        _exit(127);
    }
    return wait_for(pid, signals);
}

static int with_segment(const char *posix_name, char **command, const sigset_t *signals)
{
    void *memory = create(posix_name);
    if (!memory)
        return -1;
    int result = run_child(memory, command, signals);
    if (!result)
        printf("child wrote %#lx\n", *(volatile unsigned long *)memory);
    if (munmap(memory, page_size()))
        result = complain("unmap", posix_name);
    if (shm_unlink(posix_name))
        result = complain("unlink", posix_name);
    return result;
}

static int parent(const char *name, char **command)
{
    /* Without a handler a system may drop SIGCHLD although it is blocked. */
    const struct sigaction action = {.sa_handler = ignore_signal};
    char posix_name[NAME_MAX + 2];
    sigset_t signals;

    if (slashed(name, posix_name))
        return -1;
    waited_for(&signals);
    if (sigaction(SIGCHLD, &action, NULL) || sigprocmask(SIG_BLOCK, &signals, NULL))
        return complain("block", "signals");
    const int result = with_segment(posix_name, command, &signals);
    /* One that came in between ends us here, when nothing is left to remove. */
    sigprocmask(SIG_UNBLOCK, &signals, NULL);
    return result;
}

static int usage(void)
{
    fputs("usage: sample [--name NAME]\n"
          "       sample parent NAME -- COMMAND [ARG ...]\n"
          "       sample child NAME\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    int result;

    if (argc == 1)
        result = parent(DEFAULT_NAME, NULL);
    else if (argc == 3 && !strcmp(argv[1], "--name"))
        result = parent(argv[2], NULL);
    else if (argc == 3 && !strcmp(argv[1], "child"))
        result = child(argv[2]);
    else if (argc >= 5 && !strcmp(argv[1], "parent") && !strcmp(argv[3], "--"))
        result = parent(argv[2], argv + 4);
    else
        return usage();
    /* What was printed must have arrived, too: a full disk is an error like any other. */
    if (fflush(stdout))
        result = complain("write to", "standard output");
    return result ? 1 : 0;
}
