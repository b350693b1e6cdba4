/* SPDX-License-Identifier: Apache-2.0 */
#include "ranks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Up to here every count of arrangements, at most C(50, 25), is a whole number that a double holds. */
enum { EXACT_MOST = 50, EXACT_PAIRS = 25 * 25 };

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double rpu_median(double *values, size_t n) {
    qsort(values, n, sizeof *values, ascending);
    return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

/* ---- the distribution of U ---- */

/* Share of the arrangements with U up to `u`. The counts are the coefficients of the product of
 * (1 - x^(m+i)) / (1 - x^i), i = 1..n. */
static double exact_share(size_t n, size_t m, size_t u) {
    double count[EXACT_PAIRS + 1] = {1.0}, all = 1.0, sum = 0.0;
    for (size_t i = 1; i <= n; i++) {
        for (size_t k = n * m; k >= m + i; k--)
            count[k] -= count[k - m - i];
        for (size_t k = i; k <= n * m; k++)
            count[k] += count[k - i];
        all = all * (double)(m + i) / (double)i;
    }
    for (size_t k = 0; k <= u && k <= n * m; k++)
        sum += count[k];
    return sum / all;
}

static double normal_tail(double z) {
    return 0.5 * erfc(z / sqrt(2.0));
}

/* The z beyond which the share `tail` (up to a half) of the normal distribution lies. */
static double normal_quantile(double tail) {
    double low = 0.0, high = 40.0;
    for (int i = 0; i < 100; i++) {
        const double middle = 0.5 * (low + high);
        if (normal_tail(middle) > tail)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* `ties`: the sum of t^3 - t over groups of t equal values. */
static double deviation_of_u(size_t n, size_t m, double ties) {
    const double all = (double)n + (double)m;
    return sqrt((double)n * (double)m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0))));
}

/* Two-sided p of the more uneven end. */
static double normal_p(size_t n, size_t m, double u, double ties) {
    const double deviation = deviation_of_u(n, m, ties), middle = 0.5 * (double)n * (double)m;
    const double z = deviation > 0.0 ? (fabs(u - middle) - 0.5) / deviation : 0.0;
    return z > 0.0 ? 2.0 * normal_tail(z) : 1.0;
}

double rpu_rank_least_p(size_t n, size_t m) {
    return n + m <= EXACT_MOST ? fmin(1.0, 2.0 * exact_share(n, m, 0)) : normal_p(n, m, 0.0, 0.0);
}

/* ---- the test ---- */

struct ranked {
    double value;
    int first; /* of sample a */
};

static int by_value(const void *a, const void *b) {
    return ascending(&((const struct ranked *)a)->value, &((const struct ranked *)b)->value);
}

/* The sum of the ranks of sample a, equal values sharing theirs, and the correction for ties. */
static double sum_of_ranks(const struct ranked *all, size_t count, double *ties) {
    double sum = 0.0;
    *ties = 0.0;
    for (size_t i = 0, end; i < count; i = end) {
        size_t of_a = 0;
        for (end = i; end < count && !(all[end].value > all[i].value); end++)
            of_a += all[end].first ? 1 : 0;
        const double t = (double)(end - i);
        sum += (double)of_a * 0.5 * ((double)(i + 1) + (double)end);
        *ties += t * t * t - t;
    }
    return sum;
}

enum rpu_status rpu_rank_test(struct rpu_rank_test *test, const double *a, size_t n, const double *b, size_t m) {
    struct ranked *all = malloc((n + m) * sizeof *all);
    double ties;
    if (!all)
        return RPU_ERR_NOMEM;
    for (size_t i = 0; i < n + m; i++)
        all[i] = (struct ranked){i < n ? a[i] : b[i - n], i < n};
    qsort(all, n + m, sizeof *all, by_value);
    test->u = sum_of_ranks(all, n + m, &ties) - 0.5 * (double)n * ((double)n + 1.0);
    test->exact = !(ties > 0.0) && n + m <= EXACT_MOST;
    test->p = test->exact ? fmin(1.0, 2.0 * exact_share(n, m, (size_t)fmin(test->u, (double)(n * m) - test->u)))
                          : normal_p(n, m, test->u, ties);
    free(all);
    return RPU_OK;
}

/* ---- the ratio ---- */

/* How many of the sorted ratios are left out at each end, plus 1; 0 when the samples are too small. */
static size_t interval_rank(size_t n, size_t m, double alpha) {
    const double middle = 0.5 * (double)n * (double)m;
    size_t k = 0;
    if (n + m > EXACT_MOST)
        return (size_t)fmax(0.0, middle - 0.5 - normal_quantile(0.5 * alpha) * deviation_of_u(n, m, 0.0)) +
               (rpu_rank_least_p(n, m) <= alpha);
    while ((double)k < middle && exact_share(n, m, k) <= 0.5 * alpha)
        k++;
    return k;
}

enum rpu_status rpu_rank_ratio(struct rpu_rank_ratio *ratio, const double *a, size_t n, const double *b, size_t m,
                               double alpha) {
    const size_t k = interval_rank(n, m, alpha);
    double *ratios = malloc(n * m * sizeof *ratios);
    if (!ratios)
        return RPU_ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            ratios[i * m + j] = b[j] / a[i];
    ratio->ratio = rpu_median(ratios, n * m);
    ratio->low = k ? ratios[k - 1] : (double)NAN;
    ratio->high = k ? ratios[n * m - k] : (double)NAN;
    free(ratios);
    return RPU_OK;
}
