/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of several devices (multi-device mapping): how the spreads of a step fall with their number, the noise and
 * bounds of reads, and that no division of the work changes a bit.
 * usage: test_devices [SEED [TEST]]; false alarms about one seed in 1,000. */
#include <math.h>
#include <string.h>

#include "tile.h"
#include "tiles.h"

enum { M = 12, N = 20, WEIGHTS = M * N, MOST = 16 };

static const uint32_t numbers[] = {1, 2, 4, 8, 13, 16};
enum { NUMBERS = sizeof numbers / sizeof numbers[0] };

static const double dw = 0.001;

/* No spreads and no limits, n devices. */
static struct rpu_tile_params plain_devices(uint32_t n, int bl) {
    struct rpu_tile_params p = plain();
    p.devices = n;
    p.update = (struct rpu_update_params){bl, 0};
    return p;
}

static void fill(float *v, size_t n, float value) {
    for (size_t i = 0; i < n; i++)
        v[i] = value;
}

/* The changes of all weights by the update of one image from 0, with x and d the same everywhere. At most M x N. */
static void changes(struct rpu_tile *t, uint32_t image, float x, float d, float eta, float *w) {
    const struct rpu_block where = {image, 0, 1, 0};
    float xs[N], ds[M], zero[WEIGHTS] = {0};
    fill(xs, N, x);
    fill(ds, M, d);
    assert_int_equal(rpu_tile_set_weights(t, zero), RPU_OK);
    assert_int_equal(rpu_tile_update(t, &where, xs, N, ds, M, eta, NULL), RPU_OK);
    assert_int_equal(rpu_tile_get_weights(t, w), RPU_OK);
}

/* Deviation of a sample variance, in standard errors from the fourth moment of the sample. */
static double variance_z(const struct stats_moments *m, double want) {
    const double mean = m->s1 / m->n, v = m->s2 / m->n - mean * mean;
    const double fourth =
        m->s4 / m->n - 4.0 * mean * m->s3 / m->n + 6.0 * mean * mean * m->s2 / m->n - 3.0 * mean * mean * mean * mean;
    return (stats_variance(m) - want) / sqrt((fourth - v * v) / m->n);
}

static double mean_z(const struct stats_moments *m, double want) {
    return (stats_mean(m) - want) / sqrt(stats_variance(m) / m->n);
}

/* ---- the variance of a step, part by part ---- */

/* Every line fires in every slot (x = d = 1, eta = BL dw_min) and there is no noise: what spreads is the devices'
 * steps. Over weights of many arrays the variance is (s^2 + r^2) / n, s the spread of dw_min and r that of the
 * imbalance. */
static void test_device_part_falls(void **state) {
    enum { ARRAYS = 20 };
    (void)state;
    for (size_t k = 0; k < NUMBERS; k++) {
        struct rpu_tile_params p = plain_devices(numbers[k], 1);
        struct stats_moments m = {0};
        float w[WEIGHTS];
        p.device.dw_min_dtod = 0.2f;
        p.device.imbalance_dtod = 0.1f;
        for (uint32_t a = 0; a < ARRAYS; a++) {
            struct rpu_tile *t;
            assert_int_equal(rpu_tile_create(&t, engine, &p, M, N, N, seed, a, 0, NULL), RPU_OK);
            changes(t, 0, 1.0f, 1.0f, (float)dw, w);
            for (size_t i = 0; i < WEIGHTS; i++)
                stats_add(&m, (double)w[i] / dw);
            rpu_tile_destroy(t);
        }
        within("mean over devices", mean_z(&m, 1.0));
        within("device-to-device part", variance_z(&m, (0.2 * 0.2 + 0.1 * 0.1) / numbers[k]));
    }
}

/* Devices that are all alike, lines that all fire: what spreads is the noise of a coincidence, c^2 / n in each slot. */
static void test_cycle_part_falls(void **state) {
    enum { IMAGES = 40, BL = 3 };
    (void)state;
    for (size_t k = 0; k < NUMBERS; k++) {
        struct rpu_tile_params p = plain_devices(numbers[k], BL);
        struct stats_moments m = {0};
        float w[WEIGHTS];
        p.device.dw_min_ctoc = 0.3f;
        struct rpu_tile *t = make(&p, M, N);
        for (uint32_t image = 0; image < IMAGES; image++) {
            changes(t, image, 1.0f, -1.0f, (float)(BL * dw), w);
            for (size_t i = 0; i < WEIGHTS; i++)
                stats_add(&m, (double)w[i] / dw);
        }
        within("mean over cycles", mean_z(&m, -BL));
        within("cycle-to-cycle part", variance_z(&m, BL * 0.3 * 0.3 / numbers[k]));
        rpu_tile_destroy(t);
    }
}

/* Variance of BL slots in units of dw^2. In a slot the row fires with probability pd for all n devices, each column
 * line with px on its own, and a coincidence moves its device by 1 with the relative variance v. */
static double shared_rows(double bl, double n, double px, double pd, double v) {
    return bl * (pd * (px * (1.0 + v) / n + px * px * (n - 1.0) / n) - pd * pd * px * px);
}

/* The whole of it. Pulses of rows are shared, so that part of the variance stays: as n grows, BL pd (1 - pd) px^2. Were
 * each device's rows to fire on their own, all would fall as 1/n; the sample tells the two apart. */
static void test_total_variance(void **state) {
    enum { IMAGES = 1000, LINES = 8, BL = 4 };
    const double px = 0.7, pd = 0.4, s = 0.3, c = 0.3;
    (void)state;
    for (int spreads = 0; spreads < 2; spreads++)
        for (size_t k = 0; k < NUMBERS; k++) {
            struct rpu_tile_params p = plain_devices(numbers[k], BL);
            const double n = numbers[k];
            struct stats_moments m = {0};
            float w[WEIGHTS];
            p.device.dw_min_dtod = spreads ? (float)s : 0.0f;
            p.device.dw_min_ctoc = spreads ? (float)c : 0.0f;
            /* an array for each image, so that devices are drawn anew, and one weight a row and line: all independent
             */
            for (uint32_t image = 0; image < IMAGES; image++) {
                struct rpu_tile *t;
                assert_int_equal(rpu_tile_create(&t, engine, &p, LINES, LINES, LINES, seed, image, 0, NULL), RPU_OK);
                changes(t, 0, (float)px, (float)pd, (float)(BL * dw), w);
                for (size_t i = 0; i < LINES; i++)
                    stats_add(&m, (double)w[i * LINES + i] / dw);
                rpu_tile_destroy(t);
            }
            const double v = spreads ? c * c + s * s + c * c * s * s : 0.0;
            /* the same devices in all slots: their mean step, of variance s^2 / n, is common to them */
            const double common = spreads ? BL * (BL - 1.0) * pd * pd * px * px * s * s / n : 0.0;
            const double apart = BL * (pd * px * (1.0 + v) - pd * pd * px * px) / n + common;
            within("mean of the whole", mean_z(&m, BL * px * pd));
            within("variance of the whole", variance_z(&m, shared_rows(BL, n, px, pd, v) + common));
            if (n >= 4.0)
                assert_true(variance_z(&m, apart) > STATS_Z);
        }
}

/* The closed form for every weight of one array, with its devices' own steps s_k: in a slot the variance is
 * pd / n^2 (px (1 + c^2) sum s_k^2 + px^2 sum_{k != l} s_k s_l) - (pd px mean s)^2. */
static void test_every_weight(void **state) {
    enum { IMAGES = 12000, BL = 2, DEVICES = 5 };
    const double px = 0.6, pd = 0.5, c = 0.3;
    struct rpu_tile_params p = plain_devices(DEVICES, BL);
    struct stats_moments *m = allocate(WEIGHTS * sizeof *m), row = {0};
    float up[DEVICES * WEIGHTS], w[WEIGHTS];
    double mean[WEIGHTS];
    (void)state;
    p.device.dw_min_dtod = p.device.dw_min_ctoc = 0.3f;
    p.device.imbalance_dtod = 0.01f;
    struct rpu_tile *t = make(&p, M, N);
    assert_int_equal(rpu_tile_get_devices(t, up, NULL, NULL, NULL), RPU_OK);
    for (uint32_t image = 0; image < IMAGES; image++) {
        changes(t, image, (float)px, (float)pd, (float)(BL * dw), w);
        for (size_t i = 0; i < WEIGHTS; i++)
            stats_add(&m[i], (double)w[i] / dw);
        stats_add(&row, (double)w[0] * (double)w[1] / dw / dw);
    }
    for (size_t i = 0; i < WEIGHTS; i++) {
        double sum = 0.0, squares = 0.0;
        for (size_t k = 0; k < DEVICES; k++) {
            sum += (double)up[k * WEIGHTS + i] / dw;
            squares += (double)up[k * WEIGHTS + i] * (double)up[k * WEIGHTS + i] / dw / dw;
        }
        mean[i] = sum / DEVICES;
        const double slot = pd * (px * (1.0 + c * c) * squares + px * px * (sum * sum - squares)) / DEVICES / DEVICES -
                            pd * pd * px * px * mean[i] * mean[i];
        within("mean of a weight", mean_z(&m[i], BL * pd * px * mean[i]));
        within("variance of a weight", variance_z(&m[i], BL * slot));
    }
    within("two weights of a row", mean_z(&row, BL * mean[0] * mean[1] * px * px * pd * (1.0 + (BL - 1.0) * pd)));
    test_free(m);
    rpu_tile_destroy(t);
}

/* ---- devices ---- */

/* Initial weights are at most 1/8 here, so that few bounds are in their way: where none is, all devices have the same.
 */
static void check_start(const struct rpu_tile *t, const float *upper, const float *lower) {
    const size_t each = (size_t)t->m * t->n;
    size_t free_of_bounds = 0;
    for (size_t i = 0; i < each; i++) {
        const float *w = t->w + i / t->n * t->ldw + i % t->n;
        int bounded = upper[i] < 0.125f || lower[i] < 0.125f;
        for (uint32_t k = 1; k < t->devices; k++)
            bounded |= upper[k * each + i] < 0.125f || lower[k * each + i] < 0.125f;
        for (uint32_t k = 1; k < t->devices && !bounded; k++)
            assert_true(w[k * t->plane] == w[0]);
        free_of_bounds += !bounded;
    }
    assert_true(free_of_bounds > each * 9 / 10);
}

/* All begin alike; their steps and bounds have nothing to do with each other, and those of device 0 are what a weight
 * of one device has. */
static void test_drawn_apart(void **state) {
    enum { SIDE = 64, EACH = SIDE * SIDE, DEVICES = 3 };
    float *up[2], *upper = allocate(DEVICES * EACH * sizeof *upper), *lower = allocate(DEVICES * EACH * sizeof *lower);
    struct rpu_tile_params p;
    (void)state;
    rpu_tile_params_baseline(&p);
    for (uint32_t several = 0; several < 2; several++) {
        p.devices = several ? DEVICES : 1;
        struct rpu_tile *t = make(&p, SIDE, SIDE);
        assert_int_equal(rpu_tile_devices(t), p.devices);
        up[several] = allocate(DEVICES * EACH * sizeof **up);
        rpu_tile_get_devices(t, up[several], NULL, upper, lower);
        check_start(t, upper, lower);
        rpu_tile_destroy(t);
    }
    assert_memory_equal(up[0], up[1], EACH * sizeof **up);
    for (size_t k = 0; k < DEVICES; k++)
        for (size_t l = 0; l < k; l++) {
            struct stats_moments steps = {0}, bounds = {0};
            for (size_t i = 0; i < EACH; i++) {
                stats_add(&steps, ((double)up[1][k * EACH + i] - dw) * ((double)up[1][l * EACH + i] - dw));
                stats_add(&bounds, ((double)upper[k * EACH + i] - 0.6) * ((double)upper[l * EACH + i] - 0.6));
            }
            within("steps of two devices", mean_z(&steps, 0.0));
            within("bounds of two devices", mean_z(&bounds, 0.0));
        }
    test_free(up[0]);
    test_free(up[1]);
    test_free(upper);
    test_free(lower);
}

/* Each crosspoint ends at its own bound, the weight at the mean of these. */
static void test_bounds_apart(void **state) {
    enum { DEVICES = 4 };
    struct rpu_tile_params p;
    float upper[DEVICES * WEIGHTS], w[WEIGHTS], far[WEIGHTS];
    (void)state;
    rpu_tile_params_baseline(&p);
    p.devices = DEVICES;
    struct rpu_tile *t = make(&p, M, N);
    rpu_tile_get_devices(t, NULL, NULL, upper, NULL);
    fill(far, WEIGHTS, 100.0f);
    assert_int_equal(rpu_tile_set_weights(t, far), RPU_OK);
    rpu_tile_get_weights(t, w);
    for (size_t i = 0; i < WEIGHTS; i++) {
        const float sum = ((upper[i] + upper[WEIGHTS + i]) + upper[2 * WEIGHTS + i]) + upper[3 * WEIGHTS + i];
        assert_true(w[i] == sum * 0.25f);
    }
    assert_true(rpu_tile_at_bound(t) == 1.0);
    rpu_tile_destroy(t);
}

/* ---- reads ---- */

static double product(const float *w, int transposed, const float *in, size_t k) {
    double s = 0.0;
    for (size_t i = 0; i < (transposed ? M : N); i++)
        s += (double)w[transposed ? i * N + k : k * N + i] * (double)in[i];
    return s;
}

static void read_one(struct rpu_tile *t, int transposed, uint32_t image, const float *in, float *out,
                     struct rpu_read_counts *counts) {
    const struct rpu_block where = {image, 3, 1, 0};
    assert_int_equal(transposed ? rpu_tile_backward(t, &where, in, M, out, N, counts)
                                : rpu_tile_forward(t, &where, in, N, out, M, counts),
                     RPU_OK);
}

/* Forward the sum of n devices has the noise once: sigma / n is left of it. Backward each device has its own: sigma /
 * sqrt(n). With noise management both are scaled by the largest input. */
static void test_noise_of_reads(void **state) {
    enum { IMAGES = 600 };
    const double sigma = 0.06, most = 0.5;
    (void)state;
    for (int transposed = 0; transposed < 2; transposed++)
        for (int nm = 0; nm < 2; nm++)
            for (size_t k = 0; k < NUMBERS; k++) {
                struct rpu_tile_params p = plain_devices(numbers[k], 1);
                struct stats_moments m = {0};
                const size_t outs = transposed ? N : M;
                float in[N], out[N], w[WEIGHTS];
                struct rpu_periphery *read = transposed ? &p.backward : &p.forward;
                read->noise = (float)sigma;
                read->nm = nm ? RPU_NM_ABS_MAX : RPU_NM_NONE;
                struct rpu_tile *t = make(&p, M, N);
                double *u = allocate(IMAGES * outs * sizeof *u);
                const double n = numbers[k], spread = sigma * (nm ? most : 1.0) / (transposed ? sqrt(n) : n);
                for (size_t i = 0; i < N; i++)
                    in[i] = (float)most * (i == 2 ? -1.0f : (float)i / N);
                rpu_tile_get_weights(t, w);
                for (uint32_t image = 0; image < IMAGES; image++) {
                    read_one(t, transposed, image, in, out, NULL);
                    for (size_t o = 0; o < outs; o++) {
                        u[image * outs + o] = (double)out[o] - product(w, transposed, in, o);
                        stats_add(&m, u[image * outs + o]);
                    }
                }
                within("mean of a read", mean_z(&m, 0.0));
                within("noise of a read", variance_z(&m, spread * spread));
                stats_normalize(u, IMAGES * outs, 0.0, spread);
                likely("distribution of a read's noise", stats_ks(u, IMAGES * outs));
                test_free(u);
                rpu_tile_destroy(t);
            }
}

/* Devices of weights 0, bar one column (forward) or row (backward) that saturates when it is read whole. */
static void read_beyond(int transposed, int bm, float *out, struct rpu_read_counts *counts) {
    enum { DEVICES = 4 };
    struct rpu_tile_params p = plain_devices(DEVICES, 1);
    struct rpu_periphery *read = transposed ? &p.backward : &p.forward;
    float w[WEIGHTS] = {0}, in[N] = {0};
    read->bound = 12.0f;
    read->bm = bm ? RPU_BM_ITERATIVE : RPU_BM_NONE;
    w[0] = 5.0f;
    w[1] = 1.0f;
    struct rpu_tile *t = make(&p, M, N);
    rpu_tile_set_weights(t, w);
    if (transposed) /* output 0 of device 2 alone is beyond the bound: 20, the others 4 */
        for (uint32_t k = 0; k < DEVICES; k++)
            t->w[k * t->plane] = k == 2 ? 20.0f : 4.0f;
    in[0] = 1.0f;
    in[1] = transposed ? 0.0f : 0.5f;
    *counts = (struct rpu_read_counts){0, 0, 0};
    read_one(t, transposed, 0, in, out, counts);
    rpu_tile_destroy(t);
}

/* The bound is that of one read: forward of the sum, 4 (5 + 0.5), which comes back as 12 / 4; backward of each device.
 * Bound management repeats the read of all. */
static void test_bound_of_reads(void **state) {
    struct rpu_read_counts counts;
    float out[N];
    (void)state;
    read_beyond(0, 0, out, &counts);
    assert_true(out[0] == 3.0f && counts.saturated == 1 && counts.rereads == 0 && counts.columns == 1);
    read_beyond(0, 1, out, &counts);
    assert_true(out[0] == 5.5f && counts.saturated == 0 && counts.rereads == 1);
    read_beyond(1, 0, out, &counts);
    assert_true(out[0] == (4.0f + 4.0f + 12.0f + 4.0f) / 4.0f && out[1] == 1.0f && counts.saturated == 1);
    read_beyond(1, 1, out, &counts);
    assert_true(out[0] == 8.0f && out[1] == 1.0f && counts.saturated == 0 && counts.rereads == 1 &&
                counts.columns == 1);
}

/* Steps of the output converter are those of the sum: a quarter as large with four devices. */
static void test_converter_of_reads(void **state) {
    struct rpu_tile_params p = plain_devices(4, 1);
    float w[WEIGHTS] = {0.3f}, in[N] = {1.0f}, out[N];
    (void)state;
    p.forward.out_bits = p.backward.out_bits = 5;
    p.forward.bound = p.backward.bound = 15.0f; /* steps of 1 */
    struct rpu_tile *t = make(&p, M, N);
    rpu_tile_set_weights(t, w);
    read_one(t, 0, 0, in, out, NULL);
    assert_true(out[0] == 0.25f); /* 1.2 is read as 1 */
    read_one(t, 1, 0, in, out, NULL);
    assert_true(out[0] == 0.0f); /* four times 0.3 as 0 */
    rpu_tile_destroy(t);
}

/* ---- counts, divisions, variants ---- */

enum { BIG_M = 33, BIG_N = 70, COLUMNS = 24 };

struct work {
    float x[COLUMNS * BIG_N], d[COLUMNS * BIG_M];
    float y[COLUMNS * BIG_M], z[COLUMNS * BIG_N];
    float w[BIG_M * BIG_N];
    struct rpu_update_counts counts;
};

static struct work *make_work(void) {
    struct work *k = allocate(sizeof *k);
    uint64_t r = seed;
    for (size_t i = 0; i < COLUMNS * BIG_N; i++) {
        r = r * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        k->x[i] = (float)(int32_t)(r >> 40) * 0x1p-23f - 1.0f;
        if (i < COLUMNS * BIG_M)
            k->d[i] = i % 3 ? 0.0f : 0.4f * k->x[i];
    }
    return k;
}

static struct rpu_tile_params lively(uint32_t devices) {
    struct rpu_tile_params p;
    rpu_tile_params_baseline(&p);
    p.devices = devices;
    p.forward.bm = p.backward.bm = RPU_BM_ITERATIVE;
    p.backward.nm = RPU_NM_ABS_MAX;
    p.forward.bound = 4.0f; /* often reached */
    p.backward.bound = 0.5f;
    p.update = (struct rpu_update_params){3, 1};
    return p;
}

/* Update, forward, backward; in blocks of `step` columns. */
static void cycles(const struct rpu_engine *e, uint32_t devices, uint32_t step, struct work *k) {
    const struct rpu_tile_params p = lively(devices);
    struct rpu_tile *t;
    assert_int_equal(rpu_tile_create(&t, e, &p, BIG_M, BIG_N, BIG_N, seed, 5, 1, NULL), RPU_OK);
    memset(&k->counts, 0, sizeof k->counts);
    for (uint32_t c = 0; c < COLUMNS; c += step) {
        const struct rpu_block where = {7, c, step, 0};
        rpu_tile_update(t, &where, k->x + c * BIG_N, BIG_N, k->d + c * BIG_M, BIG_M, 0.01f, &k->counts);
    }
    for (uint32_t c = 0; c < COLUMNS; c += step) {
        const struct rpu_block where = {7, c, step, 0};
        rpu_tile_forward(t, &where, k->x + c * BIG_N, BIG_N, k->y + c * BIG_M, BIG_M, NULL);
        rpu_tile_backward(t, &where, k->d + c * BIG_M, BIG_M, k->z + c * BIG_N, BIG_N, NULL);
    }
    rpu_tile_get_weights(t, k->w);
    rpu_tile_destroy(t);
}

/* Every variant and every division into blocks gives the same bits. */
static void test_same_bits(void **state) {
    static const uint32_t steps[] = {24, 8, 3, 1};
    struct work *want = make_work(), *got = make_work();
    (void)state;
    cycles(engine, 6, COLUMNS, want);
    assert_true(want->counts.coincidences > 1000);
    for (size_t v = 0; rpu_isa_name(v); v++) {
        struct rpu_engine *e;
        assert_int_equal(rpu_engine_create(&e, rpu_isa_name(v), 1, NULL), RPU_OK);
        for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
            cycles(e, 6, steps[s], got);
            assert_memory_equal(want->y, got->y, sizeof want->y);
            assert_memory_equal(want->z, got->z, sizeof want->z);
            assert_memory_equal(want->w, got->w, sizeof want->w);
            assert_memory_equal(&want->counts, &got->counts, sizeof want->counts);
        }
        rpu_engine_destroy(e);
    }
    test_free(want);
    test_free(got);
}

/* Pulses of rows are sent once for all devices; on the other side there is as much as there are devices. */
static void test_counts(void **state) {
    struct work *one = make_work(), *many = make_work();
    (void)state;
    cycles(engine, 1, COLUMNS, one);
    cycles(engine, 16, COLUMNS, many);
    assert_int_equal(one->counts.row_pulses, many->counts.row_pulses);
    const double n = (double)one->counts.column_pulses, ratio = (double)many->counts.column_pulses / n;
    assert_true(ratio > 15.0 && ratio < 17.0 && many->counts.coincidences > 14 * one->counts.coincidences);
    test_free(one);
    test_free(many);
}

static void test_refused(void **state) {
    struct rpu_tile_params p;
    struct rpu_tile *t;
    struct rpu_error err;
    (void)state;
    rpu_tile_params_baseline(&p);
    for (uint32_t n = 0; n <= 17; n += 17) {
        p.devices = n;
        assert_int_equal(rpu_tile_params_check(&p, &err), RPU_ERR_RANGE);
        assert_non_null(strstr(err.message, "devices"));
    }
    p.devices = 13;
    p.max_cols = 12;
    assert_int_equal(rpu_tile_params_check(&p, &err), RPU_ERR_RANGE);
    assert_non_null(strstr(err.message, "13 devices"));
    p.max_cols = 0;
    assert_int_equal(rpu_tile_create(&t, engine, &p, 1, 1u << 17, 1, seed, 0, 0, &err), RPU_ERR_SHAPE);
    p.device.kind = RPU_DEVICE_PERFECT; /* has one device, whatever is said */
    assert_int_equal(rpu_tile_create(&t, engine, &p, M, N, N, seed, 0, 0, &err), RPU_OK);
    assert_int_equal(rpu_tile_devices(t), 1);
    rpu_tile_destroy(t);
    assert_int_equal(rpu_tile_devices(NULL), 0);
}

int main(int argc, char **argv) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_part_falls),
        cmocka_unit_test(test_cycle_part_falls),
        cmocka_unit_test(test_total_variance),
        cmocka_unit_test(test_every_weight),
        cmocka_unit_test(test_drawn_apart),
        cmocka_unit_test(test_bounds_apart),
        cmocka_unit_test(test_noise_of_reads),
        cmocka_unit_test(test_bound_of_reads),
        cmocka_unit_test(test_converter_of_reads),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_refused),
    };
    if (!begin(argc, argv, 20170605))
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rpu_engine_destroy(engine);
    return failed;
}
