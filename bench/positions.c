/* SPDX-License-Identifier: Apache-2.0 */
/* From planes to positions: an update has to know which rows and which inputs fire, not only that some do. Two ways:
 * bit by bit, which suits few, and a byte at a time by a table, which suits many and has no branch that a bit decides.
 */
#include "bound.h"

#include <string.h>

static size_t words_by_bit(const uint64_t *plane, size_t words, uint32_t *list, size_t n) {
    for (size_t word = 0; word < words; word++)
        for (uint64_t left = plane[word]; left; left &= left - 1)
            list[n++] = (uint32_t)(64 * word) + (uint32_t)__builtin_ctzll(left);
    return n;
}

/* Of each byte the places of its bits, one in a byte, and how many. */
struct places {
    uint64_t of[256];
    uint8_t count[256];
};

static void make_places(struct places *t) {
    for (unsigned b = 0; b < 256; b++) {
        t->of[b] = 0;
        t->count[b] = 0;
        for (unsigned l = 0; l < 8; l++)
            if (b >> l & 1)
                t->of[b] |= (uint64_t)l << (8 * t->count[b]++);
    }
}

static size_t words_by_byte(const struct places *t, const uint64_t *plane, size_t words, uint32_t *list, size_t n) {
    for (size_t word = 0; word < words; word++)
        for (unsigned shift = 0; shift < 64; shift += 8) {
            const unsigned byte = (unsigned)(plane[word] >> shift) & 255u;
            const uint32_t first = (uint32_t)(64 * word + shift);
            for (unsigned l = 0; l < 8; l++) /* a vector of the compiler's */
                list[n + l] = first + (uint32_t)(t->of[byte] >> (8 * l) & 255u);
            n += t->count[byte];
        }
    return n;
}

size_t positions_by_bit(const struct hits *h, uint32_t *list) {
    size_t n = words_by_bit(h->rows, h->row_words, list, 0);
    for (size_t u = 0; u < h->units; u++)
        if (!h->is_dense[u])
            n = words_by_bit(h->planes + u * h->col_words, h->col_words, list, n);
    return n;
}

size_t positions_by_byte(const struct hits *h, uint32_t *list) {
    static struct places places;
    if (places.count[255] == 0)
        make_places(&places);
    size_t n = words_by_byte(&places, h->rows, h->row_words, list, 0);
    for (size_t u = 0; u < h->units; u++)
        if (!h->is_dense[u])
            n = words_by_byte(&places, h->planes + u * h->col_words, h->col_words, list, n);
    return n;
}
