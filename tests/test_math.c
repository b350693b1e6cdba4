/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels' polynomials against long double: largest errors in units of the last place over the whole range. The
 * bounds asserted here are those of the table in kernel_math.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "kernel_math.h"

typedef float one_fn(float);
typedef long double ref_fn(long double);

/* Size of the last bit of a float near v; that of a denormal below the normal numbers. */
static long double ulp(long double v) {
    int e;
    frexpl(v, &e);
    return ldexpl(1.0L, (e < -125 ? -125 : e) - 24);
}

struct worst {
    double ulps, absolute;
    float ulps_at, absolute_at;
};

static void note(struct worst *w, float x, float got, long double want) {
    const double absolute = (double)fabsl((long double)got - want);
    const double ulps = (double)(fabsl((long double)got - want) / ulp(want));
    if (!(ulps <= w->ulps))
        w->ulps = ulps, w->ulps_at = x;
    if (!(absolute <= w->absolute))
        w->absolute = absolute, w->absolute_at = x;
}

/* Floats from `low` to `high` (both of one sign) in steps of `stride` representable numbers. */
static struct worst scan(one_fn *f, ref_fn *ref, float low, float high, uint32_t stride) {
    struct worst w = {0};
    uint32_t from = rpu_bits(low), to = rpu_bits(high);
    if (from > to) {
        const uint32_t t = from;
        from = to, to = t;
    }
    for (uint64_t b = from; b <= to; b += stride) {
        const float x = rpu_float((uint32_t)b);
        note(&w, x, f(x), ref((long double)x));
    }
    return w;
}

static struct worst larger(struct worst a, struct worst b) {
    return (struct worst){fmax(a.ulps, b.ulps), fmax(a.absolute, b.absolute), a.ulps > b.ulps ? a.ulps_at : b.ulps_at,
                          a.absolute > b.absolute ? a.absolute_at : b.absolute_at};
}

static void report(const char *name, const struct worst *w) {
    print_message("%s: largest error %.3f ULP at %a, %.3g absolute at %a\n", name, w->ulps, (double)w->ulps_at,
                  w->absolute, (double)w->absolute_at);
}

static long double sigmoid_ref(long double x) {
    return 1.0L / (1.0L + expl(-x));
}

static void test_exp(void **state) {
    const struct worst w = larger(scan(rpu_exp_f, expl, 0.0f, 88.0f, 521), scan(rpu_exp_f, expl, -0.0f, -87.0f, 521));
    (void)state;
    report("exp [-87, 88]", &w);
    assert_true(w.ulps <= 1.25);
    assert_true(rpu_exp_f(0.0f) == 1.0f && rpu_exp_f(-0.0f) == 1.0f);
    assert_true(rpu_exp_f(INFINITY) == rpu_exp_f(88.0f) && rpu_exp_f(1e30f) == rpu_exp_f(88.0f));
    assert_true(rpu_exp_f(-INFINITY) == rpu_exp_f(-87.0f) && rpu_exp_f(-1e30f) == rpu_exp_f(-87.0f));
    assert_true(isnan(rpu_exp_f(NAN)));
    assert_true(rpu_exp_f(0x1p-149f) == 1.0f);
}

static void test_log(void **state) {
    const struct worst all = scan(rpu_log_f, logl, 0x1p-126f, 0x1.fffffep127f, 1021);
    const struct worst below = scan(rpu_log_f, logl, 0.7f, 0x1.fffffep-1f, 5),
                       above = scan(rpu_log_f, logl, 1.0f, 1.5f, 5);
    const struct worst near = larger(below, above), w = larger(all, near);
    (void)state;
    report("log, all normal numbers", &w);
    report("log, every fifth float in [0.7, 1.5]", &near);
    assert_true(w.ulps <= 2.3);
    assert_true(rpu_log_f(1.0f) == 0.0f);
    assert_true(isnan(rpu_log_f(NAN)));
}

static void test_tanh(void **state) {
    const struct worst w =
        larger(scan(rpu_tanh_f, tanhl, 0.0f, 9.2f, 509), scan(rpu_tanh_f, tanhl, 9.2f, INFINITY, 8191));
    const struct worst dense = scan(rpu_tanh_f, tanhl, 0.05f, 0.5f, 29), both = larger(w, dense);
    (void)state;
    report("tanh, all", &both);
    assert_true(both.ulps <= 2.6);
    for (uint32_t b = 0; b <= 0x7f800000u; b += 4093) { /* odd, to the bit, and never beyond 1 */
        const float x = rpu_float(b), y = rpu_tanh_f(x);
        assert_int_equal(rpu_bits(rpu_tanh_f(-x)), rpu_bits(y) | 0x80000000u);
        assert_true(y >= 0.0f && y <= 1.0f && y <= x);
    }
    assert_true(rpu_tanh_f(INFINITY) == 1.0f && rpu_tanh_f(-INFINITY) == -1.0f && rpu_tanh_f(9.125f) == 1.0f);
    assert_int_equal(rpu_bits(rpu_tanh_f(-0.0f)), 0x80000000u);
    assert_true(isnan(rpu_tanh_f(NAN)) && isnan(rpu_tanh_f(-NAN)));
}

static void test_sigmoid(void **state) {
    const struct worst right = scan(rpu_sigmoid_f, sigmoid_ref, 0.0f, INFINITY, 4093);
    const struct worst left = scan(rpu_sigmoid_f, sigmoid_ref, -0.0f, -87.0f, 509), w = larger(right, left);
    (void)state;
    report("sigmoid [-87, infinity]", &w);
    assert_true(w.ulps <= 2.55);
    assert_true(rpu_sigmoid_f(0.0f) == 0.5f && rpu_sigmoid_f(INFINITY) == 1.0f);
    assert_true(rpu_sigmoid_f(-INFINITY) >= 0.0f && rpu_sigmoid_f(-INFINITY) < 1e-38f);
    assert_true(isnan(rpu_sigmoid_f(NAN)));
}

/* A function with rounding errors of a few units cannot rise strictly, but over steps of 256 floats it must not fall.
 */
static void check_rises(const char *name, one_fn *f, float low, float high) {
    float last = f(low);
    for (uint32_t b = rpu_bits(low); b <= rpu_bits(high); b += 256) {
        const float y = f(rpu_float(b));
        if (y < last)
            fail_msg("%s falls from %a to %a at %a", name, (double)last, (double)y, (double)rpu_float(b));
        last = y;
    }
}

static float sigmoid_of_negative(float x) {
    return -rpu_sigmoid_f(-x);
}

static float exp_of_negative(float x) {
    return -rpu_exp_f(-x);
}

static void test_monotonic(void **state) {
    (void)state;
    check_rises("tanh", rpu_tanh_f, 0.0f, 12.0f);
    check_rises("exp", rpu_exp_f, 0.0f, 90.0f);
    check_rises("-exp(-x)", exp_of_negative, 0.0f, 90.0f);
    check_rises("sigmoid", rpu_sigmoid_f, 0.0f, 40.0f);
    check_rises("-sigmoid(-x)", sigmoid_of_negative, 0.0f, 90.0f);
    check_rises("log", rpu_log_f, 0x1p-126f, 0x1.fffffep127f);
}

/* All 2^24 radii at one angle, and all 2^16 angles at one radius: together all that a Gaussian is made of. */
static void test_gauss_radius(void **state) {
    double worst = 0.0;
    uint32_t at = 0;
    (void)state;
    for (uint32_t k = 0; k < 1u << 24; k++) {
        const float u = fmaf((float)k, RPU_U_SCALE, RPU_U_OFFSET);
        const double want = sqrt(-2.0 * log((double)u)); /* 53 bits are plenty against 24 */
        float first, second;
        rpu_gauss_pair(k, 8191, &first, &second);
        const double a = -0.5 * (3.14159265358979323846 / 2.0) / 16384.0;
        const double got = (double)first / cos(a);
        const double error = want > 0.0 ? fabs(got - want) / want : fabs(got);
        if (!(error <= worst))
            worst = error, at = k;
    }
    print_message("gaussian radius: largest relative error %.3g at k = %u\n", worst, at);
    assert_true(worst <= 4.7e-6);
}

static void test_gauss_angle(void **state) {
    const uint32_t k = 1u << 22; /* u = 1/4 */
    const double radius = sqrt(-2.0 * log((double)fmaf((float)k, RPU_U_SCALE, RPU_U_OFFSET)));
    float exact_first, exact_second;
    double worst = 0.0, radius_here, s1 = 0.0, s2 = 0.0;
    (void)state;
    rpu_gauss_pair(k, 8191, &exact_first, &exact_second);
    radius_here = (double)exact_first / cos(0.5 * (3.14159265358979323846 / 2.0) / 16384.0);
    assert_true(fabs(radius_here / radius - 1.0) < 1e-5);
    for (uint32_t angle = 0; angle < 65536; angle++) {
        const double a = ((double)(angle & 0x3fffu) - 8191.5) * (3.14159265358979323846 / 2.0) / 16384.0;
        const double sign = angle & 0x8000u ? -1.0 : 1.0;
        const double x = sign * radius_here * (angle & 0x4000u ? sin(a) : cos(a));
        const double y = sign * radius_here * (angle & 0x4000u ? cos(a) : sin(a));
        float first, second;
        rpu_gauss_pair(k, angle, &first, &second);
        worst = fmax(worst, fmax(fabs((double)first - x), fabs((double)second - y)) / radius_here);
        s1 += (double)first, s2 += (double)second;
    }
    print_message("gaussian angle: largest error %.3g of the radius; means of all angles %.3g and %.3g\n", worst,
                  s1 / 65536.0, s2 / 65536.0);
    assert_true(worst <= 1.3e-6);
    assert_true(fabs(s1) < 1e-3 && fabs(s2) < 1e-3); /* the four quadrants cancel */
}

static void test_round_and_clip(void **state) {
    (void)state;
    for (int i = -100000; i <= 100000; i++) {
        const float v = (float)i * 0.25f;
        assert_true(rpu_round(v) == nearbyintf(v));
    }
    assert_true(rpu_round(4194303.5f) == 4194304.0f && rpu_round(-4194303.5f) == -4194304.0f);
    assert_true(rpu_round(4194302.5f) == 4194302.0f && isnan(rpu_round(NAN)));
    assert_true(rpu_clip(3.0f, 2.0f) == 2.0f && rpu_clip(-3.0f, 2.0f) == -2.0f && rpu_clip(1.0f, 2.0f) == 1.0f);
    assert_true(isnan(rpu_clip(NAN, 1.0f)) && rpu_clip(INFINITY, 1.0f) == 1.0f && rpu_clip(-INFINITY, 1.0f) == -1.0f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),         cmocka_unit_test(test_log),
        cmocka_unit_test(test_tanh),        cmocka_unit_test(test_sigmoid),
        cmocka_unit_test(test_monotonic),   cmocka_unit_test(test_gauss_radius),
        cmocka_unit_test(test_gauss_angle), cmocka_unit_test(test_round_and_clip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
