/* SPDX-License-Identifier: Apache-2.0 */
/* A network that several processes share: here several threads of one, each with a network and an engine of its own,
 * which gather through common memory. Weights, losses, guesses and counts are those of a process alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "exchange.h"
#include "images.h"
#include "network_inside.h"

#include <rpu/network.h>
#include <rpu/train.h>

enum { CLASSES = 3, IMAGES = 21, HEIGHT = 10, WIDTH = 9, CHANNELS = 2, MOST = 5, ARRAYS = 4 };

/* ---- a job of threads ---- */

struct job {
    int size;
    pthread_barrier_t barrier;
    const void *blocks[MOST];
    int fails_at; /* the gathering that does not work; 0: none */
};

struct member {
    struct job *job;
    struct rpu_ranks ranks;
    const struct rpu_config *config;
    const struct rpu_images *images;
    size_t bytes; /* gathered at a time; 0: alone */
    int threads, calls, stop_after, stopped;
    enum rpu_status status;
    /* what came out */
    uint64_t digest, errors;
    double train_loss, test_loss;
    struct rpu_array_stats stats[ARRAYS];
};

static enum rpu_status allgather(void *context, size_t bytes, void *all, struct rpu_error *err) {
    struct member *m = context;
    m->job->blocks[m->ranks.rank] = (const char *)all + (size_t)m->ranks.rank * bytes;
    if (++m->calls == m->job->fails_at) {
        err->status = RPU_ERR_IO;
        snprintf(err->message, sizeof err->message, "the line is dead");
        return RPU_ERR_IO;
    }
    pthread_barrier_wait(&m->job->barrier);
    for (int r = 0; r < m->job->size; r++)
        if (r != m->ranks.rank)
            memcpy((char *)all + (size_t)r * bytes, m->job->blocks[r], bytes);
    pthread_barrier_wait(&m->job->barrier);
    return RPU_OK;
}

/* Two epochs with a partial minibatch at the end, and an evaluation after each. */
static enum rpu_status epochs(struct member *m, struct rpu_network *n) {
    enum rpu_status status = RPU_OK;
    uint64_t step = 0;
    uint32_t order[IMAGES];
    for (uint32_t e = 0; e < 2; e++) {
        rpu_shuffle(order, IMAGES, m->config->seed, e);
        for (uint32_t done = 0; done < IMAGES && status == RPU_OK;) {
            const uint32_t left = IMAGES - done, count = left < m->config->batch ? left : m->config->batch;
            status = rpu_network_train(n, m->images, order + done, count, step, &m->train_loss);
            done += count;
            step += count;
            if (status == RPU_OK && rpu_network_stops(n, m->stop_after && step >= (uint64_t)m->stop_after)) {
                m->stopped = (int)step;
                return RPU_OK;
            }
        }
        if (status == RPU_OK)
            status = rpu_network_evaluate(n, m->images, 0, IMAGES, (uint64_t)e * IMAGES, &m->errors, &m->test_loss);
    }
    return status;
}

static enum rpu_status train(struct member *m, struct rpu_engine *engine) {
    struct rpu_network *n;
    struct rpu_error err;
    enum rpu_status status = rpu_network_create(&n, engine, m->config, HEIGHT, WIDTH, CHANNELS, CLASSES, &err);
    if (status != RPU_OK)
        return status;
    if (m->bytes)
        status = rpu_exchange_create(n, &m->ranks, m->bytes, &err);
    if (status == RPU_OK)
        status = epochs(m, n);
    if (status == RPU_OK)
        status = rpu_network_digest(n, &m->digest);
    for (size_t a = 0; a < rpu_network_array_count(n) && status == RPU_OK; a++)
        status = rpu_network_array_stats(n, a, &m->stats[a]);
    if (status == RPU_ERR_IO && strcmp(rpu_network_exchange_failure(n), "the line is dead") != 0)
        status = RPU_ERR_FORMAT;
    rpu_network_destroy(n);
    return status;
}

static void *run_member(void *context) {
    struct member *m = context;
    struct rpu_engine *engine;
    m->status = rpu_engine_create(&engine, NULL, m->threads, NULL);
    if (m->status == RPU_OK) {
        m->status = train(m, engine);
        rpu_engine_destroy(engine);
    }
    return NULL;
}

static void run_job(struct job *job, struct member *members, const struct member *what) {
    pthread_t threads[MOST];
    pthread_barrier_init(&job->barrier, NULL, (unsigned)job->size);
    for (int r = 0; r < job->size; r++) {
        members[r] = *what;
        members[r].job = job;
        members[r].ranks = (struct rpu_ranks){r, job->size, &members[r], allgather};
        members[r].threads = 1 + r % 3;
        members[r].stop_after = r == job->size - 1 ? what->stop_after : 0;
        assert_int_equal(pthread_create(&threads[r], NULL, run_member, &members[r]), 0);
    }
    for (int r = 0; r < job->size; r++)
        pthread_join(threads[r], NULL);
    pthread_barrier_destroy(&job->barrier);
}

/* ---- networks ---- */

static struct rpu_layer_spec conv(uint32_t outputs, uint32_t kernel, uint32_t stride, uint32_t padding) {
    return (struct rpu_layer_spec){
        .kind = RPU_LAYER_CONV, .outputs = outputs, .kernel = kernel, .stride = stride, .padding = padding, .bias = 1};
}

static struct rpu_layer_spec fc(uint32_t outputs) {
    return (struct rpu_layer_spec){.kind = RPU_LAYER_FC, .outputs = outputs, .bias = 1};
}

static struct rpu_layer_spec pool(uint32_t window, uint32_t stride) {
    return (struct rpu_layer_spec){.kind = RPU_LAYER_MAXPOOL, .kernel = window, .stride = stride};
}

static struct rpu_layer_spec plain(enum rpu_layer_kind kind) {
    return (struct rpu_layer_spec){.kind = kind};
}

/* Networks in which every form of inputs and errors occurs. */
enum { NETWORKS = 4 };

static struct rpu_config configure(int network, int perfect, uint32_t batch) {
    const struct rpu_layer_spec tanh_ = plain(RPU_LAYER_TANH), softmax = plain(RPU_LAYER_SOFTMAX);
    const struct rpu_layer_spec networks[NETWORKS][9] = {
        /* pooled errors; activations */
        {conv(6, 3, 1, 0), pool(2, 2), tanh_, conv(10, 3, 1, 1), tanh_, fc(12), tanh_, fc(3), softmax},
        /* pooling that overlaps; vectors that are fewer than the activations; two activations in a row */
        {conv(8, 3, 1, 1), tanh_, conv(5, 1, 3, 0), pool(2, 1), tanh_, plain(RPU_LAYER_SIGMOID), fc(3), softmax},
        /* fully connected from the first */
        {fc(20), plain(RPU_LAYER_RELU), fc(9), tanh_, fc(3), softmax},
        /* no array at first; an array behind a pooling that shortens nothing */
        {pool(2, 2), tanh_, conv(7, 2, 1, 0), pool(1, 1), tanh_, fc(3), softmax}};
    struct rpu_config c;
    memset(&c, 0, sizeof c);
    c.batch = batch;
    c.eta = 0.0625f;
    c.seed = 7 + (uint64_t)network;
    for (; c.n_layers < 9 && (c.n_layers == 0 || c.layers[c.n_layers - 1].kind != RPU_LAYER_SOFTMAX); c.n_layers++) {
        struct rpu_layer_spec *l = &c.layers[c.n_layers];
        *l = networks[network][c.n_layers];
        rpu_tile_params_baseline(&l->tile);
        l->tile.device.kind = perfect ? RPU_DEVICE_PERFECT : RPU_DEVICE_CONSTANT_STEP;
        l->tile.backward.nm = RPU_NM_ABS_MAX;
        l->tile.forward.bm = RPU_BM_ITERATIVE;
        l->tile.forward.bound = 1.0f;
        l->tile.update.um = 1;
        l->tile.devices = network == 0 ? 3 : 1;
        l->tile.copies = network == 1 ? 2 : 1;
        l->tile.division = RPU_DIVISION_REDRAWN;
        l->tile.max_rows = network == 2 ? 8 : 0;
        l->tile.max_cols = network == 2 ? 50 : 0;
    }
    return c;
}

/* ---- tests ---- */

static int same_counts(const struct member *a, const struct member *b) {
    int same = 1;
    for (size_t i = 0; i < ARRAYS; i++)
        same = same && a->stats[i].images == b->stats[i].images &&
               memcmp(&a->stats[i].forward, &b->stats[i].forward, sizeof a->stats[i].forward) == 0 &&
               memcmp(&a->stats[i].backward, &b->stats[i].backward, sizeof a->stats[i].backward) == 0 &&
               memcmp(&a->stats[i].update, &b->stats[i].update, sizeof a->stats[i].update) == 0;
    return same;
}

static void compare(const struct member *m, const struct member *alone, int network) {
    if (m->status != RPU_OK)
        fail_msg("%s", rpu_status_name(m->status));
    if (m->digest != alone->digest || m->errors != alone->errors || !same_counts(m, alone) ||
        memcmp(&m->train_loss, &alone->train_loss, sizeof m->train_loss) != 0 ||
        memcmp(&m->test_loss, &alone->test_loss, sizeof m->test_loss) != 0)
        fail_msg(
            "network %d, batch %u, process %d of %d, %zu bytes: digest %016llx, losses %a and %a; alone %016llx, %a "
            "and %a; counts %s",
            network, m->config->batch, m->ranks.rank, m->ranks.size, m->bytes, (unsigned long long)m->digest,
            m->train_loss, m->test_loss, (unsigned long long)alone->digest, alone->train_loss, alone->test_loss,
            same_counts(m, alone) ? "same" : "differ");
}

/* Batches that the processes divide evenly or not, that are smaller than their number, and single images; all at once,
 * some, and image by image. */
static void the_same_as_alone(void **state) {
    static const uint32_t batches[] = {1, 2, 8, IMAGES};
    static const size_t bytes[] = {1, 6000, 16000, RPU_EXCHANGE_BYTES}; /* 6000 and 16000: some images in a round */
    struct rpu_images images = make_images(777, IMAGES, HEIGHT, WIDTH, CHANNELS, CLASSES);
    (void)state;
    for (int network = 0; network < NETWORKS; network++)
        for (int k = 0; k < 8; k++) {
            const struct rpu_config c = configure(network, k / 4, batches[k % 4]);
            struct member alone = {.config = &c, .images = &images, .threads = 1}, members[MOST];
            run_member(&alone);
            assert_int_equal(alone.status, RPU_OK);
            assert_true(alone.digest != 0 && alone.stats[0].images == 2 * IMAGES);
            for (int size = 1; size <= MOST; size += size < 3 ? 1 : 2)
                for (int b = (network + k + size) % 2; b < 4; b += 2) { /* two of the four, in turn */
                    struct job job = {.size = size};
                    struct member what = {.config = &c, .images = &images, .bytes = bytes[b]};
                    run_job(&job, members, &what);
                    for (int r = 0; r < size; r++)
                        compare(&members[r], &alone, network);
                }
        }
    free(images.pixels);
    free(images.labels);
}

static void all_stop_after_the_same_minibatch(void **state) {
    struct rpu_images images = make_images(777, IMAGES, HEIGHT, WIDTH, CHANNELS, CLASSES);
    const struct rpu_config c = configure(0, 0, 4);
    struct member members[MOST], what = {.config = &c, .images = &images, .bytes = RPU_EXCHANGE_BYTES, .stop_after = 8};
    struct job job = {.size = 3};
    (void)state;
    run_job(&job, members, &what);
    for (int r = 0; r < job.size; r++) {
        assert_int_equal(members[r].status, RPU_OK);
        assert_int_equal(members[r].stopped, 12); /* asked for after 8, heard with the next exchange */
        assert_true(members[r].digest == members[0].digest);
    }
    free(images.pixels);
    free(images.labels);
}

static void an_exchange_that_fails_is_reported(void **state) {
    struct rpu_images images = make_images(777, IMAGES, HEIGHT, WIDTH, CHANNELS, CLASSES);
    const struct rpu_config c = configure(0, 0, 4);
    (void)state;
    for (int call = 1; call <= 8; call++) { /* the seventh is that of the evaluation */
        struct member members[MOST], what = {.config = &c, .images = &images, .bytes = RPU_EXCHANGE_BYTES};
        struct job job = {.size = 2, .fails_at = call};
        run_job(&job, members, &what);
        assert_int_equal(members[0].status, RPU_ERR_IO);
        assert_int_equal(members[1].status, RPU_ERR_IO);
        assert_int_equal(members[0].calls, call);
    }
    free(images.pixels);
    free(images.labels);
}

static void wrong_processes_are_refused(void **state) {
    const struct rpu_config c = configure(0, 0, 4);
    const struct rpu_ranks wrong[] = {
        {0, 0, NULL, allgather}, {2, 2, NULL, allgather}, {-1, 2, NULL, allgather}, {0, 2, NULL, NULL}};
    struct rpu_engine *engine;
    struct rpu_network *n;
    struct rpu_error err;
    (void)state;
    assert_int_equal(rpu_engine_create(&engine, NULL, 1, NULL), RPU_OK);
    assert_int_equal(rpu_network_create(&n, engine, &c, HEIGHT, WIDTH, CHANNELS, CLASSES, &err), RPU_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(rpu_network_share(n, &wrong[i], &err), RPU_ERR_ARG);
    assert_int_equal(rpu_network_share(n, NULL, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_network_share(NULL, &wrong[0], &err), RPU_ERR_ARG);
    rpu_network_destroy(n);
    rpu_engine_destroy(engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_as_alone),
        cmocka_unit_test(all_stop_after_the_same_minibatch),
        cmocka_unit_test(an_exchange_that_fails_is_reported),
        cmocka_unit_test(wrong_processes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
