/* SPDX-License-Identifier: Apache-2.0 */
/* The only file with hwloc.
 *
 * Places are given core by core: the first processor of every core before the second of any (SMT siblings). `compact`
 * goes through the cores in the machine's order, so that few threads share a package and its caches; `spread` takes
 * cores from the NUMA nodes in turn, so that few threads get all the memory bandwidth that there is.
 *
 * By default threads are bound only where it pays and harms nobody: on a machine with several NUMA nodes, all of whose
 * processors the process may use, without a limit on its time. Elsewhere the system moves threads better than a fixed
 * place would: on a machine shared with other work a bound thread waits behind whatever runs on its core. */
#include "topo.h"

#include "error.h"
#include "scheduler.h"

#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct rpu_topo {
    hwloc_topology_t hwloc; /* null: could not be looked at */
    struct rpu_machine machine;
    /* processors in the order of `compact` */
    struct rpu_place *order;
    int n_order;
    enum rpu_bind decided;
    int *places; /* index into `order` of each thread */
    int threads;
};

/* ---- the limit on time ---- */

enum { FOLDER = 512 };

/* The numbers of a file of a cgroup, as many as there are; 0 for "max" and what is not there. */
static void read_numbers(const char *folder, const char *name, double *values, int n) {
    char path[FOLDER + 32];
    FILE *file;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "r");
    for (int i = 0; i < n; i++)
        if (!file || fscanf(file, "%lf", &values[i]) != 1)
            values[i] = 0.0;
    if (file)
        fclose(file);
}

/* Quota / period of a cgroup of either version, in processors; 0: no limit here. */
static double quota_at(const char *folder) {
    double v[2];
    read_numbers(folder, "cpu.max", v, 2);
    if (v[0] <= 0.0) {
        read_numbers(folder, "cpu.cfs_quota_us", &v[0], 1);
        read_numbers(folder, "cpu.cfs_period_us", &v[1], 1);
    }
    return v[0] > 0.0 && v[1] > 0.0 ? v[0] / v[1] : 0.0;
}

static double lesser(double a, double b) {
    return b > 0.0 && (a == 0.0 || b < a) ? b : a;
}

/* The least limit of a group below root/hierarchy and of those above it. In a container the group's own folder need not
 * be there; its hierarchy is. */
static double limit_below(const char *root, const char *hierarchy, const char *group) {
    char folder[FOLDER];
    const int base = snprintf(folder, sizeof folder, "%s%s", root, hierarchy);
    double least = 0.0;
    int cut;
    if (base < 0 || base >= (int)sizeof folder)
        return 0.0;
    cut = snprintf(folder, sizeof folder, "%s%s%s", root, hierarchy, group) >= (int)sizeof folder;
    for (;;) {
        char *slash = strrchr(folder + base, '/');
        least = cut ? least : lesser(least, quota_at(folder)); /* what was cut off is not the group's folder */
        cut = 0;
        if (!slash)
            return least;
        *slash = '\0';
    }
}

/* Whether a list of names with commas between them has one. */
static int has_name(const char *list, const char *name) {
    const size_t length = strlen(name);
    for (; list; list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL)
        if (strncmp(list, name, length) == 0 && (list[length] == ',' || list[length] == '\0'))
            return 1;
    return 0;
}

/* The limit that a line NUMBER:CONTROLLERS:GROUP sets: version 2 names no controllers, and stands at the root or,
 * beside version 1, in `unified`. */
static double limit_of_line(char *line, const char *root) {
    char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return 0.0;
    *group++ = '\0';
    controllers++;
    group[strcspn(group, "\n")] = '\0';
    if (!*controllers)
        return lesser(limit_below(root, "", group), limit_below(root, "/unified", group));
    return has_name(controllers, "cpu") ? limit_below(root, "/cpu", group) : 0.0;
}

double rpu_topo_time_limit(const char *groups, const char *root) {
    char line[4 * FOLDER];
    double least = 0.0;
    FILE *file = fopen(groups, "r");
    while (file && fgets(line, sizeof line, file))
        least = lesser(least, limit_of_line(line, root));
    if (file)
        fclose(file);
    return least;
}

/* ---- looking at the machine ---- */

static void filter(hwloc_topology_t t) {
    hwloc_topology_set_all_types_filter(t, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(t, HWLOC_OBJ_PACKAGE, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_type_filter(t, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    /* without its group a NUMA node that is part of a package would seem to be all of it */
    hwloc_topology_set_type_filter(t, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
}

static int count(hwloc_topology_t t, hwloc_obj_type_t type) {
    const int n = hwloc_get_nbobjs_by_type(t, type);
    return n > 0 ? n : 1;
}

static int by_core(const void *a, const void *b) {
    const struct rpu_place *p = a, *q = b;
    if (p->sibling != q->sibling)
        return p->sibling < q->sibling ? -1 : 1;
    return p->core != q->core ? (p->core < q->core ? -1 : 1)
                              : (p->processor > q->processor) - (p->processor < q->processor);
}

/* Package, NUMA node, core and processor of every processor that may be used. */
static void list_processors(struct rpu_topo *topo) {
    hwloc_topology_t t = topo->hwloc;
    const int n = count(t, HWLOC_OBJ_PU);
    for (int i = 0; i < n; i++) {
        const hwloc_obj_t pu = hwloc_get_obj_by_type(t, HWLOC_OBJ_PU, (unsigned)i);
        const hwloc_obj_t core = pu ? hwloc_get_ancestor_obj_by_type(t, HWLOC_OBJ_CORE, pu) : NULL;
        const hwloc_obj_t package = pu ? hwloc_get_ancestor_obj_by_type(t, HWLOC_OBJ_PACKAGE, pu) : NULL;
        struct rpu_place *p = &topo->order[topo->n_order];
        hwloc_obj_t node = NULL;
        if (!pu)
            continue;
        *p = (struct rpu_place){.package = package ? (int)package->logical_index : 0,
                                .core = core ? (int)core->logical_index : i,
                                .processor = (int)pu->os_index,
                                .sibling = core ? (int)pu->sibling_rank : 0};
        while ((node = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, node)) != NULL)
            if (hwloc_bitmap_isset(node->cpuset, pu->os_index))
                break;
        p->node = node ? (int)node->logical_index : 0;
        topo->n_order++;
    }
    qsort(topo->order, (size_t)topo->n_order, sizeof *topo->order, by_core);
}

/* What the process's cgroup forbids was left out in loading; the caller's affinity is left to do. */
static void respect_affinity(hwloc_topology_t t) {
    hwloc_bitmap_t set = hwloc_topology_is_thissystem(t) ? hwloc_bitmap_alloc() : NULL;
    int processor;
    if (set && hwloc_get_cpubind(t, set, HWLOC_CPUBIND_THREAD) == 0) {
        for (int k = 0; (processor = rpu_sched_processor(k)) >= 0; k++)
            hwloc_bitmap_set(set, (unsigned)processor);
        /* refuses what would leave nothing; nodes without a processor for us count no more */
        hwloc_topology_restrict(t, set, HWLOC_RESTRICT_FLAG_REMOVE_CPULESS);
    }
    hwloc_bitmap_free(set);
}

static enum rpu_status look(struct rpu_topo *topo, struct rpu_error *err) {
    hwloc_topology_t t = topo->hwloc;
    struct rpu_machine *m = &topo->machine;
    const int all = t ? hwloc_bitmap_weight(hwloc_topology_get_complete_cpuset(t)) : 0;
    if (t)
        respect_affinity(t);
    const int n = t ? count(t, HWLOC_OBJ_PU) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    topo->order = calloc((size_t)(n > 0 ? n : 1), sizeof *topo->order);
    if (!topo->order)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    *m = (struct rpu_machine){.packages = 1, .nodes = 1, .cores = n > 0 ? n : 1, .processors = n > 0 ? n : 1};
    m->all_processors = m->processors;
    if (t) {
        m->packages = count(t, HWLOC_OBJ_PACKAGE);
        m->nodes = count(t, HWLOC_OBJ_NUMANODE);
        m->cores = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE);
        m->cores = m->cores > 0 ? m->cores : n;
        m->all_processors = all > n ? all : n;
        list_processors(topo);
    }
    m->time_limit = rpu_topo_time_limit("/proc/self/cgroup", "/sys/fs/cgroup");
    return RPU_OK;
}

enum rpu_status rpu_topo_create(struct rpu_topo **topo, struct rpu_error *err) {
    struct rpu_topo *p = calloc(1, sizeof *p);
    enum rpu_status status;
    if (!p)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    if (hwloc_topology_init(&p->hwloc) == 0) {
        filter(p->hwloc);
        /* the x86 component asks each processor by running there, outside of what the process may use for a moment */
        hwloc_topology_set_components(p->hwloc, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
        if (hwloc_topology_load(p->hwloc) != 0) {
            hwloc_topology_destroy(p->hwloc);
            p->hwloc = NULL;
        }
    } else {
        p->hwloc = NULL;
    }
    status = look(p, err);
    if (status != RPU_OK) {
        rpu_topo_destroy(p);
        return status;
    }
    *topo = p;
    return RPU_OK;
}

void rpu_topo_destroy(struct rpu_topo *topo) {
    if (!topo)
        return;
    if (topo->hwloc)
        hwloc_topology_destroy(topo->hwloc);
    free(topo->order);
    free(topo->places);
    free(topo);
}

void rpu_topo_describe(const struct rpu_topo *topo, struct rpu_machine *machine) {
    *machine = topo->machine;
}

int rpu_topo_limited(double limit, int n) {
    if (limit == 0.0 || limit >= (double)n)
        return n;
    return (int)limit + (limit > (double)(int)limit);
}

int rpu_topo_threads(const struct rpu_topo *topo) {
    return rpu_topo_limited(topo->machine.time_limit, topo->machine.cores);
}

int rpu_topo_seats(const struct rpu_topo *topo) {
    return rpu_topo_limited(topo->machine.time_limit, topo->machine.processors);
}

/* ---- places ---- */

static enum rpu_bind decide(const struct rpu_topo *topo, enum rpu_bind bind, int threads) {
    const struct rpu_machine *m = &topo->machine;
    if (!topo->hwloc || threads > m->processors) /* more threads than processors cannot each have one */
        return RPU_BIND_NONE;
    if (bind != RPU_BIND_AUTO)
        return bind;
    return threads > 1 && m->nodes > 1 && m->processors == m->all_processors && m->time_limit == 0.0 ? RPU_BIND_SPREAD
                                                                                                     : RPU_BIND_NONE;
}

/* `spread`: of the places left, the first that stands first in its core, in the node that has the fewest threads. */
static int next_spread(const struct rpu_topo *topo, const unsigned char *taken, const int *of_node) {
    int best = -1;
    for (int i = 0; i < topo->n_order; i++) {
        const struct rpu_place *p = &topo->order[i], *b = best < 0 ? NULL : &topo->order[best];
        if (taken[i])
            continue;
        if (!b || p->sibling < b->sibling || (p->sibling == b->sibling && of_node[p->node] < of_node[b->node]))
            best = i;
    }
    return best;
}

static int fill_spread(struct rpu_topo *topo) {
    unsigned char *taken = calloc((size_t)topo->n_order, 1);
    int *of_node = calloc((size_t)topo->machine.nodes, sizeof *of_node);
    const int good = taken && of_node;
    for (int t = 0; good && t < topo->threads; t++) {
        const int i = next_spread(topo, taken, of_node);
        topo->places[t] = i;
        taken[i] = 1;
        of_node[topo->order[i].node]++;
    }
    free(taken);
    free(of_node);
    return good;
}

enum rpu_status rpu_topo_place(struct rpu_topo *topo, enum rpu_bind bind, int threads, struct rpu_error *err) {
    int good = 1;
    topo->threads = 0;
    free(topo->places);
    topo->places = NULL;
    topo->decided = decide(topo, bind, threads);
    if (topo->decided == RPU_BIND_NONE)
        return RPU_OK;
    topo->places = calloc((size_t)threads, sizeof *topo->places);
    if (!topo->places)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    topo->threads = threads;
    for (int t = 0; t < threads; t++)
        topo->places[t] = t;
    if (topo->decided == RPU_BIND_SPREAD)
        good = fill_spread(topo);
    return good ? RPU_OK : rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
}

enum rpu_bind rpu_topo_decided(const struct rpu_topo *topo) {
    return topo->decided;
}

int rpu_topo_place_of(const struct rpu_topo *topo, int thread, struct rpu_place *place) {
    if (thread < 0 || thread >= topo->threads)
        return 0;
    *place = topo->order[topo->places[thread]];
    return 1;
}

int rpu_topo_processor(const struct rpu_topo *topo, int index, struct rpu_place *place) {
    if (index < 0 || index >= topo->n_order)
        return 0;
    *place = topo->order[index];
    return 1;
}

void rpu_topo_bind(const struct rpu_topo *topo, int thread, struct rpu_topo_bound *bound) {
    struct rpu_place place;
    hwloc_bitmap_t before, here;
    bound->before = NULL;
    if (!topo || !rpu_topo_place_of(topo, thread, &place))
        return;
    before = hwloc_bitmap_alloc();
    here = hwloc_bitmap_alloc();
    if (before && here && hwloc_get_cpubind(topo->hwloc, before, HWLOC_CPUBIND_THREAD) == 0 &&
        hwloc_bitmap_only(here, (unsigned)place.processor) == 0 &&
        hwloc_set_cpubind(topo->hwloc, here, HWLOC_CPUBIND_THREAD) == 0) {
        bound->before = before;
        before = NULL;
    }
    hwloc_bitmap_free(before);
    hwloc_bitmap_free(here);
}

void rpu_topo_unbind(const struct rpu_topo *topo, struct rpu_topo_bound *bound) {
    if (!bound->before)
        return;
    hwloc_set_cpubind(topo->hwloc, bound->before, HWLOC_CPUBIND_THREAD);
    hwloc_bitmap_free(bound->before);
    bound->before = NULL;
}
