/* SPDX-License-Identifier: Apache-2.0 */
/* The network of the paper in training: real inputs and errors, and the whole step. */
#include "bench.h"

#include "network_inside.h"

#include <stdio.h>
#include <string.h>

enum { CHECK_MOST = 16 }; /* images of a check */

int training_make(struct training *t, const struct rpu_engine *engine, const struct rpu_images *images,
                  const char *preset, uint32_t batch) {
    struct rpu_error err = {0};
    struct rpu_config config;
    enum rpu_status status;
    *t = (struct training){.images = images, .batch = batch};
    status = rpu_config_load(&config, preset, NULL, 0, &err);
    config.batch = batch;
    if (status == RPU_OK)
        status = rpu_network_create(&t->network, engine, &config, images->height, images->width, images->channels,
                                    images->classes, &err);
    if (status != RPU_OK)
        fprintf(stderr, "rpubench-bench: %s\n", err.message);
    return status == RPU_OK;
}

void training_free(struct training *t) {
    rpu_network_destroy(t->network);
    t->network = NULL;
}

/* One minibatch of the next `count` images. */
static void train(struct training *t, uint32_t count) {
    uint32_t index[TRAINING_BATCH_MOST];
    for (uint32_t i = 0; i < count; i++)
        index[i] = (uint32_t)((t->step + i) % t->images->count);
    rpu_network_train(t->network, t->images, index, count, t->step, NULL);
    t->step += count;
}

void training_run(void *training, uint64_t n) {
    struct training *t = training;
    for (uint64_t k = 0; k < n; k++)
        train(t, t->batch);
}

static void keep(struct inputs *in, const struct rpu_array_signals *s, const struct rpu_array_info *info,
                 uint32_t image) {
    if (image == 0) {
        *in = (struct inputs){.m = info->outputs,
                              .n = info->inputs,
                              .columns = s->columns,
                              .images = LENET_IMAGES,
                              .ldx = rpu_padded(info->inputs),
                              .ldd = info->outputs};
        in->x = room((size_t)LENET_IMAGES * s->columns * in->ldx * sizeof *in->x);
        in->d = room((size_t)LENET_IMAGES * s->columns * in->ldd * sizeof *in->d);
    }
    for (size_t p = 0; p < s->columns; p++) {
        const size_t to = (size_t)image * s->columns + p;
        memcpy(in->x + to * in->ldx, s->x + p * s->ldx, info->inputs * sizeof *in->x);
        memcpy(in->d + to * in->ldd, s->d + p * s->ldd, info->outputs * sizeof *in->d);
    }
}

void training_capture(struct training *t, struct inputs in[LENET_ARRAYS]) {
    for (uint32_t image = 0; image < LENET_IMAGES; image++) {
        training_run(t, 1);
        for (size_t a = 0; a < LENET_ARRAYS; a++) {
            struct rpu_array_signals signals;
            struct rpu_array_info info;
            rpu_network_array_info(t->network, a, &info);
            rpu_network_array_signals(t->network, a, 0, &signals);
            keep(&in[a], &signals, &info, image);
        }
    }
}

/* Ten steps of an image, or one minibatch: the oracle is slow. */
static void train_to_check(struct training *t) {
    if (t->batch == 1)
        training_run(t, 10);
    else
        train(t, t->batch < CHECK_MOST ? t->batch : CHECK_MOST);
}

int training_check(const struct rpu_engine *oracle, const struct rpu_engine *engine, const struct rpu_images *images,
                   const char *preset, uint32_t batch) {
    struct training a = {0}, b = {0};
    uint64_t digest_a = 0, digest_b = 1;
    int good = training_make(&a, oracle, images, preset, batch) && training_make(&b, engine, images, preset, batch);
    if (good) {
        train_to_check(&a);
        train_to_check(&b);
        good = rpu_network_digest(a.network, &digest_a) == RPU_OK &&
               rpu_network_digest(b.network, &digest_b) == RPU_OK && digest_a == digest_b;
    }
    training_free(&a);
    training_free(&b);
    return good;
}
