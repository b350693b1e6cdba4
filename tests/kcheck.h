/* SPDX-License-Identifier: Apache-2.0 */
/** @file kcheck.h
 *  The kernel checker's frame: cases, guarded buffers, patterns of numbers, comparison and report.
 *
 *  A checker enumerates its cases in a fixed order. Each case reseeds the generator from (seed, kernel, case number),
 * so that any one can be run again alone. Within a case it asks for buffers, fills the inputs, seals them, runs the
 * generic kernel on the `ref` half and the variant on the `sut` half of each output, and finishes: guards, inputs and
 * outputs are then compared. */
#ifndef RPU_TESTS_KCHECK_H
#define RPU_TESTS_KCHECK_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

enum kc_type { KC_F32, KC_U8, KC_U16, KC_U32, KC_U64 };

/** What floats are filled with. */
enum kc_pattern {
    KC_UNIFORM,  /**< [-1, 1) */
    KC_WIDE,     /**< random signs, exponents -20..20 */
    KC_SPARSE,   /**< three of four are zeros of either sign, the others uniform */
    KC_DENORMAL, /**< denormals and zeros of either sign */
    KC_HUGE,     /**< magnitudes from 1e30 to the largest float */
    KC_SPECIAL,  /**< uniform with NaN, +-infinity, zeros and denormals among them */
    KC_LARGE,    /**< magnitudes from 10 to 1000: saturates every range */
    KC_BITS,     /**< any bit pattern */
    KC_ZERO,     /**< zeros of either sign */
    KC_PATTERNS
};

/** Where buffers lie. */
enum kc_place {
    KC_ALIGNED,
    KC_UNALIGNED,
    KC_AT_END,   /**< flush with an inaccessible page behind */
    KC_AT_START, /**< flush with an inaccessible page before */
    KC_PLACES
};

enum { KC_SLOTS = 32, KC_GUARD = 64, KC_DEPTH = 16 };

/** A buffer between guard bytes and inaccessible pages. */
struct kc_buffer {
    unsigned char *map; /**< whole mapping, first and last page inaccessible */
    size_t map_bytes;
    unsigned char *data;
    size_t bytes;
    unsigned char *copy; /**< what an input held when it was sealed */
    size_t copy_size;
    const char *name;
    int is_input;
};

/** An output: what generic and the variant wrote. */
struct kc_out {
    const char *name;
    enum kc_type type;
    size_t count;
    void *ref, *sut;
};

struct kc {
    /* what is asked for */
    const char *program, *kernel, *isa;
    uint64_t seed;
    long only_case;         /**< -1: all */
    const char *only_shape; /**< null: all */
    int quiet;              /**< keep the report of a failure, print nothing */
    /* the case in work */
    long index;
    char shape[200];
    uint64_t rng;
    enum kc_place place;
    size_t used;
    struct kc_buffer buffers[KC_SLOTS];
    struct kc_out outs[KC_DEPTH];
    size_t out_count;
    /* outcome */
    long cases;
    int failed;
    long failed_case;
    char report[1600];
    sigjmp_buf escape; /**< where a fault in a kernel goes */
};

/** Starts a case described by the format; 0 if it must not be run (filtered out, or an earlier one failed). */
int kc_begin(struct kc *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** A buffer that no kernel may change. Filled with NaN patterns until the checker fills it. */
void *kc_input(struct kc *c, const char *name, size_t bytes);
/** The same for words of 64 bits. */
uint64_t *kc_input_words(struct kc *c, const char *name, size_t count);
/** A buffer that kernels may use as they like, `align` bytes aligned (0: any place). */
void *kc_scratch(struct kc *c, const char *name, size_t bytes, size_t align);
/** Checks the guards of the buffer made last and gives it back. */
void kc_release(struct kc *c);
/** Two poisoned buffers. */
struct kc_out kc_output(struct kc *c, const char *name, enum kc_type type, size_t count);
/** Copies the inputs; kernels run after this. */
void kc_seal(struct kc *c);
/** Compares a returned value. */
void kc_same(struct kc *c, const char *name, uint64_t ref, uint64_t sut);
/** Compares everything; counts the case. */
void kc_finish(struct kc *c);
/** Reports a failure of the case in work. */
void kc_fail(struct kc *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Random numbers of the case. */
uint64_t kc_random(struct kc *c);
size_t kc_below(struct kc *c, size_t n);
float kc_unit(struct kc *c); /**< [0, 1) */
struct rpu_stream kc_stream(struct kc *c);
/** The 16 random bits of an element of a bit stream, straight from the layout in counter.h. */
uint16_t kc_drawn(const struct rpu_stream *bits, uint64_t element);

void kc_fill(struct kc *c, float *v, size_t n, enum kc_pattern pattern);
/** Rows of `n` with leading dimension `ld`; what lies between is left as it is. */
void kc_matrix(struct kc *c, float *v, size_t rows, size_t n, size_t ld, enum kc_pattern pattern);
/** An input of `rows` rows, filled. */
const float *kc_input_matrix(struct kc *c, const char *name, size_t rows, size_t n, size_t ld, enum kc_pattern pattern);
const char *kc_pattern_name(enum kc_pattern pattern);
/** An odd or tight leading dimension for rows of n. */
size_t kc_leading(struct kc *c, size_t n);
/** Elements from the first of the first to the last of the last row. */
size_t kc_span(size_t rows, size_t n, size_t ld);

/** Where a range that starts at `at` and has `end` as its limit is cut: scheme 0 not at all, 1 after every element,
 *  2 at random. */
size_t kc_cut(struct kc *c, unsigned scheme, size_t at, size_t end);

/** Lengths around block sizes, and larger ones. */
extern const size_t kc_sizes[];
extern const size_t kc_size_count;
/** Numbers of columns in a block. */
extern const size_t kc_columns[];
extern const size_t kc_column_count;

typedef void kc_any_fn(void);
typedef void kc_checker(struct kc *c, kc_any_fn *ref, kc_any_fn *sut);

/* One checker for each operation: an operation without one does not compile (kcheck.c) or link. */
kc_checker kcheck_philox, kcheck_gaussian, kcheck_threshold, kcheck_bernoulli;
kc_checker kcheck_absmax, kcheck_dac, kcheck_forward, kcheck_backward, kcheck_epilogue;
kc_checker kcheck_gains, kcheck_pulse_draw, kcheck_pulse_apply, kcheck_outer;
kc_checker kcheck_im2col, kcheck_col2im, kcheck_maxpool, kcheck_unpool;
kc_checker kcheck_tanh, kcheck_sigmoid, kcheck_relu, kcheck_dtanh, kcheck_dsigmoid, kcheck_drelu, kcheck_softmax;

/** Deliberately wrong variants for the self-test; the last entry has a null kernel. */
struct kc_broken {
    const char *kernel, *fault;
    kc_any_fn *sut;
};
extern const struct kc_broken kc_broken[];

#endif
