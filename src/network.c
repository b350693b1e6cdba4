/* SPDX-License-Identifier: Apache-2.0 */
/* A network: layers in a row, worked off layer by layer for all images of a minibatch. Every pass is a list of items
 * (image, part of its columns or rows) that share no output, so that results do not depend on who does which. */
#include "error.h"
#include "layer.h"
#include "network_inside.h"
#include "range.h"
#include "small.h"

#include <rpu/network.h>

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define NETWORK_TAG 0x5250554eu

/* What a thread has for itself. */
struct worker {
    void *scratch;
    struct rpu_read_counts read;
    struct rpu_update_counts update;
    char pad[64]; /* workers do not share cache lines */
};

struct rpu_network {
    uint32_t tag;
    const struct rpu_engine *engine;
    const struct rpu_kernels *k;
    struct rpu_config config;
    uint32_t n_layers; /* without the softmax */
    struct rpu_layer layers[RPU_LAYERS_MAX];
    uint32_t n_arrays;
    uint32_t arrays[RPU_LAYERS_MAX]; /* layer of each array */
    struct rpu_shape input;
    uint32_t classes;
    float *image; /* input activations */
    size_t image_stride;
    size_t capacity; /* images at once */
    float *loss;     /* of each image */
    uint32_t *guess;
    struct worker *workers;
    size_t n_workers;
};

static int is_network(const struct rpu_network *n) {
    return n && n->tag == NETWORK_TAG;
}

/* ---- construction ---- */

static enum rpu_status make_layer(struct rpu_network *n, uint32_t index, struct rpu_shape in, struct rpu_error *err) {
    struct rpu_layer *l = &n->layers[index];
    const struct rpu_layer_spec *spec = &n->config.layers[index];
    const int needs_gradient = n->n_arrays > 0;
    const int in_place = rpu_layer_is_activation(spec) && !(index > 0 && rpu_layer_is_activation(spec - 1));
    enum rpu_status status = rpu_layer_shape(l, spec, in, index + 1, err);
    if (status != RPU_OK)
        return status;
    l->x = index ? l[-1].y : n->image;
    l->dx = index ? l[-1].dy : NULL;
    l->x_stride = index ? l[-1].y_stride : n->image_stride;
    status = rpu_layer_allocate(l, n->capacity, in_place, needs_gradient, err);
    if (status != RPU_OK || !rpu_layer_is_array(spec))
        return status;
    n->arrays[n->n_arrays] = index;
    return rpu_tile_create(&l->tile, n->engine, &spec->tile, spec->outputs, rpu_layer_inputs(l),
                           rpu_layer_inputs(l) - (spec->bias ? 1 : 0), n->config.seed, n->n_arrays++, 0, err);
}

static enum rpu_status make_layers(struct rpu_network *n, struct rpu_error *err) {
    const struct rpu_config *c = &n->config;
    struct rpu_shape shape = n->input;
    if (c->n_layers < 2 || c->n_layers > RPU_LAYERS_MAX || c->layers[c->n_layers - 1].kind != RPU_LAYER_SOFTMAX)
        return rpu_fail(err, RPU_ERR_SHAPE, "a network has 2 to %d layers and ends with softmax", RPU_LAYERS_MAX);
    n->n_layers = c->n_layers - 1;
    for (uint32_t i = 0; i < n->n_layers; i++) {
        enum rpu_status status;
        if (c->layers[i].kind == RPU_LAYER_SOFTMAX)
            return rpu_fail(err, RPU_ERR_SHAPE, "layer %u: softmax is the last layer only", i + 1);
        status = make_layer(n, i, shape, err);
        if (status != RPU_OK)
            return status;
        shape = n->layers[i].out;
    }
    if (n->n_arrays == 0)
        return rpu_fail(err, RPU_ERR_SHAPE, "a network needs at least one array (conv or fc)");
    if (rpu_shape_size(shape) < n->classes)
        return rpu_fail(err, RPU_ERR_SHAPE, "the network has %zu outputs but the data %u classes",
                        rpu_shape_size(shape), n->classes);
    return RPU_OK;
}

static enum rpu_status make_workers(struct rpu_network *n, struct rpu_error *err) {
    size_t bytes = 64;
    for (uint32_t a = 0; a < n->n_arrays; a++) {
        const struct rpu_layer *l = &n->layers[n->arrays[a]];
        const size_t read = rpu_read_scratch(l->tile, l->columns), update = rpu_update_scratch(l->tile, l->columns);
        bytes = read > bytes ? read : bytes;
        bytes = update > bytes ? update : bytes;
    }
    bytes = rpu_lines(bytes);
    n->n_workers = (size_t)rpu_sched_threads(n->engine->sched);
    n->workers = calloc(n->n_workers, sizeof *n->workers);
    for (size_t t = 0; n->workers && t < n->n_workers; t++) {
        n->workers[t].scratch = aligned_alloc(64, bytes);
        if (!n->workers[t].scratch)
            return rpu_fail(err, RPU_ERR_NOMEM, "out of memory for a thread's scratch");
    }
    return n->workers ? RPU_OK : rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
}

static enum rpu_status make_network(struct rpu_network *n, struct rpu_error *err) {
    const size_t threads = (size_t)rpu_sched_threads(n->engine->sched);
    enum rpu_status status;
    if (n->config.batch == 0 || n->config.batch > 1u << 20)
        return rpu_fail(err, RPU_ERR_RANGE, "batch is %u; allowed is 1 to %u", n->config.batch, 1u << 20);
    if (n->input.height == 0 || n->input.width == 0 || n->input.channels == 0 || n->classes == 0 ||
        (uint64_t)n->input.height * n->input.width > ((uint64_t)1 << 28) / n->input.channels)
        return rpu_fail(err, RPU_ERR_SHAPE, "images of %u x %u x %u with %u classes", n->input.height, n->input.width,
                        n->input.channels, n->classes);
    if (!(n->config.eta > 0.0f && n->config.eta <= 1e6f))
        return rpu_fail(err, RPU_ERR_RANGE, "eta is %g; allowed is above 0 to 1e6", (double)n->config.eta);
    n->capacity = n->config.batch > threads ? n->config.batch : threads;
    n->image = rpu_buffer(n->capacity, rpu_shape_size(n->input), &n->image_stride);
    n->loss = calloc(n->capacity, sizeof *n->loss);
    n->guess = calloc(n->capacity, sizeof *n->guess);
    if (!n->image || !n->loss || !n->guess)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    status = make_layers(n, err);
    return status == RPU_OK ? make_workers(n, err) : status;
}

enum rpu_status rpu_network_create(struct rpu_network **network, const struct rpu_engine *engine,
                                   const struct rpu_config *config, uint32_t height, uint32_t width, uint32_t channels,
                                   uint32_t classes, struct rpu_error *err) {
    struct rpu_network *n;
    enum rpu_status status;
    if (!network || !engine || !config)
        return rpu_fail(err, RPU_ERR_ARG, "no engine, no configuration, or no place for the network");
    *network = NULL;
    n = calloc(1, sizeof *n);
    if (!n)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    n->tag = NETWORK_TAG;
    n->engine = engine;
    n->k = &engine->table.k;
    n->config = *config;
    n->input = (struct rpu_shape){height, width, channels};
    n->classes = classes;
    status = make_network(n, err);
    if (status != RPU_OK) {
        rpu_network_destroy(n);
        return status;
    }
    *network = n;
    return RPU_OK;
}

void rpu_network_destroy(struct rpu_network *network) {
    if (!is_network(network))
        return;
    network->tag = 0;
    for (uint32_t i = 0; i < RPU_LAYERS_MAX; i++)
        rpu_layer_free(&network->layers[i]);
    for (size_t t = 0; network->workers && t < network->n_workers; t++)
        free(network->workers[t].scratch);
    free(network->workers);
    free(network->image);
    free(network->loss);
    free(network->guess);
    free(network);
}

/* ---- passes ---- */

/* One pass of one layer over `count` images. */
struct pass {
    struct rpu_network *n;
    struct rpu_layer *l;
    const struct rpu_images *images;
    const uint32_t *index; /* images of the minibatch; null: consecutive from `first` */
    uint32_t first;
    size_t count;
    uint64_t step;
    int evaluate;
    size_t parts; /* each image's work is divided into */
};

static uint32_t image_index(const struct pass *p, size_t i) {
    return p->index ? p->index[i] : p->first + (uint32_t)i;
}

/* Runs one item function over count x parts items; the time goes to `*seconds` (may be null). */
static void run(struct pass *p, size_t items, rpu_item_fn *fn, double *seconds) {
    const double start = seconds ? rpu_now() : 0.0;
    rpu_sched_run(p->n->engine->sched, items, fn, p);
    if (seconds)
        *seconds += rpu_now() - start;
}

/* Parts to divide one image's work into so that a small minibatch keeps all threads busy. */
static size_t parts_of(const struct pass *p) {
    return p->count >= p->n->n_workers ? 1 : p->n->n_workers;
}

static void load_item(void *context, size_t item, int thread) {
    const struct pass *p = context;
    const size_t size = rpu_shape_size(p->n->input);
    const uint8_t *pixels = p->images->pixels + (size_t)image_index(p, item) * size;
    float *x = p->n->image + item * p->n->image_stride;
    (void)thread;
    for (size_t i = 0; i < size; i++)
        x[i] = (float)pixels[i] * (1.0f / 255.0f);
}

/* Item of an array's read or im2col: an image and a range of its columns. */
struct slice {
    size_t image, column, count;
};

static struct slice slice_of(const struct pass *p, size_t item) {
    const size_t part = item % p->parts;
    struct slice s = {item / p->parts, rpu_range(p->l->columns, p->parts, part), 0};
    s.count = rpu_range(p->l->columns, p->parts, part + 1) - s.column;
    return s;
}

static void im2col_item(void *context, size_t item, int thread) {
    const struct pass *p = context;
    const struct rpu_layer *l = p->l;
    const struct slice s = slice_of(p, item);
    (void)thread;
    p->n->k->im2col(&l->conv, l->x + s.image * l->x_stride, s.column, s.count,
                    l->vectors + s.image * l->block + s.column * l->ld, l->ld);
}

static struct rpu_block block_of(const struct pass *p, const struct slice *s) {
    const struct rpu_block b = {(uint32_t)(p->step + s->image), (uint32_t)s->column, (uint32_t)s->count,
                                (uint32_t)p->evaluate};
    return b;
}

static void forward_item(void *context, size_t item, int thread) {
    const struct pass *p = context;
    const struct rpu_layer *l = p->l;
    const struct slice s = slice_of(p, item);
    const struct rpu_block where = block_of(p, &s);
    const struct rpu_read read = rpu_read_forward(l->tile, p->evaluate);
    struct worker *w = &p->n->workers[thread];
    if (s.count > 0)
        rpu_tile_read(l->tile, &read, &where, l->vectors + s.image * l->block + s.column * l->ld, l->ld,
                      l->y + s.image * l->y_stride + s.column * l->tile->m, l->tile->m, w->scratch, &w->read);
}

static void backward_item(void *context, size_t item, int thread) {
    const struct pass *p = context;
    const struct rpu_layer *l = p->l;
    const struct slice s = slice_of(p, item);
    const struct rpu_block where = block_of(p, &s);
    const struct rpu_read read = rpu_read_backward(l->tile);
    struct worker *w = &p->n->workers[thread];
    if (s.count > 0)
        rpu_tile_read(l->tile, &read, &where, l->dy + s.image * l->y_stride + s.column * l->tile->m, l->tile->m,
                      l->gradients + s.image * l->block + s.column * l->ld, l->ld, w->scratch, &w->read);
}

static void col2im_item(void *context, size_t item, int thread) {
    const struct pass *p = context;
    const struct rpu_layer *l = p->l;
    const size_t image = item / p->parts, part = item % p->parts;
    (void)thread;
    p->n->k->col2im(&l->conv, l->gradients + image * l->block, l->ld, rpu_range(l->in.height, p->parts, part),
                    rpu_range(l->in.height, p->parts, part + 1), l->dx + image * l->x_stride);
}

static void pool_item(void *context, size_t item, int thread) {
    const struct pass *p = context;
    const struct rpu_layer *l = p->l;
    (void)thread;
    p->n->k->maxpool(&l->pool, l->x + item * l->x_stride, 0, l->out.height, l->y + item * l->y_stride,
                     l->where + item * rpu_shape_size(l->out));
}

static void unpool_item(void *context, size_t item, int thread) {
    const struct pass *p = context;
    const struct rpu_layer *l = p->l;
    (void)thread;
    p->n->k->unpool(&l->pool, l->dy + item * l->y_stride, l->where + item * rpu_shape_size(l->out),
                    l->dx + item * l->x_stride);
}

static void activation_item(void *context, size_t item, int thread) {
    const struct pass *p = context;
    const struct rpu_kernels *k = p->n->k;
    const size_t size = rpu_shape_size(p->l->out);
    const float *x = p->l->x + item * p->l->x_stride;
    float *y = p->l->y + item * p->l->y_stride;
    (void)thread;
    if (p->l->spec->kind == RPU_LAYER_TANH)
        k->tanh(size, x, y);
    else if (p->l->spec->kind == RPU_LAYER_SIGMOID)
        k->sigmoid(size, x, y);
    else
        k->relu(size, x, y);
}

static void derivative_item(void *context, size_t item, int thread) {
    const struct pass *p = context;
    const struct rpu_kernels *k = p->n->k;
    const size_t size = rpu_shape_size(p->l->out);
    const float *y = p->l->y + item * p->l->y_stride;
    float *d = p->l->dy + item * p->l->y_stride;
    (void)thread;
    if (p->l->spec->kind == RPU_LAYER_TANH)
        k->dtanh(size, y, d);
    else if (p->l->spec->kind == RPU_LAYER_SIGMOID)
        k->dsigmoid(size, y, d);
    else
        k->drelu(size, y, d);
    if (p->l->dx && p->l->dx != p->l->dy)
        memcpy(p->l->dx + item * p->l->x_stride, d, size * sizeof *d);
}

/* Softmax and cross-entropy: loss, argmax and, in training, the error (one-hot minus probability: it descends). */
static void loss_item(void *context, size_t item, int thread) {
    const struct pass *p = context;
    const struct rpu_layer *l = p->l;
    const size_t size = rpu_shape_size(l->out);
    const uint32_t label = p->images->labels[image_index(p, item)];
    const float *z = l->y + item * l->y_stride;
    float *d = l->dy + item * l->y_stride;
    uint32_t best = 0;
    (void)thread;
    for (size_t i = 1; i < size; i++)
        if (z[i] > z[best])
            best = (uint32_t)i;
    p->n->guess[item] = best;
    p->n->loss[item] = p->n->k->softmax(size, z, d) - z[label];
    for (size_t i = 0; i < size; i++)
        d[i] = (i == label ? 1.0f : 0.0f) - d[i];
}

static void gains_item(void *context, size_t item, int thread) {
    const struct pass *p = context;
    const struct rpu_layer *l = p->l;
    const size_t at = item * l->columns;
    const struct rpu_gains gains = {l->gains.x + at, l->gains.d + at, l->gains.peak + at};
    (void)thread;
    rpu_update_gains(l->tile, l->columns, l->vectors + item * l->block, l->ld, l->dy + item * l->y_stride, l->tile->m,
                     p->n->config.eta, &gains);
}

/* Item: a range of rows, for all images in order. */
static void update_item(void *context, size_t item, int thread) {
    const struct pass *p = context;
    const struct rpu_layer *l = p->l;
    struct worker *w = &p->n->workers[thread];
    const size_t row0 = rpu_range(l->tile->m, p->parts, item), row1 = rpu_range(l->tile->m, p->parts, item + 1);
    for (size_t i = 0; i < p->count && row0 < row1; i++) {
        const struct rpu_block where = {(uint32_t)(p->step + i), 0, l->columns, 0};
        const size_t at = i * l->columns;
        const struct rpu_gains gains = {l->gains.x + at, l->gains.d + at, l->gains.peak + at};
        rpu_tile_update_rows(l->tile, &where, l->vectors + i * l->block, l->ld, l->dy + i * l->y_stride, l->tile->m,
                             p->n->config.eta, &gains, row0, row1, w->scratch, &w->update);
    }
}

static void add_reads(struct rpu_network *n, struct rpu_read_counts *to) {
    for (size_t t = 0; t < n->n_workers; t++) {
        const struct rpu_read_counts *c = &n->workers[t].read;
        if (to) {
            to->columns += c->columns;
            to->rereads += c->rereads;
            to->saturated += c->saturated;
        }
        memset(&n->workers[t].read, 0, sizeof n->workers[t].read);
    }
}

static void add_updates(struct rpu_network *n, struct rpu_update_counts *to) {
    for (size_t t = 0; t < n->n_workers; t++) {
        const struct rpu_update_counts *c = &n->workers[t].update;
        to->row_pulses += c->row_pulses;
        to->column_pulses += c->column_pulses;
        to->coincidences += c->coincidences;
        to->clipped += c->clipped;
        memset(&n->workers[t].update, 0, sizeof n->workers[t].update);
    }
}

static void forward_array(struct pass *p) {
    struct rpu_layer *l = p->l;
    p->parts = l->columns > 1 ? parts_of(p) : 1;
    if (l->spec->kind == RPU_LAYER_CONV)
        run(p, p->count * p->parts, im2col_item, NULL);
    run(p, p->count * p->parts, forward_item, p->evaluate ? NULL : &l->stats.seconds[RPU_CYCLE_FORWARD]);
    add_reads(p->n, p->evaluate ? NULL : &l->stats.forward);
}

static void forward(struct pass *p) {
    struct rpu_network *n = p->n;
    run(p, p->count, load_item, NULL);
    for (uint32_t i = 0; i < n->n_layers; i++) {
        p->l = &n->layers[i];
        if (p->l->tile)
            forward_array(p);
        else
            run(p, p->count, p->l->spec->kind == RPU_LAYER_MAXPOOL ? pool_item : activation_item, NULL);
    }
    p->l = &n->layers[n->n_layers - 1];
    run(p, p->count, loss_item, NULL);
}

static void backward_array(struct pass *p) {
    struct rpu_layer *l = p->l;
    p->parts = l->columns > 1 ? parts_of(p) : 1;
    run(p, p->count * p->parts, backward_item, &l->stats.seconds[RPU_CYCLE_BACKWARD]);
    add_reads(p->n, &l->stats.backward);
    if (l->spec->kind == RPU_LAYER_CONV) {
        p->parts = parts_of(p);
        run(p, p->count * p->parts, col2im_item, NULL);
    }
}

/* From the last layer to the one behind the first array, whose own backward cycle nobody needs. */
static void backward(struct pass *p) {
    struct rpu_network *n = p->n;
    for (uint32_t i = n->n_layers; i-- > n->arrays[0] + 1;) {
        p->l = &n->layers[i];
        if (p->l->tile)
            backward_array(p);
        else
            run(p, p->count, p->l->spec->kind == RPU_LAYER_MAXPOOL ? unpool_item : derivative_item, NULL);
    }
}

static void update(struct pass *p) {
    struct rpu_network *n = p->n;
    double start = rpu_now(); /* read once an array: a reading is a good part of a small array's update */
    for (uint32_t a = 0; a < n->n_arrays; a++) {
        struct rpu_layer *l = p->l = &n->layers[n->arrays[a]];
        if (l->spec->tile.device.kind != RPU_DEVICE_PERFECT)
            run(p, p->count, gains_item, NULL);
        p->parts = n->n_workers;
        run(p, p->parts, update_item, NULL);
        add_updates(n, &l->stats.update);
        l->stats.images += p->count;
        const double end = rpu_now();
        l->stats.seconds[RPU_CYCLE_UPDATE] += end - start;
        start = end;
    }
}

static int labels_fit(const struct pass *p) {
    for (size_t i = 0; i < p->count; i++)
        if (image_index(p, i) >= p->images->count || p->images->labels[image_index(p, i)] >= p->n->classes)
            return 0;
    return 1;
}

static enum rpu_status check_pass(const struct pass *p) {
    const struct rpu_images *im = p->images;
    if (!is_network(p->n) || !im || !im->pixels || !im->labels)
        return RPU_ERR_ARG;
    if (im->height != p->n->input.height || im->width != p->n->input.width || im->channels != p->n->input.channels)
        return RPU_ERR_SHAPE;
    if (p->step > UINT32_MAX || p->count > UINT32_MAX - p->step || !labels_fit(p))
        return RPU_ERR_RANGE;
    return RPU_OK;
}

enum rpu_status rpu_network_train(struct rpu_network *network, const struct rpu_images *images, const uint32_t *index,
                                  uint32_t count, uint64_t step, double *loss) {
    struct pass p = {.n = network, .images = images, .index = index, .count = count, .step = step};
    enum rpu_status status = index ? check_pass(&p) : RPU_ERR_ARG;
    if (status == RPU_OK && (count == 0 || count > network->config.batch))
        status = RPU_ERR_RANGE;
    if (status != RPU_OK)
        return status;
    forward(&p);
    backward(&p);
    update(&p);
    for (uint32_t i = 0; loss && i < count; i++)
        *loss += (double)network->loss[i];
    return RPU_OK;
}

enum rpu_status rpu_network_evaluate(struct rpu_network *network, const struct rpu_images *images, uint32_t first,
                                     uint32_t count, uint64_t step, uint64_t *errors, double *loss) {
    struct pass p = {.n = network, .images = images, .first = first, .count = count, .step = step, .evaluate = 1};
    enum rpu_status status = count <= UINT32_MAX - first ? check_pass(&p) : RPU_ERR_RANGE;
    if (status != RPU_OK)
        return status;
    for (uint32_t done = 0; done < count; done += (uint32_t)p.count) {
        p.first = first + done;
        p.step = step + done;
        p.count = count - done < network->capacity ? count - done : network->capacity;
        forward(&p);
        for (size_t i = 0; i < p.count; i++) {
            if (errors)
                *errors += network->guess[i] != images->labels[p.first + i];
            if (loss)
                *loss += (double)network->loss[i];
        }
    }
    return RPU_OK;
}

/* ---- looking at it ---- */

static struct rpu_layer *array_at(const struct rpu_network *n, size_t index) {
    return is_network(n) && index < n->n_arrays ? (struct rpu_layer *)&n->layers[n->arrays[index]] : NULL;
}

size_t rpu_network_array_count(const struct rpu_network *network) {
    return is_network(network) ? network->n_arrays : 0;
}

enum rpu_status rpu_network_array_info(const struct rpu_network *network, size_t index, struct rpu_array_info *info) {
    const struct rpu_layer *l = array_at(network, index);
    if (!l || !info)
        return RPU_ERR_ARG;
    *info = (struct rpu_array_info){l->spec->name, l->tile->m, l->tile->n, l->columns, index > 0};
    return RPU_OK;
}

enum rpu_status rpu_network_array_stats(const struct rpu_network *network, size_t index,
                                        struct rpu_array_stats *stats) {
    const struct rpu_layer *l = array_at(network, index);
    if (!l || !stats)
        return RPU_ERR_ARG;
    *stats = l->stats;
    return RPU_OK;
}

enum rpu_status rpu_network_array_signals(const struct rpu_network *network, size_t index, size_t image,
                                          struct rpu_array_signals *signals) {
    const struct rpu_layer *l = array_at(network, index);
    if (!l || !signals || image >= network->capacity)
        return RPU_ERR_ARG;
    *signals = (struct rpu_array_signals){l->vectors + image * l->block, l->ld, l->dy + image * l->y_stride, l->tile->m,
                                          l->columns};
    return RPU_OK;
}

void rpu_network_clear_stats(struct rpu_network *network) {
    for (size_t i = 0; i < rpu_network_array_count(network); i++) {
        struct rpu_layer *l = array_at(network, i);
        if (l)
            memset(&l->stats, 0, sizeof l->stats);
    }
}

struct rpu_tile *rpu_network_tile(struct rpu_network *network, size_t index) {
    const struct rpu_layer *l = array_at(network, index);
    return l ? l->tile : NULL;
}

/* One row as little-endian bytes, whatever the machine's order. */
static void little_endian(const float *row, size_t n, unsigned char *bytes) {
    for (size_t j = 0; j < n; j++) {
        uint32_t b;
        memcpy(&b, row + j, sizeof b);
        for (unsigned k = 0; k < 4; k++)
            bytes[4 * j + k] = (unsigned char)(b >> (8 * k));
    }
}

enum rpu_status rpu_network_digest(const struct rpu_network *network, uint64_t *digest) {
    XXH3_state_t *state;
    unsigned char *bytes;
    size_t widest = 0;
    if (!is_network(network) || !digest)
        return RPU_ERR_ARG;
    for (size_t a = 0; a < network->n_arrays; a++)
        widest = array_at(network, a)->tile->n > widest ? array_at(network, a)->tile->n : widest;
    state = XXH3_createState();
    bytes = malloc(widest * 4);
    if (!state || !bytes) {
        XXH3_freeState(state);
        free(bytes);
        return RPU_ERR_NOMEM;
    }
    XXH3_64bits_reset(state);
    for (size_t a = 0; a < network->n_arrays; a++) {
        const struct rpu_tile *t = array_at(network, a)->tile;
        for (size_t i = 0; i < t->m; i++) {
            little_endian(t->w + i * t->ldw, t->n, bytes);
            XXH3_64bits_update(state, bytes, (size_t)t->n * 4);
        }
    }
    *digest = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    free(bytes);
    return RPU_OK;
}
