/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <rpu/config.h>

static void list_presets(void) {
    for (size_t i = 0; rpu_preset_name(i); i++)
        printf("%-22s %s\n", rpu_preset_name(i), rpu_preset_summary(i));
}

int command_presets(const struct cli_args *args) {
    const char *yaml;
    if (args->n_operands == 0) {
        list_presets();
        return CLI_EXIT_OK;
    }
    yaml = rpu_preset_yaml(args->operands[0]);
    if (!yaml) {
        fprintf(stderr, CLI_PROGRAM " presets: unknown preset '%s'; known:", args->operands[0]);
        for (size_t i = 0; rpu_preset_name(i); i++)
            fprintf(stderr, "%s %s", i ? "," : "", rpu_preset_name(i));
        fputc('\n', stderr);
        return CLI_EXIT_USAGE;
    }
    fputs(yaml, stdout);
    return CLI_EXIT_OK;
}
