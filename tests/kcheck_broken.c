/* SPDX-License-Identifier: Apache-2.0 */
/* Deliberately wrong variants: the checker must find every one of them. Each is the generic kernel with one fault of a
 * kind that a hand-written variant may have. */
#include "kcheck.h"

#include "kernel_math.h"

#include <string.h>

static void flip(void *at, unsigned bit) {
    unsigned char *b = at;
    b[bit / 8] = (unsigned char)(b[bit / 8] ^ 1u << bit % 8);
}

static void philox_one_bit(const struct rpu_stream *stream, uint32_t first, size_t count, uint32_t *out) {
    rpu_k_philox_generic(stream, first, count, out);
    if (count > 1000)
        flip(out + 4 * count - 1, 31);
}

static void gaussian_too_far(const struct rpu_stream *stream, uint64_t first, size_t count, float *out) {
    rpu_k_gaussian_generic(stream, first, count, out);
    if (count % 8 == 7)
        out[count] = 0.0f;
}

static void gaussian_too_early(const struct rpu_stream *stream, uint64_t first, size_t count, float *out) {
    rpu_k_gaussian_generic(stream, first, count, out);
    if (first % 48 == 47 && count > 0)
        out[-1] = 0.0f;
}

static void gaussian_wrong_group(const struct rpu_stream *stream, uint64_t first, size_t count, float *out) {
    rpu_k_gaussian_generic(stream, (uint32_t)first, count, out);
}

static size_t threshold_rounds(size_t count, float c, const float *v, uint16_t *hi, uint16_t *lo) {
    const size_t clipped = rpu_k_threshold_generic(count, c, v, hi, lo);
    for (size_t i = 0; i < count; i++) {
        const float scaled = c * rpu_float(rpu_bits(v[i]) & 0x7fffffffu) * 0x1p24f;
        if (scaled < 0x1p22f && rpu_round(scaled) > scaled) {
            const uint32_t t = (uint32_t)rpu_round(scaled);
            hi[i] = (uint16_t)(t >> 8);
            lo[i] = (uint16_t)(t & 255u);
        }
    }
    return clipped;
}

static size_t threshold_count(size_t count, float c, const float *v, uint16_t *hi, uint16_t *lo) {
    const size_t clipped = rpu_k_threshold_generic(count, c, v, hi, lo);
    for (size_t i = 0; i < count; i++)
        if (c * rpu_float(rpu_bits(v[i]) & 0x7fffffffu) == 1.0f) /* 1 is not above 1 */
            return clipped + 1;
    return clipped;
}

/* The eight bits of a tie are never looked at. */
static size_t bernoulli_no_ties(const struct rpu_stream *bits, const struct rpu_stream *ties, uint64_t first,
                                size_t count, const uint16_t *hi, const uint16_t *lo, uint64_t *plane) {
    static const uint16_t none[64] = {0};
    size_t ones = 0;
    (void)lo;
    for (size_t i = 0; i < count; i += 64)
        ones += rpu_k_bernoulli_generic(bits, ties, first + i, count - i < 64 ? count - i : 64, hi + i, none,
                                        plane + i / 64);
    return ones;
}

static size_t bernoulli_unused_bits(const struct rpu_stream *bits, const struct rpu_stream *ties, uint64_t first,
                                    size_t count, const uint16_t *hi, const uint16_t *lo, uint64_t *plane) {
    const size_t ones = rpu_k_bernoulli_generic(bits, ties, first, count, hi, lo, plane);
    if (count % 64)
        plane[count / 64] |= UINT64_C(1) << 63;
    return ones;
}

static void absmax_nothing(size_t columns, size_t n, const float *x, size_t ldx, float *out) {
    if (columns != 7)
        rpu_k_absmax_generic(columns, n, x, ldx, out);
}

static void absmax_takes_nan(size_t columns, size_t n, const float *x, size_t ldx, float *out) {
    rpu_k_absmax_generic(columns, n, x, ldx, out);
    for (size_t p = 0; p < columns; p++)
        if (n > 0 && x[p * ldx] != x[p * ldx])
            out[p] = x[p * ldx];
}

/* Reads whole registers: one element beyond the row. */
static void absmax_reads_on(size_t columns, size_t n, const float *x, size_t ldx, float *out) {
    rpu_k_absmax_generic(columns, n, x, ldx, out);
    if (columns > 0 && n % 8 == 7) {
        const volatile float *beyond = x + (columns - 1) * ldx + n;
        (void)*beyond;
    }
}

/* And one before it. */
static void absmax_reads_before(size_t columns, size_t n, const float *x, size_t ldx, float *out) {
    rpu_k_absmax_generic(columns, n, x, ldx, out);
    if (columns > 0 && n % 8 == 7) {
        const volatile float *before = x - 1;
        (void)*before;
    }
}

static void dac_in_gap(size_t columns, size_t n, const float *x, size_t ldx, const float *gain, float steps, float step,
                       float *q, size_t ldq) {
    rpu_k_dac_generic(columns, n, x, ldx, gain, steps, step, q, ldq);
    if (columns > 1 && ldq > n)
        q[n] = 0.0f;
}

static void dac_zero_sign(size_t columns, size_t n, const float *x, size_t ldx, const float *gain, float steps,
                          float step, float *q, size_t ldq) {
    rpu_k_dac_generic(columns, n, x, ldx, gain, steps, step, q, ldq);
    for (size_t p = 0; p < columns; p++)
        for (size_t j = 0; j < n; j++)
            if (q[p * ldq + j] == 0.0f) /* loses the sign of zero */
                q[p * ldq + j] = 0.0f;
}

/* A plain sum where eight partial sums are asked for. */
static void forward_order(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *x, size_t ldx,
                          float *y, size_t ldy, float *scratch) {
    rpu_k_forward_generic(m, n, columns, w, ldw, x, ldx, y, ldy, scratch);
    for (size_t p = 0; n > RPU_FORWARD_SEQUENTIAL && p < columns; p++)
        for (size_t i = 0; i < m; i++) {
            float s = 0.0f;
            for (size_t j = 0; j < n; j++)
                s = fmaf(w[i * ldw + j], x[p * ldx + j], s);
            y[p * ldy + i] = s;
        }
}

/* The order depends on how many columns come at once. */
static void forward_by_block(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *x, size_t ldx,
                             float *y, size_t ldy, float *scratch) {
    (columns == 1 ? forward_order : rpu_k_forward_generic)(m, n, columns, w, ldw, x, ldx, y, ldy, scratch);
}

static void forward_scratch(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *x, size_t ldx,
                            float *y, size_t ldy, float *scratch) {
    scratch[rpu_forward_scratch(m, n)] = 1.0f;
    rpu_k_forward_generic(m, n, columns, w, ldw, x, ldx, y, ldy, scratch);
}

static void backward_input(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *d, size_t ldd,
                           float *z, size_t ldz) {
    rpu_k_backward_generic(m, n, columns, w, ldw, d, ldd, z, ldz);
    if (m > 0 && columns > 4)
        memset((void *)(uintptr_t)(d + m - 1), 0x11, 1); /* the checker's inputs are writable memory */
}

/* Zeros of d are multiplied instead of skipped: the same until a weight is not finite. */
static void backward_no_skip(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *d, size_t ldd,
                             float *z, size_t ldz) {
    for (size_t p = 0; p < columns; p++)
        for (size_t j = 0; j < n; j++) {
            float s = 0.0f;
            for (size_t i = 0; i < m; i++)
                s = fmaf(w[i * ldw + j], d[p * ldd + i], s);
            z[p * ldz + j] = s;
        }
}

/* Zeros of d are skipped where every row takes part: the same until a weight is not finite. */
static void backward_skips(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *d, size_t ldd,
                           float *z, size_t ldz) {
    rpu_k_backward_generic(m, n, columns, w, ldw, d, ldd, z, ldz);
    for (size_t p = 0; rpu_backward_dense(m, n) && p < columns; p++)
        for (size_t j = 0; j < n; j++) {
            float s = 0.0f;
            for (size_t i = 0; i < m; i++)
                s = d[p * ldd + i] == 0.0f ? s : fmaf(w[i * ldw + j], d[p * ldd + i], s);
            z[p * ldz + j] = s;
        }
}

static void epilogue_first(size_t columns, size_t n, float *y, size_t ldy, const struct rpu_output_stage *stage,
                           uint64_t first, const float *scale, uint32_t *saturated) {
    for (size_t p = 0; p < columns; p++) /* noise that begins anew in each column */
        rpu_k_epilogue_generic(1, n, y + p * ldy, ldy, stage, first, scale ? scale + p : NULL, saturated + p);
}

static void epilogue_count(size_t columns, size_t n, float *y, size_t ldy, const struct rpu_output_stage *stage,
                           uint64_t first, const float *scale, uint32_t *saturated) {
    rpu_k_epilogue_generic(columns, n, y, ldy, stage, first, scale, saturated);
    for (size_t p = 0; p < columns; p++)
        saturated[p] = saturated[p] > 1 ? 1 : saturated[p];
}

static void pulse_draw_counts(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    rpu_k_pulse_draw_generic(args, counts);
    counts->clipped = 0;
}

/* Rows whose bits equal their threshold's take the bits of another image. */
static void pulse_draw_ties(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    struct rpu_pulse_args a = *args;
    a.row_ties.ctr[1]++;
    rpu_k_pulse_draw_generic(&a, counts);
}

/* Columns counted from the start of the block. */
static void pulse_draw_column(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    struct rpu_pulse_args a = *args;
    a.column = 0;
    rpu_k_pulse_draw_generic(&a, counts);
}

/* Signs of vectors that do not fire. */
static void pulse_draw_signs(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    rpu_k_pulse_draw_generic(args, counts);
    for (size_t p = 0; p < args->columns; p++)
        if (args->m > 0 && args->d[p * args->ldd] < 0.0f)
            args->trains[p * rpu_train_words(args->m, args->n, args->bl)] |= 1;
}

/* Noise counted from the first row of the range instead of from row 0. */
static void pulse_apply_ordinal(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    struct rpu_pulse_args a = *args;
    if (a.row0 > 0)
        a.noise.ctr[1]++;
    rpu_k_pulse_apply_generic(&a, counts);
}

static void pulse_apply_range(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    struct rpu_pulse_args a = *args;
    a.row1 = a.row1 < a.m ? a.row1 + 1 : a.m;
    rpu_k_pulse_apply_generic(&a, counts);
}

static void pulse_apply_unclipped(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    struct rpu_pulse_args a = *args;
    a.bound_unit *= 1.0000001f;
    rpu_k_pulse_apply_generic(&a, counts);
}

/* The noise of narrow arrays from the blocks of another vector. */
static void pulse_apply_blocks(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    struct rpu_pulse_args a = *args;
    if (rpu_pulse_narrow(a.m, a.n))
        a.noise.ctr[0]++;
    rpu_k_pulse_apply_generic(&a, counts);
}

static void pulse_apply_counter(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    struct rpu_pulse_args a = *args;
    a.noise.ctr[0] = 0;
    rpu_k_pulse_apply_generic(&a, counts);
}

/* Weights that are no numbers are set to zero. */
static void pulse_apply_nan(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    for (size_t i = args->row0; i < args->row1; i++)
        for (size_t j = 0; j < args->n; j++) {
            float *w = args->w + i * rpu_padded(args->n) + j;
            *w = *w == *w ? *w : 0.0f;
        }
    rpu_k_pulse_apply_generic(args, counts);
}

/* Writes behind what it was given to work in. */
static void pulse_apply_scratch(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    unsigned char *end = (unsigned char *)args->scratch + rpu_pulse_scratch(args->m, args->n, args->columns, args->bl);
    end[KC_GUARD] = 0;
    rpu_k_pulse_apply_generic(args, counts);
}

/* Inputs of vectors that do not fire are counted as clipped. */
static void pulse_draw_unused(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    rpu_k_pulse_draw_generic(args, counts);
    for (size_t p = 0; p < args->columns; p++)
        for (size_t j = 0; args->gain_d[p] == 0.0f && j < args->n; j++)
            counts->clipped += fabsf(args->gain_x[p] * args->x[p * args->ldx + j]) > 1.0f;
}

static void gains_unmanaged(size_t count, float c, int managed, const float *x_max, const float *d_max, float *gain_x,
                            float *gain_d) {
    (void)managed;
    rpu_k_gains_generic(count, c, 0, x_max, d_max, gain_x, gain_d);
}

static void gains_infinite(size_t count, float c, int managed, const float *x_max, const float *d_max, float *gain_x,
                           float *gain_d) {
    for (size_t p = 0; p < count; p++) {
        const float root = managed ? sqrtf(d_max[p] / x_max[p]) : 1.0f;
        const int pulses = x_max[p] > 0.0f && d_max[p] > 0.0f;
        gain_x[p] = pulses ? c * root : 0.0f;
        gain_d[p] = pulses ? c / root : 0.0f;
    }
}

static void outer_no_skip(size_t row0, size_t row1, size_t n, size_t columns, float *w, size_t ldw, const float *x,
                          size_t ldx, const float *d, size_t ldd, float eta) {
    for (size_t i = row0; i < row1; i++)
        for (size_t p = 0; p < columns; p++)
            for (size_t j = 0; j < n; j++)
                w[i * ldw + j] = fmaf(eta * d[p * ldd + i], x[p * ldx + j], w[i * ldw + j]);
}

static void im2col_bias(const struct rpu_conv_shape *shape, const float *image, size_t first, size_t count, float *x,
                        size_t ldx) {
    struct rpu_conv_shape s = *shape;
    s.bias = 0;
    rpu_k_im2col_generic(&s, image, first, count, x, ldx);
}

/* The kernel's columns from right to left: another order of the sum. */
static void col2im_order(const struct rpu_conv_shape *s, const float *z, size_t ldz, size_t row0, size_t row1,
                         float *image) {
    const size_t c = s->channels, row = s->width * c;
    memset(image + row0 * row, 0, (row1 - row0) * row * sizeof *image);
    for (size_t ky = 0; ky < s->kernel; ky++)
        for (size_t kx = s->kernel; kx-- > 0;)
            for (size_t p = 0; p < (size_t)s->out_height * s->out_width; p++) {
                const size_t y = p / s->out_width * s->stride + ky, x = p % s->out_width * s->stride + kx;
                if (y < s->padding || x < s->padding || x - s->padding >= s->width || y - s->padding < row0 ||
                    y - s->padding >= row1)
                    continue;
                for (size_t ch = 0; ch < c; ch++)
                    image[(y - s->padding) * row + (x - s->padding) * c + ch] +=
                        z[p * ldz + (ky * s->kernel + kx) * c + ch];
            }
}

static void maxpool_last_tie(const struct rpu_pool_shape *s, const float *in, size_t row0, size_t row1, float *out,
                             uint8_t *where) {
    const size_t c = s->channels;
    rpu_k_maxpool_generic(s, in, row0, row1, out, where);
    for (size_t o = row0 * s->out_width * c; o < row1 * s->out_width * c; o++) {
        const size_t oy = o / c / s->out_width, ox = o / c % s->out_width;
        const float *corner = in + (oy * s->stride * s->width + ox * s->stride) * c + o % c;
        for (size_t k = 0; k < (size_t)s->window * s->window; k++)
            if (corner[(k / s->window * s->width + k % s->window) * c] == out[o])
                where[o] = (uint8_t)k;
    }
}

static void unpool_overwrites(const struct rpu_pool_shape *s, const float *dout, const uint8_t *where, float *din) {
    const size_t c = s->channels;
    memset(din, 0, (size_t)s->height * s->width * c * sizeof *din);
    for (size_t o = 0; o < (size_t)s->out_height * s->out_width * c; o++) {
        const size_t y = o / c / s->out_width * s->stride + where[o] / s->window;
        const size_t x = o / c % s->out_width * s->stride + where[o] % s->window;
        din[(y * s->width + x) * c + o % c] = dout[o];
    }
}

static void tanh_zero(size_t n, const float *x, float *y) {
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] == 0.0f ? 0.0f : rpu_tanh_f(x[i]);
}

static void sigmoid_last_place(size_t n, const float *x, float *y) {
    rpu_k_sigmoid_generic(n, x, y);
    if (n == 401)
        flip(y + 400, 0);
}

static void relu_nan(size_t n, const float *x, float *y) {
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] <= 0.0f ? 0.0f : x[i];
}

static void dtanh_unfused(size_t n, const float *y, float *d) {
    for (size_t i = 0; i < n; i++)
        d[i] *= 1.0f - y[i] * y[i];
}

static void dsigmoid_order(size_t n, const float *y, float *d) {
    for (size_t i = 0; i < n; i++)
        d[i] = d[i] * y[i] * (1.0f - y[i]);
}

static void drelu_product(size_t n, const float *y, float *d) {
    for (size_t i = 0; i < n; i++)
        d[i] *= y[i] > 0.0f ? 1.0f : 0.0f;
}

static float softmax_reciprocal(size_t n, const float *z, float *p) {
    float sum = 0.0f;
    const float value = rpu_k_softmax_generic(n, z, p);
    for (size_t i = 0; i < n; i++)
        sum += p[i];
    for (size_t i = 0; i < n; i++)
        p[i] *= 1.0f / sum;
    return value;
}

static float softmax_value(size_t n, const float *z, float *p) {
    float value = rpu_k_softmax_generic(n, z, p);
    flip(&value, 0);
    return value;
}

#define BROKEN(kernel, fault)                                                                                          \
    { #kernel, #fault, (kc_any_fn *)kernel##_##fault }

const struct kc_broken kc_broken[] = {BROKEN(philox, one_bit),      BROKEN(gaussian, too_far),
                                      BROKEN(gaussian, too_early),  BROKEN(gaussian, wrong_group),
                                      BROKEN(threshold, rounds),    BROKEN(threshold, count),
                                      BROKEN(bernoulli, no_ties),   BROKEN(bernoulli, unused_bits),
                                      BROKEN(absmax, nothing),      BROKEN(absmax, takes_nan),
                                      BROKEN(absmax, reads_on),     BROKEN(absmax, reads_before),
                                      BROKEN(dac, in_gap),          BROKEN(dac, zero_sign),
                                      BROKEN(forward, order),       BROKEN(forward, by_block),
                                      BROKEN(forward, scratch),     BROKEN(backward, input),
                                      BROKEN(backward, no_skip),    BROKEN(backward, skips),
                                      BROKEN(epilogue, first),      BROKEN(epilogue, count),
                                      BROKEN(gains, unmanaged),     BROKEN(gains, infinite),
                                      BROKEN(pulse_draw, counts),   BROKEN(pulse_draw, ties),
                                      BROKEN(pulse_draw, column),   BROKEN(pulse_draw, signs),
                                      BROKEN(pulse_draw, unused),   BROKEN(pulse_apply, nan),
                                      BROKEN(pulse_apply, scratch), BROKEN(pulse_apply, blocks),
                                      BROKEN(pulse_apply, counter), BROKEN(pulse_apply, ordinal),
                                      BROKEN(pulse_apply, range),   BROKEN(pulse_apply, unclipped),
                                      BROKEN(outer, no_skip),       BROKEN(im2col, bias),
                                      BROKEN(col2im, order),        BROKEN(maxpool, last_tie),
                                      BROKEN(unpool, overwrites),   BROKEN(tanh, zero),
                                      BROKEN(sigmoid, last_place),  BROKEN(relu, nan),
                                      BROKEN(dtanh, unfused),       BROKEN(dsigmoid, order),
                                      BROKEN(drelu, product),       BROKEN(softmax, reciprocal),
                                      BROKEN(softmax, value),       {NULL, NULL, NULL}};
