/* SPDX-License-Identifier: Apache-2.0 */
/* The heads of the reports: what this program and this machine are, as results/README.md lists it. */
#include "app.h"
#include "bench.h"
#include "machine.h"

#include <cblas.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Text that is put together; what does not fit is left out. */
struct text {
    size_t length;
    char words[4096];
};

static void put(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *format, ...) {
    va_list list;
    va_start(list, format);
    const int n = vsnprintf(t->words + t->length, sizeof t->words - t->length, format, list);
    va_end(list);
    if (n > 0 && (size_t)n < sizeof t->words - t->length)
        t->length += (size_t)n;
    t->words[t->length] = '\0';
}

static void kernels(const struct bench *b) {
    struct text t = {0};
    for (size_t i = 0; i < rpu_engine_kernel_count(b->engine); i++)
        put(&t, "%s%s=%s", i ? " " : "", rpu_engine_kernel_name(b->engine, i), rpu_engine_kernel_variant(b->engine, i));
    gb_context("kernels", t.words);
}

static void caches(void) {
    struct machine_level levels[MACHINE_LEVELS];
    const size_t count = machine_levels(levels);
    struct text t = {0};
    for (size_t i = 0; i + 1 < count; i++)
        put(&t, "%s%s %zu KiB of %d processor%s", i ? ", " : "", levels[i].name, levels[i].bytes / 1024,
            levels[i].shared, levels[i].shared == 1 ? "" : "s");
    gb_context("cache_levels", t.words);
}

static void topology(const struct bench *b, const struct rpu_engine *largest) {
    struct rpu_machine m = {0};
    struct rpu_place place;
    struct text t = {0}, places = {0};
    rpu_engine_machine(b->engine, &m);
    put(&t, "%d package%s, %d NUMA node%s, %d core%s, %d of %d processor%s", m.packages, m.packages == 1 ? "" : "s",
        m.nodes, m.nodes == 1 ? "" : "s", m.cores, m.cores == 1 ? "" : "s", m.processors, m.all_processors,
        m.all_processors == 1 ? "" : "s");
    if (m.time_limit > 0.0)
        put(&t, ", time of %.2f", m.time_limit);
    gb_context("topology", t.words);
    gb_context("bind", rpu_bind_name(rpu_engine_bind(largest)));
    for (int k = 0; k < rpu_engine_threads(largest); k++)
        if (rpu_engine_place(largest, k, &place))
            put(&places, "%s%d", k ? " " : "", place.processor);
        else
            put(&places, "%s-", k ? " " : "");
    gb_context("places", places.words);
}

/* Value of the first line of a file that starts with `key`, or its first line (null); "unknown" without. */
static void from_file(const char *name, const char *path, const char *key) {
    char line[4096];
    const char *found = NULL;
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (!key)
            found = line;
        else if (strncmp(line, key, strlen(key)) == 0 && strchr(line, ':'))
            found = strchr(line, ':') + 1;
    }
    if (file)
        fclose(file);
    gb_context(name, found ? found + (*found == ' ') : "unknown");
}

static void selection(const struct bench *b) {
    struct text isas = {0}, teams = {0};
    for (size_t i = 0; i < b->n_isas; i++)
        put(&isas, "%s%s", i ? " " : "", b->isas[i]);
    for (size_t i = 0; i < b->n_teams; i++)
        put(&teams, "%s%d", i ? " " : "", b->teams[i]);
    gb_context("isa", rpu_engine_isa(b->engine));
    gb_context("isas", isas.words);
    gb_context("teams", teams.words);
    gb_context("selection", b->official ? "official" : b->quick ? "quick" : "full");
}

void context_describe(struct bench *b) {
    gb_context("schema", "rpubench-bench 1");
    gb_context("version", rpu_version());
    gb_context("commit", rpu_build_commit());
    gb_context("compiler", rpu_build_compiler());
    gb_context("flags", rpu_build_flags());
    gb_context("cpu", rpu_cpu_model());
    gb_context("cpu_features", rpu_cpu_features());
    from_file("cpu_flags", "/proc/cpuinfo", strstr(rpu_cpu_features(), "neon") ? "Features" : "flags");
    caches();
    topology(b, bench_engine(b, bench_best(b), b->teams[b->n_teams - 1]));
    from_file("governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", NULL);
    from_file("frequency", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", NULL);
    selection(b);
    kernels(b);
    gb_context("openblas", openblas_get_config());
    gb_context("openblas_core", openblas_get_corename());
    gb_context("openblas_default_core", blas_core_first());
    gb_context("data", b->data);
    if (b->spoiled[SPOIL_SLOW])
        gb_context("slow", b->spoiled[SPOIL_SLOW]);
    if (b->spoiled[SPOIL_WRONG])
        gb_context("wrong", b->spoiled[SPOIL_WRONG]);
}
