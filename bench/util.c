/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double seconds_used(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void *room(size_t bytes) {
    const size_t whole = (bytes / 64 + 1) * 64;
    void *p = aligned_alloc(64, whole);
    if (!p) {
        fprintf(stderr, "rpubench-bench: out of memory (%zu bytes)\n", whole);
        exit(1);
    }
    memset(p, 0, whole);
    return p;
}

/* A Weyl sequence through a mixer: good enough for inputs, and the same everywhere. */
static uint64_t random_word(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93);
    z = (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return z ^ z >> 32;
}

double random_unit(uint64_t *state) {
    return ((double)(random_word(state) >> 11) + 0.5) * 0x1p-53;
}

double random_gaussian(uint64_t *state) {
    const double radius = sqrt(-2.0 * log(random_unit(state)));
    return radius * cos(6.283185307179586 * random_unit(state));
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double quantile(double *v, size_t n, double q) {
    const double at = q * (double)(n - 1);
    const size_t below = (size_t)at;
    qsort(v, n, sizeof *v, ascending);
    return below + 1 < n ? v[below] + (at - (double)below) * (v[below + 1] - v[below]) : v[n - 1];
}
