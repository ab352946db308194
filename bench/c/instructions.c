/*
 * What callgrind counts: so many times 64 bytes are put, then got. Collecting is switched on in
 * the functions whose names begin with "counted_" only.
 */
#include <isthmus/isthmus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE 64

static struct isthmus_ring ring;
static char message[SIZE];

static void must(int result, const char *what)
{
    if (result == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(-result));
    exit(1);
}

__attribute__((noinline)) static void counted_put(long count)
{
    for (long i = 0; i < count; i++)
        must(isthmus_ring_write(&ring, message, SIZE, ISTHMUS_FOREVER), "isthmus_ring_write");
}

__attribute__((noinline)) static void counted_get(long count)
{
    size_t size;
    for (long i = 0; i < count; i++)
        must(isthmus_ring_read(&ring, message, SIZE, &size, ISTHMUS_FOREVER), "isthmus_ring_read");
}

/* Not counted: the first ones are not like the others. */
__attribute__((noinline)) static void both(void)
{
    size_t size;
    for (int i = 0; i < 10; i++) {
        must(isthmus_ring_write(&ring, message, SIZE, ISTHMUS_FOREVER), "isthmus_ring_write");
        must(isthmus_ring_read(&ring, message, SIZE, &size, ISTHMUS_FOREVER), "isthmus_ring_read");
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "instructions queue|topic COUNT\n");
        return 2;
    }
    uint32_t kind = strcmp(argv[1], "topic") ? ISTHMUS_KIND_QUEUE : ISTHMUS_KIND_TOPIC;
    long count = atol(argv[2]);
    struct isthmus_ring_plan plan = {.kind = kind, .capacity = 1 << 20};
    must(isthmus_ring_anonymous(&ring, &plan), "isthmus_ring_anonymous");
    if (kind == ISTHMUS_KIND_TOPIC)
        must(isthmus_topic_subscribe(&ring, ISTHMUS_START_NEXT), "isthmus_topic_subscribe");
    both();
    counted_put(count);
    counted_get(count);
    isthmus_ring_close(&ring);
    return 0;
}
