/* SPDX-License-Identifier: Apache-2.0 */
/* The real MNIST files, where they are: RPU_MNIST_DIR, or the folder given at build time. Skipped (77) otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <rpu/data.h>

static const char *directory;

static void check_histogram(const struct rpu_images *images, const uint32_t want[10]) {
    uint32_t have[10] = {0};
    for (uint32_t i = 0; i < images->count; i++)
        have[images->labels[i]]++;
    assert_memory_equal(have, want, sizeof have);
}

static void check_shape(const struct rpu_images *images, uint32_t count) {
    assert_int_equal(images->count, count);
    assert_int_equal(images->height, 28);
    assert_int_equal(images->width, 28);
    assert_int_equal(images->channels, 1);
    assert_int_equal(images->classes, 10);
}

static void test_whole(void **state) {
    static const uint32_t train[10] = {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949};
    static const uint32_t test[10] = {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009};
    struct rpu_dataset set;
    struct rpu_error err;
    uint64_t ink = 0;
    (void)state;
    if (rpu_dataset_read(&set, directory, 0, 0, &err) != RPU_OK)
        fail_msg("%s", err.message);
    check_shape(&set.train, 60000);
    check_shape(&set.test, 10000);
    check_histogram(&set.train, train);
    check_histogram(&set.test, test);
    for (size_t k = 0; k < (size_t)60000 * 784; k++)
        ink += set.train.pixels[k];
    /* The well-known mean of the training pixels, 0.1307. */
    assert_true(ink > (uint64_t)(0.13065 * 255.0 * 60000 * 784) && ink < (uint64_t)(0.13075 * 255.0 * 60000 * 784));
    rpu_dataset_free(&set);
}

static void test_limits(void **state) {
    struct rpu_dataset whole, part;
    (void)state;
    assert_int_equal(rpu_dataset_read(&whole, directory, 0, 0, NULL), RPU_OK);
    assert_int_equal(rpu_dataset_read(&part, directory, 1000, 100, NULL), RPU_OK);
    check_shape(&part.train, 1000);
    check_shape(&part.test, 100);
    assert_memory_equal(part.train.pixels, whole.train.pixels, 1000 * 784);
    assert_memory_equal(part.train.labels, whole.train.labels, 1000);
    assert_memory_equal(part.test.pixels, whole.test.pixels, 100 * 784);
    rpu_dataset_free(&whole);
    rpu_dataset_free(&part);
}

/* Whether the four files are there, each plain or gzip. */
static int have_files(void) {
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                        "t10k-labels-idx1-ubyte"};
    char plain[4096], gzip[4096 + 3];
    struct stat st;
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        snprintf(plain, sizeof plain, "%s/%s", directory, names[k]);
        snprintf(gzip, sizeof gzip, "%s.gz", plain);
        if (stat(plain, &st) != 0 && stat(gzip, &st) != 0)
            return 0;
    }
    return 1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole), cmocka_unit_test(test_limits)};
    const char *named = getenv("RPU_MNIST_DIR");
    directory = named && *named ? named : RPU_TEST_MNIST_DIR;
    if (!have_files()) {
        fprintf(stderr, "skipped: no MNIST files in %s (set RPU_MNIST_DIR)\n", directory);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
