/* SPDX-License-Identifier: Apache-2.0 */
/* IDX files: what is written is read back, and every damaged file gets an error that names it and says what is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <rpu/data.h>

enum { FILE_MAX = 4096 };

static char dir[256];

/* ---- files ---- */

struct bytes {
    size_t count;
    uint8_t at[FILE_MAX];
};

static const char *in_dir(const char *name) {
    static char paths[4][512];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void empty_dir(void) {
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        if (e->d_name[0] != '.')
            assert_int_equal(remove(in_dir(e->d_name)), 0);
    closedir(d);
}

static void write_bytes(const char *name, const uint8_t *at, size_t count) {
    FILE *f = fopen(in_dir(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(at, 1, count, f), count);
    assert_int_equal(fclose(f), 0);
}

static void write_plain(const char *name, const struct bytes *b) {
    write_bytes(name, b->at, b->count);
}

static void write_gzip(const char *name, const struct bytes *b) {
    gzFile f = gzopen(in_dir(name), "wb9");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, b->at, (unsigned)b->count), (int)b->count);
    assert_int_equal(gzclose(f), Z_OK);
}

static void load(const char *name, struct bytes *b) {
    FILE *f = fopen(in_dir(name), "rb");
    assert_non_null(f);
    b->count = fread(b->at, 1, sizeof b->at, f);
    fclose(f);
}

static void put32(struct bytes *b, uint32_t v) {
    for (int shift = 24; shift >= 0; shift -= 8)
        b->at[b->count++] = (uint8_t)(v >> shift);
}

/* A header of the given dimensions and `data` bytes 7, 20, 33, ... behind it. */
static struct bytes make(uint32_t n_dims, const uint32_t *dims, size_t data) {
    struct bytes b = {0, {0}};
    put32(&b, 0x800 + n_dims);
    for (uint32_t k = 0; k < n_dims; k++)
        put32(&b, dims[k]);
    for (size_t k = 0; k < data; k++)
        b.at[b.count++] = (uint8_t)(7 + 13 * k);
    return b;
}

static struct bytes images3(uint32_t count, uint32_t height, uint32_t width) {
    const uint32_t dims[] = {count, height, width};
    return make(3, dims, (size_t)count * height * width);
}

static struct bytes images4(uint32_t count, uint32_t height, uint32_t width, uint32_t channels) {
    const uint32_t dims[] = {count, height, width, channels};
    return make(4, dims, (size_t)count * height * width * channels);
}

/* Labels 0, step, 2 step, ... modulo classes. */
static struct bytes labels(uint32_t count, uint32_t step, uint32_t classes) {
    struct bytes b = make(1, &count, count);
    for (uint32_t k = 0; k < count; k++)
        b.at[8 + k] = (uint8_t)(k * step % classes);
    return b;
}

typedef void write_fn(const char *name, const struct bytes *b);

/* ---- round trips ---- */

static void check_round_trip(write_fn *write_images, write_fn *write_labels, const struct bytes *images,
                             uint32_t header, uint32_t channels) {
    const struct bytes l = labels(5, 3, 11);
    struct rpu_images out;
    struct rpu_error err;
    write_images("i", images);
    write_labels("l", &l);
    if (rpu_idx_read(&out, in_dir("i"), in_dir("l"), &err) != RPU_OK)
        fail_msg("%s", err.message);
    assert_int_equal(out.count, 5);
    assert_int_equal(out.height, 3);
    assert_int_equal(out.width, 4);
    assert_int_equal(out.channels, channels);
    assert_int_equal(out.classes, 10);
    assert_memory_equal(out.pixels, images->at + header, images->count - header);
    assert_memory_equal(out.labels, l.at + 8, 5);
    rpu_images_free(&out);
    assert_null(out.pixels);
    empty_dir();
}

static void test_round_trip(void **state) {
    write_fn *const writers[] = {write_plain, write_gzip};
    (void)state;
    for (int i = 0; i < 4; i++) {
        const struct bytes grey = images3(5, 3, 4), colour = images4(5, 3, 4, 3);
        check_round_trip(writers[i & 1], writers[i >> 1], &grey, 16, 1);
        check_round_trip(writers[i & 1], writers[i >> 1], &colour, 20, 3);
    }
}

/* Gzip allows several members one after the other. */
static void test_two_members(void **state) {
    const struct bytes whole = images3(5, 3, 4), l = labels(5, 1, 10);
    struct bytes first = whole, second = {0, {0}}, joined;
    struct rpu_images out;
    (void)state;
    first.count = 30;
    second.count = whole.count - 30;
    memcpy(second.at, whole.at + 30, second.count);
    write_gzip("a", &first);
    write_gzip("b", &second);
    load("a", &joined);
    load("b", &second);
    memcpy(joined.at + joined.count, second.at, second.count);
    joined.count += second.count;
    write_plain("i", &joined);
    write_plain("l", &l);
    assert_int_equal(rpu_idx_read(&out, in_dir("i"), in_dir("l"), NULL), RPU_OK);
    assert_memory_equal(out.pixels, whole.at + 16, 60);
    rpu_images_free(&out);
    empty_dir();
}

/* More data than the first allocation for files whose length is not known. */
static void test_large_gzip(void **state) {
    enum { COUNT = 1500, SIDE = 50 };
    const uint32_t dims[] = {COUNT, SIDE, SIDE};
    struct bytes header = make(3, dims, 0);
    uint8_t *pixels = malloc(COUNT * SIDE * SIDE);
    const struct bytes l = labels(COUNT, 1, 256);
    struct rpu_images out;
    (void)state;
    assert_non_null(pixels);
    for (size_t k = 0; k < COUNT * SIDE * SIDE; k++)
        pixels[k] = (uint8_t)(k * k >> 5);
    gzFile f = gzopen(in_dir("i"), "wb1");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, header.at, 16), 16);
    assert_int_equal(gzwrite(f, pixels, COUNT * SIDE * SIDE), COUNT * SIDE * SIDE);
    assert_int_equal(gzclose(f), Z_OK);
    write_plain("l", &l);
    assert_int_equal(rpu_idx_read(&out, in_dir("i"), in_dir("l"), NULL), RPU_OK);
    assert_int_equal(out.classes, 256);
    assert_memory_equal(out.pixels, pixels, COUNT * SIDE * SIDE);
    rpu_images_free(&out);
    free(pixels);
    empty_dir();
}

/* ---- errors ---- */

/* Reads "i" and "l" and expects a failure whose message has the file's name and the text, and an empty result. */
static void expect_failure(enum rpu_status want, const char *file, const char *text) {
    struct rpu_images out;
    struct rpu_error err;
    memset(&out, 0xa5, sizeof out);
    const enum rpu_status got = rpu_idx_read(&out, in_dir("i"), in_dir("l"), &err);
    if (got != want)
        fail_msg("%s expected, got %s for: %s", rpu_status_name(want), rpu_status_name(got), text);
    if (!strstr(err.message, text) || !strstr(err.message, file) || err.status != want)
        fail_msg("\"%s\" expected in \"%s\"", text, err.message);
    assert_string_equal(err.file, file);
    assert_null(out.pixels);
    assert_null(out.labels);
    assert_int_equal(out.count, 0);
}

struct broken {
    uint32_t magic, n_dims, dims[4];
    size_t data;
    const char *text;
};

static struct bytes make_broken(const struct broken *c) {
    struct bytes b = make(c->n_dims, c->dims, c->data);
    b.at[0] = (uint8_t)(c->magic >> 24);
    b.at[1] = (uint8_t)(c->magic >> 16);
    b.at[2] = (uint8_t)(c->magic >> 8);
    b.at[3] = (uint8_t)c->magic;
    return b;
}

static const struct broken broken_images[] = {
    {0x12345678, 3, {2, 3, 4}, 24, "the magic number is 0x12345678, images have 0x00000803 or 0x00000804"},
    {0x00010803, 3, {2, 3, 4}, 24, "not an IDX file: the magic number is 0x00010803"},
    {0x00000903, 3, {2, 3, 4}, 24, "element type 0x09; only 0x08 (unsigned byte) is supported"},
    {0x00000d03, 3, {2, 3, 4}, 24, "element type 0x0d; only 0x08"},
    {0x00000801, 1, {2}, 2, "1 dimensions; images have 3 (count, height, width) or 4 (and channels)"},
    {0x00000802, 2, {2, 3}, 6, "2 dimensions; images have 3"},
    {0x00000800, 0, {0}, 0, "0 dimensions; images have 3"},
    {0x000008ff, 3, {2, 3, 4}, 24, "255 dimensions; images have 3"},
    {0x00000803, 3, {0, 3, 4}, 0, "dimension 1 of 0 x 3 x 4 is 0; every dimension must be at least 1"},
    {0x00000803, 3, {2, 0, 4}, 0, "dimension 2 of 2 x 0 x 4 is 0"},
    {0x00000804, 4, {2, 3, 4, 0}, 0, "dimension 4 of 2 x 3 x 4 x 0 is 0"},
    {0x00000803, 3, {1, 65536, 65536}, 24, "whose single image is too large; at most 16777216 bytes are allowed"},
    {0x00000804, 4, {~0u, ~0u, ~0u, ~0u}, 24, "4294967295 x 4294967295 x 4294967295 x 4294967295, whose single"},
    {0x00000803, 3, {0x80000000u, 4096, 4096}, 24, "2147483648 x 4096 x 4096; at most 17179869184 bytes"},
    {0x00000803, 3, {2, 3, 4}, 23, "truncated: "},
    {0x00000804, 4, {2, 3, 4, 2}, 47, "truncated: "},
    {0x00000803, 3, {2, 3, 4}, 25, "too long: "},
    {0x00000803, 3, {2, 4000, 4000}, 24, "truncated: "},
    {0x00000803, 3, {3, 3, 4}, 36, "2 labels for the 3 images of "},
};

static const struct broken broken_labels[] = {
    {0x00000803, 3, {2, 3, 4}, 24, "3 dimensions; labels have 1"},
    {0xff000801, 1, {2}, 2, "the magic number is 0xff000801, labels have 0x00000801"},
    {0x00000b01, 1, {2}, 2, "element type 0x0b; only 0x08"},
    {0x00000801, 1, {0}, 0, "dimension 1 of 0 is 0"},
    {0x00000801, 1, {2}, 1, "truncated: "},
    {0x00000801, 1, {2}, 3, "too long: "},
    {0x00000801, 1, {1}, 1, "1 labels for the 2 images of "},
    {0x00000801, 1, {3}, 3, "3 labels for the 2 images of "},
};

static void check_broken(write_fn *write, const struct broken *cases, size_t count, const char *file) {
    for (size_t k = 0; k < count; k++) {
        const struct bytes i = images3(2, 3, 4), l = labels(2, 1, 2), b = make_broken(&cases[k]);
        const int mismatch = strstr(cases[k].text, " labels for ") != NULL;
        write_plain("i", &i);
        write_plain("l", &l);
        write(file, &b);
        expect_failure(RPU_ERR_FORMAT, in_dir(mismatch ? "l" : file), cases[k].text);
    }
    empty_dir();
}

static void test_broken(void **state) {
    (void)state;
    check_broken(write_plain, broken_images, sizeof broken_images / sizeof *broken_images, "i");
    check_broken(write_gzip, broken_images, sizeof broken_images / sizeof *broken_images, "i");
    check_broken(write_plain, broken_labels, sizeof broken_labels / sizeof *broken_labels, "l");
    check_broken(write_gzip, broken_labels, sizeof broken_labels / sizeof *broken_labels, "l");
}

static void test_exact_lengths(void **state) {
    struct bytes i = images3(2, 3, 4);
    const struct bytes l = labels(2, 1, 2);
    (void)state;
    write_plain("l", &l);
    i.count--;
    write_plain("i", &i);
    expect_failure(RPU_ERR_FORMAT, in_dir("i"),
                   "truncated: the file has 39 bytes, its header (2 x 3 x 4) calls for 40");
    i.count = 0;
    write_plain("i", &i);
    expect_failure(RPU_ERR_FORMAT, in_dir("i"), "ends within its magic number: 0 of 4 bytes");
    write_gzip("i", &i);
    expect_failure(RPU_ERR_FORMAT, in_dir("i"), "ends within its magic number: 0 of 4 bytes");
    i.count = 13;
    write_gzip("i", &i);
    expect_failure(RPU_ERR_FORMAT, in_dir("i"), "ends within its dimensions: 9 of 12 bytes");
    i.count = 30;
    write_gzip("i", &i);
    expect_failure(RPU_ERR_FORMAT, in_dir("i"), "truncated: 14 bytes of data, its header calls for at least 24");
    empty_dir();
}

/* Limits the address space, so that a large allocation fails. The sanitizers need theirs. */
static void limit_memory(rlim_t bytes) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
    (void)bytes;
#else
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
#endif
}

/* A header within the limits over almost no data, in a file that is too short or that might have it: the 15 GiB that it
 * asks for must not be allocated. */
static void test_bomb(void **state) {
    const uint32_t dims[] = {1000, 4000, 4000};
    const struct bytes b = make(3, dims, 100), l = labels(1000, 1, 10);
    char text[128];
    struct stat st;
    (void)state;
    write_gzip("i", &b);
    write_gzip("l", &l);
    assert_int_equal(stat(in_dir("i"), &st), 0);
    snprintf(text, sizeof text,
             "truncated: %ld bytes of gzip cannot have the 16000000000 bytes that its header (1000 x 4000 x 4000) "
             "calls for",
             (long)st.st_size);
    limit_memory((rlim_t)1 << 32);
    expect_failure(RPU_ERR_FORMAT, in_dir("i"), text);
    assert_int_equal(truncate(in_dir("i"), 15503812), 0); /* 2^16 + 1032 times as many are 480 too few */
    expect_failure(RPU_ERR_FORMAT, in_dir("i"), "15503812 bytes of gzip cannot have");
    assert_int_equal(truncate(in_dir("i"), 15503813), 0);
    expect_failure(RPU_ERR_FORMAT, in_dir("i"), "damaged gzip data: other bytes follow its end");
    limit_memory(RLIM_INFINITY);
    empty_dir();
}

static void test_unreadable(void **state) {
    const struct bytes i = images3(2, 3, 4), l = labels(2, 1, 2);
    (void)state;
    write_plain("l", &l);
    expect_failure(RPU_ERR_IO, in_dir("i"), "cannot open: No such file or directory");
    assert_int_equal(mkdir(in_dir("i"), 0700), 0);
    expect_failure(RPU_ERR_IO, in_dir("i"), "is a directory; a file is needed");
    empty_dir();
    write_plain("i", &i);
    expect_failure(RPU_ERR_IO, in_dir("l"), "cannot open: No such file or directory");
    empty_dir();
    assert_int_equal(rpu_idx_read(NULL, "i", "l", NULL), RPU_ERR_ARG);
}

/* ---- every truncation, every damaged byte ---- */

static void check_truncations(const char *name) {
    struct bytes whole;
    load(name, &whole);
    for (size_t n = 0; n < whole.count; n++) {
        write_bytes(name, whole.at, n);
        expect_failure(RPU_ERR_FORMAT, in_dir(name), "");
    }
    for (int extra = 0; extra < 256; extra++) {
        whole.at[whole.count] = (uint8_t)extra;
        write_bytes(name, whole.at, whole.count + 1);
        expect_failure(RPU_ERR_FORMAT, in_dir(name), "");
    }
    write_plain(name, &whole);
}

static void test_truncations(void **state) {
    write_fn *const writers[] = {write_plain, write_gzip};
    (void)state;
    for (int k = 0; k < 4; k++) {
        const struct bytes i = k & 1 ? images4(2, 3, 4, 3) : images3(2, 3, 4), l = labels(2, 1, 2);
        writers[k >> 1]("i", &i);
        writers[k >> 1]("l", &l);
        check_truncations("i");
        check_truncations("l");
        empty_dir();
    }
}

/* Damage in gzip is found by its checksum: either an error, or (in unused header fields) the same images. */
static void test_damaged_gzip(void **state) {
    const struct bytes i = images3(4, 5, 5), l = labels(4, 1, 4);
    struct bytes whole;
    size_t refused = 0;
    (void)state;
    write_gzip("i", &i);
    write_plain("l", &l);
    load("i", &whole);
    for (size_t k = 2; k < whole.count; k++) {
        for (int bit = 0; bit < 8; bit++) {
            struct rpu_images out;
            struct bytes hurt = whole;
            hurt.at[k] ^= (uint8_t)(1 << bit);
            write_plain("i", &hurt);
            if (rpu_idx_read(&out, in_dir("i"), in_dir("l"), NULL) == RPU_OK)
                assert_memory_equal(out.pixels, i.at + 16, 100);
            else
                refused++;
            rpu_images_free(&out);
        }
    }
    assert_true(refused > 8 * (whole.count - 14));
    empty_dir();
}

/* ---- directories ---- */

static void write_set(const char *images_name, const char *labels_name, const struct bytes *i, const struct bytes *l) {
    const size_t n = strlen(images_name), m = strlen(labels_name);
    (strcmp(images_name + n - 3, ".gz") == 0 ? write_gzip : write_plain)(images_name, i);
    (strcmp(labels_name + m - 3, ".gz") == 0 ? write_gzip : write_plain)(labels_name, l);
}

static void expect_dir_failure(enum rpu_status want, const char *text) {
    struct rpu_dataset set;
    struct rpu_error err;
    assert_int_equal(rpu_dataset_read(&set, dir, 0, 0, &err), want);
    if (!strstr(err.message, text) || !strstr(err.message, dir))
        fail_msg("\"%s\" expected in \"%s\"", text, err.message);
    assert_null(set.train.pixels);
    assert_null(set.test.pixels);
}

static void test_directory(void **state) {
    const struct bytes i3 = images3(6, 3, 4), t3 = images3(4, 3, 4), l = labels(6, 1, 6), tl = labels(4, 4, 13);
    struct rpu_dataset set;
    (void)state;
    write_set("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz", &i3, &l);
    write_set("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte", &t3, &tl);
    assert_int_equal(rpu_dataset_read(&set, dir, 0, 0, NULL), RPU_OK);
    assert_int_equal(set.train.count, 6);
    assert_int_equal(set.test.count, 4);
    assert_int_equal(set.train.classes, 13);
    assert_int_equal(set.test.classes, 13);
    assert_memory_equal(set.test.pixels, t3.at + 16, 48);
    rpu_dataset_free(&set);
    assert_int_equal(rpu_dataset_read(&set, dir, 2, 100, NULL), RPU_OK);
    assert_int_equal(set.train.count, 2);
    assert_int_equal(set.test.count, 4);
    assert_memory_equal(set.train.pixels, i3.at + 16, 24);
    assert_memory_equal(set.train.labels, l.at + 8, 2);
    rpu_dataset_free(&set);
    empty_dir();
}

/* A limit reads no further: damage behind the images that are kept goes unseen, and nothing else does. */
static void test_limit_reads_no_further(void **state) {
    const uint32_t dims[] = {6, 30, 30};
    struct bytes i = images3(2, 30, 30), l = labels(6, 1, 6);
    struct rpu_dataset set;
    (void)state;
    memcpy(i.at + 4, make(3, dims, 0).at + 4, 4);
    write_set("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte", &i, &l);
    write_set("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte", &i, &l);
    assert_int_equal(rpu_dataset_read(&set, dir, 2, 1, NULL), RPU_OK);
    assert_int_equal(set.train.classes, 2);
    rpu_dataset_free(&set);
    assert_int_equal(rpu_dataset_read(&set, dir, 3, 1, NULL), RPU_ERR_FORMAT);
    empty_dir();
}

/* Cuts a file off after `count` bytes. */
static void cut(const char *name, size_t count) {
    struct bytes b;
    load(name, &b);
    assert_true(count < b.count);
    write_bytes(name, b.at, count);
}

/* Images of noise, which gzip cannot shorten: of a file cut at `count` bytes about as many bytes can be unpacked. */
static struct bytes noise(uint32_t count, uint32_t side) {
    struct bytes b = images3(count, side, side);
    uint32_t state = 1;
    for (size_t k = 16; k < b.count; k++) {
        state = state * 1664525u + 1013904223u;
        b.at[k] = (uint8_t)(state >> 24);
    }
    return b;
}

/* A gzip file that ends early is refused as a whole; with a limit the images before the cut are read, and the classes
 * are those among them. A plain file's length is compared with its header in either case. */
static void test_limit_before_a_cut(void **state) {
    const struct bytes i = noise(4, 30), l = labels(4, 1, 4);
    struct rpu_dataset set;
    (void)state;
    write_set("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte", &i, &l);
    write_set("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte", &i, &l);
    assert_int_equal(rpu_dataset_read(&set, dir, 0, 0, NULL), RPU_OK);
    assert_int_equal(set.train.classes, 4);
    rpu_dataset_free(&set);
    cut("train-images-idx3-ubyte.gz", 2900);
    expect_dir_failure(RPU_ERR_FORMAT, "damaged gzip data: the file ends early");
    assert_int_equal(rpu_dataset_read(&set, dir, 2, 2, NULL), RPU_OK);
    assert_int_equal(set.train.count, 2);
    assert_int_equal(set.train.classes, 2);
    assert_memory_equal(set.train.pixels, i.at + 16, 2 * 900);
    rpu_dataset_free(&set);
    write_plain("train-images-idx3-ubyte", &i);
    cut("train-images-idx3-ubyte", 2900);
    assert_int_equal(rpu_dataset_read(&set, dir, 2, 2, NULL), RPU_ERR_FORMAT);
    struct bytes longer = i;
    longer.at[longer.count++] = 0;
    write_plain("train-images-idx3-ubyte", &longer);
    assert_int_equal(rpu_dataset_read(&set, dir, 2, 2, NULL), RPU_ERR_FORMAT);
    empty_dir();
}

static void test_channels_directory(void **state) {
    const struct bytes i = images4(3, 2, 2, 3), l = labels(3, 1, 3), grey = images3(3, 2, 2);
    struct rpu_dataset set;
    (void)state;
    write_set("train-images-idx4-ubyte", "train-labels-idx1-ubyte", &i, &l);
    write_set("t10k-images-idx4-ubyte.gz", "t10k-labels-idx1-ubyte", &i, &l);
    assert_int_equal(rpu_dataset_read(&set, dir, 0, 0, NULL), RPU_OK);
    assert_int_equal(set.train.channels, 3);
    rpu_dataset_free(&set);
    write_plain("t10k-images-idx3-ubyte", &grey);
    expect_dir_failure(RPU_ERR_FORMAT, "training images are 2 x 2 x 3, test images 2 x 2 x 1 "
                                       "(height x width x channels); they must agree");
    empty_dir();
}

static void test_missing_files(void **state) {
    const struct bytes i = images3(2, 3, 4), l = labels(2, 1, 2);
    struct rpu_dataset set;
    struct rpu_error err;
    (void)state;
    expect_dir_failure(RPU_ERR_IO, "none of these files is there: train-images-idx3-ubyte, train-images-idx3-ubyte.gz, "
                                   "train-images-idx4-ubyte, train-images-idx4-ubyte.gz");
    write_plain("train-images-idx3-ubyte", &i);
    expect_dir_failure(RPU_ERR_IO, "train-labels-idx1-ubyte, train-labels-idx1-ubyte.gz");
    write_plain("train-labels-idx1-ubyte", &l);
    expect_dir_failure(RPU_ERR_IO, "t10k-images-idx3-ubyte, t10k-images-idx3-ubyte.gz, ");
    empty_dir();
    assert_int_equal(rpu_dataset_read(&set, in_dir("absent"), 0, 0, &err), RPU_ERR_IO);
    assert_non_null(strstr(err.message, "cannot open the data directory: No such file or directory"));
    write_plain("file", &l);
    assert_int_equal(rpu_dataset_read(&set, in_dir("file"), 0, 0, &err), RPU_ERR_IO);
    assert_non_null(strstr(err.message, "is not a directory"));
    assert_int_equal(rpu_dataset_read(&set, NULL, 0, 0, &err), RPU_ERR_ARG);
    empty_dir();
}

static int make_dir(void **state) {
    const char *base = getenv("TMPDIR");
    (void)state;
    snprintf(dir, sizeof dir, "%s/rpu-test-idx-XXXXXX", base && *base && strlen(base) < 150 ? base : "/tmp");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    return rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_two_members),
        cmocka_unit_test(test_large_gzip),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_exact_lengths),
        cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_damaged_gzip),
        cmocka_unit_test(test_directory),
        cmocka_unit_test(test_limit_reads_no_further),
        cmocka_unit_test(test_limit_before_a_cut),
        cmocka_unit_test(test_channels_directory),
        cmocka_unit_test(test_missing_files),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
