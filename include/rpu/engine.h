/* SPDX-License-Identifier: Apache-2.0 */
/** @file engine.h
 *  What computes: a kernel table chosen once, and threads with their places on the machine. */
#ifndef RPU_ENGINE_H
#define RPU_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include <rpu/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rpu_engine; /**< opaque */

/** Builds an engine.
 *  @param isa      "generic", "autovec", "avx2", "neon": the best variant up to and including that one is taken for
 *                  each kernel; null = the best this CPU has. An unknown or unsupported name is RPU_ERR_UNSUPPORTED
 *                  with a message that lists the valid ones, never a silent fallback.
 *  @param threads  number of threads, 1..1024; 0 = as many as the process may use. Others are RPU_ERR_RANGE.
 *  Results do not depend on either. RPU_ERR_NOMEM. */
RPU_API enum rpu_status rpu_engine_create(struct rpu_engine **engine, const char *isa, int threads,
                                          struct rpu_error *err);
RPU_API void rpu_engine_destroy(struct rpu_engine *engine);

/** Whether each thread has a processor of its own. */
enum rpu_bind {
    RPU_BIND_AUTO, /**< spread where it pays and harms nobody: on several NUMA nodes that the process has for itself */
    RPU_BIND_NONE, /**< the system moves threads as it likes */
    RPU_BIND_COMPACT, /**< core by core in the machine's order */
    RPU_BIND_SPREAD   /**< cores of all NUMA nodes in turn */
};

/** Whether threads share a minibatch's work. Processes that share a network (rpu_network_share) always do. */
enum rpu_share {
    RPU_SHARE_AUTO,  /**< unless one of them is faster alone, which is tried with minibatches of less than 10 ms */
    RPU_SHARE_ALWAYS /**< whatever it takes */
};

/** What to build an engine from; zeros are the defaults. */
struct rpu_engine_options {
    const char *isa;      /**< as for rpu_engine_create */
    int threads;          /**< as for rpu_engine_create */
    enum rpu_bind bind;   /**< more threads than processors are not bound */
    enum rpu_share share; /**< a minibatch's work among the threads */
};

/** Builds an engine, as rpu_engine_create does and with its errors; RPU_ERR_RANGE also for an unknown `bind` or
 *  `share`. */
RPU_API enum rpu_status rpu_engine_create_with(struct rpu_engine **engine, const struct rpu_engine_options *options,
                                               struct rpu_error *err);

/** Threads of the engine. 0 asked for: what OMP_NUM_THREADS says, else one for each core that the process may use. No
 *  more of them are awake at a time than there are processors that the process may use. */
RPU_API int rpu_engine_threads(const struct rpu_engine *engine);

/** The machine, as far as the process may use it (affinity, cgroup). */
struct rpu_machine {
    int packages, nodes; /**< NUMA nodes */
    int cores;           /**< physical cores with at least one usable processor */
    int processors;      /**< usable processors, SMT siblings included */
    int all_processors;  /**< processors of the whole machine */
    double time_limit;   /**< processors that the cgroup's share of time is worth; 0: no limit */
};

/** One processor. */
struct rpu_place {
    int package, node, core; /**< logical numbers, from 0 */
    int sibling;             /**< 0: first of its core's processors */
    int processor;           /**< the system's number */
};

RPU_API void rpu_engine_machine(const struct rpu_engine *engine, struct rpu_machine *machine);
/** How threads are bound: RPU_BIND_NONE, RPU_BIND_COMPACT or RPU_BIND_SPREAD. */
RPU_API enum rpu_bind rpu_engine_bind(const struct rpu_engine *engine);
/** The place of a thread (0..threads-1); 0 where it has none. */
RPU_API int rpu_engine_place(const struct rpu_engine *engine, int thread, struct rpu_place *place);
/** Processor `index` of those that the process may use, core by core, first those that stand first in their core; 0
 * when out of range. */
RPU_API int rpu_engine_processor(const struct rpu_engine *engine, int index, struct rpu_place *place);
/** "auto", "none", "compact", "spread"; null when out of range. */
RPU_API const char *rpu_bind_name(enum rpu_bind bind);

/** One piece of work that a thread did. Texts are static or belong to a network that was trained. */
struct rpu_trace_event {
    const char *name;  /**< what was done */
    const char *layer; /**< name of the array, or "" */
    size_t item;       /**< which of the pieces that this work was divided into */
    double start, end; /**< seconds since the record began */
};

/** Starts a record of who does what when: the first `most` pieces of work that end, in all, fewer where there is no
 *  memory for them. RPU_ERR_ARG without an engine. */
RPU_API enum rpu_status rpu_engine_trace(struct rpu_engine *engine, size_t most, struct rpu_error *err);
/** Pieces recorded of a thread, in order of time. */
RPU_API size_t rpu_engine_trace_count(const struct rpu_engine *engine, int thread);
/** One of them; RPU_ERR_ARG when thread or index is out of range. */
RPU_API enum rpu_status rpu_engine_trace_event(const struct rpu_engine *engine, int thread, size_t index,
                                               struct rpu_trace_event *event);
/** Pieces of work that were not kept. */
RPU_API uint64_t rpu_engine_trace_lost(const struct rpu_engine *engine);

/** Name of the best variant in use ("autovec", ...). */
RPU_API const char *rpu_engine_isa(const struct rpu_engine *engine);

/** Number of kernels, and the name and chosen variant of kernel `index`. Null when index is out of range. */
RPU_API size_t rpu_engine_kernel_count(const struct rpu_engine *engine);
RPU_API const char *rpu_engine_kernel_name(const struct rpu_engine *engine, size_t index);
RPU_API const char *rpu_engine_kernel_variant(const struct rpu_engine *engine, size_t index);

/** Variant names that this build contains and this machine can run, in rising order of preference.
 *  Returns the count; name `index` by rpu_isa_name (null when out of range). */
RPU_API size_t rpu_isa_count(void);
RPU_API const char *rpu_isa_name(size_t index);

/** The same for everything this build contains, whether the CPU can run it or not. */
RPU_API size_t rpu_isa_built_count(void);
RPU_API const char *rpu_isa_built_name(size_t index);

/** CPU features that matter to dispatch, as found on this machine, space-separated ("avx2 fma f16c"). */
RPU_API const char *rpu_cpu_features(void);

/** CPU model as the system names it, for provenance ("unknown" where it does not). */
RPU_API const char *rpu_cpu_model(void);

#ifdef __cplusplus
}
#endif
#endif
