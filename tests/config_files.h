/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of configurations: one file, written and loaded again and again. */
#ifndef RPU_TESTS_CONFIG_FILES_H
#define RPU_TESTS_CONFIG_FILES_H

#include "config_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { PRESETS = 7 };

#define NET "network: {layers: [{type: fc, outputs: 10}, {type: softmax}]}\n"

static char file_name[64];

static inline int make_file(void **state) {
    int fd;
    (void)state;
    snprintf(file_name, sizeof file_name, "/tmp/rpu-config-XXXXXX");
    fd = mkstemp(file_name);
    return fd < 0 ? -1 : close(fd);
}

static inline int remove_file(void **state) {
    (void)state;
    return unlink(file_name);
}

static inline void write_bytes(const char *text, size_t size) {
    FILE *f = fopen(file_name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static inline enum rpu_status load_text(struct rpu_config *config, const char *text, const char *const *sets,
                                        struct rpu_error *err) {
    struct rpu_assignment list[8];
    size_t n = 0;
    while (sets && sets[n]) {
        list[n] = (struct rpu_assignment){sets[n], "--set"};
        n++;
    }
    write_bytes(text, strlen(text));
    memset(config, 0xa5, sizeof *config);
    return rpu_config_load(config, file_name, list, n, err);
}

static inline void load_good(struct rpu_config *config, const char *text, const char *const *sets) {
    struct rpu_error err;
    if (load_text(config, text, sets, &err) != RPU_OK)
        fail_msg("refused: %s\nfile:\n%s", err.message, text);
}

static inline void expect_round_trip(const struct rpu_config *config, enum rpu_visit_form form, int comments) {
    struct rpu_config again;
    struct rpu_error err;
    char *text = NULL, *second = NULL;
    assert_int_equal(rpu_config_write(config, form, comments, &text, &err), RPU_OK);
    load_good(&again, text, NULL);
    if (memcmp(config, &again, sizeof again) != 0)
        fail_msg("not the same configuration:\n%s", text);
    assert_int_equal(rpu_config_write(&again, form, comments, &second, &err), RPU_OK);
    assert_string_equal(text, second);
    free(text);
    free(second);
}

static inline void expect_round_trips(const struct rpu_config *config) {
    for (int comments = 0; comments < 2; comments++) {
        expect_round_trip(config, RPU_VISIT_COMPACT, comments);
        expect_round_trip(config, RPU_VISIT_FULL, comments);
    }
}

#endif
