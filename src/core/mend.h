/*
 * Mending what is damaged: finding what an object's bytes contradict each other in, and making
 * of it what the rest says. For one who was asked to repair; nothing here is done in passing.
 *
 * Each is a function of what is in memory, of an object that is in use or of a copy of one, and may
 * be cut off at any step and done again from the start. What it has found and done is written down.
 */
#ifndef ISTHMUS_MEND_H
#define ISTHMUS_MEND_H

#include <isthmus/isthmus.h>

#define ISTHMUS_MENDED_LOSSY 1u   /* something is lost by it */
#define ISTHMUS_MENDED_LEFT 2u    /* found, and left alone: it takes isthmus_mend.lossy */
#define ISTHMUS_MENDED_GUESSED 4u /* nothing tells what it was: the safe side was chosen */

struct isthmus_mended {
    const char *what; /* a field, as "header.kind", or "record", "aside.record" … */
    uint32_t flags;   /* ISTHMUS_MENDED_* */
    uint64_t position;
    uint64_t before, after; /* of a record: the numbers of the messages that are lost, and the next
                               one; UINT64_MAX: not known */
};

/* More than there are fields; of damaged records, the first ones. */
#define ISTHMUS_MENDED_MOST 96u

struct isthmus_mend {
    int lossy;           /* may messages be lost? */
    const uint8_t *dead; /* of each slot: not to be looked at; NULL: none */
    uint32_t count, more;
    struct isthmus_mended found[ISTHMUS_MENDED_MOST];
};

/*
 * All that is constant: header, primitive, ring or array. Whoever has the object open does not
 * read that again. 0; -ISTHMUS_E_TRUNCATED, -ISTHMUS_E_VERSION, -ISTHMUS_E_LAYOUT,
 * -ISTHMUS_E_FOREIGN: too little is left to tell that it is one of ours; -ISTHMUS_E_CORRUPT: it is,
 * but not what.
 */
int isthmus_mend_constants(void *data, size_t size, struct isthmus_mend *mend);
/* The part of it for arrays, whose header says so or said so. */
int isthmus_mend_array(void *data, size_t size, struct isthmus_mend *mend);

/* What changes: of any object, of whose dead nothing is left; of a ring, under both of its locks.
 */
void isthmus_mend_table(const struct isthmus_primitive *primitive, struct isthmus_mend *mend);
void isthmus_mend_queue(struct isthmus_ring *queue, struct isthmus_mend *mend);
void isthmus_mend_topic(struct isthmus_ring *topic, struct isthmus_mend *mend);

/*
 * Take both locks of a ring, in order, and give them back; afterwards all that wait are woken.
 * -ETIMEDOUT, -EINTR: *word is the one that another has.
 */
int isthmus_mend_begin(struct isthmus_ring *ring, uint64_t deadline, uint32_t *word);
void isthmus_mend_end(struct isthmus_ring *ring);

/* ---- For these functions themselves ----------------------------------------------------- */

/* Write down what was found. */
void isthmus_mend_note(struct isthmus_mend *mend, const char *what, uint32_t flags,
                       uint64_t position, uint64_t before, uint64_t after);
/* Make a word what it should be, if it is another. 1: it was. */
int isthmus_mend_u32(struct isthmus_mend *mend, const char *what, uint32_t *word, uint32_t value,
                     uint32_t flags);
int isthmus_mend_u64(struct isthmus_mend *mend, const char *what, uint64_t *word, uint64_t value,
                     uint32_t flags);

/* Bytes with records in them: those of a ring, or of what a queue has set aside. */
struct isthmus_mend_bytes {
    const struct isthmus_ring *ring;
    unsigned char *data;
    int numbered; /* the numbers of the records grow by one */
};
/* Check the record at `position`, before `to`. */
int isthmus_mend_look(const struct isthmus_mend_bytes *bytes, uint64_t position, uint64_t to,
                      struct isthmus_record *record, uint64_t *span);
/* Follow records from `position` on: where that ends, `to` if all are sound. */
struct isthmus_mend_walk {
    uint64_t position;
    uint64_t first, next; /* numbers: of the first record, and after the last one */
    uint64_t count;
};
void isthmus_mend_follow(const struct isthmus_mend_bytes *bytes, uint64_t position, uint64_t to,
                         struct isthmus_mend_walk *walk);

/* A cursor that may be wrong, and what else tells where it could be. */
struct isthmus_mend_cursor {
    uint64_t now;
    const struct isthmus_shared_note *note; /* NULL: it has none */
    uint64_t hint;
};
/*
 * Where a ring begins and ends. 1: they are as they should be; 0: they were not, and now *from and
 * *to are; -1: nothing tells.
 */
int isthmus_mend_ends(const struct isthmus_mend_bytes *bytes,
                      const struct isthmus_mend_cursor *lower,
                      const struct isthmus_mend_cursor *upper, uint64_t *from, uint64_t *to);
/* Does one of the two notes say how many messages lie before `position`? */
int isthmus_mend_noted(const struct isthmus_shared_note note[2], uint64_t position,
                       uint64_t *count);
/* Make them say so. */
void isthmus_mend_count(struct isthmus_mend *mend, const char *what,
                        struct isthmus_shared_note note[2], uint64_t position, uint64_t count);
/* The most plausible of these counts, where none is noted: the largest that is no garbage. */
uint64_t isthmus_mend_largest(const struct isthmus_shared_cursors *cursors);

#endif
