/* SPDX-License-Identifier: Apache-2.0 */
/* Whether one thread is left to train alone: with times that are made up, and that it changes no bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "alone.h"

/* Minibatches of one image. `shared` and `single`: seconds of one, by all threads and by one. */
struct course {
    struct rpu_alone alone;
    double shared, single;
    double first; /* more seconds of a minibatch whose way is not that of the one before */
    double all;   /* seconds so far */
    int last;
    unsigned steps, by_one, trials;
};

static int step(struct course *c) {
    const int one = rpu_alone_next(&c->alone);
    const double seconds = (one ? c->single : c->shared) + (one != c->last ? c->first : 0.0);
    const int was_trial = c->alone.trial;
    rpu_alone_took(&c->alone, 1, seconds);
    c->trials += !was_trial && c->alone.trial;
    c->all += seconds;
    c->by_one += (unsigned)one;
    c->steps++;
    c->last = one;
    return one;
}

static unsigned steps(struct course *c, unsigned count) {
    unsigned by_one = 0;
    for (unsigned i = 0; i < count; i++)
        by_one += (unsigned)step(c);
    return by_one;
}

static void shares_until_it_has_tried(void **state) {
    struct course c = {.shared = 60e-6, .single = 100e-6};
    (void)state;
    assert_int_equal(steps(&c, 256), 0);
    assert_int_equal(steps(&c, 28), 28);
    assert_int_equal(steps(&c, 256), 0);
}

/* Trying costs little while sharing is faster, and less and less. */
static void trials_become_rare(void **state) {
    struct course c = {.shared = 60e-6, .single = 100e-6, .first = 50e-6};
    unsigned before;
    (void)state;
    steps(&c, 10000);
    assert_true(c.by_one <= 28 * 4 && c.trials >= 3);
    assert_true(c.all < 1.02 * c.steps * c.shared);
    before = c.trials;
    c.all = 0.0;
    assert_true(steps(&c, 100000) <= 28 * 13);
    assert_true(c.trials - before >= 10 && c.all < 1.004 * 100000 * c.shared);
}

static void leaves_it_to_one_where_that_is_faster(void **state) {
    struct course c = {.shared = 140e-6, .single = 115e-6, .first = 50e-6};
    (void)state;
    steps(&c, 256 + 28);
    assert_int_equal(steps(&c, 256), 256);
    assert_true(steps(&c, 50000) > 49600);
}

static void small_gains_change_nothing(void **state) {
    struct course c = {.shared = 100e-6, .single = 96e-6};
    (void)state;
    steps(&c, 256 + 28);
    assert_int_equal(steps(&c, 256), 0);
    c.alone = (struct rpu_alone){0};
    c.single = 94e-6;
    steps(&c, 256 + 28);
    assert_int_equal(steps(&c, 256), 256);
}

/* The other threads are awake and have what they need only after a while. */
static void a_trial_does_not_count_its_start(void **state) {
    struct course c = {.shared = 100e-6, .single = 90e-6, .first = 10e-3};
    (void)state;
    steps(&c, 256 + 28);
    assert_int_equal(steps(&c, 256), 256);
}

/* What was measured once need not hold for long: other programs come and go, threads are moved. */
static void follows_what_changes(void **state) {
    struct course c = {.shared = 60e-6, .single = 100e-6};
    (void)state;
    steps(&c, 100000);
    assert_int_equal(c.alone.chosen, 0);
    c.shared = 150e-6; /* found out soon, though the next trial was far */
    steps(&c, 2 * 256 + 28);
    assert_int_equal(c.alone.chosen, 1);
    steps(&c, 100000);
    assert_int_equal(c.alone.chosen, 1);
    c.shared = 60e-6; /* which one thread does not notice by itself */
    steps(&c, 8192 + 256 + 28);
    assert_int_equal(c.alone.chosen, 0);
    steps(&c, 50000);
    for (int k = 0; k < 10000 && (c.alone.trial || c.alone.since != 256); k++) /* to a window after a trial */
        step(&c);
    c.shared = 70e-6; /* somewhat slower: no reason to ask */
    c.trials = 0;
    steps(&c, 4 * 256);
    assert_int_equal(c.trials, 0);
    c.shared = 90e-6;
    steps(&c, 256);
    assert_int_equal(c.trials, 1);
}

static void long_minibatches_are_shared(void **state) {
    struct course c = {.shared = 3e-3, .single = 2e-3};
    (void)state;
    assert_int_equal(steps(&c, 10000), 0);
    c.shared = 1.9e-3;
    c.single = 1e-3;
    assert_true(steps(&c, 10000) > 9000);
}

/* Minibatches that are not full take less time. */
static void time_is_an_images(void **state) {
    struct rpu_alone alone = {0};
    (void)state;
    for (unsigned i = 0; i < 256; i++)
        rpu_alone_took(&alone, 16, 16 * 60e-6);
    assert_int_equal(rpu_alone_next(&alone), 1);
    for (unsigned i = 0; i < 28; i++)
        rpu_alone_took(&alone, i % 2 ? 16 : 2, (i % 2 ? 16 : 2) * 100e-6);
    assert_int_equal(alone.chosen, 0);
    assert_int_equal(rpu_alone_next(&alone), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_until_it_has_tried),
        cmocka_unit_test(trials_become_rare),
        cmocka_unit_test(leaves_it_to_one_where_that_is_faster),
        cmocka_unit_test(small_gains_change_nothing),
        cmocka_unit_test(a_trial_does_not_count_its_start),
        cmocka_unit_test(follows_what_changes),
        cmocka_unit_test(long_minibatches_are_shared),
        cmocka_unit_test(time_is_an_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
