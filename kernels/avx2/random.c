/* SPDX-License-Identifier: Apache-2.0 */
/* Philox blocks, Gaussians, thresholds, Bernoulli planes: the exported kernels around the inlines of avx2.h and
 * pulses.h. */
#include "pulses.h"

void K(philox)(const struct rpu_stream *stream, uint32_t first, size_t count, uint32_t *out) {
    const struct philox p = philox_begin(stream);
    uint32_t words[4 * VEC];
    for (size_t b = 0; b < count; b += VEC) {
        const struct words w = philox8(&p, first + (uint32_t)b);
        const size_t n = count - b < VEC ? count - b : VEC;
        /* four by four transposes, one in each 128-bit half */
        const __m256i a = _mm256_unpacklo_epi32(w.w0, w.w1), c = _mm256_unpackhi_epi32(w.w0, w.w1);
        const __m256i d = _mm256_unpacklo_epi32(w.w2, w.w3), e = _mm256_unpackhi_epi32(w.w2, w.w3);
        const __m256i b0 = _mm256_unpacklo_epi64(a, d), b1 = _mm256_unpackhi_epi64(a, d);
        const __m256i b2 = _mm256_unpacklo_epi64(c, e), b3 = _mm256_unpackhi_epi64(c, e);
        uint32_t *to = n == VEC ? out + 4 * b : words;
        _mm256_storeu_si256((__m256i *)(void *)to, _mm256_permute2x128_si256(b0, b1, 0x20));
        _mm256_storeu_si256((__m256i *)(void *)(to + 8), _mm256_permute2x128_si256(b2, b3, 0x20));
        _mm256_storeu_si256((__m256i *)(void *)(to + 16), _mm256_permute2x128_si256(b0, b1, 0x31));
        _mm256_storeu_si256((__m256i *)(void *)(to + 24), _mm256_permute2x128_si256(b2, b3, 0x31));
        if (n < VEC)
            memcpy(out + 4 * b, words, n * 4 * sizeof *out);
    }
}

/* The head and the tail of a range that are no whole groups go through a copy. */
void K(gaussian)(const struct rpu_stream *stream, uint64_t first, size_t count, float *out) {
    const struct philox p = philox_begin(stream);
    float part[RPU_GAUSS_GROUP];
    uint32_t group = (uint32_t)(first / RPU_GAUSS_GROUP);
    const size_t skip = (size_t)(first % RPU_GAUSS_GROUP);
    if (skip > 0 && count > 0) {
        const size_t n = RPU_GAUSS_GROUP - skip < count ? RPU_GAUSS_GROUP - skip : count;
        gauss_group_upto(&p, group++, skip + n, part);
        memcpy(out, part + skip, n * sizeof *out);
        out += n;
        count -= n;
    }
    if (count >= RPU_GAUSS_GROUP) {
        const size_t whole = count / RPU_GAUSS_GROUP;
        gauss_groups(&p, group, whole, out);
        group += (uint32_t)whole;
        out += whole * RPU_GAUSS_GROUP;
        count -= whole * RPU_GAUSS_GROUP;
    }
    if (count > 0) {
        gauss_group_upto(&p, group, count, part);
        memcpy(out, part, count * sizeof *out);
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
