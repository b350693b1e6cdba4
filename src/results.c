/* SPDX-License-Identifier: Apache-2.0 */
#include "app.h"
#include "config_json.h"
#include "document.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- parts of the results ---- */

static void put_data(struct rpu_document *doc, const struct rpu_results *r) {
    const struct rpu_images *im = &r->data->train;
    json_t *data = json_object(), *shape = json_object();
    rpu_doc_put(doc, doc->root, "data", data);
    rpu_doc_put(doc, data, "source", rpu_doc_text(r->config->data));
    rpu_doc_put(doc, data, "train_images", rpu_doc_count(im->count));
    rpu_doc_put(doc, data, "test_images", rpu_doc_count(r->data->test.count));
    rpu_doc_put(doc, data, "shape", shape);
    rpu_doc_put(doc, shape, "height", rpu_doc_count(im->height));
    rpu_doc_put(doc, shape, "width", rpu_doc_count(im->width));
    rpu_doc_put(doc, shape, "channels", rpu_doc_count(im->channels));
    rpu_doc_put(doc, data, "classes",
                rpu_doc_count(im->classes > r->data->test.classes ? im->classes : r->data->test.classes));
}

static json_t *reads(struct rpu_document *doc, const struct rpu_read_counts *c) {
    json_t *object = json_object();
    rpu_doc_put(doc, object, "columns", rpu_doc_count(c->columns));
    rpu_doc_put(doc, object, "rereads", rpu_doc_count(c->rereads));
    rpu_doc_put(doc, object, "saturated", rpu_doc_count(c->saturated));
    return object;
}

static json_t *updates(struct rpu_document *doc, const struct rpu_update_counts *c) {
    json_t *object = json_object();
    rpu_doc_put(doc, object, "row_pulses", rpu_doc_count(c->row_pulses));
    rpu_doc_put(doc, object, "column_pulses", rpu_doc_count(c->column_pulses));
    rpu_doc_put(doc, object, "coincidences", rpu_doc_count(c->coincidences));
    rpu_doc_put(doc, object, "clipped", rpu_doc_count(c->clipped));
    return object;
}

static json_t *diagnostics(struct rpu_document *doc, const struct rpu_array_epoch *a, int has_backward) {
    json_t *object = json_object();
    rpu_doc_put(doc, object, "forward", reads(doc, &a->forward));
    rpu_doc_put(doc, object, "backward", has_backward ? reads(doc, &a->backward) : json_null());
    rpu_doc_put(doc, object, "update", updates(doc, &a->update));
    rpu_doc_put(doc, object, "at_bound", rpu_doc_number(a->at_bound));
    return object;
}

static json_t *epoch_record(struct rpu_document *doc, const struct rpu_network *network, const struct rpu_epoch *e) {
    json_t *object = json_object(), *arrays = json_object();
    rpu_doc_put(doc, object, "epoch", rpu_doc_count(e->epoch));
    rpu_doc_put(doc, object, "train_loss", rpu_doc_number(e->train_loss));
    rpu_doc_put(doc, object, "test_loss", rpu_doc_number(e->test_loss));
    rpu_doc_put(doc, object, "test_error", rpu_doc_number(e->test_error));
    rpu_doc_put(doc, object, "seconds", rpu_doc_number(e->seconds));
    rpu_doc_put(doc, object, "train_seconds", rpu_doc_number(e->train_seconds));
    rpu_doc_put(doc, object, "arrays", arrays);
    for (size_t a = 0; a < rpu_network_array_count(network); a++) {
        struct rpu_array_info info;
        if (rpu_network_array_info(network, a, &info) == RPU_OK)
            rpu_doc_put(doc, arrays, info.name, diagnostics(doc, &e->arrays[a], info.has_backward));
    }
    return object;
}

static void put_epochs(struct rpu_document *doc, const struct rpu_results *r) {
    const struct rpu_network *network = rpu_training_network(r->run);
    const size_t n = rpu_training_epoch_count(r->run);
    json_t *epochs = json_array();
    rpu_doc_put(doc, doc->root, "epochs", epochs);
    for (size_t i = 0; i < n; i++)
        rpu_doc_append(doc, epochs, epoch_record(doc, network, rpu_training_epoch(r->run, i)));
    rpu_doc_put(doc, doc->root, "test_error",
                n ? rpu_doc_number(rpu_training_epoch(r->run, n - 1)->test_error) : json_null());
}

static json_t *cycle(struct rpu_document *doc, const struct rpu_array_info *info, const struct rpu_array_stats *s,
                     enum rpu_cycle which) {
    const double crosspoints = (double)info->outputs * info->inputs * info->columns, images = (double)s->images;
    json_t *object;
    if (which == RPU_CYCLE_BACKWARD && !info->has_backward)
        return json_null();
    object = json_object();
    rpu_doc_put(doc, object, "ns_per_image", rpu_doc_ratio(s->seconds[which] * 1e9, images));
    rpu_doc_put(doc, object, "crosspoints_per_second", rpu_doc_ratio(crosspoints * images, s->seconds[which]));
    return object;
}

static json_t *array_shape(struct rpu_document *doc, const struct rpu_array_info *info) {
    json_t *object = json_object();
    rpu_doc_put(doc, object, "name", json_string(info->name));
    rpu_doc_put(doc, object, "outputs", rpu_doc_count(info->outputs));
    rpu_doc_put(doc, object, "inputs", rpu_doc_count(info->inputs));
    rpu_doc_put(doc, object, "columns_per_image", rpu_doc_count(info->columns));
    rpu_doc_put(doc, object, "tiles", rpu_doc_count(info->tiles));
    rpu_doc_put(doc, object, "devices", rpu_doc_count(info->devices));
    rpu_doc_put(doc, object, "copies", rpu_doc_count(info->copies));
    return object;
}

/* `arrays`, `cycles` and `pulses`: what is stated for each array of the whole training. */
static void put_arrays(struct rpu_document *doc, const struct rpu_network *network) {
    json_t *arrays = json_array(), *cycles = json_object(), *pulses = json_object();
    rpu_doc_put(doc, doc->root, "arrays", arrays);
    rpu_doc_put(doc, doc->root, "cycles", cycles);
    rpu_doc_put(doc, doc->root, "pulses", pulses);
    for (size_t a = 0; a < rpu_network_array_count(network); a++) {
        struct rpu_array_info info;
        struct rpu_array_stats s;
        json_t *of = json_object();
        rpu_network_array_info(network, a, &info);
        rpu_network_array_stats(network, a, &s);
        rpu_doc_append(doc, arrays, array_shape(doc, &info));
        rpu_doc_put(doc, cycles, info.name, of);
        rpu_doc_put(doc, of, "forward", cycle(doc, &info, &s, RPU_CYCLE_FORWARD));
        rpu_doc_put(doc, of, "backward", cycle(doc, &info, &s, RPU_CYCLE_BACKWARD));
        rpu_doc_put(doc, of, "update", cycle(doc, &info, &s, RPU_CYCLE_UPDATE));
        rpu_doc_put(doc, pulses, info.name, updates(doc, &s.update));
    }
}

static void put_digest(struct rpu_document *doc, const struct rpu_network *network) {
    uint64_t digest = 0;
    char text[17];
    if (rpu_network_digest(network, &digest) != RPU_OK)
        doc->failed = 1;
    snprintf(text, sizeof text, "%016" PRIx64, digest);
    rpu_doc_put(doc, doc->root, "weights_digest", json_string(text));
}

static void put_totals(struct rpu_document *doc, const struct rpu_results *r) {
    const double images = (double)rpu_training_images(r->run), seconds = rpu_training_seconds(r->run);
    rpu_doc_put(doc, doc->root, "images_trained", rpu_doc_count(rpu_training_images(r->run)));
    rpu_doc_put(doc, doc->root, "images_resumed", rpu_doc_count(rpu_training_resumed(r->run)));
    rpu_doc_put(doc, doc->root, "images_alone", rpu_doc_count(rpu_training_images_alone(r->run)));
    rpu_doc_put(doc, doc->root, "images_per_second", rpu_doc_ratio(images, seconds));
    rpu_doc_put(doc, doc->root, "train_seconds", rpu_doc_number(seconds));
}

/* ---- whole documents ---- */

enum rpu_status rpu_results_json(char **text, const struct rpu_results *r, struct rpu_error *err) {
    struct rpu_document doc = {json_object(), 0};
    rpu_doc_schema(&doc, "rpubench-result");
    rpu_doc_put(&doc, doc.root, "date", json_string(r->date));
    rpu_doc_put(&doc, doc.root, "interrupted", json_boolean(r->interrupted));
    rpu_doc_put(&doc, doc.root, "diverged", json_boolean(r->diverged));
    rpu_doc_put(&doc, doc.root, "seed", rpu_json_integer(r->config->seed));
    rpu_doc_provenance(&doc, r->engine);
    rpu_doc_put(&doc, doc.root, "ranks", json_integer(r->ranks));
    rpu_doc_put(&doc, doc.root, "hosts", json_integer(r->hosts));
    rpu_doc_put(&doc, doc.root, "config", rpu_config_to_json(r->config));
    put_data(&doc, r);
    put_epochs(&doc, r);
    put_totals(&doc, r);
    put_arrays(&doc, rpu_training_network(r->run));
    put_digest(&doc, rpu_training_network(r->run));
    return rpu_doc_finish(&doc, text, err);
}

static json_t *names(struct rpu_document *doc, const char *(*name)(size_t)) {
    json_t *array = json_array();
    for (size_t i = 0; name(i); i++)
        rpu_doc_append(doc, array, json_string(name(i)));
    return array;
}

enum rpu_status rpu_info_json(char **text, const struct rpu_engine *engine, struct rpu_error *err) {
    struct rpu_document doc = {json_object(), 0};
    rpu_doc_schema(&doc, "rpubench-info");
    rpu_doc_provenance(&doc, engine);
    rpu_doc_put(&doc, doc.root, "variants_built", names(&doc, rpu_isa_built_name));
    rpu_doc_put(&doc, doc.root, "variants_usable", names(&doc, rpu_isa_name));
    return rpu_doc_finish(&doc, text, err);
}
