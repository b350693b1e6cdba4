/* SPDX-License-Identifier: Apache-2.0 */
/* Checkers: convolution geometry, pooling, activations, softmax. */
#include "kcheck.h"

#include <string.h>

/* ---- convolution ---- */

static struct rpu_conv_shape conv(uint32_t height, uint32_t width, uint32_t channels, uint32_t kernel, uint32_t stride,
                                  uint32_t padding, uint32_t bias) {
    struct rpu_conv_shape s = {height, width, channels, kernel, stride, padding, 0, 0, bias};
    s.out_height = (height + 2 * padding - kernel) / stride + 1;
    s.out_width = (width + 2 * padding - kernel) / stride + 1;
    return s;
}

/* LeNet's two, then small ones of every kind: kernel as large as the image, stride beyond the kernel, wide padding;
 * a kernel of five on one channel, and sixteen channels or more at stride 1, at their edges. */
static struct rpu_conv_shape conv_shape(struct kc *c, size_t k) {
    const struct rpu_conv_shape fixed[] = {
        conv(28, 28, 1, 5, 1, 0, 1),  conv(12, 12, 16, 5, 1, 0, 1), conv(5, 5, 3, 5, 1, 0, 0),
        conv(7, 9, 2, 3, 4, 1, 1),    conv(4, 4, 8, 3, 1, 2, 1),    conv(1, 1, 1, 1, 1, 0, 0),
        conv(2, 3, 1, 5, 2, 4, 1),    conv(9, 1, 7, 1, 3, 0, 1),    conv(16, 16, 3, 3, 1, 1, 1),
        conv(11, 13, 33, 2, 2, 0, 0), conv(5, 5, 1, 5, 1, 0, 0),    conv(5, 5, 1, 5, 1, 0, 1),
        conv(9, 7, 1, 5, 1, 2, 0),    conv(6, 11, 1, 5, 3, 4, 1),   conv(7, 9, 32, 7, 1, 3, 1),
        conv(3, 4, 16, 2, 1, 1, 0),   conv(6, 6, 17, 6, 1, 0, 1)};
    if (k < sizeof fixed / sizeof fixed[0])
        return fixed[k];
    const uint32_t kernel = 1 + (uint32_t)kc_below(c, 6), padding = (uint32_t)kc_below(c, kernel + 2);
    const uint32_t least = kernel > 2 * padding ? kernel - 2 * padding : 1;
    return conv(least + (uint32_t)kc_below(c, 12), least + (uint32_t)kc_below(c, 12), 1 + (uint32_t)kc_below(c, 18),
                kernel, 1 + (uint32_t)kc_below(c, 4), padding, (uint32_t)kc_below(c, 2));
}

enum { CONV_SHAPES = 120, CONV_CUTS = 3 };

static size_t conv_row(const struct rpu_conv_shape *s) {
    return (size_t)s->kernel * s->kernel * s->channels + s->bias;
}

static void im2col_case(struct kc *c, rpu_im2col_fn *ref, rpu_im2col_fn *sut, const struct rpu_conv_shape *s,
                        unsigned cut) {
    const size_t ldx = kc_leading(c, conv_row(s)), pixels = (size_t)s->height * s->width * s->channels;
    const size_t all = (size_t)s->out_height * s->out_width, first = kc_below(c, all),
                 count = kc_below(c, all - first + 1);
    const float *image = kc_input_matrix(c, "image", 1, pixels, pixels, KC_BITS);
    const struct kc_out x = kc_output(c, "x", KC_F32, kc_span(count, conv_row(s), ldx));
    kc_seal(c);
    ref(s, image, first, count, x.ref, ldx);
    for (size_t p = 0, end; p < count; p = end) {
        end = kc_cut(c, cut, p, count);
        sut(s, image, first + p, end - p, (float *)x.sut + p * ldx, ldx);
    }
    kc_finish(c);
}

static void col2im_case(struct kc *c, rpu_col2im_fn *ref, rpu_col2im_fn *sut, const struct rpu_conv_shape *s,
                        unsigned cut) {
    static const enum kc_pattern patterns[] = {KC_WIDE, KC_UNIFORM, KC_SPECIAL, KC_DENORMAL};
    const size_t n = conv_row(s), ldz = kc_leading(c, n), pixels = (size_t)s->height * s->width * s->channels;
    const size_t row0 = kc_below(c, s->height);
    const size_t row1 = cut == 0 ? s->height : row0 + kc_below(c, s->height - row0 + 1);
    const float *z = kc_input_matrix(c, "z", (size_t)s->out_height * s->out_width, n, ldz, patterns[kc_below(c, 4)]);
    const struct kc_out image = kc_output(c, "image", KC_F32, pixels);
    kc_seal(c);
    ref(s, z, ldz, cut == 0 ? 0 : row0, row1, image.ref);
    for (size_t y = cut == 0 ? 0 : row0, end; y < row1; y = end) {
        end = kc_cut(c, cut, y, row1);
        sut(s, z, ldz, y, end, image.sut);
    }
    kc_finish(c);
}

/* A case's shape may be random, so it is drawn from the case's own generator after the case is begun. */
static int begin_conv(struct kc *c, size_t k, unsigned cut, struct rpu_conv_shape *s) {
    static const char *const cuts[] = {"whole", "singly", "cut at random"};
    if (!kc_begin(c, "geometry %zu, %s", k, cuts[cut]))
        return 0;
    *s = conv_shape(c, k);
    return 1;
}

void kcheck_im2col(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    struct rpu_conv_shape s;
    for (size_t k = 0; k < CONV_SHAPES; k++)
        for (unsigned cut = 0; cut < CONV_CUTS; cut++)
            if (begin_conv(c, k, cut, &s))
                im2col_case(c, (rpu_im2col_fn *)ref, (rpu_im2col_fn *)sut, &s, cut);
}

void kcheck_col2im(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    struct rpu_conv_shape s;
    for (size_t k = 0; k < CONV_SHAPES; k++)
        for (unsigned cut = 0; cut < CONV_CUTS; cut++)
            if (begin_conv(c, k, cut, &s))
                col2im_case(c, (rpu_col2im_fn *)ref, (rpu_col2im_fn *)sut, &s, cut);
}

/* ---- pooling ---- */

static struct rpu_pool_shape pool(uint32_t height, uint32_t width, uint32_t channels, uint32_t window,
                                  uint32_t stride) {
    struct rpu_pool_shape s = {height, width, channels, window, stride, 0, 0};
    s.out_height = (height - window) / stride + 1;
    s.out_width = (width - window) / stride + 1;
    return s;
}

static struct rpu_pool_shape pool_shape(struct kc *c, size_t k) {
    const struct rpu_pool_shape fixed[] = {pool(24, 24, 16, 2, 2), pool(8, 8, 32, 2, 2), pool(7, 9, 5, 3, 1),
                                           pool(5, 5, 1, 5, 5),    pool(9, 8, 33, 2, 3), pool(16, 16, 1, 16, 1),
                                           pool(6, 6, 64, 3, 2),   pool(1, 1, 7, 1, 1)};
    if (k < sizeof fixed / sizeof fixed[0])
        return fixed[k];
    const uint32_t window = 1 + (uint32_t)kc_below(c, 5);
    return pool(window + (uint32_t)kc_below(c, 10), window + (uint32_t)kc_below(c, 10), 1 + (uint32_t)kc_below(c, 40),
                window, 1 + (uint32_t)kc_below(c, 4));
}

/* Few values, so that there are ties; NaN and infinities in some. */
static void pool_input(struct kc *c, float *v, size_t n) {
    const int ties = kc_below(c, 2) == 0;
    kc_fill(c, v, n, kc_below(c, 2) ? KC_SPECIAL : KC_UNIFORM);
    for (size_t i = 0; ties && i < n; i++)
        if (kc_below(c, 4))
            v[i] = (float)kc_below(c, 3) - 1.0f;
}

static void maxpool_case(struct kc *c, rpu_maxpool_fn *ref, rpu_maxpool_fn *sut, const struct rpu_pool_shape *s,
                         unsigned cut) {
    const size_t in = (size_t)s->height * s->width * s->channels,
                 out = (size_t)s->out_height * s->out_width * s->channels;
    float *image = kc_input(c, "in", in * sizeof *image);
    const struct kc_out y = kc_output(c, "out", KC_F32, out), where = kc_output(c, "where", KC_U8, out);
    const size_t row0 = cut ? kc_below(c, s->out_height) : 0;
    const size_t row1 = cut ? row0 + kc_below(c, s->out_height - row0 + 1) : s->out_height;
    pool_input(c, image, in);
    kc_seal(c);
    ref(s, image, row0, row1, y.ref, where.ref);
    for (size_t r = row0, end; r < row1; r = end) {
        end = kc_cut(c, cut, r, row1);
        sut(s, image, r, end, y.sut, where.sut);
    }
    kc_finish(c);
}

static void unpool_case(struct kc *c, rpu_unpool_fn *ref, rpu_unpool_fn *sut, const struct rpu_pool_shape *s) {
    static const enum kc_pattern patterns[] = {KC_WIDE, KC_SPECIAL, KC_SPARSE};
    const size_t in = (size_t)s->height * s->width * s->channels,
                 out = (size_t)s->out_height * s->out_width * s->channels;
    const float *dout = kc_input_matrix(c, "dout", 1, out, out, patterns[kc_below(c, 3)]);
    uint8_t *where = kc_input(c, "where", out);
    const struct kc_out din = kc_output(c, "din", KC_F32, in);
    for (size_t i = 0; i < out; i++)
        where[i] = (uint8_t)kc_below(c, (size_t)s->window * s->window);
    kc_seal(c);
    ref(s, dout, where, din.ref);
    sut(s, dout, where, din.sut);
    kc_finish(c);
}

enum { POOL_SHAPES = 150 };

void kcheck_maxpool(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    for (size_t k = 0; k < POOL_SHAPES; k++)
        for (unsigned cut = 0; cut < 3; cut++)
            if (kc_begin(c, "geometry %zu, cut %u", k, cut)) {
                const struct rpu_pool_shape s = pool_shape(c, k);
                maxpool_case(c, (rpu_maxpool_fn *)ref, (rpu_maxpool_fn *)sut, &s, cut);
            }
}

void kcheck_unpool(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    for (size_t k = 0; k < 2 * POOL_SHAPES; k++)
        if (kc_begin(c, "geometry %zu", k)) {
            const struct rpu_pool_shape s = pool_shape(c, k / 2);
            unpool_case(c, (rpu_unpool_fn *)ref, (rpu_unpool_fn *)sut, &s);
        }
}

/* ---- element by element ---- */

typedef void map_fn(size_t n, const float *x, float *y);

static void map_run(struct kc *c, map_fn *ref, map_fn *sut, const float *x, size_t n, int in_place) {
    const struct kc_out y = kc_output(c, "y", KC_F32, n);
    if (in_place && n > 0) {
        memcpy(y.ref, x, n * sizeof *x);
        memcpy(y.sut, x, n * sizeof *x);
    }
    kc_seal(c);
    ref(n, in_place ? y.ref : x, y.ref);
    sut(n, in_place ? y.sut : x, y.sut);
    kc_finish(c);
}

static void map_checker(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    for (size_t s = 0; s < kc_size_count; s++)
        for (unsigned p = 0; p < KC_PATTERNS; p++)
            for (int in_place = 0; in_place < 2; in_place++)
                if (kc_begin(c, "%zu %s%s", kc_sizes[s], kc_pattern_name(p), in_place ? " in place" : ""))
                    map_run(c, (map_fn *)ref, (map_fn *)sut, kc_input_matrix(c, "x", 1, kc_sizes[s], kc_sizes[s], p),
                            kc_sizes[s], in_place);
    /* the whole line of floats in strides */
    for (int k = 0; k < 8; k++)
        if (kc_begin(c, "every 65537th float from %d on", k)) {
            const size_t n = 65535;
            float *x = kc_input(c, "x", n * sizeof *x);
            for (size_t i = 0; i < n; i++) {
                const uint32_t b = (uint32_t)i * 65537u + (uint32_t)k * 8191u;
                memcpy(x + i, &b, sizeof b);
            }
            map_run(c, (map_fn *)ref, (map_fn *)sut, x, n, 0);
        }
}

void kcheck_tanh(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    map_checker(c, ref, sut);
}

void kcheck_sigmoid(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    map_checker(c, ref, sut);
}

void kcheck_relu(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    map_checker(c, ref, sut);
}

static void gradient_case(struct kc *c, map_fn *ref, map_fn *sut, size_t n, enum kc_pattern py, enum kc_pattern pd) {
    const float *y = kc_input_matrix(c, "y", 1, n, n, py);
    const struct kc_out d = kc_output(c, "d", KC_F32, n);
    kc_fill(c, d.ref, n, pd);
    if (n > 0)
        memcpy(d.sut, d.ref, n * sizeof(float));
    kc_seal(c);
    ref(n, y, d.ref);
    sut(n, y, d.sut);
    kc_finish(c);
}

static void gradient_checker(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    for (size_t s = 0; s < kc_size_count; s++)
        for (unsigned p = 0; p < 2 * KC_PATTERNS; p++) {
            const enum kc_pattern py = (enum kc_pattern)(p % KC_PATTERNS);
            const enum kc_pattern pd = (enum kc_pattern)((s + (size_t)p) % KC_PATTERNS);
            if (kc_begin(c, "%zu y %s d %s", kc_sizes[s], kc_pattern_name(py), kc_pattern_name(pd)))
                gradient_case(c, (map_fn *)ref, (map_fn *)sut, kc_sizes[s], py, pd);
        }
}

void kcheck_dtanh(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    gradient_checker(c, ref, sut);
}

void kcheck_dsigmoid(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    gradient_checker(c, ref, sut);
}

void kcheck_drelu(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    gradient_checker(c, ref, sut);
}

static void softmax_case(struct kc *c, rpu_softmax_fn *ref, rpu_softmax_fn *sut, size_t n, enum kc_pattern pattern,
                         int in_place) {
    const float *z = kc_input_matrix(c, "z", 1, n, n, pattern);
    const struct kc_out p = kc_output(c, "p", KC_F32, n), log_sum = kc_output(c, "returned value", KC_F32, 1);
    if (in_place) {
        memcpy(p.ref, z, n * sizeof *z);
        memcpy(p.sut, z, n * sizeof *z);
    }
    kc_seal(c);
    *(float *)log_sum.ref = ref(n, in_place ? p.ref : z, p.ref);
    *(float *)log_sum.sut = sut(n, in_place ? p.sut : z, p.sut);
    kc_finish(c);
}

void kcheck_softmax(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    for (size_t s = 0; s < kc_size_count; s++)
        for (unsigned p = 0; p < KC_PATTERNS; p++)
            for (int in_place = 0; in_place < 2; in_place++)
                if (kc_sizes[s] > 0 &&
                    kc_begin(c, "%zu %s%s", kc_sizes[s], kc_pattern_name(p), in_place ? " in place" : ""))
                    softmax_case(c, (rpu_softmax_fn *)ref, (rpu_softmax_fn *)sut, kc_sizes[s], p, in_place);
    for (int k = 0; k < 500; k++)
        if (kc_begin(c, "10 classes, %d", k))
            softmax_case(c, (rpu_softmax_fn *)ref, (rpu_softmax_fn *)sut, 10, k % 2 ? KC_LARGE : KC_UNIFORM, k & 1);
}
