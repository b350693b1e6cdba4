/* SPDX-License-Identifier: Apache-2.0 */
/** @file config_check.h  From nodes to a configuration, by the table of keys. */
#ifndef RPU_SRC_CONFIG_CHECK_H
#define RPU_SRC_CONFIG_CHECK_H

#include "config_nodes.h"

#include <rpu/config.h>

/** Checks every key that is there: whether it exists, its type and its range. */
enum rpu_status rpu_config_check(const struct rpu_node *root, struct rpu_error *err);

/** Fills a configuration from a checked tree and defaults, and checks what concerns several keys. `config` was zeroed;
 *  its preset is not touched. */
enum rpu_status rpu_config_fill(struct rpu_config *config, const struct rpu_node *root, struct rpu_error *err);

/** Whether arrays have names of their own: RPU_ERR_CONFIG, with the line of the layer in `list`; RPU_ERR_ARG where that
 * is null. Names end within their fields; empty ones are not compared. */
enum rpu_status rpu_config_check_names(const struct rpu_config *config, const struct rpu_node *list,
                                       struct rpu_error *err);

/** What rpu_config_fill checks of several keys, of a configuration each of whose keys is allowed: RPU_ERR_ARG. */
enum rpu_status rpu_config_check_whole(const struct rpu_config *config, struct rpu_error *err);

/** Nodes of a preset or of a file (null: the default preset), checked, those of a file laid over the preset that it
 *  names. `preset` becomes the name of that preset, or "". */
enum rpu_status rpu_config_source(struct rpu_node **root, char preset[64], const char *name, struct rpu_arena *arena,
                                  struct rpu_error *err);

/** Merges an assignment into the tree and checks the outcome. */
enum rpu_status rpu_config_assign(struct rpu_node *root, const struct rpu_assignment *assignment,
                                  struct rpu_arena *arena, struct rpu_error *err);

/** RPU_ERR_CONFIG "file:line: key: found X, which WRONG; allowed is ALLOWED", the parts also on their own in `err`. */
enum rpu_status rpu_config_refuse(const struct rpu_node *node, const char *path, const char *wrong, const char *allowed,
                                  struct rpu_error *err);

#endif
