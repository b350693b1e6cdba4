/* SPDX-License-Identifier: Apache-2.0 */
/** @file compare.h  Two runs of the benchmarks, side by side. */
#ifndef RPU_SRC_COMPARE_H
#define RPU_SRC_COMPARE_H

#include <rpu/status.h>

#include <stddef.h>

/** Begins the message of a benchmark that there is nothing to measure of here; any other one is that of a failure. */
#define RPU_BENCH_NOT_MEASURED "not measured: "

/** In the old file's names the component `from` is taken for `to`; what has `to` there, or `from` in the new file, is
 *  left out. */
struct rpu_bench_rename {
    const char *from, *to;
};

/** What is compared, and how. */
struct rpu_compare_options {
    double threshold;                       /**< change that counts, as a share: 0.05 */
    double alpha;                           /**< a change is significant when p is below it */
    int cpu_time;                           /**< 1: processor time, 0: wall time */
    const struct rpu_bench_rename *renames; /**< of components of the old file's names */
    size_t n_renames;
};

/** What is to be said of a benchmark that both files have. */
enum rpu_verdict {
    RPU_VERDICT_SAME,    /**< no change beyond the threshold */
    RPU_VERDICT_SLOWER,  /**< significantly beyond the threshold, interval and all: a regression */
    RPU_VERDICT_FASTER,  /**< significantly beyond the threshold, interval and all */
    RPU_VERDICT_UNCLEAR, /**< the ratio is beyond the threshold, but not its interval */
    RPU_VERDICT_FEW,     /**< too few repetitions: no difference whatever would be significant */
    RPU_VERDICT_SKIPPED, /**< not measured in one of the files or in both */
    RPU_VERDICTS
};

/** A benchmark that both files have. Numbers that there are not are NaN. */
struct rpu_compare_row {
    const char *name;
    size_t n_old, n_new;   /**< repetitions; 0: only an aggregate */
    double old_ns, new_ns; /**< medians */
    double ratio;          /**< new / old time: the median of all ratios of two repetitions */
    double low, high;      /**< interval of the ratio at the level 1 - alpha */
    double p;              /**< two-sided, Mann-Whitney U */
    enum rpu_verdict verdict;
    const char *reason; /**< why it was not measured, or null */
};

/** Benchmarks with the same first component. */
struct rpu_compare_group {
    char *name;
    size_t rows;  /**< with a ratio */
    double ratio; /**< their geometric mean; NaN without any */
};

/** What a difference of the contexts concerns. */
enum rpu_compare_kind { RPU_KIND_MACHINE, RPU_KIND_KERNELS, RPU_KIND_BUILD, RPU_KIND_RUN, RPU_KINDS };

/** A key of the contexts with two values. */
struct rpu_compare_difference {
    const char *key;
    enum rpu_compare_kind kind;
    char *old, *new; /**< as text; null where the file does not have it */
};

/** The comparison. */
struct rpu_compare {
    struct rpu_compare_options options;
    struct rpu_compare_row *rows; /**< in the order of the new file */
    size_t n_rows;
    struct rpu_compare_group *groups; /**< in the order of their first rows */
    size_t n_groups;
    struct rpu_compare_group all;
    const char **only_old, **only_new; /**< names that one file alone has */
    size_t n_only_old, n_only_new;
    struct rpu_compare_difference *differences;
    size_t n_differences;
    size_t count[RPU_VERDICTS]; /**< rows with each verdict */
    size_t tested;              /**< rows in which a change can be significant */
    struct rpu_compare_files *files;
};

/** Reads and compares two documents. RPU_ERR_IO, RPU_ERR_FORMAT (a document that is none, or no benchmark in common),
 *  RPU_ERR_NOMEM. rpu_compare_free is due in every case. */
enum rpu_status rpu_compare(struct rpu_compare *compare, const char *old_path, const char *new_path,
                            const struct rpu_compare_options *options, struct rpu_error *err);
void rpu_compare_free(struct rpu_compare *compare);

const char *rpu_verdict_name(enum rpu_verdict verdict);        /**< "slower" */
const char *rpu_compare_kind_name(enum rpu_compare_kind kind); /**< "machine" */

/** The comparison as a JSON document (results/README.md), malloc'd. */
enum rpu_status rpu_compare_json(char **text, const struct rpu_compare *compare, struct rpu_error *err);

#endif
