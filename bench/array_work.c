/* SPDX-License-Identifier: Apache-2.0 */
#include "array_work.h"

#include "engine.h"
#include "machine.h"
#include "range.h"
#include "small.h"

#include <stdlib.h>
#include <string.h>

#define ETA 0.01f
static enum rpu_array_read read_of(enum rpu_cycle op) {
    return op == RPU_CYCLE_BACKWARD ? RPU_ARRAY_BACKWARD : RPU_ARRAY_FORWARD;
}

/* ---- division ---- */

static size_t bands_of(size_t crosspoints, uint32_t columns, int team) {
    return team == 1
               ? 1
               : rpu_parts(columns, RPU_BAND_COLUMNS, crosspoints, RPU_BAND_WORK, (size_t)team * RPU_BANDS_OF_A_THREAD);
}

int array_work_divides(enum rpu_cycle op, const struct shape *s, int team) {
    struct rpu_tile tile = {.m = s->out, .n = s->in, .devices = 1, .params = {.update = {.bl = 1}}}, *tiles[] = {&tile};
    const struct rpu_array one = {
        .m = s->out, .n = s->in, .rows = 1, .cols = 1, .tiles = tiles}; /* several tiles divide all the more */
    if (op == RPU_CYCLE_UPDATE)
        return rpu_array_update_parts(&one, s->columns, (size_t)team) > 1 ||
               bands_of((size_t)s->out * s->in, s->columns, team) > 1;
    return s->columns > 1 ? bands_of((size_t)s->out * s->in, s->columns, team) > 1
                          : rpu_array_divide(&one, read_of(op), (size_t)team).parts > 1;
}

/* ---- making ---- */

void array_work_make(struct array_work *w, enum rpu_cycle op, struct rpu_array *array, const struct inputs *in,
                     const struct rpu_engine *engine) {
    *w = (struct array_work){.op = op,
                             .array = array,
                             .in = in,
                             .sched = engine->sched,
                             .team = rpu_engine_threads(engine),
                             .columns = in->columns,
                             .ldout = op == RPU_CYCLE_BACKWARD ? rpu_padded(in->n) : in->m};
    w->bands = bands_of((size_t)array->m * array->n, in->columns, w->team);
    w->parts = rpu_array_update_parts(array, in->columns, (size_t)w->team);
    w->division = (struct rpu_array_parts){1, 0, 0};
    if (op != RPU_CYCLE_UPDATE && in->columns == 1)
        w->division = rpu_array_divide(array, read_of(op), (size_t)w->team);
    w->stored = w->division.floats ? room(w->division.floats * sizeof *w->stored) : NULL;
    w->part_counts = room(w->division.parts * sizeof *w->part_counts);
    w->out = op == RPU_CYCLE_UPDATE ? NULL : room(in->columns * w->ldout * sizeof *w->out);
    if (op == RPU_CYCLE_UPDATE)
        w->trains = room(rpu_array_train_words(array, in->columns) * sizeof *w->trains);
    w->counts = room((size_t)w->team * sizeof *w->counts);
    w->scratch = room((size_t)w->team * sizeof *w->scratch);
    for (int k = 0; k < w->team; k++)
        w->scratch[k] = room(rpu_array_scratch(array, in->columns));
}

void array_work_free(struct array_work *w) {
    for (int k = 0; w->scratch && k < w->team; k++)
        free(w->scratch[k]);
    free(w->scratch);
    free(w->counts);
    free(w->trains);
    free(w->out);
    free(w->part_counts);
    free(w->stored);
    *w = (struct array_work){.op = w->op};
}

struct array_counts array_work_counts(const struct array_work *w) {
    struct array_counts sum = {.reads = {0, 0, 0}};
    for (int k = 0; k < w->team; k++) {
        const struct array_counts *c = &w->counts[k];
        sum.reads.columns += c->reads.columns;
        sum.reads.rereads += c->reads.rereads;
        sum.reads.saturated += c->reads.saturated;
        sum.updates.row_pulses += c->updates.row_pulses;
        sum.updates.column_pulses += c->updates.column_pulses;
        sum.updates.coincidences += c->updates.coincidences;
        sum.updates.clipped += c->updates.clipped;
    }
    return sum;
}

void array_work_flush(const struct array_work *w) {
    const struct inputs *in = w->in;
    for (size_t t = 0; t < rpu_array_tiles(w->array); t++) {
        const struct rpu_tile *tile = w->array->tiles[t];
        machine_flush(tile->w, tile->m * tile->ldw * sizeof *tile->w);
        if (w->op == RPU_CYCLE_UPDATE)
            machine_flush(tile->dev, tile->m * tile->ldw * 4 * sizeof *tile->dev);
    }
    machine_flush(in->x, (size_t)in->images * in->columns * in->ldx * sizeof *in->x);
    machine_flush(in->d, (size_t)in->images * in->columns * in->ldd * sizeof *in->d);
    if (w->out)
        machine_flush(w->out, in->columns * w->ldout * sizeof *w->out);
}

/* ---- items ---- */

/* Inputs and errors of the image from a column on. */
static const float *x_of(const struct array_work *w, size_t column) {
    return w->in->x + ((size_t)(w->image % w->in->images) * w->in->columns + column) * w->in->ldx;
}

static const float *d_of(const struct array_work *w, size_t column) {
    return w->in->d + ((size_t)(w->image % w->in->images) * w->in->columns + column) * w->in->ldd;
}

/* Of a read. */
static const float *inputs_of(const struct array_work *w, size_t column) {
    return w->op == RPU_CYCLE_BACKWARD ? d_of(w, column) : x_of(w, column);
}

static struct rpu_block block_of(const struct array_work *w, size_t first, size_t end) {
    return (struct rpu_block){w->image, (uint32_t)first, (uint32_t)(end - first), 0};
}

static void read_band(void *context, size_t item, int thread) {
    const struct array_work *w = context;
    const struct inputs *in = w->in;
    const size_t first = rpu_range(w->columns, w->bands, item), end = rpu_range(w->columns, w->bands, item + 1);
    const size_t ld = w->op == RPU_CYCLE_BACKWARD ? in->ldd : in->ldx;
    const struct rpu_block where = block_of(w, first, end);
    if (first < end)
        rpu_array_read(w->array, read_of(w->op), &where, inputs_of(w, first), ld, w->out + first * w->ldout, w->ldout,
                       w->scratch[thread], &w->counts[thread].reads);
}

static void read_part(void *context, size_t item, int thread) {
    const struct array_work *w = context;
    const struct rpu_block where = block_of(w, 0, 1);
    struct rpu_read_counts counts = {0, 0, 0};
    rpu_array_read_part(w->array, read_of(w->op), &where, inputs_of(w, 0), w->out, &w->division, item, w->stored,
                        w->scratch[thread], &counts);
    w->part_counts[item] = counts;
}

static void read_finish(void *context, size_t item, int thread) {
    const struct array_work *w = context;
    const struct rpu_block where = block_of(w, 0, 1);
    (void)item;
    rpu_array_read_finish(w->array, read_of(w->op), &where, inputs_of(w, 0), w->out, &w->division, w->stored,
                          w->part_counts, w->scratch[thread], &w->counts[thread].reads);
}

static void draw_band(void *context, size_t item, int thread) {
    const struct array_work *w = context;
    const struct inputs *in = w->in;
    const size_t first = rpu_range(w->columns, w->bands, item), end = rpu_range(w->columns, w->bands, item + 1);
    const struct rpu_block where = block_of(w, first, end);
    if (first < end)
        rpu_array_draw(w->array, w->columns, &where, x_of(w, first), in->ldx, d_of(w, first), in->ldd, ETA, w->trains,
                       w->scratch[thread], &w->counts[thread].updates);
}

static void apply_part(void *context, size_t item, int thread) {
    const struct array_work *w = context;
    const struct inputs *in = w->in;
    const struct rpu_block where = block_of(w, 0, w->columns);
    rpu_array_apply_part(w->array, &where, x_of(w, 0), in->ldx, d_of(w, 0), in->ldd, ETA, w->trains, w->parts, item,
                         w->scratch[thread], &w->counts[thread].updates);
}

/* ---- cycles ---- */

/* The list of a cycle; returns its length. */
static size_t list_of(struct array_work *w, struct rpu_work list[2]) {
    list[0] = list[1] = (struct rpu_work){.context = w, .items = w->bands};
    list[1].n_after = 1;
    if (w->op == RPU_CYCLE_UPDATE) {
        list[0].fn = draw_band;
        list[1].fn = apply_part;
        list[1].items = w->parts * rpu_array_tiles(w->array);
        return 2;
    }
    list[0].fn = read_band;
    if (w->division.parts == 1)
        return 1;
    list[0].fn = read_part;
    list[0].items = w->division.parts;
    list[1].fn = read_finish;
    list[1].items = 1;
    return 2;
}

void array_work_run(void *work, uint64_t n) {
    struct array_work *w = work;
    struct rpu_work list[2];
    const size_t entries = list_of(w, list);
    for (uint64_t k = 0; k < n; k++) {
        rpu_sched_run(w->sched, list, entries);
        w->image++;
    }
}

/* ---- against the oracle ---- */

/* An array with the oracle's kernels, and for updates with weights of its own; all else is the same memory. */
static struct rpu_array *make_oracle(const struct array_work *w, const struct rpu_engine *oracle) {
    const size_t tiles = rpu_array_tiles(w->array);
    struct rpu_array *a = room(sizeof *a);
    *a = *w->array;
    a->tiles = room(tiles * sizeof(struct rpu_tile *));
    for (size_t t = 0; t < tiles; t++) {
        struct rpu_tile *tile = room(sizeof *tile);
        *tile = *w->array->tiles[t];
        tile->k = &oracle->table.k;
        if (w->op == RPU_CYCLE_UPDATE) {
            tile->w = room(tile->m * tile->ldw * sizeof *tile->w);
            memcpy(tile->w, w->array->tiles[t]->w, tile->m * tile->ldw * sizeof *tile->w);
        }
        a->tiles[t] = tile;
    }
    return a;
}

static void free_oracle(struct rpu_array *a, enum rpu_cycle op) {
    for (size_t t = 0; t < rpu_array_tiles(a); t++) {
        if (op == RPU_CYCLE_UPDATE)
            free(a->tiles[t]->w);
        free(a->tiles[t]);
    }
    free(a->tiles);
    free(a);
}

static int same_counts(const struct array_counts *a, const struct array_counts *b) {
    return memcmp(&a->reads, &b->reads, sizeof a->reads) == 0 &&
           memcmp(&a->updates, &b->updates, sizeof a->updates) == 0;
}

static int same_result(const struct array_work *a, const struct array_work *b) {
    const struct array_counts of_a = array_work_counts(a), of_b = array_work_counts(b);
    int same = same_counts(&of_a, &of_b);
    if (a->op != RPU_CYCLE_UPDATE)
        return same && memcmp(a->out, b->out, a->columns * a->ldout * sizeof *a->out) == 0;
    for (size_t t = 0; t < rpu_array_tiles(a->array) && same; t++) {
        const struct rpu_tile *of = a->array->tiles[t];
        same = memcmp(of->w, b->array->tiles[t]->w, of->m * of->ldw * sizeof *of->w) == 0;
    }
    return same;
}

int array_work_check(struct array_work *w, const struct rpu_engine *oracle, uint32_t columns) {
    struct array_work right;
    int same;
    array_work_make(&right, w->op, make_oracle(w, oracle), w->in, oracle);
    right.columns = columns < w->columns ? columns : w->columns;
    w->columns = right.columns;
    array_work_run(&right, 1);
    array_work_run(w, 1);
    same = same_result(w, &right);
    free_oracle(right.array, w->op);
    array_work_free(&right);
    w->columns = w->in->columns;
    memset(w->counts, 0, (size_t)w->team * sizeof *w->counts);
    w->image = 0;
    return same;
}
