/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

#include "app.h"
#include "error.h"
#include "json_text.h"
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCHEMA_VERSION = 1,
    REAL_DIGITS = 15 /* a decimal of up to so many digits is written as it was read */
};

void rpu_doc_put(struct rpu_document *doc, json_t *object, const char *key, json_t *value) {
    rpu_json_put(&doc->failed, object, key, value);
}

void rpu_doc_append(struct rpu_document *doc, json_t *list, json_t *value) {
    rpu_json_append(&doc->failed, list, value);
}

json_t *rpu_doc_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *rpu_doc_ratio(double a, double b) {
    return b > 0.0 ? rpu_doc_number(a / b) : json_null();
}

json_t *rpu_doc_count(uint64_t value) {
    return json_integer((json_int_t)value);
}

json_t *rpu_doc_text(const char *text) {
    const unsigned char *p = (const unsigned char *)text;
    char plain[RPU_PATH_MAX];
    uint32_t code;
    for (size_t length = 1; *p && length; p += length)
        length = rpu_code_point(p, &code);
    if (!*p)
        return json_string(text);
    snprintf(plain, sizeof plain, "%s", text);
    for (char *c = plain; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return json_string(plain);
}

/* ---- provenance ---- */

void rpu_doc_schema(struct rpu_document *doc, const char *name) {
    json_t *schema = json_object();
    rpu_doc_put(doc, doc->root, "schema", schema);
    rpu_doc_put(doc, schema, "name", json_string(name));
    rpu_doc_put(doc, schema, "version", json_integer(SCHEMA_VERSION));
}

/* The words of a text as an array. */
static json_t *words(struct rpu_document *doc, const char *text) {
    json_t *array = json_array();
    while (*text) {
        const size_t length = strcspn(text, " ");
        if (length > 0)
            rpu_doc_append(doc, array, json_stringn(text, length));
        text += length + strspn(text + length, " ");
    }
    return array;
}

/* The machine as far as the process may use it, and where its threads are. */
static void put_machine(struct rpu_document *doc, const struct rpu_engine *engine) {
    json_t *machine = json_object(), *places = json_array();
    struct rpu_machine m = {0};
    struct rpu_place place;
    rpu_engine_machine(engine, &m);
    rpu_doc_put(doc, doc->root, "machine", machine);
    rpu_doc_put(doc, machine, "packages", json_integer(m.packages));
    rpu_doc_put(doc, machine, "numa_nodes", json_integer(m.nodes));
    rpu_doc_put(doc, machine, "cores", json_integer(m.cores));
    rpu_doc_put(doc, machine, "processors", json_integer(m.processors));
    rpu_doc_put(doc, machine, "all_processors", json_integer(m.all_processors));
    rpu_doc_put(doc, machine, "time_limit", m.time_limit > 0.0 ? rpu_doc_number(m.time_limit) : json_null());
    rpu_doc_put(doc, doc->root, "bind", json_string(rpu_bind_name(rpu_engine_bind(engine))));
    rpu_doc_put(doc, doc->root, "places", places);
    for (int t = 0; t < rpu_engine_threads(engine); t++)
        rpu_doc_append(doc, places, rpu_engine_place(engine, t, &place) ? json_integer(place.processor) : json_null());
}

void rpu_doc_provenance(struct rpu_document *doc, const struct rpu_engine *engine) {
    json_t *kernels = json_object();
    rpu_doc_put(doc, doc->root, "version", json_string(rpu_version()));
    rpu_doc_put(doc, doc->root, "commit", json_string(rpu_build_commit()));
    rpu_doc_put(doc, doc->root, "compiler", json_string(rpu_build_compiler()));
    rpu_doc_put(doc, doc->root, "flags", json_string(rpu_build_flags()));
    rpu_doc_put(doc, doc->root, "cpu", rpu_doc_text(rpu_cpu_model()));
    rpu_doc_put(doc, doc->root, "cpu_features", words(doc, rpu_cpu_features()));
    rpu_doc_put(doc, doc->root, "isa", json_string(rpu_engine_isa(engine)));
    rpu_doc_put(doc, doc->root, "kernels", kernels);
    for (size_t i = 0; i < rpu_engine_kernel_count(engine); i++)
        rpu_doc_put(doc, kernels, rpu_engine_kernel_name(engine, i), json_string(rpu_engine_kernel_variant(engine, i)));
    rpu_doc_put(doc, doc->root, "threads", json_integer(rpu_engine_threads(engine)));
    put_machine(doc, engine);
}

enum rpu_status rpu_doc_finish(struct rpu_document *doc, char **text, struct rpu_error *err) {
    char *body = doc->failed ? NULL : rpu_json_text(doc->root, JSON_INDENT(2) | JSON_REAL_PRECISION(REAL_DIGITS));
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
    *text = whole;
    return whole ? RPU_OK : rpu_fail(err, RPU_ERR_NOMEM, "out of memory for the JSON document");
}
