/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"
#include "error.h"
#include "network_inside.h"
#include "rng.h"
#include "small.h"

#include <rpu/train.h>

#include <stdlib.h>
#include <string.h>

struct rpu_training {
    const struct rpu_engine *engine;
    struct rpu_config config;
    const struct rpu_dataset *data;
    struct rpu_network *network;
    uint32_t *order;
    struct rpu_epoch *epochs;
    size_t n_epochs; /* finished */
    uint64_t images;
    double seconds;
};

/* What the running call keeps for its progress reports. */
struct report {
    rpu_progress_fn *fn;
    void *user;
    double start, last;
    uint64_t images; /* trained since start */
};

void rpu_shuffle(uint32_t *order, uint32_t count, uint64_t seed, uint32_t epoch) {
    const struct rpu_stream s = rpu_stream_make(seed, RPU_RNG_SHUFFLE, epoch, 0, 0);
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    rpu_permute(order, count, &s);
}

static enum rpu_status make_training(struct rpu_training *r, const struct rpu_engine *engine, struct rpu_error *err) {
    const struct rpu_images *im = &r->data->train;
    const size_t arrays_max = RPU_LAYERS_MAX;
    enum rpu_status status;
    if (im->count == 0 || r->data->test.count == 0)
        return rpu_fail(err, RPU_ERR_SHAPE, "the data set has %u training and %u test images; both need at least 1",
                        im->count, r->data->test.count);
    if ((uint64_t)r->config.epochs * im->count > UINT32_MAX ||
        (uint64_t)r->config.epochs * r->data->test.count > UINT32_MAX)
        return rpu_fail(err, RPU_ERR_RANGE, "%u epochs of %u training and %u test images; allowed are 2^32 - 1 in all",
                        r->config.epochs, im->count, r->data->test.count);
    if (r->config.batch > im->count) /* a minibatch larger than the data set is the data set */
        r->config.batch = im->count;
    status = rpu_network_create(&r->network, engine, &r->config, im->height, im->width, im->channels,
                                im->classes > r->data->test.classes ? im->classes : r->data->test.classes, err);
    if (status != RPU_OK)
        return status;
    r->order = malloc(im->count * sizeof *r->order);
    r->epochs = calloc(r->config.epochs ? r->config.epochs : 1, sizeof *r->epochs);
    for (uint32_t e = 0; r->epochs && e < r->config.epochs; e++) {
        r->epochs[e].arrays = calloc(arrays_max, sizeof *r->epochs[e].arrays);
        if (!r->epochs[e].arrays)
            return rpu_fail(err, RPU_ERR_NOMEM, "out of memory for the history");
    }
    return r->order && r->epochs ? RPU_OK : rpu_fail(err, RPU_ERR_NOMEM, "out of memory for the history");
}

enum rpu_status rpu_training_create(struct rpu_training **run, const struct rpu_engine *engine,
                                    const struct rpu_config *config, const struct rpu_dataset *data,
                                    struct rpu_error *err) {
    struct rpu_training *r;
    enum rpu_status status;
    if (!run || !engine || !config || !data)
        return rpu_fail(err, RPU_ERR_ARG, "no engine, configuration or data, or no place for the run");
    *run = NULL;
    r = calloc(1, sizeof *r);
    if (!r)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    r->engine = engine;
    r->config = *config;
    r->data = data;
    status = make_training(r, engine, err);
    if (status != RPU_OK) {
        rpu_training_destroy(r);
        return status;
    }
    *run = r;
    return RPU_OK;
}

void rpu_training_destroy(struct rpu_training *run) {
    if (!run)
        return;
    rpu_network_destroy(run->network);
    for (uint32_t e = 0; run->epochs && e < run->config.epochs; e++)
        free(run->epochs[e].arrays);
    free(run->epochs);
    free(run->order);
    free(run);
}

enum rpu_status rpu_training_share(struct rpu_training *run, const struct rpu_ranks *ranks, struct rpu_error *err) {
    return run ? rpu_network_share(run->network, ranks, err) : rpu_fail(err, RPU_ERR_ARG, "no run");
}

/* Reports where training is; true when the caller wants to stop. */
static int tell(const struct rpu_training *r, struct report *report, uint32_t epoch, uint32_t image,
                const struct rpu_epoch *finished) {
    const double at = rpu_now();
    const uint64_t total = (uint64_t)r->config.epochs * r->data->train.count;
    struct rpu_progress p = {epoch + 1, r->config.epochs, image, r->data->train.count, 0.0, 0.0, finished};
    if (!report->fn || (!finished && at - report->last < 0.1))
        return 0;
    report->last = at;
    if (report->images > 0 && at > report->start) {
        p.images_per_second = (double)report->images / (at - report->start);
        p.seconds_left = (double)(total - r->images) / p.images_per_second;
    }
    return report->fn(&p, report->user) != 0;
}

static void keep(struct rpu_array_epoch *to, const struct rpu_array_stats *from) {
    to->forward = from->forward;
    to->backward = from->backward;
    to->update = from->update;
}

/* Diagnostics of the epoch: what the statistics hold now less what they held at its start. */
static void diagnose(struct rpu_training *r, const struct rpu_array_stats *before, struct rpu_epoch *epoch) {
    for (size_t a = 0; a < rpu_network_array_count(r->network); a++) {
        struct rpu_array_stats s;
        rpu_network_array_stats(r->network, a, &s);
        s.forward.columns -= before[a].forward.columns;
        s.forward.rereads -= before[a].forward.rereads;
        s.forward.saturated -= before[a].forward.saturated;
        s.backward.columns -= before[a].backward.columns;
        s.backward.rereads -= before[a].backward.rereads;
        s.backward.saturated -= before[a].backward.saturated;
        s.update.row_pulses -= before[a].update.row_pulses;
        s.update.column_pulses -= before[a].update.column_pulses;
        s.update.coincidences -= before[a].update.coincidences;
        s.update.clipped -= before[a].update.clipped;
        keep(&epoch->arrays[a], &s);
        epoch->arrays[a].at_bound = rpu_network_at_bound(r->network, a);
    }
}

/* The training part of an epoch. */
static enum rpu_status train_images(struct rpu_training *r, uint32_t epoch, struct report *report, double *loss) {
    const struct rpu_images *im = &r->data->train;
    rpu_shuffle(r->order, im->count, r->config.seed, epoch);
    for (uint32_t done = 0; done < im->count;) {
        const uint32_t left = im->count - done, count = left < r->config.batch ? left : r->config.batch;
        const enum rpu_status status = rpu_network_train(r->network, im, r->order + done, count, r->images, loss);
        if (status != RPU_OK)
            return status;
        done += count;
        r->images += count;
        report->images += count;
        if (rpu_network_stops(r->network, tell(r, report, epoch, done, NULL)))
            return RPU_ERR_INTERRUPTED;
    }
    return RPU_OK;
}

/* The test set with analog reads, in pieces so that a stop request is heard. */
static enum rpu_status evaluate(struct rpu_training *r, uint32_t epoch, struct report *report, struct rpu_epoch *out) {
    const struct rpu_images *im = &r->data->test;
    const uint64_t step = (uint64_t)epoch * im->count;
    const uint32_t piece = 256;
    uint64_t errors = 0;
    double loss = 0.0;
    for (uint32_t first = 0; first < im->count; first += piece) {
        const uint32_t count = im->count - first < piece ? im->count - first : piece;
        const enum rpu_status status = rpu_network_evaluate(r->network, im, first, count, step + first, &errors, &loss);
        if (status != RPU_OK)
            return status;
        if (rpu_network_stops(r->network, tell(r, report, epoch, r->data->train.count, NULL)))
            return RPU_ERR_INTERRUPTED;
    }
    out->test_error = (double)errors / im->count;
    out->test_loss = loss / im->count;
    return RPU_OK;
}

static enum rpu_status run_epoch(struct rpu_training *r, struct report *report, struct rpu_error *err) {
    const uint32_t epoch = (uint32_t)r->n_epochs;
    struct rpu_epoch *out = &r->epochs[epoch];
    struct rpu_array_stats before[RPU_LAYERS_MAX];
    const double start = rpu_now();
    double loss = 0.0;
    enum rpu_status status;
    for (size_t a = 0; a < rpu_network_array_count(r->network); a++)
        rpu_network_array_stats(r->network, a, &before[a]);
    status = train_images(r, epoch, report, &loss);
    out->train_seconds = rpu_now() - start;
    r->seconds += out->train_seconds;
    if (status == RPU_OK)
        status = evaluate(r, epoch, report, out);
    if (status == RPU_ERR_INTERRUPTED)
        return rpu_fail(err, status, "stopped in epoch %u of %u", epoch + 1, r->config.epochs);
    if (status != RPU_OK)
        return rpu_fail(err, status, "epoch %u: %s", epoch + 1,
                        rpu_network_exchange_failure(r->network) ? rpu_network_exchange_failure(r->network)
                                                                 : "the data set does not fit the network");
    diagnose(r, before, out);
    out->epoch = epoch + 1;
    out->train_loss = loss / r->data->train.count;
    out->seconds = rpu_now() - start;
    r->n_epochs++;
    if (rpu_network_stops(r->network, tell(r, report, epoch, r->data->train.count, out)) &&
        r->n_epochs < r->config.epochs)
        return rpu_fail(err, RPU_ERR_INTERRUPTED, "stopped after epoch %u of %u", epoch + 1, r->config.epochs);
    return RPU_OK;
}

/* What the team's first thread does while the others serve its work lists. */
struct running {
    struct rpu_training *run;
    struct report report;
    struct rpu_error *err;
};

static enum rpu_status run_epochs(void *context) {
    struct running *r = context;
    while (r->run->n_epochs < r->run->config.epochs) {
        const enum rpu_status status = run_epoch(r->run, &r->report, r->err);
        if (status != RPU_OK)
            return status;
    }
    return RPU_OK;
}

enum rpu_status rpu_training_run(struct rpu_training *run, rpu_progress_fn *progress, void *user,
                                 struct rpu_error *err) {
    struct running running = {run, {progress, user, rpu_now(), rpu_now(), 0}, err};
    if (!run)
        return rpu_fail(err, RPU_ERR_ARG, "no run");
    rpu_network_goes_on(run->network);
    return rpu_sched_team(run->engine->sched, run_epochs, &running);
}

struct rpu_network *rpu_training_network(struct rpu_training *run) {
    return run ? run->network : NULL;
}

size_t rpu_training_epoch_count(const struct rpu_training *run) {
    return run ? run->n_epochs : 0;
}

const struct rpu_epoch *rpu_training_epoch(const struct rpu_training *run, size_t index) {
    return run && index < run->n_epochs ? &run->epochs[index] : NULL;
}

uint64_t rpu_training_images(const struct rpu_training *run) {
    return run ? run->images : 0;
}

double rpu_training_seconds(const struct rpu_training *run) {
    return run ? run->seconds : 0.0;
}
