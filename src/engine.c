/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"

#include "error.h"

#include <stdlib.h>

enum rpu_status rpu_engine_create(struct rpu_engine **engine, const char *isa, int threads, struct rpu_error *err) {
    struct rpu_engine *e;
    enum rpu_status status;
    if (!engine)
        return rpu_fail(err, RPU_ERR_ARG, "no place for the engine");
    *engine = NULL;
    e = calloc(1, sizeof *e);
    if (!e)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    status = rpu_table_fill(&e->table, rpu_cpu_flags(), isa, err);
    if (status == RPU_OK)
        status = rpu_sched_create(&e->sched, threads, err);
    if (status != RPU_OK) {
        free(e);
        return status;
    }
    *engine = e;
    return RPU_OK;
}

void rpu_engine_destroy(struct rpu_engine *engine) {
    if (engine) {
        rpu_sched_destroy(engine->sched);
        free(engine);
    }
}

int rpu_engine_threads(const struct rpu_engine *engine) {
    return engine ? rpu_sched_threads(engine->sched) : 0;
}

const char *rpu_engine_isa(const struct rpu_engine *engine) {
    return engine ? engine->table.isa : NULL;
}

size_t rpu_engine_kernel_count(const struct rpu_engine *engine) {
    return engine ? rpu_kernel_count() : 0;
}

const char *rpu_engine_kernel_name(const struct rpu_engine *engine, size_t index) {
    return engine ? rpu_kernel_name(index) : NULL;
}

const char *rpu_engine_kernel_variant(const struct rpu_engine *engine, size_t index) {
    return engine && index < rpu_kernel_count() ? engine->table.variant[index] : NULL;
}
