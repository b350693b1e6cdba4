/* SPDX-License-Identifier: Apache-2.0 */
/* rpubench-bench: the benchmarks. All flags of Google Benchmark, and
 *   --data=DIR     training images from a folder of IDX files instead of the generated digits
 *   --shapes=DIR   folder of the shape files
 *   --isa=NAME     the best kernel variant to use
 *   --slow=KERNEL  let that kernel do its work three times: a regression on purpose
 *   --blas-core=NAME   OpenBLAS's core; `default`: the one it takes by itself. Without the flag it is held to AVX2
 * Exit code 1 when a result differed from its oracle. */
#include "bench.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRAINING_IMAGES = 8000, WARM_UP = 400 }; /* no benchmark trains on an image twice */

const struct rpu_images *bench_images(struct bench *b) {
    struct rpu_error err = {0};
    enum rpu_status status = RPU_OK;
    if (!b->set.train.pixels)
        status = strcmp(b->data, "digits") == 0 ? rpu_digits_generate(&b->set, TRAINING_IMAGES, 1, 1, &err)
                                                : rpu_dataset_read(&b->set, b->data, TRAINING_IMAGES, 1, &err);
    if (status != RPU_OK)
        fprintf(stderr, "rpubench-bench: %s\n", err.message);
    return status == RPU_OK ? &b->set.train : NULL;
}

const struct inputs *bench_trained(struct bench *b) {
    const struct rpu_images *images = bench_images(b);
    struct training t = {0};
    if (!b->have_trained && images && training_make(&t, b->engine, images, "lenet-rpu")) {
        training_run(&t, WARM_UP);
        training_capture(&t, b->trained);
        b->have_trained = 1;
    }
    training_free(&t);
    return b->have_trained ? b->trained : NULL;
}

void bench_fail(struct bench *b, struct gb_state *state, const char *what) {
    b->failed++;
    gb_skip(state, what);
}

/* Takes --name=value out of the command line; null when it is not there. */
static const char *take(int *argc, char **argv, const char *name) {
    const size_t length = strlen(name);
    for (int i = 1; i < *argc; i++)
        if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=') {
            const char *value = argv[i] + length + 1;
            memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof *argv);
            --*argc;
            return value;
        }
    return NULL;
}

/* The value of --name=value, which stays in the command line; null when it is not there. */
static const char *find(char **argv, const char *name) {
    const size_t length = strlen(name);
    for (char **a = argv; *a; a++)
        if (strncmp(*a, name, length) == 0 && (*a)[length] == '=')
            return *a + length + 1;
    return NULL;
}

static void describe(const struct bench *b) {
    char kernels[2048] = "";
    size_t at = 0;
    for (size_t i = 0; i < rpu_engine_kernel_count(b->engine); i++) {
        const int n = snprintf(kernels + at, sizeof kernels - at, "%s%s=%s", i ? " " : "",
                               rpu_engine_kernel_name(b->engine, i), rpu_engine_kernel_variant(b->engine, i));
        at += n > 0 && (size_t)n < sizeof kernels - at ? (size_t)n : 0;
    }
    gb_context("rpubench_version", rpu_version());
    gb_context("compiler", RPU_BENCH_COMPILER);
    gb_context("cpu", rpu_cpu_model());
    gb_context("cpu_features", rpu_cpu_features());
    gb_context("isa", rpu_engine_isa(b->engine));
    gb_context("kernels", kernels);
    gb_context("openblas", openblas_get_config());
    gb_context("openblas_core", openblas_get_corename());
    gb_context("openblas_default_core", blas_core_first());
    gb_context("data", b->data);
    gb_context("threads", "1");
    if (b->slow)
        gb_context("slow", b->slow);
}

static int engines(struct bench *b, const char *isa) {
    struct rpu_error err;
    if (rpu_engine_create(&b->engine, isa, 1, &err) != RPU_OK ||
        rpu_engine_create(&b->oracle, "generic", 1, &err) != RPU_OK) {
        fprintf(stderr, "rpubench-bench: %s\n", err.message);
        return 0;
    }
    if (rpu_engine_create(&b->autovec, "autovec", 1, NULL) != RPU_OK)
        b->autovec = NULL;
    slow_down(b->engine, b->slow);
    if (b->autovec)
        slow_down(b->autovec, b->slow);
    return 1;
}

static void clean_up(struct bench *b) {
    kernel_free(b);
    for (size_t a = 0; a < LENET_ARRAYS; a++)
        inputs_free(&b->trained[a]);
    rpu_dataset_free(&b->set);
    rpu_engine_destroy(b->autovec);
    rpu_engine_destroy(b->oracle);
    rpu_engine_destroy(b->engine);
    gb_shutdown();
}

int main(int argc, char **argv) {
    static struct bench b;
    if (!blas_core_choose(argv, find(argv, "--blas-core")))
        return 2;
    take(&argc, argv, "--blas-core");
    const char *isa = take(&argc, argv, "--isa");
    const char *data = take(&argc, argv, "--data"), *shapes = take(&argc, argv, "--shapes");
    b.slow = take(&argc, argv, "--slow");
    b.data = data ? data : "digits";
    b.shapes = shapes ? shapes : RPU_BENCH_SHAPES;
    openblas_set_num_threads(1);
    gb_initialize(&argc, argv);
    if (gb_unrecognized(argc, argv) || (b.slow && !slow_known(b.slow)) || !engines(&b, isa))
        return 2;
    describe(&b);
    goal_register(&b);
    const int registered = kernel_register(&b);
    if (registered)
        gb_run();
    clean_up(&b);
    if (!registered)
        return 2;
    if (b.failed)
        fprintf(stderr, "rpubench-bench: %d checks failed\n", b.failed);
    return b.failed ? 1 : 0;
}
