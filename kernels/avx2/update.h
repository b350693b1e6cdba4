/* SPDX-License-Identifier: Apache-2.0 */
/** @file update.h  What the pulsed updates of wide and of narrow arrays share. */
#ifndef RPU_AVX2_UPDATE_H
#define RPU_AVX2_UPDATE_H

#include "pulses.h"

/* ---- trains of a vector ---- */

/* Words of the parts of a train, apart from what the kernel is given, which has to be read again after each store of a
 * vector: it might point to anything. */
struct lengths {
    size_t rows, slot, train;
};

INLINE struct lengths lengths_of(const struct rpu_pulse_args *a) {
    const struct lengths l = {rpu_plane_words(a->m), rpu_plane_words(a->m) + rpu_plane_words(a->n),
                              rpu_train_words(a->m, a->n, a->bl)};
    return l;
}

INLINE uint64_t *rows_of(struct lengths l, uint64_t *train, uint32_t slot) {
    return train + l.slot * ((size_t)slot + 1);
}

INLINE struct rpu_stream at_column(const struct rpu_stream *stream, uint32_t column, uint32_t slot) {
    struct rpu_stream s = *stream;
    s.ctr[2] = rpu_counter_column(column, slot);
    return s;
}

/* ---- drawing: 16 bits an element against thresholds ---- */

/* Gains as the thresholds take them. Scaling by a power of two commutes with the product's rounding. */
INLINE __m256 scaled(float gain) {
    return _mm256_set1_ps(gain * 0x1p16f);
}

/* Probabilities of eight values, of a gain that is scaled times 2^16. */
INLINE __m256 probability8(__m256 gain, __m256 v) {
    return _mm256_mul_ps(gain, abs_ps(v));
}

/* Upper parts of the thresholds of eight probabilities. A NaN becomes negative, which packing turns into 0, as it turns
 * the 2^16 of certainty into 2^16 - 1. */
INLINE __m256i upper8(__m256 p) {
    return _mm256_cvttps_epi32(_mm256_min_ps(_mm256_set1_ps(0x1p16f), p));
}

/* Upper parts of the thresholds of eight probabilities and of eight others. */
INLINE __m256i upper16(__m256 p, __m256 q) {
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(upper8(p), upper8(q)), 0xd8);
}

/* Eight of n values from the i-th on; zeros behind. */
INLINE __m256 eight_of(const float *v, size_t n, size_t i) {
    return i < n ? load_upto(v + i, n - i) : _mm256_setzero_ps();
}

/* Upper 16 bits of the thresholds of n values, into room for whole sixteens. Returns the largest of `top` and them, lane
 * by lane. */
INLINE __m256i upper_thresholds(float c, const float *v, size_t n, uint16_t *hi, __m256i top) {
    const __m256 gain = scaled(c);
    for (size_t i = 0; i < n; i += 2 * VEC) {
        const __m256i h = upper16(probability8(gain, eight_of(v, n, i)), probability8(gain, eight_of(v, n, i + VEC)));
        store16(hi + i, h);
        top = _mm256_max_epu16(top, h);
    }
    return top;
}

/* Brings them into the order of the random words that they are compared with (struct limits). */
INLINE void order_limits(uint16_t *hi, size_t n) {
    for (size_t e = 0; e < n; e += 64) {
        const __m256i a = load16(hi + e), b = load16(hi + e + 16), c = load16(hi + e + 32), d = load16(hi + e + 48);
        store16(hi + e, _mm256_permute2x128_si256(a, c, 0x20));
        store16(hi + e + 16, _mm256_permute2x128_si256(a, c, 0x31));
        store16(hi + e + 32, _mm256_permute2x128_si256(b, d, 0x20));
        store16(hi + e + 48, _mm256_permute2x128_si256(b, d, 0x31));
    }
}

/* -1 where a probability exceeds 1, of a gain that is scaled. */
INLINE __m256i over_one8(__m256 p) {
    return _mm256_castps_si256(_mm256_cmp_ps(p, _mm256_set1_ps(0x1p16f), _CMP_GT_OQ));
}

/* Sum of eight words. */
INLINE uint32_t sum8(__m256i v) {
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}

/* What is found on the way through values. */
struct passed {
    __m256i top;  /* the largest limits, lane by lane */
    __m256i over; /* how many probabilities exceed 1, lane by lane, if they are counted */
};

/* Limits of eight values and of the eight that stand 32 behind them. */
INLINE void limits_apart(__m256 gain, __m256 v, __m256 behind, uint16_t *hi, int counted, struct passed *so_far) {
    const __m256 p = probability8(gain, v), q = probability8(gain, behind);
    const __m256i l = upper16(p, q);
    store16(hi, l);
    so_far->top = _mm256_max_epu16(so_far->top, l);
    if (counted)
        so_far->over = _mm256_sub_epi32(_mm256_sub_epi32(so_far->over, over_one8(p)), over_one8(q));
}

/* Limits of n values, and of zeros behind up to a multiple of 64. */
INLINE struct passed limits_of(float c, const float *v, size_t n, uint16_t *hi, int counted) {
    const __m256 gain = scaled(c);
    struct passed r = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    size_t e = 0;
    for (; e + 64 <= n; e += 64)
        for (size_t k = 0; k < 32; k += 8)
            limits_apart(gain, _mm256_loadu_ps(v + e + k), _mm256_loadu_ps(v + e + k + 32), hi + e + 2 * k, counted, &r);
    for (size_t k = 0; e < n && k < 32; k += 8)
        if (e + k < n)
            limits_apart(gain, load_upto(v + e + k, n - e - k), eight_of(v, n, e + k + 32), hi + e + 2 * k, counted, &r);
        else
            store16(hi + e + 2 * k, _mm256_setzero_si256());
    return r;
}

/* Whether a probability may exceed 1: what is cut off there has the largest of all limits. */
INLINE int over_one(__m256i top) {
    return _mm256_movemask_epi8(_mm256_cmpeq_epi16(top, _mm256_set1_epi32(-1))) != 0;
}

/* What a plane is drawn from: values in rows of `width`, one gain a row. Needed again where bits tie. */
struct source {
    const float *gain, *v;
    size_t ld, width;
    struct rpu_stream ties;
    uint64_t first; /* the streams' element of the plane's first bit, a multiple of 32 */
    size_t skip;    /* bits of the plane before the first value */
};

/* Elements e .. e + 63 whose sixteen bits equal their limit: eight more bits decide (contract of `bernoulli`). */
static __attribute__((noinline)) uint64_t settle_ties(const struct source *s, size_t e, size_t count,
                                                      const struct words *w, const struct limits *limits) {
    uint16_t bits[64], hi[64], upper, lower;
    uint64_t fires = 0;
    memcpy(bits, w, sizeof bits);
    memcpy(hi, limits, sizeof hi);
    for (size_t i = 0; i < 64 && e + i < count; i++) {
        const size_t at = limit_at(i);
        if (bits[at] != hi[at] || e + i < s->skip)
            continue;
        const size_t value = e + i - s->skip, row = value / s->width, from = row * s->ld + value % s->width;
        RPU_SYMBOL(threshold, avx2)(1, s->gain[row], s->v + from, &upper, &lower);
        if (lower > 0) {
            uint32_t tie[4];
            RPU_SYMBOL(philox, avx2)(&s->ties, (uint32_t)(s->first + e + i), 1, tie);
            fires |= (uint64_t)((tie[0] & 255u) < lower) << i;
        }
    }
    return fires;
}

/* Sixty-four elements e .. e + 63 of a source with their random words. */
INLINE uint64_t fire64(const struct source *s, size_t e, size_t count, const struct words *w, const uint16_t *hi) {
    const struct limits limits = {{load16(hi), load16(hi + 16), load16(hi + 32), load16(hi + 48)}};
    const struct verdict v = judge64(w, &limits);
    return __builtin_expect(v.ties, 0) ? v.fires | settle_ties(s, e, count, w, &limits) : v.fires;
}

/* A plane of `count` bits; the limits of those that are skipped, and of those behind the count up to a multiple of 64,
 * are 0. */
static void draw_plane(const struct philox *p, const struct source *s, size_t count, const uint16_t *hi,
                       uint64_t *plane) {
    const uint32_t block = (uint32_t)(s->first / RPU_BITS_GROUP) * 4;
    size_t e = 0;
    for (; e + 64 < count; e += 128) {
        const struct words2 w = philox16(p, philox_at(p, block + (uint32_t)e / 8));
        plane[e / 64] = fire64(s, e, count, &w.a, hi + e);
        plane[e / 64 + 1] = fire64(s, e + 64, count, &w.b, hi + e + 64);
    }
    if (e < count) {
        const struct words w = philox8(p, block + (uint32_t)e / 8);
        plane[e / 64] = fire64(s, e, count, &w, hi + e);
    }
}

INLINE __m256i load_bits(const float *v) {
    return _mm256_castps_si256(_mm256_loadu_ps(v));
}

/* Sign bits of 32 values. Packing takes 128-bit halves by themselves and leaves fours out of order. */
INLINE uint32_t sign_bits32(const float *v) {
    const __m256i a = _mm256_packs_epi32(load_bits(v), load_bits(v + VEC));
    const __m256i b = _mm256_packs_epi32(load_bits(v + 2 * VEC), load_bits(v + 3 * VEC));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    return (uint32_t)_mm256_movemask_epi8(_mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order));
}

/* Sign bits of n values into a plane of zeros. */
INLINE void sign_plane(const float *v, size_t n, uint64_t *plane) {
    unsigned char *byte = (unsigned char *)plane;
    size_t i = 0;
    for (; i + 4 * VEC <= n; i += 4 * VEC) {
        const uint32_t word = sign_bits32(v + i);
        memcpy(byte + i / VEC, &word, sizeof word);
    }
    for (; i + VEC <= n; i += VEC)
        byte[i / VEC] = (unsigned char)_mm256_movemask_ps(_mm256_loadu_ps(v + i));
    if (i < n)
        byte[i / VEC] = (unsigned char)_mm256_movemask_ps(load_part(v + i, n - i));
}

/* ---- bits of planes ---- */

/* 64 bits of a plane from bit `at` on. */
INLINE uint64_t bits_at(const uint64_t *plane, size_t at) {
    const size_t word = at / 64, shift = at % 64;
    return plane[word] >> shift | (plane[word + 1] << 1) << (63 - shift);
}

/* The same, but that only the first 57 of them are right. */
enum { BITS_AT_BYTE = 57 };
INLINE uint64_t bits_at_byte(const uint64_t *plane, size_t at) {
    uint64_t bits;
    memcpy(&bits, (const unsigned char *)plane + at / 8, sizeof bits);
    return bits >> (at % 8);
}

INLINE uint64_t first_bits(uint64_t bits, size_t n) {
    return n < 64 ? bits & ((UINT64_C(1) << n) - 1) : bits;
}

INLINE uint32_t bit_at(const uint64_t *plane, size_t i) {
    return (uint32_t)(plane[i / 64] >> (i % 64)) & 1u;
}

/* Bit `first` + l of a word of 32, which all lanes hold, as the sign bit of lane l; the other bits hold anything. */
INLINE __m256i signs_of(__m256i word, int first) {
    return _mm256_sllv_epi32(word,
                             _mm256_sub_epi32(_mm256_set1_epi32(31 - first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
}

INLINE __m256i sign_bits(__m256i v) {
    return _mm256_and_si256(v, _mm256_set1_epi32((int)0x80000000u));
}

/* ---- one step of a device ---- */

/* Units, and 2^23 of them. */
struct device {
    __m256 step_unit, bound_unit, ctoc, step_base, bound_base;
};

INLINE struct device device_make(const struct rpu_pulse_args *a) {
    const struct device d = {_mm256_set1_ps(a->step_unit), _mm256_set1_ps(a->bound_unit), _mm256_set1_ps(a->ctoc),
                             _mm256_set1_ps(a->step_unit * 0x1p23f), _mm256_set1_ps(a->bound_unit * 0x1p23f)};
    return d;
}

/* What eight coincidences come to: steps with their sign, bounds. `dev`: four 16-bit parameters in each 64-bit lane,
 * crosspoints 0, 1, 4, 5 and 2, 3, 6, 7; `down`: sign bit set where the step goes down. */
struct steps {
    __m256 delta, upper, lower;
};

/* A 16-bit integer q becomes the float 2^23 + q by setting the upper half of its word; (2^23 + q) unit - 2^23 unit, fused,
 * is q unit with one rounding, as the contract has it. */
INLINE struct steps steps8(const struct device *d, __m256i dev0, __m256i dev1, __m256i down) {
    const __m256i magic = _mm256_set1_epi32(0x4b000000);
    const __m256i steps = join(dev0, dev1);
    const __m256i bounds = _mm256_castps_si256(
        _mm256_shuffle_ps(_mm256_castsi256_ps(dev0), _mm256_castsi256_ps(dev1), 0xdd));
    const __m256i q = _mm256_blend_epi16(magic, _mm256_srlv_epi32(steps, _mm256_srli_epi32(down, 27)), 0x55);
    const __m256i upper = _mm256_blend_epi16(magic, bounds, 0x55);
    const __m256i lower = _mm256_or_si256(magic, _mm256_srli_epi32(bounds, 16));
    const __m256 step = _mm256_fmsub_ps(_mm256_castsi256_ps(q), d->step_unit, d->step_base);
    const struct steps s = {_mm256_xor_ps(step, _mm256_castsi256_ps(down)),
                            _mm256_fmsub_ps(_mm256_castsi256_ps(upper), d->bound_unit, d->bound_base),
                            _mm256_fnmadd_ps(_mm256_castsi256_ps(lower), d->bound_unit, d->bound_base)};
    return s;
}

INLINE __m256 noise_factor(const struct device *d, __m256 xi) {
    return _mm256_fmadd_ps(d->ctoc, xi, _mm256_set1_ps(1.0f));
}

/* Broadcasts and blends: no shuffle. */
INLINE __m256 gather8(const float *v, const uint32_t *at) {
    const __m256 a = _mm256_blend_ps(_mm256_broadcast_ss(v + at[0]), _mm256_broadcast_ss(v + at[1]), 0x02);
    const __m256 b = _mm256_blend_ps(_mm256_broadcast_ss(v + at[2]), _mm256_broadcast_ss(v + at[3]), 0x08);
    const __m256 c = _mm256_blend_ps(_mm256_broadcast_ss(v + at[4]), _mm256_broadcast_ss(v + at[5]), 0x20);
    const __m256 d = _mm256_blend_ps(_mm256_broadcast_ss(v + at[6]), _mm256_broadcast_ss(v + at[7]), 0x80);
    return _mm256_blend_ps(_mm256_blend_ps(a, b, 0x0c), _mm256_blend_ps(c, d, 0xc0), 0xf0);
}

INLINE __m256d device1(const uint16_t *dev, uint32_t at) {
    return _mm256_broadcast_sd((const double *)(const void *)(dev + 4 * (size_t)at));
}

INLINE __m256i devices4(const uint16_t *dev, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    const __m256d ab = _mm256_blend_pd(device1(dev, a), device1(dev, b), 0x2);
    const __m256d cd = _mm256_blend_pd(device1(dev, c), device1(dev, d), 0x8);
    return _mm256_castpd_si256(_mm256_blend_pd(ab, cd, 0xc));
}

/* ---- bytes of planes ---- */

INLINE __m256i load_words(const uint32_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

INLINE void store_words(uint32_t *p, __m256i v) {
    _mm256_storeu_si256((__m256i *)(void *)p, v);
}

/* For each byte of a plane, eight bytes. spread: lane l's index into the next Gaussians if bit l is set, else a negative
 * number. compress: the bits that are set, ascending. */
#define RANK(b, l) ((uint64_t)((b) >> (l) & 1 ? __builtin_popcount((b) & ((1 << (l)) - 1)) : 0x80) << (8 * (l)))
#define SPREAD(b)                                                                                                      \
    (RANK(b, 0) | RANK(b, 1) | RANK(b, 2) | RANK(b, 3) | RANK(b, 4) | RANK(b, 5) | RANK(b, 6) | RANK(b, 7))
#define PLACE(b, l)                                                                                                    \
    ((b) >> (l) & 1 ? (uint64_t)(l) << (8 * __builtin_popcount((b) & ((1 << (l)) - 1))) : 0)
#define COMPRESS(b)                                                                                                    \
    (PLACE(b, 0) | PLACE(b, 1) | PLACE(b, 2) | PLACE(b, 3) | PLACE(b, 4) | PLACE(b, 5) | PLACE(b, 6) | PLACE(b, 7))
#define TABLE4(f, b)  f(b), f((b) + 1), f((b) + 2), f((b) + 3)
#define TABLE16(f, b) TABLE4(f, b), TABLE4(f, (b) + 4), TABLE4(f, (b) + 8), TABLE4(f, (b) + 12)
#define TABLE64(f, b) TABLE16(f, b), TABLE16(f, (b) + 16), TABLE16(f, (b) + 32), TABLE16(f, (b) + 48)
static const uint64_t spread[256] = {TABLE64(SPREAD, 0), TABLE64(SPREAD, 64), TABLE64(SPREAD, 128),
                                     TABLE64(SPREAD, 192)};
static const uint64_t compress[256] = {TABLE64(COMPRESS, 0), TABLE64(COMPRESS, 64), TABLE64(COMPRESS, 128),
                                       TABLE64(COMPRESS, 192)};

INLINE __m256i compressed(unsigned byte) {
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)compress[byte]));
}

/* Appends first + i for each bit i of n that is set to a list of k. Returns how many there are then; writes whole
 * vectors. */
INLINE size_t append_bits(uint32_t *list, size_t k, uint64_t bits, size_t n, uint32_t first) {
    for (size_t i = 0; i < n; i += VEC) {
        const unsigned byte = (unsigned)(bits >> i) & 255u;
        store_words(list + k, _mm256_add_epi32(compressed(byte), _mm256_set1_epi32((int)(first + (uint32_t)i))));
        k += (size_t)__builtin_popcount(byte);
    }
    return k;
}

/* ---- narrow arrays: rpu_pulse_narrow holds ---- */

/** A vector and slot in which some row fires. */
struct unit {
    uint32_t p, slot;
};

/** Inputs of a block, the row pulses of which are in the trains: of its `n` units, behind which is room for eight. */
void K(pulse_draw_narrow)(const struct rpu_pulse_args *a, struct unit *units, size_t n,
                          struct rpu_pulse_counts *counts);

/** Works off the trains of a block. */
void K(pulse_apply_narrow)(const struct rpu_pulse_args *a, struct rpu_pulse_counts *counts);

#endif
