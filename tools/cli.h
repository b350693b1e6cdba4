/* SPDX-License-Identifier: Apache-2.0 */
/** @file cli.h
 *  The command line as a table. Parsing, `--help` and the man page are all made from it; it refers to no code, so that
 *  the man page's generator can link it alone (cli_table.c). */
#ifndef RPU_TOOLS_CLI_H
#define RPU_TOOLS_CLI_H

#include <stddef.h>

/** How an option's argument reaches the configuration. */
enum cli_assign {
    CLI_ASSIGN_NONE,   /**< it does not: the command itself reads it */
    CLI_ASSIGN_PLAIN,  /**< `key=value`, the value parsed as YAML */
    CLI_ASSIGN_STRING, /**< `key="value"`, the value taken as it is, quoted for YAML */
    CLI_ASSIGN_WHOLE   /**< the argument is an assignment itself */
};

/** One option. */
struct cli_option {
    const char *name;       /**< long name without the dashes */
    char letter;            /**< short option, or 0 */
    const char *argument;   /**< name of its argument (DIR, N, ...), or null when it takes none */
    enum cli_assign assign; /**< whether it is an assignment to the configuration */
    const char *key;        /**< the configuration key it sets, or null */
    const char *help;       /**< what it does; one or two sentences, without line breaks */
};

enum cli_command_id {
    CLI_TRAIN,
    CLI_EVAL,
    CLI_INSPECT,
    CLI_SWEEP,
    CLI_BENCH,
    CLI_COMPARE,
    CLI_MAP,
    CLI_PRESETS,
    CLI_INFO,
    CLI_HELP
};

/** One command. */
struct cli_command {
    enum cli_command_id id;
    const char *name;
    const char *operands;             /**< synopsis of its operands, "" when it has none */
    size_t max_operands;              /**< most operands it takes */
    const char *summary;              /**< one line */
    const char *description;          /**< paragraphs, separated by an empty line */
    const struct cli_option *options; /**< ends with a null name; those of cli_common are added by all readers */
};

/** One exit code. */
struct cli_exit {
    int code;
    const char *meaning;
};

/** One environment variable. */
struct cli_variable {
    const char *name;
    unsigned commands; /**< those it matters to: bit 1 << enum cli_command_id */
    const char *meaning;
};

#define CLI_PROGRAM "rpubench"
extern const char cli_summary[];                  /**< one line about the program */
extern const char cli_description[];              /**< paragraphs about the program */
extern const struct cli_command cli_commands[];   /**< ends with a null name */
extern const struct cli_option cli_common[];      /**< options of every command; ends with a null name */
extern const struct cli_exit cli_exits[];         /**< ends with a null meaning */
extern const struct cli_variable cli_variables[]; /**< ends with a null name */

enum { CLI_EXIT_OK = 0, CLI_EXIT_FAILURE = 1, CLI_EXIT_USAGE = 2, CLI_EXIT_DIVERGED = 3, CLI_EXIT_INTERRUPTED = 130 };

/* ---- parsing (cli.c) ---- */

/** One option as it was given. */
struct cli_given {
    const struct cli_option *option;
    const char *value; /**< null when the option takes no argument */
};

/** A parsed command line. The strings belong to argv. */
struct cli_args {
    const struct cli_command *command; /**< null: only --help or --version was given */
    struct cli_given *given;           /**< in order */
    size_t n_given;
    const char **operands;
    size_t n_operands;
};

/** Parses argv (program name included). On an error a message is in `message` and the result is CLI_EXIT_USAGE (or
 *  CLI_EXIT_FAILURE without memory); CLI_EXIT_OK otherwise. cli_free is due in either case. */
int cli_parse(struct cli_args *args, int argc, char **argv, char *message, size_t size);
void cli_free(struct cli_args *args);

/** The value of the last `name` given ("" for an option without argument), or null. */
const char *cli_value(const struct cli_args *args, const char *name);

/** The command of that name, or null. */
const struct cli_command *cli_find(const char *name);

#endif
