/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <math.h>

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
