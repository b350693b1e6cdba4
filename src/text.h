/* SPDX-License-Identifier: Apache-2.0 */
/** @file text.h  A text that grows. */
#ifndef RPU_SRC_TEXT_H
#define RPU_SRC_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include <rpu/status.h>

/** Starts as {0}. A failure to grow is kept and looked at once, at the end. */
struct rpu_text {
    char *bytes; /**< malloc'd, zero-terminated; null while empty */
    size_t length, room;
    int failed; /**< 1: memory ran out; the text is incomplete */
};

void rpu_text_add(struct rpu_text *text, const char *bytes, size_t length);
void rpu_text_put(struct rpu_text *text, const char *string);
void rpu_text_format(struct rpu_text *text, const char *format, ...) RPU_PRINTF(2, 3); /**< up to 255 bytes */

/** Hands the bytes over to the caller, who frees them; null if the text is incomplete. The text is {0} again. */
char *rpu_text_take(struct rpu_text *text);

/** Code point of UTF-8 at p and its length in bytes; 0 where it is none. */
size_t rpu_code_point(const unsigned char *p, uint32_t *code);

#endif
