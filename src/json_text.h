/* SPDX-License-Identifier: Apache-2.0 */
/** @file json_text.h  JSON as text, where memory may run out: jansson does not always say so. */
#ifndef RPU_SRC_JSON_TEXT_H
#define RPU_SRC_JSON_TEXT_H

#include <jansson.h>
#include <stdio.h>

/** As json_dumps, which may leave a part out: a value as text, malloc'd; null without memory. */
char *rpu_json_text(const json_t *value, size_t flags);

/** As json_loadb, which may leave out a part of a text, or call it an invalid token: `*system` is ENOMEM where null is
 *  returned for want of memory, else 0. */
json_t *rpu_json_parse(const char *bytes, size_t size, size_t flags, json_error_t *reason, int *system);

/** The same of a stream, as json_loadf; `*system` is errno also where reading failed. */
json_t *rpu_json_read(FILE *file, size_t flags, json_error_t *reason, int *system);

/** As json_object_update_missing, which may leave members out: 0, or -1 without memory. */
int rpu_json_add_missing(json_t *object, json_t *other);

#endif
