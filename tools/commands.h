/* SPDX-License-Identifier: Apache-2.0 */
/** @file commands.h
 *  The commands of the program, and what they share. */
#ifndef RPU_TOOLS_COMMANDS_H
#define RPU_TOOLS_COMMANDS_H

#include "cli.h"

#include <rpu/config.h>
#include <rpu/data.h>
#include <rpu/status.h>
#include <rpu/train.h>

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct rpu_dist;

/* Each command returns an exit code; messages of errors have been printed by then. */
int command_train(const struct cli_args *args);
/** The train command in this process alone, whatever launched it; `shares_machine`: some processes of its job
 *  do. */
int train_alone(const struct cli_args *args, int shares_machine);
int command_eval(const struct cli_args *args);
int command_inspect(const struct cli_args *args);
int command_sweep(const struct cli_args *args);
int command_compare(const struct cli_args *args);
int command_map(const struct cli_args *args);
int command_bench(const struct cli_args *args);
int command_presets(const struct cli_args *args);
int command_info(const struct cli_args *args);
int command_help(const struct cli_args *args);

/** Help of a command, or of the program (null). */
void print_help(FILE *out, const struct cli_command *command);

/** Prints "rpubench COMMAND: message" to standard error and returns the exit code that belongs to the status. */
int report_error(const char *command, const struct rpu_error *err);

/** The exit code that belongs to a status. */
int exit_code(enum rpu_status status);

/** Joins the job of processes. An error is one of all, which rank 0 tells; a process that lacks memory tells it itself
 *  and ends the job, as the others wait for it. */
int join_job(const char *command, struct rpu_dist *dist);

/** As report_error, for an engine that could not be created: `isa_origin`, what asked for the kernel variant, is named
 *  where it is the variant that is not there. */
int report_engine_error(const char *command, const char *isa_origin, const struct rpu_error *err);
/** Puts it into the error instead. */
void name_isa_origin(const char *isa_origin, struct rpu_error *err);

/** The value of --isa, else of RPU_ISA (empty: not set), else null; `*origin` becomes "--isa" or "RPU_ISA". */
const char *chosen_isa(const struct cli_args *args, const char **origin);

/* ---- quantities.c ---- */

/** Says what an option's argument was and what is allowed; returns CLI_EXIT_USAGE. */
int option_wrong(const char *command, const char *option, const char *found, const char *allowed);

/** A decimal number that is all of the text, without blanks; 0 when it is none, or none that can be told. */
int decimal(const char *text, double *value);

/** The option's number, if it is given; CLI_EXIT_USAGE after a message when it is none within [least, most). */
int option_real(const struct cli_args *args, const char *name, double least, double most, const char *allowed,
                double *value);

/** A time in the unit that suits it, three digits: "13.5 us"; "-" when it is not finite. Returns `text`. */
const char *time_text(char text[32], double ns);

/** Up to `length` bytes of a text from a file, control characters as question marks. Returns the bytes printed. */
int print_plain(FILE *out, const char *text, size_t length);

/* ---- options.c ---- */

/** The value of an option as a whole number from `least` to `most`, `otherwise` where it is not given; -1 after a
 * message. */
int64_t option_number(const struct cli_args *args, const char *name, uint32_t least, uint32_t most, uint32_t otherwise);
/** The value of --bind; -1 after a message. */
int option_bind(const struct cli_args *args);
/** An engine as --isa, --threads and --bind want it; an exit code. */
int option_engine(struct rpu_engine **engine, const struct cli_args *args);

struct rpu_outfile;

/** Where a command's document goes (--json), and what it tells people. */
struct json_output {
    struct rpu_outfile *file; /**< null: not to a file */
    int to_stdout;
    FILE *human; /**< null with --quiet */
};

/** Opens it, before the work is done; an exit code. */
int option_json(const struct cli_args *args, struct json_output *out);
/** Writes `text` (malloc'd; null: nothing is wanted) unless `code` is an error, and frees it; an exit code. */
int json_output_end(const struct cli_args *args, struct json_output *out, char *text, int code);

/** Whether --json and --trace name files of their own: neither what the command reads nor each other, nor a file that
 *  train keeps in the folder of --out. 0 after a message. */
int outputs_apart(const struct cli_args *args);

/** Prints a word as a shell takes it: as it is, or in single quotes where a character needs them. */
void print_shell_word(FILE *out, const char *word);

/* ---- assign.c ---- */

/** What the command line sets in the configuration. */
struct assignments {
    struct rpu_assignment *list;
    char *origins;
    size_t n;
};

/** RPU_ISA and the options that are assignments, in order; 0 without memory. */
int assignments_collect(struct assignments *assignments, const struct cli_args *args);
void assignments_free(struct assignments *assignments);

/* ---- progress.c ---- */

/** What the progress callback needs; `user` of the training loop. */
struct progress {
    FILE *out;    /**< null: print nothing */
    int terminal; /**< 1: a line that is rewritten; 0: a line for each epoch */
    int width;    /**< characters of the line on the terminal */
    double last;  /**< when something was printed, by rpu_now */
};

void progress_init(struct progress *progress, FILE *out);
/** A rpu_progress_fn; asks to stop when a signal has come. */
int progress_report(const struct rpu_progress *p, void *user);
/** Takes the rewritten line away. */
void progress_clear(struct progress *progress);

/** Signals so close together are one interrupt: some programs send theirs to a process and to its group. */
#define INTERRUPT_SECONDS 0.25
/** SIGINT and SIGTERM ask for a stop; a second one ends the program, a second of its kind a rank of a job. With
 * SA_RESTART in `flags` system calls go on: a stream would lose what it could not write. */
void interrupts_catch(int flags);
int interrupts_pending(void);
/** Interrupts end this process, too (SIGTERM), one that has come already as well; 0: none. */
void interrupts_pass_on(pid_t child);

/* ---- report.c ---- */

/** The table at the end of a training. `stopped`: "interrupted", "diverged", or null where it came to its end. */
void print_report(FILE *out, struct rpu_training *run, const struct rpu_dataset *data, const char *stopped);

#endif
