/* SPDX-License-Identifier: Apache-2.0 */
/** @file range.h  Dividing n items among parts. */
#ifndef RPU_SRC_RANGE_H
#define RPU_SRC_RANGE_H

#include <stddef.h>

/** Start of part `part` when n items are divided among `parts` (>= 1) as evenly as possible, larger parts first. Part
 *  p is [rpu_range(n, parts, p), rpu_range(n, parts, p + 1)).
 *
 *  | n  | parts | starts          |
 *  |----|-------|-----------------|
 *  | 10 | 3     | 0, 4, 7, 10     |
 *  | 2  | 3     | 0, 1, 2, 2      |
 *  | 0  | 2     | 0, 0, 0         |
 */
static inline size_t rpu_range(size_t n, size_t parts, size_t part) {
    const size_t each = n / parts, more = n % parts;
    return each * part + (part < more ? part : more);
}

#endif
