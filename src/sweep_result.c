/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep_result.h"

#include "app.h"
#include "checkpoint.h"
#include "config_json.h"
#include "document.h"
#include "error.h"
#include "result_read.h"
#include "text.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *rpu_run_state_name(enum rpu_run_state state) {
    switch (state) {
    case RPU_RUN_WAITING: return "waiting";
    case RPU_RUN_ACTIVE: return "active";
    case RPU_RUN_KEPT: return "kept";
    case RPU_RUN_DONE: return "done";
    case RPU_RUN_FAILED: return "failed";
    case RPU_RUN_INTERRUPTED: return "interrupted";
    }
    return "unknown";
}

/* ---- reading a results document ---- */

static double real_of(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* The next part of a path and its length, 0 at the end; parts that change nothing are passed over. */
static const char *next_part(const char *path, size_t *length) {
    for (;; path += *length) {
        path += strspn(path, "/");
        *length = strcspn(path, "/");
        if (*length != 1 || *path != '.')
            return path;
    }
}

/* Whether two sources are one name, slashes and "." aside. A relative one is of the folder of its call, which nobody
 * has written down; generated images have no folder. */
static int same_source(const char *a, const char *b) {
    size_t n = 0, m = 0;
    if (strcmp(a, "digits") == 0 || strcmp(b, "digits") == 0 || (*a == '/') != (*b == '/'))
        return strcmp(a, b) == 0;
    do {
        a = next_part(a + n, &n);
        b = next_part(b + m, &m);
        if (n != m || memcmp(a, b, n) != 0)
            return 0;
    } while (n > 0);
    return 1;
}

/* Where the images are the same, the other configuration's name of them. */
static void rename_source(json_t *config, const json_t *other) {
    json_t *data = json_object_get(config, "data");
    const char *ours = json_string_value(json_object_get(data, "source"));
    json_t *theirs = json_object_get(json_object_get(other, "data"), "source");
    if (ours && json_is_string(theirs) && same_source(ours, json_string_value(theirs)))
        json_object_set(data, "source", theirs);
}

/* Whether the document's configuration is this one; the preset's name says nothing that the rest does not. */
static enum rpu_status check_config(const json_t *root, const struct rpu_config *config, const char *path,
                                    struct rpu_error *err) {
    json_t *ours = rpu_config_to_json(config), *theirs = json_object_get(root, "config");
    int same;
    if (!ours)
        return rpu_fail_at(err, RPU_ERR_NOMEM, path, 0, NULL, "out of memory");
    json_object_del(ours, "preset");
    json_object_del(theirs, "preset");
    rename_source(ours, theirs);
    same = json_equal(ours, theirs);
    json_decref(ours);
    return same ? RPU_OK : rpu_fail_at(err, RPU_ERR_FORMAT, path, 0, NULL, "is of another configuration");
}

static enum rpu_status check_result(const json_t *root, const struct rpu_config *config, const char *path,
                                    struct rpu_error *err) {
    if (!json_is_false(json_object_get(root, "interrupted")) ||
        json_array_size(json_object_get(root, "epochs")) != config->epochs)
        return rpu_fail_at(err, RPU_ERR_FORMAT, path, 0, NULL, "is of a training that did not end");
    return check_config(root, config, path, err);
}

static void summarize(struct rpu_summary *s, const json_t *root) {
    const json_t *epochs = json_object_get(root, "epochs");
    const json_t *last = json_array_get(epochs, json_array_size(epochs) - 1);
    s->epochs = (uint32_t)json_array_size(epochs);
    s->train_loss = real_of(last, "train_loss");
    s->test_loss = real_of(last, "test_loss");
    s->test_error = real_of(root, "test_error");
    s->images_per_second = real_of(root, "images_per_second");
    s->train_seconds = real_of(root, "train_seconds");
    snprintf(s->digest, sizeof s->digest, "%s", json_string_value(json_object_get(root, "weights_digest")));
}

enum rpu_status rpu_summary_read(struct rpu_summary *summary, const char *path, const struct rpu_config *config,
                                 struct rpu_error *err) {
    json_t *root = NULL;
    enum rpu_status status = rpu_result_read(&root, path, err);
    if (status == RPU_OK)
        status = check_result(root, config, path, err);
    if (status == RPU_OK)
        summarize(summary, root);
    json_decref(root);
    return status;
}

/* Whether it is one of a training of this configuration. A minibatch larger than the data set was the data set. */
static enum rpu_status compare_config(const struct rpu_checkpoint *checkpoint, uint32_t images,
                                      const struct rpu_config *config, const char *path, struct rpu_error *err) {
    struct rpu_config *now = malloc(sizeof *now);
    enum rpu_status status;
    if (!now)
        return rpu_fail_at(err, RPU_ERR_NOMEM, path, 0, NULL, "out of memory");
    *now = *config;
    now->batch = now->batch < images ? now->batch : images;
    status = rpu_config_same(rpu_checkpoint_config(checkpoint), now, path, err);
    free(now);
    return status;
}

enum rpu_status rpu_checkpoint_fits(const char *path, const struct rpu_config *config, int *fits,
                                    struct rpu_error *err) {
    struct rpu_checkpoint *checkpoint = NULL;
    struct rpu_checkpoint_info info = {0};
    enum rpu_status status = rpu_checkpoint_read(&checkpoint, path, err);
    if (status == RPU_OK)
        status = rpu_checkpoint_describe(checkpoint, &info);
    if (status == RPU_OK)
        status = compare_config(checkpoint, info.train_images, config, path, err);
    if (status == RPU_OK)
        status = rpu_checkpoint_within(&info, config->epochs, path, err);
    *fits = status == RPU_OK;
    rpu_checkpoint_free(checkpoint);
    /* what a newer version wrote is somebody's work as well */
    return status == RPU_ERR_NOMEM || status == RPU_ERR_IO || status == RPU_ERR_UNSUPPORTED ? status : RPU_OK;
}

/* ---- spread over the seeds ---- */

size_t rpu_spread_count(const struct rpu_sweep *sweep) {
    const size_t seeds = rpu_sweep_seed_count(sweep);
    return seeds > 1 ? rpu_sweep_count(sweep) / seeds : 0;
}

struct rpu_spread rpu_spread_at(const struct rpu_sweep *sweep, const struct rpu_run *runs, size_t index) {
    const size_t seeds = rpu_sweep_seed_count(sweep), first = index * seeds;
    struct rpu_spread s = {first, 0, (double)NAN, (double)NAN, (double)NAN, (double)NAN};
    double sum = 0.0, squares = 0.0;
    for (size_t i = first; i < first + seeds; i++) {
        const double error = runs[i].summary.test_error;
        if (!rpu_run_has_result(&runs[i]) || !isfinite(error))
            continue;
        s.least = s.runs && s.least < error ? s.least : error;
        s.most = s.runs && s.most > error ? s.most : error;
        sum += error;
        s.runs++;
    }
    if (s.runs)
        s.mean = sum / (double)s.runs;
    for (size_t i = first; i < first + seeds; i++)
        if (rpu_run_has_result(&runs[i]) && isfinite(runs[i].summary.test_error))
            squares += (runs[i].summary.test_error - s.mean) * (runs[i].summary.test_error - s.mean);
    if (s.runs > 1)
        s.deviation = sqrt(squares / (double)(s.runs - 1));
    return s;
}

/* ---- JSON ---- */

/* A document in the making. */
struct table {
    const struct rpu_sweep *sweep;
    const struct rpu_run *runs;
    struct rpu_document doc;
};

static json_t *values_of(struct table *t, size_t run) {
    json_t *values = json_object();
    for (size_t k = 0; k < rpu_sweep_key_count(t->sweep); k++)
        rpu_doc_put(&t->doc, values, rpu_sweep_key(t->sweep, k), json_string(rpu_sweep_value(t->sweep, run, k)));
    return values;
}

static json_t *run_record(struct table *t, size_t i) {
    const struct rpu_run *run = &t->runs[i];
    const struct rpu_summary *s = &run->summary;
    json_t *object = json_object();
    rpu_doc_put(&t->doc, object, "run", json_string(rpu_sweep_name(t->sweep, i)));
    rpu_doc_put(&t->doc, object, "values", values_of(t, i));
    rpu_doc_put(&t->doc, object, "state", json_string(rpu_run_state_name(run->state)));
    rpu_doc_put(&t->doc, object, "exit_code", run->state == RPU_RUN_FAILED ? json_integer(run->code) : json_null());
    if (!rpu_run_has_result(run))
        return object;
    rpu_doc_put(&t->doc, object, "epochs", json_integer((json_int_t)s->epochs));
    rpu_doc_put(&t->doc, object, "train_loss", rpu_doc_number(s->train_loss));
    rpu_doc_put(&t->doc, object, "test_loss", rpu_doc_number(s->test_loss));
    rpu_doc_put(&t->doc, object, "test_error", rpu_doc_number(s->test_error));
    rpu_doc_put(&t->doc, object, "images_per_second", rpu_doc_number(s->images_per_second));
    rpu_doc_put(&t->doc, object, "train_seconds", rpu_doc_number(s->train_seconds));
    rpu_doc_put(&t->doc, object, "weights_digest", json_string(s->digest));
    return object;
}

static json_t *spread_record(struct table *t, size_t index) {
    const struct rpu_spread s = rpu_spread_at(t->sweep, t->runs, index);
    json_t *object = json_object(), *values = values_of(t, s.first);
    json_object_del(values, rpu_sweep_key(t->sweep, rpu_sweep_key_count(t->sweep) - 1));
    rpu_doc_put(&t->doc, object, "values", values);
    rpu_doc_put(&t->doc, object, "runs", json_integer((json_int_t)s.runs));
    rpu_doc_put(&t->doc, object, "test_error_mean", rpu_doc_number(s.mean));
    rpu_doc_put(&t->doc, object, "test_error_deviation", rpu_doc_number(s.deviation));
    rpu_doc_put(&t->doc, object, "test_error_least", rpu_doc_number(s.least));
    rpu_doc_put(&t->doc, object, "test_error_most", rpu_doc_number(s.most));
    return object;
}

enum rpu_status rpu_sweep_json(char **text, const struct rpu_sweep *sweep, const struct rpu_run *runs,
                               struct rpu_error *err) {
    struct table t = {sweep, runs, {json_object(), 0}};
    json_t *records = json_array(), *spreads = json_array();
    rpu_doc_schema(&t.doc, "rpubench-sweep");
    rpu_doc_put(&t.doc, t.doc.root, "runs", records);
    for (size_t i = 0; i < rpu_sweep_count(sweep); i++)
        rpu_doc_append(&t.doc, records, run_record(&t, i));
    rpu_doc_put(&t.doc, t.doc.root, "settings", spreads);
    for (size_t i = 0; i < rpu_spread_count(sweep); i++)
        rpu_doc_append(&t.doc, spreads, spread_record(&t, i));
    return rpu_doc_finish(&t.doc, text, err);
}

/* ---- CSV ---- */

static void csv_text(struct rpu_text *out, const char *field) {
    if (!field[strcspn(field, ",\"\r\n")]) {
        rpu_text_put(out, field);
        return;
    }
    rpu_text_put(out, "\"");
    for (; *field; field++)
        rpu_text_add(out, *field == '"' ? "\"\"" : field, *field == '"' ? 2 : 1);
    rpu_text_put(out, "\"");
}

/* Empty where there is no number. */
static void csv_number(struct rpu_text *out, double value) {
    if (isfinite(value))
        rpu_text_format(out, ",%.9g", value);
    else
        rpu_text_put(out, ",");
}

static void csv_head(struct rpu_text *out, const struct rpu_sweep *sweep) {
    rpu_text_put(out, "run");
    for (size_t k = 0; k < rpu_sweep_key_count(sweep); k++) {
        rpu_text_put(out, ",");
        csv_text(out, rpu_sweep_key(sweep, k));
    }
    rpu_text_put(out, ",state,exit_code,epochs,train_loss,test_loss,test_error,images_per_second,train_seconds,"
                      "weights_digest\r\n");
}

static void csv_run(struct rpu_text *out, const struct rpu_sweep *sweep, const struct rpu_run *runs, size_t i) {
    const struct rpu_summary *s = &runs[i].summary;
    csv_text(out, rpu_sweep_name(sweep, i));
    for (size_t k = 0; k < rpu_sweep_key_count(sweep); k++) {
        rpu_text_put(out, ",");
        csv_text(out, rpu_sweep_value(sweep, i, k));
    }
    rpu_text_format(out, ",%s,", rpu_run_state_name(runs[i].state));
    if (runs[i].state == RPU_RUN_FAILED)
        rpu_text_format(out, "%d", runs[i].code);
    if (!rpu_run_has_result(&runs[i])) {
        rpu_text_put(out, ",,,,,,,\r\n");
        return;
    }
    rpu_text_format(out, ",%u", s->epochs);
    csv_number(out, s->train_loss);
    csv_number(out, s->test_loss);
    csv_number(out, s->test_error);
    csv_number(out, s->images_per_second);
    csv_number(out, s->train_seconds);
    rpu_text_format(out, ",%s\r\n", s->digest);
}

enum rpu_status rpu_sweep_csv(char **text, const struct rpu_sweep *sweep, const struct rpu_run *runs,
                              struct rpu_error *err) {
    struct rpu_text out = {0};
    csv_head(&out, sweep);
    for (size_t i = 0; i < rpu_sweep_count(sweep); i++)
        csv_run(&out, sweep, runs, i);
    *text = rpu_text_take(&out);
    return *text ? RPU_OK : rpu_fail(err, RPU_ERR_NOMEM, "out of memory for the sweep's table");
}
