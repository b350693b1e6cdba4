/* SPDX-License-Identifier: Apache-2.0 */
/** @file tile.h
 *  One crossbar array with its periphery: the three cycles on blocks of columns.
 *
 *  Source of the method: Gokmen, Onen, Haensch, Front. Neurosci. 11:538 (2017); Gokmen, Vlasov,
 *  Front. Neurosci. 10:333 (2016). M = outputs (rows), N = inputs including the bias (columns of the
 *  array). A block of `count` columns is `count` input vectors, each contiguous: element k of vector p
 *  is `x[p * ldx + k]`. */
#ifndef RPU_TILE_H
#define RPU_TILE_H

#include <stddef.h>
#include <stdint.h>

#include <rpu/engine.h>
#include <rpu/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a crosspoint is made of. */
enum rpu_device_kind {
    RPU_DEVICE_PERFECT,      /**< floating-point weights, exact products, exact rank-one updates; no periphery */
    RPU_DEVICE_CONSTANT_STEP /**< constant-step RPU device with its own up step, down step and bounds */
};

/** Noise management: what the input vector is divided by before a read (and the result multiplied by). */
enum rpu_nm { RPU_NM_NONE, RPU_NM_ABS_MAX };

/** Bound management: what happens when an output saturates. */
enum rpu_bm { RPU_BM_NONE, RPU_BM_ITERATIVE };

/** Digital and converter side of one cycle that reads the array (forward or backward). */
struct rpu_periphery {
    int32_t in_bits;  /**< DAC resolution in bits, 2..16; 0 = off (values are clipped to [-1,1], not rounded) */
    int32_t out_bits; /**< ADC resolution in bits, 2..16; 0 = off (outputs are clipped, not rounded) */
    float noise;      /**< sigma of the Gaussian added to each output at each read, >= 0 */
    float bound;      /**< alpha: outputs are clipped to +-alpha; 0 = no bound (the ADC must then be off) */
    enum rpu_nm nm;   /**< noise management */
    enum rpu_bm bm;   /**< bound management; needs a bound */
    int32_t bm_limit; /**< most halvings of the input by bound management, 0..30; the last read stands */
};

/** Parameters of the constant-step device. Spreads are relative standard deviations; 0 switches one off. What a
 *  crosspoint gets, steps and bounds, is a magnitude, rounded to a multiple of 2^-13 of the mean (dw_min, bound);
 *  it ends at 8 times the mean. */
struct rpu_device {
    enum rpu_device_kind kind;
    float dw_min;         /**< mean weight change of one coincidence, > 0 */
    float dw_min_dtod;    /**< device-to-device spread of dw_min, 0..1 (paper: 0.3) */
    float dw_min_ctoc;    /**< cycle-to-cycle spread of one coincidence, 0..1 (paper: 0.3) */
    float imbalance_dtod; /**< device-to-device spread added to the up and subtracted from the down step, 0..1
                               (0.01 gives the paper's 2 % spread of the up/down ratio) */
    float bound;          /**< mean of the weight bound |w|, > 0 (paper: 0.6) */
    float bound_dtod;     /**< device-to-device spread of each side's bound, 0..1 (paper: 0.3) */
};

/** How the output positions of a convolution are divided among the copies of its array. */
enum rpu_division {
    RPU_DIVISION_BLOCKS, /**< consecutive positions */
    RPU_DIVISION_RANDOM, /**< at random, once for all images */
    RPU_DIVISION_REDRAWN /**< at random, for each image anew */
};

/** How gradients become pulses. */
struct rpu_update_params {
    int32_t bl; /**< bit length: slots of a pulse train, 1..255 */
    int32_t um; /**< update management: 1 on, 0 off */
};

/** Everything one array is told. */
struct rpu_tile_params {
    struct rpu_device device;
    struct rpu_periphery forward;
    struct rpu_periphery backward;
    struct rpu_update_params update;
    uint32_t devices; /**< crosspoints of a weight, 1..16 (multi-device mapping): see rpu_tile_create */
    uint32_t copies; /**< 1..64: arrays that a network gives a convolution. Perfect and fully connected ones have one */
    enum rpu_division division; /**< of the positions among them */
    uint32_t max_rows;          /**< a network divides an array with more outputs among several tiles; 0: it does not */
    uint32_t max_cols; /**< the same for inputs, each counted `devices` times. A perfect array is never divided */
};

/** Where a block of columns stands: part of the counter of every random number drawn for it. */
struct rpu_block {
    uint32_t image;    /**< images seen since the start of training (or evaluation) */
    uint32_t column;   /**< index, within the image, of the block's first column */
    uint32_t count;    /**< columns in the block, >= 1 */
    uint32_t evaluate; /**< 1: the reads belong to an evaluation and draw from streams of their own */
};

/** What happened during reads; values are added to. */
struct rpu_read_counts {
    uint64_t columns;   /**< columns read (rereads not included) */
    uint64_t rereads;   /**< additional reads by bound management */
    uint64_t saturated; /**< outputs at the bound in a read that stood */
};

/** What happened during updates; values are added to. */
struct rpu_update_counts {
    uint64_t row_pulses;    /**< pulses sent along rows (error side) */
    uint64_t column_pulses; /**< pulses sent along columns (input side) in slots in which a row fired */
    uint64_t coincidences;  /**< conductance changes */
    uint64_t clipped;       /**< pulse probabilities above 1, counted for each device of a weight */
};

struct rpu_tile; /**< one array; opaque */

/** The paper's RPU-baseline parameters: no management, BL = 10. */
RPU_API void rpu_tile_params_baseline(struct rpu_tile_params *params);

/** Checks `params` against the ranges stated above. RPU_ERR_RANGE names the first one that is out of range. */
RPU_API enum rpu_status rpu_tile_params_check(const struct rpu_tile_params *params, struct rpu_error *err);

/** Builds an array of `outputs` x `inputs` crosspoints: devices drawn from the seed, weights uniform in
 *  +-1/sqrt(fan_in), clipped to the bounds. `fan_in` is the caller's: a network gives the number of inputs without the
 *  bias. `array` (0..1023) and `split` (0..4095) place the array in the counters.
 *
 *  With `devices` = n > 1 each weight is the mean of n crosspoints, and the input lines are replicated: outputs x n
 *  inputs crosspoints (multi-device mapping). All begin with the same weight, as far as their bounds allow. Forward:
 * one read of the sum of all, with noise, bound and converter of one, divided by n. Backward: each of the n inputs
 * outputs has noise, bound and converter of its own; the mean of the n. Update: the pulses of a row reach all of its
 * crosspoints; each replica of an input line has pulses, and each crosspoint steps, bounds and noise, of its own. A
 * perfect tile has one device whatever is asked for.
 *
 *  The engine must outlive the tile. Errors: ARG, SHAPE (a size is 0 or too large), RANGE, NOMEM. */
RPU_API enum rpu_status rpu_tile_create(struct rpu_tile **tile, const struct rpu_engine *engine,
                                        const struct rpu_tile_params *params, uint32_t outputs, uint32_t inputs,
                                        uint32_t fan_in, uint64_t seed, uint32_t array, uint32_t split,
                                        struct rpu_error *err);
RPU_API void rpu_tile_destroy(struct rpu_tile *tile);

RPU_API uint32_t rpu_tile_outputs(const struct rpu_tile *tile);
RPU_API uint32_t rpu_tile_inputs(const struct rpu_tile *tile);

/** Forward cycle y = W x: x is count x inputs (ldx >= inputs), y is count x outputs (ldy >= outputs).
 *  x and y must not overlap. `counts` may be null. RPU_ERR_ARG, also for a block of no columns; RPU_ERR_RANGE when
 *  column + count is beyond 2^24 or, unless the tile is perfect, beyond 2^32 / max(outputs, inputs): the counters of
 *  random numbers end there; RPU_ERR_SHAPE for an ldx or ldy that is too small; RPU_ERR_NOMEM. Vectors are not
 *  searched for numbers that are not finite: those make outputs and, in the updates of a perfect tile, weights so. */
RPU_API enum rpu_status rpu_tile_forward(struct rpu_tile *tile, const struct rpu_block *where, const float *x,
                                         size_t ldx, float *y, size_t ldy, struct rpu_read_counts *counts);

/** Backward cycle z = W^T d: d is count x outputs, z is count x inputs (the bias line included). Errors as
 *  rpu_tile_forward. */
RPU_API enum rpu_status rpu_tile_backward(struct rpu_tile *tile, const struct rpu_block *where, const float *d,
                                          size_t ldd, float *z, size_t ldz, struct rpu_read_counts *counts);

/** Update cycle W += eta d x^T, one vector after the other in the order of the block, as the array's devices do it.
 *  d carries the sign that descends. `counts` may be null. Errors as rpu_tile_forward; RPU_ERR_RANGE also when eta is
 *  not above 0 and finite. */
RPU_API enum rpu_status rpu_tile_update(struct rpu_tile *tile, const struct rpu_block *where, const float *x,
                                        size_t ldx, const float *d, size_t ldd, float eta,
                                        struct rpu_update_counts *counts);

/** Crosspoints of a weight. */
RPU_API uint32_t rpu_tile_devices(const struct rpu_tile *tile);

/** Copies the logical weights out, row-major, outputs x inputs: of several devices their sum times 1/n in float. */
RPU_API enum rpu_status rpu_tile_get_weights(const struct rpu_tile *tile, float *weights);

/** Sets the logical weights, row-major; every crosspoint takes its weight's value, clipped to its own bounds.
 *  RPU_ERR_RANGE, and nothing is set, where one is not finite. */
RPU_API enum rpu_status rpu_tile_set_weights(struct rpu_tile *tile, const float *weights);

/** Copies per-crosspoint device parameters out, each devices x outputs x inputs, in weight units: the size of an up
 *  step, of a down step, the upper bound and the (positive) distance of the lower bound. Any pointer may be null.
 *  A perfect tile gives steps of 0 and infinite bounds. */
RPU_API enum rpu_status rpu_tile_get_devices(const struct rpu_tile *tile, float *dw_up, float *dw_down,
                                             float *bound_upper, float *bound_lower);

/** Share of the crosspoints that sit at one of their bounds, 0..1. */
RPU_API double rpu_tile_at_bound(const struct rpu_tile *tile);

#ifdef __cplusplus
}
#endif
#endif
