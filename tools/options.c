/* SPDX-License-Identifier: Apache-2.0 */
/* Options that commands read by themselves, where no configuration does. */
#include "../src/app.h"
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int64_t option_number(const struct cli_args *args, const char *name, uint32_t least, uint32_t most,
                      uint32_t otherwise) {
    const char *text = cli_value(args, name);
    char *end;
    long long n;
    if (!text)
        return otherwise;
    errno = 0;
    n = strtoll(text, &end, 10);
    if (errno == 0 && *text >= '0' && *text <= '9' && !*end && n >= (long long)least && n <= (long long)most)
        return n;
    fprintf(stderr, CLI_PROGRAM " %s: --%s: found '%s', allowed is a whole number from %" PRIu32 " to %" PRIu32 "\n",
            args->command->name, name, text, least, most);
    return -1;
}

int option_bind(const struct cli_args *args) {
    const char *text = cli_value(args, "bind");
    if (!text)
        return RPU_BIND_AUTO;
    for (int b = 0; rpu_bind_name((enum rpu_bind)b); b++)
        if (strcmp(text, rpu_bind_name((enum rpu_bind)b)) == 0)
            return b;
    fprintf(stderr, CLI_PROGRAM " %s: --bind: found '%s', allowed is auto, none, compact or spread\n",
            args->command->name, text);
    return -1;
}

int option_engine(struct rpu_engine **engine, const struct cli_args *args) {
    struct rpu_error err;
    const char *origin, *isa = chosen_isa(args, &origin);
    const int64_t threads = option_number(args, "threads", 0, 1024, 0);
    const int bind = threads < 0 ? -1 : option_bind(args);
    if (bind < 0)
        return CLI_EXIT_USAGE;
    const struct rpu_engine_options options = {.isa = isa, .threads = (int)threads, .bind = (enum rpu_bind)bind};
    if (rpu_engine_create_with(engine, &options, &err) != RPU_OK)
        return report_engine_error(args->command->name, origin, &err);
    return CLI_EXIT_OK;
}

void print_shell_word(FILE *out, const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./,:+@%=";
    if (*word && word[strspn(word, plain)] == '\0') {
        fputs(word, out);
        return;
    }
    fputc('\'', out);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", out);
        else
            fputc(*word, out);
    fputc('\'', out);
}

/* ---- files that a command writes ---- */

/* The folder that a path lies in without links, as far as it is there, and the name behind it. */
static const char *split_path(const char *path, char folder[RPU_PATH_MAX]) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char named[RPU_PATH_MAX];
    snprintf(named, sizeof named, "%.*s", slash ? (int)(name - path) : 1, slash ? path : ".");
    if (!realpath(named, folder))
        memcpy(folder, named, sizeof named);
    return name;
}

/* Of what is there only regular files count: devices and pipes lose nothing. */
static int same_file(const char *a, const char *b) {
    char folders[2][RPU_PATH_MAX];
    const char *names[2];
    struct stat of_a, of_b;
    const int there = stat(a, &of_a) == 0;
    if (there != (stat(b, &of_b) == 0))
        return 0;
    if (there)
        return S_ISREG(of_a.st_mode) && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
    names[0] = split_path(a, folders[0]);
    names[1] = split_path(b, folders[1]);
    return strcmp(names[0], names[1]) == 0 && strcmp(folders[0], folders[1]) == 0;
}

static int differs(const struct cli_args *args, const char *option, const char *other) {
    const char *path = cli_value(args, option);
    if (!path || !*path || strcmp(path, "-") == 0 || !same_file(path, other))
        return 1;
    fprintf(stderr, CLI_PROGRAM " %s: --%s: found '%s', allowed is a file that the command does not use otherwise\n",
            args->command->name, option, path);
    return 0;
}

static int differ_from(const struct cli_args *args, const char *other) {
    return differs(args, "json", other) && differs(args, "trace", other);
}

/* An input that is no file may be a preset. */
static int differ_from_input(const struct cli_args *args, const char *input) {
    return !input || access(input, F_OK) != 0 || differ_from(args, input);
}

int outputs_apart(const struct cli_args *args) {
    static const char *const inputs[] = {"net", "rereads", NULL};
    static const char *const kept[] = {"result.json", "config.yaml", RPU_CHECKPOINT_NAME, NULL};
    const char *trace = cli_value(args, "trace"), *folder = cli_value(args, "out");
    char path[RPU_PATH_MAX];
    int apart = !trace || differs(args, "json", trace);
    for (size_t i = 0; i < args->n_operands && apart; i++)
        apart = differ_from_input(args, args->operands[i]);
    for (const char *const *input = inputs; *input && apart; input++)
        apart = differ_from_input(args, cli_value(args, *input));
    for (const char *const *name = kept; folder && *name && apart; name++) {
        const int n = snprintf(path, sizeof path, "%s/%s", folder, *name);
        apart = n >= (int)sizeof path || differ_from(args, path);
    }
    return apart;
}

int option_json(const struct cli_args *args, struct json_output *out) {
    const char *path = cli_value(args, "json");
    struct rpu_error err;
    memset(out, 0, sizeof *out);
    out->to_stdout = path && strcmp(path, "-") == 0;
    out->human = cli_value(args, "quiet") ? NULL : out->to_stdout ? stderr : stdout;
    if (path && !out->to_stdout && rpu_outfile_open(&out->file, path, &err) != RPU_OK)
        return report_error(args->command->name, &err);
    return CLI_EXIT_OK;
}

int json_output_end(const struct cli_args *args, struct json_output *out, char *text, int code) {
    struct rpu_error err;
    if (code || !text) {
        rpu_outfile_abandon(out->file);
    } else if (out->to_stdout) {
        fputs(text, stdout);
    } else if (out->file && rpu_outfile_commit(out->file, text, strlen(text), &err) != RPU_OK) {
        code = report_error(args->command->name, &err);
    }
    out->file = NULL;
    free(text);
    return code;
}
