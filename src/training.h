/* SPDX-License-Identifier: Apache-2.0 */
/** @file training.h
 *  A run from inside: what it comes to between two minibatches, which is what a checkpoint keeps. */
#ifndef RPU_SRC_TRAINING_H
#define RPU_SRC_TRAINING_H

#include <rpu/train.h>

#define RPU_TRAINING_TAG 0x52505254u
#define RPU_CLASSES_MAX  256 /**< labels are bytes */

/** The epoch in work. */
struct rpu_epoch_part {
    uint32_t done;                                 /**< images trained of it; its test comes after the last one */
    double loss;                                   /**< sum over them */
    double seconds;                                /**< training time */
    struct rpu_array_stats before[RPU_LAYERS_MAX]; /**< statistics at its start, once an image is done */
};

struct rpu_training {
    uint32_t tag; /**< RPU_TRAINING_TAG while it lives */
    const struct rpu_engine *engine;
    struct rpu_config config; /**< `batch` at most the number of images */
    const struct rpu_dataset *data;
    struct rpu_network *network;
    uint32_t *order;
    struct rpu_epoch *epochs;
    size_t n_epochs; /**< finished */
    struct rpu_epoch_part part;
    uint64_t images;
    uint64_t resumed; /**< of them, those of the checkpoint that the run went on from */
    double seconds;
    double since; /**< when the time that is counted last began */
    /* checkpoints */
    struct rpu_checkpoint_times times;
    rpu_checkpoint_fn *checkpoint;
    void *checkpoint_user;
    double last_checkpoint;
    uint64_t train_hash, test_hash; /**< of the images, once `hashed` */
    int hashed;
};

static inline int rpu_is_training(const struct rpu_training *r) {
    return r && r->tag == RPU_TRAINING_TAG;
}

#endif
