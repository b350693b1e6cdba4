/* SPDX-License-Identifier: Apache-2.0 */
/* The yardsticks: plain OpenBLAS products of the three cycles' shapes. */
#include "bench.h"
#include "small.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* rows x columns, row-major, to its transpose. */
static void transpose(const float *from, size_t ld, size_t rows, size_t columns, float *to) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            to[c * rows + r] = from[r * ld + c];
}

static void copy(const float *from, size_t ld, size_t rows, size_t columns, float *to) {
    for (size_t r = 0; r < rows; r++)
        memcpy(to + r * columns, from + r * ld, columns * sizeof *to);
}

/* One column: a matrix-vector product or a rank-one update, weights row-major or (transposed) column-major. */
static void run_one(const struct yardstick *y, const float *x, const float *d) {
    const int m = (int)y->m, n = (int)y->n, ld = y->transposed ? m : n;
    const CBLAS_ORDER order = y->transposed ? CblasColMajor : CblasRowMajor;
    if (y->op == RPU_CYCLE_FORWARD)
        cblas_sgemv(order, CblasNoTrans, m, n, 1.0f, y->w, ld, x, 1, 0.0f, y->out, 1);
    else if (y->op == RPU_CYCLE_BACKWARD)
        cblas_sgemv(order, CblasTrans, m, n, 1.0f, y->w, ld, d, 1, 0.0f, y->out, 1);
    else
        cblas_sger(order, m, n, y->eta, d, 1, x, 1, y->w, ld);
}

/* Many columns, row-major throughout: X is P x N and D is P x M, or (transposed) N x P and M x P. */
static void run_many(const struct yardstick *y, const float *x, const float *d) {
    const int m = (int)y->m, n = (int)y->n, p = (int)y->columns;
    const CBLAS_ORDER row = CblasRowMajor;
    const CBLAS_TRANSPOSE no = CblasNoTrans, tr = CblasTrans;
    if (y->op == RPU_CYCLE_FORWARD && !y->transposed)
        cblas_sgemm(row, no, tr, p, m, n, 1.0f, x, n, y->w, n, 0.0f, y->out, m);
    else if (y->op == RPU_CYCLE_FORWARD)
        cblas_sgemm(row, no, no, m, p, n, 1.0f, y->w, n, x, p, 0.0f, y->out, p);
    else if (y->op == RPU_CYCLE_BACKWARD && !y->transposed)
        cblas_sgemm(row, no, no, p, n, m, 1.0f, d, m, y->w, n, 0.0f, y->out, n);
    else if (y->op == RPU_CYCLE_BACKWARD)
        cblas_sgemm(row, tr, no, n, p, m, 1.0f, y->w, n, d, p, 0.0f, y->out, p);
    else if (!y->transposed)
        cblas_sgemm(row, tr, no, m, n, p, y->eta, d, m, x, n, 1.0f, y->w, n);
    else
        cblas_sgemm(row, no, tr, m, n, p, y->eta, d, p, x, p, 1.0f, y->w, n);
}

void yardstick_run(void *yardstick, uint64_t n) {
    struct yardstick *y = yardstick;
    for (uint64_t k = 0; k < n; k++) {
        const size_t at = (size_t)y->next * y->columns;
        const float *x = y->x + at * y->n, *d = y->d + at * y->m;
        y->next = y->next + 1 < y->images ? y->next + 1 : 0;
        if (y->columns == 1)
            run_one(y, x, d);
        else
            run_many(y, x, d);
    }
}

const char *yardstick_layout(const struct yardstick *y) {
    if (y->columns > 1)
        return y->transposed ? "sgemm, vectors transposed" : "sgemm, vectors contiguous";
    if (y->op == RPU_CYCLE_UPDATE)
        return y->transposed ? "sger, column-major" : "sger, row-major";
    return y->transposed ? "sgemv, column-major" : "sgemv, row-major";
}

static void fill(struct yardstick *y, const struct inputs *in) {
    const int turn = y->transposed && y->columns > 1;
    uint64_t rng = 7;
    for (size_t i = 0; i < (size_t)y->m * y->n; i++)
        y->w[i] = (float)(0.2 * random_unit(&rng) - 0.1);
    for (size_t k = 0; k < y->images; k++) {
        const float *x = in->x + k * y->columns * in->ldx, *d = in->d + k * y->columns * in->ldd;
        (turn ? transpose : copy)(x, in->ldx, y->columns, y->n, y->x + k * y->columns * y->n);
        (turn ? transpose : copy)(d, in->ldd, y->columns, y->m, y->d + k * y->columns * y->m);
    }
}

static void make_layout(struct yardstick *y, enum rpu_cycle op, const struct inputs *in, float eta, int transposed) {
    const size_t vectors = (size_t)in->columns * in->images, side = in->m > in->n ? in->m : in->n;
    *y = (struct yardstick){.op = op,
                            .transposed = transposed,
                            .m = in->m,
                            .n = in->n,
                            .columns = in->columns,
                            .images = in->images,
                            .eta = eta};
    y->w = room((size_t)y->m * y->n * sizeof *y->w);
    y->x = room(vectors * y->n * sizeof *y->x);
    y->d = room(vectors * y->m * sizeof *y->d);
    y->out = room(y->columns * side * sizeof *y->out);
    fill(y, in);
}

void yardstick_free(struct yardstick *y) {
    free(y->w);
    free(y->x);
    free(y->d);
    free(y->out);
    y->w = y->x = y->d = y->out = NULL;
}

static double weight(const struct yardstick *y, const float *w, size_t i, size_t j) {
    return (double)(y->columns == 1 && y->transposed ? w[j * y->m + i] : w[i * y->n + j]);
}

/* Output o of column p of the first block, or weight (o / n, o % n) after its update, in double precision. */
static double expected(const struct yardstick *y, const float *w, const struct inputs *in, size_t p, size_t o) {
    double s = 0.0;
    if (y->op == RPU_CYCLE_FORWARD)
        for (size_t j = 0; j < y->n; j++)
            s += weight(y, w, o, j) * (double)in->x[p * in->ldx + j];
    else if (y->op == RPU_CYCLE_BACKWARD)
        for (size_t i = 0; i < y->m; i++)
            s += weight(y, w, i, o) * (double)in->d[p * in->ldd + i];
    else {
        const size_t i = o / y->n, j = o % y->n;
        for (size_t q = 0; q < y->columns; q++)
            s += (double)in->d[q * in->ldd + i] * (double)in->x[q * in->ldx + j];
        s = weight(y, w, i, j) + (double)y->eta * s;
    }
    return s;
}

static double found(const struct yardstick *y, size_t p, size_t o) {
    const size_t outputs = y->op == RPU_CYCLE_FORWARD ? y->m : y->n;
    if (y->op == RPU_CYCLE_UPDATE)
        return weight(y, y->w, o / y->n, o % y->n);
    return (double)(y->transposed ? y->out[o * y->columns + p] : y->out[p * outputs + o]);
}

/* A hundred numbers of the first call against plain sums: the yardstick computes what it is said to. */
static int is_right(struct yardstick *y, const struct inputs *in) {
    const size_t bytes = (size_t)y->m * y->n * sizeof *y->w;
    const size_t outputs = y->op == RPU_CYCLE_FORWARD ? y->m : y->op == RPU_CYCLE_BACKWARD ? y->n : (size_t)y->m * y->n;
    float *w = room(bytes);
    const double most = y->op == RPU_CYCLE_UPDATE ? 2e-6 : 1e-4; /* a weight changes by some thousandth */
    uint64_t rng = 11;
    int right = 1;
    memcpy(w, y->w, bytes);
    yardstick_run(y, 1);
    for (int k = 0; k < 100 && right; k++) {
        const size_t p = (size_t)(random_unit(&rng) * y->columns), o = (size_t)(random_unit(&rng) * (double)outputs);
        const double want = expected(y, w, in, p, o);
        right = fabs(found(y, p, o) - want) <= most * (1.0 + fabs(want));
    }
    memcpy(y->w, w, bytes);
    y->next = 0;
    free(w);
    return right;
}

/* Median of some batches of about a fifth of a millisecond. */
static double quick_time(struct yardstick *y) {
    double t[9];
    uint64_t n = 1;
    for (;;) {
        const double start = rpu_now();
        yardstick_run(y, n);
        if (rpu_now() - start > 2e-4)
            break;
        n *= 2;
    }
    for (size_t k = 0; k < 9; k++) {
        const double start = rpu_now();
        yardstick_run(y, n);
        t[k] = (rpu_now() - start) / (double)n;
    }
    return quantile(t, 9, 0.5);
}

int yardstick_make(struct yardstick *y, enum rpu_cycle op, const struct inputs *in, float eta) {
    struct yardstick other;
    make_layout(y, op, in, eta, 0);
    make_layout(&other, op, in, eta, 1);
    const int right = is_right(y, in) && is_right(&other, in);
    if (right && quick_time(&other) < quick_time(y)) {
        const struct yardstick t = *y;
        *y = other;
        other = t;
    }
    yardstick_free(&other);
    fill(y, in);
    if (!right)
        yardstick_free(y);
    return right;
}
