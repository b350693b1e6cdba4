/* SPDX-License-Identifier: Apache-2.0 */
/* Products with the weights, and the exact rank-one updates.
 *
 * forward, few inputs: weights are transposed into scratch, rows padded to sixteen, and a tile of 16 outputs x 6 columns
 * is summed in twelve registers. forward, many inputs: eight partial sums are the eight lanes; a tile of 4 outputs x 3
 * columns keeps twelve of them. backward, small arrays: the first tile again, with the weights as they are. backward, few
 * rows: those with d != 0 meet up to 96 inputs in registers. Many rows stream eight at a time through a result in the
 * first-level cache; of large arrays with several columns they are taken as few at a time, and weights serve many
 * columns. */
#include "avx2.h"

/* ---- register tiles of plain sums: forward with few inputs, backward of small arrays ----
 *
 * s = fma(w[k], x[k], s) over k ascending; lanes are outputs. 16 outputs, or as many as `outputs` says, x C columns. */

/* How the two vectors of a tile are there. */
enum width { WHOLE, WHOLE_PART, WHOLE_ONLY, PART_ONLY };

#define SUMS_TILE(C)                                                                                                   \
    INLINE void sums_##C(size_t terms, const float *w, size_t ldw, __m256i mask, const float *x, size_t ldx, float *y, \
                         size_t ldy, size_t outputs, enum width width) {                                               \
        const int wide = width == WHOLE || width == WHOLE_PART;                                                        \
        __m256 a[C], b[C];                                                                                             \
        for (int c = 0; c < C; c++)                                                                                    \
            a[c] = b[c] = _mm256_setzero_ps();                                                                         \
        const float *upper = C > 3 ? x + 3 * ldx : x;                                                                  \
        for (const float *end = x + terms; x < end; x++, upper++, w += ldw) {                                          \
            const __m256 w0 = width == PART_ONLY ? _mm256_maskload_ps(w, mask) : _mm256_loadu_ps(w);                   \
            const __m256 w1 = width == WHOLE        ? _mm256_loadu_ps(w + VEC)                                         \
                              : width == WHOLE_PART ? _mm256_maskload_ps(w + VEC, mask)                                \
                                                    : w0;                                                              \
            for (int c = 0; c < C; c++) {                                                                              \
                const __m256 v = _mm256_broadcast_ss(c < 3 ? x + (size_t)c * ldx : upper + (size_t)(c - 3) * ldx);     \
                a[c] = _mm256_fmadd_ps(w0, v, a[c]);                                                                   \
                if (wide)                                                                                              \
                    b[c] = _mm256_fmadd_ps(w1, v, b[c]);                                                               \
            }                                                                                                          \
        }                                                                                                              \
        for (int c = 0; c < C; c++) {                                                                                  \
            store_upto(y + (size_t)c * ldy, a[c], outputs);                                                            \
            if (wide)                                                                                                  \
                store_upto(y + (size_t)c * ldy + VEC, b[c], outputs - VEC);                                            \
        }                                                                                                              \
    }

SUMS_TILE(6)
SUMS_TILE(2)
SUMS_TILE(1)

/* Up to 16 outputs, all columns. */
INLINE void sums_strip(size_t terms, size_t columns, const float *w, size_t ldw, const float *x, size_t ldx, float *y,
                       size_t ldy, size_t outputs, enum width width) {
    const __m256i mask = lane_mask(width == PART_ONLY ? outputs : outputs - VEC);
    size_t p = 0;
    for (; p + 6 <= columns; p += 6)
        sums_6(terms, w, ldw, mask, x + p * ldx, ldx, y + p * ldy, ldy, outputs, width);
    for (; p + 2 <= columns; p += 2)
        sums_2(terms, w, ldw, mask, x + p * ldx, ldx, y + p * ldy, ldy, outputs, width);
    if (p < columns)
        sums_1(terms, w, ldw, mask, x + p * ldx, ldx, y + p * ldy, ldy, outputs, width);
}

/* ---- forward, n <= RPU_FORWARD_SEQUENTIAL ---- */

INLINE void transpose8(const __m256 r[8], __m256 t[8]) {
    __m256 q[8];
    for (int k = 0; k < 8; k += 4) {
        const __m256 a = _mm256_unpacklo_ps(r[k], r[k + 1]), b = _mm256_unpackhi_ps(r[k], r[k + 1]);
        const __m256 c = _mm256_unpacklo_ps(r[k + 2], r[k + 3]), d = _mm256_unpackhi_ps(r[k + 2], r[k + 3]);
        q[k] = _mm256_shuffle_ps(a, c, 0x44);
        q[k + 1] = _mm256_shuffle_ps(a, c, 0xee);
        q[k + 2] = _mm256_shuffle_ps(b, d, 0x44);
        q[k + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
    for (int k = 0; k < 4; k++) {
        t[k] = _mm256_permute2f128_ps(q[k], q[k + 4], 0x20);
        t[k + 4] = _mm256_permute2f128_ps(q[k], q[k + 4], 0x31);
    }
}

/* Transposed weights in rows of `ldt`, which is whole vectors; outputs beyond m are zeros. */
static void pack(size_t m, size_t n, const float *w, size_t ldw, float *wt, size_t ldt) {
    for (size_t i = 0; i < ldt; i += VEC)
        for (size_t j = 0; j < n; j += VEC) {
            __m256 r[8], t[8];
            for (size_t k = 0; k < 8; k++)
                r[k] = i + k < m ? load_upto(w + (i + k) * ldw + j, n - j) : _mm256_setzero_ps();
            transpose8(r, t);
            for (size_t k = 0; k < 8; k++)
                if (j + k < n)
                    _mm256_storeu_ps(wt + (j + k) * ldt + i, t[k]);
        }
}

static void forward_sequential(size_t m, size_t n, size_t columns, const float *x, size_t ldx, float *y, size_t ldy,
                               const float *wt, size_t ldt) {
    for (size_t i = 0; i < m; i += 16) {
        const size_t rows = m - i < 16 ? m - i : 16;
        if (rows > VEC)
            sums_strip(n, columns, wt + i, ldt, x, ldx, y + i, ldy, rows, WHOLE);
        else
            sums_strip(n, columns, wt + i, ldt, x, ldx, y + i, ldy, rows, WHOLE_ONLY);
    }
}

/* ---- forward, n > RPU_FORWARD_SEQUENTIAL: lanes are the partial sums ---- */

/* sum_tree of the oracle for four outputs at once: lanes s0..s7 of each */
INLINE __m128 tree4(__m256 a, __m256 b, __m256 c, __m256 d) {
    const __m128 ta = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 tb = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    const __m128 tc = _mm_add_ps(_mm256_castps256_ps128(c), _mm256_extractf128_ps(c, 1));
    const __m128 td = _mm_add_ps(_mm256_castps256_ps128(d), _mm256_extractf128_ps(d, 1));
    const __m128 ab = _mm_add_ps(_mm_movelh_ps(ta, tb), _mm_movehl_ps(tb, ta)); /* 0+2, 1+3 of a, then of b */
    const __m128 cd = _mm_add_ps(_mm_movelh_ps(tc, td), _mm_movehl_ps(td, tc));
    return _mm_add_ps(_mm_shuffle_ps(ab, cd, 0x88), _mm_shuffle_ps(ab, cd, 0xdd));
}

/* Behind the end of a row: weights +0, inputs -0, whose product -0 changes no sum. */
INLINE __m256 load_input_part(const float *x, size_t n) {
    const __m256i mask = lane_mask(n);
    return _mm256_or_ps(_mm256_maskload_ps(x, mask),
                        _mm256_andnot_ps(_mm256_castsi256_ps(mask), _mm256_set1_ps(-0.0f)));
}

/* The same for eight outputs, a0 to a3 and b0 to b3. */
INLINE __m256 fold2(__m256 a, __m256 b) {
    return _mm256_add_ps(_mm256_blend_ps(a, b, 0xf0), _mm256_permute2f128_ps(a, b, 0x21));
}

INLINE __m256 tree8(__m256 a0, __m256 a1, __m256 a2, __m256 a3, __m256 b0, __m256 b1, __m256 b2, __m256 b3) {
    const __m256 t0 = fold2(a0, b0), t1 = fold2(a1, b1), t2 = fold2(a2, b2), t3 = fold2(a3, b3);
    const __m256 ab = _mm256_add_ps(_mm256_shuffle_ps(t0, t1, 0x44), _mm256_shuffle_ps(t0, t1, 0xee));
    const __m256 cd = _mm256_add_ps(_mm256_shuffle_ps(t2, t3, 0x44), _mm256_shuffle_ps(t2, t3, 0xee));
    return _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x88), _mm256_shuffle_ps(ab, cd, 0xdd));
}

/* Several columns: the ends of their rows, n % 8 elements, are copied so that they are whole vectors as well. */
enum { ENDS = 48, BLOCK_ROWS = 4 };

struct ends {
    float w[BLOCK_ROWS * VEC], x[ENDS * VEC];
};

/* Sums of four outputs and up to three columns, one name for each: registers, where an array would live in memory. */
#define SUMS_STEP(column, v)                                                                                           \
    do {                                                                                                               \
        s##column##0 = _mm256_fmadd_ps(w0, v, s##column##0);                                                           \
        s##column##1 = _mm256_fmadd_ps(w1, v, s##column##1);                                                           \
        s##column##2 = _mm256_fmadd_ps(w2, v, s##column##2);                                                           \
        s##column##3 = _mm256_fmadd_ps(w3, v, s##column##3);                                                           \
    } while (0)

INLINE void forward_4x3(size_t n, const float *w, size_t ldw, const float *x, size_t ldx, const float *end_w,
                        const float *end_x, float *y, size_t ldy) {
    const __m256 zero = _mm256_setzero_ps();
    __m256 s00 = zero, s01 = zero, s02 = zero, s03 = zero, s10 = zero, s11 = zero, s12 = zero, s13 = zero, s20 = zero,
           s21 = zero, s22 = zero, s23 = zero;
    size_t j = 0;
    /* each weight vector is loaded, meets three columns and goes */
#define STEP(w, ldw, x, ldx)                                                                                           \
    do {                                                                                                               \
        const __m256 v0 = _mm256_loadu_ps(x), v1 = _mm256_loadu_ps((x) + (ldx));                                       \
        const __m256 v2 = _mm256_loadu_ps((x) + 2 * (ldx));                                                            \
        const __m256 w0 = _mm256_loadu_ps(w), w1 = _mm256_loadu_ps((w) + (ldw));                                       \
        const __m256 w2 = _mm256_loadu_ps((w) + 2 * (ldw)), w3 = _mm256_loadu_ps((w) + 3 * (ldw));                     \
        SUMS_STEP(0, v0);                                                                                              \
        SUMS_STEP(1, v1);                                                                                              \
        SUMS_STEP(2, v2);                                                                                              \
    } while (0)
    for (; j + VEC <= n; j += VEC)
        STEP(w + j, ldw, x + j, ldx);
    if (j < n)
        STEP(end_w, VEC, end_x, VEC);
#undef STEP
    const __m256 two = tree8(s00, s01, s02, s03, s10, s11, s12, s13);
    _mm_storeu_ps(y, _mm256_castps256_ps128(two));
    _mm_storeu_ps(y + ldy, _mm256_extractf128_ps(two, 1));
    _mm_storeu_ps(y + 2 * ldy, tree4(s20, s21, s22, s23));
}

INLINE void forward_4x2(size_t n, const float *w, size_t ldw, const float *x, size_t ldx, const float *end_w,
                        const float *end_x, float *y, size_t ldy) {
    const __m256 zero = _mm256_setzero_ps();
    __m256 s00 = zero, s01 = zero, s02 = zero, s03 = zero, s10 = zero, s11 = zero, s12 = zero, s13 = zero;
    size_t j = 0;
#define STEP(w, ldw, x, ldx)                                                                                           \
    do {                                                                                                               \
        const __m256 v0 = _mm256_loadu_ps(x), v1 = _mm256_loadu_ps((x) + (ldx));                                       \
        const __m256 w0 = _mm256_loadu_ps(w), w1 = _mm256_loadu_ps((w) + (ldw));                                       \
        const __m256 w2 = _mm256_loadu_ps((w) + 2 * (ldw)), w3 = _mm256_loadu_ps((w) + 3 * (ldw));                     \
        SUMS_STEP(0, v0);                                                                                              \
        SUMS_STEP(1, v1);                                                                                              \
    } while (0)
    for (; j + VEC <= n; j += VEC)
        STEP(w + j, ldw, x + j, ldx);
    if (j < n)
        STEP(end_w, VEC, end_x, VEC);
#undef STEP
    const __m256 two = tree8(s00, s01, s02, s03, s10, s11, s12, s13);
    _mm_storeu_ps(y, _mm256_castps256_ps128(two));
    _mm_storeu_ps(y + ldy, _mm256_extractf128_ps(two, 1));
}

/* One column: four outputs from row 0 on in s0, or eight. */
#define COLUMN_STEP(s, row, load)                                                                                      \
    do {                                                                                                               \
        s##0 = _mm256_fmadd_ps(load(w + (row)*ldw + j), v, s##0);                                                      \
        s##1 = _mm256_fmadd_ps(load(w + (row + 1) * ldw + j), v, s##1);                                                \
        s##2 = _mm256_fmadd_ps(load(w + (row + 2) * ldw + j), v, s##2);                                                \
        s##3 = _mm256_fmadd_ps(load(w + (row + 3) * ldw + j), v, s##3);                                                \
    } while (0)
#define LOAD_END(p) _mm256_maskload_ps(p, mask)

INLINE void forward_8x1(size_t n, const float *w, size_t ldw, const float *x, float *y) {
    const __m256 zero = _mm256_setzero_ps();
    __m256 a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
    size_t j = 0;
    for (; j + VEC <= n; j += VEC) {
        const __m256 v = _mm256_loadu_ps(x + j);
        COLUMN_STEP(a, 0, _mm256_loadu_ps);
        COLUMN_STEP(b, 4, _mm256_loadu_ps);
    }
    if (j < n) {
        const __m256i mask = lane_mask(n - j);
        const __m256 v = load_input_part(x + j, n - j);
        COLUMN_STEP(a, 0, LOAD_END);
        COLUMN_STEP(b, 4, LOAD_END);
    }
    _mm256_storeu_ps(y, tree8(a0, a1, a2, a3, b0, b1, b2, b3));
}

INLINE void forward_4x1(size_t n, const float *w, size_t ldw, const float *x, float *y) {
    const __m256 zero = _mm256_setzero_ps();
    __m256 a0 = zero, a1 = zero, a2 = zero, a3 = zero;
    size_t j = 0;
    for (; j + VEC <= n; j += VEC) {
        const __m256 v = _mm256_loadu_ps(x + j);
        COLUMN_STEP(a, 0, _mm256_loadu_ps);
    }
    if (j < n) {
        const __m256i mask = lane_mask(n - j);
        const __m256 v = load_input_part(x + j, n - j);
        COLUMN_STEP(a, 0, LOAD_END);
    }
    _mm_storeu_ps(y, tree4(a0, a1, a2, a3));
}

/* Up to three rows. */
static void forward_last(size_t rows, size_t n, const float *w, size_t ldw, const float *x, float *y) {
    const float *row1 = w + (rows > 1 ? ldw : 0), *row2 = w + (rows > 2 ? 2 * ldw : 0);
    __m256 a = _mm256_setzero_ps(), b = a, c = a;
    size_t j = 0;
    for (; j + VEC <= n; j += VEC) {
        const __m256 v = _mm256_loadu_ps(x + j);
        a = _mm256_fmadd_ps(_mm256_loadu_ps(w + j), v, a);
        b = _mm256_fmadd_ps(_mm256_loadu_ps(row1 + j), v, b);
        c = _mm256_fmadd_ps(_mm256_loadu_ps(row2 + j), v, c);
    }
    if (j < n) {
        const __m256i mask = lane_mask(n - j);
        const __m256 v = load_input_part(x + j, n - j);
        a = _mm256_fmadd_ps(LOAD_END(w + j), v, a);
        b = _mm256_fmadd_ps(LOAD_END(row1 + j), v, b);
        c = _mm256_fmadd_ps(LOAD_END(row2 + j), v, c);
    }
    store_part(y, _mm256_castps128_ps256(tree4(a, b, c, c)), rows);
}

static void forward_column(size_t m, size_t n, const float *w, size_t ldw, const float *x, float *y) {
    size_t i = 0;
    for (; i + 8 <= m; i += 8)
        forward_8x1(n, w + i * ldw, ldw, x, y + i);
    if (i + 4 <= m) {
        forward_4x1(n, w + i * ldw, ldw, x, y + i);
        i += 4;
    }
    if (i < m)
        forward_last(m - i, n, w + i * ldw, ldw, x, y + i);
}

/* Four rows, several columns: three or two at once, for with one there are too few sums to keep both units busy. */
static void forward_rows(size_t n, size_t columns, const float *w, size_t ldw, const float *x, size_t ldx,
                         struct ends *ends, float *y, size_t ldy) {
    size_t p = 0;
    for (size_t r = 0; r < BLOCK_ROWS && n % VEC != 0; r++)
        _mm256_storeu_ps(ends->w + r * VEC, load_part(w + r * ldw + n / VEC * VEC, n % VEC));
    for (; columns - p >= 5 || columns - p == 3; p += 3)
        forward_4x3(n, w, ldw, x + p * ldx, ldx, ends->w, ends->x + p * VEC, y + p * ldy, ldy);
    for (; p < columns; p += 2)
        forward_4x2(n, w, ldw, x + p * ldx, ldx, ends->w, ends->x + p * VEC, y + p * ldy, ldy);
}

/* 2 to ENDS columns; four rows stay in the first-level cache while all of them pass. */
static void forward_columns(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *x, size_t ldx,
                            float *y, size_t ldy) {
    struct ends ends;
    size_t i = 0;
    for (size_t p = 0; p < columns && n % VEC != 0; p++)
        _mm256_storeu_ps(ends.x + p * VEC, load_input_part(x + p * ldx + n / VEC * VEC, n % VEC));
    for (; i + BLOCK_ROWS <= m; i += BLOCK_ROWS)
        forward_rows(n, columns, w + i * ldw, ldw, x, ldx, &ends, y + i, ldy);
    for (size_t p = 0; p < columns && i < m; p++)
        forward_last(m - i, n, w + i * ldw, ldw, x + p * ldx, y + p * ldy + i);
}

void K(forward)(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *x, size_t ldx, float *y,
                size_t ldy, float *scratch) {
    if (n <= RPU_FORWARD_SEQUENTIAL) {
        const size_t ldt = (m + 15) / 16 * 16;
        pack(m, n, w, ldw, scratch, ldt);
        forward_sequential(m, n, columns, x, ldx, y, ldy, scratch, ldt);
        return;
    }
    for (size_t p = 0, part; p < columns; p += part) {
        const size_t left = columns - p;
        part = left > ENDS ? (left == ENDS + 1 ? ENDS - 3 : ENDS) : left;
        if (part == 1)
            forward_column(m, n, w, ldw, x + p * ldx, y + p * ldy);
        else
            forward_columns(m, n, part, w, ldw, x + p * ldx, ldx, y + p * ldy, ldy);
    }
}

/* ---- backward of small arrays: every row takes part ---- */

/* V vectors of outputs of one column, the last of them partial where `mask` says so. */
#define DENSE_TILE(V)                                                                                                  \
    INLINE void dense_##V(size_t m, const float *w, size_t ldw, const float *d, float *z) {                            \
        __m256 s[V];                                                                                                   \
        for (int v = 0; v < V; v++)                                                                                    \
            s[v] = _mm256_setzero_ps();                                                                                \
        for (size_t i = 0; i < m; i++) {                                                                               \
            const __m256 e = _mm256_broadcast_ss(d + i);                                                               \
            for (int v = 0; v < V; v++)                                                                                \
                s[v] = _mm256_fmadd_ps(_mm256_loadu_ps(w + i * ldw + (size_t)v * VEC), e, s[v]);                       \
        }                                                                                                              \
        for (int v = 0; v < V; v++)                                                                                    \
            _mm256_storeu_ps(z + (size_t)v * VEC, s[v]);                                                               \
    }

DENSE_TILE(8)
DENSE_TILE(4)
DENSE_TILE(1)

/* One column; the last outputs overlap those before. */
static void dense_column(size_t m, size_t n, const float *w, size_t ldw, const float *d, float *z) {
    size_t j = 0;
    for (; j + 8 * VEC <= n; j += 8 * VEC)
        dense_8(m, w + j, ldw, d, z + j);
    for (; j + 4 * VEC <= n; j += 4 * VEC)
        dense_4(m, w + j, ldw, d, z + j);
    for (; j + VEC <= n; j += VEC)
        dense_1(m, w + j, ldw, d, z + j);
    if (j < n && n >= VEC)
        dense_1(m, w + n - VEC, ldw, d, z + n - VEC);
    else if (j < n)
        sums_strip(m, 1, w, ldw, d, 0, z, 0, n, PART_ONLY);
}

static void backward_dense(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *d, size_t ldd,
                           float *z, size_t ldz) {
    for (size_t j = 0; columns > 1 && j < n; j += 16) {
        const size_t outputs = n - j < 16 ? n - j : 16;
        if (outputs == 16)
            sums_strip(m, columns, w + j, ldw, d, ldd, z + j, ldz, 16, WHOLE);
        else if (outputs > VEC)
            sums_strip(m, columns, w + j, ldw, d, ldd, z + j, ldz, outputs, WHOLE_PART);
        else if (outputs == VEC)
            sums_strip(m, columns, w + j, ldw, d, ldd, z + j, ldz, VEC, WHOLE_ONLY);
        else
            sums_strip(m, columns, w + j, ldw, d, ldd, z + j, ldz, outputs, PART_ONLY);
    }
    if (columns == 1)
        dense_column(m, n, w, ldw, d, z);
}

/* ---- backward of larger arrays: rows with d != 0 ---- */

enum { STRIP = 12, FEW_ROWS = 64, ROWS = 256 };

/* The rows of a column that take part. */
struct few {
    size_t count;
    const float *row[FEW_ROWS];
    float value[FEW_ROWS];
};

/* `vectors` <= STRIP vectors of one column: inputs from j on, the last vector from `last` on, which may overlap. One
 * name for each sum: registers, where an array would live in memory. */
#define EACH_SUM(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define SUM_PLACE(v) ((v) + 1 == vectors ? last : j + (v)*VEC)
#define SUM_BEGIN(v) __m256 s##v = (v) < vectors && add ? _mm256_loadu_ps(z + SUM_PLACE(v)) : _mm256_setzero_ps();
#define SUM_ADD(v)                                                                                                     \
    if ((v) < vectors)                                                                                                 \
        s##v = _mm256_fmadd_ps(_mm256_loadu_ps(row + SUM_PLACE(v)), e, s##v);
#define SUM_END(v)                                                                                                     \
    if ((v) < vectors)                                                                                                 \
        _mm256_storeu_ps(z + SUM_PLACE(v), s##v);

INLINE void gather(const size_t vectors, const struct few *f, size_t j, size_t last, float *z, const int add) {
    const size_t count = f->count;
    EACH_SUM(SUM_BEGIN)
    for (size_t r = 0; r < count; r++) {
        const __m256 e = _mm256_broadcast_ss(f->value + r);
        const float *row = f->row[r];
        EACH_SUM(SUM_ADD)
    }
    EACH_SUM(SUM_END)
}

#define GATHER(V)                                                                                                      \
    static void gather_##V(const struct few *f, size_t j, size_t last, float *z) {                                     \
        gather(V, f, j, last, z, 0);                                                                                   \
    }                                                                                                                  \
    static void gather_add_##V(const struct few *f, size_t j, size_t last, float *z) {                                 \
        gather(V, f, j, last, z, 1);                                                                                   \
    }

#define EACH_WIDTH(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
EACH_WIDTH(GATHER)

typedef void gather_fn(const struct few *f, size_t j, size_t last, float *z);

/* Lists the rows with d != 0. */
static void list_rows(size_t m, const float *w, size_t ldw, const float *d, struct few *f) {
    f->count = 0;
    for (size_t i = 0; i < m; i += VEC) {
        const __m256 e = load_upto(d + i, m - i);
        unsigned taking = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(e, _mm256_setzero_ps(), _CMP_NEQ_UQ));
        for (; taking; taking &= taking - 1) {
            const size_t r = i + (size_t)__builtin_ctz(taking);
            f->value[f->count] = d[r];
            f->row[f->count++] = w + r * ldw;
        }
    }
}

/* The n < 8 inputs from j on. */
static void add_part(const struct few *f, size_t j, size_t n, float *z) {
    __m256 s = load_part(z + j, n);
    for (size_t r = 0; r < f->count; r++)
        s = _mm256_fmadd_ps(load_part(f->row[r] + j, n), _mm256_broadcast_ss(f->value + r), s);
    store_part(z + j, s, n);
}

/* Up to FEW_ROWS rows, n > 8: strips of the weights stay in the first-level cache while some columns pass. Where sums are
 * added to those in z, no vector may overlap another: inputs behind the last whole one come on their own. */
static void backward_few(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *d, size_t ldd,
                         float *z, size_t ldz, int add) {
#define NAME(V)     gather_##V,
#define NAME_ADD(V) gather_add_##V,
    static gather_fn *const begin[STRIP + 1] = {NULL, EACH_WIDTH(NAME)};
    static gather_fn *const more[STRIP + 1] = {NULL, EACH_WIDTH(NAME_ADD)};
#undef NAME
#undef NAME_ADD
    gather_fn *const *gather = add ? more : begin;
    enum { COLUMNS = 12 };
    struct few few[COLUMNS];
    const size_t strip_end = add ? n / VEC * VEC : n, vectors = (strip_end + VEC - 1) / VEC;
    const size_t strips = (vectors + STRIP - 1) / STRIP;
    const size_t width = (vectors + strips - 1) / strips * VEC;
    for (size_t p = 0; p < columns; p += COLUMNS) {
        const size_t part = columns - p < COLUMNS ? columns - p : COLUMNS;
        for (size_t c = 0; c < part; c++)
            list_rows(m, w, ldw, d + (p + c) * ldd, &few[c]);
        for (size_t j = 0; j < strip_end; j += width) {
            const size_t end = strip_end - j < width ? strip_end : j + width;
            for (size_t c = 0; c < part; c++)
                gather[(end - j + VEC - 1) / VEC](&few[c], j, end - VEC, z + (p + c) * ldz);
        }
        for (size_t c = 0; c < part && strip_end < n; c++)
            add_part(&few[c], strip_end, n - strip_end, z + (p + c) * ldz);
    }
}

/* Adds up to eight rows, in order, to s. */
INLINE __m256 add_rows(size_t rows, const float *const *row, const __m256 *e, size_t j, __m256 s) {
    s = _mm256_fmadd_ps(_mm256_loadu_ps(row[0] + j), e[0], s);
    if (rows >= 4) {
        s = _mm256_fmadd_ps(_mm256_loadu_ps(row[1] + j), e[1], s);
        s = _mm256_fmadd_ps(_mm256_loadu_ps(row[2] + j), e[2], s);
        s = _mm256_fmadd_ps(_mm256_loadu_ps(row[3] + j), e[3], s);
    }
    if (rows == 8) {
        s = _mm256_fmadd_ps(_mm256_loadu_ps(row[4] + j), e[4], s);
        s = _mm256_fmadd_ps(_mm256_loadu_ps(row[5] + j), e[5], s);
        s = _mm256_fmadd_ps(_mm256_loadu_ps(row[6] + j), e[6], s);
        s = _mm256_fmadd_ps(_mm256_loadu_ps(row[7] + j), e[7], s);
    }
    return s;
}

/* 8, 4 or 1 rows, added to z; `start`: to zero instead. */
INLINE void stream_rows(size_t n, size_t rows, const float *const *row, const float *d, float *z, int start) {
    __m256 e[8];
    size_t j = 0;
    for (size_t r = 0; r < rows; r++)
        e[r] = _mm256_broadcast_ss(d + r);
    for (; j + 4 * VEC <= n; j += 4 * VEC)
        for (size_t v = 0; v < 4; v++) {
            float *at = z + j + v * VEC;
            _mm256_storeu_ps(at, add_rows(rows, row, e, j + v * VEC, start ? _mm256_setzero_ps() : _mm256_loadu_ps(at)));
        }
    for (; j + VEC <= n; j += VEC)
        _mm256_storeu_ps(z + j, add_rows(rows, row, e, j, start ? _mm256_setzero_ps() : _mm256_loadu_ps(z + j)));
    if (j < n) {
        __m256 s = start ? _mm256_setzero_ps() : load_part(z + j, n - j);
        for (size_t r = 0; r < rows; r++)
            s = _mm256_fmadd_ps(load_part(row[r] + j, n - j), e[r], s);
        store_part(z + j, s, n - j);
    }
}

static void backward_many(size_t n, size_t count, const float *const *row, const float *d, float *z, int start) {
    size_t r = 0;
    if (start && count >= 8) {
        stream_rows(n, 8, row, d, z, 1);
        r = 8;
    } else if (start && count > 0) {
        stream_rows(n, 1, row, d, z, 1);
        r = 1;
    }
    for (; r + 8 <= count; r += 8)
        stream_rows(n, 8, row + r, d + r, z, 0);
    for (; r + 4 <= count; r += 4)
        stream_rows(n, 4, row + r, d + r, z, 0);
    for (; r < count; r++)
        stream_rows(n, 1, row + r, d + r, z, 0);
    if (start && count == 0)
        memset(z, 0, n * sizeof *z);
}

/* Where weights do not stay in the second-level cache from one column to the next, and columns enough to share them:
 * crosspoints and columns. */
enum { LARGE = 1 << 17, SEVERAL = 4 };

void K(backward)(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *d, size_t ldd, float *z,
                 size_t ldz) {
    const float *row[ROWS];
    float value[ROWS];
    if (rpu_backward_dense(m, n)) {
        backward_dense(m, n, columns, w, ldw, d, ldd, z, ldz);
        return;
    }
    if (m <= FEW_ROWS) {
        backward_few(m, n, columns, w, ldw, d, ldd, z, ldz, 0);
        return;
    }
    if (columns >= SEVERAL && m * n >= LARGE) {
        for (size_t i = 0; i < m; i += FEW_ROWS)
            backward_few(m - i < FEW_ROWS ? m - i : FEW_ROWS, n, columns, w + i * ldw, ldw, d + i, ldd, z, ldz, i > 0);
        return;
    }
    for (size_t p = 0; p < columns; p++) {
        size_t i = 0;
        do { /* lists of up to ROWS rows that take part */
            const int start = i == 0;
            size_t count = 0;
            for (; i < m && count + VEC <= ROWS; i += VEC) {
                const __m256 e = load_upto(d + p * ldd + i, m - i);
                unsigned taking = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(e, _mm256_setzero_ps(), _CMP_NEQ_UQ));
                for (; taking; taking &= taking - 1) {
                    const size_t r = i + (size_t)__builtin_ctz(taking);
                    value[count] = d[p * ldd + r];
                    row[count++] = w + r * ldw;
                }
            }
            backward_many(n, count, row, value, z + p * ldz, start);
        } while (i < m);
    }
}

/* ---- outer: a strip of a row's weights stays in registers while the vectors with d != 0 pass ---- */

enum { VECTORS = 256 };

/* Vectors that change a row: their inputs and eta * d. */
struct changes {
    size_t count;
    const float *x[VECTORS];
    float step[VECTORS];
};

#define OUTER_TILE(V)                                                                                                  \
    INLINE void outer_##V(const struct changes *c, size_t j, float *w) {                                               \
        __m256 s[V];                                                                                                   \
        for (int v = 0; v < V; v++)                                                                                    \
            s[v] = _mm256_loadu_ps(w + j + (size_t)v * VEC);                                                           \
        for (size_t k = 0; k < c->count; k++) {                                                                        \
            const __m256 e = _mm256_broadcast_ss(c->step + k);                                                         \
            for (int v = 0; v < V; v++)                                                                                \
                s[v] = _mm256_fmadd_ps(e, _mm256_loadu_ps(c->x[k] + j + (size_t)v * VEC), s[v]);                       \
        }                                                                                                              \
        for (int v = 0; v < V; v++)                                                                                    \
            _mm256_storeu_ps(w + j + (size_t)v * VEC, s[v]);                                                           \
    }

OUTER_TILE(8)
OUTER_TILE(3)
OUTER_TILE(1)

static void outer_part(const struct changes *c, size_t j, size_t n, float *w) {
    __m256 s = load_part(w + j, n);
    for (size_t k = 0; k < c->count; k++)
        s = _mm256_fmadd_ps(_mm256_broadcast_ss(c->step + k), load_part(c->x[k] + j, n), s);
    store_part(w + j, s, n);
}

static void outer_row(const struct changes *c, size_t n, float *w) {
    size_t j = 0;
    for (; j + 8 * VEC <= n; j += 8 * VEC)
        outer_8(c, j, w);
    for (; j + 3 * VEC <= n; j += 3 * VEC)
        outer_3(c, j, w);
    for (; j + VEC <= n; j += VEC)
        outer_1(c, j, w);
    if (j < n)
        outer_part(c, j, n - j, w);
}

void K(outer)(size_t row0, size_t row1, size_t n, size_t columns, float *w, size_t ldw, const float *x, size_t ldx,
              const float *d, size_t ldd, float eta) {
    struct changes c;
    for (size_t i = row0; i < row1; i++)
        for (size_t p = 0; p < columns;) {
            for (c.count = 0; p < columns && c.count < VECTORS; p++) {
                const float v = d[p * ldd + i];
                c.x[c.count] = x + p * ldx;
                c.step[c.count] = eta * v;
                c.count += v != 0.0f;
            }
            outer_row(&c, n, w + i * ldw);
        }
}
