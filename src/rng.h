/* SPDX-License-Identifier: Apache-2.0 */
/** @file rng.h  Making streams: seed and purpose to key. The counter layout is in kernels/counter.h. */
#ifndef RPU_SRC_RNG_H
#define RPU_SRC_RNG_H

#include "kernels.h"

/** A stream with the key of (seed, purpose) and counter {0, image, word2, word3}. */
struct rpu_stream rpu_stream_make(uint64_t seed, enum rpu_rng_purpose purpose, uint32_t image, uint32_t word2,
                                  uint32_t word3);

/** One Philox4x32-10 block in plain C, for code that is not a kernel (shuffle, generated digits). */
void rpu_philox_block(const uint32_t key[2], const uint32_t ctr[4], uint32_t out[4]);

/** Brings `count` numbers into a random order: Fisher-Yates from the top, position e by word e % 4 of block e / 4 of
 * the stream. The scaled 32-bit number is uniform to within count / 2^32. */
void rpu_permute(uint32_t *order, uint32_t count, const struct rpu_stream *stream);

#endif
