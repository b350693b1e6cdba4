/* SPDX-License-Identifier: Apache-2.0 */
/** @file small.h  Small things that several files need. */
#ifndef RPU_SRC_SMALL_H
#define RPU_SRC_SMALL_H

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/** Seconds on a clock that only goes forward. */
static inline double rpu_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/** As fread of bytes, but a signal that a handler took does not end it. */
static inline size_t rpu_read_stream(void *to, size_t size, FILE *file) {
    size_t got = 0;
    for (;;) {
        got += fread((unsigned char *)to + got, 1, size - got, file);
        if (got == size || !ferror(file) || errno != EINTR)
            return got;
        clearerr(file);
    }
}

/** Bytes rounded up to whole cache lines. */
static inline size_t rpu_lines(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

/** The next `bytes` of a scratch memory, which begin with a cache line; *at moves on behind them. Null where `base` is:
 *  so the size of a scratch memory is found out. */
static inline void *rpu_take(void *base, size_t *at, size_t bytes) {
    void *const taken = base ? (unsigned char *)base + *at : NULL;
    *at += rpu_lines(bytes);
    return taken;
}

/** Floats as little-endian bytes, whatever the machine's order. */
static inline void rpu_little_endian(const float *values, size_t n, unsigned char *bytes) {
    for (size_t j = 0; j < n; j++) {
        uint32_t b;
        memcpy(&b, values + j, sizeof b);
        for (unsigned k = 0; k < 4; k++)
            bytes[4 * j + k] = (unsigned char)(b >> (8 * k));
    }
}

/** A byte of a text from outside as it may stand in what people read: control characters, which would drive a terminal,
 *  are question marks. */
static inline char rpu_plain(char byte) {
    return (unsigned char)byte < 0x20 || byte == 0x7f ? '?' : byte;
}

/** Whether all of `n` numbers are finite. */
static inline int rpu_all_finite(const float *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return 0;
    return 1;
}

#endif
