/*
 * Publish frames, and watch them, together with other processes in C or Python
 * (examples/python/topic_feed.py). Frames are written and read in place, in the ring. Any of the
 * processes may be killed at any time: nobody sees half a frame, and nobody waits for the dead.
 *
 *     topic_feed NAME publish COUNT   publish frames number 0 to COUNT - 1
 *     topic_feed NAME half            write half a frame and stay there, until killed
 *     topic_feed NAME watch           print what comes, up to and with the frame that ends it
 *     topic_feed NAME stare           keep the first frame in view, until killed
 *     topic_feed NAME end             publish a frame without elements: it ends those that watch
 *     topic_feed NAME remove          remove the topic
 */
#include "frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROWS 16
#define COLUMNS 16

/* It stays until it is removed, and holds some thirty frames: nobody gets far ahead. */
static const struct isthmus_ring_plan plan = {
    .kind = ISTHMUS_KIND_TOPIC,
    .flags = ISTHMUS_PERSIST,
    .capacity = 1 << 16,
};

/* ---- Publishing ---------------------------------------------------------------------- */

/* Wait for room for a frame, as long as a subscriber that lives has not read what is there. */
static int begin_frame(struct isthmus_ring *topic, struct isthmus_write *write, uint64_t rows,
                       struct frame *frame)
{
    int error;
    for (;;) {
        /* For long: others that only try to publish are told so, and do not wait. */
        error = isthmus_write_begin(topic, write, 1, ISTHMUS_FOREVER);
        if (!error) {
            error = frame_reserve(topic, write, rows, COLUMNS, frame);
            if (!error)
                return 0;
            isthmus_write_abort(topic, write);
        }
        if (error == -EAGAIN)
            error = isthmus_write_await(topic, write, ISTHMUS_FOREVER);
        if (error && error != -EINTR)
            return error;
    }
}

static int publish(struct isthmus_ring *topic, uint64_t count)
{
    struct isthmus_write write;
    struct frame frame;
    for (uint64_t number = 0; number < count; number++) {
        const int error = begin_frame(topic, &write, ROWS, &frame);
        if (error)
            return error;
        for (uint64_t i = 0; i < ROWS * COLUMNS; i++)
            frame.elements[i] = (double)number;
        /* Killed before this: there is no such frame. After: there is, whole. */
        isthmus_write_commit(topic, &write);
    }
    return 0;
}

static int half(struct isthmus_ring *topic)
{
    struct isthmus_write write;
    struct frame frame;
    const int error = begin_frame(topic, &write, ROWS, &frame);
    if (error)
        return error;
    for (uint64_t i = 0; i < ROWS * COLUMNS / 2; i++)
        frame.elements[i] = -1;
    puts("half a frame");
    fflush(stdout);
    for (;;)
        pause();
}

static int end(struct isthmus_ring *topic)
{
    struct isthmus_write write;
    struct frame frame;
    const int error = begin_frame(topic, &write, 0, &frame);
    if (!error)
        isthmus_write_commit(topic, &write);
    return error;
}

/* ---- Watching ------------------------------------------------------------------------ */

/* Wait for the next frame. It stays as it is, in the ring, until it is unpinned. */
static int view(struct isthmus_ring *topic, struct frame *frame)
{
    struct isthmus_record record;
    struct isthmus_read read;
    int error;
    for (;;) {
        error = isthmus_read_begin(topic, &read, ISTHMUS_FOREVER);
        if (!error) {
            error = isthmus_read_next(topic, &read, &record);
            if (!error)
                error = isthmus_topic_pin(topic, record.position);
            if (!error)
                break;
            isthmus_read_abort(topic, &read);
        }
        if (error == -EAGAIN)
            error = isthmus_read_await(topic, &read, ISTHMUS_FOREVER);
        /* -ESTALE, where publishers overwrite: it was about to go. Look again. */
        if (error && error != -EINTR && error != -ESTALE)
            return error;
    }
    isthmus_read_commit(topic, &read);
    return frame_look(&record, frame);
}

static int subscribe(struct isthmus_ring *topic)
{
    const int error = isthmus_topic_subscribe(topic, ISTHMUS_START_NEXT);
    if (error)
        return error;
    puts("subscribed");
    return fflush(stdout) ? -errno : 0;
}

static int watch(struct isthmus_ring *topic)
{
    struct frame frame;
    int error = subscribe(topic), ended = 0;
    while (!error && !ended) {
        error = view(topic, &frame);
        if (error)
            return error;
        ended = frame.rows == 0;
        if (!ended)
            printf("frame %.0f, sum %.0f\n", frame.elements[0], frame_sum(&frame));
        error = isthmus_topic_pin(topic, UINT64_MAX);
    }
    if (!error)
        printf("missed %" PRIu64 "\n", isthmus_topic_missed(topic));
    return error;
}

static int stare(struct isthmus_ring *topic)
{
    struct frame frame;
    int error = subscribe(topic);
    if (!error)
        error = view(topic, &frame);
    if (error)
        return error;
    printf("frame %.0f in view\n", frame.elements[0]);
    fflush(stdout);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*act)(struct isthmus_ring *topic);
    } commands[] = {{"half", half}, {"watch", watch}, {"stare", stare},
                    {"end", end},   {"remove", NULL}, {"publish", NULL}};
    const size_t last = sizeof commands / sizeof commands[0] - 1;
    struct isthmus_ring topic;
    unsigned long long count = 0;
    char *rest = "";
    size_t which = 0;

    while (argc > 2 && which < last && strcmp(argv[2], commands[which].name))
        which++;
    const int publishes = argc > 2 && !strcmp(argv[2], commands[last].name);
    if (argc == 4 && publishes) {
        errno = 0;
        count = strtoull(argv[3], &rest, 10);
    }
    if (argc != 3 + publishes || *rest || (which == last) != publishes ||
        (publishes && (*argv[3] < '0' || *argv[3] > '9'))) {
        fputs("usage: topic_feed NAME publish COUNT\n"
              "       topic_feed NAME half|watch|stare|end|remove\n",
              stderr);
        return 2;
    }
    int error = isthmus_ring_open(&topic, argv[1], &plan, NULL, NULL);
    if (!error) {
        error = publishes             ? publish(&topic, count)
                : commands[which].act ? commands[which].act(&topic)
                                      : isthmus_ring_unlink(&topic);
        isthmus_ring_close(&topic);
    }
    if (error)
        fprintf(stderr, "topic_feed: %s: %s\n", argv[1], strerror(-error));
    return error ? 1 : 0;
}
