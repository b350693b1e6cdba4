/* SPDX-License-Identifier: Apache-2.0 */
/* A sweep file, and below a line "====" assignments to it. Runs of one that is accepted have names and configurations,
 * and make a table. */
#include "fuzz.h"

#include "sweep.h"
#include "sweep_result.h"

#include <string.h>
#include <unistd.h>

enum { ASSIGNMENTS_MOST = 16, TABLE_MOST = 64 };

static void check_run(const struct rpu_sweep *sweep, size_t run) {
    static struct rpu_config config;
    struct rpu_error err;
    const char *name = rpu_sweep_name(sweep, run);
    FUZZ_CHECK(*name && strlen(name) <= RPU_SWEEP_MAX_NAME && !strchr(name, '/'));
    FUZZ_CHECK(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    FUZZ_CHECK(rpu_sweep_config(sweep, run, &config, &err) == RPU_OK);
    FUZZ_CHECK(config.threads >= 1);
    fuzz_check_config(&config);
}

static void check_table(const struct rpu_sweep *sweep) {
    const size_t n = rpu_sweep_count(sweep);
    struct rpu_run *runs = calloc(n, sizeof *runs);
    struct rpu_error err;
    char *text = NULL;
    FUZZ_CHECK(runs);
    for (size_t i = 0; i < n; i++) {
        runs[i].state = (enum rpu_run_state)(i % 6);
        runs[i].summary.test_error = 0.01 * (double)i;
    }
    FUZZ_CHECK(rpu_sweep_json(&text, sweep, runs, &err) == RPU_OK);
    free(text);
    FUZZ_CHECK(rpu_sweep_csv(&text, sweep, runs, &err) == RPU_OK);
    free(text);
    free(runs);
}

static void check_sweep(const struct rpu_sweep *sweep) {
    const size_t n = rpu_sweep_count(sweep);
    FUZZ_CHECK(n >= 1 && n <= RPU_SWEEP_MAX_RUNS);
    check_run(sweep, 0);
    check_run(sweep, n / 2);
    check_run(sweep, n - 1);
    if (n <= TABLE_MOST)
        check_table(sweep);
}

/* A sweep file names its base beside itself: it stands in a folder of its own, as a link to the file in memory, beside
 * which are this process's open files, pipes among them. */
static char folder[] = "/tmp/fuzz-sweep-XXXXXX", path[64];

static void remove_folder(void) {
    unlink(path);
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    FUZZ_CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/sweep.yaml", folder);
    FUZZ_CHECK(symlink(fuzz_file(0, "", 0), path) == 0);
    atexit(remove_folder);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct rpu_assignment list[ASSIGNMENTS_MOST];
    struct rpu_sweep *sweep = NULL;
    struct fuzz_part parts[2];
    struct rpu_error err;
    char **lines;
    size_t n;
    fuzz_cut(data, size, parts, 2);
    n = fuzz_lines(parts[1], ASSIGNMENTS_MOST, &lines);
    for (size_t i = 0; i < n; i++)
        list[i] = (struct rpu_assignment){lines[i], "--set"};
    fuzz_file(0, parts[0].bytes, parts[0].size);
    if (rpu_sweep_read(&sweep, path, list, n, &err) == RPU_OK)
        check_sweep(sweep);
    else
        fuzz_check_error(&err);
    rpu_sweep_free(sweep);
    fuzz_free_lines(lines, n);
    return 0;
}
