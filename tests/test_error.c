/* SPDX-License-Identifier: Apache-2.0 */
/* The error object: what a message is made of, where it is cut, and what it never holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "error.h"

static void test_parts(void **state) {
    struct rpu_error err;
    (void)state;
    memset(&err, 0x55, sizeof err);
    assert_int_equal(rpu_fail(&err, RPU_ERR_RANGE, "%d is too much", 7), RPU_ERR_RANGE);
    assert_int_equal(err.status, RPU_ERR_RANGE);
    assert_string_equal(err.message, "7 is too much");
    assert_string_equal(err.file, "");
    assert_string_equal(err.key, "");
    assert_int_equal(err.line, 0);
    assert_int_equal(rpu_fail_at(&err, RPU_ERR_CONFIG, "a.yaml", 3, "a.b", "wrong: %s", "x"), RPU_ERR_CONFIG);
    assert_string_equal(err.message, "a.yaml:3: a.b: wrong: x");
    assert_string_equal(err.file, "a.yaml");
    assert_string_equal(err.key, "a.b");
    assert_int_equal(err.line, 3);
    rpu_fail_at(&err, RPU_ERR_IO, "a.yaml", 0, NULL, "wrong");
    assert_string_equal(err.message, "a.yaml: wrong");
    rpu_fail_at(&err, RPU_ERR_IO, NULL, 0, "", "wrong");
    assert_string_equal(err.message, "wrong");
    rpu_fail_at(&err, RPU_ERR_IO, "", 3, "", "wrong"); /* what comes from no file */
    assert_string_equal(err.message, "wrong");
}

/* Without an error object the status is all. */
static void test_null(void **state) {
    (void)state;
    assert_int_equal(rpu_fail(NULL, RPU_ERR_ARG, "%s", "x"), RPU_ERR_ARG);
    assert_int_equal(rpu_fail_at(NULL, RPU_ERR_IO, "f", 1, "k", "%s", "x"), RPU_ERR_IO);
    rpu_error_clear(NULL);
}

/* Everything too long is cut, and terminated. */
static void test_lengths(void **state) {
    static char text[4000];
    struct rpu_error err;
    (void)state;
    memset(text, 'x', sizeof text - 1);
    rpu_fail_at(&err, RPU_ERR_CONFIG, text, 1234567890L, text, "%s", text);
    assert_int_equal(strlen(err.file), sizeof err.file - 1);
    assert_int_equal(strlen(err.key), sizeof err.key - 1);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_non_null(strstr(err.message, ":1234567890: "));
}

/* What stands in a file cannot drive a terminal or forge a line of its own. */
static void test_control_characters(void **state) {
    struct rpu_error err;
    (void)state;
    rpu_fail_at(&err, RPU_ERR_CONFIG, "a\nb", 0, "k\x1b[2J", "found '%s'", "x\r\x7f\t\xc3\xa9");
    assert_string_equal(err.message, "a?b: k?[2J: found 'x???\xc3\xa9'");
    assert_string_equal(err.key, "k?[2J");
    assert_string_equal(err.file, "a\nb");
    rpu_fail(&err, RPU_ERR_ARG, "%s", "\x01\x1f ");
    assert_string_equal(err.message, "?? ");
}

static void test_names(void **state) {
    (void)state;
    for (int status = RPU_OK; status <= RPU_ERR_INTERRUPTED; status++)
        for (int other = RPU_OK; other < status; other++)
            assert_string_not_equal(rpu_status_name((enum rpu_status)status), rpu_status_name((enum rpu_status)other));
    assert_string_equal(rpu_status_name(RPU_ERR_NOMEM), "RPU_ERR_NOMEM");
    assert_string_equal(rpu_status_name((enum rpu_status)12345), "RPU_ERR_UNKNOWN");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),   cmocka_unit_test(test_null),
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
