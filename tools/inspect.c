/* SPDX-License-Identifier: Apache-2.0 */
#include "../src/app.h"
#include "commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BAR = 40 };

static uint64_t tallest(const struct rpu_quantity_figures *q) {
    uint64_t most = 1;
    for (size_t b = 0; b < RPU_INSPECT_BINS; b++)
        most = q->bins[b] > most ? q->bins[b] : most;
    return most;
}

/* The histogram in a line: what is not empty is no space. */
static void draw_line(FILE *out, const struct rpu_quantity_figures *q) {
    static const char levels[] = ".:-=+*#%@";
    const double most = (double)tallest(q);
    fputc('|', out);
    for (size_t b = 0; b < RPU_INSPECT_BINS; b++) {
        const double share = (double)q->bins[b] / most;
        fputc(q->bins[b] == 0 ? ' ' : levels[(size_t)(share * (sizeof levels - 2))], out);
    }
    fputs("|\n", out);
}

static void draw_bars(FILE *out, const struct rpu_quantity_figures *q) {
    const double most = (double)tallest(q), width = (q->most - q->least) / RPU_INSPECT_BINS;
    fprintf(out, "\n  %s\n", q->name);
    for (size_t b = 0; b < RPU_INSPECT_BINS; b++) {
        int length = (int)((double)q->bins[b] / most * BAR + 0.5);
        length += length == 0 && q->bins[b] > 0;
        fprintf(out, "  %12.5g to %12.5g %10" PRIu64 " ", q->least + width * (double)b,
                q->least + width * (double)(b + 1), q->bins[b]);
        while (length-- > 0)
            fputc('#', out);
        fputc('\n', out);
    }
}

static void print_array(FILE *out, const struct rpu_array_figures *f, int at_length) {
    fprintf(out, "\narray %s: %" PRIu64 " crosspoints on %" PRIu32 " tile%s\n", f->name, f->crosspoints, f->tiles,
            f->tiles == 1 ? "" : "s");
    fprintf(out, "  %-12s %12s %12s %12s %12s  histogram from least to most\n", "", "least", "mean", "deviation",
            "most");
    for (size_t i = 0; i < f->n_quantities; i++) {
        const struct rpu_quantity_figures *q = &f->quantities[i];
        fprintf(out, "  %-12s %12.5g %12.5g %12.5g %12.5g  ", q->name, q->least, q->mean, q->deviation, q->most);
        draw_line(out, q);
    }
    if (f->n_quantities > 1)
        fprintf(out,
                "  saturated: %" PRIu64 " weights at the upper bound (%.2f %%), %" PRIu64 " at the lower (%.2f %%)\n",
                f->at_upper, 100.0 * (double)f->at_upper / (double)f->crosspoints, f->at_lower,
                100.0 * (double)f->at_lower / (double)f->crosspoints);
    for (size_t i = 0; at_length && i < f->n_quantities; i++)
        draw_bars(out, &f->quantities[i]);
}

static void print_head(FILE *out, const struct rpu_checkpoint *c, const char *path) {
    const struct rpu_config *config = rpu_checkpoint_config(c);
    struct rpu_checkpoint_info i = {0};
    rpu_checkpoint_describe(c, &i);
    fprintf(out, "%s: written by rpubench ", path);
    print_plain(out, i.version, strlen(i.version));
    fprintf(out, "\n%s, seed %" PRIu64 ", eta %g, batch %" PRIu32 ", on ",
            config->preset[0] ? config->preset : "network", config->seed, (double)config->eta, config->batch);
    print_plain(out, config->data, strlen(config->data));
    fprintf(out, " (%" PRIu32 " images of %" PRIu32 "x%" PRIu32 "x%" PRIu32 ", %" PRIu32 " classes)\n", i.train_images,
            i.height, i.width, i.channels, i.classes);
    fprintf(out, "%" PRIu64 " images trained: %" PRIu32 " of %" PRIu32 " epochs", i.images, i.epochs, config->epochs);
    if (i.epoch_images)
        fprintf(out, ", and %" PRIu32 " images of the next", i.epoch_images);
    if (i.epochs)
        fprintf(out, "; test error %.2f %% after epoch %" PRIu32,
                100.0 * rpu_checkpoint_epoch(c, i.epochs - 1)->test_error, i.epochs);
    fputc('\n', out);
}

/* The arrays to show: [first, end); an exit code. */
static int choose(const struct rpu_checkpoint *c, const char *wanted, size_t *first, size_t *end) {
    *first = 0;
    *end = rpu_inspect_count(c);
    if (!wanted)
        return CLI_EXIT_OK;
    while (*first < *end && strcmp(rpu_inspect_name(c, *first), wanted) != 0)
        ++*first;
    if (*first < *end) {
        *end = *first + 1;
        return CLI_EXIT_OK;
    }
    fprintf(stderr, CLI_PROGRAM " inspect: --array: found '%s', allowed is", wanted);
    for (size_t a = 0; a < *end; a++)
        fprintf(stderr, "%s %s", a ? "," : "", rpu_inspect_name(c, a));
    fputc('\n', stderr);
    return CLI_EXIT_USAGE;
}

static int inspect(const struct rpu_checkpoint *c, const struct cli_args *args, const struct json_output *out,
                   char **text) {
    struct rpu_array_figures *figures = calloc(RPU_LAYERS_MAX, sizeof *figures);
    const char *wanted = cli_value(args, "array");
    struct rpu_error err = {.status = RPU_ERR_NOMEM, .message = "out of memory"};
    size_t first = 0, end = 0;
    int code = figures ? choose(c, wanted, &first, &end) : report_error("inspect", &err);
    for (size_t a = first; !code && a < end; a++)
        if (rpu_inspect(&figures[a - first], c, a, &err) != RPU_OK)
            code = report_error("inspect", &err);
    if (!code && out->human) {
        print_head(out->human, c, args->operands[0]);
        for (size_t a = first; a < end; a++)
            print_array(out->human, &figures[a - first], wanted != NULL);
    }
    if (!code && (out->file || out->to_stdout) &&
        rpu_inspect_json(text, c, figures, end - first, args->operands[0], &err) != RPU_OK)
        code = report_error("inspect", &err);
    free(figures);
    return code;
}

int command_inspect(const struct cli_args *args) {
    struct rpu_checkpoint *checkpoint = NULL;
    struct json_output out;
    struct rpu_error err;
    char *text = NULL;
    int code;
    if (args->n_operands == 0) {
        fprintf(stderr, CLI_PROGRAM " inspect: no checkpoint; see " CLI_PROGRAM " inspect --help\n");
        return CLI_EXIT_USAGE;
    }
    code = option_json(args, &out);
    if (code)
        return code;
    code = rpu_checkpoint_read(&checkpoint, args->operands[0], &err) == RPU_OK ? inspect(checkpoint, args, &out, &text)
                                                                               : report_error("inspect", &err);
    code = json_output_end(args, &out, text, code);
    rpu_checkpoint_free(checkpoint);
    return code;
}
