/* SPDX-License-Identifier: Apache-2.0 */
#include "pass.h"

#include "range.h"
#include "small.h"

#include <string.h>

/* What a step works on: buffers of image `slot`, numbers of image `image` of the pass. */
struct job {
    struct rpu_network *n;
    const struct rpu_pass *pass;
    const struct rpu_segment *segment;
    size_t slot, image, part, parts;
    int thread, whole; /* whole: all of the image's work is this thread's */
};

/* Rows [first, end) of an image. */
struct rows {
    size_t first, end;
};

/* Rows of a layer's input that belong to the given rows of its output; the last also has what pooling drops. */
static struct rows input_rows(const struct rpu_layer *l, struct rows out) {
    if (l->spec->kind != RPU_LAYER_MAXPOOL)
        return out;
    return (struct rows){out.first * l->pool.stride,
                         out.end == l->out.height ? l->in.height : out.end * l->pool.stride};
}

/* Rows of the output of layer `index` in the job's band of its segment. */
static struct rows band_rows(const struct job *j, uint32_t index) {
    const struct rpu_segment *s = j->segment;
    const struct rpu_layer *last = &j->n->layers[s->last - 1];
    struct rows r = {rpu_range(last->out.height, j->parts, j->part),
                     rpu_range(last->out.height, j->parts, j->part + 1)};
    for (uint32_t i = s->last - 1; i > index; i--)
        r = input_rows(&j->n->layers[i], r);
    return r;
}

static size_t row_size(struct rpu_shape s) {
    return (size_t)s.width * s.channels;
}

/* ---- parts of steps ---- */

static float *load_rows(const struct rpu_network *n, size_t slot, size_t image, struct rows r) {
    const uint8_t *pixels = n->pass.images->pixels + (size_t)rpu_pass_index(&n->pass, image) * rpu_shape_size(n->input);
    float *x = n->image + slot * n->image_stride;
    for (size_t i = r.first * row_size(n->input); i < r.end * row_size(n->input); i++)
        x[i] = (float)pixels[i] * (1.0f / 255.0f);
    return x;
}

void rpu_pass_load(const struct rpu_network *n, size_t slot, size_t image) {
    load_rows(n, slot, image, (struct rows){0, n->input.height});
}

/* Whether threads that share an image load the rows that they need by themselves; its own buffer stays empty then. */
static int loads_bands(const struct rpu_network *n) {
    return n->layers[0].spec->kind == RPU_LAYER_CONV;
}

/* Row of an image, of one with its padding. */
static size_t inner_row(const struct rpu_conv_shape *c, size_t row) {
    const size_t inner = row < c->padding ? 0 : row - c->padding;
    return inner < c->height ? inner : c->height;
}

/* Input of a convolution's rows. Each thread loads the rows of the image that its band needs by itself: that is shorter
 * than to get them from another core. */
static const float *conv_input(const struct job *j, const struct rpu_layer *l, struct rows out) {
    const struct rpu_conv_shape *c = &l->conv;
    if (l != j->n->layers || j->whole)
        return l->x + j->slot * l->x_stride;
    return load_rows(
        j->n, j->n->capacity + (size_t)j->thread, j->image,
        (struct rows){inner_row(c, out.first * c->stride), inner_row(c, (out.end - 1) * c->stride + c->kernel)});
}

static struct rpu_block block_of(const struct job *j, size_t column, size_t count) {
    return (struct rpu_block){(uint32_t)(j->pass->step + j->image), (uint32_t)column, (uint32_t)count,
                              (uint32_t)j->pass->evaluate};
}

static struct rpu_read_counts *counts_of(const struct job *j, int backward) {
    struct rpu_worker *w = &j->n->workers[j->thread];
    struct rpu_array_stats *s = &w->stats[j->segment->array];
    return j->pass->evaluate ? &w->ignored : backward ? &s->backward : &s->forward;
}

/* Time since `start`, as all threads together spend it: while one does everything, the others have nothing to do. */
static double spent_since(const struct rpu_network *n, double start) {
    return (rpu_now() - start) * (n->pass.alone ? rpu_sched_at_once(n->engine->sched) : 1);
}

/* Adds the time since `start` to a cycle of the segment's array. */
static void spend(const struct job *j, enum rpu_cycle cycle, double start) {
    if (!j->pass->evaluate)
        j->n->workers[j->thread].stats[j->segment->array].seconds[cycle] += spent_since(j->n, start);
}

static enum rpu_array_read forward_of(const struct job *j) {
    return j->pass->evaluate ? RPU_ARRAY_EVALUATE : RPU_ARRAY_FORWARD;
}

/* Columns of the array in the job's band. */
static struct rows band_columns(const struct job *j) {
    const struct rpu_layer *l = &j->n->layers[j->segment->first];
    const struct rows r = band_rows(j, j->segment->first);
    if (l->spec->kind == RPU_LAYER_FC)
        return (struct rows){0, 1};
    return (struct rows){r.first * l->out.width, r.end * l->out.width};
}

static void array_forward(const struct job *j) {
    const struct rpu_layer *l = &j->n->layers[j->segment->first];
    const struct rows c = band_columns(j);
    const struct rpu_block where = block_of(j, c.first, c.end - c.first);
    float *x = l->vectors + j->slot * l->block + c.first * l->ld;
    if (l->spec->kind == RPU_LAYER_CONV)
        j->n->k->im2col(&l->conv, conv_input(j, l, band_rows(j, j->segment->first)), c.first, c.end - c.first, x,
                        l->ld);
    const double start = rpu_now();
    rpu_array_read(l->array, forward_of(j), &where, x, l->ld, l->y + j->slot * l->y_stride + c.first * l->array->m,
                   l->array->m, j->n->workers[j->thread].scratch, counts_of(j, 0));
    spend(j, RPU_CYCLE_FORWARD, start);
}

/* The pulse trains of the band's vectors, now that inputs and errors are there. */
static void array_draw(const struct job *j) {
    const struct rpu_layer *l = &j->n->layers[j->segment->first];
    const struct rows c = band_columns(j);
    const struct rpu_block where = block_of(j, c.first, c.end - c.first);
    const double start = rpu_now();
    if (!l->trains)
        return;
    rpu_array_draw(l->array, l->columns, &where, l->vectors + j->slot * l->block + c.first * l->ld, l->ld,
                   l->dy + j->slot * l->y_stride + c.first * l->array->m, l->array->m, j->n->config.eta,
                   l->trains + j->slot * l->train_words, j->n->workers[j->thread].scratch,
                   &j->n->workers[j->thread].stats[j->segment->array].update);
    spend(j, RPU_CYCLE_UPDATE, start);
}

static void array_backward(const struct job *j) {
    const struct rpu_layer *l = &j->n->layers[j->segment->first];
    const struct rows c = band_columns(j);
    const struct rpu_block where = block_of(j, c.first, c.end - c.first);
    const double start = rpu_now();
    rpu_array_read(l->array, RPU_ARRAY_BACKWARD, &where, l->dy + j->slot * l->y_stride + c.first * l->array->m,
                   l->array->m, l->gradients + j->slot * l->block + c.first * l->ld, l->ld,
                   j->n->workers[j->thread].scratch, counts_of(j, 1));
    spend(j, RPU_CYCLE_BACKWARD, start);
}

static void activation(const struct job *j, const struct rpu_layer *l, struct rows r) {
    const struct rpu_kernels *k = j->n->k;
    const size_t first = r.first * row_size(l->out), size = (r.end - r.first) * row_size(l->out);
    const float *x = l->x + j->slot * l->x_stride + first;
    float *y = l->y + j->slot * l->y_stride + first;
    if (l->spec->kind == RPU_LAYER_TANH)
        k->tanh(size, x, y);
    else if (l->spec->kind == RPU_LAYER_SIGMOID)
        k->sigmoid(size, x, y);
    else
        k->relu(size, x, y);
}

static void derivative(const struct job *j, const struct rpu_layer *l, struct rows r) {
    const struct rpu_kernels *k = j->n->k;
    const size_t first = r.first * row_size(l->out), size = (r.end - r.first) * row_size(l->out);
    const float *y = l->y + j->slot * l->y_stride + first;
    float *d = l->dy + j->slot * l->y_stride + first;
    if (l->spec->kind == RPU_LAYER_TANH)
        k->dtanh(size, y, d);
    else if (l->spec->kind == RPU_LAYER_SIGMOID)
        k->dsigmoid(size, y, d);
    else
        k->drelu(size, y, d);
    if (l->dx && l->dx != l->dy)
        memcpy(l->dx + j->slot * l->x_stride + first, d, size * sizeof *d);
}

static void pool(const struct job *j, const struct rpu_layer *l, struct rows r) {
    j->n->k->maxpool(&l->pool, l->x + j->slot * l->x_stride, r.first, r.end, l->y + j->slot * l->y_stride,
                     l->where + j->slot * rpu_shape_size(l->out));
}

/* The band is an image of its own, since windows do not overlap its borders. */
static void unpool(const struct job *j, const struct rpu_layer *l, struct rows r) {
    const struct rows in = input_rows(l, r);
    struct rpu_pool_shape shape = l->pool;
    shape.height = (uint32_t)(in.end - in.first);
    shape.out_height = (uint32_t)(r.end - r.first);
    j->n->k->unpool(&shape, l->dy + j->slot * l->y_stride + r.first * row_size(l->out),
                    l->where + j->slot * rpu_shape_size(l->out) + r.first * row_size(l->out),
                    l->dx + j->slot * l->x_stride + in.first * row_size(l->in));
}

/* The layers behind the array, forward. */
static void rest_forward(const struct job *j) {
    for (uint32_t i = j->segment->first + (uint32_t)j->segment->has_array; i < j->segment->last; i++) {
        const struct rpu_layer *l = &j->n->layers[i];
        if (l->spec->kind == RPU_LAYER_MAXPOOL)
            pool(j, l, band_rows(j, i));
        else
            activation(j, l, band_rows(j, i));
    }
}

/* The gradient of the segment's output, as the convolution behind it left it, and back to the array. */
static void rest_backward(const struct job *j) {
    const struct rpu_layer *next = &j->n->layers[j->segment->last];
    if (j->segment->last < j->n->n_layers && next->spec->kind == RPU_LAYER_CONV) {
        const struct rows r = band_rows(j, j->segment->last - 1);
        j->n->k->col2im(&next->conv, next->gradients + j->slot * next->block, next->ld, r.first, r.end,
                        next->dx + j->slot * next->x_stride);
    }
    for (uint32_t i = j->segment->last; i-- > j->segment->first + (uint32_t)j->segment->has_array;) {
        const struct rpu_layer *l = &j->n->layers[i];
        if (l->spec->kind == RPU_LAYER_MAXPOOL)
            unpool(j, l, band_rows(j, i));
        else
            derivative(j, l, band_rows(j, i));
    }
}

/* Softmax and cross-entropy: loss, argmax and, in training, the error (one-hot minus probability: it descends). */
static void loss(const struct job *j) {
    struct rpu_network *n = j->n;
    const struct rpu_layer *l = &n->layers[n->n_layers - 1];
    const size_t size = rpu_shape_size(l->out);
    const uint32_t label = j->pass->images->labels[rpu_pass_index(j->pass, j->image)];
    const float *z = l->y + j->slot * l->y_stride;
    float *d = l->dy + j->slot * l->y_stride;
    uint32_t best = 0;
    for (size_t i = 1; i < size; i++)
        if (z[i] > z[best])
            best = (uint32_t)i;
    n->guess[j->image] = best;
    n->loss[j->image] = n->k->softmax(size, z, d) - z[label];
    for (size_t i = 0; i < size; i++)
        d[i] = (i == label ? 1.0f : 0.0f) - d[i];
}

/* ---- reads in parts ---- */

static const struct rpu_array_parts *division_of(const struct job *j, int backward) {
    return backward ? &j->segment->backward : &j->segment->forward;
}

/* Buffers of a read in parts: those of the images that threads share are numbered from 0. */
static size_t number_of(const struct job *j) {
    return j->slot - j->pass->begin - j->pass->whole;
}

static float *stored_of(const struct job *j, const struct rpu_layer *l, int backward) {
    return l->stored ? l->stored + number_of(j) * division_of(j, backward)->floats : NULL;
}

static struct rpu_read_counts *part_counts_of(const struct job *j, const struct rpu_layer *l, int backward) {
    return l->part_counts + number_of(j) * division_of(j, backward)->parts;
}

static void read_part(const struct job *j, int backward) {
    const struct rpu_layer *l = &j->n->layers[j->segment->first];
    const struct rpu_block where = block_of(j, 0, 1);
    const float *in = backward ? l->dy + j->slot * l->y_stride : l->vectors + j->slot * l->block;
    float *out = backward ? l->gradients + j->slot * l->block : l->y + j->slot * l->y_stride;
    struct rpu_read_counts counts = {0, 0, 0};
    const double start = rpu_now();
    rpu_array_read_part(l->array, backward ? RPU_ARRAY_BACKWARD : forward_of(j), &where, in, out,
                        division_of(j, backward), j->part, stored_of(j, l, backward), j->n->workers[j->thread].scratch,
                        &counts);
    if (division_of(j, backward)->needs_finish)
        part_counts_of(j, l, backward)[j->part] = counts;
    else
        rpu_array_count_part(j->part, &counts, counts_of(j, backward));
    spend(j, backward ? RPU_CYCLE_BACKWARD : RPU_CYCLE_FORWARD, start);
}

static void read_finish(const struct job *j, int backward) {
    const struct rpu_layer *l = &j->n->layers[j->segment->first];
    const struct rpu_block where = block_of(j, 0, 1);
    const float *in = backward ? l->dy + j->slot * l->y_stride : l->vectors + j->slot * l->block;
    float *out = backward ? l->gradients + j->slot * l->block : l->y + j->slot * l->y_stride;
    const double start = rpu_now();
    rpu_array_read_finish(l->array, backward ? RPU_ARRAY_BACKWARD : forward_of(j), &where, in, out,
                          division_of(j, backward), stored_of(j, l, backward), part_counts_of(j, l, backward),
                          j->n->workers[j->thread].scratch, counts_of(j, backward));
    spend(j, backward ? RPU_CYCLE_BACKWARD : RPU_CYCLE_FORWARD, start);
}

/* ---- steps ---- */

/* The first array's backward read has no use. */
static int reads_backward(const struct rpu_segment *s) {
    return s->has_array && s->array > 0;
}

/* Of an image that threads share, pulses of a single vector are not drawn on the way back, where others would wait. */
static int draws_apart(const struct rpu_network *n, const struct rpu_segment *s) {
    return n->layers[s->first].columns == 1;
}

static void backward_before(const struct job *j) {
    rest_backward(j);
    if (j->segment->has_array && (j->whole || !draws_apart(j->n, j->segment)))
        array_draw(j);
}

static void do_step(enum rpu_step_kind kind, const struct job *j) {
    switch (kind) {
    case RPU_STEP_FORWARD:
        if (j->segment->has_array)
            array_forward(j);
        rest_forward(j);
        break;
    case RPU_STEP_FORWARD_READ: read_part(j, 0); break;
    case RPU_STEP_FORWARD_FINISH:
        if (j->segment->forward.needs_finish)
            read_finish(j, 0);
        rest_forward(j);
        break;
    case RPU_STEP_LOSS: loss(j); break;
    case RPU_STEP_BACKWARD:
        backward_before(j);
        if (reads_backward(j->segment))
            array_backward(j);
        break;
    case RPU_STEP_BACKWARD_BEFORE: backward_before(j); break;
    case RPU_STEP_BACKWARD_READ: read_part(j, 1); break;
    case RPU_STEP_BACKWARD_FINISH: read_finish(j, 1); break;
    }
}

static const char *step_name(enum rpu_step_kind kind) {
    static const char *const names[] = {"forward",  "forward, part",    "forward, end",   "loss",
                                        "backward", "backward, before", "backward, part", "backward, end"};
    return names[kind];
}

static const char *name_of(const struct rpu_network *n, const struct rpu_segment *s) {
    return s ? n->layers[s->first].spec->name : "";
}

/* Steps [first, last) of one image, or of a part of it. */
static void do_steps(const struct rpu_entry *e, struct job *j, uint32_t first, uint32_t last) {
    struct rpu_sched *sched = e->network->engine->sched;
    for (uint32_t i = first; i < last; i++) {
        const struct rpu_step *step = &e->network->plan.steps[i];
        const double begin = rpu_sched_begin(sched);
        j->segment = step->segment;
        do_step(step->kind, j);
        rpu_sched_end(sched, j->thread, step_name(step->kind), name_of(e->network, step->segment),
                      j->image * j->parts + j->part, begin);
    }
}

/* Of an image that is not trained on. */
static const char *test_name(enum rpu_step_kind kind) {
    return kind == RPU_STEP_LOSS ? "test, loss" : "test";
}

/* The steps of whole images know of no parts. */
static void do_whole(const struct rpu_entry *e, struct job *j, uint32_t first, uint32_t last,
                     const char *(*name)(enum rpu_step_kind)) {
    const struct rpu_plan *plan = &e->network->plan;
    struct rpu_sched *sched = e->network->engine->sched;
    for (uint32_t i = first; i < last; i++) {
        const struct rpu_step *step = &plan->steps[i];
        enum rpu_step_kind kind = step->kind;
        const double begin = rpu_sched_begin(sched);
        if (kind == RPU_STEP_FORWARD_FINISH || kind == RPU_STEP_BACKWARD_READ || kind == RPU_STEP_BACKWARD_FINISH)
            continue; /* one step for the three */
        kind = kind == RPU_STEP_FORWARD_READ      ? RPU_STEP_FORWARD
               : kind == RPU_STEP_BACKWARD_BEFORE ? RPU_STEP_BACKWARD
                                                  : kind;
        j->segment = step->segment;
        do_step(kind, j);
        rpu_sched_end(sched, j->thread, name(kind), name_of(e->network, step->segment), j->image, begin);
    }
}

static void whole_item(void *context, size_t item, int thread) {
    const struct rpu_entry *e = context;
    const size_t image = e->network->pass.begin + item;
    struct job j = {e->network, &e->network->pass, NULL, image, image, 0, 1, thread, 1};
    rpu_pass_load(e->network, image, image);
    do_whole(e, &j, e->first, e->last, step_name);
}

/* Any image in the thread's own buffers. */
static void evaluate_item(void *context, size_t item, int thread) {
    const struct rpu_entry *e = context;
    const size_t image = e->network->pass.begin + item;
    struct job j = {e->network, &e->network->pass, NULL, (size_t)thread, image, 0, 1, thread, 1};
    rpu_pass_load(e->network, (size_t)thread, image);
    do_whole(e, &j, 0, e->network->plan.n_forward, test_name);
}

static void shared_item(void *context, size_t item, int thread) {
    const struct rpu_entry *e = context;
    const size_t image = e->network->pass.begin + e->network->pass.whole + item / e->parts;
    struct job j = {e->network, &e->network->pass, NULL, image, image, item % e->parts, e->parts, thread, 0};
    do_steps(e, &j, e->first, e->last);
}

/* Pulses of a shared image that its passes did not draw. */
static void draw_item(void *context, size_t item, int thread) {
    const struct rpu_entry *e = context;
    const size_t image = e->network->pass.begin + e->network->pass.whole + item;
    const struct job j = {e->network, &e->network->pass, e->segment, image, image, 0, 1, thread, 1};
    array_draw(&j);
}

/* Parts of an array's tiles. Each goes through all pulses, so that one thread alone takes whole tiles. */
static size_t update_parts(const struct rpu_entry *e) {
    return e->network->pass.alone ? 1 : e->parts;
}

static void update_item(void *context, size_t item, int thread) {
    const struct rpu_entry *e = context;
    struct rpu_network *n = e->network;
    const struct rpu_layer *l = &n->layers[n->arrays[e->array]];
    struct rpu_array_stats *stats = &n->workers[thread].stats[e->array];
    const double start = rpu_now();
    double spent;
    for (size_t i = 0; i < n->pass.count; i++) {
        const struct rpu_block where = {(uint32_t)(n->pass.step + i), 0, l->columns, 0};
        rpu_array_apply_part(l->array, &where, l->vectors + i * l->block, l->ld, l->dy + i * l->y_stride, l->array->m,
                             n->config.eta, l->trains ? l->trains + i * l->train_words : NULL, update_parts(e), item,
                             n->workers[thread].scratch, &stats->update);
    }
    spent = spent_since(n, start);
    stats->seconds[RPU_CYCLE_UPDATE] += spent;
    stats->apply_seconds += spent;
}

/* ---- the plan ---- */

/* Whether a layer can follow in the same bands. */
static int joins(const struct rpu_layer *l) {
    return rpu_layer_is_activation(l->spec) || (l->spec->kind == RPU_LAYER_MAXPOOL && l->pool.window <= l->pool.stride);
}

/* Rows of the segment's last output in a band: enough columns, enough work. */
static size_t bands_of(const struct rpu_network *n, const struct rpu_segment *s, size_t threads) {
    const struct rpu_layer *l = &n->layers[s->first], *last = &n->layers[s->last - 1];
    if (!s->has_array || l->spec->kind != RPU_LAYER_CONV || threads == 1)
        return 1;
    const size_t rows = last->out.height, columns = l->columns / rows;
    const size_t crosspoints = (size_t)l->array->m * l->array->n;
    return rpu_parts(rows, (RPU_BAND_COLUMNS + columns - 1) / (columns ? columns : 1), columns * crosspoints,
                     RPU_BAND_WORK, threads * RPU_BANDS_OF_A_THREAD);
}

static void make_segments(struct rpu_network *n) {
    struct rpu_plan *p = &n->plan;
    const size_t threads = n->n_workers;
    uint32_t array = 0;
    for (uint32_t i = 0; i < n->n_layers;) {
        struct rpu_segment *s = &p->segments[p->n_segments++];
        s->first = i;
        s->has_array = n->layers[i].array != NULL;
        s->array = s->has_array ? array++ : 0;
        for (i++; i < n->n_layers && joins(&n->layers[i]); i++)
            ;
        s->last = i;
        s->bands = bands_of(n, s, threads);
        s->forward = s->backward = (struct rpu_array_parts){1, 0, 0};
        if (s->has_array && n->layers[s->first].spec->kind == RPU_LAYER_FC) {
            s->forward = rpu_array_divide(n->layers[s->first].array, RPU_ARRAY_FORWARD, threads);
            s->backward = rpu_array_divide(n->layers[s->first].array, RPU_ARRAY_BACKWARD, threads);
        }
    }
}

static void add_step(struct rpu_plan *p, enum rpu_step_kind kind, const struct rpu_segment *s, size_t parts) {
    p->steps[p->n_steps++] = (struct rpu_step){kind, s, parts};
}

static void make_steps(struct rpu_network *n) {
    struct rpu_plan *p = &n->plan;
    for (uint32_t i = 0; i < p->n_segments; i++) {
        const struct rpu_segment *s = &p->segments[i];
        if (s->forward.parts == 1) {
            add_step(p, RPU_STEP_FORWARD, s, s->bands);
            continue;
        }
        add_step(p, RPU_STEP_FORWARD_READ, s, s->forward.parts);
        add_step(p, RPU_STEP_FORWARD_FINISH, s, 1);
    }
    add_step(p, RPU_STEP_LOSS, NULL, 1);
    p->n_forward = p->n_steps;
    /* from the last segment to the one with the first array */
    for (uint32_t i = p->n_segments; i-- > 0;) {
        const struct rpu_segment *s = &p->segments[i];
        if (s->backward.parts == 1 || !reads_backward(s)) {
            add_step(p, RPU_STEP_BACKWARD, s, s->bands);
        } else {
            add_step(p, RPU_STEP_BACKWARD_BEFORE, s, 1);
            add_step(p, RPU_STEP_BACKWARD_READ, s, s->backward.parts);
            if (s->backward.needs_finish)
                add_step(p, RPU_STEP_BACKWARD_FINISH, s, 1);
        }
        if (s->has_array && s->array == 0)
            break;
    }
}

static uint32_t add_entry(struct rpu_network *n, rpu_item_fn *fn, const struct rpu_entry *entry) {
    struct rpu_plan *p = &n->plan;
    const uint32_t k = p->n_list++;
    p->entries[k] = *entry;
    p->list[k] = (struct rpu_work){.fn = fn, .context = &p->entries[k]};
    return k;
}

static void follow(struct rpu_plan *p, uint32_t entry, uint32_t before) {
    struct rpu_work *w = &p->list[entry];
    w->after[w->n_after++] = before;
}

/* Steps that are not divided are one entry with their neighbours. */
static void list_steps(struct rpu_network *n, uint32_t last_of_array[RPU_LAYERS_MAX]) {
    struct rpu_plan *p = &n->plan;
    for (uint32_t i = 0; i < p->n_steps;) {
        const uint32_t first = i;
        const size_t parts = p->steps[i].parts;
        for (i++; parts == 1 && i < p->n_steps && p->steps[i].parts == 1; i++)
            ;
        const uint32_t k = add_entry(n, shared_item, &(struct rpu_entry){n, first, i, 0, parts, NULL});
        if (k > 1)
            follow(p, k, k - 1);
        for (uint32_t s = first; s < i; s++)
            if (p->steps[s].segment && p->steps[s].segment->has_array)
                last_of_array[p->steps[s].segment->array] = k;
    }
}

/* What an update costs, roughly: numbers drawn for a whole image. */
static size_t update_cost(const struct rpu_layer *l) {
    return (size_t)l->columns * ((size_t)l->array->m + l->array->n) * l->array->tiles[0]->devices;
}

/* Arrays in the order in which their updates are to be done, where there is a choice: the longest first. */
static void order_updates(const struct rpu_network *n, uint32_t order[RPU_LAYERS_MAX]) {
    for (uint32_t a = 0; a < n->n_arrays; a++) {
        const size_t cost = update_cost(&n->layers[n->arrays[a]]);
        uint32_t at = a;
        for (; at > 0 && update_cost(&n->layers[n->arrays[order[at - 1]]]) < cost; at--)
            order[at] = order[at - 1];
        order[at] = a;
    }
}

static uint32_t add_filler(struct rpu_network *n, rpu_item_fn *fn, const struct rpu_entry *entry, const char *name) {
    const uint32_t k = add_entry(n, fn, entry);
    struct rpu_work *w = &n->plan.list[k];
    w->items = entry->parts;
    w->filler = 1;
    w->name = name;
    w->of = n->layers[n->arrays[entry->array]].spec->name;
    return k;
}

static const struct rpu_segment *segment_of(const struct rpu_plan *p, uint32_t array) {
    const struct rpu_segment *s = p->segments;
    while (!s->has_array || s->array != array)
        s++;
    return s;
}

static void list_updates(struct rpu_network *n, const uint32_t last_of_array[RPU_LAYERS_MAX]) {
    struct rpu_plan *p = &n->plan;
    uint32_t order[RPU_LAYERS_MAX] = {0};
    order_updates(n, order);
    for (uint32_t i = 0; i < n->n_arrays; i++) {
        const uint32_t a = order[i];
        const struct rpu_layer *l = &n->layers[n->arrays[a]];
        const struct rpu_segment *s = segment_of(p, a);
        const size_t parts = rpu_array_update_parts(l->array, l->columns, n->n_workers);
        struct rpu_entry entry = {n, 0, 0, a, 0, s};
        uint32_t drawn = 0;
        if (l->trains && draws_apart(n, s)) {
            drawn = add_filler(n, draw_item, &entry, "pulses");
            follow(p, drawn, last_of_array[a]);
        }
        entry.parts = parts;
        const uint32_t k = add_filler(n, update_item, &entry, "update");
        follow(p, k, 0);
        follow(p, k, last_of_array[a]);
        if (drawn)
            follow(p, k, drawn);
    }
}

void rpu_plan_make(struct rpu_network *n) {
    uint32_t last_of_array[RPU_LAYERS_MAX] = {0};
    struct rpu_plan *p = &n->plan;
    make_segments(n);
    make_steps(n);
    add_entry(n, whole_item, &(struct rpu_entry){n, 0, p->n_steps, 0, 1, NULL});
    list_steps(n, last_of_array);
    p->n_passes = p->n_list;
    list_updates(n, last_of_array);
}

/* Sets how many items the passes of this process's images have, and the updates. */
static void count_passes(struct rpu_network *n) {
    struct rpu_plan *p = &n->plan;
    struct rpu_pass *pass = &n->pass;
    const size_t own = pass->end - pass->begin, rest = pass->alone ? 0 : own % n->n_workers;
    pass->whole = own - rest;
    p->list[0].items = pass->whole;
    for (uint32_t k = 1; k < p->n_passes; k++)
        p->list[k].items = rest * p->entries[k].parts;
    for (uint32_t k = p->n_passes; k < p->n_list; k++) {
        const struct rpu_entry *e = &p->entries[k];
        p->list[k].items =
            p->list[k].fn == draw_item ? rest : update_parts(e) * rpu_array_tiles(n->layers[n->arrays[e->array]].array);
    }
    for (size_t i = pass->begin + pass->whole; i < pass->end && !loads_bands(n); i++)
        rpu_pass_load(n, i, i);
}

void rpu_plan_train(struct rpu_network *n) {
    struct rpu_sched *sched = n->engine->sched;
    const int choice = n->n_workers > 1 && n->engine->share == RPU_SHARE_AUTO;
    const double start = choice ? rpu_now() : 0.0;
    n->pass.alone = choice && rpu_alone_next(&n->alone);
    count_passes(n);
    if (n->pass.alone) {
        rpu_sched_run_alone(sched, n->plan.list, n->plan.n_list);
        n->images_alone += n->pass.count;
    } else {
        rpu_sched_run(sched, n->plan.list, n->plan.n_list);
    }
    if (choice)
        rpu_alone_took(&n->alone, n->pass.count, rpu_now() - start);
}

void rpu_plan_passes(struct rpu_network *n) {
    count_passes(n);
    rpu_sched_run(n->engine->sched, n->plan.list, n->plan.n_passes);
}

void rpu_plan_updates(struct rpu_network *n) {
    struct rpu_plan *p = &n->plan;
    for (uint32_t k = 0; k < p->n_passes; k++)
        p->list[k].items = 0;
    rpu_sched_run(n->engine->sched, p->list, p->n_list);
}

void rpu_plan_evaluate(struct rpu_network *n) {
    struct rpu_work work = {.fn = evaluate_item, .context = &n->plan.entries[0], .items = n->pass.end - n->pass.begin};
    n->pass.whole = work.items;
    rpu_sched_run(n->engine->sched, &work, 1);
}
