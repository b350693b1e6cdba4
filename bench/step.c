/* SPDX-License-Identifier: Apache-2.0 */
/* Whole training steps, minibatches of consecutive images, by teams of threads:
 *   step/<preset>/<variant>/<height>x<width>/batch:<n>/team:<t>
 * Before it is timed, the weights after some steps are compared with the oracle's. A network then trains on some
 * hundred images, so that its pulses are those of a training, and goes on training while it is timed: hot, as a
 * training is. A preset for images of a size of its own (alexnet) trains on random ones, and checks and warms up with
 * two: its oracle takes seconds for each. */
#include "bench.h"
#include "engine.h"
#include "small.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_UP = 200, MOST = 64, DIGITS = 28 }; /* images, of them a minibatch at most; side of a digit */

static const char *const cycle_names[CYCLES] = {"forward", "backward", "update"};

/* What the rows of a preset share. */
struct preset {
    const char *name;
    uint32_t height, width, channels; /* 0: those of the training images */
    uint64_t right[2]; /* the oracle's digests, of single images and of minibatches: see training_check */
};

/* A registered benchmark. */
struct entry {
    struct bench *bench;
    struct preset *preset;
    const char *isa;
    uint32_t batch;
    int team, checked;
};

struct loop {
    struct gb_state *state;
    struct training *training;
    double seconds;
};

static enum rpu_status run(void *context) {
    struct loop *l = context;
    training_some(l->training, WARM_UP);
    rpu_network_clear_stats(l->training->network);
    const double start = rpu_now();
    gb_loop(l->state, training_run, l->training);
    l->seconds = rpu_now() - start;
    return RPU_OK;
}

static void report_shares(const struct loop *l) {
    const struct rpu_network *network = l->training->network;
    double rest = 100.0;
    char name[64];
    for (size_t a = 0; a < rpu_network_array_count(network); a++) {
        struct rpu_array_stats stats;
        struct rpu_array_info info;
        rpu_network_array_info(network, a, &info);
        rpu_network_array_stats(network, a, &stats);
        for (int c = 0; c < CYCLES; c++) {
            const double percent = 100.0 * stats.seconds[c] / l->seconds;
            if (c == RPU_CYCLE_BACKWARD && !info.has_backward)
                continue;
            snprintf(name, sizeof name, "percent_%s_%s", cycle_names[c], info.name);
            gb_counter(l->state, name, percent, GB_PLAIN);
            rest -= percent;
        }
    }
    gb_counter(l->state, "percent_rest", rest > 0.0 ? rest : 0.0, GB_PLAIN);
}

static void step_row(struct gb_state *state, void *user) {
    struct entry *e = user;
    struct preset *p = e->preset;
    const struct rpu_images *images =
        p->height ? bench_random_images(e->bench, p->height, p->width, p->channels) : bench_images(e->bench);
    const struct rpu_engine *engine = bench_engine(e->bench, e->isa, e->team);
    struct training training = {0};
    struct loop l = {state, &training, 0.0};
    if (!images)
        bench_fail(e->bench, state, "no training images");
    else if (!e->checked &&
             !training_check(e->bench->oracle, engine, images, p->name, e->batch, &p->right[e->batch > 1]))
        bench_fail(e->bench, state, "the weights differ from the oracle's");
    else if (!training_make(&training, engine, images, p->name, e->batch))
        bench_fail(e->bench, state, "no network");
    else {
        e->checked = 1;
        rpu_sched_team(engine->sched, run, &l);
        report_shares(&l);
        training_report(e->bench, state, &training, e->team, p->height ? " on random images" : "");
    }
    training_free(&training);
}

static void add(struct bench *b, struct preset *preset, const char *isa, uint32_t batch, int team) {
    /* minibatches of several seconds are measured once */
    const struct gb_options options = {.unit = GB_MICROSECOND, .repetitions = preset->height && batch > 1};
    struct entry *e = bench_keep(b, sizeof *e);
    char name[160];
    *e = (struct entry){b, preset, isa, batch, team, 0};
    snprintf(name, sizeof name, "step/%s/%s/%ux%u/batch:%u/team:%d", preset->name, isa,
             preset->height ? preset->height : DIGITS, preset->height ? preset->width : DIGITS, batch, team);
    gb_register(name, step_row, e, &options);
}

/* The quick choice: the first two presets for the digits, and no batch of 64. */
static int chosen(const struct bench *b, const struct preset *p, size_t index, uint32_t batch) {
    return !b->quick || (index < 2 && p->height == 0 && batch < MOST);
}

/* Null when the preset cannot be read, which a test of the presets would find. */
static struct preset *preset_of(struct bench *b, const char *name) {
    struct rpu_config *config = room(sizeof *config);
    struct preset *p = NULL;
    if (rpu_config_load(config, name, NULL, 0, NULL) == RPU_OK) {
        p = bench_keep(b, sizeof *p);
        *p = (struct preset){name, config->height, config->width, config->channels, {0, 0}};
    }
    free(config);
    return p;
}

void step_register(struct bench *b) {
    static const uint32_t batches[] = {1, 16, MOST};
    for (size_t i = 0; rpu_preset_name(i); i++) {
        struct preset *p = preset_of(b, rpu_preset_name(i));
        for (size_t k = 0; p && k < sizeof batches / sizeof batches[0] && chosen(b, p, i, batches[k]); k++) {
            for (size_t v = 0; v < b->n_isas; v++) /* the others by one thread, one image at a time */
                if (v + 1 == b->n_isas || (batches[k] == 1 && b->teams[0] == 1 && strcmp(b->isas[v], "generic") != 0))
                    add(b, p, b->isas[v], batches[k], b->teams[0]);
            for (size_t t = 1; t < b->n_teams; t++)
                add(b, p, bench_best(b), batches[k], b->teams[t]);
        }
    }
}
