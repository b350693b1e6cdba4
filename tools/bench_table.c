/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of `rpubench bench`: variant against variant, and against what the machine can do. */
#include "bench.h"

#include "../src/app.h"

#include <string.h>

enum { VARIANTS_MAX = 8, NAME = 53, CELL = 10 };

/* Kernel variants of a document, in the order of their first appearance, which is that of preference. */
struct variants {
    const char *names[VARIANTS_MAX];
    size_t count;
};

static int is_group(const struct bench_row *r, const char *group) {
    return strcmp(r->group, group) == 0;
}

static int has_group(const struct bench_rows *rows, const char *group) {
    for (size_t i = 0; i < rows->count; i++)
        if (is_group(&rows->rows[i], group))
            return 1;
    return 0;
}

static struct variants variants_of(const struct bench_rows *rows, const char *group) {
    struct variants v = {.count = 0};
    for (size_t i = 0; i < rows->count; i++) {
        size_t k = 0;
        if (!is_group(&rows->rows[i], group))
            continue;
        while (k < v.count && strcmp(v.names[k], rows->rows[i].variant) != 0)
            k++;
        if (k == v.count && k < VARIANTS_MAX)
            v.names[v.count++] = rows->rows[i].variant;
    }
    return v;
}

/* ---- cells ---- */

static void print_time(FILE *out, double ns) {
    static const char *const units[] = {"ns", "us", "ms", "s"};
    size_t unit = 0;
    while (ns >= 999.5 && unit < 3) {
        ns /= 1e3;
        unit++;
    }
    fprintf(out, " %*.*f %-2s", CELL - 4, ns < 9.995 ? 2 : ns < 99.95 ? 1 : 0, ns, units[unit]);
}

static void print_nothing(FILE *out) {
    fprintf(out, " %*s", CELL - 1, "-");
}

static void print_ratio(FILE *out, double ratio) {
    if (ratio > 0.0)
        fprintf(out, " %*.2fx", CELL - 2, ratio);
    else
        print_nothing(out);
}

static void print_percent(FILE *out, double percent) {
    if (percent > 0.0)
        fprintf(out, " %*.1f %%", CELL - 3, percent);
    else
        print_nothing(out);
}

static void print_rate(FILE *out, double per_second, const char *unit) {
    if (per_second > 0.0)
        fprintf(out, " %*.2f G%s", CELL - 4, per_second / 1e9, unit);
    else
        fprintf(out, " %*s", CELL - 4 + 2 + (int)strlen(unit), "-");
}

static void print_images(FILE *out, const struct bench_row *r) {
    const double rate = bench_value(r, "images_per_second");
    fprintf(out, " %*.*f", CELL - 1, rate < 99.95 ? 1 : 0, rate);
}

static void print_head(FILE *out, const char *what, const char *const *cells, size_t count) {
    fprintf(out, "\n%-*s", NAME, what);
    for (size_t i = 0; i < count; i++)
        fprintf(out, " %*s", CELL - 1, cells[i]);
    fputc('\n', out);
}

/* ---- kernels and cycles ---- */

/* OpenBLAS's or Random123's time for the same work, hot or cold as it is; 0 where there is none. An update's bit length
 * and errors are none of theirs. */
static double baseline_of(const struct bench_rows *rows, const struct bench_row *r) {
    const char *what = strcmp(r->what, "outer") == 0 || strcmp(r->what, "pulse_apply") == 0 ? "update" : r->what;
    const char *pulses = strstr(r->rest, "/bl:"), *heat = strrchr(r->rest, '/');
    const struct bench_row *other;
    char rest[256];
    snprintf(rest, sizeof rest, "%.*s%s", (int)(pulses ? pulses - r->rest : (long)strlen(r->rest)), r->rest,
             pulses && heat ? heat : "");
    other = bench_rows_find(rows, "baseline", what, NULL, rest);
    return other ? other->ns : 0.0;
}

/* Whether this is the first row of its work: the row of the table is made there. */
static int is_first(const struct bench_rows *rows, size_t index) {
    const struct bench_row *r = &rows->rows[index];
    for (size_t i = 0; i < index; i++)
        if (is_group(&rows->rows[i], r->group) && strcmp(rows->rows[i].what, r->what) == 0 &&
            strcmp(rows->rows[i].rest, r->rest) == 0)
            return 0;
    return 1;
}

static void print_work(FILE *out, const struct bench_rows *rows, const struct bench_row *r, const struct variants *v) {
    const struct bench_row *best = NULL, *autovec = bench_rows_find(rows, r->group, r->what, "autovec", r->rest);
    const double theirs = baseline_of(rows, r);
    char name[300];
    snprintf(name, sizeof name, "%s %s", r->what, r->rest);
    fprintf(out, "%-*s", NAME, name);
    for (size_t k = 0; k < v->count; k++) {
        const struct bench_row *of = bench_rows_find(rows, r->group, r->what, v->names[k], r->rest);
        if (of)
            print_time(out, of->ns);
        else
            print_nothing(out);
        best = of ? of : best;
    }
    if (!is_group(r, "baseline")) {
        print_ratio(out, best && autovec && best != autovec ? autovec->ns / best->ns : 0.0);
        print_ratio(out, best ? theirs / best->ns : 0.0);
    }
    print_rate(out, bench_value(best, "crosspoints_per_second"), "");
    print_percent(out, bench_value(best, "percent_of_roof"));
    fputs(best ? "\n" : "  failed\n", out);
}

static void print_group(FILE *out, const struct bench_rows *rows, const char *group) {
    const struct variants v = variants_of(rows, group);
    const char *cells[VARIANTS_MAX + 4];
    size_t n = 0;
    for (size_t k = 0; k < v.count; k++)
        cells[n++] = v.names[k];
    if (strcmp(group, "baseline") != 0) {
        cells[n++] = "/autovec";
        cells[n++] = "/baseline";
    }
    cells[n++] = "points/s";
    cells[n++] = "of roof";
    print_head(out, group, cells, n);
    for (size_t i = 0; i < rows->count; i++)
        if (is_group(&rows->rows[i], group) && is_first(rows, i))
            print_work(out, rows, &rows->rows[i], &v);
}

/* ---- the machine ---- */

static void print_machine(FILE *out, const struct bench_rows *rows) {
    fprintf(out, "\n%-*s %*s %*s %*s\n", NAME, "machine", CELL + 2, "average", CELL + 2, "best", CELL + 3, "of best");
    for (size_t i = 0; i < rows->count; i++) {
        const struct bench_row *r = &rows->rows[i];
        const int flops = strcmp(r->what, "fma") == 0;
        char name[300];
        if (!is_group(r, "machine"))
            continue;
        snprintf(name, sizeof name, "%s %s, %s", r->what, r->rest, r->variant);
        fprintf(out, "%-*s", NAME, name);
        print_rate(out, bench_value(r, flops ? "flops_per_second" : "bytes_per_second"), flops ? "flop/s" : "B/s");
        print_rate(out, bench_value(r, flops ? "best_flops_per_second" : "best_bytes_per_second"),
                   flops ? "flop/s" : "B/s");
        print_percent(out, bench_value(r, "percent_of_roof"));
        fputc('\n', out);
    }
}

/* ---- training steps ---- */

/* Shares of a cycle over all arrays. */
static double share(const struct bench_row *r, const char *cycle) {
    double sum = 0.0;
    const char *key;
    json_t *value;
    const size_t length = strlen(cycle);
    json_object_foreach(r->values, key, value) {
        if (strncmp(key, "percent_", 8) == 0 && strncmp(key + 8, cycle, length) == 0 && key[8 + length] == '_')
            sum += json_number_value(value);
    }
    return sum;
}

/* Each array's share: its name and the sum of its cycles. */
static void print_arrays(FILE *out, const struct bench_row *r) {
    static const char first[] = "percent_forward_";
    const char *key, *gap = "  ";
    json_t *value;
    json_object_foreach(r->values, key, value) {
        char other[128];
        double sum = json_number_value(value);
        const char *name = key + sizeof first - 1;
        if (strncmp(key, first, sizeof first - 1) != 0)
            continue;
        snprintf(other, sizeof other, "percent_backward_%s", name);
        sum += bench_value(r, other);
        snprintf(other, sizeof other, "percent_update_%s", name);
        sum += bench_value(r, other);
        fprintf(out, "%s%s %.0f %%", gap, name, sum);
        gap = ", ";
    }
}

static void print_steps(FILE *out, const struct bench_rows *rows) {
    static const char *const cells[] = {"images/s", "/autovec", "forward", "backward", "update", "rest", "of roof"};
    print_head(out, "step", cells, sizeof cells / sizeof cells[0]);
    for (size_t i = 0; i < rows->count; i++) {
        const struct bench_row *r = &rows->rows[i];
        const struct bench_row *autovec = bench_rows_find(rows, r->group, r->what, "autovec", r->rest);
        char name[300];
        if (!is_group(r, "step") || r->failed)
            continue;
        snprintf(name, sizeof name, "%s %s, %s", r->what, r->rest, r->variant);
        fprintf(out, "%-*s", NAME, name);
        print_images(out, r);
        print_ratio(out, autovec && autovec != r ? autovec->ns / r->ns : 0.0);
        print_percent(out, share(r, "forward"));
        print_percent(out, share(r, "backward"));
        print_percent(out, share(r, "update"));
        print_percent(out, bench_value(r, "percent_rest"));
        print_percent(out, bench_value(r, "percent_of_roof"));
        print_arrays(out, r);
        fputc('\n', out);
    }
}

/* ---- scaling ---- */

static void print_prediction(FILE *out, const struct bench_row *r) {
    if (bench_value(r, "predicted_speedup_8") > 0.0)
        fprintf(out, "  prediction, not measured: speed-up %.1f with 8 threads, %.1f with 32, %.1f with 64\n",
                bench_value(r, "predicted_speedup_8"), bench_value(r, "predicted_speedup_32"),
                bench_value(r, "predicted_speedup_64"));
}

static void print_scaling(FILE *out, const struct bench_rows *rows) {
    static const char *const cells[] = {"images/s", "speed-up", "efficient", "serial", "of roof", "waits", "ns each"};
    print_head(out, "scaling of lenet-rpu", cells, sizeof cells / sizeof cells[0]);
    for (size_t i = 0; i < rows->count; i++) {
        const struct bench_row *r = &rows->rows[i];
        char name[300];
        if (!is_group(r, "scaling") || r->failed || strcmp(r->what, "wait") == 0)
            continue;
        snprintf(name, sizeof name, "%s %s, %s", r->what, r->rest, r->variant);
        fprintf(out, "%-*s", NAME, name);
        print_images(out, r);
        print_ratio(out, bench_value(r, "speedup"));
        print_percent(out, bench_value(r, "percent_efficiency"));
        print_percent(out, bench_value(r, "percent_serial"));
        print_percent(out, bench_value(r, "percent_of_roof"));
        if (strcmp(r->what, "strong") == 0)
            fprintf(out, " %*.2f %*.0f", CELL - 1, bench_value(r, "waits_per_image"), CELL - 1,
                    bench_value(r, "wait_ns"));
        fputc('\n', out);
        print_prediction(out, r);
    }
}

/* ---- goals, and the workload for comparing machines ---- */

#define AT_ITS_BOUND 1.15 /* as in perf_table.py */

static void print_goals(FILE *out, const struct bench_rows *rows) {
    static const char *const cells[] = {"goal", "reached", "bound", ""};
    print_head(out, "goal", cells, sizeof cells / sizeof cells[0]);
    for (size_t i = 0; i < rows->count; i++) {
        const struct bench_row *r = &rows->rows[i];
        const double goal = bench_value(r, "goal"), reached = bench_value(r, "reached");
        const int met = bench_value(r, "at_least") > 0.0 ? reached >= goal : reached <= goal;
        char name[300];
        if (!is_group(r, "goal") || r->failed)
            continue;
        snprintf(name, sizeof name, "%s %s%s%s", r->what, r->variant, *r->rest ? "/" : "", r->rest);
        fprintf(out, "%-*s %*.2f %*.2f", NAME, name, CELL - 1, goal, CELL - 1, reached);
        if (bench_value(r, "bound") > 0.0)
            fprintf(out, " %*.2f", CELL - 1, bench_value(r, "bound"));
        else
            print_nothing(out);
        const double of_bound = bench_value(r, "of_bound");
        fputs(met ? "  met\n" : of_bound > 0.0 && of_bound <= AT_ITS_BOUND ? "  at its bound\n" : "  missed\n", out);
    }
}

static void print_official(FILE *out, const struct bench_rows *rows) {
    fprintf(out, "\nofficial workload: an epoch of lenet-rpu on 60,000 digits, batch 1\n");
    for (size_t i = 0; i < rows->count; i++) {
        const struct bench_row *r = &rows->rows[i];
        const char *label = json_string_value(json_object_get(r->values, "label"));
        const char *team = strstr(r->rest, "/team:"), *digest = label ? strstr(label, "digest") : NULL;
        const double seconds = bench_value(r, "seconds_to_2_percent");
        if (!is_group(r, "official") || r->failed || !team)
            continue;
        fprintf(out, "%s thread%s, %s: %.1f images/s, ", team + 6, strcmp(team + 6, "1") == 0 ? "" : "s", r->variant,
                bench_value(r, "images_per_second"));
        if (seconds > 0.0)
            fprintf(out, "2 %% test error after %.2f s (%.0f images), ", seconds,
                    bench_value(r, "images_to_2_percent"));
        fprintf(out, "%s\n", digest ? digest : "");
    }
}

/* ---- all of them ---- */

static void print_failures(FILE *out, const struct bench_rows *rows) {
    for (size_t i = 0; i < rows->count; i++) {
        const struct bench_row *r = &rows->rows[i];
        const char *why = json_string_value(json_object_get(r->values, "error_message"));
        if (!r->failed)
            continue;
        if (!why || strncmp(why, RPU_BENCH_NOT_MEASURED, strlen(RPU_BENCH_NOT_MEASURED)) != 0)
            fputs("FAILED ", out);
        fprintf(out, "%s/%s%s%s%s%s: %s\n", r->group, r->what, *r->variant ? "/" : "", r->variant, *r->rest ? "/" : "",
                r->rest, why ? why : "no reason given");
    }
}

static void print_start(FILE *out, const json_t *context) {
    static const char *const keys[] = {"cpu", "topology", "isas", "teams", "openblas_core", "commit", "compiler"};
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        const char *text = json_string_value(json_object_get(context, keys[k]));
        fprintf(out, "%-14s %s\n", keys[k], text ? text : "unknown");
    }
    fprintf(
        out,
        "Times are of one call, image or minibatch; medians where there are several runs. \"/autovec\" and "
        "\"/baseline\": how many times\nfaster the best variant is than the compiler's vectors, and than "
        "OpenBLAS's bare product or Random123. \"of roof\": see results/README.md.\nOpenBLAS's products are dense; of "
        "the errors of several columns, and of d:sparse, three quarters are 0; d:trained has\nthose of a training.\n");
}

void bench_print(FILE *out, const struct bench_rows *rows) {
    static const struct {
        const char *group;
        void (*print)(FILE *out, const struct bench_rows *rows);
    } others[] = {
        {"step", print_steps}, {"scaling", print_scaling}, {"goal", print_goals}, {"official", print_official}};
    static const char *const variants[] = {"kernel", "cycle", "baseline"};
    print_start(out, json_object_get(rows->document, "context"));
    if (has_group(rows, "machine"))
        print_machine(out, rows);
    for (size_t k = 0; k < sizeof variants / sizeof variants[0]; k++)
        if (has_group(rows, variants[k]))
            print_group(out, rows, variants[k]);
    for (size_t k = 0; k < sizeof others / sizeof others[0]; k++)
        if (has_group(rows, others[k].group))
            others[k].print(out, rows);
    fputc('\n', out);
    print_failures(out, rows);
}
