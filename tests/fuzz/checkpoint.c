/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint. The input: the header's text, and the bytes of the tensors. The length before the header and both
 * checksums are put in here, so that what is hostile gets as far as the code behind them; a header that does not begin
 * with its checksum is left as it is. What is accepted is described, inspected, given to its network, and tested. */
#include "fuzz.h"

#include "app.h"
#include "evaluation.h"
#include "safetensors_inside.h"

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

enum { MOST_CROSSPOINTS = 20000, TESTED = 3 };

/* 20 digits. */
static void put_number(uint8_t *at, uint64_t value) {
    char digits[RPU_SAFETENSORS_DIGITS + 1];
    snprintf(digits, sizeof digits, "%0*" PRIu64, RPU_SAFETENSORS_DIGITS, value);
    memcpy(at, digits, RPU_SAFETENSORS_DIGITS);
}

static void seal(uint8_t *header, size_t size, const struct fuzz_part *body) {
    static const char key[] = "\"tensors_xxh3\": \"";
    uint8_t *own = rpu_safetensors_seal(header, size),
            *tensors = size ? memmem(header, size, key, sizeof key - 1) : NULL;
    if (tensors && (size_t)(header + size - tensors) >= sizeof key + RPU_SAFETENSORS_DIGITS)
        put_number(tensors + sizeof key - 1, XXH3_64bits(body->bytes, body->size));
    if (!own)
        return;
    memcpy(own, RPU_SAFETENSORS_ZEROS, RPU_SAFETENSORS_DIGITS);
    put_number(own, XXH3_64bits(header, size));
}

static const char *put_file(const uint8_t *data, size_t size) {
    struct fuzz_part parts[2];
    uint8_t *bytes = malloc(size + 8);
    const char *path;
    FUZZ_CHECK(bytes);
    fuzz_cut(data, size, parts, 2);
    for (unsigned k = 0; k < 8; k++)
        bytes[k] = (uint8_t)((uint64_t)parts[0].size >> (8 * k));
    memcpy(bytes + 8, parts[0].bytes, parts[0].size);
    memcpy(bytes + 8 + parts[0].size, parts[1].bytes, parts[1].size);
    seal(bytes + 8, parts[0].size, &parts[1]);
    path = fuzz_file(0, bytes, 8 + parts[0].size + parts[1].size);
    free(bytes);
    return path;
}

/* Whether its network is one to be built here. */
static int is_small(const struct rpu_config *c, const struct rpu_checkpoint_info *info) {
    uint64_t pixels = (uint64_t)info->height * info->width;
    for (uint32_t l = 0; l < c->n_layers; l++)
        if (c->layers[l].outputs > 64 || c->layers[l].padding > 8 || c->batch > 64)
            return 0;
    return pixels <= 256 && info->channels <= 4 && c->n_layers <= 8;
}

static const struct rpu_engine *engine_of_all(void) {
    static struct rpu_engine *engine;
    if (!engine)
        FUZZ_CHECK(rpu_engine_create(&engine, "generic", 1, NULL) == RPU_OK);
    return engine;
}

static void build(const struct rpu_checkpoint *checkpoint, const struct rpu_checkpoint_info *info) {
    const struct rpu_engine *engine = engine_of_all();
    struct rpu_network *network = NULL;
    struct rpu_error err;
    if (rpu_network_create(&network, engine, rpu_checkpoint_config(checkpoint), info->height, info->width,
                           info->channels, info->classes, &err) != RPU_OK) {
        fuzz_check_error(&err);
        return;
    }
    if (rpu_checkpoint_apply(checkpoint, network, &err) != RPU_OK)
        fuzz_check_error(&err);
    rpu_network_destroy(network);
}

/* A test on images of the network's shape, as the command `eval` runs it. */
static void evaluate(const struct rpu_checkpoint *checkpoint, const struct rpu_checkpoint_info *info) {
    uint8_t labels[TESTED];
    struct rpu_images images = {
        .count = TESTED, .height = info->height, .width = info->width, .channels = info->channels, .labels = labels};
    const size_t pixels = (size_t)TESTED * info->height * info->width * info->channels;
    images.pixels = malloc(pixels);
    FUZZ_CHECK(images.pixels);
    for (size_t i = 0; i < pixels; i++)
        images.pixels[i] = (uint8_t)(37 * i);
    for (uint8_t i = 0; i < TESTED; i++)
        labels[i] = info->classes > 1 ? i % 2 : 0;
    images.classes = info->classes > 1 ? 2 : 1;
    for (int perfect = 0; perfect < 2; perfect++) {
        struct rpu_evaluation e;
        struct rpu_error err;
        if (rpu_evaluate(&e, checkpoint, engine_of_all(), &images, perfect, &err) != RPU_OK)
            fuzz_check_error(&err);
        else
            FUZZ_CHECK(e.images == TESTED && e.errors <= TESTED && e.classes && e.matrix);
        rpu_evaluation_free(&e);
    }
    free(images.pixels);
}

static void look(const struct rpu_checkpoint *checkpoint) {
    static struct rpu_array_figures figures[RPU_LAYERS_MAX];
    struct rpu_checkpoint_info info;
    struct rpu_checkpoint_tensor tensor;
    struct rpu_error err;
    size_t n = 0, crosspoints = 0;
    FUZZ_CHECK(rpu_checkpoint_describe(checkpoint, &info) == RPU_OK && info.version);
    fuzz_check_config(rpu_checkpoint_config(checkpoint));
    for (uint32_t e = 0; e < info.epochs; e++)
        FUZZ_CHECK(rpu_checkpoint_epoch(checkpoint, e)->epoch == e + 1);
    for (size_t i = 0; i < rpu_checkpoint_tensor_count(checkpoint); i++) {
        FUZZ_CHECK(rpu_checkpoint_tensor(checkpoint, i, &tensor) == RPU_OK && tensor.array && tensor.quantity);
        crosspoints += (size_t)tensor.rows * tensor.cols;
    }
    while (n < rpu_inspect_count(checkpoint) && rpu_inspect(&figures[n], checkpoint, n, &err) == RPU_OK)
        n++;
    if (n < rpu_inspect_count(checkpoint)) {
        fuzz_check_error(&err);
    } else {
        char *text = NULL;
        if (rpu_inspect_json(&text, checkpoint, figures, n, "file", &err) != RPU_OK)
            fuzz_check_error(&err);
        free(text);
    }
    if (crosspoints <= MOST_CROSSPOINTS && is_small(rpu_checkpoint_config(checkpoint), &info)) {
        build(checkpoint, &info);
        evaluate(checkpoint, &info);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct rpu_checkpoint *checkpoint = NULL;
    struct rpu_error err;
    if (rpu_checkpoint_read(&checkpoint, put_file(data, size), &err) != RPU_OK) {
        FUZZ_CHECK(!checkpoint);
        fuzz_check_error(&err);
        return 0;
    }
    look(checkpoint);
    rpu_checkpoint_free(checkpoint);
    return 0;
}
