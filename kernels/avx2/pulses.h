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

/* Thresholds of n values into arrays with room for whole sixteens behind n. */
INLINE size_t thresholds_padded(float c, const float *v, size_t n, uint16_t *hi, uint16_t *lo) {
    size_t over = 0, i = 0;
    for (; i + 16 <= n; i += 16)
        over += threshold16(c, _mm256_loadu_ps(v + i), _mm256_loadu_ps(v + i + 8), hi + i, lo + i);
    if (i < n)
        over += threshold16(c, load_upto(v + i, n - i), n - i > 8 ? load_part(v + i + 8, n - i - 8) : _mm256_setzero_ps(),
                            hi + i, lo + i);
    return over;
}

/* Sixteen-bit lanes that do not fire: r >= hi. */
INLINE __m256i silent16(__m256i r, __m256i hi) {
    return _mm256_cmpeq_epi16(_mm256_subs_epu16(hi, r), _mm256_setzero_si256());
}

INLINE uint32_t firing32(__m256i silent0, __m256i silent1) {
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi16(silent0, silent1), 0xd8);
    return ~(uint32_t)_mm256_movemask_epi8(packed);
}

INLINE __m256i load16(const uint16_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* The rare element whose 16 bits equal its threshold's: eight more bits decide (contract of `bernoulli`). */
static __attribute__((noinline, unused)) uint64_t resolve_ties(const __m256i r[4], const struct rpu_stream *ties,
                                                               uint64_t element, const uint16_t *hi,
                                                               const uint16_t *lo) {
    uint16_t bits[64];
    uint64_t fires = 0;
    memcpy(bits, r, sizeof bits);
    for (size_t i = 0; i < 64; i++)
        if (bits[i] == hi[i] && lo[i] > 0) {
            uint32_t w[4 * VEC];
            RPU_SYMBOL(philox, avx2)(ties, (uint32_t)(element + i), 1, w);
            fires |= (uint64_t)((w[0] & 255u) < lo[i]) << i;
        }
    return fires;
}

/* Elements 64 g + 0..63 for group pair at block 8 g' (element = 32-aligned): bits that fire, thresholds at hi and lo. */
INLINE uint64_t bernoulli64(const struct philox *p, const struct rpu_stream *ties, uint64_t element,
                            const uint16_t *hi, const uint16_t *lo) {
    const struct words w = philox8(p, (uint32_t)(element / RPU_BITS_GROUP) * 4);
    const __m256i r[4] = {
        _mm256_permute2x128_si256(w.w0, w.w1, 0x20), _mm256_permute2x128_si256(w.w2, w.w3, 0x20),
        _mm256_permute2x128_si256(w.w0, w.w1, 0x31), _mm256_permute2x128_si256(w.w2, w.w3, 0x31)};
    const __m256i h0 = load16(hi), h1 = load16(hi + 16), h2 = load16(hi + 32), h3 = load16(hi + 48);
    uint64_t fires = firing32(silent16(r[0], h0), silent16(r[1], h1)) |
                     (uint64_t)firing32(silent16(r[2], h2), silent16(r[3], h3)) << 32;
    const __m256i equal = _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi16(r[0], h0), _mm256_cmpeq_epi16(r[1], h1)),
                                          _mm256_or_si256(_mm256_cmpeq_epi16(r[2], h2), _mm256_cmpeq_epi16(r[3], h3)));
    if (__builtin_expect(!_mm256_testz_si256(equal, equal), 0))
        fires |= resolve_ties(r, ties, element, hi, lo);
    return fires;
}

/* ORs 64 bits into a plane at bit position `at`, which may be negative; `words` words in all. */
INLINE void put_bits(uint64_t *plane, size_t words, ptrdiff_t at, uint64_t bits) {
    if (at < 0) {
        plane[0] |= bits >> -at;
        return;
    }
    const size_t word = (size_t)at / 64, shift = (size_t)at % 64;
    plane[word] |= bits << shift;
    if (shift && word + 1 < words)
        plane[word + 1] |= bits >> (64 - shift);
}

/* Kernel `bernoulli`; whole sixty-fours read thresholds in place, the ends from padded copies. */
INLINE size_t bernoulli_plane(const struct philox *p, const struct rpu_stream *ties, uint64_t first, size_t count,
                              const uint16_t *hi, const uint16_t *lo, uint64_t *plane) {
    const size_t words = (count + 63) / 64;
    const uint64_t start = first / RPU_BITS_GROUP * RPU_BITS_GROUP;
    size_t ones = 0;
    if (count == 0)
        return 0;
    memset(plane, 0, words * sizeof *plane);
    for (uint64_t e = start; e < first + count; e += 64) {
        const ptrdiff_t at = (ptrdiff_t)(e - first);
        uint64_t bits;
        if (at >= 0 && (size_t)at + 64 <= count) {
            bits = bernoulli64(p, ties, e, hi + at, lo + at);
        } else {
            uint16_t h[64] = {0}, l[64] = {0};
            const size_t skip = at < 0 ? (size_t)-at : 0, from = at < 0 ? 0 : (size_t)at;
            const size_t n = count - from < 64 - skip ? count - from : 64 - skip;
            memcpy(h + skip, hi + from, n * sizeof *h);
            memcpy(l + skip, lo + from, n * sizeof *l);
            bits = bernoulli64(p, ties, e, h, l);
        }
        put_bits(plane, words, at, bits);
        ones += (size_t)__builtin_popcountll(bits);
    }
    return ones;
}

#endif
