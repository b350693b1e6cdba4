/* SPDX-License-Identifier: Apache-2.0 */
#include "benchfile.h"

#include "error.h"
#include "json_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MOST = 1000 };

/* Where reading stands. */
struct reader {
    struct rpu_bench_file *file;
    const char *path;
    const struct rpu_bench_reading *how;
    size_t row; /* of benchmarks[] */
    struct rpu_error *err;
};

static enum rpu_status no_memory(const struct reader *r) {
    return rpu_fail_at(r->err, RPU_ERR_NOMEM, r->path, 0, NULL, "out of memory");
}

/* ---- the text ---- */

/* Google Benchmark writes NaN and Infinity, which JSON does not know. They become empty lists of the same length: no
 * numbers, and every line and column stays what it was. */
static void replace_non_finite(char *text, size_t size) {
    static const char *const words[] = {"-NaN", "NaN", "-Infinity", "Infinity"};
    int in_string = 0;
    for (size_t i = 0; i < size; i++) {
        if (in_string && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            in_string = !in_string;
        for (size_t w = 0; !in_string && w < sizeof words / sizeof words[0]; w++) {
            const size_t length = strlen(words[w]);
            if (size - i >= length && memcmp(text + i, words[w], length) == 0) {
                memset(text + i, ' ', length);
                memcpy(text + i, "[]", 2);
                break;
            }
        }
    }
}

static enum rpu_status parse(const struct reader *r) {
    json_error_t reason;
    int without_memory;
    char *text = NULL;
    size_t size = 0;
    enum rpu_status status = rpu_json_bytes(&text, &size, r->path, r->err);
    if (status == RPU_OK) {
        replace_non_finite(text, size);
        r->file->root = rpu_json_parse(text, size, 0, &reason, &without_memory);
        if (without_memory)
            status = no_memory(r);
        else if (!r->file->root)
            status = rpu_fail_at(r->err, RPU_ERR_FORMAT, r->path, reason.line > 0 ? reason.line : 0, NULL,
                                 "is not JSON: %s", reason.text);
    }
    free(text);
    return status;
}

/* ---- a row ---- */

static const char *kind_of(const json_t *value) {
    static const char *const kinds[] = {"an object", "a list", "a text", "a whole number",
                                        "a number",  "true",   "false",  "null"};
    return value ? kinds[json_typeof(value)] : "nothing";
}

static enum rpu_status wrong(const struct reader *r, const char *key, const char *found, const char *allowed) {
    char place[96];
    snprintf(place, sizeof place, "benchmarks[%zu]%s%s", r->row, *key ? "." : "", key);
    return rpu_fail_at(r->err, RPU_ERR_FORMAT, r->path, 0, place, "found %s, allowed is %s", found, allowed);
}

/* A key that is text, or is not there (null). */
static enum rpu_status text_of(const struct reader *r, const json_t *row, const char *key, const char **text) {
    const json_t *value = json_object_get(row, key);
    *text = json_string_value(value);
    return !value || *text ? RPU_OK : wrong(r, key, kind_of(value), "a text");
}

static enum rpu_status time_of(const struct reader *r, const json_t *row, double *ns) {
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"ns", 1.0}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    const json_t *value = json_object_get(row, r->how->time);
    const char *unit;
    char found[64];
    enum rpu_status status = text_of(r, row, "time_unit", &unit);
    if (status != RPU_OK)
        return status;
    if (!json_is_number(value))
        return wrong(r, r->how->time, json_is_array(value) ? "no finite number" : kind_of(value), "a number above 0");
    *ns = 0.0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(unit ? unit : "ns", units[i].name) == 0)
            *ns = json_number_value(value) * units[i].ns;
    snprintf(found, sizeof found, "%.9g", json_number_value(value));
    if (!(json_number_value(value) > 0.0) || *ns > 1e30)
        return wrong(r, r->how->time, found, "a number above 0 and below 1e30 ns");
    return *ns > 0.0 ? RPU_OK : wrong(r, "time_unit", "another unit", "ns, us, ms or s");
}

/* Whether this component of a name stands for flags of Google Benchmark, which say nothing of what is measured. */
static int is_flag(const char *part, size_t length) {
    static const char *const flags[] = {"iterations:", "repeats:", "min_time:", "min_warmup_time:"};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (length > strlen(flags[i]) && strncmp(part, flags[i], strlen(flags[i])) == 0)
            return 1;
    return 0;
}

static int is_word(const char *part, size_t length, const char *word) {
    return strlen(word) == length && memcmp(part, word, length) == 0;
}

/* The name by which benchmarks are paired; empty when a rename leaves this one out. */
static void pairing_name(const struct reader *r, const char *name, char *out, size_t size) {
    size_t at = 0;
    out[0] = '\0';
    while (*name) {
        const size_t length = strcspn(name, "/");
        const char *part = name;
        int shown = (int)length;
        for (size_t i = 0; i < r->how->n_renames; i++) {
            const struct rpu_bench_rename *rename = &r->how->renames[i];
            if (is_word(name, length, r->how->is_new ? rename->from : rename->to)) {
                out[0] = '\0';
                return;
            }
            if (part == name && is_word(name, length, rename->from)) {
                part = rename->to;
                shown = (int)strlen(part);
            }
        }
        if (!is_flag(name, length) && at < size)
            at += (size_t)snprintf(out + at, size - at, "%s%.*s", at ? "/" : "", shown, part);
        name += length + (name[length] == '/');
    }
}

/* ---- the list ---- */

static int grow(void **list, size_t n, size_t *room, size_t element) {
    const size_t larger = *room ? 2 * *room : 16;
    void *memory;
    if (n < *room)
        return 1;
    memory = realloc(*list, larger * element);
    if (!memory)
        return 0;
    *list = memory;
    *room = larger;
    return 1;
}

/* The series of that name, made if it is not there; null without memory. */
static struct rpu_bench_series *series_of(struct rpu_bench_file *file, const char *name) {
    const json_t *place = json_object_get(file->index, name);
    if (place)
        return &file->series[json_integer_value(place)];
    if (!grow((void **)&file->series, file->n, &file->room, sizeof *file->series) ||
        json_object_set_new(file->index, name, json_integer((json_int_t)file->n)) != 0)
        return NULL;
    file->series[file->n] = (struct rpu_bench_series){0};
    return &file->series[file->n++];
}

static enum rpu_status add_repetition(const struct reader *r, struct rpu_bench_series *s, const json_t *row) {
    char most[48];
    double ns;
    const enum rpu_status status = time_of(r, row, &ns);
    if (status != RPU_OK)
        return status;
    snprintf(most, sizeof most, "at most %d", RPU_BENCH_MAX_REPETITIONS);
    if (s->n == RPU_BENCH_MAX_REPETITIONS)
        return wrong(r, "", "one more repetition", most);
    if (!grow((void **)&s->values, s->n, &s->room, sizeof *s->values))
        return no_memory(r);
    s->values[s->n++] = ns;
    return RPU_OK;
}

/* The median or, while there is none, the mean; of other aggregates nothing is taken. */
static enum rpu_status add_aggregate(const struct reader *r, struct rpu_bench_series *s, const json_t *row,
                                     const char *aggregate) {
    const int median = strcmp(aggregate, "median") == 0;
    double ns;
    enum rpu_status status;
    if ((!median && strcmp(aggregate, "mean") != 0) || (s->has_median && !median))
        return RPU_OK;
    status = time_of(r, row, &ns);
    if (status == RPU_OK) {
        s->aggregate = ns;
        s->has_median = median;
    }
    return status;
}

/* The reason why a benchmark was not measured, or null. */
static enum rpu_status skip_of(const struct reader *r, const json_t *row, const char **reason) {
    const int failed = json_is_true(json_object_get(row, "error_occurred"));
    enum rpu_status status = RPU_OK;
    *reason = NULL;
    if (failed || json_is_true(json_object_get(row, "skipped"))) {
        status = text_of(r, row, failed ? "error_message" : "skip_message", reason);
        if (!*reason)
            *reason = "no reason is given";
        if (strncmp(*reason, RPU_BENCH_NOT_MEASURED, strlen(RPU_BENCH_NOT_MEASURED)) == 0)
            *reason += strlen(RPU_BENCH_NOT_MEASURED);
    }
    return status;
}

static enum rpu_status add_row(const struct reader *r, const json_t *row) {
    const char *name, *run_name, *kind, *aggregate, *reason;
    char key[NAME_MOST + 1];
    struct rpu_bench_series *s;
    enum rpu_status status;
    if (!json_is_object(row))
        return wrong(r, "", kind_of(row), "an object");
    if ((status = text_of(r, row, "name", &name)) != RPU_OK ||
        (status = text_of(r, row, "run_name", &run_name)) != RPU_OK ||
        (status = text_of(r, row, "run_type", &kind)) != RPU_OK ||
        (status = text_of(r, row, "aggregate_name", &aggregate)) != RPU_OK ||
        (status = skip_of(r, row, &reason)) != RPU_OK)
        return status;
    if (kind && strcmp(kind, "iteration") != 0 && strcmp(kind, "aggregate") != 0)
        return wrong(r, "run_type", "another word", "iteration or aggregate");
    if (!aggregate && kind && strcmp(kind, "aggregate") == 0)
        return wrong(r, "aggregate_name", "nothing", "a text");
    name = run_name ? run_name : name;
    if (!name || !*name)
        return wrong(r, "name", name ? "an empty text" : "nothing", "a text");
    if (strlen(name) > NAME_MOST / 2)
        return wrong(r, "name", "a longer one", "a text of at most 500 bytes");
    pairing_name(r, name, key, sizeof key);
    if (!*key)
        return RPU_OK;
    if (!(s = series_of(r->file, key)))
        return no_memory(r);
    if (reason) {
        s->skipped = reason;
        return RPU_OK;
    }
    return aggregate ? add_aggregate(r, s, row, aggregate) : add_repetition(r, s, row);
}

/* Names last as long as the index, where they are keys. */
static void name_series(struct rpu_bench_file *file) {
    const char *name;
    json_t *place;
    json_object_foreach(file->index, name, place) file->series[json_integer_value(place)].name = name;
}

enum rpu_status rpu_bench_read(struct rpu_bench_file *file, const char *path, const struct rpu_bench_reading *how,
                               struct rpu_error *err) {
    struct reader r = {file, path, how, 0, err};
    const json_t *rows, *context;
    enum rpu_status status;
    *file = (struct rpu_bench_file){.index = json_object()};
    if (!file->index)
        return no_memory(&r);
    status = parse(&r);
    if (status != RPU_OK)
        return status;
    rows = json_object_get(file->root, "benchmarks");
    context = json_object_get(file->root, "context");
    if (!json_is_array(rows))
        return rpu_fail_at(err, RPU_ERR_FORMAT, path, 0, "benchmarks", "found %s, allowed is a list of benchmarks",
                           kind_of(rows));
    if (context && !json_is_object(context))
        return rpu_fail_at(err, RPU_ERR_FORMAT, path, 0, "context", "found %s, allowed is an object", kind_of(context));
    for (r.row = 0; r.row < json_array_size(rows) && status == RPU_OK; r.row++)
        status = add_row(&r, json_array_get(rows, r.row));
    name_series(file);
    return status;
}

void rpu_bench_free(struct rpu_bench_file *file) {
    for (size_t i = 0; i < file->n; i++)
        free(file->series[i].values);
    free(file->series);
    json_decref(file->index);
    json_decref(file->root);
    *file = (struct rpu_bench_file){0};
}

const struct rpu_bench_series *rpu_bench_find(const struct rpu_bench_file *file, const char *name) {
    const json_t *place = json_object_get(file->index, name);
    return place ? &file->series[json_integer_value(place)] : NULL;
}
