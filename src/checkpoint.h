/* SPDX-License-Identifier: Apache-2.0 */
/** @file checkpoint.h  A checkpoint from inside: what its metadata hold, and as which texts. */
#ifndef RPU_SRC_CHECKPOINT_H
#define RPU_SRC_CHECKPOINT_H

#include "safetensors.h"
#include "training.h"

#include <rpu/checkpoint.h>

#define RPU_CHECKPOINT_TAG     0x52505543u
#define RPU_CHECKPOINT_FORMAT  "rpubench-checkpoint"
#define RPU_CHECKPOINT_VERSION 1 /**< rises when an older reader would misread what is written */

/** Everything beside the tensors. */
struct rpu_checkpoint_state {
    struct rpu_checkpoint_info info;
    uint32_t n_arrays;
    const char *names[RPU_LAYERS_MAX]; /**< of arrays */
    const struct rpu_epoch *epochs;
    struct rpu_epoch_part part;
    struct rpu_array_stats stats[RPU_LAYERS_MAX];
    double seconds;
};

struct rpu_checkpoint {
    uint32_t tag;
    struct rpu_safetensors *file;
    struct rpu_config config;
    struct rpu_checkpoint_state state;
    struct rpu_epoch *epochs; /**< owned */
};

/** Names of the arrays of a configuration. */
void rpu_checkpoint_names(struct rpu_checkpoint_state *state, const struct rpu_config *config);

/** XXH3-64 of a set of images; 0 without memory. */
int rpu_images_hash(const struct rpu_images *images, uint64_t *hash);

/** All texts of the metadata but the checksums; null without memory, or where a number is not finite. */
json_t *rpu_checkpoint_metadata(const struct rpu_checkpoint_state *state, const struct rpu_config *config);

/** Whether a training of so many epochs can go on from there: else RPU_ERR_CONFIG, with `path` unless that is null. */
enum rpu_status rpu_checkpoint_within(const struct rpu_checkpoint_info *info, uint32_t epochs, const char *path,
                                      struct rpu_error *err);

/** Reads them from `checkpoint->file`. */
enum rpu_status rpu_checkpoint_parse(struct rpu_checkpoint *checkpoint, const char *path, struct rpu_error *err);

#endif
