/* SPDX-License-Identifier: Apache-2.0 */
/* The periphery: maxima, input converter, output stage. Rows of any length: whole vectors, then one partial one. */
#include "neon.h"

/* |x| > |m| is false for a NaN, so the largest is kept with its sign until the end. */
INLINE float32x4_t larger(float32x4_t x, float32x4_t m) {
    return vbslq_f32(vcagtq_f32(x, m), x, m);
}

/* Four running maxima hide the latency of compare and select. */
static float column_max(size_t n, const float *x) {
    float32x4_t m[4] = {vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f)};
    size_t j = 0;
    for (; j + 4 * VEC <= n; j += 4 * VEC) {
        UNROLL
        for (size_t k = 0; k < 4; k++)
            m[k] = larger(vld1q_f32(x + j + k * VEC), m[k]);
    }
    for (; j + VEC <= n; j += VEC)
        m[0] = larger(vld1q_f32(x + j), m[0]);
    if (j < n)
        m[1] = larger(load_part(x + j, n - j), m[1]);
    return vmaxvq_f32(vabsq_f32(larger(larger(m[0], m[1]), larger(m[2], m[3]))));
}

void K(absmax)(size_t columns, size_t n, const float *x, size_t ldx, float *out) {
    for (size_t p = 0; p < columns; p++)
        out[p] = column_max(n, x + p * ldx);
}

/* ---- input converter ---- */

struct dac {
    float32x4_t gain, steps, step;
};

INLINE float32x4_t dac4(float32x4_t x, const struct dac *c, int scaled, int convert) {
    const float32x4_t v = clip_f32(scaled ? vmulq_f32(x, c->gain) : x, vdupq_n_f32(1.0f));
    return convert ? vmulq_f32(round_product(v, c->steps), c->step) : v;
}

INLINE void dac_row(size_t n, const float *x, const struct dac *c, int scaled, int convert, float *q) {
    size_t j = 0;
    for (; j + 2 * VEC <= n; j += 2 * VEC) {
        vst1q_f32(q + j, dac4(vld1q_f32(x + j), c, scaled, convert));
        vst1q_f32(q + j + VEC, dac4(vld1q_f32(x + j + VEC), c, scaled, convert));
    }
    for (; j < n; j += VEC)
        store_upto(q + j, dac4(load_upto(x + j, n - j), c, scaled, convert), n - j);
}

void K(dac)(size_t columns, size_t n, const float *x, size_t ldx, const float *gain, float steps, float step, float *q,
            size_t ldq) {
    for (size_t p = 0; p < columns; p++) {
        const struct dac c = {vdupq_n_f32(gain ? gain[p] : 1.0f), vdupq_n_f32(steps), vdupq_n_f32(step)};
        if (gain && steps > 0.0f)
            dac_row(n, x + p * ldx, &c, 1, 1, q + p * ldq);
        else if (gain)
            dac_row(n, x + p * ldx, &c, 1, 0, q + p * ldq);
        else if (steps > 0.0f)
            dac_row(n, x + p * ldx, &c, 0, 1, q + p * ldq);
        else
            dac_row(n, x + p * ldx, &c, 0, 0, q + p * ldq);
    }
}

/* ---- output stage ---- */

struct stage {
    float32x4_t sigma, bound, steps, step; /* step: times the scale; without a converter the scale alone */
};

/* Four outputs; adds the saturated ones to `count`, lane by lane. */
INLINE float32x4_t stage4(float32x4_t y, float32x4_t xi, const struct stage *s, int noisy, int convert,
                          uint32x4_t *over) {
    const float32x4_t v = clip_f32(noisy ? vfmaq_f32(y, s->sigma, xi) : y, s->bound);
    *over = vcageq_f32(v, s->bound);
    return vmulq_f32(convert ? round_product(v, s->steps) : v, s->step);
}

INLINE uint32_t stage_row(size_t n, float *y, const float *xi, const struct stage *s, int noisy, int convert) {
    const float32x4_t none = vdupq_n_f32(0.0f);
    uint32x4_t count = vdupq_n_u32(0), over;
    size_t i = 0;
    for (; i + VEC <= n; i += VEC) {
        vst1q_f32(y + i, stage4(vld1q_f32(y + i), noisy ? vld1q_f32(xi + i) : none, s, noisy, convert, &over));
        count = vsubq_u32(count, over);
    }
    uint32_t saturated = 0;
    if (i < n) {
        const size_t rest = n - i;
        float part[VEC];
        uint32_t flags[VEC];
        vst1q_f32(part,
                  stage4(load_part(y + i, rest), noisy ? load_part(xi + i, rest) : none, s, noisy, convert, &over));
        vst1q_u32(flags, over);
        for (size_t k = 0; k < rest; k++) {
            y[i + k] = part[k];
            saturated += flags[k] & 1u;
        }
    }
    return saturated + vaddvq_u32(count);
}

static uint32_t stage_part(size_t n, float *y, const float *xi, const struct stage *s, int convert) {
    if (xi)
        return convert ? stage_row(n, y, xi, s, 1, 1) : stage_row(n, y, xi, s, 1, 0);
    return convert ? stage_row(n, y, xi, s, 0, 1) : stage_row(n, y, xi, s, 0, 0);
}

/* One column; its noise is the next n numbers of the window, which the columns share. */
static uint32_t stage_column(size_t n, float *y, struct noise *z, const struct stage *s, int convert) {
    uint32_t saturated = 0;
    for (size_t i = 0; i < n;) {
        if (noise_ready(z) == 0)
            noise_fill(z);
        const size_t part = n - i < noise_ready(z) ? n - i : noise_ready(z);
        saturated += stage_part(part, y + i, z->xi + z->at, s, convert);
        z->at += part;
        i += part;
    }
    return saturated;
}

void K(epilogue)(size_t columns, size_t n, float *y, size_t ldy, const struct rpu_output_stage *stage, uint64_t first,
                 const float *scale, uint32_t *saturated) {
    const int noisy = stage->sigma > 0.0f, convert = stage->steps > 0.0f, drawn = noisy && stage->noise;
    struct stage s = {vdupq_n_f32(stage->sigma), vdupq_n_f32(stage->bound), vdupq_n_f32(stage->steps),
                      vdupq_n_f32(convert ? stage->step : 1.0f)};
    const struct philox stream = philox_begin(&stage->stream);
    struct noise z;
    noise_begin(&z, &stream, first, (uint64_t)columns * n);
    for (size_t p = 0; p < columns; p++) {
        if (scale)
            s.step = vdupq_n_f32(convert ? stage->step * scale[p] : scale[p]);
        if (noisy && !drawn)
            saturated[p] = stage_column(n, y + p * ldy, &z, &s, convert);
        else
            saturated[p] = stage_part(n, y + p * ldy, drawn ? stage->noise + p * n : NULL, &s, convert);
        if (scale && scale[p] == 0.0f)
            memset(y + p * ldy, 0, n * sizeof *y);
    }
}
