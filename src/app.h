/* SPDX-License-Identifier: Apache-2.0 */
/** @file app.h
 *  The one internal header of the commands: provenance, the results document, comparisons of benchmarks, mappings,
 *  sweeps, tests and figures of checkpoints, and the processes of a job. None of it is part of librpu, but for files
 *  that appear whole or not at all (outfile.h) and errors (error.h); it is linked into the programs. */
#ifndef RPU_SRC_APP_H
#define RPU_SRC_APP_H

#include <rpu/checkpoint.h>
#include <rpu/config.h>
#include <rpu/data.h>
#include <rpu/engine.h>
#include <rpu/status.h>
#include <rpu/train.h>

#include "compare.h"
#include "dist.h"
#include "error.h"
#include "evaluation.h"
#include "inspect.h"
#include "mapping_json.h"
#include "outfile.h"
#include "small.h"
#include "sweep.h"
#include "sweep_result.h"

#include <stddef.h>

/** Name of a training's checkpoint in the folder of --out. */
#define RPU_CHECKPOINT_NAME "checkpoint.safetensors"

/* ---- provenance.c: what was built, and when ---- */

/** Commit of the source, with "-dirty" when tracked files were changed; "unknown" outside a repository. */
const char *rpu_build_commit(void);
/** Compiler and its version. */
const char *rpu_build_compiler(void);
/** Build type and the flags that the user of the build can choose. */
const char *rpu_build_flags(void);
/** The time now as UTC, ISO 8601, whole seconds ("2026-01-31T12:00:00Z"). */
void rpu_date(char date[32]);

/* ---- results.c: documents of results/README.md ---- */

/** What a results document is made of. */
struct rpu_results {
    const struct rpu_config *config; /**< effective */
    const struct rpu_engine *engine;
    const struct rpu_dataset *data;
    struct rpu_training *run;
    const char *date; /**< start of the training, see rpu_date */
    int interrupted;  /**< 1: the training was stopped before its end */
    int diverged;     /**< 1: because it diverged */
    int ranks, hosts; /**< processes that shared it, and machines they ran on; at least 1 */
};

/** The results of a training as JSON text with a final newline, malloc'd. */
enum rpu_status rpu_results_json(char **text, const struct rpu_results *results, struct rpu_error *err);

/** Build and machine as JSON text with a final newline, malloc'd. */
enum rpu_status rpu_info_json(char **text, const struct rpu_engine *engine, struct rpu_error *err);

/* ---- trace.c ---- */

/** Pieces of work that a trace keeps. */
#define RPU_TRACE_EVENTS ((size_t)100000)

/** What an engine recorded (rpu_engine_trace), in Chrome's trace-event format, malloc'd. */
enum rpu_status rpu_trace_json(char **text, const struct rpu_engine *engine, struct rpu_error *err);

#endif
