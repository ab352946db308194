/* The ledger of messages, and the messages. */
#include "ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct accounts *accounts;

void ledger_map(void)
{
    /* Most of it is never touched. */
    void *memory = mmap(NULL, RINGS * sizeof *accounts, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        fail("no memory for the ledger: %s", strerror(errno));
    accounts = memory;
}

void ledger_clear(void)
{
    for (unsigned ring = 0; ring < RINGS; ring++) {
        for (unsigned i = 0; i < ACTORS; i++) {
            struct log *log = &accounts[ring].logs[i];
            /* Only as much as is in use: the rest need not exist. */
            if (log->begun || log->next || log->copying || log->taking)
                memset(log, 0, offsetof(struct log, entries) + log->begun * sizeof(struct entry));
        }
        memset(&accounts[ring], 0, offsetof(struct accounts, logs));
    }
}

void ledger_forget(unsigned actor)
{
    for (unsigned ring = 0; ring < RINGS; ring++) {
        struct accounts *account = &accounts[ring];
        struct log *log = &account->logs[actor];
        for (unsigned i = 0; i < get(&log->taking) && i < BATCH; i++) {
            const struct mark mark = log->taken[i];
            __atomic_fetch_or(&account->logs[mark.actor].entries[mark.number].marks, DOUBT,
                              __ATOMIC_SEQ_CST);
        }
        add(&account->lost, get(&log->copying));
        put(&log->taking, 0);
        put(&log->copying, 0);
        /* What it may have put has its number for ever. */
        put(&log->next, get(&log->begun));
    }
}

void ledger_count(unsigned ring, uint64_t *sure, uint64_t *perhaps)
{
    *sure = *perhaps = 0;
    for (unsigned i = 0; i < ACTORS; i++) {
        const struct log *log = &accounts[ring].logs[i];
        for (unsigned k = 0; k < log->begun; k++) {
            *sure += (log->entries[k].marks & PUT) != 0;
            *perhaps += (log->entries[k].marks & PUT) == 0;
        }
    }
}

void ledger_require_complete(unsigned ring)
{
    const struct accounts *account = &accounts[ring];
    uint64_t missing = 0;
    for (unsigned i = 0; i < ACTORS; i++) {
        const struct log *log = &account->logs[i];
        for (unsigned k = 0; k < log->begun; k++) {
            const uint32_t marks = log->entries[k].marks;
            if (!(marks & PUT) || marks & (GOT | ENDING | ENDED | DOUBT))
                continue;
            missing++;
            if (missing > account->lost)
                fail("%s: message %u of actor %u was put and never came out (marks %x); %" PRIu64
                     " are missing, %" PRIu64 " may be",
                     objects[FIRST_RING + ring].label, k, i, (unsigned)marks, missing,
                     account->lost);
        }
    }
}

/* ---- Making messages ------------------------------------------------------------------------- */

struct log *own_log(const struct self *self, unsigned ring)
{
    return &accounts[ring].logs[self->actor];
}

uint32_t some_size(struct self *self, unsigned ring)
{
    const uint32_t head = (uint32_t)sizeof(struct message), choice = pick(self, 100);
    if (choice < 80)
        return head + pick(self, 200);
    if (choice < 97)
        return head + pick(self, 1000);
    return head + pick(self, (uint32_t)ring_plan(ring).capacity / 3);
}

unsigned may_put(const struct self *self, unsigned ring, unsigned count)
{
    struct log *log = own_log(self, ring);
    const uint32_t next = get(&log->next);
    if (next + count > MESSAGES)
        return 0;
    put(&log->begun, next + count);
    return count;
}

void have_put(const struct self *self, unsigned ring, unsigned count)
{
    struct log *log = own_log(self, ring);
    const uint32_t next = get(&log->next);
    for (unsigned i = 0; i < count; i++)
        __atomic_fetch_or(&log->entries[next + i].marks, PUT, __ATOMIC_SEQ_CST);
    /* In this order: one that dies here has a gap in its numbers. */
    put(&log->next, next + count);
    put(&log->begun, next + count);
    add(&accounts[ring].tally.put, count);
}

static uint64_t mix(uint64_t state, uint64_t value)
{
    state = (state ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return state ^ state >> 29;
}

static uint64_t start_of(const struct message *message)
{
    return mix(mix(message->ring + 1, (uint64_t)message->actor << 32 | message->number),
               message->size);
}

/* The byte at `place` of what follows the head. */
static unsigned char byte_at(uint64_t start, uint32_t place)
{
    return (unsigned char)(start >> (place % 8 * 8)) ^ (unsigned char)place;
}

void fill(const struct self *self, unsigned ring, unsigned ahead, void *memory, uint32_t size)
{
    struct message message = {.ring = ring,
                              .actor = self->actor,
                              .number = get(&own_log(self, ring)->next) + ahead,
                              .size = size};
    const uint64_t start = start_of(&message);
    unsigned char *bytes = memory;
    message.check = mix(start, stress->round);
    memcpy(bytes, &message, sizeof message);
    for (uint32_t i = sizeof message; i < size; i++)
        bytes[i] = byte_at(start, i);
}

/* ---- What comes out -------------------------------------------------------------------------- */

void require_whole(unsigned ring, const void *memory, uint64_t size, struct message *message)
{
    const char *label = objects[FIRST_RING + ring].label;
    const unsigned char *bytes = memory;
    if (size < sizeof *message)
        fail("%s: a message of %" PRIu64 " bytes", label, size);
    memcpy(message, bytes, sizeof *message);
    if (message->size != size || message->ring != ring || message->actor >= ACTORS ||
        message->number >= MESSAGES)
        fail("%s: a message that nobody put: ring %u, actor %u, number %u, size %u, but %" PRIu64
             " bytes",
             label, message->ring, message->actor, message->number, message->size, size);
    const uint64_t start = start_of(message);
    if (message->check != mix(start, stress->round))
        fail("%s: message %u of actor %u is torn", label, message->number, message->actor);
    for (uint32_t i = sizeof *message; i < size; i++)
        if (bytes[i] != byte_at(start, i))
            fail("%s: message %u of actor %u, %" PRIu64 " bytes, is torn at %u", label,
                 message->number, message->actor, size, i);
    if (message->number >= get(&accounts[ring].logs[message->actor].begun))
        fail("%s: message %u of actor %u came before it was put", label, message->number,
             message->actor);
}

struct entry *entry_of(unsigned ring, const struct message *message)
{
    return &accounts[ring].logs[message->actor].entries[message->number];
}

/* It may come once more only when one was put back by somebody who died over it. */
static void require_open(unsigned ring, const struct message *message, uint32_t marks)
{
    const uint32_t mover = get(&entry_of(ring, message)->mover);
    if (marks & (GOT | ENDED) && !(mover && is_doomed(mover)))
        fail("%s: message %u of actor %u came again (marks %x)", objects[FIRST_RING + ring].label,
             message->number, message->actor, (unsigned)marks);
}

static void require_not_held(unsigned ring, const struct message *message, uint32_t holder)
{
    if (holder && !is_doomed(holder))
        fail("%s: message %u of actor %u is leased by %08x, who lives",
             objects[FIRST_RING + ring].label, message->number, message->actor, (unsigned)holder);
}

void have_got(unsigned ring, const struct message *message)
{
    struct entry *entry = entry_of(ring, message);
    require_not_held(ring, message, exchange(&entry->holder, 0));
    require_open(ring, message, __atomic_fetch_or(&entry->marks, GOT, __ATOMIC_SEQ_CST));
    add(&accounts[ring].tally.got, 1);
}

void have_leased(struct self *self, unsigned ring, const struct message *message,
                 const struct isthmus_record *record, uint64_t began)
{
    struct entry *entry = entry_of(ring, message);
    const uint32_t before = exchange(&entry->holder, self->identity);
    require_not_held(ring, message, before);
    const uint32_t marks = add(&entry->marks, LEASE);
    require_open(ring, message, marks);
    /* With this one. One that died before it could say so here may have leased it as well. */
    if (record->attempts <= marks / LEASE)
        fail("%s: message %u of actor %u says attempt %u, after %u",
             objects[FIRST_RING + ring].label, message->number, message->actor, record->attempts,
             (unsigned)(marks / LEASE));
    if (before)
        took_over(before, began);
    add(&accounts[ring].tally.leased, 1);
}
