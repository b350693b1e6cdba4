/* SPDX-License-Identifier: Apache-2.0 */
/* Between the arrays: convolution geometry, pooling, activations, softmax. */
#include "avx2.h"

/* ---- convolution geometry ---- */

/* Copies n floats with vectors that stay inside both. */
INLINE void copy_floats(float *to, const float *from, size_t n) {
    size_t i = 0;
    for (; i + 4 * VEC <= n; i += 4 * VEC) {
        _mm256_storeu_ps(to + i, _mm256_loadu_ps(from + i));
        _mm256_storeu_ps(to + i + VEC, _mm256_loadu_ps(from + i + VEC));
        _mm256_storeu_ps(to + i + 2 * VEC, _mm256_loadu_ps(from + i + 2 * VEC));
        _mm256_storeu_ps(to + i + 3 * VEC, _mm256_loadu_ps(from + i + 3 * VEC));
    }
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

/* Five runs of five: four vectors, each blended from loads that are shifted against each other so that the runs fall
 * into place; the last overlaps the one before, and holds the bias where there is one. No load leaves the rows of the
 * image between the first run's begin and the last run's end: the image is at least five wide. */
INLINE void gather_5x5(const float *from, size_t step, int bias, float *x) {
    const float *r1 = from + step, *r2 = r1 + step, *r3 = r2 + step, *r4 = r3 + step;
    const __m256i run = _mm256_setr_epi32(0, 0, -1, -1, -1, -1, -1, 0);
    const __m256 a = _mm256_blend_ps(_mm256_loadu_ps(from), _mm256_loadu_ps(r1 - 5), 0xe0);
    const __m256 b = _mm256_blend_ps(_mm256_loadu_ps(r1 + 3), _mm256_loadu_ps(r2 - 2), 0x7c);
    const __m256 c = _mm256_blend_ps(_mm256_loadu_ps(r3 + 1), _mm256_loadu_ps(r4 - 4), 0xf0);
    _mm256_storeu_ps(x, a);
    _mm256_storeu_ps(x + VEC, _mm256_blend_ps(b, _mm256_loadu_ps(r3 - 7), 0x80));
    _mm256_storeu_ps(x + 2 * VEC, c);
    if (bias) {
        const __m128 two = _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(const void *)(r3 + 3)));
        const __m256 d = _mm256_blend_ps(_mm256_set1_ps(1.0f), _mm256_castps128_ps256(two), 0x03);
        _mm256_storeu_ps(x + 18, _mm256_blend_ps(d, _mm256_maskload_ps(r4 - 2, run), 0x7c));
    } else {
        _mm256_storeu_ps(x + 17, _mm256_blend_ps(_mm256_loadu_ps(r3 + 2), _mm256_loadu_ps(r4 - 3), 0xf8));
    }
}

/* The element behind the runs. */
INLINE void set_bias(const struct rpu_conv_shape *s, float *x) {
    if (s->bias)
        x[(size_t)s->kernel * s->kernel * s->channels] = 1.0f;
}

/* Columns that lie inside the image, from one output row. */
static void columns_inside(const struct rpu_conv_shape *s, const float *corner, size_t count, float *x, size_t ldx) {
    const size_t row = (size_t)s->kernel * s->channels, step = (size_t)s->width * s->channels;
    const size_t next = (size_t)s->stride * s->channels, kernel = s->kernel;
    if (kernel == 5 && row == 5 && s->bias) {
        for (size_t p = 0; p < count; p++)
            gather_5x5(corner + p * next, step, 1, x + p * ldx);
    } else if (kernel == 5 && row == 5) {
        for (size_t p = 0; p < count; p++)
            gather_5x5(corner + p * next, step, 0, x + p * ldx);
    } else if (row < VEC) {
        const __m256i mask = lane_mask(row);
        for (size_t p = 0; p < count; p++) {
            gather_short(corner + p * next, step, kernel, row, mask, x + p * ldx);
            set_bias(s, x + p * ldx);
        }
    } else {
        for (size_t p = 0; p < count; p++) {
            gather_inside(corner + p * next, step, kernel, row, x + p * ldx);
            set_bias(s, x + p * ldx);
        }
    }
}

/* A column that lies partly outside. */
static void column_edge(const struct rpu_conv_shape *s, const float *image, size_t top, size_t left, float *x) {
    const size_t edge = (size_t)s->width + s->padding, right = edge > left ? edge - left : 0;
    const size_t from = s->padding > left ? s->padding - left : 0, to = right < s->kernel ? right : s->kernel;
    for (size_t ky = 0; ky < s->kernel; ky++)
        gather_row(s, image, top + ky, left, from < to ? from : to, to, x + ky * s->kernel * s->channels);
    set_bias(s, x);
}

/* Columns ox .. ox + count - 1 of one output row: the left edge, the inside, the right edge. */
static void columns_of_row(const struct rpu_conv_shape *s, const float *image, size_t oy, size_t ox, size_t count,
                           float *x, size_t ldx) {
    const size_t top = oy * s->stride, end = ox + count;
    const size_t width = (size_t)s->width + s->padding, height = (size_t)s->height + s->padding;
    size_t inside = (s->padding + s->stride - 1) / s->stride;
    size_t right = width >= s->kernel ? (width - s->kernel) / s->stride + 1 : 0;
    if (top < s->padding || top + s->kernel > height || right <= inside)
        inside = right = end;
    inside = inside < ox ? ox : inside < end ? inside : end;
    right = right < inside ? inside : right < end ? right : end;
    for (size_t p = ox; p < inside; p++)
        column_edge(s, image, top, p * s->stride, x + (p - ox) * ldx);
    if (right > inside)
        columns_inside(s, image + ((top - s->padding) * s->width + inside * s->stride - s->padding) * s->channels,
                       right - inside, x + (inside - ox) * ldx, ldx);
    for (size_t p = right; p < end; p++)
        column_edge(s, image, top, p * s->stride, x + (p - ox) * ldx);
}

void K(im2col)(const struct rpu_conv_shape *shape, const float *image, size_t first, size_t count, float *x,
               size_t ldx) {
    size_t oy = first / shape->out_width, ox = first % shape->out_width;
    for (size_t p = 0, n; p < count; p += n, oy++, ox = 0) {
        const size_t left = shape->out_width - ox;
        n = left < count - p ? left : count - p;
        columns_of_row(shape, image, oy, ox, n, x + p * ldx, ldx);
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

/* Kernel offsets [from, to) of one direction that meet a window, at stride 1; `at` counts the padding in. */
struct meet {
    size_t from, to;
};

INLINE struct meet meet_of(size_t at, size_t kernel, size_t windows) {
    const struct meet m = {at >= windows ? at - windows + 1 : 0, at < kernel ? at + 1 : kernel};
    return m;
}

/* Sixteen channels of one pixel at stride 1, for `rows` kernel rows of `count` offsets each; `z` is at the first.
 * `back` floats lie between an offset's window and the one before that window, `up` between kernel rows. */
INLINE void pixel16(const float *z, size_t rows, size_t count, size_t back, size_t up, float *out) {
    __m256 a = _mm256_setzero_ps(), b = a;
    for (size_t ky = 0; ky < rows; ky++)
        for (size_t kx = 0; kx < count; kx++) {
            const float *from = z - (ky * up + kx * back);
            a = _mm256_add_ps(a, _mm256_loadu_ps(from));
            b = _mm256_add_ps(b, _mm256_loadu_ps(from + VEC));
        }
    _mm256_storeu_ps(out, a);
    _mm256_storeu_ps(out + VEC, b);
}

/* What the pixels of one row of the image have in common: its first kernel row, and as in pixel16. */
struct gather {
    const float *z;
    size_t ldz, kernel, windows, channels, rows, back, up;
};

/* Pixel `at`, with the padding counted in. */
INLINE void pixel_any(const struct gather *g, size_t at, size_t c, float *out) {
    const struct meet m = meet_of(at, g->kernel, g->windows);
    const size_t count = m.to > m.from ? m.to - m.from : 0;
    const float *z = count > 0 ? g->z + (at - m.from) * g->ldz + m.from * g->channels : g->z;
    for (size_t i = 0; i < c; i += 16)
        pixel16(z + i, count > 0 ? g->rows : 0, count, g->back, g->up, out + i);
}

/* Pixels from `at` to `end`, which all kernel offsets meet. */
INLINE void pixels_inside(const struct gather *g, size_t kernel, size_t at, size_t end, size_t c, float *out) {
    const size_t rows = g->rows, back = g->back, up = g->up;
    for (; at < end; at++, out += g->channels)
        for (size_t i = 0; i < c; i += 16)
            pixel16(g->z + at * g->ldz + i, rows, kernel, back, up, out + i);
}

/* The first `c` channels, whole sixteens, of one row of the image, stride 1. Usual kernels have code of their own: loops
 * as short as theirs cost as much as what they do. */
static void row16(const struct rpu_conv_shape *s, const float *z, size_t ldz, size_t y, size_t c, float *out) {
    const size_t k = s->kernel, ch = s->channels, ty = y + s->padding, end = (size_t)s->width + s->padding;
    const size_t right = s->out_width < end ? s->out_width : end;
    const struct meet m = meet_of(ty, k, s->out_height);
    struct gather g = {z, ldz, k, s->out_width, ch, 0, ldz - ch, s->out_width * ldz - k * ch};
    size_t at = s->padding;
    if (m.to > m.from) {
        g.rows = m.to - m.from;
        g.z += (ty - m.from) * s->out_width * ldz + m.from * k * ch;
    }
    for (; at < end && at + 1 < k; at++, out += ch)
        pixel_any(&g, at, c, out);
    if (at < right) {
        if (k == 5)
            pixels_inside(&g, 5, at, right, c, out);
        else if (k == 3)
            pixels_inside(&g, 3, at, right, c, out);
        else
            pixels_inside(&g, k, at, right, c, out);
        out += (right - at) * ch;
        at = right;
    }
    for (; at < end; at++, out += ch)
        pixel_any(&g, at, c, out);
}

INLINE void add_floats(float *to, const float *from, size_t n) {
    size_t i = 0;
    for (; i + VEC <= n; i += VEC)
        _mm256_storeu_ps(to + i, _mm256_add_ps(_mm256_loadu_ps(to + i), _mm256_loadu_ps(from + i)));
    if (i < n)
        store_part(to + i, _mm256_add_ps(load_part(to + i, n - i), load_part(from + i, n - i)), n - i);
}

/* One row of the image, from the kernel rows of the windows that meet it: a window's is a run of floats in both. From
 * the last window to the first, so that a pixel's kernel offsets come in rising order. */
static void row_by_runs(const struct rpu_conv_shape *s, const float *z, size_t ldz, size_t y, float *out) {
    const size_t c = s->channels, kernel = s->kernel, padding = s->padding, edge = s->width + padding;
    zero_floats(out, s->width * c);
    for (size_t ky = 0; ky < kernel; ky++) {
        const ptrdiff_t oy = window_of(y, ky, s, s->out_height);
        if (oy < 0)
            continue;
        for (size_t ox = s->out_width; ox-- > 0;) {
            const size_t left = ox * s->stride, from = padding > left ? padding - left : 0;
            const size_t right = edge > left ? edge - left : 0, to = right < kernel ? right : kernel;
            if (from < to)
                add_floats(out + (left + from - padding) * c,
                           z + ((size_t)oy * s->out_width + ox) * ldz + (ky * kernel + from) * c, (to - from) * c);
        }
    }
}

void K(col2im)(const struct rpu_conv_shape *shape, const float *z, size_t ldz, size_t row0, size_t row1, float *image) {
    const size_t c = shape->channels, whole = shape->stride == 1 ? c / 16 * 16 : 0;
    for (size_t y = row0; whole == 0 && y < row1; y++)
        row_by_runs(shape, z, ldz, y, image + y * shape->width * c);
    for (size_t y = row0; whole > 0 && y < row1; y++) {
        float *row = image + y * shape->width * c;
        row16(shape, z, ldz, y, whole, row);
        for (size_t x = 0; x < shape->width; x++)
            for (size_t ch = whole; ch < c; ch += VEC)
                store_upto(row + x * c + ch, pixel(shape, z, ldz, y, x, ch, c - ch), c - ch);
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

struct peak {
    __m256 top;
    __m256i offset;
};

/* max_ps(v, top) is v > top ? v : top; of the offsets that were larger in their turn the last is the largest. */
INLINE struct peak peak8(const float *corner, size_t window, size_t pixel, size_t row, size_t n) {
    struct peak p = {load_upto(corner, n), _mm256_setzero_si256()};
    int k = 1;
    for (size_t ky = 0; ky < window; ky++)
        for (size_t kx = ky == 0; kx < window; kx++, k++) {
            const __m256 v = load_upto(corner + ky * row + kx * pixel, n);
            const __m256i larger = _mm256_castps_si256(_mm256_cmp_ps(v, p.top, _CMP_GT_OQ));
            p.top = _mm256_max_ps(v, p.top);
            p.offset = _mm256_max_epi32(p.offset, _mm256_and_si256(larger, _mm256_set1_epi32(k)));
        }
    return p;
}

/* All channels of one window. */
INLINE void pool_window(const float *corner, size_t window, size_t c, size_t row, float *best, uint8_t *where) {
    size_t ch = 0;
    for (; ch + 2 * VEC <= c; ch += 2 * VEC) {
        const struct peak a = peak8(corner + ch, window, c, row, VEC), b = peak8(corner + ch + VEC, window, c, row, VEC);
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(a.offset, b.offset), 0xd8);
        _mm256_storeu_ps(best + ch, a.top);
        _mm256_storeu_ps(best + ch + VEC, b.top);
        _mm_storeu_si128((__m128i *)(void *)(where + ch),
                         _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
    }
    for (; ch < c; ch += VEC) {
        const struct peak a = peak8(corner + ch, window, c, row, c - ch);
        store_upto(best + ch, a.top, c - ch);
        store_offsets(where + ch, a.offset, c - ch);
    }
}

/* The shape is a copy: a write to `where` may change anything that has an address. */
INLINE void pool_rows(const struct rpu_pool_shape s, size_t window, const float *in, size_t row0, size_t row1,
                      float *out, uint8_t *where) {
    const size_t c = s.channels, row = s.width * c, width = s.out_width, step = s.stride * c;
    for (size_t oy = row0; oy < row1; oy++)
        for (size_t ox = 0; ox < width; ox++)
            pool_window(in + oy * s.stride * row + ox * step, window, c, row, out + (oy * width + ox) * c,
                        where + (oy * width + ox) * c);
}

void K(maxpool)(const struct rpu_pool_shape *shape, const float *in, size_t row0, size_t row1, float *out,
                uint8_t *where) {
    if (shape->window == 2)
        pool_rows(*shape, 2, in, row0, row1, out, where);
    else
        pool_rows(*shape, shape->window, in, row0, row1, out, where);
}

/* Windows that do not overlap: every element of a window is written once, the chosen one with 0 + d. Where they overlap
 * d is added to the chosen one and 0 to the others, which changes none: they began with 0, and no sum is -0. */
INLINE void unpool8(const struct rpu_pool_shape *s, size_t window, const float *d, const uint8_t *where, size_t n,
                    float *corner, int overlap) {
    const __m256 own = load_upto(d, n), v = _mm256_add_ps(_mm256_setzero_ps(), own);
    uint64_t bytes = 0;
    memcpy(&bytes, where, n < VEC ? n : VEC);
    const __m256i chosen = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
    int k = 0;
    for (size_t ky = 0; ky < window; ky++)
        for (size_t kx = 0; kx < window; kx++, k++) {
            const __m256 hit = _mm256_castsi256_ps(_mm256_cmpeq_epi32(chosen, _mm256_set1_epi32(k)));
            float *const to = corner + (ky * s->width + kx) * s->channels;
            if (overlap)
                store_upto(to, _mm256_add_ps(load_upto(to, n), _mm256_and_ps(own, hit)), n);
            else
                store_upto(to, _mm256_and_ps(v, hit), n);
        }
}

INLINE void unpool_windows(const struct rpu_pool_shape *s, size_t window, const float *dout, const uint8_t *where,
                           float *din, int overlap) {
    const size_t c = s->channels;
    for (size_t oy = 0; oy < s->out_height; oy++)
        for (size_t ox = 0; ox < s->out_width; ox++) {
            float *corner = din + (oy * s->stride * s->width + ox * s->stride) * c;
            const size_t o = (oy * s->out_width + ox) * c;
            size_t ch = 0;
            for (; ch + VEC <= c; ch += VEC)
                unpool8(s, window, dout + o + ch, where + o + ch, VEC, corner + ch, overlap);
            if (ch < c)
                unpool8(s, window, dout + o + ch, where + o + ch, c - ch, corner + ch, overlap);
        }
}

void K(unpool)(const struct rpu_pool_shape *shape, const float *dout, const uint8_t *where, float *din) {
    const size_t c = shape->channels;
    const int covered = shape->stride == shape->window && shape->width == shape->out_width * shape->window &&
                        shape->height == shape->out_height * shape->window;
    if (!covered)
        memset(din, 0, (size_t)shape->height * shape->width * c * sizeof *din);
    if (shape->stride < shape->window && shape->window == 3)
        unpool_windows(shape, 3, dout, where, din, 1);
    else if (shape->stride < shape->window)
        unpool_windows(shape, shape->window, dout, where, din, 1);
    else if (shape->window == 2)
        unpool_windows(shape, 2, dout, where, din, 0);
    else
        unpool_windows(shape, shape->window, dout, where, din, 0);
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
    const __m256 y = _mm256_div_ps(_mm256_andnot_ps(sign, t), _mm256_add_ps(_mm256_set1_ps(2.0f), t)); /* t <= 0 */
    return _mm256_or_ps(y, _mm256_and_ps(sign, x));
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

/* Two vectors at a time, so that two chains of dependent operations run side by side. */
#define ACTIVATION(op)                                                                                                 \
    void K(op)(size_t n, const float *x, float *y) {                                                                   \
        size_t i = 0;                                                                                                  \
        for (; i + 2 * VEC <= n; i += 2 * VEC) {                                                                       \
            const __m256 a = op##8(_mm256_loadu_ps(x + i)), b = op##8(_mm256_loadu_ps(x + i + VEC));                   \
            _mm256_storeu_ps(y + i, a);                                                                                \
            _mm256_storeu_ps(y + i + VEC, b);                                                                          \
        }                                                                                                              \
        for (; i < n; i += VEC)                                                                                        \
            store_upto(y + i, op##8(load_upto(x + i, n - i)), n - i);                                                  \
    }
#define DERIVATIVE(op)                                                                                                 \
    void K(op)(size_t n, const float *y, float *d) {                                                                   \
        size_t i = 0;                                                                                                  \
        for (; i + VEC <= n; i += VEC)                                                                                 \
            _mm256_storeu_ps(d + i, op##8(_mm256_loadu_ps(y + i), _mm256_loadu_ps(d + i)));                            \
        if (i < n)                                                                                                     \
            store_part(d + i, op##8(load_part(y + i, n - i), load_part(d + i, n - i)), n - i);                         \
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
