/* SPDX-License-Identifier: Apache-2.0 */
/** @file pulses.h  Which of 64 elements fire: what the kernels that draw planes share. */
#ifndef RPU_AVX2_PULSES_H
#define RPU_AVX2_PULSES_H

#include "avx2.h"

/* Sixteen-bit lanes that do not fire: r >= hi. */
INLINE __m256i silent16(__m256i r, __m256i hi) {
    return _mm256_cmpeq_epi16(_mm256_subs_epu16(hi, r), _mm256_setzero_si256());
}

INLINE __m256i load16(const uint16_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

INLINE void store16(uint16_t *p, __m256i v) {
    _mm256_storeu_si256((__m256i *)(void *)p, v);
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

#endif
