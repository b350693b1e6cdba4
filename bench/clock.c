/* SPDX-License-Identifier: Apache-2.0 */
/* The core's clock, measured: a chain of dependent integer operations whose latency is known. */
#include "bench.h"

#if defined(__x86_64__)
/* A 64-bit multiplication by a register takes three cycles on every core with AVX2. */
enum { LATENCY = 3 };
#define LINK "imulq %1, %0\n\t"
#elif defined(__aarch64__)
/* An addition with a shifted operand takes two cycles on the common cores. */
enum { LATENCY = 2 };
#define LINK "add %0, %1, %0, lsl #7\n\t"
#endif

#ifdef LINK
#define LINKS10 LINK LINK LINK LINK LINK LINK LINK LINK LINK LINK
enum { CHAIN = 100 };

int clock_is_known(void) {
    return 1;
}

/* The chain goes on from call to call: a new one would start while the core still works on the last, and the
 * clock would seem a tenth faster. */
static _Thread_local uint64_t chain_end = 3;

void clock_cycles(uint64_t cycles) {
    uint64_t v = chain_end, factor = 5;
    for (uint64_t done = 0; done < cycles; done += CHAIN * LATENCY)
        __asm__ volatile(LINKS10 LINKS10 LINKS10 LINKS10 LINKS10 LINKS10 LINKS10 LINKS10 LINKS10 LINKS10
                         : "+r"(v)
                         : "r"(factor));
    chain_end = v;
}
#else
int clock_is_known(void) {
    return 0;
}

void clock_cycles(uint64_t cycles) {
    (void)cycles;
}
#endif
