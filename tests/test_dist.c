/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a job, as every rank of one sees them: run alone, or under mpirun (test_mpi.py). The exit code is 0
 * when all went well on this rank. */
#include "dist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1000 };

static int failures;
static int rank;

static void expect(int holds, const char *what) {
    if (holds)
        return;
    printf("rank %d: %s\n", rank, what);
    failures++;
}

static void check_allgather(const struct rpu_dist *dist) {
    unsigned char mine[BLOCK], *all = calloc((size_t)dist->size, BLOCK);
    struct rpu_error err;
    int right = 1;
    if (!all)
        abort();
    for (int k = 0; k < 2; k++) { /* from elsewhere, and from its place among all */
        memset(mine, 17 * k + rank + 1, BLOCK);
        if (k)
            memcpy(all + (size_t)rank * BLOCK, mine, BLOCK);
        expect(dist->allgather(k ? all + (size_t)rank * BLOCK : mine, BLOCK, all, &err) == RPU_OK, "allgather");
        for (int r = 0; r < dist->size; r++)
            for (size_t i = 0; i < BLOCK; i++)
                right = right && all[(size_t)r * BLOCK + i] == 17 * k + r + 1;
    }
    expect(right, "allgather: every rank's bytes, in order");
    free(all);
}

/* Rank 0 gets a message of every length from each, and sends it back. */
static void check_messages(const struct rpu_dist *dist) {
    static const size_t lengths[] = {0, 1, 4096, RPU_DIST_MESSAGE};
    static unsigned char block[RPU_DIST_MESSAGE];
    const size_t n = sizeof lengths / sizeof lengths[0];
    struct rpu_error err;
    size_t bytes = 1;
    char came = 1, *all = calloc((size_t)dist->size, sizeof came);
    if (!all)
        abort();
    for (size_t m = 0; rank > 0 && m < n; m++) {
        memset(block, rank, sizeof block);
        expect(dist->send(0, block, lengths[m], &err) == RPU_OK, "send");
        memset(block, 0, sizeof block);
        while (dist->poll(block, &bytes) != 0)
            continue;
        expect(bytes == lengths[m] && (bytes == 0 || (block[0] == rank && block[bytes - 1] == rank)),
               "what came back is what was sent");
    }
    for (size_t left = rank == 0 ? n * (size_t)(dist->size - 1) : 0; left > 0;) {
        const int from = dist->poll(block, &bytes);
        if (from < 0)
            continue;
        expect(from > 0 && from < dist->size, "the sender is another rank");
        expect(dist->send(from, block, bytes, &err) == RPU_OK, "send back");
        left--;
    }
    expect(dist->allgather(&came, sizeof came, all, &err) == RPU_OK, "all have come");
    expect(dist->poll(block, &bytes) == -1 && bytes == 0, "no message is left");
    expect(dist->send(dist->size, block, 1, &err) == RPU_ERR_ARG && err.message[0], "a rank that is not there");
    expect(dist->send(0, block, RPU_DIST_MESSAGE + 1, &err) == RPU_ERR_ARG, "a message that is too long");
    free(all);
}

int main(int argc, char **argv) {
    const int expected = argc > 1 ? atoi(argv[1]) : 1;
    struct rpu_dist dist;
    struct rpu_error err;
    if (rpu_dist_open(&dist, &err) != RPU_OK) {
        printf("%s\n", err.message);
        return 2;
    }
    rank = dist.rank;
    expect(dist.size == expected, "as many ranks as were started");
    expect(rank >= 0 && rank < dist.size, "a rank below their number");
    expect(dist.hosts == 1, "one machine");
    expect(rpu_dist_launched() == (getenv("OMPI_COMM_WORLD_SIZE") != NULL), "the launcher is known");
    check_allgather(&dist);
    check_messages(&dist);
    rpu_dist_close();
    return failures ? 1 : 0;
}
