/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 100, COLUMN = 26 };

/* Prints a paragraph wrapped at WIDTH, lines after the first indented; `at` is the column of the first line. */
static void print_wrapped(FILE *out, const char *text, size_t length, int indent, int at) {
    const char *end = text + length;
    int first = 1;
    while (text < end) {
        const size_t word = strcspn(text, " \n");
        const size_t n = word < (size_t)(end - text) ? word : (size_t)(end - text);
        if (!first && at + 1 + (int)n > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
        } else if (!first) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", (int)n, text);
        at += (int)n;
        first = 0;
        text += n;
        text += strspn(text, " ");
        if (text < end && *text == '\n')
            break;
    }
    fputc('\n', out);
}

static void print_paragraphs(FILE *out, const char *text) {
    while (*text) {
        const char *gap = strstr(text, "\n\n");
        const size_t length = gap ? (size_t)(gap - text) : strlen(text);
        print_wrapped(out, text, length, 0, 0);
        text += length;
        if (gap) {
            fputc('\n', out);
            text += 2;
        }
    }
}

/* A name in the left column and its explanation in the right one, on a line of its own if the name is long. */
static void print_entry(FILE *out, const char *name, const char *text) {
    int at = fprintf(out, "  %s", name);
    if (at > COLUMN - 2) {
        fputc('\n', out);
        at = 0;
    }
    fprintf(out, "%*s", COLUMN - at, "");
    print_wrapped(out, text, strlen(text), COLUMN, COLUMN);
}

static void print_option(FILE *out, const struct cli_option *o) {
    char name[96];
    const char letter[5] = {o->letter ? '-' : ' ', o->letter ? o->letter : ' ', o->letter ? ',' : ' ', ' ', '\0'};
    snprintf(name, sizeof name, "%s--%s%s%s", letter, o->name, o->argument ? "=" : "", o->argument ? o->argument : "");
    print_entry(out, name, o->help);
}

static void print_options(FILE *out, const struct cli_option *own) {
    fputs("\nOptions:\n", out);
    for (const struct cli_option *o = own; o && o->name; o++)
        print_option(out, o);
    for (const struct cli_option *o = cli_common; o->name; o++)
        print_option(out, o);
}

static void print_exits(FILE *out) {
    char code[16];
    fputs("\nExit codes:\n", out);
    for (const struct cli_exit *e = cli_exits; e->meaning; e++) {
        snprintf(code, sizeof code, "%d", e->code);
        print_entry(out, code, e->meaning);
    }
}

/* Those that matter to the command, or all (null). */
static void print_variables(FILE *out, const struct cli_command *command) {
    const char *title = "\nEnvironment:\n";
    for (const struct cli_variable *v = cli_variables; v->name; v++) {
        if (command && !(v->commands >> command->id & 1u))
            continue;
        fputs(title, out);
        print_entry(out, v->name, v->meaning);
        title = "";
    }
}

static void print_program_help(FILE *out) {
    fprintf(out, "Usage: " CLI_PROGRAM " COMMAND [OPTION]... [ARGUMENT]\n\n");
    print_paragraphs(out, cli_description);
    fputs("\nCommands:\n", out);
    for (const struct cli_command *c = cli_commands; c->name; c++)
        print_entry(out, c->name, c->summary);
    print_options(out, NULL);
    print_variables(out, NULL);
    print_exits(out);
    fprintf(out, "\n'" CLI_PROGRAM " COMMAND --help' describes a command.\n");
}

void print_help(FILE *out, const struct cli_command *command) {
    if (!command) {
        print_program_help(out);
        return;
    }
    fprintf(out, "Usage: " CLI_PROGRAM " %s [OPTION]...%s%s\n\n", command->name, command->operands[0] ? " " : "",
            command->operands);
    print_paragraphs(out, command->description);
    print_options(out, command->options);
    print_variables(out, command);
    print_exits(out);
}

int command_help(const struct cli_args *args) {
    const struct cli_command *command = NULL;
    if (args->n_operands == 1) {
        command = cli_find(args->operands[0]);
        if (!command) {
            fprintf(stderr, CLI_PROGRAM " help: unknown command '%s'; see " CLI_PROGRAM " --help\n", args->operands[0]);
            return CLI_EXIT_USAGE;
        }
    }
    print_help(stdout, command);
    return CLI_EXIT_OK;
}
