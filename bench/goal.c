/* SPDX-License-Identifier: Apache-2.0 */
/* The goals: every row measures both of its sides in alternation and states what was to be reached. Counters of a row:
 *   goal, at_least    the figure aimed at, and whether larger is better (1) or smaller (0)
 *   reached           the figure measured
 *   ours_ns, theirs_ns  medians of one call of each side; ours_min_ns, theirs_min_ns the smallest
 *   ratio, ratio_low, ratio_high  median and quartiles of the ratios of neighbouring batches
 *   bound             what stops `reached`: the figure of a cycle that consists of its irreducible parts (bound.h),
 *                     measured beside it
 *   of_bound          how far `reached` is from it: 1 at the bound, more beyond
 *   bound_<part>_ns   median of each part */
#include "bound.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETA        0.01f
#define BATCH      3e-4 /* seconds of a batch */
#define STEP_BATCH 5e-3 /* the same, of training steps */
#define PEER_BATCH 4e-3 /* the same, beside the peer: calls enough for warm caches */

const struct shape lenet_shapes[LENET_ARRAYS] = {{.name = "K1", .out = 16, .in = 26, .columns = 576},
                                                 {.name = "K2", .out = 32, .in = 401, .columns = 64},
                                                 {.name = "W3", .out = 128, .in = 513, .columns = 1},
                                                 {.name = "W4", .out = 10, .in = 129, .columns = 1}};

static const char *const cycle_names[CYCLES] = {"forward", "backward", "update"};

/* Which inputs a row takes. */
enum recipe { RECIPE_NORMAL, RECIPE_STRONG, RECIPE_TRAINED };

struct goal {
    struct bench *bench;
    char name[96];
    struct shape shape;
    enum rpu_cycle op;
    enum recipe recipe;
    int32_t bl, um;
    double goal;
};

enum { MAX_GOALS = 48 };
static const int alternations = 151, alternations_quick = 41;
static const int alternations_long = 41; /* of rows whose batches are long: 2048 x 2048 and more, the peer */

/* ---- shared by the rows ---- */

static void report(struct gb_state *state, const struct paired *r, double goal, int at_least, double reached) {
    gb_counter(state, "ours_ns", r->a_ns, GB_PLAIN);
    gb_counter(state, "theirs_ns", r->b_ns, GB_PLAIN);
    gb_counter(state, "ours_min_ns", r->a_min_ns, GB_PLAIN);
    gb_counter(state, "theirs_min_ns", r->b_min_ns, GB_PLAIN);
    gb_counter(state, "ratio", r->ratio, GB_PLAIN);
    gb_counter(state, "ratio_low", r->ratio_low, GB_PLAIN);
    gb_counter(state, "ratio_high", r->ratio_high, GB_PLAIN);
    gb_counter(state, "goal", goal, GB_PLAIN);
    gb_counter(state, "at_least", at_least, GB_PLAIN);
    gb_counter(state, "reached", reached, GB_PLAIN);
}

static void report_bound(struct gb_state *state, int at_least, double reached, double bound) {
    gb_counter(state, "bound", bound, GB_PLAIN);
    if (bound > 0.0) /* a difference of times may have none */
        gb_counter(state, "of_bound", at_least ? bound / reached : reached / bound, GB_PLAIN);
}

static struct side cycle_side(struct cycle *c) {
    const struct side s = {.run = cycle_run, .prepare = cycle_prepare, .user = c};
    return s;
}

static struct side blas_side(struct yardstick *y) {
    const struct side s = {.run = yardstick_run, .user = y};
    return s;
}

static const struct side no_side = {.run = NULL};

/* The inputs of a row; 0 when they cannot be had. */
static int find_inputs(const struct goal *g, struct inputs *own, const struct inputs **in) {
    if (g->recipe == RECIPE_TRAINED) {
        *in = bench_trained_for(g->bench, &g->shape);
        return *in != NULL;
    }
    inputs_make(own, &g->shape,
                g->recipe == RECIPE_STRONG ? INPUTS_STRONG
                : g->shape.columns > 1     ? INPUTS_POOLED
                                           : INPUTS_DENSE,
                1);
    *in = own;
    return 1;
}

/* Whether nothing saturated: a read that is repeated by bound management would be another amount of work. */
static int reads_stood(const struct cycle *c) {
    return c->reads.rereads == 0;
}

/* ---- one cycle of one array against OpenBLAS ---- */

static double per_call(const struct cycle *c, uint64_t count) {
    return c->image > 0 ? (double)count / (double)c->image : 0.0;
}

/* Update rows whose goal is a time for each coincidence on top of the rank-one update. */
static int counts_coincidences(const struct goal *g) {
    return g->op == RPU_CYCLE_UPDATE && g->recipe != RECIPE_TRAINED && g->shape.out == 1024;
}

static void report_array(struct gb_state *state, const struct goal *g, const struct cycle *c, const struct paired *r,
                         const struct paired *bound) {
    const double coincidences = per_call(c, c->updates.coincidences);
    if (counts_coincidences(g)) {
        const double each = r->difference_ns / coincidences;
        report(state, r, g->goal, 0, each);
        report_bound(state, 0, each, bound->difference_ns / coincidences);
        gb_counter(state, "ns_above_sger_each", each, GB_PLAIN);
    } else {
        report(state, r, g->goal, 0, r->ratio);
        report_bound(state, 0, r->ratio, bound->ratio);
    }
    if (g->op == RPU_CYCLE_UPDATE) {
        gb_counter(state, "coincidences", coincidences, GB_PLAIN);
        gb_counter(state, "row_pulses", per_call(c, c->updates.row_pulses), GB_PLAIN);
    }
}

static void measure_array(const struct goal *g, struct gb_state *state, struct cycle *c, struct yardstick *y,
                          struct bound *b) {
    struct pairing p = {0};
    char text[512];
    pairing_add(&p, cycle_side(c), blas_side(y));
    if (!bound_add(b, &p, c, 0)) {
        bench_fail(g->bench, state, "the bound is of another update");
        return;
    }
    pairing_run(&p, state, BATCH);
    const struct paired r = pairing_sum(&p);
    bound_scale(b, 0, per_call(c, c->updates.coincidences), per_call(c, c->updates.column_pulses));
    const struct paired bound = bound_measured(b);
    if (!reads_stood(c))
        bench_fail(g->bench, state, "bound management repeated reads");
    report_array(state, g, c, &r, &bound);
    bound_counters(b, state);
    const size_t at = (size_t)snprintf(text, sizeof text, "%s; ", yardstick_layout(y));
    bound_text(b, text + at, sizeof text - at);
    gb_label(state, text);
    pairing_free(&p);
}

static void array_row(struct gb_state *state, void *user) {
    const struct goal *g = user;
    struct inputs own = {0};
    const struct inputs *in = NULL;
    struct rpu_tile_params params;
    struct yardstick y = {0};
    struct cycle c = {.op = g->op};
    struct bound *b;
    params_make(&params, g->bl, g->um);
    if (!find_inputs(g, &own, &in)) {
        bench_fail(g->bench, state, "no training images");
        return;
    }
    const uint32_t images = in->images > 1 ? in->images : (uint64_t)in->m * in->n > 1u << 20 ? 1 : 2;
    b = room(sizeof *b);
    if (!cycle_check(g->bench->oracle, g->bench->engine, &params, g->op, in, ETA, images))
        bench_fail(g->bench, state, "the result differs from the oracle's");
    else if (!yardstick_make(&y, g->op, in, ETA))
        bench_fail(g->bench, state, "OpenBLAS gives other numbers than plain sums");
    else if (!cycle_make(&c, g->bench->engine, &params, g->op, in, ETA))
        bench_fail(g->bench, state, "no tile");
    else
        measure_array(g, state, &c, &y, b);
    bound_free(b);
    free(b);
    cycle_free(&c);
    yardstick_free(&y);
    inputs_free(&own);
}

/* ---- all four arrays ---- */

struct twelve {
    struct cycle ours[PAIRS_MAX], other[PAIRS_MAX];
    struct yardstick theirs[PAIRS_MAX];
    struct bound bound;
};

static void twelve_free(struct twelve *t) {
    bound_free(&t->bound);
    for (size_t k = 0; k < PAIRS_MAX; k++) {
        cycle_free(&t->ours[k]);
        cycle_free(&t->other[k]);
        yardstick_free(&t->theirs[k]);
    }
    free(t);
}

/* OpenBLAS's three products of the four arrays; null when one is wrong. */
static struct twelve *twelve_make(const struct inputs *in[LENET_ARRAYS]) {
    struct twelve *t = room(sizeof *t);
    for (size_t k = 0; k < PAIRS_MAX; k++)
        if (!yardstick_make(&t->theirs[k], (enum rpu_cycle)(k % CYCLES), in[k / CYCLES], ETA)) {
            twelve_free(t);
            return NULL;
        }
    return t;
}

/* Checked cycles of an engine. */
static int twelve_cycles(struct cycle cycles[PAIRS_MAX], const struct goal *g, const struct rpu_engine *engine,
                         const struct inputs *in[LENET_ARRAYS]) {
    struct rpu_tile_params params;
    params_make(&params, g->bl, g->um);
    for (size_t k = 0; k < PAIRS_MAX; k++) {
        const enum rpu_cycle op = (enum rpu_cycle)(k % CYCLES);
        if (!cycle_check(g->bench->oracle, engine, &params, op, in[k / CYCLES], ETA, in[k / CYCLES]->images) ||
            !cycle_make(&cycles[k], engine, &params, op, in[k / CYCLES], ETA))
            return 0;
    }
    return 1;
}

/* Time of the stock C++ engine of IBM's aihwkit 1.1.0 for the three cycles of the four arrays, one LeNet image, one
 * thread, in units of OpenBLAS 0.3.21's time for the same products (119 us), both measured side by side on one machine
 * (AMD Zen 3, AVX2): 2463 us at BL = 1 with update management, 7317 us at BL = 10 without. Inputs as INPUTS_POOLED for
 * the convolutions and INPUTS_DENSE for the others. OpenBLAS is the bridge to the machine at hand; it holds for cores
 * with AVX2 only. */
static double peer_in_blas(int32_t bl) {
    return (bl == 1 ? 2463.0 : 7317.0) / 119.0;
}

/* ---- one whole training step against the twelve products ---- */

/* Cycles like those of the network in training, on what its arrays see; their parts are the bound of the step. */
static int step_bound(const struct goal *g, struct twelve *t, struct pairing *p, struct training *training,
                      const struct inputs seen[LENET_ARRAYS]) {
    for (size_t k = 0; k < PAIRS_MAX; k++) {
        const size_t a = k / CYCLES;
        const enum rpu_cycle op = (enum rpu_cycle)(k % CYCLES);
        const struct rpu_tile *tile = rpu_network_tile(training->network, a);
        if (a == 0 && op == RPU_CYCLE_BACKWARD) /* nobody needs it */
            continue;
        if (!cycle_make(&t->ours[k], g->bench->engine, &tile->params, op, &seen[a], ETA) ||
            !bound_add(&t->bound, p, &t->ours[k], k))
            return 0;
    }
    return 1;
}

/* Coincidences and column pulses of the images that were measured. */
static void scale_step(struct bound *b, const struct rpu_network *network) {
    for (size_t a = 0; a < LENET_ARRAYS; a++) {
        struct rpu_array_stats s;
        if (rpu_network_array_stats(network, a, &s) == RPU_OK && s.images > 0)
            bound_scale(b, a * CYCLES + RPU_CYCLE_UPDATE, (double)s.update.coincidences / (double)s.images,
                        (double)s.update.column_pulses / (double)s.images);
    }
}

static void measure_step(const struct goal *g, struct gb_state *state, struct twelve *t, struct training *training,
                         struct between *between) {
    /* a training goes on and on: its caches are its own but for the first steps of a batch */
    const struct side step = {.run = training_run, .user = training, .batch = STEP_BATCH};
    struct inputs seen[LENET_ARRAYS] = {0};
    struct pairing p = {0};
    char text[512];
    for (size_t k = 0; k < PAIRS_MAX; k++)
        pairing_add(&p, k == 0 ? step : no_side, blas_side(&t->theirs[k]));
    training_run(training, 400);
    training_capture(training, seen);
    bound_add_between(&t->bound, &p, between);
    if (!step_bound(g, t, &p, training, seen))
        bench_fail(g->bench, state, "the bound is of another update");
    else {
        rpu_network_clear_stats(training->network);
        pairing_run(&p, state, BATCH);
        const struct paired r = pairing_sum(&p);
        scale_step(&t->bound, training->network);
        const struct paired bound = bound_measured(&t->bound);
        report(state, &r, g->goal, 0, r.ratio);
        report_bound(state, 0, r.ratio, bound.ratio);
        bound_counters(&t->bound, state);
        bound_text(&t->bound, text, sizeof text);
        gb_label(state, text);
        /* Though the peer's time is without im2col, activations and pooling. */
        gb_counter(state, "times_faster_than_peer", peer_in_blas(g->bl) / r.ratio, GB_PLAIN);
    }
    pairing_free(&p);
    bound_free(&t->bound);
    for (size_t a = 0; a < LENET_ARRAYS; a++)
        inputs_free(&seen[a]);
}

static void step_row(struct gb_state *state, void *user) {
    const struct goal *g = user;
    const struct rpu_images *images = bench_images(g->bench);
    const struct inputs *trained = bench_trained(g->bench), *in[LENET_ARRAYS];
    const char *preset = g->um ? "lenet-rpu" : "lenet-rpu-nm-bm"; /* BL = 1 with update management, BL = 10 */
    struct training training = {0};
    struct twelve *t;
    struct between *between = NULL;
    uint64_t right = 0;
    if (!trained || !images) {
        bench_fail(g->bench, state, "no training images");
        return;
    }
    for (size_t a = 0; a < LENET_ARRAYS; a++)
        in[a] = &trained[a];
    t = twelve_make(in);
    if (!t)
        bench_fail(g->bench, state, "OpenBLAS gives other numbers than plain sums");
    else if (!training_check(g->bench->oracle, g->bench->engine, images, preset, 1, &right))
        bench_fail(g->bench, state, "the weights differ from the oracle's");
    else if (!training_make(&training, g->bench->engine, images, preset, 1) ||
             !(between = between_make(g->bench->engine, images, preset)))
        bench_fail(g->bench, state, "no network");
    else
        measure_step(g, state, t, &training, between);
    training_free(&training);
    if (t)
        twelve_free(t);
}

/* ---- against the peer ---- */

static void measure_peer(const struct goal *g, struct gb_state *state, struct twelve *t) {
    const double peer = peer_in_blas(g->bl);
    struct pairing p = {0};
    char text[512];
    int good = 1;
    for (size_t k = 0; k < PAIRS_MAX; k++) {
        pairing_add(&p, cycle_side(&t->ours[k]), blas_side(&t->theirs[k]));
        good = good && bound_add(&t->bound, &p, &t->ours[k], k);
    }
    if (!good)
        bench_fail(g->bench, state, "the bound is of another update");
    else {
        pairing_run(&p, state, PEER_BATCH);
        const struct paired r = pairing_sum(&p);
        for (size_t k = RPU_CYCLE_UPDATE; k < PAIRS_MAX; k += CYCLES)
            bound_scale(&t->bound, k, per_call(&t->ours[k], t->ours[k].updates.coincidences),
                        per_call(&t->ours[k], t->ours[k].updates.column_pulses));
        const struct paired bound = bound_measured(&t->bound);
        report(state, &r, g->goal, 1, peer / r.ratio);
        report_bound(state, 1, peer / r.ratio, peer / bound.ratio);
        bound_counters(&t->bound, state);
        bound_text(&t->bound, text, sizeof text);
        gb_label(state, text);
        gb_counter(state, "peer_in_blas", peer, GB_PLAIN);
    }
    pairing_free(&p);
}

static void peer_row(struct gb_state *state, void *user) {
    const struct goal *g = user;
    const struct inputs *in[LENET_ARRAYS];
    struct inputs own[LENET_ARRAYS];
    for (size_t a = 0; a < LENET_ARRAYS; a++) {
        const struct shape *s = &lenet_shapes[a];
        inputs_make(&own[a], s, s->columns > 1 ? INPUTS_POOLED : INPUTS_DENSE, 1);
        in[a] = &own[a];
    }
    struct twelve *t = twelve_make(in);
    if (!t)
        bench_fail(g->bench, state, "OpenBLAS gives other numbers than plain sums");
    else if (!twelve_cycles(t->ours, g, g->bench->engine, in))
        bench_fail(g->bench, state, "the result differs from the oracle's");
    else
        measure_peer(g, state, t);
    if (t)
        twelve_free(t);
    for (size_t a = 0; a < LENET_ARRAYS; a++)
        inputs_free(&own[a]);
}

/* ---- hand-written kernels against the compiler's vectors ---- */

static void measure_handwritten(const struct goal *g, struct gb_state *state, struct twelve *t) {
    struct pairing p = {0};
    double logs = 0.0;
    for (size_t k = 0; k < PAIRS_MAX; k++)
        pairing_add(&p, cycle_side(&t->ours[k]), cycle_side(&t->other[k]));
    pairing_run(&p, state, BATCH);
    const struct paired sum = pairing_sum(&p);
    for (size_t k = 0; k < PAIRS_MAX; k++) {
        char name[64];
        const struct paired r = pairing_one(&p, k);
        snprintf(name, sizeof name, "%s_%s", cycle_names[k % CYCLES], lenet_shapes[k / CYCLES].name);
        gb_counter(state, name, 1.0 / r.ratio, GB_PLAIN);
        logs -= log(r.ratio);
    }
    pairing_free(&p);
    report(state, &sum, g->goal, 1, exp(logs / PAIRS_MAX));
    gb_label(state, rpu_engine_isa(g->bench->engine));
}

static void handwritten_row(struct gb_state *state, void *user) {
    const struct goal *g = user;
    const struct inputs *trained = bench_trained(g->bench), *in[LENET_ARRAYS];
    if (!trained) {
        bench_fail(g->bench, state, "no training images");
        return;
    }
    if (!g->bench->autovec || strcmp(rpu_engine_isa(g->bench->engine), "autovec") == 0) {
        bench_skip(state, "no hand-written kernels to compare");
        return;
    }
    struct twelve *t = room(sizeof *t);
    for (size_t a = 0; a < LENET_ARRAYS; a++)
        in[a] = &trained[a];
    if (!twelve_cycles(t->ours, g, g->bench->engine, in) || !twelve_cycles(t->other, g, g->bench->autovec, in))
        bench_fail(g->bench, state, "the result differs from the oracle's");
    else
        measure_handwritten(g, state, t);
    twelve_free(t);
}

/* ---- Gaussians ---- */

enum { GAUSSIANS = 48 * 64 };

struct gaussians {
    const struct rpu_kernels *k;
    struct rpu_stream stream;
    float *out;
};

static void gaussians_run(void *user, uint64_t n) {
    struct gaussians *g = user;
    for (uint64_t k = 0; k < n; k++) {
        g->stream.ctr[1]++;
        g->k->gaussian(&g->stream, 0, GAUSSIANS, g->out);
    }
}

/* The other side is the clock: one call takes this many cycles. */
enum { CLOCK_CYCLES = 3000 };

static void clock_run(void *user, uint64_t n) {
    (void)user;
    for (uint64_t k = 0; k < n; k++)
        clock_cycles(CLOCK_CYCLES);
}

static void gaussian_row(struct gb_state *state, void *user) {
    const struct goal *g = user;
    struct gaussians ours = {&g->bench->engine->table.k, {{1, 2}, {0, 3, 4, 5}}, room(GAUSSIANS * sizeof(float))};
    struct gaussians right = {&g->bench->oracle->table.k, ours.stream, room(GAUSSIANS * sizeof(float))};
    const struct side a = {.run = gaussians_run, .user = &ours}, b = {.run = clock_run};
    struct pairing p = {0};
    gaussians_run(&ours, 1);
    gaussians_run(&right, 1);
    if (memcmp(ours.out, right.out, GAUSSIANS * sizeof(float)) != 0)
        bench_fail(g->bench, state, "the result differs from the oracle's");
    else if (!clock_is_known())
        bench_skip(state, "no chain of known latency for this processor");
    else {
        pairing_add(&p, a, b);
        pairing_run(&p, state, BATCH);
        const struct paired r = pairing_sum(&p);
        report(state, &r, g->goal, 0, r.ratio * CLOCK_CYCLES / GAUSSIANS);
        gb_counter(state, "cycles_each", r.ratio * CLOCK_CYCLES / GAUSSIANS, GB_PLAIN);
        gb_counter(state, "ns_each", r.a_ns / GAUSSIANS, GB_PLAIN);
        gb_counter(state, "clock_ghz", CLOCK_CYCLES / r.b_ns, GB_PLAIN);
    }
    pairing_free(&p);
    free(ours.out);
    free(right.out);
}

/* ---- the list ---- */

static void add(struct bench *b, gb_fn *fn, const struct goal *row) {
    static struct goal goals[MAX_GOALS];
    static size_t count;
    const int is_long = row->shape.out >= 2048 || fn == peer_row;
    const struct gb_options options = {.unit = GB_MICROSECOND,
                                       .manual_time = 1,
                                       .iterations = b->quick  ? alternations_quick
                                                     : is_long ? alternations_long
                                                               : alternations};
    if (b->quick && strcmp(row->name, "goal/gaussian") != 0 && strcmp(row->shape.name, "W3") != 0)
        return;
    if (count == MAX_GOALS)
        abort();
    goals[count] = *row;
    goals[count].bench = b;
    gb_register(goals[count].name, fn, &goals[count], &options);
    count++;
}

static void add_array(struct bench *b, struct goal g, const char *what) {
    snprintf(g.name, sizeof g.name, "goal/%s/%s/%ux%u/cols:%u", what, g.shape.name, g.shape.out, g.shape.in,
             g.shape.columns);
    add(b, array_row, &g);
}

static void add_lenet(struct bench *b) {
    static const double goals[CYCLES][LENET_ARRAYS] = {
        {1.3, 1.0, 0.95, 1.0}, {1.8, 1.5, 1.1, 2.2}, {1.8, 1.8, 1.3, 1.1}};
    for (size_t op = 0; op < CYCLES; op++)
        for (size_t a = 0; a < LENET_ARRAYS; a++)
            add_array(b,
                      (struct goal){.shape = lenet_shapes[a],
                                    .op = (enum rpu_cycle)op,
                                    .bl = 1,
                                    .um = 1,
                                    .recipe = op == RPU_CYCLE_UPDATE ? RECIPE_TRAINED : RECIPE_NORMAL,
                                    .goal = goals[op][a]},
                      cycle_names[op]);
}

static void add_squares(struct bench *b) {
    for (uint32_t side = 512; side <= 4096; side *= 2)
        for (int op = RPU_CYCLE_FORWARD; op <= RPU_CYCLE_BACKWARD; op++)
            add_array(b,
                      (struct goal){.shape = {.name = "square", .out = side, .in = side, .columns = 1},
                                    .op = (enum rpu_cycle)op,
                                    .bl = 1,
                                    .um = 1,
                                    .goal = op == RPU_CYCLE_FORWARD ? 1.05 : 1.10},
                      cycle_names[op]);
}

static void add_dense_updates(struct bench *b) {
    const struct shape middle = {.name = "dense", .out = 1024, .in = 1024, .columns = 1},
                       large = {.name = "dense", .out = 4096, .in = 4096, .columns = 1};
    const enum rpu_cycle op = RPU_CYCLE_UPDATE;
    add_array(b, (struct goal){.shape = middle, .op = op, .bl = 1, .um = 1, .goal = 1.5}, "update");
    add_array(b, (struct goal){.shape = middle, .op = op, .recipe = RECIPE_STRONG, .bl = 1, .um = 1, .goal = 1.5},
              "update-every-row");
    add_array(b, (struct goal){.shape = large, .op = op, .bl = 1, .um = 1, .goal = 1.5}, "update");
    add_array(b, (struct goal){.shape = large, .op = op, .bl = 10, .um = 0, .goal = 2.0}, "update-bl10");
}

void goal_register(struct bench *b) {
    add(b, gaussian_row, &(struct goal){.name = "goal/gaussian", .goal = 2.4});
    add_lenet(b);
    add_squares(b);
    add_dense_updates(b);
    add(b, step_row, &(struct goal){.name = "goal/step/bl:1/um", .bl = 1, .um = 1, .goal = 1.5});
    add(b, step_row, &(struct goal){.name = "goal/step/bl:10", .bl = 10, .um = 0, .goal = 2.5});
    add(b, peer_row, &(struct goal){.name = "goal/aihwkit/bl:1/um", .bl = 1, .um = 1, .goal = 12.0});
    add(b, peer_row, &(struct goal){.name = "goal/aihwkit/bl:10", .bl = 10, .um = 0, .goal = 25.0});
    add(b, handwritten_row, &(struct goal){.name = "goal/autovec", .bl = 1, .um = 1, .goal = 1.5});
}
