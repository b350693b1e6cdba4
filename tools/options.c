/* SPDX-License-Identifier: Apache-2.0 */
/* Options that commands read by themselves, where no configuration does. */
#include "../src/app.h"
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int64_t option_number(const struct cli_args *args, const char *name, uint32_t most, uint32_t otherwise) {
    const char *text = cli_value(args, name);
    char *end;
    long long n;
    if (!text)
        return otherwise;
    errno = 0;
    n = strtoll(text, &end, 10);
    if (errno == 0 && end != text && !*end && n >= 0 && n <= (long long)most)
        return n;
    fprintf(stderr, CLI_PROGRAM " %s: --%s: found '%s', allowed is a whole number from 0 to %" PRIu32 "\n",
            args->command->name, name, text, most);
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
    const int64_t threads = option_number(args, "threads", 1024, 0);
    const int bind = threads < 0 ? -1 : option_bind(args);
    if (bind < 0)
        return CLI_EXIT_USAGE;
    const struct rpu_engine_options options = {isa, (int)threads, (enum rpu_bind)bind};
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
    free(text);
    return code;
}
