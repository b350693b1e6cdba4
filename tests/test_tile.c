/* SPDX-License-Identifier: Apache-2.0 */
/* The reads of one array, with converters, noise, bound, noise and bound management, against closed forms; and what an
 * array refuses. usage: test_tile [SEED [TEST]]; false alarms less than one seed in 20,000. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "tiles.h"

/* One of the two cycles that read; most tests run with both. */
struct cycle {
    int transposed;
};
static const struct cycle cycles[2] = {{0}, {1}};

static struct rpu_periphery *periphery(struct rpu_tile_params *p, const struct cycle *c) {
    return c->transposed ? &p->backward : &p->forward;
}

static void read_block(const struct cycle *c, struct rpu_tile *t, const struct rpu_block *where, const float *in,
                       size_t ldin, float *out, size_t ldout, struct rpu_read_counts *counts) {
    const enum rpu_status s = c->transposed ? rpu_tile_backward(t, where, in, ldin, out, ldout, counts)
                                            : rpu_tile_forward(t, where, in, ldin, out, ldout, counts);
    assert_int_equal(s, RPU_OK);
}

static void read_one(const struct cycle *c, struct rpu_tile *t, uint32_t image, const float *in, size_t n, float *out,
                     struct rpu_read_counts *counts) {
    const struct rpu_block where = {image, 0, 1, 0};
    read_block(c, t, &where, in, n, out, n, counts);
}

/* A square tile with `diagonal` on its diagonal and nothing else: outputs are inputs times that, in both cycles. */
static struct rpu_tile *diagonal_tile(const struct rpu_tile_params *p, uint32_t n, float diagonal) {
    struct rpu_tile *t = make(p, n, n);
    float *w = allocate((size_t)n * n * sizeof *w);
    for (uint32_t i = 0; i < n; i++)
        w[(size_t)i * n + i] = diagonal;
    assert_int_equal(rpu_tile_set_weights(t, w), RPU_OK);
    test_free(w);
    return t;
}

/* ---- products and noise ---- */

enum { M = 16, N = 26 };

static void random_numbers(uint64_t *state, float *v, size_t n, float scale) {
    for (size_t i = 0; i < n; i++) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        v[i] = scale * ((float)(int32_t)(*state >> 40) * 0x1p-23f - 1.0f);
    }
}

static double product(const float *w, const struct cycle *c, const float *in, size_t k) {
    double s = 0.0;
    for (size_t i = 0; i < (c->transposed ? M : N); i++)
        s += (double)w[c->transposed ? i * N + k : k * N + i] * (double)in[i];
    return s;
}

/* Reads of many images: the mean is the product, what is left is normal with the given spread. */
static void check_noise(const struct cycle *c, const struct rpu_tile_params *p, float scale, double sigma) {
    enum { IMAGES = 4000 };
    const size_t outs = c->transposed ? N : M;
    uint64_t r = seed;
    float w[M * N], in[N], out[N];
    double *u = allocate(IMAGES * outs * sizeof *u);
    struct rpu_tile *t = make(p, M, N);
    struct stats_moments m = {0};
    rpu_tile_get_weights(t, w);
    random_numbers(&r, in, N, scale);
    for (uint32_t image = 0; image < IMAGES; image++) {
        const struct rpu_block where = {image, image % 50, 1, 0};
        read_block(c, t, &where, in, N, out, N, NULL);
        for (size_t k = 0; k < outs; k++) {
            u[image * outs + k] = (double)out[k] - product(w, c, in, k);
            stats_add(&m, u[image * outs + k]);
        }
    }
    within("mean of the noise", stats_mean(&m) / sigma * sqrt(m.n));
    within("spread of the noise", (stats_variance(&m) / (sigma * sigma) - 1.0) * sqrt(m.n / 2.0));
    stats_normalize(u, (size_t)m.n, 0.0, sigma);
    likely("noise", stats_ks(u, (size_t)m.n));
    test_free(u);
    rpu_tile_destroy(t);
}

static void test_noise(void **state) {
    (void)state;
    for (int c = 0; c < 2; c++) {
        struct rpu_tile_params p = plain();
        periphery(&p, &cycles[c])->noise = 0.06f;
        check_noise(&cycles[c], &p, 1.0f, 0.06f);
    }
}

/* With noise management inputs of any size are read in full range, and the noise scales with their maximum. */
static void test_noise_managed(void **state) {
    uint64_t r = seed;
    float in[N];
    (void)state;
    random_numbers(&r, in, N, 1.0f);
    for (int c = 0; c < 2; c++) {
        struct rpu_tile_params p = plain();
        double peak = 0.0;
        for (size_t i = 0; i < (c ? M : N); i++)
            peak = fabs((double)in[i]) > peak ? fabs((double)in[i]) : peak;
        periphery(&p, &cycles[c])->noise = 0.06f;
        periphery(&p, &cycles[c])->nm = RPU_NM_ABS_MAX;
        check_noise(&cycles[c], &p, 40.0f, 40.0 * peak * 0.06);
        check_noise(&cycles[c], &p, 0.001f, 0.001 * peak * 0.06);
    }
}

static void test_product_exact(void **state) {
    uint64_t r = seed;
    float w[M * N], in[N], out[N];
    (void)state;
    for (int perfect = 0; perfect < 2; perfect++)
        for (int c = 0; c < 2; c++) {
            struct rpu_tile_params p = plain();
            p.device.kind = perfect ? RPU_DEVICE_PERFECT : RPU_DEVICE_CONSTANT_STEP;
            struct rpu_tile *t = make(&p, M, N);
            rpu_tile_get_weights(t, w);
            random_numbers(&r, in, N, perfect ? 7.0f : 1.0f); /* a perfect tile does not clip its inputs */
            read_one(&cycles[c], t, 1, in, N, out, NULL);
            for (size_t k = 0; k < (size_t)(c ? N : M); k++)
                assert_true(fabs((double)out[k] - product(w, &cycles[c], in, k)) < 2e-6);
            rpu_tile_destroy(t);
        }
}

/* Every coordinate of a read's place has noise of its own, and the same place has the same noise. */
static void test_noise_places(void **state) {
    const struct rpu_block places[] = {{7, 3, 1, 0}, {8, 3, 1, 0}, {7, 4, 1, 0}, {7, 3, 1, 1}, {7, 3, 1, 0}};
    struct rpu_tile_params p = plain();
    float in[N] = {0}, out[6][N];
    (void)state;
    p.forward.noise = p.backward.noise = 0.06f;
    struct rpu_tile *t = make(&p, N, N);
    for (int k = 0; k < 5; k++)
        read_block(&cycles[0], t, &places[k], in, N, out[k], N, NULL);
    read_block(&cycles[1], t, &places[0], in, N, out[5], N, NULL);
    assert_memory_equal(out[0], out[4], sizeof out[0]);
    for (int k = 1; k < 6; k++)
        for (int l = 0; l < k && k != 4; l++)
            for (int j = 0; j < N; j++)
                assert_true(l == 4 || out[k][j] != out[l][j]);
    rpu_tile_destroy(t);
}

/* ---- converters and bound ---- */

/* Round half to even in steps, clipped to the range, in double. */
static double quantize(double v, double range, int bits) {
    const double step = 2.0 * range / (ldexp(1.0, bits) - 2.0);
    const double q = bits == 0 ? v : nearbyint(v / step) * step;
    return fmin(fmax(q, -range), range);
}

/* Near a tie the two evaluations may differ by a step. */
static int near_tie(double v, double range, int bits) {
    const double x = v / (2.0 * range / (ldexp(1.0, bits) - 2.0));
    return bits > 0 && fabs(x - floor(x) - 0.5) < 1e-6 * (1.0 + fabs(x));
}

/* Points are read in several columns, so that the tile need not be large. */
enum { LINES = 24, POINT_COLUMNS = 25, POINTS = LINES * POINT_COLUMNS };

static void read_points(const struct cycle *c, struct rpu_tile *t, const float *in, float *out,
                        struct rpu_read_counts *counts) {
    read_block(c, t, &(struct rpu_block){0, 0, POINT_COLUMNS, 0}, in, LINES, out, LINES, counts);
}

static void ramp(float *in, double from, double to) {
    for (int i = 0; i < POINTS; i++)
        in[i] = (float)(from + (to - from) * i / (POINTS - 1));
}

/* Distinct values of a sorted run. */
static size_t levels(const float *v) {
    size_t n = 1;
    for (int i = 1; i < POINTS; i++)
        n += v[i] != v[i - 1];
    return n;
}

static void test_dac(void **state) {
    float in[POINTS], out[POINTS];
    (void)state;
    ramp(in, -1.2, 1.2);
    for (int c = 0; c < 2; c++)
        for (int bits = 0; bits <= 16; bits += bits ? 1 : 2) {
            struct rpu_tile_params p = plain();
            periphery(&p, &cycles[c])->in_bits = bits;
            struct rpu_tile *t = diagonal_tile(&p, LINES, 1.0f);
            read_points(&cycles[c], t, in, out, NULL);
            for (int i = 0; i < POINTS; i++) {
                if (bits == 0) /* off: clipped, not rounded */
                    assert_true(out[i] == fminf(fmaxf(in[i], -1.0f), 1.0f));
                else if (!near_tie((double)in[i], 1.0, bits))
                    assert_true(fabs((double)out[i] - quantize((double)in[i], 1.0, bits)) < 2e-7);
            }
            if (bits > 0 && bits <= 7)
                assert_int_equal(levels(out), (1 << bits) - 1);
            assert_true(out[0] == -1.0f && out[POINTS - 1] == 1.0f);
            rpu_tile_destroy(t);
        }
}

/* Ties that floats hit exactly: with 2 bits at 0.5, to the even side. */
static void test_dac_ties(void **state) {
    const float in[6] = {0.5f, -0.5f, 0x1.000002p-1f, -0x1.000002p-1f, 0x1.fffffep-2f, 0.0f};
    const float want[6] = {0.0f, 0.0f, 1.0f, -1.0f, 0.0f, 0.0f};
    float out[6];
    struct rpu_tile_params p = plain();
    (void)state;
    p.forward.in_bits = 2;
    struct rpu_tile *t = diagonal_tile(&p, 6, 1.0f);
    read_one(&cycles[0], t, 0, in, 6, out, NULL);
    for (int i = 0; i < 6; i++)
        assert_true(out[i] == want[i]);
    rpu_tile_destroy(t);
}

static void test_adc_and_bound(void **state) {
    static const float bounds[] = {12.0f, 0.6f, 7.3f};
    float in[POINTS], out[POINTS];
    (void)state;
    ramp(in, -1.0, 1.0);
    for (int c = 0; c < 2; c++)
        for (size_t b = 0; b < 3; b++)
            for (int bits = 0; bits <= 16; bits += bits ? 1 : 2) {
                struct rpu_tile_params p = plain();
                struct rpu_read_counts counts = {0, 0, 0};
                uint64_t beyond = 0;
                periphery(&p, &cycles[c])->out_bits = bits;
                periphery(&p, &cycles[c])->bound = bounds[b];
                struct rpu_tile *t = diagonal_tile(&p, LINES, 16.0f);
                read_points(&cycles[c], t, in, out, &counts);
                for (int i = 0; i < POINTS; i++) {
                    const float v = 16.0f * in[i];
                    beyond += fabsf(v) >= bounds[b];
                    assert_true(fabsf(out[i]) <= bounds[b]);
                    if (bits == 0)
                        assert_true(out[i] == fminf(fmaxf(v, -bounds[b]), bounds[b]));
                    else if (!near_tie((double)v, (double)bounds[b], bits))
                        assert_true(fabs((double)out[i] - quantize((double)v, (double)bounds[b], bits)) < 3e-6);
                }
                if (bits > 0 && bits <= 6 && bounds[b] > 1.0f) /* enough points to meet every level */
                    assert_int_equal(levels(out), (1 << bits) - 1);
                assert_int_equal(counts.saturated, beyond);
                assert_int_equal(counts.columns, POINT_COLUMNS);
                assert_int_equal(counts.rereads, 0);
                rpu_tile_destroy(t);
            }
}

/* ---- noise management ---- */

static void test_zero_column(void **state) {
    enum { OUTS = 2000 };
    const float in[OUTS] = {0}, plus_zero[OUTS] = {0};
    const float denormal[OUTS] = {FLT_MIN / 1024.0f, -FLT_MIN / 2.0f}, smallest[OUTS] = {0.0f, FLT_MIN};
    float out[OUTS];
    (void)state;
    for (int c = 0; c < 2; c++) {
        struct rpu_tile_params p;
        struct stats_moments m = {0};
        rpu_tile_params_baseline(&p);
        p.forward.bm = p.backward.bm = RPU_BM_ITERATIVE;
        periphery(&p, &cycles[c])->out_bits = 0;
        struct rpu_tile *t = make(&p, c ? 2 : OUTS, c ? OUTS : 2);
        read_one(&cycles[c], t, 5, in, OUTS, out, NULL);
        for (int i = 0; i < OUTS; i++)
            stats_add(&m, (double)out[i]);
        within("a zero column's noise, mean", stats_mean(&m) / 0.06 * sqrt(m.n));
        within("a zero column's noise, spread", (stats_variance(&m) / 0.0036 - 1.0) * sqrt(m.n / 2.0));
        rpu_tile_destroy(t);
        periphery(&p, &cycles[c])->nm = RPU_NM_ABS_MAX;
        t = make(&p, c ? 2 : OUTS, c ? OUTS : 2);
        read_one(&cycles[c], t, 5, in, OUTS, out, NULL);
        assert_memory_equal(out, plus_zero, sizeof out);
        /* what has no reciprocal is as good as zero; the smallest that has one is read */
        read_one(&cycles[c], t, 5, denormal, OUTS, out, NULL);
        assert_memory_equal(out, plus_zero, sizeof out);
        read_one(&cycles[c], t, 5, smallest, OUTS, out, NULL);
        for (int i = 0; i < OUTS; i++)
            assert_true(isfinite(out[i]) && fabsf(out[i]) < 12.0f * FLT_MIN);
        assert_memory_not_equal(out, plus_zero, sizeof out);
        rpu_tile_destroy(t);
    }
}

/* Each column is divided by its own maximum, converted, and multiplied back. */
static void test_noise_management_exact(void **state) {
    enum { SIZE = 40, COLUMNS = 5 };
    static const float scales[COLUMNS] = {1.0f, 100.0f, 1e-6f, 0.0f, 3.0f};
    float in[COLUMNS * SIZE], out[COLUMNS * SIZE];
    uint64_t r = seed;
    (void)state;
    for (int c = 0; c < 2; c++)
        for (int bits = 0; bits <= 7; bits += 7) {
            const struct rpu_block where = {0, 0, COLUMNS, 0};
            struct rpu_tile_params p = plain();
            periphery(&p, &cycles[c])->nm = RPU_NM_ABS_MAX;
            periphery(&p, &cycles[c])->in_bits = bits;
            struct rpu_tile *t = diagonal_tile(&p, SIZE, 1.0f);
            for (int k = 0; k < COLUMNS; k++)
                random_numbers(&r, in + k * SIZE, SIZE, scales[k]);
            read_block(&cycles[c], t, &where, in, SIZE, out, SIZE, NULL);
            for (int k = 0; k < COLUMNS; k++) {
                double peak = 0.0;
                for (int i = 0; i < SIZE; i++)
                    peak = fabs((double)in[k * SIZE + i]) > peak ? fabs((double)in[k * SIZE + i]) : peak;
                for (int i = 0; i < SIZE; i++) {
                    const double v = peak > 0.0 ? (double)in[k * SIZE + i] / peak : 0.0;
                    if (!near_tie(v, 1.0, bits))
                        assert_true(fabs((double)out[k * SIZE + i] - peak * quantize(v, 1.0, bits)) <= 3e-7 * peak);
                }
            }
            rpu_tile_destroy(t);
        }
}

/* ---- bound management ---- */

struct bm_case {
    float weight, in;
    int32_t limit;
    uint64_t rereads, saturated;
    float out;
};

/* Bound 12, no noise: a value v is halved until it is below 12 (12 itself saturates), at most `limit` times. */
static void test_bound_management(void **state) {
    static const struct bm_case list[] = {
        {11.0f, 1.0f, 5, 0, 0, 11.0f},     {12.0f, 1.0f, 5, 1, 0, 12.0f},   {100.0f, 1.0f, 5, 4, 0, 100.0f},
        {100.0f, -1.0f, 5, 4, 0, -100.0f}, {100.0f, 1.0f, 2, 2, 1, 48.0f},  {100.0f, 1.0f, 3, 3, 1, 96.0f},
        {100.0f, 1.0f, 0, 0, 1, 12.0f},    {900.0f, 1.0f, 5, 5, 1, 384.0f}, {900.0f, 1.0f, 30, 7, 0, 900.0f},
        {100.0f, 0.5f, 5, 3, 0, 50.0f},    {24.0f, 1.0f, 5, 2, 0, 24.0f},   {100.0f, 2.0f, 5, 4, 1, 192.0f}};
    (void)state;
    for (int c = 0; c < 2; c++)
        for (size_t k = 0; k < sizeof list / sizeof list[0]; k++) {
            struct rpu_tile_params p = plain();
            struct rpu_read_counts counts = {0, 0, 0};
            const float in[3] = {list[k].in, 0.0f, 0.0f};
            float out[3];
            periphery(&p, &cycles[c])->bound = 12.0f;
            periphery(&p, &cycles[c])->bm = RPU_BM_ITERATIVE;
            periphery(&p, &cycles[c])->bm_limit = list[k].limit;
            struct rpu_tile *t = diagonal_tile(&p, 3, list[k].weight);
            read_one(&cycles[c], t, 0, in, 3, out, &counts);
            if (list[k].in == 2.0f) { /* halved before the input range clips: 2 becomes 1 at the first reread */
                assert_int_equal(counts.rereads, 5);
                assert_true(out[0] == 200.0f && counts.saturated == 0);
            } else {
                assert_int_equal(counts.rereads, list[k].rereads);
                assert_int_equal(counts.saturated, list[k].saturated);
                assert_true(out[0] == list[k].out && out[1] == 0.0f && out[2] == 0.0f);
            }
            rpu_tile_destroy(t);
        }
}

/* Only the columns that saturate are read again; the others keep their bits. */
static void test_bound_management_per_column(void **state) {
    enum { COLUMNS = 4 };
    const struct rpu_block where = {3, 10, COLUMNS, 0};
    const float in[COLUMNS * 2] = {0.05f, 0.0f, 1.0f, 0.0f, 0.02f, 0.01f, 0.5f, 0.0f};
    float managed[COLUMNS * 2], alone[COLUMNS * 2];
    (void)state;
    for (int c = 0; c < 2; c++) {
        struct rpu_tile_params p = plain();
        struct rpu_read_counts counts = {0, 0, 0};
        periphery(&p, &cycles[c])->bound = 12.0f;
        periphery(&p, &cycles[c])->noise = 0.06f;
        struct rpu_tile *t = diagonal_tile(&p, 2, 100.0f);
        read_block(&cycles[c], t, &where, in, 2, alone, 2, &counts);
        assert_int_equal(counts.saturated, 2);
        rpu_tile_destroy(t);
        periphery(&p, &cycles[c])->bm = RPU_BM_ITERATIVE;
        counts = (struct rpu_read_counts){0, 0, 0};
        t = diagonal_tile(&p, 2, 100.0f);
        read_block(&cycles[c], t, &where, in, 2, managed, 2, &counts);
        assert_int_equal(counts.columns, COLUMNS);
        assert_int_equal(counts.rereads, 4 + 3);
        assert_int_equal(counts.saturated, 0);
        assert_memory_equal(managed, alone, 2 * sizeof *managed);
        assert_memory_equal(managed + 4, alone + 4, 2 * sizeof *managed);
        assert_true(fabsf(managed[2] - 100.0f) < 6.0f && fabsf(managed[6] - 50.0f) < 3.0f);
        rpu_tile_destroy(t);
    }
}

/* A column read n times again carries fresh noise of 2^n times the spread; with noise management times the maximum. */
static void test_bound_management_noise(void **state) {
    enum { IMAGES = 20000 };
    (void)state;
    for (int nm = 0; nm < 2; nm++)
        for (int c = 0; c < 2; c++) {
            struct rpu_tile_params p = plain();
            struct rpu_read_counts counts = {0, 0, 0};
            struct stats_moments m = {0}, first = {0};
            double both = 0.0;
            const float in[2] = {nm ? 3.0f : 1.0f, 0.0f};
            float out[2];
            periphery(&p, &cycles[c])->bound = 12.0f;
            periphery(&p, &cycles[c])->noise = 0.06f;
            periphery(&p, &cycles[c])->nm = nm ? RPU_NM_ABS_MAX : RPU_NM_NONE;
            struct rpu_tile *once = diagonal_tile(&p, 2, 80.0f);
            periphery(&p, &cycles[c])->bm = RPU_BM_ITERATIVE;
            struct rpu_tile *t = diagonal_tile(&p, 2, 80.0f);
            for (uint32_t i = 0; i < IMAGES; i++) {
                read_one(&cycles[c], once, i, in, 2, out, NULL);
                const double before = (double)out[1];
                read_one(&cycles[c], t, i, in, 2, out, &counts);
                stats_add(&m, (double)out[1]);
                stats_add(&first, before);
                both += before * (double)out[1];
            }
            const double sigma = 8.0 * 0.06 * (nm ? 3.0 : 1.0), own = 0.06 * (nm ? 3.0 : 1.0);
            assert_int_equal(counts.rereads, 3 * IMAGES);
            within("spread after three rereads", (stats_variance(&m) / (sigma * sigma) - 1.0) * sqrt(m.n / 2.0));
            within("spread of a first read", (stats_variance(&first) / (own * own) - 1.0) * sqrt(m.n / 2.0));
            within("first and last read", both / (sigma * own) / sqrt(m.n));
            rpu_tile_destroy(once);
            rpu_tile_destroy(t);
        }
}

/* Halved inputs pass the converter again: coarse bits show which value was converted. */
static void test_bound_management_converts_again(void **state) {
    const float in[2] = {1.0f, 0.3f};
    float out[2];
    (void)state;
    for (int c = 0; c < 2; c++) {
        struct rpu_tile_params p = plain();
        periphery(&p, &cycles[c])->in_bits = 4; /* steps of 1/7 */
        periphery(&p, &cycles[c])->bound = 12.0f;
        periphery(&p, &cycles[c])->bm = RPU_BM_ITERATIVE;
        struct rpu_tile *t = diagonal_tile(&p, 2, 20.0f);
        read_one(&cycles[c], t, 0, in, 2, out, NULL);
        /* 0.5 * 7 = 3.5 rounds to 4: 20 * 4/7 = 11.43 passes; 0.15 * 7 = 1.05 rounds to 1 */
        assert_true(fabs((double)out[0] - 2.0 * 20.0 * 4.0 / 7.0) < 1e-5);
        assert_true(fabs((double)out[1] - 2.0 * 20.0 / 7.0) < 1e-5);
        rpu_tile_destroy(t);
    }
}

/* ---- blocks ---- */

enum { BM = 32, BN = 70, COLUMNS = 190, LD = 75 };

static struct rpu_tile_params managed(void) {
    struct rpu_tile_params p;
    rpu_tile_params_baseline(&p);
    p.forward.nm = p.backward.nm = RPU_NM_ABS_MAX;
    p.forward.bm = p.backward.bm = RPU_BM_ITERATIVE;
    p.forward.bound = p.backward.bound = 0.5f; /* so that many columns saturate */
    return p;
}

static void cut_read(const struct cycle *c, struct rpu_tile *t, size_t ld, const float *in, float *out, uint32_t from,
                     uint32_t count, struct rpu_read_counts *counts) {
    const struct rpu_block where = {77, 5 + from, count, 0};
    if (count > 0)
        read_block(c, t, &where, in + from * ld, ld, out + from * ld, ld, counts);
}

/* Cut in two at every place, and into single columns, a block gives the same bits and counts. */
static void check_blocks(const struct rpu_tile_params *p, uint32_t m, uint32_t n, uint32_t columns) {
    const size_t ld = (m > n ? m : n) + 5, bytes = columns * ld * sizeof(float);
    float *in = allocate(bytes), *whole = allocate(bytes), *parts = allocate(bytes);
    uint64_t r = seed;
    random_numbers(&r, in, columns * ld, 1.0f);
    memset(in + 20 * ld, 0, ld * sizeof *in);
    for (int c = 0; c < 2; c++) {
        struct rpu_tile *t = make(p, m, n);
        struct rpu_read_counts all = {0, 0, 0};
        cut_read(&cycles[c], t, ld, in, whole, 0, columns, &all);
        assert_true(all.rereads > 20 && all.columns == columns);
        for (uint32_t cut = 0; cut <= columns; cut++) {
            struct rpu_read_counts sum = {0, 0, 0};
            memset(parts, 0, bytes);
            cut_read(&cycles[c], t, ld, in, parts, cut, columns - cut, &sum);
            cut_read(&cycles[c], t, ld, in, parts, 0, cut, &sum);
            assert_memory_equal(whole, parts, bytes);
            assert_memory_equal(&all, &sum, sizeof all);
        }
        memset(parts, 0, bytes);
        for (uint32_t k = columns; k-- > 0;)
            cut_read(&cycles[c], t, ld, in, parts, k, 1, NULL);
        assert_memory_equal(whole, parts, bytes);
        memset(whole, 0, bytes);
        rpu_tile_destroy(t);
    }
    test_free(in);
    test_free(whole);
    test_free(parts);
}

/* Few of the columns of a wide array are read at a time. */
static void test_blocks(void **state) {
    struct rpu_tile_params p = managed();
    (void)state;
    check_blocks(&p, BM, BN, COLUMNS);
    p.backward.bound = 0.2f; /* a bound that noise meets: the outputs are many, and small */
    check_blocks(&p, 6, 5000, 58);
}

/* Engines with every variant: devices, weights and reads have the same bits. */
static void test_variants(void **state) {
    const struct rpu_tile_params p = managed();
    const size_t bytes = COLUMNS * LD * sizeof(float);
    float *in = allocate(bytes), *out[2] = {allocate(2 * bytes), allocate(2 * bytes)};
    float *dev[2] = {allocate(5 * BM * BN * sizeof(float)), allocate(5 * BM * BN * sizeof(float))};
    uint64_t r = seed;
    (void)state;
    random_numbers(&r, in, COLUMNS * LD, 1.0f);
    for (size_t i = 0; i < (size_t)rpu_isa_count(); i++) {
        const int to = i > 0;
        struct rpu_engine *e;
        struct rpu_tile *t;
        assert_int_equal(rpu_engine_create(&e, rpu_isa_name(i), 1, NULL), RPU_OK);
        assert_int_equal(rpu_tile_create(&t, e, &p, BM, BN, BN, seed, 0, 0, NULL), RPU_OK);
        rpu_tile_get_devices(t, dev[to], dev[to] + BM * BN, dev[to] + 2 * BM * BN, dev[to] + 3 * BM * BN);
        rpu_tile_get_weights(t, dev[to] + 4 * BM * BN);
        for (int c = 0; c < 2; c++)
            cut_read(&cycles[c], t, LD, in, out[to] + c * COLUMNS * LD, 0, COLUMNS, NULL);
        if (to) {
            assert_memory_equal(out[0], out[1], 2 * bytes);
            assert_memory_equal(dev[0], dev[1], 5 * BM * BN * sizeof(float));
        }
        rpu_tile_destroy(t);
        rpu_engine_destroy(e);
    }
    test_free(in);
    for (int k = 0; k < 2; k++) {
        test_free(out[k]);
        test_free(dev[k]);
    }
}

/* ---- errors ---- */

static void test_errors_of_create(void **state) {
    struct rpu_tile_params p;
    struct rpu_tile *t;
    struct rpu_error err;
    (void)state;
    rpu_tile_params_baseline(&p);
    assert_int_equal(rpu_tile_create(NULL, engine, &p, 1, 1, 1, 0, 0, 0, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_create(&t, NULL, &p, 1, 1, 1, 0, 0, 0, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_create(&t, engine, NULL, 1, 1, 1, 0, 0, 0, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_create(&t, engine, &p, 0, 1, 1, 0, 0, 0, &err), RPU_ERR_SHAPE);
    assert_int_equal(rpu_tile_create(&t, engine, &p, 1, 0, 1, 0, 0, 0, &err), RPU_ERR_SHAPE);
    assert_int_equal(rpu_tile_create(&t, engine, &p, UINT32_MAX, UINT32_MAX, 1, 0, 0, 0, &err), RPU_ERR_SHAPE);
    assert_non_null(strstr(err.message, "4294967295 x 4294967295"));
    assert_int_equal(rpu_tile_create(&t, engine, &p, 1, 1, 0, 0, 0, 0, &err), RPU_ERR_RANGE);
    assert_int_equal(rpu_tile_create(&t, engine, &p, 1, 1, 1, 0, 1024, 0, &err), RPU_ERR_RANGE);
    assert_int_equal(rpu_tile_create(&t, engine, &p, 1, 1, 1, 0, 0, 4096, &err), RPU_ERR_RANGE);
    assert_null(t);
    rpu_tile_destroy(NULL);
}

static void bad_params(void (*spoil)(struct rpu_tile_params *), const char *names) {
    struct rpu_tile_params p;
    struct rpu_error err;
    rpu_tile_params_baseline(&p);
    assert_int_equal(rpu_tile_params_check(&p, &err), RPU_OK);
    spoil(&p);
    assert_int_equal(rpu_tile_params_check(&p, &err), RPU_ERR_RANGE);
    if (!strstr(err.message, names))
        fail_msg("\"%s\" does not name %s", err.message, names);
}

#define SPOIL(name, statement)                                                                                         \
    static void name(struct rpu_tile_params *p) {                                                                      \
        statement;                                                                                                     \
    }
SPOIL(spoil_kind, p->device.kind = (enum rpu_device_kind)7)
SPOIL(spoil_step, p->device.dw_min = 0.0f)
SPOIL(spoil_step_nan, p->device.dw_min = NAN)
SPOIL(spoil_spread, p->device.dw_min_dtod = 1.5f)
SPOIL(spoil_ctoc, p->device.dw_min_ctoc = -0.1f)
SPOIL(spoil_imbalance, p->device.imbalance_dtod = INFINITY)
SPOIL(spoil_bound, p->device.bound = 0.0f)
SPOIL(spoil_bound_spread, p->device.bound_dtod = 2.0f)
SPOIL(spoil_bl0, p->update.bl = 0)
SPOIL(spoil_bl256, p->update.bl = 256)
SPOIL(spoil_um, p->update.um = 2)
SPOIL(spoil_in_bits, p->forward.in_bits = 17)
SPOIL(spoil_one_bit, p->forward.in_bits = 1)
SPOIL(spoil_out_bits, p->backward.out_bits = -1)
SPOIL(spoil_noise, p->backward.noise = -1.0f)
SPOIL(spoil_adc_without_bound, p->forward.bound = 0.0f)
SPOIL(spoil_bm_without_bound, p->backward.bound = 0.0f; p->backward.out_bits = 0; p->backward.bm = RPU_BM_ITERATIVE)
SPOIL(spoil_bm_limit, p->forward.bm_limit = 31)
SPOIL(spoil_nm, p->forward.nm = (enum rpu_nm)5)

static void test_errors_of_params(void **state) {
    (void)state;
    bad_params(spoil_kind, "device");
    bad_params(spoil_step, "dw_min");
    bad_params(spoil_step_nan, "dw_min");
    bad_params(spoil_spread, "dw_min_dtod");
    bad_params(spoil_ctoc, "dw_min_ctoc");
    bad_params(spoil_imbalance, "imbalance_dtod");
    bad_params(spoil_bound, "bound");
    bad_params(spoil_bound_spread, "bound_dtod");
    bad_params(spoil_bl0, "bl");
    bad_params(spoil_bl256, "bl");
    bad_params(spoil_um, "um");
    bad_params(spoil_in_bits, "forward");
    bad_params(spoil_one_bit, "forward");
    bad_params(spoil_out_bits, "backward");
    bad_params(spoil_noise, "backward");
    bad_params(spoil_adc_without_bound, "forward");
    bad_params(spoil_bm_without_bound, "backward");
    bad_params(spoil_bm_limit, "forward");
    bad_params(spoil_nm, "forward");
    assert_int_equal(rpu_tile_params_check(NULL, NULL), RPU_ERR_ARG);
}

static void test_errors_of_reads(void **state) {
    const struct rpu_block good = {0, 0, 1, 0}, none = {0, 0, 0, 0}, high = {0, 1u << 24, 1, 0};
    const struct rpu_block over = {0, (1u << 24) - 1, 2, 0};
    const struct rpu_tile_params p = managed();
    struct rpu_tile *t = make(&p, 3, 5);
    float a[8] = {0}, b[8] = {0};
    (void)state;
    assert_int_equal(rpu_tile_forward(NULL, &good, a, 5, b, 3, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_forward((struct rpu_tile *)(void *)a, &good, a, 5, b, 3, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_forward(t, NULL, a, 5, b, 3, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_forward(t, &good, NULL, 5, b, 3, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_forward(t, &good, a, 5, NULL, 3, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_forward(t, &none, a, 5, b, 3, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_forward(t, &high, a, 5, b, 3, NULL), RPU_ERR_RANGE);
    assert_int_equal(rpu_tile_backward(t, &over, a, 3, b, 5, NULL), RPU_ERR_RANGE);
    assert_int_equal(rpu_tile_forward(t, &good, a, 4, b, 3, NULL), RPU_ERR_SHAPE);
    assert_int_equal(rpu_tile_forward(t, &good, a, 5, b, 2, NULL), RPU_ERR_SHAPE);
    assert_int_equal(rpu_tile_backward(t, &good, a, 2, b, 5, NULL), RPU_ERR_SHAPE);
    assert_int_equal(rpu_tile_backward(t, &good, a, 3, b, 4, NULL), RPU_ERR_SHAPE);
    assert_int_equal(rpu_tile_backward(t, &good, a, 3, b, 5, NULL), RPU_OK);
    assert_int_equal(rpu_tile_get_weights(t, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_set_weights(NULL, a), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_get_devices(NULL, a, NULL, NULL, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_outputs(t), 3);
    assert_int_equal(rpu_tile_inputs(t), 5);
    assert_int_equal(rpu_tile_outputs(NULL), 0);
    rpu_tile_destroy(t);
    t = make(&p, 3, 300); /* 2^24 columns of 300 would use some counters twice */
    assert_int_equal(rpu_tile_forward(t, &(struct rpu_block){0, (1u << 24) - 1, 1, 0}, a, 300, b, 3, NULL),
                     RPU_ERR_RANGE);
    rpu_tile_destroy(t);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_noise_managed),
        cmocka_unit_test(test_product_exact),
        cmocka_unit_test(test_noise_places),
        cmocka_unit_test(test_dac),
        cmocka_unit_test(test_dac_ties),
        cmocka_unit_test(test_adc_and_bound),
        cmocka_unit_test(test_zero_column),
        cmocka_unit_test(test_noise_management_exact),
        cmocka_unit_test(test_bound_management),
        cmocka_unit_test(test_bound_management_per_column),
        cmocka_unit_test(test_bound_management_noise),
        cmocka_unit_test(test_bound_management_converts_again),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_errors_of_create),
        cmocka_unit_test(test_errors_of_params),
        cmocka_unit_test(test_errors_of_reads),
    };
    int failed;
    if (!begin(argc, argv, 20261123))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rpu_engine_destroy(engine);
    return failed;
}
