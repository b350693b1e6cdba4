/* SPDX-License-Identifier: Apache-2.0 */
/** @file layer.h
 *  A layer: its shapes, its buffers for up to `capacity` images at once, and, for a convolution or a fully connected
 *  layer, its array. A new kind of layer is a case in rpu_layer_shape and in the passes of pass.c. */
#ifndef RPU_SRC_LAYER_H
#define RPU_SRC_LAYER_H

#include "array.h"

#include <rpu/config.h>
#include <rpu/network.h>

/** Images inside the network: channels last. */
struct rpu_shape {
    uint32_t height, width, channels;
};

static inline size_t rpu_shape_size(struct rpu_shape s) {
    return (size_t)s.height * s.width * s.channels;
}

struct rpu_layer {
    const struct rpu_layer_spec *spec;
    struct rpu_shape in, out;
    /* Activations and gradients, one image after the other. Each image has one float more than its size, which is 1:
     * the bias line of a fully connected layer. An activation works in place (y == x, dy == dx), but for
     * one that follows another, whose outputs its derivative still needs. */
    float *x, *y;
    float *dx, *dy; /* gradient of the loss with the sign that descends; dx null where nothing needs it */
    size_t x_stride, y_stride;
    int owns_y;
    /* arrays */
    struct rpu_array *array; /* null for other kinds */
    uint32_t columns;        /* ws */
    struct rpu_conv_shape conv;
    float *vectors;     /* input vectors: columns x n for each image; x itself where fully connected */
    float *gradients;   /* output of the backward cycle, laid out as the vectors; dx itself where fully connected */
    size_t ld;          /* from one vector to the next */
    size_t block;       /* from one image's vectors to the next */
    uint64_t *trains;   /* pulse trains of each image; null for a perfect array */
    size_t train_words; /* from one image's trains to the next */
    /* reads in parts, of each image that threads share */
    float *stored;
    struct rpu_read_counts *part_counts;
    /* pooling */
    struct rpu_pool_shape pool;
    uint8_t *where;
};

int rpu_layer_is_array(const struct rpu_layer_spec *spec);
int rpu_layer_is_activation(const struct rpu_layer_spec *spec);

/** Sets spec, shapes and geometry; checks that they fit. `position` is 1-based, for messages. RPU_ERR_SHAPE;
 *  RPU_ERR_RANGE for an unknown kind or a bias other than 0 and 1, RPU_ERR_ARG for a name that does not end. */
enum rpu_status rpu_layer_shape(struct rpu_layer *layer, const struct rpu_layer_spec *spec, struct rpu_shape in,
                                uint32_t position, struct rpu_error *err);

/** Inputs of the array, bias included. */
uint32_t rpu_layer_inputs(const struct rpu_layer *layer);

/** Allocates the buffers; x, dx and x_stride are set by the caller. `in_place`: the outputs overwrite the inputs. */
enum rpu_status rpu_layer_allocate(struct rpu_layer *layer, size_t capacity, int in_place, int needs_gradient,
                                   struct rpu_error *err);
void rpu_layer_free(struct rpu_layer *layer);

/** `images` buffers of `size` floats and one that is 1; *stride is the distance between them. Null when out of memory.
 */
float *rpu_buffer(size_t images, size_t size, size_t *stride);

#endif
