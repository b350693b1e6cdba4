/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration file. What is accepted is read back the same, and its shapes are those of some image, or refused. */
#include "fuzz.h"

#include "layer.h"

#include <rpu/config.h>

#include <string.h>

static void walk_shapes(const struct rpu_config *config, struct rpu_shape shape) {
    for (uint32_t i = 0; i < config->n_layers; i++) {
        struct rpu_layer layer;
        struct rpu_error err;
        memset(&layer, 0, sizeof layer);
        if (rpu_layer_shape(&layer, &config->layers[i], shape, i + 1, &err) != RPU_OK) {
            fuzz_check_error(&err);
            return;
        }
        FUZZ_CHECK(rpu_shape_size(layer.out) > 0 && rpu_shape_size(layer.out) <= (size_t)1 << 28);
        FUZZ_CHECK(!rpu_layer_is_array(layer.spec) || rpu_layer_inputs(&layer) > 0);
        shape = layer.out;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct rpu_config config;
    struct rpu_error err;
    if (rpu_config_load(&config, fuzz_file(0, data, size), NULL, 0, &err) != RPU_OK) {
        fuzz_check_error(&err);
        return 0;
    }
    fuzz_check_config(&config);
    walk_shapes(&config, (struct rpu_shape){28, 28, 1});
    walk_shapes(&config, (struct rpu_shape){1, 4096, 3});
    return 0;
}
