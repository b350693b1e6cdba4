/* SPDX-License-Identifier: Apache-2.0 */
/** @file result_read.h  Reading a training's results. */
#ifndef RPU_SRC_RESULT_READ_H
#define RPU_SRC_RESULT_READ_H

#include <jansson.h>

#include <rpu/status.h>

/** Reads a training's results; `*root` is the caller's to release. RPU_ERR_IO; RPU_ERR_FORMAT where it is no such
 *  document, or larger than RPU_JSON_MAX_BYTES; RPU_ERR_NOMEM. */
enum rpu_status rpu_result_read(json_t **root, const char *path, struct rpu_error *err);

#endif
