/* SPDX-License-Identifier: Apache-2.0 */
/* The only file that knows MPI. Errors of MPI end the job (its default handler), so that no call here has any. */
#include "dist.h"

#include "error.h"

#include <limits.h>
#include <mpi.h>

enum { TAG = 1 };

static int mpi_rank(void) {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
}

static int mpi_size(void) {
    int size = 1;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    return size;
}

static enum rpu_status mpi_allgather(const void *mine, size_t bytes, void *all, struct rpu_error *err) {
    const size_t size = (size_t)mpi_size();
    const char *place = (const char *)all + (size_t)mpi_rank() * bytes;
    if (bytes > (size_t)INT_MAX / size)
        return rpu_fail(err, RPU_ERR_RANGE, "%zu blocks of %zu bytes to exchange; allowed are %d bytes in all", size,
                        bytes, INT_MAX);
    MPI_Allgather(mine == place ? MPI_IN_PLACE : mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, MPI_COMM_WORLD);
    return RPU_OK;
}

static enum rpu_status mpi_send(int to, const void *block, size_t bytes, struct rpu_error *err) {
    if (to < 0 || to >= mpi_size() || bytes > RPU_DIST_MESSAGE)
        return rpu_fail(err, RPU_ERR_ARG, "a message of %zu bytes to rank %d; allowed are %d bytes to ranks 0 to %d",
                        bytes, to, RPU_DIST_MESSAGE, mpi_size() - 1);
    MPI_Send(block, (int)bytes, MPI_BYTE, to, TAG, MPI_COMM_WORLD);
    return RPU_OK;
}

static int mpi_poll(void *block, size_t *bytes) {
    MPI_Status status;
    int there = 0, count = 0;
    *bytes = 0;
    MPI_Iprobe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &there, &status);
    if (!there)
        return -1;
    MPI_Recv(block, RPU_DIST_MESSAGE, MPI_BYTE, status.MPI_SOURCE, TAG, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_BYTE, &count);
    *bytes = (size_t)count;
    return status.MPI_SOURCE;
}

static void mpi_abort(int code) {
    MPI_Abort(MPI_COMM_WORLD, code);
}

enum rpu_status rpu_dist_mpi_open(struct rpu_dist *dist, struct rpu_error *err) {
    int provided = 0;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    if (provided < MPI_THREAD_FUNNELED)
        return rpu_fail(err, RPU_ERR_UNSUPPORTED, "this MPI does not allow threads beside the one that calls it");
    *dist = (struct rpu_dist){.rank = mpi_rank(),
                              .size = mpi_size(),
                              .allgather = mpi_allgather,
                              .send = mpi_send,
                              .poll = mpi_poll,
                              .abort = mpi_abort};
    return RPU_OK;
}

void rpu_dist_mpi_close(void) {
    int started = 0, ended = 0;
    MPI_Initialized(&started);
    if (started)
        MPI_Finalized(&ended);
    if (started && !ended)
        MPI_Finalize();
}
