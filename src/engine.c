/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"

#include "error.h"

#include <stdlib.h>

/* Threads asked for, else what the environment says, else one for each core. */
static enum rpu_status make_threads(struct rpu_engine *e, const struct rpu_engine_options *o, struct rpu_error *err) {
    struct rpu_sched_options s = {.threads = o->threads, .topo = e->topo};
    enum rpu_status status;
    if (o->threads < 0 || o->threads > 1024)
        return rpu_fail(err, RPU_ERR_RANGE, "threads is %d; allowed is 0 (all available) to 1024", o->threads);
    if (!rpu_bind_name(o->bind))
        return rpu_fail(err, RPU_ERR_RANGE, "bind is %d; allowed is %d (auto) to %d (spread)", (int)o->bind,
                        RPU_BIND_AUTO, RPU_BIND_SPREAD);
    if (o->share != RPU_SHARE_AUTO && o->share != RPU_SHARE_ALWAYS)
        return rpu_fail(err, RPU_ERR_RANGE, "share is %d; allowed is %d (auto) or %d (always)", (int)o->share,
                        RPU_SHARE_AUTO, RPU_SHARE_ALWAYS);
    e->share = o->share;
    if (s.threads == 0)
        s.threads = rpu_sched_environment();
    if (s.threads == 0)
        s.threads = rpu_topo_threads(e->topo);
    s.seats = rpu_topo_seats(e->topo);
    status = rpu_topo_place(e->topo, o->bind, s.threads, err);
    return status == RPU_OK ? rpu_sched_create(&e->sched, &s, err) : status;
}

enum rpu_status rpu_engine_create_with(struct rpu_engine **engine, const struct rpu_engine_options *options,
                                       struct rpu_error *err) {
    struct rpu_engine *e;
    enum rpu_status status;
    if (engine)
        *engine = NULL;
    if (!engine || !options)
        return rpu_fail(err, RPU_ERR_ARG, "no options, or no place for the engine");
    e = calloc(1, sizeof *e);
    if (!e)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    e->tag = RPU_ENGINE_TAG;
    status = rpu_table_fill(&e->table, rpu_cpu_flags(), options->isa, err);
    if (status == RPU_OK)
        status = rpu_topo_create(&e->topo, err);
    if (status == RPU_OK)
        status = make_threads(e, options, err);
    if (status != RPU_OK) {
        rpu_engine_destroy(e);
        return status;
    }
    *engine = e;
    return RPU_OK;
}

enum rpu_status rpu_engine_create(struct rpu_engine **engine, const char *isa, int threads, struct rpu_error *err) {
    const struct rpu_engine_options options = {.isa = isa, .threads = threads};
    return rpu_engine_create_with(engine, &options, err);
}

void rpu_engine_destroy(struct rpu_engine *engine) {
    if (!rpu_is_engine(engine))
        return;
    engine->tag = 0;
    rpu_sched_destroy(engine->sched);
    rpu_topo_destroy(engine->topo);
    free(engine);
}

void rpu_engine_machine(const struct rpu_engine *engine, struct rpu_machine *machine) {
    if (rpu_is_engine(engine) && machine)
        rpu_topo_describe(engine->topo, machine);
}

enum rpu_bind rpu_engine_bind(const struct rpu_engine *engine) {
    return rpu_is_engine(engine) ? rpu_topo_decided(engine->topo) : RPU_BIND_NONE;
}

int rpu_engine_place(const struct rpu_engine *engine, int thread, struct rpu_place *place) {
    return rpu_is_engine(engine) && place ? rpu_topo_place_of(engine->topo, thread, place) : 0;
}

int rpu_engine_processor(const struct rpu_engine *engine, int index, struct rpu_place *place) {
    return rpu_is_engine(engine) && place ? rpu_topo_processor(engine->topo, index, place) : 0;
}

const char *rpu_bind_name(enum rpu_bind bind) {
    static const char *const names[] = {"auto", "none", "compact", "spread"};
    return (unsigned)bind < sizeof names / sizeof names[0] ? names[bind] : NULL;
}

enum rpu_status rpu_engine_trace(struct rpu_engine *engine, size_t most, struct rpu_error *err) {
    if (!rpu_is_engine(engine))
        return rpu_fail(err, RPU_ERR_ARG, "no engine");
    rpu_sched_record(engine->sched, most);
    return RPU_OK;
}

size_t rpu_engine_trace_count(const struct rpu_engine *engine, int thread) {
    const struct rpu_sched_event *events;
    return rpu_is_engine(engine) ? rpu_sched_events(engine->sched, thread, &events) : 0;
}

enum rpu_status rpu_engine_trace_event(const struct rpu_engine *engine, int thread, size_t index,
                                       struct rpu_trace_event *event) {
    const struct rpu_sched_event *events;
    if (!rpu_is_engine(engine) || !event || index >= rpu_sched_events(engine->sched, thread, &events))
        return RPU_ERR_ARG;
    *event = (struct rpu_trace_event){events[index].name, events[index].of, events[index].item, events[index].start,
                                      events[index].end};
    return RPU_OK;
}

uint64_t rpu_engine_trace_lost(const struct rpu_engine *engine) {
    return rpu_is_engine(engine) ? rpu_sched_events_lost(engine->sched) : 0;
}

int rpu_engine_threads(const struct rpu_engine *engine) {
    return rpu_is_engine(engine) ? rpu_sched_threads(engine->sched) : 0;
}

const char *rpu_engine_isa(const struct rpu_engine *engine) {
    return rpu_is_engine(engine) ? engine->table.isa : NULL;
}

size_t rpu_engine_kernel_count(const struct rpu_engine *engine) {
    return rpu_is_engine(engine) ? rpu_kernel_count() : 0;
}

const char *rpu_engine_kernel_name(const struct rpu_engine *engine, size_t index) {
    return rpu_is_engine(engine) ? rpu_kernel_name(index) : NULL;
}

const char *rpu_engine_kernel_variant(const struct rpu_engine *engine, size_t index) {
    return rpu_is_engine(engine) && index < rpu_kernel_count() ? engine->table.variant[index] : NULL;
}
