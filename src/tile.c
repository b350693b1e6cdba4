/* SPDX-License-Identifier: Apache-2.0 */
/* One crossbar array.
 *
 * Memory, 12 bytes a crosspoint: weights are float32, row-major, rows padded to whole groups of eight; where a weight
 * has several devices, their arrays stand one after the other, and a forward read takes their sum. The four device
 * parameters of a crosspoint (up step, down step, upper and lower bound) are 16-bit fixed point relative to their means
 * (unit 2^-13: spreads of tens of per cent are resolved to 1e-4) and stand together, so that a sparse update needs one
 * 8-byte load for each coincidence and a dense one whole vectors.
 *
 * What decided it, measured on one shared core of an AMD EPYC (Zen 4) with a loop that does nothing else than one step
 * of every crosspoint in vectors of eight, without noise; minima, two runs:
 *
 *   crosspoints      16-bit        float32      ratio
 *   66,560           0.20 ns       0.21 ns      1.03 to 1.09   (second-level cache)
 *   1,048,576        0.42 ns       0.65 ns      1.52 to 1.57
 *   16,777,216       0.52 ns       0.81 ns      1.55 to 1.68   (memory)
 *
 * So 8 bytes a crosspoint cost about 0.3 ns from memory (the difference of the columns). Drawing the parameters again
 * from their counters would cost four Gaussians, at 0.50 ns and more each.
 *
 * Steps and bounds in arrays of their own, as words that need no shuffling, would serve dense passes and cost sparse
 * ones, which are what a training makes. 128 x 513 crosspoints, AVX2 kernel with noise drawn before, one core of an
 * Intel Xeon (Golden Cove), minima:
 *
 *                                          together     two arrays
 *   dense pass, eight crosspoints          2.8 ns       2.3 ns
 *   list of 38 % of the inputs, each hit   0.64 ns      0.76 ns
 *   list of 16 % of the inputs, each hit   0.73 ns      0.93 ns */
#include "tile.h"

#include "error.h"
#include "range.h"
#include "small.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SIDE       (1u << 20)
#define MAX_CROSSPOINT ((uint64_t)1 << 31)

/* Crosspoints whose drawing is worth another thread: a millisecond. */
enum { DRAW_LEAST = 1 << 18 };

void rpu_tile_params_baseline(struct rpu_tile_params *params) {
    static const struct rpu_periphery periphery = {.in_bits = 7,
                                                   .out_bits = 9,
                                                   .noise = 0.06f,
                                                   .bound = 12.0f,
                                                   .nm = RPU_NM_NONE,
                                                   .bm = RPU_BM_NONE,
                                                   .bm_limit = 5};
    static const struct rpu_tile_params baseline = {.device = {.kind = RPU_DEVICE_CONSTANT_STEP,
                                                               .dw_min = 0.001f,
                                                               .dw_min_dtod = 0.3f,
                                                               .dw_min_ctoc = 0.3f,
                                                               .imbalance_dtod = 0.01f,
                                                               .bound = 0.6f,
                                                               .bound_dtod = 0.3f},
                                                    .update = {.bl = 10, .um = 0},
                                                    .devices = 1,
                                                    .copies = 1,
                                                    .max_rows = 4096,
                                                    .max_cols = 4096};
    if (!params)
        return;
    *params = baseline;
    params->forward = params->backward = periphery;
}

struct range {
    const char *group, *name; /* group may be null */
    double value, low, high;
};

static enum rpu_status check_ranges(const struct range *r, size_t count, struct rpu_error *err) {
    char key[64];
    for (size_t i = 0; i < count; i++)
        if (!(r[i].value >= r[i].low && r[i].value <= r[i].high)) {
            snprintf(key, sizeof key, "%s%s%s", r[i].group ? r[i].group : "", r[i].group ? "." : "", r[i].name);
            return rpu_fail_at(err, RPU_ERR_RANGE, NULL, 0, key, "%g is out of range; allowed is %g to %g", r[i].value,
                               r[i].low, r[i].high);
        }
    return RPU_OK;
}

static enum rpu_status check_periphery(const struct rpu_periphery *p, const char *cycle, struct rpu_error *err) {
    const struct range ranges[] = {
        {cycle, "in_bits", p->in_bits, 0, 16},      {cycle, "out_bits", p->out_bits, 0, 16},
        {cycle, "noise", (double)p->noise, 0, 1e6}, {cycle, "bound", (double)p->bound, 0, 1e6},
        {cycle, "bm_limit", p->bm_limit, 0, 30},    {cycle, "nm", (double)p->nm, 0, 1},
        {cycle, "bm", (double)p->bm, 0, 1},
    };
    enum rpu_status status = check_ranges(ranges, sizeof ranges / sizeof ranges[0], err);
    if (status != RPU_OK)
        return status;
    if (p->in_bits == 1 || p->out_bits == 1)
        return rpu_fail_at(err, RPU_ERR_RANGE, NULL, 0, cycle, "a converter has 2 to 16 bits, or 0 for none; found 1");
    if (p->bound == 0.0f && p->out_bits > 0)
        return rpu_fail_at(err, RPU_ERR_RANGE, NULL, 0, cycle, "an output converter (out_bits %d) needs a bound",
                           p->out_bits);
    if (p->bound == 0.0f && p->bm != RPU_BM_NONE)
        return rpu_fail_at(err, RPU_ERR_RANGE, NULL, 0, cycle, "bound management needs a bound");
    return RPU_OK;
}

enum rpu_status rpu_tile_params_check(const struct rpu_tile_params *params, struct rpu_error *err) {
    enum rpu_status status;
    if (!params)
        return rpu_fail(err, RPU_ERR_ARG, "no tile parameters given");
    const struct rpu_device *d = &params->device;
    const struct range ranges[] = {{NULL, "device", (double)d->kind, 0, 1},
                                   {NULL, "dw_min", (double)d->dw_min, 1e-9, 1},
                                   {NULL, "dw_min_dtod", (double)d->dw_min_dtod, 0, 1},
                                   {NULL, "dw_min_ctoc", (double)d->dw_min_ctoc, 0, 1},
                                   {NULL, "imbalance_dtod", (double)d->imbalance_dtod, 0, 1},
                                   {NULL, "bound", (double)d->bound, 1e-6, 1e6},
                                   {NULL, "bound_dtod", (double)d->bound_dtod, 0, 1},
                                   {"update", "bl", params->update.bl, 1, RPU_COUNTER_MAX_SLOTS},
                                   {"update", "um", params->update.um, 0, 1},
                                   {NULL, "devices", params->devices, 1, RPU_COUNTER_MAX_DEVICES},
                                   {NULL, "copies", params->copies, 1, RPU_COUNTER_MAX_COPIES},
                                   {NULL, "division", (double)params->division, 0, 2}};
    if (d->kind == RPU_DEVICE_PERFECT)
        return RPU_OK;
    status = check_ranges(ranges, sizeof ranges / sizeof ranges[0], err);
    if (status == RPU_OK && params->max_cols > 0 && params->max_cols < params->devices)
        status = rpu_fail_at(err, RPU_ERR_RANGE, NULL, 0, "devices",
                             "%u inputs of a tile (max_cols) cannot hold the %u "
                             "devices of a weight",
                             params->max_cols, params->devices);
    if (status == RPU_OK)
        status = check_periphery(&params->forward, "forward", err);
    if (status == RPU_OK)
        status = check_periphery(&params->backward, "backward", err);
    return status;
}

static int is_tile(const struct rpu_tile *tile) {
    return tile && tile->tag == RPU_TILE_TAG;
}

/* Memory aligned to cache lines, not touched; sizes were checked. */
static void *allocate(size_t bytes) {
    return aligned_alloc(64, rpu_lines(bytes));
}

static enum rpu_status check_shape(uint32_t outputs, uint32_t inputs, uint32_t devices, uint32_t fan_in, uint32_t array,
                                   uint32_t split, struct rpu_error *err) {
    if (outputs == 0 || inputs == 0 || outputs > MAX_SIDE || inputs > MAX_SIDE / devices ||
        (uint64_t)outputs * inputs * devices > MAX_CROSSPOINT)
        return rpu_fail(err, RPU_ERR_SHAPE, "an array of %u x %u crosspoints; allowed are 1 to %u a side, 2^31 in all",
                        outputs, inputs * devices, MAX_SIDE);
    if (fan_in == 0 || array >= RPU_COUNTER_MAX_ARRAYS || split >= RPU_COUNTER_MAX_SPLITS)
        return rpu_fail(err, RPU_ERR_RANGE, "fan-in %u, array %u, split %u; allowed are >= 1, < %u, < %u", fan_in,
                        array, split, RPU_COUNTER_MAX_ARRAYS, RPU_COUNTER_MAX_SPLITS);
    return RPU_OK;
}

/* Drawing what the crosspoints get: a range of the rows of all tiles an item. */
struct drawing {
    struct rpu_tile *const *tiles;
    size_t count, parts, all, floats; /* all: rows */
    uint32_t fan_in;
    float *rows; /* `floats` for each thread: 4 for each input of a tile */
};

static void draw_item(void *context, size_t item, int thread) {
    const struct drawing *d = context;
    const size_t first = rpu_range(d->all, d->parts, item), end = rpu_range(d->all, d->parts, item + 1);
    size_t before = 0;
    for (size_t t = 0; t < d->count && before < end; before += d->tiles[t++]->m) {
        const size_t m = d->tiles[t]->m, row0 = first > before ? first - before : 0;
        const size_t row1 = end - before < m ? end - before : m;
        if (row0 < row1)
            rpu_device_draw(d->tiles[t], d->fan_in, row0, row1, d->rows + (size_t)thread * d->floats);
    }
}

enum rpu_status rpu_tiles_draw(struct rpu_tile *const *tiles, size_t count, const struct rpu_engine *engine,
                               uint32_t fan_in, struct rpu_error *err) {
    const size_t threads = (size_t)rpu_sched_threads(engine->sched), n = tiles[0]->n * (size_t)tiles[0]->devices;
    struct drawing d = {tiles, count, 1, 0, 0, fan_in, NULL};
    for (size_t t = 0; t < count; t++) {
        d.all += tiles[t]->m;
        d.floats = 4 * (size_t)tiles[t]->n > d.floats ? 4 * (size_t)tiles[t]->n : d.floats;
    }
    d.parts = rpu_parts(d.all, 1, n, DRAW_LEAST, threads);
    d.rows = malloc(threads * d.floats * sizeof *d.rows);
    if (!d.rows)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory for arrays of %u x %zu crosspoints", tiles[0]->m, n);
    rpu_sched_for(engine->sched, d.parts, draw_item, &d);
    free(d.rows);
    return RPU_OK;
}

enum rpu_status rpu_tile_create(struct rpu_tile **tile, const struct rpu_engine *engine,
                                const struct rpu_tile_params *params, uint32_t outputs, uint32_t inputs,
                                uint32_t fan_in, uint64_t seed, uint32_t array, uint32_t split, struct rpu_error *err) {
    enum rpu_status status = rpu_tile_make(tile, engine, params, outputs, inputs, fan_in, seed, array, split, 0, err);
    if (status == RPU_OK)
        status = rpu_tiles_draw(tile, 1, engine, fan_in, err);
    if (status != RPU_OK && tile) {
        rpu_tile_destroy(*tile);
        *tile = NULL;
    }
    return status;
}

enum rpu_status rpu_tile_make(struct rpu_tile **tile, const struct rpu_engine *engine,
                              const struct rpu_tile_params *params, uint32_t outputs, uint32_t inputs, uint32_t fan_in,
                              uint64_t seed, uint32_t array, uint32_t split, uint32_t copy, struct rpu_error *err) {
    struct rpu_tile *t;
    uint32_t devices;
    enum rpu_status status;
    if (tile)
        *tile = NULL;
    if (!tile || !rpu_is_engine(engine))
        return rpu_fail(err, RPU_ERR_ARG, "no engine, or no place for the tile");
    status = rpu_tile_params_check(params, err);
    if (status != RPU_OK)
        return status;
    devices = params->device.kind == RPU_DEVICE_PERFECT ? 1 : params->devices;
    status = check_shape(outputs, inputs, devices, fan_in, array, split, err);
    if (status != RPU_OK)
        return status;
    t = calloc(1, sizeof *t);
    if (t) {
        *t = (struct rpu_tile){.tag = RPU_TILE_TAG,
                               .m = outputs,
                               .n = inputs,
                               .devices = devices,
                               .ldw = rpu_padded(inputs),
                               .plane = (size_t)outputs * rpu_padded(inputs),
                               .k = &engine->table.k,
                               .params = *params,
                               .seed = seed,
                               .word3 = rpu_counter_array(array, split, 0, copy)};
        t->w = allocate(devices * t->plane * sizeof *t->w);
        t->sum = devices > 1 ? allocate(t->plane * sizeof *t->sum) : t->w;
        if (params->device.kind != RPU_DEVICE_PERFECT)
            t->dev = allocate(devices * t->plane * 4 * sizeof *t->dev);
    }
    if (t && t->w && t->sum && (params->device.kind == RPU_DEVICE_PERFECT || t->dev)) {
        rpu_tile_prepare(t);
        *tile = t;
        return RPU_OK;
    }
    rpu_tile_destroy(t);
    return rpu_fail(err, RPU_ERR_NOMEM, "out of memory for an array of %u x %u crosspoints", outputs, inputs);
}

void rpu_tile_destroy(struct rpu_tile *tile) {
    if (!is_tile(tile))
        return;
    tile->tag = 0;
    if (tile->sum != tile->w)
        free(tile->sum);
    free(tile->w);
    free(tile->dev);
    free(tile->scratch);
    free(tile);
}

uint32_t rpu_tile_outputs(const struct rpu_tile *tile) {
    return is_tile(tile) ? tile->m : 0;
}

uint32_t rpu_tile_inputs(const struct rpu_tile *tile) {
    return is_tile(tile) ? tile->n : 0;
}

uint32_t rpu_tile_devices(const struct rpu_tile *tile) {
    return is_tile(tile) ? tile->devices : 0;
}

static enum rpu_status need_scratch(struct rpu_tile *t, size_t bytes) {
    void *p;
    if (bytes <= t->scratch_size)
        return RPU_OK;
    p = allocate(bytes);
    if (!p)
        return RPU_ERR_NOMEM;
    free(t->scratch);
    t->scratch = p;
    t->scratch_size = bytes;
    return RPU_OK;
}

/* The last column's last element must still have a number of its own in every stream (counter.h: 32 bits of block). */
static enum rpu_status check_block(const struct rpu_tile *tile, const struct rpu_block *where) {
    if (!is_tile(tile) || !where || where->count == 0)
        return RPU_ERR_ARG;
    if (where->column >= RPU_COUNTER_MAX_COLUMNS || where->count > RPU_COUNTER_MAX_COLUMNS - where->column)
        return RPU_ERR_RANGE;
    const uint64_t side = tile->m > tile->n ? tile->m : tile->n;
    if (tile->dev && ((uint64_t)where->column + where->count) * side > (uint64_t)1 << 32)
        return RPU_ERR_RANGE;
    return RPU_OK;
}

static enum rpu_status read_block(struct rpu_tile *tile, const struct rpu_block *where, int transposed, const float *in,
                                  size_t ldin, float *out, size_t ldout, struct rpu_read_counts *counts) {
    struct rpu_read_counts none = {0, 0, 0};
    struct rpu_read read;
    enum rpu_status status = check_block(tile, where);
    if (status == RPU_ERR_ARG || !in || !out)
        return RPU_ERR_ARG;
    if (status == RPU_OK && (ldin < (transposed ? tile->m : tile->n) || ldout < (transposed ? tile->n : tile->m)))
        status = RPU_ERR_SHAPE;
    if (status == RPU_OK)
        status = need_scratch(tile, rpu_read_scratch(tile, where->count));
    if (status != RPU_OK)
        return status;
    read = transposed ? rpu_read_backward(tile) : rpu_read_forward(tile, where->evaluate != 0);
    rpu_tile_read(tile, &read, where, in, ldin, out, ldout, tile->scratch, counts ? counts : &none);
    return RPU_OK;
}

enum rpu_status rpu_tile_forward(struct rpu_tile *tile, const struct rpu_block *where, const float *x, size_t ldx,
                                 float *y, size_t ldy, struct rpu_read_counts *counts) {
    return read_block(tile, where, 0, x, ldx, y, ldy, counts);
}

enum rpu_status rpu_tile_backward(struct rpu_tile *tile, const struct rpu_block *where, const float *d, size_t ldd,
                                  float *z, size_t ldz, struct rpu_read_counts *counts) {
    return read_block(tile, where, 1, d, ldd, z, ldz, counts);
}

enum rpu_status rpu_tile_update(struct rpu_tile *tile, const struct rpu_block *where, const float *x, size_t ldx,
                                const float *d, size_t ldd, float eta, struct rpu_update_counts *counts) {
    struct rpu_update_counts none = {0, 0, 0, 0};
    enum rpu_status status = check_block(tile, where);
    size_t trains, apart;
    if (status == RPU_ERR_ARG || !x || !d)
        return RPU_ERR_ARG;
    if (status == RPU_OK && !(eta > 0.0f && eta < INFINITY))
        status = RPU_ERR_RANGE;
    if (status == RPU_OK && (ldx < tile->n || ldd < tile->m))
        status = RPU_ERR_SHAPE;
    if (status != RPU_OK)
        return status;
    apart = rpu_update_train_words(tile) * where->count;
    trains = rpu_lines(apart * tile->devices * sizeof(uint64_t));
    status = need_scratch(tile, trains + rpu_update_scratch(tile, where->count));
    if (status != RPU_OK)
        return status;
    uint64_t *const drawn = tile->scratch;
    void *const rest = (unsigned char *)tile->scratch + trains;
    if (!counts)
        counts = &none;
    rpu_tile_draw(tile, where, x, ldx, d, ldd, eta, drawn, apart, rest, counts);
    rpu_tile_apply(tile, where, x, ldx, d, ldd, eta, drawn, 0, tile->m, rest, counts);
    return RPU_OK;
}

void rpu_tile_sum(struct rpu_tile *tile, size_t row0, size_t row1) {
    if (tile->devices == 1)
        return;
    for (size_t i = row0; i < row1; i++) {
        float *restrict sum = tile->sum + i * tile->ldw;
        memcpy(sum, tile->w + i * tile->ldw, tile->ldw * sizeof *sum);
        for (uint32_t k = 1; k < tile->devices; k++) {
            const float *restrict w = tile->w + k * tile->plane + i * tile->ldw;
            for (size_t j = 0; j < tile->ldw; j++)
                sum[j] += w[j];
        }
    }
}

void rpu_tile_row(const struct rpu_tile *tile, size_t row, float *weights) {
    memcpy(weights, tile->sum + row * tile->ldw, tile->n * sizeof *weights);
    for (size_t j = 0; tile->devices > 1 && j < tile->n; j++)
        weights[j] *= 1.0f / (float)tile->devices;
}

enum rpu_status rpu_tile_get_weights(const struct rpu_tile *tile, float *weights) {
    if (!is_tile(tile) || !weights)
        return RPU_ERR_ARG;
    for (size_t i = 0; i < tile->m; i++)
        rpu_tile_row(tile, i, weights + i * tile->n);
    return RPU_OK;
}

void rpu_tile_put(struct rpu_tile *tile, const float *weights, size_t ld) {
    for (uint32_t k = 0; k < tile->devices; k++)
        for (size_t i = 0; i < tile->m; i++)
            for (size_t j = 0; j < tile->n; j++) {
                const float v = weights[i * ld + j];
                float lower, upper;
                rpu_device_bounds(tile, k, i, j, &lower, &upper);
                tile->w[k * tile->plane + i * tile->ldw + j] = v > upper ? upper : (v < lower ? lower : v);
            }
    rpu_tile_sum(tile, 0, tile->m);
}

enum rpu_status rpu_tile_set_weights(struct rpu_tile *tile, const float *weights) {
    if (!is_tile(tile) || !weights)
        return RPU_ERR_ARG;
    if (!rpu_all_finite(weights, (size_t)tile->m * tile->n))
        return RPU_ERR_RANGE;
    rpu_tile_put(tile, weights, tile->n);
    return RPU_OK;
}

enum rpu_status rpu_tile_get_devices(const struct rpu_tile *tile, float *dw_up, float *dw_down, float *bound_upper,
                                     float *bound_lower) {
    if (!is_tile(tile))
        return RPU_ERR_ARG;
    const float unit = tile->params.device.dw_min * RPU_DEV_UNIT;
    size_t at = 0;
    for (uint32_t k = 0; k < tile->devices; k++)
        for (size_t i = 0; i < tile->m; i++)
            for (size_t j = 0; j < tile->n; j++, at++) {
                const uint16_t *dev = tile->dev ? tile->dev + 4 * (k * tile->plane + i * tile->ldw) : NULL;
                float lower, upper;
                rpu_device_bounds(tile, k, i, j, &lower, &upper);
                if (dw_up)
                    dw_up[at] = dev ? (float)dev[rpu_dev_index(j, 0)] * unit : 0.0f;
                if (dw_down)
                    dw_down[at] = dev ? (float)dev[rpu_dev_index(j, 1)] * unit : 0.0f;
                if (bound_upper)
                    bound_upper[at] = upper;
                if (bound_lower)
                    bound_lower[at] = -lower;
            }
    return RPU_OK;
}

double rpu_tile_at_bound(const struct rpu_tile *tile) {
    uint64_t count = 0;
    if (!is_tile(tile))
        return 0.0;
    for (uint32_t k = 0; k < tile->devices; k++)
        for (size_t i = 0; i < tile->m; i++)
            for (size_t j = 0; j < tile->n; j++) {
                const float w = tile->w[k * tile->plane + i * tile->ldw + j];
                float lower, upper;
                rpu_device_bounds(tile, k, i, j, &lower, &upper);
                count += w == upper || w == lower;
            }
    return (double)count / ((double)tile->m * (double)tile->n * (double)tile->devices);
}
