/* SPDX-License-Identifier: Apache-2.0 */
#include "../src/app.h"
#include "commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One test. */
struct work {
    struct rpu_checkpoint *checkpoint;
    const struct rpu_config *config;
    struct rpu_engine *engine;
    struct rpu_dataset data;
    struct rpu_evaluation outcome;
    const char *path, *source;
    int perfect;
};

/* Digits that are generated because a checkpoint says so, which may be any file. */
enum { DIGITS_UNASKED_MOST = 1 << 20 };

/* The test set; of the training set, which has to be there as well, one image is read. */
static int load_images(struct work *w, const struct cli_args *args) {
    const int64_t limit = option_number(args, "limit-test", 0, UINT32_MAX, w->config->limit_test);
    struct rpu_error err;
    enum rpu_status status;
    int digits;
    if (limit < 0)
        return CLI_EXIT_USAGE;
    w->source = cli_value(args, "data") ? cli_value(args, "data") : w->config->data;
    digits = strcmp(w->source, "digits") == 0;
    if (digits && !cli_value(args, "limit-test") && limit > DIGITS_UNASKED_MOST) {
        fputs(CLI_PROGRAM " eval: ", stderr);
        print_plain(stderr, w->path, strlen(w->path));
        fprintf(stderr,
                ": data.limit_test: found %" PRId64 "; so many digits are generated only when --limit-test asks "
                "for them, without it at most %d\n",
                limit, DIGITS_UNASKED_MOST);
        return CLI_EXIT_USAGE;
    }
    status = digits ? rpu_digits_generate(&w->data, 1, (uint32_t)limit, w->config->seed, &err)
                    : rpu_dataset_read(&w->data, w->source, 1, (uint32_t)limit, &err);
    return status == RPU_OK ? CLI_EXIT_OK : report_error("eval", &err);
}

static int choose_read(struct work *w, const struct cli_args *args) {
    const char *read = cli_value(args, "read");
    w->perfect = read && strcmp(read, "perfect") == 0;
    if (!read || w->perfect || strcmp(read, "analog") == 0)
        return CLI_EXIT_OK;
    fprintf(stderr, CLI_PROGRAM " eval: --read: found '%s', allowed is analog or perfect\n", read);
    return CLI_EXIT_USAGE;
}

static int width_of(const struct rpu_evaluation *e) {
    uint64_t most = e->classes;
    int width = 2;
    for (size_t i = 0; i < (size_t)e->classes * e->classes; i++)
        most = e->matrix[i] > most ? e->matrix[i] : most;
    for (; most > 9; most /= 10)
        width++;
    return width;
}

static void print_matrix(FILE *out, const struct rpu_evaluation *e) {
    const int width = width_of(e);
    fprintf(out, "\nconfusion: a row for each class, a column for what its images were taken for\n%*s", width, "");
    for (uint32_t c = 0; c < e->classes; c++)
        fprintf(out, "%*" PRIu32, width, c);
    for (uint32_t r = 0; r < e->classes; r++) {
        fprintf(out, "\n%*" PRIu32, width, r);
        for (uint32_t c = 0; c < e->classes; c++)
            fprintf(out, "%*" PRIu64, width, e->matrix[(size_t)r * e->classes + c]);
    }
    fputc('\n', out);
}

static void print_outcome(FILE *out, const struct work *w) {
    const struct rpu_evaluation *e = &w->outcome;
    struct rpu_checkpoint_info info = {0};
    rpu_checkpoint_describe(w->checkpoint, &info);
    fprintf(out, "%s: %s, seed %" PRIu64 ", %" PRIu64 " images trained, %" PRIu32 " epoch%s finished\n", w->path,
            w->config->preset[0] ? w->config->preset : "network", w->config->seed, info.images, info.epochs,
            info.epochs == 1 ? "" : "s");
    fprintf(out, "%" PRIu64 " test images of ", e->images);
    print_plain(out, w->source, strlen(w->source));
    fprintf(out, ", %s reads; kernels %s, %d thread%s\n", e->perfect ? "perfect" : "analog", rpu_engine_isa(w->engine),
            rpu_engine_threads(w->engine), rpu_engine_threads(w->engine) == 1 ? "" : "s");
    print_matrix(out, e);
    fprintf(out, "\ntest error      %.2f %% (%" PRIu64 " of %" PRIu64 ")\ntest loss       %.4f\nweights digest  %s\n",
            100.0 * (double)e->errors / (double)e->images, e->errors, e->images, e->loss, e->digest);
}

static int evaluate(struct work *w, const struct cli_args *args, const struct json_output *out, char **text) {
    struct rpu_error err;
    int code = choose_read(w, args);
    if (!code && rpu_checkpoint_read(&w->checkpoint, w->path, &err) != RPU_OK)
        code = report_error("eval", &err);
    if (code)
        return code;
    w->config = rpu_checkpoint_config(w->checkpoint);
    code = option_engine(&w->engine, args);
    if (!code)
        code = load_images(w, args);
    if (code)
        return code;
    if (rpu_evaluate(&w->outcome, w->checkpoint, w->engine, &w->data.test, w->perfect, &err) != RPU_OK)
        return report_error("eval", &err);
    if (out->human)
        print_outcome(out->human, w);
    if ((out->file || out->to_stdout) &&
        rpu_evaluation_json(text, &w->outcome, w->checkpoint, w->engine, w->path, w->source, &err) != RPU_OK)
        return report_error("eval", &err);
    return CLI_EXIT_OK;
}

int command_eval(const struct cli_args *args) {
    struct work w = {0};
    struct json_output out;
    char *text = NULL;
    int code;
    if (args->n_operands == 0) {
        fprintf(stderr, CLI_PROGRAM " eval: no checkpoint; see " CLI_PROGRAM " eval --help\n");
        return CLI_EXIT_USAGE;
    }
    w.path = args->operands[0];
    code = option_json(args, &out);
    if (!code) {
        code = evaluate(&w, args, &out, &text);
        code = json_output_end(args, &out, text, code);
    }
    rpu_evaluation_free(&w.outcome);
    rpu_dataset_free(&w.data);
    rpu_engine_destroy(w.engine);
    rpu_checkpoint_free(w.checkpoint);
    return code;
}
