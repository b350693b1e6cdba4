/* SPDX-License-Identifier: Apache-2.0 */
/* Between the arrays: convolution geometry, pooling, activations, softmax. Images are channels-last: vectors run over
 * the channels of a pixel, the last one overlapping the one before where the number is no multiple of four. */
#include "neon.h"

/* ---- convolution geometry ---- */

INLINE void copy_floats(float *to, const float *from, size_t n) {
    if (n < VEC) {
        if (n > 0)
            store_part(to, load_part(from, n), n);
        return;
    }
    size_t i = 0;
    for (; i + 4 * VEC <= n; i += 4 * VEC)
        vst1q_f32_x4(to + i, vld1q_f32_x4(from + i));
    for (; i + VEC <= n; i += VEC)
        vst1q_f32(to + i, vld1q_f32(from + i));
    vst1q_f32(to + n - VEC, vld1q_f32(from + n - VEC));
}

/* Where a kernel row meets the image: kx in [from, to) is inside. */
INLINE void inside(const struct rpu_conv_shape *s, size_t ox, size_t *from, size_t *to) {
    const size_t left = ox * s->stride;
    const size_t right = s->width + s->padding > left ? s->width + s->padding - left : 0;
    *from = s->padding > left ? s->padding - left : 0;
    *to = right < s->kernel ? right : s->kernel;
    if (*from > *to)
        *from = *to;
}

/* One kernel row of one column, [from, to) of it inside the image if the image has this row. */
INLINE void gather_row(const struct rpu_conv_shape *s, const float *image, size_t y, size_t left, size_t from,
                       size_t to, float *x) {
    const size_t c = s->channels;
    if (y < s->padding || y >= s->height + s->padding)
        from = to = 0;
    if (from > 0)
        memset(x, 0, from * c * sizeof *x);
    if (to > from)
        copy_floats(x + from * c, image + ((y - s->padding) * s->width + left + from - s->padding) * c,
                    (to - from) * c);
    if (to < s->kernel)
        memset(x + to * c, 0, (s->kernel - to) * c * sizeof *x);
}

/* Five runs of five that lie inside the image: four floats and one. */
INLINE void gather_5x5(const float *from, size_t step, float *x) {
    UNROLL
    for (size_t ky = 0; ky < 5; ky++) {
        vst1q_f32(x + 5 * ky, vld1q_f32(from + ky * step));
        x[5 * ky + 4] = from[ky * step + 4];
    }
}

/* One column; kx in [from, to) lie inside the image where the kernel row does. */
INLINE void gather_column(const struct rpu_conv_shape *s, const float *image, size_t top, size_t left, size_t from,
                          size_t to, float *x) {
    const size_t row = (size_t)s->kernel * s->channels;
    if (row == 5 && to - from == 5 && top >= s->padding && top + 5 <= (size_t)s->height + s->padding) {
        gather_5x5(image + (top - s->padding) * s->width + left - s->padding, s->width, x);
        return;
    }
    for (size_t ky = 0; ky < s->kernel; ky++)
        gather_row(s, image, top + ky, left, from, to, x + ky * row);
}

void K(im2col)(const struct rpu_conv_shape *shape, const float *image, size_t first, size_t count, float *x,
               size_t ldx) {
    const size_t row = (size_t)shape->kernel * shape->channels;
    size_t oy = count > 0 ? first / shape->out_width : 0, ox = count > 0 ? first % shape->out_width : 0;
    for (size_t p = 0; p < count; p++) {
        size_t from, to;
        inside(shape, ox, &from, &to);
        gather_column(shape, image, oy * shape->stride, ox * shape->stride, from, to, x + p * ldx);
        if (shape->bias)
            x[p * ldx + shape->kernel * row] = 1.0f;
        if (++ox == shape->out_width) {
            ox = 0;
            oy++;
        }
    }
}

/* The kernel offsets first, first + stride, .. (`count` of them) at which windows window, window - 1, .. hold one
 * image coordinate. */
struct taps {
    size_t first, window, count;
};

INLINE struct taps taps_of(size_t at, const struct rpu_conv_shape *s, size_t windows) {
    struct taps t = {0, 0, 0};
    const size_t start = at + s->padding;
    const size_t last = start < s->kernel ? start : s->kernel - 1u;
    if (windows == 0)
        return t;
    t.window = start / s->stride < windows - 1 ? start / s->stride : windows - 1;
    t.first = start - t.window * s->stride;
    t.count = t.first > last ? 0 : (last - t.first) / s->stride + 1;
    return t;
}

/* How the gradient of a pixel is read: from one tap to the next along x and along y. */
struct walk {
    const float *z;
    size_t nx, ny;
    ptrdiff_t dx, dy;
};

/* The sums of 4 * vectors channels of one pixel stay in registers. */
INLINE void sum_taps(const size_t vectors, const struct walk *w, size_t channel, float *out) {
    float32x4_t s[4];
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        s[v] = vdupq_n_f32(0.0f);
    for (size_t ky = 0; ky < w->ny && w->nx > 0; ky++) {
        const float *z = w->z + channel + (ptrdiff_t)ky * w->dy;
        for (size_t left = w->nx;; z += w->dx) { /* never steps beyond the last tap */
            UNROLL
            for (size_t v = 0; v < vectors; v++)
                s[v] = vaddq_f32(s[v], vld1q_f32(z + v * VEC));
            if (--left == 0)
                break;
        }
    }
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        vst1q_f32(out + channel + v * VEC, s[v]);
}

/* One row of the image, at least four channels. */
static void sum_row(const struct rpu_conv_shape *s, const float *z, size_t ldz, size_t y, float *out) {
    const size_t c = s->channels;
    const struct taps ty = taps_of(y, s, s->out_height);
    struct walk w = {.ny = ty.count,
                     .dx = (ptrdiff_t)(s->stride * c) - (ptrdiff_t)ldz,
                     .dy = (ptrdiff_t)((size_t)s->stride * s->kernel * c) - (ptrdiff_t)(s->out_width * ldz)};
    for (size_t x = 0; x < s->width; x++, out += c) {
        const struct taps tx = taps_of(x, s, s->out_width);
        size_t ch = 0;
        w.nx = tx.count;
        w.z = z;
        if (tx.count > 0 && ty.count > 0)
            w.z += (ty.window * s->out_width + tx.window) * ldz + (ty.first * s->kernel + tx.first) * c;
        for (; ch + 4 * VEC <= c; ch += 4 * VEC)
            sum_taps(4, &w, ch, out);
        for (; ch + VEC <= c; ch += VEC)
            sum_taps(1, &w, ch, out);
        if (ch < c)
            sum_taps(1, &w, c - VEC, out);
    }
}

INLINE void add_floats(float *to, const float *from, size_t n) {
    size_t i = 0;
    for (; i + VEC <= n; i += VEC)
        vst1q_f32(to + i, vaddq_f32(vld1q_f32(to + i), vld1q_f32(from + i)));
    if (i < n)
        store_part(to + i, vaddq_f32(load_part(to + i, n - i), load_part(from + i, n - i)), n - i);
}

/* One row of the image, few channels: whole kernel rows are added. Going down in ox, kx goes up for each pixel. */
static void add_row(const struct rpu_conv_shape *s, const float *z, size_t ldz, size_t y, float *out) {
    const size_t c = s->channels;
    const struct taps t = taps_of(y, s, s->out_height);
    memset(out, 0, s->width * c * sizeof *out);
    for (size_t k = 0; k < t.count; k++) {
        const size_t ky = t.first + k * s->stride, oy = t.window - k;
        for (size_t ox = s->out_width; ox-- > 0;) {
            size_t from, to;
            inside(s, ox, &from, &to);
            if (to > from)
                add_floats(out + (ox * s->stride + from - s->padding) * c,
                           z + (oy * s->out_width + ox) * ldz + (ky * s->kernel + from) * c, (to - from) * c);
        }
    }
}

void K(col2im)(const struct rpu_conv_shape *shape, const float *z, size_t ldz, size_t row0, size_t row1, float *image) {
    const size_t row = (size_t)shape->width * shape->channels;
    for (size_t y = row0; y < row1; y++) {
        if (shape->channels >= VEC)
            sum_row(shape, z, ldz, y, image + y * row);
        else
            add_row(shape, z, ldz, y, image + y * row);
    }
}

/* ---- pooling ---- */

/* The lowest bytes of four vectors of numbers below 256. */
INLINE uint8x16_t narrow(const uint32x4_t v[4]) {
    const uint16x8_t a = vuzp1q_u16(vreinterpretq_u16_u32(v[0]), vreinterpretq_u16_u32(v[1]));
    const uint16x8_t b = vuzp1q_u16(vreinterpretq_u16_u32(v[2]), vreinterpretq_u16_u32(v[3]));
    return vuzp1q_u8(vreinterpretq_u8_u16(a), vreinterpretq_u8_u16(b));
}

/* The first n <= 16 of them. */
INLINE void store_bytes(uint8_t *to, uint8x16_t v, size_t n) {
    uint8_t all[16];
    if (n == sizeof all) {
        vst1q_u8(to, v);
        return;
    }
    vst1q_u8(all, v);
    memcpy(to, all, n);
}

/* Floats from one pixel to the next, and from one row to the next, of the image that is pooled. */
struct steps {
    size_t pixel, row;
};

/* The largest of a window in `channels` channels; channels = 4 * vectors, or fewer with one vector. */
INLINE void pool_block(const size_t vectors, size_t channels, size_t window, struct steps step, const float *corner,
                       float *out, uint8_t *where) {
    float32x4_t best[4];
    uint32x4_t offset[4] = {vdupq_n_u32(0), vdupq_n_u32(0), vdupq_n_u32(0), vdupq_n_u32(0)};
    uint32_t k = 1;
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        best[v] = load_upto(corner + v * VEC, channels - v * VEC);
    for (size_t ky = 0; ky < window; ky++)
        for (size_t kx = ky == 0; kx < window; kx++, k++) {
            const float *pixel = corner + ky * step.row + kx * step.pixel;
            UNROLL
            for (size_t v = 0; v < vectors; v++) {
                const float32x4_t at = load_upto(pixel + v * VEC, channels - v * VEC);
                const uint32x4_t larger = vcgtq_f32(at, best[v]);
                best[v] = vbslq_f32(larger, at, best[v]);
                offset[v] = vbslq_u32(larger, vdupq_n_u32(k), offset[v]);
            }
        }
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        store_upto(out + v * VEC, best[v], channels - v * VEC);
    store_bytes(where, narrow(offset), channels);
}

/* The shape is a copy: a write to `where` may change anything that has an address. */
INLINE void pool_rows(const struct rpu_pool_shape s, size_t window, const float *in, size_t row0, size_t row1,
                      float *out, uint8_t *where) {
    const size_t c = s.channels;
    const struct steps step = {c, s.width * c};
    for (size_t oy = row0; oy < row1; oy++)
        for (size_t ox = 0; ox < s.out_width; ox++) {
            const float *corner = in + oy * s.stride * step.row + ox * s.stride * c;
            const size_t o = (oy * s.out_width + ox) * c;
            size_t ch = 0;
            for (; ch + 4 * VEC <= c; ch += 4 * VEC)
                pool_block(4, 4 * VEC, window, step, corner + ch, out + o + ch, where + o + ch);
            for (; ch + VEC <= c; ch += VEC)
                pool_block(1, VEC, window, step, corner + ch, out + o + ch, where + o + ch);
            if (ch < c)
                pool_block(1, c - ch, window, step, corner + ch, out + o + ch, where + o + ch);
        }
}

void K(maxpool)(const struct rpu_pool_shape *shape, const float *in, size_t row0, size_t row1, float *out,
                uint8_t *where) {
    if (shape->window == 2)
        pool_rows(*shape, 2, in, row0, row1, out, where);
    else
        pool_rows(*shape, shape->window, in, row0, row1, out, where);
}

/* The first n <= 16 window offsets, four to a vector. */
INLINE void load_offsets(const uint8_t *where, size_t n, uint32x4_t offset[4]) {
    uint8_t all[16] = {0};
    memcpy(all, where, n);
    const uint8x16_t bytes = vld1q_u8(all);
    const uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_high_u8(bytes);
    offset[0] = vmovl_u16(vget_low_u16(low));
    offset[1] = vmovl_high_u16(low);
    offset[2] = vmovl_u16(vget_low_u16(high));
    offset[3] = vmovl_high_u16(high);
}

/* Gives the channels of one output to the window; channels as in pool_block. Windows that do not overlap are written,
 * others added to. */
INLINE void unpool_block(const size_t vectors, size_t channels, size_t window, struct steps step, const float *dout,
                         const uint8_t *where, float *corner, int overlap) {
    float32x4_t d[4];
    uint32x4_t offset[4];
    uint32_t k = 0;
    load_offsets(where, channels, offset);
    UNROLL
    for (size_t v = 0; v < vectors; v++) /* a sum from 0 is never -0 */
        d[v] = vaddq_f32(load_upto(dout + v * VEC, channels - v * VEC), vdupq_n_f32(0.0f));
    for (size_t ky = 0; ky < window; ky++) {
        float *row = corner + ky * step.row;
        for (size_t kx = 0; kx < window; kx++, k++) {
            UNROLL
            for (size_t v = 0; v < vectors; v++) {
                float *at = row + kx * step.pixel + v * VEC;
                const uint32x4_t here = vceqq_u32(offset[v], vdupq_n_u32(k));
                float32x4_t g = vreinterpretq_f32_u32(vandq_u32(here, vreinterpretq_u32_f32(d[v])));
                if (overlap) {
                    const float32x4_t old = load_upto(at, channels - v * VEC);
                    g = vbslq_f32(here, vaddq_f32(old, d[v]), old);
                }
                store_upto(at, g, channels - v * VEC);
            }
        }
    }
}

INLINE void unpool_all(const struct rpu_pool_shape *s, size_t window, const float *dout, const uint8_t *where,
                       float *din, int overlap) {
    const size_t c = s->channels;
    const struct steps step = {c, s->width * c};
    for (size_t oy = 0; oy < s->out_height; oy++)
        for (size_t ox = 0; ox < s->out_width; ox++) {
            float *corner = din + (oy * s->stride * s->width + ox * s->stride) * c;
            const size_t o = (oy * s->out_width + ox) * c;
            size_t ch = 0;
            for (; ch + 4 * VEC <= c; ch += 4 * VEC)
                unpool_block(4, 4 * VEC, window, step, dout + o + ch, where + o + ch, corner + ch, overlap);
            for (; ch + VEC <= c; ch += VEC)
                unpool_block(1, VEC, window, step, dout + o + ch, where + o + ch, corner + ch, overlap);
            if (ch < c)
                unpool_block(1, c - ch, window, step, dout + o + ch, where + o + ch, corner + ch, overlap);
        }
}

void K(unpool)(const struct rpu_pool_shape *shape, const float *dout, const uint8_t *where, float *din) {
    const int overlap = shape->stride < shape->window;
    const int covered = shape->stride == shape->window && shape->out_height * shape->stride == shape->height &&
                        shape->out_width * shape->stride == shape->width;
    if (!covered)
        memset(din, 0, (size_t)shape->height * shape->width * shape->channels * sizeof *din);
    if (overlap)
        unpool_all(shape, shape->window, dout, where, din, 1);
    else if (shape->window == 2)
        unpool_all(shape, 2, dout, where, din, 0);
    else
        unpool_all(shape, shape->window, dout, where, din, 0);
}

/* ---- activations: kernel_math.h on four lanes ---- */

struct expm1 {
    float32x4_t value, scale;
};

INLINE struct expm1 expm1_reduced(float32x4_t x) {
    const float32x4_t magic = vdupq_n_f32(RPU_ROUND_MAGIC);
    const float32x4_t m = vfmaq_f32(magic, x, vdupq_n_f32(RPU_LOG2E));
    const float32x4_t n = vsubq_f32(m, magic);
    const float32x4_t r = vfmaq_f32(vfmaq_f32(x, n, vdupq_n_f32(-RPU_LN2_HI)), n, vdupq_n_f32(-RPU_LN2_LO));
    float32x4_t p = vfmaq_f32(vdupq_n_f32(RPU_EP4), vdupq_n_f32(RPU_EP5), r);
    p = vfmaq_f32(vdupq_n_f32(RPU_EP3), p, r);
    p = vfmaq_f32(vdupq_n_f32(RPU_EP2), p, r);
    p = vfmaq_f32(vdupq_n_f32(RPU_EP1), p, r);
    p = vfmaq_f32(vdupq_n_f32(RPU_EP0), p, r);
    const uint32x4_t exponent = vshlq_n_u32(vreinterpretq_u32_f32(m), 23);
    const struct expm1 e = {vmulq_f32(r, p), vreinterpretq_f32_u32(vaddq_u32(exponent, vdupq_n_u32(0x3f800000u)))};
    return e;
}

/* FMIN and FMAX keep a NaN. */
INLINE float32x4_t exp4(float32x4_t x) {
    const float32x4_t c = vmaxq_f32(vminq_f32(x, vdupq_n_f32(RPU_EXP_MAX)), vdupq_n_f32(RPU_EXP_MIN));
    const struct expm1 e = expm1_reduced(c);
    return vfmaq_f32(e.scale, e.scale, e.value);
}

INLINE float32x4_t tanh4(float32x4_t x) {
    const float32x4_t c = vminq_f32(vabsq_f32(x), vdupq_n_f32(RPU_TANH_MAX));
    const struct expm1 e = expm1_reduced(vmulq_f32(vdupq_n_f32(-2.0f), c));
    const float32x4_t t = vfmaq_f32(vsubq_f32(e.scale, vdupq_n_f32(1.0f)), e.scale, e.value);
    const float32x4_t y = vdivq_f32(vnegq_f32(t), vaddq_f32(vdupq_n_f32(2.0f), t));
    return vbslq_f32(vdupq_n_u32(0x80000000u), x, y);
}

INLINE float32x4_t sigmoid4(float32x4_t x) {
    const float32x4_t one = vdupq_n_f32(1.0f);
    return vdivq_f32(one, vaddq_f32(one, exp4(vnegq_f32(x))));
}

/* v where y > 0, else +0. Compared as integers: a compiler may make a maximum of a comparison of floats, and that one
 * answers a signalling NaN with a NaN. */
INLINE float32x4_t where_positive(float32x4_t y, float32x4_t v) {
    const uint32x4_t positive =
        vcleq_u32(vsubq_u32(vreinterpretq_u32_f32(y), vdupq_n_u32(1)), vdupq_n_u32(0x7f7fffffu));
    return vreinterpretq_f32_u32(vandq_u32(positive, vreinterpretq_u32_f32(v)));
}

typedef float32x4_t map_fn(float32x4_t x);
typedef float32x4_t slope_fn(float32x4_t y, float32x4_t d);

/* y = f(x), two vectors at a time, so that two chains of dependent operations run side by side. */
INLINE void map(size_t n, const float *x, float *y, map_fn *f) {
    size_t i = 0;
    for (; i + 2 * VEC <= n; i += 2 * VEC) {
        const float32x4_t a = f(vld1q_f32(x + i)), b = f(vld1q_f32(x + i + VEC));
        vst1q_f32(y + i, a);
        vst1q_f32(y + i + VEC, b);
    }
    for (; i + VEC <= n; i += VEC)
        vst1q_f32(y + i, f(vld1q_f32(x + i)));
    if (i < n)
        store_part(y + i, f(load_part(x + i, n - i)), n - i);
}

/* d = f(y, d). */
INLINE void map_slope(size_t n, const float *y, float *d, slope_fn *f) {
    size_t i = 0;
    for (; i + VEC <= n; i += VEC)
        vst1q_f32(d + i, f(vld1q_f32(y + i), vld1q_f32(d + i)));
    if (i < n)
        store_part(d + i, f(load_part(y + i, n - i), load_part(d + i, n - i)), n - i);
}

INLINE float32x4_t relu4(float32x4_t x) {
    return where_positive(x, x);
}

INLINE float32x4_t dtanh4(float32x4_t y, float32x4_t d) {
    return vmulq_f32(d, vfmsq_f32(vdupq_n_f32(1.0f), y, y));
}

INLINE float32x4_t dsigmoid4(float32x4_t y, float32x4_t d) {
    return vmulq_f32(d, vmulq_f32(y, vsubq_f32(vdupq_n_f32(1.0f), y)));
}

void K(tanh)(size_t n, const float *x, float *y) {
    map(n, x, y, tanh4);
}

void K(sigmoid)(size_t n, const float *x, float *y) {
    map(n, x, y, sigmoid4);
}

void K(relu)(size_t n, const float *x, float *y) {
    map(n, x, y, relu4);
}

void K(dtanh)(size_t n, const float *y, float *d) {
    map_slope(n, y, d, dtanh4);
}

void K(dsigmoid)(size_t n, const float *y, float *d) {
    map_slope(n, y, d, dsigmoid4);
}

void K(drelu)(size_t n, const float *y, float *d) {
    map_slope(n, y, d, where_positive);
}

/* ---- softmax ---- */

/* The lanes start with z[0], so that a NaN there stays in all of them; a later NaN is never larger. */
static float largest(size_t n, const float *z) {
    float32x4_t m = vdupq_n_f32(z[0]);
    for (size_t i = 0; i < n; i += VEC) {
        const float32x4_t v = load_upto(z + i, n - i);
        m = vbslq_f32(vcgtq_f32(v, m), v, m);
    }
    return vmaxvq_f32(m);
}

float K(softmax)(size_t n, const float *z, float *p) {
    const float peak = largest(n, z);
    float sum = 0.0f;
    for (size_t i = 0; i < n; i += VEC)
        store_upto(p + i, exp4(vsubq_f32(load_upto(z + i, n - i), vdupq_n_f32(peak))), n - i);
    for (size_t i = 0; i < n; i++)
        sum += p[i];
    for (size_t i = 0; i < n; i += VEC)
        store_upto(p + i, vdivq_f32(load_upto(p + i, n - i), vdupq_n_f32(sum)), n - i);
    return rpu_log_f(sum) + peak;
}
