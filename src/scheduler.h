/* SPDX-License-Identifier: Apache-2.0 */
/** @file scheduler.h
 *  The scheduler: runs lists of independent items on a team of threads. It knows nothing of noise or devices. */
#ifndef RPU_SRC_SCHEDULER_H
#define RPU_SRC_SCHEDULER_H

#include <stddef.h>

#include <rpu/status.h>

struct rpu_sched;

/** Work on item `item` by thread `thread` (0..threads-1). Items are independent of each other. */
typedef void rpu_item_fn(void *context, size_t item, int thread);

/** threads >= 1; 0 = as many as the process may use. */
enum rpu_status rpu_sched_create(struct rpu_sched **sched, int threads, struct rpu_error *err);
void rpu_sched_destroy(struct rpu_sched *sched);
int rpu_sched_threads(const struct rpu_sched *sched);

/** Runs fn(context, item, thread) for every item in 0..items-1, contiguous ranges of items to each thread, and returns
 *  when all are done. With one thread or one item it is a plain loop. Not reentrant. */
void rpu_sched_run(struct rpu_sched *sched, size_t items, rpu_item_fn *fn, void *context);

#endif
