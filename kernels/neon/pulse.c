/* SPDX-License-Identifier: Apache-2.0 */
/* The stochastic pulsed update. Rows and slots that fire are found from the bit planes; the inputs that fire in a slot
 * are listed once a vector, and each row that fires there steps them four at a time: gathered lanes, a dense stream of
 * noise that runs on from row to row, scattered lanes. */
#include "neon.h"

#define SIGN 0x80000000u

/* The parts of the scratch memory. A plane has one word of zeros behind it. */
struct work {
    uint16_t *row_hi, *row_lo; /* thresholds of all the block's rows, column + i flat */
    uint64_t *row_planes;      /* bl planes over the same */
    uint16_t *col_hi, *col_lo; /* thresholds of one vector's inputs */
    uint64_t *col_planes;      /* bl planes over n */
    size_t *col_ones;          /* ones in each of them */
    uint32_t *hits, *signs;    /* for each slot: the inputs that fire, and their sign bits */
    size_t row_stride, col_stride, col_words, hit_stride;
    struct philox col_bits, noise; /* begun once: the vectors of the block share the keys */
};

static struct work begin_work(const struct rpu_pulse_args *a) {
    const size_t flat = a->columns * a->m;
    struct work w;
    w.row_stride = (flat + 63) / 64 + 1;
    w.col_words = (a->n + 63) / 64;
    w.col_stride = w.col_words + 1;
    w.row_planes = a->scratch;
    w.col_planes = w.row_planes + w.row_stride * a->bl;
    w.col_ones = (size_t *)(w.col_planes + w.col_stride * a->bl);
    w.hit_stride = a->n + VEC;
    w.hits = (uint32_t *)(w.col_ones + a->bl);
    w.signs = w.hits + w.hit_stride * a->bl;
    w.row_hi = (uint16_t *)(w.signs + w.hit_stride * a->bl);
    w.row_lo = w.row_hi + flat;
    w.col_hi = w.row_lo + flat;
    w.col_lo = w.col_hi + a->n;
    w.col_bits = philox_begin(&a->col_bits);
    w.noise = philox_begin(&a->noise);
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
        if (a->row0 > 0)
            K(threshold)(a->row0, c, d, hi, lo);
        counts->clipped += K(threshold)(a->row1 - a->row0, c, d + a->row0, hi + a->row0, lo + a->row0);
        if (a->row1 < a->m)
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

/* Draws the column pulses of vector p in the slots that need them. Returns whether any does. */
static int column_pulses(const struct rpu_pulse_args *a, struct work *w, size_t p, struct rpu_pulse_counts *counts) {
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
        philox_counter(&w->col_bits, bits.key, bits.ctr);
        w->col_ones[s] =
            rpu_neon_bernoulli(&w->col_bits, &ties, 0, a->n, w->col_hi, w->col_lo, w->col_planes + s * w->col_stride);
        if (a->row0 == 0)
            counts->column_pulses += w->col_ones[s];
    }
    if (count_clipped && !any)
        clipped = K(threshold)(a->n, a->gain_x[p], x, w->col_hi, w->col_lo);
    if (count_clipped)
        counts->clipped += clipped;
    return any;
}

/* The inputs that fire in each slot, which every row that fires there meets. The last hit stands three times more
 * behind the end. */
static void list_hits(const struct rpu_pulse_args *a, const struct work *w, const float *x) {
    for (uint32_t s = 0; s < a->bl; s++) {
        uint32_t *at = w->hits + s * w->hit_stride, *sign = w->signs + s * w->hit_stride, last = 0;
        const uint64_t *plane = w->col_planes + s * w->col_stride;
        if (w->col_ones[s] == 0)
            continue;
        for (size_t word = 0; word < w->col_words; word++)
            for (uint64_t left = plane[word]; left; left &= left - 1) {
                last = (uint32_t)(word * 64) + (uint32_t)__builtin_ctzll(left);
                *at++ = last;
                *sign++ = rpu_bits(x[last]) & SIGN;
            }
        for (int k = 1; k < VEC; k++) {
            *at++ = last;
            *sign++ = 0;
        }
    }
}

/* ---- one row in one slot ---- */

struct step {
    float32x4_t step_unit, bound_unit, ctoc;
};

/* A row that fires: its weights and parameters, the sign of its error. */
struct row {
    float *w;
    const uint16_t *dev;
    uint32x4_t sign;
};

/* The parameters of four crosspoints as words: up | down << 16, and upper | lower << 16. */
INLINE uint32x4x2_t load_devices(const uint16_t *dev, const uint32_t *at) {
    const uint16x8_t a = vcombine_u16(vld1_u16(dev + 4 * (size_t)at[0]), vld1_u16(dev + 4 * (size_t)at[1]));
    const uint16x8_t b = vcombine_u16(vld1_u16(dev + 4 * (size_t)at[2]), vld1_u16(dev + 4 * (size_t)at[3]));
    return vuzpq_u32(vreinterpretq_u32_u16(a), vreinterpretq_u32_u16(b));
}

/* Four coincidences of a row at the inputs in `at`, the first n of which count. FMIN and FMAX keep a NaN weight; the
 * bounds are no NaN. */
INLINE void step_hits(const struct row *r, const uint32_t *at, const uint32_t *sign, size_t n, const struct step *c,
                      const float *xi, int noisy) {
    const uint32x4_t half = vdupq_n_u32(0xffffu);
    const uint32x4x2_t dev = load_devices(r->dev, at);
    const uint32x4_t turn = veorq_u32(vld1q_u32(sign), r->sign);
    const uint32x4_t down = vreinterpretq_u32_s32(vshrq_n_s32(vreinterpretq_s32_u32(turn), 31));
    const uint32x4_t size = vbslq_u32(down, vshrq_n_u32(dev.val[0], 16), vandq_u32(dev.val[0], half));
    const float32x4_t magnitude = vmulq_f32(vcvtq_f32_u32(size), c->step_unit);
    const float32x4_t delta = vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(magnitude), turn));
    const float32x4_t upper = vmulq_f32(vcvtq_f32_u32(vandq_u32(dev.val[1], half)), c->bound_unit);
    const float32x4_t lower = vmulq_f32(vcvtq_f32_u32(vshrq_n_u32(dev.val[1], 16)), c->bound_unit);
    float32x4_t v = vld1q_dup_f32(r->w + at[0]);
    v = vld1q_lane_f32(r->w + at[1], v, 1);
    v = vld1q_lane_f32(r->w + at[2], v, 2);
    v = vld1q_lane_f32(r->w + at[3], v, 3);
    if (noisy)
        v = vfmaq_f32(v, delta, vfmaq_f32(vdupq_n_f32(1.0f), c->ctoc, vld1q_f32(xi)));
    else
        v = vaddq_f32(v, delta);
    /* no FMAX: of -0 and a lower bound of +0 the weight stays as it is */
    const float32x4_t low = vsubq_f32(vdupq_n_f32(0.0f), lower);
    v = vminq_f32(v, upper);
    v = vbslq_f32(vcltq_f32(v, low), low, v);
    vst1q_lane_f32(r->w + at[0], v, 0);
    if (n > 1)
        vst1q_lane_f32(r->w + at[1], v, 1);
    if (n > 2)
        vst1q_lane_f32(r->w + at[2], v, 2);
    if (n > 3)
        vst1q_lane_f32(r->w + at[3], v, 3);
}

/* All coincidences of a row in one slot. */
INLINE void apply_slot(const struct row *r, const struct work *w, uint32_t slot, const struct step *c, struct noise *z,
                       int noisy) {
    const uint32_t *at = w->hits + slot * w->hit_stride, *sign = w->signs + slot * w->hit_stride;
    for (size_t left = w->col_ones[slot]; left > 0;) {
        const size_t ready = noisy ? noise_ready(z) : left;
        if (ready < left && ready < VEC) {
            noise_fill(z);
            continue;
        }
        const size_t n = left <= ready ? left : ready / VEC * VEC;
        const float *xi = z->xi + z->at;
        size_t k = 0;
        for (; k + VEC <= n; k += VEC)
            step_hits(r, at + k, sign + k, VEC, c, xi + k, noisy);
        if (k < n)
            step_hits(r, at + k, sign + k, n - k, c, xi + k, noisy);
        z->at += noisy ? n : 0;
        at += n;
        sign += n;
        left -= n;
    }
}

/* ---- one vector ---- */

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
            const struct row r = {a->w + i * ldw, a->dev + i * ldw * 4,
                                  vdupq_n_u32(rpu_bits(a->d[p * a->ldd + i]) & SIGN)};
            for (uint32_t s = 0; s < a->bl; s++)
                if (w->col_ones[s] > 0 && (bits_at(w->row_planes + s * w->row_stride, base + i) & 1u))
                    apply_slot(&r, w, s, &c, z, noisy);
        }
    }
}

/* Ordinals count over all rows: those of the rows before the range are skipped, without their noise. */
static void apply_vector(const struct rpu_pulse_args *a, struct work *w, size_t p, struct rpu_pulse_counts *counts) {
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
    list_hits(a, w, a->x + p * a->ldx);
    philox_counter(&w->noise, stream.key, stream.ctr);
    if (rpu_pulse_narrow(a->m, a->n))
        noise_begin_blocks(&z, &w->noise, before, hits);
    else
        noise_begin(&z, &w->noise, before, hits);
    if (a->ctoc > 0.0f)
        apply_rows(a, w, p, &z, 1);
    else
        apply_rows(a, w, p, &z, 0);
}

void K(pulse)(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    struct work w = begin_work(args);
    row_pulses(args, &w, counts);
    for (size_t p = 0; p < args->columns; p++)
        if (args->gain_d[p] != 0.0f && column_pulses(args, &w, p, counts))
            apply_vector(args, &w, p, counts);
}

/* ---- update management ---- */

void K(gains)(size_t count, float c, int managed, const float *x_max, const float *d_max, float *gain_x, float *gain_d) {
    const float32x4_t scale = vdupq_n_f32(c), zero = vdupq_n_f32(0.0f);
    for (size_t p = 0; p < count; p += VEC) {
        const size_t n = count - p < VEC ? count - p : VEC;
        const float32x4_t x = load_upto(x_max + p, n), d = load_upto(d_max + p, n);
        const float32x4_t root = managed ? vsqrtq_f32(vdivq_f32(d, x)) : vdupq_n_f32(1.0f);
        uint32x4_t pulses = vandq_u32(vcgtq_f32(x, zero), vcgtq_f32(d, zero));
        pulses = vandq_u32(pulses, vandq_u32(vcgtq_f32(root, zero), vcltq_f32(root, vdupq_n_f32(INFINITY))));
        const uint32x4_t up = vreinterpretq_u32_f32(vmulq_f32(scale, root));
        const uint32x4_t down = vreinterpretq_u32_f32(vdivq_f32(scale, root));
        store_upto(gain_x + p, vreinterpretq_f32_u32(vandq_u32(up, pulses)), n);
        store_upto(gain_d + p, vreinterpretq_f32_u32(vandq_u32(down, pulses)), n);
    }
}
