/* Ringing, and saying that one waits to be rung for. See doorbell.h. */
#include "doorbell.h"

#include "readiness.h"

_Static_assert(ISTHMUS_DOORBELL_READY == ISTHMUS_OS_READY &&
                   ISTHMUS_DOORBELL_ROOM == ISTHMUS_OS_ROOM,
               "the same numbers");

void isthmus_doorbells_ring(const struct isthmus_primitive *primitive, uint32_t whom)
{
    /* Dies before: the bit stays. After: told by the end of its descriptor. sync: doorbell. */
    const uint32_t found = isthmus_and_u32(&primitive->shared->doorbells, ~whom) & whom;
    if (found && primitive->fd >= 0)
        isthmus_os_ring(primitive->fd, found);
}

int isthmus_doorbell_arm(struct isthmus_waited *thing)
{
    struct isthmus_primitive *primitive = thing->primitive;
    if (!primitive->shared)
        return -EBADF;
    const uint32_t bit =
        isthmus_waits_for_room(thing) ? ISTHMUS_DOORBELL_ROOM : ISTHMUS_DOORBELL_READY;
    uint32_t *doorbells = &primitive->shared->doorbells;
    /* sync: doorbell. First this, then the sleeper's bit, then the look. */
    if (!(isthmus_load_u32(doorbells) & bit))
        isthmus_or_u32(doorbells, bit);
    return isthmus_look(thing, ISTHMUS_ARM);
}
