/* SPDX-License-Identifier: Apache-2.0 */
/** @file config_table.h
 *  The one table of configuration keys. Checking, loading, writing, the presets' comments and the man page are all
 *  made from it: a new key is a new row, and a member to put it in. */
#ifndef RPU_SRC_CONFIG_TABLE_H
#define RPU_SRC_CONFIG_TABLE_H

#include "config_visit.h"

#include <stddef.h>
#include <stdint.h>

#include <rpu/config.h>

/** What a row's path and offset are relative to. */
enum rpu_scope {
    RPU_SCOPE_TOP,   /**< struct rpu_config; the file's root */
    RPU_SCOPE_LAYER, /**< struct rpu_layer_spec; an element of network.layers */
    RPU_SCOPE_ARRAY  /**< struct rpu_tile_params; an entry of arrays */
};

enum rpu_key_type {
    RPU_KEY_MAP,     /**< holds the rows whose path starts with this one's */
    RPU_KEY_BOOL,    /**< 32-bit integer that is 0 or 1 */
    RPU_KEY_INTEGER, /**< 32-bit integer, signed or not, never negative */
    RPU_KEY_SEED,    /**< uint64_t */
    RPU_KEY_REAL,    /**< float */
    RPU_KEY_CHOICE,  /**< enum: index into `choices` */
    RPU_KEY_TEXT,    /**< char[high + 1]; low = 1: not empty */
    RPU_KEY_NAME,    /**< the same, of the form of an array's name */
    RPU_KEY_LAYERS,  /**< list of RPU_SCOPE_LAYER */
    RPU_KEY_ARRAYS   /**< map of RPU_SCOPE_ARRAY by array name, and `default` */
};

/** One key. */
struct rpu_key {
    enum rpu_scope scope;
    const char *path; /**< dotted, relative to the scope; at most one dot */
    enum rpu_key_type type;
    unsigned layers;            /**< RPU_SCOPE_LAYER: 1 << kind of those that have it */
    size_t offset;              /**< of the member in the scope's struct */
    const char *unit;           /**< or null */
    uint64_t low, high;         /**< integers: least and most; texts: bytes */
    double min, max;            /**< RPU_KEY_REAL: least and most */
    int or_off;                 /**< 1: 0 is allowed as well, and switches off */
    const char *const *choices; /**< RPU_KEY_CHOICE: ends with null */
    const char *fallback;       /**< default as text; "=KEY": that of another key; null: required, or see help */
    const char *help;
};

/** Rows, in the order in which they are written. */
const struct rpu_key *rpu_key_at(size_t index);

/** Whether a row belongs to a scope, and there to layers of `kinds` (bits; ignored elsewhere). */
int rpu_key_belongs(const struct rpu_key *key, enum rpu_scope scope, unsigned kinds);

/** The row of a path, or null. */
const struct rpu_key *rpu_key_find(enum rpu_scope scope, unsigned kinds, const char *path);

/** If the row is a direct child of the map `prefix` ("" = the scope itself): its name there, else null. */
const char *rpu_key_name_in(const struct rpu_key *key, const char *prefix);

/** What is allowed, for messages and documentation: "an integer from 1 to 255". */
const char *rpu_key_allowed(const struct rpu_key *key, char *buffer, size_t size);

/** Reads `text` into the row's member of `base`. Returns null, or what is wrong with the text, as the end of a sentence
 *  ("is out of range"). `quoted`: it was written as a text. */
const char *rpu_key_parse(const struct rpu_key *key, const char *text, int quoted, void *base);

/** Takes the default of a row that has one, or does nothing. */
void rpu_key_default(const struct rpu_key *key, unsigned kinds, void *base);

/** Whether the row's member has the same value in both. */
int rpu_key_equal(const struct rpu_key *key, const void *a, const void *b);

/** The row's member as a value, its text in `buffer` where it needs one. 0 if the member holds what the row does not
 *  allow. */
int rpu_key_value(const struct rpu_key *key, const void *base, char buffer[32], struct rpu_value *value);

/** Kinds of layers as the configuration names them, and as bits. */
extern const char *const rpu_layer_kinds[];
#define RPU_LAYER_BIT(kind)   (1u << (kind))
#define RPU_LAYERS_WITH_ARRAY (RPU_LAYER_BIT(RPU_LAYER_CONV) | RPU_LAYER_BIT(RPU_LAYER_FC))

/** Of the null-terminated `names`, the one that `name` most likely stands for, or null. */
const char *rpu_nearest(const char *name, const char *const *names);

/** An embedded preset. */
struct rpu_preset {
    const char *name, *summary, *text;
};
extern const struct rpu_preset rpu_presets[];
extern const size_t rpu_preset_count;

/** Default names of arrays: K or W, and the array's number from 1 in network order. */
void rpu_default_name(const struct rpu_layer_spec *layer, uint32_t number, char name[RPU_NAME_MAX]);

/** Writes a configuration as YAML, with the table's help as comments or without; see rpu_config_yaml. */
enum rpu_status rpu_config_write(const struct rpu_config *config, enum rpu_visit_form form, int comments, char **text,
                                 struct rpu_error *err);

/** Whether rpu_config_yaml can write a configuration; its status and message. */
enum rpu_status rpu_config_writable(const struct rpu_config *config, struct rpu_error *err);

#endif
