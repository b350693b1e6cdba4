/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SHAPES = 64, CHECK_WORK = 1 << 24 };

/* Whether a window of so many pixels a side has no more elements than there are. */
static int fits(uint32_t window, uint32_t elements) {
    return window > 0 && (uint64_t)window * window <= elements;
}

/* 1: a shape; 0: an empty line; -1: anything else. */
static int parse(char *line, struct shape *s) {
    line[strcspn(line, "#\r\n")] = '\0';
    if (line[strspn(line, " \t")] == '\0')
        return 0;
    *s = (struct shape){.name = ""};
    const int found = sscanf(line, "%15s %u %u %u %u %u %u %u %u", s->name, &s->out, &s->in, &s->columns, &s->kernel,
                             &s->stride, &s->padding, &s->pool_window, &s->pool_stride);
    const int array = s->out > 0 && s->in > 0 && s->columns > 0;
    const int conv = fits(s->kernel, s->in) && s->stride > 0 && s->padding < s->kernel;
    const int pool = fits(s->pool_window, s->columns) && s->pool_stride > 0;
    return array && (found == 4 || (found == 7 && conv) || (found == 9 && conv && pool)) ? 1 : -1;
}

size_t shapes_read(const char *path, struct shape **shapes) {
    char line[256];
    size_t count = 0;
    FILE *file = fopen(path, "r");
    *shapes = file ? room(MAX_SHAPES * sizeof **shapes) : NULL;
    if (!file)
        fprintf(stderr, "rpubench-bench: cannot read %s\n", path);
    for (long number = 1; file && count < MAX_SHAPES && fgets(line, sizeof line, file); number++) {
        const int found = parse(line, &(*shapes)[count]);
        if (found < 0) {
            fprintf(stderr,
                    "rpubench-bench: %s:%ld: expected 'name outputs inputs columns [kernel stride padding [window "
                    "stride]]'\n",
                    path, number);
            count = 0;
            break;
        }
        count += (size_t)found;
    }
    if (file)
        fclose(file);
    return count;
}

uint32_t shape_checked(const struct shape *s) {
    const uint64_t columns = CHECK_WORK / ((uint64_t)s->out * s->in);
    return columns < 1 ? 1 : columns < s->columns ? (uint32_t)columns : s->columns;
}
