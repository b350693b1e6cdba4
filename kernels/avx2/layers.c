/* SPDX-License-Identifier: Apache-2.0 */
/* Between the arrays: convolution geometry, pooling, activations, softmax. */
#include "avx2.h"

/* ---- convolution geometry ---- */

/* Copies n floats with vectors that stay inside both. */
INLINE void copy_floats(float *to, const float *from, size_t n) {
    size_t i = 0;
    for (; i + VEC <= n; i += VEC)
        _mm256_storeu_ps(to + i, _mm256_loadu_ps(from + i));
    if (i == n)
        return;
    if (n >= VEC) /* the last vector overlaps the one before */
        _mm256_storeu_ps(to + n - VEC, _mm256_loadu_ps(from + n - VEC));
    else
        store_part(to + i, load_part(from + i, n - i), n - i);
}

INLINE void zero_floats(float *to, size_t n) {
    for (size_t i = 0; i < n; i++)
        to[i] = 0.0f;
}

/* One kernel row of one column: kx in [from, to) lies inside the image. */
INLINE void gather_row(const struct rpu_conv_shape *s, const float *image, size_t y, size_t left, size_t from, size_t to,
                       float *x) {
    const size_t c = s->channels;
    if (y < s->padding || y >= (size_t)s->height + s->padding || from >= to) {
        zero_floats(x, s->kernel * c);
        return;
    }
    zero_floats(x, from * c);
    copy_floats(x + from * c, image + ((y - s->padding) * s->width + left + from - s->padding) * c, (to - from) * c);
    zero_floats(x + to * c, (s->kernel - to) * c);
}

/* A column that lies inside the image: kernel rows are runs of `row` floats. */
INLINE void gather_inside(const float *from, size_t step, size_t kernel, size_t row, float *x) {
    for (size_t ky = 0; ky < kernel; ky++, from += step, x += row)
        copy_floats(x, from, row);
}

/* The same for runs of less than a vector. What a store writes too much the next run overwrites; the last runs, where
 * it would pass the column's end, are stored exactly. */
INLINE void gather_short(const float *from, size_t step, size_t kernel, size_t row, __m256i mask, float *x) {
    const size_t end = kernel * row;
    size_t at = 0;
    for (; at + VEC <= end; at += row, from += step)
        _mm256_storeu_ps(x + at, _mm256_maskload_ps(from, mask));
    for (; at < end; at += row, from += step)
        store_part(x + at, _mm256_maskload_ps(from, mask), row);
}

void K(im2col)(const struct rpu_conv_shape *shape, const float *image, size_t first, size_t count, float *x,
               size_t ldx) {
    const size_t c = shape->channels, row = (size_t)shape->kernel * c, edge = (size_t)shape->width + shape->padding;
    const size_t height = (size_t)shape->height + shape->padding;
    const __m256i mask = lane_mask(row);
    size_t oy = first / shape->out_width, ox = first % shape->out_width;
    for (size_t p = 0; p < count; p++) {
        const size_t left = ox * shape->stride, top = oy * shape->stride;
        float *column = x + p * ldx;
        if (left >= shape->padding && top >= shape->padding && left + shape->kernel <= edge &&
            top + shape->kernel <= height) {
            const float *corner = image + ((top - shape->padding) * shape->width + left - shape->padding) * c;
            if (row < VEC)
                gather_short(corner, shape->width * c, shape->kernel, row, mask, column);
            else
                gather_inside(corner, shape->width * c, shape->kernel, row, column);
        } else {
            const size_t from = shape->padding > left ? shape->padding - left : 0;
            const size_t right = edge > left ? edge - left : 0, to = right < shape->kernel ? right : shape->kernel;
            for (size_t ky = 0; ky < shape->kernel; ky++)
                gather_row(shape, image, top + ky, left, from < to ? from : to, to, column + ky * row);
        }
        if (shape->bias)
            column[shape->kernel * row] = 1.0f;
        if (++ox == shape->out_width) {
            ox = 0;
            oy++;
        }
    }
}

/* Window that holds coordinate `at` at kernel offset k; -1: none. */
INLINE ptrdiff_t window_of(size_t at, size_t k, const struct rpu_conv_shape *s, size_t windows) {
    const size_t start = at + s->padding;
    if (start < k)
        return -1;
    if (s->stride == 1)
        return start - k < windows ? (ptrdiff_t)(start - k) : -1;
    return (start - k) % s->stride == 0 && (start - k) / s->stride < windows ? (ptrdiff_t)((start - k) / s->stride) : -1;
}

/* Up to eight channels of one pixel: all kernel offsets in order. */
INLINE __m256 pixel(const struct rpu_conv_shape *s, const float *z, size_t ldz, size_t y, size_t x, size_t c, size_t n) {
    __m256 sum = _mm256_setzero_ps();
    for (size_t ky = 0; ky < s->kernel; ky++) {
        const ptrdiff_t oy = window_of(y, ky, s, s->out_height);
        if (oy < 0)
            continue;
        for (size_t kx = 0; kx < s->kernel; kx++) {
            const ptrdiff_t ox = window_of(x, kx, s, s->out_width);
            if (ox >= 0)
                sum = _mm256_add_ps(sum, load_upto(z + ((size_t)oy * s->out_width + (size_t)ox) * ldz +
                                                       (ky * s->kernel + kx) * s->channels + c, n));
        }
    }
    return sum;
}

/* Sixteen channels at a time, stride 1: offsets that meet a window are a range. */
INLINE void pixel16(const struct rpu_conv_shape *s, const float *z, size_t ldz, size_t y, size_t x, size_t c, float *out) {
    const size_t k = s->kernel, ch = s->channels, ty = y + s->padding, tx = x + s->padding;
    const size_t ky0 = ty >= s->out_height ? ty - s->out_height + 1 : 0, ky1 = ty < k ? ty + 1 : k;
    const size_t kx0 = tx >= s->out_width ? tx - s->out_width + 1 : 0, kx1 = tx < k ? tx + 1 : k;
    __m256 a = _mm256_setzero_ps(), b = a;
    for (size_t ky = ky0; ky < ky1; ky++)
        for (size_t kx = kx0; kx < kx1; kx++) {
            const float *from = z + ((ty - ky) * s->out_width + tx - kx) * ldz + (ky * k + kx) * ch + c;
            a = _mm256_add_ps(a, _mm256_loadu_ps(from));
            b = _mm256_add_ps(b, _mm256_loadu_ps(from + VEC));
        }
    _mm256_storeu_ps(out, a);
    _mm256_storeu_ps(out + VEC, b);
}

void K(col2im)(const struct rpu_conv_shape *shape, const float *z, size_t ldz, size_t row0, size_t row1, float *image) {
    const size_t c = shape->channels;
    for (size_t y = row0; y < row1; y++)
        for (size_t x = 0; x < shape->width; x++) {
            float *out = image + (y * shape->width + x) * c;
            size_t ch = 0;
            if (shape->stride == 1)
                for (; ch + 16 <= c; ch += 16)
                    pixel16(shape, z, ldz, y, x, ch, out + ch);
            for (; ch < c; ch += VEC)
                store_upto(out + ch, pixel(shape, z, ldz, y, x, ch, c - ch), c - ch);
        }
}

/* ---- pooling ---- */

/* Eight 32-bit offsets to eight bytes. */
INLINE void store_offsets(uint8_t *to, __m256i offset, size_t n) {
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(offset), _mm256_extracti128_si256(offset, 1));
    const __m128i bytes = _mm_packus_epi16(words, words);
    if (n >= VEC) {
        _mm_storel_epi64((__m128i *)(void *)to, bytes);
    } else {
        uint8_t part[16];
        _mm_storeu_si128((__m128i *)(void *)part, bytes);
        memcpy(to, part, n);
    }
}

INLINE void pool8(const struct rpu_pool_shape *s, const float *corner, size_t n, float *best, uint8_t *where) {
    __m256 top = load_upto(corner, n);
    __m256i offset = _mm256_setzero_si256();
    int k = 0;
    for (size_t ky = 0; ky < s->window; ky++)
        for (size_t kx = 0; kx < s->window; kx++, k++) {
            const __m256 v = load_upto(corner + (ky * s->width + kx) * s->channels, n);
            const __m256 larger = _mm256_cmp_ps(v, top, _CMP_GT_OQ);
            top = _mm256_blendv_ps(top, v, larger);
            offset = _mm256_blendv_epi8(offset, _mm256_set1_epi32(k), _mm256_castps_si256(larger));
        }
    store_upto(best, top, n);
    store_offsets(where, offset, n);
}

void K(maxpool)(const struct rpu_pool_shape *shape, const float *in, size_t row0, size_t row1, float *out,
                uint8_t *where) {
    const size_t c = shape->channels;
    for (size_t oy = row0; oy < row1; oy++)
        for (size_t ox = 0; ox < shape->out_width; ox++) {
            const float *corner = in + (oy * shape->stride * shape->width + ox * shape->stride) * c;
            const size_t o = (oy * shape->out_width + ox) * c;
            for (size_t ch = 0; ch < c; ch += VEC)
                pool8(shape, corner + ch, c - ch, out + o + ch, where + o + ch);
        }
}

/* Windows that do not overlap: every element of a window is written once, the chosen one with 0 + d. */
INLINE void unpool8(const struct rpu_pool_shape *s, const float *d, const uint8_t *where, size_t n, float *corner) {
    const __m256 v = _mm256_add_ps(_mm256_setzero_ps(), load_upto(d, n));
    uint64_t bytes = 0;
    memcpy(&bytes, where, n < VEC ? n : VEC);
    const __m256i chosen = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
    int k = 0;
    for (size_t ky = 0; ky < s->window; ky++)
        for (size_t kx = 0; kx < s->window; kx++, k++) {
            const __m256i hit = _mm256_cmpeq_epi32(chosen, _mm256_set1_epi32(k));
            store_upto(corner + (ky * s->width + kx) * s->channels, _mm256_and_ps(v, _mm256_castsi256_ps(hit)), n);
        }
}

/* Overlapping windows add up. */
static void unpool_overlapping(const struct rpu_pool_shape *s, const float *dout, const uint8_t *where, float *din) {
    const size_t c = s->channels;
    for (size_t o = 0; o < (size_t)s->out_height * s->out_width; o++) {
        float *corner = din + (o / s->out_width * s->stride * s->width + o % s->out_width * s->stride) * c;
        for (size_t ch = 0; ch < c; ch++) {
            const size_t k = where[o * c + ch];
            corner[(k / s->window * s->width + k % s->window) * c + ch] += dout[o * c + ch];
        }
    }
}

void K(unpool)(const struct rpu_pool_shape *shape, const float *dout, const uint8_t *where, float *din) {
    const size_t c = shape->channels;
    const int covered = shape->stride == shape->window && shape->width == shape->out_width * shape->window &&
                        shape->height == shape->out_height * shape->window;
    if (!covered)
        memset(din, 0, (size_t)shape->height * shape->width * c * sizeof *din);
    if (shape->stride < shape->window) {
        unpool_overlapping(shape, dout, where, din);
        return;
    }
    for (size_t oy = 0; oy < shape->out_height; oy++)
        for (size_t ox = 0; ox < shape->out_width; ox++) {
            float *corner = din + (oy * shape->stride * shape->width + ox * shape->stride) * c;
            const size_t o = (oy * shape->out_width + ox) * c;
            for (size_t ch = 0; ch < c; ch += VEC)
                unpool8(shape, dout + o + ch, where + o + ch, c - ch, corner + ch);
        }
}

/* ---- activations: kernel_math.h on eight lanes ---- */

INLINE __m256 expm1_reduced(__m256 x, __m256 *scale) {
    const __m256 magic = _mm256_set1_ps(RPU_ROUND_MAGIC);
    const __m256 m = _mm256_fmadd_ps(x, _mm256_set1_ps(RPU_LOG2E), magic);
    const __m256 n = _mm256_sub_ps(m, magic);
    const __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-RPU_LN2_LO), _mm256_fmadd_ps(n, _mm256_set1_ps(-RPU_LN2_HI), x));
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(RPU_EP5), r, _mm256_set1_ps(RPU_EP4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(RPU_EP3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(RPU_EP2));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(RPU_EP1));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(RPU_EP0));
    *scale = _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256(m), 23), _mm256_set1_epi32(0x3f800000)));
    return _mm256_mul_ps(r, p);
}

INLINE __m256 exp8(__m256 x) {
    __m256 scale;
    const __m256 c = clip_ps(x, _mm256_set1_ps(RPU_EXP_MIN), _mm256_set1_ps(RPU_EXP_MAX));
    const __m256 q = expm1_reduced(c, &scale);
    return _mm256_fmadd_ps(scale, q, scale);
}

INLINE __m256 tanh8(__m256 x) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 scale;
    const __m256 c = _mm256_min_ps(_mm256_set1_ps(RPU_TANH_MAX), abs_ps(x));
    const __m256 q = expm1_reduced(_mm256_mul_ps(_mm256_set1_ps(-2.0f), c), &scale);
    const __m256 t = _mm256_fmadd_ps(scale, q, _mm256_sub_ps(scale, _mm256_set1_ps(1.0f)));
    const __m256 y = _mm256_div_ps(_mm256_xor_ps(t, sign), _mm256_add_ps(_mm256_set1_ps(2.0f), t));
    return _mm256_or_ps(_mm256_andnot_ps(sign, y), _mm256_and_ps(sign, x));
}

INLINE __m256 sigmoid8(__m256 x) {
    const __m256 one = _mm256_set1_ps(1.0f);
    return _mm256_div_ps(one, _mm256_add_ps(one, exp8(_mm256_xor_ps(x, _mm256_set1_ps(-0.0f)))));
}

INLINE __m256 relu8(__m256 x) {
    return _mm256_and_ps(x, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ));
}

INLINE __m256 dtanh8(__m256 y, __m256 d) {
    return _mm256_mul_ps(d, _mm256_fnmadd_ps(y, y, _mm256_set1_ps(1.0f)));
}

INLINE __m256 dsigmoid8(__m256 y, __m256 d) {
    return _mm256_mul_ps(d, _mm256_mul_ps(y, _mm256_sub_ps(_mm256_set1_ps(1.0f), y)));
}

INLINE __m256 drelu8(__m256 y, __m256 d) {
    return _mm256_and_ps(d, _mm256_cmp_ps(y, _mm256_setzero_ps(), _CMP_GT_OQ));
}

#define ACTIVATION(op)                                                                                                 \
    void K(op)(size_t n, const float *x, float *y) {                                                                   \
        for (size_t i = 0; i < n; i += VEC)                                                                            \
            store_upto(y + i, op##8(load_upto(x + i, n - i)), n - i);                                                  \
    }
#define DERIVATIVE(op)                                                                                                 \
    void K(op)(size_t n, const float *y, float *d) {                                                                   \
        for (size_t i = 0; i < n; i += VEC)                                                                            \
            store_upto(d + i, op##8(load_upto(y + i, n - i), load_upto(d + i, n - i)), n - i);                         \
    }

ACTIVATION(tanh)
ACTIVATION(sigmoid)
ACTIVATION(relu)
DERIVATIVE(dtanh)
DERIVATIVE(dsigmoid)
DERIVATIVE(drelu)

/* The maximum and the sum are as in the oracle: first element, then the others in order. */
float K(softmax)(size_t n, const float *z, float *p) {
    float peak = z[0], sum = 0.0f;
    for (size_t i = 1; i < n; i++)
        peak = z[i] > peak ? z[i] : peak;
    for (size_t i = 0; i < n; i += VEC)
        store_upto(p + i, exp8(_mm256_sub_ps(load_upto(z + i, n - i), _mm256_set1_ps(peak))), n - i);
    for (size_t i = 0; i < n; i++)
        sum += p[i];
    for (size_t i = 0; i < n; i += VEC)
        store_upto(p + i, _mm256_div_ps(load_upto(p + i, n - i), _mm256_set1_ps(sum)), n - i);
    return rpu_log_f(sum) + peak;
}
