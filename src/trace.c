/* SPDX-License-Identifier: Apache-2.0 */
/* Who did what when, for the viewers of Chrome's trace-event format. */
#include "app.h"
#include "error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Text that grows; no text: out of memory. */
struct text {
    char *text;
    size_t used, size;
};

enum { EVENT_BYTES = 512 };

/* Room for one more event. */
static char *more(struct text *t) {
    if (t->text && t->size - t->used < EVENT_BYTES) {
        char *larger = realloc(t->text, 2 * t->size);
        if (!larger)
            free(t->text);
        t->text = larger;
        t->size *= 2;
    }
    return t->text ? t->text + t->used : NULL;
}

static void advance(struct text *t, int written) {
    t->used += written > 0 ? (size_t)written : 0;
}

/* Names are those of arrays, which are checked, and our own: nothing in them needs escaping. */
static void put_event(struct text *t, const struct rpu_trace_event *e, int thread) {
    char *to = more(t);
    if (to)
        advance(t, snprintf(to, EVENT_BYTES,
                            ",\n{\"ph\":\"X\",\"name\":\"%s%s%s\",\"cat\":\"%s\",\"ts\":%.3f,\"dur\":%.3f,\"pid\":1,"
                            "\"tid\":%d,\"args\":{\"item\":%zu}}",
                            e->name, *e->layer ? " " : "", e->layer, e->name, e->start * 1e6, (e->end - e->start) * 1e6,
                            thread, e->item));
}

static void put_thread(struct text *t, const struct rpu_engine *engine, int thread) {
    const size_t n = rpu_engine_trace_count(engine, thread);
    struct rpu_trace_event e;
    char *to = more(t);
    if (to)
        advance(t, snprintf(to, EVENT_BYTES,
                            "%s\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":%d,\"args\":{\"name\":"
                            "\"thread %d\"}}",
                            thread ? "," : "", thread, thread));
    for (size_t i = 0; i < n; i++)
        if (rpu_engine_trace_event(engine, thread, i, &e) == RPU_OK)
            put_event(t, &e, thread);
}

enum rpu_status rpu_trace_json(char **text, const struct rpu_engine *engine, struct rpu_error *err) {
    struct text t = {malloc(4096), 0, 4096};
    char *to = more(&t);
    if (to)
        advance(&t, snprintf(to, EVENT_BYTES,
                             "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"program\":\"rpubench %s\",\"lost\":%" PRIu64
                             "},\"traceEvents\":[",
                             rpu_version(), rpu_engine_trace_lost(engine)));
    for (int i = 0; i < rpu_engine_threads(engine); i++)
        put_thread(&t, engine, i);
    to = more(&t);
    if (to)
        advance(&t, snprintf(to, EVENT_BYTES, "\n]}\n"));
    *text = t.text;
    return t.text ? RPU_OK : rpu_fail(err, RPU_ERR_NOMEM, "out of memory for the trace");
}
