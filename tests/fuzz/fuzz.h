/* SPDX-License-Identifier: Apache-2.0 */
/** @file fuzz.h
 *  What the fuzz targets share. A target is a file with LLVMFuzzerTestOneInput and a line in meson.build; it is linked
 *  with libFuzzer (option `fuzz`, clang) or, in every other build, with replay.c, which runs the seeds through it. What
 *  a target finds wrong it ends with FUZZ_CHECK. */
#ifndef RPU_TESTS_FUZZ_FUZZ_H
#define RPU_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/** libFuzzer's interface. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition)                                                                                          \
    do                                                                                                                 \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
            abort();                                                                                                   \
        }                                                                                                              \
    while (0)

/** Puts the bytes into file `slot` (0..3), which lies in memory, and returns its path. */
const char *fuzz_file(int slot, const void *bytes, size_t size);

/** A part of an input. */
struct fuzz_part {
    const uint8_t *bytes;
    size_t size;
};

/** Cuts an input at lines that are "====" alone; parts that are not there are empty. Returns those that are. */
size_t fuzz_cut(const uint8_t *data, size_t size, struct fuzz_part *parts, size_t most);

/** The lines of a part, each terminated; `*lines` and what its elements point to are freed with fuzz_free_lines. */
size_t fuzz_lines(struct fuzz_part part, size_t most, char ***lines);
void fuzz_free_lines(char **lines, size_t n);

/** Checks that a failed call said why: a status, a message, terminated texts. */
struct rpu_error;
void fuzz_check_error(const struct rpu_error *err);

/** Checks a configuration that was accepted: as YAML it is read back to the same bytes. */
struct rpu_config;
void fuzz_check_config(const struct rpu_config *config);

#endif
