/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"
#include "error.h"
#include "network_inside.h"
#include "poly.h"
#include "rng.h"
#include "small.h"
#include "training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the running call keeps for its progress reports. */
struct report {
    rpu_progress_fn *fn;
    void *user;
    double start;
    uint64_t images; /* trained since start */
};

void rpu_shuffle(uint32_t *order, uint32_t count, uint64_t seed, uint32_t epoch) {
    const struct rpu_stream s = rpu_stream_make(seed, RPU_RNG_SHUFFLE, epoch, 0, 0);
    if (!order)
        return;
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    rpu_permute(order, count, &s);
}

/* What a pass would refuse after hours, in the test of the first epoch, is refused before. */
static enum rpu_status check_data(const struct rpu_images *im, const struct rpu_images *test, struct rpu_error *err) {
    if (im->count == 0 || test->count == 0)
        return rpu_fail(err, RPU_ERR_SHAPE, "the data set has %u training and %u test images; both need at least 1",
                        im->count, test->count);
    if (!im->pixels || !im->labels || !test->pixels || !test->labels)
        return rpu_fail(err, RPU_ERR_ARG, "a data set without pixels or labels");
    if (im->height != test->height || im->width != test->width || im->channels != test->channels)
        return rpu_fail(err, RPU_ERR_SHAPE, "training images of %u x %u x %u, test images of %u x %u x %u", im->height,
                        im->width, im->channels, test->height, test->width, test->channels);
    if (im->classes > RPU_CLASSES_MAX || test->classes > RPU_CLASSES_MAX)
        return rpu_fail(err, RPU_ERR_RANGE, "training images of %u classes, test images of %u; allowed are %d at most",
                        im->classes, test->classes, RPU_CLASSES_MAX);
    return RPU_OK;
}

static enum rpu_status make_training(struct rpu_training *r, const struct rpu_engine *engine, struct rpu_error *err) {
    const struct rpu_images *im = &r->data->train;
    const size_t arrays_max = RPU_LAYERS_MAX;
    enum rpu_status status = check_data(im, &r->data->test, err);
    if (status != RPU_OK)
        return status;
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
    if (run)
        *run = NULL;
    if (!run || !rpu_is_engine(engine) || !config || !data)
        return rpu_fail(err, RPU_ERR_ARG, "no engine, configuration or data, or no place for the run");
    r = calloc(1, sizeof *r);
    if (!r)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    r->tag = RPU_TRAINING_TAG;
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
    if (!rpu_is_training(run))
        return;
    run->tag = 0;
    rpu_network_destroy(run->network);
    for (uint32_t e = 0; run->epochs && e < run->config.epochs; e++)
        free(run->epochs[e].arrays);
    free(run->epochs);
    free(run->order);
    free(run);
}

enum rpu_status rpu_training_share(struct rpu_training *run, const struct rpu_ranks *ranks, struct rpu_error *err) {
    return rpu_is_training(run) ? rpu_network_share(run->network, ranks, err) : rpu_fail(err, RPU_ERR_ARG, "no run");
}

/* Reports where training is; true when the caller wants to stop. */
static int tell(const struct rpu_training *r, struct report *report, uint32_t epoch, uint32_t image,
                const struct rpu_epoch *finished) {
    const double at = rpu_now();
    const uint64_t total = (uint64_t)r->config.epochs * r->data->train.count;
    struct rpu_progress p = {epoch + 1, r->config.epochs, image, r->data->train.count, 0.0, 0.0, finished};
    if (!report->fn)
        return 0;
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

/* ---- time and checkpoints ---- */

/* Adds the time that went by to what is counted. */
static void count_time(struct rpu_training *r) {
    const double at = rpu_now();
    r->part.seconds += at - r->since;
    r->seconds += at - r->since;
    r->since = at;
}

static void call_for_checkpoint(struct rpu_training *r) {
    r->checkpoint(r, r->checkpoint_user);
    r->last_checkpoint = r->since = rpu_now();
}

/* After a minibatch of `count` images. */
static void checkpoint_images(struct rpu_training *r, uint32_t count) {
    const struct rpu_checkpoint_times *t = &r->times;
    if (!r->checkpoint || !((t->images && r->images / t->images > (r->images - count) / t->images) ||
                            (t->seconds > 0.0 && rpu_now() - r->last_checkpoint >= t->seconds)))
        return;
    count_time(r);
    call_for_checkpoint(r);
}

static void checkpoint_epoch(struct rpu_training *r) {
    if (r->checkpoint && r->times.epochs && r->n_epochs % r->times.epochs == 0)
        call_for_checkpoint(r);
}

enum rpu_status rpu_training_checkpoints(struct rpu_training *run, const struct rpu_checkpoint_times *times,
                                         rpu_checkpoint_fn *fn, void *user) {
    if (!rpu_is_training(run) || !times || !(times->seconds >= 0.0))
        return RPU_ERR_ARG;
    run->times = *times;
    run->checkpoint = fn;
    run->checkpoint_user = user;
    return RPU_OK;
}

/* ---- an epoch ---- */

/* The training part of an epoch, from where it stands. */
static enum rpu_status train_images(struct rpu_training *r, uint32_t epoch, struct report *report) {
    const struct rpu_images *im = &r->data->train;
    struct rpu_epoch_part *part = &r->part;
    if (part->done < im->count)
        rpu_shuffle(r->order, im->count, r->config.seed, epoch);
    while (part->done < im->count) {
        const uint32_t left = im->count - part->done, count = left < r->config.batch ? left : r->config.batch;
        const enum rpu_status status =
            rpu_network_train(r->network, im, r->order + part->done, count, r->images, &part->loss);
        if (status != RPU_OK)
            return status;
        if (!isfinite(part->loss))
            return RPU_ERR_DIVERGED;
        part->done += count;
        r->images += count;
        report->images += count;
        checkpoint_images(r, count);
        if (rpu_network_stops(r->network, tell(r, report, epoch, part->done, NULL)))
            return RPU_ERR_INTERRUPTED;
    }
    return RPU_OK;
}

/* The test set with analog reads, in pieces so that a stop request is heard. */
static enum rpu_status evaluate(struct rpu_training *r, uint32_t epoch, struct report *report, struct rpu_epoch *out) {
    const struct rpu_images *im = &r->data->test;
    const uint64_t step = (uint64_t)epoch * im->count;
    const uint32_t piece = (uint32_t)rpu_network_test_piece(r->network);
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

static int is_floating_point(const struct rpu_config *c) {
    for (uint32_t i = 0; i < c->n_layers; i++)
        if ((c->layers[i].kind == RPU_LAYER_CONV || c->layers[i].kind == RPU_LAYER_FC) &&
            c->layers[i].tile.device.kind != RPU_DEVICE_PERFECT)
            return 0;
    return 1;
}

/* Loss of guessing: ln(classes). */
static double guessing(const struct rpu_training *r) {
    const uint32_t a = r->data->train.classes, b = r->data->test.classes;
    return rpu_log((double)(a > b ? a : b));
}

/* Whether what the epoch came to is still a training. */
static enum rpu_status check_epoch(const struct rpu_training *r, const struct rpu_epoch *out) {
    const double most = RPU_DIVERGED_LOSS * guessing(r);
    if (!isfinite(out->test_loss) || !rpu_network_is_finite(r->network))
        return RPU_ERR_DIVERGED;
    return is_floating_point(&r->config) && out->train_loss > most && out->test_loss > most ? RPU_ERR_DIVERGED : RPU_OK;
}

static enum rpu_status fail_epoch(const struct rpu_training *r, enum rpu_status status, const struct rpu_epoch *out,
                                  struct rpu_error *err) {
    const uint32_t epoch = (uint32_t)r->n_epochs + 1;
    if (status == RPU_ERR_INTERRUPTED)
        return rpu_fail(err, status, "stopped in epoch %u of %u", epoch, r->config.epochs);
    if (status == RPU_ERR_DIVERGED && r->part.done < r->data->train.count)
        return rpu_fail(
            err, status,
            "the training diverged: after %llu images, in epoch %u, the loss is no finite number; eta is %g",
            (unsigned long long)r->images, epoch, (double)r->config.eta);
    if (status == RPU_ERR_DIVERGED)
        return rpu_fail(err, status,
                        "the training diverged: epoch %u ends with train loss %g, test loss %g%s, where guessing has "
                        "%.3g; eta is %g",
                        epoch, out->train_loss, out->test_loss,
                        rpu_network_is_finite(r->network) ? "" : " and weights that are no finite numbers", guessing(r),
                        (double)r->config.eta);
    return rpu_fail(err, status, "epoch %u: %s", epoch,
                    rpu_network_exchange_failure(r->network) ? rpu_network_exchange_failure(r->network)
                                                             : "the data set does not fit the network");
}

static enum rpu_status run_epoch(struct rpu_training *r, struct report *report, struct rpu_error *err) {
    const uint32_t epoch = (uint32_t)r->n_epochs;
    struct rpu_epoch *out = &r->epochs[epoch];
    enum rpu_status status;
    double test_start;
    for (size_t a = 0; r->part.done == 0 && a < rpu_network_array_count(r->network); a++)
        rpu_network_array_stats(r->network, a, &r->part.before[a]);
    r->since = rpu_now();
    status = train_images(r, epoch, report);
    count_time(r);
    test_start = r->since;
    if (status == RPU_OK)
        status = evaluate(r, epoch, report, out);
    out->train_loss = r->part.loss / r->data->train.count;
    if (status == RPU_OK)
        status = check_epoch(r, out);
    if (status != RPU_OK)
        return fail_epoch(r, status, out, err);
    diagnose(r, r->part.before, out);
    out->epoch = epoch + 1;
    out->train_seconds = r->part.seconds;
    out->seconds = r->part.seconds + (rpu_now() - test_start);
    r->n_epochs++;
    memset(&r->part, 0, sizeof r->part);
    checkpoint_epoch(r);
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
    struct running running = {run, {progress, user, rpu_now(), 0}, err};
    if (!rpu_is_training(run))
        return rpu_fail(err, RPU_ERR_ARG, "no run");
    run->last_checkpoint = rpu_now();
    rpu_network_goes_on(run->network);
    return rpu_sched_team(run->engine->sched, run_epochs, &running);
}

struct rpu_network *rpu_training_network(struct rpu_training *run) {
    return rpu_is_training(run) ? run->network : NULL;
}

size_t rpu_training_epoch_count(const struct rpu_training *run) {
    return rpu_is_training(run) ? run->n_epochs : 0;
}

const struct rpu_epoch *rpu_training_epoch(const struct rpu_training *run, size_t index) {
    return rpu_is_training(run) && index < run->n_epochs ? &run->epochs[index] : NULL;
}

uint64_t rpu_training_images(const struct rpu_training *run) {
    return rpu_is_training(run) ? run->images : 0;
}

double rpu_training_seconds(const struct rpu_training *run) {
    return rpu_is_training(run) ? run->seconds : 0.0;
}

uint64_t rpu_training_resumed(const struct rpu_training *run) {
    return rpu_is_training(run) ? run->resumed : 0;
}

uint64_t rpu_training_images_alone(const struct rpu_training *run) {
    return rpu_is_training(run) ? rpu_network_images_alone(run->network) : 0;
}
