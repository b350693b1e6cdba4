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

/* A few vectors of zeros, a constant number of them: of memset gcc makes an instruction of tens of cycles. */
INLINE void clear_vectors(void *to, size_t bytes) {
    for (size_t k = 0; k < bytes; k += sizeof(__m256i))
        _mm256_storeu_si256((__m256i *)(void *)((unsigned char *)to + k), _mm256_setzero_si256());
}

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

/* The same where the only one may have been stored by itself a moment ago: a masked load would wait until it is in the
 * cache. */
INLINE __m256 load_fresh(const float *p, size_t n) {
    return n == 1 ? _mm256_zextps128_ps256(_mm_load_ss(p)) : load_upto(p, n);
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

/* ---- Philox: eight blocks, as two registers of four 64-bit lanes, the value in each lane's low half. Even register:
 * blocks 0, 1, 4, 5; odd register: 2, 3, 6, 7, so that one shuffle a word puts eight words in order. ---- */

struct words {
    __m256i w0, w1, w2, w3;
};

struct half {
    __m256i c0, c1, c2, c3;
};

/* The upper halves of four products. A shuffle: shifts compete with the multiplications for ports. */
INLINE __m256i high(__m256i p) {
    return _mm256_castps_si256(_mm256_movehdup_ps(_mm256_castsi256_ps(p)));
}

/* Rounds come in pairs. The upper half of a product meets its key in its own round, the lower half in the next: the
 * first round of a pair gives both to the product at once, so that the second mixes in none. Each 64-bit lane of k0
 * and k1 holds the first round's key in its upper half, the second's in its lower half. */
INLINE struct half philox_first(struct half s, __m256i k0, __m256i k1) {
    struct half r;
    r.c3 = _mm256_xor_si256(_mm256_mul_epu32(s.c0, _mm256_set1_epi64x(0xD2511F53)), k1);
    r.c1 = _mm256_xor_si256(_mm256_mul_epu32(s.c2, _mm256_set1_epi64x(0xCD9E8D57)), k0);
    r.c0 = _mm256_xor_si256(high(r.c1), s.c1);
    r.c2 = _mm256_xor_si256(high(r.c3), s.c3);
    return r;
}

INLINE struct half philox_second(struct half s) {
    return philox_first(s, _mm256_setzero_si256(), _mm256_setzero_si256());
}

INLINE __m256i join(__m256i even, __m256i odd) {
    return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(even), _mm256_castsi256_ps(odd), 0x88));
}

INLINE __m256i join_high(__m256i even, __m256i odd) {
    return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(even), _mm256_castsi256_ps(odd), 0xdd));
}

/* The last round, the second of a pair, of both registers. */
INLINE struct words philox_last(struct half e, struct half o) {
    const __m256i m0 = _mm256_set1_epi64x(0xD2511F53), m1 = _mm256_set1_epi64x(0xCD9E8D57);
    const __m256i e0 = _mm256_mul_epu32(e.c0, m0), e1 = _mm256_mul_epu32(e.c2, m1);
    const __m256i o0 = _mm256_mul_epu32(o.c0, m0), o1 = _mm256_mul_epu32(o.c2, m1);
    struct words w;
    w.w0 = _mm256_xor_si256(join_high(e1, o1), join(e.c1, o.c1));
    w.w1 = join(e1, o1);
    w.w2 = _mm256_xor_si256(join_high(e0, o0), join(e.c3, o.c3));
    w.w3 = join(e0, o0);
    return w;
}

enum { PHILOX_PAIRS = 4 };

/* What rounds over a stream with uniform words 1 to 3 have in common: only word 0 differs between blocks, so half of
 * the first three rounds is scalar, done once. */
struct philox {
    __m256i first; /* ctr[0] in the lanes of both registers, odd register + 2 */
    __m256i r1_c2; /* c3 ^ k1 */
    __m256i r2_c0; /* c1 ^ k0 */
    __m256i r2_c2; /* hi(p0) ^ k1 */
    __m256i r3_c3; /* c3 */
    __m256i k0[PHILOX_PAIRS], k1[PHILOX_PAIRS]; /* rounds 3 to 10 */
};

/* The keys of a first round and of the one behind it. */
INLINE __m256i philox_keys(uint32_t key, uint32_t step) {
    return _mm256_set1_epi64x((long long)((uint64_t)key << 32 | (uint32_t)(key + step)));
}

/* A constant in all lanes whose multiples the compiler does not work out: each would cost two operations more. */
INLINE __m256i constant32(uint32_t value) {
    __m256i v = _mm256_set1_epi32((int)value);
    __asm__("" : "+x"(v));
    return v;
}

/* Sets what depends on the counter, for a stream with the key of philox_key. */
INLINE void philox_counter(struct philox *p, const struct rpu_stream *s) {
    const uint32_t k0 = s->key[0], k1 = s->key[1], step0 = 0x9E3779B9u, step1 = 0xBB67AE85u;
    const uint64_t a = (uint64_t)0xCD9E8D57u * s->ctr[2];
    const uint32_t c0 = (uint32_t)(a >> 32) ^ s->ctr[1] ^ k0;
    const uint64_t b = (uint64_t)0xD2511F53u * c0;
    p->first = _mm256_add_epi64(_mm256_set1_epi64x(s->ctr[0]), _mm256_setr_epi64x(0, 1, 4, 5));
    p->r1_c2 = _mm256_set1_epi32((int)(s->ctr[3] ^ k1));
    p->r2_c0 = _mm256_set1_epi32((int)((uint32_t)a ^ (k0 + step0)));
    p->r2_c2 = _mm256_set1_epi32((int)((uint32_t)(b >> 32) ^ (k1 + step1)));
    p->r3_c3 = _mm256_set1_epi32((int)(uint32_t)b);
}

/* Sets what depends on the key, which is all that the rounds from the third on take. Not by value: gcc copies so much
 * with an instruction of tens of cycles. */
INLINE void philox_key(struct philox *p, const struct rpu_stream *s) {
    const uint32_t step0 = 0x9E3779B9u, step1 = 0xBB67AE85u;
    const __m256i more0 = constant32(2 * step0), more1 = constant32(2 * step1);
    p->k0[0] = philox_keys(s->key[0] + 2 * step0, step0);
    p->k1[0] = philox_keys(s->key[1] + 2 * step1, step1);
    for (int r = 1; r < PHILOX_PAIRS; r++) {
        p->k0[r] = _mm256_add_epi32(p->k0[r - 1], more0);
        p->k1[r] = _mm256_add_epi32(p->k1[r - 1], more1);
    }
}

INLINE void philox_begin(struct philox *p, const struct rpu_stream *s) {
    philox_key(p, s);
    philox_counter(p, s);
}

/* Rounds 1 and 2; c0: the counter's word 0. */
INLINE struct half philox_open(const struct philox *p, __m256i c0) {
    const __m256i a = _mm256_mul_epu32(c0, _mm256_set1_epi64x(0xD2511F53));
    const __m256i c2 = _mm256_xor_si256(high(a), p->r1_c2);
    const __m256i b = _mm256_mul_epu32(c2, _mm256_set1_epi64x(0xCD9E8D57));
    struct half s = {_mm256_xor_si256(high(b), p->r2_c0), b, _mm256_xor_si256(a, p->r2_c2), p->r3_c3};
    return s;
}

/* Eight blocks on their way. */
struct chains {
    struct half e, o;
};

/* Word 0 of the blocks `first` and on, as chains_open wants it. Lanes may count beyond 32 bits, which wrap. */
INLINE __m256i philox_at(const struct philox *p, uint32_t first) {
    return _mm256_add_epi64(p->first, _mm256_set1_epi64x(first));
}

/* Eight blocks after two rounds. */
INLINE struct chains chains_open(const struct philox *p, __m256i even) {
    const __m256i odd = _mm256_add_epi64(even, _mm256_set1_epi64x(2));
    struct chains c = {philox_open(p, even), philox_open(p, odd)};
    return c;
}

INLINE void chains_first(const struct philox *p, struct chains *c, int pair) {
    c->e = philox_first(c->e, p->k0[pair], p->k1[pair]);
    c->o = philox_first(c->o, p->k0[pair], p->k1[pair]);
}

INLINE void chains_second(struct chains *c) {
    c->e = philox_second(c->e);
    c->o = philox_second(c->o);
}

INLINE struct words chains_last(const struct chains *c) {
    return philox_last(c->e, c->o);
}

/* The eight blocks at `even`. */
INLINE struct words philox8_at(const struct philox *p, __m256i even) {
    struct chains c = chains_open(p, even);
    chains_first(p, &c, 0);
    for (int pair = 1; pair < PHILOX_PAIRS; pair++) {
        chains_second(&c);
        chains_first(p, &c, pair);
    }
    return chains_last(&c);
}

/* Blocks first .. first + 7. */
INLINE struct words philox8(const struct philox *p, uint32_t first) {
    return philox8_at(p, philox_at(p, first));
}

struct words2 {
    struct words a, b;
};

/* Two times eight blocks from the third round on. Eight alone are bound by latency. */
INLINE struct words2 chains16(const struct philox *p, struct chains *a, struct chains *b) {
    chains_first(p, a, 0);
    chains_first(p, b, 0);
    for (int pair = 1; pair < PHILOX_PAIRS; pair++) {
        chains_second(a);
        chains_second(b);
        chains_first(p, a, pair);
        chains_first(p, b, pair);
    }
    struct words2 w = {chains_last(a), chains_last(b)};
    return w;
}

/* The eight blocks at `even` and the eight behind them. */
INLINE struct words2 philox16(const struct philox *p, __m256i even) {
    struct chains a = chains_open(p, even), b = chains_open(p, _mm256_add_epi64(even, _mm256_set1_epi64x(8)));
    return chains16(p, &a, &b);
}

INLINE struct chains lanes_open(const struct rpu_stream *s, __m256i even, __m256i odd) {
    const __m256i c1 = _mm256_set1_epi32((int)s->ctr[1]), c3 = _mm256_set1_epi32((int)s->ctr[3]);
    struct chains c = {{even, c1, high(even), c3}, {odd, c1, high(odd), c3}};
    return c;
}

/* The keys of a pair of rounds. */
struct keys {
    __m256i k0, k1;
};

INLINE struct keys lanes_keys(const struct rpu_stream *s) {
    struct keys k = {philox_keys(s->key[0], 0x9E3779B9u), philox_keys(s->key[1], 0xBB67AE85u)};
    return k;
}

/* The first round of a pair; moves the keys on to the next pair. */
INLINE void lanes_first(struct keys *k, struct chains *a, struct chains *b) {
    a->e = philox_first(a->e, k->k0, k->k1);
    a->o = philox_first(a->o, k->k0, k->k1);
    b->e = philox_first(b->e, k->k0, k->k1);
    b->o = philox_first(b->o, k->k0, k->k1);
    k->k0 = _mm256_add_epi32(k->k0, _mm256_set1_epi32((int)(2 * 0x9E3779B9u)));
    k->k1 = _mm256_add_epi32(k->k1, _mm256_set1_epi32((int)(2 * 0xBB67AE85u)));
}

/* Sixteen blocks whose words 0 and 2 differ, these in the lower and upper halves of 64-bit lanes. The words of those of
 * `even` come to stand in lanes 0, 1, 4, 5. */
INLINE struct words2 philox_lanes16(const struct rpu_stream *s, __m256i a_even, __m256i a_odd, __m256i b_even,
                                    __m256i b_odd) {
    struct keys k = lanes_keys(s);
    struct chains a = lanes_open(s, a_even, a_odd), b = lanes_open(s, b_even, b_odd);
    lanes_first(&k, &a, &b);
    for (int pair = 1; pair < 5; pair++) {
        chains_second(&a);
        chains_second(&b);
        lanes_first(&k, &a, &b);
    }
    struct words2 w = {chains_last(&a), chains_last(&b)};
    return w;
}

/* ---- Gaussians: rpu_gauss_pair of kernel_math.h on eight lanes ---- */

/* `word`: its upper 24 bits are the radius. */
INLINE __m256 gauss_radius(__m256i word) {
    const __m256 k = _mm256_cvtepi32_ps(_mm256_srli_epi32(word, 8));
    const __m256i u = _mm256_castps_si256(
        _mm256_fmadd_ps(k, _mm256_set1_ps(RPU_U_SCALE), _mm256_set1_ps(RPU_U_OFFSET)));
    /* the exponent stays at bit 23, and its factor is smaller by that power of two: the product is the same */
    const __m256i e = _mm256_and_si256(_mm256_sub_epi32(u, _mm256_set1_epi32((int)RPU_SQRT_HALF)),
                                       _mm256_set1_epi32((int)0xff800000u));
    const __m256 t = _mm256_sub_ps(_mm256_castsi256_ps(_mm256_sub_epi32(u, e)), _mm256_set1_ps(1.0f));
    __m256 q = _mm256_fmadd_ps(_mm256_set1_ps(RPU_LQ5), t, _mm256_set1_ps(RPU_LQ4));
    q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(RPU_LQ3));
    q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(RPU_LQ2));
    q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(RPU_LQ1));
    q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(RPU_LQ0));
    const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(e), _mm256_set1_ps(RPU_M2LN2 * 0x1p-23f));
    return _mm256_sqrt_ps(_mm256_fmadd_ps(t, q, scaled));
}

struct pair {
    __m256 first, second;
};

/* `angle`: its upper 16 bits are the angle. */
INLINE struct pair gauss_pair(__m256i word, __m256i angle) {
    const __m256 sign = _mm256_and_ps(_mm256_castsi256_ps(angle), _mm256_set1_ps(-0.0f));
    const __m256 radius = _mm256_xor_ps(gauss_radius(word), sign);
    /* the angle stays where it is, too */
    const __m256i turn = _mm256_and_si256(angle, _mm256_set1_epi32(0x3fff0000));
    const __m256 a = _mm256_fmadd_ps(_mm256_cvtepi32_ps(turn), _mm256_set1_ps(RPU_ANGLE_SCALE * 0x1p-16f),
                                     _mm256_set1_ps(RPU_ANGLE_OFFSET));
    const __m256 z = _mm256_mul_ps(a, a);
    const __m256 swap = _mm256_castsi256_ps(_mm256_slli_epi32(angle, 1));
    __m256 s = _mm256_fmadd_ps(_mm256_set1_ps(RPU_SIN2), z, _mm256_set1_ps(RPU_SIN1));
    __m256 c = _mm256_fmadd_ps(_mm256_set1_ps(RPU_COS3), z, _mm256_set1_ps(RPU_COS2));
    s = _mm256_mul_ps(a, _mm256_fmadd_ps(s, z, _mm256_set1_ps(RPU_SIN0)));
    c = _mm256_fmadd_ps(c, z, _mm256_set1_ps(RPU_COS1));
    c = _mm256_fmadd_ps(c, z, _mm256_set1_ps(RPU_COS0));
    /* the second is whichever the first is not: a blend costs three operations on some CPUs */
    const __m256 first = _mm256_blendv_ps(c, s, swap), second = _mm256_xor_ps(first, _mm256_xor_ps(s, c));
    struct pair r = {_mm256_mul_ps(radius, first), _mm256_mul_ps(radius, second)};
    return r;
}

INLINE __m256i angle_first(const struct words *w) {
    return _mm256_slli_epi32(w->w3, 16);
}

INLINE __m256i angle_second(const struct words *w) {
    return w->w3;
}

INLINE __m256i angle_third(const struct words *w) {
    return _mm256_or_si256(_mm256_slli_epi32(w->w0, 24),
                           _mm256_and_si256(_mm256_slli_epi32(w->w1, 16), _mm256_set1_epi32(0xff0000)));
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

/* As many pairs as the elements below `end` need. */
INLINE void gauss_words_upto(const struct words *w, size_t end, float *out) {
    store_pair(out, gauss_pair(w->w0, angle_first(w)));
    if (end > 16)
        store_pair(out + 16, gauss_pair(w->w1, angle_second(w)));
    if (end > 32)
        store_pair(out + 32, gauss_pair(w->w2, angle_third(w)));
}

/* The 48 Gaussians of the words w, and the words of the blocks at `at` instead of them. The words are drawn while those
 * before are transformed, some rounds and a pair in turn: either alone is bound by latency, and a core does not look far
 * enough ahead to mix them by itself. */
INLINE void gauss_ahead(const struct philox *p, __m256i at, struct words *w, float *out) {
    struct chains c = chains_open(p, at);
    chains_first(p, &c, 0);
    store_pair(out, gauss_pair(w->w0, angle_first(w)));
    chains_second(&c);
    chains_first(p, &c, 1);
    chains_second(&c);
    store_pair(out + 16, gauss_pair(w->w1, angle_second(w)));
    chains_first(p, &c, 2);
    chains_second(&c);
    chains_first(p, &c, 3);
    store_pair(out + 32, gauss_pair(w->w2, angle_third(w)));
    *w = chains_last(&c);
}

/* The Gaussians of `groups` groups (at least one) but the last, whose words are returned. */
INLINE struct words gauss_but_last(const struct philox *p, uint32_t group, size_t groups, float *out) {
    __m256i at = philox_at(p, group * 8);
    struct words w = philox8_at(p, at);
    for (size_t g = 1; g < groups; g++, out += RPU_GAUSS_GROUP) {
        at = _mm256_add_epi64(at, _mm256_set1_epi64x(8));
        gauss_ahead(p, at, &w, out);
    }
    return w;
}

/* Elements first .. first + count - 1 of the stream, at `out - first % 48` and on, so that element first is at out[0]
 * when the caller leaves 47 floats before it; up to 47 floats behind the last are overwritten as well. */
INLINE void gauss_fill(const struct philox *p, uint64_t first, size_t count, float *out) {
    const size_t skip = (size_t)(first % RPU_GAUSS_GROUP), end = skip + count;
    const size_t groups = (end + RPU_GAUSS_GROUP - 1) / RPU_GAUSS_GROUP;
    if (count == 0)
        return;
    out -= skip;
    const struct words w = gauss_but_last(p, (uint32_t)(first / RPU_GAUSS_GROUP), groups, out);
    gauss_words_upto(&w, end - (groups - 1) * RPU_GAUSS_GROUP, out + (groups - 1) * RPU_GAUSS_GROUP);
}

#endif
