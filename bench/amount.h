/* SPDX-License-Identifier: Apache-2.0 */
/** @file amount.h
 *  Floating-point operations that the contracts of the kernels ask for (kernels.h, kernel_math.h): a fused operation
 *  counts 2, a comparison, a rounding (two additions) 1 each, a root or quotient 1, integer operations and conversions
 *  nothing. */
#ifndef RPU_BENCH_AMOUNT_H
#define RPU_BENCH_AMOUNT_H

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

#endif
