/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "config_json.h"

#include <rpu/config.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOTS = 4 };

const char *fuzz_file(int slot, const void *bytes, size_t size) {
    static int files[SLOTS];
    static char paths[SLOTS][32];
    if (!files[slot]) {
        files[slot] = memfd_create("fuzz", 0);
        FUZZ_CHECK(files[slot] > 0);
        snprintf(paths[slot], sizeof paths[slot], "/proc/self/fd/%d", files[slot]);
    }
    FUZZ_CHECK(ftruncate(files[slot], 0) == 0);
    FUZZ_CHECK(size == 0 || pwrite(files[slot], bytes, size, 0) == (ssize_t)size);
    return paths[slot];
}

/* ---- parts of an input ---- */

static const uint8_t *find(const uint8_t *data, size_t size, const char *word) {
    return size ? memmem(data, size, word, strlen(word)) : NULL;
}

size_t fuzz_cut(const uint8_t *data, size_t size, struct fuzz_part *parts, size_t most) {
    static const char line[] = "\n====\n";
    size_t n = 0;
    for (size_t i = 0; i < most; i++)
        parts[i] = (struct fuzz_part){data, 0};
    while (n < most) {
        const uint8_t *end = find(data, size, line);
        parts[n++] = (struct fuzz_part){data, end ? (size_t)(end - data) + 1 : size};
        if (!end)
            break;
        size -= (size_t)(end - data) + strlen(line);
        data = end + strlen(line);
    }
    return n;
}

size_t fuzz_lines(struct fuzz_part part, size_t most, char ***lines) {
    size_t n = 0;
    *lines = calloc(most + 1, sizeof **lines);
    FUZZ_CHECK(*lines);
    while (part.size && n < most) {
        const uint8_t *end = memchr(part.bytes, '\n', part.size);
        const size_t length = end ? (size_t)(end - part.bytes) : part.size;
        (*lines)[n] = malloc(length + 1);
        FUZZ_CHECK((*lines)[n]);
        memcpy((*lines)[n], part.bytes, length);
        (*lines)[n++][length] = '\0';
        part.bytes += length + (end != NULL);
        part.size -= length + (end != NULL);
    }
    return n;
}

void fuzz_free_lines(char **lines, size_t n) {
    for (size_t i = 0; i < n; i++)
        free(lines[i]);
    free(lines);
}

/* ---- what has to hold ---- */

#define TERMINATED(text) (memchr((text), '\0', sizeof(text)) != NULL)

void fuzz_check_error(const struct rpu_error *err) {
    FUZZ_CHECK(err->status != RPU_OK);
    FUZZ_CHECK(TERMINATED(err->message) && err->message[0] != '\0');
    FUZZ_CHECK(TERMINATED(err->file) && TERMINATED(err->key) && TERMINATED(err->value) && TERMINATED(err->expected));
    FUZZ_CHECK(err->line >= 0);
    for (const char *c = err->message; *c; c++)
        FUZZ_CHECK((unsigned char)*c >= 0x20 && *c != 0x7f); /* nothing that drives a terminal */
}

void fuzz_check_config(const struct rpu_config *config) {
    static struct rpu_config again;
    struct rpu_error err;
    char *text = NULL;
    FUZZ_CHECK(rpu_config_yaml(config, &text, &err) == RPU_OK);
    if (rpu_config_load(&again, fuzz_file(SLOTS - 1, text, strlen(text)), NULL, 0, &err) != RPU_OK) {
        fprintf(stderr, "%s\n%s\n", text, err.message);
        abort();
    }
    free(text);
    FUZZ_CHECK(memcmp(config, &again, sizeof again) == 0);
    /* as a checkpoint keeps it */
    json_t *json = rpu_config_to_json(config);
    text = rpu_config_json_text(json);
    json_decref(json);
    if (rpu_config_from_json(&again, text, "json", &err) != RPU_OK) {
        fprintf(stderr, "%s\n%s\n", text, err.message);
        abort();
    }
    free(text);
    FUZZ_CHECK(rpu_config_same(config, &again, NULL, &err) == RPU_OK && strcmp(config->data, again.data) == 0);
}
