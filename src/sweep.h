/* SPDX-License-Identifier: Apache-2.0 */
/** @file sweep.h
 *  A sweep: one base configuration, and keys that take several values. It knows configurations, not processes.
 *
 *  The file:
 *
 *      base: lenet-rpu                         # a preset, or a configuration relative to this file's folder
 *      data: {limit_train: 1000}               # any key of a configuration: the same in all runs
 *      list:                                   # values side by side: the first of each, the second of each, ...
 *        arrays.default.forward.nm: [none, abs-max]
 *        arrays.default.backward.nm: [none, abs-max]
 *      grid:                                   # every combination
 *        arrays.default.update.bl: [1, 5, 10]
 *      cases:                                  # settings with a name, beside each other: each combination with each
 *        plain: {}
 *        exact: {arrays.default.device: perfect, arrays.K2.device: perfect}
 *      seeds: [1, 2, 3]                        # each of it all with each of these
 *
 *  Runs are numbered with `list` as the slowest index, then `cases`, then the keys of `grid` in their order, then
 *  `seeds`. */
#ifndef RPU_SRC_SWEEP_H
#define RPU_SRC_SWEEP_H

#include <rpu/config.h>
#include <rpu/status.h>

#include <stddef.h>

enum {
    RPU_SWEEP_MAX_RUNS = 10000,
    RPU_SWEEP_MAX_NAME = 200 /**< bytes of a run's name */
};

struct rpu_sweep; /**< opaque */

/** Reads a sweep file and checks the configuration of every run. The assignments are merged over what all runs share;
 *  they may not touch a key that varies. RPU_ERR_CONFIG with file, line and key; RPU_ERR_IO; RPU_ERR_NOMEM. */
enum rpu_status rpu_sweep_read(struct rpu_sweep **sweep, const char *path, const struct rpu_assignment *assignments,
                               size_t n_assignments, struct rpu_error *err);
void rpu_sweep_free(struct rpu_sweep *sweep);

/** Runs; at least 1. */
size_t rpu_sweep_count(const struct rpu_sweep *sweep);

/** The effective configuration of a run. Threads that nothing sets are 1: runs share the machine. */
enum rpu_status rpu_sweep_config(const struct rpu_sweep *sweep, size_t run, struct rpu_config *config,
                                 struct rpu_error *err);

/** Name of a run, fit for a folder: "bl=5,seed=2". No two runs of a sweep share one; it does not change when values or
 *  runs come and go. */
const char *rpu_sweep_name(const struct rpu_sweep *sweep, size_t run);

/** Keys that vary, in the order of the names. */
size_t rpu_sweep_key_count(const struct rpu_sweep *sweep);
const char *rpu_sweep_key(const struct rpu_sweep *sweep,
                          size_t key); /**< "arrays.default.update.bl"; "case" of cases */
const char *rpu_sweep_key_short(const struct rpu_sweep *sweep, size_t key); /**< "bl": as much of it as is needed */
const char *rpu_sweep_value(const struct rpu_sweep *sweep, size_t run, size_t key); /**< as text: "5" */
size_t rpu_sweep_seed_count(const struct rpu_sweep *sweep); /**< values of `seeds`, the last key; 0 without */

#endif
