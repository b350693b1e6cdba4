/* SPDX-License-Identifier: Apache-2.0 */
/** @file machine.h
 *  The machine's limits, measured at first use in the same process: the roof of everything else.
 *
 *  A roof is the least of the arithmetic peak and the intensity (operations for a byte of traffic) times the bandwidth
 * at the size of the working set: that of the level of the memory hierarchy that holds it, where as much of it as fits
 * may come from the levels before. Peak and bandwidth are those of the vectors that the kernels use (AVX2, NEON), by as
 * many threads; the best of several passes. */
#ifndef RPU_BENCH_MACHINE_H
#define RPU_BENCH_MACHINE_H

#include "bench.h"

/* ---- machine_loops.c ---- */

/** `passes` passes over `floats` numbers (a multiple of 64; of machine_fma, of MACHINE_FMA_STEP) of each buffer that is
 *  used, 32-byte aligned. machine_fma reads twelve and multiplies and adds as many times as it has numbers. */
typedef void machine_loop(float *const buffers[3], size_t floats, uint64_t passes);

enum { MACHINE_FMA_STEP = 80 };
/** Of machine_triad, a = b + s c, and of machine_update, a = a + t. */
enum { MACHINE_TRIAD_S = 3, MACHINE_UPDATE_T = 1 };

machine_loop machine_read_plain, machine_triad_plain, machine_update_plain, machine_fma_plain;
#ifdef __x86_64__
machine_loop machine_read_avx2, machine_triad_avx2, machine_update_avx2, machine_fma_avx2; /**< need AVX2 and FMA */
#endif

/* ---- machine.c ---- */

enum machine_what { MACHINE_READ, MACHINE_TRIAD, MACHINE_UPDATE, MACHINE_FMA, MACHINE_WHATS };

enum { MACHINE_LEVELS = 5 };

/** A level of the memory hierarchy. */
struct machine_level {
    char name[16]; /**< L1, L2, ..., memory */
    size_t bytes;  /**< of one cache; 0 of memory */
    int shared;    /**< processors that share it */
};

/** Data caches of the first processor as the system names them, and memory; returns their number. */
size_t machine_levels(struct machine_level levels[MACHINE_LEVELS]);

/** Bytes or operations a second that `team` threads reach: measured at the first call, raised by the rows of the
 *  machine where a pass of theirs is faster. */
double machine_limit(struct bench *b, enum machine_what what, size_t level, int team);

/** What an iteration amounts to. */
struct amount {
    double crosspoints; /**< 0: none */
    double flops;       /**< 0: none */
    double bytes;       /**< traffic that cannot be avoided */
    double set;         /**< bytes that are touched */
    int writes;         /**< 1: much of it is written; the bandwidth is the largest of machine/read, triad and update */
    int cold;           /**< 1: everything comes from memory */
};

/** Rates, intensity, roof and share of it as counters, of an iteration that is `count` such works one after the other;
 *  the name of the level of the first into `level`. After the loop. */
void machine_report(struct bench *b, struct gb_state *state, const struct amount *a, size_t count, int team,
                    char level[16]);

/** Takes memory out of all caches. */
void machine_flush(const void *memory, size_t bytes);
/** Whether that is possible here. */
int machine_flushes(void);

#endif
