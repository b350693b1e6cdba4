/* SPDX-License-Identifier: Apache-2.0 */
/* Walking an effective configuration, and writing it as YAML. */
#include "config_check.h"
#include "config_json.h"
#include "config_nodes.h"
#include "config_number.h"
#include "config_table.h"
#include "error.h"
#include "json_text.h"
#include "layer.h"
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the walk ---- */

struct walk {
    const struct rpu_config *config;
    enum rpu_visit_form form;
    const struct rpu_config_visitor *to;
    void *user;
    const struct rpu_node *preset; /* nodes of the preset it started from, or null */
    struct rpu_error *err;
};

/* Which scalars of a scope to hand over: null = all; otherwise those that differ from `other`. */
struct selection {
    enum rpu_scope scope;
    unsigned kinds;
    const void *base, *other;
    const char *path; /* of the scope, for messages: "network.layers.0" */
};

static int is_section(const struct rpu_key *key) {
    return key->type == RPU_KEY_MAP || key->type == RPU_KEY_LAYERS || key->type == RPU_KEY_ARRAYS;
}

static int selected(const struct selection *s, const struct rpu_key *key) {
    return !s->other || !rpu_key_equal(key, s->base, s->other);
}

static int any_selected(const struct selection *s, const char *prefix) {
    const struct rpu_key *k;
    for (size_t i = 0; (k = rpu_key_at(i)); i++)
        if (rpu_key_belongs(k, s->scope, s->kinds) && rpu_key_name_in(k, prefix) && (is_section(k) || selected(s, k)))
            return 1;
    return 0;
}

static int visit_layers(const struct walk *w, const char *name);
static int visit_arrays(const struct walk *w, const char *name);

static int visit_rows(const struct walk *w, const struct selection *s, const char *prefix);

/* The row's member holds what `value` shows of it, and may not. */
static int refuse(const struct walk *w, const struct selection *s, const struct rpu_key *key,
                  const struct rpu_value *value) {
    char path[RPU_KEY_PATH_MAX], allowed[192];
    const int shown = key->type != RPU_KEY_CHOICE && key->type != RPU_KEY_BOOL;
    const int most = key->type == RPU_KEY_TEXT || key->type == RPU_KEY_NAME ? (int)key->high : 32;
    snprintf(path, sizeof path, "%s%s%s", s->path, *s->path ? "." : "", key->path);
    rpu_fail_at(w->err, RPU_ERR_ARG, NULL, 0, path, "found %s%.*s%s; allowed is %s", shown ? "'" : "another value",
                shown ? most : 0, value->text, shown ? "'" : "", rpu_key_allowed(key, allowed, sizeof allowed));
    return -1;
}

static int visit_row(const struct walk *w, const struct selection *s, const struct rpu_key *key, const char *name) {
    struct rpu_value value;
    char buffer[32];
    int stop;
    if (key->type == RPU_KEY_LAYERS)
        return visit_layers(w, name);
    if (key->type == RPU_KEY_ARRAYS)
        return visit_arrays(w, name);
    if (key->type == RPU_KEY_MAP) {
        if (!any_selected(s, key->path))
            return 0;
        stop = w->to->begin_map(w->user, name);
        stop = stop ? stop : visit_rows(w, s, key->path);
        return stop ? stop : w->to->end_map(w->user);
    }
    if (!selected(s, key) || (key->scope == RPU_SCOPE_TOP && !key->fallback && !w->config->preset[0]))
        return 0;
    return rpu_key_value(key, s->base, buffer, &value) ? w->to->scalar(w->user, name, &value)
                                                       : refuse(w, s, key, &value);
}

static int visit_rows(const struct walk *w, const struct selection *s, const char *prefix) {
    const struct rpu_key *k;
    int stop = 0;
    for (size_t i = 0; (k = rpu_key_at(i)) && !stop; i++) {
        const char *name = rpu_key_belongs(k, s->scope, s->kinds) ? rpu_key_name_in(k, prefix) : NULL;
        if (name)
            stop = visit_row(w, s, k, name);
    }
    return stop;
}

static int visit_layers(const struct walk *w, const char *name) {
    int stop = w->to->begin_list(w->user, name);
    for (uint32_t i = 0; i < w->config->n_layers && !stop; i++) {
        const struct rpu_layer_spec *layer = &w->config->layers[i];
        const int known = (uint32_t)layer->kind <= RPU_LAYER_SOFTMAX; /* else: `type` alone, which is refused */
        char path[64];
        const struct selection all = {RPU_SCOPE_LAYER, known ? RPU_LAYER_BIT(layer->kind) : ~0u, layer, NULL, path};
        snprintf(path, sizeof path, "network.layers.%u", (unsigned)i);
        stop = w->to->begin_map(w->user, NULL);
        stop = stop ? stop : visit_rows(w, &all, "");
        stop = stop ? stop : w->to->end_map(w->user);
    }
    return stop ? stop : w->to->end_list(w->user);
}

/* One entry of `arrays`: all settings, or those that differ from `other`; of a perfect array `device` alone, since
 * nothing else has an effect, unless `whole`. */
static int visit_array(const struct walk *w, const char *name, const struct rpu_tile_params *p,
                       const struct rpu_tile_params *other, int whole) {
    struct rpu_tile_params baseline;
    char path[64];
    struct selection s = {RPU_SCOPE_ARRAY, 0, p, other, path};
    int stop;
    snprintf(path, sizeof path, "arrays.%s", name);
    if (p->device.kind == RPU_DEVICE_PERFECT && !whole) {
        rpu_tile_params_baseline(&baseline);
        s.other = &baseline;
    }
    stop = w->to->begin_map(w->user, name);
    stop = stop ? stop : visit_rows(w, &s, "");
    return stop ? stop : w->to->end_map(w->user);
}

static int differ(const struct rpu_tile_params *a, const struct rpu_tile_params *b) {
    const struct rpu_key *k;
    for (size_t i = 0; (k = rpu_key_at(i)); i++)
        if (k->scope == RPU_SCOPE_ARRAY && !rpu_key_equal(k, a, b))
            return 1;
    return 0;
}

/* `default` takes the first array's settings. Over a preset it must state all of them, and so must an array that the
 * preset has settings for: what is not stated would come from there. */
static int visit_array_compact(const struct walk *w, const struct rpu_layer_spec *layer,
                               const struct rpu_tile_params *first) {
    const int whole = rpu_node_child(rpu_node_child(w->preset, "arrays"), layer->name) != NULL;
    if (whole)
        return visit_array(w, layer->name, &layer->tile, NULL, 1);
    return differ(&layer->tile, first) ? visit_array(w, layer->name, &layer->tile, first, 0) : 0;
}

static int visit_arrays(const struct walk *w, const char *name) {
    const struct rpu_tile_params *first = NULL;
    int stop = w->to->begin_map(w->user, name);
    for (uint32_t i = 0; i < w->config->n_layers && !stop; i++) {
        const struct rpu_layer_spec *layer = &w->config->layers[i];
        if (!rpu_layer_is_array(layer))
            continue;
        if (w->form == RPU_VISIT_FULL) {
            stop = visit_array(w, layer->name, &layer->tile, NULL, 0);
            continue;
        }
        if (!first) {
            first = &layer->tile;
            stop = visit_array(w, "default", first, NULL, w->preset != NULL);
        }
        stop = stop ? stop : visit_array_compact(w, layer, first);
    }
    return stop ? stop : w->to->end_map(w->user);
}

/* What has no effect in a perfect array becomes what loading leaves there. */
static void normalize(struct rpu_config *config) {
    for (uint32_t i = 0; i < config->n_layers; i++)
        if (rpu_layer_is_array(&config->layers[i]) && config->layers[i].tile.device.kind == RPU_DEVICE_PERFECT) {
            rpu_tile_params_baseline(&config->layers[i].tile);
            config->layers[i].tile.device.kind = RPU_DEVICE_PERFECT;
        }
}

int rpu_config_visit(const struct rpu_config *config, enum rpu_visit_form form,
                     const struct rpu_config_visitor *visitor, void *user, struct rpu_error *err) {
    struct rpu_arena arena = {0};
    struct rpu_node *preset = NULL;
    struct rpu_config copy = *config;
    const struct selection all = {RPU_SCOPE_TOP, 0, &copy, NULL, ""};
    struct walk w = {&copy, form, visitor, user, NULL, err};
    int stop = -1;
    if (copy.n_layers > RPU_LAYERS_MAX) {
        rpu_fail_at(err, RPU_ERR_ARG, NULL, 0, "network.layers", "found %u layers; allowed are %d at most",
                    copy.n_layers, RPU_LAYERS_MAX);
        return -1;
    }
    normalize(&copy);
    if (copy.preset[0]) {
        const char *text = memchr(copy.preset, 0, sizeof copy.preset) ? rpu_preset_yaml(copy.preset) : NULL;
        const struct rpu_yaml_source source = {&arena, "", "", 1};
        if (!text)
            rpu_fail_at(err, RPU_ERR_ARG, NULL, 0, "preset", "found '%.63s', which is no preset", copy.preset);
        else if (rpu_yaml_parse(&preset, text, strlen(text), &source, err) == RPU_OK)
            w.preset = preset;
    }
    if (!copy.preset[0] || w.preset) {
        stop = visitor->begin_map(user, NULL);
        stop = stop ? stop : visit_rows(&w, &all, "");
        stop = stop ? stop : visitor->end_map(user);
    }
    if (!stop && rpu_config_check_whole(&copy, err) != RPU_OK)
        stop = -1;
    rpu_arena_free(&arena);
    return stop;
}

/* ---- YAML ---- */

struct writer {
    char *text;
    size_t used, room;
    int failed; /* memory ran out */
    int indent; /* open block maps and lists below the root */
    int flow;   /* 1: within an element of a list, which is written in one line */
    int first;  /* nothing is written of the flow map yet */
    int comments;
    int in_arrays;   /* indent at which `arrays` stands, or 0 */
    const char *bad; /* text that no YAML file can hold */
};

static void put_bytes(struct writer *w, const char *bytes, size_t length) {
    if (w->room - w->used <= length) {
        const size_t room = (w->room + length) * 2 + 1024;
        char *text = w->failed ? NULL : realloc(w->text, room);
        if (!text) {
            w->failed = 1;
            return;
        }
        w->text = text;
        w->room = room;
    }
    memcpy(w->text + w->used, bytes, length);
    w->used += length;
    w->text[w->used] = '\0';
}

static void put(struct writer *w, const char *text) {
    put_bytes(w, text, strlen(text));
}

RPU_PRINTF(2, 3)
static void putf(struct writer *w, const char *format, ...) {
    char buffer[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(buffer, sizeof buffer, format, args);
    va_end(args);
    put(w, buffer);
}

/* Characters that YAML takes as they are within double quotes. */
static int is_printable(uint32_t c) {
    return c < 0x80 ? c >= 0x20 && c < 0x7f && c != '"' && c != '\\'
                    : c >= 0xa0 && c != 0x2028 && c != 0x2029 && c != 0xfeff && (c < 0xfffe || c > 0xffff);
}

static void put_quoted(struct writer *w, const char *text) {
    put(w, "\"");
    while (*text) {
        uint32_t c = 0;
        const size_t length = rpu_code_point((const unsigned char *)text, &c);
        if (!length) {
            w->bad = text;
            break;
        }
        if (is_printable(c))
            put_bytes(w, text, length);
        else if (c == '"' || c == '\\')
            putf(w, "\\%c", (char)c);
        else
            putf(w, "\\u%04x", (unsigned)c);
        text += length;
    }
    put(w, "\"");
}

/* Whether every reader of YAML takes the bare word as a text. */
static int is_plain(const char *text) {
    static const char *const other[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"};
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/";
    char lower[8] = "";
    if (!*text || !strchr(letters, *text))
        return 0;
    for (size_t i = 0; text[i]; i++) {
        if (!strchr(letters, text[i]) && !strchr("0123456789._-", text[i]))
            return 0;
        if (i + 1 < sizeof lower)
            lower[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i]);
    }
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        if (strcmp(lower, other[i]) == 0)
            return 0;
    return 1;
}

static size_t line_length(const struct writer *w) {
    size_t start = w->used;
    while (start && w->text[start - 1] != '\n')
        start--;
    return w->used - start;
}

/* Forward and backward share their help: it is given once. */
static int is_repeated(const struct rpu_key *key) {
    const struct rpu_key *k;
    for (size_t i = 0; (k = rpu_key_at(i)) && k != key; i++)
        if (k->scope == key->scope && strcmp(k->help, key->help) == 0)
            return 1;
    return 0;
}

/* What is allowed, in short: " [0, 2..16 bits]". */
static void put_range(struct writer *w, const struct rpu_key *key) {
    char min[RPU_NUMBER_TEXT], max[RPU_NUMBER_TEXT];
    const char *unit = key->unit ? key->unit : "", *space = key->unit ? " " : "";
    if (key->type == RPU_KEY_BOOL)
        put(w, " [true, false]");
    if (key->type == RPU_KEY_INTEGER || key->type == RPU_KEY_SEED)
        putf(w, " [%s%" PRIu64 "..%" PRIu64 "%s%s]", key->or_off ? "0, " : "", key->low, key->high, space, unit);
    if (key->type == RPU_KEY_REAL) {
        rpu_number_print((float)key->min, min);
        rpu_number_print((float)key->max, max);
        putf(w, " [%s..%s%s%s]", min, max, space, unit);
    }
    for (size_t i = 0; key->type == RPU_KEY_CHOICE && key->choices[i]; i++)
        putf(w, "%s%s%s", i ? ", " : " [", key->choices[i], key->choices[i + 1] ? "" : "]");
}

/* Ends a line, with the help of `key` if comments are wanted. */
static void end_line(struct writer *w, const struct rpu_key *key) {
    enum { COLUMN = 28 };
    if (w->comments && key && !w->failed && !is_repeated(key)) {
        const size_t length = line_length(w);
        putf(w, "%*s# %s", length + 2 < COLUMN ? (int)(COLUMN - length) : 2, "", key->help);
        put_range(w, key);
    }
    put(w, "\n");
}

static void put_key(struct writer *w, const char *key) {
    if (w->flow)
        putf(w, "%s%s:", w->first ? "" : ", ", key);
    else
        putf(w, "%*s%s:", 2 * (w->indent - 1), "", key);
    w->first = 0;
}

static int write_begin_map(void *user, const char *key) {
    struct writer *w = user;
    if (w->indent && !key) { /* an element of a list */
        putf(w, "%*s- {", 2 * (w->indent - 1), "");
        w->flow = w->first = 1;
        return w->failed;
    }
    if (w->indent) {
        put_key(w, key);
        end_line(w, rpu_key_find(w->in_arrays ? RPU_SCOPE_ARRAY : RPU_SCOPE_TOP, 0, key));
        if (w->indent == 1 && strcmp(key, "arrays") == 0)
            w->in_arrays = w->indent;
    }
    w->indent++;
    return w->failed;
}

static int write_end_map(void *user) {
    struct writer *w = user;
    if (w->flow) {
        put(w, "}\n");
        w->flow = 0;
        return w->failed;
    }
    w->indent--;
    if (w->in_arrays == w->indent)
        w->in_arrays = 0;
    return w->failed;
}

/* "conv: outputs, kernel, stride (1), padding (0), bias (true), name": the keys of each kind of layer. */
static void put_layer_keys(struct writer *w) {
    const struct rpu_key *k;
    for (size_t kind = 0; rpu_layer_kinds[kind]; kind++) {
        putf(w, "%*s# %s", 2 * (w->indent - 1), "", rpu_layer_kinds[kind]);
        for (size_t i = 0, n = 0; (k = rpu_key_at(i)); i++) {
            if (!rpu_key_belongs(k, RPU_SCOPE_LAYER, RPU_LAYER_BIT(kind)) || strcmp(k->path, "type") == 0)
                continue;
            putf(w, "%s%s", n++ ? ", " : ": ", k->path);
            if (k->fallback)
                putf(w, " (%s)", k->fallback[0] == '=' ? k->fallback + 1 : k->fallback);
        }
        put(w, "\n");
    }
}

static int write_begin_list(void *user, const char *key) {
    struct writer *w = user;
    put_key(w, key);
    end_line(w, rpu_key_find(RPU_SCOPE_TOP, 0, "network.layers"));
    w->indent++;
    if (w->comments)
        put_layer_keys(w);
    return w->failed;
}

static int write_end_list(void *user) {
    struct writer *w = user;
    w->indent--;
    return w->failed;
}

static int write_scalar(void *user, const char *key, const struct rpu_value *value) {
    struct writer *w = user;
    put_key(w, key);
    put(w, " ");
    if (value->type == RPU_VALUE_TEXT && !is_plain(value->text))
        put_quoted(w, value->text);
    else
        put(w, value->text);
    if (!w->flow)
        end_line(w, value->key);
    return w->failed || w->bad;
}

enum rpu_status rpu_config_write(const struct rpu_config *config, enum rpu_visit_form form, int comments, char **text,
                                 struct rpu_error *err) {
    static const struct rpu_config_visitor visitor = {write_begin_map, write_end_map, write_begin_list, write_end_list,
                                                      write_scalar};
    struct writer w = {.comments = comments};
    struct rpu_error why = {0};
    int stop;
    rpu_error_clear(err);
    if (text)
        *text = NULL;
    if (!config || !text)
        return rpu_fail(err, RPU_ERR_ARG, "no configuration or no place for its text given");
    stop = rpu_config_visit(config, form, &visitor, &w, &why);
    if (!stop) {
        *text = w.text;
        return RPU_OK;
    }
    free(w.text);
    if (w.failed)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    if (w.bad)
        return rpu_fail(err, RPU_ERR_CONFIG, "a text of the configuration is not UTF-8, and cannot be written as YAML");
    if (err)
        *err = why;
    return why.status;
}

enum rpu_status rpu_config_writable(const struct rpu_config *config, struct rpu_error *err) {
    char *text;
    const enum rpu_status status = rpu_config_yaml(config, &text, err);
    free(text);
    return status;
}

char *rpu_config_json_text(const json_t *config) {
    char *plain = rpu_json_text(config, RPU_JSON_CONFIG);
    struct writer w = {0};
    uint32_t c = 0;
    for (size_t at = 0, length; plain && plain[at]; at += length) {
        length = rpu_code_point((const unsigned char *)plain + at, &c);
        length = length ? length : 1; /* there is none: jansson's texts are UTF-8 */
        if (c < 0x7f || is_printable(c))
            put_bytes(&w, plain + at, length);
        else
            putf(&w, "\\u%04x", (unsigned)c);
    }
    if (!plain || w.failed) {
        free(w.text);
        w.text = NULL;
    }
    free(plain);
    return w.text;
}

enum rpu_status rpu_config_yaml(const struct rpu_config *config, char **text, struct rpu_error *err) {
    return rpu_config_write(config, RPU_VISIT_COMPACT, 0, text, err);
}
