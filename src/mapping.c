/* SPDX-License-Identifier: Apache-2.0 */
/* A model of the hardware from shapes: tiles, times, the pace of a pipeline, and the copies that balance it. */
#include "config_check.h"
#include "error.h"
#include "layer.h"
#include "range.h"

#include <rpu/mapping.h>

#include <math.h>
#include <string.h>

enum { SIDE_MAX = 1048576, REREADS_MAX = 30 };
#define NS_MAX    1e9
#define TILES_MAX (UINT64_C(1) << 53) /* doubles count them exactly */

/* ---- the network ---- */

static void add_array(struct rpu_mapping *m, const struct rpu_layer *l) {
    struct rpu_mapped_array *a = &m->arrays[m->n_arrays];
    const struct rpu_layer_spec *s = l->spec;
    *a = (struct rpu_mapped_array){.outputs = s->outputs,
                                   .inputs = rpu_layer_inputs(l),
                                   .columns = l->columns,
                                   .has_backward = m->n_arrays > 0,
                                   .bl = s->tile.update.bl,
                                   .max_rows = s->tile.max_rows,
                                   .max_cols = s->tile.max_cols,
                                   .devices = 1,
                                   .copies = 1};
    if (s->tile.device.kind != RPU_DEVICE_PERFECT) {
        a->devices = s->tile.devices;
        a->copies = l->columns > 1 ? s->tile.copies : 1;
    }
    memcpy(a->name, s->name, sizeof a->name);
    a->macs = (uint64_t)a->outputs * a->inputs * a->columns;
    m->weights += (uint64_t)a->outputs * a->inputs;
    m->macs += a->macs;
    m->n_arrays++;
}

enum rpu_status rpu_mapping_of(struct rpu_mapping *mapping, const struct rpu_config *config, uint32_t height,
                               uint32_t width, uint32_t channels, struct rpu_error *err) {
    struct rpu_shape shape = {height, width, channels};
    enum rpu_status status = RPU_OK;
    if (!mapping || !config || config->n_layers > RPU_LAYERS_MAX)
        return rpu_fail(err, RPU_ERR_ARG, "no configuration, or no place for the mapping");
    *mapping = (struct rpu_mapping){.height = height, .width = width, .channels = channels};
    if (height == 0 || width == 0 || channels == 0 || (uint64_t)height * width > ((uint64_t)1 << 28) / channels)
        return rpu_fail(err, RPU_ERR_SHAPE, "images of %u x %u x %u", height, width, channels);
    for (uint32_t i = 0; i < config->n_layers && status == RPU_OK; i++) {
        struct rpu_layer l = {0};
        status = rpu_layer_shape(&l, &config->layers[i], shape, i + 1, err);
        if (status == RPU_OK && rpu_layer_is_array(l.spec))
            add_array(mapping, &l);
        shape = l.out;
    }
    if (status == RPU_OK && mapping->n_arrays == 0)
        status = rpu_fail(err, RPU_ERR_SHAPE, "a network needs at least one array (conv or fc)");
    return status == RPU_OK ? rpu_config_check_names(config, NULL, err) : status;
}

/* ---- tiles ---- */

static enum rpu_status check_time(double ns, double least, const char *what, struct rpu_error *err) {
    if (ns >= least && ns <= NS_MAX)
        return RPU_OK;
    return rpu_fail(err, RPU_ERR_RANGE, "%s is %g ns; allowed is %s to %g", what, ns, least > 0.0 ? "above 0" : "0",
                    NS_MAX);
}

static enum rpu_status check_hardware(const struct rpu_hardware *h, struct rpu_error *err) {
    enum rpu_status status = check_time(h->t_slot, 0.0, "a slot of the pulse trains", err);
    if (status == RPU_OK && h->n_kinds > RPU_TILE_KINDS_MAX)
        return rpu_fail(err, RPU_ERR_RANGE, "%u kinds of tiles; allowed are %d", h->n_kinds, RPU_TILE_KINDS_MAX);
    if (status == RPU_OK && h->n_kinds == 0)
        status = check_time(h->t_meas, 1e-9, "t_meas", err);
    for (uint32_t k = 0; k < h->n_kinds && status == RPU_OK; k++) {
        const struct rpu_tile_kind *t = &h->kinds[k];
        if (t->rows == 0 || t->rows > SIDE_MAX || t->cols == 0 || t->cols > SIDE_MAX)
            return rpu_fail(err, RPU_ERR_RANGE, "a tile of %u x %u; allowed are sides of 1 to %d", t->rows, t->cols,
                            SIDE_MAX);
        status = check_time(t->t_meas, 1e-9, "t_meas of a tile", err);
    }
    return status;
}

static enum rpu_status check_asked(const struct rpu_mapped_array *a, const struct rpu_hardware *h,
                                   struct rpu_error *err) {
    if (a->copies == 0 || a->copies > a->columns)
        return rpu_fail(err, RPU_ERR_RANGE, "%s: %u copies; allowed are 1 to %u, the vectors of an image", a->name,
                        a->copies, a->columns);
    if (a->kind > h->n_kinds)
        return rpu_fail(err, RPU_ERR_RANGE, "%s: kind of tile %u; there are %u", a->name, a->kind, h->n_kinds);
    for (int c = 0; c < 2; c++)
        if (!(a->rereads[c] >= 0.0 && a->rereads[c] <= REREADS_MAX))
            return rpu_fail(err, RPU_ERR_RANGE, "%s: %g rereads of a vector; allowed are 0 to %d", a->name,
                            a->rereads[c], REREADS_MAX);
    return RPU_OK;
}

static double crosspoints_of(const struct rpu_tile_kind *t) {
    return (double)t->rows * t->cols;
}

/* Input lines. */
static uint64_t lines_of(const struct rpu_mapped_array *a) {
    return (uint64_t)a->inputs * a->devices;
}

/* Whether tile t suits the array better than `best` does. */
static int suits(const struct rpu_mapped_array *a, const struct rpu_tile_kind *t, const struct rpu_tile_kind *best) {
    const int fits = a->outputs <= t->rows && lines_of(a) <= t->cols;
    const int best_fits = a->outputs <= best->rows && lines_of(a) <= best->cols;
    const double size = crosspoints_of(t), best_size = crosspoints_of(best);
    if (fits != best_fits)
        return fits;
    if (fits)
        return t->t_meas < best->t_meas || (t->t_meas == best->t_meas && size < best_size);
    return size > best_size || (size == best_size && t->t_meas < best->t_meas);
}

static struct rpu_tile_kind tile_for(const struct rpu_mapped_array *a, const struct rpu_hardware *h) {
    uint32_t best = 0;
    if (h->n_kinds == 0)
        return (struct rpu_tile_kind){a->max_rows ? a->max_rows : a->outputs,
                                      a->max_cols ? a->max_cols : (uint32_t)lines_of(a), h->t_meas};
    if (a->kind)
        return h->kinds[a->kind - 1];
    for (uint32_t k = 1; k < h->n_kinds; k++)
        if (suits(a, &h->kinds[k], &h->kinds[best]))
            best = k;
    return h->kinds[best];
}

/* ---- times ---- */

/* Of a vector in each cycle, and of an image. */
static void set_times(struct rpu_mapped_array *a, double t_slot) {
    a->vector_ns[RPU_CYCLE_FORWARD] = a->tile.t_meas * (1.0 + a->rereads[0]);
    a->vector_ns[RPU_CYCLE_BACKWARD] = a->has_backward ? a->tile.t_meas * (1.0 + a->rereads[1]) : 0.0;
    a->vector_ns[RPU_CYCLE_UPDATE] = t_slot > 0.0 ? a->bl * t_slot : a->tile.t_meas;
    for (int c = 0; c < 3; c++)
        a->ns[c] = a->longest * a->vector_ns[c];
}

static double vector_ns(const struct rpu_mapped_array *a, enum rpu_use use) {
    return use == RPU_USE_INFERENCE ? a->vector_ns[RPU_CYCLE_FORWARD]
                                    : a->vector_ns[0] + a->vector_ns[1] + a->vector_ns[2];
}

double rpu_mapped_ns(const struct rpu_mapped_array *array, enum rpu_use use) {
    return array ? array->longest * vector_ns(array, use) : 0.0;
}

static enum rpu_status compute_array(struct rpu_mapped_array *a, const struct rpu_hardware *h, struct rpu_error *err) {
    uint64_t grid;
    enum rpu_status status = check_asked(a, h, err);
    if (status != RPU_OK)
        return status;
    a->tile = tile_for(a, h);
    if (a->tile.cols < a->devices)
        return rpu_fail(err, RPU_ERR_RANGE, "%s: %u inputs of a tile cannot hold the %u devices of a weight", a->name,
                        a->tile.cols, a->devices);
    a->grid_rows = rpu_pieces(a->outputs, a->tile.rows);
    a->grid_cols = rpu_pieces(a->inputs, a->tile.cols / a->devices);
    grid = (uint64_t)a->grid_rows * a->grid_cols;
    if (grid > TILES_MAX / RPU_LAYERS_MAX / a->columns)
        return rpu_fail(err, RPU_ERR_RANGE, "%s: %u x %u tiles, and as many for each of up to %u copies, are too many",
                        a->name, a->grid_rows, a->grid_cols, a->columns);
    a->tiles = grid * a->copies;
    a->used = (double)a->outputs * (double)lines_of(a) / ((double)grid * crosspoints_of(&a->tile));
    a->longest = rpu_pieces(a->columns, a->copies);
    set_times(a, h->t_slot);
    return RPU_OK;
}

static struct rpu_pace pace_of(const struct rpu_mapping *m, enum rpu_use use) {
    struct rpu_pace pace = {0, 0.0, 0.0};
    for (uint32_t i = 0; i < m->n_arrays; i++) {
        const double ns = rpu_mapped_ns(&m->arrays[i], use);
        pace.alone_ns += ns;
        if (ns > pace.ns) {
            pace.slowest = i;
            pace.ns = ns;
        }
    }
    return pace;
}

enum rpu_status rpu_mapping_compute(struct rpu_mapping *mapping, const struct rpu_hardware *hardware,
                                    struct rpu_error *err) {
    double held = 0.0;
    enum rpu_status status;
    if (!mapping || !hardware || mapping->n_arrays == 0 || mapping->n_arrays > RPU_LAYERS_MAX)
        return rpu_fail(err, RPU_ERR_ARG, "no mapping of arrays, or no hardware");
    status = check_hardware(hardware, err);
    mapping->tiles = 0;
    mapping->crosspoints = 0.0;
    for (uint32_t i = 0; i < mapping->n_arrays && status == RPU_OK; i++) {
        struct rpu_mapped_array *a = &mapping->arrays[i];
        status = compute_array(a, hardware, err);
        mapping->tiles += a->tiles;
        mapping->crosspoints += (double)a->tiles * crosspoints_of(&a->tile);
        held += (double)a->outputs * (double)lines_of(a) * a->copies;
    }
    if (status != RPU_OK)
        return status;
    mapping->used = held / mapping->crosspoints;
    mapping->pace[RPU_USE_TRAINING] = pace_of(mapping, RPU_USE_TRAINING);
    mapping->pace[RPU_USE_INFERENCE] = pace_of(mapping, RPU_USE_INFERENCE);
    return RPU_OK;
}

/* ---- copies that balance the pipeline ---- */

/* Times that differ by less than this share are the same: sums and products of them are rounded. */
#define SAME 1e-12

/* Time of a single copy. */
static double single_ns(const struct rpu_mapped_array *a, enum rpu_use use) {
    return a->columns * vector_ns(a, use);
}

/* Most of the array's vectors for which a copy has the time, at least 1. */
static uint32_t vectors_within(const struct rpu_mapped_array *a, enum rpu_use use, double ns) {
    const double n = ns * (1.0 + SAME) / vector_ns(a, use);
    return n >= a->columns ? a->columns : n < 1.0 ? 1 : (uint32_t)n;
}

/* Time of the fastest leader: the fastest convolution, unless an array takes longer for a single vector, which no
 * copies change. */
static double balanced_ns(const struct rpu_mapping *m, enum rpu_use use) {
    double fastest = HUGE_VAL, floor = 0.0;
    for (uint32_t i = 0; i < m->n_arrays; i++) {
        const double each = vector_ns(&m->arrays[i], use), ns = single_ns(&m->arrays[i], use);
        floor = each > floor ? each : floor;
        if (m->arrays[i].columns > 1 && ns < fastest)
            fastest = ns;
    }
    return fastest < HUGE_VAL && fastest > floor ? fastest : floor;
}

/* The slowest array of a single copy that takes less than `ns`; none: n_arrays. */
static uint32_t next_leader(const struct rpu_mapping *m, enum rpu_use use, double ns) {
    uint32_t leader = m->n_arrays;
    for (uint32_t i = 0; i < m->n_arrays; i++) {
        const double own = single_ns(&m->arrays[i], use);
        if (own < ns * (1.0 - SAME) && (leader == m->n_arrays || own > single_ns(&m->arrays[leader], use)))
            leader = i;
    }
    return leader;
}

static void keep_up(struct rpu_balance *b, const struct rpu_mapping *m, enum rpu_use use, uint32_t leader) {
    const double target = single_ns(&m->arrays[leader], use);
    *b = (struct rpu_balance){.leader = leader};
    for (uint32_t i = 0; i < m->n_arrays; i++) {
        const struct rpu_mapped_array *a = &m->arrays[i];
        double ns;
        b->copies[i] = rpu_pieces(a->columns, vectors_within(a, use, target));
        b->tiles += (uint64_t)a->grid_rows * a->grid_cols * b->copies[i];
        ns = rpu_pieces(a->columns, b->copies[i]) * vector_ns(a, use);
        b->ns = ns > b->ns ? ns : b->ns;
    }
}

size_t rpu_mapping_balance(const struct rpu_mapping *mapping, enum rpu_use use, struct rpu_balance *steps) {
    double end;
    uint32_t leader;
    size_t n = 0;
    if (!mapping || !steps)
        return 0;
    end = balanced_ns(mapping, use);
    leader = next_leader(mapping, use, HUGE_VAL);
    for (; leader < mapping->n_arrays && single_ns(&mapping->arrays[leader], use) >= end * (1.0 - SAME);
         leader = next_leader(mapping, use, single_ns(&mapping->arrays[leader], use)))
        keep_up(&steps[n++], mapping, use, leader);
    return n;
}
