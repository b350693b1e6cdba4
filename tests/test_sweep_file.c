/* SPDX-License-Identifier: Apache-2.0 */
/* Sweep files: what they expand to, the names of runs, and what is refused. */
#include "config_json.h"
#include "sweep.h"
#include "sweep_result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char path[] = "sweep.yaml";

static void write_text(const char *name, const char *text) {
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static struct rpu_sweep *sweep_with(const char *text, const struct rpu_assignment *list, size_t n) {
    struct rpu_sweep *s = NULL;
    struct rpu_error err;
    write_text(path, text);
    if (rpu_sweep_read(&s, path, list, n, &err) != RPU_OK)
        fail_msg("%s", err.message);
    return s;
}

static struct rpu_sweep *sweep_of(const char *text) {
    return sweep_with(text, NULL, 0);
}

static struct rpu_config *config_of(const struct rpu_sweep *s, size_t run) {
    static struct rpu_config config;
    struct rpu_error err;
    if (rpu_sweep_config(s, run, &config, &err) != RPU_OK)
        fail_msg("%s", err.message);
    return &config;
}

/* The message begins with "sweep.yaml:LINE: KEY: " and says the rest somewhere. */
static void refuses_with(const char *text, const struct rpu_assignment *list, size_t n, const char *beginning,
                         const char *says) {
    struct rpu_sweep *s = (struct rpu_sweep *)1;
    struct rpu_error err;
    write_text(path, text);
    if (rpu_sweep_read(&s, path, list, n, &err) != RPU_ERR_CONFIG)
        fail_msg("accepted: %s", text);
    assert_null(s);
    if (strncmp(err.message, beginning, strlen(beginning)) != 0 || !strstr(err.message, says))
        fail_msg("%s\nexpected: %s ... %s", err.message, beginning, says);
}

static void refuses(const char *text, const char *beginning, const char *says) {
    refuses_with(text, NULL, 0, beginning, says);
}

/* ---- expansion ---- */

static void test_grid(void **state) {
    struct rpu_sweep *s = sweep_of("base: lenet-rpu\n"
                                   "training: {epochs: 2}\n"
                                   "grid:\n"
                                   "  arrays.default.update.bl: [1, 5, 10]\n"
                                   "  training.eta: [0.01, 0.02]\n"
                                   "seeds: [7, 8]\n");
    static const int bl[] = {1, 5, 10};
    static const float eta[] = {0.01f, 0.02f};
    (void)state;
    assert_int_equal(rpu_sweep_count(s), 12);
    assert_int_equal(rpu_sweep_key_count(s), 3);
    assert_int_equal(rpu_sweep_seed_count(s), 2);
    assert_string_equal(rpu_sweep_key(s, 0), "arrays.default.update.bl");
    assert_string_equal(rpu_sweep_key_short(s, 2), "seed");
    for (size_t i = 0; i < 12; i++) {
        const struct rpu_config *c = config_of(s, i);
        assert_int_equal(c->layers[0].tile.update.bl, bl[i / 4]);
        assert_true(c->eta == eta[i / 2 % 2]);
        assert_int_equal(c->seed, 7 + i % 2);
        assert_int_equal(c->epochs, 2);
        assert_int_equal(c->threads, 1);
        assert_string_equal(c->preset, "lenet-rpu");
    }
    assert_string_equal(rpu_sweep_name(s, 0), "bl=1,eta=0.01,seed=7");
    assert_string_equal(rpu_sweep_name(s, 11), "bl=10,eta=0.02,seed=8");
    assert_string_equal(rpu_sweep_value(s, 11, 0), "10");
    rpu_sweep_free(s);
}

static void test_list_beside_grid(void **state) {
    struct rpu_sweep *s = sweep_of("list:\n"
                                   "  arrays.default.forward.noise: [0, 0.1, 0.2]\n"
                                   "  arrays.default.backward.noise: [0.3, 0.1, 0]\n"
                                   "grid: {training.epochs: [1, 2]}\n");
    static const float forward[] = {0, 0.1f, 0.2f}, backward[] = {0.3f, 0.1f, 0};
    (void)state;
    assert_int_equal(rpu_sweep_count(s), 6);
    assert_int_equal(rpu_sweep_seed_count(s), 0);
    for (size_t i = 0; i < 6; i++) {
        const struct rpu_config *c = config_of(s, i);
        assert_true(c->layers[0].tile.forward.noise == forward[i / 2]);
        assert_true(c->layers[0].tile.backward.noise == backward[i / 2]);
        assert_int_equal(c->epochs, 1 + i % 2);
    }
    assert_string_equal(rpu_sweep_name(s, 1), "forward.noise=0,backward.noise=0.3,epochs=2");
    rpu_sweep_free(s);
}

/* Each case sets what it names over what all runs share; names stand for cases. */
static void test_cases(void **state) {
    struct rpu_sweep *s = sweep_of("base: lenet-rpu-baseline\n"
                                   "arrays: {default: {forward: {noise: 0.5}}}\n"
                                   "cases:\n"
                                   "  plain: {}\n"
                                   "  managed: {arrays.default.backward.nm: abs-max, arrays.K2: {devices: 4}}\n"
                                   "  quiet: {arrays.default.forward.noise: 0, network.layers.0.outputs: 3}\n"
                                   "grid: {training.epochs: [1, 2]}\n"
                                   "seeds: [3]\n");
    (void)state;
    assert_int_equal(rpu_sweep_count(s), 6);
    assert_int_equal(rpu_sweep_key_count(s), 3);
    assert_string_equal(rpu_sweep_key(s, 0), "case");
    assert_string_equal(rpu_sweep_value(s, 3, 0), "managed");
    assert_string_equal(rpu_sweep_name(s, 3), "case=managed,epochs=2,seed=3");
    for (size_t i = 0; i < 6; i++) {
        const struct rpu_config *c = config_of(s, i);
        assert_true(c->layers[0].tile.forward.noise == (i / 2 == 2 ? 0.0f : 0.5f));
        assert_int_equal(c->layers[0].tile.backward.nm, i / 2 == 1 ? RPU_NM_ABS_MAX : RPU_NM_NONE);
        assert_int_equal(c->layers[3].tile.devices, i / 2 == 1 ? 4 : 1);
        assert_int_equal(c->layers[0].tile.devices, 1);
        assert_int_equal(c->layers[0].outputs, i / 2 == 2 ? 3 : 16);
        assert_int_equal(c->epochs, 1 + i % 2);
    }
    rpu_sweep_free(s);
}

static void test_cases_are_refused(void **state) {
    const struct rpu_assignment set = {"arrays.default.update.um=true", "--set"};
    (void)state;
    refuses("cases: 3\n", "sweep.yaml:1: cases: found '3'", "a map of names and maps");
    refuses("cases: {}\n", "sweep.yaml:1: cases: ", "a map of names and maps");
    refuses("cases:\n  a: {}\n  b: 4\n", "sweep.yaml:3: cases.b: found '4'", "or {} for what all runs share");
    refuses("cases:\n  a: {training.epohcs: 4}\n", "sweep.yaml:2: training.epohcs: ", "did you mean 'epochs'");
    refuses("cases:\n  a: {}\n  a: {}\n", "sweep.yaml:3: cases.a: ", "duplicate");
    refuses("cases:\n  a: {preset: lenet-fp}\n", "sweep.yaml:2: cases.a.preset: ", "cannot vary");
    refuses("cases:\n  a: {training.seed: 2}\nseeds: [1, 2]\n",
            "sweep.yaml:2: cases.a.training.seed: ", "which seeds varies (training.seed, line 3)");
    refuses("cases:\n  a: {arrays.default.update: {bl: 2}}\ngrid: {arrays.default.update.bl: [1]}\n",
            "sweep.yaml:2: cases.a.arrays.default.update: ", "which grid varies");
    refuses("cases:\n  a: {\"network.layers[0].outputs\": 5}\ngrid: {network.layers.0.outputs: [4]}\n",
            "sweep.yaml:2: cases.a.network.layers[0].outputs: ", "which grid varies");
    refuses("cases:\n  a: {network.layers.0.outputs: 5}\ngrid: {\"network.layers[0].outputs\": [4]}\n",
            "sweep.yaml:2: cases.a.network.layers.0.outputs: ", "which grid varies");
    refuses_with("cases:\n  a: {arrays.default.update.um: false}\n", &set, 1,
                 "--set: arrays.default.update.um: ", "a case sets arrays.default.update.um (sweep.yaml, line 2)");
}

/* A run is what train makes of the same base and assignments. */
static void test_runs_are_what_assignments_make(void **state) {
    struct rpu_sweep *s = sweep_of("base: lenet-fp\n"
                                   "data: {limit_train: 9}\n"
                                   "grid:\n"
                                   "  network.layers[0].outputs: [4, 8]\n"
                                   "  arrays.K2.device: [constant-step]\n");
    const struct rpu_assignment list[] = {{"data.limit_train=9", NULL},
                                          {"network.layers.0.outputs=8", NULL},
                                          {"arrays.K2.device=constant-step", NULL},
                                          {"run.threads=1", NULL}};
    struct rpu_config expected;
    char *a = NULL, *b = NULL;
    (void)state;
    assert_int_equal(rpu_config_load(&expected, "lenet-fp", list, 4, NULL), RPU_OK);
    assert_int_equal(rpu_config_yaml(&expected, &a, NULL), RPU_OK);
    assert_int_equal(rpu_config_yaml(config_of(s, 1), &b, NULL), RPU_OK);
    assert_string_equal(a, b);
    assert_string_equal(rpu_sweep_name(s, 1), "outputs=8,device=constant-step");
    free(a);
    free(b);
    rpu_sweep_free(s);
}

static void test_base_is_relative_to_the_sweep_file(void **state) {
    struct rpu_sweep *s = NULL;
    struct rpu_error err;
    (void)state;
    assert_int_equal(system("mkdir -p sub"), 0);
    write_text("sub/base.yaml", "preset: lenet-rpu\ntraining: {epochs: 3}\n");
    write_text("sub/sweep.yaml", "base: base.yaml\nseeds: [1]\n");
    if (rpu_sweep_read(&s, "sub/sweep.yaml", NULL, 0, &err) != RPU_OK)
        fail_msg("%s", err.message);
    assert_int_equal(config_of(s, 0)->epochs, 3);
    assert_string_equal(config_of(s, 0)->preset, "lenet-rpu");
    rpu_sweep_free(s);
}

static void test_assignments_are_shared(void **state) {
    const struct rpu_assignment list[] = {{"training.epochs=4", "--epochs"}, {"run.threads=2", "--threads"}};
    struct rpu_sweep *s = sweep_with("training: {epochs: 2}\nseeds: [1, 2]\n", list, 2);
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(config_of(s, i)->epochs, 4);
        assert_int_equal(config_of(s, i)->threads, 2);
    }
    rpu_sweep_free(s);
}

/* ---- names ---- */

static void test_names_keep_values_apart(void **state) {
    struct rpu_sweep *s = sweep_of("grid:\n"
                                   "  data.source: [\"a/b\", \"a%2Fb\", \"a,b=1\", \"..\", \" \", \"\xc3\xa4\"]\n");
    static const char *const names[] = {"source=a%2Fb", "source=a%252Fb", "source=a%2Cb%3D1",
                                        "source=..",    "source=%20",     "source=\xc3\xa4"};
    (void)state;
    assert_int_equal(rpu_sweep_count(s), 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(rpu_sweep_name(s, i), names[i]);
    rpu_sweep_free(s);
}

static void test_long_values_keep_apart(void **state) {
    char text[2200], tail[] = "x";
    struct rpu_sweep *s;
    size_t used = (size_t)snprintf(text, sizeof text, "grid:\n  data.source:\n");
    (void)state;
    for (int i = 0; i < 3; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "    - %0400d%s\n", 0, i ? tail : "");
        tail[0] = (char)(tail[0] + (i ? 1 : 0));
    }
    s = sweep_of(text);
    assert_int_equal(rpu_sweep_count(s), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(strlen(rpu_sweep_name(s, i)), RPU_SWEEP_MAX_NAME);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(rpu_sweep_name(s, i), rpu_sweep_name(s, j));
    }
    rpu_sweep_free(s);
}

static void test_lists_and_maps_as_values(void **state) {
    struct rpu_sweep *s =
        sweep_of("grid:\n"
                 "  network.layers:\n"
                 "    - [{type: fc, outputs: 10}, {type: softmax}]\n"
                 "    - [{type: fc, outputs: 5}, {type: tanh}, {type: fc, outputs: 10}, {type: softmax}]\n");
    (void)state;
    assert_int_equal(config_of(s, 0)->n_layers, 2);
    assert_int_equal(config_of(s, 1)->n_layers, 4);
    assert_string_equal(rpu_sweep_value(s, 0, 0), "[{type: fc, outputs: 10}, {type: softmax}]");
    rpu_sweep_free(s);
}

static void test_names_do_not_move_with_other_values(void **state) {
    struct rpu_sweep *s = sweep_of("grid: {training.eta: [0.01, 0.02]}\nseeds: [1, 2]\n");
    char name[RPU_SWEEP_MAX_NAME + 1];
    (void)state;
    snprintf(name, sizeof name, "%s", rpu_sweep_name(s, 3));
    rpu_sweep_free(s);
    s = sweep_of("grid: {training.eta: [0.005, 0.02, 0.01]}\nseeds: [3, 2, 1]\n");
    assert_string_equal(rpu_sweep_name(s, 4), name);
    rpu_sweep_free(s);
}

/* ---- what is refused ---- */

static void test_shape_of_the_file(void **state) {
    (void)state;
    refuses("", "sweep.yaml", "empty");
    refuses("- 1\n", "sweep.yaml:1: ", "found a list; allowed is a map of keys");
    refuses("base: lenet-rpu\n", "sweep.yaml: ", "nothing varies");
    refuses(
        "training: {epochs: 1}\ngird: {training.eta: [1]}\n", "sweep.yaml:2: gird: ",
        "unknown key (did you mean 'grid'?); allowed are base, grid, list, seeds, cases, network, arrays, training");
    refuses("preset: lenet-rpu\nseeds: [1]\n", "sweep.yaml:1: preset: ", "did you mean 'base'?");
    refuses("seeds: [1]\nseeds: [2]\n", "sweep.yaml:2: seeds: ", "duplicate key; it was first given in line 1");
    refuses("grid:\n  training.eta: [1]\n  training.eta: [2]\n", "sweep.yaml:3: ", "duplicate key");
    refuses("base: lenet-zzz\nseeds: [1]\n", "sweep.yaml:1: base: ", "found 'lenet-zzz', which is no preset");
    refuses("base: [a]\nseeds: [1]\n", "sweep.yaml:1: base: ", "found a list; allowed is a preset or a file");
    refuses("training: {epohcs: 1}\nseeds: [1]\n", "sweep.yaml:1: training.epohcs: ", "did you mean 'epochs'?");
}

static void test_shape_of_what_varies(void **state) {
    (void)state;
    refuses("grid: [1]\n", "sweep.yaml:1: grid: ", "found a list; allowed is a map of keys and lists");
    refuses("grid: {}\n", "sweep.yaml: ", "nothing varies");
    refuses("\ngrid:\n  training.eta: 0.1\n",
            "sweep.yaml:3: grid.training.eta: ", "found '0.1'; allowed is a list of values");
    refuses("grid:\n  training.eta: []\n", "sweep.yaml:2: grid.training.eta: ", "found an empty list");
    refuses("seeds: 3\n", "sweep.yaml:1: seeds: ", "found '3'; allowed is a list of values");
    refuses("seeds: [1,\n  2,\n  1]\n", "sweep.yaml:3: seeds: ", "found '1' again; allowed is once");
    refuses("grid: {preset: [lenet-rpu]}\n", "sweep.yaml:1: grid.preset: ", "cannot vary");
    refuses("list:\n  training.eta: [1, 2]\n  training.epochs: [1]\n",
            "sweep.yaml:3: list.training.epochs: ", "found 1 values; allowed are 2, as many as of training.eta");
    refuses("list:\n  training.eta: [1, 2, 1]\n  training.epochs: [1, 1, 1]\n",
            "sweep.yaml:2: list.training.eta: ", "found '1' again, with the same values beside it");
}

static void test_values_are_checked(void **state) {
    (void)state;
    refuses("grid:\n  training.eta: [0.1,\n    -1]\n", "sweep.yaml:3: training.eta: ", "found '-1'");
    refuses("seeds: [1, x]\n", "sweep.yaml:1: training.seed: ", "found 'x'");
    refuses("grid:\n  arrays.default.update.lb: [1]\n", "sweep.yaml:2: arrays.default.update.lb: ", "unknown key");
    refuses("grid:\n  arrays.K9.update.bl: [1]\n", "sweep.yaml:2: arrays.K9: ", "no array has this name");
    refuses("grid:\n  network.layers.99.outputs: [1]\n",
            "sweep.yaml:2: network.layers.99.outputs: ", "no element of the list");
    refuses("grid:\n  training..eta: [1]\n", "sweep.yaml:2: ", "");
    refuses("grid:\n  training.eta.x: [1]\n", "sweep.yaml:2: training.eta.x: ", "nothing below a single value");
}

static void test_a_key_stands_once(void **state) {
    const struct rpu_assignment seed = {"training.seed=3", "--seed"}, map = {"training={eta: 1}", "--set"};
    (void)state;
    refuses("grid: {training.seed: [1]}\nseeds: [2]\n",
            "sweep.yaml:2: seeds: ", "varies training.seed, which grid varies already (training.seed, line 1)");
    refuses("list: {training.eta: [1]}\ngrid: {training.eta: [2]}\n",
            "sweep.yaml:2: grid.training.eta: ", "which list varies already");
    refuses("grid:\n  training.eta: [1]\n  training: [{eta: 2}]\n",
            "sweep.yaml:3: grid.training: ", "which grid varies already");
    refuses("grid:\n  network.layers.0.outputs: [1]\n  network.layers[0].outputs: [2]\n",
            "sweep.yaml:3: ", "which grid varies already");
    refuses("training: {eta: 1}\ngrid: {training.eta: [2]}\n",
            "sweep.yaml:2: grid.training.eta: ", "which line 1 sets for all runs");
    refuses_with("seeds: [1]\n", &seed, 1, "--seed: training.seed: ",
                 "cannot be set for all runs: seeds varies training.seed (sweep.yaml, line 1)");
    refuses_with("grid: {training.eta: [1]}\n", &map, 1, "--set: training: ", "grid varies training.eta");
}

/* 100 numbers of epochs and some seeds. */
static const char *many(char text[4096], int seeds) {
    size_t used = (size_t)snprintf(text, 4096, "seeds: [");
    for (int i = 1; i <= seeds; i++)
        used +=
            (size_t)snprintf(text + used, 4096 - used, "%d%s", i, i < seeds ? "," : "]\ngrid:\n  training.epochs: [");
    for (int i = 1; i <= 100; i++)
        used += (size_t)snprintf(text + used, 4096 - used, "%d%s", i, i < 100 ? "," : "]\n");
    return text;
}

static void test_number_of_runs_is_bounded(void **state) {
    char text[4096];
    struct rpu_sweep *s;
    (void)state;
    refuses(many(text, 101), "sweep.yaml:1: seeds: ", "makes 10100 runs or more; allowed are 10000");
    s = sweep_of(many(text, 100));
    assert_int_equal(rpu_sweep_count(s), 10000);
    assert_string_equal(rpu_sweep_name(s, 9999), "epochs=100,seed=100");
    assert_int_equal(config_of(s, 9999)->epochs, 100);
    rpu_sweep_free(s);
}

/* ---- results ---- */

static void test_spread_over_the_seeds(void **state) {
    struct rpu_sweep *s = sweep_of("grid: {training.eta: [0.01, 0.02]}\nseeds: [1, 2, 3]\n");
    struct rpu_run runs[6] = {{.state = RPU_RUN_WAITING}};
    static const double errors[] = {0.1, 0.2, 0.6, 0.5};
    struct rpu_spread spread;
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        runs[i].state = i % 2 ? RPU_RUN_KEPT : RPU_RUN_DONE;
        runs[i].summary.test_error = errors[i];
    }
    runs[4].state = RPU_RUN_FAILED;
    assert_int_equal(rpu_spread_count(s), 2);
    spread = rpu_spread_at(s, runs, 0);
    assert_int_equal(spread.runs, 3);
    assert_float_equal(spread.mean, 0.3, 1e-12);
    assert_float_equal(spread.deviation, 0.26457513110645906, 1e-12);
    assert_true(spread.least == 0.1 && spread.most == 0.6);
    spread = rpu_spread_at(s, runs, 1);
    assert_int_equal(spread.first, 3);
    assert_int_equal(spread.runs, 1);
    assert_true(spread.mean == 0.5 && spread.least == 0.5 && spread.most == 0.5);
    assert_true(spread.deviation != spread.deviation);
    rpu_sweep_free(s);
}

static void test_tables(void **state) {
    struct rpu_sweep *s = sweep_of("grid: {data.source: [\"a,b\", 'say \"x\"']}\n");
    struct rpu_run runs[2] = {{.state = RPU_RUN_DONE}, {.state = RPU_RUN_FAILED, .code = 139}};
    char *text = NULL;
    json_t *root;
    const json_t *list;
    (void)state;
    runs[0].summary = (struct rpu_summary){3, 0.5, 0.25, 0.125, 1000, 2, "0123456789abcdef"};
    assert_int_equal(rpu_sweep_csv(&text, s, runs, NULL), RPU_OK);
    assert_string_equal(text, "run,data.source,state,exit_code,epochs,train_loss,test_loss,test_error,"
                              "images_per_second,train_seconds,weights_digest\r\n"
                              "source=a%2Cb,\"a,b\",done,,3,0.5,0.25,0.125,1000,2,0123456789abcdef\r\n"
                              "source=say%20%22x%22,\"say \"\"x\"\"\",failed,139,,,,,,,\r\n");
    free(text);
    assert_int_equal(rpu_sweep_json(&text, s, runs, NULL), RPU_OK);
    root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    assert_non_null(root);
    list = json_object_get(root, "runs");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(json_array_get(list, 0), "values"), "data.source")), "a,b");
    assert_true(json_real_value(json_object_get(json_array_get(list, 0), "test_error")) == 0.125);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 1), "exit_code")), 139);
    assert_null(json_object_get(json_array_get(list, 1), "test_error"));
    json_decref(root);
    rpu_sweep_free(s);
}

/* The results document of a training of one epoch. */
static json_t *result_of(const struct rpu_config *config) {
    json_t *root = json_pack("{s:{s:s}, s:b, s:[{s:f}], s:f, s:s, s:o}", "schema", "name", "rpubench-result",
                             "interrupted", 0, "epochs", "train_loss", 0.5, "test_error", 0.25, "weights_digest",
                             "0123456789abcdef", "config", rpu_config_to_json(config));
    assert_non_null(root);
    return root;
}

/* A results document counts for its own configuration alone, and only when the training ended. */
static void test_results_of_another_configuration(void **state) {
    struct rpu_sweep *s = sweep_of("training: {epochs: 1}\ngrid: {arrays.K2.forward.noise: [0.06, 0.05]}\n");
    struct rpu_config *config = config_of(s, 0);
    struct rpu_summary summary;
    json_t *root = result_of(config);
    (void)state;
    assert_int_equal(json_dump_file(root, "result.json", JSON_REAL_PRECISION(15)), 0);
    assert_int_equal(rpu_summary_read(&summary, "result.json", config, NULL), RPU_OK);
    assert_true(summary.epochs == 1 && summary.train_loss == 0.5 && summary.test_error == 0.25);
    assert_true(summary.test_loss != summary.test_loss);
    assert_string_equal(summary.digest, "0123456789abcdef");
    config->preset[0] = '\0'; /* as when the configuration was read from config.yaml */
    assert_int_equal(rpu_summary_read(&summary, "result.json", config, NULL), RPU_OK);
    assert_int_equal(rpu_summary_read(&summary, "result.json", config_of(s, 1), NULL), RPU_ERR_FORMAT);
    assert_int_equal(rpu_summary_read(&summary, "none.json", config_of(s, 0), NULL), RPU_ERR_IO);
    json_object_set_new(root, "interrupted", json_true());
    assert_int_equal(json_dump_file(root, "result.json", JSON_REAL_PRECISION(15)), 0);
    assert_int_equal(rpu_summary_read(&summary, "result.json", config_of(s, 0), NULL), RPU_ERR_FORMAT);
    write_text("result.json", "{\"schema\": ");
    assert_int_equal(rpu_summary_read(&summary, "result.json", config_of(s, 0), NULL), RPU_ERR_FORMAT);
    json_decref(root);
    rpu_sweep_free(s);
}

/* Slashes and "." make no other name of images; anything else does, and a folder is not what is generated. */
static void test_names_of_the_same_images(void **state) {
    static const struct {
        const char *trained, *asked;
        enum rpu_status status;
    } cases[] = {{"few", "few", RPU_OK},
                 {"few", "few/", RPU_OK},
                 {"few", ".//few/.", RPU_OK},
                 {"./a//b", "a/./b/", RPU_OK},
                 {"/a/b", "//a/b/", RPU_OK},
                 {"few", "few/few", RPU_ERR_FORMAT},
                 {"few/x", "few", RPU_ERR_FORMAT},
                 {"few", "fewer", RPU_ERR_FORMAT},
                 {"few", "/few", RPU_ERR_FORMAT},
                 {"a/b", "a/../b", RPU_ERR_FORMAT},
                 {"few", "..few", RPU_ERR_FORMAT},
                 {"digits", "./digits", RPU_ERR_FORMAT},
                 {"digits/", "digits", RPU_ERR_FORMAT}};
    struct rpu_sweep *s = sweep_of("training: {epochs: 1}\ngrid: {arrays.K2.forward.noise: [0.06]}\n");
    struct rpu_config *config = config_of(s, 0);
    struct rpu_summary summary;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *root;
        strcpy(config->data, cases[i].trained);
        root = result_of(config);
        assert_int_equal(json_dump_file(root, "result.json", JSON_REAL_PRECISION(15)), 0);
        strcpy(config->data, cases[i].asked);
        assert_int_equal(rpu_summary_read(&summary, "result.json", config, NULL), cases[i].status);
        json_decref(root);
    }
    rpu_sweep_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grid),
        cmocka_unit_test(test_list_beside_grid),
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_cases_are_refused),
        cmocka_unit_test(test_runs_are_what_assignments_make),
        cmocka_unit_test(test_base_is_relative_to_the_sweep_file),
        cmocka_unit_test(test_assignments_are_shared),
        cmocka_unit_test(test_names_keep_values_apart),
        cmocka_unit_test(test_long_values_keep_apart),
        cmocka_unit_test(test_lists_and_maps_as_values),
        cmocka_unit_test(test_names_do_not_move_with_other_values),
        cmocka_unit_test(test_shape_of_the_file),
        cmocka_unit_test(test_shape_of_what_varies),
        cmocka_unit_test(test_values_are_checked),
        cmocka_unit_test(test_a_key_stands_once),
        cmocka_unit_test(test_number_of_runs_is_bounded),
        cmocka_unit_test(test_spread_over_the_seeds),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_results_of_another_configuration),
        cmocka_unit_test(test_names_of_the_same_images),
    };
    char folder[] = "/tmp/rpu-sweep-XXXXXX", remove[64];
    int failed;
    if (!mkdtemp(folder) || chdir(folder) != 0) {
        perror(folder);
        return 1;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(remove, sizeof remove, "rm -rf %s", folder);
    return chdir("/") != 0 || system(remove) != 0 || failed;
}
