/* Putting messages into queues, and publishing them: as copies, and in the ring itself. */
#include "ledger.h"

#include <stdlib.h>

static struct isthmus_ring *ring_of(struct self *self, unsigned object)
{
    return &self->rings[object - FIRST_RING];
}

/* The message as the core copies it in. */
int bring_copy(struct self *self, unsigned object, uint64_t deadline)
{
    const unsigned number = object - FIRST_RING;
    const uint32_t size = some_size(self, number);
    int result;
    if (!may_put(self, number, 1))
        return -EAGAIN;
    unsigned char *message = malloc(size);
    if (!message)
        fail("no memory");
    fill(self, number, 0, message, size);
    do
        result = deadline ? isthmus_ring_write(ring_of(self, object), message, size, deadline)
                          : isthmus_ring_try_write(ring_of(self, object), ISTHMUS_TYPE_BYTES,
                                                   message, size);
    while (result == -EINTR);
    free(message);
    if (result == 0)
        have_put(self, number, 1);
    return result;
}

/* Several that become visible together, written in the ring itself. */
static int bring_several(struct self *self, unsigned object, uint64_t deadline)
{
    const unsigned number = object - FIRST_RING, wanted = 1 + pick(self, 5);
    const int slowly = pick(self, 4) == 0;
    struct isthmus_ring *ring = ring_of(self, object);
    struct isthmus_record record;
    struct isthmus_write write;
    unsigned done = 0;
    int result;

    if (!may_put(self, number, wanted))
        return -EAGAIN;
    for (;;) {
        do
            result = isthmus_write_begin(ring, &write, slowly, deadline);
        while (result == -EINTR);
        if (result)
            return result;
        while (done < wanted) {
            const uint32_t size = some_size(self, number);
            result = isthmus_write_reserve(ring, &write, ISTHMUS_TYPE_BYTES, 0, size, &record);
            if (result)
                break;
            fill(self, number, done++, record.data, size);
            if (slowly)
                linger(self);
        }
        if (done)
            break;
        isthmus_write_abort(ring, &write);
        if (result != -EAGAIN)
            return result;
        /* Also without a wait: whoever died in the way goes. */
        do
            result = isthmus_write_await(ring, &write, deadline);
        while (result == -EINTR);
        if (result)
            return result;
    }
    if (pick(self, 8) == 0) {
        isthmus_write_abort(ring, &write);
        return 0;
    }
    isthmus_write_commit(ring, &write);
    have_put(self, number, done);
    return 0;
}

int bring(struct self *self, unsigned object, uint64_t deadline)
{
    return pick(self, 3) ? bring_copy(self, object, deadline)
                         : bring_several(self, object, deadline);
}
