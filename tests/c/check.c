#include "check.h"

#include "fixture.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASSED 0
#define FAILED 1
#define SKIPPED 77
/* Against hanging only: long enough for valgrind on a loaded machine. */
#define TEST_SECONDS 60
#define CHILD_SECONDS 30

static _Noreturn void fail(void)
{
    fflush(NULL);
    /* No atexit handlers: a test that stopped half-way has every right to hold memory. */
    _exit(FAILED);
}

void check_true(const char *file, int line, const char *text, int holds)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: %s does not hold\n", file, line, text);
    fail();
}

void check_int(const char *file, int line, const char *text, int64_t actual, int64_t expected)
{
    if (actual == expected)
        return;
    fprintf(stderr, "%s:%d: %s is %" PRId64 ", not %" PRId64 "\n", file, line, text, actual,
            expected);
    fail();
}

void check_uint(const char *file, int line, const char *text, uint64_t actual, uint64_t expected)
{
    if (actual == expected)
        return;
    fprintf(stderr, "%s:%d: %s is %" PRIu64 " (%#" PRIx64 "), not %" PRIu64 " (%#" PRIx64 ")\n",
            file, line, text, actual, actual, expected, expected);
    fail();
}

void check_text(const char *file, int line, const char *text, const char *actual,
                const char *expected)
{
    if (!strcmp(actual, expected))
        return;
    fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", file, line, text, actual, expected);
    fail();
}

void check_bytes(const char *file, int line, const char *text, const void *actual,
                 const void *expected, size_t size)
{
    const unsigned char *a = actual, *b = expected;
    for (size_t i = 0; i < size; i++) {
        if (a[i] == b[i])
            continue;
        fprintf(stderr, "%s:%d: byte %zu of %s is 0x%02x, not 0x%02x\n", file, line, i, text,
                (unsigned)a[i], (unsigned)b[i]);
        fail();
    }
}

static const char *meaning(int result)
{
    return result < 0 ? strerror(-result) : "success";
}

void check_result(const char *file, int line, const char *text, int actual, int expected)
{
    if (actual == expected)
        return;
    fprintf(stderr, "%s:%d: %s is %d (%s)", file, line, text, actual, meaning(actual));
    fprintf(stderr, ", not %d (%s)\n", expected, meaning(expected));
    fail();
}

void check_skip(const char *reason, int error)
{
    printf("       %s%s%s\n", reason, error ? ": " : "", error ? strerror(error) : "");
    fflush(NULL);
    _exit(SKIPPED);
}

static int wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return FAILED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* A process that ends with its parent and, come what may, after `seconds`. */
static pid_t bounded_fork(unsigned seconds)
{
    fflush(NULL);
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        fail();
    }
    if (child == 0) {
        alarm(seconds);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(FAILED);
    }
    return child;
}

pid_t check_start_child(void (*work)(void *), void *argument)
{
    pid_t child = bounded_fork(CHILD_SECONDS);
    if (child == 0) {
        work(argument);
        fflush(NULL);
        _exit(PASSED);
    }
    return child;
}

int check_join_child(pid_t child)
{
    return wait_for(child);
}

int check_in_child(void (*work)(void *), void *argument)
{
    return wait_for(check_start_child(work, argument));
}

static void print_outcome(const char *outcome, const char *sentence)
{
    printf("%-6s ", outcome);
    for (; *sentence; sentence++)
        putchar(*sentence == '_' ? ' ' : *sentence);
    putchar('\n');
    fflush(stdout);
}

static int run_one(const struct check_test *test)
{
    pid_t child = bounded_fork(TEST_SECONDS);
    if (child == 0) {
        test->run();
        exit(PASSED); /* with atexit handlers: there a sanitizer looks for leaks */
    }
    int outcome = wait_for(child);
    if (outcome < 0)
        fprintf(stderr, "ended by signal %d (%s)\n", -outcome, strsignal(-outcome));
    unsigned left = fixture_sweep(outcome == PASSED);
    return outcome == PASSED && left ? FAILED : outcome;
}

int check_main(const struct check_test *tests, size_t count)
{
    size_t failed = 0, skipped = 0;

    fixture_begin();
    for (size_t i = 0; i < count; i++) {
        int outcome = run_one(&tests[i]);
        failed += outcome != PASSED && outcome != SKIPPED;
        skipped += outcome == SKIPPED;
        print_outcome(outcome == PASSED    ? "ok"
                      : outcome == SKIPPED ? "skip"
                                           : "FAILED",
                      tests[i].sentence);
    }
    printf("%zu passed, %zu failed, %zu skipped\n", count - failed - skipped, failed, skipped);
    if (failed)
        return FAILED;
    return skipped == count ? SKIPPED : PASSED;
}
