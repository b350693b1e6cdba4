/* SPDX-License-Identifier: Apache-2.0 */
/* The double-precision polynomials against the C library's long double functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "poly.h"

enum { POINTS = 500000 };

typedef double one_fn(double);
typedef long double ref_fn(long double);

/* A deterministic uniform number in [0, 1). */
static double uniform(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) * 0x1p-53;
}

/* Size of the last bit of a double near v, that of the smallest normal number below it. */
static long double ulp(long double v) {
    int e;
    frexpl(v, &e);
    return ldexpl(1.0L, (e < -1021 ? -1021 : e) - DBL_MANT_DIG);
}

static double error_at(one_fn *f, ref_fn *ref, double x) {
    const long double want = ref((long double)x);
    return (double)(fabsl((long double)f(x) - want) / ulp(want));
}

/* Largest error in ULP over a range; the points are uniform, or uniform in the exponent. */
static void check_range(const char *name, one_fn *f, ref_fn *ref, double low, double high, int by_exponent,
                        double bound) {
    uint64_t state = 1;
    double worst = 0.0, where = low;
    for (int i = 0; i < POINTS; i++) {
        const double u = uniform(&state);
        const double x =
            by_exponent ? ldexp(1.0 + uniform(&state), (int)floor(low + (high - low) * u)) : low + (high - low) * u;
        const double e = error_at(f, ref, x);
        if (!(e <= worst)) {
            worst = e;
            where = x;
        }
    }
    print_message("%s [%g, %g]%s: largest error %.3f ULP at %a\n", name, low, high, by_exponent ? " (exponents)" : "",
                  worst, where);
    assert_true(worst <= bound);
}

static void test_sin_cos(void **state) {
    (void)state;
    check_range("sin", rpu_sin, sinl, -0.8, 0.8, 0, 0.85);
    check_range("sin", rpu_sin, sinl, -20.0, 20.0, 0, 0.85);
    check_range("sin", rpu_sin, sinl, -1048576.0, 1048576.0, 0, 0.85);
    check_range("sin", rpu_sin, sinl, -60, 0, 1, 0.85);
    check_range("cos", rpu_cos, cosl, -0.8, 0.8, 0, 0.85);
    check_range("cos", rpu_cos, cosl, -20.0, 20.0, 0, 0.85);
    check_range("cos", rpu_cos, cosl, -1048576.0, 1048576.0, 0, 0.85);
}

/* Next to multiples of pi/2 the reduction must not lose the small result. The reference is long double, whose own
 * argument is exact: the double x. */
static void test_sin_cos_near_zeros(void **state) {
    (void)state;
    double worst = 0.0;
    for (int n = -600000; n <= 600000; n += 7) {
        const double x = (double)n * 1.57079632679489661923;
        if (fabs(x) > 1048576.0)
            continue;
        const double e = n % 2 ? error_at(rpu_cos, cosl, x) : error_at(rpu_sin, sinl, x);
        worst = e > worst ? e : worst;
    }
    print_message("sin and cos next to their zeros: largest error %.3f ULP\n", worst);
    assert_true(worst <= 1.10);
}

static void test_exp(void **state) {
    (void)state;
    check_range("exp", rpu_exp, expl, -1.0, 1.0, 0, 0.90);
    check_range("exp", rpu_exp, expl, -708.0, 709.78, 0, 0.90);
    check_range("exp", rpu_exp, expl, -745.0, -708.0, 0, 0.90);
    assert_true(rpu_exp(0.0) == 1.0);
    assert_true(rpu_exp(710.0) == INFINITY);
    assert_true(rpu_exp(INFINITY) == INFINITY);
    assert_true(rpu_exp(-746.0) == 0.0);
    assert_true(rpu_exp(-INFINITY) == 0.0);
    assert_true(isnan(rpu_exp(NAN)));
}

static void test_log(void **state) {
    (void)state;
    check_range("log", rpu_log, logl, 0.5, 2.0, 0, 0.85);
    check_range("log", rpu_log, logl, 0.99, 1.01, 0, 0.85);
    check_range("log", rpu_log, logl, 0.0, 1.0, 0, 0.85);
    check_range("log", rpu_log, logl, -1022, 1023, 1, 0.85);
    check_range("log", rpu_log, logl, -1074, -1023, 1, 0.85);
    assert_true(rpu_log(1.0) == 0.0);
    assert_true(rpu_log(0.0) == -INFINITY);
    assert_true(rpu_log(INFINITY) == INFINITY);
    assert_true(isnan(rpu_log(-1.0)));
    assert_true(isnan(rpu_log(NAN)));
}

static void test_special(void **state) {
    (void)state;
    assert_true(rpu_sin(0.0) == 0.0 && rpu_cos(0.0) == 1.0);
    assert_true(isnan(rpu_sin(1e6 * 2)) && isnan(rpu_cos(-1e300)));
    assert_true(isnan(rpu_sin(INFINITY)) && isnan(rpu_cos(NAN)));
    for (int n = -1022; n <= 1023; n++)
        assert_true(rpu_poly_pow2(n) == ldexp(1.0, n));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sin_cos), cmocka_unit_test(test_sin_cos_near_zeros),
        cmocka_unit_test(test_exp),     cmocka_unit_test(test_log),
        cmocka_unit_test(test_special),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
