/* SPDX-License-Identifier: Apache-2.0 */
/** @file engine.h  The engine from inside. */
#ifndef RPU_SRC_ENGINE_H
#define RPU_SRC_ENGINE_H

#include "dispatch.h"
#include "scheduler.h"
#include "topo.h"

#include <rpu/engine.h>

struct rpu_engine {
    struct rpu_table table;
    struct rpu_topo *topo;
    struct rpu_sched *sched;
};

#endif
