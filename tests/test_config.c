/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations: every class of error with its place, merging, presets, and mutated files.
 *
 * With `--normal FILE` it prints the file in the form that the embedded presets are kept in. */
#include "config_check.h"
#include "config_files.h"
#include "config_number.h"
#include "random.h"

#include <locale.h>
#include <math.h>

/* ---- helpers ---- */

static const struct rpu_layer_spec *find_array(const struct rpu_config *config, const char *name) {
    for (uint32_t i = 0; i < config->n_layers; i++)
        if (strcmp(config->layers[i].name, name) == 0)
            return &config->layers[i];
    fail_msg("no array %s", name);
    return NULL;
}

/* ---- errors of files ---- */

struct bad {
    const char *text;
    long line;
    const char *key;
    const char *part; /* of the message */
};

static const struct bad bad_files[] = {
    /* documents */
    {"", 1, "", "empty"},
    {"# nothing\n", 1, "", "empty"},
    {"---\n", 1, "", "empty"},
    {NET "---\n" NET, 2, "", "second document"},
    {"- 1\n", 1, "", "found a list; allowed is a map"},
    {"word\n", 1, "", "found 'word'; allowed is a map"},
    {NET "training: [1\n", 3, "", "not valid YAML"},
    {NET "training:\n\tepochs: 1\n", 3, "", "not valid YAML"},
    {NET "run: {isa: \"\xff\"}\n", 2, "", "not valid YAML"},
    {NET "run: {isa: \"a\\0b\"}\n", 2, "run.isa", "zero byte"},
    {"training: &a {epochs: 1}\n", 1, "training", "anchors"},
    {"training:\n  epochs: &a 1\n", 2, "training.epochs", "anchors"},
    {"training:\n  epochs: *a\n", 2, "training.epochs", "aliases"},
    {"training:\n  epochs: !!int 1\n", 2, "training.epochs", "tags"},
    {"training: !t {epochs: 1}\n", 1, "training", "tags"},
    {"? [a]\n: 1\n", 1, "", "as a key"},
    {"'': 1\n", 1, "", "empty key"},
    {"a: [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n", 1, NULL, "16 deep"},
    /* keys */
    {NET "trainig:\n  epochs: 1\n", 2, "trainig", "unknown key (did you mean 'training'?)"},
    {NET "training:\n  batch: 1\n  epoch: 1\n", 4, "training.epoch", "did you mean 'epochs'?"},
    {NET "training.epochs: 1\n", 2, "training.epochs", "unknown key"},
    {NET "training:\n  eta: 1\n  epochs: 1\n  eta: 2\n", 5, "training.eta",
     "duplicate key; it was first given in line 3"},
    {NET "arrays: {W1: {dw_min: 0.1}, W1: {dw_min: 0.1}}\n", 2, "arrays.W1", "duplicate key"},
    {NET "training: 3\n", 2, "training", "found '3'; allowed is a map"},
    {NET "training:\n  epochs: [1]\n", 3, "training.epochs", "found a list"},
    {NET "training:\n  epochs: {a: 1}\n", 3, "training.epochs", "found a map"},
    {NET "arrays: []\n", 2, "arrays", "found a list; allowed is a map"},
    {NET "arrays: {default: 3}\n", 2, "arrays.default", "allowed is a map"},
    {NET "arrays:\n  default:\n    forward: {nose: 1}\n", 4, "arrays.default.forward.nose", "did you mean 'noise'?"},
    /* integers */
    {NET "training:\n  epochs: 1.5\n", 3, "training.epochs",
     "'1.5', which is not an integer; allowed is an integer from 1"},
    {NET "training:\n  epochs: 1e3\n", 3, "training.epochs", "is not an integer"},
    {NET "training:\n  epochs: 007\n", 3, "training.epochs", "'007', which has a leading zero"},
    {NET "training:\n  epochs: 0o7\n", 3, "training.epochs", "is not decimal"},
    {NET "training:\n  epochs: 0x1F\n", 3, "training.epochs", "is not decimal"},
    {NET "training:\n  epochs: 1_000\n", 3, "training.epochs", "is not a number"},
    {NET "training:\n  epochs: +1\n", 3, "training.epochs", "is not a number"},
    {NET "training:\n  epochs: .nan\n", 3, "training.epochs", "is not finite"},
    {NET "training:\n  epochs: \"3\"\n", 3, "training.epochs", "is a quoted text"},
    {NET "training:\n  epochs: '3'\n", 3, "training.epochs", "is a quoted text"},
    {NET "training:\n  epochs: three\n", 3, "training.epochs", "is not a number"},
    {NET "training:\n  epochs:\n", 3, "training.epochs", "found nothing; allowed is an integer"},
    {NET "training:\n  epochs: ~\n", 3, "training.epochs", "'~', which is not a number"},
    {NET "training:\n  epochs: 0\n", 3, "training.epochs", "is out of range"},
    {NET "training:\n  epochs: -1\n", 3, "training.epochs", "is out of range"},
    {NET "training:\n  epochs: 1000001\n", 3, "training.epochs", "is out of range"},
    {NET "training:\n  epochs: 4294967297\n", 3, "training.epochs", "is out of range"},
    {NET "training:\n  seed: 18446744073709551616\n", 3, "training.seed", "is out of range"},
    {NET "training:\n  seed: 99999999999999999999999999999999999999999999\n", 3, "training.seed", "is out of range"},
    {NET "training:\n  seed: -18446744073709551616\n", 3, "training.seed", "is out of range"},
    {NET "arrays: {default: {forward: {in_bits: 1}}}\n", 2, "arrays.default.forward.in_bits", "0 (off), or an integer"},
    {NET "arrays: {default: {update: {bl: 256}}}\n", 2, "arrays.default.update.bl", "from 1 to 255"},
    /* reals */
    {NET "training:\n  eta: nan\n", 3, "training.eta", "is not finite"},
    {NET "training:\n  eta: .NaN\n", 3, "training.eta", "is not finite"},
    {NET "training:\n  eta: inf\n", 3, "training.eta", "is not finite"},
    {NET "training:\n  eta: -.inf\n", 3, "training.eta", "is not finite"},
    {NET "training:\n  eta: 1e999\n", 3, "training.eta", "is out of range"},
    {NET "training:\n  eta: 1e-60\n", 3, "training.eta", "is out of range"},
    {NET "training:\n  eta: 0\n", 3, "training.eta", "is out of range"},
    {NET "training:\n  eta: 00.5\n", 3, "training.eta", "has a leading zero"},
    {NET "training:\n  eta: 0x1p-3\n", 3, "training.eta", "is not decimal"},
    {NET "training:\n  eta: 0,5\n", 3, "training.eta", "is not a number"},
    {NET "training:\n  eta: '0.1'\n", 3, "training.eta", "is a quoted text"},
    {NET "arrays: {default: {dw_min_dtod: 1.01}}\n", 2, "arrays.default.dw_min_dtod", "a number from 0 to 1"},
    /* choices, booleans, texts */
    {NET "arrays: {default: {device: prefect}}\n", 2, "arrays.default.device", "allowed is perfect or constant-step"},
    {NET "arrays: {default: {update: {um: on}}}\n", 2, "arrays.default.update.um",
     "'on', which is neither; allowed is true"},
    {NET "arrays: {default: {update: {um: 1}}}\n", 2, "arrays.default.update.um", "allowed is true or false"},
    {NET "arrays: {default: {update: {um: 'true'}}}\n", 2, "arrays.default.update.um", "is a quoted text"},
    {NET "data: {source: ''}\n", 2, "data.source", "is empty"},
    {NET "data: {source: null}\n", 2, "data.source", "is no text"},
    {NET "run: {isa: abcdefghijklmnop}\n", 2, "run.isa", "is too long"},
    /* presets */
    {"preset: lenet-rp\n", 1, "preset", "is no preset (did you mean 'lenet-rpu'?); allowed is lenet-rpu, lenet-fp"},
    {"training: {epochs: 1}\n", 1, "network.layers", "missing; allowed is a list of layers"},
    /* networks */
    {"network:\n  layers: []\n", 2, "network.layers", "found 0 layers"},
    {"network:\n  layers:\n    - {type: fc, outputs: 3}\n    - tanh\n", 4, "network.layers.1",
     "found 'tanh'; allowed is a map"},
    {"network:\n  layers:\n    - {outputs: 3}\n", 3, "network.layers.0.type", "missing; allowed is conv, fc"},
    {"network:\n  layers:\n    - {type: fcc}\n", 3, "network.layers.0.type", "is none of the choices"},
    {"network:\n  layers:\n    - type: fc\n      outputs: 3\n      kernel: 5\n", 5, "network.layers.0.kernel",
     "not a key of layers of type fc; allowed are type, name, outputs, bias"},
    {"network:\n  layers:\n    - {type: tanh}\n    - {type: conv, outputs: 3}\n", 4, "network.layers.1.kernel",
     "missing"},
    {"network:\n  layers:\n    - {type: maxpool, window: 17}\n", 3, "network.layers.0.window", "from 1 to 16"},
    {"network:\n  layers:\n    - {type: fc, outputs: 3, name: default}\n", 3, "network.layers.0.name", "is not a name"},
    {"network:\n  layers:\n    - {type: fc, outputs: 3, name: 3x}\n", 3, "network.layers.0.name", "is not a name"},
    {"network:\n  layers:\n    - {type: fc, outputs: 3, name: a.b}\n", 3, "network.layers.0.name", "is not a name"},
    {"network:\n  layers:\n    - {type: fc, outputs: 3, name: abcdefghijklmnopqrstuvwxyzabcdef}\n", 3,
     "network.layers.0.name", "is too long"},
    {"network:\n  layers:\n    - {type: fc, outputs: 3}\n", 3, "network.layers.0", "the last layer must be softmax"},
    {"network:\n  layers:\n    - {type: softmax}\n", 3, "network.layers.0", "must follow directly on a conv or fc"},
    {"network:\n  layers:\n    - {type: fc, outputs: 3}\n    - {type: tanh}\n    - {type: softmax}\n", 5,
     "network.layers.2", "must follow directly on a conv or fc"},
    {"network:\n  layers:\n    - {type: softmax}\n    - {type: fc, outputs: 3}\n    - {type: softmax}\n", 3,
     "network.layers.0", "softmax before the end"},
    {"network:\n  layers:\n    - {type: fc, outputs: 3, name: A}\n    - {type: fc, outputs: 3, name: A}\n"
     "    - {type: softmax}\n",
     4, "network.layers.1", "two arrays of the name A"},
    {"network:\n  layers:\n    - {type: fc, outputs: 3, name: W2}\n    - {type: fc, outputs: 3}\n"
     "    - {type: softmax}\n",
     4, "network.layers.1", "two arrays of the name W2"},
    /* arrays */
    {NET "arrays:\n  default: {dw_min: 0.01}\n  W2: {dw_min: 0.01}\n", 4, "arrays.W2", "no array has this name"},
    {"preset: lenet-rpu\narrays:\n  K2:\n    forward:\n      bound: 0\n", 4, "arrays.K2", "needs a bound"},
    {"preset: lenet-rpu\narrays:\n  K2:\n    forward: {bound: 0, out_bits: 0}\n", 4, "arrays.K2",
     "bound management needs a bound"},
};

static void check_error(const struct rpu_error *err, enum rpu_status status, const struct bad *b, const char *file,
                        const char *text) {
    char place[128];
    if (status != RPU_ERR_CONFIG || err->status != RPU_ERR_CONFIG || err->line != b->line ||
        (b->key && strcmp(err->key, b->key) != 0) || !strstr(err->message, b->part) || strcmp(err->file, file) != 0)
        fail_msg("expected line %ld, key %s, '%s'\ngot %s, line %ld, key %s, file %s\nmessage: %s\nfor:\n%s", b->line,
                 b->key ? b->key : "(any)", b->part, rpu_status_name(status), err->line, err->key, err->file,
                 err->message, text);
    if (b->line)
        snprintf(place, sizeof place, "%s:%ld: %s", file, b->line, b->key ? b->key : "");
    else
        snprintf(place, sizeof place, "%s: %s", file, b->key ? b->key : "");
    assert_memory_equal(err->message, place, strlen(place));
}

static void test_bad_files(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        struct rpu_config config;
        struct rpu_error err;
        const enum rpu_status status = load_text(&config, bad_files[i].text, NULL, &err);
        check_error(&err, status, &bad_files[i], file_name, bad_files[i].text);
        assert_int_equal(config.n_layers, 0xa5a5a5a5); /* untouched */
    }
}

static void test_error_fields(void **state) {
    struct rpu_config config;
    struct rpu_error err;
    (void)state;
    assert_int_equal(load_text(&config, NET "training: {epochs: 007}\n", NULL, &err), RPU_ERR_CONFIG);
    assert_string_equal(err.value, "'007'");
    assert_string_equal(err.expected, "an integer from 1 to 1000000");
    /* long and unprintable values are shortened and made safe to print */
    load_text(&config,
              NET "training: {epochs: \"\\e[31m0123456789012345678901234567890123456789012345678901234567890\"}\n",
              NULL, &err);
    assert_string_equal(err.value, "'?[31m0123456789012345678901234567890123456789012345678901...'");
}

/* ---- errors of assignments ---- */

static const struct bad bad_sets[] = {
    {"training.epochs=1.5", 0, "training.epochs", "found '1.5', which is not an integer"},
    {"training.epochs=", 0, "training.epochs", "no value"},
    {"training.epochs=3\n---\n4", 0, "training.epochs", "second document"},
    {"training.epochs=[1", 0, "training.epochs", "not valid YAML"},
    {"training.epochs=\"3\"", 0, "training.epochs", "is a quoted text"},
    {"training.epochs=&a 3", 0, "training.epochs", "anchors"},
    {"training.epoch=3", 0, "training.epoch", "did you mean 'epochs'?"},
    {"training={epochs: 1, epochs: 2}", 0, "training.epochs", "duplicate key"},
    {"training=3", 0, "training", "allowed is a map"},
    {"training..epochs=3", 0, "training..epochs", "not a dotted path"},
    {"training.=3", 0, "training.", "not a dotted path"},
    {".training=3", 0, ".training", "not a dotted path"},
    {"training.epochs.more=3", 0, "training.epochs.more", "nothing below a single value"},
    {"epochs", 0, "", "allowed is KEY=VALUE"},
    {"=3", 0, "", "allowed is KEY=VALUE"},
    {"preset=lenet-fp", 0, "preset", "cannot be assigned"},
    {"arrays.K9.dw_min=0.1", 0, "arrays.K9", "no array has this name"},
    {"arrays.K2.dw_min=2", 0, "arrays.K2.dw_min", "is out of range"},
    {"arrays.K2.forward.bound=0", 0, "arrays.K2", "needs a bound"},
    {"network.layers.10.outputs=3", 0, "network.layers.10.outputs", "no element of the list; it has 10"},
    {"network.layers[0.outputs=3", 0, "network.layers[0.outputs", "not a dotted path"},
    {"network.layers.x.outputs=3", 0, "network.layers.x.outputs", "no element of the list"},
    {"network.layers.0.window=3", 0, "network.layers.0.window", "not a key of layers of type conv"},
    {"network.layers=[{type: tanh}]", 0, "network.layers.0", "the last layer must be softmax"},
};

static void test_bad_sets(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_sets / sizeof bad_sets[0]; i++) {
        const char *const sets[] = {bad_sets[i].text, NULL};
        struct rpu_config config;
        struct rpu_error err;
        const enum rpu_status status = load_text(&config, "preset: lenet-rpu\n", sets, &err);
        check_error(&err, status, &bad_sets[i], "--set", bad_sets[i].text);
    }
}

/* ---- limits, files ---- */

static void test_limits(void **state) {
    struct rpu_config config;
    struct rpu_error err;
    static char text[RPU_YAML_MAX_BYTES + 2];
    size_t used;
    (void)state;
    for (int extra = 0; extra < 2; extra++) { /* 64 layers are allowed, 65 are not */
        used = (size_t)sprintf(text, "network:\n  layers:\n");
        for (int i = 0; i < 62 + extra; i++)
            used += (size_t)sprintf(text + used, "    - {type: tanh}\n");
        sprintf(text + used, "    - {type: fc, outputs: 3}\n    - {type: softmax}\n");
        if (!extra)
            load_good(&config, text, NULL);
        else {
            assert_int_equal(load_text(&config, text, NULL, &err), RPU_ERR_CONFIG);
            assert_non_null(strstr(err.message, "found 65 layers; allowed is a list of 1 to 64 layers"));
        }
    }
    used = (size_t)sprintf(text, NET "arrays:\n");
    for (int i = 0; i < 1025; i++)
        used += (size_t)sprintf(text + used, "  a%d: {}\n", i);
    assert_int_equal(load_text(&config, text, NULL, &err), RPU_ERR_CONFIG);
    assert_int_equal(err.line, 2 + 1025);
    assert_non_null(strstr(err.message, "1024 entries"));
    for (int extra = 0; extra < 2; extra++) { /* a file of exactly the allowed size, and one byte more */
        memset(text, '#', RPU_YAML_MAX_BYTES + 1);
        text[RPU_YAML_MAX_BYTES + (size_t)extra] = '\0';
        memcpy(text, NET, strlen(NET));
        assert_int_equal(load_text(&config, text, NULL, &err), extra ? RPU_ERR_CONFIG : RPU_OK);
    }
    assert_non_null(strstr(err.message, "larger than 1048576 bytes"));
}

static void test_sources(void **state) {
    struct rpu_config config;
    struct rpu_error err;
    const struct rpu_assignment none = {NULL, NULL};
    (void)state;
    assert_int_equal(rpu_config_load(&config, "/nowhere/at/all.yaml", NULL, 0, &err), RPU_ERR_IO);
    assert_non_null(strstr(err.message, "/nowhere/at/all.yaml: no preset, and no file"));
    assert_int_equal(rpu_config_load(&config, "lenet-rpn", NULL, 0, &err), RPU_ERR_IO);
    assert_non_null(strstr(err.message, "did you mean 'lenet-rpu'?"));
    assert_int_equal(rpu_config_load(&config, "/tmp", NULL, 0, &err), RPU_ERR_IO);
    assert_int_equal(rpu_config_load(NULL, NULL, NULL, 0, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_config_load(&config, NULL, NULL, 1, NULL), RPU_ERR_ARG);
    assert_int_equal(rpu_config_load(&config, NULL, &none, 1, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_config_load(&config, NULL, NULL, 0, NULL), RPU_OK);
    assert_string_equal(config.preset, "lenet-rpu");
}

/* ---- merging ---- */

static void test_precedence(void **state) {
    const char *const sets[] = {"training.epochs=5", "training.epochs=6", "arrays.K2.dw_min=0.004", NULL};
    struct rpu_config config;
    (void)state;
    load_good(&config, "preset: lenet-rpu\ntraining: {epochs: 4, batch: 8}\narrays:\n  K2: {dw_min: 0.002, bound: 1}\n",
              sets);
    assert_string_equal(config.preset, "lenet-rpu");
    assert_int_equal(config.epochs, 6);       /* the last assignment */
    assert_int_equal(config.batch, 8);        /* the file */
    assert_float_equal(config.eta, 0.01f, 0); /* the preset */
    assert_true(find_array(&config, "K2")->tile.device.dw_min == 0.004f);
    assert_true(find_array(&config, "K2")->tile.device.bound == 1.0f);
    assert_true(find_array(&config, "K1")->tile.device.dw_min == 0.001f);
    assert_int_equal(find_array(&config, "K2")->tile.update.bl, 1); /* the preset's default array */
}

static void test_defaults(void **state) {
    struct rpu_config config;
    struct rpu_tile_params baseline;
    (void)state;
    rpu_tile_params_baseline(&baseline);
    load_good(&config,
              "network:\n  layers:\n  - {type: conv, outputs: 4, kernel: 3}\n  - {type: maxpool, window: 3}\n"
              "  - {type: relu}\n  - {type: fc, outputs: 9, bias: false}\n  - {type: sigmoid}\n"
              "  - {type: conv, outputs: 2, kernel: 1, stride: 2, padding: 1, name: last-one_2}\n  - {type: softmax}\n",
              NULL);
    assert_string_equal(config.preset, "");
    assert_int_equal(config.n_layers, 7);
    assert_string_equal(config.layers[0].name, "K1");
    assert_string_equal(config.layers[3].name, "W2");
    assert_string_equal(config.layers[5].name, "last-one_2");
    assert_int_equal(config.layers[0].stride, 1);
    assert_int_equal(config.layers[0].padding, 0);
    assert_int_equal(config.layers[0].bias, 1);
    assert_int_equal(config.layers[1].kernel, 3);
    assert_int_equal(config.layers[1].stride, 3); /* the window */
    assert_int_equal(config.layers[3].bias, 0);
    assert_int_equal(config.layers[5].stride, 2);
    assert_int_equal(config.layers[5].padding, 1);
    assert_memory_equal(&config.layers[0].tile, &baseline, sizeof baseline);
    assert_int_equal(config.epochs, 30);
    assert_int_equal(config.batch, 1);
    assert_true(config.eta == 0.01f);
    assert_true(config.seed == 1);
    assert_string_equal(config.data, "digits");
    assert_int_equal(config.limit_train + config.limit_test + config.threads, 0);
    assert_string_equal(config.isa, "");
}

static void test_overrides(void **state) {
    const char *const sets[] = {"arrays.default.forward.noise=0", "arrays={W3: {update: {bl: 7}}}", NULL};
    struct rpu_config config;
    struct rpu_tile_params p;
    (void)state;
    load_good(&config,
              "preset: lenet-rpu-nm-bm\narrays:\n  default:\n    backward: {noise: 0.5}\n  W4:\n    device: perfect\n"
              "    dw_min: 0.5\n  K1:\n    update: {um: true}\n    forward: {in_bits: 0, nm: abs-max}\n",
              sets);
    rpu_tile_params_baseline(&p); /* what all get */
    p.forward.bm = RPU_BM_ITERATIVE;
    p.forward.noise = 0.0f;
    p.backward.nm = RPU_NM_ABS_MAX;
    p.backward.noise = 0.5f;
    assert_memory_equal(&find_array(&config, "K2")->tile, &p, sizeof p);
    p.update.bl = 7;
    assert_memory_equal(&find_array(&config, "W3")->tile, &p, sizeof p);
    p.update.bl = 10;
    p.update.um = 1;
    p.forward.in_bits = 0;
    p.forward.nm = RPU_NM_ABS_MAX;
    assert_memory_equal(&find_array(&config, "K1")->tile, &p, sizeof p);
    rpu_tile_params_baseline(&p); /* a perfect array keeps nothing that has no effect */
    p.device.kind = RPU_DEVICE_PERFECT;
    assert_memory_equal(&find_array(&config, "W4")->tile, &p, sizeof p);
}

static void test_sets(void **state) {
    const char *const lists[] = {
        "network.layers=[{type: fc, outputs: 20}, {type: relu}, {type: fc, outputs: 10}, {type: softmax}]",
        "network.layers[0].outputs=8",
        "network.layers.2.name=out",
        "arrays.out.update.bl=3",
        "data.source=\"a = b: \\\"c\\\", #d\"",
        "run.isa=autovec",
        NULL};
    const char *const element[] = {"network.layers.0={type: conv, outputs: 3, kernel: 7}", "network.layers[1].window=3",
                                   NULL};
    struct rpu_config config;
    (void)state;
    load_good(&config, "preset: lenet-fp\n", lists);
    assert_int_equal(config.n_layers, 4);
    assert_int_equal(config.layers[0].outputs, 8);
    assert_string_equal(config.layers[0].name, "W1");
    assert_string_equal(config.layers[2].name, "out");
    assert_string_equal(config.data, "a = b: \"c\", #d");
    assert_string_equal(config.isa, "autovec");
    load_good(&config, "preset: lenet-fp\n", element);
    assert_int_equal(config.layers[0].outputs, 3);
    assert_int_equal(config.layers[0].kernel, 7);
    assert_int_equal(config.layers[1].kernel, 3);
    assert_int_equal(config.layers[1].stride, 2); /* the preset states it */
}

/* ---- presets and table ---- */

static void test_presets(void **state) {
    static const struct {
        const char *name;
        enum rpu_device_kind device;
        enum rpu_nm nm;
        enum rpu_bm bm;
        int32_t um, bl;
    } rows[] = {
        {"lenet-rpu", RPU_DEVICE_CONSTANT_STEP, RPU_NM_ABS_MAX, RPU_BM_ITERATIVE, 1, 1},
        {"lenet-fp", RPU_DEVICE_PERFECT, RPU_NM_NONE, RPU_BM_NONE, 0, 10},
        {"lenet-rpu-baseline", RPU_DEVICE_CONSTANT_STEP, RPU_NM_NONE, RPU_BM_NONE, 0, 10},
        {"lenet-rpu-nm", RPU_DEVICE_CONSTANT_STEP, RPU_NM_ABS_MAX, RPU_BM_NONE, 0, 10},
        {"lenet-rpu-bm", RPU_DEVICE_CONSTANT_STEP, RPU_NM_NONE, RPU_BM_ITERATIVE, 0, 10},
        {"lenet-rpu-nm-bm", RPU_DEVICE_CONSTANT_STEP, RPU_NM_ABS_MAX, RPU_BM_ITERATIVE, 0, 10},
    };
    static const enum rpu_layer_kind kinds[] = {RPU_LAYER_CONV,    RPU_LAYER_MAXPOOL, RPU_LAYER_TANH, RPU_LAYER_CONV,
                                                RPU_LAYER_MAXPOOL, RPU_LAYER_TANH,    RPU_LAYER_FC,   RPU_LAYER_TANH,
                                                RPU_LAYER_FC,      RPU_LAYER_SOFTMAX};
    static const uint32_t outputs[] = {16, 0, 0, 32, 0, 0, 128, 0, 10, 0};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rpu_config c;
        struct rpu_tile_params p;
        assert_string_equal(rpu_preset_name(i), rows[i].name);
        assert_non_null(rpu_preset_summary(i));
        assert_int_equal(rpu_config_load(&c, rows[i].name, NULL, 0, NULL), RPU_OK);
        assert_string_equal(c.preset, rows[i].name);
        assert_int_equal(c.n_layers, 10);
        assert_true(c.eta == 0.01f && c.epochs == 30 && c.batch == 1 && c.seed == 1);
        rpu_tile_params_baseline(&p);
        p.device.kind = rows[i].device;
        p.backward.nm = rows[i].nm;
        p.forward.bm = rows[i].bm;
        p.update = (struct rpu_update_params){rows[i].bl, rows[i].um};
        for (uint32_t k = 0; k < c.n_layers; k++) {
            assert_int_equal(c.layers[k].kind, kinds[k]);
            assert_int_equal(c.layers[k].outputs, outputs[k]);
            if (c.layers[k].name[0])
                assert_memory_equal(&c.layers[k].tile, &p, sizeof p);
        }
    }
    assert_string_equal(rpu_preset_name(PRESETS - 1), "alexnet");
    assert_null(rpu_preset_name(PRESETS));
    assert_null(rpu_preset_summary(PRESETS));
    assert_null(rpu_preset_yaml("lenet"));
    assert_null(rpu_preset_yaml(NULL));
}

/* What `presets` prints is what the table says: keys, order, help, ranges. */
static void test_presets_print_from_table(void **state) {
    (void)state;
    for (size_t i = 0; rpu_preset_name(i); i++) {
        const char *text = rpu_preset_yaml(rpu_preset_name(i)), *body = strstr(text, "\nnetwork:");
        struct rpu_config config, named;
        char *normal = NULL;
        load_good(&config, text, NULL);
        assert_int_equal(rpu_config_write(&config, RPU_VISIT_COMPACT, 1, &normal, NULL), RPU_OK);
        assert_non_null(body);
        assert_string_equal(body + 1, normal);
        assert_int_equal(rpu_config_load(&named, rpu_preset_name(i), NULL, 0, NULL), RPU_OK);
        memset(named.preset, 0, sizeof named.preset); /* fed back it is a file like any other */
        assert_memory_equal(&named, &config, sizeof config);
        free(normal);
    }
}

static void test_table(void **state) {
    const struct rpu_key *k;
    (void)state;
    for (size_t i = 0; (k = rpu_key_at(i)); i++) {
        struct rpu_config room = {0};
        char buffer[192];
        if (strlen(k->help) < 5 || strlen(rpu_key_allowed(k, buffer, sizeof buffer)) < 5)
            fail_msg("%s: no help", k->path);
        if (k->fallback && k->fallback[0] != '=' && rpu_key_parse(k, k->fallback, k->type == RPU_KEY_TEXT, &room))
            fail_msg("%s: its default %s is not allowed", k->path, k->fallback);
        for (unsigned kind = 0; kind < 7; kind++)
            if (rpu_key_belongs(k, k->scope, RPU_LAYER_BIT(kind)))
                assert_ptr_equal(rpu_key_find(k->scope, RPU_LAYER_BIT(kind), k->path), k);
    }
}

/* The ends of every range of an array's keys are good for a tile, too. */
static void test_range_ends(void **state) {
    const struct rpu_key *k;
    (void)state;
    for (size_t i = 0; (k = rpu_key_at(i)); i++)
        for (int end = 0; end < 2 && k->scope == RPU_SCOPE_ARRAY && k->type == RPU_KEY_REAL; end++) {
            struct rpu_tile_params p;
            char text[RPU_NUMBER_TEXT];
            rpu_tile_params_baseline(&p);
            p.forward.out_bits = p.backward.out_bits = 0; /* these need a bound */
            rpu_number_print((float)(end ? k->max : k->min), text);
            if (rpu_key_parse(k, text, 0, &p) || rpu_tile_params_check(&p, NULL) != RPU_OK)
                fail_msg("%s: %s is refused", k->path, text);
        }
}

/* ---- locale ---- */

/* A program that uses the library may have set a locale with a decimal comma. */
static void test_locale(void **state) {
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    struct rpu_config config;
    const char *set = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !set; i++)
        set = setlocale(LC_ALL, names[i]);
    if (!set)
        skip();
    load_good(&config, NET "training: {eta: 0.25}\n", NULL);
    assert_true(config.eta == 0.25f);
    expect_round_trips(&config);
    setlocale(LC_ALL, "C");
}

/* ---- mutations ---- */

static size_t mutate(char *text, size_t size, size_t room, uint64_t *random) {
    static const char *const pieces[] = {"- ",  ": ",   "\n",      "  ",    "{",
                                         "}",   "[",    "]",       "&a ",   "*a",
                                         "!t ", "'",    "\"",      "---\n", "999999999999999999999",
                                         "-1",  "0.5",  "default", "K1",    "#",
                                         "\t",  "\xff", "\\",      "|",     "? ",
                                         ",",   "~",    "true",    "%",     "\xe2\x80\xa8",
                                         "1e40"};
    const size_t at = next_random(random) % size;
    size_t length = next_random(random) % 24;
    switch (next_random(random) % 4) {
    case 0: text[at] = (char)next_random(random); return size;
    case 1: /* drop */
        length = length < size - at ? length : size - at - 1;
        memmove(text + at, text + at + length, size - at - length);
        return size - length;
    case 2: { /* insert */
        const char *piece = pieces[next_random(random) % (sizeof pieces / sizeof pieces[0])];
        length = strlen(piece);
        if (size + length > room)
            return size;
        memmove(text + at + length, text + at, size - at);
        memcpy(text + at, piece, length);
        return size + length;
    }
    default: { /* copy a stretch elsewhere */
        const size_t from = next_random(random) % size;
        length = length < size - at ? length : size - at;
        length = length < size - from ? length : size - from;
        memmove(text + at, text + from, length);
        return size;
    }
    }
}

static void test_mutations(void **state) {
    enum { ROOM = 16384, ROUNDS = 6000 };
    const char *rounds_text = getenv("RPU_TEST_ROUNDS");
    const int rounds = rounds_text ? atoi(rounds_text) : ROUNDS;
    static char text[ROOM];
    uint64_t random = 1;
    int good = 0;
    (void)state;
    for (int i = 0; i < rounds; i++) {
        const uint64_t seed = random;
        const char *base = rpu_preset_yaml(rpu_preset_name((size_t)i % PRESETS));
        size_t size = strlen(base);
        int changes = 1 + (int)(next_random(&random) % 4);
        struct rpu_config config;
        struct rpu_error err;
        memcpy(text, base, size);
        while (changes-- && size > 1)
            size = mutate(text, size, ROOM, &random);
        write_bytes(text, size);
        if (rpu_config_load(&config, file_name, NULL, 0, &err) == RPU_OK) {
            good++;
            if (i % 16 == 0)
                expect_round_trip(&config, RPU_VISIT_COMPACT, 0);
        } else if (!err.message[0] || err.status != RPU_ERR_CONFIG || strcmp(err.file, file_name) != 0 ||
                   err.line < 1) {
            fail_msg("mutation %d (generator at %llx): status %s, line %ld, message '%s'", i, (unsigned long long)seed,
                     rpu_status_name(err.status), err.line, err.message);
        }
    }
    assert_in_range(good, rounds / 20, rounds - rounds / 20); /* both happen */
}

static void test_set_mutations(void **state) {
    static const char *const bases[] = {"network.layers[0].outputs=8", "arrays.K2.forward={noise: 0.1, nm: abs-max}",
                                        "network.layers=[{type: fc, outputs: 10}, {type: softmax}]",
                                        "training.epochs=3", "arrays.default.update.um=false"};
    uint64_t random = 2;
    char text[512];
    (void)state;
    for (int i = 0; i < 5000; i++) {
        const char *base = bases[i % 5];
        size_t size = strlen(base);
        struct rpu_config config;
        struct rpu_error err;
        const struct rpu_assignment set = {text, "--set"};
        memcpy(text, base, size);
        for (uint64_t changes = next_random(&random) % 4; changes && size > 1; changes--)
            size = mutate(text, size, sizeof text - 1, &random);
        text[size] = '\0';
        if (rpu_config_load(&config, "lenet-rpu", &set, 1, &err) != RPU_OK &&
            (!err.message[0] || (strcmp(err.file, "--set") != 0 && strncmp(err.file, "preset ", 7) != 0)))
            fail_msg("'%s': file '%s', message '%s'", text, err.file, err.message);
    }
}

static int print_normal(const char *path) {
    struct rpu_config config;
    struct rpu_error err;
    char *text;
    if (rpu_config_load(&config, path, NULL, 0, &err) != RPU_OK ||
        rpu_config_write(&config, RPU_VISIT_COMPACT, 1, &text, &err) != RPU_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    fputs(text, stdout);
    free(text);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_error_fields),
        cmocka_unit_test(test_bad_sets),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_presets_print_from_table),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_range_ends),
        cmocka_unit_test(test_locale),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_set_mutations),
    };
    if (argc == 3 && strcmp(argv[1], "--normal") == 0)
        return print_normal(argv[2]);
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
