/* SPDX-License-Identifier: Apache-2.0 */
/* Between the arrays: convolution geometry, pooling, activations, softmax. */
#include "variant.h"

/* Where a kernel row meets the image: kx in [from, to) is inside. */
static void inside(const struct rpu_conv_shape *s, size_t ox, size_t *from, size_t *to) {
    const size_t left = ox * s->stride;
    const size_t right = s->width + s->padding > left ? s->width + s->padding - left : 0;
    *from = s->padding > left ? s->padding - left : 0;
    *to = right < s->kernel ? right : s->kernel;
    if (*from > *to)
        *from = *to;
}

static void gather_row(const struct rpu_conv_shape *s, const float *image, size_t oy, size_t ox, size_t ky, float *x) {
    const size_t c = s->channels, y = oy * s->stride + ky;
    size_t from, to;
    inside(s, ox, &from, &to);
    if (y < s->padding || y >= s->height + s->padding)
        from = to = 0;
    memset(x, 0, from * c * sizeof *x);
    if (to > from)
        memcpy(x + from * c, image + ((y - s->padding) * s->width + ox * s->stride + from - s->padding) * c,
               (to - from) * c * sizeof *x);
    memset(x + to * c, 0, (s->kernel - to) * c * sizeof *x);
}

void K(im2col)(const struct rpu_conv_shape *shape, const float *image, size_t first, size_t count, float *x,
               size_t ldx) {
    const size_t row = (size_t)shape->kernel * shape->channels;
    for (size_t p = 0; p < count; p++) {
        const size_t oy = (first + p) / shape->out_width, ox = (first + p) % shape->out_width;
        for (size_t ky = 0; ky < shape->kernel; ky++)
            gather_row(shape, image, oy, ox, ky, x + p * ldx + ky * row);
        if (shape->bias)
            x[p * ldx + shape->kernel * row] = 1.0f;
    }
}

/* Position of the window that has image coordinate `at` at kernel offset `k`; -1 where there is none. */
static ptrdiff_t window_of(size_t at, size_t k, size_t padding, size_t stride, size_t windows) {
    const size_t start = at + padding;
    if (start < k || (start - k) % stride != 0 || (start - k) / stride >= windows)
        return -1;
    return (ptrdiff_t)((start - k) / stride);
}

static void add_row(const struct rpu_conv_shape *s, const float *z, size_t ldz, size_t oy, size_t ky, float *out) {
    const size_t c = s->channels;
    for (size_t x = 0; x < s->width; x++)
        for (size_t kx = 0; kx < s->kernel; kx++) {
            const ptrdiff_t ox = window_of(x, kx, s->padding, s->stride, s->out_width);
            if (ox < 0)
                continue;
            const float *from = z + (oy * s->out_width + (size_t)ox) * ldz + (ky * s->kernel + kx) * c;
            for (size_t ch = 0; ch < c; ch++)
                out[x * c + ch] += from[ch];
        }
}

void K(col2im)(const struct rpu_conv_shape *shape, const float *z, size_t ldz, size_t row0, size_t row1, float *image) {
    const size_t row = (size_t)shape->width * shape->channels;
    for (size_t y = row0; y < row1; y++) {
        memset(image + y * row, 0, row * sizeof *image);
        for (size_t ky = 0; ky < shape->kernel; ky++) {
            const ptrdiff_t oy = window_of(y, ky, shape->padding, shape->stride, shape->out_height);
            if (oy >= 0)
                add_row(shape, z, ldz, (size_t)oy, ky, image + y * row);
        }
    }
}

void K(maxpool)(const struct rpu_pool_shape *shape, const float *in, size_t row0, size_t row1, float *out,
                uint8_t *where) {
    const size_t c = shape->channels;
    for (size_t oy = row0; oy < row1; oy++)
        for (size_t ox = 0; ox < shape->out_width; ox++) {
            const float *corner = in + (oy * shape->stride * shape->width + ox * shape->stride) * c;
            float *best = out + (oy * shape->out_width + ox) * c;
            uint8_t *offset = where + (oy * shape->out_width + ox) * c;
            memcpy(best, corner, c * sizeof *best);
            memset(offset, 0, c);
            for (size_t k = 1; k < (size_t)shape->window * shape->window; k++) {
                const float *at = corner + (k / shape->window * shape->width + k % shape->window) * c;
                for (size_t ch = 0; ch < c; ch++) {
                    const int larger = at[ch] > best[ch];
                    best[ch] = larger ? at[ch] : best[ch];
                    offset[ch] = larger ? (uint8_t)k : offset[ch];
                }
            }
        }
}

void K(unpool)(const struct rpu_pool_shape *shape, const float *dout, const uint8_t *where, float *din) {
    const size_t c = shape->channels;
    memset(din, 0, (size_t)shape->height * shape->width * c * sizeof *din);
    for (size_t oy = 0; oy < shape->out_height; oy++)
        for (size_t ox = 0; ox < shape->out_width; ox++) {
            const size_t corner = (oy * shape->stride * shape->width + ox * shape->stride) * c;
            const size_t o = (oy * shape->out_width + ox) * c;
            for (size_t ch = 0; ch < c; ch++) {
                const size_t k = where[o + ch];
                din[corner + (k / shape->window * shape->width + k % shape->window) * c + ch] += dout[o + ch];
            }
        }
}

void K(tanh)(size_t n, const float *x, float *y) {
    for (size_t i = 0; i < n; i++)
        y[i] = rpu_tanh_f(x[i]);
}

void K(sigmoid)(size_t n, const float *x, float *y) {
    for (size_t i = 0; i < n; i++)
        y[i] = rpu_sigmoid_f(x[i]);
}

void K(relu)(size_t n, const float *x, float *y) {
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] > 0.0f ? x[i] : 0.0f;
}

void K(dtanh)(size_t n, const float *y, float *d) {
    for (size_t i = 0; i < n; i++)
        d[i] *= fmaf(-y[i], y[i], 1.0f);
}

void K(dsigmoid)(size_t n, const float *y, float *d) {
    for (size_t i = 0; i < n; i++)
        d[i] *= y[i] * (1.0f - y[i]);
}

void K(drelu)(size_t n, const float *y, float *d) {
    for (size_t i = 0; i < n; i++)
        d[i] = y[i] > 0.0f ? d[i] : 0.0f;
}

float K(softmax)(size_t n, const float *z, float *p) {
    float peak = z[0], sum = 0.0f;
    for (size_t i = 1; i < n; i++)
        peak = z[i] > peak ? z[i] : peak;
    for (size_t i = 0; i < n; i++)
        p[i] = rpu_exp_f(z[i] - peak);
    for (size_t i = 0; i < n; i++)
        sum += p[i];
    for (size_t i = 0; i < n; i++)
        p[i] /= sum;
    return rpu_log_f(sum) + peak;
}
