/* SPDX-License-Identifier: Apache-2.0 */
#include "safetensors.h"

#include "error.h"
#include "json_text.h"
#include "safetensors_inside.h"
#include "small.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* A file in the making. */
struct writing {
    const struct rpu_tensor *tensors;
    size_t count;
    rpu_tensor_row_fn *row;
    const void *context;
    float *values; /* one row */
    unsigned char *bytes;
    XXH3_state_t *hash;
    struct rpu_outfile *file; /* null while only the checksum is formed */
    struct rpu_error *err;
};

/* Every row of every tensor, into the checksum or into the file. */
static enum rpu_status walk(const struct writing *w) {
    enum rpu_status status = RPU_OK;
    for (size_t t = 0; t < w->count; t++)
        for (size_t i = 0; i < w->tensors[t].rows && status == RPU_OK; i++) {
            const size_t n = w->tensors[t].cols;
            w->row(w->context, t, i, w->values);
            if (!rpu_all_finite(w->values, n))
                return rpu_fail(w->err, RPU_ERR_RANGE, "%s: row %zu has a value that is not finite", w->tensors[t].name,
                                i);
            rpu_little_endian(w->values, n, w->bytes);
            if (w->file)
                status = rpu_outfile_write(w->file, w->bytes, 4 * n, w->err);
            else
                XXH3_64bits_update(w->hash, w->bytes, 4 * n);
        }
    return status;
}

/* ---- the header ---- */

/* Adds the tensors' entries; their bytes follow each other. */
static enum rpu_status describe(json_t *header, const struct rpu_tensor *tensors, size_t count, struct rpu_error *err) {
    uint64_t at = 0;
    for (size_t t = 0; t < count; t++) {
        const uint64_t end = at + (uint64_t)4 * tensors[t].rows * tensors[t].cols;
        json_t *entry = json_pack("{s:s, s:[I,I], s:[I,I]}", "dtype", "F32", "shape", (json_int_t)tensors[t].rows,
                                  (json_int_t)tensors[t].cols, "data_offsets", (json_int_t)at, (json_int_t)end);
        if (json_object_get(header, tensors[t].name)) {
            json_decref(entry);
            return rpu_fail(err, RPU_ERR_ARG, "two tensors are named %s", tensors[t].name);
        }
        if (json_object_set_new(header, tensors[t].name, entry) != 0)
            return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
        at = end;
    }
    return RPU_OK;
}

static int put_number(json_t *metadata, const char *key, uint64_t value) {
    char text[RPU_SAFETENSORS_DIGITS + 1];
    snprintf(text, sizeof text, "%0*" PRIu64, RPU_SAFETENSORS_DIGITS, value);
    return json_object_set_new(metadata, key, json_string(text)) == 0;
}

/* The header's bytes with its length before them, padded with spaces to whole groups of eight; malloc'd. */
static unsigned char *frame(const char *text, size_t *size) {
    const size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    unsigned char *bytes = malloc(8 + padded);
    if (!bytes)
        return NULL;
    for (unsigned k = 0; k < 8; k++)
        bytes[k] = (unsigned char)((uint64_t)padded >> (8 * k));
    memcpy(bytes + 8, text, length);
    memset(bytes + 8 + length, ' ', padded - length);
    *size = 8 + padded;
    return bytes;
}

/* The checksum of the header goes where 20 zeros stand. */
static void seal(unsigned char *bytes, size_t size) {
    char digits[RPU_SAFETENSORS_DIGITS + 1];
    unsigned char *place = rpu_safetensors_seal(bytes + 8, size - 8);
    snprintf(digits, sizeof digits, "%0*" PRIu64, RPU_SAFETENSORS_DIGITS, (uint64_t)XXH3_64bits(bytes + 8, size - 8));
    if (place)
        memcpy(place, digits, RPU_SAFETENSORS_DIGITS);
}

static enum rpu_status make_header(const struct writing *w, json_t *metadata, unsigned char **bytes, size_t *size) {
    json_t *header = json_object();
    char *text = NULL;
    enum rpu_status status = rpu_fail(w->err, RPU_ERR_NOMEM, "out of memory");
    *bytes = NULL;
    /* the seal comes first, so that no text of the metadata can stand before it that looks like it */
    if (put_number(metadata, "tensors_xxh3", XXH3_64bits_digest(w->hash)) && header &&
        json_object_set_new(header, "__metadata__", json_pack("{s:s}", "header_xxh3", RPU_SAFETENSORS_ZEROS)) == 0 &&
        rpu_json_add_missing(json_object_get(header, "__metadata__"), metadata) == 0)
        status = describe(header, w->tensors, w->count, w->err);
    if (status == RPU_OK) {
        text = rpu_json_text(header, 0);
        *bytes = text ? frame(text, size) : NULL;
        status = *bytes ? RPU_OK : rpu_fail(w->err, RPU_ERR_NOMEM, "out of memory");
    }
    free(text);
    json_decref(header);
    if (status == RPU_OK && *size - 8 > RPU_SAFETENSORS_HEADER_MAX)
        status = rpu_fail(w->err, RPU_ERR_SHAPE, "the header would have %zu bytes; allowed are %u", *size - 8,
                          RPU_SAFETENSORS_HEADER_MAX);
    if (status == RPU_OK)
        seal(*bytes, *size);
    return status;
}

/* ---- the file ---- */

static enum rpu_status write_file(struct writing *w, const char *path, json_t *metadata) {
    unsigned char *header = NULL;
    size_t size = 0;
    enum rpu_status status = walk(w);
    if (status == RPU_OK)
        status = make_header(w, metadata, &header, &size);
    if (status == RPU_OK)
        status = rpu_outfile_open(&w->file, path, w->err);
    if (status == RPU_OK)
        status = rpu_outfile_write(w->file, header, size, w->err);
    if (status == RPU_OK)
        status = walk(w);
    if (status == RPU_OK)
        status = rpu_outfile_commit(w->file, "", 0, w->err);
    else
        rpu_outfile_abandon(w->file);
    free(header);
    return status;
}

enum rpu_status rpu_safetensors_write(const char *path, json_t *metadata, const struct rpu_tensor *tensors,
                                      size_t count, rpu_tensor_row_fn *row, const void *context,
                                      struct rpu_error *err) {
    struct writing w = {.tensors = tensors, .count = count, .row = row, .context = context, .err = err};
    enum rpu_status status;
    size_t widest = 1;
    for (size_t t = 0; t < count; t++)
        widest = tensors[t].cols > widest ? tensors[t].cols : widest;
    w.values = malloc(widest * sizeof *w.values);
    w.bytes = malloc(widest * 4);
    w.hash = XXH3_createState();
    if (w.values && w.bytes && w.hash) {
        XXH3_64bits_reset(w.hash);
        status = write_file(&w, path, metadata);
    } else {
        status = rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    }
    XXH3_freeState(w.hash);
    free(w.values);
    free(w.bytes);
    return status;
}
