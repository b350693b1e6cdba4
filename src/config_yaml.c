/* SPDX-License-Identifier: Apache-2.0 */
/* From YAML text to nodes. libyaml's events are taken one by one, so that depth and size are bounded while reading. */
#include "config_nodes.h"

#include "error.h"
#include "small.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reader {
    const struct rpu_yaml_source *source;
    struct rpu_error *err;
    yaml_parser_t parser;
    struct rpu_node *root;
    struct rpu_node *stack[RPU_YAML_MAX_DEPTH]; /* open maps and lists, outermost first */
    size_t depth;
    char *key; /* read key of the innermost map that waits for its value */
    long key_line;
    size_t documents, nodes;
};

/* ---- errors ---- */

static void path_append(char *path, size_t size, const char *part) {
    const size_t used = strlen(path);
    snprintf(path + used, size - used, "%s%s", used ? "." : "", part);
}

/* Dotted path of the innermost open node and, if given, of `key` in it. */
static void path_here(const struct reader *r, const char *key, char *path, size_t size) {
    snprintf(path, size, "%s", r->source->prefix);
    for (size_t i = 1; i < r->depth; i++) {
        char number[32];
        snprintf(number, sizeof number, "%zu", r->stack[i - 1]->count - 1);
        path_append(path, size, r->stack[i]->key ? r->stack[i]->key : number);
    }
    if (key)
        path_append(path, size, key);
}

static enum rpu_status refuse(struct reader *r, long line, const char *key, const char *message) {
    char path[RPU_KEY_PATH_MAX];
    path_here(r, key, path, sizeof path);
    return rpu_fail_at(r->err, RPU_ERR_CONFIG, r->source->origin, r->source->lines ? line : 0, path, "%s", message);
}

static enum rpu_status no_memory(struct reader *r) {
    return rpu_fail_at(r->err, RPU_ERR_NOMEM, r->source->origin, 0, NULL, "out of memory");
}

/* libyaml gives a line for syntax errors, and a byte offset for bytes that are no text. */
static enum rpu_status syntax_error(struct reader *r, const char *text, size_t size) {
    const yaml_parser_t *p = &r->parser;
    long line = (long)p->problem_mark.line + 1;
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(r);
    if (p->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < size && i < p->problem_offset; i++)
            line += text[i] == '\n';
    }
    return rpu_fail_at(r->err, RPU_ERR_CONFIG, r->source->origin, r->source->lines ? line : 0, r->source->prefix,
                       "not valid YAML: %s%s%s", p->problem ? p->problem : "unreadable", p->context ? " " : "",
                       p->context ? p->context : "");
}

/* ---- building ---- */

/* Puts a new node where the reader stands. */
static enum rpu_status add(struct reader *r, struct rpu_node *n) {
    struct rpu_node *parent = r->depth ? r->stack[r->depth - 1] : NULL;
    if (!parent) {
        r->root = n;
        return RPU_OK;
    }
    if (parent->count >= RPU_YAML_MAX_ENTRIES)
        return refuse(r, n->line, NULL, "more than 1024 entries in one map or list");
    n->key = r->key;
    if (r->key)
        n->line = r->key_line;
    r->key = NULL;
    if (parent->last)
        parent->last->next = n;
    else
        parent->first = n;
    parent->last = n;
    parent->count++;
    return RPU_OK;
}

static enum rpu_status new_node(struct reader *r, enum rpu_node_kind kind, const yaml_event_t *e,
                                struct rpu_node **node) {
    struct rpu_node *n = rpu_arena_alloc(r->source->arena, sizeof *n);
    if (!n)
        return no_memory(r);
    n->kind = kind;
    n->origin = r->source->origin;
    n->line = r->source->lines ? (long)e->start_mark.line + 1 : 0;
    if (++r->nodes > RPU_YAML_MAX_NODES)
        return refuse(r, n->line, NULL, "too many values in one document; allowed are 65536");
    *node = n;
    return add(r, n);
}

static int wants_key(const struct reader *r) {
    return r->depth && r->stack[r->depth - 1]->kind == RPU_NODE_MAP && !r->key;
}

static enum rpu_status take_key(struct reader *r, const char *text, size_t length, long line) {
    const struct rpu_node *twin = rpu_node_child(r->stack[r->depth - 1], text);
    char message[80];
    if (!length)
        return refuse(r, line, NULL, "an empty key");
    if (twin) {
        snprintf(message, sizeof message, "duplicate key; it was first given in line %ld", twin->line);
        return refuse(r, line, text, r->source->lines ? message : "duplicate key");
    }
    r->key = rpu_arena_copy(r->source->arena, text, length);
    r->key_line = r->source->lines ? line : 0;
    return r->key ? RPU_OK : no_memory(r);
}

static enum rpu_status on_scalar(struct reader *r, const yaml_event_t *e) {
    const char *text = (const char *)e->data.scalar.value;
    const size_t length = e->data.scalar.length;
    const long line = (long)e->start_mark.line + 1;
    struct rpu_node *n = NULL;
    enum rpu_status status;
    if (e->data.scalar.anchor || e->data.scalar.tag)
        return refuse(r, line, r->key, e->data.scalar.tag ? "tags (!) are not allowed" : "anchors (&) are not allowed");
    if (strlen(text) != length)
        return refuse(r, line, r->key, "a zero byte in a text");
    if (wants_key(r))
        return take_key(r, text, length, line);
    status = new_node(r, RPU_NODE_SCALAR, e, &n);
    if (status != RPU_OK)
        return status;
    n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    n->text = rpu_arena_copy(r->source->arena, text, length);
    return n->text ? RPU_OK : no_memory(r);
}

static enum rpu_status on_open(struct reader *r, enum rpu_node_kind kind, const yaml_event_t *e, int anchor, int tag) {
    const long line = (long)e->start_mark.line + 1;
    struct rpu_node *n = NULL;
    enum rpu_status status;
    if (anchor || tag)
        return refuse(r, line, r->key, tag ? "tags (!) are not allowed" : "anchors (&) are not allowed");
    if (wants_key(r))
        return refuse(r, line, NULL, "a map or list as a key; allowed is a word");
    if (r->depth == RPU_YAML_MAX_DEPTH)
        return refuse(r, line, r->key, "maps and lists inside each other more than 16 deep");
    status = new_node(r, kind, e, &n);
    if (status == RPU_OK)
        r->stack[r->depth++] = n;
    return status;
}

static enum rpu_status on_event(struct reader *r, const yaml_event_t *e) {
    const long line = (long)e->start_mark.line + 1;
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++r->documents > 1)
            return refuse(r, line, NULL, "a second document starts here; allowed is one");
        return RPU_OK;
    case YAML_ALIAS_EVENT: return refuse(r, line, r->key, "aliases (*) are not allowed");
    case YAML_SCALAR_EVENT: return on_scalar(r, e);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(r, RPU_NODE_LIST, e, e->data.sequence_start.anchor != NULL, e->data.sequence_start.tag != NULL);
    case YAML_MAPPING_START_EVENT:
        return on_open(r, RPU_NODE_MAP, e, e->data.mapping_start.anchor != NULL, e->data.mapping_start.tag != NULL);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: r->depth--; return RPU_OK;
    default: return RPU_OK;
    }
}

static enum rpu_status read_events(struct reader *r, const char *text, size_t size) {
    enum rpu_status status = RPU_OK;
    int done = 0;
    while (status == RPU_OK && !done) {
        yaml_event_t e;
        if (!yaml_parser_parse(&r->parser, &e))
            return syntax_error(r, text, size);
        done = e.type == YAML_STREAM_END_EVENT;
        status = on_event(r, &e);
        yaml_event_delete(&e);
    }
    if (status == RPU_OK && !r->root)
        return refuse(r, 1, NULL, r->source->lines ? "empty; allowed is one YAML document" : "no value is given");
    return status;
}

enum rpu_status rpu_yaml_parse(struct rpu_node **root, const char *text, size_t size,
                               const struct rpu_yaml_source *source, struct rpu_error *err) {
    struct reader r = {.source = source, .err = err};
    enum rpu_status status;
    if (size > RPU_YAML_MAX_BYTES)
        return rpu_fail_at(err, RPU_ERR_CONFIG, source->origin, 0, source->prefix,
                           "larger than %zu bytes, the most that is allowed", RPU_YAML_MAX_BYTES);
    if (!yaml_parser_initialize(&r.parser))
        return no_memory(&r);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
    status = read_events(&r, text, size);
    yaml_parser_delete(&r.parser);
    *root = r.root;
    return status;
}

/* ---- files ---- */

enum rpu_status rpu_yaml_read(struct rpu_node **root, const char *path, const struct rpu_yaml_source *source,
                              struct rpu_error *err) {
    enum rpu_status status;
    size_t size;
    char *text;
    FILE *f = fopen(path, "rb");
    if (!f)
        return rpu_fail_system(err, path, "cannot be opened");
    text = malloc(RPU_YAML_MAX_BYTES + 1);
    if (!text) {
        fclose(f);
        return rpu_fail_at(err, RPU_ERR_NOMEM, path, 0, NULL, "out of memory");
    }
    size = rpu_read_stream(text, RPU_YAML_MAX_BYTES + 1, f);
    if (ferror(f))
        status = rpu_fail_system(err, path, "cannot be read");
    else
        status = rpu_yaml_parse(root, text, size, source, err);
    free(text);
    fclose(f);
    return status;
}

/* ---- assignments ---- */

/* Takes the next component off a path: up to a dot, "[", or the end; "[3]" gives "3". Null at a malformed place. */
static const char *next_part(const char *path, char *part, size_t size) {
    const int index = *path == '[';
    const char *start = path + index;
    const size_t length = strcspn(start, index ? "]" : ".[");
    const char *end = start + length;
    if (length == 0 || length >= size || (index && *end != ']'))
        return NULL;
    memcpy(part, start, length);
    part[length] = '\0';
    end += index;
    if (*end == '.')
        return end[1] && end[1] != '[' ? end + 1 : NULL;
    return *end == '[' || *end == '\0' ? end : NULL;
}

static struct rpu_node *list_element(const struct rpu_node *list, const char *part) {
    struct rpu_node *n = list->first;
    size_t index = 0;
    if (strspn(part, "0123456789") != strlen(part) || strlen(part) > 6)
        return NULL;
    index = (size_t)strtoul(part, NULL, 10);
    while (n && index--)
        n = n->next;
    return n;
}

/* The entry of a map; an empty map in the place of `value` where there is none. */
static struct rpu_node *map_entry(struct rpu_node *map, const char *part, const struct rpu_node *value,
                                  struct rpu_arena *arena) {
    struct rpu_node *n = rpu_node_child(map, part), *over;
    if (n)
        return n;
    over = rpu_arena_alloc(arena, sizeof *over);
    n = rpu_arena_alloc(arena, sizeof *n);
    if (!n || !over || !(n->key = rpu_arena_copy(arena, part, strlen(part))))
        return NULL;
    n->kind = RPU_NODE_MAP;
    n->origin = value->origin;
    n->line = value->line;
    *over = (struct rpu_node){.kind = RPU_NODE_MAP, .origin = value->origin, .first = n, .last = n, .count = 1};
    rpu_node_merge(map, over);
    return n;
}

/* The node at `path`, maps being made where there is nothing; errors name the place of `value`. */
static enum rpu_status walk(struct rpu_node *node, const char *path, const struct rpu_node *value,
                            struct rpu_arena *arena, struct rpu_node **found, struct rpu_error *err) {
    const char *rest = path;
    char part[RPU_KEY_PATH_MAX];
    for (int depth = 0; *rest; depth++) {
        rest = next_part(rest, part, sizeof part);
        if (!rest || depth == RPU_YAML_MAX_DEPTH)
            return rpu_fail_at(err, RPU_ERR_CONFIG, value->origin, value->line, path,
                               "not a dotted path of a key, such as training.epochs or network.layers.0.outputs");
        if (node->kind == RPU_NODE_SCALAR)
            return rpu_fail_at(err, RPU_ERR_CONFIG, value->origin, value->line, path,
                               "there is nothing below a single value");
        if (node->kind == RPU_NODE_LIST) {
            const size_t count = node->count;
            node = list_element(node, part);
            if (!node)
                return rpu_fail_at(err, RPU_ERR_CONFIG, value->origin, value->line, path,
                                   "'%.60s' is no element of the list; it has %zu, counted from 0", part, count);
        } else if (!(node = map_entry(node, part, value, arena))) {
            return rpu_fail_at(err, RPU_ERR_NOMEM, value->origin, 0, path, "out of memory");
        }
    }
    *found = node;
    return RPU_OK;
}

enum rpu_status rpu_node_put(struct rpu_node *root, const char *path, struct rpu_node *value, struct rpu_arena *arena,
                             struct rpu_error *err) {
    struct rpu_node *target = NULL;
    const enum rpu_status status = walk(root, path, value, arena, &target, err);
    if (status == RPU_OK)
        rpu_node_merge(target, value);
    return status;
}

enum rpu_status rpu_node_assign(struct rpu_node *root, const char *text, const struct rpu_yaml_source *source,
                                struct rpu_error *err) {
    const char *equals = strchr(text, '=');
    struct rpu_yaml_source value_source = *source;
    struct rpu_node *value = NULL;
    char *path;
    enum rpu_status status;
    if (!equals || equals == text || (size_t)(equals - text) >= RPU_KEY_PATH_MAX)
        return rpu_fail_at(err, RPU_ERR_CONFIG, source->origin, 0, NULL,
                           "found '%.60s'; allowed is KEY=VALUE, such as training.epochs=3", text);
    path = rpu_arena_copy(source->arena, text, (size_t)(equals - text));
    if (!path)
        return rpu_fail_at(err, RPU_ERR_NOMEM, source->origin, 0, NULL, "out of memory");
    value_source.prefix = path;
    value_source.lines = 0;
    status = rpu_yaml_parse(&value, equals + 1, strlen(equals + 1), &value_source, err);
    return status == RPU_OK ? rpu_node_put(root, path, value, source->arena, err) : status;
}
