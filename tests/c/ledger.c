#include "ledger.h"

#include "death.h"
#include <errno.h>

static struct ledger *ledger(void)
{
    return &stage->ledger;
}

/* A victim may die between the two; whoever else takes something does not. */
static void begin_taking(const struct isthmus_ring *ring, uint32_t *word, uint32_t count)
{
    if (ring == &my_ring)
        __atomic_fetch_add(word, count, __ATOMIC_ACQ_REL);
}

static void end_taking(const struct isthmus_ring *ring, uint32_t *word, uint32_t count)
{
    begin_taking(ring, word, 0 - count);
}

/* ---- Putting ------------------------------------------------------------------------------ */

int ledger_put_until(struct isthmus_ring *ring, enum ledger_who who, uint64_t deadline)
{
    const uint32_t number = peek(&ledger()->put[who]);
    CHECK(number < LEDGER_MESSAGES);
    poke(&ledger()->begun[who], number + 1);
    const int result = rings_write(ring, who, number, MESSAGE_SIZE, deadline);
    poke(result ? &ledger()->begun[who] : &ledger()->put[who], result ? number : number + 1);
    return result;
}

void ledger_put(struct isthmus_ring *ring, enum ledger_who who, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        CHECK_OK(ledger_put_until(ring, who, SOON()));
}

int ledger_try(struct isthmus_ring *ring, enum ledger_who who)
{
    const uint32_t number = peek(&ledger()->put[who]);
    CHECK(number < LEDGER_MESSAGES);
    poke(&ledger()->begun[who], number + 1);
    const int result = rings_try(ring, who, number, MESSAGE_SIZE);
    poke(result ? &ledger()->begun[who] : &ledger()->put[who], result ? number : number + 1);
    return result;
}

void ledger_fill(struct isthmus_ring *ring, enum ledger_who who)
{
    while (ledger_try(ring, who) == 0)
        ;
}

void ledger_reserve(struct isthmus_ring *ring, struct isthmus_write *write, enum ledger_who who,
                    uint32_t count)
{
    const uint32_t first = peek(&ledger()->put[who]);
    CHECK(first + count <= LEDGER_MESSAGES);
    for (uint32_t i = 0; i < count; i++) {
        struct isthmus_record record;
        CHECK_OK(isthmus_write_reserve(ring, write, ISTHMUS_TYPE_BYTES, 0, MESSAGE_SIZE, &record));
        message_write(record.data, who, first + i, MESSAGE_SIZE);
    }
}

void ledger_commit(struct isthmus_ring *ring, struct isthmus_write *write, enum ledger_who who)
{
    const uint32_t after = peek(&ledger()->put[who]) + (uint32_t)write->count;
    poke(&ledger()->begun[who], after);
    isthmus_write_commit(ring, write);
    poke(&ledger()->put[who], after);
}

/* ---- Getting ------------------------------------------------------------------------------ */

static const struct message *note(const void *bytes, uint64_t size, struct message *message)
{
    *message = message_read(bytes, size);
    CHECK(message->who < LEDGER_WHO);
    CHECK(message->number < peek(&ledger()->begun[message->who]));
    unsigned char *got = &ledger()->got[message->who][message->number];
    if (__atomic_fetch_add(got, 1, __ATOMIC_ACQ_REL)) {
        CHECK(peek(&ledger()->doubled) > 0);
        __atomic_fetch_sub(&ledger()->doubled, 1, __ATOMIC_ACQ_REL);
    }
    return message;
}

void ledger_note(const void *bytes, uint64_t size)
{
    struct message message;
    note(bytes, size, &message);
}

int ledger_get(struct isthmus_ring *ring, uint64_t deadline)
{
    unsigned char bytes[2 * MESSAGE_SIZE];
    size_t size;
    begin_taking(ring, &ledger()->taking, 1);
    const int result = isthmus_ring_read(ring, bytes, sizeof bytes, &size, deadline);
    if (!result)
        ledger_note(bytes, size);
    end_taking(ring, &ledger()->taking, 1);
    return result;
}

int ledger_drop(struct isthmus_ring *queue, const struct isthmus_record *record)
{
    const struct message message = message_read(record->data, record->size);
    unsigned char bytes[MESSAGE_SIZE];
    message_write(bytes, message.who, message.number, MESSAGE_SIZE);
    begin_taking(queue, &ledger()->taking, 1);
    const int result = isthmus_queue_drop(queue, record->position, record->sequence, SOON());
    if (!result)
        ledger_note(bytes, sizeof bytes);
    end_taking(queue, &ledger()->taking, 1);
    return result;
}

int ledger_get_batch(struct isthmus_ring *ring, uint32_t most)
{
    struct message messages[LEDGER_MESSAGES];
    unsigned char bytes[LEDGER_MESSAGES][MESSAGE_SIZE];
    struct isthmus_read read;
    struct isthmus_record record;
    uint32_t count = 0;
    int result = isthmus_read_begin(ring, &read, SOON());
    CHECK_OK(result);
    while (count < most && (result = isthmus_read_next(ring, &read, &record)) == 0) {
        messages[count] = message_read(record.data, record.size);
        message_write(bytes[count], messages[count].who, messages[count].number, MESSAGE_SIZE);
        count++;
    }
    begin_taking(ring, &ledger()->taking, count);
    isthmus_read_commit(ring, &read);
    for (uint32_t i = 0; i < count; i++)
        ledger_note(bytes[i], MESSAGE_SIZE);
    end_taking(ring, &ledger()->taking, count);
    return (int)count;
}

void ledger_acknowledge(struct isthmus_ring *queue, const struct isthmus_record *record)
{
    unsigned char bytes[MESSAGE_SIZE];
    const struct message message = message_read(record->data, record->size);
    message_write(bytes, message.who, message.number, MESSAGE_SIZE);
    begin_taking(queue, &ledger()->acknowledging, 1);
    begin_taking(queue, &ledger()->taking, 1);
    CHECK_OK(rings_acknowledge(queue, record));
    ledger_note(bytes, MESSAGE_SIZE);
    end_taking(queue, &ledger()->taking, 1);
    end_taking(queue, &ledger()->acknowledging, 1);
}

int ledger_put_back(struct isthmus_ring *queue, uint64_t sequence)
{
    begin_taking(queue, &ledger()->doubled, 1);
    const int result = isthmus_queue_aside_put_back(queue, sequence, SOON());
    end_taking(queue, &ledger()->doubled, 1);
    return result;
}

/* ---- Afterwards ---------------------------------------------------------------------------- */

/* Those that come for the first time; what comes again does so whenever its death is noticed. */
static void check_order(uint32_t next[LEDGER_WHO], const struct message *message, uint32_t attempts)
{
    if (attempts || peek(&ledger()->reordered))
        return;
    CHECK(message->number >= next[message->who]);
    next[message->who] = message->number + 1;
}

void ledger_drain_queue(struct isthmus_ring *queue)
{
    const uint64_t patience = SOON();
    uint32_t next[LEDGER_WHO] = {0};
    for (;;) {
        struct isthmus_queue_state state;
        struct isthmus_read read;
        struct isthmus_record record;
        struct message message;
        CHECK_OK(isthmus_queue_state(queue, &state));
        if (state.ready + state.leased == 0)
            break;
        /* What the dead had leased is ready soon, or is set aside, or had been done with. */
        CHECK(isthmus_deadline_after(0) < patience);
        const int result = rings_next(queue, &read, &record, isthmus_deadline_after(10000000));
        if (result == -ETIMEDOUT)
            continue;
        if (result == -ESHUTDOWN)
            break;
        CHECK_OK(result);
        check_order(next, note(record.data, record.size, &message), record.attempts);
        isthmus_read_commit(queue, &read);
        CHECK_OK(isthmus_queue_task_done(queue));
    }
}

void ledger_drain_topic(struct isthmus_ring *topic)
{
    uint32_t next[LEDGER_WHO] = {0};
    struct isthmus_read read;
    struct isthmus_record record;
    struct message message;
    int result;
    while ((result = rings_next(topic, &read, &record, 0)) == 0) {
        check_order(next, note(record.data, record.size, &message), 0);
        isthmus_read_commit(topic, &read);
    }
    CHECK_RESULT(result, -EAGAIN);
}

void ledger_check(void)
{
    const struct ledger *all = ledger();
    uint32_t missing = 0, extra = 0;
    for (uint32_t who = 0; who < LEDGER_WHO; who++) {
        for (uint32_t i = 0; i < peek(&all->begun[who]); i++) {
            missing += i < peek(&all->put[who]) && !all->got[who][i];
            extra += i >= peek(&all->put[who]) && all->got[who][i];
        }
    }
    if (!all->lossy)
        CHECK(missing <= all->taking);
    poke(&stage->outcome, extra                           ? DEATH_HAPPENED
                          : all->lossy                    ? DEATH_NOTHING
                          : missing && all->acknowledging ? DEATH_HAPPENED
                          : missing                       ? DEATH_LOST
                                                          : DEATH_NOTHING);
}

void ledger_check_all_or_none(enum ledger_who who)
{
    const struct ledger *all = ledger();
    const uint32_t put = peek(&all->put[who]), begun = peek(&all->begun[who]);
    for (uint32_t i = put; i + 1 < begun; i++)
        CHECK_UINT(all->got[who][i], all->got[who][i + 1]);
}
