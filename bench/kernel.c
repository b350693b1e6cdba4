/* SPDX-License-Identifier: Apache-2.0 */
/* Every variant of a kernel alone, hot, over the shape files:
 *   kernel/<operation>/<variant>/<out>x<in>/cols:<n>/team:1
 * Each is compared with the generic variant, bit for bit, before it is timed. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A kernel with its inputs and outputs. */
struct work {
    const struct rpu_kernels *k;
    struct inputs in;
    struct rpu_stream stream, ties;
    float *w;
    size_t ldw;
    uint16_t *hi, *lo;
    float *scratch;
    uint32_t *saturated;
    struct rpu_output_stage stage;
    struct cycle cycle; /* pulse */
    void *out;
    size_t out_bytes;
    uint64_t returned; /* what the kernel returned or counted last */
};

struct operation {
    const char *name;
    int vector; /* 1: the shapes are lengths */
    void (*make)(struct work *w);
    void (*run)(struct work *w);
    double flops; /* for each crosspoint or element */
};

/* A registered benchmark. */
struct entry {
    struct bench *bench;
    struct kernel_bench *all;
    const struct rpu_engine *engine;
    const struct operation *operation;
    struct shape shape;
    struct entry *next;
};

struct kernel_bench {
    struct bench *bench;
    struct rpu_engine *engines[8];
    size_t n_engines;
    struct entry *entries;
    const struct entry *made; /* whose work is there */
    struct work work;
};

/* ---- the operations ---- */

static void make_out(struct work *w, size_t bytes) {
    w->out = room(bytes);
    w->out_bytes = bytes;
}

static void make_vector(struct work *w) {
    make_out(w, (size_t)w->in.n * sizeof(float));
}

static void run_philox(struct work *w) {
    w->k->philox(&w->stream, 0, w->in.n / 4, w->out);
}

static void run_gaussian(struct work *w) {
    w->k->gaussian(&w->stream, 0, w->in.n, w->out);
}

static void make_bernoulli(struct work *w) {
    w->hi = room(w->in.n * sizeof *w->hi);
    w->lo = room(w->in.n * sizeof *w->lo);
    w->k->threshold(w->in.n, 0.7f, w->in.x, w->hi, w->lo);
    make_out(w, ((size_t)w->in.n + 63) / 64 * sizeof(uint64_t));
}

static void run_bernoulli(struct work *w) {
    w->returned = w->k->bernoulli(&w->stream, &w->ties, 0, w->in.n, w->hi, w->lo, w->out);
}

static void run_tanh(struct work *w) {
    w->k->tanh(w->in.n, w->in.x, w->out);
}

static void make_weights(struct work *w) {
    uint64_t rng = 3;
    w->ldw = rpu_padded(w->in.n);
    w->w = room(w->in.m * w->ldw * sizeof *w->w);
    w->scratch = room(rpu_forward_scratch(w->in.m, w->in.n) * sizeof *w->scratch);
    for (size_t i = 0; i < w->in.m * w->ldw; i++)
        w->w[i] = (float)(0.2 * random_unit(&rng) - 0.1);
}

static void make_forward(struct work *w) {
    make_weights(w);
    make_out(w, (size_t)w->in.columns * w->in.m * sizeof(float));
}

static void run_forward(struct work *w) {
    w->k->forward(w->in.m, w->in.n, w->in.columns, w->w, w->ldw, w->in.x, w->in.ldx, w->out, w->in.m, w->scratch);
}

static void make_backward(struct work *w) {
    make_weights(w);
    make_out(w, (size_t)w->in.columns * w->ldw * sizeof(float));
}

static void run_backward(struct work *w) {
    w->k->backward(w->in.m, w->in.n, w->in.columns, w->w, w->ldw, w->in.d, w->in.ldd, w->out, w->ldw);
}

static void make_epilogue(struct work *w) {
    w->saturated = room(w->in.columns * sizeof *w->saturated);
    w->stage = (struct rpu_output_stage){
        .stream = w->stream, .sigma = 0.06f, .bound = 12.0f, .steps = 255.0f / 12.0f, .step = 0.047f};
    make_out(w, (size_t)w->in.columns * w->in.m * sizeof(float));
}

static void run_epilogue(struct work *w) {
    w->k->epilogue(w->in.columns, w->in.m, w->out, w->in.m, &w->stage, 0, NULL, w->saturated);
}

/* The array is made for the engine in make_work; weights are the output. */
static void make_pulse(struct work *w) {
    const struct rpu_tile *t = w->cycle.tile;
    rpu_update_gains(t, w->in.columns, w->in.x, w->in.ldx, w->in.d, w->in.ldd, 0.01f, &w->cycle.gains);
    w->out_bytes = t->m * t->ldw * sizeof *t->w;
}

static void run_pulse(struct work *w) {
    const struct rpu_block where = {w->cycle.image++, 0, w->in.columns, 0};
    rpu_tile_update_rows(w->cycle.tile, &where, w->in.x, w->in.ldx, w->in.d, w->in.ldd, 0.01f, &w->cycle.gains, 0,
                         w->in.m, w->cycle.scratch, &w->cycle.updates);
    w->returned = w->cycle.updates.coincidences;
}

static const struct operation operations[] = {
    {"philox", 1, make_vector, run_philox, 0},          {"gaussian", 1, make_vector, run_gaussian, 0},
    {"bernoulli", 1, make_bernoulli, run_bernoulli, 0}, {"tanh", 1, make_vector, run_tanh, 0},
    {"forward", 0, make_forward, run_forward, 2},       {"backward", 0, make_backward, run_backward, 2},
    {"epilogue", 0, make_epilogue, run_epilogue, 0},    {"pulse", 0, make_pulse, run_pulse, 0},
};

/* ---- making and checking ---- */

static void free_work(struct work *w) {
    if (!w->cycle.tile)
        free(w->out);
    else
        cycle_free(&w->cycle);
    inputs_free(&w->in);
    free(w->w);
    free(w->hi);
    free(w->lo);
    free(w->scratch);
    free(w->saturated);
    *w = (struct work){0};
}

static int make_work(struct work *w, const struct entry *e, const struct rpu_engine *engine) {
    *w = (struct work){.k = &engine->table.k, .stream = {{1, 2}, {0, 3, 4, 5}}, .ties = {{6, 7}, {0, 3, 4, 5}}};
    inputs_make(&w->in, &e->shape, e->shape.columns > 1 ? INPUTS_POOLED : INPUTS_DENSE, 1);
    if (strcmp(e->operation->name, "pulse") == 0) {
        struct rpu_tile_params params;
        params_make(&params, 1, 1);
        if (!cycle_make(&w->cycle, engine, &params, RPU_CYCLE_UPDATE, &w->in, 0.01f))
            return 0;
    }
    e->operation->make(w);
    return 1;
}

static const void *output_of(const struct work *w) {
    return w->cycle.tile ? w->cycle.tile->w : w->out;
}

static int same_after_a_call(const struct entry *e, struct work *right, struct work *w) {
    e->operation->run(right);
    e->operation->run(w);
    return right->returned == w->returned && memcmp(output_of(right), output_of(w), w->out_bytes) == 0;
}

/* Makes the work of an entry, having compared its first calls with the oracle's: first without the output converter,
 * which would hide small differences, then as it is timed. */
static int ready(struct entry *e) {
    struct work right = {0}, *w = &e->all->work;
    int good;
    if (e->all->made == e)
        return 1;
    free_work(w);
    e->all->made = NULL;
    good = make_work(&right, e, e->bench->oracle) && make_work(w, e, e->engine);
    if (good) {
        const float steps = w->stage.steps;
        w->stage.steps = right.stage.steps = 0.0f;
        good = same_after_a_call(e, &right, w);
        w->stage.steps = right.stage.steps = steps;
        good = good && same_after_a_call(e, &right, w);
    }
    free_work(&right);
    if (good)
        e->all->made = e;
    return good;
}

/* ---- the benchmark ---- */

struct loop {
    struct work *work;
    void (*run)(struct work *w);
};

static void loop_run(void *user, uint64_t n) {
    const struct loop *l = user;
    for (uint64_t k = 0; k < n; k++)
        l->run(l->work);
}

static void kernel_row(struct gb_state *state, void *user) {
    struct entry *e = user;
    struct loop l = {&e->all->work, e->operation->run};
    const double outputs = (double)e->shape.out * e->shape.columns;
    const double elements = e->operation->run == run_epilogue ? outputs : outputs * e->shape.in;
    if (!ready(e)) {
        bench_fail(e->bench, state, "the result differs from the oracle's");
        return;
    }
    gb_loop(state, loop_run, &l);
    gb_items(state, elements);
    if (e->operation->flops > 0)
        gb_counter(state, "flops", e->operation->flops * elements, GB_EACH_ITERATION | GB_RATE);
    if (l.work->cycle.tile)
        gb_counter(state, "coincidences", (double)l.work->returned / l.work->cycle.image, GB_PLAIN);
    gb_label(state, "hot");
}

/* ---- the list ---- */

static int has_variant(const struct rpu_engine *engine, const char *kernel) {
    for (size_t i = 0; i < rpu_engine_kernel_count(engine); i++)
        if (strcmp(rpu_engine_kernel_name(engine, i), kernel) == 0)
            return strcmp(rpu_engine_kernel_variant(engine, i), rpu_engine_isa(engine)) == 0;
    return 0;
}

static void add(struct kernel_bench *all, const struct operation *o, const struct rpu_engine *engine,
                const struct shape *shape) {
    char name[160];
    struct entry *e;
    if (!has_variant(engine, o->name))
        return;
    e = room(sizeof *e);
    *e = (struct entry){all->bench, all, engine, o, *shape, all->entries};
    all->entries = e;
    snprintf(name, sizeof name, "kernel/%s/%s/%ux%u/cols:%u/team:1", o->name, rpu_engine_isa(engine), shape->out,
             shape->in, shape->columns);
    gb_register(name, kernel_row, e, NULL);
}

static int add_file(struct kernel_bench *all, const char *file, int vector) {
    char path[4096];
    struct shape *shapes;
    snprintf(path, sizeof path, "%s/%s", all->bench->shapes, file);
    const size_t count = shapes_read(path, &shapes);
    for (size_t o = 0; o < sizeof operations / sizeof operations[0]; o++)
        for (size_t s = 0; s < count && operations[o].vector == vector; s++)
            for (size_t v = 0; v < all->n_engines; v++)
                add(all, &operations[o], all->engines[v], &shapes[s]);
    free(shapes);
    return count > 0;
}

int kernel_register(struct bench *b) {
    struct kernel_bench *all = b->kernels = room(sizeof *all);
    all->bench = b;
    for (size_t i = 0; i < rpu_isa_count() && i < 8; i++)
        if (rpu_engine_create(&all->engines[all->n_engines], rpu_isa_name(i), 1, NULL) == RPU_OK)
            slow_down(all->engines[all->n_engines++], b->slow);
    return add_file(all, "shapes_vector.txt", 1) && add_file(all, "shapes_lenet.txt", 0) &&
           add_file(all, "shapes_square.txt", 0);
}

void kernel_free(struct bench *b) {
    struct kernel_bench *all = b->kernels;
    if (!all)
        return;
    free_work(&all->work);
    for (struct entry *e = all->entries, *next; e; e = next) {
        next = e->next;
        free(e);
    }
    for (size_t i = 0; i < all->n_engines; i++)
        rpu_engine_destroy(all->engines[i]);
    free(all);
    b->kernels = NULL;
}
