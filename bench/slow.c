/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that are slow on purpose: each call does the work three times, with the same result. They show that a
 * comparison of two runs finds what it is there to find. */
#include "bench.h"

#include "engine.h"

#include <stdio.h>
#include <string.h>

enum { TIMES = 3 };

/* ---- the kernels: of those whose outputs are none of their inputs ---- */

#define SLOW_FORWARD(isa)                                                                                              \
    static void slow_forward_##isa(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *x,     \
                                   size_t ldx, float *y, size_t ldy, float *scratch) {                                 \
        for (int k = 0; k < TIMES; k++)                                                                                \
            rpu_k_forward_##isa(m, n, columns, w, ldw, x, ldx, y, ldy, scratch);                                       \
    }
#define SLOW_BACKWARD(isa)                                                                                             \
    static void slow_backward_##isa(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *d,    \
                                    size_t ldd, float *z, size_t ldz) {                                                \
        for (int k = 0; k < TIMES; k++)                                                                                \
            rpu_k_backward_##isa(m, n, columns, w, ldw, d, ldd, z, ldz);                                               \
    }
#define SLOW_GAUSSIAN(isa)                                                                                             \
    static void slow_gaussian_##isa(const struct rpu_stream *stream, uint64_t first, size_t count, float *out) {       \
        for (int k = 0; k < TIMES; k++)                                                                                \
            rpu_k_gaussian_##isa(stream, first, count, out);                                                           \
    }
#define SLOW_TANH(isa)                                                                                                 \
    static void slow_tanh_##isa(size_t n, const float *x, float *y) {                                                  \
        for (int k = 0; k < TIMES; k++)                                                                                \
            rpu_k_tanh_##isa(n, x, y);                                                                                 \
    }
#define SLOW_ALL(isa) SLOW_FORWARD(isa) SLOW_BACKWARD(isa) SLOW_GAUSSIAN(isa) SLOW_TANH(isa)

SLOW_ALL(generic)
SLOW_ALL(autovec)
#if defined(__x86_64__)
SLOW_ALL(avx2)
#elif defined(__aarch64__)
SLOW_ALL(neon)
#endif

/* One variant of each. */
struct slow {
    const char *variant;
    rpu_forward_fn *forward;
    rpu_backward_fn *backward;
    rpu_gaussian_fn *gaussian;
    rpu_tanh_fn *tanh;
};

#define ROW(isa) {#isa, slow_forward_##isa, slow_backward_##isa, slow_gaussian_##isa, slow_tanh_##isa},
static const struct slow slow_kernels[] = {ROW(generic) ROW(autovec)
#if defined(__x86_64__)
                                               ROW(avx2)
#elif defined(__aarch64__)
                                               ROW(neon)
#endif
};

static const char *const names[] = {"forward", "backward", "gaussian", "tanh", NULL};

int slow_known(const char *kernel) {
    for (size_t i = 0; names[i]; i++)
        if (strcmp(kernel, names[i]) == 0)
            return 1;
    fprintf(stderr, "rpubench-bench: --slow: found '%s', allowed is", kernel);
    for (size_t i = 0; names[i]; i++)
        fprintf(stderr, "%s %s", i ? "," : "", names[i]);
    fputc('\n', stderr);
    return 0;
}

/* The variant that an engine takes for a kernel. */
static const char *variant_of(const struct rpu_engine *engine, const char *kernel) {
    for (size_t i = 0; i < rpu_kernel_count(); i++)
        if (strcmp(rpu_kernel_name(i), kernel) == 0)
            return engine->table.variant[i];
    return "";
}

void slow_down(struct rpu_engine *engine, const char *kernel) {
    struct rpu_kernels *k = &engine->table.k;
    for (size_t i = 0; kernel && i < sizeof slow_kernels / sizeof slow_kernels[0]; i++) {
        const struct slow *s = &slow_kernels[i];
        if (strcmp(s->variant, variant_of(engine, kernel)) != 0)
            continue;
        if (strcmp(kernel, "forward") == 0)
            k->forward = s->forward;
        else if (strcmp(kernel, "backward") == 0)
            k->backward = s->backward;
        else if (strcmp(kernel, "gaussian") == 0)
            k->gaussian = s->gaussian;
        else
            k->tanh = s->tanh;
    }
}
