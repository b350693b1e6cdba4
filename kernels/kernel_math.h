/* SPDX-License-Identifier: Apache-2.0 */
/** @file kernel_math.h
 *  The polynomials of the kernels: coefficients for every variant, and the scalar evaluation that the oracle uses and
 *  the vector variants follow operation by operation. Coefficients are minimax fits made for this project.
 *
 *  Accuracy, measured against long double references by tests/test_math.c, which asserts these bounds:
 *  | function          | range            | largest error                                             |
 *  |-------------------|------------------|-----------------------------------------------------------|
 *  | rpu_gauss_pair    | all inputs       | relative 4.7e-6 of the radius, 1.3e-6 of sine and cosine  |
 *  | rpu_exp_f         | [-87, 88]        | 1.25 ULP                                                  |
 *  | rpu_log_f         | normal, positive | 2.3 ULP                                                   |
 *  | rpu_tanh_f        | all              | 2.6 ULP; odd, never beyond 1                              |
 *  | rpu_sigmoid_f     | [-87, infinity]  | 2.55 ULP                                                  |
 */
#ifndef RPU_KERNEL_MATH_H
#define RPU_KERNEL_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t rpu_bits(float v) {
    uint32_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

static inline float rpu_float(uint32_t b) {
    float v;
    memcpy(&v, &b, sizeof v);
    return v;
}

/** Added and subtracted, rounds |v| < 2^22 to the nearest integer, ties to even; the low bits of the sum hold the
 *  integer in two's complement. */
#define RPU_ROUND_MAGIC 12582912.0f

static inline float rpu_round(float v) {
    return (v + RPU_ROUND_MAGIC) - RPU_ROUND_MAGIC;
}

/** The product, exact, rounded once to an integer, likewise. */
static inline float rpu_round_product(float v, float s) {
    return fmaf(v, s, RPU_ROUND_MAGIC) - RPU_ROUND_MAGIC;
}

static inline float rpu_clip(float v, float b) {
    return v > b ? b : (v < -b ? -b : v);
}

/* ---- Gaussians ---- */

#define RPU_U_SCALE   0x1p-24f
#define RPU_U_OFFSET  0x1p-25f
#define RPU_M2LN2     (-1.38629436f) /**< -2 ln 2 */
#define RPU_SQRT_HALF 0x3f3504f3u    /**< bits of sqrt(1/2) */
/* -2 ln(1+t) = t Q(t), t in [sqrt(1/2)-1, sqrt(2)-1], relative error 7.5e-6 */
#define RPU_LQ0 (-2.000011072637839f)
#define RPU_LQ1 0.9998280922652841f
#define RPU_LQ2 (-0.664965453000677f)
#define RPU_LQ3 0.5071831923959857f
#define RPU_LQ4 (-0.44337458955711306f)
#define RPU_LQ5 0.2932474114623842f
/* angle = fma(t, scale, offset): (t - 8191.5) (pi/2) / 2^14 */
#define RPU_ANGLE_SCALE  9.58737992428525e-05f
#define RPU_ANGLE_OFFSET (-0.785350226497826f)
/* sin(a) = a (S0 + S1 z + S2 z^2), cos(a) = C0 + C1 z + C2 z^2 + C3 z^3, z = a^2, |a| < pi/4 */
#define RPU_SIN0 0.9999985694115947f
#define RPU_SIN1 (-0.16662480165556834f)
#define RPU_SIN2 0.008151635542332626f
#define RPU_COS0 0.9999999724232967f
#define RPU_COS1 (-0.49999856695771844f)
#define RPU_COS2 0.04165502688093546f
#define RPU_COS3 (-0.0013585908474330222f)

/** One Box-Muller pair from 24 bits for the radius and 16 for the angle (contract of kernel `gaussian`). */
static inline void rpu_gauss_pair(uint32_t k, uint32_t angle, float *first, float *second) {
    const float u = fmaf((float)(int32_t)k, RPU_U_SCALE, RPU_U_OFFSET);
    const int32_t e = (int32_t)(rpu_bits(u) - RPU_SQRT_HALF) >> 23;
    const float t = rpu_float(rpu_bits(u) - ((uint32_t)e << 23)) - 1.0f;
    float q = fmaf(RPU_LQ5, t, RPU_LQ4);
    q = fmaf(q, t, RPU_LQ3);
    q = fmaf(q, t, RPU_LQ2);
    q = fmaf(q, t, RPU_LQ1);
    q = fmaf(q, t, RPU_LQ0);
    float radius = sqrtf(fmaf(t, q, (float)e * RPU_M2LN2));
    radius = rpu_float(rpu_bits(radius) ^ (angle << 16 & 0x80000000u));
    const float a = fmaf((float)(int32_t)(angle & 0x3fffu), RPU_ANGLE_SCALE, RPU_ANGLE_OFFSET);
    const float z = a * a;
    const float s = a * fmaf(fmaf(RPU_SIN2, z, RPU_SIN1), z, RPU_SIN0);
    const float c = fmaf(fmaf(fmaf(RPU_COS3, z, RPU_COS2), z, RPU_COS1), z, RPU_COS0);
    const uint32_t swap = 0u - (angle >> 14 & 1u); /* a mask and not a branch, so that compilers vectorize */
    const uint32_t exchange = (rpu_bits(s) ^ rpu_bits(c)) & swap;
    *first = radius * rpu_float(rpu_bits(c) ^ exchange);
    *second = radius * rpu_float(rpu_bits(s) ^ exchange);
}

/* ---- exp, log, tanh, sigmoid ---- */

#define RPU_LOG2E   1.44269504f
#define RPU_LN2_HI  0.693145752f    /**< 15 significant bits */
#define RPU_LN2_LO  1.42860677e-06f
#define RPU_EXP_MIN (-87.0f)
#define RPU_EXP_MAX 88.0f
/* expm1(r) = r P(r), |r| <= ln(2)/2, relative error 1.1e-8 */
#define RPU_EP0 1.0000000107755045f
#define RPU_EP1 0.5000000080801502f
#define RPU_EP2 0.1666650523420275f
#define RPU_EP3 0.04166624072489506f
#define RPU_EP4 0.008369150672748658f
#define RPU_EP5 0.0013948579462092566f
#define RPU_TANH_MAX 9.125f

/** x = n ln 2 + r: gives r P(r) = expm1(r) and 2^n. |x| <= 88. */
static inline float rpu_expm1_reduced(float x, float *scale) {
    const float m = fmaf(x, RPU_LOG2E, RPU_ROUND_MAGIC);
    const float n = m - RPU_ROUND_MAGIC;
    const float r = fmaf(n, -RPU_LN2_LO, fmaf(n, -RPU_LN2_HI, x));
    float p = fmaf(RPU_EP5, r, RPU_EP4);
    p = fmaf(p, r, RPU_EP3);
    p = fmaf(p, r, RPU_EP2);
    p = fmaf(p, r, RPU_EP1);
    p = fmaf(p, r, RPU_EP0);
    *scale = rpu_float((rpu_bits(m) << 23) + 0x3f800000u);
    return r * p;
}

/** exp(x); x is first clamped to [-87, 88], a NaN stays NaN. */
static inline float rpu_exp_f(float x) {
    float scale;
    const float c = x > RPU_EXP_MAX ? RPU_EXP_MAX : (x < RPU_EXP_MIN ? RPU_EXP_MIN : x);
    const float q = rpu_expm1_reduced(c, &scale);
    return fmaf(scale, q, scale);
}

/** tanh(x) = -t / (2 + t), t = expm1(-2|x|), with the sign of x; 1 from 9.125 on. */
static inline float rpu_tanh_f(float x) {
    float scale;
    const float a = rpu_float(rpu_bits(x) & 0x7fffffffu);
    const float c = a > RPU_TANH_MAX ? RPU_TANH_MAX : a;
    const float q = rpu_expm1_reduced(-2.0f * c, &scale);
    const float t = fmaf(scale, q, scale - 1.0f);
    const float y = -t / (2.0f + t);
    return rpu_float((rpu_bits(y) & 0x7fffffffu) | (rpu_bits(x) & 0x80000000u));
}

/** 1 / (1 + exp(-x)). */
static inline float rpu_sigmoid_f(float x) {
    return 1.0f / (1.0f + rpu_exp_f(-x));
}

/* ln(1+t) = t R(t), t in [sqrt(1/2)-1, sqrt(2)-1]: -1/2 of a fit of degree 8, relative error 2.7e-8 */
#define RPU_LR0 0.9999999750449180f
#define RPU_LR1 (-0.4999997774567513f)
#define RPU_LR2 0.3333416047337588f
#define RPU_LR3 (-0.2500294572430501f)
#define RPU_LR4 0.1995841619764315f
#define RPU_LR5 (-0.1654374604853275f)
#define RPU_LR6 0.1491739486855859f
#define RPU_LR7 (-0.1448213609835981f)
#define RPU_LR8 0.0895980344592442f

/** ln(x) for normal positive x; a NaN stays NaN. */
static inline float rpu_log_f(float x) {
    if (x != x)
        return x;
    const int32_t e = (int32_t)(rpu_bits(x) - RPU_SQRT_HALF) >> 23;
    const float t = rpu_float(rpu_bits(x) - ((uint32_t)e << 23)) - 1.0f;
    float r = fmaf(RPU_LR8, t, RPU_LR7);
    r = fmaf(r, t, RPU_LR6);
    r = fmaf(r, t, RPU_LR5);
    r = fmaf(r, t, RPU_LR4);
    r = fmaf(r, t, RPU_LR3);
    r = fmaf(r, t, RPU_LR2);
    r = fmaf(r, t, RPU_LR1);
    r = fmaf(r, t, RPU_LR0);
    return fmaf((float)e, RPU_LN2_HI, fmaf(t, r, (float)e * RPU_LN2_LO));
}

#endif
