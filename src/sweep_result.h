/* SPDX-License-Identifier: Apache-2.0 */
/** @file sweep_result.h  What became of the runs of a sweep, and its tables. */
#ifndef RPU_SRC_SWEEP_RESULT_H
#define RPU_SRC_SWEEP_RESULT_H

#include "sweep.h"

#include <stddef.h>
#include <stdint.h>

/** What a table shows of a results document. Numbers that the document does not have are NaN. */
struct rpu_summary {
    uint32_t epochs; /**< finished */
    double train_loss, test_loss, test_error;
    double images_per_second, train_seconds;
    char digest[17]; /**< of the weights */
};

enum rpu_run_state {
    RPU_RUN_WAITING, /**< not begun */
    RPU_RUN_ACTIVE,
    RPU_RUN_KEPT, /**< its result was there before */
    RPU_RUN_DONE,
    RPU_RUN_FAILED,
    RPU_RUN_INTERRUPTED
};

/** One run. */
struct rpu_run {
    enum rpu_run_state state;
    int code;                   /**< exit code of one that failed; 128 + signal */
    struct rpu_summary summary; /**< of one that is kept or done */
};

/** Whether there is a summary. */
static inline int rpu_run_has_result(const struct rpu_run *run) {
    return run->state == RPU_RUN_KEPT || run->state == RPU_RUN_DONE;
}

/** A state in one word: "done". */
const char *rpu_run_state_name(enum rpu_run_state state);

/** Reads a results document. RPU_ERR_IO when it cannot be read; RPU_ERR_FORMAT when it is not the document of a
 *  finished training of exactly this configuration (the preset's name is not compared, what it says is); RPU_ERR_NOMEM.
 */
enum rpu_status rpu_summary_read(struct rpu_summary *summary, const char *path, const struct rpu_config *config,
                                 struct rpu_error *err);

/** Whether a training of this configuration can go on from that checkpoint. RPU_ERR_NOMEM, RPU_ERR_IO and
 *  RPU_ERR_UNSUPPORTED (of a newer version): not known. One that is damaged, of another configuration or further than
 *  that trains does not fit: then RPU_OK, and `err` says why. */
enum rpu_status rpu_checkpoint_fits(const char *path, const struct rpu_config *config, int *fits,
                                    struct rpu_error *err);

/** Mean and spread of the test error over the seeds of one setting. */
struct rpu_spread {
    size_t first;           /**< first run of the setting */
    size_t runs;            /**< that have a result */
    double mean, deviation; /**< of test errors; the deviation is the sample's, NaN for a single run */
    double least, most;
};

/** Settings: 0 without several seeds. */
size_t rpu_spread_count(const struct rpu_sweep *sweep);
/** Setting `index`, in the order of the runs. */
struct rpu_spread rpu_spread_at(const struct rpu_sweep *sweep, const struct rpu_run *runs, size_t index);

/** The table as a JSON document (results/README.md), malloc'd. */
enum rpu_status rpu_sweep_json(char **text, const struct rpu_sweep *sweep, const struct rpu_run *runs,
                               struct rpu_error *err);
/** The table as CSV (RFC 4180), malloc'd: a head, and a line for each run. */
enum rpu_status rpu_sweep_csv(char **text, const struct rpu_sweep *sweep, const struct rpu_run *runs,
                              struct rpu_error *err);

#endif
