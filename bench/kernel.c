/* SPDX-License-Identifier: Apache-2.0 */
/* Every variant of every kernel alone, hot, over the shape files:
 *   kernel/<operation>/<variant>/<out>x<in>/cols:<n>/team:1/hot
 * Kernels that work on a row of numbers take the lengths of shapes_vector.txt; those of arrays the shapes of LeNet's
 * and AlexNet's, and square ones; those of images the images around these networks' convolutions: windows on the way
 * in, pooling on the way out. Each is compared with the generic variant, bit for bit, before it is timed. */
#include "amount.h"
#include "bench.h"
#include "machine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A kernel with its inputs and outputs. */
struct work {
    const struct rpu_kernels *k;
    const struct shape *shape;
    struct inputs in;
    struct rpu_stream stream, ties;
    float *w;
    size_t ldw;
    uint16_t *hi, *lo;
    float *scratch, *values, *factors;
    uint8_t *where;
    uint32_t *saturated;
    struct rpu_output_stage stage;
    struct rpu_conv_shape conv;
    struct rpu_pool_shape pool;
    struct cycle cycle; /* pulse_draw, pulse_apply */
    const void *result; /* of these */
    void *out;
    size_t out_bytes;
    uint64_t returned; /* what the kernel returned or counted last */
};

/* Which shapes a kernel takes. */
enum takes { ROWS, ARRAYS, WINDOWS, POOLINGS };

struct operation {
    const char *name;
    enum takes takes;
    void (*make)(struct work *w);
    void (*run)(struct work *w);
    /* What a call amounts to: things (elements, or crosspoints), operations and bytes. */
    double (*amount)(const struct work *w, struct amount *a);
    void (*settle)(struct work *w); /* after the comparison, before the clock starts; may be null */
};

/* A registered benchmark. */
struct entry {
    struct bench *bench;
    struct kernel_bench *all;
    const struct rpu_engine *engine;
    const struct operation *operation;
    struct shape shape;
    int checked;
};

struct kernel_bench {
    const struct entry *made; /* whose work is there */
    struct work work;
};

/* ---- amounts ---- */

/* Of a row of n numbers: operations and bytes for each. */
static double row_amount(const struct work *w, struct amount *a, double flops, double bytes) {
    a->flops = flops * w->in.n;
    a->bytes = a->set = bytes * w->in.n;
    a->writes = 1;
    return w->in.n;
}

/* Bytes of an array with its inputs and outputs. */
static double array_bytes(const struct work *w) {
    const double m = w->in.m, n = w->in.n, columns = w->in.columns;
    return sizeof(float) * (m * n + columns * (m + n));
}

static double array_amount(const struct work *w, struct amount *a, double flops) {
    a->crosspoints = (double)w->in.m * w->in.n * w->in.columns;
    a->flops = flops;
    a->bytes = a->set = array_bytes(w);
    return a->crosspoints;
}

/* ---- random numbers ---- */

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

static double amount_philox(const struct work *w, struct amount *a) {
    return row_amount(w, a, 0.0, sizeof(uint32_t));
}

static void run_gaussian(struct work *w) {
    w->k->gaussian(&w->stream, 0, w->in.n, w->out);
}

static double amount_gaussian(const struct work *w, struct amount *a) {
    return row_amount(w, a, FLOPS_GAUSSIAN, sizeof(float));
}

static void make_threshold(struct work *w) {
    make_out(w, (size_t)w->in.n * 2 * sizeof(uint16_t));
}

static void run_threshold(struct work *w) {
    uint16_t *hi = w->out;
    w->returned = w->k->threshold(w->in.n, 1.2f, w->in.x, hi, hi + w->in.n);
}

static double amount_threshold(const struct work *w, struct amount *a) {
    return row_amount(w, a, FLOPS_THRESHOLD, sizeof(float) + 2 * sizeof(uint16_t));
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

static double amount_bernoulli(const struct work *w, struct amount *a) {
    return row_amount(w, a, 0.0, 2 * sizeof(uint16_t) + 0.125);
}

/* ---- activations, their gradients, loss ---- */

static void run_tanh(struct work *w) {
    w->k->tanh(w->in.n, w->in.x, w->out);
}

static double amount_tanh(const struct work *w, struct amount *a) {
    return row_amount(w, a, FLOPS_TANH, 2 * sizeof(float));
}

static void run_sigmoid(struct work *w) {
    w->k->sigmoid(w->in.n, w->in.x, w->out);
}

static double amount_sigmoid(const struct work *w, struct amount *a) {
    return row_amount(w, a, FLOPS_SIGMOID, 2 * sizeof(float));
}

static void run_relu(struct work *w) {
    w->k->relu(w->in.n, w->in.x, w->out);
}

static double amount_relu(const struct work *w, struct amount *a) {
    return row_amount(w, a, 1.0, 2 * sizeof(float));
}

static void run_softmax(struct work *w) {
    float loss = w->k->softmax(w->in.n, w->in.x, w->out);
    memcpy(&w->returned, &loss, sizeof loss);
}

static double amount_softmax(const struct work *w, struct amount *a) {
    return row_amount(w, a, FLOPS_SOFTMAX, 2 * sizeof(float));
}

/* Gradients in place, from outputs that are x to begin with. */
static void make_gradient(struct work *w) {
    float *d;
    uint64_t rng = 5;
    make_vector(w);
    d = w->out;
    for (size_t i = 0; i < w->in.n; i++)
        d[i] = (float)random_gaussian(&rng);
}

/* In place, again and again, a gradient would fade into denormal numbers, which are slow. So the outputs become such
 * that its size stays. */
static void settle_gradient(struct work *w, float y) {
    for (size_t i = 0; i < w->in.n; i++)
        w->in.x[i] = y;
}

static void settle_dtanh(struct work *w) {
    settle_gradient(w, 0.0f); /* 1 - y y = 1 */
}

static void settle_dsigmoid(struct work *w) {
    settle_gradient(w, 1.6180339887f); /* y (1 - y) = -1 */
}

static void run_dtanh(struct work *w) {
    w->k->dtanh(w->in.n, w->in.x, w->out);
}

static void run_dsigmoid(struct work *w) {
    w->k->dsigmoid(w->in.n, w->in.x, w->out);
}

static void run_drelu(struct work *w) {
    w->k->drelu(w->in.n, w->in.x, w->out);
}

static double amount_gradient(const struct work *w, struct amount *a) {
    return row_amount(w, a, 3.0, 3 * sizeof(float));
}

static double amount_drelu(const struct work *w, struct amount *a) {
    return row_amount(w, a, 1.0, 3 * sizeof(float));
}

/* ---- gains ---- */

/* A vector's maxima are positive. */
static void make_gains(struct work *w) {
    w->values = room(w->in.n * sizeof *w->values);
    w->factors = room(w->in.n * sizeof *w->factors);
    for (size_t i = 0; i < w->in.n; i++) {
        w->values[i] = fabsf(w->in.x[i]);
        w->factors[i] = 0.1f * fabsf(w->in.x[w->in.n - 1 - i]);
    }
    make_out(w, (size_t)w->in.n * 2 * sizeof(float));
}

static void run_gains(struct work *w) {
    float *out = w->out;
    w->k->gains(w->in.n, 3.0f, 1, w->values, w->factors, out, out + w->in.n);
}

static double amount_gains(const struct work *w, struct amount *a) {
    return row_amount(w, a, FLOPS_GAINS, 4 * sizeof(float));
}

/* ---- reads ---- */

static void make_absmax(struct work *w) {
    make_out(w, w->in.columns * sizeof(float));
}

static void run_absmax(struct work *w) {
    w->k->absmax(w->in.columns, w->in.n, w->in.x, w->in.ldx, w->out);
}

static double amount_absmax(const struct work *w, struct amount *a) {
    const double inputs = (double)w->in.columns * w->in.n;
    a->flops = inputs;
    a->bytes = a->set = sizeof(float) * inputs;
    return inputs;
}

static void make_dac(struct work *w) {
    w->values = room(w->in.columns * sizeof *w->values);
    w->k->absmax(w->in.columns, w->in.n, w->in.x, w->in.ldx, w->values);
    for (size_t p = 0; p < w->in.columns; p++)
        w->values[p] = 1.0f / w->values[p];
    make_out(w, (size_t)w->in.columns * w->in.ldx * sizeof(float));
}

static void run_dac(struct work *w) {
    w->k->dac(w->in.columns, w->in.n, w->in.x, w->in.ldx, w->values, 63.0f, 1.0f / 63.0f, w->out, w->in.ldx);
}

static double amount_dac(const struct work *w, struct amount *a) {
    const double inputs = (double)w->in.columns * w->in.n;
    a->flops = inputs * (FLOPS_CONVERTER + 1.0);
    a->bytes = a->set = 2 * sizeof(float) * inputs;
    a->writes = 1;
    return inputs;
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

static double amount_forward(const struct work *w, struct amount *a) {
    return array_amount(w, a, 2.0 * (double)w->in.m * w->in.n * w->in.columns);
}

static void make_backward(struct work *w) {
    make_weights(w);
    make_out(w, (size_t)w->in.columns * w->ldw * sizeof(float));
}

static void run_backward(struct work *w) {
    w->k->backward(w->in.m, w->in.n, w->in.columns, w->w, w->ldw, w->in.d, w->in.ldd, w->out, w->ldw);
}

static double amount_backward(const struct work *w, struct amount *a) {
    return array_amount(w, a, 2.0 * inputs_errors(&w->in) * w->in.n);
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

static double amount_epilogue(const struct work *w, struct amount *a) {
    const double outputs = (double)w->in.columns * w->in.m;
    a->flops = outputs * (FLOPS_GAUSSIAN + FLOPS_OUTPUT);
    a->bytes = 2 * sizeof(float) * outputs;
    a->set = sizeof(float) * outputs;
    a->writes = 1;
    return outputs;
}

/* ---- updates ---- */

/* The array is made for the engine in make_work. */
static void draw_pulses(struct work *w) {
    struct cycle *c = &w->cycle;
    const struct rpu_block where = {c->image++, 0, w->in.columns, 0};
    rpu_update_draw(c->tile, &where, w->in.x, w->in.ldx, w->in.d, w->in.ldd, &c->gains, c->trains, 0, c->scratch,
                    &c->updates);
}

static void make_pulse_draw(struct work *w) {
    struct cycle *c = &w->cycle;
    rpu_update_gains(c->tile, w->in.columns, w->in.x, w->in.ldx, w->in.d, w->in.ldd, 0.01f, &c->gains);
    w->out_bytes = w->in.columns * rpu_update_train_words(c->tile) * sizeof *c->trains;
    w->result = c->trains;
}

static void run_pulse_draw(struct work *w) {
    draw_pulses(w);
    w->returned = w->cycle.updates.column_pulses;
}

static double amount_pulse_draw(const struct work *w, struct amount *a) {
    const double numbers = (double)w->in.columns * ((double)w->in.m + w->in.n);
    a->flops = numbers * FLOPS_THRESHOLD;
    a->bytes = sizeof(float) * numbers + (double)w->out_bytes;
    a->set = a->bytes;
    a->writes = 1;
    return numbers;
}

/* The pulses of one image, again and again, as of other images. */
static void make_pulse_apply(struct work *w) {
    const struct rpu_tile *t = w->cycle.tile;
    make_pulse_draw(w);
    draw_pulses(w);
    w->cycle.image = 0;
    w->out_bytes = t->m * t->ldw * sizeof *t->w;
    w->result = t->w;
}

static void run_pulse_apply(struct work *w) {
    struct cycle *c = &w->cycle;
    const struct rpu_block where = {c->image++, 0, w->in.columns, 0};
    rpu_tile_apply(c->tile, &where, NULL, 0, NULL, 0, 0.01f, c->trains, 0, w->in.m, c->scratch, &c->updates);
    w->returned = c->updates.coincidences;
}

static double amount_pulse_apply(const struct work *w, struct amount *a) {
    const double m = w->in.m, n = w->in.n, columns = w->in.columns, each = w->cycle.image > 0 ? w->cycle.image : 1;
    const double coincidences = (double)w->returned / each, hit = coincidences < m * n ? coincidences : m * n;
    const double trains = (double)(w->in.columns * rpu_update_train_words(w->cycle.tile) * sizeof(uint64_t));
    a->crosspoints = m * n * columns;
    a->flops = coincidences * FLOPS_COINCIDENCE;
    a->bytes = 16.0 * hit + trains;
    a->set = 12.0 * m * n + trains;
    a->writes = 1;
    return a->crosspoints;
}

static void make_outer(struct work *w) {
    make_weights(w);
    w->out = w->w;
    w->w = NULL;
    w->out_bytes = w->in.m * w->ldw * sizeof *w->w;
}

static void run_outer(struct work *w) {
    w->k->outer(0, w->in.m, w->in.n, w->in.columns, w->out, w->ldw, w->in.x, w->in.ldx, w->in.d, w->in.ldd, 1e-6f);
}

static double amount_outer(const struct work *w, struct amount *a) {
    const double errors = inputs_errors(&w->in);
    array_amount(w, a, errors * (2.0 * w->in.n + 1.0));
    a->bytes += sizeof(float) * (double)w->in.m * w->in.n;
    a->writes = 1;
    return a->crosspoints;
}

/* ---- images: the windows before a convolution array, the pooling behind it ---- */

static uint32_t side_of(const struct inputs *in) {
    return (uint32_t)sqrt((double)in->columns);
}

/* Inputs but for the bias. */
static uint32_t elements_of(const struct work *w) {
    return w->conv.kernel * w->conv.kernel * w->conv.channels;
}

static size_t image_of(const struct work *w) {
    return (size_t)w->conv.height * w->conv.width * w->conv.channels;
}

static float *random_values(size_t count) {
    float *v = room((count + 8) * sizeof *v);
    uint64_t rng = 9;
    for (size_t i = 0; i < count; i++)
        v[i] = (float)(2.0 * random_unit(&rng) - 1.0);
    return v;
}

static void make_conv(struct work *w) {
    const struct shape *s = w->shape;
    const uint32_t side = side_of(&w->in), in = (side - 1) * s->stride + s->kernel - 2 * s->padding;
    const uint32_t window = s->kernel * s->kernel;
    w->conv =
        (struct rpu_conv_shape){in, in, s->in / window, s->kernel, s->stride, s->padding, side, side, s->in % window};
}

static void make_im2col(struct work *w) {
    make_conv(w);
    w->values = random_values(image_of(w));
    make_out(w, (size_t)w->in.columns * w->in.ldx * sizeof(float));
}

static void run_im2col(struct work *w) {
    w->k->im2col(&w->conv, w->values, 0, w->in.columns, w->out, w->in.ldx);
}

static void make_col2im(struct work *w) {
    make_conv(w);
    make_out(w, image_of(w) * sizeof(float));
}

static void run_col2im(struct work *w) {
    w->k->col2im(&w->conv, w->in.x, w->in.ldx, 0, w->conv.height, w->out);
}

static double window_amount(const struct work *w, struct amount *a, double flops) {
    const double elements = (double)w->in.columns * elements_of(w);
    a->flops = flops * elements;
    a->bytes = a->set = sizeof(float) * (elements + (double)image_of(w));
    a->writes = 1;
    return elements;
}

static double amount_im2col(const struct work *w, struct amount *a) {
    return window_amount(w, a, 0.0);
}

static double amount_col2im(const struct work *w, struct amount *a) {
    return window_amount(w, a, 1.0);
}

static size_t pooled(const struct work *w) {
    return (size_t)w->pool.out_height * w->pool.out_width * w->pool.channels;
}

static void make_pool(struct work *w) {
    const uint32_t side = side_of(&w->in), window = w->shape->pool_window, stride = w->shape->pool_stride;
    const uint32_t out = (side - window) / stride + 1;
    w->pool = (struct rpu_pool_shape){side, side, w->in.m, window, stride, out, out};
    w->values = random_values((size_t)side * side * w->in.m);
    w->where = room(pooled(w));
}

static void make_maxpool(struct work *w) {
    make_pool(w);
    make_out(w, pooled(w) * sizeof(float));
}

static void run_maxpool(struct work *w) {
    w->k->maxpool(&w->pool, w->values, 0, w->pool.out_height, w->out, w->where);
    w->returned = w->where[pooled(w) - 1];
}

static void make_unpool(struct work *w) {
    const size_t size = (size_t)w->in.columns * w->in.m;
    uint64_t rng = 15;
    make_pool(w);
    make_out(w, size * sizeof(float));
    for (size_t i = 0; i < pooled(w); i++)
        w->where[i] = (uint8_t)(w->pool.window * w->pool.window * random_unit(&rng));
}

static void run_unpool(struct work *w) {
    w->k->unpool(&w->pool, w->values, w->where, w->out);
}

static double pool_amount(const struct work *w, struct amount *a, double flops) {
    const double in = (double)w->in.columns * w->in.m, out = (double)pooled(w);
    a->flops = flops * out;
    a->bytes = a->set = sizeof(float) * (in + out) + out;
    a->writes = 1;
    return in;
}

static double amount_maxpool(const struct work *w, struct amount *a) {
    return pool_amount(w, a, w->pool.window * w->pool.window - 1);
}

static double amount_unpool(const struct work *w, struct amount *a) {
    return pool_amount(w, a, 1.0);
}

static const struct operation operations[] = {
    {"philox", ROWS, make_vector, run_philox, amount_philox, NULL},
    {"gaussian", ROWS, make_vector, run_gaussian, amount_gaussian, NULL},
    {"threshold", ROWS, make_threshold, run_threshold, amount_threshold, NULL},
    {"bernoulli", ROWS, make_bernoulli, run_bernoulli, amount_bernoulli, NULL},
    {"gains", ROWS, make_gains, run_gains, amount_gains, NULL},
    {"tanh", ROWS, make_vector, run_tanh, amount_tanh, NULL},
    {"sigmoid", ROWS, make_vector, run_sigmoid, amount_sigmoid, NULL},
    {"relu", ROWS, make_vector, run_relu, amount_relu, NULL},
    {"dtanh", ROWS, make_gradient, run_dtanh, amount_gradient, settle_dtanh},
    {"dsigmoid", ROWS, make_gradient, run_dsigmoid, amount_gradient, settle_dsigmoid},
    {"drelu", ROWS, make_gradient, run_drelu, amount_drelu, NULL},
    {"softmax", ROWS, make_vector, run_softmax, amount_softmax, NULL},
    {"absmax", ARRAYS, make_absmax, run_absmax, amount_absmax, NULL},
    {"dac", ARRAYS, make_dac, run_dac, amount_dac, NULL},
    {"forward", ARRAYS, make_forward, run_forward, amount_forward, NULL},
    {"backward", ARRAYS, make_backward, run_backward, amount_backward, NULL},
    {"epilogue", ARRAYS, make_epilogue, run_epilogue, amount_epilogue, NULL},
    {"pulse_draw", ARRAYS, make_pulse_draw, run_pulse_draw, amount_pulse_draw, NULL},
    {"pulse_apply", ARRAYS, make_pulse_apply, run_pulse_apply, amount_pulse_apply, NULL},
    {"outer", ARRAYS, make_outer, run_outer, amount_outer, NULL},
    {"im2col", WINDOWS, make_im2col, run_im2col, amount_im2col, NULL},
    {"col2im", WINDOWS, make_col2im, run_col2im, amount_col2im, NULL},
    {"maxpool", POOLINGS, make_maxpool, run_maxpool, amount_maxpool, NULL},
    {"unpool", POOLINGS, make_unpool, run_unpool, amount_unpool, NULL},
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
    free(w->values);
    free(w->factors);
    free(w->where);
    free(w->saturated);
    *w = (struct work){0};
}

static int make_work(struct work *w, const struct entry *e, const struct rpu_engine *engine) {
    *w = (struct work){
        .k = &engine->table.k, .shape = &e->shape, .stream = {{1, 2}, {0, 3, 4, 5}}, .ties = {{6, 7}, {0, 3, 4, 5}}};
    inputs_make(&w->in, &e->shape, e->shape.columns > 1 ? INPUTS_POOLED : INPUTS_DENSE, 1);
    if (strncmp(e->operation->name, "pulse_", 6) == 0) {
        struct rpu_tile_params params;
        params_make(&params, 1, 1);
        /* devices are the same whoever draws them, and the oracle takes long */
        if (!cycle_make(&w->cycle, e->bench->engine, &params, RPU_CYCLE_UPDATE, &w->in, 0.01f))
            return 0;
        w->cycle.tile->k = w->k;
    }
    e->operation->make(w);
    return 1;
}

static const void *output_of(const struct work *w) {
    return w->cycle.tile ? w->result : w->out;
}

/* Columns of a check. */
static uint32_t checked(const struct entry *e) {
    return e->operation->takes == ARRAYS ? shape_checked(&e->shape) : e->shape.columns;
}

static int same_after_a_call(const struct entry *e, struct work *right, struct work *w) {
    right->in.columns = w->in.columns = checked(e);
    e->operation->run(right);
    e->operation->run(w);
    right->in.columns = w->in.columns = e->shape.columns;
    return right->returned == w->returned && memcmp(output_of(right), output_of(w), w->out_bytes) == 0;
}

/* Makes the work of an entry, having, the first time, compared its first calls with the oracle's: first without the
 * output converter, which would hide small differences, then as it is timed. */
static int ready(struct entry *e) {
    struct work right = {0}, *w = &e->all->work;
    int good;
    if (e->all->made == e)
        return 1;
    free_work(w);
    e->all->made = NULL;
    good = make_work(w, e, e->engine);
    if (good && !e->checked) {
        const float steps = w->stage.steps;
        good = make_work(&right, e, e->bench->oracle);
        w->stage.steps = right.stage.steps = 0.0f;
        good = good && same_after_a_call(e, &right, w);
        w->stage.steps = right.stage.steps = steps;
        good = good && same_after_a_call(e, &right, w);
        free_work(&right);
        w->cycle.image = 0;
        w->cycle.updates = (struct rpu_update_counts){0, 0, 0, 0};
    }
    if (good && e->operation->settle)
        e->operation->settle(w);
    if (good) {
        e->checked = 1;
        e->all->made = e;
    }
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
    struct amount amount = {.flops = 0.0};
    char level[16], text[96];
    int at;
    if (!ready(e)) {
        bench_fail(e->bench, state, "the result differs from the oracle's");
        return;
    }
    gb_loop(state, loop_run, &l);
    gb_items(state, e->operation->amount(l.work, &amount));
    if (l.work->cycle.updates.coincidences > 0)
        gb_counter(state, "coincidences", (double)l.work->cycle.updates.coincidences / l.work->cycle.image, GB_PLAIN);
    machine_report(e->bench, state, &amount, 1, 1, level);
    at = snprintf(text, sizeof text, "hot; %s", level);
    if (e->operation->takes == ARRAYS)
        snprintf(text + at, sizeof text - (size_t)at, "; checked: %u of %u columns", checked(e), e->shape.columns);
    gb_label(state, text);
}

/* ---- the list ---- */

static int has_variant(const struct rpu_engine *engine, const char *kernel) {
    for (size_t i = 0; i < rpu_engine_kernel_count(engine); i++)
        if (strcmp(rpu_engine_kernel_name(engine, i), kernel) == 0)
            return strcmp(rpu_engine_kernel_variant(engine, i), rpu_engine_isa(engine)) == 0;
    return 0;
}

static void add(struct bench *b, const struct operation *o, const struct rpu_engine *engine,
                const struct shape *shape) {
    char name[160];
    struct entry *e;
    if (!has_variant(engine, o->name))
        return;
    e = bench_keep(b, sizeof *e);
    *e = (struct entry){b, b->kernels, engine, o, *shape, 0};
    snprintf(name, sizeof name, "kernel/%s/%s/%ux%u/cols:%u/team:1/hot", o->name, rpu_engine_isa(engine), shape->out,
             shape->in, shape->columns);
    gb_register(name, kernel_row, e, NULL);
}

/* Of the quick choice one shape for each kernel. */
static int quick(const struct operation *o, const struct shape *s) {
    return o->takes == ROWS ? s->in == QUICK_LENGTH : strcmp(s->name, "K2") == 0;
}

static int fits(const struct operation *o, const struct shape *s) {
    return o->takes == WINDOWS ? s->kernel > 0 : o->takes == POOLINGS ? s->pool_window > 0 : 1;
}

int kernel_register(struct bench *b) {
    struct shape *shapes[2]; /* of arrays; of rows of numbers */
    const size_t counts[] = {array_shapes(b, &shapes[0]), bench_shapes(b, "shapes_vector.txt", &shapes[1])};
    b->kernels = room(sizeof *b->kernels);
    for (size_t o = 0; o < sizeof operations / sizeof operations[0]; o++) {
        const int rows = operations[o].takes == ROWS;
        for (size_t s = 0; s < counts[rows]; s++)
            for (size_t v = 0; v < b->n_isas; v++)
                if (fits(&operations[o], &shapes[rows][s]) && (!b->quick || quick(&operations[o], &shapes[rows][s])))
                    add(b, &operations[o], bench_engine(b, b->isas[v], 1), &shapes[rows][s]);
    }
    free(shapes[0]);
    free(shapes[1]);
    return counts[0] > 0 && counts[1] > 0;
}

void kernel_free(struct bench *b) {
    if (b->kernels)
        free_work(&b->kernels->work);
    free(b->kernels);
    b->kernels = NULL;
}
