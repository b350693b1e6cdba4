/* SPDX-License-Identifier: Apache-2.0 */
/* The stochastic pulsed update.
 *
 * Drawing: row pulses of the whole block first, as flat planes. After that only what fires costs anything: for each vector
 * and slot in which a row fires the plane of inputs is drawn.
 *
 * Applying, wide arrays: the inputs that fire in a slot are turned into a list of hits (index and sign), which all rows
 * firing in that slot share. The noise of a vector's coincidences is one dense stream, so eight hits of a list meet eight
 * consecutive Gaussians. Weights and device parameters are gathered by broadcasts and blends, which leave the shuffle
 * port free. Where more than half of the inputs fire, weights are worked off eight by eight instead and the noise is
 * spread over them. The next row that fires is known and is fetched ahead where arrays are larger than a cache.
 *
 * Narrow arrays have a way of their own, in pulse_narrow.c. */
#include "update.h"

/* The trains of a narrow array have a word for each plane. */
INLINE int is_narrow(const struct rpu_pulse_args *a) {
    return rpu_pulse_narrow(a->m, a->n) && a->m > 0 && a->n > 0;
}

/* ---- drawing ---- */

/* Bytes of trains and thresholds of rows that are at work at a time, where a vector has no more; of sixteen rows, a
 * vector has four words and the thresholds at least. */
enum { DRAW_BYTES = 1 << 14, LEAST_BYTES = 4 * sizeof(uint64_t) + 16 * sizeof(uint16_t) };

INLINE void *take(unsigned char **at, size_t bytes) {
    void *p = *at;
    *at += (bytes + 63) / 64 * 64;
    return p;
}

/* Thresholds of 64 elements that do not fire. */
INLINE void silence64(uint16_t *hi) {
    clear_vectors(hi, 64 * sizeof *hi);
}

/* Work memory. */
struct drawing {
    uint16_t *row_hi;
    size_t skip;     /* silent elements before the first, which need not be the first of a group */
    uint64_t *plane; /* rows in one slot, skip + column * m + i */
    size_t words;
    uint16_t *col_hi;
    struct unit *units; /* of a narrow array */
};

static struct drawing draw_scratch(const struct rpu_pulse_args *a) {
    const size_t flat = a->columns * a->m;
    unsigned char *at = a->scratch;
    struct drawing w;
    w.skip = (size_t)((uint64_t)a->column * a->m % RPU_BITS_GROUP);
    w.words = (w.skip + flat + 63) / 64 + 1;
    w.row_hi = take(&at, (w.skip + flat + 128) * sizeof *w.row_hi);
    w.plane = take(&at, w.words * sizeof *w.plane);
    w.col_hi = take(&at, (a->n + 128) * sizeof *w.col_hi);
    w.units = take(&at, is_narrow(a) ? (a->columns * a->bl + 8) * sizeof *w.units : 0);
    return w;
}

/* How many probabilities exceed 1. */
INLINE size_t count_over(float gain, const float *v, size_t n) {
    const __m256 g = scaled(gain);
    __m256i over = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + VEC <= n; i += VEC)
        over = _mm256_sub_epi32(over, over_one8(probability8(g, _mm256_loadu_ps(v + i))));
    if (i < n)
        over = _mm256_sub_epi32(over, over_one8(probability8(g, load_part(v + i, n - i))));
    return sum8(over);
}

static __attribute__((noinline)) void count_row_clips(const struct rpu_pulse_args *a, struct rpu_pulse_counts *counts) {
    for (size_t p = 0; p < a->columns; p++)
        counts->clipped += count_over(a->gain_d[p], a->d + p * a->ldd, a->m);
}

/* The m bits from `at` on of a plane, m <= 64. */
INLINE uint64_t some_bits(const uint64_t *plane, size_t at, size_t m) {
    return first_bits(m <= BITS_AT_BYTE ? bits_at_byte(plane, at) : bits_at(plane, at), m);
}

/* The flat plane of a slot into the trains. */
INLINE void divide_rows(const struct rpu_pulse_args *a, const struct drawing *w, uint32_t slot) {
    const struct lengths l = lengths_of(a);
    const size_t m = a->m, columns = a->columns;
    const uint64_t *plane = w->plane;
    uint64_t *to = rows_of(l, a->trains, slot);
    size_t at = w->skip;
    if (m <= 64)
        for (size_t p = 0; p < columns; p++, at += m, to += l.train)
            *to = some_bits(plane, at, m);
    else
        for (size_t p = 0; p < columns; p++, at += m, to += l.train)
            for (size_t i = 0; i < m; i += 64)
                to[i / 64] = first_bits(bits_at(plane, at + i), m - i);
}

/* The same of an array of sixteen rows: their bits are two bytes of the plane. Only those of vectors in which some row
 * fires, since trains begin as zeros; and the units, as below. */
static size_t divide_sixteen(const struct rpu_pulse_args *a, const struct drawing *w, uint32_t slot, size_t n) {
    const struct lengths l = lengths_of(a);
    const size_t columns = a->columns;
    const unsigned char *rows = (const unsigned char *)w->plane + w->skip / 8;
    uint64_t *to = rows_of(l, a->trains, slot);
    struct unit *units = w->units + n;
    uint32_t firing[DRAW_BYTES / LEAST_BYTES + 2 * VEC];
    size_t count = 0;
    for (size_t p = 0; p < columns; p += VEC) { /* the last of them may look at bits behind those of the vectors */
        const __m128i eight = _mm_loadu_si128((const __m128i *)(const void *)(rows + 2 * p));
        const __m128i silent = _mm_cmpeq_epi16(eight, _mm_setzero_si128());
        const unsigned some = ~(unsigned)_mm_movemask_epi8(_mm_packs_epi16(silent, silent)) & 255u;
        count = append_bits(firing, count, first_bits(some, columns - p), VEC, (uint32_t)p);
    }
    for (size_t k = 0; k < count; k++) {
        uint16_t bits;
        memcpy(&bits, rows + 2 * (size_t)firing[k], sizeof bits);
        to[firing[k] * l.train] = bits;
        units[k] = (struct unit){firing[k], slot};
    }
    return n + count;
}

/* The same of a narrow array, and the units in which some row fires, behind the `n` that are there. Which ones is too
 * random for branches. Returns how many there are then. */
INLINE size_t divide_narrow(const struct rpu_pulse_args *a, const struct drawing *w, uint32_t slot, size_t n) {
    const struct lengths l = lengths_of(a);
    const size_t m = a->m, columns = a->columns;
    const uint64_t *plane = w->plane;
    uint64_t *to = rows_of(l, a->trains, slot);
    struct unit *units = w->units;
    size_t at = w->skip;
    for (size_t p = 0; p < columns; p++, at += m, to += l.train) {
        const uint64_t rows = some_bits(plane, at, m);
        *to = rows;
        units[n] = (struct unit){(uint32_t)p, slot};
        n += rows != 0;
    }
    return n;
}

/* Limits of four columns of sixteen rows, in the order of their words. Returns the largest of `top` and them, lane by
 * lane. */
INLINE __m256i limits_sixteen(const float *gain, const float *d, size_t ldd, uint16_t *hi, __m256i top) {
    for (size_t k = 0; k < 2; k++) { /* columns k and k + 2 are 32 elements apart */
        const __m256 g = scaled(gain[k]), h = scaled(gain[k + 2]);
        const float *u = d + k * ldd, *v = u + 2 * ldd;
        for (size_t i = 0; i < 2 * VEC; i += VEC) {
            const __m256i l = upper16(probability8(g, _mm256_loadu_ps(u + i)), probability8(h, _mm256_loadu_ps(v + i)));
            store16(hi + 32 * k + 2 * i, l);
            top = _mm256_max_epu16(top, l);
        }
    }
    return top;
}

/* Limits of the rows of a block. Returns the largest, lane by lane. */
static __m256i row_limits(const struct rpu_pulse_args *a, const struct drawing *w) {
    const size_t columns = a->columns, m = a->m, ldd = a->ldd;
    const float *gain = a->gain_d, *d = a->d;
    uint16_t *hi = w->row_hi + w->skip;
    size_t p = 0;
    __m256i top = _mm256_setzero_si256();
    clear_vectors(w->row_hi, RPU_BITS_GROUP * sizeof *hi); /* nobody looks at those that are skipped, but all are set */
    if (columns == 1 && w->skip == 0)
        return limits_of(gain[0], d, m, hi, 0).top;
    if (m == 2 * VEC && w->skip == 0)
        for (; p + 4 <= columns; p += 4)
            top = limits_sixteen(gain + p, d + p * ldd, ldd, hi + p * m, top);
    const size_t ordered = p * m;
    for (; p < columns; p++)
        top = upper_thresholds(gain[p], d + p * ldd, m, hi + p * m, top);
    silence64(hi + columns * m);
    order_limits(w->row_hi + ordered, w->skip + columns * m - ordered);
    return top;
}

/* Returns how many units there are, of a narrow array. */
static size_t draw_rows(const struct rpu_pulse_args *a, const struct drawing *w, struct rpu_pulse_counts *counts) {
    const size_t m = a->m, flat = a->columns * m;
    const uint64_t first = (uint64_t)a->column * m - w->skip;
    size_t units = 0;
    if (over_one(row_limits(a, w)))
        count_row_clips(a, counts);
    for (uint32_t s = 0; s < a->bl; s++) {
        const struct rpu_stream bits = at_column(&a->row_bits, 0, s), ties = at_column(&a->row_ties, 0, s);
        const struct source source = {a->gain_d, a->d, a->ldd, a->m, ties, first, w->skip};
        struct philox p;
        philox_begin(&p, &bits);
        draw_plane(&p, &source, w->skip + flat, w->row_hi, w->plane);
        w->plane[w->words - 1] = 0; /* so that 64 bits can be read from anywhere below its end */
        if (is_narrow(a) && m == 16)
            units = divide_sixteen(a, w, s, units);
        else if (is_narrow(a))
            units = divide_narrow(a, w, s, units);
        else
            divide_rows(a, w, s);
    }
    return units;
}

/* Inputs of every vector that changes anything, whether a row fires or not; few ever reach a probability of 1. */
static void count_clips(const struct rpu_pulse_args *a, struct rpu_pulse_counts *counts) {
    const __m256 one = _mm256_set1_ps(1.0f), zero = _mm256_setzero_ps();
    for (size_t p = 0; p < a->columns; p += VEC) {
        const size_t n = a->columns - p;
        const __m256 top = _mm256_mul_ps(load_fresh(a->gain_x + p, n), load_fresh(a->peak + p, n));
        const __m256 over = _mm256_and_ps(_mm256_cmp_ps(top, one, _CMP_GT_OQ),
                                          _mm256_cmp_ps(load_fresh(a->gain_d + p, n), zero, _CMP_NEQ_UQ));
        for (unsigned left = (unsigned)_mm256_movemask_ps(over); left; left &= left - 1) {
            const size_t q = p + (size_t)__builtin_ctz(left);
            counts->clipped += count_over(a->gain_x[q], a->x + q * a->ldx, a->n);
        }
    }
}

INLINE int any_bit(const uint64_t *plane, size_t words) {
    uint64_t any = 0;
    for (size_t k = 0; k < words; k++)
        any |= plane[k];
    return any != 0;
}

INLINE size_t count_bits(const uint64_t *plane, size_t words) {
    size_t n = 0;
    for (size_t k = 0; k < words; k++)
        n += (size_t)__builtin_popcountll(plane[k]);
    return n;
}

/* Inputs of a vector in the slots in which a row fires, and signs; clips of the inputs of one that changes anything.
 * `ph`: has the key, is set to each vector and slot. */
INLINE void draw_inputs(const struct rpu_pulse_args *a, const struct drawing *w, struct lengths l, struct philox *ph,
                        size_t p, struct rpu_pulse_counts *counts) {
    const uint32_t column = a->column + (uint32_t)p, bl = a->bl;
    const float *x = a->x + p * a->ldx;
    uint64_t *t = a->trains + p * l.train, *rows = t + l.slot;
    const int counted = a->gain_d[p] != 0.0f && a->gain_x[p] * a->peak[p] > 1.0f;
    int begun = 0;
    for (uint32_t s = 0; s < bl; s++, rows += l.slot) {
        if (!any_bit(rows, l.rows))
            continue;
        if (!begun) {
            if (counted)
                counts->clipped += sum8(limits_of(a->gain_x[p], x, a->n, w->col_hi, 1).over);
            else
                limits_of(a->gain_x[p], x, a->n, w->col_hi, 0);
            sign_plane(a->d + p * a->ldd, a->m, t);
            sign_plane(x, a->n, t + l.rows);
            begun = 1;
        }
        const struct source source = {a->gain_x + p, x, 0, a->n, at_column(&a->col_ties, column, s), 0, 0};
        const struct rpu_stream bits = at_column(&a->col_bits, column, s);
        philox_counter(ph, &bits);
        draw_plane(ph, &source, a->n, w->col_hi, rows + l.rows);
        counts->column_pulses += count_bits(rows + l.rows, l.slot - l.rows);
    }
    if (counted && !begun)
        counts->clipped += count_over(a->gain_x[p], x, a->n);
}

static void draw(const struct rpu_pulse_args *a, struct rpu_pulse_counts *counts) {
    const struct drawing w = draw_scratch(a);
    uint64_t *trains = a->trains;
    const size_t words = a->columns * rpu_train_words(a->m, a->n, a->bl);
    for (size_t k = 0; k < words; k++)
        trains[k] = 0;
    const size_t units = draw_rows(a, &w, counts);
    if (is_narrow(a)) {
        count_clips(a, counts);
        K(pulse_draw_narrow)(a, w.units, units, counts);
        return;
    }
    struct philox ph;
    philox_key(&ph, &a->col_bits);
    for (size_t p = 0; p < a->columns; p++)
        draw_inputs(a, &w, lengths_of(a), &ph, p, counts);
}

/* Vectors that are drawn at a time: their thresholds and trains stay in the first-level cache. A power of two, so that
 * where there are many, the bits of each part begin with a group of their own. */
static size_t vectors_at_a_time(const struct rpu_pulse_args *a) {
    const size_t bytes = rpu_train_words(a->m, a->n, a->bl) * sizeof *a->trains + a->m * sizeof(uint16_t);
    size_t vectors = 1;
    while (bytes > 0 && 2 * vectors * bytes <= DRAW_BYTES)
        vectors *= 2;
    return vectors;
}

void K(pulse_draw)(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    const size_t most = args->columns > 1 ? vectors_at_a_time(args) : 1;
    const size_t words = rpu_train_words(args->m, args->n, args->bl);
    struct rpu_pulse_args a;
    if (args->columns <= most) {
        draw(args, counts);
        return;
    }
    a = *args;
    for (size_t p = 0; p < args->columns; p += most) {
        a.columns = args->columns - p < most ? args->columns - p : most;
        a.column = args->column + (uint32_t)p;
        a.trains = args->trains + p * words;
        a.x = args->x + p * args->ldx, a.d = args->d + p * args->ldd;
        a.gain_x = args->gain_x + p, a.gain_d = args->gain_d + p, a.peak = args->peak + p;
        draw(&a, counts);
    }
}

/* ---- inputs that fire ---- */

/* How the row pulses of a slot are worked off. */
enum way {
    LISTED,  /* few inputs fire: by a list of them */
    DENSE,   /* many, of a single row: by the plane */
    PREPARED /* many, of several rows: by what the plane says of each input */
};

/* In one slot. */
struct hits {
    size_t count, rows;    /* inputs, and rows to change, that fire */
    enum way way;
    const uint64_t *plane; /* bit j: input j fires */
    const uint64_t *signs; /* of x */
    uint32_t *at;          /* LISTED: inputs that fire, ascending; the last stands seven times more behind the end.
                              PREPARED: of each input its lane's index into the next noise, negative if it is silent */
    uint32_t *sign;        /* sign bit of x there */
    uint32_t *before;      /* PREPARED: how many fire before each eighth input */
};

/* Bits j .. j + 7, j a multiple of 8. */
INLINE unsigned byte_at(const uint64_t *plane, size_t j) {
    return ((const unsigned char *)plane)[j / 8];
}

/* The word of 32 bits that bit j is in, in all lanes. */
INLINE __m256i word_at(const uint64_t *plane, size_t j) {
    int word;
    memcpy(&word, (const unsigned char *)plane + j / 8, sizeof word);
    return _mm256_set1_epi32(word);
}

/* Inputs j .. j + 7, the bits from `first` on in the words, appended to a list of k. Writes whole vectors. */
INLINE size_t list8(struct hits *h, size_t j, __m256i signs, int first, size_t k) {
    const unsigned byte = byte_at(h->plane, j);
    const __m256i lanes = compressed(byte);
    store_words(h->at + k, _mm256_add_epi32(lanes, _mm256_set1_epi32((int)j)));
    store_words(h->sign + k, sign_bits(_mm256_permutevar8x32_epi32(signs_of(signs, first), lanes)));
    return k + (size_t)__builtin_popcount(byte);
}

/* Lists the inputs that fire. */
INLINE void list_hits(size_t n, struct hits *h) {
    size_t k = 0;
    for (size_t j = 0; j < n; j += 4 * VEC) { /* planes end with a word of 64 */
        const __m256i signs = word_at(h->signs, j);
        k = list8(h, j, signs, 0, k);
        k = list8(h, j + VEC, signs, VEC, k);
        k = list8(h, j + 2 * VEC, signs, 2 * VEC, k);
        k = list8(h, j + 3 * VEC, signs, 3 * VEC, k);
    }
    store_words(h->at + k, _mm256_set1_epi32((int)h->at[k - 1]));
    store_words(h->sign + k, _mm256_set1_epi32((int)h->sign[k - 1]));
}

/* Index of lanes that fire into the next noise, negative in those that do not. */
INLINE __m256i ranks(unsigned byte) {
    return _mm256_cvtepi8_epi32(_mm_cvtsi64_si128((long long)spread[byte]));
}

/* Sign bits of inputs j .. j + 7. */
INLINE __m256i signs_at(const uint64_t *signs, size_t j) {
    return sign_bits(signs_of(word_at(signs, j), 0));
}

/* What the plane says of each input. */
INLINE void spread_hits(size_t n, const struct hits *h) {
    const uint64_t *plane = h->plane, *signs = h->signs;
    uint32_t *at = h->at, *sign = h->sign, *before = h->before, k = 0;
    for (size_t j = 0; j < n; j += VEC) {
        const unsigned byte = byte_at(plane, j);
        store_words(at + j, ranks(byte));
        store_words(sign + j, signs_at(signs, j));
        before[j] = k;
        k += (uint32_t)__builtin_popcount(byte);
    }
}

/* Chooses the way of a slot in which something fires. A list has to be made first; by the plane half of the inputs
 * cost as much as all. */
INLINE void begin_slot(size_t n, struct hits *h) {
    if (h->rows < 2)
        h->way = h->count * 8 > n * 3 ? DENSE : LISTED;
    else
        h->way = h->count * 2 > n ? PREPARED : LISTED;
    if (h->way == LISTED)
        list_hits(n, h);
    else if (h->way == PREPARED)
        spread_hits(n, h);
}

/* ---- one step of a device ---- */

INLINE __m256 step8(const struct device *d, __m256 w, __m256i dev0, __m256i dev1, __m256i down, __m256 xi, int noisy) {
    const struct steps s = steps8(d, dev0, dev1, down);
    const __m256 v = noisy ? _mm256_fmadd_ps(s.delta, noise_factor(d, xi), w) : _mm256_add_ps(w, s.delta);
    return clip_ps(v, s.lower, s.upper);
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

/* Eight crosspoints of a row; the same one may stand there more than once if all it is given is the same. */
INLINE void hit8(const struct device *d, float *w, const uint16_t *dev, const uint32_t *list, __m256i down, __m256 xi,
                 int noisy) {
    const uint32_t at[VEC] = {list[0], list[1], list[2], list[3], list[4], list[5], list[6], list[7]};
    const __m256i dev0 = devices4(dev, at[0], at[1], at[4], at[5]), dev1 = devices4(dev, at[2], at[3], at[6], at[7]);
    scatter8(w, at, step8(d, gather8(w, at), dev0, dev1, down, xi, noisy));
}

INLINE __m256i turn8(const uint32_t *sign, __m256i flip) {
    return _mm256_xor_si256(load_words(sign), flip);
}

/* All hits of one row in one slot. */
INLINE void apply_hits(const struct device *d, float *w, const uint16_t *dev, const struct hits *h, uint32_t sign_d,
                       const float *xi, int noisy) {
    const __m256i flip = _mm256_set1_epi32((int)sign_d);
    size_t k = 0;
    for (; k + VEC <= h->count; k += VEC)
        hit8(d, w, dev, h->at + k, turn8(h->sign + k, flip), noisy ? _mm256_loadu_ps(xi + k) : d->ctoc, noisy);
    if (k < h->count) {
        const __m256i last = _mm256_min_epu32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                              _mm256_set1_epi32((int)(h->count - k) - 1));
        hit8(d, w, dev, h->at + k, turn8(h->sign + k, flip),
             noisy ? _mm256_permutevar8x32_ps(_mm256_loadu_ps(xi + k), last) : d->ctoc, noisy);
    }
}

/* Eight neighbours in a row, of which those fire whose rank is not negative. */
INLINE void plane8(const struct device *d, float *w, const uint16_t *dev, __m256i rank, __m256i down, const float *xi,
                   int noisy) {
    const __m128i *from = (const __m128i *)(const void *)dev;
    const __m256i dev0 = _mm256_setr_m128i(_mm_loadu_si128(from), _mm_loadu_si128(from + 2));
    const __m256i dev1 = _mm256_setr_m128i(_mm_loadu_si128(from + 1), _mm_loadu_si128(from + 3));
    const __m256 old = _mm256_loadu_ps(w);
    const __m256 number = noisy ? _mm256_permutevar8x32_ps(_mm256_loadu_ps(xi), rank) : d->ctoc;
    const __m256 v = step8(d, old, dev0, dev1, down, number, noisy);
    _mm256_storeu_ps(w, _mm256_blendv_ps(v, old, _mm256_castsi256_ps(rank)));
}

/* All hits of one row in one slot, where there are many. `ahead`: the row's way to the next that fires, which is
 * fetched meanwhile. Rows are padded to whole vectors. */
INLINE void apply_plane(size_t n, const struct device *d, float *w, const uint16_t *dev, const struct hits *h,
                        uint32_t sign_d, const float *xi, size_t ahead, int noisy) {
    const __m256i flip = _mm256_set1_epi32((int)sign_d);
    const uint64_t *plane = h->plane, *signs = h->signs;
    for (size_t j = 0; j < n; j += VEC) {
        const unsigned byte = byte_at(plane, j);
        plane8(d, w + j, dev + 4 * j, ranks(byte), _mm256_xor_si256(signs_at(signs, j), flip), xi, noisy);
        xi += noisy ? __builtin_popcount(byte) : 0;
        if (ahead > 0) {
            __builtin_prefetch(w + ahead + j, 1);
            __builtin_prefetch(dev + 4 * (ahead + j));
        }
    }
}

/* Inputs j .. j + 7 by what has been prepared. */
INLINE void prepared8(const struct device *d, float *w, const uint16_t *dev, const struct hits *h, size_t j,
                      __m256i flip, const float *xi, int noisy) {
    plane8(d, w + j, dev + 4 * j, load_words(h->at + j), turn8(h->sign + j, flip), noisy ? xi + h->before[j] : NULL,
           noisy);
}

/* All hits of one row in one slot by what has been prepared. */
INLINE void apply_prepared(size_t n, const struct device *d, float *w, const uint16_t *dev, const struct hits *h,
                           uint32_t sign_d, const float *xi, size_t ahead, int noisy) {
    const __m256i flip = _mm256_set1_epi32((int)sign_d);
    const struct hits copy = *h; /* which no weight that is stored can change */
    if (ahead > 0)
        for (size_t j = 0; j < n; j += VEC) {
            prepared8(d, w, dev, &copy, j, flip, xi, noisy);
            __builtin_prefetch(w + ahead + j, 1);
            __builtin_prefetch(dev + 4 * (ahead + j));
        }
    else
#pragma GCC unroll 2 /* small arrays notice what a loop costs */
        for (size_t j = 0; j < n; j += VEC)
            prepared8(d, w, dev, &copy, j, flip, xi, noisy);
}

/* ---- noise of one vector: a window over the dense stream ---- */

enum { NOISE = 960 }; /* of a vector, that are there at a time */

struct window {
    const struct philox *p;
    uint64_t first, end; /* elements that are there; first is the start of a group */
    float *buffer;
};

/* Adds groups, at least one, at the end of the window, but of the last only the pairs below `total`. */
static void window_fill(struct window *n, size_t groups, uint64_t total) {
    const uint32_t group = (uint32_t)(n->end / RPU_GAUSS_GROUP);
    const size_t before = (groups - 1) * RPU_GAUSS_GROUP;
    float *to = n->buffer + (n->end - n->first);
    const struct words w = gauss_but_last(n->p, group, groups, to);
    gauss_words_upto(&w, (size_t)(total - n->end) - before, to + before);
    n->end += before + RPU_GAUSS_GROUP;
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

/* Work memory. */
struct applying {
    struct hits *hits; /* for each slot */
    float *noise;      /* a window of Gaussians */
};

static struct applying apply_scratch(const struct rpu_pulse_args *a) {
    unsigned char *at = a->scratch;
    struct applying w;
    w.hits = take(&at, a->bl * sizeof *w.hits);
    for (uint32_t s = 0; s < a->bl; s++) {
        w.hits[s].at = take(&at, (a->n + 2 * VEC) * sizeof(uint32_t));
        w.hits[s].sign = take(&at, (a->n + 2 * VEC) * sizeof(uint32_t));
        w.hits[s].before = take(&at, (a->n + 2 * VEC) * sizeof(uint32_t));
    }
    w.noise = take(&at, (NOISE + a->n + 3 * RPU_GAUSS_GROUP) * sizeof *w.noise);
    return w;
}

/* Vector at work. */
struct vector {
    const uint64_t *signs; /* of d */
    uint32_t n;            /* slots in which a row fires: */
    uint64_t before, hits; /* coincidences before the rows to change, and among them */
    const uint64_t *rows[RPU_COUNTER_MAX_SLOTS];
};

/* Row pulses in a slot: before the rows to change, and among them. Returns whether there are any. */
INLINE int count_rows(const struct rpu_pulse_args *a, const uint64_t *rows, uint64_t *before, uint64_t *mine) {
    uint64_t any = 0, below = 0, upto = 0;
    for (size_t i = 0; i < a->m; i += 64) {
        const uint64_t bits = rows[i / 64];
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

/* Looks through the slots of a vector; work->hits[k] is of its slot number k. */
INLINE void begin_vector(const struct rpu_pulse_args *a, const struct applying *w, struct lengths l, size_t p,
                         struct vector *v, struct rpu_pulse_counts *counts) {
    const uint64_t *rows = a->trains + p * l.train;
    const uint32_t bl = a->bl;
    v->signs = rows;
    v->n = 0;
    v->before = v->hits = 0;
    for (uint32_t s = 0; s < bl; s++) {
        struct hits *h = &w->hits[v->n];
        uint64_t before, mine;
        rows += l.slot;
        if (!count_rows(a, rows, &before, &mine))
            continue;
        h->plane = rows + l.rows;
        h->signs = v->signs + l.rows;
        h->count = count_bits(h->plane, l.slot - l.rows);
        h->rows = (size_t)mine;
        counts->row_pulses += mine;
        v->before += before * h->count;
        v->hits += mine * h->count;
        v->rows[v->n++] = rows;
    }
    for (uint32_t k = 0; k < v->n; k++)
        if (w->hits[k].rows > 0 && w->hits[k].count > 0)
            begin_slot(a->n, &w->hits[k]);
    counts->coincidences += v->hits;
}

/* First row, from i on, that fires in one of the slots; row1 if there is none. */
INLINE size_t next_row(const struct vector *v, size_t row1, size_t i) {
    for (; i < row1; i += 64) {
        uint64_t any = 0;
        for (uint32_t k = 0; k < v->n; k++)
            any |= bits_at(v->rows[k], i); /* behind the rows stand inputs */
        any = first_bits(any, row1 - i);
        if (any)
            return i + (size_t)__builtin_ctzll(any);
    }
    return row1;
}

/* Arrays of this many crosspoints leave the second-level cache of a usual core. */
enum { FAR = 1 << 16 };

/* Rows of a vector in order; `ordinal` counts coincidences. */
INLINE void apply_rows(const struct rpu_pulse_args *a, const struct applying *w, const struct philox *stream,
                       const struct vector *v, int noisy) {
    const struct device d = device_make(a);
    struct window noise = {stream, 0, 0, w->noise};
    const size_t ldw = rpu_padded(a->n), far = a->m * ldw >= FAR, row1 = a->row1;
    const uint64_t total = v->before + v->hits;
    uint64_t ordinal = v->before;
    size_t next;
    for (size_t i = next_row(v, row1, a->row0); i < row1; i = next) {
        const uint32_t sign_d = bit_at(v->signs, i) << 31;
        float *row = a->w + i * ldw;
        const uint16_t *dev = a->dev + i * ldw * 4;
        next = next_row(v, row1, i + 1);
        const size_t ahead = far && next < row1 ? (next - i) * ldw : 0;
        for (uint32_t k = 0; k < v->n; k++) {
            const struct hits *h = &w->hits[k];
            if (h->count == 0 || !bit_at(v->rows[k], i))
                continue;
            const float *xi = noisy ? window_get(&noise, ordinal, h->count, total) : NULL;
            if (h->way == LISTED)
                apply_hits(&d, row, dev, h, sign_d, xi, noisy);
            else if (h->way == DENSE)
                apply_plane(a->n, &d, row, dev, h, sign_d, xi, ahead, noisy);
            else
                apply_prepared(a->n, &d, row, dev, h, sign_d, xi, ahead, noisy);
            ordinal += h->count;
        }
    }
}

void K(pulse_apply)(const struct rpu_pulse_args *args, struct rpu_pulse_counts *counts) {
    if (is_narrow(args)) {
        K(pulse_apply_narrow)(args, counts);
        return;
    }
    const struct applying w = apply_scratch(args);
    struct philox ph;
    philox_key(&ph, &args->noise);
    struct vector v;
    for (size_t p = 0; p < args->columns; p++) {
        begin_vector(args, &w, lengths_of(args), p, &v, counts);
        if (v.hits == 0)
            continue;
        const struct rpu_stream noise = at_column(&args->noise, args->column + (uint32_t)p, 0);
        philox_counter(&ph, &noise);
        if (args->ctoc > 0.0f)
            apply_rows(args, &w, &ph, &v, 1);
        else
            apply_rows(args, &w, &ph, &v, 0);
    }
}

/* ---- update management ---- */

void K(gains)(size_t count, float c, int managed, const float *x_max, const float *d_max, float *gain_x, float *gain_d) {
    const __m256 scale = _mm256_set1_ps(c), zero = _mm256_setzero_ps();
    for (size_t p = 0; p < count; p += VEC) {
        const size_t n = count - p;
        const __m256 x = load_fresh(x_max + p, n), d = load_fresh(d_max + p, n);
        const __m256 root = managed ? _mm256_sqrt_ps(_mm256_div_ps(d, x)) : _mm256_set1_ps(1.0f);
        __m256 pulses = _mm256_and_ps(_mm256_cmp_ps(x, zero, _CMP_GT_OQ), _mm256_cmp_ps(d, zero, _CMP_GT_OQ));
        pulses = _mm256_and_ps(pulses, _mm256_cmp_ps(root, zero, _CMP_GT_OQ));
        pulses = _mm256_and_ps(pulses, _mm256_cmp_ps(root, _mm256_set1_ps(INFINITY), _CMP_LT_OQ));
        store_upto(gain_x + p, _mm256_and_ps(_mm256_mul_ps(scale, root), pulses), n);
        store_upto(gain_d + p, _mm256_and_ps(_mm256_div_ps(scale, root), pulses), n);
    }
}
