/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler.h"

#include "error.h"
#include "range.h"

#include <omp.h>
#include <stdlib.h>

struct rpu_sched {
    int threads;
};

enum rpu_status rpu_sched_create(struct rpu_sched **sched, int threads, struct rpu_error *err) {
    struct rpu_sched *s;
    if (threads < 0 || threads > 1024)
        return rpu_fail(err, RPU_ERR_RANGE, "threads is %d; allowed is 0 (all available) to 1024", threads);
    s = malloc(sizeof *s);
    if (!s)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    s->threads = threads > 0 ? threads : omp_get_max_threads();
    *sched = s;
    return RPU_OK;
}

void rpu_sched_destroy(struct rpu_sched *sched) {
    free(sched);
}

int rpu_sched_threads(const struct rpu_sched *sched) {
    return sched->threads;
}

void rpu_sched_run(struct rpu_sched *sched, size_t items, rpu_item_fn *fn, void *context) {
    if (sched->threads == 1 || items <= 1) {
        for (size_t i = 0; i < items; i++)
            fn(context, i, 0);
        return;
    }
#pragma omp parallel num_threads(sched->threads)
    {
        /* the team may be smaller than asked for: divide by what is there */
        const size_t team = (size_t)omp_get_num_threads(), me = (size_t)omp_get_thread_num();
        const size_t end = rpu_range(items, team, me + 1);
        for (size_t i = rpu_range(items, team, me); i < end; i++)
            fn(context, i, (int)me);
    }
}
