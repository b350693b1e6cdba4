/* SPDX-License-Identifier: Apache-2.0 */
/* The constant-step device: what a crosspoint is given at construction. A new device model is a file beside this one
 * and a row in rpu_device_draw's callers. */
#include "tile.h"

#include "rng.h"

#include <math.h>
#include <string.h>

/* Value to 16-bit fixed point; larger spreads than the format holds end at its limits. */
static uint16_t to_fixed(float v) {
    const float q = fabsf(v) * (1.0f / RPU_DEV_UNIT) + 0.5f;
    return (uint16_t)(q < 65535.0f ? q : 65535.0f);
}

static void draw_row(const struct rpu_tile *t, enum rpu_rng_purpose purpose, uint32_t device, size_t i, float *out) {
    const struct rpu_stream s = rpu_device_stream(t, purpose, 0, device);
    t->k->gaussian(&s, (uint64_t)i * t->n, t->n, out);
}

/* Steps g + r and g - r, bounds 1 + spread xi, all relative to their means (PAPER.md's RPU-baseline). */
static void draw_devices(struct rpu_tile *t, uint32_t device, size_t i, float *xi) {
    const struct rpu_device *d = &t->params.device;
    uint16_t *dev = t->dev + 4 * (device * t->plane + i * t->ldw);
    float *step = xi, *imbalance = xi + t->n, *up = xi + 2 * (size_t)t->n, *down = xi + 3 * (size_t)t->n;
    draw_row(t, RPU_RNG_STEP, device, i, step);
    draw_row(t, RPU_RNG_IMBALANCE, device, i, imbalance);
    draw_row(t, RPU_RNG_BOUND_UP, device, i, up);
    draw_row(t, RPU_RNG_BOUND_DOWN, device, i, down);
    for (size_t j = 0; j < t->n; j++) {
        const float g = fmaf(d->dw_min_dtod, step[j], 1.0f), r = d->imbalance_dtod * imbalance[j];
        dev[rpu_dev_index(j, 0)] = to_fixed(g + r);
        dev[rpu_dev_index(j, 1)] = to_fixed(g - r);
        dev[rpu_dev_index(j, 2)] = to_fixed(fmaf(d->bound_dtod, up[j], 1.0f));
        dev[rpu_dev_index(j, 3)] = to_fixed(fmaf(d->bound_dtod, down[j], 1.0f));
    }
}

void rpu_device_bounds(const struct rpu_tile *t, uint32_t device, size_t i, size_t j, float *lower, float *upper) {
    const float unit = t->params.device.bound * RPU_DEV_UNIT;
    if (!t->dev) {
        *lower = -INFINITY;
        *upper = INFINITY;
        return;
    }
    const uint16_t *dev = t->dev + 4 * (device * t->plane + i * t->ldw);
    *upper = (float)dev[rpu_dev_index(j, 2)] * unit;
    *lower = -((float)dev[rpu_dev_index(j, 3)] * unit);
}

/* Uniform in +-1/sqrt(fan_in): 24 bits, midpoints, so that the mean is 0. The same for all devices and copies. */
static void draw_weights(struct rpu_tile *t, uint32_t device, size_t i, uint32_t fan_in) {
    const struct rpu_stream s = rpu_tile_stream(t, RPU_RNG_WEIGHT, 0);
    const uint32_t word3 = rpu_counter_no_copy(s.ctr[3]);
    const float limit = 1.0f / sqrtf((float)fan_in);
    uint32_t words[4];
    for (size_t j = 0; j < t->n; j++) {
        const uint64_t e = (uint64_t)i * t->n + j;
        float lower, upper, *w = &t->w[device * t->plane + i * t->ldw + j];
        if (j == 0 || e % 4 == 0)
            rpu_philox_block(s.key, (uint32_t[4]){(uint32_t)(e / 4), s.ctr[1], s.ctr[2], word3}, words);
        *w = fmaf((float)(int32_t)(words[e % 4] >> 8), 0x1p-23f, -1.0f + 0x1p-24f) * limit;
        rpu_device_bounds(t, device, i, j, &lower, &upper);
        *w = *w > upper ? upper : (*w < lower ? lower : *w);
    }
}

/* What is behind the end of a row is 0. */
static void clear_padding(struct rpu_tile *t, uint32_t device, size_t i) {
    const size_t end = device * t->plane + i * t->ldw + t->n;
    memset(t->w + end, 0, (t->ldw - t->n) * sizeof *t->w);
    if (t->dev)
        memset(t->dev + 4 * end, 0, (t->ldw - t->n) * 4 * sizeof *t->dev);
}

void rpu_device_draw(struct rpu_tile *tile, uint32_t fan_in, size_t row0, size_t row1, float *row) {
    for (uint32_t k = 0; k < tile->devices; k++)
        for (size_t i = row0; i < row1; i++) {
            if (tile->dev)
                draw_devices(tile, k, i, row);
            draw_weights(tile, k, i, fan_in);
            clear_padding(tile, k, i);
        }
    rpu_tile_sum(tile, row0, row1);
}
