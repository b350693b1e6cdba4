/* SPDX-License-Identifier: Apache-2.0 */
/* A mapping for human readers. */
#include "map.h"

#include "commands.h"

#include <inttypes.h>
#include <string.h>

enum { CELL = 32 };

static const char *sides(char text[CELL], uint32_t rows, uint32_t cols) {
    snprintf(text, CELL, "%" PRIu32 "x%" PRIu32, rows, cols);
    return text;
}

/* "62.4 M", "80" */
static const char *amount(char text[CELL], double n) {
    static const char *const units[] = {"", " k", " M", " G", " T"};
    size_t u = 0;
    while (u < 4 && n >= 999.5) {
        n /= 1e3;
        u++;
    }
    snprintf(text, CELL, u ? "%.3g%s" : "%.0f%s", n, units[u]);
    return text;
}

/* Images in a second, to the whole one where there are many. */
static const char *rate(char text[CELL], double ns) {
    snprintf(text, CELL, ns < 1e7 ? "%.0f" : "%.3g", 1e9 / ns);
    return text;
}

/* Width of the first column. */
static int name_width(const struct rpu_mapping *m) {
    size_t width = 5;
    for (uint32_t i = 0; i < m->n_arrays; i++)
        width = strlen(m->arrays[i].name) > width ? strlen(m->arrays[i].name) : width;
    return (int)width;
}

static void print_head(FILE *out, int width) {
    fprintf(out, "\n%-*s %10s %7s %6s | %11s %7s %6s %6s %6s %7s | %7s  %8s  %7s  %8s\n", width, "array", "MxN", "ws",
            "MAC", "tile", "t_meas", "grid", "copies", "tiles", "used", "forward", "backward", "update", "training");
    fprintf(out, "%-*s %10s %7s %6s | %11s %7s %6s %6s %6s %7s | %7s  %8s  %7s  %8s\n", width, "", "out x in",
            "vectors", "/image", "out x in", "/vector", "/copy", "", "in all", "of them", "/image", "/image", "/image",
            "/image");
}

static void print_array(FILE *out, const struct rpu_mapped_array *a, int width) {
    char t[CELL], macs[CELL], times[4][CELL], shape[CELL], tile[CELL], grid[CELL];
    fprintf(out, "%-*s %10s %7" PRIu32 " %6s | %11s %7s %6s %6" PRIu32 " %6" PRIu64 " %6.3g%% | %7s  %8s  %7s  %8s\n",
            width, a->name, sides(shape, a->outputs, a->inputs * a->devices), a->columns, amount(macs, (double)a->macs),
            sides(tile, a->tile.rows, a->tile.cols), time_text(t, a->tile.t_meas),
            sides(grid, a->grid_rows, a->grid_cols), a->copies, a->tiles, 100.0 * a->used,
            time_text(times[0], a->ns[0]), a->has_backward ? time_text(times[1], a->ns[1]) : "-",
            time_text(times[2], a->ns[2]), time_text(times[3], rpu_mapped_ns(a, RPU_USE_TRAINING)));
}

static const char *use_name(enum rpu_use use) {
    return use == RPU_USE_TRAINING ? "training" : "inference";
}

static void print_pace(FILE *out, const struct rpu_mapping *m, enum rpu_use use) {
    const struct rpu_pace *p = &m->pace[use];
    char ns[CELL], alone[CELL], in_line[CELL], single[CELL];
    fprintf(out, "%-11s pipeline: an image every %s, %s images/s; %s is the slowest array\n", use_name(use),
            time_text(ns, p->ns), rate(in_line, p->ns), m->arrays[p->slowest].name);
    fprintf(out, "%-11s one image, cycle after cycle: %s, %s images/s\n", "", time_text(alone, p->alone_ns),
            rate(single, p->alone_ns));
}

static void print_rereads(FILE *out, const struct rpu_mapping_report *r) {
    fprintf(out, "%-11s", "rereads");
    for (uint32_t i = 0; i < r->mapping->n_arrays; i++) {
        const struct rpu_mapped_array *a = &r->mapping->arrays[i];
        fprintf(out, "%s %s %.3g", i ? "," : "", a->name, a->rereads[0]);
        if (a->has_backward)
            fprintf(out, "/%.3g", a->rereads[1]);
    }
    fprintf(out, " of a vector (forward/backward), as in %s\n", r->rereads_of);
    for (uint32_t i = 0; i < r->mapping->n_arrays; i++) {
        const struct rpu_mapped_array *a = &r->mapping->arrays[i];
        if (a->reread_copies &&
            (a->reread_rows != a->grid_rows || a->reread_cols != a->grid_cols || a->reread_copies != a->copies))
            fprintf(out,
                    "%-11s %s was divided %" PRIu32 "x%" PRIu32 " (copies: %" PRIu32 ") there, %" PRIu32 "x%" PRIu32
                    " (%" PRIu32 ") here: how often a tile is read again depends on what it sums\n",
                    "", a->name, a->reread_rows, a->reread_cols, a->reread_copies, a->grid_rows, a->grid_cols,
                    a->copies);
    }
}

/* "K1=12,K2=5", padded to the width; a dash where each array has one copy. */
static void print_copies(FILE *out, const struct rpu_mapping *m, const struct rpu_balance *b, int width) {
    int n = 0;
    for (uint32_t i = 0; i < m->n_arrays; i++)
        if (b->copies[i] > 1)
            n += fprintf(out, "%s%s=%" PRIu32, n ? "," : "", m->arrays[i].name, b->copies[i]);
    if (!n)
        n = fprintf(out, "-");
    fprintf(out, "%*s", n < width ? width - n : 0, "");
}

static void print_balance(FILE *out, const struct rpu_mapping *m, enum rpu_use use) {
    enum { WIDTH = 40 };
    struct rpu_balance steps[RPU_LAYERS_MAX];
    const size_t n = rpu_mapping_balance(m, use, steps);
    char ns[CELL], images[CELL];
    fprintf(out, "\nthe fewest copies with which every array is as fast as this one (%s)\n", use_name(use));
    fprintf(out, "%-11s %-*s %8s %9s %10s %6s\n", "array", WIDTH, "copies", "tiles", "an image", "images/s", "gain");
    for (size_t s = 0; s < n; s++) {
        fprintf(out, "%-11s ", m->arrays[steps[s].leader].name);
        print_copies(out, m, &steps[s], WIDTH);
        fprintf(out, " %8" PRIu64 " %9s %10s %5.3gx\n", steps[s].tiles, time_text(ns, steps[s].ns),
                rate(images, steps[s].ns), steps[0].ns / steps[s].ns);
    }
    if (n == 1)
        return;
    fputs("balanced    --replicas ", out);
    print_copies(out, m, &steps[n - 1], 0);
    fputc('\n', out);
}

void print_mapping(FILE *out, const struct rpu_mapping_report *r, enum rpu_use use) {
    const struct rpu_mapping *m = r->mapping;
    const int width = name_width(m);
    char weights[CELL], macs[CELL], crosspoints[CELL];
    fprintf(out, "%s for images of %ux%ux%u: %u arrays, %s weights, %sMAC an image and cycle\n", r->network, m->height,
            m->width, m->channels, m->n_arrays, amount(weights, (double)m->weights), amount(macs, (double)m->macs));
    print_head(out, width);
    for (uint32_t i = 0; i < m->n_arrays; i++)
        print_array(out, &m->arrays[i], width);
    fprintf(out, "\n%-11s %" PRIu64 " with %s crosspoints, of which %.3g %% hold a weight\n", "tiles", m->tiles,
            amount(crosspoints, m->crosspoints), 100.0 * m->used);
    if (r->rereads_of)
        print_rereads(out, r);
    print_pace(out, m, RPU_USE_TRAINING);
    print_pace(out, m, RPU_USE_INFERENCE);
    print_balance(out, m, use);
}
