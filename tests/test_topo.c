/* SPDX-License-Identifier: Apache-2.0 */
/* Places of threads on machines that hwloc makes up, and what the real one says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "topo.h"

static struct rpu_topo *machine(const char *synthetic) {
    struct rpu_topo *t;
    if (synthetic)
        setenv("HWLOC_SYNTHETIC", synthetic, 1);
    else
        unsetenv("HWLOC_SYNTHETIC");
    assert_int_equal(rpu_topo_create(&t, NULL), RPU_OK);
    unsetenv("HWLOC_SYNTHETIC");
    return t;
}

static void check_places(const char *synthetic, enum rpu_bind bind, int threads, enum rpu_bind decided,
                         const int *processors) {
    struct rpu_topo *t = machine(synthetic);
    struct rpu_place p;
    assert_int_equal(rpu_topo_place(t, bind, threads, NULL), RPU_OK);
    assert_int_equal(rpu_topo_decided(t), decided);
    for (int i = 0; i < threads; i++) {
        assert_int_equal(rpu_topo_place_of(t, i, &p), decided != RPU_BIND_NONE);
        if (decided != RPU_BIND_NONE)
            assert_int_equal(p.processor, processors[i]);
    }
    assert_int_equal(rpu_topo_place_of(t, threads, &p), 0);
    assert_int_equal(rpu_topo_place_of(t, -1, &p), 0);
    rpu_topo_destroy(t);
}

/* Two packages of two NUMA nodes of two cores of two processors, numbered in order. */
#define FOUR_NODES "package:2 numanode:2 core:2 pu:2"

static void cores_come_before_siblings(void **state) {
    (void)state;
    check_places("core:4 pu:2", RPU_BIND_COMPACT, 8, RPU_BIND_COMPACT, (int[]){0, 2, 4, 6, 1, 3, 5, 7});
    check_places("core:4 pu:2", RPU_BIND_SPREAD, 6, RPU_BIND_SPREAD, (int[]){0, 2, 4, 6, 1, 3});
}

static void spread_takes_the_nodes_in_turn(void **state) {
    (void)state;
    check_places(FOUR_NODES, RPU_BIND_COMPACT, 3, RPU_BIND_COMPACT, (int[]){0, 2, 4});
    check_places(FOUR_NODES, RPU_BIND_SPREAD, 9, RPU_BIND_SPREAD, (int[]){0, 4, 8, 12, 2, 6, 10, 14, 1});
}

static void what_is_decided_by_default(void **state) {
    struct rpu_machine m;
    struct rpu_topo *t = machine(NULL);
    (void)state;
    rpu_topo_describe(t, &m);
    rpu_topo_destroy(t);
    check_places("core:4 pu:1", RPU_BIND_AUTO, 4, RPU_BIND_NONE, NULL);
    check_places(FOUR_NODES, RPU_BIND_AUTO, 1, RPU_BIND_NONE, NULL);
    check_places(FOUR_NODES, RPU_BIND_NONE, 4, RPU_BIND_NONE, NULL);
    check_places(FOUR_NODES, RPU_BIND_COMPACT, 17, RPU_BIND_NONE, NULL); /* more threads than processors */
    if (m.time_limit == 0.0)
        check_places(FOUR_NODES, RPU_BIND_AUTO, 2, RPU_BIND_SPREAD, (int[]){0, 4});
}

static void what_a_machine_is_made_of(void **state) {
    struct rpu_machine m;
    struct rpu_topo *t = machine(FOUR_NODES);
    struct rpu_place p;
    (void)state;
    rpu_topo_describe(t, &m);
    assert_int_equal(m.packages, 2);
    assert_int_equal(m.nodes, 4);
    assert_int_equal(m.cores, 8);
    assert_int_equal(m.processors, 16);
    assert_int_equal(m.all_processors, 16);
    assert_int_equal(rpu_topo_processor(t, 15, &p), 1);
    assert_int_equal(p.processor, 15);
    assert_int_equal(p.package, 1);
    assert_int_equal(p.node, 3);
    assert_int_equal(p.core, 7);
    assert_int_equal(p.sibling, 1);
    assert_int_equal(rpu_topo_processor(t, 16, &p), 0);
    if (m.time_limit == 0.0) {
        assert_int_equal(rpu_topo_threads(t), 8);
        assert_int_equal(rpu_topo_seats(t), 16);
    }
    rpu_topo_destroy(t);
}

/* A process that may use one processor sees one. */
static void affinity_is_respected(void **state) {
    struct rpu_machine m;
    struct rpu_topo *t;
    cpu_set_t all, one;
    size_t first = 0;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    while (!CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    if (CPU_COUNT(&all) < 2 || sched_setaffinity(0, sizeof one, &one) != 0)
        skip();
    t = machine(NULL);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    rpu_topo_describe(t, &m);
    assert_true(m.all_processors >= 2);
    assert_int_equal(m.processors, 1);
    assert_int_equal(m.cores, 1);
    assert_int_equal(rpu_topo_threads(t), 1);
    rpu_topo_destroy(t);
}

/* Binding a thread and putting it back leaves its affinity as it was. */
static void binding_ends(void **state) {
    struct rpu_topo *t = machine(NULL);
    struct rpu_topo_bound bound;
    struct rpu_place p;
    cpu_set_t before, now;
    (void)state;
    assert_int_equal(rpu_topo_place(t, RPU_BIND_COMPACT, 1, NULL), RPU_OK);
    if (!rpu_topo_place_of(t, 0, &p))
        skip();
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    rpu_topo_bind(t, 0, &bound);
    assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
    if (bound.before) {
        assert_int_equal(CPU_COUNT(&now), 1);
        assert_true(CPU_ISSET((size_t)p.processor, &now));
    }
    rpu_topo_unbind(t, &bound);
    assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
    assert_true(CPU_EQUAL(&now, &before));
    rpu_topo_destroy(t);
}

static void nothing_is_bound_without_a_topology(void **state) {
    struct rpu_topo_bound bound;
    (void)state;
    rpu_topo_bind(NULL, 0, &bound);
    assert_null(bound.before);
    rpu_topo_unbind(NULL, &bound);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cores_come_before_siblings),
        cmocka_unit_test(spread_takes_the_nodes_in_turn),
        cmocka_unit_test(what_is_decided_by_default),
        cmocka_unit_test(what_a_machine_is_made_of),
        cmocka_unit_test(affinity_is_respected),
        cmocka_unit_test(binding_ends),
        cmocka_unit_test(nothing_is_bound_without_a_topology),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
