/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch.h"

#include "error.h"

#include <rpu/engine.h>

#include <stdio.h>
#include <string.h>

/* Variant names in rising order of preference. */
static const char *const ranks[] = {"generic", "autovec", "avx2", "neon"};
enum { RANKS = sizeof ranks / sizeof ranks[0] };

struct row {
    size_t field; /* index of the pointer in struct rpu_kernels */
    const char *op;
    const char *isa;
    unsigned flags;
    void (*symbol)(void);
};

static const struct row rows[] = {
#define KERNEL(op, isa, flags)                                                                                         \
    {offsetof(struct rpu_kernels, op) / sizeof(void (*)(void)), #op, #isa, flags, (void (*)(void))RPU_SYMBOL(op, isa)},
#include "kernels.inc"
#undef KERNEL
};
enum { ROWS = sizeof rows / sizeof rows[0] };

_Static_assert(sizeof(struct rpu_kernels) % sizeof(void (*)(void)) == 0, "the table is an array of function pointers");

static size_t rank_of(const char *isa) {
    for (size_t r = 0; r < RANKS; r++)
        if (strcmp(ranks[r], isa) == 0)
            return r;
    return RANKS;
}

static int can_run(const struct row *row, unsigned flags) {
    return (row->flags & ~flags) == 0;
}

/* Some row of variant `rank` is built, and with `flags` can run. */
static int present(size_t rank, unsigned flags) {
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].isa, ranks[rank]) == 0 && can_run(&rows[i], flags))
            return 1;
    return 0;
}

static size_t nth_present(size_t index, unsigned flags) {
    for (size_t r = 0; r < RANKS; r++)
        if (present(r, flags) && index-- == 0)
            return r;
    return RANKS;
}

static size_t count_present(unsigned flags) {
    size_t n = 0;
    for (size_t r = 0; r < RANKS; r++)
        n += (size_t)present(r, flags);
    return n;
}

static enum rpu_status unsupported(const char *isa, unsigned flags, struct rpu_error *err) {
    char valid[128] = "";
    for (size_t i = 0, n = count_present(flags); i < n; i++) {
        if (i)
            strncat(valid, ", ", sizeof valid - strlen(valid) - 1);
        strncat(valid, ranks[nth_present(i, flags)], sizeof valid - strlen(valid) - 1);
    }
    return rpu_fail(err, RPU_ERR_UNSUPPORTED, "kernel variant \"%.32s\" is %s; valid here: %s", isa,
                    rank_of(isa) == RANKS ? "unknown" : "not supported by this build on this machine", valid);
}

enum rpu_status rpu_table_fill(struct rpu_table *table, unsigned flags, const char *isa, struct rpu_error *err) {
    void (*fields[sizeof(struct rpu_kernels) / sizeof(void (*)(void))])(void);
    const size_t limit = isa ? rank_of(isa) : RANKS - 1;
    size_t best = 0;
    if (isa && (limit == RANKS || !present(limit, flags)))
        return unsupported(isa, flags, err);
    for (size_t i = 0; i < ROWS; i++) {
        const size_t rank = rank_of(rows[i].isa);
        if (rank > limit || !can_run(&rows[i], flags))
            continue;
        fields[rows[i].field] = rows[i].symbol;
        table->variant[rows[i].field] = rows[i].isa;
        if (rank > best)
            best = rank;
    }
    memcpy(&table->k, fields, sizeof fields);
    table->isa = ranks[best];
    return RPU_OK;
}

size_t rpu_kernel_count(void) {
    return sizeof(struct rpu_kernels) / sizeof(void (*)(void));
}

const char *rpu_kernel_name(size_t index) {
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].field == index)
            return rows[i].op;
    return NULL;
}

size_t rpu_isa_count(void) {
    return count_present(rpu_cpu_flags());
}

const char *rpu_isa_name(size_t index) {
    const size_t r = nth_present(index, rpu_cpu_flags());
    return r < RANKS ? ranks[r] : NULL;
}

size_t rpu_isa_built_count(void) {
    return count_present(~0u);
}

const char *rpu_isa_built_name(size_t index) {
    const size_t r = nth_present(index, ~0u);
    return r < RANKS ? ranks[r] : NULL;
}
