/* SPDX-License-Identifier: Apache-2.0 */
/** @file evaluation.h  Testing the network of a checkpoint. */
#ifndef RPU_SRC_EVALUATION_H
#define RPU_SRC_EVALUATION_H

#include <rpu/checkpoint.h>
#include <rpu/data.h>
#include <rpu/engine.h>

#include <stdint.h>

#define RPU_EVALUATION_OUTPUTS_MAX 1024 /**< labels are bytes; a confusion matrix has the square of it at most */

/** Inputs of all vectors that a convolution makes of an image; AlexNet's second has 1.7 million. */
#define RPU_EVALUATION_VECTORS_MAX (1 << 24)
/** Outputs of all layers, and those inputs, that a network makes of an image; AlexNet has 6 million. */
#define RPU_EVALUATION_NUMBERS_MAX (1 << 26)

/** What a test came to. */
struct rpu_evaluation {
    int perfect;      /**< 1: exact products of the weights; 0: reads with the arrays' converters and noise */
    uint32_t epoch;   /**< whose test's random numbers were drawn, from 0 */
    uint32_t classes; /**< sides of the confusion matrix: outputs of the network, of which the data may use fewer */
    uint64_t *matrix; /**< images of each class (row) taken for each class (column); malloc'd */
    uint64_t images, errors;
    double loss;     /**< mean */
    char digest[17]; /**< of the weights */
};

/** Builds the checkpoint's network and tests it on `images`. With analog reads the random numbers are those of the test
 *  that follows the checkpoint's last epoch, so that a test on the training's own test set comes to the same bits.
 *  RPU_ERR_SHAPE when the images are of another shape or have more classes, or when the network has more than
 *  RPU_EVALUATION_OUTPUTS_MAX outputs; RPU_ERR_FORMAT when it makes too many numbers of an image, or when the
 * checkpoint's tensors do not fit its configuration; RPU_ERR_NOMEM. */
enum rpu_status rpu_evaluate(struct rpu_evaluation *evaluation, const struct rpu_checkpoint *checkpoint,
                             const struct rpu_engine *engine, const struct rpu_images *images, int perfect,
                             struct rpu_error *err);
void rpu_evaluation_free(struct rpu_evaluation *evaluation);

/** As a JSON document (results/README.md), malloc'd. `source` is where the images came from. */
enum rpu_status rpu_evaluation_json(char **text, const struct rpu_evaluation *evaluation,
                                    const struct rpu_checkpoint *checkpoint, const struct rpu_engine *engine,
                                    const char *path, const char *source, struct rpu_error *err);

#endif
