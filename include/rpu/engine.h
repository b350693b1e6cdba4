/* SPDX-License-Identifier: Apache-2.0 */
/** @file engine.h
 *  What computes: a kernel table chosen once, and a number of threads. */
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
 *  @param threads  number of threads, 1..1024; 0 = as many as the process may use.
 *  Results do not depend on either. */
RPU_API enum rpu_status rpu_engine_create(struct rpu_engine **engine, const char *isa, int threads,
                                          struct rpu_error *err);
RPU_API void rpu_engine_destroy(struct rpu_engine *engine);

RPU_API int rpu_engine_threads(const struct rpu_engine *engine);

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
