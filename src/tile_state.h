/* SPDX-License-Identifier: Apache-2.0 */
/** @file tile_state.h
 *  What a tile's crosspoints hold, one quantity after the other, for files that keep it. */
#ifndef RPU_SRC_TILE_STATE_H
#define RPU_SRC_TILE_STATE_H

#include "tile.h"

/** What a crosspoint has, in weight units. A perfect tile has weights alone. */
enum rpu_quantity {
    RPU_QUANTITY_WEIGHT,
    RPU_QUANTITY_DW_UP,       /**< size of an up step */
    RPU_QUANTITY_DW_DOWN,     /**< size of a down step */
    RPU_QUANTITY_BOUND_UPPER, /**< largest weight */
    RPU_QUANTITY_BOUND_LOWER, /**< distance of the least weight from 0 */
    RPU_QUANTITIES
};

/** "weight", "dw_up", ...; null when out of range. */
const char *rpu_quantity_name(size_t quantity);

/** Quantities that a tile has, the first so many of the list. */
size_t rpu_tile_quantities(const struct rpu_tile *tile);

/** Rows and columns of crosspoints. */
size_t rpu_tile_rows(const struct rpu_tile *tile);
size_t rpu_tile_cols(const struct rpu_tile *tile);

/** Copies one row of a quantity out. */
void rpu_tile_state_row(const struct rpu_tile *tile, enum rpu_quantity quantity, size_t row, float *values);

/** Sets everything from whole quantities, row-major; values[q] for each that the tile has. RPU_ERR_RANGE, and nothing
 *  is changed, where a value is none that a crosspoint of this tile can have: a weight that is not finite or beyond its
 *  bounds, a parameter that its 16-bit form does not give. */
enum rpu_status rpu_tile_state_set(struct rpu_tile *tile, const float *const values[RPU_QUANTITIES],
                                   struct rpu_error *err);

#endif
