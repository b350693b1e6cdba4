/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include "../src/app.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void print_names(const char *title, const char *(*name)(size_t)) {
    printf("%-20s", title);
    for (size_t i = 0; name(i); i++)
        printf("%s%s", i ? " " : "", name(i));
    putchar('\n');
}

static void print_info(const struct rpu_engine *engine) {
    const char *features = rpu_cpu_features();
    printf("%-20s%s\n%-20s%s\n%-20s%s\n%-20s%s\n", "version", rpu_version(), "commit", rpu_build_commit(), "compiler",
           rpu_build_compiler(), "build", rpu_build_flags());
    printf("%-20s%s\n%-20s%s\n", "cpu", rpu_cpu_model(), "cpu features", *features ? features : "none that matter");
    print_names("variants built", rpu_isa_built_name);
    print_names("variants usable", rpu_isa_name);
    printf("%-20s%s\n%-20s%d\nkernels\n", "variant in use", rpu_engine_isa(engine), "threads",
           rpu_engine_threads(engine));
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

/* The value of --threads, or 0; -1 after a message when it is no number in range. */
static int wanted_threads(const struct cli_args *args) {
    const char *text = cli_value(args, "threads");
    char *end;
    long n;
    if (!text)
        return 0;
    errno = 0;
    n = strtol(text, &end, 10);
    if (errno || end == text || *end || n < 0 || n > 1024) {
        fprintf(stderr, CLI_PROGRAM " info: --threads: found '%s', allowed is a whole number from 0 to 1024\n", text);
        return -1;
    }
    return (int)n;
}

int command_info(const struct cli_args *args) {
    struct rpu_engine *engine;
    struct rpu_error err;
    const char *origin, *isa = chosen_isa(args, &origin);
    const int threads = wanted_threads(args);
    int code;
    if (threads < 0)
        return CLI_EXIT_USAGE;
    if (rpu_engine_create(&engine, isa, threads, &err) != RPU_OK)
        return report_engine_error("info", origin, &err);
    code = cli_value(args, "json") ? print_json(engine) : CLI_EXIT_OK;
    if (!cli_value(args, "json"))
        print_info(engine);
    rpu_engine_destroy(engine);
    return code;
}
