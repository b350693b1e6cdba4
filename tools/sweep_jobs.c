/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of a sweep as child processes: the program itself, bound to cores of its own. */
#include "commands.h"
#include "sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A place where one run at a time is trained. */
struct place {
    pid_t child; /* 0: free */
    size_t run;
    cpu_set_t cores;
};

/* All of them, and what is asked of the system. */
struct jobs {
    struct sweep_work *work;
    struct place *places;
    size_t n;
    int bind;               /* 0: the cores are not known */
    sigset_t heard, before; /* signals that are waited for, and the mask to give back */
    sigset_t came;          /* interrupts that did */
    double stopped;         /* when the first had been dealt with */
};

/* ---- cores ---- */

/* The processors that this process may use, core by core, siblings last. */
struct usable {
    int processors[CPU_SETSIZE];
    size_t n, cores; /* how many processors there are, and cores that affinity and the cgroup's limit on time leave */
};

/* What the engine knows of the machine; nothing when the system does not say. */
static struct usable look_around(void) {
    struct usable u = {.n = 0, .cores = 1};
    const struct rpu_engine_options alone = {.threads = 1, .bind = RPU_BIND_NONE};
    struct rpu_engine *engine = NULL;
    struct rpu_machine machine;
    struct rpu_place place;
    if (rpu_engine_create_with(&engine, &alone, NULL) != RPU_OK)
        return u;
    rpu_engine_machine(engine, &machine);
    u.cores = (size_t)machine.cores;
    if (machine.time_limit > 0.0 && machine.time_limit < machine.cores)
        u.cores = (size_t)ceil(machine.time_limit); /* as an engine counts its threads */
    while (u.n < CPU_SETSIZE && rpu_engine_processor(engine, (int)u.n, &place) && place.processor < CPU_SETSIZE)
        u.processors[u.n++] = place.processor;
    rpu_engine_destroy(engine);
    return u;
}

/* Each place takes the next processors, as many as a run has threads; more places than that share them. */
static int make_places(struct jobs *j, size_t wanted) {
    const struct usable u = look_around();
    const size_t threads = j->work->threads, fit = u.cores > threads ? u.cores / threads : 1;
    j->n = wanted ? wanted : fit;
    if (j->n > j->work->waiting)
        j->n = j->work->waiting;
    j->bind = u.n > 0;
    j->places = calloc(j->n ? j->n : 1, sizeof *j->places);
    if (!j->places)
        return CLI_EXIT_FAILURE;
    for (size_t p = 0; p < j->n; p++) {
        CPU_ZERO(&j->places[p].cores);
        for (size_t t = 0; t < threads && u.n; t++)
            CPU_SET((size_t)u.processors[(p * threads + t) % u.n], &j->places[p].cores);
    }
    return CLI_EXIT_OK;
}

/* ---- a child ---- */

/* Standard input and output of a training that prints nothing; -1 on failure. */
static int connect_streams(int log) {
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    return null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 && dup2(log, STDERR_FILENO) >= 0
               ? 0
               : -1;
}

/* Becomes the training. A process group of its own: a terminal's interrupt then comes once, from the parent; and when
 * the parent is killed, the training stops as if interrupted. */
static void become_training(const struct jobs *j, const struct place *place, pid_t parent, char *const *argv, int log) {
    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
        _exit(CLI_EXIT_INTERRUPTED);
    if (j->bind)
        sched_setaffinity(0, sizeof place->cores, &place->cores);
    if (connect_streams(log) == 0) {
        sigprocmask(SIG_SETMASK, &j->before, NULL);
        rpu_dist_forget(); /* it is alone, also where this process is a rank */
        execv("/proc/self/exe", argv);
    }
    dprintf(log, CLI_PROGRAM " sweep: cannot start the training: %s\n", strerror(errno));
    _exit(CLI_EXIT_FAILURE);
}

/* Starts a run; 0 after a message when it cannot be. */
static int begin(struct jobs *j, struct place *place, size_t run) {
    char folder[RPU_PATH_MAX];
    struct sweep_words words;
    const pid_t parent = getpid();
    int log = -1;
    if (sweep_path(j->work, run, "", folder))
        log = sweep_open_log(folder, j->work->errors);
    if (log < 0)
        return 0;
    sweep_words(&words, folder, j->work->every);
    fflush(NULL);
    place->run = run;
    place->child = fork();
    if (place->child == 0)
        become_training(j, place, parent, words.argv, log);
    if (place->child < 0) {
        dprintf(log, CLI_PROGRAM " sweep: cannot start the training: %s\n", strerror(errno));
        place->child = 0;
        close(log);
        return 0;
    }
    close(log);
    return 1;
}

/* ---- all of them ---- */

static void fill_places(struct jobs *j) {
    size_t run;
    for (size_t p = 0; p < j->n; p++)
        while (!j->places[p].child && sweep_next(j->work, &run))
            if (!begin(j, &j->places[p], run))
                sweep_ended(j->work, run, CLI_EXIT_FAILURE);
}

static void collect_ended(struct jobs *j) {
    for (size_t p = 0; p < j->n; p++) {
        int status = 0;
        if (!j->places[p].child || waitpid(j->places[p].child, &status, WNOHANG) <= 0)
            continue;
        j->places[p].child = 0;
        sweep_ended(j->work, j->places[p].run, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    }
}

/* The first interrupt is passed on; a second one ends this process, and the trainings with it; see interrupts_catch for
 * what is one where a launcher started this process. */
static void on_interrupt(struct jobs *j, int number) {
    const int again = sigismember(&j->came, number);
    sigaddset(&j->came, number);
    if (j->work->stop && ((!again && rpu_dist_launched()) || rpu_now() - j->stopped < INTERRUPT_SECONDS))
        return;
    if (j->work->stop) {
        sweep_progress_clear(j->work);
        signal(number, SIG_DFL);
        sigprocmask(SIG_SETMASK, &j->before, NULL);
        raise(number);
    }
    j->work->stop = 1;
    for (size_t p = 0; p < j->n; p++)
        if (j->places[p].child)
            kill(j->places[p].child, number);
}

/* Signals are taken one by one where the loop waits for them, so that none is missed in between. */
static void hear_signals(struct jobs *j) {
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&j->came);
    sigemptyset(&j->heard);
    sigaddset(&j->heard, SIGINT);
    sigaddset(&j->heard, SIGTERM);
    sigaddset(&j->heard, SIGCHLD);
    sigprocmask(SIG_BLOCK, &j->heard, &j->before);
    sigdelset(&j->before, SIGINT);
    sigdelset(&j->before, SIGTERM);
}

int sweep_run_jobs(struct sweep_work *work, size_t jobs) {
    const struct timespec tick = {0, 500000000}, none = {0, 0};
    struct jobs j = {.work = work};
    const int code = make_places(&j, jobs);
    char how[40];
    if (code) {
        fprintf(stderr, CLI_PROGRAM " sweep: out of memory\n");
        return code;
    }
    hear_signals(&j);
    snprintf(how, sizeof how, "%zu at a time", j.n);
    sweep_announce(work, how);
    for (fill_places(&j); work->active; fill_places(&j)) {
        const int stopped = work->stop;
        int number;
        sweep_progress(work);
        number = sigtimedwait(&j.heard, NULL, &tick);
        if (number == SIGINT || number == SIGTERM)
            on_interrupt(&j, number);
        collect_ended(&j);
        if (work->stop && !stopped)
            j.stopped = rpu_now(); /* what came while tables were written, came with the first */
    }
    /* One that came when nothing was left to stop does not keep the table from being written. */
    while (sigtimedwait(&j.heard, NULL, &none) > 0)
        continue;
    sigprocmask(SIG_SETMASK, &j.before, NULL);
    free(j.places);
    return CLI_EXIT_OK;
}
