/* SPDX-License-Identifier: Apache-2.0 */
/** @file pulses.h  Thresholds and Bernoulli planes, inlined into the kernels that draw pulses. */
#ifndef RPU_AVX2_PULSES_H
#define RPU_AVX2_PULSES_H

#include "avx2.h"

/* T of eight values; `p` is their probabilities. */
INLINE __m256i threshold8(__m256 p) {
    /* max gives its second operand, 0, for a NaN */
    const __m256 bounded = _mm256_min_ps(_mm256_max_ps(p, _mm256_setzero_ps()), _mm256_set1_ps(1.0f));
    return _mm256_cvttps_epi32(_mm256_mul_ps(bounded, _mm256_set1_ps(0x1p24f)));
}

/* Thresholds (contract of `threshold`) of sixteen values, as 16-bit parts. Returns how many exceed 1. */
INLINE size_t threshold16(float c, __m256 v0, __m256 v1, uint16_t *hi, uint16_t *lo) {
    const __m256 gain = _mm256_set1_ps(c), one = _mm256_set1_ps(1.0f);
    const __m256 p0 = _mm256_mul_ps(gain, abs_ps(v0)), p1 = _mm256_mul_ps(gain, abs_ps(v1));
    const __m256i t0 = threshold8(p0), t1 = threshold8(p1);
    /* packing saturates the 65536 of T = 2^24 to 65535 */
    const __m256i h = _mm256_packus_epi32(_mm256_srli_epi32(t0, 8), _mm256_srli_epi32(t1, 8));
    const __m256i byte = _mm256_set1_epi32(255), always = _mm256_set1_epi32(256);
    const __m256i l0 = _mm256_or_si256(_mm256_and_si256(t0, byte), _mm256_and_si256(_mm256_srli_epi32(t0, 16), always));
    const __m256i l1 = _mm256_or_si256(_mm256_and_si256(t1, byte), _mm256_and_si256(_mm256_srli_epi32(t1, 16), always));
    _mm256_storeu_si256((__m256i *)(void *)hi, _mm256_permute4x64_epi64(h, 0xd8));
    _mm256_storeu_si256((__m256i *)(void *)lo, _mm256_permute4x64_epi64(_mm256_packus_epi32(l0, l1), 0xd8));
    const int over0 = _mm256_movemask_ps(_mm256_cmp_ps(p0, one, _CMP_GT_OQ));
    const int over1 = _mm256_movemask_ps(_mm256_cmp_ps(p1, one, _CMP_GT_OQ));
    return (size_t)__builtin_popcount((unsigned)(over0 | over1 << 8));
}

/* Sixteen-bit lanes that do not fire: r >= hi. */
INLINE __m256i silent16(__m256i r, __m256i hi) {
    return _mm256_cmpeq_epi16(_mm256_subs_epu16(hi, r), _mm256_setzero_si256());
}

INLINE __m256i load16(const uint16_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* The first n of sixteen; zeros behind. */
INLINE __m256i load16_upto(const uint16_t *p, size_t n) {
    if (n >= 16)
        return load16(p);
    const __m256i pairs = _mm256_maskload_epi32((const int *)(const void *)p, lane_mask(n / 2));
    if (n % 2 == 0)
        return pairs;
    const __m256i last = _mm256_set1_epi32(p[n - 1]); /* the pair behind, of which only the lower half is there */
    return _mm256_or_si256(pairs, _mm256_and_si256(last, _mm256_andnot_si256(lane_mask(n / 2), lane_mask(n / 2 + 1))));
}

/* What the 16 bits of 64 elements have to stay below to fire. As in the words of eight blocks, register k holds
 * elements 8 k .. 8 k + 7 and 32 + 8 k .. 32 + 8 k + 7. */
struct limits {
    __m256i h[4];
};

INLINE __m256i load8and8(const uint16_t *p) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p)),
                                   _mm_loadu_si128((const __m128i *)(const void *)(p + 32)), 1);
}

INLINE struct limits limits_load(const uint16_t *hi) {
    struct limits l = {{load8and8(hi), load8and8(hi + 8), load8and8(hi + 16), load8and8(hi + 24)}};
    return l;
}

/* The first n in order; zeros, which never fire, behind. */
INLINE void load64_upto(const uint16_t *hi, size_t n, __m256i h[4]) {
    for (size_t k = 0; k < 4; k++)
        h[k] = n > 16 * k ? load16_upto(hi + 16 * k, n - 16 * k) : _mm256_setzero_si256();
}

INLINE struct limits limits_upto(const uint16_t *hi, size_t n) {
    __m256i h[4];
    if (n >= 64)
        return limits_load(hi);
    load64_upto(hi, n, h);
    struct limits l = {{_mm256_permute2x128_si256(h[0], h[2], 0x20), _mm256_permute2x128_si256(h[0], h[2], 0x31),
                        _mm256_permute2x128_si256(h[1], h[3], 0x20), _mm256_permute2x128_si256(h[1], h[3], 0x31)}};
    return l;
}

/* The first n from element `skip` of 64 on; zeros before and behind. */
INLINE struct limits limits_from(const uint16_t *hi, size_t skip, size_t n) {
    uint16_t h[2 * 64] = {0};
    __m256i part[4];
    load64_upto(hi, n, part);
    memcpy(h + skip, part, sizeof part);
    return limits_load(h);
}

/* Where element i of 64 stands in them. */
INLINE size_t limit_at(size_t i) {
    return i % 32 / 8 * 16 + i / 32 * 8 + i % 8; /* register, half, lane */
}

/* Which of 64 elements fire, but for those whose bits equal their limit; whether there are such. */
struct verdict {
    uint64_t fires;
    int ties;
};

INLINE struct verdict judge64(const struct words *w, const struct limits *limits) {
    const __m256i h0 = limits->h[0], h1 = limits->h[1], h2 = limits->h[2], h3 = limits->h[3];
    const __m256i silent0 = _mm256_packs_epi16(silent16(w->w0, h0), silent16(w->w1, h1)); /* 0 .. 15, 32 .. 47 */
    const __m256i silent1 = _mm256_packs_epi16(silent16(w->w2, h2), silent16(w->w3, h3)); /* 16 .. 31, 48 .. 63 */
    const uint32_t m0 = (uint32_t)_mm256_movemask_epi8(silent0), m1 = (uint32_t)_mm256_movemask_epi8(silent1);
    const __m256i equal = _mm256_or_si256(
        _mm256_or_si256(_mm256_cmpeq_epi16(w->w0, h0), _mm256_cmpeq_epi16(w->w1, h1)),
        _mm256_or_si256(_mm256_cmpeq_epi16(w->w2, h2), _mm256_cmpeq_epi16(w->w3, h3)));
    const struct verdict v = {~((m0 & 0xffffu) | m1 << 16 | (uint64_t)(m0 >> 16 | (m1 & 0xffff0000u)) << 32),
                              !_mm256_testz_si256(equal, equal)};
    return v;
}

/* The rare element whose 16 bits equal its limit: eight more bits decide (contract of `bernoulli`). Elements `from` to
 * `to` of the 64 count, lo[0] is that of `from`. */
static __attribute__((noinline, unused)) uint64_t resolve_ties(const struct words *w, const struct limits *limits,
                                                               const struct rpu_stream *ties, uint64_t element,
                                                               size_t from, size_t to, const uint16_t *lo) {
    uint16_t bits[64], hi[64];
    uint64_t fires = 0;
    memcpy(bits, w, sizeof bits);
    memcpy(hi, limits, sizeof hi);
    for (size_t i = from; i < to; i++) {
        const size_t at = limit_at(i);
        if (bits[at] == hi[at] && lo[i - from] > 0) {
            uint32_t tie[4];
            RPU_SYMBOL(philox, avx2)(ties, (uint32_t)(element + i), 1, tie);
            fires |= (uint64_t)((tie[0] & 255u) < lo[i - from]) << i;
        }
    }
    return fires;
}

/* Which of 64 elements fire; w: their words. Elements `from` to `to` count, lo[0] is that of `from`. */
INLINE uint64_t fires64(const struct words *w, const struct limits *limits, const struct rpu_stream *ties,
                        uint64_t element, size_t from, size_t to, const uint16_t *lo) {
    const struct verdict v = judge64(w, limits);
    return __builtin_expect(v.ties, 0) ? v.fires | resolve_ties(w, limits, ties, element, from, to, lo) : v.fires;
}

/* Planes are written word after word: bits that did not fit into the last one wait for the next. */
struct plane {
    uint64_t *next, waiting;
    unsigned shift; /* how many wait, less than 64 */
    size_t ones;
};

INLINE void plane_add(struct plane *to, uint64_t bits) {
    *to->next++ = to->waiting | bits << to->shift;
    to->waiting = bits >> 1 >> (63 - to->shift);
    to->ones += (size_t)__builtin_popcountll(bits);
}

/* `element` is a multiple of 32. */
INLINE void bernoulli_aligned(const struct philox *p, const struct rpu_stream *ties, uint64_t element, size_t count,
                              const uint16_t *hi, const uint16_t *lo, struct plane *to) {
    __m256i at = philox_at(p, (uint32_t)(element / RPU_BITS_GROUP) * 4);
    for (; count > 64; element += 128, hi += 128, lo += 128) {
        const size_t rest = count < 128 ? count - 64 : 64;
        const struct words2 w = philox16(p, at);
        const struct limits a = limits_load(hi), b = limits_upto(hi + 64, rest);
        at = _mm256_add_epi64(at, _mm256_set1_epi64x(16));
        plane_add(to, fires64(&w.a, &a, ties, element, 0, 64, lo));
        plane_add(to, fires64(&w.b, &b, ties, element + 64, 0, rest, lo + 64));
        count -= 64 + rest;
    }
    if (count > 0) {
        const struct words w = philox8_at(p, at);
        const struct limits a = limits_upto(hi, count);
        plane_add(to, fires64(&w, &a, ties, element, 0, count, lo));
    }
}

/* Kernel `bernoulli`. */
INLINE size_t bernoulli_plane(const struct philox *p, const struct rpu_stream *ties, uint64_t first, size_t count,
                              const uint16_t *hi, const uint16_t *lo, uint64_t *plane) {
    const size_t skip = (size_t)(first % RPU_BITS_GROUP), head = count < 64 - skip ? count : 64 - skip;
    struct plane to = {plane, 0, 0, 0};
    if (skip > 0 && count > 0) {
        const struct words w = philox8(p, (uint32_t)(first / RPU_BITS_GROUP) * 4);
        const struct limits l = limits_from(hi, skip, head);
        to.waiting = fires64(&w, &l, ties, first - skip, skip, skip + head, lo) >> skip;
        to.shift = (unsigned)(64 - skip);
        to.ones = (size_t)__builtin_popcountll(to.waiting);
        first += head;
        count -= head;
        hi += head;
        lo += head;
    }
    bernoulli_aligned(p, ties, first, count, hi, lo, &to);
    if (skip > 0 && head + count > (size_t)(to.next - plane) * 64)
        *to.next = to.waiting;
    return to.ones;
}

#endif
