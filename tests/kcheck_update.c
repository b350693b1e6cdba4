/* SPDX-License-Identifier: Apache-2.0 */
/* Checkers: the pulsed update and the exact one. */
#include "kcheck.h"

#include <math.h>
#include <string.h>

/* ---- update management ---- */

static void gains_case(struct kc *c, rpu_gains_fn *ref, rpu_gains_fn *sut, size_t count, int managed, int in_place) {
    const float gain = 0.1f + 4.0f * kc_unit(c);
    const float *x = kc_input_matrix(c, "x_max", 1, count, count, kc_below(c, 2) ? KC_SPECIAL : KC_UNIFORM);
    const float *d = kc_input_matrix(c, "d_max", 1, count, count, kc_below(c, 2) ? KC_BITS : KC_UNIFORM);
    const struct kc_out gain_x = kc_output(c, "gain_x", KC_F32, count), gain_d = kc_output(c, "gain_d", KC_F32, count);
    if (in_place && count > 0) {
        memcpy(gain_d.ref, d, count * sizeof(float));
        memcpy(gain_d.sut, d, count * sizeof(float));
    }
    kc_seal(c);
    ref(count, gain, managed, x, in_place ? gain_d.ref : d, gain_x.ref, gain_d.ref);
    sut(count, gain, managed, x, in_place ? gain_d.sut : d, gain_x.sut, gain_d.sut);
    kc_finish(c);
}

void kcheck_gains(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    for (size_t s = 0; s < kc_size_count; s++)
        for (int v = 0; v < 6; v++)
            if (kc_begin(c, "%zu%s%s", kc_sizes[s], v % 2 ? " UM" : "", v % 3 ? "" : " in place"))
                gains_case(c, (rpu_gains_fn *)ref, (rpu_gains_fn *)sut, kc_sizes[s], v % 2, v % 3 == 0);
}

/* ---- the pulsed update ---- */

enum pulse_kind {
    PLAIN,
    TIES, /* every element of slot 0 ties with its threshold's upper bits */
    RARE, /* a tenth of the vectors fires with almost all inputs, the others with one or two */
    FULL, /* pulses that are not drawn: all there can be */
    ONE   /* the same: one coincidence in each vector, but in one of them all there can be */
};

struct pulse_case {
    size_t m, n, columns;
    uint32_t bl;
    enum kc_pattern x, d;
    int managed, noisy;
    unsigned rows_cut, columns_cut;
    enum pulse_kind kind;
};

/* What one case owns. */
struct pulse_data {
    struct rpu_pulse_args args;
    struct kc_out trains, w, counts;
};

/* Padding included: a kernel must not care what stands there. */
static void fill_devices(struct kc *c, uint16_t *dev, size_t rows, size_t ldw) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < ldw; j++)
            for (unsigned which = 0; which < 4; which++) {
                uint16_t *at = &dev[i * ldw * 4 + rpu_dev_index(j, which)];
                *at = (uint16_t)(which < 2 ? 4000 + kc_below(c, 9000) : 3000 + kc_below(c, 12000));
                if (kc_below(c, 50) == 0)
                    *at = kc_below(c, 2) ? 0xffff : 0;
            }
}

/* Most weights inside, some at or beyond a bound, some of any kind, numbers or not. */
static void fill_weights(struct kc *c, const struct rpu_pulse_args *a, float *w) {
    const size_t ldw = rpu_padded(a->n);
    for (size_t i = 0; i < a->m; i++)
        for (size_t j = 0; j < ldw; j++) {
            const uint16_t *dev = a->dev + i * ldw * 4;
            float *at = w + i * ldw + j;
            *at = 0.4f * (2.0f * kc_unit(c) - 1.0f);
            switch (kc_below(c, 12)) {
            case 0: *at = (float)dev[rpu_dev_index(j, 2)] * a->bound_unit; break;
            case 1: *at = -((float)dev[rpu_dev_index(j, 3)] * a->bound_unit); break;
            case 2: *at = kc_below(c, 2) ? 2.0f : -2.0f; break;
            case 3: *at = -0.0f; break;
            case 4: kc_fill(c, at, 1, (enum kc_pattern)kc_below(c, KC_PATTERNS)); break;
            default: break;
            }
        }
}

/* A gain with which most inputs fire for certain. */
#define CLIPPING 64.0f

/* Gains as update management sets them, or arbitrary ones; a vector without pulses now and then. */
static void fill_gains(struct kc *c, const struct pulse_case *s, struct rpu_pulse_args *a) {
    float *gx = kc_input(c, "gain_x", a->columns * 4), *gd = kc_input(c, "gain_d", a->columns * 4);
    float *peak = kc_input(c, "peak", a->columns * 4);
    const float base = 0.3f + 1.4f * kc_unit(c);
    rpu_k_absmax_generic(a->columns, a->n, a->x, a->ldx, peak);
    rpu_k_absmax_generic(a->columns, a->m, a->d, a->ldd, gd);
    for (size_t p = 0; p < a->columns; p++) {
        const float root = s->managed ? sqrtf(gd[p] / peak[p]) : 1.0f;
        const int pulses = root > 0.0f && root < INFINITY && kc_below(c, 5) != 0;
        gx[p] = pulses ? base * root : kc_below(c, 2) ? 2.0f : 0.0f; /* what is of no use without gain_d */
        gd[p] = pulses ? base / root : 0.0f;
        if (s->kind == RARE)
            gx[p] *= 0.1f;
        if (pulses && kc_below(c, 10) == 0)
            gx[p] = s->kind != RARE && kc_below(c, 2) ? 0.0f : CLIPPING;
        if (gx[p] == CLIPPING && peak[p] > 1.0f / CLIPPING) /* a probability of 1, which is not clipped */
            ((float *)(uintptr_t)a->x)[p * a->ldx + kc_below(c, a->n)] = 1.0f / CLIPPING;
    }
    a->gain_x = gx, a->gain_d = gd, a->peak = peak;
}

/* Probabilities whose thresholds have the bits that will be drawn in slot 0 as their upper part, and 128 as the lower:
 * half of the elements fire. */
static void tie(const struct rpu_pulse_args *a) {
    float *x = (float *)(uintptr_t)a->x, *d = (float *)(uintptr_t)a->d; /* inputs that are not sealed yet */
    float *gain_x = (float *)(uintptr_t)a->gain_x, *gain_d = (float *)(uintptr_t)a->gain_d;
    float *peak = (float *)(uintptr_t)a->peak;
    for (size_t p = 0; p < a->columns; p++) {
        struct rpu_stream bits = a->col_bits;
        bits.ctr[2] = rpu_counter_column(a->column + (uint32_t)p, 0);
        for (size_t j = 0; j < a->n; j++)
            x[p * a->ldx + j] = ((float)kc_drawn(&bits, j) + 0.5f) * (j % 3 ? 0x1p-16f : -0x1p-16f);
        bits = a->row_bits;
        for (size_t i = 0; i < a->m; i++)
            d[p * a->ldd + i] = ((float)kc_drawn(&bits, (uint64_t)(a->column + p) * a->m + i) + 0.5f) * 0x1p-16f;
        gain_x[p] = gain_d[p] = peak[p] = 1.0f;
    }
}

/* Arguments of both kernels. */
static void make(struct kc *c, const struct pulse_case *s, struct pulse_data *data) {
    struct rpu_pulse_args *a = &data->args;
    memset(a, 0, sizeof *a);
    a->m = s->m, a->n = s->n, a->columns = s->columns, a->bl = s->bl;
    a->column = kc_below(c, 2) ? 0 : (uint32_t)kc_below(c, 3000);
    if (kc_below(c, 8) == 0)
        a->column = RPU_COUNTER_MAX_COLUMNS - (uint32_t)s->columns;
    a->ldx = kc_leading(c, s->n), a->ldd = kc_leading(c, s->m);
    a->x = kc_input_matrix(c, "x", s->columns, s->n, a->ldx, s->x);
    a->d = kc_input_matrix(c, "d", s->columns, s->m, a->ldd, s->d);
    fill_gains(c, s, a);
    a->row_bits = kc_stream(c), a->row_ties = kc_stream(c), a->noise = kc_stream(c);
    a->col_bits = kc_stream(c), a->col_ties = kc_stream(c);
    if (kc_below(c, 2)) {
        struct rpu_stream *const streams[] = {&a->row_bits, &a->row_ties, &a->col_bits, &a->col_ties, &a->noise};
        for (size_t k = 0; k < sizeof streams / sizeof streams[0]; k++)
            streams[k]->ctr[0] = kc_below(c, 2) ? (uint32_t)kc_random(c) : 0u - (uint32_t)kc_below(c, 200);
    }
    if (s->kind == TIES)
        tie(a);
    data->counts = kc_output(c, "counts (row pulses, column pulses, coincidences, clipped)", KC_U64, 4);
}

static size_t trains_of(const struct pulse_case *s) {
    return s->columns * rpu_train_words(s->m, s->n, s->bl);
}

static void *scratch_for(struct kc *c, const struct pulse_case *s, const struct rpu_pulse_args *a) {
    return kc_scratch(c, "scratch", rpu_pulse_scratch(s->m, s->n, a->columns, s->bl), 64);
}

/* Columns [p, end) of the block. */
static struct rpu_pulse_args part(const struct rpu_pulse_args *a, size_t p, size_t end) {
    struct rpu_pulse_args b = *a;
    b.columns = end - p, b.column = a->column + (uint32_t)p;
    b.trains = a->trains + p * rpu_train_words(a->m, a->n, a->bl);
    b.x = a->x ? a->x + p * a->ldx : NULL, b.d = a->d ? a->d + p * a->ldd : NULL;
    b.gain_x = a->gain_x ? a->gain_x + p : NULL, b.gain_d = a->gain_d ? a->gain_d + p : NULL;
    b.peak = a->peak ? a->peak + p : NULL;
    return b;
}

static void run(struct kc *c, rpu_pulse_draw_fn *fn, const struct pulse_case *s, const struct rpu_pulse_args *args,
                struct rpu_pulse_counts *counts) {
    struct rpu_pulse_args a = *args;
    a.scratch = scratch_for(c, s, args);
    fn(&a, counts);
    kc_release(c);
}

/* The variant draws block by block: the whole must be the same. */
static void draw_case(struct kc *c, rpu_pulse_draw_fn *ref, rpu_pulse_draw_fn *sut, const struct pulse_case *s) {
    struct pulse_data data;
    make(c, s, &data);
    data.trains = kc_output(c, "trains", KC_U64, trains_of(s));
    memset(data.counts.ref, 0, 32);
    memset(data.counts.sut, 0, 32);
    kc_seal(c);
    data.args.trains = data.trains.ref;
    run(c, ref, s, &data.args, data.counts.ref);
    data.args.trains = data.trains.sut;
    for (size_t p = 0, end; p < s->columns; p = end) {
        end = kc_cut(c, s->columns_cut, p, s->columns);
        const struct rpu_pulse_args a = part(&data.args, p, end);
        run(c, sut, s, &a, data.counts.sut);
    }
    kc_finish(c);
}

static void set_bits(uint64_t *plane, size_t first, size_t end) {
    for (size_t i = first; i < end; i++)
        plane[i / 64] |= UINT64_C(1) << (i % 64);
}

/* Pulses of the kinds FULL and ONE. */
static void set_trains(struct kc *c, const struct pulse_case *s, uint64_t *trains) {
    const size_t words = trains_of(s) / s->columns, rows = rpu_plane_words(s->m), slot = rows + rpu_plane_words(s->n);
    memset(trains, 0, trains_of(s) * sizeof *trains);
    for (size_t p = 0; p < s->columns; p++, trains += words) {
        const int all = s->kind == FULL || p == s->columns / 6;
        const size_t i = all ? 0 : kc_below(c, s->m), j = all ? 0 : kc_below(c, s->n);
        for (size_t k = 0; k < s->m; k++)
            set_bits(trains, k, k + kc_below(c, 2));
        for (size_t k = 0; k < s->n; k++)
            set_bits(trains + rows, k, k + kc_below(c, 2));
        for (size_t k = 1; k <= s->bl; k++) {
            set_bits(trains + k * slot, i, all ? s->m : i + 1);
            set_bits(trains + k * slot + rows, j, all ? s->n : j + 1);
        }
    }
}

/* What is left of the arguments when pulses have been drawn. */
static void make_apply(struct kc *c, const struct pulse_case *s, struct pulse_data *data) {
    struct rpu_pulse_args *a = &data->args;
    const size_t ldw = rpu_padded(s->n);
    uint64_t *trains = kc_input_words(c, "trains", trains_of(s));
    uint16_t *dev = kc_input(c, "dev", s->m * ldw * 4 * sizeof *dev);
    struct rpu_pulse_counts unused = {0, 0, 0, 0};
    a->trains = trains;
    if (s->kind == FULL || s->kind == ONE)
        set_trains(c, s, trains);
    else
        run(c, rpu_k_pulse_draw_generic, s, a, &unused);
    a->x = a->d = a->gain_x = a->gain_d = a->peak = NULL;
    a->step_unit = 0.01f * RPU_DEV_UNIT, a->bound_unit = 0.6f * RPU_DEV_UNIT, a->ctoc = s->noisy ? 0.3f : 0.0f;
    fill_devices(c, dev, s->m, ldw);
    a->dev = dev;
    data->w = kc_output(c, "w", KC_F32, s->m * ldw);
    fill_weights(c, a, data->w.ref);
    if (data->w.count > 0)
        memcpy(data->w.sut, data->w.ref, data->w.count * sizeof(float));
}

/* The variant works row range by row range, in any order, and block by block: the whole must be the same. */
static void apply_case(struct kc *c, rpu_pulse_apply_fn *ref, rpu_pulse_apply_fn *sut, const struct pulse_case *s) {
    struct pulse_data data;
    make(c, s, &data);
    make_apply(c, s, &data);
    memset(data.counts.ref, 0, 32);
    memset(data.counts.sut, 0, 32);
    kc_seal(c);
    data.args.row1 = s->m;
    data.args.w = data.w.ref;
    run(c, ref, s, &data.args, data.counts.ref);
    data.args.w = data.w.sut;
    for (size_t p = 0, end; p < s->columns; p = end) {
        end = kc_cut(c, s->columns_cut, p, s->columns);
        struct rpu_pulse_args a = part(&data.args, p, end);
        size_t edges[2] = {kc_cut(c, s->rows_cut, 0, s->m), s->m};
        edges[1] = edges[0] < s->m ? kc_cut(c, s->rows_cut, edges[0], s->m) : s->m;
        const size_t ranges[3][2] = {{edges[1], s->m}, {0, edges[0]}, {edges[0], edges[1]}};
        for (size_t r = 0; r < 3; r++) {
            a.row0 = ranges[r][0], a.row1 = ranges[r][1];
            if (a.row0 < a.row1)
                run(c, sut, s, &a, data.counts.sut);
        }
    }
    kc_finish(c);
}

typedef void pulse_check_fn(struct kc *c, rpu_pulse_draw_fn *ref, rpu_pulse_draw_fn *sut, const struct pulse_case *s);

/* The checks of one kernel of the two, which have one signature. */
struct pulse_check {
    pulse_check_fn *check;
    rpu_pulse_draw_fn *ref, *sut;
};

static void pulse(struct kc *c, const struct pulse_check *k, const struct pulse_case *s) {
    static const char *const cuts[] = {"whole", "singly", "at random"};
    static const char *const kinds[] = {"", " ties", " rare", " full", " one"};
    if (kc_begin(c, "%zux%zux%zu BL %u x %s d %s%s%s%s, rows cut %s, columns cut %s", s->m, s->n, s->columns, s->bl,
                 kc_pattern_name(s->x), kc_pattern_name(s->d), s->managed ? " UM" : "", s->noisy ? " noisy" : "",
                 kinds[s->kind], cuts[s->rows_cut], cuts[s->columns_cut]))
        k->check(c, k->ref, k->sut, s);
}

static void pulse_sweep(struct kc *c, const struct pulse_check *check) {
    static const size_t rows[] = {1, 2, 3, 5, 8, 10, 16, 17, 32, 33, 61, 64, 65, 128, 130};
    static const uint32_t lengths[] = {1, 10, 2, 3, 31, 1, 10};
    static const enum kc_pattern patterns[] = {KC_UNIFORM, KC_SPARSE, KC_UNIFORM, KC_SPARSE,
                                               KC_SPECIAL, KC_LARGE,  KC_ZERO,    KC_SPARSE};
    size_t turn = 0;
    for (size_t s = 0; s < kc_size_count; s++)
        for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++, turn++) {
            struct pulse_case one = {rows[k],
                                     kc_sizes[s],
                                     kc_columns[turn % kc_column_count],
                                     lengths[turn / 2 % 7],
                                     patterns[turn / 3 % 8],
                                     patterns[turn / 11 % 8],
                                     (int)(turn / 2 % 2),
                                     turn % 5 != 0,
                                     (unsigned)(turn % 3),
                                     (unsigned)(turn / 3 % 3),
                                     PLAIN};
            if (one.m * one.n * one.columns * one.bl > 150000)
                one.columns = 1 + turn % 3;
            if (one.m * one.n * one.columns * one.bl > 600000)
                one.bl = 1;
            pulse(c, check, &one);
        }
}

static void pulse_shapes(struct kc *c, const struct pulse_check *check) {
    static const size_t shapes[][3] = {{16, 26, 576}, {32, 401, 64},  {128, 513, 1},  {10, 129, 1},   {128, 513, 8},
                                       {7, 33, 64},   {300, 2048, 1}, {2048, 300, 1}, {1000, 1030, 2}};
    static const uint32_t lengths[] = {1, 10};
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++)
        for (unsigned v = 0; v < 8; v++) {
            const struct pulse_case one = {shapes[k][0], shapes[k][1],
                                           shapes[k][2], lengths[v % 2],
                                           KC_UNIFORM,   v & 2 ? KC_UNIFORM : KC_SPARSE,
                                           v < 6,        1,
                                           v % 3,        (v / 2) % 3,
                                           PLAIN};
            if (v < 4 || shapes[k][0] * shapes[k][1] < 100000)
                pulse(c, check, &one);
        }
    for (unsigned x = 0; x < KC_PATTERNS; x++)
        for (unsigned d = 0; d < KC_PATTERNS; d++)
            for (unsigned v = 0; v < 4; v++) {
                const struct pulse_case one = {9, 67, 5, v < 2 ? 1 : 7, x, d, v & 1, v != 3, v % 3, (v + 1) % 3, PLAIN};
                pulse(c, check, &one);
            }
    for (unsigned v = 0; v < 12; v++) {
        const struct pulse_case one = {5,     26 + v, 3,     255,       KC_UNIFORM, v % 2 ? KC_SPARSE : KC_UNIFORM,
                                       v & 1, v != 7, v % 3, v / 3 % 3, PLAIN};
        pulse(c, check, &one);
    }
}

/* Ties everywhere, in narrow and wide arrays, and more row pulses than narrow arrays take at a time. */
static void pulse_ties(struct kc *c, const struct pulse_check *check) {
    static const size_t shapes[][3] = {{16, 26, 20}, {64, 32, 9}, {9, 67, 5}, {65, 130, 3}, {10, 129, 1}, {5, 7, 300}};
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++)
        for (unsigned v = 0; v < 12; v++) {
            const struct pulse_case one = {.m = shapes[k][0],
                                           .n = shapes[k][1],
                                           .columns = shapes[k][2],
                                           .bl = v % 4 < 2 ? 1 : 3,
                                           .x = KC_UNIFORM,
                                           .d = KC_UNIFORM,
                                           .noisy = v % 2,
                                           .rows_cut = v % 3,
                                           .columns_cut = v / 3 % 3,
                                           .kind = TIES};
            pulse(c, check, &one);
        }
}

/* Few coincidences a row pulse on average, and many in some vectors, in narrow arrays. */
static void pulse_rare(struct kc *c, const struct pulse_check *check) {
    static const size_t shapes[][3] = {{16, 26, 576}, {64, 32, 90}, {40, 20, 50}, {10, 30, 7}};
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++)
        for (unsigned v = 0; v < 12; v++) {
            const struct pulse_case one = {.m = shapes[k][0],
                                           .n = shapes[k][1],
                                           .columns = shapes[k][2],
                                           .bl = v < 9 ? 1 : 3,
                                           .x = KC_UNIFORM,
                                           .d = v % 4 ? KC_SPARSE : KC_UNIFORM,
                                           .managed = v % 2,
                                           .noisy = v != 4,
                                           .rows_cut = v % 3,
                                           .columns_cut = v / 3 % 3 ? 0 : 2,
                                           .kind = RARE};
            pulse(c, check, &one);
        }
}

static void pulse_cases(struct kc *c, pulse_check_fn *check, kc_any_fn *ref, kc_any_fn *sut) {
    const struct pulse_check k = {check, (rpu_pulse_draw_fn *)ref, (rpu_pulse_draw_fn *)sut};
    pulse_ties(c, &k);
    pulse_sweep(c, &k);
    pulse_shapes(c, &k);
    pulse_rare(c, &k);
}

void kcheck_pulse_draw(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    pulse_cases(c, draw_case, ref, sut);
}

/* As many coincidences as there can be, in narrow and wide arrays, so that all lists are full. */
static void pulse_full(struct kc *c, const struct pulse_check *check) {
    static const size_t shapes[][4] = {
        {64, 32, 12, 1}, {64, 32, 5, 8}, {16, 26, 40, 16}, {3, 32, 90, 10}, {70, 90, 2, 8}};
    static const size_t many[][3] = {{64, 32, 3000}, {64, 32, 2700}, {63, 31, 2800}, {16, 26, 3000}};
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++)
        for (unsigned v = 0; v < 6; v++) {
            const struct pulse_case one = {.m = shapes[k][0],
                                           .n = shapes[k][1],
                                           .columns = shapes[k][2],
                                           .bl = (uint32_t)shapes[k][3],
                                           .noisy = v != 2,
                                           .rows_cut = v % 3,
                                           .columns_cut = v / 3 * 2,
                                           .kind = FULL};
            pulse(c, check, &one);
        }
    for (size_t k = 0; k < sizeof many / sizeof many[0]; k++) {
        const struct pulse_case one = {
            .m = many[k][0], .n = many[k][1], .columns = many[k][2], .bl = 1, .noisy = k != 1, .kind = ONE};
        pulse(c, check, &one);
    }
}

void kcheck_pulse_apply(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    const struct pulse_check k = {apply_case, (rpu_pulse_draw_fn *)ref, (rpu_pulse_draw_fn *)sut};
    pulse_cases(c, apply_case, ref, sut);
    pulse_full(c, &k);
}

/* ---- exact update ---- */

static void outer_case(struct kc *c, rpu_outer_fn *ref, rpu_outer_fn *sut, const struct pulse_case *s) {
    const size_t ldw = kc_leading(c, s->n), ldx = kc_leading(c, s->n), ldd = kc_leading(c, s->m);
    const size_t first = kc_below(c, s->m + 1), cut = s->rows_cut ? kc_below(c, s->m + 1) : s->m;
    const size_t row0 = s->rows_cut ? first : 0, row1 = cut > row0 ? cut : s->m;
    const float eta = kc_below(c, 5) ? 0.01f : 1.0f;
    const float *x = kc_input_matrix(c, "x", s->columns, s->n, ldx, s->x);
    const float *d = kc_input_matrix(c, "d", s->columns, s->m, ldd, s->d);
    const struct kc_out w = kc_output(c, "w", KC_F32, kc_span(s->m, s->n, ldw));
    kc_matrix(c, w.ref, s->m, s->n, ldw, (enum kc_pattern)kc_below(c, KC_PATTERNS));
    if (w.count > 0)
        memcpy(w.sut, w.ref, w.count * sizeof(float));
    kc_seal(c);
    ref(row0, row1, s->n, s->columns, w.ref, ldw, x, ldx, d, ldd, eta);
    for (size_t p = 0, end; p < s->columns; p = end) {
        end = kc_cut(c, s->columns_cut, p, s->columns);
        sut(row0, row1, s->n, end - p, w.sut, ldw, x + p * ldx, ldx, d + p * ldd, ldd, eta);
    }
    kc_finish(c);
}

static void outer(struct kc *c, kc_any_fn *ref, kc_any_fn *sut, const struct pulse_case *s) {
    if (kc_begin(c, "%zux%zux%zu x %s d %s, rows %s, columns cut %u", s->m, s->n, s->columns, kc_pattern_name(s->x),
                 kc_pattern_name(s->d), s->rows_cut ? "some" : "all", s->columns_cut))
        outer_case(c, (rpu_outer_fn *)ref, (rpu_outer_fn *)sut, s);
}

void kcheck_outer(struct kc *c, kc_any_fn *ref, kc_any_fn *sut) {
    static const size_t rows[] = {1, 2, 3, 5, 8, 10, 16, 17, 33, 128};
    static const size_t shapes[][3] = {{16, 26, 576}, {32, 401, 64}, {128, 513, 1}, {10, 129, 1}, {300, 2048, 1}};
    size_t turn = 0;
    for (size_t s = 0; s < kc_size_count; s++)
        for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++, turn++) {
            struct pulse_case one = {rows[k],
                                     kc_sizes[s],
                                     kc_columns[turn % kc_column_count],
                                     0,
                                     (enum kc_pattern)(turn % KC_PATTERNS),
                                     (enum kc_pattern)(turn / 9 % KC_PATTERNS),
                                     0,
                                     0,
                                     (unsigned)(turn % 2),
                                     (unsigned)(turn / 2 % 3),
                                     PLAIN};
            if (one.m * one.n * one.columns > 200000)
                one.columns = 1 + turn % 3;
            outer(c, ref, sut, &one);
        }
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++)
        for (unsigned v = 0; v < 6; v++) {
            const struct pulse_case one = {
                shapes[k][0], shapes[k][1], shapes[k][2], 0, KC_UNIFORM, v & 1 ? KC_SPARSE : KC_UNIFORM, 0, 0,
                v & 1,        v / 2,        PLAIN};
            outer(c, ref, sut, &one);
        }
}
