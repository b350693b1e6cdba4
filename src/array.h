/* SPDX-License-Identifier: Apache-2.0 */
/** @file array.h
 *  An array: the weights of one layer on one tile, or on a grid of tiles where they exceed what a tile may have
 *  (max_rows outputs, max_cols inputs).
 *
 *  The grid divides outputs and inputs as evenly as possible (range.h). Each tile has a periphery of its own, with its
 *  own management, and its own number (`split`, row-major in the grid) in the counters. Reads of the tiles are added
 *  digitally, in float: forward over the tiles of a grid row from the first input on, backward over those of a grid
 *  column from the first output on. A perfect array has no tiles to speak of and is never divided.
 *
 *  A convolution's array may have several copies (copies.h), each of them such a grid.
 *
 *  An array of one tile does what its tile does. */
#ifndef RPU_SRC_ARRAY_H
#define RPU_SRC_ARRAY_H

#include "copies.h"
#include "tile.h"

struct rpu_array {
    uint32_t m, n;
    uint32_t rows, cols;       /**< of the grid */
    struct rpu_tile **tiles;   /**< row-major, of each copy one after the other */
    struct rpu_copies *copies; /**< null where there is one */
};

/** As rpu_tile_create; `index` is the array's number in the counters, `columns` how many an image has. RPU_ERR_SHAPE
 * also where more tiles would be needed than the counters can tell apart, or there are more copies than columns. */
enum rpu_status rpu_array_create(struct rpu_array **array, const struct rpu_engine *engine,
                                 const struct rpu_tile_params *params, uint32_t outputs, uint32_t inputs,
                                 uint32_t fan_in, uint64_t seed, uint32_t index, uint32_t columns,
                                 struct rpu_error *err);
void rpu_array_destroy(struct rpu_array *array);

/** Copies, and tiles of all of them. */
uint32_t rpu_array_copies(const struct rpu_array *array);
size_t rpu_array_tiles(const struct rpu_array *array);

/** Bytes of scratch (64-byte aligned) that any of the calls below needs for up to `count` columns. */
size_t rpu_array_scratch(const struct rpu_array *array, size_t count);

/** One read of a block of columns. Counts are added to; each tile counts its own. */
void rpu_array_read(const struct rpu_array *array, enum rpu_array_read which, const struct rpu_block *where,
                    const float *in, size_t ldin, float *out, size_t ldout, void *scratch,
                    struct rpu_read_counts *counts);

/** A read of a single column in parts that several threads can do at a time: ranges of outputs of a single tile, or
 *  tiles. The bits are those of rpu_array_read. */
struct rpu_array_parts {
    size_t parts;     /**< 1: the column is read as a whole */
    size_t floats;    /**< that the parts need to store results in, beside the output */
    int needs_finish; /**< 0: rpu_array_read_finish has nothing to do but to count, see rpu_array_count_part */
};

/** How to divide a column's read among `threads` threads; by the array's shape alone, where the work is worth it. */
struct rpu_array_parts rpu_array_divide(const struct rpu_array *array, enum rpu_array_read which, size_t threads);

/** Reads part `part`. `stored` is room for the floats asked for; `counts`, cleared by the caller, is the part's own. */
void rpu_array_read_part(const struct rpu_array *array, enum rpu_array_read which, const struct rpu_block *where,
                         const float *in, float *out, const struct rpu_array_parts *division, size_t part,
                         float *stored, void *scratch, struct rpu_read_counts *counts);

/** What is left to do when all parts are read: the sum of the tiles, or the bound management of the column. `of_parts`
 *  holds the counts of the parts; those of the read are added to `counts`. */
void rpu_array_read_finish(const struct rpu_array *array, enum rpu_array_read which, const struct rpu_block *where,
                           const float *in, float *out, const struct rpu_array_parts *division, const float *stored,
                           const struct rpu_read_counts *of_parts, void *scratch, struct rpu_read_counts *counts);

/** Where rpu_array_read_finish is not needed: adds the counts of part `part` to those of the read. */
void rpu_array_count_part(size_t part, const struct rpu_read_counts *of_part, struct rpu_read_counts *counts);

/** Words of the pulse trains of `columns` vectors; 0 for a perfect array. */
size_t rpu_array_train_words(const struct rpu_array *array, size_t columns);

/** First half of an update: draws the pulse trains of a block of vectors, of `columns` in all, into their place in
 *  `trains`; x and d are those of the block's first vector. Counts are added to. */
void rpu_array_draw(const struct rpu_array *array, size_t columns, const struct rpu_block *where, const float *x,
                    size_t ldx, const float *d, size_t ldd, float eta, uint64_t *trains, void *scratch,
                    struct rpu_update_counts *counts);

/** Second half, of all vectors: part `part` out of rpu_array_tiles() * parts, a range of rows of one tile. x, d and eta
 *  serve perfect arrays alone. Counts are added to; with those of drawing, those of all parts make the whole. */
void rpu_array_apply_part(struct rpu_array *array, const struct rpu_block *where, const float *x, size_t ldx,
                          const float *d, size_t ldd, float eta, const uint64_t *trains, size_t parts, size_t part,
                          void *scratch, struct rpu_update_counts *counts);

/** Ranges of rows of each tile in which `threads` threads apply an image's pulses. */
size_t rpu_array_update_parts(const struct rpu_array *array, size_t columns, size_t threads);

/** Several columns in bands, one for a thread at a time: least work of a band, in crosspoints times columns; least
 *  columns, kernels take six at a time; and most bands of a thread. */
enum { RPU_BAND_WORK = 32768, RPU_BAND_COLUMNS = 6, RPU_BANDS_OF_A_THREAD = 3 };

/** Logical weights, row-major, copies x outputs x inputs; as for a tile. */
enum rpu_status rpu_array_get_weights(const struct rpu_array *array, float *weights);
enum rpu_status rpu_array_set_weights(struct rpu_array *array, const float *weights);
/** Copies one row of the logical weights, of copies x outputs. */
void rpu_array_row(const struct rpu_array *array, size_t row, float *weights);
/** Whether all of them are finite numbers. */
int rpu_array_is_finite(const struct rpu_array *array);
double rpu_array_at_bound(const struct rpu_array *array);

#endif
