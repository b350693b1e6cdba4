/* SPDX-License-Identifier: Apache-2.0 */
/* Networks: gradients against finite differences on perfect tiles, shapes, and results that depend on neither threads
 * nor variants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "images.h"

#include <rpu/network.h>
#include <rpu/train.h>

enum { CLASSES = 3, IMAGES = 24 };

static struct rpu_layer_spec array(enum rpu_layer_kind kind, uint32_t outputs, uint32_t kernel, uint32_t stride,
                                   uint32_t padding, uint32_t bias) {
    struct rpu_layer_spec s = {
        .kind = kind, .outputs = outputs, .kernel = kernel, .stride = stride, .padding = padding, .bias = bias};
    rpu_tile_params_baseline(&s.tile);
    s.tile.device.kind = RPU_DEVICE_PERFECT;
    return s;
}

static struct rpu_layer_spec plain(enum rpu_layer_kind kind) {
    struct rpu_layer_spec s = {.kind = kind};
    return s;
}

static struct rpu_layer_spec pool(uint32_t window, uint32_t stride) {
    struct rpu_layer_spec s = {.kind = RPU_LAYER_MAXPOOL, .kernel = window, .stride = stride};
    return s;
}

static struct rpu_config configure(const struct rpu_layer_spec *layers, size_t n) {
    struct rpu_config c;
    memset(&c, 0, sizeof c);
    memcpy(c.layers, layers, n * sizeof *layers);
    c.n_layers = (uint32_t)n;
    c.epochs = 1;
    c.batch = 1;
    c.eta = 0.0625f;
    c.seed = 7;
    return c;
}

static double loss_of(struct rpu_network *n, const struct rpu_images *im, uint32_t image) {
    double loss = 0.0;
    assert_int_equal(rpu_network_evaluate(n, im, image, 1, 0, NULL, &loss), RPU_OK);
    return loss;
}

/* Central difference of the loss with respect to one weight. */
static double difference(struct rpu_network *n, struct rpu_tile *tile, float *w, size_t at, const struct rpu_images *im,
                         uint32_t image) {
    const float held = w[at], h = 0x1p-10f;
    double up, down;
    w[at] = held + h;
    rpu_tile_set_weights(tile, w);
    up = loss_of(n, im, image);
    w[at] = held - h;
    rpu_tile_set_weights(tile, w);
    down = loss_of(n, im, image);
    w[at] = held;
    rpu_tile_set_weights(tile, w);
    return (up - down) / (2.0 * (double)h);
}

/* A training step on a perfect tile moves a weight by -eta times its gradient. Every array's gradient is compared with
 * differences at up to 60 weights; the share that disagrees (a difference may straddle a kink of relu or of a maximum)
 * must stay below 3 %. */
static void check_gradients(const struct rpu_config *config, uint32_t height, uint32_t width, uint32_t channels) {
    struct rpu_images im = make_images(12345, IMAGES, height, width, channels, CLASSES);
    struct rpu_engine *engine;
    struct rpu_network *n;
    struct rpu_error err;
    size_t checked = 0, wrong = 0;
    double strongest = 0.0;
    assert_int_equal(rpu_engine_create(&engine, NULL, 1, NULL), RPU_OK);
    if (rpu_network_create(&n, engine, config, height, width, channels, CLASSES, &err) != RPU_OK)
        fail_msg("%s", err.message);
    for (size_t a = 0; a < rpu_network_array_count(n); a++) {
        struct rpu_tile *tile = rpu_network_tile(n, a);
        const size_t size = (size_t)rpu_tile_outputs(tile) * rpu_tile_inputs(tile);
        float *before = malloc(size * sizeof *before), *after = malloc(size * sizeof *after);
        const uint32_t image = (uint32_t)a + 1;
        float *all[8];
        /* the step changes every array: all are put back */
        for (size_t b = 0; b < rpu_network_array_count(n); b++) {
            struct rpu_tile *t = rpu_network_tile(n, b);
            all[b] = malloc((size_t)rpu_tile_outputs(t) * rpu_tile_inputs(t) * sizeof(float));
            rpu_tile_get_weights(t, all[b]);
        }
        rpu_tile_get_weights(tile, before);
        assert_int_equal(rpu_network_train(n, &im, &image, 1, 0, NULL), RPU_OK);
        rpu_tile_get_weights(tile, after);
        for (size_t b = 0; b < rpu_network_array_count(n); b++) {
            rpu_tile_set_weights(rpu_network_tile(n, b), all[b]);
            free(all[b]);
        }
        for (size_t k = 0; k < 60 && k < size; k++) {
            const size_t at = size <= 60 ? k : (k * 7919) % size;
            const double moved = ((double)after[at] - (double)before[at]) / -(double)config->eta;
            const double expected = difference(n, tile, before, at, &im, image);
            strongest = fabs(expected) > strongest ? fabs(expected) : strongest;
            checked++;
            wrong += fabs(moved - expected) > 4e-4 + 0.01 * fabs(expected);
        }
        free(before);
        free(after);
    }
    assert_true(strongest > 0.01);
    if (wrong * 100 > checked * 3)
        fail_msg("%zu of %zu gradients disagree with finite differences", wrong, checked);
    rpu_network_destroy(n);
    rpu_engine_destroy(engine);
    free(im.pixels);
    free(im.labels);
}

static void gradients_of_a_cnn(void **state) {
    const struct rpu_layer_spec layers[] = {array(RPU_LAYER_CONV, 5, 3, 1, 0, 1),
                                            pool(2, 2),
                                            plain(RPU_LAYER_TANH),
                                            array(RPU_LAYER_CONV, 9, 2, 1, 0, 1),
                                            plain(RPU_LAYER_TANH),
                                            array(RPU_LAYER_FC, 7, 0, 0, 0, 1),
                                            plain(RPU_LAYER_TANH),
                                            array(RPU_LAYER_FC, 3, 0, 0, 0, 1),
                                            plain(RPU_LAYER_SOFTMAX)};
    const struct rpu_config c = configure(layers, 9);
    (void)state;
    check_gradients(&c, 10, 9, 1);
}

static void gradients_with_padding_and_stride(void **state) {
    const struct rpu_layer_spec layers[] = {array(RPU_LAYER_CONV, 8, 3, 2, 1, 1),
                                            plain(RPU_LAYER_SIGMOID),
                                            array(RPU_LAYER_CONV, 17, 3, 1, 2, 0),
                                            plain(RPU_LAYER_TANH),
                                            pool(3, 2),
                                            array(RPU_LAYER_CONV, 4, 2, 2, 1, 1),
                                            plain(RPU_LAYER_SIGMOID),
                                            array(RPU_LAYER_FC, 3, 0, 0, 0, 0),
                                            plain(RPU_LAYER_SOFTMAX)};
    const struct rpu_config c = configure(layers, 9);
    (void)state;
    check_gradients(&c, 11, 12, 3);
}

static void gradients_with_relu(void **state) {
    const struct rpu_layer_spec layers[] = {array(RPU_LAYER_CONV, 16, 5, 1, 2, 1),
                                            plain(RPU_LAYER_RELU),
                                            pool(2, 2),
                                            array(RPU_LAYER_FC, 20, 0, 0, 0, 1),
                                            plain(RPU_LAYER_RELU),
                                            array(RPU_LAYER_FC, 3, 0, 0, 0, 1),
                                            plain(RPU_LAYER_SOFTMAX)};
    const struct rpu_config c = configure(layers, 7);
    (void)state;
    check_gradients(&c, 8, 8, 2);
}

static void gradients_through_two_activations(void **state) {
    const struct rpu_layer_spec layers[] = {array(RPU_LAYER_FC, 12, 0, 0, 0, 1),
                                            plain(RPU_LAYER_TANH),
                                            plain(RPU_LAYER_SIGMOID),
                                            plain(RPU_LAYER_TANH),
                                            array(RPU_LAYER_FC, 9, 0, 0, 0, 1),
                                            plain(RPU_LAYER_TANH),
                                            array(RPU_LAYER_FC, 3, 0, 0, 0, 1),
                                            plain(RPU_LAYER_SOFTMAX)};
    const struct rpu_config c = configure(layers, 8);
    (void)state;
    check_gradients(&c, 6, 5, 2);
}

static struct rpu_config small_rpu(int perfect, uint32_t batch) {
    struct rpu_layer_spec layers[] = {array(RPU_LAYER_CONV, 6, 3, 1, 0, 1),
                                      pool(2, 2),
                                      plain(RPU_LAYER_TANH),
                                      array(RPU_LAYER_CONV, 10, 3, 1, 1, 1),
                                      plain(RPU_LAYER_TANH),
                                      array(RPU_LAYER_FC, 12, 0, 0, 0, 1),
                                      plain(RPU_LAYER_TANH),
                                      array(RPU_LAYER_FC, 3, 0, 0, 0, 1),
                                      plain(RPU_LAYER_SOFTMAX)};
    struct rpu_config c;
    for (size_t i = 0; i < 9; i++) {
        struct rpu_tile_params *t = &layers[i].tile;
        t->device.kind = perfect ? RPU_DEVICE_PERFECT : RPU_DEVICE_CONSTANT_STEP;
        t->backward.nm = RPU_NM_ABS_MAX;
        t->forward.bm = RPU_BM_ITERATIVE;
        t->forward.bound = 1.0f; /* low, so that bound management has work */
        t->update.um = (int32_t)(i % 2);
        t->update.bl = i == 3 ? 7 : 1;
    }
    c = configure(layers, 9);
    c.batch = batch;
    c.epochs = 2;
    return c;
}

static uint64_t train_digest(const struct rpu_config *c, const struct rpu_dataset *data, const char *isa, int threads,
                             double *loss) {
    struct rpu_engine *engine;
    struct rpu_training *run;
    struct rpu_error err;
    uint64_t digest = 0;
    if (rpu_engine_create(&engine, isa, threads, &err) != RPU_OK)
        fail_msg("%s", err.message);
    if (rpu_training_create(&run, engine, c, data, &err) != RPU_OK)
        fail_msg("%s", err.message);
    assert_int_equal(rpu_training_run(run, NULL, NULL, &err), RPU_OK);
    assert_int_equal(rpu_network_digest(rpu_training_network(run), &digest), RPU_OK);
    assert_int_equal(rpu_training_epoch_count(run), c->epochs);
    *loss = rpu_training_epoch(run, c->epochs - 1)->test_loss;
    rpu_training_destroy(run);
    rpu_engine_destroy(engine);
    return digest;
}

static void same_bits_for_threads_and_variants(void **state) {
    static const int threads[] = {1, 2, 3, 4, 7};
    struct rpu_dataset data = {make_images(12345, IMAGES, 10, 9, 2, CLASSES),
                               make_images(12345, IMAGES, 10, 9, 2, CLASSES)};
    (void)state;
    for (int perfect = 0; perfect < 2; perfect++)
        for (uint32_t batch = 1; batch <= 64; batch *= 8) {
            const struct rpu_config c = small_rpu(perfect, batch);
            double loss, first_loss;
            const uint64_t first = train_digest(&c, &data, "generic", 1, &first_loss);
            for (size_t i = 0; i < rpu_isa_count(); i++)
                for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
                    const uint64_t digest = train_digest(&c, &data, rpu_isa_name(i), threads[t], &loss);
                    if (digest != first || memcmp(&loss, &first_loss, sizeof loss) != 0)
                        fail_msg("%s, %d threads, batch %u: digest %016llx, loss %a; generic on one: %016llx, %a",
                                 rpu_isa_name(i), threads[t], batch, (unsigned long long)digest, loss,
                                 (unsigned long long)first, first_loss);
                }
        }
    rpu_dataset_free(&data);
}

/* Threads that share an image load the rows of their bands by themselves: four bands of three rows, with rows of the
 * padding at both ends. */
static void same_bits_for_bands_with_padding_and_stride(void **state) {
    static const int threads[] = {2, 3, 7};
    struct rpu_layer_spec layers[] = {array(RPU_LAYER_CONV, 24, 5, 2, 2, 1), plain(RPU_LAYER_TANH),
                                      array(RPU_LAYER_FC, 3, 0, 0, 0, 1), plain(RPU_LAYER_SOFTMAX)};
    struct rpu_dataset data = {make_images(12345, IMAGES, 24, 20, 2, CLASSES),
                               make_images(12345, IMAGES, 24, 20, 2, CLASSES)};
    double loss, first_loss;
    (void)state;
    for (size_t i = 0; i < 4; i += 2)
        layers[i].tile.device.kind = RPU_DEVICE_CONSTANT_STEP;
    struct rpu_config c = configure(layers, 4);
    c.batch = c.epochs = 1;
    const uint64_t first = train_digest(&c, &data, "generic", 1, &first_loss);
    for (size_t i = 0; i < rpu_isa_count(); i++)
        for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
            const uint64_t digest = train_digest(&c, &data, rpu_isa_name(i), threads[t], &loss);
            if (digest != first || memcmp(&loss, &first_loss, sizeof loss) != 0)
                fail_msg("%s, %d threads", rpu_isa_name(i), threads[t]);
        }
    rpu_dataset_free(&data);
}

static void a_minibatch_sees_the_weights_of_its_start(void **state) {
    /* two images in one minibatch of a perfect network move the weights by the sum of what each moves alone */
    struct rpu_images im = make_images(12345, IMAGES, 10, 9, 2, CLASSES);
    const struct rpu_config c = small_rpu(1, 2);
    const uint32_t both[2] = {3, 5};
    struct rpu_engine *engine;
    float w[4][64], start[64];
    (void)state;
    assert_int_equal(rpu_engine_create(&engine, NULL, 1, NULL), RPU_OK);
    for (int run = 0; run < 3; run++) {
        struct rpu_network *n;
        assert_int_equal(rpu_network_create(&n, engine, &c, 10, 9, 2, CLASSES, NULL), RPU_OK);
        struct rpu_tile *last = rpu_network_tile(n, 3);
        assert_int_equal((size_t)rpu_tile_outputs(last) * rpu_tile_inputs(last), 39);
        rpu_tile_get_weights(last, start);
        assert_int_equal(rpu_network_train(n, &im, run == 1 ? both + 1 : both, run == 2 ? 2 : 1, 0, NULL), RPU_OK);
        rpu_tile_get_weights(last, w[run]);
        rpu_network_destroy(n);
    }
    for (size_t i = 0; i < 39; i++) {
        const double sum = (double)w[0][i] + (double)w[1][i] - 2.0 * (double)start[i];
        assert_true(fabs((double)w[2][i] - (double)start[i] - sum) < 1e-6);
    }
    rpu_engine_destroy(engine);
    free(im.pixels);
    free(im.labels);
}

static void evaluation_changes_no_training_number(void **state) {
    struct rpu_images im = make_images(12345, IMAGES, 10, 9, 2, CLASSES);
    const struct rpu_config c = small_rpu(0, 1);
    struct rpu_engine *engine;
    uint64_t digest[2];
    (void)state;
    assert_int_equal(rpu_engine_create(&engine, NULL, 1, NULL), RPU_OK);
    for (int run = 0; run < 2; run++) {
        struct rpu_network *n;
        assert_int_equal(rpu_network_create(&n, engine, &c, 10, 9, 2, CLASSES, NULL), RPU_OK);
        for (uint32_t i = 0; i < 10; i++) {
            assert_int_equal(rpu_network_train(n, &im, &i, 1, i, NULL), RPU_OK);
            if (run)
                (void)loss_of(n, &im, i);
        }
        assert_int_equal(rpu_network_digest(n, &digest[run]), RPU_OK);
        rpu_network_destroy(n);
    }
    assert_true(digest[0] == digest[1]);
    rpu_engine_destroy(engine);
    free(im.pixels);
    free(im.labels);
}

static void cleared_statistics_are_zero(void **state) {
    struct rpu_images im = make_images(12345, IMAGES, 10, 9, 2, CLASSES);
    const struct rpu_config c = small_rpu(0, 1);
    const struct rpu_array_stats zero = {0};
    struct rpu_array_stats s;
    struct rpu_engine *engine;
    struct rpu_network *n;
    (void)state;
    assert_int_equal(rpu_engine_create(&engine, NULL, 1, NULL), RPU_OK);
    assert_int_equal(rpu_network_create(&n, engine, &c, 10, 9, 2, CLASSES, NULL), RPU_OK);
    for (uint32_t round = 1; round <= 2; round++) {
        for (uint32_t i = 0; i < 5 * round; i++)
            assert_int_equal(rpu_network_train(n, &im, &i, 1, i, NULL), RPU_OK);
        for (size_t a = 0; a < rpu_network_array_count(n); a++) {
            assert_int_equal(rpu_network_array_stats(n, a, &s), RPU_OK);
            assert_int_equal(s.images, 5 * round); /* counting starts again after a clear */
            assert_true(s.forward.columns > 0);
            assert_true(s.seconds[RPU_CYCLE_FORWARD] > 0.0);
            assert_int_equal(s.backward.columns > 0, a > 0);
        }
        rpu_network_clear_stats(n);
        for (size_t a = 0; a < rpu_network_array_count(n); a++) {
            assert_int_equal(rpu_network_array_stats(n, a, &s), RPU_OK);
            assert_memory_equal(&s, &zero, sizeof s);
        }
    }
    rpu_network_destroy(n);
    rpu_engine_destroy(engine);
    free(im.pixels);
    free(im.labels);
}

static void refuse(const struct rpu_layer_spec *layers, size_t count, uint32_t side, const char *expected) {
    const struct rpu_config c = configure(layers, count);
    struct rpu_engine *engine;
    struct rpu_network *n;
    struct rpu_error err;
    assert_int_equal(rpu_engine_create(&engine, NULL, 1, NULL), RPU_OK);
    assert_int_equal(rpu_network_create(&n, engine, &c, side, side, 1, CLASSES, &err), RPU_ERR_SHAPE);
    assert_null(n);
    if (!strstr(err.message, expected))
        fail_msg("\"%s\" does not say \"%s\"", err.message, expected);
    rpu_engine_destroy(engine);
}

static void shapes_that_do_not_fit(void **state) {
    const struct rpu_layer_spec softmax = plain(RPU_LAYER_SOFTMAX), tanh_ = plain(RPU_LAYER_TANH);
    const struct rpu_layer_spec kernel[] = {array(RPU_LAYER_CONV, 4, 9, 1, 0, 1), softmax};
    const struct rpu_layer_spec window[] = {array(RPU_LAYER_CONV, 4, 3, 1, 0, 1), pool(7, 2), softmax};
    const struct rpu_layer_spec classes[] = {array(RPU_LAYER_FC, 2, 0, 0, 0, 1), softmax};
    const struct rpu_layer_spec open[] = {array(RPU_LAYER_FC, 3, 0, 0, 0, 1), tanh_};
    const struct rpu_layer_spec none[] = {tanh_, softmax};
    const struct rpu_layer_spec stride[] = {array(RPU_LAYER_CONV, 4, 3, 0, 0, 1), softmax};
    (void)state;
    refuse(kernel, 2, 8, "larger than its input");
    refuse(window, 3, 8, "larger than its input");
    refuse(classes, 2, 8, "3 classes");
    refuse(open, 2, 8, "softmax");
    refuse(none, 2, 8, "at least one array");
    refuse(stride, 2, 8, "stride");
}

static void shuffles_are_permutations(void **state) {
    enum { N = 1000 };
    uint32_t a[N], b[N], seen[N], fixed = 0;
    (void)state;
    rpu_shuffle(a, N, 1, 0);
    rpu_shuffle(b, N, 1, 0);
    assert_memory_equal(a, b, sizeof a);
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < N; i++) {
        assert_true(a[i] < N);
        assert_int_equal(seen[a[i]]++, 0);
        fixed += a[i] == i;
    }
    assert_true(fixed < 10);
    rpu_shuffle(b, N, 1, 1);
    assert_memory_not_equal(a, b, sizeof a);
    rpu_shuffle(b, N, 2, 0);
    assert_memory_not_equal(a, b, sizeof a);
}

/* Each value must come to each position equally often: chi-square over 6 positions and values, 60,000 shuffles. */
static void shuffles_are_uniform(void **state) {
    enum { N = 6, ROUNDS = 60000 };
    uint32_t count[N][N], order[N];
    double chi = 0.0;
    (void)state;
    memset(count, 0, sizeof count);
    for (uint32_t r = 0; r < ROUNDS; r++) {
        rpu_shuffle(order, N, 5, r);
        for (size_t i = 0; i < N; i++)
            count[i][order[i]]++;
    }
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            const double d = (double)count[i][j] - ROUNDS / (double)N;
            chi += d * d / (ROUNDS / (double)N);
        }
    assert_true(chi < 74.0); /* 25 degrees of freedom: exceeded by chance once in 10^6 */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_a_cnn),
        cmocka_unit_test(gradients_with_padding_and_stride),
        cmocka_unit_test(gradients_with_relu),
        cmocka_unit_test(gradients_through_two_activations),
        cmocka_unit_test(same_bits_for_threads_and_variants),
        cmocka_unit_test(same_bits_for_bands_with_padding_and_stride),
        cmocka_unit_test(a_minibatch_sees_the_weights_of_its_start),
        cmocka_unit_test(evaluation_changes_no_training_number),
        cmocka_unit_test(cleared_statistics_are_zero),
        cmocka_unit_test(shapes_that_do_not_fit),
        cmocka_unit_test(shuffles_are_permutations),
        cmocka_unit_test(shuffles_are_uniform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
