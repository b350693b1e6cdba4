/* SPDX-License-Identifier: Apache-2.0 */
#include "rng.h"

/* The finalizer of splitmix64 (Steele, Lea, Flood, OOPSLA 2014): a bijection on 64 bits. */
static uint64_t mix64(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct rpu_stream rpu_stream_make(uint64_t seed, enum rpu_rng_purpose purpose, uint32_t image, uint32_t word2,
                                  uint32_t word3) {
    uint64_t key = mix64(mix64(seed + UINT64_C(0x9e3779b97f4a7c15)) + (uint64_t)purpose);
    struct rpu_stream s = {{(uint32_t)key, (uint32_t)(key >> 32)}, {0, image, word2, word3}};
    return s;
}

void rpu_philox_block(const uint32_t key[2], const uint32_t ctr[4], uint32_t out[4]) {
    const struct rpu_stream s = {{key[0], key[1]}, {ctr[0], ctr[1], ctr[2], ctr[3]}};
    rpu_k_philox_generic(&s, 0, 1, out);
}

void rpu_permute(uint32_t *order, uint32_t count, const struct rpu_stream *stream) {
    uint32_t words[4] = {0}, block = UINT32_MAX;
    for (uint32_t i = count; i-- > 1;) {
        if (i / 4 != block) {
            block = i / 4;
            rpu_philox_block(stream->key, (uint32_t[4]){block, stream->ctr[1], stream->ctr[2], stream->ctr[3]}, words);
        }
        const uint32_t j = (uint32_t)((uint64_t)words[i % 4] * ((uint64_t)i + 1) >> 32), held = order[i];
        order[i] = order[j];
        order[j] = held;
    }
}
