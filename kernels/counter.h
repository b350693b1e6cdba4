/* SPDX-License-Identifier: Apache-2.0 */
/** @file counter.h
 *  The layout of the random number counters: the one table that says where every random bit comes from.
 *
 *  Numbers come from Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC'11). One block is 128 bits out of a 128-bit
 *  counter and a 64-bit key.
 *
 *  Key (2 x 32 bits): mix(seed, purpose), see src/rng.c.
 *
 *  Counter:
 *  | word | bits  | field                                                                              |
 *  |------|-------|------------------------------------------------------------------------------------|
 *  | 0    | 31..0 | block: which 128 bits of the stream (a row or column block, a flat position)       |
 *  | 1    | 31..0 | image: images since the start of training (or evaluation); epoch for the shuffle   |
 *  | 2    | 31..8 | column within the image (24 bits); 0 in streams that are flat over the columns     |
 *  | 2    | 7..0  | pulse slot (0..254) or read attempt                                                |
 *  | 3    | 31..22| array (1024)                                                                       |
 *  | 3    | 21..10| split tile of the array (4096)                                                     |
 *  | 3    | 9..6  | device of a multi-device weight (16)                                               |
 *  | 3    | 5..0  | copy of a replicated array (64)                                                    |
 *
 *  Streams are read in groups of fixed layout, so that vector registers fall into place:
 *
 *  - Gaussian stream, element e: group g = e / 48, r = e % 48; block 8 g + (r % 8) gives six Gaussians, of which this
 *    is number r / 8. A block's four words hold three (radius, angle) pairs, see rpu_k_gaussian in kernels.h.
 *    In the block layout, for streams of which only a few elements are needed, element e is number e % 6 of block e / 6.
 *  - Bit stream (16 random bits an element), element e: group g = e / 32, r = e % 32; block 4 g + (r % 8) / 2,
 *    word r / 8, low half first.
 *  - Tie stream (8 more bits for the few elements that need them), element e: block e, word 0, low byte.
 *
 *  | purpose                     | stream        | element                                     | word 2               |
 *  |-----------------------------|---------------|---------------------------------------------|----------------------|
 *  | RPU_RNG_STEP                | Gaussian      | crosspoint i N + j                          | 0                    |
 *  | RPU_RNG_IMBALANCE           | Gaussian      | crosspoint i N + j                          | 0                    |
 *  | RPU_RNG_BOUND_UP, _DOWN     | Gaussian      | crosspoint i N + j                          | 0                    |
 *  | RPU_RNG_WEIGHT              | raw words     | crosspoint i N + j (word e % 4, block e / 4)| 0                    |
 *  | RPU_RNG_FORWARD, _BACKWARD  | Gaussian      | column x outputs + output                   | read attempt         |
 *  | RPU_RNG_EVALUATE            | Gaussian      | column x outputs + output                   | read attempt         |
 *  | RPU_RNG_ROW_BITS, _ROW_TIES | bit, tie      | column x M + i                              | slot                 |
 *  | RPU_RNG_COL_BITS, _COL_TIES | bit, tie      | j                                           | column, slot         |
 *  | RPU_RNG_CTOC                | Gaussian      | ordinal of the coincidence in the column:   | column               |
 *  |                             |               | by row, then slot, then j; block layout for |                      |
 *  |                             |               | narrow arrays (rpu_pulse_narrow)            |                      |
 *  | RPU_RNG_SHUFFLE             | raw words     | position (word e % 4, block e / 4)          | 0                    |
 *  | RPU_RNG_DIGITS              | raw words     | see src/digits.c                            | set, see there       |
 *  | RPU_RNG_DIVISION            | raw words     | position (word e % 4, block e / 4)          | evaluation (0, 1)    |
 *
 *  Devices of a weight and copies of an array have streams of their own, with these exceptions: initial weights are
 *  those of device 0 of copy 0, the pulses of rows those of device 0. Device 0 also draws the noise of a forward read,
 *  which is one for all devices. Columns of a copy are numbered within the copy.
 */
#ifndef RPU_KERNELS_COUNTER_H
#define RPU_KERNELS_COUNTER_H

#include <stdint.h>

enum rpu_rng_purpose {
    RPU_RNG_STEP = 1,
    RPU_RNG_IMBALANCE,
    RPU_RNG_BOUND_UP,
    RPU_RNG_BOUND_DOWN,
    RPU_RNG_WEIGHT,
    RPU_RNG_FORWARD,
    RPU_RNG_BACKWARD,
    RPU_RNG_EVALUATE,
    RPU_RNG_ROW_BITS,
    RPU_RNG_ROW_TIES,
    RPU_RNG_COL_BITS,
    RPU_RNG_COL_TIES,
    RPU_RNG_CTOC,
    RPU_RNG_SHUFFLE,
    RPU_RNG_DIGITS,
    RPU_RNG_DIVISION, /**< positions of a convolution among the copies of its array */
    RPU_RNG_PURPOSES  /**< one more than the last */
};

/** A stream: key and counter with word 0 free. */
struct rpu_stream {
    uint32_t key[2];
    uint32_t ctr[4];
};

#define RPU_GAUSS_GROUP 48u /**< Gaussians in a group of 8 blocks */
#define RPU_GAUSS_BLOCK 6u  /**< Gaussians in a block */
#define RPU_BITS_GROUP  32u /**< 16-bit elements in a group of 4 blocks */

#define RPU_COUNTER_MAX_ARRAYS  1024u
#define RPU_COUNTER_MAX_SPLITS  4096u
#define RPU_COUNTER_MAX_DEVICES 16u
#define RPU_COUNTER_MAX_COPIES  64u
#define RPU_COUNTER_MAX_COLUMNS (1u << 24)
#define RPU_COUNTER_MAX_SLOTS   255u

/** Counter word 2. */
static inline uint32_t rpu_counter_column(uint32_t column, uint32_t slot) {
    return column << 8 | slot;
}

/** Counter word 3. */
static inline uint32_t rpu_counter_array(uint32_t array, uint32_t split, uint32_t device, uint32_t copy) {
    return array << 22 | split << 10 | device << 6 | copy;
}

/** Counter word 3 of what the copies of an array have in common: that of copy 0. */
static inline uint32_t rpu_counter_no_copy(uint32_t word3) {
    return word3 & ~(RPU_COUNTER_MAX_COPIES - 1);
}

#endif
