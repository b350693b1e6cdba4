/* SPDX-License-Identifier: Apache-2.0 */
/** @file kernels.h
 *  The kernels: signatures and contracts.
 *
 *  Every variant of a kernel gives the same bits as `generic`. A contract therefore states each floating-point
 *  operation that a result depends on, and the order of every sum. Common to all:
 *  - fma(a,b,c) is the fused operation with one rounding; all other operations are single IEEE float operations in the
 *    default rounding; nothing is contracted or reassociated.
 *  - Buffers need no alignment beyond that of their type and may have any leading dimension >= the row length. Elements
 *    beyond a row's length are neither read nor written. Outputs do not overlap inputs unless a contract says so.
 *  - A count of 0 does nothing.
 *  - clip(v, b) is `v > b ? b : (v < -b ? -b : v)`: a NaN stays a NaN. NaN results compare as NaN, whatever the payload.
 *  - round(v * s) is the exact product rounded once to the nearest integer, ties to even, for products below 2^22 in
 *    magnitude (all that follows a clip): fma(v, s, 1.5 * 2^23) - 1.5 * 2^23. Zero is +0; NaN stays NaN.
 *  - max over absolute values ignores NaN.
 *
 *  Matrices: an array has M outputs (rows) and N inputs; weights are row-major, `w[i * ldw + j]`. Blocks of P columns
 *  store each vector contiguously: `x[p * ldx + j]`.
 */
#ifndef RPU_KERNELS_H
#define RPU_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "counter.h"

/* ---- CPU features a variant may need; dispatch checks each one on its own ---- */
#define RPU_CPU_AVX2   0x1u
#define RPU_CPU_FMA    0x2u
#define RPU_CPU_F16C   0x4u
#define RPU_CPU_NEON   0x8u
#define RPU_CPU_POPCNT 0x10u
#define RPU_CPU_BMI    0x20u /**< BMI1 and BMI2 */

/* ---- random numbers ---- */

/** philox: raw blocks. out[4 b + k] = word k of block first + b, for b < count. `stream->ctr[0]` is added to. */
typedef void rpu_philox_fn(const struct rpu_stream *stream, uint32_t first, size_t count, uint32_t *out);

/** gaussian: out[i] = element first + i of the Gaussian stream (counter.h), for i < count.
 *
 *  One block w0..w3 gives three pairs of a Box-Muller transform. Radii: k = w >> 8 of w0, w1, w2 (24 bits),
 *      u = fma((float)k, 2^-24, 2^-25),   radius = sqrt(-2 ln u).
 *  Angles, 16 bits each: w3 & 0xffff, w3 >> 16, (w0 & 0xff) << 8 | (w1 & 0xff). Of such a value a: bit 15 is the sign of
 *  the radius, bit 14 swaps sine and cosine, and t = (a & 0x3fff) gives the angle (t - 8191.5) * (pi/2) / 2^14, which
 *  is in (-pi/4, pi/4).
 *  Number 0 and 1 of a block are radius * cos and radius * sin of the first pair (exchanged if the swap bit is set),
 *  2 and 3 of the second, 4 and 5 of the third. Evaluated as rpu_gauss_pair in kernel_math.h states; accuracy there.
 *  The largest magnitude is sqrt(2 * 25 ln 2) = 5.887. */
typedef void rpu_gaussian_fn(const struct rpu_stream *stream, uint64_t first, size_t count, float *out);

/** threshold: probabilities to thresholds. p = c * |v|; T = p >= 1 ? 2^24 : (uint32)(p * 2^24) (truncated; NaN gives 0).
 *  hi = T >> 8 and lo = T & 255, except T = 2^24: hi = 0xffff, lo = 256.
 *  Returns the number of p > 1. */
typedef size_t rpu_threshold_fn(size_t count, float c, const float *v, uint16_t *hi, uint16_t *lo);

/** bernoulli: bit i of `plane` (word i / 64, bit i % 64) is 1 iff element first + i fires: r16 < hi[i], or r16 == hi[i]
 *  and r8 < lo[i], with r16 from the bit stream and r8 from the tie stream. Writes (count + 63) / 64 words, the unused
 *  bits 0. Returns the number of ones. */
typedef size_t rpu_bernoulli_fn(const struct rpu_stream *bits, const struct rpu_stream *ties, uint64_t first,
                                size_t count, const uint16_t *hi, const uint16_t *lo, uint64_t *plane);

/* ---- reading the array ---- */

/** absmax: out[p] = max over j < n of |x[p * ldx + j]|; 0 for an all-NaN or all-zero column. */
typedef void rpu_absmax_fn(size_t columns, size_t n, const float *x, size_t ldx, float *out);

/** dac: q[p * ldq + j] = input converter of x[p * ldx + j].
 *      v = clip(x * gain[p], 1);  steps > 0: v = round(v * steps) * step.
 *  gain null: no multiplication.
 *  `steps` = 2^(bits-1) - 1; `step` = 1 / steps, chosen so that the float product steps * step does not exceed 1 and no
 *  second clip is needed; steps 0: converter off. */
typedef void rpu_dac_fn(size_t columns, size_t n, const float *x, size_t ldx, const float *gain, float steps,
                        float step, float *q, size_t ldq);

/** forward: y[p * ldy + i] = sum over j of w[i * ldw + j] * x[p * ldx + j].
 *  Order, by n alone:
 *  - n <= RPU_FORWARD_SEQUENTIAL: s = 0; for j ascending s = fma(w, x, s).
 *  - else eight partial sums s[l], each s[l] = fma(w[j], x[j], s[l]) over j ascending with j % 8 == l, from 0; the
 *    result is ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7)).
 *  `scratch` is rpu_forward_scratch(m, n) floats, for a variant's own use. */
typedef void rpu_forward_fn(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *x, size_t ldx,
                            float *y, size_t ldy, float *scratch);
#define RPU_FORWARD_SEQUENTIAL 64u

static inline size_t rpu_forward_scratch(size_t m, size_t n) {
    size_t packed = (m + 15) / 16 * 16 * n;
    return n <= RPU_FORWARD_SEQUENTIAL ? packed : 64;
}

/** backward: z[p * ldz + j] = sum over i of w[i * ldw + j] * d[p * ldd + i], for j < n.
 *  Order: s = 0; for i ascending s = fma(w, d, s). rpu_backward_dense(m, n) says whether that takes every i; where it
 *  does not, only those with d[i] != 0 (a NaN counts as different). */
typedef void rpu_backward_fn(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *d, size_t ldd,
                             float *z, size_t ldz);

/** Small arrays, where looking for zeros costs more than it saves. */
static inline int rpu_backward_dense(size_t m, size_t n) {
    return n <= 64 || m <= 16;
}

/** Output side of a read. */
struct rpu_output_stage {
    struct rpu_stream stream; /**< noise */
    float sigma;              /**< 0: no noise is drawn */
    float bound;              /**< infinity: no bound */
    float steps;              /**< (2^(bits-1) - 1) / bound rounded to float; 0: converter off */
    float step;               /**< bound / (2^(bits-1) - 1), its largest multiple not above the bound */
    const float *noise;       /**< null, or the numbers of this call, drawn before: number p * n + i for output i of
                                   column p. A read of few outputs draws them before the product, which waits for less */
};

/** epilogue: output side in place on y[p * ldy + i], i < n, p < columns. xi = element first + p * n + i.
 *  or stage->noise[p * n + i].
 *      v = fma(sigma, xi, y)  (sigma > 0);  v = clip(v, bound);  saturated if |v| >= bound;
 *      steps > 0: v = round(v * steps) * (step * scale[p]), else v = v * scale[p]  (scale null: 1; scale[p] == 0 gives
 *      +0).
 *  saturated[p] = number of saturated outputs of the column. */
typedef void rpu_epilogue_fn(size_t columns, size_t n, float *y, size_t ldy, const struct rpu_output_stage *stage,
                             uint64_t first, const float *scale, uint32_t *saturated);

/* ---- updating the array ---- */

/** Device parameters are 16-bit fixed point, value = q * 2^-13 (0 .. 7.9999), relative to dw_min or to the mean bound.
 *  The four of a crosspoint stand together: up step, down step, upper bound, lower bound. A sparse update then needs one
 *  8-byte load for each. */
#define RPU_DEV_UNIT (1.0f / 8192.0f)

/** Row length of weights in memory: whole vectors of eight. */
static inline size_t rpu_padded(size_t n) {
    return (n + 7) / 8 * 8;
}

/** Index of parameter `which` (0 up, 1 down, 2 upper bound, 3 lower bound) of crosspoint j in its row. */
static inline size_t rpu_dev_index(size_t j, unsigned which) {
    return 4 * j + which;
}

/** Narrow arrays, as the first convolution of a network: their vectors have a handful of coincidences each, and the
 *  noise of a vector comes from as few Philox blocks as possible (block layout of the Gaussian stream, counter.h). */
#define RPU_NARROW_OUTPUTS 64u
#define RPU_NARROW_INPUTS  32u
static inline int rpu_pulse_narrow(size_t m, size_t n) {
    return m <= RPU_NARROW_OUTPUTS && n <= RPU_NARROW_INPUTS;
}

/** Words of a plane of n bits. */
static inline size_t rpu_plane_words(size_t n) {
    return (n + 63) / 64;
}

/** Pulse trains of a vector: words for the signs of d and of x, and for each slot the rows and the inputs that fire, each
 *  a plane (bit i % 64 of word i / 64) with zeros behind its end:
 *      signs of d | signs of x | rows in slot 0 | inputs in slot 0 | rows in slot 1 | ...
 *  Inputs are 0 in slots in which no row fires, and all words of a vector in which no row fires are 0. */
static inline size_t rpu_train_words(size_t m, size_t n, uint32_t bl) {
    return (rpu_plane_words(m) + rpu_plane_words(n)) * ((size_t)bl + 1);
}

/** What both kernels of the update take; each ignores what only the other one's contract names. */
struct rpu_pulse_args {
    size_t m, n;
    size_t columns;          /**< vectors in the block */
    uint32_t column;         /**< index within the image of the first */
    uint32_t bl;             /**< slots */
    uint64_t *trains;        /**< rpu_train_words(m, n, bl) words a vector */
    void *scratch;           /**< rpu_pulse_scratch(...) bytes, 64-byte aligned */
    /* pulse_draw */
    const float *x;
    size_t ldx;
    const float *d;
    size_t ldd;
    const float *gain_x;     /**< C_x of each vector */
    const float *gain_d;     /**< C_d of each vector; 0: the vector changes nothing. Gains are below 2^100 */
    const float *peak;       /**< max |x| of each vector: its pulse probabilities cannot exceed gain_x * peak */
    struct rpu_stream row_bits, row_ties, col_bits, col_ties;
    /* pulse_apply */
    size_t row0, row1;       /**< rows to change: [row0, row1) */
    float *w;                /**< ldw = rpu_padded(n) floats a row */
    const uint16_t *dev;     /**< rpu_padded(n) * 4 a row */
    float step_unit;         /**< dw_min * 2^-13 */
    float bound_unit;        /**< mean bound * 2^-13 */
    float ctoc;              /**< cycle-to-cycle spread; 0: no noise is drawn */
    struct rpu_stream noise;
};

/** gains: C_x and C_d of each vector from its maxima. root = sqrt(d_max / x_max) if `managed`, else 1;
 *      gain_x = c * root, gain_d = c / root; both 0 unless x_max > 0, d_max > 0 and 0 < root < infinity.
 *  gain_d may be d_max. */
typedef void rpu_gains_fn(size_t count, float c, int managed, const float *x_max, const float *d_max, float *gain_x,
                          float *gain_d);

struct rpu_pulse_counts {
    uint64_t row_pulses, column_pulses, coincidences, clipped;
};

/** pulse_draw: the pulse trains of a block of vectors. In each vector p with gain_d[p] != 0
 *  - row i fires in slot s as bernoulli(threshold(gain_d[p], d[p][i])) of element (column + p) * m + i of the row
 *    streams with slot s;
 *  - in slots in which some row fires, input j fires as bernoulli(threshold(gain_x[p], x[p][j])) of element j of the
 *    column streams with (column + p, s).
 *  Signs are sign bits. Counts are added to: column pulses, clipped row probabilities, and clipped column probabilities
 *  of every vector with gain_d != 0. */
typedef void rpu_pulse_draw_fn(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts);

/** pulse_apply: the update of rows [row0, row1) by pulse trains. For each vector p in order, each row i, slot s in order,
 *  with both firing at j: h = ordinal of this coincidence in the vector (rows 0..i-1 first, then slots, then j); xi =
 *  element h of the noise stream with column + p, in the block layout if rpu_pulse_narrow(m, n), else in the group
 *  layout;
 *      up = sign(d) == sign(x);  unit = up ? step_unit : -step_unit;
 *      delta = (float)q_{up|down} * unit;   ctoc > 0: w = fma(delta, fma(ctoc, xi, 1), w), else w = w + delta;
 *      upper = (float)q_upper * bound_unit, lower = 0 - (float)q_lower * bound_unit;
 *      w = w > upper ? upper : (w < lower ? lower : w).
 *  Counts are added to: row pulses and coincidences of the rows in range.
 *  w and dev are read up to rpu_padded(n); in rows that fire, weights that are not hit and the padding may be written
 *  with what they hold. */
typedef void rpu_pulse_apply_fn(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts);

/** Bytes of scratch for `pulse_draw` and `pulse_apply`: thresholds and planes of the block's rows, thresholds and hit
 *  lists of one vector's inputs, units (vectors and slots), vectors and row pulses of a narrow array, noise. */
static inline size_t rpu_pulse_scratch(size_t m, size_t n, size_t columns, uint32_t bl) {
    const size_t flat = columns * (m + 1) + 256, wide = n + 256;
    const size_t draw = flat * 4 + (flat / 64 + 4) * 8 + wide * 4 + (columns * bl + 8) * 8;
    const size_t apply = flat * 4 + (wide * 12 + 64) * bl + (wide + 4096) * 4;
    return (draw > apply ? draw : apply) + 1024;
}

/** outer: exact update of rows [row0, row1): for each vector in order w[i][j] = fma(eta * d[p][i], x[p][j], w[i][j]),
 *  skipped where d[p][i] == 0. */
typedef void rpu_outer_fn(size_t row0, size_t row1, size_t n, size_t columns, float *w, size_t ldw, const float *x,
                          size_t ldx, const float *d, size_t ldd, float eta);

/* ---- between the arrays ---- */

/** Geometry of a convolution: input height x width x channels (channels last), square kernel, zeros outside. */
struct rpu_conv_shape {
    uint32_t height, width, channels;
    uint32_t kernel, stride, padding;
    uint32_t out_height, out_width;
    uint32_t bias; /**< 1: element k*k*c of every column is 1 */
};

/** im2col: columns first..first+count-1 of an image; column p is output position (p / out_width, p % out_width);
 *  element (ky * kernel + kx) * channels + c. */
typedef void rpu_im2col_fn(const struct rpu_conv_shape *shape, const float *image, size_t first, size_t count,
                           float *x, size_t ldx);

/** col2im: rows [row0, row1) of the image's gradient, overwritten: each pixel is the sum, from 0, over the columns that
 *  hold it, ky ascending, then kx ascending. z holds all columns. */
typedef void rpu_col2im_fn(const struct rpu_conv_shape *shape, const float *z, size_t ldz, size_t row0, size_t row1,
                           float *image);

/** maxpool: windows of window x window at `stride` (no padding; incomplete windows are dropped), output rows
 *  [row0, row1). `where[o]` = window offset ky * window + kx of the first maximum in row order. A NaN is taken only at
 *  offset 0 (later elements replace it never, earlier ones are never replaced by it). */
struct rpu_pool_shape {
    uint32_t height, width, channels;
    uint32_t window, stride;
    uint32_t out_height, out_width;
};
typedef void rpu_maxpool_fn(const struct rpu_pool_shape *shape, const float *in, size_t row0, size_t row1, float *out,
                            uint8_t *where);

/** unpool: gradient of maxpool for the whole image, overwritten: each input element is the sum, from 0, over the
 *  outputs that chose it, outputs in row order. */
typedef void rpu_unpool_fn(const struct rpu_pool_shape *shape, const float *dout, const uint8_t *where, float *din);

/** tanh, sigmoid, relu: y = f(x); y may be x. Polynomials and accuracy in kernel_math.h. relu: x > 0 ? x : 0 (NaN: 0). */
typedef void rpu_tanh_fn(size_t n, const float *x, float *y);
typedef void rpu_sigmoid_fn(size_t n, const float *x, float *y);
typedef void rpu_relu_fn(size_t n, const float *x, float *y);

/** Gradients from the output y: d *= 1 - y * y as d * fma(-y, y, 1); d * (y * (1 - y)); y > 0 ? d : 0. In place on d. */
typedef void rpu_dtanh_fn(size_t n, const float *y, float *d);
typedef void rpu_dsigmoid_fn(size_t n, const float *y, float *d);
typedef void rpu_drelu_fn(size_t n, const float *y, float *d);

/** softmax: p[i] = e[i] / sum, e[i] = exp(z[i] - max z), the sum over i ascending. n >= 1. Returns ln(sum) + max z.
 *  p may be z. */
typedef float rpu_softmax_fn(size_t n, const float *z, float *p);

/* ---- the table ---- */

#define RPU_PASTE_(a, b, c, d) a##b##c##d
#define RPU_SYMBOL_(op, isa)   RPU_PASTE_(rpu_k_, op, _, isa)
/** The symbol of variant `isa` of kernel `op`: rpu_k_<op>_<isa>. */
#define RPU_SYMBOL(op, isa) RPU_SYMBOL_(op, isa)

#define KERNEL(op, isa, flags) extern rpu_##op##_fn RPU_SYMBOL(op, isa);
#include "kernels.inc"
#undef KERNEL

/** One pointer for each kernel: the `generic` rows of kernels.inc make the list. */
struct rpu_kernels {
#define KERNEL_FIELD_generic(op) rpu_##op##_fn *op;
#define KERNEL_FIELD_autovec(op)
#define KERNEL_FIELD_avx2(op)
#define KERNEL_FIELD_neon(op)
#define KERNEL(op, isa, flags) KERNEL_FIELD_##isa(op)
#include "kernels.inc"
#undef KERNEL
};

#endif
