/* SPDX-License-Identifier: Apache-2.0 */
/* From options to assignments of the configuration. */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

enum { ORIGIN_SIZE = 32 };

/* Writes value as a YAML double-quoted scalar; `out` has room for 4 bytes of each byte, two quotes and a zero. */
static char *quote(char *out, const char *value) {
    *out++ = '"';
    for (; *value; value++) {
        const unsigned char c = (unsigned char)*value;
        if (c == '"' || c == '\\')
            *out++ = '\\';
        if (c < 0x20 || c == 0x7f)
            out += sprintf(out, "\\x%02x", c);
        else
            *out++ = (char)c;
    }
    *out++ = '"';
    *out = '\0';
    return out;
}

/* "key=value", malloc'd; null without memory. */
static char *assignment(const char *key, const char *value, enum cli_assign how) {
    const size_t length = strlen(key);
    char *text = malloc(length + 4 * strlen(value) + 4);
    if (!text)
        return NULL;
    memcpy(text, key, length);
    text[length] = '=';
    if (how == CLI_ASSIGN_STRING)
        quote(text + length + 1, value);
    else
        strcpy(text + length + 1, value);
    return text;
}

/* The command's own option with that name, or null. */
static const struct cli_option *own_option(const struct cli_command *command, const char *name) {
    const struct cli_option *o = command->options;
    while (o->name && strcmp(o->name, name) != 0)
        o++;
    return o->name ? o : NULL;
}

/* Appends what an option says; 0 without memory. */
static int append(struct rpu_assignment *list, size_t *n, const struct cli_option *option, const char *origin,
                  const char *value) {
    char *text = option->assign == CLI_ASSIGN_WHOLE ? strdup(value) : assignment(option->key, value, option->assign);
    if (!text)
        return 0;
    list[*n].text = text;
    list[*n].origin = origin;
    (*n)++;
    return 1;
}

/* RPU_ISA first, where the command has kernels to choose, then the options in the order of the command line. */
static int collect(struct assignments *a, const struct cli_args *args) {
    const struct cli_option *option = own_option(args->command, "isa");
    const char *origin, *isa = chosen_isa(args, &origin);
    int ok = 1;
    if (option && isa && !cli_value(args, "isa"))
        ok = append(a->list, &a->n, option, origin, isa);
    for (size_t i = 0; i < args->n_given && ok; i++) {
        const struct cli_option *o = args->given[i].option;
        if (o->assign == CLI_ASSIGN_NONE)
            continue;
        snprintf(a->origins + i * ORIGIN_SIZE, ORIGIN_SIZE, "--%s", o->name);
        ok = append(a->list, &a->n, o, a->origins + i * ORIGIN_SIZE, args->given[i].value);
    }
    return ok;
}

int assignments_collect(struct assignments *a, const struct cli_args *args) {
    int ok;
    a->list = calloc(args->n_given + 1, sizeof *a->list);
    a->origins = calloc(args->n_given + 1, ORIGIN_SIZE);
    a->n = 0;
    ok = a->list && a->origins && collect(a, args);
    if (!ok)
        assignments_free(a);
    return ok;
}

void assignments_free(struct assignments *a) {
    for (size_t i = 0; i < a->n; i++)
        free((char *)a->list[i].text);
    free(a->list);
    free(a->origins);
    memset(a, 0, sizeof *a);
}
