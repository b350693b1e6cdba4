/* SPDX-License-Identifier: Apache-2.0 */
/* Whole training steps, minibatches of consecutive images, by teams of threads:
 *   step/<preset>/<variant>/<height>x<width>/batch:<n>/team:<t>
 * Before it is timed, the weights after some steps are compared with the oracle's. A network then trains on some
 * hundred images, so that its pulses are those of a training, and goes on training while it is timed: hot, as a
 * training is. */
#include "bench.h"
#include "engine.h"
#include "small.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_UP = 200 }; /* images */

static const char *const cycle_names[CYCLES] = {"forward", "backward", "update"};

/* A registered benchmark. */
struct entry {
    struct bench *bench;
    const char *preset, *isa;
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
    training_run(l->training, (WARM_UP + l->training->batch - 1) / l->training->batch);
    rpu_network_clear_stats(l->training->network);
    const double start = rpu_now();
    gb_loop(l->state, training_run, l->training);
    l->seconds = rpu_now() - start;
    return RPU_OK;
}

static void report(const struct loop *l) {
    const struct rpu_network *network = l->training->network;
    double rest = 100.0, crosspoints = 0.0;
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
            crosspoints += (double)info.outputs * info.inputs * info.columns;
            snprintf(name, sizeof name, "percent_%s_%s", cycle_names[c], info.name);
            gb_counter(l->state, name, percent, GB_PLAIN);
            rest -= percent;
        }
    }
    gb_counter(l->state, "percent_rest", rest > 0.0 ? rest : 0.0, GB_PLAIN);
    gb_counter(l->state, "images_per_second", l->training->batch, GB_EACH_ITERATION | GB_RATE);
    gb_counter(l->state, "crosspoints_per_second", crosspoints * l->training->batch, GB_EACH_ITERATION | GB_RATE);
    gb_label(l->state, "hot; in training");
}

static void step_row(struct gb_state *state, void *user) {
    struct entry *e = user;
    const struct rpu_images *images = bench_images(e->bench);
    const struct rpu_engine *engine = bench_engine(e->bench, e->isa, e->team);
    struct training training = {0};
    struct loop l = {state, &training, 0.0};
    if (!images)
        bench_fail(e->bench, state, "no training images");
    else if (!e->checked && !training_check(e->bench->oracle, engine, images, e->preset, e->batch))
        bench_fail(e->bench, state, "the weights differ from the oracle's");
    else if (!training_make(&training, engine, images, e->preset, e->batch))
        bench_fail(e->bench, state, "no network");
    else {
        e->checked = 1;
        rpu_sched_team(engine->sched, run, &l);
        report(&l);
    }
    training_free(&training);
}

static void add(struct bench *b, const char *preset, const char *isa, uint32_t batch, int team) {
    const struct gb_options options = {.unit = GB_MICROSECOND};
    struct entry *e = bench_keep(b, sizeof *e);
    char name[160];
    *e = (struct entry){b, preset, isa, batch, team, 0};
    snprintf(name, sizeof name, "step/%s/%s/28x28/batch:%u/team:%d", preset, isa, batch, team);
    gb_register(name, step_row, e, &options);
}

/* Whether the preset takes images of the digits' size; there are no others here. */
static int takes_digits(const char *preset) {
    struct rpu_config c;
    return rpu_config_load(&c, preset, NULL, 0, NULL) == RPU_OK && (c.height == 0 || c.height == 28);
}

/* The quick choice: the first two presets, and no batch of 64. */
static int chosen(const struct bench *b, size_t preset, uint32_t batch) {
    return takes_digits(rpu_preset_name(preset)) && (!b->quick || (preset < 2 && batch < 64));
}

void step_register(struct bench *b) {
    static const uint32_t batches[] = {1, 16, 64};
    for (size_t p = 0; rpu_preset_name(p); p++)
        for (size_t k = 0; k < sizeof batches / sizeof batches[0] && chosen(b, p, batches[k]); k++) {
            for (size_t v = 0; v < b->n_isas; v++) /* the others by one thread, one image at a time */
                if (v + 1 == b->n_isas || (batches[k] == 1 && b->teams[0] == 1 && strcmp(b->isas[v], "generic") != 0))
                    add(b, rpu_preset_name(p), b->isas[v], batches[k], b->teams[0]);
            for (size_t t = 1; t < b->n_teams; t++)
                add(b, rpu_preset_name(p), bench_best(b), batches[k], b->teams[t]);
        }
}
