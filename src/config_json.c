/* SPDX-License-Identifier: Apache-2.0 */
#include "config_json.h"

#include "config_check.h"
#include "config_table.h"
#include "config_visit.h"
#include "error.h"
#include "json_text.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 16 };

#define EXACT_MAX (UINT64_C(1) << 53)

/* The containers that are open; open[0] is the document. */
struct walk {
    json_t *open[DEPTH_MAX];
    size_t depth;
};

json_t *rpu_json_integer(uint64_t value) {
    char text[24];
    if (value <= EXACT_MAX)
        return json_integer((json_int_t)value);
    snprintf(text, sizeof text, "%" PRIu64, value);
    return json_string(text);
}

/* Puts a value into the innermost container, which takes it over. */
static int put(struct walk *w, const char *key, json_t *value) {
    json_t *into = w->open[w->depth - 1];
    return key ? json_object_set_new(into, key, value) : json_array_append_new(into, value);
}

static int begin(struct walk *w, const char *key, json_t *container) {
    if (!container || w->depth == DEPTH_MAX) {
        json_decref(container);
        return -1;
    }
    if (w->depth > 0 && put(w, key, container) != 0)
        return -1;
    w->open[w->depth++] = container;
    return 0;
}

static int begin_map(void *user, const char *key) {
    return begin(user, key, json_object());
}

static int begin_list(void *user, const char *key) {
    return begin(user, key, json_array());
}

/* The document itself stays open: it is the result. */
static int end(void *user) {
    struct walk *w = user;
    if (w->depth > 1)
        w->depth--;
    return 0;
}

static int scalar(void *user, const char *key, const struct rpu_value *value) {
    switch (value->type) {
    case RPU_VALUE_BOOL: return put(user, key, json_boolean(value->boolean));
    case RPU_VALUE_INTEGER: return put(user, key, rpu_json_integer(value->integer));
    case RPU_VALUE_REAL: return put(user, key, json_real(value->real));
    case RPU_VALUE_TEXT: return put(user, key, json_string(value->text));
    }
    return -1;
}

json_t *rpu_config_to_json(const struct rpu_config *config) {
    static const struct rpu_config_visitor visitor = {begin_map, end, begin_list, end, scalar};
    struct walk w = {{NULL}, 0};
    if (rpu_config_visit(config, RPU_VISIT_FULL, &visitor, &w, NULL) == 0 && w.depth > 0)
        return w.open[0];
    json_decref(w.open[0]);
    return NULL;
}

/* ---- reading ---- */

/* JSON is YAML, but for whole numbers beyond 2^53, which are texts there: only the seed has them. */
enum rpu_status rpu_config_from_json(struct rpu_config *config, const char *text, const char *origin,
                                     struct rpu_error *err) {
    struct rpu_config *made = calloc(1, sizeof *made);
    struct rpu_arena arena = {0};
    const struct rpu_yaml_source source = {&arena, origin, "", 0};
    struct rpu_node *root = NULL, *seed;
    const struct rpu_node *preset;
    enum rpu_status status =
        made ? rpu_yaml_parse(&root, text, strlen(text), &source, err) : rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    if (status == RPU_OK) {
        seed = rpu_node_find(root, "training.seed");
        if (seed)
            seed->quoted = 0;
        status = rpu_config_check(root, err);
    }
    if (status == RPU_OK) {
        preset = rpu_node_child(root, "preset");
        if (preset && rpu_preset_yaml(preset->text)) /* everything is stated: one that is not there is not missed */
            snprintf(made->preset, sizeof made->preset, "%s", preset->text);
        status = rpu_config_fill(made, root, err);
    }
    if (status == RPU_OK)
        *config = *made;
    rpu_arena_free(&arena);
    free(made);
    return status;
}

/* ---- comparing ---- */

/* Keys that differ, as a list for people. */
struct differences {
    struct rpu_text list;
    size_t found, told;
};

static int may_change(const char *path) {
    static const char *const free_keys[] = {"preset", "run", "training.epochs", "data.source"};
    for (size_t i = 0; i < sizeof free_keys / sizeof free_keys[0]; i++)
        if (strcmp(path, free_keys[i]) == 0)
            return 1;
    return 0;
}

static void tell_value(struct rpu_text *list, const json_t *value, const char *when) {
    char *text = rpu_json_text(value, JSON_ENCODE_ANY | RPU_JSON_CONFIG);
    rpu_text_format(list, "%.60s %s", json_is_string(value) ? json_string_value(value) : text ? text : "nothing", when);
    free(text);
}

static void tell(struct differences *d, const char *path, const json_t *then, const json_t *now) {
    enum { ROOM = 640 };
    d->found++;
    if (d->list.length > ROOM)
        return;
    d->told++;
    rpu_text_format(&d->list, "%s%s: ", d->list.length ? "; " : "", path);
    tell_value(&d->list, then, "then, ");
    tell_value(&d->list, now, "now");
}

static void compare(struct differences *d, const char *path, const json_t *then, const json_t *now);

/* The parts of two objects or lists; those that only `now` has are found the other way round. */
static void compare_parts(struct differences *d, const char *path, const json_t *then, const json_t *now) {
    const int list = json_is_array(then);
    char inner[160];
    const char *key;
    json_t *value;
    const size_t n =
        list ? json_array_size(then) > json_array_size(now) ? json_array_size(then) : json_array_size(now) : 0;
    for (size_t i = 0; i < n; i++) {
        snprintf(inner, sizeof inner, "%.120s.%zu", path, i);
        compare(d, inner, json_array_get(then, i), json_array_get(now, i));
    }
    json_object_foreach((json_t *)(uintptr_t)then, key, value) {
        snprintf(inner, sizeof inner, "%.100s%s%.40s", path, *path ? "." : "", key);
        compare(d, inner, value, json_object_get(now, key));
    }
    json_object_foreach((json_t *)(uintptr_t)now, key, value) {
        snprintf(inner, sizeof inner, "%.100s%s%.40s", path, *path ? "." : "", key);
        if (!json_object_get(then, key))
            compare(d, inner, NULL, value);
    }
}

static void compare(struct differences *d, const char *path, const json_t *then, const json_t *now) {
    if (may_change(path))
        return;
    if ((json_is_object(then) && json_is_object(now)) || (json_is_array(then) && json_is_array(now)))
        compare_parts(d, path, then, now);
    else if (!json_equal(then, now))
        tell(d, path, then, now);
}

enum rpu_status rpu_config_same(const struct rpu_config *then, const struct rpu_config *now, const char *file,
                                struct rpu_error *err) {
    json_t *a = rpu_config_to_json(then), *b = rpu_config_to_json(now);
    struct differences d = {0};
    char more[48] = "";
    enum rpu_status status = rpu_config_writable(now, err);
    if (status == RPU_OK && !(a && b))
        status = rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    if (status == RPU_OK)
        compare(&d, "", a, b);
    if (d.found > d.told)
        snprintf(more, sizeof more, "; and %zu more", d.found - d.told);
    if (d.list.failed)
        status = rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    else if (d.found)
        status = rpu_fail_at(err, RPU_ERR_CONFIG, file, 0, NULL,
                             "of another configuration: %s%s. Allowed to change are epochs, threads, sharing, places, "
                             "kernel variant and paths",
                             d.list.bytes, more);
    free(d.list.bytes);
    json_decref(a);
    json_decref(b);
    return status;
}
