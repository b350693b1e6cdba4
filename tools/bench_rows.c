/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* Length of a name without what Google Benchmark appends. */
static size_t plain_length(const char *name) {
    static const char *const suffixes[] = {
        "/real_time", "/manual_time", "/iterations:", "/repeats:", "/min_time:", "/process_time"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        const char *at = strstr(name, suffixes[i]);
        if (at && (size_t)(at - name) < length)
            length = (size_t)(at - name);
    }
    return length;
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Whether an entry stands for its benchmark: the only run, the median of several, or the first that failed. */
static int counts(const struct bench_rows *rows, const json_t *entry) {
    const char *aggregate = text_of(entry, "aggregate_name");
    const struct bench_row *last = rows->count > 0 ? &rows->rows[rows->count - 1] : NULL;
    if (*aggregate)
        return strcmp(aggregate, "median") == 0;
    if (json_integer_value(json_object_get(entry, "repetitions")) <= 1)
        return 1;
    return json_is_true(json_object_get(entry, "error_occurred")) &&
           !(last && last->failed && strcmp(text_of(last->values, "run_name"), text_of(entry, "run_name")) == 0);
}

static double nanoseconds(const json_t *entry) {
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ns", 1.0}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    const double time = json_number_value(json_object_get(entry, "real_time"));
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(text_of(entry, "time_unit"), units[i].unit) == 0)
            return time * units[i].ns;
    return 0.0;
}

/* Cuts the name at its first three slashes; 0 without memory. */
static int add(struct bench_rows *rows, json_t *entry) {
    static char nothing[] = "";
    const char *name = text_of(entry, "run_name");
    struct bench_row *r = &rows->rows[rows->count];
    char *parts[4] = {nothing, nothing, nothing, nothing};
    char *copy = strndup(name, plain_length(name)), *at = copy;
    if (!copy)
        return 0;
    for (int i = 0; i < 4 && at; i++) {
        parts[i] = at;
        at = i < 3 ? strchr(at, '/') : NULL;
        if (at)
            *at++ = '\0';
    }
    *r = (struct bench_row){copy, parts[1], parts[2], parts[3], entry, nanoseconds(entry), 0};
    r->failed = json_is_true(json_object_get(entry, "error_occurred")) || json_object_get(entry, "skipped") != NULL;
    rows->count++;
    return 1;
}

int bench_rows_read(struct bench_rows *rows, const char *text, size_t length) {
    json_error_t error;
    json_t *list, *entry;
    size_t i;
    *rows = (struct bench_rows){.document = json_loadb(text, length, 0, &error)};
    list = json_object_get(rows->document, "benchmarks");
    if (!json_is_array(list)) {
        fprintf(stderr, CLI_PROGRAM " bench: what the benchmarks wrote cannot be read%s%s\n",
                rows->document ? "" : ": ", rows->document ? "" : error.text);
        return 0;
    }
    rows->rows = calloc(json_array_size(list) + 1, sizeof *rows->rows);
    json_array_foreach(list, i, entry) {
        if (rows->rows && counts(rows, entry) && !add(rows, entry))
            break;
    }
    if (rows->rows && i == json_array_size(list))
        return 1;
    fprintf(stderr, CLI_PROGRAM " bench: out of memory\n");
    return 0;
}

void bench_rows_free(struct bench_rows *rows) {
    for (size_t i = 0; i < rows->count; i++)
        free(rows->rows[i].group);
    free(rows->rows);
    json_decref(rows->document);
    *rows = (struct bench_rows){.document = NULL};
}

const struct bench_row *bench_rows_find(const struct bench_rows *rows, const char *group, const char *what,
                                        const char *variant, const char *rest) {
    for (size_t i = 0; i < rows->count; i++) {
        const struct bench_row *r = &rows->rows[i];
        if (!r->failed && strcmp(r->group, group) == 0 && strcmp(r->what, what) == 0 &&
            (!variant || strcmp(r->variant, variant) == 0) && strcmp(r->rest, rest) == 0)
            return r;
    }
    return NULL;
}

double bench_value(const struct bench_row *row, const char *name) {
    return row ? json_number_value(json_object_get(row->values, name)) : 0.0;
}
