/* The header: what is written, and that every way to be wrong has its own error. */
#include "header.h"

#include "check.h"
#include <errno.h>
#include <isthmus/isthmus.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TOTAL 4096u

/* A sound object of TOTAL bytes: header, table of two slots, control block, data. */
static struct isthmus_shared_header *new_object(void)
{
    const struct isthmus_shared_header plan = {
        .kind = ISTHMUS_KIND_ARRAY,
        .total_size = TOTAL,
        .participants_offset = 256,
        .participants_count = 2,
        .participant_size = 64,
        .control_offset = 384,
        .control_size = 600,
        .data_offset = 1024,
        .data_size = TOTAL - 1024,
    };
    struct isthmus_shared_header *object = calloc(1, TOTAL);
    CHECK(object != NULL);
    isthmus_header_init(object, &plan);
    isthmus_header_publish(object);
    return object;
}

static void check_read(const void *object, size_t mapped, uint32_t kind, int expected)
{
    struct isthmus_shared_header header = {.magic = 4711};
    CHECK_RESULT(isthmus_header_read(object, mapped, kind, &header), expected);
    if (expected)
        CHECK_UINT(header.magic, 4711);
    else
        CHECK_BYTES(&header, object, sizeof header);
}

static void what_is_written_is_what_is_read(void)
{
    struct isthmus_shared_header *object = new_object(), header;
    CHECK_OK(isthmus_header_read(object, TOTAL, ISTHMUS_KIND_ARRAY, &header));
    CHECK_BYTES(&header, "ISTHMUS\n", 8);
    CHECK_UINT(header.version, 1);
    CHECK_UINT(header.kind, ISTHMUS_KIND_ARRAY);
    CHECK_UINT(header.fingerprint, isthmus_layout_fingerprint(ISTHMUS_KIND_ARRAY));
    CHECK_UINT(header.total_size, TOTAL);
    CHECK_UINT(header.creator_pid, (uint64_t)getpid());
    CHECK_UINT(header.creator_uid, geteuid());
    const uint64_t now = (uint64_t)time(NULL);
    CHECK(header.created_ns / 1000000000 <= now + 1);
    CHECK(header.created_ns / 1000000000 + 60 >= now);
    for (size_t i = 0; i < sizeof header.reserved / sizeof header.reserved[0]; i++)
        CHECK_UINT(header.reserved[i], 0);
    check_read(object, TOTAL, ISTHMUS_KIND_ANY, 0);
    free(object);
}

static void an_object_is_not_ready_until_it_is_published(void)
{
    const struct isthmus_shared_header plan = {
        .magic = ISTHMUS_MAGIC, .kind = ISTHMUS_KIND_ARRAY, .total_size = TOTAL};
    struct isthmus_shared_header *object = calloc(1, TOTAL);
    CHECK(object != NULL);
    check_read(object, TOTAL, ISTHMUS_KIND_ANY, -ISTHMUS_E_NOT_READY);
    isthmus_header_init(object, &plan);
    CHECK_UINT(object->magic, 0);
    check_read(object, TOTAL, ISTHMUS_KIND_ANY, -ISTHMUS_E_NOT_READY);
    free(object);
}

static void every_outcome_is_an_errno_value_of_its_own(void)
{
    static const int outcomes[] = {
        ISTHMUS_E_NOT_READY,
        ISTHMUS_E_FOREIGN,
        ISTHMUS_E_VERSION,
        ISTHMUS_E_LAYOUT,
        ISTHMUS_E_KIND,
        ISTHMUS_E_TRUNCATED,
        ISTHMUS_E_CORRUPT,
        ISTHMUS_E_OWNER,
        ISTHMUS_E_REPLACED,
        ENOENT,
        EACCES,
        EEXIST,
        ENOSPC,
        EINVAL,
        EPERM,
        EFBIG,
        ENAMETOOLONG,
        ENOMEM,
    };
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++)
        for (size_t j = 0; j < i; j++)
            CHECK(outcomes[i] != outcomes[j]);
}

static void too_few_bytes_for_a_header_are_foreign(void)
{
    struct isthmus_shared_header *object = new_object();
    /* Exactly so many bytes, that a sanitizer sees a read beyond them. */
    for (size_t mapped = 1; mapped < sizeof *object; mapped++) {
        void *piece = malloc(mapped);
        CHECK(piece != NULL);
        memcpy(piece, object, mapped);
        check_read(piece, mapped, ISTHMUS_KIND_ANY, -ISTHMUS_E_FOREIGN);
        free(piece);
    }
    check_read(object, 0, ISTHMUS_KIND_ANY, -ISTHMUS_E_FOREIGN);
    free(object);
}

static void other_bytes_are_foreign(void)
{
    struct isthmus_shared_header *object = new_object();
    for (unsigned bit = 0; bit < 64; bit++) {
        object->magic = ISTHMUS_MAGIC ^ UINT64_C(1) << bit;
        check_read(object, TOTAL, ISTHMUS_KIND_ANY, -ISTHMUS_E_FOREIGN);
    }
    memset(object, 'x', TOTAL);
    check_read(object, TOTAL, ISTHMUS_KIND_ANY, -ISTHMUS_E_FOREIGN);
    free(object);
}

static void version_kind_and_layout_are_told_apart_in_this_order(void)
{
    struct isthmus_shared_header *object = new_object();
    object->version = 2;
    object->kind = 77;
    object->fingerprint++;
    check_read(object, TOTAL, ISTHMUS_KIND_ARRAY, -ISTHMUS_E_VERSION);
    object->version = 0;
    check_read(object, TOTAL, ISTHMUS_KIND_ARRAY, -ISTHMUS_E_VERSION);
    object->version = ISTHMUS_FORMAT_VERSION;
    check_read(object, TOTAL, ISTHMUS_KIND_ARRAY, -ISTHMUS_E_KIND);
    check_read(object, TOTAL, ISTHMUS_KIND_ANY, -ISTHMUS_E_LAYOUT);
    object->kind = ISTHMUS_KIND_ARRAY;
    check_read(object, TOTAL, ISTHMUS_KIND_ARRAY, -ISTHMUS_E_LAYOUT);
    object->fingerprint--;
    check_read(object, TOTAL, ISTHMUS_KIND_ARRAY, 0);
    free(object);
}

static void a_header_without_a_kind_is_corrupt(void)
{
    struct isthmus_shared_header *object = new_object();
    object->kind = ISTHMUS_KIND_ANY;
    object->fingerprint = isthmus_layout_fingerprint(ISTHMUS_KIND_ANY);
    check_read(object, TOTAL, ISTHMUS_KIND_ANY, -ISTHMUS_E_CORRUPT);
    check_read(object, TOTAL, ISTHMUS_KIND_ARRAY, -ISTHMUS_E_KIND);
    free(object);
}

static void a_segment_shorter_than_its_header_says_is_truncated(void)
{
    struct isthmus_shared_header *object = new_object();
    check_read(object, TOTAL - 1, ISTHMUS_KIND_ANY, -ISTHMUS_E_TRUNCATED);
    check_read(object, sizeof *object, ISTHMUS_KIND_ANY, -ISTHMUS_E_TRUNCATED);
    object->total_size = UINT64_MAX;
    check_read(object, TOTAL, ISTHMUS_KIND_ANY, -ISTHMUS_E_TRUNCATED);
    free(object);
}

static void a_longer_segment_is_no_error(void)
{
    struct isthmus_shared_header *object = new_object();
    object->total_size = TOTAL - 64;
    object->data_size -= 64;
    check_read(object, TOTAL, ISTHMUS_KIND_ANY, 0);
    free(object);
}

/* Set one 64-bit field of a sound header to each of `values`: every time it must be corrupt. */
static void attack(size_t field, const uint64_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct isthmus_shared_header *object = new_object();
        memcpy((char *)object + field, &values[i], sizeof values[i]);
        check_read(object, TOTAL, ISTHMUS_KIND_ARRAY, -ISTHMUS_E_CORRUPT);
        free(object);
    }
}
#define ATTACK(field, ...)                                                                         \
    do {                                                                                           \
        static const uint64_t values[] = {__VA_ARGS__};                                            \
        attack(offsetof(struct isthmus_shared_header, field), values,                              \
               sizeof values / sizeof values[0]);                                                  \
    } while (0)

static void every_offset_and_size_is_checked_against_the_segment(void)
{
    /* The two halves of the participants' 64 bits: count low, size high, on either byte order. */
    static const uint32_t tables[][2] = {{UINT32_MAX, UINT32_MAX},
                                         {UINT32_MAX, 1},
                                         {1, UINT32_MAX},
                                         {2, TOTAL},
                                         {1000, 64},
                                         {0, 64},
                                         {2, 0}};

    ATTACK(total_size, 0, 1, 255, 256, 1024, TOTAL - 1);
    ATTACK(control_offset, 0, 64, 192, 255, 385, 448 + 1, TOTAL, TOTAL + 64, UINT64_MAX,
           UINT64_MAX - 63, UINT64_C(1) << 63);
    ATTACK(control_size, TOTAL, TOTAL - 383, UINT64_MAX, UINT64_MAX - 383, UINT64_C(1) << 63);
    ATTACK(participants_offset, 0, 8, 248, 257, 260, TOTAL, TOTAL - 8, UINT64_MAX, UINT64_MAX - 7,
           UINT64_C(1) << 63);
    ATTACK(data_offset, 0, 64, 192, 1025, 1032, TOTAL, TOTAL + 64, UINT64_MAX, UINT64_MAX - 63,
           UINT64_C(1) << 63);
    ATTACK(data_size, TOTAL, TOTAL - 1023, UINT64_MAX, UINT64_MAX - 1023, UINT64_C(1) << 63);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        struct isthmus_shared_header *object = new_object();
        object->participants_count = tables[i][0];
        object->participant_size = tables[i][1];
        check_read(object, TOTAL, ISTHMUS_KIND_ARRAY, -ISTHMUS_E_CORRUPT);
        free(object);
    }
}

static void parts_that_overlap_are_corrupt(void)
{
    ATTACK(control_offset, 256, 320, 448 + 64, 1024, 2048);
    ATTACK(control_size, 641, 704, 2048);
    ATTACK(participants_offset, 264, 384, 512, 1024, 2048);
    ATTACK(data_offset, 256, 384, 512, 960);
}

static void empty_parts_may_stand_anywhere_inside(void)
{
    struct isthmus_shared_header *object = new_object();
    object->participants_count = 0;
    object->participant_size = 0;
    object->participants_offset = object->control_offset;
    check_read(object, TOTAL, ISTHMUS_KIND_ARRAY, 0);
    object->data_size = 0;
    object->data_offset = TOTAL;
    check_read(object, TOTAL, ISTHMUS_KIND_ARRAY, 0);
    free(object);
}

static void who_made_it_and_reserved_words_are_no_reason_to_refuse(void)
{
    struct isthmus_shared_header *object = new_object();
    object->created_ns = UINT64_MAX;
    object->creator_pid = 0;
    object->creator_uid = UINT32_MAX;
    memset(object->reserved, 0xff, sizeof object->reserved);
    check_read(object, TOTAL, ISTHMUS_KIND_ARRAY, 0);
    free(object);
}

static void the_fingerprint_depends_on_the_kind_and_not_on_the_call(void)
{
    CHECK_UINT(isthmus_layout_fingerprint(ISTHMUS_KIND_ARRAY),
               isthmus_layout_fingerprint(ISTHMUS_KIND_ARRAY));
    CHECK(isthmus_layout_fingerprint(ISTHMUS_KIND_ARRAY) !=
          isthmus_layout_fingerprint(ISTHMUS_KIND_ANY));
}

static const struct check_test tests[] = {
    CHECK_TEST(what_is_written_is_what_is_read),
    CHECK_TEST(an_object_is_not_ready_until_it_is_published),
    CHECK_TEST(every_outcome_is_an_errno_value_of_its_own),
    CHECK_TEST(too_few_bytes_for_a_header_are_foreign),
    CHECK_TEST(other_bytes_are_foreign),
    CHECK_TEST(version_kind_and_layout_are_told_apart_in_this_order),
    CHECK_TEST(a_header_without_a_kind_is_corrupt),
    CHECK_TEST(a_segment_shorter_than_its_header_says_is_truncated),
    CHECK_TEST(a_longer_segment_is_no_error),
    CHECK_TEST(every_offset_and_size_is_checked_against_the_segment),
    CHECK_TEST(parts_that_overlap_are_corrupt),
    CHECK_TEST(empty_parts_may_stand_anywhere_inside),
    CHECK_TEST(who_made_it_and_reserved_words_are_no_reason_to_refuse),
    CHECK_TEST(the_fingerprint_depends_on_the_kind_and_not_on_the_call),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
