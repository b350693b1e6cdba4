/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: what they hold, when they are called for, going on from every minibatch, and trainings that diverge. */
#include "checkpoints.h"

static void resume(struct setting *s, const char *path) {
    struct rpu_checkpoint *c = read_checkpoint(path);
    struct rpu_error err;
    if (rpu_checkpoint_resume(c, s->run, &err) != RPU_OK)
        fail_msg("%s", err.message);
    rpu_checkpoint_free(c);
}

/* Weights, history and statistics are the same; times are not looked at. */
static void check_same(const struct setting *a, const struct setting *b) {
    uint64_t da = 0, db = 1;
    assert_int_equal(rpu_network_digest(rpu_training_network(a->run), &da), RPU_OK);
    assert_int_equal(rpu_network_digest(rpu_training_network(b->run), &db), RPU_OK);
    assert_true(da == db);
    assert_true(rpu_training_images(a->run) == rpu_training_images(b->run));
    assert_int_equal(rpu_training_epoch_count(a->run), rpu_training_epoch_count(b->run));
    for (size_t e = 0; e < rpu_training_epoch_count(a->run); e++) {
        const struct rpu_epoch *x = rpu_training_epoch(a->run, e), *y = rpu_training_epoch(b->run, e);
        assert_int_equal(x->epoch, y->epoch);
        assert_memory_equal(&x->train_loss, &y->train_loss, sizeof x->train_loss);
        assert_memory_equal(&x->test_loss, &y->test_loss, sizeof x->test_loss);
        assert_memory_equal(&x->test_error, &y->test_error, sizeof x->test_error);
        assert_true(y->train_seconds > 0.0 && y->seconds >= y->train_seconds);
        assert_memory_equal(x->arrays, y->arrays, 2 * sizeof *x->arrays);
    }
    for (size_t i = 0; i < 2; i++) {
        struct rpu_array_stats x, y;
        assert_int_equal(rpu_network_array_stats(rpu_training_network(a->run), i, &x), RPU_OK);
        assert_int_equal(rpu_network_array_stats(rpu_training_network(b->run), i, &y), RPU_OK);
        memset(x.seconds, 0, sizeof x.seconds);
        memset(y.seconds, 0, sizeof y.seconds);
        x.apply_seconds = y.apply_seconds = 0.0;
        assert_memory_equal(&x, &y, sizeof x);
    }
}

/* ---- going on ---- */

/* A file after each minibatch and each epoch. */
static void keep(struct rpu_training *run, void *user) {
    int *count = user;
    char name[32];
    struct rpu_error err;
    snprintf(name, sizeof name, "at-%d", (*count)++);
    if (rpu_checkpoint_write(run, path_of(name), &err) != RPU_OK)
        fail_msg("%s", err.message);
}

static void going_on_from_every_minibatch(const struct rpu_config *config) {
    const struct rpu_checkpoint_times times = {.images = 1, .epochs = 1};
    const char *const isas[] = {NULL, "generic", "autovec"};
    const uint64_t images[] = {3, 6, 9, 12, 14, 14, 17, 20, 23, 26, 28, 28};
    struct setting whole, later;
    int files = 0;
    set_up(&whole, config, 1, NULL);
    assert_int_equal(rpu_training_checkpoints(whole.run, &times, keep, &files), RPU_OK);
    run_to_end(&whole);
    assert_int_equal(files, 2 * (5 + 1)); /* 14 images in minibatches of 3, and the epoch */
    for (int f = 0; f < files; f++) {
        char name[32];
        snprintf(name, sizeof name, "at-%d", f);
        set_up(&later, config, 1 + f % 3, isas[f % 3]);
        resume(&later, path_of(name));
        assert_int_equal(rpu_training_resumed(later.run), rpu_training_images(later.run));
        assert_int_equal(rpu_training_images(later.run), images[f]);
        run_to_end(&later);
        check_same(&whole, &later);
        tear_down(&later);
    }
    tear_down(&whole);
}

static void goes_on_from_every_minibatch(void **state) {
    struct rpu_config config;
    (void)state;
    configure(&config, 0);
    going_on_from_every_minibatch(&config);
}

static void goes_on_in_floating_point(void **state) {
    struct rpu_config config;
    (void)state;
    configure(&config, 1);
    going_on_from_every_minibatch(&config);
}

/* Several devices of a weight, and copies of the convolution's array. */
static void goes_on_with_devices_and_copies(void **state) {
    struct rpu_config config;
    (void)state;
    configure(&config, 0);
    for (uint32_t l = 0; l < config.n_layers; l++) {
        config.layers[l].tile.devices = 3;
        config.layers[l].tile.copies = 2;
        config.layers[l].tile.division = RPU_DIVISION_REDRAWN;
    }
    going_on_from_every_minibatch(&config);
}

static void count_call(struct rpu_training *run, void *user) {
    int *count = user;
    (void)run;
    ++*count;
}

static void checkpoints_are_called_for_in_time(void **state) {
    static const struct {
        struct rpu_checkpoint_times times;
        int calls;
    } cases[] = {{{0, 0, 0.0}, 0},        {{.images = 5}, 5}, /* after 6, 12, 17, 20 and 26 images */
                 {{.images = 14}, 2},     {{.images = 28}, 1},   {{.images = 29}, 0},
                 {{.epochs = 1}, 2},      {{.epochs = 2}, 1},    {{.epochs = 3}, 0},
                 {{.seconds = 1e-9}, 10}, {{.seconds = 1e9}, 0}, {{.images = 28, .epochs = 1}, 3}};
    struct rpu_config config;
    struct setting s;
    (void)state;
    configure(&config, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int calls = 0;
        set_up(&s, &config, 1, NULL);
        assert_int_equal(rpu_training_checkpoints(s.run, &cases[i].times, count_call, &calls), RPU_OK);
        run_to_end(&s);
        assert_int_equal(calls, cases[i].calls);
        assert_int_equal(rpu_training_checkpoints(NULL, &cases[i].times, count_call, &calls), RPU_ERR_ARG);
        tear_down(&s);
    }
    const struct rpu_checkpoint_times past = {.seconds = -1.0};
    set_up(&s, &config, 1, NULL);
    assert_int_equal(rpu_training_checkpoints(s.run, &past, count_call, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_training_checkpoints(s.run, NULL, count_call, NULL), RPU_ERR_ARG);
    tear_down(&s);
}

/* Counts the calls by what they are about; the one numbered `at` asks to stop. */
struct calls {
    int all, at, trained, tested, finished;
};

static int stop(const struct rpu_progress *p, void *user) {
    struct calls *c = user;
    const int all_trained = c->trained == 5 * (c->finished + 1); /* 14 images in minibatches of 3 */
    if (p->finished)
        c->finished++;
    else if (p->image == p->images && all_trained)
        c->tested++;
    else
        c->trained++;
    return c->all++ == c->at;
}

/* A run that a callback stops, in an epoch's training and test, goes on by itself as well as from a checkpoint. */
static void goes_on_after_a_stop(void **state) {
    struct rpu_config config;
    struct setting whole, stopped, later;
    struct calls every = {.at = -1};
    struct rpu_error err;
    (void)state;
    configure(&config, 0);
    set_up(&whole, &config, 2, NULL);
    assert_int_equal(rpu_training_run(whole.run, stop, &every, &err), RPU_OK);
    assert_int_equal(every.trained, 2 * 5);
    assert_int_equal(every.tested, 2 * 2); /* 9 images, four for each thread at a time */
    assert_int_equal(every.finished, 2);
    for (int at = 0; at < every.all; at++) {
        const int last = at == every.all - 1; /* nothing is left to stop */
        struct calls calls = {.at = at};
        set_up(&stopped, &config, 2, NULL);
        assert_int_equal(rpu_training_run(stopped.run, stop, &calls, &err), last ? RPU_OK : RPU_ERR_INTERRUPTED);
        assert_int_equal(calls.all, at + 1);
        assert_int_equal(rpu_checkpoint_write(stopped.run, path_of("stopped"), &err), RPU_OK);
        set_up(&later, &config, 1, NULL);
        resume(&later, path_of("stopped"));
        run_to_end(&later);
        run_to_end(&stopped);
        check_same(&whole, &later);
        check_same(&whole, &stopped);
        tear_down(&later);
        tear_down(&stopped);
    }
    tear_down(&whole);
}

/* One that came to its end is trained for another epoch. */
static void epochs_may_be_added(void **state) {
    struct rpu_config config;
    struct setting whole, later;
    (void)state;
    configure(&config, 0);
    set_up(&later, &config, 1, NULL);
    run_to_end(&later);
    assert_int_equal(rpu_checkpoint_write(later.run, path_of("end"), NULL), RPU_OK);
    tear_down(&later);
    config.epochs = 3;
    config.threads = 2;
    snprintf(config.isa, sizeof config.isa, "generic");
    snprintf(config.data, sizeof config.data, "elsewhere");
    set_up(&whole, &config, 1, NULL);
    run_to_end(&whole);
    set_up(&later, &config, 1, NULL);
    resume(&later, path_of("end"));
    run_to_end(&later);
    assert_int_equal(rpu_training_epoch_count(later.run), 3);
    check_same(&whole, &later);
    tear_down(&later);
    tear_down(&whole);
}

/* ---- what it holds ---- */

static void holds_weights_and_devices(void **state) {
    static const char *const names[] = {"weight", "dw_up", "dw_down", "bound_upper", "bound_lower"};
    struct rpu_config config;
    struct setting s;
    struct rpu_checkpoint_info info;
    struct rpu_checkpoint *c;
    struct rpu_checkpoint_tensor t;
    float *values[5], *weights;
    (void)state;
    configure(&config, 0);
    set_up(&s, &config, 1, NULL);
    run_to_end(&s);
    assert_int_equal(rpu_checkpoint_write(s.run, path_of("a"), NULL), RPU_OK);
    c = read_checkpoint(path_of("a"));
    assert_int_equal(rpu_checkpoint_describe(c, &info), RPU_OK);
    assert_string_equal(info.version, rpu_version());
    assert_int_equal(info.images, 2 * TRAIN);
    assert_int_equal(info.epochs, 2);
    assert_int_equal(info.epoch_images, 0);
    assert_int_equal(info.train_images, TRAIN);
    assert_int_equal(info.test_images, TEST);
    assert_int_equal(info.classes, CLASSES);
    assert_memory_equal(rpu_checkpoint_config(c), &config, sizeof config);
    assert_non_null(rpu_checkpoint_epoch(c, 1));
    assert_null(rpu_checkpoint_epoch(c, 2));
    /* K1: one tile of 4 x 10; W2: 3 x 2 tiles of what is 7 x 37 */
    assert_int_equal(rpu_checkpoint_tensor_count(c), 5 + 6 * 5);
    for (int q = 0; q < 5; q++)
        values[q] = malloc(40 * sizeof *values[q]);
    const struct rpu_tile *tile = rpu_network_tile(rpu_training_network(s.run), 0);
    assert_int_equal(rpu_tile_get_weights(tile, values[0]), RPU_OK);
    assert_int_equal(rpu_tile_get_devices(tile, values[1], values[2], values[3], values[4]), RPU_OK);
    for (size_t q = 0; q < 5; q++) {
        assert_int_equal(rpu_checkpoint_tensor(c, q, &t), RPU_OK);
        assert_string_equal(t.array, "K1");
        assert_string_equal(t.quantity, names[q]);
        assert_int_equal(t.rows * 100 + t.cols, 410);
        assert_memory_equal(t.values, values[q], 40 * sizeof(float));
        free(values[q]);
    }
    /* the tiles of W2 make up its weights */
    weights = malloc(7 * 37 * sizeof *weights);
    assert_int_equal(rpu_network_get_weights(rpu_training_network(s.run), 1, weights), RPU_OK);
    for (size_t i = 5, row = 0, col = 0; i < 35; i += 5) {
        assert_int_equal(rpu_checkpoint_tensor(c, i, &t), RPU_OK);
        assert_string_equal(t.array, "W2");
        assert_int_equal(t.tile, i / 5 - 1);
        for (size_t r = 0; r < t.rows; r++)
            assert_memory_equal(t.values + r * t.cols, weights + (row + r) * 37 + col, t.cols * sizeof(float));
        col += t.cols;
        row += col == 37 ? t.rows : 0;
        col = col == 37 ? 0 : col;
        assert_true(i < 30 || (row == 7 && col == 0));
    }
    assert_int_equal(rpu_checkpoint_tensor(c, 35, &t), RPU_ERR_ARG);
    free(weights);
    rpu_checkpoint_free(c);
    tear_down(&s);
}

/* Configurations come back to the last bit by way of JSON. */
static void configurations_round_trip(void **state) {
    static const char *const sets[] = {"training.seed=18446744073709551615",
                                       "training.seed=9007199254740993",
                                       "training.eta=1e-09",
                                       "training.eta=0.333333343",
                                       "arrays.default.dw_min=1e-08",
                                       "arrays.default.forward.noise=123456.789",
                                       "data.source=\"a \\\"b\\\\ \\u00e9\"",
                                       "data.source=\"\\u007f \\u0085\\u009b\\u2028 \\ufeff\\ufffe \\U0001f600\"",
                                       "run.isa=generic"};
    (void)state;
    for (size_t p = 0; rpu_preset_name(p); p++)
        for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
            const struct rpu_assignment set = {sets[i], "test"};
            struct rpu_config *made = calloc(1, sizeof *made), *back = calloc(1, sizeof *back);
            struct rpu_error err = {0};
            json_t *json;
            char *text;
            if (rpu_config_load(made, rpu_preset_name(p), &set, 1, &err) != RPU_OK)
                fail_msg("%s: %s", sets[i], err.message);
            json = rpu_config_to_json(made);
            text = rpu_config_json_text(json);
            if (rpu_config_from_json(back, text, "test", &err) != RPU_OK)
                fail_msg("%s: %s", text, err.message);
            assert_memory_equal(made, back, sizeof *made);
            assert_int_equal(rpu_config_same(made, back, NULL, &err), RPU_OK);
            free(text);
            json_decref(json);
            free(made);
            free(back);
        }
}

/* ---- numbers that are none ---- */

static void what_is_not_finite_is_not_let_in(void **state) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    struct rpu_config config;
    struct setting s;
    float weights[40], before[40], after[40];
    (void)state;
    configure(&config, 1);
    set_up(&s, &config, 1, NULL);
    struct rpu_network *n = rpu_training_network(s.run);
    assert_int_equal(rpu_network_get_weights(n, 0, before), RPU_OK);
    for (size_t i = 0; i < 3; i++) {
        memcpy(weights, before, sizeof weights);
        weights[0] = 0.5f;
        weights[39] = bad[i];
        assert_int_equal(rpu_network_set_weights(n, 0, weights), RPU_ERR_RANGE);
        assert_int_equal(rpu_tile_set_weights(rpu_network_tile(n, 0), weights), RPU_ERR_RANGE);
        assert_int_equal(rpu_network_get_weights(n, 0, after), RPU_OK);
        assert_memory_equal(before, after, sizeof before);
    }
    tear_down(&s);
    for (size_t i = 0; i < 3; i++) {
        struct rpu_training *run = NULL;
        struct rpu_error err;
        set_up(&s, &config, 1, NULL);
        config.eta = bad[i];
        assert_int_equal(rpu_training_create(&run, s.engine, &config, &s.data, &err), RPU_ERR_RANGE);
        configure(&config, 0);
        config.layers[0].tile.device.dw_min = bad[i];
        assert_int_equal(rpu_training_create(&run, s.engine, &config, &s.data, &err), RPU_ERR_RANGE);
        configure(&config, 1);
        tear_down(&s);
    }
}

/* With tanh weights end far out, and the loss stays finite and useless. Without it activations grow until they are no
 * numbers, unless all gradients have become 0 before. */
static void diverging_trainings_stop(void **state) {
    struct rpu_config config;
    struct setting s;
    struct rpu_error err;
    int no_number = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        const int linear = seed > 0;
        configure(&config, 1);
        if (linear) /* a maximum of one */
            config.layers[1] = (struct rpu_layer_spec){.kind = RPU_LAYER_MAXPOOL, .kernel = 1, .stride = 1};
        config.eta = linear ? 1e6f : 1000.0f;
        config.seed = seed;
        set_up(&s, &config, 2, NULL);
        expect(rpu_training_run(s.run, NULL, NULL, &err), RPU_ERR_DIVERGED, &err, "the training diverged");
        assert_int_equal(rpu_training_epoch_count(s.run), 0);
        if (strstr(err.message, "no finite number")) {
            no_number++;
            expect(rpu_checkpoint_write(s.run, path_of("nan"), &err), RPU_ERR_RANGE, &err, "finite");
            assert_int_not_equal(access(path_of("nan"), F_OK), 0);
        } else {
            assert_non_null(strstr(err.message, "where guessing has 1.1"));
        }
        assert_true(linear || no_number == 0);
        tear_down(&s);
    }
    assert_true(no_number > 0);
    /* devices have bounds: the same rate makes a bad training, but one */
    configure(&config, 0);
    config.eta = 1000.0f;
    set_up(&s, &config, 1, NULL);
    run_to_end(&s);
    tear_down(&s);
}

/* ---- writing ---- */

static void an_old_one_stays_until_the_new_one_is_there(void **state) {
    struct rpu_config config;
    struct setting s;
    struct rpu_error err;
    size_t size;
    unsigned char *old;
    (void)state;
    configure(&config, 0);
    set_up(&s, &config, 1, NULL);
    assert_int_equal(rpu_checkpoint_write(s.run, path_of("e"), &err), RPU_OK);
    old = slurp(path_of("e"), &size);
    /* two arrays of one name cannot be told apart in a file */
    run_to_end(&s);
    memcpy(s.run->config.layers[3].name, "K1", 3);
    expect(rpu_checkpoint_write(s.run, path_of("e"), &err), RPU_ERR_ARG, &err, "two arrays of the name K1");
    unsigned char *now = slurp(path_of("e"), &size);
    assert_memory_equal(now, old, size);
    free(now);
    free(old);
    expect(rpu_checkpoint_write(s.run, path_of("no/such/folder"), &err), RPU_ERR_ARG, &err, "");
    memcpy(s.run->config.layers[3].name, "W2", 3);
    expect(rpu_checkpoint_write(s.run, path_of("no/such/folder"), &err), RPU_ERR_IO, &err, "no/such/folder");
    tear_down(&s);
}

/* What no file could have given the run is said, not taken for a lack of memory; the run itself goes well. */
static void what_cannot_be_read_back_is_not_written(void **state) {
    struct rpu_config good, config;
    struct setting s;
    struct rpu_error err, same;
    struct rpu_checkpoint *c;
    char *text = NULL;
    (void)state;
    configure(&good, 0);
    for (int what = 0; what < 5; what++) {
        config = good;
        if (what == 0)
            config.eta = 5000.0f;
        else if (what == 1)
            config.data[0] = '\0';
        else if (what == 2)
            strcpy(config.data, "\xff\xfe");
        else if (what == 3)
            strcpy(config.layers[0].name, "a b");
        else
            config.layers[0].tile.max_cols = 3000000;
        set_up(&s, &config, 1, NULL);
        assert_int_equal(rpu_config_yaml(&config, &text, &same), what == 2 ? RPU_ERR_CONFIG : RPU_ERR_ARG);
        expect(rpu_checkpoint_write(s.run, path_of("f"), &err), same.status, &err, same.message);
        assert_int_not_equal(access(path_of("f"), F_OK), 0);
        tear_down(&s);
    }
    set_up(&s, &good, 1, NULL);
    assert_int_equal(rpu_checkpoint_write(s.run, path_of("f"), NULL), RPU_OK);
    tear_down(&s);
    c = read_checkpoint(path_of("f"));
    config = good;
    config.threads = 5000;
    set_up(&s, &config, 1, NULL);
    expect(rpu_checkpoint_resume(c, s.run, &err), RPU_ERR_ARG, &err, "run.threads: found '5000'");
    tear_down(&s);
    rpu_checkpoint_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_from_every_minibatch),
        cmocka_unit_test(goes_on_in_floating_point),
        cmocka_unit_test(goes_on_with_devices_and_copies),
        cmocka_unit_test(checkpoints_are_called_for_in_time),
        cmocka_unit_test(goes_on_after_a_stop),
        cmocka_unit_test(epochs_may_be_added),
        cmocka_unit_test(holds_weights_and_devices),
        cmocka_unit_test(configurations_round_trip),
        cmocka_unit_test(what_is_not_finite_is_not_let_in),
        cmocka_unit_test(diverging_trainings_stop),
        cmocka_unit_test(what_cannot_be_read_back_is_not_written),
        cmocka_unit_test(an_old_one_stays_until_the_new_one_is_there),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
