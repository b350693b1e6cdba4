/* SPDX-License-Identifier: Apache-2.0 */
/** @file network_inside.h  A network from inside: what its arrays saw. */
#ifndef RPU_SRC_NETWORK_INSIDE_H
#define RPU_SRC_NETWORK_INSIDE_H

#include <rpu/network.h>

/** Input vectors and errors of one array at its last training step, owned by the network, valid until the next. */
struct rpu_array_signals {
    const float *x; /**< columns x inputs */
    size_t ldx;
    const float *d; /**< columns x outputs */
    size_t ldd;
    uint32_t columns; /**< of one image */
};

/** Those of image `image` of the last minibatch. */
enum rpu_status rpu_network_array_signals(const struct rpu_network *network, size_t index, size_t image,
                                          struct rpu_array_signals *signals);

struct rpu_array;

/** The array itself; null when index is out of range. */
struct rpu_array *rpu_network_array(const struct rpu_network *network, size_t index);

/** Sets what the statistics of an array count from: those of a training that this network goes on with. */
void rpu_network_carry_stats(struct rpu_network *network, size_t index, const struct rpu_array_stats *stats);

/** Images that one thread of several has trained alone. */
uint64_t rpu_network_images_alone(const struct rpu_network *network);

/** Whether all weights are finite numbers. */
int rpu_network_is_finite(const struct rpu_network *network);

/** Whether to stop training. Alone: what this process wants. Where several share the network: what any of them wanted
 *  before the last exchange, so that all hear it after the same minibatch; the wish stays. */
int rpu_network_stops(struct rpu_network *network, int wanted);
/** Images of a test after which that is asked. */
size_t rpu_network_test_piece(const struct rpu_network *network);
/** Forgets all wishes. */
void rpu_network_goes_on(struct rpu_network *network);
/** Why an exchange failed; null when none did. */
const char *rpu_network_exchange_failure(const struct rpu_network *network);

#endif
