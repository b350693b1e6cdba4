/* SPDX-License-Identifier: Apache-2.0 */
#include "layer.h"

#include "error.h"

#include <stdlib.h>
#include <string.h>

/* Largest image, in floats, inside the network. */
#define MAX_SIZE ((uint64_t)1 << 28)

int rpu_layer_is_array(const struct rpu_layer_spec *spec) {
    return spec->kind == RPU_LAYER_CONV || spec->kind == RPU_LAYER_FC;
}

int rpu_layer_is_activation(const struct rpu_layer_spec *spec) {
    return spec->kind == RPU_LAYER_TANH || spec->kind == RPU_LAYER_SIGMOID || spec->kind == RPU_LAYER_RELU;
}

static enum rpu_status bad_shape(const struct rpu_layer *l, uint32_t position, struct rpu_error *err,
                                 const char *what) {
    return rpu_fail_at(err, RPU_ERR_SHAPE, NULL, 0, l->spec->name[0] ? l->spec->name : NULL,
                       "layer %u: %s (input %u x %u x %u, kernel or window %u, stride %u, padding %u)", position, what,
                       l->in.height, l->in.width, l->in.channels, l->spec->kernel, l->spec->stride, l->spec->padding);
}

/* Windows of side k at a stride that fit into `size` cells. */
static uint32_t windows(uint64_t size, uint32_t k, uint32_t stride) {
    return size < k ? 0 : (uint32_t)((size - k) / stride + 1);
}

static enum rpu_status shape_conv(struct rpu_layer *l, uint32_t position, struct rpu_error *err) {
    const struct rpu_layer_spec *s = l->spec;
    if (s->kernel == 0 || s->stride == 0 || s->padding >= s->kernel)
        return bad_shape(l, position, err, "kernel and stride must be at least 1, padding smaller than the kernel");
    l->out.height = windows((uint64_t)l->in.height + 2 * (uint64_t)s->padding, s->kernel, s->stride);
    l->out.width = windows((uint64_t)l->in.width + 2 * (uint64_t)s->padding, s->kernel, s->stride);
    l->out.channels = s->outputs;
    if (l->out.height == 0 || l->out.width == 0)
        return bad_shape(l, position, err, "the kernel is larger than its input");
    if ((uint64_t)s->kernel * s->kernel * l->in.channels >= 1u << 20)
        return bad_shape(l, position, err, "the kernel has too many inputs");
    if ((uint64_t)l->out.height * l->out.width > RPU_COUNTER_MAX_COLUMNS)
        return bad_shape(l, position, err, "more than 2^24 output positions");
    l->columns = l->out.height * l->out.width;
    l->conv = (struct rpu_conv_shape){l->in.height, l->in.width,   l->in.channels, s->kernel, s->stride,
                                      s->padding,   l->out.height, l->out.width,   s->bias};
    return RPU_OK;
}

static enum rpu_status shape_pool(struct rpu_layer *l, uint32_t position, struct rpu_error *err) {
    const struct rpu_layer_spec *s = l->spec;
    if (s->kernel == 0 || s->stride == 0 || s->kernel > 16)
        return bad_shape(l, position, err, "a pooling window has a side of 1 to 16 and a stride of at least 1");
    l->out.height = windows(l->in.height, s->kernel, s->stride);
    l->out.width = windows(l->in.width, s->kernel, s->stride);
    l->out.channels = l->in.channels;
    if (l->out.height == 0 || l->out.width == 0)
        return bad_shape(l, position, err, "the window is larger than its input");
    l->pool = (struct rpu_pool_shape){l->in.height, l->in.width,   l->in.channels, s->kernel,
                                      s->stride,    l->out.height, l->out.width};
    return RPU_OK;
}

enum rpu_status rpu_layer_shape(struct rpu_layer *layer, const struct rpu_layer_spec *spec, struct rpu_shape in,
                                uint32_t position, struct rpu_error *err) {
    enum rpu_status status = RPU_OK;
    layer->spec = spec;
    layer->in = layer->out = in;
    if (!memchr(spec->name, 0, sizeof spec->name))
        return rpu_fail(err, RPU_ERR_ARG, "layer %u: a name of more than %d bytes", position, RPU_NAME_MAX - 1);
    if ((uint32_t)spec->kind > RPU_LAYER_SOFTMAX)
        return rpu_fail(err, RPU_ERR_RANGE, "layer %u: kind is %d; allowed is %d (conv) to %d (softmax)", position,
                        (int)spec->kind, RPU_LAYER_CONV, RPU_LAYER_SOFTMAX);
    if (spec->bias > 1)
        return rpu_fail(err, RPU_ERR_RANGE, "layer %u: bias is %u; allowed is 0 or 1", position, spec->bias);
    if (rpu_layer_is_array(spec) && spec->outputs == 0)
        return bad_shape(layer, position, err, "an array needs at least one output");
    if (spec->kind == RPU_LAYER_CONV)
        status = shape_conv(layer, position, err);
    else if (spec->kind == RPU_LAYER_MAXPOOL)
        status = shape_pool(layer, position, err);
    else if (spec->kind == RPU_LAYER_FC) {
        layer->out = (struct rpu_shape){1, 1, spec->outputs};
        layer->columns = 1;
    }
    if (status == RPU_OK && (uint64_t)layer->out.height * layer->out.width > MAX_SIZE / layer->out.channels)
        status = bad_shape(layer, position, err, "the output is too large");
    return status;
}

uint32_t rpu_layer_inputs(const struct rpu_layer *layer) {
    const uint32_t bias = layer->spec->bias ? 1 : 0;
    if (layer->spec->kind == RPU_LAYER_CONV)
        return layer->conv.kernel * layer->conv.kernel * layer->conv.channels + bias;
    return (uint32_t)rpu_shape_size(layer->in) + bias;
}

float *rpu_buffer(size_t images, size_t size, size_t *stride) {
    float *p;
    *stride = (size + 1 + 15) / 16 * 16;
    p = aligned_alloc(64, images * *stride * sizeof *p);
    if (p) {
        memset(p, 0, images * *stride * sizeof *p);
        for (size_t i = 0; i < images; i++)
            p[i * *stride + size] = 1.0f;
    }
    return p;
}

/* Vectors of the array: a matrix of its own for a convolution, the activations themselves otherwise. */
static int allocate_vectors(struct rpu_layer *l, size_t capacity, int needs_gradient) {
    size_t unused;
    if (l->spec->kind == RPU_LAYER_FC) {
        l->vectors = l->x;
        l->gradients = l->dx;
        l->ld = l->block = l->x_stride;
        return 1;
    }
    l->ld = rpu_padded(rpu_layer_inputs(l));
    l->block = l->ld * l->columns;
    l->vectors = rpu_buffer(1, capacity * l->block, &unused);
    if (needs_gradient)
        l->gradients = rpu_buffer(1, capacity * l->block, &unused);
    return l->vectors && (!needs_gradient || l->gradients);
}

enum rpu_status rpu_layer_allocate(struct rpu_layer *layer, size_t capacity, int in_place, int needs_gradient,
                                   struct rpu_error *err) {
    const size_t size = rpu_shape_size(layer->out);
    int good = 1;
    if (capacity > SIZE_MAX / 16 / (size + 64) ||
        (layer->columns && capacity > SIZE_MAX / 16 / layer->columns / (rpu_layer_inputs(layer) + 64u)))
        return rpu_fail(err, RPU_ERR_SHAPE, "buffers of %zu images are too large", capacity);
    if (in_place) {
        layer->y = layer->x;
        layer->dy = layer->dx;
        layer->y_stride = layer->x_stride;
        return RPU_OK;
    }
    layer->owns_y = 1;
    layer->y = rpu_buffer(capacity, size, &layer->y_stride);
    layer->dy = rpu_buffer(capacity, size, &layer->y_stride);
    if (rpu_layer_is_array(layer->spec))
        good = allocate_vectors(layer, capacity, needs_gradient);
    else if (layer->spec->kind == RPU_LAYER_MAXPOOL)
        good = (layer->where = malloc(capacity * size)) != NULL;
    return good && layer->y && layer->dy ? RPU_OK : rpu_fail(err, RPU_ERR_NOMEM, "out of memory for a layer's buffers");
}

void rpu_layer_free(struct rpu_layer *layer) {
    if (layer->owns_y) {
        free(layer->y);
        free(layer->dy);
    }
    if (layer->spec && layer->spec->kind == RPU_LAYER_CONV) {
        free(layer->vectors);
        free(layer->gradients);
    }
    free(layer->trains);
    free(layer->stored);
    free(layer->part_counts);
    free(layer->where);
    rpu_array_destroy(layer->array);
}
