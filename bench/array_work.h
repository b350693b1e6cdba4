/* SPDX-License-Identifier: Apache-2.0 */
/** @file array_work.h
 *  Cycles of a whole array by a team of threads, divided as a training divides them. */
#ifndef RPU_BENCH_ARRAY_WORK_H
#define RPU_BENCH_ARRAY_WORK_H

#include "array.h"
#include "bench.h"

/** What a thread counts. */
struct array_counts {
    _Alignas(64) struct rpu_read_counts reads;
    struct rpu_update_counts updates;
};

/** One cycle of one array. */
struct array_work {
    enum rpu_cycle op;
    struct rpu_array *array;
    const struct inputs *in;
    struct rpu_sched *sched;
    int team;
    uint32_t image;   /**< of the next cycle */
    uint32_t columns; /**< that are worked on, all or the first of them */
    float *out, *stored;
    uint64_t *trains;
    size_t ldout;
    void **scratch; /**< of each thread */
    struct array_counts *counts;
    struct rpu_array_parts division; /**< of a single column's read */
    struct rpu_read_counts *part_counts;
    size_t bands; /**< ranges of columns: of a read of several, and of drawing pulses */
    size_t parts; /**< ranges of rows: of an update */
};

/** Whether a team of more than one thread has anything to divide. */
int array_work_divides(enum rpu_cycle op, const struct shape *shape, int team);

/** The array is the caller's, as are the inputs. */
void array_work_make(struct array_work *w, enum rpu_cycle op, struct rpu_array *array, const struct inputs *in,
                     const struct rpu_engine *engine);
void array_work_free(struct array_work *w);
/** gb_run_fn: n cycles, each with an image number of its own. */
void array_work_run(void *work, uint64_t n);
/** What all threads counted. */
struct array_counts array_work_counts(const struct array_work *w);
/** Takes everything that a cycle touches out of the caches. */
void array_work_flush(const struct array_work *w);
/** Runs one cycle of the first `columns` columns, and compares it, bit for bit, with the oracle's. */
int array_work_check(struct array_work *w, const struct rpu_engine *oracle, uint32_t columns);

#endif
