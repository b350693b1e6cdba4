/* SPDX-License-Identifier: Apache-2.0 */
/* How training steps of lenet-rpu grow with the team:
 *   scaling/strong/<variant>/28x28/batch:<n>/team:<t>    the same minibatch by more threads
 *   scaling/weak/<variant>/28x28/batch:<n t>/team:<t>    n images for each thread
 *   scaling/wait/<variant>/list/items:<t>/team:<t>       what it costs to wait for each other
 * A speed-up is the median of several alternations of one thread with the team, anew for each repetition. Of one image
 * at a time, which threads share step by step, the bound is measured, too (sharing.c). What is said of more threads
 * than were measured is a prediction. */
#include "bench.h"
#include "engine.h"
#include "pass.h"
#include "small.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRONG_QUICK = 16, WEAK = 16, WEAK_QUICK = 8, WARM_UP = 128, RUN_UP = 16, ROUNDS = 15, ROUNDS_QUICK = 5 };
#define RUN_SECONDS 0.02
/* A chain of entries, the items of each busy for a while. */
enum { CHAIN = 16 };
#define BUSY 2e-6

/* What waiting costs a team; measured once. */
struct timed {
    int team; /* 0: not yet */
    double seconds;
};

/* Of an image. */
struct pace {
    double seconds;
    double waits;
    double chain; /* seconds of the longest chain of updates that is not divided */
};

/* A registered benchmark. */
struct entry {
    struct bench *bench;
    uint32_t batch;
    int team, weak, last, checked;
};

/* ---- waiting for each other ---- */

static void busy_item(void *context, size_t item, int thread) {
    const double end = rpu_now() + BUSY;
    (void)context;
    (void)item;
    (void)thread;
    while (rpu_now() < end)
        continue;
}

struct chain {
    struct rpu_sched *sched;
    struct rpu_work list[CHAIN];
    struct gb_state *state;
    double best; /* seconds of a list */
};

static void chain_run(void *user, uint64_t n) {
    struct chain *c = user;
    for (uint64_t k = 0; k < n; k++)
        rpu_sched_run(c->sched, c->list, CHAIN);
}

static enum rpu_status time_chain(void *context) {
    struct chain *c = context;
    chain_run(c, 100);
    c->best = INFINITY;
    for (int k = 0; k < 20; k++) {
        const double start = rpu_now();
        chain_run(c, 20);
        c->best = fmin(c->best, (rpu_now() - start) / 20);
    }
    return RPU_OK;
}

static void make_chain(struct chain *c, struct bench *b, int team) {
    *c = (struct chain){.sched = bench_engine(b, bench_best(b), team)->sched};
    for (unsigned k = 0; k < CHAIN; k++)
        c->list[k] =
            (struct rpu_work){.fn = busy_item, .items = (size_t)team, .n_after = k > 0, .after = {k ? k - 1 : 0}};
}

/* Between the entries of a list, and at its end. */
static double wait_of(const struct chain *c) {
    return fmax(0.0, (c->best - CHAIN * BUSY) / (CHAIN + 1));
}

static double seconds_of_wait(struct bench *b, int team) {
    struct timed *t = b->timed;
    struct chain c;
    while (t->team && t->team != team)
        t++;
    if (!t->team) {
        make_chain(&c, b, team);
        rpu_sched_team(c.sched, time_chain, &c);
        *t = (struct timed){team, wait_of(&c)};
    }
    return t->seconds;
}

/* ---- one thread and the team, in alternation ---- */

/* A training by one team. */
struct trial {
    const struct rpu_engine *engine;
    struct training training;
    double seconds[ROUNDS]; /* of an image */
    int done;
};

static enum rpu_status run_trial(void *context) {
    struct trial *t = context;
    uint64_t n = 0;
    training_some(&t->training, t->done ? RUN_UP : WARM_UP);
    if (t->done == 0)
        rpu_network_clear_stats(t->training.network);
    const double start = rpu_now();
    do {
        training_run(&t->training, 1);
        n++;
    } while (rpu_now() - start < RUN_SECONDS);
    t->seconds[t->done++] = (rpu_now() - start) / ((double)n * t->training.batch);
    return RPU_OK;
}

/* Entries of the last minibatch's list that had to wait, and the list's end. */
static double waits_of(const struct rpu_network *network) {
    double waits = 1.0;
    for (uint32_t k = 0; k < network->plan.n_list; k++)
        waits += network->plan.list[k].items > 0 && network->plan.list[k].n_after > 0;
    return waits;
}

/* An array takes the pulses of one image after the other. Where those of an image are not divided among threads, no
 * number of threads is faster than applying them one after the other. */
static double chain_of(const struct rpu_network *network, int team) {
    const struct rpu_plan *plan = &network->plan;
    double longest = 0.0;
    for (uint32_t k = plan->n_passes; k < plan->n_list; k++) {
        const struct rpu_entry *entry = &plan->entries[k];
        struct rpu_array_stats stats;
        rpu_network_array_stats(network, entry->array, &stats);
        if (entry->parts == 1 && stats.images > 0)
            longest = fmax(longest, stats.apply_seconds * team / (double)plan->list[k].items / (double)stats.images);
    }
    return longest;
}

static struct pace pace_of(struct trial *t, uint32_t batch, int team) {
    const struct rpu_network *network = t->training.network;
    return (struct pace){quantile(t->seconds, (size_t)t->done, 0.5), waits_of(network) / batch,
                         chain_of(network, team)};
}

/* What a row is about: an image by one thread and by the team. */
struct gain {
    struct pace one, all;
    double speedup;
};

static int make_trial(struct trial *t, struct bench *b, uint32_t batch, int team) {
    *t = (struct trial){.engine = bench_engine(b, bench_best(b), team)};
    return training_make(&t->training, t->engine, bench_images(b), "lenet-rpu", batch);
}

/* 0 when there is no network. */
static int measure_gain(const struct entry *e, struct gain *gain) {
    const uint32_t alone = e->weak ? e->batch / (uint32_t)e->team : e->batch;
    const int rounds = e->bench->quick ? ROUNDS_QUICK : ROUNDS;
    struct trial one = {0}, all = {0};
    double ratio[ROUNDS];
    const int made =
        make_trial(&one, e->bench, alone, 1) && (e->team == 1 || make_trial(&all, e->bench, e->batch, e->team));
    for (int k = 0; made && k < rounds; k++) {
        rpu_sched_team(one.engine->sched, run_trial, &one);
        if (e->team > 1)
            rpu_sched_team(all.engine->sched, run_trial, &all);
        ratio[k] = e->team > 1 ? one.seconds[k] / all.seconds[k] : 1.0;
    }
    if (made) {
        gain->one = pace_of(&one, alone, 1);
        gain->all = e->team > 1 ? pace_of(&all, e->batch, e->team) : gain->one;
        gain->speedup = quantile(ratio, (size_t)rounds, 0.5);
    }
    training_free(&one.training);
    training_free(&all.training);
    return made;
}

/* Whether each thread of a team has a processor. */
static int has_processors(const struct bench *b, int team) {
    struct rpu_machine m = {0};
    rpu_engine_machine(b->engine, &m);
    return team <= m.processors;
}

/* ---- strong and weak ---- */

struct loop {
    struct gb_state *state;
    struct training *training;
};

static enum rpu_status run(void *context) {
    const struct loop *l = context;
    training_some(l->training, WARM_UP);
    rpu_network_clear_stats(l->training->network);
    gb_loop(l->state, training_run, l->training);
    return RPU_OK;
}

/* Time of an image by more threads than there are: the serial part stays, the rest is divided, waits grow with the
 * logarithm of the threads; never less than the longest chain. */
static void predict(struct gb_state *state, const struct pace *one, const struct pace *all, int team, double serial,
                    double wait) {
    static const int cores[] = {8, 32, 64};
    for (size_t k = 0; k < sizeof cores / sizeof cores[0]; k++) {
        const double p = cores[k], waiting = all->waits * wait * log2(p) / log2((double)team),
                     divided = one->seconds * (serial + (1.0 - serial) / p) + waiting;
        char name[40];
        snprintf(name, sizeof name, "predicted_speedup_%d", cores[k]);
        gb_counter(state, name, one->seconds / fmax(divided, all->chain), GB_PLAIN);
    }
}

/* The most that sharing an image can gain: each its part of what can be divided, the rest, the waits, the weights. */
static void report_bound(struct gb_state *state, const struct entry *e, const struct pace *one, const struct pace *all,
                         double wait) {
    struct sharing s;
    if (!sharing_measure(e->bench, e->team, &s)) {
        bench_fail(e->bench, state, "no network");
        return;
    }
    const double least =
        s.undivided + fmax(0.0, one->seconds - s.undivided) / e->team + all->waits * wait + fmax(0.0, s.moved);
    gb_counter(state, "undivided_ns", 1e9 * s.undivided, GB_PLAIN);
    gb_counter(state, "moved_ns", 1e9 * s.moved, GB_PLAIN);
    gb_counter(state, "bound_speedup", one->seconds / least, GB_PLAIN);
    gb_counter(state, "of_bound", all->seconds / least, GB_PLAIN);
    gb_counter(state, "pieces_ns", 1e9 * s.pieces, GB_PLAIN);
    gb_counter(state, "percent_pieces", 100.0 * s.pieces / s.image, GB_PLAIN);
}

static void report(struct gb_state *state, const struct entry *e, const struct gain *gain) {
    const struct pace *one = &gain->one, *all = &gain->all;
    const double team = e->team;
    gb_counter(state, "one_thread_ns", 1e9 * one->seconds, GB_PLAIN);
    gb_counter(state, "speedup", gain->speedup, GB_PLAIN);
    gb_counter(state, "percent_efficiency", 100.0 * gain->speedup / team, GB_PLAIN);
    if (e->weak)
        return;
    const double wait = seconds_of_wait(e->bench, e->team);
    gb_counter(state, "waits_per_image", all->waits, GB_PLAIN);
    gb_counter(state, "wait_ns", 1e9 * wait, GB_PLAIN);
    if (e->team == 1)
        return;
    const double busy = fmax(one->seconds / team, all->seconds - all->waits * wait);
    const double serial = (busy / one->seconds - 1.0 / team) / (1.0 - 1.0 / team);
    gb_counter(state, "percent_serial", 100.0 * serial, GB_PLAIN);
    gb_counter(state, "percent_chain", 100.0 * all->chain / one->seconds, GB_PLAIN);
    if (e->batch == 1 && has_processors(e->bench, e->team)) /* its threads wait for each other without sleeping */
        report_bound(state, e, one, all, wait);
    if (e->last)
        predict(state, one, all, e->team, serial, wait);
}

static void scaling_row(struct gb_state *state, void *user) {
    struct entry *e = user;
    const struct rpu_images *images = bench_images(e->bench);
    const struct rpu_engine *engine = bench_engine(e->bench, bench_best(e->bench), e->team);
    struct gain gain;
    struct training training = {0};
    struct loop l = {state, &training};
    uint64_t right = 0;
    if (!images)
        bench_fail(e->bench, state, "no training images");
    else if (!e->checked && !training_check(e->bench->oracle, engine, images, "lenet-rpu", e->batch, &right))
        bench_fail(e->bench, state, "the weights differ from the oracle's");
    else if (!measure_gain(e, &gain) || !training_make(&training, engine, images, "lenet-rpu", e->batch))
        bench_fail(e->bench, state, "no network");
    else {
        e->checked = 1;
        rpu_sched_team(engine->sched, run, &l);
        report(state, e, &gain);
        training_report(e->bench, state, &training, e->team, e->last && !e->weak ? "; predicted_*: a prediction" : "");
    }
    training_free(&training);
}

static enum rpu_status run_chain(void *context) {
    struct chain *c = context;
    gb_loop(c->state, chain_run, c);
    return RPU_OK;
}

static void wait_row(struct gb_state *state, void *user) {
    struct entry *e = user;
    struct chain c;
    make_chain(&c, e->bench, e->team);
    c.state = state;
    rpu_sched_team(c.sched, run_chain, &c);
    gb_counter(state, "wait_ns", 1e9 * seconds_of_wait(e->bench, e->team), GB_PLAIN);
    if (e->team == 2 && has_processors(e->bench, 2)) {
        struct lines lines;
        lines_measure(e->bench, &lines);
        gb_counter(state, "line_turn_ns", 1e9 * lines.turn, GB_PLAIN);
        gb_counter(state, "line_read_ns", 1e9 * lines.read, GB_PLAIN);
        gb_counter(state, "line_write_ns", 1e9 * lines.write, GB_PLAIN);
    }
    gb_label(state, "hot; a list of 16 entries, one after the other, whose items are busy for 2 us");
}

/* ---- the list ---- */

/* Whether a team is the largest that has a processor for each thread: from it more threads are predicted. */
static int is_last(const struct bench *b, int team) {
    const int next = bench_next_team(b, team);
    return team > 1 && has_processors(b, team) && (next == 0 || !has_processors(b, next));
}

static void add(struct bench *b, const char *what, const struct entry *row, gb_fn *fn) {
    const struct gb_options options = {.unit = GB_MICROSECOND};
    struct entry *e = bench_keep(b, sizeof *e);
    char name[160], size[48];
    *e = *row;
    e->bench = b;
    e->last = is_last(b, e->team);
    snprintf(size, sizeof size, fn == wait_row ? "list/items:%u" : "28x28/batch:%u",
             fn == wait_row ? (unsigned)e->team : e->batch);
    snprintf(name, sizeof name, "scaling/%s/%s/%s/team:%d", what, bench_best(b), size, e->team);
    gb_register(name, fn, e, &options);
}

void scaling_register(struct bench *b) {
    static const uint32_t strong[] = {1, 16, 64};
    const uint32_t weak = b->quick ? WEAK_QUICK : WEAK;
    size_t rows = 0;
    for (int t = bench_next_team(b, 0); t; t = bench_next_team(b, t)) {
        add(b, "wait", &(struct entry){.team = t}, wait_row);
        for (size_t k = 0; k < sizeof strong / sizeof *strong; k++)
            if (!b->quick || strong[k] == STRONG_QUICK)
                add(b, "strong", &(struct entry){.batch = strong[k], .team = t}, scaling_row);
        add(b, "weak", &(struct entry){.batch = weak * (uint32_t)t, .team = t, .weak = 1}, scaling_row);
        rows++;
    }
    b->timed = bench_keep(b, (rows + 1) * sizeof *b->timed);
}
