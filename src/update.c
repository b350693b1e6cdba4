/* SPDX-License-Identifier: Apache-2.0 */
/* From gradients to pulses: gains (update management) and the call of the pulse kernel. */
#include "tile.h"

#include <math.h>

size_t rpu_update_scratch(const struct rpu_tile *tile, size_t count) {
    if (tile->params.device.kind == RPU_DEVICE_PERFECT) /* no pulses, and a bit length that nothing checked */
        return 0;
    return rpu_pulse_scratch(tile->m, tile->n, count, (uint32_t)tile->params.update.bl);
}

void rpu_update_gains(const struct rpu_tile *tile, size_t count, const float *x, size_t ldx, const float *d, size_t ldd,
                      float eta, const struct rpu_gains *gains) {
    const struct rpu_update_params *u = &tile->params.update;
    const float c = sqrtf(eta / ((float)u->bl * tile->params.device.dw_min));
    tile->k->absmax(count, tile->n, x, ldx, gains->peak);
    tile->k->absmax(count, tile->m, d, ldd, gains->d);
    tile->k->gains(count, c, u->um, gains->peak, gains->d, gains->x, gains->d);
}

/* The crosspoints of one device. The pulses of a row are those of device 0 for all of them. */
static struct rpu_pulse_counts pulse_device(struct rpu_tile *tile, struct rpu_pulse_args *args, uint32_t image,
                                            uint32_t device) {
    struct rpu_pulse_counts c = {0, 0, 0, 0};
    args->w = tile->w + device * tile->plane;
    args->dev = tile->dev + 4 * device * tile->plane;
    args->col_bits = rpu_device_stream(tile, RPU_RNG_COL_BITS, image, device);
    args->col_ties = rpu_device_stream(tile, RPU_RNG_COL_TIES, image, device);
    args->noise = rpu_device_stream(tile, RPU_RNG_CTOC, image, device);
    tile->k->pulse(args, &c);
    return c;
}

void rpu_tile_update_rows(struct rpu_tile *tile, const struct rpu_block *where, const float *x, size_t ldx,
                          const float *d, size_t ldd, float eta, const struct rpu_gains *gains, size_t row0,
                          size_t row1, void *scratch, struct rpu_update_counts *counts) {
    const struct rpu_device *dev = &tile->params.device;
    if (dev->kind == RPU_DEVICE_PERFECT) {
        tile->k->outer(row0, row1, tile->n, where->count, tile->w, tile->ldw, x, ldx, d, ldd, eta);
        return;
    }
    struct rpu_pulse_args args = {
        .m = tile->m,
        .n = tile->n,
        .row0 = row0,
        .row1 = row1,
        .columns = where->count,
        .column = where->column,
        .x = x,
        .ldx = ldx,
        .d = d,
        .ldd = ldd,
        .gain_x = gains->x,
        .gain_d = gains->d,
        .peak = gains->peak,
        .step_unit = dev->dw_min * RPU_DEV_UNIT,
        .bound_unit = dev->bound * RPU_DEV_UNIT,
        .ctoc = dev->dw_min_ctoc,
        .bl = (uint32_t)tile->params.update.bl,
        .row_bits = rpu_tile_stream(tile, RPU_RNG_ROW_BITS, where->image),
        .row_ties = rpu_tile_stream(tile, RPU_RNG_ROW_TIES, where->image),
        .scratch = scratch,
    };
    for (uint32_t k = 0; k < tile->devices; k++) {
        const struct rpu_pulse_counts c = pulse_device(tile, &args, where->image, k);
        counts->row_pulses += k == 0 ? c.row_pulses : 0; /* the devices share the lines of the rows */
        counts->column_pulses += c.column_pulses;
        counts->coincidences += c.coincidences;
        counts->clipped += c.clipped;
    }
    rpu_tile_sum(tile, row0, row1);
}
