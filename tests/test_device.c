/* SPDX-License-Identifier: Apache-2.0 */
/* The devices and the initial weights of one array, against closed forms. usage: test_device [SEED [TEST]]; false
 * alarms less than one seed in 20,000. */
#include <math.h>
#include <string.h>

#include "tiles.h"

/* ---- devices ---- */

enum { SIDE = 256, COUNT = SIDE * SIDE };

struct devices {
    float up[COUNT], down[COUNT], upper[COUNT], lower[COUNT];
};

static struct devices *devices_of(const struct rpu_tile_params *p) {
    struct devices *d = allocate(sizeof *d);
    struct rpu_tile *t = make(p, SIDE, SIDE);
    assert_int_equal(rpu_tile_get_devices(t, d->up, d->down, d->upper, d->lower), RPU_OK);
    rpu_tile_destroy(t);
    return d;
}

/* Kolmogorov-Smirnov of |N(mean, sigma)|, and mean and spread while the fold at 0 is out of reach. */
static void check_folded(const char *what, const float *v, double unit, double mean, double sigma) {
    double *u = allocate(COUNT * sizeof *u);
    for (size_t i = 0; i < COUNT; i++) {
        const double x = (double)v[i] / unit;
        u[i] = stats_normal_cdf((x - mean) / sigma) - stats_normal_cdf((-x - mean) / sigma);
    }
    stats_sort(u, COUNT);
    likely(what, stats_ks(u, COUNT));
    test_free(u);
}

static double correlation(const float *a, const float *b) {
    double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
    for (size_t i = 0; i < COUNT; i++) {
        const double x = (double)a[i], y = (double)b[i];
        sa += x, sb += y, saa += x * x, sbb += y * y, sab += x * y;
    }
    const double n = COUNT;
    return (sab - sa * sb / n) / sqrt((saa - sa * sa / n) * (sbb - sb * sb / n));
}

static void test_device_statistics(void **state) {
    struct rpu_tile_params p;
    struct stats_moments step = {0}, difference = {0}, bound = {0};
    float *r = allocate(COUNT * sizeof *r);
    double *u = allocate(COUNT * sizeof *u);
    (void)state;
    rpu_tile_params_baseline(&p);
    struct devices *d = devices_of(&p);
    check_folded("up steps", d->up, 0.001, 1.0, hypot(0.3, 0.01));
    check_folded("down steps", d->down, 0.001, 1.0, hypot(0.3, 0.01));
    check_folded("upper bounds", d->upper, 0.6, 1.0, 0.3);
    check_folded("lower bounds", d->lower, 0.6, 1.0, 0.3);
    for (size_t i = 0; i < COUNT; i++) {
        r[i] = (d->up[i] - d->down[i]) / 0.001f;
        u[i] = (double)r[i];
        stats_add(&difference, (double)r[i]);
        stats_add(&step, ((double)d->up[i] + (double)d->down[i]) / 0.002);
        stats_add(&bound, (double)d->upper[i] / 0.6);
    }
    const double root = sqrt((double)COUNT);
    within("mean step", (stats_mean(&step) - 1.0) / 0.3 * root);
    within("spread of steps", (stats_variance(&step) / 0.09 - 1.0) / sqrt(2.0) * root);
    within("mean bound", (stats_mean(&bound) - 1.0) / 0.3 * root);
    within("mean imbalance", stats_mean(&difference) / 0.02 * root);
    within("imbalance, 2 %", (stats_variance(&difference) / 4e-4 - 1.0) / sqrt(2.0) * root);
    stats_normalize(u, COUNT, 0.0, 0.02);
    likely("imbalance", stats_ks(u, COUNT));
    within("imbalance and step", correlation(r, d->up) * root - 0.01 / hypot(0.3, 0.01) * root);
    within("upper and lower bound", correlation(d->upper, d->lower) * root);
    within("step and bound", correlation(d->up, d->upper) * root);
    print_message("step 1 %+.4f spread %.4f, up/down difference spread %.5f, bound 1 %+.4f\n", stats_mean(&step) - 1.0,
                  sqrt(stats_variance(&step)), sqrt(stats_variance(&difference)), stats_mean(&bound) - 1.0);
    test_free(d);
    test_free(r);
    test_free(u);
}

static double spread(const float *v) {
    struct stats_moments m = {0};
    for (size_t i = 0; i < COUNT; i++)
        stats_add(&m, (double)v[i]);
    return sqrt(fabs(stats_variance(&m))) / stats_mean(&m);
}

/* One spread alone: what it does not concern has none at all. */
static void test_spreads_alone(void **state) {
    struct rpu_tile_params p = plain();
    struct devices *d;
    (void)state;
    p.device.bound = 0.6f;
    p.device.dw_min_dtod = 0.3f;
    d = devices_of(&p);
    assert_memory_equal(d->up, d->down, sizeof d->up);
    assert_true(fabs(spread(d->up) - 0.3) < 0.01 && spread(d->upper) < 1e-6 && spread(d->lower) < 1e-6);
    assert_true(fabsf(d->upper[0] - 0.6f) < 1e-6f);
    test_free(d);
    p.device.dw_min_dtod = 0.0f, p.device.imbalance_dtod = 0.05f;
    d = devices_of(&p);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(fabsf(d->up[i] + d->down[i] - 0.002f) < 1.3e-7f);
    assert_true(fabs(spread(d->up) - 0.05) < 0.002 && fabs(spread(d->down) - 0.05) < 0.002);
    assert_true(spread(d->upper) < 1e-6);
    test_free(d);
    p.device.imbalance_dtod = 0.0f, p.device.bound_dtod = 0.3f;
    d = devices_of(&p);
    assert_true(spread(d->up) < 1e-6 && spread(d->down) < 1e-6);
    assert_true(fabs(spread(d->upper) - 0.3) < 0.01 && fabs(spread(d->lower) - 0.3) < 0.01);
    assert_true(memcmp(d->upper, d->lower, sizeof d->upper) != 0);
    test_free(d);
}

static void test_devices_of_places(void **state) {
    struct rpu_tile_params p;
    struct rpu_tile *t[5];
    float up[5][12 * 13];
    static const uint32_t places[5][2] = {{0, 0}, {1, 0}, {0, 1}, {1023, 4095}, {0, 0}};
    (void)state;
    rpu_tile_params_baseline(&p);
    for (int k = 0; k < 5; k++) {
        assert_int_equal(
            rpu_tile_create(&t[k], engine, &p, 12, 13, 13, seed + (k == 4), places[k][0], places[k][1], NULL), RPU_OK);
        rpu_tile_get_devices(t[k], up[k], NULL, NULL, NULL);
        for (int l = 0; l < k; l++)
            assert_true(memcmp(up[k], up[l], sizeof up[k]) != 0);
    }
    for (int k = 0; k < 5; k++)
        rpu_tile_destroy(t[k]);
}

/* ---- weights ---- */

static void test_initial_weights(void **state) {
    struct rpu_tile_params p = plain();
    float *w = allocate(COUNT * sizeof *w);
    double *u = allocate(COUNT * sizeof *u), largest = 0.0, sum = 0.0;
    struct rpu_tile *t = make(&p, SIDE, SIDE);
    (void)state;
    rpu_tile_get_weights(t, w);
    for (size_t i = 0; i < COUNT; i++) {
        u[i] = ((double)w[i] * 16.0 + 1.0) / 2.0; /* fan-in 256 */
        largest = fabs((double)w[i]) > largest ? fabs((double)w[i]) : largest;
        sum += (double)w[i];
    }
    stats_sort(u, COUNT);
    likely("initial weights are uniform", stats_ks(u, COUNT));
    within("their mean", sum / sqrt((double)COUNT) * 16.0 * sqrt(3.0));
    assert_true(largest < 1.0 / 16.0 && largest > 0.9999 / 16.0);
    rpu_tile_destroy(t);
    test_free(w);
    test_free(u);
}

/* A fan-in of 1 asks for +-1, beyond most bounds: the weights are those of a perfect tile, clipped. */
static void test_initial_weights_clipped(void **state) {
    enum { M = 40, N = 50 };
    struct rpu_tile_params p;
    struct rpu_tile *analog, *perfect;
    float w[M * N], want[M * N], upper[M * N], lower[M * N];
    size_t clipped = 0;
    (void)state;
    rpu_tile_params_baseline(&p);
    assert_int_equal(rpu_tile_create(&analog, engine, &p, M, N, 1, seed, 1, 2, NULL), RPU_OK);
    p.device.kind = RPU_DEVICE_PERFECT;
    assert_int_equal(rpu_tile_create(&perfect, engine, &p, M, N, 1, seed, 1, 2, NULL), RPU_OK);
    rpu_tile_get_weights(analog, w);
    rpu_tile_get_weights(perfect, want);
    rpu_tile_get_devices(analog, NULL, NULL, upper, lower);
    for (size_t i = 0; i < M * N; i++) {
        clipped += want[i] > upper[i] || want[i] < -lower[i];
        assert_true(w[i] == fminf(fmaxf(want[i], -lower[i]), upper[i]));
    }
    assert_true(clipped > M * N / 4);
    assert_true(fabs(rpu_tile_at_bound(analog) - (double)clipped / (M * N)) < 1e-12);
    rpu_tile_get_devices(perfect, w, NULL, upper, lower);
    assert_true(w[7] == 0.0f && isinf(upper[7]) && isinf(lower[7]) && rpu_tile_at_bound(perfect) == 0.0);
    rpu_tile_destroy(analog);
    rpu_tile_destroy(perfect);
}

static void test_set_weights(void **state) {
    enum { M = 9, N = 11 };
    struct rpu_tile_params p;
    float w[M * N], got[M * N], upper[M * N], lower[M * N];
    (void)state;
    rpu_tile_params_baseline(&p);
    struct rpu_tile *t = make(&p, M, N);
    rpu_tile_get_devices(t, NULL, NULL, upper, lower);
    for (size_t i = 0; i < M * N; i++)
        w[i] = (float)(i % 3) * 5.0f - 5.0f; /* -5, 0, 5 */
    assert_int_equal(rpu_tile_set_weights(t, w), RPU_OK);
    rpu_tile_get_weights(t, got);
    for (size_t i = 0; i < M * N; i++)
        assert_true(got[i] == (i % 3 == 1 ? 0.0f : (i % 3 ? upper[i] : -lower[i])));
    assert_true(fabs(rpu_tile_at_bound(t) - 66.0 / 99.0) < 1e-12);
    rpu_tile_destroy(t);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_statistics),       cmocka_unit_test(test_spreads_alone),
        cmocka_unit_test(test_devices_of_places),       cmocka_unit_test(test_initial_weights),
        cmocka_unit_test(test_initial_weights_clipped), cmocka_unit_test(test_set_weights),
    };
    int failed;
    if (!begin(argc, argv, 20261123))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rpu_engine_destroy(engine);
    return failed;
}
