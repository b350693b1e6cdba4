/* SPDX-License-Identifier: Apache-2.0 */
/* IDX files: two zero bytes, a type byte, the number of dimensions, each dimension as a big-endian 32-bit number, then
 * the data. Headers are not trusted: no allocation is larger than the bytes of a plain file or, in a compressed one,
 * than twice what has been unpacked so far. */
#include "idx.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "error.h"
#include "small.h"

#define CHUNK      16384
#define GROW_FROM  (1u << 20) /* first allocation for data of unverified length */
#define TYPE_UBYTE 0x08
#define DIMS_MAX   4
#define PACKED     1032       /* bytes that deflate makes of one at most */
#define PACKED_FEW (1u << 16) /* and with what headers and trailers may add to that */

/* A plain or gzip file read from front to back. */
struct reader {
    const char *path;
    FILE *file;
    struct rpu_error *err;
    uint64_t length; /* of a plain regular file, else 0 */
    uint64_t packed; /* length of a compressed one */
    int gzip;
    int ended; /* gzip: the last member is complete */
    z_stream z;
    uint8_t in[CHUNK];
};

/* ---- bytes ---- */

static enum rpu_status fail_damaged(struct reader *r, const char *why) {
    return rpu_fail_at(r->err, RPU_ERR_FORMAT, r->path, 0, NULL, "damaged gzip data: %s", why);
}

static void reader_close(struct reader *r) {
    if (r->gzip)
        inflateEnd(&r->z);
    if (r->file)
        fclose(r->file);
}

/* Length of a plain file, and what can be said from its directory entry alone. */
static enum rpu_status reader_stat(struct reader *r) {
    struct stat st;
    if (fstat(fileno(r->file), &st) != 0)
        return rpu_fail_system(r->err, r->path, "cannot examine");
    if (S_ISDIR(st.st_mode))
        return rpu_fail_at(r->err, RPU_ERR_IO, r->path, 0, NULL, "is a directory; a file is needed");
    r->length = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    return RPU_OK;
}

/* Looks at the first bytes and sets up decompression if they are those of gzip. */
static enum rpu_status reader_sniff(struct reader *r) {
    r->z.avail_in = (uInt)rpu_read_stream(r->in, CHUNK, r->file);
    r->z.next_in = r->in;
    if (ferror(r->file))
        return rpu_fail_system(r->err, r->path, "cannot read");
    if (r->z.avail_in < 2 || r->in[0] != 0x1f || r->in[1] != 0x8b)
        return RPU_OK;
    if (inflateInit2(&r->z, 15 + 16) != Z_OK)
        return rpu_fail_at(r->err, RPU_ERR_NOMEM, r->path, 0, NULL, "no memory for decompression");
    r->gzip = 1;
    r->packed = r->length;
    r->length = 0;
    return RPU_OK;
}

static enum rpu_status reader_open(struct reader *r, const char *path, struct rpu_error *err) {
    memset(r, 0, sizeof *r);
    r->path = path;
    r->err = err;
    r->file = fopen(path, "rb");
    if (!r->file)
        return rpu_fail_system(r->err, r->path, "cannot open");
    const enum rpu_status status = reader_stat(r);
    return status == RPU_OK ? reader_sniff(r) : status;
}

/* Refills the input when it is used up; at the end of the file avail_in stays 0. */
static enum rpu_status refill(struct reader *r) {
    if (r->z.avail_in == 0) {
        r->z.avail_in = (uInt)rpu_read_stream(r->in, CHUNK, r->file);
        r->z.next_in = r->in;
    }
    return ferror(r->file) ? rpu_fail_system(r->err, r->path, "cannot read") : RPU_OK;
}

/* After a complete gzip member: another may follow (files may be concatenated), anything else is not gzip. */
static enum rpu_status next_member(struct reader *r) {
    const enum rpu_status status = refill(r);
    if (status != RPU_OK)
        return status;
    r->ended = r->z.avail_in == 0;
    if (r->ended)
        return RPU_OK;
    if (r->z.next_in[0] != 0x1f)
        return fail_damaged(r, "other bytes follow its end");
    return inflateReset(&r->z) == Z_OK ? RPU_OK : fail_damaged(r, "cannot go on after a member");
}

/* One step of decompression into z.next_out. */
static enum rpu_status inflate_step(struct reader *r) {
    enum rpu_status status = refill(r);
    if (status != RPU_OK)
        return status;
    if (r->z.avail_in == 0)
        return fail_damaged(r, "the file ends early");
    const int rc = inflate(&r->z, Z_NO_FLUSH);
    if (rc == Z_STREAM_END)
        return next_member(r);
    if (rc == Z_MEM_ERROR)
        return rpu_fail_at(r->err, RPU_ERR_NOMEM, r->path, 0, NULL, "no memory for decompression");
    return rc == Z_OK || rc == Z_BUF_ERROR ? RPU_OK : fail_damaged(r, r->z.msg ? r->z.msg : "not readable");
}

static enum rpu_status read_gzip(struct reader *r, uint8_t *to, size_t size, size_t *got) {
    enum rpu_status status = RPU_OK;
    *got = 0;
    while (status == RPU_OK && *got < size && !r->ended) {
        const size_t left = size - *got;
        const uInt room = left < INT_MAX ? (uInt)left : INT_MAX;
        r->z.next_out = to + *got;
        r->z.avail_out = room;
        status = inflate_step(r);
        *got += room - r->z.avail_out;
    }
    return status;
}

/* Reads up to `size` bytes; fewer only at the end of the data. */
static enum rpu_status read_some(struct reader *r, uint8_t *to, size_t size, size_t *got) {
    if (r->gzip)
        return read_gzip(r, to, size, got);
    size_t head = r->z.avail_in < size ? r->z.avail_in : size;
    memcpy(to, r->z.next_in, head);
    r->z.next_in += head;
    r->z.avail_in -= (uInt)head;
    *got = head + (head < size ? rpu_read_stream(to + head, size - head, r->file) : 0);
    return ferror(r->file) ? rpu_fail_system(r->err, r->path, "cannot read") : RPU_OK;
}

/* ---- header ---- */

struct header {
    uint32_t n_dims;
    uint32_t dims[DIMS_MAX];
    uint64_t item;  /* bytes of one image or label */
    uint64_t bytes; /* of all */
};

static uint32_t big_endian(const uint8_t *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static enum rpu_status fail_short_header(struct reader *r, const char *what, size_t got, size_t want) {
    return rpu_fail_at(r->err, RPU_ERR_FORMAT, r->path, 0, NULL, "ends within its %s: %zu of %zu bytes are there", what,
                       got, want);
}

/* The four bytes of the magic number; the number of dimensions must lie in low..high. */
static enum rpu_status read_magic(struct reader *r, uint32_t low, uint32_t high, const char *kind,
                                  struct header *header) {
    uint8_t magic[4];
    size_t got;
    const enum rpu_status status = read_some(r, magic, sizeof magic, &got);
    if (status != RPU_OK)
        return status;
    if (got < sizeof magic)
        return fail_short_header(r, "magic number", got, sizeof magic);
    if (magic[0] != 0 || magic[1] != 0)
        return rpu_fail_at(r->err, RPU_ERR_FORMAT, r->path, 0, NULL,
                           "not an IDX file: the magic number is 0x%08" PRIx32 ", %s have 0x000008%02" PRIx32 "%s",
                           big_endian(magic), kind, low, high > low ? " or 0x00000804" : "");
    if (magic[2] != TYPE_UBYTE)
        return rpu_fail_at(r->err, RPU_ERR_FORMAT, r->path, 0, NULL,
                           "element type 0x%02x; only 0x08 (unsigned byte) is supported", magic[2]);
    header->n_dims = magic[3];
    if (header->n_dims < low || header->n_dims > high)
        return rpu_fail_at(r->err, RPU_ERR_FORMAT, r->path, 0, NULL, "%" PRIu32 " dimensions; %s have %s",
                           header->n_dims, kind, high > low ? "3 (count, height, width) or 4 (and channels)" : "1");
    return RPU_OK;
}

static enum rpu_status fail_large(struct reader *r, const char *what, uint64_t allowed) {
    return rpu_fail_at(r->err, RPU_ERR_FORMAT, r->path, 0, NULL,
                       "the header asks for %s; at most %" PRIu64 " bytes are allowed", what, allowed);
}

/* "60000 x 28 x 28" */
static void describe(const struct header *header, char text[64]) {
    int used = 0;
    for (uint32_t k = 0; k < header->n_dims; k++)
        used += snprintf(text + used, 64 - (size_t)used, "%s%" PRIu32, k ? " x " : "", header->dims[k]);
}

/* Multiplies the dimensions. Each factor is below 2^32 and each product is checked before the next. */
static enum rpu_status check_size(struct reader *r, struct header *header) {
    char text[64];
    describe(header, text);
    header->item = 1;
    for (uint32_t k = 0; k < header->n_dims; k++)
        if (header->dims[k] == 0)
            return rpu_fail_at(r->err, RPU_ERR_FORMAT, r->path, 0, NULL,
                               "dimension %" PRIu32 " of %s is 0; every dimension must be at least 1", k + 1, text);
    for (uint32_t k = 1; k < header->n_dims; k++) {
        header->item *= header->dims[k];
        if (header->item > RPU_IDX_MAX_IMAGE) {
            char what[128];
            snprintf(what, sizeof what, "%s, whose single image is too large", text);
            return fail_large(r, what, RPU_IDX_MAX_IMAGE);
        }
    }
    header->bytes = header->item * header->dims[0];
    if (header->bytes > RPU_IDX_MAX_BYTES || header->bytes > SIZE_MAX / 2)
        return fail_large(r, text, RPU_IDX_MAX_BYTES < SIZE_MAX / 2 ? RPU_IDX_MAX_BYTES : SIZE_MAX / 2);
    return RPU_OK;
}

static enum rpu_status check_length(struct reader *r, const struct header *header) {
    const uint64_t want = 4 + 4 * (uint64_t)header->n_dims + header->bytes;
    char text[64];
    if (r->length == 0 || r->length == want)
        return RPU_OK;
    describe(header, text);
    return rpu_fail_at(r->err, RPU_ERR_FORMAT, r->path, 0, NULL,
                       "%s: the file has %" PRIu64 " bytes, its header (%s) calls for %" PRIu64,
                       r->length < want ? "truncated" : "too long", r->length, text, want);
}

static enum rpu_status read_header(struct reader *r, uint32_t low, uint32_t high, const char *kind,
                                   struct header *header) {
    uint8_t raw[4 * DIMS_MAX];
    size_t got;
    enum rpu_status status = read_magic(r, low, high, kind, header);
    if (status != RPU_OK)
        return status;
    const size_t want = 4 * (size_t)header->n_dims;
    status = read_some(r, raw, want, &got);
    if (status != RPU_OK)
        return status;
    if (got < want)
        return fail_short_header(r, "dimensions", got, want);
    for (uint32_t k = 0; k < header->n_dims; k++)
        header->dims[k] = big_endian(raw + 4 * k);
    status = check_size(r, header);
    return status == RPU_OK ? check_length(r, header) : status;
}

/* ---- data ---- */

/* Reads `size` bytes into a growing buffer. A plain file's length has been compared with its header, so that its
 * buffer has the full size at once. */
static enum rpu_status read_data(struct reader *r, size_t size, uint8_t **data) {
    size_t capacity = r->length || size < GROW_FROM ? size : GROW_FROM, have = 0;
    for (;;) {
        size_t got;
        uint8_t *grown = realloc(*data, capacity);
        if (!grown)
            return rpu_fail_at(r->err, RPU_ERR_NOMEM, r->path, 0, NULL, "no memory for %zu bytes", capacity);
        *data = grown;
        const enum rpu_status status = read_some(r, grown + have, capacity - have, &got);
        if (status != RPU_OK)
            return status;
        have += got;
        if (have == size)
            return RPU_OK;
        if (have < capacity)
            return rpu_fail_at(r->err, RPU_ERR_FORMAT, r->path, 0, NULL,
                               "truncated: %zu bytes of data, its header calls for at least %zu", have, size);
        capacity = capacity < size / 2 ? 2 * capacity : size;
    }
}

static enum rpu_status check_end(struct reader *r, const struct header *header) {
    uint8_t extra;
    size_t got;
    char text[64];
    const enum rpu_status status = read_some(r, &extra, 1, &got);
    if (status != RPU_OK || got == 0)
        return status;
    describe(header, text);
    return rpu_fail_at(r->err, RPU_ERR_FORMAT, r->path, 0, NULL,
                       "too long: there is more data than its header (%s) calls for", text);
}

/* A compressed file that is too short for so many bytes, whatever they are, is not unpacked. */
static enum rpu_status check_packed(struct reader *r, const struct header *header, uint64_t bytes) {
    char text[64];
    if (r->packed == 0 || r->packed >= bytes || bytes <= PACKED_FEW + PACKED * r->packed)
        return RPU_OK;
    describe(header, text);
    return rpu_fail_at(r->err, RPU_ERR_FORMAT, r->path, 0, NULL,
                       "truncated: %" PRIu64 " bytes of gzip cannot have the %" PRIu64
                       " bytes that its header (%s) calls for",
                       r->packed, bytes, text);
}

/* Reads the first `count` items, and checks that the data ends there when these are all. */
static enum rpu_status read_items(struct reader *r, const struct header *header, uint32_t count, uint8_t **data) {
    enum rpu_status status = check_packed(r, header, header->item * count);
    if (status == RPU_OK)
        status = read_data(r, (size_t)(header->item * count), data);
    if (status == RPU_OK && count == header->dims[0])
        status = check_end(r, header);
    return status;
}

static void set_classes(struct rpu_images *images) {
    uint32_t top = 0;
    for (uint32_t i = 0; i < images->count; i++)
        top = images->labels[i] > top ? images->labels[i] : top;
    images->classes = top + 1;
}

static enum rpu_status read_pair(struct reader *images, struct reader *labels, uint32_t limit, struct rpu_images *out) {
    struct header ih, lh;
    enum rpu_status status = read_header(images, 3, 4, "images", &ih);
    if (status == RPU_OK)
        status = read_header(labels, 1, 1, "labels", &lh);
    if (status != RPU_OK)
        return status;
    if (ih.dims[0] != lh.dims[0])
        return rpu_fail_at(labels->err, RPU_ERR_FORMAT, labels->path, 0, NULL,
                           "%" PRIu32 " labels for the %" PRIu32 " images of %s; the counts must agree", lh.dims[0],
                           ih.dims[0], images->path);
    out->count = limit > 0 && limit < ih.dims[0] ? limit : ih.dims[0];
    out->height = ih.dims[1];
    out->width = ih.dims[2];
    out->channels = ih.n_dims == 4 ? ih.dims[3] : 1;
    status = read_items(labels, &lh, out->count, &out->labels);
    if (status == RPU_OK)
        status = read_items(images, &ih, out->count, &out->pixels);
    if (status == RPU_OK)
        set_classes(out);
    return status;
}

enum rpu_status rpu_idx_read_first(struct rpu_images *out, const char *images_path, const char *labels_path,
                                   uint32_t limit, struct rpu_error *err) {
    struct reader images, labels;
    if (out)
        memset(out, 0, sizeof *out);
    if (!out || !images_path || !labels_path)
        return rpu_fail(err, RPU_ERR_ARG, "IDX: images, labels and a place for them are needed");
    rpu_error_clear(err);
    memset(&labels, 0, sizeof labels);
    enum rpu_status status = reader_open(&images, images_path, err);
    if (status == RPU_OK)
        status = reader_open(&labels, labels_path, err);
    if (status == RPU_OK)
        status = read_pair(&images, &labels, limit, out);
    reader_close(&images);
    reader_close(&labels);
    if (status != RPU_OK)
        rpu_images_free(out);
    return status;
}

enum rpu_status rpu_idx_read(struct rpu_images *out, const char *images_path, const char *labels_path,
                             struct rpu_error *err) {
    return rpu_idx_read_first(out, images_path, labels_path, 0, err);
}
