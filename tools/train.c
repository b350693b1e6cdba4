/* SPDX-License-Identifier: Apache-2.0 */
#include "../src/app.h"
#include "commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Files to write at the end; each null when it is not wanted. */
struct outputs {
    struct rpu_outfile *json;   /* --json FILE */
    struct rpu_outfile *result; /* DIR/result.json */
    struct rpu_outfile *config; /* DIR/config.yaml */
    struct rpu_outfile *trace;  /* --trace FILE */
    int json_to_stdout;
};

/* Everything one training holds. */
struct session {
    struct rpu_config config;
    struct rpu_engine *engine;
    struct rpu_dataset data;
    struct rpu_training *run;
    struct outputs outputs;
    FILE *human; /* null with --quiet */
    char date[32];
    int interrupted;
};

static int load_config(struct session *s, const struct cli_args *args) {
    struct assignments given;
    const char *source = args->n_operands ? args->operands[0] : NULL;
    struct rpu_error err;
    enum rpu_status status;
    if (!assignments_collect(&given, args)) {
        fprintf(stderr, CLI_PROGRAM " train: out of memory\n");
        return CLI_EXIT_FAILURE;
    }
    status = rpu_config_load(&s->config, source, given.list, given.n, &err);
    assignments_free(&given);
    if (status == RPU_OK)
        return CLI_EXIT_OK;
    report_error("train", &err);
    return status == RPU_ERR_NOMEM ? CLI_EXIT_FAILURE : CLI_EXIT_USAGE;
}

/* ---- outputs ---- */

static int open_output(struct rpu_outfile **file, const char *folder, const char *name) {
    char path[RPU_PATH_MAX];
    struct rpu_error err;
    const int n = snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name);
    if (n < 0 || (size_t)n >= sizeof path) {
        fprintf(stderr, CLI_PROGRAM " train: %s: the path is too long\n", name);
        return CLI_EXIT_FAILURE;
    }
    return rpu_outfile_open(file, path, &err) == RPU_OK ? CLI_EXIT_OK : report_error("train", &err);
}

static int open_folder(struct outputs *o, const char *folder) {
    int code;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, CLI_PROGRAM " train: --out: cannot create the folder %s: %s\n", folder, strerror(errno));
        return CLI_EXIT_FAILURE;
    }
    code = open_output(&o->result, folder, "result.json");
    return code ? code : open_output(&o->config, folder, "config.yaml");
}

static int open_outputs(struct session *s, const struct cli_args *args) {
    const char *json = cli_value(args, "json"), *folder = cli_value(args, "out");
    int code = CLI_EXIT_OK;
    s->outputs.json_to_stdout = json && strcmp(json, "-") == 0;
    s->human = cli_value(args, "quiet") ? NULL : s->outputs.json_to_stdout ? stderr : stdout;
    if (folder)
        code = open_folder(&s->outputs, folder);
    if (!code && json && !s->outputs.json_to_stdout)
        code = open_output(&s->outputs.json, "", json);
    if (!code && cli_value(args, "trace"))
        code = open_output(&s->outputs.trace, "", cli_value(args, "trace"));
    return code;
}

static int commit(struct rpu_outfile **file, const char *text) {
    struct rpu_error err;
    struct rpu_outfile *f = *file;
    *file = NULL;
    if (!f || rpu_outfile_commit(f, text, strlen(text), &err) == RPU_OK)
        return CLI_EXIT_OK;
    return report_error("train", &err);
}

static int write_config(struct session *s) {
    char *yaml = NULL;
    struct rpu_error err;
    int code;
    if (!s->outputs.config)
        return CLI_EXIT_OK;
    if (rpu_config_yaml(&s->config, &yaml, &err) != RPU_OK)
        return report_error("train", &err);
    code = commit(&s->outputs.config, yaml);
    free(yaml);
    return code;
}

static int write_trace(struct session *s) {
    char *text = NULL;
    struct rpu_error err;
    int code;
    if (!s->outputs.trace)
        return CLI_EXIT_OK;
    if (rpu_trace_json(&text, s->engine, &err) != RPU_OK)
        return report_error("train", &err);
    code = commit(&s->outputs.trace, text);
    free(text);
    return code;
}

/* Writes everything that was asked for; a failure of one does not keep the others from being written. */
static int write_outputs(struct session *s) {
    const struct rpu_results results = {&s->config, s->engine, &s->data, s->run, s->date, s->interrupted};
    struct rpu_error err;
    char *text = NULL;
    int code = write_config(s), failed = write_trace(s);
    code = code ? code : failed;
    if (!s->outputs.json && !s->outputs.result && !s->outputs.json_to_stdout)
        return code;
    if (rpu_results_json(&text, &results, &err) != RPU_OK)
        return report_error("train", &err);
    failed = commit(&s->outputs.result, text);
    code = failed ? failed : code;
    failed = commit(&s->outputs.json, text);
    code = failed ? failed : code;
    if (s->outputs.json_to_stdout)
        fputs(text, stdout);
    free(text);
    return code;
}

/* ---- the training ---- */

/* An assignment or a file may have replaced what --isa or RPU_ISA asked for. */
static int create_engine(struct session *s, const struct cli_args *args) {
    struct rpu_error err;
    const char *isa = s->config.isa[0] ? s->config.isa : NULL;
    const char *origin, *chosen = chosen_isa(args, &origin);
    const struct rpu_engine_options options = {isa, (int)s->config.threads, s->config.bind};
    if (rpu_engine_create_with(&s->engine, &options, &err) == RPU_OK)
        return CLI_EXIT_OK;
    return report_engine_error("train", isa && chosen && strcmp(isa, chosen) == 0 ? origin : "run.isa", &err);
}

static int load_data(struct session *s) {
    const struct rpu_config *c = &s->config;
    struct rpu_error err;
    const enum rpu_status status = strcmp(c->data, "digits") == 0
                                       ? rpu_digits_generate(&s->data, c->limit_train, c->limit_test, c->seed, &err)
                                       : rpu_dataset_read(&s->data, c->data, c->limit_train, c->limit_test, &err);
    return status == RPU_OK ? CLI_EXIT_OK : report_error("train", &err);
}

static void print_start(const struct session *s) {
    const struct rpu_images *im = &s->data.train;
    if (!s->human)
        return;
    fprintf(s->human, "%s on %s: %u training and %u test images of %ux%ux%u, %u classes; seed %llu, batch %u\n",
            s->config.preset[0] ? s->config.preset : "network", s->config.data, im->count, s->data.test.count,
            im->height, im->width, im->channels, im->classes, (unsigned long long)s->config.seed, s->config.batch);
    fprintf(s->human, "kernels %s, %d thread%s\n", rpu_engine_isa(s->engine), rpu_engine_threads(s->engine),
            rpu_engine_threads(s->engine) == 1 ? "" : "s");
    fflush(s->human);
}

static int train(struct session *s) {
    struct rpu_error err;
    struct progress progress;
    enum rpu_status status;
    rpu_date(s->date);
    progress_init(&progress, s->human);
    status = rpu_training_run(s->run, progress_report, &progress, &err);
    progress_clear(&progress);
    s->interrupted = status == RPU_ERR_INTERRUPTED;
    if (status != RPU_OK && !s->interrupted)
        return report_error("train", &err);
    if (s->human)
        print_report(s->human, s->run, &s->data, s->interrupted);
    return CLI_EXIT_OK;
}

static int run_session(struct session *s, const struct cli_args *args) {
    struct rpu_error err;
    int code = load_config(s, args);
    if (!code)
        code = create_engine(s, args);
    if (!code)
        code = load_data(s);
    if (!code && rpu_training_create(&s->run, s->engine, &s->config, &s->data, &err) != RPU_OK)
        code = report_error("train", &err);
    if (code)
        return code;
    /* Caught before temporary files are there, so that an interrupt leaves none behind. */
    interrupts_catch();
    code = open_outputs(s, args);
    if (code)
        return code;
    if (s->outputs.trace && rpu_engine_trace(s->engine, RPU_TRACE_EVENTS, &err) != RPU_OK)
        return report_error("train", &err);
    print_start(s);
    code = train(s);
    if (!code)
        code = write_outputs(s);
    return code ? code : s->interrupted ? CLI_EXIT_INTERRUPTED : CLI_EXIT_OK;
}

int command_train(const struct cli_args *args) {
    struct session *s = calloc(1, sizeof *s);
    int code;
    if (!s) {
        fprintf(stderr, CLI_PROGRAM " train: out of memory\n");
        return CLI_EXIT_FAILURE;
    }
    code = run_session(s, args);
    rpu_outfile_abandon(s->outputs.json);
    rpu_outfile_abandon(s->outputs.result);
    rpu_outfile_abandon(s->outputs.config);
    rpu_outfile_abandon(s->outputs.trace);
    rpu_training_destroy(s->run);
    rpu_dataset_free(&s->data);
    rpu_engine_destroy(s->engine);
    free(s);
    return code;
}
