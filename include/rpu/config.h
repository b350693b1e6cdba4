/* SPDX-License-Identifier: Apache-2.0 */
/** @file config.h
 *  A training configuration: what a preset, a YAML file and `--set` merge into. */
#ifndef RPU_CONFIG_H
#define RPU_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include <rpu/engine.h>
#include <rpu/status.h>
#include <rpu/tile.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RPU_LAYERS_MAX 64 /**< layers of a network */
#define RPU_NAME_MAX   32 /**< bytes of a layer's name with its terminator */
#define RPU_PATH_MAX   4096

enum rpu_layer_kind {
    RPU_LAYER_CONV,
    RPU_LAYER_FC,
    RPU_LAYER_MAXPOOL,
    RPU_LAYER_TANH,
    RPU_LAYER_RELU,
    RPU_LAYER_SIGMOID,
    RPU_LAYER_SOFTMAX /**< softmax with cross-entropy; always and only the last layer */
};

/** One layer. Fields that a kind does not use are 0. */
struct rpu_layer_spec {
    enum rpu_layer_kind kind;
    char name[RPU_NAME_MAX]; /**< arrays: K1, K2, ... (convolutions), W3, W4, ... (fully connected), numbered together
                                  in network order unless the configuration names them; others: "" */
    uint32_t outputs;        /**< conv: output channels; fc: outputs */
    uint32_t kernel;         /**< conv: side of the square kernel; maxpool: side of the window */
    uint32_t stride;         /**< conv, maxpool; >= 1 */
    uint32_t padding;        /**< conv: zeros added at each border */
    uint32_t bias;           /**< conv, fc: 1 = one more input that is always 1 */
    struct rpu_tile_params tile; /**< conv, fc: the array's effective parameters */
};

/** A whole configuration, plain data. */
struct rpu_config {
    char preset[64];                  /**< the preset it started from, or "" */
    uint32_t height, width, channels; /**< of the images that the network is for; 0: those of the data */
    uint32_t n_layers;
    struct rpu_layer_spec layers[RPU_LAYERS_MAX];
    /* training */
    uint32_t epochs;
    uint32_t batch;
    float eta;
    uint64_t seed;
    /* data */
    char data[RPU_PATH_MAX]; /**< "digits" or a directory */
    uint32_t limit_train;    /**< 0 = all */
    uint32_t limit_test;     /**< 0 = all */
    /* run */
    uint32_t threads;     /**< 0 = as many as the process may use */
    enum rpu_bind bind;   /**< places of the threads */
    enum rpu_share share; /**< whether they share a minibatch's work */
    char isa[16];         /**< "" = best available */
};

/** One `--set key=value`. */
struct rpu_assignment {
    const char *text;   /**< "key=value" */
    const char *origin; /**< how to name it in errors, for example "--set" */
};

/** Loads a configuration: `source` is the name of a preset or the path of a YAML file (null = preset `lenet-rpu`);
 *  assignments are merged over it in order. Everything is checked: unknown keys, types, ranges, finiteness,
 *  duplicates, shapes that do not depend on the data. RPU_ERR_CONFIG with file, line, key, value and what is allowed;
 *  RPU_ERR_IO; RPU_ERR_NOMEM. */
RPU_API enum rpu_status rpu_config_load(struct rpu_config *config, const char *source,
                                        const struct rpu_assignment *assignments, size_t n_assignments,
                                        struct rpu_error *err);

/** Writes a configuration as YAML that rpu_config_load reads back to the same configuration, but for fields without
 *  effect (of a layer's kind, of a perfect array). `*text` is malloc'd, the caller frees it; null after a failure.
 *  RPU_ERR_CONFIG when a text is not UTF-8; RPU_ERR_ARG, also when it holds what no file could have given it: a value
 *  that is not allowed, or a network that rpu_config_load refuses; RPU_ERR_NOMEM. */
RPU_API enum rpu_status rpu_config_yaml(const struct rpu_config *config, char **text, struct rpu_error *err);

/** Embedded presets: name and one-line description; null when index is out of range. */
RPU_API const char *rpu_preset_name(size_t index);
RPU_API const char *rpu_preset_summary(size_t index);
/** The preset's YAML text, with comments; null when there is no such preset. */
RPU_API const char *rpu_preset_yaml(const char *name);

#ifdef __cplusplus
}
#endif
#endif
