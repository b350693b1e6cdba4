/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of a sweep on the ranks of an MPI job. Whoever is idle asks rank 0, which answers with a run's folder: all that
 * a training needs lies there. Rank 0 trains too, in a thread of its own, while its main thread, the only one that
 * talks to others, waits for them. An interrupt reaches all ranks by way of the launcher; each stops after the
 * minibatch in work. */
#include "commands.h"
#include "sweep.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What an idle rank says: how its run ended. */
struct request {
    long run; /* -1: it had none yet */
    int code;
};

/* What it gets. */
struct reply {
    long run; /* -1: there is no more */
    char folder[RPU_PATH_MAX];
};

_Static_assert(sizeof(struct reply) <= RPU_DIST_MESSAGE, "a reply is one message");

static void pause_shortly(void) {
    const struct timespec moment = {0, 1000000};
    nanosleep(&moment, NULL);
}

/* ---- one training, in this process ---- */

/* The train command on a run's folder. */
static int train_in(const char *folder, const char *every, const struct rpu_dist *dist) {
    char message[640];
    struct sweep_words words;
    struct cli_args args;
    int code;
    sweep_words(&words, folder, every);
    code = cli_parse(&args, words.argc, words.argv, message, sizeof message);
    if (!code)
        code = train_alone(&args, dist->size > dist->hosts);
    cli_free(&args);
    return code;
}

/* The same with standard error in the run's log; `errors` is where it goes otherwise. */
static int train_logged(const char *folder, const char *every, const struct rpu_dist *dist, FILE *errors) {
    const int log = sweep_open_log(folder, errors), before = log < 0 ? -1 : dup(STDERR_FILENO);
    int code = CLI_EXIT_FAILURE;
    if (log >= 0 && before >= 0 && dup2(log, STDERR_FILENO) >= 0) {
        code = train_in(folder, every, dist);
        dup2(before, STDERR_FILENO);
    }
    if (before >= 0)
        close(before);
    if (log >= 0)
        close(log);
    return code;
}

/* ---- the others ---- */

int sweep_serve_rank(const struct rpu_dist *dist, const char *every) {
    struct request request = {-1, CLI_EXIT_OK};
    union {
        struct reply reply;
        char block[RPU_DIST_MESSAGE];
    } in;
    struct rpu_error err;
    interrupts_catch(SA_RESTART);
    unsetenv("RPU_ISA"); /* the configurations have it */
    for (;;) {
        size_t bytes = 0;
        if (dist->send(0, &request, sizeof request, &err) != RPU_OK) {
            report_error("sweep", &err);
            dist->abort(CLI_EXIT_FAILURE);
        }
        while (dist->poll(in.block, &bytes) < 0)
            pause_shortly();
        if (in.reply.run < 0)
            return CLI_EXIT_OK;
        request.run = in.reply.run;
        request.code = train_logged(in.reply.folder, every, dist, stderr);
    }
}

/* ---- rank 0 ---- */

/* Its own training. */
struct own {
    pthread_t thread;
    int busy;
    atomic_int ended;
    size_t run;
    int code;
    char folder[RPU_PATH_MAX];
    const char *every;
    const struct rpu_dist *dist;
    FILE *errors;
};

static void *own_thread(void *user) {
    struct own *own = user;
    own->code = train_logged(own->folder, own->every, own->dist, own->errors);
    atomic_store(&own->ended, 1);
    return NULL;
}

/* An interrupt that reached a single rank stops the sweep as well. */
static void ended(struct sweep_work *work, size_t run, int code) {
    if (code == CLI_EXIT_INTERRUPTED || interrupts_pending())
        work->stop = 1;
    sweep_ended(work, run, code);
}

static void begin_own(struct sweep_work *work, struct own *own) {
    while (!own->busy && sweep_next(work, &own->run)) {
        atomic_store(&own->ended, 0);
        own->busy =
            sweep_path(work, own->run, "", own->folder) && pthread_create(&own->thread, NULL, own_thread, own) == 0;
        if (!own->busy)
            ended(work, own->run, CLI_EXIT_FAILURE);
    }
}

static void end_own(struct sweep_work *work, struct own *own) {
    if (!own->busy || !atomic_load(&own->ended))
        return;
    pthread_join(own->thread, NULL);
    own->busy = 0;
    ended(work, own->run, own->code);
}

/* Answers a rank that asks, if one does: with a run, or that there is no more. Returns 1 when it was sent home. */
static int answer(struct sweep_work *work, const struct rpu_dist *dist) {
    union {
        struct request request;
        char block[RPU_DIST_MESSAGE];
    } in;
    struct reply reply;
    struct rpu_error err;
    size_t bytes = 0, run = 0;
    const int from = dist->poll(in.block, &bytes);
    if (from < 0)
        return 0;
    if (work && in.request.run >= 0)
        ended(work, (size_t)in.request.run, in.request.code);
    memset(&reply, 0, sizeof reply);
    reply.run = -1;
    if (work && sweep_next(work, &run) && sweep_path(work, run, "", reply.folder))
        reply.run = (long)run;
    if (dist->send(from, &reply, sizeof reply, &err) != RPU_OK) {
        report_error("sweep", &err);
        dist->abort(CLI_EXIT_FAILURE);
    }
    return reply.run < 0;
}

/* Messages of this thread must not end up in the log of the training beside it. */
static FILE *keep_errors(void) {
    const int fd = dup(STDERR_FILENO);
    FILE *errors = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (errors)
        setvbuf(errors, NULL, _IOLBF, BUFSIZ);
    else if (fd >= 0)
        close(fd);
    return errors;
}

static void lead(struct sweep_work *work, const struct rpu_dist *dist, struct own *own) {
    int home = 0;
    while (home < dist->size - 1 || own->busy) {
        if (interrupts_pending())
            work->stop = 1;
        end_own(work, own);
        begin_own(work, own);
        home += answer(work, dist);
        pause_shortly();
    }
}

int sweep_lead_ranks(struct sweep_work *work, const struct rpu_dist *dist) {
    struct own *own = work ? calloc(1, sizeof *own) : NULL;
    FILE *errors = own ? keep_errors() : NULL;
    char how[40];
    if (!errors) {
        if (work)
            fprintf(stderr, CLI_PROGRAM " sweep: out of memory or descriptors\n");
        for (int home = 0; home < dist->size - 1; pause_shortly())
            home += answer(NULL, dist);
        free(own);
        return CLI_EXIT_FAILURE;
    }
    interrupts_catch(SA_RESTART);
    work->errors = own->errors = errors;
    own->every = work->every;
    own->dist = dist;
    snprintf(how, sizeof how, "%d ranks", dist->size);
    sweep_announce(work, how);
    lead(work, dist, own);
    work->errors = stderr;
    fclose(errors);
    free(own);
    return CLI_EXIT_OK;
}
