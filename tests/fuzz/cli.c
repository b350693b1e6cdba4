/* SPDX-License-Identifier: Apache-2.0 */
/* A command line, a word in each line: parsed, and carried on as far as is possible without training or writing. */
#include "fuzz.h"

#include "sweep.h"

#include "../../tools/checkpoints.h"
#include "../../tools/commands.h"

#include <string.h>

enum { WORDS_MOST = 64 };

static const char sweep_file[] = "grid: {training.eta: [0.01, 0.02]}\nseeds: [1, 2]\n";

/* What `train` and `sweep` make of the assignments among the options. */
static void configure(const struct cli_args *args) {
    static struct rpu_config config;
    struct assignments given;
    struct rpu_sweep *sweep = NULL;
    struct rpu_error err;
    const char *source = args->n_operands && !strchr(args->operands[0], '/') ? args->operands[0] : NULL;
    enum rpu_status status;
    FUZZ_CHECK(assignments_collect(&given, args));
    if (args->command->id == CLI_TRAIN)
        status = rpu_config_load(&config, source, given.list, given.n, &err);
    else
        status = rpu_sweep_read(&sweep, fuzz_file(0, sweep_file, strlen(sweep_file)), given.list, given.n, &err);
    if (status != RPU_OK)
        fuzz_check_error(&err);
    else if (!sweep)
        fuzz_check_config(&config);
    rpu_sweep_free(sweep);
    assignments_free(&given);
}

/* When those commands are to keep checkpoints. */
static void time_checkpoints(const struct cli_args *args) {
    static struct checkpoints checkpoints;
    const char *every = cli_value(args, "checkpoint-every");
    const int sweep = args->command->id == CLI_SWEEP;
    struct rpu_checkpoint_times *times = &checkpoints.times;
    struct rpu_error err;
    enum rpu_status status = RPU_OK;
    memset(&checkpoints, 0, sizeof checkpoints);
    if (!sweep)
        status = checkpoints_options(&checkpoints, args, &err);
    else if (every)
        status = checkpoints_every(times, every, &err);
    if (status != RPU_OK)
        fuzz_check_error(&err);
    else
        FUZZ_CHECK((times->images > 0) + (times->epochs > 0) + (times->seconds > 0.0) == (every != NULL));
}

/* Forgets an option. */
static void drop(struct cli_args *args, const char *option) {
    size_t n = 0;
    for (size_t i = 0; i < args->n_given; i++)
        if (strcmp(args->given[i].option->name, option) != 0)
            args->given[n++] = args->given[i];
    args->n_given = n;
}

/* Compares a document with itself, whatever the operands were, and writes no file. */
static void compare(struct cli_args *args) {
    static const char document[] = "{\"benchmarks\": [{\"name\": \"a/1\", \"real_time\": 1.0, \"time_unit\": \"ns\"}]}";
    const char *path = fuzz_file(0, document, strlen(document));
    drop(args, "json");
    for (size_t i = 0; i < args->n_operands; i++)
        args->operands[i] = path;
    command_compare(args);
}

/* Writes no file. */
static void map(struct cli_args *args) {
    drop(args, "json");
    command_map(args);
}

static void carry_on(struct cli_args *args) {
    if (cli_value(args, "help")) {
        print_help(stdout, args->command);
        return;
    }
    if (!args->command)
        return;
    switch (args->command->id) {
    case CLI_TRAIN:
    case CLI_SWEEP:
        configure(args);
        time_checkpoints(args);
        break;
    case CLI_COMPARE: compare(args); break;
    case CLI_MAP: map(args); break;
    case CLI_PRESETS: command_presets(args); break;
    case CLI_HELP: command_help(args); break;
    case CLI_BENCH: /* starts another program */
    case CLI_EVAL:  /* read a checkpoint, which has a target of its own */
    case CLI_INSPECT:
    case CLI_INFO: break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *argv[WORDS_MOST + 2] = {"rpubench"}, message[640] = {0}, **words;
    struct cli_args args;
    const size_t n = fuzz_lines((struct fuzz_part){data, size}, WORDS_MOST, &words);
    int code;
    for (size_t i = 0; i < n; i++)
        argv[i + 1] = words[i];
    code = cli_parse(&args, (int)n + 1, argv, message, sizeof message);
    FUZZ_CHECK(memchr(message, '\0', sizeof message));
    if (code)
        FUZZ_CHECK(code == CLI_EXIT_USAGE && message[0]);
    else
        carry_on(&args);
    cli_free(&args);
    fuzz_free_lines(words, n);
    return 0;
}
