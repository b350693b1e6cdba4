/* SPDX-License-Identifier: Apache-2.0 */
/** @file pass.h
 *  The way of images through a network, as work lists for the scheduler.
 *
 *  Layers are grouped into segments: an array and the layers behind it that can be worked off in the same bands of
 *  output rows (activations, pooling without overlap). A segment's forward pass and its backward pass are steps, which
 *  a thread does for one image, or for one band of it while others do the other bands; everything a band needs is then
 *  still in that thread's cache. The read of a large fully connected array is a step of its own, divided by outputs.
 *
 *  The list of a minibatch:
 *
 *  | entry            | items                                   | after                                              |
 *  |------------------|-----------------------------------------|----------------------------------------------------|
 *  | whole images     | images, as many as threads divide evenly | -                                                  |
 *  | step, step, ...  | bands or parts of the remaining images   | the step before it                                 |
 *  | pulses of arrays | the remaining images; arrays with a      | the array's step on the way back                   |
 *  |                  | single vector for an image               |                                                    |
 *  | update of arrays | ranges of rows, every image in order     | whole images, the step that is the last to use     |
 *  |                  |                                          | this array's weights, and its pulses               |
 *
 *  Pulses are drawn where inputs and errors still are in a thread's cache: in the array's step on the way back. Only
 *  those of single vectors of shared images are an entry of their own, so that nobody waits for them on the way back.
 *
 *  Where one thread does a minibatch alone (alone.h), all its images are whole ones.
 *
 *  Steps that are not divided are one entry with their neighbours. So the update of an array overlaps the backward
 *  passes of the layers below it. An evaluation is a list of one entry: whole images.
 *
 *  Where several processes share the network (exchange.h), each does the passes of its own images, then the exchange,
 *  then the updates of all images. */
#ifndef RPU_SRC_PASS_H
#define RPU_SRC_PASS_H

#include "alone.h"
#include "layer.h"
#include "scheduler.h"

#include <rpu/data.h>

struct rpu_exchange;

/** What a thread has for itself. */
struct rpu_worker {
    void *scratch;
    struct rpu_array_stats *stats;  /**< its share of each array's statistics, of training */
    struct rpu_read_counts ignored; /**< of evaluations */
    char pad[64];                   /**< workers do not share cache lines */
};

/** Layers [first, last). */
struct rpu_segment {
    uint32_t first, last;
    int has_array;  /**< layers[first] is one */
    uint32_t array; /**< its number */
    size_t bands;   /**< that its passes are divided into when an image is shared by several threads */
    struct rpu_array_parts forward, backward; /**< division of a fully connected array's reads */
};

enum rpu_step_kind {
    RPU_STEP_FORWARD,         /**< a band of the whole segment */
    RPU_STEP_FORWARD_READ,    /**< a part of the array's read */
    RPU_STEP_FORWARD_FINISH,  /**< what is left of it, and the rest of the segment */
    RPU_STEP_LOSS,            /**< softmax, loss, error */
    RPU_STEP_BACKWARD,        /**< a band of the whole segment */
    RPU_STEP_BACKWARD_BEFORE, /**< the segment up to the array's read */
    RPU_STEP_BACKWARD_READ,   /**< a part of the array's read */
    RPU_STEP_BACKWARD_FINISH  /**< what is left of it */
};

struct rpu_step {
    enum rpu_step_kind kind;
    const struct rpu_segment *segment;
    size_t parts;
};

enum { RPU_STEPS_MAX = 6 * RPU_LAYERS_MAX + 1 };

/** What an entry of a list refers to. */
struct rpu_entry {
    struct rpu_network *network;
    uint32_t first, last; /**< steps [first, last), or... */
    uint32_t array;       /**< ...the number of the array to update */
    size_t parts;
    const struct rpu_segment *segment; /**< of the array whose pulses are to be drawn */
};

struct rpu_plan {
    struct rpu_segment segments[RPU_LAYERS_MAX];
    uint32_t n_segments;
    struct rpu_step steps[RPU_STEPS_MAX];
    uint32_t n_steps, n_forward; /**< the first n_forward end with the loss */
    struct rpu_work list[RPU_STEPS_MAX + 2 * RPU_LAYERS_MAX + 1];
    struct rpu_entry entries[RPU_STEPS_MAX + 2 * RPU_LAYERS_MAX + 1];
    uint32_t n_list, n_passes; /**< entries; the first n_passes are no updates */
};

/** The images of the running pass. */
struct rpu_pass {
    const struct rpu_images *images;
    const uint32_t *index; /**< images of the minibatch; null: consecutive from `first` */
    uint32_t first;
    size_t count;      /**< images */
    size_t begin, end; /**< those of this process: all, or a range where several share the network */
    size_t whole;      /**< the first of them, not shared by several threads */
    uint64_t step;
    int evaluate;
    int alone; /**< one thread does all */
};

struct rpu_network {
    uint32_t tag;
    const struct rpu_engine *engine;
    const struct rpu_kernels *k;
    struct rpu_config config;
    uint32_t n_layers; /**< without the softmax */
    struct rpu_layer layers[RPU_LAYERS_MAX];
    uint32_t n_arrays;
    uint32_t arrays[RPU_LAYERS_MAX]; /**< layer of each array */
    struct rpu_shape input;
    uint32_t classes;
    float *image; /**< input activations: `capacity` buffers, then one for each worker */
    size_t image_stride;
    size_t capacity; /**< images that have buffers: a minibatch, and one for each thread */
    float *loss;     /**< of each image of a pass */
    uint32_t *guess;
    struct rpu_worker *workers;
    size_t n_workers;
    struct rpu_array_stats carried[RPU_LAYERS_MAX]; /**< statistics from before a checkpoint */
    struct rpu_plan plan;
    struct rpu_pass pass;
    struct rpu_alone alone;
    uint64_t images_alone;         /**< trained by one thread of several */
    struct rpu_exchange *exchange; /**< with other processes; null: alone */
};

/** Images of an evaluation that are handed out at a time. */
enum { RPU_EVALUATE_AT_ONCE = 256 };

/** Divides the layers into segments and lists the work; the layers' shapes and arrays are there. */
void rpu_plan_make(struct rpu_network *network);

/** Runs the list of a training minibatch, or evaluates, as `network->pass` says. */
void rpu_plan_train(struct rpu_network *network);
/** The same in two halves: the passes of this process's images, and the updates of all. */
void rpu_plan_passes(struct rpu_network *network);
void rpu_plan_updates(struct rpu_network *network);
void rpu_plan_evaluate(struct rpu_network *network);

/** Puts the pixels of image `image` of the pass into buffer `slot`. */
void rpu_pass_load(const struct rpu_network *network, size_t slot, size_t image);

/** Adds what `from` counted to `to`. */
void rpu_array_stats_add(struct rpu_array_stats *to, const struct rpu_array_stats *from);

/** What the threads of this process did at an array; times divided by the number that can work at a time. */
struct rpu_array_stats rpu_network_own_stats(const struct rpu_network *network, size_t index);

/** The number of an image of the pass in its data set. */
static inline uint32_t rpu_pass_index(const struct rpu_pass *pass, size_t i) {
    return pass->index ? pass->index[i] : pass->first + (uint32_t)i;
}

#endif
