/* SPDX-License-Identifier: Apache-2.0 */
/* Whole cycles of arrays with the full analog periphery, by teams of threads:
 *   cycle/<forward|backward>/<variant>/<out>x<in>/cols:<n>/team:<t>/<hot|cold>
 *   cycle/update/<variant>/<out>x<in>/cols:<n>/team:<t>/bl:<n>/d:<sparse|dense|trained>/<hot|cold>
 * Each is compared with the oracle, bit for bit, before it is timed; of large arrays with many columns the first
 * columns are. Devices, weights and inputs come from fixed seeds. The device parameters are of a seed's own, drawn once
 * for all rows of a shape; weights are put back before each row. Updates move them towards their bounds meanwhile,
 * which changes no work. d:trained: what LeNet's arrays see in training. */
#include "amount.h"
#include "array_work.h"
#include "engine.h"
#include "machine.h"
#include "small.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where an image has more crosspoints times columns, the oracle's own kernels are not measured. */
enum { GENERIC_MOST = 1 << 20 };

static const char *const cycle_names[CYCLES] = {"forward", "backward", "update"};

/* Inputs and errors. */
enum kind { SPARSE, DENSE, TRAINED, KINDS };

static const char *const kind_names[KINDS] = {"sparse", "dense", "trained"};

/* What the rows of a shape and team share. */
struct stage {
    struct shape shape;
    int team;
    struct rpu_array *array;
    float **w0; /* weights of each tile at the start */
    struct inputs own[TRAINED];
    const struct inputs *in[KINDS]; /* own, and what bench_trained gives */
};

struct array_bench {
    struct stage stage;
};

/* A registered benchmark. */
struct entry {
    struct bench *bench;
    struct shape shape;
    enum rpu_cycle op;
    const char *isa;
    int team;
    int32_t bl;
    enum kind kind; /* of an update */
    int cold, checked;
};

/* ---- the stage ---- */

static void free_stage(struct stage *s) {
    for (size_t t = 0; s->w0 && t < rpu_array_tiles(s->array); t++)
        free(s->w0[t]);
    free(s->w0);
    rpu_array_destroy(s->array);
    for (size_t k = 0; k < TRAINED; k++)
        inputs_free(&s->own[k]);
    *s = (struct stage){.array = NULL};
}

static int make_stage(struct stage *s, struct bench *b, const struct shape *shape, int team) {
    struct rpu_tile_params params;
    struct rpu_error err;
    params_make(&params, 1, 1);
    free_stage(s);
    if (rpu_array_create(&s->array, bench_engine(b, bench_best(b), team), &params, shape->out, shape->in,
                         shape->in > 1 ? shape->in - 1 : 1, 1, 0, 1, &err) != RPU_OK) {
        fprintf(stderr, "rpubench-bench: %s\n", err.message);
        return 0;
    }
    s->shape = *shape;
    s->team = team;
    s->w0 = room(rpu_array_tiles(s->array) * sizeof *s->w0);
    for (size_t t = 0; t < rpu_array_tiles(s->array); t++) {
        const struct rpu_tile *tile = s->array->tiles[t];
        s->w0[t] = room(tile->m * tile->ldw * sizeof *tile->w);
        memcpy(s->w0[t], tile->w, tile->m * tile->ldw * sizeof *tile->w);
    }
    inputs_make(&s->own[SPARSE], shape, shape->columns > 1 ? INPUTS_POOLED : INPUTS_SPARSE, 1);
    inputs_make(&s->own[DENSE], shape, INPUTS_DENSE, 1);
    for (size_t k = 0; k < TRAINED; k++)
        s->in[k] = &s->own[k];
    s->in[TRAINED] = bench_trained_for(b, shape);
    return 1;
}

/* The array as the row wants it: weights of the start, its kernels and its bit length. */
static struct stage *stage_for(const struct entry *e) {
    struct stage *s = &e->bench->arrays->stage;
    const struct rpu_engine *engine = bench_engine(e->bench, e->isa, e->team);
    if (!s->array || s->team != e->team || memcmp(&s->shape, &e->shape, sizeof e->shape) != 0)
        if (!make_stage(s, e->bench, &e->shape, e->team))
            return NULL;
    for (size_t t = 0; t < rpu_array_tiles(s->array); t++) {
        struct rpu_tile *tile = s->array->tiles[t];
        memcpy(tile->w, s->w0[t], tile->m * tile->ldw * sizeof *tile->w);
        tile->k = &engine->table.k;
        if (e->op == RPU_CYCLE_UPDATE)
            tile->params.update = (struct rpu_update_params){.bl = e->bl, .um = e->bl == 1};
    }
    return s;
}

/* ---- amounts ---- */

static struct amount amount_of(const struct entry *e, const struct array_work *w, double coincidences) {
    const struct inputs *in = w->in;
    const struct cycle_load load = {in->m, in->n, in->columns, inputs_errors(in), coincidences};
    struct amount a = cycle_amount(e->op, &w->array->tiles[0]->params, &load);
    a.cold = e->cold;
    return a;
}

/* ---- the benchmark ---- */

struct loop {
    struct gb_state *state;
    struct array_work *work;
};

static enum rpu_status run_hot(void *context) {
    const struct loop *l = context;
    array_work_run(l->work, 2);
    gb_loop(l->state, array_work_run, l->work);
    return RPU_OK;
}

static enum rpu_status run_cold(void *context) {
    const struct loop *l = context;
    while (gb_keep_running(l->state, 1)) {
        array_work_flush(l->work);
        const double start = rpu_now();
        array_work_run(l->work, 1);
        gb_iteration_time(l->state, rpu_now() - start);
    }
    return RPU_OK;
}

static void report(const struct entry *e, struct gb_state *state, const struct array_work *w, uint32_t checked) {
    const struct array_counts c = array_work_counts(w);
    const double images = w->image;
    const struct amount a = amount_of(e, w, (double)c.updates.coincidences / images);
    char text[96], level[16];
    if (e->op == RPU_CYCLE_UPDATE) {
        gb_counter(state, "row_pulses", (double)c.updates.row_pulses / images, GB_PLAIN);
        gb_counter(state, "column_pulses", (double)c.updates.column_pulses / images, GB_PLAIN);
        gb_counter(state, "coincidences", (double)c.updates.coincidences / images, GB_PLAIN);
    } else
        gb_counter(state, "rereads", (double)c.reads.rereads / images, GB_PLAIN);
    machine_report(e->bench, state, &a, 1, e->team, level);
    snprintf(text, sizeof text, "%s; %s; checked: %u of %u columns", e->cold ? "cold" : "hot", level, checked,
             e->shape.columns);
    gb_label(state, text);
}

static void array_row(struct gb_state *state, void *user) {
    struct entry *e = user;
    struct stage *s = stage_for(e);
    const struct rpu_engine *engine = bench_engine(e->bench, e->isa, e->team);
    const enum kind kind = e->op == RPU_CYCLE_UPDATE ? e->kind : e->shape.columns > 1 ? SPARSE : DENSE;
    struct array_work w;
    struct loop l = {state, &w};
    if (!s || !s->in[kind]) {
        bench_fail(e->bench, state, s ? "no training images" : "no array");
        return;
    }
    array_work_make(&w, e->op, s->array, s->in[kind], engine);
    if (!e->checked && !array_work_check(&w, e->bench->oracle, shape_checked(&e->shape)))
        bench_fail(e->bench, state, "the result differs from the oracle's");
    else {
        e->checked = 1;
        rpu_sched_team(engine->sched, e->cold ? run_cold : run_hot, &l);
        report(e, state, &w, shape_checked(&e->shape));
    }
    array_work_free(&w);
}

/* ---- the list ---- */

static void add(struct bench *b, const struct entry *row) {
    const struct gb_options options = {.unit = GB_MICROSECOND, .manual_time = row->cold};
    struct entry *e = bench_keep(b, sizeof *e);
    char name[192], pulses[48] = "";
    *e = *row;
    e->bench = b;
    if (e->op == RPU_CYCLE_UPDATE)
        snprintf(pulses, sizeof pulses, "/bl:%d/d:%s", e->bl, kind_names[e->kind]);
    snprintf(name, sizeof name, "cycle/%s/%s/%ux%u/cols:%u/team:%d%s/%s", cycle_names[e->op], e->isa, e->shape.out,
             e->shape.in, e->shape.columns, e->team, pulses, e->cold ? "cold" : "hot");
    gb_register(name, array_row, e, &options);
}

/* A cycle hot, and with the best variant and one thread cold, where an image passes the weights only once. */
static void add_hot_and_cold(struct bench *b, struct entry e) {
    const int best = strcmp(e.isa, bench_best(b)) == 0;
    add(b, &e);
    e.cold = 1;
    if (best && e.team == 1 && e.shape.columns == 1 && machine_flushes() && !(e.op == RPU_CYCLE_UPDATE && e.bl > 1))
        add(b, &e);
}

static int is_quick(int32_t bl, enum kind kind) {
    return bl == 1 ? kind != DENSE : bl == 10 && kind == DENSE;
}

static void add_updates(struct bench *b, struct entry e) {
    static const int32_t lengths[] = {1, 10, 31};
    const int kinds = lenet_array(&e.shape) >= 0 ? KINDS : TRAINED;
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++)
        for (int kind = 0; kind < kinds; kind++) {
            e.bl = lengths[k];
            e.kind = (enum kind)kind;
            if (!b->quick || is_quick(e.bl, e.kind))
                add_hot_and_cold(b, e);
        }
}

/* Every cycle, with every variant by one thread and with the best one by teams. */
static void add_shape(struct bench *b, const struct shape *shape, int team) {
    for (int op = 0; op < CYCLES; op++)
        for (size_t v = 0; v < b->n_isas; v++) {
            const struct entry e = {
                .shape = *shape, .op = (enum rpu_cycle)op, .isa = b->isas[v], .team = team, .bl = 1};
            if (team > 1 && (v + 1 < b->n_isas || !array_work_divides(e.op, shape, team)))
                continue;
            if (strcmp(e.isa, "generic") == 0 &&
                (b->quick || (uint64_t)shape->out * shape->in * shape->columns > GENERIC_MOST))
                continue;
            if (e.op == RPU_CYCLE_UPDATE)
                add_updates(b, e);
            else
                add_hot_and_cold(b, e);
        }
}

int array_quick(const struct shape *s) {
    static const char *const names[] = {"K2", "W3", "S1024"};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
        if (strcmp(s->name, names[k]) == 0)
            return 1;
    return 0;
}

/* Whether one of the first n shapes is the same: networks and squares meet. */
static int had(const struct shape *shapes, size_t n, const struct shape *s) {
    for (size_t k = 0; k < n; k++)
        if (shapes[k].out == s->out && shapes[k].in == s->in && shapes[k].columns == s->columns)
            return 1;
    return 0;
}

enum { SHAPES_MOST = 256 };

size_t array_shapes(const struct bench *b, struct shape **shapes) {
    static const char *const files[] = {"shapes_lenet.txt", "shapes_alexnet.txt", "shapes_square.txt"};
    struct shape *all = *shapes = room(SHAPES_MOST * sizeof *all);
    size_t n = 0;
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        struct shape *of;
        const size_t count = bench_shapes(b, files[f], &of);
        for (size_t s = 0; s < count; s++)
            if ((!b->quick || array_quick(&of[s])) && !had(all, n, &of[s]) && n < SHAPES_MOST)
                all[n++] = of[s];
        free(of);
        if (count == 0)
            return 0;
    }
    return n;
}

int array_register(struct bench *b) {
    struct shape *shapes;
    const size_t count = array_shapes(b, &shapes);
    b->arrays = room(sizeof *b->arrays);
    for (size_t s = 0; s < count; s++)
        for (size_t t = 0; t < b->n_teams; t++)
            add_shape(b, &shapes[s], b->teams[t]);
    free(shapes);
    return count > 0;
}

void array_free(struct bench *b) {
    if (b->arrays)
        free_stage(&b->arrays->stage);
    free(b->arrays);
    b->arrays = NULL;
}
