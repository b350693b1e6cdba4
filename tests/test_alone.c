/* SPDX-License-Identifier: Apache-2.0 */
/* Whether one thread is left to train alone, with times that are made up. That it changes no bit: test_pass.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alone.h"

enum { WINDOW = 256, FIRST = 4, TRIAL = 28, MOST = 8192 };

/* Minibatches of one image. `shared` and `single`: seconds of one, by all threads and by one. */
struct course {
    struct rpu_alone alone;
    double shared, single;
    double first;     /* more seconds of a minibatch whose way is not that of the one before */
    double slice;     /* in a trial the other way seems to take so many seconds; 0: what it takes */
    double all, lost; /* seconds so far; what trials took more than the way in use */
    unsigned steps, trials, tried;
    int last;
};

static int step(struct course *c) {
    const int one = rpu_alone_next(&c->alone), trial = c->alone.trial;
    const double usual = one ? c->single : c->shared, other = one ? c->shared : c->single;
    const double seconds = (trial && c->slice > 0.0 ? c->slice : usual) + (one != c->last ? c->first : 0.0);
    rpu_alone_took(&c->alone, 1, seconds);
    c->trials += !trial && c->alone.trial;
    c->tried += (unsigned)trial;
    c->all += seconds;
    c->lost += trial ? seconds - other : 0.0;
    c->steps++;
    c->last = one;
    return one;
}

/* Returns how many of them one thread did. */
static unsigned steps(struct course *c, unsigned count) {
    unsigned by_one = 0;
    for (unsigned i = 0; i < count; i++)
        by_one += (unsigned)step(c);
    return by_one;
}

/* To the end of a window, `windows` of them after a trial. */
static void steps_to(struct course *c, unsigned windows) {
    for (unsigned k = 0; k < 100000 && (c->alone.trial || c->alone.steps != 0 || c->alone.since != windows * WINDOW);
         k++)
        step(c);
    assert_int_equal(c->alone.since, windows * WINDOW);
}

static void shares_until_it_has_tried(void **state) {
    struct course c = {.shared = 60e-6, .single = 62e-6};
    (void)state;
    assert_int_equal(steps(&c, WINDOW), 0);
    assert_int_equal(steps(&c, TRIAL), TRIAL);
    assert_int_equal(steps(&c, 4 * WINDOW), 0);
    assert_int_equal(steps(&c, TRIAL), TRIAL);
    assert_int_equal(steps(&c, 16 * WINDOW), 0);
    assert_int_equal(steps(&c, TRIAL), TRIAL);
    for (int k = 0; k < 10; k++) {
        assert_int_equal(steps(&c, MOST), 0);
        assert_int_equal(steps(&c, TRIAL), TRIAL);
    }
}

/* Whatever sharing gains: a trial ends when it has taken so long that it cannot win any more. */
static void trials_cost_little(void **state) {
    (void)state;
    for (double gain = 1.2; gain < 100.0; gain *= 1.5) {
        struct course c = {.shared = 60e-6, .single = gain * 60e-6, .first = 50e-6};
        steps(&c, 100000);
        assert_int_equal(c.alone.chosen, 0);
        assert_true(c.trials >= 10 && c.trials <= 16);
        assert_true(c.lost <= c.trials * (2 * 24 + gain + 1) * c.shared);
        assert_true(c.lost < (gain < 2.0 ? 0.003 : gain < 10.0 ? 0.006 : 0.02) * c.all);
        assert_true(c.tried <= (gain < 1.3 ? 28 : gain > 24.0 ? 1 : 22) * c.trials);
    }
}

static void leaves_it_to_one_where_that_is_faster(void **state) {
    struct course c = {.shared = 140e-6, .single = 115e-6, .first = 50e-6};
    (void)state;
    steps(&c, WINDOW + TRIAL);
    assert_int_equal(steps(&c, WINDOW), WINDOW);
    assert_true(steps(&c, 50000) > 49600);
    assert_int_equal(c.alone.chosen, 1);
}

static void small_gains_change_nothing(void **state) {
    struct course c = {.shared = 100e-6, .single = 96e-6};
    (void)state;
    steps(&c, WINDOW + TRIAL);
    assert_int_equal(steps(&c, WINDOW), 0);
    c.alone = (struct rpu_alone){0};
    c.single = 94e-6;
    steps(&c, WINDOW + TRIAL);
    assert_int_equal(steps(&c, WINDOW), WINDOW);
}

/* The other threads are awake and have what they need only after a while. */
static void a_trial_does_not_count_its_start(void **state) {
    struct course c = {.shared = 100e-6, .single = 90e-6, .first = 1.9e-3};
    (void)state;
    steps(&c, WINDOW + TRIAL);
    assert_int_equal(c.alone.chosen, 1);
    c = (struct course){.shared = 100e-6, .single = 90e-6, .first = 2.5e-3}; /* longer than all of it may take */
    steps(&c, WINDOW + 1);
    assert_int_equal(c.alone.chosen, 0);
    assert_int_equal(c.alone.trial, 0);
}

/* On a busy processor a trial may be over before its time slice is. */
static void what_only_seemed_faster_is_given_up(void **state) {
    struct course c = {.shared = 150e-6, .single = 230e-6, .slice = 110e-6};
    (void)state;
    steps(&c, WINDOW + TRIAL);
    assert_int_equal(c.alone.chosen, 1);
    assert_int_equal(steps(&c, WINDOW), WINDOW);
    assert_int_equal(c.alone.chosen, 0);
    assert_int_equal(steps(&c, 4 * WINDOW), 0); /* and not so soon again */
    assert_int_equal(steps(&c, TRIAL), TRIAL);
    steps(&c, 100000);
    assert_int_equal(c.alone.chosen, 0);
    assert_true(c.all < 1.04 * c.steps * c.shared);
    c = (struct course){.shared = 150e-6, .single = 112e-6};
    steps(&c, WINDOW + TRIAL + WINDOW);
    c.slice = 65e-6; /* the same from the other side */
    steps(&c, 100000);
    assert_int_equal(c.alone.chosen, 1);
    assert_true(c.all < 1.02 * c.steps * c.single);
}

/* What was measured once need not hold for long: other programs come and go, threads are moved. */
static void follows_what_changes(void **state) {
    struct course c = {.shared = 60e-6, .single = 100e-6};
    (void)state;
    steps(&c, 50000);
    steps_to(&c, 1);
    assert_int_equal(c.alone.interval, MOST);
    c.trials = 0;
    c.shared = 74e-6; /* somewhat slower than the first window: no reason to ask */
    steps(&c, 16 * WINDOW);
    assert_int_equal(c.trials, 0);
    c.shared = 150e-6; /* found out soon, though the next trial was far */
    steps(&c, WINDOW + TRIAL);
    assert_int_equal(c.trials, 1);
    assert_int_equal(c.alone.chosen, 1);
    steps(&c, 50000);
    assert_int_equal(c.alone.chosen, 1);
    c.shared = 60e-6; /* which one thread does not notice by itself */
    steps(&c, MOST + TRIAL);
    assert_int_equal(c.alone.chosen, 0);
    steps(&c, 50000);
    steps_to(&c, 1);
    c.trials = 0;
    c.shared = 100e-6; /* but not sooner than after a quarter of the interval */
    steps(&c, MOST / 4 - WINDOW - 1);
    assert_int_equal(c.trials, 0);
    step(&c);
    assert_int_equal(c.trials, 1);
}

static void long_minibatches_are_shared(void **state) {
    struct course c = {.shared = 10.1e-3, .single = 8e-3};
    (void)state;
    assert_int_equal(steps(&c, 10000), 0);
    c.shared = 9.9e-3;
    assert_true(steps(&c, 10000) > 9000);
    c.single = 15e-3; /* alone, they are asked about whatever they take */
    steps(&c, MOST + TRIAL);
    assert_int_equal(c.alone.chosen, 0);
    assert_int_equal(steps(&c, WINDOW), 0);
}

/* Minibatches that are not full take less time. */
static void time_is_an_images(void **state) {
    struct rpu_alone alone = {0};
    (void)state;
    for (unsigned i = 0; i < WINDOW; i++)
        rpu_alone_took(&alone, 16, 16 * 60e-6);
    assert_int_equal(rpu_alone_next(&alone), 1);
    for (unsigned i = 0; i < TRIAL; i++)
        rpu_alone_took(&alone, i % 2 ? 16 : 2, (i % 2 ? 16 : 2) * 62e-6);
    assert_int_equal(alone.trial, 0);
    assert_int_equal(alone.chosen, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_until_it_has_tried),
        cmocka_unit_test(trials_cost_little),
        cmocka_unit_test(leaves_it_to_one_where_that_is_faster),
        cmocka_unit_test(small_gains_change_nothing),
        cmocka_unit_test(a_trial_does_not_count_its_start),
        cmocka_unit_test(what_only_seemed_faster_is_given_up),
        cmocka_unit_test(follows_what_changes),
        cmocka_unit_test(long_minibatches_are_shared),
        cmocka_unit_test(time_is_an_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
