/* What there is in a round, and how a process comes to it. */
#include "stress.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROBUST ISTHMUS_ROBUST
#define READERS_FIRST ISTHMUS_READER_PREFERENCE
#define EXTERNAL ISTHMUS_EXTERNAL_LOCK
#define PERSIST ISTHMUS_PERSIST
#define QUEUE ISTHMUS_KIND_QUEUE
#define TOPIC ISTHMUS_KIND_TOPIC

/* In this order: the conditions of the buffer are the two objects after its lock. */
const struct object objects[OBJECTS] = {
    {"named lock", ISTHMUS_KIND_LOCK, 0, NAMED, COMES_AND_GOES, deed_lock, NULL, NULL,
     conclude_lock},
    {"anonymous lock", ISTHMUS_KIND_LOCK, 0, ANONYMOUS, COMES_AND_GOES, deed_lock, NULL, NULL,
     conclude_lock},
    {"placed lock", ISTHMUS_KIND_LOCK, 0, PLACED, COMES_AND_GOES, deed_lock, NULL, NULL,
     conclude_lock},
    {"named recursive lock", ISTHMUS_KIND_RLOCK, 0, NAMED, COMES_AND_GOES, deed_lock, NULL, NULL,
     conclude_lock},
    {"placed recursive lock", ISTHMUS_KIND_RLOCK, 0, PLACED, COMES_AND_GOES, deed_lock, NULL, NULL,
     conclude_lock},
    {"named robust semaphore", ISTHMUS_KIND_SEMAPHORE, ROBUST, NAMED, COMES_AND_GOES, deed_robust,
     forget_declared, NULL, conclude_robust},
    {"anonymous robust semaphore", ISTHMUS_KIND_SEMAPHORE, ROBUST, ANONYMOUS, COMES_AND_GOES,
     deed_robust, forget_declared, NULL, conclude_robust},
    {"placed robust semaphore", ISTHMUS_KIND_SEMAPHORE, ROBUST, PLACED, COMES_AND_GOES, deed_robust,
     forget_declared, NULL, conclude_robust},
    {"named semaphore", ISTHMUS_KIND_SEMAPHORE, 0, NAMED, KEPT, deed_plain, forget_plain,
     tend_plain, conclude_plain},
    {"placed semaphore", ISTHMUS_KIND_SEMAPHORE, 0, PLACED, COMES_AND_GOES, deed_plain,
     forget_plain, tend_plain, conclude_plain},
    {"named event", ISTHMUS_KIND_EVENT, 0, NAMED, KEPT, deed_event, NULL, tend_event, NULL},
    {"placed event", ISTHMUS_KIND_EVENT, 0, PLACED, COMES_AND_GOES, deed_event, NULL, tend_event,
     NULL},
    {"named condition", ISTHMUS_KIND_CONDITION, 0, NAMED, COMES_AND_GOES, deed_condition, NULL,
     tend_condition, conclude_lock},
    {"anonymous condition", ISTHMUS_KIND_CONDITION, 0, ANONYMOUS, COMES_AND_GOES, deed_condition,
     NULL, tend_condition, conclude_lock},
    {"lock of the buffer", ISTHMUS_KIND_LOCK, 0, PLACED, COMES_AND_GOES, deed_buffer, NULL,
     tend_buffer, conclude_buffer},
    {"buffer not full", ISTHMUS_KIND_CONDITION, EXTERNAL, PLACED, COMES_AND_GOES, NULL, NULL, NULL,
     NULL},
    {"buffer not empty", ISTHMUS_KIND_CONDITION, EXTERNAL, NAMED, COMES_AND_GOES, NULL, NULL, NULL,
     NULL},
    {"named barrier", ISTHMUS_KIND_BARRIER, 0, NAMED, KEPT, deed_barrier, forget_barrier,
     tend_barrier, conclude_barrier},
    {"placed barrier", ISTHMUS_KIND_BARRIER, 0, PLACED, COMES_AND_GOES, deed_barrier,
     forget_barrier, tend_barrier, conclude_barrier},
    {"named readers-writer lock", ISTHMUS_KIND_RWLOCK, 0, NAMED, COMES_AND_GOES, deed_rwlock,
     forget_declared, NULL, conclude_rwlock},
    {"placed readers-writer lock", ISTHMUS_KIND_RWLOCK, 0, PLACED, COMES_AND_GOES, deed_rwlock,
     forget_declared, NULL, conclude_rwlock},
    {"anonymous readers-writer lock, readers first", ISTHMUS_KIND_RWLOCK, READERS_FIRST, ANONYMOUS,
     COMES_AND_GOES, deed_rwlock, forget_declared, NULL, conclude_rwlock},
    {"named integer", ISTHMUS_KIND_ATOMIC_INT, 0, NAMED, KEPT, deed_integer, forget_integer,
     tend_integer, conclude_integer},
    {"placed integer", ISTHMUS_KIND_ATOMIC_INT, 0, PLACED, COMES_AND_GOES, deed_integer,
     forget_integer, tend_integer, conclude_integer},
    {"fleeting lock", ISTHMUS_KIND_LOCK, 0, NAMED, FLEETING, deed_fleeting, NULL, NULL,
     conclude_fleeting},
    {"named queue", QUEUE, 0, NAMED, KEPT, deed_queue, NULL, tend_queue, conclude_queue},
    {"anonymous queue", QUEUE, 0, ANONYMOUS, COMES_AND_GOES, deed_queue, NULL, tend_queue,
     conclude_queue},
    {"persistent queue", QUEUE, PERSIST, NAMED, COMES_AND_GOES, deed_queue, NULL, tend_queue,
     conclude_queue},
    {"fleeting queue", QUEUE, 0, NAMED, FLEETING, deed_fleeting_queue, NULL, NULL,
     conclude_fleeting_ring},
    {"named topic", TOPIC, 0, NAMED, KEPT, deed_topic, NULL, tend_topic, conclude_topic},
    {"anonymous topic", TOPIC, 0, ANONYMOUS, COMES_AND_GOES, deed_topic, NULL, tend_topic,
     conclude_topic},
    {"persistent topic", TOPIC, PERSIST, NAMED, COMES_AND_GOES, deed_topic, NULL, tend_topic,
     conclude_topic},
    {"fleeting topic", TOPIC, 0, NAMED, FLEETING, deed_fleeting_topic, NULL, NULL,
     conclude_fleeting_ring},
};

/* What each ring is like. Some start where positions wrap around before long. */
static const struct {
    uint32_t max_attempts;
    uint64_t capacity, maxsize, start;
    enum {
        BLOCK,
        OVERWRITE,
        EITHER
    } overflow; /* of its publishers */
} traits[RINGS] = {
    {0, 4096, 0, 0, BLOCK},
    {0, 65536, 0, -UINT64_C(65536), BLOCK},
    {4, 16384, 50, -UINT64_C(16384), BLOCK},
    {2, 4096, 0, 0, BLOCK},
    {0, 8192, 0, -UINT64_C(32768), BLOCK},
    {0, 4096, 0, 0, OVERWRITE},
    {0, 32768, 0, (UINT64_C(1) << 63) - 4096, EITHER},
    {0, 4096, 0, 0, EITHER},
};

struct isthmus_ring_plan ring_plan(unsigned ring)
{
    const struct object *the = &objects[FIRST_RING + ring];
    return (struct isthmus_ring_plan){.kind = the->kind,
                                      .flags = the->flags,
                                      /* Each actor may have a handle of its own. */
                                      .participants = 2 * ACTORS,
                                      .max_attempts = traits[ring].max_attempts,
                                      .capacity = traits[ring].capacity,
                                      .maxsize = traits[ring].maxsize,
                                      .start = traits[ring].start};
}

struct isthmus_primitive_plan object_plan(unsigned object)
{
    const struct object *the = &objects[object];
    struct isthmus_primitive_plan plan = {
        .kind = the->kind, .flags = the->flags, .participants = PARTICIPANTS};
    if (the->kind == ISTHMUS_KIND_BARRIER)
        plan.value = stress->parties;
    if (the->kind == ISTHMUS_KIND_SEMAPHORE) {
        plan.value = stress->permits;
        plan.maximum = stress->permits;
    }
    return plan;
}

int ring_only_blocks(unsigned ring)
{
    return traits[ring].overflow == BLOCK;
}

uint64_t object_offset(unsigned object)
{
    /* Not at the start: what is there is a user's. */
    return 64 + (uint64_t)object * ISTHMUS_PRIMITIVE_SIZE(PARTICIPANTS);
}

size_t segment_size(void)
{
    return (size_t)object_offset(FIRST_RING);
}

void object_name(unsigned object, char name[160])
{
    snprintf(name, 160, "%s/%s", stress->tag, objects[object].label);
}

static int open_primitive(struct self *self, unsigned object, const char *name)
{
    const struct isthmus_primitive_plan plan = object_plan(object);
    const struct isthmus_segment *segment = self->segment;
    struct isthmus_primitive *handle = &self->handles[object];
    if (objects[object].place == NAMED)
        return isthmus_primitive_open(handle, name, &plan, NULL, NULL);
    if (objects[object].place == ANONYMOUS)
        return isthmus_primitive_from_fd(handle, stress->descriptors[object], plan.kind);
    return isthmus_primitive_place(handle, segment->data, segment->size, segment->fd,
                                   object_offset(object), &plan);
}

static int open_ring(struct self *self, unsigned object, const char *name)
{
    const unsigned number = object - FIRST_RING;
    const struct isthmus_ring_plan plan = ring_plan(number);
    struct isthmus_ring *ring = &self->rings[number];
    const int error = objects[object].place == NAMED
                          ? isthmus_ring_open(ring, name, &plan, NULL, NULL)
                          : isthmus_ring_from_fd(ring, stress->descriptors[object], plan.kind);
    if (!error)
        ring->overflow = traits[number].overflow == EITHER
                             ? pick(self, 2) ? ISTHMUS_OVERFLOW_OVERWRITE : ISTHMUS_OVERFLOW_BLOCK
                         : traits[number].overflow == OVERWRITE ? ISTHMUS_OVERFLOW_OVERWRITE
                                                                : ISTHMUS_OVERFLOW_BLOCK;
    return error;
}

void open_object(struct self *self, unsigned object)
{
    char name[160];
    int error;

    object_name(object, name);
    begin(self, "opens", object);
    do
        error = object < FIRST_RING ? open_primitive(self, object, name)
                                    : open_ring(self, object, name);
    while (error == -EINTR);
    if (error)
        unexpected(object, "opening", error);
    begin(self, NULL, object);
}

void open_all(struct self *self)
{
    for (unsigned i = 0; i < OBJECTS; i++)
        if (objects[i].lasts != FLEETING)
            open_object(self, i);
}

struct isthmus_primitive *handle_of(struct self *self, unsigned object)
{
    return object < FIRST_RING ? &self->handles[object]
                               : &self->rings[object - FIRST_RING].primitive;
}

int join_object(struct self *self, unsigned object)
{
    return object < FIRST_RING ? isthmus_primitive_join(&self->handles[object])
                               : isthmus_ring_join(&self->rings[object - FIRST_RING]);
}

void close_object(struct self *self, unsigned object)
{
    if (object < FIRST_RING)
        isthmus_primitive_close(&self->handles[object]);
    else
        isthmus_ring_close(&self->rings[object - FIRST_RING]);
}

void close_all(struct self *self)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        begin(self, "closes", i);
        close_object(self, i);
    }
    begin(self, NULL, 0);
}

void glance(unsigned object, struct glimpse *glimpse)
{
    static const struct isthmus_attach_options options = {1, ISTHMUS_OWNER_SELF};
    struct isthmus_segment segment = {.fd = -1};
    char name[160], posix_name[ISTHMUS_NAME_MAX + 1];
    struct stat found;
    int error;

    *glimpse = (struct glimpse){.fd = -1, .place = sizeof(struct isthmus_shared_header)};
    if (objects[object].place == ANONYMOUS) {
        segment.fd = dup(stress->descriptors[object]);
        if (segment.fd < 0 || fstat(segment.fd, &found))
            return;
        segment.size = (size_t)found.st_size;
        segment.data = mmap(NULL, segment.size, PROT_READ, MAP_SHARED, segment.fd, 0);
        error = segment.data == MAP_FAILED;
    } else if (objects[object].place == PLACED) {
        error = isthmus_segment_attach(&segment, stress->segment, &options);
        glimpse->place = object_offset(object);
    } else {
        object_name(object, name);
        error = isthmus_name_escape(name, posix_name);
        if (!error)
            error = isthmus_segment_attach(&segment, posix_name, &options);
    }
    if (error)
        return;
    glimpse->mapping = segment.data;
    glimpse->mapped = segment.size;
    glimpse->fd = segment.fd;
    glimpse->shared = (const void *)((const char *)segment.data + glimpse->place);
}

void look_away(struct glimpse *glimpse)
{
    if (glimpse->mapping)
        munmap(glimpse->mapping, glimpse->mapped);
    if (glimpse->fd >= 0)
        close(glimpse->fd);
}
