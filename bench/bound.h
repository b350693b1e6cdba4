/* SPDX-License-Identifier: Apache-2.0 */
/** @file bound.h
 *  What a cycle cannot do without, measured beside it: the bound that stops a goal.
 *
 *  The bound of a cycle is the sum of its irreducible parts, each measured alone, hot, in the same alternation:
 *
 *  | part       | of a read                                    | of an update                                         |
 *  |------------|----------------------------------------------|------------------------------------------------------|
 *  | product    | the bare product: the faster of OpenBLAS's   | -                                                    |
 *  |            | and of our kernel (whole, or by chunks)      |                                                      |
 *  | noise      | one Gaussian for each output                 | one for each coincidence, and the blocks of random   |
 *  |            |                                              | words of which the contract uses only a part         |
 *  | converters | input converter over the inputs, output      | -                                                    |
 *  |            | stage without noise over the outputs         |                                                      |
 *  | extremes   | absmax of the inputs (noise management)      | absmax of x and d                                    |
 *  | gains      | -                                            | of each vector from its maxima (update management)   |
 *  | bits       | -                                            | a bit for each row, vector and slot; one for each    |
 *  |            |                                              | input of each vector and slot in which a row fires   |
 *  | thresholds | -                                            | of d, and of x for the vectors in which a row fires  |
 *  | positions  | -                                            | which rows and which inputs fire, out of the planes  |
 *  |            |                                              | (positions.c)                                        |
 *  | weights    | -                                            | one pass over the weights that are hit, with their   |
 *  |            |                                              | device parameters (touch.c)                          |
 *
 *  and `layers`, for a training step: im2col, col2im, pooling, activations and loss (layers.c).
 *
 *  Product and weights are the cycle's own: its inputs, its array where that lies. Random numbers, bits, thresholds,
 *  converters and extremes are streams: kernels called for some thousand numbers in the first-level cache, of whose
 *  time a cycle's share is taken, so that a convolution's bound holds no cost of calls; gains are those of an image. An
 *  array of a single column is read and updated once in an image, and the next image waits for it: there is nothing to
 *  share a call with, and its parts (but for thresholds) are calls of its own size. A bound is as good as the kernels
 *  it is measured with (`threshold`, say, makes both parts of a threshold, where an update needs the lower one for ties
 *  alone); and where an array comes from memory, an update that draws numbers meanwhile can beat the sum.
 */
#ifndef RPU_BENCH_BOUND_H
#define RPU_BENCH_BOUND_H

#include "bench.h"

#include <rpu/config.h>

/* ---- hits.c: which crosspoints an update hits ---- */

/** Neighbouring coincidences: a whole row's, worked off as a plane, or some in the list. */
struct hit_run {
    const uint64_t *plane; /**< null: coincidences first .. first + count - 1 of the list */
    const float *x;        /**< of the plane: the vector's inputs */
    uint32_t flip;         /**< sign bit of the row's d */
    size_t first, count;   /**< of the plane: `first` is the row's first crosspoint */
};

/** The coincidences of one image. */
struct hits {
    uint64_t row_pulses, column_pulses, coincidences;
    size_t vectors;       /**< in which a row fires in some slot */
    size_t units;         /**< pairs of a vector and a slot in which a row fires */
    size_t blocks;        /**< blocks of random words that hold the noise of the coincidences */
    uint32_t *at;         /**< each coincidence: index of the weight */
    uint32_t *down;       /**< and the sign bit set where it goes down */
    struct hit_run *runs; /**< the same, rows with more than half of their inputs hit as planes */
    size_t n_runs;
    uint64_t *planes;  /**< of the units, col_words each */
    uint8_t *is_dense; /**< of each unit: whole rows are worked off, which need no list: more than
                             half of the inputs fire, or there are few */
    uint64_t *rows;    /**< of the slots, one behind the other: row_words in all */
    size_t col_words, row_words;
};

/** Draws the pulses of an image as the update does. */
void hits_make(struct hits *h, const struct cycle *c, uint32_t image);
void hits_free(struct hits *h);
/** Blocks of random words that hold the first `count` Gaussians of a stream in the group layout (counter.h). */
size_t hits_blocks(uint64_t count);

/* ---- positions.c ---- */

/** Lists the numbers of the rows that fire and of the inputs that fire in each unit but the dense ones. Returns how
 * many; writes up to seven more. */
typedef size_t positions_fn(const struct hits *h, uint32_t *list);
positions_fn positions_by_bit, positions_by_byte;

/* ---- touch.c: one pass over weights and their device parameters ---- */

/** Array and noise of a pass. */
struct touch {
    float *w;
    const uint16_t *dev;
    float step_unit, bound_unit, ctoc;
    const float *noise; /**< TOUCH_NOISE numbers */
};

enum { TOUCH_NOISE = 1024 };

/** One step of each weight in a list as hits.at and hits.down. */
typedef void touch_list_fn(const struct touch *t, const uint32_t *at, const uint32_t *down, size_t count);
/** One step of each weight of a row of `n` inputs whose bit in the run's plane is set. */
typedef void touch_row_fn(const struct touch *t, const struct hit_run *run, size_t n);

touch_list_fn touch_list_plain;
touch_row_fn touch_row_plain;
#ifdef __x86_64__
touch_list_fn touch_list_avx2; /**< needs AVX2, FMA, POPCNT and BMI */
touch_row_fn touch_row_avx2;
#endif

/* ---- part.c: the parts of a cycle ---- */

enum part_kind {
    PART_PRODUCT,
    PART_NOISE,
    PART_CONVERTERS,
    PART_EXTREMES,
    PART_GAINS,
    PART_BITS,
    PART_THRESHOLDS,
    PART_POSITIONS,
    PART_WEIGHTS,
    PART_LAYERS,
    PART_KINDS
};

enum { WAYS_MAX = 2 };

/** What the size of a part follows from image to image. */
enum part_size { FIXED, BY_HITS, BY_UNITS };

/** One part: how it can be done, of which the fastest way counts. */
struct part {
    enum part_kind kind;
    gb_run_fn *ways[WAYS_MAX];
    int or_theirs; /**< OpenBLAS's product is a way, too */
    double times;  /**< calls that make up a cycle's share, which may be a fraction */
    enum part_size size;
};

enum { PARTS_MAX = 11 };

/** Vectors of n numbers, without gaps. */
struct block {
    size_t vectors, n;
    float *v;
};

/** The parts of one cycle and what they work on. */
struct parts {
    const struct cycle *c;
    const struct rpu_kernels *k;
    size_t count;
    struct part part[PARTS_MAX];
    struct block in, out; /* inputs and outputs of a read; x and d of an update */
    float *few, *peaks;
    struct rpu_stream stream, ties;
    size_t noise_call, row_call, col_call; /* Gaussians and bits in a call */
    /* reads */
    size_t n_in, n_out, chunk; /* chunk: columns */
    int managed;               /* noise management */
    float *q, *y, *ones, *product;
    uint32_t *saturated;
    /* updates */
    struct hits *hits; /* of each image */
    struct {
        double coincidences, column_pulses, blocks, vectors, units;
    } mean;                       /* over the images */
    float *x_max, *d_max, *gains; /* of each vector; room for two gains of each */
    struct touch touch;
    touch_list_fn *touch_list;
    touch_row_fn *touch_row;
    uint16_t *row_hi, *row_lo, *col_hi, *col_lo;
    uint64_t *plane;
    uint32_t *list; /* of positions */
    float *noise;
};

/** The parts of a cycle; 0 when its update makes other pulses than the benchmark counts, or other weights than its pass
 *  over them. Changes the tile's weights. */
int parts_make(struct parts *p, struct cycle *c);
void parts_free(struct parts *p);

/* ---- layers.c: what a training step does between the arrays ---- */

struct between;
/** Null when the preset's network does not fit the images. */
struct between *between_make(const struct rpu_engine *engine, const struct rpu_images *images, const char *preset);
void between_free(struct between *b);
/** gb_run_fn: im2col, pooling, activations, loss and their gradients of n images. */
void between_run(void *between, uint64_t n);

/* ---- bound.c ---- */

/** Parts of the cycles of a row, measured beside its pairs. */
struct bound {
    struct pairing *pairing;
    size_t cycles;
    struct parts parts[PAIRS_MAX];
    size_t pair[PAIRS_MAX];                   /**< whose side b is OpenBLAS's product */
    double hits[PAIRS_MAX], units[PAIRS_MAX]; /**< of a measured cycle in units of those that the parts are made for */
    size_t beside[PAIRS_MAX][PARTS_MAX][WAYS_MAX];
    struct between *between;
    size_t beside_between;
    double ns[PART_KINDS]; /**< medians, after bound_measured */
};

/** Adds a cycle's parts to the pairing; 0 as parts_make. */
int bound_add(struct bound *b, struct pairing *p, struct cycle *c, size_t pair);
/** Adds the work between the arrays; takes it over. */
void bound_add_between(struct bound *b, struct pairing *p, struct between *between);
/** States how many coincidences and column pulses the measured cycle of a pair had on average. */
void bound_scale(struct bound *b, size_t pair, double coincidences, double column_pulses);
/** The bound against side b, as a side a. */
struct paired bound_measured(struct bound *b);
/** Names the parts and their medians. */
void bound_text(const struct bound *b, char *text, size_t size);
/** The parts' medians as counters bound_<part>_ns. */
void bound_counters(const struct bound *b, struct gb_state *state);
void bound_free(struct bound *b);

#endif
