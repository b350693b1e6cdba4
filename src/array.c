/* SPDX-License-Identifier: Apache-2.0 */
#include "array.h"

#include "error.h"
#include "range.h"
#include "small.h"

#include <stdlib.h>
#include <string.h>

/* Floats of a split array's read that wait to be added: enough for whole groups of columns, few enough for the cache.
 */
enum { WAITING_FLOATS = 32768, GROUP = 6 };
/* A column's read is divided where each part has at least so many crosspoints (a microsecond), in whole cache lines of
 * outputs. A backward read goes down the rows: its parts are wide, so that no kernel takes one for a narrow array, and
 * where there is a choice they have whole pages of weights from each row. */
enum { LEAST_WORK = 24576, OUTPUT_GRAIN = 16, BACKWARD_GRAIN = 128, PAGE = 1024 };

/* ---- construction ---- */

static size_t row_of(const struct rpu_array *a, size_t r) {
    return rpu_range(a->m, a->rows, r);
}

static size_t col_of(const struct rpu_array *a, size_t c) {
    return rpu_range(a->n, a->cols, c);
}

static size_t grid(const struct rpu_array *a) {
    return (size_t)a->rows * a->cols;
}

static enum rpu_status make_tiles(struct rpu_array *a, const struct rpu_engine *engine,
                                  const struct rpu_tile_params *params, uint32_t fan_in, uint64_t seed, uint32_t index,
                                  struct rpu_error *err) {
    for (size_t t = 0; t < rpu_array_tiles(a); t++) {
        const uint32_t split = (uint32_t)(t % grid(a)), r = split / a->cols, c = split % a->cols;
        const enum rpu_status status = rpu_tile_make(
            &a->tiles[t], engine, params, (uint32_t)(row_of(a, r + 1) - row_of(a, r)),
            (uint32_t)(col_of(a, c + 1) - col_of(a, c)), fan_in, seed, index, split, (uint32_t)(t / grid(a)), err);
        if (status != RPU_OK)
            return status;
    }
    return rpu_tiles_draw(a->tiles, rpu_array_tiles(a), engine, fan_in, err);
}

enum rpu_status rpu_array_create(struct rpu_array **array, const struct rpu_engine *engine,
                                 const struct rpu_tile_params *params, uint32_t outputs, uint32_t inputs,
                                 uint32_t fan_in, uint64_t seed, uint32_t index, uint32_t columns,
                                 struct rpu_error *err) {
    const int whole = params->device.kind == RPU_DEVICE_PERFECT;
    struct rpu_array *a;
    enum rpu_status status;
    *array = NULL;
    a = calloc(1, sizeof *a);
    if (!a)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    *a = (struct rpu_array){.m = outputs,
                            .n = inputs,
                            .rows = whole ? 1 : rpu_pieces(outputs, params->max_rows),
                            .cols = whole ? 1 : rpu_pieces(inputs, rpu_inputs_most(params->max_cols, params->devices))};
    if ((uint64_t)a->rows * a->cols > RPU_COUNTER_MAX_SPLITS) {
        status = rpu_fail_at(
            err, RPU_ERR_SHAPE, NULL, 0, "max_rows, max_cols",
            "the %u x %u weights of array %u make %u x %u tiles of at most %u x %u; allowed are %u tiles", outputs,
            inputs, index + 1, a->rows, a->cols, params->max_rows, params->max_cols, RPU_COUNTER_MAX_SPLITS);
        free(a);
        return status;
    }
    status = rpu_tile_params_check(params, err);
    if (status == RPU_OK && params->copies > 1 && !whole && columns > 1)
        status = rpu_copies_create(&a->copies, params->division, params->copies, columns, seed, index, err);
    if (status == RPU_OK && !(a->tiles = calloc(rpu_array_tiles(a), sizeof(struct rpu_tile *))))
        status = rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    if (status == RPU_OK)
        status = make_tiles(a, engine, params, fan_in, seed, index, err);
    if (status != RPU_OK) {
        rpu_array_destroy(a);
        return status;
    }
    *array = a;
    return RPU_OK;
}

void rpu_array_destroy(struct rpu_array *array) {
    if (!array)
        return;
    for (size_t t = 0; array->tiles && t < rpu_array_tiles(array); t++)
        rpu_tile_destroy(array->tiles[t]);
    free(array->tiles);
    rpu_copies_destroy(array->copies);
    free(array);
}

uint32_t rpu_array_copies(const struct rpu_array *array) {
    return array->copies ? array->copies->count : 1;
}

size_t rpu_array_tiles(const struct rpu_array *array) {
    return grid(array) * rpu_array_copies(array);
}

/* ---- reads ---- */

static struct rpu_read read_of(const struct rpu_tile *tile, enum rpu_array_read which) {
    return which == RPU_ARRAY_BACKWARD ? rpu_read_backward(tile) : rpu_read_forward(tile, which == RPU_ARRAY_EVALUATE);
}

/* No tile has more outputs in a read. */
static size_t longest_side(const struct rpu_array *a) {
    return a->m / a->rows > a->n / a->cols ? a->m / a->rows + 1 : a->n / a->cols + 1;
}

/* Columns that a split array reads at a time. */
static size_t group(const struct rpu_array *a, size_t count) {
    const size_t fit = WAITING_FLOATS / longest_side(a) / GROUP * GROUP;
    return fit == 0 ? 1 : fit < count ? fit : count;
}

size_t rpu_array_scratch(const struct rpu_array *a, size_t count) {
    size_t most = 64;
    for (size_t t = 0; t < rpu_array_tiles(a); t++) {
        const size_t read = rpu_read_scratch(a->tiles[t], count), update = rpu_update_scratch(a->tiles[t], count);
        most = read > most ? read : most;
        most = update > most ? update : most;
    }
    if (grid(a) > 1)
        most = rpu_lines(most) + rpu_lines(group(a, count) * longest_side(a) * sizeof(float));
    if (a->copies)
        most = rpu_lines(most) + rpu_copies_scratch(a, count);
    return rpu_lines(most);
}

static void add(size_t columns, size_t n, float *to, size_t ldto, const float *from, size_t ldfrom) {
    for (size_t p = 0; p < columns; p++)
        for (size_t i = 0; i < n; i++)
            to[p * ldto + i] += from[p * ldfrom + i];
}

/* Place of tile (r, c) in the vectors of a read: its first input and output, and how many outputs it has. */
struct window {
    size_t in, out, n_out;
};

static struct window window_of(const struct rpu_array *a, enum rpu_array_read which, size_t r, size_t c) {
    const size_t row = row_of(a, r), col = col_of(a, c);
    if (which == RPU_ARRAY_BACKWARD)
        return (struct window){row, col, col_of(a, c + 1) - col};
    return (struct window){col, row, row_of(a, r + 1) - row};
}

/* Whether the read of tile (r, c) is the first of its sum. */
static int starts_sum(enum rpu_array_read which, size_t r, size_t c) {
    return (which == RPU_ARRAY_BACKWARD ? r : c) == 0;
}

static void read_grid(const struct rpu_array *a, enum rpu_array_read which, const struct rpu_block *where,
                      const float *in, size_t ldin, float *out, size_t ldout, void *scratch, float *waiting,
                      struct rpu_read_counts *counts) {
    for (size_t r = 0; r < a->rows; r++)
        for (size_t c = 0; c < a->cols; c++) {
            const struct rpu_tile *t = a->tiles[r * a->cols + c];
            const struct rpu_read read = read_of(t, which);
            const struct window w = window_of(a, which, r, c);
            if (starts_sum(which, r, c)) {
                rpu_tile_read(t, &read, where, in + w.in, ldin, out + w.out, ldout, scratch, counts);
                continue;
            }
            rpu_tile_read(t, &read, where, in + w.in, ldin, waiting, w.n_out, scratch, counts);
            add(where->count, w.n_out, out + w.out, ldout, waiting, w.n_out);
        }
}

void rpu_array_read(const struct rpu_array *a, enum rpu_array_read which, const struct rpu_block *where,
                    const float *in, size_t ldin, float *out, size_t ldout, void *scratch,
                    struct rpu_read_counts *counts) {
    const size_t step = group(a, where->count);
    if (a->copies) {
        rpu_copies_read(a, which, where, in, ldin, out, ldout, scratch, counts);
        return;
    }
    if (grid(a) == 1) {
        const struct rpu_read read = read_of(a->tiles[0], which);
        rpu_tile_read(a->tiles[0], &read, where, in, ldin, out, ldout, scratch, counts);
        return;
    }
    float *waiting = scratch;
    unsigned char *rest = (unsigned char *)scratch + rpu_lines(step * longest_side(a) * sizeof *waiting);
    for (size_t c = 0; c < where->count; c += step) {
        struct rpu_block block = *where;
        block.column += (uint32_t)c;
        block.count = (uint32_t)(where->count - c < step ? where->count - c : step);
        read_grid(a, which, &block, in + c * ldin, ldin, out + c * ldout, ldout, rest, waiting, counts);
    }
}

/* ---- a column in parts ---- */

struct rpu_array_parts rpu_array_divide(const struct rpu_array *a, enum rpu_array_read which, size_t threads) {
    const size_t outputs = which == RPU_ARRAY_BACKWARD ? a->n : a->m,
                 inputs = which == RPU_ARRAY_BACKWARD ? a->m : a->n;
    const struct rpu_array_parts whole = {1, 0, 0};
    const int backward = which == RPU_ARRAY_BACKWARD;
    const size_t one = rpu_parts(outputs, backward ? BACKWARD_GRAIN : OUTPUT_GRAIN, inputs, LEAST_WORK, threads);
    const size_t more = rpu_parts_for(outputs, backward ? PAGE : OUTPUT_GRAIN, inputs, LEAST_WORK, threads);
    const size_t parts = more > one ? more : one;
    struct rpu_array_parts d = {parts, 0, 1};
    if (threads <= 1 || parts == 1)
        return whole;
    if (rpu_array_tiles(a) == 1) {
        d.needs_finish = a->tiles[0]->params.device.kind != RPU_DEVICE_PERFECT &&
                         read_of(a->tiles[0], which).periphery->bm != RPU_BM_NONE;
        return d;
    }
    d.parts = rpu_array_tiles(a);
    d.floats = ((which == RPU_ARRAY_BACKWARD ? a->rows : a->cols) - (size_t)1) * outputs;
    return d;
}

/* Outputs [first, end) of part `part` of a single tile: whole cache lines. */
static size_t part_start(const struct rpu_array *a, enum rpu_array_read which, size_t parts, size_t part) {
    const size_t outputs = which == RPU_ARRAY_BACKWARD ? a->n : a->m;
    const size_t start = rpu_range((outputs + OUTPUT_GRAIN - 1) / OUTPUT_GRAIN, parts, part) * OUTPUT_GRAIN;
    return start < outputs ? start : outputs;
}

/* Some outputs of a tile are a smaller tile that draws its noise further on in the same stream. A saturated output is
 * left to the end: bound management concerns the whole column. */
static void read_outputs(const struct rpu_tile *tile, enum rpu_array_read which, const struct rpu_block *where,
                         const float *in, float *out, size_t first, size_t end, void *scratch,
                         struct rpu_read_counts *counts) {
    struct rpu_tile some = *tile;
    struct rpu_read read = read_of(tile, which);
    struct rpu_periphery periphery = *read.periphery;
    periphery.bm = RPU_BM_NONE;
    read.periphery = &periphery;
    read.first = first;
    if (read.transposed) {
        some.n = (uint32_t)(end - first);
        some.w += first; /* of each device */
        rpu_tile_read(&some, &read, where, in, some.m, out + first, some.n, scratch, counts);
    } else {
        some.m = (uint32_t)(end - first);
        some.sum += first * some.ldw;
        rpu_tile_read(&some, &read, where, in, some.n, out + first, some.m, scratch, counts);
    }
}

void rpu_array_read_part(const struct rpu_array *a, enum rpu_array_read which, const struct rpu_block *where,
                         const float *in, float *out, const struct rpu_array_parts *division, size_t part,
                         float *stored, void *scratch, struct rpu_read_counts *counts) {
    if (rpu_array_tiles(a) == 1) {
        const size_t first = part_start(a, which, division->parts, part),
                     end = part_start(a, which, division->parts, part + 1);
        if (first < end)
            read_outputs(a->tiles[0], which, where, in, out, first, end, scratch, counts);
        return;
    }
    const size_t r = part / a->cols, c = part % a->cols;
    const size_t outputs = which == RPU_ARRAY_BACKWARD ? a->n : a->m;
    const struct rpu_read read = read_of(a->tiles[part], which);
    const struct window w = window_of(a, which, r, c);
    const size_t term = which == RPU_ARRAY_BACKWARD ? r : c;
    float *to = term == 0 ? out : stored + (term - 1) * outputs;
    rpu_tile_read(a->tiles[part], &read, where, in + w.in, outputs, to + w.out, outputs, scratch, counts);
}

void rpu_array_read_finish(const struct rpu_array *a, enum rpu_array_read which, const struct rpu_block *where,
                           const float *in, float *out, const struct rpu_array_parts *division, const float *stored,
                           const struct rpu_read_counts *of_parts, void *scratch, struct rpu_read_counts *counts) {
    const size_t outputs = which == RPU_ARRAY_BACKWARD ? a->n : a->m;
    struct rpu_read_counts sum = {0, 0, 0};
    for (size_t p = 0; p < division->parts; p++) {
        sum.columns += of_parts[p].columns;
        sum.rereads += of_parts[p].rereads;
        sum.saturated += of_parts[p].saturated;
    }
    if (rpu_array_tiles(a) == 1) {
        const struct rpu_read read = read_of(a->tiles[0], which);
        if (sum.saturated > 0 && read.periphery->bm != RPU_BM_NONE) { /* rare: the column once more, as a whole */
            rpu_tile_read(a->tiles[0], &read, where, in, a->m > a->n ? a->m : a->n, out, outputs, scratch, counts);
            return;
        }
        sum.columns = where->count;
    } else {
        for (size_t k = 0; k < division->floats / outputs; k++)
            add(1, outputs, out, outputs, stored + k * outputs, outputs);
    }
    counts->columns += sum.columns;
    counts->rereads += sum.rereads;
    counts->saturated += sum.saturated;
}

void rpu_array_count_part(size_t part, const struct rpu_read_counts *of_part, struct rpu_read_counts *counts) {
    counts->columns += part == 0 ? of_part->columns : 0; /* all parts read the same columns */
    counts->saturated += of_part->saturated;
}

/* ---- updates ---- */

size_t rpu_array_train_words(const struct rpu_array *a, size_t columns) {
    size_t words = 0;
    for (size_t t = 0; t < grid(a); t++) /* copies share the columns */
        words += columns * rpu_update_train_words(a->tiles[t]) * a->tiles[t]->devices;
    return words;
}

void rpu_array_draw(const struct rpu_array *a, size_t columns, const struct rpu_block *where, const float *x,
                    size_t ldx, const float *d, size_t ldd, float eta, uint64_t *trains, void *scratch,
                    struct rpu_update_counts *counts) {
    if (a->copies) {
        rpu_copies_draw(a, where, x, ldx, d, ldd, eta, trains, scratch, counts);
        return;
    }
    for (size_t t = 0; t < grid(a); t++) {
        const size_t words = rpu_update_train_words(a->tiles[t]);
        if (words == 0)
            return;
        rpu_tile_draw(a->tiles[t], where, x + col_of(a, t % a->cols), ldx, d + row_of(a, t / a->cols), ldd, eta,
                      trains + where->column * words, columns * words, scratch, counts);
        trains += columns * words * a->tiles[t]->devices;
    }
}

void rpu_array_apply_part(struct rpu_array *a, const struct rpu_block *where, const float *x, size_t ldx,
                          const float *d, size_t ldd, float eta, const uint64_t *trains, size_t parts, size_t part,
                          void *scratch, struct rpu_update_counts *counts) {
    const size_t t = part / parts;
    struct rpu_tile *tile = a->tiles[t];
    const size_t row0 = rpu_range(tile->m, parts, part % parts), row1 = rpu_range(tile->m, parts, part % parts + 1);
    if (a->copies) {
        rpu_copies_apply_part(a, where, eta, trains, parts, part, scratch, counts);
        return;
    }
    if (row0 == row1)
        return;
    for (size_t before = 0; before < t && trains; before++)
        trains += where->count * rpu_update_train_words(a->tiles[before]) * a->tiles[before]->devices;
    rpu_tile_apply(tile, where, x + col_of(a, t % a->cols), ldx, d + row_of(a, t / a->cols), ldd, eta, trains, row0,
                   row1, scratch, counts);
}

/* Every part of an update goes through all vectors and lists their hits again, so that only arrays whose m n / (m + n)
 * is large are divided, and not into parts of fewer crosspoints times columns than this. Those that are not divided
 * overlap with each other. */
enum { UPDATE_RATIO = 64, UPDATE_WORK = 32768, UPDATE_ROWS = 8 };

size_t rpu_array_update_parts(const struct rpu_array *a, size_t columns, size_t threads) {
    const struct rpu_tile *t = a->tiles[0];
    const size_t crosspoints = (size_t)t->m * t->n;
    if (threads == 1 || (rpu_update_train_words(t) > 0 && crosspoints / ((size_t)t->m + t->n) < UPDATE_RATIO))
        return 1;
    return rpu_parts_for(t->m, UPDATE_ROWS, (size_t)t->n * t->devices * columns / rpu_array_copies(a), UPDATE_WORK,
                         threads);
}

/* ---- weights ---- */

void rpu_array_row(const struct rpu_array *a, size_t row, float *weights) {
    struct rpu_tile *const *tiles = a->tiles + row / a->m * grid(a);
    size_t r = 0;
    row %= a->m;
    while (row_of(a, r + 1) <= row)
        r++;
    for (size_t c = 0; c < a->cols; c++)
        rpu_tile_row(tiles[r * a->cols + c], row - row_of(a, r), weights + col_of(a, c));
}

enum rpu_status rpu_array_get_weights(const struct rpu_array *a, float *weights) {
    for (size_t i = 0; i < (size_t)a->m * rpu_array_copies(a); i++)
        rpu_array_row(a, i, weights + i * a->n);
    return RPU_OK;
}

enum rpu_status rpu_array_set_weights(struct rpu_array *a, const float *weights) {
    if (!rpu_all_finite(weights, (size_t)a->m * a->n * rpu_array_copies(a)))
        return RPU_ERR_RANGE;
    for (size_t t = 0; t < rpu_array_tiles(a); t++) {
        const size_t copy = t / grid(a), r = t % grid(a) / a->cols, c = t % a->cols;
        rpu_tile_put(a->tiles[t], weights + (copy * a->m + row_of(a, r)) * a->n + col_of(a, c), a->n);
    }
    return RPU_OK;
}

int rpu_array_is_finite(const struct rpu_array *a) {
    for (size_t t = 0; t < rpu_array_tiles(a); t++)
        for (size_t i = 0; i < (size_t)a->tiles[t]->m * a->tiles[t]->devices; i++)
            if (!rpu_all_finite(a->tiles[t]->w + i * a->tiles[t]->ldw, a->tiles[t]->n))
                return 0;
    return 1;
}

double rpu_array_at_bound(const struct rpu_array *a) {
    double sum = 0.0;
    if (rpu_array_tiles(a) == 1)
        return rpu_tile_at_bound(a->tiles[0]);
    for (size_t t = 0; t < rpu_array_tiles(a); t++)
        sum += rpu_tile_at_bound(a->tiles[t]) * (double)a->tiles[t]->m * (double)a->tiles[t]->n;
    return sum / ((double)a->m * (double)a->n * (double)rpu_array_copies(a));
}
