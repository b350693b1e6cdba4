/* SPDX-License-Identifier: Apache-2.0 */
/** @file range.h
 *  Dividing n things among parts. All work of the scheduler is divided by it: outputs, columns, rows, images, tiles.
 *
 *  Parts are contiguous, in order, as even as possible, and larger ones come first:
 *
 *  | n  | parts | starts of the parts, and n | sizes   |
 *  |----|-------|----------------------------|---------|
 *  | 10 | 3     | 0, 4, 7, 10                | 4, 3, 3 |
 *  | 9  | 3     | 0, 3, 6, 9                 | 3, 3, 3 |
 *  | 2  | 3     | 0, 1, 2, 2                 | 1, 1, 0 |
 *  | 0  | 2     | 0, 0, 0                    | 0, 0    |
 */
#ifndef RPU_SRC_RANGE_H
#define RPU_SRC_RANGE_H

#include <stddef.h>
#include <stdint.h>

/** Start of part `part` (0..parts) when n things are divided among `parts` (>= 1): part p is
 *  [rpu_range(n, parts, p), rpu_range(n, parts, p + 1)). */
size_t rpu_range(size_t n, size_t parts, size_t part);

/** Fewest parts of n things so that none has more than `most`; 1 where `most` is 0, which stands for no limit, or n is.
 */
uint32_t rpu_pieces(uint32_t n, uint32_t most);

/** Inputs that a tile of max_cols lines holds, where each has `devices` of them; 0: no limit. Fewer lines than devices
 *  hold none, which is refused elsewhere. */
static inline uint32_t rpu_inputs_most(uint32_t max_cols, uint32_t devices) {
    return devices > 1 && max_cols >= devices ? max_cols / devices : max_cols;
}

/** How many parts to make of n things, each of which is `work` units of work, so that no part has less than `least`
 *  units or less than `grain` things (where there are as many), and there are at most `most` (>= 1) parts. At least 1.
 *
 *  | n   | grain | work | least | most | parts |                                |
 *  |-----|-------|------|-------|------|-------|--------------------------------|
 *  | 576 | 6     | 416  | 16384 | 6    | 6     | most                           |
 *  | 64  | 6     | 1    | 1     | 16   | 10    | grain: ten parts of 6 or 7     |
 *  | 10  | 1     | 129  | 16384 | 4    | 1     | too little work for a division |
 *  | 128 | 1     | 513  | 16384 | 8    | 4     | least: four parts of 16416     |
 */
size_t rpu_parts(size_t n, size_t grain, size_t work, size_t least, size_t most);

/** The same for `threads` threads: one part for each, or where every part still has 2^20 units of work, up to four, so
 *  that a thread that is held up does not hold up the others. */
size_t rpu_parts_for(size_t n, size_t grain, size_t work, size_t least, size_t threads);

#endif
