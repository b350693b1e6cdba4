/* SPDX-License-Identifier: Apache-2.0 */
#include "json_text.h"

#include "error.h"
#include "small.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* What is read. */
struct source {
    const char *bytes;
    size_t left;
    size_t before; /* of `opening`, handed over */
    int closed, system;
};

/* Jansson keeps a token in a buffer that grows by doubling, does not see that it could not, and aborts where that was
 * the byte behind a number. So what is read stands in a list behind a text that makes the buffer larger than a number.
 */
static const char opening[] = "[\"................................................................\",";

static int next_of(struct source *s) {
    if (s->before < sizeof opening - 1)
        return opening[s->before++];
    if (s->left > 0) {
        s->left--;
        return (unsigned char)*s->bytes++;
    }
    if (s->closed)
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

/* Whether it was the end of the list that could not be where it is. */
static int ends_early(const struct source *s, const char *reason) {
    static const char met[] = "near ']'";
    const size_t length = strlen(reason);
    return s->closed && length >= sizeof met - 1 && strcmp(reason + length - (sizeof met - 1), met) == 0;
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
    else if (ends_early(s, reason->text))
        snprintf(reason->text, sizeof reason->text, "the text ends too early");
    json_decref(list);
    return value;
}

json_t *rpu_json_parse(const char *bytes, size_t size, size_t flags, json_error_t *reason, int *system) {
    struct source s = {.bytes = bytes, .left = size};
    return load(&s, flags, reason, system);
}

enum rpu_status rpu_json_bytes(char **bytes, size_t *size, const char *path, struct rpu_error *err) {
    size_t room = 1 << 16, n = 0;
    char *text = malloc(room), *larger;
    FILE *in = fopen(path, "rb");
    enum rpu_status status = RPU_OK;
    errno = in ? 0 : errno;
    while (in && text && (n += rpu_read_stream(text + n, room - n, in)) == room && room <= RPU_JSON_MAX_BYTES) {
        larger = realloc(text, room *= 2);
        if (!larger)
            free(text);
        text = larger;
    }
    const int failed = !in || ferror(in) ? errno : 0;
    if (in)
        fclose(in);
    errno = failed;
    if (failed)
        status = rpu_fail_system(err, path, "cannot be read");
    else if (!text)
        status = rpu_fail_at(err, RPU_ERR_NOMEM, path, 0, NULL, "out of memory");
    else if (n > RPU_JSON_MAX_BYTES)
        status = rpu_fail_at(err, RPU_ERR_FORMAT, path, 0, NULL, "is larger than %d MiB, the most that is read",
                             RPU_JSON_MAX_BYTES >> 20);
    if (status != RPU_OK) {
        free(text);
        text = NULL;
    }
    *bytes = text;
    *size = n;
    return status;
}

void rpu_json_put(int *failed, json_t *object, const char *key, json_t *value) {
    if (*failed)
        json_decref(value);
    else if (json_object_set_new(object, key, value) != 0)
        *failed = 1;
}

void rpu_json_append(int *failed, json_t *list, json_t *value) {
    if (*failed)
        json_decref(value);
    else if (json_array_append_new(list, value) != 0)
        *failed = 1;
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
