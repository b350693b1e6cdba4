/* SPDX-License-Identifier: Apache-2.0 */
/** @file config_visit.h
 *  Walking an effective configuration, key by key, in the layout of its YAML file.
 *
 *  The walk is driven by the table of keys, so that whoever writes a configuration in another format (the results do,
 *  as JSON) needs no list of keys of its own. For the network
 *  `layers: [conv K1, ..., softmax]` the calls are
 *
 *      begin_map(NULL)
 *        scalar("preset", TEXT)                           only when the configuration started from a preset
 *        begin_map("network")
 *          begin_list("layers")
 *            begin_map(NULL) scalar("type", TEXT) scalar("name", TEXT) scalar("outputs", INTEGER) ... end_map()
 *            ...
 *          end_list()
 *        end_map()
 *        begin_map("arrays")
 *          begin_map("K1") scalar("device", TEXT) ... begin_map("forward") ... end_map() ... end_map()
 *          ...
 *        end_map()
 *        begin_map("training") ... end_map()
 *        begin_map("data") ... end_map()
 *        begin_map("run") ... end_map()
 *      end_map()
 */
#ifndef RPU_SRC_CONFIG_VISIT_H
#define RPU_SRC_CONFIG_VISIT_H

#include <stdint.h>

#include <rpu/config.h>

enum rpu_value_type {
    RPU_VALUE_BOOL,    /**< `boolean` */
    RPU_VALUE_INTEGER, /**< `integer`; all integers of a configuration are >= 0 */
    RPU_VALUE_REAL,    /**< `real`; always finite */
    RPU_VALUE_TEXT     /**< `text` alone */
};

struct rpu_key;

/** One scalar value; valid during the call that hands it over. */
struct rpu_value {
    enum rpu_value_type type;
    int boolean;
    uint64_t integer;
    double real;      /**< the double nearest to `text`: printed with up to 15 significant digits it gives `text` again,
                           so 0.06f is 0.06 here, not 0.0599999986 */
    const char *text; /**< every type: "true", "18446744073709551615", "0.06" (the shortest decimal that reads back to
                           the same float), or the string itself (UTF-8, without quotes) */
    const struct rpu_key *key; /**< its row of the table (config_table.h): unit, range, help */
};

/** Callbacks, all required. `key` is null for the outermost map and for the elements of a list. A result other than 0
 *  ends the walk. */
struct rpu_config_visitor {
    int (*begin_map)(void *user, const char *key);
    int (*end_map)(void *user);
    int (*begin_list)(void *user, const char *key);
    int (*end_list)(void *user);
    int (*scalar)(void *user, const char *key, const struct rpu_value *value);
};

/** How `arrays` is laid out. Both forms read back to the same configuration. */
enum rpu_visit_form {
    RPU_VISIT_FULL,   /**< an entry for every array with all of its settings (a perfect array: `device` alone) */
    RPU_VISIT_COMPACT /**< `default` = the first array's settings, then the arrays that differ, with what differs */
};

/** Walks `config`. Returns 0, or what a callback returned to end the walk, or -1 with `err` filled: RPU_ERR_ARG when it
 *  holds something that no file could have given it (a NaN, a number out of range, a network that loading refuses;
 * never after rpu_config_load), RPU_ERR_NOMEM. What is wrong with the network as a whole is seen at the end of the
 * walk. */
int rpu_config_visit(const struct rpu_config *config, enum rpu_visit_form form,
                     const struct rpu_config_visitor *visitor, void *user, struct rpu_error *err);

#endif
