/*
 * Runs the fuzz target without libFuzzer: standalone COUNT [SEED]. The same inputs
 * every time, so it is a test that fails everywhere or nowhere.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LONGEST 700u
/* Against hanging only. */
#define SECONDS 280u

/* xorshift64*: no quality needed, but the same on every machine. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Short inputs more often than long ones, small bytes more often than large ones. */
static size_t make_input(uint64_t *state, uint8_t input[LONGEST])
{
    const uint64_t choice = next(state);
    const size_t size = 1 + (choice >> 8) % ((choice & 7) ? 32 : LONGEST);
    for (size_t i = 0; i < size; i++) {
        const uint64_t random = next(state);
        input[i] = (uint8_t)((random >> 40 & 3) ? random >> 32 : random >> 32 & 15);
    }
    return size;
}

int main(int argc, char **argv)
{
    uint8_t input[LONGEST];
    const uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

    alarm(SECONDS);
    if (state == 0)
        state = 1; /* the one state that xorshift does not leave */
    for (uint64_t i = 0; i < count; i++)
        LLVMFuzzerTestOneInput(input, make_input(&state, input));
    printf("%" PRIu64 " inputs\n", count);
    return 0;
}
