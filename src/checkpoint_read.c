/* SPDX-License-Identifier: Apache-2.0 */
#include "array.h"
#include "checkpoint.h"
#include "config_json.h"
#include "error.h"
#include "network_inside.h"
#include "small.h"
#include "tile_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_checkpoint(const struct rpu_checkpoint *c) {
    return c && c->tag == RPU_CHECKPOINT_TAG;
}

/* ---- reading ---- */

/* A tile's number in the digits that a writer makes of it, so that a tile has one name; null where it is none. */
static const char *split_number(const char *text, uint32_t *number) {
    const size_t digits = strspn(text, "0123456789");
    const unsigned long long value = strtoull(text, NULL, 10);
    *number = (uint32_t)value;
    return digits > 0 && digits <= 10 && (digits == 1 || *text != '0') && value <= UINT32_MAX ? text + digits : NULL;
}

/* "A.T.quantity" of an array of this checkpoint. */
static int split_name(const struct rpu_checkpoint *c, const char *name, struct rpu_checkpoint_tensor *tensor) {
    const char *dot = strchr(name, '.');
    const char *end = dot ? split_number(dot + 1, &tensor->tile) : NULL;
    tensor->array = tensor->quantity = NULL;
    if (!end)
        return 0;
    for (uint32_t a = 0; a < c->state.n_arrays; a++)
        if (strlen(c->state.names[a]) == (size_t)(dot - name) &&
            strncmp(c->state.names[a], name, (size_t)(dot - name)) == 0)
            tensor->array = c->state.names[a];
    for (size_t q = 0; *end == '.' && q < RPU_QUANTITIES; q++)
        if (strcmp(end + 1, rpu_quantity_name(q)) == 0)
            tensor->quantity = rpu_quantity_name(q);
    return tensor->array && tensor->quantity;
}

static enum rpu_status check_tensors(const struct rpu_checkpoint *c, const char *path, struct rpu_error *err) {
    struct rpu_checkpoint_tensor tensor;
    for (size_t i = 0; i < rpu_safetensors_count(c->file); i++) {
        const struct rpu_tensor *t = rpu_safetensors_tensor(c->file, i);
        if (!split_name(c, t->name, &tensor))
            return rpu_fail_at(err, RPU_ERR_FORMAT, path, 0, NULL, "tensor %s belongs to no array of the configuration",
                               t->name);
        if (!rpu_all_finite(rpu_safetensors_values(c->file, i), (size_t)t->rows * t->cols))
            return rpu_fail_at(err, RPU_ERR_FORMAT, path, 0, NULL, "tensor %s has values that are not finite", t->name);
    }
    return RPU_OK;
}

enum rpu_status rpu_checkpoint_read(struct rpu_checkpoint **checkpoint, const char *path, struct rpu_error *err) {
    struct rpu_checkpoint *c;
    enum rpu_status status;
    if (checkpoint)
        *checkpoint = NULL;
    if (!checkpoint || !path)
        return rpu_fail(err, RPU_ERR_ARG, "no path, or no place for the checkpoint");
    c = calloc(1, sizeof *c);
    if (!c)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    c->tag = RPU_CHECKPOINT_TAG;
    status = rpu_safetensors_read(&c->file, path, err);
    if (status == RPU_OK)
        status = rpu_checkpoint_parse(c, path, err);
    if (status == RPU_OK)
        status = check_tensors(c, path, err);
    if (status != RPU_OK) {
        rpu_checkpoint_free(c);
        return status;
    }
    *checkpoint = c;
    return RPU_OK;
}

void rpu_checkpoint_free(struct rpu_checkpoint *checkpoint) {
    if (!is_checkpoint(checkpoint))
        return;
    checkpoint->tag = 0;
    rpu_safetensors_free(checkpoint->file);
    if (checkpoint->epochs)
        free(checkpoint->epochs[0].arrays);
    free(checkpoint->epochs);
    free(checkpoint);
}

/* ---- looking at it ---- */

enum rpu_status rpu_checkpoint_describe(const struct rpu_checkpoint *checkpoint, struct rpu_checkpoint_info *info) {
    if (!is_checkpoint(checkpoint) || !info)
        return RPU_ERR_ARG;
    *info = checkpoint->state.info;
    return RPU_OK;
}

const struct rpu_config *rpu_checkpoint_config(const struct rpu_checkpoint *checkpoint) {
    return is_checkpoint(checkpoint) ? &checkpoint->config : NULL;
}

const struct rpu_epoch *rpu_checkpoint_epoch(const struct rpu_checkpoint *checkpoint, size_t index) {
    return is_checkpoint(checkpoint) && index < checkpoint->state.info.epochs ? &checkpoint->epochs[index] : NULL;
}

size_t rpu_checkpoint_tensor_count(const struct rpu_checkpoint *checkpoint) {
    return is_checkpoint(checkpoint) ? rpu_safetensors_count(checkpoint->file) : 0;
}

enum rpu_status rpu_checkpoint_tensor(const struct rpu_checkpoint *checkpoint, size_t index,
                                      struct rpu_checkpoint_tensor *tensor) {
    const struct rpu_tensor *t;
    if (index >= rpu_checkpoint_tensor_count(checkpoint) || !tensor)
        return RPU_ERR_ARG;
    t = rpu_safetensors_tensor(checkpoint->file, index);
    split_name(checkpoint, t->name, tensor);
    tensor->rows = t->rows;
    tensor->cols = t->cols;
    tensor->values = rpu_safetensors_values(checkpoint->file, index);
    return RPU_OK;
}

/* ---- going on with it ---- */

/* Gives a tile what the file has for it; `*used` counts tensors. */
static enum rpu_status apply_tile(const struct rpu_checkpoint *c, const char *array, size_t number,
                                  struct rpu_tile *tile, size_t *used, struct rpu_error *err) {
    const float *values[RPU_QUANTITIES] = {NULL};
    char name[RPU_SAFETENSORS_NAME];
    enum rpu_status status;
    for (size_t q = 0; q < rpu_tile_quantities(tile); q++) {
        size_t found;
        const struct rpu_tensor *t;
        snprintf(name, sizeof name, "%.31s.%zu.%s", array, number, rpu_quantity_name(q));
        found = rpu_safetensors_find(c->file, name, *used); /* where it was written */
        if (found == rpu_safetensors_count(c->file))
            return rpu_fail(err, RPU_ERR_SHAPE, "the checkpoint has no tensor %s", name);
        t = rpu_safetensors_tensor(c->file, found);
        if (t->rows != rpu_tile_rows(tile) || t->cols != rpu_tile_cols(tile))
            return rpu_fail(err, RPU_ERR_SHAPE, "tensor %s of the checkpoint is %u x %u; the tile has %zu x %zu", name,
                            t->rows, t->cols, rpu_tile_rows(tile), rpu_tile_cols(tile));
        values[q] = rpu_safetensors_values(c->file, found);
        ++*used;
    }
    status = rpu_tile_state_set(tile, values, err);
    if (status != RPU_OK && err) {
        char why[200];
        snprintf(why, sizeof why, "%.190s", err->message);
        rpu_fail(err, status, "array %s, tile %zu of the checkpoint: %s", array, number, why);
    }
    return status;
}

enum rpu_status rpu_checkpoint_apply(const struct rpu_checkpoint *checkpoint, struct rpu_network *network,
                                     struct rpu_error *err) {
    const size_t n = rpu_network_array_count(network);
    size_t used = 0;
    if (!is_checkpoint(checkpoint) || n == 0)
        return rpu_fail(err, RPU_ERR_ARG, "no checkpoint, or no network");
    if (n != checkpoint->state.n_arrays)
        return rpu_fail(err, RPU_ERR_SHAPE, "the checkpoint has %u arrays, the network %zu", checkpoint->state.n_arrays,
                        n);
    for (size_t a = 0; a < n; a++) {
        const struct rpu_array *array = rpu_network_array(network, a);
        for (size_t t = 0; t < rpu_array_tiles(array); t++) {
            const enum rpu_status status =
                apply_tile(checkpoint, checkpoint->state.names[a], t, array->tiles[t], &used, err);
            if (status != RPU_OK)
                return status;
        }
    }
    return used == rpu_safetensors_count(checkpoint->file)
               ? RPU_OK
               : rpu_fail(err, RPU_ERR_SHAPE, "the checkpoint has %zu tensors, of which the network takes %zu",
                          rpu_safetensors_count(checkpoint->file), used);
}

/* The images have to be those that were trained on; so do those of the test, or the history would be of two minds. */
static enum rpu_status check_images(const struct rpu_checkpoint_info *i, const struct rpu_dataset *data,
                                    struct rpu_error *err) {
    const struct {
        const char *what;
        const struct rpu_images *now;
        uint32_t count;
        uint64_t hash;
    } sets[] = {{"training", &data->train, i->train_images, i->training_set_xxh3},
                {"test", &data->test, i->test_images, i->test_set_xxh3}};
    for (int s = 0; s < 2; s++) {
        uint64_t hash;
        if (!rpu_images_hash(sets[s].now, &hash))
            return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
        if (sets[s].now->count != sets[s].count || hash != sets[s].hash)
            return rpu_fail(err, RPU_ERR_FORMAT,
                            "the %s set is not that of the checkpoint: %u images of XXH3 %016" PRIx64
                            " now, %u of %016" PRIx64 " then; allowed are the same images",
                            sets[s].what, sets[s].now->count, hash, sets[s].count, sets[s].hash);
    }
    return RPU_OK;
}

enum rpu_status rpu_checkpoint_within(const struct rpu_checkpoint_info *info, uint32_t epochs, const char *path,
                                      struct rpu_error *err) {
    if (info->epochs < epochs || (info->epochs == epochs && info->epoch_images == 0))
        return RPU_OK;
    return rpu_fail_at(err, RPU_ERR_CONFIG, path, 0, NULL,
                       "training.epochs is %u, but %u are trained and %u images more", epochs, info->epochs,
                       info->epoch_images);
}

static enum rpu_status check_resume(const struct rpu_checkpoint *c, const struct rpu_training *r,
                                    struct rpu_error *err) {
    const struct rpu_checkpoint_info *i = &c->state.info;
    enum rpu_status status;
    if (r->images > 0 || r->n_epochs > 0)
        return rpu_fail(err, RPU_ERR_ARG, "the run has begun: a checkpoint is where it starts, or nowhere");
    status = rpu_config_same(&c->config, &r->config, NULL, err);
    if (status == RPU_OK)
        status = rpu_checkpoint_within(i, r->config.epochs, NULL, err);
    return status == RPU_OK ? check_images(i, r->data, err) : status;
}

enum rpu_status rpu_checkpoint_resume(const struct rpu_checkpoint *checkpoint, struct rpu_training *run,
                                      struct rpu_error *err) {
    const struct rpu_checkpoint_state *s;
    enum rpu_status status;
    if (!is_checkpoint(checkpoint) || !rpu_is_training(run))
        return rpu_fail(err, RPU_ERR_ARG, "no checkpoint, or no run");
    s = &checkpoint->state;
    status = check_resume(checkpoint, run, err);
    if (status == RPU_OK)
        status = rpu_checkpoint_apply(checkpoint, run->network, err);
    if (status != RPU_OK)
        return status;
    for (size_t e = 0; e < s->info.epochs; e++) {
        struct rpu_array_epoch *arrays = run->epochs[e].arrays;
        memcpy(arrays, checkpoint->epochs[e].arrays, s->n_arrays * sizeof *arrays);
        run->epochs[e] = checkpoint->epochs[e];
        run->epochs[e].arrays = arrays;
    }
    for (size_t a = 0; a < s->n_arrays; a++)
        rpu_network_carry_stats(run->network, a, &s->stats[a]);
    run->n_epochs = s->info.epochs;
    run->part = s->part;
    run->images = run->resumed = s->info.images;
    run->seconds = s->seconds;
    return RPU_OK;
}
