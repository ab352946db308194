/*
 * Typed objects with participants, named or anonymous: making, opening and closing them, and
 * what a fork does to a handle. Primitives and rings alike: a handle is worked on as a
 * struct isthmus_ring, of which a primitive uses and keeps the first member only.
 */
#ifndef ISTHMUS_OBJECT_H
#define ISTHMUS_OBJECT_H

#include <isthmus/isthmus.h>

/* What an object to be made is like; complete, as isthmus_..._complete() leaves it. */
struct isthmus_object_plan {
    struct isthmus_primitive_plan primitive; /* of a ring: kind, flags, participants */
    struct isthmus_ring_plan ring;           /* zero for primitives */
};

/* As isthmus_primitive_create() and so on; *handle is changed only by success. */
int isthmus_object_create(struct isthmus_ring *handle, const char *name,
                          const struct isthmus_object_plan *plan,
                          const struct isthmus_create_options *options);
int isthmus_object_attach(struct isthmus_ring *handle, const char *name, uint32_t kind,
                          const struct isthmus_attach_options *options);
int isthmus_object_open(struct isthmus_ring *handle, const char *name,
                        const struct isthmus_object_plan *plan,
                        const struct isthmus_create_options *create,
                        const struct isthmus_attach_options *attach);
int isthmus_object_anonymous(struct isthmus_ring *handle, const struct isthmus_object_plan *plan);
int isthmus_object_from_fd(struct isthmus_ring *handle, int fd, uint32_t kind);

/*
 * Join one that is there at `path`, to look after it: one that nobody has is not removed, neither
 * now nor by closing the handle. -EAGAIN: somebody is removing it.
 */
int isthmus_object_visit(struct isthmus_ring *handle, const char *path, uint32_t kind,
                         const struct isthmus_attach_options *options);
/*
 * The handle, without a description and not joined, of a copy of one in memory: checked. Of its
 * records only the headers are contiguous.
 */
int isthmus_object_look(struct isthmus_ring *handle, void *data, size_t size, uint32_t kind);

#endif
