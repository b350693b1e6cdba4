/* SPDX-License-Identifier: Apache-2.0 */
/* Two documents, divided by a line "====", given to the command `compare` as text and as JSON; the first one is also
 * taken for the results document of a finished training, and for one that the command `map` takes rereads from. A third
 * part holds words of the command line. */
#include "fuzz.h"

#include "mapping_json.h"
#include "sweep_result.h"

#include "../../tools/commands.h"

#include <string.h>

enum { WORDS_MOST = 8 };

static void compare(const char *old, const char *new, char **words, size_t n, int json) {
    char *argv[8 + WORDS_MOST] = {"rpubench", "compare", "--json", json ? "-" : "/dev/null"};
    char message[640];
    struct cli_args args;
    int argc = 4, code;
    for (size_t i = 0; i < n; i++)
        argv[argc++] = words[i];
    argv[argc++] = "--";
    argv[argc++] = (char *)old;
    argv[argc++] = (char *)new;
    code = cli_parse(&args, argc, argv, message, sizeof message);
    if (!code) {
        code = command_compare(&args);
        FUZZ_CHECK(code == CLI_EXIT_OK || code == CLI_EXIT_FAILURE || code == CLI_EXIT_USAGE);
    }
    cli_free(&args);
}

/* Options that compare documents in other ways, and write nowhere. */
static int is_harmless(const char *word) {
    return strncmp(word, "--t", 3) == 0 || strncmp(word, "--a", 3) == 0 || strncmp(word, "--r", 3) == 0 ||
           strcmp(word, "-q") == 0;
}

static void summarize(const char *path) {
    static struct rpu_config config;
    struct rpu_summary summary;
    struct rpu_error err;
    FUZZ_CHECK(rpu_config_load(&config, NULL, NULL, 0, &err) == RPU_OK);
    config.epochs = 2; /* as in seeds/compare/result */
    config.threads = 1;
    config.limit_train = 20;
    config.limit_test = 10;
    if (rpu_summary_read(&summary, path, &config, &err) != RPU_OK)
        fuzz_check_error(&err);
    else
        FUZZ_CHECK(summary.epochs == 2 && memchr(summary.digest, '\0', sizeof summary.digest));
}

/* The mapping of LeNet, whose results seeds/compare/result are. */
static void take_rereads(const char *path) {
    static struct rpu_config config;
    const struct rpu_hardware hardware = {.t_meas = RPU_T_MEAS_DEFAULT};
    struct rpu_mapping mapping;
    struct rpu_error err;
    FUZZ_CHECK(rpu_config_load(&config, NULL, NULL, 0, &err) == RPU_OK);
    FUZZ_CHECK(rpu_mapping_of(&mapping, &config, 28, 28, 1, &err) == RPU_OK);
    if (rpu_mapping_rereads(&mapping, path, &err) != RPU_OK || rpu_mapping_compute(&mapping, &hardware, &err) != RPU_OK)
        fuzz_check_error(&err);
    else
        FUZZ_CHECK(mapping.pace[RPU_USE_TRAINING].ns > 0.0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_part parts[3];
    const size_t n_parts = fuzz_cut(data, size, parts, 3);
    const char *old = fuzz_file(0, parts[0].bytes, parts[0].size);
    const struct fuzz_part other = parts[n_parts > 1 ? 1 : 0];
    const char *new = fuzz_file(1, other.bytes, other.size);
    char **words;
    const size_t n = fuzz_lines(parts[2], WORDS_MOST, &words);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (is_harmless(words[i])) {
            char *word = words[i];
            words[i] = words[kept];
            words[kept++] = word;
        }
    compare(old, new, words, kept, (int)(size % 2));
    summarize(old);
    take_rereads(old);
    fuzz_free_lines(words, n);
    return 0;
}
