/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `more` bytes and a zero. */
static int grow(struct rpu_text *text, size_t more) {
    size_t room = text->room ? text->room : 64;
    char *bytes;
    if (text->failed || more > SIZE_MAX / 4 || text->length > SIZE_MAX / 4) {
        text->failed = 1;
        return 0;
    }
    while (room - text->length <= more)
        room *= 2;
    if (room == text->room)
        return 1;
    bytes = realloc(text->bytes, room);
    if (!bytes) {
        text->failed = 1;
        return 0;
    }
    text->bytes = bytes;
    text->room = room;
    return 1;
}

void rpu_text_add(struct rpu_text *text, const char *bytes, size_t length) {
    if (!grow(text, length))
        return;
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

void rpu_text_put(struct rpu_text *text, const char *string) {
    rpu_text_add(text, string, strlen(string));
}

void rpu_text_format(struct rpu_text *text, const char *format, ...) {
    char part[256];
    va_list list;
    va_start(list, format);
    vsnprintf(part, sizeof part, format, list);
    va_end(list);
    rpu_text_put(text, part);
}

char *rpu_text_take(struct rpu_text *text) {
    char *bytes;
    rpu_text_add(text, "", 0); /* an empty text has bytes, too */
    bytes = text->bytes;
    if (text->failed) {
        free(bytes);
        bytes = NULL;
    }
    memset(text, 0, sizeof *text);
    return bytes;
}

size_t rpu_code_point(const unsigned char *p, uint32_t *code) {
    const size_t length = *p < 0x80                 ? 1
                          : *p >= 0xc2 && *p < 0xe0 ? 2
                          : (*p & 0xf0) == 0xe0     ? 3
                          : *p >= 0xf0 && *p < 0xf5 ? 4
                                                    : 0;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t c = length == 1 ? *p : *p & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    *code = c;
    return c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : length;
}
