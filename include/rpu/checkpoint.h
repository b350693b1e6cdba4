/* SPDX-License-Identifier: Apache-2.0 */
/** @file checkpoint.h
 *  Trainings as files, in the safetensors layout.
 *
 *  A checkpoint holds, for each tile T of an array A, matrices of 32-bit floats: `A.T.weight`, and of devices
 *  `A.T.dw_up`, `A.T.dw_down`, `A.T.bound_upper`, `A.T.bound_lower` (as rpu_tile_get_devices gives them). Its metadata
 *  are texts: `format` ("rpubench-checkpoint"), `format_version` ("1"), `version` (of the library), `step` (images
 *  trained), `epoch` (finished), `config`, `data`, `history` and `progress` (JSON), `training_set_xxh3` and
 *  `test_set_xxh3`, `tensors_xxh3` and `header_xxh3` (XXH3-64, decimal). No random generator's state is among them: all
 *  numbers come from counters, and these from the seed and the image number. */
#ifndef RPU_CHECKPOINT_H
#define RPU_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include <rpu/config.h>
#include <rpu/network.h>
#include <rpu/status.h>
#include <rpu/train.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Writes where a run stands. The file appears whole or not at all: it is written under another name, synced and
 *  renamed, and the folder is synced; until then an older one stays. To be called between two minibatches: before or
 *  after rpu_training_run, or from a rpu_checkpoint_fn. RPU_ERR_IO, RPU_ERR_NOMEM; RPU_ERR_RANGE when a weight or a
 * loss is not finite; RPU_ERR_ARG; as rpu_config_yaml when that cannot write the run's configuration (RPU_ERR_ARG,
 * RPU_ERR_CONFIG): a training of images from elsewhere has to give `data` some text all the same; RPU_ERR_SHAPE when
 * names, configuration and history would need a header of more than 100,000,000 bytes, which the format does not allow.
 */
RPU_API enum rpu_status rpu_checkpoint_write(struct rpu_training *run, const char *path, struct rpu_error *err);

struct rpu_checkpoint; /**< one that was read; opaque */

/** Reads a checkpoint and checks all of it: layout, checksums, configuration, history. RPU_ERR_IO when it cannot be
 *  read, RPU_ERR_FORMAT when it is damaged or no checkpoint, RPU_ERR_UNSUPPORTED when it is of a later format,
 *  RPU_ERR_NOMEM. */
RPU_API enum rpu_status rpu_checkpoint_read(struct rpu_checkpoint **checkpoint, const char *path,
                                            struct rpu_error *err);
RPU_API void rpu_checkpoint_free(struct rpu_checkpoint *checkpoint);

/** What a checkpoint says of itself. */
struct rpu_checkpoint_info {
    const char *version;                       /**< of the library that wrote it */
    uint64_t images;                           /**< trained */
    uint32_t epochs;                           /**< finished */
    uint32_t epoch_images;                     /**< trained of the epoch in work */
    uint32_t train_images, test_images;        /**< of the data set */
    uint32_t height, width, channels, classes; /**< of its images */
    uint64_t training_set_xxh3, test_set_xxh3; /**< XXH3-64 of shape, pixels and labels */
};

RPU_API enum rpu_status rpu_checkpoint_describe(const struct rpu_checkpoint *checkpoint,
                                                struct rpu_checkpoint_info *info);
/** Its configuration; null for a foreign object. */
RPU_API const struct rpu_config *rpu_checkpoint_config(const struct rpu_checkpoint *checkpoint);
/** A finished epoch; null when index is out of range. */
RPU_API const struct rpu_epoch *rpu_checkpoint_epoch(const struct rpu_checkpoint *checkpoint, size_t index);

/** One quantity of the crosspoints of one tile. */
struct rpu_checkpoint_tensor {
    const char *array;    /**< name */
    uint32_t tile;        /**< number in the array */
    const char *quantity; /**< "weight", "dw_up", "dw_down", "bound_upper", "bound_lower" */
    uint32_t rows, cols;
    const float *values; /**< row-major; belong to the checkpoint */
};

RPU_API size_t rpu_checkpoint_tensor_count(const struct rpu_checkpoint *checkpoint);
/** One of them; RPU_ERR_ARG when index is out of range. */
RPU_API enum rpu_status rpu_checkpoint_tensor(const struct rpu_checkpoint *checkpoint, size_t index,
                                              struct rpu_checkpoint_tensor *tensor);

/** Gives a network of the checkpoint's configuration its weights and devices. RPU_ERR_SHAPE when it has other arrays,
 *  RPU_ERR_RANGE when a value is none that such a device can have; the network is then of no further use. */
RPU_API enum rpu_status rpu_checkpoint_apply(const struct rpu_checkpoint *checkpoint, struct rpu_network *network,
                                             struct rpu_error *err);

/** Takes a run that has not begun to where the checkpoint stands; it then ends with the bits of one that was not
 *  interrupted. Where several processes share a run, all do this. RPU_ERR_CONFIG when the run's configuration is
 *  another (`err` lists the differences; epochs, threads, sharing, places, kernel variant and the path of the data may
 *  differ) or has fewer epochs than are trained; as rpu_config_yaml when that cannot write the run's; RPU_ERR_FORMAT
 *  when its images are others; else as rpu_checkpoint_apply. After an error the run is of no further use. */
RPU_API enum rpu_status rpu_checkpoint_resume(const struct rpu_checkpoint *checkpoint, struct rpu_training *run,
                                              struct rpu_error *err);

#ifdef __cplusplus
}
#endif
#endif
