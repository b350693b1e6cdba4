/* SPDX-License-Identifier: Apache-2.0 */
/** @file neon.h  What the NEON kernels share: partial vectors, rounding, Philox, a window on a Gaussian stream.
 *
 *  Four lanes a vector. Little-endian AArch64; fused operations and square roots are part of the base architecture. */
#ifndef RPU_NEON_H
#define RPU_NEON_H

#include "kernel_math.h"
#include "kernels.h"

#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))
#define K(op)  RPU_SYMBOL(op, neon)

/* Before loops over the registers of a block: unrolled, the array becomes registers. */
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum { VEC = 4 };

/* ---- partial vectors ---- */

/* The first n floats, n = 1..3, copies of the first one behind. */
INLINE float32x4_t load_part(const float *p, size_t n) {
    float32x4_t v = vld1q_dup_f32(p);
    if (n > 1)
        v = vld1q_lane_f32(p + 1, v, 1);
    if (n > 2)
        v = vld1q_lane_f32(p + 2, v, 2);
    return v;
}

/* Stores the first n floats, n = 1..3. */
INLINE void store_part(float *p, float32x4_t v, size_t n) {
    vst1q_lane_f32(p, v, 0);
    if (n > 1)
        vst1q_lane_f32(p + 1, v, 1);
    if (n > 2)
        vst1q_lane_f32(p + 2, v, 2);
}

INLINE float32x4_t load_upto(const float *p, size_t n) {
    return n >= VEC ? vld1q_f32(p) : load_part(p, n);
}

INLINE void store_upto(float *p, float32x4_t v, size_t n) {
    if (n >= VEC)
        vst1q_f32(p, v);
    else
        store_part(p, v, n);
}

/* ---- contract arithmetic ---- */

/* clip of kernels.h for b >= 0: FMIN and FMAX keep a NaN of either operand, and order zeros by sign as `-b` needs. */
INLINE float32x4_t clip_f32(float32x4_t v, float32x4_t b) {
    return vmaxq_f32(vminq_f32(v, b), vnegq_f32(b));
}

/* round(v * s) of kernels.h. */
INLINE float32x4_t round_product(float32x4_t v, float32x4_t s) {
    const float32x4_t magic = vdupq_n_f32(RPU_ROUND_MAGIC);
    return vsubq_f32(vfmaq_f32(magic, v, s), magic);
}

/* ---- Philox ---- */

#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u

/* Word k of four blocks each. */
struct words {
    uint32x4_t w0, w1, w2, w3;
};

/* Only word 0 of the counter differs between the blocks of a stream: half of the first two rounds is the same for all
 * of them and done here, once; the constants of each word are folded together. */
struct philox {
    uint32x4_t first;        /* ctr[0] + lane */
    uint32x4_t r1_c2;        /* what round 1 mixes into c2 */
    uint32x4_t r2_c0, r2_c2; /* round 2 */
    uint32x4_t r3_c2;        /* round 3: c3 is still common */
    uint32x4_t k0[8], k1[8]; /* keys of rounds 3 to 10 */
};

/* Sets what depends on the counter, for a stream with the key of philox_begin. */
INLINE void philox_counter(struct philox *p, const uint32_t key[2], const uint32_t ctr[4]) {
    static const uint32_t lanes[VEC] = {0, 1, 2, 3};
    const uint64_t p1 = (uint64_t)PHILOX_M1 * ctr[2];
    const uint32_t c0 = (uint32_t)(p1 >> 32) ^ ctr[1] ^ key[0];
    const uint64_t p0 = (uint64_t)PHILOX_M0 * c0;
    p->first = vaddq_u32(vdupq_n_u32(ctr[0]), vld1q_u32(lanes));
    p->r1_c2 = vdupq_n_u32(ctr[3] ^ key[1]);
    p->r2_c0 = vdupq_n_u32((uint32_t)p1 ^ (key[0] + PHILOX_W0));
    p->r2_c2 = vdupq_n_u32((uint32_t)(p0 >> 32) ^ (key[1] + PHILOX_W1));
    p->r3_c2 = vdupq_n_u32((uint32_t)p0 ^ (key[1] + 2 * PHILOX_W1));
}

INLINE struct philox philox_begin(const struct rpu_stream *s) {
    struct philox p;
    philox_counter(&p, s->key, s->ctr);
    for (uint32_t r = 0; r < 8; r++) {
        p.k0[r] = vdupq_n_u32(s->key[0] + (r + 2) * PHILOX_W0);
        p.k1[r] = vdupq_n_u32(s->key[1] + (r + 2) * PHILOX_W1);
    }
    return p;
}

struct wide {
    uint32x4_t high, low;
};

/* The halves of the 64-bit products c * m. */
INLINE struct wide multiply(uint32x4_t c, uint32_t m) {
    const uint32x4_t factor = vdupq_n_u32(m);
    const uint32x4_t a = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(c), vget_low_u32(factor)));
    const uint32x4_t b = vreinterpretq_u32_u64(vmull_high_u32(c, factor));
    const struct wide r = {vuzp2q_u32(a, b), vuzp1q_u32(a, b)};
    return r;
}

/* Blocks first .. first + 3. */
INLINE struct words philox4(const struct philox *p, uint32_t first) {
    const struct wide a = multiply(vaddq_u32(p->first, vdupq_n_u32(first)), PHILOX_M0);
    const struct wide b = multiply(veorq_u32(a.high, p->r1_c2), PHILOX_M1);
    struct words s = {veorq_u32(b.high, p->r2_c0), b.low, veorq_u32(a.low, p->r2_c2), p->r3_c2};
    UNROLL
    for (int r = 0; r < 8; r++) {
        const struct wide p0 = multiply(s.w0, PHILOX_M0), p1 = multiply(s.w2, PHILOX_M1);
        s.w0 = veorq_u32(veorq_u32(p1.high, s.w1), p->k0[r]);
        s.w1 = p1.low;
        s.w2 = r == 0 ? veorq_u32(p0.high, s.w3) : veorq_u32(veorq_u32(p0.high, s.w3), p->k1[r]);
        s.w3 = p0.low;
    }
    return s;
}

/* ---- Gaussians ---- */

/** The first `count` numbers from group `group` on, a multiple of 16. In random.c. */
void rpu_neon_gauss(const struct philox *p, uint32_t group, size_t count, float *out);

/** All numbers of `blocks` blocks from `block` on, block by block; a multiple of 4. In random.c. */
void rpu_neon_gauss_blocks(const struct philox *p, uint32_t block, size_t blocks, float *out);

/** Kernel bernoulli with the bit stream begun. In random.c. */
size_t rpu_neon_bernoulli(const struct philox *p, const struct rpu_stream *ties, uint64_t first, size_t count,
                          const uint16_t *hi, const uint16_t *lo, uint64_t *plane);

/* ---- a window on a Gaussian stream ---- */

enum { GAUSS_PAIRS = 16 }; /* numbers that one pair of each block of a group makes */

enum { WINDOW_GROUPS = 16, WINDOW = WINDOW_GROUPS * RPU_GAUSS_GROUP, WINDOW_KEEP = VEC };

/** A window that moves over a Gaussian stream in either layout, so that readers of odd lengths share the groups. No more
 * groups are drawn than `left` asks for. The last VEC floats are only ever read together with numbers before them. */
struct noise {
    const struct philox *stream;
    int by_block;  /**< block layout */
    uint64_t next; /**< first element not drawn yet, a multiple of a group or block */
    uint64_t left; /**< elements still wanted that are not in the window */
    size_t at, end;
    float xi[WINDOW_KEEP + WINDOW + VEC];
};

INLINE void noise_start(struct noise *z, const struct philox *stream, int by_block, uint64_t first, uint64_t count) {
    const uint64_t skip = first % (by_block ? RPU_GAUSS_BLOCK : RPU_GAUSS_GROUP);
    z->stream = stream;
    z->by_block = by_block;
    z->next = first - skip;
    z->left = count + skip;
    z->at = (size_t)skip; /* the first fill puts whole groups at 0 */
    z->end = 0;
}

/* Group layout. */
INLINE void noise_begin(struct noise *z, const struct philox *stream, uint64_t first, uint64_t count) {
    noise_start(z, stream, 0, first, count);
}

/* Block layout. */
INLINE void noise_begin_blocks(struct noise *z, const struct philox *stream, uint64_t first, uint64_t count) {
    noise_start(z, stream, 1, first, count);
}

INLINE size_t noise_ready(const struct noise *z) {
    return z->end > z->at ? z->end - z->at : 0;
}

/* Draws the next numbers behind what is left in the window, at most WINDOW_KEEP numbers. */
static inline void noise_fill(struct noise *z) {
    const size_t keep = noise_ready(z);
    const size_t left = z->left < WINDOW ? (size_t)z->left : WINDOW;
    const size_t unit = z->by_block ? VEC * RPU_GAUSS_BLOCK : GAUSS_PAIRS, drawn = (left + unit - 1) / unit * unit;
    memmove(z->xi, z->xi + z->at, keep * sizeof *z->xi);
    if (z->by_block)
        rpu_neon_gauss_blocks(z->stream, (uint32_t)(z->next / RPU_GAUSS_BLOCK), drawn / RPU_GAUSS_BLOCK, z->xi + keep);
    else
        rpu_neon_gauss(z->stream, (uint32_t)(z->next / RPU_GAUSS_GROUP), drawn, z->xi + keep);
    z->next += drawn;
    z->left -= z->left < drawn ? z->left : drawn;
    z->at = z->end == 0 ? z->at : 0;
    z->end = keep + drawn;
}

#endif
