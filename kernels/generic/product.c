/* SPDX-License-Identifier: Apache-2.0 */
/* Products with the weights, and the exact rank-one updates. */
#include "variant.h"

/* Few inputs: one sum for each output over j in order. The weights are transposed first so that the inner loop runs
 * over outputs. */
static void forward_sequential(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *x,
                               size_t ldx, float *y, size_t ldy, float *wt) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            wt[j * m + i] = w[i * ldw + j];
    for (size_t p = 0; p < columns; p++) {
        float *restrict out = y + p * ldy;
        memset(out, 0, m * sizeof *out);
        for (size_t j = 0; j < n; j++) {
            const float v = x[p * ldx + j];
            const float *restrict row = wt + j * m;
            for (size_t i = 0; i < m; i++)
                out[i] = fmaf(row[i], v, out[i]);
        }
    }
}

enum { SUMS = 8 };

static float sum_tree(const float s[SUMS]) {
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static float dot(size_t n, const float *w, const float *x) {
    float s[SUMS] = {0};
    size_t j = 0;
    for (; j + SUMS <= n; j += SUMS)
        for (size_t l = 0; l < SUMS; l++)
            s[l] = fmaf(w[j + l], x[j + l], s[l]);
    for (size_t l = 0; j + l < n; l++)
        s[l] = fmaf(w[j + l], x[j + l], s[l]);
    return sum_tree(s);
}

void K(forward)(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *x, size_t ldx, float *y,
                size_t ldy, float *scratch) {
    if (n <= RPU_FORWARD_SEQUENTIAL) {
        forward_sequential(m, n, columns, w, ldw, x, ldx, y, ldy, scratch);
        return;
    }
    for (size_t p = 0; p < columns; p++)
        for (size_t i = 0; i < m; i++)
            y[p * ldy + i] = dot(n, w + i * ldw, x + p * ldx);
}

void K(backward)(size_t m, size_t n, size_t columns, const float *w, size_t ldw, const float *d, size_t ldd, float *z,
                 size_t ldz) {
    for (size_t p = 0; p < columns; p++) {
        float *restrict out = z + p * ldz;
        for (size_t j = 0; j < n; j++)
            out[j] = 0.0f;
        for (size_t i = 0; i < m; i++) {
            const float v = d[p * ldd + i];
            const float *restrict row = w + i * ldw;
            if (v == 0.0f)
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
