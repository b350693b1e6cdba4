/* SPDX-License-Identifier: Apache-2.0 */
/* Generated handwritten-like digits.
 *
 * A digit is drawn as a person would: a skeleton of a few strokes (one of several ways to write that digit) whose
 * control points wobble, carried through a random affine map and a smooth distortion, then inked with a pen of random
 * width. The picture is fitted into a 20 x 20 box and put with its centre of mass at the centre of 28 x 28, as the
 * images of MNIST are. Arithmetic is + - * /, sqrt and the polynomials of poly.h, all in double.
 *
 * Random numbers: purpose RPU_RNG_DIGITS, counter word 1 = image number i, word 2 = set << 8 | part (set 0 = training,
 * 1 = test), word 3 = 0, word 0 = block; the words of a block are used in order 0..3.
 *
 * | part         | words                                                                                        |
 * |--------------|----------------------------------------------------------------------------------------------|
 * | 0 form       | 0 label, 1 style, 2.. : pen and affine map, smooth distortion, in the order of draw_form     |
 * | 1 points     | control point p: words 4p, 4p+1 its x, 4p+2, 4p+3 its y                                      |
 * | 2 noise      | one word for each group of four pixels, a byte a pixel                                       |
 *
 * A "normal" number here is the sum of four 16-bit uniforms (two words), scaled to variance 1: it cannot exceed 3.47,
 * so no draw leaves the paper. */
#include <rpu/data.h>

#include <math.h> /* sqrt only */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "poly.h"
#include "rng.h"

#define SIDE          28
#define BOX           20.0 /* side of the box that the ink fits */
#define CENTRE        14.5 /* where MNIST's centres of mass lie, in coordinates in which pixel k spans [k, k + 1) */
#define STEPS         5    /* straight pieces between two control points */
#define STYLE_MAX     18   /* control points of a style */
#define PATH_MAX      (STYLE_MAX * STEPS + 1)
#define WAVES         3 /* components of the smooth distortion, for each direction */
#define TWO_PI        6.28318530717958647693
#define DEFAULT_TRAIN 60000u
#define DEFAULT_TEST  10000u

enum part { PART_FORM, PART_POINTS, PART_NOISE };

/* ---- skeletons ---- */

/* How the path runs on from a control point. */
enum join {
    S, /* smoothly */
    C, /* with a corner */
    E, /* not at all: the pen is lifted */
    F  /* nor to another stroke: the digit is finished */
};

struct control {
    signed char x, y; /* y runs down from 0 to 100 */
    signed char join;
};

/* One way to write a digit; the last point, and no other, has join F. */
struct style {
    unsigned char weight; /* relative frequency among the digit's styles */
    struct control points[STYLE_MAX];
};

#define STYLES_MAX 4

/* clang-format off */
static const struct style skeletons[10][STYLES_MAX] = {
    /* 0 */
    {{40, {{38, 0, S}, {12, 16, S}, {0, 50, S}, {10, 84, S}, {34, 100, S}, {60, 84, S}, {70, 50, S},
      {60, 14, S}, {36, 0, F}}},
     {25, {{54, 6, S}, {30, 2, S}, {8, 26, S}, {2, 62, S}, {18, 96, S}, {46, 94, S}, {62, 62, S}, {58, 22, S},
      {34, 2, F}}},
     {20, {{34, 0, S}, {8, 12, S}, {0, 50, S}, {12, 90, S}, {36, 98, S}, {52, 74, S}, {54, 30, S}, {32, 2, F}}},
     {15, {{60, 10, S}, {36, 0, S}, {8, 22, S}, {0, 58, S}, {22, 94, S}, {56, 94, S}, {78, 62, S}, {74, 24, S},
      {48, 2, S}, {26, 8, F}}}},
    /* 1 */
    {{70, {{0, 0, S}, {0, 50, S}, {0, 100, F}}},
     {14, {{6, 0, S}, {0, 46, S}, {4, 100, F}}},
     {10, {{-24, 22, S}, {0, 0, C}, {0, 50, S}, {0, 100, F}}},
     {6, {{-22, 20, S}, {0, 0, C}, {0, 50, S}, {0, 100, E}, {-28, 100, S}, {28, 99, F}}}},
    /* 2 */
    {{32, {{2, 20, S}, {20, 2, S}, {48, 2, S}, {56, 26, S}, {38, 60, S}, {2, 98, C}, {36, 96, S}, {72, 94, F}}},
     {32, {{4, 16, S}, {28, 0, S}, {52, 12, S}, {48, 44, S}, {26, 80, S}, {6, 96, S}, {0, 86, S}, {12, 76, S},
      {32, 84, S}, {52, 98, S}, {66, 96, S}, {74, 88, F}}},
     {22, {{0, 24, S}, {14, 4, S}, {40, 0, S}, {58, 20, S}, {44, 54, S}, {6, 92, C}, {26, 86, S}, {50, 98, S},
      {76, 90, F}}},
     {14, {{6, 10, S}, {36, 0, S}, {56, 18, S}, {46, 54, S}, {24, 88, S}, {4, 94, S}, {16, 82, S}, {46, 90, S},
      {78, 82, F}}}},
    /* 3 */
    {{38, {{2, 12, S}, {28, 0, S}, {54, 12, S}, {50, 34, S}, {24, 46, C}, {56, 58, S}, {62, 80, S},
      {36, 100, S}, {0, 90, F}}},
     {26, {{2, 14, S}, {30, 0, S}, {56, 12, S}, {44, 38, S}, {24, 48, S}, {20, 44, S}, {30, 44, S},
      {56, 56, S}, {62, 78, S}, {42, 98, S}, {18, 98, S}, {0, 88, F}}},
     {16, {{4, 2, S}, {32, 2, S}, {60, 2, C}, {28, 40, C}, {56, 52, S}, {62, 80, S}, {36, 100, S}, {0, 90, F}}},
     {20, {{0, 8, S}, {30, 0, S}, {52, 14, S}, {44, 36, S}, {20, 46, S}, {46, 52, S}, {56, 72, S}, {40, 94, S},
      {14, 100, S}, {-6, 92, F}}}},
    /* 4 */
    {{32, {{10, 6, S}, {2, 46, C}, {30, 50, S}, {70, 44, E}, {62, 0, S}, {58, 40, S}, {52, 70, S}, {48, 100, F}}},
     {20, {{48, 0, C}, {0, 62, C}, {40, 62, S}, {76, 58, E}, {50, 0, S}, {46, 100, F}}},
     {30, {{10, 2, S}, {0, 30, S}, {10, 52, S}, {36, 52, S}, {58, 32, S}, {64, 2, C}, {58, 36, S}, {54, 66, S},
      {52, 100, F}}},
     {18, {{24, 4, S}, {0, 50, C}, {36, 54, S}, {76, 48, E}, {54, 22, S}, {50, 50, S}, {44, 76, S}, {40, 100, F}}}},
    /* 5 */
    {{34, {{16, 4, S}, {10, 40, C}, {36, 36, S}, {58, 52, S}, {58, 78, S}, {34, 100, S}, {2, 92, E},
      {14, 4, S}, {64, 0, F}}},
     {34, {{68, 0, S}, {40, 3, S}, {16, 4, C}, {8, 42, C}, {36, 40, S}, {58, 56, S}, {54, 84, S}, {28, 100, S},
      {0, 90, F}}},
     {32, {{74, 0, S}, {46, 2, S}, {24, 10, S}, {16, 36, S}, {40, 52, S}, {52, 70, S}, {42, 92, S},
      {18, 100, S}, {-4, 90, F}}}},
    /* 6 */
    {{36, {{46, 0, S}, {20, 24, S}, {4, 60, S}, {12, 92, S}, {36, 99, S}, {56, 84, S}, {52, 62, S},
      {30, 54, S}, {8, 72, F}}},
     {28, {{28, 0, S}, {10, 40, S}, {2, 74, S}, {12, 98, S}, {36, 96, S}, {50, 78, S}, {42, 60, S},
      {20, 64, S}, {6, 84, F}}},
     {16, {{62, 8, S}, {42, 0, S}, {16, 22, S}, {2, 60, S}, {14, 94, S}, {42, 98, S}, {58, 80, S}, {48, 58, S},
      {22, 58, S}, {6, 76, F}}},
     {20, {{58, 0, S}, {30, 26, S}, {6, 66, S}, {10, 94, S}, {34, 98, S}, {58, 82, S}, {64, 64, S},
      {46, 58, S}, {16, 84, F}}}},
    /* 7 */
    {{40, {{0, 6, S}, {30, 5, S}, {62, 2, C}, {46, 34, S}, {34, 64, S}, {26, 100, F}}},
     {16, {{0, 6, S}, {30, 5, S}, {62, 2, C}, {46, 34, S}, {34, 64, S}, {24, 100, E}, {16, 54, S}, {60, 50, F}}},
     {20, {{-2, 20, S}, {4, 4, C}, {34, 4, S}, {64, 0, C}, {46, 38, S}, {36, 66, S}, {30, 100, F}}},
     {24, {{0, 14, S}, {20, 2, S}, {46, 6, S}, {60, 4, S}, {56, 26, S}, {40, 60, S}, {24, 100, F}}}},
    /* 8 */
    {{36, {{56, 12, S}, {32, 0, S}, {8, 14, S}, {16, 36, S}, {42, 54, S}, {54, 78, S}, {36, 99, S}, {8, 90, S},
      {6, 70, S}, {24, 52, S}, {46, 36, S}, {58, 16, S}, {50, 4, F}}},
     {20, {{32, 0, S}, {10, 10, S}, {10, 34, S}, {32, 46, S}, {52, 34, S}, {52, 10, S}, {30, 0, E},
      {32, 46, S}, {8, 60, S}, {4, 84, S}, {28, 100, S}, {54, 88, S}, {56, 62, S}, {30, 46, F}}},
     {24, {{60, 4, S}, {34, 2, S}, {14, 20, S}, {30, 44, S}, {48, 66, S}, {42, 92, S}, {18, 100, S},
      {2, 84, S}, {16, 62, S}, {42, 42, S}, {58, 22, S}, {62, 4, F}}},
     {20, {{30, 48, S}, {10, 30, S}, {18, 4, S}, {44, 2, S}, {54, 22, S}, {36, 44, S}, {10, 66, S}, {6, 90, S},
      {28, 100, S}, {46, 86, S}, {46, 66, S}, {26, 42, F}}}},
    /* 9 */
    {{32, {{56, 14, S}, {34, 0, S}, {10, 12, S}, {2, 36, S}, {22, 50, S}, {46, 38, S}, {58, 12, C},
      {56, 40, S}, {54, 66, S}, {52, 84, S}, {50, 100, F}}},
     {22, {{56, 18, S}, {34, 0, S}, {8, 12, S}, {4, 38, S}, {28, 48, S}, {50, 32, S}, {58, 12, C}, {60, 42, S},
      {56, 74, S}, {44, 92, S}, {26, 100, S}, {6, 94, F}}},
     {26, {{60, 10, S}, {36, 0, S}, {8, 16, S}, {4, 40, S}, {26, 50, S}, {50, 32, S}, {60, 8, S}, {54, 40, S},
      {40, 72, S}, {24, 100, F}}},
     {20, {{50, 16, S}, {26, 0, S}, {4, 16, S}, {12, 38, S}, {36, 34, S}, {52, 14, C}, {48, 40, S},
      {44, 70, S}, {42, 100, F}}}},
};
/* clang-format on */

/* ---- random numbers ---- */

/* A run of raw words of one part. */
struct words {
    struct rpu_stream stream;
    uint32_t block, used;
    uint32_t out[4];
};

static struct words words_open(uint64_t seed, uint32_t set, uint32_t image, enum part part) {
    struct words w = {rpu_stream_make(seed, RPU_RNG_DIGITS, image, set << 8 | (uint32_t)part, 0), 0, 4, {0, 0, 0, 0}};
    return w;
}

static uint32_t next_word(struct words *w) {
    if (w->used == 4) {
        w->stream.ctr[0] = w->block++;
        rpu_philox_block(w->stream.key, w->stream.ctr, w->out);
        w->used = 0;
    }
    return w->out[w->used++];
}

/* An integer in 0..n-1; n is small, so the bias of n / 2^32 does not matter. */
static uint32_t next_index(struct words *w, uint32_t n) {
    return (uint32_t)((uint64_t)next_word(w) * n >> 32);
}

static double next_uniform(struct words *w, double low, double high) {
    return low + (high - low) * ((double)next_word(w) * 0x1p-32);
}

/* Sum of four 16-bit uniforms: mean 2 * 65535, variance 4 (2^32 - 1) / 12. */
static double next_normal(struct words *w) {
    const uint32_t a = next_word(w), b = next_word(w);
    const uint32_t sum = (a & 0xffff) + (a >> 16) + (b & 0xffff) + (b >> 16);
    return ((double)sum - 131070.0) * 2.6428952e-05;
}

/* ---- one digit: its form ---- */

/* A component of the smooth distortion: a displacement along (ax, ay) that varies as a plane wave. */
struct wave {
    double kx, ky, phase, ax, ay;
};

struct form {
    const struct style *style;
    double wobble;  /* standard deviation of the control points, in units of the height */
    double a[2][2]; /* the affine map */
    struct wave wave[WAVES];
    double radius;   /* of the pen, in pixels */
    double taper;    /* relative change of the radius from the first to the last point */
    double edge;     /* width of the grey rim in pixels */
    double tone;     /* of full ink, 0..1 */
    double rough;    /* how far noise moves the outline, in pixels */
    double shift[2]; /* what whole-pixel centring leaves over */
};

static const struct style *pick_style(uint32_t label, struct words *w) {
    const struct style *style = skeletons[label];
    uint32_t total = 0;
    for (size_t k = 0; k < STYLES_MAX; k++)
        total += style[k].weight;
    uint32_t ticket = next_index(w, total);
    while (ticket >= style->weight)
        ticket -= (style++)->weight;
    return style;
}

/* Rotation after slant after stretching. Handwriting leans to the right. */
static void draw_affine(struct words *w, double a[2][2]) {
    const double stretch = rpu_exp(0.08 + 0.22 * next_normal(w));
    const double slant = 0.14 + 0.26 * next_normal(w);
    const double turn = 0.14 * next_normal(w);
    const double c = rpu_cos(turn), s = rpu_sin(turn);
    const double skew[2][2] = {{stretch, -slant}, {0.0, 1.0}};
    for (int j = 0; j < 2; j++) {
        a[0][j] = c * skew[0][j] - s * skew[1][j];
        a[1][j] = s * skew[0][j] + c * skew[1][j];
    }
}

/* Waves of 1/3 to 1.2 periods over the digit's height, in any direction. */
static void draw_waves(struct words *w, struct wave *wave) {
    for (int k = 0; k < WAVES; k++) {
        const double angle = next_uniform(w, 0.0, TWO_PI), periods = next_uniform(w, 0.35, 1.2);
        wave[k].kx = TWO_PI * periods * rpu_cos(angle);
        wave[k].ky = TWO_PI * periods * rpu_sin(angle);
        wave[k].phase = next_uniform(w, 0.0, TWO_PI);
        wave[k].ax = 0.040 * next_normal(w);
        wave[k].ay = 0.040 * next_normal(w);
    }
}

static uint32_t draw_form(struct words *w, struct form *form) {
    const uint32_t label = next_index(w, 10);
    form->style = pick_style(label, w);
    form->radius = 1.24 * rpu_exp(0.28 * next_normal(w));
    form->taper = 0.16 * next_normal(w);
    form->edge = next_uniform(w, 0.8, 1.3);
    form->tone = next_uniform(w, 0.96, 1.02);
    form->rough = next_uniform(w, 0.0, 0.6);
    form->wobble = 0.029 * rpu_exp(0.42 * next_normal(w));
    draw_affine(w, form->a);
    draw_waves(w, form->wave);
    form->shift[0] = next_uniform(w, -0.5, 0.5);
    form->shift[1] = next_uniform(w, -0.5, 0.5);
    return label;
}

/* ---- its path ---- */

struct point {
    double x, y, radius;
    int lift; /* no ink between this point and the next */
};

struct path {
    size_t count;
    struct point points[PATH_MAX];
};

/* Control points with their wobble, centred, in units of the height. */
static void draw_controls(struct words *w, const struct form *form, double (*at)[2]) {
    const struct control *control = form->style->points;
    size_t p = 0;
    do {
        at[p][0] = 0.01 * (double)control[p].x - 0.32 + form->wobble * next_normal(w);
        at[p][1] = 0.01 * (double)control[p].y - 0.50 + form->wobble * next_normal(w);
    } while (control[p++].join != F);
}

/* The path's tangent at control point p along one axis (a cardinal spline). At corners and ends each side has its own:
 * `side` is 0 for the piece that begins at p and 1 for the one that ends there. */
static double tangent(const struct style *style, double (*at)[2], size_t p, int side, int axis) {
    const int first = p == 0 || style->points[p - 1].join == E;
    const int smooth = style->points[p].join == S && !first;
    if (smooth)
        return 0.5 * (at[p + 1][axis] - at[p - 1][axis]);
    return side ? at[p][axis] - at[p - 1][axis] : at[p + 1][axis] - at[p][axis];
}

/* Position at t in [0, 1) of the piece from p to p + 1, by the cubic Hermite polynomials. */
static double along(const struct style *style, double (*at)[2], size_t p, double t, int axis) {
    const double p0 = at[p][axis], p1 = at[p + 1][axis];
    const double m0 = tangent(style, at, p, 0, axis), m1 = tangent(style, at, p + 1, 1, axis);
    const double c2 = 3.0 * (p1 - p0) - 2.0 * m0 - m1, c3 = 2.0 * (p0 - p1) + m0 + m1;
    return p0 + t * (m0 + t * (c2 + t * c3));
}

static void trace_path(const struct form *form, double (*at)[2], struct path *path) {
    const struct control *control = form->style->points;
    size_t p = 0;
    path->count = 0;
    do {
        const int lift = control[p].join == E || control[p].join == F;
        for (int s = 0; s < (lift ? 1 : STEPS); s++) {
            struct point *q = &path->points[path->count++];
            const double t = (double)s / STEPS;
            q->x = lift ? at[p][0] : along(form->style, at, p, t, 0);
            q->y = lift ? at[p][1] : along(form->style, at, p, t, 1);
            q->lift = lift;
        }
    } while (control[p++].join != F);
}

/* Distortion, then the affine map. */
static void deform(const struct form *form, struct path *path) {
    for (size_t k = 0; k < path->count; k++) {
        struct point *q = &path->points[k];
        double x = q->x, y = q->y;
        for (int i = 0; i < WAVES; i++) {
            const struct wave *wave = &form->wave[i];
            const double v = rpu_sin(wave->kx * q->x + wave->ky * q->y + wave->phase);
            x += wave->ax * v;
            y += wave->ay * v;
        }
        q->x = form->a[0][0] * x + form->a[0][1] * y;
        q->y = form->a[1][0] * x + form->a[1][1] * y;
    }
}

/* Scales the path so that the longer side of its ink fills the box. */
static void fit_box(const struct form *form, struct path *path) {
    double low[2] = {1e9, 1e9}, high[2] = {-1e9, -1e9};
    for (size_t k = 0; k < path->count; k++) {
        const double at[2] = {path->points[k].x, path->points[k].y};
        for (int axis = 0; axis < 2; axis++) {
            low[axis] = at[axis] < low[axis] ? at[axis] : low[axis];
            high[axis] = at[axis] > high[axis] ? at[axis] : high[axis];
        }
    }
    const double width = high[0] - low[0], height = high[1] - low[1];
    const double scale = (BOX - 2.0 * form->radius) / (width > height ? width : height);
    for (size_t k = 0; k < path->count; k++) {
        const double progress = (double)k / (double)(path->count - 1) - 0.5;
        path->points[k].x *= scale;
        path->points[k].y *= scale;
        path->points[k].radius = form->radius * (1.0 + form->taper * progress);
    }
}

/* Moves the centre of mass of the ink, each piece weighing its length times its width, to the image's centre. */
static void centre(const struct form *form, struct path *path) {
    double mass = 1e-9, sx = 0.0, sy = 0.0;
    for (size_t k = 0; k + 1 < path->count; k++) {
        const struct point *a = &path->points[k], *b = a + 1;
        const double dx = b->x - a->x, dy = b->y - a->y;
        const double m = a->lift ? 0.0 : sqrt(dx * dx + dy * dy) * a->radius;
        mass += m;
        sx += m * 0.5 * (a->x + b->x);
        sy += m * 0.5 * (a->y + b->y);
    }
    for (size_t k = 0; k < path->count; k++) {
        path->points[k].x += CENTRE + form->shift[0] - sx / mass;
        path->points[k].y += CENTRE + form->shift[1] - sy / mass;
    }
}

/* ---- its ink ---- */

/* First pixel whose centre is at or beyond v, kept on the paper. */
static int pixel_from(double v) {
    if (!(v > 0.5))
        return 0;
    return v >= SIDE ? SIDE : (int)(v + 0.5);
}

/* Depth of the ink, pen radius minus distance, of the piece from a to b: each pixel keeps the deepest. */
static void ink_piece(const struct point *a, const struct point *b, double margin, double *depth) {
    const double dx = b->x - a->x, dy = b->y - a->y, length2 = dx * dx + dy * dy + 1e-12;
    const double reach = a->radius + margin;
    const int x0 = pixel_from((dx < 0 ? b->x : a->x) - reach), x1 = pixel_from((dx < 0 ? a->x : b->x) + reach);
    const int y0 = pixel_from((dy < 0 ? b->y : a->y) - reach), y1 = pixel_from((dy < 0 ? a->y : b->y) + reach);
    for (int y = y0; y < y1; y++) {
        for (int x = x0; x < x1; x++) {
            const double px = x + 0.5 - a->x, py = y + 0.5 - a->y;
            double t = (px * dx + py * dy) / length2;
            t = t < 0.0 ? 0.0 : (t > 1.0 ? 1.0 : t);
            const double ex = px - t * dx, ey = py - t * dy;
            const double d = a->radius - sqrt(ex * ex + ey * ey);
            double *at = &depth[y * SIDE + x];
            *at = d > *at ? d : *at;
        }
    }
}

/* Depth to grey: 0 half an edge outside the pen's outline, full ink half an edge inside. Noise moves the outline from
 * pixel to pixel; paper out of its reach stays clean, as that of MNIST's scans does. */
static void develop(const struct form *form, struct words *noise, const double *depth, uint8_t *pixels) {
    for (int k = 0; k < SIDE * SIDE; k += 4) {
        const uint32_t grains = next_word(noise);
        for (int i = 0; i < 4; i++) {
            const double grain = (double)(grains >> 8 * i & 0xff) / 255.0 - 0.5;
            const double ink = (depth[k + i] + form->rough * grain) / form->edge + 0.5;
            const double v = (ink < 1.0 ? ink : 1.0) * form->tone * 255.0;
            pixels[k + i] = v <= 0.0 ? 0 : (v >= 255.0 ? 255 : (uint8_t)(v + 0.5));
        }
    }
}

/* Draws image `image` of a set and returns its label. */
static uint8_t draw_digit(uint64_t seed, uint32_t set, uint32_t image, uint8_t *pixels) {
    struct words form_words = words_open(seed, set, image, PART_FORM);
    struct words point_words = words_open(seed, set, image, PART_POINTS);
    struct words noise_words = words_open(seed, set, image, PART_NOISE);
    struct form form;
    struct path path;
    double controls[STYLE_MAX][2], depth[SIDE * SIDE];
    const uint32_t label = draw_form(&form_words, &form);
    draw_controls(&point_words, &form, controls);
    trace_path(&form, controls, &path);
    deform(&form, &path);
    fit_box(&form, &path);
    centre(&form, &path);
    for (int k = 0; k < SIDE * SIDE; k++)
        depth[k] = -1e9;
    for (size_t k = 0; k + 1 < path.count; k++)
        if (!path.points[k].lift)
            ink_piece(&path.points[k], &path.points[k + 1], 0.5 * (form.edge + form.rough), depth);
    develop(&form, &noise_words, depth, pixels);
    return (uint8_t)label;
}

/* ---- sets ---- */

static enum rpu_status draw_set(struct rpu_images *out, uint32_t set, uint32_t count, uint64_t seed,
                                struct rpu_error *err) {
    /* On a machine of 32 bits the product can be too large; SIZE_MAX cannot be allocated. */
    const uint64_t bytes = (uint64_t)count * SIDE * SIDE;
    out->pixels = malloc(bytes > SIZE_MAX ? SIZE_MAX : (size_t)bytes);
    out->labels = malloc(count);
    if (!out->pixels || !out->labels)
        return rpu_fail(err, RPU_ERR_NOMEM, "digits: no memory for %lu images of %d x %d", (unsigned long)count, SIDE,
                        SIDE);
    out->count = count;
    out->height = out->width = SIDE;
    out->channels = 1;
    out->classes = 10;
    for (uint32_t i = 0; i < count; i++)
        out->labels[i] = draw_digit(seed, set, i, out->pixels + (size_t)i * SIDE * SIDE);
    return RPU_OK;
}

enum rpu_status rpu_digits_generate(struct rpu_dataset *out, uint32_t count_train, uint32_t count_test, uint64_t seed,
                                    struct rpu_error *err) {
    if (!out)
        return rpu_fail(err, RPU_ERR_ARG, "digits: no place for the images");
    memset(out, 0, sizeof *out);
    rpu_error_clear(err);
    enum rpu_status status = draw_set(&out->train, 0, count_train ? count_train : DEFAULT_TRAIN, seed, err);
    if (status == RPU_OK)
        status = draw_set(&out->test, 1, count_test ? count_test : DEFAULT_TEST, seed, err);
    if (status != RPU_OK)
        rpu_dataset_free(out);
    return status;
}
