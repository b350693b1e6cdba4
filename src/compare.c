/* SPDX-License-Identifier: Apache-2.0 */
#include "compare.h"

#include "benchfile.h"
#include "document.h"
#include "error.h"
#include "json_text.h"
#include "ranks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The documents, whose names and reasons the comparison refers to. */
struct rpu_compare_files {
    struct rpu_bench_file old, new;
};

const char *rpu_verdict_name(enum rpu_verdict verdict) {
    static const char *const names[RPU_VERDICTS] = {"same",    "slower",          "faster",
                                                    "unclear", "too few repeats", "not measured"};
    return names[verdict];
}

const char *rpu_compare_kind_name(enum rpu_compare_kind kind) {
    static const char *const names[RPU_KINDS] = {"machine", "kernels", "build", "run"};
    return names[kind];
}

/* ---- one benchmark ---- */

/* A change counts when the whole interval lies beyond the threshold: where times scatter by half, an order that chance
 * rarely makes is still no sign of so large a change. */
static enum rpu_verdict verdict_of(const struct rpu_compare_row *row, const struct rpu_compare_options *o) {
    const double most = 1.0 + o->threshold;
    if (!isfinite(row->low))
        return RPU_VERDICT_FEW;
    if (row->p < o->alpha && row->low > most)
        return RPU_VERDICT_SLOWER;
    if (row->p < o->alpha && row->high < 1.0 / most)
        return RPU_VERDICT_FASTER;
    return row->ratio > most || row->ratio < 1.0 / most ? RPU_VERDICT_UNCLEAR : RPU_VERDICT_SAME;
}

/* The median of the repetitions or, without any, the aggregate of the document; NaN when there is neither. */
static double middle_of(const struct rpu_bench_series *s) {
    if (s->n)
        return rpu_median(s->values, s->n);
    return s->aggregate > 0.0 ? s->aggregate : (double)NAN;
}

static enum rpu_status compare_row(struct rpu_compare_row *row, const struct rpu_bench_series *old,
                                   const struct rpu_bench_series *new, const struct rpu_compare_options *o) {
    struct rpu_rank_ratio ratio = {(double)NAN, (double)NAN, (double)NAN};
    struct rpu_rank_test test = {0.0, (double)NAN, 0};
    *row = (struct rpu_compare_row){new->name, old->n, new->n, middle_of(old), middle_of(new), 0, 0, 0, 0, 0, NULL};
    if (old->n && new->n &&
        (rpu_rank_test(&test, old->values, old->n, new->values, new->n) != RPU_OK ||
         rpu_rank_ratio(&ratio, old->values, old->n, new->values, new->n, o->alpha) != RPU_OK))
        return RPU_ERR_NOMEM;
    row->ratio = old->n && new->n ? ratio.ratio : row->new_ns / row->old_ns;
    row->low = ratio.low;
    row->high = ratio.high;
    row->p = test.p;
    row->reason = old->skipped ? old->skipped : new->skipped;
    if (!row->reason && !isfinite(row->ratio))
        row->reason = "there is neither a repetition nor a median or mean";
    row->verdict = row->reason ? RPU_VERDICT_SKIPPED : verdict_of(row, o);
    if (row->reason)
        row->ratio = row->low = row->high = row->p = (double)NAN;
    return RPU_OK;
}

/* ---- all of them ---- */

static enum rpu_status compare_rows(struct rpu_compare *c) {
    const struct rpu_bench_file *old = &c->files->old, *new = &c->files->new;
    c->rows = calloc(new->n + 1, sizeof *c->rows);
    c->only_old = calloc(old->n + 1, sizeof *c->only_old);
    c->only_new = calloc(new->n + 1, sizeof *c->only_new);
    if (!c->rows || !c->only_old || !c->only_new)
        return RPU_ERR_NOMEM;
    for (size_t i = 0; i < new->n; i++) {
        const struct rpu_bench_series *s = rpu_bench_find(old, new->series[i].name);
        if (!s)
            c->only_new[c->n_only_new++] = new->series[i].name;
        else if (compare_row(&c->rows[c->n_rows++], s, &new->series[i], &c->options) != RPU_OK)
            return RPU_ERR_NOMEM;
    }
    for (size_t i = 0; i < old->n; i++)
        if (!rpu_bench_find(new, old->series[i].name))
            c->only_old[c->n_only_old++] = old->series[i].name;
    for (size_t i = 0; i < c->n_rows; i++)
        c->count[c->rows[i].verdict]++;
    c->tested = c->n_rows - c->count[RPU_VERDICT_FEW] - c->count[RPU_VERDICT_SKIPPED];
    return RPU_OK;
}

/* The group of the row's name, made if it is not there; null without memory. `groups` has room. */
static struct rpu_compare_group *group_of(struct rpu_compare *c, json_t *index, const char *name) {
    struct rpu_compare_group *g = &c->groups[c->n_groups];
    char *group = strndup(name, strcspn(name, "/"));
    const json_t *place = group ? json_object_get(index, group) : NULL;
    if (place) {
        free(group);
        return &c->groups[json_integer_value(place)];
    }
    g->name = group;
    if (!group || json_object_set_new(index, group, json_integer((json_int_t)c->n_groups)) != 0) {
        free(group);
        return NULL;
    }
    c->n_groups++;
    return g;
}

/* Ratios hold sums of logarithms until the end. */
static enum rpu_status compare_groups(struct rpu_compare *c) {
    json_t *index = json_object();
    size_t i;
    c->groups = calloc(c->n_rows + 1, sizeof *c->groups);
    for (i = 0; c->groups && index && i < c->n_rows; i++) {
        struct rpu_compare_group *g = group_of(c, index, c->rows[i].name);
        if (!g)
            break;
        if (!isfinite(c->rows[i].ratio))
            continue;
        g->ratio += log(c->rows[i].ratio);
        g->rows++;
        c->all.ratio += log(c->rows[i].ratio);
        c->all.rows++;
    }
    if (!c->groups || !index || i < c->n_rows) {
        json_decref(index);
        return RPU_ERR_NOMEM;
    }
    json_decref(index);
    for (i = 0; i < c->n_groups; i++)
        c->groups[i].ratio = exp(c->groups[i].ratio / (double)c->groups[i].rows);
    c->all.ratio = exp(c->all.ratio / (double)c->all.rows);
    return RPU_OK;
}

/* ---- contexts ---- */

/* Keys that differ from run to run on one machine, or say nothing of it. */
static const char *const passing[] = {"date",        "load_avg",  "executable",          "host_name",
                                      "mhz_per_cpu", "frequency", "json_schema_version", NULL};
static const char *const machine_keys[] = {"cpu",      "cpu_features",        "cpu_flags", "num_cpus",
                                           "caches",   "cache_levels",        "topology",  "machine",
                                           "governor", "cpu_scaling_enabled", NULL};
static const char *const kernel_keys[] = {"isa", "kernels", NULL};
static const char *const build_keys[] = {"version", "rpubench_version",   "commit",          "compiler",
                                         "flags",   "library_build_type", "library_version", NULL};

static int is_one_of(const char *key, const char *const *list) {
    for (; *list; list++)
        if (strcmp(key, *list) == 0)
            return 1;
    return 0;
}

static enum rpu_compare_kind kind_of_key(const char *key) {
    if (is_one_of(key, machine_keys))
        return RPU_KIND_MACHINE;
    if (is_one_of(key, kernel_keys))
        return RPU_KIND_KERNELS;
    return is_one_of(key, build_keys) ? RPU_KIND_BUILD : RPU_KIND_RUN;
}

static char *value_text(const json_t *value) {
    return json_is_string(value) ? strdup(json_string_value(value))
                                 : rpu_json_text(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

static enum rpu_status add_difference(struct rpu_compare *c, const char *key, const json_t *old, const json_t *new) {
    struct rpu_compare_difference *d = &c->differences[c->n_differences];
    if (is_one_of(key, passing) || (old && new &&json_equal(old, new)))
        return RPU_OK;
    *d = (struct rpu_compare_difference){key, kind_of_key(key), old ? value_text(old) : NULL,
                                         new ? value_text(new) : NULL};
    c->n_differences++;
    return (old && !d->old) || (new && !d->new) ? RPU_ERR_NOMEM : RPU_OK;
}

static int by_kind(const void *a, const void *b) {
    const struct rpu_compare_difference *x = a, *y = b;
    return x->kind != y->kind ? (x->kind > y->kind) - (x->kind < y->kind) : strcmp(x->key, y->key);
}

static enum rpu_status compare_contexts(struct rpu_compare *c) {
    json_t *old = json_object_get(c->files->old.root, "context"), *new = json_object_get(c->files->new.root, "context");
    const char *key;
    json_t *value;
    enum rpu_status status = RPU_OK;
    c->differences = calloc(json_object_size(old) + json_object_size(new) + 1, sizeof *c->differences);
    if (!c->differences)
        return RPU_ERR_NOMEM;
    json_object_foreach(old, key, value) {
        if (status == RPU_OK)
            status = add_difference(c, key, value, json_object_get(new, key));
    }
    json_object_foreach(new, key, value) {
        if (status == RPU_OK && !json_object_get(old, key))
            status = add_difference(c, key, NULL, value);
    }
    qsort(c->differences, c->n_differences, sizeof *c->differences, by_kind);
    return status;
}

enum rpu_status rpu_compare(struct rpu_compare *c, const char *old_path, const char *new_path,
                            const struct rpu_compare_options *options, struct rpu_error *err) {
    struct rpu_bench_reading how = {options->cpu_time ? "cpu_time" : "real_time", options->renames, options->n_renames,
                                    0};
    enum rpu_status status;
    *c = (struct rpu_compare){.options = *options, .files = calloc(1, sizeof *c->files)};
    if (!c->files)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    status = rpu_bench_read(&c->files->old, old_path, &how, err);
    how.is_new = 1;
    if (status == RPU_OK)
        status = rpu_bench_read(&c->files->new, new_path, &how, err);
    if (status != RPU_OK)
        return status;
    if (compare_rows(c) != RPU_OK || compare_groups(c) != RPU_OK || compare_contexts(c) != RPU_OK)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory for the comparison");
    if (!c->n_rows)
        return rpu_fail_at(err, RPU_ERR_FORMAT, new_path, 0, NULL,
                           "has no benchmark in common with %.255s (%zu here, %zu there)", old_path, c->n_only_new,
                           c->n_only_old);
    return RPU_OK;
}

void rpu_compare_free(struct rpu_compare *c) {
    for (size_t i = 0; i < c->n_groups; i++)
        free(c->groups[i].name);
    for (size_t i = 0; i < c->n_differences; i++) {
        free(c->differences[i].old);
        free(c->differences[i].new);
    }
    free(c->rows);
    free(c->groups);
    free(c->only_old);
    free(c->only_new);
    free(c->differences);
    if (c->files) {
        rpu_bench_free(&c->files->old);
        rpu_bench_free(&c->files->new);
    }
    free(c->files);
    *c = (struct rpu_compare){0};
}

/* ---- JSON ---- */

static json_t *text_or_null(const char *text) {
    return text ? json_string(text) : json_null();
}

static json_t *row_record(struct rpu_document *doc, const struct rpu_compare_row *row) {
    json_t *object = json_object();
    rpu_doc_put(doc, object, "name", json_string(row->name));
    rpu_doc_put(doc, object, "old_repetitions", json_integer((json_int_t)row->n_old));
    rpu_doc_put(doc, object, "new_repetitions", json_integer((json_int_t)row->n_new));
    rpu_doc_put(doc, object, "old_ns", rpu_doc_number(row->old_ns));
    rpu_doc_put(doc, object, "new_ns", rpu_doc_number(row->new_ns));
    rpu_doc_put(doc, object, "ratio", rpu_doc_number(row->ratio));
    rpu_doc_put(doc, object, "ratio_low", rpu_doc_number(row->low));
    rpu_doc_put(doc, object, "ratio_high", rpu_doc_number(row->high));
    rpu_doc_put(doc, object, "p", rpu_doc_number(row->p));
    rpu_doc_put(doc, object, "verdict", json_string(rpu_verdict_name(row->verdict)));
    rpu_doc_put(doc, object, "reason", text_or_null(row->reason));
    return object;
}

static json_t *group_record(struct rpu_document *doc, const struct rpu_compare_group *group) {
    json_t *object = json_object();
    rpu_doc_put(doc, object, "name", json_string(group->name ? group->name : "all"));
    rpu_doc_put(doc, object, "benchmarks", json_integer((json_int_t)group->rows));
    rpu_doc_put(doc, object, "ratio", rpu_doc_number(group->ratio));
    return object;
}

static json_t *difference_record(struct rpu_document *doc, const struct rpu_compare_difference *d) {
    json_t *object = json_object();
    rpu_doc_put(doc, object, "key", json_string(d->key));
    rpu_doc_put(doc, object, "kind", json_string(rpu_compare_kind_name(d->kind)));
    rpu_doc_put(doc, object, "old", text_or_null(d->old));
    rpu_doc_put(doc, object, "new", text_or_null(d->new));
    return object;
}

static json_t *names(struct rpu_document *doc, const char **list, size_t n) {
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        rpu_doc_append(doc, array, json_string(list[i]));
    return array;
}

static json_t *counts(struct rpu_document *doc, const struct rpu_compare *c) {
    static const char *const keys[RPU_VERDICTS] = {"same",    "slower",          "faster",
                                                   "unclear", "too_few_repeats", "not_measured"};
    json_t *object = json_object();
    for (size_t v = 0; v < RPU_VERDICTS; v++)
        rpu_doc_put(doc, object, keys[v], json_integer((json_int_t)c->count[v]));
    return object;
}

static void fill_document(struct rpu_document *doc, const struct rpu_compare *c) {
    json_t *root = doc->root, *rows = json_array(), *groups = json_array(), *differences = json_array();
    rpu_doc_put(doc, root, "time", json_string(c->options.cpu_time ? "cpu_time" : "real_time"));
    rpu_doc_put(doc, root, "threshold_percent", rpu_doc_number(100.0 * c->options.threshold));
    rpu_doc_put(doc, root, "alpha", rpu_doc_number(c->options.alpha));
    rpu_doc_put(doc, root, "counts", counts(doc, c));
    rpu_doc_put(doc, root, "all", group_record(doc, &c->all));
    rpu_doc_put(doc, root, "groups", groups);
    for (size_t i = 0; i < c->n_groups; i++)
        rpu_doc_append(doc, groups, group_record(doc, &c->groups[i]));
    rpu_doc_put(doc, root, "benchmarks", rows);
    for (size_t i = 0; i < c->n_rows; i++)
        rpu_doc_append(doc, rows, row_record(doc, &c->rows[i]));
    rpu_doc_put(doc, root, "only_old", names(doc, c->only_old, c->n_only_old));
    rpu_doc_put(doc, root, "only_new", names(doc, c->only_new, c->n_only_new));
    rpu_doc_put(doc, root, "differences", differences);
    for (size_t i = 0; i < c->n_differences; i++)
        rpu_doc_append(doc, differences, difference_record(doc, &c->differences[i]));
}

enum rpu_status rpu_compare_json(char **text, const struct rpu_compare *c, struct rpu_error *err) {
    struct rpu_document doc = {json_object(), 0};
    rpu_doc_schema(&doc, "rpubench-compare");
    fill_document(&doc, c);
    return rpu_doc_finish(&doc, text, err);
}
