/* SPDX-License-Identifier: Apache-2.0 */
/* Places of threads on machines that hwloc makes up, and what the real one says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* ---- the limit on time ---- */

/* A file below the current folder, with the folders that it lies in. */
static void put(const char *path, const char *text) {
    char part[256];
    FILE *file;
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        assert_true(mkdir(part, 0700) == 0 || errno == EEXIST);
    }
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void check_limit(const char *groups, const char *root, double limit) {
    put("groups", groups);
    assert_true(rpu_topo_time_limit("groups", root) == limit);
}

static int in_a_new_folder(void **state) {
    static char folder[] = "/tmp/rpu-topo-XXXXXX";
    *state = folder;
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int without_it(void **state) {
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", (const char *)*state);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void limits_of_version_2(void **state) {
    char deep[900] = "";
    (void)state;
    put("v2/cpu.max", "max 100000\n");
    put("v2/a/cpu.max", "250000 100000\n");
    put("v2/a/b/cpu.max", "400000 100000\n");
    put("v2/a/c/cpu.max", "150000 100000\n");
    check_limit("0::/a/b\n", "v2", 2.5); /* of the one above */
    check_limit("0::/a/c\n", "v2", 1.5);
    check_limit("0::/a/not/there\n", "v2", 2.5);
    check_limit("0::/\n", "v2", 0.0);
    check_limit("0::/ab\n", "v2", 0.0);
    put("v2/cpu.max", "50000 100000\n");
    check_limit("0::/\n", "v2", 0.5);
    check_limit("0::/a/c\n", "v2", 0.5);
    put("v2/cpu.max", "max 100000\n");
    memset(deep, 'x', sizeof deep - 1); /* a path too long for a file's name */
    memcpy(deep, "0::/a/c/", 8);
    deep[200] = deep[400] = '/';
    check_limit(deep, "v2", 1.5);
}

static void limits_of_version_1(void **state) {
    (void)state;
    put("v1/cpu/cpu.cfs_quota_us", "-1\n");
    put("v1/cpu/cpu.cfs_period_us", "100000\n");
    put("v1/cpu/a/cpu.cfs_quota_us", "300000\n");
    put("v1/cpu/a/cpu.cfs_period_us", "200000\n");
    put("v1/cpuset/a/cpu.cfs_quota_us", "1\n"); /* of another hierarchy */
    put("v1/cpuset/a/cpu.cfs_period_us", "1\n");
    check_limit("4:memory:/m\n3:cpu,cpuacct:/a\n2:cpuset:/a\n", "v1", 1.5);
    check_limit("3:cpuacct,cpu:/a/b\n", "v1", 1.5);
    check_limit("3:cpu:/\n", "v1", 0.0);
    check_limit("3:cpuset:/a\n2:cpuacct:/a\n1:name=cpu:/a\n", "v1", 0.0);
    put("v1/unified/x/cpu.max", "100000 100000\n"); /* version 2 beside it: the lesser of both */
    check_limit("1:cpu:/a\n0::/x\n", "v1", 1.0);
    check_limit("1:cpu:/\n0::/x\n", "v1", 1.0);
    check_limit("1:cpu:/a\n0::/\n", "v1", 1.5);
}

static void a_part_of_a_processor_runs_a_thread(void **state) {
    (void)state;
    assert_int_equal(rpu_topo_limited(0.0, 4), 4);
    assert_int_equal(rpu_topo_limited(0.5, 4), 1);
    assert_int_equal(rpu_topo_limited(2.0, 4), 2);
    assert_int_equal(rpu_topo_limited(2.1, 4), 3);
    assert_int_equal(rpu_topo_limited(4.0, 4), 4);
    assert_int_equal(rpu_topo_limited(7.0, 4), 4);
}

static void no_limit_is_read_from_what_is_none(void **state) {
    (void)state;
    put("odd/cpu.max", "0 100000\n");
    check_limit("0::/\n", "odd", 0.0);
    put("odd/cpu.max", "100000 0\n");
    check_limit("0::/\n", "odd", 0.0);
    put("odd/cpu.max", "");
    check_limit("0::/\nno colon\none: colon\n", "odd", 0.0);
    check_limit("", "odd", 0.0);
    assert_true(rpu_topo_time_limit("not there", "odd") == 0.0);
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
        cmocka_unit_test(limits_of_version_2),
        cmocka_unit_test(limits_of_version_1),
        cmocka_unit_test(a_part_of_a_processor_runs_a_thread),
        cmocka_unit_test(no_limit_is_read_from_what_is_none),
        cmocka_unit_test(binding_ends),
        cmocka_unit_test(nothing_is_bound_without_a_topology),
    };
    return cmocka_run_group_tests(tests, in_a_new_folder, without_it);
}
