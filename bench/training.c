/* SPDX-License-Identifier: Apache-2.0 */
/* The network of the paper in training: real inputs and errors, and the whole step. */
#include "amount.h"
#include "array.h"
#include "bench.h"
#include "network_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_MOST = 16 }; /* images of a check */
#define SOME_WORK 2.6e9   /* crosspoints times columns of training_some: two images of AlexNet */

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

/* Crosspoints times columns of an image. */
static double work_of(const struct rpu_network *network) {
    double work = 0.0;
    for (size_t a = 0; a < rpu_network_array_count(network); a++) {
        struct rpu_array_info info;
        rpu_network_array_info(network, a, &info);
        work += (double)info.outputs * info.inputs * info.columns;
    }
    return work;
}

void training_some(struct training *t, uint32_t images) {
    const double most = SOME_WORK / work_of(t->network);
    uint32_t left = images < most ? images : most > 1.0 ? (uint32_t)most : 1;
    while (left > 0) {
        const uint32_t count = t->batch < left ? t->batch : left;
        train(t, count);
        left -= count;
    }
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

/* ---- against the oracle ---- */

/* Ten steps of an image, or one minibatch: the oracle is slow. Returns the weights' digest, 0 without a network. */
static uint64_t digest_after(const struct rpu_engine *engine, const struct rpu_images *images, const char *preset,
                             uint32_t batch) {
    struct training t = {0};
    uint64_t digest = 0;
    if (training_make(&t, engine, images, preset, batch)) {
        training_some(&t, batch == 1 ? 10 : batch < CHECK_MOST ? batch : CHECK_MOST);
        rpu_network_digest(t.network, &digest);
    }
    training_free(&t);
    return digest;
}

int training_check(const struct rpu_engine *oracle, const struct rpu_engine *engine, const struct rpu_images *images,
                   const char *preset, uint32_t batch, uint64_t *right) {
    if (*right == 0)
        *right = digest_after(oracle, images, preset, batch);
    return *right != 0 && digest_after(engine, images, preset, batch) == *right;
}

/* ---- what a minibatch amounts to ---- */

/* Errors of an array that are not 0, in the last minibatch. */
static double errors_of(const struct training *t, size_t array, uint32_t outputs) {
    double count = 0.0;
    for (uint32_t image = 0; image < t->batch; image++) {
        struct rpu_array_signals s;
        rpu_network_array_signals(t->network, array, image, &s);
        for (size_t p = 0; p < s.columns; p++)
            for (size_t i = 0; i < outputs; i++)
                count += s.d[p * s.ldd + i] != 0.0f;
    }
    return count;
}

/* The cycles of an array; returns their number. */
static size_t cycles_of(const struct training *t, size_t array, struct amount cycles[CYCLES]) {
    const struct rpu_tile_params *params = &rpu_network_array(t->network, array)->tiles[0]->params;
    struct rpu_array_info info;
    struct rpu_array_stats stats;
    size_t n = 0;
    rpu_network_array_info(t->network, array, &info);
    rpu_network_array_stats(t->network, array, &stats);
    const struct cycle_load load = {info.outputs, info.inputs, (double)info.columns * t->batch,
                                    errors_of(t, array, info.outputs),
                                    (double)stats.update.coincidences / (double)stats.images * t->batch};
    for (int c = 0; c < CYCLES; c++)
        if (c != RPU_CYCLE_BACKWARD || info.has_backward)
            cycles[n++] = cycle_amount((enum rpu_cycle)c, params, &load);
    return n;
}

void training_report(struct bench *b, struct gb_state *state, const struct training *t, int team, const char *more) {
    const size_t arrays = rpu_network_array_count(t->network);
    struct amount *all = room(arrays * CYCLES * sizeof *all);
    double set = 0.0;
    size_t n = 0;
    char level[16], text[96];
    for (size_t a = 0; a < arrays; a++) {
        n += cycles_of(t, a, all + n);
        set += all[n - 1].set; /* of the update, which touches all that the reads do */
    }
    for (size_t c = 0; c < n; c++)
        all[c].set = set;
    gb_counter(state, "images_per_second", t->batch, GB_EACH_ITERATION | GB_RATE);
    machine_report(b, state, all, n, team, level);
    snprintf(text, sizeof text, "hot; %s; in training%s", level, more);
    gb_label(state, text);
    free(all);
}
