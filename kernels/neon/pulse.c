/* SPDX-License-Identifier: Apache-2.0 */
/* The stochastic pulsed update. Rows and slots that fire are found from the bit planes; within a row, only lines of
 * eight crosspoints with a hit are touched. The noise of the hits is one dense stream for the vector, spread over the
 * lanes of a line by the hits' mask. */
#include "neon.h"

enum { LINE = RPU_DEV_LANES };

/* The parts of the scratch memory. A plane has one word of zeros behind it. */
struct work {
    uint16_t *row_hi, *row_lo; /* thresholds of all the block's rows, column + i flat */
    uint64_t *row_planes;      /* bl planes over the same */
    uint16_t *col_hi, *col_lo; /* thresholds of one vector's inputs */
    uint64_t *col_planes;      /* bl planes over n */
    size_t *col_ones;          /* ones in each of them */
    uint16_t *negative;        /* all ones where the input is negative, whole lines */
    size_t row_stride, col_stride, col_words;
};

static struct work divide_scratch(const struct rpu_pulse_args *a) {
    const size_t flat = a->columns * a->m;
    struct work w;
    w.row_stride = (flat + 63) / 64 + 1;
    w.col_words = (a->n + 63) / 64;
    w.col_stride = w.col_words + 1;
    w.row_planes = a->scratch;
    w.col_planes = w.row_planes + w.row_stride * a->bl;
    w.col_ones = (size_t *)(w.col_planes + w.col_stride * a->bl);
    w.negative = (uint16_t *)(w.col_ones + a->bl);
    w.row_hi = w.negative + rpu_padded(a->n);
    w.row_lo = w.row_hi + flat;
    w.col_hi = w.row_lo + flat;
    w.col_lo = w.col_hi + a->n;
    return w;
}

/* 64 bits of a plane from bit `at` on. */
INLINE uint64_t bits_at(const uint64_t *plane, size_t at) {
    const size_t shift = at % 64;
    const uint64_t low = plane[at / 64] >> shift;
    return shift == 0 ? low : low | plane[at / 64 + 1] << (64 - shift);
}

/* Bits [at, at + count), count <= 64. */
INLINE uint64_t bits_in(const uint64_t *plane, size_t at, size_t count) {
    const uint64_t bits = bits_at(plane, at);
    return count >= 64 ? bits : bits & ((UINT64_C(1) << count) - 1);
}

static uint64_t count_bits(const uint64_t *plane, size_t from, size_t to) {
    uint64_t ones = 0;
    for (; from < to; from += 64)
        ones += (uint64_t)__builtin_popcountll(bits_in(plane, from, to - from));
    return ones;
}

static struct rpu_stream at_column(const struct rpu_stream *stream, uint32_t column, uint32_t slot) {
    struct rpu_stream s = *stream;
    s.ctr[2] = rpu_counter_column(column, slot);
    return s;
}

static void row_pulses(const struct rpu_pulse_args *a, const struct work *w, struct rpu_pulse_counts *counts) {
    const size_t flat = a->columns * a->m;
    for (size_t p = 0; p < a->columns; p++) {
        const float c = a->gain_d[p], *d = a->d + p * a->ldd;
        uint16_t *hi = w->row_hi + p * a->m, *lo = w->row_lo + p * a->m;
        K(threshold)(a->row0, c, d, hi, lo);
        counts->clipped += K(threshold)(a->row1 - a->row0, c, d + a->row0, hi + a->row0, lo + a->row0);
        K(threshold)(a->m - a->row1, c, d + a->row1, hi + a->row1, lo + a->row1);
    }
    for (uint32_t s = 0; s < a->bl; s++) {
        const struct rpu_stream bits = at_column(&a->row_bits, 0, s), ties = at_column(&a->row_ties, 0, s);
        uint64_t *plane = w->row_planes + s * w->row_stride;
        K(bernoulli)(&bits, &ties, (uint64_t)a->column * a->m, flat, w->row_hi, w->row_lo, plane);
        plane[w->row_stride - 1] = 0;
    }
}

/* Some row of vector p fires in slot s. */
static int slot_fires(const struct rpu_pulse_args *a, const struct work *w, size_t p, uint32_t s) {
    const uint64_t *plane = w->row_planes + s * w->row_stride;
    for (size_t i = 0; i < a->m; i += 64)
        if (bits_in(plane, p * a->m + i, a->m - i))
            return 1;
    return 0;
}

static void column_signs(size_t n, const float *x, uint16_t *negative) {
    for (size_t j = 0; j < n; j += LINE) {
        const float32x4_t low = load_upto(x + j, n - j);
        const float32x4_t high = n - j > VEC ? load_upto(x + j + VEC, n - j - VEC) : low;
        const uint16x8_t tops = vuzp2q_u16(vreinterpretq_u16_f32(low), vreinterpretq_u16_f32(high));
        vst1q_u16(negative + j, vreinterpretq_u16_s16(vshrq_n_s16(vreinterpretq_s16_u16(tops), 15)));
    }
}

/* Draws the column pulses of vector p in the slots that need them. Returns whether any does. */
static int column_pulses(const struct rpu_pulse_args *a, const struct work *w, size_t p,
                         struct rpu_pulse_counts *counts) {
    const uint32_t column = a->column + (uint32_t)p;
    const float *x = a->x + p * a->ldx;
    const int count_clipped = a->row0 == 0 && a->gain_x[p] * a->peak[p] > 1.0f;
    size_t clipped = 0;
    int any = 0;
    for (uint32_t s = 0; s < a->bl; s++) {
        w->col_ones[s] = 0;
        if (!slot_fires(a, w, p, s))
            continue;
        if (!any)
            clipped = K(threshold)(a->n, a->gain_x[p], x, w->col_hi, w->col_lo);
        any = 1;
        const struct rpu_stream bits = at_column(&a->col_bits, column, s), ties = at_column(&a->col_ties, column, s);
        w->col_ones[s] = K(bernoulli)(&bits, &ties, 0, a->n, w->col_hi, w->col_lo, w->col_planes + s * w->col_stride);
        if (a->row0 == 0)
            counts->column_pulses += w->col_ones[s];
    }
    if (count_clipped && !any)
        clipped = K(threshold)(a->n, a->gain_x[p], x, w->col_hi, w->col_lo);
    if (count_clipped)
        counts->clipped += clipped;
    return any;
}

/* ---- one line of eight crosspoints ---- */

struct step {
    float32x4_t step_unit, bound_unit, ctoc;
};

/* Byte picks that move the first numbers of a vector to the lanes of a mask, in order. */
#define R0 0x03020100u
#define R1 0x07060504u
#define R2 0x0b0a0908u
#define R3 0x0f0e0d0cu
#define NO 0xffffffffu
static const uint32_t spread[16][VEC] = {
    {NO, NO, NO, NO}, {R0, NO, NO, NO}, {NO, R0, NO, NO}, {R0, R1, NO, NO},
    {NO, NO, R0, NO}, {R0, NO, R1, NO}, {NO, R0, R1, NO}, {R0, R1, R2, NO},
    {NO, NO, NO, R0}, {R0, NO, NO, R1}, {NO, R0, NO, R1}, {R0, R1, NO, R2},
    {NO, NO, R0, R1}, {R0, NO, R1, R2}, {NO, R0, R1, R2}, {R0, R1, R2, R3},
};

INLINE float32x4_t spread_noise(const float *xi, unsigned nibble) {
    const uint8x16_t pick = vreinterpretq_u8_u32(vld1q_u32(spread[nibble]));
    return vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(vld1q_f32(xi)), pick));
}

/* Four crosspoints, those of `nibble` change. The parameters are 16-bit numbers widened; `down` is all ones in the
 * lanes of negative steps. FMIN and FMAX keep a NaN weight, and the bounds are no NaN. */
INLINE void step4(float *w, uint32x4_t size, uint32x4_t upper, uint32x4_t lower, uint32x4_t down, unsigned nibble,
                  const struct step *c, const float *xi, int noisy) {
    static const uint32_t lane_bits[VEC] = {1, 2, 4, 8};
    const uint32x4_t hit = vtstq_u32(vdupq_n_u32(nibble), vld1q_u32(lane_bits));
    const float32x4_t old = vld1q_f32(w);
    const uint32x4_t magnitude = vreinterpretq_u32_f32(vmulq_f32(vcvtq_f32_u32(size), c->step_unit));
    const float32x4_t delta =
        vreinterpretq_f32_u32(veorq_u32(magnitude, vandq_u32(down, vdupq_n_u32(0x80000000u))));
    float32x4_t v;
    if (noisy)
        v = vfmaq_f32(old, delta, vfmaq_f32(vdupq_n_f32(1.0f), c->ctoc, spread_noise(xi, nibble)));
    else
        v = vaddq_f32(old, delta);
    v = vminq_f32(v, vmulq_f32(vcvtq_f32_u32(upper), c->bound_unit));
    v = vmaxq_f32(v, vnegq_f32(vmulq_f32(vcvtq_f32_u32(lower), c->bound_unit)));
    vst1q_f32(w, vbslq_f32(hit, v, old));
}

/* Returns the noise behind what the line used. */
INLINE const float *step_line(float *w, const uint16_t *dev, uint16x8_t down, unsigned mask, const struct step *c,
                              const float *xi, int noisy) {
    const uint16x8_t size = vbslq_u16(down, vld1q_u16(dev + LINE), vld1q_u16(dev));
    const uint16x8_t upper = vld1q_u16(dev + 2 * LINE), lower = vld1q_u16(dev + 3 * LINE);
    const unsigned low = mask & 15u, high = mask >> 4;
    step4(w, vmovl_u16(vget_low_u16(size)), vmovl_u16(vget_low_u16(upper)), vmovl_u16(vget_low_u16(lower)),
          vshll_n_u16(vget_low_u16(down), 16), low, c, xi, noisy);
    if (noisy)
        xi += __builtin_popcount(low);
    step4(w + VEC, vmovl_high_u16(size), vmovl_high_u16(upper), vmovl_high_u16(lower), vshll_high_n_u16(down, 16),
          high, c, xi, noisy);
    return noisy ? xi + __builtin_popcount(high) : xi;
}

/* ---- one vector ---- */

/* A row that fires: its weights and parameters, and which way a positive input steps. */
struct row {
    float *w;
    const uint16_t *dev;
    uint16x8_t sign;
};

/* All coincidences of a row in one slot. */
INLINE void apply_slot(const struct row *r, const struct work *w, const uint64_t *plane, const struct step *c,
                       struct noise *z, int noisy) {
    for (size_t word = 0; word < w->col_words; word++) {
        uint64_t left = plane[word];
        if (noisy && left && z->end - z->at < 64)
            noise_fill(z);
        const float *xi = z->xi + z->at;
        while (left) {
            const unsigned shift = (unsigned)__builtin_ctzll(left) & ~7u;
            const size_t line = word * 8 + shift / 8;
            const uint16x8_t down = veorq_u16(vld1q_u16(w->negative + line * LINE), r->sign);
            xi = step_line(r->w + line * LINE, r->dev + line * RPU_DEV_LINE, down, (unsigned)(left >> shift) & 255u, c,
                           xi, noisy);
            left &= ~(UINT64_C(255) << shift);
        }
        z->at = (size_t)(xi - z->xi);
    }
}

INLINE void apply_rows(const struct rpu_pulse_args *a, const struct work *w, size_t p, struct noise *z, int noisy) {
    const struct step c = {vdupq_n_f32(a->step_unit), vdupq_n_f32(a->bound_unit), vdupq_n_f32(a->ctoc)};
    const size_t ldw = rpu_padded(a->n), base = p * a->m;
    for (size_t i0 = a->row0; i0 < a->row1; i0 += 64) {
        const size_t rows = a->row1 - i0;
        uint64_t fires = 0;
        for (uint32_t s = 0; s < a->bl; s++)
            if (w->col_ones[s] > 0)
                fires |= bits_in(w->row_planes + s * w->row_stride, base + i0, rows);
        for (; fires; fires &= fires - 1) {
            const size_t i = i0 + (size_t)__builtin_ctzll(fires);
            const uint32_t sign = rpu_bits(a->d[p * a->ldd + i]) >> 31;
            const struct row r = {a->w + i * ldw, a->dev + i * ldw * 4, vdupq_n_u16((uint16_t)(0u - sign))};
            for (uint32_t s = 0; s < a->bl; s++)
                if (w->col_ones[s] > 0 && (bits_at(w->row_planes + s * w->row_stride, base + i) & 1u))
                    apply_slot(&r, w, w->col_planes + s * w->col_stride, &c, z, noisy);
        }
    }
}

/* Ordinals count over all rows: those of the rows before the range are skipped, without their noise. */
static void apply_vector(const struct rpu_pulse_args *a, const struct work *w, size_t p,
                         struct rpu_pulse_counts *counts) {
    const struct rpu_stream stream = at_column(&a->noise, a->column + (uint32_t)p, 0);
    const size_t base = p * a->m;
    uint64_t before = 0, hits = 0;
    struct noise z;
    for (uint32_t s = 0; s < a->bl; s++) {
        const uint64_t *plane = w->row_planes + s * w->row_stride;
        const uint64_t rows = count_bits(plane, base + a->row0, base + a->row1);
        counts->row_pulses += rows;
        hits += rows * w->col_ones[s];
        before += count_bits(plane, base, base + a->row0) * w->col_ones[s];
    }
    counts->coincidences += hits;
    if (hits == 0)
        return;
    column_signs(a->n, a->x + p * a->ldx, w->negative);
    noise_begin(&z, &stream, before, hits);
    if (a->ctoc > 0.0f)
        apply_rows(a, w, p, &z, 1);
    else
        apply_rows(a, w, p, &z, 0);
}

void K(pulse)(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    const struct work w = divide_scratch(args);
    row_pulses(args, &w, counts);
    for (size_t p = 0; p < args->columns; p++)
        if (args->gain_d[p] != 0.0f && column_pulses(args, &w, p, counts))
            apply_vector(args, &w, p, counts);
}
