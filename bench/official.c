/* SPDX-License-Identifier: Apache-2.0 */
/* The fixed workload for comparing machines:
 *   official/lenet-rpu/<variant>/28x28/batch:1/team:<t>
 * An epoch of lenet-rpu on the digits of seed 1, the test set read after every 10,000 images outside the time. The
 * weights in the end are the same on every machine; others are a failure. results/README.md has the rules. */
#include "bench.h"
#include "engine.h"
#include "small.h"

#include <rpu/train.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 60000, TESTS = 10000, PIECE = 10000, SEED = 1 };
#define GOAL 0.02 /* test error */
/* Weights after the epoch: that of `rpubench train lenet-rpu --data digits --epochs 1`, too. */
static const uint64_t digest_expected = UINT64_C(0x1ba86a832662412e);

/* A registered benchmark. */
struct entry {
    struct bench *bench;
    int team;
};

/* One run of the workload. */
struct workload {
    const struct rpu_dataset *set;
    struct rpu_network *network;
    uint32_t *order;
    double seconds, error; /* trained; of the last test */
    double goal_seconds;   /* until the test error was low enough; 0: it never was */
    uint32_t goal_images;
    enum rpu_status status;
};

static void train(struct workload *w, uint32_t first, uint32_t end) {
    const double start = rpu_now();
    for (uint32_t i = first; i < end && w->status == RPU_OK; i++)
        w->status = rpu_network_train(w->network, &w->set->train, &w->order[i], 1, i, NULL);
    w->seconds += rpu_now() - start;
}

static void test(struct workload *w, uint32_t step) {
    uint64_t errors = 0;
    double loss = 0.0;
    if (w->status == RPU_OK)
        w->status = rpu_network_evaluate(w->network, &w->set->test, 0, TESTS, step, &errors, &loss);
    w->error = (double)errors / TESTS;
}

static enum rpu_status run(void *context) {
    struct workload *w = context;
    for (uint32_t done = 0; done < IMAGES && w->status == RPU_OK; done += PIECE) {
        train(w, done, done + PIECE);
        test(w, done);
        if (w->error <= GOAL && w->goal_images == 0) {
            w->goal_images = done + PIECE;
            w->goal_seconds = w->seconds;
        }
    }
    return w->status;
}

static void report(const struct entry *e, struct gb_state *state, struct workload *w) {
    uint64_t digest = 0;
    char text[128];
    rpu_network_digest(w->network, &digest);
    gb_counter(state, "images_per_second", IMAGES / w->seconds, GB_PLAIN);
    gb_counter(state, "test_error_percent", 100.0 * w->error, GB_PLAIN);
    if (w->goal_images > 0) {
        gb_counter(state, "images_to_2_percent", w->goal_images, GB_PLAIN);
        gb_counter(state, "seconds_to_2_percent", w->goal_seconds, GB_PLAIN);
    }
    if (digest == digest_expected)
        snprintf(text, sizeof text, "hot; in training; digest %016" PRIx64 " PASS", digest);
    else
        snprintf(text, sizeof text, "hot; in training; digest %016" PRIx64 ", expected %016" PRIx64 ": FAIL", digest,
                 digest_expected);
    gb_label(state, text);
    if (digest != digest_expected)
        bench_fail(e->bench, state, text);
}

static int make(const struct entry *e, struct workload *w, const struct rpu_engine *engine, struct rpu_config *config) {
    struct bench *b = e->bench;
    struct rpu_error err;
    enum rpu_status status = RPU_OK;
    if (!b->set.train.pixels)
        status = rpu_digits_generate(&b->set, IMAGES, TESTS, SEED, &err);
    if (status == RPU_OK)
        status = rpu_config_load(config, "lenet-rpu", NULL, 0, &err);
    config->seed = SEED;
    config->batch = 1;
    if (status == RPU_OK)
        status = rpu_network_create(&w->network, engine, config, b->set.train.height, b->set.train.width,
                                    b->set.train.channels, b->set.train.classes, &err);
    if (status != RPU_OK)
        fprintf(stderr, "rpubench-bench: %s\n", err.message);
    w->set = &b->set;
    w->order = room(IMAGES * sizeof *w->order);
    rpu_shuffle(w->order, IMAGES, SEED, 0);
    return status == RPU_OK;
}

static void official_row(struct gb_state *state, void *user) {
    const struct entry *e = user;
    const struct rpu_engine *engine = bench_engine(e->bench, bench_best(e->bench), e->team);
    struct rpu_config *config = room(sizeof *config);
    struct workload w = {.status = RPU_OK};
    if (!make(e, &w, engine, config))
        bench_fail(e->bench, state, "no network");
    else {
        while (gb_keep_running(state, 1)) {
            rpu_sched_team(engine->sched, run, &w);
            gb_iteration_time(state, w.seconds);
        }
        if (w.status != RPU_OK)
            bench_fail(e->bench, state, "the images do not fit the network");
        else
            report(e, state, &w);
    }
    rpu_network_destroy(w.network);
    free(w.order);
    free(config);
}

void official_register(struct bench *b) {
    const struct gb_options options = {.unit = GB_SECOND, .manual_time = 1, .iterations = 1};
    for (size_t t = 0; t < b->n_teams; t++) {
        struct entry *e = bench_keep(b, sizeof *e);
        char name[96];
        *e = (struct entry){b, b->teams[t]};
        snprintf(name, sizeof name, "official/lenet-rpu/%s/28x28/batch:1/team:%d", bench_best(b), e->team);
        gb_register(name, official_row, e, &options);
    }
}
