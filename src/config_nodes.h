/* SPDX-License-Identifier: Apache-2.0 */
/** @file config_nodes.h
 *  YAML as a tree of nodes that know where they came from. It knows nothing of what the keys mean. */
#ifndef RPU_SRC_CONFIG_NODES_H
#define RPU_SRC_CONFIG_NODES_H

#include <stddef.h>

#include <rpu/status.h>

#define RPU_YAML_MAX_BYTES   ((size_t)1 << 20) /**< of a file or an assignment */
#define RPU_YAML_MAX_DEPTH   16                /**< maps and lists inside each other */
#define RPU_YAML_MAX_NODES   65536             /**< of one document */
#define RPU_YAML_MAX_ENTRIES 1024              /**< of one map or list */
#define RPU_KEY_PATH_MAX     256               /**< bytes of a dotted path as errors show it */

enum rpu_node_kind { RPU_NODE_SCALAR, RPU_NODE_MAP, RPU_NODE_LIST };

/** One node. Strings and children live as long as the arena. */
struct rpu_node {
    enum rpu_node_kind kind;
    int quoted;         /**< scalar: written in quotes or as a block, and so never a number */
    const char *key;    /**< in a map: its key; else null */
    const char *text;   /**< scalar: its text; else null */
    const char *origin; /**< the file, "preset NAME", or "--set" */
    long line;          /**< 1-based line of its key, or of itself in a list; 0 in an assignment */
    size_t count;       /**< children */
    struct rpu_node *first, *last, *next;
};

/** Owner of nodes and strings, freed as one. Starts as {0}. */
struct rpu_arena {
    struct rpu_arena_chunk *chunks;
};

/** Zeroed memory, or null. */
void *rpu_arena_alloc(struct rpu_arena *arena, size_t size);
char *rpu_arena_copy(struct rpu_arena *arena, const char *text, size_t length);
void rpu_arena_free(struct rpu_arena *arena);

/** What a document is read for: who owns the nodes, and how errors name the place. */
struct rpu_yaml_source {
    struct rpu_arena *arena;
    const char *origin; /**< must outlive the arena's nodes */
    const char *prefix; /**< dotted path at which the document will stand; "" = the root */
    int lines;          /**< 0: the text has no lines that a user could look up (an assignment) */
};

/** Parses exactly one document. Refused, each with its line: no document or more than one, aliases, anchors, tags,
 *  keys that are not scalars, duplicate keys, what exceeds the limits above, and what is not YAML or not UTF-8. */
enum rpu_status rpu_yaml_parse(struct rpu_node **root, const char *text, size_t size,
                               const struct rpu_yaml_source *source, struct rpu_error *err);

/** Reads and parses a file. */
enum rpu_status rpu_yaml_read(struct rpu_node **root, const char *path, const struct rpu_yaml_source *source,
                              struct rpu_error *err);

/** Lays `over` over `base`: maps are merged key by key, anything else is replaced. Both are consumed. */
void rpu_node_merge(struct rpu_node *base, struct rpu_node *over);

/** Merges the value of "path=value" into `root` at its path; `a.b.0` and `a.b[0]` mean element 0 of list a.b. */
enum rpu_status rpu_node_assign(struct rpu_node *root, const char *text, const struct rpu_yaml_source *source,
                                struct rpu_error *err);

/** Merges `value` into `root` at a dotted path, written as for rpu_node_assign. Errors name the value's place. */
enum rpu_status rpu_node_put(struct rpu_node *root, const char *path, struct rpu_node *value, struct rpu_arena *arena,
                             struct rpu_error *err);

/** A copy of a tree, so that what a merge consumes can be used again; strings are shared with the original. Null
 * without memory. */
struct rpu_node *rpu_node_copy(const struct rpu_node *node, struct rpu_arena *arena);

/** The child of a map with that key, or null; null for a null node or one that is no map. */
struct rpu_node *rpu_node_child(const struct rpu_node *map, const char *key);

/** The node at a dotted path of keys below a map, or null. */
struct rpu_node *rpu_node_find(const struct rpu_node *map, const char *path);

/** What a node is, for "found ...": its text in quotes, shortened and without control characters; "a list"; ... */
const char *rpu_node_show(const struct rpu_node *node, char *buffer, size_t size);

#endif
