/* SPDX-License-Identifier: Apache-2.0 */
/* The periphery: maxima, input converter, output stage. */
#include "variant.h"

void K(absmax)(size_t columns, size_t n, const float *x, size_t ldx, float *out) {
    for (size_t p = 0; p < columns; p++) {
        float m = 0.0f;
        for (size_t j = 0; j < n; j++) {
            const float a = rpu_float(rpu_bits(x[p * ldx + j]) & 0x7fffffffu);
            m = a > m ? a : m;
        }
        out[p] = m;
    }
}

/* clip(x * gain, 1), rounded to multiples of `step` where there is a converter */
static void dac_column(size_t n, const float *x, float gain, float steps, float step, float *q) {
    for (size_t j = 0; j < n; j++) {
        float v = rpu_clip(x[j] * gain, 1.0f);
        q[j] = steps > 0.0f ? rpu_round_product(v, steps) * step : v;
    }
}

void K(dac)(size_t columns, size_t n, const float *x, size_t ldx, const float *gain, float steps, float step, float *q,
            size_t ldq) {
    for (size_t p = 0; p < columns; p++)
        dac_column(n, x + p * ldx, gain ? gain[p] : 1.0f, steps, step, q + p * ldq);
}

enum { CHUNK = RPU_GAUSS_GROUP * 16 };

/* Up to CHUNK outputs of one column, noise given. Returns the number of saturated ones. */
static uint32_t stage_chunk(size_t n, float *y, const float *xi, const struct rpu_output_stage *s, float scale) {
    const float step = s->step * scale;
    uint32_t saturated = 0;
    if (s->sigma > 0.0f)
        for (size_t i = 0; i < n; i++)
            y[i] = fmaf(s->sigma, xi[i], y[i]);
    for (size_t i = 0; i < n; i++) {
        const float v = rpu_clip(y[i], s->bound);
        saturated += rpu_float(rpu_bits(v) & 0x7fffffffu) >= s->bound;
        y[i] = v;
    }
    if (s->steps > 0.0f)
        for (size_t i = 0; i < n; i++)
            y[i] = rpu_round_product(y[i], s->steps) * step;
    else
        for (size_t i = 0; i < n; i++)
            y[i] *= scale;
    return saturated;
}

void K(epilogue)(size_t columns, size_t n, float *y, size_t ldy, const struct rpu_output_stage *stage, uint64_t first,
                 const float *scale, uint32_t *saturated) {
    float drawn[CHUNK];
    for (size_t p = 0; p < columns; p++) {
        float *column = y + p * ldy;
        saturated[p] = 0;
        for (size_t i = 0; i < n; i += CHUNK) {
            const size_t part = n - i < CHUNK ? n - i : CHUNK;
            const float *xi = stage->noise ? stage->noise + p * n + i : drawn;
            if (stage->sigma > 0.0f && !stage->noise)
                K(gaussian)(&stage->stream, first + p * n + i, part, drawn);
            saturated[p] += stage_chunk(part, column + i, xi, stage, scale ? scale[p] : 1.0f);
        }
        if (scale && scale[p] == 0.0f)
            memset(column, 0, n * sizeof *column);
    }
}
