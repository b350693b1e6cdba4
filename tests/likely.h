/* SPDX-License-Identifier: Apache-2.0 */
/** @file likely.h
 *  Assertions of cmocka's tests on random quantities; a failure says what was measured, and with which seed. */
#ifndef RPU_TESTS_LIKELY_H
#define RPU_TESTS_LIKELY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stats.h"

static uint64_t seed; /* of all of a program's random numbers */

static inline void *allocate(size_t bytes) {
    void *p = test_calloc(1, bytes);
    assert_non_null(p);
    return p;
}

/** z is a number of standard deviations. */
static inline void within(const char *what, double z) {
    if (!(fabs(z) < STATS_Z))
        print_message("%s: %.2f standard deviations (seed %llu)\n", what, z, (unsigned long long)seed);
    assert_true(fabs(z) < STATS_Z);
}

/** p is a p-value. */
static inline void likely(const char *what, double p) {
    if (!(p > STATS_P))
        print_message("%s: p = %g (seed %llu)\n", what, p, (unsigned long long)seed);
    assert_true(p > STATS_P);
}

#endif
