/* SPDX-License-Identifier: Apache-2.0 */
/** @file data.h
 *  Labelled images: IDX files (the format of MNIST) and the generated digits. */
#ifndef RPU_DATA_H
#define RPU_DATA_H

#include <stddef.h>
#include <stdint.h>

#include <rpu/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A set of labelled images. Pixels are bytes; the network sees byte / 255. Owned by the caller of a load function,
 *  freed with rpu_images_free. */
struct rpu_images {
    uint32_t count;
    uint32_t height, width, channels;
    uint32_t classes; /**< labels are 0..classes-1 */
    uint8_t *pixels;  /**< count x height x width x channels */
    uint8_t *labels;  /**< count */
};

/** A training and a test set of the same image shape and class count. */
struct rpu_dataset {
    struct rpu_images train;
    struct rpu_images test;
};

RPU_API void rpu_images_free(struct rpu_images *images);
RPU_API void rpu_dataset_free(struct rpu_dataset *set);

/** Reads an image file (3 dimensions: count, height, width; or 4: with channels last) and its label file, each plain
 *  or gzip, unsigned bytes. `classes` becomes the largest label + 1. Every malformed, truncated, oversized or
 *  inconsistent file is RPU_ERR_FORMAT, an unreadable one RPU_ERR_IO; `err` names the file. RPU_ERR_NOMEM. On failure
 *  `*out` is empty. An image has 16 MiB at most and all of them 16 GiB, which is what a gzip file of 16 MiB or more can
 *  expand to; memory grows with what has been unpacked. */
RPU_API enum rpu_status rpu_idx_read(struct rpu_images *out, const char *images_path, const char *labels_path,
                                     struct rpu_error *err);

/** Reads the four standard MNIST names (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-...; idx4 for images
 *  with channels; each with or without .gz) from a directory. Limits > 0 keep only the first images of each set: no
 *  more than those is read, so that a file that is damaged or ends behind them is accepted (of a plain file the length
 *  is compared with its header all the same), and `classes` comes from the labels that were read. RPU_ERR_IO, also
 * where the directory or a file is not there; RPU_ERR_FORMAT, also where the two sets have images of different shapes;
 *  RPU_ERR_NOMEM. */
RPU_API enum rpu_status rpu_dataset_read(struct rpu_dataset *out, const char *directory, uint32_t limit_train,
                                         uint32_t limit_test, struct rpu_error *err);

/** Draws 28x28 handwritten-like digits: strokes with random affine and elastic distortion, thickness and noise.
 *  Image i of a set depends only on (seed, set, i): a smaller count is a prefix of a larger one. The training and the
 *  test set are different draws. Counts 0 stand for 60,000 and 10,000. The same bits on every machine.
 *  RPU_ERR_NOMEM. */
RPU_API enum rpu_status rpu_digits_generate(struct rpu_dataset *out, uint32_t count_train, uint32_t count_test,
                                            uint64_t seed, struct rpu_error *err);

#ifdef __cplusplus
}
#endif
#endif
