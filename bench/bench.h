/* SPDX-License-Identifier: Apache-2.0 */
/** @file bench.h
 *  What the benchmarks share: numbers, memory, paired measurement, yardsticks, cycles of tiles, real training data. */
#ifndef RPU_BENCH_BENCH_H
#define RPU_BENCH_BENCH_H

#include "gbench_shim.h"
#include "tile.h"

#include <rpu/data.h>
#include <rpu/network.h>

enum { LENET_ARRAYS = 4, LENET_IMAGES = 4, CYCLES = 3 };

/* ---- util.c ---- */

/** Processor time of this thread: one thread computes, and what else the machine does is not counted. */
double seconds_used(void);
/** Zeroed, aligned to cache lines; ends the program when there is none. */
void *room(size_t bytes);
/** Random numbers of the benchmarks' own, from a seed. */
double random_unit(uint64_t *state);     /**< (0, 1) */
double random_gaussian(uint64_t *state); /**< sigma 1 */
/** Sorts `v` and returns the value at share `q` (0.5: the median). */
double quantile(double *v, size_t n, double q);

/* ---- shapes.c ---- */

struct shape {
    char name[16];
    uint32_t out, in, columns;
    uint32_t kernel, stride, padding;  /**< of a convolution; 0: none */
    uint32_t pool_window, pool_stride; /**< of the pooling behind it; 0: none */
};

/** Reads a shape file: lines "name outputs inputs columns", of convolutions with "kernel stride padding", then
 *  "window stride" of the pooling behind, where there is one; # starts a comment. `*shapes` is malloc'd; returns their
 *  number, 0 with a message on stderr when the file cannot be used. */
size_t shapes_read(const char *path, struct shape **shapes);

/** Columns that a check takes, the first: so many that the oracle, which is slow, does 2^24 crosspoints times columns,
 *  but one at least. */
uint32_t shape_checked(const struct shape *shape);

/* ---- inputs.c ---- */

/** Inputs of cycles: `images` blocks of `columns` vectors x of n and d of m numbers. Column p of block k stands at
 *  x + (k columns + p) ldx. */
struct inputs {
    uint32_t m, n, columns, images;
    size_t ldx, ldd;
    float *x, *d;
};

enum inputs_kind {
    INPUTS_DENSE,  /**< x uniform in [-1,1], d Gaussian with sigma 0.05 */
    INPUTS_POOLED, /**< the same, d zero but at one place of each 2 x 2 window of its image, as max pooling leaves it */
    INPUTS_SPARSE, /**< the same, d zero but for a quarter of the outputs */
    INPUTS_STRONG  /**< abs(d) = 0.2: with update management every row fires in every slot */
};

void inputs_make(struct inputs *in, const struct shape *shape, enum inputs_kind kind, uint64_t seed);
void inputs_free(struct inputs *in);
/** How many errors of an image are not 0, on average: the others cost a backward read nothing. */
double inputs_errors(const struct inputs *in);

/* ---- blas.c: the yardsticks ---- */

/** One product of OpenBLAS, in one of its two layouts: vectors contiguous or transposed where there are many, weights
 *  row-major or column-major where there is one. */
struct yardstick {
    enum rpu_cycle op;
    int transposed;
    uint32_t m, n, columns, images;
    float eta;
    float *w, *x, *d, *out;
    uint32_t next; /* block of inputs of the next call */
};

/** Makes the faster of the two layouts; returns 0 when a layout gives wrong numbers. */
int yardstick_make(struct yardstick *y, enum rpu_cycle op, const struct inputs *in, float eta);
void yardstick_free(struct yardstick *y);
void yardstick_run(void *yardstick, uint64_t n);
const char *yardstick_layout(const struct yardstick *y);

/* ---- blas_core.c: like for like ---- */

/** Starts the program again where OpenBLAS must take another of its cores: the one asked for or, null, one with AVX2
 *  where it took one with AVX-512 and the user chose none. Returns 0, with a message, when the core cannot be had. */
int blas_core_choose(char **argv, const char *asked);
/** The core that OpenBLAS took by itself (or by the user's choice). */
const char *blas_core_first(void);

/* ---- cycle.c: cycles of a tile ---- */

struct cycle {
    enum rpu_cycle op;
    const struct inputs *in;
    struct rpu_tile *tile;
    float eta;
    void *scratch;
    float *out;
    size_t ldout;
    struct rpu_gains gains;
    uint64_t *trains;
    float *w0; /* weights before the first update; null when they are too many to be put back */
    uint32_t image;
    struct rpu_read_counts reads;
    struct rpu_update_counts updates;
};

int cycle_make(struct cycle *c, const struct rpu_engine *engine, const struct rpu_tile_params *params,
               enum rpu_cycle op, const struct inputs *in, float eta);
void cycle_free(struct cycle *c);
/** gb_run_fn: n cycles, each with an image number and inputs of its own. */
void cycle_run(void *cycle, uint64_t n);
/** Puts the weights back before a batch of updates. */
void cycle_prepare(void *cycle);
/** Compares `images` cycles with those of the oracle, bit for bit. */
int cycle_check(const struct rpu_engine *oracle, const struct rpu_engine *engine, const struct rpu_tile_params *params,
                enum rpu_cycle op, const struct inputs *in, float eta, uint32_t images);

/** The paper's baseline with BM forward, NM backward (and BM there, too: it does not trigger), a bit length and UM. */
void params_make(struct rpu_tile_params *params, int32_t bl, int32_t um);

/* ---- paired.c: two sides in alternation ---- */

struct side {
    gb_run_fn *run;              /**< null: this side does nothing */
    void (*prepare)(void *user); /**< before each batch, not timed; may be null */
    void *user;
    double batch; /**< seconds that a batch takes at least; 0: as said to pairing_run */
};

enum { PAIRS_MAX = 12, BESIDES_MAX = 160 };

/** Pairs of work whose times are added up: one pair, or the twelve cycles of a network. */
struct pairing {
    size_t pairs, alternations, done;
    struct side a[PAIRS_MAX], b[PAIRS_MAX];
    uint64_t n_a[PAIRS_MAX], n_b[PAIRS_MAX]; /* calls in a batch */
    double *a_ns[PAIRS_MAX], *b_ns[PAIRS_MAX];
    /* Further work, measured once in each alternation. */
    size_t besides;
    struct side beside[BESIDES_MAX];
    uint64_t n_beside[BESIDES_MAX];
    double *beside_ns[BESIDES_MAX];
};

struct paired {
    double a_ns, b_ns;                   /**< medians of a call */
    double a_min_ns, b_min_ns;           /**< smallest */
    double ratio, ratio_low, ratio_high; /**< median and quartiles of the ratios a / b of neighbouring batches */
    double difference_ns;                /**< median of a - b of neighbouring batches */
};

void pairing_add(struct pairing *p, struct side a, struct side b);
/** Adds work that is measured beside the pairs; returns its index. */
size_t pairing_beside(struct pairing *p, struct side side);
/** Chooses the batches (each at least `batch` seconds) and runs the benchmark's loop; the time it reports is side a's.
 */
void pairing_run(struct pairing *p, struct gb_state *state, double batch);
/** All pairs together, or pair `index` alone. */
struct paired pairing_sum(const struct pairing *p);
struct paired pairing_one(const struct pairing *p, size_t index);
/** The times `a_ns` of each alternation against side b of all pairs. */
struct paired pairing_against(const struct pairing *p, const double *a_ns);
void pairing_free(struct pairing *p);

/* ---- training.c ---- */

/** A network in training. */
struct training {
    struct rpu_network *network;
    const struct rpu_images *images;
    uint64_t step;  /**< images trained */
    uint32_t batch; /**< images of a minibatch */
};

enum { TRAINING_BATCH_MOST = 1024 * 16 };

int training_make(struct training *t, const struct rpu_engine *engine, const struct rpu_images *images,
                  const char *preset, uint32_t batch);
void training_free(struct training *t);
/** gb_run_fn: n minibatches. */
void training_run(void *training, uint64_t n);
/** Trains on the next images, in minibatches: on `images` of them or, of a network whose steps are long, on fewer. */
void training_some(struct training *t, uint32_t images);
/** Trains on, with minibatches of 1, and keeps what the four arrays saw in the last LENET_IMAGES steps. */
void training_capture(struct training *t, struct inputs in[LENET_ARRAYS]);
/** Whether some steps give the weights of the oracle: ten of an image, or one of up to 16; of a network whose steps are
 *  long, of fewer images. `*right` is the digest of the oracle's weights, 0 where they are not known yet; it holds for
 *  a preset trained one image at a time, or in minibatches of 16 or more. */
int training_check(const struct rpu_engine *oracle, const struct rpu_engine *engine, const struct rpu_images *images,
                   const char *preset, uint32_t batch, uint64_t *right);

/* ---- spoil.c: kernels that are slow or wrong on purpose ---- */

struct bench;
enum spoil { SPOIL_SLOW, SPOIL_WRONG, SPOILS };

/** Whether there is such a variant of that kernel (null: none is asked for); a message on stderr when there is none. */
int spoil_known(enum spoil how, const char *kernel);
/** Gives the engine the spoiled kernels that were asked for: one that takes three times as long, one that is wrong in a
 *  bit. */
void spoil(struct rpu_engine *engine, const struct bench *b);
/** The same of a result of a loop of machine/. */
void spoil_loop(const struct bench *b, const char *loop, float *result);

/* ---- the benchmarks ---- */

struct kernel_bench; /**< the benchmarks of single kernels */
struct machine;      /**< the machine's limits, machine.h */
struct timed;        /**< times that scaling/ compares with */
struct baseline_bench;
struct array_bench; /**< the array that is there */
struct bench_team;  /**< an engine of a variant with some threads */

enum { ISAS_MAX = 8, TEAMS_MOST = 32 };

/** What the benchmarks are given. */
struct bench {
    struct rpu_engine *engine;  /**< the best variant */
    struct rpu_engine *oracle;  /**< generic */
    struct rpu_engine *autovec; /**< null where it is not built */
    const char *isas[ISAS_MAX]; /**< variants to be measured, the best one last */
    size_t n_isas;
    int teams[TEAMS_MOST]; /**< numbers of threads to be measured, rising */
    size_t n_teams;
    int teams_asked;     /**< 1: they are the user's */
    int quick, official; /**< a choice of the benchmarks */
    struct machine *machine;
    struct bench_team *engines;
    void **kept; /**< what bench_keep gave */
    size_t n_kept;
    const char *data;            /**< "digits" or a folder */
    const char *shapes;          /**< folder of the shape files */
    struct rpu_dataset set;      /**< loaded at first use */
    const char *spoiled[SPOILS]; /**< kernels that are spoiled in all engines but the oracle, or null */
    int no_data;                 /**< 1: that failed */
    struct rpu_images random;    /**< made at first use */
    struct inputs trained[LENET_ARRAYS];
    int have_trained;
    struct kernel_bench *kernels;
    struct array_bench *arrays;
    struct baseline_bench *baseline;
    struct timed *timed;
    int failed; /**< benchmarks that did */
};

extern const struct shape lenet_shapes[LENET_ARRAYS];
/** Training images, or null when they cannot be had. */
const struct rpu_images *bench_images(struct bench *b);
/** Images of random pixels and labels, all of one size. */
const struct rpu_images *bench_random_images(struct bench *b, uint32_t height, uint32_t width, uint32_t channels);
/** What the arrays see after some hundred images of training at BL = 1 with UM; null when it cannot be had. */
const struct inputs *bench_trained(struct bench *b);
/** Which of LeNet's arrays a shape is, by its name; -1: none. */
int lenet_array(const struct shape *shape);
/** Of bench_trained what that array sees; null where the shape is none of them, or without training images. */
const struct inputs *bench_trained_for(struct bench *b, const struct shape *shape);
/** A check that failed: ends the benchmark and, in the end, the program with exit code 1. */
void bench_fail(struct bench *b, struct gb_state *state, const char *what);
/** Ends a benchmark of what this machine or this choice of kernels does not have; that is no failure. */
void bench_skip(struct gb_state *state, const char *why);

/** Rates of a minibatch and its share of the roof as counters, from the statistics of the loop alone and the last
 *  minibatch's errors; the label, whose parts are cache state and level. After the loop. */
void training_report(struct bench *b, struct gb_state *state, const struct training *t, int team, const char *more);

/** Zeroed memory that lives until the end: the users of registered benchmarks. */
void *bench_keep(struct bench *b, size_t bytes);
/** The engine of a variant with a team of so many threads. */
const struct rpu_engine *bench_engine(struct bench *b, const char *isa, int team);
const char *bench_best(const struct bench *b);
/** The number of threads after `team` (0: the first) where every number counts: 1..N, or of more than eight the powers
 * of two and N, or what the user asked for. 0: there is none. */
int bench_next_team(const struct bench *b, int team);
/** The shapes of a file of the folder of shapes; 0 with a message when it cannot be used. */
size_t bench_shapes(const struct bench *b, const char *file, struct shape **shapes);

/** Every shape of an array that is to be measured, once; `*shapes` is malloc'd. 0 as bench_shapes. */
size_t array_shapes(const struct bench *b, struct shape **shapes);
/** Whether a shape belongs to the quick choice, and the length of rows of numbers that does. */
int array_quick(const struct shape *shape);
enum { QUICK_LENGTH = 3072 };

/** Whether this processor's clock can be measured; something that takes that many cycles (a multiple of 300). */
int clock_is_known(void);
void clock_cycles(uint64_t cycles);

/* Each registers a group; 0 when a shape file cannot be used. */
void goal_register(struct bench *b);
void machine_register(struct bench *b);
int kernel_register(struct bench *b);
int array_register(struct bench *b);
int baseline_register(struct bench *b);
void step_register(struct bench *b);
void scaling_register(struct bench *b);
void official_register(struct bench *b);
void machine_free(struct bench *b);
void kernel_free(struct bench *b);
void array_free(struct bench *b);
void baseline_free(struct bench *b);

/** What this program and this machine are, for the heads of the reports (context.c). */
void context_describe(struct bench *b);

/* ---- lines.c: cache lines that two cores use ---- */

/** Seconds of a line. */
struct lines {
    double turn;  /**< that two threads change in turn, there and back */
    double read;  /**< of many that are read one after the other, when another thread has written them */
    double write; /**< of many that are written one after the other, when another thread has read them */
};
/** Between two threads of a team. */
void lines_measure(struct bench *b, struct lines *lines);

/* ---- sharing.c: threads that share each step of an image ---- */

/** What such threads cannot do without, beside their shares of the work: seconds of an image. */
struct sharing {
    double undivided; /**< cycles of passes that only one thread can do while no other has anything to do */
    double moved;     /**< a thread's part of the convolutions' weights that others have changed to come to its cache */
    double image;     /**< an image while pieces of work are recorded, ... */
    double pieces;    /**< ...of which a thread spends so much in them; the rest it waits or looks for work */
};
/** Measures a team's; 0 when there is no network. */
int sharing_measure(struct bench *b, int team, struct sharing *s);

#endif
