/* SPDX-License-Identifier: Apache-2.0 */
/* Two runs of the benchmarks, side by side. */
#include "commands.h"

#include "../src/app.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_WIDTH = 90,
    RENAMES_MOST = 16,
    RENAME_BYTES = 96,
    CELL_BYTES = 32,
    LONG_VALUE = 60,
    VALUE_BYTES = 240,
    LOOK_BYTES = 4096
};

/* ---- options ---- */

/* Renames with the text that they point into. */
struct renames {
    struct rpu_bench_rename list[RENAMES_MOST];
    char text[RENAMES_MOST][RENAME_BYTES];
    size_t n;
};

static int add_rename(struct renames *r, const char *value) {
    static const char allowed[] = "OLD=NEW, two different components of names, at most 16 times";
    const char *equals = strchr(value, '=');
    char *text = r->text[r->n < RENAMES_MOST ? r->n : 0];
    if (r->n == RENAMES_MOST || !equals || equals == value || !equals[1] || strchr(equals + 1, '=') ||
        strchr(value, '/') || strlen(value) >= RENAME_BYTES)
        return option_wrong("compare", "rename", value, allowed);
    strcpy(text, value);
    text[equals - value] = '\0';
    if (strcmp(text, equals + 1) == 0)
        return option_wrong("compare", "rename", value, allowed);
    r->list[r->n++] = (struct rpu_bench_rename){text, text + (equals - value) + 1};
    return CLI_EXIT_OK;
}

static int read_options(const struct cli_args *args, struct rpu_compare_options *options, struct renames *renames) {
    double percent = 100.0 * options->threshold;
    const char *time = cli_value(args, "time");
    int code = option_real(args, "threshold", 0.0, 1e6, "a percentage from 0", &percent);
    if (!code)
        code = option_real(args, "alpha", 1e-9, 0.5, "a probability below 0.5, such as 0.01", &options->alpha);
    options->threshold = percent / 100.0;
    if (!code && time && strcmp(time, "wall") != 0 && strcmp(time, "cpu") != 0)
        code = option_wrong("compare", "time", time, "wall or cpu");
    options->cpu_time = time && strcmp(time, "cpu") == 0;
    for (size_t i = 0; i < args->n_given && !code; i++)
        if (strcmp(args->given[i].option->name, "rename") == 0)
            code = add_rename(renames, args->given[i].value);
    options->renames = renames->list;
    options->n_renames = renames->n;
    return code;
}

/* ---- the table ---- */

static const char *interval_text(char text[CELL_BYTES], const struct rpu_compare_row *row) {
    if (isfinite(row->low))
        snprintf(text, CELL_BYTES, "%.3f to %.3f", row->low, row->high);
    return isfinite(row->low) ? text : "-";
}

static const char *p_text(char text[CELL_BYTES], double p) {
    snprintf(text, CELL_BYTES, p < 0.0001 ? "%.1e" : "%.4f", p);
    return isfinite(p) ? text : "-";
}

static const char *ratio_text(char text[CELL_BYTES], double ratio) {
    snprintf(text, CELL_BYTES, "%.3f", ratio);
    return isfinite(ratio) ? text : "-";
}

static void print_row(FILE *out, const struct rpu_compare_row *row, int width) {
    char old[CELL_BYTES], new[CELL_BYTES], ratio[CELL_BYTES], interval[CELL_BYTES], p[CELL_BYTES];
    const int used = print_plain(out, row->name, strlen(row->name));
    fprintf(out, "%*s  %10s  %10s  %8s  %16s  %8s  %s\n", used < width ? width - used : 0, "",
            time_text(old, row->old_ns), time_text(new, row->new_ns), ratio_text(ratio, row->ratio),
            interval_text(interval, row), p_text(p, row->p), rpu_verdict_name(row->verdict));
    if (row->reason) {
        fputs("    ", out);
        print_plain(out, row->reason, 200);
        fputc('\n', out);
    }
}

static int changed(const struct rpu_compare_row *row) {
    return row->verdict == RPU_VERDICT_SLOWER || row->verdict == RPU_VERDICT_FASTER;
}

static void print_rows(FILE *out, const struct rpu_compare *c, int quiet) {
    int width = 9, rows = 0;
    char level[CELL_BYTES];
    for (size_t i = 0; i < c->n_rows; i++) {
        const size_t length = strlen(c->rows[i].name);
        rows += !quiet || changed(&c->rows[i]);
        width = length > (size_t)width ? (int)(length < NAME_WIDTH ? length : NAME_WIDTH) : width;
    }
    if (!rows)
        return;
    snprintf(level, sizeof level, "%.4g %% interval", 100.0 * (1.0 - c->options.alpha));
    fprintf(out, "%-*s  %10s  %10s  %8s  %16s  %8s\n", width, "benchmark", "old", "new", "new/old", level, "p");
    for (size_t i = 0; i < c->n_rows; i++)
        if (!quiet || changed(&c->rows[i]))
            print_row(out, &c->rows[i], width);
    fputc('\n', out);
}

static void print_groups(FILE *out, const struct rpu_compare *c) {
    char ratio[CELL_BYTES];
    fputs("geometric mean of new/old:\n", out);
    for (size_t i = 0; i < c->n_groups; i++) {
        const int used = print_plain(out, c->groups[i].name, 40);
        fprintf(out, "%*s  %8s  of %zu\n", used < 12 ? 12 - used : 0, "", ratio_text(ratio, c->groups[i].ratio),
                c->groups[i].rows);
    }
    if (c->n_groups > 1)
        fprintf(out, "%-12s  %8s  of %zu\n", "all", ratio_text(ratio, c->all.ratio), c->all.rows);
}

static void print_only(FILE *out, const char *where, const char **list, size_t n) {
    if (n)
        fprintf(out, "\nonly in %s:\n", where);
    for (size_t i = 0; i < n; i++) {
        fputs("  ", out);
        print_plain(out, list[i], strlen(list[i]));
        fputc('\n', out);
    }
}

/* ---- contexts ---- */

static int has_word(const char *text, const char *word, size_t length) {
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        if ((at == text || at[-1] == ' ') && strncmp(at, word, length) == 0 && (at[length] == ' ' || !at[length]))
            return 1;
    return 0;
}

/* A value; of two long ones what the other one does not have, as far as their first LOOK_BYTES tell; the other one is
 * looked at a word further. */
static void print_value(FILE *out, const char *value, const char *other) {
    const char *end = value + strnlen(value, LOOK_BYTES);
    char start[LOOK_BYTES + VALUE_BYTES];
    int n = 0;
    if (strlen(value) <= LONG_VALUE || !strchr(value, ' ')) {
        if ((size_t)print_plain(out, value, VALUE_BYTES) < strlen(value))
            fputs(" ...", out);
        return;
    }
    snprintf(start, sizeof start, "%s", other);
    for (size_t length; value < end && n < VALUE_BYTES; value += length + (value[length] == ' ')) {
        char word[VALUE_BYTES];
        length = strcspn(value, " ");
        snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word - 1), value);
        if (length && !has_word(start, word, strlen(word)))
            n += fprintf(out, "%s", n ? " " : "") + print_plain(out, word, sizeof word);
    }
    if (!n || *value)
        fputs("...", out);
}

/* The keys that one file alone has. */
static void print_stated(FILE *out, const struct rpu_compare *c, int old) {
    int n = 0;
    for (size_t i = 0; i < c->n_differences; i++) {
        const struct rpu_compare_difference *d = &c->differences[i];
        if (old ? d->new != NULL : d->old != NULL)
            continue;
        fputs(n++ ? ", " : old ? "  only the old file states: " : "  only the new file states: ", out);
        print_plain(out, d->key, 40);
    }
    if (n)
        fputc('\n', out);
}

static void print_difference(FILE *out, const struct rpu_compare_difference *d) {
    fprintf(out, "  %-8s ", rpu_compare_kind_name(d->kind));
    print_plain(out, d->key, 40);
    fputs("\n           old: ", out);
    print_value(out, d->old, d->new);
    fputs("\n           new: ", out);
    print_value(out, d->new, d->old);
    fputc('\n', out);
}

static void print_differences(FILE *out, const struct rpu_compare *c) {
    int kinds[RPU_KINDS] = {0}, n = 0;
    for (size_t i = 0; i < c->n_differences; i++) {
        const struct rpu_compare_difference *d = &c->differences[i];
        kinds[d->kind] |= (d->old && d->new) || d->kind == RPU_KIND_RUN; /* what is not stated need not differ */
    }
    if (!c->n_differences)
        return;
    for (int k = 0; k < RPU_KINDS; k++)
        if (kinds[k])
            fprintf(out, "%s%s", n++ ? ", " : "\nThe runs differ in more than their times (",
                    rpu_compare_kind_name((enum rpu_compare_kind)k));
    fputs(n ? "):\n" : "\nThe documents do not state the same of their runs:\n", out);
    for (size_t i = 0; i < c->n_differences; i++)
        if (c->differences[i].old && c->differences[i].new)
            print_difference(out, &c->differences[i]);
    print_stated(out, c, 1);
    print_stated(out, c, 0);
}

static void print_summary(FILE *out, const struct rpu_compare *c) {
    fprintf(out, "\n%zu compared (p below %g, change beyond %g %%):", c->n_rows, c->options.alpha,
            100.0 * c->options.threshold);
    for (int v = 0, n = 0; v < RPU_VERDICTS; v++)
        if (c->count[v])
            fprintf(out, "%s %zu %s", n++ ? "," : "", c->count[v], rpu_verdict_name((enum rpu_verdict)v));
    fputc('\n', out);
    if (c->count[RPU_VERDICT_FEW])
        fprintf(out, "%zu had too few repetitions to call any change significant; measure with 9 or more\n",
                c->count[RPU_VERDICT_FEW]);
    if (c->count[RPU_VERDICT_SLOWER])
        fprintf(out, "regression: %zu significantly slower\n", c->count[RPU_VERDICT_SLOWER]);
    else if (c->count[RPU_VERDICT_FASTER])
        fputs("no regression\n", out);
    else if (c->tested)
        fputs("no significant change\n", out);
    else
        fputs("no change could be significant\n", out);
}

static void print_comparison(FILE *out, const struct rpu_compare *c, int quiet) {
    print_rows(out, c, quiet);
    print_groups(out, c);
    print_only(out, "the old file", c->only_old, c->n_only_old);
    print_only(out, "the new file", c->only_new, c->n_only_new);
    print_differences(out, c);
    print_summary(out, c);
}

/* ---- the command ---- */

/* Whatever fails, the exit code is not the one of a benchmark that became slower. */
static int compare_with(const struct cli_args *args, const struct rpu_compare_options *options) {
    struct rpu_compare c = {0};
    struct json_output out;
    struct rpu_error err;
    char *text = NULL;
    int code = option_json(args, &out);
    if (code)
        return CLI_EXIT_USAGE;
    if (rpu_compare(&c, args->operands[0], args->operands[1], options, &err) != RPU_OK ||
        ((out.file || out.to_stdout) && rpu_compare_json(&text, &c, &err) != RPU_OK))
        code = report_error("compare", &err);
    code = json_output_end(args, &out, text, code);
    if (!code && !out.to_stdout)
        print_comparison(stdout, &c, cli_value(args, "quiet") != NULL);
    code = code ? CLI_EXIT_USAGE : c.count[RPU_VERDICT_SLOWER] ? CLI_EXIT_FAILURE : CLI_EXIT_OK;
    rpu_compare_free(&c);
    return code;
}

int command_compare(const struct cli_args *args) {
    struct rpu_compare_options options = {.threshold = 0.05, .alpha = 0.01};
    struct renames renames = {.n = 0};
    int code = read_options(args, &options, &renames);
    if (!code && args->n_operands != 2) {
        fprintf(stderr, CLI_PROGRAM " compare: two files are needed, OLD.json and NEW.json; see " CLI_PROGRAM
                                    " compare --help\n");
        code = CLI_EXIT_USAGE;
    }
    return code ? code : compare_with(args, &options);
}
