/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over weights and their device parameters: what is left of an update when pulses and noise are there already.
 * Vectors of the compiler's own, no intrinsics; compiled once for each instruction set, products and sums contracted.
 * The noise is taken as it comes, eight numbers for eight weights, and the conflicts of equal crosspoints in
 * neighbouring vectors are not looked for: the update cannot be faster for that, only slower. */
#include "bound.h"

#include <string.h>

#define PASTE_(a, b)   a##b
#define PASTE(a, b)    PASTE_(a, b)
#define NAME(function) PASTE(function, TOUCH_ISA)

/* Keeps the compiler from taking a vector's arithmetic apart where its elements go different ways. */
#ifdef __AVX2__
#define AS_A_WHOLE(v) __asm__("" : "+x"(v))
#else
#define AS_A_WHOLE(v) __asm__("" : "+m"(v))
#endif

typedef float v8f __attribute__((vector_size(32)));
typedef uint32_t v8u __attribute__((vector_size(32)));
typedef uint32_t v4u __attribute__((vector_size(16)));
typedef int32_t v8i __attribute__((vector_size(32)));

static inline v8f as_float(v8u v) {
    return (v8f)v;
}

static inline v8f to_float(v8u v) {
    return __builtin_convertvector((v8i)v, v8f);
}

static inline v8u load(const void *from) {
    v8u v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline v4u load4(const void *from) {
    v4u v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline v8f splat(float value) {
    return (v8f){value, value, value, value, value, value, value, value};
}

static inline v8u splat_bits(uint32_t value) {
    return (v8u){value, value, value, value, value, value, value, value};
}

static inline v8f smaller(v8f a, v8f b) {
    v8f r;
    for (int l = 0; l < 8; l++)
        r[l] = a[l] < b[l] ? a[l] : b[l];
    return r;
}

static inline v8f larger(v8f a, v8f b) {
    v8f r;
    for (int l = 0; l < 8; l++)
        r[l] = a[l] > b[l] ? a[l] : b[l];
    return r;
}

/* One step of eight weights. `steps`: up step in the low, down step in the high half; `bounds` likewise. `hit`: lanes
 * that take it; the others get a step of 0. */
static inline v8f step(const struct touch *t, v8f w, v8u steps, v8u bounds, v8u down, v8u hit, v8f noise) {
    const v8u q = (steps >> (down >> 27)) & hit;
    const v8f delta = as_float((v8u)(to_float(q) * splat(t->step_unit)) ^ down);
    const v8f upper = to_float(bounds & splat_bits(0xffffu)) * splat(t->bound_unit);
    const v8f lower = to_float(bounds >> 16) * splat(-t->bound_unit);
    const v8f v = w + delta * (splat(1.0f) + splat(t->ctoc) * noise);
    return larger(smaller(v, upper), lower);
}

static inline v8u join(v4u a, v4u b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7);
}

/* Device parameters of crosspoints 0, 1, 4, 5 and 2, 3, 6, 7 to the steps and bounds of all eight. */
static inline v8u steps_of(v8u a, v8u b) {
    return (v8u)__builtin_shufflevector((v8f)a, (v8f)b, 0, 2, 8, 10, 4, 6, 12, 14);
}

static inline v8u bounds_of(v8u a, v8u b) {
    return (v8u)__builtin_shufflevector((v8f)a, (v8f)b, 1, 3, 9, 11, 5, 7, 13, 15);
}

void NAME(touch_row_)(const struct touch *touch, const struct hit_run *run, size_t n) {
    const struct touch local = *touch, *const t = &local; /* which no weight can overlap */
    const uint64_t *const plane = run->plane;
    const float *const x = run->x;
    static const v8u places = {1, 2, 4, 8, 16, 32, 64, 128};
    const v8u flip = splat_bits(run->flip), sign = splat_bits(1u << 31), low = splat_bits(0xffffu);
    float *w = t->w + run->first;
    const uint16_t *dev = t->dev + 4 * run->first;
    for (size_t j = 0; j < n; j += 8) {
        const v8u byte = splat_bits((uint32_t)(plane[j / 64] >> (j % 64)));
        const v8u hit = (v8u)((byte & places) == places) & low;
        const v8u a = join(load4(dev + 4 * j), load4(dev + 4 * j + 16));
        const v8u b = join(load4(dev + 4 * j + 8), load4(dev + 4 * j + 24));
        const v8u down = (load(x + j) & sign) ^ flip;
        const v8f noise = as_float(load(t->noise + j % TOUCH_NOISE));
        const v8f v = step(t, as_float(load(w + j)), steps_of(a, b), bounds_of(a, b), down, hit, noise);
        memcpy(w + j, &v, sizeof v);
    }
}

static inline void touch_one(const struct touch *t, uint32_t at, uint32_t down, float noise) {
    const uint16_t *dev = t->dev + 4 * (size_t)at;
    const float unit = down ? -t->step_unit : t->step_unit;
    const float upper = (float)dev[2] * t->bound_unit, lower = -((float)dev[3] * t->bound_unit);
    const float v = t->w[at] + (float)dev[down >> 31] * unit * (1.0f + t->ctoc * noise);
    t->w[at] = v > upper ? upper : (v < lower ? lower : v);
}

typedef uint64_t v2d __attribute__((vector_size(16)));

static inline v4u two(const uint16_t *dev, size_t a, size_t b) {
    v2d v;
    memcpy(&v, dev + 4 * a, sizeof v[0]);
    memcpy((char *)&v + sizeof v[0], dev + 4 * b, sizeof v[0]);
    return (v4u)v;
}

void NAME(touch_list_)(const struct touch *touch, const uint32_t *at, const uint32_t *down, size_t count) {
    const struct touch local = *touch, *const t = &local; /* which no weight can overlap */
    float *const w = local.w;
    const uint16_t *const dev = local.dev;
    size_t k = 0;
    for (; k + 8 <= count; k += 8) {
        const uint32_t *c = at + k;
        const v8u a = join(two(dev, c[0], c[1]), two(dev, c[4], c[5]));
        const v8u b = join(two(dev, c[2], c[3]), two(dev, c[6], c[7]));
        const v8f old = {w[c[0]], w[c[1]], w[c[2]], w[c[3]], w[c[4]], w[c[5]], w[c[6]], w[c[7]]};
        const v8f noise = as_float(load(t->noise + k % TOUCH_NOISE));
        v8f v = step(t, old, steps_of(a, b), bounds_of(a, b), load(down + k), splat_bits(0xffffu), noise);
        AS_A_WHOLE(v);
        for (size_t l = 0; l < 8; l++)
            w[c[l]] = v[l];
    }
    for (; k < count; k++)
        touch_one(t, at[k], down[k], t->noise[k % TOUCH_NOISE]);
}
