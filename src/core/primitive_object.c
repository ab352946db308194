/* Primitives that are objects of their own, named or anonymous: see object.h. */
#include "object.h"
#include "primitive.h"

int isthmus_primitive_create(struct isthmus_primitive *primitive, const char *name,
                             const struct isthmus_primitive_plan *plan,
                             const struct isthmus_create_options *options)
{
    struct isthmus_object_plan full = {0};
    struct isthmus_ring new;
    int error = isthmus_primitive_complete(plan, &full.primitive);
    if (!error)
        error = isthmus_object_create(&new, name, &full, options);
    if (!error)
        *primitive = new.primitive;
    return error;
}

int isthmus_primitive_attach(struct isthmus_primitive *primitive, const char *name, uint32_t kind,
                             const struct isthmus_attach_options *options)
{
    struct isthmus_ring new;
    if (!isthmus_primitive_size(kind, 0))
        return -EINVAL;
    int error = isthmus_object_attach(&new, name, kind, options);
    if (!error)
        *primitive = new.primitive;
    return error;
}

int isthmus_primitive_open(struct isthmus_primitive *primitive, const char *name,
                           const struct isthmus_primitive_plan *plan,
                           const struct isthmus_create_options *create,
                           const struct isthmus_attach_options *attach)
{
    struct isthmus_object_plan full = {0};
    struct isthmus_ring new;
    int error = isthmus_primitive_complete(plan, &full.primitive);
    if (!error)
        error = isthmus_object_open(&new, name, &full, create, attach);
    if (!error)
        *primitive = new.primitive;
    return error;
}

int isthmus_primitive_anonymous(struct isthmus_primitive *primitive,
                                const struct isthmus_primitive_plan *plan)
{
    struct isthmus_object_plan full = {0};
    struct isthmus_ring new;
    int error = isthmus_primitive_complete(plan, &full.primitive);
    if (!error)
        error = isthmus_object_anonymous(&new, &full);
    if (!error)
        *primitive = new.primitive;
    return error;
}

int isthmus_primitive_from_fd(struct isthmus_primitive *primitive, int fd, uint32_t kind)
{
    struct isthmus_ring new;
    if (!isthmus_primitive_size(kind, 0))
        return -EINVAL;
    int error = isthmus_object_from_fd(&new, fd, kind);
    if (!error)
        *primitive = new.primitive;
    return error;
}
