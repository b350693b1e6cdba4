/* SPDX-License-Identifier: Apache-2.0 */
#include "config_nodes.h"

#include "small.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- arena ---- */

struct rpu_arena_chunk {
    struct rpu_arena_chunk *next;
    size_t used, size;
    max_align_t data[];
};

static struct rpu_arena_chunk *add_chunk(struct rpu_arena *arena, size_t size) {
    const size_t room = size > 16384 ? size : 16384;
    struct rpu_arena_chunk *c = calloc(1, sizeof *c + room);
    if (!c)
        return NULL;
    c->size = room;
    c->next = arena->chunks;
    arena->chunks = c;
    return c;
}

void *rpu_arena_alloc(struct rpu_arena *arena, size_t size) {
    const size_t align = sizeof(max_align_t);
    struct rpu_arena_chunk *c = arena->chunks;
    void *p;
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + align - 1) / align * align;
    if (!c || c->size - c->used < size)
        c = add_chunk(arena, size);
    if (!c)
        return NULL;
    p = (char *)c->data + c->used;
    c->used += size;
    return p;
}

char *rpu_arena_copy(struct rpu_arena *arena, const char *text, size_t length) {
    char *p = rpu_arena_alloc(arena, length + 1);
    if (p)
        memcpy(p, text, length);
    return p;
}

void rpu_arena_free(struct rpu_arena *arena) {
    while (arena->chunks) {
        struct rpu_arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
}

/* ---- looking ---- */

struct rpu_node *rpu_node_child(const struct rpu_node *map, const char *key) {
    if (!map || map->kind != RPU_NODE_MAP)
        return NULL;
    for (struct rpu_node *n = map->first; n; n = n->next)
        if (strcmp(n->key, key) == 0)
            return n;
    return NULL;
}

struct rpu_node *rpu_node_find(const struct rpu_node *map, const char *path) {
    char head[RPU_KEY_PATH_MAX];
    const char *dot = strchr(path, '.');
    if (!dot)
        return rpu_node_child(map, path);
    snprintf(head, sizeof head, "%.*s", (int)(dot - path), path);
    return rpu_node_find(rpu_node_child(map, head), dot + 1);
}

const char *rpu_node_show(const struct rpu_node *node, char *buffer, size_t size) {
    enum { SHOWN = 60 };
    int cut;
    if (node->kind != RPU_NODE_SCALAR)
        return node->kind == RPU_NODE_MAP ? "a map" : "a list";
    if (!node->quoted && !*node->text)
        return "nothing";
    cut = strlen(node->text) > SHOWN;
    snprintf(buffer, size, "'%.*s%s'", cut ? SHOWN - 3 : SHOWN, node->text, cut ? "..." : "");
    for (char *p = buffer; *p; p++)
        *p = rpu_plain(*p);
    return buffer;
}

/* ---- copying and merging ---- */

static void append(struct rpu_node *parent, struct rpu_node *child) {
    child->next = NULL;
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
}

struct rpu_node *rpu_node_copy(const struct rpu_node *node, struct rpu_arena *arena) {
    struct rpu_node *copy = rpu_arena_alloc(arena, sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *node;
    copy->first = copy->last = copy->next = NULL;
    copy->count = 0;
    for (const struct rpu_node *n = node->first; n; n = n->next) {
        struct rpu_node *child = rpu_node_copy(n, arena);
        if (!child)
            return NULL;
        append(copy, child);
    }
    return copy;
}

void rpu_node_merge(struct rpu_node *base, struct rpu_node *over) {
    struct rpu_node *next;
    if (base->kind != RPU_NODE_MAP || over->kind != RPU_NODE_MAP) {
        struct rpu_node *after = base->next;
        const char *key = base->key;
        *base = *over;
        base->next = after;
        base->key = key;
        return;
    }
    for (struct rpu_node *n = over->first; n; n = next) {
        struct rpu_node *old = rpu_node_child(base, n->key);
        next = n->next;
        if (old)
            rpu_node_merge(old, n);
        else
            append(base, n);
    }
}
