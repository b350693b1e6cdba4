/* SPDX-License-Identifier: Apache-2.0 */
/** @file inspect.h  What the arrays of a checkpoint hold, in figures. */
#ifndef RPU_SRC_INSPECT_H
#define RPU_SRC_INSPECT_H

#include <rpu/checkpoint.h>

#include <stdint.h>

enum { RPU_INSPECT_BINS = 20, RPU_INSPECT_QUANTITIES = 5 };

/** One quantity of all crosspoints of an array. */
struct rpu_quantity_figures {
    const char *name;
    double least, most, mean, deviation; /**< the deviation is the population's */
    uint64_t bins[RPU_INSPECT_BINS]; /**< histogram: equal parts of [least, most]; all in the first if those agree */
};

struct rpu_array_figures {
    const char *name;
    uint32_t tiles;
    uint64_t crosspoints;
    size_t n_quantities; /**< the weights first; of a perfect array alone */
    struct rpu_quantity_figures quantities[RPU_INSPECT_QUANTITIES];
    uint64_t at_upper, at_lower; /**< weights at a bound */
};

/** Array `index` of the checkpoint, in network order. RPU_ERR_ARG when there is none, RPU_ERR_FORMAT when the file has
 *  not what an array needs. */
enum rpu_status rpu_inspect(struct rpu_array_figures *figures, const struct rpu_checkpoint *checkpoint, size_t index,
                            struct rpu_error *err);

/** Arrays of a checkpoint, and their names; null when index is out of range. */
size_t rpu_inspect_count(const struct rpu_checkpoint *checkpoint);
const char *rpu_inspect_name(const struct rpu_checkpoint *checkpoint, size_t index);

/** Figures as a JSON document (results/README.md), malloc'd. */
enum rpu_status rpu_inspect_json(char **text, const struct rpu_checkpoint *checkpoint,
                                 const struct rpu_array_figures *figures, size_t count, const char *path,
                                 struct rpu_error *err);

#endif
