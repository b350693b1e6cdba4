/* SPDX-License-Identifier: Apache-2.0 */
/* Cycles of one tile with its whole periphery, as the training runs them: memory is given, inputs change from image to
 * image. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#define MOST_WEIGHTS_PUT_BACK ((size_t)1 << 20)

void params_make(struct rpu_tile_params *params, int32_t bl, int32_t um) {
    rpu_tile_params_baseline(params);
    params->forward.bm = params->backward.bm = RPU_BM_ITERATIVE;
    params->backward.nm = RPU_NM_ABS_MAX;
    params->update = (struct rpu_update_params){.bl = bl, .um = um};
}

int cycle_make(struct cycle *c, const struct rpu_engine *engine, const struct rpu_tile_params *params,
               enum rpu_cycle op, const struct inputs *in, float eta) {
    *c = (struct cycle){.op = op, .in = in, .eta = eta};
    if (rpu_tile_create(&c->tile, engine, params, in->m, in->n, in->n, 1, 0, 0, NULL) != RPU_OK)
        return 0;
    const size_t read = rpu_read_scratch(c->tile, in->columns), update = rpu_update_scratch(c->tile, in->columns);
    const size_t weights = c->tile->m * c->tile->ldw;
    c->scratch = room(read > update ? read : update);
    c->ldout = op == RPU_CYCLE_BACKWARD ? rpu_padded(in->n) : in->m;
    c->out = room(in->columns * c->ldout * sizeof *c->out);
    c->trains = room(in->columns * rpu_update_train_words(c->tile) * sizeof *c->trains);
    c->gains.x = room(3 * (size_t)in->columns * sizeof(float));
    c->gains.d = c->gains.x + in->columns;
    c->gains.peak = c->gains.d + in->columns;
    if (op == RPU_CYCLE_UPDATE && weights <= MOST_WEIGHTS_PUT_BACK) {
        c->w0 = room(weights * sizeof *c->w0);
        memcpy(c->w0, c->tile->w, weights * sizeof *c->w0);
    }
    return 1;
}

void cycle_free(struct cycle *c) {
    rpu_tile_destroy(c->tile);
    free(c->scratch);
    free(c->out);
    free(c->gains.x);
    free(c->trains);
    free(c->w0);
    *c = (struct cycle){.op = c->op};
}

void cycle_prepare(void *cycle) {
    struct cycle *c = cycle;
    if (c->w0)
        memcpy(c->tile->w, c->w0, c->tile->m * c->tile->ldw * sizeof *c->w0);
}

static void update(struct cycle *c, const struct rpu_block *where, const float *x, const float *d) {
    const struct inputs *in = c->in;
    rpu_tile_draw(c->tile, where, x, in->ldx, d, in->ldd, c->eta, c->trains, 0, c->scratch, &c->updates);
    rpu_tile_apply(c->tile, where, x, in->ldx, d, in->ldd, c->eta, c->trains, 0, in->m, c->scratch, &c->updates);
}

void cycle_run(void *cycle, uint64_t n) {
    struct cycle *c = cycle;
    const struct inputs *in = c->in;
    const struct rpu_read read = c->op == RPU_CYCLE_FORWARD ? rpu_read_forward(c->tile, 0) : rpu_read_backward(c->tile);
    for (uint64_t k = 0; k < n; k++) {
        const struct rpu_block where = {c->image, 0, in->columns, 0};
        const size_t at = (size_t)(c->image % in->images) * in->columns;
        const float *x = in->x + at * in->ldx, *d = in->d + at * in->ldd;
        c->image++;
        if (c->op == RPU_CYCLE_FORWARD)
            rpu_tile_read(c->tile, &read, &where, x, in->ldx, c->out, c->ldout, c->scratch, &c->reads);
        else if (c->op == RPU_CYCLE_BACKWARD)
            rpu_tile_read(c->tile, &read, &where, d, in->ldd, c->out, c->ldout, c->scratch, &c->reads);
        else
            update(c, &where, x, d);
    }
}

static int same(const struct cycle *a, const struct cycle *b) {
    const size_t weights = a->tile->m * a->tile->ldw * sizeof(float);
    const size_t outputs = a->in->columns * a->ldout * sizeof(float);
    return memcmp(a->tile->w, b->tile->w, weights) == 0 && memcmp(a->out, b->out, outputs) == 0 &&
           memcmp(&a->reads, &b->reads, sizeof a->reads) == 0 &&
           memcmp(&a->updates, &b->updates, sizeof a->updates) == 0;
}

int cycle_check(const struct rpu_engine *oracle, const struct rpu_engine *engine, const struct rpu_tile_params *params,
                enum rpu_cycle op, const struct inputs *in, float eta, uint32_t images) {
    struct cycle a = {.op = op}, b = {.op = op};
    int good = cycle_make(&a, oracle, params, op, in, eta) && cycle_make(&b, engine, params, op, in, eta);
    for (uint32_t k = 0; k < images && good; k++) {
        cycle_run(&a, 1);
        cycle_run(&b, 1);
        good = same(&a, &b);
    }
    cycle_free(&a);
    cycle_free(&b);
    return good;
}
