/* SPDX-License-Identifier: Apache-2.0 */
/** @file dispatch.h  From CPU features to a kernel table. */
#ifndef RPU_SRC_DISPATCH_H
#define RPU_SRC_DISPATCH_H

#include "kernels.h"

#include <rpu/status.h>

/** A filled table and which variant each kernel is; a pure function of (flags, limit). */
struct rpu_table {
    struct rpu_kernels k;
    const char *variant[sizeof(struct rpu_kernels) / sizeof(void (*)(void))]; /**< in the order of struct rpu_kernels */
    const char *isa;                                                          /**< best variant in use */
};

/** Fills a table for the CPU features `flags`. `isa`: null = best; else each kernel takes its best variant that is not
 *  ranked above `isa`. RPU_ERR_UNSUPPORTED lists the valid names. */
enum rpu_status rpu_table_fill(struct rpu_table *table, unsigned flags, const char *isa, struct rpu_error *err);

/** Features of this machine (RPU_CPU_*), the operating system's support included. */
unsigned rpu_cpu_flags(void);

/** Number of kernels, and their names in the order of struct rpu_kernels (null when out of range). */
size_t rpu_kernel_count(void);
const char *rpu_kernel_name(size_t index);

#endif
