/* SPDX-License-Identifier: Apache-2.0 */
/* The stochastic pulsed update: pulse trains are drawn, then applied. */
#include "variant.h"

#include <string.h>

static int bit(const uint64_t *plane, size_t i) {
    return (int)(plane[i / 64] >> (i % 64) & 1u);
}

static void set_bit(uint64_t *plane, size_t i) {
    plane[i / 64] |= UINT64_C(1) << (i % 64);
}

static struct rpu_stream at_column(const struct rpu_stream *stream, uint32_t column, uint32_t slot) {
    struct rpu_stream s = *stream;
    s.ctr[2] = rpu_counter_column(column, slot);
    return s;
}

/* ---- the trains of a vector ---- */

static uint64_t *train(const struct rpu_pulse_args *a, size_t p) {
    return a->trains + p * rpu_train_words(a->m, a->n, a->bl);
}

static uint64_t *rows_of(const struct rpu_pulse_args *a, uint64_t *t, uint32_t slot) {
    return t + ((size_t)slot + 1) * (rpu_plane_words(a->m) + rpu_plane_words(a->n));
}

static uint64_t *inputs_of(const struct rpu_pulse_args *a, uint64_t *t, uint32_t slot) {
    return rows_of(a, t, slot) + rpu_plane_words(a->m);
}

static size_t ones(const uint64_t *plane, size_t words) {
    size_t n = 0;
    for (size_t k = 0; k < words; k++)
        n += (size_t)__builtin_popcountll(plane[k]);
    return n;
}

/* ---- drawing ---- */

/* The parts of the scratch memory. */
struct work {
    uint16_t *row_hi, *row_lo; /* thresholds of all the block's rows, column + i flat */
    uint64_t *rows;            /* one slot's plane over the same */
    uint16_t *col_hi, *col_lo; /* thresholds of one vector's inputs */
};

static struct work divide_scratch(const struct rpu_pulse_args *a) {
    const size_t flat = a->columns * a->m;
    struct work w;
    w.rows = a->scratch;
    w.row_hi = (uint16_t *)(void *)(w.rows + rpu_plane_words(flat));
    w.row_lo = w.row_hi + flat;
    w.col_hi = w.row_lo + flat;
    w.col_lo = w.col_hi + a->n;
    return w;
}

static size_t clipped(float gain, const float *v, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += gain * rpu_float(rpu_bits(v[i]) & 0x7fffffffu) > 1.0f;
    return count;
}

static void draw_rows(const struct rpu_pulse_args *a, const struct work *w, struct rpu_pulse_counts *counts) {
    const size_t flat = a->columns * a->m;
    for (size_t p = 0; p < a->columns; p++) {
        const size_t at = p * a->m;
        K(threshold)(a->m, a->gain_d[p], a->d + p * a->ldd, w->row_hi + at, w->row_lo + at);
        counts->clipped += clipped(a->gain_d[p], a->d + p * a->ldd, a->m);
    }
    for (uint32_t s = 0; s < a->bl; s++) {
        const struct rpu_stream bits = at_column(&a->row_bits, 0, s), ties = at_column(&a->row_ties, 0, s);
        K(bernoulli)(&bits, &ties, (uint64_t)a->column * a->m, flat, w->row_hi, w->row_lo, w->rows);
        for (size_t e = 0; e < flat; e++)
            if (bit(w->rows, e))
                set_bit(rows_of(a, train(a, e / a->m), s), e % a->m);
    }
}

static void sign_plane(const float *v, size_t n, uint64_t *plane) {
    for (size_t i = 0; i < n; i++)
        plane[i / 64] |= (uint64_t)(rpu_bits(v[i]) >> 31) << (i % 64);
}

/* Inputs of vector p in the slots in which some row fires. */
static void draw_inputs(const struct rpu_pulse_args *a, const struct work *w, size_t p,
                        struct rpu_pulse_counts *counts) {
    const uint32_t column = a->column + (uint32_t)p;
    uint64_t *t = train(a, p);
    int any = 0;
    for (uint32_t s = 0; s < a->bl; s++) {
        if (ones(rows_of(a, t, s), rpu_plane_words(a->m)) == 0)
            continue;
        if (!any)
            K(threshold)(a->n, a->gain_x[p], a->x + p * a->ldx, w->col_hi, w->col_lo);
        any = 1;
        const struct rpu_stream bits = at_column(&a->col_bits, column, s), ties = at_column(&a->col_ties, column, s);
        counts->column_pulses += K(bernoulli)(&bits, &ties, 0, a->n, w->col_hi, w->col_lo, inputs_of(a, t, s));
    }
    if (any) {
        sign_plane(a->d + p * a->ldd, a->m, t);
        sign_plane(a->x + p * a->ldx, a->n, t + rpu_plane_words(a->m));
    }
    if (a->gain_x[p] * a->peak[p] > 1.0f)
        counts->clipped += clipped(a->gain_x[p], a->x + p * a->ldx, a->n);
}

void K(pulse_draw)(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    const struct work w = divide_scratch(args);
    memset(args->trains, 0, args->columns * rpu_train_words(args->m, args->n, args->bl) * sizeof *args->trains);
    draw_rows(args, &w, counts);
    for (size_t p = 0; p < args->columns; p++)
        if (args->gain_d[p] != 0.0f)
            draw_inputs(args, &w, p, counts);
}

/* ---- applying ---- */

/* All coincidences of row i in a slot in which `inputs` fire. */
static void apply_slot(const struct rpu_pulse_args *a, const uint64_t *t, const uint64_t *inputs, size_t i,
                       const float *xi) {
    const size_t ldw = rpu_padded(a->n);
    const uint16_t *dev = a->dev + i * ldw * 4;
    const int sign_d = bit(t, i);
    for (size_t word = 0; word < rpu_plane_words(a->n); word++)
        for (uint64_t left = inputs[word]; left; left &= left - 1) {
            const size_t j = word * 64 + (size_t)__builtin_ctzll(left);
            const int up = sign_d == bit(t + rpu_plane_words(a->m), j);
            const float delta = (float)dev[rpu_dev_index(j, up ? 0 : 1)] * (up ? a->step_unit : -a->step_unit);
            const float upper = (float)dev[rpu_dev_index(j, 2)] * a->bound_unit;
            const float lower = 0.0f - (float)dev[rpu_dev_index(j, 3)] * a->bound_unit;
            float *at = &a->w[i * ldw + j];
            const float v = a->ctoc > 0.0f ? fmaf(delta, fmaf(a->ctoc, *xi++, 1.0f), *at) : *at + delta;
            *at = v > upper ? upper : (v < lower ? lower : v);
        }
}

/* Elements first .. first + count - 1 of a Gaussian stream in the block layout. In the group layout number k of block b
 * of a group is element 8 k + b of the group. */
static void gaussian_blocks(const struct rpu_stream *stream, uint64_t first, size_t count, float *out) {
    float group[RPU_GAUSS_GROUP];
    enum { BLOCKS = RPU_GAUSS_GROUP / RPU_GAUSS_BLOCK };
    for (uint64_t e = first; e < first + count; e++) {
        const uint64_t block = e / RPU_GAUSS_BLOCK;
        if (e == first || (e % RPU_GAUSS_BLOCK == 0 && block % BLOCKS == 0))
            K(gaussian)(stream, block / BLOCKS * RPU_GAUSS_GROUP, RPU_GAUSS_GROUP, group);
        *out++ = group[e % RPU_GAUSS_BLOCK * BLOCKS + block % BLOCKS];
    }
}

/* Rows in order, so that the ordinal of a coincidence, which picks its noise, counts up. */
static void apply_vector(const struct rpu_pulse_args *a, size_t p, struct rpu_pulse_counts *counts) {
    const struct rpu_stream noise = at_column(&a->noise, a->column + (uint32_t)p, 0);
    uint64_t *t = train(a, p), ordinal = 0;
    float *xi = a->scratch;
    for (size_t i = 0; i < a->row1; i++)
        for (uint32_t s = 0; s < a->bl; s++) {
            if (!bit(rows_of(a, t, s), i))
                continue;
            const uint64_t *inputs = inputs_of(a, t, s);
            const size_t hits = ones(inputs, rpu_plane_words(a->n));
            if (i >= a->row0) {
                counts->row_pulses++;
                counts->coincidences += hits;
                if (a->ctoc > 0.0f && rpu_pulse_narrow(a->m, a->n))
                    gaussian_blocks(&noise, ordinal, hits, xi);
                else if (a->ctoc > 0.0f)
                    K(gaussian)(&noise, ordinal, hits, xi);
                apply_slot(a, t, inputs, i, xi);
            }
            ordinal += hits;
        }
}

void K(pulse_apply)(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    for (size_t p = 0; p < args->columns; p++)
        apply_vector(args, p, counts);
}

/* ---- update management ---- */

void K(gains)(size_t count, float c, int managed, const float *x_max, const float *d_max, float *gain_x, float *gain_d) {
    for (size_t p = 0; p < count; p++) {
        const float x = x_max[p], d = d_max[p], root = managed ? sqrtf(d / x) : 1.0f;
        const int pulses = x > 0.0f && d > 0.0f && root > 0.0f && root < INFINITY;
        gain_x[p] = pulses ? c * root : 0.0f;
        gain_d[p] = pulses ? c / root : 0.0f;
    }
}
