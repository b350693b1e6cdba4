/* SPDX-License-Identifier: Apache-2.0 */
/* Checkers: maxima, converters, products, output stage. */
#include "kcheck.h"

#include <math.h>
#include <string.h>

static void absmax_case(struct kc *c, rpu_absmax_fn *ref, rpu_absmax_fn *sut, size_t columns, size_t n,
                        enum kc_pattern pattern) {
    const size_t ldx = kc_leading(c, n);
    const float *x = kc_input_matrix(c, "x", columns, n, ldx, pattern);
    const struct kc_out out = kc_output(c, "out", KC_F32, columns);
    kc_seal(c);
    ref(columns, n, x, ldx, out.ref);
    sut(columns, n, x, ldx, out.sut);
    kc_finish(c);
}

void kcheck_absmax(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    for (size_t s = 0; s < kc_size_count; s++)
        for (unsigned p = 0; p < KC_PATTERNS; p++) {
            const size_t columns = kc_columns[(s + (size_t)p) % kc_column_count];
            if (kc_begin(c, "%zu columns of %zu %s", columns, kc_sizes[s], kc_pattern_name(p)))
                absmax_case(c, (rpu_absmax_fn *)ref, (rpu_absmax_fn *)sut, columns, kc_sizes[s], p);
        }
    for (size_t k = 0; k < kc_column_count; k++)
        if (kc_begin(c, "%zu columns of 26 special", kc_columns[k]))
            absmax_case(c, (rpu_absmax_fn *)ref, (rpu_absmax_fn *)sut, kc_columns[k], 26, KC_SPECIAL);
}

/* ---- input converter ---- */

struct dac_case {
    size_t columns, n;
    int with_gain, bits;
    enum kc_pattern pattern;
};

static void dac_case(struct kc *c, rpu_dac_fn *ref, rpu_dac_fn *sut, const struct dac_case *s) {
    const size_t ldx = kc_leading(c, s->n), ldq = kc_leading(c, s->n);
    const float steps = s->bits ? (float)((1 << (s->bits - 1)) - 1) : 0.0f;
    const float step = s->bits ? nextafterf(1.0f / steps, 0.0f) : 0.0f;
    const float *x = kc_input_matrix(c, "x", s->columns, s->n, ldx, s->pattern);
    float *gain = kc_input(c, "gain", s->columns * sizeof *gain);
    const struct kc_out q = kc_output(c, "q", KC_F32, kc_span(s->columns, s->n, ldq));
    rpu_k_absmax_generic(s->columns, s->n, x, ldx, gain);
    for (size_t p = 0; p < s->columns; p++) {
        gain[p] = 1.0f / (gain[p] * (float)(1u << kc_below(c, 6)));
        if (kc_below(c, 4) == 0)
            gain[p] = kc_below(c, 2) ? 0.0f : kc_unit(c);
    }
    kc_seal(c);
    const float *g = s->with_gain ? gain : NULL;
    ref(s->columns, s->n, x, ldx, g, steps, step, q.ref, ldq);
    sut(s->columns, s->n, x, ldx, g, steps, step, q.sut, ldq);
    kc_finish(c);
}

void kcheck_dac(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    static const int bits[] = {7, 0, 2, 16, 9};
    for (size_t s = 0; s < kc_size_count; s++)
        for (unsigned p = 0; p < KC_PATTERNS; p++)
            for (int v = 0; v < 4; v++) {
                const struct dac_case one = {kc_columns[(s + 3 * (size_t)v + (size_t)p) % kc_column_count], kc_sizes[s],
                                             v & 1, bits[(s + (size_t)v + (size_t)p) % 5], p};
                if (one.columns * one.n <= 20000 &&
                    kc_begin(c, "%zu columns of %zu %s, %d bits%s", one.columns, one.n, kc_pattern_name(p), one.bits,
                             one.with_gain ? ", gain" : ""))
                    dac_case(c, (rpu_dac_fn *)ref, (rpu_dac_fn *)sut, &one);
            }
}

/* ---- products ---- */

struct product_case {
    size_t m, n, columns;
    enum kc_pattern weights, inputs;
    unsigned cut; /**< how the variant gets the columns */
};

typedef void product_fn(struct kc *c, kc_any_fn *ref, kc_any_fn *sut, const struct product_case *s);

static void forward_case(struct kc *c, kc_any_fn *ref, kc_any_fn *sut, const struct product_case *s) {
    const size_t ldw = kc_leading(c, s->n), ldx = kc_leading(c, s->n), ldy = kc_leading(c, s->m);
    const float *w = kc_input_matrix(c, "w", s->m, s->n, ldw, s->weights);
    const float *x = kc_input_matrix(c, "x", s->columns, s->n, ldx, s->inputs);
    float *scratch = kc_scratch(c, "scratch", rpu_forward_scratch(s->m, s->n) * sizeof *scratch, 64);
    float *own = kc_scratch(c, "scratch of generic", rpu_forward_scratch(s->m, s->n) * sizeof *own, 64);
    const struct kc_out y = kc_output(c, "y", KC_F32, kc_span(s->columns, s->m, ldy));
    kc_seal(c);
    ((rpu_forward_fn *)ref)(s->m, s->n, s->columns, w, ldw, x, ldx, y.ref, ldy, own);
    for (size_t p = 0, end; p < s->columns; p = end) {
        end = kc_cut(c, s->cut, p, s->columns);
        ((rpu_forward_fn *)sut)(s->m, s->n, end - p, w, ldw, x + p * ldx, ldx, (float *)y.sut + p * ldy, ldy, scratch);
    }
    kc_finish(c);
}

static void backward_case(struct kc *c, kc_any_fn *ref, kc_any_fn *sut, const struct product_case *s) {
    const size_t ldw = kc_leading(c, s->n), ldd = kc_leading(c, s->m), ldz = kc_leading(c, s->n);
    const float *w = kc_input_matrix(c, "w", s->m, s->n, ldw, s->weights);
    const float *d = kc_input_matrix(c, "d", s->columns, s->m, ldd, s->inputs);
    const struct kc_out z = kc_output(c, "z", KC_F32, kc_span(s->columns, s->n, ldz));
    kc_seal(c);
    ((rpu_backward_fn *)ref)(s->m, s->n, s->columns, w, ldw, d, ldd, z.ref, ldz);
    for (size_t p = 0, end; p < s->columns; p = end) {
        end = kc_cut(c, s->cut, p, s->columns);
        ((rpu_backward_fn *)sut)(s->m, s->n, end - p, w, ldw, d + p * ldd, ldd, (float *)z.sut + p * ldz, ldz);
    }
    kc_finish(c);
}

static const char *const cut_names[] = {"in one block", "one by one", "cut at random"};

static void product(struct kc *c, kc_any_fn *ref, kc_any_fn *sut, product_fn *run, const struct product_case *s) {
    if (kc_begin(c, "%zux%zux%zu weights %s inputs %s, %s", s->m, s->n, s->columns, kc_pattern_name(s->weights),
                 kc_pattern_name(s->inputs), cut_names[s->cut]))
        run(c, ref, sut, s);
}

/* Every length of one side against some of the other; columns, patterns and cuts take turns. */
static void product_sweep(struct kc *c, kc_any_fn *ref, kc_any_fn *sut, product_fn *run) {
    static const size_t some[] = {1, 2, 3, 5, 8, 10, 16, 17, 26, 32, 33, 64, 65, 129};
    static const enum kc_pattern patterns[] = {KC_UNIFORM, KC_SPARSE, KC_WIDE, KC_UNIFORM, KC_SPECIAL};
    size_t turn = 0;
    for (size_t s = 0; s < kc_size_count; s++)
        for (size_t k = 0; k < sizeof some / sizeof some[0]; k++, turn++) {
            struct product_case one = {kc_sizes[s],
                                       some[k],
                                       kc_columns[turn % kc_column_count],
                                       patterns[turn % 3],
                                       patterns[turn / 7 % 5],
                                       (unsigned)(turn / 5 % 3)};
            if (one.m * one.n * one.columns > 300000)
                one.columns = 1 + turn % 4;
            product(c, ref, sut, run, &one);
            const size_t m = one.m;
            one.m = one.n, one.n = m;
            product(c, ref, sut, run, &one);
        }
}

/* Numbers of columns about those that a variant takes at a time, with fewer and with more outputs. */
static void product_blocks(struct kc *c, kc_any_fn *ref, kc_any_fn *sut, product_fn *run) {
    static const size_t columns[] = {47, 48, 49, 50, 51, 52, 95, 96, 97, 98, 99, 100, 146, 193};
    for (size_t k = 0; k < sizeof columns / sizeof columns[0]; k++)
        for (unsigned v = 0; v < 8; v++) {
            const struct product_case one = {
                v & 1 ? 53 : 13, v & 2 ? 340 : 69, columns[k], KC_UNIFORM, v & 4 ? KC_SPECIAL : KC_UNIFORM, 0};
            product(c, ref, sut, run, &one);
        }
}

/* Arrays whose weights are many: the last row or some rows, whole vectors of inputs or some inputs, on their own. */
static void product_large(struct kc *c, kc_any_fn *ref, kc_any_fn *sut, product_fn *run) {
    static const size_t shapes[][3] = {{128, 1024, 12}, {129, 1061, 25}, {193, 697, 13}, {300, 449, 4},
                                       {100, 1409, 3},  {70, 1999, 5},   {641, 257, 14}, {66, 2401, 49}};
    static const enum kc_pattern patterns[] = {KC_UNIFORM, KC_SPARSE, KC_SPECIAL, KC_ZERO};
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++)
        for (size_t p = 0; p < sizeof patterns / sizeof patterns[0]; p++) {
            const struct product_case one = {shapes[k][0], shapes[k][1],
                                             shapes[k][2], p == 2 ? KC_SPECIAL : KC_WIDE,
                                             patterns[p],  (unsigned)(p % 3)};
            product(c, ref, sut, run, &one);
        }
}

/* The shapes of LeNet in every cut and pattern, squares of odd sizes, a large one, every number of columns. */
static void product_shapes(struct kc *c, kc_any_fn *ref, kc_any_fn *sut, product_fn *run) {
    static const size_t shapes[][3] = {{16, 26, 576},  {32, 401, 64},  {128, 513, 1}, {10, 129, 1}, {128, 513, 8},
                                       {10, 129, 8},   {997, 1009, 1}, {1030, 64, 3}, {33, 65, 9},  {2048, 300, 1},
                                       {300, 2048, 2}, {0, 5, 3},      {5, 0, 3},     {7, 64, 64},  {7, 65, 64}};
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++)
        for (unsigned cut = 0; cut < 3; cut++)
            for (int p = 0; p < 2; p++) {
                const struct product_case one = {
                    shapes[k][0], shapes[k][1], shapes[k][2], KC_UNIFORM, p ? KC_SPARSE : KC_UNIFORM, cut};
                product(c, ref, sut, run, &one);
            }
    for (unsigned w = 0; w < KC_PATTERNS; w++)
        for (unsigned x = 0; x < KC_PATTERNS; x++)
            for (size_t k = 0; k < kc_column_count; k++) {
                const struct product_case narrow = {17, 26, kc_columns[k], w, x, (unsigned)(k % 3)};
                const struct product_case wide = {25, 77, kc_columns[k], w, x, (unsigned)(k % 3)};
                product(c, ref, sut, run, &narrow);
                product(c, ref, sut, run, &wide);
            }
}

void kcheck_forward(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    product_sweep(c, ref, sut, forward_case);
    product_shapes(c, ref, sut, forward_case);
    product_blocks(c, ref, sut, forward_case);
    product_large(c, ref, sut, forward_case);
}

void kcheck_backward(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    product_sweep(c, ref, sut, backward_case);
    product_shapes(c, ref, sut, backward_case);
    product_large(c, ref, sut, backward_case);
}

/* ---- output stage ---- */

struct epilogue_case {
    size_t columns, n;
    enum kc_pattern pattern;
    float sigma, bound;
    int bits, with_scale, drawn;
    unsigned cut;
    uint64_t first;
};

static struct rpu_output_stage stage_of(struct kc *c, const struct epilogue_case *s) {
    struct rpu_output_stage stage = {kc_stream(c), s->sigma, s->bound, 0.0f, 0.0f, NULL};
    const float levels = (float)((1 << (s->bits > 0 ? s->bits - 1 : 0)) - 1);
    if (s->bits > 0 && s->bound < INFINITY) {
        stage.steps = levels / s->bound;
        stage.step = s->bound / levels;
        if (stage.step * levels > s->bound)
            stage.step = nextafterf(stage.step, 0.0f);
    }
    return stage;
}

static void epilogue_case(struct kc *c, rpu_epilogue_fn *ref, rpu_epilogue_fn *sut, const struct epilogue_case *s) {
    const size_t ldy = kc_leading(c, s->n);
    const struct rpu_output_stage stage = stage_of(c, s);
    struct rpu_output_stage own = stage;
    float *noise = kc_input(c, "noise", s->columns * s->n * sizeof *noise);
    float *scale = kc_input(c, "scale", s->columns * sizeof *scale);
    const struct kc_out y = kc_output(c, "y", KC_F32, kc_span(s->columns, s->n, ldy));
    const struct kc_out saturated = kc_output(c, "saturated", KC_U32, s->columns);
    kc_matrix(c, y.ref, s->columns, s->n, ldy, s->pattern);
    if (y.count > 0)
        memcpy(y.sut, y.ref, y.count * sizeof(float));
    for (size_t p = 0; p < s->columns; p++)
        scale[p] = kc_below(c, 4) == 0 ? 0.0f : 8.0f * kc_unit(c);
    rpu_k_gaussian_generic(&stage.stream, s->first, s->columns * s->n, noise);
    kc_seal(c);
    ref(s->columns, s->n, y.ref, ldy, &stage, s->first, s->with_scale ? scale : NULL, saturated.ref);
    for (size_t p = 0, end; p < s->columns; p = end) {
        end = kc_cut(c, s->cut, p, s->columns);
        own.noise = s->drawn ? noise + p * s->n : NULL;
        sut(end - p, s->n, (float *)y.sut + p * ldy, ldy, &own, s->first + p * s->n, s->with_scale ? scale + p : NULL,
            (uint32_t *)saturated.sut + p);
    }
    kc_finish(c);
}

static void epilogue(struct kc *c, kc_any_fn *ref, kc_any_fn *sut, const struct epilogue_case *s) {
    if (kc_begin(c, "%zu columns of %zu %s, sigma %g bound %g %d bits%s%s, from %llu, %s", s->columns, s->n,
                 kc_pattern_name(s->pattern), (double)s->sigma, (double)s->bound, s->bits,
                 s->with_scale ? " scaled" : "", s->drawn ? " drawn before" : "", (unsigned long long)s->first,
                 cut_names[s->cut]))
        epilogue_case(c, (rpu_epilogue_fn *)ref, (rpu_epilogue_fn *)sut, s);
}

void kcheck_epilogue(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    const float sigmas[] = {0.06f, 0.0f, 100.0f}, bounds[] = {12.0f, INFINITY, 0.01f, 0.5f};
    static const int bits[] = {9, 0, 2, 16, 7};
    static const uint64_t firsts[] = {0, 1, 7, 48, 1000, 9216, UINT64_C(1) << 33};
    size_t turn = 0;
    for (size_t s = 0; s < kc_size_count; s++)
        for (unsigned p = 0; p < KC_PATTERNS; p++)
            for (int v = 0; v < 3; v++, turn++) {
                struct epilogue_case one = {kc_columns[turn % kc_column_count],
                                            kc_sizes[s],
                                            p,
                                            sigmas[turn / 2 % 3],
                                            bounds[turn / 3 % 4],
                                            bits[turn / 5 % 5],
                                            (int)(turn / 7 % 2),
                                            (int)(turn / 17 % 3 == 0),
                                            (unsigned)(turn / 11 % 3),
                                            firsts[turn / 13 % 7]};
                if (one.columns * one.n > 10000)
                    one.columns = 1 + turn % 5;
                epilogue(c, ref, sut, &one);
            }
    /* columns longer than the noise that is drawn at a time */
    static const size_t lengths[] = {1535, 1536, 1537, 1919, 1920, 1921, 2048, 4096, 5000};
    for (size_t s = 0; s < sizeof lengths / sizeof lengths[0]; s++)
        for (unsigned v = 0; v < 8; v++) {
            const struct epilogue_case one = {v & 1 ? 3 : 1,    lengths[s],   KC_UNIFORM, 0.06f, 12.0f, 9,
                                              (int)(v / 2 % 2), (int)(v / 4), v % 3,      7};
            epilogue(c, ref, sut, &one);
        }
    for (unsigned v = 0; v < 12; v++) {
        const struct epilogue_case one = {v < 6 ? 576 : 64,
                                          v < 6 ? 16 : 401,
                                          v % 2 ? KC_LARGE : KC_UNIFORM,
                                          0.06f,
                                          12.0f,
                                          9,
                                          (int)(v / 2 % 2),
                                          v % 4 == 3,
                                          v % 3,
                                          16 * v};
        epilogue(c, ref, sut, &one);
    }
    /* more outputs than are worked off at a time, here and there one that saturates */
    for (unsigned v = 0; v < 12; v++) {
        const struct epilogue_case one = {.columns = v < 6 ? 576 : 64,
                                          .n = v < 6 ? 16 : 401,
                                          .pattern = KC_UNIFORM,
                                          .sigma = v % 3 ? 0.001f : 0.0f,
                                          .bound = 0.9995f,
                                          .bits = 9,
                                          .with_scale = v % 6 == 5,
                                          .first = v};
        epilogue(c, ref, sut, &one);
    }
}
