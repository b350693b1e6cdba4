/* SPDX-License-Identifier: Apache-2.0 */
/* Walks every allocation of what the library and the inside of the programs do: the first fails, then the second, and
 * so on until one run comes to its end; and again with all allocations after it failing, too. Each run says
 * RPU_ERR_NOMEM, frees what it took, closes what it opened, and leaves the files as they were.
 *
 * usage: test_faults [all]    By default a scenario of many allocations takes STEPS of them, evenly spread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <dirent.h>
#include <execinfo.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include <rpu/mapping.h>

#include "app.h"
#include "checkpoints.h"
#include "faults/inject.h"
#include "result_read.h"

enum { STEPS = 300, TEXT_MOST = 1 << 17 };

static int every; /* 1: no allocation is left out */
static struct faults_report total;
static long runs_failed;

/* ---- what the scenarios work with; made before anything fails ---- */

static struct setting base, traced; /* finished trainings */
static struct rpu_config perfect, varied, *const small = &base.config;
static char text_of_run[TEXT_MOST]; /* what a run made, if it made a text */

static const char *const names[] = {"c.yaml",
                                    "sweep.yaml",
                                    "checkpoint",
                                    "old.json",
                                    "new.json",
                                    "result.json",
                                    "train-images-idx3-ubyte",
                                    "train-labels-idx1-ubyte",
                                    "t10k-images-idx3-ubyte",
                                    "t10k-labels-idx1-ubyte.gz"};
enum file { CONFIG, SWEEP, CHECKPOINT, OLD, NEW, RESULT, IMAGES, LABELS, TEST_IMAGES, TEST_LABELS, FILES };
static char paths[FILES][128];

static void write_file(enum file f, const void *bytes, size_t size) {
    FILE *out = fopen(paths[f], "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static void write_text(enum file f, const char *text) {
    write_file(f, text, strlen(text));
}

static void write_gzip(const char *path, const void *bytes, unsigned size) {
    gzFile out = gzopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(gzwrite(out, bytes, size), (int)size);
    assert_int_equal(gzclose(out), Z_OK);
}

static void write_images(void) {
    static const uint8_t images[16 + 4 * 64] = {0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 8, 1, 2, 3},
                                         labels[8 + 4] = {0, 0, 8, 1, 0, 0, 0, 4, 0, 1, 2, 0};
    write_file(IMAGES, images, sizeof images);
    write_file(LABELS, labels, sizeof labels);
    write_gzip(paths[TEST_IMAGES], images, sizeof images);
    write_gzip(paths[TEST_LABELS], labels, sizeof labels);
}

static void write_benchmarks(void) {
    static const char form[] =
        "{\"context\": {\"caches\": [], \"cpu\": \"%s\"}, \"benchmarks\": [{\"name\": \"kernel/tanh/n:1\", "
        "\"run_name\": \"kernel/tanh/n:1\", \"run_type\": \"iteration\", \"repetitions\": 2, \"repetition_index\": 0, "
        "\"iterations\": 10, \"real_time\": %d.5, \"cpu_time\": 1.5, \"time_unit\": \"ns\"}, {\"name\": "
        "\"kernel/tanh/n:1\", \"run_name\": \"kernel/tanh/n:1\", \"run_type\": \"iteration\", \"repetitions\": 2, "
        "\"repetition_index\": 1, \"iterations\": 10, \"real_time\": %d.5, \"cpu_time\": 1.5, \"time_unit\": \"ns\"}, "
        "{\"name\": \"kernel/%s\", \"run_name\": \"kernel/%s\", \"run_type\": \"iteration\", \"repetitions\": 1, "
        "\"iterations\": 10, \"real_time\": 1.5, \"cpu_time\": 1.5, \"time_unit\": \"ns\"}]}\n";
    char text[2048];
    snprintf(text, sizeof text, form, "a", 1, 2, "x", "x");
    write_text(OLD, text);
    snprintf(text, sizeof text, form, "b", 2, 3, "y", "y");
    write_text(NEW, text);
}

static void write_result(void) {
    const struct rpu_results results = {
        &base.config, base.engine, &base.data, base.run, "2026-01-31T12:00:00Z", 0, 0, 1, 1};
    char *text = NULL;
    assert_int_equal(rpu_results_json(&text, &results, NULL), RPU_OK);
    write_text(RESULT, text);
    free(text);
}

static int make_world(void **state) {
    static const struct rpu_assignment several[] = {{"arrays.default.devices=2", "test"},
                                                    {"arrays.K1.copies=3", "test"}};
    struct rpu_config config;
    if (make_folder(state) != 0)
        return -1;
    for (int f = 0; f < FILES; f++)
        snprintf(paths[f], sizeof paths[f], "%s/%s", folder, names[f]);
    configure(&config, 0);
    set_up(&base, &config, 2, NULL);
    configure(&perfect, 1);
    write_text(CONFIG, "training: {epochs: 3}\nnetwork:\n  layers:\n  - {type: conv, outputs: 2, kernel: 3}\n"
                       "  - {type: tanh}\n  - {type: fc, outputs: 3}\n  - {type: softmax}\n");
    write_text(SWEEP, "base: lenet-rpu\ntraining: {epochs: 2}\ngrid: {arrays.default.update.bl: [1, 5]}\n"
                      "seeds: [1, 2]\n");
    assert_int_equal(rpu_config_load(&varied, paths[CONFIG], several, 2, NULL), RPU_OK);
    write_images();
    write_benchmarks();
    run_to_end(&base);
    set_up(&traced, &config, 1, NULL);
    assert_int_equal(rpu_engine_trace(traced.engine, 1000, NULL), RPU_OK);
    run_to_end(&traced);
    assert_int_equal(rpu_checkpoint_write(base.run, paths[CHECKPOINT], NULL), RPU_OK);
    write_result();
    return 0;
}

static int remove_world(void **state) {
    tear_down(&base);
    tear_down(&traced);
    return remove_folder(state);
}

/* ---- what is there: files, descriptors ---- */

/* Names and contents of all files, as a sum. */
static uint64_t files_sum(void) {
    DIR *dir = opendir(folder);
    struct dirent *entry;
    uint64_t sum = 0;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        uint64_t hash = 1469598103934665603u;
        char path[sizeof folder + 258];
        FILE *f;
        int c;
        if (entry->d_name[0] == '.' && strlen(entry->d_name) < 3)
            continue;
        for (const char *n = entry->d_name; *n; n++)
            hash = (hash ^ (unsigned char)*n) * 1099511628211u;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        f = fopen(path, "rb");
        while (f && (c = getc_unlocked(f)) != EOF)
            hash = (hash ^ (unsigned char)c) * 1099511628211u;
        if (f)
            fclose(f);
        sum += hash;
    }
    closedir(dir);
    return sum;
}

static int descriptors(void) {
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

/* ---- the walk ---- */

typedef enum rpu_status scenario_fn(struct rpu_error *err);

/* Takes over a text that a run made. */
static void keep(char *text) {
    if (text)
        snprintf(text_of_run, sizeof text_of_run, "%s", text);
    free(text);
}

/* Whether only libc failed, whose callers may do without: the buffer of a stream, a fact about the machine. */
static int only_libc(const struct faults_report *r) {
    for (int o = 0; o < FAULTS_SYSTEM; o++)
        if (r->failed[o])
            return 0;
    return 1;
}

/* Says which fault a run did not bear, with the calls that led to it (addr2line makes lines of the program's own). */
static void complain(long nth, int all_after, const struct faults_report *r, const char *format, ...) RPU_PRINTF(4, 5);

static void complain(long nth, int all_after, const struct faults_report *r, const char *format, ...) {
    char what[1200];
    va_list list;
    va_start(list, format);
    vsnprintf(what, sizeof what, format, list);
    va_end(list);
    backtrace_symbols_fd(r->frames, r->n_frames, STDERR_FILENO);
    fail_msg("allocation %ld%s: %s", nth, all_after ? " and all after it" : "", what);
}

/* One run; `alone`: its threads are new, and where the scheduler has no room for a list (reserve in sched.c) one of
 * them comes to the same alone. 0 when it was too short for a fault. */
static int run_with(scenario_fn *scenario, long nth, int all_after, int alone, const char *wanted) {
    const uint64_t files = files_sum();
    const int open_before = descriptors();
    struct faults_report r;
    struct rpu_error err = {.status = RPU_OK};
    enum rpu_status status;
    text_of_run[0] = '\0';
    faults_begin(nth, all_after);
    status = scenario(&err);
    faults_end(&r);
    if (r.live != 0)
        complain(nth, all_after, &r, "%ld not freed, the first from %p", r.live, r.first_live);
    if (descriptors() != open_before)
        complain(nth, all_after, &r, "%d open files, %d before", descriptors(), open_before);
    if (!r.n_frames && status != RPU_OK)
        complain(nth, all_after, &r, "none fails, and yet: %s", err.message);
    if (!r.n_frames)
        return 0;
    if (status == RPU_OK && (only_libc(&r) || alone) && strcmp(text_of_run, wanted) == 0)
        return 1;
    if (status != RPU_ERR_NOMEM || err.status != RPU_ERR_NOMEM || !strstr(err.message, "memory"))
        complain(nth, all_after, &r, "%s, '%s'", rpu_status_name(status), err.message);
    if (files_sum() != files)
        complain(nth, all_after, &r, "the files are not as they were");
    runs_failed++;
    for (int o = 0; o < FAULTS_OWNERS; o++)
        total.failed[o] += r.failed[o];
    return 1;
}

static void walk(scenario_fn *scenario, int alone) {
    static char wanted[TEXT_MOST];
    struct faults_report r;
    struct rpu_error err;
    long stride;
    if (scenario(&err) != RPU_OK) /* what is made once is made now */
        fail_msg("without a fault: %s", err.message);
    faults_begin(0, 0);
    text_of_run[0] = '\0';
    assert_int_equal(scenario(&err), RPU_OK);
    faults_end(&r);
    memcpy(wanted, text_of_run, sizeof wanted);
    if (r.seen == 0) {
        print_message("no allocations are seen: another allocator is before this one\n");
        skip();
    }
    total.seen += r.seen;
    stride = every || r.seen <= STEPS ? 1 : r.seen / STEPS + 1;
    for (int all_after = 0; all_after < 2; all_after++)
        for (long nth = 1; run_with(scenario, nth, all_after, alone, wanted); nth += stride)
            continue;
    print_message("%ld allocations, each %ld. of them fails\n", r.seen, stride);
}

/* ---- scenarios: networks ---- */

/* A network that has seen all its images, made and freed; a handle that could not be made is null. */
static enum rpu_status with_network(const struct rpu_engine *engine, const struct rpu_config *c,
                                    const struct rpu_ranks *ranks, struct rpu_error *err) {
    static const uint32_t order[] = {2, 0, 1, 3, 4};
    const struct rpu_images *im = &base.data.train;
    struct rpu_network *n = (struct rpu_network *)&base;
    uint64_t errors = 0, digest;
    double loss = 0.0;
    enum rpu_status status = rpu_network_create(&n, engine, c, im->height, im->width, im->channels, im->classes, err);
    if (status != RPU_OK && n)
        return RPU_ERR_ARG;
    if (status == RPU_OK && ranks)
        status = rpu_network_share(n, ranks, err);
    if (status != RPU_OK) {
        rpu_network_destroy(n);
        return status;
    }
    status = rpu_network_train(n, im, order, c->batch, 0, &loss);
    if (status == RPU_OK)
        status = rpu_network_evaluate(n, im, 0, 5, 0, &errors, &loss);
    if (status == RPU_OK)
        status = rpu_network_digest(n, &digest);
    if (status == RPU_OK)
        snprintf(text_of_run, sizeof text_of_run, "%016" PRIx64, digest);
    rpu_network_destroy(n);
    if (status == RPU_ERR_NOMEM) /* these say no more */
        snprintf(err->message, sizeof err->message, "no memory"), err->status = status;
    return status;
}

static enum rpu_status engine_and_network(struct rpu_error *err) {
    struct rpu_engine *engine = (struct rpu_engine *)&base;
    enum rpu_status status = rpu_engine_create(&engine, NULL, 2, err);
    if (status != RPU_OK)
        return engine ? RPU_ERR_ARG : status;
    status = rpu_engine_trace(engine, 1000, err);
    if (status == RPU_OK)
        status = with_network(engine, small, NULL, err);
    rpu_engine_destroy(engine);
    return status;
}

static enum rpu_status network_perfect(struct rpu_error *err) {
    return with_network(base.engine, &perfect, NULL, err);
}

static enum rpu_status network_of_copies(struct rpu_error *err) {
    return with_network(base.engine, &varied, NULL, err);
}

/* All processes say what this one says. */
static enum rpu_status echo(void *context, size_t bytes, void *all, struct rpu_error *err) {
    (void)context;
    (void)err;
    memcpy((char *)all + bytes, all, bytes);
    return RPU_OK;
}

static enum rpu_status network_shared(struct rpu_error *err) {
    const struct rpu_ranks ranks = {0, 2, NULL, echo};
    return with_network(base.engine, small, &ranks, err);
}

static enum rpu_status tile(struct rpu_error *err) {
    static const float x[40], d[40];
    static float y[40], z[40];
    const struct rpu_block where = {0, 0, 4, 0};
    struct rpu_read_counts reads = {0};
    struct rpu_update_counts updates = {0};
    struct rpu_tile_params params;
    struct rpu_tile *t = (struct rpu_tile *)&base;
    enum rpu_status status;
    rpu_tile_params_baseline(&params);
    status = rpu_tile_create(&t, base.engine, &params, 5, 7, 7, 1, 0, 0, err);
    if (status != RPU_OK)
        return t ? RPU_ERR_ARG : status;
    status = rpu_tile_forward(t, &where, x, 7, y, 5, &reads);
    if (status == RPU_OK)
        status = rpu_tile_backward(t, &where, d, 5, z, 7, &reads);
    if (status == RPU_OK)
        status = rpu_tile_update(t, &where, x, 7, d, 5, 0.01f, &updates);
    rpu_tile_destroy(t);
    if (status == RPU_ERR_NOMEM)
        snprintf(err->message, sizeof err->message, "no memory"), err->status = status;
    return status;
}

/* ---- scenarios: trainings and checkpoints ---- */

/* What came of the checkpoint that a training calls for. */
struct kept {
    enum rpu_status status;
    struct rpu_error *err;
};

static void on_checkpoint(struct rpu_training *run, void *user) {
    struct kept *kept = user;
    kept->status = rpu_checkpoint_write(run, paths[CHECKPOINT], kept->err);
}

/* The checkpoint is that of the end: whatever fails, fails before the file is another. */
static enum rpu_status training(struct rpu_error *err) {
    const struct rpu_checkpoint_times times = {.epochs = small->epochs};
    struct kept kept = {RPU_ERR_ARG, err}; /* until it was called for */
    struct rpu_training *run = (struct rpu_training *)&base;
    enum rpu_status status = rpu_training_create(&run, base.engine, small, &base.data, err);
    if (status != RPU_OK)
        return run ? RPU_ERR_ARG : status;
    status = rpu_training_checkpoints(run, &times, on_checkpoint, &kept);
    if (status == RPU_OK)
        status = rpu_training_run(run, NULL, NULL, err);
    rpu_training_destroy(run);
    return status == RPU_OK ? kept.status : status;
}

static enum rpu_status checkpoint_write(struct rpu_error *err) {
    base.run->hashed = 0;
    return rpu_checkpoint_write(base.run, paths[CHECKPOINT], err);
}

static enum rpu_status checkpoint_resume(struct rpu_error *err) {
    struct rpu_checkpoint *c = (struct rpu_checkpoint *)&base;
    struct rpu_training *run = NULL;
    enum rpu_status status = rpu_checkpoint_read(&c, paths[CHECKPOINT], err);
    if (status != RPU_OK)
        return c ? RPU_ERR_ARG : status;
    status = rpu_training_create(&run, base.engine, small, &base.data, err);
    if (status == RPU_OK)
        status = rpu_checkpoint_resume(c, run, err);
    rpu_training_destroy(run);
    rpu_checkpoint_free(c);
    return status;
}

static enum rpu_status evaluation(struct rpu_error *err) {
    struct rpu_evaluation e = {0};
    struct rpu_checkpoint *c = NULL;
    char *text = NULL;
    enum rpu_status status = rpu_checkpoint_read(&c, paths[CHECKPOINT], err);
    if (status == RPU_OK)
        status = rpu_evaluate(&e, c, base.engine, &base.data.test, 0, err);
    if (status == RPU_OK)
        status = rpu_evaluation_json(&text, &e, c, base.engine, "p\xc3\xa4th", "source", err);
    keep(text);
    rpu_evaluation_free(&e);
    rpu_checkpoint_free(c);
    return status;
}

static enum rpu_status inspection(struct rpu_error *err) {
    static struct rpu_array_figures figures;
    struct rpu_checkpoint *c = NULL;
    char *text = NULL;
    enum rpu_status status = rpu_checkpoint_read(&c, paths[CHECKPOINT], err);
    if (status == RPU_OK)
        status = rpu_inspect(&figures, c, 0, err);
    if (status == RPU_OK)
        status = rpu_inspect_json(&text, c, &figures, 1, "path", err);
    keep(text);
    rpu_checkpoint_free(c);
    return status;
}

/* ---- scenarios: files and documents ---- */

static enum rpu_status configuration(struct rpu_error *err) {
    static const struct rpu_assignment set[] = {{"arrays.W2.update={bl: 3}", "--set"},
                                                {"training.epochs=4", "--epochs"}};
    static struct rpu_config c;
    char *text = NULL;
    enum rpu_status status = rpu_config_load(&c, paths[CONFIG], set, 2, err);
    if (status == RPU_OK)
        status = rpu_config_yaml(&c, &text, err);
    keep(text);
    return status;
}

static enum rpu_status data_set(struct rpu_error *err) {
    static struct rpu_dataset d;
    enum rpu_status status = rpu_dataset_read(&d, folder, 0, 0, err);
    if (status == RPU_OK)
        rpu_dataset_free(&d);
    else if (d.train.pixels || d.test.pixels)
        return RPU_ERR_ARG;
    return status;
}

static enum rpu_status digits(struct rpu_error *err) {
    static struct rpu_dataset d;
    enum rpu_status status = rpu_digits_generate(&d, 4, 2, 1, err);
    if (status == RPU_OK)
        rpu_dataset_free(&d);
    return status;
}

static enum rpu_status results(struct rpu_error *err) {
    const struct rpu_results r = {&base.config, base.engine, &base.data, base.run, "2026-01-31T12:00:00Z", 0, 0, 1, 1};
    char *text = NULL;
    const enum rpu_status status = rpu_results_json(&text, &r, err);
    keep(text);
    return status;
}

static enum rpu_status information(struct rpu_error *err) {
    char *text = NULL;
    const enum rpu_status status = rpu_info_json(&text, base.engine, err);
    keep(text);
    return status;
}

static enum rpu_status trace(struct rpu_error *err) {
    char *text = NULL;
    const enum rpu_status status = rpu_trace_json(&text, traced.engine, err);
    keep(text);
    return status;
}

static enum rpu_status sweep(struct rpu_error *err) {
    static const struct rpu_assignment set[] = {{"training.batch=2", "--batch"}};
    static struct rpu_run runs[4];
    struct rpu_sweep *s = (struct rpu_sweep *)&base;
    char *text = NULL;
    enum rpu_status status = rpu_sweep_read(&s, paths[SWEEP], set, 1, err);
    if (status != RPU_OK)
        return s ? RPU_ERR_ARG : status;
    runs[1].state = RPU_RUN_DONE;
    status = rpu_sweep_json(&text, s, runs, err);
    if (status == RPU_OK) {
        keep(text);
        text = NULL;
        status = rpu_sweep_csv(&text, s, runs, err);
    }
    free(text);
    rpu_sweep_free(s);
    return status;
}

static enum rpu_status summary(struct rpu_error *err) {
    struct rpu_summary s;
    int fits = 0;
    enum rpu_status status = rpu_summary_read(&s, paths[RESULT], small, err);
    if (status == RPU_OK)
        status = rpu_checkpoint_fits(paths[CHECKPOINT], small, &fits, err);
    return status == RPU_OK && !fits ? RPU_ERR_FORMAT : status;
}

static enum rpu_status comparison(struct rpu_error *err) {
    const struct rpu_compare_options options = {.threshold = 0.05, .alpha = 0.05};
    struct rpu_compare c;
    char *text = NULL;
    enum rpu_status status = rpu_compare(&c, paths[OLD], paths[NEW], &options, err);
    if (status == RPU_OK)
        status = rpu_compare_json(&text, &c, err);
    keep(text);
    rpu_compare_free(&c);
    return status;
}

static enum rpu_status mapping(struct rpu_error *err) {
    static struct rpu_mapping m;
    const struct rpu_hardware hardware = {.t_meas = 80.0};
    const struct rpu_mapping_report report = {"net", NULL, small, &hardware, &m};
    char *text = NULL;
    enum rpu_status status = rpu_mapping_of(&m, small, SIDE, SIDE, 1, err);
    if (status == RPU_OK)
        status = rpu_mapping_rereads(&m, paths[RESULT], err);
    if (status == RPU_OK)
        status = rpu_mapping_compute(&m, &hardware, err);
    if (status == RPU_OK)
        status = rpu_mapping_json(&text, &report, err);
    keep(text);
    return status;
}

#define SCENARIO(name)                                                                                                 \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        walk(name, name == engine_and_network);                                                                        \
    }
#define SCENARIOS(X)                                                                                                   \
    X(engine_and_network)                                                                                              \
    X(network_perfect)                                                                                                 \
    X(network_of_copies)                                                                                               \
    X(network_shared)                                                                                                  \
    X(tile)                                                                                                            \
    X(training)                                                                                                        \
    X(checkpoint_write)                                                                                                \
    X(checkpoint_resume)                                                                                               \
    X(evaluation)                                                                                                      \
    X(inspection)                                                                                                      \
    X(configuration)                                                                                                   \
    X(data_set)                                                                                                        \
    X(digits)                                                                                                          \
    X(results)                                                                                                         \
    X(information)                                                                                                     \
    X(trace)                                                                                                           \
    X(sweep)                                                                                                           \
    X(summary)                                                                                                         \
    X(comparison)                                                                                                      \
    X(mapping)
SCENARIOS(SCENARIO)
#undef SCENARIO

/* All that make allocations had some that failed, and nobody took their failures for success. */
static void test_all_had_failures(void **state) {
    (void)state;
    if (total.seen == 0)
        skip();
    for (int o = 0; o < FAULTS_SYSTEM; o++)
        if (total.failed[o] == 0 && faults_has(o))
            fail_msg("no allocation of %s has failed", faults_owner_name(o));
}

/* The runtime libraries of threads and of the machine's layout, which end the process where there is no memory for
 * them, have what they need once a first training has begun. */
static void test_others_are_ready(void **state) {
    struct faults_report r;
    struct rpu_error err;
    (void)state;
    faults_begin(0, 0);
    assert_int_equal(engine_and_network(&err), RPU_OK);
    faults_end(&r);
    if (total.seen == 0)
        skip();
    assert_true(r.foreign > 0); /* hwloc's, of a new engine */
    assert_int_equal(training(&err), RPU_OK);
    faults_begin(0, 0);
    assert_int_equal(training(&err), RPU_OK);
    faults_end(&r);
    assert_int_equal(r.foreign, 0);
}

#define SCENARIO(name) cmocka_unit_test(test_##name),

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {SCENARIOS(SCENARIO) cmocka_unit_test(test_all_had_failures),
                                       cmocka_unit_test(test_others_are_ready)};
    int failed;
    every = argc > 1 && strcmp(argv[1], "all") == 0;
    failed = cmocka_run_group_tests(tests, make_world, remove_world);
    printf("%ld allocations, %ld runs with one or more that failed:", total.seen, runs_failed);
    for (int o = 0; o < FAULTS_OWNERS; o++)
        printf("%s %s %ld", o ? "," : "", faults_owner_name(o), total.failed[o]);
    printf("\n");
    return failed;
}
