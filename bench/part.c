/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a cycle: what it cannot do without, each alone. Call k of a batch takes image k modulo their number. */
#include "bound.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 3072 }; /* numbers that stay in the first-level cache: 64 groups of Gaussians, 96 of bits */

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* ---- of both kinds of cycle ---- */

static void gaussians(struct parts *p, size_t count) {
    for (size_t done = 0; done < count; done += FEW)
        p->k->gaussian(&p->stream, done, smaller(FEW, count - done), p->few);
}

static const float *image_of(const struct parts *p, const float *block, size_t ld, uint64_t k) {
    const struct inputs *in = p->c->in;
    return block + (size_t)(k % in->images) * in->columns * ld;
}

/* ---- of a read ---- */

static const float *read_inputs(const struct parts *p, uint64_t k, size_t *ld) {
    const struct inputs *in = p->c->in;
    *ld = p->c->op == RPU_CYCLE_FORWARD ? in->ldx : in->ldd;
    return image_of(p, p->c->op == RPU_CYCLE_FORWARD ? in->x : in->d, *ld, k);
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
        product(p, p->c->in->columns, image_of(p, p->q, p->n_in, k), p->y);
}

/* Outputs of a chunk stay in the first-level cache. */
static void run_product_chunks(void *parts, uint64_t n) {
    struct parts *p = parts;
    const size_t columns = p->c->in->columns;
    for (uint64_t k = 0; k < n; k++)
        for (size_t c = 0; c < columns; c += p->chunk)
            product(p, smaller(p->chunk, columns - c), image_of(p, p->q, p->n_in, k) + c * p->n_in, p->y);
}

static void run_read_noise(void *parts, uint64_t n) {
    struct parts *p = parts;
    for (uint64_t k = 0; k < n; k++) {
        p->stream.ctr[1]++;
        gaussians(p, p->n_out * p->c->in->columns);
    }
}

static void convert_inputs(const struct parts *p, const float *in, size_t ld, size_t columns, float *q) {
    const struct rpu_stage *s = &p->c->tile->stages[p->c->op == RPU_CYCLE_BACKWARD];
    p->k->dac(columns, p->n_in, in, ld, p->div, NULL, s->dac_steps, s->dac_step, q, p->n_in);
}

static void run_converters(void *parts, uint64_t n) {
    struct parts *p = parts;
    const size_t columns = p->c->in->columns;
    struct rpu_output_stage out = p->c->tile->stages[p->c->op == RPU_CYCLE_BACKWARD].output;
    out.sigma = 0.0f;
    for (uint64_t k = 0; k < n; k++) {
        size_t ld;
        const float *in = read_inputs(p, k, &ld);
        for (size_t c = 0; c < columns; c += p->chunk) {
            const size_t here = smaller(p->chunk, columns - c);
            convert_inputs(p, in + c * ld, ld, here, p->few);
            p->k->epilogue(here, p->n_out, p->y, p->n_out, &out, 0, p->div ? p->ones : NULL, p->saturated);
        }
    }
}

static void run_read_extremes(void *parts, uint64_t n) {
    struct parts *p = parts;
    for (uint64_t k = 0; k < n; k++) {
        size_t ld;
        const float *in = read_inputs(p, k, &ld);
        p->k->absmax(p->c->in->columns, p->n_in, in, ld, p->div);
    }
}

static void add(struct parts *p, struct part part) {
    p->part[p->count++] = part;
}

/* Inputs as the converter leaves them, of all images. */
static void convert_all(struct parts *p) {
    const struct inputs *in = p->c->in;
    for (uint64_t k = 0; k < in->images; k++) {
        size_t ld;
        const float *block = read_inputs(p, k, &ld);
        if (p->div)
            p->k->absmax(in->columns, p->n_in, block, ld, p->div);
        convert_inputs(p, block, ld, in->columns, p->q + (size_t)k * in->columns * p->n_in);
    }
}

static void make_read(struct parts *p) {
    const struct inputs *in = p->c->in;
    const struct rpu_tile *t = p->c->tile;
    const int forward = p->c->op == RPU_CYCLE_FORWARD;
    const struct rpu_periphery *periphery = forward ? &t->params.forward : &t->params.backward;
    const size_t fit = 5200 / ((size_t)in->m + in->n) / 6 * 6, columns = in->columns;
    p->n_in = forward ? in->n : in->m;
    p->n_out = forward ? in->m : in->n;
    p->chunk = smaller(fit > 0 ? fit : 1, columns);
    p->q = room(in->images * columns * p->n_in * sizeof *p->q);
    p->y = room(columns * p->n_out * sizeof *p->y);
    p->few = room((FEW + p->chunk * p->n_in) * sizeof *p->few);
    p->product = room(rpu_forward_scratch(in->m, in->n) * sizeof *p->product);
    p->saturated = room(columns * sizeof *p->saturated);
    p->ones = room(columns * sizeof *p->ones);
    for (size_t c = 0; c < columns; c++)
        p->ones[c] = 1.0f;
    if (periphery->nm == RPU_NM_ABS_MAX)
        p->div = room(columns * sizeof *p->div);
    convert_all(p);
    add(p, (struct part){.kind = PART_PRODUCT, .ways = {run_product, run_product_chunks}, .or_theirs = 1});
    if (periphery->noise > 0.0f)
        add(p, (struct part){.kind = PART_NOISE, .ways = {run_read_noise}});
    add(p, (struct part){.kind = PART_CONVERTERS, .ways = {run_converters}});
    if (p->div)
        add(p, (struct part){.kind = PART_EXTREMES, .ways = {run_read_extremes}});
}

/* ---- of an update ---- */

static const struct hits *hits_of(const struct parts *p, uint64_t k) {
    return &p->hits[k % p->c->in->images];
}

static void run_row_bits(void *parts, uint64_t n) {
    struct parts *p = parts;
    const size_t flat = (size_t)p->c->in->columns * p->c->in->m;
    for (uint64_t k = 0; k < n; k++)
        for (int32_t s = 0; s < p->c->tile->params.update.bl; s++) {
            p->stream.ctr[1]++;
            p->k->bernoulli(&p->stream, &p->ties, 0, flat, p->row_hi, p->row_lo, p->plane);
        }
}

/* The bits of an input stand in whole groups; those of all units in one stream. */
static void run_column_bits(void *parts, uint64_t n) {
    struct parts *p = parts;
    const size_t groups = (p->c->in->n + RPU_BITS_GROUP - 1) / RPU_BITS_GROUP;
    for (uint64_t k = 0; k < n; k++) {
        const size_t count = hits_of(p, k)->units * groups * RPU_BITS_GROUP;
        p->stream.ctr[1]++;
        for (size_t done = 0; done < count; done += FEW)
            p->k->bernoulli(&p->stream, &p->ties, done, smaller(FEW, count - done), p->hi, p->lo, p->plane);
    }
}

static void thresholds(struct parts *p, const float *v, size_t count) {
    uint16_t *hi = (uint16_t *)(void *)p->few, *lo = hi + FEW;
    for (size_t done = 0; done < count; done += FEW)
        p->k->threshold(smaller(FEW, count - done), 1.0f, v + done, hi, lo);
}

static void run_row_thresholds(void *parts, uint64_t n) {
    struct parts *p = parts;
    const struct inputs *in = p->c->in;
    for (uint64_t k = 0; k < n; k++)
        thresholds(p, image_of(p, in->d, in->ldd, k), (size_t)in->columns * in->m);
}

static void run_column_thresholds(void *parts, uint64_t n) {
    struct parts *p = parts;
    const struct inputs *in = p->c->in;
    for (uint64_t k = 0; k < n; k++)
        thresholds(p, image_of(p, in->x, in->ldx, k), hits_of(p, k)->vectors * in->n);
}

static void run_update_extremes(void *parts, uint64_t n) {
    struct parts *p = parts;
    const struct inputs *in = p->c->in;
    for (uint64_t k = 0; k < n; k++) {
        p->k->absmax(in->columns, in->n, image_of(p, in->x, in->ldx, k), in->ldx, p->peaks);
        p->k->absmax(in->columns, in->m, image_of(p, in->d, in->ldd, k), in->ldd, p->peaks);
    }
}

/* Six Gaussians a block; where a vector has few coincidences the contract takes blocks of which it uses a part. */
static void run_update_noise(void *parts, uint64_t n) {
    struct parts *p = parts;
    for (uint64_t k = 0; k < n; k++) {
        const struct hits *h = hits_of(p, k);
        const size_t used = hits_blocks(h->coincidences), more = h->blocks > used ? h->blocks - used : 0;
        p->stream.ctr[1]++;
        gaussians(p, (size_t)h->coincidences);
        for (size_t done = 0; done < more; done += FEW / 4)
            p->k->philox(&p->stream, (uint32_t)done, smaller(FEW / 4, more - done), (uint32_t *)(void *)p->few);
    }
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

/* Thresholds and room for the random bits of rows and columns. */
static void make_bits(struct parts *p) {
    const struct cycle *c = p->c;
    const struct inputs *in = c->in;
    const size_t flat = (size_t)in->columns * in->m, xs = (size_t)in->columns * in->ldx;
    p->row_hi = room((flat + 64) * sizeof *p->row_hi);
    p->row_lo = room((flat + 64) * sizeof *p->row_lo);
    p->hi = room(FEW * sizeof *p->hi);
    p->lo = room(FEW * sizeof *p->lo);
    p->plane = room(((flat > FEW ? flat : FEW) + 64) / 64 * sizeof *p->plane);
    rpu_update_gains(c->tile, in->columns, in->x, in->ldx, in->d, in->ldd, c->eta, &c->gains);
    for (size_t v = 0; v < in->columns; v++)
        p->k->threshold(in->m, c->gains.d[v], in->d + v * in->ldd, p->row_hi + v * in->m, p->row_lo + v * in->m);
    for (size_t i = 0; i < FEW; i++)
        p->few[i] = in->x[i % xs];
    p->k->threshold(FEW, c->gains.x[0], p->few, p->hi, p->lo);
}

static void make_touch(struct parts *p) {
    const struct rpu_tile *t = p->c->tile;
    const struct rpu_device *dev = &t->params.device;
    float *noise = room(TOUCH_NOISE * sizeof *noise);
    p->k->gaussian(&p->stream, 0, TOUCH_NOISE, noise);
    p->touch =
        (struct touch){t->w, t->dev, dev->dw_min * RPU_DEV_UNIT, dev->bound * RPU_DEV_UNIT, dev->dw_min_ctoc, noise};
    p->touch_list = touch_list_plain;
    p->touch_row = touch_row_plain;
#ifdef __x86_64__
    if ((rpu_cpu_flags() & (RPU_CPU_AVX2 | RPU_CPU_FMA)) == (RPU_CPU_AVX2 | RPU_CPU_FMA)) {
        p->touch_list = touch_list_avx2;
        p->touch_row = touch_row_avx2;
    }
#endif
}

static int make_update(struct parts *p, struct cycle *c) {
    const struct inputs *in = c->in;
    int good = 1;
    p->few = room(FEW * sizeof *p->few);
    p->peaks = room(in->columns * sizeof *p->peaks);
    p->hits = room(in->images * sizeof *p->hits);
    for (uint32_t k = 0; k < in->images; k++) {
        hits_make(&p->hits[k], c, k);
        good = good && counts_agree(c, &p->hits[k], k);
    }
    cycle_prepare(c);
    make_bits(p);
    make_touch(p);
    add(p, (struct part){.kind = PART_EXTREMES, .ways = {run_update_extremes}});
    add(p, (struct part){.kind = PART_THRESHOLDS, .ways = {run_row_thresholds}});
    add(p, (struct part){.kind = PART_THRESHOLDS, .ways = {run_column_thresholds}, .per = BY_UNITS});
    add(p, (struct part){.kind = PART_BITS, .ways = {run_row_bits}});
    add(p, (struct part){.kind = PART_BITS, .ways = {run_column_bits}, .per = BY_UNITS});
    if (p->touch.ctoc > 0.0f)
        add(p, (struct part){.kind = PART_NOISE, .ways = {run_update_noise}, .per = BY_HITS});
    add(p, (struct part){.kind = PART_WEIGHTS, .ways = {run_weights, run_weights_listed}, .per = BY_HITS});
    return good;
}

int parts_make(struct parts *p, struct cycle *c) {
    *p = (struct parts){.c = c, .k = c->tile->k, .stream = {{1, 2}, {0, 3, 4, 5}}, .ties = {{6, 7}, {0, 3, 4, 5}}};
    if (c->op == RPU_CYCLE_UPDATE)
        return make_update(p, c);
    make_read(p);
    return 1;
}

void parts_free(struct parts *p) {
    void *all[] = {p->q,      p->y,      p->div, p->ones, p->product, p->saturated, p->few,
                   p->row_hi, p->row_lo, p->hi,  p->lo,   p->plane,   p->peaks,     (void *)(uintptr_t)p->touch.noise};
    for (uint32_t k = 0; p->hits && k < p->c->in->images; k++)
        hits_free(&p->hits[k]);
    free(p->hits);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    *p = (struct parts){0};
}

static double mean(const struct parts *p, size_t offset) {
    double sum = 0.0;
    for (uint32_t k = 0; k < p->c->in->images; k++) {
        uint64_t count;
        memcpy(&count, (const char *)&p->hits[k] + offset, sizeof count);
        sum += (double)count;
    }
    return sum / (double)p->c->in->images;
}

double parts_coincidences(const struct parts *p) {
    return mean(p, offsetof(struct hits, coincidences));
}

double parts_column_pulses(const struct parts *p) {
    return mean(p, offsetof(struct hits, column_pulses));
}
