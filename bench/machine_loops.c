/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine can do at most, in loops that do nothing else: read, read two and write one, change
 * in place, multiply and add.
 * Vectors of the compiler's own, no intrinsics; compiled once for each instruction set, products and sums contracted.
 */
#include "machine.h"

#define PASTE_(a, b)   a##b
#define PASTE(a, b)    PASTE_(a, b)
#define NAME(function) PASTE(function, MACHINE_ISA)

typedef float v8f __attribute__((vector_size(32)));
typedef uint32_t v8u __attribute__((vector_size(32)));

/* Keeps a vector's value from being left out; and memory's from being taken for known. */
#if defined(__AVX2__)
#define KEEP(v) __asm__ volatile("" : "+x"(v))
#else
#define KEEP(v) __asm__ volatile("" : "+m"(v))
#endif
#define FORGET_MEMORY() __asm__ volatile("" ::: "memory")

void NAME(machine_read_)(float *const buffers[3], size_t floats, uint64_t passes) {
    const v8u *v = (const v8u *)(const void *)buffers[0];
    v8u s[8] = {{0}};
    for (uint64_t p = 0; p < passes; p++) {
        for (size_t i = 0; i < floats / 8; i += 8) {
            s[0] ^= v[i];
            s[1] ^= v[i + 1];
            s[2] ^= v[i + 2];
            s[3] ^= v[i + 3];
            s[4] ^= v[i + 4];
            s[5] ^= v[i + 5];
            s[6] ^= v[i + 6];
            s[7] ^= v[i + 7];
        }
        FORGET_MEMORY();
    }
    for (size_t k = 0; k < 8; k++)
        KEEP(s[k]);
}

void NAME(machine_triad_)(float *const buffers[3], size_t floats, uint64_t passes) {
    v8f *restrict a = (v8f *)(void *)buffers[0];
    const v8f *restrict b = (const v8f *)(const void *)buffers[1];
    const v8f *restrict c = (const v8f *)(const void *)buffers[2];
    const v8f scale = {3, 3, 3, 3, 3, 3, 3, 3};
    for (uint64_t p = 0; p < passes; p++) {
        for (size_t i = 0; i < floats / 8; i += 4) {
            a[i] = b[i] + scale * c[i];
            a[i + 1] = b[i + 1] + scale * c[i + 1];
            a[i + 2] = b[i + 2] + scale * c[i + 2];
            a[i + 3] = b[i + 3] + scale * c[i + 3];
        }
        FORGET_MEMORY();
    }
}

void NAME(machine_update_)(float *const buffers[3], size_t floats, uint64_t passes) {
    v8f *a = (v8f *)(void *)buffers[0];
    const v8f scale = {1, 1, 1, 1, 1, 1, 1, 1};
    for (uint64_t p = 0; p < passes; p++) {
        for (size_t i = 0; i < floats / 8; i += 4) {
            a[i] += scale;
            a[i + 1] += scale;
            a[i + 2] += scale;
            a[i + 3] += scale;
        }
        FORGET_MEMORY();
    }
}

/* Ten chains, enough for two units with a latency of five cycles; and no more than sixteen registers in all. */
void NAME(machine_fma_)(float *const buffers[3], size_t floats, uint64_t passes) {
    const v8f b = *(const v8f *)(const void *)buffers[0], c = *(const v8f *)(const void *)(buffers[0] + 8);
    v8f s0 = b, s1 = c, s2 = b, s3 = c, s4 = b, s5 = c, s6 = b, s7 = c, s8 = b, s9 = c;
    for (uint64_t p = 0; p < passes; p++)
        for (size_t i = 0; i < floats / MACHINE_FMA_STEP; i++) {
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
    KEEP(s0);
}
