/* SPDX-License-Identifier: Apache-2.0 */
/** @file json_text.h  JSON as text, where memory may run out: jansson does not always say so. */
#ifndef RPU_SRC_JSON_TEXT_H
#define RPU_SRC_JSON_TEXT_H

#include <jansson.h>
#include <stddef.h>

#include <rpu/status.h>

enum { RPU_JSON_MAX_BYTES = 64 << 20 /**< of a document that is read */ };

/** As json_dumps, which may leave a part out: a value as text, malloc'd; null without memory. */
char *rpu_json_text(const json_t *value, size_t flags);

/** As json_loadb, which may leave out a part of a text, or call it an invalid token: `*system` is ENOMEM where null is
 *  returned for want of memory, else 0. */
json_t *rpu_json_parse(const char *bytes, size_t size, size_t flags, json_error_t *reason, int *system);

/** The bytes of a document's file, malloc'd. RPU_ERR_IO; RPU_ERR_FORMAT where they are more than RPU_JSON_MAX_BYTES;
 *  RPU_ERR_NOMEM. */
enum rpu_status rpu_json_bytes(char **bytes, size_t *size, const char *path, struct rpu_error *err);

/** Puts a value, which is taken over, into an object or at the end of a list. A failure (memory, invalid UTF-8) stays
 * in
 *  `*failed`, to be looked at once, at the end: what could not be put somewhere is freed, but the caller may go on
 *  filling it, so that nothing is touched any more. */
void rpu_json_put(int *failed, json_t *object, const char *key, json_t *value);
void rpu_json_append(int *failed, json_t *list, json_t *value);

/** As json_object_update_missing, which may leave members out: 0, or -1 without memory. */
int rpu_json_add_missing(json_t *object, json_t *other);

#endif
