/* SPDX-License-Identifier: Apache-2.0 */
/** @file benchfile.h  Reading the JSON documents of benchmarks, which are Google Benchmark's. */
#ifndef RPU_SRC_BENCHFILE_H
#define RPU_SRC_BENCHFILE_H

#include "compare.h"

#include <rpu/status.h>

#include <jansson.h>
#include <stddef.h>

enum { RPU_BENCH_MAX_REPETITIONS = 1000 /**< of a benchmark */ };

/** All repetitions of one benchmark. */
struct rpu_bench_series {
    const char *name;    /**< without what Google Benchmark appends for flags (iterations:, repeats:, min_time:) */
    double *values;      /**< nanoseconds of an iteration, one for each repetition, all above 0 */
    size_t n, room;      /**< n may be 0 */
    double aggregate;    /**< median, or else mean, where the document states one; else 0 */
    int has_median;      /**< 1: the aggregate is a median */
    const char *skipped; /**< why it was not measured, or null */
};

/** A document. */
struct rpu_bench_file {
    json_t *root;
    struct rpu_bench_series *series; /**< in the order of the document */
    size_t n, room;
    json_t *index; /**< from name to place in `series` */
};

/** How a document is read. */
struct rpu_bench_reading {
    const char *time;                       /**< key of the time that counts, `real_time` or `cpu_time` */
    const struct rpu_bench_rename *renames; /**< may be null */
    size_t n_renames;
    int is_new; /**< 0: `from` is called `to`, and what has `to` is left out; 1: what has `from` is left out */
};

/** Reads a document. RPU_ERR_IO; RPU_ERR_FORMAT with file and place;
 *  RPU_ERR_NOMEM. rpu_bench_free is due in every case. */
enum rpu_status rpu_bench_read(struct rpu_bench_file *file, const char *path, const struct rpu_bench_reading *how,
                               struct rpu_error *err);
void rpu_bench_free(struct rpu_bench_file *file);

/** The benchmark of that name, or null. */
const struct rpu_bench_series *rpu_bench_find(const struct rpu_bench_file *file, const char *name);

#endif
