/* SPDX-License-Identifier: Apache-2.0 */
/* What the public functions promise about their handles: null and foreign ones are refused, and handles go from thread
 * to thread. The thread sanitizer sees the second part, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "images.h"
#include "small_network.h"

#include <rpu/checkpoint.h>
#include <rpu/mapping.h>
#include <rpu/train.h>

enum { CLASSES = 3, IMAGES = 12, SIDE = 8, THREADS = 3 };

static struct rpu_images images;
static struct rpu_dataset data;
static struct rpu_config config;

static int set_up(void **state) {
    static const struct rpu_assignment list[] = {
        SMALL_NETWORK,
        {"training.epochs=2", NULL},
        {"training.batch=4", NULL},
    };
    (void)state;
    images = make_images(7, IMAGES, SIDE, SIDE, 1, CLASSES);
    data = (struct rpu_dataset){images, images};
    return rpu_config_load(&config, "lenet-rpu", list, sizeof list / sizeof list[0], NULL) == RPU_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    rpu_images_free(&images);
    return 0;
}

/* ---- what is no handle ---- */

/* Refused with a status, or with nothing: every function that takes one of these. What could not be made is null. */
static void refuse_engine(struct rpu_engine *e) {
    struct rpu_tile_params params;
    struct rpu_network *network = (void *)&config;
    struct rpu_training *run = (void *)&config;
    struct rpu_trace_event event;
    struct rpu_machine machine;
    struct rpu_place place;
    struct rpu_tile *tile = (void *)&config;
    struct rpu_error err = {0};
    rpu_tile_params_baseline(&params);
    assert_int_equal(rpu_tile_create(&tile, e, &params, 2, 2, 2, 1, 0, 0, &err), RPU_ERR_ARG);
    assert_true(err.message[0] && err.status == RPU_ERR_ARG);
    assert_int_equal(rpu_network_create(&network, e, &config, SIDE, SIDE, 1, CLASSES, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_training_create(&run, e, &config, &data, &err), RPU_ERR_ARG);
    assert_true(!tile && !network && !run);
    assert_int_equal(rpu_engine_trace(e, 1, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_engine_trace_event(e, 0, 0, &event), RPU_ERR_ARG);
    assert_int_equal(rpu_engine_trace_count(e, 0), 0);
    assert_int_equal(rpu_engine_trace_lost(e), 0);
    assert_int_equal(rpu_engine_threads(e), 0);
    assert_int_equal(rpu_engine_place(e, 0, &place), 0);
    assert_int_equal(rpu_engine_processor(e, 0, &place), 0);
    assert_int_equal(rpu_engine_bind(e), RPU_BIND_NONE);
    assert_int_equal(rpu_engine_kernel_count(e), 0);
    assert_null(rpu_engine_isa(e));
    assert_null(rpu_engine_kernel_name(e, 0));
    assert_null(rpu_engine_kernel_variant(e, 0));
    rpu_engine_machine(e, &machine);
    rpu_engine_destroy(e);
}

static void refuse_tile(struct rpu_tile *t) {
    const struct rpu_block where = {0, 0, 1, 0};
    float x[4] = {0}, y[4] = {0};
    assert_int_equal(rpu_tile_forward(t, &where, x, 2, y, 2, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_backward(t, &where, x, 2, y, 2, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_update(t, &where, x, 2, y, 2, 0.1f, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_get_weights(t, x), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_set_weights(t, x), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_get_devices(t, x, x, x, x), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_outputs(t), 0);
    assert_int_equal(rpu_tile_inputs(t), 0);
    assert_int_equal(rpu_tile_devices(t), 0);
    assert_true(rpu_tile_at_bound(t) == 0.0);
    rpu_tile_destroy(t);
}

static void refuse_network(struct rpu_network *n) {
    const struct rpu_ranks ranks = {0, 1, NULL, NULL};
    struct rpu_array_stats stats;
    struct rpu_array_info info;
    struct rpu_error err = {0};
    uint32_t index = 0;
    uint64_t digest;
    float w[4] = {0};
    assert_int_equal(rpu_network_share(n, &ranks, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_network_train(n, &images, &index, 1, 0, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_network_evaluate(n, &images, 0, 1, 0, NULL, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_network_classify(n, &images, 0, 1, 0, &index, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_network_array_info(n, 0, &info), RPU_ERR_ARG);
    assert_int_equal(rpu_network_array_stats(n, 0, &stats), RPU_ERR_ARG);
    assert_int_equal(rpu_network_get_weights(n, 0, w), RPU_ERR_ARG);
    assert_int_equal(rpu_network_set_weights(n, 0, w), RPU_ERR_ARG);
    assert_int_equal(rpu_network_digest(n, &digest), RPU_ERR_ARG);
    assert_int_equal(rpu_network_array_count(n), 0);
    assert_null(rpu_network_tile(n, 0));
    assert_true(rpu_network_at_bound(n, 0) == 0.0);
    rpu_network_clear_stats(n);
    rpu_network_destroy(n);
}

static void no_checkpoint(struct rpu_training *run, void *user) {
    (void)run;
    (void)user;
}

static void refuse_training(struct rpu_training *r) {
    const struct rpu_ranks ranks = {0, 1, NULL, NULL};
    const struct rpu_checkpoint_times times = {.images = 1};
    struct rpu_error err = {0};
    assert_int_equal(rpu_training_run(r, NULL, NULL, &err), RPU_ERR_ARG);
    assert_int_equal(err.status, RPU_ERR_ARG);
    assert_int_equal(rpu_training_share(r, &ranks, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_training_checkpoints(r, &times, no_checkpoint, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_write(r, "none", &err), RPU_ERR_ARG);
    assert_int_equal(rpu_training_resumed(r), 0);
    assert_int_equal(rpu_training_epoch_count(r), 0);
    assert_int_equal(rpu_training_images(r), 0);
    assert_null(rpu_training_network(r));
    assert_null(rpu_training_epoch(r, 0));
    assert_true(rpu_training_seconds(r) == 0.0);
    rpu_training_destroy(r);
}

static void refuse_checkpoint(struct rpu_checkpoint *c) {
    struct rpu_checkpoint_tensor tensor;
    struct rpu_checkpoint_info info;
    assert_int_equal(rpu_checkpoint_describe(c, &info), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_tensor(c, 0, &tensor), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_tensor_count(c), 0);
    assert_null(rpu_checkpoint_config(c));
    assert_null(rpu_checkpoint_epoch(c, 0));
    rpu_checkpoint_free(c);
}

/* Memory of another kind, large enough for a look at it. */
static void *foreign(int byte) {
    static _Alignas(64) unsigned char bytes[1 << 16];
    memset(bytes, byte, sizeof bytes);
    return bytes;
}

static void test_null_and_foreign(void **state) {
    (void)state;
    refuse_engine(NULL);
    refuse_tile(NULL);
    refuse_network(NULL);
    refuse_training(NULL);
    refuse_checkpoint(NULL);
    for (int byte = 0; byte < 256; byte += 85) {
        refuse_engine(foreign(byte));
        refuse_tile(foreign(byte));
        refuse_network(foreign(byte));
        refuse_training(foreign(byte));
        refuse_checkpoint(foreign(byte));
    }
    rpu_images_free(NULL);
    rpu_dataset_free(NULL);
}

/* A handle of one kind is none of another. */
static void test_handles_of_other_kinds(void **state) {
    struct rpu_engine *engine;
    struct rpu_training *run;
    struct rpu_tile_params params;
    struct rpu_tile *tile;
    (void)state;
    rpu_tile_params_baseline(&params);
    assert_int_equal(rpu_engine_create(&engine, NULL, 1, NULL), RPU_OK);
    assert_int_equal(rpu_tile_create(&tile, engine, &params, 2, 2, 2, 1, 0, 0, NULL), RPU_OK);
    assert_int_equal(rpu_training_create(&run, engine, &config, &data, NULL), RPU_OK);
    refuse_engine((void *)tile);
    refuse_engine((void *)rpu_training_network(run));
    refuse_engine((void *)run);
    refuse_tile((void *)engine);
    refuse_tile((void *)rpu_training_network(run));
    refuse_tile((void *)run);
    refuse_network((void *)engine);
    refuse_network((void *)tile);
    refuse_network((void *)run);
    refuse_training((void *)engine);
    refuse_training((void *)tile);
    refuse_training((void *)rpu_training_network(run));
    refuse_checkpoint((void *)engine);
    refuse_checkpoint((void *)run);
    assert_int_equal(rpu_training_run(run, NULL, NULL, NULL), RPU_OK);
    rpu_training_destroy(run);
    rpu_tile_destroy(tile);
    rpu_engine_destroy(engine);
}

/* A place for the handle, the inputs and what is read: each is needed. */
static void test_null_arguments(void **state) {
    struct rpu_engine *engine, *none = (void *)&config;
    struct rpu_network *network = (void *)&config;
    struct rpu_training *run = (void *)&config;
    struct rpu_checkpoint *checkpoint = (void *)&config;
    struct rpu_tile *tile = (void *)&config;
    struct rpu_images no_images = images;
    struct rpu_dataset no_data = data;
    struct rpu_error err;
    struct rpu_config read;
    struct rpu_mapping mapping = {.n_arrays = 1};
    struct rpu_hardware hardware = {.t_meas = 80.0};
    struct rpu_balance steps[RPU_LAYERS_MAX];
    char *text;
    uint32_t index = 0;
    (void)state;
    assert_int_equal(rpu_engine_create(&engine, NULL, 1, NULL), RPU_OK);
    assert_int_equal(rpu_engine_create(NULL, NULL, 1, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_engine_create_with(&none, NULL, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_create(NULL, engine, NULL, 2, 2, 2, 1, 0, 0, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_tile_create(&tile, engine, NULL, 2, 2, 2, 1, 0, 0, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_read(NULL, "none", &err), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_read(&checkpoint, NULL, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_network_create(NULL, engine, &config, SIDE, SIDE, 1, CLASSES, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_network_create(&network, engine, NULL, SIDE, SIDE, 1, CLASSES, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_training_create(NULL, engine, &config, &data, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_training_create(&run, engine, NULL, &data, &err), RPU_ERR_ARG);
    assert_true(!none && !tile && !checkpoint && !network && !run);
    run = (void *)&config;
    assert_int_equal(rpu_training_create(&run, engine, &config, NULL, &err), RPU_ERR_ARG);
    assert_null(run);
    assert_int_equal(rpu_config_load(NULL, NULL, NULL, 0, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_config_load(&read, NULL, NULL, 1, &err), RPU_ERR_ARG);
    text = (void *)&config;
    assert_int_equal(rpu_config_yaml(NULL, &text, &err), RPU_ERR_ARG);
    assert_null(text);
    assert_int_equal(rpu_config_yaml(&config, NULL, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_digits_generate(NULL, 1, 1, 1, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_dataset_read(NULL, ".", 0, 0, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_dataset_read(&no_data, NULL, 0, 0, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_idx_read(NULL, "none", "none", &err), RPU_ERR_ARG);
    assert_int_equal(rpu_idx_read(&no_images, NULL, "none", &err), RPU_ERR_ARG);
    assert_true(!no_data.train.pixels && !no_data.test.pixels && !no_images.pixels && !no_images.labels);
    assert_int_equal(rpu_mapping_of(NULL, &config, SIDE, SIDE, 1, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_mapping_of(&mapping, NULL, SIDE, SIDE, 1, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_mapping_compute(NULL, &hardware, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_mapping_compute(&mapping, NULL, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_mapping_balance(NULL, RPU_USE_TRAINING, steps), 0);
    assert_int_equal(rpu_mapping_balance(&mapping, RPU_USE_TRAINING, NULL), 0);
    assert_true(rpu_mapped_ns(NULL, RPU_USE_TRAINING) == 0.0);
    rpu_shuffle(NULL, 3, 1, 0);
    assert_null(rpu_preset_name(SIZE_MAX));
    assert_null(rpu_preset_summary(SIZE_MAX));
    assert_null(rpu_preset_yaml("no such preset"));
    assert_null(rpu_bind_name((enum rpu_bind)99));
    assert_null(rpu_isa_name(SIZE_MAX));
    assert_null(rpu_isa_built_name(SIZE_MAX));
    assert_int_equal(rpu_network_create(&network, engine, &config, SIDE, SIDE, 1, CLASSES, &err), RPU_OK);
    assert_int_equal(rpu_network_share(network, NULL, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_network_train(network, NULL, &index, 1, 0, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_network_train(network, &images, NULL, 1, 0, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_network_evaluate(network, NULL, 0, 1, 0, NULL, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_network_classify(network, NULL, 0, 1, 0, &index, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_network_classify(network, &images, 0, 1, 0, NULL, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_network_digest(network, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_network_get_weights(network, 99, NULL), RPU_ERR_ARG);
    rpu_network_destroy(network);
    rpu_engine_destroy(engine);
}

/* A training looks at all of its data set before it begins. */
static void test_data_sets(void **state) {
    const uint32_t last = config.n_layers - 2;
    struct rpu_config wide = config;
    struct rpu_engine *engine;
    struct rpu_training *run;
    struct rpu_error err;
    (void)state;
    assert_int_equal(rpu_engine_create(&engine, NULL, 1, NULL), RPU_OK);
    for (int s = 0; s < 2; s++)
        for (int what = 0; what < 7; what++) {
            struct rpu_dataset bad = data;
            struct rpu_images *im = s ? &bad.test : &bad.train;
            if (what == 0)
                im->pixels = NULL;
            else if (what == 1)
                im->labels = NULL;
            else if (what == 2)
                im->count = 0;
            else if (what == 3)
                im->height++;
            else if (what == 4)
                im->width--;
            else if (what == 5)
                im->channels = 2;
            else
                im->classes = 257; /* the network has as many outputs */
            wide.layers[last].outputs = what == 6 ? 300 : config.layers[last].outputs;
            run = (void *)engine;
            assert_int_equal(rpu_training_create(&run, engine, &wide, &bad, &err), what < 2    ? RPU_ERR_ARG
                                                                                   : what == 6 ? RPU_ERR_RANGE
                                                                                               : RPU_ERR_SHAPE);
            assert_true(!run && err.message[0]);
        }
    assert_int_equal(rpu_training_create(&run, engine, &config, &data, &err), RPU_OK);
    assert_int_equal(rpu_training_checkpoints(run, NULL, no_checkpoint, NULL), RPU_ERR_ARG);
    rpu_training_destroy(run);
    rpu_engine_destroy(engine);
}

/* A layer that is none is refused by all that take a network, before anything is computed. */
static void test_layers(void **state) {
    static const struct {
        enum rpu_status status;
        const char *says;
    } wanted[] = {
        {RPU_ERR_RANGE, "layer 1: kind is 99; allowed is 0 (conv) to 6 (softmax)"},
        {RPU_ERR_RANGE, "layer 2: kind is -1"},
        {RPU_ERR_RANGE, "layer 1: bias is 7; allowed is 0 or 1"},
        {RPU_ERR_ARG, "layer 1: a name of more than 31 bytes"},
        {RPU_ERR_ARG, "two arrays of the name K1: layers 0 and"},
        {RPU_OK, ""},
    };
    const size_t cases = sizeof wanted / sizeof wanted[0];
    struct rpu_config own = config;
    struct rpu_engine *engine;
    struct rpu_network *network;
    struct rpu_training *run;
    struct rpu_mapping mapping;
    (void)state;
    assert_int_equal(rpu_engine_create(&engine, NULL, 1, NULL), RPU_OK);
    for (size_t what = 0; what < cases; what++) {
        struct rpu_error err[3] = {{0}};
        own = config;
        if (what == 0)
            own.layers[0].kind = (enum rpu_layer_kind)99;
        else if (what == 1)
            own.layers[1].kind = (enum rpu_layer_kind) - 1;
        else if (what == 2)
            own.layers[0].bias = 7;
        else if (what == 3)
            memset(own.layers[0].name, 'x', RPU_NAME_MAX);
        for (uint32_t i = 0; i < own.n_layers && what >= 4; i++) /* names may be left out */
            if (own.layers[i].outputs)
                strcpy(own.layers[i].name, what == 4 ? "K1" : "");
        assert_int_equal(rpu_network_create(&network, engine, &own, SIDE, SIDE, 1, CLASSES, &err[0]),
                         wanted[what].status);
        assert_int_equal(rpu_training_create(&run, engine, &own, &data, &err[1]), wanted[what].status);
        assert_int_equal(rpu_mapping_of(&mapping, &own, SIDE, SIDE, 1, &err[2]), wanted[what].status);
        for (int i = 0; i < 3; i++)
            assert_non_null(strstr(err[i].message, wanted[what].says));
        rpu_network_destroy(network);
        rpu_training_destroy(run);
    }
    rpu_engine_destroy(engine);
}

/* Whether there is an engine with these options; if not, they are out of range. */
static int engine_with(int bind, int share, struct rpu_error *err) {
    const struct rpu_engine_options options = {
        .threads = 1, .bind = (enum rpu_bind)bind, .share = (enum rpu_share)share};
    struct rpu_engine *engine;
    const enum rpu_status status = rpu_engine_create_with(&engine, &options, err);
    const int made = engine != NULL;
    assert_int_equal(status, made ? RPU_OK : RPU_ERR_RANGE);
    rpu_engine_destroy(engine);
    return made;
}

static void test_places_and_sharing_of_threads(void **state) {
    struct rpu_error err;
    (void)state;
    for (int bind = -1; bind <= RPU_BIND_SPREAD + 1; bind++)
        assert_int_equal(engine_with(bind, RPU_SHARE_AUTO, &err), bind >= 0 && bind <= RPU_BIND_SPREAD);
    assert_string_equal(err.message, "bind is 4; allowed is 0 (auto) to 3 (spread)");
    for (int share = -1; share <= RPU_SHARE_ALWAYS + 1; share++)
        assert_int_equal(engine_with(RPU_BIND_NONE, share, &err), share >= 0 && share <= RPU_SHARE_ALWAYS);
    assert_string_equal(err.message, "share is 2; allowed is 0 (auto) or 1 (always)");
}

/* Images and numbers that do not fit the network change nothing. */
static void test_wrong_shapes(void **state) {
    struct rpu_images other = make_images(1, 2, SIDE, SIDE + 1, 1, CLASSES);
    const uint32_t beyond = IMAGES, good[] = {0, 1, 2, 3, 4};
    uint64_t before, after;
    struct rpu_engine *engine;
    struct rpu_network *n;
    (void)state;
    assert_int_equal(rpu_engine_create(&engine, NULL, 1, NULL), RPU_OK);
    assert_int_equal(rpu_network_create(&n, engine, &config, SIDE, SIDE, 1, CLASSES, NULL), RPU_OK);
    assert_int_equal(rpu_network_digest(n, &before), RPU_OK);
    assert_int_equal(rpu_network_train(n, &other, good, 1, 0, NULL), RPU_ERR_SHAPE);
    assert_int_equal(rpu_network_evaluate(n, &other, 0, 1, 0, NULL, NULL), RPU_ERR_SHAPE);
    assert_int_equal(rpu_network_train(n, &images, &beyond, 1, 0, NULL), RPU_ERR_RANGE);
    assert_int_equal(rpu_network_train(n, &images, good, 5, 0, NULL), RPU_ERR_RANGE); /* more than the batch */
    assert_int_equal(rpu_network_train(n, &images, good, 0, 0, NULL), RPU_ERR_RANGE);
    assert_int_equal(rpu_network_train(n, &images, good, 1, UINT64_C(1) << 32, NULL), RPU_ERR_RANGE);
    assert_int_equal(rpu_network_evaluate(n, &images, IMAGES - 1, 2, 0, NULL, NULL), RPU_ERR_RANGE);
    assert_int_equal(rpu_network_evaluate(n, &images, UINT32_MAX, 2, 0, NULL, NULL), RPU_ERR_RANGE);
    images.labels[0] = CLASSES;
    assert_int_equal(rpu_network_train(n, &images, good, 1, 0, NULL), RPU_ERR_RANGE);
    images.labels[0] = 0;
    assert_int_equal(rpu_network_digest(n, &after), RPU_OK);
    assert_true(before == after);
    rpu_network_destroy(n);
    rpu_engine_destroy(engine);
    rpu_images_free(&other);
}

/* ---- threads ---- */

/* A training that goes from thread to thread, a minibatch in each. */
struct relay {
    pthread_mutex_t lock;
    struct rpu_engine *engine;
    struct rpu_network *network;
    uint32_t done;
};

static void *take_turns(void *context) {
    struct relay *r = context;
    int more = 1;
    while (more) {
        pthread_mutex_lock(&r->lock);
        more = r->done < IMAGES;
        if (more) {
            const uint32_t index[] = {r->done, r->done + 1};
            more = rpu_network_train(r->network, &images, index, 2, r->done, NULL) == RPU_OK;
            r->done += 2;
        }
        pthread_mutex_unlock(&r->lock);
    }
    return NULL;
}

static uint64_t relayed(int threads_of_engine, int runners) {
    struct relay r = {.lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t threads[THREADS];
    uint64_t digest = 0;
    assert_int_equal(rpu_engine_create(&r.engine, NULL, threads_of_engine, NULL), RPU_OK);
    assert_int_equal(rpu_network_create(&r.network, r.engine, &config, SIDE, SIDE, 1, CLASSES, NULL), RPU_OK);
    for (int t = 0; t < runners; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, take_turns, &r), 0);
    for (int t = 0; t < runners; t++)
        pthread_join(threads[t], NULL);
    assert_int_equal(r.done, IMAGES);
    assert_int_equal(rpu_network_digest(r.network, &digest), RPU_OK);
    rpu_network_destroy(r.network);
    rpu_engine_destroy(r.engine);
    return digest;
}

/* One handle, used by several threads one at a time. */
static void test_handle_goes_from_thread_to_thread(void **state) {
    const uint64_t alone = relayed(1, 1);
    (void)state;
    assert_true(relayed(1, THREADS) == alone);
    assert_true(relayed(2, THREADS) == alone);
}

/* Everything from the configuration to the digest, in one thread. */
struct life {
    int threads;
    uint64_t digest;
    enum rpu_status status;
};

static void *live(void *context) {
    struct life *l = context;
    struct rpu_config *own = malloc(sizeof *own);
    struct rpu_dataset digits = {0};
    struct rpu_engine *engine = NULL;
    struct rpu_training *run = NULL;
    struct rpu_error err;
    const struct rpu_assignment list[] = {{"training.epochs=1", NULL}};
    char *text = NULL;
    l->status = own ? rpu_config_load(own, "lenet-rpu", list, 1, &err) : RPU_ERR_NOMEM;
    if (l->status == RPU_OK)
        l->status = rpu_config_yaml(own, &text, &err);
    if (l->status == RPU_OK)
        l->status = rpu_digits_generate(&digits, 6, 3, 1, &err);
    if (l->status == RPU_OK)
        l->status = rpu_engine_create(&engine, NULL, l->threads, &err);
    if (l->status == RPU_OK)
        l->status = rpu_training_create(&run, engine, own, &digits, &err);
    if (l->status == RPU_OK)
        l->status = rpu_training_run(run, NULL, NULL, &err);
    if (l->status == RPU_OK && *rpu_cpu_model() && *rpu_engine_isa(engine) && rpu_cpu_features())
        l->status = rpu_network_digest(rpu_training_network(run), &l->digest);
    rpu_training_destroy(run);
    rpu_engine_destroy(engine);
    rpu_dataset_free(&digits);
    free(text);
    free(own);
    return NULL;
}

/* Handles of their own, all threads at once. */
static void test_distinct_handles_at_once(void **state) {
    struct life alone = {.threads = 1}, lives[THREADS] = {{.threads = 1}, {.threads = 2}, {.threads = 1}};
    pthread_t threads[THREADS];
    (void)state;
    live(&alone);
    assert_int_equal(alone.status, RPU_OK);
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, live, &lives[t]), 0);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    for (int t = 0; t < THREADS; t++) {
        assert_int_equal(lives[t].status, RPU_OK);
        assert_true(lives[t].digest == alone.digest);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_null_and_foreign),
        cmocka_unit_test(test_handles_of_other_kinds),
        cmocka_unit_test(test_null_arguments),
        cmocka_unit_test(test_data_sets),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_places_and_sharing_of_threads),
        cmocka_unit_test(test_wrong_shapes),
        cmocka_unit_test(test_handle_goes_from_thread_to_thread),
        cmocka_unit_test(test_distinct_handles_at_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
