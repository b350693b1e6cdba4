/* SPDX-License-Identifier: Apache-2.0 */
/** @file topo.h
 *  The machine as far as the scheduler cares: which processors the process may use, and where its threads go. */
#ifndef RPU_SRC_TOPO_H
#define RPU_SRC_TOPO_H

#include <rpu/engine.h>

struct rpu_topo;

/** Looks at the machine and at the limits of the process (affinity, cgroup). Where the machine cannot be looked at,
 *  it is taken for one with as many cores as the system says are online. */
enum rpu_status rpu_topo_create(struct rpu_topo **topo, struct rpu_error *err);
void rpu_topo_destroy(struct rpu_topo *topo);

/** What was found. */
void rpu_topo_describe(const struct rpu_topo *topo, struct rpu_machine *machine);

/** The least limit on time, in processors, of the cgroups of a process and of those above them; 0 where there is none.
 *  `groups`: a file as /proc/self/cgroup; `root`: the folder of the hierarchies, of version 1, 2 or both. */
double rpu_topo_time_limit(const char *groups, const char *root);

/** n, but no more than a limit on time lets run at once, rounded up; 0: no limit. */
int rpu_topo_limited(double limit, int n);

/** Threads to use by default: one for each core that the process may use, no more than its share of time pays for. */
int rpu_topo_threads(const struct rpu_topo *topo);
/** Threads that can run at a time: processors, SMT siblings included, no more than the share of time pays for. */
int rpu_topo_seats(const struct rpu_topo *topo);

/** Decides where `threads` threads go. */
enum rpu_status rpu_topo_place(struct rpu_topo *topo, enum rpu_bind bind, int threads, struct rpu_error *err);

/** What rpu_topo_place decided: RPU_BIND_NONE, _COMPACT or _SPREAD, and the place of a thread. */
enum rpu_bind rpu_topo_decided(const struct rpu_topo *topo);
int rpu_topo_place_of(const struct rpu_topo *topo, int thread, struct rpu_place *place);

/** Processor `index` in the order of `compact`; 0 when out of range. */
int rpu_topo_processor(const struct rpu_topo *topo, int index, struct rpu_place *place);

/** What a thread was bound to before. */
struct rpu_topo_bound {
    void *before; /* null: it was not bound here */
};

/** Binds the calling thread to its place, if threads are bound at all, and puts it back. A null topology binds
 *  nothing. A system that refuses leaves the thread as it is. */
void rpu_topo_bind(const struct rpu_topo *topo, int thread, struct rpu_topo_bound *bound);
void rpu_topo_unbind(const struct rpu_topo *topo, struct rpu_topo_bound *bound);

#endif
