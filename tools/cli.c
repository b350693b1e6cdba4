/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where parsing stands. */
struct parser {
    struct cli_args *args;
    char **argv;
    int argc, at; /* argv[at] is in work */
    char *message;
    size_t size;
};

static int fail(struct parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(struct parser *p, const char *format, ...) {
    const struct cli_command *command = p->args->command;
    const char *name = command ? command->name : "", *gap = command ? " " : "";
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    snprintf(p->message, p->size, CLI_PROGRAM "%s%s: %s; see " CLI_PROGRAM "%s%s --help", gap, name, text, gap, name);
    return CLI_EXIT_USAGE;
}

const struct cli_command *cli_find(const char *name) {
    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* Goes through a table and then the common options. */
static const struct cli_option *next_option(const struct cli_option *option) {
    option++;
    return option->name ? option : NULL;
}

static const struct cli_option *first_option(const struct cli_option *table) {
    return table && table->name ? table : NULL;
}

/* Counts the options whose names begin with the given `length` bytes; an exact match counts alone. */
static size_t match(const struct cli_option *table, const char *name, size_t length, const struct cli_option **found) {
    size_t count = 0;
    for (const struct cli_option *o = first_option(table); o; o = next_option(o)) {
        if (strncmp(o->name, name, length) != 0)
            continue;
        *found = o;
        if (strlen(o->name) == length)
            return SIZE_MAX;
        count++;
    }
    return count;
}

static int find_long(struct parser *p, const char *name, size_t length, const struct cli_option **found) {
    const struct cli_option *own = NULL, *common = NULL;
    const struct cli_option *table = p->args->command ? p->args->command->options : NULL;
    const size_t n_own = match(table, name, length, &own), n_common = match(cli_common, name, length, &common);
    if (n_own == SIZE_MAX || n_common == SIZE_MAX)
        *found = n_own == SIZE_MAX ? own : common;
    else if (n_own + n_common == 1)
        *found = n_own ? own : common;
    else if (n_own + n_common > 1)
        return fail(p, "ambiguous option --%.*s", (int)length, name);
    else
        return fail(p, "unknown option --%.*s", (int)length, name);
    return CLI_EXIT_OK;
}

static int find_short(struct parser *p, char letter, const struct cli_option **found) {
    const struct cli_option *tables[2] = {p->args->command ? p->args->command->options : NULL, cli_common};
    for (size_t t = 0; t < 2; t++)
        for (const struct cli_option *o = first_option(tables[t]); o; o = next_option(o))
            if (o->letter == letter) {
                *found = o;
                return CLI_EXIT_OK;
            }
    return fail(p, "unknown option -%c", letter);
}

static void take(struct parser *p, const struct cli_option *option, const char *value) {
    p->args->given[p->args->n_given++] = (struct cli_given){option, value};
}

/* The argument of an option: what is attached to it, or the next word. */
static int take_argument(struct parser *p, const struct cli_option *option, const char *attached) {
    if (!option->argument && attached)
        return fail(p, "option --%s takes no argument", option->name);
    if (option->argument && !attached) {
        if (p->at + 1 >= p->argc)
            return fail(p, "option --%s needs an argument %s", option->name, option->argument);
        attached = p->argv[++p->at];
    }
    take(p, option, attached);
    return CLI_EXIT_OK;
}

static int parse_long(struct parser *p, const char *word) {
    const char *equals = strchr(word, '=');
    const size_t length = equals ? (size_t)(equals - word) : strlen(word);
    const struct cli_option *option = NULL;
    const int code = find_long(p, word, length, &option);
    return code ? code : take_argument(p, option, equals ? equals + 1 : NULL);
}

/* A cluster of letters; the first that takes an argument takes the rest of the word. */
static int parse_short(struct parser *p, const char *word) {
    for (; *word; word++) {
        const struct cli_option *option = NULL;
        int code = find_short(p, *word, &option);
        if (code)
            return code;
        if (option->argument)
            return take_argument(p, option, word[1] ? word + 1 : NULL);
        take(p, option, NULL);
    }
    return CLI_EXIT_OK;
}

static int parse_operand(struct parser *p, const char *word) {
    struct cli_args *args = p->args;
    if (!args->command) {
        args->command = cli_find(word);
        return args->command ? CLI_EXIT_OK : fail(p, "unknown command '%s'", word);
    }
    if (args->n_operands >= args->command->max_operands)
        return fail(p, "unexpected argument '%s'", word);
    args->operands[args->n_operands++] = word;
    return CLI_EXIT_OK;
}

static int parse_words(struct parser *p) {
    int code = CLI_EXIT_OK, only_operands = 0;
    for (p->at = 1; p->at < p->argc && !code; p->at++) {
        const char *word = p->argv[p->at];
        if (!only_operands && strcmp(word, "--") == 0)
            only_operands = 1;
        else if (!only_operands && strncmp(word, "--", 2) == 0)
            code = parse_long(p, word + 2);
        else if (!only_operands && word[0] == '-' && word[1])
            code = parse_short(p, word + 1);
        else
            code = parse_operand(p, word);
    }
    return code;
}

/* Room for every option and operand that argv can hold: a word of letters holds an option in each. */
static size_t capacity(int argc, char **argv) {
    size_t n = 1;
    for (int i = 1; i < argc; i++)
        n += strlen(argv[i]) + 1;
    return n;
}

int cli_parse(struct cli_args *args, int argc, char **argv, char *message, size_t size) {
    struct parser p = {args, argv, argc, 1, message, size};
    const size_t n = capacity(argc, argv);
    int code;
    memset(args, 0, sizeof *args);
    message[0] = '\0';
    args->given = calloc(n, sizeof *args->given);
    args->operands = calloc(n, sizeof *args->operands);
    if (!args->given || !args->operands) {
        snprintf(message, size, CLI_PROGRAM ": out of memory");
        return CLI_EXIT_FAILURE;
    }
    code = parse_words(&p);
    if (!code && !args->command && !cli_value(args, "help") && !cli_value(args, "version"))
        code = fail(&p, "no command");
    return code;
}

void cli_free(struct cli_args *args) {
    free(args->given);
    free(args->operands);
    memset(args, 0, sizeof *args);
}

const char *cli_value(const struct cli_args *args, const char *name) {
    const char *value = NULL;
    for (size_t i = 0; i < args->n_given; i++)
        if (strcmp(args->given[i].option->name, name) == 0)
            value = args->given[i].value ? args->given[i].value : "";
    return value;
}
