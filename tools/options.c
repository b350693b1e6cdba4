/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of options that a command reads itself. */
#include "commands.h"

#include <errno.h>
#include <stdlib.h>

int wrong_option(const char *command, const char *option, const char *found, const char *allowed) {
    fprintf(stderr, CLI_PROGRAM " %s: --%s: found '%s', allowed is %s\n", command, option, found, allowed);
    return CLI_EXIT_USAGE;
}

int real_option(const struct cli_args *args, const char *name, double least, double most, const char *allowed,
                double *value) {
    const char *text = cli_value(args, name);
    char *end;
    double found;
    if (!text)
        return CLI_EXIT_OK;
    errno = 0;
    found = strtod(text, &end);
    if (errno || end == text || *end || !(found >= least && found < most))
        return wrong_option(args->command->name, name, text, allowed);
    *value = found;
    return CLI_EXIT_OK;
}
