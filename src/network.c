/* SPDX-License-Identifier: Apache-2.0 */
/* A network: construction, training and evaluation, and looking at it. What is done with an image is in pass.c. */
#include "config_check.h"
#include "error.h"
#include "exchange.h"
#include "network_inside.h"
#include "pass.h"
#include "small.h"

#include <rpu/network.h>

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define NETWORK_TAG 0x5250554eu

static int is_network(const struct rpu_network *n) {
    return n && n->tag == NETWORK_TAG;
}

/* ---- construction ---- */

static enum rpu_status make_array(struct rpu_network *n, struct rpu_layer *l, uint32_t number, struct rpu_error *err) {
    const uint32_t inputs = rpu_layer_inputs(l);
    const enum rpu_status status =
        rpu_array_create(&l->array, n->engine, &l->spec->tile, l->spec->outputs, inputs,
                         inputs - (l->spec->bias ? 1 : 0), n->config.seed, number, l->columns, err);
    if (status != RPU_OK)
        return status;
    l->train_words = rpu_array_train_words(l->array, l->columns);
    if (l->train_words == 0)
        return RPU_OK;
    if (n->capacity <= SIZE_MAX / sizeof *l->trains / l->train_words)
        l->trains = malloc(n->capacity * l->train_words * sizeof *l->trains);
    return l->trains ? RPU_OK : rpu_fail(err, RPU_ERR_NOMEM, "out of memory for the pulse trains of an array");
}

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
    return make_array(n, l, n->n_arrays++, err);
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
    return rpu_config_check_names(c, NULL, err);
}

static enum rpu_status make_workers(struct rpu_network *n, struct rpu_error *err) {
    size_t bytes = 64;
    for (uint32_t a = 0; a < n->n_arrays; a++) {
        const struct rpu_layer *l = &n->layers[n->arrays[a]];
        const size_t array = rpu_array_scratch(l->array, l->columns);
        bytes = array > bytes ? array : bytes;
    }
    n->workers = calloc(n->n_workers, sizeof *n->workers);
    for (size_t t = 0; n->workers && t < n->n_workers; t++) {
        n->workers[t].scratch = aligned_alloc(64, rpu_lines(bytes));
        n->workers[t].stats = calloc(n->n_arrays, sizeof *n->workers[t].stats);
        if (!n->workers[t].scratch || !n->workers[t].stats)
            return rpu_fail(err, RPU_ERR_NOMEM, "out of memory for a thread's scratch");
    }
    return n->workers ? RPU_OK : rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
}

/* Room for reads in parts: fewer images than threads are shared at a time. */
static enum rpu_status make_parts(struct rpu_network *n, struct rpu_error *err) {
    for (uint32_t i = 0; i < n->plan.n_segments; i++) {
        const struct rpu_array_parts *f = &n->plan.segments[i].forward, *b = &n->plan.segments[i].backward;
        struct rpu_layer *l = &n->layers[n->plan.segments[i].first];
        const size_t floats = f->floats > b->floats ? f->floats : b->floats;
        const size_t parts = f->parts > b->parts ? f->parts : b->parts;
        if (parts == 1)
            continue;
        l->stored = floats ? malloc(n->n_workers * floats * sizeof *l->stored) : NULL;
        l->part_counts = malloc(n->n_workers * parts * sizeof *l->part_counts);
        if ((floats && !l->stored) || !l->part_counts)
            return rpu_fail(err, RPU_ERR_NOMEM, "out of memory for the parts of an array's read");
    }
    return RPU_OK;
}

/* The images that the configuration is for, where it says so. */
static enum rpu_status check_images(const struct rpu_network *n, struct rpu_error *err) {
    const struct rpu_config *c = &n->config;
    const struct {
        const char *key;
        uint32_t wanted, found;
    } sides[] = {{"network.height", c->height, n->input.height},
                 {"network.width", c->width, n->input.width},
                 {"network.channels", c->channels, n->input.channels}};
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++)
        if (sides[i].wanted && sides[i].wanted != sides[i].found)
            return rpu_fail_at(err, RPU_ERR_SHAPE, NULL, 0, sides[i].key,
                               "the network is for %u, but the images are of %u x %u x %u; 0 takes them as they are",
                               sides[i].wanted, n->input.height, n->input.width, n->input.channels);
    return RPU_OK;
}

static enum rpu_status make_network(struct rpu_network *n, struct rpu_error *err) {
    size_t results;
    enum rpu_status status;
    n->n_workers = (size_t)rpu_sched_threads(n->engine->sched);
    if (n->config.batch == 0 || n->config.batch > 1u << 20)
        return rpu_fail(err, RPU_ERR_RANGE, "batch is %u; allowed is 1 to %u", n->config.batch, 1u << 20);
    if (n->input.height == 0 || n->input.width == 0 || n->input.channels == 0 || n->classes == 0 ||
        (uint64_t)n->input.height * n->input.width > ((uint64_t)1 << 28) / n->input.channels)
        return rpu_fail(err, RPU_ERR_SHAPE, "images of %u x %u x %u with %u classes", n->input.height, n->input.width,
                        n->input.channels, n->classes);
    if (!(n->config.eta > 0.0f && n->config.eta <= 1e6f))
        return rpu_fail(err, RPU_ERR_RANGE, "eta is %g; allowed is above 0 to 1e6", (double)n->config.eta);
    status = check_images(n, err);
    if (status != RPU_OK)
        return status;
    n->capacity = n->config.batch > n->n_workers ? n->config.batch : n->n_workers;
    results = n->capacity > RPU_EVALUATE_AT_ONCE ? n->capacity : RPU_EVALUATE_AT_ONCE;
    n->image = rpu_buffer(n->capacity + n->n_workers, rpu_shape_size(n->input), &n->image_stride);
    n->loss = calloc(results, sizeof *n->loss);
    n->guess = calloc(results, sizeof *n->guess);
    if (!n->image || !n->loss || !n->guess)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    status = make_layers(n, err);
    if (status == RPU_OK)
        status = make_workers(n, err);
    if (status != RPU_OK)
        return status;
    rpu_plan_make(n);
    return make_parts(n, err);
}

enum rpu_status rpu_network_create(struct rpu_network **network, const struct rpu_engine *engine,
                                   const struct rpu_config *config, uint32_t height, uint32_t width, uint32_t channels,
                                   uint32_t classes, struct rpu_error *err) {
    struct rpu_network *n;
    enum rpu_status status;
    if (network)
        *network = NULL;
    if (!network || !rpu_is_engine(engine) || !config)
        return rpu_fail(err, RPU_ERR_ARG, "no engine, no configuration, or no place for the network");
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
    rpu_exchange_destroy(network->exchange);
    for (uint32_t i = 0; i < RPU_LAYERS_MAX; i++)
        rpu_layer_free(&network->layers[i]);
    for (size_t t = 0; network->workers && t < network->n_workers; t++) {
        free(network->workers[t].scratch);
        free(network->workers[t].stats);
    }
    free(network->workers);
    free(network->image);
    free(network->loss);
    free(network->guess);
    free(network);
}

/* ---- training and evaluation ---- */

enum rpu_status rpu_network_share(struct rpu_network *network, const struct rpu_ranks *ranks, struct rpu_error *err) {
    if (!is_network(network) || !ranks)
        return rpu_fail(err, RPU_ERR_ARG, "no network, or no processes");
    return rpu_exchange_create(network, ranks, RPU_EXCHANGE_BYTES, err);
}

/* Which images of the pass are this process's. */
static void divide(struct rpu_network *n) {
    n->pass.begin = 0;
    n->pass.end = n->pass.count;
    if (n->exchange)
        rpu_exchange_divide(n);
}

static enum rpu_status train_shared(struct rpu_network *n) {
    enum rpu_status status;
    rpu_plan_passes(n);
    status = rpu_exchange_train(n);
    if (status == RPU_OK)
        rpu_plan_updates(n);
    return status;
}

static int labels_fit(const struct rpu_network *n, const struct rpu_pass *p) {
    for (size_t i = 0; i < p->count; i++)
        if (rpu_pass_index(p, i) >= p->images->count || p->images->labels[rpu_pass_index(p, i)] >= n->classes)
            return 0;
    return 1;
}

static enum rpu_status check_pass(const struct rpu_network *n, const struct rpu_pass *p) {
    const struct rpu_images *im = p->images;
    if (!is_network(n) || !im || !im->pixels || !im->labels)
        return RPU_ERR_ARG;
    if (im->height != n->input.height || im->width != n->input.width || im->channels != n->input.channels)
        return RPU_ERR_SHAPE;
    if (p->step > UINT32_MAX || p->count > UINT32_MAX - p->step || !labels_fit(n, p))
        return RPU_ERR_RANGE;
    return RPU_OK;
}

enum rpu_status rpu_network_train(struct rpu_network *network, const struct rpu_images *images, const uint32_t *index,
                                  uint32_t count, uint64_t step, double *loss) {
    const struct rpu_pass p = {.images = images, .index = index, .count = count, .step = step};
    enum rpu_status status = index ? check_pass(network, &p) : RPU_ERR_ARG;
    if (status == RPU_OK && (count == 0 || count > network->config.batch))
        status = RPU_ERR_RANGE;
    if (status != RPU_OK)
        return status;
    network->pass = p;
    divide(network);
    if (network->exchange)
        status = train_shared(network);
    else
        rpu_plan_train(network);
    if (status != RPU_OK)
        return status;
    for (uint32_t a = 0; a < network->n_arrays; a++)
        network->workers[0].stats[a].images += count;
    for (uint32_t i = 0; loss && i < count; i++)
        *loss += (double)network->loss[i];
    return RPU_OK;
}

/* Evaluates images; `guesses` may be null. */
static enum rpu_status evaluate(struct rpu_network *network, const struct rpu_images *images, uint32_t first,
                                uint32_t count, uint64_t step, uint32_t *guesses, uint64_t *errors, double *loss) {
    struct rpu_pass p = {.images = images, .first = first, .count = count, .step = step, .evaluate = 1};
    enum rpu_status status = count <= UINT32_MAX - first ? check_pass(network, &p) : RPU_ERR_RANGE;
    if (status != RPU_OK)
        return status;
    for (uint32_t done = 0; done < count; done += (uint32_t)p.count) {
        p.first = first + done;
        p.step = step + done;
        p.count = count - done < RPU_EVALUATE_AT_ONCE ? count - done : RPU_EVALUATE_AT_ONCE;
        network->pass = p;
        divide(network);
        rpu_plan_evaluate(network);
        if (network->exchange)
            status = rpu_exchange_evaluate(network);
        if (status != RPU_OK)
            return status;
        for (size_t i = 0; i < p.count; i++) {
            if (guesses)
                guesses[done + i] = network->guess[i];
            if (errors)
                *errors += network->guess[i] != images->labels[p.first + i];
            if (loss)
                *loss += (double)network->loss[i];
        }
    }
    return RPU_OK;
}

enum rpu_status rpu_network_evaluate(struct rpu_network *network, const struct rpu_images *images, uint32_t first,
                                     uint32_t count, uint64_t step, uint64_t *errors, double *loss) {
    return evaluate(network, images, first, count, step, NULL, errors, loss);
}

enum rpu_status rpu_network_classify(struct rpu_network *network, const struct rpu_images *images, uint32_t first,
                                     uint32_t count, uint64_t step, uint32_t *classes, double *loss) {
    return classes ? evaluate(network, images, first, count, step, classes, NULL, loss) : RPU_ERR_ARG;
}

/* ---- looking at it ---- */

static struct rpu_layer *array_at(const struct rpu_network *n, size_t index) {
    return is_network(n) && index < n->n_arrays ? (struct rpu_layer *)&n->layers[n->arrays[index]] : NULL;
}

static void add_reads(struct rpu_read_counts *to, const struct rpu_read_counts *from) {
    to->columns += from->columns;
    to->rereads += from->rereads;
    to->saturated += from->saturated;
}

void rpu_array_stats_add(struct rpu_array_stats *to, const struct rpu_array_stats *from) {
    to->images += from->images;
    for (int c = 0; c < 3; c++)
        to->seconds[c] += from->seconds[c];
    to->apply_seconds += from->apply_seconds;
    add_reads(&to->forward, &from->forward);
    add_reads(&to->backward, &from->backward);
    to->update.row_pulses += from->update.row_pulses;
    to->update.column_pulses += from->update.column_pulses;
    to->update.coincidences += from->update.coincidences;
    to->update.clipped += from->update.clipped;
}

size_t rpu_network_array_count(const struct rpu_network *network) {
    return is_network(network) ? network->n_arrays : 0;
}

enum rpu_status rpu_network_array_info(const struct rpu_network *network, size_t index, struct rpu_array_info *info) {
    const struct rpu_layer *l = array_at(network, index);
    if (!l || !info)
        return RPU_ERR_ARG;
    *info = (struct rpu_array_info){l->spec->name,
                                    l->array->m,
                                    l->array->n,
                                    l->columns,
                                    index > 0,
                                    (uint32_t)rpu_array_tiles(l->array),
                                    l->array->tiles[0]->devices,
                                    rpu_array_copies(l->array)};
    return RPU_OK;
}

/* Threads share no counter while they work. */
struct rpu_array_stats rpu_network_own_stats(const struct rpu_network *network, size_t index) {
    const double at_once = rpu_sched_at_once(network->engine->sched);
    struct rpu_array_stats sum = {0};
    for (size_t t = 0; t < network->n_workers; t++)
        rpu_array_stats_add(&sum, &network->workers[t].stats[index]);
    for (int c = 0; c < 3; c++)
        sum.seconds[c] /= at_once;
    sum.apply_seconds /= at_once;
    return sum;
}

enum rpu_status rpu_network_array_stats(const struct rpu_network *network, size_t index,
                                        struct rpu_array_stats *stats) {
    if (!array_at(network, index) || !stats)
        return RPU_ERR_ARG;
    *stats = rpu_network_own_stats(network, index);
    if (network->exchange)
        rpu_exchange_add_others(network, (uint32_t)index, stats);
    rpu_array_stats_add(stats, &network->carried[index]);
    return RPU_OK;
}

enum rpu_status rpu_network_array_signals(const struct rpu_network *network, size_t index, size_t image,
                                          struct rpu_array_signals *signals) {
    const struct rpu_layer *l = array_at(network, index);
    if (!l || !signals || image >= network->capacity)
        return RPU_ERR_ARG;
    *signals = (struct rpu_array_signals){l->vectors + image * l->block, l->ld, l->dy + image * l->y_stride,
                                          l->array->m, l->columns};
    return RPU_OK;
}

void rpu_network_clear_stats(struct rpu_network *network) {
    if (is_network(network) && network->exchange)
        rpu_exchange_clear_others(network);
    if (is_network(network))
        memset(network->carried, 0, sizeof network->carried);
    for (size_t t = 0; is_network(network) && t < network->n_workers; t++)
        memset(network->workers[t].stats, 0, network->n_arrays * sizeof *network->workers[t].stats);
}

void rpu_network_carry_stats(struct rpu_network *network, size_t index, const struct rpu_array_stats *stats) {
    network->carried[index] = *stats;
}

struct rpu_array *rpu_network_array(const struct rpu_network *network, size_t index) {
    const struct rpu_layer *l = array_at(network, index);
    return l ? l->array : NULL;
}

uint64_t rpu_network_images_alone(const struct rpu_network *network) {
    return network->images_alone;
}

int rpu_network_is_finite(const struct rpu_network *network) {
    for (size_t a = 0; a < network->n_arrays; a++)
        if (!rpu_array_is_finite(array_at(network, a)->array))
            return 0;
    return 1;
}

struct rpu_tile *rpu_network_tile(struct rpu_network *network, size_t index) {
    const struct rpu_layer *l = array_at(network, index);
    return l && rpu_array_tiles(l->array) == 1 ? l->array->tiles[0] : NULL;
}

enum rpu_status rpu_network_get_weights(const struct rpu_network *network, size_t index, float *weights) {
    const struct rpu_layer *l = array_at(network, index);
    return l && weights ? rpu_array_get_weights(l->array, weights) : RPU_ERR_ARG;
}

enum rpu_status rpu_network_set_weights(struct rpu_network *network, size_t index, const float *weights) {
    const struct rpu_layer *l = array_at(network, index);
    return l && weights ? rpu_array_set_weights(l->array, weights) : RPU_ERR_ARG;
}

double rpu_network_at_bound(const struct rpu_network *network, size_t index) {
    const struct rpu_layer *l = array_at(network, index);
    return l ? rpu_array_at_bound(l->array) : 0.0;
}

enum rpu_status rpu_network_digest(const struct rpu_network *network, uint64_t *digest) {
    XXH3_state_t *state;
    unsigned char *bytes;
    float *row;
    size_t widest = 0;
    if (!is_network(network) || !digest)
        return RPU_ERR_ARG;
    for (size_t a = 0; a < network->n_arrays; a++)
        widest = array_at(network, a)->array->n > widest ? array_at(network, a)->array->n : widest;
    state = XXH3_createState();
    bytes = malloc(widest * 4);
    row = malloc(widest * sizeof *row);
    if (state && bytes && row) {
        XXH3_64bits_reset(state);
        for (size_t a = 0; a < network->n_arrays; a++) {
            const struct rpu_array *array = array_at(network, a)->array;
            for (size_t i = 0; i < (size_t)array->m * rpu_array_copies(array); i++) {
                rpu_array_row(array, i, row);
                rpu_little_endian(row, array->n, bytes);
                XXH3_64bits_update(state, bytes, (size_t)array->n * 4);
            }
        }
        *digest = XXH3_64bits_digest(state);
    }
    const enum rpu_status status = state && bytes && row ? RPU_OK : RPU_ERR_NOMEM;
    XXH3_freeState(state);
    free(bytes);
    free(row);
    return status;
}
