/* SPDX-License-Identifier: Apache-2.0 */
/** @file tiles.h  What cmocka's tests of one array share: an engine, tiles, and the start of a program. */
#ifndef RPU_TESTS_TILES_H
#define RPU_TESTS_TILES_H

#include <rpu/tile.h>

#include "likely.h"

static struct rpu_engine *engine;

static inline struct rpu_tile *make(const struct rpu_tile_params *params, uint32_t m, uint32_t n) {
    struct rpu_tile *t;
    struct rpu_error err;
    if (rpu_tile_create(&t, engine, params, m, n, n, seed, 3, 0, &err) != RPU_OK)
        fail_msg("%s", err.message);
    return t;
}

/** A device without spreads or limits, a periphery that does nothing. */
static inline struct rpu_tile_params plain(void) {
    struct rpu_tile_params p;
    rpu_tile_params_baseline(&p);
    p.device.dw_min_dtod = p.device.dw_min_ctoc = p.device.imbalance_dtod = p.device.bound_dtod = 0.0f;
    p.device.bound = 1000.0f;
    p.forward = (struct rpu_periphery){.bm_limit = 5};
    p.backward = p.forward;
    return p;
}

/** Of a program called as PROGRAM [SEED [TEST]]; 0 without an engine. */
static inline int begin(int argc, char **argv, uint64_t standard_seed) {
    seed = stats_seed(argc, argv, standard_seed);
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    if (rpu_engine_create(&engine, NULL, 1, NULL) != RPU_OK)
        return 0;
    print_message("seed %llu, kernels %s\n", (unsigned long long)seed, rpu_engine_isa(engine));
    return 1;
}

#endif
