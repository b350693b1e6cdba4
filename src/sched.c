/* SPDX-License-Identifier: Apache-2.0 */
/* The only file with OpenMP, which makes the threads; everything after that is done with atomics.
 *
 * Thread 0 publishes a list by storing its number in `open`. Threads then look for entries whose predecessors are
 * finished and claim items by compare-and-swap. Every word that counts claims or finished items carries the number of
 * the list in its upper half: words of an older list read as 0, and nothing has to be cleared between lists. Thread 0
 * waits until all entries are finished and nobody looks at the list any more.
 *
 * Waiting: `event` rises whenever something may have become ready. A thread that found nothing spins on it for some
 * tens of microseconds, then sleeps. Having slept, it spins only shortly for its next waits: on a machine that is busy
 * with other work, what it waits for may need the very processor that it spins on. Lost wake-ups cannot happen: a
 * thread first announces that it sleeps and then looks at `event` again, whoever changes `event` looks for sleepers
 * after that. */
#include "scheduler.h"

#include "error.h"
#include "range.h"
#include "small.h"
#include "topo.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CLAIM_WORDS = 64 / sizeof(uint64_t) }; /* a cache line for each thread's share */
enum { LEAST_EVENTS = 64 };
enum { THREADS_MAX = 1024, FILL_AFTER = 24, SPIN_MOST = 1024, SPIN_LEAST = 32, LEAST_WAITS = 16 };

/* State of an entry beside the claims of each thread's share. */
struct entry {
    _Alignas(64) _Atomic uint64_t done; /* number of the list << 32 | items finished */
};

/* What a thread has for itself. */
struct seat {
    _Alignas(64) _Atomic uint32_t inside; /* it may be looking at the list */
    unsigned short_waits;                 /* waits for which it is to spin shortly only */
    uint32_t number;                      /* of the list that it saw last, ... */
    size_t first;                         /* ...of which all items of the entries before this one are claimed */
    struct rpu_sched_event *events;
    size_t n_events, room_events;
    uint64_t lost;
};

struct rpu_sched {
    int threads, seats_most;
    const struct rpu_topo *topo;
    int team;    /* threads of the running team, 0 outside */
    int at_once; /* of the last one: those that can be awake at a time */
    /* the list in work; changed by thread 0 while nobody is inside */
    const struct rpu_work *list;
    size_t entries, fillers, room; /* fillers: index of the first */
    uint32_t number;
    struct entry *state;      /* of each entry */
    _Atomic uint64_t *claims; /* of each entry, one for each thread's share */
    size_t stride;
    struct seat *seats;
    double recording;                   /* start of the record; 0: none */
    _Atomic int64_t record_left;        /* pieces of work that the record still takes; more came where it is below 0 */
    _Alignas(64) _Atomic uint32_t open; /* number of the list in work, 0: none */
    _Alignas(64) _Atomic uint32_t event;
    _Alignas(64) _Atomic uint32_t left; /* entries of the list that are not finished */
    _Alignas(64) _Atomic uint32_t sleepers;
    _Atomic uint32_t quit;
    pthread_mutex_t lock;
    pthread_cond_t wake_others, wake_first; /* of the others; of thread 0 */
    /* under the lock: threads that have a seat, sleep without one, and are about to get one */
    int awake, asleep, tokens;
};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* a pause of some tens of cycles; `yield` is none on most cores */
#endif
}

/* ---- construction ---- */

enum rpu_status rpu_sched_create(struct rpu_sched **sched, const struct rpu_sched_options *options,
                                 struct rpu_error *err) {
    struct rpu_sched *s;
    const int threads = options->threads;
    if (threads < 1 || threads > THREADS_MAX)
        return rpu_fail(err, RPU_ERR_RANGE, "threads is %d; allowed is 1 to %d", threads, THREADS_MAX);
    s = aligned_alloc(64, rpu_lines(sizeof *s));
    if (!s)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    memset(s, 0, sizeof *s);
    s->threads = threads;
    s->seats_most = options->seats < 1 ? 1 : options->seats;
    s->at_once = threads < s->seats_most ? threads : s->seats_most;
    s->topo = options->topo;
    s->stride = (size_t)threads * CLAIM_WORDS;
    s->seats = aligned_alloc(64, (size_t)threads * sizeof *s->seats);
    if (!s->seats) {
        free(s);
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    }
    memset(s->seats, 0, (size_t)threads * sizeof *s->seats);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake_others, NULL);
    pthread_cond_init(&s->wake_first, NULL);
    *sched = s;
    return RPU_OK;
}

void rpu_sched_destroy(struct rpu_sched *sched) {
    if (!sched)
        return;
    pthread_cond_destroy(&sched->wake_first);
    pthread_cond_destroy(&sched->wake_others);
    pthread_mutex_destroy(&sched->lock);
    for (int t = 0; t < sched->threads; t++)
        free(sched->seats[t].events);
    free(sched->seats);
    free(sched->state);
    free(sched->claims);
    free(sched);
}

int rpu_sched_threads(const struct rpu_sched *sched) {
    return sched->threads;
}

int rpu_sched_at_once(const struct rpu_sched *sched) {
    return sched->at_once;
}

/* A list's first number is that of the outermost team. OpenMP takes as many threads as it likes for what is no number.
 */
int rpu_sched_environment(void) {
    const char *text = getenv("OMP_NUM_THREADS");
    char *end;
    const long n = text ? strtol(text, &end, 10) : 0;
    if (n < 1 || (end[strspn(end, " \t")] != '\0' && end[strspn(end, " \t")] != ','))
        return 0;
    return n < THREADS_MAX ? (int)n : THREADS_MAX;
}

int rpu_sched_processor(int index) {
    for (int place = 0; place < omp_get_num_places(); place++) {
        const int n = omp_get_place_num_procs(place);
        if (index < n) {
            int *const processors = calloc((size_t)n, sizeof *processors);
            int found = -1;
            if (processors) {
                omp_get_place_proc_ids(place, processors);
                found = processors[index];
            }
            free(processors);
            return found;
        }
        index -= n;
    }
    return -1;
}

/* ---- the record ---- */

void rpu_sched_record(struct rpu_sched *s, size_t most) {
    for (int t = 0; t < s->threads; t++) {
        struct seat *seat = &s->seats[t];
        free(seat->events);
        seat->events = NULL;
        seat->n_events = seat->room_events = 0;
        seat->lost = 0;
    }
    atomic_store(&s->record_left, most < INT64_MAX ? (int64_t)most : INT64_MAX);
    s->recording = rpu_now();
}

/* Whether the record takes one more of a thread. */
static int has_room(struct rpu_sched *s, struct seat *seat) {
    if (atomic_load_explicit(&s->record_left, memory_order_relaxed) <= 0 || atomic_fetch_sub(&s->record_left, 1) <= 0)
        return 0;
    if (seat->n_events == seat->room_events) {
        const size_t room = seat->room_events ? 2 * seat->room_events : LEAST_EVENTS;
        struct rpu_sched_event *events = realloc(seat->events, room * sizeof *events);
        if (!events) {
            atomic_store(&s->record_left, 0);
            return 0;
        }
        seat->events = events;
        seat->room_events = room;
    }
    return 1;
}

size_t rpu_sched_events(const struct rpu_sched *s, int thread, const struct rpu_sched_event **events) {
    if (thread < 0 || thread >= s->threads)
        return 0;
    *events = s->seats[thread].events;
    return s->seats[thread].n_events;
}

uint64_t rpu_sched_events_lost(const struct rpu_sched *s) {
    uint64_t lost = 0;
    for (int t = 0; t < s->threads; t++)
        lost += s->seats[t].lost;
    return lost;
}

double rpu_sched_begin(const struct rpu_sched *s) {
    return s->recording > 0.0 ? rpu_now() : 0.0;
}

void rpu_sched_end(struct rpu_sched *s, int thread, const char *name, const char *of, size_t item, double begin) {
    struct seat *seat = &s->seats[thread];
    if (begin == 0.0)
        return;
    if (has_room(s, seat))
        seat->events[seat->n_events++] =
            (struct rpu_sched_event){name, of, item, begin - s->recording, rpu_now() - s->recording};
    else
        seat->lost++;
}

static void do_item(struct rpu_sched *s, const struct rpu_work *w, size_t item, int me) {
    const double begin = w->name ? rpu_sched_begin(s) : 0.0;
    w->fn(w->context, item, me);
    rpu_sched_end(s, me, w->name, w->of, item, begin);
}

/* ---- sleeping and waking ---- */

/* There are sleepers, and `items` pieces of work may have become ready, of which the calling thread can do one. */
static void wake(struct rpu_sched *s, size_t items) {
    pthread_mutex_lock(&s->lock);
    pthread_cond_signal(&s->wake_first);
    for (; items > 1 && s->awake < s->seats_most && s->tokens < s->asleep; items--) {
        s->tokens++;
        s->awake++;
        pthread_cond_signal(&s->wake_others);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Sleeps until a seat is offered. The lock is held; what is given up was counted as awake. */
static void sleep_without_seat(struct rpu_sched *s) {
    s->awake--;
    s->asleep++;
    while (s->tokens == 0 && !atomic_load(&s->quit))
        pthread_cond_wait(&s->wake_others, &s->lock);
    if (s->tokens > 0)
        s->tokens--; /* whoever gave it has counted this thread as awake */
    else
        s->awake++;
    s->asleep--;
}

/* Sleeps, unless something has happened since `event`. Thread 0 keeps its seat, and anything wakes it. */
static void doze(struct rpu_sched *s, int me, uint32_t event) {
    pthread_mutex_lock(&s->lock);
    atomic_fetch_add(&s->sleepers, 1);
    if (me == 0)
        while (atomic_load(&s->event) == event)
            pthread_cond_wait(&s->wake_first, &s->lock);
    else if (atomic_load(&s->event) == event)
        sleep_without_seat(s);
    atomic_fetch_sub(&s->sleepers, 1);
    pthread_mutex_unlock(&s->lock);
}

/* ---- a list ---- */

static uint32_t count_of(uint64_t word, uint32_t number) {
    return word >> 32 == number ? (uint32_t)word : 0;
}

static int is_done(const struct rpu_sched *s, size_t k) {
    const uint64_t word = atomic_load_explicit(&s->state[k].done, memory_order_acquire);
    return count_of(word, s->number) == s->list[k].items;
}

static int is_ready(const struct rpu_sched *s, size_t k) {
    for (unsigned i = 0; i < s->list[k].n_after; i++)
        if (!is_done(s, s->list[k].after[i]))
            return 0;
    return 1;
}

/* Takes an item of one thread's share. */
static int claim_share(struct rpu_sched *s, size_t k, size_t share, size_t *item) {
    const size_t items = s->list[k].items, team = (size_t)s->team;
    const size_t start = rpu_range(items, team, share), size = rpu_range(items, team, share + 1) - start;
    _Atomic uint64_t *word = &s->claims[k * s->stride + share * CLAIM_WORDS];
    uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);
    for (;;) {
        const uint32_t taken = count_of(seen, s->number);
        if (taken >= size)
            return 0;
        if (atomic_compare_exchange_weak_explicit(word, &seen, (uint64_t)s->number << 32 | (taken + 1),
                                                  memory_order_relaxed, memory_order_relaxed)) {
            *item = start + taken;
            return 1;
        }
    }
}

static int claim(struct rpu_sched *s, size_t k, int me, size_t *item) {
    for (int d = 0; d < s->team; d++)
        if (claim_share(s, k, (size_t)((me + d) % s->team), item))
            return 1;
    return 0;
}

/* How many items become ready at most when entry k is finished: a hint for waking. */
static size_t unlocked(const struct rpu_sched *s, size_t k) {
    size_t items = 0;
    for (size_t e = k + 1; e < s->entries; e++)
        for (unsigned i = 0; i < s->list[e].n_after; i++)
            if (s->list[e].after[i] == k)
                items += s->list[e].items;
    return items;
}

static void finish_item(struct rpu_sched *s, size_t k) {
    _Atomic uint64_t *word = &s->state[k].done;
    uint64_t seen = atomic_load_explicit(word, memory_order_relaxed), next;
    do
        next = (uint64_t)s->number << 32 | (count_of(seen, s->number) + 1);
    while (!atomic_compare_exchange_weak_explicit(word, &seen, next, memory_order_acq_rel, memory_order_relaxed));
    if ((uint32_t)next == s->list[k].items) {
        atomic_fetch_sub(&s->left, 1);
        atomic_fetch_add(&s->event, 1);
        if (atomic_load(&s->sleepers) > 0)
            wake(s, unlocked(s, k));
    }
}

/* Works on the list until nothing more is to be had; 0 if nothing was. `fill`: at most one filler, even though other
 * work may come up. */
static int take_part(struct rpu_sched *s, int me, int fill) {
    struct seat *seat = &s->seats[me];
    int worked = 0;
    atomic_store(&seat->inside, 1);
    if (atomic_load(&s->open)) {
        if (seat->number != s->number) {
            seat->number = s->number;
            seat->first = 0;
        }
        for (size_t k = seat->first; k < s->entries;) {
            size_t item;
            if (k >= s->fillers && seat->first < s->fillers && (!fill || worked))
                break;
            if (is_ready(s, k)) {
                if (claim(s, k, me, &item)) {
                    do_item(s, &s->list[k], item, me);
                    finish_item(s, k);
                    worked = 1;
                    k = seat->first; /* what comes first may have become ready */
                    continue;
                }
                seat->first += k == seat->first;
            }
            k++;
        }
    }
    atomic_store_explicit(&seat->inside, 0, memory_order_release);
    return worked;
}

/* Returns when `event` is not the current one any more, or when there was a filler to do. */
static void wait_for(struct rpu_sched *s, int me, uint32_t event) {
    struct seat *seat = &s->seats[me];
    const unsigned spin = seat->short_waits > 0 ? SPIN_LEAST : SPIN_MOST;
    for (unsigned i = 0; i < spin; i++) {
        if (i == FILL_AFTER && take_part(s, me, 1))
            return;
        if (atomic_load_explicit(&s->event, memory_order_acquire) != event) {
            seat->short_waits -= seat->short_waits > 0;
            return;
        }
        relax();
    }
    seat->short_waits = seat->short_waits > 1 ? seat->short_waits - 1 : spin == SPIN_MOST ? LEAST_WAITS : 0;
    doze(s, me, event);
}

/* Room for the state of a list. */
static int reserve(struct rpu_sched *s, size_t entries) {
    struct entry *state;
    _Atomic uint64_t *claims;
    if (entries <= s->room)
        return 1;
    state = aligned_alloc(64, entries * sizeof *state);
    claims = aligned_alloc(64, entries * s->stride * sizeof *claims);
    if (!state || !claims) {
        free(state);
        free(claims);
        return 0;
    }
    memset(state, 0, entries * sizeof *state);
    memset(claims, 0, entries * s->stride * sizeof *claims);
    free(s->state);
    free(s->claims);
    s->state = state;
    s->claims = claims;
    s->room = entries;
    return 1;
}

/* Entries in order, items in order, on the calling thread. */
static void run_alone(struct rpu_sched *s, const struct rpu_work *list, size_t entries) {
    for (size_t k = 0; k < entries; k++)
        for (size_t i = 0; i < list[k].items; i++)
            do_item(s, &list[k], i, 0);
}

static size_t publish(struct rpu_sched *s, const struct rpu_work *list, size_t entries) {
    size_t items = 0;
    uint32_t left = 0;
    s->fillers = entries;
    for (size_t k = entries; k-- > 0;) {
        s->fillers = list[k].filler ? k : s->fillers;
        left += list[k].items > 0;
        items += list[k].n_after ? 0 : list[k].items;
    }
    s->list = list;
    s->entries = entries;
    s->number = s->number == UINT32_MAX ? 1 : s->number + 1;
    atomic_store_explicit(&s->left, left, memory_order_relaxed);
    atomic_store(&s->open, s->number);
    return items;
}

static void close_list(struct rpu_sched *s) {
    atomic_store(&s->open, 0);
    for (int t = 1; t < s->team; t++)
        for (unsigned i = 0; atomic_load(&s->seats[t].inside); i++) {
            if (i < SPIN_MOST)
                relax();
            else
                sched_yield();
        }
}

static void run_in_team(struct rpu_sched *s, const struct rpu_work *list, size_t entries) {
    const size_t items = publish(s, list, entries);
    atomic_fetch_add(&s->event, 1);
    if (atomic_load(&s->sleepers) > 0)
        wake(s, items);
    for (;;) {
        const uint32_t event = atomic_load(&s->event);
        if (atomic_load(&s->left) == 0)
            break;
        if (!take_part(s, 0, 0))
            wait_for(s, 0, event);
    }
    close_list(s);
}

/* ---- the team ---- */

static void serve(struct rpu_sched *s, int me) {
    pthread_mutex_lock(&s->lock);
    if (s->awake++ >= s->seats_most) {
        atomic_fetch_add(&s->sleepers, 1);
        sleep_without_seat(s);
        atomic_fetch_sub(&s->sleepers, 1);
    }
    pthread_mutex_unlock(&s->lock);
    while (!atomic_load(&s->quit)) {
        const uint32_t event = atomic_load(&s->event);
        if (!take_part(s, me, 0) && !atomic_load(&s->quit))
            wait_for(s, me, event);
    }
}

static void dismiss(struct rpu_sched *s) {
    atomic_store(&s->quit, 1);
    atomic_fetch_add(&s->event, 1);
    pthread_mutex_lock(&s->lock);
    pthread_cond_broadcast(&s->wake_others);
    pthread_mutex_unlock(&s->lock);
}

enum rpu_status rpu_sched_team(struct rpu_sched *sched, rpu_team_fn *fn, void *context) {
    enum rpu_status status = RPU_OK;
    if (sched->threads == 1 || sched->team)
        return fn(context);
    sched->awake = 1;
    sched->asleep = sched->tokens = 0;
    atomic_store(&sched->quit, 0);
#pragma omp parallel num_threads(sched->threads) firstprivate(sched, fn, context) shared(status)
    {
        const int me = omp_get_thread_num();
        struct rpu_topo_bound bound;
        rpu_topo_bind(sched->topo, me, &bound);
        if (me == 0) {
            sched->team = omp_get_num_threads();
            sched->at_once = sched->team < sched->seats_most ? sched->team : sched->seats_most;
            status = fn(context);
            sched->team = 0;
            dismiss(sched);
        } else {
            serve(sched, me);
        }
        rpu_topo_unbind(sched->topo, &bound);
    }
    return status;
}

struct job {
    struct rpu_sched *sched;
    const struct rpu_work *list;
    size_t entries;
};

static enum rpu_status run_job(void *context) {
    const struct job *j = context;
    run_in_team(j->sched, j->list, j->entries);
    return RPU_OK;
}

void rpu_sched_run(struct rpu_sched *sched, const struct rpu_work *list, size_t entries) {
    struct job job = {sched, list, entries};
    /* alone: with one thread, where the system gave no more, or where there is no memory for more */
    if (sched->threads == 1 || sched->team == 1 || !reserve(sched, entries))
        run_alone(sched, list, entries);
    else if (sched->team)
        run_in_team(sched, list, entries);
    else
        rpu_sched_team(sched, run_job, &job);
}

void rpu_sched_for(struct rpu_sched *sched, size_t items, rpu_item_fn *fn, void *context) {
    const struct rpu_work work = {.fn = fn, .context = context, .items = items, .name = "work", .of = ""};
    if (items <= 1) {
        for (size_t i = 0; i < items; i++)
            fn(context, i, 0);
        return;
    }
    rpu_sched_run(sched, &work, 1);
}
