/* SPDX-License-Identifier: Apache-2.0 */
#include "app.h"
#include "config_json.h"
#include "document.h"
#include "error.h"
#include "range.h"
#include "result_read.h"

#include <string.h>

/* ---- the document ---- */

static json_t *cycle(struct rpu_document *doc, const struct rpu_mapped_array *a, enum rpu_cycle which) {
    json_t *object;
    if (which == RPU_CYCLE_BACKWARD && !a->has_backward)
        return json_null();
    object = json_object();
    if (which != RPU_CYCLE_UPDATE)
        rpu_doc_put(doc, object, "rereads_per_column", rpu_doc_number(a->rereads[which]));
    rpu_doc_put(doc, object, "ns_per_column", rpu_doc_number(a->vector_ns[which]));
    rpu_doc_put(doc, object, "ns_per_image", rpu_doc_number(a->ns[which]));
    return object;
}

static json_t *grid(struct rpu_document *doc, uint32_t rows, uint32_t cols) {
    json_t *object = json_object();
    rpu_doc_put(doc, object, "rows", rpu_doc_count(rows));
    rpu_doc_put(doc, object, "cols", rpu_doc_count(cols));
    return object;
}

static json_t *array_record(struct rpu_document *doc, const struct rpu_mapped_array *a) {
    json_t *object = json_object(), *tile = grid(doc, a->tile.rows, a->tile.cols);
    rpu_doc_put(doc, tile, "t_meas_ns", rpu_doc_number(a->tile.t_meas));
    rpu_doc_put(doc, object, "name", json_string(a->name));
    rpu_doc_put(doc, object, "outputs", rpu_doc_count(a->outputs));
    rpu_doc_put(doc, object, "inputs", rpu_doc_count(a->inputs));
    rpu_doc_put(doc, object, "columns_per_image", rpu_doc_count(a->columns));
    rpu_doc_put(doc, object, "macs", rpu_doc_count(a->macs));
    rpu_doc_put(doc, object, "tile", tile);
    rpu_doc_put(doc, object, "grid", grid(doc, a->grid_rows, a->grid_cols));
    rpu_doc_put(doc, object, "devices", rpu_doc_count(a->devices));
    rpu_doc_put(doc, object, "copies", rpu_doc_count(a->copies));
    rpu_doc_put(doc, object, "columns_per_copy", rpu_doc_count(a->longest));
    rpu_doc_put(doc, object, "tiles", rpu_doc_count(a->tiles));
    rpu_doc_put(doc, object, "used", rpu_doc_number(a->used));
    rpu_doc_put(doc, object, "forward", cycle(doc, a, RPU_CYCLE_FORWARD));
    rpu_doc_put(doc, object, "backward", cycle(doc, a, RPU_CYCLE_BACKWARD));
    rpu_doc_put(doc, object, "update", cycle(doc, a, RPU_CYCLE_UPDATE));
    rpu_doc_put(doc, object, "reread_grid", a->reread_copies ? grid(doc, a->reread_rows, a->reread_cols) : json_null());
    rpu_doc_put(doc, object, "reread_copies", a->reread_copies ? rpu_doc_count(a->reread_copies) : json_null());
    rpu_doc_put(doc, object, "training_ns_per_image", rpu_doc_number(rpu_mapped_ns(a, RPU_USE_TRAINING)));
    return object;
}

static json_t *pace(struct rpu_document *doc, const struct rpu_mapping *m, enum rpu_use use) {
    const struct rpu_pace *p = &m->pace[use];
    json_t *object = json_object();
    rpu_doc_put(doc, object, "slowest", json_string(m->arrays[p->slowest].name));
    rpu_doc_put(doc, object, "ns_per_image", rpu_doc_number(p->ns));
    rpu_doc_put(doc, object, "images_per_second", rpu_doc_number(1e9 / p->ns));
    rpu_doc_put(doc, object, "alone_ns_per_image", rpu_doc_number(p->alone_ns));
    return object;
}

static json_t *replications(struct rpu_document *doc, const struct rpu_mapping *m, enum rpu_use use) {
    struct rpu_balance steps[RPU_LAYERS_MAX];
    const size_t n = rpu_mapping_balance(m, use, steps);
    json_t *list = json_array();
    for (size_t s = 0; s < n; s++) {
        json_t *object = json_object(), *copies = json_object();
        rpu_doc_put(doc, object, "leader", json_string(m->arrays[steps[s].leader].name));
        rpu_doc_put(doc, object, "copies", copies);
        for (uint32_t i = 0; i < m->n_arrays; i++)
            rpu_doc_put(doc, copies, m->arrays[i].name, rpu_doc_count(steps[s].copies[i]));
        rpu_doc_put(doc, object, "tiles", rpu_doc_count(steps[s].tiles));
        rpu_doc_put(doc, object, "ns_per_image", rpu_doc_number(steps[s].ns));
        rpu_doc_put(doc, object, "images_per_second", rpu_doc_number(1e9 / steps[s].ns));
        rpu_doc_append(doc, list, object);
    }
    return list;
}

static void put_network(struct rpu_document *doc, const struct rpu_mapping_report *r) {
    json_t *image = json_object();
    rpu_doc_put(doc, doc->root, "network", rpu_doc_text(r->network));
    rpu_doc_put(doc, doc->root, "config", rpu_config_to_json(r->config));
    rpu_doc_put(doc, doc->root, "image", image);
    rpu_doc_put(doc, image, "height", rpu_doc_count(r->mapping->height));
    rpu_doc_put(doc, image, "width", rpu_doc_count(r->mapping->width));
    rpu_doc_put(doc, image, "channels", rpu_doc_count(r->mapping->channels));
}

enum rpu_status rpu_mapping_json(char **text, const struct rpu_mapping_report *r, struct rpu_error *err) {
    const struct rpu_mapping *m = r->mapping;
    struct rpu_document doc = {json_object(), 0};
    json_t *arrays = json_array(), *replication = json_object();
    rpu_doc_schema(&doc, "rpubench-map");
    rpu_doc_put(&doc, doc.root, "version", json_string(rpu_version()));
    rpu_doc_put(&doc, doc.root, "commit", json_string(rpu_build_commit()));
    put_network(&doc, r);
    rpu_doc_put(&doc, doc.root, "rereads_of", r->rereads_of ? rpu_doc_text(r->rereads_of) : json_null());
    rpu_doc_put(&doc, doc.root, "t_slot_ns",
                r->hardware->t_slot > 0.0 ? rpu_doc_number(r->hardware->t_slot) : json_null());
    rpu_doc_put(&doc, doc.root, "arrays", arrays);
    for (uint32_t i = 0; i < m->n_arrays; i++)
        rpu_doc_append(&doc, arrays, array_record(&doc, &m->arrays[i]));
    rpu_doc_put(&doc, doc.root, "weights", rpu_doc_count(m->weights));
    rpu_doc_put(&doc, doc.root, "macs", rpu_doc_count(m->macs));
    rpu_doc_put(&doc, doc.root, "tiles", rpu_doc_count(m->tiles));
    rpu_doc_put(&doc, doc.root, "crosspoints", rpu_doc_number(m->crosspoints));
    rpu_doc_put(&doc, doc.root, "used", rpu_doc_number(m->used));
    rpu_doc_put(&doc, doc.root, "training", pace(&doc, m, RPU_USE_TRAINING));
    rpu_doc_put(&doc, doc.root, "inference", pace(&doc, m, RPU_USE_INFERENCE));
    rpu_doc_put(&doc, doc.root, "replication", replication);
    rpu_doc_put(&doc, replication, "training", replications(&doc, m, RPU_USE_TRAINING));
    rpu_doc_put(&doc, replication, "inference", replications(&doc, m, RPU_USE_INFERENCE));
    return rpu_doc_finish(&doc, text, err);
}

/* ---- rereads ---- */

/* The array's entry in `arrays[]` of the results, or null. */
static const json_t *shape_of(const json_t *root, const char *name) {
    const json_t *arrays = json_object_get(root, "arrays");
    for (size_t i = 0; i < json_array_size(arrays); i++) {
        const json_t *a = json_array_get(arrays, i);
        const char *found = json_string_value(json_object_get(a, "name"));
        if (found && strcmp(found, name) == 0)
            return a;
    }
    return NULL;
}

static uint64_t whole(const json_t *object, const char *key) {
    const json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

/* Crosspoints of a weight; results from before there were several do not say so. */
static uint64_t devices_of(const json_t *shape) {
    return json_object_get(shape, "devices") ? whole(shape, "devices") : 1;
}

/* How the training divided the array; not known where the results are from before they said so. `params`: its part of
 * the configuration. */
static void note_division(struct rpu_mapped_array *a, const json_t *params, const json_t *shape) {
    const char *device = json_string_value(json_object_get(params, "device"));
    const int whole_one = device && strcmp(device, "perfect") == 0;
    const uint64_t copies = whole(shape, "copies");
    a->reread_rows = a->reread_cols = a->reread_copies = 0;
    if (!whole_one && (!json_object_get(params, "max_rows") || !json_object_get(params, "max_cols")))
        return;
    a->reread_copies = copies > 0 && copies <= UINT32_MAX ? (uint32_t)copies : 1;
    a->reread_rows = whole_one ? 1 : rpu_pieces(a->outputs, (uint32_t)whole(params, "max_rows"));
    a->reread_cols =
        whole_one ? 1 : rpu_pieces(a->inputs, rpu_inputs_most((uint32_t)whole(params, "max_cols"), a->devices));
}

/* Whether the array of the results is this one; notes how it was divided. */
static enum rpu_status check_shape(struct rpu_mapped_array *a, const json_t *root, const char *path,
                                   struct rpu_error *err) {
    const json_t *shape = shape_of(root, a->name);
    const unsigned long long found[3] = {whole(shape, "outputs"), whole(shape, "inputs"),
                                         whole(shape, "columns_per_image")};
    if (!shape)
        return rpu_fail_at(err, RPU_ERR_SHAPE, path, 0, "arrays", "has no array %s", a->name);
    if (found[0] != a->outputs || found[1] != a->inputs || found[2] != a->columns)
        return rpu_fail_at(err, RPU_ERR_SHAPE, path, 0, "arrays",
                           "%s is %llu x %llu with %llu columns an image; the network's is %u x %u with %u", a->name,
                           found[0], found[1], found[2], a->outputs, a->inputs, a->columns);
    if (devices_of(shape) != a->devices)
        return rpu_fail_at(err, RPU_ERR_SHAPE, path, 0, "arrays",
                           "%s has %llu devices for a weight; the network's has %u", a->name,
                           (unsigned long long)devices_of(shape), a->devices);
    note_division(a, json_object_get(json_object_get(json_object_get(root, "config"), "arrays"), a->name), shape);
    return RPU_OK;
}

/* Mean rereads of a column over all epochs; below 0 where none was read. */
static double mean_rereads(const json_t *root, const char *name, const char *cycle) {
    const json_t *epochs = json_object_get(root, "epochs");
    double columns = 0.0, rereads = 0.0;
    for (size_t i = 0; i < json_array_size(epochs); i++) {
        const json_t *of = json_object_get(json_object_get(json_array_get(epochs, i), "arrays"), name);
        columns += (double)whole(json_object_get(of, cycle), "columns");
        rereads += (double)whole(json_object_get(of, cycle), "rereads");
    }
    return columns > 0.0 ? rereads / columns : -1.0;
}

static enum rpu_status take_rereads(struct rpu_mapped_array *a, const json_t *root, const char *path,
                                    struct rpu_error *err) {
    static const char *const cycles[2] = {"forward", "backward"};
    enum rpu_status status = check_shape(a, root, path, err);
    for (int c = 0; c < 1 + (a->has_backward != 0) && status == RPU_OK; c++) {
        a->rereads[c] = mean_rereads(root, a->name, cycles[c]);
        if (a->rereads[c] < 0.0)
            status = rpu_fail_at(err, RPU_ERR_FORMAT, path, 0, "epochs", "no finished epoch with reads of %s (%s)",
                                 a->name, cycles[c]);
    }
    return status;
}

enum rpu_status rpu_mapping_rereads(struct rpu_mapping *mapping, const char *path, struct rpu_error *err) {
    json_t *root = NULL;
    enum rpu_status status = rpu_result_read(&root, path, err);
    for (uint32_t i = 0; i < mapping->n_arrays && status == RPU_OK; i++)
        status = take_rereads(&mapping->arrays[i], root, path, err);
    json_decref(root);
    return status;
}
