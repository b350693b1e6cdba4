/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of options, and times and texts in tables. */
#include "commands.h"

#include "../src/app.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int option_wrong(const char *command, const char *option, const char *found, const char *allowed) {
    fprintf(stderr, CLI_PROGRAM " %s: --%s: found '%s', allowed is %s\n", command, option, found, allowed);
    return CLI_EXIT_USAGE;
}

int decimal(const char *text, double *value) {
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    return !errno && end != text && !*end && !text[strspn(text, "0123456789.eE+-")]; /* no 0x10, no infinity */
}

int option_real(const struct cli_args *args, const char *name, double least, double most, const char *allowed,
                double *value) {
    const char *text = cli_value(args, name);
    double found;
    if (!text)
        return CLI_EXIT_OK;
    if (!decimal(text, &found) || !(found >= least && found < most))
        return option_wrong(args->command->name, name, text, allowed);
    *value = found;
    return CLI_EXIT_OK;
}

const char *time_text(char text[32], double ns) {
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ns", 1.0}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    size_t u = 0;
    while (u < 3 && ns >= 999.5 * units[u].ns)
        u++;
    snprintf(text, 32, "%.3g %s", ns / units[u].ns, units[u].unit);
    if (ns / units[u].ns >= 999.5)
        snprintf(text, 32, "%.0f %s", ns / units[u].ns, units[u].unit);
    return isfinite(ns) ? text : "-";
}

int print_plain(FILE *out, const char *text, size_t length) {
    int n = 0;
    for (; *text && (size_t)n < length; text++, n++)
        fputc(rpu_plain(*text), out);
    return n;
}
