/*
 * The process that is not killed: it holds the objects that shall not start anew, does now
 * and then what those that wait for ever wait for, and at the end looks at everything once more.
 */
#include "stress.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NS 2000000

static void tend_all(struct self *self)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        if (!objects[i].tend)
            continue;
        begin(self, "tends", i);
        objects[i].tend(self, i);
    }
    begin(self, NULL, 0);
}

static void conclude_all(struct self *self)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        if (!objects[i].conclude)
            continue;
        begin(self, "looks at the end of", i);
        objects[i].conclude(self, i);
    }
    begin(self, NULL, 0);
}

void watch_over(uint64_t random)
{
    static const struct timespec pause_between = {.tv_nsec = PAUSE_NS};
    struct isthmus_primitive handles[FIRST_RING];
    struct isthmus_ring rings[RINGS];
    static struct hearing hearings[RINGS];
    struct isthmus_segment segment;
    struct self self = {.actor = WARDEN * PER_PROCESS,
                        .random = random | 1,
                        .handles = handles,
                        .rings = rings,
                        .hearings = hearings,
                        .segment = &segment};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != stress->supervisor)
        _exit(0);
    memset(handles, 0, sizeof handles);
    memset(rings, 0, sizeof rings);
    self.identity = get(&stress->actors[self.actor].life) << 8 | (self.actor + 1);
    int error = isthmus_segment_attach(&segment, stress->segment, NULL);
    if (error)
        fail("%s: %s", stress->segment, strerror(-error));
    for (unsigned i = 0; i < OBJECTS; i++)
        if (objects[i].lasts == KEPT || objects[i].place != NAMED)
            open_object(&self, i);
    put(&stress->ready, 1);
    /* The others are opened late, and only for a while: they shall start anew now and then. */
    while (!get(&stress->finish)) {
        for (unsigned i = 0; i < OBJECTS; i++)
            if (!handle_of(&self, i)->shared && objects[i].lasts != FLEETING)
                open_object(&self, i);
        tend_all(&self);
        if (!get(&stress->stop))
            for (unsigned i = 0; i < OBJECTS; i++)
                if (objects[i].place == NAMED && objects[i].lasts != KEPT)
                    close_object(&self, i);
        nanosleep(&pause_between, NULL);
    }
    for (unsigned i = 0; i < OBJECTS; i++)
        if (!handle_of(&self, i)->shared && objects[i].lasts != FLEETING)
            open_object(&self, i);
    conclude_all(&self);
    close_all(&self);
    isthmus_segment_close(&segment);
    _exit(0);
}
