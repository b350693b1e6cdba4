/* SPDX-License-Identifier: Apache-2.0 */
/* Philox blocks, Gaussians, thresholds, Bernoulli planes. */
#include "pulses.h"

/* Eight blocks, block after block: four by four transposes, one in each 128-bit half. */
INLINE void store_blocks(uint32_t *out, const struct words *w) {
    const __m256i a = _mm256_unpacklo_epi32(w->w0, w->w1), c = _mm256_unpackhi_epi32(w->w0, w->w1);
    const __m256i d = _mm256_unpacklo_epi32(w->w2, w->w3), e = _mm256_unpackhi_epi32(w->w2, w->w3);
    const __m256i b0 = _mm256_unpacklo_epi64(a, d), b1 = _mm256_unpackhi_epi64(a, d);
    const __m256i b2 = _mm256_unpacklo_epi64(c, e), b3 = _mm256_unpackhi_epi64(c, e);
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_permute2x128_si256(b0, b1, 0x20));
    _mm256_storeu_si256((__m256i *)(void *)(out + 8), _mm256_permute2x128_si256(b2, b3, 0x20));
    _mm256_storeu_si256((__m256i *)(void *)(out + 16), _mm256_permute2x128_si256(b0, b1, 0x31));
    _mm256_storeu_si256((__m256i *)(void *)(out + 24), _mm256_permute2x128_si256(b2, b3, 0x31));
}

void K(philox)(const struct rpu_stream *stream, uint32_t first, size_t count, uint32_t *out) {
    struct philox p;
    philox_begin(&p, stream);
    size_t b = 0;
    for (; b + 2 * VEC <= count; b += 2 * VEC) {
        const struct words2 w = philox16(&p, philox_at(&p, first + (uint32_t)b));
        store_blocks(out + 4 * b, &w.a);
        store_blocks(out + 4 * b + 4 * VEC, &w.b);
    }
    while (b < count) {
        const struct words w = philox8(&p, first + (uint32_t)b);
        if (b + VEC <= count) {
            store_blocks(out + 4 * b, &w);
            b += VEC;
        } else {
            uint32_t rest[4 * VEC];
            store_blocks(rest, &w);
            for (const uint32_t *block = rest; b < count; b++, block += 4)
                _mm_storeu_si128((__m128i *)(void *)(out + 4 * b), _mm_loadu_si128((const __m128i *)(const void *)block));
        }
    }
}

/* n floats, eight by eight: calls to memcpy, or what compilers make of it, cost as much as they copy. */
INLINE void copy_floats(float *to, const float *from, size_t n) {
    for (; n > VEC; n -= VEC, to += VEC, from += VEC)
        _mm256_storeu_ps(to, _mm256_loadu_ps(from));
    store_upto(to, _mm256_loadu_ps(from), n);
}

/* The head and the tail of a range that are no whole groups go through a copy. */
void K(gaussian)(const struct rpu_stream *stream, uint64_t first, size_t count, float *out) {
    struct philox p;
    philox_begin(&p, stream);
    float part[RPU_GAUSS_GROUP + VEC];
    size_t skip = (size_t)(first % RPU_GAUSS_GROUP), end = skip + count;
    __m256i at = philox_at(&p, (uint32_t)(first / RPU_GAUSS_GROUP) * 8);
    if (count == 0)
        return;
    struct words w = philox8_at(&p, at);
    if (skip > 0 && end > RPU_GAUSS_GROUP) {
        at = _mm256_add_epi64(at, _mm256_set1_epi64x(8));
        gauss_ahead(&p, at, &w, part);
        copy_floats(out, part + skip, RPU_GAUSS_GROUP - skip);
        out += RPU_GAUSS_GROUP - skip;
        end -= RPU_GAUSS_GROUP;
        skip = 0;
    }
    for (; end > RPU_GAUSS_GROUP; end -= RPU_GAUSS_GROUP, out += RPU_GAUSS_GROUP) {
        at = _mm256_add_epi64(at, _mm256_set1_epi64x(8));
        gauss_ahead(&p, at, &w, out);
    }
    if (skip > 0 || end < RPU_GAUSS_GROUP) {
        gauss_words_upto(&w, end, part);
        copy_floats(out, part + skip, end - skip);
    } else {
        gauss_words(&w, out);
    }
}

/* ---- thresholds ---- */

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

size_t K(threshold)(size_t count, float c, const float *v, uint16_t *hi, uint16_t *lo) {
    size_t clipped = 0, i = 0;
    uint16_t part_hi[16], part_lo[16];
    for (; i + 16 <= count; i += 16)
        clipped += threshold16(c, _mm256_loadu_ps(v + i), _mm256_loadu_ps(v + i + 8), hi + i, lo + i);
    if (i < count) {
        const size_t n = count - i;
        clipped += threshold16(c, load_upto(v + i, n), n > 8 ? load_part(v + i + 8, n - 8) : _mm256_setzero_ps(),
                               part_hi, part_lo);
        memcpy(hi + i, part_hi, n * sizeof *hi);
        memcpy(lo + i, part_lo, n * sizeof *lo);
    }
    return clipped;
}

/* ---- Bernoulli planes ---- */

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

/* The rare element whose 16 bits equal its limit: eight more bits decide (contract of `bernoulli`). Elements `from` to
 * `to` of the 64 count, lo[0] is that of `from`. */
static __attribute__((noinline)) uint64_t resolve_ties(const struct words *w, const struct limits *limits,
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

size_t K(bernoulli)(const struct rpu_stream *bits, const struct rpu_stream *ties, uint64_t first, size_t count,
                    const uint16_t *hi, const uint16_t *lo, uint64_t *plane) {
    struct philox p;
    philox_begin(&p, bits);
    return bernoulli_plane(&p, ties, first, count, hi, lo, plane);
}
