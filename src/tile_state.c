/* SPDX-License-Identifier: Apache-2.0 */
#include "tile_state.h"

#include "error.h"

#include <math.h>
#include <string.h>

static const char *const names[RPU_QUANTITIES] = {"weight", "dw_up", "dw_down", "bound_upper", "bound_lower"};

const char *rpu_quantity_name(size_t quantity) {
    return quantity < RPU_QUANTITIES ? names[quantity] : NULL;
}

size_t rpu_tile_quantities(const struct rpu_tile *tile) {
    return tile->dev ? RPU_QUANTITIES : 1;
}

size_t rpu_tile_rows(const struct rpu_tile *tile) {
    return (size_t)tile->m * tile->devices; /* one device's behind the other's */
}

size_t rpu_tile_cols(const struct rpu_tile *tile) {
    return tile->n;
}

/* Weight units of the 16-bit form. */
static float unit_of(const struct rpu_tile *tile, enum rpu_quantity quantity) {
    const struct rpu_device *d = &tile->params.device;
    return (quantity < RPU_QUANTITY_BOUND_UPPER ? d->dw_min : d->bound) * RPU_DEV_UNIT;
}

/* Where a crosspoint's parameters have this one. */
static unsigned part_of(enum rpu_quantity quantity) {
    return (unsigned)quantity - RPU_QUANTITY_DW_UP;
}

void rpu_tile_state_row(const struct rpu_tile *tile, enum rpu_quantity quantity, size_t row, float *values) {
    const float unit = unit_of(tile, quantity);
    if (quantity == RPU_QUANTITY_WEIGHT) {
        memcpy(values, tile->w + row * tile->ldw, rpu_tile_cols(tile) * sizeof *values);
        return;
    }
    for (size_t j = 0; j < rpu_tile_cols(tile); j++)
        values[j] = (float)tile->dev[row * tile->ldw * 4 + rpu_dev_index(j, part_of(quantity))] * unit;
}

/* The 16-bit form of a parameter; 0 where it has none. */
static int to_fixed(float value, float unit, uint16_t *fixed) {
    const float q = value / unit + 0.5f;
    if (!(q >= 0.0f && q < 65536.0f))
        return 0;
    *fixed = (uint16_t)q;
    return (float)*fixed * unit == value;
}

/* The first crosspoint whose values cannot be; the number of crosspoints when all can. */
static size_t find_bad(const struct rpu_tile *tile, const float *const values[RPU_QUANTITIES], const char **what) {
    const size_t count = rpu_tile_rows(tile) * rpu_tile_cols(tile), quantities = rpu_tile_quantities(tile);
    uint16_t fixed;
    for (size_t at = 0; at < count; at++) {
        const float w = values[RPU_QUANTITY_WEIGHT][at];
        *what = names[RPU_QUANTITY_WEIGHT];
        if (!isfinite(w) ||
            (quantities > 1 && (w > values[RPU_QUANTITY_BOUND_UPPER][at] || w < -values[RPU_QUANTITY_BOUND_LOWER][at])))
            return at;
        for (size_t q = 1; q < quantities; q++) {
            *what = names[q];
            if (!to_fixed(values[q][at], unit_of(tile, (enum rpu_quantity)q), &fixed))
                return at;
        }
    }
    return count;
}

enum rpu_status rpu_tile_state_set(struct rpu_tile *tile, const float *const values[RPU_QUANTITIES],
                                   struct rpu_error *err) {
    const size_t rows = rpu_tile_rows(tile), cols = rpu_tile_cols(tile), quantities = rpu_tile_quantities(tile);
    const char *what = "";
    const size_t bad = find_bad(tile, values, &what);
    if (bad < rows * cols)
        return rpu_fail(err, RPU_ERR_RANGE, "%s of crosspoint (%zu, %zu) is one that this device cannot have", what,
                        bad / cols, bad % cols);
    for (size_t i = 0; i < rows; i++) {
        memcpy(tile->w + i * tile->ldw, values[RPU_QUANTITY_WEIGHT] + i * cols, cols * sizeof *tile->w);
        for (size_t q = 1; q < quantities; q++)
            for (size_t j = 0; j < cols; j++)
                to_fixed(values[q][i * cols + j], unit_of(tile, (enum rpu_quantity)q),
                         &tile->dev[i * tile->ldw * 4 + rpu_dev_index(j, part_of((enum rpu_quantity)q))]);
    }
    rpu_tile_sum(tile, 0, tile->m);
    return RPU_OK;
}
