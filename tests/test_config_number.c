/* SPDX-License-Identifier: Apache-2.0 */
/* Real numbers as configurations write and read them. */
#include "config_number.h"
#include "random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_numbers(void **state) {
    uint64_t random = 7;
    char text[RPU_NUMBER_TEXT], shorter[RPU_NUMBER_TEXT];
    float back = 0;
    (void)state;
    for (int i = 0; i < 200000; i++) {
        const uint32_t bits = (uint32_t)next_random(&random);
        float v, cut;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v) || v == 0.0f)
            continue;
        rpu_number_print(v, text);
        assert_null(rpu_number_real(text, &back));
        if (back != v)
            fail_msg("%a printed as %s reads as %a", (double)v, text, (double)back);
        for (int digits = 1; digits < 9; digits++) { /* no shorter text would do */
            snprintf(shorter, sizeof shorter, "%.*g", digits, (double)v);
            cut = strtof(shorter, NULL);
            if (cut == v) {
                assert_true(strtod(text, NULL) == strtod(shorter, NULL) || strchr(text, 'e') == NULL);
                break;
            }
        }
    }
    assert_true(rpu_number_print(0.06f, text) == 0.06);
    assert_string_equal(text, "0.06");
    rpu_number_print(1e-5f, text);
    assert_string_equal(text, "1.0e-05");
    rpu_number_print(1000.0f, text);
    assert_string_equal(text, "1000");
    assert_null(rpu_number_real("-0.0", &back));
    assert_false(signbit(back));
    assert_null(rpu_number_real("-.5e+1", &back));
    assert_true(back == -5.0f);
    for (size_t i = 0; i < 8; i++) {
        static const char *const wrong[] = {".", "-", "1e", "1e+", "", "1.2.3", "--1", " 1"};
        assert_non_null(rpu_number_real(wrong[i], &back));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
