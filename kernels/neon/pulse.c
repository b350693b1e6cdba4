/* SPDX-License-Identifier: Apache-2.0 */
/* The stochastic pulsed update. Trains are drawn plane by plane. When they are applied, rows and slots that fire are found
 * from the planes; the inputs that fire in a slot are listed once a vector, and each row that fires there steps them four
 * at a time: gathered lanes, a dense stream of noise that runs on from row to row, scattered lanes. */
#include "neon.h"

#include <string.h>

#define SIGN 0x80000000u

/* ---- trains of a vector ---- */

/* Words of their parts. */
struct lengths {
    size_t rows, inputs, slot, train;
};

static struct lengths lengths_of(const struct rpu_pulse_args *a) {
    const size_t rows = rpu_plane_words(a->m), inputs = rpu_plane_words(a->n);
    const struct lengths l = {rows, inputs, rows + inputs, rpu_train_words(a->m, a->n, a->bl)};
    return l;
}

INLINE uint64_t *rows_of(const struct lengths *l, uint64_t *train, uint32_t slot) {
    return train + l->slot * ((size_t)slot + 1);
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

INLINE size_t count_words(const uint64_t *plane, size_t words) {
    size_t ones = 0;
    for (size_t k = 0; k < words; k++)
        ones += (size_t)__builtin_popcountll(plane[k]);
    return ones;
}

/* Of bits [from, to). */
static uint64_t count_bits(const uint64_t *plane, size_t from, size_t to) {
    uint64_t ones = 0;
    for (; from < to; from += 64 - from % 64) {
        const uint64_t bits = plane[from / 64] >> (from % 64);
        const size_t here = 64 - from % 64, n = to - from < here ? to - from : here;
        ones += (uint64_t)__builtin_popcountll(n < 64 ? bits & ((UINT64_C(1) << n) - 1) : bits);
    }
    return ones;
}

static struct rpu_stream at_column(const struct rpu_stream *stream, uint32_t column, uint32_t slot) {
    struct rpu_stream s = *stream;
    s.ctr[2] = rpu_counter_column(column, slot);
    return s;
}

/* ---- drawing ---- */

/* The parts of the scratch memory. */
struct drawing {
    struct lengths l;
    uint16_t *row_hi, *row_lo; /* thresholds of all the block's rows, column + i flat */
    uint64_t *plane;           /* one slot's rows over the same, and a word of zeros */
    size_t words;
    uint16_t *col_hi, *col_lo; /* thresholds of one vector's inputs */
    struct philox col_bits;    /* begun once: the vectors of the block share the key */
};

static struct drawing begin_drawing(const struct rpu_pulse_args *a) {
    const size_t flat = a->columns * a->m;
    struct drawing w;
    w.l = lengths_of(a);
    w.words = rpu_plane_words(flat) + 1;
    w.plane = a->scratch;
    w.row_hi = (uint16_t *)(void *)(w.plane + w.words);
    w.row_lo = w.row_hi + flat;
    w.col_hi = w.row_lo + flat;
    w.col_lo = w.col_hi + a->n;
    w.col_bits = philox_begin(&a->col_bits);
    return w;
}

static void draw_rows(const struct rpu_pulse_args *a, const struct drawing *w, struct rpu_pulse_counts *counts) {
    const size_t flat = a->columns * a->m;
    for (size_t p = 0; p < a->columns; p++)
        counts->clipped +=
            K(threshold)(a->m, a->gain_d[p], a->d + p * a->ldd, w->row_hi + p * a->m, w->row_lo + p * a->m);
    for (uint32_t s = 0; s < a->bl; s++) {
        const struct rpu_stream bits = at_column(&a->row_bits, 0, s), ties = at_column(&a->row_ties, 0, s);
        uint64_t *to = rows_of(&w->l, a->trains, s);
        K(bernoulli)(&bits, &ties, (uint64_t)a->column * a->m, flat, w->row_hi, w->row_lo, w->plane);
        w->plane[w->words - 1] = 0;
        for (size_t p = 0; p < a->columns; p++, to += w->l.train)
            for (size_t i = 0; i < a->m; i += 64)
                to[i / 64] = bits_in(w->plane, p * a->m + i, a->m - i);
    }
}

/* Sign bits into a plane of zeros. */
INLINE void sign_plane(const float *v, size_t n, uint64_t *plane) {
    static const int32_t places[VEC] = {0, 1, 2, 3};
    const int32x4_t place = vld1q_s32(places);
    size_t i = 0;
    for (; i + VEC <= n; i += VEC) {
        const uint32x4_t sign = vshrq_n_u32(vreinterpretq_u32_f32(vld1q_f32(v + i)), 31);
        plane[i / 64] |= (uint64_t)vaddvq_u32(vshlq_u32(sign, place)) << (i % 64);
    }
    for (; i < n; i++)
        plane[i / 64] |= (uint64_t)(rpu_bits(v[i]) >> 31) << (i % 64);
}

/* Inputs of a vector in the slots in which some row fires, and signs. */
static void draw_inputs(const struct rpu_pulse_args *a, struct drawing *w, size_t p, struct rpu_pulse_counts *counts) {
    const uint32_t column = a->column + (uint32_t)p;
    const float *x = a->x + p * a->ldx;
    const int count_clipped = a->gain_x[p] * a->peak[p] > 1.0f;
    uint64_t *t = a->trains + p * w->l.train;
    size_t clipped = 0;
    int any = 0;
    for (uint32_t s = 0; s < a->bl; s++) {
        uint64_t *rows = rows_of(&w->l, t, s);
        if (count_words(rows, w->l.rows) == 0)
            continue;
        if (!any)
            clipped = K(threshold)(a->n, a->gain_x[p], x, w->col_hi, w->col_lo);
        any = 1;
        const struct rpu_stream bits = at_column(&a->col_bits, column, s), ties = at_column(&a->col_ties, column, s);
        philox_counter(&w->col_bits, bits.key, bits.ctr);
        counts->column_pulses +=
            rpu_neon_bernoulli(&w->col_bits, &ties, 0, a->n, w->col_hi, w->col_lo, rows + w->l.rows);
    }
    if (any) {
        sign_plane(a->d + p * a->ldd, a->m, t);
        sign_plane(x, a->n, t + w->l.rows);
    } else if (count_clipped)
        clipped = K(threshold)(a->n, a->gain_x[p], x, w->col_hi, w->col_lo);
    if (count_clipped)
        counts->clipped += clipped;
}

void K(pulse_draw)(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    struct drawing w = begin_drawing(args);
    memset(args->trains, 0, args->columns * w.l.train * sizeof *args->trains);
    draw_rows(args, &w, counts);
    for (size_t p = 0; p < args->columns; p++)
        if (args->gain_d[p] != 0.0f)
            draw_inputs(args, &w, p, counts);
}

/* ---- applying ---- */

/* A vector at work, and the parts of the scratch memory. */
struct applying {
    struct lengths l;
    uint64_t *train;
    uint32_t *hits, *signs; /* for each slot: the inputs that fire, and their sign bits */
    size_t hit_stride;
    size_t *ones;        /* how many */
    struct philox noise; /* begun once */
};

static struct applying begin_applying(const struct rpu_pulse_args *a) {
    struct applying w;
    w.l = lengths_of(a);
    w.train = a->trains;
    w.hit_stride = a->n + VEC;
    w.ones = a->scratch;
    w.hits = (uint32_t *)(void *)(w.ones + a->bl);
    w.signs = w.hits + w.hit_stride * a->bl;
    w.noise = philox_begin(&a->noise);
    return w;
}

/* The inputs that fire in each slot, which every row that fires there meets. The last hit stands three times more
 * behind the end. */
static void list_hits(const struct rpu_pulse_args *a, const struct applying *w) {
    const uint64_t *x = w->train + w->l.rows;
    for (uint32_t s = 0; s < a->bl; s++) {
        uint32_t *at = w->hits + s * w->hit_stride, *sign = w->signs + s * w->hit_stride, last = 0;
        const uint64_t *plane = rows_of(&w->l, w->train, s) + w->l.rows;
        if (w->ones[s] == 0)
            continue;
        for (size_t word = 0; word < w->l.inputs; word++)
            for (uint64_t left = plane[word]; left; left &= left - 1) {
                const unsigned bit = (unsigned)__builtin_ctzll(left);
                last = (uint32_t)(word * 64) + bit;
                *at++ = last;
                *sign++ = (uint32_t)(x[word] >> bit) << 31;
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
INLINE void apply_slot(const struct row *r, const struct applying *w, uint32_t slot, const struct step *c, struct noise *z,
                       int noisy) {
    const uint32_t *at = w->hits + slot * w->hit_stride, *sign = w->signs + slot * w->hit_stride;
    for (size_t left = w->ones[slot]; left > 0;) {
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

INLINE void apply_rows(const struct rpu_pulse_args *a, const struct applying *w, struct noise *z, int noisy) {
    const struct step c = {vdupq_n_f32(a->step_unit), vdupq_n_f32(a->bound_unit), vdupq_n_f32(a->ctoc)};
    const size_t ldw = rpu_padded(a->n);
    for (size_t i0 = a->row0; i0 < a->row1; i0 += 64) {
        const size_t rows = a->row1 - i0;
        uint64_t fires = 0;
        for (uint32_t s = 0; s < a->bl; s++)
            if (w->ones[s] > 0)
                fires |= bits_in(rows_of(&w->l, w->train, s), i0, rows); /* behind the rows stand inputs */
        for (; fires; fires &= fires - 1) {
            const size_t i = i0 + (size_t)__builtin_ctzll(fires);
            const struct row r = {a->w + i * ldw, a->dev + i * ldw * 4,
                                  vdupq_n_u32((uint32_t)(w->train[i / 64] >> (i % 64)) << 31)};
            for (uint32_t s = 0; s < a->bl; s++)
                if (w->ones[s] > 0 && (rows_of(&w->l, w->train, s)[i / 64] >> (i % 64) & 1u))
                    apply_slot(&r, w, s, &c, z, noisy);
        }
    }
}

/* Ordinals count over all rows: those of the rows before the range are skipped, without their noise. */
static void apply_vector(const struct rpu_pulse_args *a, struct applying *w, size_t p,
                         struct rpu_pulse_counts *counts) {
    const struct rpu_stream stream = at_column(&a->noise, a->column + (uint32_t)p, 0);
    uint64_t before = 0, hits = 0;
    struct noise z;
    w->train = a->trains + p * w->l.train;
    for (uint32_t s = 0; s < a->bl; s++) {
        const uint64_t *plane = rows_of(&w->l, w->train, s);
        const uint64_t rows = count_bits(plane, a->row0, a->row1);
        w->ones[s] = count_words(plane + w->l.rows, w->l.inputs);
        counts->row_pulses += rows;
        hits += rows * w->ones[s];
        before += count_bits(plane, 0, a->row0) * w->ones[s];
    }
    counts->coincidences += hits;
    if (hits == 0)
        return;
    list_hits(a, w);
    philox_counter(&w->noise, stream.key, stream.ctr);
    if (rpu_pulse_narrow(a->m, a->n))
        noise_begin_blocks(&z, &w->noise, before, hits);
    else
        noise_begin(&z, &w->noise, before, hits);
    if (a->ctoc > 0.0f)
        apply_rows(a, w, &z, 1);
    else
        apply_rows(a, w, &z, 0);
}

void K(pulse_apply)(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    struct applying w = begin_applying(args);
    for (size_t p = 0; p < args->columns; p++)
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
