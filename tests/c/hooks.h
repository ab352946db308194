/*
 * Getting between the core and the system, in programs that link the core built
 * with kill points and wrap open(), fallocate() and munmap() (see meson.build).
 */
#ifndef HOOKS_H
#define HOOKS_H

#include <limits.h>

/*
 * Shared between a test and its children, so that the test knows what happened in
 * a child that was killed.
 */
struct hooks {
    unsigned kill_at;           /* die at this kill point, counted from 1; 0: never */
    unsigned passed;            /* kill points passed since hooks_reset() */
    int no_unnamed;             /* pretend that the file system has no unnamed files */
    unsigned reservations;      /* calls to allocate since hooks_reset() */
    unsigned interruptions;     /* so many reservations to come end with EINTR */
    unsigned long long largest; /* and all those that are larger, unless 0 */
    unsigned long page;         /* refuse to unmap what is not a multiple of this, unless 0 */
    unsigned long unmapped;     /* the size that was last unmapped */
    char draft[PATH_MAX];       /* the last file that was made with a draft's name */
    void (*at_point)(unsigned); /* called at each kill point */
};
extern struct hooks *hooks;

/* Everything off, nothing counted. */
void hooks_reset(void);

#endif
