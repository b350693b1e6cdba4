/* SPDX-License-Identifier: Apache-2.0 */
/* What a training step does between the arrays: the kernels of its other layers, in the order of the step. Outputs of
 * arrays are fixed random numbers. */
#include "bound.h"

#include "layer.h"

#include <stdio.h>
#include <stdlib.h>

/* A layer with memory of its own. */
struct station {
    struct rpu_layer layer;
    float *x, *y, *zero, *vectors;
};

struct between {
    const struct rpu_kernels *k;
    struct rpu_config config;
    size_t count; /* without the softmax */
    struct station stations[RPU_LAYERS_MAX];
    float *probabilities;
};

static float *numbers(size_t count, uint64_t *rng) {
    float *v = room(count * sizeof *v);
    for (size_t i = 0; rng && i < count; i++)
        v[i] = (float)(2.0 * random_unit(rng) - 1.0);
    return v;
}

static void make_station(struct station *s, uint64_t *rng) {
    struct rpu_layer *l = &s->layer;
    s->x = numbers(rpu_shape_size(l->in) + 8, rng);
    s->y = numbers(rpu_shape_size(l->out) + 8, rng);
    s->zero = numbers(rpu_shape_size(l->out) + 8, NULL);
    if (l->spec->kind == RPU_LAYER_CONV) {
        l->ld = rpu_padded(rpu_layer_inputs(l));
        s->vectors = numbers(l->columns * l->ld, rng);
    } else if (l->spec->kind == RPU_LAYER_MAXPOOL)
        l->where = room(rpu_shape_size(l->out));
}

struct between *between_make(const struct rpu_engine *engine, const struct rpu_images *images, const char *preset) {
    struct between *b = room(sizeof *b);
    struct rpu_error err = {0};
    struct rpu_shape shape = {images->height, images->width, images->channels};
    enum rpu_status status = rpu_config_load(&b->config, preset, NULL, 0, &err);
    uint64_t rng = 13;
    b->k = &engine->table.k;
    for (uint32_t i = 0; status == RPU_OK && i + 1 < b->config.n_layers; i++) {
        struct station *s = &b->stations[b->count];
        status = rpu_layer_shape(&s->layer, &b->config.layers[i], shape, i + 1, &err);
        if (status != RPU_OK)
            break;
        shape = s->layer.out;
        make_station(s, &rng);
        b->count++;
    }
    b->probabilities = numbers(rpu_shape_size(shape), &rng);
    if (status != RPU_OK) {
        fprintf(stderr, "rpubench-bench: %s\n", err.message);
        between_free(b);
        return NULL;
    }
    return b;
}

void between_free(struct between *b) {
    for (size_t i = 0; b && i < b->count; i++) {
        free(b->stations[i].x);
        free(b->stations[i].y);
        free(b->stations[i].zero);
        free(b->stations[i].vectors);
        free(b->stations[i].layer.where);
    }
    if (b)
        free(b->probabilities);
    free(b);
}

static void forth(const struct between *b, struct station *s) {
    const struct rpu_layer *l = &s->layer;
    if (l->spec->kind == RPU_LAYER_CONV)
        b->k->im2col(&l->conv, s->x, 0, l->columns, s->vectors, l->ld);
    else if (l->spec->kind == RPU_LAYER_MAXPOOL)
        b->k->maxpool(&l->pool, s->x, 0, l->out.height, s->y, l->where);
    else if (l->spec->kind == RPU_LAYER_TANH)
        b->k->tanh(rpu_shape_size(l->out), s->x, s->y);
}

/* `first`: the first array, whose own gradient nobody needs. Outputs of 0 leave the gradient of tanh as it is, in
 * place, from call to call. */
static void back(const struct between *b, struct station *s, int first) {
    const struct rpu_layer *l = &s->layer;
    if (l->spec->kind == RPU_LAYER_CONV && !first)
        b->k->col2im(&l->conv, s->vectors, l->ld, 0, l->in.height, s->x);
    else if (l->spec->kind == RPU_LAYER_MAXPOOL)
        b->k->unpool(&l->pool, s->y, l->where, s->x);
    else if (l->spec->kind == RPU_LAYER_TANH)
        b->k->dtanh(rpu_shape_size(l->out), s->zero, s->y);
}

void between_run(void *between, uint64_t n) {
    struct between *b = between;
    struct station *last = &b->stations[b->count - 1];
    for (uint64_t k = 0; k < n; k++) {
        for (size_t i = 0; i < b->count; i++)
            forth(b, &b->stations[i]);
        b->k->softmax(rpu_shape_size(last->layer.out), last->y, b->probabilities);
        for (size_t i = b->count; i-- > 0;)
            back(b, &b->stations[i], i == 0);
    }
}
