/* SPDX-License-Identifier: Apache-2.0 */
/** @file ranks.h  Statistics of two samples by ranks: nothing is assumed of how times are distributed. */
#ifndef RPU_SRC_RANKS_H
#define RPU_SRC_RANKS_H

#include <rpu/status.h>

#include <stddef.h>

/** What a test of two samples came to. */
struct rpu_rank_test {
    double u;  /**< U of the first sample: pairs in which it is the larger one, ties counting half */
    double p;  /**< two-sided: how probable so uneven a U, or a more uneven one, is when nothing differs */
    int exact; /**< 1: from U's distribution; 0: from the normal one */
};

/** Mann-Whitney U of samples a (n values) and b (m values), n and m at least 1, all values finite. Without ties and
 * with no more than 50 values in all p is exact; otherwise it comes from the normal distribution, corrected for ties
 * and continuity. RPU_ERR_NOMEM. */
enum rpu_status rpu_rank_test(struct rpu_rank_test *test, const double *a, size_t n, const double *b, size_t m);

/** How many times b is a. */
struct rpu_rank_ratio {
    double ratio;     /**< median of the n m ratios b[j] / a[i] (Hodges and Lehmann, of logarithms) */
    double low, high; /**< interval that belongs to the test; NaN when the samples are too small for the level */
};

/** The ratio of two samples of positive values, with the interval in which it lies at the level 1 - alpha
 *  (0 < alpha < 1). RPU_ERR_NOMEM. */
enum rpu_status rpu_rank_ratio(struct rpu_rank_ratio *ratio, const double *a, size_t n, const double *b, size_t m,
                               double alpha);

/** The least p that samples of n and m values can have. */
double rpu_rank_least_p(size_t n, size_t m);

/** Median; sorts the values. */
double rpu_median(double *values, size_t n);

#endif
