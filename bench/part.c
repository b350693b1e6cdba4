/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a cycle: what it cannot do without, each alone. Products and weights are those of the images in turn:
 * call k of a batch takes image k modulo their number. */
#include "bound.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    FEW = 3072,  /* random numbers in a call: 64 groups of Gaussians, 96 of bits */
    BLOCK = 2048 /* floats in a call: they and their result stay in the first-level cache */
};

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* ---- streams: parts of which an endless supply is drawn, and a cycle's share counted ---- */

static void run_gaussian(void *parts, uint64_t n) {
    struct parts *p = parts;
    for (uint64_t k = 0; k < n; k++) {
        p->stream.ctr[1]++;
        p->k->gaussian(&p->stream, 0, p->noise_call, p->few);
    }
}

static void run_philox(void *parts, uint64_t n) {
    struct parts *p = parts;
    for (uint64_t k = 0; k < n; k++) {
        p->stream.ctr[1]++;
        p->k->philox(&p->stream, 0, FEW / 4, (uint32_t *)(void *)p->few);
    }
}

static void run_bits(const struct parts *p, struct rpu_stream *stream, uint64_t n, size_t count, const uint16_t *hi,
                     const uint16_t *lo) {
    for (uint64_t k = 0; k < n; k++) {
        stream->ctr[1]++;
        p->k->bernoulli(stream, &p->ties, 0, count, hi, lo, p->plane);
    }
}

static void run_row_bits(void *parts, uint64_t n) {
    struct parts *p = parts;
    run_bits(p, &p->stream, n, p->row_call, p->row_hi, p->row_lo);
}

static void run_column_bits(void *parts, uint64_t n) {
    struct parts *p = parts;
    run_bits(p, &p->stream, n, p->col_call, p->col_hi, p->col_lo);
}

static void run_threshold(void *parts, uint64_t n) {
    struct parts *p = parts;
    uint16_t *hi = (uint16_t *)(void *)p->few, *lo = hi + FEW;
    for (uint64_t k = 0; k < n; k++)
        p->k->threshold(BLOCK, 1.0f, p->in.v, hi, lo);
}

/* Vectors enough for one call, taken from a cycle's own in turn; a single one stays alone. */
static void make_block(struct block *b, size_t n, const float *from, size_t ld, size_t vectors) {
    b->n = n;
    b->vectors = n < BLOCK && vectors > 1 ? BLOCK / n : 1;
    b->v = room((b->vectors * n + BLOCK) * sizeof *b->v);
    for (size_t v = 0; v < b->vectors; v++)
        memcpy(b->v + v * n, from + v % vectors * ld, n * sizeof *b->v);
    for (size_t i = b->vectors * n; i < BLOCK; i++)
        b->v[i] = b->v[i - n];
}

static void run_extremes(const struct parts *p, const struct block *b, uint64_t n) {
    for (uint64_t k = 0; k < n; k++)
        p->k->absmax(b->vectors, b->n, b->v, b->n, p->peaks);
}

static void run_in_extremes(void *parts, uint64_t n) {
    const struct parts *p = parts;
    run_extremes(p, &p->in, n);
}

static void run_out_extremes(void *parts, uint64_t n) {
    const struct parts *p = parts;
    run_extremes(p, &p->out, n);
}

static void add(struct parts *p, enum part_kind kind, gb_run_fn *run, double times, enum part_size size) {
    p->part[p->count++] = (struct part){.kind = kind, .ways = {run}, .times = times, .size = size};
}

/* Gaussians, and the blocks of random words of which the contract uses only a part. */
static void add_noise(struct parts *p, double count, double blocks, enum part_size size) {
    p->noise_call = p->c->in->columns > 1 || count >= FEW || count < 1.0 ? FEW : (size_t)count;
    add(p, PART_NOISE, run_gaussian, count / (double)p->noise_call, size);
    if (blocks > count / 6.0)
        add(p, PART_NOISE, run_philox, (blocks - count / 6.0) / (FEW / 4), size);
}

/* Random bits of `count` elements in a call, or a share of a call where there are many vectors; bits stand in whole
 * groups. Sets the size of a call, returns how many make up the elements. */
static double bits(const struct parts *p, size_t count, size_t *call) {
    const size_t whole = (count + RPU_BITS_GROUP - 1) / RPU_BITS_GROUP * RPU_BITS_GROUP;
    *call = p->c->in->columns > 1 || count > FEW ? FEW : count;
    return *call == count ? 1.0 : (double)whole / FEW;
}

/* ---- of a read ---- */

static const float *image_of(const struct parts *p, uint64_t k) {
    const struct inputs *in = p->c->in;
    return p->q + (size_t)(k % in->images) * in->columns * p->n_in;
}

static void product(const struct parts *p, size_t columns, const float *q, float *y) {
    const struct rpu_tile *t = p->c->tile;
    if (p->c->op == RPU_CYCLE_FORWARD)
        p->k->forward(t->m, t->n, columns, t->w, t->ldw, q, p->n_in, y, p->n_out, p->product);
    else
        p->k->backward(t->m, t->n, columns, t->w, t->ldw, q, p->n_in, y, p->n_out);
}

static void run_product(void *parts, uint64_t n) {
    struct parts *p = parts;
    for (uint64_t k = 0; k < n; k++)
        product(p, p->c->in->columns, image_of(p, k), p->y);
}

/* Outputs of a chunk stay in the first-level cache. */
static void run_product_chunks(void *parts, uint64_t n) {
    struct parts *p = parts;
    const size_t columns = p->c->in->columns;
    for (uint64_t k = 0; k < n; k++)
        for (size_t c = 0; c < columns; c += p->chunk)
            product(p, smaller(p->chunk, columns - c), image_of(p, k) + c * p->n_in, p->y);
}

/* Gains of noise management in place of the maxima. */
static void invert(float *peaks, size_t columns) {
    for (size_t c = 0; c < columns; c++)
        peaks[c] = peaks[c] > 0.0f ? 1.0f / peaks[c] : 0.0f;
}

static void convert_inputs(const struct parts *p, const float *in, size_t ld, size_t columns, float *q) {
    const struct rpu_stage *s = &p->c->tile->stages[p->c->op == RPU_CYCLE_BACKWARD];
    p->k->dac(columns, p->n_in, in, ld, p->managed ? p->peaks : NULL, s->dac_steps, s->dac_step, q, p->n_in);
}

static void run_input_converter(void *parts, uint64_t n) {
    struct parts *p = parts;
    p->k->absmax(p->in.vectors, p->n_in, p->in.v, p->n_in, p->peaks);
    invert(p->peaks, p->in.vectors);
    for (uint64_t k = 0; k < n; k++)
        convert_inputs(p, p->in.v, p->n_in, p->in.vectors, p->few);
}

/* Scales of 1 leave the outputs as they are, from call to call. */
static void run_output_stage(void *parts, uint64_t n) {
    struct parts *p = parts;
    struct rpu_output_stage stage = p->c->tile->stages[p->c->op == RPU_CYCLE_BACKWARD].output;
    stage.sigma = 0.0f;
    for (uint64_t k = 0; k < n; k++)
        p->k->epilogue(p->out.vectors, p->n_out, p->out.v, p->n_out, &stage, 0, p->managed ? p->ones : NULL,
                       p->saturated);
}

/* Inputs as the converter leaves them, of all images. */
static void convert_all(struct parts *p, const float *from, size_t ld) {
    const struct inputs *in = p->c->in;
    for (uint32_t k = 0; k < in->images; k++) {
        const float *block = from + (size_t)k * in->columns * ld;
        p->k->absmax(in->columns, p->n_in, block, ld, p->peaks);
        invert(p->peaks, in->columns);
        convert_inputs(p, block, ld, in->columns, p->q + (size_t)k * in->columns * p->n_in);
    }
}

static void make_read(struct parts *p) {
    const struct inputs *in = p->c->in;
    const struct rpu_tile *t = p->c->tile;
    const int forward = p->c->op == RPU_CYCLE_FORWARD;
    const struct rpu_periphery *periphery = forward ? &t->params.forward : &t->params.backward;
    const size_t columns = in->columns, ld = forward ? in->ldx : in->ldd;
    const float *from = forward ? in->x : in->d;
    p->n_in = forward ? in->n : in->m;
    p->n_out = forward ? in->m : in->n;
    p->chunk = rpu_read_chunk(t, columns);
    p->managed = periphery->nm == RPU_NM_ABS_MAX;
    p->q = room(in->images * columns * p->n_in * sizeof *p->q);
    p->y = room(columns * p->n_out * sizeof *p->y);
    p->product = room(rpu_forward_scratch(in->m, in->n) * sizeof *p->product);
    make_block(&p->in, p->n_in, from, ld, columns);
    convert_all(p, from, ld);
    product(p, columns, p->q, p->y);
    make_block(&p->out, p->n_out, p->y, p->n_out, columns);
    p->saturated = room(p->out.vectors * sizeof *p->saturated);
    p->ones = room(p->out.vectors * sizeof *p->ones);
    for (size_t v = 0; v < p->out.vectors; v++)
        p->ones[v] = 1.0f;
    add(p, PART_PRODUCT, run_product, 1.0, FIXED);
    p->part[0].ways[1] = run_product_chunks;
    p->part[0].or_theirs = 1;
    if (periphery->noise > 0.0f)
        add_noise(p, (double)(columns * p->n_out), (double)hits_blocks(columns * p->n_out), FIXED);
    add(p, PART_CONVERTERS, run_input_converter, (double)columns / (double)p->in.vectors, FIXED);
    add(p, PART_CONVERTERS, run_output_stage, (double)columns / (double)p->out.vectors, FIXED);
    if (p->managed)
        add(p, PART_EXTREMES, run_in_extremes, (double)columns / (double)p->in.vectors, FIXED);
}

/* ---- of an update ---- */

static const struct hits *hits_of(const struct parts *p, uint64_t k) {
    return &p->hits[k % p->c->in->images];
}

static void run_weights(void *parts, uint64_t n) {
    struct parts *p = parts;
    for (uint64_t k = 0; k < n; k++) {
        const struct hits *h = hits_of(p, k);
        for (const struct hit_run *r = h->runs; r < h->runs + h->n_runs; r++)
            if (r->plane)
                p->touch_row(&p->touch, r, p->c->in->n);
            else
                p->touch_list(&p->touch, h->at + r->first, h->down + r->first, r->count);
    }
}

static void run_weights_listed(void *parts, uint64_t n) {
    struct parts *p = parts;
    for (uint64_t k = 0; k < n; k++) {
        const struct hits *h = hits_of(p, k);
        p->touch_list(&p->touch, h->at, h->down, (size_t)h->coincidences);
    }
}

static void run_positions(void *parts, uint64_t n) {
    struct parts *p = parts;
    for (uint64_t k = 0; k < n; k++)
        positions_by_bit(hits_of(p, k), p->list);
}

static void run_positions_by_byte(void *parts, uint64_t n) {
    struct parts *p = parts;
    for (uint64_t k = 0; k < n; k++)
        positions_by_byte(hits_of(p, k), p->list);
}

/* Room for the positions of any image; whether both ways find as many, and all pulses but those of dense units. */
static int make_positions(struct parts *p) {
    const size_t images = p->c->in->images;
    size_t most = 0;
    int good = 1;
    for (size_t k = 0; k < images; k++) {
        const size_t all = (size_t)(p->hits[k].row_pulses + p->hits[k].column_pulses);
        most = all > most ? all : most;
    }
    p->list = room((most + 8) * sizeof *p->list);
    for (size_t k = 0; k < images && good; k++) {
        const struct hits *h = &p->hits[k];
        const size_t n = positions_by_bit(h, p->list);
        good = n == positions_by_byte(h, p->list) && n >= h->row_pulses && n <= h->row_pulses + h->column_pulses;
    }
    return good;
}

/* Whether the update of an image makes the pulses that were counted. */
static int counts_agree(struct cycle *c, const struct hits *h, uint32_t image) {
    const struct rpu_update_counts before = c->updates;
    int good;
    c->image = image;
    cycle_prepare(c);
    cycle_run(c, 1);
    good = c->updates.row_pulses - before.row_pulses == h->row_pulses &&
           c->updates.column_pulses - before.column_pulses == h->column_pulses &&
           c->updates.coincidences - before.coincidences == h->coincidences;
    c->updates = before;
    c->image = 0;
    return good;
}

/* Of all vectors of an image. */
static void run_gains(void *parts, uint64_t n) {
    const struct parts *p = parts;
    const size_t columns = p->c->in->columns;
    for (uint64_t k = 0; k < n; k++)
        p->k->gains(columns, 1.0f, 1, p->x_max, p->d_max, p->gains, p->gains + columns);
}

static void make_gains(struct parts *p) {
    const struct inputs *in = p->c->in;
    p->x_max = room(4 * (size_t)in->columns * sizeof *p->x_max);
    p->d_max = p->x_max + in->columns;
    p->gains = p->d_max + in->columns;
    p->k->absmax(in->columns, in->n, in->x, in->ldx, p->x_max);
    p->k->absmax(in->columns, in->m, in->d, in->ldd, p->d_max);
}

/* Thresholds of as many rows and inputs as a call takes, with the gains of their vectors. */
static void make_bits(struct parts *p) {
    const struct cycle *c = p->c;
    const struct inputs *in = c->in;
    const size_t longest = (in->m > in->n ? in->m : in->n) + FEW;
    p->row_hi = room(longest * sizeof *p->row_hi);
    p->row_lo = room(longest * sizeof *p->row_lo);
    p->col_hi = room(longest * sizeof *p->col_hi);
    p->col_lo = room(longest * sizeof *p->col_lo);
    p->plane = room((FEW / 64 + 1) * sizeof *p->plane);
    rpu_update_gains(c->tile, in->columns, in->x, in->ldx, in->d, in->ldd, c->eta, &c->gains);
    for (size_t at = 0, v = 0; at < FEW; at += in->m, v = (v + 1) % in->columns)
        p->k->threshold(in->m, c->gains.d[v], in->d + v * in->ldd, p->row_hi + at, p->row_lo + at);
    for (size_t at = 0, v = 0; at < FEW; at += in->n, v = (v + 1) % in->columns)
        p->k->threshold(in->n, c->gains.x[v], in->x + v * in->ldx, p->col_hi + at, p->col_lo + at);
}

static void make_touch(struct parts *p) {
    const struct rpu_tile *t = p->c->tile;
    const struct rpu_device *dev = &t->params.device;
    p->noise = room(TOUCH_NOISE * sizeof *p->noise);
    p->k->gaussian(&p->stream, 0, TOUCH_NOISE, p->noise);
    p->touch =
        (struct touch){t->w, t->dev, dev->dw_min * RPU_DEV_UNIT, dev->bound * RPU_DEV_UNIT, dev->dw_min_ctoc, p->noise};
    p->touch_list = touch_list_plain;
    p->touch_row = touch_row_plain;
#ifdef __x86_64__
    const unsigned needed = RPU_CPU_AVX2 | RPU_CPU_FMA | RPU_CPU_POPCNT | RPU_CPU_BMI;
    if ((rpu_cpu_flags() & needed) == needed) {
        p->touch_list = touch_list_avx2;
        p->touch_row = touch_row_avx2;
    }
#endif
}

/* Means over the images. */
static void count(struct parts *p) {
    const double images = (double)p->c->in->images;
    for (const struct hits *h = p->hits; h < p->hits + p->c->in->images; h++) {
        p->mean.coincidences += (double)h->coincidences / images;
        p->mean.column_pulses += (double)h->column_pulses / images;
        p->mean.blocks += (double)h->blocks / images;
        p->mean.vectors += (double)h->vectors / images;
        p->mean.units += (double)h->units / images;
    }
}

static void add_update_parts(struct parts *p) {
    const struct inputs *in = p->c->in;
    const double columns = in->columns;
    add(p, PART_EXTREMES, run_in_extremes, columns / (double)p->in.vectors, FIXED);
    add(p, PART_EXTREMES, run_out_extremes, columns / (double)p->out.vectors, FIXED);
    if (p->c->tile->params.update.um)
        add(p, PART_GAINS, run_gains, 1.0, FIXED);
    add(p, PART_THRESHOLDS, run_threshold, columns * in->m / BLOCK, FIXED);
    add(p, PART_THRESHOLDS, run_threshold, p->mean.vectors * in->n / BLOCK, BY_UNITS);
    const double rows = bits(p, (size_t)in->columns * in->m, &p->row_call), inputs = bits(p, in->n, &p->col_call);
    add(p, PART_BITS, run_row_bits, p->c->tile->params.update.bl * rows, FIXED);
    add(p, PART_BITS, run_column_bits, p->mean.units * inputs, BY_UNITS);
    if (p->touch.ctoc > 0.0f)
        add_noise(p, p->mean.coincidences, p->mean.blocks, BY_HITS);
    add(p, PART_POSITIONS, run_positions, 1.0, BY_HITS);
    p->part[p->count - 1].ways[1] = run_positions_by_byte;
    add(p, PART_WEIGHTS, run_weights, 1.0, BY_HITS);
    p->part[p->count - 1].ways[1] = run_weights_listed;
}

/* How far two updates of the same weights are from each other, in units of the first. */
static double distance(const float *from, const float *a, const float *b, size_t n) {
    double apart = 0.0, moved = 0.0;
    for (size_t i = 0; i < n; i++) {
        apart += fabs((double)a[i] - (double)b[i]);
        moved += fabs((double)a[i] - (double)from[i]);
    }
    return moved > 0.0 ? apart / moved : apart;
}

/* Whether the passes over the weights change them as the update of the first image does, both without noise. Where a
 * crosspoint is hit twice among eight neighbours of the list, a pass counts one; in the first convolution these are
 * some per cent, a wrong device would be off by 30 %. Weights that are too many to be put back are not compared. */
static int passes_agree(struct parts *p, struct cycle *c) {
    gb_run_fn *const passes[] = {run_weights, run_weights_listed};
    struct rpu_tile *t = c->tile;
    const size_t weights = t->m * t->ldw;
    const struct rpu_update_counts before = c->updates;
    const float ctoc = p->touch.ctoc;
    float *right = room(weights * sizeof *right);
    int good = 1;
    t->params.device.dw_min_ctoc = p->touch.ctoc = 0.0f;
    for (size_t w = 0; w < 2 && c->w0; w++) {
        c->image = 0;
        cycle_prepare(c);
        cycle_run(c, 1);
        memcpy(right, t->w, weights * sizeof *right);
        cycle_prepare(c);
        passes[w](p, 1);
        good = good && distance(c->w0, right, t->w, weights) < 0.1;
    }
    t->params.device.dw_min_ctoc = p->touch.ctoc = ctoc;
    c->image = 0;
    c->updates = before;
    free(right);
    return good;
}

static int make_update(struct parts *p, struct cycle *c) {
    const struct inputs *in = c->in;
    int good = 1;
    p->hits = room(in->images * sizeof *p->hits);
    for (uint32_t k = 0; k < in->images; k++) {
        hits_make(&p->hits[k], c, k);
        good = good && counts_agree(c, &p->hits[k], k);
    }
    count(p);
    make_block(&p->in, in->n, in->x, in->ldx, in->columns);
    make_block(&p->out, in->m, in->d, in->ldd, in->columns);
    make_gains(p);
    make_bits(p);
    make_touch(p);
    good = make_positions(p) && good && passes_agree(p, c);
    cycle_prepare(c);
    add_update_parts(p);
    return good;
}

int parts_make(struct parts *p, struct cycle *c) {
    const struct inputs *in = c->in;
    const size_t longest = in->m > in->n ? in->m : in->n;
    *p = (struct parts){.c = c, .k = c->tile->k, .stream = {{1, 2}, {0, 3, 4, 5}}, .ties = {{6, 7}, {0, 3, 4, 5}}};
    p->few = room((longest > FEW ? longest : FEW) * sizeof *p->few);
    p->peaks = room((in->columns + BLOCK) * sizeof *p->peaks);
    if (c->op == RPU_CYCLE_UPDATE)
        return make_update(p, c);
    make_read(p);
    return 1;
}

void parts_free(struct parts *p) {
    void *const all[] = {p->q,      p->y,         p->in.v,  p->out.v,  p->ones,   p->product,
                         p->peaks,  p->saturated, p->few,   p->row_hi, p->row_lo, p->col_hi,
                         p->col_lo, p->plane,     p->noise, p->list,   p->x_max};
    for (uint32_t k = 0; p->hits && k < p->c->in->images; k++)
        hits_free(&p->hits[k]);
    free(p->hits);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    *p = (struct parts){0};
}
