/* SPDX-License-Identifier: Apache-2.0 */
/* The stochastic pulsed update of narrow arrays (the first convolution).
 *
 * Vectors have a handful of coincidences each, so that nothing is worth doing for one vector alone. Inputs of several
 * vectors are drawn at once, and so is the noise of the coincidences of many vectors, each block with its own counter.
 * Then, where a row pulse meets many inputs, all pulses of a row are worked off in turn, while its weights stay in
 * registers; where it meets few, as in a network that has learned, the coincidences one after the other, whatever their
 * rows: how many inputs a row meets decides no branch, and a table has their steps and bounds. */
#include "update.h"

/* A train has a word each for: signs of d, signs of x, and for each slot the rows and the inputs that fire. */
enum { SIGNS_D, SIGNS_X, SLOTS, TRAIN = SLOTS + 2 /* words, with a single slot */ };

enum { NARROW_VECTORS = RPU_NARROW_INPUTS / VEC };

INLINE uint64_t rows_in(const uint64_t *t, uint32_t slot) {
    return t[SLOTS + 2 * (size_t)slot];
}

INLINE uint32_t inputs_in(const uint64_t *t, uint32_t slot) {
    return (uint32_t)t[SLOTS + 2 * (size_t)slot + 1];
}

/* ---- drawing ---- */

/* A tie somewhere: the plane of one unit the exact way. */
static __attribute__((noinline)) uint32_t narrow_exact(const struct rpu_pulse_args *a, const struct unit *u) {
    const uint32_t column = a->column + u->p;
    const struct rpu_stream bits = at_column(&a->col_bits, column, u->slot);
    const struct source source = {
        a->gain_x + u->p, a->x + u->p * a->ldx, 0, a->n, at_column(&a->col_ties, column, u->slot), 0, 0};
    struct philox ph;
    philox_begin(&ph, &bits);
    uint16_t hi[2 * 64]; /* as many as the widest plane that the compiler considers */
    uint64_t plane[2] = {0};
    limits_of(a->gain_x[u->p], source.v, a->n, hi, 0);
    draw_plane(&ph, &source, a->n, hi, plane);
    return (uint32_t)plane[0];
}

/* Bits of two units. */
struct two {
    uint32_t u, v;
};

/* The upper bits of bytes, a unit's in each half of each register. */
INLINE struct two two_masks(__m256i first, __m256i second) {
    const uint32_t low = (uint32_t)_mm256_movemask_epi8(first), high = (uint32_t)_mm256_movemask_epi8(second);
    const struct two t = {(low & 0xffffu) | high << 16, low >> 16 | (high & 0xffff0000u)};
    return t;
}

/* Signs of sixteen values of each unit. Packing takes halves by themselves and leaves fours of either unit in turn. */
INLINE __m256i signs16(__m256 u0, __m256 u1, __m256 v0, __m256 v1) {
    const __m256i a = _mm256_packs_epi32(_mm256_castps_si256(u0), _mm256_castps_si256(v0));
    const __m256i b = _mm256_packs_epi32(_mm256_castps_si256(u1), _mm256_castps_si256(v1));
    return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), _mm256_setr_epi32(0, 4, 2, 6, 1, 5, 3, 7));
}

/* Column pulses and signs of x of two units of `vectors` registers of inputs, into their trains: each has four blocks,
 * one 128-bit half of the words. `last`: lanes of the last register that are there. Returns how many fire. */
INLINE size_t narrow_pair(const struct rpu_pulse_args *a, __m256i last, size_t vectors, const struct unit *u,
                          const struct unit *v, const struct words *w, uint64_t *t_u, uint64_t *t_v) {
    const float *xu = a->x + u->p * a->ldx, *xv = a->x + v->p * a->ldx;
    const __m256 gain_u = scaled(a->gain_x[u->p]), gain_v = scaled(a->gain_x[v->p]);
    const __m256i word[NARROW_VECTORS] = {w->w0, w->w1, w->w2, w->w3};
    __m256i silent[NARROW_VECTORS], equal = _mm256_setzero_si256();
    __m256 of_u[NARROW_VECTORS], of_v[NARROW_VECTORS];
    for (size_t k = 0; k < NARROW_VECTORS; k++) {
        of_u[k] = of_v[k] = _mm256_setzero_ps();
        silent[k] = _mm256_set1_epi32(-1);
        if (k >= vectors)
            continue;
        of_u[k] = k + 1 < vectors ? _mm256_loadu_ps(xu + VEC * k) : _mm256_maskload_ps(xu + VEC * k, last);
        of_v[k] = k + 1 < vectors ? _mm256_loadu_ps(xv + VEC * k) : _mm256_maskload_ps(xv + VEC * k, last);
        const __m256i limits = upper16(probability8(gain_u, of_u[k]), probability8(gain_v, of_v[k]));
        silent[k] = silent16(word[k], limits);
        equal = _mm256_or_si256(equal, _mm256_cmpeq_epi16(word[k], limits));
    }
    const struct two is_silent =
        two_masks(_mm256_packs_epi16(silent[0], silent[1]), _mm256_packs_epi16(silent[2], silent[3]));
    const struct two sign =
        two_masks(signs16(of_u[0], of_u[1], of_v[0], of_v[1]), signs16(of_u[2], of_u[3], of_v[2], of_v[3]));
    uint32_t fires_u = ~is_silent.u, fires_v = ~is_silent.v;
    if (__builtin_expect(!_mm256_testz_si256(equal, equal), 0)) {
        fires_u = narrow_exact(a, u);
        fires_v = narrow_exact(a, v);
    }
    t_u[SIGNS_X] = sign.u;
    t_v[SIGNS_X] = sign.v;
    t_u[SLOTS + 2 * (size_t)u->slot + 1] = fires_u;
    t_v[SLOTS + 2 * (size_t)v->slot + 1] = fires_v;
    return (size_t)__builtin_popcount(fires_u) + (size_t)__builtin_popcount(fires_v);
}

/* What the first two rounds of the units' bits have in common. Of the counter word 0 differs between the four blocks of
 * a unit and word 2 between units, and in these rounds the two do not meet: a round of blocks and one of units are
 * enough, and combined where the third begins. */
struct block_rounds {
    struct half e, o; /* c0 to c2 of blocks 0, 1 and 2, 3, in both 128-bit halves */
    __m256i first;    /* ctr[1] ^ key of words 0 */
};

INLINE struct half open_blocks(const struct rpu_stream *s, __m256i block) {
    const __m256i k0 = _mm256_set1_epi32((int)(s->key[0] + 0x9E3779B9u)), zero = _mm256_setzero_si256();
    const __m256i k1 = _mm256_set1_epi32((int)(s->key[1] + 0xBB67AE85u));
    const __m256i a = _mm256_mul_epu32(block, _mm256_set1_epi64x(0xD2511F53));
    const __m256i c2 = _mm256_xor_si256(high(a), _mm256_set1_epi32((int)(s->ctr[3] ^ s->key[1])));
    const __m256i b = _mm256_mul_epu32(c2, _mm256_set1_epi64x(0xCD9E8D57));
    const struct half h = {_mm256_xor_si256(high(b), k0), b, _mm256_xor_si256(a, k1), zero};
    return h;
}

INLINE struct block_rounds block_rounds(const struct rpu_stream *s) {
    const __m256i both = _mm256_setr_epi32(0, 0, 1, 0, 0, 0, 1, 0);
    const __m256i block = _mm256_add_epi32(_mm256_set1_epi32((int)s->ctr[0]), both);
    const struct block_rounds o = {open_blocks(s, block), open_blocks(s, _mm256_add_epi32(block, _mm256_set1_epi32(2))),
                              _mm256_set1_epi32((int)(s->ctr[1] ^ s->key[0]))};
    return o;
}

/* The first two rounds of four units, one in each 64-bit lane. */
struct unit_rounds {
    __m256i c0, c3; /* what word 0 is to be combined with; word 3, and in the upper halves what word 2 is to be */
};

INLINE struct unit_rounds open_units(const struct block_rounds *o, uint32_t column, const struct unit *u) {
    const __m256i units = _mm256_loadu_si256((const __m256i *)(const void *)u); /* p, slot */
    const __m256i p = _mm256_slli_epi32(_mm256_add_epi32(units, _mm256_set1_epi32((int)column)), 8);
    const __m256i c2 = _mm256_or_si256(p, high(units)); /* rpu_counter_column */
    const __m256i a = _mm256_mul_epu32(c2, _mm256_set1_epi64x(0xCD9E8D57));
    const __m256i b = _mm256_mul_epu32(_mm256_xor_si256(high(a), o->first), _mm256_set1_epi64x(0xD2511F53));
    const struct unit_rounds r = {a, b};
    return r;
}

/* Eight blocks after two rounds: four of each of two units, whose values are in the 64-bit lanes 0, 1 and 2, 3. */
INLINE struct chains open_pair(const struct block_rounds *o, __m256i c0, __m256i c3) {
    const __m256i c2 = high(c3);
    const struct chains c = {
        {_mm256_xor_si256(o->e.c0, c0), o->e.c1, _mm256_xor_si256(o->e.c2, c2), c3},
        {_mm256_xor_si256(o->o.c0, c0), o->o.c1, _mm256_xor_si256(o->o.c2, c2), c3}};
    return c;
}

/* The four blocks of each of four units. */
INLINE struct words2 unit_words(const struct philox *p, const struct block_rounds *o, const struct unit_rounds *u) {
    struct chains a = open_pair(o, _mm256_permute4x64_epi64(u->c0, 0x50), _mm256_permute4x64_epi64(u->c3, 0x50));
    struct chains b = open_pair(o, _mm256_permute4x64_epi64(u->c0, 0xfa), _mm256_permute4x64_epi64(u->c3, 0xfa));
    return chains16(p, &a, &b);
}

INLINE unsigned sign_bits16(const float *v) {
    const int low = _mm256_movemask_ps(_mm256_loadu_ps(v)), upper = _mm256_movemask_ps(_mm256_loadu_ps(v + VEC));
    return (unsigned)low | (unsigned)upper << VEC;
}

/* Sign bits of up to 64 values. */
INLINE uint64_t sign_word(const float *v, size_t n) {
    uint64_t word = 0;
    size_t i = 0;
    if (n == 2 * VEC) /* as many rows as LeNet's first layer has */
        return sign_bits16(v);
    for (; i + 2 * VEC <= n; i += 2 * VEC)
        word |= (uint64_t)sign_bits16(v + i) << i;
    for (; i < n; i += VEC)
        word |= (uint64_t)(unsigned)_mm256_movemask_ps(load_upto(v + i, n - i)) << i;
    return word;
}

/* What is done for all units. */
struct drawn {
    struct lengths l;
    __m256i last; /* lanes of the last eight inputs that are there */
    struct philox ph;
    struct block_rounds blocks;
};

/* Inputs and signs of four units, into the trains. Returns how many fire. */
INLINE size_t narrow_inputs(const struct rpu_pulse_args *a, const struct drawn *s, size_t vectors,
                            const struct unit_rounds *units, const struct unit *u) {
    uint64_t *t[4];
    const struct words2 w = unit_words(&s->ph, &s->blocks, units);
    for (size_t k = 0; k < 4; k++)
        t[k] = a->trains + u[k].p * s->l.train;
    for (size_t k = 0; k < 4; k++)
        t[k][SIGNS_D] = sign_word(a->d + u[k].p * a->ldd, a->m);
    return narrow_pair(a, s->last, vectors, u, u + 1, &w.a, t[0], t[1]) +
           narrow_pair(a, s->last, vectors, u + 2, u + 3, &w.b, t[2], t[3]);
}

/* Four at a time; while their bits are drawn, the first rounds of the next four go ahead. Behind the end stands the
 * last of the `n` units again: a train that is written twice is the same, but counts once. */
INLINE size_t narrow_units(const struct rpu_pulse_args *args, const struct unit *u, size_t n, size_t vectors) {
    const struct rpu_pulse_args copy = *args, *a = &copy; /* which no vector that is stored can change */
    struct drawn s;
    size_t pulses = 0;
    s.l = lengths_of(a);
    s.last = lane_mask(a->n - VEC * (vectors - 1));
    s.blocks = block_rounds(&a->col_bits);
    philox_key(&s.ph, &a->col_bits);
    struct unit_rounds units = open_units(&s.blocks, a->column, u);
    for (size_t k = 0; k < n; k += 4) {
        const struct unit_rounds next = open_units(&s.blocks, a->column, u + k + 4);
        pulses += narrow_inputs(a, &s, vectors, &units, u + k);
        units = next;
    }
    const uint64_t *last = a->trains + u[n].p * s.l.train;
    return pulses - (size_t)__builtin_popcount(inputs_in(last, u[n].slot)) * ((4 - n % 4) % 4);
}

void K(pulse_draw_narrow)(const struct rpu_pulse_args *a, struct unit *units, size_t n,
                          struct rpu_pulse_counts *counts) {
    if (n == 0)
        return;
    for (size_t k = n; k < n + 8; k++)
        units[k] = units[n - 1];
    switch ((a->n + VEC - 1) / VEC) {
    case 1: counts->column_pulses += narrow_units(a, units, n, 1); break;
    case 2: counts->column_pulses += narrow_units(a, units, n, 2); break;
    case 3: counts->column_pulses += narrow_units(a, units, n, 3); break;
    default: counts->column_pulses += narrow_units(a, units, n, 4); break;
    }
}

/* ---- applying: noise ---- */

/* Pairs of numbers of blocks 0 to 3 or 4 to 7, two in each 128-bit half, block by block. */
INLINE void store_four(__m256d first, __m256d second, __m256d third, float *out) {
    double *low = (double *)(void *)out, *high = low + RPU_GAUSS_BLOCK;
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

/* The factors that two Gaussians stand for. */
INLINE struct pair factors(__m256 ctoc, struct pair p) {
    const __m256 one = _mm256_set1_ps(1.0f);
    const struct pair f = {_mm256_fmadd_ps(ctoc, p.first, one), _mm256_fmadd_ps(ctoc, p.second, one)};
    return f;
}

/* The factors of the six Gaussians of each of eight blocks, block by block; their words stand in lanes 0, 1, 4, 5 and
 * 2, 3, 6, 7. */
INLINE void store_blocks(__m256 ctoc, const struct words *w, float *out) {
    const struct pair p0 = factors(ctoc, gauss_pair(w->w0, angle_first(w))),
                      p1 = factors(ctoc, gauss_pair(w->w1, angle_second(w))),
                      p2 = factors(ctoc, gauss_pair(w->w2, angle_third(w)));
    store_four(pairs_low(p0), pairs_low(p1), pairs_low(p2), out);
    store_four(pairs_high(p0), pairs_high(p1), pairs_high(p2), out + 4 * RPU_GAUSS_BLOCK);
}

/* Counters of blocks of noise: word 0 in the lower, word 2 in the upper half. */
INLINE uint64_t noise_counter(const struct rpu_pulse_args *a, uint32_t column, uint32_t block) {
    return (uint64_t)rpu_counter_column(column, 0) << 32 | (a->noise.ctr[0] + block);
}

INLINE __m256i load_counters(const uint64_t *c) {
    return _mm256_loadu_si256((const __m256i *)(const void *)c);
}

INLINE void store_counters(uint64_t *c, __m256i v) {
    _mm256_storeu_si256((__m256i *)(void *)c, v);
}

/* The factors of blocks of noise, of which there are `count`; writes two vectors behind their counters. */
static void draw_noise(const struct rpu_pulse_args *a, uint64_t *counters, size_t count, float *factor) {
    const __m256 ctoc = _mm256_set1_ps(a->ctoc);
    for (size_t k = count; k < count + 2 * VEC; k += 4)
        store_counters(counters + k, _mm256_setzero_si256());
    for (size_t k = 0; k < count; k += 2 * VEC) {
        const uint64_t *c = counters + k;
        const struct words2 w = philox_lanes16(&a->noise, load_counters(c), load_counters(c + 4), load_counters(c + 8),
                                               load_counters(c + 12));
        store_blocks(ctoc, &w.a, factor + RPU_GAUSS_BLOCK * k);
        if (k + VEC < count)
            store_blocks(ctoc, &w.b, factor + RPU_GAUSS_BLOCK * (k + VEC));
    }
}

INLINE __m128i load2(const uint64_t *words) {
    return _mm_loadu_si128((const __m128i *)(const void *)words);
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
    uint64_t counters[STRIP_LANES]; /* of the noise's blocks */
    float factor[RPU_GAUSS_BLOCK * STRIP_LANES];
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
INLINE void narrow_pulse(const struct strip *b, size_t k, size_t vectors, struct narrow_row *r, int noisy) {
    const __m256i word = _mm256_set1_epi32((int)b->down[k]);
    const float *factor = b->factor + b->first[k];
    for (size_t v = 0; v < vectors; v++) {
        const unsigned byte = b->inputs[k] >> (VEC * v) & 255u;
        const __m256i rank = _mm256_cvtepi8_epi32(_mm_cvtsi64_si128((long long)spread[byte]));
        const __m256 down = _mm256_castsi256_ps(signs_of(word, (int)(VEC * v)));
        const __m256 delta = _mm256_blendv_ps(r->up[v], r->down[v], down);
        const __m256 w = noisy ? _mm256_fmadd_ps(delta, _mm256_permutevar8x32_ps(_mm256_loadu_ps(factor), rank), r->w[v])
                               : _mm256_add_ps(r->w[v], delta);
        r->w[v] = _mm256_blendv_ps(clip_ps(w, r->lower[v], r->upper[v]), r->w[v], _mm256_castsi256_ps(rank));
        factor += __builtin_popcount(byte);
    }
}

/* The row pulses order[0 .. count) of row i: its weights stay in registers meanwhile. */
INLINE void narrow_row(const struct rpu_pulse_args *a, const struct device *d, const struct strip *b, size_t i,
                       const uint16_t *order, size_t count, size_t vectors, int noisy) {
    struct narrow_row r;
    const size_t at = i * rpu_padded(a->n);
    narrow_load(a, d, at, vectors, &r);
    for (size_t k = 0; k < count; k++)
        narrow_pulse(b, order[k], vectors, &r, noisy);
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
        draw_noise(a, b->counters, lanes, b->factor);
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
    const __m256i counters = _mm256_add_epi32(
        _mm256_set1_epi64x((long long)noise_counter(l, l->column + p, blocks)), _mm256_setr_epi64x(0, 1, 2, 3));
    store_counters(b->counters + lane, counters);
    store_counters(b->counters + lane + 4, _mm256_add_epi32(counters, _mm256_set1_epi64x(4)));
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

/* Blocks of noise that are drawn together, and the most that one vector has. */
enum { BLOCKS = 768, BLOCKS_MOST = RPU_NARROW_OUTPUTS * RPU_NARROW_INPUTS / RPU_GAUSS_BLOCK + 2 };

/* Room for them and for as many coincidences, and for what is written beyond the last. A vector is listed only where
 * there is room for the largest. */
enum { LANES = BLOCKS + 3 * VEC, ROOM = RPU_GAUSS_BLOCK * BLOCKS + 64 };

/* Crosspoints stand in rows of this many. */
enum { STRIDE = RPU_NARROW_INPUTS, CROSSPOINTS = RPU_NARROW_OUTPUTS * STRIDE };

struct few {
    float w[CROSSPOINTS], upper[CROSSPOINTS], lower[CROSSPOINTS];
    float step[2 * CROSSPOINTS];    /* of each crosspoint up and down */
    uint8_t input[ROOM], row[ROOM]; /* of a coincidence: twice its input or row, and the sign of x or d */
    uint16_t number[ROOM];          /* of its factor */
    uint64_t counters[LANES];       /* of the noise's blocks */
    float factor[RPU_GAUSS_BLOCK * LANES];
};

/* Up and down in turn. */
INLINE void store_steps(float *step, __m256 up, __m256 down) {
    const __m256 a = _mm256_unpacklo_ps(up, down), b = _mm256_unpackhi_ps(up, down);
    _mm256_storeu_ps(step, _mm256_permute2f128_ps(a, b, 0x20));
    _mm256_storeu_ps(step + VEC, _mm256_permute2f128_ps(a, b, 0x31));
}

/* Fills the table for the rows of a word. */
static void few_load(const struct rpu_pulse_args *a, struct few *f, uint64_t rows) {
    const struct device d = device_make(a);
    const size_t ldw = rpu_padded(a->n);
    for (; rows; rows &= rows - 1) {
        const size_t i = (size_t)__builtin_ctzll(rows);
        for (size_t j = 0; j < a->n; j += VEC) {
            const size_t at = i * STRIDE + j;
            struct narrow_row r;
            narrow_load(a, &d, i * ldw + j, 1, &r);
            _mm256_storeu_ps(f->w + at, r.w[0]);
            _mm256_storeu_ps(f->upper + at, r.upper[0]);
            _mm256_storeu_ps(f->lower + at, r.lower[0]);
            store_steps(f->step + 2 * at, r.up[0], r.down[0]);
        }
    }
}

/* Puts their weights back. */
static void few_store(const struct rpu_pulse_args *a, const struct few *f, uint64_t rows) {
    const size_t ldw = rpu_padded(a->n);
    for (; rows; rows &= rows - 1) {
        const size_t i = (size_t)__builtin_ctzll(rows);
        for (size_t j = 0; j < a->n; j += VEC)
            _mm256_storeu_ps(a->w + i * ldw + j, _mm256_loadu_ps(f->w + i * STRIDE + j));
    }
}

/* How much is listed. Apart from the lists, so that the compiler keeps it in registers. */
struct front {
    size_t count;   /* coincidences */
    uint32_t lanes; /* blocks of noise */
};

/* Lists blocks of the noise of vector p and the numbers of its coincidences' factors: of `count`, behind `before` of
 * rows that are not to change. Sixteen numbers and two blocks are written whether there are as many or not: there
 * seldom are more. */
INLINE void few_noise(const struct rpu_pulse_args *a, struct few *f, struct front *to, uint32_t p, uint32_t count,
                      uint32_t before) {
    const __m256i ramp = _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const uint32_t column = a->column + p, block = before / RPU_GAUSS_BLOCK, skip = before % RPU_GAUSS_BLOCK;
    const uint32_t lanes = (skip + count + RPU_GAUSS_BLOCK - 1) / RPU_GAUSS_BLOCK;
    uint32_t number = to->lanes * RPU_GAUSS_BLOCK + skip, k = 0;
    do {
        _mm256_storeu_si256((__m256i *)(void *)(f->number + to->count + k),
                            _mm256_add_epi16(_mm256_set1_epi16((short)(number + k)), ramp));
        k += 16;
    } while (k < count);
    k = 0;
    do {
        f->counters[to->lanes + k] = noise_counter(a, column, block + k);
        f->counters[to->lanes + k + 1] = noise_counter(a, column, block + k + 1);
        k += 2;
    } while (k < lanes);
    to->lanes += lanes;
}

/* Of sixteen bytes those whose bits are set: of each eight they move to the front. */
INLINE __m128i fired16(__m128i bytes, unsigned bits) {
    const __m128i low = _mm_loadl_epi64((const __m128i *)(const void *)(compress + (bits & 255u)));
    const __m128i both = _mm_castps_si128(
        _mm_loadh_pi(_mm_castsi128_ps(low), (const __m64 *)(const void *)(compress + (bits >> 8 & 255u))));
    return _mm_shuffle_epi8(bytes, _mm_or_si128(both, _mm_setr_epi32(0, 0, 0x08080808, 0x08080808)));
}

/* Twice each input, and its sign. */
INLINE __m256i signed_inputs(uint32_t signs) {
    const __m256i own = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
    const __m256i twice = _mm256_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38,
                                           40, 42, 44, 46, 48, 50, 52, 54, 56, 58, 60, 62);
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32((int)signs), own);
    return _mm256_sub_epi8(twice, _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit));
}

/* Appends the coincidences of vector p, whose train is t. `from_first`: there are no rows before those to change. */
INLINE void few_list(const struct rpu_pulse_args *a, struct few *f, struct front *to, uint32_t p, const uint64_t *t,
                     uint64_t mine, int from_first) {
    const uint32_t inputs = inputs_in(t, 0), hits = (uint32_t)__builtin_popcount(inputs);
    const uint64_t all = rows_in(t, 0), rows = all & mine, signs_d = t[SIGNS_D];
    const uint32_t before = from_first ? 0 : hits * (uint32_t)__builtin_popcountll(first_bits(all, a->row0));
    few_noise(a, f, to, p, hits * (uint32_t)__builtin_popcountll(rows), before);
    const __m256i bytes = signed_inputs((uint32_t)t[SIGNS_X]);
    const __m128i low = fired16(_mm256_castsi256_si128(bytes), inputs);
    const __m128i upper = fired16(_mm256_extracti128_si256(bytes, 1), inputs >> 16);
    const size_t second = (size_t)__builtin_popcount(inputs & 0xffu);
    const size_t third = (size_t)__builtin_popcount(inputs & 0xffffu);
    const size_t fourth = (size_t)__builtin_popcount(inputs & 0xffffffu);
    for (uint64_t left = rows; left; left &= left - 1) {
        const uint32_t i = (uint32_t)__builtin_ctzll(left);
        uint8_t *input = f->input + to->count;
        _mm_storel_epi64((__m128i *)(void *)input, low);
        _mm_storeh_pi((__m64 *)(void *)(input + second), _mm_castsi128_ps(low));
        _mm_storel_epi64((__m128i *)(void *)(input + third), upper);
        _mm_storeh_pi((__m64 *)(void *)(input + fourth), _mm_castsi128_ps(upper));
        _mm256_storeu_si256((__m256i *)(void *)(f->row + to->count),
                            _mm256_set1_epi8((char)(2 * i + (uint32_t)(signs_d >> i & 1u))));
        to->count += hits;
    }
}

INLINE __m256i words_of(const uint8_t *bytes) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)bytes));
}

/* Crosspoints and steps of coincidences. */
enum { PLACES = 64 };
struct places {
    uint32_t at[PLACES], step[PLACES];
};

/* Those of coincidences from the k-th on. */
INLINE void few_places(const struct few *f, size_t k, struct places *to) {
    for (size_t i = 0; i < PLACES; i += VEC) {
        const __m256i input = words_of(f->input + k + i), row = words_of(f->row + k + i);
        const __m256i down = _mm256_and_si256(_mm256_xor_si256(input, row), _mm256_set1_epi32(1));
        const __m256i at = _mm256_add_epi32(_mm256_mullo_epi32(_mm256_srli_epi32(row, 1), _mm256_set1_epi32(STRIDE)),
                                            _mm256_srli_epi32(input, 1));
        store_words(to->at + i, at);
        store_words(to->step + i, _mm256_or_si256(_mm256_add_epi32(at, at), down));
    }
}

/* Works off what is listed, one after the other, since a crosspoint may be hit more than once. Without noise the factor
 * is 1, and the sum is rounded once all the same. */
static void few_apply(const struct rpu_pulse_args *a, struct few *f, const struct front *to) {
    const size_t count = to->count;
    if (a->ctoc > 0.0f)
        draw_noise(a, f->counters, to->lanes, f->factor);
    else
        for (size_t k = 0; k < RPU_GAUSS_BLOCK * to->lanes; k++)
            f->factor[k] = 1.0f;
    for (size_t first = 0; first < count; first += PLACES) {
        const size_t n = count - first < PLACES ? count - first : PLACES;
        struct places p;
        few_places(f, first, &p);
        for (size_t k = 0; k < n; k++) {
            float *const w = f->w + p.at[k];
            const __m128 v = _mm_fmadd_ss(_mm_load_ss(f->step + p.step[k]),
                                          _mm_load_ss(f->factor + f->number[first + k]), _mm_load_ss(w));
            const __m128 most = _mm_min_ss(_mm_load_ss(f->upper + p.at[k]), v);
            _mm_store_ss(w, _mm_max_ss(_mm_load_ss(f->lower + p.at[k]), most));
        }
    }
}

/* Lists vectors with a coincidence in the rows to change, of which there are n, as far as there is room. Returns how
 * many. */
INLINE size_t few_fill(const struct rpu_pulse_args *a, struct few *f, struct front *to, const uint32_t *vectors,
                       size_t n, int from_first) {
    const struct rpu_pulse_args copy = *a; /* which no vector that is stored can change */
    const uint64_t mine = rows_mine(a);
    struct front at = {0, 0};
    size_t k = 0;
    for (; k < n && at.lanes + BLOCKS_MOST <= BLOCKS; k++)
        few_list(&copy, f, &at, vectors[k], copy.trains + vectors[k] * TRAIN, mine, from_first);
    *to = at;
    return k;
}

static __attribute__((noinline)) size_t few_listed(const struct rpu_pulse_args *a, struct few *f, struct front *to,
                                                   const uint32_t *vectors, size_t n) {
    return a->row0 == 0 ? few_fill(a, f, to, vectors, n, 1) : few_fill(a, f, to, vectors, n, 0);
}

/* Vectors with a coincidence in the rows to change, of which there are n; `rows`: those that fire in some of them. */
static void apply_few(const struct rpu_pulse_args *a, const uint32_t *vectors, size_t n, uint64_t rows) {
    struct few f;
    few_load(a, &f, rows);
    for (size_t k = 0; k < n;) {
        struct front to;
        k += few_listed(a, &f, &to, vectors + k, n - k);
        few_apply(a, &f, &to);
    }
    few_store(a, &f, rows);
}

/* ---- applying ---- */

/* How many bits of each 64-bit lane are set. */
INLINE __m256i count4(__m256i v) {
    const __m256i ones = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2,
                                          2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i low = _mm256_shuffle_epi8(ones, _mm256_and_si256(v, nibble));
    const __m256i upper = _mm256_shuffle_epi8(ones, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));
    return _mm256_sad_epu8(_mm256_add_epi8(low, upper), _mm256_setzero_si256());
}

INLINE uint64_t sum4(__m256i v) {
    uint64_t u[4];
    _mm256_storeu_si256((__m256i *)(void *)u, v);
    return u[0] + u[1] + u[2] + u[3];
}

/* What is found of vectors with a single slot, among the rows to change: sums, and which rows fire. */
struct picked {
    __m256i row_pulses, coincidences, rows;
};

/* Four vectors whose trains begin at t. Returns which of them have a coincidence in the rows of `mine`. */
INLINE unsigned pick4(const uint64_t *t, __m256i mine, struct picked *to) {
    const uint64_t *from = t + SLOTS; /* rows and inputs */
    const __m256i v02 = _mm256_setr_m128i(load2(from), load2(from + 2 * TRAIN));
    const __m256i v13 = _mm256_setr_m128i(load2(from + TRAIN), load2(from + 3 * TRAIN));
    const __m256i rows = _mm256_and_si256(_mm256_unpacklo_epi64(v02, v13), mine);
    const __m256i pulses = count4(rows), inputs = _mm256_unpackhi_epi64(v02, v13);
    const __m256i hits = _mm256_mul_epu32(pulses, count4(inputs)), zero = _mm256_setzero_si256();
    to->row_pulses = _mm256_add_epi64(to->row_pulses, pulses);
    to->coincidences = _mm256_add_epi64(to->coincidences, hits);
    to->rows = _mm256_or_si256(to->rows, rows);
    return (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(hits, zero)));
}

/* Vectors with a coincidence in the rows to change, in order; counts. One slot. Which ones is too random for branches.
 * `rows`: those that fire somewhere. */
static size_t pick_vectors(const struct rpu_pulse_args *a, uint32_t *list, uint64_t *rows,
                           struct rpu_pulse_counts *counts) {
    const size_t columns = a->columns;
    const uint64_t *t = a->trains;
    const __m256i mine = _mm256_set1_epi64x((long long)rows_mine(a)), zero = _mm256_setzero_si256();
    struct picked sums = {zero, zero, zero};
    uint64_t last[2 * 4 * TRAIN] = {0}, any[4];
    size_t n = 0, p = 0;
    for (; p + VEC <= columns; p += VEC, t += VEC * TRAIN)
        n = append_bits(list, n, pick4(t, mine, &sums) | pick4(t + 4 * TRAIN, mine, &sums) << 4, VEC, (uint32_t)p);
    if (p < columns) {
        memcpy(last, t, (columns - p) * TRAIN * sizeof *t);
        n = append_bits(list, n, pick4(last, mine, &sums) | pick4(last + 4 * TRAIN, mine, &sums) << 4, VEC, (uint32_t)p);
    }
    _mm256_storeu_si256((__m256i *)(void *)any, sums.rows);
    *rows = any[0] | any[1] | any[2] | any[3];
    counts->row_pulses += sum4(sums.row_pulses);
    counts->coincidences += sum4(sums.coincidences);
    return n;
}

/* Coincidences a row pulse from which on whole rows are cheaper. */
enum { MANY = 4 };

static void apply_single(const struct rpu_pulse_args *a, struct rpu_pulse_counts *counts) {
    struct rpu_pulse_counts c = {0, 0, 0, 0};
    uint32_t *vectors = a->scratch, *list = vectors + a->columns + VEC;
    uint64_t rows;
    const size_t n = pick_vectors(a, vectors, &rows, &c);
    if (c.coincidences < MANY * c.row_pulses)
        apply_few(a, vectors, n, rows);
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
