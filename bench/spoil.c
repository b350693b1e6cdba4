/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that are spoiled on purpose. Slow: each call does the work three times, with the same result; they show that
 * a comparison of two runs finds what it is there to find. Wrong: one bit of each call's first result is another; they
 * show that nothing is timed that was not compared with its oracle. */
#include "bench.h"

#include "engine.h"

#include <stdio.h>
#include <string.h>

enum { TIMES = 3 };

/* The bit that is wrong: behind a converter only a sign is seen. */
#define SIGN   UINT32_C(0x80000000)
#define LOWEST UINT32_C(1)

static void flip(float *result, uint32_t bit) {
    uint32_t word;
    memcpy(&word, result, sizeof word);
    word ^= bit;
    memcpy(result, &word, sizeof word);
}

/* ---- the kernels ---- */

/* Of a variant of a kernel, with its parameters and arguments in parentheses. */
#define SLOW(kernel, isa, parameters, arguments)                                                                       \
    static void slow_##kernel##_##isa parameters {                                                                     \
        for (int k = 0; k < TIMES; k++)                                                                                \
            rpu_k_##kernel##_##isa arguments;                                                                          \
    }
#define WRONG(kernel, isa, parameters, arguments, result, bit)                                                         \
    static void wrong_##kernel##_##isa parameters {                                                                    \
        rpu_k_##kernel##_##isa arguments;                                                                              \
        flip(result, bit);                                                                                             \
    }
#define BOTH(kernel, isa, parameters, arguments, result, bit)                                                          \
    SLOW(kernel, isa, parameters, arguments) WRONG(kernel, isa, parameters, arguments, result, bit)

/* Slow ones only of kernels whose outputs are none of their inputs. */
#define SPOIL_ALL(isa)                                                                                                 \
    BOTH(forward, isa,                                                                                                 \
         (size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *x, size_t ldx, float *y,        \
          size_t ldy, float *scratch),                                                                                 \
         (m, n, columns, w, ldw, x, ldx, y, ldy, scratch), y, SIGN)                                                    \
    BOTH(backward, isa,                                                                                                \
         (size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *d, size_t ldd, float *z,        \
          size_t ldz),                                                                                                 \
         (m, n, columns, w, ldw, d, ldd, z, ldz), z, SIGN)                                                             \
    BOTH(gaussian, isa, (const struct rpu_stream *stream, uint64_t first, size_t count, float *out),                   \
         (stream, first, count, out), out, LOWEST)                                                                     \
    BOTH(tanh, isa, (size_t n, const float *x, float *y), (n, x, y), y, LOWEST)                                        \
    WRONG(pulse_apply, isa, (const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts), (args, counts),      \
          args->w + args->row0 * rpu_padded(args->n), LOWEST)

SPOIL_ALL(generic)
SPOIL_ALL(autovec)
#if defined(__x86_64__)
SPOIL_ALL(avx2)
#elif defined(__aarch64__)
SPOIL_ALL(neon)
#endif

/* ---- one variant of each ---- */

struct spoiled {
    const char *variant;
    rpu_forward_fn *forward;
    rpu_backward_fn *backward;
    rpu_gaussian_fn *gaussian;
    rpu_tanh_fn *tanh;
    rpu_pulse_apply_fn *pulse_apply; /* null: there is none */
};

#define ROWS(isa)                                                                                                      \
    {{#isa, slow_forward_##isa, slow_backward_##isa, slow_gaussian_##isa, slow_tanh_##isa, NULL},                      \
     {#isa, wrong_forward_##isa, wrong_backward_##isa, wrong_gaussian_##isa, wrong_tanh_##isa,                         \
      wrong_pulse_apply_##isa}},
static const struct spoiled spoiled_kernels[][SPOILS] = {ROWS(generic) ROWS(autovec)
#if defined(__x86_64__)
                                                             ROWS(avx2)
#elif defined(__aarch64__)
                                                             ROWS(neon)
#endif
};

static const char *const options[SPOILS] = {"--slow", "--wrong"};
static const char *const names[SPOILS][10] = {
    {"forward", "backward", "gaussian", "tanh"},
    {"forward", "backward", "gaussian", "tanh", "pulse_apply", "read", "triad", "update", "fma"}};

int spoil_known(enum spoil how, const char *kernel) {
    if (!kernel)
        return 1;
    for (size_t i = 0; names[how][i]; i++)
        if (strcmp(kernel, names[how][i]) == 0)
            return 1;
    fprintf(stderr, "rpubench-bench: %s: found '%s', allowed is", options[how], kernel);
    for (size_t i = 0; names[how][i]; i++)
        fprintf(stderr, "%s %s", i ? "," : "", names[how][i]);
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

static void take(struct rpu_kernels *k, const struct spoiled *s, const char *kernel) {
    if (strcmp(kernel, "forward") == 0)
        k->forward = s->forward;
    else if (strcmp(kernel, "backward") == 0)
        k->backward = s->backward;
    else if (strcmp(kernel, "gaussian") == 0)
        k->gaussian = s->gaussian;
    else if (strcmp(kernel, "tanh") == 0)
        k->tanh = s->tanh;
    else
        k->pulse_apply = s->pulse_apply;
}

void spoil(struct rpu_engine *engine, const struct bench *b) {
    for (int how = 0; how < SPOILS; how++)
        for (size_t i = 0; b->spoiled[how] && i < sizeof spoiled_kernels / sizeof spoiled_kernels[0]; i++)
            if (strcmp(spoiled_kernels[i][how].variant, variant_of(engine, b->spoiled[how])) == 0)
                take(&engine->table.k, &spoiled_kernels[i][how], b->spoiled[how]);
}

void spoil_loop(const struct bench *b, const char *loop, float *result) {
    const char *wrong = b->spoiled[SPOIL_WRONG];
    if (wrong && strcmp(wrong, loop) == 0)
        flip(result, LOWEST);
}
