/* SPDX-License-Identifier: Apache-2.0 */
#include "json_text.h"

#include "small.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>

/* The text keeps that it failed. */
static int add(const char *bytes, size_t length, void *text) {
    rpu_text_add(text, bytes, length);
    return 0;
}

char *rpu_json_text(const json_t *value, size_t flags) {
    struct rpu_text text = {0};
    if (json_dump_callback(value, add, &text, flags) != 0)
        text.failed = 1;
    return rpu_text_take(&text);
}

/* What is read: bytes or, where there are none, a stream. */
struct source {
    const char *bytes;
    size_t left;
    FILE *file;
    size_t before; /* of `opening`, handed over */
    int closed, system;
};

/* Jansson keeps a token in a buffer that grows by doubling, does not see that it could not, and aborts where that was
 * the byte behind a number. So what is read stands in a list behind a text that makes the buffer larger than a number.
 */
static const char opening[] = "[\"................................................................\",";

static int next_of(struct source *s) {
    unsigned char c;
    if (s->before < sizeof opening - 1)
        return opening[s->before++];
    if (s->left > 0) {
        s->left--;
        return (unsigned char)*s->bytes++;
    }
    if (s->file && rpu_read_stream(&c, 1, s->file) == 1)
        return c;
    if (s->file && ferror(s->file))
        s->system = errno;
    if (s->closed || s->system)
        return EOF;
    s->closed = 1;
    return ']';
}

/* One byte at a time: a lack of memory is seen before the next byte, and ends the text. */
static size_t next_byte(void *buffer, size_t size, void *context) {
    struct source *s = context;
    int c;
    (void)size;
    if (errno == ENOMEM)
        s->system = ENOMEM;
    errno = 0;
    c = s->system ? EOF : next_of(s);
    if (c == EOF)
        return 0;
    *(unsigned char *)buffer = (unsigned char)c;
    return 1;
}

static json_t *load(struct source *s, size_t flags, json_error_t *reason, int *system) {
    json_t *list, *value = NULL;
    errno = 0;
    list = json_load_callback(next_byte, s, flags, reason);
    *system = s->system ? s->system : errno == ENOMEM ? ENOMEM : 0;
    if (list && !*system && json_array_size(list) == 2)
        value = json_incref(json_array_get(list, 1));
    else if (list)
        snprintf(reason->text, sizeof reason->text, "end of file expected");
    json_decref(list);
    return value;
}

json_t *rpu_json_parse(const char *bytes, size_t size, size_t flags, json_error_t *reason, int *system) {
    struct source s = {.bytes = bytes, .left = size};
    return load(&s, flags, reason, system);
}

json_t *rpu_json_read(FILE *file, size_t flags, json_error_t *reason, int *system) {
    struct source s = {.file = file};
    return load(&s, flags, reason, system);
}

int rpu_json_add_missing(json_t *object, json_t *other) {
    const char *key;
    json_t *value;
    json_object_foreach(other, key, value) {
        if (!json_object_get(object, key) && json_object_set(object, key, value) != 0)
            return -1;
    }
    return 0;
}
