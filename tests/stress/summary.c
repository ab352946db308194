/* What happened in all rounds. */
#include "ledger.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t all_deeds, all_rounds;
static struct tally totals;
static uint64_t published;

void add_up(void)
{
    for (unsigned i = 0; i < ACTORS; i++)
        all_deeds += stress->actors[i].deeds;
    all_rounds++;
    for (unsigned i = 0; i < RINGS; i++) {
        const struct tally *tally = &accounts[i].tally;
        if (objects[FIRST_RING + i].kind == ISTHMUS_KIND_QUEUE)
            totals.put += tally->put;
        else
            published += tally->put;
        totals.got += tally->got;
        totals.leased += tally->leased;
        totals.acknowledged += tally->acknowledged;
        totals.given_back += tally->given_back;
        totals.redelivered += tally->redelivered;
        totals.set_aside += tally->set_aside;
        totals.received += tally->received;
        totals.viewed += tally->viewed;
        totals.missed += tally->missed;
        totals.evicted += tally->evicted;
    }
}

/* The upper end of the bucket in which this part of all takeovers is. */
static double quantile_ms(double part)
{
    uint64_t total = 0, sum = 0;
    for (unsigned i = 0; i < BUCKETS; i++)
        total += stress->latencies[i];
    unsigned bucket = 0;
    for (; bucket < BUCKETS - 1; bucket++) {
        sum += stress->latencies[bucket];
        if ((double)sum >= part * (double)total)
            break;
    }
    const double end_ms = (double)(UINT64_C(1) << (bucket + 10)) / 1e6;
    const double longest_ms = (double)stress->longest_ns / 1e6;
    return end_ms < longest_ms ? end_ms : longest_ms;
}

void summarise(uint64_t took)
{
    printf("stress: %" PRIu64 " rounds in %.1f s, seed %" PRIu64 "\n", all_rounds,
           (double)took / 1e9, stress->seed);
    printf("operations %" PRIu64 ", deaths %" PRIu64 ", forks %" PRIu64 ", takeovers %" PRIu64 "\n",
           all_deeds, stress->deaths, stress->forks, stress->takeovers);
    printf("queues: put %" PRIu64 ", got %" PRIu64 ", leased %" PRIu64 ", acknowledged %" PRIu64
           ", redelivered %" PRIu64 " (given back %" PRIu64 "), set aside %" PRIu64 "\n",
           totals.put, totals.got, totals.leased, totals.acknowledged, totals.redelivered,
           totals.given_back, totals.set_aside);
    printf("topics: published %" PRIu64 ", received %" PRIu64 " (in place %" PRIu64
           "), missed %" PRIu64 ", evicted %" PRIu64 "\n",
           published, totals.received, totals.viewed, totals.missed, totals.evicted);
    printf("from a death, or the wait's start if that was later, to the next owner: half within "
           "%.3g ms, 99 %% within %.3g ms, longest %.3g ms\n",
           quantile_ms(0.5), quantile_ms(0.99), (double)stress->longest_ns / 1e6);
}
