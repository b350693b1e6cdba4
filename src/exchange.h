/* SPDX-License-Identifier: Apache-2.0 */
/** @file exchange.h
 *  What the processes that share a network's minibatches tell each other.
 *
 *  Of each minibatch a process does the forward and backward passes of its own images (range.h). Then all gather what
 *  the updates need: for each image its loss, and for each array the inputs and the errors, each in the shorter of two
 *  forms:
 *
 *  | what    | form                                                                | made of it again         |
 *  |---------|---------------------------------------------------------------------|--------------------------|
 *  | inputs  | none, where they are the image itself                               | the image, im2col        |
 *  |         | the layer's input activations                                       | im2col, of a convolution |
 *  |         | the vectors                                                         | -                        |
 *  | errors  | those of the pooling behind the array, and where its maxima were    | unpool                   |
 *  |         | the array's                                                         | -                        |
 *
 *  Every process then applies all updates in order. Random numbers come from counters, so the weights stay the same
 *  without being sent. Of an evaluation losses and guesses are gathered.
 *
 *  A block also has what else is to be known everywhere: the counts of the reads, the times of the passes, and whether
 *  the process wants to stop. */
#ifndef RPU_SRC_EXCHANGE_H
#define RPU_SRC_EXCHANGE_H

#include "pass.h"

struct rpu_exchange;

/** Bytes of all processes together that are gathered at a time. */
#define RPU_EXCHANGE_BYTES ((size_t)1 << 26)

/** For the network as it is built; fills network->exchange. What does not fit into `bytes` is gathered in several
 *  rounds, of one image of each process at least. RPU_ERR_ARG, RPU_ERR_NOMEM. */
enum rpu_status rpu_exchange_create(struct rpu_network *network, const struct rpu_ranks *ranks, size_t bytes,
                                    struct rpu_error *err);
void rpu_exchange_destroy(struct rpu_exchange *exchange);

/** Sets which images of the running pass are this process's. */
void rpu_exchange_divide(struct rpu_network *network);

/** After the passes of this process's images: gets what the updates of all others need. Collective. */
enum rpu_status rpu_exchange_train(struct rpu_network *network);
/** After the evaluation of this process's images: gets losses and guesses of all others. Collective. */
enum rpu_status rpu_exchange_evaluate(struct rpu_network *network);

/** Adds what the other processes did in training up to the last exchange: the counts of their reads; the times of the
 *  passes become those of all processes divided by their number. Updates are what each does by itself. */
void rpu_exchange_add_others(const struct rpu_network *network, uint32_t array, struct rpu_array_stats *stats);
void rpu_exchange_clear_others(struct rpu_network *network);

#endif
