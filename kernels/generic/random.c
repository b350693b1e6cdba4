/* SPDX-License-Identifier: Apache-2.0 */
/* Philox blocks, Gaussians, thresholds and Bernoulli planes. Loops run over lanes of eight blocks, the unit of the
 * stream layouts, so that a compiler may vectorize them. */
#include "variant.h"

enum { LANES = 8, WORDS = 4 };

#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u

/* Eight consecutive blocks from block `first` on, word by word. */
static void philox8(const struct rpu_stream *stream, uint32_t first, uint32_t out[WORDS][LANES]) {
    uint32_t c0[LANES], c1[LANES], c2[LANES], c3[LANES], k0 = stream->key[0], k1 = stream->key[1];
    for (unsigned l = 0; l < LANES; l++) {
        c0[l] = stream->ctr[0] + first + l;
        c1[l] = stream->ctr[1];
        c2[l] = stream->ctr[2];
        c3[l] = stream->ctr[3];
    }
    for (int round = 0; round < 10; round++) {
        for (unsigned l = 0; l < LANES; l++) {
            const uint64_t p0 = (uint64_t)PHILOX_M0 * c0[l], p1 = (uint64_t)PHILOX_M1 * c2[l];
            c0[l] = (uint32_t)(p1 >> 32) ^ c1[l] ^ k0;
            c1[l] = (uint32_t)p1;
            c2[l] = (uint32_t)(p0 >> 32) ^ c3[l] ^ k1;
            c3[l] = (uint32_t)p0;
        }
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    memcpy(out[0], c0, sizeof c0);
    memcpy(out[1], c1, sizeof c1);
    memcpy(out[2], c2, sizeof c2);
    memcpy(out[3], c3, sizeof c3);
}

void K(philox)(const struct rpu_stream *stream, uint32_t first, size_t count, uint32_t *out) {
    uint32_t words[WORDS][LANES];
    for (size_t b = 0; b < count; b += LANES) {
        const size_t n = count - b < LANES ? count - b : LANES;
        philox8(stream, first + (uint32_t)b, words);
        for (size_t l = 0; l < n; l++)
            for (size_t k = 0; k < WORDS; k++)
                out[WORDS * (b + l) + k] = words[k][l];
    }
}

/* Gaussians of group `group`: all pairs of numbers that elements below `end` need. */
static void gauss_group(const struct rpu_stream *stream, uint32_t group, size_t end, float out[RPU_GAUSS_GROUP]) {
    enum { PAIRS = RPU_GAUSS_GROUP / 2 };
    uint32_t w[WORDS][LANES], k[PAIRS], angle[PAIRS];
    float first[PAIRS], second[PAIRS];
    const size_t sets = (end + 2 * LANES - 1) / (2 * LANES);
    philox8(stream, group * LANES, w);
    for (size_t l = 0; l < LANES; l++) {
        k[l] = w[0][l] >> 8;
        k[LANES + l] = w[1][l] >> 8;
        k[2 * LANES + l] = w[2][l] >> 8;
        angle[l] = w[3][l] & 0xffffu;
        angle[LANES + l] = w[3][l] >> 16;
        angle[2 * LANES + l] = (w[0][l] & 0xffu) << 8 | (w[1][l] & 0xffu);
    }
    for (size_t i = 0; i < sets * LANES; i++)
        rpu_gauss_pair(k[i], angle[i], first + i, second + i);
    for (size_t s = 0; s < sets; s++) {
        memcpy(out + 2 * s * LANES, first + s * LANES, LANES * sizeof *out);
        memcpy(out + (2 * s + 1) * LANES, second + s * LANES, LANES * sizeof *out);
    }
}

void K(gaussian)(const struct rpu_stream *stream, uint64_t first, size_t count, float *out) {
    float group[RPU_GAUSS_GROUP];
    while (count > 0) {
        const size_t skip = (size_t)(first % RPU_GAUSS_GROUP);
        const size_t n = RPU_GAUSS_GROUP - skip < count ? RPU_GAUSS_GROUP - skip : count;
        gauss_group(stream, (uint32_t)(first / RPU_GAUSS_GROUP), skip + n, group);
        memcpy(out, group + skip, n * sizeof *out);
        first += n;
        out += n;
        count -= n;
    }
}

size_t K(threshold)(size_t count, float c, const float *v, uint16_t *hi, uint16_t *lo) {
    size_t clipped = 0;
    for (size_t i = 0; i < count; i++) {
        const float p = c * rpu_float(rpu_bits(v[i]) & 0x7fffffffu);
        const float bounded = p > 0.0f ? (p < 1.0f ? p : 1.0f) : 0.0f; /* NaN gives 0 */
        const uint32_t t = (uint32_t)(int32_t)(bounded * 0x1p24f);
        const uint32_t always = t >> 24;
        clipped += p > 1.0f;
        hi[i] = (uint16_t)((t >> 8) - always);
        lo[i] = (uint16_t)((t & 255u) + (always << 8));
    }
    return clipped;
}

enum { PAIR = 2 * RPU_BITS_GROUP };

/* The 64 sixteen-bit numbers of groups `group` and `group` + 1 of the bit stream. */
static void bits_groups(const struct rpu_stream *stream, uint32_t group, uint16_t out[PAIR]) {
    uint32_t w[WORDS][LANES];
    philox8(stream, group * 4, w);
    for (unsigned k = 0; k < WORDS; k++)
        for (unsigned b = 0; b < LANES; b++) {
            const unsigned at = b / 4 * RPU_BITS_GROUP + 8 * k + 2 * (b % 4);
            out[at] = (uint16_t)w[k][b];
            out[at + 1] = (uint16_t)(w[k][b] >> 16);
        }
}

static uint32_t tie_bits(const struct rpu_stream *ties, uint64_t element) {
    uint32_t w[WORDS];
    K(philox)(ties, (uint32_t)element, 1, w);
    return w[0] & 255u;
}

size_t K(bernoulli)(const struct rpu_stream *bits, const struct rpu_stream *ties, uint64_t first, size_t count,
                    const uint16_t *hi, const uint16_t *lo, uint64_t *plane) {
    uint16_t r[PAIR];
    uint64_t have = 0, end = 0; /* r holds the elements from have up to end */
    size_t ones = 0;
    memset(plane, 0, (count + 63) / 64 * sizeof *plane);
    for (size_t i = 0; i < count; i++) {
        const uint64_t e = first + i;
        if (e >= end) {
            have = e / RPU_BITS_GROUP * RPU_BITS_GROUP;
            end = have + PAIR;
            bits_groups(bits, (uint32_t)(have / RPU_BITS_GROUP), r);
        }
        const uint16_t r16 = r[e - have];
        uint64_t fires = r16 < hi[i];
        if (r16 == hi[i] && lo[i] > 0)
            fires = tie_bits(ties, e) < lo[i];
        plane[i / 64] |= fires << (i % 64);
        ones += (size_t)fires;
    }
    return ones;
}
