/* SPDX-License-Identifier: Apache-2.0 */
/* The stochastic pulsed update.
 *
 * Row pulses of the whole block are drawn first, as flat planes. What follows costs only where something fires:
 *
 * - Wide arrays: for each vector and slot in which a row fires the column plane is drawn and turned into a list of hits
 *   (input index and sign), which all rows firing in that slot share. The noise of a vector's coincidences is one dense
 *   stream, so eight hits of a list meet eight consecutive Gaussians; weights and device parameters are gathered. Where
 *   more than half of the inputs fire, weights are worked off eight by eight instead and the noise is spread over them.
 * - Narrow arrays (n <= 32, m <= 64: the first convolution): vectors have a handful of coincidences each. Column planes
 *   of two vectors are drawn at once, coincidences of many vectors are collected, the noise of eight of them is made at
 *   once, each lane with its own counter, and then they are applied in order. */
#include "pulses.h"

/* ---- work memory ---- */

struct hits {
    size_t count;
    int dense;       /* more than half of the inputs fire: the plane is worked off, else the list */
    uint64_t *plane; /* bit j: input j fires */
    uint32_t *at;    /* inputs that fire, ascending */
    uint32_t *sign;  /* sign bit of x there */
};

struct work {
    uint16_t *row_hi, *row_lo;
    uint64_t *row_planes; /* bl planes, column * m + i */
    size_t row_words;
    uint16_t *col_hi, *col_lo;
    struct hits *hits; /* for each slot */
    float *noise;      /* NOISE floats with a group's room on both sides */
    unsigned char *rest; /* narrow arrays: units */
};

enum { NOISE = 960 };

INLINE void *take(unsigned char **at, size_t bytes) {
    void *p = *at;
    *at += (bytes + 63) / 64 * 64;
    return p;
}

static struct work divide_scratch(const struct rpu_pulse_args *a) {
    const size_t flat = a->columns * a->m, wide = a->n + 64;
    unsigned char *at = a->scratch;
    struct work w;
    w.row_words = (flat + 63) / 64 + 1;
    w.row_hi = take(&at, (flat + 64) * sizeof *w.row_hi);
    w.row_lo = take(&at, (flat + 64) * sizeof *w.row_lo);
    w.row_planes = take(&at, w.row_words * a->bl * sizeof *w.row_planes);
    w.col_hi = take(&at, wide * sizeof *w.col_hi);
    w.col_lo = take(&at, wide * sizeof *w.col_lo);
    w.hits = take(&at, a->bl * sizeof *w.hits);
    for (uint32_t s = 0; s < a->bl; s++) {
        w.hits[s].plane = take(&at, (wide / 64 + 1) * sizeof(uint64_t));
        w.hits[s].at = take(&at, wide * sizeof(uint32_t));
        w.hits[s].sign = take(&at, wide * sizeof(uint32_t));
    }
    w.noise = take(&at, (NOISE + a->n + 3 * RPU_GAUSS_GROUP) * sizeof *w.noise);
    w.rest = at;
    return w;
}

INLINE struct rpu_stream at_column(const struct rpu_stream *stream, uint32_t column, uint32_t slot) {
    struct rpu_stream s = *stream;
    s.ctr[2] = rpu_counter_column(column, slot);
    return s;
}

/* ---- row pulses ---- */

static void count_row_clips(const struct rpu_pulse_args *a, size_t p, struct rpu_pulse_counts *counts) {
    for (size_t i = a->row0; i < a->row1; i++)
        counts->clipped += a->gain_d[p] * rpu_float(rpu_bits(a->d[p * a->ldd + i]) & 0x7fffffffu) > 1.0f;
}

static void draw_rows(const struct rpu_pulse_args *a, const struct work *w, struct rpu_pulse_counts *counts) {
    const size_t flat = a->columns * a->m;
    for (size_t p = 0; p < a->columns; p++)
        if (thresholds_padded(a->gain_d[p], a->d + p * a->ldd, a->m, w->row_hi + p * a->m, w->row_lo + p * a->m) > 0)
            count_row_clips(a, p, counts);
    for (uint32_t s = 0; s < a->bl; s++) {
        const struct rpu_stream bits = at_column(&a->row_bits, 0, s), ties = at_column(&a->row_ties, 0, s);
        const struct philox p = philox_begin(&bits);
        uint64_t *plane = w->row_planes + s * w->row_words;
        bernoulli_plane(&p, &ties, (uint64_t)a->column * a->m, flat, w->row_hi, w->row_lo, plane);
        plane[w->row_words - 1] = 0; /* so that 64 bits can be read from anywhere below flat */
    }
}

/* 64 bits of a plane from bit `at` on. */
INLINE uint64_t bits_at(const uint64_t *plane, size_t at) {
    const size_t word = at / 64, shift = at % 64;
    return plane[word] >> shift | (shift ? plane[word + 1] << (64 - shift) : 0);
}

/* Rows i .. i + 63 of vector p that fire in slot s. */
INLINE uint64_t rows_at(const struct rpu_pulse_args *a, const struct work *w, uint32_t s, size_t p, size_t i) {
    const size_t left = a->m - i;
    const uint64_t bits = bits_at(w->row_planes + s * w->row_words, p * a->m + i);
    return left < 64 ? bits & ((UINT64_C(1) << left) - 1) : bits;
}

INLINE int slot_fires(const struct rpu_pulse_args *a, const struct work *w, size_t p, uint32_t s) {
    for (size_t i = 0; i < a->m; i += 64)
        if (rows_at(a, w, s, p, i))
            return 1;
    return 0;
}

static void count_column_clips(const struct rpu_pulse_args *a, size_t p, struct rpu_pulse_counts *counts) {
    if (a->row0 == 0 && a->gain_x[p] * a->peak[p] > 1.0f)
        for (size_t j = 0; j < a->n; j++)
            counts->clipped += a->gain_x[p] * rpu_float(rpu_bits(a->x[p * a->ldx + j]) & 0x7fffffffu) > 1.0f;
}

/* ---- one step of a device ---- */

struct device {
    __m256 step_unit, bound_unit, ctoc;
};

/* Eight weights after one coincidence each. `dev`: four 16-bit parameters in each 64-bit lane, crosspoints 0, 1, 4, 5
 * and 2, 3, 6, 7; `down`: sign bit set where the step goes down. */
INLINE __m256 step8(const struct device *d, __m256 w, __m256i dev0, __m256i dev1, __m256i down, __m256 xi, int noisy) {
    const __m256i low16 = _mm256_set1_epi32(0xffff);
    const __m256i steps = join(dev0, dev1);
    const __m256i bounds = _mm256_castps_si256(
        _mm256_shuffle_ps(_mm256_castsi256_ps(dev0), _mm256_castsi256_ps(dev1), 0xdd));
    const __m256i q = _mm256_and_si256(_mm256_srlv_epi32(steps, _mm256_srli_epi32(down, 27)), low16);
    const __m256 delta = _mm256_xor_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(q), d->step_unit), _mm256_castsi256_ps(down));
    const __m256 upper = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_and_si256(bounds, low16)), d->bound_unit);
    const __m256 lower = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32(bounds, 16)), d->bound_unit);
    const __m256 v = noisy ? _mm256_fmadd_ps(delta, _mm256_fmadd_ps(d->ctoc, xi, _mm256_set1_ps(1.0f)), w)
                           : _mm256_add_ps(w, delta);
    return clip_ps(v, _mm256_xor_ps(lower, _mm256_set1_ps(-0.0f)), upper);
}

/* The same for one crosspoint. */
INLINE void step1(const struct rpu_pulse_args *a, float *w, const uint16_t *dev, uint32_t down, float xi, int noisy) {
    const float q = (float)dev[down >> 31];
    const float delta = rpu_float(rpu_bits(q * a->step_unit) ^ down);
    const float upper = (float)dev[2] * a->bound_unit, lower = -((float)dev[3] * a->bound_unit);
    const float v = noisy ? __builtin_fmaf(delta, __builtin_fmaf(a->ctoc, xi, 1.0f), *w) : *w + delta;
    *w = v > upper ? upper : (v < lower ? lower : v);
}

INLINE __m256 gather8(const float *w, const uint32_t *at) {
    const __m128 a = _mm_insert_ps(_mm_load_ss(w + at[0]), _mm_load_ss(w + at[1]), 0x10);
    const __m128 b = _mm_insert_ps(_mm_load_ss(w + at[2]), _mm_load_ss(w + at[3]), 0x10);
    const __m128 c = _mm_insert_ps(_mm_load_ss(w + at[4]), _mm_load_ss(w + at[5]), 0x10);
    const __m128 d = _mm_insert_ps(_mm_load_ss(w + at[6]), _mm_load_ss(w + at[7]), 0x10);
    return _mm256_setr_m128(_mm_movelh_ps(a, b), _mm_movelh_ps(c, d));
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

INLINE __m128i load_devices(const uint16_t *dev, uint32_t first, uint32_t second) {
    const __m128i a = _mm_loadl_epi64((const __m128i *)(const void *)(dev + 4 * (size_t)first));
    return _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(a), (const __m64 *)(const void *)(dev + 4 * (size_t)second)));
}

/* All hits of one row in one slot. */
INLINE void apply_hits(const struct rpu_pulse_args *a, const struct device *d, float *w, const uint16_t *dev,
                       const struct hits *h, uint32_t sign_d, const float *xi, int noisy) {
    const __m256i flip = _mm256_set1_epi32((int)sign_d);
    size_t k = 0;
    for (; k + VEC <= h->count; k += VEC) {
        const uint32_t *at = h->at + k;
        const __m256i dev0 = _mm256_setr_m128i(load_devices(dev, at[0], at[1]), load_devices(dev, at[4], at[5]));
        const __m256i dev1 = _mm256_setr_m128i(load_devices(dev, at[2], at[3]), load_devices(dev, at[6], at[7]));
        const __m256i down = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)(h->sign + k)), flip);
        scatter8(w, at, step8(d, gather8(w, at), dev0, dev1, down, noisy ? _mm256_loadu_ps(xi + k) : d->ctoc, noisy));
    }
    for (; k < h->count; k++)
        step1(a, w + h->at[k], dev + 4 * (size_t)h->at[k], h->sign[k] ^ sign_d, noisy ? xi[k] : 0.0f, noisy);
}

/* For each byte of a plane: lane l's index into the next Gaussians if bit l is set, else a negative number. */
#define RANK(b, l)  ((uint64_t)((b) >> (l) & 1 ? __builtin_popcount((b) & ((1 << (l)) - 1)) : 0x80) << (8 * (l)))
#define SPREAD(b)                                                                                                      \
    (RANK(b, 0) | RANK(b, 1) | RANK(b, 2) | RANK(b, 3) | RANK(b, 4) | RANK(b, 5) | RANK(b, 6) | RANK(b, 7))
#define SPREAD4(b)  SPREAD(b), SPREAD((b) + 1), SPREAD((b) + 2), SPREAD((b) + 3)
#define SPREAD16(b) SPREAD4(b), SPREAD4((b) + 4), SPREAD4((b) + 8), SPREAD4((b) + 12)
#define SPREAD64(b) SPREAD16(b), SPREAD16((b) + 16), SPREAD16((b) + 32), SPREAD16((b) + 48)
static const uint64_t spread[256] = {SPREAD64(0), SPREAD64(64), SPREAD64(128), SPREAD64(192)};

/* All hits of one row in one slot, where there are many. */
INLINE void apply_plane(const struct rpu_pulse_args *a, const struct device *d, float *w, const uint16_t *dev,
                        const struct hits *h, const float *x, uint32_t sign_d, const float *xi, int noisy) {
    const __m256i flip = _mm256_set1_epi32((int)sign_d), sign = _mm256_set1_epi32((int)0x80000000u);
    for (size_t j = 0; j < a->n; j += VEC) {
        const unsigned byte = (unsigned)(h->plane[j / 64] >> (j % 64)) & 255u;
        const __m256i rank = _mm256_cvtepi8_epi32(_mm_cvtsi64_si128((long long)spread[byte]));
        const __m128i *from = (const __m128i *)(const void *)(dev + 4 * j);
        const __m256i dev0 = _mm256_setr_m128i(_mm_loadu_si128(from), _mm_loadu_si128(from + 2));
        const __m256i dev1 = _mm256_setr_m128i(_mm_loadu_si128(from + 1), _mm_loadu_si128(from + 3));
        const __m256i down = _mm256_xor_si256(
            _mm256_and_si256(_mm256_castps_si256(load_upto(x + j, a->n - j)), sign), flip);
        const __m256 old = _mm256_loadu_ps(w + j);
        const __m256 number = noisy ? _mm256_permutevar8x32_ps(_mm256_loadu_ps(xi), rank) : d->ctoc;
        const __m256 v = step8(d, old, dev0, dev1, down, number, noisy);
        _mm256_storeu_ps(w + j, _mm256_blendv_ps(v, old, _mm256_castsi256_ps(rank)));
        xi += noisy ? __builtin_popcount(byte) : 0;
    }
}

/* ---- noise of one vector: a window over the dense stream ---- */

struct window {
    struct philox p;
    uint64_t first, end; /* elements that are there; first is the start of a group */
    float *buffer;
};

/* Adds groups at the end of the window: whole ones, but of the last only the pairs below `total`. */
INLINE void window_fill(struct window *n, size_t groups, uint64_t total) {
    const uint32_t group = (uint32_t)(n->end / RPU_GAUSS_GROUP);
    const size_t left = (size_t)(total - n->end), fit = left / RPU_GAUSS_GROUP, whole = groups < fit ? groups : fit;
    float *to = n->buffer + (n->end - n->first);
    if (whole > 0)
        gauss_groups(&n->p, group, whole, to);
    if (groups > whole)
        gauss_group_upto(&n->p, group + (uint32_t)whole, left - whole * RPU_GAUSS_GROUP, to + whole * RPU_GAUSS_GROUP);
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

/* Counts the inputs that fire; lists them where they are few. */
INLINE void list_hits(size_t n, const float *x, struct hits *h) {
    const size_t words = (n + 63) / 64;
    size_t k = 0;
    h->count = 0;
    for (size_t word = 0; word < words; word++)
        h->count += (size_t)__builtin_popcountll(h->plane[word]);
    h->dense = h->count * 2 > n;
    for (size_t word = 0; word < words && !h->dense; word++)
        for (uint64_t left = h->plane[word]; left; left &= left - 1) {
            const uint32_t j = (uint32_t)(word * 64) + (uint32_t)__builtin_ctzll(left);
            h->at[k] = j;
            h->sign[k++] = rpu_bits(x[j]) & 0x80000000u;
        }
}

/* Draws the column pulses of vector p in the slots in which a row fires; their numbers go to slots[]. */
static uint32_t draw_columns(const struct rpu_pulse_args *a, const struct work *w, size_t p, uint32_t *slots,
                             struct rpu_pulse_counts *counts) {
    const uint32_t column = a->column + (uint32_t)p;
    const float *x = a->x + p * a->ldx;
    uint32_t n = 0;
    for (uint32_t s = 0; s < a->bl; s++) {
        if (!slot_fires(a, w, p, s))
            continue;
        if (n == 0) {
            const size_t end = (a->n + 15) / 16 * 16;
            thresholds_padded(a->gain_x[p], x, a->n, w->col_hi, w->col_lo);
            memset(w->col_hi + end, 0, 48 * sizeof *w->col_hi);
            memset(w->col_lo + end, 0, 48 * sizeof *w->col_lo);
        }
        const struct rpu_stream bits = at_column(&a->col_bits, column, s), ties = at_column(&a->col_ties, column, s);
        const struct philox ph = philox_begin(&bits);
        for (size_t j = 0; j < a->n; j += 64)
            w->hits[s].plane[j / 64] = bernoulli64(&ph, &ties, j, w->col_hi + j, w->col_lo + j);
        list_hits(a->n, x, &w->hits[s]);
        if (a->row0 == 0)
            counts->column_pulses += w->hits[s].count;
        slots[n++] = s;
    }
    return n;
}

/* Coincidences of vector p in rows below `end`. */
static uint64_t count_hits(const struct rpu_pulse_args *a, const struct work *w, size_t p, const uint32_t *slots,
                           uint32_t n, size_t end, uint64_t *pulses) {
    uint64_t hits = 0;
    *pulses = 0;
    for (uint32_t k = 0; k < n; k++) {
        uint64_t rows = 0;
        for (size_t i = 0; i < end; i += 64) {
            const uint64_t bits = rows_at(a, w, slots[k], p, i);
            rows += (uint64_t)__builtin_popcountll(end - i < 64 ? bits & ((UINT64_C(1) << (end - i)) - 1) : bits);
        }
        *pulses += rows;
        hits += rows * w->hits[slots[k]].count;
    }
    return hits;
}

/* Rows of vector p in order; `ordinal` counts coincidences. */
INLINE void apply_rows(const struct rpu_pulse_args *a, const struct work *w, size_t p, const uint32_t *slots, uint32_t n,
                       uint64_t ordinal, uint64_t total, int noisy) {
    const struct device d = {_mm256_set1_ps(a->step_unit), _mm256_set1_ps(a->bound_unit), _mm256_set1_ps(a->ctoc)};
    const struct rpu_stream stream = at_column(&a->noise, a->column + (uint32_t)p, 0);
    struct window noise = {philox_begin(&stream), 0, 0, w->noise};
    const size_t ldw = rpu_padded(a->n);
    for (size_t i0 = a->row0 / 64 * 64; i0 < a->row1; i0 += 64) {
        uint64_t any = 0;
        for (uint32_t k = 0; k < n; k++)
            any |= rows_at(a, w, slots[k], p, i0);
        for (; any; any &= any - 1) {
            const uint32_t bit = (uint32_t)__builtin_ctzll(any);
            const size_t i = i0 + bit;
            if (i < a->row0 || i >= a->row1)
                continue;
            for (uint32_t k = 0; k < n; k++) {
                const struct hits *h = &w->hits[slots[k]];
                if (!(rows_at(a, w, slots[k], p, i0) >> bit & 1))
                    continue;
                const float *xi = noisy ? window_get(&noise, ordinal, h->count, total) : NULL;
                const uint32_t sign_d = rpu_bits(a->d[p * a->ldd + i]) & 0x80000000u;
                if (h->dense)
                    apply_plane(a, &d, a->w + i * ldw, a->dev + i * ldw * 4, h, a->x + p * a->ldx, sign_d, xi, noisy);
                else
                    apply_hits(a, &d, a->w + i * ldw, a->dev + i * ldw * 4, h, sign_d, xi, noisy);
                ordinal += h->count;
            }
        }
    }
}

static void pulse_wide(const struct rpu_pulse_args *a, const struct work *w, struct rpu_pulse_counts *counts) {
    uint32_t slots[RPU_COUNTER_MAX_SLOTS];
    for (size_t p = 0; p < a->columns; p++) {
        uint64_t before, upto, pulses_before, pulses_upto;
        if (a->gain_d[p] == 0.0f)
            continue;
        const uint32_t n = draw_columns(a, w, p, slots, counts);
        count_column_clips(a, p, counts);
        if (n == 0)
            continue;
        before = count_hits(a, w, p, slots, n, a->row0, &pulses_before);
        upto = count_hits(a, w, p, slots, n, a->row1, &pulses_upto);
        counts->row_pulses += pulses_upto - pulses_before;
        counts->coincidences += upto - before;
        if (a->ctoc > 0.0f)
            apply_rows(a, w, p, slots, n, before, upto, 1);
        else
            apply_rows(a, w, p, slots, n, before, upto, 0);
    }
}

/* ---- narrow arrays ---- */

enum { NARROW_N = 32, NARROW_M = 64, BATCH = 512 };

/* A vector and slot in which some row fires. */
struct unit {
    uint32_t p, slot, columns;
};

/* Coincidences waiting for their noise, in the order in which they are applied. */
struct batch {
    size_t count, lanes;
    uint32_t crosspoint[BATCH + NARROW_N]; /* i * ldw + j */
    uint32_t down[BATCH + NARROW_N];
    float xi[BATCH + NARROW_N];
    uint32_t c0[BATCH + NARROW_N + VEC], c2[BATCH + NARROW_N + VEC]; /* counters of lanes */
    uint32_t slot[BATCH + NARROW_N + VEC];                           /* which coincidence a lane's number is for */
};

/* A tie somewhere: the plane of one unit the exact way. */
static __attribute__((noinline)) uint32_t narrow_exact(const struct rpu_pulse_args *a, const struct unit *u) {
    const uint32_t column = a->column + u->p;
    const struct rpu_stream bits = at_column(&a->col_bits, column, u->slot);
    const struct rpu_stream ties = at_column(&a->col_ties, column, u->slot);
    const struct philox ph = philox_begin(&bits);
    uint16_t hi[2 * NARROW_N], lo[2 * NARROW_N]; /* room for a whole sixty-four */
    uint64_t plane[1];
    thresholds_padded(a->gain_x[u->p], a->x + u->p * a->ldx, a->n, hi, lo);
    bernoulli_plane(&ph, &ties, 0, a->n, hi, lo, plane);
    return (uint32_t)plane[0];
}

/* Upper 16 bits of the thresholds of inputs 8 v .. 8 v + 7 of two vectors, one in each 128-bit half; 0 behind n. */
INLINE __m256i narrow_thresholds(const float *xa, const float *xb, __m256 ga, __m256 gb, size_t v, size_t n) {
    if (8 * v >= n)
        return _mm256_setzero_si256();
    const __m256i ta = threshold8(_mm256_mul_ps(ga, abs_ps(load_upto(xa + 8 * v, n - 8 * v))));
    const __m256i tb = threshold8(_mm256_mul_ps(gb, abs_ps(load_upto(xb + 8 * v, n - 8 * v))));
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(_mm256_srli_epi32(ta, 8), _mm256_srli_epi32(tb, 8)), 0xd8);
}

/* Column pulses of two units at once: each has four blocks, one 128-bit half of the registers. */
static void narrow_columns(const struct rpu_pulse_args *a, struct unit *u, size_t count) {
    const struct unit *second = count > 1 ? u + 1 : u;
    const int ca = (int)rpu_counter_column(a->column + u->p, u->slot);
    const int cb = (int)rpu_counter_column(a->column + second->p, second->slot);
    const struct words w = philox_lanes(
        &a->col_bits,
        _mm256_add_epi32(_mm256_set1_epi32((int)a->col_bits.ctr[0]), _mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3)),
        _mm256_setr_epi32(ca, ca, ca, ca, cb, cb, cb, cb));
    const float *xa = a->x + u->p * a->ldx, *xb = a->x + second->p * a->ldx;
    const __m256 ga = _mm256_set1_ps(a->gain_x[u->p]), gb = _mm256_set1_ps(a->gain_x[second->p]);
    const __m256i t0 = narrow_thresholds(xa, xb, ga, gb, 0, a->n), t1 = narrow_thresholds(xa, xb, ga, gb, 1, a->n);
    const __m256i t2 = narrow_thresholds(xa, xb, ga, gb, 2, a->n), t3 = narrow_thresholds(xa, xb, ga, gb, 3, a->n);
    const uint32_t low = ~(uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(silent16(w.w0, t0), silent16(w.w1, t1)));
    const uint32_t high = ~(uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(silent16(w.w2, t2), silent16(w.w3, t3)));
    const __m256i equal = _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi16(w.w0, t0), _mm256_cmpeq_epi16(w.w1, t1)),
                                          _mm256_or_si256(_mm256_cmpeq_epi16(w.w2, t2), _mm256_cmpeq_epi16(w.w3, t3)));
    u[0].columns = (low & 0xffffu) | high << 16;
    if (count > 1)
        u[1].columns = low >> 16 | (high & 0xffff0000u);
    if (__builtin_expect(!_mm256_testz_si256(equal, equal), 0))
        for (size_t k = 0; k < count; k++)
            u[k].columns = narrow_exact(a, u + k);
}

/* Noise of the waiting lanes, then all coincidences in order. */
static void flush(const struct rpu_pulse_args *a, struct batch *b) {
    const int noisy = a->ctoc > 0.0f;
    for (size_t l = b->lanes; l % VEC; l++)
        b->c0[l] = b->c2[l] = 0;
    for (size_t l = 0; l < b->lanes; l += VEC) {
        float xi[2 * VEC];
        const struct words w = philox_lanes(&a->noise, _mm256_loadu_si256((const __m256i *)(const void *)(b->c0 + l)),
                                            _mm256_loadu_si256((const __m256i *)(const void *)(b->c2 + l)));
        const size_t n = b->lanes - l < VEC ? b->lanes - l : VEC;
        store_pair(xi, gauss_pair(w.w0, angle_first(&w)));
        for (size_t k = 0; k < n; k++)
            b->xi[b->slot[l + k]] = xi[k];
    }
    for (size_t k = 0; k < b->count; k++)
        step1(a, a->w + b->crosspoint[k], a->dev + 4 * (size_t)b->crosspoint[k], b->down[k], noisy ? b->xi[k] : 0.0f,
              noisy);
    b->count = b->lanes = 0;
}

/* Noise numbers below 8 of a vector are each the first of a block of its own: they wait for company. Later ones are
 * made at once. */
INLINE void ask_noise(const struct rpu_pulse_args *a, struct batch *b, uint32_t column, uint32_t ordinal, uint32_t hits) {
    if (ordinal + hits <= VEC) {
        for (uint32_t h = 0; h < hits; h++) {
            b->c0[b->lanes] = a->noise.ctr[0] + ordinal + h;
            b->c2[b->lanes] = rpu_counter_column(column, 0);
            b->slot[b->lanes++] = (uint32_t)b->count + h;
        }
    } else {
        const struct rpu_stream stream = at_column(&a->noise, column, 0);
        RPU_SYMBOL(gaussian, avx2)(&stream, ordinal, hits, b->xi + b->count);
    }
}

/* All coincidences of one vector, whose units are u[0..n). */
INLINE void narrow_vector(const struct rpu_pulse_args *a, const struct work *w, const struct unit *u, size_t n,
                          struct batch *b, struct rpu_pulse_counts *counts) {
    const size_t p = u->p, ldw = rpu_padded(a->n);
    const float *x = a->x + p * a->ldx;
    uint64_t any = 0;
    uint32_t ordinal = 0;
    for (size_t k = 0; k < n; k++)
        any |= rows_at(a, w, u[k].slot, p, 0);
    for (; any; any &= any - 1) {
        const size_t i = (size_t)__builtin_ctzll(any);
        const uint32_t sign_d = rpu_bits(a->d[p * a->ldd + i]) & 0x80000000u;
        const int mine = i >= a->row0 && i < a->row1;
        for (size_t k = 0; k < n; k++) {
            const uint32_t hits = (uint32_t)__builtin_popcount(u[k].columns);
            if (!(rows_at(a, w, u[k].slot, p, 0) >> i & 1))
                continue;
            if (mine) {
                counts->row_pulses++;
                counts->coincidences += hits;
                if (b->count + hits > BATCH)
                    flush(a, b);
                if (a->ctoc > 0.0f)
                    ask_noise(a, b, a->column + (uint32_t)p, ordinal, hits);
                for (uint32_t left = u[k].columns; left; left &= left - 1) {
                    const size_t j = (size_t)__builtin_ctz(left);
                    b->crosspoint[b->count] = (uint32_t)(i * ldw + j);
                    b->down[b->count++] = (rpu_bits(x[j]) & 0x80000000u) ^ sign_d;
                }
            }
            ordinal += hits;
        }
    }
}

static void pulse_narrow(const struct rpu_pulse_args *a, const struct work *w, struct rpu_pulse_counts *counts) {
    struct unit *units = (struct unit *)(void *)w->rest;
    struct batch b;
    size_t n = 0;
    b.count = b.lanes = 0;
    for (size_t p = 0; p < a->columns; p++) {
        if (a->gain_d[p] == 0.0f)
            continue;
        for (uint32_t s = 0; s < a->bl; s++)
            if (rows_at(a, w, s, p, 0))
                units[n++] = (struct unit){(uint32_t)p, s, 0};
        count_column_clips(a, p, counts);
    }
    for (size_t k = 0; k < n; k += 2)
        narrow_columns(a, units + k, n - k < 2 ? 1 : 2);
    for (size_t k = 0; k < n;) {
        size_t end = k;
        for (; end < n && units[end].p == units[k].p; end++)
            if (a->row0 == 0)
                counts->column_pulses += (uint64_t)__builtin_popcount(units[end].columns);
        narrow_vector(a, w, units + k, end - k, &b, counts);
        k = end;
    }
    flush(a, &b);
}

void K(pulse)(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    const struct work w = divide_scratch(args);
    draw_rows(args, &w, counts);
    if (args->n <= NARROW_N && args->m <= NARROW_M)
        pulse_narrow(args, &w, counts);
    else
        pulse_wide(args, &w, counts);
}
