/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata of a checkpoint: from structs to texts, and back. */
#include "checkpoint.h"
#include "config_json.h"
#include "error.h"
#include "json_text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Doubles come back with every bit. */
#define EXACT JSON_REAL_PRECISION(17)

/* Where a count stands in the statistics of an array, and in JSON. */
static const struct count {
    const char *cycle, *name;
    size_t offset;
} counts[] = {
#define COUNT(cycle, name)                                                                                             \
    { #cycle, #name, offsetof(struct rpu_array_stats, cycle.name) }
    COUNT(forward, columns),     COUNT(forward, rereads),    COUNT(forward, saturated), COUNT(backward, columns),
    COUNT(backward, rereads),    COUNT(backward, saturated), COUNT(update, row_pulses), COUNT(update, column_pulses),
    COUNT(update, coincidences), COUNT(update, clipped),
#undef COUNT
};

enum { N_COUNTS = sizeof counts / sizeof counts[0] };

void rpu_checkpoint_names(struct rpu_checkpoint_state *state, const struct rpu_config *config) {
    state->n_arrays = 0;
    for (uint32_t i = 0; i < config->n_layers; i++)
        if (config->layers[i].kind == RPU_LAYER_CONV || config->layers[i].kind == RPU_LAYER_FC)
            state->names[state->n_arrays++] = config->layers[i].name;
}

/* ---- to JSON ---- */

static json_t *counts_of(int *failed, const struct rpu_array_stats *s) {
    json_t *object = json_object();
    for (size_t i = 0; i < N_COUNTS; i++) {
        uint64_t value;
        if (!json_object_get(object, counts[i].cycle))
            rpu_json_put(failed, object, counts[i].cycle, json_object());
        memcpy(&value, (const char *)s + counts[i].offset, sizeof value);
        rpu_json_put(failed, json_object_get(object, counts[i].cycle), counts[i].name, rpu_json_integer(value));
    }
    return object;
}

static json_t *stats_of(int *failed, const struct rpu_array_stats *s) {
    json_t *object = counts_of(failed, s), *seconds = json_array();
    rpu_json_put(failed, object, "images", rpu_json_integer(s->images));
    rpu_json_put(failed, object, "seconds", seconds);
    for (int c = 0; c < 3; c++)
        rpu_json_append(failed, seconds, json_real(s->seconds[c]));
    return object;
}

static json_t *epoch_of(int *failed, const struct rpu_checkpoint_state *s, const struct rpu_epoch *e) {
    json_t *object = json_object(), *arrays = json_object();
    rpu_json_put(failed, object, "epoch", json_integer(e->epoch));
    rpu_json_put(failed, object, "train_loss", json_real(e->train_loss));
    rpu_json_put(failed, object, "test_loss", json_real(e->test_loss));
    rpu_json_put(failed, object, "test_error", json_real(e->test_error));
    rpu_json_put(failed, object, "seconds", json_real(e->seconds));
    rpu_json_put(failed, object, "train_seconds", json_real(e->train_seconds));
    rpu_json_put(failed, object, "arrays", arrays);
    for (uint32_t a = 0; a < s->n_arrays; a++) {
        const struct rpu_array_epoch *d = &e->arrays[a];
        const struct rpu_array_stats stats = {.forward = d->forward, .backward = d->backward, .update = d->update};
        json_t *of = counts_of(failed, &stats);
        rpu_json_put(failed, of, "at_bound", json_real(d->at_bound));
        rpu_json_put(failed, arrays, s->names[a], of);
    }
    return object;
}

static json_t *history_of(int *failed, const struct rpu_checkpoint_state *s) {
    json_t *list = json_array();
    for (uint32_t e = 0; e < s->info.epochs; e++)
        rpu_json_append(failed, list, epoch_of(failed, s, &s->epochs[e]));
    return list;
}

static json_t *progress_of(int *failed, const struct rpu_checkpoint_state *s) {
    json_t *object = json_object(), *arrays = json_object();
    rpu_json_put(failed, object, "epoch_images", json_integer(s->part.done));
    rpu_json_put(failed, object, "epoch_loss", json_real(s->part.loss));
    rpu_json_put(failed, object, "epoch_seconds", json_real(s->part.seconds));
    rpu_json_put(failed, object, "train_seconds", json_real(s->seconds));
    rpu_json_put(failed, object, "arrays", arrays);
    for (uint32_t a = 0; a < s->n_arrays; a++) {
        json_t *of = json_object();
        rpu_json_put(failed, of, "all", stats_of(failed, &s->stats[a]));
        rpu_json_put(failed, of, "before_epoch", stats_of(failed, &s->part.before[a]));
        rpu_json_put(failed, arrays, s->names[a], of);
    }
    return object;
}

static json_t *data_of(const struct rpu_checkpoint_info *i) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "train_images", (json_int_t)i->train_images, "test_images",
                     (json_int_t)i->test_images, "height", (json_int_t)i->height, "width", (json_int_t)i->width,
                     "channels", (json_int_t)i->channels, "classes", (json_int_t)i->classes);
}

/* Both are freed. */
static void put_text(int *failed, json_t *metadata, const char *key, json_t *value, char *text) {
    json_decref(value);
    rpu_json_put(failed, metadata, key, text ? json_string(text) : NULL);
    free(text);
}

/* A value as a text of the metadata; the value is freed. */
static void put_json(int *failed, json_t *metadata, const char *key, json_t *value, size_t flags) {
    put_text(failed, metadata, key, value, rpu_json_text(value, flags));
}

static void put_number(int *failed, json_t *metadata, const char *key, uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    rpu_json_put(failed, metadata, key, json_string(text));
}

json_t *rpu_checkpoint_metadata(const struct rpu_checkpoint_state *state, const struct rpu_config *config) {
    int failed = 0;
    json_t *metadata = json_object(), *settings = rpu_config_to_json(config);
    rpu_json_put(&failed, metadata, "format", json_string(RPU_CHECKPOINT_FORMAT));
    put_number(&failed, metadata, "format_version", RPU_CHECKPOINT_VERSION);
    rpu_json_put(&failed, metadata, "version", json_string(rpu_version()));
    put_number(&failed, metadata, "step", state->info.images);
    put_number(&failed, metadata, "epoch", state->info.epochs);
    put_number(&failed, metadata, "training_set_xxh3", state->info.training_set_xxh3);
    put_number(&failed, metadata, "test_set_xxh3", state->info.test_set_xxh3);
    put_json(&failed, metadata, "data", data_of(&state->info), 0);
    put_text(&failed, metadata, "config", settings, settings ? rpu_config_json_text(settings) : NULL);
    put_json(&failed, metadata, "history", history_of(&failed, state), EXACT);
    put_json(&failed, metadata, "progress", progress_of(&failed, state), EXACT);
    if (failed) {
        json_decref(metadata);
        return NULL;
    }
    return metadata;
}

/* ---- from JSON ---- */

/* What is being read; the first thing that is wrong ends it. */
struct parsing {
    struct rpu_checkpoint *c;
    const char *path;
    struct rpu_error *err;
    enum rpu_status status;
};

static void refuse(struct parsing *p, const char *key, const char *what) {
    if (p->status == RPU_OK)
        p->status = rpu_fail_at(p->err, RPU_ERR_FORMAT, p->path, 0, NULL, "metadata %s: %s", key, what);
}

static void out_of_memory(struct parsing *p) {
    if (p->status == RPU_OK)
        p->status = rpu_fail_at(p->err, RPU_ERR_NOMEM, p->path, 0, NULL, "out of memory");
}

/* A text of decimal digits. */
static uint64_t number(struct parsing *p, const char *text, const char *key, uint64_t most) {
    uint64_t value = 0;
    if (text && *text && strspn(text, "0123456789") == strlen(text)) {
        errno = 0;
        value = strtoull(text, NULL, 10);
        if (errno)
            refuse(p, key, "a number beyond 64 bits");
    } else {
        refuse(p, key, "missing, or no whole number");
    }
    if (value > most)
        refuse(p, key, "a number that is too large");
    return value;
}

/* An integer as rpu_json_integer writes it. */
static uint64_t integer(struct parsing *p, const json_t *object, const char *key, uint64_t most) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return number(p, json_string_value(value), key, most);
    if ((uint64_t)json_integer_value(value) > most)
        refuse(p, key, "a number that is too large");
    return (uint64_t)json_integer_value(value);
}

static double real(struct parsing *p, const json_t *value, const char *key) {
    const double number = json_number_value(value);
    if (!json_is_number(value) || !isfinite(number))
        refuse(p, key, "missing, or no number");
    return number;
}

static double real_in(struct parsing *p, const json_t *object, const char *key) {
    return real(p, json_object_get(object, key), key);
}

static void counts_from(struct parsing *p, const json_t *object, struct rpu_array_stats *s) {
    for (size_t i = 0; i < N_COUNTS; i++) {
        const uint64_t value = integer(p, json_object_get(object, counts[i].cycle), counts[i].name, UINT64_MAX);
        memcpy((char *)s + counts[i].offset, &value, sizeof value);
    }
}

static void stats_from(struct parsing *p, const json_t *object, struct rpu_array_stats *s) {
    counts_from(p, object, s);
    s->images = integer(p, object, "images", UINT64_MAX);
    for (size_t c = 0; c < 3; c++)
        s->seconds[c] = real(p, json_array_get(json_object_get(object, "seconds"), c), "seconds");
}

static void epoch_from(struct parsing *p, const json_t *object, struct rpu_epoch *e) {
    const struct rpu_checkpoint_state *s = &p->c->state;
    const json_t *arrays = json_object_get(object, "arrays");
    e->epoch = (uint32_t)integer(p, object, "epoch", UINT32_MAX);
    e->train_loss = real_in(p, object, "train_loss");
    e->test_loss = real_in(p, object, "test_loss");
    e->test_error = real_in(p, object, "test_error");
    e->seconds = real_in(p, object, "seconds");
    e->train_seconds = real_in(p, object, "train_seconds");
    for (uint32_t a = 0; a < s->n_arrays && p->status == RPU_OK; a++) {
        const json_t *of = json_object_get(arrays, s->names[a]);
        struct rpu_array_stats stats;
        counts_from(p, of, &stats);
        e->arrays[a] =
            (struct rpu_array_epoch){stats.forward, stats.backward, stats.update, real_in(p, of, "at_bound")};
    }
}

/* A text of the metadata as JSON; null after an error. */
static json_t *load(struct parsing *p, const char *key) {
    const char *text = rpu_safetensors_text(p->c->file, key);
    int without_memory = 0;
    json_error_t reason;
    json_t *value = text ? rpu_json_parse(text, strlen(text), JSON_REJECT_DUPLICATES, &reason, &without_memory) : NULL;
    if (without_memory)
        out_of_memory(p);
    else if (!value)
        refuse(p, key, text ? "no JSON" : "missing");
    return value;
}

/* A number of the metadata itself. */
static uint64_t stated(struct parsing *p, const char *key, uint64_t most) {
    return number(p, rpu_safetensors_text(p->c->file, key), key, most);
}

static void parse_history(struct parsing *p) {
    json_t *list = load(p, "history");
    struct rpu_checkpoint *c = p->c;
    const size_t n = c->state.info.epochs;
    struct rpu_array_epoch *arrays;
    if (p->status == RPU_OK && (!json_is_array(list) || json_array_size(list) != n))
        refuse(p, "history", "not as many epochs as are finished");
    if (p->status == RPU_OK) {
        c->epochs = calloc(n + 1, sizeof *c->epochs);
        arrays = calloc(n * c->state.n_arrays + 1, sizeof *arrays);
        if (!c->epochs || !arrays) {
            free(arrays);
            out_of_memory(p);
        } else {
            c->epochs[0].arrays = arrays; /* of all epochs */
            c->state.epochs = c->epochs;
        }
    }
    for (size_t e = 0; e < n && p->status == RPU_OK; e++) {
        c->epochs[e].arrays = c->epochs[0].arrays + e * c->state.n_arrays;
        epoch_from(p, json_array_get(list, e), &c->epochs[e]);
        if (c->epochs[e].epoch != e + 1 || !(c->epochs[e].test_error >= 0.0 && c->epochs[e].test_error <= 1.0))
            refuse(p, "history", "epochs out of order, or an error that is no fraction");
    }
    json_decref(list);
}

static void parse_progress(struct parsing *p) {
    json_t *object = load(p, "progress");
    struct rpu_checkpoint_state *s = &p->c->state;
    const json_t *arrays = json_object_get(object, "arrays");
    s->part.done = s->info.epoch_images = (uint32_t)integer(p, object, "epoch_images", s->info.train_images);
    s->part.loss = real_in(p, object, "epoch_loss");
    s->part.seconds = real_in(p, object, "epoch_seconds");
    s->seconds = real_in(p, object, "train_seconds");
    for (uint32_t a = 0; a < s->n_arrays && p->status == RPU_OK; a++) {
        const json_t *of = json_object_get(arrays, s->names[a]);
        stats_from(p, json_object_get(of, "all"), &s->stats[a]);
        stats_from(p, json_object_get(of, "before_epoch"), &s->part.before[a]);
    }
    json_decref(object);
}

static void parse_data(struct parsing *p) {
    json_t *object = load(p, "data");
    struct rpu_checkpoint_info *i = &p->c->state.info;
    i->train_images = (uint32_t)integer(p, object, "train_images", UINT32_MAX);
    i->test_images = (uint32_t)integer(p, object, "test_images", UINT32_MAX);
    i->height = (uint32_t)integer(p, object, "height", UINT32_MAX);
    i->width = (uint32_t)integer(p, object, "width", UINT32_MAX);
    i->channels = (uint32_t)integer(p, object, "channels", UINT32_MAX);
    i->classes = (uint32_t)integer(p, object, "classes", RPU_CLASSES_MAX);
    json_decref(object);
}

static void parse_config(struct parsing *p) {
    const char *text = rpu_safetensors_text(p->c->file, "config");
    struct rpu_error why;
    char origin[256];
    if (!text) {
        refuse(p, "config", "missing");
        return;
    }
    snprintf(origin, sizeof origin, "%.200s, metadata config", p->path);
    p->status = rpu_config_from_json(&p->c->config, text, origin, &why);
    if (p->status != RPU_OK && p->err) {
        *p->err = why;
        snprintf(p->err->file, sizeof p->err->file, "%s", p->path);
        if (p->status != RPU_ERR_NOMEM)
            p->err->status = p->status = RPU_ERR_FORMAT;
    }
}

static void parse_format(struct parsing *p) {
    const char *format = rpu_safetensors_text(p->c->file, "format"),
               *version = rpu_safetensors_text(p->c->file, "format_version");
    if (!format || strcmp(format, RPU_CHECKPOINT_FORMAT) != 0) {
        refuse(p, "format", "not " RPU_CHECKPOINT_FORMAT);
    } else if (stated(p, "format_version", UINT32_MAX) != RPU_CHECKPOINT_VERSION && p->status == RPU_OK) {
        p->status = rpu_fail_at(p->err, RPU_ERR_UNSUPPORTED, p->path, 0, NULL,
                                "format %.20s of checkpoints; this version of rpubench reads %d", version,
                                RPU_CHECKPOINT_VERSION);
    }
    p->c->state.info.version = rpu_safetensors_text(p->c->file, "version");
    if (!p->c->state.info.version)
        refuse(p, "version", "missing");
}

/* What the numbers say of each other. */
static void check_position(struct parsing *p) {
    const struct rpu_checkpoint_state *s = &p->c->state;
    const struct rpu_config *c = &p->c->config;
    const uint32_t batch = c->batch ? c->batch : 1;
    if ((uint64_t)s->info.epochs * s->info.train_images + s->part.done != s->info.images)
        refuse(p, "step", "not the images of so many epochs");
    if (s->part.done % batch != 0 && s->part.done != s->info.train_images)
        refuse(p, "progress", "within a minibatch");
    if (s->info.epochs > c->epochs || (s->info.epochs == c->epochs && s->part.done > 0))
        refuse(p, "epoch", "more than the configuration has");
}

enum rpu_status rpu_checkpoint_parse(struct rpu_checkpoint *checkpoint, const char *path, struct rpu_error *err) {
    static void (*const steps[])(struct parsing *) = {parse_format, parse_config};
    static void (*const rest[])(struct parsing *) = {parse_data, parse_history, parse_progress, check_position};
    struct parsing p = {checkpoint, path, err, RPU_OK};
    struct rpu_checkpoint_info *info = &checkpoint->state.info;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && p.status == RPU_OK; i++)
        steps[i](&p);
    if (p.status != RPU_OK)
        return p.status;
    rpu_checkpoint_names(&checkpoint->state, &checkpoint->config);
    info->images = stated(&p, "step", UINT64_MAX);
    info->epochs = (uint32_t)stated(&p, "epoch", UINT32_MAX);
    info->training_set_xxh3 = stated(&p, "training_set_xxh3", UINT64_MAX);
    info->test_set_xxh3 = stated(&p, "test_set_xxh3", UINT64_MAX);
    for (size_t i = 0; i < sizeof rest / sizeof rest[0] && p.status == RPU_OK; i++)
        rest[i](&p);
    return p.status;
}
