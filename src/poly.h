/* SPDX-License-Identifier: Apache-2.0 */
/** @file poly.h
 *  sin, cos, exp and log in double precision from + - * / alone, so that every machine and C library gives the same
 *  bits. Not for kernels: those have float polynomials of their own.
 *
 *  Largest errors found against long double (tests/test_poly.c, half a million points a range, and asserted there):
 *
 *  | function     | range                | error in ULP of the result                            |
 *  |--------------|----------------------|-------------------------------------------------------|
 *  | rpu_sin, cos | abs(x) <= 2^20       | below 0.85; 1.10 at the doubles nearest to a zero     |
 *  | rpu_exp      | -745 .. 709.78       | below 0.90 (below 2^-1022: of the smallest subnormal) |
 *  | rpu_log      | all positive numbers | below 0.85                                            |
 *
 *  Outside: sin and cos of abs(x) > 2^20, infinity or NaN are NaN. exp overflows to infinity and ends in
 *  0 through the subnormals. log(0) is -infinity, log of a negative number NaN. */
#ifndef RPU_SRC_POLY_H
#define RPU_SRC_POLY_H

#include <math.h> /* INFINITY and NAN only */
#include <stdint.h>
#include <string.h>

/** Adding and subtracting 1.5 * 2^52 rounds to the nearest integer, ties to even, for abs(v) < 2^51. */
static inline double rpu_poly_nearest(double v) {
    const double shifter = 6755399441055744.0;
    return (v + shifter) - shifter;
}

/** 2^n for -1022 <= n <= 1023. */
static inline double rpu_poly_pow2(int n) {
    const uint64_t bits = (uint64_t)(n + 1023) << 52;
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/** sin(r + tail), abs(r) <= pi/4, by the Taylor series: the first term left out is below 2^-63 of the result. */
static inline double rpu_poly_sin_core(double r, double tail) {
    const double z = r * r;
    double p = 1.0 / 355687428096000.0;
    p = p * z - 1.0 / 1307674368000.0;
    p = p * z + 1.0 / 6227020800.0;
    p = p * z - 1.0 / 39916800.0;
    p = p * z + 1.0 / 362880.0;
    p = p * z - 1.0 / 5040.0;
    p = p * z + 1.0 / 120.0;
    p = p * z - 1.0 / 6.0;
    return r + (r * z * p + tail * (1.0 - 0.5 * z));
}

/** cos(r + tail), the same way. 1 - z/2 is split so that its rounding error comes back in. */
static inline double rpu_poly_cos_core(double r, double tail) {
    const double z = r * r, half = 0.5 * z, head = 1.0 - half;
    double p = -1.0 / 6402373705728000.0;
    p = p * z + 1.0 / 20922789888000.0;
    p = p * z - 1.0 / 87178291200.0;
    p = p * z + 1.0 / 479001600.0;
    p = p * z - 1.0 / 3628800.0;
    p = p * z + 1.0 / 40320.0;
    p = p * z - 1.0 / 720.0;
    p = p * z + 1.0 / 24.0;
    return head + (((1.0 - head) - half) + (z * z * p - r * tail));
}

/** sin(x + quarter * pi/2). pi/2 is taken off in three parts, the first two of 33 bits, so that products with the
 *  (at most 20 bit) number of quarters are exact; what the remainder r rounds off is kept in `tail`. */
static inline double rpu_poly_circle(double x, int quarter) {
    if (!(x >= -1048576.0 && x <= 1048576.0))
        return NAN;
    const double n = rpu_poly_nearest(x * 0.63661977236758134308);
    const double a = x - n * 0x1.921fb544p+0, b = n * 0x1.0b4611a6p-34;
    const double c = a - b, rest = n * 0x1.3198a2e037073p-69 - ((a - c) - b);
    const double r = c - rest, tail = (c - r) - rest;
    const int q = ((int)n + quarter) & 3;
    const double v = q & 1 ? rpu_poly_cos_core(r, tail) : rpu_poly_sin_core(r, tail);
    return q & 2 ? -v : v;
}

static inline double rpu_sin(double x) {
    return rpu_poly_circle(x, 0);
}

static inline double rpu_cos(double x) {
    return rpu_poly_circle(x, 1);
}

/** e^x = 2^n e^r with abs(r) <= ln(2)/2, e^r by its Taylor series to r^13. 2^n is multiplied in two halves, so that
 *  results at both ends of the range round once. */
static inline double rpu_exp(double x) {
    if (x != x)
        return x;
    if (x > 709.79)
        return INFINITY;
    if (x < -745.2)
        return 0.0;
    const double n = rpu_poly_nearest(x * 1.4426950408889634074);
    const double head = x - n * 0x1.62e42feep-1, rest = n * 0x1.a39ef35793c76p-33;
    const double r = head - rest, tail = (head - r) - rest;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    const int whole = (int)n, half = whole / 2;
    return (1.0 + (r + (r * r * p + tail))) * rpu_poly_pow2(half) * rpu_poly_pow2(whole - half);
}

/** Takes x > 0 apart: x = 2^k m with m in [sqrt(1/2), sqrt(2)) nearly. Returns m. */
static inline double rpu_poly_split(double x, int *k) {
    uint64_t bits;
    int e = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        e = -54;
    }
    memcpy(&bits, &x, sizeof bits);
    /* Adding the distance from sqrt(1/2) to 1 carries into the exponent exactly when the fraction is above sqrt(2). */
    bits += UINT64_C(0x3ff0000000000000) - UINT64_C(0x3fe6a09e667f3bcd);
    *k = e + (int)(bits >> 52) - 1023;
    bits = (bits & UINT64_C(0x000fffffffffffff)) + UINT64_C(0x3fe6a09e667f3bcd);
    memcpy(&x, &bits, sizeof x);
    return x;
}

/** ln x = k ln 2 + ln(1 + f); with s = f / (2 + f), ln(1 + f) = 2 (s + s^3/3 + s^5/5 + ...) is rearranged as
 *  f - (f^2/2 - s (f^2/2 + R)), in which the large terms f and k ln 2 carry no rounding error. */
static inline double rpu_log(double x) {
    int k;
    if (!(x > 0.0))
        return x == 0.0 ? -INFINITY : NAN;
    if (x == INFINITY)
        return x;
    const double f = rpu_poly_split(x, &k) - 1.0;
    const double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
    double p = 2.0 / 23.0;
    p = p * z + 2.0 / 21.0;
    p = p * z + 2.0 / 19.0;
    p = p * z + 2.0 / 17.0;
    p = p * z + 2.0 / 15.0;
    p = p * z + 2.0 / 13.0;
    p = p * z + 2.0 / 11.0;
    p = p * z + 2.0 / 9.0;
    p = p * z + 2.0 / 7.0;
    p = p * z + 2.0 / 5.0;
    p = p * z + 2.0 / 3.0;
    const double dk = (double)k;
    return dk * 0x1.62e42feep-1 - ((half - (s * (half + z * p) + dk * 0x1.a39ef35793c76p-33)) - f);
}

#endif
