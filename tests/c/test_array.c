/* Arrays: measuring, making, attaching, and refusing control blocks that lie. */
#include "array.h"

#include "check.h"
#include "fixture.h"
#include "header.h"
#include <errno.h>
#include <isthmus/isthmus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DOUBLES "\"<f8\""
#define CONTROL_OFFSET 256u
/* Of the small plan: the lock after the type text, slots up to the page of the data. */
#define LOCK_OFFSET 896u
#define SLOTS_OFFSET (LOCK_OFFSET + ISTHMUS_PRIMITIVE_SIZE(0))
#define DATA_OFFSET 8192u

static const uint64_t small_shape[] = {3, 4};
static const struct isthmus_array_plan small = {
    .dtype = DOUBLES, .itemsize = 8, .shape = small_shape, .ndim = 2};

static void measure(uint64_t itemsize, const uint64_t *shape, uint32_t ndim, int expected)
{
    const struct isthmus_array_plan plan = {
        .dtype = DOUBLES, .itemsize = itemsize, .shape = shape, .ndim = ndim};
    struct isthmus_array_extent extent = {.count = 4711};
    CHECK_RESULT(isthmus_array_measure(&plan, &extent), expected);
    if (expected)
        CHECK_UINT(extent.count, 4711);
}

static void the_extent_has_room_for_everything_and_data_on_a_page_of_their_own(void)
{
    struct isthmus_array_extent extent;
    CHECK_OK(isthmus_array_measure(&small, &extent));
    CHECK_UINT(extent.count, 12);
    CHECK_UINT(extent.lock_offset, LOCK_OFFSET);
    CHECK_UINT(extent.control_size, SLOTS_OFFSET - CONTROL_OFFSET);
    CHECK_UINT(extent.participants, (DATA_OFFSET - SLOTS_OFFSET) / 64);
    CHECK_UINT(extent.data_offset, DATA_OFFSET);
    CHECK_UINT(extent.data_size, 96);
    CHECK_UINT(extent.total_size, DATA_OFFSET + 96);

    /* A longer type text moves the data on. */
    char text[5000];
    memset(text, ' ', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct isthmus_array_plan plan = small;
    plan.dtype = text;
    CHECK_OK(isthmus_array_measure(&plan, &extent));
    CHECK_UINT(extent.lock_offset % 64, 0);
    CHECK_UINT(extent.data_offset, 12288);
    CHECK(extent.participants >= 64);
}

static void no_dimension_is_one_element_and_a_zero_is_none(void)
{
    static const uint64_t none[] = {3, 0, 5};
    struct isthmus_array_plan plan = small;
    struct isthmus_array_extent extent;
    plan.ndim = 0;
    plan.shape = NULL;
    CHECK_OK(isthmus_array_measure(&plan, &extent));
    CHECK_UINT(extent.count, 1);
    plan.ndim = 3;
    plan.shape = none;
    CHECK_OK(isthmus_array_measure(&plan, &extent));
    CHECK_UINT(extent.count, 0);
    CHECK_UINT(extent.data_size, 0);
    CHECK_UINT(extent.total_size, extent.data_offset);
}

static void sizes_that_overflow_are_EFBIG_for_any_numbers(void)
{
    static const uint64_t huge[] = {UINT64_MAX, UINT64_MAX};
    static const uint64_t wraps[] = {UINT64_C(1) << 32, UINT64_C(1) << 32};
    static const uint64_t wraps_to_one[] = {UINT64_C(0xAAAAAAAAAAAAAAAB), 3};
    static const uint64_t half[] = {UINT64_C(1) << 62};
    static const uint64_t hidden[] = {0, UINT64_MAX, UINT64_MAX};
    static const uint64_t most[] = {INT64_MAX};
    uint64_t twos[ISTHMUS_ARRAY_MAX_NDIM];
    for (size_t i = 0; i < ISTHMUS_ARRAY_MAX_NDIM; i++)
        twos[i] = 2;

    measure(1, huge, 1, -EFBIG);
    measure(1, huge, 2, -EFBIG);
    measure(1, wraps, 2, -EFBIG);
    measure(1, wraps_to_one, 2, -EFBIG);
    measure(2, half, 1, -EFBIG);
    measure(1, twos, ISTHMUS_ARRAY_MAX_NDIM, -EFBIG);
    measure(1, hidden, 3, -EFBIG);
    measure(UINT64_MAX, small_shape, 2, -EFBIG);
    measure((uint64_t)INT64_MAX + 1, NULL, 0, -EFBIG);
    /* The data alone would fit, but not with what stands before them. */
    measure(1, most, 1, -EFBIG);
    measure(INT64_MAX, NULL, 0, -EFBIG);
    measure(1, half, 1, 0);
}

static void plans_that_say_nothing_are_invalid(void)
{
    struct isthmus_array_plan plan = small;
    struct isthmus_array_extent extent;
    uint64_t ones[ISTHMUS_ARRAY_MAX_NDIM + 1];
    for (size_t i = 0; i < sizeof ones / sizeof ones[0]; i++)
        ones[i] = 1;

    measure(0, small_shape, 2, -EINVAL);
    measure(8, ones, ISTHMUS_ARRAY_MAX_NDIM + 1, -EINVAL);
    measure(8, ones, UINT32_MAX, -EINVAL);
    measure(8, ones, ISTHMUS_ARRAY_MAX_NDIM, 0);
    plan.dtype = "";
    CHECK_RESULT(isthmus_array_measure(&plan, &extent), -EINVAL);
    char *text = malloc(65538);
    CHECK(text != NULL);
    memset(text, 'x', 65537);
    text[65537] = '\0';
    plan.dtype = text;
    CHECK_RESULT(isthmus_array_measure(&plan, &extent), -EINVAL);
    text[65536] = '\0';
    CHECK_OK(isthmus_array_measure(&plan, &extent));
    free(text);
}

static void an_array_arrives_as_it_was_made(void)
{
    char name[FIXTURE_NAME_SIZE + 8];
    struct isthmus_array mine, theirs;
    struct isthmus_array_plan plan = small;
    struct stat found;

    fixture_name(name);
    strcat(name, "/front%");
    plan.fortran = 1;
    CHECK_OK(isthmus_array_create(&mine, name, &plan, NULL));
    CHECK_INT(fstat(mine.segment.fd, &found), 0);
    CHECK_UINT(found.st_mode & 07777, 0600);
    CHECK_INT(found.st_size, DATA_OFFSET + 96);
    CHECK(found.st_blocks * 512 >= DATA_OFFSET + 96);
    for (unsigned i = 0; i < 12; i++)
        ((double *)mine.data)[i] = i * 1.5;

    CHECK_OK(isthmus_array_attach(&theirs, name, NULL));
    CHECK_UINT(theirs.itemsize, 8);
    CHECK_UINT(theirs.count, 12);
    CHECK_UINT(theirs.ndim, 2);
    CHECK_UINT(theirs.shape[0], 3);
    CHECK_UINT(theirs.shape[1], 4);
    CHECK_UINT(theirs.shape[2], 0);
    CHECK_INT(theirs.fortran, 1);
    CHECK_UINT(theirs.dtype_size, strlen(DOUBLES));
    CHECK_BYTES(theirs.dtype, DOUBLES, strlen(DOUBLES));
    CHECK_UINT((uintptr_t)theirs.data % 4096, 0);
    CHECK_BYTES(theirs.data, mine.data, 96);

    CHECK_OK(isthmus_array_unlink(&theirs, name));
    CHECK_RESULT(isthmus_array_unlink(&mine, name), -ENOENT);
    isthmus_array_close(&theirs);
    isthmus_array_close(&theirs);
    CHECK(theirs.data == NULL);
    CHECK(theirs.dtype == NULL);
    isthmus_array_close(&mine);
}

static void an_array_is_a_plain_segment_under_its_escaped_name(void)
{
    char name[FIXTURE_NAME_SIZE + 8], escaped[ISTHMUS_NAME_MAX + 1];
    struct isthmus_array array;
    struct isthmus_segment segment;
    struct isthmus_shared_header header;

    fixture_name(name);
    strcat(name, "/a");
    CHECK_OK(isthmus_array_create(&array, name, &small, NULL));
    CHECK_OK(isthmus_name_escape(name, escaped));
    CHECK_OK(isthmus_segment_attach(&segment, escaped, NULL));
    CHECK_OK(isthmus_header_read(segment.data, segment.size, ISTHMUS_KIND_ARRAY, &header));
    CHECK_UINT(header.total_size, segment.size);
    CHECK_UINT(header.data_size, 96);
    CHECK_UINT(header.participants_count, (DATA_OFFSET - SLOTS_OFFSET) / 64);
    CHECK_UINT(header.participants_offset, SLOTS_OFFSET);
    CHECK_OK(isthmus_segment_unlink(&segment, escaped));
    isthmus_segment_close(&segment);
    isthmus_array_close(&array);
}

static void errors_of_creation_leave_the_result_and_the_directory_alone(void)
{
    char name[FIXTURE_NAME_SIZE], too_long[ISTHMUS_NAME_MAX + 1];
    struct isthmus_array array = {.count = 4711}, first;
    struct isthmus_array_plan plan = small;

    memset(too_long, 'x', ISTHMUS_NAME_MAX);
    too_long[ISTHMUS_NAME_MAX] = '\0';
    fixture_name(name);
    CHECK_RESULT(isthmus_array_create(&array, "", &plan, NULL), -EINVAL);
    CHECK_RESULT(isthmus_array_create(&array, too_long, &plan, NULL), -ENAMETOOLONG);
    CHECK_RESULT(isthmus_array_attach(&array, too_long, NULL), -ENAMETOOLONG);
    plan.itemsize = 0;
    CHECK_RESULT(isthmus_array_create(&array, name, &plan, NULL), -EINVAL);
    CHECK_RESULT(isthmus_array_attach(&array, name, NULL), -ENOENT);
    CHECK_OK(isthmus_array_create(&first, name, &small, NULL));
    CHECK_RESULT(isthmus_array_create(&array, name, &small, NULL), -EEXIST);
    CHECK_UINT(array.count, 4711);
    CHECK_OK(isthmus_array_unlink(&first, name));
    CHECK_RESULT(isthmus_array_unlink(&first, ""), -EINVAL);
    isthmus_array_close(&first);
}

static void a_full_file_system_is_ENOSPC_and_gives_all_back(void)
{
    static const uint64_t shape[] = {1 << 20};
    struct isthmus_array_plan plan = small;
    struct isthmus_array array;
    int error = fixture_private_shm("1m");
    if (error)
        check_skip("no file system of its own for this test", error);
    plan.shape = shape;
    plan.ndim = 1;
    const uint64_t before = fixture_free_bytes();
    CHECK_RESULT(isthmus_array_create(&array, "a", &plan, NULL), -ENOSPC);
    CHECK_UINT(fixture_count(FIXTURE_SHM, ""), 0);
    CHECK_UINT(fixture_free_bytes(), before);
}

static void a_segment_that_is_no_array_is_refused_by_what_it_is(void)
{
    char name[FIXTURE_NAME_SIZE], posix[ISTHMUS_NAME_MAX + 1];
    struct isthmus_segment segment;
    struct isthmus_array array = {.count = 4711};

    fixture_name(name);
    CHECK_OK(isthmus_name_escape(name, posix));
    CHECK_OK(isthmus_segment_create(&segment, posix, 8192, NULL));
    CHECK_RESULT(isthmus_array_attach(&array, name, NULL), -ISTHMUS_E_NOT_READY);
    memset(segment.data, 'x', 8192);
    CHECK_RESULT(isthmus_array_attach(&array, name, NULL), -ISTHMUS_E_FOREIGN);
    CHECK_INT(ftruncate(segment.fd, 100), 0);
    CHECK_RESULT(isthmus_array_attach(&array, name, NULL), -ISTHMUS_E_FOREIGN);
    CHECK_UINT(array.count, 4711);
    CHECK_OK(isthmus_segment_unlink(&segment, posix));
    isthmus_segment_close(&segment);
}

static void a_truncated_array_is_refused(void)
{
    char name[FIXTURE_NAME_SIZE];
    struct isthmus_array array, other;

    fixture_name(name);
    CHECK_OK(isthmus_array_create(&array, name, &small, NULL));
    CHECK_INT(ftruncate(array.segment.fd, DATA_OFFSET + 95), 0);
    CHECK_RESULT(isthmus_array_attach(&other, name, NULL), -ISTHMUS_E_TRUNCATED);
    CHECK_INT(ftruncate(array.segment.fd, 0), 0);
    CHECK_RESULT(isthmus_array_attach(&other, name, NULL), -ISTHMUS_E_NOT_READY);
    CHECK_OK(isthmus_array_unlink(&array, name));
    isthmus_array_close(&array);
}

static void owner_and_read_only_are_as_for_segments(void)
{
    char name[FIXTURE_NAME_SIZE];
    const struct isthmus_attach_options other = {0, 4711}, reader = {1, ISTHMUS_OWNER_SELF};
    struct isthmus_array array, found;

    fixture_name(name);
    CHECK_OK(isthmus_array_create(&array, name, &small, NULL));
    CHECK_RESULT(isthmus_array_attach(&found, name, &other), -ISTHMUS_E_OWNER);
    CHECK_OK(isthmus_array_attach(&found, name, &reader));
    CHECK_INT(found.segment.readonly, 1);
    CHECK_RESULT(isthmus_array_unlink(&found, name), -EPERM);
    isthmus_array_close(&found);
    CHECK_OK(isthmus_array_unlink(&array, name));
    isthmus_array_close(&array);
}

/* A sound array in memory of exactly its size. */
static char *new_array(size_t *size)
{
    struct isthmus_array_extent extent;
    CHECK_OK(isthmus_array_measure(&small, &extent));
    char *data = calloc(1, (size_t)extent.total_size);
    CHECK(data != NULL);
    isthmus_array_init(data, &small, &extent);
    *size = (size_t)extent.total_size;
    return data;
}

/* Overwrite `width` bytes at `offset` of a sound array with `value`: it must be corrupt. */
static void attack(size_t offset, size_t width, uint64_t value)
{
    struct isthmus_array array = {.count = 4711};
    size_t size;
    char *data = new_array(&size);
    const uint32_t narrow = (uint32_t)value;

    CHECK_OK(isthmus_array_read(data, size, &array));
    memcpy(data + offset, width == 4 ? (const void *)&narrow : (const void *)&value, width);
    array.count = 4711;
    CHECK_RESULT(isthmus_array_read(data, size, &array), -ISTHMUS_E_CORRUPT);
    CHECK_UINT(array.count, 4711);
    free(data);
}
#define WIDTH(type, field) sizeof(((struct type *)0)->field)
#define ATTACK_CONTROL(field, value)                                                               \
    attack(CONTROL_OFFSET + offsetof(struct isthmus_shared_array, field),                          \
           WIDTH(isthmus_shared_array, field), (value))
#define ATTACK_HEADER(field, value)                                                                \
    attack(offsetof(struct isthmus_shared_header, field), WIDTH(isthmus_shared_header, field),     \
           (value))

static void every_field_of_a_control_block_that_lies_is_corrupt(void)
{
    ATTACK_CONTROL(flags, 2);
    ATTACK_CONTROL(flags, UINT32_MAX);
    ATTACK_CONTROL(ndim, 0);
    ATTACK_CONTROL(ndim, 1);
    ATTACK_CONTROL(ndim, 3);
    ATTACK_CONTROL(ndim, ISTHMUS_ARRAY_MAX_NDIM + 1);
    ATTACK_CONTROL(ndim, UINT32_MAX);
    ATTACK_CONTROL(itemsize, 0);
    ATTACK_CONTROL(itemsize, 7);
    ATTACK_CONTROL(itemsize, UINT64_MAX);
    ATTACK_CONTROL(itemsize, UINT64_C(1) << 63);
    ATTACK_CONTROL(count, 0);
    ATTACK_CONTROL(count, 11);
    ATTACK_CONTROL(count, UINT64_MAX);
    ATTACK_CONTROL(dtype_offset, 0);
    ATTACK_CONTROL(dtype_offset, CONTROL_OFFSET);
    ATTACK_CONTROL(dtype_offset, UINT64_MAX);
    ATTACK_CONTROL(dtype_size, 0);
    ATTACK_CONTROL(dtype_size,
                   LOCK_OFFSET - CONTROL_OFFSET - sizeof(struct isthmus_shared_array) + 1);
    ATTACK_CONTROL(dtype_size, UINT64_MAX);
    ATTACK_CONTROL(lock_offset, 0);
    ATTACK_CONTROL(lock_offset, CONTROL_OFFSET);
    ATTACK_CONTROL(lock_offset, LOCK_OFFSET - 64);
    ATTACK_CONTROL(lock_offset, LOCK_OFFSET + 1);
    ATTACK_CONTROL(lock_offset, UINT64_MAX);
    const size_t shape = CONTROL_OFFSET + offsetof(struct isthmus_shared_array, shape);
    for (size_t i = 0; i < 2; i++) {
        attack(shape + 8 * i, 8, 0);
        attack(shape + 8 * i, 8, 5);
        attack(shape + 8 * i, 8, UINT64_MAX);
        attack(shape + 8 * i, 8, UINT64_C(1) << 61);
    }
}

static void a_header_that_does_not_fit_the_control_block_is_corrupt(void)
{
    ATTACK_HEADER(control_size, 0);
    ATTACK_HEADER(control_size, sizeof(struct isthmus_shared_array) - 1);
    ATTACK_HEADER(control_size, sizeof(struct isthmus_shared_array));
    ATTACK_HEADER(control_offset, CONTROL_OFFSET + 64);
    ATTACK_HEADER(data_size, 95);
    ATTACK_HEADER(data_size, 0);
    ATTACK_HEADER(data_offset, CONTROL_OFFSET);
    ATTACK_HEADER(participants_offset, CONTROL_OFFSET);
    ATTACK_HEADER(participants_offset, SLOTS_OFFSET + 64);
    ATTACK_HEADER(participants_count, 0);
    ATTACK_HEADER(participants_count, UINT32_MAX);
    ATTACK_HEADER(participant_size, 0);
    ATTACK_HEADER(participant_size, 128);
}

static void an_array_has_a_recursive_lock_that_all_its_handles_share(void)
{
    char name[FIXTURE_NAME_SIZE];
    const struct isthmus_attach_options reader = {1, ISTHMUS_OWNER_SELF};
    struct isthmus_array mine, theirs, watched;
    struct isthmus_primitive lock, other;

    fixture_name(name);
    CHECK_OK(isthmus_array_create(&mine, name, &small, NULL));
    CHECK_OK(isthmus_array_attach(&theirs, name, NULL));
    CHECK_OK(isthmus_array_lock(&mine, &lock));
    CHECK_OK(isthmus_array_lock(&theirs, &other));
    CHECK_UINT(lock.count, (DATA_OFFSET - SLOTS_OFFSET) / 64);
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    CHECK_OK(isthmus_lock_acquire(&lock, 0));
    CHECK_RESULT(isthmus_lock_acquire(&other, 0), -ETIMEDOUT);
    CHECK_OK(isthmus_lock_release(&lock));
    CHECK_RESULT(isthmus_lock_acquire(&other, 0), -ETIMEDOUT);
    CHECK_OK(isthmus_lock_release(&lock));
    CHECK_OK(isthmus_lock_acquire(&other, 0));
    CHECK_OK(isthmus_lock_release(&other));
    /* Elements and lock do not touch each other. */
    memset(mine.data, 0xff, 96);
    CHECK_OK(isthmus_lock_acquire(&other, 0));
    CHECK_OK(isthmus_lock_release(&other));
    isthmus_primitive_close(&lock);
    isthmus_primitive_close(&other);

    CHECK_OK(isthmus_array_attach(&watched, name, &reader));
    CHECK_RESULT(isthmus_array_lock(&watched, &lock), -EPERM);
    isthmus_array_close(&watched);
    CHECK_OK(isthmus_array_unlink(&mine, name));
    isthmus_array_close(&theirs);
    isthmus_array_close(&mine);
}

static void sizes_that_agree_by_overflow_alone_are_corrupt(void)
{
    struct isthmus_array array;
    size_t size;
    char *data = new_array(&size);
    struct isthmus_shared_array *control = (struct isthmus_shared_array *)(data + CONTROL_OFFSET);
    struct isthmus_shared_header *header = (struct isthmus_shared_header *)data;

    /* 2^32 * 2^32 elements are 0 elements of 8 bytes, modulo 2^64. */
    control->shape[0] = control->shape[1] = UINT64_C(1) << 32;
    control->count = 0;
    header->data_size = 0;
    CHECK_RESULT(isthmus_array_read(data, size, &array), -ISTHMUS_E_CORRUPT);
    free(data);
}

static void words_that_mean_nothing_yet_are_ignored(void)
{
    struct isthmus_array array;
    size_t size;
    char *data = new_array(&size);
    struct isthmus_shared_array *control = (struct isthmus_shared_array *)(data + CONTROL_OFFSET);

    memset(control->reserved, 0xff, sizeof control->reserved);
    control->shape[2] = 7;
    CHECK_OK(isthmus_array_read(data, size, &array));
    CHECK_UINT(array.count, 12);
    CHECK_UINT(array.shape[2], 0);
    free(data);
}

static const struct check_test tests[] = {
    CHECK_TEST(the_extent_has_room_for_everything_and_data_on_a_page_of_their_own),
    CHECK_TEST(no_dimension_is_one_element_and_a_zero_is_none),
    CHECK_TEST(sizes_that_overflow_are_EFBIG_for_any_numbers),
    CHECK_TEST(plans_that_say_nothing_are_invalid),
    CHECK_TEST(an_array_arrives_as_it_was_made),
    CHECK_TEST(an_array_is_a_plain_segment_under_its_escaped_name),
    CHECK_TEST(errors_of_creation_leave_the_result_and_the_directory_alone),
    CHECK_TEST(a_full_file_system_is_ENOSPC_and_gives_all_back),
    CHECK_TEST(a_segment_that_is_no_array_is_refused_by_what_it_is),
    CHECK_TEST(a_truncated_array_is_refused),
    CHECK_TEST(owner_and_read_only_are_as_for_segments),
    CHECK_TEST(every_field_of_a_control_block_that_lies_is_corrupt),
    CHECK_TEST(a_header_that_does_not_fit_the_control_block_is_corrupt),
    CHECK_TEST(an_array_has_a_recursive_lock_that_all_its_handles_share),
    CHECK_TEST(sizes_that_agree_by_overflow_alone_are_corrupt),
    CHECK_TEST(words_that_mean_nothing_yet_are_ignored),
};

int main(void)
{
    return check_main(tests, sizeof tests / sizeof tests[0]);
}
