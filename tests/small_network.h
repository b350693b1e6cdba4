/* SPDX-License-Identifier: Apache-2.0 */
/** @file small_network.h  A network of three arrays, and a few images trained: what tests of networks share. */
#ifndef RPU_TESTS_SMALL_NETWORK_H
#define RPU_TESTS_SMALL_NETWORK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <rpu/network.h>

/** Assignment of the network: arrays K1 (a convolution), W2 and W3. */
#define SMALL_NETWORK                                                                                                  \
    {                                                                                                                  \
        "network={layers: [{type: conv, outputs: 4, kernel: 3}, {type: tanh}, {type: fc, outputs: 5}, {type: tanh}, "  \
        "{type: fc, outputs: 3}, {type: softmax}]}",                                                                   \
            NULL                                                                                                       \
    }

enum { SIX = 6, SIX_SIDE = 9 };

/** Six images of three classes. */
static inline struct rpu_images six_images(void) {
    static uint8_t pixels[SIX * SIX_SIDE * SIX_SIDE], labels[SIX] = {0, 1, 2, 0, 1, 2};
    const struct rpu_images images = {SIX, SIX_SIDE, SIX_SIDE, 1, 3, pixels, labels};
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 37 % 251);
    return images;
}

/** A network that has been trained on the six, in minibatches; `loss` (may be null) is added to. */
static inline struct rpu_network *trained_on_six(struct rpu_engine *engine, const struct rpu_config *c, double *loss) {
    static const uint32_t order[SIX] = {3, 1, 0, 2, 5, 4};
    const struct rpu_images images = six_images();
    struct rpu_network *n;
    struct rpu_error err;
    if (rpu_network_create(&n, engine, c, SIX_SIDE, SIX_SIDE, 1, 3, &err) != RPU_OK)
        fail_msg("%s", err.message);
    for (uint32_t i = 0; i < SIX; i += c->batch)
        assert_int_equal(rpu_network_train(n, &images, order + i, c->batch, i, loss), RPU_OK);
    return n;
}

#endif
