/* SPDX-License-Identifier: Apache-2.0 */
/** @file checkpoints.h  A small training to be kept, and files in a folder of their own, for cmocka's tests. */
#ifndef RPU_TESTS_CHECKPOINTS_H
#define RPU_TESTS_CHECKPOINTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint.h"
#include "config_json.h"
#include "images.h"

enum { SIDE = 8, CLASSES = 3, TRAIN = 14, TEST = 9 };

static char folder[] = "/tmp/rpu-checkpoint-XXXXXX";

static inline const char *path_of(const char *name) {
    static char path[8][128];
    static int next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

/* Two arrays, one of them on six tiles; `perfect`: the same in floating point. */
static inline void configure(struct rpu_config *c, int perfect) {
    const struct rpu_assignment set[] = {
        {"network.layers=[{type: conv, outputs: 4, kernel: 3}, {type: tanh}, {type: maxpool, window: 2}, {type: fc, "
         "outputs: 7}, {type: softmax}]",
         "test"},
        {"arrays.W2.max_rows=3", "test"},
        {"arrays.W2.max_cols=20", "test"},
        {"training.epochs=2", "test"},
        {"training.batch=3", "test"},
        {"training.seed=18446744073709551557", "test"}};
    struct rpu_error err;
    if (rpu_config_load(c, perfect ? "lenet-fp" : "lenet-rpu", set, sizeof set / sizeof set[0], &err) != RPU_OK)
        fail_msg("%s", err.message);
}

struct setting {
    struct rpu_config config;
    struct rpu_dataset data;
    struct rpu_engine *engine;
    struct rpu_training *run;
};

static inline void set_up(struct setting *s, const struct rpu_config *config, int threads, const char *isa) {
    struct rpu_error err;
    memset(s, 0, sizeof *s);
    s->config = *config;
    s->data.train = make_images(1, TRAIN, SIDE, SIDE, 1, CLASSES);
    s->data.test = make_images(2, TEST, SIDE, SIDE, 1, CLASSES);
    assert_int_equal(rpu_engine_create(&s->engine, isa, threads, NULL), RPU_OK);
    if (rpu_training_create(&s->run, s->engine, &s->config, &s->data, &err) != RPU_OK)
        fail_msg("%s", err.message);
}

static inline void tear_down(struct setting *s) {
    rpu_training_destroy(s->run);
    rpu_dataset_free(&s->data);
    rpu_engine_destroy(s->engine);
}

static inline void run_to_end(struct setting *s) {
    struct rpu_error err;
    if (rpu_training_run(s->run, NULL, NULL, &err) != RPU_OK)
        fail_msg("%s", err.message);
}

static inline struct rpu_checkpoint *read_checkpoint(const char *path) {
    struct rpu_checkpoint *c = NULL;
    struct rpu_error err;
    if (rpu_checkpoint_read(&c, path, &err) != RPU_OK)
        fail_msg("%s", err.message);
    return c;
}

static inline void expect(enum rpu_status status, enum rpu_status wanted, const struct rpu_error *err,
                          const char *says) {
    if (status != wanted || !strstr(err->message, says))
        fail_msg("%s: %s; expected %s, and '%s'", rpu_status_name(status), err->message, rpu_status_name(wanted), says);
}

/* A whole file. */
static inline unsigned char *slurp(const char *path, size_t *size) {
    struct stat st;
    FILE *f = fopen(path, "rb");
    unsigned char *bytes;
    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    *size = (size_t)st.st_size;
    bytes = malloc(*size + 1);
    assert_int_equal(fread(bytes, 1, *size, f), *size);
    fclose(f);
    return bytes;
}

static inline int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

#endif
