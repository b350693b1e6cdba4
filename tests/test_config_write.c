/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations that are written: round trips, what cannot be written, and the walk. */
#include "config_files.h"
#include "config_number.h"
#include "random.h"

#include <math.h>

/* ---- round trips ---- */

static void test_round_trips(void **state) {
    static const char *const files[] = {
        NET,
        "preset: lenet-rpu\narrays: {K2: {device: perfect}, W4: {dw_min: 0.0013}}\n",
        "preset: lenet-fp\narrays: {K2: {device: constant-step, forward: {bm: iterative}}}\n",
        "preset: lenet-fp\narrays: {default: {device: constant-step}, K1: {device: perfect}}\n",
        NET "arrays: {default: {device: perfect, dw_min: 0.5}}\n",
        "network: {layers: [{type: fc, outputs: 3}, {type: fc, outputs: 3, name: A-b_9}, {type: softmax}]}\n"
        "arrays: {W1: {device: perfect}, A-b_9: {forward: {bound: 0, out_bits: 0}}}\n",
        NET "training: {seed: 18446744073709551615, eta: 1.17549435e-8}\nrun: {threads: 1024, isa: 'true'}\n"
            "data: {limit_train: 4294967295, source: \"\\u0001\\t\\x85\\u2028\\U0001F600 \xc3\xa9'\\\"\\\\: #\"}\n",
        NET "data: {source: ~user/x}\n",
        NET "data: {source: '007'}\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct rpu_config config;
        load_good(&config, files[i], NULL);
        expect_round_trips(&config);
    }
    for (size_t i = 0; rpu_preset_name(i); i++) {
        struct rpu_config config;
        assert_int_equal(rpu_config_load(&config, rpu_preset_name(i), NULL, 0, NULL), RPU_OK);
        expect_round_trips(&config);
    }
}

/* Gives about two in three settings of an array another value. */
static void scramble(struct rpu_tile_params *p, uint64_t *random) {
    const struct rpu_key *k;
    for (size_t i = 0; (k = rpu_key_at(i)); i++) {
        char *member = (char *)p + k->offset;
        const float share = ldexpf((float)(next_random(random) >> 40), -24);
        const float real = (float)k->min + ((float)k->max - (float)k->min) * share;
        uint32_t bits = (uint32_t)(next_random(random) & 1);
        if (k->scope != RPU_SCOPE_ARRAY || k->type == RPU_KEY_MAP || next_random(random) % 3 == 0)
            continue;
        if (k->type == RPU_KEY_INTEGER)
            bits = (uint32_t)(k->low + next_random(random) % (k->high - k->low + 1));
        if (k->type != RPU_KEY_REAL)
            memcpy(member, &bits, sizeof bits);
        else if (real > 0.0f)
            memcpy(member, &real, sizeof real);
    }
    if (p->device.kind == RPU_DEVICE_PERFECT) {
        rpu_tile_params_baseline(p);
        p->device.kind = RPU_DEVICE_PERFECT;
    }
}

/* Random values in every key, so that nothing is left out of the table's two directions. */
static void test_random_round_trips(void **state) {
    uint64_t random = 20170538;
    (void)state;
    for (size_t round = 0; round < 300; round++) {
        struct rpu_config config;
        assert_int_equal(rpu_config_load(&config, rpu_preset_name(round % PRESETS), NULL, 0, NULL), RPU_OK);
        if (round % 2)
            memset(config.preset, 0, sizeof config.preset);
        for (uint32_t layer = 0; layer < config.n_layers; layer++)
            if (config.layers[layer].name[0])
                scramble(&config.layers[layer].tile, &random);
        config.height = (uint32_t)(next_random(&random) % 65537);
        config.channels = (uint32_t)(next_random(&random) % 65537);
        config.seed = next_random(&random);
        config.epochs = (uint32_t)(next_random(&random) % 1000000) + 1;
        config.limit_test = (uint32_t)next_random(&random);
        expect_round_trips(&config);
    }
}

/* A configuration that loading would refuse, made by `spoil` from a good one: the error names the place. */
static void test_unwritable_networks(void **state) {
    static const char *const says[] = {
        "network.layers: no layers",
        "network.layers.0: the last layer must be softmax",
        "network.layers.9: the last layer must be softmax",
        "network.layers.3: softmax before the end",
        "network.layers.9: softmax must follow directly",
        "network.layers.3: two arrays of the name K1: layers 0 and 3",
        "network.layers.0.type: found another value; allowed is conv, fc",
        "network.layers.2.type: found another value",
        "network.layers.0.bias: found another value; allowed is true or false",
        "network.layers.0.name: found 'a.b'; allowed is a letter",
        "network.layers.3.name: found 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'; allowed is a letter",
        "arrays.W3.max_cols: found '3000000'; allowed is 0 (off)",
        "arrays.W3: devices: 3 inputs of a tile (max_cols) cannot hold the 4 devices",
        "preset: found 'mine', which is no preset",
        "network.layers: found 65 layers; allowed are 64 at most",
        "data.source: found ''; allowed is a text",
    };
    struct rpu_config good, c;
    struct rpu_error err;
    char *text = NULL;
    (void)state;
    assert_int_equal(rpu_config_load(&good, NULL, NULL, 0, NULL), RPU_OK);
    for (size_t what = 0; what < sizeof says / sizeof says[0]; what++) {
        c = good;
        switch (what) {
        case 0: c.n_layers = 0; break;
        case 1: c.n_layers = 1; break;
        case 2: c.layers[9].kind = RPU_LAYER_RELU; break;
        case 3: c.layers[3] = c.layers[9]; break;
        case 4: c.layers[8] = c.layers[7]; break;
        case 5: strcpy(c.layers[3].name, "K1"); break;
        case 6: c.layers[0].kind = (enum rpu_layer_kind)99; break;
        case 7: c.layers[2].kind = (enum rpu_layer_kind) - 1; break;
        case 8: c.layers[0].bias = 7; break;
        case 9: strcpy(c.layers[0].name, "a.b"); break;
        case 10: memset(c.layers[3].name, 'x', sizeof c.layers[3].name); break;
        case 11: c.layers[6].tile.max_cols = 3000000; break;
        case 12:
            c.layers[6].tile.max_cols = 3;
            c.layers[6].tile.devices = 4;
            break;
        case 13: strcpy(c.preset, "mine"); break;
        case 14: c.n_layers = RPU_LAYERS_MAX + 1; break;
        default: c.data[0] = '\0';
        }
        assert_int_equal(rpu_config_yaml(&c, &text, &err), RPU_ERR_ARG);
        assert_null(text);
        if (!strstr(err.message, says[what]))
            fail_msg("\"%s\" does not say \"%s\"", err.message, says[what]);
        assert_int_equal(rpu_config_yaml(&c, &text, NULL), RPU_ERR_ARG);
    }
}

static void test_unwritable(void **state) {
    struct rpu_config config;
    struct rpu_error err;
    char *text = NULL;
    (void)state;
    assert_int_equal(rpu_config_load(&config, NULL, NULL, 0, NULL), RPU_OK);
    strcpy(config.data, "/tmp/\xe9t\xe9"); /* a file name in Latin-1 */
    assert_int_equal(rpu_config_yaml(&config, &text, &err), RPU_ERR_CONFIG);
    assert_non_null(strstr(err.message, "UTF-8"));
    strcpy(config.data, "digits");
    config.eta = NAN;
    assert_int_equal(rpu_config_yaml(&config, &text, &err), RPU_ERR_ARG);
    config.eta = 0.1f;
    config.layers[0].tile.device.kind = (enum rpu_device_kind)7;
    assert_int_equal(rpu_config_yaml(&config, &text, &err), RPU_ERR_ARG);
    config.layers[0].tile.device.kind = RPU_DEVICE_PERFECT;
    config.n_layers = RPU_LAYERS_MAX + 1;
    assert_int_equal(rpu_config_yaml(&config, &text, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_config_yaml(NULL, &text, &err), RPU_ERR_ARG);
    assert_null(text);
}

/* ---- the walk ---- */

struct trace {
    char text[8192];
    int stop_at, calls;
};

static int step(struct trace *t, const char *what, const char *key) {
    const size_t used = strlen(t->text);
    snprintf(t->text + used, sizeof t->text - used, "%s%s ", what, key ? key : "");
    return ++t->calls == t->stop_at ? 77 : 0;
}

static int on_map(void *user, const char *key) {
    return step(user, "{", key);
}

static int on_map_end(void *user) {
    return step(user, "}", NULL);
}

static int on_list(void *user, const char *key) {
    return step(user, "[", key);
}

static int on_list_end(void *user) {
    return step(user, "]", NULL);
}

static int on_scalar(void *user, const char *key, const struct rpu_value *value) {
    char text[128];
    assert_non_null(key);
    assert_non_null(value->key);
    if (value->type == RPU_VALUE_REAL)
        snprintf(text, sizeof text, "%s=%.15g", key, value->real);
    else if (value->type == RPU_VALUE_INTEGER)
        snprintf(text, sizeof text, "%s=%llu", key, (unsigned long long)value->integer);
    else if (value->type == RPU_VALUE_BOOL)
        snprintf(text, sizeof text, "%s=%s", key, value->boolean ? "yes" : "no");
    else
        snprintf(text, sizeof text, "%s='%s'", key, value->text);
    return step(user, "", text);
}

static void test_walk(void **state) {
    static const struct rpu_config_visitor visitor = {on_map, on_map_end, on_list, on_list_end, on_scalar};
    static const char expected[] =
        "{ {network height=0 width=0 channels=0 [layers { type='fc' name='W1' outputs=10 bias=yes } { type='softmax' } "
        "] } {arrays {W1 "
        "device='constant-step' dw_min=0.001 dw_min_dtod=0.3 dw_min_ctoc=0.3 imbalance_dtod=0.01 bound=0.6 "
        "bound_dtod=0.3 {forward in_bits=7 out_bits=9 noise=0.06 bound=12 nm='none' bm='none' bm_limit=5 } {backward "
        "in_bits=7 out_bits=9 noise=0.06 bound=12 nm='none' bm='none' bm_limit=5 } {update bl=10 um=no } devices=1 "
        "copies=1 division='blocks' "
        "max_rows=4096 max_cols=4096 } } {training "
        "epochs=30 batch=1 eta=0.01 seed=1 } {data source='digits' limit_train=0 limit_test=0 } {run threads=0 "
        "bind='auto' share='auto' isa='' "
        "} } ";
    struct rpu_config config;
    struct trace whole = {.text = ""};
    (void)state;
    load_good(&config, NET, NULL);
    assert_int_equal(rpu_config_visit(&config, RPU_VISIT_FULL, &visitor, &whole, NULL), 0);
    assert_string_equal(whole.text, expected);
    for (int i = 1; i <= whole.calls; i++) {
        struct trace part = {.stop_at = i};
        assert_int_equal(rpu_config_visit(&config, RPU_VISIT_FULL, &visitor, &part, NULL), 77);
        assert_int_equal(part.calls, i);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_random_round_trips),
        cmocka_unit_test(test_unwritable),  cmocka_unit_test(test_unwritable_networks),
        cmocka_unit_test(test_walk),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
