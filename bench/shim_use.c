/* SPDX-License-Identifier: Apache-2.0 */
/* Benchmarks that use each part of the shim in a way whose outcome is known: tests/test_shim.py looks at what Google
 * Benchmark makes of them. */
#include "gbench_shim.h"
#include "small.h"

#include <stdio.h>

enum { ROUNDS = 4, BATCH = 25, THREADS = 3 };

/* Busy for a while; returns how long that was. */
static double busy(double seconds) {
    const double start = rpu_now();
    while (rpu_now() - start < seconds) {
    }
    return rpu_now() - start;
}

/* Of each iteration one part counts and one does not. */
static void pause_and_resume(struct gb_state *state, void *user) {
    double counted = 0.0, paused = 0.0;
    (void)user;
    while (gb_keep_running(state, 1)) {
        counted += busy(0.001);
        gb_pause(state);
        paused += busy(0.01);
        gb_resume(state);
    }
    gb_counter(state, "counted", counted, GB_PER_ITERATION);
    gb_counter(state, "paused", paused, GB_PER_ITERATION);
}

/* Counters of threads are added up. */
static void threads(struct gb_state *state, void *user) {
    (void)user;
    while (gb_keep_running(state, 1))
        busy(0.0001);
    gb_counter(state, "indices", 1 << gb_thread_index(state), GB_PLAIN);
    gb_counter(state, "threads_each", gb_threads(state), GB_PLAIN);
}

/* A quarter of a second each, as it says itself. */
static void rates(struct gb_state *state, void *user) {
    (void)user;
    while (gb_keep_running(state, 1))
        gb_iteration_time(state, 0.25);
    gb_items(state, 8.0);
    gb_bytes(state, 16.0);
    gb_counter(state, "plain", 7.0, GB_PLAIN);
    gb_counter(state, "rate", 10.0, GB_RATE);
    gb_counter(state, "each_rate", 3.0, GB_EACH_ITERATION | GB_RATE);
    gb_counter(state, "per_iteration", 20.0, GB_PER_ITERATION);
    gb_counter(state, "seconds_per_thing", 5.0, GB_RATE | GB_INVERT);
    gb_counter(state, "binary", 2048.0, GB_THOUSAND_IS_1024);
    gb_label(state, "a label");
}

static void in_batches(struct gb_state *state, void *user) {
    double calls = 0.0;
    (void)user;
    while (gb_keep_running(state, BATCH))
        calls += 1.0;
    gb_counter(state, "calls", calls, GB_PLAIN);
}

static void count(void *user, uint64_t n) {
    double *counts = user;
    counts[0] += 1.0;
    counts[1] += (double)n;
}

static void in_one_call(struct gb_state *state, void *user) {
    double *counts = user;
    counts[0] = counts[1] = 0.0;
    gb_loop(state, count, counts);
    gb_counter(state, "calls", counts[0], GB_PLAIN);
    gb_counter(state, "done", counts[1], GB_PLAIN);
    gb_counter(state, "wanted", (double)gb_iterations(state), GB_PLAIN);
}

/* How often a skip was the first of its benchmark. */
static void skipped(struct gb_state *state, void *user) {
    int *firsts = user;
    *firsts += gb_skip(state, "a reason");
}

int main(int argc, char **argv) {
    double counts[2];
    int firsts = 0;
    gb_context("a key", "a value");
    gb_initialize(&argc, argv);
    if (gb_unrecognized(argc, argv))
        return 2;
    gb_register("pause", pause_and_resume, NULL, &(struct gb_options){.unit = GB_MICROSECOND, .iterations = ROUNDS});
    gb_register("threads", threads, NULL, &(struct gb_options){.iterations = ROUNDS, .threads = THREADS});
    gb_register("rates", rates, NULL, &(struct gb_options){.unit = GB_SECOND, .manual_time = 1, .iterations = ROUNDS});
    gb_register("batches", in_batches, NULL, &(struct gb_options){.iterations = ROUNDS * BATCH, .cpu_time = 1});
    gb_register(
        "aggregates", in_one_call, counts,
        &(struct gb_options){.unit = GB_MILLISECOND, .min_time = 0.001, .repetitions = 3, .aggregates_only = 1});
    gb_register("skipped", skipped, &firsts, &(struct gb_options){.repetitions = 3});
    gb_register("plain", in_one_call, counts, NULL);
    const size_t matched = gb_run();
    gb_shutdown();
    fprintf(stderr, "matched %zu, skipped %d\n", matched, firsts);
    return 0;
}
