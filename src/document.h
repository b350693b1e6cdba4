/* SPDX-License-Identifier: Apache-2.0 */
/** @file document.h  What the JSON documents of results/README.md share. */
#ifndef RPU_SRC_DOCUMENT_H
#define RPU_SRC_DOCUMENT_H

#include <jansson.h>
#include <stdint.h>

#include <rpu/engine.h>
#include <rpu/status.h>

/** A document in the making: one failure (memory, invalid UTF-8) spoils it, so that it is looked at only once. */
struct rpu_document {
    json_t *root;
    int failed;
};

/** Puts a value, which is taken over, into an object of the document. */
void rpu_doc_put(struct rpu_document *doc, json_t *object, const char *key, json_t *value);

/** Puts a value at the end of a list. */
void rpu_doc_append(struct rpu_document *doc, json_t *list, json_t *value);

/** A number; null when it is not finite. */
json_t *rpu_doc_number(double value);
/** A quotient; null when there is nothing to divide by. */
json_t *rpu_doc_ratio(double a, double b);
json_t *rpu_doc_count(uint64_t value);
/** Text from outside (a path, a CPU's name) with bytes that are not UTF-8 shown as '?'. */
json_t *rpu_doc_text(const char *text);

void rpu_doc_schema(struct rpu_document *doc, const char *name);
/** Build, CPU, kernels, threads, machine. */
void rpu_doc_provenance(struct rpu_document *doc, const struct rpu_engine *engine);

/** Turns the document into text with a final newline, malloc'd, and frees it. */
enum rpu_status rpu_doc_finish(struct rpu_document *doc, char **text, struct rpu_error *err);

#endif
