/* SPDX-License-Identifier: Apache-2.0 */
/* Two sides measured in alternation: what a noisy machine does to one batch it does to its neighbour, too, so that the
 * median of the neighbours' ratios moves little where the times themselves move much. Further work is measured beside
 * them in every alternation. */
#include "bench.h"

#include <stdlib.h>

void pairing_add(struct pairing *p, struct side a, struct side b) {
    p->a[p->pairs] = a;
    p->b[p->pairs] = b;
    p->pairs++;
}

size_t pairing_beside(struct pairing *p, struct side side) {
    if (p->besides == BESIDES_MAX)
        abort();
    p->beside[p->besides] = side;
    return p->besides++;
}

/* Seconds of a call. */
static double batch(const struct side *s, uint64_t n) {
    double start;
    if (!s->run)
        return 0.0;
    if (s->prepare)
        s->prepare(s->user);
    start = seconds_used();
    s->run(s->user, n);
    return (seconds_used() - start) / (double)n;
}

/* Calls that take the side's batch, else `seconds`, or longer; warms caches up on the way. */
static uint64_t calibrate(const struct side *s, double seconds) {
    uint64_t n = 1;
    if (s->batch > 0.0)
        seconds = s->batch;
    while (s->run && batch(s, n) * (double)n < seconds && n < UINT64_C(1) << 40)
        n *= 2;
    return n;
}

/* One alternation of pair k; every second one starts with side b. */
static void step(struct pairing *p, size_t k) {
    double a = 0.0, b;
    const int a_first = p->done % 2 == 0;
    if (a_first)
        a = batch(&p->a[k], p->n_a[k]);
    b = batch(&p->b[k], p->n_b[k]);
    if (!a_first)
        a = batch(&p->a[k], p->n_a[k]);
    p->a_ns[k][p->done] = a * 1e9;
    p->b_ns[k][p->done] = b * 1e9;
}

void pairing_run(struct pairing *p, struct gb_state *state, double seconds) {
    p->alternations = (size_t)gb_iterations(state);
    for (size_t k = 0; k < p->pairs; k++) {
        p->a_ns[k] = room(p->alternations * sizeof(double));
        p->b_ns[k] = room(p->alternations * sizeof(double));
        p->n_a[k] = calibrate(&p->a[k], seconds);
        p->n_b[k] = calibrate(&p->b[k], seconds);
    }
    for (size_t s = 0; s < p->besides; s++) {
        p->beside_ns[s] = room(p->alternations * sizeof(double));
        p->n_beside[s] = calibrate(&p->beside[s], seconds);
    }
    while (gb_keep_running(state, 1) && p->done < p->alternations) {
        double a_ns = 0.0;
        for (size_t k = 0; k < p->pairs; k++) {
            step(p, k);
            a_ns += p->a_ns[k][p->done];
        }
        for (size_t s = 0; s < p->besides; s++)
            p->beside_ns[s][p->done] = batch(&p->beside[s], p->n_beside[s]) * 1e9;
        gb_iteration_time(state, a_ns * 1e-9);
        p->done++;
    }
}

/* `a` and `b` are sorted, which ends what they say of alternations. */
static struct paired compare(double *a, double *b, size_t n) {
    double *ratio = room(2 * n * sizeof *ratio), *difference = ratio + n;
    struct paired r;
    for (size_t i = 0; i < n; i++) {
        ratio[i] = a[i] / b[i];
        difference[i] = a[i] - b[i];
    }
    r.a_ns = quantile(a, n, 0.5);
    r.b_ns = quantile(b, n, 0.5);
    r.a_min_ns = a[0];
    r.b_min_ns = b[0];
    r.ratio = quantile(ratio, n, 0.5);
    r.ratio_low = quantile(ratio, n, 0.25);
    r.ratio_high = quantile(ratio, n, 0.75);
    r.difference_ns = quantile(difference, n, 0.5);
    free(ratio);
    return r;
}

/* Pairs first .. end - 1 together; side a from `a_ns` if that is not null. */
static struct paired summarize(const struct pairing *p, size_t first, size_t end, const double *a_ns) {
    const size_t n = p->done;
    double *a = room(2 * n * sizeof *a), *b = a + n;
    struct paired r;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = first; k < end; k++) {
            a[i] += a_ns ? 0.0 : p->a_ns[k][i];
            b[i] += p->b_ns[k][i];
        }
        a[i] += a_ns ? a_ns[i] : 0.0;
    }
    r = compare(a, b, n);
    free(a);
    return r;
}

struct paired pairing_sum(const struct pairing *p) {
    return summarize(p, 0, p->pairs, NULL);
}

struct paired pairing_one(const struct pairing *p, size_t index) {
    return summarize(p, index, index + 1, NULL);
}

struct paired pairing_against(const struct pairing *p, const double *a_ns) {
    return summarize(p, 0, p->pairs, a_ns);
}

void pairing_free(struct pairing *p) {
    for (size_t k = 0; k < p->pairs; k++) {
        free(p->a_ns[k]);
        free(p->b_ns[k]);
    }
    for (size_t s = 0; s < p->besides; s++)
        free(p->beside_ns[s]);
    *p = (struct pairing){0};
}
