/* SPDX-License-Identifier: Apache-2.0 */
/* `rpubench bench`: starts the separate program rpubench-bench, which needs Google Benchmark and OpenBLAS, and prints
 * what it measured. What the program writes goes into memory; its standard output only says how far it is. */
#include "bench.h"

#include "../src/app.h"
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OPTIONS_MAX = 24, OPTION = 512, LINE = 512 };

/* A run of the program. */
struct session {
    char program[PATH_MAX];
    char options[OPTIONS_MAX][OPTION];
    size_t n_options;
    int report, errors; /* files in memory: the document, and what went to standard error */
    pid_t child;
    struct json_output out;
};

/* ---- the program ---- */

/* The folder of this program with its slash; 0 when it is not known. */
static int own_folder(char folder[PATH_MAX]) {
    const ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    char *slash;
    if (n <= 0)
        return 0;
    folder[n] = '\0';
    slash = strrchr(folder, '/');
    if (slash)
        slash[1] = '\0';
    return slash != NULL;
}

/* In the build tree, beside this program, and where it is installed. */
static const char *const places[] = {"bench/rpubench-bench", "rpubench-bench",
                                     "../" RPUBENCH_LIBEXEC "/rpubench-bench"};
enum { PLACES = sizeof places / sizeof places[0] };

static int explain_missing(const char *folder) {
    fprintf(stderr, CLI_PROGRAM " bench: the benchmarks are not there; looked for");
    for (size_t i = 0; i < PLACES; i++)
        fprintf(stderr, "%s %s%s", i ? "," : "", folder, places[i]);
    fprintf(stderr, ". They are built where Google Benchmark and OpenBLAS are installed:\n"
                    "    apt-get install g++ libbenchmark-dev libopenblas-dev\n"
                    "    meson setup --reconfigure -Dbench=enabled build && ninja -C build\n"
                    "RPUBENCH_BENCH names a program that is elsewhere.\n");
    return CLI_EXIT_FAILURE;
}

static int find_program(struct session *s) {
    const char *named = getenv("RPUBENCH_BENCH");
    char folder[PATH_MAX] = "";
    if (named && *named) {
        snprintf(s->program, sizeof s->program, "%s", named);
        if (access(named, X_OK) == 0)
            return CLI_EXIT_OK;
        fprintf(stderr, CLI_PROGRAM " bench: RPUBENCH_BENCH: cannot run %s: %s\n", named, strerror(errno));
        return CLI_EXIT_FAILURE;
    }
    if (own_folder(folder))
        for (size_t i = 0; i < PLACES; i++) {
            const int n = snprintf(s->program, sizeof s->program, "%s%s", folder, places[i]);
            if (n > 0 && (size_t)n < sizeof s->program && access(s->program, X_OK) == 0)
                return CLI_EXIT_OK;
        }
    return explain_missing(folder);
}

/* ---- its options ---- */

static int add_option(struct session *s, const char *name, const char *value) {
    const int n = snprintf(s->options[s->n_options], OPTION, "%s%s", name, value);
    if (n < 0 || n >= OPTION) {
        fprintf(stderr, CLI_PROGRAM " bench: an option of more than %d characters\n", OPTION);
        return CLI_EXIT_USAGE;
    }
    s->n_options++;
    return CLI_EXIT_OK;
}

/* A number in range, as the user wrote it; null after a message. */
static const char *number(const struct cli_args *args, const char *name, double least, double most) {
    const char *text = cli_value(args, name);
    double v;
    if (decimal(text, &v) && v >= least && v <= most)
        return text;
    fprintf(stderr, CLI_PROGRAM " bench: --%s: found '%s', allowed is a number from %g to %g\n", name, text, least,
            most);
    return NULL;
}

/* Runs and their least time: enough of both for a median, and little of both in a hurry. */
static int choose_effort(struct session *s, const struct cli_args *args) {
    const int quick = cli_value(args, "quick") != NULL;
    const char *repetitions = quick ? "3" : "5", *seconds = quick ? "0.005" : "0.05";
    int code;
    if (cli_value(args, "official"))
        repetitions = "1";
    if (cli_value(args, "repetitions") && !(repetitions = number(args, "repetitions", 1, 1000)))
        return CLI_EXIT_USAGE;
    if (cli_value(args, "min-time") && !(seconds = number(args, "min-time", 1e-6, 1e4)))
        return CLI_EXIT_USAGE;
    if (repetitions[strspn(repetitions, "0123456789")]) {
        fprintf(stderr, CLI_PROGRAM " bench: --repetitions: found '%s', allowed is a whole number\n", repetitions);
        return CLI_EXIT_USAGE;
    }
    code = add_option(s, "--benchmark_repetitions=", repetitions);
    if (!code && cli_value(args, "interleave"))
        code = add_option(s, "--benchmark_enable_random_interleaving=", "true");
    return code ? code : add_option(s, "--benchmark_min_time=", seconds);
}

/* Options that are handed on as they are. */
static int hand_on(struct session *s, const struct cli_args *args) {
    static const struct {
        const char *name, *theirs;
    } options[] = {{"filter", "--benchmark_filter="}, {"threads", "--threads="}, {"data", "--data="}};
    static const char *const flags[] = {"quick", "official"};
    int code = CLI_EXIT_OK;
    for (size_t i = 0; i < sizeof options / sizeof options[0] && !code; i++)
        if (cli_value(args, options[i].name))
            code = add_option(s, options[i].theirs, cli_value(args, options[i].name));
    for (size_t i = 0; i < sizeof flags / sizeof flags[0] && !code; i++)
        if (cli_value(args, flags[i]))
            code = add_option(s, "--", flags[i]);
    return code;
}

static int choose_options(struct session *s, const struct cli_args *args) {
    const char *origin, *isa = chosen_isa(args, &origin);
    char report[64];
    int code;
    if (cli_value(args, "official") &&
        (cli_value(args, "quick") || cli_value(args, "filter") || cli_value(args, "data"))) {
        fprintf(stderr,
                CLI_PROGRAM " bench: --official is a fixed workload; it goes without --quick, --filter and --data\n");
        return CLI_EXIT_USAGE;
    }
    snprintf(report, sizeof report, "/proc/self/fd/%d", s->report);
    code = add_option(s, "--benchmark_out=", report);
    if (!code)
        code = add_option(s, "--benchmark_out_format=", "json");
    if (!code)
        code = choose_effort(s, args);
    if (!code && isa)
        code = add_option(s, "--isa=", isa);
    return code ? code : hand_on(s, args);
}

/* ---- running it ---- */

/* `heard`: the signals that are blocked. Handlers are the parent's. */
static void become_program(const struct session *s, int out, pid_t parent, const sigset_t *heard) {
    char *argv[OPTIONS_MAX + 2] = {NULL};
    char program[PATH_MAX], options[OPTIONS_MAX][OPTION];
    memcpy(program, s->program, sizeof program);
    memcpy(options, s->options, sizeof options);
    argv[0] = program;
    for (size_t i = 0; i < s->n_options; i++)
        argv[i + 1] = options[i];
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, heard, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
        _exit(CLI_EXIT_INTERRUPTED);
    if (dup2(out, STDOUT_FILENO) >= 0 && dup2(s->errors, STDERR_FILENO) >= 0)
        execv(s->program, argv);
    dprintf(s->errors, CLI_PROGRAM " bench: cannot start %s: %s\n", s->program, strerror(errno));
    _exit(CLI_EXIT_FAILURE);
}

/* Starts the program; returns the end of its standard output, or -1 after a message. */
static int start(struct session *s) {
    const pid_t parent = getpid();
    sigset_t heard, before;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        fprintf(stderr, CLI_PROGRAM " bench: %s\n", strerror(errno));
        return -1;
    }
    sigemptyset(&heard);
    sigaddset(&heard, SIGINT);
    sigaddset(&heard, SIGTERM);
    fflush(NULL);
    sigprocmask(SIG_BLOCK, &heard, &before); /* so that none comes between the child and who hears of it */
    s->child = fork();
    if (s->child == 0)
        become_program(s, ends[1], parent, &heard);
    interrupts_pass_on(s->child);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    if (s->child > 0)
        return ends[0];
    fprintf(stderr, CLI_PROGRAM " bench: cannot start %s: %s\n", s->program, strerror(errno));
    close(ends[0]);
    return -1;
}

/* Shows which benchmark was the last, if standard error is a terminal and anybody wants to know. */
static void follow(const struct session *s, FILE *lines) {
    const int shown = s->out.human && isatty(STDERR_FILENO);
    char line[LINE], before[LINE] = "";
    size_t count = 0;
    while (fgets(line, sizeof line, lines)) {
        line[strcspn(line, " \n")] = '\0';
        if (!strchr(line, '/') || strcmp(line, before) == 0)
            continue;
        snprintf(before, sizeof before, "%s", line);
        count++;
        if (shown)
            fprintf(stderr, "\r%zu: %-90.90s", count, line);
    }
    if (shown && count)
        fprintf(stderr, "\r%100s\r", "");
}

/* Waits for the program and returns its exit code; that of an interrupt, or of a failure where it was killed. */
static int finish(struct session *s) {
    int status = 0;
    while (waitpid(s->child, &status, 0) < 0 && errno == EINTR)
        continue;
    interrupts_pass_on(0);
    s->child = 0;
    if (interrupts_pending())
        return CLI_EXIT_INTERRUPTED;
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    fprintf(stderr, CLI_PROGRAM " bench: %s was ended by signal %d\n", s->program, WTERMSIG(status));
    return CLI_EXIT_FAILURE;
}

/* ---- what it left behind ---- */

/* The content of a file in memory, with a zero behind it, malloc'd; null without memory. */
static char *content(int file, size_t *size) {
    struct stat st;
    char *text;
    size_t at = 0;
    if (fstat(file, &st) != 0 || !(text = malloc((size_t)st.st_size + 1)))
        return NULL;
    while (at < (size_t)st.st_size) {
        const ssize_t n = pread(file, text + at, (size_t)st.st_size - at, (off_t)at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    text[at] = '\0';
    *size = at;
    return text;
}

/* What the program said itself, without Google Benchmark's description of the machine; returns how many lines. */
static int pass_messages_on(const struct session *s) {
    size_t size;
    char *text = content(s->errors, &size), *rest = text;
    int lines = 0;
    for (char *line = text ? strsep(&rest, "\n") : NULL; line; line = strsep(&rest, "\n"))
        if (strncmp(line, "rpubench", 8) == 0) {
            fprintf(stderr, "%s\n", line);
            lines++;
        }
    free(text);
    return lines;
}

static int explain_nothing(const struct session *s, const struct cli_args *args) {
    const char *filter = cli_value(args, "filter");
    if (pass_messages_on(s) == 0)
        fprintf(stderr,
                CLI_PROGRAM " bench: --filter: found '%s', which is no regular expression that matches the "
                            "name of a benchmark; names are described in results/README.md\n",
                filter ? filter : "");
    return CLI_EXIT_USAGE;
}

/* Google Benchmark writes NaN and Infinity, the variation of a counter that is 0 for one. JSON knows neither: they
 * become null, in place. */
static void make_strict(char *text) {
    int quoted = 0;
    for (char *c = text; *c; c++) {
        if (quoted && *c == '\\' && c[1])
            c++;
        else if (*c == '"')
            quoted = !quoted;
        else if (!quoted && strncmp(c, " NaN", 4) == 0)
            memcpy(c, "null", 4);
        else if (!quoted &&
                 (strncmp(c, "-NaN", 4) == 0 || strncmp(c, "-Infinity", 9) == 0 || strncmp(c, "Infinity", 8) == 0)) {
            const size_t length = strcspn(c, ",}] \n");
            memset(c, ' ', length);
            memcpy(c, "null", 4);
        }
    }
}

/* Prints and writes the document. */
static int deliver(struct session *s, const struct cli_args *args) {
    struct bench_rows rows = {.document = NULL};
    size_t size = 0;
    char *text = content(s->report, &size);
    int code = CLI_EXIT_FAILURE;
    if (text) {
        make_strict(text);
        code = bench_rows_read(&rows, text, size) ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
    }
    code = json_output_end(args, &s->out, text, code);
    if (!code && s->out.human)
        bench_print(s->out.human, &rows);
    bench_rows_free(&rows);
    return code;
}

/* ---- the command ---- */

static int open_outputs(struct session *s, const struct cli_args *args) {
    s->report = memfd_create("report", 0);
    s->errors = memfd_create("errors", 0);
    if (s->report < 0 || s->errors < 0) {
        fprintf(stderr, CLI_PROGRAM " bench: no memory for the report: %s\n", strerror(errno));
        return CLI_EXIT_FAILURE;
    }
    return option_json(args, &s->out);
}

static int run(struct session *s, const struct cli_args *args) {
    const int out = start(s);
    FILE *lines = out >= 0 ? fdopen(out, "r") : NULL;
    int code, delivered;
    if (!lines)
        return CLI_EXIT_FAILURE;
    follow(s, lines);
    fclose(lines);
    code = finish(s);
    if (code == CLI_EXIT_USAGE)
        return explain_nothing(s, args);
    pass_messages_on(s);
    if (code != CLI_EXIT_OK && code != CLI_EXIT_FAILURE)
        return code;
    delivered = deliver(s, args);
    return code ? code : delivered;
}

int command_bench(const struct cli_args *args) {
    struct session *s = calloc(1, sizeof *s);
    int code;
    if (!s) {
        fprintf(stderr, CLI_PROGRAM " bench: out of memory\n");
        return CLI_EXIT_FAILURE;
    }
    s->report = s->errors = -1;
    interrupts_catch(SA_RESTART);
    code = open_outputs(s, args);
    if (!code)
        code = choose_options(s, args);
    if (!code)
        code = find_program(s);
    if (!code)
        code = run(s, args);
    rpu_outfile_abandon(s->out.file);
    if (s->report >= 0)
        close(s->report);
    if (s->errors >= 0)
        close(s->errors);
    free(s);
    return code;
}
