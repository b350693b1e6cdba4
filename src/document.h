/* SPDX-License-Identifier: Apache-2.0 */
/** @file document.h
 *  A JSON document in the making. One failure (memory, text that is not UTF-8) spoils it, so that it is looked at once,
 *  at the end. */
#ifndef RPU_SRC_DOCUMENT_H
#define RPU_SRC_DOCUMENT_H

#include <jansson.h>

#include <rpu/status.h>

struct rpu_document {
    json_t *root;
    int failed;
};

/** An object with the schema's name and version; rpu_document_finish is due. */
struct rpu_document rpu_document_start(const char *schema, int version);

/** Puts a value into an object, or at the end of a list; null stands for a failure. The document takes it over. */
void rpu_put(struct rpu_document *doc, json_t *object, const char *key, json_t *value);
void rpu_append(struct rpu_document *doc, json_t *list, json_t *value);

/** A number; null when it is not finite. */
json_t *rpu_json_number(double value);

/** Text from outside (a path, a CPU's name), bytes that are not UTF-8 shown as '?'. */
json_t *rpu_json_outside(const char *text);

/** The document as text with a final newline, malloc'd; numbers have 15 significant digits. Frees the document.
 *  RPU_ERR_NOMEM, also where it has failed before. */
enum rpu_status rpu_document_finish(struct rpu_document *doc, char **text, struct rpu_error *err);

/** Reads a training's results; `*root` is the caller's to release. RPU_ERR_IO; RPU_ERR_FORMAT where it is no such
 *  document. */
enum rpu_status rpu_result_read(json_t **root, const char *path, struct rpu_error *err);

#endif
