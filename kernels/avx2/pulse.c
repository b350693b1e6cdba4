/* SPDX-License-Identifier: Apache-2.0 */
/* The stochastic pulsed update.
 *
 * Row pulses of the whole block are drawn first, as flat planes. What follows costs only where something fires:
 *
 * - Wide arrays: for each vector and slot in which a row fires the column plane is drawn and turned into a list of hits
 *   (input index and sign), which all rows firing in that slot share. The noise of a vector's coincidences is one dense
 *   stream, so eight hits of a list meet eight consecutive Gaussians. Weights and device parameters are gathered by
 *   broadcasts and blends, which leave the shuffle port free. Where more than half of
 *   the inputs fire, weights are worked off eight by eight instead and the noise is spread over them. The next row that
 *   fires is known and is fetched ahead where arrays are larger than a cache.
 * - Narrow arrays (the first convolution): vectors have a handful of coincidences each, so that nothing is worth doing
 *   for one vector alone. Column planes of several vectors are drawn at once, row pulses of many vectors are collected,
 *   the noise of their coincidences is drawn sixteen blocks at a time, each with its own counter, and then row by row all
 *   of a row's pulses are worked off, while its weights stay in registers. */
#include "pulses.h"

/* ---- work memory ---- */

struct hits {
    size_t count;
    int dense;       /* more than half of the inputs fire: the plane is worked off, else the list */
    uint64_t *plane; /* bit j: input j fires */
    uint32_t *at;    /* inputs that fire, ascending; the last stands seven times more behind the end */
    uint32_t *sign;  /* sign bit of x there */
};

struct work {
    uint16_t *row_hi;
    uint64_t *row_planes; /* bl planes, skip + column * m + i */
    size_t skip;          /* silent elements before the first, which need not be the first of a group */
    size_t row_words;
    uint16_t *col_hi;
    struct hits *hits; /* for each slot */
    float *noise;      /* NOISE floats with a group's room on both sides */
    unsigned char *rest; /* narrow arrays: units, row pulses */
};

enum { NOISE = 960 };

INLINE void *take(unsigned char **at, size_t bytes) {
    void *p = *at;
    *at += (bytes + 63) / 64 * 64;
    return p;
}

static struct work divide_scratch(const struct rpu_pulse_args *a) {
    const size_t flat = a->columns * a->m, wide = a->n + 128;
    unsigned char *at = a->scratch;
    struct work w;
    w.skip = (size_t)((uint64_t)a->column * a->m % RPU_BITS_GROUP);
    w.row_words = (w.skip + flat + 63) / 64 + 1;
    w.row_hi = take(&at, (w.skip + flat + 128) * sizeof *w.row_hi);
    w.row_planes = take(&at, w.row_words * a->bl * sizeof *w.row_planes);
    w.rest = at;
    if (rpu_pulse_narrow(a->m, a->n))
        return w;
    w.col_hi = take(&at, wide * sizeof *w.col_hi);
    w.hits = take(&at, a->bl * sizeof *w.hits);
    for (uint32_t s = 0; s < a->bl; s++) {
        w.hits[s].plane = take(&at, (wide / 64 + 1) * sizeof(uint64_t));
        w.hits[s].at = take(&at, wide * sizeof(uint32_t));
        w.hits[s].sign = take(&at, wide * sizeof(uint32_t));
    }
    w.noise = take(&at, (NOISE + a->n + 3 * RPU_GAUSS_GROUP) * sizeof *w.noise);
    return w;
}

INLINE struct rpu_stream at_column(const struct rpu_stream *stream, uint32_t column, uint32_t slot) {
    struct rpu_stream s = *stream;
    s.ctr[2] = rpu_counter_column(column, slot);
    return s;
}

/* ---- planes: 16 bits an element against thresholds ---- */

/* Gains as the thresholds take them. Scaling by a power of two commutes with the product's rounding. */
INLINE __m256 scaled(float gain) {
    return _mm256_set1_ps(gain * 0x1p24f);
}

/* Probabilities of eight values, times 2^24. */
INLINE __m256 probability8(__m256 gain, __m256 v) {
    return _mm256_mul_ps(gain, abs_ps(v));
}

/* Upper parts of the thresholds of eight probabilities. A NaN becomes negative, which packing turns into 0, as it turns
 * the 2^16 of certainty into 2^16 - 1. */
INLINE __m256i upper8(__m256 p) {
    return _mm256_srai_epi32(_mm256_cvttps_epi32(_mm256_min_ps(_mm256_set1_ps(0x1p24f), p)), 8);
}

/* Upper 16 bits of the thresholds of sixteen values. Returns lanes in which a probability exceeds 1. */
INLINE __m256 upper16(__m256 gain, __m256 v0, __m256 v1, uint16_t *hi) {
    const __m256 p0 = probability8(gain, v0), p1 = probability8(gain, v1), one = _mm256_set1_ps(0x1p24f);
    const __m256i h = _mm256_packus_epi32(upper8(p0), upper8(p1));
    _mm256_storeu_si256((__m256i *)(void *)hi, _mm256_permute4x64_epi64(h, 0xd8));
    return _mm256_or_ps(_mm256_cmp_ps(p0, one, _CMP_GT_OQ), _mm256_cmp_ps(p1, one, _CMP_GT_OQ));
}

/* Upper 16 bits of the thresholds of n values, into room for whole sixteens. Returns lanes in which a probability
 * exceeds 1. */
INLINE __m256 upper_thresholds(float c, const float *v, size_t n, uint16_t *hi) {
    const __m256 gain = scaled(c);
    __m256 over = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        over = _mm256_or_ps(over, upper16(gain, _mm256_loadu_ps(v + i), _mm256_loadu_ps(v + i + 8), hi + i));
    if (i < n)
        over = _mm256_or_ps(over, upper16(gain, load_upto(v + i, n - i),
                                          n - i > 8 ? load_part(v + i + 8, n - i - 8) : _mm256_setzero_ps(), hi + i));
    return over;
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
    const struct limits limits = limits_load(hi);
    const struct verdict v = judge64(w, &limits);
    return __builtin_expect(v.ties, 0) ? v.fires | settle_ties(s, e, count, w, &limits) : v.fires;
}

/* A plane of `count` bits; the thresholds of those that are skipped, and of those behind the count up to a multiple of
 * 64, are 0. */
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

/* ---- row pulses ---- */

static __attribute__((noinline)) void count_row_clips(const struct rpu_pulse_args *a, struct rpu_pulse_counts *counts) {
    for (size_t p = 0; p < a->columns; p++)
        for (size_t i = a->row0; i < a->row1; i++)
            counts->clipped += a->gain_d[p] * rpu_float(rpu_bits(a->d[p * a->ldd + i]) & 0x7fffffffu) > 1.0f;
}

static void draw_rows(const struct rpu_pulse_args *a, const struct work *w, struct rpu_pulse_counts *counts) {
    const size_t columns = a->columns, m = a->m, ldd = a->ldd, flat = columns * m;
    const uint64_t first = (uint64_t)a->column * m - w->skip;
    const float *gain = a->gain_d, *d = a->d;
    uint16_t *hi = w->row_hi + w->skip;
    __m256 over = _mm256_setzero_ps();
    memset(w->row_hi, 0, w->skip * sizeof *hi);
    for (size_t p = 0; p < columns; p++)
        over = _mm256_or_ps(over, upper_thresholds(gain[p], d + p * ldd, m, hi + p * m));
    if (_mm256_movemask_ps(over))
        count_row_clips(a, counts);
    memset(hi + flat, 0, 64 * sizeof *hi);
    for (uint32_t s = 0; s < a->bl; s++) {
        const struct rpu_stream bits = at_column(&a->row_bits, 0, s), ties = at_column(&a->row_ties, 0, s);
        const struct source source = {a->gain_d, a->d, a->ldd, a->m, ties, first, w->skip};
        const struct philox p = philox_begin(&bits);
        uint64_t *plane = w->row_planes + s * w->row_words;
        draw_plane(&p, &source, w->skip + flat, w->row_hi, plane);
        plane[w->row_words - 1] = 0; /* so that 64 bits can be read from anywhere below its end */
    }
}

/* 64 bits of a plane from bit `at` on. */
INLINE uint64_t bits_at(const uint64_t *plane, size_t at) {
    const size_t word = at / 64, shift = at % 64;
    return plane[word] >> shift | (plane[word + 1] << 1) << (63 - shift);
}

INLINE uint64_t first_bits(uint64_t bits, size_t n) {
    return n < 64 ? bits & ((UINT64_C(1) << n) - 1) : bits;
}

/* Rows i .. i + 63 of vector p that fire in slot s. */
INLINE uint64_t rows_at(const struct rpu_pulse_args *a, const struct work *w, uint32_t s, size_t p, size_t i) {
    return first_bits(bits_at(w->row_planes + s * w->row_words, w->skip + p * a->m + i), a->m - i);
}

/* Row pulses of vector p in slot s: before the rows to change, and among them. Returns whether there are any. */
INLINE int count_rows(const struct rpu_pulse_args *a, const struct work *w, size_t p, uint32_t s, uint64_t *before,
                      uint64_t *mine) {
    uint64_t any = 0, below = 0, upto = 0;
    for (size_t i = 0; i < a->m; i += 64) {
        const uint64_t bits = rows_at(a, w, s, p, i);
        any |= bits;
        if (i < a->row0)
            below += (uint64_t)__builtin_popcountll(first_bits(bits, a->row0 - i));
        if (i < a->row1)
            upto += (uint64_t)__builtin_popcountll(first_bits(bits, a->row1 - i));
    }
    *before = below;
    *mine = upto - below;
    return any != 0;
}

static __attribute__((noinline)) void count_clipped(const struct rpu_pulse_args *a, size_t p,
                                                    struct rpu_pulse_counts *counts) {
    for (size_t j = 0; j < a->n; j++)
        counts->clipped += a->gain_x[p] * rpu_float(rpu_bits(a->x[p * a->ldx + j]) & 0x7fffffffu) > 1.0f;
}

/* Of every vector that changes anything; few ever reach a probability of 1. */
static void count_clips(const struct rpu_pulse_args *a, struct rpu_pulse_counts *counts) {
    const __m256 one = _mm256_set1_ps(1.0f), zero = _mm256_setzero_ps();
    for (size_t p = 0; p < a->columns && a->row0 == 0; p += VEC) {
        const size_t n = a->columns - p;
        const __m256 top = _mm256_mul_ps(load_upto(a->gain_x + p, n), load_upto(a->peak + p, n));
        const __m256 over = _mm256_and_ps(_mm256_cmp_ps(top, one, _CMP_GT_OQ),
                                          _mm256_cmp_ps(load_upto(a->gain_d + p, n), zero, _CMP_NEQ_UQ));
        for (unsigned left = (unsigned)_mm256_movemask_ps(over); left; left &= left - 1)
            count_clipped(a, p + (size_t)__builtin_ctz(left), counts);
    }
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

INLINE __m256 step8(const struct device *d, __m256 w, __m256i dev0, __m256i dev1, __m256i down, __m256 xi, int noisy) {
    const struct steps s = steps8(d, dev0, dev1, down);
    const __m256 v = noisy ? _mm256_fmadd_ps(s.delta, noise_factor(d, xi), w) : _mm256_add_ps(w, s.delta);
    return clip_ps(v, s.lower, s.upper);
}

/* Broadcasts and blends: no shuffle. */
INLINE __m256 gather8(const float *v, const uint32_t *at) {
    const __m256 a = _mm256_blend_ps(_mm256_broadcast_ss(v + at[0]), _mm256_broadcast_ss(v + at[1]), 0x02);
    const __m256 b = _mm256_blend_ps(_mm256_broadcast_ss(v + at[2]), _mm256_broadcast_ss(v + at[3]), 0x08);
    const __m256 c = _mm256_blend_ps(_mm256_broadcast_ss(v + at[4]), _mm256_broadcast_ss(v + at[5]), 0x20);
    const __m256 d = _mm256_blend_ps(_mm256_broadcast_ss(v + at[6]), _mm256_broadcast_ss(v + at[7]), 0x80);
    return _mm256_blend_ps(_mm256_blend_ps(a, b, 0x0c), _mm256_blend_ps(c, d, 0xc0), 0xf0);
}

INLINE void scatter8(float *w, const uint32_t *at, __m256 v) {
    const __m128 lo = _mm256_castps256_ps128(v), hi = _mm256_extractf128_ps(v, 1);
    _mm_store_ss(w + at[0], lo);
    _mm_store_ss(w + at[1], _mm_movehdup_ps(lo));
    _mm_store_ss(w + at[2], _mm_unpackhi_ps(lo, lo));
    _mm_store_ss(w + at[3], _mm_shuffle_ps(lo, lo, 0xff));
    _mm_store_ss(w + at[4], hi);
    _mm_store_ss(w + at[5], _mm_movehdup_ps(hi));
    _mm_store_ss(w + at[6], _mm_unpackhi_ps(hi, hi));
    _mm_store_ss(w + at[7], _mm_shuffle_ps(hi, hi, 0xff));
}

INLINE __m256d device1(const uint16_t *dev, uint32_t at) {
    return _mm256_broadcast_sd((const double *)(const void *)(dev + 4 * (size_t)at));
}

INLINE __m256i devices4(const uint16_t *dev, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    const __m256d ab = _mm256_blend_pd(device1(dev, a), device1(dev, b), 0x2);
    const __m256d cd = _mm256_blend_pd(device1(dev, c), device1(dev, d), 0x8);
    return _mm256_castpd_si256(_mm256_blend_pd(ab, cd, 0xc));
}

INLINE __m256i load_words(const uint32_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

INLINE void store_words(uint32_t *p, __m256i v) {
    _mm256_storeu_si256((__m256i *)(void *)p, v);
}

/* Eight crosspoints of a row; the same one may stand there more than once if all it is given is the same. */
INLINE void hit8(const struct device *d, float *w, const uint16_t *dev, const uint32_t *list, __m256i down, __m256 xi,
                 int noisy) {
    const uint32_t at[VEC] = {list[0], list[1], list[2], list[3], list[4], list[5], list[6], list[7]};
    const __m256i dev0 = devices4(dev, at[0], at[1], at[4], at[5]), dev1 = devices4(dev, at[2], at[3], at[6], at[7]);
    scatter8(w, at, step8(d, gather8(w, at), dev0, dev1, down, xi, noisy));
}

/* All hits of one row in one slot. */
INLINE void apply_hits(const struct device *d, float *w, const uint16_t *dev, const struct hits *h, uint32_t sign_d,
                       const float *xi, int noisy) {
    const __m256i flip = _mm256_set1_epi32((int)sign_d);
    size_t k = 0;
    for (; k + VEC <= h->count; k += VEC)
        hit8(d, w, dev, h->at + k, _mm256_xor_si256(load_words(h->sign + k), flip),
             noisy ? _mm256_loadu_ps(xi + k) : d->ctoc, noisy);
    if (k < h->count) {
        const __m256i last = _mm256_min_epu32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                              _mm256_set1_epi32((int)(h->count - k) - 1));
        hit8(d, w, dev, h->at + k, _mm256_xor_si256(load_words(h->sign + k), flip),
             noisy ? _mm256_permutevar8x32_ps(_mm256_loadu_ps(xi + k), last) : d->ctoc, noisy);
    }
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

/* Numbers of the bits that are set in an array of bytes, in order. Returns how many; writes whole vectors. */
INLINE size_t compress_bytes(const void *bytes, size_t count, uint32_t *list) {
    const unsigned char *byte = bytes;
    __m256i first = _mm256_setzero_si256();
    size_t k = 0;
    for (size_t i = 0; i < count; i++) {
        store_words(list + k, _mm256_add_epi32(compressed(byte[i]), first));
        first = _mm256_add_epi32(first, _mm256_set1_epi32(VEC));
        k += (size_t)__builtin_popcount(byte[i]);
    }
    return k;
}

/* Inputs first .. first + 7 that fire, and the signs of x there, appended to a list of k. Writes whole vectors. */
INLINE size_t list8(size_t first, __m256 x, unsigned byte, uint32_t *at, uint32_t *sign, size_t k) {
    const __m256i lanes = compressed(byte);
    const __m256i signs = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32((int)0x80000000u));
    store_words(at + k, _mm256_add_epi32(lanes, _mm256_set1_epi32((int)first)));
    store_words(sign + k, _mm256_permutevar8x32_epi32(signs, lanes));
    return k + (size_t)__builtin_popcount(byte);
}

/* Counts the inputs that fire; lists them where they are few. */
static void list_hits(size_t n, const float *x, struct hits *h) {
    size_t j = 0, k = 0;
    h->count = 0;
    for (size_t word = 0; word < (n + 63) / 64; word++)
        h->count += (size_t)__builtin_popcountll(h->plane[word]);
    h->dense = h->count * 2 > n;
    if (h->dense || h->count == 0)
        return;
    for (; j + VEC <= n; j += VEC)
        k = list8(j, _mm256_loadu_ps(x + j), (unsigned)(h->plane[j / 64] >> (j % 64)) & 255u, h->at, h->sign, k);
    if (j < n)
        k = list8(j, load_part(x + j, n - j), (unsigned)(h->plane[j / 64] >> (j % 64)) & 255u, h->at, h->sign, k);
    store_words(h->at + k, _mm256_set1_epi32((int)h->at[k - 1]));
    store_words(h->sign + k, _mm256_set1_epi32((int)h->sign[k - 1]));
}

/* Inputs j .. j + 7 of a row, of which those in `byte` fire. Returns where the noise goes on. */
INLINE const float *plane8(const struct device *d, float *w, const uint16_t *dev, unsigned byte, __m256 x, __m256i flip,
                           const float *xi, int noisy) {
    const __m256i rank = _mm256_cvtepi8_epi32(_mm_cvtsi64_si128((long long)spread[byte]));
    const __m128i *from = (const __m128i *)(const void *)dev;
    const __m256i dev0 = _mm256_setr_m128i(_mm_loadu_si128(from), _mm_loadu_si128(from + 2));
    const __m256i dev1 = _mm256_setr_m128i(_mm_loadu_si128(from + 1), _mm_loadu_si128(from + 3));
    const __m256i down = _mm256_xor_si256(_mm256_castps_si256(_mm256_and_ps(x, _mm256_set1_ps(-0.0f))), flip);
    const __m256 old = _mm256_loadu_ps(w);
    const __m256 number = noisy ? _mm256_permutevar8x32_ps(_mm256_loadu_ps(xi), rank) : d->ctoc;
    const __m256 v = step8(d, old, dev0, dev1, down, number, noisy);
    _mm256_storeu_ps(w, _mm256_blendv_ps(v, old, _mm256_castsi256_ps(rank)));
    return xi + (noisy ? __builtin_popcount(byte) : 0);
}

/* All hits of one row in one slot, where there are many. `ahead`: the row's way to the next that fires, which is
 * fetched meanwhile. */
INLINE void apply_plane(size_t n, const struct device *d, float *w, const uint16_t *dev, const unsigned char *bytes,
                        const float *x, uint32_t sign_d, const float *xi, size_t ahead, int noisy) {
    const __m256i flip = _mm256_set1_epi32((int)sign_d);
    size_t j = 0;
    for (; j + VEC <= n; j += VEC) {
        xi = plane8(d, w + j, dev + 4 * j, bytes[j / 8], _mm256_loadu_ps(x + j), flip, xi, noisy);
        if (ahead > 0) {
            __builtin_prefetch(w + ahead + j, 1);
            __builtin_prefetch(dev + 4 * (ahead + j));
        }
    }
    if (j < n)
        plane8(d, w + j, dev + 4 * j, bytes[j / 8], load_part(x + j, n - j), flip, xi, noisy);
}

/* ---- noise of one vector: a window over the dense stream ---- */

struct window {
    const struct philox *p;
    uint64_t first, end; /* elements that are there; first is the start of a group */
    float *buffer;
};

/* Adds groups at the end of the window: whole ones, but of the last only the pairs below `total`. */
static void window_fill(struct window *n, size_t groups, uint64_t total) {
    const uint32_t group = (uint32_t)(n->end / RPU_GAUSS_GROUP);
    const size_t left = (size_t)(total - n->end), fit = left / RPU_GAUSS_GROUP, whole = groups < fit ? groups : fit;
    float *to = n->buffer + (n->end - n->first);
    if (whole > 0)
        gauss_groups(n->p, group, whole, to);
    if (groups > whole)
        gauss_group_upto(n->p, group + (uint32_t)whole, left - whole * RPU_GAUSS_GROUP, to + whole * RPU_GAUSS_GROUP);
    n->end += groups * RPU_GAUSS_GROUP;
}

/* Elements ordinal .. ordinal + count - 1. `total`: where the vector's coincidences end. */
INLINE const float *window_get(struct window *n, uint64_t ordinal, size_t count, uint64_t total) {
    if (ordinal + count > n->end || ordinal < n->first) {
        const uint64_t from = ordinal / RPU_GAUSS_GROUP * RPU_GAUSS_GROUP;
        uint64_t want = ordinal + count, more = from + NOISE;
        size_t kept = 0;
        if (from >= n->first && from < n->end) {
            kept = (size_t)(n->end - from);
            memmove(n->buffer, n->buffer + (from - n->first), kept * sizeof *n->buffer);
        }
        more = more < total ? more : total;
        want = want > more ? want : more;
        n->first = from;
        n->end = from + kept;
        window_fill(n, (size_t)(want - n->end + RPU_GAUSS_GROUP - 1) / RPU_GAUSS_GROUP, total);
    }
    return n->buffer + (ordinal - n->first);
}

/* ---- wide arrays ---- */

/* Vector at work. */
struct vector {
    size_t p;
    int begun;                    /* the streams */
    uint32_t n;                   /* slots in which a row fires */
    uint64_t before, hits;        /* coincidences before the rows to change, and among them */
    struct philox columns, noise; /* begun once, set to each vector */
    uint32_t slots[RPU_COUNTER_MAX_SLOTS];
};

/* Draws the column pulses of the vector in the slots in which a row fires. */
static void draw_columns(const struct rpu_pulse_args *a, const struct work *w, struct vector *v,
                         struct rpu_pulse_counts *counts) {
    const uint32_t column = a->column + (uint32_t)v->p;
    const float *x = a->x + v->p * a->ldx;
    v->n = 0;
    v->before = v->hits = 0;
    for (uint32_t s = 0; s < a->bl; s++) {
        struct hits *h = &w->hits[s];
        uint64_t before, mine;
        if (!count_rows(a, w, v->p, s, &before, &mine))
            continue;
        if (!v->begun) {
            v->columns = philox_begin(&a->col_bits);
            v->noise = philox_begin(&a->noise);
            v->begun = 1;
        }
        if (v->n == 0) {
            upper_thresholds(a->gain_x[v->p], x, a->n, w->col_hi);
            memset(w->col_hi + (a->n + 15) / 16 * 16, 0, 64 * sizeof *w->col_hi);
        }
        const struct source source = {a->gain_x + v->p, x, 0, a->n, at_column(&a->col_ties, column, s), 0, 0};
        const struct rpu_stream bits = at_column(&a->col_bits, column, s);
        philox_counter(&v->columns, &bits);
        draw_plane(&v->columns, &source, a->n, w->col_hi, h->plane);
        list_hits(a->n, x, h);
        counts->column_pulses += a->row0 == 0 ? h->count : 0;
        counts->row_pulses += mine;
        v->before += before * h->count;
        v->hits += mine * h->count;
        v->slots[v->n++] = s;
    }
    counts->coincidences += v->hits;
}

/* First row of vector p, from i on, that fires in one of the slots; row1 if there is none. */
INLINE size_t next_row(const struct rpu_pulse_args *a, const struct work *w, size_t p, const uint32_t *slots, uint32_t n,
                       size_t i) {
    for (; i < a->row1; i += 64) {
        uint64_t any = 0;
        for (uint32_t k = 0; k < n; k++)
            any |= rows_at(a, w, slots[k], p, i);
        if (any) {
            i += (size_t)__builtin_ctzll(any);
            break;
        }
    }
    return i < a->row1 ? i : a->row1;
}

/* Arrays of this many crosspoints leave the second-level cache of a usual core. */
enum { FAR = 1 << 16 };

/* Rows of vector p in order; `ordinal` counts coincidences. */
INLINE void apply_rows(const struct rpu_pulse_args *a, const struct work *w, const struct philox *stream, size_t p,
                       const uint32_t *slots, uint32_t n, uint64_t ordinal, uint64_t total, int noisy) {
    const struct device d = device_make(a);
    struct window noise = {stream, 0, 0, w->noise};
    const size_t ldw = rpu_padded(a->n), far = a->m * ldw >= FAR;
    size_t next;
    for (size_t i = next_row(a, w, p, slots, n, a->row0); i < a->row1; i = next) {
        const uint32_t sign_d = rpu_bits(a->d[p * a->ldd + i]) & 0x80000000u;
        float *row = a->w + i * ldw;
        const uint16_t *dev = a->dev + i * ldw * 4;
        next = next_row(a, w, p, slots, n, i + 1);
        const size_t ahead = far && next < a->row1 ? (next - i) * ldw : 0;
        for (uint32_t k = 0; k < n; k++) {
            const struct hits *h = &w->hits[slots[k]];
            if (h->count == 0 || !(bits_at(w->row_planes + slots[k] * w->row_words, w->skip + p * a->m + i) & 1))
                continue;
            const float *xi = noisy ? window_get(&noise, ordinal, h->count, total) : NULL;
            if (h->dense)
                apply_plane(a->n, &d, row, dev, (const unsigned char *)h->plane, a->x + p * a->ldx, sign_d, xi, ahead, noisy);
            else
                apply_hits(&d, row, dev, h, sign_d, xi, noisy);
            ordinal += h->count;
        }
    }
}

static void pulse_wide(const struct rpu_pulse_args *a, const struct work *w, struct rpu_pulse_counts *counts) {
    struct vector v;
    v.begun = 0;
    count_clips(a, counts);
    for (v.p = 0; v.p < a->columns; v.p++) {
        if (a->gain_d[v.p] == 0.0f)
            continue;
        draw_columns(a, w, &v, counts);
        if (v.hits == 0)
            continue;
        const struct rpu_stream noise = at_column(&a->noise, a->column + (uint32_t)v.p, 0);
        philox_counter(&v.noise, &noise);
        if (a->ctoc > 0.0f)
            apply_rows(a, w, &v.noise, v.p, v.slots, v.n, v.before, v.before + v.hits, 1);
        else
            apply_rows(a, w, &v.noise, v.p, v.slots, v.n, v.before, v.before + v.hits, 0);
    }
}

/* ---- narrow arrays ---- */

/* Row pulses that are worked off together, and the blocks of noise that they may need. */
enum {
    STRIP = 256,
    STRIP_LANES = STRIP * (RPU_NARROW_INPUTS / RPU_GAUSS_BLOCK + 2) + 2 * VEC,
    NARROW_VECTORS = RPU_NARROW_INPUTS / VEC
};

/* A vector and slot in which some row fires. */
struct unit {
    uint64_t rows;
    uint32_t p, slot, columns;
};

/* Row pulses in order. What a row meets cannot be foreseen and is little: no branch depends on it. */
struct strip {
    uint32_t columns[STRIP];
    size_t x[STRIP];       /* index of the first input */
    uint32_t first[STRIP]; /* number of the first noise */
    uint32_t row[STRIP];
    float d[STRIP];
    uint32_t c0[STRIP_LANES], c2[STRIP_LANES]; /* counters of the noise's blocks, one a lane */
    float xi[RPU_GAUSS_BLOCK * STRIP_LANES];
};

/* Where a strip is filled. Apart from it and from what the kernel is given, so that the compiler keeps it in registers:
 * it has to take vectors that are stored for anything they might point to. */
struct cursor {
    size_t count, lanes;
    uint32_t ordinal; /* of the next coincidence in its vector, whose noise is number base + ordinal of xi */
    uint32_t base;    /* a multiple of a block, modulo 2^32 */
    uint64_t row_pulses, coincidences;
};

/* A tie somewhere: the plane of one unit the exact way. */
static __attribute__((noinline)) uint32_t narrow_exact(const struct rpu_pulse_args *a, const struct unit *u) {
    const uint32_t column = a->column + u->p;
    const struct rpu_stream bits = at_column(&a->col_bits, column, u->slot);
    const struct source source = {
        a->gain_x + u->p, a->x + u->p * a->ldx, 0, a->n, at_column(&a->col_ties, column, u->slot), 0, 0};
    const struct philox ph = philox_begin(&bits);
    uint16_t hi[128] = {0}; /* whole vectors, whatever n */
    uint64_t plane[2] = {0};
    upper_thresholds(a->gain_x[u->p], source.v, a->n, hi);
    draw_plane(&ph, &source, a->n, hi, plane);
    return (uint32_t)plane[0];
}

/* Upper 16 bits of the thresholds of inputs 8 v .. 8 v + 7 of two vectors, one in each 128-bit half; 0 behind n. */
INLINE __m256i narrow_thresholds(const float *xa, const float *xb, __m256 ga, __m256 gb, size_t v, size_t n) {
    if (8 * v >= n)
        return _mm256_setzero_si256();
    const __m256i ta = upper8(probability8(ga, load_upto(xa + 8 * v, n - 8 * v)));
    const __m256i tb = upper8(probability8(gb, load_upto(xb + 8 * v, n - 8 * v)));
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(ta, tb), 0xd8);
}

/* Column pulses of two units: each has four blocks, one 128-bit half of the registers. */
INLINE void narrow_pair(const struct rpu_pulse_args *a, struct unit *u, struct unit *v, const struct words *w) {
    const float *xa = a->x + u->p * a->ldx, *xb = a->x + v->p * a->ldx;
    const __m256 ga = scaled(a->gain_x[u->p]), gb = scaled(a->gain_x[v->p]);
    const __m256i t0 = narrow_thresholds(xa, xb, ga, gb, 0, a->n), t1 = narrow_thresholds(xa, xb, ga, gb, 1, a->n);
    const __m256i t2 = narrow_thresholds(xa, xb, ga, gb, 2, a->n), t3 = narrow_thresholds(xa, xb, ga, gb, 3, a->n);
    const uint32_t low = ~(uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(silent16(w->w0, t0), silent16(w->w1, t1)));
    const uint32_t high = ~(uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(silent16(w->w2, t2), silent16(w->w3, t3)));
    const __m256i equal = _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi16(w->w0, t0), _mm256_cmpeq_epi16(w->w1, t1)),
                                          _mm256_or_si256(_mm256_cmpeq_epi16(w->w2, t2), _mm256_cmpeq_epi16(w->w3, t3)));
    u->columns = (low & 0xffffu) | high << 16;
    v->columns = low >> 16 | (high & 0xffff0000u);
    if (__builtin_expect(!_mm256_testz_si256(equal, equal), 0)) {
        u->columns = narrow_exact(a, u);
        v->columns = narrow_exact(a, v);
    }
}

INLINE __m256i column_words(const struct rpu_pulse_args *a, const struct unit *u, const struct unit *v) {
    return _mm256_setr_m128i(_mm_set1_epi32((int)rpu_counter_column(a->column + u->p, u->slot)),
                             _mm_set1_epi32((int)rpu_counter_column(a->column + v->p, v->slot)));
}

/* Column pulses of up to four units; room for four. */
static void narrow_columns(const struct rpu_pulse_args *a, struct unit *u, size_t count) {
    const __m256i blocks = _mm256_add_epi32(_mm256_set1_epi32((int)a->col_bits.ctr[0]),
                                            _mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3));
    for (size_t k = count; k < 4; k++)
        u[k] = u[0];
    const struct words2 w =
        philox_lanes16(&a->col_bits, blocks, column_words(a, u, u + 1), blocks, column_words(a, u + 2, u + 3));
    narrow_pair(a, u, u + 1, &w.a);
    narrow_pair(a, u + 2, u + 3, &w.b);
}

/* The six Gaussians of each of eight blocks, block by block. */
INLINE void store_blocks(const struct words *w, float *out) {
    const struct pair p[3] = {gauss_pair(w->w0, angle_first(w)), gauss_pair(w->w1, angle_second(w)),
                              gauss_pair(w->w2, angle_third(w))};
    for (unsigned k = 0; k < 3; k++) {
        /* two numbers a block, two blocks a part */
        const __m256 low = _mm256_unpacklo_ps(p[k].first, p[k].second);
        const __m256 high = _mm256_unpackhi_ps(p[k].first, p[k].second);
        const __m128 part[4] = {_mm256_castps256_ps128(low), _mm256_castps256_ps128(high),
                                _mm256_extractf128_ps(low, 1), _mm256_extractf128_ps(high, 1)};
        for (unsigned b = 0; b < 4; b++) {
            float *to = out + 2 * RPU_GAUSS_BLOCK * b + 2 * k;
            _mm_storel_pi((__m64 *)(void *)to, part[b]);
            _mm_storeh_pi((__m64 *)(void *)(to + RPU_GAUSS_BLOCK), part[b]);
        }
    }
}

static void draw_noise(const struct rpu_pulse_args *a, struct strip *b, size_t lanes) {
    for (size_t l = lanes; l < lanes + 2 * VEC; l += VEC) {
        store_words(b->c0 + l, _mm256_setzero_si256());
        store_words(b->c2 + l, _mm256_setzero_si256());
    }
    for (size_t l = 0; l < lanes; l += 2 * VEC) {
        const struct words2 w = philox_lanes16(&a->noise, load_words(b->c0 + l), load_words(b->c2 + l),
                                               load_words(b->c0 + l + VEC), load_words(b->c2 + l + VEC));
        store_blocks(&w.a, b->xi + RPU_GAUSS_BLOCK * l);
        if (l + VEC < lanes)
            store_blocks(&w.b, b->xi + RPU_GAUSS_BLOCK * (l + VEC));
    }
}

/* Steps and bounds of a whole row, in vectors. */
struct narrow_row {
    __m256 w[NARROW_VECTORS], up[NARROW_VECTORS], down[NARROW_VECTORS], upper[NARROW_VECTORS], lower[NARROW_VECTORS];
};

INLINE void narrow_load(const struct rpu_pulse_args *a, const struct device *d, size_t at, size_t vectors,
                        struct narrow_row *r) {
    const __m256i rise = _mm256_setzero_si256(), fall = _mm256_set1_epi32((int)0x80000000u);
    for (size_t v = 0; v < vectors; v++) {
        const __m128i *from = (const __m128i *)(const void *)(a->dev + 4 * (at + VEC * v));
        const __m256i dev0 = _mm256_setr_m128i(_mm_loadu_si128(from), _mm_loadu_si128(from + 2));
        const __m256i dev1 = _mm256_setr_m128i(_mm_loadu_si128(from + 1), _mm_loadu_si128(from + 3));
        const struct steps up = steps8(d, dev0, dev1, rise), down = steps8(d, dev0, dev1, fall);
        r->w[v] = _mm256_loadu_ps(a->w + at + VEC * v);
        r->up[v] = up.delta;
        r->down[v] = down.delta;
        r->upper[v] = up.upper;
        r->lower[v] = up.lower;
    }
}

/* Row pulse k on its row. */
INLINE void narrow_pulse(const struct rpu_pulse_args *a, const struct device *d, const struct strip *b, size_t k,
                         size_t vectors, struct narrow_row *r, int noisy) {
    const __m256 flip = _mm256_set1_ps(b->d[k]);
    const float *xi = b->xi + b->first[k], *x = a->x + b->x[k];
    const size_t left = a->n - (vectors - 1) * VEC;
    for (size_t v = 0; v < vectors; v++) {
        const unsigned byte = b->columns[k] >> (VEC * v) & 255u;
        const __m256i rank = _mm256_cvtepi8_epi32(_mm_cvtsi64_si128((long long)spread[byte]));
        const __m256 in = v + 1 < vectors ? _mm256_loadu_ps(x + VEC * v) : load_part(x + VEC * v, left);
        const __m256 delta = _mm256_blendv_ps(r->up[v], r->down[v], _mm256_xor_ps(in, flip));
        const __m256 number = noisy ? _mm256_permutevar8x32_ps(_mm256_loadu_ps(xi), rank) : d->ctoc;
        const __m256 w = noisy ? _mm256_fmadd_ps(delta, noise_factor(d, number), r->w[v]) : _mm256_add_ps(r->w[v], delta);
        r->w[v] = _mm256_blendv_ps(clip_ps(w, r->lower[v], r->upper[v]), r->w[v], _mm256_castsi256_ps(rank));
        xi += __builtin_popcount(byte);
    }
}

/* The row pulses order[0 .. count) of row i: its weights stay in registers meanwhile. */
INLINE void narrow_row(const struct rpu_pulse_args *a, const struct device *d, const struct strip *b, size_t i,
                       const uint16_t *order, size_t count, size_t vectors, int noisy) {
    struct narrow_row r;
    const size_t at = i * rpu_padded(a->n);
    narrow_load(a, d, at, vectors, &r);
    for (size_t k = 0; k < count; k++)
        narrow_pulse(a, d, b, order[k], vectors, &r, noisy);
    for (size_t v = 0; v < vectors; v++)
        _mm256_storeu_ps(a->w + at + VEC * v, r.w[v]);
}

/* Rows share no weight: each in turn, its pulses in order. */
INLINE void apply_strip(const struct rpu_pulse_args *a, const struct strip *b, size_t count, size_t vectors, int noisy) {
    const struct device d = device_make(a);
    uint16_t end[RPU_NARROW_OUTPUTS + 1] = {0}, order[STRIP];
    for (size_t k = 0; k < count; k++)
        end[b->row[k] + 1]++;
    for (size_t i = 0; i < a->m; i++)
        end[i + 1] = (uint16_t)(end[i + 1] + end[i]);
    for (size_t k = 0; k < count; k++)
        order[end[b->row[k]]++] = (uint16_t)k;
    for (size_t i = a->row0, first = i > 0 ? end[i - 1] : 0; i < a->row1; first = end[i++])
        if (end[i] > first)
            narrow_row(a, &d, b, i, order + first, end[i] - first, vectors, noisy);
}

/* Works off the row pulses of a strip. */
static void work_off(const struct rpu_pulse_args *a, struct strip *b, size_t count, size_t lanes, int noisy) {
    if (noisy)
        draw_noise(a, b, lanes);
    switch ((a->n + VEC - 1) / VEC) {
    case 0: break;
    case 1: apply_strip(a, b, count, 1, noisy); break;
    case 2: apply_strip(a, b, count, 2, noisy); break;
    case 3: apply_strip(a, b, count, 3, noisy); break;
    default: apply_strip(a, b, count, 4, noisy); break;
    }
}

/* If the next row pulse is one of another vector, its noise starts with a block of its own. */
INLINE void next_vector(struct cursor *c, int is_next) {
    const uint32_t base = (c->base + c->ordinal + RPU_GAUSS_BLOCK - 1) / RPU_GAUSS_BLOCK * RPU_GAUSS_BLOCK;
    c->base = is_next ? base : c->base;
    c->ordinal = is_next ? 0 : c->ordinal;
}

/* Row i fires in a unit. Outside of the rows to change it counts, but changes nothing. `l`: a copy of *a. */
INLINE void add_row(const struct rpu_pulse_args *a, const struct rpu_pulse_args *l, struct strip *b, struct cursor *c,
                    const struct unit *u, size_t i, int noisy) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const uint32_t p = u->p, columns = u->columns, hits = (uint32_t)__builtin_popcount(columns);
    const uint32_t mine = 0u - (i >= l->row0 && i < l->row1), number = c->base + c->ordinal;
    const uint32_t lane = number / RPU_GAUSS_BLOCK, block = l->noise.ctr[0] + c->ordinal / RPU_GAUSS_BLOCK;
    const size_t k = c->count++;
    c->lanes = (number + hits + RPU_GAUSS_BLOCK - 1) / RPU_GAUSS_BLOCK;
    c->ordinal += hits;
    c->row_pulses += mine & 1u;
    c->coincidences += hits & mine;
    b->columns[k] = columns;
    b->x[k] = p * l->ldx;
    b->first[k] = number;
    b->row[k] = (uint32_t)i;
    b->d[k] = l->d[p * l->ldd + i];
    store_words(b->c0 + lane, _mm256_add_epi32(_mm256_set1_epi32((int)block), lanes));
    store_words(b->c2 + lane, _mm256_set1_epi32((int)rpu_counter_column(l->column + p, 0)));
    if (c->count == STRIP) {
        work_off(a, b, c->count, c->lanes, noisy);
        c->base = 0u - c->ordinal / RPU_GAUSS_BLOCK * RPU_GAUSS_BLOCK;
        c->count = c->lanes = 0;
    }
}

INLINE void end_strip(const struct rpu_pulse_args *a, struct strip *b, const struct cursor *c,
                      struct rpu_pulse_counts *counts, int noisy) {
    work_off(a, b, c->count, c->lanes, noisy);
    counts->row_pulses += c->row_pulses;
    counts->coincidences += c->coincidences;
}

static void draw_units(const struct rpu_pulse_args *a, struct unit *units, size_t n, struct rpu_pulse_counts *counts) {
    uint64_t pulses = 0;
    for (size_t k = 0; k < n; k += 4)
        narrow_columns(a, units + k, n - k < 4 ? n - k : 4);
    for (size_t k = 0; k < n; k++)
        pulses += (uint64_t)__builtin_popcount(units[k].columns);
    counts->column_pulses += a->row0 == 0 ? pulses : 0;
}

/* One slot: the plane of rows is a list of row pulses in the order in which they are applied. */
INLINE void narrow_single(const struct rpu_pulse_args *a, const struct work *w, struct rpu_pulse_counts *counts,
                          int noisy) {
    struct unit *units = (struct unit *)(void *)w->rest;
    uint32_t *pulse = (uint32_t *)(void *)(units + a->columns + 4);
    const size_t end = w->skip + a->columns * a->m;
    const uint32_t m = (uint32_t)a->m;
    const struct rpu_pulse_args l = *a;
    struct cursor c = {0};
    struct strip b;
    size_t found = 0;
    uint32_t last = UINT32_MAX;
    const size_t n = compress_bytes(w->row_planes, (end + 7) / 8, pulse);
    for (size_t k = 0; k < n; k++) { /* becomes unit and row */
        const uint32_t flat = pulse[k] - (uint32_t)w->skip, p = flat / m;
        found += p != last;
        units[found - 1].p = last = p;
        units[found - 1].slot = 0;
        pulse[k] = (uint32_t)(found - 1) * RPU_NARROW_OUTPUTS + flat % m;
    }
    draw_units(a, units, found, counts);
    last = 0;
    for (size_t k = 0; k < n; k++) {
        const uint32_t u = pulse[k] / RPU_NARROW_OUTPUTS;
        next_vector(&c, u != last);
        last = u;
        add_row(a, &l, &b, &c, units + u, pulse[k] % RPU_NARROW_OUTPUTS, noisy);
    }
    end_strip(a, &b, &c, counts, noisy);
}

/* All coincidences of one vector, whose units are u[0..n). */
INLINE void narrow_vector(const struct rpu_pulse_args *a, const struct rpu_pulse_args *l, const struct unit *u, size_t n,
                          struct strip *b, struct cursor *c, int noisy) {
    uint64_t any = 0;
    for (size_t k = 0; k < n; k++)
        any |= u[k].rows;
    next_vector(c, 1);
    for (; any; any &= any - 1) {
        const size_t i = (size_t)__builtin_ctzll(any);
        for (size_t k = 0; k < n; k++)
            if (u[k].rows >> i & 1)
                add_row(a, l, b, c, u + k, i, noisy);
    }
}

/* Several slots: vectors and slots in which some row fires, then vector by vector. */
INLINE void narrow_slots(const struct rpu_pulse_args *a, const struct work *w, struct rpu_pulse_counts *counts,
                         int noisy) {
    struct unit *units = (struct unit *)(void *)w->rest;
    const struct rpu_pulse_args l = *a;
    struct cursor c = {0};
    struct strip b;
    size_t n = 0;
    for (size_t p = 0; p < a->columns; p++)
        for (uint32_t s = 0; s < a->bl; s++) {
            units[n] = (struct unit){rows_at(a, w, s, p, 0), (uint32_t)p, s, 0};
            n += units[n].rows != 0;
        }
    draw_units(a, units, n, counts);
    for (size_t k = 0, end; k < n; k = end) {
        for (end = k + 1; end < n && units[end].p == units[k].p;)
            end++;
        narrow_vector(a, &l, units + k, end - k, &b, &c, noisy);
    }
    end_strip(a, &b, &c, counts, noisy);
}

static void pulse_narrow(const struct rpu_pulse_args *a, const struct work *w, struct rpu_pulse_counts *counts) {
    count_clips(a, counts);
    if (a->bl == 1 && a->ctoc > 0.0f)
        narrow_single(a, w, counts, 1);
    else if (a->bl == 1)
        narrow_single(a, w, counts, 0);
    else if (a->ctoc > 0.0f)
        narrow_slots(a, w, counts, 1);
    else
        narrow_slots(a, w, counts, 0);
}

void K(pulse)(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    const struct work w = divide_scratch(args);
    draw_rows(args, &w, counts);
    if (rpu_pulse_narrow(args->m, args->n))
        pulse_narrow(args, &w, counts);
    else
        pulse_wide(args, &w, counts);
}

/* ---- update management ---- */

void K(gains)(size_t count, float c, int managed, const float *x_max, const float *d_max, float *gain_x, float *gain_d) {
    const __m256 scale = _mm256_set1_ps(c), zero = _mm256_setzero_ps();
    for (size_t p = 0; p < count; p += VEC) {
        const size_t n = count - p;
        const __m256 x = load_upto(x_max + p, n), d = load_upto(d_max + p, n);
        const __m256 root = managed ? _mm256_sqrt_ps(_mm256_div_ps(d, x)) : _mm256_set1_ps(1.0f);
        __m256 pulses = _mm256_and_ps(_mm256_cmp_ps(x, zero, _CMP_GT_OQ), _mm256_cmp_ps(d, zero, _CMP_GT_OQ));
        pulses = _mm256_and_ps(pulses, _mm256_cmp_ps(root, zero, _CMP_GT_OQ));
        pulses = _mm256_and_ps(pulses, _mm256_cmp_ps(root, _mm256_set1_ps(INFINITY), _CMP_LT_OQ));
        store_upto(gain_x + p, _mm256_and_ps(_mm256_mul_ps(scale, root), pulses), n);
        store_upto(gain_d + p, _mm256_and_ps(_mm256_div_ps(scale, root), pulses), n);
    }
}
