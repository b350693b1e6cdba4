/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics by ranks: against counting every arrangement, and against values that others have published or computed.
 */
#include "ranks.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct rpu_rank_test tested(const double *a, size_t n, const double *b, size_t m) {
    struct rpu_rank_test test;
    assert_int_equal(rpu_rank_test(&test, a, n, b, m), RPU_OK);
    return test;
}

static void assert_near(double found, double expected, double tolerance) {
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("found %.15g, expected %.15g", found, expected);
}

/* ---- p ---- */

static unsigned bits_of(unsigned set) {
    unsigned n = 0;
    for (; set; set &= set - 1)
        n++;
    return n;
}

/* U of the sample whose ranks are the bits of `set`. */
static double u_of(unsigned set, unsigned n) {
    double sum = 0.0;
    for (unsigned rank = 0; rank < 32; rank++)
        if (set >> rank & 1u)
            sum += rank + 1.0;
    return sum - 0.5 * n * (n + 1.0);
}

/* Two-sided p of U, every arrangement of the ranks counted one by one. */
static double counted_p(unsigned n, unsigned m, double u) {
    const double end = fmin(u, (double)n * m - u);
    double extreme = 0.0, all = 0.0;
    for (unsigned set = 0; set < 1u << (n + m); set++)
        if (bits_of(set) == n) {
            all += 1.0;
            extreme += u_of(set, n) <= end;
        }
    return fmin(1.0, 2.0 * extreme / all);
}

static void check_arrangement(unsigned set, unsigned n, unsigned m) {
    double a[16], b[16];
    size_t i = 0, k = 0;
    for (unsigned rank = 0; rank < n + m; rank++)
        if (set >> rank & 1u)
            a[i++] = 100.0 + rank;
        else
            b[k++] = 100.0 + rank;
    const struct rpu_rank_test test = tested(a, n, b, m);
    assert_true(test.exact);
    assert_near(test.u, u_of(set, n), 0.0);
    assert_near(test.p, counted_p(n, m, test.u), 1e-14);
}

static void exact_p_is_that_of_counting(void **state) {
    static const unsigned sizes[][2] = {{1, 1}, {1, 5}, {2, 3}, {3, 3}, {4, 4}, {5, 3}, {5, 5}};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (unsigned set = 0, n = sizes[s][0], m = sizes[s][1]; set < 1u << (n + m); set++)
            if (bits_of(set) == n && (set * 2654435761u) % 8 < (n + m < 8 ? 8 : 1))
                check_arrangement(set, n, m);
}

/* Two samples of 25 that do not overlap: 2 / C(50, 25). */
static void exact_p_of_the_largest_samples(void **state) {
    double a[25], b[25];
    (void)state;
    for (int i = 0; i < 25; i++) {
        a[i] = i;
        b[i] = 30.0 + i;
    }
    assert_near(tested(a, 25, b, 25).p * 126410606437752.0, 2.0, 1e-9);
    assert_near(rpu_rank_least_p(9, 9) * 48620.0, 2.0, 1e-12);
    assert_near(rpu_rank_least_p(5, 5) * 252.0, 2.0, 1e-13);
    assert_near(rpu_rank_least_p(1, 1), 1.0, 1e-15);
}

/* H. B. Mann and D. R. Whitney, Ann. Math. Statist. 18 (1947), table I: P(U <= u) for n = m = 8. */
static void the_table_of_mann_and_whitney(void **state) {
    static const double share[] = {0.000, 0.000, 0.000, 0.001, 0.001, 0.001, 0.002, 0.003, 0.005, 0.007, 0.010,
                                   0.014, 0.019, 0.025, 0.032, 0.041, 0.052, 0.065, 0.080, 0.097, 0.117, 0.139,
                                   0.164, 0.191, 0.221, 0.253, 0.287, 0.323, 0.360, 0.399, 0.439, 0.480};
    double a[8], b[8];
    (void)state;
    for (size_t u = 0; u < sizeof share / sizeof share[0]; u++) {
        size_t left = u;
        for (size_t i = 0; i < 8; i++)
            b[i] = 10.0 * (double)(i + 1);
        for (size_t i = 8; i-- > 0;) { /* a[i] above so many of b that the sum is u */
            const size_t above = left > 8 ? 8 : left;
            a[i] = 10.0 * (double)above + 1.0 + 0.1 * (double)i;
            left -= above;
        }
        assert_near(tested(a, 8, b, 8).u, (double)u, 0.0);
        assert_near(0.5 * tested(a, 8, b, 8).p, share[u], 0.00051);
    }
}

/* scipy.stats.mannwhitneyu(a, b, method="asymptotic") of scipy 1.10. */
static void normal_p_with_ties(void **state) {
    static const double a[] = {1, 2, 2, 3, 3, 3, 4, 8, 9}, b[] = {2, 3, 4, 5, 5, 6, 7, 8, 8};
    const struct rpu_rank_test test = tested(a, 9, b, 9);
    (void)state;
    assert_false(test.exact);
    assert_near(test.u, 25.0, 0.0);
    assert_near(test.p, 0.18076063034741952, 1e-12);
}

static void equal_values_differ_in_nothing(void **state) {
    static const double a[] = {5, 5, 5, 5, 5};
    (void)state;
    assert_near(tested(a, 5, a, 5).p, 1.0, 0.0);
}

static void p_does_not_depend_on_the_order_of_the_samples(void **state) {
    static const double a[] = {1, 7, 3, 12, 5}, b[] = {2, 9, 11, 8, 13, 14};
    (void)state;
    assert_near(tested(a, 5, b, 6).p, tested(b, 6, a, 5).p, 0.0);
    assert_near(tested(a, 5, b, 6).u + tested(b, 6, a, 5).u, 30.0, 0.0);
}

/* ---- the ratio ---- */

static struct rpu_rank_ratio ratio_of(const double *a, size_t n, const double *b, size_t m, double alpha) {
    struct rpu_rank_ratio ratio;
    assert_int_equal(rpu_rank_ratio(&ratio, a, n, b, m, alpha), RPU_OK);
    return ratio;
}

static void interval_of_small_samples(void **state) {
    static const double a[] = {10, 11, 12, 13, 14}, b[] = {30, 31, 32, 33, 34};
    const struct rpu_rank_ratio r = ratio_of(a, 5, b, 5, 0.01), few = ratio_of(a, 4, b, 4, 0.01);
    (void)state;
    /* of 252 arrangements only the last at each end is beyond 1 %: the interval is the whole range */
    assert_near(r.low, 30.0 / 14.0, 1e-15);
    assert_near(r.high, 34.0 / 10.0, 1e-15);
    assert_near(r.ratio, 32.0 / 12.0, 0.02);
    assert_true(isnan(few.low) && isnan(few.high));
}

/* The interval leaves 1 out exactly when p is no more than alpha: both come from the same distribution. */
static void interval_and_p_agree(void **state) {
    uint32_t random = 1;
    size_t significant = 0;
    (void)state;
    for (int trial = 0; trial < 400; trial++) {
        double a[40], b[40];
        const size_t n = 5 + (size_t)trial % 9 + (trial % 10 == 9 ? 26 : 0), m = 5 + (size_t)trial % 7;
        const double shift = 1.0 + 0.004 * (trial % 60);
        for (size_t i = 0; i < n + m; i++) {
            random = random * 1664525u + 1013904223u;
            *(i < n ? &a[i] : &b[i - n]) = (1.0 + 0.1 * (random >> 8) / 16777216.0) * (i < n ? 1.0 : shift);
        }
        const struct rpu_rank_test test = tested(a, n, b, m);
        const struct rpu_rank_ratio r = ratio_of(a, n, b, m, 0.05);
        if (test.exact && (test.p <= 0.05) != (r.low > 1.0 || r.high < 1.0))
            fail_msg("trial %d: p %g, interval %g to %g", trial, test.p, r.low, r.high);
        assert_true(r.low <= r.ratio && r.ratio <= r.high);
        significant += test.p <= 0.05;
    }
    assert_in_range(significant, 100, 350);
}

/* Of samples with one distribution about alpha are called different, and never many more. */
static void false_alarms_are_as_rare_as_promised(void **state) {
    uint32_t random = 7;
    size_t alarms = 0;
    (void)state;
    for (int trial = 0; trial < 4000; trial++) {
        double a[9], b[9];
        for (size_t i = 0; i < 18; i++) {
            random = random * 1664525u + 1013904223u;
            *(i < 9 ? &a[i] : &b[i - 9]) = 1.0 + (random >> 8) / 16777216.0;
        }
        alarms += tested(a, 9, b, 9).p < 0.05;
    }
    assert_in_range(alarms, 110, 240); /* 4000 x 0.04 = 160 expected: the largest p below 0.05 is 0.040 */
}

static void medians(void **state) {
    double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2}, one[] = {7};
    (void)state;
    assert_near(rpu_median(odd, 3), 2.0, 0.0);
    assert_near(rpu_median(even, 4), 2.5, 0.0);
    assert_near(rpu_median(one, 1), 7.0, 0.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_p_is_that_of_counting),
        cmocka_unit_test(exact_p_of_the_largest_samples),
        cmocka_unit_test(the_table_of_mann_and_whitney),
        cmocka_unit_test(normal_p_with_ties),
        cmocka_unit_test(equal_values_differ_in_nothing),
        cmocka_unit_test(p_does_not_depend_on_the_order_of_the_samples),
        cmocka_unit_test(interval_of_small_samples),
        cmocka_unit_test(interval_and_p_agree),
        cmocka_unit_test(false_alarms_are_as_rare_as_promised),
        cmocka_unit_test(medians),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
