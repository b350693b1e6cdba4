/* SPDX-License-Identifier: Apache-2.0 */
/** @file copies.h
 *  Copies of a convolution's array (replicated arrays): the output positions of an image are divided among them, so
 * that each is read and updated for its share of the columns only. Copies begin with the same weights, as far as their
 * bounds allow, have devices and random numbers of their own, and are never made equal again. Training and evaluation
 * use the same division.
 *
 *  Copy c of R has rpu_range(columns, R, c) positions: consecutive ones, or those at these places of a permutation that
 * is drawn once for the array or anew for each image (RPU_RNG_DIVISION, as the images' order is drawn). A copy works
 * off its positions in rising order, and its columns are numbered by that. */
#ifndef RPU_SRC_COPIES_H
#define RPU_SRC_COPIES_H

#include "tile.h"

struct rpu_array;

/** Who has which position. */
struct rpu_copies {
    enum rpu_division division;
    uint32_t count, columns; /**< copies, positions */
    uint32_t array;
    uint64_t seed;
    uint32_t *owner;   /**< copy of each position; null where it is drawn anew for each image */
    uint32_t *ordinal; /**< its number among the copy's own */
};

/** RPU_ERR_SHAPE: more copies than positions; RPU_ERR_NOMEM. */
enum rpu_status rpu_copies_create(struct rpu_copies **copies, enum rpu_division division, uint32_t count,
                                  uint32_t columns, uint64_t seed, uint32_t array, struct rpu_error *err);
void rpu_copies_destroy(struct rpu_copies *copies);

/** Owner and ordinal of each position in an image, into room for `columns` each; `order` is room for as many. */
void rpu_copies_divide(const struct rpu_copies *copies, uint32_t image, uint32_t evaluate, uint32_t *owner,
                       uint32_t *ordinal, uint32_t *order);

/** Bytes of scratch that the calls below need beside those of an array of one copy, for up to `count` columns. */
size_t rpu_copies_scratch(const struct rpu_array *array, size_t count);

/** As rpu_array_read, rpu_array_draw and rpu_array_apply_part, of an array with several copies. */
void rpu_copies_read(const struct rpu_array *array, enum rpu_array_read which, const struct rpu_block *where,
                     const float *in, size_t ldin, float *out, size_t ldout, void *scratch,
                     struct rpu_read_counts *counts);
void rpu_copies_draw(const struct rpu_array *array, const struct rpu_block *where, const float *x, size_t ldx,
                     const float *d, size_t ldd, float eta, uint64_t *trains, void *scratch,
                     struct rpu_update_counts *counts);
void rpu_copies_apply_part(const struct rpu_array *array, const struct rpu_block *where, float eta,
                           const uint64_t *trains, size_t parts, size_t part, void *scratch,
                           struct rpu_update_counts *counts);

#endif
