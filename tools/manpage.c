/* SPDX-License-Identifier: Apache-2.0 */
/* Prints rpubench.1 from the tables that the program itself works with: the command line (cli.h) and the configuration
 * keys (config_table.h). It fails when an option sets a key that does not exist. */
#include "../src/config_table.h"
#include "cli.h"

#include <rpu/config.h>
#include <rpu/version.h>

#include <stdio.h>
#include <string.h>

enum { WIDTH = 76 };

static void put_char(char c) {
    if (c == '-')
        fputs("\\-", stdout);
    else if (c == '\\')
        fputs("\\e", stdout);
    else
        putchar(c);
}

/* Text within a line: minus signs and backslashes are escaped for roff. */
static void put(const char *text) {
    while (*text)
        put_char(*text++);
}

static void line(const char *text) {
    put(text);
    putchar('\n');
}

/* Filled text, broken at spaces, a sentence to a line; no line starts with a control character. */
static void fill(const char *text, size_t length) {
    size_t column = 0;
    for (size_t i = 0; i < length;) {
        const size_t word = strcspn(text + i, " "), n = word < length - i ? word : length - i;
        const int ends = n > 0 && text[i + n - 1] == '.';
        if (column && column + 1 + n > WIDTH) {
            putchar('\n');
            column = 0;
        }
        if (column)
            putchar(' ');
        else if (text[i] == '.' || text[i] == '\'')
            fputs("\\&", stdout);
        for (size_t k = 0; k < n; k++)
            put_char(text[i + k]);
        column = ends ? 0 : column + 1 + n;
        if (ends)
            putchar('\n');
        i += n + 1;
    }
    if (column)
        putchar('\n');
}

/* Paragraphs separated by empty lines. */
static void paragraphs(const char *text) {
    for (;;) {
        const char *gap = strstr(text, "\n\n");
        fill(text, gap ? (size_t)(gap - text) : strlen(text));
        if (!gap)
            return;
        puts(".PP");
        text = gap + 2;
    }
}

static void tagged(const char *tag, const char *text) {
    puts(".TP");
    fputs(".B ", stdout);
    line(tag);
    paragraphs(text);
}

/* A tag in bold with an argument in italics. */
static void option_tag(const struct cli_option *o) {
    fputs(".TP\n\\fB", stdout);
    if (o->letter)
        printf("\\-%c\\fR, \\fB", o->letter);
    fputs("\\-\\-", stdout);
    put(o->name);
    fputs("\\fR", stdout);
    if (o->argument) {
        fputs("=\\fI", stdout);
        put(o->argument);
        fputs("\\fR", stdout);
    }
    putchar('\n');
}

static void options(const struct cli_option *o) {
    for (; o && o->name; o++) {
        option_tag(o);
        paragraphs(o->help);
        if (o->key)
            printf("Sets \\fB%s\\fR.\n", o->key);
    }
}

static void synopsis(void) {
    puts(".SH SYNOPSIS");
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        if (c != cli_commands)
            puts(".br");
        printf(".B " CLI_PROGRAM " %s\n", c->name);
        if (c->options && c->options->name)
            puts(".RI [ option ]...");
        if (*c->operands) {
            fputs(".I ", stdout);
            line(c->operands);
        }
    }
}

static void commands(void) {
    puts(".SH COMMANDS");
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        fputs(".SS ", stdout);
        put(c->name);
        if (*c->operands)
            putchar(' ');
        line(c->operands);
        paragraphs(c->description);
        options(c->options);
    }
    puts(".SS Options of every command");
    options(cli_common);
}

/* The whole dotted path of a key, "network.layers.N." or "arrays.NAME." included. */
static void key_tag(const struct rpu_key *k) {
    static const char *const before[] = {"", "network.layers.\\fIN\\fB.", "arrays.\\fINAME\\fB."};
    printf(".TP\n\\fB%s%s\\fR", before[k->scope], k->path);
    if (k->scope == RPU_SCOPE_LAYER) {
        fputs(" (", stdout);
        for (size_t i = 0, n = 0; rpu_layer_kinds[i]; i++)
            if (k->layers & RPU_LAYER_BIT(i))
                printf("%s%s", n++ ? ", " : "", rpu_layer_kinds[i]);
        putchar(')');
    }
    putchar('\n');
}

static void key(const struct rpu_key *k) {
    char allowed[192], text[768];
    const char *fallback = k->fallback ? k->fallback : "";
    const int required = k->scope == RPU_SCOPE_LAYER && !k->fallback && k->type != RPU_KEY_NAME;
    if (k->type == RPU_KEY_MAP)
        return;
    key_tag(k);
    snprintf(text, sizeof text, "%s. Allowed: %s%s%s%s%s%s%s.", k->help, rpu_key_allowed(k, allowed, sizeof allowed),
             k->unit ? " (" : "", k->unit ? k->unit : "", k->unit ? ")" : "", *fallback ? "; default: " : "",
             fallback + (*fallback == '='), required ? "; required" : "");
    paragraphs(text);
}

static void configuration(void) {
    const struct rpu_key *k;
    puts(".SH CONFIGURATION");
    paragraphs(
        "A configuration is a YAML file with the keys below, nested at the dots: training.epochs is the key "
        "epochs in the map training. What a file does not give comes from the preset that it names, or else from "
        "the default. Assignments (--set and the other options) are merged over it in order; in their dotted "
        "keys, an element of a list is its number from 0.\n\n"
        "Unknown and duplicate keys, values of another type or out of range, aliases, anchors, tags and more "
        "than one document are errors, which name the file, the line and the key.");
    for (size_t i = 0; (k = rpu_key_at(i)); i++)
        key(k);
}

static void presets(void) {
    puts(".SH PRESETS");
    for (size_t i = 0; rpu_preset_name(i); i++)
        tagged(rpu_preset_name(i), rpu_preset_summary(i));
}

static void environment(void) {
    puts(".SH ENVIRONMENT");
    for (const struct cli_variable *v = cli_variables; v->name; v++) {
        size_t n = 0;
        tagged(v->name, v->meaning);
        for (const struct cli_command *c = cli_commands; c->name; c++)
            if (v->commands >> c->id & 1u)
                printf("%s\\fB%s\\fR", n++ ? ", " : "Matters to ", c->name);
        puts(".");
    }
}

static void exit_status(void) {
    char code[16];
    puts(".SH EXIT STATUS");
    for (const struct cli_exit *e = cli_exits; e->meaning; e++) {
        snprintf(code, sizeof code, "%d", e->code);
        tagged(code, e->meaning);
    }
}

static void files(void) {
    puts(".SH FILES");
    tagged("train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte",
           "The images and labels in the folder data.source, each plain or with .gz; idx4 in the place of idx3 for "
           "images with channels.");
    tagged("DIR/result.json, DIR/config.yaml",
           "What train --out=DIR writes: the results, and the effective configuration.");
    tagged("DIR/checkpoint.safetensors",
           "Where a training of train --out=DIR stands (--checkpoint-every, --resume, or after an interrupt): weights, "
           "device parameters of every crosspoint, history, configuration, in the safetensors layout. Checksums of all "
           "of it, and of the images, are checked when it is read.");
    tagged("DIR/sweep.json, DIR/sweep.csv", "What sweep --out=DIR writes beside the folders of its runs: the table.");
    tagged("FILE of bench --json=FILE",
           "A document of Google Benchmark's, with names, counters and a context that results/README.md of the source "
           "describes.");
    tagged("FILE of map --json=FILE", "The mapping, by the keys that results/README.md of the source describes.");
    tagged("FILE of --trace=FILE",
           "A JSON object with the list traceEvents. Each piece of work is an event with ph = X: name (what was done, "
           "and of which array), ts and dur (microseconds since the training began), tid (the thread, from 0), and "
           "args.item (which of the pieces that the work was divided into). otherData.lost counts the pieces that were "
           "not kept.");
}

static void example(const char *text, const char *command) {
    paragraphs(text);
    puts(".RS 4\n.nf");
    line(command);
    puts(".fi\n.RE");
}

static void examples(void) {
    puts(".SH EXAMPLES");
    example("Train on generated digits for one epoch:", CLI_PROGRAM " train lenet-rpu --epochs=1");
    puts(".PP");
    example("A training that can be killed at any time, and goes on when the same command is given again:",
            CLI_PROGRAM " train --data=mnist --out=a --checkpoint-every=1epoch --resume");
    puts(".PP");
    example("What its network makes of the test images, without noise, and what its arrays hold:",
            CLI_PROGRAM " eval a/checkpoint.safetensors --read=perfect\n" CLI_PROGRAM
                        " inspect a/checkpoint.safetensors --array=K2");
    puts(".PP");
    example("Without noise in the forward reads, and finer steps in the second array:",
            CLI_PROGRAM " train --set arrays.default.forward.noise=0 --set arrays.K2.dw_min=0.0005");
    puts(".PP");
    example("Another network:", CLI_PROGRAM " train --set 'network.layers=[{type: fc, outputs: 10}, {type: softmax}]'");
    puts(".PP");
    example("Three bit lengths, each with four seeds, as many at a time as there are cores:",
            "cat > bl.yaml <<END\n"
            "base: lenet-rpu\n"
            "data: {source: mnist, limit_train: 10000}\n"
            "grid:\n"
            "  arrays.default.update.bl: [1, 5, 10]\n"
            "seeds: [1, 2, 3, 4]\n"
            "END\n" CLI_PROGRAM " sweep bl.yaml --out=bl");
    puts(".PP");
    example("The same on the ranks of an MPI job:", "mpirun -n 8 " CLI_PROGRAM " sweep bl.yaml --out=bl");
    puts(".PP");
    example("One training whose minibatches four ranks share:",
            "mpirun -n 4 " CLI_PROGRAM " train --batch=64 --threads=1 --out=shared");
    puts(".PP");
    example("Two runs of the benchmarks; changes of up to 10 % count as none:",
            CLI_PROGRAM " compare old.json new.json --threshold=10");
    puts(".PP");
    example("The compiler's vectors against the kernels written by hand, in one run:",
            CLI_PROGRAM " compare run.json run.json --rename=autovec=avx2");
    puts(".PP");
    example("What every kernel, cycle and training step reaches here, with a document to compare with later:",
            CLI_PROGRAM " bench --quick --json=here.json");
    puts(".PP");
    example("AlexNet on large, slow and small, fast tiles, with the rereads of a training of the same file:",
            CLI_PROGRAM " map --net=alexnet.yaml --array=4096x4096=80,512x512=10 --rereads=runs/alexnet/result.json");
    puts(".PP");
    example("A preset as a file to edit:",
            CLI_PROGRAM " presets lenet-rpu > mine.yaml\n" CLI_PROGRAM " train mine.yaml --data=mnist --out=mine");
}

/* 0 if every option that sets a key sets one that exists. */
static int check_keys(void) {
    int wrong = 0;
    for (const struct cli_command *c = cli_commands; c->name; c++)
        for (const struct cli_option *o = c->options; o && o->name; o++)
            if (o->key && !rpu_key_find(RPU_SCOPE_TOP, 0, o->key)) {
                fprintf(stderr, "--%s sets %s, which is no configuration key\n", o->name, o->key);
                wrong = 1;
            }
    return wrong;
}

int main(void) {
    if (check_keys())
        return 1;
    puts(".\\\" Made by tools/manpage.c from the tables of commands and keys.");
    puts(".TH RPUBENCH 1 \"" RPU_VERSION_DATE "\" \"rpubench " RPU_VERSION_STRING "\" \"User Commands\"");
    fputs(".SH NAME\n" CLI_PROGRAM " \\- ", stdout);
    line(cli_summary);
    synopsis();
    puts(".SH DESCRIPTION");
    paragraphs(cli_description);
    commands();
    configuration();
    presets();
    environment();
    exit_status();
    files();
    examples();
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
