/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's limits as benchmarks of their own and as the roof of the others:
 *   machine/<read|triad|update>/<vectors>/<level>/team:<t>
 *   machine/fma/<vectors>/registers/team:<t> */
#include "machine.h"

#include "engine.h"
#include "small.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    FMA_FLOATS = MACHINE_FMA_STEP * 1024,
    MEMORY_BYTES = 12 << 20, /* of a thread's buffers together; they are flushed before they are read */
    TEAMS_MAX = 1024,
    HUGE_PAGE = 2 << 20
};
#define PASS_SECONDS 1e-3 /* of what is timed at a time */
#define PASSES       12

struct loops {
    const char *vectors;
    machine_loop *loop[MACHINE_WHATS];
};

struct machine {
    struct machine_level levels[MACHINE_LEVELS];
    size_t n_levels;
    struct loops loops;
    double *limits; /* of each team, kind and level; 0: not measured yet */
};

/* Work of a team on buffers of each thread's own. */
struct crew {
    machine_loop *loop;
    enum machine_what what;
    int team, flush;
    size_t floats;        /* of a buffer */
    float *(*buffers)[3]; /* of each thread */
    uint64_t passes;
    struct rpu_sched *sched;
    double best; /* of several passes, a second */
    struct gb_state *state;
};

/* ---- the levels ---- */

/* First line of a file; 0 when there is none. */
static int read_line(const char *path, char *line, size_t size) {
    FILE *file = fopen(path, "re");
    const int found = file && fgets(line, (int)size, file);
    if (file)
        fclose(file);
    if (found)
        line[strcspn(line, "\n")] = '\0';
    return found;
}

/* How many processors a list such as 0-3,8 names. */
static int count_list(const char *list) {
    int count = 0;
    while (*list) {
        char *end;
        const long first = strtol(list, &end, 10), last = *end == '-' ? strtol(end + 1, &end, 10) : first;
        if (end == list)
            break;
        count += (int)(last - first) + 1;
        list = *end == ',' ? end + 1 : end;
    }
    return count > 0 ? count : 1;
}

static size_t parse_size(const char *text) {
    char *end;
    const size_t n = strtoul(text, &end, 10);
    return *end == 'K' ? n << 10 : *end == 'M' ? n << 20 : n;
}

/* Cache `index` of the first processor; 0 when there is no such, -1 when it holds no data. */
static int read_cache(int index, struct machine_level *level) {
    char path[128], text[256];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/type", index);
    if (!read_line(path, text, sizeof text))
        return 0;
    if (strcmp(text, "Instruction") == 0)
        return -1;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", index);
    if (!read_line(path, text, sizeof text))
        return 0;
    snprintf(level->name, sizeof level->name, "L%.4s", text);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
    if (!read_line(path, text, sizeof text))
        return 0;
    level->bytes = parse_size(text);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/shared_cpu_list", index);
    level->shared = read_line(path, text, sizeof text) ? count_list(text) : 1;
    return level->bytes > 0;
}

size_t machine_levels(struct machine_level levels[MACHINE_LEVELS]) {
    static const struct machine_level common[] = {{"L1", 32 << 10, 1}, {"L2", 512 << 10, 1}};
    size_t n = 0;
    int found = 1;
    for (int i = 0; found != 0 && n + 1 < MACHINE_LEVELS; i++) {
        found = read_cache(i, &levels[n]);
        n += found > 0;
    }
    if (n == 0) { /* some virtual machines do not say; these are the least of what is common */
        memcpy(levels, common, sizeof common);
        n = sizeof common / sizeof common[0];
    }
    levels[n++] = (struct machine_level){"memory", 0, 0};
    return n;
}

static struct loops choose_loops(void) {
    const struct loops plain = {
#ifdef __aarch64__
        "neon",
#else
        "plain",
#endif
        {machine_read_plain, machine_triad_plain, machine_update_plain, machine_fma_plain}};
#ifdef __x86_64__
    const struct loops avx2 = {"avx2", {machine_read_avx2, machine_triad_avx2, machine_update_avx2, machine_fma_avx2}};
    if ((rpu_cpu_flags() & (RPU_CPU_AVX2 | RPU_CPU_FMA)) == (RPU_CPU_AVX2 | RPU_CPU_FMA))
        return avx2;
#endif
    return plain;
}

static struct machine *machine_of(struct bench *b) {
    if (!b->machine) {
        b->machine = room(sizeof *b->machine);
        b->machine->n_levels = machine_levels(b->machine->levels);
        b->machine->loops = choose_loops();
        b->machine->limits = room(sizeof(double) * TEAMS_MAX * MACHINE_WHATS * MACHINE_LEVELS);
    }
    return b->machine;
}

void machine_free(struct bench *b) {
    if (b->machine)
        free(b->machine->limits);
    free(b->machine);
    b->machine = NULL;
}

/* Bytes that `team` threads on cores of their own can keep in a level. */
static double capacity(const struct machine_level *level, int team) {
    return (double)level->bytes * (double)((team + level->shared - 1) / level->shared);
}

/* The level that holds `bytes`, evenly shared by `team` threads. */
static size_t level_of(const struct machine *m, double bytes, int team) {
    size_t level = 0;
    while (level + 1 < m->n_levels && bytes > capacity(&m->levels[level], team))
        level++;
    return level;
}

/* ---- flushing ---- */

int machine_flushes(void) {
#if defined(__x86_64__) || defined(__aarch64__)
    return 1;
#else
    return 0;
#endif
}

void machine_flush(const void *memory, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64) {
#if defined(__x86_64__)
        __builtin_ia32_clflush((const char *)memory + at);
#elif defined(__aarch64__)
        __asm__ volatile("dc civac, %0" ::"r"((const char *)memory + at) : "memory");
#endif
    }
#if defined(__x86_64__)
    __builtin_ia32_mfence();
#elif defined(__aarch64__)
    __asm__ volatile("dsb ish" ::: "memory");
#endif
}

/* ---- passes of a team ---- */

static int buffers_used(enum machine_what what) {
    return what == MACHINE_TRIAD ? 3 : 1;
}

/* Floats of one buffer of one thread: half of the level, or twice what the level before holds, where that is less. */
static size_t buffer_floats(const struct machine *m, enum machine_what what, size_t level, int team) {
    double bytes;
    if (what == MACHINE_FMA)
        return FMA_FLOATS;
    if (m->levels[level].bytes == 0)
        bytes = (double)MEMORY_BYTES * team;
    else {
        bytes = capacity(&m->levels[level], team) / 2;
        if (level > 0 && bytes > 2 * capacity(&m->levels[level - 1], team))
            bytes = 2 * capacity(&m->levels[level - 1], team);
    }
    const size_t floats = (size_t)(bytes / (double)team / (double)buffers_used(what) / sizeof(float)) / 64 * 64;
    return floats > 64 ? floats : 64;
}

/* What a thread's pass amounts to: bytes, or operations. */
static double worth(const struct crew *c) {
    return (double)c->team * (double)c->floats *
           (c->what == MACHINE_FMA ? 2.0
                                   : (c->what == MACHINE_READ     ? 1.0
                                      : c->what == MACHINE_UPDATE ? 2.0
                                                                  : 3.0) *
                                         sizeof(float));
}

static void flush_item(void *context, size_t item, int thread) {
    const struct crew *c = context;
    (void)thread;
    for (int k = 0; k < buffers_used(c->what); k++)
        machine_flush(c->buffers[item][k], c->floats * sizeof(float));
}

static void pass_item(void *context, size_t item, int thread) {
    const struct crew *c = context;
    (void)thread;
    c->loop(c->buffers[item], c->what == MACHINE_FMA ? FMA_FLOATS : c->floats, c->passes);
}

/* Whoever uses memory first touches it first. */
static void fill_item(void *context, size_t item, int thread) {
    const struct crew *c = context;
    (void)thread;
    for (int k = 0; k < buffers_used(c->what); k++)
        for (size_t i = 0; i < c->floats; i++)
            c->buffers[item][k][i] = 0.5f;
}

/* Seconds of `passes` passes by the whole team. */
static double pass_time(struct crew *c, uint64_t passes) {
    double start;
    c->passes = passes;
    if (c->flush)
        rpu_sched_for(c->sched, (size_t)c->team, flush_item, c);
    start = rpu_now();
    rpu_sched_for(c->sched, (size_t)c->team, pass_item, c);
    return rpu_now() - start;
}

/* Passes that take long enough to be timed; what was flushed is passed over once. */
static uint64_t calibrate(struct crew *c, double seconds) {
    uint64_t n = 1;
    rpu_sched_for(c->sched, (size_t)c->team, fill_item, c);
    while (pass_time(c, n) < seconds && !c->flush)
        n *= 2;
    return n;
}

/* Seconds of `n` passes, the rate of which is kept where it is the best so far. */
static double measure(struct crew *c, uint64_t n) {
    const double seconds = pass_time(c, n), rate = worth(c) * (double)n / seconds;
    c->best = rate > c->best ? rate : c->best;
    return seconds;
}

static void keep_best(struct crew *c, uint64_t n) {
    for (int k = 0; k < PASSES; k++)
        measure(c, n);
}

/* Small amounts may come from memory faster than large ones. */
static enum rpu_status measure_limit(void *context) {
    struct crew *c = context;
    keep_best(c, calibrate(c, PASS_SECONDS));
    for (int k = 0; k < 3 && c->flush; k++) {
        c->floats = c->floats / 4 / 64 * 64;
        keep_best(c, 1);
    }
    return RPU_OK;
}

static enum rpu_status measure_row(void *context) {
    struct crew *c = context;
    const uint64_t n = calibrate(c, PASS_SECONDS / 8);
    while (gb_keep_running(c->state, 1))
        gb_iteration_time(c->state, measure(c, n));
    return RPU_OK;
}

/* A pass of a loop over a few whole numbers, of which sums and products are exact. What is read, or multiplied and
 * added in registers, leaves no result, and has to leave memory as it is. */
static int is_right(const struct bench *b, machine_loop *loop, enum machine_what what) {
    static const char *const names[MACHINE_WHATS] = {"read", "triad", "update", "fma"};
    const size_t count = 4 * MACHINE_FMA_STEP; /* also a multiple of 64 */
    float *v = room(3 * count * sizeof *v), *const buffers[3] = {v, v + count, v + 2 * count};
    int right = 1;
    for (size_t i = 0; i < 3 * count; i++)
        v[i] = (float)i;
    loop(buffers, count, 1);
    spoil_loop(b, names[what], v);
    for (size_t i = 0; i < 3 * count && right; i++) {
        size_t expected = i;
        if (i < count && what == MACHINE_TRIAD)
            expected = (count + i) + MACHINE_TRIAD_S * (2 * count + i);
        else if (i < count && what == MACHINE_UPDATE)
            expected += MACHINE_UPDATE_T;
        right = v[i] == (float)expected;
    }
    if (!right)
        fprintf(stderr, "rpubench-bench: machine/%s gives other numbers than plain sums\n", names[what]);
    free(v);
    return right;
}

static void make_crew(struct crew *c, struct bench *b, enum machine_what what, size_t level, int team) {
    const struct machine *m = machine_of(b);
    if (!is_right(b, m->loops.loop[what], what))
        exit(1);
    *c = (struct crew){.loop = m->loops.loop[what],
                       .what = what,
                       .team = team,
                       .flush = what != MACHINE_FMA && m->levels[level].bytes == 0,
                       .floats = buffer_floats(m, what, level, team),
                       .sched = bench_engine(b, bench_best(b), team)->sched};
    c->buffers = room((size_t)team * sizeof *c->buffers);
    for (int t = 0; t < team; t++)
        for (int k = 0; k < buffers_used(what); k++) {
            const size_t bytes = (c->floats * sizeof(float) / HUGE_PAGE + 1) * HUGE_PAGE;
            c->buffers[t][k] = aligned_alloc(HUGE_PAGE, bytes);
            if (!c->buffers[t][k]) {
                fprintf(stderr, "rpubench-bench: out of memory\n");
                exit(1);
            }
            madvise(c->buffers[t][k], bytes, MADV_HUGEPAGE); /* where there are such */
        }
}

static void free_crew(struct crew *c) {
    for (int t = 0; t < c->team; t++)
        for (int k = 0; k < 3; k++)
            free(c->buffers[t][k]);
    free(c->buffers);
}

static double *limit_of(struct bench *b, enum machine_what what, size_t level, int team) {
    return &machine_of(b)->limits[((size_t)(team - 1) * MACHINE_WHATS + what) * MACHINE_LEVELS + level];
}

double machine_limit(struct bench *b, enum machine_what what, size_t level, int team) {
    double *limit = limit_of(b, what, level, team);
    struct crew c;
    if (*limit > 0.0)
        return *limit;
    make_crew(&c, b, what, level, team);
    rpu_sched_team(c.sched, measure_limit, &c);
    free_crew(&c);
    *limit = c.best;
    return *limit;
}

/* ---- the roof ---- */

/* Bandwidth of a level. What writes moves more where reading and writing take turns. */
static double bandwidth_at(struct bench *b, int writes, size_t level, int team) {
    double best = machine_limit(b, MACHINE_READ, level, team);
    if (writes) {
        best = fmax(best, machine_limit(b, MACHINE_TRIAD, level, team));
        best = fmax(best, machine_limit(b, MACHINE_UPDATE, level, team));
    }
    return best;
}

/* Bandwidth for a working set: each level gives what of it fits there and does not fit before. */
static double bandwidth_of(struct bench *b, int writes, double set, int team) {
    const struct machine *m = machine_of(b);
    const size_t last = level_of(m, set, team);
    double seconds = 0.0, before = 0.0;
    for (size_t level = 0; level <= last; level++) {
        const double held = level < last ? capacity(&m->levels[level], team) : set;
        if (held > before)
            seconds += (held - before) / bandwidth_at(b, writes, level, team);
        before = held > before ? held : before;
    }
    return set / seconds;
}

/* Level that most of the traffic comes from. */
static size_t level_at(const struct machine *m, const struct amount *a, int team) {
    return a->cold ? m->n_levels - 1 : level_of(m, a->set, team);
}

/* Seconds at the roof. */
static double least_seconds(struct bench *b, const struct amount *a, int team) {
    const double moving = a->bytes / (a->cold ? bandwidth_at(b, a->writes, machine_of(b)->n_levels - 1, team)
                                              : bandwidth_of(b, a->writes, a->set, team));
    const double computing = a->flops > 0 ? a->flops / machine_limit(b, MACHINE_FMA, 0, team) : 0.0;
    return moving > computing ? moving : computing;
}

void machine_report(struct bench *b, struct gb_state *state, const struct amount *a, size_t count, int team,
                    char level[16]) {
    const struct machine *m = machine_of(b);
    const unsigned rate = GB_EACH_ITERATION | GB_RATE;
    struct amount sum = {.set = 0.0};
    double seconds = 0.0;
    for (size_t k = 0; k < count; k++) {
        sum.crosspoints += a[k].crosspoints;
        sum.flops += a[k].flops;
        sum.bytes += a[k].bytes;
        sum.set = a[k].set > sum.set ? a[k].set : sum.set;
        seconds += least_seconds(b, &a[k], team);
    }
    snprintf(level, 16, "%s", m->levels[level_at(m, a, team)].name);
    if (sum.crosspoints > 0)
        gb_counter(state, "crosspoints_per_second", sum.crosspoints, rate);
    gb_bytes(state, sum.bytes);
    if (sum.flops > 0) {
        gb_counter(state, "flops_per_second", sum.flops, rate);
        gb_counter(state, "flops_per_byte", sum.flops / sum.bytes, GB_PLAIN);
        gb_counter(state, "roof_flops_per_second", sum.flops / seconds, GB_PLAIN);
    } else
        gb_counter(state, "roof_bytes_per_second", sum.bytes / seconds, GB_PLAIN);
    gb_counter(state, "percent_of_roof", 100.0 * seconds, rate);
    gb_counter(state, "working_set", sum.set, GB_PLAIN);
}

/* ---- the rows ---- */

struct row {
    struct bench *bench;
    enum machine_what what;
    size_t level;
    int team;
};

/* Raises the limit where a pass of its own was faster: these rows come before those that it is the roof of. */
static void machine_row(struct gb_state *state, void *user) {
    const struct row *r = user;
    char text[64];
    struct crew c;
    make_crew(&c, r->bench, r->what, r->level, r->team);
    c.state = state;
    c.best = machine_limit(r->bench, r->what, r->level, r->team);
    rpu_sched_team(c.sched, measure_row, &c);
    const double done = (double)c.passes * worth(&c), best = c.best;
    *limit_of(r->bench, r->what, r->level, r->team) = best;
    gb_counter(state, "percent_of_roof", 100.0 * done / best, GB_EACH_ITERATION | GB_RATE);
    if (r->what == MACHINE_FMA) {
        gb_counter(state, "flops_per_second", done, GB_EACH_ITERATION | GB_RATE);
        gb_counter(state, "best_flops_per_second", best, GB_PLAIN);
        gb_label(state, "hot; registers");
    } else {
        gb_bytes(state, done);
        gb_counter(state, "best_bytes_per_second", best, GB_PLAIN);
        snprintf(text, sizeof text, "%s; %zu KiB each thread", c.flush ? "cold" : "hot",
                 c.floats * sizeof(float) * (size_t)buffers_used(c.what) / 1024);
        gb_label(state, text);
    }
    free_crew(&c);
}

static void add_row(struct bench *b, enum machine_what what, size_t level, int team) {
    static const char *const names[MACHINE_WHATS] = {"read", "triad", "update", "fma"};
    const struct machine *m = machine_of(b);
    const struct gb_options options = {.unit = GB_MICROSECOND, .manual_time = 1};
    struct row *r = bench_keep(b, sizeof *r);
    char name[160];
    *r = (struct row){b, what, level, team};
    snprintf(name, sizeof name, "machine/%s/%s/%s/team:%d", names[what], m->loops.vectors,
             what == MACHINE_FMA ? "registers" : m->levels[level].name, team);
    gb_register(name, machine_row, r, &options);
}

void machine_register(struct bench *b) {
    for (int team = bench_next_team(b, 0); team; team = bench_next_team(b, team)) {
        for (size_t level = 0; level < machine_of(b)->n_levels; level++)
            for (int what = 0; what < MACHINE_FMA; what++)
                add_row(b, (enum machine_what)what, level, team);
        add_row(b, MACHINE_FMA, 0, team);
    }
}
