/* SPDX-License-Identifier: Apache-2.0 */
/** @file gbench_shim.h
 *  Google Benchmark for C. Benchmarks are C functions with a pointer of their own; all flags (--benchmark_filter,
 *  --benchmark_repetitions, --benchmark_format=json, --benchmark_out, ...) and output formats are Google Benchmark's.
 */
#ifndef RPU_BENCH_GBENCH_SHIM_H
#define RPU_BENCH_GBENCH_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gb_state; /**< a benchmark that runs; valid during its call */

/** A benchmark: sets up, checks, runs its loop, reports counters. */
typedef void gb_fn(struct gb_state *state, void *user);
/** The work of `n` iterations, in one call. */
typedef void gb_run_fn(void *user, uint64_t n);

enum gb_unit { GB_NANOSECOND, GB_MICROSECOND, GB_MILLISECOND, GB_SECOND };

/** How a counter's value is read; values can be combined. */
enum gb_counter_flags {
    GB_PLAIN = 0,
    GB_RATE = 1,             /**< divided by the seconds that were measured */
    GB_PER_ITERATION = 2,    /**< divided by the number of iterations */
    GB_EACH_ITERATION = 4,   /**< multiplied by the number of iterations */
    GB_INVERT = 8,           /**< the reciprocal: with GB_RATE seconds per thing */
    GB_THOUSAND_IS_1024 = 16 /**< printed with binary prefixes */
};

/** Zero stands for Google Benchmark's own default everywhere. */
struct gb_options {
    enum gb_unit unit;
    int manual_time;     /**< 1: the benchmark reports its time by gb_iteration_time */
    int cpu_time;        /**< 1: iterations are chosen by CPU time; otherwise by wall time */
    int64_t iterations;  /**< fixed number of iterations */
    int repetitions;     /**< runs, with mean, median, deviation and variation reported beside them */
    int aggregates_only; /**< 1: only those are reported */
    int threads;         /**< Google Benchmark's own threads */
    double min_time;     /**< seconds */
};

/** Takes Google Benchmark's flags out of the command line. */
void gb_initialize(int *argc, char **argv);
/** Names what is left on the command line; 0 when nothing is. */
int gb_unrecognized(int argc, char **argv);
/** A line of the context that heads every report. */
void gb_context(const char *key, const char *value);
/** Registers a benchmark; `options` may be null. `user` must live until gb_run has returned. */
void gb_register(const char *name, gb_fn *fn, void *user, const struct gb_options *options);
/** Runs what the flags select; returns the number of benchmarks that matched. */
size_t gb_run(void);
void gb_shutdown(void);

/* ---- inside a benchmark ---- */

/** Starts the clock at its first call. True while more iterations are wanted; `n` of them are done in one go by the
 *  caller: `while (gb_keep_running(state, n)) work(n);` */
int gb_keep_running(struct gb_state *state, int64_t n);
/** Runs all iterations in one call of `run`: nothing of the frame is inside the timed loop. */
void gb_loop(struct gb_state *state, gb_run_fn *run, void *user);
/** Iterations of this run. */
int64_t gb_iterations(const struct gb_state *state);
int gb_threads(const struct gb_state *state);
int gb_thread_index(const struct gb_state *state);
void gb_pause(struct gb_state *state);
void gb_resume(struct gb_state *state);
/** Time of the iterations since the last call (manual_time). */
void gb_iteration_time(struct gb_state *state, double seconds);

/* After the loop. */
void gb_counter(struct gb_state *state, const char *name, double value, unsigned flags);
/** Things worked on and bytes moved in one iteration: rates. */
void gb_items(struct gb_state *state, double per_iteration);
void gb_bytes(struct gb_state *state, double per_iteration);
void gb_label(struct gb_state *state, const char *text);
/** Ends the benchmark with a reason; call it before the loop, and return. The reason stands in the report. 1 at the
 *  benchmark's first time, 0 in further repetitions. */
int gb_skip(struct gb_state *state, const char *reason);

#ifdef __cplusplus
}
#endif
#endif
