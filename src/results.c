/* SPDX-License-Identifier: Apache-2.0 */
#include "app.h"
#include "config_json.h"
#include "error.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCHEMA_VERSION = 1,
    REAL_DIGITS = 15 /* a decimal of up to so many digits is written as it was read */
};

/* A document in the making: one failure (memory, invalid UTF-8) spoils it, so that it is looked at only once. */
struct document {
    json_t *root;
    int failed;
};

static void put(struct document *doc, json_t *object, const char *key, json_t *value) {
    if (json_object_set_new(object, key, value) != 0)
        doc->failed = 1;
}

/* A number; null when it is not finite. */
static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* A quotient; null when there is nothing to divide by. */
static json_t *ratio(double a, double b) {
    return b > 0.0 ? number(a / b) : json_null();
}

static json_t *count(uint64_t value) {
    return json_integer((json_int_t)value);
}

/* Text from outside (a path, a CPU's name) with bytes that are not UTF-8 shown as '?'. */
static json_t *outside_text(const char *text) {
    json_t *value = json_string(text);
    char plain[RPU_PATH_MAX];
    if (value)
        return value;
    snprintf(plain, sizeof plain, "%s", text);
    for (char *c = plain; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return json_string(plain);
}

/* ---- provenance ---- */

static void put_schema(struct document *doc, const char *name) {
    json_t *schema = json_object();
    put(doc, doc->root, "schema", schema);
    put(doc, schema, "name", json_string(name));
    put(doc, schema, "version", json_integer(SCHEMA_VERSION));
}

/* The words of a text as an array. */
static json_t *words(struct document *doc, const char *text) {
    json_t *array = json_array();
    while (*text) {
        const size_t length = strcspn(text, " ");
        if (length > 0 && json_array_append_new(array, json_stringn(text, length)) != 0)
            doc->failed = 1;
        text += length + strspn(text + length, " ");
    }
    return array;
}

/* The machine as far as the process may use it, and where its threads are. */
static void put_machine(struct document *doc, const struct rpu_engine *engine) {
    json_t *machine = json_object(), *places = json_array();
    struct rpu_machine m = {0};
    struct rpu_place place;
    rpu_engine_machine(engine, &m);
    put(doc, doc->root, "machine", machine);
    put(doc, machine, "packages", json_integer(m.packages));
    put(doc, machine, "numa_nodes", json_integer(m.nodes));
    put(doc, machine, "cores", json_integer(m.cores));
    put(doc, machine, "processors", json_integer(m.processors));
    put(doc, machine, "all_processors", json_integer(m.all_processors));
    put(doc, machine, "time_limit", m.time_limit > 0.0 ? number(m.time_limit) : json_null());
    put(doc, doc->root, "bind", json_string(rpu_bind_name(rpu_engine_bind(engine))));
    put(doc, doc->root, "places", places);
    for (int t = 0; t < rpu_engine_threads(engine); t++) {
        json_t *processor = rpu_engine_place(engine, t, &place) ? json_integer(place.processor) : json_null();
        if (json_array_append_new(places, processor) != 0)
            doc->failed = 1;
    }
}

static void put_provenance(struct document *doc, const struct rpu_engine *engine) {
    json_t *kernels = json_object();
    put(doc, doc->root, "version", json_string(rpu_version()));
    put(doc, doc->root, "commit", json_string(rpu_build_commit()));
    put(doc, doc->root, "compiler", json_string(rpu_build_compiler()));
    put(doc, doc->root, "flags", json_string(rpu_build_flags()));
    put(doc, doc->root, "cpu", outside_text(rpu_cpu_model()));
    put(doc, doc->root, "cpu_features", words(doc, rpu_cpu_features()));
    put(doc, doc->root, "isa", json_string(rpu_engine_isa(engine)));
    put(doc, doc->root, "kernels", kernels);
    for (size_t i = 0; i < rpu_engine_kernel_count(engine); i++)
        put(doc, kernels, rpu_engine_kernel_name(engine, i), json_string(rpu_engine_kernel_variant(engine, i)));
    put(doc, doc->root, "threads", json_integer(rpu_engine_threads(engine)));
    put_machine(doc, engine);
}

static json_t *names(struct document *doc, const char *(*name)(size_t)) {
    json_t *array = json_array();
    for (size_t i = 0; name(i); i++)
        if (json_array_append_new(array, json_string(name(i))) != 0)
            doc->failed = 1;
    return array;
}

/* ---- parts of the results ---- */

static void put_data(struct document *doc, const struct rpu_results *r) {
    const struct rpu_images *im = &r->data->train;
    json_t *data = json_object(), *shape = json_object();
    put(doc, doc->root, "data", data);
    put(doc, data, "source", outside_text(r->config->data));
    put(doc, data, "train_images", count(im->count));
    put(doc, data, "test_images", count(r->data->test.count));
    put(doc, data, "shape", shape);
    put(doc, shape, "height", count(im->height));
    put(doc, shape, "width", count(im->width));
    put(doc, shape, "channels", count(im->channels));
    put(doc, data, "classes", count(im->classes > r->data->test.classes ? im->classes : r->data->test.classes));
}

static json_t *reads(struct document *doc, const struct rpu_read_counts *c) {
    json_t *object = json_object();
    put(doc, object, "columns", count(c->columns));
    put(doc, object, "rereads", count(c->rereads));
    put(doc, object, "saturated", count(c->saturated));
    return object;
}

static json_t *updates(struct document *doc, const struct rpu_update_counts *c) {
    json_t *object = json_object();
    put(doc, object, "row_pulses", count(c->row_pulses));
    put(doc, object, "column_pulses", count(c->column_pulses));
    put(doc, object, "coincidences", count(c->coincidences));
    put(doc, object, "clipped", count(c->clipped));
    return object;
}

static json_t *diagnostics(struct document *doc, const struct rpu_array_epoch *a, int has_backward) {
    json_t *object = json_object();
    put(doc, object, "forward", reads(doc, &a->forward));
    put(doc, object, "backward", has_backward ? reads(doc, &a->backward) : json_null());
    put(doc, object, "update", updates(doc, &a->update));
    put(doc, object, "at_bound", number(a->at_bound));
    return object;
}

static json_t *epoch_record(struct document *doc, const struct rpu_network *network, const struct rpu_epoch *e) {
    json_t *object = json_object(), *arrays = json_object();
    put(doc, object, "epoch", count(e->epoch));
    put(doc, object, "train_loss", number(e->train_loss));
    put(doc, object, "test_loss", number(e->test_loss));
    put(doc, object, "test_error", number(e->test_error));
    put(doc, object, "seconds", number(e->seconds));
    put(doc, object, "train_seconds", number(e->train_seconds));
    put(doc, object, "arrays", arrays);
    for (size_t a = 0; a < rpu_network_array_count(network); a++) {
        struct rpu_array_info info;
        if (rpu_network_array_info(network, a, &info) == RPU_OK)
            put(doc, arrays, info.name, diagnostics(doc, &e->arrays[a], info.has_backward));
    }
    return object;
}

static void put_epochs(struct document *doc, const struct rpu_results *r) {
    const struct rpu_network *network = rpu_training_network(r->run);
    const size_t n = rpu_training_epoch_count(r->run);
    json_t *epochs = json_array();
    put(doc, doc->root, "epochs", epochs);
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(epochs, epoch_record(doc, network, rpu_training_epoch(r->run, i))) != 0)
            doc->failed = 1;
    put(doc, doc->root, "test_error", n ? number(rpu_training_epoch(r->run, n - 1)->test_error) : json_null());
}

static json_t *cycle(struct document *doc, const struct rpu_array_info *info, const struct rpu_array_stats *s,
                     enum rpu_cycle which) {
    const double crosspoints = (double)info->outputs * info->inputs * info->columns, images = (double)s->images;
    json_t *object;
    if (which == RPU_CYCLE_BACKWARD && !info->has_backward)
        return json_null();
    object = json_object();
    put(doc, object, "ns_per_image", ratio(s->seconds[which] * 1e9, images));
    put(doc, object, "crosspoints_per_second", ratio(crosspoints * images, s->seconds[which]));
    return object;
}

static json_t *array_shape(struct document *doc, const struct rpu_array_info *info) {
    json_t *object = json_object();
    put(doc, object, "name", json_string(info->name));
    put(doc, object, "outputs", count(info->outputs));
    put(doc, object, "inputs", count(info->inputs));
    put(doc, object, "columns_per_image", count(info->columns));
    put(doc, object, "tiles", count(info->tiles));
    put(doc, object, "devices", count(info->devices));
    put(doc, object, "copies", count(info->copies));
    return object;
}

/* `arrays`, `cycles` and `pulses`: what is stated for each array of the whole training. */
static void put_arrays(struct document *doc, const struct rpu_network *network) {
    json_t *arrays = json_array(), *cycles = json_object(), *pulses = json_object();
    put(doc, doc->root, "arrays", arrays);
    put(doc, doc->root, "cycles", cycles);
    put(doc, doc->root, "pulses", pulses);
    for (size_t a = 0; a < rpu_network_array_count(network); a++) {
        struct rpu_array_info info;
        struct rpu_array_stats s;
        json_t *of = json_object();
        if (rpu_network_array_info(network, a, &info) != RPU_OK || rpu_network_array_stats(network, a, &s) != RPU_OK ||
            json_array_append_new(arrays, array_shape(doc, &info)) != 0) {
            doc->failed = 1;
            json_decref(of);
            continue;
        }
        put(doc, cycles, info.name, of);
        put(doc, of, "forward", cycle(doc, &info, &s, RPU_CYCLE_FORWARD));
        put(doc, of, "backward", cycle(doc, &info, &s, RPU_CYCLE_BACKWARD));
        put(doc, of, "update", cycle(doc, &info, &s, RPU_CYCLE_UPDATE));
        put(doc, pulses, info.name, updates(doc, &s.update));
    }
}

static void put_digest(struct document *doc, const struct rpu_network *network) {
    uint64_t digest = 0;
    char text[17];
    if (rpu_network_digest(network, &digest) != RPU_OK)
        doc->failed = 1;
    snprintf(text, sizeof text, "%016" PRIx64, digest);
    put(doc, doc->root, "weights_digest", json_string(text));
}

static void put_totals(struct document *doc, const struct rpu_results *r) {
    const double images = (double)rpu_training_images(r->run), seconds = rpu_training_seconds(r->run);
    put(doc, doc->root, "images_trained", count(rpu_training_images(r->run)));
    put(doc, doc->root, "images_per_second", ratio(images, seconds));
    put(doc, doc->root, "train_seconds", number(seconds));
}

/* ---- whole documents ---- */

/* Turns the document into text and frees it. */
static enum rpu_status finish(struct document *doc, char **text, struct rpu_error *err) {
    char *body = doc->failed ? NULL : json_dumps(doc->root, JSON_INDENT(2) | JSON_REAL_PRECISION(REAL_DIGITS));
    char *whole = NULL;
    if (body) {
        const size_t length = strlen(body);
        whole = realloc(body, length + 2);
        if (whole)
            memcpy(whole + length, "\n", 2);
        else
            free(body);
    }
    json_decref(doc->root);
    *text = whole;
    return whole ? RPU_OK : rpu_fail(err, RPU_ERR_NOMEM, "out of memory for the JSON document");
}

enum rpu_status rpu_results_json(char **text, const struct rpu_results *r, struct rpu_error *err) {
    struct document doc = {json_object(), 0};
    put_schema(&doc, "rpubench-result");
    put(&doc, doc.root, "date", json_string(r->date));
    put(&doc, doc.root, "interrupted", json_boolean(r->interrupted));
    put(&doc, doc.root, "seed", rpu_json_integer(r->config->seed));
    put_provenance(&doc, r->engine);
    put(&doc, doc.root, "ranks", json_integer(r->ranks));
    put(&doc, doc.root, "hosts", json_integer(r->hosts));
    put(&doc, doc.root, "config", rpu_config_to_json(r->config));
    put_data(&doc, r);
    put_epochs(&doc, r);
    put_totals(&doc, r);
    put_arrays(&doc, rpu_training_network(r->run));
    put_digest(&doc, rpu_training_network(r->run));
    return finish(&doc, text, err);
}

enum rpu_status rpu_info_json(char **text, const struct rpu_engine *engine, struct rpu_error *err) {
    struct document doc = {json_object(), 0};
    put_schema(&doc, "rpubench-info");
    put_provenance(&doc, engine);
    put(&doc, doc.root, "variants_built", names(&doc, rpu_isa_built_name));
    put(&doc, doc.root, "variants_usable", names(&doc, rpu_isa_name));
    return finish(&doc, text, err);
}
