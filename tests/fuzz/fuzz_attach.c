/*
 * Whatever stands in a segment, checking it reads inside the mapping, answers with
 * one of the documented errors or with offsets that lie inside, and never crashes.
 * (Of primitives: fuzz_primitive.c.)
 * Names: what is escaped comes back, what is unescaped was escaped.
 *
 * The first byte of an input chooses what the rest is taken for.
 */
#include "array.h"
#include "header.h"
#include <errno.h>
#include <isthmus/isthmus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): a release build must find the same. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void require_documented(int error)
{
    REQUIRE(error == 0 || error == -ISTHMUS_E_NOT_READY || error == -ISTHMUS_E_FOREIGN ||
            error == -ISTHMUS_E_VERSION || error == -ISTHMUS_E_LAYOUT || error == -ISTHMUS_E_KIND ||
            error == -ISTHMUS_E_TRUNCATED || error == -ISTHMUS_E_CORRUPT);
}

/* Read every byte of a part, so that a sanitizer objects to one outside. */
static void touch(const char *mapping, size_t mapped, const void *start, uint64_t size)
{
    static volatile unsigned char sink;
    const size_t offset = (size_t)((const char *)start - mapping);
    REQUIRE(offset <= mapped && size <= mapped - offset);
    for (uint64_t i = 0; i < size; i++)
        sink = (unsigned char)(sink + ((const unsigned char *)start)[i]);
}

static void check_mapping(char *mapping, size_t mapped)
{
    static const uint32_t kinds[] = {ISTHMUS_KIND_ANY, ISTHMUS_KIND_ARRAY, 2, UINT32_MAX};
    struct isthmus_shared_header header;
    struct isthmus_array array;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        int error = isthmus_header_read(mapping, mapped, kinds[i], &header);
        require_documented(error);
        if (error)
            continue;
        REQUIRE(header.total_size <= mapped);
        touch(mapping, mapped, mapping + header.control_offset, header.control_size);
        touch(mapping, mapped, mapping + header.data_offset, header.data_size);
        touch(mapping, mapped, mapping + header.participants_offset,
              (uint64_t)header.participants_count * header.participant_size);
    }

    int error = isthmus_array_read(mapping, mapped, &array);
    require_documented(error);
    if (error)
        return;
    uint64_t count = 1;
    REQUIRE(array.ndim <= ISTHMUS_ARRAY_MAX_NDIM);
    for (uint32_t i = 0; i < array.ndim; i++)
        count *= array.shape[i];
    REQUIRE(count == array.count);
    REQUIRE(array.itemsize > 0 && array.dtype_size > 0);
    touch(mapping, mapped, array.dtype, array.dtype_size);
    REQUIRE(array.lock_offset % 64 == 0);
    touch(mapping, mapped, mapping + array.lock_offset, ISTHMUS_PRIMITIVE_SIZE(0));
    touch(mapping, mapped, array.data, array.count * array.itemsize);
}

/* A mapping of exactly these bytes. */
static void raw_bytes(const uint8_t *data, size_t size)
{
    char *mapping = malloc(size ? size : 1);
    REQUIRE(mapping != NULL);
    if (size)
        memcpy(mapping, data, size);
    check_mapping(mapping, size);
    free(mapping);
}

/* A number of `width` bytes of the input, or of as many as are left. */
static uint64_t take(const uint8_t **data, size_t *size, size_t width)
{
    uint64_t value = 0;
    for (; width && *size; width--, ++*data, --*size)
        value = value << 8 | **data;
    return value;
}

/*
 * A sound array, then the input as edits: which of its 8-byte words, how to change
 * it, with what. The first byte cuts the mapping short.
 */
static void edited_array(const uint8_t *data, size_t size)
{
    static const uint64_t shape[] = {3, 4};
    static const struct isthmus_array_plan plan = {
        .dtype = "\"<f8\"", .itemsize = 8, .shape = shape, .ndim = 2};
    struct isthmus_array_extent extent;

    REQUIRE(isthmus_array_measure(&plan, &extent) == 0);
    const size_t total = (size_t)extent.total_size;
    const size_t cut = (size_t)take(&data, &size, 1);
    /* Mostly whole: a cut one is refused early. */
    const size_t mapped = cut < 240 ? total : total >> (cut - 239);
    char *whole = calloc(1, total);
    char *mapping = malloc(mapped);
    REQUIRE(whole != NULL && mapping != NULL);
    isthmus_array_init(whole, &plan, &extent);

    const size_t words = (sizeof(struct isthmus_shared_header) + 64 + 5 * 8) / 8;
    while (size) {
        uint64_t word;
        const size_t at = take(&data, &size, 1) % words * 8;
        const uint64_t how = take(&data, &size, 1);
        memcpy(&word, whole + at, sizeof word);
        switch (how % 6) {
        case 0:
            word = take(&data, &size, 8);
            break;
        case 1:
            word += take(&data, &size, 1);
            break;
        case 2:
            word -= take(&data, &size, 1);
            break;
        case 3:
            word ^= UINT64_C(1) << (how / 6 % 64);
            break;
        case 4:
            word = UINT64_MAX - take(&data, &size, 2);
            break;
        default:
            word = take(&data, &size, 2) * 64;
        }
        memcpy(whole + at, &word, sizeof word);
    }
    memcpy(mapping, whole, mapped);
    check_mapping(mapping, mapped);
    free(mapping);
    free(whole);
}

/* A plan made of the input: what measures is written, and what is written reads back. */
static void planned_array(const uint8_t *data, size_t size)
{
    uint64_t shape[ISTHMUS_ARRAY_MAX_NDIM];
    struct isthmus_array_plan plan = {.shape = shape};
    struct isthmus_array_extent extent;
    struct isthmus_array array;

    plan.ndim = (uint32_t)take(&data, &size, 1) % (ISTHMUS_ARRAY_MAX_NDIM + 1);
    plan.fortran = (int)take(&data, &size, 1) & 1;
    plan.itemsize = take(&data, &size, 1 + take(&data, &size, 1) % 8);
    for (uint32_t i = 0; i < plan.ndim; i++)
        shape[i] = take(&data, &size, take(&data, &size, 1) % 9);
    char *dtype = malloc(size + 1);
    REQUIRE(dtype != NULL);
    if (size)
        memcpy(dtype, data, size);
    dtype[size] = '\0';
    plan.dtype = dtype;

    int error = isthmus_array_measure(&plan, &extent);
    REQUIRE(error == 0 || error == -EINVAL || error == -EFBIG);
    if (!error && extent.total_size <= 1 << 20) {
        char *mapping = calloc(1, (size_t)extent.total_size);
        REQUIRE(mapping != NULL);
        isthmus_array_init(mapping, &plan, &extent);
        REQUIRE(isthmus_array_read(mapping, (size_t)extent.total_size, &array) == 0);
        REQUIRE(array.count == extent.count && array.itemsize == plan.itemsize);
        REQUIRE(array.ndim == plan.ndim && array.fortran == plan.fortran);
        REQUIRE(array.dtype_size == strlen(dtype));
        REQUIRE(memcmp(array.dtype, dtype, array.dtype_size) == 0);
        check_mapping(mapping, (size_t)extent.total_size);
        free(mapping);
    }
    free(dtype);
}

static void names(const uint8_t *data, size_t size)
{
    char first[ISTHMUS_NAME_MAX + 1], second[ISTHMUS_NAME_MAX + 1];
    char *name = malloc(size + 1);
    REQUIRE(name != NULL);
    if (size)
        memcpy(name, data, size);
    name[size] = '\0';

    int error = isthmus_name_check(name);
    REQUIRE(error == 0 || error == -EINVAL || error == -ENAMETOOLONG);
    error = isthmus_name_escape(name, first);
    REQUIRE(error == 0 || error == -EINVAL || error == -ENAMETOOLONG);
    if (!error) {
        REQUIRE(isthmus_name_check(first) == 0 && first[0] != '/');
        REQUIRE(isthmus_name_unescape(first, second) == 0);
        REQUIRE(strcmp(second, name) == 0);
    }
    error = isthmus_name_unescape(name, first);
    REQUIRE(error == 0 || error == -EINVAL);
    if (!error) {
        REQUIRE(isthmus_name_escape(first, second) == 0);
        REQUIRE(strcmp(second, name) == 0);
    }
    free(name);
}

/* Names that start as they must get further. */
static void prefixed_names(const uint8_t *data, size_t size)
{
    static const char prefix[] = ISTHMUS_NAME_PREFIX;
    uint8_t *name = malloc(size + sizeof prefix);
    REQUIRE(name != NULL);
    memcpy(name, prefix, sizeof prefix - 1);
    if (size)
        memcpy(name + sizeof prefix - 1, data, size);
    names(name, size + sizeof prefix - 1);
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(const uint8_t *, size_t) = {
        raw_bytes, edited_array, planned_array, names, prefixed_names, edited_array};
    if (size)
        targets[data[0] % (sizeof targets / sizeof targets[0])](data + 1, size - 1);
    return 0;
}
