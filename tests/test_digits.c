/* SPDX-License-Identifier: Apache-2.0 */
/* The generated digits: reproducible to the bit, all different, and like MNIST in their ink. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include <rpu/data.h>

enum { PIXELS = 784, MANY = 20000 };

static struct rpu_dataset drawn(uint32_t train, uint32_t test, uint64_t seed) {
    struct rpu_dataset set;
    struct rpu_error err;
    if (rpu_digits_generate(&set, train, test, seed, &err) != RPU_OK)
        fail_msg("%s", err.message);
    assert_int_equal(set.train.count, train);
    assert_int_equal(set.test.count, test);
    return set;
}

static uint64_t digest(const struct rpu_images *images, uint32_t count) {
    return XXH3_64bits(images->pixels, (size_t)count * PIXELS);
}

/* Pinned: the same on every machine, compiler and instruction set. Whoever changes the generator on purpose changes
 * every recorded result on generated digits, and these constants. */
static void test_pinned(void **state) {
    struct rpu_dataset set = drawn(1000, 1000, 1);
    (void)state;
    print_message("digests: training %016" PRIx64 ", test %016" PRIx64 ", labels %016" PRIx64 "\n",
                  digest(&set.train, 1000), digest(&set.test, 1000), (uint64_t)XXH3_64bits(set.train.labels, 1000));
    assert_true(digest(&set.train, 1000) == UINT64_C(0x5aa6118b53c1913a));
    assert_true(digest(&set.test, 1000) == UINT64_C(0x333ab7a9e5e68209));
    assert_true(XXH3_64bits(set.train.labels, 1000) == UINT64_C(0x9ef391a9d8d232f7));
    rpu_dataset_free(&set);
}

static void test_shape_and_defaults(void **state) {
    struct rpu_dataset set;
    (void)state;
    assert_int_equal(rpu_digits_generate(&set, 0, 0, 7, NULL), RPU_OK);
    assert_int_equal(set.train.count, 60000);
    assert_int_equal(set.test.count, 10000);
    for (int k = 0; k < 2; k++) {
        const struct rpu_images *images = k ? &set.test : &set.train;
        assert_int_equal(images->height, 28);
        assert_int_equal(images->width, 28);
        assert_int_equal(images->channels, 1);
        assert_int_equal(images->classes, 10);
    }
    rpu_dataset_free(&set);
    assert_null(set.train.pixels);
    assert_int_equal(rpu_digits_generate(NULL, 1, 1, 1, NULL), RPU_ERR_ARG);
}

static void test_prefix(void **state) {
    struct rpu_dataset longer = drawn(300, 200, 42), shorter = drawn(100, 50, 42);
    (void)state;
    assert_memory_equal(longer.train.pixels, shorter.train.pixels, 100 * PIXELS);
    assert_memory_equal(longer.train.labels, shorter.train.labels, 100);
    assert_memory_equal(longer.test.pixels, shorter.test.pixels, 50 * PIXELS);
    assert_memory_equal(longer.test.labels, shorter.test.labels, 50);
    rpu_dataset_free(&longer);
    rpu_dataset_free(&shorter);
}

static int compare_digests(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* No two images are the same: not within a set, not between the sets, not between seeds. */
static void test_all_different(void **state) {
    enum { EACH = 500, SEEDS = 4, ALL = 2 * EACH * SEEDS };
    static const uint64_t seeds[SEEDS] = {0, 1, 2, UINT64_C(1) << 40};
    static uint64_t digests[ALL];
    size_t n = 0;
    (void)state;
    for (int s = 0; s < SEEDS; s++) {
        struct rpu_dataset set = drawn(EACH, EACH, seeds[s]);
        for (size_t i = 0; i < EACH; i++) {
            digests[n++] = XXH3_64bits(set.train.pixels + i * PIXELS, PIXELS);
            digests[n++] = XXH3_64bits(set.test.pixels + i * PIXELS, PIXELS);
        }
        rpu_dataset_free(&set);
    }
    qsort(digests, ALL, sizeof *digests, compare_digests);
    for (size_t k = 1; k < ALL; k++)
        assert_true(digests[k] != digests[k - 1]);
}

/* Chi-squared with 9 degrees of freedom stays below 27.9 in 999 of 1000 draws. */
static void test_label_frequency(void **state) {
    struct rpu_dataset set = drawn(MANY, 1, 3);
    uint32_t have[10] = {0};
    double chi2 = 0.0;
    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        assert_true(set.train.labels[i] < 10);
        have[set.train.labels[i]]++;
    }
    for (int k = 0; k < 10; k++)
        chi2 += (have[k] - MANY / 10.0) * (have[k] - MANY / 10.0) / (MANY / 10.0);
    print_message("chi-squared of the labels: %.2f\n", chi2);
    assert_true(chi2 < 27.9);
    rpu_dataset_free(&set);
}

/* Mean and standard deviation of the pixels and the share that carries ink, all 0..1. MNIST: 0.131, 0.308, 0.191. */
static void test_ink(void **state) {
    struct rpu_dataset set = drawn(MANY, 1, 5);
    const size_t n = (size_t)MANY * PIXELS;
    double sum = 0.0, squares = 0.0, inked = 0.0;
    (void)state;
    for (size_t k = 0; k < n; k++) {
        const double v = set.train.pixels[k] / 255.0;
        sum += v;
        squares += v * v;
        inked += v > 0.0;
    }
    const double mean = sum / (double)n, deviation = sqrt(squares / (double)n - mean * mean);
    print_message("pixels: mean %.4f, deviation %.4f, inked %.4f\n", mean, deviation, inked / (double)n);
    assert_true(mean > 0.12 && mean < 0.15);
    assert_true(deviation > 0.29 && deviation < 0.33);
    assert_true(inked / (double)n > 0.17 && inked / (double)n < 0.21);
    rpu_dataset_free(&set);
}

/* Every image: its centre of mass near the middle (pixel 14 of 0..27), its ink inside a box of about 20 pixels. */
static void test_placement(void **state) {
    struct rpu_dataset set = drawn(2000, 1, 6);
    (void)state;
    for (size_t i = 0; i < 2000; i++) {
        double mass = 0.0, mx = 0.0, my = 0.0;
        int low[2] = {28, 28}, high[2] = {-1, -1};
        for (int k = 0; k < PIXELS; k++) {
            const int v = set.train.pixels[i * PIXELS + (size_t)k], at[2] = {k % 28, k / 28};
            mass += v;
            mx += v * at[0];
            my += v * at[1];
            for (int axis = 0; axis < 2 && v > 127; axis++) {
                low[axis] = at[axis] < low[axis] ? at[axis] : low[axis];
                high[axis] = at[axis] > high[axis] ? at[axis] : high[axis];
            }
        }
        assert_true(mass > 255.0 * 15);
        assert_true(fabs(mx / mass - 14.0) < 2.0 && fabs(my / mass - 14.0) < 2.0);
        const int w = high[0] - low[0] + 1, h = high[1] - low[1] + 1;
        assert_true((w > h ? w : h) >= 16 && (w > h ? w : h) <= 22);
    }
    rpu_dataset_free(&set);
}

/* Mean absolute difference, 0..1, of two images. */
static double difference(const uint8_t *a, const uint8_t *b) {
    int sum = 0;
    for (int k = 0; k < PIXELS; k++)
        sum += abs(a[k] - b[k]);
    return sum / (255.0 * PIXELS);
}

/* Images of one digit vary, but less than images of different digits do: for each digit, over all pairs of a sample. */
static void test_classes(void **state) {
    enum { SAMPLE = 600 };
    struct rpu_dataset set = drawn(SAMPLE, 1, 8);
    double same[10] = {0}, other[10] = {0};
    int n_same[10] = {0}, n_other[10] = {0};
    (void)state;
    for (size_t a = 0; a < SAMPLE; a++) {
        for (size_t b = 0; b < SAMPLE; b++) {
            const int la = set.train.labels[a], equal = la == set.train.labels[b];
            if (a == b)
                continue;
            (equal ? same : other)[la] += difference(set.train.pixels + a * PIXELS, set.train.pixels + b * PIXELS);
            (equal ? n_same : n_other)[la]++;
        }
    }
    for (int k = 0; k < 10; k++) {
        const double s = same[k] / n_same[k], o = other[k] / n_other[k];
        print_message("%d: mean difference to its own kind %.4f, to others %.4f\n", k, s, o);
        assert_true(s > 0.04 && s < 0.95 * o);
    }
    rpu_dataset_free(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pinned),          cmocka_unit_test(test_shape_and_defaults),
        cmocka_unit_test(test_prefix),          cmocka_unit_test(test_all_different),
        cmocka_unit_test(test_label_frequency), cmocka_unit_test(test_ink),
        cmocka_unit_test(test_placement),       cmocka_unit_test(test_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
