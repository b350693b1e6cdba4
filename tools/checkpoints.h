/* SPDX-License-Identifier: Apache-2.0 */
/** @file checkpoints.h  What a training does about checkpoints: --checkpoint-every, --resume, interrupts. */
#ifndef RPU_TOOLS_CHECKPOINTS_H
#define RPU_TOOLS_CHECKPOINTS_H

#include "../src/app.h"
#include "cli.h"

enum { CHECKPOINTS_EVERY_MOST = 60 }; /**< characters of the value of --checkpoint-every */

struct checkpoints {
    char folder[RPU_PATH_MAX]; /**< of --out; "" without: there are no checkpoints then */
    char path[RPU_PATH_MAX];
    struct rpu_checkpoint_times times;
    const char *every; /**< the value of --checkpoint-every, or null */
    int resume;        /**< --resume was given */
    int written;       /**< one was, of this many images and epochs */
    uint64_t images;
    size_t epochs;
    int failed; /**< one could not be written */
};

/** Reads the value of --checkpoint-every. RPU_ERR_CONFIG. */
enum rpu_status checkpoints_every(struct rpu_checkpoint_times *times, const char *text, struct rpu_error *err);

/** Reads the options. RPU_ERR_CONFIG. */
enum rpu_status checkpoints_options(struct checkpoints *c, const struct cli_args *args, struct rpu_error *err);

/** With --resume: takes the run to where the checkpoint stands, on all ranks, or leaves it at its beginning where there
 *  is none. Collective. */
enum rpu_status checkpoints_resume(struct checkpoints *c, struct rpu_training *run, const struct rpu_dist *dist,
                                   struct rpu_error *err);

/** On the rank that writes, after the folder was made: finds out whether it can, and asks the run to call for
 *  checkpoints. RPU_ERR_CONFIG where one is there and --resume was not given: an interrupt writes one in any case. */
enum rpu_status checkpoints_begin(struct checkpoints *c, struct rpu_training *run, struct rpu_error *err);

/** On the rank that writes: the checkpoint of the end, where one is wanted, or of an interrupt. 0 when this one or
 *  another could not be written; the message was printed. */
int checkpoints_end(struct checkpoints *c, struct rpu_training *run, int interrupted);

#endif
