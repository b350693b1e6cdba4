/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a training is what the network did: losses, errors and counts of a run against those of the same
 * minibatches and evaluations, one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "images.h"
#include "small_network.h"

#include <rpu/train.h>

enum { CLASSES = 3, TRAIN = 14, TEST = 5, SIDE = 8, EPOCHS = 3, BATCH = 4 };

static struct rpu_engine *engine;
static struct rpu_config config;

static int set_up(void **state) {
    /* outputs that saturate, and bound management that rereads them */
    static const struct rpu_assignment list[] = {
        SMALL_NETWORK,
        {"training={epochs: 3, batch: 4, eta: 0.1}", NULL},
        {"arrays.K1.forward={bound: 0.4, bm: none}", NULL},
        {"arrays.W2.forward={bound: 0.2, bm_limit: 1}", NULL},
        {"arrays.W2.update={bl: 5, um: false}", NULL},
    };
    (void)state;
    return rpu_config_load(&config, "lenet-rpu", list, sizeof list / sizeof list[0], NULL) == RPU_OK &&
                   rpu_engine_create(&engine, NULL, 1, NULL) == RPU_OK
               ? 0
               : -1;
}

static int tear_down(void **state) {
    (void)state;
    rpu_engine_destroy(engine);
    return 0;
}

static struct rpu_network *make_network(const struct rpu_config *c) {
    struct rpu_network *n;
    struct rpu_error err;
    if (rpu_network_create(&n, engine, c, SIDE, SIDE, 1, CLASSES, &err) != RPU_OK)
        fail_msg("%s", err.message);
    return n;
}

/* An array's counts of an epoch are the difference of its statistics. */
static void check_counts(const struct rpu_array_epoch *e, const struct rpu_array_stats *before,
                         const struct rpu_array_stats *after) {
    assert_int_equal(e->forward.columns, after->forward.columns - before->forward.columns);
    assert_int_equal(e->forward.rereads, after->forward.rereads - before->forward.rereads);
    assert_int_equal(e->forward.saturated, after->forward.saturated - before->forward.saturated);
    assert_int_equal(e->backward.columns, after->backward.columns - before->backward.columns);
    assert_int_equal(e->backward.rereads, after->backward.rereads - before->backward.rereads);
    assert_int_equal(e->backward.saturated, after->backward.saturated - before->backward.saturated);
    assert_int_equal(e->update.row_pulses, after->update.row_pulses - before->update.row_pulses);
    assert_int_equal(e->update.column_pulses, after->update.column_pulses - before->update.column_pulses);
    assert_int_equal(e->update.coincidences, after->update.coincidences - before->update.coincidences);
    assert_int_equal(e->update.clipped, after->update.clipped - before->update.clipped);
}

/* One epoch by hand, beside its record. */
static void check_epoch(struct rpu_network *n, const struct rpu_dataset *data, uint32_t epoch,
                        const struct rpu_epoch *record) {
    struct rpu_array_stats before[3], after[3];
    uint32_t order[TRAIN];
    uint64_t errors = 0;
    double loss = 0.0, test_loss = 0.0;
    for (size_t a = 0; a < 3; a++)
        assert_int_equal(rpu_network_array_stats(n, a, &before[a]), RPU_OK);
    rpu_shuffle(order, TRAIN, config.seed, epoch);
    for (uint32_t i = 0; i < TRAIN; i += BATCH)
        assert_int_equal(rpu_network_train(n, &data->train, order + i, TRAIN - i < BATCH ? TRAIN - i : BATCH,
                                           (uint64_t)epoch * TRAIN + i, &loss),
                         RPU_OK);
    assert_int_equal(rpu_network_evaluate(n, &data->test, 0, TEST, (uint64_t)epoch * TEST, &errors, &test_loss),
                     RPU_OK);
    assert_int_equal(record->epoch, epoch + 1);
    assert_true(record->train_loss == loss / TRAIN);
    assert_true(record->test_loss == test_loss / TEST);
    assert_true(record->test_error == (double)errors / TEST);
    for (size_t a = 0; a < 3; a++) {
        assert_int_equal(rpu_network_array_stats(n, a, &after[a]), RPU_OK);
        check_counts(&record->arrays[a], &before[a], &after[a]);
        assert_true(record->arrays[a].at_bound == rpu_network_at_bound(n, a));
    }
}

static void the_record_is_what_the_network_did(void **state) {
    struct rpu_dataset data = {make_images(3, TRAIN, SIDE, SIDE, 1, CLASSES),
                               make_images(4, TEST, SIDE, SIDE, 1, CLASSES)};
    struct rpu_network *n = make_network(&config);
    struct rpu_training *run;
    (void)state;
    assert_int_equal(rpu_training_create(&run, engine, &config, &data, NULL), RPU_OK);
    assert_int_equal(rpu_training_run(run, NULL, NULL, NULL), RPU_OK);
    assert_int_equal(rpu_training_epoch_count(run), EPOCHS);
    assert_int_equal(rpu_training_images(run), EPOCHS * TRAIN);
    for (uint32_t e = 0; e < EPOCHS; e++)
        check_epoch(n, &data, e, rpu_training_epoch(run, e));
    /* there was something to count */
    assert_true(rpu_training_epoch(run, 1)->arrays[1].forward.rereads > 0);
    assert_true(rpu_training_epoch(run, 1)->arrays[0].forward.saturated > 0);
    rpu_training_destroy(run);
    rpu_network_destroy(n);
    rpu_dataset_free(&data);
}

/* More images than are evaluated at a time: what one call adds up is what single images give. */
static void an_evaluation_of_many_images(void **state) {
    enum { MANY = 700, FIRST = 3 };
    struct rpu_images im = make_images(5, MANY, SIDE, SIDE, 1, CLASSES);
    struct rpu_network *n = make_network(&config);
    uint64_t errors = 0, singly = 0;
    double loss = 0.0, single_loss = 0.0;
    (void)state;
    for (uint32_t i = 0; i < MANY; i++) /* labels that do not repeat from piece to piece */
        im.labels[i] = (uint8_t)(i * i / 7 % CLASSES);
    assert_int_equal(rpu_network_evaluate(n, &im, FIRST, MANY - FIRST, 0, &errors, &loss), RPU_OK);
    for (uint32_t i = FIRST; i < MANY; i++)
        assert_int_equal(rpu_network_evaluate(n, &im, i, 1, i - FIRST, &singly, &single_loss), RPU_OK);
    assert_int_equal(errors, singly);
    assert_true(loss == single_loss);
    rpu_network_destroy(n);
    rpu_images_free(&im);
}

/* With weights of 0 all outputs are equal, and the first of them wins. */
static void equal_outputs(void **state) {
    static const float zeros[4 * 10 + 5 * 145 + 3 * 6];
    struct rpu_images im = make_images(6, TRAIN, SIDE, SIDE, 1, CLASSES);
    struct rpu_config perfect = config;
    struct rpu_network *n;
    uint64_t errors = 0, expected = 0;
    (void)state;
    for (uint32_t i = 0; i < perfect.n_layers; i++)
        perfect.layers[i].tile.device.kind = RPU_DEVICE_PERFECT;
    n = make_network(&perfect);
    for (size_t a = 0; a < 3; a++)
        assert_int_equal(rpu_network_set_weights(n, a, zeros), RPU_OK);
    assert_int_equal(rpu_network_evaluate(n, &im, 0, TRAIN, 0, &errors, NULL), RPU_OK);
    for (size_t i = 0; i < TRAIN; i++)
        expected += im.labels[i] != 0;
    assert_int_equal(errors, expected);
    rpu_network_destroy(n);
    rpu_images_free(&im);
}

/* The digest is XXH3 over the weights as little-endian floats, array by array. */
static void the_digest_of_the_weights(void **state) {
    struct rpu_network *n = make_network(&config);
    unsigned char bytes[4 * (4 * 10 + 5 * 145 + 3 * 6)];
    float w[5 * 145];
    uint64_t digest;
    size_t at = 0;
    (void)state;
    for (size_t a = 0; a < 3; a++) {
        struct rpu_array_info info;
        assert_int_equal(rpu_network_array_info(n, a, &info), RPU_OK);
        assert_int_equal(rpu_network_get_weights(n, a, w), RPU_OK);
        for (size_t i = 0; i < (size_t)info.outputs * info.inputs; i++) {
            uint32_t b;
            memcpy(&b, w + i, sizeof b);
            for (unsigned k = 0; k < 32; k += 8)
                bytes[at++] = (unsigned char)(b >> k);
        }
    }
    assert_int_equal(at, sizeof bytes);
    assert_int_equal(rpu_network_digest(n, &digest), RPU_OK);
    assert_true(digest == XXH3_64bits(bytes, at));
    rpu_network_destroy(n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_record_is_what_the_network_did),
        cmocka_unit_test(an_evaluation_of_many_images),
        cmocka_unit_test(equal_outputs),
        cmocka_unit_test(the_digest_of_the_weights),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
