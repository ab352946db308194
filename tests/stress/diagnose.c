/* Who does what since when, and who holds what, without taking part. To standard error. */
#include "stress.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

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

static void print_participants(const struct glimpse *glimpse)
{
    const struct isthmus_shared_participant *slots =
        (const void *)((const char *)glimpse->shared + ISTHMUS_PRIMITIVE_SIZE(0));
    const uint32_t owner = get((const uint32_t *)(glimpse->shared + 1)) & ISTHMUS_WORD_OWNER;
    const uint32_t count = get(&glimpse->shared->participants), used = get(&glimpse->shared->used);
    for (uint32_t i = 0; i < used && i < count && i < PARTICIPANTS; i++) {
        const struct isthmus_shared_participant *slot = &slots[i];
        const uint64_t byte =
            ISTHMUS_LOCK_BYTES + glimpse->place + ISTHMUS_PRIMITIVE_SIZE(0) + sizeof *slot * i;
        /* The others are in nobody's way. */
        if (!get(&slot->share) && !get(&slot->waiting) && i + 1 != owner)
            continue;
        fprintf(stderr, "    slot %u: pid %u, %s, share %u (round %u), %u waiting\n", i,
                get(&slot->pid), held(glimpse->fd, byte) ? "alive" : "dead", get(&slot->share),
                get(&slot->round), get(&slot->waiting));
    }
}

static void print_object(unsigned object)
{
    struct glimpse glimpse;
    glance(object, &glimpse);
    fprintf(stderr, "  %s:", objects[object].label);
    if (glimpse.shared) {
        const uint32_t *state = (const uint32_t *)(glimpse.shared + 1);
        for (unsigned i = 0; i < 8; i++)
            fprintf(stderr, " %08x", get(&state[i]));
        if (objects[object].kind == ISTHMUS_KIND_CONDITION)
            for (unsigned i = 16; i < 22; i++)
                fprintf(stderr, " %08x", get(&state[i]));
        fprintf(stderr, ", %08x inside\n", (unsigned)get(&stress->facts[object].exclusive.inside));
        print_participants(&glimpse);
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
