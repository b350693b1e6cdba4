/* SPDX-License-Identifier: Apache-2.0 */
/* The division of work: the tables of range.h, and what they stand for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "range.h"

static void starts_of_the_table(void **state) {
    static const struct {
        size_t n, parts, starts[4];
    } rows[] = {{10, 3, {0, 4, 7, 10}}, {9, 3, {0, 3, 6, 9}}, {2, 3, {0, 1, 2, 2}}, {0, 2, {0, 0, 0, 0}}};
    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
        for (size_t p = 0; p <= rows[r].parts; p++)
            assert_int_equal(rpu_range(rows[r].n, rows[r].parts, p), rows[r].starts[p]);
}

static void every_division_is_whole_ordered_and_even(void **state) {
    (void)state;
    for (size_t n = 0; n < 70; n++)
        for (size_t parts = 1; parts < 40; parts++) {
            size_t largest = 0, smallest = SIZE_MAX, before = SIZE_MAX;
            assert_int_equal(rpu_range(n, parts, 0), 0);
            assert_int_equal(rpu_range(n, parts, parts), n);
            for (size_t p = 0; p < parts; p++) {
                const size_t start = rpu_range(n, parts, p), end = rpu_range(n, parts, p + 1);
                assert_true(start <= end);
                assert_true(end - start <= before); /* larger parts first */
                before = end - start;
                largest = before > largest ? before : largest;
                smallest = before < smallest ? before : smallest;
            }
            assert_true(largest - smallest <= 1);
        }
}

static void large_numbers_do_not_overflow(void **state) {
    const size_t n = SIZE_MAX - 3;
    (void)state;
    assert_true(rpu_range(n, 7, 7) == n);
    for (size_t p = 0; p < 7; p++)
        assert_true(rpu_range(n, 7, p) < rpu_range(n, 7, p + 1));
}

static void fewest_pieces(void **state) {
    (void)state;
    for (uint32_t most = 1; most < 30; most++)
        for (uint32_t n = 1; n < 100; n++) {
            const uint32_t pieces = rpu_pieces(n, most);
            assert_true(pieces >= 1 && pieces * most >= n && (pieces - 1) * most < n);
        }
    assert_int_equal(rpu_pieces(100, 0), 1);
    assert_int_equal(rpu_pieces(0, 5), 1);
    assert_int_equal(rpu_pieces(UINT32_MAX, 1), UINT32_MAX);
    assert_int_equal(rpu_pieces(UINT32_MAX, 2), 0x80000000u);
    assert_int_equal(rpu_inputs_most(100, 1), 100);
    assert_int_equal(rpu_inputs_most(100, 3), 33);
    assert_int_equal(rpu_inputs_most(3, 3), 1);
    assert_int_equal(rpu_inputs_most(0, 4), 0);
}

static void parts_of_the_table(void **state) {
    (void)state;
    assert_int_equal(rpu_parts(576, 6, 416, 16384, 6), 6);
    assert_int_equal(rpu_parts(64, 6, 1, 1, 16), 10);
    assert_int_equal(rpu_parts(10, 1, 129, 16384, 4), 1);
    assert_int_equal(rpu_parts(128, 1, 513, 16384, 8), 4);
}

static void parts_keep_their_promises(void **state) {
    (void)state;
    assert_int_equal(rpu_parts(0, 6, 1, 1, 4), 1);
    assert_int_equal(rpu_parts(5, 6, 1000, 1, 4), 1);
    assert_int_equal(rpu_parts(SIZE_MAX, 1, SIZE_MAX, 1, 9), 9); /* no overflow */
    for (size_t n = 1; n < 100; n++)
        for (size_t grain = 1; grain < 9; grain++)
            for (size_t most = 1; most < 9; most++) {
                const size_t parts = rpu_parts(n, grain, 3, 10, most);
                assert_true(parts >= 1 && parts <= most);
                if (parts > 1)
                    assert_true(n / parts >= grain && 3 * n / parts >= 10);
            }
}

static void parts_for_threads(void **state) {
    (void)state;
    assert_int_equal(rpu_parts_for(128, 1, 513, 16384, 1), 1);
    assert_int_equal(rpu_parts_for(128, 1, 513, 16384, 2), 2);     /* one each */
    assert_int_equal(rpu_parts_for(4096, 16, 4096, 16384, 1), 1);  /* nobody to share with */
    assert_int_equal(rpu_parts_for(4096, 16, 4096, 16384, 2), 8);  /* four each */
    assert_int_equal(rpu_parts_for(4096, 16, 4096, 16384, 8), 16); /* as many as have 2^20 */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_of_the_table),
        cmocka_unit_test(every_division_is_whole_ordered_and_even),
        cmocka_unit_test(large_numbers_do_not_overflow),
        cmocka_unit_test(parts_of_the_table),
        cmocka_unit_test(fewest_pieces),
        cmocka_unit_test(parts_keep_their_promises),
        cmocka_unit_test(parts_for_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
