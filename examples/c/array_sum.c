/*
 * Attach to an array of doubles by name, whoever made it, and print its sum.
 *
 *     array_sum NAME
 *
 * In Python: isthmus.Array("NAME", (3, 4), "f8") makes one.
 */
#include <isthmus/isthmus.h>
#include <stdio.h>
#include <string.h>

/* What went wrong, in words: the core's codes have meanings that strerror() does not know. */
static const char *explain(int error)
{
    switch (-error) {
    case ENOENT:
        return "there is no array of that name";
    case ISTHMUS_E_NOT_READY:
        return "it is still being made; try again";
    case ISTHMUS_E_FOREIGN:
        return "it was not made by isthmus";
    case ISTHMUS_E_VERSION:
    case ISTHMUS_E_LAYOUT:
        return "it was made by an incompatible version of isthmus";
    case ISTHMUS_E_KIND:
        return "it is not an array";
    case ISTHMUS_E_TRUNCATED:
    case ISTHMUS_E_CORRUPT:
        return "it is damaged";
    case ISTHMUS_E_OWNER:
        return "it belongs to another user";
    default:
        return strerror(-error);
    }
}

static int is_double(const struct isthmus_array *array)
{
    static const char little[] = "\"<f8\"", big[] = "\">f8\"";
    const unsigned probe = 1;
    const char *native = *(const unsigned char *)&probe ? little : big;
    return array->itemsize == sizeof(double) && array->dtype_size == strlen(native) &&
           !memcmp(array->dtype, native, array->dtype_size);
}

int main(int argc, char **argv)
{
    const struct isthmus_attach_options readonly = {.readonly = 1, .owner = ISTHMUS_OWNER_SELF};
    struct isthmus_array array;

    if (argc != 2) {
        fputs("usage: array_sum NAME\n", stderr);
        return 2;
    }
    const int error = isthmus_array_attach(&array, argv[1], &readonly);
    if (error) {
        fprintf(stderr, "array_sum: %s: %s\n", argv[1], explain(error));
        return 1;
    }
    if (!is_double(&array)) {
        fprintf(stderr, "array_sum: %s: its elements are %.*s, not native doubles\n", argv[1],
                (int)array.dtype_size, array.dtype);
        isthmus_array_close(&array);
        return 1;
    }
    /* The order of the elements does not matter for a sum; else look at array.fortran. */
    const double *elements = array.data;
    double sum = 0;
    for (uint64_t i = 0; i < array.count; i++)
        sum += elements[i];
    isthmus_array_close(&array);
    printf("%.17g\n", sum);
    return fflush(stdout) ? 1 : 0;
}
