/* SPDX-License-Identifier: Apache-2.0 */
#include "dist.h"
#include "app.h"
#include "error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* ---- a single process ---- */

static enum rpu_status single_allgather(const void *mine, size_t bytes, void *all, struct rpu_error *err) {
    (void)err;
    memmove(all, mine, bytes);
    return RPU_OK;
}

static enum rpu_status single_send(int to, const void *block, size_t bytes, struct rpu_error *err) {
    (void)block;
    (void)bytes;
    return rpu_fail(err, RPU_ERR_ARG, "there is no process %d: this one is alone", to);
}

static int single_poll(void *block, size_t *bytes) {
    (void)block;
    *bytes = 0;
    return -1;
}

static void single_abort(int code) {
    (void)code;
}

static const struct rpu_dist single = {.rank = 0,
                                       .size = 1,
                                       .hosts = 1,
                                       .allgather = single_allgather,
                                       .send = single_send,
                                       .poll = single_poll,
                                       .abort = single_abort};

void rpu_dist_alone(struct rpu_dist *dist) {
    *dist = single;
}

/* ---- joining ---- */

int rpu_dist_launched(void) {
    return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMI_SIZE") || getenv("PMIX_RANK");
}

int rpu_dist_speaks(void) {
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (!rank)
        rank = getenv("PMI_RANK");
    if (!rank)
        rank = getenv("PMIX_RANK");
    return !rank || strtol(rank, NULL, 10) == 0;
}

/* Processes of the job as the launcher tells them; 1 where it does not. */
static long launched_size(void) {
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");
    if (!size)
        size = getenv("PMI_SIZE");
    return size ? strtol(size, NULL, 10) : 1;
}

void rpu_dist_forget(void) {
    unsetenv("OMPI_COMM_WORLD_RANK");
    unsetenv("PMI_RANK");
    unsetenv("OMPI_COMM_WORLD_SIZE");
    unsetenv("PMI_SIZE");
    unsetenv("PMIX_RANK");
}

/* ---- agreeing ---- */

enum { NAME_SIZE = 256, BUILD_SIZE = 160 };

/* What one process gives. */
union block {
    struct rpu_error error;
    uint64_t digest[2];
    char name[NAME_SIZE], build[BUILD_SIZE];
};

/* Room for those of all processes, had once when the job is joined: whoever found no memory later would be waited for.
 */
static union block own_room, *room = &own_room;

/* Gives a block of `bytes` bytes and returns those of all processes, one after the other; null with an error. */
static const void *gather(const struct rpu_dist *dist, const void *mine, size_t bytes, struct rpu_error *err) {
    return dist->allgather(mine, bytes, room, err) == RPU_OK ? room : NULL;
}

enum rpu_status rpu_dist_agree(const struct rpu_dist *dist, enum rpu_status status, struct rpu_error *err) {
    struct rpu_error mine = {0};
    const struct rpu_error *all;
    int r = 0;
    if (status != RPU_OK)
        mine = *err;
    mine.status = status;
    all = gather(dist, &mine, sizeof mine, err);
    if (!all)
        return err->status;
    while (r < dist->size - 1 && all[r].status == RPU_OK)
        r++;
    status = all[r].status;
    if (status != RPU_OK) {
        *err = all[r];
        if (r > 0)
            rpu_fail(err, status, "rank %d: %.900s", r, all[r].message);
    }
    return status;
}

enum rpu_status rpu_dist_same(const struct rpu_dist *dist, const void *bytes, size_t size, const char *what,
                              struct rpu_error *err) {
    const uint64_t mine[2] = {size, XXH3_64bits(bytes, size)};
    const uint64_t *all = gather(dist, mine, sizeof mine, err);
    enum rpu_status status = all ? RPU_OK : err->status;
    for (int r = 1; r < dist->size && status == RPU_OK; r++)
        if (memcmp(all, all + 2 * r, sizeof mine) != 0)
            status = rpu_fail(err, RPU_ERR_ARG,
                              "%s: those of rank %d are not those of rank 0; allowed are the same on all "
                              "ranks",
                              what, r);
    return status;
}

/* ---- joining, with MPI and without ---- */

#ifdef RPU_WITH_MPI

/* Results have the same bits on any machine, but only of one source. */
static enum rpu_status same_build(const struct rpu_dist *dist, struct rpu_error *err) {
    char mine[BUILD_SIZE] = "";
    const char *all;
    enum rpu_status status;
    snprintf(mine, sizeof mine, "%s (commit %.100s)", rpu_version(), rpu_build_commit());
    all = gather(dist, mine, sizeof mine, err);
    status = all ? RPU_OK : err->status;
    for (int r = 1; r < dist->size && status == RPU_OK; r++)
        if (memcmp(all, all + (size_t)r * BUILD_SIZE, BUILD_SIZE) != 0)
            status = rpu_fail(err, RPU_ERR_UNSUPPORTED, "rank 0 runs version %s, rank %d runs %s; allowed is one build",
                              all, r, all + (size_t)r * BUILD_SIZE);
    return status;
}

static enum rpu_status count_hosts(struct rpu_dist *dist, struct rpu_error *err) {
    char mine[NAME_SIZE] = "";
    const char *all;
    gethostname(mine, sizeof mine - 1);
    all = gather(dist, mine, sizeof mine, err);
    dist->hosts = 0;
    for (size_t r = 0; all && r < (size_t)dist->size; r++) {
        size_t first = 0;
        while (strcmp(all + first * NAME_SIZE, all + r * NAME_SIZE) != 0)
            first++;
        dist->hosts += first == r;
    }
    return all ? RPU_OK : err->status;
}

static enum rpu_status make_room(const struct rpu_dist *dist, struct rpu_error *err) {
    room = calloc((size_t)dist->size, sizeof *room);
    if (room)
        return RPU_OK;
    room = &own_room;
    return rpu_fail(err, RPU_ERR_NOMEM, dist->rank > 0 ? "rank %d: out of memory" : "out of memory", dist->rank);
}

enum rpu_status rpu_dist_open(struct rpu_dist *dist, struct rpu_error *err) {
    enum rpu_status status;
    *dist = single;
    if (!rpu_dist_launched())
        return RPU_OK;
    status = rpu_dist_mpi_open(dist, err);
    if (status == RPU_OK && dist->size == 1 && launched_size() > 1)
        return rpu_fail(err, RPU_ERR_UNSUPPORTED,
                        "started as one of %ld processes, but by the launcher of another MPI than the program was "
                        "built with; allowed is that of Open MPI",
                        launched_size());
    if (status == RPU_OK)
        status = make_room(dist, err);
    if (status == RPU_OK)
        status = same_build(dist, err);
    return status == RPU_OK ? count_hosts(dist, err) : status;
}

void rpu_dist_close(void) {
    rpu_dist_mpi_close();
    if (room != &own_room)
        free(room);
    room = &own_room;
}

#else

enum rpu_status rpu_dist_open(struct rpu_dist *dist, struct rpu_error *err) {
    *dist = single;
    if (launched_size() > 1)
        return rpu_fail(err, RPU_ERR_UNSUPPORTED,
                        "started as one of %ld processes, but this program was built without MPI; allowed is one",
                        launched_size());
    return RPU_OK;
}

void rpu_dist_close(void) {
}

#endif
