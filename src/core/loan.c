/* The bytes of a ring at addresses that can be cut off. See loan.h. */
#include "loan.h"

#include "os.h"
#include "ring.h"

int isthmus_loan_map(const struct isthmus_ring *ring, struct isthmus_loan_map *map)
{
    const struct isthmus_primitive *primitive = &ring->primitive;
    const size_t before = (size_t)(ring->data - (unsigned char *)primitive->mapping);
    void *base = NULL;
    int error = isthmus_ring_unfit(ring, ISTHMUS_KIND_ANY);
    if (error)
        return error;
    /* By the handle's own description its participant would live as long as the mapping. */
    int fd = isthmus_os_own_description(primitive->fd);
    if (fd < 0)
        return fd;
    error = isthmus_os_map_mirrored(fd, before + (size_t)ring->capacity, (size_t)ring->capacity, 1,
                                    &base);
    isthmus_os_close(fd);
    if (error)
        return error;
    map->base = base;
    map->size = before + 2 * (size_t)ring->capacity;
    map->data = (unsigned char *)base + before;
    return 0;
}

int isthmus_loan_cut(const struct isthmus_loan_map *map)
{
    return isthmus_os_map_over(map->base, map->size);
}

void isthmus_loan_unmap(struct isthmus_loan_map *map)
{
    if (map->base)
        isthmus_os_unmap(map->base, map->size);
    *map = (struct isthmus_loan_map){.data = NULL};
}
