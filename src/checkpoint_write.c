/* SPDX-License-Identifier: Apache-2.0 */
#include "array.h"
#include "checkpoint.h"
#include "config_table.h"
#include "error.h"
#include "network_inside.h"
#include "tile_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

int rpu_images_hash(const struct rpu_images *im, uint64_t *hash) {
    const uint32_t shape[5] = {im->count, im->height, im->width, im->channels, im->classes};
    unsigned char bytes[20];
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(shape[i / 4] >> (8 * (i % 4)));
    XXH3_64bits_reset(state);
    XXH3_64bits_update(state, bytes, sizeof bytes);
    XXH3_64bits_update(state, im->pixels, (size_t)im->count * im->height * im->width * im->channels);
    XXH3_64bits_update(state, im->labels, im->count);
    *hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return 1;
}

/* ---- tensors ---- */

/* Where each of the file's tensors comes from. */
struct source {
    const struct rpu_tile *tile;
    enum rpu_quantity quantity;
};

struct sources {
    struct rpu_tensor *tensors;
    struct source *from;
    size_t count;
};

static void row_of(const void *context, size_t index, size_t row, float *values) {
    const struct sources *s = context;
    rpu_tile_state_row(s->from[index].tile, s->from[index].quantity, row, values);
}

static size_t count_tensors(const struct rpu_network *network) {
    size_t count = 0;
    for (size_t a = 0; a < rpu_network_array_count(network); a++) {
        const struct rpu_array *array = rpu_network_array(network, a);
        for (size_t t = 0; t < rpu_array_tiles(array); t++)
            count += rpu_tile_quantities(array->tiles[t]);
    }
    return count;
}

/* Lists every quantity of every tile. */
static int list_sources(struct sources *s, const struct rpu_network *network, const char *const *names) {
    const size_t most = count_tensors(network);
    s->tensors = calloc(most, sizeof *s->tensors);
    s->from = calloc(most, sizeof *s->from);
    for (size_t a = 0; s->tensors && s->from && a < rpu_network_array_count(network); a++) {
        const struct rpu_array *array = rpu_network_array(network, a);
        for (size_t t = 0; t < rpu_array_tiles(array); t++)
            for (size_t q = 0; q < rpu_tile_quantities(array->tiles[t]); q++) {
                struct rpu_tensor *tensor = &s->tensors[s->count];
                snprintf(tensor->name, sizeof tensor->name, "%.31s.%zu.%s", names[a], t, rpu_quantity_name(q));
                tensor->rows = (uint32_t)rpu_tile_rows(array->tiles[t]);
                tensor->cols = (uint32_t)rpu_tile_cols(array->tiles[t]);
                s->from[s->count++] = (struct source){array->tiles[t], (enum rpu_quantity)q};
            }
    }
    return s->tensors && s->from;
}

/* ---- the file ---- */

/* Checksums of the images, which take as long as training some hundred of them: once. */
static int hash_images(struct rpu_training *r) {
    if (!r->hashed)
        r->hashed = rpu_images_hash(&r->data->train, &r->train_hash) && rpu_images_hash(&r->data->test, &r->test_hash);
    return r->hashed;
}

static void take_state(struct rpu_checkpoint_state *s, const struct rpu_training *r) {
    const struct rpu_images *train = &r->data->train, *test = &r->data->test;
    memset(s, 0, sizeof *s);
    rpu_checkpoint_names(s, &r->config);
    s->info = (struct rpu_checkpoint_info){.images = r->images,
                                           .epochs = (uint32_t)r->n_epochs,
                                           .epoch_images = r->part.done,
                                           .train_images = train->count,
                                           .test_images = test->count,
                                           .height = train->height,
                                           .width = train->width,
                                           .channels = train->channels,
                                           .classes = train->classes > test->classes ? train->classes : test->classes,
                                           .training_set_xxh3 = r->train_hash,
                                           .test_set_xxh3 = r->test_hash};
    s->epochs = r->epochs;
    s->part = r->part;
    s->seconds = r->seconds;
    for (size_t a = 0; a < s->n_arrays; a++)
        rpu_network_array_stats(r->network, a, &s->stats[a]);
}

enum rpu_status rpu_checkpoint_write(struct rpu_training *run, const char *path, struct rpu_error *err) {
    struct rpu_checkpoint_state *state;
    struct sources sources = {0};
    json_t *metadata;
    enum rpu_status status;
    if (!rpu_is_training(run) || !path)
        return rpu_fail(err, RPU_ERR_ARG, "no run, or no path");
    if (!isfinite(run->part.loss))
        return rpu_fail_at(err, RPU_ERR_RANGE, path, 0, NULL, "not written: the training's loss is no finite number");
    status = rpu_config_writable(&run->config, err);
    if (status != RPU_OK)
        return status;
    state = malloc(sizeof *state);
    if (!state || !hash_images(run)) {
        free(state);
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory for a checkpoint");
    }
    take_state(state, run);
    metadata = rpu_checkpoint_metadata(state, &run->config);
    if (metadata && list_sources(&sources, run->network, state->names))
        status = rpu_safetensors_write(path, metadata, sources.tensors, sources.count, row_of, &sources, err);
    else
        status = rpu_fail(err, RPU_ERR_NOMEM, "out of memory for a checkpoint");
    json_decref(metadata);
    free(sources.tensors);
    free(sources.from);
    free(state);
    return status;
}
