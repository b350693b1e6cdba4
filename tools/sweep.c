/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep.h"

#include "checkpoints.h"
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char log_name[] = "stderr.log";

/* ---- folders ---- */

int sweep_path(const struct sweep_work *work, size_t run, const char *file, char path[RPU_PATH_MAX]) {
    const int n = snprintf(path, RPU_PATH_MAX, "%s/%s%s%s", work->folder, rpu_sweep_name(work->sweep, run),
                           *file ? "/" : "", file);
    return n > 0 && n < RPU_PATH_MAX;
}

/* Removes what a training or a table that was killed left half written; the folder is locked. */
static void remove_leftovers(const char *folder) {
    static const char *const names[] = {"result.json", "config.yaml", RPU_CHECKPOINT_NAME,
                                        "sweep.json",  "sweep.csv",   NULL};
    rpu_outfile_clean(folder, names);
}

static int make_folder(const char *path, int with_those_above, FILE *errors) {
    if (rpu_outfile_folder(path, with_those_above) == 0)
        return CLI_EXIT_OK;
    fprintf(errors, CLI_PROGRAM " sweep: cannot create the folder %s: %s\n", path, strerror(errno));
    return CLI_EXIT_FAILURE;
}

/* Another sweep may be at work here, or trainings of one that was killed, which end after the minibatch in work: they
 * are waited for. Where the file system has no locks there is none. */
static int lock_folder(struct sweep_work *work) {
    const struct timespec pause = {0, 100000000};
    const int tries = 50;
    for (int i = 0; (work->lock = rpu_outfile_lock(work->folder)) < 0; i++) {
        if (errno != EWOULDBLOCK) {
            fprintf(stderr, CLI_PROGRAM " sweep: cannot open the folder %s: %s\n", work->folder, strerror(errno));
            return CLI_EXIT_FAILURE;
        }
        if (i == tries) {
            fprintf(stderr, CLI_PROGRAM " sweep: another sweep is at work in %s\n", work->folder);
            return CLI_EXIT_FAILURE;
        }
        nanosleep(&pause, NULL);
    }
    fcntl(work->lock, F_SETFD, 0); /* trainings inherit it */
    return CLI_EXIT_OK;
}

static int write_file(const char *path, const char *text, FILE *errors) {
    struct rpu_outfile *file;
    struct rpu_error err;
    if (rpu_outfile_open(&file, path, &err) == RPU_OK && rpu_outfile_commit(file, text, strlen(text), &err) == RPU_OK)
        return 1;
    fprintf(errors, CLI_PROGRAM " sweep: %s\n", err.message);
    return 0;
}

int sweep_open_log(const char *run_folder, FILE *errors) {
    char path[RPU_PATH_MAX];
    int fd = -1;
    errno = ENAMETOOLONG;
    if (snprintf(path, sizeof path, "%s/%s", run_folder, log_name) < (int)sizeof path)
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        fprintf(errors, CLI_PROGRAM " sweep: %s/%s: cannot be written: %s\n", run_folder, log_name, strerror(errno));
    return fd;
}

/* ---- progress ---- */

void sweep_announce(const struct sweep_work *work, const char *how) {
    if (!work->human || !work->waiting)
        return;
    fprintf(work->human, "%zu run%s, %zu kept from before; %s, %s%zu thread%s each\n", work->count,
            work->count == 1 ? "" : "s", work->kept, how, work->least_threads < work->threads ? "up to " : "",
            work->threads, work->threads == 1 ? "" : "s");
    fflush(work->human);
}

void sweep_progress_clear(struct sweep_work *work) {
    if (work->width > 0) {
        fprintf(work->human, "\r%*s\r", work->width, "");
        fflush(work->human);
    }
    work->width = 0;
}

/* Time left, as if the runs to come took as long as those that ended, on average. */
static int print_left(const struct sweep_work *work, size_t ended) {
    const double each = (rpu_now() - work->start) / (double)ended;
    const unsigned long s = (unsigned long)(each * (double)(work->waiting + work->active) + 0.5);
    return fprintf(work->human, ", %lu:%02lu:%02lu left", s / 3600, s / 60 % 60, s % 60);
}

void sweep_progress(struct sweep_work *work) {
    const size_t ended = work->done + work->failed + work->interrupted;
    int n;
    if (!work->terminal)
        return;
    n = fprintf(work->human, "\rrun %zu/%zu: %zu at work", work->kept + ended, work->count, work->active) - 1;
    if (work->failed)
        n += fprintf(work->human, ", %zu failed", work->failed);
    if (work->stop)
        n += fprintf(work->human, ", stopping");
    else if (ended)
        n += print_left(work, ended);
    if (n < work->width)
        fprintf(work->human, "%*s", work->width - n, "");
    work->width = n;
    fflush(work->human);
}

/* ---- runs ---- */

static int resumes(const char *run_folder) {
    char path[RPU_PATH_MAX];
    return snprintf(path, sizeof path, "%s/" RPU_CHECKPOINT_NAME, run_folder) < (int)sizeof path &&
           access(path, F_OK) == 0;
}

void sweep_words(struct sweep_words *words, const char *run_folder, const char *every) {
    int n = 0;
    snprintf(words->out, sizeof words->out, "--out=%s", run_folder);
    snprintf(words->config, sizeof words->config, "%s/config.yaml", run_folder);
    snprintf(words->every, sizeof words->every, "--checkpoint-every=%s", every ? every : "");
    words->argv[n++] = CLI_PROGRAM;
    words->argv[n++] = "train";
    words->argv[n++] = "--quiet";
    words->argv[n++] = words->out;
    if (every)
        words->argv[n++] = words->every;
    if (resumes(run_folder))
        words->argv[n++] = "--resume";
    words->argv[n++] = "--";
    words->argv[n++] = words->config;
    words->argv[n] = NULL;
    words->argc = n;
}

static void remove_checkpoint(const struct sweep_work *work, size_t run) {
    char path[RPU_PATH_MAX];
    if (sweep_path(work, run, RPU_CHECKPOINT_NAME, path))
        unlink(path);
}

/* Somebody's work, if not of this sweep: it stays under another name. */
static int set_aside(const struct sweep_work *work, size_t run, const char *why) {
    char path[RPU_PATH_MAX], aside[RPU_PATH_MAX];
    if (!sweep_path(work, run, RPU_CHECKPOINT_NAME, path) || !sweep_path(work, run, RPU_CHECKPOINT_NAME ".old", aside))
        return 0;
    errno = EEXIST;
    if (access(aside, F_OK) == 0 || rename(path, aside) != 0) {
        fprintf(work->errors, CLI_PROGRAM " sweep: %s; the checkpoint cannot become %s: %s\n", why, aside,
                strerror(errno));
        return 0;
    }
    fprintf(work->errors, CLI_PROGRAM " sweep: %s; the run begins anew, the checkpoint is %s now\n", why, aside);
    return 1;
}

/* A checkpoint of this configuration is where the run goes on, another is set aside; one that cannot be read now stays,
 * and the run fails. */
static int check_checkpoint(const struct sweep_work *work, size_t run, const struct rpu_config *config) {
    char path[RPU_PATH_MAX];
    struct rpu_error err;
    int fits = 0;
    if (!sweep_path(work, run, RPU_CHECKPOINT_NAME, path) || access(path, F_OK) != 0)
        return 1;
    if (rpu_checkpoint_fits(path, config, &fits, &err) != RPU_OK) {
        fprintf(work->errors, CLI_PROGRAM " sweep: %s\n", err.message);
        return 0;
    }
    return fits || set_aside(work, run, err.message);
}

/* Another training, which no sweep has started, may be at work in the folder of a run: then nothing of it is touched.
 * Returns the descriptor of the lock, which the run's own training will want; -1 after a message. */
static int lock_run(const struct sweep_work *work, const char *folder) {
    const int lock = rpu_outfile_lock(folder);
    if (lock < 0 && errno == EWOULDBLOCK)
        fprintf(work->errors, CLI_PROGRAM " sweep: another training is at work in the folder %s\n", folder);
    else if (lock < 0)
        fprintf(work->errors, CLI_PROGRAM " sweep: cannot open the folder %s: %s\n", folder, strerror(errno));
    return lock;
}

/* Folder and configuration of a run; what else lay there is overwritten when the training ends. */
static int prepare(const struct sweep_work *work, size_t run) {
    struct rpu_config *config = malloc(sizeof *config);
    char path[RPU_PATH_MAX], folder[RPU_PATH_MAX], *yaml = NULL;
    struct rpu_error err = {.message = "the path is too long"};
    int lock = -1, ok = config && sweep_path(work, run, "", folder) && sweep_path(work, run, "config.yaml", path);
    if (ok && (make_folder(folder, 0, work->errors) != CLI_EXIT_OK || (lock = lock_run(work, folder)) < 0)) {
        free(config);
        return 0;
    }
    ok = ok && rpu_sweep_config(work->sweep, run, config, &err) == RPU_OK &&
         rpu_config_yaml(config, &yaml, &err) == RPU_OK;
    if (!ok)
        fprintf(work->errors, CLI_PROGRAM " sweep: %s: %s\n", rpu_sweep_name(work->sweep, run),
                config ? err.message : "out of memory");
    if (ok) {
        remove_leftovers(folder);
        ok = write_file(path, yaml, work->errors) && check_checkpoint(work, run, config);
    }
    if (lock >= 0)
        close(lock);
    free(yaml);
    free(config);
    return ok;
}

int sweep_next(struct sweep_work *work, size_t *run) {
    while (!work->stop && work->next < work->count) {
        const size_t i = work->next++;
        if (work->runs[i].state != RPU_RUN_WAITING)
            continue;
        work->waiting--;
        sweep_progress_clear(work); /* which may say something */
        if (prepare(work, i)) {
            work->runs[i].state = RPU_RUN_ACTIVE;
            work->active++;
            *run = i;
            return 1;
        }
        work->runs[i].state = RPU_RUN_FAILED;
        work->runs[i].code = CLI_EXIT_FAILURE;
        work->failed++;
    }
    return 0;
}

/* The last line of a log, at most what fits; "" when it has none. */
static void last_line(const char *path, char *line, size_t size) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *start;
    ssize_t n = -1;
    line[0] = '\0';
    if (fd < 0)
        return;
    if (lseek(fd, -(off_t)(size - 1), SEEK_END) < 0)
        lseek(fd, 0, SEEK_SET);
    n = read(fd, line, size - 1);
    close(fd);
    line[n > 0 ? n : 0] = '\0';
    while (n > 0 && line[n - 1] == '\n')
        line[--n] = '\0';
    start = strrchr(line, '\n');
    if (start)
        memmove(line, start + 1, strlen(start));
}

static void report_failure(struct sweep_work *work, size_t run, const char *why) {
    char path[RPU_PATH_MAX], line[512];
    int code = work->runs[run].code;
    if (!sweep_path(work, run, log_name, path))
        return;
    last_line(path, line, sizeof line);
    sweep_progress_clear(work);
    fprintf(work->errors, CLI_PROGRAM " sweep: %s failed", rpu_sweep_name(work->sweep, run));
    if (why)
        fprintf(work->errors, ": %s", why);
    else if (code > 128)
        fprintf(work->errors, ": killed by signal %d (%s)", code - 128, strsignal(code - 128));
    else
        fprintf(work->errors, " with exit code %d", code);
    if (*line)
        fprintf(work->errors, ": %s (%s)", line, path);
    fputc('\n', work->errors);
    fflush(work->errors);
}

/* Reads what a run that ended well has written. */
static int read_result(struct sweep_work *work, size_t run, struct rpu_config *config, struct rpu_error *err) {
    char path[RPU_PATH_MAX];
    return sweep_path(work, run, "result.json", path) && rpu_sweep_config(work->sweep, run, config, err) == RPU_OK &&
           rpu_summary_read(&work->runs[run].summary, path, config, err) == RPU_OK;
}

/* A log that says nothing is not kept. */
static void remove_empty_log(const struct sweep_work *work, size_t run) {
    char path[RPU_PATH_MAX];
    struct stat st;
    if (sweep_path(work, run, log_name, path) && stat(path, &st) == 0 && st.st_size == 0)
        unlink(path);
}

/* What is no terminal has a line for each run. */
static void tell_ended(struct sweep_work *work, size_t run) {
    const size_t ended = work->done + work->failed + work->interrupted;
    if (!work->human || work->terminal)
        return;
    fprintf(work->human, "run %zu/%zu: %s %s", work->kept + ended, work->count, rpu_sweep_name(work->sweep, run),
            rpu_run_state_name(work->runs[run].state));
    if (!work->stop && work->waiting + work->active > 0)
        print_left(work, ended);
    fputc('\n', work->human);
    fflush(work->human);
}

void sweep_ended(struct sweep_work *work, size_t run, int code) {
    struct rpu_config *config = malloc(sizeof *config);
    struct rpu_error err = {.message = "out of memory"};
    struct rpu_run *r = &work->runs[run];
    work->active--;
    r->code = code;
    if (code == CLI_EXIT_OK && config && read_result(work, run, config, &err)) {
        r->state = RPU_RUN_DONE;
        work->done++;
        remove_checkpoint(work, run);
    } else if (work->stop && (code == CLI_EXIT_INTERRUPTED || code > 128)) {
        r->state = RPU_RUN_INTERRUPTED;
        work->interrupted++;
    } else {
        r->state = RPU_RUN_FAILED;
        work->failed++;
        report_failure(work, run, code == CLI_EXIT_OK ? err.message : NULL);
        r->code = code == CLI_EXIT_OK ? CLI_EXIT_FAILURE : code;
    }
    remove_empty_log(work, run);
    free(config);
    tell_ended(work, run);
}

/* ---- start ---- */

/* DIR, or the sweep file's name without its folder and .yaml, with -runs. */
static int choose_folder(struct sweep_work *work, const struct cli_args *args) {
    const char *out = cli_value(args, "out"), *file = args->operands[0], *slash = strrchr(file, '/');
    const char *name = slash ? slash + 1 : file, *dot = strrchr(name, '.');
    const int length = dot && dot > name ? (int)(dot - name) : (int)strlen(name);
    const int n = out ? snprintf(work->folder, sizeof work->folder, "%s", out)
                      : snprintf(work->folder, sizeof work->folder, "%.*s-runs", length, name);
    if (n > 0 && (size_t)n < sizeof work->folder - RPU_SWEEP_MAX_NAME - 64)
        return CLI_EXIT_OK;
    fprintf(stderr, CLI_PROGRAM " sweep: --out: the path is empty or too long\n");
    return CLI_EXIT_USAGE;
}

static int read_file(struct sweep_work *work, const struct cli_args *args) {
    struct assignments given;
    struct rpu_error err;
    enum rpu_status status;
    if (args->n_operands == 0) {
        fprintf(stderr, CLI_PROGRAM " sweep: no sweep file; see " CLI_PROGRAM " sweep --help\n");
        return CLI_EXIT_USAGE;
    }
    if (!assignments_collect(&given, args)) {
        fprintf(stderr, CLI_PROGRAM " sweep: out of memory\n");
        return CLI_EXIT_FAILURE;
    }
    status = rpu_sweep_read(&work->sweep, args->operands[0], given.list, given.n, &err);
    assignments_free(&given);
    if (status == RPU_OK)
        return CLI_EXIT_OK;
    report_error("sweep", &err);
    return status == RPU_ERR_NOMEM ? CLI_EXIT_FAILURE : CLI_EXIT_USAGE;
}

/* Whether this machine has the kernel variant that a run asks for; `last` is the one asked for before. A run that asks
 * for none takes the best. */
static int check_isa(const struct rpu_config *config, char last[sizeof config->isa], const struct cli_args *args) {
    const char *origin, *chosen = chosen_isa(args, &origin);
    struct rpu_engine *engine;
    struct rpu_error err;
    if (!config->isa[0] || strcmp(config->isa, last) == 0)
        return CLI_EXIT_OK;
    if (rpu_engine_create(&engine, config->isa, 1, &err) != RPU_OK)
        return report_engine_error("sweep", chosen && strcmp(config->isa, chosen) == 0 ? origin : "run.isa", &err);
    rpu_engine_destroy(engine);
    memcpy(last, config->isa, sizeof config->isa);
    return CLI_EXIT_OK;
}

/* Looks at every run: whether it can be trained here, and whether it already was. */
static int find_finished(struct sweep_work *work, const struct cli_args *args) {
    struct rpu_config *config = calloc(1, sizeof *config);
    struct rpu_error err = {.status = RPU_OK};
    char isa[sizeof config->isa] = "";
    int code = CLI_EXIT_OK;
    work->count = rpu_sweep_count(work->sweep);
    work->runs = calloc(work->count, sizeof *work->runs);
    if (!config || !work->runs) {
        fprintf(stderr, CLI_PROGRAM " sweep: out of memory\n");
        code = CLI_EXIT_FAILURE;
    }
    for (size_t i = 0; i < work->count && !code; i++) {
        if (rpu_sweep_config(work->sweep, i, config, &err) != RPU_OK)
            code = report_error("sweep", &err);
        else
            code = check_isa(config, isa, args);
        if (config->threads > work->threads)
            work->threads = config->threads;
        if (i == 0 || config->threads < work->least_threads)
            work->least_threads = config->threads;
        if (!code && read_result(work, i, config, &err)) {
            work->runs[i].state = RPU_RUN_KEPT;
            work->kept++;
        } else if (!code && err.status == RPU_ERR_NOMEM) {
            code = report_error("sweep", &err); /* else a run that is finished would be trained again */
        }
    }
    work->waiting = work->count - work->kept;
    free(config);
    return code;
}

/* --checkpoint-every. */
static int read_every(struct sweep_work *work, const struct cli_args *args) {
    struct rpu_checkpoint_times times;
    struct rpu_error err;
    work->every = cli_value(args, "checkpoint-every");
    return work->every && checkpoints_every(&times, work->every, &err) != RPU_OK ? report_error("sweep", &err)
                                                                                 : CLI_EXIT_OK;
}

static int start(struct sweep_work *work, const struct cli_args *args) {
    int code = read_every(work, args);
    if (!code)
        code = read_file(work, args);
    if (!code)
        code = choose_folder(work, args);
    if (!code)
        code = make_folder(work->folder, 1, stderr);
    if (!code)
        code = lock_folder(work);
    if (!code)
        code = find_finished(work, args);
    if (!code)
        remove_leftovers(work->folder);
    work->start = rpu_now();
    return code;
}

/* The value of --jobs, or 0; -1 after a message. */
static int64_t wanted_jobs(const struct cli_args *args, const struct rpu_dist *dist) {
    const char *text = cli_value(args, "jobs");
    if (!text || dist->size == 1)
        return option_number(args, "jobs", 1, 1024, 0);
    fprintf(stderr, CLI_PROGRAM " sweep: --jobs: found %s and %d ranks; allowed is one of both\n", text, dist->size);
    return -1;
}

/* ---- end ---- */

static int write_table(const struct sweep_work *work, const char *name,
                       enum rpu_status (*make)(char **, const struct rpu_sweep *, const struct rpu_run *,
                                               struct rpu_error *)) {
    char path[RPU_PATH_MAX + 16], *text = NULL;
    struct rpu_error err;
    int ok;
    snprintf(path, sizeof path, "%s/%s", work->folder, name);
    if (make(&text, work->sweep, work->runs, &err) != RPU_OK)
        return report_error("sweep", &err);
    ok = write_file(path, text, stderr);
    free(text);
    return ok ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}

static void print_totals(const struct sweep_work *work) {
    const struct {
        size_t n;
        const char *what;
    } parts[] = {{work->done, "done"},
                 {work->kept, "kept from before"},
                 {work->failed, "failed"},
                 {work->interrupted, "interrupted"},
                 {work->waiting, "not begun"}};
    const char *gap = "";
    fprintf(work->human, "%zu run%s: ", work->count, work->count == 1 ? "" : "s");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i].n) {
            fprintf(work->human, "%s%zu %s", gap, parts[i].n, parts[i].what);
            gap = ", ";
        }
    fprintf(work->human, "; table in %s/sweep.json and sweep.csv\n", work->folder);
}

static int finish(struct sweep_work *work) {
    const int json = write_table(work, "sweep.json", rpu_sweep_json),
              csv = write_table(work, "sweep.csv", rpu_sweep_csv);
    if (work->human && !sweep_print_table(work)) {
        fprintf(stderr, CLI_PROGRAM " sweep: out of memory for the table\n");
        return CLI_EXIT_FAILURE;
    }
    if (work->human)
        print_totals(work);
    if (json || csv)
        return json ? json : csv;
    if (work->interrupted || work->waiting)
        return CLI_EXIT_INTERRUPTED;
    return work->failed ? CLI_EXIT_FAILURE : CLI_EXIT_OK;
}

static void release(struct sweep_work *work) {
    rpu_sweep_free(work->sweep);
    free(work->runs);
    if (work->lock >= 0)
        close(work->lock);
    free(work);
}

/* What the process does that reads the file and writes the table. */
static int lead(const struct cli_args *args, const struct rpu_dist *dist) {
    struct sweep_work *work = calloc(1, sizeof *work);
    const int64_t jobs = wanted_jobs(args, dist);
    int code = jobs < 0 ? CLI_EXIT_USAGE : CLI_EXIT_OK;
    if (!work) {
        fprintf(stderr, CLI_PROGRAM " sweep: out of memory\n");
        code = CLI_EXIT_FAILURE;
    }
    if (work) {
        work->lock = -1;
        work->human = cli_value(args, "quiet") ? NULL : stdout;
        work->errors = stderr;
        /* mpirun gives rank 0 a terminal of its own making, wherever its output goes. */
        work->terminal = work->human && !rpu_dist_launched() && isatty(fileno(work->human));
    }
    if (!code)
        code = start(work, args);
    unsetenv("RPU_ISA"); /* the configurations have it by now */
    if (dist->size > 1) {
        const int led = sweep_lead_ranks(code ? NULL : work, dist);
        code = code ? code : led;
    } else if (!code) {
        code = sweep_run_jobs(work, (size_t)jobs);
    }
    if (!code) {
        sweep_progress_clear(work);
        code = finish(work);
    }
    if (work)
        release(work);
    return code;
}

int command_sweep(const struct cli_args *args) {
    struct rpu_dist dist;
    int code = join_job("sweep", &dist);
    if (code == CLI_EXIT_OK)
        code = dist.rank == 0 ? lead(args, &dist) : sweep_serve_rank(&dist, cli_value(args, "checkpoint-every"));
    rpu_dist_close();
    return code;
}
