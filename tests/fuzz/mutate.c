/* SPDX-License-Identifier: Apache-2.0 */
/* A mutator for texts made of lines and words (YAML, JSON, command lines): half of the time it moves, copies, drops or
 * indents whole lines, or puts another word in the place of a word, so that most results still parse; else libFuzzer's
 * own mutations, with the dictionary. */
#include "fuzz.h"

#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Values at the edge of what is allowed or beyond it, for any key. */
static const char *const words[] = {
    "0",
    "1",
    "-1",
    "2",
    "255",
    "256",
    "1024",
    "1025",
    "65535",
    "65536",
    "1048577",
    "2147483647",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "0.5",
    "-0.0",
    "1e-320",
    "1e38",
    "3.5e38",
    "1e308",
    "1e999",
    "0x10",
    ".inf",
    "-.inf",
    ".nan",
    "NaN",
    "Infinity",
    "null",
    "~",
    "true",
    "false",
    "yes",
    "''",
    "\"\"",
    "[]",
    "{}",
    "default",
    "none",
    "abs-max",
    "iterative",
    "perfect",
    "constant-step",
    "softmax",
    "conv",
    "fc",
    "maxpool",
    "\"\\u0000\"",
    "\xc3\xa9",
    "\xff",
};

struct span {
    size_t at, size;
};

static uint32_t step(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static size_t below(uint32_t *state, size_t n) {
    return n ? step(state) % n : 0;
}

/* A line with its newline, chosen at random. */
static struct span line_of(const uint8_t *data, size_t size, uint32_t *state) {
    size_t at = below(state, size), end = at;
    while (at > 0 && data[at - 1] != '\n')
        at--;
    while (end < size && data[end] != '\n')
        end++;
    return (struct span){at, end + (end < size) - at};
}

static int in_word(uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80 ||
           (c && strchr("._+-", c) != NULL);
}

/* A word, or nothing where a few attempts find none. */
static struct span word_of(const uint8_t *data, size_t size, uint32_t *state) {
    for (int attempt = 0; attempt < 8; attempt++) {
        size_t at = below(state, size), end;
        while (at < size && !in_word(data[at]))
            at++;
        end = at;
        while (at > 0 && in_word(data[at - 1]))
            at--;
        while (end < size && in_word(data[end]))
            end++;
        if (end > at)
            return (struct span){at, end - at};
    }
    return (struct span){0, 0};
}

/* Puts `text` in the place of `old`; the size as it was where there is no room. */
static size_t replace(uint8_t *data, size_t size, size_t max_size, struct span old, const uint8_t *text,
                      size_t length) {
    if (size - old.size + length > max_size)
        return size;
    memmove(data + old.at + length, data + old.at + old.size, size - old.at - old.size);
    memcpy(data + old.at, text, length);
    return size - old.size + length;
}

static size_t change_line(uint8_t *data, size_t size, size_t max_size, uint32_t *state) {
    const struct span from = line_of(data, size, state), to = line_of(data, size, state);
    const struct span nothing = {to.at, 0}, blank = {from.at, 2};
    uint8_t copy[512];
    const size_t length = from.size < sizeof copy ? from.size : sizeof copy;
    memcpy(copy, data + from.at, length);
    switch (below(state, 5)) {
    case 0: return replace(data, size, max_size, nothing, copy, length);
    case 1: return replace(data, size, max_size, to, copy, length);
    case 2: return size > from.size ? replace(data, size, max_size, from, copy, 0) : size;
    case 3: return replace(data, size, max_size, nothing, (const uint8_t *)"  ", 2);
    default:
        if (from.size > 2 && memcmp(data + from.at, "  ", 2) == 0)
            return replace(data, size, max_size, blank, copy, 0);
        return replace(data, size, max_size, (struct span){from.at, 0}, (const uint8_t *)"- ", 2);
    }
}

static size_t change_word(uint8_t *data, size_t size, size_t max_size, uint32_t *state) {
    const struct span old = word_of(data, size, state), other = word_of(data, size, state);
    const char *word = words[below(state, sizeof words / sizeof words[0])];
    uint8_t copy[128];
    const size_t length = other.size < sizeof copy ? other.size : sizeof copy;
    memcpy(copy, data + other.at, length);
    if (below(state, 2))
        return replace(data, size, max_size, old, copy, length);
    return replace(data, size, max_size, old, (const uint8_t *)word, strlen(word));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    uint32_t state = seed;
    if (size == 0 || below(&state, 2))
        return LLVMFuzzerMutate(data, size, max_size);
    for (size_t n = 1 + below(&state, 3); n > 0; n--)
        size = below(&state, 2) ? change_line(data, size, max_size, &state) : change_word(data, size, max_size, &state);
    return size;
}
