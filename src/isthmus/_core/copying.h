/* Copying arrays that are not contiguous into a row of bytes. */
#ifndef ISTHMUS_COPYING_H
#define ISTHMUS_COPYING_H

#include <Python.h>
#include <string.h>

/* memcpy() of a constant size is one instruction. */
#define ISTHMUS_COPY_ELEMENTS(size)                                                                \
    do {                                                                                           \
        for (Py_ssize_t i = 0; i < count; i++, to += (size), source += stride)                     \
            memcpy(to, source, (size));                                                            \
    } while (0)

static void isthmus_copy_row(char *to, const char *source, Py_ssize_t count, Py_ssize_t stride,
                             Py_ssize_t itemsize)
{
    if (stride == itemsize)
        memcpy(to, source, (size_t)(count * itemsize));
    else if (itemsize == 1)
        ISTHMUS_COPY_ELEMENTS(1);
    else if (itemsize == 2)
        ISTHMUS_COPY_ELEMENTS(2);
    else if (itemsize == 4)
        ISTHMUS_COPY_ELEMENTS(4);
    else if (itemsize == 8)
        ISTHMUS_COPY_ELEMENTS(8);
    else
        ISTHMUS_COPY_ELEMENTS((size_t)itemsize);
}

/* In C order. At most as many dimensions deep as a buffer can have. */
static void isthmus_copy_strided(char *to, const char *source, int ndim, const Py_ssize_t *shape,
                                 const Py_ssize_t *strides, Py_ssize_t itemsize)
{
    if (ndim == 0) {
        memcpy(to, source, (size_t)itemsize);
        return;
    }
    if (ndim == 1) {
        isthmus_copy_row(to, source, shape[0], strides[0], itemsize);
        return;
    }
    Py_ssize_t part = itemsize;
    for (int i = 1; i < ndim; i++)
        part *= shape[i];
    for (Py_ssize_t i = 0; i < shape[0]; i++, to += part, source += strides[0])
        isthmus_copy_strided(to, source, ndim - 1, shape + 1, strides + 1, itemsize);
}

#endif
