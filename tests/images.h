/* SPDX-License-Identifier: Apache-2.0 */
/** @file images.h  Images of nothing in particular, for cmocka's tests of networks. */
#ifndef RPU_TESTS_IMAGES_H
#define RPU_TESTS_IMAGES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <rpu/data.h>

/** `count` images whose pixels come from `state`, labels 0..classes-1 in turn. */
static inline struct rpu_images make_images(uint32_t state, uint32_t count, uint32_t height, uint32_t width,
                                            uint32_t channels, uint32_t classes) {
    struct rpu_images im = {count, height, width, channels, classes, NULL, NULL};
    const size_t size = (size_t)count * height * width * channels;
    im.pixels = malloc(size);
    im.labels = malloc(count);
    assert_non_null(im.pixels);
    assert_non_null(im.labels);
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        im.pixels[i] = (uint8_t)(state >> 24);
    }
    for (size_t i = 0; i < count; i++)
        im.labels[i] = (uint8_t)(i % classes);
    return im;
}

#endif
