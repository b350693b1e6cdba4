/* SPDX-License-Identifier: Apache-2.0 */
#include "config_check.h"

#include "config_table.h"
#include "error.h"
#include "layer.h"

#include <stdio.h>
#include <string.h>

/* Where the check stands: a map of the tree, and which rows it is about. */
struct place {
    const struct rpu_node *map;
    enum rpu_scope scope;
    unsigned kinds;     /* of the layer */
    const char *prefix; /* of the rows, within the scope */
    const char *path;   /* from the root, for messages */
};

static void path_join(char path[RPU_KEY_PATH_MAX], const char *head, const char *tail) {
    snprintf(path, RPU_KEY_PATH_MAX, "%.*s%s%.*s", RPU_KEY_PATH_MAX / 2, head, *head ? "." : "", RPU_KEY_PATH_MAX / 3,
             tail);
}

enum rpu_status rpu_config_refuse(const struct rpu_node *node, const char *path, const char *wrong, const char *allowed,
                                  struct rpu_error *err) {
    char shown[128];
    const char *found = rpu_node_show(node, shown, sizeof shown);
    const enum rpu_status status =
        rpu_fail_at(err, RPU_ERR_CONFIG, node->origin, node->line, path, "found %s%s%s; allowed is %s", found,
                    wrong ? ", which " : "", wrong ? wrong : "", allowed);
    if (err) {
        snprintf(err->value, sizeof err->value, "%s", found);
        snprintf(err->expected, sizeof err->expected, "%s", allowed);
    }
    return status;
}

/* ---- unknown keys ---- */

/* Names of the rows of a place, null-terminated. */
static void list_names(const struct place *at, const char **names, size_t size) {
    const struct rpu_key *k;
    size_t n = 0;
    for (size_t i = 0; (k = rpu_key_at(i)) && n + 1 < size; i++) {
        const char *name = rpu_key_belongs(k, at->scope, at->kinds) ? rpu_key_name_in(k, at->prefix) : NULL;
        if (name)
            names[n++] = name;
    }
    names[n] = NULL;
}

static void join(const char *const *names, char *buffer, size_t size) {
    buffer[0] = '\0';
    for (; *names; names++) {
        const size_t used = strlen(buffer);
        snprintf(buffer + used, size - used, "%s%s", used ? ", " : "", *names);
    }
}

static enum rpu_status unknown(const struct rpu_node *node, const char *path, const char *what,
                               const char *const *names, struct rpu_error *err) {
    const char *nearest = rpu_nearest(node->key, names);
    char all[512];
    enum rpu_status status;
    join(names, all, sizeof all);
    status = rpu_fail_at(err, RPU_ERR_CONFIG, node->origin, node->line, path, "%s%s%s%s; allowed are %s", what,
                         nearest ? " (did you mean '" : "", nearest ? nearest : "", nearest ? "'?)" : "", all);
    if (err)
        snprintf(err->expected, sizeof err->expected, "%.191s", all);
    return status;
}

static enum rpu_status unknown_key(const struct place *at, const struct rpu_node *node, const char *path,
                                   struct rpu_error *err) {
    const char *names[64];
    char what[80] = "unknown key", row[RPU_KEY_PATH_MAX];
    list_names(at, names, sizeof names / sizeof names[0]);
    path_join(row, at->prefix, node->key);
    if (at->scope == RPU_SCOPE_LAYER && rpu_key_find(at->scope, ~0u, row)) {
        const struct rpu_node *type = rpu_node_child(at->map, "type");
        snprintf(what, sizeof what, "not a key of layers of type %s", type->text);
    }
    return unknown(node, path, what, names, err);
}

/* ---- checking ---- */

static enum rpu_status check_map(const struct place *at, struct rpu_error *err);

static enum rpu_status check_kind(const struct rpu_key *key, const struct rpu_node *node, enum rpu_node_kind kind,
                                  const char *path, struct rpu_error *err) {
    char allowed[192];
    if (node->kind == kind)
        return RPU_OK;
    return rpu_config_refuse(node, path, NULL, rpu_key_allowed(key, allowed, sizeof allowed), err);
}

static enum rpu_status check_scalar(const struct rpu_key *key, const struct rpu_node *node, const char *path,
                                    struct rpu_error *err) {
    union { /* room for the member of any row */
        struct rpu_config config;
        struct rpu_layer_spec layer;
        struct rpu_tile_params tile;
    } room;
    char allowed[192];
    const char *wrong;
    if (node->kind != RPU_NODE_SCALAR)
        return check_kind(key, node, RPU_NODE_SCALAR, path, err);
    wrong = rpu_key_parse(key, node->text, node->quoted, &room);
    if (!wrong)
        return RPU_OK;
    return rpu_config_refuse(node, path, !node->quoted && !*node->text ? NULL : wrong,
                             rpu_key_allowed(key, allowed, sizeof allowed), err);
}

static enum rpu_status check_layer(const struct rpu_node *node, const char *path, struct rpu_error *err) {
    const struct rpu_key *type = rpu_key_find(RPU_SCOPE_LAYER, ~0u, "type");
    const struct rpu_node *given = rpu_node_child(node, "type");
    struct rpu_layer_spec layer = {0};
    struct place at = {node, RPU_SCOPE_LAYER, 0, "", path};
    char below[RPU_KEY_PATH_MAX], allowed[192];
    enum rpu_status status;
    if (node->kind != RPU_NODE_MAP)
        return rpu_config_refuse(node, path, NULL, "a map of a layer's keys, such as {type: tanh}", err);
    path_join(below, path, "type");
    if (!given)
        return rpu_fail_at(err, RPU_ERR_CONFIG, node->origin, node->line, below, "missing; allowed is %s",
                           rpu_key_allowed(type, allowed, sizeof allowed));
    status = check_scalar(type, given, below, err);
    if (status != RPU_OK)
        return status;
    rpu_key_parse(type, given->text, given->quoted, &layer);
    at.kinds = RPU_LAYER_BIT(layer.kind);
    return check_map(&at, err);
}

static enum rpu_status check_layers(const struct rpu_key *key, const struct rpu_node *list, const char *path,
                                    struct rpu_error *err) {
    char below[RPU_KEY_PATH_MAX], number[32], allowed[192];
    size_t i = 0;
    enum rpu_status status = check_kind(key, list, RPU_NODE_LIST, path, err);
    if (status == RPU_OK && (list->count == 0 || list->count > key->high))
        return rpu_fail_at(err, RPU_ERR_CONFIG, list->origin, list->line, path, "found %zu layers; allowed is %s",
                           list->count, rpu_key_allowed(key, allowed, sizeof allowed));
    for (const struct rpu_node *n = list->first; n && status == RPU_OK; n = n->next) {
        snprintf(number, sizeof number, "%zu", i++);
        path_join(below, path, number);
        status = check_layer(n, below, err);
    }
    return status;
}

static enum rpu_status check_arrays(const struct rpu_key *key, const struct rpu_node *map, const char *path,
                                    struct rpu_error *err) {
    char below[RPU_KEY_PATH_MAX];
    enum rpu_status status = check_kind(key, map, RPU_NODE_MAP, path, err);
    for (const struct rpu_node *n = map->first; n && status == RPU_OK; n = n->next) {
        const struct place at = {n, RPU_SCOPE_ARRAY, 0, "", below};
        path_join(below, path, n->key);
        if (n->kind != RPU_NODE_MAP)
            return rpu_config_refuse(n, below, NULL, "a map of an array's keys, such as {dw_min: 0.001}", err);
        status = check_map(&at, err);
    }
    return status;
}

static enum rpu_status check_node(const struct place *at, const struct rpu_key *key, const struct rpu_node *node,
                                  const char *path, struct rpu_error *err) {
    const struct place below = {node, at->scope, at->kinds, key->path, path};
    enum rpu_status status;
    switch (key->type) {
    case RPU_KEY_MAP:
        status = check_kind(key, node, RPU_NODE_MAP, path, err);
        return status == RPU_OK ? check_map(&below, err) : status;
    case RPU_KEY_LAYERS: return check_layers(key, node, path, err);
    case RPU_KEY_ARRAYS: return check_arrays(key, node, path, err);
    default: return check_scalar(key, node, path, err);
    }
}

static enum rpu_status check_map(const struct place *at, struct rpu_error *err) {
    enum rpu_status status = RPU_OK;
    for (const struct rpu_node *n = at->map->first; n && status == RPU_OK; n = n->next) {
        char row[RPU_KEY_PATH_MAX], path[RPU_KEY_PATH_MAX];
        const struct rpu_key *key;
        path_join(row, at->prefix, n->key);
        path_join(path, at->path, n->key);
        key = strchr(n->key, '.') ? NULL : rpu_key_find(at->scope, at->kinds, row);
        status = key ? check_node(at, key, n, path, err) : unknown_key(at, n, path, err);
    }
    return status;
}

enum rpu_status rpu_config_check(const struct rpu_node *root, struct rpu_error *err) {
    const struct place at = {root, RPU_SCOPE_TOP, 0, "", ""};
    if (root->kind == RPU_NODE_SCALAR && !*root->text && !root->quoted)
        return rpu_fail_at(err, RPU_ERR_CONFIG, root->origin, root->line > 0, NULL, "empty; allowed is a map of keys");
    if (root->kind != RPU_NODE_MAP)
        return rpu_config_refuse(root, NULL, NULL, "a map of keys", err);
    return check_map(&at, err);
}

/* ---- filling ---- */

/* Fills the scalars of a scope from the first of `maps` (null-terminated) that has each, or from defaults. */
static enum rpu_status fill_scope(void *base, enum rpu_scope scope, unsigned kinds, const struct rpu_node *const *maps,
                                  const char *path, struct rpu_error *err) {
    const struct rpu_key *k;
    for (size_t i = 0; (k = rpu_key_at(i)); i++) {
        const struct rpu_node *n = NULL;
        char missing[RPU_KEY_PATH_MAX], allowed[192];
        if (!rpu_key_belongs(k, scope, kinds) || k->type == RPU_KEY_MAP || k->type == RPU_KEY_LAYERS ||
            k->type == RPU_KEY_ARRAYS || strcmp(k->path, "preset") == 0)
            continue;
        for (size_t m = 0; maps[m] && !n; m++)
            n = rpu_node_find(maps[m], k->path);
        if (n) {
            rpu_key_parse(k, n->text, n->quoted, base);
        } else if (k->fallback || k->type == RPU_KEY_NAME) {
            rpu_key_default(k, kinds, base);
        } else {
            path_join(missing, path, k->path);
            return rpu_fail_at(err, RPU_ERR_CONFIG, maps[0]->origin, maps[0]->line, missing, "missing; allowed is %s",
                               rpu_key_allowed(k, allowed, sizeof allowed));
        }
    }
    return RPU_OK;
}

static enum rpu_status fill_layers(struct rpu_config *config, const struct rpu_node *list, struct rpu_error *err) {
    uint32_t arrays = 0;
    enum rpu_status status = RPU_OK;
    for (const struct rpu_node *n = list->first; n && status == RPU_OK; n = n->next) {
        struct rpu_layer_spec *layer = &config->layers[config->n_layers];
        const struct rpu_node *type = rpu_node_child(n, "type"), *const maps[] = {n, NULL};
        char path[64];
        snprintf(path, sizeof path, "network.layers.%u", (unsigned)config->n_layers++);
        rpu_key_parse(rpu_key_find(RPU_SCOPE_LAYER, ~0u, "type"), type->text, type->quoted, layer);
        status = fill_scope(layer, RPU_SCOPE_LAYER, RPU_LAYER_BIT(layer->kind), maps, path, err);
        arrays += rpu_layer_is_array(layer) ? 1 : 0;
        if (rpu_layer_is_array(layer) && !layer->name[0])
            rpu_default_name(layer, arrays, layer->name);
    }
    return status;
}

/* The node of layer `index`, for messages; null where `list` is. */
static const struct rpu_node *layer_node(const struct rpu_node *list, uint32_t index) {
    const struct rpu_node *n = list ? list->first : NULL;
    while (n && index--)
        n = n->next;
    return n;
}

/* A configuration that comes from no file is an argument. */
static enum rpu_status bad_at(const struct rpu_node *place, const char *path, const char *message,
                              struct rpu_error *err) {
    if (!place)
        return rpu_fail_at(err, RPU_ERR_ARG, NULL, 0, path, "%s", message);
    return rpu_fail_at(err, RPU_ERR_CONFIG, place->origin, place->line, path, "%s", message);
}

static enum rpu_status bad_layer(const struct rpu_node *list, uint32_t index, const char *message,
                                 struct rpu_error *err) {
    char path[64];
    snprintf(path, sizeof path, "network.layers.%u", (unsigned)index);
    return bad_at(layer_node(list, index), path, message, err);
}

static enum rpu_status check_order(const struct rpu_config *config, const struct rpu_node *list,
                                   struct rpu_error *err) {
    const uint32_t last = config->n_layers - 1;
    if (config->layers[last].kind != RPU_LAYER_SOFTMAX)
        return bad_layer(list, last, "the last layer must be softmax", err);
    for (uint32_t i = 0; i < last; i++)
        if (config->layers[i].kind == RPU_LAYER_SOFTMAX)
            return bad_layer(list, i, "softmax before the end; allowed is only the last layer", err);
    if (last == 0 || !rpu_layer_is_array(&config->layers[last - 1]))
        return bad_layer(list, last, "softmax must follow directly on a conv or fc layer", err);
    return RPU_OK;
}

enum rpu_status rpu_config_check_names(const struct rpu_config *config, const struct rpu_node *list,
                                       struct rpu_error *err) {
    for (uint32_t i = 1; i < config->n_layers; i++)
        for (uint32_t j = 0; j < i; j++) {
            const struct rpu_layer_spec *a = &config->layers[j], *b = &config->layers[i];
            if (rpu_layer_is_array(a) && rpu_layer_is_array(b) && b->name[0] && strcmp(a->name, b->name) == 0) {
                char message[128];
                snprintf(message, sizeof message, "two arrays of the name %s: layers %u and %u", b->name, (unsigned)j,
                         (unsigned)i);
                return bad_layer(list, i, message, err);
            }
        }
    return RPU_OK;
}

/* A preset may set up arrays that the file's own network does not have; a file or an assignment may not. */
static enum rpu_status check_overrides(const struct rpu_config *config, const struct rpu_node *arrays,
                                       struct rpu_error *err) {
    const char *names[RPU_LAYERS_MAX + 2] = {"default"};
    size_t count = 1;
    for (uint32_t i = 0; i < config->n_layers; i++)
        if (rpu_layer_is_array(&config->layers[i]))
            names[count++] = config->layers[i].name;
    for (const struct rpu_node *n = arrays ? arrays->first : NULL; n; n = n->next) {
        size_t i = 0;
        char path[RPU_KEY_PATH_MAX];
        while (names[i] && strcmp(names[i], n->key) != 0)
            i++;
        path_join(path, "arrays", n->key);
        if (!names[i] && strncmp(n->origin, "preset ", 7) != 0)
            return unknown(n, path, "no array has this name", names, err);
    }
    return RPU_OK;
}

/* A setting of an array that its tile refuses: `reason` is the tile's. The line is that of the setting, of the array,
 * or of what holds them, whichever is given; `maps` null: none. */
static enum rpu_status bad_array(const struct rpu_layer_spec *layer, const struct rpu_node *const *maps,
                                 const struct rpu_error *reason, struct rpu_error *err) {
    const struct rpu_node *place = maps ? maps[0] : NULL;
    char path[RPU_KEY_PATH_MAX];
    for (size_t m = maps ? 2 : 0; m-- > 0;)
        if (maps[m] && rpu_node_find(maps[m], reason->key))
            place = rpu_node_find(maps[m], reason->key);
    path_join(path, "arrays", layer->name);
    return bad_at(place, path, reason->message, err);
}

static enum rpu_status fill_array(struct rpu_layer_spec *layer, const struct rpu_node *root,
                                  const struct rpu_node *arrays, struct rpu_error *err) {
    const struct rpu_node *own = rpu_node_child(arrays, layer->name), *shared = rpu_node_child(arrays, "default");
    const struct rpu_node *const maps[] = {own ? own : shared ? shared : root, own ? shared : NULL, NULL};
    const struct rpu_node *const none[] = {NULL};
    struct rpu_error reason;
    enum rpu_status status = fill_scope(&layer->tile, RPU_SCOPE_ARRAY, 0, own || shared ? maps : none, "arrays", err);
    if (status != RPU_OK)
        return status;
    if (layer->tile.device.kind == RPU_DEVICE_PERFECT) { /* what has no effect shall make no difference */
        rpu_tile_params_baseline(&layer->tile);
        layer->tile.device.kind = RPU_DEVICE_PERFECT;
    }
    if (rpu_tile_params_check(&layer->tile, &reason) != RPU_OK)
        return bad_array(layer, maps, &reason, err);
    return RPU_OK;
}

enum rpu_status rpu_config_fill(struct rpu_config *config, const struct rpu_node *root, struct rpu_error *err) {
    const struct rpu_node *list = rpu_node_find(root, "network.layers"), *arrays = rpu_node_child(root, "arrays");
    const struct rpu_node *const maps[] = {root, NULL};
    enum rpu_status status;
    if (!list)
        return rpu_fail_at(err, RPU_ERR_CONFIG, root->origin, root->line, "network.layers",
                           "missing; allowed is a list of layers, or a preset that has one (preset: lenet-rpu)");
    status = fill_scope(config, RPU_SCOPE_TOP, 0, maps, "", err);
    if (status == RPU_OK)
        status = fill_layers(config, list, err);
    if (status == RPU_OK)
        status = check_order(config, list, err);
    if (status == RPU_OK)
        status = rpu_config_check_names(config, list, err);
    if (status == RPU_OK)
        status = check_overrides(config, arrays, err);
    for (uint32_t i = 0; i < config->n_layers && status == RPU_OK; i++)
        if (rpu_layer_is_array(&config->layers[i]))
            status = fill_array(&config->layers[i], root, arrays, err);
    return status;
}

enum rpu_status rpu_config_check_whole(const struct rpu_config *config, struct rpu_error *err) {
    struct rpu_error reason;
    enum rpu_status status = config->n_layers > 0 ? check_order(config, NULL, err)
                                                  : bad_at(NULL, "network.layers",
                                                           "no layers; allowed is a list that ends with softmax", err);
    if (status == RPU_OK)
        status = rpu_config_check_names(config, NULL, err);
    for (uint32_t i = 0; i < config->n_layers && status == RPU_OK; i++)
        if (rpu_layer_is_array(&config->layers[i]) && rpu_tile_params_check(&config->layers[i].tile, &reason) != RPU_OK)
            status = bad_array(&config->layers[i], NULL, &reason, err);
    return status;
}
