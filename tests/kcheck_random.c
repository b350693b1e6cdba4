/* SPDX-License-Identifier: Apache-2.0 */
/* Checkers: random numbers, thresholds, Bernoulli planes. */
#include "kcheck.h"

#include <math.h>
#include <string.h>

void kcheck_philox(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    static const uint32_t firsts[] = {0, 1, 5, 8, 0x7fffffffu, 0xfffffff0u};
    for (size_t s = 0; s < kc_size_count; s++)
        for (size_t f = 0; f < sizeof firsts / sizeof firsts[0]; f++) {
            const size_t n = kc_sizes[s];
            if (!kc_begin(c, "%zu blocks from %u", n, firsts[f]))
                continue;
            struct rpu_stream stream = kc_stream(c);
            stream.ctr[0] = (uint32_t)kc_random(c);
            const struct kc_out out = kc_output(c, "out", KC_U32, 4 * n);
            kc_seal(c);
            ((rpu_philox_fn *)ref)(&stream, firsts[f], n, out.ref);
            ((rpu_philox_fn *)sut)(&stream, firsts[f], n, out.sut);
            kc_finish(c);
        }
}

/* The variant's range is a slice out of a longer one of generic's: the stream is one, wherever it is entered. */
static void gaussian_case(struct kc *c, rpu_gaussian_fn *ref, rpu_gaussian_fn *sut, uint64_t first, size_t n) {
    const struct rpu_stream stream = kc_stream(c);
    const struct kc_out out = kc_output(c, "out", KC_F32, n);
    const size_t lead = (size_t)(first < 100 ? first : kc_below(c, 100));
    float *longer = kc_scratch(c, "slice", (lead + n) * sizeof *longer, 0);
    kc_seal(c);
    ref(&stream, first - lead, lead + n, longer);
    memcpy(out.ref, longer + lead, n * sizeof *longer);
    sut(&stream, first, n, out.sut);
    kc_finish(c);
}

void kcheck_gaussian(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    static const uint64_t firsts[] = {
        0, 1, 5, 7, 8, 11, 24, 40, 47, 48, 49, 95, 96, 1000, UINT64_C(48) << 20 | 3, (UINT64_C(6) << 32) - 4000};
    for (size_t s = 0; s < kc_size_count; s++)
        for (size_t f = 0; f < sizeof firsts / sizeof firsts[0]; f++)
            if (kc_begin(c, "%zu from %llu", kc_sizes[s], (unsigned long long)firsts[f]))
                gaussian_case(c, (rpu_gaussian_fn *)ref, (rpu_gaussian_fn *)sut, firsts[f], kc_sizes[s]);
    for (int k = 0; k < 200; k++)
        if (kc_begin(c, "random range %d", k))
            gaussian_case(c, (rpu_gaussian_fn *)ref, (rpu_gaussian_fn *)sut, kc_random(c) >> 32, kc_below(c, 300));
    if (kc_begin(c, "100003 from 17"))
        gaussian_case(c, (rpu_gaussian_fn *)ref, (rpu_gaussian_fn *)sut, 17, 100003);
}

static void threshold_case(struct kc *c, rpu_threshold_fn *ref, rpu_threshold_fn *sut, size_t n, float gain,
                           enum kc_pattern pattern) {
    const float *v = kc_input_matrix(c, "v", 1, n, n, pattern);
    const struct kc_out hi = kc_output(c, "hi", KC_U16, n), lo = kc_output(c, "lo", KC_U16, n);
    kc_seal(c);
    const size_t a = ref(n, gain, v, hi.ref, lo.ref), b = sut(n, gain, v, hi.sut, lo.sut);
    kc_same(c, "clipped probabilities", a, b);
    kc_finish(c);
}

void kcheck_threshold(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    const float gains[] = {0.0f, 1e-30f, 0.01f, 1.0f, 0x1p-24f, 1.0000001f, 3.7f, 1e30f, INFINITY, NAN};
    for (size_t s = 0; s < kc_size_count; s++)
        for (unsigned p = 0; p < KC_PATTERNS; p++) {
            const float gain = gains[(s * KC_PATTERNS + (size_t)p) % (sizeof gains / sizeof gains[0])];
            if (kc_begin(c, "%zu %s gain %g", kc_sizes[s], kc_pattern_name(p), (double)gain))
                threshold_case(c, (rpu_threshold_fn *)ref, (rpu_threshold_fn *)sut, kc_sizes[s], gain, p);
        }
    for (size_t g = 0; g < sizeof gains / sizeof gains[0]; g++)
        for (unsigned p = 0; p < KC_PATTERNS; p++)
            if (kc_begin(c, "1000 %s gain %g", kc_pattern_name(p), (double)gains[g]))
                threshold_case(c, (rpu_threshold_fn *)ref, (rpu_threshold_fn *)sut, 1000, gains[g], p);
}

uint16_t kc_drawn(const struct rpu_stream *bits, uint64_t e) {
    uint32_t words[4];
    const uint64_t g = e / RPU_BITS_GROUP, r = e % RPU_BITS_GROUP;
    rpu_k_philox_generic(bits, (uint32_t)(4 * g + (r % 8) / 2), 1, words);
    return (uint16_t)(words[r / 8] >> (r % 2 ? 16 : 0));
}

/* Thresholds that never fire, always fire, tie with what will be drawn, or are arbitrary. */
static void thresholds(struct kc *c, const struct rpu_stream *bits, uint64_t first, size_t n, uint16_t *hi,
                       uint16_t *lo) {
    static const uint16_t low[] = {0, 1, 100, 128, 255, 256};
    for (size_t i = 0; i < n; i++) {
        hi[i] = (uint16_t)kc_random(c);
        lo[i] = (uint16_t)kc_below(c, 256);
        switch (kc_below(c, 8)) {
        case 0: hi[i] = lo[i] = 0; break;
        case 1: hi[i] = 0xffff, lo[i] = 256; break;
        case 2: hi[i] = 0; break;
        case 3:
        case 4: /* 256 goes with 0xffff only */
            hi[i] = kc_drawn(bits, first + i);
            lo[i] = low[kc_below(c, hi[i] == 0xffff ? 6 : 5)];
            break;
        default: break;
        }
    }
}

static void bernoulli_case(struct kc *c, rpu_bernoulli_fn *ref, rpu_bernoulli_fn *sut, uint64_t first, size_t n) {
    const struct rpu_stream bits = kc_stream(c), ties = kc_stream(c);
    uint16_t *hi = kc_input(c, "hi", n * sizeof *hi), *lo = kc_input(c, "lo", n * sizeof *lo);
    const struct kc_out plane = kc_output(c, "plane", KC_U64, (n + 63) / 64);
    thresholds(c, &bits, first, n, hi, lo);
    kc_seal(c);
    const size_t a = ref(&bits, &ties, first, n, hi, lo, plane.ref), b = sut(&bits, &ties, first, n, hi, lo, plane.sut);
    kc_same(c, "number of ones", a, b);
    kc_finish(c);
}

void kcheck_bernoulli(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    static const uint64_t firsts[] = {0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 100, 12345, 0x7fffffffu, 0xffff0001u};
    for (size_t s = 0; s < kc_size_count; s++)
        for (size_t f = 0; f < sizeof firsts / sizeof firsts[0]; f++)
            if (kc_begin(c, "%zu from %llu", kc_sizes[s], (unsigned long long)firsts[f]))
                bernoulli_case(c, (rpu_bernoulli_fn *)ref, (rpu_bernoulli_fn *)sut, firsts[f], kc_sizes[s]);
    for (int k = 0; k < 300; k++)
        if (kc_begin(c, "random range %d", k))
            bernoulli_case(c, (rpu_bernoulli_fn *)ref, (rpu_bernoulli_fn *)sut, kc_random(c) >> 33, kc_below(c, 400));
}
