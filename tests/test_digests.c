/* SPDX-License-Identifier: Apache-2.0 */
/* Short trainings whose weights, losses and counts are recorded here, to the last bit: those of every machine,
 * compiler, kernel variant and number of threads. They change only where a contract changes what a training computes;
 * the record is then that of the new contract (the table that a failing test prints). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <inttypes.h>
#include <string.h>

#include <rpu/train.h>

enum { TRAIN = 40, TEST = 30, SETTINGS_MOST = 5 };

/* A training, and what comes of it. */
struct record {
    const char *preset;
    const char *settings[SETTINGS_MOST];
    uint64_t weights;
    double train_loss, test_loss, test_error;
    uint64_t rereads, saturated, coincidences, clipped; /* of all arrays */
};

static const struct record records[] = {
    {"lenet-fp",
     {"training.batch=1"},
     UINT64_C(0x991b4a0eefd6674e),
     0x1.1dd498d99999ap+1,
     0x1.242964ccccccdp+1,
     0x1.ccccccccccccdp-1,
     0,
     0,
     0,
     0},
    {"lenet-rpu",
     {"training.batch=1"},
     UINT64_C(0x27aab89f127655dd),
     0x1.20115a999999ap+1,
     0x1.274fb15555555p+1,
     0x1.ccccccccccccdp-1,
     0,
     0,
     1300702,
     1342},
    {"lenet-rpu",
     {"training.batch=8", "training.seed=18446744073709551615"},
     UINT64_C(0x3a221a4ea6dbebb6),
     0x1.2813882666666p+1,
     0x1.2295622222222p+1,
     0x1.ddddddddddddep-1,
     0,
     0,
     1349107,
     1398},
    {"lenet-rpu-baseline",
     {"training.batch=1", "arrays.default.forward.noise=0.5", "arrays.W4.forward.bound=0.5"},
     UINT64_C(0x7e606c5f231ec527),
     0x1.2d9768ep+1,
     0x1.3ff2bf4444444p+1,
     0x1.aaaaaaaaaaaabp-1,
     0,
     441,
     4281790,
     5},
    {"lenet-rpu-nm-bm",
     {"training.batch=3", "arrays.default.max_rows=20", "arrays.default.max_cols=200",
      "arrays.default.forward.bound=0.5", "arrays.K2.forward.bm_limit=1"},
     UINT64_C(0xf764636c3811c09d),
     0x1.2c8a09b99999ap+1,
     0x1.32ad6fc444444p+1,
     0x1.bbbbbbbbbbbbcp-1,
     26591,
     11,
     1767703,
     0},
    {"lenet-rpu",
     {"network={layers: [{type: conv, outputs: 6, kernel: 4, stride: 2, padding: 1}, {type: relu}, {type: maxpool, "
      "window: 3, stride: 2}, {type: fc, outputs: 20, bias: false}, {type: sigmoid}, {type: fc, outputs: 10}, {type: "
      "softmax}]}",
      "arrays.default.update.um=false", "arrays.default.forward.nm=abs-max"},
     UINT64_C(0xc11786e84ec5db2d),
     0x1.2770e9a666666p+1,
     0x1.3018187777777p+1,
     0x1.ddddddddddddep-1,
     0,
     0,
     30660,
     40812},
};

static void add_counts(struct record *to, const struct rpu_array_epoch *a) {
    to->rereads += a->forward.rereads + a->backward.rereads;
    to->saturated += a->forward.saturated + a->backward.saturated;
    to->coincidences += a->update.coincidences;
    to->clipped += a->update.clipped;
}

/* Two epochs: the second has an order and evaluation noise of its own. */
static struct record train(const struct record *of, const struct rpu_dataset *data, const char *isa, int threads) {
    static struct rpu_config config;
    struct rpu_assignment list[SETTINGS_MOST + 1] = {{"training.epochs=2", NULL}};
    struct rpu_engine *engine = NULL;
    struct rpu_training *run = NULL;
    struct rpu_error err;
    struct record got = {.preset = of->preset};
    size_t n = 1;
    for (size_t i = 0; i < SETTINGS_MOST && of->settings[i]; i++)
        list[n++].text = of->settings[i];
    if (rpu_config_load(&config, of->preset, list, n, &err) != RPU_OK ||
        rpu_engine_create(&engine, isa, threads, &err) != RPU_OK ||
        rpu_training_create(&run, engine, &config, data, &err) != RPU_OK ||
        rpu_training_run(run, NULL, NULL, &err) != RPU_OK)
        fail_msg("%s: %s", of->preset, err.message);
    assert_int_equal(rpu_network_digest(rpu_training_network(run), &got.weights), RPU_OK);
    for (size_t e = 0; e < rpu_training_epoch_count(run); e++)
        for (size_t a = 0; a < rpu_network_array_count(rpu_training_network(run)); a++)
            add_counts(&got, &rpu_training_epoch(run, e)->arrays[a]);
    got.train_loss = rpu_training_epoch(run, 1)->train_loss;
    got.test_loss = rpu_training_epoch(run, 1)->test_loss;
    got.test_error = rpu_training_epoch(run, 1)->test_error;
    rpu_training_destroy(run);
    rpu_engine_destroy(engine);
    return got;
}

static int same(double a, double b) {
    return memcmp(&a, &b, sizeof a) == 0;
}

static int is_recorded(const struct record *got, const struct record *of) {
    return got->weights == of->weights && same(got->train_loss, of->train_loss) &&
           same(got->test_loss, of->test_loss) && same(got->test_error, of->test_error) &&
           got->rereads == of->rereads && got->saturated == of->saturated && got->coincidences == of->coincidences &&
           got->clipped == of->clipped;
}

static void check(const char *isa, int threads) {
    struct rpu_dataset data;
    size_t wrong = 0;
    assert_int_equal(rpu_digits_generate(&data, TRAIN, TEST, 1, NULL), RPU_OK);
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        const struct record got = train(&records[i], &data, isa, threads);
        if (is_recorded(&got, &records[i]))
            continue;
        wrong++;
        print_error("%zu, %s: UINT64_C(0x%016" PRIx64 "), %a, %a, %a, %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64
                    "\n",
                    i, got.preset, got.weights, got.train_loss, got.test_loss, got.test_error, got.rereads,
                    got.saturated, got.coincidences, got.clipped);
    }
    rpu_dataset_free(&data);
    assert_int_equal(wrong, 0);
}

static void test_variants(void **state) {
    (void)state;
    for (size_t i = 0; i < rpu_isa_count(); i++)
        check(rpu_isa_name(i), 1);
}

static void test_three_threads(void **state) {
    (void)state;
    check(NULL, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_variants), cmocka_unit_test(test_three_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
