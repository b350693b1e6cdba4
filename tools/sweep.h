/* SPDX-License-Identifier: Apache-2.0 */
/** @file sweep.h
 *  What the parts of the sweep command share: the runs and what became of them (sweep.c), who trains them (child
 *  processes, sweep_jobs.c; ranks of MPI, sweep_ranks.c), and the table (sweep_table.c). */
#ifndef RPU_TOOLS_SWEEP_H
#define RPU_TOOLS_SWEEP_H

#include "../src/app.h"
#include "checkpoints.h"

#include <stdio.h>

/** A sweep at work. */
struct sweep_work {
    struct rpu_sweep *sweep;
    struct rpu_run *runs;
    size_t count;
    char folder[RPU_PATH_MAX];
    int lock;     /**< descriptor of the folder; inherited by trainings, which hold the lock to their end */
    FILE *human;  /**< null with --quiet */
    FILE *errors; /**< standard error, also while a training in this process has it */
    int terminal; /**< 1: `human` is one, and shows a line of progress */
    int width;    /**< of that line */
    size_t next;  /**< first run that may be waiting */
    size_t waiting, active, kept, done, failed, interrupted;
    size_t threads, least_threads; /**< most and fewest that a run uses */
    const char *every;             /**< the value of --checkpoint-every, or null */
    int stop;                      /**< 1: a signal came; nothing new is begun */
    double start;                  /**< seconds of the monotonic clock */
};

/** Path of a file of a run, or of its folder (""). 0 when it is too long. */
int sweep_path(const struct sweep_work *work, size_t run, const char *file, char path[RPU_PATH_MAX]);

/** The next run to train: it has been given its folder and its config.yaml, and counts as active. 0 when there is none,
 *  or after a stop. */
int sweep_next(struct sweep_work *work, size_t *run);

/** A run that was active has ended with this exit code (128 + signal for one that was killed). */
void sweep_ended(struct sweep_work *work, size_t run, int code);

/** Says how many runs there are, and how they are trained: `how` many at a time. */
void sweep_announce(const struct sweep_work *work, const char *how);

/** Rewrites the line of progress, on terminals. */
void sweep_progress(struct sweep_work *work);
/** Takes it away. */
void sweep_progress_clear(struct sweep_work *work);

/** The words of the command that trains the run of a folder. */
struct sweep_words {
    int argc;
    char *argv[9]; /**< with a null pointer behind them */
    char out[RPU_PATH_MAX + 16], config[RPU_PATH_MAX + 16], every[CHECKPOINTS_EVERY_MOST + 20];
};

/** Sets them. The training goes on from the checkpoint that is in the folder, if one is, and writes others as often as
 *  `every` says, if that is not null. */
void sweep_words(struct sweep_words *words, const char *run_folder, const char *every);

/** Opens the log of a run for writing, emptied; -1 after a message. */
int sweep_open_log(const char *run_folder, FILE *errors);

/* ---- sweep_jobs.c ---- */

/** Trains all waiting runs in child processes, `jobs` at a time (0: as many as fit). An exit code that is not
 *  CLI_EXIT_OK when that itself fails. */
int sweep_run_jobs(struct sweep_work *work, size_t jobs);

/* ---- sweep_ranks.c ---- */

/** Rank 0: trains all waiting runs on the ranks of the job, this one included. Without work (null): sends the others
 *  home. */
int sweep_lead_ranks(struct sweep_work *work, const struct rpu_dist *dist);
/** The others: train what rank 0 hands out, until it has no more. */
int sweep_serve_rank(const struct rpu_dist *dist, const char *every);

/* ---- sweep_table.c ---- */

/** Prints it; 0 without memory. */
int sweep_print_table(const struct sweep_work *work);

#endif
