/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints that are refused: of other trainings, damaged, or with good checksums and bad content. */
#include "checkpoints.h"

#include "safetensors_inside.h"
#include "small.h"

#include <xxhash.h>

static void refuse_resume(const struct rpu_config *now, const char *path, enum rpu_status wanted, const char *says) {
    struct rpu_checkpoint *c = read_checkpoint(path);
    struct setting s;
    struct rpu_error err;
    set_up(&s, now, 1, NULL);
    expect(rpu_checkpoint_resume(c, s.run, &err), wanted, &err, says);
    tear_down(&s);
    rpu_checkpoint_free(c);
}

static void other_configurations_are_refused(void **state) {
    struct rpu_config *then = calloc(1, sizeof *then), *now = calloc(1, sizeof *now);
    struct setting s;
    struct rpu_error err;
    const char *path = path_of("b");
    (void)state;
    configure(then, 0);
    set_up(&s, then, 1, NULL);
    run_to_end(&s);
    assert_int_equal(rpu_checkpoint_write(s.run, path, NULL), RPU_OK);
    *now = *then;
    now->eta = 0.02f;
    refuse_resume(now, path, RPU_ERR_CONFIG, "training.eta: 0.01 then, 0.02 now");
    *now = *then;
    now->seed--;
    now->layers[0].tile.device.bound_dtod = 0.25f;
    now->layers[3].tile.forward.bm = RPU_BM_NONE;
    refuse_resume(now, path, RPU_ERR_CONFIG, "training.seed: 18446744073709551557 then, 18446744073709551556 now");
    refuse_resume(now, path, RPU_ERR_CONFIG, "arrays.K1.bound_dtod: 0.3 then, 0.25 now");
    refuse_resume(now, path, RPU_ERR_CONFIG, "arrays.W2.forward.bm: iterative then, none now");
    *now = *then;
    now->layers[3].outputs = 8;
    refuse_resume(now, path, RPU_ERR_CONFIG, "network.layers.3.outputs: 7 then, 8 now");
    *now = *then;
    now->layers[2] = now->layers[3];
    now->layers[3] = (struct rpu_layer_spec){.kind = RPU_LAYER_SOFTMAX};
    now->n_layers = 4;
    snprintf(now->layers[0].name, sizeof now->layers[0].name, "Q");
    refuse_resume(now, path, RPU_ERR_CONFIG, "network.layers.4: {");
    *now = *then;
    now->batch = 4;
    refuse_resume(now, path, RPU_ERR_CONFIG, "training.batch: 3 then, 4 now");
    *now = *then;
    now->epochs = 1;
    refuse_resume(now, path, RPU_ERR_CONFIG, "training.epochs is 1, but 2 are trained");
    /* a run that has begun */
    struct rpu_checkpoint *c = read_checkpoint(path);
    expect(rpu_checkpoint_resume(c, s.run, &err), RPU_ERR_ARG, &err, "has begun");
    assert_int_equal(rpu_checkpoint_resume(c, NULL, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_resume(NULL, s.run, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_resume((struct rpu_checkpoint *)(void *)then, s.run, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_read(NULL, path, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_write(NULL, path, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_write(s.run, NULL, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_write((struct rpu_training *)(void *)then, path, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_resume(c, (struct rpu_training *)(void *)then, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_apply(c, NULL, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_apply(c, (struct rpu_network *)(void *)then, &err), RPU_ERR_ARG);
    assert_int_equal(rpu_checkpoint_describe(NULL, NULL), RPU_ERR_ARG);
    assert_null(rpu_checkpoint_config((struct rpu_checkpoint *)(void *)then));
    assert_null(rpu_checkpoint_config(NULL));
    assert_int_equal(rpu_checkpoint_tensor_count(NULL), 0);
    rpu_checkpoint_free(NULL);
    rpu_training_destroy((struct rpu_training *)(void *)then);
    rpu_checkpoint_free(c);
    tear_down(&s);
    free(then);
    free(now);
}

static void other_images_are_refused(void **state) {
    struct rpu_config config;
    struct setting s;
    struct rpu_checkpoint *c;
    struct rpu_error err;
    (void)state;
    configure(&config, 0);
    set_up(&s, &config, 1, NULL);
    assert_int_equal(rpu_checkpoint_write(s.run, path_of("c"), NULL), RPU_OK);
    c = read_checkpoint(path_of("c"));
    tear_down(&s);
    for (int what = 0; what < 3; what++) {
        set_up(&s, &config, 1, NULL);
        if (what == 0)
            s.data.train.pixels[5] ^= 1;
        else if (what == 1)
            s.data.train.labels[5] = (uint8_t)((s.data.train.labels[5] + 1) % CLASSES);
        else
            s.data.test.pixels[0] ^= 128;
        expect(rpu_checkpoint_resume(c, s.run, &err), RPU_ERR_FORMAT, &err,
               what < 2 ? "the training set is not that of the checkpoint" : "the test set is not that");
        tear_down(&s);
    }
    rpu_checkpoint_free(c);
}

static void spill(const char *path, const unsigned char *bytes, size_t size) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static void refuse_file(const char *path, enum rpu_status wanted, const char *says) {
    struct rpu_checkpoint *c = NULL;
    struct rpu_error err = {0};
    const enum rpu_status status = rpu_checkpoint_read(&c, path, &err);
    assert_null(c);
    expect(status, wanted, &err, says);
    assert_string_equal(err.file, path);
}

static void every_flipped_bit_is_noticed(void **state) {
    struct rpu_config config;
    struct setting s;
    unsigned char *bytes;
    size_t size;
    const char *path = path_of("d"), *bad = path_of("bad");
    (void)state;
    configure(&config, 0);
    set_up(&s, &config, 1, NULL);
    assert_int_equal(rpu_checkpoint_write(s.run, path, NULL), RPU_OK);
    tear_down(&s);
    bytes = slurp(path, &size);
    for (size_t at = 0; at < size; at++) {
        const unsigned char mask = (unsigned char)(1u << (at % 8));
        bytes[at] ^= mask;
        spill(bad, bytes, size);
        refuse_file(bad, RPU_ERR_FORMAT, "");
        bytes[at] ^= mask;
    }
    spill(bad, bytes, size);
    rpu_checkpoint_free(read_checkpoint(bad));
    free(bytes);
}

static void every_truncation_is_noticed(void **state) {
    size_t size;
    unsigned char *bytes = slurp(path_of("d"), &size);
    const char *bad = path_of("bad");
    (void)state;
    for (size_t length = 0; length < size; length += length < 64 || length + 64 > size ? 1 : 37) {
        spill(bad, bytes, length);
        refuse_file(bad, RPU_ERR_FORMAT, "");
    }
    bytes[size] = 0;
    spill(bad, bytes, size + 1);
    refuse_file(bad, RPU_ERR_FORMAT, "");
    /* a header said to be longer than anything */
    for (int k = 0; k < 8; k++)
        bytes[k] = 0xff;
    spill(bad, bytes, size);
    refuse_file(bad, RPU_ERR_FORMAT, "18446744073709551615 bytes");
    free(bytes);
    refuse_file(path_of("none"), RPU_ERR_IO, "cannot be opened");
    refuse_file(folder, RPU_ERR_IO, "no regular file");
}

/* ---- files with good checksums and bad content ---- */

/* The tensors of a file that was read, as a writer asks for them. */
struct copy {
    struct rpu_safetensors *from;
    float *changed; /* of tensor `which` */
    size_t which, rows;
};

static void copy_row(const void *context, size_t index, size_t row, float *values) {
    const struct copy *c = context;
    const struct rpu_tensor *t = rpu_safetensors_tensor(c->from, index);
    const float *all = c->changed && index == c->which ? c->changed : rpu_safetensors_values(c->from, index);
    memcpy(values, all + row * t->cols, t->cols * sizeof *values);
}

/* Writes "bad" as "d" with one text of the metadata replaced (null: taken away), or one value changed, or the first
 * tensor renamed. */
static const char *forge(const char *key, const char *text, size_t which, size_t at, float value, const char *name) {
    static const char *const keys[] = {"format", "format_version",    "version",       "step",
                                       "epoch",  "training_set_xxh3", "test_set_xxh3", "data",
                                       "config", "history",           "progress"};
    struct copy c = {.which = which};
    json_t *metadata = json_object();
    struct rpu_tensor *tensors;
    const char *bad = path_of("bad");
    assert_int_equal(rpu_safetensors_read(&c.from, path_of("d"), NULL), RPU_OK);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!key || strcmp(key, keys[i]) != 0)
            json_object_set_new(metadata, keys[i], json_string(rpu_safetensors_text(c.from, keys[i])));
        else if (text)
            json_object_set_new(metadata, keys[i], json_string(text));
    tensors = malloc(rpu_safetensors_count(c.from) * sizeof *tensors);
    for (size_t i = 0; i < rpu_safetensors_count(c.from); i++)
        tensors[i] = *rpu_safetensors_tensor(c.from, i);
    if (name)
        snprintf(tensors[0].name, sizeof tensors[0].name, "%s", name);
    if (which < rpu_safetensors_count(c.from)) {
        const size_t n = (size_t)tensors[which].rows * tensors[which].cols;
        c.changed = malloc(n * sizeof *c.changed);
        memcpy(c.changed, rpu_safetensors_values(c.from, which), n * sizeof *c.changed);
        c.changed[at] = value;
    }
    assert_int_equal(rpu_safetensors_write(bad, metadata, tensors, rpu_safetensors_count(c.from), copy_row, &c, NULL),
                     RPU_OK);
    json_decref(metadata);
    free(c.changed);
    free(tensors);
    rpu_safetensors_free(c.from);
    return bad;
}

static void put_checksum(unsigned char *at, const unsigned char *bytes, size_t size) {
    char digits[RPU_SAFETENSORS_DIGITS + 1];
    snprintf(digits, sizeof digits, "%0*llu", RPU_SAFETENSORS_DIGITS, (unsigned long long)XXH3_64bits(bytes, size));
    memcpy(at, digits, RPU_SAFETENSORS_DIGITS);
}

/* Writes "bad" as "d" with value `at` of all tensors' values replaced, and checksums that say so: the writer lets in
 * nothing that is not finite. */
static const char *with_value(size_t at, float value) {
    static const char key[] = "\"tensors_xxh3\": \"";
    const char *bad = path_of("bad");
    size_t size;
    unsigned char *bytes = slurp(path_of("d"), &size), *header = bytes + 8, *own, *tensors;
    uint64_t length = 0;
    for (unsigned k = 0; k < 8; k++)
        length |= (uint64_t)bytes[k] << (8 * k);
    rpu_little_endian(&value, 1, header + length + 4 * at);
    tensors = memmem(header, length, key, sizeof key - 1);
    own = rpu_safetensors_seal(header, length);
    assert_true(tensors && own);
    put_checksum(tensors + sizeof key - 1, header + length, size - 8 - length);
    memcpy(own, RPU_SAFETENSORS_ZEROS, RPU_SAFETENSORS_DIGITS);
    put_checksum(own, header, length);
    spill(bad, bytes, size);
    free(bytes);
    return bad;
}

static void values_that_are_not_finite_are_refused(void **state) {
    (void)state;
    rpu_checkpoint_free(read_checkpoint(with_value(5, 0.0f))); /* the checksums are good */
    refuse_file(with_value(5, NAN), RPU_ERR_FORMAT, "tensor K1.0.weight has values that are not finite");
    refuse_file(with_value(5, -INFINITY), RPU_ERR_FORMAT, "tensor K1.0.weight has values that are not finite");
}

static const char *with_text(const char *key, const char *text) {
    return forge(key, text, SIZE_MAX, 0, 0.0f, NULL);
}

static void false_metadata_are_refused(void **state) {
    static const char *const needed[] = {"version", "step",   "epoch",   "training_set_xxh3", "test_set_xxh3",
                                         "data",    "config", "history", "progress"};
    (void)state;
    rpu_checkpoint_free(read_checkpoint(with_text(NULL, NULL)));
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        refuse_file(with_text(needed[i], NULL), RPU_ERR_FORMAT, needed[i]);
        if (strcmp(needed[i], "version") != 0)
            refuse_file(with_text(needed[i], "{\"a\": -1}"), RPU_ERR_FORMAT, "");
    }
    refuse_file(with_text("format", "other"), RPU_ERR_FORMAT, "not rpubench-checkpoint");
    refuse_file(with_text("format_version", "2"), RPU_ERR_UNSUPPORTED, "format 2 of checkpoints");
    refuse_file(with_text("step", "1"), RPU_ERR_FORMAT, "step");
    refuse_file(with_text("step", "-1"), RPU_ERR_FORMAT, "step");
    refuse_file(with_text("step", "18446744073709551616"), RPU_ERR_FORMAT, "step");
    refuse_file(with_text("epoch", "1"), RPU_ERR_FORMAT, "history");
    refuse_file(with_text("epoch", "4294967295"), RPU_ERR_FORMAT, "history");
    refuse_file(with_text("history", "[1]"), RPU_ERR_FORMAT, "history");
    refuse_file(with_text("history", "[}"), RPU_ERR_FORMAT, "history: no JSON");
    refuse_file(with_text("config", "{training: {eta: nan}}"), RPU_ERR_FORMAT, "training.eta");
    refuse_file(with_text("config", "{a: 1}"), RPU_ERR_FORMAT, "metadata config");
    /* a preset that is not known here says nothing that the rest does not */
    struct rpu_checkpoint *c =
        read_checkpoint(with_text("config", "{preset: other, network: {layers: [{type: conv, outputs: 4, kernel: 3}, "
                                            "{type: fc, outputs: 7}, {type: softmax}]}}"));
    assert_string_equal(rpu_checkpoint_config(c)->preset, "");
    rpu_checkpoint_free(c);
    refuse_file(with_text("data", "{\"train_images\": 14}"), RPU_ERR_FORMAT, "test_images");
}

static void impossible_values_are_refused(void **state) {
    /* tensors of K1: weight, dw_up, dw_down, bound_upper, bound_lower */
    static const struct {
        size_t tensor;
        float value;
        const char *says;
    } cases[] = {{0, 100.0f, "weight of crosspoint (0, 5)"},
                 {0, -100.0f, "weight of crosspoint (0, 5)"},
                 {1, -0.001f, "dw_up of crosspoint (0, 5)"},
                 {2, 0.00012345f, "dw_down of crosspoint (0, 5)"},
                 {3, 1000.0f, "bound_upper of crosspoint (0, 5)"},
                 {4, 0.0f, "weight of crosspoint (0, 5)"},
                 {4, 0.1234567f, ""}};
    struct rpu_config config;
    struct setting s;
    struct rpu_error err;
    (void)state;
    configure(&config, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rpu_checkpoint *c = read_checkpoint(forge(NULL, NULL, cases[i].tensor, 5, cases[i].value, NULL));
        set_up(&s, &config, 1, NULL);
        expect(rpu_checkpoint_resume(c, s.run, &err), RPU_ERR_RANGE, &err, cases[i].says);
        assert_non_null(strstr(err.message, "array K1, tile 0"));
        tear_down(&s);
        rpu_checkpoint_free(c);
    }
    /* devices are taken from the file, not drawn again: another step, which the form has, changes the training */
    struct setting other;
    struct rpu_checkpoint *plain = read_checkpoint(with_text(NULL, NULL)), *changed;
    const float step = 4096.0f * (0.001f / 8192.0f);
    float up[40];
    changed = read_checkpoint(forge(NULL, NULL, 1, 5, step, NULL));
    set_up(&s, &config, 1, NULL);
    set_up(&other, &config, 1, NULL);
    assert_int_equal(rpu_checkpoint_resume(plain, s.run, &err), RPU_OK);
    assert_int_equal(rpu_checkpoint_resume(changed, other.run, &err), RPU_OK);
    rpu_tile_get_devices(rpu_network_tile(rpu_training_network(other.run), 0), up, NULL, NULL, NULL);
    assert_true(up[5] == step);
    rpu_tile_get_devices(rpu_network_tile(rpu_training_network(s.run), 0), up, NULL, NULL, NULL);
    assert_true(up[5] != step);
    tear_down(&s);
    tear_down(&other);
    rpu_checkpoint_free(plain);
    rpu_checkpoint_free(changed);
}

static void other_tensors_are_refused(void **state) {
    struct rpu_config config;
    struct setting s;
    struct rpu_checkpoint *c;
    struct rpu_error err;
    (void)state;
    refuse_file(forge(NULL, NULL, SIZE_MAX, 0, 0.0f, "K3.0.weight"), RPU_ERR_FORMAT, "belongs to no array");
    refuse_file(forge(NULL, NULL, SIZE_MAX, 0, 0.0f, "K1.0.colour"), RPU_ERR_FORMAT, "belongs to no array");
    refuse_file(forge(NULL, NULL, SIZE_MAX, 0, 0.0f, "K1.x.weight"), RPU_ERR_FORMAT, "belongs to no array");
    refuse_file(forge(NULL, NULL, SIZE_MAX, 0, 0.0f, "K1.00.weight"), RPU_ERR_FORMAT, "belongs to no array");
    refuse_file(forge(NULL, NULL, SIZE_MAX, 0, 0.0f, "K1.-0.weight"), RPU_ERR_FORMAT, "belongs to no array");
    refuse_file(forge(NULL, NULL, SIZE_MAX, 0, 0.0f, "K1.4294967296.weight"), RPU_ERR_FORMAT, "belongs to no array");
    refuse_file(forge(NULL, NULL, SIZE_MAX, 0, 0.0f, "K1.18446744073709551616.weight"), RPU_ERR_FORMAT,
                "belongs to no array");
    refuse_file(forge(NULL, NULL, SIZE_MAX, 0, 0.0f, "K1"), RPU_ERR_FORMAT, "belongs to no array");
    configure(&config, 0);
    set_up(&s, &config, 1, NULL);
    c = read_checkpoint(forge(NULL, NULL, SIZE_MAX, 0, 0.0f, "K1.1.weight"));
    expect(rpu_checkpoint_resume(c, s.run, &err), RPU_ERR_SHAPE, &err, "no tensor K1.0.weight");
    rpu_checkpoint_free(c);
    tear_down(&s);
    /* a network of other arrays */
    struct rpu_network *n;
    c = read_checkpoint(path_of("d"));
    configure(&config, 0);
    config.layers[3].tile.max_cols = 12;
    set_up(&s, &config, 1, NULL);
    expect(rpu_checkpoint_apply(c, rpu_training_network(s.run), &err), RPU_ERR_SHAPE, &err, "W2.0.weight");
    config.layers[0].outputs = 5;
    assert_int_equal(rpu_network_create(&n, s.engine, &config, SIDE, SIDE, 1, CLASSES, &err), RPU_OK);
    expect(rpu_checkpoint_apply(c, n, &err), RPU_ERR_SHAPE, &err, "K1.0.weight of the checkpoint is 4 x 10");
    rpu_network_destroy(n);
    tear_down(&s);
    configure(&config, 1);
    set_up(&s, &config, 1, NULL);
    expect(rpu_checkpoint_apply(c, rpu_training_network(s.run), &err), RPU_ERR_SHAPE, &err, "");
    tear_down(&s);
    rpu_checkpoint_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_configurations_are_refused),
        cmocka_unit_test(other_images_are_refused),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(false_metadata_are_refused),
        cmocka_unit_test(impossible_values_are_refused),
        cmocka_unit_test(values_that_are_not_finite_are_refused),
        cmocka_unit_test(other_tensors_are_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
