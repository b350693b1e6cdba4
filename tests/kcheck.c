/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel checker: every variant in kernels.inc that this CPU can run against `generic`, bit for bit. The rows of
 * `generic` are checked too, against themselves: its results may not depend on how a block is cut, and its buffers
 * have guards as well. */
#include "kcheck.h"

#include "dispatch.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct row {
    const char *op, *isa;
    unsigned flags;
    kc_any_fn *generic, *variant;
    kc_checker *checker;
} rows[] = {
#define KERNEL(op, isa, flags)                                                                                         \
    {#op, #isa, flags, (kc_any_fn *)RPU_SYMBOL(op, generic), (kc_any_fn *)RPU_SYMBOL(op, isa), kcheck_##op},
#include "kernels.inc"
#undef KERNEL
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* ---- faults in kernels ---- */

static struct kc *running; /* what a signal handler can reach */
static void *volatile fault_address;
static volatile sig_atomic_t fault_signal;

static void on_fault(int number, siginfo_t *info, void *context) {
    (void)context;
    fault_signal = number;
    fault_address = info->si_addr;
    siglongjmp(running->escape, 1);
}

static void catch_faults(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
}

/* Names the buffer beside which the fault lies. */
static void report_fault(struct kc *c) {
    const uintptr_t at = (uintptr_t)fault_address;
    for (size_t i = 0; i < c->used; i++) {
        const struct kc_buffer *b = &c->buffers[i];
        const uintptr_t low = (uintptr_t)b->map, data = (uintptr_t)b->data;
        if (at >= low && at < low + b->map_bytes)
            kc_fail(c, "signal %d: access %lld bytes from the start of %s, which has %zu bytes", (int)fault_signal,
                    (long long)(at - data), b->name, b->bytes);
    }
    kc_fail(c, "signal %d at address %p", (int)fault_signal, (void *)at);
}

static void run_checker(struct kc *c, kc_checker *checker, kc_any_fn *ref, kc_any_fn *sut) {
    running = c;
    c->index = -1;
    c->cases = 0;
    c->failed = 0;
    if (sigsetjmp(c->escape, 1) == 0)
        checker(c, ref, sut);
    else
        report_fault(c);
}

/* ---- the command ---- */

struct request {
    const char *kernel, *isa;
    int list, self_test;
};

static int usage(const char *program) {
    fprintf(stderr,
            "usage: %s [--kernel NAME] [--isa NAME] [--shape TEXT] [--seed S] [--case K] [--list] [--self-test]\n"
            "  Compares every kernel variant that this CPU can run with generic, bit for bit.\n",
            program);
    return 2;
}

/* The value of option `name` at argv[*i], in either form; null if it is another option. */
static const char *option(const char *name, int argc, char **argv, int *i) {
    const size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0)
        return NULL;
    if (argv[*i][n] == '=')
        return argv[*i] + n + 1;
    return argv[*i][n] == '\0' && *i + 1 < argc ? argv[++*i] : NULL;
}

/* A whole decimal number without a sign: 1 if `text` is one. */
static int number(const char *text, uint64_t *value) {
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && errno == 0;
}

static int parse(int argc, char **argv, struct request *r, struct kc *c) {
    uint64_t n;
    for (int i = 1; i < argc; i++) {
        const char *v;
        if (strcmp(argv[i], "--list") == 0)
            r->list = 1;
        else if (strcmp(argv[i], "--self-test") == 0)
            r->self_test = 1;
        else if ((v = option("--kernel", argc, argv, &i)))
            r->kernel = v;
        else if ((v = option("--isa", argc, argv, &i)))
            r->isa = v;
        else if ((v = option("--shape", argc, argv, &i)))
            c->only_shape = v;
        else if ((v = option("--seed", argc, argv, &i)) && number(v, &n))
            c->seed = n;
        else if ((v = option("--case", argc, argv, &i)) && number(v, &n) && n <= LONG_MAX)
            c->only_case = (long)n;
        else
            return 0;
    }
    return 1;
}

static int wanted(const struct request *r, const struct row *row) {
    return (!r->kernel || strcmp(r->kernel, row->op) == 0) && (!r->isa || strcmp(r->isa, row->isa) == 0);
}

static int list(const struct request *r, unsigned flags) {
    for (size_t i = 0; i < ROWS; i++)
        if (wanted(r, &rows[i]))
            printf("%-10s %-8s %s\n", rows[i].op, rows[i].isa,
                   (rows[i].flags & ~flags) == 0 ? "can run" : "this CPU cannot run it");
    return 0;
}

/* A wrong variant must be found, and the case that the report names must show the same fault when run alone. */
static int found(struct kc *c, const struct row *row, kc_any_fn *sut) {
    char report[sizeof c->report];
    long cases;
    run_checker(c, row->checker, row->generic, sut);
    cases = c->cases;
    if (!c->failed || !strstr(c->report, "rerun: "))
        return 0;
    memcpy(report, c->report, sizeof report);
    c->only_case = c->failed_case;
    run_checker(c, row->checker, row->generic, sut);
    c->only_case = -1;
    c->cases = cases;
    return c->failed && strcmp(report, c->report) == 0;
}

static int self_test(struct kc *c) {
    int hits = 0, tried = 0;
    c->quiet = 1;
    c->isa = "broken";
    for (const struct kc_broken *b = kc_broken; b->kernel; b++) {
        const struct row *row = rows;
        while (strcmp(row->op, b->kernel) != 0)
            row++;
        c->kernel = b->kernel;
        const int hit = found(c, row, b->sut);
        tried++;
        hits += hit;
        printf("%-10s with fault %-12s %s after %ld cases\n", b->kernel, b->fault, hit ? "found" : "MISSED", c->cases);
    }
    printf("%d of %d wrong variants found\n", hits, tried);
    return hits < tried;
}

/* Checks the rows that are wanted. Returns 0, 1 (a difference) or 77 (nothing beside generic to compare). */
static int check(struct kc *c, const struct request *r, unsigned flags) {
    int failures = 0, matching = 0, compared = 0;
    long cases = 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (!wanted(r, &rows[i]))
            continue;
        matching++;
        if ((rows[i].flags & ~flags) != 0) {
            printf("%-10s %-8s not run: this CPU lacks what it needs\n", rows[i].op, rows[i].isa);
            continue;
        }
        c->kernel = rows[i].op;
        c->isa = rows[i].isa;
        run_checker(c, rows[i].checker, rows[i].generic, rows[i].variant);
        failures += c->failed;
        cases += c->cases;
        compared += rows[i].variant != rows[i].generic;
        printf("%-10s %-8s %6ld cases %s\n", c->kernel, c->isa, c->cases, c->failed ? "FAILED" : "ok");
        fflush(stdout);
    }
    if (matching == 0 || (cases == 0 && failures == 0 && (c->only_case >= 0 || c->only_shape))) {
        fprintf(stderr, "kcheck: no %s matches\n", matching == 0 ? "row of kernels.inc" : "case");
        return 2;
    }
    if (failures == 0 && compared == 0 && !r->isa) {
        printf("only generic runs here: there is no other variant to compare with it\n");
        return 77;
    }
    return failures > 0;
}

int main(int argc, char **argv) {
    static struct kc c;
    struct request r = {NULL, NULL, 0, 0};
    const unsigned flags = rpu_cpu_flags();
    c.program = argv[0];
    c.seed = 1;
    c.only_case = -1;
    if (!parse(argc, argv, &r, &c))
        return usage(argv[0]);
    if (r.list)
        return list(&r, flags);
    catch_faults();
    printf("seed %llu\n", (unsigned long long)c.seed);
    fflush(stdout);
    return r.self_test ? self_test(&c) : check(&c, &r, flags);
}
