/* SPDX-License-Identifier: Apache-2.0 */
#include "app.h"
#include "config_json.h"
#include "document.h"
#include "error.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- arrays of a configuration ---- */

const char *rpu_inspect_name(const struct rpu_checkpoint *checkpoint, size_t index) {
    const struct rpu_config *c = rpu_checkpoint_config(checkpoint);
    for (uint32_t l = 0; l < c->n_layers; l++)
        if ((c->layers[l].kind == RPU_LAYER_CONV || c->layers[l].kind == RPU_LAYER_FC) && index-- == 0)
            return c->layers[l].name;
    return NULL;
}

size_t rpu_inspect_count(const struct rpu_checkpoint *checkpoint) {
    size_t n = 0;
    while (rpu_inspect_name(checkpoint, n))
        n++;
    return n;
}

/* ---- figures ---- */

/* The next tensor of an array from `*at` on; 0 when there is none. */
static int next_tensor(const struct rpu_checkpoint *c, const char *array, const char *quantity, size_t *at,
                       struct rpu_checkpoint_tensor *tensor) {
    while (rpu_checkpoint_tensor(c, (*at)++, tensor) == RPU_OK)
        if (strcmp(tensor->array, array) == 0 && (!quantity || strcmp(tensor->quantity, quantity) == 0))
            return 1;
    return 0;
}

static size_t values_of(const struct rpu_checkpoint_tensor *t) {
    return (size_t)t->rows * t->cols;
}

static size_t bin_of(const struct rpu_quantity_figures *q, double value) {
    const double width = q->most - q->least;
    const size_t bin = width > 0.0 ? (size_t)((value - q->least) / width * RPU_INSPECT_BINS) : 0;
    return bin < RPU_INSPECT_BINS ? bin : RPU_INSPECT_BINS - 1;
}

/* Two passes: extremes and mean, then deviation and histogram. */
static uint64_t measure(struct rpu_quantity_figures *q, const struct rpu_checkpoint *c, const char *array) {
    struct rpu_checkpoint_tensor t;
    uint64_t n = 0;
    double sum = 0.0, squares = 0.0;
    q->least = INFINITY;
    q->most = -INFINITY;
    for (size_t at = 0; next_tensor(c, array, q->name, &at, &t);)
        for (size_t i = 0; i < values_of(&t); i++, n++) {
            const double v = (double)t.values[i];
            sum += v;
            q->least = v < q->least ? v : q->least;
            q->most = v > q->most ? v : q->most;
        }
    q->mean = n ? sum / (double)n : 0.0;
    for (size_t at = 0; n && next_tensor(c, array, q->name, &at, &t);)
        for (size_t i = 0; i < values_of(&t); i++) {
            const double v = (double)t.values[i];
            squares += (v - q->mean) * (v - q->mean);
            q->bins[bin_of(q, v)]++;
        }
    q->deviation = n ? sqrt(squares / (double)n) : 0.0;
    return n;
}

/* A tile's tensors; one that it lacks is empty. */
struct tile_tensors {
    struct rpu_checkpoint_tensor weight, upper, lower;
};

static void gather(struct tile_tensors *tiles, const struct rpu_checkpoint *c, const char *array) {
    struct rpu_checkpoint_tensor t;
    for (size_t at = 0; next_tensor(c, array, NULL, &at, &t);) {
        struct tile_tensors *of = &tiles[t.tile];
        if (strcmp(t.quantity, "weight") == 0)
            of->weight = t;
        else if (strcmp(t.quantity, "bound_upper") == 0)
            of->upper = t;
        else if (strcmp(t.quantity, "bound_lower") == 0)
            of->lower = t;
    }
}

static int same_shape(const struct rpu_checkpoint_tensor *a, const struct rpu_checkpoint_tensor *b) {
    return a->rows == b->rows && a->cols == b->cols;
}

static enum rpu_status lacking(const struct rpu_array_figures *f, struct rpu_error *err) {
    return rpu_fail(err, RPU_ERR_FORMAT, "array %s: weights or bounds are missing", f->name);
}

/* Weights at their bounds. */
static enum rpu_status count_saturated(struct rpu_array_figures *f, const struct rpu_checkpoint *c,
                                       struct rpu_error *err) {
    struct tile_tensors *tiles = calloc(f->tiles, sizeof *tiles);
    enum rpu_status status = RPU_OK;
    if (!tiles)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    gather(tiles, c, f->name);
    for (uint32_t t = 0; status == RPU_OK && t < f->tiles; t++) {
        const struct rpu_checkpoint_tensor *w = &tiles[t].weight, *upper = &tiles[t].upper, *lower = &tiles[t].lower;
        if (!same_shape(w, upper) || !same_shape(w, lower))
            status = lacking(f, err);
        for (size_t i = 0; status == RPU_OK && i < values_of(w); i++) {
            f->at_upper += w->values[i] == upper->values[i];
            f->at_lower += w->values[i] == -lower->values[i];
        }
    }
    free(tiles);
    return status;
}

enum rpu_status rpu_inspect(struct rpu_array_figures *f, const struct rpu_checkpoint *checkpoint, size_t index,
                            struct rpu_error *err) {
    struct rpu_checkpoint_tensor t;
    memset(f, 0, sizeof *f);
    f->name = rpu_inspect_name(checkpoint, index);
    if (!f->name)
        return rpu_fail(err, RPU_ERR_ARG, "there is no array %zu", index);
    /* the first tile has one tensor of each quantity that the array has */
    for (size_t at = 0; next_tensor(checkpoint, f->name, NULL, &at, &t);) {
        if (t.tile >= rpu_checkpoint_tensor_count(checkpoint)) /* each tile has a tensor */
            return rpu_fail(err, RPU_ERR_FORMAT, "array %s: tile %" PRIu32 " of a checkpoint of %zu tensors", f->name,
                            t.tile, rpu_checkpoint_tensor_count(checkpoint));
        f->tiles = t.tile >= f->tiles ? t.tile + 1 : f->tiles;
        if (t.tile == 0 && f->n_quantities < RPU_INSPECT_QUANTITIES)
            f->quantities[f->n_quantities++].name = t.quantity;
    }
    for (size_t q = 0; q < f->n_quantities; q++) {
        const uint64_t n = measure(&f->quantities[q], checkpoint, f->name);
        if (q == 0)
            f->crosspoints = n;
        else if (n != f->crosspoints)
            return rpu_fail(err, RPU_ERR_FORMAT, "array %s: %" PRIu64 " values of %s for %" PRIu64 " crosspoints",
                            f->name, n, f->quantities[q].name, f->crosspoints);
    }
    if (f->crosspoints == 0 || strcmp(f->quantities[0].name, "weight") != 0)
        return lacking(f, err);
    return f->n_quantities > 1 ? count_saturated(f, checkpoint, err) : RPU_OK;
}

/* ---- JSON ---- */

static json_t *figures_json(struct rpu_document *doc, const struct rpu_quantity_figures *q) {
    json_t *object = json_object(), *bins = json_array();
    rpu_doc_put(doc, object, "least", rpu_doc_number(q->least));
    rpu_doc_put(doc, object, "most", rpu_doc_number(q->most));
    rpu_doc_put(doc, object, "mean", rpu_doc_number(q->mean));
    rpu_doc_put(doc, object, "deviation", rpu_doc_number(q->deviation));
    rpu_doc_put(doc, object, "bins", bins);
    for (size_t b = 0; b < RPU_INSPECT_BINS; b++)
        rpu_doc_append(doc, bins, rpu_doc_count(q->bins[b]));
    return object;
}

static json_t *array_json(struct rpu_document *doc, const struct rpu_array_figures *f) {
    json_t *object = json_object(), *quantities = json_object();
    rpu_doc_put(doc, object, "name", json_string(f->name));
    rpu_doc_put(doc, object, "tiles", rpu_doc_count(f->tiles));
    rpu_doc_put(doc, object, "crosspoints", rpu_doc_count(f->crosspoints));
    rpu_doc_put(doc, object, "at_upper", f->n_quantities > 1 ? rpu_doc_count(f->at_upper) : json_null());
    rpu_doc_put(doc, object, "at_lower", f->n_quantities > 1 ? rpu_doc_count(f->at_lower) : json_null());
    rpu_doc_put(doc, object, "quantities", quantities);
    for (size_t q = 0; q < f->n_quantities; q++)
        rpu_doc_put(doc, quantities, f->quantities[q].name, figures_json(doc, &f->quantities[q]));
    return object;
}

enum rpu_status rpu_inspect_json(char **text, const struct rpu_checkpoint *checkpoint,
                                 const struct rpu_array_figures *figures, size_t count, const char *path,
                                 struct rpu_error *err) {
    struct rpu_document doc = {json_object(), 0};
    struct rpu_checkpoint_info info = {0};
    json_t *arrays = json_array();
    rpu_checkpoint_describe(checkpoint, &info);
    rpu_doc_schema(&doc, "rpubench-inspect");
    rpu_doc_put(&doc, doc.root, "checkpoint", rpu_doc_text(path));
    rpu_doc_put(&doc, doc.root, "version", json_string(info.version));
    rpu_doc_put(&doc, doc.root, "config", rpu_config_to_json(rpu_checkpoint_config(checkpoint)));
    rpu_doc_put(&doc, doc.root, "images_trained", rpu_doc_count(info.images));
    rpu_doc_put(&doc, doc.root, "epochs_trained", rpu_doc_count(info.epochs));
    rpu_doc_put(&doc, doc.root, "epoch_images", rpu_doc_count(info.epoch_images));
    rpu_doc_put(&doc, doc.root, "test_error",
                info.epochs ? rpu_doc_number(rpu_checkpoint_epoch(checkpoint, info.epochs - 1)->test_error)
                            : json_null());
    rpu_doc_put(&doc, doc.root, "arrays", arrays);
    for (size_t a = 0; a < count; a++)
        rpu_doc_append(&doc, arrays, array_json(&doc, &figures[a]));
    return rpu_doc_finish(&doc, text, err);
}
