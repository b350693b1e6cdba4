/* SPDX-License-Identifier: Apache-2.0 */
/** @file dist.h
 *  The processes of one job, of which there may be only this one. What the parts of the program know of MPI is this
 *  struct: functions of dist_mpi.c where the program was built with MPI and started by its launcher, else those of a
 *  single process. librpu never links MPI; a part of it that works across processes is handed a `struct rpu_dist`.
 *
 *  All calls come from the thread that opened the job. Blocks are bytes: the processes are of one build on machines of
 *  one kind, which dist_open compares. An error of MPI itself ends the whole job with MPI's message. */
#ifndef RPU_SRC_DIST_H
#define RPU_SRC_DIST_H

#include <rpu/status.h>

#include <stddef.h>

/** One job as one of its processes sees it. */
struct rpu_dist {
    int rank;  /**< of this process, 0 <= rank < size */
    int size;  /**< processes */
    int hosts; /**< machines that they run on, by their names */

    /** Every process gives `bytes` bytes; all get those of rank 0, 1, ... one after the other, size * bytes in all.
     *  Collective. `mine` may lie at its place within `all`. RPU_ERR_RANGE when that is more than 2^31 - 1 bytes. */
    enum rpu_status (*allgather)(const void *mine, size_t bytes, void *all, struct rpu_error *err);

    /** Sends a block of at most RPU_DIST_MESSAGE bytes; the block is free again on return. */
    enum rpu_status (*send)(int to, const void *block, size_t bytes, struct rpu_error *err);

    /** A block that has come from anyone; -1 and at once when there is none, else the sender's rank. `block` has room
     *  for RPU_DIST_MESSAGE bytes. */
    int (*poll)(void *block, size_t *bytes);

    /** Ends all processes of the job with this exit code. Does not return where there are others. */
    void (*abort)(int code);
};

enum { RPU_DIST_MESSAGE = 8192 };

/** Whether a launcher of MPI (mpirun, srun) started this process. */
int rpu_dist_launched(void);

/** The single process. */
void rpu_dist_alone(struct rpu_dist *dist);

/** Whether this is the process that tells of wrong usage before the job is joined: rank 0, as the launcher numbers
 * them, or a process that none started. */
int rpu_dist_speaks(void);

/** Joins the job: MPI where it launched this process, else the single process. RPU_ERR_UNSUPPORTED when there are
 *  other processes and this program was built without MPI or with another than theirs, or when they run another build;
 *  RPU_ERR_NOMEM on this process alone, which then has to end the job by `abort`: the others wait for it. */
enum rpu_status rpu_dist_open(struct rpu_dist *dist, struct rpu_error *err);

/** All processes say how they fared: all get the error of the first that had one, with its rank where that is not 0,
 *  and its status. Collective; `err` is this process's where `status` is not RPU_OK. */
enum rpu_status rpu_dist_agree(const struct rpu_dist *dist, enum rpu_status status, struct rpu_error *err);

/** RPU_ERR_ARG on all processes where these bytes are not the same on all; `what` says what they are. Collective. */
enum rpu_status rpu_dist_same(const struct rpu_dist *dist, const void *bytes, size_t size, const char *what,
                              struct rpu_error *err);

/** Takes away what tells programs that this process starts that a launcher started it. */
void rpu_dist_forget(void);

/** Leaves it; collective. Call it once, last, also after a failed open. */
void rpu_dist_close(void);

/* ---- dist_mpi.c, in programs built with MPI ---- */

enum rpu_status rpu_dist_mpi_open(struct rpu_dist *dist, struct rpu_error *err);
void rpu_dist_mpi_close(void);

#endif
