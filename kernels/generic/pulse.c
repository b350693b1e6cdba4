/* SPDX-License-Identifier: Apache-2.0 */
/* The stochastic pulsed update. */
#include "variant.h"

/* The parts of the scratch memory. */
struct work {
    uint16_t *row_hi, *row_lo; /* thresholds of all the block's rows, column + i flat */
    uint64_t *row_planes;      /* bl planes over the same */
    uint16_t *col_hi, *col_lo; /* thresholds of one vector's inputs */
    uint64_t *col_planes;      /* bl planes over n */
    size_t *col_ones;          /* ones in each of them */
    float *xi;                 /* noise of one row and slot */
    size_t row_words, col_words;
};

static struct work divide_scratch(const struct rpu_pulse_args *a) {
    const size_t flat = a->columns * a->m;
    struct work w;
    unsigned char *at = a->scratch;
    w.row_words = (flat + 63) / 64;
    w.col_words = (a->n + 63) / 64;
    w.row_planes = (uint64_t *)(void *)at;
    w.col_planes = w.row_planes + w.row_words * a->bl;
    w.col_ones = (size_t *)(w.col_planes + w.col_words * a->bl);
    w.xi = (float *)(w.col_ones + a->bl);
    w.row_hi = (uint16_t *)(w.xi + a->n);
    w.row_lo = w.row_hi + flat;
    w.col_hi = w.row_lo + flat;
    w.col_lo = w.col_hi + a->n;
    return w;
}

static int bit(const uint64_t *plane, size_t i) {
    return (int)(plane[i / 64] >> (i % 64) & 1u);
}

static struct rpu_stream at_column(const struct rpu_stream *stream, uint32_t column, uint32_t slot) {
    struct rpu_stream s = *stream;
    s.ctr[2] = rpu_counter_column(column, slot);
    return s;
}

static void row_pulses(const struct rpu_pulse_args *a, const struct work *w, struct rpu_pulse_counts *counts) {
    const size_t flat = a->columns * a->m;
    for (size_t p = 0; p < a->columns; p++) {
        const size_t at = p * a->m;
        K(threshold)(a->m, a->gain_d[p], a->d + p * a->ldd, w->row_hi + at, w->row_lo + at);
        for (size_t i = a->row0; i < a->row1; i++)
            counts->clipped += a->gain_d[p] * rpu_float(rpu_bits(a->d[p * a->ldd + i]) & 0x7fffffffu) > 1.0f;
    }
    for (uint32_t s = 0; s < a->bl; s++) {
        const struct rpu_stream bits = at_column(&a->row_bits, 0, s), ties = at_column(&a->row_ties, 0, s);
        K(bernoulli)(&bits, &ties, (uint64_t)a->column * a->m, flat, w->row_hi, w->row_lo,
                     w->row_planes + s * w->row_words);
    }
}

/* Some row of vector p fires in slot s. */
static int slot_fires(const struct rpu_pulse_args *a, const struct work *w, size_t p, uint32_t s) {
    const uint64_t *plane = w->row_planes + s * w->row_words;
    for (size_t at = p * a->m, end = at + a->m; at < end;) {
        const size_t here = 64 - at % 64, n = end - at < here ? end - at : here;
        if (plane[at / 64] >> (at % 64) << (64 - n)) /* n bits from at on */
            return 1;
        at += n;
    }
    return 0;
}

/* Draws the column pulses of vector p in the slots that need them. Returns whether any does. */
static int column_pulses(const struct rpu_pulse_args *a, const struct work *w, size_t p,
                         struct rpu_pulse_counts *counts) {
    const int count_here = a->row0 == 0;
    const uint32_t column = a->column + (uint32_t)p;
    int any = 0;
    for (uint32_t s = 0; s < a->bl; s++) {
        w->col_ones[s] = 0;
        if (!slot_fires(a, w, p, s))
            continue;
        if (!any)
            K(threshold)(a->n, a->gain_x[p], a->x + p * a->ldx, w->col_hi, w->col_lo);
        any = 1;
        const struct rpu_stream bits = at_column(&a->col_bits, column, s), ties = at_column(&a->col_ties, column, s);
        w->col_ones[s] = K(bernoulli)(&bits, &ties, 0, a->n, w->col_hi, w->col_lo, w->col_planes + s * w->col_words);
        if (count_here)
            counts->column_pulses += w->col_ones[s];
    }
    if (count_here && a->gain_x[p] * a->peak[p] > 1.0f)
        for (size_t j = 0; j < a->n; j++)
            counts->clipped += a->gain_x[p] * rpu_float(rpu_bits(a->x[p * a->ldx + j]) & 0x7fffffffu) > 1.0f;
    return any;
}

/* All coincidences of row i in slot s. */
static void apply_slot(const struct rpu_pulse_args *a, const struct work *w, size_t p, size_t i, uint32_t s,
                       const float *xi) {
    const uint64_t *plane = w->col_planes + s * w->col_words;
    const size_t ldw = rpu_padded(a->n);
    const uint16_t *dev = a->dev + i * ldw * 4;
    const uint32_t sign_d = rpu_bits(a->d[p * a->ldd + i]) >> 31;
    for (size_t word = 0; word < w->col_words; word++)
        for (uint64_t left = plane[word]; left; left &= left - 1) {
            const size_t j = word * 64 + (size_t)__builtin_ctzll(left);
            const int up = sign_d == rpu_bits(a->x[p * a->ldx + j]) >> 31;
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
static void apply_vector(const struct rpu_pulse_args *a, const struct work *w, size_t p,
                         struct rpu_pulse_counts *counts) {
    const struct rpu_stream noise = at_column(&a->noise, a->column + (uint32_t)p, 0);
    uint64_t ordinal = 0;
    for (size_t i = 0; i < a->row1; i++)
        for (uint32_t s = 0; s < a->bl; s++) {
            const size_t hits = w->col_ones[s];
            if (!bit(w->row_planes + s * w->row_words, p * a->m + i))
                continue;
            if (i >= a->row0) {
                counts->row_pulses++;
                counts->coincidences += hits;
                if (a->ctoc > 0.0f && rpu_pulse_narrow(a->m, a->n))
                    gaussian_blocks(&noise, ordinal, hits, w->xi);
                else if (a->ctoc > 0.0f)
                    K(gaussian)(&noise, ordinal, hits, w->xi);
                apply_slot(a, w, p, i, s, w->xi);
            }
            ordinal += hits;
        }
}

void K(pulse)(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    const struct work w = divide_scratch(args);
    row_pulses(args, &w, counts);
    for (size_t p = 0; p < args->columns; p++)
        if (args->gain_d[p] != 0.0f && column_pulses(args, &w, p, counts))
            apply_vector(args, &w, p, counts);
}

void K(gains)(size_t count, float c, int managed, const float *x_max, const float *d_max, float *gain_x, float *gain_d) {
    for (size_t p = 0; p < count; p++) {
        const float x = x_max[p], d = d_max[p], root = managed ? sqrtf(d / x) : 1.0f;
        const int pulses = x > 0.0f && d > 0.0f && root > 0.0f && root < INFINITY;
        gain_x[p] = pulses ? c * root : 0.0f;
        gain_d[p] = pulses ? c / root : 0.0f;
    }
}
