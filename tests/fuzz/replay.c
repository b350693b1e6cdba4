/* SPDX-License-Identifier: Apache-2.0 */
/* Runs files, and the files of folders, through a fuzz target: the seeds, and whatever a fuzzer found.
 *
 * usage: fuzz_TARGET FILE|FOLDER... */
#include "fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

enum { SIZE_MOST = 1 << 22 };

__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    return 0;
}

static size_t run_file(const char *path) {
    FILE *f = fopen(path, "rb");
    uint8_t *bytes = malloc(SIZE_MOST), *exact;
    size_t size;
    FUZZ_CHECK(f && bytes);
    size = fread(bytes, 1, SIZE_MOST, f);
    fclose(f);
    exact = malloc(size ? size : 1); /* so that reading beyond the end is seen */
    FUZZ_CHECK(exact);
    memcpy(exact, bytes, size);
    free(bytes);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 1;
}

static size_t run_path(const char *path) {
    char name[PATH_MAX];
    struct stat st;
    size_t n = 0;
    DIR *folder;
    FUZZ_CHECK(stat(path, &st) == 0);
    if (!S_ISDIR(st.st_mode))
        return run_file(path);
    folder = opendir(path);
    FUZZ_CHECK(folder);
    for (struct dirent *e = readdir(folder); e; e = readdir(folder))
        if (e->d_name[0] != '.') {
            snprintf(name, sizeof name, "%s/%s", path, e->d_name);
            n += run_path(name);
        }
    closedir(folder);
    return n;
}

int main(int argc, char **argv) {
    size_t n = 0;
    LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++)
        n += run_path(argv[i]);
    fprintf(stderr, "%zu inputs\n", n);
    return n ? 0 : 1;
}
