/* SPDX-License-Identifier: Apache-2.0 */
/** @file amount.h
 *  What work amounts to. Floating-point operations that the contracts of the kernels ask for (kernels.h,
 * kernel_math.h): a fused operation counts 2, a comparison, a rounding (two additions) 1 each, a root or quotient 1,
 * integer operations and conversions nothing. */
#ifndef RPU_BENCH_AMOUNT_H
#define RPU_BENCH_AMOUNT_H

#include "machine.h"

#define FLOPS_GAUSSIAN    16.5 /**< a pair: 13 of the logarithm, 4 of the radius, 14 of the angle, 2 */
#define FLOPS_THRESHOLD   3.0  /**< two products, one comparison */
#define FLOPS_CONVERTER   6.0  /**< clip 2, product, rounding 2, product */
#define FLOPS_MANAGED     2.0  /**< of an input with noise management: a maximum, a quotient */
#define FLOPS_OUTPUT      9.0  /**< noise 2, saturation 1, and a converter's */
#define FLOPS_COINCIDENCE (FLOPS_GAUSSIAN + 10.0) /**< step 1, noise 2 + 2, bounds 3, clip 2 */
#define FLOPS_EXPM1       18.0
#define FLOPS_EXP         (2.0 + FLOPS_EXPM1 + 2.0)
#define FLOPS_TANH        (2.0 + FLOPS_EXPM1 + 5.0)
#define FLOPS_SIGMOID     (FLOPS_EXP + 2.0)
#define FLOPS_SOFTMAX     (FLOPS_EXP + 4.0) /**< maximum, difference, sum, quotient */
#define FLOPS_GAINS       8.0               /**< two quotients, root, product, four comparisons */

/** What a cycle of an array has to do. */
struct cycle_load {
    double m, n, columns; /**< outputs, inputs, vectors */
    double errors;        /**< d that are not 0: of a backward read and a perfect array's update */
    double coincidences;  /**< of any other update */
};

/** Crosspoints, operations, traffic and memory of a cycle, hot. Weights and device parameters are passed over once,
 *  however many columns there are. Rereads by bound management are not counted. */
struct amount cycle_amount(enum rpu_cycle op, const struct rpu_tile_params *params, const struct cycle_load *load);

#endif
