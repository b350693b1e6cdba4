/* SPDX-License-Identifier: Apache-2.0 */
/** @file alone.h
 *  Whether threads share a minibatch, or one of them does it alone because that is faster: found out by trying.
 *
 *  Threads that share an image get from each other what one has changed and the others need. Where their cores are far
 *  apart, or are busy with other programs, that takes longer than it saves. So the way that is not in use is tried from
 *  time to time for a few minibatches, and chosen where it seems faster. A few minibatches can be quick by chance, as
 *  within a time slice of a busy processor: what was chosen has to prove it in a whole window, or is given up again.
 *  Nothing that a training computes depends on it. */
#ifndef RPU_SRC_ALONE_H
#define RPU_SRC_ALONE_H

#include <stddef.h>
#include <stdint.h>

/** What is known so far; zeros: nothing, and minibatches are shared. */
struct rpu_alone {
    int chosen;        /**< one thread does them */
    int trial;         /**< but now the other way is tried */
    int probation;     /**< the way in use was chosen by the last trial */
    uint32_t steps;    /**< minibatches of the window or of the trial */
    uint32_t images;   /**< of them, ... */
    double seconds;    /**< ...and their time */
    uint32_t since;    /**< minibatches since the last trial */
    uint32_t interval; /**< and how many until the next one; 0: as many as a window has */
    double base, last; /**< seconds of an image in the first window since a trial (0: none yet), and in the last one */
    double minibatch;  /**< seconds of one in the last window */
};

/** Whether the next minibatch is one thread's. */
int rpu_alone_next(const struct rpu_alone *alone);

/** A minibatch that was done as rpu_alone_next said: its images (one at least), and what it took. */
void rpu_alone_took(struct rpu_alone *alone, size_t images, double seconds);

#endif
