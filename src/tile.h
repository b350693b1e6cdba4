/* SPDX-License-Identifier: Apache-2.0 */
/** @file tile.h
 *  A tile from inside: its state, and the cycles with the memory and the division of work given by the caller. */
#ifndef RPU_SRC_TILE_H
#define RPU_SRC_TILE_H

#include "engine.h"

#include <rpu/tile.h>

#define RPU_TILE_TAG 0x52505554u /* a foreign object does not carry it */

/** What the converters of a read come to, worked out once. */
struct rpu_stage {
    float dac_steps, dac_step; /**< contract of kernel `dac` */
    struct rpu_output_stage output;
};

struct rpu_tile {
    uint32_t tag;
    uint32_t m, n;
    uint32_t devices; /**< crosspoints of a weight */
    size_t ldw;       /**< rpu_padded(n) */
    size_t plane;     /**< m x ldw: from the crosspoints of one device to those of the next */
    const struct rpu_kernels *k;
    struct rpu_tile_params params;
    uint64_t seed;
    uint32_t word3;                     /**< its place in the counters */
    uint32_t keys[RPU_RNG_PURPOSES][2]; /**< mix of the seed and each purpose */
    struct rpu_stage stages[2];         /**< converters of the forward and the backward read */
    float *w;                           /**< devices x m x ldw */
    uint16_t *dev;                      /**< devices x m x ldw x 4 fixed-point parameters; null for a perfect tile */
    float *sum;                         /**< m x ldw: the sums of the devices' weights; w itself where there is one */
    void *scratch;                      /**< for the public calls */
    size_t scratch_size;
};

/** The tile's stream for a purpose and image, of one of its devices. */
static inline struct rpu_stream rpu_device_stream(const struct rpu_tile *tile, enum rpu_rng_purpose purpose,
                                                  uint32_t image, uint32_t device) {
    const struct rpu_stream s = {{tile->keys[purpose][0], tile->keys[purpose][1]},
                                 {0, image, 0, tile->word3 | rpu_counter_array(0, 0, device, 0)}};
    return s;
}

/** That of device 0. */
static inline struct rpu_stream rpu_tile_stream(const struct rpu_tile *tile, enum rpu_rng_purpose purpose,
                                                uint32_t image) {
    return rpu_device_stream(tile, purpose, image, 0);
}

/** As rpu_tile_create, of copy `copy` (0..63) of an array, and without drawing what its crosspoints get: their memory
 * is not touched. */
enum rpu_status rpu_tile_make(struct rpu_tile **tile, const struct rpu_engine *engine,
                              const struct rpu_tile_params *params, uint32_t outputs, uint32_t inputs, uint32_t fan_in,
                              uint64_t seed, uint32_t array, uint32_t split, uint32_t copy, struct rpu_error *err);

/** Draws weights and devices of the tiles of one array. Each thread is the first to touch an equal share of them, tile
 * by tile and row by row, as updates divide them. */
enum rpu_status rpu_tiles_draw(struct rpu_tile *const *tiles, size_t count, const struct rpu_engine *engine,
                               uint32_t fan_in, struct rpu_error *err);

/** Sets keys and stages from the tile's seed and parameters. */
void rpu_tile_prepare(struct rpu_tile *tile);

/** Kinds of reads of an array. */
enum rpu_array_read { RPU_ARRAY_FORWARD, RPU_ARRAY_EVALUATE, RPU_ARRAY_BACKWARD };

/** Which read of the array. */
struct rpu_read {
    enum rpu_rng_purpose purpose;
    int transposed; /**< 0: y = W x, 1: z = W^T d */
    const struct rpu_periphery *periphery;
    uint64_t first; /**< element of the noise's stream that the first output of column 0 draws; 0 for a whole tile */
};

/** Gains of an update, one of each per vector. */
struct rpu_gains {
    float *x;    /**< C_x */
    float *d;    /**< C_d; 0: the vector changes nothing */
    float *peak; /**< max |x| */
};

/** Draws device parameters and initial weights of rows [row0, row1), padding included: whoever calls it is the first
 *  to touch that memory. `row` is room for 4 n floats. */
void rpu_device_draw(struct rpu_tile *tile, uint32_t fan_in, size_t row0, size_t row1, float *row);

/** Upper and lower bound of a crosspoint in weight units (infinite for a perfect tile). */
void rpu_device_bounds(const struct rpu_tile *tile, uint32_t device, size_t i, size_t j, float *lower, float *upper);

/** Adds up the devices' weights of rows [row0, row1), from device 0 on: to be called whenever they have changed. Does
 *  nothing where a weight has one device. */
void rpu_tile_sum(struct rpu_tile *tile, size_t row0, size_t row1);

/** Copies the logical weights of one row. */
void rpu_tile_row(const struct rpu_tile *tile, size_t row, float *weights);

/** Sets the weights from rows of `weights`, `ld` apart, each clipped to its crosspoint's bounds. */
void rpu_tile_put(struct rpu_tile *tile, const float *weights, size_t ld);

/** Columns that a read of `count` takes at a time: a multiple of what product kernels like, so many that converted
 *  inputs and outputs stay in the first-level cache, or where those are few, in the second-level cache. */
size_t rpu_read_chunk(const struct rpu_tile *tile, size_t count);
/** Bytes of scratch (64-byte aligned) that a read of up to `count` columns needs. */
size_t rpu_read_scratch(const struct rpu_tile *tile, size_t count);
/** Bytes of scratch that drawing or applying the pulses of `count` columns needs. */
size_t rpu_update_scratch(const struct rpu_tile *tile, size_t count);

/** One read of a block of columns through the periphery. Counts are added to. */
void rpu_tile_read(const struct rpu_tile *tile, const struct rpu_read *read, const struct rpu_block *where,
                   const float *in, size_t ldin, float *out, size_t ldout, void *scratch,
                   struct rpu_read_counts *counts);

/** The reads of the three kinds of pass. */
struct rpu_read rpu_read_forward(const struct rpu_tile *tile, int evaluate);
struct rpu_read rpu_read_backward(const struct rpu_tile *tile);

/** Update management: the gains of `count` vectors. */
void rpu_update_gains(const struct rpu_tile *tile, size_t count, const float *x, size_t ldx, const float *d, size_t ldd,
                      float eta, const struct rpu_gains *gains);

/** Words of the pulse trains of a vector for one device (kernels.h); 0 for a perfect tile, which has none. */
size_t rpu_update_train_words(const struct rpu_tile *tile);

/** Pulse trains of a block of vectors, with gains that are there; those of a device stand `apart` words behind those of
 *  the one before. Counts are added to. */
void rpu_update_draw(const struct rpu_tile *tile, const struct rpu_block *where, const float *x, size_t ldx,
                     const float *d, size_t ldd, const struct rpu_gains *gains, uint64_t *trains, size_t apart,
                     void *scratch, struct rpu_update_counts *counts);

/** First half of an update: gains and pulse trains of a block of vectors. Counts are added to. */
void rpu_tile_draw(const struct rpu_tile *tile, const struct rpu_block *where, const float *x, size_t ldx,
                   const float *d, size_t ldd, float eta, uint64_t *trains, size_t apart, void *scratch,
                   struct rpu_update_counts *counts);

/** Second half: rows [row0, row1) are changed by pulse trains, those of one device right behind those of another; x, d
 * and eta serve a perfect tile alone. Counts are added to; with those of drawing, those of all row ranges make the
 * whole. */
void rpu_tile_apply(struct rpu_tile *tile, const struct rpu_block *where, const float *x, size_t ldx, const float *d,
                    size_t ldd, float eta, const uint64_t *trains, size_t row0, size_t row1, void *scratch,
                    struct rpu_update_counts *counts);

#endif
