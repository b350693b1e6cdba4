/* SPDX-License-Identifier: Apache-2.0 */
/** @file bench.h
 *  What `rpubench bench` is made of: the run of the separate program, its rows, and the tables that are made of them.
 */
#ifndef RPU_TOOLS_BENCH_H
#define RPU_TOOLS_BENCH_H

#include <jansson.h>
#include <stdio.h>

/** One benchmark: its median where there are several runs. The name is <group>/<what>/<variant>/<rest>. */
struct bench_row {
    char *group, *what, *variant, *rest;
    json_t *values; /**< counters and times; belongs to the document */
    double ns;      /**< time of an iteration; 0: it failed */
    int failed;     /**< or there was nothing to measure */
};

/** All of a document. */
struct bench_rows {
    json_t *document;
    struct bench_row *rows;
    size_t count;
};

/** Reads what Google Benchmark wrote; 0 with a message when it is no such document, or without memory. */
int bench_rows_read(struct bench_rows *rows, const char *text, size_t length);
void bench_rows_free(struct bench_rows *rows);
/** The row of a group with this variant (null: any) and the same work, or null. */
const struct bench_row *bench_rows_find(const struct bench_rows *rows, const char *group, const char *what,
                                        const char *variant, const char *rest);
/** A counter, or 0. */
double bench_value(const struct bench_row *row, const char *name);

/** The tables. */
void bench_print(FILE *out, const struct bench_rows *rows);

#endif
