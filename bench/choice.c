/* SPDX-License-Identifier: Apache-2.0 */
#include "choice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEAM_LARGEST = 1024 };

struct bench_team {
    struct bench_team *next;
    const char *isa;
    int team;
    struct rpu_engine *engine;
};

/* ---- memory of the registered benchmarks ---- */

void *bench_keep(struct bench *b, size_t bytes) {
    if ((b->n_kept & (b->n_kept - 1)) == 0) {
        void **more = realloc(b->kept, (b->n_kept ? 2 * b->n_kept : 1) * sizeof *more);
        if (!more)
            abort();
        b->kept = more;
    }
    b->kept[b->n_kept] = room(bytes);
    return b->kept[b->n_kept++];
}

/* ---- engines ---- */

const char *bench_best(const struct bench *b) {
    return b->isas[b->n_isas - 1];
}

const struct rpu_engine *bench_engine(struct bench *b, const char *isa, int team) {
    struct bench_team *t = b->engines;
    const struct rpu_engine_options options = {.isa = isa, .threads = team, .share = RPU_SHARE_ALWAYS};
    struct rpu_error err;
    while (t && (t->team != team || strcmp(t->isa, isa) != 0))
        t = t->next;
    if (t)
        return t->engine;
    t = room(sizeof *t);
    *t = (struct bench_team){b->engines, isa, team, NULL};
    if (rpu_engine_create_with(&t->engine, &options, &err) != RPU_OK) {
        fprintf(stderr, "rpubench-bench: %s\n", err.message);
        exit(1);
    }
    spoil(t->engine, b);
    b->engines = t;
    return t->engine;
}

void choice_free(struct bench *b) {
    while (b->engines) {
        struct bench_team *next = b->engines->next;
        rpu_engine_destroy(b->engines->engine);
        free(b->engines);
        b->engines = next;
    }
    for (size_t i = 0; i < b->n_kept; i++)
        free(b->kept[i]);
    free(b->kept);
}

/* ---- variants ---- */

/* Whether a list separated by commas, or "all", holds a name. */
static int listed(const char *list, const char *name) {
    const size_t length = strlen(name);
    if (!list || strcmp(list, "all") == 0)
        return 1;
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return 1;
    }
    return 0;
}

static int is_usable(const char *name, size_t length) {
    for (size_t i = 0; i < rpu_isa_count(); i++)
        if (strlen(rpu_isa_name(i)) == length && strncmp(name, rpu_isa_name(i), length) == 0)
            return 1;
    return 0;
}

/* Names the first of a list that this machine cannot run. */
static int check_isas(const char *list) {
    for (const char *at = list; at && strcmp(list, "all") != 0;) {
        const size_t length = strcspn(at, ",");
        if (!is_usable(at, length)) {
            fprintf(stderr, "rpubench-bench: --isa: found '%.*s', allowed are all,", (int)length, at);
            for (size_t i = 0; i < rpu_isa_count(); i++)
                fprintf(stderr, " %s%s", rpu_isa_name(i), i + 1 < rpu_isa_count() ? "," : "\n");
            return 0;
        }
        at = at[length] ? at + length + 1 : NULL;
    }
    return 1;
}

int choose_isas(struct bench *b, const char *list) {
    if (!check_isas(list))
        return 0;
    for (size_t i = 0; i < rpu_isa_count() && b->n_isas < ISAS_MAX; i++)
        if (listed(list, rpu_isa_name(i)))
            b->isas[b->n_isas++] = rpu_isa_name(i);
    return 1;
}

/* ---- threads ---- */

static void add_team(struct bench *b, int team) {
    size_t at = b->n_teams;
    for (size_t i = 0; i < b->n_teams; i++)
        if (b->teams[i] == team)
            return;
    for (; at > 0 && b->teams[at - 1] > team; at--)
        b->teams[at] = b->teams[at - 1];
    b->teams[at] = team;
    b->n_teams++;
}

int bench_next_team(const struct bench *b, int team) {
    const int most = b->teams[b->n_teams - 1];
    if (b->teams_asked) {
        for (size_t t = 0; t < b->n_teams; t++)
            if (b->teams[t] > team)
                return b->teams[t];
        return 0;
    }
    if (team >= most)
        return 0;
    return most <= 8 || team == 0 ? team + 1 : 2 * team < most ? 2 * team : most;
}

int choose_teams(struct bench *b, const char *list) {
    struct rpu_engine *engine;
    if (!list) {
        if (rpu_engine_create(&engine, bench_best(b), 0, NULL) != RPU_OK)
            return 0;
        add_team(b, 1);
        add_team(b, rpu_engine_threads(engine));
        rpu_engine_destroy(engine);
        return 1;
    }
    b->teams_asked = 1;
    for (const char *at = list; at;) {
        char *end;
        errno = 0;
        const long n = strtol(at, &end, 10);
        if (errno || end == at || (*end && *end != ',') || n < 1 || n > TEAM_LARGEST || b->n_teams == TEAMS_MOST) {
            fprintf(stderr,
                    "rpubench-bench: --threads: found '%s', allowed are up to %d whole numbers from 1 to %d, "
                    "separated by commas\n",
                    list, TEAMS_MOST, TEAM_LARGEST);
            return 0;
        }
        add_team(b, (int)n);
        at = *end ? end + 1 : NULL;
    }
    return 1;
}
