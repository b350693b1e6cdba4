/* SPDX-License-Identifier: Apache-2.0 */
/* Which crosspoints an update hits: its pulses drawn again with the kernels that make thresholds and bits, in the order
 * of the contract (vector, row, slot, input). */
#include "bound.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the drawing of an image needs. */
struct drawing {
    const struct cycle *c;
    const struct rpu_kernels *k;
    const float *x, *d;
    uint32_t image, bl;
    size_t row_words, col_words, room_at, room_down, room_runs;
    uint16_t *hi, *lo;
    uint64_t *rows; /* bl planes over column * m + i */
};

static int bit(const uint64_t *plane, size_t i) {
    return (int)(plane[i / 64] >> (i % 64) & 1u);
}

static struct rpu_stream stream(const struct drawing *w, enum rpu_rng_purpose purpose, uint32_t column, uint32_t slot) {
    struct rpu_stream s = rpu_tile_stream(w->c->tile, purpose, w->image);
    s.ctr[2] = rpu_counter_column(column, slot);
    return s;
}

static void draw_rows(struct drawing *w, struct hits *h) {
    const struct inputs *in = w->c->in;
    const size_t flat = (size_t)in->columns * in->m;
    for (size_t p = 0; p < in->columns; p++)
        w->k->threshold(in->m, w->c->gains.d[p], w->d + p * in->ldd, w->hi + p * in->m, w->lo + p * in->m);
    for (uint32_t s = 0; s < w->bl; s++) {
        const struct rpu_stream bits = stream(w, RPU_RNG_ROW_BITS, 0, s), ties = stream(w, RPU_RNG_ROW_TIES, 0, s);
        h->row_pulses += w->k->bernoulli(&bits, &ties, 0, flat, w->hi, w->lo, w->rows + s * w->row_words);
    }
}

static int slot_fires(const struct drawing *w, size_t p, uint32_t s) {
    const uint64_t *plane = w->rows + s * w->row_words;
    const size_t m = w->c->in->m;
    for (size_t i = p * m; i < (p + 1) * m; i++)
        if (bit(plane, i))
            return 1;
    return 0;
}

/* Room for `wanted` elements, the first `used` of which are kept. */
static void *more(void *memory, size_t *have, size_t wanted, size_t used, size_t size) {
    void *larger;
    if (wanted <= *have)
        return memory;
    *have = 2 * wanted + 1024;
    larger = room(*have * size);
    if (used > 0)
        memcpy(larger, memory, used * size);
    free(memory);
    return larger;
}

/* The coincidences of row i with a plane. */
static void add_row(struct drawing *w, struct hits *h, size_t p, size_t i, const uint64_t *plane, size_t ones) {
    const struct inputs *in = w->c->in;
    const size_t base = i * w->c->tile->ldw, first = (size_t)h->coincidences;
    const float *x = w->x + p * in->ldx;
    const uint32_t flip = signbit(w->d[p * in->ldd + i]) ? 1u << 31 : 0;
    h->at = more(h->at, &w->room_at, first + ones, first, sizeof *h->at);
    h->down = more(h->down, &w->room_down, first + ones, first, sizeof *h->down);
    for (size_t word = 0; word < w->col_words; word++)
        for (uint64_t left = plane[word]; left; left &= left - 1) {
            const size_t j = word * 64 + (size_t)__builtin_ctzll(left);
            h->at[h->coincidences] = (uint32_t)(base + j);
            h->down[h->coincidences++] = flip ^ (signbit(x[j]) ? 1u << 31 : 0);
        }
    h->runs = more(h->runs, &w->room_runs, h->n_runs + 1, h->n_runs, sizeof *h->runs);
    if (2 * ones > in->n)
        h->runs[h->n_runs++] = (struct hit_run){plane, x, flip, base, ones};
    else if (h->n_runs > 0 && !h->runs[h->n_runs - 1].plane)
        h->runs[h->n_runs - 1].count += ones;
    else
        h->runs[h->n_runs++] = (struct hit_run){.first = first, .count = ones};
}

size_t hits_blocks(uint64_t count) {
    const uint64_t rest = count % RPU_GAUSS_GROUP;
    return (size_t)(count / RPU_GAUSS_GROUP * 8 + (rest < 8 ? rest : 8));
}

/* Draws the column pulses of vector p in the slots that need them, and pairs them with its rows. */
static void draw_vector(struct drawing *w, struct hits *h, size_t p) {
    const struct inputs *in = w->c->in;
    const uint64_t *planes[RPU_COUNTER_MAX_SLOTS] = {0};
    size_t ones[RPU_COUNTER_MAX_SLOTS] = {0};
    const size_t units = h->units;
    const uint64_t before = h->coincidences;
    for (uint32_t s = 0; s < w->bl; s++) {
        if (!slot_fires(w, p, s))
            continue;
        uint64_t *plane = h->planes + h->units++ * w->col_words;
        const struct rpu_stream bits = stream(w, RPU_RNG_COL_BITS, (uint32_t)p, s);
        const struct rpu_stream ties = stream(w, RPU_RNG_COL_TIES, (uint32_t)p, s);
        w->k->threshold(in->n, w->c->gains.x[p], w->x + p * in->ldx, w->hi, w->lo);
        h->column_pulses += ones[s] = w->k->bernoulli(&bits, &ties, 0, in->n, w->hi, w->lo, plane);
        h->is_dense[h->units - 1] = 2 * ones[s] > in->n || rpu_pulse_narrow(in->m, in->n);
        planes[s] = plane;
    }
    h->vectors += h->units > units;
    for (size_t i = 0; i < in->m && h->units > units; i++)
        for (uint32_t s = 0; s < w->bl; s++)
            if (planes[s] && ones[s] > 0 && bit(w->rows + s * w->row_words, p * in->m + i))
                add_row(w, h, p, i, planes[s], ones[s]);
    const uint64_t noise = h->coincidences - before;
    h->blocks += rpu_pulse_narrow(in->m, in->n) ? (noise + RPU_GAUSS_BLOCK - 1) / RPU_GAUSS_BLOCK : hits_blocks(noise);
}

void hits_make(struct hits *h, const struct cycle *c, uint32_t image) {
    const struct inputs *in = c->in;
    const size_t flat = (size_t)in->columns * in->m, at = (size_t)(image % in->images) * in->columns;
    const size_t longest = (flat > in->n ? flat : in->n) + 64;
    struct drawing w = {.c = c, .k = c->tile->k, .image = image, .bl = (uint32_t)c->tile->params.update.bl};
    *h = (struct hits){0};
    w.x = in->x + at * in->ldx;
    w.d = in->d + at * in->ldd;
    w.row_words = (flat + 63) / 64;
    w.col_words = (in->n + 63) / 64;
    w.hi = room(longest * sizeof *w.hi);
    w.lo = room(longest * sizeof *w.lo);
    h->row_words = w.row_words * w.bl;
    h->col_words = w.col_words;
    h->rows = w.rows = room(h->row_words * sizeof *w.rows);
    h->planes = room((size_t)in->columns * w.bl * w.col_words * sizeof *h->planes);
    h->is_dense = room((size_t)in->columns * w.bl);
    rpu_update_gains(c->tile, in->columns, w.x, in->ldx, w.d, in->ldd, c->eta, &c->gains);
    draw_rows(&w, h);
    for (size_t p = 0; p < in->columns; p++)
        if (c->gains.d[p] != 0.0f)
            draw_vector(&w, h, p);
    free(w.hi);
    free(w.lo);
}

void hits_free(struct hits *h) {
    free(h->at);
    free(h->down);
    free(h->runs);
    free(h->planes);
    free(h->is_dense);
    free(h->rows);
    *h = (struct hits){0};
}
