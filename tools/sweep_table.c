/* SPDX-License-Identifier: Apache-2.0 */
/* The table of a sweep for human readers. */
#include "sweep.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDEST = 40 }; /* of a value; a longer one is cut */

/* Bytes that stand for characters: what a terminal counts, but for wide and combining ones. */
static size_t characters(const char *text) {
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* A table in print: what it is of, and the width of each key's column. */
struct table {
    const struct sweep_work *work;
    FILE *out;
    size_t *widths;
};

static size_t column_width(const struct sweep_work *work, size_t key) {
    size_t width = characters(rpu_sweep_key_short(work->sweep, key));
    for (size_t i = 0; i < work->count; i++) {
        const size_t n = characters(rpu_sweep_value(work->sweep, i, key));
        width = n > width ? n : width;
    }
    return width > WIDEST ? WIDEST : width;
}

/* Text to the width, cut with dots; control characters become question marks. */
static void print_cell(FILE *out, const char *text, size_t width) {
    const size_t length = characters(text), shown = length > width ? width - 3 : length;
    size_t n = 0;
    for (; *text; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
        if (n > shown)
            break;
        fputc(rpu_plain(*text), out);
    }
    fprintf(out, "%s%*s", length > width ? "..." : "", length > width ? 2 : (int)(width - length) + 2, "");
}

static void print_number(FILE *out, double value, int width, int decimals) {
    if (isfinite(value))
        fprintf(out, "%*.*f  ", width, decimals, value);
    else
        fprintf(out, "%*s  ", width, "-");
}

static void print_keys(const struct table *t, size_t n, size_t run, int head) {
    const struct rpu_sweep *sweep = t->work->sweep;
    for (size_t k = 0; k < n; k++)
        print_cell(t->out, head ? rpu_sweep_key_short(sweep, k) : rpu_sweep_value(sweep, run, k), t->widths[k]);
}

static void print_result(FILE *out, const struct rpu_run *run) {
    const struct rpu_summary *s = &run->summary;
    fprintf(out, "%6" PRIu32 "  ", s->epochs);
    print_number(out, s->train_loss, 10, 4);
    print_number(out, s->test_loss, 9, 4);
    print_number(out, 100.0 * s->test_error, 12, 2);
    print_number(out, s->images_per_second, 8, 0);
    fprintf(out, "%s%s\n", s->digest, run->state == RPU_RUN_KEPT ? "  kept" : "");
}

static void print_run(const struct table *t, size_t i) {
    const struct rpu_run *run = &t->work->runs[i];
    print_keys(t, rpu_sweep_key_count(t->work->sweep), i, 0);
    if (rpu_run_has_result(run))
        print_result(t->out, run);
    else if (run->state == RPU_RUN_FAILED)
        fprintf(t->out, "failed, exit code %d\n", run->code);
    else
        fprintf(t->out, "%s\n", run->state == RPU_RUN_WAITING ? "not begun" : rpu_run_state_name(run->state));
}

/* Mean and spread over the seeds, for each setting of the other keys. */
static void print_spreads(const struct table *t) {
    const struct rpu_sweep *sweep = t->work->sweep;
    const size_t keys = rpu_sweep_key_count(sweep) - 1, n = rpu_spread_count(sweep);
    if (n == 0 || t->work->kept + t->work->done == 0)
        return;
    fprintf(t->out, "\nover the seeds:\n");
    print_keys(t, keys, 0, 1);
    fprintf(t->out, "%4s  %12s  %9s  %7s  %7s\n", "runs", "test error %", "deviation", "least", "most");
    for (size_t i = 0; i < n; i++) {
        const struct rpu_spread s = rpu_spread_at(sweep, t->work->runs, i);
        print_keys(t, keys, s.first, 0);
        fprintf(t->out, "%4zu  ", s.runs);
        print_number(t->out, 100.0 * s.mean, 12, 2);
        print_number(t->out, 100.0 * s.deviation, 9, 2);
        print_number(t->out, 100.0 * s.least, 7, 2);
        print_number(t->out, 100.0 * s.most, 7, 2);
        fputs(s.runs ? "\n" : "no run has a result\n", t->out);
    }
}

int sweep_print_table(const struct sweep_work *work) {
    const size_t keys = rpu_sweep_key_count(work->sweep);
    struct table t = {work, work->human, calloc(keys, sizeof *t.widths)};
    if (!t.widths)
        return 0;
    for (size_t k = 0; k < keys; k++)
        t.widths[k] = column_width(work, k);
    fputc('\n', t.out);
    print_keys(&t, keys, 0, 1);
    fprintf(t.out, "%6s  %10s  %9s  %12s  %8s  %s\n", "epochs", "train loss", "test loss", "test error %", "images/s",
            "weights digest");
    for (size_t i = 0; i < work->count; i++)
        print_run(&t, i);
    print_spreads(&t);
    fputc('\n', t.out);
    free(t.widths);
    return 1;
}
