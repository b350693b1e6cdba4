/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SHAPES = 64 };

static int parse(char *line, struct shape *s) {
    line[strcspn(line, "#\r\n")] = '\0';
    if (line[strspn(line, " \t")] == '\0')
        return 0;
    return sscanf(line, "%15s %u %u %u", s->name, &s->out, &s->in, &s->columns) == 4 && s->out > 0 && s->in > 0 &&
                   s->columns > 0
               ? 1
               : -1;
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
            fprintf(stderr, "rpubench-bench: %s:%ld: expected 'name outputs inputs columns'\n", path, number);
            count = 0;
            break;
        }
        count += (size_t)found;
    }
    if (file)
        fclose(file);
    return count;
}
