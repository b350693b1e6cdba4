/* SPDX-License-Identifier: Apache-2.0 */
/* Who did what when, for the viewers of Chrome's trace-event format. */
#include "app.h"
#include "error.h"
#include "text.h"

#include <inttypes.h>

/* Names are those of arrays, which are checked, and our own: nothing in them needs escaping. */
static void put_event(struct rpu_text *t, const struct rpu_trace_event *e, int thread) {
    rpu_text_format(t, ",\n{\"ph\":\"X\",\"name\":\"%s%s%s\",\"cat\":\"%s\",", e->name, *e->layer ? " " : "", e->layer,
                    e->name);
    rpu_text_format(t, "\"ts\":%.3f,\"dur\":%.3f,\"pid\":1,\"tid\":%d,\"args\":{\"item\":%zu}}", e->start * 1e6,
                    (e->end - e->start) * 1e6, thread, e->item);
}

static void put_thread(struct rpu_text *t, const struct rpu_engine *engine, int thread) {
    const size_t n = rpu_engine_trace_count(engine, thread);
    struct rpu_trace_event e;
    rpu_text_format(
        t, "%s\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":%d,\"args\":{\"name\":\"thread %d\"}}",
        thread ? "," : "", thread, thread);
    for (size_t i = 0; i < n; i++)
        if (rpu_engine_trace_event(engine, thread, i, &e) == RPU_OK)
            put_event(t, &e, thread);
}

enum rpu_status rpu_trace_json(char **text, const struct rpu_engine *engine, struct rpu_error *err) {
    struct rpu_text t = {0};
    rpu_text_format(&t,
                    "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"program\":\"rpubench %s\",\"lost\":%" PRIu64
                    "},\"traceEvents\":[",
                    rpu_version(), rpu_engine_trace_lost(engine));
    for (int i = 0; i < rpu_engine_threads(engine); i++)
        put_thread(&t, engine, i);
    rpu_text_put(&t, "\n]}\n");
    *text = rpu_text_take(&t);
    return *text ? RPU_OK : rpu_fail(err, RPU_ERR_NOMEM, "out of memory for the trace");
}
