/* SPDX-License-Identifier: Apache-2.0 */
/* What others do with the same shapes:
 *   baseline/<forward|backward|update>/openblas/<out>x<in>/cols:<n>/team:<t>/<hot|cold>   bare products, no periphery
 *   baseline/philox/random123/1x<n>/cols:1/team:1/hot                                     Random123's own Philox
 * A product is compared with plain sums in double precision at a hundred places, random words with the oracle's, before
 * they are timed. */
#include "bench.h"
#include "engine.h"
#include "machine.h"
#include "small.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef RPU_BENCH_RANDOM123
#include <Random123/philox.h>
#endif

#define ETA 0.01f

static const char *const cycle_names[CYCLES] = {"forward", "backward", "update"};

/* A registered benchmark. */
struct product {
    struct bench *bench;
    struct shape shape;
    enum rpu_cycle op;
    int team, cold;
};

/* The product that is there. */
struct baseline_bench {
    const struct product *made;
    struct inputs in;
    struct yardstick y;
};

/* ---- products ---- */

static void free_product(struct baseline_bench *all) {
    yardstick_free(&all->y);
    inputs_free(&all->in);
    all->made = NULL;
}

/* Makes and checks a product, unless it is there. */
static struct yardstick *ready(const struct product *p) {
    struct baseline_bench *all = p->bench->baseline;
    if (all->made != p) {
        free_product(all);
        inputs_make(&all->in, &p->shape, INPUTS_DENSE, 1);
        if (!yardstick_make(&all->y, p->op, &all->in, ETA))
            return NULL;
        all->made = p;
    }
    return &all->y;
}

static void flush(const struct yardstick *y) {
    const size_t side = y->m > y->n ? y->m : y->n, vectors = (size_t)y->columns * y->images;
    machine_flush(y->w, (size_t)y->m * y->n * sizeof *y->w);
    machine_flush(y->x, vectors * y->n * sizeof *y->x);
    machine_flush(y->d, vectors * y->m * sizeof *y->d);
    machine_flush(y->out, y->columns * side * sizeof *y->out);
}

static void run(const struct product *p, struct gb_state *state, struct yardstick *y) {
    yardstick_run(y, 2);
    if (!p->cold)
        gb_loop(state, yardstick_run, y);
    while (p->cold && gb_keep_running(state, 1)) {
        flush(y);
        const double start = rpu_now();
        yardstick_run(y, 1);
        gb_iteration_time(state, rpu_now() - start);
    }
}

static struct amount amount_of(const struct product *p) {
    const double m = p->shape.out, n = p->shape.in, columns = p->shape.columns;
    struct amount a = {.crosspoints = m * n * columns, .flops = 2.0 * m * n * columns, .cold = p->cold};
    a.writes = p->op == RPU_CYCLE_UPDATE;
    a.bytes = a.set = sizeof(float) * (m * n + columns * (m + n));
    a.bytes += a.writes ? sizeof(float) * m * n : 0.0;
    return a;
}

static void product_row(struct gb_state *state, void *user) {
    const struct product *p = user;
    const struct amount a = amount_of(p);
    struct yardstick *y;
    char text[96], level[16];
    openblas_set_num_threads(p->team);
    y = ready(p);
    if (!y)
        bench_fail(p->bench, state, "OpenBLAS gives other numbers than plain sums");
    else {
        run(p, state, y);
        machine_report(p->bench, state, &a, 1, p->team, level);
        snprintf(text, sizeof text, "%s; %s; %s", p->cold ? "cold" : "hot", level, yardstick_layout(y));
        gb_label(state, text);
    }
    openblas_set_num_threads(1);
}

static void add_product(struct bench *b, const struct product *row) {
    const struct gb_options options = {.unit = GB_MICROSECOND, .manual_time = row->cold};
    struct product *p = bench_keep(b, sizeof *p);
    char name[160];
    *p = *row;
    p->bench = b;
    snprintf(name, sizeof name, "baseline/%s/openblas/%ux%u/cols:%u/team:%d/%s", cycle_names[p->op], p->shape.out,
             p->shape.in, p->shape.columns, p->team, p->cold ? "cold" : "hot");
    gb_register(name, product_row, p, &options);
}

static void add_shape(struct bench *b, const struct shape *shape) {
    for (size_t t = 0; t < b->n_teams; t++)
        for (int op = 0; op < CYCLES; op++)
            for (int cold = 0; cold <= (b->teams[t] == 1 && shape->columns == 1 && machine_flushes()); cold++)
                add_product(
                    b, &(struct product){.shape = *shape, .op = (enum rpu_cycle)op, .team = b->teams[t], .cold = cold});
}

/* ---- random numbers ---- */

#ifdef RPU_BENCH_RANDOM123
struct words {
    struct bench *bench;
    uint32_t count;
    struct rpu_stream stream;
    uint32_t *out;
};

static void words_run(void *user, uint64_t n) {
    const struct words *w = user;
    const philox4x32_key_t key = {{w->stream.key[0], w->stream.key[1]}};
    for (uint64_t k = 0; k < n; k++)
        for (uint32_t block = 0; block < w->count / 4; block++) {
            const philox4x32_ctr_t counter = {
                {w->stream.ctr[0] + block, w->stream.ctr[1], w->stream.ctr[2], w->stream.ctr[3]}};
            const philox4x32_ctr_t four = philox4x32_R(10, counter, key);
            memcpy(w->out + (size_t)block * 4, four.v, sizeof four.v);
        }
}

static void words_row(struct gb_state *state, void *user) {
    struct words *w = user;
    uint32_t *right = room(w->count * sizeof *right);
    const struct amount a = {.bytes = (double)w->count * sizeof *w->out, .set = (double)w->count * sizeof *w->out};
    char level[16];
    w->out = room(w->count * sizeof *w->out);
    w->bench->oracle->table.k.philox(&w->stream, 0, w->count / 4, right);
    words_run(w, 1);
    if (memcmp(right, w->out, w->count / 4 * 4 * sizeof *right) != 0)
        bench_fail(w->bench, state, "Random123 gives other words than the oracle");
    else {
        gb_loop(state, words_run, w);
        gb_items(state, w->count / 4 * 4);
        machine_report(w->bench, state, &a, 1, 1, level);
        gb_label(state, "hot; philox4x32-10");
    }
    free(right);
    free(w->out);
}

static int add_words(struct bench *b) {
    struct shape *shapes;
    const size_t count = bench_shapes(b, "shapes_vector.txt", &shapes);
    for (size_t s = 0; s < count; s++) {
        struct words *w = bench_keep(b, sizeof *w);
        char name[96];
        *w = (struct words){b, shapes[s].in, {{1, 2}, {0, 3, 4, 5}}, NULL};
        snprintf(name, sizeof name, "baseline/philox/random123/1x%u/cols:1/team:1/hot", w->count);
        if (!b->quick || w->count == QUICK_LENGTH)
            gb_register(name, words_row, w, NULL);
    }
    free(shapes);
    return count > 0;
}
#else
static int add_words(struct bench *b) {
    (void)b;
    return 1;
}
#endif

int baseline_register(struct bench *b) {
    struct shape *shapes;
    const size_t count = array_shapes(b, &shapes);
    b->baseline = room(sizeof *b->baseline);
    for (size_t s = 0; s < count; s++)
        add_shape(b, &shapes[s]);
    free(shapes);
    return count > 0 && add_words(b);
}

void baseline_free(struct bench *b) {
    if (b->baseline)
        free_product(b->baseline);
    free(b->baseline);
    b->baseline = NULL;
}
