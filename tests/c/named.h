/* One name and two handles, for the tests of how primitives of every kind are made and shared. */
#ifndef NAMED_H
#define NAMED_H

#include "check.h"
#include "fixture.h"
#include <isthmus/isthmus.h>
#include <unistd.h>

static char name[FIXTURE_NAME_SIZE], path[FIXTURE_PATH_SIZE];
static struct isthmus_primitive first, second;

static struct isthmus_primitive_plan plan_of(uint32_t kind)
{
    return (struct isthmus_primitive_plan){
        .kind = kind,
        .flags = kind == ISTHMUS_KIND_SEMAPHORE ? ISTHMUS_ROBUST : 0,
        .participants = 4,
        .value = kind == ISTHMUS_KIND_BARRIER || kind == ISTHMUS_KIND_SEMAPHORE ? 2 : 0,
    };
}

static struct isthmus_primitive_plan begin(uint32_t kind)
{
    char escaped[ISTHMUS_NAME_MAX + 1];
    fixture_name(name);
    CHECK_OK(isthmus_name_escape(name, escaped));
    fixture_path(path, escaped);
    return plan_of(kind);
}

static int is_there(void)
{
    return access(path, F_OK) == 0;
}

static int open_it(struct isthmus_primitive *primitive, uint32_t kind)
{
    const struct isthmus_primitive_plan plan = plan_of(kind);
    return isthmus_primitive_open(primitive, name, &plan, NULL, NULL);
}

#endif
