/* SPDX-License-Identifier: Apache-2.0 */
/** @file choice.h
 *  What the command line chooses: kernel variants and numbers of threads. */
#ifndef RPU_BENCH_CHOICE_H
#define RPU_BENCH_CHOICE_H

#include "bench.h"

/** Sets the variants from a list "avx2,autovec" or "all" (null: all that this machine can run); 0 with a message when
 *  one is not there. */
int choose_isas(struct bench *b, const char *list);
/** Sets the numbers of threads from a list "1,2,4" (null: 1 and as many as the process may use, and in between for
 *  scaling); 0 with a message when it is none. Needs the variants. */
int choose_teams(struct bench *b, const char *list);
/** Frees engines and what was kept. */
void choice_free(struct bench *b);

#endif
