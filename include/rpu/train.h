/* SPDX-License-Identifier: Apache-2.0 */
/** @file train.h
 *  The training loop. */
#ifndef RPU_TRAIN_H
#define RPU_TRAIN_H

#include <stddef.h>
#include <stdint.h>

#include <rpu/config.h>
#include <rpu/data.h>
#include <rpu/network.h>
#include <rpu/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One array's analog diagnostics of one epoch. */
struct rpu_array_epoch {
    struct rpu_read_counts forward;
    struct rpu_read_counts backward;
    struct rpu_update_counts update;
    double at_bound; /**< share of weights at a bound at the end of the epoch */
};

/** One epoch's record. `arrays` has one entry per array and belongs to the run. */
struct rpu_epoch {
    uint32_t epoch;    /**< 1-based */
    double train_loss; /**< mean over the epoch's images, at the weights of their time */
    double test_loss;
    double test_error;    /**< a fraction */
    double seconds;       /**< wall time of the epoch, its evaluation included */
    double train_seconds; /**< wall time of the training part alone */
    struct rpu_array_epoch *arrays;
};

/** How far training is; handed to the progress callback after each minibatch, each epoch, and in an epoch's test (all
 * its images are done then) after each piece of a minibatch's size, or of a few images for each thread. */
struct rpu_progress {
    uint32_t epoch, epochs;           /**< 1-based epoch in work */
    uint32_t image, images;           /**< images done of this epoch */
    double images_per_second;         /**< since the start of this call */
    double seconds_left;              /**< estimate for the rest of the training */
    const struct rpu_epoch *finished; /**< the record just completed, or null in between */
};

/** Called on the training thread. Returning non-zero asks training to stop there. */
typedef int rpu_progress_fn(const struct rpu_progress *progress, void *user);

struct rpu_training; /**< a run: network, order of images, history; opaque */

/** Builds a run. The engine and the data set must outlive it. RPU_ERR_ARG, also for a data set without pixels or
 * labels; RPU_ERR_SHAPE, also for one without images, or with test images of another shape; RPU_ERR_RANGE, also for
 * more than 256 classes (labels are bytes); else as rpu_network_create. */
RPU_API enum rpu_status rpu_training_create(struct rpu_training **run, const struct rpu_engine *engine,
                                            const struct rpu_config *config, const struct rpu_dataset *data,
                                            struct rpu_error *err);
RPU_API void rpu_training_destroy(struct rpu_training *run);

/** Shares the run among processes: see rpu_network_share. All have the same images and make the same calls. A stop that
 *  one of them asks for is heard by all after the same minibatch, the one after it was asked for. */
RPU_API enum rpu_status rpu_training_share(struct rpu_training *run, const struct rpu_ranks *ranks,
                                           struct rpu_error *err);

/** When a run calls for a checkpoint; zeros: not at all. */
struct rpu_checkpoint_times {
    uint64_t images; /**< whenever so many more images are trained, after the minibatch */
    uint32_t epochs; /**< after so many more epochs, tested */
    double seconds;  /**< after the first minibatch when so many have gone by */
};

/** Called on the training thread, between two minibatches or epochs: the run may be written (rpu_checkpoint_write).
 *  What it takes is not counted as training time. */
typedef void rpu_checkpoint_fn(struct rpu_training *run, void *user);

/** Sets what is called when; `fn` null: nothing. RPU_ERR_ARG, also for seconds that are below 0 or no
 *  number. */
RPU_API enum rpu_status rpu_training_checkpoints(struct rpu_training *run, const struct rpu_checkpoint_times *times,
                                                 rpu_checkpoint_fn *fn, void *user);

/** Mean losses of a floating-point training (all arrays perfect) beyond so many times that of guessing, ln(classes), in
 *  both training and test of an epoch, count as diverged. */
#define RPU_DIVERGED_LOSS 10.0

/** Trains to the configured number of epochs. Images are shuffled anew each epoch from the seed. `progress` may be
 *  null. RPU_ERR_INTERRUPTED when the callback asked to stop; called again, the run goes on after the minibatch at
 * which it stopped. RPU_ERR_DIVERGED when a loss or a weight is not finite or, in floating point, when an epoch's
 * losses are beyond RPU_DIVERGED_LOSS; such an epoch is not finished, and the run is of no further use. */
RPU_API enum rpu_status rpu_training_run(struct rpu_training *run, rpu_progress_fn *progress, void *user,
                                         struct rpu_error *err);

RPU_API struct rpu_network *rpu_training_network(struct rpu_training *run);
/** Finished epochs, in order. */
RPU_API size_t rpu_training_epoch_count(const struct rpu_training *run);
RPU_API const struct rpu_epoch *rpu_training_epoch(const struct rpu_training *run, size_t index);
/** Images trained, and the wall time that took (evaluation not included). */
RPU_API uint64_t rpu_training_images(const struct rpu_training *run);
RPU_API double rpu_training_seconds(const struct rpu_training *run);
/** Of those images the ones that were trained before the run went on from a checkpoint. */
RPU_API uint64_t rpu_training_resumed(const struct rpu_training *run);
/** Images that one of several threads has trained alone (RPU_SHARE_AUTO), trials included, since the run began or went
 *  on; 0 with one thread, or where several processes share the run. */
RPU_API uint64_t rpu_training_images_alone(const struct rpu_training *run);

/** The order of epoch `epoch` (0-based): a permutation of 0..count-1 that depends on the seed and epoch only. `order`
 *  null: nothing. */
RPU_API void rpu_shuffle(uint32_t *order, uint32_t count, uint64_t seed, uint32_t epoch);

#ifdef __cplusplus
}
#endif
#endif
