/*
 * The floor of a round trip: two processes that spin on two words in shared memory.
 * spin COUNT CORE CORE prints nanoseconds.
 */
#include "two.h"
#include <stdint.h>

/* Each on a cache line of its own, and off the neighbour that is fetched with it. */
struct words {
    _Alignas(128) uint64_t there;
    _Alignas(128) uint64_t back;
};

static void await(const uint64_t *word, uint64_t value)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
        ;
}

int main(int argc, char **argv)
{
    must(argc == 4, "spin COUNT CORE CORE");
    uint64_t count = strtoull(argv[1], NULL, 10), warm = count / 10 + 1;
    struct words *words =
        mmap(NULL, sizeof *words, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(words != MAP_FAILED, "mmap");
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        pin(argv[3]);
        for (uint64_t i = 1; i <= warm + count; i++) {
            await(&words->there, i);
            __atomic_store_n(&words->back, i, __ATOMIC_RELEASE);
        }
        return 0;
    }
    pin(argv[2]);
    double begin = 0;
    for (uint64_t i = 1; i <= warm + count; i++) {
        __atomic_store_n(&words->there, i, __ATOMIC_RELEASE);
        await(&words->back, i);
        if (i == warm)
            begin = now_ns();
    }
    printf("%.3f\n", (now_ns() - begin) / (double)count);
    must_end_well(child);
    return 0;
}
