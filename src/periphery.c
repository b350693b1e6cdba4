/* SPDX-License-Identifier: Apache-2.0 */
/* The digital and converter side of a read: noise management, bound management, DAC, ADC.
 * A block is worked off in chunks whose converted inputs and outputs stay in the first-level cache. Where few columns
 * fit there, they stay in the second-level cache: a product passes all weights for each chunk. */
#include "tile.h"

#include "rng.h"
#include "small.h"

#include <float.h>
#include <math.h>

/* Floats of converted inputs and outputs in the first- and in the second-level cache; columns that are worth leaving
 * the first for; columns that kernels take at once. */
enum { CHUNK_FLOATS = 5200, CHUNK_FLOATS_L2 = 131072, CHUNK_COLUMNS = 48, CHUNK_UNIT = 6 };

/* Up to so many outputs, the noise is drawn before the product: neither waits for the other. Whole groups beyond the
 * first take less time than parts. */
enum { NOISE_FIRST = 4 * RPU_GAUSS_GROUP };

static size_t noise_count(size_t outputs) {
    return outputs <= RPU_GAUSS_GROUP ? outputs : (outputs + RPU_GAUSS_GROUP - 1) / RPU_GAUSS_GROUP * RPU_GAUSS_GROUP;
}

struct rpu_read rpu_read_forward(const struct rpu_tile *tile, int evaluate) {
    struct rpu_read r = {evaluate ? RPU_RNG_EVALUATE : RPU_RNG_FORWARD, 0, &tile->params.forward, 0};
    return r;
}

struct rpu_read rpu_read_backward(const struct rpu_tile *tile) {
    struct rpu_read r = {RPU_RNG_BACKWARD, 1, &tile->params.backward, 0};
    return r;
}

size_t rpu_read_chunk(const struct rpu_tile *t, size_t count) {
    if (count == 1)
        return 1;
    const size_t column = (size_t)t->m + t->n, fit_l1 = CHUNK_FLOATS / column, fit_l2 = CHUNK_FLOATS_L2 / column;
    const size_t least = fit_l2 < CHUNK_COLUMNS ? fit_l2 : CHUNK_COLUMNS, fit = fit_l1 > least ? fit_l1 : least;
    const size_t columns = fit >= CHUNK_UNIT ? fit / CHUNK_UNIT * CHUNK_UNIT : (fit > 0 ? fit : 1);
    return columns < count ? columns : count;
}

/* Scratch: converted inputs, input gains and what undoes them, saturation counts, the product kernel's own; outputs and
 * saturation counts of one of several devices. */
struct read_work {
    float *q;
    float *gain, *undo;
    uint32_t *saturated;
    float *product;
    float *of_device;
    uint32_t *saturated_device;
    size_t columns;
};

static size_t divide_scratch(const struct rpu_tile *t, size_t count, void *base, struct read_work *w) {
    const size_t inputs = rpu_padded(t->m > t->n ? t->m : t->n);
    size_t at = 0;
    w->columns = rpu_read_chunk(t, count);
    w->q = rpu_take(base, &at, w->columns * inputs * sizeof *w->q);
    w->gain = rpu_take(base, &at, w->columns * sizeof *w->gain);
    w->undo = rpu_take(base, &at, w->columns * sizeof *w->undo);
    w->saturated = rpu_take(base, &at, w->columns * sizeof *w->saturated);
    w->product = rpu_take(base, &at, rpu_forward_scratch(t->m, t->n) * sizeof *w->product);
    if (t->devices > 1) {
        w->of_device = rpu_take(base, &at, w->columns * t->n * sizeof *w->of_device);
        w->saturated_device = rpu_take(base, &at, w->columns * sizeof *w->saturated_device);
    }
    return at;
}

/* Integer steps on one side of zero, and the step, rounded down where the largest multiple would pass the range. */
static void converter(int bits, float range, float *steps, float *step) {
    *steps = *step = 0.0f;
    if (bits == 0)
        return;
    const float levels = (float)((1 << (bits - 1)) - 1);
    *steps = levels / range;
    *step = range / levels;
    if (*step * levels > range)
        *step = nextafterf(*step, 0.0f);
}

static struct rpu_stage stage_of(const struct rpu_periphery *p) {
    struct rpu_stage s = {0};
    s.output.sigma = p->noise;
    s.output.bound = p->bound > 0.0f ? p->bound : INFINITY;
    converter(p->bound > 0.0f ? p->out_bits : 0, s.output.bound, &s.output.steps, &s.output.step);
    converter(p->in_bits, 1.0f, &s.dac_steps, &s.dac_step);
    return s;
}

void rpu_tile_prepare(struct rpu_tile *tile) {
    for (int p = 0; p < RPU_RNG_PURPOSES; p++) {
        const struct rpu_stream s = rpu_stream_make(tile->seed, (enum rpu_rng_purpose)p, 0, 0, 0);
        tile->keys[p][0] = s.key[0];
        tile->keys[p][1] = s.key[1];
    }
    if (tile->params.device.kind == RPU_DEVICE_PERFECT) /* whose periphery is not checked, nor used */
        return;
    tile->stages[0] = stage_of(&tile->params.forward);
    tile->stages[1] = stage_of(&tile->params.backward);
}

/* With the weights of one device backward, with the sums over all forward. */
static void product(const struct rpu_tile *t, const struct rpu_read *read, uint32_t device, size_t columns,
                    const float *in, size_t ldin, float *out, size_t ldout, float *scratch) {
    if (read->transposed)
        t->k->backward(t->m, t->n, columns, t->w + device * t->plane, t->ldw, in, ldin, out, ldout);
    else
        t->k->forward(t->m, t->n, columns, t->sum, t->ldw, in, ldin, out, ldout, scratch);
}

/* Everything a read of a chunk needs to know. */
struct reader {
    const struct rpu_tile *t;
    const struct rpu_read *read;
    const struct rpu_stage *stage;
    struct rpu_output_stage output; /* with the stream of this read */
    struct read_work w;
    size_t n_in, n_out;
    size_t ldq;  /**< rows of converted inputs are whole vectors */
    float share; /**< 1 / devices */
};

/* Whether every device has outputs of its own. */
static int reads_each(const struct reader *r) {
    return r->read->transposed && r->t->devices > 1;
}

/* Product and output side of converted inputs, each device on its own: the mean of all, and how many outputs saturated
 * in all. */
static void convert_each(struct reader *r, const struct rpu_output_stage *stage, uint64_t first, size_t columns,
                         size_t ldq, float *out, size_t ldout, const float *scale, uint32_t *saturated) {
    const struct rpu_kernels *k = r->t->k;
    struct rpu_output_stage own = *stage;
    for (size_t c = 0; c < columns; c++)
        saturated[c] = 0;
    for (uint32_t device = 0; device < r->t->devices; device++) {
        float *to = device == 0 ? out : r->w.of_device;
        const size_t ld = device == 0 ? ldout : r->n_out;
        own.stream.ctr[3] = stage->stream.ctr[3] | rpu_counter_array(0, 0, device, 0);
        product(r->t, r->read, device, columns, r->w.q, ldq, to, ld, r->w.product);
        k->epilogue(columns, r->n_out, to, ld, &own, first, scale, r->w.saturated_device);
        for (size_t c = 0; c < columns; c++) {
            saturated[c] += r->w.saturated_device[c];
            for (size_t j = 0; device > 0 && j < r->n_out; j++)
                out[c * ldout + j] += to[c * ld + j];
        }
    }
    for (size_t c = 0; c < columns; c++)
        for (size_t j = 0; j < r->n_out; j++)
            out[c * ldout + j] *= r->share;
}

/* The same for any read. */
static void convert(struct reader *r, const struct rpu_output_stage *stage, uint64_t first, size_t columns, size_t ldq,
                    float *out, size_t ldout, const float *scale, uint32_t *saturated) {
    if (reads_each(r)) {
        convert_each(r, stage, first, columns, ldq, out, ldout, scale, saturated);
        return;
    }
    product(r->t, r->read, 0, columns, r->w.q, ldq, out, ldout, r->w.product);
    r->t->k->epilogue(columns, r->n_out, out, ldout, stage, first, scale, saturated);
}

/* Noise management: the largest magnitudes become the factors that undo the gains. One that is no normal number, whose
 * reciprocal may be none, counts as zero. */
static void manage_noise(const struct reader *r, size_t columns, const float *in, size_t ldin) {
    float *restrict gain = r->w.gain, *restrict undo = r->w.undo;
    r->t->k->absmax(columns, r->n_in, in, ldin, undo);
    for (size_t c = 0; c < columns; c++) {
        const float most = undo[c];
        undo[c] = most >= FLT_MIN ? most : 0.0f;
        gain[c] = most >= FLT_MIN ? most : INFINITY;
    }
    for (size_t c = 0; c < columns; c++)
        gain[c] = 1.0f / gain[c];
}

/* What is read forward of several devices is n-fold. Returns whether anything undoes gains. */
static int manage_devices(const struct reader *r, int nm, size_t columns) {
    if (r->t->devices == 1 || r->read->transposed)
        return nm;
    for (size_t c = 0; c < columns; c++)
        r->w.undo[c] = nm ? r->w.undo[c] * r->share : r->share;
    return 1;
}

static int any_saturated(size_t columns, const uint32_t *saturated) {
    uint32_t any = 0;
    for (size_t c = 0; c < columns; c++)
        any |= saturated[c];
    return any > 0;
}

/* Bound management on one column: halve the input and read again, with fresh noise, until no output saturates or the
 * limit is reached. */
static void reread(struct reader *r, const float *in, uint64_t first, float gain, float undo, float *out,
                   uint32_t *saturated, struct rpu_read_counts *counts) {
    struct rpu_output_stage stage = r->output;
    stage.noise = NULL;
    for (int32_t attempt = 1; attempt <= r->read->periphery->bm_limit && *saturated > 0; attempt++) {
        gain *= 0.5f;
        undo *= 2.0f;
        stage.stream.ctr[2] = rpu_counter_column(0, (uint32_t)attempt);
        r->t->k->dac(1, r->n_in, in, r->n_in, &gain, r->stage->dac_steps, r->stage->dac_step, r->w.q, r->n_in);
        convert(r, &stage, first, 1, r->n_in, out, r->n_out, &undo, saturated);
        counts->rereads++;
    }
}

static void read_chunk(struct reader *r, uint32_t column, size_t columns, const float *in, size_t ldin, float *out,
                       size_t ldout, struct rpu_read_counts *counts) {
    const struct rpu_kernels *k = r->t->k;
    const struct rpu_periphery *p = r->read->periphery;
    const int nm = p->nm == RPU_NM_ABS_MAX;
    const uint64_t first = r->read->first + (uint64_t)column * r->n_out;
    float noise[NOISE_FIRST];
    int any, scaled;
    r->output.noise = NULL;
    if (r->output.sigma > 0.0f && columns * r->n_out <= NOISE_FIRST && !reads_each(r)) {
        k->gaussian(&r->output.stream, first, noise_count(columns * r->n_out), noise);
        r->output.noise = noise;
    }
    if (nm)
        manage_noise(r, columns, in, ldin);
    scaled = manage_devices(r, nm, columns);
    k->dac(columns, r->n_in, in, ldin, nm ? r->w.gain : NULL, r->stage->dac_steps, r->stage->dac_step, r->w.q, r->ldq);
    convert(r, &r->output, first, columns, r->ldq, out, ldout, scaled ? r->w.undo : NULL, r->w.saturated);
    any = any_saturated(columns, r->w.saturated);
    counts->columns += columns;
    for (size_t c = 0; any && c < columns; c++) {
        const float gain = nm ? r->w.gain[c] : 1.0f, undo = scaled ? r->w.undo[c] : 1.0f;
        if (undo == 0.0f) /* a zero column under noise management is exactly 0, read or not */
            continue;
        if (p->bm == RPU_BM_ITERATIVE && r->w.saturated[c] > 0)
            reread(r, in + c * ldin, first + c * r->n_out, gain, undo, out + c * ldout, &r->w.saturated[c], counts);
        counts->saturated += r->w.saturated[c];
    }
}

/* The next chunk of `left` columns, of up to `most`: a rest that is too few columns for a product gets some more. */
static size_t next_chunk(size_t left, size_t most) {
    if (left <= most)
        return left;
    return left < most + CHUNK_UNIT && most > CHUNK_UNIT ? most - CHUNK_UNIT : most;
}

size_t rpu_read_scratch(const struct rpu_tile *tile, size_t count) {
    struct read_work w;
    return divide_scratch(tile, count, NULL, &w);
}

void rpu_tile_read(const struct rpu_tile *tile, const struct rpu_read *read, const struct rpu_block *where,
                   const float *in, size_t ldin, float *out, size_t ldout, void *scratch,
                   struct rpu_read_counts *counts) {
    struct reader r;
    r.t = tile;
    r.read = read;
    r.n_in = read->transposed ? tile->m : tile->n;
    r.n_out = read->transposed ? tile->n : tile->m;
    r.ldq = rpu_padded(r.n_in);
    r.share = 1.0f / (float)tile->devices;
    divide_scratch(tile, where->count, scratch, &r.w);
    if (tile->params.device.kind == RPU_DEVICE_PERFECT) {
        product(tile, read, 0, where->count, in, ldin, out, ldout, r.w.product);
        counts->columns += where->count;
        return;
    }
    r.stage = &tile->stages[read->transposed];
    r.output = r.stage->output;
    r.output.stream = rpu_tile_stream(tile, read->purpose, where->image);
    for (size_t c = 0, columns; c < where->count; c += columns) {
        columns = next_chunk(where->count - c, r.w.columns);
        read_chunk(&r, where->column + (uint32_t)c, columns, in + c * ldin, ldin, out + c * ldout, ldout, counts);
    }
}
