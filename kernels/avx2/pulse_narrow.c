/* SPDX-License-Identifier: Apache-2.0 */
/* The stochastic pulsed update of narrow arrays (the first convolution).
 *
 * Vectors have a handful of coincidences each, so that nothing is worth doing for one vector alone. Inputs of several
 * vectors are drawn at once, and so is the noise of the coincidences of many vectors, each block with its own counter.
 * Then, where a row pulse meets many inputs, all pulses of a row are worked off in turn, while its weights stay in
 * registers; where it meets few, as in a network that has learned, the steps of eight coincidences at a time, whatever
 * their rows. */
#include "update.h"

/* A train has a word each for: signs of d, signs of x, and for each slot the rows and the inputs that fire. */
enum { SIGNS_D, SIGNS_X, SLOTS };

enum { NARROW_VECTORS = RPU_NARROW_INPUTS / VEC };

INLINE uint64_t rows_in(const uint64_t *t, uint32_t slot) {
    return t[SLOTS + 2 * (size_t)slot];
}

INLINE uint32_t inputs_in(const uint64_t *t, uint32_t slot) {
    return (uint32_t)t[SLOTS + 2 * (size_t)slot + 1];
}

/* ---- drawing ---- */

/* What fires in a unit, and the signs of its vector. */
struct inputs {
    uint32_t fires, signs;
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
    upper_thresholds(a->gain_x[u->p], source.v, a->n, hi, _mm256_setzero_ps());
    draw_plane(&ph, &source, a->n, hi, plane);
    return (uint32_t)plane[0];
}

/* Lanes below n, vector by vector. */
struct masks {
    __m256i lanes[NARROW_VECTORS];
};

INLINE struct masks masks_below(size_t n) {
    struct masks m;
    for (size_t v = 0; v < NARROW_VECTORS; v++)
        m.lanes[v] = lane_mask(n > VEC * v ? n - VEC * v : 0);
    return m;
}

/* Inputs of a vector; zeros behind n. */
struct values {
    __m256 v[NARROW_VECTORS];
};

INLINE struct values narrow_values(const float *x, const struct masks *m) {
    struct values x4;
    for (size_t v = 0; v < NARROW_VECTORS; v++)
        x4.v[v] = _mm256_maskload_ps(x + VEC * v, m->lanes[v]);
    return x4;
}

INLINE uint32_t narrow_signs(const struct values *x) {
    return (uint32_t)_mm256_movemask_ps(x->v[0]) | (uint32_t)_mm256_movemask_ps(x->v[1]) << 8 |
           (uint32_t)_mm256_movemask_ps(x->v[2]) << 16 | (uint32_t)_mm256_movemask_ps(x->v[3]) << 24;
}

/* Upper 16 bits of the thresholds of inputs 8 v .. 8 v + 7 of two vectors, one in each 128-bit half. */
INLINE __m256i narrow_thresholds(const struct values *a, const struct values *b, __m256 ga, __m256 gb, size_t v) {
    const __m256i ta = upper8(probability8(ga, a->v[v])), tb = upper8(probability8(gb, b->v[v]));
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(ta, tb), 0xd8);
}

/* Column pulses of two units: each has four blocks, one 128-bit half of the registers. */
INLINE void narrow_pair(const struct rpu_pulse_args *a, const struct masks *m, const struct unit *u,
                        const struct unit *v, const struct words *w, struct inputs *of_u, struct inputs *of_v) {
    const struct values xa = narrow_values(a->x + u->p * a->ldx, m), xb = narrow_values(a->x + v->p * a->ldx, m);
    const __m256 ga = scaled(a->gain_x[u->p]), gb = scaled(a->gain_x[v->p]);
    const __m256i t0 = narrow_thresholds(&xa, &xb, ga, gb, 0), t1 = narrow_thresholds(&xa, &xb, ga, gb, 1);
    const __m256i t2 = narrow_thresholds(&xa, &xb, ga, gb, 2), t3 = narrow_thresholds(&xa, &xb, ga, gb, 3);
    const uint32_t low = ~(uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(silent16(w->w0, t0), silent16(w->w1, t1)));
    const uint32_t high = ~(uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(silent16(w->w2, t2), silent16(w->w3, t3)));
    const __m256i equal =
        _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi16(w->w0, t0), _mm256_cmpeq_epi16(w->w1, t1)),
                        _mm256_or_si256(_mm256_cmpeq_epi16(w->w2, t2), _mm256_cmpeq_epi16(w->w3, t3)));
    of_u->fires = (low & 0xffffu) | high << 16;
    of_v->fires = low >> 16 | (high & 0xffff0000u);
    of_u->signs = narrow_signs(&xa);
    of_v->signs = narrow_signs(&xb);
    if (__builtin_expect(!_mm256_testz_si256(equal, equal), 0)) {
        of_u->fires = narrow_exact(a, u);
        of_v->fires = narrow_exact(a, v);
    }
}

INLINE __m256i column_words(const struct rpu_pulse_args *a, const struct unit *u, const struct unit *v) {
    return _mm256_setr_m128i(_mm_set1_epi32((int)rpu_counter_column(a->column + u->p, u->slot)),
                             _mm_set1_epi32((int)rpu_counter_column(a->column + v->p, v->slot)));
}

/* Sign bits of up to 64 values. */
INLINE uint64_t sign_word(const float *v, size_t n) {
    uint64_t word = 0;
    size_t i = 0;
    for (; i + 2 * VEC <= n; i += 2 * VEC)
        word |= (uint64_t)((unsigned)_mm256_movemask_ps(_mm256_loadu_ps(v + i)) |
                           (unsigned)_mm256_movemask_ps(_mm256_loadu_ps(v + i + VEC)) << VEC)
                << i;
    for (; i < n; i += VEC)
        word |= (uint64_t)(unsigned)_mm256_movemask_ps(load_upto(v + i, n - i)) << i;
    return word;
}

/* Inputs of up to four units, into the trains; room for four. Returns how many fire. */
INLINE size_t narrow_inputs(const struct rpu_pulse_args *a, struct lengths l, const struct masks *masks, struct unit *u,
                            size_t count) {
    const __m256i blocks =
        _mm256_add_epi32(_mm256_set1_epi32((int)a->col_bits.ctr[0]), _mm256_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3));
    uint64_t *trains = a->trains;
    const float *d = a->d;
    const size_t ldd = a->ldd, m = a->m;
    struct inputs in[4];
    size_t pulses = 0;
    for (size_t k = count; k < 4; k++)
        u[k] = u[0];
    const struct words2 w =
        philox_lanes16(&a->col_bits, blocks, column_words(a, u, u + 1), blocks, column_words(a, u + 2, u + 3));
    narrow_pair(a, masks, u, u + 1, &w.a, in, in + 1);
    narrow_pair(a, masks, u + 2, u + 3, &w.b, in + 2, in + 3);
    for (size_t k = 0; k < count; k++) {
        uint64_t *t = trains + u[k].p * l.train;
        t[SIGNS_D] = sign_word(d + u[k].p * ldd, m);
        t[SIGNS_X] = in[k].signs;
        t[SLOTS + 2 * (size_t)u[k].slot + 1] = in[k].fires;
        pulses += (size_t)__builtin_popcount(in[k].fires);
    }
    return pulses;
}

void K(pulse_draw_narrow)(const struct rpu_pulse_args *a, struct unit *units, size_t n,
                          struct rpu_pulse_counts *counts) {
    const struct lengths l = lengths_of(a);
    const struct masks masks = masks_below(a->n);
    size_t pulses = 0;
    for (size_t k = 0; k < n; k += 4)
        pulses += narrow_inputs(a, l, &masks, units + k, n - k < 4 ? n - k : 4);
    counts->column_pulses += pulses;
}

/* ---- applying: noise ---- */

/* Pairs of numbers of blocks 0, 1, 4 and 5 or 2, 3, 6 and 7, block by block. */
INLINE void store_four(__m256d first, __m256d second, __m256d third, float *out) {
    double *low = (double *)(void *)out, *high = low + 2 * RPU_GAUSS_BLOCK;
    const __m256d a = _mm256_unpacklo_pd(first, second), b = _mm256_shuffle_pd(third, first, 0xa),
                  c = _mm256_unpackhi_pd(second, third);
    _mm_storeu_pd(low, _mm256_castpd256_pd128(a));
    _mm_storeu_pd(low + 2, _mm256_castpd256_pd128(b));
    _mm_storeu_pd(low + 4, _mm256_castpd256_pd128(c));
    _mm_storeu_pd(high, _mm256_extractf128_pd(a, 1));
    _mm_storeu_pd(high + 2, _mm256_extractf128_pd(b, 1));
    _mm_storeu_pd(high + 4, _mm256_extractf128_pd(c, 1));
}

INLINE __m256d pairs_low(struct pair p) {
    return _mm256_castps_pd(_mm256_unpacklo_ps(p.first, p.second));
}

INLINE __m256d pairs_high(struct pair p) {
    return _mm256_castps_pd(_mm256_unpackhi_ps(p.first, p.second));
}

/* The six Gaussians of each of eight blocks, block by block. */
INLINE void store_blocks(const struct words *w, float *out) {
    const struct pair p0 = gauss_pair(w->w0, angle_first(w)), p1 = gauss_pair(w->w1, angle_second(w)),
                      p2 = gauss_pair(w->w2, angle_third(w));
    store_four(pairs_low(p0), pairs_low(p1), pairs_low(p2), out);
    store_four(pairs_high(p0), pairs_high(p1), pairs_high(p2), out + 2 * RPU_GAUSS_BLOCK);
}

/* The Gaussians of blocks with counters c0 and c2, of which there are `lanes`; writes two vectors behind them. */
static void draw_noise(const struct rpu_pulse_args *a, uint32_t *c0, uint32_t *c2, size_t lanes, float *xi) {
    for (size_t l = lanes; l < lanes + 2 * VEC; l += VEC) {
        store_words(c0 + l, _mm256_setzero_si256());
        store_words(c2 + l, _mm256_setzero_si256());
    }
    for (size_t l = 0; l < lanes; l += 2 * VEC) {
        const struct words2 w = philox_lanes16(&a->noise, load_words(c0 + l), load_words(c2 + l),
                                               load_words(c0 + l + VEC), load_words(c2 + l + VEC));
        store_blocks(&w.a, xi + RPU_GAUSS_BLOCK * l);
        if (l + VEC < lanes)
            store_blocks(&w.b, xi + RPU_GAUSS_BLOCK * (l + VEC));
    }
}

/* Rows to change. */
INLINE uint64_t rows_mine(const struct rpu_pulse_args *a) {
    return first_bits(~UINT64_C(0), a->row1) & ~first_bits(~UINT64_C(0), a->row0);
}

/* ---- applying: row by row ---- */

/* Row pulses that are worked off together, and the blocks of noise that they may need. */
enum { STRIP = 256, STRIP_LANES = STRIP * (RPU_NARROW_INPUTS / RPU_GAUSS_BLOCK + 2) + 2 * VEC };

/* Row pulses in order. What a row meets cannot be foreseen and is little: no branch depends on it. */
struct strip {
    uint32_t inputs[STRIP];
    uint32_t down[STRIP];  /* the step goes down: signs of d and x differ */
    uint32_t first[STRIP]; /* number of the first noise */
    uint32_t row[STRIP];
    uint32_t c0[STRIP_LANES], c2[STRIP_LANES]; /* counters of the noise's blocks, one a lane */
    float xi[RPU_GAUSS_BLOCK * STRIP_LANES];
};

/* Where a strip is filled. Apart from it and from what the kernel is given, so that the compiler keeps it in registers:
 * it has to take vectors that are stored for anything they might point to. */
struct cursor {
    size_t count;
    uint32_t ordinal; /* of the next coincidence in its vector */
    uint32_t base;    /* the lane of the vector's first block, modulo 2^32 */
    uint64_t row_pulses, coincidences;
};

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
INLINE void narrow_pulse(const struct device *d, const struct strip *b, size_t k, size_t vectors, struct narrow_row *r,
                         int noisy) {
    const __m256i word = _mm256_set1_epi32((int)b->down[k]);
    const float *xi = b->xi + b->first[k];
    for (size_t v = 0; v < vectors; v++) {
        const unsigned byte = b->inputs[k] >> (VEC * v) & 255u;
        const __m256i rank = _mm256_cvtepi8_epi32(_mm_cvtsi64_si128((long long)spread[byte]));
        const __m256 down = _mm256_castsi256_ps(signs_of(word, (int)(VEC * v)));
        const __m256 delta = _mm256_blendv_ps(r->up[v], r->down[v], down);
        const __m256 number = noisy ? _mm256_permutevar8x32_ps(_mm256_loadu_ps(xi), rank) : d->ctoc;
        const __m256 w =
            noisy ? _mm256_fmadd_ps(delta, noise_factor(d, number), r->w[v]) : _mm256_add_ps(r->w[v], delta);
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
        narrow_pulse(d, b, order[k], vectors, &r, noisy);
    for (size_t v = 0; v < vectors; v++)
        _mm256_storeu_ps(a->w + at + VEC * v, r.w[v]);
}

/* Rows share no weight: each in turn, its pulses in order. */
INLINE void apply_strip(const struct rpu_pulse_args *a, const struct strip *b, size_t count, size_t vectors,
                        int noisy) {
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
        draw_noise(a, b->c0, b->c2, lanes, b->xi);
    switch ((a->n + VEC - 1) / VEC) {
    case 0: break;
    case 1: apply_strip(a, b, count, 1, noisy); break;
    case 2: apply_strip(a, b, count, 2, noisy); break;
    case 3: apply_strip(a, b, count, 3, noisy); break;
    default: apply_strip(a, b, count, 4, noisy); break;
    }
}

/* The lane behind the noise of the vector at work. */
INLINE uint32_t end_lane(const struct cursor *c) {
    return c->base + (c->ordinal + RPU_GAUSS_BLOCK - 1) / RPU_GAUSS_BLOCK;
}

/* If the next row pulse is one of another vector, its noise starts with a block of its own. */
INLINE void next_vector(struct cursor *c, int is_next) {
    c->base = is_next ? end_lane(c) : c->base;
    c->ordinal = is_next ? 0 : c->ordinal;
}

/* Row i of vector p, whose train is t, fires in a slot. Outside of the rows to change it counts, but changes nothing.
 * `l`: a copy of *a. */
INLINE void add_row(const struct rpu_pulse_args *a, const struct rpu_pulse_args *l, struct strip *b, struct cursor *c,
                    const uint64_t *t, uint32_t p, uint32_t slot, size_t i, int noisy) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const uint32_t inputs = inputs_in(t, slot), hits = (uint32_t)__builtin_popcount(inputs);
    const uint32_t mine = 0u - (i - l->row0 < l->row1 - l->row0), blocks = c->ordinal / RPU_GAUSS_BLOCK;
    const uint32_t lane = c->base + blocks, number = c->base * RPU_GAUSS_BLOCK + c->ordinal;
    const size_t k = c->count++;
    c->ordinal += hits;
    c->row_pulses += mine & 1u;
    c->coincidences += hits & mine;
    b->inputs[k] = inputs;
    b->down[k] = (uint32_t)t[SIGNS_X] ^ (0u - ((uint32_t)(t[SIGNS_D] >> i) & 1u));
    b->first[k] = number;
    b->row[k] = (uint32_t)i;
    store_words(b->c0 + lane, _mm256_add_epi32(_mm256_set1_epi32((int)(l->noise.ctr[0] + blocks)), lanes));
    store_words(b->c2 + lane, _mm256_set1_epi32((int)rpu_counter_column(l->column + p, 0)));
    if (c->count == STRIP) {
        work_off(a, b, c->count, end_lane(c), noisy);
        c->base = 0u - c->ordinal / RPU_GAUSS_BLOCK;
        c->count = 0;
    }
}

INLINE void end_strip(const struct rpu_pulse_args *a, struct strip *b, const struct cursor *c,
                      struct rpu_pulse_counts *counts, int noisy) {
    work_off(a, b, c->count, end_lane(c), noisy);
    counts->row_pulses += c->row_pulses;
    counts->coincidences += c->coincidences;
}

/* Numbers 64 p + i of the row pulses of vectors in single slots, in order. Returns how many; writes whole vectors. */
INLINE size_t list_pulses(const struct rpu_pulse_args *a, const uint32_t *vectors, size_t n, uint32_t *list) {
    const size_t train = rpu_train_words(a->m, a->n, 1), m = a->m;
    size_t k = 0;
    for (size_t v = 0; v < n; v++) {
        const uint64_t rows = rows_in(a->trains + vectors[v] * train, 0);
        k = append_bits(list, k, rows, m, 64 * vectors[v]);
    }
    return k;
}

/* One slot of vectors; counts nothing. */
INLINE void narrow_single(const struct rpu_pulse_args *a, const uint32_t *vectors, size_t n, uint32_t *list,
                          int noisy) {
    const struct lengths length = lengths_of(a);
    const struct rpu_pulse_args l = *a;
    const size_t pulses = list_pulses(a, vectors, n, list);
    struct cursor c = {0};
    struct strip b;
    uint32_t last = 0;
    for (size_t k = 0; k < pulses; k++) {
        const uint32_t p = list[k] / 64;
        next_vector(&c, p != last);
        last = p;
        add_row(a, &l, &b, &c, l.trains + p * length.train, p, 0, list[k] % 64, noisy);
    }
    work_off(a, &b, c.count, end_lane(&c), noisy);
}

/* Row pulses of several slots in order, as far as they are listed at a time: rows of vectors, and in each the slots. */
enum { ROWS_LISTED = 128 };

/* In which of the slots s .. s + 7 of a train row i fires, of which `count` there are. */
INLINE unsigned slots_of_row(const uint64_t *t, uint32_t s, uint32_t count, size_t i) {
    const uint64_t *slot = t + SLOTS + 2 * (size_t)s;
    const __m256i up = _mm256_set1_epi64x((long long)(63 - i));
    unsigned found = 0; /* two bits a slot: rows and inputs */
    uint32_t k = 0;
    for (; k + 2 <= count; k += 2, slot += 4) {
        const __m256i two = _mm256_sllv_epi64(_mm256_loadu_si256((const __m256i *)(const void *)slot), up);
        found |= (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(two)) << (2 * k);
    }
    if (k < count)
        found |= (unsigned)(slot[0] >> i & 1) << (2 * k);
    found &= 0x5555u; /* and close the gaps: pext is slow on some processors */
    found = (found | found >> 1) & 0x3333u;
    found = (found | found >> 2) & 0x0f0fu;
    return (found | found >> 4) & 0xffu;
}

/* Lists the slots of a row of a vector, and the row beside each. Returns how many; writes whole vectors. */
INLINE size_t list_slots(const uint64_t *t, uint32_t bl, uint32_t row, uint32_t *rows, uint32_t *slots) {
    size_t n = 0;
    for (uint32_t s = 0; s < bl; s += VEC) {
        const unsigned found = bl - s < VEC ? slots_of_row(t, s, bl - s, row % 64) : slots_of_row(t, s, VEC, row % 64);
        store_words(rows + n, _mm256_set1_epi32((int)row));
        n = append_bits(slots, n, found, VEC, s);
    }
    return n;
}

/* Rows of vectors that fire in some slot, as numbers 64 p + i, in order. Returns how many; writes whole vectors. */
INLINE size_t list_rows(const struct rpu_pulse_args *a, uint32_t *list) {
    const size_t train = rpu_train_words(a->m, a->n, a->bl), m = a->m, columns = a->columns;
    const uint64_t *t = a->trains;
    const uint32_t bl = a->bl;
    size_t k = 0;
    for (size_t p = 0; p < columns; p++, t += train) {
        uint64_t any = 0;
        for (uint32_t s = 0; s < bl; s++)
            any |= rows_in(t, s);
        k = append_bits(list, k, any, m, 64 * (uint32_t)p);
    }
    return k;
}

/* Several slots: vector by vector, row by row. What fires is too random for branches. */
INLINE void narrow_slots(const struct rpu_pulse_args *a, struct rpu_pulse_counts *counts, int noisy) {
    const struct lengths length = lengths_of(a);
    const struct rpu_pulse_args l = *a;
    uint32_t *list = a->scratch, *rows = list + a->columns * a->m + VEC, *slots = rows + ROWS_LISTED * a->bl + 2 * VEC;
    const size_t all = list_rows(a, list);
    struct cursor c = {0};
    struct strip b;
    uint32_t last = 0;
    for (size_t first = 0; first < all; first += ROWS_LISTED) {
        const size_t end = all - first < ROWS_LISTED ? all : first + ROWS_LISTED;
        size_t pulses = 0;
        for (size_t k = first; k < end; k++)
            pulses += list_slots(l.trains + list[k] / 64 * length.train, l.bl, list[k], rows + pulses, slots + pulses);
        for (size_t k = 0; k < pulses; k++) {
            const uint32_t p = rows[k] / 64;
            next_vector(&c, p != last);
            last = p;
            add_row(a, &l, &b, &c, l.trains + p * length.train, p, slots[k], rows[k] % 64, noisy);
        }
    }
    end_strip(a, &b, &c, counts, noisy);
}

/* ---- applying: few coincidences a row pulse, in one slot ---- */

/* Noise that is drawn together. Each coincidence has one; those of a vector begin with a block of their own, which
 * leaves gaps. Behind it is room for what is written beyond the last of a row pulse. */
enum { NOISE = 1020, ROOM = NOISE + RPU_NARROW_INPUTS + 2 * VEC, LANES = ROOM / RPU_GAUSS_BLOCK + 2 * VEC };

/* Coincidences in order, and what they come to. */
struct pending {
    uint32_t at[ROOM];             /* 32 row + input, then the crosspoint */
    uint32_t down[ROOM];           /* bit j: a step of input j goes down */
    uint32_t number[ROOM];         /* of its noise in xi */
    uint32_t c0[LANES], c2[LANES]; /* counters of the noise's blocks, one a lane */
    float xi[RPU_GAUSS_BLOCK * LANES];
    float delta[ROOM], factor[ROOM], upper[ROOM], lower[ROOM];
};

/* Where they are written. Apart from them, so that the compiler keeps it in registers. */
struct front {
    size_t count;
    uint32_t lanes, block; /* the first lane of the vector at work, and its block */
    uint32_t number;       /* of the next noise */
};

INLINE __m256i eight_from(uint32_t first) {
    return _mm256_add_epi32(_mm256_set1_epi32((int)first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* Steps and bounds of coincidences k .. k + 7, and their crosspoints. `gap`: 32 - rpu_padded(n). */
INLINE void prepare8(const uint16_t *dev, const struct device *d, struct pending *b, size_t k, __m256i gap) {
    const __m256i at = load_words(b->at + k);
    const __m256i row = _mm256_srli_epi32(at, 5), input = _mm256_and_si256(at, _mm256_set1_epi32(31));
    const __m256i down = _mm256_sllv_epi32(load_words(b->down + k), _mm256_sub_epi32(_mm256_set1_epi32(31), input));
    uint32_t *p = b->at + k;
    store_words(p, _mm256_sub_epi32(at, _mm256_mullo_epi32(row, gap)));
    const struct steps s = steps8(d, devices4(dev, p[0], p[1], p[4], p[5]), devices4(dev, p[2], p[3], p[6], p[7]),
                                  sign_bits(down));
    _mm256_storeu_ps(b->delta + k, s.delta);
    _mm256_storeu_ps(b->upper + k, s.upper);
    _mm256_storeu_ps(b->lower + k, s.lower);
    _mm256_storeu_ps(b->factor + k, noise_factor(d, gather8(b->xi, b->number + k)));
}

/* Works off what is pending: steps and bounds eight at a time, weights one after the other, since a crosspoint may be
 * hit more than once. Without noise the factor is 1, and the sum is rounded once all the same. */
static __attribute__((noinline)) void work_off_few(const struct rpu_pulse_args *a, struct pending *b, size_t count,
                                                   size_t lanes) {
    const struct device d = device_make(a);
    const __m256i gap = _mm256_set1_epi32((int)(RPU_NARROW_INPUTS - rpu_padded(a->n)));
    float *w = a->w;
    store_words(b->at + count, _mm256_setzero_si256());
    store_words(b->number + count, _mm256_setzero_si256());
    if (a->ctoc > 0.0f)
        draw_noise(a, b->c0, b->c2, lanes, b->xi);
    else
        memset(b->xi, 0, lanes * RPU_GAUSS_BLOCK * sizeof *b->xi);
    for (size_t k = 0; k < count; k += VEC)
        prepare8(a->dev, &d, b, k, gap);
    for (size_t k = 0; k < count; k++) {
        float *const at = w + b->at[k];
        const __m128 v = _mm_fmadd_ss(_mm_load_ss(b->delta + k), _mm_load_ss(b->factor + k), _mm_load_ss(at));
        _mm_store_ss(at, _mm_max_ss(_mm_load_ss(b->lower + k), _mm_min_ss(_mm_load_ss(b->upper + k), v)));
    }
}

/* Counters of the noise of the vector at work, as far as it is pending. */
INLINE void end_noise(const struct rpu_pulse_args *a, struct pending *b, struct front *f, uint32_t p) {
    const __m256i c2 = _mm256_set1_epi32((int)rpu_counter_column(a->column + p, 0));
    const uint32_t end = (f->number + RPU_GAUSS_BLOCK - 1) / RPU_GAUSS_BLOCK;
    uint32_t block = a->noise.ctr[0] + f->block;
    for (uint32_t l = f->lanes; l < end; l += VEC, block += VEC) {
        store_words(b->c0 + l, eight_from(block));
        store_words(b->c2 + l, c2);
    }
    f->lanes = end;
}

/* The `hits` inputs that fire in row i. They are listed anew for each row: a list that was just written in vectors that
 * overlap cannot be read for a while. Sixteen of the rest are written whether there are as many or not: how many there
 * are cannot be foreseen, but they seldom are more. */
INLINE void add_hits(struct pending *b, struct front *f, uint32_t inputs, uint32_t hits, size_t i, uint32_t down) {
    const __m256i downs = _mm256_set1_epi32((int)down);
    uint32_t k = 0;
    append_bits(b->at, f->count, inputs, RPU_NARROW_INPUTS, RPU_NARROW_INPUTS * (uint32_t)i);
    do {
        const size_t to = f->count + k;
        store_words(b->down + to, downs);
        store_words(b->down + to + VEC, downs);
        store_words(b->number + to, eight_from(f->number + k));
        store_words(b->number + to + VEC, eight_from(f->number + k + VEC));
        k += 2 * VEC;
    } while (k < hits);
    f->count += hits;
    f->number += hits;
}

/* Vector p, of which a coincidence is in the rows to change, which are the bits of `mine`. */
INLINE void add_vector(const struct rpu_pulse_args *a, struct pending *b, struct front *f, uint32_t p, uint64_t mine) {
    const uint64_t *t = a->trains + p * rpu_train_words(a->m, a->n, 1), rows = rows_in(t, 0), signs_d = t[SIGNS_D];
    const uint32_t inputs = inputs_in(t, 0), signs_x = (uint32_t)t[SIGNS_X];
    const uint32_t before = (uint32_t)__builtin_popcountll(first_bits(rows, a->row0));
    const uint32_t hits = (uint32_t)__builtin_popcount(inputs);
    f->block = before * hits / RPU_GAUSS_BLOCK;
    f->number = f->lanes * RPU_GAUSS_BLOCK + before * hits % RPU_GAUSS_BLOCK;
    for (uint64_t left = rows & mine; left; left &= left - 1) {
        const size_t i = (size_t)__builtin_ctzll(left);
        if (__builtin_expect(f->number + hits > NOISE, 0)) {
            const uint32_t drawn = f->number + (f->block - f->lanes) * RPU_GAUSS_BLOCK;
            end_noise(a, b, f, p);
            work_off_few(a, b, f->count, f->lanes);
            *f = (struct front){0, 0, drawn / RPU_GAUSS_BLOCK, drawn % RPU_GAUSS_BLOCK};
        }
        add_hits(b, f, inputs, hits, i, signs_x ^ (0u - ((uint32_t)(signs_d >> i) & 1u)));
    }
    end_noise(a, b, f, p);
}

static void apply_few(const struct rpu_pulse_args *a, const uint32_t *vectors, size_t n) {
    const struct rpu_pulse_args copy = *a; /* which no vector that is stored can change */
    const uint64_t mine = rows_mine(a);
    struct front f = {0, 0, 0, 0};
    struct pending b;
    for (size_t k = 0; k < n; k++)
        add_vector(&copy, &b, &f, vectors[k], mine);
    work_off_few(&copy, &b, f.count, f.lanes);
}

/* ---- applying ---- */

/* Vectors with a coincidence in the rows to change, in order; counts. One slot. Which ones is too random for branches.
 */
static size_t pick_vectors(const struct rpu_pulse_args *a, uint32_t *list, struct rpu_pulse_counts *counts) {
    const size_t train = rpu_train_words(a->m, a->n, 1), columns = a->columns;
    const uint64_t mine = rows_mine(a), *t = a->trains;
    uint64_t row_pulses = 0, coincidences = 0;
    size_t firing = 0, n = 0;
    for (uint32_t p = 0; p < columns; p++, t += train) {
        list[firing] = p;
        firing += (rows_in(t, 0) & mine) != 0;
    }
    for (size_t k = 0; k < firing; k++) {
        const uint64_t *of = a->trains + list[k] * train;
        const uint32_t rows = (uint32_t)__builtin_popcountll(rows_in(of, 0) & mine);
        const uint32_t hits = rows * (uint32_t)__builtin_popcount(inputs_in(of, 0));
        row_pulses += rows;
        coincidences += hits;
        list[n] = list[k];
        n += hits > 0;
    }
    counts->row_pulses += row_pulses;
    counts->coincidences += coincidences;
    return n;
}

/* Coincidences a row pulse from which on whole rows are cheaper. */
enum { MANY = 6 };

static void apply_single(const struct rpu_pulse_args *a, struct rpu_pulse_counts *counts) {
    struct rpu_pulse_counts c = {0, 0, 0, 0};
    uint32_t *vectors = a->scratch, *list = vectors + a->columns + VEC;
    const size_t n = pick_vectors(a, vectors, &c);
    if (c.coincidences < MANY * c.row_pulses)
        apply_few(a, vectors, n);
    else if (a->ctoc > 0.0f)
        narrow_single(a, vectors, n, list, 1);
    else
        narrow_single(a, vectors, n, list, 0);
    counts->row_pulses += c.row_pulses;
    counts->coincidences += c.coincidences;
}

void K(pulse_apply_narrow)(const struct rpu_pulse_args *a, struct rpu_pulse_counts *counts) {
    if (a->bl == 1)
        apply_single(a, counts);
    else if (a->ctoc > 0.0f)
        narrow_slots(a, counts, 1);
    else
        narrow_slots(a, counts, 0);
}
