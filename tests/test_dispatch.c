/* SPDX-License-Identifier: Apache-2.0 */
/* From CPU flags to a kernel table: a pure function, checked against the rows of kernels.inc read a second time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <rpu/engine.h>

#include "dispatch.h"

typedef void any_fn(void);

static const struct row {
    const char *op, *isa;
    unsigned flags;
    any_fn *symbol;
} rows[] = {
#define KERNEL(op, isa, flags) {#op, #isa, flags, (any_fn *)RPU_SYMBOL(op, isa)},
#include "kernels.inc"
#undef KERNEL
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static const char *const order[] = {"generic", "autovec", "avx2", "neon"};
enum { NAMES = sizeof order / sizeof order[0] };

static size_t rank(const char *isa) {
    size_t r = 0;
    while (r < NAMES && strcmp(order[r], isa) != 0)
        r++;
    return r;
}

static size_t field_of(const char *op) {
    size_t f = 0;
    while (rpu_kernel_name(f) && strcmp(rpu_kernel_name(f), op) != 0)
        f++;
    assert_non_null(rpu_kernel_name(f));
    return f;
}

static any_fn *pointer(const struct rpu_table *t, size_t field) {
    any_fn *p;
    memcpy(&p, (const char *)&t->k + field * sizeof p, sizeof p);
    return p;
}

/* The row that must be taken: the highest of the operation that the flags allow, not above the limit. */
static const struct row *expected(const char *op, unsigned flags, size_t limit) {
    const struct row *best = NULL;
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].op, op) == 0 && (rows[i].flags & ~flags) == 0 && rank(rows[i].isa) <= limit &&
            (!best || rank(rows[i].isa) > rank(best->isa)))
            best = &rows[i];
    return best;
}

static void check_table(const struct rpu_table *t, unsigned flags, size_t limit) {
    size_t top = 0;
    for (size_t f = 0; f < rpu_kernel_count(); f++) {
        const struct row *want = expected(rpu_kernel_name(f), flags, limit);
        assert_non_null(want);
        assert_string_equal(t->variant[f], want->isa);
        assert_true(pointer(t, f) == want->symbol);
        top = rank(want->isa) > top ? rank(want->isa) : top;
    }
    assert_string_equal(t->isa, order[top]);
}

static int some_row(size_t r, unsigned flags) {
    for (size_t i = 0; i < ROWS; i++)
        if (rank(rows[i].isa) == r && (rows[i].flags & ~flags) == 0)
            return 1;
    return 0;
}

/* ---- the list ---- */

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        assert_true(rank(rows[i].isa) < NAMES);
        assert_non_null(rows[i].symbol);
        if (strcmp(rows[i].isa, "generic") == 0)
            assert_int_equal(rows[i].flags, 0); /* the oracle runs everywhere */
        for (size_t j = 0; j < i; j++) {
            const int same = strcmp(rows[i].op, rows[j].op) == 0;
            assert_false(same && strcmp(rows[i].isa, rows[j].isa) == 0);
            assert_false(same && rank(rows[i].isa) < rank(rows[j].isa)); /* rising order of preference */
        }
    }
}

static void test_kernel_names(void **state) {
    size_t generic = 0;
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        generic += strcmp(rows[i].isa, "generic") == 0;
    assert_int_equal(rpu_kernel_count(), generic);
    assert_null(rpu_kernel_name(rpu_kernel_count()));
    assert_int_equal(field_of("philox"), offsetof(struct rpu_kernels, philox) / sizeof(any_fn *));
    assert_int_equal(field_of("pulse_draw"), offsetof(struct rpu_kernels, pulse_draw) / sizeof(any_fn *));
    assert_int_equal(field_of("softmax"), offsetof(struct rpu_kernels, softmax) / sizeof(any_fn *));
}

/* ---- the function of the flags ---- */

static void test_no_features(void **state) {
    struct rpu_table t;
    (void)state;
    assert_int_equal(rpu_table_fill(&t, 0, NULL, NULL), RPU_OK);
    check_table(&t, 0, NAMES);
#if defined(__x86_64__)
    for (size_t f = 0; f < rpu_kernel_count(); f++)
        assert_string_equal(t.variant[f], "generic");
#endif
}

/* Every combination of features, and of a limit with it. */
static void test_all_features(void **state) {
    (void)state;
    for (unsigned flags = 0; flags < 256; flags++)
        for (size_t limit = 0; limit <= NAMES; limit++) {
            struct rpu_table t;
            struct rpu_error err;
            const char *isa = limit < NAMES ? order[limit] : NULL;
            const enum rpu_status status = rpu_table_fill(&t, flags, isa, &err);
            if (isa && !some_row(limit, flags)) {
                assert_int_equal(status, RPU_ERR_UNSUPPORTED);
                continue;
            }
            assert_int_equal(status, RPU_OK);
            check_table(&t, flags, limit);
        }
}

/* One feature short of what a vector variant needs, none of its rows may be taken. */
static void test_each_feature_counts(void **state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        for (unsigned bit = 1; bit != 0 && bit <= rows[i].flags; bit <<= 1) {
            struct rpu_table t;
            if (!(rows[i].flags & bit))
                continue;
            assert_int_equal(rpu_table_fill(&t, ~bit, NULL, NULL), RPU_OK);
            assert_true(pointer(&t, field_of(rows[i].op)) != rows[i].symbol);
        }
}

static void test_tables_side_by_side(void **state) {
    struct rpu_table a, b, again;
    (void)state;
    assert_int_equal(rpu_table_fill(&a, ~0u, NULL, NULL), RPU_OK);
    assert_int_equal(rpu_table_fill(&b, ~0u, "generic", NULL), RPU_OK);
    assert_int_equal(rpu_table_fill(&again, ~0u, NULL, NULL), RPU_OK);
    assert_memory_equal(&a.k, &again.k, sizeof a.k);
    assert_true(memcmp(&a.k, &b.k, sizeof a.k) != 0);
    assert_string_equal(b.isa, "generic");
}

static void test_errors_name_the_valid(void **state) {
    static const char *const wrong[] = {"sse9", "", "AVX2", "generic ",
                                        "avx512f-and-a-very-long-name-that-goes-on-and-on"};
    struct rpu_table t;
    struct rpu_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(rpu_table_fill(&t, rpu_cpu_flags(), wrong[i], &err), RPU_ERR_UNSUPPORTED);
        assert_int_equal(err.status, RPU_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, "unknown"));
        for (size_t k = 0; k < (size_t)rpu_isa_count(); k++)
            assert_non_null(strstr(err.message, rpu_isa_name(k)));
    }
    for (size_t r = 0; r < NAMES; r++) { /* known names that a machine without features does not have */
        if (some_row(r, 0))
            continue;
        assert_int_equal(rpu_table_fill(&t, 0, order[r], &err), RPU_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, order[r]));
        assert_non_null(strstr(err.message, "not supported"));
        assert_non_null(strstr(err.message, "generic"));
    }
    assert_int_equal(rpu_table_fill(&t, 0, "sse9", NULL), RPU_ERR_UNSUPPORTED); /* an error object is not needed */
}

/* ---- this machine ---- */

static void test_this_cpu(void **state) {
    struct rpu_engine *e;
    (void)state;
    assert_int_equal(rpu_engine_create(&e, NULL, 1, NULL), RPU_OK);
#if defined(__x86_64__)
    __builtin_cpu_init();
    const unsigned flags = rpu_cpu_flags();
    assert_int_equal((flags & RPU_CPU_AVX2) != 0, __builtin_cpu_supports("avx2") != 0);
    assert_int_equal((flags & RPU_CPU_FMA) != 0, __builtin_cpu_supports("fma") != 0);
    assert_int_equal(strstr(rpu_cpu_features(), "avx2") != NULL, __builtin_cpu_supports("avx2") != 0);
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        assert_string_equal(rpu_engine_isa(e), "generic");
    else
        assert_true(strcmp(rpu_engine_isa(e), "autovec") == 0 || strcmp(rpu_engine_isa(e), "avx2") == 0);
#elif defined(__aarch64__)
    assert_int_equal(rpu_cpu_flags() & RPU_CPU_NEON, RPU_CPU_NEON);
    assert_true(strcmp(rpu_engine_isa(e), "autovec") == 0 || strcmp(rpu_engine_isa(e), "neon") == 0);
#endif
    for (size_t f = 0; f < rpu_engine_kernel_count(e); f++) {
        const struct row *want = expected(rpu_engine_kernel_name(e, f), rpu_cpu_flags(), NAMES);
        assert_string_equal(rpu_engine_kernel_variant(e, f), want->isa);
    }
    assert_null(rpu_engine_kernel_name(e, rpu_engine_kernel_count(e)));
    assert_null(rpu_engine_kernel_variant(e, rpu_engine_kernel_count(e)));
    assert_true(strlen(rpu_cpu_model()) > 0);
    rpu_engine_destroy(e);
}

static void test_isa_names(void **state) {
    size_t last = 0;
    (void)state;
    assert_true(rpu_isa_count() >= 1);
    assert_string_equal(rpu_isa_name(0), "generic");
    for (size_t i = 0; i < (size_t)rpu_isa_count(); i++) {
        const size_t r = rank(rpu_isa_name(i));
        assert_true(r < NAMES && (i == 0 || r > last) && some_row(r, rpu_cpu_flags()));
        last = r;
    }
    assert_null(rpu_isa_name(rpu_isa_count()));
    for (size_t i = 0; i < (size_t)rpu_isa_built_count(); i++)
        assert_true(some_row(rank(rpu_isa_built_name(i)), ~0u));
    assert_null(rpu_isa_built_name(rpu_isa_built_count()));
    assert_true(rpu_isa_built_count() >= rpu_isa_count());
}

static void test_engine(void **state) {
    struct rpu_engine *e = NULL;
    struct rpu_error err;
    (void)state;
    assert_int_equal(rpu_engine_create(NULL, NULL, 1, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_engine_create(&e, NULL, -1, &err), RPU_ERR_RANGE);
    assert_null(e);
    assert_int_equal(rpu_engine_create(&e, NULL, 1025, &err), RPU_ERR_RANGE);
    assert_non_null(strstr(err.message, "1025"));
    assert_int_equal(rpu_engine_create(&e, "sse9", 1, &err), RPU_ERR_UNSUPPORTED);
    assert_null(e);
    assert_int_equal(rpu_engine_create(&e, "generic", 3, &err), RPU_OK);
    assert_string_equal(rpu_engine_isa(e), "generic");
    assert_int_equal(rpu_engine_threads(e), 3);
    rpu_engine_destroy(e);
    rpu_engine_destroy(NULL);
    assert_null(rpu_engine_isa(NULL));
    assert_int_equal(rpu_engine_threads(NULL), 0);
    assert_int_equal(rpu_engine_kernel_count(NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_kernel_names),
        cmocka_unit_test(test_no_features),
        cmocka_unit_test(test_all_features),
        cmocka_unit_test(test_each_feature_counts),
        cmocka_unit_test(test_tables_side_by_side),
        cmocka_unit_test(test_errors_name_the_valid),
        cmocka_unit_test(test_this_cpu),
        cmocka_unit_test(test_isa_names),
        cmocka_unit_test(test_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
