/* SPDX-License-Identifier: Apache-2.0 */
/* rpubench-bench: the benchmarks. All flags of Google Benchmark, and
 *   --data=DIR     training images from a folder of IDX files instead of the generated digits
 *   --shapes=DIR   folder of the shape files
 *   --isa=LIST|all     kernel variants to measure, separated by commas; the goals take the best of them
 *   --threads=LIST     numbers of threads to measure; without it 1 and as many as the process may use
 *   --quick            a choice of every group that takes under 50 s on two cores
 *   --official         the fixed workload for comparing machines, and nothing else
 *   --slow=KERNEL      let that kernel do its work three times: a regression on purpose
 *   --wrong=KERNEL     let that kernel be wrong in one bit: a fault that the checks must find
 *   --blas-core=NAME   OpenBLAS's core; `default`: the one it takes by itself. Without the flag it is held to AVX2
 * Exit code 1 when a result differed from its oracle or there were no images, 2 when nothing was to be measured. */
#include "app.h"
#include "bench.h"
#include "choice.h"

#include <cblas.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRAINING_IMAGES = 8000, WARM_UP = 400 }; /* no benchmark trains on one of these twice */
enum { RANDOM_IMAGES = 64 };

const struct rpu_images *bench_images(struct bench *b) {
    struct rpu_error err = {0};
    enum rpu_status status = RPU_OK;
    if (b->no_data)
        return NULL;
    if (!b->set.train.pixels)
        status = strcmp(b->data, "digits") == 0 ? rpu_digits_generate(&b->set, TRAINING_IMAGES, 1, 1, &err)
                                                : rpu_dataset_read(&b->set, b->data, TRAINING_IMAGES, 1, &err);
    if (status != RPU_OK)
        fprintf(stderr, "rpubench-bench: --data: %s\n", err.message);
    b->no_data = status != RPU_OK;
    return status == RPU_OK ? &b->set.train : NULL;
}

const struct rpu_images *bench_random_images(struct bench *b, uint32_t height, uint32_t width, uint32_t channels) {
    struct rpu_images *r = &b->random;
    const size_t size = (size_t)height * width * channels;
    uint64_t rng = 1;
    if (r->height != height || r->width != width || r->channels != channels) {
        rpu_images_free(r);
        *r = (struct rpu_images){RANDOM_IMAGES, height, width, channels, UINT8_MAX + 1, NULL, NULL};
        r->pixels = room(RANDOM_IMAGES * size);
        r->labels = room(RANDOM_IMAGES);
        for (size_t i = 0; i < RANDOM_IMAGES * size; i++)
            r->pixels[i] = (uint8_t)(256.0 * random_unit(&rng));
        for (size_t i = 0; i < RANDOM_IMAGES; i++)
            r->labels[i] = (uint8_t)(256.0 * random_unit(&rng));
    }
    return r;
}

const struct inputs *bench_trained(struct bench *b) {
    const struct rpu_images *images = bench_images(b);
    struct training t = {0};
    if (!b->have_trained && images && training_make(&t, b->engine, images, "lenet-rpu", 1)) {
        training_run(&t, WARM_UP);
        training_capture(&t, b->trained);
        b->have_trained = 1;
    }
    training_free(&t);
    return b->have_trained ? b->trained : NULL;
}

int lenet_array(const struct shape *shape) {
    for (int a = 0; a < LENET_ARRAYS; a++)
        if (strcmp(shape->name, lenet_shapes[a].name) == 0)
            return a;
    return -1;
}

const struct inputs *bench_trained_for(struct bench *b, const struct shape *shape) {
    const int array = lenet_array(shape);
    const struct inputs *trained = array < 0 ? NULL : bench_trained(b);
    return trained ? &trained[array] : NULL;
}

void bench_fail(struct bench *b, struct gb_state *state, const char *what) {
    b->failed += gb_skip(state, what);
}

void bench_skip(struct gb_state *state, const char *why) {
    char text[128];
    snprintf(text, sizeof text, RPU_BENCH_NOT_MEASURED "%s", why);
    gb_skip(state, text);
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

/* Takes --name out of the command line. */
static int take_flag(int *argc, char **argv, const char *name) {
    for (int i = 1; i < *argc; i++)
        if (strcmp(argv[i], name) == 0) {
            memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof *argv);
            --*argc;
            return 1;
        }
    return 0;
}

static int engines(struct bench *b) {
    struct rpu_error err;
    if (rpu_engine_create(&b->engine, bench_best(b), 1, &err) != RPU_OK ||
        rpu_engine_create(&b->oracle, "generic", 1, &err) != RPU_OK) {
        fprintf(stderr, "rpubench-bench: %s\n", err.message);
        return 0;
    }
    if (rpu_engine_create(&b->autovec, "autovec", 1, NULL) != RPU_OK)
        b->autovec = NULL;
    spoil(b->engine, b);
    if (b->autovec)
        spoil(b->autovec, b);
    return 1;
}

size_t bench_shapes(const struct bench *b, const char *file, struct shape **shapes) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", b->shapes, file);
    return shapes_read(path, shapes);
}

/* The folder of the shape files: where they were installed, beside the program; else the source tree. */
static const char *find_shapes(void) {
    static char path[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "/" RPU_BENCH_INSTALLED_SHAPES);
    char *slash;
    if (n > 0) {
        path[n] = '\0';
        slash = strrchr(path, '/');
        strcpy(slash, "/" RPU_BENCH_INSTALLED_SHAPES);
        if (access(path, R_OK) == 0)
            return path;
    }
    return RPU_BENCH_SHAPES;
}

static int register_all(struct bench *b) {
    if (b->official) {
        official_register(b);
        return 1;
    }
    machine_register(b);
    if (!kernel_register(b) || !array_register(b) || !baseline_register(b))
        return 0;
    step_register(b);
    scaling_register(b);
    goal_register(b);
    return 1;
}

static void clean_up(struct bench *b) {
    kernel_free(b);
    array_free(b);
    baseline_free(b);
    machine_free(b);
    for (size_t a = 0; a < LENET_ARRAYS; a++)
        inputs_free(&b->trained[a]);
    rpu_dataset_free(&b->set);
    rpu_images_free(&b->random);
    rpu_engine_destroy(b->autovec);
    rpu_engine_destroy(b->oracle);
    rpu_engine_destroy(b->engine);
    choice_free(b);
    gb_shutdown();
}

int main(int argc, char **argv) {
    static struct bench b;
    if (!blas_core_choose(argv, find(argv, "--blas-core")))
        return 2;
    take(&argc, argv, "--blas-core");
    const char *isas = take(&argc, argv, "--isa"), *teams = take(&argc, argv, "--threads");
    const char *data = take(&argc, argv, "--data"), *shapes = take(&argc, argv, "--shapes");
    b.spoiled[SPOIL_SLOW] = take(&argc, argv, "--slow");
    b.spoiled[SPOIL_WRONG] = take(&argc, argv, "--wrong");
    b.quick = take_flag(&argc, argv, "--quick");
    b.official = take_flag(&argc, argv, "--official");
    b.data = data ? data : "digits";
    b.shapes = shapes ? shapes : find_shapes();
    openblas_set_num_threads(1);
    gb_initialize(&argc, argv);
    if (gb_unrecognized(argc, argv) || !spoil_known(SPOIL_SLOW, b.spoiled[SPOIL_SLOW]) ||
        !spoil_known(SPOIL_WRONG, b.spoiled[SPOIL_WRONG]) || !choose_isas(&b, isas) || !choose_teams(&b, teams) ||
        !engines(&b))
        return 2;
    context_describe(&b);
    const int registered = register_all(&b);
    size_t matched = 0;
    if (registered)
        matched = gb_run();
    clean_up(&b);
    if (!registered)
        return 2;
    if (matched == 0) /* Google Benchmark has said so */
        return 2;
    if (b.failed)
        fprintf(stderr, "rpubench-bench: %d benchmarks failed\n", b.failed);
    return b.failed ? 1 : 0;
}
