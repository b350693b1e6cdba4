/* SPDX-License-Identifier: Apache-2.0 */
/** @file network.h
 *  A network of arrays, and its training. */
#ifndef RPU_NETWORK_H
#define RPU_NETWORK_H

#include <stddef.h>
#include <stdint.h>

#include <rpu/config.h>
#include <rpu/data.h>
#include <rpu/engine.h>
#include <rpu/status.h>
#include <rpu/tile.h>

#ifdef __cplusplus
extern "C" {
#endif

enum rpu_cycle { RPU_CYCLE_FORWARD, RPU_CYCLE_BACKWARD, RPU_CYCLE_UPDATE };

/** What one array did since the network was built or its statistics were last cleared (training only). */
struct rpu_array_stats {
    uint64_t images;      /**< images trained */
    double seconds[3];    /**< time in each cycle (enum rpu_cycle), that of all threads divided by the number that can
                               work at a time (no more than there are processors): with one thread the wall time, with
                               more what the cycle takes when all of them work on it */
    double apply_seconds; /**< of the update's time, likewise: pulses applied, after they were drawn. An array takes
                           the pulses of one image after the other */
    struct rpu_read_counts forward;
    struct rpu_read_counts backward;
    struct rpu_update_counts update;
};

/** Shape of one array. */
struct rpu_array_info {
    const char *name;
    uint32_t outputs, inputs; /**< M and N, the bias included */
    uint32_t columns;         /**< ws: columns per image */
    int has_backward;         /**< 0 for the first array, whose backward cycle is not run in training */
    uint32_t tiles;           /**< 1, or the number of tiles of an array that is divided (max_rows, max_cols) or has
                                   several copies: of all of them */
    uint32_t devices;         /**< crosspoints of a weight */
    uint32_t copies;          /**< arrays that share the columns of an image */
};

struct rpu_network; /**< opaque */

/** Builds the layers of `config` for images of the given shape; shapes are inferred and checked (RPU_ERR_SHAPE names
 *  the layer). RPU_ERR_RANGE for a batch, an eta, a kind of layer, a bias or a device's parameter that is not allowed;
 *  RPU_ERR_ARG, also for a name without its terminator or of two arrays (but for ""); RPU_ERR_NOMEM. The engine must
 * outlive the network. */
RPU_API enum rpu_status rpu_network_create(struct rpu_network **network, const struct rpu_engine *engine,
                                           const struct rpu_config *config, uint32_t height, uint32_t width,
                                           uint32_t channels, uint32_t classes, struct rpu_error *err);
RPU_API void rpu_network_destroy(struct rpu_network *network);

/** Processes that train one network together, as one of them sees them. */
struct rpu_ranks {
    int rank, size; /**< 0 <= rank < size */
    void *context;  /**< for allgather */
    /** Gives this process's block, which lies at all + rank * bytes, to all processes, and puts theirs at their places.
     *  Called by each process the same number of times with the same size, on the thread that called the network's
     *  function. Anything but RPU_OK ends the minibatch with that status. */
    enum rpu_status (*allgather)(void *context, size_t bytes, void *all, struct rpu_error *err);
};

/** Shares a network among processes. Each builds it from the same configuration (the engine may differ), calls this
 *  before the first minibatch, and then all call rpu_network_train and rpu_network_evaluate with the same arguments.
 *  Each does the forward and backward passes of some of the images, all apply all updates: every process has the same
 *  weights, losses and counts, those of a single process. Activations and errors are exchanged, never weights. So a
 *  minibatch should have several images for each process, and the updates are work that every process repeats.
 *
 *  Times of the statistics (rpu_array_stats) are then those of all threads of all processes divided by their number.
 *  After an allgather that failed the network is of no further use. RPU_ERR_ARG, RPU_ERR_NOMEM. */
RPU_API enum rpu_status rpu_network_share(struct rpu_network *network, const struct rpu_ranks *ranks,
                                          struct rpu_error *err);

/** Trains on one minibatch: the images `index[0..count)` of `images`. All see the weights of its start; then each
 *  array is updated image by image in order, each with the full eta. `step` is the number of images trained before
 *  this minibatch (the image number of the first); `count` at most the configuration's batch. The sum of the images'
 *  losses (natural logarithm) is added to `*loss` when it is not null. RPU_ERR_ARG, also for images without pixels or
 *  labels; RPU_ERR_SHAPE when they have another shape than the network's; RPU_ERR_RANGE when `count` is 0 or beyond the
 *  batch, an index beyond the images, a label beyond the classes, or step + count beyond 2^32 - 1; then nothing has
 *  changed. In a shared network also what its allgather gave. */
RPU_API enum rpu_status rpu_network_train(struct rpu_network *network, const struct rpu_images *images,
                                          const uint32_t *index, uint32_t count, uint64_t step, double *loss);

/** Classifies images first..first+count-1 with analog reads under the evaluation's own counters; `step` is the image
 *  number of the first. Adds to `*errors` (argmax differs from the label; the first of equal outputs wins) and
 *  `*loss`; either may be null. Changes no weight and no training number. RPU_ERR_ARG, RPU_ERR_SHAPE and RPU_ERR_RANGE
 *  as rpu_network_train, but for `count`, which may be anything up to the number of images; in a shared network also
 *  what its allgather gave. */
RPU_API enum rpu_status rpu_network_evaluate(struct rpu_network *network, const struct rpu_images *images,
                                             uint32_t first, uint32_t count, uint64_t step, uint64_t *errors,
                                             double *loss);

/** The same, with the class that each image is taken for in `classes[0..count)`, which may not be null (RPU_ERR_ARG).
 */
RPU_API enum rpu_status rpu_network_classify(struct rpu_network *network, const struct rpu_images *images,
                                             uint32_t first, uint32_t count, uint64_t step, uint32_t *classes,
                                             double *loss);

RPU_API size_t rpu_network_array_count(const struct rpu_network *network);
/** Of array `index`; RPU_ERR_ARG when that is out of range, here and below. */
RPU_API enum rpu_status rpu_network_array_info(const struct rpu_network *network, size_t index,
                                               struct rpu_array_info *info);
RPU_API enum rpu_status rpu_network_array_stats(const struct rpu_network *network, size_t index,
                                                struct rpu_array_stats *stats);
/** Sets the statistics of all arrays to zero. Not to be called from a progress callback (rpu_progress_fn): the record
 *  of an epoch is the difference of the statistics at its end and at its start. */
RPU_API void rpu_network_clear_stats(struct rpu_network *network);

/** The array's tile, owned by the network; null when index is out of range or the array has several. */
RPU_API struct rpu_tile *rpu_network_tile(struct rpu_network *network, size_t index);

/** The logical weights of a whole array, row-major, copies x outputs x inputs; see rpu_tile_get_weights. */
RPU_API enum rpu_status rpu_network_get_weights(const struct rpu_network *network, size_t index, float *weights);
/** Sets them; each is clipped to its crosspoint's bounds. RPU_ERR_RANGE, and nothing is set, where one is not finite.
 */
RPU_API enum rpu_status rpu_network_set_weights(struct rpu_network *network, size_t index, const float *weights);
/** Share of an array's weights that sit at one of their bounds, 0..1. */
RPU_API double rpu_network_at_bound(const struct rpu_network *network, size_t index);

/** XXH3-64 over the logical weights as little-endian float32, arrays in network order, row-major. RPU_ERR_ARG,
 *  RPU_ERR_NOMEM. */
RPU_API enum rpu_status rpu_network_digest(const struct rpu_network *network, uint64_t *digest);

#ifdef __cplusplus
}
#endif
#endif
