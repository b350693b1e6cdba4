/* SPDX-License-Identifier: Apache-2.0 */
#include "range.h"

#include <stdint.h>

size_t rpu_range(size_t n, size_t parts, size_t part) {
    const size_t each = n / parts, more = n % parts;
    return each * part + (part < more ? part : more);
}

uint32_t rpu_pieces(uint32_t n, uint32_t most) {
    return most == 0 || n == 0 ? 1 : n / most + (n % most != 0);
}

size_t rpu_parts(size_t n, size_t grain, size_t work, size_t least, size_t most) {
    const size_t by_grain = n / (grain ? grain : 1);
    const size_t whole = work && n > SIZE_MAX / work ? SIZE_MAX : n * work;
    const size_t by_work = whole / (least ? least : 1);
    size_t parts = by_grain < by_work ? by_grain : by_work;
    parts = parts < most ? parts : most;
    return parts ? parts : 1;
}

size_t rpu_parts_for(size_t n, size_t grain, size_t work, size_t least, size_t threads) {
    const size_t one = rpu_parts(n, grain, work, least, threads);
    const size_t more = rpu_parts(n, grain, work, (size_t)1 << 20, 4 * threads);
    return threads > 1 && more > one ? more : one;
}
