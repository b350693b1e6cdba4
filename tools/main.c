/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include "../src/app.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int exit_code(enum rpu_status status) {
    switch (status) {
    case RPU_OK: return CLI_EXIT_OK;
    case RPU_ERR_ARG:
    case RPU_ERR_SHAPE:
    case RPU_ERR_RANGE:
    case RPU_ERR_CONFIG:
    case RPU_ERR_UNSUPPORTED: return CLI_EXIT_USAGE;
    case RPU_ERR_DIVERGED: return CLI_EXIT_DIVERGED;
    default: return CLI_EXIT_FAILURE;
    }
}

int report_error(const char *command, const struct rpu_error *err) {
    fprintf(stderr, CLI_PROGRAM " %s: %s\n", command, err->message);
    return exit_code(err->status);
}

int join_job(const char *command, struct rpu_dist *dist) {
    struct rpu_error err;
    const enum rpu_status status = rpu_dist_open(dist, &err);
    if (status == RPU_OK)
        return CLI_EXIT_OK;
    if (dist->rank > 0 && status != RPU_ERR_NOMEM)
        return CLI_EXIT_USAGE;
    report_error(command, &err);
    if (status == RPU_ERR_NOMEM)
        dist->abort(CLI_EXIT_FAILURE);
    return exit_code(status);
}

void name_isa_origin(const char *isa_origin, struct rpu_error *err) {
    char message[sizeof err->message];
    if (err->status != RPU_ERR_UNSUPPORTED)
        return;
    snprintf(message, sizeof message, "%s: %.400s", isa_origin, err->message);
    memcpy(err->message, message, sizeof message);
}

int report_engine_error(const char *command, const char *isa_origin, const struct rpu_error *err) {
    struct rpu_error named = *err;
    name_isa_origin(isa_origin, &named);
    return report_error(command, &named);
}

const char *chosen_isa(const struct cli_args *args, const char **origin) {
    const char *isa = cli_value(args, "isa");
    *origin = "--isa";
    if (!isa) {
        *origin = "RPU_ISA";
        isa = getenv("RPU_ISA");
        if (isa && !*isa)
            isa = NULL;
    }
    return isa;
}

static void print_version(void) {
    printf(CLI_PROGRAM " %s (commit %s, %s)\n", rpu_version(), rpu_build_commit(), rpu_build_compiler());
}

static int run(const struct cli_args *args) {
    if (cli_value(args, "help")) {
        print_help(stdout, args->command);
        return CLI_EXIT_OK;
    }
    if (cli_value(args, "version")) {
        print_version();
        return CLI_EXIT_OK;
    }
    if (!outputs_apart(args))
        return CLI_EXIT_USAGE;
    switch (args->command->id) {
    case CLI_TRAIN: return command_train(args);
    case CLI_EVAL: return command_eval(args);
    case CLI_INSPECT: return command_inspect(args);
    case CLI_SWEEP: return command_sweep(args);
    case CLI_COMPARE: return command_compare(args);
    case CLI_MAP: return command_map(args);
    case CLI_BENCH: return command_bench(args);
    case CLI_PRESETS: return command_presets(args);
    case CLI_INFO: return command_info(args);
    case CLI_HELP: return command_help(args);
    }
    return CLI_EXIT_USAGE;
}

/* What was printed has to arrive: a full disk or a closed standard output may only show at the end. */
static int close_stdout(int code) {
    const int failed = ferror(stdout);
    errno = 0;
    if ((fclose(stdout) != 0 || failed) && (code == CLI_EXIT_OK || code == CLI_EXIT_INTERRUPTED)) {
        fprintf(stderr, CLI_PROGRAM ": cannot write to standard output%s%s\n", errno ? ": " : "",
                errno ? strerror(errno) : "");
        return CLI_EXIT_FAILURE;
    }
    return code;
}

/* No file that is opened later may take the place of a stream that is closed; what is written to it still fails. And a
 * reader that has gone does not end what is written to files. */
static void keep_streams(void) {
    int fd;
    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
    signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv) {
    struct cli_args args;
    char message[640];
    int code;
    keep_streams();
    code = cli_parse(&args, argc, argv, message, sizeof message);
    if (code && (rpu_dist_speaks() || code == CLI_EXIT_FAILURE))
        fprintf(stderr, "%s\n", message);
    if (!code)
        code = run(&args);
    cli_free(&args);
    return close_stdout(code);
}
