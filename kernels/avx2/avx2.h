/* SPDX-License-Identifier: Apache-2.0 */
/** @file avx2.h  What the AVX2 kernels share: partial vectors, Philox, Gaussians. */
#ifndef RPU_AVX2_H
#define RPU_AVX2_H

#include "kernel_math.h"
#include "kernels.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
#define K(op)  RPU_SYMBOL(op, avx2)

enum { VEC = 8 };

/* ---- partial vectors ---- */

/* All-ones lanes below n (0..8). */
INLINE __m256i lane_mask(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* The first n < 8 floats; zeros behind. */
INLINE __m256 load_part(const float *p, size_t n) {
    return _mm256_maskload_ps(p, lane_mask(n));
}

/* Stores the first n < 8 floats. Masked stores are microcoded on some CPUs; this is not. */
INLINE void store_part(float *p, __m256 v, size_t n) {
    __m128 x = _mm256_castps256_ps128(v);
    if (n & 4) {
        _mm_storeu_ps(p, x);
        x = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)(void *)p, x);
        x = _mm_movehl_ps(x, x);
        p += 2;
    }
    if (n & 1)
        _mm_store_ss(p, x);
}

INLINE __m256 load_upto(const float *p, size_t n) {
    return n >= VEC ? _mm256_loadu_ps(p) : load_part(p, n);
}

INLINE void store_upto(float *p, __m256 v, size_t n) {
    if (n >= VEC)
        _mm256_storeu_ps(p, v);
    else
        store_part(p, v, n);
}

INLINE __m256 abs_ps(__m256 v) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

/* clip of kernels.h: the second operand of min and max survives a NaN. */
INLINE __m256 clip_ps(__m256 v, __m256 low, __m256 high) {
    return _mm256_max_ps(low, _mm256_min_ps(high, v));
}

INLINE __m256 round_magic(__m256 v) {
    const __m256 magic = _mm256_set1_ps(RPU_ROUND_MAGIC);
    return _mm256_sub_ps(_mm256_add_ps(v, magic), magic);
}

/* ---- Philox: eight blocks, as two registers of four 64-bit lanes, the value in each lane's low half. Even register:
 * blocks 0, 1, 4, 5; odd register: 2, 3, 6, 7, so that one shuffle a word puts eight words in order. ---- */

struct words {
    __m256i w0, w1, w2, w3;
};

struct half {
    __m256i c0, c1, c2, c3;
};

INLINE struct half philox_round(struct half s, __m256i k0, __m256i k1) {
    const __m256i p0 = _mm256_mul_epu32(s.c0, _mm256_set1_epi64x(0xD2511F53));
    const __m256i p1 = _mm256_mul_epu32(s.c2, _mm256_set1_epi64x(0xCD9E8D57));
    struct half r;
    r.c0 = _mm256_xor_si256(_mm256_srli_epi64(p1, 32), _mm256_xor_si256(s.c1, k0));
    r.c1 = p1;
    r.c2 = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), _mm256_xor_si256(s.c3, k1));
    r.c3 = p0;
    return r;
}

INLINE __m256i join(__m256i even, __m256i odd) {
    return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(even), _mm256_castsi256_ps(odd), 0x88));
}

INLINE struct words philox_join(struct half e, struct half o) {
    struct words w = {join(e.c0, o.c0), join(e.c1, o.c1), join(e.c2, o.c2), join(e.c3, o.c3)};
    return w;
}

/* What rounds over a stream with uniform words 1 to 3 have in common: only word 0 differs between blocks, so half of
 * the first three rounds is scalar, done once. */
struct philox {
    __m256i first;   /* ctr[0] in the lanes of both registers, odd register + 2 */
    __m256i r1_c2;   /* c3 ^ k1 */
    __m256i r2_c0;   /* c1 ^ k0 */
    __m256i r2_c2;   /* hi(p0) ^ k1 */
    __m256i r3_c2;   /* c3 ^ k1 */
    __m256i k0[8], k1[8]; /* rounds 3 to 10 */
};

INLINE struct philox philox_begin(const struct rpu_stream *s) {
    struct philox p;
    uint32_t k0 = s->key[0], k1 = s->key[1];
    const uint64_t a = (uint64_t)0xCD9E8D57u * s->ctr[2];
    const uint32_t c0 = (uint32_t)(a >> 32) ^ s->ctr[1] ^ k0;
    const uint64_t b = (uint64_t)0xD2511F53u * c0;
    p.first = _mm256_add_epi64(_mm256_set1_epi64x(s->ctr[0]), _mm256_setr_epi64x(0, 1, 4, 5));
    p.r1_c2 = _mm256_set1_epi32((int)(s->ctr[3] ^ k1));
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
    p.r2_c0 = _mm256_set1_epi32((int)((uint32_t)a ^ k0));
    p.r2_c2 = _mm256_set1_epi32((int)((uint32_t)(b >> 32) ^ k1));
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
    p.r3_c2 = _mm256_set1_epi32((int)((uint32_t)b ^ k1));
    for (int r = 0; r < 8; r++) {
        p.k0[r] = _mm256_set1_epi32((int)k0);
        p.k1[r] = _mm256_set1_epi32((int)k1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return p;
}

INLINE struct half philox_rounds(const struct philox *p, __m256i c0) {
    const __m256i m0 = _mm256_set1_epi64x(0xD2511F53), m1 = _mm256_set1_epi64x(0xCD9E8D57);
    const __m256i a = _mm256_mul_epu32(c0, m0);
    const __m256i c2 = _mm256_xor_si256(_mm256_srli_epi64(a, 32), p->r1_c2);
    const __m256i b = _mm256_mul_epu32(c2, m1);
    struct half s = {_mm256_xor_si256(_mm256_srli_epi64(b, 32), p->r2_c0), b, _mm256_xor_si256(a, p->r2_c2), a};
    const __m256i p0 = _mm256_mul_epu32(s.c0, m0), p1 = _mm256_mul_epu32(s.c2, m1);
    s.c0 = _mm256_xor_si256(_mm256_srli_epi64(p1, 32), _mm256_xor_si256(s.c1, p->k0[0]));
    s.c1 = p1;
    s.c2 = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), p->r3_c2);
    s.c3 = p0;
    for (int r = 1; r < 8; r++)
        s = philox_round(s, p->k0[r], p->k1[r]);
    return s;
}

/* Blocks first .. first + 7. */
INLINE struct words philox8(const struct philox *p, uint32_t first) {
    const __m256i e = _mm256_add_epi64(p->first, _mm256_set1_epi64x(first));
    const __m256i o = _mm256_add_epi64(e, _mm256_set1_epi64x(2));
    return philox_join(philox_rounds(p, e), philox_rounds(p, o));
}

/* Eight blocks whose words 0 and 2 differ: c0 and c2 in order, spread over the two registers here. */
INLINE struct words philox_lanes(const struct rpu_stream *s, __m256i c0, __m256i c2) {
    const __m256i c1 = _mm256_set1_epi32((int)s->ctr[1]), c3 = _mm256_set1_epi32((int)s->ctr[3]);
    struct half e = {_mm256_unpacklo_epi32(c0, c0), c1, _mm256_unpacklo_epi32(c2, c2), c3};
    struct half o = {_mm256_unpackhi_epi32(c0, c0), c1, _mm256_unpackhi_epi32(c2, c2), c3};
    __m256i k0 = _mm256_set1_epi32((int)s->key[0]), k1 = _mm256_set1_epi32((int)s->key[1]);
    for (int r = 0; r < 10; r++) {
        e = philox_round(e, k0, k1);
        o = philox_round(o, k0, k1);
        k0 = _mm256_add_epi32(k0, _mm256_set1_epi32((int)0x9E3779B9u));
        k1 = _mm256_add_epi32(k1, _mm256_set1_epi32((int)0xBB67AE85u));
    }
    return philox_join(e, o);
}

/* ---- Gaussians: rpu_gauss_pair of kernel_math.h on eight lanes ---- */

/* `word`: its upper 24 bits are the radius. */
INLINE __m256 gauss_radius(__m256i word) {
    const __m256 k = _mm256_cvtepi32_ps(_mm256_srli_epi32(word, 8));
    const __m256i u = _mm256_castps_si256(
        _mm256_fmadd_ps(k, _mm256_set1_ps(RPU_U_SCALE), _mm256_set1_ps(RPU_U_OFFSET)));
    const __m256i e = _mm256_srai_epi32(_mm256_sub_epi32(u, _mm256_set1_epi32((int)RPU_SQRT_HALF)), 23);
    const __m256 t = _mm256_sub_ps(_mm256_castsi256_ps(_mm256_sub_epi32(u, _mm256_slli_epi32(e, 23))),
                                   _mm256_set1_ps(1.0f));
    __m256 q = _mm256_fmadd_ps(_mm256_set1_ps(RPU_LQ5), t, _mm256_set1_ps(RPU_LQ4));
    q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(RPU_LQ3));
    q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(RPU_LQ2));
    q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(RPU_LQ1));
    q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(RPU_LQ0));
    return _mm256_sqrt_ps(_mm256_fmadd_ps(t, q, _mm256_mul_ps(_mm256_cvtepi32_ps(e), _mm256_set1_ps(RPU_M2LN2))));
}

struct pair {
    __m256 first, second;
};

/* `angle`: its upper 16 bits are the angle. */
INLINE struct pair gauss_pair(__m256i word, __m256i angle) {
    const __m256 sign = _mm256_and_ps(_mm256_castsi256_ps(angle), _mm256_set1_ps(-0.0f));
    const __m256 radius = _mm256_xor_ps(gauss_radius(word), sign);
    const __m256i turn = _mm256_srli_epi32(_mm256_slli_epi32(angle, 2), 18);
    const __m256 a = _mm256_fmadd_ps(_mm256_cvtepi32_ps(turn), _mm256_set1_ps(RPU_ANGLE_SCALE),
                                     _mm256_set1_ps(RPU_ANGLE_OFFSET));
    const __m256 z = _mm256_mul_ps(a, a);
    const __m256 swap = _mm256_castsi256_ps(_mm256_slli_epi32(angle, 1));
    __m256 s = _mm256_fmadd_ps(_mm256_set1_ps(RPU_SIN2), z, _mm256_set1_ps(RPU_SIN1));
    __m256 c = _mm256_fmadd_ps(_mm256_set1_ps(RPU_COS3), z, _mm256_set1_ps(RPU_COS2));
    s = _mm256_mul_ps(a, _mm256_fmadd_ps(s, z, _mm256_set1_ps(RPU_SIN0)));
    c = _mm256_fmadd_ps(c, z, _mm256_set1_ps(RPU_COS1));
    c = _mm256_fmadd_ps(c, z, _mm256_set1_ps(RPU_COS0));
    struct pair r = {_mm256_mul_ps(radius, _mm256_blendv_ps(c, s, swap)),
                     _mm256_mul_ps(radius, _mm256_blendv_ps(s, c, swap))};
    return r;
}

INLINE __m256i angle_first(const struct words *w) {
    return _mm256_slli_epi32(w->w3, 16);
}

INLINE __m256i angle_second(const struct words *w) {
    return w->w3;
}

INLINE __m256i angle_third(const struct words *w) {
    return _mm256_or_si256(_mm256_slli_epi32(w->w0, 24), _mm256_srli_epi32(_mm256_slli_epi32(w->w1, 24), 8));
}

INLINE void store_pair(float *out, struct pair p) {
    _mm256_storeu_ps(out, p.first);
    _mm256_storeu_ps(out + VEC, p.second);
}

INLINE void gauss_words(const struct words *w, float *out) {
    store_pair(out, gauss_pair(w->w0, angle_first(w)));
    store_pair(out + 16, gauss_pair(w->w1, angle_second(w)));
    store_pair(out + 32, gauss_pair(w->w2, angle_third(w)));
}

/* All 48 Gaussians of each of `groups` groups. The words of a group are drawn while those of the one before are
 * transformed: either alone is bound by latency, and both together fit what a core can look ahead. */
INLINE void gauss_groups(const struct philox *p, uint32_t group, size_t groups, float *out) {
    struct words w = philox8(p, group * 8);
    for (size_t g = 1; g < groups; g++, out += RPU_GAUSS_GROUP) {
        const struct words next = philox8(p, (group + (uint32_t)g) * 8);
        gauss_words(&w, out);
        w = next;
    }
    gauss_words(&w, out);
}

/* As many pairs of group `group` as the elements below `end` need. */
INLINE void gauss_group_upto(const struct philox *p, uint32_t group, size_t end, float *out) {
    const struct words w = philox8(p, group * 8);
    store_pair(out, gauss_pair(w.w0, angle_first(&w)));
    if (end > 16)
        store_pair(out + 16, gauss_pair(w.w1, angle_second(&w)));
    if (end > 32)
        store_pair(out + 32, gauss_pair(w.w2, angle_third(&w)));
}

/* Elements first .. first + count - 1 of the stream, at `out - first % 48` and on, so that element first is at out[0]
 * when the caller leaves 47 floats before it; up to 47 floats behind the last are overwritten as well. */
INLINE void gauss_fill(const struct philox *p, uint64_t first, size_t count, float *out) {
    const size_t skip = (size_t)(first % RPU_GAUSS_GROUP), end = skip + count;
    const size_t whole = end / RPU_GAUSS_GROUP, left = end % RPU_GAUSS_GROUP;
    const uint32_t group = (uint32_t)(first / RPU_GAUSS_GROUP);
    out -= skip;
    if (whole > 0)
        gauss_groups(p, group, whole, out);
    if (left > 0)
        gauss_group_upto(p, group + (uint32_t)whole, left, out + whole * RPU_GAUSS_GROUP);
}

#endif
