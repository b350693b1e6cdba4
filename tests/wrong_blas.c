/* SPDX-License-Identifier: Apache-2.0 */
/* OpenBLAS with products twice as large as they are, for LD_PRELOAD: tests/test_bench_wrong.py. */
#include <cblas.h>

#include <dlfcn.h>

void cblas_sgemv(CBLAS_ORDER order, CBLAS_TRANSPOSE trans, blasint m, blasint n, float alpha, const float *a,
                 blasint lda, const float *x, blasint incx, float beta, float *y, blasint incy) {
    __typeof__(cblas_sgemv) *real;
    *(void **)&real = dlsym(RTLD_NEXT, "cblas_sgemv");
    real(order, trans, m, n, 2.0f * alpha, a, lda, x, incx, beta, y, incy);
}

void cblas_sger(CBLAS_ORDER order, blasint m, blasint n, float alpha, const float *x, blasint incx, const float *y,
                blasint incy, float *a, blasint lda) {
    __typeof__(cblas_sger) *real;
    *(void **)&real = dlsym(RTLD_NEXT, "cblas_sger");
    real(order, m, n, 2.0f * alpha, x, incx, y, incy, a, lda);
}

void cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, blasint m, blasint n, blasint k,
                 float alpha, const float *a, blasint lda, const float *b, blasint ldb, float beta, float *c,
                 blasint ldc) {
    __typeof__(cblas_sgemm) *real;
    *(void **)&real = dlsym(RTLD_NEXT, "cblas_sgemm");
    real(order, trans_a, trans_b, m, n, k, 2.0f * alpha, a, lda, b, ldb, beta, c, ldc);
}
