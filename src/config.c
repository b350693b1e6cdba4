/* SPDX-License-Identifier: Apache-2.0 */
/* Preset, file and assignments into one configuration. */
#include "config_check.h"
#include "config_table.h"
#include "error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_SOURCE "lenet-rpu"

/* The preset whose name is nearest to `name`, or null. */
static const char *nearest_preset(const char *name) {
    const char *names[32];
    size_t n = 0;
    while (n + 1 < sizeof names / sizeof names[0] && rpu_preset_name(n)) {
        names[n] = rpu_preset_name(n);
        n++;
    }
    names[n] = NULL;
    return rpu_nearest(name, names);
}

static void list_presets(char *buffer, size_t size) {
    buffer[0] = '\0';
    for (size_t i = 0; rpu_preset_name(i); i++) {
        const size_t used = strlen(buffer);
        snprintf(buffer + used, size - used, "%s%s", i ? ", " : "", rpu_preset_name(i));
    }
}

/* Nodes of an embedded preset that exists. */
static enum rpu_status read_preset(struct rpu_node **root, const char *name, struct rpu_arena *arena,
                                   struct rpu_error *err) {
    const char *text = rpu_preset_yaml(name);
    char origin[80];
    struct rpu_yaml_source source = {arena, NULL, "", 1};
    enum rpu_status status;
    const int length = snprintf(origin, sizeof origin, "preset %s", name);
    source.origin = rpu_arena_copy(arena, origin, (size_t)length);
    if (!source.origin)
        return rpu_fail(err, RPU_ERR_NOMEM, "out of memory");
    status = rpu_yaml_parse(root, text, strlen(text), &source, err);
    return status == RPU_OK ? rpu_config_check(*root, err) : status;
}

/* A name that is neither a preset nor a file. */
static enum rpu_status no_such_source(const char *source, int reason, struct rpu_error *err) {
    const char *nearest = nearest_preset(source);
    char all[256];
    list_presets(all, sizeof all);
    return rpu_fail_at(err, RPU_ERR_IO, source, 0, NULL,
                       "no preset, and no file that can be read (%s)%s%s%s; presets are %s", strerror(reason),
                       nearest ? " (did you mean '" : "", nearest ? nearest : "", nearest ? "'?)" : "", all);
}

static enum rpu_status bad_preset(const struct rpu_node *node, struct rpu_error *err) {
    const char *nearest = nearest_preset(node->text);
    char all[256], wrong[128] = "is no preset";
    list_presets(all, sizeof all);
    if (nearest)
        snprintf(wrong, sizeof wrong, "is no preset (did you mean '%s'?)", nearest);
    return rpu_config_refuse(node, "preset", wrong, all, err);
}

/* Nodes of a file, laid over those of the preset that it names. */
static enum rpu_status read_file(struct rpu_node **root, char preset[64], const char *path, struct rpu_arena *arena,
                                 struct rpu_error *err) {
    const struct rpu_yaml_source source = {arena, path, "", 1};
    struct rpu_node *file = NULL;
    const struct rpu_node *base;
    enum rpu_status status;
    if (access(path, R_OK) != 0)
        return no_such_source(path, errno, err);
    status = rpu_yaml_read(&file, path, &source, err);
    if (status == RPU_OK)
        status = rpu_config_check(file, err);
    *root = file;
    base = status == RPU_OK ? rpu_node_child(file, "preset") : NULL;
    if (!base)
        return status;
    if (!rpu_preset_yaml(base->text))
        return bad_preset(base, err);
    snprintf(preset, 64, "%s", base->text);
    status = read_preset(root, preset, arena, err);
    if (status == RPU_OK)
        rpu_node_merge(*root, file);
    return status;
}

enum rpu_status rpu_config_source(struct rpu_node **root, char preset[64], const char *name, struct rpu_arena *arena,
                                  struct rpu_error *err) {
    if (!name)
        name = DEFAULT_SOURCE;
    preset[0] = '\0';
    if (!rpu_preset_yaml(name))
        return read_file(root, preset, name, arena, err);
    snprintf(preset, 64, "%s", name);
    return read_preset(root, name, arena, err);
}

enum rpu_status rpu_config_assign(struct rpu_node *root, const struct rpu_assignment *assignment,
                                  struct rpu_arena *arena, struct rpu_error *err) {
    const char *origin = assignment->origin ? assignment->origin : "--set";
    const struct rpu_yaml_source source = {arena, origin, "", 0};
    enum rpu_status status;
    if (!assignment->text)
        return rpu_fail(err, RPU_ERR_ARG, "an assignment without text");
    if (strncmp(assignment->text, "preset=", 7) == 0)
        return rpu_fail_at(err, RPU_ERR_CONFIG, origin, 0, "preset",
                           "cannot be assigned; name the preset in place of the file, or in the file");
    status = rpu_node_assign(root, assignment->text, &source, err);
    return status == RPU_OK ? rpu_config_check(root, err) : status;
}

enum rpu_status rpu_config_load(struct rpu_config *config, const char *source, const struct rpu_assignment *assignments,
                                size_t n_assignments, struct rpu_error *err) {
    struct rpu_config made;
    struct rpu_arena arena = {0};
    struct rpu_node *root = NULL;
    enum rpu_status status;
    rpu_error_clear(err);
    if (!config || (n_assignments && !assignments))
        return rpu_fail(err, RPU_ERR_ARG, "no configuration or no assignments given");
    memset(&made, 0, sizeof made);
    status = rpu_config_source(&root, made.preset, source, &arena, err);
    for (size_t i = 0; i < n_assignments && status == RPU_OK; i++)
        status = rpu_config_assign(root, &assignments[i], &arena, err);
    if (status == RPU_OK)
        status = rpu_config_fill(&made, root, err);
    rpu_arena_free(&arena);
    if (status == RPU_OK)
        *config = made;
    return status;
}
