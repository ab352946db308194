/*
 * Put jobs into a queue, and work on them, together with other processes in C or Python
 * (examples/python/queue_feed.py). Any of them may be killed at any time: a job that somebody was
 * working on then goes to another one.
 *
 *     queue_feed NAME put COUNT    put so many jobs: arrays and texts by turns
 *     queue_feed NAME work         work on jobs until the queue is shut down and empty
 *     queue_feed NAME hold         take a job and keep it, until killed
 *     queue_feed NAME end          no more jobs are to come
 *     queue_feed NAME remove       remove the queue
 */
#include "frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* It stays until it is removed: nobody has to be there all the time. */
static const struct isthmus_ring_plan plan = {
    .kind = ISTHMUS_KIND_QUEUE,
    .flags = ISTHMUS_PERSIST,
    .capacity = 1 << 20,
    .max_attempts = 5, /* a job that kills everybody who takes it is set aside at last */
};

/* ---- Putting ------------------------------------------------------------------------- */

static int put_text(struct isthmus_ring *queue, uint64_t number)
{
    char text[32];
    const int size = snprintf(text, sizeof text, "job %" PRIu64, number);
    int error;
    do
        error = isthmus_ring_write(queue, text, (size_t)size, ISTHMUS_FOREVER);
    while (error == -EINTR); /* a signal handler has run; look what it has to say */
    return error;
}

/* In place: the elements are written where the consumer will read them. */
static int put_array(struct isthmus_ring *queue, uint64_t number)
{
    struct isthmus_write write;
    struct frame frame;
    int error;
    for (;;) {
        error = isthmus_write_begin(queue, &write, 0, ISTHMUS_FOREVER);
        if (!error) {
            error = frame_reserve(queue, &write, 2, 1 + number % 4, &frame);
            if (!error)
                break;
            isthmus_write_abort(queue, &write);
        }
        if (error == -EAGAIN) /* it is full */
            error = isthmus_write_await(queue, &write, ISTHMUS_FOREVER);
        if (error && error != -EINTR)
            return error;
    }
    for (uint64_t i = 0; i < frame.rows * frame.columns; i++)
        frame.elements[i] = (double)(number + i);
    /* Killed before this: there is no such job. After: there is, whole. */
    isthmus_write_commit(queue, &write);
    return 0;
}

static int put_jobs(struct isthmus_ring *queue, uint64_t count)
{
    int error = 0;
    for (uint64_t number = 0; number < count && !error; number++)
        error = number % 2 ? put_text(queue, number) : put_array(queue, number);
    return error;
}

/* ---- Working ------------------------------------------------------------------------- */

/* Wait for the next job and lease it. -ESHUTDOWN: there are no more. */
static int lease(struct isthmus_ring *queue, struct isthmus_record *record)
{
    struct isthmus_read read;
    int error;
    for (;;) {
        error = isthmus_read_begin(queue, &read, ISTHMUS_FOREVER);
        if (!error) {
            error = isthmus_read_next(queue, &read, record);
            if (!error)
                return isthmus_queue_lease(queue, &read, record);
            isthmus_read_abort(queue, &read);
        }
        if (error == -EAGAIN) /* it is empty */
            error = isthmus_read_await(queue, &read, ISTHMUS_FOREVER);
        if (error && error != -EINTR)
            return error;
    }
}

/* The work: say what it is, right from the ring. */
static int describe(const struct isthmus_record *record)
{
    struct frame frame;
    printf("message %" PRIu64 ", attempt %" PRIu32 ": ", record->sequence, record->attempts);
    if (record->type == ISTHMUS_TYPE_BYTES)
        printf("%.*s\n", (int)record->size, (const char *)record->data);
    else if (frame_look(record, &frame) == 0)
        printf("%" PRIu64 " x %" PRIu64 ", sum %.0f\n", frame.rows, frame.columns,
               frame_sum(&frame));
    else
        return -EBADMSG;
    return fflush(stdout) ? -errno : 0;
}

static int work(struct isthmus_ring *queue)
{
    struct isthmus_record record;
    int error;
    while ((error = lease(queue, &record)) == 0) {
        error = describe(&record);
        if (error) {
            isthmus_queue_give_back(queue, record.position, record.sequence);
            return error;
        }
        error = isthmus_queue_acknowledge(queue, record.position, record.sequence);
        if (error)
            return error;
    }
    return error == -ESHUTDOWN ? 0 : error;
}

static int hold(struct isthmus_ring *queue)
{
    struct isthmus_record record;
    const int error = lease(queue, &record);
    if (error)
        return error;
    printf("holding message %" PRIu64 "\n", record.sequence);
    fflush(stdout);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    struct isthmus_ring queue;
    unsigned long long count = 0;
    char *rest = "";

    const char *what = argc > 2 ? argv[2] : "";
    const int puts_jobs = !strcmp(what, "put");
    if (argc == 4 && puts_jobs) {
        errno = 0;
        count = strtoull(argv[3], &rest, 10);
    }
    if (argc != 3 + puts_jobs || *rest || (puts_jobs && (*argv[3] < '0' || *argv[3] > '9')) ||
        (!puts_jobs && strcmp(what, "work") && strcmp(what, "hold") && strcmp(what, "end") &&
         strcmp(what, "remove"))) {
        fputs("usage: queue_feed NAME put COUNT\n"
              "       queue_feed NAME work|hold|end|remove\n",
              stderr);
        return 2;
    }
    int error = isthmus_ring_open(&queue, argv[1], &plan, NULL, NULL);
    if (!error) {
        switch (*what) {
        case 'p':
            error = put_jobs(&queue, count);
            break;
        case 'w':
            error = work(&queue);
            break;
        case 'h':
            error = hold(&queue);
            break;
        case 'e':
            error = isthmus_queue_shut_down(&queue, 0);
            break;
        default:
            error = isthmus_ring_unlink(&queue);
        }
        isthmus_ring_close(&queue);
    }
    if (error)
        fprintf(stderr, "queue_feed: %s: %s\n", argv[1], strerror(-error));
    return error ? 1 : 0;
}
