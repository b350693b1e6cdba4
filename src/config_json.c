/* SPDX-License-Identifier: Apache-2.0 */
#include "config_json.h"

#include "config_visit.h"

#include <inttypes.h>
#include <stdio.h>

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
    if (rpu_config_visit(config, RPU_VISIT_FULL, &visitor, &w) == 0 && w.depth > 0)
        return w.open[0];
    json_decref(w.open[0]);
    return NULL;
}
