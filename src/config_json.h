/* SPDX-License-Identifier: Apache-2.0 */
/** @file config_json.h  A configuration as JSON. */
#ifndef RPU_SRC_CONFIG_JSON_H
#define RPU_SRC_CONFIG_JSON_H

#include <jansson.h>

#include <rpu/config.h>

/** The effective configuration in the layout of its YAML file, every array with all of its settings. Integers above
 *  2^53 become decimal strings. Null without memory, or where rpu_config_yaml cannot write it. */
json_t *rpu_config_to_json(const struct rpu_config *config);

/** Flags of json_dumps for it: a real is written as it was read. */
#define RPU_JSON_CONFIG JSON_REAL_PRECISION(15)

/** What rpu_config_to_json gave as a text that rpu_config_from_json reads, malloc'd: characters that YAML does not take
 * as they are, are escaped. Null without memory. */
char *rpu_config_json_text(const json_t *config);

/** Reads such a text, with all the checks of a file; `origin` names it in errors.
 *  A preset's name that this version does not know is left out. */
enum rpu_status rpu_config_from_json(struct rpu_config *config, const char *text, const char *origin,
                                     struct rpu_error *err);

/** RPU_ERR_CONFIG where a training of `now` would be another one than that of `then`, with the keys that differ in the
 *  message ("training.eta: 0.01 then, 0.02 now"). What changes no result may differ, and how long and from where:
 *  preset, run, training.epochs, data.source. As rpu_config_yaml where that cannot write `now`. */
enum rpu_status rpu_config_same(const struct rpu_config *then, const struct rpu_config *now, const char *file,
                                struct rpu_error *err);

/** An integer as JSON: a decimal string above 2^53, where readers that keep numbers as doubles would lose digits. */
json_t *rpu_json_integer(uint64_t value);

#endif
