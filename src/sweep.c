/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep.h"

#include "config_check.h"
#include "config_table.h"
#include "error.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define SEED_KEY "training.seed"
#define CASE_KEY "case"

/* One key that varies. */
struct axis {
    const char *path;            /* dotted, indices as numbers */
    const char *tail;            /* its end, as long as needed to tell the keys apart */
    const char *block;           /* "list", "cases", "grid" or "seeds" */
    const struct rpu_node *list; /* of its values; of cases: the map of them */
    const char **texts;          /* each value as a text */
    size_t count;
};

struct rpu_sweep {
    struct rpu_arena arena;
    const char *origin;
    struct rpu_node *base; /* what all runs share */
    char preset[64];
    struct axis *axes; /* those of `list`, then the cases, then those of `grid`, then the seeds */
    size_t n_axes;
    size_t n_list; /* the first so many move together */
    size_t n_seeds;
    size_t count;
    const char **names;
};

static enum rpu_status no_memory(struct rpu_error *err) {
    return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
}

static char *keep(struct rpu_sweep *s, const char *text) {
    return rpu_arena_copy(&s->arena, text, strlen(text));
}

/* ---- what all runs share ---- */

static const char *const own_keys[] = {"base", "grid", "list", "seeds", "cases"};

enum { N_OWN = sizeof own_keys / sizeof own_keys[0], NAMES_MAX = 32 };

static int is_own(const char *key) {
    for (size_t i = 0; i < N_OWN; i++)
        if (strcmp(key, own_keys[i]) == 0)
            return 1;
    return 0;
}

/* Keys of a sweep file: its own, and those of a configuration; `base` stands for `preset`. */
static void top_keys(const char *names[NAMES_MAX]) {
    const struct rpu_key *k;
    size_t n = 0;
    for (; n < N_OWN; n++)
        names[n] = own_keys[n];
    for (size_t i = 0; (k = rpu_key_at(i)) && n + 1 < NAMES_MAX; i++)
        if (k->scope == RPU_SCOPE_TOP && !strchr(k->path, '.') && strcmp(k->path, "preset") != 0)
            names[n++] = k->path;
    names[n] = NULL;
}

static enum rpu_status check_top_key(const struct rpu_node *node, struct rpu_error *err) {
    const char *names[NAMES_MAX], *nearest;
    char all[256] = "";
    top_keys(names);
    for (size_t i = 0; names[i]; i++) {
        const size_t used = strlen(all);
        if (strcmp(node->key, names[i]) == 0)
            return RPU_OK;
        snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", names[i]);
    }
    nearest = strcmp(node->key, "preset") == 0 ? "base" : rpu_nearest(node->key, names);
    return rpu_fail_at(err, RPU_ERR_CONFIG, node->origin, node->line, node->key, "unknown key%s%s%s; allowed are %s",
                       nearest ? " (did you mean '" : "", nearest ? nearest : "", nearest ? "'?)" : "", all);
}

/* Takes the keys of a configuration out of the file's map. */
static struct rpu_node *take_config(struct rpu_sweep *s, const struct rpu_node *root) {
    struct rpu_node *config = rpu_arena_alloc(&s->arena, sizeof *config);
    if (!config)
        return NULL;
    config->kind = RPU_NODE_MAP;
    config->origin = root->origin;
    config->line = root->line;
    for (const struct rpu_node *n = root->first; n; n = n->next) {
        struct rpu_node *copy;
        if (is_own(n->key))
            continue;
        copy = rpu_node_copy(n, &s->arena);
        if (!copy)
            return NULL;
        if (config->last)
            config->last->next = copy;
        else
            config->first = copy;
        config->last = copy;
        config->count++;
    }
    return config;
}

/* The base as a path that can be opened: relative to the sweep file's folder. Presets stay as they are. */
static const char *base_path(struct rpu_sweep *s, const char *base) {
    const char *slash = strrchr(s->origin, '/');
    char path[RPU_PATH_MAX];
    if (rpu_preset_yaml(base) || base[0] == '/' || !slash)
        return base;
    if (snprintf(path, sizeof path, "%.*s/%s", (int)(slash - s->origin), s->origin, base) >= (int)sizeof path)
        return base;
    return keep(s, path);
}

static enum rpu_status bad_base(const struct rpu_node *node, const char *wrong, struct rpu_error *err) {
    char allowed[320] = "a preset or a file; presets are ";
    for (size_t i = 0; rpu_preset_name(i); i++) {
        const size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s%s", i ? ", " : "", rpu_preset_name(i));
    }
    return rpu_config_refuse(node, "base", wrong, allowed, err);
}

static enum rpu_status read_base(struct rpu_sweep *s, const struct rpu_node *node, struct rpu_error *err) {
    const char *path = NULL;
    if (node) {
        if (node->kind != RPU_NODE_SCALAR || !*node->text)
            return bad_base(node, NULL, err);
        path = base_path(s, node->text);
        if (!path)
            return no_memory(err);
        if (!rpu_preset_yaml(path) && access(path, R_OK) != 0) {
            char wrong[128];
            snprintf(wrong, sizeof wrong, "is no preset, and no file that can be read (%.60s)", strerror(errno));
            return bad_base(node, wrong, err);
        }
    }
    return rpu_config_source(&s->base, s->preset, path, &s->arena, err);
}

/* ---- the keys that vary ---- */

/* "a[0].b" as "a.0.b", so that one key has one name. */
static char *plain_path(struct rpu_sweep *s, const char *path) {
    char *plain = keep(s, path), *to = plain;
    if (!plain)
        return NULL;
    for (const char *c = path; *c; c++)
        if (*c == '[')
            *to++ = '.';
        else if (*c != ']')
            *to++ = *c;
    *to = '\0';
    return plain;
}

/* Whether one path is the other or lies within it, in either form. */
static int paths_touch(const char *a, const char *b) {
    for (;; a++, b++) {
        a += *a == ']';
        b += *b == ']';
        const char ca = *a == '[' ? '.' : *a, cb = *b == '[' ? '.' : *b;
        if (!ca || !cb)
            return (!ca || ca == '.') && (!cb || cb == '.');
        if (ca != cb)
            return 0;
    }
}

static void show_value(struct rpu_text *out, const struct rpu_node *node) {
    const char *gap = "";
    if (node->kind == RPU_NODE_SCALAR) {
        rpu_text_put(out, node->text);
        return;
    }
    rpu_text_put(out, node->kind == RPU_NODE_MAP ? "{" : "[");
    for (const struct rpu_node *n = node->first; n; n = n->next) {
        rpu_text_put(out, gap);
        if (n->key) {
            rpu_text_put(out, n->key);
            rpu_text_put(out, ": ");
        }
        show_value(out, n);
        gap = ", ";
    }
    rpu_text_put(out, node->kind == RPU_NODE_MAP ? "}" : "]");
}

static char *value_text(struct rpu_sweep *s, const struct rpu_node *node) {
    struct rpu_text out = {0};
    char *text, *kept;
    show_value(&out, node);
    text = rpu_text_take(&out);
    kept = text ? keep(s, text) : NULL;
    free(text);
    return kept;
}

static void full_path(char path[RPU_KEY_PATH_MAX], const char *block, const char *key) {
    snprintf(path, RPU_KEY_PATH_MAX, "%s%s%s", block, key ? "." : "", key ? key : "");
}

static enum rpu_status add_axis(struct rpu_sweep *s, const char *block, const char *key, const struct rpu_node *list,
                                struct rpu_error *err) {
    struct axis *a = &s->axes[s->n_axes];
    char place[RPU_KEY_PATH_MAX];
    size_t i = 0;
    full_path(place, block, key);
    if (list->kind != RPU_NODE_LIST)
        return rpu_config_refuse(list, place, NULL, "a list of values, such as [1, 2, 3]", err);
    if (list->count == 0)
        return rpu_fail_at(err, RPU_ERR_CONFIG, list->origin, list->line, place,
                           "found an empty list; allowed is a list of values, such as [1, 2, 3]");
    *a = (struct axis){.block = block, .list = list, .count = list->count};
    a->path = plain_path(s, key ? key : SEED_KEY);
    a->texts = rpu_arena_alloc(&s->arena, list->count * sizeof *a->texts);
    if (!a->path || !a->texts)
        return no_memory(err);
    for (const struct rpu_node *n = list->first; n; n = n->next)
        if (!(a->texts[i++] = value_text(s, n)))
            return no_memory(err);
    if (a->path[0] == '\0' || strcmp(a->path, "preset") == 0)
        return rpu_fail_at(err, RPU_ERR_CONFIG, list->origin, list->line, place,
                           "cannot vary; allowed is the dotted path of a key, such as training.epochs");
    s->n_axes++;
    return RPU_OK;
}

/* The map `list` or `grid`. */
static enum rpu_status add_block(struct rpu_sweep *s, const char *block, const struct rpu_node *map,
                                 struct rpu_error *err) {
    enum rpu_status status = RPU_OK;
    if (map->kind != RPU_NODE_MAP)
        return rpu_config_refuse(map, block, NULL, "a map of keys and lists, such as {training.eta: [0.01, 0.02]}",
                                 err);
    for (const struct rpu_node *n = map->first; n && status == RPU_OK; n = n->next)
        status = add_axis(s, block, n->key, n, err);
    return status;
}

/* The map `cases`: a name and a map of keys and values for each. */
static enum rpu_status add_cases(struct rpu_sweep *s, const struct rpu_node *map, struct rpu_error *err) {
    static const char wanted[] = "a map of names and maps, such as {managed: {arrays.default.update.um: true}}";
    struct axis *a = &s->axes[s->n_axes];
    size_t i = 0;
    char place[RPU_KEY_PATH_MAX];
    if (map->kind != RPU_NODE_MAP || map->count == 0)
        return rpu_config_refuse(map, "cases", NULL, wanted, err);
    *a = (struct axis){.path = CASE_KEY, .block = "cases", .list = map, .count = map->count};
    a->texts = rpu_arena_alloc(&s->arena, map->count * sizeof *a->texts);
    if (!a->texts)
        return no_memory(err);
    for (const struct rpu_node *n = map->first; n; n = n->next) {
        full_path(place, "cases", n->key);
        if (n->kind != RPU_NODE_MAP)
            return rpu_config_refuse(n, place, NULL, "a map of keys and values, or {} for what all runs share", err);
        a->texts[i++] = n->key;
    }
    s->n_axes++;
    return RPU_OK;
}

static enum rpu_status add_axes(struct rpu_sweep *s, const struct rpu_node *root, struct rpu_error *err) {
    const struct rpu_node *list = rpu_node_child(root, "list"), *grid = rpu_node_child(root, "grid");
    const struct rpu_node *seeds = rpu_node_child(root, "seeds"), *cases = rpu_node_child(root, "cases");
    enum rpu_status status = RPU_OK;
    s->axes = rpu_arena_alloc(&s->arena, ((list ? list->count : 0) + (grid ? grid->count : 0) + 2) * sizeof *s->axes);
    if (!s->axes)
        return no_memory(err);
    if (list)
        status = add_block(s, "list", list, err);
    s->n_list = s->n_axes;
    if (cases && status == RPU_OK)
        status = add_cases(s, cases, err);
    if (grid && status == RPU_OK)
        status = add_block(s, "grid", grid, err);
    if (seeds && status == RPU_OK) {
        status = add_axis(s, "seeds", NULL, seeds, err);
        s->n_seeds = seeds->count;
    }
    if (status == RPU_OK && s->n_axes == 0)
        return rpu_fail_at(
            err, RPU_ERR_CONFIG, s->origin, 0, NULL,
            "nothing varies; allowed is at least one of grid, list (maps of keys and lists), cases (a map "
            "of maps) and seeds (a list)");
    return status;
}

/* ---- what the keys may not do ---- */

static enum rpu_status axis_error(const struct axis *a, const char *message, struct rpu_error *err) {
    char place[RPU_KEY_PATH_MAX];
    full_path(place, a->block, a->list->key && strcmp(a->block, "seeds") != 0 ? a->list->key : NULL);
    return rpu_fail_at(err, RPU_ERR_CONFIG, a->list->origin, a->list->line, place, "%s", message);
}

/* A key that varies stands nowhere else: not twice, not within another, not among what all runs share. */
static enum rpu_status check_once(const struct rpu_sweep *s, const struct rpu_node *config, size_t k,
                                  struct rpu_error *err) {
    const struct axis *a = &s->axes[k];
    const struct rpu_node *shared = rpu_node_find(config, a->path);
    char message[RPU_KEY_PATH_MAX + 128];
    for (size_t j = 0; j < k; j++)
        if (paths_touch(a->path, s->axes[j].path)) {
            snprintf(message, sizeof message, "varies %s, which %s varies already (%s, line %ld); allowed is once",
                     a->path, s->axes[j].block, s->axes[j].path, s->axes[j].list->line);
            return axis_error(a, message, err);
        }
    if (shared) {
        snprintf(message, sizeof message, "varies %s, which line %ld sets for all runs; allowed is one of both",
                 a->path, shared->line);
        return axis_error(a, message, err);
    }
    return RPU_OK;
}

/* What a case sets is varied by nothing else. */
static enum rpu_status check_cases(const struct rpu_sweep *s, const struct axis *cases, struct rpu_error *err) {
    char place[RPU_KEY_PATH_MAX], below[RPU_KEY_PATH_MAX / 2];
    for (const struct rpu_node *c = cases->list->first; c; c = c->next)
        for (const struct rpu_node *n = c->first; n; n = n->next) {
            snprintf(below, sizeof below, "%.40s.%.80s", c->key, n->key);
            full_path(place, "cases", below);
            if (strcmp(n->key, "preset") == 0)
                return rpu_fail_at(err, RPU_ERR_CONFIG, n->origin, n->line, place,
                                   "cannot vary; allowed is the dotted path of a key, such as training.epochs");
            for (size_t j = 0; j < s->n_axes; j++)
                if (paths_touch(n->key, s->axes[j].path))
                    return rpu_fail_at(err, RPU_ERR_CONFIG, n->origin, n->line, place,
                                       "sets %s, which %s varies (%s, line %ld); allowed is one of both", n->key,
                                       s->axes[j].block, s->axes[j].path, s->axes[j].list->line);
        }
    return RPU_OK;
}

static int is_cases(const struct axis *a) {
    return strcmp(a->block, "cases") == 0;
}

/* The entry of a case that touches a path, or null. */
static const struct rpu_node *case_entry(const struct axis *a, const char *path) {
    for (const struct rpu_node *c = is_cases(a) ? a->list->first : NULL; c; c = c->next)
        for (const struct rpu_node *n = c->first; n; n = n->next)
            if (paths_touch(n->key, path))
                return n;
    return NULL;
}

static enum rpu_status check_assignment(const struct rpu_sweep *s, const struct rpu_assignment *assignment,
                                        struct rpu_error *err) {
    char path[RPU_KEY_PATH_MAX];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(assignment->text, "="), assignment->text);
    for (const struct axis *a = s->axes; a < s->axes + s->n_axes; a++) {
        const struct rpu_node *entry = case_entry(a, path);
        if (entry)
            return rpu_fail_at(err, RPU_ERR_CONFIG, assignment->origin, 0, path,
                               "cannot be set for all runs: a case sets %s (%s, line %ld)", entry->key, s->origin,
                               entry->line);
        if (paths_touch(path, a->path))
            return rpu_fail_at(err, RPU_ERR_CONFIG, assignment->origin, 0, path,
                               "cannot be set for all runs: %s varies %s (%s, line %ld)", a->block, a->path, s->origin,
                               a->list->line);
    }
    return RPU_OK;
}

static const struct rpu_node *value_node(const struct axis *a, size_t index) {
    const struct rpu_node *n = a->list->first;
    while (index--)
        n = n->next;
    return n;
}

static enum rpu_status repeated(const struct axis *a, size_t index, const char *what, struct rpu_error *err) {
    const struct rpu_node *n = value_node(a, index);
    char place[RPU_KEY_PATH_MAX], shown[128];
    full_path(place, a->block, a->list->key && strcmp(a->block, "seeds") != 0 ? a->list->key : NULL);
    return rpu_fail_at(err, RPU_ERR_CONFIG, n->origin, n->line, place, "found %s again%s; allowed is once",
                       rpu_node_show(n, shown, sizeof shown), what);
}

static enum rpu_status check_values_once(const struct axis *a, struct rpu_error *err) {
    for (size_t i = 1; i < a->count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(a->texts[i], a->texts[j]) == 0)
                return repeated(a, i, "", err);
    return RPU_OK;
}

static int same_row(const struct rpu_sweep *s, size_t i, size_t j) {
    for (size_t k = 0; k < s->n_list; k++)
        if (strcmp(s->axes[k].texts[i], s->axes[k].texts[j]) != 0)
            return 0;
    return 1;
}

/* The keys of `list` have equally many values, and no two rows are the same. */
static enum rpu_status check_list(const struct rpu_sweep *s, struct rpu_error *err) {
    char message[160];
    for (size_t k = 1; k < s->n_list; k++)
        if (s->axes[k].count != s->axes[0].count) {
            snprintf(message, sizeof message, "found %zu values; allowed are %zu, as many as of %.60s",
                     s->axes[k].count, s->axes[0].count, s->axes[0].path);
            return axis_error(&s->axes[k], message, err);
        }
    for (size_t i = 1; s->n_list && i < s->axes[0].count; i++)
        for (size_t j = 0; j < i; j++)
            if (same_row(s, i, j))
                return repeated(&s->axes[0], i, s->n_list > 1 ? ", with the same values beside it" : "", err);
    return RPU_OK;
}

static enum rpu_status count_runs(struct rpu_sweep *s, struct rpu_error *err) {
    char message[96];
    s->count = s->n_list ? s->axes[0].count : 1; /* a list has at most RPU_YAML_MAX_ENTRIES: no product overflows */
    for (size_t k = s->n_list; k < s->n_axes; k++) {
        s->count *= s->axes[k].count;
        if (s->count > RPU_SWEEP_MAX_RUNS) {
            snprintf(message, sizeof message, "makes %zu runs or more; allowed are %d", s->count, RPU_SWEEP_MAX_RUNS);
            return axis_error(&s->axes[k], message, err);
        }
    }
    return RPU_OK;
}

static enum rpu_status check_axes(struct rpu_sweep *s, const struct rpu_node *config,
                                  const struct rpu_assignment *assignments, size_t n, struct rpu_error *err) {
    enum rpu_status status = RPU_OK;
    for (size_t k = 0; k < s->n_axes && status == RPU_OK; k++)
        status = is_cases(&s->axes[k]) ? check_cases(s, &s->axes[k], err) : check_once(s, config, k, err);
    for (size_t i = 0; i < n && status == RPU_OK; i++)
        status = check_assignment(s, &assignments[i], err);
    if (status == RPU_OK)
        status = check_list(s, err);
    for (size_t k = s->n_list; k < s->n_axes && status == RPU_OK; k++)
        status = check_values_once(&s->axes[k], err);
    return status == RPU_OK ? count_runs(s, err) : status;
}

/* ---- names ---- */

static int ends_with_part(const char *path, const char *tail) {
    const size_t n = strlen(path), t = strlen(tail);
    return n >= t && strcmp(path + n - t, tail) == 0 && (n == t || path[n - t - 1] == '.');
}

/* The shortest end of a path, in whole parts, that no other key ends with. */
static const char *short_name(const struct rpu_sweep *s, size_t k) {
    const char *path = s->axes[k].path, *tail = path + strlen(path);
    while (tail > path) {
        size_t others = 0;
        do
            tail--;
        while (tail > path && tail[-1] != '.');
        for (size_t j = 0; j < s->n_axes; j++)
            others += j != k && ends_with_part(s->axes[j].path, tail);
        if (!others)
            break;
    }
    return tail;
}

/* Bytes that mean something in a name or to a shell become %XX, so that different values stay different. */
static void add_safe(struct rpu_text *name, const char *text) {
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        const int plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                          strchr("._+-", c) != NULL || c >= 0x80;
        if (plain)
            rpu_text_add(name, text, 1);
        else
            rpu_text_format(name, "%%%02X", c);
    }
}

static size_t value_index(const struct rpu_sweep *s, size_t run, size_t key) {
    for (size_t k = s->n_axes; k-- > s->n_list;) {
        const size_t index = run % s->axes[k].count;
        if (k == key)
            return index;
        run /= s->axes[k].count;
    }
    return run;
}

/* A name that is too long keeps its beginning and gets a hash of the whole. */
static void shorten(struct rpu_text *name) {
    char hash[24];
    size_t cut;
    if (name->failed || name->length <= RPU_SWEEP_MAX_NAME)
        return;
    cut = RPU_SWEEP_MAX_NAME -
          (size_t)snprintf(hash, sizeof hash, "~%016llx", (unsigned long long)XXH64(name->bytes, name->length, 0));
    while (cut > 0 && ((unsigned char)name->bytes[cut] & 0xc0) == 0x80) /* not within a character */
        cut--;
    name->length = cut;
    rpu_text_put(name, hash);
}

static char *run_name(struct rpu_sweep *s, size_t run) {
    struct rpu_text name = {0};
    char *text, *kept;
    for (size_t k = 0; k < s->n_axes; k++) {
        rpu_text_put(&name, k ? "," : "");
        add_safe(&name, s->axes[k].tail);
        rpu_text_put(&name, "=");
        add_safe(&name, rpu_sweep_value(s, run, k));
    }
    shorten(&name);
    text = rpu_text_take(&name);
    kept = text ? keep(s, text) : NULL;
    free(text);
    return kept;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Values that differ have names that differ, but for hashes of what is too long. */
static enum rpu_status check_names(const struct rpu_sweep *s, struct rpu_error *err) {
    const char **sorted = malloc(s->count * sizeof *sorted);
    enum rpu_status status = RPU_OK;
    if (!sorted)
        return no_memory(err);
    memcpy(sorted, s->names, s->count * sizeof *sorted);
    qsort(sorted, s->count, sizeof *sorted, compare_names);
    for (size_t i = 1; i < s->count && status == RPU_OK; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            status = rpu_fail_at(err, RPU_ERR_CONFIG, s->origin, 0, NULL, "two runs of the name %s", sorted[i]);
    free(sorted);
    return status;
}

static enum rpu_status make_names(struct rpu_sweep *s, struct rpu_error *err) {
    for (size_t k = 0; k < s->n_axes; k++)
        s->axes[k].tail = short_name(s, k);
    s->names = rpu_arena_alloc(&s->arena, s->count * sizeof *s->names);
    if (!s->names)
        return no_memory(err);
    for (size_t i = 0; i < s->count; i++)
        if (!(s->names[i] = run_name(s, i)))
            return no_memory(err);
    return check_names(s, err);
}

/* ---- reading ---- */

static enum rpu_status read_shared(struct rpu_sweep *s, const struct rpu_node *root, struct rpu_node **config,
                                   struct rpu_error *err) {
    enum rpu_status status = RPU_OK;
    struct rpu_node *over;
    if (root->kind != RPU_NODE_MAP)
        return rpu_config_refuse(root, NULL, NULL, "a map of keys", err);
    for (const struct rpu_node *n = root->first; n && status == RPU_OK; n = n->next)
        status = check_top_key(n, err);
    if (status == RPU_OK)
        status = read_base(s, rpu_node_child(root, "base"), err);
    if (status != RPU_OK)
        return status;
    *config = take_config(s, root);
    over = *config ? rpu_node_copy(*config, &s->arena) : NULL;
    if (!over)
        return no_memory(err);
    status = rpu_config_check(*config, err);
    if (status == RPU_OK)
        rpu_node_merge(s->base, over);
    return status;
}

static enum rpu_status check_runs(const struct rpu_sweep *s, struct rpu_error *err) {
    struct rpu_config *config = malloc(sizeof *config);
    enum rpu_status status = config ? RPU_OK : no_memory(err);
    for (size_t i = 0; i < s->count && status == RPU_OK; i++)
        status = rpu_sweep_config(s, i, config, err);
    free(config);
    return status;
}

static enum rpu_status read_all(struct rpu_sweep *s, const char *path, const struct rpu_assignment *assignments,
                                size_t n, struct rpu_error *err) {
    struct rpu_yaml_source source = {&s->arena, NULL, "", 1};
    struct rpu_node *root = NULL, *config = NULL;
    enum rpu_status status;
    s->origin = source.origin = keep(s, path);
    if (!s->origin)
        return no_memory(err);
    status = rpu_yaml_read(&root, path, &source, err);
    if (status == RPU_OK)
        status = read_shared(s, root, &config, err);
    if (status == RPU_OK)
        status = add_axes(s, root, err);
    if (status == RPU_OK)
        status = check_axes(s, config, assignments, n, err);
    for (size_t i = 0; i < n && status == RPU_OK; i++)
        status = rpu_config_assign(s->base, &assignments[i], &s->arena, err);
    if (status == RPU_OK)
        status = make_names(s, err);
    return status == RPU_OK ? check_runs(s, err) : status;
}

enum rpu_status rpu_sweep_read(struct rpu_sweep **sweep, const char *path, const struct rpu_assignment *assignments,
                               size_t n_assignments, struct rpu_error *err) {
    struct rpu_sweep *s = calloc(1, sizeof *s);
    enum rpu_status status;
    *sweep = NULL;
    rpu_error_clear(err);
    if (!s)
        return no_memory(err);
    status = read_all(s, path, assignments, n_assignments, err);
    if (status == RPU_OK)
        *sweep = s;
    else
        rpu_sweep_free(s);
    return status;
}

void rpu_sweep_free(struct rpu_sweep *sweep) {
    if (!sweep)
        return;
    rpu_arena_free(&sweep->arena);
    free(sweep);
}

/* ---- looking ---- */

size_t rpu_sweep_count(const struct rpu_sweep *sweep) {
    return sweep->count;
}

static enum rpu_status put_value(struct rpu_node *root, const char *path, const struct rpu_node *value,
                                 struct rpu_arena *arena, struct rpu_error *err) {
    struct rpu_node *copy = rpu_node_copy(value, arena);
    return copy ? rpu_node_put(root, path, copy, arena, err) : no_memory(err);
}

static enum rpu_status put_values(const struct rpu_sweep *s, size_t run, struct rpu_node *root, struct rpu_arena *arena,
                                  struct rpu_error *err) {
    enum rpu_status status = RPU_OK;
    for (size_t k = 0; k < s->n_axes && status == RPU_OK; k++) {
        const struct rpu_node *value = value_node(&s->axes[k], value_index(s, run, k));
        if (!is_cases(&s->axes[k]))
            status = put_value(root, s->axes[k].path, value, arena, err);
        for (const struct rpu_node *n = is_cases(&s->axes[k]) ? value->first : NULL; n && status == RPU_OK; n = n->next)
            status = put_value(root, n->key, n, arena, err);
    }
    return status;
}

enum rpu_status rpu_sweep_config(const struct rpu_sweep *sweep, size_t run, struct rpu_config *config,
                                 struct rpu_error *err) {
    struct rpu_arena arena = {0};
    struct rpu_node *root = rpu_node_copy(sweep->base, &arena);
    enum rpu_status status = root ? put_values(sweep, run, root, &arena, err) : no_memory(err);
    if (status == RPU_OK)
        status = rpu_config_check(root, err);
    if (status == RPU_OK) {
        memset(config, 0, sizeof *config);
        memcpy(config->preset, sweep->preset, sizeof config->preset);
        status = rpu_config_fill(config, root, err);
    }
    if (status == RPU_OK && config->threads == 0)
        config->threads = 1;
    rpu_arena_free(&arena);
    return status;
}

const char *rpu_sweep_name(const struct rpu_sweep *sweep, size_t run) {
    return sweep->names[run];
}

size_t rpu_sweep_key_count(const struct rpu_sweep *sweep) {
    return sweep->n_axes;
}

const char *rpu_sweep_key(const struct rpu_sweep *sweep, size_t key) {
    return sweep->axes[key].path;
}

const char *rpu_sweep_key_short(const struct rpu_sweep *sweep, size_t key) {
    return sweep->axes[key].tail;
}

const char *rpu_sweep_value(const struct rpu_sweep *sweep, size_t run, size_t key) {
    return sweep->axes[key].texts[value_index(sweep, run, key)];
}

size_t rpu_sweep_seed_count(const struct rpu_sweep *sweep) {
    return sweep->n_seeds;
}
