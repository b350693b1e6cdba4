/* SPDX-License-Identifier: Apache-2.0 */
/* Products with the weights, and the exact rank-one updates. */
#include "variant.h"

enum { BLOCK = 16 };

/* Few inputs: one sum for each output over j in order. The weights are transposed first, rows padded to whole blocks, so
 * that the inner loop runs over outputs. */
static void forward_sequential(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *x,
                               size_t ldx, float *y, size_t ldy, float *wt) {
    const size_t ldt = (m + BLOCK - 1) / BLOCK * BLOCK;
    for (size_t i = 0; i < ldt; i++)
        for (size_t j = 0; j < n; j++)
            wt[j * ldt + i] = i < m ? w[i * ldw + j] : 0.0f;
    for (size_t p = 0; p < columns; p++)
        for (size_t i = 0; i < m; i += BLOCK) {
            const size_t rows = m - i < BLOCK ? m - i : BLOCK;
            float s[BLOCK] = {0};
            for (size_t j = 0; j < n; j++)
                for (size_t r = 0; r < BLOCK; r++)
                    s[r] = fmaf(wt[j * ldt + i + r], x[p * ldx + j], s[r]);
            memcpy(y + p * ldy + i, s, rows * sizeof *s);
        }
}

enum { SUMS = 8 };

static float sum_tree(const float s[SUMS]) {
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

enum { ROWS = 4 };

/* Outputs of up to ROWS rows, whose sums are independent of each other. */
static void dot_rows(size_t rows, size_t n, const float *w, size_t ldw, const float *x, float *y) {
    float s[ROWS][SUMS] = {{0}};
    const size_t whole = n / SUMS * SUMS;
    if (rows == ROWS)
        for (size_t j = 0; j < whole; j += SUMS)
            for (size_t r = 0; r < ROWS; r++)
                for (size_t l = 0; l < SUMS; l++)
                    s[r][l] = fmaf(w[r * ldw + j + l], x[j + l], s[r][l]);
    else
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < whole; j += SUMS)
                for (size_t l = 0; l < SUMS; l++)
                    s[r][l] = fmaf(w[r * ldw + j + l], x[j + l], s[r][l]);
    for (size_t r = 0; r < rows; r++) {
        for (size_t l = 0; whole + l < n; l++)
            s[r][l] = fmaf(w[r * ldw + whole + l], x[whole + l], s[r][l]);
        y[r] = sum_tree(s[r]);
    }
}

void K(forward)(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *x, size_t ldx, float *y,
                size_t ldy, float *scratch) {
    if (n <= RPU_FORWARD_SEQUENTIAL) {
        forward_sequential(m, n, columns, w, ldw, x, ldx, y, ldy, scratch);
        return;
    }
    for (size_t p = 0; p < columns; p++)
        for (size_t i = 0; i < m; i += ROWS)
            dot_rows(m - i < ROWS ? m - i : ROWS, n, w + i * ldw, ldw, x + p * ldx, y + p * ldy + i);
}

void K(backward)(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *d, size_t ldd, float *z,
                 size_t ldz) {
    const int dense = rpu_backward_dense(m, n);
    for (size_t p = 0; p < columns; p++) {
        float *restrict out = z + p * ldz;
        for (size_t j = 0; j < n; j++)
            out[j] = 0.0f;
        for (size_t i = 0; i < m; i++) {
            const float v = d[p * ldd + i];
            const float *restrict row = w + i * ldw;
            if (v == 0.0f && !dense)
                continue;
            for (size_t j = 0; j < n; j++)
                out[j] = fmaf(row[j], v, out[j]);
        }
    }
}

void K(outer)(size_t row0, size_t row1, size_t n, size_t columns, float *w, size_t ldw, const float *x, size_t ldx,
              const float *d, size_t ldd, float eta) {
    for (size_t i = row0; i < row1; i++)
        for (size_t p = 0; p < columns; p++) {
            const float v = eta * d[p * ldd + i];
            float *restrict row = w + i * ldw;
            const float *restrict in = x + p * ldx;
            if (d[p * ldd + i] == 0.0f)
                continue;
            for (size_t j = 0; j < n; j++)
                row[j] = fmaf(v, in[j], row[j]);
        }
}
