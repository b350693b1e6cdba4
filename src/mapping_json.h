/* SPDX-License-Identifier: Apache-2.0 */
/** @file mapping_json.h  A mapping as a document, and the rereads of a training's results. */
#ifndef RPU_SRC_MAPPING_JSON_H
#define RPU_SRC_MAPPING_JSON_H

#include <rpu/mapping.h>

/** What the document of a mapping is made of. */
struct rpu_mapping_report {
    const char *network;    /**< preset or file, as it was named */
    const char *rereads_of; /**< results that the rereads come from, or null */
    const struct rpu_config *config;
    const struct rpu_hardware *hardware;
    const struct rpu_mapping *mapping; /**< computed */
};

/** The document, see results/README.md; malloc'd, with a final newline. */
enum rpu_status rpu_mapping_json(char **text, const struct rpu_mapping_report *report, struct rpu_error *err);

/** Sets the rereads of each array to the mean over all epochs of the results at `path`, whose arrays must be those of
 *  the mapping. Of an array of several tiles the mean is over its tiles, too. RPU_ERR_IO, RPU_ERR_FORMAT, RPU_ERR_SHAPE
 *  (other arrays), RPU_ERR_NOMEM. */
enum rpu_status rpu_mapping_rereads(struct rpu_mapping *mapping, const char *path, struct rpu_error *err);

#endif
