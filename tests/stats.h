/* SPDX-License-Identifier: Apache-2.0 */
/** @file stats.h
 *  Statistics for the tests. Every test here has a false alarm probability of about 1e-6 (STATS_Z standard deviations,
 *  or a p-value of STATS_P); seeds are fixed, so a test that passes once passes always. */
#ifndef RPU_TESTS_STATS_H
#define RPU_TESTS_STATS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define STATS_P 1e-6
#define STATS_Z 4.9 /* two-sided 1e-6 of a normal */

static inline double stats_normal_cdf(double x) {
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

static inline int stats_by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline void stats_sort(double *v, size_t n) {
    qsort(v, n, sizeof *v, stats_by_value);
}

/** p-value of the Kolmogorov-Smirnov statistic of n numbers in [0, 1], sorted, against the uniform distribution (by the
 *  asymptotic series with Stephens' correction for n). */
static inline double stats_ks(const double *u, size_t n) {
    double d = 0.0, sum = 0.0, sign = 2.0;
    const double root = sqrt((double)n);
    for (size_t i = 0; i < n; i++) {
        const double above = (double)(i + 1) / (double)n - u[i], below = u[i] - (double)i / (double)n;
        d = above > d ? above : d;
        d = below > d ? below : d;
    }
    const double lambda = (root + 0.12 + 0.11 / root) * d;
    if (lambda < 0.2)
        return 1.0;
    for (int k = 1; k <= 100; k++, sign = -sign)
        sum += sign * exp(-2.0 * k * k * lambda * lambda);
    return sum < 0.0 ? 0.0 : (sum > 1.0 ? 1.0 : sum);
}

/** Upper tail of the Anderson-Darling statistic of n sorted numbers in (0, 1) against the uniform distribution. The
 *  statistic is a weighted sum of squared normals with weights 1/(j (j + 1)); its tail is that of the first term times
 *  prod_{j >= 2} (1 - 2/(j (j + 1)))^(-1/2) = sqrt(3). Good from 2 on. */
static inline double stats_ad(const double *u, size_t n) {
    double s = 0.0;
    for (size_t i = 0; i < n; i++)
        s += (double)(2 * i + 1) * (log(u[i]) + log1p(-u[n - 1 - i]));
    const double a = -(double)n - s / (double)n;
    return a < 0.0 ? 1.0 : sqrt(3.0) * erfc(sqrt(a));
}

/** Numbers to sorted normal probabilities with a mean and spread: what stats_ks and stats_ad take. */
static inline void stats_normalize(double *v, size_t n, double mean, double sigma) {
    for (size_t i = 0; i < n; i++)
        v[i] = stats_normal_cdf((v[i] - mean) / sigma);
    stats_sort(v, n);
}

/** Chi-square with k degrees of freedom as a number of standard deviations (Wilson and Hilferty). */
static inline double stats_chi_square_z(double chi2, double k) {
    return (cbrt(chi2 / k) - (1.0 - 2.0 / (9.0 * k))) / sqrt(2.0 / (9.0 * k));
}

/** The same from counts that should all be equal. */
static inline double stats_equal_counts_z(const uint32_t *counts, size_t cells, double total) {
    const double expected = total / (double)cells;
    double chi2 = 0.0;
    for (size_t i = 0; i < cells; i++)
        chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
    return stats_chi_square_z(chi2, (double)(cells - 1));
}

/** The smaller tail of a Poisson distribution at `count`, doubled: P(as far out as this). */
static inline double stats_poisson(double count, double mean) {
    double below = 0.0, here;
    if (mean > 3000.0)
        return erfc(fabs(count - mean) / sqrt(2.0 * mean));
    for (double k = 0.0; k < count; k += 1.0)
        below += exp(k * log(mean) - mean - lgamma(k + 1.0));
    here = exp(count * log(mean) - mean - lgamma(count + 1.0));
    const double low = below + here, high = 1.0 - below > here ? 1.0 - below : here;
    return 2.0 * (low < high ? low : high);
}

/** Sums for mean, variance and higher moments about 0. */
struct stats_moments {
    double n, s1, s2, s3, s4;
};

static inline void stats_add(struct stats_moments *m, double v) {
    const double q = v * v;
    m->n += 1.0;
    m->s1 += v;
    m->s2 += q;
    m->s3 += q * v;
    m->s4 += q * q;
}

static inline double stats_mean(const struct stats_moments *m) {
    return m->s1 / m->n;
}

static inline double stats_variance(const struct stats_moments *m) {
    return (m->s2 - m->s1 * m->s1 / m->n) / (m->n - 1.0);
}

/** The seed of a test program: its first argument, or `standard`. */
static inline uint64_t stats_seed(int argc, char **argv, uint64_t standard) {
    return argc > 1 ? strtoull(argv[1], NULL, 0) : standard;
}

#endif
