/*
 * Whatever stands where a queue or topic should be, opening it answers with one of the documented
 * errors, and what is opened can be used: what comes out lies inside it, nothing outside is
 * read or written, and what only tries comes back. The same for what a partner writes into it while
 * it is open, and for what participants leave that are dead.
 *
 * One thing is left out, as there is no help against it: a lock word that names a participant that
 * lives and does not know of it is waited for.
 *
 * The first bytes of an input choose a sound ring, and the rest is what happens to it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <isthmus/isthmus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): a release build must find the same. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define PARTICIPANTS 4u
#define CAPACITY 4096u
#define LARGEST (64u * 1024u)
#define KINDS 6u

/* The rest of an input. */
struct input {
    const uint8_t *data;
    size_t size;
};

static uint64_t take(struct input *input, size_t width)
{
    uint64_t value = 0;
    for (; width && input->size; width--, input->size--)
        value = value << 8 | *input->data++;
    return value;
}

/* ---- Sound ones ---------------------------------------------------------------------------------
 */

/* A ring as it is while others use it, who are all dead for those that open this copy. */
struct image {
    uint32_t kind;
    size_t size;
    unsigned char bytes[LARGEST];
};
static struct image images[KINDS];
static int object_fd = -1;

static void put_some(struct isthmus_ring *ring, unsigned count)
{
    static const char text[300] = "a message";
    for (unsigned i = 0; i < count; i++)
        REQUIRE(isthmus_ring_try_write(ring, ISTHMUS_TYPE_BYTES, text, i * 37 % 300) == 0);
}

static void lease_some(struct isthmus_ring *queue, unsigned count)
{
    struct isthmus_record record;
    struct isthmus_read read;
    for (unsigned i = 0; i < count; i++) {
        REQUIRE(isthmus_read_begin(queue, &read, 0) == 0);
        REQUIRE(isthmus_read_next(queue, &read, &record) == 0);
        REQUIRE(isthmus_queue_lease(queue, &read, &record) == 0);
        if (i == 1)
            REQUIRE(isthmus_queue_acknowledge(queue, record.position, record.sequence) == 0);
        if (i > 1)
            REQUIRE(isthmus_queue_give_back(queue, record.position, record.sequence) == 0);
    }
}

/* With an array's meta data, and one whose payload is large. */
static void put_array(struct isthmus_ring *ring)
{
    struct isthmus_record record;
    struct isthmus_write write;
    REQUIRE(isthmus_write_begin(ring, &write, 0, 0) == 0);
    REQUIRE(isthmus_write_reserve(ring, &write, ISTHMUS_TYPE_ARRAY, 45, 800, &record) == 0);
    memset(record.data, 1, 800);
    isthmus_write_commit(ring, &write);
}

static void prepare_one(unsigned which)
{
    static const struct isthmus_ring_plan plans[KINDS] = {
        {.kind = ISTHMUS_KIND_QUEUE},
        {.kind = ISTHMUS_KIND_QUEUE, .max_attempts = 2, .start = -UINT64_C(1024)},
        {.kind = ISTHMUS_KIND_QUEUE, .maxsize = 9},
        {.kind = ISTHMUS_KIND_TOPIC},
        {.kind = ISTHMUS_KIND_TOPIC, .start = -UINT64_C(1024)},
        {.kind = ISTHMUS_KIND_QUEUE, .max_attempts = 1},
    };
    struct isthmus_ring_plan plan = plans[which];
    struct image *image = &images[which];
    struct isthmus_record record;
    struct isthmus_read read;
    struct isthmus_ring ring;

    plan.capacity = CAPACITY;
    plan.participants = PARTICIPANTS;
    REQUIRE(isthmus_ring_anonymous(&ring, &plan) == 0);
    if (plan.kind == ISTHMUS_KIND_TOPIC)
        REQUIRE(isthmus_topic_subscribe(&ring, ISTHMUS_START_OLDEST) == 0);
    put_some(&ring, 6);
    put_array(&ring);
    if (plan.kind == ISTHMUS_KIND_QUEUE && which) {
        lease_some(&ring, 4);
    } else if (which) {
        REQUIRE(isthmus_read_begin(&ring, &read, 0) == 0);
        REQUIRE(isthmus_read_next(&ring, &read, &record) == 0);
        REQUIRE(isthmus_topic_pin(&ring, record.position) == 0);
        isthmus_read_commit(&ring, &read);
    }
    image->kind = plan.kind;
    const ssize_t size = pread(ring.primitive.fd, image->bytes, LARGEST, 0);
    REQUIRE(size > 0 && size < (ssize_t)LARGEST);
    image->size = (size_t)size;
    isthmus_ring_close(&ring);
}

static void prepare(void)
{
    if (object_fd >= 0)
        return;
    for (unsigned i = 0; i < KINDS; i++)
        prepare_one(i);
    object_fd = memfd_create("ring", MFD_CLOEXEC);
    REQUIRE(object_fd >= 0);
}

/* ---- Damage -------------------------------------------------------------------------------------
 */

/* Where a part is, and how much of it is worth changing. */
static unsigned char *part(unsigned char *bytes, uint64_t which, size_t *size)
{
    const struct isthmus_shared_header *header = (void *)bytes;
    const struct isthmus_shared_ring *ring =
        (void *)(bytes + sizeof *header + sizeof(struct isthmus_shared_primitive));
    switch (which % 16) {
    case 0:
        *size = sizeof *header;
        return bytes;
    case 1:
        *size = sizeof(struct isthmus_shared_primitive) + sizeof *ring;
        return bytes + sizeof *header;
    case 2:
        *size = PARTICIPANTS * sizeof(struct isthmus_shared_participant);
        return bytes + sizeof *header + ISTHMUS_PRIMITIVE_SIZE(0);
    case 3:
    case 4:
        *size = PARTICIPANTS * sizeof(struct isthmus_shared_seat);
        return bytes + ring->seats_offset;
    case 5:
    case 6:
    case 7: /* the first records; those that start near the end are at the end */
        *size = 512;
        return bytes + ring->data_offset;
    case 8:
        *size = 1024;
        return bytes + ring->data_offset + CAPACITY - 1024;
    case 9:
        *size = 256;
        return bytes + (ring->aside_offset ? ring->aside_offset : ring->data_offset);
    default:
        *size = sizeof(struct isthmus_shared_cursors);
        return bytes + ring->cursors_offset;
    }
}

static void damage_word(unsigned char *at, struct input *input)
{
    const uint64_t how = take(input, 1);
    uint32_t word;
    memcpy(&word, at, sizeof word);
    switch (how % 6) {
    case 0:
        word = (uint32_t)take(input, 4);
        break;
    case 1: /* a slot, perhaps of nobody, perhaps with the bits of a word */
        word = (uint32_t)(how / 6 % 4) << 30 | (uint32_t)take(input, 1) % (PARTICIPANTS + 3);
        break;
    case 2:
        word += (uint32_t)take(input, 1);
        break;
    case 3:
        word ^= UINT32_C(1) << (how / 6 % 32);
        break;
    case 4:
        word = UINT32_MAX - (uint32_t)take(input, 1);
        break;
    default:
        word = 0;
    }
    memcpy(at, &word, sizeof word);
}

/* A position that looks like one: near another that is there. */
static void damage_position(unsigned char *bytes, size_t size, unsigned char *at,
                            struct input *input)
{
    uint64_t position;
    const uint64_t step = take(input, 1) % 16 * ISTHMUS_RECORD_ALIGNMENT;
    memcpy(&position, bytes + take(input, 1) * 8 % size, sizeof position);
    position = take(input, 1) % 2 ? position + step : position - step;
    memcpy(at, &position, sizeof position);
}

/* `places`: a sound copy, by which the parts are found; `aside`: where that part is. */
static void damage(unsigned char *bytes, unsigned char *aside, unsigned char *places,
                   struct input *input)
{
    const struct isthmus_shared_ring *ring =
        (void *)(places + sizeof(struct isthmus_shared_header) +
                 sizeof(struct isthmus_shared_primitive));
    for (unsigned edits = (unsigned)take(input, 1) % 8; edits; edits--) {
        size_t size;
        const size_t start = (size_t)(part(places, take(input, 1), &size) - places);
        unsigned char *where = ring->aside_offset && start >= ring->aside_offset
                                   ? aside + (start - ring->aside_offset)
                                   : bytes + start;
        const size_t offset = (size_t)take(input, 2) % (size / 8) * 8;
        if (take(input, 1) % 4 == 0)
            damage_position(where, size, where + offset, input);
        else
            damage_word(where + offset + take(input, 1) % 2 * 4, input);
    }
}

/* See the top. */
static void disown_word(uint32_t *word, const struct isthmus_ring *ring)
{
    if ((*word & ISTHMUS_WORD_OWNER) == (uint32_t)ring->primitive.slot + 1)
        ++*word;
}

static void disown(const struct isthmus_ring *ring)
{
    disown_word(&ring->cursors->producer, ring);
    disown_word(&ring->cursors->consumer, ring);
    for (uint32_t i = 0; i < PARTICIPANTS; i++)
        disown_word(&ring->seats[i].reader, ring);
}

/* ---- Use ----------------------------------------------------------------------------------------
 */

#define require_known(result) require_known_at(__LINE__, result)

static int require_known_at(int line, int result)
{
    static const int known[] = {0,      EAGAIN, EBUSY,     EMSGSIZE, ESHUTDOWN, EBADMSG,
                                ESTALE, ERANGE, ETIMEDOUT, ENOBUFS,  ENOENT};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (result == -known[i])
            return result;
    fprintf(stderr, "%s:%d: a result of %d (%s)\n", __FILE__, line, result, strerror(-result));
    abort();
}

/* Read every byte, so that a sanitizer objects to one outside, and require that it is inside. */
static void touch(const struct isthmus_ring *ring, const void *start, uint64_t size)
{
    static volatile unsigned char sink;
    const uintptr_t first = (uintptr_t)start;
    int inside = size == 0;
    const unsigned char *const areas[] = {ring->data, ring->aside};
    for (unsigned i = 0; i < 2; i++) {
        const uintptr_t area = (uintptr_t)areas[i];
        inside = inside || (area && first >= area && first - area <= 2 * (uint64_t)CAPACITY &&
                            size <= 2 * (uint64_t)CAPACITY - (first - area));
    }
    REQUIRE(inside);
    for (uint64_t i = 0; i < size; i++)
        sink = (unsigned char)(sink + ((const unsigned char *)start)[i]);
}

static void touch_record(const struct isthmus_ring *ring, const struct isthmus_record *record)
{
    touch(ring, record->data, record->size);
    touch(ring, record->meta, record->meta_size);
}

/* Try only, or wait for a moment. */
static uint64_t some_deadline(struct input *input)
{
    return take(input, 1) % 8 ? 0 : isthmus_deadline_after(10000);
}

static void use_write(struct isthmus_ring *ring, struct input *input)
{
    static const char text[600] = "another message";
    struct isthmus_record record;
    struct isthmus_write write;
    require_known(isthmus_ring_try_write(ring, ISTHMUS_TYPE_TEXT, text, take(input, 1) * 2));
    require_known(isthmus_ring_write(ring, text, take(input, 1), some_deadline(input)));
    if (require_known(isthmus_write_begin(ring, &write, take(input, 1) % 2, some_deadline(input))))
        return;
    int result = 0;
    for (unsigned i = take(input, 1) % 8; i && !result; i--) {
        const uint32_t meta = (uint32_t)take(input, 1);
        const uint64_t size = take(input, 1) * 4;
        result = require_known(
            isthmus_write_reserve(ring, &write, ISTHMUS_TYPE_ARRAY, meta, size, &record));
        if (!result) {
            REQUIRE(record.size == size && record.meta_size >= meta);
            touch_record(ring, &record);
            memset(record.data, 7, size);
        }
    }
    if (take(input, 1) % 4 == 0)
        isthmus_write_abort(ring, &write);
    else
        isthmus_write_commit(ring, &write);
    require_known(isthmus_write_await(ring, &write, some_deadline(input)));
}

static void use_read(struct isthmus_ring *ring, struct input *input)
{
    struct isthmus_record record;
    struct isthmus_read read;
    char buffer[CAPACITY];
    size_t size;
    const size_t room = take(input, 1) * 8;
    if (!require_known(isthmus_ring_read(ring, buffer, room, &size, some_deadline(input))))
        REQUIRE(size <= room);
    if (require_known(isthmus_read_begin(ring, &read, 0)))
        return;
    for (unsigned i = take(input, 1) % 8; i; i--) {
        if (require_known(isthmus_read_next(ring, &read, &record)))
            break;
        touch_record(ring, &record);
        require_known(isthmus_read_valid(ring, &read, &record));
    }
    if (take(input, 1) % 4 == 0)
        isthmus_read_abort(ring, &read);
    else
        isthmus_read_commit(ring, &read);
    require_known(isthmus_read_glance(ring, &read));
    require_known(isthmus_read_await(ring, &read, some_deadline(input)));
}

static void use_leases(struct isthmus_ring *queue, struct input *input)
{
    struct isthmus_record records[4];
    struct isthmus_read read;
    unsigned count = 0;
    for (; count < 4; count++) {
        if (require_known(isthmus_read_begin(queue, &read, 0)))
            break;
        int result = require_known(isthmus_read_next(queue, &read, &records[count]));
        if (result) {
            isthmus_read_abort(queue, &read);
            break;
        }
        if (require_known(isthmus_queue_lease(queue, &read, &records[count])))
            break;
        touch_record(queue, &records[count]);
    }
    while (count--) {
        const struct isthmus_record *record = &records[count];
        if (take(input, 1) % 2)
            require_known(isthmus_queue_acknowledge(queue, record->position, record->sequence));
        else if (take(input, 1) % 4)
            require_known(isthmus_queue_give_back(queue, record->position, record->sequence));
    }
    /* What nobody has leased, wherever that is. */
    const uint64_t position = take(input, 1) % 2 ? take(input, 8) : take(input, 1) * 32;
    require_known(isthmus_queue_acknowledge(queue, position, take(input, 1)));
    require_known(isthmus_queue_give_back(queue, position, take(input, 1)));
}

static void use_aside(struct isthmus_ring *queue, struct input *input)
{
    struct isthmus_record record = {.sequence = 0};
    struct isthmus_read read;
    if (require_known(isthmus_queue_aside_begin(queue, &read, 0)) == 0) {
        for (unsigned i = 0; i < 5; i++) {
            if (require_known(isthmus_queue_aside_next(queue, &read, &record)))
                break;
            touch_record(queue, &record);
        }
        isthmus_read_abort(queue, &read);
    }
    const uint64_t sequence = take(input, 1) % 2 ? record.sequence : take(input, 1);
    require_known(take(input, 1) % 2
                      ? isthmus_queue_aside_remove(queue, sequence)
                      : isthmus_queue_aside_put_back(queue, sequence, some_deadline(input)));
}

static void use_queue(struct isthmus_ring *queue, struct input *input)
{
    struct isthmus_queue_state state;
    use_leases(queue, input);
    use_aside(queue, input);
    require_known(isthmus_queue_task_done(queue));
    require_known(isthmus_queue_join(queue, some_deadline(input)));
    require_known(isthmus_queue_state(queue, &state));
    if (take(input, 1) % 4 == 0)
        require_known(isthmus_queue_clear(queue));
    if (take(input, 1) % 8 == 0)
        require_known(isthmus_queue_shut_down(queue, (int)take(input, 1) % 2));
}

static void use_topic(struct isthmus_ring *topic, struct input *input)
{
    struct isthmus_topic_state state;
    struct isthmus_record record;
    struct isthmus_read read;
    const uint64_t start = take(input, 1);
    require_known(isthmus_topic_subscribe(topic, start == 255 ? ISTHMUS_START_OLDEST : start));
    isthmus_topic_lag(topic);
    isthmus_topic_missed(topic);
    if (require_known(isthmus_read_begin(topic, &read, 0)) == 0) {
        if (require_known(isthmus_read_next(topic, &read, &record)) == 0 &&
            require_known(isthmus_topic_pin(topic, record.position)) == 0)
            touch_record(topic, &record);
        isthmus_read_commit(topic, &read);
    }
    use_read(topic, input);
    use_write(topic, input);
    require_known(isthmus_topic_pin(topic, take(input, 1) % 2 ? UINT64_MAX : take(input, 8)));
    require_known(isthmus_topic_state(topic, &state));
    if (take(input, 1) % 2)
        require_known(isthmus_topic_unsubscribe(topic));
}

static void look(const struct isthmus_ring *ring)
{
    struct isthmus_participant participant;
    struct isthmus_seat seat;
    for (uint32_t i = 0; i < PARTICIPANTS + 1; i++) {
        isthmus_primitive_participant(&ring->primitive, i, &participant);
        isthmus_ring_seat(ring, i, &seat);
    }
}

static void use(struct isthmus_ring *ring, struct input *input)
{
    look(ring);
    ring->overflow = take(input, 1) % 2 ? ISTHMUS_OVERFLOW_OVERWRITE : ISTHMUS_OVERFLOW_BLOCK;
    use_write(ring, input);
    if (ring->primitive.kind == ISTHMUS_KIND_QUEUE) {
        use_read(ring, input);
        use_queue(ring, input);
    } else {
        use_topic(ring, input);
    }
    look(ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char bytes[LARGEST];
    struct input input = {data, size};
    struct isthmus_ring ring;

    if (!size)
        return 0;
    prepare();
    struct image *image = &images[take(&input, 1) % KINDS];
    memcpy(bytes, image->bytes, image->size);
    const struct isthmus_shared_ring *sound =
        (void *)(image->bytes + sizeof(struct isthmus_shared_header) +
                 sizeof(struct isthmus_shared_primitive));
    damage(bytes, bytes + sound->aside_offset, image->bytes, &input);
    REQUIRE(ftruncate(object_fd, (off_t)image->size) == 0);
    REQUIRE(pwrite(object_fd, bytes, image->size, 0) == (ssize_t)image->size);
    const int error = isthmus_ring_from_fd(&ring, object_fd, image->kind);
    REQUIRE(error == 0 || error == -ISTHMUS_E_NOT_READY || error == -ISTHMUS_E_FOREIGN ||
            error == -ISTHMUS_E_VERSION || error == -ISTHMUS_E_KIND || error == -ISTHMUS_E_LAYOUT ||
            error == -ISTHMUS_E_CORRUPT || error == -ISTHMUS_E_TRUNCATED);
    if (error)
        return 0;
    REQUIRE(ring.capacity == CAPACITY);
    use(&ring, &input);
    /* A partner goes mad. */
    damage(ring.primitive.mapping, ring.aside, image->bytes, &input);
    disown(&ring);
    use(&ring, &input);
    isthmus_ring_close(&ring);
    return 0;
}
