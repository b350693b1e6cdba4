/* SPDX-License-Identifier: Apache-2.0 */
#include "copies.h"

#include "array.h"
#include "error.h"
#include "range.h"
#include "rng.h"
#include "small.h"

#include <stdlib.h>
#include <string.h>

/* ---- who has which position ---- */

void rpu_copies_divide(const struct rpu_copies *c, uint32_t image, uint32_t evaluate, uint32_t *owner,
                       uint32_t *ordinal, uint32_t *order) {
    uint32_t next[RPU_COUNTER_MAX_COPIES] = {0};
    for (uint32_t p = 0; p < c->columns; p++)
        order[p] = p;
    if (c->division != RPU_DIVISION_BLOCKS) {
        const int anew = c->division == RPU_DIVISION_REDRAWN;
        const struct rpu_stream s = rpu_stream_make(c->seed, RPU_RNG_DIVISION, anew ? image : 0, anew ? evaluate : 0,
                                                    rpu_counter_array(c->array, 0, 0, 0));
        rpu_permute(order, c->columns, &s);
    }
    for (uint32_t copy = 0; copy < c->count; copy++)
        for (size_t q = rpu_range(c->columns, c->count, copy); q < rpu_range(c->columns, c->count, copy + 1); q++)
            owner[order[q]] = copy;
    for (uint32_t p = 0; p < c->columns; p++)
        ordinal[p] = next[owner[p]]++;
}

enum rpu_status rpu_copies_create(struct rpu_copies **copies, enum rpu_division division, uint32_t count,
                                  uint32_t columns, uint64_t seed, uint32_t array, struct rpu_error *err) {
    struct rpu_copies *c;
    uint32_t *order;
    *copies = NULL;
    if (count > columns)
        return rpu_fail(err, RPU_ERR_SHAPE, "%u copies of an array with %u output positions; allowed are as many",
                        count, columns);
    c = calloc(1, sizeof *c);
    if (!c)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    *c = (struct rpu_copies){.division = division, .count = count, .columns = columns, .array = array, .seed = seed};
    if (division != RPU_DIVISION_REDRAWN) {
        c->owner = malloc(columns * sizeof *c->owner);
        c->ordinal = malloc(columns * sizeof *c->ordinal);
        order = malloc(columns * sizeof *order);
        if (!c->owner || !c->ordinal || !order) {
            free(order);
            rpu_copies_destroy(c);
            return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
        }
        rpu_copies_divide(c, 0, 0, c->owner, c->ordinal, order);
        free(order);
    }
    *copies = c;
    return RPU_OK;
}

void rpu_copies_destroy(struct rpu_copies *copies) {
    if (copies) {
        free(copies->owner);
        free(copies->ordinal);
        free(copies);
    }
}

/* ---- columns of a copy ---- */

/* Scratch: the division, the copy's positions among a block of columns, its vectors one after the other. */
struct room {
    uint32_t *owner, *ordinal, *order, *list;
    float *in, *out;
    void *rest;
};

static size_t divide_scratch(const struct rpu_array *a, size_t count, void *base, struct room *r) {
    const size_t columns = a->copies->columns, side = rpu_padded(a->m > a->n ? a->m : a->n);
    size_t at = 0;
    r->owner = rpu_take(base, &at, columns * sizeof *r->owner);
    r->ordinal = rpu_take(base, &at, columns * sizeof *r->ordinal);
    r->order = rpu_take(base, &at, columns * sizeof *r->order);
    r->list = rpu_take(base, &at, count * sizeof *r->list);
    r->in = rpu_take(base, &at, count * side * sizeof *r->in);
    r->out = rpu_take(base, &at, count * side * sizeof *r->out);
    r->rest = rpu_take(base, &at, 0);
    return at;
}

size_t rpu_copies_scratch(const struct rpu_array *a, size_t count) {
    struct room r;
    return divide_scratch(a, count, NULL, &r);
}

/* Sets owner and ordinal for the image. */
static void look_up(const struct rpu_array *a, const struct rpu_block *where, struct room *r) {
    if (a->copies->owner) {
        r->owner = a->copies->owner;
        r->ordinal = a->copies->ordinal;
    } else {
        rpu_copies_divide(a->copies, where->image, where->evaluate, r->owner, r->ordinal, r->order);
    }
}

/* Positions of a copy in a block, counted from the block's first; returns how many. */
static size_t pick(const struct room *r, const struct rpu_block *where, uint32_t copy) {
    size_t count = 0;
    for (uint32_t p = 0; p < where->count; p++)
        if (r->owner[where->column + p] == copy)
            r->list[count++] = p;
    return count;
}

static int neighbours(const struct room *r, size_t count) {
    return r->list[count - 1] - r->list[0] == count - 1;
}

/* The listed ones of vectors of length n, one after the other: where they stand, or copied into `to`. */
static const float *gather(const struct room *r, size_t count, size_t n, const float *from, size_t *ld, float *to) {
    if (neighbours(r, count))
        return from + r->list[0] * *ld;
    for (size_t p = 0; p < count; p++)
        memcpy(to + p * n, from + r->list[p] * *ld, n * sizeof *to);
    *ld = n;
    return to;
}

/* A copy's part of a block: the array as if it had this copy alone, and the block of its columns, numbered within it.
 */
struct part {
    struct rpu_array array;
    struct rpu_block block;
};

/* The array as if it had this copy alone. */
static struct rpu_array one_copy(const struct rpu_array *a, uint32_t copy) {
    struct rpu_array one = *a;
    one.tiles += copy * (size_t)a->rows * a->cols;
    one.copies = NULL;
    return one;
}

/* Lists the copy's positions in the block; 0 when it has none there. */
static int take_part(const struct rpu_array *a, const struct rpu_block *where, struct room *r, uint32_t copy,
                     struct part *part) {
    const size_t count = pick(r, where, copy);
    if (count == 0)
        return 0;
    part->array = one_copy(a, copy);
    part->block =
        (struct rpu_block){where->image, r->ordinal[where->column + r->list[0]], (uint32_t)count, where->evaluate};
    return 1;
}

void rpu_copies_read(const struct rpu_array *a, enum rpu_array_read which, const struct rpu_block *where,
                     const float *in, size_t ldin, float *out, size_t ldout, void *scratch,
                     struct rpu_read_counts *counts) {
    const size_t n_in = which == RPU_ARRAY_BACKWARD ? a->m : a->n, n_out = which == RPU_ARRAY_BACKWARD ? a->n : a->m;
    struct room r;
    divide_scratch(a, where->count, scratch, &r);
    look_up(a, where, &r);
    for (uint32_t copy = 0; copy < a->copies->count; copy++) {
        struct part part;
        size_t ld = ldin;
        if (!take_part(a, where, &r, copy, &part))
            continue;
        const size_t count = part.block.count;
        const float *own = gather(&r, count, n_in, in, &ld, r.in);
        if (neighbours(&r, count)) {
            rpu_array_read(&part.array, which, &part.block, own, ld, out + r.list[0] * ldout, ldout, r.rest, counts);
            continue;
        }
        rpu_array_read(&part.array, which, &part.block, own, ld, r.out, n_out, r.rest, counts);
        for (size_t p = 0; p < count; p++)
            memcpy(out + r.list[p] * ldout, r.out + p * n_out, n_out * sizeof *out);
    }
}

/* Trains of the copies stand one copy after the other, each with room for its own positions. */
static size_t train_place(const struct rpu_array *a, uint32_t copy) {
    return rpu_array_train_words(a, rpu_range(a->copies->columns, a->copies->count, copy));
}

static size_t share(const struct rpu_copies *c, uint32_t copy) {
    return rpu_range(c->columns, c->count, copy + 1) - rpu_range(c->columns, c->count, copy);
}

void rpu_copies_draw(const struct rpu_array *a, const struct rpu_block *where, const float *x, size_t ldx,
                     const float *d, size_t ldd, float eta, uint64_t *trains, void *scratch,
                     struct rpu_update_counts *counts) {
    struct room r;
    divide_scratch(a, where->count, scratch, &r);
    look_up(a, where, &r);
    for (uint32_t copy = 0; copy < a->copies->count; copy++) {
        struct part part;
        size_t ldx_own = ldx, ldd_own = ldd;
        if (!take_part(a, where, &r, copy, &part))
            continue;
        const float *x_own = gather(&r, part.block.count, a->n, x, &ldx_own, r.in);
        const float *d_own = gather(&r, part.block.count, a->m, d, &ldd_own, r.out);
        rpu_array_draw(&part.array, share(a->copies, copy), &part.block, x_own, ldx_own, d_own, ldd_own, eta,
                       trains + train_place(a, copy), r.rest, counts);
    }
}

void rpu_copies_apply_part(const struct rpu_array *a, const struct rpu_block *where, float eta, const uint64_t *trains,
                           size_t parts, size_t part, void *scratch, struct rpu_update_counts *counts) {
    const size_t of_copy = (size_t)a->rows * a->cols * parts;
    const uint32_t copy = (uint32_t)(part / of_copy);
    struct rpu_array one = one_copy(a, copy);
    const struct rpu_block block = {where->image, 0, (uint32_t)share(a->copies, copy), 0};
    rpu_array_apply_part(&one, &block, NULL, 0, NULL, 0, eta, trains + train_place(a, copy), parts, part % of_copy,
                         scratch, counts);
}
