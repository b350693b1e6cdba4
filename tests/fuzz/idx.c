/* SPDX-License-Identifier: Apache-2.0 */
/* IDX files, plain and gzip. The input: flags, the limit of images, the length of the labels (two bytes, low first),
 * labels, images. Files that are compressed here have hostile contents in sound gzip; bytes that begin with 1f 8b are
 * hostile gzip. Plain and compressed files are read alike. */
#include "fuzz.h"

#include "idx.h"

#include <rpu/data.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { ZIP_IMAGES = 1, ZIP_LABELS = 2, FOLDER = 4, FOUR_DIMENSIONS = 8, HEAD = 4 };

static char folder[64];

static void remove_folder(void) {
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                        "t10k-images-idx4-ubyte", "t10k-labels-idx1-ubyte"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    snprintf(folder, sizeof folder, "/tmp/fuzz-idx-XXXXXX");
    FUZZ_CHECK(mkdtemp(folder));
    atexit(remove_folder);
    return 0;
}

/* A file with these bytes, compressed where that is asked for. */
static const char *put(int slot, struct fuzz_part part, int zip) {
    z_stream z = {0};
    uint8_t *out;
    uLong room;
    const char *path;
    if (!zip)
        return fuzz_file(slot, part.bytes, part.size);
    FUZZ_CHECK(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    room = deflateBound(&z, part.size);
    out = malloc(room);
    FUZZ_CHECK(out);
    z.next_in = (uint8_t *)(uintptr_t)part.bytes;
    z.avail_in = (uInt)part.size;
    z.next_out = out;
    z.avail_out = (uInt)room;
    FUZZ_CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
    path = fuzz_file(slot, out, room - z.avail_out);
    deflateEnd(&z);
    free(out);
    return path;
}

static void check_images(const struct rpu_images *images, uint32_t limit) {
    const size_t item = (size_t)images->height * images->width * images->channels;
    unsigned sum = 0;
    FUZZ_CHECK(images->count > 0 && (limit == 0 || images->count <= limit) && item > 0);
    for (size_t i = 0; i < images->count * item; i++)
        sum += images->pixels[i];
    for (uint32_t i = 0; i < images->count; i++)
        FUZZ_CHECK(images->labels[i] < images->classes);
    FUZZ_CHECK(sum <= 255 * images->count * item);
}

static void link_to(const char *name, const char *target) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
    FUZZ_CHECK(symlink(target, path) == 0);
}

static void unlink_name(const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

static void read_folder(const char *images, const char *labels, uint32_t limit, int flags) {
    struct rpu_dataset set;
    struct rpu_error err;
    unlink_name("t10k-images-idx3-ubyte");
    unlink_name("t10k-images-idx4-ubyte");
    link_to("train-images-idx3-ubyte", images);
    link_to("train-labels-idx1-ubyte", labels);
    link_to(flags & FOUR_DIMENSIONS ? "t10k-images-idx4-ubyte" : "t10k-images-idx3-ubyte", images);
    link_to("t10k-labels-idx1-ubyte", labels);
    if (rpu_dataset_read(&set, folder, limit, 0, &err) != RPU_OK) {
        fuzz_check_error(&err);
        FUZZ_CHECK(!set.train.pixels && !set.test.pixels && !set.train.labels && !set.test.labels);
        return;
    }
    check_images(&set.train, limit);
    check_images(&set.test, 0);
    rpu_dataset_free(&set);
}

static int read_pair(struct rpu_images *out, const char *images, const char *labels, uint32_t limit) {
    struct rpu_error err;
    if (rpu_idx_read_first(out, images, labels, limit, &err) == RPU_OK) {
        check_images(out, limit);
        return 1;
    }
    fuzz_check_error(&err);
    FUZZ_CHECK(!out->pixels && !out->labels);
    return 0;
}

/* What is read whole is the same with and without compression. */
static void check_alike(const struct rpu_images *zipped, int accepted, const char *images, const char *labels) {
    struct rpu_images plain;
    FUZZ_CHECK(read_pair(&plain, images, labels, 0) == accepted);
    if (accepted) {
        const size_t bytes = (size_t)plain.count * plain.height * plain.width * plain.channels;
        FUZZ_CHECK(plain.count == zipped->count && plain.height == zipped->height && plain.width == zipped->width);
        FUZZ_CHECK(plain.channels == zipped->channels && memcmp(plain.pixels, zipped->pixels, bytes) == 0);
        FUZZ_CHECK(memcmp(plain.labels, zipped->labels, plain.count) == 0);
    }
    rpu_images_free(&plain);
}

static int is_gzip(struct fuzz_part part) {
    return part.size >= 2 && part.bytes[0] == 0x1f && part.bytes[1] == 0x8b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_part labels, images;
    struct rpu_images read;
    const char *image_path, *label_path;
    size_t length;
    int accepted;
    if (size < HEAD)
        return 0;
    length = data[2] + 256u * data[3];
    length = length < size - HEAD ? length : size - HEAD;
    labels = (struct fuzz_part){data + HEAD, length};
    images = (struct fuzz_part){data + HEAD + length, size - HEAD - length};
    image_path = put(0, images, data[0] & ZIP_IMAGES);
    label_path = put(1, labels, data[0] & ZIP_LABELS);
    if (data[0] & FOLDER) {
        read_folder(image_path, label_path, data[1], data[0]);
        return 0;
    }
    accepted = read_pair(&read, image_path, label_path, data[1]);
    if (data[1] == 0 && (data[0] & (ZIP_IMAGES | ZIP_LABELS)) && !is_gzip(images) && !is_gzip(labels))
        check_alike(&read, accepted, put(0, images, 0), put(1, labels, 0));
    rpu_images_free(&read);
    return 0;
}
