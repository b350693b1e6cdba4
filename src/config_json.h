/* SPDX-License-Identifier: Apache-2.0 */
/** @file config_json.h  A configuration as JSON. */
#ifndef RPU_SRC_CONFIG_JSON_H
#define RPU_SRC_CONFIG_JSON_H

#include <jansson.h>

#include <rpu/config.h>

/** The effective configuration in the layout of its YAML file, every array with all of its settings. Integers above
 *  2^53 become decimal strings. Null without memory, or when a text is not UTF-8. */
json_t *rpu_config_to_json(const struct rpu_config *config);

/** An integer as JSON: a decimal string above 2^53, where readers that keep numbers as doubles would lose digits. */
json_t *rpu_json_integer(uint64_t value);

#endif
