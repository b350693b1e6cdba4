/* SPDX-License-Identifier: Apache-2.0 */
/** @file variant.h  Names of the kernels in this folder, which is compiled once for each of `generic` and `autovec`. */
#ifndef RPU_GENERIC_VARIANT_H
#define RPU_GENERIC_VARIANT_H

#include "kernel_math.h"
#include "kernels.h"

#define K(op) RPU_SYMBOL(op, RPU_VARIANT)

#endif
