/* Who does what since when, and who holds what, without taking part. To standard error. */
#include "stress.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* Slots that are looked at, however many somebody says that there are. */
#define MOST (2 * ACTORS)

static void print_actors(void)
{
    const uint64_t now = now_ns();
    for (unsigned i = 0; i < ACTORS; i++) {
        const struct actor *actor = &stress->actors[i];
        const char *deed = get(&actor->deed);
        if (!deed)
            continue;
        fprintf(stderr, "actor %2u (identity %08x%s) %s the %s for %" PRIu64 " ms\n", i,
                (unsigned)(get(&actor->life) << 8 | (i + 1)), get(&actor->doomed) ? ", doomed" : "",
                deed, objects[get(&actor->object)].label, (now - get(&actor->began_ns)) / 1000000);
    }
}

/* Does anybody hold this byte? */
static int held(int fd, uint64_t byte)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* owner, other: slot + 1 of who holds something that is not in the table; 0: nobody. */
static void print_participants(const struct glimpse *glimpse, uint32_t owner, uint32_t other)
{
    const struct isthmus_shared_participant *slots =
        (const void *)((const char *)glimpse->shared + ISTHMUS_PRIMITIVE_SIZE(0));
    const uint32_t count = get(&glimpse->shared->participants), used = get(&glimpse->shared->used);
    for (uint32_t i = 0; i < used && i < count && i < MOST; i++) {
        const struct isthmus_shared_participant *slot = &slots[i];
        const uint64_t byte =
            ISTHMUS_LOCK_BYTES + glimpse->place + ISTHMUS_PRIMITIVE_SIZE(0) + sizeof *slot * i;
        /* The others are in nobody's way. */
        if (!get(&slot->share) && !get(&slot->waiting) && i + 1 != owner && i + 1 != other)
            continue;
        fprintf(stderr, "    slot %u: pid %u, %s, share %u (round %u), %u waiting\n", i,
                get(&slot->pid), held(glimpse->fd, byte) ? "alive" : "dead", get(&slot->share),
                get(&slot->round), get(&slot->waiting));
    }
}

#define NUMBER(struct, member)                                                                     \
    fprintf(stderr, " " #member " %" PRIu64, (uint64_t)get(&struct->member))
#define WORD(struct, member) fprintf(stderr, " " #member " %08x", (unsigned)get(&struct->member))

static void print_seats(const struct isthmus_shared_seat *seats, uint32_t used)
{
    for (uint32_t i = 0; i < used && i < MOST; i++) {
        const struct isthmus_shared_seat *seat = &seats[i];
        if (!get(&seat->pin) && !(get(&seat->role) & ISTHMUS_ROLE_SUBSCRIBER))
            continue;
        fprintf(stderr, "    seat %u:", i);
        NUMBER(seat, cursor);
        NUMBER(seat, pin);
        NUMBER(seat, sequence);
        NUMBER(seat, missed);
        WORD(seat, reader);
        WORD(seat, role);
        fputs("\n", stderr);
    }
}

static void print_ring(const struct glimpse *glimpse)
{
    const char *start = (const char *)glimpse->shared - glimpse->place;
    const struct isthmus_shared_ring *ring = (const void *)(glimpse->shared + 1);
    const struct isthmus_shared_cursors *cursors =
        (const void *)(start + get(&ring->cursors_offset));
    NUMBER(ring, capacity);
    NUMBER(cursors, tail);
    NUMBER(cursors, oldest);
    NUMBER(cursors, head);
    NUMBER(cursors, next);
    NUMBER(cursors, out);
    NUMBER(cursors, moving);
    NUMBER(cursors, aside_count);
    fputs("\n   ", stderr);
    WORD(cursors, producer);
    WORD(cursors, loan);
    WORD(cursors, consumer);
    WORD(cursors, returned);
    WORD(cursors, arrival);
    WORD(cursors, room);
    WORD(cursors, finished);
    WORD(cursors, closed);
    fputs("\n", stderr);
    print_participants(glimpse, get(&cursors->producer) & ISTHMUS_WORD_OWNER,
                       get(&cursors->consumer) & ISTHMUS_WORD_OWNER);
    print_seats((const void *)(start + get(&ring->seats_offset)), get(&glimpse->shared->used));
}

static void print_object(unsigned object)
{
    struct glimpse glimpse;
    glance(object, &glimpse);
    fprintf(stderr, "  %s:", objects[object].label);
    if (glimpse.shared && object >= FIRST_RING) {
        print_ring(&glimpse);
    } else if (glimpse.shared) {
        const uint32_t *state = (const uint32_t *)(glimpse.shared + 1);
        for (unsigned i = 0; i < 8; i++)
            fprintf(stderr, " %08x", get(&state[i]));
        if (objects[object].kind == ISTHMUS_KIND_CONDITION)
            for (unsigned i = 16; i < 22; i++)
                fprintf(stderr, " %08x", get(&state[i]));
        fprintf(stderr, ", %08x inside\n", (unsigned)get(&stress->facts[object].exclusive.inside));
        print_participants(&glimpse, get(state) & ISTHMUS_WORD_OWNER, 0);
    } else {
        fprintf(stderr, " not there\n");
    }
    look_away(&glimpse);
}

void diagnose(void)
{
    print_actors();
    for (unsigned i = 0; i < OBJECTS; i++)
        print_object(i);
}
