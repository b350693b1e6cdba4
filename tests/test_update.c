/* SPDX-License-Identifier: Apache-2.0 */
/* The update of one array: mean, variance and covariance of the pulsed update against their closed forms, update
 * management, signs, bounds, counts, and that no division of the work changes a bit.
 * usage: test_update [SEED [TEST]]; false alarms about one seed in 1,000. */
#include <math.h>
#include <string.h>

#include "tile.h"
#include "tiles.h"

enum { M = 5, N = 7, CROSSPOINTS = M * N };

/* The baseline device, with bounds out of reach. */
static struct rpu_tile_params unbounded(int bl, int um) {
    struct rpu_tile_params p;
    rpu_tile_params_baseline(&p);
    p.device.bound = 100.0f;
    p.device.bound_dtod = 0.0f;
    p.update.bl = bl;
    p.update.um = um;
    return p;
}

/* The same without any spread. */
static struct rpu_tile_params uniform(int bl, int um) {
    struct rpu_tile_params p = unbounded(bl, um);
    p.device.dw_min_dtod = p.device.dw_min_ctoc = p.device.imbalance_dtod = 0.0f;
    return p;
}

static void clear(struct rpu_tile *t) {
    memset(t->w, 0, (size_t)t->m * t->ldw * sizeof *t->w);
}

static void update(struct rpu_tile *t, uint32_t image, const float *x, const float *d, float eta,
                   struct rpu_update_counts *counts) {
    const struct rpu_block where = {image, 0, 1, 0};
    assert_int_equal(rpu_tile_update(t, &where, x, t->n, d, t->m, eta, counts), RPU_OK);
}

static void random_numbers(uint64_t *state, float *v, size_t n, float scale) {
    for (size_t i = 0; i < n; i++) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        v[i] = scale * ((float)(int32_t)(*state >> 40) * 0x1p-23f - 1.0f);
    }
}

/* ---- the first two moments ---- */

/* x and d of both signs with probabilities from small to nearly 1; in the last pair d is much smaller than x. */
static const float xs[N] = {0.95f, -0.7f, 0.5f, -0.3f, 0.2f, -0.1f, 0.8f};
static const float ds[M] = {-0.9f, 0.75f, -0.45f, 0.25f, 0.12f};

/* What the update of one crosspoint should be. */
struct law {
    double mean, variance;
};

/* Slots are independent; in each the weight moves with probability q = p_x p_d by s (1 + c xi), s fixed for the
 * crosspoint and direction: mean BL q s, variance BL (q s^2 (1 + c^2) - q^2 s^2). */
static struct law closed_form(double bl, double px, double pd, double s, double c) {
    const double q = px * pd;
    return (struct law){bl * q * s, bl * (q * s * s * (1.0 + c * c) - q * q * s * s)};
}

struct sample {
    struct stats_moments one[CROSSPOINTS]; /* of each crosspoint */
    struct stats_moments row;              /* of the product of two in a row */
    struct stats_moments apart;            /* of the product of two without a line in common */
};

static struct sample *draw(struct rpu_tile *t, const float *x, const float *d, float eta, size_t images) {
    struct sample *s = allocate(sizeof *s);
    float w[CROSSPOINTS];
    for (size_t k = 0; k < images; k++) {
        clear(t);
        update(t, (uint32_t)k, x, d, eta, NULL);
        rpu_tile_get_weights(t, w);
        for (size_t i = 0; i < CROSSPOINTS; i++)
            stats_add(&s->one[i], (double)w[i]);
        stats_add(&s->row, (double)w[0] * (double)w[2]);
        stats_add(&s->apart, (double)w[0] * (double)w[N + 1]);
    }
    return s;
}

/* Deviation of a sample mean in standard errors, taken from the law where it states the spread. */
static double mean_z(const struct stats_moments *m, const struct law *law) {
    return (stats_mean(m) - law->mean) / sqrt(law->variance / m->n);
}

/* Deviation of a sample variance; its own spread is estimated from the fourth central moment. */
static double variance_z(const struct stats_moments *m, const struct law *law) {
    const double mean = m->s1 / m->n, v = m->s2 / m->n - mean * mean;
    const double fourth =
        m->s4 / m->n - 4.0 * mean * m->s3 / m->n + 6.0 * mean * mean * m->s2 / m->n - 3.0 * mean * mean * mean * mean;
    return (stats_variance(m) - law->variance) / sqrt((fourth - v * v) / m->n);
}

static double mean_z_of(const struct stats_moments *m, double want) {
    return (stats_mean(m) - want) / sqrt(stats_variance(m) / m->n);
}

/* Mean, variance and two covariances of every crosspoint's update. Two in a row share the row's bits: in a slot both
 * move with probability p_d p_x p_x', so E[w w'] = BL s s' p_d p_x p_x' + BL (BL - 1) s s' p_d^2 p_x p_x'; those
 * without a line in common are independent. */
static void check_moments(const struct rpu_tile_params *p, const float *x, const float *d, float eta, size_t images) {
    struct rpu_tile *t = make(p, M, N);
    float up[CROSSPOINTS], down[CROSSPOINTS];
    double px[N], pd[M], step[CROSSPOINTS], xmax = 0.0, dmax = 0.0;
    const double bl = p->update.bl, dw = (double)p->device.dw_min, c = sqrt((double)eta / (bl * dw));
    struct sample *s = draw(t, x, d, eta, images);
    struct law law[CROSSPOINTS];
    rpu_tile_get_devices(t, up, down, NULL, NULL);
    for (int j = 0; j < N; j++)
        xmax = fabs((double)x[j]) > xmax ? fabs((double)x[j]) : xmax;
    for (int i = 0; i < M; i++)
        dmax = fabs((double)d[i]) > dmax ? fabs((double)d[i]) : dmax;
    const double root = p->update.um ? sqrt(dmax / xmax) : 1.0;
    for (int j = 0; j < N; j++)
        px[j] = c * root * fabs((double)x[j]);
    for (int i = 0; i < M; i++)
        pd[i] = c / root * fabs((double)d[i]);
    assert_true(c * root * xmax <= 1.0 && c / root * dmax <= 1.0); /* no probability is clipped */
    for (size_t k = 0; k < CROSSPOINTS; k++) {
        const size_t i = k / N, j = k % N;
        const double product = (double)eta * (double)d[i] * (double)x[j];
        step[k] = product > 0.0 ? (double)up[k] : -(double)down[k];
        law[k] = closed_form(bl, px[j], pd[i], step[k], (double)p->device.dw_min_ctoc);
        assert_true(fabs(law[k].mean - product * fabs(step[k]) / dw) < 1e-5 * fabs(product) + 1e-12);
        within("mean of an update", mean_z(&s->one[k], &law[k]));
        within("variance of an update", variance_z(&s->one[k], &law[k]));
    }
    const double together = bl * step[0] * step[2] * px[0] * px[2] * pd[0];
    within("two crosspoints of a row", mean_z_of(&s->row, together * (1.0 + (bl - 1.0) * pd[0])));
    within("two crosspoints apart", mean_z_of(&s->apart, law[0].mean * law[N + 1].mean));
    test_free(s);
    rpu_tile_destroy(t);
}

static void test_moments(void **state) {
    static const int lengths[] = {1, 5, 10, 31};
    (void)state;
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++)
        for (int um = 0; um < 2; um++) {
            const struct rpu_tile_params p = unbounded(lengths[k], um);
            const float eta = 0.9f * (float)lengths[k] * 0.001f;
            check_moments(&p, xs, ds, eta, 12000);
        }
}

/* A small error and a large input: without management the error's pulses are rare, with it both are balanced. The mean
 * is the same. */
static void test_moments_unbalanced(void **state) {
    float x[N], d[M];
    (void)state;
    for (int j = 0; j < N; j++)
        x[j] = xs[j];
    for (int i = 0; i < M; i++)
        d[i] = 0.05f * ds[i];
    for (int um = 0; um < 2; um++) {
        const struct rpu_tile_params p = unbounded(10, um);
        check_moments(&p, x, d, 0.01f, 30000);
    }
}

/* Devices without spreads: the mean over everything is eta d x^T itself. */
static void test_unbiased(void **state) {
    (void)state;
    for (int um = 0; um < 2; um++)
        for (int bl = 1; bl <= 31; bl += 10) {
            struct rpu_tile_params p = uniform(bl, um);
            const float eta = 0.0008f * (float)bl;
            struct rpu_tile *t = make(&p, M, N);
            struct sample *s = draw(t, xs, ds, eta, 8000);
            double sum = 0.0, sign_sum = 0.0;
            for (size_t k = 0; k < CROSSPOINTS; k++) {
                const double want = (double)eta * (double)ds[k / N] * (double)xs[k % N];
                within("mean against eta d x", mean_z_of(&s->one[k], want));
                sum += stats_mean(&s->one[k]) * (want > 0.0 ? 1.0 : -1.0);
                sign_sum += fabs(want);
            }
            assert_true(fabs(sum / sign_sum - 1.0) < 0.03);
            test_free(s);
            rpu_tile_destroy(t);
        }
}

/* A lone coincidence that always happens: the step is s (1 + 0.3 xi). */
static void test_cycle_to_cycle(void **state) {
    enum { IMAGES = 60000 };
    struct rpu_tile_params p = unbounded(1, 0);
    const float one = 1.0f;
    float up;
    double *u = allocate(IMAGES * sizeof *u);
    struct rpu_tile *t = make(&p, 1, 1);
    (void)state;
    rpu_tile_get_devices(t, &up, NULL, NULL, NULL);
    for (uint32_t k = 0; k < IMAGES; k++) {
        clear(t);
        update(t, k, &one, &one, 0.001f, NULL);
        u[k] = (double)t->w[0] / (double)up;
    }
    stats_normalize(u, IMAGES, 1.0, 0.3);
    assert_true(stats_ks(u, IMAGES) > STATS_P);
    test_free(u);
    rpu_tile_destroy(t);
}

/* ---- counts ---- */

static void test_pulse_counts(void **state) {
    enum { IMAGES = 20000 };
    const struct rpu_tile_params p = uniform(10, 0);
    struct rpu_tile *t = make(&p, M, N);
    struct rpu_update_counts c = {0, 0, 0, 0};
    double rows = 0.0, columns = 0.0, none = 1.0, rows_v = 0.0;
    (void)state;
    for (uint32_t k = 0; k < IMAGES; k++)
        update(t, k, xs, ds, 0.01f, &c); /* C = 1: probabilities are |d| and |x| */
    for (int i = 0; i < M; i++) {
        rows += fabs((double)ds[i]);
        rows_v += fabs((double)ds[i]) * (1.0 - fabs((double)ds[i]));
        none *= 1.0 - fabs((double)ds[i]);
    }
    for (int j = 0; j < N; j++)
        columns += fabs((double)xs[j]);
    const double slots = 10.0 * IMAGES;
    within("row pulses", ((double)c.row_pulses - slots * rows) / sqrt(slots * rows_v));
    /* column pulses are drawn in slots in which some row fires */
    within("column pulses", ((double)c.column_pulses / (slots * (1.0 - none)) / columns - 1.0) * sqrt(slots) / 2.0);
    within("coincidences", ((double)c.coincidences / (slots * rows * columns) - 1.0) * sqrt(slots) / 2.0);
    assert_int_equal(c.clipped, 0);
    rpu_tile_destroy(t);
}

/* Probabilities above 1 are counted once for each element, and fire in every slot. */
static void test_clipped(void **state) {
    struct rpu_tile_params p = uniform(4, 0);
    struct rpu_tile *t = make(&p, 3, 4);
    const float x[4] = {1.5f, -1.0f, 1.0f, 2.0f}, d[3] = {3.0f, -1.0f, 1.25f};
    struct rpu_update_counts c = {0, 0, 0, 0};
    float w[12];
    (void)state;
    clear(t);
    update(t, 0, x, d, 0.004f, &c); /* C = 1 up to rounding: x[1], x[2] and d[1] are at or just below 1 */
    const float gain = sqrtf(0.004f / (4.0f * 0.001f));
    uint64_t above = 0;
    for (int k = 0; k < 4; k++)
        above += gain * fabsf(x[k]) > 1.0f;
    for (int k = 0; k < 3; k++)
        above += gain * fabsf(d[k]) > 1.0f;
    assert_int_equal(c.clipped, above);
    assert_true(above >= 4);
    clear(t);
    update(t, 0, x, d, 0.0041f, &c); /* all of them fire in all four slots */
    rpu_tile_get_weights(t, w);
    for (int k = 0; k < 12; k++) {
        const float sign = d[k / 4] * x[k % 4] > 0.0f ? 1.0f : -1.0f;
        assert_true(fabsf(w[k] - 4.0f * 0.001f * sign) < 1e-8f);
    }
    assert_int_equal(c.clipped, above + 7);
    rpu_tile_destroy(t);
}

/* ---- update management ---- */

static void test_gains(void **state) {
    static const float x_of[4][2] = {{0.5f, -0.25f}, {0.0f, 0.0f}, {1.0f, 0.0f}, {-0.125f, 0.0625f}};
    static const float d_of[4][2] = {{0.125f, 0.0f}, {1.0f, 0.5f}, {0.0f, -0.0f}, {-2.0f, 1.0f}};
    (void)state;
    for (int um = 0; um < 2; um++) {
        const struct rpu_tile_params p = uniform(10, um);
        struct rpu_tile *t = make(&p, 2, 2);
        float x[4], d[4], peak[4];
        const struct rpu_gains g = {x, d, peak};
        rpu_update_gains(t, 4, x_of[0], 2, d_of[0], 2, 0.01f, &g);
        for (int k = 0; k < 4; k++) {
            const double c = 1.0, m = k == 0 ? 0.25 : 16.0, root = um ? sqrt(m) : 1.0;
            assert_true(peak[k] == fmaxf(fabsf(x_of[k][0]), fabsf(x_of[k][1])));
            if (k == 1 || k == 2) { /* a zero vector on either side: no pulses */
                assert_true(x[k] == 0.0f && d[k] == 0.0f);
                continue;
            }
            assert_true(fabs((double)x[k] - c * root) < 1e-6 && fabs((double)d[k] - c / root) < 1e-6);
        }
        rpu_tile_destroy(t);
    }
}

/* ---- signs, zeros, bounds ---- */

/* Up and down steps differ: each sign of d x takes its own. */
static void test_signs(void **state) {
    struct rpu_tile_params p = uniform(1, 0);
    const float x[2] = {1.0f, -1.0f}, d[2] = {1.0f, -1.0f};
    float w[4], up[4], down[4];
    (void)state;
    p.device.imbalance_dtod = 0.2f;
    p.device.dw_min_dtod = 0.2f;
    struct rpu_tile *t = make(&p, 2, 2);
    rpu_tile_get_devices(t, up, down, NULL, NULL);
    clear(t);
    update(t, 0, x, d, 0.0011f, NULL); /* probabilities above 1: certain */
    rpu_tile_get_weights(t, w);
    for (int k = 0; k < 4; k++) {
        assert_true(up[k] != down[k]);
        assert_true(w[k] == (k == 0 || k == 3 ? up[k] : -down[k]));
    }
    rpu_tile_destroy(t);
}

static void test_zeros(void **state) {
    struct rpu_tile_params p = unbounded(31, 1);
    struct rpu_update_counts c = {0, 0, 0, 0}, nothing = {0, 0, 0, 0};
    const float none_x[N] = {0}, none_d[M] = {0.0f, -0.0f};
    float x[N], d[M], before[CROSSPOINTS], after[CROSSPOINTS];
    (void)state;
    struct rpu_tile *t = make(&p, M, N);
    rpu_tile_get_weights(t, before);
    for (uint32_t k = 0; k < 100; k++) {
        update(t, k, none_x, ds, 0.01f, &c);
        update(t, k, xs, none_d, 0.01f, &c);
    }
    rpu_tile_get_weights(t, after);
    assert_memory_equal(before, after, sizeof before);
    assert_memory_equal(&c, &nothing, sizeof c);
    memcpy(x, xs, sizeof x);
    memcpy(d, ds, sizeof d);
    x[3] = -0.0f, d[2] = 0.0f;
    for (uint32_t k = 0; k < 200; k++)
        update(t, k, x, d, 0.01f, &c);
    rpu_tile_get_weights(t, after);
    for (int k = 0; k < CROSSPOINTS; k++)
        assert_true((before[k] == after[k]) == (k % N == 3 || k / N == 2));
    rpu_tile_destroy(t);
}

/* Strong updates drive every weight to its bounds; none ever passes them, and it comes back. */
static void test_bounds(void **state) {
    struct rpu_tile_params p;
    float w[CROSSPOINTS], upper[CROSSPOINTS], lower[CROSSPOINTS], d[M];
    (void)state;
    rpu_tile_params_baseline(&p);
    p.device.dw_min = 0.05f;
    struct rpu_tile *t = make(&p, M, N);
    rpu_tile_get_devices(t, NULL, NULL, upper, lower);
    for (uint32_t k = 0; k < 3000; k++) {
        const float sign = k / 1000 % 2 ? -1.0f : 1.0f;
        for (int i = 0; i < M; i++)
            d[i] = sign * ds[i];
        update(t, k, xs, d, 0.5f, NULL);
        rpu_tile_get_weights(t, w);
        for (int i = 0; i < CROSSPOINTS; i++)
            assert_true(w[i] <= upper[i] && w[i] >= -lower[i]);
        if (k % 1000 != 999)
            continue;
        for (int i = 0; i < CROSSPOINTS; i++) { /* cycle-to-cycle noise may take a step back: near the bound */
            const float end = sign * ds[i / N] * xs[i % N] > 0.0f ? upper[i] : -lower[i];
            assert_true(fabsf(w[i] - end) < 0.3f);
        }
        assert_true(rpu_tile_at_bound(t) > 0.7);
    }
    rpu_tile_destroy(t);
}

/* ---- places, divisions, variants ---- */

static void weights_after(const struct rpu_tile_params *p, uint64_t from, uint32_t array, uint32_t split,
                          const struct rpu_block *where, float *w) {
    struct rpu_tile *t;
    assert_int_equal(rpu_tile_create(&t, engine, p, M, N, N, from, array, split, NULL), RPU_OK);
    clear(t);
    assert_int_equal(rpu_tile_update(t, where, xs, N, ds, M, 0.01f, NULL), RPU_OK);
    rpu_tile_get_weights(t, w);
    rpu_tile_destroy(t);
}

/* Seed, array, split, image and column each pick other numbers; evaluation is no matter of an update. */
static void test_places(void **state) {
    const struct rpu_tile_params p = unbounded(10, 1);
    const struct rpu_block base = {4, 2, 1, 0}, image = {5, 2, 1, 0}, column = {4, 3, 1, 0}, same = {4, 2, 1, 1};
    float w[7][CROSSPOINTS];
    (void)state;
    weights_after(&p, seed, 1, 1, &base, w[0]);
    weights_after(&p, seed, 1, 1, &image, w[1]);
    weights_after(&p, seed, 1, 1, &column, w[2]);
    weights_after(&p, seed, 2, 1, &base, w[3]);
    weights_after(&p, seed, 1, 2, &base, w[4]);
    weights_after(&p, seed + 1, 1, 1, &base, w[5]);
    weights_after(&p, seed, 1, 1, &same, w[6]);
    assert_memory_equal(w[0], w[6], sizeof w[0]);
    for (int k = 0; k < 6; k++)
        for (int l = 0; l < k; l++)
            assert_true(memcmp(w[k], w[l], sizeof w[k]) != 0);
}

enum { BM = 33, BN = 70, COLUMNS = 24, LDX = 73, LDD = 35 };

struct work {
    float x[COLUMNS * LDX], d[COLUMNS * LDD];
    float whole[BM * BN], parts[BM * BN];
};

static struct work *make_work(void) {
    struct work *w = allocate(sizeof *w);
    uint64_t r = seed;
    random_numbers(&r, w->x, COLUMNS * LDX, 1.0f);
    random_numbers(&r, w->d, COLUMNS * LDD, 0.3f);
    for (int i = 0; i < COLUMNS * LDD; i++)
        if (i % 4) /* most errors of a real training are zeros behind a pooling layer */
            w->d[i] = 0.0f;
    memset(w->x + 3 * LDX, 0, LDX * sizeof *w->x);
    return w;
}

static struct rpu_tile *fresh(const struct rpu_tile_params *p) {
    return make(p, BM, BN);
}

static void some_columns(struct rpu_tile *t, const struct work *w, uint32_t from, uint32_t count,
                         struct rpu_update_counts *c) {
    const struct rpu_block where = {9, 100 + from, count, 0};
    if (count > 0)
        assert_int_equal(rpu_tile_update(t, &where, w->x + from * LDX, LDX, w->d + from * LDD, LDD, 0.02f, c), RPU_OK);
}

/* A block of columns is its columns one after the other, wherever it is cut. */
static void test_blocks(void **state) {
    struct work *w = make_work();
    (void)state;
    for (int v = 0; v < 4; v++) {
        struct rpu_tile_params p;
        struct rpu_update_counts all = {0, 0, 0, 0};
        rpu_tile_params_baseline(&p);
        p.update.bl = v & 1 ? 10 : 1;
        p.update.um = v >> 1;
        struct rpu_tile *t = fresh(&p);
        some_columns(t, w, 0, COLUMNS, &all);
        rpu_tile_get_weights(t, w->whole);
        rpu_tile_destroy(t);
        assert_true(all.coincidences > 500);
        for (uint32_t cut = 0; cut <= COLUMNS + 1; cut++) {
            struct rpu_update_counts sum = {0, 0, 0, 0};
            t = fresh(&p);
            if (cut <= COLUMNS) {
                some_columns(t, w, 0, cut, &sum);
                some_columns(t, w, cut, COLUMNS - cut, &sum);
            } else { /* singly */
                for (uint32_t k = 0; k < COLUMNS; k++)
                    some_columns(t, w, k, 1, &sum);
            }
            rpu_tile_get_weights(t, w->parts);
            rpu_tile_destroy(t);
            assert_memory_equal(w->whole, w->parts, sizeof w->whole);
            assert_memory_equal(&all, &sum, sizeof all);
        }
    }
    test_free(w);
}

/* Draws the trains of columns [first, end), or applies those of all columns to rows [first, end). */
static void half_update(struct rpu_tile *t, const struct work *w, int draw, uint64_t *trains, size_t first, size_t end,
                        struct rpu_update_counts *c) {
    const struct rpu_block all = {9, 100, COLUMNS, 0};
    const struct rpu_block some = {9, 100 + (uint32_t)first, (uint32_t)(end - first), 0};
    void *scratch = NULL;
    assert_int_equal(posix_memalign(&scratch, 64, rpu_update_scratch(t, COLUMNS) + 64), 0);
    if (draw)
        rpu_tile_draw(t, &some, w->x + first * LDX, LDX, w->d + first * LDD, LDD, 0.02f,
                      trains + first * rpu_update_train_words(t), COLUMNS * rpu_update_train_words(t), scratch, c);
    else
        rpu_tile_apply(t, &all, w->x, LDX, w->d, LDD, 0.02f, trains, first, end, scratch, c);
    free(scratch);
}

/* Trains drawn in two blocks and applied by row ranges, each in any order, make the whole. */
static void test_row_ranges(void **state) {
    struct work *w = make_work();
    (void)state;
    for (int perfect = 0; perfect < 2; perfect++) {
        struct rpu_tile_params p;
        struct rpu_update_counts all = {0, 0, 0, 0};
        rpu_tile_params_baseline(&p);
        p.update.um = 1;
        p.device.kind = perfect ? RPU_DEVICE_PERFECT : RPU_DEVICE_CONSTANT_STEP;
        struct rpu_tile *t = fresh(&p);
        some_columns(t, w, 0, COLUMNS, &all);
        rpu_tile_get_weights(t, w->whole);
        rpu_tile_destroy(t);
        for (size_t cut = 1; cut < BM; cut++) {
            struct rpu_update_counts sum = {0, 0, 0, 0};
            t = fresh(&p);
            uint64_t *trains = malloc((COLUMNS * rpu_update_train_words(t) + 1) * sizeof *trains);
            assert_non_null(trains);
            const size_t column = cut % (COLUMNS - 1) + 1;
            half_update(t, w, 1, trains, column, COLUMNS, &sum);
            half_update(t, w, 1, trains, 0, column, &sum);
            half_update(t, w, 0, trains, cut, BM, &sum);
            half_update(t, w, 0, trains, cut / 2, cut, &sum);
            if (cut / 2 > 0)
                half_update(t, w, 0, trains, 0, cut / 2, &sum);
            free(trains);
            rpu_tile_get_weights(t, w->parts);
            rpu_tile_destroy(t);
            assert_memory_equal(w->whole, w->parts, sizeof w->whole);
            assert_memory_equal(&all, &sum, sizeof all);
        }
    }
    test_free(w);
}

static void test_variants(void **state) {
    struct work *w = make_work();
    (void)state;
    for (size_t i = 0; i < (size_t)rpu_isa_count(); i++) {
        struct rpu_tile_params p;
        struct rpu_engine *e;
        struct rpu_tile *t;
        rpu_tile_params_baseline(&p);
        p.update.um = 1;
        assert_int_equal(rpu_engine_create(&e, rpu_isa_name(i), 1, NULL), RPU_OK);
        assert_int_equal(rpu_tile_create(&t, e, &p, BM, BN, BN, seed, 5, 0, NULL), RPU_OK);
        for (int k = 0; k < 5; k++)
            some_columns(t, w, 0, COLUMNS, NULL);
        rpu_tile_get_weights(t, i == 0 ? w->whole : w->parts);
        if (i > 0)
            assert_memory_equal(w->whole, w->parts, sizeof w->whole);
        rpu_tile_destroy(t);
        rpu_engine_destroy(e);
    }
    test_free(w);
}

/* ---- perfect tiles ---- */

/* One fused multiply-add for each column in turn, and no pulses. */
static void test_perfect(void **state) {
    struct work *w = make_work();
    struct rpu_tile_params p;
    struct rpu_update_counts c = {0, 0, 0, 0}, nothing = {0, 0, 0, 0};
    (void)state;
    rpu_tile_params_baseline(&p);
    p.device.kind = RPU_DEVICE_PERFECT;
    struct rpu_tile *t = fresh(&p);
    rpu_tile_get_weights(t, w->whole);
    for (int i = 0; i < BM; i++)
        for (int k = 0; k < COLUMNS; k++)
            for (int j = 0; j < BN; j++)
                w->whole[i * BN + j] = fmaf(0.02f * w->d[k * LDD + i], w->x[k * LDX + j], w->whole[i * BN + j]);
    some_columns(t, w, 0, COLUMNS, &c);
    rpu_tile_get_weights(t, w->parts);
    assert_memory_equal(w->whole, w->parts, sizeof w->whole);
    assert_memory_equal(&c, &nothing, sizeof c);
    rpu_tile_destroy(t);
    test_free(w);
}

static void test_errors(void **state) {
    const struct rpu_block good = {0, 0, 1, 0}, none = {0, 0, 0, 0}, high = {0, 1u << 24, 1, 0};
    const struct rpu_tile_params p = unbounded(1, 1);
    struct rpu_tile *t = make(&p, M, N);
    (void)state;
    assert_int_equal(rpu_tile_update(NULL, &good, xs, N, ds, M, 0.01f, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_update(t, NULL, xs, N, ds, M, 0.01f, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_update(t, &good, NULL, N, ds, M, 0.01f, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_update(t, &good, xs, N, NULL, M, 0.01f, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_update(t, &none, xs, N, ds, M, 0.01f, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_update(t, &high, xs, N, ds, M, 0.01f, NULL), RPU_ERR_RANGE);
    assert_int_equal(rpu_tile_update(t, &good, xs, N - 1, ds, M, 0.01f, NULL), RPU_ERR_SHAPE);
    assert_int_equal(rpu_tile_update(t, &good, xs, N, ds, M - 1, 0.01f, NULL), RPU_ERR_SHAPE);
    assert_int_equal(rpu_tile_update(t, &good, xs, N, ds, M, 0.0f, NULL), RPU_ERR_RANGE);
    assert_int_equal(rpu_tile_update(t, &good, xs, N, ds, M, -0.1f, NULL), RPU_ERR_RANGE);
    assert_int_equal(rpu_tile_update(t, &good, xs, N, ds, M, NAN, NULL), RPU_ERR_RANGE);
    assert_int_equal(rpu_tile_update(t, &good, xs, N, ds, M, INFINITY, NULL), RPU_ERR_RANGE);
    rpu_tile_destroy(t);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments),      cmocka_unit_test(test_moments_unbalanced),
        cmocka_unit_test(test_unbiased),     cmocka_unit_test(test_cycle_to_cycle),
        cmocka_unit_test(test_pulse_counts), cmocka_unit_test(test_clipped),
        cmocka_unit_test(test_gains),        cmocka_unit_test(test_signs),
        cmocka_unit_test(test_zeros),        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_places),       cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_row_ranges),   cmocka_unit_test(test_variants),
        cmocka_unit_test(test_perfect),      cmocka_unit_test(test_errors),
    };
    int failed;
    if (!begin(argc, argv, 20261123))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rpu_engine_destroy(engine);
    return failed;
}
