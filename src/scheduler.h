/* SPDX-License-Identifier: Apache-2.0 */
/** @file scheduler.h
 *  The scheduler: runs work lists on a team of threads. It knows nothing of noise or devices.
 *
 *  A work list has entries, each a number of items that share no output (the blocks of a layer's cycle), and says for
 *  each entry which earlier ones must be finished first. Who does which item is left open, so that results may not
 *  depend on it; a thread takes items of its own contiguous share of an entry first, so that it tends to meet the same
 *  weights again, and then helps others. Entries that come first are preferred.
 *
 *  A team lives as long as the function given to rpu_sched_team. In it a work list costs a few cache line transfers
 * and, while nobody sleeps, no call of the operating system; threads without work spin briefly, then sleep. No more
 * threads are awake at a time than there are processors for them, whatever number was asked for. */
#ifndef RPU_SRC_SCHEDULER_H
#define RPU_SRC_SCHEDULER_H

#include <stddef.h>
#include <stdint.h>

#include <rpu/status.h>

struct rpu_sched;
struct rpu_topo;

/** Work on item `item` by thread `thread` (0..threads-1). Items of an entry are independent of each other. */
typedef void rpu_item_fn(void *context, size_t item, int thread);

enum { RPU_WORK_AFTER = 3 };

/** One entry of a work list. */
struct rpu_work {
    rpu_item_fn *fn;
    void *context;
    size_t items;                   /**< less than 2^31; 0: finished from the beginning, even before those it follows */
    unsigned n_after;               /**< entries that must be finished first: */
    unsigned after[RPU_WORK_AFTER]; /**< their indices, smaller than this one's */
    /** 1: nothing in the list but fillers waits for this entry. A thread begins such work only when it has had nothing
     * else for a microsecond or so, or when all other work is taken, so that it is not busy when what others wait for
     * comes up. These entries are the last of a list. */
    int filler;
    const char *name, *of; /**< for the record of a run, see rpu_sched_event; no name: not recorded */
};

/** How to make a scheduler. */
struct rpu_sched_options {
    int threads;                 /**< 1..1024 */
    int seats;                   /**< most threads awake at a time, >= 1: processors that the process may use */
    const struct rpu_topo *topo; /**< places of the threads; null: they are not bound */
};

/** Makes no thread yet. */
enum rpu_status rpu_sched_create(struct rpu_sched **sched, const struct rpu_sched_options *options,
                                 struct rpu_error *err);
void rpu_sched_destroy(struct rpu_sched *sched);
int rpu_sched_threads(const struct rpu_sched *sched);
/** Of these, those that can work at a time: no more than there are processors, or than OpenMP gave the last team. */
int rpu_sched_at_once(const struct rpu_sched *sched);

/** What OMP_NUM_THREADS says, or 0 where it is not set or says no number. */
int rpu_sched_environment(void);
/** Processor `index` (from 0) of OpenMP's places, by the system's number; -1 behind the last. There are places only
 * where OMP_PROC_BIND or OMP_PLACES is set: the calling thread may then be bound to the first of them by now, while the
 *  process may use all. */
int rpu_sched_processor(int index);

/** Function that a team is made for. */
typedef enum rpu_status rpu_team_fn(void *context);

/** Calls fn(context) on the calling thread, with a team beside it that serves its work lists, and returns what it
 *  returns. Within a team, or with one thread, it is a plain call. Not to be called from an item. */
enum rpu_status rpu_sched_team(struct rpu_sched *sched, rpu_team_fn *fn, void *context);

/** Runs a work list and returns when all of it is done. Outside a team one is made for it. With one thread it is a
 *  loop over the entries in order. Not to be called from an item. */
void rpu_sched_run(struct rpu_sched *sched, const struct rpu_work *list, size_t entries);

/** The same on the calling thread, whatever the others do. */
void rpu_sched_run_alone(struct rpu_sched *sched, const struct rpu_work *list, size_t entries);

/** The same as rpu_sched_run for a single entry. */
void rpu_sched_for(struct rpu_sched *sched, size_t items, rpu_item_fn *fn, void *context);

/** One piece of work of a recorded run. */
struct rpu_sched_event {
    const char *name, *of; /**< what was done, and of which layer; texts that outlive the record */
    size_t item;
    double start, end; /**< seconds since the record began */
};

/** Starts recording: the first `most` pieces of work that end, of all threads, fewer where there is no memory for them.
 *  What comes after them is counted. */
void rpu_sched_record(struct rpu_sched *sched, size_t most);
/** For items that record their parts themselves: the time now (0: nothing is recorded), and a piece of work that began
 *  then and ends now. */
double rpu_sched_begin(const struct rpu_sched *sched);
void rpu_sched_end(struct rpu_sched *sched, int thread, const char *name, const char *of, size_t item, double begin);
/** Recorded events of a thread, in order; and how many were not kept, of all threads. */
size_t rpu_sched_events(const struct rpu_sched *sched, int thread, const struct rpu_sched_event **events);
uint64_t rpu_sched_events_lost(const struct rpu_sched *sched);

#endif
