/* SPDX-License-Identifier: Apache-2.0 */
/* Assignments to a configuration, one in a line; a first line that is the name of a preset chooses that. */
#include "fuzz.h"

#include <rpu/config.h>

enum { MOST = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct rpu_config config;
    struct rpu_assignment list[MOST];
    struct rpu_error err;
    char **lines;
    const size_t n = fuzz_lines((struct fuzz_part){data, size}, MOST, &lines);
    const int named = n > 0 && rpu_preset_yaml(lines[0]);
    for (size_t i = 0; i < n; i++)
        list[i] = (struct rpu_assignment){lines[i], i % 2 ? "--set" : NULL};
    if (rpu_config_load(&config, named ? lines[0] : NULL, list + named, n - (size_t)named, &err) == RPU_OK)
        fuzz_check_config(&config);
    else
        fuzz_check_error(&err);
    fuzz_free_lines(lines, n);
    return 0;
}
