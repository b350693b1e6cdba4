/* SPDX-License-Identifier: Apache-2.0 */
#include "app.h"
#include "config_json.h"
#include "document.h"
#include "error.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA_VERSION = 1 };

/* A quotient; null when there is nothing to divide by. */
static json_t *ratio(double a, double b) {
    return b > 0.0 ? rpu_json_number(a / b) : json_null();
}

static json_t *count(uint64_t value) {
    return json_integer((json_int_t)value);
}

/* ---- provenance ---- */

/* The words of a text as an array. */
static json_t *words(struct rpu_document *doc, const char *text) {
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
static void put_machine(struct rpu_document *doc, const struct rpu_engine *engine) {
    json_t *machine = json_object(), *places = json_array();
    struct rpu_machine m = {0};
    struct rpu_place place;
    rpu_engine_machine(engine, &m);
    rpu_put(doc, doc->root, "machine", machine);
    rpu_put(doc, machine, "packages", json_integer(m.packages));
    rpu_put(doc, machine, "numa_nodes", json_integer(m.nodes));
    rpu_put(doc, machine, "cores", json_integer(m.cores));
    rpu_put(doc, machine, "processors", json_integer(m.processors));
    rpu_put(doc, machine, "all_processors", json_integer(m.all_processors));
    rpu_put(doc, machine, "time_limit", m.time_limit > 0.0 ? rpu_json_number(m.time_limit) : json_null());
    rpu_put(doc, doc->root, "bind", json_string(rpu_bind_name(rpu_engine_bind(engine))));
    rpu_put(doc, doc->root, "places", places);
    for (int t = 0; t < rpu_engine_threads(engine); t++) {
        json_t *processor = rpu_engine_place(engine, t, &place) ? json_integer(place.processor) : json_null();
        rpu_append(doc, places, processor);
    }
}

static void put_provenance(struct rpu_document *doc, const struct rpu_engine *engine) {
    json_t *kernels = json_object();
    rpu_put(doc, doc->root, "version", json_string(rpu_version()));
    rpu_put(doc, doc->root, "commit", json_string(rpu_build_commit()));
    rpu_put(doc, doc->root, "compiler", json_string(rpu_build_compiler()));
    rpu_put(doc, doc->root, "flags", json_string(rpu_build_flags()));
    rpu_put(doc, doc->root, "cpu", rpu_json_outside(rpu_cpu_model()));
    rpu_put(doc, doc->root, "cpu_features", words(doc, rpu_cpu_features()));
    rpu_put(doc, doc->root, "isa", json_string(rpu_engine_isa(engine)));
    rpu_put(doc, doc->root, "kernels", kernels);
    for (size_t i = 0; i < rpu_engine_kernel_count(engine); i++)
        rpu_put(doc, kernels, rpu_engine_kernel_name(engine, i), json_string(rpu_engine_kernel_variant(engine, i)));
    rpu_put(doc, doc->root, "threads", json_integer(rpu_engine_threads(engine)));
    put_machine(doc, engine);
}

static json_t *names(struct rpu_document *doc, const char *(*name)(size_t)) {
    json_t *array = json_array();
    for (size_t i = 0; name(i); i++)
        rpu_append(doc, array, json_string(name(i)));
    return array;
}

/* ---- parts of the results ---- */

static void put_data(struct rpu_document *doc, const struct rpu_results *r) {
    const struct rpu_images *im = &r->data->train;
    json_t *data = json_object(), *shape = json_object();
    rpu_put(doc, doc->root, "data", data);
    rpu_put(doc, data, "source", rpu_json_outside(r->config->data));
    rpu_put(doc, data, "train_images", count(im->count));
    rpu_put(doc, data, "test_images", count(r->data->test.count));
    rpu_put(doc, data, "shape", shape);
    rpu_put(doc, shape, "height", count(im->height));
    rpu_put(doc, shape, "width", count(im->width));
    rpu_put(doc, shape, "channels", count(im->channels));
    rpu_put(doc, data, "classes", count(im->classes > r->data->test.classes ? im->classes : r->data->test.classes));
}

static json_t *reads(struct rpu_document *doc, const struct rpu_read_counts *c) {
    json_t *object = json_object();
    rpu_put(doc, object, "columns", count(c->columns));
    rpu_put(doc, object, "rereads", count(c->rereads));
    rpu_put(doc, object, "saturated", count(c->saturated));
    return object;
}

static json_t *updates(struct rpu_document *doc, const struct rpu_update_counts *c) {
    json_t *object = json_object();
    rpu_put(doc, object, "row_pulses", count(c->row_pulses));
    rpu_put(doc, object, "column_pulses", count(c->column_pulses));
    rpu_put(doc, object, "coincidences", count(c->coincidences));
    rpu_put(doc, object, "clipped", count(c->clipped));
    return object;
}

static json_t *diagnostics(struct rpu_document *doc, const struct rpu_array_epoch *a, int has_backward) {
    json_t *object = json_object();
    rpu_put(doc, object, "forward", reads(doc, &a->forward));
    rpu_put(doc, object, "backward", has_backward ? reads(doc, &a->backward) : json_null());
    rpu_put(doc, object, "update", updates(doc, &a->update));
    rpu_put(doc, object, "at_bound", rpu_json_number(a->at_bound));
    return object;
}

static json_t *epoch_record(struct rpu_document *doc, const struct rpu_network *network, const struct rpu_epoch *e) {
    json_t *object = json_object(), *arrays = json_object();
    rpu_put(doc, object, "epoch", count(e->epoch));
    rpu_put(doc, object, "train_loss", rpu_json_number(e->train_loss));
    rpu_put(doc, object, "test_loss", rpu_json_number(e->test_loss));
    rpu_put(doc, object, "test_error", rpu_json_number(e->test_error));
    rpu_put(doc, object, "seconds", rpu_json_number(e->seconds));
    rpu_put(doc, object, "train_seconds", rpu_json_number(e->train_seconds));
    rpu_put(doc, object, "arrays", arrays);
    for (size_t a = 0; a < rpu_network_array_count(network); a++) {
        struct rpu_array_info info;
        if (rpu_network_array_info(network, a, &info) == RPU_OK)
            rpu_put(doc, arrays, info.name, diagnostics(doc, &e->arrays[a], info.has_backward));
    }
    return object;
}

static void put_epochs(struct rpu_document *doc, const struct rpu_results *r) {
    const struct rpu_network *network = rpu_training_network(r->run);
    const size_t n = rpu_training_epoch_count(r->run);
    json_t *epochs = json_array();
    rpu_put(doc, doc->root, "epochs", epochs);
    for (size_t i = 0; i < n; i++)
        rpu_append(doc, epochs, epoch_record(doc, network, rpu_training_epoch(r->run, i)));
    rpu_put(doc, doc->root, "test_error",
            n ? rpu_json_number(rpu_training_epoch(r->run, n - 1)->test_error) : json_null());
}

static json_t *cycle(struct rpu_document *doc, const struct rpu_array_info *info, const struct rpu_array_stats *s,
                     enum rpu_cycle which) {
    const double crosspoints = (double)info->outputs * info->inputs * info->columns, images = (double)s->images;
    json_t *object;
    if (which == RPU_CYCLE_BACKWARD && !info->has_backward)
        return json_null();
    object = json_object();
    rpu_put(doc, object, "ns_per_image", ratio(s->seconds[which] * 1e9, images));
    rpu_put(doc, object, "crosspoints_per_second", ratio(crosspoints * images, s->seconds[which]));
    return object;
}

static json_t *array_shape(struct rpu_document *doc, const struct rpu_array_info *info) {
    json_t *object = json_object();
    rpu_put(doc, object, "name", json_string(info->name));
    rpu_put(doc, object, "outputs", count(info->outputs));
    rpu_put(doc, object, "inputs", count(info->inputs));
    rpu_put(doc, object, "columns_per_image", count(info->columns));
    rpu_put(doc, object, "tiles", count(info->tiles));
    return object;
}

/* `arrays`, `cycles` and `pulses`: what is stated for each array of the whole training. */
static void put_arrays(struct rpu_document *doc, const struct rpu_network *network) {
    json_t *arrays = json_array(), *cycles = json_object(), *pulses = json_object();
    rpu_put(doc, doc->root, "arrays", arrays);
    rpu_put(doc, doc->root, "cycles", cycles);
    rpu_put(doc, doc->root, "pulses", pulses);
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
        rpu_put(doc, cycles, info.name, of);
        rpu_put(doc, of, "forward", cycle(doc, &info, &s, RPU_CYCLE_FORWARD));
        rpu_put(doc, of, "backward", cycle(doc, &info, &s, RPU_CYCLE_BACKWARD));
        rpu_put(doc, of, "update", cycle(doc, &info, &s, RPU_CYCLE_UPDATE));
        rpu_put(doc, pulses, info.name, updates(doc, &s.update));
    }
}

static void put_digest(struct rpu_document *doc, const struct rpu_network *network) {
    uint64_t digest = 0;
    char text[17];
    if (rpu_network_digest(network, &digest) != RPU_OK)
        doc->failed = 1;
    snprintf(text, sizeof text, "%016" PRIx64, digest);
    rpu_put(doc, doc->root, "weights_digest", json_string(text));
}

static void put_totals(struct rpu_document *doc, const struct rpu_results *r) {
    const double images = (double)rpu_training_images(r->run), seconds = rpu_training_seconds(r->run);
    rpu_put(doc, doc->root, "images_trained", count(rpu_training_images(r->run)));
    rpu_put(doc, doc->root, "images_per_second", ratio(images, seconds));
    rpu_put(doc, doc->root, "train_seconds", rpu_json_number(seconds));
}

/* ---- whole documents ---- */

enum rpu_status rpu_results_json(char **text, const struct rpu_results *r, struct rpu_error *err) {
    struct rpu_document doc = rpu_document_start("rpubench-result", SCHEMA_VERSION);
    rpu_put(&doc, doc.root, "date", json_string(r->date));
    rpu_put(&doc, doc.root, "interrupted", json_boolean(r->interrupted));
    rpu_put(&doc, doc.root, "seed", rpu_json_integer(r->config->seed));
    put_provenance(&doc, r->engine);
    rpu_put(&doc, doc.root, "ranks", json_integer(r->ranks));
    rpu_put(&doc, doc.root, "hosts", json_integer(r->hosts));
    rpu_put(&doc, doc.root, "config", rpu_config_to_json(r->config));
    put_data(&doc, r);
    put_epochs(&doc, r);
    put_totals(&doc, r);
    put_arrays(&doc, rpu_training_network(r->run));
    put_digest(&doc, rpu_training_network(r->run));
    return rpu_document_finish(&doc, text, err);
}

enum rpu_status rpu_info_json(char **text, const struct rpu_engine *engine, struct rpu_error *err) {
    struct rpu_document doc = rpu_document_start("rpubench-info", SCHEMA_VERSION);
    put_provenance(&doc, engine);
    rpu_put(&doc, doc.root, "variants_built", names(&doc, rpu_isa_built_name));
    rpu_put(&doc, doc.root, "variants_usable", names(&doc, rpu_isa_name));
    return rpu_document_finish(&doc, text, err);
}
