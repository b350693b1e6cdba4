/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <math.h>
#include <stdlib.h>

/* The last row and column of an odd image, which no window holds. */
static void drop_rest(float *d, size_t ldd, uint32_t side, uint32_t m) {
    for (uint32_t k = 0; side % 2 && k < side; k++)
        for (uint32_t i = 0; i < m; i++)
            d[(k * side + side - 1) * ldd + i] = d[((side - 1) * side + k) * ldd + i] = 0.0f;
}

/* One place of each 2 x 2 window of a square image of positions, channel by channel, keeps its d. */
static void keep_one_of_four(float *d, size_t ldd, uint32_t columns, uint32_t m, uint64_t *rng) {
    const uint32_t side = (uint32_t)sqrt((double)columns);
    drop_rest(d, ldd, side, m);
    for (uint32_t i = 0; i < m; i++)
        for (uint32_t row = 0; row + 1 < side; row += 2)
            for (uint32_t col = 0; col + 1 < side; col += 2) {
                const uint32_t kept = (uint32_t)(random_unit(rng) * 4.0);
                for (uint32_t k = 0; k < 4; k++)
                    if (k != kept)
                        d[((row + k / 2) * side + col + k % 2) * ldd + i] = 0.0f;
            }
}

/* A quarter of the outputs keep theirs. */
static void keep_a_quarter(float *d, uint32_t m, uint64_t *rng) {
    for (uint32_t i = 0; i < m; i++)
        if (random_unit(rng) >= 0.25)
            d[i] = 0.0f;
}

static float draw_d(enum inputs_kind kind, uint64_t *rng) {
    if (kind == INPUTS_STRONG)
        return random_unit(rng) < 0.5 ? -0.2f : 0.2f;
    return (float)(0.05 * random_gaussian(rng));
}

void inputs_make(struct inputs *in, const struct shape *shape, enum inputs_kind kind, uint64_t seed) {
    uint64_t rng = seed;
    *in = (struct inputs){.m = shape->out,
                          .n = shape->in,
                          .columns = shape->columns,
                          .images = 1,
                          .ldx = rpu_padded(shape->in),
                          .ldd = shape->out};
    in->x = room(in->columns * in->ldx * sizeof *in->x);
    in->d = room(in->columns * in->ldd * sizeof *in->d);
    for (size_t p = 0; p < in->columns; p++) {
        for (size_t j = 0; j < in->n; j++)
            in->x[p * in->ldx + j] = (float)(2.0 * random_unit(&rng) - 1.0);
        for (size_t i = 0; i < in->m; i++)
            in->d[p * in->ldd + i] = draw_d(kind, &rng);
    }
    if (kind == INPUTS_SPARSE)
        keep_a_quarter(in->d, in->m, &rng);
    if (kind == INPUTS_POOLED)
        keep_one_of_four(in->d, in->ldd, in->columns, in->m, &rng);
}

void inputs_free(struct inputs *in) {
    free(in->x);
    free(in->d);
    in->x = in->d = NULL;
}

double inputs_errors(const struct inputs *in) {
    double count = 0.0;
    for (size_t p = 0; p < (size_t)in->images * in->columns; p++)
        for (size_t i = 0; i < in->m; i++)
            count += in->d[p * in->ldd + i] != 0.0f;
    return count / in->images;
}
