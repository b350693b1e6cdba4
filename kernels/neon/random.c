/* SPDX-License-Identifier: Apache-2.0 */
/* Philox blocks, Gaussians, thresholds and Bernoulli planes. The unit is eight blocks as two vectors: enough to cover
 * the latency of the multiplications, and a whole Gaussian group or 64 sixteen-bit numbers. */
#include "neon.h"

void K(philox)(const struct rpu_stream *stream, uint32_t first, size_t count, uint32_t *out) {
    const struct philox p = philox_begin(stream);
    uint32_t rest[4 * VEC];
    size_t b = 0;
    for (; b + 2 * VEC <= count; b += 2 * VEC) {
        const struct words s = philox4(&p, first + (uint32_t)b), t = philox4(&p, first + (uint32_t)b + VEC);
        const uint32x4x4_t blocks = {{s.w0, s.w1, s.w2, s.w3}}, more = {{t.w0, t.w1, t.w2, t.w3}};
        vst4q_u32(out + 4 * b, blocks);
        vst4q_u32(out + 4 * b + 4 * VEC, more);
    }
    if (b + VEC <= count) {
        const struct words s = philox4(&p, first + (uint32_t)b);
        const uint32x4x4_t blocks = {{s.w0, s.w1, s.w2, s.w3}};
        vst4q_u32(out + 4 * b, blocks);
        b += VEC;
    }
    if (b < count) {
        const struct words s = philox4(&p, first + (uint32_t)b);
        const uint32x4x4_t blocks = {{s.w0, s.w1, s.w2, s.w3}};
        vst4q_u32(rest, blocks);
        memcpy(out + 4 * b, rest, (count - b) * 4 * sizeof *out);
    }
}

/* ---- Gaussians: rpu_gauss_pair of kernel_math.h on four lanes ---- */

/* k: 24 bits. */
INLINE float32x4_t gauss_radius(uint32x4_t k) {
    const float32x4_t u = vfmaq_f32(vdupq_n_f32(RPU_U_OFFSET), vcvtq_f32_u32(k), vdupq_n_f32(RPU_U_SCALE));
    const int32x4_t bits = vreinterpretq_s32_f32(u);
    /* the exponent stays at bit 23, and its factor is smaller by that power of two: the product is the same */
    const int32x4_t e = vandq_s32(vsubq_s32(bits, vdupq_n_s32((int32_t)RPU_SQRT_HALF)), vdupq_n_s32(-0x800000));
    const int32x4_t mantissa = vsubq_s32(bits, e);
    const float32x4_t t = vsubq_f32(vreinterpretq_f32_s32(mantissa), vdupq_n_f32(1.0f));
    float32x4_t q = vfmaq_f32(vdupq_n_f32(RPU_LQ4), t, vdupq_n_f32(RPU_LQ5));
    q = vfmaq_f32(vdupq_n_f32(RPU_LQ3), q, t);
    q = vfmaq_f32(vdupq_n_f32(RPU_LQ2), q, t);
    q = vfmaq_f32(vdupq_n_f32(RPU_LQ1), q, t);
    q = vfmaq_f32(vdupq_n_f32(RPU_LQ0), q, t);
    return vsqrtq_f32(vfmaq_f32(vmulq_f32(vcvtq_f32_s32(e), vdupq_n_f32(RPU_M2LN2 * 0x1p-23f)), t, q));
}

/* One pair on four blocks, stored at out and out + 8. `angle`: the lower 16 bits count. */
INLINE void gauss_pair(uint32x4_t k, uint32x4_t angle, float *out) {
    const uint32x4_t sign = vandq_u32(vshlq_n_u32(angle, 16), vdupq_n_u32(0x80000000u));
    const float32x4_t radius = vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(gauss_radius(k)), sign));
    const float32x4_t turn = vcvtq_f32_u32(vandq_u32(angle, vdupq_n_u32(0x3fffu)));
    const float32x4_t a = vfmaq_f32(vdupq_n_f32(RPU_ANGLE_OFFSET), turn, vdupq_n_f32(RPU_ANGLE_SCALE));
    const float32x4_t z = vmulq_f32(a, a);
    const uint32x4_t swap = vtstq_u32(angle, vdupq_n_u32(0x4000u));
    float32x4_t s = vfmaq_f32(vdupq_n_f32(RPU_SIN1), vdupq_n_f32(RPU_SIN2), z);
    float32x4_t c = vfmaq_f32(vdupq_n_f32(RPU_COS2), vdupq_n_f32(RPU_COS3), z);
    s = vmulq_f32(a, vfmaq_f32(vdupq_n_f32(RPU_SIN0), s, z));
    c = vfmaq_f32(vdupq_n_f32(RPU_COS1), c, z);
    c = vfmaq_f32(vdupq_n_f32(RPU_COS0), c, z);
    vst1q_f32(out, vmulq_f32(radius, vbslq_f32(swap, s, c)));
    vst1q_f32(out + 8, vmulq_f32(radius, vbslq_f32(swap, c, s)));
}

INLINE uint32x4_t third_angle(const struct words *w) {
    const uint32x4_t byte = vdupq_n_u32(0xffu);
    return vorrq_u32(vshlq_n_u32(vandq_u32(w->w0, byte), 8), vandq_u32(w->w1, byte));
}

/* The first `pairs` pairs of the eight blocks of a group. */
INLINE void gauss_group(const struct philox *p, uint32_t group, const size_t pairs, float *out) {
    const struct words a = philox4(p, group * 8), b = philox4(p, group * 8 + VEC);
    gauss_pair(vshrq_n_u32(a.w0, 8), a.w3, out);
    gauss_pair(vshrq_n_u32(b.w0, 8), b.w3, out + VEC);
    if (pairs > 1) {
        gauss_pair(vshrq_n_u32(a.w1, 8), vshrq_n_u32(a.w3, 16), out + GAUSS_PAIRS);
        gauss_pair(vshrq_n_u32(b.w1, 8), vshrq_n_u32(b.w3, 16), out + GAUSS_PAIRS + VEC);
    }
    if (pairs > 2) {
        gauss_pair(vshrq_n_u32(a.w2, 8), third_angle(&a), out + 2 * GAUSS_PAIRS);
        gauss_pair(vshrq_n_u32(b.w2, 8), third_angle(&b), out + 2 * GAUSS_PAIRS + VEC);
    }
}

void rpu_neon_gauss(const struct philox *p, uint32_t group, size_t count, float *out) {
    for (; count >= RPU_GAUSS_GROUP; count -= RPU_GAUSS_GROUP) {
        gauss_group(p, group++, 3, out);
        out += RPU_GAUSS_GROUP;
    }
    if (count > 0)
        gauss_group(p, group, count / GAUSS_PAIRS, out);
}

void rpu_neon_gauss_blocks(const struct philox *p, uint32_t block, size_t blocks, float *out) {
    for (size_t b = 0; b < blocks; b += VEC, out += VEC * RPU_GAUSS_BLOCK) {
        const struct words w = philox4(p, block + (uint32_t)b);
        float pair[RPU_GAUSS_BLOCK / 2][GAUSS_PAIRS];
        gauss_pair(vshrq_n_u32(w.w0, 8), w.w3, pair[0]);
        gauss_pair(vshrq_n_u32(w.w1, 8), vshrq_n_u32(w.w3, 16), pair[1]);
        gauss_pair(vshrq_n_u32(w.w2, 8), third_angle(&w), pair[2]);
        for (unsigned k = 0; k < RPU_GAUSS_BLOCK / 2; k++) {
            const float32x4x2_t two = vzipq_f32(vld1q_f32(pair[k]), vld1q_f32(pair[k] + 8));
            vst1_f32(out + 2 * k, vget_low_f32(two.val[0]));
            vst1_f32(out + RPU_GAUSS_BLOCK + 2 * k, vget_high_f32(two.val[0]));
            vst1_f32(out + 2 * RPU_GAUSS_BLOCK + 2 * k, vget_low_f32(two.val[1]));
            vst1_f32(out + 3 * RPU_GAUSS_BLOCK + 2 * k, vget_high_f32(two.val[1]));
        }
    }
}

void K(gaussian)(const struct rpu_stream *stream, uint64_t first, size_t count, float *out) {
    const struct philox p = philox_begin(stream);
    float group[RPU_GAUSS_GROUP];
    while (count > 0) {
        const size_t skip = (size_t)(first % RPU_GAUSS_GROUP);
        const uint32_t at = (uint32_t)(first / RPU_GAUSS_GROUP);
        size_t n = count / RPU_GAUSS_GROUP * RPU_GAUSS_GROUP;
        if (skip == 0 && n > 0) {
            rpu_neon_gauss(&p, at, n, out);
        } else {
            n = RPU_GAUSS_GROUP - skip < count ? RPU_GAUSS_GROUP - skip : count;
            rpu_neon_gauss(&p, at, (skip + n + GAUSS_PAIRS - 1) / GAUSS_PAIRS * GAUSS_PAIRS, group);
            memcpy(out, group + skip, n * sizeof *out);
        }
        first += n;
        out += n;
        count -= n;
    }
}

/* ---- thresholds ---- */

struct thresholds {
    uint16x8_t hi, lo;
    uint32x4_t clipped; /* minus the number of lanes above 1 */
};

/* FCVTZU makes NaN 0. The upper halves of T are 256 where it is 2^24, else at most 255. */
INLINE struct thresholds threshold8(float32x4_t a, float32x4_t b, float32x4_t c) {
    const float32x4_t one = vdupq_n_f32(1.0f), scale = vdupq_n_f32(0x1p24f);
    const float32x4_t pa = vmulq_f32(c, vabsq_f32(a)), pb = vmulq_f32(c, vabsq_f32(b));
    const uint16x8_t ta = vreinterpretq_u16_u32(vcvtq_u32_f32(vmulq_f32(vminq_f32(pa, one), scale)));
    const uint16x8_t tb = vreinterpretq_u16_u32(vcvtq_u32_f32(vmulq_f32(vminq_f32(pb, one), scale)));
    const uint16x8_t low = vuzp1q_u16(ta, tb), high = vuzp2q_u16(ta, tb);
    const struct thresholds r = {
        vsubq_u16(vsliq_n_u16(vshrq_n_u16(low, 8), high, 8), vshrq_n_u16(high, 8)),
        vaddq_u16(vandq_u16(low, vdupq_n_u16(0xff)), vandq_u16(high, vdupq_n_u16(0x100))),
        vaddq_u32(vcgtq_f32(pa, one), vcgtq_f32(pb, one)),
    };
    return r;
}

size_t K(threshold)(size_t count, float c, const float *v, uint16_t *hi, uint16_t *lo) {
    const float32x4_t factor = vdupq_n_f32(c);
    uint32x4_t clipped = vdupq_n_u32(0);
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const struct thresholds t = threshold8(vld1q_f32(v + i), vld1q_f32(v + i + VEC), factor);
        vst1q_u16(hi + i, t.hi);
        vst1q_u16(lo + i, t.lo);
        clipped = vsubq_u32(clipped, t.clipped);
    }
    if (i < count) {
        float rest[8] = {0};
        uint16_t part[16];
        memcpy(rest, v + i, (count - i) * sizeof *v);
        const struct thresholds t = threshold8(vld1q_f32(rest), vld1q_f32(rest + VEC), vdupq_n_f32(c));
        vst1q_u16(part, t.hi);
        vst1q_u16(part + 8, t.lo);
        memcpy(hi + i, part, (count - i) * sizeof *hi);
        memcpy(lo + i, part + 8, (count - i) * sizeof *lo);
        clipped = vsubq_u32(clipped, t.clipped);
    }
    return vaddvq_u32(clipped);
}

/* ---- Bernoulli planes: 64 elements, two groups of the bit stream, at a time ---- */

enum { SPAN = 64 };

static uint32_t tie_bits(const struct rpu_stream *ties, uint64_t element) {
    uint32_t block[4];
    K(philox)(ties, (uint32_t)element, 1, block);
    return block[0] & 255u;
}

/* Bit l of the result: lane l of the eight vectors is all ones. */
INLINE uint64_t pack64(const uint16x8_t m[8]) {
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t weight = vld1q_u8(weights);
    uint8x16_t b[4];
    UNROLL
    for (int k = 0; k < 4; k++)
        b[k] = vandq_u8(vuzp1q_u8(vreinterpretq_u8_u16(m[2 * k]), vreinterpretq_u8_u16(m[2 * k + 1])), weight);
    const uint8x16_t sums = vpaddq_u8(vpaddq_u8(b[0], b[1]), vpaddq_u8(b[2], b[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
}

INLINE int all_zero(const uint16_t *hi, const uint16_t *lo) {
    uint16x8_t any = vdupq_n_u16(0);
    UNROLL
    for (int k = 0; k < 8; k++)
        any = vorrq_u16(any, vorrq_u16(vld1q_u16(hi + 8 * k), vld1q_u16(lo + 8 * k)));
    return vmaxvq_u16(any) == 0;
}

/* The elements whose sixteen bits equal their threshold, one in 2^16 where all thresholds are odd. */
static uint64_t settle_ties(const struct rpu_stream *ties, uint64_t first, const uint16x8_t tied[8],
                            const uint16_t *lo) {
    uint16x8_t mask[8];
    uint64_t fires = 0;
    for (int k = 0; k < 8; k++)
        mask[k] = vcgtq_u16(tied[k], vdupq_n_u16(0));
    for (uint64_t left = pack64(mask); left; left &= left - 1) {
        const unsigned i = (unsigned)__builtin_ctzll(left);
        fires |= (uint64_t)(tie_bits(ties, first + i) < lo[i]) << i;
    }
    return fires;
}

/* Elements first .. first + 63, first a multiple of 32. Nothing is drawn where none can fire. */
INLINE uint64_t fire64(const struct philox *p, const struct rpu_stream *ties, uint64_t first, const uint16_t *hi,
                       const uint16_t *lo) {
    if (all_zero(hi, lo))
        return 0;
    const uint32_t block = (uint32_t)(first / RPU_BITS_GROUP) * 4;
    const struct words a = philox4(p, block), b = philox4(p, block + VEC);
    const uint32x4_t r[8] = {a.w0, a.w1, a.w2, a.w3, b.w0, b.w1, b.w2, b.w3};
    uint16x8_t below[8], tied[8], any = vdupq_n_u16(0);
    UNROLL
    for (int k = 0; k < 8; k++) {
        const uint16x8_t bits = vreinterpretq_u16_u32(r[k]), limit = vld1q_u16(hi + 8 * k);
        below[k] = vcltq_u16(bits, limit);
        tied[k] = vandq_u16(vceqq_u16(bits, limit), vld1q_u16(lo + 8 * k));
        any = vorrq_u16(any, tied[k]);
    }
    const uint64_t fires = pack64(below);
    return vmaxvq_u16(any) == 0 ? fires : fires | settle_ties(ties, first, tied, lo);
}

/* The same for a span of which only [from, to) are elements: zeros elsewhere never fire. */
static uint64_t fire_part(const struct philox *p, const struct rpu_stream *ties, uint64_t first, size_t from, size_t to,
                          const uint16_t *hi, const uint16_t *lo) {
    uint16_t h[SPAN] = {0}, l[SPAN] = {0};
    memcpy(h + from, hi, (to - from) * sizeof *h);
    memcpy(l + from, lo, (to - from) * sizeof *l);
    return fire64(p, ties, first, h, l);
}

size_t rpu_neon_bernoulli(const struct philox *p, const struct rpu_stream *ties, uint64_t first, size_t count,
                          const uint16_t *hi, const uint16_t *lo, uint64_t *plane) {
    const size_t shift = (size_t)(first % RPU_BITS_GROUP), words = (count + 63) / 64;
    const uint64_t start = first - shift;
    size_t ones = 0;
    for (size_t v = 0; v < count + shift && count > 0; v += SPAN) { /* v: from the first group's start */
        const size_t from = v < shift ? shift - v : 0;
        const size_t to = count + shift - v < SPAN ? count + shift - v : SPAN;
        const size_t i = v + from - shift;
        const uint64_t fires = to - from == SPAN ? fire64(p, ties, start + v, hi + i, lo + i)
                                                 : fire_part(p, ties, start + v, from, to, hi + i, lo + i);
        if (v > 0 && shift > 0)
            plane[v / 64 - 1] |= fires << (64 - shift);
        if (v / 64 < words)
            plane[v / 64] = fires >> shift;
        ones += (size_t)__builtin_popcountll(fires);
    }
    return ones;
}

size_t K(bernoulli)(const struct rpu_stream *bits, const struct rpu_stream *ties, uint64_t first, size_t count,
                    const uint16_t *hi, const uint16_t *lo, uint64_t *plane) {
    const struct philox p = philox_begin(bits);
    return rpu_neon_bernoulli(&p, ties, first, count, hi, lo, plane);
}
