/* SPDX-License-Identifier: Apache-2.0 */
/* The only file with OpenMP, which makes the threads; everything after that is done with atomics.
 *
 * What costs time is a cache line that one core has changed and another one wants: a tenth of a microsecond where they
 * share a cache, half of one and more where they do not. So threads write words of their own and read those of others,
 * and a thread that waits for an entry looks at the very words that the last one writes.
 *
 * Thread 0 publishes a list by storing its number in `open`. Each thread keeps for itself what it knows of each entry:
 * whether what comes before is finished, whether its own share and those of others have been handed out. It claims
 * items by compare-and-swap on the word of a share, its own first, and adds those that it has finished to its own word
 * of the entry, many at a time; an entry is finished when these words add up to its items. Every word carries the
 * number of the list in its upper half: words of an older list read as 0, and nothing has to be cleared between lists.
 * A thread that is late may meet words of a newer list: the one that it looks at is finished then. The list itself is a
 * copy, changed when nobody is inside; to run the same list again takes a new number only.
 *
 * A thread that has done its share looks at the words of finished items first, and only after some fruitless looks at
 * what is left of the shares of others: they are about to be ready as well, and a look costs them a cache line. It does
 * so at once where some of them have no processor, and where nothing else waits for an entry but fillers.
 *
 * Waiting: a thread that found nothing looks again, SPIN_MOST times, then sleeps. Having slept, it spins
 * only shortly for its next waits: on a machine that is busy with other work, what it waits for may need the very
 * processor that it spins on. Lost wake-ups cannot happen: a thread first announces that it sleeps and then looks
 * once more, whoever learns that an entry is finished looks for sleepers after that, and an entry's last thread learns
 * it before it sleeps itself. */
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

enum { LINE_WORDS = 64 / sizeof(uint64_t) }; /* a cache line for each thread's share */
enum { LEAST_EVENTS = 64 };
enum { THREADS_MAX = 1024, PATIENCE = 24, SPIN_MOST = 400, SPIN_LEAST = 32, LEAST_WAITS = 16 };

/* What a thread knows of an entry. */
enum stage {
    WAITING,    /* for others */
    READY,      /* items of its own share may be left */
    SHARE_GONE, /* its own share has been handed out, ... */
    GONE,       /* ...and all others */
    DONE
};

/* What a thread has for itself. */
struct seat {
    _Alignas(64) _Atomic uint32_t inside; /* it may be looking at the list */
    uint64_t number;                      /* of the list that it saw last, ... */
    unsigned char *stages;                /* ...what it knows of its entries, ... */
    size_t undone;                        /* ...and the first that is not known to be done */
    int ended;                            /* all are */
    int news;                             /* it met the list, or found entries done, lately */
    unsigned short_waits;                 /* waits for which it is to spin shortly only */
    struct rpu_sched_event *events;
    size_t n_events, room_events;
    uint64_t lost;
};

/* An item that a thread has taken. */
struct claim {
    size_t entry, share, item;
};

struct rpu_sched {
    int threads, seats_most;
    const struct rpu_topo *topo;
    int team;    /* threads of the running team, 0 outside */
    int at_once; /* of the last one: those that can be awake at a time */
    /* the list in work; changed by thread 0 while nobody is inside */
    struct rpu_work *list;
    size_t entries, fillers, room; /* fillers: index of the first */
    _Atomic uint64_t *claims;      /* of each entry, a line for each thread's share: items that are taken */
    size_t stride;
    _Atomic uint64_t *done; /* of each thread, a row with a word for each entry: items that it has finished */
    size_t row;
    _Atomic uint32_t *told; /* of each entry: number of the last list of which sleepers were woken for it */
    unsigned char *stages;
    struct seat *seats;
    double recording;                         /* start of the record; 0: none */
    _Alignas(64) _Atomic int64_t record_left; /* pieces of work that it still takes; more came where it is below 0 */
    _Alignas(64) _Atomic uint64_t open;       /* number of the list in work or of the last one, 0: none */
    uint64_t number;                          /* of the last one, for thread 0 */
    _Atomic uint32_t quit;
    _Alignas(64) _Atomic uint32_t sleepers; /* threads that sleep or are about to, thread 0 as well */
    _Alignas(64) pthread_mutex_t lock;
    pthread_cond_t wake_others, wake_first; /* of the others; of thread 0 */
    /* under the lock: threads that have a seat, sleep without one, and are about to get one; times that some were woken
     */
    int awake, asleep, tokens;
    uint64_t wakes;
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
    s->stride = (size_t)threads * LINE_WORDS;
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

static void free_list(struct rpu_sched *s) {
    free(s->list);
    free(s->claims);
    free(s->done);
    free(s->told);
    free(s->stages);
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
    free_list(sched);
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
    const double end = rpu_now();
    if (has_room(s, seat))
        seat->events[seat->n_events++] =
            (struct rpu_sched_event){name, of, item, begin - s->recording, end - s->recording};
    else
        seat->lost++;
}

static void do_item(struct rpu_sched *s, const struct rpu_work *w, size_t item, int me) {
    const double begin = w->name ? rpu_sched_begin(s) : 0.0;
    w->fn(w->context, item, me);
    rpu_sched_end(s, me, w->name, w->of, item, begin);
}

/* ---- what a thread knows of a list ---- */

/* A word has the lower half of the list's number, and a count. */
static uint64_t word_of(uint64_t number, uint32_t count) {
    return number << 32 | count;
}

static uint32_t count_of(uint64_t word, uint64_t number) {
    return word >> 32 == (uint32_t)number ? (uint32_t)word : 0;
}

/* A thread meets a list. */
static void begin(const struct rpu_sched *s, struct seat *seat, uint64_t number) {
    seat->number = number;
    seat->undone = 0;
    seat->ended = 0;
    for (size_t k = 0; k < s->entries; k++)
        seat->stages[k] = s->list[k].items ? WAITING : DONE;
}

static void leave(struct seat *seat) {
    atomic_store_explicit(&seat->inside, 0, memory_order_release);
}

/* Whether there is a list with something left to do. No other list takes its place before the thread leaves. */
static int enter(struct rpu_sched *s, struct seat *seat) {
    const int inside = (int)atomic_load_explicit(&seat->inside, memory_order_relaxed);
    uint64_t number = atomic_load_explicit(&s->open, memory_order_acquire);
    if (inside && number == seat->number)
        return 1;
    if (inside)
        leave(seat);
    if (!number || (number == seat->number && seat->ended))
        return 0;
    atomic_store(&seat->inside, 1);
    number = atomic_load(&s->open);
    if (!number) {
        leave(seat);
        return 0;
    }
    if (number != seat->number) {
        begin(s, seat, number);
        seat->news = 1;
    }
    return 1;
}

static uint64_t finished_items(const struct rpu_sched *s, size_t k, uint64_t number, memory_order order) {
    uint64_t items = 0;
    for (size_t t = 0; t < (size_t)s->team; t++)
        items += count_of(atomic_load_explicit(&s->done[t * s->row + k], order), number);
    return items;
}

/* Whether the words of all threads add up to an entry's items. Loads that are not ordered can be under way together. */
static int is_finished(const struct rpu_sched *s, size_t k, uint64_t number) {
    const uint64_t items = s->list[k].items;
    return finished_items(s, k, number, memory_order_relaxed) == items &&
           finished_items(s, k, number, memory_order_acquire) == items;
}

static int is_ready(const struct rpu_sched *s, const struct seat *seat, size_t k) {
    for (unsigned i = 0; i < s->list[k].n_after; i++)
        if (seat->stages[s->list[k].after[i]] != DONE)
            return 0;
    return 1;
}

/* Takes an item of one thread's share. */
static int claim_share(struct rpu_sched *s, uint64_t number, size_t k, size_t share, struct claim *c) {
    const size_t items = s->list[k].items, team = (size_t)s->team;
    const size_t start = rpu_range(items, team, share), size = rpu_range(items, team, share + 1) - start;
    _Atomic uint64_t *word = &s->claims[k * s->stride + share * LINE_WORDS];
    uint64_t seen;
    if (size == 0)
        return 0;
    seen = atomic_load_explicit(word, memory_order_relaxed);
    for (;;) {
        const uint32_t taken = count_of(seen, number);
        if (taken >= size || seen >> 32 > (uint32_t)number)
            return 0;
        if (atomic_compare_exchange_weak_explicit(word, &seen, word_of(number, taken + 1), memory_order_relaxed,
                                                  memory_order_relaxed)) {
            *c = (struct claim){k, share, start + taken};
            return 1;
        }
    }
}

static int claim_others(struct rpu_sched *s, uint64_t number, size_t k, int me, struct claim *c) {
    for (int d = 1; d < s->team; d++)
        if (claim_share(s, number, k, (size_t)((me + d) % s->team), c))
            return 1;
    return 0;
}

/* Looks through the list for an item and takes it; 0 if there is none. `eager`: what is left of the shares of others,
 * and fillers while other work may come up. */
static int find(struct rpu_sched *s, int me, int eager, struct claim *c) {
    struct seat *seat = &s->seats[me];
    const int others = eager || s->at_once < s->team;
    int gone = 1; /* of the entries so far */
    for (size_t k = seat->undone; k < s->entries; k++) {
        unsigned char *stage = &seat->stages[k];
        const int filler = k >= s->fillers;
        if (filler && !gone && !eager)
            break;
        if (*stage == WAITING && is_ready(s, seat, k))
            *stage = READY;
        if (*stage == READY) {
            if (claim_share(s, seat->number, k, (size_t)me, c))
                return 1;
            *stage = SHARE_GONE;
        }
        if ((*stage == SHARE_GONE || *stage == GONE) && is_finished(s, k, seat->number)) {
            *stage = DONE;
            seat->news = 1;
        }
        if (*stage == SHARE_GONE && (others || filler || k + 1 == s->fillers)) {
            if (claim_others(s, seat->number, k, me, c))
                return 1;
            *stage = GONE;
        }
        gone = gone && (filler || *stage >= GONE);
        seat->undone += k == seat->undone && *stage == DONE;
    }
    seat->ended = seat->undone == s->entries;
    return 0;
}

/* ---- sleeping and waking ---- */

/* There are sleepers, and `items` pieces of work may have become ready, of which the calling thread can do one. */
static void wake(struct rpu_sched *s, size_t items) {
    pthread_mutex_lock(&s->lock);
    s->wakes++;
    pthread_cond_signal(&s->wake_first);
    for (; items > 1 && s->awake < s->seats_most && s->tokens < s->asleep; items--) {
        s->tokens++;
        s->awake++;
        pthread_cond_signal(&s->wake_others);
    }
    pthread_mutex_unlock(&s->lock);
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

/* Wakes sleepers for the entries that the thread found done, unless another one has. */
static void tell(struct rpu_sched *s, struct seat *seat) {
    seat->news = 0;
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&s->sleepers) == 0)
        return;
    for (size_t k = 0; k < s->entries; k++)
        if (seat->stages[k] == DONE && s->list[k].items && atomic_load(&s->told[k]) != (uint32_t)seat->number &&
            atomic_exchange(&s->told[k], (uint32_t)seat->number) != (uint32_t)seat->number)
            wake(s, unlocked(s, k));
}

/* Works off an item that was taken, and what is left of its share. */
static void work(struct rpu_sched *s, int me, struct claim c) {
    const size_t k = c.entry;
    const uint64_t number = s->seats[me].number;
    _Atomic uint64_t *word = &s->done[(size_t)me * s->row + k];
    uint32_t items = count_of(atomic_load_explicit(word, memory_order_relaxed), number);
    do {
        do_item(s, &s->list[k], c.item, me);
        items++;
    } while (k < s->fillers && claim_share(s, number, k, c.share, &c));
    atomic_store_explicit(word, word_of(number, items), memory_order_release);
}

/* What a thread does with what it found. Returns whether that was anything. */
static int act(struct rpu_sched *s, int me, int found, const struct claim *c) {
    struct seat *seat = &s->seats[me];
    const int learnt = seat->news;
    if (learnt)
        tell(s, seat);
    if (found)
        work(s, me, *c);
    else if (seat->ended && me > 0)
        leave(seat);
    return learnt || found;
}

static int look(struct rpu_sched *s, int me, int eager, struct claim *c) {
    return (me == 0 || enter(s, &s->seats[me])) && find(s, me, eager, c);
}

/* Works on the list until nothing more is to be had; 0 if nothing was, and nothing has changed. */
static int take_part(struct rpu_sched *s, int me, int eager) {
    struct claim c;
    int any = 0;
    for (int found = 1; found;) {
        found = look(s, me, eager && !any, &c);
        any |= act(s, me, found, &c);
    }
    return any;
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

/* Sleeps, unless a last look finds something. Thread 0 keeps its seat, and anything wakes it. */
static void doze(struct rpu_sched *s, int me) {
    struct seat *seat = &s->seats[me];
    struct claim c;
    int found;
    pthread_mutex_lock(&s->lock);
    atomic_fetch_add(&s->sleepers, 1);
    atomic_thread_fence(memory_order_seq_cst);
    found = look(s, me, 1, &c);
    if (!found && !seat->news) {
        if (me == 0) {
            for (const uint64_t wakes = s->wakes; s->wakes == wakes;)
                pthread_cond_wait(&s->wake_first, &s->lock);
        } else {
            leave(seat);
            sleep_without_seat(s);
        }
    }
    atomic_fetch_sub(&s->sleepers, 1);
    pthread_mutex_unlock(&s->lock);
    act(s, me, found, &c);
}

/* Returns when something has changed or was done. */
static void wait_for(struct rpu_sched *s, int me) {
    struct seat *seat = &s->seats[me];
    const unsigned spin = seat->short_waits > 0 ? SPIN_LEAST : SPIN_MOST;
    for (unsigned i = 0; i < spin; i++) {
        if (me > 0 && i >= PATIENCE)
            leave(seat); /* who is interrupted here holds up nobody */
        relax();
        if (atomic_load_explicit(&s->quit, memory_order_relaxed))
            return;
        if (take_part(s, me, i >= PATIENCE)) {
            seat->short_waits -= seat->short_waits > 0;
            return;
        }
    }
    seat->short_waits = seat->short_waits > 1 ? seat->short_waits - 1 : spin == SPIN_MOST ? LEAST_WAITS : 0;
    doze(s, me);
}

/* ---- a list ---- */

/* Takes the list away; returns when nobody looks at it. */
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

/* Words of no list. */
static void clear_words(struct rpu_sched *s) {
    memset((void *)s->claims, 0, s->room * s->stride * sizeof *s->claims);
    memset((void *)s->done, 0, (size_t)s->threads * s->row * sizeof *s->done);
    memset((void *)s->told, 0, s->room * sizeof *s->told);
}

/* Room for a list and its state. */
static int reserve(struct rpu_sched *s, size_t entries) {
    const size_t threads = (size_t)s->threads, stages = rpu_lines(entries);
    struct rpu_sched new = {0};
    if (entries <= s->room)
        return 1;
    new.row = rpu_lines(entries * sizeof *s->done) / sizeof *s->done;
    new.list = calloc(entries, sizeof *s->list);
    new.claims = aligned_alloc(64, entries * s->stride * sizeof *s->claims);
    new.done = aligned_alloc(64, threads * new.row * sizeof *s->done);
    new.told = calloc(entries, sizeof *s->told);
    new.stages = aligned_alloc(64, threads * stages);
    if (!new.list || !new.claims || !new.done || !new.told || !new.stages) {
        free_list(&new);
        return 0;
    }
    free_list(s);
    s->list = new.list;
    s->claims = new.claims;
    s->done = new.done;
    s->row = new.row;
    s->told = new.told;
    s->stages = new.stages;
    s->room = entries;
    for (size_t t = 0; t < threads; t++)
        s->seats[t].stages = s->stages + t * stages;
    clear_words(s);
    return 1;
}

static int is_same(const struct rpu_work *a, const struct rpu_work *b) {
    for (unsigned i = 0; i < a->n_after && a->n_after == b->n_after; i++)
        if (a->after[i] != b->after[i])
            return 0;
    return a->fn == b->fn && a->context == b->context && a->items == b->items && a->n_after == b->n_after &&
           a->filler == b->filler && a->name == b->name && a->of == b->of;
}

/* Whether a list is the one that was run last, and threads may have it still. */
static int is_open(const struct rpu_sched *s, const struct rpu_work *list, size_t entries) {
    if (!atomic_load_explicit(&s->open, memory_order_relaxed) || entries != s->entries)
        return 0;
    for (size_t k = 0; k < entries; k++)
        if (!is_same(&list[k], &s->list[k]))
            return 0;
    return 1;
}

/* Entries in order, items in order, on the calling thread. */
void rpu_sched_run_alone(struct rpu_sched *s, const struct rpu_work *list, size_t entries) {
    for (size_t k = 0; k < entries; k++)
        for (size_t i = 0; i < list[k].items; i++)
            do_item(s, &list[k], i, 0);
}

/* Makes it the list that threads find next; 0 where there is no memory for that. */
static int publish(struct rpu_sched *s, const struct rpu_work *list, size_t entries) {
    if (!is_open(s, list, entries)) {
        close_list(s);
        if (!reserve(s, entries))
            return 0;
        if (entries > 0)
            memcpy(s->list, list, entries * sizeof *list);
        s->entries = s->fillers = entries;
        for (size_t k = entries; k-- > 0;)
            s->fillers = list[k].filler ? k : s->fillers;
    }
    if ((uint32_t)++s->number == 0) { /* words of long ago would be newer than those to come */
        close_list(s);
        clear_words(s);
        s->number++;
    }
    begin(s, &s->seats[0], s->number);
    atomic_store_explicit(&s->open, s->number, memory_order_release);
    return 1;
}

/* Items that wait for nothing. */
static size_t first_items(const struct rpu_sched *s, const struct seat *seat) {
    size_t items = 0;
    for (size_t k = 0; k < s->entries; k++)
        items += is_ready(s, seat, k) ? s->list[k].items : 0;
    return items;
}

static void run_in_team(struct rpu_sched *s, const struct rpu_work *list, size_t entries) {
    const struct seat *seat = &s->seats[0];
    if (!publish(s, list, entries)) {
        rpu_sched_run_alone(s, list, entries);
        return;
    }
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&s->sleepers) > 0)
        wake(s, first_items(s, seat));
    while (seat->undone < entries)
        if (!take_part(s, 0, 0) && seat->undone < entries)
            wait_for(s, 0);
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
    while (!atomic_load(&s->quit))
        if (!take_part(s, me, 0))
            wait_for(s, me);
    leave(&s->seats[me]);
}

/* Ends the team; nobody finds the list any more, which was divided for as many threads as there were. */
static void dismiss(struct rpu_sched *s) {
    close_list(s);
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->quit, 1);
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
            dismiss(sched);
            sched->team = 0;
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
    /* alone: with one thread, or where the system gave no more */
    if (sched->threads == 1 || sched->team == 1)
        rpu_sched_run_alone(sched, list, entries);
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
