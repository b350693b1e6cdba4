/* SPDX-License-Identifier: Apache-2.0 */
/* The sum of the parts that a row cannot do without, measured in the same alternations as the row. */
#include "bound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[PART_KINDS] = {
    [PART_PRODUCT] = "product",       [PART_NOISE] = "noise",         [PART_CONVERTERS] = "converters",
    [PART_EXTREMES] = "extremes",     [PART_GAINS] = "gains",         [PART_BITS] = "bits",
    [PART_THRESHOLDS] = "thresholds", [PART_POSITIONS] = "positions", [PART_WEIGHTS] = "weights",
    [PART_LAYERS] = "layers"};

int bound_add(struct bound *b, struct pairing *p, struct cycle *c, size_t pair) {
    const size_t k = b->cycles++;
    b->pairing = p;
    b->pair[k] = pair;
    b->hits[k] = b->units[k] = 1.0;
    if (!parts_make(&b->parts[k], c))
        return 0;
    for (size_t i = 0; i < b->parts[k].count; i++)
        for (size_t w = 0; w < WAYS_MAX && b->parts[k].part[i].ways[w]; w++) {
            const struct side side = {.run = b->parts[k].part[i].ways[w], .user = &b->parts[k]};
            b->beside[k][i][w] = pairing_beside(p, side);
        }
    return 1;
}

void bound_add_between(struct bound *b, struct pairing *p, struct between *between) {
    const struct side side = {.run = between_run, .user = between};
    b->pairing = p;
    b->between = between;
    b->beside_between = pairing_beside(p, side);
}

static double share(double measured, double made_for) {
    return made_for > 0.0 ? measured / made_for : 1.0;
}

void bound_scale(struct bound *b, size_t pair, double coincidences, double column_pulses) {
    for (size_t k = 0; k < b->cycles; k++)
        if (b->pair[k] == pair && b->parts[k].hits) {
            b->hits[k] = share(coincidences, b->parts[k].mean.coincidences);
            b->units[k] = share(column_pulses, b->parts[k].mean.column_pulses);
        }
}

static double median(const double *v, size_t n) {
    double *copy = room(n * sizeof *copy), m;
    memcpy(copy, v, n * sizeof *copy);
    m = quantile(copy, n, 0.5);
    free(copy);
    return m;
}

/* Times of the fastest way of a part. */
static const double *fastest(const struct bound *b, size_t k, size_t i) {
    const struct pairing *p = b->pairing;
    const struct part *part = &b->parts[k].part[i];
    const double *best = p->beside_ns[b->beside[k][i][0]];
    for (size_t w = 1; w < WAYS_MAX && part->ways[w]; w++)
        if (median(p->beside_ns[b->beside[k][i][w]], p->done) < median(best, p->done))
            best = p->beside_ns[b->beside[k][i][w]];
    if (part->or_theirs && median(p->b_ns[b->pair[k]], p->done) < median(best, p->done))
        best = p->b_ns[b->pair[k]];
    return best;
}

static void add_series(struct bound *b, double *sum, enum part_kind kind, const double *ns, double times) {
    b->ns[kind] += times * median(ns, b->pairing->done);
    for (size_t i = 0; i < b->pairing->done; i++)
        sum[i] += times * ns[i];
}

struct paired bound_measured(struct bound *b) {
    double *sum = room(b->pairing->done * sizeof *sum);
    struct paired r;
    memset(b->ns, 0, sizeof b->ns);
    for (size_t k = 0; k < b->cycles; k++)
        for (size_t i = 0; i < b->parts[k].count; i++) {
            const struct part *part = &b->parts[k].part[i];
            const double size = part->size == BY_HITS ? b->hits[k] : part->size == BY_UNITS ? b->units[k] : 1.0;
            add_series(b, sum, part->kind, fastest(b, k, i), size * part->times);
        }
    if (b->between)
        add_series(b, sum, PART_LAYERS, b->pairing->beside_ns[b->beside_between], 1.0);
    r = pairing_against(b->pairing, sum);
    free(sum);
    return r;
}

void bound_text(const struct bound *b, char *text, size_t size) {
    size_t at = (size_t)snprintf(text, size, "bound:");
    for (size_t kind = 0; kind < PART_KINDS && at < size; kind++)
        if (b->ns[kind] > 0.0)
            at += (size_t)snprintf(text + at, size - at, "%s %s %.3g us", at > 6 ? " +" : "", kind_names[kind],
                                   b->ns[kind] * 1e-3);
}

void bound_counters(const struct bound *b, struct gb_state *state) {
    for (size_t kind = 0; kind < PART_KINDS; kind++)
        if (b->ns[kind] > 0.0) {
            char name[32];
            snprintf(name, sizeof name, "bound_%s_ns", kind_names[kind]);
            gb_counter(state, name, b->ns[kind], GB_PLAIN);
        }
}

void bound_free(struct bound *b) {
    for (size_t k = 0; k < b->cycles; k++)
        parts_free(&b->parts[k]);
    between_free(b->between);
    *b = (struct bound){0};
}
