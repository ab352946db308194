/*
 * Make an array of doubles 0, 1, 2 ... for a program in any language.
 *
 *     array_make NAME ROWS COLUMNS
 *
 * In Python, isthmus.Array("NAME") attaches to it. It stays until somebody removes
 * it; array_make --remove NAME does.
 */
#include <isthmus/isthmus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *name, int error)
{
    fprintf(stderr, "array_make: %s: %s\n", name, strerror(-error));
    return 1;
}

/* A length: digits only. */
static int parse_length(const char *text, uint64_t *length)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno)
        return -EINVAL;
    *length = value;
    return 0;
}

static const char *native_double(void)
{
    const unsigned probe = 1;
    return *(const unsigned char *)&probe ? "\"<f8\"" : "\">f8\"";
}

static int make(const char *name, const uint64_t shape[2])
{
    const struct isthmus_array_plan plan = {
        .dtype = native_double(), .itemsize = sizeof(double), .shape = shape, .ndim = 2};
    struct isthmus_array array;

    const int error = isthmus_array_create(&array, name, &plan, NULL);
    if (error)
        return fail(name, error);
    /*
     * The array is there from here on, full of zeros: a reader that comes now sees
     * elements half written. Tell it when they are whole, by whatever means suit.
     */
    double *elements = array.data;
    for (uint64_t i = 0; i < array.count; i++)
        elements[i] = (double)i;
    isthmus_array_close(&array);
    return 0;
}

static int remove_array(const char *name)
{
    struct isthmus_array array;
    int error = isthmus_array_attach(&array, name, NULL);
    if (error)
        return fail(name, error);
    error = isthmus_array_unlink(&array, name);
    isthmus_array_close(&array);
    return error ? fail(name, error) : 0;
}

int main(int argc, char **argv)
{
    uint64_t shape[2];

    if (argc == 3 && !strcmp(argv[1], "--remove"))
        return remove_array(argv[2]);
    if (argc != 4 || parse_length(argv[2], &shape[0]) || parse_length(argv[3], &shape[1])) {
        fputs("usage: array_make NAME ROWS COLUMNS\n"
              "       array_make --remove NAME\n",
              stderr);
        return 2;
    }
    return make(argv[1], shape);
}
