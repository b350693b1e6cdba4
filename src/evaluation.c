/* SPDX-License-Identifier: Apache-2.0 */
#include "app.h"
#include "config_json.h"
#include "document.h"
#include "error.h"
#include "pass.h"

#include <rpu/mapping.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 256 };

/* ---- the network ---- */

static enum rpu_status check_images(const struct rpu_checkpoint_info *i, const struct rpu_images *im,
                                    struct rpu_error *err) {
    if (im->height != i->height || im->width != i->width || im->channels != i->channels)
        return rpu_fail(err, RPU_ERR_SHAPE, "images of %ux%ux%u; the checkpoint's network takes %ux%ux%u", im->height,
                        im->width, im->channels, i->height, i->width, i->channels);
    if (im->classes > i->classes)
        return rpu_fail(err, RPU_ERR_SHAPE, "labels up to %u; the checkpoint's network tells %u classes apart",
                        im->classes - 1, i->classes);
    return RPU_OK;
}

/* The tensors have the weights that the configuration speaks of, and the vectors of an image are not too many: else a
 * small file would make a network of any size. */
static enum rpu_status check_sizes(const struct rpu_checkpoint *checkpoint, const struct rpu_checkpoint_info *i,
                                   struct rpu_error *err) {
    struct rpu_mapping m;
    struct rpu_checkpoint_tensor t;
    uint64_t found[RPU_LAYERS_MAX] = {0};
    enum rpu_status status =
        rpu_mapping_of(&m, rpu_checkpoint_config(checkpoint), i->height, i->width, i->channels, err);
    if (status != RPU_OK)
        return status;
    for (size_t k = 0; rpu_checkpoint_tensor(checkpoint, k, &t) == RPU_OK; k++)
        for (uint32_t a = 0; a < m.n_arrays; a++)
            if (strcmp(m.arrays[a].name, t.array) == 0 && strcmp(t.quantity, "weight") == 0)
                found[a] += (uint64_t)t.rows * t.cols;
    for (uint32_t a = 0; a < m.n_arrays; a++) {
        const struct rpu_mapped_array *of = &m.arrays[a];
        /* a double does not wrap around, and is exact wherever a file has so many */
        if ((double)of->outputs * of->inputs * of->devices * of->copies != (double)found[a])
            return rpu_fail(
                err, RPU_ERR_SHAPE,
                "array %s: the checkpoint's configuration has %u x %u weights, of %u devices, in %u copies; "
                "its tensors have %" PRIu64 " values",
                of->name, of->outputs, of->inputs, of->devices, of->copies, found[a]);
        if ((double)of->inputs * of->columns > RPU_EVALUATION_VECTORS_MAX)
            return rpu_fail(err, RPU_ERR_SHAPE, "array %s: an image is %u vectors of %u inputs; allowed are %d numbers",
                            of->name, of->columns, of->inputs, RPU_EVALUATION_VECTORS_MAX);
    }
    return RPU_OK;
}

/* What the network makes of an image has to have room for each thread, and the outputs are the sides of a matrix: a
 * small file can ask for any number of both. */
static enum rpu_status check_layers(const struct rpu_config *c, const struct rpu_checkpoint_info *i, size_t *outputs,
                                    struct rpu_error *err) {
    struct rpu_shape shape = {i->height, i->width, i->channels};
    uint64_t made = 0;
    for (uint32_t k = 0; k < c->n_layers; k++) {
        struct rpu_layer l = {0};
        if (rpu_layer_shape(&l, &c->layers[k], shape, k + 1, err) != RPU_OK)
            return err->status = RPU_ERR_FORMAT;
        shape = l.out;
        made += rpu_shape_size(shape);
        if (c->layers[k].kind == RPU_LAYER_CONV)
            made += (uint64_t)l.columns * rpu_layer_inputs(&l);
    }
    if (made > RPU_EVALUATION_NUMBERS_MAX)
        return rpu_fail(err, RPU_ERR_FORMAT,
                        "the layers' outputs and vectors of an image are %" PRIu64 " numbers; allowed are %d", made,
                        RPU_EVALUATION_NUMBERS_MAX);
    *outputs = rpu_shape_size(shape);
    if (*outputs > RPU_EVALUATION_OUTPUTS_MAX)
        return rpu_fail(err, RPU_ERR_SHAPE,
                        "the checkpoint's network has %zu outputs; a confusion matrix has at most %d", *outputs,
                        RPU_EVALUATION_OUTPUTS_MAX);
    return RPU_OK;
}

/* The checkpoint's network; a test needs no minibatch. */
static enum rpu_status build(struct rpu_network **network, const struct rpu_checkpoint *checkpoint,
                             const struct rpu_engine *engine, int perfect, struct rpu_error *err) {
    struct rpu_config *config = malloc(sizeof *config);
    struct rpu_checkpoint_info i;
    enum rpu_status status;
    if (!config)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    *config = *rpu_checkpoint_config(checkpoint);
    config->batch = 1;
    for (uint32_t l = 0; perfect && l < config->n_layers; l++)
        config->layers[l].tile.device.kind = RPU_DEVICE_PERFECT;
    rpu_checkpoint_describe(checkpoint, &i);
    status = rpu_network_create(network, engine, config, i.height, i.width, i.channels, i.classes, err);
    free(config);
    return status;
}

/* Its arrays as they were. */
static enum rpu_status build_analog(struct rpu_network **network, const struct rpu_checkpoint *checkpoint,
                                    const struct rpu_engine *engine, struct rpu_error *err) {
    struct rpu_checkpoint_info i;
    enum rpu_status status;
    rpu_checkpoint_describe(checkpoint, &i);
    status = check_sizes(checkpoint, &i, err);
    if (status == RPU_OK)
        status = build(network, checkpoint, engine, 0, err);
    if (status == RPU_OK)
        status = rpu_checkpoint_apply(checkpoint, *network, err);
    if (status == RPU_ERR_RANGE || status == RPU_ERR_SHAPE) /* the file's fault, not the caller's */
        err->status = status = RPU_ERR_FORMAT;
    return status;
}

/* The same weights in floating point. */
static enum rpu_status build_perfect(struct rpu_network **perfect, const struct rpu_network *analog,
                                     const struct rpu_checkpoint *checkpoint, const struct rpu_engine *engine,
                                     struct rpu_error *err) {
    enum rpu_status status = build(perfect, checkpoint, engine, 1, err);
    for (size_t a = 0; status == RPU_OK && a < rpu_network_array_count(analog); a++) {
        struct rpu_array_info info;
        float *weights;
        rpu_network_array_info(analog, a, &info);
        if (info.copies > 1)
            return rpu_fail(err, RPU_ERR_ARG, "%s has %u copies with weights of their own: no perfect read is defined",
                            info.name, info.copies);
        weights = malloc((size_t)info.outputs * info.inputs * sizeof *weights);
        if (!weights || rpu_network_get_weights(analog, a, weights) != RPU_OK ||
            rpu_network_set_weights(*perfect, a, weights) != RPU_OK)
            status = rpu_fail(err, RPU_ERR_NOMEM, "out of memory for the weights of %s", info.name);
        free(weights);
    }
    return status;
}

static enum rpu_status make_matrix(struct rpu_evaluation *e, size_t outputs, struct rpu_error *err) {
    e->classes = (uint32_t)outputs;
    e->matrix = calloc(outputs * outputs, sizeof *e->matrix);
    return e->matrix ? RPU_OK : rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
}

/* ---- the test ---- */

static enum rpu_status test(struct rpu_evaluation *e, struct rpu_network *network, const struct rpu_images *im,
                            struct rpu_error *err) {
    uint32_t guess[AT_ONCE];
    double loss = 0.0;
    for (uint32_t first = 0; first < im->count; first += AT_ONCE) {
        const uint32_t count = im->count - first < AT_ONCE ? im->count - first : AT_ONCE;
        const enum rpu_status status =
            rpu_network_classify(network, im, first, count, (uint64_t)e->epoch * im->count + first, guess, &loss);
        if (status != RPU_OK)
            return rpu_fail(err, status, "%u images in epoch %u: beyond what the counters of random numbers tell apart",
                            im->count, e->epoch);
        for (uint32_t k = 0; k < count; k++) {
            const uint32_t label = im->labels[first + k];
            e->errors += guess[k] != label;
            e->matrix[(size_t)label * e->classes + guess[k]]++;
        }
    }
    e->images = im->count;
    e->loss = loss / im->count;
    return RPU_OK;
}

enum rpu_status rpu_evaluate(struct rpu_evaluation *evaluation, const struct rpu_checkpoint *checkpoint,
                             const struct rpu_engine *engine, const struct rpu_images *images, int perfect,
                             struct rpu_error *err) {
    struct rpu_checkpoint_info info;
    struct rpu_network *analog = NULL, *exact = NULL;
    enum rpu_status status;
    uint64_t digest = 0;
    size_t outputs = 0;
    memset(evaluation, 0, sizeof *evaluation);
    rpu_checkpoint_describe(checkpoint, &info);
    status = check_images(&info, images, err);
    if (status == RPU_OK)
        status = check_layers(rpu_checkpoint_config(checkpoint), &info, &outputs, err);
    if (status == RPU_OK)
        status = build_analog(&analog, checkpoint, engine, err);
    if (status == RPU_OK)
        status = make_matrix(evaluation, outputs, err);
    if (status == RPU_OK && perfect)
        status = build_perfect(&exact, analog, checkpoint, engine, err);
    if (status == RPU_OK) {
        evaluation->perfect = perfect;
        evaluation->epoch = info.epochs && info.epoch_images == 0 ? info.epochs - 1 : info.epochs;
        status = rpu_network_digest(analog, &digest) == RPU_OK ? test(evaluation, perfect ? exact : analog, images, err)
                                                               : rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
        snprintf(evaluation->digest, sizeof evaluation->digest, "%016" PRIx64, digest);
    }
    rpu_network_destroy(exact);
    rpu_network_destroy(analog);
    return status;
}

void rpu_evaluation_free(struct rpu_evaluation *evaluation) {
    free(evaluation->matrix);
    memset(evaluation, 0, sizeof *evaluation);
}

/* ---- JSON ---- */

static void put_matrix(struct rpu_document *doc, const struct rpu_evaluation *e) {
    json_t *rows = json_array();
    rpu_doc_put(doc, doc->root, "confusion", rows);
    for (uint32_t r = 0; r < e->classes; r++) {
        json_t *row = json_array();
        rpu_doc_append(doc, rows, row);
        for (uint32_t c = 0; c < e->classes; c++)
            rpu_doc_append(doc, row, rpu_doc_count(e->matrix[(size_t)r * e->classes + c]));
    }
}

enum rpu_status rpu_evaluation_json(char **text, const struct rpu_evaluation *evaluation,
                                    const struct rpu_checkpoint *checkpoint, const struct rpu_engine *engine,
                                    const char *path, const char *source, struct rpu_error *err) {
    struct rpu_document doc = {json_object(), 0};
    struct rpu_checkpoint_info info = {0};
    const struct rpu_evaluation *e = evaluation;
    rpu_checkpoint_describe(checkpoint, &info);
    rpu_doc_schema(&doc, "rpubench-eval");
    rpu_doc_provenance(&doc, engine);
    rpu_doc_put(&doc, doc.root, "checkpoint", rpu_doc_text(path));
    rpu_doc_put(&doc, doc.root, "config", rpu_config_to_json(rpu_checkpoint_config(checkpoint)));
    rpu_doc_put(&doc, doc.root, "images_trained", rpu_doc_count(info.images));
    rpu_doc_put(&doc, doc.root, "epochs_trained", rpu_doc_count(info.epochs));
    rpu_doc_put(&doc, doc.root, "weights_digest", json_string(e->digest));
    rpu_doc_put(&doc, doc.root, "source", rpu_doc_text(source));
    rpu_doc_put(&doc, doc.root, "read", json_string(e->perfect ? "perfect" : "analog"));
    rpu_doc_put(&doc, doc.root, "test_images", rpu_doc_count(e->images));
    rpu_doc_put(&doc, doc.root, "errors", rpu_doc_count(e->errors));
    rpu_doc_put(&doc, doc.root, "test_error", rpu_doc_ratio((double)e->errors, (double)e->images));
    rpu_doc_put(&doc, doc.root, "test_loss", rpu_doc_number(e->loss));
    put_matrix(&doc, e);
    return rpu_doc_finish(&doc, text, err);
}
