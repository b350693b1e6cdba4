/* SPDX-License-Identifier: Apache-2.0 */
/* A program that knows nothing but the installed library: it trains a preset on ten generated digits and keeps it. */
#include <rpu/checkpoint.h>
#include <rpu/config.h>
#include <rpu/data.h>
#include <rpu/engine.h>
#include <rpu/network.h>
#include <rpu/status.h>
#include <rpu/tile.h>
#include <rpu/train.h>
#include <rpu/version.h>

#include <stdio.h>
#include <string.h>

static int train(struct rpu_error *err) {
    const struct rpu_assignment set[] = {{"training.epochs=1", "this program"},
                                         {"data.limit_train=10", "this program"}};
    static struct rpu_config config;
    struct rpu_engine *engine = NULL;
    struct rpu_dataset data = {0};
    struct rpu_training *run = NULL;
    struct rpu_checkpoint *checkpoint = NULL;
    struct rpu_checkpoint_info info;
    int ok = rpu_config_load(&config, "lenet-rpu", set, 2, err) == RPU_OK &&
             rpu_engine_create(&engine, NULL, 1, err) == RPU_OK &&
             rpu_digits_generate(&data, config.limit_train, 5, config.seed, err) == RPU_OK &&
             rpu_training_create(&run, engine, &config, &data, err) == RPU_OK &&
             rpu_training_run(run, NULL, NULL, err) == RPU_OK &&
             rpu_checkpoint_write(run, "outside.safetensors", err) == RPU_OK &&
             rpu_checkpoint_read(&checkpoint, "outside.safetensors", err) == RPU_OK &&
             rpu_checkpoint_describe(checkpoint, &info) == RPU_OK && info.images == 10;
    if (ok)
        printf("librpu %s: %lu images trained\n", rpu_version(), (unsigned long)rpu_training_images(run));
    rpu_checkpoint_free(checkpoint);
    rpu_training_destroy(run);
    rpu_dataset_free(&data);
    rpu_engine_destroy(engine);
    return ok;
}

int main(void) {
    struct rpu_error err = {0};
    if (strcmp(rpu_version(), RPU_VERSION_STRING) != 0) {
        fprintf(stderr, "header and library are of different versions\n");
        return 1;
    }
    if (!train(&err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    return 0;
}
