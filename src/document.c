/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

#include "error.h"

#include <rpu/config.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REAL_DIGITS = 15 /* a decimal of up to so many digits is written as it was read */ };

struct rpu_document rpu_document_start(const char *name, int version) {
    struct rpu_document doc = {json_object(), 0};
    json_t *schema = json_object();
    rpu_put(&doc, doc.root, "schema", schema);
    rpu_put(&doc, schema, "name", json_string(name));
    rpu_put(&doc, schema, "version", json_integer(version));
    return doc;
}

void rpu_put(struct rpu_document *doc, json_t *object, const char *key, json_t *value) {
    if (json_object_set_new(object, key, value) != 0)
        doc->failed = 1;
}

void rpu_append(struct rpu_document *doc, json_t *list, json_t *value) {
    if (json_array_append_new(list, value) != 0)
        doc->failed = 1;
}

json_t *rpu_json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *rpu_json_outside(const char *text) {
    json_t *value = json_string(text);
    char plain[RPU_PATH_MAX];
    if (value)
        return value;
    snprintf(plain, sizeof plain, "%s", text);
    for (char *c = plain; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return json_string(plain);
}

enum rpu_status rpu_document_finish(struct rpu_document *doc, char **text, struct rpu_error *err) {
    char *body = doc->failed ? NULL : json_dumps(doc->root, JSON_INDENT(2) | JSON_REAL_PRECISION(REAL_DIGITS));
    char *whole = NULL;
    if (body) {
        const size_t length = strlen(body);
        whole = realloc(body, length + 2);
        if (whole)
            memcpy(whole + length, "\n", 2);
        else
            free(body);
    }
    json_decref(doc->root);
    doc->root = NULL;
    *text = whole;
    return whole ? RPU_OK : rpu_fail(err, RPU_ERR_NOMEM, "out of memory for the JSON document");
}

/* ---- reading ---- */

static int is_result(const json_t *root) {
    const char *schema = json_string_value(json_object_get(json_object_get(root, "schema"), "name"));
    return schema && strcmp(schema, "rpubench-result") == 0 && json_is_array(json_object_get(root, "epochs")) &&
           json_is_string(json_object_get(root, "weights_digest"));
}

enum rpu_status rpu_result_read(json_t **root, const char *path, struct rpu_error *err) {
    json_error_t reason;
    json_t *read;
    FILE *file = fopen(path, "rb");
    *root = NULL;
    if (!file)
        return rpu_fail_at(err, RPU_ERR_IO, path, 0, NULL, "cannot be opened: %s", strerror(errno));
    read = json_loadf(file, JSON_REJECT_DUPLICATES, &reason);
    fclose(file);
    if (read && is_result(read)) {
        *root = read;
        return RPU_OK;
    }
    rpu_fail_at(err, RPU_ERR_FORMAT, path, 0, NULL, read ? "is no results document" : "is not JSON");
    json_decref(read);
    return RPU_ERR_FORMAT;
}
