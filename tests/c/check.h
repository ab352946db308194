/*
 * Checks and the runner of the C tests. Not assert(): it vanishes under NDEBUG and
 * says neither which values it saw nor in which test.
 *
 * A program lists its tests, functions named as sentences:
 *
 *     static const struct check_test tests[] = {CHECK_TEST(a_new_segment_is_zero), ...};
 *     int main(void) { return check_main(tests, sizeof tests / sizeof tests[0]); }
 *
 * Each runs in a process of its own, which an alarm ends if it hangs, and whatever
 * it left in shared memory is removed afterwards, however it ended; a test that
 * passed and left something has failed. Exit status: 0 all passed, 1 one failed,
 * 77 all were skipped.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct check_test {
    const char *sentence;
    void (*run)(void);
};
#define CHECK_TEST(function) {#function, function}

int check_main(const struct check_test *tests, size_t count);

/* Each compares and, if it does not hold, prints place and values and ends the process with 1. */
#define CHECK(condition) check_true(__FILE__, __LINE__, #condition, (condition) != 0)
#define CHECK_INT(actual, expected) check_int(__FILE__, __LINE__, #actual, (actual), (expected))
#define CHECK_UINT(actual, expected) check_uint(__FILE__, __LINE__, #actual, (actual), (expected))
#define CHECK_TEXT(actual, expected) check_text(__FILE__, __LINE__, #actual, (actual), (expected))
#define CHECK_BYTES(actual, expected, size)                                                        \
    check_bytes(__FILE__, __LINE__, #actual, (actual), (expected), (size))
/* Results of the core: 0 or -errno, printed with what they mean. */
#define CHECK_RESULT(actual, expected)                                                             \
    check_result(__FILE__, __LINE__, #actual, (actual), (expected))
#define CHECK_OK(actual) CHECK_RESULT(actual, 0)

void check_true(const char *file, int line, const char *text, int holds);
void check_int(const char *file, int line, const char *text, int64_t actual, int64_t expected);
void check_uint(const char *file, int line, const char *text, uint64_t actual, uint64_t expected);
void check_text(const char *file, int line, const char *text, const char *actual,
                const char *expected);
void check_bytes(const char *file, int line, const char *text, const void *actual,
                 const void *expected, size_t size);
void check_result(const char *file, int line, const char *text, int actual, int expected);

/* End this test, not as a failure, and say why it cannot be done here. */
_Noreturn void check_skip(const char *reason, int error);

/*
 * Run `work` in a child with an alarm of its own; its exit status, or minus the
 * signal that ended it. A check that fails in there makes the status 1.
 */
int check_in_child(void (*work)(void *), void *argument);
/* The same in two steps, so that both go on meanwhile. From the main thread only. */
pid_t check_start_child(void (*work)(void *), void *argument);
int check_join_child(pid_t child);

#endif
