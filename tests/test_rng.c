/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers: Philox against known answers, the counter layout, Gaussians, uniform bits, Bernoulli bits.
 *
 * usage: test_rng [SEED [TEST]]. Each statistical assertion raises a false alarm for about one seed in a million; there
 * are some 300 of them. The standard seed is fixed, so a passing build keeps passing. */
#include <stdio.h>
#include <string.h>

#include <rpu/engine.h>

#include "dispatch.h"
#include "kernel_math.h"
#include "likely.h"
#include "rng.h"

#if defined(__has_include)
#if __has_include(<Random123/philox.h>)
#include <Random123/philox.h>
#define HAVE_RANDOM123 1
#endif
#endif

static struct rpu_table table; /* the best variants of this machine */

/* How much to draw: generic alone, or under an emulator, is slow. */
static size_t scaled(size_t n) {
    return strcmp(table.isa, "generic") == 0 ? n / 16 : n;
}

/* ---- Philox ---- */

struct known {
    uint32_t ctr[4], key[2], out[4];
};

/* The vectors published with Random123 (kat_vectors, philox4x32 10). */
static const struct known known[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}},
    {{0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu},
     {0xffffffffu, 0xffffffffu},
     {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}},
    {{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u},
     {0xa4093822u, 0x299f31d0u},
     {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}},
};

static void check_philox(const char *isa, rpu_philox_fn *philox) {
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        struct rpu_stream s;
        uint32_t out[4 * 19];
        memcpy(s.key, known[k].key, sizeof s.key);
        memcpy(s.ctr, known[k].ctr, sizeof s.ctr);
        s.ctr[0] -= 9; /* as the tenth of nineteen blocks: counter word 0 wraps on the way */
        philox(&s, 0, 19, out);
        if (memcmp(out + 36, known[k].out, 16) != 0)
            fail_msg("philox %s: vector %zu gives %08x %08x %08x %08x", isa, k, out[36], out[37], out[38], out[39]);
        s.ctr[0] += 9;
        philox(&s, 0, 1, out);
        assert_memory_equal(out, known[k].out, 16);
    }
}

static void test_known_answers(void **state) {
    const unsigned flags = rpu_cpu_flags();
    uint32_t out[4];
    (void)state;
    for (size_t i = 0; i < rpu_isa_count(); i++) {
        struct rpu_table t;
        assert_int_equal(rpu_table_fill(&t, flags, rpu_isa_name(i), NULL), RPU_OK);
        check_philox(rpu_isa_name(i), t.k.philox);
    }
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        rpu_philox_block(known[k].key, known[k].ctr, out);
        assert_memory_equal(out, known[k].out, 16);
    }
}

static void test_random123(void **state) {
    (void)state;
#ifdef HAVE_RANDOM123
    uint64_t r = seed;
    for (int i = 0; i < 20000; i++) {
        struct rpu_stream s;
        uint32_t out[4];
        for (int k = 0; k < 6; k++) {
            r = r * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            (k < 4 ? s.ctr : s.key)[k & 3] = (uint32_t)(r >> 32);
        }
        const philox4x32_ctr_t c = {{s.ctr[0], s.ctr[1], s.ctr[2], s.ctr[3]}};
        const philox4x32_key_t key = {{s.key[0], s.key[1]}};
        const philox4x32_ctr_t want = philox4x32_R(10, c, key);
        table.k.philox(&s, 0, 1, out);
        assert_memory_equal(out, want.v, sizeof out);
    }
#else
    print_message("the header Random123/philox.h is not installed\n");
    skip();
#endif
}

/* ---- the counter ---- */

static void test_counter_fields(void **state) {
    /* each field at its largest and the others at 0: together they fill the word, no two share a bit */
    const uint32_t columns = rpu_counter_column(RPU_COUNTER_MAX_COLUMNS - 1, 0);
    const uint32_t slots = rpu_counter_column(0, RPU_COUNTER_MAX_SLOTS);
    const uint32_t parts[4] = {rpu_counter_array(RPU_COUNTER_MAX_ARRAYS - 1, 0, 0, 0),
                               rpu_counter_array(0, RPU_COUNTER_MAX_SPLITS - 1, 0, 0),
                               rpu_counter_array(0, 0, RPU_COUNTER_MAX_DEVICES - 1, 0),
                               rpu_counter_array(0, 0, 0, RPU_COUNTER_MAX_COPIES - 1)};
    uint32_t all = 0;
    (void)state;
    assert_int_equal(columns & slots, 0);
    assert_int_equal(columns | slots, 0xffffffffu);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(all & parts[i], 0);
        all |= parts[i];
    }
    assert_int_equal(all, 0xffffffffu);
    const struct rpu_stream s = rpu_stream_make(1, RPU_RNG_FORWARD, 2, 3, 4);
    const uint32_t want[4] = {0, 2, 3, 4};
    assert_memory_equal(s.ctr, want, sizeof want);
}

static int by_key(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Every (seed, purpose) has a key of its own: near seeds, seeds that differ in a high bit, all purposes. */
static void test_keys_distinct(void **state) {
    enum { SEEDS = 4096, PURPOSES = RPU_RNG_DIGITS };
    uint64_t *keys = allocate(sizeof *keys * SEEDS * PURPOSES);
    size_t n = 0;
    (void)state;
    for (uint64_t s = 0; s < SEEDS; s++)
        for (int p = 1; p <= PURPOSES; p++) {
            const uint64_t from = s < SEEDS - 64 ? s : UINT64_C(1) << (s - (SEEDS - 64)) | 0x8000u;
            const struct rpu_stream v = rpu_stream_make(from, (enum rpu_rng_purpose)p, 0, 0, 0);
            keys[n++] = (uint64_t)v.key[1] << 32 | v.key[0];
        }
    qsort(keys, n, sizeof *keys, by_key);
    size_t same = 0;
    for (size_t i = 1; i < n; i++)
        same += keys[i] == keys[i - 1];
    test_free(keys);
    assert_int_equal(same, 0);
}

/* ---- Gaussians: the transform, number by number ---- */

enum { RADII = 1 << 24, ANGLES = 1 << 14 };

static int by_float(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Share of sorted values above `bound`. */
static double share_above(const float *sorted, size_t n, double bound) {
    size_t low = 0, high = n;
    while (low < high) {
        const size_t mid = (low + high) / 2;
        if ((double)sorted[mid] > bound)
            high = mid;
        else
            low = mid + 1;
    }
    return (double)(n - low) / (double)n;
}

struct transform {
    double variance, fourth; /* moments of the discrete distribution, over all 2^40 pairs */
    double tail[4];          /* P(|z| > 3, 4, 4.5, 5) */
    double largest;
};
static const double tails[4] = {3.0, 4.0, 4.5, 5.0};

/* Every radius with every angle: a number is radius * cos or radius * sin, each half the time. */
static struct transform enumerate(void) {
    float *c = allocate(ANGLES * sizeof *c), *s = allocate(ANGLES * sizeof *s);
    struct transform t = {0};
    double c2 = 0.0, c4 = 0.0, r2 = 0.0, r4 = 0.0;
    float unit_radius, first, second;
    const uint32_t unit_k = 10175703; /* any radius will do to read off the angles */
    rpu_gauss_pair(unit_k, ANGLES / 2, &first, &second);
    unit_radius = sqrtf(first * first + second * second);
    for (uint32_t a = 0; a < ANGLES; a++) {
        rpu_gauss_pair(unit_k, a, &c[a], &s[a]);
        c[a] /= unit_radius;
        s[a] /= unit_radius;
        c2 += (double)c[a] * (double)c[a] + (double)s[a] * (double)s[a];
        c4 += pow((double)c[a], 4) + pow((double)s[a], 4);
    }
    qsort(c, ANGLES, sizeof *c, by_float);
    qsort(s, ANGLES, sizeof *s, by_float);
    for (uint32_t k = 0; k < RADII; k++) {
        float x, y;
        rpu_gauss_pair(k, ANGLES / 2, &x, &y);
        const double q = (double)x * (double)x + (double)y * (double)y, r = sqrt(q);
        r2 += q;
        r4 += q * q;
        t.largest = r > t.largest ? r : t.largest;
        for (int b = 0; b < 4; b++)
            if (r > tails[b])
                t.tail[b] += share_above(c, ANGLES, tails[b] / r) + 2.0 * share_above(s, ANGLES, tails[b] / r);
    }
    for (int b = 0; b < 4; b++) /* the cosine is positive for all angles: |c| counts once, a sine from both sides */
        t.tail[b] /= 2.0 * RADII;
    t.variance = r2 / RADII * c2 / (2.0 * ANGLES);
    t.fourth = r4 / RADII * c4 / (2.0 * ANGLES);
    test_free(c);
    test_free(s);
    return t;
}

static struct transform discrete;

static void test_transform(void **state) {
    (void)state;
    print_message("discrete transform: variance 1 %+.2e, fourth moment 3 %+.2e, largest %.4f\n",
                  discrete.variance - 1.0, discrete.fourth - 3.0, discrete.largest);
    assert_true(fabs(discrete.variance - 1.0) < 1e-5);
    assert_true(fabs(discrete.fourth - 3.0) < 1e-4);
    assert_true(fabs(discrete.largest - sqrt(50.0 * log(2.0))) < 1e-4);
    for (int b = 0; b < 4; b++) {
        const double normal = erfc(tails[b] / sqrt(2.0));
        print_message("P(|z| > %.1f): %.5e, normal %.5e, %+.2f %%\n", tails[b], discrete.tail[b], normal,
                      100.0 * (discrete.tail[b] / normal - 1.0));
        assert_true(fabs(discrete.tail[b] / normal - 1.0) < 0.02);
    }
}

/* ---- Gaussians: draws ---- */

enum { CHUNK = 48 * 2048 };

static void check_moments(const struct stats_moments *m) {
    const double root = sqrt(m->n), mean = m->s1 / m->n, var = m->s2 / m->n;
    const double skew = m->s3 / m->n, fourth = m->s4 / m->n;
    print_message("%.0f draws: mean %+.2e, variance 1 %+.2e, third moment %+.2e, fourth 3 %+.2e\n", m->n, mean,
                  var - 1.0, skew, fourth - 3.0);
    within("mean", mean * root);
    within("variance", (var - 1.0) / sqrt(2.0) * root);
    within("third moment", skew / sqrt(15.0) * root);
    within("fourth moment", (fourth - 3.0) / sqrt(96.0) * root);
}

static void test_moments_and_tails(void **state) {
    const size_t chunks = scaled(960);
    float *v = allocate(CHUNK * sizeof *v);
    struct stats_moments m = {0};
    double beyond[4] = {0};
    (void)state;
    for (size_t c = 0; c < chunks; c++) {
        const struct rpu_stream s = rpu_stream_make(seed, RPU_RNG_FORWARD, (uint32_t)(c / 8), 0, 0);
        double s1 = 0.0, s2 = 0.0, s3 = 0.0, s4 = 0.0;
        table.k.gaussian(&s, (uint64_t)(c % 8) * CHUNK, CHUNK, v);
        for (size_t i = 0; i < CHUNK; i++) {
            const double x = (double)v[i], q = x * x;
            s1 += x, s2 += q, s3 += q * x, s4 += q * q;
            if (q > 9.0)
                for (int b = 0; b < 4; b++)
                    beyond[b] += q > tails[b] * tails[b];
        }
        m.n += CHUNK, m.s1 += s1, m.s2 += s2, m.s3 += s3, m.s4 += s4;
    }
    test_free(v);
    check_moments(&m);
    for (int b = 0; b < 4; b++) {
        const double normal = m.n * erfc(tails[b] / sqrt(2.0));
        print_message("beyond %.1f sigma: %.0f, expected %.1f\n", tails[b], beyond[b], normal);
        likely("tail against the normal distribution", stats_poisson(beyond[b], normal));
        likely("tail against the discrete distribution", stats_poisson(beyond[b], m.n * discrete.tail[b]));
    }
}

/* Kolmogorov-Smirnov and Anderson-Darling on subsamples, and on the p-values of the former. */
static void test_distribution(void **state) {
    enum { SAMPLE = 100000 };
    const size_t samples = scaled(48);
    float *v = allocate(SAMPLE * sizeof *v);
    double *u = allocate(SAMPLE * sizeof *u), p[48];
    (void)state;
    for (size_t k = 0; k < samples; k++) {
        const struct rpu_stream s = rpu_stream_make(seed, RPU_RNG_BACKWARD, (uint32_t)k, 0, 0);
        table.k.gaussian(&s, 0, SAMPLE, v);
        for (size_t i = 0; i < SAMPLE; i++)
            u[i] = (double)v[i];
        stats_normalize(u, SAMPLE, 0.0, 1.0);
        p[k] = stats_ks(u, SAMPLE);
        likely("Kolmogorov-Smirnov", p[k]);
        likely("Anderson-Darling", stats_ad(u, SAMPLE));
    }
    stats_sort(p, samples);
    likely("the p-values' own Kolmogorov-Smirnov", stats_ks(p, samples));
    test_free(v);
    test_free(u);
}

static void check_correlation(const char *what, const float *a, const float *b, size_t n) {
    double xy = 0.0, qq = 0.0, xq = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double x = (double)a[i], y = (double)b[i];
        xy += x * y;
        xq += x * (y * y - 1.0);
        qq += (x * x - 1.0) * (y * y - 1.0);
    }
    within(what, xy / sqrt((double)n));
    within(what, xq / sqrt(2.0 * (double)n));
    within(what, qq / sqrt(4.0 * (double)n));
}

/* Correlations at every distance within a group and beyond, also of squares: at 8 stand the two numbers of a pair. */
static void test_independence_in_stream(void **state) {
    const size_t n = scaled(2400000);
    const struct rpu_stream s = rpu_stream_make(seed, RPU_RNG_CTOC, 3, 0, 0);
    float *v = allocate((n + 100) * sizeof *v);
    (void)state;
    table.k.gaussian(&s, 0, n + 100, v);
    for (size_t lag = 1; lag <= 49; lag++)
        check_correlation("correlation within a stream", v, v + lag, n);
    test_free(v);
}

/* Streams that differ in one field of the counter or the key. */
static void test_independence_of_streams(void **state) {
    const struct rpu_stream base = rpu_stream_make(seed, RPU_RNG_FORWARD, 7, 0, 0);
    struct rpu_stream other[] = {rpu_stream_make(seed, RPU_RNG_FORWARD, 8, 0, 0),
                                 rpu_stream_make(seed, RPU_RNG_FORWARD, 7, rpu_counter_column(1, 0), 0),
                                 rpu_stream_make(seed, RPU_RNG_FORWARD, 7, rpu_counter_column(0, 1), 0),
                                 rpu_stream_make(seed, RPU_RNG_FORWARD, 7, 0, rpu_counter_array(1, 0, 0, 0)),
                                 rpu_stream_make(seed, RPU_RNG_FORWARD, 7, 0, rpu_counter_array(0, 1, 0, 0)),
                                 rpu_stream_make(seed, RPU_RNG_FORWARD, 7, 0, rpu_counter_array(0, 0, 1, 0)),
                                 rpu_stream_make(seed, RPU_RNG_FORWARD, 7, 0, rpu_counter_array(0, 0, 0, 1)),
                                 rpu_stream_make(seed, RPU_RNG_BACKWARD, 7, 0, 0),
                                 rpu_stream_make(seed + 1, RPU_RNG_FORWARD, 7, 0, 0)};
    const size_t n = scaled(1920000);
    float *a = allocate(n * sizeof *a), *b = allocate(n * sizeof *b);
    (void)state;
    table.k.gaussian(&base, 0, n, a);
    for (size_t k = 0; k < sizeof other / sizeof other[0]; k++) {
        table.k.gaussian(&other[k], 0, n, b);
        check_correlation("correlation of two streams", a, b, n);
    }
    test_free(a);
    test_free(b);
}

/* The two numbers of a pair on a 16 x 16 grid of equal probability. */
static void test_pairs_on_grid(void **state) {
    const size_t n = scaled(2400000) / 48 * 48;
    const struct rpu_stream s = rpu_stream_make(seed, RPU_RNG_CTOC, 4, 0, 0);
    float *v = allocate(n * sizeof *v);
    uint32_t cells[256] = {0};
    double pairs = 0.0;
    (void)state;
    table.k.gaussian(&s, 0, n, v);
    for (size_t i = 0; i < n; i++)
        if (i % 16 < 8) {
            const double x = stats_normal_cdf((double)v[i]), y = stats_normal_cdf((double)v[i + 8]);
            cells[(size_t)(x * 16.0) * 16 + (size_t)(y * 16.0)]++;
            pairs += 1.0;
        }
    within("pairs on a grid", stats_equal_counts_z(cells, 256, pairs));
    test_free(v);
}

/* ---- uniform bits ---- */

static void test_uniform_bits(void **state) {
    enum { BLOCKS = 1 << 16 };
    const size_t rounds = scaled(64);
    uint32_t *w = allocate(BLOCKS * 16), *serial = allocate(65536 * sizeof *serial);
    uint32_t bytes[4][256] = {{0}}, ones[32] = {0};
    double words = 0.0;
    (void)state;
    memset(serial, 0, 65536 * sizeof *serial);
    for (size_t r = 0; r < rounds; r++) {
        const struct rpu_stream s = rpu_stream_make(seed, RPU_RNG_WEIGHT, (uint32_t)r, 0, 0);
        table.k.philox(&s, 0, BLOCKS, w);
        for (size_t i = 0; i < 4 * BLOCKS; i++) {
            for (unsigned b = 0; b < 32; b++)
                ones[b] += w[i] >> b & 1u;
            for (unsigned b = 0; b < 4; b++)
                bytes[b][w[i] >> 8 * b & 0xffu]++;
            serial[w[i] >> 24 << 8 | (w[i == 4 * BLOCKS - 1 ? 0 : i + 1] & 0xffu)]++;
        }
        words += 4.0 * BLOCKS;
    }
    for (unsigned b = 0; b < 32; b++)
        within("ones of a bit", (ones[b] - words / 2.0) / sqrt(words / 4.0));
    for (unsigned b = 0; b < 4; b++)
        within("values of a byte", stats_equal_counts_z(bytes[b], 256, words));
    within("bytes of neighbouring words", stats_equal_counts_z(serial, 65536, words));
    test_free(w);
    test_free(serial);
}

/* ---- Bernoulli bits ---- */

/* The 24 random bits behind element e, from the layout alone. */
static uint32_t drawn(const struct rpu_stream *bits, const struct rpu_stream *ties, uint64_t e) {
    uint32_t w[4], t[4];
    const uint64_t g = e / RPU_BITS_GROUP, r = e % RPU_BITS_GROUP;
    table.k.philox(bits, (uint32_t)(4 * g + r % 8 / 2), 1, w);
    table.k.philox(ties, (uint32_t)e, 1, t);
    return (w[r / 8] >> (r % 2 * 16) & 0xffffu) << 8 | (t[0] & 0xffu);
}

static void split(uint32_t t, uint16_t *hi, uint16_t *lo) {
    *hi = t == 1u << 24 ? 0xffff : (uint16_t)(t >> 8);
    *lo = t == 1u << 24 ? 256 : (uint16_t)(t & 0xffu);
}

/* An element fires exactly if its 24-bit number is below the threshold T. The numbers are uniform (test_uniform_bits),
 * so its probability is T / 2^24. Thresholds right beside the number go through the tie path both ways. */
static void test_bernoulli_exact(void **state) {
    enum { N = 20000 };
    const struct rpu_stream bits = rpu_stream_make(seed, RPU_RNG_ROW_BITS, 1, 5, 6);
    const struct rpu_stream ties = rpu_stream_make(seed, RPU_RNG_ROW_TIES, 1, 5, 6);
    static const int32_t beside[] = {-300, -256, -255, -1, 0, 1, 2, 255, 256, 300};
    uint16_t *hi = allocate(2 * N), *lo = allocate(2 * N);
    uint64_t plane[N / 64 + 1];
    uint32_t r[N];
    (void)state;
    for (size_t i = 0; i < N; i++)
        r[i] = drawn(&bits, &ties, 1000 + i);
    for (size_t k = 0; k < sizeof beside / sizeof beside[0]; k++) {
        size_t want = 0;
        for (size_t i = 0; i < N; i++) {
            const int32_t t = (int32_t)r[i] + beside[k];
            split((uint32_t)(t < 0 ? 0 : (t > 1 << 24 ? 1 << 24 : t)), &hi[i], &lo[i]);
        }
        const size_t ones = table.k.bernoulli(&bits, &ties, 1000, N, hi, lo, plane);
        for (size_t i = 0; i < N; i++) {
            const int32_t t = (int32_t)r[i] + beside[k];
            const int fires = (int32_t)r[i] < (t > 1 << 24 ? 1 << 24 : t);
            want += (size_t)fires;
            if ((int)(plane[i / 64] >> (i % 64) & 1u) != fires)
                fail_msg("element %zu with number %u and threshold %d", i, r[i], t);
        }
        assert_int_equal(ones, want);
    }
    test_free(hi);
    test_free(lo);
}

/* Probabilities to thresholds: T = floor(p 2^24), so that T / 2^24 is within 2^-24 below p. */
static void test_threshold_exact(void **state) {
    uint64_t r = seed;
    (void)state;
    for (int i = 0; i < 2000000; i++) {
        uint16_t hi, lo;
        r = r * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const int shift = (int)(r >> 40) % 40;
        const float p = ldexpf((float)(uint32_t)(r >> 40), -24 - shift);
        assert_int_equal(table.k.threshold(1, 1.0f, &p, &hi, &lo), 0);
        const double t = (double)((uint32_t)hi << 8) + (double)lo;
        assert_true(t <= (double)p * 0x1p24 && (double)p * 0x1p24 < t + 1.0);
    }
    const float sure[] = {1.0f, 0x1.000002p0f, 5.0f, INFINITY, NAN, 0.0f, -0.0f, -1.0f};
    uint16_t hi[8], lo[8];
    assert_int_equal(table.k.threshold(8, 1.0f, sure, hi, lo), 3);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(hi[i], i < 4 || i == 7 ? 0xffff : 0);
        assert_int_equal(lo[i], i < 4 || i == 7 ? 256 : 0);
    }
}

static double frequency(double p, size_t n, uint32_t image) {
    enum { BLOCK = 1 << 16 };
    const struct rpu_stream bits = rpu_stream_make(seed, RPU_RNG_COL_BITS, image, 0, 0);
    const struct rpu_stream ties = rpu_stream_make(seed, RPU_RNG_COL_TIES, image, 0, 0);
    uint16_t *hi = allocate(2 * BLOCK), *lo = allocate(2 * BLOCK);
    uint64_t plane[BLOCK / 64];
    const float one = (float)p;
    double ones = 0.0;
    table.k.threshold(1, 1.0f, &one, hi, lo);
    for (size_t i = 1; i < BLOCK; i++)
        hi[i] = hi[0], lo[i] = lo[0];
    for (size_t at = 0; at < n; at += BLOCK)
        ones += (double)table.k.bernoulli(&bits, &ties, at, BLOCK, hi, lo, plane);
    test_free(hi);
    test_free(lo);
    return ones;
}

static void test_bernoulli_frequency(void **state) {
    static const double ps[] = {1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.25, 0.3, 0.5, 0.75, 0.9, 0.999, 0.999999, 1.0};
    (void)state;
    for (size_t k = 0; k < sizeof ps / sizeof ps[0]; k++) {
        const size_t n = scaled(ps[k] < 1e-3 ? 1u << 26 : 1u << 22);
        const double exact = floor((double)(float)ps[k] * 0x1p24) * 0x1p-24, mean = (double)n * exact;
        const double ones = frequency(ps[k], n, (uint32_t)k);
        print_message("p = %g: %.0f of %zu, expected %.1f\n", ps[k], ones, n, mean);
        if (exact == 1.0)
            assert_true(ones == (double)n);
        else if (exact < 0.5)
            likely("frequency", exact < 1e-3 ? stats_poisson(ones, mean)
                                             : erfc(fabs(ones - mean) / sqrt(2.0 * mean * (1.0 - exact))));
        else
            likely("frequency of misses", stats_poisson((double)n - ones, (double)n - mean));
    }
    assert_true(frequency(0.0, 1 << 20, 99) == 0.0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_random123),
        cmocka_unit_test(test_counter_fields),
        cmocka_unit_test(test_keys_distinct),
        cmocka_unit_test(test_transform),
        cmocka_unit_test(test_moments_and_tails),
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_independence_in_stream),
        cmocka_unit_test(test_independence_of_streams),
        cmocka_unit_test(test_pairs_on_grid),
        cmocka_unit_test(test_uniform_bits),
        cmocka_unit_test(test_bernoulli_exact),
        cmocka_unit_test(test_threshold_exact),
        cmocka_unit_test(test_bernoulli_frequency),
    };
    seed = stats_seed(argc, argv, 20261123);
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    rpu_table_fill(&table, rpu_cpu_flags(), NULL, NULL);
    discrete = enumerate();
    print_message("seed %llu, kernels %s\n", (unsigned long long)seed, table.isa);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
