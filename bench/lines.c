/* SPDX-License-Identifier: Apache-2.0 */
/* What it costs that two cores use the same cache lines: the first writes some, the second reads them, in turn. */
#include "bench.h"
#include "engine.h"
#include "small.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { LINES = 1024, ROUNDS = 301, TURNS = 200, WARM_UP = 20 };
enum { LINE = 16 }; /* floats of a cache line */

struct exchange {
    volatile float *memory;
    double write[ROUNDS], read[ROUNDS]; /* seconds of all lines */
    double turns[ROUNDS];               /* of TURNS there and back */
    _Alignas(64) atomic_int turn;       /* the item that may go on */
};

static void wait_for(struct exchange *x, int turn) {
    while (atomic_load_explicit(&x->turn, memory_order_acquire) != turn)
        continue;
}

static void pass_on(struct exchange *x, int turn) {
    atomic_store_explicit(&x->turn, turn, memory_order_release);
}

static void write_lines(struct exchange *x, int k) {
    const double start = rpu_now();
    for (size_t i = 0; i < LINES; i++)
        x->memory[i * LINE] = (float)k;
    atomic_thread_fence(memory_order_seq_cst); /* until the lines are this core's */
    if (k >= 0)
        x->write[k] = rpu_now() - start;
}

static void read_lines(struct exchange *x, int k) {
    const double start = rpu_now();
    float sum[4] = {0};
    for (size_t i = 0; i < LINES; i++)
        sum[i % 4] += x->memory[i * LINE];
    x->memory[LINES * LINE] = sum[0] + sum[1] + sum[2] + sum[3]; /* after all of them are there */
    if (k >= 0)
        x->read[k] = rpu_now() - start;
}

/* Of two threads one each: items of an entry are begun at the same time. */
static void exchange_item(void *context, size_t item, int thread) {
    struct exchange *x = context;
    const int me = (int)item, other = 1 - me;
    (void)thread;
    for (int k = -WARM_UP; k < ROUNDS; k++) {
        wait_for(x, me);
        if (me == 0)
            write_lines(x, k);
        else
            read_lines(x, k);
        pass_on(x, other);
    }
    for (int k = 0; k < ROUNDS; k++) {
        wait_for(x, me);
        const double start = rpu_now();
        for (int n = 0; n < TURNS; n++) {
            wait_for(x, me);
            pass_on(x, other);
        }
        if (me == 0)
            x->turns[k] = rpu_now() - start;
    }
}

void lines_measure(struct bench *b, struct lines *lines) {
    struct exchange *x = room(sizeof *x);
    float *memory = room((LINES + 1) * LINE * sizeof *memory);
    x->memory = memory;
    atomic_init(&x->turn, 0);
    rpu_sched_for(bench_engine(b, bench_best(b), 2)->sched, 2, exchange_item, x);
    lines->read = quantile(x->read, ROUNDS, 0.5) / LINES;
    lines->write = quantile(x->write, ROUNDS, 0.5) / LINES;
    lines->turn = quantile(x->turns, ROUNDS, 0.5) / TURNS;
    free(memory);
    free(x);
}
