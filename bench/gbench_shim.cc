/* SPDX-License-Identifier: Apache-2.0 */
#include "gbench_shim.h"

#include <benchmark/benchmark.h>

struct gb_state {
    benchmark::State &state;
    bool &skipped; // in this or an earlier run of the benchmark
};

namespace {

benchmark::TimeUnit unit_of(gb_unit unit) {
    switch (unit) {
    case GB_MICROSECOND: return benchmark::kMicrosecond;
    case GB_MILLISECOND: return benchmark::kMillisecond;
    case GB_SECOND: return benchmark::kSecond;
    case GB_NANOSECOND: break;
    }
    return benchmark::kNanosecond;
}

void apply(benchmark::internal::Benchmark *b, const gb_options &o) {
    b->Unit(unit_of(o.unit));
    if (o.manual_time)
        b->UseManualTime();
    else if (!o.cpu_time)
        b->UseRealTime();
    if (o.iterations > 0)
        b->Iterations(o.iterations);
    else if (o.min_time > 0)
        b->MinTime(o.min_time);
    if (o.repetitions > 0)
        b->Repetitions(o.repetitions);
    if (o.aggregates_only)
        b->ReportAggregatesOnly();
    if (o.threads > 0)
        b->Threads(o.threads);
}

benchmark::Counter::Flags flags_of(unsigned flags) {
    using Counter = benchmark::Counter;
    unsigned f = Counter::kDefaults;
    if (flags & GB_RATE)
        f |= Counter::kIsRate;
    if (flags & GB_PER_ITERATION)
        f |= Counter::kAvgIterations;
    if (flags & GB_EACH_ITERATION)
        f |= Counter::kIsIterationInvariant;
    if (flags & GB_INVERT)
        f |= Counter::kInvert;
    return static_cast<Counter::Flags>(f);
}

double per_run(const gb_state *state, double per_iteration) {
    return per_iteration * static_cast<double>(state->state.iterations());
}

} // namespace

void gb_initialize(int *argc, char **argv) {
    benchmark::Initialize(argc, argv);
}

int gb_unrecognized(int argc, char **argv) {
    return benchmark::ReportUnrecognizedArguments(argc, argv);
}

void gb_context(const char *key, const char *value) {
    benchmark::AddCustomContext(key, value);
}

void gb_register(const char *name, gb_fn *fn, void *user, const struct gb_options *options) {
    auto *b = benchmark::RegisterBenchmark(name, [fn, user, skipped = false](benchmark::State &s) mutable {
        gb_state state{s, skipped};
        fn(&state, user);
    });
    apply(b, options ? *options : gb_options{});
}

size_t gb_run(void) {
    return benchmark::RunSpecifiedBenchmarks();
}

void gb_shutdown(void) {
    benchmark::Shutdown();
}

int gb_keep_running(struct gb_state *state, int64_t n) {
    return state->state.KeepRunningBatch(n);
}

void gb_loop(struct gb_state *state, gb_run_fn *run, void *user) {
    const auto n = state->state.max_iterations;
    while (state->state.KeepRunningBatch(n))
        run(user, static_cast<uint64_t>(n));
}

int64_t gb_iterations(const struct gb_state *state) {
    return state->state.max_iterations;
}

int gb_threads(const struct gb_state *state) {
    return state->state.threads();
}

int gb_thread_index(const struct gb_state *state) {
    return state->state.thread_index();
}

void gb_pause(struct gb_state *state) {
    state->state.PauseTiming();
}

void gb_resume(struct gb_state *state) {
    state->state.ResumeTiming();
}

void gb_iteration_time(struct gb_state *state, double seconds) {
    state->state.SetIterationTime(seconds);
}

void gb_counter(struct gb_state *state, const char *name, double value, unsigned flags) {
    const auto thousand = flags & GB_THOUSAND_IS_1024 ? benchmark::Counter::kIs1024 : benchmark::Counter::kIs1000;
    state->state.counters[name] = benchmark::Counter(value, flags_of(flags), thousand);
}

void gb_items(struct gb_state *state, double per_iteration) {
    state->state.SetItemsProcessed(static_cast<int64_t>(per_run(state, per_iteration)));
}

void gb_bytes(struct gb_state *state, double per_iteration) {
    state->state.SetBytesProcessed(static_cast<int64_t>(per_run(state, per_iteration)));
}

void gb_label(struct gb_state *state, const char *text) {
    state->state.SetLabel(text);
}

int gb_skip(struct gb_state *state, const char *reason) {
    const bool first = !state->skipped;
    state->state.SkipWithError(reason);
    state->skipped = true;
    return first;
}
