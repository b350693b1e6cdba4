/* SPDX-License-Identifier: Apache-2.0 */
/* Products with the weights, and the exact rank-one updates. */
#include "neon.h"

/* ---- forward, few inputs: vectors run over outputs ----
 *
 * Panels of 16 rows are transposed into scratch (at most 4 KiB, so they stay in L1) and meet all columns before the
 * next panel; a block is 4 vectors of outputs x 4 columns, 16 sums in registers. */

enum { PANEL = 16, PANEL_COLUMNS = 4 };

/* Transposes rows [0, rows) of w into wt[j * 4 * vectors + row]; rows beyond repeat the last one and are not used. */
static void pack_panel(size_t rows, size_t vectors, size_t n, const float *w, size_t ldw, float *wt) {
    for (size_t v = 0; v < vectors; v++) {
        const float *row[VEC];
        for (size_t k = 0; k < VEC; k++)
            row[k] = w + (v * VEC + k < rows ? v * VEC + k : rows - 1) * ldw;
        for (size_t j = 0; j < n; j += VEC) {
            const size_t rest = n - j;
            const float32x4_t a = load_upto(row[0] + j, rest), b = load_upto(row[1] + j, rest);
            const float32x4_t c = load_upto(row[2] + j, rest), d = load_upto(row[3] + j, rest);
            const float64x2_t ab0 = vreinterpretq_f64_f32(vtrn1q_f32(a, b));
            const float64x2_t ab1 = vreinterpretq_f64_f32(vtrn2q_f32(a, b));
            const float64x2_t cd0 = vreinterpretq_f64_f32(vtrn1q_f32(c, d));
            const float64x2_t cd1 = vreinterpretq_f64_f32(vtrn2q_f32(c, d));
            const float64x2_t t[VEC] = {vtrn1q_f64(ab0, cd0), vtrn1q_f64(ab1, cd1), vtrn2q_f64(ab0, cd0),
                                        vtrn2q_f64(ab1, cd1)};
            for (size_t k = 0; k < VEC && k < rest; k++)
                vst1q_f32(wt + ((j + k) * vectors + v) * VEC, vreinterpretq_f32_f64(t[k]));
        }
    }
}

INLINE void panel_block(const size_t vectors, const size_t columns, size_t rows, size_t n, const float *wt,
                        const float *x, size_t ldx, float *y, size_t ldy) {
    float32x4_t s[PANEL_COLUMNS][PANEL / VEC];
    UNROLL
    for (size_t c = 0; c < columns; c++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            s[c][v] = vdupq_n_f32(0.0f);
    }
    for (size_t j = 0; j < n; j++) {
        float32x4_t w[PANEL / VEC];
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            w[v] = vld1q_f32(wt + (j * vectors + v) * VEC);
        UNROLL
        for (size_t c = 0; c < columns; c++) {
            UNROLL
            for (size_t v = 0; v < vectors; v++)
                s[c][v] = vfmaq_n_f32(s[c][v], w[v], x[c * ldx + j]);
        }
    }
    UNROLL
    for (size_t c = 0; c < columns; c++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            store_upto(y + c * ldy + v * VEC, s[c][v], rows - v * VEC);
    }
}

INLINE void panel_times(const size_t vectors, size_t rows, size_t n, size_t columns, const float *wt, const float *x,
                        size_t ldx, float *y, size_t ldy) {
    size_t p = 0;
    for (; p + PANEL_COLUMNS <= columns; p += PANEL_COLUMNS)
        panel_block(vectors, PANEL_COLUMNS, rows, n, wt, x + p * ldx, ldx, y + p * ldy, ldy);
    for (; p < columns; p++)
        panel_block(vectors, 1, rows, n, wt, x + p * ldx, ldx, y + p * ldy, ldy);
}

static void forward_panels(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *x, size_t ldx,
                           float *y, size_t ldy, float *wt) {
    for (size_t i = 0; i < m; i += PANEL) {
        const size_t rows = m - i < PANEL ? m - i : PANEL, vectors = (rows + VEC - 1) / VEC;
        pack_panel(rows, vectors, n, w + i * ldw, ldw, wt);
        switch (vectors) {
        case 1: panel_times(1, rows, n, columns, wt, x, ldx, y + i, ldy); break;
        case 2: panel_times(2, rows, n, columns, wt, x, ldx, y + i, ldy); break;
        case 3: panel_times(3, rows, n, columns, wt, x, ldx, y + i, ldy); break;
        default: panel_times(4, rows, n, columns, wt, x, ldx, y + i, ldy); break;
        }
    }
}

/* ---- forward, many inputs: vectors run over inputs ----
 *
 * Eight partial sums are two vectors; a block of 4 outputs x 3 columns keeps 24 of them in registers. Columns are taken
 * some at a time, whose inputs stay in L2. Of these and the weights the smaller is read again and again, the larger once. */

enum { DOT_ROWS = 4, DOT_COLUMNS = 3, DOT_MOST = 48, SUMS = 8 };

struct product {
    size_t n;
    const float *w;
    size_t ldw;
    const float *x;
    size_t ldx;
    float *y;
    size_t ldy;
};

INLINE float sum_tree(float32x4_t low, float32x4_t high) {
    const float32x4_t t = vaddq_f32(low, high);
    const float32x2_t pairs = vadd_f32(vget_low_f32(t), vget_high_f32(t));
    return vget_lane_f32(vpadd_f32(pairs, pairs), 0);
}

/* The last n % 4 of the four floats that end at p + n, moved down to lane 0; the lanes behind come from `behind`. */
INLINE float32x4_t load_end(const float *p, size_t n, uint8x16_t index, float behind) {
    const uint8x16_t last = vreinterpretq_u8_f32(vld1q_f32(p + n - VEC));
    return vreinterpretq_f32_u8(vqtbx1q_u8(vreinterpretq_u8_f32(vdupq_n_f32(behind)), last, index));
}

/* Bytes that load_end picks: those from 16 on are kept. */
INLINE uint8x16_t end_index(size_t rest) {
    static const uint8_t count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return vaddq_u8(vld1q_u8(count), vdupq_n_u8((uint8_t)(16 - rest * sizeof(float))));
}

/* The rows of a block. */
struct block {
    const float *w[DOT_ROWS], *x[DOT_COLUMNS];
};

/* Four inputs from j on, into one half of the sums: the inputs are held, the weights pass. */
INLINE void dot_full(const size_t rows, const size_t columns, float32x4_t s[DOT_ROWS][DOT_COLUMNS],
                     const struct block *b, size_t j) {
    float32x4_t x[DOT_COLUMNS];
    UNROLL
    for (size_t c = 0; c < columns; c++)
        x[c] = vld1q_f32(b->x[c] + j);
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        const float32x4_t w = vld1q_f32(b->w[r] + j);
        UNROLL
        for (size_t c = 0; c < columns; c++)
            s[r][c] = vfmaq_f32(s[r][c], w, x[c]);
    }
}

/* The last n % 4 inputs. Behind the end stand 0 * -0: adding -0 changes no sum. */
INLINE void dot_end(const size_t rows, const size_t columns, float32x4_t s[DOT_ROWS][DOT_COLUMNS],
                    const struct block *b, size_t n) {
    const uint8x16_t index = end_index(n % VEC);
    float32x4_t x[DOT_COLUMNS];
    UNROLL
    for (size_t c = 0; c < columns; c++)
        x[c] = load_end(b->x[c], n, index, -0.0f);
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        const float32x4_t w = load_end(b->w[r], n, index, 0.0f);
        UNROLL
        for (size_t c = 0; c < columns; c++)
            s[r][c] = vfmaq_f32(s[r][c], w, x[c]);
    }
}

INLINE void dot_block(const size_t rows, const size_t columns, const struct product *q, size_t i, size_t p) {
    const size_t n = q->n, rest = n % SUMS;
    float32x4_t low[DOT_ROWS][DOT_COLUMNS], high[DOT_ROWS][DOT_COLUMNS];
    struct block b;
    size_t j = 0;
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        b.w[r] = q->w + (i + r) * q->ldw;
        UNROLL
        for (size_t c = 0; c < columns; c++)
            low[r][c] = high[r][c] = vdupq_n_f32(0.0f);
    }
    UNROLL
    for (size_t c = 0; c < columns; c++)
        b.x[c] = q->x + (p + c) * q->ldx;
    for (; j + SUMS <= n; j += SUMS) {
        dot_full(rows, columns, low, &b, j);
        dot_full(rows, columns, high, &b, j + VEC);
    }
    if (rest >= VEC)
        dot_full(rows, columns, low, &b, j);
    if (rest > VEC)
        dot_end(rows, columns, high, &b, n);
    else if (rest % VEC != 0)
        dot_end(rows, columns, low, &b, n);
    UNROLL
    for (size_t c = 0; c < columns; c++) {
        float *y = q->y + (p + c) * q->ldy + i;
        UNROLL
        for (size_t r = 0; r < rows; r++)
            y[r] = sum_tree(low[r][c], high[r][c]);
    }
}

INLINE void dot_row_block(const size_t rows, const struct product *q, size_t i, size_t p, size_t end) {
    for (; p + DOT_COLUMNS <= end; p += DOT_COLUMNS)
        dot_block(rows, DOT_COLUMNS, q, i, p);
    for (; p < end; p++)
        dot_block(rows, 1, q, i, p);
}

/* All rows with columns [p, end). */
static void dot_rows(size_t m, const struct product *q, size_t p, size_t end) {
    size_t i = 0;
    for (; i + DOT_ROWS <= m; i += DOT_ROWS)
        dot_row_block(DOT_ROWS, q, i, p, end);
    if (m - i >= 2) {
        dot_row_block(2, q, i, p, end);
        i += 2;
    }
    if (i < m)
        dot_row_block(1, q, i, p, end);
}

/* Columns [p, end), few enough to stay in L2. */
static void dot_columns(size_t m, const struct product *q, size_t p, size_t end) {
    if (m > end - p)
        dot_rows(m, q, p, end);
    else
        for (; p < end; p += DOT_COLUMNS)
            dot_rows(m, q, p, p + DOT_COLUMNS < end ? p + DOT_COLUMNS : end);
}

void K(forward)(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *x, size_t ldx, float *y,
                size_t ldy, float *scratch) {
    const struct product q = {n, w, ldw, x, ldx, y, ldy};
    if (n <= RPU_FORWARD_SEQUENTIAL)
        forward_panels(m, n, columns, w, ldw, x, ldx, y, ldy, scratch);
    else
        for (size_t p = 0, end; p < columns; p = end) {
            end = columns - p < DOT_MOST + DOT_COLUMNS ? columns : p + DOT_MOST;
            dot_columns(m, &q, p, end);
        }
}

/* ---- backward and outer: sums of scaled rows ----
 *
 * Both add value[k] * row[k] to a row of sums, k in order. The terms that count are listed first, so that zeros cost
 * nothing; up to eight of them share one load and store of the sums. */

enum { TERMS = 8, LIST = 256 };

struct terms {
    size_t count;
    float value[LIST];
    const float *row[LIST];
};

INLINE float32x4_t add_terms(const size_t terms, float32x4_t s, const float *const row[], const float32x4_t v[],
                             size_t j) {
    UNROLL
    for (size_t k = 0; k < terms; k++)
        s = vfmaq_f32(s, vld1q_f32(row[k] + j), v[k]);
    return s;
}

/* n < 4 sums. */
INLINE void add_short(const size_t terms, int fresh, size_t n, const float *const row[], const float32x4_t v[],
                      float *out) {
    float32x4_t s = fresh ? vdupq_n_f32(0.0f) : load_part(out, n);
    for (size_t k = 0; k < terms; k++)
        s = vfmaq_f32(s, load_part(row[k], n), v[k]);
    store_part(out, s, n);
}

/* out = (fresh ? 0 : out) + sum of terms. The end of the row is one vector that overlaps the one before: it is formed
 * from the old sums first and stored last. */
INLINE void add_batch(const size_t terms, const int fresh, size_t n, const float *const *rows, const float *value,
                      float *out) {
    const float32x4_t zero = vdupq_n_f32(0.0f);
    const float *row[TERMS];
    float32x4_t v[TERMS], end = zero;
    size_t j = 0;
    UNROLL
    for (size_t k = 0; k < terms; k++) {
        row[k] = rows[k];
        v[k] = vdupq_n_f32(value[k]);
    }
    if (n < VEC) {
        add_short(terms, fresh, n, row, v, out);
        return;
    }
    if (n % VEC != 0)
        end = add_terms(terms, fresh ? zero : vld1q_f32(out + n - VEC), row, v, n - VEC);
    for (; j + 4 * VEC <= n; j += 4 * VEC) {
        float32x4_t s[4];
        UNROLL
        for (size_t u = 0; u < 4; u++)
            s[u] = fresh ? zero : vld1q_f32(out + j + u * VEC);
        UNROLL
        for (size_t k = 0; k < terms; k++) {
            UNROLL
            for (size_t u = 0; u < 4; u++)
                s[u] = vfmaq_f32(s[u], vld1q_f32(row[k] + j + u * VEC), v[k]);
        }
        UNROLL
        for (size_t u = 0; u < 4; u++)
            vst1q_f32(out + j + u * VEC, s[u]);
    }
    for (; j + VEC <= n; j += VEC)
        vst1q_f32(out + j, add_terms(terms, fresh ? zero : vld1q_f32(out + j), row, v, j));
    if (n % VEC != 0)
        vst1q_f32(out + n - VEC, end);
}

/* 1 to 8 terms. */
INLINE void add_some(size_t terms, const int fresh, size_t n, const float *const *row, const float *value, float *out) {
    switch (terms) {
    case 1: add_batch(1, fresh, n, row, value, out); break;
    case 2: add_batch(2, fresh, n, row, value, out); break;
    case 3: add_batch(3, fresh, n, row, value, out); break;
    case 4: add_batch(4, fresh, n, row, value, out); break;
    case 5: add_batch(5, fresh, n, row, value, out); break;
    case 6: add_batch(6, fresh, n, row, value, out); break;
    case 7: add_batch(7, fresh, n, row, value, out); break;
    default: add_batch(TERMS, fresh, n, row, value, out); break;
    }
}

static void add_rest(const struct terms *t, size_t from, size_t n, float *out) {
    for (; from < t->count; from += TERMS)
        add_some(t->count - from, 0, n, t->row + from, t->value + from, out);
}

/* The first terms of a row of sums: it need not be cleared before. */
static void add_first(const struct terms *t, size_t n, float *out) {
    if (t->count == 0)
        memset(out, 0, n * sizeof *out);
    else
        add_some(t->count, 1, n, t->row, t->value, out);
    add_rest(t, TERMS, n, out);
}

/* Rows of weights that stay in L2 while all columns pass: 128 KiB, whole batches. */
static size_t backward_chunk(size_t n, size_t columns) {
    const size_t rows = 32768 / (n + 1) / TERMS * TERMS;
    if (columns <= 1 || rows > LIST)
        return LIST;
    return rows < TERMS ? TERMS : rows;
}

void K(backward)(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *d, size_t ldd, float *z,
                 size_t ldz) {
    const size_t chunk = backward_chunk(n, columns);
    const int dense = rpu_backward_dense(m, n);
    struct terms t;
    if (n == 0)
        return;
    for (size_t p = 0; p < columns && m == 0; p++)
        memset(z + p * ldz, 0, n * sizeof *z);
    for (size_t i0 = 0; i0 < m; i0 += chunk) {
        const size_t i1 = m - i0 < chunk ? m : i0 + chunk;
        for (size_t p = 0; p < columns; p++) {
            t.count = 0;
            for (size_t i = i0; i < i1; i++) {
                const float v = d[p * ldd + i];
                t.value[t.count] = v;
                t.row[t.count] = w + i * ldw;
                t.count += dense || !(v == 0.0f);
            }
            if (i0 == 0)
                add_first(&t, n, z + p * ldz);
            else
                add_rest(&t, 0, n, z + p * ldz);
        }
    }
}

/* Stretches of the rows, so that the inputs of all columns stay in L1 (32 KiB) while the rows pass. */
static size_t outer_stretch(size_t columns) {
    const size_t floats = 8192 / (columns + 1) / VEC * VEC;
    return floats < 16 * VEC ? 16 * VEC : floats;
}

void K(outer)(size_t row0, size_t row1, size_t n, size_t columns, float *w, size_t ldw, const float *x, size_t ldx,
              const float *d, size_t ldd, float eta) {
    const size_t stretch = outer_stretch(columns);
    struct terms t;
    for (size_t p0 = 0; p0 < columns; p0 += LIST) {
        const size_t p1 = columns - p0 < LIST ? columns : p0 + LIST;
        for (size_t j = 0; j < n; j += stretch) {
            const size_t part = n - j < stretch ? n - j : stretch;
            for (size_t i = row0; i < row1; i++) {
                t.count = 0;
                for (size_t p = p0; p < p1; p++) {
                    t.value[t.count] = eta * d[p * ldd + i];
                    t.row[t.count] = x + p * ldx + j;
                    t.count += !(d[p * ldd + i] == 0.0f);
                }
                add_rest(&t, 0, part, w + i * ldw + j);
            }
        }
    }
}
