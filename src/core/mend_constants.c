/*
 * Mending what is constant. The same is said in several places: the kind by header, primitive and
 * two fingerprints, how many participants there are by both and by the size of the file, the
 * extents of a ring by each other. What most of them agree on, and the size of the file bears out,
 * is right.
 */
#include "mend.h"
#include "object.h"
#include "os.h"
#include "participant.h"
#include "primitive.h"
#include "ring.h"
#include <string.h>

#define PLACE ((uint64_t)sizeof(struct isthmus_shared_header))
#define SLOTS (PLACE + ISTHMUS_PRIMITIVE_SIZE(0))
#define EACH ((uint64_t)sizeof(struct isthmus_shared_participant))
/* Versions that there may be some day; another number was never one. */
#define VERSIONS 1000u

struct object {
    struct isthmus_shared_header *header;
    struct isthmus_shared_primitive *primitive;
    struct isthmus_shared_ring *ring;
    uint64_t size; /* of the file */
    struct isthmus_mend *mend;
};

/* What says that it is of this kind. */
static int votes(const struct object *object, uint32_t kind)
{
    const uint64_t fingerprint = isthmus_layout_fingerprint(kind);
    return (object->header->kind == kind) + (object->header->fingerprint == fingerprint) +
           (object->primitive->kind == kind) + (object->primitive->fingerprint == fingerprint);
}

/* 0: nothing, or nothing in particular, does. */
static uint32_t kind_of(const struct object *object)
{
    uint32_t best = 0;
    int most = 1, twice = 0;
    for (uint32_t kind = ISTHMUS_KIND_LOCK; kind <= ISTHMUS_KIND_TOPIC; kind++) {
        const int found = votes(object, kind);
        if (found == most)
            twice = 1;
        if (found > most) {
            most = found;
            best = kind;
            twice = 0;
        }
    }
    return twice ? 0 : best;
}

/* Is it another's, or of another version, and to be let alone? */
static int strange(const struct object *object, uint32_t kind)
{
    const struct isthmus_shared_header *header = object->header;
    const struct isthmus_shared_primitive *primitive = object->primitive;
    const uint64_t fingerprint = isthmus_layout_fingerprint(kind);
    const int whole = header->magic == ISTHMUS_MAGIC;
    if (!whole && primitive->magic != ISTHMUS_PRIMITIVE_MAGIC && votes(object, kind) < 4)
        return -ISTHMUS_E_FOREIGN;
    if (whole && header->version != ISTHMUS_FORMAT_VERSION && header->version < VERSIONS)
        return -ISTHMUS_E_VERSION;
    if (header->fingerprint != fingerprint && primitive->fingerprint != fingerprint &&
        header->fingerprint == primitive->fingerprint)
        return -ISTHMUS_E_LAYOUT;
    return 0;
}

static void mend_header(const struct object *object, const struct isthmus_shared_header *right)
{
    struct isthmus_shared_header *header = object->header;
    struct isthmus_mend *mend = object->mend;
    isthmus_mend_u32(mend, "header.version", &header->version, ISTHMUS_FORMAT_VERSION, 0);
    isthmus_mend_u32(mend, "header.kind", &header->kind, right->kind, 0);
    isthmus_mend_u64(mend, "header.fingerprint", &header->fingerprint,
                     isthmus_layout_fingerprint(right->kind), 0);
    isthmus_mend_u64(mend, "header.total_size", &header->total_size, right->total_size, 0);
    isthmus_mend_u64(mend, "header.control_offset", &header->control_offset, right->control_offset,
                     0);
    isthmus_mend_u64(mend, "header.control_size", &header->control_size, right->control_size, 0);
    isthmus_mend_u64(mend, "header.participants_offset", &header->participants_offset,
                     right->participants_offset, 0);
    isthmus_mend_u32(mend, "header.participants_count", &header->participants_count,
                     right->participants_count, 0);
    isthmus_mend_u32(mend, "header.participant_size", &header->participant_size,
                     right->participant_size, 0);
    isthmus_mend_u64(mend, "header.data_offset", &header->data_offset, right->data_offset, 0);
    isthmus_mend_u64(mend, "header.data_size", &header->data_size, right->data_size, 0);
    /* sync: header-magic. Last. Dies before: nobody can attach, as before. */
    isthmus_mend_u64(mend, "header.magic", &header->magic, ISTHMUS_MAGIC, 0);
}

/* Flags that no such object can have say nothing: then it shall rather stay than go. */
static void mend_flags(const struct object *object, uint32_t kind, uint32_t participants)
{
    uint32_t *word = &object->primitive->flags;
    const uint32_t flags = *word;
    if (!(flags & ~isthmus_primitive_flags(kind)) &&
        isthmus_primitive_has_participants(kind, flags) == (participants != 0))
        return;
    uint32_t right = ISTHMUS_PERSIST;
    if (kind == ISTHMUS_KIND_SEMAPHORE && participants)
        right |= ISTHMUS_ROBUST;
    isthmus_mend_u32(object->mend, "primitive.flags", word, right, ISTHMUS_MENDED_GUESSED);
}

static void mend_primitive(const struct object *object, uint32_t kind, uint32_t participants)
{
    struct isthmus_shared_primitive *primitive = object->primitive;
    struct isthmus_mend *mend = object->mend;
    isthmus_mend_u32(mend, "primitive.kind", &primitive->kind, kind, 0);
    mend_flags(object, kind, participants);
    isthmus_mend_u64(mend, "primitive.fingerprint", &primitive->fingerprint,
                     isthmus_layout_fingerprint(kind), 0);
    isthmus_mend_u32(mend, "primitive.participants", &primitive->participants, participants, 0);
    isthmus_mend_u64(mend, "primitive.magic", &primitive->magic, ISTHMUS_PRIMITIVE_MAGIC, 0);
}

/* ---- Locks and the like ---------------------------------------------------------------------- */

static int mend_plain(const struct object *object, uint32_t kind)
{
    const uint64_t fits = (object->size - SLOTS) / EACH;
    const uint32_t by_header = object->header->participants_count;
    const uint32_t by_primitive = object->primitive->participants;
    uint64_t count = by_header;
    if (kind == ISTHMUS_KIND_EVENT || kind == ISTHMUS_KIND_ATOMIC_INT)
        count = 0;
    else if (by_header != by_primitive && (object->size - SLOTS) % EACH == 0)
        count = fits; /* which one of them is borne out by it, or neither */
    if (count > ISTHMUS_PARTICIPANTS_MAX || (count == 0 && kind != ISTHMUS_KIND_SEMAPHORE &&
                                             isthmus_primitive_has_participants(kind, 0)))
        return -ISTHMUS_E_CORRUPT;
    if (count > fits)
        return -ISTHMUS_E_TRUNCATED;
    const struct isthmus_shared_header right = {
        .kind = kind,
        .total_size = SLOTS + count * EACH,
        .control_offset = PLACE,
        .control_size = ISTHMUS_PRIMITIVE_SIZE(0),
        .participants_offset = count ? SLOTS : PLACE,
        .participants_count = (uint32_t)count,
        .participant_size = count ? (uint32_t)EACH : 0,
        .data_offset = SLOTS + count * EACH,
    };
    mend_primitive(object, kind, (uint32_t)count);
    mend_header(object, &right);
    return 0;
}

/* ---- Rings --------------------------------------------------------------------------------- */

/* One way in which all could fit together, and how much of what is there agrees with it. */
struct fit {
    struct isthmus_ring_plan plan;
    struct isthmus_ring_extent extent;
    int agrees;
    /* `agrees`, and what the words say of one piece or two. */
    int weight;
};

/* Whether a word is what it would be: what is only not zero may be damage. */
static int pieces_agree(const struct isthmus_shared_ring *ring, const struct fit *fit)
{
    if (fit->plan.max_attempts == 0)
        return (ring->max_attempts == 0) + (ring->aside_offset == 0);
    return (ring->max_attempts != 0 && ring->max_attempts <= UINT16_MAX) +
           (ring->aside_offset == fit->extent.data_offset + fit->plan.capacity);
}

static void try_fit(const struct object *object, struct fit *best, uint32_t kind,
                    uint32_t participants, uint64_t capacity, uint32_t pieces)
{
    const struct isthmus_shared_header *header = object->header;
    const struct isthmus_shared_ring *ring = object->ring;
    struct fit fit = {.plan = {.kind = kind,
                               .participants = participants,
                               .capacity = capacity,
                               .max_attempts = pieces - 1}};
    if (participants == 0 || participants > ISTHMUS_PARTICIPANTS_MAX ||
        capacity < ISTHMUS_RING_MIN || capacity > ISTHMUS_CAPACITY_MAX ||
        (capacity & (capacity - 1)) != 0 || (pieces == 2 && kind == ISTHMUS_KIND_TOPIC))
        return;
    isthmus_ring_measure(&fit.plan, &fit.extent);
    if (fit.extent.total_size != object->size)
        return;
    fit.agrees = 1 + (header->participants_count == participants) +
                 (object->primitive->participants == participants) + (ring->capacity == capacity) +
                 (ring->cursors_offset == fit.extent.cursors_offset) +
                 (ring->seats_offset == fit.extent.seats_offset) +
                 (ring->data_offset == fit.extent.data_offset) +
                 (header->data_offset == fit.extent.data_offset) +
                 (header->data_size == pieces * capacity) + pieces_agree(ring, &fit);
    /* That the capacity is just this one is no accident; both of the others can be wiped at once.
     */
    fit.weight = fit.agrees + 2 * (ring->capacity == capacity);
    if (fit.weight > best->weight)
        *best = fit;
}

static void mend_extents(const struct object *object, const struct fit *fit)
{
    struct isthmus_shared_ring *ring = object->ring;
    struct isthmus_mend *mend = object->mend;
    const int aside = fit->plan.max_attempts != 0;
    isthmus_mend_u64(mend, "ring.capacity", &ring->capacity, fit->plan.capacity, 0);
    isthmus_mend_u64(mend, "ring.cursors_offset", &ring->cursors_offset, fit->extent.cursors_offset,
                     0);
    isthmus_mend_u64(mend, "ring.seats_offset", &ring->seats_offset, fit->extent.seats_offset, 0);
    isthmus_mend_u64(mend, "ring.data_offset", &ring->data_offset, fit->extent.data_offset, 0);
    isthmus_mend_u64(mend, "ring.aside_offset", &ring->aside_offset,
                     aside ? fit->extent.data_offset + fit->plan.capacity : 0, 0);
    if (fit->plan.kind == ISTHMUS_KIND_TOPIC)
        isthmus_mend_u64(mend, "ring.maxsize", &ring->maxsize, 0, 0);
    if (!aside)
        isthmus_mend_u32(mend, "ring.max_attempts", &ring->max_attempts, 0, 0);
    else if (ring->max_attempts == 0 || ring->max_attempts > UINT16_MAX)
        /* As good as no limit: nothing is set aside that should not be. */
        isthmus_mend_u32(mend, "ring.max_attempts", &ring->max_attempts, UINT16_MAX,
                         ISTHMUS_MENDED_GUESSED);
}

static int mend_ring(const struct object *object, uint32_t kind)
{
    /* By the offsets there are so many, or one less; with less nobody gets a place beyond the end.
     */
    const uint64_t by_cursors = (object->ring->cursors_offset - SLOTS) / EACH;
    const uint64_t by_seats =
        (object->ring->seats_offset - sizeof(struct isthmus_shared_cursors) - SLOTS) / EACH;
    const uint32_t counts[] = {object->header->participants_count,
                               object->primitive->participants,
                               (uint32_t)by_cursors - 1,
                               (uint32_t)by_cursors,
                               (uint32_t)by_seats - 1,
                               (uint32_t)by_seats};
    struct fit best = {.weight = 0};
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (uint32_t pieces = 1; pieces <= 2; pieces++) {
            struct isthmus_ring_extent extent;
            const struct isthmus_ring_plan plan = {.participants = counts[i],
                                                   .capacity = ISTHMUS_RING_MIN};
            if (counts[i] == 0 || counts[i] > ISTHMUS_PARTICIPANTS_MAX)
                continue;
            /* What is left of the file beside the tables must be the capacity, once or twice. */
            isthmus_ring_measure(&plan, &extent);
            if (object->size > extent.data_offset)
                try_fit(object, &best, kind, counts[i],
                        (object->size - extent.data_offset) / pieces, pieces);
        }
    /* Most of it must agree with what is borne out by the size: else that is what is wrong. */
    if (best.agrees < 5) {
        const struct isthmus_shared_header *header = object->header;
        const uint64_t end = object->ring->data_offset + header->data_size;
        return object->size < end && end == header->total_size ? -ISTHMUS_E_TRUNCATED
                                                               : -ISTHMUS_E_CORRUPT;
    }
    const struct isthmus_shared_header right = {
        .kind = kind,
        .total_size = best.extent.total_size,
        .control_offset = PLACE,
        .control_size = ISTHMUS_PRIMITIVE_SIZE(0),
        .participants_offset = SLOTS,
        .participants_count = best.plan.participants,
        .participant_size = (uint32_t)EACH,
        .data_offset = best.extent.data_offset,
        .data_size = best.plan.capacity * isthmus_ring_pieces(&best.plan),
    };
    mend_extents(object, &best);
    mend_primitive(object, kind, best.plan.participants);
    mend_header(object, &right);
    return 0;
}

/* ---- The whole ----------------------------------------------------------------------------- */

int isthmus_mend_constants(void *data, size_t size, struct isthmus_mend *mend)
{
    struct isthmus_shared_header *header = data;
    if (size < PLACE + ISTHMUS_PRIMITIVE_SIZE(0))
        return -ISTHMUS_E_TRUNCATED;
    const struct object object = {
        .header = header,
        .primitive = (struct isthmus_shared_primitive *)((char *)data + PLACE),
        .ring = (struct isthmus_shared_ring *)((char *)data + PLACE +
                                               sizeof(struct isthmus_shared_primitive)),
        .size = size,
        .mend = mend,
    };
    const uint32_t kind = kind_of(&object);
    const int array = isthmus_mend_array(data, size, mend);
    if (array != -ENOENT)
        return array;
    if (kind == 0 && header->magic == ISTHMUS_MAGIC && header->version != ISTHMUS_FORMAT_VERSION &&
        header->version < VERSIONS)
        return -ISTHMUS_E_VERSION;
    if (kind == 0)
        return header->magic == ISTHMUS_MAGIC || object.primitive->magic == ISTHMUS_PRIMITIVE_MAGIC
                   ? -ISTHMUS_E_CORRUPT
                   : -ISTHMUS_E_FOREIGN;
    const int error = strange(&object, kind);
    if (error)
        return error;
    return isthmus_ring_kind(kind) ? mend_ring(&object, kind) : mend_plain(&object, kind);
}
