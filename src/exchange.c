/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"

#include "error.h"
#include "network_inside.h"
#include "range.h"
#include "small.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of one image that are sent as they lie in a buffer. */
struct piece {
    unsigned char *base;
    size_t stride; /* from one image to the next */
    size_t bytes;
};

enum { PIECES_OF_AN_ARRAY = 3, PIECES_MAX = 1 + PIECES_OF_AN_ARRAY * RPU_LAYERS_MAX };

/* How a receiver comes to an array's inputs and errors. */
struct source {
    int im2col;                   /* inputs: from the layer's activations */
    const struct rpu_layer *pool; /* errors: from those of this pooling; null: as they are */
};

/* What stands before the images in a process's block. */
struct header {
    int stop;
    struct {
        struct rpu_read_counts forward, backward;
        double seconds[2]; /* forward, backward; of all threads divided by their number */
    } arrays[];
};

struct rpu_exchange {
    struct rpu_ranks ranks;
    struct piece pieces[PIECES_MAX];
    size_t n_pieces, image_bytes;
    struct piece results[2]; /* of an evaluation */
    struct source sources[RPU_LAYERS_MAX];
    size_t header_bytes;
    size_t most;        /* images of a process in one gathering */
    unsigned char *all; /* blocks of all processes */
    struct rpu_array_stats others[RPU_LAYERS_MAX];
    int wanted, agreed; /* whether to stop: here, and everywhere */
    struct rpu_error error;
    /* the gathering at work */
    size_t first, images; /* each process's images [first, first + images) of its own, as far as it has them */
    size_t block;
};

/* ---- construction ---- */

static void add_piece(struct rpu_exchange *x, void *base, size_t stride, size_t bytes) {
    x->pieces[x->n_pieces++] = (struct piece){base, stride, bytes};
    x->image_bytes += bytes;
}

static void add_floats(struct rpu_exchange *x, float *base, size_t stride, size_t floats) {
    add_piece(x, base, stride * sizeof *base, floats * sizeof *base);
}

static void add_inputs(struct rpu_exchange *x, const struct rpu_network *n, uint32_t index, struct source *source) {
    const struct rpu_layer *l = &n->layers[index];
    const size_t size = rpu_shape_size(l->in);
    const int conv = l->spec->kind == RPU_LAYER_CONV;
    source->im2col = conv && (index == 0 || size <= l->block);
    if (index == 0)
        return;
    if (conv && !source->im2col)
        add_floats(x, l->vectors, l->block, l->block);
    else
        add_floats(x, l->x, l->x_stride, size);
}

static void add_errors(struct rpu_exchange *x, const struct rpu_network *n, uint32_t index, struct source *source) {
    const struct rpu_layer *l = &n->layers[index], *next = l + 1;
    const size_t size = rpu_shape_size(l->out);
    if (index + 1 < n->n_layers && next->spec->kind == RPU_LAYER_MAXPOOL) {
        const size_t pooled = rpu_shape_size(next->out);
        if (pooled * (sizeof *next->dy + sizeof *next->where) < size * sizeof *l->dy) {
            source->pool = next;
            add_floats(x, next->dy, next->y_stride, pooled);
            add_piece(x, next->where, pooled * sizeof *next->where, pooled * sizeof *next->where);
            return;
        }
    }
    add_floats(x, l->dy, l->y_stride, size);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Most images that any process has of `count`. */
static size_t share_of(const struct rpu_exchange *x, size_t count) {
    return rpu_range(count, (size_t)x->ranks.size, 1);
}

static enum rpu_status make_buffer(struct rpu_exchange *x, const struct rpu_network *n, size_t at_once,
                                   struct rpu_error *err) {
    const size_t size = (size_t)x->ranks.size, share = share_of(x, n->config.batch),
                 result_bytes = share_of(x, RPU_EVALUATE_AT_ONCE) * (x->results[0].bytes + x->results[1].bytes);
    const size_t fit = at_once / size / x->image_bytes;
    size_t bytes;
    x->most = larger(fit < share ? fit : share, 1);
    bytes = x->header_bytes + larger(x->most * x->image_bytes, result_bytes);
    x->all = bytes > SIZE_MAX / 2 / size ? NULL : calloc(size, rpu_lines(bytes));
    return x->all ? RPU_OK
                  : rpu_fail(err, RPU_ERR_NOMEM, "out of memory for %zu bytes of each of %zu processes", bytes, size);
}

enum rpu_status rpu_exchange_create(struct rpu_network *n, const struct rpu_ranks *ranks, size_t bytes,
                                    struct rpu_error *err) {
    struct rpu_exchange *x;
    enum rpu_status status;
    if (ranks->size < 1 || ranks->rank < 0 || ranks->rank >= ranks->size || !ranks->allgather)
        return rpu_fail(err, RPU_ERR_ARG, "process %d of %d, or no function", ranks->rank, ranks->size);
    x = calloc(1, sizeof *x);
    if (!x)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    x->ranks = *ranks;
    x->header_bytes = rpu_lines(sizeof(struct header) + n->n_arrays * sizeof((struct header *)0)->arrays[0]);
    add_floats(x, n->loss, 1, 1);
    for (uint32_t a = 0; a < n->n_arrays; a++) {
        add_inputs(x, n, n->arrays[a], &x->sources[a]);
        add_errors(x, n, n->arrays[a], &x->sources[a]);
    }
    x->results[0] = (struct piece){(unsigned char *)n->loss, sizeof *n->loss, sizeof *n->loss};
    x->results[1] = (struct piece){(unsigned char *)n->guess, sizeof *n->guess, sizeof *n->guess};
    status = make_buffer(x, n, bytes, err);
    if (status != RPU_OK) {
        rpu_exchange_destroy(x);
        return status;
    }
    rpu_exchange_destroy(n->exchange);
    n->exchange = x;
    return RPU_OK;
}

void rpu_exchange_destroy(struct rpu_exchange *exchange) {
    if (exchange) {
        free(exchange->all);
        free(exchange);
    }
}

/* ---- whose image is whose ---- */

static size_t first_of(const struct rpu_network *n, size_t rank) {
    return rpu_range(n->pass.count, (size_t)n->exchange->ranks.size, rank);
}

void rpu_exchange_divide(struct rpu_network *n) {
    const size_t rank = (size_t)n->exchange->ranks.rank;
    n->pass.begin = first_of(n, rank);
    n->pass.end = first_of(n, rank + 1);
}

/* ---- blocks ---- */

static unsigned char *block_of(const struct rpu_exchange *x, size_t rank) {
    return x->all + rank * x->block;
}

static void write_header(struct rpu_network *n) {
    struct rpu_exchange *x = n->exchange;
    struct header *h = (struct header *)(void *)block_of(x, (size_t)x->ranks.rank);
    h->stop = x->wanted;
    for (uint32_t a = 0; a < n->n_arrays; a++) {
        const struct rpu_array_stats s = rpu_network_own_stats(n, a);
        h->arrays[a].forward = s.forward;
        h->arrays[a].backward = s.backward;
        h->arrays[a].seconds[0] = s.seconds[RPU_CYCLE_FORWARD];
        h->arrays[a].seconds[1] = s.seconds[RPU_CYCLE_BACKWARD];
    }
}

static void read_header(struct rpu_network *n, size_t rank) {
    struct rpu_exchange *x = n->exchange;
    const struct header *h = (const struct header *)(const void *)block_of(x, rank);
    x->agreed |= h->stop;
    for (uint32_t a = 0; a < n->n_arrays && rank != (size_t)x->ranks.rank; a++) {
        const struct rpu_array_stats s = {.forward = h->arrays[a].forward,
                                          .backward = h->arrays[a].backward,
                                          .seconds = {h->arrays[a].seconds[0], h->arrays[a].seconds[1], 0.0}};
        rpu_array_stats_add(&x->others[a], &s);
    }
}

/* Sends this process's block and gets those of all. */
static enum rpu_status gather(struct rpu_network *n) {
    struct rpu_exchange *x = n->exchange;
    struct rpu_sched *sched = n->engine->sched;
    const double begin = rpu_sched_begin(sched);
    enum rpu_status status;
    write_header(n);
    status = x->ranks.allgather(x->ranks.context, x->block, x->all, &x->error);
    rpu_sched_end(sched, 0, "exchange", "", x->first, begin);
    if (status != RPU_OK)
        return status;
    memset(x->others, 0, sizeof x->others);
    for (size_t r = 0; r < (size_t)x->ranks.size; r++)
        read_header(n, r);
    return RPU_OK;
}

/* ---- training ---- */

static void pack_item(void *context, size_t item, int thread) {
    const struct rpu_network *n = context;
    const struct rpu_exchange *x = n->exchange;
    const size_t image = n->pass.begin + x->first + item;
    unsigned char *to = block_of(x, (size_t)x->ranks.rank) + x->header_bytes + item * x->image_bytes;
    (void)thread;
    for (size_t p = 0; p < x->n_pieces; p++) {
        memcpy(to, x->pieces[p].base + image * x->pieces[p].stride, x->pieces[p].bytes);
        to += x->pieces[p].bytes;
    }
}

/* What an array's update needs beside what was sent. */
static void rebuild(const struct rpu_network *n, uint32_t a, size_t image, int thread) {
    const struct source *s = &n->exchange->sources[a];
    const struct rpu_layer *l = &n->layers[n->arrays[a]];
    const struct rpu_block where = {(uint32_t)(n->pass.step + image), 0, l->columns, 0};
    float *vectors = l->vectors + image * l->block, *dy = l->dy + image * l->y_stride;
    if (s->im2col)
        n->k->im2col(&l->conv, l->x + image * l->x_stride, 0, l->columns, vectors, l->ld);
    if (s->pool)
        n->k->unpool(&s->pool->pool, s->pool->dy + image * s->pool->y_stride,
                     s->pool->where + image * rpu_shape_size(s->pool->out), dy);
    const double start = rpu_now();
    if (l->trains)
        rpu_array_draw(l->array, l->columns, &where, vectors, l->ld, dy, l->array->m, n->config.eta,
                       l->trains + image * l->train_words, n->workers[thread].scratch,
                       &n->workers[thread].stats[a].update);
    n->workers[thread].stats[a].seconds[RPU_CYCLE_UPDATE] += rpu_now() - start;
}

static void unpack_item(void *context, size_t item, int thread) {
    struct rpu_network *n = context;
    const struct rpu_exchange *x = n->exchange;
    const size_t rank = item / x->images, which = item % x->images, image = first_of(n, rank) + x->first + which;
    const unsigned char *from = block_of(x, rank) + x->header_bytes + which * x->image_bytes;
    if (rank == (size_t)x->ranks.rank || image >= first_of(n, rank + 1))
        return;
    for (size_t p = 0; p < x->n_pieces; p++) {
        memcpy(x->pieces[p].base + image * x->pieces[p].stride, from, x->pieces[p].bytes);
        from += x->pieces[p].bytes;
    }
    if (n->arrays[0] == 0)
        rpu_pass_load(n, image, image);
    for (uint32_t a = 0; a < n->n_arrays; a++)
        rebuild(n, a, image, thread);
}

static void run_items(struct rpu_network *n, rpu_item_fn *fn, size_t items, const char *name) {
    const struct rpu_work work = {.fn = fn, .context = n, .items = items, .name = name, .of = ""};
    rpu_sched_run(n->engine->sched, &work, 1);
}

enum rpu_status rpu_exchange_train(struct rpu_network *n) {
    struct rpu_exchange *x = n->exchange;
    const size_t share = share_of(x, n->pass.count), own = n->pass.end - n->pass.begin;
    for (x->first = 0; x->first < share; x->first += x->images) {
        const size_t left = own > x->first ? own - x->first : 0;
        enum rpu_status status;
        x->images = share - x->first < x->most ? share - x->first : x->most;
        x->block = rpu_lines(x->header_bytes + x->images * x->image_bytes);
        run_items(n, pack_item, left < x->images ? left : x->images, "exchange, out");
        status = gather(n);
        if (status != RPU_OK)
            return status;
        run_items(n, unpack_item, x->images * (size_t)x->ranks.size, "exchange, in");
    }
    return RPU_OK;
}

/* ---- evaluation ---- */

/* Results of a process's images into its block, or out of it. */
static void copy_results(struct rpu_network *n, size_t rank, int out) {
    const struct rpu_exchange *x = n->exchange;
    const size_t first = first_of(n, rank), count = first_of(n, rank + 1) - first;
    unsigned char *block = block_of(x, rank) + x->header_bytes;
    for (size_t p = 0; p < 2; p++) {
        unsigned char *results = x->results[p].base + first * x->results[p].stride;
        memcpy(out ? block : results, out ? results : block, count * x->results[p].bytes);
        block += count * x->results[p].bytes;
    }
}

enum rpu_status rpu_exchange_evaluate(struct rpu_network *n) {
    struct rpu_exchange *x = n->exchange;
    const size_t size = (size_t)x->ranks.size, own = (size_t)x->ranks.rank;
    enum rpu_status status;
    x->first = 0;
    x->images = share_of(x, n->pass.count);
    x->block = rpu_lines(x->header_bytes + x->images * (x->results[0].bytes + x->results[1].bytes));
    copy_results(n, own, 1);
    status = gather(n);
    for (size_t r = 0; r < size && status == RPU_OK; r++)
        if (r != own)
            copy_results(n, r, 0);
    return status;
}

/* ---- what else is known of the others ---- */

void rpu_exchange_add_others(const struct rpu_network *n, uint32_t array, struct rpu_array_stats *stats) {
    rpu_array_stats_add(stats, &n->exchange->others[array]);
    stats->seconds[RPU_CYCLE_FORWARD] /= n->exchange->ranks.size;
    stats->seconds[RPU_CYCLE_BACKWARD] /= n->exchange->ranks.size;
}

void rpu_exchange_clear_others(struct rpu_network *n) {
    memset(n->exchange->others, 0, sizeof n->exchange->others);
}

int rpu_network_stops(struct rpu_network *n, int wanted) {
    struct rpu_exchange *x = n->exchange;
    if (!x)
        return wanted;
    x->wanted |= wanted != 0;
    return x->agreed;
}

/* As many as a minibatch has, or so many for each thread or process that waiting for the last of them, and the
 * exchange, cost nothing to speak of. Threads of other processes may be more or fewer. */
size_t rpu_network_test_piece(const struct rpu_network *n) {
    const size_t shared = n->exchange ? 16 * (size_t)n->exchange->ranks.size : 4 * n->n_workers,
                 piece = larger(shared, n->config.batch);
    return piece < RPU_EVALUATE_AT_ONCE ? piece : RPU_EVALUATE_AT_ONCE;
}

void rpu_network_goes_on(struct rpu_network *n) {
    if (n->exchange)
        n->exchange->wanted = n->exchange->agreed = 0;
}

const char *rpu_network_exchange_failure(const struct rpu_network *n) {
    return n->exchange && n->exchange->error.status != RPU_OK ? n->exchange->error.message : NULL;
}
