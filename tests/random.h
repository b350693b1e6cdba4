/* SPDX-License-Identifier: Apache-2.0 */
/** @file random.h  The tests' own choices. */
#ifndef RPU_TESTS_RANDOM_H
#define RPU_TESTS_RANDOM_H

#include <stdint.h>

/** A small deterministic generator. */
static inline uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

#endif
