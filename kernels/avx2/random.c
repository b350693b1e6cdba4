/* SPDX-License-Identifier: Apache-2.0 */
/* Philox blocks, Gaussians, thresholds, Bernoulli planes: the exported kernels around the inlines of avx2.h and
 * pulses.h. */
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
    const struct philox p = philox_begin(stream);
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
    const struct philox p = philox_begin(stream);
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

size_t K(bernoulli)(const struct rpu_stream *bits, const struct rpu_stream *ties, uint64_t first, size_t count,
                    const uint16_t *hi, const uint16_t *lo, uint64_t *plane) {
    const struct philox p = philox_begin(bits);
    return bernoulli_plane(&p, ties, first, count, hi, lo, plane);
}
