/* SPDX-License-Identifier: Apache-2.0 */
/* `rpubench map`: the tiles that a network takes, and the time of its cycles there. */
#include "map.h"

#include "commands.h"

#include <stdlib.h>
#include <string.h>

enum { PART = 48, LIST = 512 };

/* Everything one mapping holds. */
struct session {
    struct rpu_config config;
    struct rpu_hardware hardware;
    struct rpu_mapping mapping;
    struct rpu_mapping_report report;
    enum rpu_use use;
};

/* ---- lists of the command line ---- */

/* An element "left=right" of a list; right is "" where there is no '='. */
struct item {
    char left[PART], right[PART];
};

/* Takes the next element off a list with commas: 1, 0 at its end, -1 where an element is empty or too long. */
static int next_item(const char **list, struct item *item) {
    const size_t length = strcspn(*list, ","), left = strcspn(*list, ",=");
    const size_t right = left < length ? length - left - 1 : 0;
    if (!**list)
        return 0;
    if (left == 0 || left >= PART || right >= PART || (left < length && right == 0))
        return -1;
    memcpy(item->left, *list, left);
    item->left[left] = '\0';
    memcpy(item->right, *list + length - right, right);
    item->right[right] = '\0';
    *list += length;
    if (**list == ',' && !*++*list)
        return -1;
    return 1;
}

/* Whole numbers of up to nine digits, from 1, with x between them: 1 if `text` is n of them. */
static int read_sides(const char *text, size_t n, uint32_t *sides) {
    for (size_t i = 0; i < n; i++) {
        const size_t digits = strspn(text, "0123456789");
        if (digits == 0 || digits > 9 || text[digits] != (i + 1 < n ? 'x' : '\0'))
            return 0;
        sides[i] = (uint32_t)strtoul(text, NULL, 10);
        if (sides[i] == 0)
            return 0;
        text += digits + 1;
    }
    return 1;
}

/* ---- hardware ---- */

/* The kind of tile of this size: its number from 1, or 0. */
static uint32_t kind_of(const struct rpu_hardware *h, const char *text) {
    uint32_t sides[2];
    if (read_sides(text, 2, sides))
        for (uint32_t k = 0; k < h->n_kinds; k++)
            if (h->kinds[k].rows == sides[0] && h->kinds[k].cols == sides[1])
                return k + 1;
    return 0;
}

static int add_kind(struct rpu_hardware *h, const struct item *item) {
    uint32_t sides[2];
    double ns = h->t_meas;
    if (h->n_kinds == RPU_TILE_KINDS_MAX || !read_sides(item->left, 2, sides) || sides[0] > 1048576 ||
        sides[1] > 1048576 || (item->right[0] && !decimal(item->right, &ns)) || !(ns > 0.0 && ns <= 1e9) ||
        kind_of(h, item->left))
        return 0;
    h->kinds[h->n_kinds++] = (struct rpu_tile_kind){sides[0], sides[1], ns};
    return 1;
}

static int read_hardware(struct session *s, const struct cli_args *args) {
    static const char allowed[] =
        "ROWSxCOLS[=NS], up to 8 different sizes of sides from 1 to 1048576 with times above 0 "
        "to 1e9, separated by commas, such as 4096x4096=80,512x512=10";
    static const char time[] = "a time in nanoseconds, above 0 and below 1e9";
    const char *list = cli_value(args, "array"), *rest = list;
    struct item item;
    int more = 0, code;
    s->hardware.t_meas = RPU_T_MEAS_DEFAULT;
    code = option_real(args, "t-meas", 1e-9, 1e9, time, &s->hardware.t_meas);
    if (!code)
        code = option_real(args, "t-slot", 1e-9, 1e9, time, &s->hardware.t_slot);
    if (code || !list)
        return code;
    while ((more = next_item(&rest, &item)) > 0 && add_kind(&s->hardware, &item))
        ;
    return more != 0 || s->hardware.n_kinds == 0 ? option_wrong("map", "array", list, allowed) : CLI_EXIT_OK;
}

/* ---- the network ---- */

static int read_config(struct session *s, const struct cli_args *args) {
    const char *net = cli_value(args, "net");
    struct assignments given;
    struct rpu_error err;
    enum rpu_status status;
    s->report.network = net ? net : "lenet";
    if (!assignments_collect(&given, args)) {
        fprintf(stderr, CLI_PROGRAM " map: out of memory\n");
        return CLI_EXIT_FAILURE;
    }
    status = rpu_config_load(&s->config, strcmp(s->report.network, "lenet") == 0 ? "lenet-rpu" : s->report.network,
                             given.list, given.n, &err);
    assignments_free(&given);
    if (status == RPU_OK)
        return CLI_EXIT_OK;
    report_error("map", &err);
    return status == RPU_ERR_NOMEM ? CLI_EXIT_FAILURE : CLI_EXIT_USAGE;
}

/* The shape of the images: as told, as the network says, or that of the digits. */
static int read_input(const struct session *s, const struct cli_args *args, uint32_t sides[3]) {
    const char *input = cli_value(args, "input");
    const uint32_t own[3] = {s->config.height, s->config.width, s->config.channels}, digits[3] = {28, 28, 1};
    if (input)
        return read_sides(input, 3, sides)
                   ? CLI_EXIT_OK
                   : option_wrong("map", "input", input, "HEIGHTxWIDTHxCHANNELS, such as 227x227x3");
    for (int i = 0; i < 3; i++) {
        sides[i] = own[i] ? own[i] : digits[i];
        if (own[i] == 0 && strcmp(s->config.data, "digits") != 0) {
            fprintf(stderr, CLI_PROGRAM " map: the network does not say which images it is for; give --input or set "
                                        "network.height, network.width and network.channels\n");
            return CLI_EXIT_USAGE;
        }
    }
    return CLI_EXIT_OK;
}

/* ---- what is asked for of single arrays ---- */

static struct rpu_mapped_array *array_of(struct rpu_mapping *m, const char *name) {
    for (uint32_t i = 0; i < m->n_arrays; i++)
        if (strcmp(m->arrays[i].name, name) == 0)
            return &m->arrays[i];
    return NULL;
}

/* What an option says of arrays is allowed: `form`, and the names that there are. */
static int wrong_list(const struct session *s, const char *option, const char *found, const char *form) {
    char allowed[LIST];
    size_t used = (size_t)snprintf(allowed, sizeof allowed, "%s, separated by commas; arrays are", form);
    for (uint32_t i = 0; i < s->mapping.n_arrays && used < sizeof allowed; i++)
        used +=
            (size_t)snprintf(allowed + used, sizeof allowed - used, "%s %s", i ? "," : "", s->mapping.arrays[i].name);
    return option_wrong("map", option, found, allowed);
}

static int read_copies(struct session *s, const struct cli_args *args) {
    const char *list = cli_value(args, "replicas"), *rest = list;
    int named[RPU_LAYERS_MAX] = {0}, more = 0;
    struct item item;
    while (list && (more = next_item(&rest, &item)) > 0) {
        struct rpu_mapped_array *a = array_of(&s->mapping, item.left);
        if (!a || named[a - s->mapping.arrays]++ || !read_sides(item.right, 1, &a->copies))
            break;
    }
    return more ? wrong_list(s, "replicas", list, "NAME=COPIES, from 1 to the array's ws, each array once")
                : CLI_EXIT_OK;
}

/* Puts an array, or all of them (default), on a kind of tile: 1 if there are such arrays and tiles. */
static int place(struct session *s, const struct item *item) {
    struct rpu_mapped_array *a = array_of(&s->mapping, item->left);
    const uint32_t kind = kind_of(&s->hardware, item->right);
    if (!kind || (!a && strcmp(item->left, "default") != 0))
        return 0;
    for (uint32_t i = 0; !a && i < s->mapping.n_arrays; i++)
        s->mapping.arrays[i].kind = kind;
    if (a)
        a->kind = kind;
    return 1;
}

static int read_places(struct session *s, const struct cli_args *args) {
    const char *list = cli_value(args, "place"), *rest = list;
    struct item item;
    int more = 0;
    while (list && (more = next_item(&rest, &item)) > 0 && place(s, &item))
        ;
    return more ? wrong_list(s, "place", list, "NAME=ROWSxCOLS or default=ROWSxCOLS with a size that --array has")
                : CLI_EXIT_OK;
}

static int read_use(struct session *s, const struct cli_args *args) {
    const char *use = cli_value(args, "for");
    s->use = use && strcmp(use, "inference") == 0 ? RPU_USE_INFERENCE : RPU_USE_TRAINING;
    if (use && s->use == RPU_USE_TRAINING && strcmp(use, "training") != 0)
        return option_wrong("map", "for", use, "training or inference");
    return CLI_EXIT_OK;
}

/* ---- the command ---- */

/* An error of what was asked for, a document of results included, is wrong usage. */
static int failed(const struct rpu_error *err) {
    report_error("map", err);
    return err->status == RPU_ERR_NOMEM ? CLI_EXIT_FAILURE : CLI_EXIT_USAGE;
}

static int compute(struct session *s, const struct cli_args *args) {
    uint32_t sides[3] = {0, 0, 0};
    struct rpu_error err;
    int code = read_input(s, args, sides);
    if (code)
        return code;
    if (rpu_mapping_of(&s->mapping, &s->config, sides[0], sides[1], sides[2], &err) != RPU_OK)
        return failed(&err);
    code = read_copies(s, args);
    code = code ? code : read_places(s, args);
    if (code)
        return code;
    s->report.rereads_of = cli_value(args, "rereads");
    if (s->report.rereads_of && rpu_mapping_rereads(&s->mapping, s->report.rereads_of, &err) != RPU_OK)
        return failed(&err);
    return rpu_mapping_compute(&s->mapping, &s->hardware, &err) == RPU_OK ? CLI_EXIT_OK : failed(&err);
}

static int write_outputs(const struct session *s, const struct cli_args *args) {
    struct json_output out;
    struct rpu_error err;
    char *text = NULL;
    int code = option_json(args, &out);
    if (code)
        return code;
    if ((out.file || out.to_stdout) && rpu_mapping_json(&text, &s->report, &err) != RPU_OK)
        code = report_error("map", &err);
    code = json_output_end(args, &out, text, code);
    if (!code && !out.to_stdout)
        print_mapping(stdout, &s->report, s->use);
    return code;
}

int command_map(const struct cli_args *args) {
    struct session *s = calloc(1, sizeof *s);
    int code;
    if (!s) {
        fprintf(stderr, CLI_PROGRAM " map: out of memory\n");
        return CLI_EXIT_FAILURE;
    }
    s->report.config = &s->config;
    s->report.hardware = &s->hardware;
    s->report.mapping = &s->mapping;
    code = read_use(s, args);
    code = code ? code : read_hardware(s, args);
    code = code ? code : read_config(s, args);
    code = code ? code : compute(s, args);
    code = code ? code : write_outputs(s, args);
    free(s);
    return code;
}
