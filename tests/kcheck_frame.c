/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers, patterns, comparison and report of the kernel checker. */
#include "kcheck.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const size_t kc_sizes[] = {0,   1,   2,   3,   4,    5,    6,    7,    8,    9,    10,  11,  12,  13,
                           14,  15,  16,  17,  23,   24,   25,   26,   31,   32,   33,  47,  48,  49,
                           63,  64,  65,  66,  95,   96,   97,   127,  128,  129,  130, 255, 256, 257,
                           401, 513, 769, 997, 1000, 1009, 1013, 1023, 1024, 1025, 1030};
const size_t kc_size_count = sizeof kc_sizes / sizeof kc_sizes[0];
const size_t kc_columns[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 64};
const size_t kc_column_count = sizeof kc_columns / sizeof kc_columns[0];

enum { GUARD_BYTE = 0xa5, POISON_BYTE = 0xcb };

/* ---- random numbers and patterns ---- */

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t kc_random(struct kc *c) {
    c->rng += UINT64_C(0x9e3779b97f4a7c15);
    return mix(c->rng);
}

size_t kc_below(struct kc *c, size_t n) {
    return (size_t)(kc_random(c) >> 11) % n;
}

float kc_unit(struct kc *c) {
    return (float)(kc_random(c) >> 40) * 0x1p-24f;
}

struct rpu_stream kc_stream(struct kc *c) {
    const uint64_t a = kc_random(c), b = kc_random(c), d = kc_random(c);
    return (struct rpu_stream){{(uint32_t)a, (uint32_t)(a >> 32)}, {0, (uint32_t)b, (uint32_t)(b >> 32), (uint32_t)d}};
}

static float from_bits(uint32_t b) {
    float v;
    memcpy(&v, &b, sizeof v);
    return v;
}

static uint32_t to_bits(float v) {
    uint32_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

static float special(struct kc *c) {
    static const uint32_t values[] = {0x7f800000u, 0xff800000u, 0x7fc00000u, 0xffc12345u, 0x80000000u,
                                      0x00000001u, 0x807fffffu, 0x00000000u, 0x3f800000u, 0xbf800000u};
    if (kc_below(c, 4) != 0)
        return 2.0f * kc_unit(c) - 1.0f;
    return from_bits(values[kc_below(c, sizeof values / sizeof values[0])]);
}

static float one_number(struct kc *c, enum kc_pattern pattern) {
    const uint32_t sign = (uint32_t)(kc_random(c) >> 63) << 31;
    switch (pattern) {
    case KC_WIDE: return from_bits(sign | (uint32_t)(107 + kc_below(c, 41)) << 23 | (uint32_t)(kc_random(c) >> 41));
    case KC_SPARSE: return kc_below(c, 4) ? from_bits(sign) : 2.0f * kc_unit(c) - 1.0f;
    case KC_DENORMAL: return from_bits(sign | (kc_below(c, 3) ? (uint32_t)(kc_random(c) >> 41) : 0u));
    case KC_HUGE: return from_bits(sign | (uint32_t)(0x7149f2cau + kc_below(c, 0x7f7fffffu - 0x7149f2cau)));
    case KC_SPECIAL: return special(c);
    case KC_LARGE: return from_bits(sign | to_bits(10.0f + 990.0f * kc_unit(c)));
    case KC_BITS: return from_bits((uint32_t)(kc_random(c) >> 32));
    case KC_ZERO: return from_bits(sign);
    default: return 2.0f * kc_unit(c) - 1.0f;
    }
}

const char *kc_pattern_name(enum kc_pattern pattern) {
    static const char *const names[KC_PATTERNS] = {"uniform", "wide",  "sparse", "denormal", "huge",
                                                   "special", "large", "bits",   "zero"};
    return names[pattern];
}

void kc_fill(struct kc *c, float *v, size_t n, enum kc_pattern pattern) {
    for (size_t i = 0; i < n; i++)
        v[i] = one_number(c, pattern);
}

void kc_matrix(struct kc *c, float *v, size_t rows, size_t n, size_t ld, enum kc_pattern pattern) {
    for (size_t r = 0; r < rows; r++)
        kc_fill(c, v + r * ld, n, pattern);
}

const float *kc_input_matrix(struct kc *c, const char *name, size_t rows, size_t n, size_t ld,
                             enum kc_pattern pattern) {
    float *v = kc_input(c, name, kc_span(rows, n, ld) * sizeof *v);
    kc_matrix(c, v, rows, n, ld, pattern);
    return v;
}

size_t kc_leading(struct kc *c, size_t n) {
    return kc_below(c, 3) == 0 ? n : (n + kc_below(c, 9)) | 1u;
}

size_t kc_span(size_t rows, size_t n, size_t ld) {
    return rows == 0 ? 0 : (rows - 1) * ld + n;
}

size_t kc_cut(struct kc *c, unsigned scheme, size_t at, size_t end) {
    if (scheme == 0)
        return end;
    return scheme == 1 ? at + 1 : at + 1 + kc_below(c, end - at);
}

/* ---- buffers ---- */

static size_t page(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

static void out_of_memory(void) {
    fprintf(stderr, "kcheck: out of memory\n");
    exit(2);
}

/* Room for `bytes` with guards and slack for alignment between two inaccessible pages. */
static void map_buffer(struct kc_buffer *b, size_t bytes) {
    const size_t p = page(), inner = (bytes + 4 * KC_GUARD + p - 1) / p * p, whole = inner + 2 * p;
    if (b->map && b->map_bytes >= whole)
        return;
    if (b->map)
        munmap(b->map, b->map_bytes);
    b->map = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    b->map_bytes = whole;
    if (b->map == MAP_FAILED || mprotect(b->map + p, inner, PROT_READ | PROT_WRITE) != 0)
        out_of_memory();
}

/* Guard bytes before and after the data, as many as the pages hold. */
static size_t guard_before(const struct kc_buffer *b) {
    const size_t left = (size_t)(b->data - (b->map + page()));
    return left < KC_GUARD ? left : KC_GUARD;
}

static size_t guard_after(const struct kc_buffer *b) {
    const size_t left = (size_t)(b->map + b->map_bytes - page() - (b->data + b->bytes));
    return left < KC_GUARD ? left : KC_GUARD;
}

/* A place at the end is as near to the page behind as `align` allows. */
static struct kc_buffer *place_buffer(struct kc *c, const char *name, size_t bytes, size_t element, enum kc_place place,
                                      size_t align) {
    struct kc_buffer *b = &c->buffers[c->used++];
    if (c->used > KC_SLOTS)
        out_of_memory();
    map_buffer(b, bytes);
    b->data = b->map + page() + KC_GUARD;
    if (place == KC_UNALIGNED)
        b->data += element * (1 + kc_below(c, 15));
    if (place == KC_AT_END)
        b->data = b->map + (b->map_bytes - page() - bytes) / align * align;
    if (place == KC_AT_START)
        b->data = b->map + page();
    b->bytes = bytes;
    b->name = name;
    b->is_input = 0;
    memset(b->data - guard_before(b), GUARD_BYTE, guard_before(b));
    memset(b->data + bytes, GUARD_BYTE, guard_after(b));
    return b;
}

static void *input(struct kc *c, const char *name, size_t bytes, size_t size) {
    struct kc_buffer *b = place_buffer(c, name, bytes, size, c->place, 1);
    b->is_input = 1;
    memset(b->data, 0xff, bytes);
    return b->data;
}

void *kc_input(struct kc *c, const char *name, size_t bytes) {
    return input(c, name, bytes, 4);
}

uint64_t *kc_input_words(struct kc *c, const char *name, size_t count) {
    return input(c, name, count * sizeof(uint64_t), sizeof(uint64_t));
}

void *kc_scratch(struct kc *c, const char *name, size_t bytes, size_t align) {
    const enum kc_place place = align && c->place == KC_UNALIGNED ? KC_ALIGNED : c->place;
    struct kc_buffer *b = place_buffer(c, name, bytes, 4, place, align ? align : 1);
    memset(b->data, POISON_BYTE, bytes);
    return b->data;
}

struct kc_out kc_output(struct kc *c, const char *name, enum kc_type type, size_t count) {
    static const size_t widths[] = {4, 1, 2, 4, 8};
    const size_t width = widths[type], bytes = count * width;
    struct kc_out o = {name, type, count, NULL, NULL};
    o.ref = place_buffer(c, name, bytes, width, KC_ALIGNED, 1)->data;
    o.sut = place_buffer(c, name, bytes, width, c->place, 1)->data;
    memset(o.ref, POISON_BYTE, bytes);
    memset(o.sut, POISON_BYTE, bytes);
    if (c->out_count == KC_DEPTH)
        out_of_memory();
    c->outs[c->out_count++] = o;
    return o;
}

void kc_seal(struct kc *c) {
    for (size_t i = 0; i < c->used; i++) {
        struct kc_buffer *b = &c->buffers[i];
        if (!b->is_input || b->bytes == 0)
            continue;
        if (b->copy_size < b->bytes) {
            free(b->copy);
            b->copy = malloc(b->bytes);
            b->copy_size = b->bytes;
        }
        if (!b->copy)
            out_of_memory();
        memcpy(b->copy, b->data, b->bytes);
    }
}

/* ---- cases ---- */

static uint64_t case_seed(const struct kc *c) {
    uint64_t h = c->seed;
    for (const char *s = c->kernel; *s; s++)
        h = mix(h * 31 + (unsigned char)*s);
    return mix(h + (uint64_t)c->index);
}

int kc_begin(struct kc *c, const char *format, ...) {
    va_list args;
    c->index++;
    va_start(args, format);
    vsnprintf(c->shape, sizeof c->shape, format, args);
    va_end(args);
    if (c->failed || (c->only_case >= 0 && c->only_case != c->index) ||
        (c->only_shape && strcmp(c->only_shape, c->shape) != 0))
        return 0;
    c->rng = case_seed(c);
    c->place = (enum kc_place)kc_below(c, KC_PLACES);
    c->used = c->out_count = 0;
    return 1;
}

void kc_fail(struct kc *c, const char *format, ...) {
    static const char *const places[KC_PLACES] = {"aligned", "unaligned", "at a page's end", "at a page's start"};
    char what[600];
    va_list args;
    if (c->failed)
        return;
    c->failed = 1;
    c->failed_case = c->index;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    snprintf(c->report, sizeof c->report,
             "FAIL kernel %s, variant %s, case %ld, shape \"%s\", buffers %s, seed %llu\n  %s\n"
             "  rerun: %s --kernel %s --isa %s --seed %llu --case %ld\n",
             c->kernel, c->isa, c->index, c->shape, places[c->place], (unsigned long long)c->seed, what, c->program,
             c->kernel, c->isa, (unsigned long long)c->seed, c->index);
    if (!c->quiet)
        fputs(c->report, stdout);
}

static uint64_t element(const struct kc_out *o, const void *from, size_t i) {
    switch (o->type) {
    case KC_U8: return ((const uint8_t *)from)[i];
    case KC_U16: return ((const uint16_t *)from)[i];
    case KC_U64: return ((const uint64_t *)from)[i];
    default: return ((const uint32_t *)from)[i];
    }
}

static int is_nan(uint64_t bits) {
    return (bits & 0x7fffffffu) > 0x7f800000u;
}

static void compare(struct kc *c, const struct kc_out *o) {
    for (size_t i = 0; i < o->count; i++) {
        const uint64_t a = element(o, o->ref, i), b = element(o, o->sut, i);
        if (a == b)
            continue;
        if (o->type != KC_F32) {
            kc_fail(c, "%s[%zu]: generic %llu (0x%llx), %s %llu (0x%llx)", o->name, i, (unsigned long long)a,
                    (unsigned long long)a, c->isa, (unsigned long long)b, (unsigned long long)b);
            return;
        }
        /* poison is a finite number: what was not written cannot pass as a NaN */
        if (is_nan(a) && is_nan(b))
            continue;
        kc_fail(c, "%s[%zu]: generic 0x%08llx (%a), %s 0x%08llx (%a)", o->name, i, (unsigned long long)a,
                (double)from_bits((uint32_t)a), c->isa, (unsigned long long)b, (double)from_bits((uint32_t)b));
        return;
    }
}

static void check_guards(struct kc *c, const struct kc_buffer *b) {
    for (size_t i = guard_before(b); i > 0; i--)
        if (b->data[-(ptrdiff_t)i] != GUARD_BYTE)
            kc_fail(c, "%s: byte %zu before the buffer was written", b->name, i);
    for (size_t i = 0, n = guard_after(b); i < n; i++)
        if (b->data[b->bytes + i] != GUARD_BYTE)
            kc_fail(c, "%s: byte %zu after the buffer was written", b->name, i);
    if (b->is_input && b->bytes > 0 && memcmp(b->data, b->copy, b->bytes) != 0)
        for (size_t i = 0; i < b->bytes; i++)
            if (b->data[i] != b->copy[i])
                kc_fail(c, "input %s: byte %zu of the buffer was changed", b->name, i);
}

void kc_release(struct kc *c) {
    check_guards(c, &c->buffers[--c->used]);
}

void kc_same(struct kc *c, const char *name, uint64_t ref, uint64_t sut) {
    if (ref != sut)
        kc_fail(c, "%s: generic %llu, %s %llu", name, (unsigned long long)ref, c->isa, (unsigned long long)sut);
}

void kc_finish(struct kc *c) {
    for (size_t i = 0; i < c->out_count; i++)
        compare(c, &c->outs[i]);
    for (size_t i = 0; i < c->used; i++)
        check_guards(c, &c->buffers[i]);
    c->cases++;
}
