/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler: every item once, after what it waits for, by any number of threads, awake or not. Meant to be run
 * under a thread sanitizer as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scheduler.h"

enum { ENTRIES = 6, ITEMS = 37, ROUNDS = 200 };

static struct rpu_sched *make(int threads, int seats) {
    const struct rpu_sched_options options = {.threads = threads, .seats = seats};
    struct rpu_sched *s;
    assert_int_equal(rpu_sched_create(&s, &options, NULL), RPU_OK);
    assert_int_equal(rpu_sched_threads(s), threads);
    return s;
}

/* An entry whose items add up what all items of the entries before it hold: plain memory, so that a missing
 * synchronization gives a wrong sum, and is a race that a sanitizer sees. */
struct stage {
    size_t n_before;
    const struct stage *before[RPU_WORK_AFTER];
    size_t items;
    uint64_t value[ITEMS];
    int done[ITEMS];
};

static void stage_item(void *context, size_t item, int thread) {
    struct stage *s = context;
    uint64_t sum = item + 1;
    (void)thread;
    for (size_t b = 0; b < s->n_before; b++)
        for (size_t i = 0; i < s->before[b]->items; i++)
            sum = sum * 31 + s->before[b]->value[i];
    s->value[item] = sum;
    s->done[item]++;
}

/* A diamond with a tail, and an entry beside it; `shift` varies the numbers of items, and whether the last are
 * fillers. */
static void make_list(struct stage stage[ENTRIES], struct rpu_work work[ENTRIES], size_t shift) {
    static const unsigned after[ENTRIES][RPU_WORK_AFTER] = {{0}, {0}, {0}, {1, 2}, {3}, {0, 3, 4}};
    static const unsigned n_after[ENTRIES] = {0, 1, 1, 2, 1, 3};
    static const size_t items[ENTRIES] = {7, ITEMS, 1, 4, 0, 12};
    memset(stage, 0, ENTRIES * sizeof *stage);
    memset(work, 0, ENTRIES * sizeof *work);
    for (size_t k = 0; k < ENTRIES; k++) {
        stage[k].items = items[(k + shift) % ENTRIES];
        work[k] =
            (struct rpu_work){.fn = stage_item, .context = &stage[k], .items = stage[k].items, .n_after = n_after[k]};
        work[k].filler = shift % 4 == 3 && k >= 4;
        stage[k].n_before = n_after[k];
        for (unsigned i = 0; i < n_after[k]; i++) {
            work[k].after[i] = after[k][i];
            stage[k].before[i] = &stage[after[k][i]];
        }
    }
}

static void check(const struct stage *stage, const struct stage *expected, size_t entries, int times) {
    for (size_t k = 0; k < entries; k++)
        for (size_t i = 0; i < stage[k].items; i++) {
            assert_int_equal(stage[k].done[i], times);
            assert_true(stage[k].value[i] == expected[k].value[i]);
        }
}

struct rounds {
    struct rpu_sched *sched;
    size_t rounds, made;
    enum rpu_status answer;
};

static enum rpu_status run_rounds(void *context) {
    struct rounds *r = context;
    struct rpu_sched *alone = make(1, 1);
    for (; r->made < r->rounds; r->made++) {
        struct stage stage[ENTRIES], expected[ENTRIES];
        struct rpu_work work[ENTRIES], again[ENTRIES];
        const size_t entries = ENTRIES - 2 + r->made % 3;
        make_list(stage, work, r->made);
        make_list(expected, again, r->made);
        rpu_sched_run(alone, again, entries);
        for (int times = 1; times <= 3; times++) { /* the same list again is run in another way */
            rpu_sched_run(r->sched, work, entries);
            check(stage, expected, entries, times);
        }
    }
    rpu_sched_destroy(alone);
    return r->answer;
}

static void every_item_once_and_after_its_predecessors(void **state) {
    static const int threads[] = {1, 2, 3, 7}, seats[] = {1, 2, 7};
    (void)state;
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++)
        for (size_t p = 0; p < sizeof seats / sizeof seats[0]; p++) {
            struct rounds r = {make(threads[t], seats[p]), ROUNDS, 0, RPU_OK};
            assert_int_equal(rpu_sched_team(r.sched, run_rounds, &r), RPU_OK);
            assert_int_equal(r.made, ROUNDS);
            rpu_sched_destroy(r.sched);
        }
}

static void lists_outside_of_a_team(void **state) {
    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        struct rounds r = {make(threads, 4), 10, 0, RPU_OK};
        assert_int_equal(run_rounds(&r), RPU_OK);
        rpu_sched_destroy(r.sched);
    }
}

/* A run that fails leaves a team that can be called again. */
static void a_team_works_again_after_an_error(void **state) {
    struct rounds r = {make(3, 3), 0, 0, RPU_ERR_INTERRUPTED};
    (void)state;
    for (int i = 0; i < 20; i++) {
        r.rounds += 5;
        r.answer = i % 2 ? RPU_OK : RPU_ERR_INTERRUPTED;
        assert_int_equal(rpu_sched_team(r.sched, run_rounds, &r), r.answer);
        assert_int_equal(r.made, r.rounds);
    }
    rpu_sched_destroy(r.sched);
}

static enum rpu_status nested(void *context) {
    return rpu_sched_team(((struct rounds *)context)->sched, run_rounds, context);
}

static void a_team_within_a_team_is_the_same(void **state) {
    struct rounds r = {make(2, 2), 20, 0, RPU_OK};
    (void)state;
    assert_int_equal(rpu_sched_team(r.sched, nested, &r), RPU_OK);
    assert_int_equal(r.made, 20);
    rpu_sched_destroy(r.sched);
}

/* Items that last until all threads have one: they end only if all threads take part. */
static void meet_item(void *context, size_t item, int thread) {
    atomic_int *there = context;
    (void)item;
    (void)thread;
    atomic_fetch_add(there, 1);
    while (atomic_load(there) < 4)
        nanosleep(&(struct timespec){0, 100000}, NULL);
}

static enum rpu_status meet(void *context) {
    for (int i = 0; i < 5; i++) {
        atomic_int there = 0;
        rpu_sched_for(context, 4, meet_item, &there);
        assert_int_equal(atomic_load(&there), 4);
        nanosleep(&(struct timespec){0, 3000000}, NULL); /* meanwhile the others go to sleep */
    }
    return RPU_OK;
}

static void all_threads_take_part_and_wake_up(void **state) {
    struct rpu_sched *s = make(4, 4);
    (void)state;
    assert_int_equal(rpu_sched_team(s, meet, s), RPU_OK);
    rpu_sched_destroy(s);
}

/* Whoever waits sleeps after a moment: waits of several tenths of a second cost no time of a processor. */
enum { LONG = 300000000 };

static void rest(void) {
    nanosleep(&(struct timespec){0, LONG}, NULL);
}

static double processor_time(void) {
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Two threads have one each; all but thread 0 take their time. */
static void slow_item(void *context, size_t item, int thread) {
    atomic_int *there = context;
    (void)item;
    atomic_fetch_add(there, 1);
    while (atomic_load(there) < 2)
        nanosleep(&(struct timespec){0, 100000}, NULL);
    if (thread > 0)
        rest();
}

struct waits {
    struct rpu_sched *sched;
    double spent[2];
};

static enum rpu_status wait_long(void *context) {
    struct waits *w = context;
    atomic_int there = 0;
    const double start = processor_time();
    rest(); /* the others wait for a list */
    w->spent[0] = processor_time() - start;
    rpu_sched_for(w->sched, 2, slow_item, &there); /* thread 0 waits for the other */
    w->spent[1] = processor_time() - start - w->spent[0];
    return RPU_OK;
}

/* The first test: what some OpenMP runtimes keep of larger teams from before spins for a while. */
static void who_waits_sleeps(void **state) {
    (void)state;
    for (int threads = 2; threads <= 7; threads += 5) {
        struct waits w = {.sched = make(threads, 2)};
        assert_int_equal(rpu_sched_team(w.sched, wait_long, &w), RPU_OK);
        rpu_sched_destroy(w.sched);
        assert_true(w.spent[0] < 0.3 * 1e-9 * LONG);
        assert_true(w.spent[1] < 0.3 * 1e-9 * LONG);
    }
}

/* With fewer seats than threads no more than the seats (and thread 0, which has its own) work at a time. */
struct crowd {
    atomic_int now, most;
};

static void crowd_item(void *context, size_t item, int thread) {
    struct crowd *c = context;
    const int now = atomic_fetch_add(&c->now, 1) + 1;
    int most = atomic_load(&c->most);
    (void)item;
    (void)thread;
    while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
        ;
    nanosleep(&(struct timespec){0, 1000000}, NULL); /* longer than the team takes to come together */
    atomic_fetch_sub(&c->now, 1);
}

static void no_more_awake_than_seats(void **state) {
    struct rpu_sched *s = make(7, 2);
    struct crowd c = {.now = 0};
    (void)state;
    for (int i = 0; i < 5; i++)
        rpu_sched_for(s, 28, crowd_item, &c);
    assert_true(atomic_load(&c.most) <= 2);
    rpu_sched_destroy(s);
}

static void nothing_to_do(void **state) {
    struct rpu_sched *s = make(3, 3);
    const struct rpu_work none = {.fn = stage_item};
    (void)state;
    rpu_sched_run(s, NULL, 0);
    rpu_sched_run(s, &none, 1);
    rpu_sched_for(s, 0, stage_item, NULL);
    rpu_sched_destroy(s);
}

static void numbers_of_threads(void **state) {
    struct rpu_sched *s;
    struct rpu_error err;
    (void)state;
    for (int threads = -1; threads <= 1025; threads += 1026) {
        const struct rpu_sched_options options = {.threads = threads, .seats = 1};
        assert_int_equal(rpu_sched_create(&s, &options, &err), RPU_ERR_RANGE);
        assert_non_null(strstr(err.message, "allowed is 1 to 1024"));
    }
}

static enum rpu_status nothing(void *context) {
    (void)context;
    return RPU_OK;
}

static void as_many_at_once_as_there_are_seats(void **state) {
    static const int cases[][3] = {{1, 1, 1}, {3, 5, 3}, {7, 2, 2}};
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        struct rpu_sched *s = make(cases[k][0], cases[k][1]);
        assert_int_equal(rpu_sched_at_once(s), cases[k][2]);
        assert_int_equal(rpu_sched_team(s, nothing, NULL), RPU_OK);
        assert_int_equal(rpu_sched_at_once(s), cases[k][2]);
        rpu_sched_destroy(s);
    }
}

static void the_record_has_every_item(void **state) {
    struct rpu_sched *s = make(3, 3);
    struct stage stage[ENTRIES];
    struct rpu_work work[ENTRIES];
    size_t items = 0, found = 0;
    (void)state;
    make_list(stage, work, 0);
    for (size_t k = 0; k < ENTRIES; k++) {
        work[k].name = "stage";
        work[k].of = "here";
        items += work[k].items;
    }
    rpu_sched_record(s, 3000);
    rpu_sched_run(s, work, ENTRIES);
    for (int t = 0; t < 3; t++) {
        const struct rpu_sched_event *e = NULL;
        const size_t n = rpu_sched_events(s, t, &e);
        for (size_t i = 0; i < n; i++) {
            assert_string_equal(e[i].name, "stage");
            assert_string_equal(e[i].of, "here");
            assert_true(e[i].start >= 0.0 && e[i].end >= e[i].start);
            assert_true(i == 0 || e[i].start >= e[i - 1].end);
        }
        found += n;
    }
    assert_int_equal(found, items);
    assert_int_equal(rpu_sched_events_lost(s), 0);
    rpu_sched_record(s, 6);
    rpu_sched_run(s, work, ENTRIES);
    found = 0;
    for (int t = 0; t < 3; t++) {
        const struct rpu_sched_event *e;
        found += rpu_sched_events(s, t, &e);
    }
    assert_int_equal(found, 6);
    assert_int_equal(rpu_sched_events_lost(s), items - 6);
    rpu_sched_destroy(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_sleeps),
        cmocka_unit_test(every_item_once_and_after_its_predecessors),
        cmocka_unit_test(lists_outside_of_a_team),
        cmocka_unit_test(a_team_works_again_after_an_error),
        cmocka_unit_test(a_team_within_a_team_is_the_same),
        cmocka_unit_test(all_threads_take_part_and_wake_up),
        cmocka_unit_test(no_more_awake_than_seats),
        cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(numbers_of_threads),
        cmocka_unit_test(as_many_at_once_as_there_are_seats),
        cmocka_unit_test(the_record_has_every_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
