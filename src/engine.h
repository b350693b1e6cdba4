/* SPDX-License-Identifier: Apache-2.0 */
/** @file engine.h  The engine from inside. */
#ifndef RPU_SRC_ENGINE_H
#define RPU_SRC_ENGINE_H

#include "dispatch.h"
#include "scheduler.h"
#include "topo.h"

#include <rpu/engine.h>

#include <stdint.h>

#define RPU_ENGINE_TAG 0x52505545u

struct rpu_engine {
    uint32_t tag; /* RPU_ENGINE_TAG while it lives */
    struct rpu_table table;
    struct rpu_topo *topo;
    struct rpu_sched *sched;
    enum rpu_share share;
};

static inline int rpu_is_engine(const struct rpu_engine *e) {
    return e && e->tag == RPU_ENGINE_TAG;
}

#endif
