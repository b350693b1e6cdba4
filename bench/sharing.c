/* SPDX-License-Identifier: Apache-2.0 */
/* What threads that share each training step of an image cannot do without, beside their shares of the work. */
#include "bench.h"
#include "engine.h"
#include "network_inside.h"
#include "small.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_UP = 400, ROUNDS = 300, RECORDED = 300, EVENTS = 64, GROUPS = 32 };
enum { LINE = 16 }; /* floats of a cache line */

/* ---- weights that another thread has changed ---- */

/* Two threads in turn: one trains, an image at a time, and its time is taken at every other image. Before half of these
 * the second takes those cache lines of the convolutions' weights that changed with the image before, as if it had
 * changed them; before the others it does nothing. */
struct turns {
    struct training *training;
    float *before[LENET_ARRAYS]; /* weights; null: of no convolution */
    double longer[ROUNDS];       /* by how much an image took longer */
    int takes;                   /* whether the second is to take lines */
    atomic_int turn;
};

static size_t weights_of(const struct turns *t, size_t array, float **w) {
    struct rpu_tile *tile = rpu_network_tile(t->training->network, array);
    *w = tile->w;
    return tile->m * tile->ldw;
}

static void keep_weights(struct turns *t) {
    for (size_t a = 0; a < LENET_ARRAYS; a++) {
        float *w;
        const size_t n = weights_of(t, a, &w);
        if (t->before[a])
            memcpy(t->before[a], w, n * sizeof *w);
    }
}

static void take_lines(const struct turns *t) {
    for (size_t a = 0; a < LENET_ARRAYS; a++) {
        float *w;
        const size_t n = weights_of(t, a, &w);
        for (size_t k = 0; t->before[a] && k + LINE <= n; k += LINE)
            if (memcmp(t->before[a] + k, w + k, LINE * sizeof *w) != 0) {
                volatile float *const line = w + k;
                *line = w[k];
            }
    }
}

static double train_once(struct turns *t) {
    const double start = rpu_now();
    training_run(t->training, 1);
    return rpu_now() - start;
}

static void wait_for(struct turns *t, int turn) {
    while (atomic_load_explicit(&t->turn, memory_order_acquire) != turn)
        continue;
}

/* Seconds of the second of two images, between which the other thread has its turn. */
static double second_image(struct turns *t, int takes) {
    keep_weights(t);
    train_once(t);
    t->takes = takes;
    atomic_store_explicit(&t->turn, 1, memory_order_release);
    wait_for(t, 0);
    return train_once(t);
}

static void turn_item(void *context, size_t item, int thread) {
    struct turns *t = context;
    (void)thread;
    if (item == 0) {
        for (size_t k = 0; k < ROUNDS; k++) {
            const double alone = second_image(t, 0);
            t->longer[k] = second_image(t, 1) - alone;
        }
        return;
    }
    for (size_t k = 0; k < 2 * ROUNDS; k++) {
        wait_for(t, 1);
        if (t->takes)
            take_lines(t);
        atomic_store_explicit(&t->turn, 0, memory_order_release);
    }
}

/* Seconds by which an image takes longer when all of these lines come from another core. */
static double seconds_moved(struct training *training, struct rpu_sched *two) {
    struct turns *t = room(sizeof *t);
    double moved;
    t->training = training;
    atomic_init(&t->turn, 0);
    training_run(training, WARM_UP);
    for (size_t a = 0; a < LENET_ARRAYS; a++) {
        struct rpu_array_signals s;
        float *w;
        const size_t n = weights_of(t, a, &w);
        if (rpu_network_array_signals(training->network, a, 0, &s) == RPU_OK && s.columns > 1)
            t->before[a] = room(n * sizeof *w);
    }
    rpu_sched_for(two, 2, turn_item, t);
    moved = quantile(t->longer, ROUNDS, 0.5);
    for (size_t a = 0; a < LENET_ARRAYS; a++)
        free(t->before[a]);
    free(t);
    return moved;
}

/* ---- work that is not divided ---- */

/* What was recorded of one layer's cycle. */
struct group {
    const char *name, *of;
    size_t n;
    double seconds[RECORDED];
};

static void add_event(struct group *groups, const struct rpu_sched_event *e) {
    struct group *g = groups;
    while (g->name && (strcmp(g->name, e->name) != 0 || strcmp(g->of, e->of) != 0))
        g++;
    g->name = e->name, g->of = e->of;
    if (g->n < RECORDED)
        g->seconds[g->n] = e->end - e->start;
    g->n++;
}

struct recorded {
    struct training training;
    struct rpu_sched *sched;
    double seconds; /* of all images */
};

static enum rpu_status run_recorded(void *context) {
    struct recorded *r = context;
    training_run(&r->training, WARM_UP);
    rpu_sched_record(r->sched, (size_t)EVENTS * RECORDED);
    const double start = rpu_now();
    training_run(&r->training, RECORDED);
    r->seconds = rpu_now() - start;
    return RPU_OK;
}

/* Seconds of an image for what only one thread can do while no other has anything to do: the cycles of passes that were
 * recorded once for each image. Updates and their pulses fill gaps, and count as divided. */
static double seconds_undivided(const struct recorded *r) {
    struct group *groups = room(GROUPS * sizeof *groups);
    double sum = 0.0;
    for (int t = 0; t < rpu_sched_threads(r->sched); t++) {
        const struct rpu_sched_event *events = NULL;
        const size_t n = rpu_sched_events(r->sched, t, &events);
        for (size_t k = 0; k < n; k++)
            if (strcmp(events[k].name, "update") != 0 && strcmp(events[k].name, "pulses") != 0)
                add_event(groups, &events[k]);
    }
    for (struct group *g = groups; g->name; g++)
        if (g->n == RECORDED)
            sum += quantile(g->seconds, RECORDED, 0.5);
    free(groups);
    return sum;
}

/* Seconds of an image that a thread works on pieces, on average. */
static double seconds_in_pieces(const struct recorded *r) {
    const int threads = rpu_sched_threads(r->sched);
    double sum = 0.0;
    for (int t = 0; t < threads; t++) {
        const struct rpu_sched_event *events = NULL;
        const size_t n = rpu_sched_events(r->sched, t, &events);
        for (size_t k = 0; k < n; k++)
            sum += events[k].end - events[k].start;
    }
    return sum / threads / RECORDED;
}

int sharing_measure(struct bench *b, int team, struct sharing *s) {
    const struct rpu_images *images = bench_images(b);
    const struct rpu_engine_options options = {.isa = bench_best(b), .threads = team, .share = RPU_SHARE_ALWAYS};
    struct training alone = {0};
    struct recorded r = {0};
    struct rpu_engine *engine = NULL; /* of its own: a record goes on to its end */
    int good = rpu_engine_create_with(&engine, &options, NULL) == RPU_OK &&
               training_make(&alone, b->engine, images, "lenet-rpu", 1) &&
               training_make(&r.training, engine, images, "lenet-rpu", 1);
    if (good) {
        s->moved = seconds_moved(&alone, engine->sched) * (team - 1) / team;
        r.sched = engine->sched;
        good = rpu_sched_team(r.sched, run_recorded, &r) == RPU_OK;
        s->undivided = seconds_undivided(&r);
        s->image = r.seconds / RECORDED;
        s->pieces = seconds_in_pieces(&r);
        good = good && rpu_sched_events_lost(r.sched) == 0;
    }
    training_free(&alone);
    training_free(&r.training);
    rpu_engine_destroy(engine);
    return good;
}
