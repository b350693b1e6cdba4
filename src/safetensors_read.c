/* SPDX-License-Identifier: Apache-2.0 */
#include "safetensors.h"

#include "error.h"
#include "json_text.h"
#include "safetensors_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

struct rpu_safetensors {
    json_t *header;
    struct rpu_tensor *tensors;
    size_t *first; /* float that each begins with, in rising order: none is empty */
    size_t count;
    unsigned char *bytes; /* of all tensors; from `decode` on they are floats of this machine */
    size_t size;
};

/* What is being read. */
struct reading {
    struct rpu_safetensors *file;
    const char *path;
    int fd;
    unsigned char *text; /* the header */
    size_t length;
    struct rpu_error *err;
};

#define BAD(r, ...) rpu_fail_at((r)->err, RPU_ERR_FORMAT, (r)->path, 0, NULL, __VA_ARGS__)

static enum rpu_status no_memory(const struct reading *r) {
    return rpu_fail_at(r->err, RPU_ERR_NOMEM, r->path, 0, NULL, "out of memory");
}

/* ---- bytes ---- */

static enum rpu_status read_all(const struct reading *r, unsigned char *to, size_t size) {
    while (size > 0) {
        const ssize_t n = read(r->fd, to, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return rpu_fail_system(r->err, r->path, "cannot be read");
        if (n == 0)
            return BAD(r, "ends early: it was shortened while it was read");
        to += n;
        size -= (size_t)n;
    }
    return RPU_OK;
}

static enum rpu_status open_file(struct reading *r, uint64_t *size) {
    struct stat st;
    r->fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (r->fd < 0 || fstat(r->fd, &st) != 0)
        return rpu_fail_system(r->err, r->path, "cannot be opened");
    if (!S_ISREG(st.st_mode))
        return rpu_fail_at(r->err, RPU_ERR_IO, r->path, 0, NULL, "is no regular file");
    *size = (uint64_t)st.st_size;
    return RPU_OK;
}

/* Header and tensors, each as long as the file's length allows. */
static enum rpu_status read_parts(struct reading *r) {
    unsigned char prefix[8];
    uint64_t size = 0, length = 0;
    enum rpu_status status = open_file(r, &size);
    if (status != RPU_OK)
        return status;
    if (size < sizeof prefix)
        return BAD(r, "has %" PRIu64 " bytes; a file in the safetensors layout begins with 8 for its header's length",
                   size);
    status = read_all(r, prefix, sizeof prefix);
    for (unsigned k = 0; k < 8; k++)
        length |= (uint64_t)prefix[k] << (8 * k);
    if (status != RPU_OK)
        return status;
    if (length > size - sizeof prefix || length > RPU_SAFETENSORS_HEADER_MAX)
        return BAD(r,
                   "the header is said to have %" PRIu64 " bytes; allowed are %" PRIu64
                   ", what the file has, and %u: it is damaged, or in another format",
                   length, size - (uint64_t)sizeof prefix, RPU_SAFETENSORS_HEADER_MAX);
    size -= sizeof prefix + length;
    if (size > SIZE_MAX / 2)
        return BAD(r, "has too many bytes");
    r->length = (size_t)length;
    r->file->size = (size_t)size;
    r->text = malloc(r->length + 1);
    r->file->bytes = malloc(r->file->size + 1);
    if (!r->text || !r->file->bytes)
        return no_memory(r);
    status = read_all(r, r->text, r->length);
    return status == RPU_OK ? read_all(r, r->file->bytes, r->file->size) : status;
}

/* ---- checksums ---- */

/* A number of decimal digits alone; 0 where the text is none. */
static int number_of(const char *text, uint64_t *value) {
    char *end = NULL;
    if (!text || strspn(text, "0123456789") != strlen(text) || !*text)
        return 0;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

/* Before the header is parsed: what was changed by accident does not get that far. */
static enum rpu_status check_seal(const struct reading *r) {
    unsigned char *place = rpu_safetensors_seal(r->text, r->length);
    char digits[RPU_SAFETENSORS_DIGITS + 1] = "";
    uint64_t told;
    if (!place)
        return BAD(r, "the header does not begin with its checksum (header_xxh3): no checkpoint, or damaged");
    memcpy(digits, place, RPU_SAFETENSORS_DIGITS);
    memcpy(place, RPU_SAFETENSORS_ZEROS, RPU_SAFETENSORS_DIGITS);
    if (!number_of(digits, &told) || told != XXH3_64bits(r->text, r->length))
        return BAD(r, "is damaged: the header's checksum does not fit");
    return RPU_OK;
}

static enum rpu_status check_tensors(const struct reading *r) {
    uint64_t told;
    if (!number_of(rpu_safetensors_text(r->file, "tensors_xxh3"), &told) ||
        told != XXH3_64bits(r->file->bytes, r->file->size))
        return BAD(r, "is damaged: the tensors' checksum (tensors_xxh3) does not fit");
    return RPU_OK;
}

/* ---- the header ---- */

/* Element `index` of the list `key` as a number that is not negative. */
static int element(const json_t *entry, const char *key, size_t index, uint64_t *value) {
    const json_t *list = json_object_get(entry, key), *e = json_array_get(list, index);
    if (json_array_size(list) != 2 || !json_is_integer(e) || json_integer_value(e) < 0)
        return 0;
    *value = (uint64_t)json_integer_value(e);
    return 1;
}

/* The entry of one tensor, which begins at byte *at. */
static enum rpu_status take_entry(const struct reading *r, const char *name, const json_t *entry, uint64_t *at) {
    struct rpu_safetensors *f = r->file;
    struct rpu_tensor *t = &f->tensors[f->count];
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    uint64_t rows, cols, begin, end;
    if (strlen(name) >= sizeof t->name)
        return BAD(r, "the tensor %.60s... has a name of more than %d bytes", name, RPU_SAFETENSORS_NAME - 1);
    if (!dtype || strcmp(dtype, "F32") != 0 || !element(entry, "shape", 0, &rows) ||
        !element(entry, "shape", 1, &cols) || !element(entry, "data_offsets", 0, &begin) ||
        !element(entry, "data_offsets", 1, &end) || rows == 0 || cols == 0)
        return BAD(r, "tensor %s: allowed are dtype F32, a shape of two numbers from 1 on, and data_offsets of two",
                   name);
    if (rows > UINT32_MAX || cols > UINT32_MAX || rows * cols > (UINT64_MAX >> 2) || begin != *at || end < begin ||
        end - begin != 4 * rows * cols || end > f->size)
        return BAD(r,
                   "tensor %s: a shape of %" PRIu64 " x %" PRIu64 " at bytes %" PRIu64 " to %" PRIu64
                   " does not follow the one before, or does not fit into the file's %zu bytes",
                   name, rows, cols, begin, end, f->size);
    snprintf(t->name, sizeof t->name, "%s", name);
    t->rows = (uint32_t)rows;
    t->cols = (uint32_t)cols;
    f->first[f->count++] = (size_t)begin / 4;
    *at = end;
    return RPU_OK;
}

static enum rpu_status take_entries(const struct reading *r) {
    struct rpu_safetensors *f = r->file;
    const size_t most = json_object_size(f->header);
    enum rpu_status status = RPU_OK;
    uint64_t at = 0;
    const char *key;
    json_t *value;
    f->tensors = calloc(most, sizeof *f->tensors);
    f->first = calloc(most, sizeof *f->first);
    if (!f->tensors || !f->first)
        return no_memory(r);
    json_object_foreach(f->header, key, value) {
        if (status == RPU_OK && strcmp(key, "__metadata__") != 0)
            status = take_entry(r, key, value, &at);
    }
    if (status == RPU_OK && at != f->size)
        status = BAD(r, "%zu bytes of tensors, of which the header describes %" PRIu64, f->size, at);
    return status;
}

static enum rpu_status parse_header(const struct reading *r) {
    json_error_t reason;
    int without_memory;
    const char *key;
    json_t *value, *metadata;
    r->file->header =
        rpu_json_parse((const char *)r->text, r->length, JSON_REJECT_DUPLICATES, &reason, &without_memory);
    if (without_memory)
        return no_memory(r);
    if (!json_is_object(r->file->header))
        return BAD(r, "the header is no JSON object: %s", r->file->header ? "another value" : reason.text);
    metadata = json_object_get(r->file->header, "__metadata__");
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return BAD(r, "__metadata__: %.60s: allowed are texts", key);
    }
    return take_entries(r);
}

/* From little-endian bytes to floats, in place. */
static void decode(struct rpu_safetensors *f) {
    for (size_t at = 0; at + 4 <= f->size; at += 4) {
        const unsigned char *b = f->bytes + at;
        const uint32_t v = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        memcpy(f->bytes + at, &v, sizeof v);
    }
}

enum rpu_status rpu_safetensors_read(struct rpu_safetensors **file, const char *path, struct rpu_error *err) {
    struct reading r = {.file = calloc(1, sizeof *r.file), .path = path, .fd = -1, .err = err};
    enum rpu_status status = r.file ? read_parts(&r) : no_memory(&r);
    *file = NULL;
    if (status == RPU_OK)
        status = check_seal(&r);
    if (status == RPU_OK)
        status = parse_header(&r);
    if (status == RPU_OK)
        status = check_tensors(&r);
    if (r.fd >= 0)
        close(r.fd);
    free(r.text);
    if (status != RPU_OK) {
        rpu_safetensors_free(r.file);
        return status;
    }
    decode(r.file);
    *file = r.file;
    return RPU_OK;
}

void rpu_safetensors_free(struct rpu_safetensors *file) {
    if (!file)
        return;
    json_decref(file->header);
    free(file->tensors);
    free(file->first);
    free(file->bytes);
    free(file);
}

/* ---- what was read ---- */

const char *rpu_safetensors_text(const struct rpu_safetensors *file, const char *key) {
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

size_t rpu_safetensors_count(const struct rpu_safetensors *file) {
    return file->count;
}

const struct rpu_tensor *rpu_safetensors_tensor(const struct rpu_safetensors *file, size_t index) {
    return &file->tensors[index];
}

const float *rpu_safetensors_values(const struct rpu_safetensors *file, size_t index) {
    return (const float *)(const void *)file->bytes + file->first[index];
}

static int compare(const void *a, const void *b) {
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* The header knows where the tensor of a name begins, and its place says which one it is. */
size_t rpu_safetensors_find(const struct rpu_safetensors *file, const char *name, size_t likely) {
    const size_t *found = NULL;
    uint64_t begin;
    if (likely < file->count && strcmp(file->tensors[likely].name, name) == 0)
        return likely;
    if (element(json_object_get(file->header, name), "data_offsets", 0, &begin)) {
        const size_t place = (size_t)begin / 4;
        found = bsearch(&place, file->first, file->count, sizeof *file->first, compare);
    }
    return found ? (size_t)(found - file->first) : file->count;
}
