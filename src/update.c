/* SPDX-License-Identifier: Apache-2.0 */
/* From gradients to pulses: gains (update management), drawing of the pulse trains, and their application. */
#include "tile.h"

#include "small.h"

#include <math.h>

static int is_perfect(const struct rpu_tile *tile) {
    return tile->params.device.kind == RPU_DEVICE_PERFECT; /* no pulses, and a bit length that nothing checked */
}

static size_t kernel_scratch(const struct rpu_tile *tile, size_t count) {
    return rpu_lines(rpu_pulse_scratch(tile->m, tile->n, count, (uint32_t)tile->params.update.bl));
}

size_t rpu_update_scratch(const struct rpu_tile *tile, size_t count) {
    return is_perfect(tile) ? 0 : kernel_scratch(tile, count) + 3 * count * sizeof(float);
}

size_t rpu_update_train_words(const struct rpu_tile *tile) {
    return is_perfect(tile) ? 0 : rpu_train_words(tile->m, tile->n, (uint32_t)tile->params.update.bl);
}

void rpu_update_gains(const struct rpu_tile *tile, size_t count, const float *x, size_t ldx, const float *d, size_t ldd,
                      float eta, const struct rpu_gains *gains) {
    const struct rpu_update_params *u = &tile->params.update;
    const float c = sqrtf(eta / ((float)u->bl * tile->params.device.dw_min));
    tile->k->absmax(count, tile->n, x, ldx, gains->peak);
    tile->k->absmax(count, tile->m, d, ldd, gains->d);
    tile->k->gains(count, c, u->um, gains->peak, gains->d, gains->x, gains->d);
}

/* What drawing and applying share. The rest is not cleared, which took 30 of the 830 ns of a small array. */
static void begin(struct rpu_pulse_args *args, const struct rpu_tile *tile, const struct rpu_block *where,
                  void *scratch) {
    args->m = tile->m;
    args->n = tile->n;
    args->columns = where->count;
    args->column = where->column;
    args->bl = (uint32_t)tile->params.update.bl;
    args->scratch = scratch;
}

static void add_counts(struct rpu_update_counts *to, const struct rpu_pulse_counts *c) {
    to->row_pulses += c->row_pulses;
    to->column_pulses += c->column_pulses;
    to->coincidences += c->coincidences;
    to->clipped += c->clipped;
}

void rpu_update_draw(const struct rpu_tile *tile, const struct rpu_block *where, const float *x, size_t ldx,
                     const float *d, size_t ldd, const struct rpu_gains *gains, uint64_t *trains, size_t apart,
                     void *scratch, struct rpu_update_counts *counts) {
    struct rpu_pulse_args args;
    begin(&args, tile, where, scratch);
    args.x = x, args.ldx = ldx, args.d = d, args.ldd = ldd;
    args.gain_x = gains->x, args.gain_d = gains->d, args.peak = gains->peak;
    /* the devices share the lines of the rows */
    args.row_bits = rpu_tile_stream(tile, RPU_RNG_ROW_BITS, where->image);
    args.row_ties = rpu_tile_stream(tile, RPU_RNG_ROW_TIES, where->image);
    for (uint32_t k = 0; k < tile->devices; k++) {
        struct rpu_pulse_counts c = {0, 0, 0, 0};
        args.trains = trains + k * apart;
        args.col_bits = rpu_device_stream(tile, RPU_RNG_COL_BITS, where->image, k);
        args.col_ties = rpu_device_stream(tile, RPU_RNG_COL_TIES, where->image, k);
        tile->k->pulse_draw(&args, &c);
        add_counts(counts, &c);
    }
}

void rpu_tile_draw(const struct rpu_tile *tile, const struct rpu_block *where, const float *x, size_t ldx,
                   const float *d, size_t ldd, float eta, uint64_t *trains, size_t apart, void *scratch,
                   struct rpu_update_counts *counts) {
    if (is_perfect(tile))
        return;
    float *gain = (float *)(void *)((unsigned char *)scratch + kernel_scratch(tile, where->count));
    const struct rpu_gains gains = {gain, gain + where->count, gain + 2 * (size_t)where->count};
    rpu_update_gains(tile, where->count, x, ldx, d, ldd, eta, &gains);
    rpu_update_draw(tile, where, x, ldx, d, ldd, &gains, trains, apart, scratch, counts);
}

void rpu_tile_apply(struct rpu_tile *tile, const struct rpu_block *where, const float *x, size_t ldx, const float *d,
                    size_t ldd, float eta, const uint64_t *trains, size_t row0, size_t row1, void *scratch,
                    struct rpu_update_counts *counts) {
    const struct rpu_device *dev = &tile->params.device;
    struct rpu_pulse_args args;
    if (is_perfect(tile)) {
        tile->k->outer(row0, row1, tile->n, where->count, tile->w, tile->ldw, x, ldx, d, ldd, eta);
        return;
    }
    begin(&args, tile, where, scratch);
    args.row0 = row0, args.row1 = row1;
    args.step_unit = dev->dw_min * RPU_DEV_UNIT, args.bound_unit = dev->bound * RPU_DEV_UNIT;
    args.ctoc = dev->dw_min_ctoc;
    for (uint32_t k = 0; k < tile->devices; k++) {
        struct rpu_pulse_counts c = {0, 0, 0, 0};
        args.trains = (uint64_t *)(uintptr_t)trains + k * where->count * rpu_update_train_words(tile); /* only read */
        args.w = tile->w + k * tile->plane;
        args.dev = tile->dev + 4 * k * tile->plane;
        args.noise = rpu_device_stream(tile, RPU_RNG_CTOC, where->image, k);
        tile->k->pulse_apply(&args, &c);
        c.row_pulses = k == 0 ? c.row_pulses : 0; /* their lines are shared */
        add_counts(counts, &c);
    }
    rpu_tile_sum(tile, row0, row1);
}
