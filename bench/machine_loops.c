/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine can do at most, in loops that do nothing else: read, read two and write one, change
 * in place, multiply and add.
 * Vectors of the compiler's own, no intrinsics; compiled once for each instruction set, products and sums contracted.
 */
#include "machine.h"

#define PASTE_(a, b)   a##b
#define PASTE(a, b)    PASTE_(a, b)
#define NAME(function) PASTE(function, MACHINE_ISA)

#ifdef __AVX2__
enum { VECTOR = 32 };
#else
enum { VECTOR = 16 };
#endif
typedef float vf __attribute__((vector_size(VECTOR)));
enum { FLOATS = VECTOR / sizeof(float) };

/* Keeps a vector's value from being left out; and memory's from being taken for known. */
#if defined(__x86_64__)
#define USE(v) __asm__ volatile("" ::"x"(v))
#elif defined(__aarch64__)
#define USE(v) __asm__ volatile("" ::"w"(v))
#else
#define USE(v) __asm__ volatile("" ::"m"(v))
#endif
#define FORGET_MEMORY() __asm__ volatile("" ::: "memory")

static inline vf splat(float value) {
    vf v;
    for (size_t l = 0; l < FLOATS; l++)
        v[l] = value;
    return v;
}

/* Loads and nothing else. */
void NAME(machine_read_)(float *const buffers[3], size_t floats, uint64_t passes) {
    const vf *v = (const vf *)(const void *)buffers[0];
    for (uint64_t p = 0; p < passes; p++) {
        for (size_t i = 0; i < floats / FLOATS; i += 8) {
            USE(v[i]);
            USE(v[i + 1]);
            USE(v[i + 2]);
            USE(v[i + 3]);
            USE(v[i + 4]);
            USE(v[i + 5]);
            USE(v[i + 6]);
            USE(v[i + 7]);
        }
        FORGET_MEMORY();
    }
}

void NAME(machine_triad_)(float *const buffers[3], size_t floats, uint64_t passes) {
    vf *restrict a = (vf *)(void *)buffers[0];
    const vf *restrict b = (const vf *)(const void *)buffers[1];
    const vf *restrict c = (const vf *)(const void *)buffers[2];
    const vf scale = splat((float)MACHINE_TRIAD_S);
    for (uint64_t p = 0; p < passes; p++) {
        for (size_t i = 0; i < floats / FLOATS; i += 4) {
            a[i] = b[i] + scale * c[i];
            a[i + 1] = b[i + 1] + scale * c[i + 1];
            a[i + 2] = b[i + 2] + scale * c[i + 2];
            a[i + 3] = b[i + 3] + scale * c[i + 3];
        }
        FORGET_MEMORY();
    }
}

void NAME(machine_update_)(float *const buffers[3], size_t floats, uint64_t passes) {
    vf *a = (vf *)(void *)buffers[0];
    const vf term = splat((float)MACHINE_UPDATE_T);
    for (uint64_t p = 0; p < passes; p++) {
        for (size_t i = 0; i < floats / FLOATS; i += 4) {
            a[i] += term;
            a[i + 1] += term;
            a[i + 2] += term;
            a[i + 3] += term;
        }
        FORGET_MEMORY();
    }
}

/* Ten chains, enough for two units with a latency of five cycles; and no more than sixteen registers in all. */
void NAME(machine_fma_)(float *const buffers[3], size_t floats, uint64_t passes) {
    const vf b = splat(buffers[0][0]), c = splat(buffers[0][1]);
    /* of numbers that the compiler does not know: equal chains it would do once */
    const float *from = buffers[0] + 2;
    vf s0 = splat(from[0]), s1 = splat(from[1]), s2 = splat(from[2]), s3 = splat(from[3]), s4 = splat(from[4]);
    vf s5 = splat(from[5]), s6 = splat(from[6]), s7 = splat(from[7]), s8 = splat(from[8]), s9 = splat(from[9]);
    for (uint64_t p = 0; p < passes; p++)
        for (size_t i = 0; i < floats / (10 * FLOATS); i++) {
            s0 = s0 * b + c;
            s1 = s1 * b + c;
            s2 = s2 * b + c;
            s3 = s3 * b + c;
            s4 = s4 * b + c;
            s5 = s5 * b + c;
            s6 = s6 * b + c;
            s7 = s7 * b + c;
            s8 = s8 * b + c;
            s9 = s9 * b + c;
        }
    s0 += s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9;
    USE(s0);
}
