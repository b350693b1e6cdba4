/* SPDX-License-Identifier: Apache-2.0 */
/* The work list of a minibatch: what it is divided into, what waits for what, and that a run keeps to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "pass.h"

#include <rpu/network.h>

static struct rpu_config config; /* of the preset */
static struct rpu_dataset data;

static int load(void **state) {
    (void)state;
    return rpu_digits_generate(&data, 12, 4, 1, NULL) != RPU_OK;
}

/* Before each test, whatever the one before has done. */
static int begin(void **state) {
    (void)state;
    return rpu_config_load(&config, "lenet-rpu", NULL, 0, NULL) != RPU_OK;
}

static int unload(void **state) {
    (void)state;
    rpu_dataset_free(&data);
    return 0;
}

static struct rpu_network *make(struct rpu_engine **engine, int threads, uint32_t batch) {
    struct rpu_network *n;
    config.batch = batch;
    assert_int_equal(rpu_engine_create(engine, NULL, threads, NULL), RPU_OK);
    assert_int_equal(rpu_network_create(&n, *engine, &config, 28, 28, 1, 10, NULL), RPU_OK);
    return n;
}

static void segments_are_arrays_and_what_follows(void **state) {
    static const uint32_t first[] = {0, 3, 6, 8}, last[] = {3, 6, 8, 9};
    struct rpu_engine *engine;
    struct rpu_network *n = make(&engine, 2, 1);
    (void)state;
    assert_int_equal(n->plan.n_segments, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(n->plan.segments[i].first, first[i]);
        assert_int_equal(n->plan.segments[i].last, last[i]);
        assert_int_equal(n->plan.segments[i].array, i);
    }
    assert_int_equal(n->plan.segments[0].bands, 6); /* three for each thread, of four rows: 96 columns */
    assert_int_equal(n->plan.segments[1].bands, 4); /* its pooled rows */
    assert_int_equal(n->plan.segments[2].forward.parts, 2);
    assert_int_equal(n->plan.segments[2].backward.parts, 2);
    assert_int_equal(n->plan.segments[3].forward.parts, 1); /* 10 x 129: not worth it */
    /* whole images; forward K1, K2, W3; from there to W3's errors; backward W3, K2, K1: no end, no bound management */
    assert_int_equal(n->plan.n_passes, 8);
    rpu_network_destroy(n);
    rpu_engine_destroy(engine);
}

/* The last entry that has a backward step of an array. */
static uint32_t backward_entry(const struct rpu_plan *p, uint32_t array) {
    uint32_t last = 0;
    for (uint32_t k = 1; k < p->n_passes; k++)
        for (uint32_t s = p->entries[k].first; s < p->entries[k].last; s++)
            if (p->steps[s].segment && p->steps[s].segment->array == array && p->steps[s].kind >= RPU_STEP_BACKWARD)
                last = k;
    assert_true(last > 0);
    return last;
}

static void updates_wait_for_their_own_array_alone(void **state) {
    (void)state;
    for (int threads = 1; threads <= 8; threads++) {
        struct rpu_engine *engine;
        struct rpu_network *n = make(&engine, threads, 1);
        const struct rpu_plan *p = &n->plan;
        const uint32_t k2 = backward_entry(p, 1);
        uint32_t drawn[4] = {0}, updates = 0;
        for (uint32_t k = p->n_passes; k < p->n_list; k++) {
            const uint32_t array = p->entries[k].array;
            const uint32_t own = backward_entry(p, array);
            if (strcmp(p->list[k].name, "pulses") == 0) { /* of fully connected arrays, before their updates */
                assert_true(array > 1 && drawn[array] == 0);
                assert_int_equal(p->list[k].n_after, 1);
                assert_int_equal(p->list[k].after[0], own);
                drawn[array] = k;
                continue;
            }
            updates++;
            assert_int_equal(p->list[k].n_after, array > 1 ? 3 : 2);
            assert_int_equal(p->list[k].after[0], 0); /* images that were done as a whole */
            assert_int_equal(p->list[k].after[1], own);
            if (array > 1)
                assert_int_equal(p->list[k].after[2], drawn[array]);
            if (threads > 1 && array > 1)
                assert_true(own < k2); /* so it overlaps the second convolution's backward pass */
        }
        assert_int_equal(updates, 4);
        assert_true(drawn[2] > 0 && drawn[3] > 0);
        rpu_network_destroy(n);
        rpu_engine_destroy(engine);
    }
}

static void images_are_whole_or_shared(void **state) {
    static const struct {
        int threads;
        uint32_t batch, whole, shared;
    } rows[] = {{1, 5, 5, 0}, {2, 1, 0, 1}, {2, 4, 4, 0}, {2, 5, 4, 1}, {3, 8, 6, 2}, {7, 6, 0, 6}};
    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        static const uint32_t order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
        struct rpu_engine *engine;
        struct rpu_network *n = make(&engine, rows[r].threads, rows[r].batch);
        assert_int_equal(rpu_network_train(n, &data.train, order, rows[r].batch, 0, NULL), RPU_OK);
        assert_int_equal(n->plan.list[0].items, rows[r].whole);
        assert_int_equal(n->plan.list[1].items, rows[r].shared * n->plan.entries[1].parts);
        rpu_network_destroy(n);
        rpu_engine_destroy(engine);
    }
}

/* Start of the first and end of the last event whose name begins so, over all threads. */
static void span(const struct rpu_engine *engine, const char *name, const char *layer, double *first, double *last) {
    *first = 1e9;
    *last = 0.0;
    for (int t = 0; t < rpu_engine_threads(engine); t++)
        for (size_t i = 0; i < rpu_engine_trace_count(engine, t); i++) {
            struct rpu_trace_event e;
            assert_int_equal(rpu_engine_trace_event(engine, t, i, &e), RPU_OK);
            if (strncmp(e.name, name, strlen(name)) != 0 || strcmp(e.layer, layer) != 0)
                continue;
            *first = e.start < *first ? e.start : *first;
            *last = e.end > *last ? e.end : *last;
        }
    assert_true(*last > 0.0);
}

static void a_run_keeps_the_order(void **state) {
    static const char *const arrays[] = {"K1", "K2", "W3", "W4"};
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        struct rpu_engine *engine;
        struct rpu_network *n = make(&engine, threads, 1);
        for (uint32_t i = 0; i < 10; i++) {
            double first, last, before = 0.0;
            assert_int_equal(rpu_engine_trace(engine, 1000, NULL), RPU_OK);
            assert_int_equal(rpu_network_train(n, &data.train, &i, 1, i, NULL), RPU_OK);
            assert_int_equal(rpu_engine_trace_lost(engine), 0);
            for (int a = 0; a < 4; a++) {
                span(engine, "forward", arrays[a], &first, &last);
                assert_true(first >= before);
                before = last;
            }
            span(engine, "loss", "", &first, &last);
            assert_true(first >= before);
            for (int a = 4; a-- > 0;) {
                double start, end;
                before = last;
                span(engine, "backward", arrays[a], &first, &last);
                assert_true(first >= before);
                span(engine, "update", arrays[a], &start, &end);
                assert_true(start >= last);
            }
        }
        rpu_network_destroy(n);
        rpu_engine_destroy(engine);
    }
}

/* A training of all images, and what came of it. */
struct course {
    struct rpu_network *n;
    uint32_t batch;
    int chosen; /* by one thread; 2: every other minibatch */
    uint64_t digest;
    struct rpu_array_stats counts[4]; /* without times */
};

/* A team is no place to leave by an assertion. */
static enum rpu_status train_all(void *context) {
    static const uint32_t order[12] = {3, 1, 4, 0, 5, 9, 2, 6, 8, 7, 11, 10};
    struct course *c = context;
    enum rpu_status status = RPU_OK;
    for (uint32_t i = 0, k = 0; status == RPU_OK && i < 12; i += c->batch, k++) {
        const uint32_t count = 12 - i < c->batch ? 12 - i : c->batch;
        c->n->alone.chosen = c->chosen == 2 ? (int)k % 2 : c->chosen;
        status = rpu_network_train(c->n, &data.train, order + i, count, i, NULL);
        if (status == RPU_OK && k == 1)
            status = rpu_network_evaluate(c->n, &data.test, 0, 4, 0, NULL, NULL);
    }
    for (size_t a = 0; status == RPU_OK && a < rpu_network_array_count(c->n); a++) {
        status = rpu_network_array_stats(c->n, a, &c->counts[a]);
        memset(c->counts[a].seconds, 0, sizeof c->counts[a].seconds);
        c->counts[a].apply_seconds = 0.0;
    }
    return status == RPU_OK ? rpu_network_digest(c->n, &c->digest) : status;
}

/* In one team, whose threads may still look for what the last minibatch left when one of them does the next. */
static void one_thread_gives_the_same_bits(void **state) {
    static const struct rpu_assignment several[] = {{"arrays.K1.copies=4", "test"}, {"arrays.K2.devices=3", "test"}};
    static const struct rpu_assignment divided[] = {{"arrays.default.max_rows=20", "test"},
                                                    {"arrays.default.max_cols=200", "test"}};
    static const struct {
        const char *preset;
        const struct rpu_assignment *list;
        size_t count;
    } kinds[] = {
        {"lenet-rpu", NULL, 0}, {"lenet-rpu", several, 2}, {"lenet-rpu-nm-bm", divided, 2}, {"lenet-fp", NULL, 0}};
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (int threads = 1; threads <= 3; threads++)
            for (uint32_t batch = 1; batch <= 5; batch += 4) {
                struct course courses[3] = {{0}};
                uint64_t alone = 0;
                assert_int_equal(rpu_config_load(&config, kinds[k].preset, kinds[k].list, kinds[k].count, NULL),
                                 RPU_OK);
                for (int chosen = 0; chosen < 3; chosen++) {
                    struct rpu_engine *engine;
                    struct course *c = &courses[chosen];
                    *c = (struct course){.n = make(&engine, threads, batch), .batch = batch, .chosen = chosen};
                    assert_int_equal(rpu_sched_team(engine->sched, train_all, c), RPU_OK);
                    alone += c->n->images_alone;
                    rpu_network_destroy(c->n);
                    rpu_engine_destroy(engine);
                    assert_true(c->digest == courses[0].digest);
                    assert_memory_equal(c->counts, courses[0].counts, sizeof c->counts);
                }
                assert_int_equal(alone, threads == 1 ? 0 : batch == 1 ? 12 + 6 : 12 + 5);
            }
}

/* Seconds of the recorded training, and whether another thread than the first did any. */
static double recorded(const struct rpu_engine *engine, int *others) {
    double seconds = 0.0;
    *others = 0;
    for (int t = 0; t < rpu_engine_threads(engine); t++)
        for (size_t i = 0; i < rpu_engine_trace_count(engine, t); i++) {
            struct rpu_trace_event e;
            assert_int_equal(rpu_engine_trace_event(engine, t, i, &e), RPU_OK);
            if (strncmp(e.name, "test", 4) == 0)
                continue;
            seconds += e.end - e.start;
            *others |= t > 0;
        }
    return seconds;
}

static void one_thread_does_it_all(void **state) {
    struct rpu_engine *engine;
    struct rpu_network *n = make(&engine, 3, 5);
    struct course c = {.n = n, .batch = 5, .chosen = 1};
    double seconds = 0.0, all;
    int others;
    (void)state;
    assert_int_equal(rpu_engine_trace(engine, 10000, NULL), RPU_OK);
    assert_int_equal(train_all(&c), RPU_OK);
    all = recorded(engine, &others);
    assert_int_equal(others, 0);
    assert_int_equal(n->plan.list[0].items, 2);
    assert_int_equal(n->plan.list[1].items, 0);
    for (uint32_t k = n->plan.n_passes; k < n->plan.n_list; k++) /* pulses with the images, updates of whole tiles */
        assert_int_equal(n->plan.list[k].items, strcmp(n->plan.list[k].name, "update") == 0);
    /* its time is that of the cycles, though the others could have worked meanwhile */
    for (size_t a = 0; a < 4; a++) {
        struct rpu_array_stats s;
        assert_int_equal(rpu_network_array_stats(n, a, &s), RPU_OK);
        seconds += s.seconds[0] + s.seconds[1] + s.seconds[2];
    }
    assert_true(seconds <= all && seconds > 0.6 * all);
    rpu_network_destroy(n);
    rpu_engine_destroy(engine);
}

/* Many small minibatches, as a training does them. */
static enum rpu_status train_many(void *context) {
    enum rpu_status status = RPU_OK;
    for (uint32_t i = 0; status == RPU_OK && i < 300; i++) {
        const uint32_t image = i % 12;
        status = rpu_network_train(context, &data.train, &image, 1, i, NULL);
    }
    return status;
}

/* After a window of 256 minibatches the other way is tried, unless threads are to share always. */
static void a_training_tries_both_ways(void **state) {
    static const struct rpu_assignment small = {"network.layers=[{type: fc, outputs: 10}, {type: softmax}]", "test"};
    (void)state;
    assert_int_equal(rpu_config_load(&config, "lenet-rpu", &small, 1, NULL), RPU_OK);
    for (int share = RPU_SHARE_AUTO; share <= RPU_SHARE_ALWAYS; share++) {
        const struct rpu_engine_options options = {.threads = 2, .share = (enum rpu_share)share};
        struct rpu_engine *engine;
        struct rpu_network *n;
        assert_int_equal(rpu_engine_create_with(&engine, &options, NULL), RPU_OK);
        assert_int_equal(rpu_network_create(&n, engine, &config, 28, 28, 1, 10, NULL), RPU_OK);
        assert_int_equal(rpu_sched_team(engine->sched, train_many, n), RPU_OK);
        assert_true(share == RPU_SHARE_AUTO ? n->images_alone > 0 && n->images_alone <= 44 : n->images_alone == 0);
        rpu_network_destroy(n);
        rpu_engine_destroy(engine);
    }
}

static void times_go_by_the_threads_that_work_at_a_time(void **state) {
    struct rpu_engine *engine;
    struct rpu_network *n = make(&engine, 7, 1);
    struct rpu_array_stats s;
    const double at_once = rpu_sched_at_once(n->engine->sched);
    (void)state;
    for (size_t t = 0; t < 7; t++)
        n->workers[t].stats[1] = (struct rpu_array_stats){.seconds = {1.0, 2.0, 3.0}, .apply_seconds = 4.0};
    assert_int_equal(rpu_network_array_stats(n, 1, &s), RPU_OK);
    assert_true(s.seconds[0] == 7.0 / at_once && s.seconds[1] == 14.0 / at_once && s.seconds[2] == 21.0 / at_once);
    assert_true(s.apply_seconds == 28.0 / at_once);
    rpu_network_destroy(n);
    rpu_engine_destroy(engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(segments_are_arrays_and_what_follows, begin),
        cmocka_unit_test_setup(updates_wait_for_their_own_array_alone, begin),
        cmocka_unit_test_setup(images_are_whole_or_shared, begin),
        cmocka_unit_test_setup(a_run_keeps_the_order, begin),
        cmocka_unit_test_setup(one_thread_gives_the_same_bits, begin),
        cmocka_unit_test_setup(one_thread_does_it_all, begin),
        cmocka_unit_test_setup(a_training_tries_both_ways, begin),
        cmocka_unit_test_setup(times_go_by_the_threads_that_work_at_a_time, begin),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
