/* SPDX-License-Identifier: Apache-2.0 */
#include "../src/app.h"
#include "checkpoints.h"
#include "commands.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files to write at the end; each null when it is not wanted. */
struct outputs {
    struct rpu_outfile *json;   /* --json FILE */
    struct rpu_outfile *result; /* DIR/result.json */
    struct rpu_outfile *config; /* DIR/config.yaml */
    struct rpu_outfile *trace;  /* --trace FILE */
    int json_to_stdout;
};

/* Everything one training holds. Errors of its preparation are kept until all ranks know of them. */
struct session {
    const struct rpu_dist *dist;
    int shares_machine; /* some processes of the job do, so that none is bound */
    struct rpu_config config;
    struct rpu_engine *engine;
    struct rpu_dataset data;
    struct rpu_training *run;
    struct outputs outputs;
    struct checkpoints checkpoints;
    int lock;    /* descriptor of the folder of --out; -1 without */
    FILE *human; /* null with --quiet, and on ranks other than 0 */
    char date[32];
    int interrupted; /* stopped before its end, by a signal... */
    int diverged;    /* ...or because it diverged */
    struct rpu_error error;
};

/* A preset or file that cannot be read is wrong usage. */
static enum rpu_status load_config(struct session *s, const struct cli_args *args) {
    struct assignments given;
    const char *source = args->n_operands ? args->operands[0] : NULL;
    enum rpu_status status;
    if (!assignments_collect(&given, args))
        return rpu_fail(&s->error, RPU_ERR_NOMEM, "out of memory");
    status = rpu_config_load(&s->config, source, given.list, given.n, &s->error);
    assignments_free(&given);
    if (status != RPU_OK && status != RPU_ERR_NOMEM)
        s->error.status = status = RPU_ERR_CONFIG;
    return status;
}

/* ---- outputs ---- */

static enum rpu_status open_output(struct session *s, struct rpu_outfile **file, const char *folder, const char *name) {
    char path[RPU_PATH_MAX];
    const int n = snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name);
    if (n < 0 || (size_t)n >= sizeof path)
        return rpu_fail(&s->error, RPU_ERR_IO, "%s: the path is too long", name);
    return rpu_outfile_open(file, path, &s->error);
}

/* What is kept in the folder is read again: it goes to regular files only. */
static enum rpu_status check_regular(struct session *s, const char *folder, const char *name) {
    char path[RPU_PATH_MAX];
    struct stat st;
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n > 0 && (size_t)n < sizeof path && stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return rpu_fail(&s->error, RPU_ERR_IO, "--out: %s is no regular file", path);
    return RPU_OK;
}

/* On the rank that writes, before a checkpoint is read: from there on no other training writes one. */
static enum rpu_status lock_folder(struct session *s, const char *folder) {
    if (!folder || s->dist->rank > 0)
        return RPU_OK;
    if (rpu_outfile_folder(folder, 1) != 0)
        return rpu_fail(&s->error, RPU_ERR_IO, "--out: cannot create the folder %s: %s", folder, strerror(errno));
    s->lock = rpu_outfile_lock(folder);
    if (s->lock < 0)
        return errno == EWOULDBLOCK
                   ? rpu_fail(&s->error, RPU_ERR_IO, "--out: another training is at work in the folder %s", folder)
                   : rpu_fail(&s->error, RPU_ERR_IO, "--out: cannot open the folder %s: %s", folder, strerror(errno));
    return RPU_OK;
}

static enum rpu_status open_folder(struct session *s, const char *folder) {
    static const char *const names[] = {"result.json", "config.yaml", RPU_CHECKPOINT_NAME, NULL};
    enum rpu_status status = RPU_OK;
    for (const char *const *name = names; *name && status == RPU_OK; name++)
        status = check_regular(s, folder, *name);
    if (status != RPU_OK)
        return status;
    rpu_outfile_clean(folder, names); /* nobody's any more: the folder is locked */
    status = checkpoints_begin(&s->checkpoints, s->run, &s->error);
    if (status == RPU_OK)
        status = open_output(s, &s->outputs.result, folder, "result.json");
    return status == RPU_OK ? open_output(s, &s->outputs.config, folder, "config.yaml") : status;
}

static enum rpu_status open_outputs(struct session *s, const struct cli_args *args) {
    const char *json = cli_value(args, "json"), *folder = cli_value(args, "out"), *trace = cli_value(args, "trace");
    enum rpu_status status = RPU_OK;
    if (s->dist->rank > 0)
        return RPU_OK;
    s->outputs.json_to_stdout = json && strcmp(json, "-") == 0;
    s->human = cli_value(args, "quiet") ? NULL : s->outputs.json_to_stdout ? stderr : stdout;
    if (folder)
        status = open_folder(s, folder);
    if (status == RPU_OK && json && !s->outputs.json_to_stdout)
        status = open_output(s, &s->outputs.json, "", json);
    if (status == RPU_OK && trace)
        status = open_output(s, &s->outputs.trace, "", trace);
    if (status == RPU_OK && trace)
        status = rpu_engine_trace(s->engine, RPU_TRACE_EVENTS, &s->error);
    return status;
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
    const struct rpu_results results = {&s->config,     s->engine,   &s->data,      s->run,        s->date,
                                        s->interrupted, s->diverged, s->dist->size, s->dist->hosts};
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

/* How threads are bound. A process that shares its machine with others of the job does not have it for itself, and each
 * would take the same places. */
static enum rpu_bind choose_bind(const struct session *s) {
    return s->config.bind == RPU_BIND_AUTO && s->shares_machine ? RPU_BIND_NONE : s->config.bind;
}

/* An assignment or a file may have replaced what --isa or RPU_ISA asked for. */
static enum rpu_status create_engine(struct session *s, const struct cli_args *args) {
    const char *isa = s->config.isa[0] ? s->config.isa : NULL;
    const char *origin, *chosen = chosen_isa(args, &origin);
    const struct rpu_engine_options options = {isa, (int)s->config.threads, choose_bind(s), s->config.share};
    const enum rpu_status status = rpu_engine_create_with(&s->engine, &options, &s->error);
    if (status != RPU_OK)
        name_isa_origin(isa && chosen && strcmp(isa, chosen) == 0 ? origin : "run.isa", &s->error);
    return status;
}

static enum rpu_status load_data(struct session *s) {
    const struct rpu_config *c = &s->config;
    return strcmp(c->data, "digits") == 0
               ? rpu_digits_generate(&s->data, c->limit_train, c->limit_test, c->seed, &s->error)
               : rpu_dataset_read(&s->data, c->data, c->limit_train, c->limit_test, &s->error);
}

/* ---- ranks ---- */

static enum rpu_status gather(void *context, size_t bytes, void *all, struct rpu_error *err) {
    const struct rpu_dist *dist = context;
    return dist->allgather((const char *)all + (size_t)dist->rank * bytes, bytes, all, err);
}

/* Whether all ranks train the same; where, and how many threads share what, is a rank's own matter. */
static enum rpu_status compare_ranks(struct session *s) {
    struct rpu_config *c = malloc(sizeof *c);
    const struct rpu_images *images[2] = {&s->data.train, &s->data.test};
    char *yaml = NULL;
    enum rpu_status status = c ? RPU_OK : rpu_fail(&s->error, RPU_ERR_NOMEM, "out of memory");
    if (status == RPU_OK) {
        *c = s->config;
        c->isa[0] = '\0';
        c->threads = 0;
        c->bind = RPU_BIND_AUTO;
        c->share = RPU_SHARE_AUTO;
        status = rpu_config_yaml(c, &yaml, &s->error);
    }
    free(c);
    status = rpu_dist_agree(s->dist, status, &s->error);
    if (status == RPU_OK)
        status = rpu_dist_same(s->dist, yaml, strlen(yaml), "the configuration's settings", &s->error);
    free(yaml);
    for (int i = 0; i < 2 && status == RPU_OK; i++) {
        const size_t size = (size_t)images[i]->height * images[i]->width * images[i]->channels;
        status = rpu_dist_same(s->dist, images[i]->pixels, images[i]->count * size, "the images", &s->error);
        if (status == RPU_OK)
            status = rpu_dist_same(s->dist, images[i]->labels, images[i]->count, "the labels", &s->error);
    }
    return status;
}

static void warn_of_idle_ranks(const struct session *s) {
    const uint32_t batch = s->config.batch < s->data.train.count ? s->config.batch : s->data.train.count;
    if (!s->human || (uint32_t)s->dist->size <= batch)
        return;
    fprintf(stderr,
            CLI_PROGRAM " train: warning: %d ranks share minibatches of %u image%s, which gains nothing from %s; "
                        "--batch gives larger ones, sweep shares trainings\n",
            s->dist->size, batch, batch == 1 ? "" : "s", batch == 1 ? "more than one rank" : "further ranks");
}

static enum rpu_status share(struct session *s) {
    const struct rpu_ranks ranks = {s->dist->rank, s->dist->size, (void *)(uintptr_t)s->dist, gather};
    enum rpu_status status;
    if (s->dist->size == 1)
        return RPU_OK;
    status = compare_ranks(s);
    if (status == RPU_OK)
        status = rpu_dist_agree(s->dist, rpu_training_share(s->run, &ranks, &s->error), &s->error);
    return status;
}

static void print_start(const struct session *s) {
    const struct rpu_images *im = &s->data.train;
    if (!s->human)
        return;
    fprintf(s->human, "%s on ", s->config.preset[0] ? s->config.preset : "network");
    print_plain(s->human, s->config.data, strlen(s->config.data));
    fprintf(s->human, ": %u training and %u test images of %ux%ux%u, %u classes; seed %llu, batch %u\n", im->count,
            s->data.test.count, im->height, im->width, im->channels, im->classes, (unsigned long long)s->config.seed,
            s->config.batch);
    fprintf(s->human, "kernels %s, %d thread%s", rpu_engine_isa(s->engine), rpu_engine_threads(s->engine),
            rpu_engine_threads(s->engine) == 1 ? "" : "s");
    if (s->dist->size > 1)
        fprintf(s->human, " in each of %d ranks on %d host%s", s->dist->size, s->dist->hosts,
                s->dist->hosts == 1 ? "" : "s");
    fputc('\n', s->human);
    if (rpu_training_resumed(s->run))
        fprintf(s->human, "resumed after %llu images, in epoch %zu\n", (unsigned long long)rpu_training_resumed(s->run),
                rpu_training_epoch_count(s->run) + 1);
    else if (s->checkpoints.resume)
        fprintf(s->human, "no checkpoint in %s yet: starting from the beginning\n", s->checkpoints.folder);
    fflush(s->human);
}

static int train(struct session *s) {
    struct rpu_error err;
    struct progress progress;
    enum rpu_status status;
    rpu_date(s->date);
    progress_init(&progress, s->human);
    if (rpu_dist_launched())
        progress.terminal = 0; /* mpirun gives rank 0 a terminal of its own making, wherever its output goes */
    status = rpu_training_run(s->run, progress_report, &progress, &err);
    progress_clear(&progress);
    s->diverged = status == RPU_ERR_DIVERGED;
    s->interrupted = s->diverged || status == RPU_ERR_INTERRUPTED;
    if (s->human && (status == RPU_OK || s->interrupted))
        print_report(s->human, s->run, &s->data, s->diverged ? "diverged" : s->interrupted ? "interrupted" : NULL);
    if (status == RPU_OK || status == RPU_ERR_INTERRUPTED || s->dist->rank > 0)
        return CLI_EXIT_OK;
    return report_error("train", &err);
}

/* Of a training that diverged the last checkpoint from before that stays. */
static int end_checkpoints(struct session *s) {
    if (s->diverged)
        return CLI_EXIT_OK;
    return checkpoints_end(&s->checkpoints, s->run, s->interrupted) ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}

/* How to go on after an interrupt; all that it takes was written. */
static void print_how_to_go_on(const struct session *s) {
    const char *folder = s->checkpoints.folder, *every = s->checkpoints.every;
    char config[RPU_PATH_MAX + 16];
    if (!s->interrupted || !s->human)
        return;
    if (!*folder) {
        fputs(CLI_PROGRAM " train: interrupted, and no checkpoint was kept: that takes --out\n", stderr);
        return;
    }
    /* An argument that begins with a dash would be an option. */
    snprintf(config, sizeof config, "%s%s/config.yaml", *folder == '-' ? "./" : "", folder);
    fputs("to go on        " CLI_PROGRAM " train ", s->human);
    print_shell_word(s->human, config);
    fputs(" --out=", s->human);
    print_shell_word(s->human, folder);
    fprintf(s->human, " --resume%s%s\n", every ? " --checkpoint-every=" : "", every ? every : "");
}

/* Up to the first image; what fails on one rank ends all, and is said once. */
static enum rpu_status prepare(struct session *s, const struct cli_args *args) {
    enum rpu_status status = checkpoints_options(&s->checkpoints, args, &s->error);
    if (status == RPU_OK)
        status = load_config(s, args);
    if (status == RPU_OK)
        status = create_engine(s, args);
    if (status == RPU_OK)
        status = load_data(s);
    if (status == RPU_OK)
        status = rpu_training_create(&s->run, s->engine, &s->config, &s->data, &s->error);
    status = rpu_dist_agree(s->dist, status, &s->error);
    if (status == RPU_OK)
        status = share(s);
    if (status == RPU_OK)
        status = rpu_dist_agree(s->dist, lock_folder(s, cli_value(args, "out")), &s->error);
    if (status == RPU_OK)
        status = checkpoints_resume(&s->checkpoints, s->run, s->dist, &s->error);
    if (status != RPU_OK)
        return status;
    /* Caught before temporary files are there, so that an interrupt leaves none behind. */
    interrupts_catch(SA_RESTART);
    return rpu_dist_agree(s->dist, open_outputs(s, args), &s->error);
}

/* The exit code of the job is that of rank 0: a launcher ends all ranks when one of them reports a failure, and rank 0
 * may still have something to write. */
static int run_session(struct session *s, const struct cli_args *args) {
    int code, failed;
    if (prepare(s, args) != RPU_OK)
        return s->dist->rank == 0 ? report_error("train", &s->error) : CLI_EXIT_OK;
    warn_of_idle_ranks(s);
    print_start(s);
    code = train(s);
    if (s->dist->rank > 0)
        return CLI_EXIT_OK;
    if (code && !s->diverged)
        return code;
    failed = end_checkpoints(s);
    code = code ? code : failed;
    failed = write_outputs(s);
    code = code ? code : failed;
    if (!code)
        print_how_to_go_on(s);
    return code ? code : s->interrupted ? CLI_EXIT_INTERRUPTED : CLI_EXIT_OK;
}

static int train_with(const struct cli_args *args, const struct rpu_dist *dist, int shares_machine) {
    struct session *s = calloc(1, sizeof *s);
    int code;
    if (!s) {
        fprintf(stderr, CLI_PROGRAM " train: out of memory\n");
        dist->abort(CLI_EXIT_FAILURE);
        return CLI_EXIT_FAILURE;
    }
    s->dist = dist;
    s->shares_machine = shares_machine;
    s->lock = -1;
    code = run_session(s, args);
    rpu_outfile_abandon(s->outputs.json);
    rpu_outfile_abandon(s->outputs.result);
    rpu_outfile_abandon(s->outputs.config);
    rpu_outfile_abandon(s->outputs.trace);
    if (s->lock >= 0)
        close(s->lock);
    rpu_training_destroy(s->run);
    rpu_dataset_free(&s->data);
    rpu_engine_destroy(s->engine);
    free(s);
    return code;
}

int train_alone(const struct cli_args *args, int shares_machine) {
    struct rpu_dist alone;
    rpu_dist_alone(&alone);
    return train_with(args, &alone, shares_machine);
}

int command_train(const struct cli_args *args) {
    struct rpu_dist dist;
    int code = join_job("train", &dist);
    if (code == CLI_EXIT_OK)
        code = train_with(args, &dist, dist.size > dist.hosts);
    fflush(stdout);
    rpu_dist_close();
    return code;
}
