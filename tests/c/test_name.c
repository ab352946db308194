/* Names: which are legal, and how users' names become file names and back. */
#include "check.h"
#include <errno.h>
#include <isthmus/isthmus.h>
#include <string.h>

/* `length` times `byte`, terminated, in a buffer that holds any test's name. */
static const char *repeat(char byte, size_t length)
{
    static char text[2 * ISTHMUS_NAME_MAX];
    memset(text, byte, length);
    text[length] = '\0';
    return text;
}

static void plain_names_are_legal_with_and_without_a_slash(void)
{
    CHECK_OK(isthmus_name_check("sample"));
    CHECK_OK(isthmus_name_check("/sample"));
    CHECK_OK(isthmus_name_check("..."));
    CHECK_OK(isthmus_name_check(".hidden"));
    CHECK_OK(isthmus_name_check("two words, \xc3\xa4 and \t"));
}

static void names_that_are_no_file_names_are_invalid(void)
{
    static const char *const bad[] = {"", "/", ".", "..", "/.", "/..", "//", "a/b", "/a/b", "a/"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_RESULT(isthmus_name_check(bad[i]), -EINVAL);
}

static void the_longest_name_has_255_bytes_the_slash_not_counted(void)
{
    CHECK_OK(isthmus_name_check(repeat('x', ISTHMUS_NAME_MAX)));
    CHECK_RESULT(isthmus_name_check(repeat('x', ISTHMUS_NAME_MAX + 1)), -ENAMETOOLONG);

    char name[ISTHMUS_NAME_MAX + 2] = "/";
    memcpy(name + 1, repeat('x', ISTHMUS_NAME_MAX), ISTHMUS_NAME_MAX + 1);
    CHECK_OK(isthmus_name_check(name));
}

static void escaping_puts_the_prefix_and_replaces_what_no_file_name_can_hold(void)
{
    char escaped[ISTHMUS_NAME_MAX + 1];
    CHECK_OK(isthmus_name_escape("camera", escaped));
    CHECK_TEXT(escaped, "isthmus.camera");
    CHECK_OK(isthmus_name_escape("camera/front", escaped));
    CHECK_TEXT(escaped, "isthmus.camera%2Ffront");
    CHECK_OK(isthmus_name_escape("100%\n\x7f", escaped));
    CHECK_TEXT(escaped, "isthmus.100%25%0A%7F");
    CHECK_OK(isthmus_name_escape("\xc3\xa4 b..", escaped));
    CHECK_TEXT(escaped, "isthmus.\xc3\xa4 b..");
    CHECK_OK(isthmus_name_escape("..", escaped));
    CHECK_TEXT(escaped, "isthmus...");
}

static void every_byte_comes_back_from_its_escaped_form(void)
{
    for (unsigned byte = 1; byte < 256; byte++) {
        const char name[] = {'a', (char)(unsigned char)byte, 'F', '\0'};
        char escaped[ISTHMUS_NAME_MAX + 1], back[ISTHMUS_NAME_MAX + 1];
        CHECK_OK(isthmus_name_escape(name, escaped));
        CHECK_OK(isthmus_name_check(escaped));
        CHECK_OK(isthmus_name_unescape(escaped, back));
        CHECK_TEXT(back, name);
    }
}

static void random_names_come_back_or_are_too_long(void)
{
    uint64_t state = 1;
    for (int round = 0; round < 20000; round++) {
        char name[ISTHMUS_NAME_MAX + 1], escaped[ISTHMUS_NAME_MAX + 1], back[ISTHMUS_NAME_MAX + 1];
        size_t needed = strlen(ISTHMUS_NAME_PREFIX);
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        const size_t length = 1 + (state >> 33) % (ISTHMUS_NAME_MAX - 1);
        for (size_t i = 0; i < length; i++) {
            state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
            const unsigned byte = 1 + (unsigned)(state >> 33) % 255;
            name[i] = (char)(unsigned char)byte;
            needed += byte < 0x20 || byte == 0x7f || byte == '/' || byte == '%' ? 3 : 1;
        }
        name[length] = '\0';
        if (needed > ISTHMUS_NAME_MAX) {
            CHECK_RESULT(isthmus_name_escape(name, escaped), -ENAMETOOLONG);
            continue;
        }
        CHECK_OK(isthmus_name_escape(name, escaped));
        CHECK_UINT(strlen(escaped), needed);
        CHECK_OK(isthmus_name_unescape(escaped, back));
        CHECK_TEXT(back, name);
    }
}

static void the_limit_counts_escaped_bytes(void)
{
    const size_t room = ISTHMUS_NAME_MAX - strlen(ISTHMUS_NAME_PREFIX);
    char escaped[ISTHMUS_NAME_MAX + 1];
    CHECK_OK(isthmus_name_escape(repeat('x', room), escaped));
    CHECK_UINT(strlen(escaped), ISTHMUS_NAME_MAX);
    CHECK_RESULT(isthmus_name_escape(repeat('x', room + 1), escaped), -ENAMETOOLONG);
    CHECK_OK(isthmus_name_escape(repeat('/', room / 3), escaped));
    CHECK_RESULT(isthmus_name_escape(repeat('/', room / 3 + 1), escaped), -ENAMETOOLONG);
}

static void a_failed_escape_leaves_the_result_alone(void)
{
    char escaped[ISTHMUS_NAME_MAX + 1] = "untouched";
    CHECK_RESULT(isthmus_name_escape("", escaped), -EINVAL);
    CHECK_RESULT(isthmus_name_escape(repeat('%', 200), escaped), -ENAMETOOLONG);
    CHECK_RESULT(isthmus_name_unescape("isthmus.%", escaped), -EINVAL);
    CHECK_TEXT(escaped, "untouched");
}

static void only_what_escaping_makes_can_be_unescaped(void)
{
    static const char *const bad[] = {
        "",
        "isthmus.",       /* no name */
        "isthmus",        /* no prefix */
        "Isthmus.a",      /* another prefix */
        "sample",         /* a raw segment */
        "isthmus.%2f",    /* small digits: a second spelling of '/' */
        "isthmus.%41",    /* 'A' needs no escape */
        "isthmus.%E4",    /* nor does a byte above 0x7e */
        "isthmus.%00",    /* no name contains NUL */
        "isthmus.%",      /* cut off */
        "isthmus.%2",     /* cut off */
        "isthmus.%G0",    /* no digit */
        "isthmus.%2G",    /* no digit */
        "isthmus.a/b",    /* must be escaped */
        "isthmus.a\nb",   /* must be escaped */
        "isthmus.%25%2",  /* good, then cut off */
        "/isthmus.a",     /* the slash is no part of it */
        ".isthmus-draft", /* a draft is no object */
    };
    char name[ISTHMUS_NAME_MAX + 1];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_RESULT(isthmus_name_unescape(bad[i], name), -EINVAL);

    char longest[ISTHMUS_NAME_MAX + 2] = ISTHMUS_NAME_PREFIX;
    const size_t prefix = strlen(longest);
    memset(longest + prefix, 'x', ISTHMUS_NAME_MAX - prefix);
    CHECK_OK(isthmus_name_unescape(longest, name));
    longest[ISTHMUS_NAME_MAX] = 'x';
    CHECK_RESULT(isthmus_name_unescape(longest, name), -EINVAL);
}

static const struct check_test tests[] = {
    CHECK_TEST(plain_names_are_legal_with_and_without_a_slash),
    CHECK_TEST(names_that_are_no_file_names_are_invalid),
    CHECK_TEST(the_longest_name_has_255_bytes_the_slash_not_counted),
    CHECK_TEST(escaping_puts_the_prefix_and_replaces_what_no_file_name_can_hold),
    CHECK_TEST(every_byte_comes_back_from_its_escaped_form),
    CHECK_TEST(random_names_come_back_or_are_too_long),
    CHECK_TEST(the_limit_counts_escaped_bytes),
    CHECK_TEST(a_failed_escape_leaves_the_result_alone),
    CHECK_TEST(only_what_escaping_makes_can_be_unescaped),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
