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

/* The largest of each of eight vectors. */
INLINE __m256 largest8(const __m256 v[8]) {
    __m256 pair[4], four[2];
    for (int k = 0; k < 4; k++)
        pair[k] = _mm256_max_ps(_mm256_unpacklo_ps(v[2 * k], v[2 * k + 1]), _mm256_unpackhi_ps(v[2 * k], v[2 * k + 1]));
    for (int k = 0; k < 2; k++)
        four[k] = _mm256_max_ps(_mm256_shuffle_ps(pair[2 * k], pair[2 * k + 1], 0x44),
                                _mm256_shuffle_ps(pair[2 * k], pair[2 * k + 1], 0xee));
    /* lanes: columns 0 to 3 of the lower halves, then of the upper ones; likewise 4 to 7 */
    return _mm256_max_ps(_mm256_permute2f128_ps(four[0], four[1], 0x20), _mm256_permute2f128_ps(four[0], four[1], 0x31));
}

/* Largest magnitudes of a column, lane by lane. */
INLINE __m256 absmax_lanes(size_t n, const float *x) {
    __m256 a = _mm256_setzero_ps(), b = a, c = a, d = a;
    size_t j = 0;
    if (n < VEC)
        return max_ignore(abs_ps(load_part(x, n)), a);
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
    return _mm256_max_ps(_mm256_max_ps(a, b), _mm256_max_ps(c, d));
}

/* The same for a column of 8 to 16 values, whose two vectors may overlap. */
INLINE __m256 absmax_two(size_t n, const float *x) {
    return max_ignore(abs_ps(_mm256_loadu_ps(x + n - VEC)), max_ignore(abs_ps(_mm256_loadu_ps(x)), _mm256_setzero_ps()));
}

/* The same for a column of 16 to 32 values: its vectors stand at 0, `second`, `third` and n - 8, and may overlap. */
INLINE __m256 absmax_short(size_t n, size_t second, size_t third, const float *x) {
    return max_ignore(abs_ps(_mm256_loadu_ps(x + third)),
                      max_ignore(abs_ps(_mm256_loadu_ps(x + second)), absmax_two(n, x)));
}

void K(absmax)(size_t columns, size_t n, const float *x, size_t ldx, float *out) {
    const size_t second = n >= 2 * VEC ? VEC : 0, third = n >= 3 * VEC ? 2 * VEC : second;
    size_t p = 0;
    for (; p + 8 <= columns; p += 8) {
        __m256 v[8];
        if (n <= 2 * VEC && n >= VEC)
            for (size_t c = 0; c < 8; c++)
                v[c] = absmax_two(n, x + (p + c) * ldx);
        else if (n <= 4 * VEC && n > 2 * VEC)
            for (size_t c = 0; c < 8; c++)
                v[c] = absmax_short(n, second, third, x + (p + c) * ldx);
        else
            for (size_t c = 0; c < 8; c++)
                v[c] = absmax_lanes(n, x + (p + c) * ldx);
        _mm256_storeu_ps(out + p, largest8(v));
    }
    for (; p < columns; p++)
        out[p] = largest(absmax_lanes(n, x + p * ldx));
}

/* ---- input converter ---- */

struct dac {
    __m256 gain, steps, step;
};

/* round(v * steps) of kernels.h */
INLINE __m256 round_product(__m256 v, __m256 steps) {
    const __m256 magic = _mm256_set1_ps(RPU_ROUND_MAGIC);
    return _mm256_sub_ps(_mm256_fmadd_ps(v, steps, magic), magic);
}

INLINE __m256 dac8(const struct dac *c, __m256 v, int scaled, int rounds) {
    const __m256 one = _mm256_set1_ps(1.0f), minus = _mm256_set1_ps(-1.0f);
    if (scaled)
        v = _mm256_mul_ps(v, c->gain);
    v = clip_ps(v, minus, one);
    return rounds ? _mm256_mul_ps(round_product(v, c->steps), c->step) : v;
}

INLINE void dac_at(const float *x, const struct dac *c, float *q, int scaled, int rounds) {
    _mm256_storeu_ps(q, dac8(c, _mm256_loadu_ps(x), scaled, rounds));
}

/* The last vector of a row that is no whole number of vectors overlaps the one before. */
INLINE void dac_column(size_t n, const float *x, const struct dac *c, float *q, int scaled, int rounds) {
    size_t j = 0;
    if (n < VEC) {
        if (n > 0)
            store_part(q, dac8(c, load_part(x, n), scaled, rounds), n);
        return;
    }
    for (; j + 4 * VEC <= n; j += 4 * VEC)
        for (size_t v = 0; v < 4; v++)
            dac_at(x + j + v * VEC, c, q + j + v * VEC, scaled, rounds);
    for (; j + VEC <= n; j += VEC)
        dac_at(x + j, c, q + j, scaled, rounds);
    if (j < n)
        dac_at(x + n - VEC, c, q + n - VEC, scaled, rounds);
}

/* A column of V vectors that stand at 0, `second`, `third` and n - 8, and may overlap. */
INLINE void dac_short(size_t n, size_t second, size_t third, const float *x, const struct dac *c, float *q, size_t V,
                      int scaled, int rounds) {
    const size_t at[4] = {0, V == 2 ? n - VEC : second, third, n - VEC};
    for (size_t k = 0; k < V; k++)
        dac_at(x + at[k], c, q + at[k], scaled, rounds);
}

INLINE void dac_columns(size_t columns, size_t n, const float *x, size_t ldx, const float *gain, struct dac *c,
                        float *q, size_t ldq, int scaled, int rounds) {
    const size_t second = n >= 2 * VEC ? VEC : 0, third = n >= 3 * VEC ? 2 * VEC : second;
    for (size_t p = 0; p < columns; p++) {
        if (scaled)
            c->gain = _mm256_broadcast_ss(gain + p);
        if (n >= VEC && n <= 2 * VEC)
            dac_short(n, second, third, x + p * ldx, c, q + p * ldq, 2, scaled, rounds);
        else if (n > 2 * VEC && n <= 4 * VEC)
            dac_short(n, second, third, x + p * ldx, c, q + p * ldq, 4, scaled, rounds);
        else
            dac_column(n, x + p * ldx, c, q + p * ldq, scaled, rounds);
    }
}

void K(dac)(size_t columns, size_t n, const float *x, size_t ldx, const float *gain, float steps, float step, float *q,
            size_t ldq) {
    struct dac c = {_mm256_set1_ps(1.0f), _mm256_set1_ps(steps), _mm256_set1_ps(step)};
    if (!gain && ldx == n && ldq == n) { /* one run */
        n *= columns;
        columns = 1;
    }
    if (gain && steps > 0.0f)
        dac_columns(columns, n, x, ldx, gain, &c, q, ldq, 1, 1);
    else if (gain)
        dac_columns(columns, n, x, ldx, gain, &c, q, ldq, 1, 0);
    else if (steps > 0.0f)
        dac_columns(columns, n, x, ldx, gain, &c, q, ldq, 0, 1);
    else
        dac_columns(columns, n, x, ldx, gain, &c, q, ldq, 0, 0);
}

/* ---- output stage ----
 *
 * Few outputs saturate. A run of RUN vectors is looked at as a whole: while no magnitude reaches the bound there is
 * nothing to clip and nothing to count. */

enum { RUN = 4 };

struct stage {
    __m256 sigma, bound, minus, steps, step;
};

INLINE __m256 noisy8(const struct stage *s, const float *y, const float *xi, int noise) {
    const __m256 v = _mm256_loadu_ps(y);
    return noise ? _mm256_fmadd_ps(s->sigma, _mm256_loadu_ps(xi), v) : v;
}

/* What follows the bound; `scale` holds step * scale where there is a converter. */
INLINE __m256 finish8(const struct stage *s, __m256 v, __m256 scale, int rounds, int scaled) {
    if (rounds)
        return _mm256_mul_ps(round_product(v, s->steps), scale);
    return scaled ? _mm256_mul_ps(v, scale) : v;
}

INLINE unsigned reached(const struct stage *s, __m256 v) {
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(abs_ps(v), s->bound, _CMP_GE_OQ));
}

/* The larger magnitudes. A NaN among them is dropped or stays, and then counts as one that may reach the bound. */
INLINE __m256 larger(__m256 v, __m256 most) {
    return _mm256_max_ps(abs_ps(v), most);
}

INLINE int may_reach(const struct stage *s, __m256 most) {
    return _mm256_movemask_ps(_mm256_cmp_ps(most, s->bound, _CMP_NLT_UQ)) != 0;
}

/* Clips vectors that wait at y and counts what reached the bound; `flags`, where not null, gets the lanes of each. */
static uint32_t __attribute__((noinline)) clip_run(const struct stage *s, size_t vectors, float *y, uint8_t *flags) {
    uint32_t count = 0;
    for (size_t k = 0; k < vectors; k++) {
        const __m256 v = _mm256_loadu_ps(y + k * VEC);
        const unsigned lanes = reached(s, v);
        count += (uint32_t)__builtin_popcount(lanes);
        if (flags)
            flags[k] = (uint8_t)lanes;
        _mm256_storeu_ps(y + k * VEC, clip_ps(v, s->minus, s->bound));
    }
    return count;
}

/* Counts lanes that reached the bound: n of them from `from` on. */
INLINE uint32_t count_lanes(const struct stage *s, __m256 v, size_t from, size_t n, uint8_t *flags) {
    const unsigned lanes = reached(s, v) >> from & ((1u << n) - 1u);
    if (flags && lanes)
        *flags = (uint8_t)lanes;
    return (uint32_t)__builtin_popcount(lanes);
}

/* n < 8 outputs. */
INLINE uint32_t stage_part(const struct stage *s, size_t n, float *y, const float *xi, uint8_t *flags, __m256 scale,
                           int noise, int rounds, int scaled) {
    __m256 v = load_part(y, n);
    if (noise)
        v = _mm256_fmadd_ps(s->sigma, load_part(xi, n), v);
    const uint32_t count = count_lanes(s, v, 0, n, flags);
    store_part(y, finish8(s, clip_ps(v, s->minus, s->bound), scale, rounds, scaled), n);
    return count;
}

/* n outputs in place, their noise at xi. Returns how many saturated; bit i of `flags`, where not null and all zeros
 * before, is set for each. The last vector of a row that is no whole number of vectors overlaps the one before: it is
 * loaded first and stored last. */
INLINE uint32_t stage_run(const struct stage *s, size_t n, float *y, const float *xi, uint8_t *flags, __m256 scale,
                          int noise, int rounds, int scaled) {
    const size_t left = n % VEC, rest = n / VEC % RUN;
    const __m256 none = _mm256_setzero_ps();
    __m256 v[RUN] = {none, none, none, none}, tail = none, most;
    uint32_t count = 0;
    size_t i = 0;
    if (n < VEC)
        return n > 0 ? stage_part(s, n, y, xi, flags, scale, noise, rounds, scaled) : 0;
    if (left > 0)
        tail = noisy8(s, y + n - VEC, xi + n - VEC, noise);
    for (; i + RUN * VEC <= n; i += RUN * VEC) {
        for (size_t k = 0; k < RUN; k++)
            v[k] = noisy8(s, y + i + k * VEC, xi + i + k * VEC, noise);
        if (may_reach(s, larger(v[3], larger(v[2], larger(v[1], abs_ps(v[0])))))) {
            for (size_t k = 0; k < RUN; k++)
                _mm256_storeu_ps(y + i + k * VEC, v[k]);
            count += clip_run(s, RUN, y + i, flags ? flags + i / VEC : NULL);
            for (size_t k = 0; k < RUN; k++)
                v[k] = _mm256_loadu_ps(y + i + k * VEC);
        }
        for (size_t k = 0; k < RUN; k++)
            _mm256_storeu_ps(y + i + k * VEC, finish8(s, v[k], scale, rounds, scaled));
    }
    if (rest == 0 && left == 0)
        return count;
    most = abs_ps(tail);
    for (size_t k = 0; k < RUN - 1; k++)
        if (k < rest) {
            v[k] = noisy8(s, y + i + k * VEC, xi + i + k * VEC, noise);
            most = larger(v[k], most);
        }
    if (may_reach(s, most)) {
        for (size_t k = 0; k < RUN - 1; k++)
            if (k < rest)
                _mm256_storeu_ps(y + i + k * VEC, v[k]);
        count += clip_run(s, rest, y + i, flags ? flags + i / VEC : NULL);
        for (size_t k = 0; k < RUN - 1; k++)
            if (k < rest)
                v[k] = _mm256_loadu_ps(y + i + k * VEC);
        count += count_lanes(s, tail, VEC - left, left, flags ? flags + n / VEC : NULL);
        tail = clip_ps(tail, s->minus, s->bound);
    }
    for (size_t k = 0; k < RUN - 1; k++)
        if (k < rest)
            _mm256_storeu_ps(y + i + k * VEC, finish8(s, v[k], scale, rounds, scaled));
    if (left > 0)
        _mm256_storeu_ps(y + n - VEC, finish8(s, tail, scale, rounds, scaled));
    return count;
}

/* Noise is drawn for up to CHUNK outputs at once, in whole groups; what is left of the last group moves before the next
 * ones. */
enum { CHUNK = 40 * RPU_GAUSS_GROUP, KEEP = RPU_GAUSS_GROUP };

struct noise {
    const struct rpu_stream *stream;
    uint64_t first;  /* the next number of the stream to be drawn */
    const float *xi; /* numbers ready */
    size_t ready;
    int once; /* nothing will be wanted after the first draw: then part of a group takes less time than all of it */
    float room[KEEP + CHUNK + RPU_GAUSS_GROUP];
};

/* Makes n <= CHUNK numbers ready: whole groups, even where the first one is wanted in part. */
static void __attribute__((noinline)) draw(struct noise *z, size_t n) {
    const size_t odd = (size_t)(z->first % RPU_GAUSS_GROUP); /* only at the start, when nothing is ready */
    const size_t want = n - z->ready + odd;
    const size_t whole = (want + RPU_GAUSS_GROUP - 1) / RPU_GAUSS_GROUP * RPU_GAUSS_GROUP;
    const size_t drawn = z->once && want <= RPU_GAUSS_GROUP ? want : whole;
    for (size_t k = 0; z->ready > 0 && k < KEEP; k += VEC)
        _mm256_storeu_ps(z->room + k, _mm256_loadu_ps(z->xi + z->ready - KEEP + k));
    K(gaussian)(z->stream, z->first - odd, drawn, z->room + KEEP - odd);
    z->xi = z->room + KEEP - z->ready;
    z->ready += drawn - odd;
    z->first += drawn - odd;
}

/* The next n <= CHUNK numbers. */
INLINE const float *take(struct noise *z, size_t n, int noise) {
    const float *xi;
    if (!noise)
        return z->room;
    if (z->ready < n)
        draw(z, n);
    xi = z->xi;
    z->xi += n;
    z->ready -= n;
    return xi;
}

/* Counts flags from bit `at` on, n of them. */
static uint32_t count_flags(const uint8_t *flags, size_t at, size_t n) {
    uint32_t count = 0;
    for (size_t i = at; i < at + n; i++)
        count += (uint32_t)flags[i / VEC] >> (i % VEC) & 1u;
    return count;
}

/* Flags of CHUNK outputs, in whole vectors. */
enum { FLAGS = (CHUNK / VEC + 31) / 32 * 32 };

/* Outputs without gaps: columns matter only where something saturates. */
static void count_flat(size_t n, size_t at, size_t part, uint8_t *flags, uint32_t *saturated) {
    for (size_t i = at; i < at + part;) {
        const size_t c = i / n, end = (c + 1) * n < at + part ? (c + 1) * n : at + part;
        saturated[c] += count_flags(flags, i - at, end - i);
        i = end;
    }
    clear_vectors(flags, FLAGS);
}

INLINE void epilogue_flat(size_t columns, size_t n, float *y, const struct stage *s, struct noise *z,
                          uint32_t *saturated, int noise, int rounds) {
    uint8_t flags[FLAGS];
    const size_t total = columns * n;
    clear_vectors(flags, FLAGS);
    memset(saturated, 0, columns * sizeof *saturated);
    for (size_t at = 0; at < total; at += CHUNK) {
        const size_t part = total - at < CHUNK ? total - at : CHUNK;
        if (stage_run(s, part, y + at, take(z, part, noise), flags, s->step, noise, rounds, 0))
            count_flat(n, at, part, flags, saturated);
    }
}

/* A column of 8 to 32 outputs: its vectors stand at 0, `second`, `third` and n - 8, and may overlap. Returns 0, with
 * nothing written, when one may saturate. */
INLINE int stage_short(const struct stage *s, size_t n, size_t second, size_t third, float *y, const float *xi,
                       __m256 scale) {
    const size_t at[RUN] = {0, second, third, n - VEC};
    __m256 v[RUN];
    for (size_t k = 0; k < RUN; k++)
        v[k] = noisy8(s, y + at[k], xi + at[k], 1);
    if (may_reach(s, larger(v[3], larger(v[2], larger(v[1], abs_ps(v[0]))))))
        return 0;
    for (size_t k = 0; k < RUN; k++)
        _mm256_storeu_ps(y + at[k], finish8(s, v[k], scale, 1, 1));
    return 1;
}

INLINE __m256 column_scale(const struct stage *s, const float *scale, int rounds) {
    const __m256 v = _mm256_broadcast_ss(scale);
    return rounds ? _mm256_mul_ps(s->step, v) : v;
}

/* Columns of 8 to 32 outputs with everything: noise, at xi, and a converter. A function of its own has its pointers in
 * registers. */
static void __attribute__((noinline)) columns_short(size_t columns, size_t n, float *y, size_t ldy,
                                                    const struct stage *stage, const float *xi, const float *scale,
                                                    uint32_t *saturated) {
    const struct stage s = *stage;
    const size_t second = n >= 2 * VEC ? VEC : 0, third = n >= 3 * VEC ? 2 * VEC : second;
    for (size_t c = 0; c < columns; c++) {
        const __m256 v = column_scale(&s, scale + c, 1);
        uint32_t count = 0;
        if (!stage_short(&s, n, second, third, y, xi, v))
            count = stage_run(stage, n, y, xi, NULL, v, 1, 1, 1);
        saturated[c] = count;
        y += ldy;
        xi += n;
    }
}

INLINE void columns_long(size_t columns, size_t n, float *y, size_t ldy, const struct stage *s, struct noise *z,
                         const float *scale, uint32_t *saturated, int noise, int rounds) {
    for (size_t c = 0; c < columns; c++) {
        const __m256 v = column_scale(s, scale + c, rounds);
        uint32_t count = 0;
        for (size_t i = 0; i < n; i += CHUNK) {
            const size_t part = n - i < CHUNK ? n - i : CHUNK;
            count += stage_run(s, part, y + c * ldy + i, take(z, part, noise), NULL, v, noise, rounds, 1);
        }
        saturated[c] = count;
    }
}

static void clear_columns(size_t columns, size_t n, float *y, size_t ldy, const float *scale) {
    for (size_t c = 0; c < columns; c++)
        if (scale[c] == 0.0f)
            memset(y + c * ldy, 0, n * sizeof *y);
}

/* One column after the other, the noise of as many as fit drawn at once. */
INLINE void epilogue_columns(size_t columns, size_t n, float *y, size_t ldy, const struct stage *s, struct noise *z,
                             const float *scale, uint32_t *saturated, int noise, int rounds) {
    size_t batch = columns;
    if (columns > 1 && columns * n > CHUNK) {
        const size_t fit = n < CHUNK ? CHUNK / n : 1, batches = (columns + fit - 1) / fit;
        batch = (columns + batches - 1) / batches;
    }
    for (size_t c = 0; c < columns; c += batch) {
        const size_t part = columns - c < batch ? columns - c : batch;
        float *block = y + c * ldy;
        if (noise && rounds && n >= VEC && n <= RUN * VEC)
            columns_short(part, n, block, ldy, s, take(z, part * n, 1), scale + c, saturated + c);
        else {
            if (noise && part > 1 && z->ready < part * n)
                draw(z, part * n);
            columns_long(part, n, block, ldy, s, z, scale + c, saturated + c, noise, rounds);
        }
        clear_columns(part, n, block, ldy, scale + c);
    }
}

/* One column without a scale. */
INLINE uint32_t epilogue_one(size_t n, float *y, const struct stage *s, struct noise *z, int noise, int rounds) {
    uint32_t count = 0;
    for (size_t i = 0; i < n; i += CHUNK) {
        const size_t part = n - i < CHUNK ? n - i : CHUNK;
        count += stage_run(s, part, y + i, take(z, part, noise), NULL, s->step, noise, rounds, 0);
    }
    return count;
}

INLINE void epilogue_any(size_t columns, size_t n, float *y, size_t ldy, const struct stage *s, struct noise *z,
                         const float *scale, uint32_t *saturated, int noise, int rounds) {
    if (scale)
        epilogue_columns(columns, n, y, ldy, s, z, scale, saturated, noise, rounds);
    else if (ldy == n && columns > 1)
        epilogue_flat(columns, n, y, s, z, saturated, noise, rounds);
    else
        for (size_t c = 0; c < columns; c++)
            saturated[c] = epilogue_one(n, y + c * ldy, s, z, noise, rounds);
}

void K(epilogue)(size_t columns, size_t n, float *y, size_t ldy, const struct rpu_output_stage *stage, uint64_t first,
                 const float *scale, uint32_t *saturated) {
    const int rounds = stage->steps > 0.0f;
    const struct stage s = {_mm256_set1_ps(stage->sigma), _mm256_set1_ps(stage->bound), _mm256_set1_ps(-stage->bound),
                            _mm256_set1_ps(stage->steps), _mm256_set1_ps(stage->step)};
    struct noise z;
    z.stream = &stage->stream;
    z.first = first;
    z.xi = stage->noise ? stage->noise : z.room;
    z.ready = stage->noise ? columns * n : 0;
    z.once = columns == 1 && n <= RPU_GAUSS_GROUP;
    if (stage->sigma > 0.0f && rounds)
        epilogue_any(columns, n, y, ldy, &s, &z, scale, saturated, 1, 1);
    else if (stage->sigma > 0.0f)
        epilogue_any(columns, n, y, ldy, &s, &z, scale, saturated, 1, 0);
    else if (rounds)
        epilogue_any(columns, n, y, ldy, &s, &z, scale, saturated, 0, 1);
    else
        epilogue_any(columns, n, y, ldy, &s, &z, scale, saturated, 0, 0);
}
