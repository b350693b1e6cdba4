/* SPDX-License-Identifier: Apache-2.0 */
/** @file map.h  The map command and its table. */
#ifndef RPU_TOOLS_MAP_H
#define RPU_TOOLS_MAP_H

#include "../src/app.h"

#include <stdio.h>

/** The table for human readers; copies that balance the pipeline are those of `use`. */
void print_mapping(FILE *out, const struct rpu_mapping_report *report, enum rpu_use use);

#endif
