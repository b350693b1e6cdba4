/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations are taken over by name, as any library that is found before libc can. System calls are taken where they
 * enter the kernel, so that those of libc itself (fread, fclose) are among them: Linux's syscall user dispatch sends
 * SIGSYS instead, and the handler makes the call, or does not, from a place that is excepted. x86-64 only. */
#include "inject.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* ---- who called ---- */

enum { LIBC = FAULTS_FOREIGN + 1, OBJECTS_MOST = 32 };

static struct object {
    uintptr_t start, end;
    int owner;
} objects[OBJECTS_MOST];
static size_t n_objects;

const char *faults_owner_name(int owner) {
    static const char *const names[] = {"own", "libyaml", "jansson", "zlib", "xxHash", "libc"};
    return names[owner];
}

static int owner_of_file(const char *path) {
    static const struct {
        const char *name;
        int owner;
    } known[] = {{"librpu", FAULTS_OWN}, {"libyaml-", FAULTS_YAML},    {"libjansson", FAULTS_JANSSON},
                 {"libz.", FAULTS_ZLIB}, {"libxxhash", FAULTS_XXHASH}, {"libc.", LIBC},
                 {"ld-linux", LIBC}};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strncmp(name, known[i].name, strlen(known[i].name)) == 0)
            return known[i].owner;
    return FAULTS_FOREIGN;
}

/* Remembers where the code of those lies that matter; what is not found is foreign. */
static int add_object(struct dl_phdr_info *info, size_t size, void *context) {
    int *const count = context; /* the program comes first, without a name */
    const int owner = (*count)++ == 0 ? FAULTS_OWN : owner_of_file(info->dlpi_name);
    (void)size;
    for (int i = 0; i < info->dlpi_phnum && owner != FAULTS_FOREIGN; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X) && n_objects < OBJECTS_MOST)
            objects[n_objects++] =
                (struct object){info->dlpi_addr + p->p_vaddr, info->dlpi_addr + p->p_vaddr + p->p_memsz, owner};
    }
    return 0;
}

int faults_has(int owner) {
    for (size_t i = 0; i < n_objects; i++)
        if (objects[i].owner == owner)
            return 1;
    return 0;
}

static int object_of(const void *code) {
    for (size_t i = 0; i < n_objects; i++)
        if ((uintptr_t)code >= objects[i].start && (uintptr_t)code < objects[i].end)
            return objects[i].owner;
    return FAULTS_FOREIGN;
}

/* Of libc: whoever called it. */
static int owner_of(const void *caller) {
    void *frames[64];
    const int owner = object_of(caller);
    int n, at = 0;
    if (owner != LIBC)
        return owner;
    n = backtrace(frames, 64);
    while (at < n && frames[at] != caller)
        at++;
    while (at < n && object_of(frames[at]) == LIBC)
        at++;
    return at < n && object_of(frames[at]) < FAULTS_OWNERS ? FAULTS_SYSTEM : FAULTS_FOREIGN;
}

/* ---- allocations ---- */

enum { LIVE_MOST = 1 << 18 };

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void *(*real_aligned)(size_t, size_t);
static int (*real_posix)(void **, size_t, size_t);
static void (*real_free)(void *);

static _Alignas(16) char early[16384]; /* for what dlsym itself takes */
static size_t early_used;

static _Atomic int armed;
static long fail_at;
static int fail_after;
static struct faults_report report;
static struct live {
    void *memory, *caller; /* caller null: freed */
    long number, run;      /* of another run: free */
} live[LIVE_MOST];
static size_t live_used; /* places of this run */
static long run;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local int inside;

static int is_early(const void *p) {
    return (const char *)p >= early && (const char *)p < early + sizeof early;
}

static void *early_alloc(size_t size) {
    void *p = early + early_used;
    early_used += (size + 15) / 16 * 16;
    if (early_used > sizeof early)
        abort();
    return p;
}

static void find_real(void) {
    static int busy;
    if (real_free || busy)
        return;
    busy = 1;
    *(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&real_calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&real_realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&real_aligned = dlsym(RTLD_NEXT, "aligned_alloc");
    *(void **)&real_posix = dlsym(RTLD_NEXT, "posix_memalign");
    *(void **)&real_free = dlsym(RTLD_NEXT, "free");
    busy = 0;
}

static size_t place_of(const void *memory) {
    size_t i = (uintptr_t)memory / 16 * 0x9e3779b97f4a7c15u >> 46;
    while (live[i].run == run && live[i].memory != memory)
        i = (i + 1) % LIVE_MOST;
    return i;
}

static void born(void *memory, void *caller) {
    const size_t i = place_of(memory);
    if (live[i].run != run && ++live_used > LIVE_MOST / 2)
        abort();
    live[i] = (struct live){memory, caller, report.seen, run};
    report.live++;
}

static void died(const void *memory) {
    if (!memory || !atomic_load_explicit(&armed, memory_order_relaxed))
        return;
    pthread_mutex_lock(&lock);
    const size_t i = place_of(memory);
    if (live[i].run == run && live[i].caller) {
        live[i].caller = NULL;
        report.live--;
    }
    pthread_mutex_unlock(&lock);
}

/* Whether this allocation is to fail. */
static int fails(void *caller, int *counts) {
    int owner, refused;
    *counts = 0;
    if (!atomic_load_explicit(&armed, memory_order_relaxed) || inside)
        return 0;
    inside = 1;
    owner = owner_of(caller);
    inside = 0;
    pthread_mutex_lock(&lock);
    report.foreign += owner >= FAULTS_OWNERS;
    if (owner >= FAULTS_OWNERS) {
        pthread_mutex_unlock(&lock);
        return 0;
    }
    *counts = 1;
    report.seen++;
    refused = fail_at > 0 && (fail_after ? report.seen >= fail_at : report.seen == fail_at);
    if (refused) {
        report.failed[owner]++;
        if (!report.n_frames)
            report.n_frames = backtrace(report.frames, sizeof report.frames / sizeof report.frames[0]);
    }
    pthread_mutex_unlock(&lock);
    if (refused)
        errno = ENOMEM;
    return refused;
}

static void *taken(void *memory, void *caller, int counts) {
    if (memory && counts) {
        pthread_mutex_lock(&lock);
        born(memory, caller);
        pthread_mutex_unlock(&lock);
    }
    return memory;
}

#define CALLER __builtin_return_address(0)

EXPORT void *malloc(size_t size) {
    int counts;
    if (!real_malloc)
        find_real();
    if (!real_malloc)
        return early_alloc(size);
    return fails(CALLER, &counts) ? NULL : taken(real_malloc(size), CALLER, counts);
}

EXPORT void *calloc(size_t n, size_t size) {
    int counts;
    if (!real_calloc)
        find_real();
    if (!real_calloc)
        return early_alloc(n * size);
    return fails(CALLER, &counts) ? NULL : taken(real_calloc(n, size), CALLER, counts);
}

EXPORT void *realloc(void *old, size_t size) {
    int counts;
    void *memory;
    if (!real_realloc)
        find_real();
    if (fails(CALLER, &counts))
        return NULL;
    died(old);
    memory = real_realloc(old, size);
    return memory ? taken(memory, CALLER, counts) : taken(old, CALLER, counts) ? NULL : NULL;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    int counts;
    return fails(CALLER, &counts) ? NULL : taken(real_aligned(alignment, size), CALLER, counts);
}

EXPORT int posix_memalign(void **memory, size_t alignment, size_t size) {
    int counts, error;
    if (fails(CALLER, &counts))
        return ENOMEM;
    error = real_posix(memory, alignment, size);
    if (error == 0)
        taken(*memory, CALLER, counts);
    return error;
}

EXPORT void free(void *memory) {
    if (!memory || is_early(memory))
        return;
    died(memory);
    real_free(memory);
}

/* Of the leak sanitizer, where there is one. */
extern void __lsan_disable(void) __attribute__((weak));
extern void __lsan_enable(void) __attribute__((weak));

/* What takes memory of its own the first time. */
static void look_around(void) {
    void *frames[4];
    int count = 0;
    if (__lsan_disable)
        __lsan_disable(); /* backtrace loads a library, for good */
    dl_iterate_phdr(add_object, &count);
    (void)backtrace(frames, 4);
    if (__lsan_enable)
        __lsan_enable();
}

void faults_begin(long nth, int all_after) {
    if (n_objects == 0)
        look_around();
    run++;
    live_used = 0;
    report = (struct faults_report){0};
    fail_at = nth;
    fail_after = all_after;
    atomic_store(&armed, 1);
}

void faults_end(struct faults_report *result) {
    long first = 0;
    atomic_store(&armed, 0);
    for (size_t i = 0; i < LIVE_MOST && report.live; i++)
        if (live[i].run == run && live[i].caller && (!first || live[i].number < first)) {
            first = live[i].number;
            report.first_live = live[i].caller;
        }
    *result = report;
}

/* ---- what RPU_FAULTS says ---- */

enum { CALLS = 6 };

/* What libc renames a file with. */
#ifdef SYS_rename
#define RENAME SYS_rename
#else
#define RENAME SYS_renameat
#endif

static const struct {
    const char *name;
    long number;
} calls[CALLS] = {{"read", SYS_read},   {"write", SYS_write}, {"openat", SYS_openat},
                  {"close", SYS_close}, {"fsync", SYS_fsync}, {"rename", RENAME}};

static struct {
    int error, after;
    long nth, seen;
} wanted[CALLS];
static long most_bytes, interrupt_each, injected;
static long realtime, monotonic, looks;
static char report_path[4096];
static volatile char selector = SYSCALL_DISPATCH_FILTER_ALLOW;

static void parse_word(const char *word) {
    char name[32];
    int error;
    long n;
    char plus = 0;
    if (sscanf(word, "alloc=%ld%c", &n, &plus) >= 1)
        faults_begin(n, plus == '+');
    else if (sscanf(word, "short=%ld", &n) == 1)
        most_bytes = n;
    else if (sscanf(word, "interrupts=%ld", &n) == 1)
        interrupt_each = n;
    else if (sscanf(word, "realtime=%ld", &n) == 1)
        realtime = n;
    else if (sscanf(word, "monotonic=%ld", &n) == 1)
        monotonic = n;
    else if (sscanf(word, "%31[a-z]=%d:%ld%c", name, &error, &n, &plus) >= 3)
        for (size_t i = 0; i < CALLS; i++)
            if (strcmp(name, calls[i].name) == 0) {
                wanted[i].error = error;
                wanted[i].nth = n;
                wanted[i].after = plus == '+';
            }
}

/* ---- clocks ---- */

EXPORT int clock_gettime(clockid_t clock, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    int result;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    result = real(clock, t);
    if (clock == CLOCK_REALTIME && realtime)
        t->tv_sec += (looks++ & 1) ? 0 : realtime;
    if (clock == CLOCK_MONOTONIC && monotonic)
        t->tv_sec += monotonic * ++looks;
    return result;
}

EXPORT time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t)
        *t = now.tv_sec;
    return now.tv_sec;
}

/* ---- system calls ---- */

#if defined(__x86_64__) && defined(PR_SET_SYSCALL_USER_DISPATCH)

/* The place that may enter the kernel: a call with six arguments, and the way back from a handler. */
extern const char faults_gate[], faults_gate_end[];
extern char faults_return[];
long faults_syscall(long number, const long *arguments);
__asm__(".pushsection .text\n"
        ".globl faults_gate, faults_gate_end, faults_return, faults_syscall\n"
        ".hidden faults_gate, faults_gate_end, faults_return, faults_syscall\n"
        "faults_gate:\n"
        "faults_syscall:\n"
        "  mov %rdi, %rax\n"
        "  mov %rsi, %r11\n"
        "  mov 0(%r11), %rdi\n"
        "  mov 8(%r11), %rsi\n"
        "  mov 16(%r11), %rdx\n"
        "  mov 24(%r11), %r10\n"
        "  mov 32(%r11), %r8\n"
        "  mov 40(%r11), %r9\n"
        "  syscall\n"
        "  ret\n"
        "faults_return:\n"
        "  mov $15, %eax\n" /* rt_sigreturn */
        "  syscall\n"
        "  ud2\n" /* the kernel looks at the instruction behind */
        "faults_gate_end:\n"
        ".popsection\n");

static long could_interrupt;

/* An error for this call, or 0. */
static int error_for(long number, const long *arguments) {
    const int of_file =
        number == SYS_read || number == SYS_fsync || (number == SYS_write && arguments[0] > STDERR_FILENO);
    for (size_t i = 0; i < CALLS; i++)
        if (calls[i].number == number && !(number == SYS_write && arguments[0] == STDERR_FILENO)) {
            const long seen = ++wanted[i].seen;
            if (wanted[i].nth && (wanted[i].after ? seen >= wanted[i].nth : seen == wanted[i].nth))
                return wanted[i].error;
        }
    return interrupt_each && of_file && ++could_interrupt % interrupt_each == 0 ? EINTR : 0;
}

static void on_call(int signal_number, siginfo_t *info, void *context) {
    ucontext_t *u = context;
    greg_t *r = u->uc_mcontext.gregs;
    long arguments[6] = {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]};
    const long number = info->si_syscall;
    const int error = error_for(number, arguments);
    (void)signal_number;
    if (!error && most_bytes && (number == SYS_read || number == SYS_write) && arguments[2] > most_bytes) {
        arguments[2] = most_bytes;
        injected++;
    }
    injected += error != 0;
    r[REG_RAX] = error ? -error : faults_syscall(number, arguments);
}

struct kernel_action {
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

static int take_calls(void) {
    struct kernel_action action = {.handler = on_call, .flags = SA_SIGINFO | SA_NODEFER | 0x04000000 /* SA_RESTORER */};
    *(void **)&action.restorer = faults_return;
    if (syscall(SYS_rt_sigaction, SIGSYS, &action, NULL, 8) != 0 ||
        prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, faults_gate, faults_gate_end - faults_gate,
              &selector) != 0)
        return 0;
    selector = SYSCALL_DISPATCH_FILTER_BLOCK;
    return 1;
}

/* A new thread or process must not come out of a handler. They have no dispatch of their own. */
EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    const char before = selector;
    int result;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    selector = SYSCALL_DISPATCH_FILTER_ALLOW;
    result = real(thread, attr, start, arg);
    selector = before;
    return result;
}

EXPORT pid_t fork(void) {
    static pid_t (*real)(void);
    const char before = selector;
    pid_t child;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "fork");
    selector = SYSCALL_DISPATCH_FILTER_ALLOW;
    child = real();
    if (child != 0)
        selector = before;
    return child;
}

#else

static int take_calls(void) {
    return 0;
}

#endif

/* ---- beginning and end ---- */

/* What was done: "allocations N", then "failed OWNER N", "injected N", "calls NAME N". */
static void write_report(void) {
    struct faults_report r = {0};
    char text[1024];
    int n, fd;
    selector = SYSCALL_DISPATCH_FILTER_ALLOW;
    faults_end(&r);
    if (!*report_path || (fd = open(report_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0)
        return;
    n = snprintf(text, sizeof text, "allocations %ld\ninjected %ld\nlooks %ld\n", r.seen, injected, looks);
    for (int i = 0; i < FAULTS_OWNERS; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "failed %s %ld\n", faults_owner_name(i), r.failed[i]);
    for (int i = 0; i < CALLS; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "calls %s %ld\n", calls[i].name, wanted[i].seen);
    if (write(fd, text, (size_t)n) != n)
        abort();
    close(fd);
}

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("RPU_FAULTS"), *to = getenv("RPU_FAULTS_REPORT");
    char list[512], *rest = list;
    int of_calls = 0;
    if (!text)
        return;
    snprintf(list, sizeof list, "%s", text);
    snprintf(report_path, sizeof report_path, "%s", to ? to : "");
    unsetenv("RPU_FAULTS");
    unsetenv("RPU_FAULTS_REPORT");
    unsetenv("LD_PRELOAD");
    for (char *word; (word = strsep(&rest, ","));)
        parse_word(word);
    for (size_t i = 0; i < CALLS; i++)
        of_calls |= wanted[i].nth != 0;
    if ((of_calls || most_bytes || interrupt_each) && !take_calls()) {
        fprintf(stderr, "faults: no system calls can be made to fail here\n");
        _exit(99);
    }
}

__attribute__((destructor)) static void end(void) {
    write_report();
}
