/* SPDX-License-Identifier: Apache-2.0 */
/* The periphery: maxima, input converter, output stage. */
#include "avx2.h"

/* max of kernels.h: a NaN in `a` is ignored because the second operand survives. */
INLINE __m256 max_ignore(__m256 a, __m256 m) {
    return _mm256_max_ps(a, m);
}

INLINE float largest(__m256 v) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_shuffle_ps(m, m, 1));
    return _mm_cvtss_f32(m);
}

INLINE float absmax_column(size_t n, const float *x) {
    __m256 a = _mm256_setzero_ps(), b = a, c = a, d = a;
    size_t j = 0;
    if (n < VEC)
        return largest(max_ignore(abs_ps(load_part(x, n)), a));
    for (; j + 4 * VEC <= n; j += 4 * VEC) {
        a = max_ignore(abs_ps(_mm256_loadu_ps(x + j)), a);
        b = max_ignore(abs_ps(_mm256_loadu_ps(x + j + VEC)), b);
        c = max_ignore(abs_ps(_mm256_loadu_ps(x + j + 2 * VEC)), c);
        d = max_ignore(abs_ps(_mm256_loadu_ps(x + j + 3 * VEC)), d);
    }
    for (; j + VEC <= n; j += VEC)
        b = max_ignore(abs_ps(_mm256_loadu_ps(x + j)), b);
    if (j < n) /* overlaps what came before */
        c = max_ignore(abs_ps(_mm256_loadu_ps(x + n - VEC)), c);
    return largest(_mm256_max_ps(_mm256_max_ps(a, b), _mm256_max_ps(c, d)));
}

void K(absmax)(size_t columns, size_t n, const float *x, size_t ldx, float *out) {
    for (size_t p = 0; p < columns; p++)
        out[p] = absmax_column(n, x + p * ldx);
}

struct dac {
    __m256 div, factor, steps, step;
};

INLINE __m256 dac8(const struct dac *c, __m256 v, int divide, int rounds) {
    const __m256 one = _mm256_set1_ps(1.0f), minus = _mm256_set1_ps(-1.0f);
    if (divide)
        v = _mm256_div_ps(v, c->div);
    v = clip_ps(_mm256_mul_ps(v, c->factor), minus, one);
    if (rounds)
        v = _mm256_mul_ps(round_magic(_mm256_mul_ps(v, c->steps)), c->step);
    return v;
}

/* The last vector of a row that is no whole number of vectors overlaps the one before. */
INLINE void dac_column(size_t n, const float *x, const struct dac *c, float *q, int divide, int rounds) {
    size_t j = 0;
    for (; j + VEC <= n; j += VEC)
        _mm256_storeu_ps(q + j, dac8(c, _mm256_loadu_ps(x + j), divide, rounds));
    if (j < n && n >= VEC)
        _mm256_storeu_ps(q + n - VEC, dac8(c, _mm256_loadu_ps(x + n - VEC), divide, rounds));
    else if (j < n)
        store_part(q, dac8(c, load_part(x, n), divide, rounds), n);
}

void K(dac)(size_t columns, size_t n, const float *x, size_t ldx, const float *div, const float *factor, float steps,
            float step, float *q, size_t ldq) {
    struct dac c = {_mm256_set1_ps(1.0f), _mm256_set1_ps(1.0f), _mm256_set1_ps(steps), _mm256_set1_ps(step)};
    for (size_t p = 0; p < columns; p++) {
        const float *in = x + p * ldx;
        float *out = q + p * ldq;
        if (factor)
            c.factor = _mm256_set1_ps(factor[p]);
        if (div) {
            if (div[p] == 0.0f) {
                memset(out, 0, n * sizeof *out);
                continue;
            }
            c.div = _mm256_set1_ps(div[p]);
            if (steps > 0.0f)
                dac_column(n, in, &c, out, 1, 1);
            else
                dac_column(n, in, &c, out, 1, 0);
        } else if (steps > 0.0f) {
            dac_column(n, in, &c, out, 0, 1);
        } else {
            dac_column(n, in, &c, out, 0, 0);
        }
    }
}

/* Noise is made for up to CHUNK outputs at a time, on the stack, with room around for whole groups. */
enum { CHUNK = 1536 };

struct stage {
    __m256 sigma, bound, minus, steps, step;
};

/* The stage but for the scale. Returns the saturated lanes as bits. */
INLINE unsigned stage8(const struct stage *s, __m256 v, __m256 xi, int noise, int rounds, __m256 *out) {
    if (noise)
        v = _mm256_fmadd_ps(s->sigma, xi, v);
    v = clip_ps(v, s->minus, s->bound);
    const unsigned saturated = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(abs_ps(v), s->bound, _CMP_GE_OQ));
    if (rounds)
        v = _mm256_mul_ps(round_magic(_mm256_mul_ps(v, s->steps)), s->step);
    *out = v;
    return saturated;
}

/* n outputs in place; bit i of `flags` is set where output i saturates. Returns whether any does. The last vector of a
 * row that is no whole number of vectors overlaps the one before: it is worked out first and stored last. */
INLINE unsigned stage_run(const struct stage *s, size_t n, float *y, const float *xi, uint8_t *flags, int noise,
                          int rounds, __m256 scale) {
    const size_t left = n % VEC;
    __m256 out, tail = scale;
    unsigned any = 0, bits;
    if (left > 0 && n > VEC) {
        bits = stage8(s, _mm256_loadu_ps(y + n - VEC), noise ? _mm256_loadu_ps(xi + n - VEC) : scale, noise, rounds, &tail);
        any = bits >> (VEC - left);
        flags[n / VEC] = (uint8_t)any;
    } else if (left > 0) {
        bits = stage8(s, load_part(y, n), noise ? load_part(xi, n) : scale, noise, rounds, &out);
        flags[0] = (uint8_t)(bits & ((1u << n) - 1u));
        store_part(y, _mm256_mul_ps(out, scale), n);
        return flags[0];
    }
    for (size_t i = 0; i + VEC <= n; i += VEC) {
        bits = stage8(s, _mm256_loadu_ps(y + i), noise ? _mm256_loadu_ps(xi + i) : scale, noise, rounds, &out);
        _mm256_storeu_ps(y + i, _mm256_mul_ps(out, scale));
        flags[i / VEC] = (uint8_t)bits;
        any |= bits;
    }
    if (left > 0)
        _mm256_storeu_ps(y + n - VEC, _mm256_mul_ps(tail, scale));
    return any;
}

INLINE unsigned stage_part(const struct stage *s, size_t n, float *y, const float *xi, uint8_t *flags, int noise,
                           int rounds, float scale) {
    const __m256 v = _mm256_set1_ps(scale);
    if (noise)
        return rounds ? stage_run(s, n, y, xi, flags, 1, 1, v) : stage_run(s, n, y, xi, flags, 1, 0, v);
    return rounds ? stage_run(s, n, y, xi, flags, 0, 1, v) : stage_run(s, n, y, xi, flags, 0, 0, v);
}

/* Flags from bit `at` on, n of them, counted. */
static uint32_t count_flags(const uint8_t *flags, size_t at, size_t n) {
    uint32_t count = 0;
    for (size_t i = at; i < at + n; i++)
        count += (uint32_t)flags[i / VEC] >> (i % VEC) & 1u;
    return count;
}

/* Outputs without gaps and without scales: one run over whole chunks, columns matter only where something saturates. */
static void epilogue_flat(size_t columns, size_t n, float *y, const struct stage *s, const struct philox *p, int noisy,
                          int rounds, uint64_t first, uint32_t *saturated) {
    float noise[RPU_GAUSS_GROUP + CHUNK + RPU_GAUSS_GROUP];
    uint8_t flags[CHUNK / VEC];
    const size_t total = columns * n;
    memset(saturated, 0, columns * sizeof *saturated);
    for (size_t at = 0; at < total;) {
        size_t part = total - at < CHUNK ? total - at : CHUNK;
        if (noisy) {
            /* the next chunk starts with a whole group */
            const size_t odd = (size_t)((first + at) % RPU_GAUSS_GROUP);
            part = total - at < CHUNK - odd ? total - at : CHUNK - odd;
            gauss_fill(p, first + at, part, noise + RPU_GAUSS_GROUP);
        }
        if (stage_part(s, part, y + at, noise + RPU_GAUSS_GROUP, flags, noisy, rounds, 1.0f))
            for (size_t i = at; i < at + part;) {
                const size_t c = i / n, end = (c + 1) * n < at + part ? (c + 1) * n : at + part;
                saturated[c] += count_flags(flags, i - at, end - i);
                i = end;
            }
        at += part;
    }
}

/* One column after the other; noise of a chunk serves several. */
static void epilogue_columns(size_t columns, size_t n, float *y, size_t ldy, const struct stage *s,
                             const struct philox *p, int noisy, int rounds, uint64_t first, const float *scale,
                             uint32_t *saturated) {
    float noise[RPU_GAUSS_GROUP + CHUNK + RPU_GAUSS_GROUP];
    uint8_t flags[CHUNK / VEC];
    const float *xi = noise;
    const uint64_t total = (uint64_t)columns * n;
    uint64_t have = 0, at = 0; /* noise is there for flat elements at .. have - 1, the first at xi */
    for (size_t c = 0; c < columns; c++) {
        float *column = y + c * ldy;
        const int zero = scale && scale[c] == 0.0f;
        saturated[c] = 0;
        for (size_t i = 0; i < n;) {
            if (noisy && at == have) {
                const size_t odd = (size_t)((first + have) % RPU_GAUSS_GROUP);
                const size_t more = total - have < CHUNK - odd ? (size_t)(total - have) : CHUNK - odd;
                gauss_fill(p, first + have, more, noise + RPU_GAUSS_GROUP);
                xi = noise + RPU_GAUSS_GROUP;
                have += more;
            }
            const size_t left = noisy ? (size_t)(have - at) : CHUNK;
            const size_t part = n - i < left ? n - i : left;
            if (stage_part(s, part, column + i, xi, flags, noisy, rounds, scale ? scale[c] : 1.0f))
                saturated[c] += count_flags(flags, 0, part);
            xi += noisy ? part : 0;
            at += part;
            i += part;
        }
        if (zero)
            memset(column, 0, n * sizeof *column);
    }
}

void K(epilogue)(size_t columns, size_t n, float *y, size_t ldy, const struct rpu_output_stage *stage, uint64_t first,
                 const float *scale, uint32_t *saturated) {
    const int noisy = stage->sigma > 0.0f, rounds = stage->steps > 0.0f;
    const struct philox p = philox_begin(&stage->stream);
    const struct stage s = {_mm256_set1_ps(stage->sigma), _mm256_set1_ps(stage->bound), _mm256_set1_ps(-stage->bound),
                            _mm256_set1_ps(stage->steps), _mm256_set1_ps(stage->step)};
    if (!scale && (ldy == n || columns == 1))
        epilogue_flat(columns, n, y, &s, &p, noisy, rounds, first, saturated);
    else
        epilogue_columns(columns, n, y, ldy, &s, &p, noisy, rounds, first, scale, saturated);
}
