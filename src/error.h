/* SPDX-License-Identifier: Apache-2.0 */
/** @file error.h  Filling the caller's error object. */
#ifndef RPU_SRC_ERROR_H
#define RPU_SRC_ERROR_H

#include <rpu/status.h>

/** Clears `err` (may be null). */
void rpu_error_clear(struct rpu_error *err);

/** Fills `err` (may be null) with a status and a formatted message and returns the status. */
enum rpu_status rpu_fail(struct rpu_error *err, enum rpu_status status, const char *format, ...) RPU_PRINTF(3, 4);

/** The same with a place: the message becomes "file:line: key: text" with the parts that are known
 *  (`file` and `key` may be null, `line` 0). */
enum rpu_status rpu_fail_at(struct rpu_error *err, enum rpu_status status, const char *file, long line, const char *key,
                            const char *format, ...) RPU_PRINTF(6, 7);

/** What the operating system refused, with its reason (errno): RPU_ERR_NOMEM where that is a lack of memory, else
 *  RPU_ERR_IO. `what` is "cannot be opened", for example. */
enum rpu_status rpu_fail_system(struct rpu_error *err, const char *file, const char *what);

#endif
