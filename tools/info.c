/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include "../src/app.h"

#include <stdlib.h>

static void print_names(const char *title, const char *(*name)(size_t)) {
    printf("%-20s", title);
    for (size_t i = 0; name(i); i++)
        printf("%s%s", i ? " " : "", name(i));
    putchar('\n');
}

/* Threads that are bound to a processor, as " t3". */
static void print_threads(const struct rpu_engine *engine, const struct rpu_place *at) {
    struct rpu_place place;
    for (int t = 0; t < rpu_engine_threads(engine); t++)
        if (rpu_engine_place(engine, t, &place) && place.processor == at->processor)
            printf(" t%d", t);
}

/* The processors of a core, which follow the first of them in rank but not in the list. */
static void print_core(const struct rpu_engine *engine, const struct rpu_place *first) {
    struct rpu_place p;
    int n = 0;
    printf(" [");
    for (int i = 0; rpu_engine_processor(engine, i, &p); i++)
        if (p.core == first->core) {
            printf("%sP%d", n++ ? " " : "", p.processor);
            print_threads(engine, &p);
        }
    putchar(']');
}

/* A line for each NUMA node, a bracket for each core; cores come in the machine's order. */
static void print_machine(const struct rpu_engine *engine) {
    struct rpu_machine m = {0};
    struct rpu_place p, before = {.package = -1, .node = -1, .core = -1};
    rpu_engine_machine(engine, &m);
    printf("%-20s%d package%s, %d NUMA node%s, %d core%s, %d of %d processor%s\n", "machine", m.packages,
           m.packages == 1 ? "" : "s", m.nodes, m.nodes == 1 ? "" : "s", m.cores, m.cores == 1 ? "" : "s", m.processors,
           m.all_processors, m.all_processors == 1 ? "" : "s");
    if (m.time_limit > 0.0)
        printf("%-20sof %.2f processors\n", "limit on time", m.time_limit);
    for (int i = 0; rpu_engine_processor(engine, i, &p) && p.sibling == 0; i++) {
        if (p.package != before.package || p.node != before.node)
            printf("%s  package %d, node %d:", i ? "\n" : "", p.package, p.node);
        print_core(engine, &p);
        before = p;
    }
    printf("\n%-20s%d, %s\n", "threads", rpu_engine_threads(engine),
           rpu_engine_bind(engine) == RPU_BIND_NONE ? "not bound" : rpu_bind_name(rpu_engine_bind(engine)));
}

static void print_info(const struct rpu_engine *engine) {
    const char *features = rpu_cpu_features();
    printf("%-20s%s\n%-20s%s\n%-20s%s\n%-20s%s\n", "version", rpu_version(), "commit", rpu_build_commit(), "compiler",
           rpu_build_compiler(), "build", rpu_build_flags());
    printf("%-20s%s\n%-20s%s\n", "cpu", rpu_cpu_model(), "cpu features", *features ? features : "none that matter");
    print_machine(engine);
    print_names("variants built", rpu_isa_built_name);
    print_names("variants usable", rpu_isa_name);
    printf("%-20s%s\nkernels\n", "variant in use", rpu_engine_isa(engine));
    for (size_t i = 0; i < rpu_engine_kernel_count(engine); i++)
        printf("  %-18s%s\n", rpu_engine_kernel_name(engine, i), rpu_engine_kernel_variant(engine, i));
}

static int print_json(const struct rpu_engine *engine) {
    char *text = NULL;
    struct rpu_error err;
    if (rpu_info_json(&text, engine, &err) != RPU_OK)
        return report_error("info", &err);
    fputs(text, stdout);
    free(text);
    return CLI_EXIT_OK;
}

int command_info(const struct cli_args *args) {
    struct rpu_engine *engine;
    int code = option_engine(&engine, args);
    if (code)
        return code;
    code = cli_value(args, "json") ? print_json(engine) : CLI_EXIT_OK;
    if (!cli_value(args, "json"))
        print_info(engine);
    rpu_engine_destroy(engine);
    return code;
}
