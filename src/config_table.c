/* SPDX-License-Identifier: Apache-2.0 */
#include "config_table.h"

#include "config_number.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const rpu_layer_kinds[] = {"conv", "fc", "maxpool", "tanh", "relu", "sigmoid", "softmax", NULL};

static const char *const device_kinds[] = {"perfect", "constant-step", NULL};
static const char *const nm_kinds[] = {"none", "abs-max", NULL};
static const char *const bind_kinds[] = {"auto", "none", "compact", "spread", NULL};
static const char *const share_kinds[] = {"auto", "always", NULL};
static const char *const bm_kinds[] = {"none", "iterative", NULL};
static const char *const division_kinds[] = {"blocks", "random", "redrawn", NULL};

#define ALL_LAYERS          0x7fu
#define CONV                RPU_LAYER_BIT(RPU_LAYER_CONV)
#define POOL                RPU_LAYER_BIT(RPU_LAYER_MAXPOOL)
#define TOP(member, dotted) .scope = RPU_SCOPE_TOP, .path = dotted, .offset = offsetof(struct rpu_config, member)
#define LAYER(member, dotted)                                                                                          \
    .scope = RPU_SCOPE_LAYER, .path = dotted, .offset = offsetof(struct rpu_layer_spec, member)
#define ARRAY(member, dotted)                                                                                          \
    .scope = RPU_SCOPE_ARRAY, .path = dotted, .offset = offsetof(struct rpu_tile_params, member)
#define INTEGER(least, most) .type = RPU_KEY_INTEGER, .low = (least), .high = (most)
#define REAL(least, most)    .type = RPU_KEY_REAL, .min = (least), .max = (most)
#define TEXT(least, most)    .type = RPU_KEY_TEXT, .low = (least), .high = (most)
#define CHOICE(names)        .type = RPU_KEY_CHOICE, .choices = (names)

/* The settings of a cycle that reads the array. */
#define PERIPHERY(cycle, what)                                                                                         \
    {.scope = RPU_SCOPE_ARRAY, .path = #cycle, .type = RPU_KEY_MAP, .help = what},                                     \
        {ARRAY(cycle.in_bits, #cycle ".in_bits"),                                                                      \
         INTEGER(2, 16),                                                                                               \
         .or_off = 1,                                                                                                  \
         .unit = "bits",                                                                                               \
         .fallback = "7",                                                                                              \
         .help = "input converter (DAC) over -1 to 1; 0: off"},                                                        \
        {ARRAY(cycle.out_bits, #cycle ".out_bits"),                                                                    \
         INTEGER(2, 16),                                                                                               \
         .or_off = 1,                                                                                                  \
         .unit = "bits",                                                                                               \
         .fallback = "9",                                                                                              \
         .help = "output converter (ADC) over plus and minus the bound; 0: off"},                                      \
        {ARRAY(cycle.noise, #cycle ".noise"), REAL(0, 1e6), .fallback = "0.06",                                        \
         .help = "sigma of the Gaussian noise on each output at each read"},                                           \
        {ARRAY(cycle.bound, #cycle ".bound"), REAL(0, 1e6), .fallback = "12",                                          \
         .help = "outputs are clipped to plus and minus this; 0: no bound"},                                           \
        {ARRAY(cycle.nm, #cycle ".nm"), CHOICE(nm_kinds), .fallback = "none",                                          \
         .help = "noise management: scale the input by its largest magnitude"},                                        \
        {ARRAY(cycle.bm, #cycle ".bm"), CHOICE(bm_kinds), .fallback = "none",                                          \
         .help = "bound management: while an output saturates, halve the input and reread"},                           \
    {                                                                                                                  \
        ARRAY(cycle.bm_limit, #cycle ".bm_limit"), INTEGER(0, 30),                                                     \
            .unit = "halvings", .fallback = "5",                                                                       \
            .help = "most halvings by bound management; then the last read stands"                                     \
    }

/* clang-format off */
static const struct rpu_key keys[] = {
    {TOP(preset, "preset"), TEXT(1, 63),
     .help = "preset that this file changes; without it, what is not given has its default"},

    {.scope = RPU_SCOPE_TOP, .path = "network", .type = RPU_KEY_MAP, .help = "the network"},
    {TOP(height, "network.height"), INTEGER(1, 65536), .or_off = 1, .unit = "pixels", .fallback = "0",
     .help = "rows of an image; 0: as many as the data have"},
    {TOP(width, "network.width"), INTEGER(1, 65536), .or_off = 1, .unit = "pixels", .fallback = "0",
     .help = "columns of an image; 0: as many as the data have"},
    {TOP(channels, "network.channels"), INTEGER(1, 65536), .or_off = 1, .unit = "channels", .fallback = "0",
     .help = "channels of an image (3: colours); 0: as many as the data have"},
    {.scope = RPU_SCOPE_TOP, .path = "network.layers", .type = RPU_KEY_LAYERS, .high = RPU_LAYERS_MAX,
     .help = "layers in order, ending with softmax; a list replaces that of the preset"},
    {LAYER(kind, "type"), CHOICE(rpu_layer_kinds), .layers = ALL_LAYERS,
     .help = "kind of layer; softmax includes the cross-entropy loss"},
    {LAYER(name, "name"), .type = RPU_KEY_NAME, .low = 1, .high = RPU_NAME_MAX - 1,
     .layers = RPU_LAYERS_WITH_ARRAY,
     .help = "name of the array; default: K (conv) or W (fc) and the array's number, as in K1, K2, W3, W4"},
    {LAYER(outputs, "outputs"), INTEGER(1, 65536), .layers = RPU_LAYERS_WITH_ARRAY,
     .help = "output channels (conv) or outputs (fc)"},
    {LAYER(kernel, "kernel"), INTEGER(1, 1024), .layers = CONV, .unit = "pixels",
     .help = "side of the square kernel"},
    {LAYER(kernel, "window"), INTEGER(1, 16), .layers = POOL, .unit = "pixels",
     .help = "side of the square window"},
    {LAYER(stride, "stride"), INTEGER(1, 1024), .layers = CONV, .unit = "pixels", .fallback = "1",
     .help = "step between output positions"},
    {LAYER(stride, "stride"), INTEGER(1, 1024), .layers = POOL, .unit = "pixels", .fallback = "=window",
     .help = "step between windows"},
    {LAYER(padding, "padding"), INTEGER(0, 1023), .layers = CONV, .unit = "pixels", .fallback = "0",
     .help = "zeros added at each border"},
    {LAYER(bias, "bias"), .type = RPU_KEY_BOOL, .layers = RPU_LAYERS_WITH_ARRAY,
     .fallback = "true", .help = "one more input that is always 1"},

    {.scope = RPU_SCOPE_TOP, .path = "arrays", .type = RPU_KEY_ARRAYS,
     .help = "settings of the arrays: `default` for all of them, and overrides by array name"},
    {ARRAY(device.kind, "device"), CHOICE(device_kinds), .fallback = "constant-step",
     .help = "perfect: exact floating point, and no other setting has an effect"},
    {ARRAY(device.dw_min, "dw_min"), REAL(1e-8, 1), .fallback = "0.001",
     .help = "mean weight change of one coincidence of pulses"},
    {ARRAY(device.dw_min_dtod, "dw_min_dtod"), REAL(0, 1), .fallback = "0.3",
     .help = "device-to-device spread of dw_min"},
    {ARRAY(device.dw_min_ctoc, "dw_min_ctoc"), REAL(0, 1), .fallback = "0.3",
     .help = "cycle-to-cycle spread of a weight change"},
    {ARRAY(device.imbalance_dtod, "imbalance_dtod"), REAL(0, 1), .fallback = "0.01",
     .help = "device-to-device spread, added to up and taken from down steps"},
    {ARRAY(device.bound, "bound"), REAL(1e-5, 1e6), .fallback = "0.6",
     .help = "mean bound of the weights' magnitude"},
    {ARRAY(device.bound_dtod, "bound_dtod"), REAL(0, 1), .fallback = "0.3",
     .help = "device-to-device spread of the bound, each side on its own"},
    PERIPHERY(forward, "the forward read"),
    PERIPHERY(backward, "the backward read, with the keys of forward"),
    {.scope = RPU_SCOPE_ARRAY, .path = "update", .type = RPU_KEY_MAP, .help = "the update"},
    {ARRAY(update.bl, "update.bl"), INTEGER(1, 255), .unit = "slots", .fallback = "10",
     .help = "bit length of the pulse trains"},
    {ARRAY(update.um, "update.um"), .type = RPU_KEY_BOOL, .fallback = "false",
     .help = "update management: balance the pulse probabilities of rows and columns"},
    {ARRAY(devices, "devices"), INTEGER(1, 16), .unit = "devices", .fallback = "1",
     .help = "crosspoints of a weight, which is their mean; each has an input line of its own"},
    {ARRAY(copies, "copies"), INTEGER(1, 64), .unit = "arrays", .fallback = "1",
     .help = "arrays of a convolution, which share its output positions; fully connected: always 1"},
    {ARRAY(division, "division"), CHOICE(division_kinds), .fallback = "blocks",
     .help = "positions of each copy: consecutive, drawn once, or redrawn for each image"},
    {ARRAY(max_rows, "max_rows"), INTEGER(1, 1048576), .or_off = 1, .unit = "outputs", .fallback = "4096",
     .help = "arrays with more are divided among tiles; 0: never"},
    {ARRAY(max_cols, "max_cols"), INTEGER(1, 1048576), .or_off = 1, .unit = "inputs", .fallback = "4096",
     .help = "the same for input lines: the bias included, one for each device"},

    {.scope = RPU_SCOPE_TOP, .path = "training", .type = RPU_KEY_MAP, .help = "the training"},
    {TOP(epochs, "training.epochs"), INTEGER(1, 1000000), .unit = "epochs", .fallback = "30",
     .help = "passes over the training images"},
    {TOP(batch, "training.batch"), INTEGER(1, 65536), .unit = "images", .fallback = "1",
     .help = "images that see the same weights; each then updates with full eta"},
    {TOP(eta, "training.eta"), REAL(1e-9, 1000), .fallback = "0.01", .help = "learning rate"},
    {TOP(seed, "training.seed"), .type = RPU_KEY_SEED, .high = UINT64_MAX, .fallback = "1",
     .help = "seed of every random number"},

    {.scope = RPU_SCOPE_TOP, .path = "data", .type = RPU_KEY_MAP, .help = "the images"},
    {TOP(data, "data.source"), TEXT(1, RPU_PATH_MAX - 1), .fallback = "digits",
     .help = "digits (generated), or the folder of the four IDX files"},
    {TOP(limit_train, "data.limit_train"), INTEGER(0, UINT32_MAX), .unit = "images", .fallback = "0",
     .help = "train on the first so many images only; 0: all (digits: 60,000)"},
    {TOP(limit_test, "data.limit_test"), INTEGER(0, UINT32_MAX), .unit = "images", .fallback = "0",
     .help = "test on the first so many images only; 0: all (digits: 10,000)"},

    {.scope = RPU_SCOPE_TOP, .path = "run", .type = RPU_KEY_MAP, .help = "how it is computed; changes no result"},
    {TOP(threads, "run.threads"), INTEGER(0, 1024), .unit = "threads", .fallback = "0",
     .help = "0: as many as the process may use"},
    {TOP(bind, "run.bind"), CHOICE(bind_kinds), .fallback = "auto",
     .help = "places of the threads: auto binds where it pays"},
    {TOP(share, "run.share"), CHOICE(share_kinds), .fallback = "auto",
     .help = "threads share minibatches: auto unless one thread is faster alone"},
    {TOP(isa, "run.isa"), TEXT(0, 15), .fallback = "",
     .help = "highest kernel variant to use; empty: the best there is"},
};
/* clang-format on */

/* ---- looking ---- */

const struct rpu_key *rpu_key_at(size_t index) {
    return index < sizeof keys / sizeof keys[0] ? &keys[index] : NULL;
}

int rpu_key_belongs(const struct rpu_key *key, enum rpu_scope scope, unsigned kinds) {
    return key->scope == scope && (scope != RPU_SCOPE_LAYER || (key->layers & kinds));
}

const struct rpu_key *rpu_key_find(enum rpu_scope scope, unsigned kinds, const char *path) {
    const struct rpu_key *k;
    for (size_t i = 0; (k = rpu_key_at(i)); i++)
        if (rpu_key_belongs(k, scope, kinds) && strcmp(k->path, path) == 0)
            return k;
    return NULL;
}

const char *rpu_key_name_in(const struct rpu_key *key, const char *prefix) {
    const size_t length = strlen(prefix);
    const char *name = key->path;
    if (length) {
        if (strncmp(name, prefix, length) != 0 || name[length] != '.')
            return NULL;
        name += length + 1;
    }
    return strchr(name, '.') ? NULL : name;
}

/* ---- describing ---- */

static void join(const char *const *names, char *buffer, size_t size) {
    for (size_t i = 0; names[i]; i++) {
        const size_t used = strlen(buffer);
        snprintf(buffer + used, size - used, "%s%s", i == 0 ? "" : names[i + 1] ? ", " : " or ", names[i]);
    }
}

static void describe_real(const struct rpu_key *key, char *buffer, size_t size) {
    char min[RPU_NUMBER_TEXT], max[RPU_NUMBER_TEXT];
    rpu_number_print((float)key->min, min);
    rpu_number_print((float)key->max, max);
    snprintf(buffer, size, "a number from %s to %s", min, max);
}

const char *rpu_key_allowed(const struct rpu_key *key, char *buffer, size_t size) {
    buffer[0] = '\0';
    switch (key->type) {
    case RPU_KEY_MAP: return "a map of keys";
    case RPU_KEY_ARRAYS: return "a map of array names, and default";
    case RPU_KEY_LAYERS: snprintf(buffer, size, "a list of 1 to %" PRIu64 " layers", key->high); break;
    case RPU_KEY_BOOL: return "true or false";
    case RPU_KEY_INTEGER:
    case RPU_KEY_SEED:
        snprintf(buffer, size, "%s from %" PRIu64 " to %" PRIu64, key->or_off ? "0 (off), or an integer" : "an integer",
                 key->low, key->high);
        break;
    case RPU_KEY_REAL: describe_real(key, buffer, size); break;
    case RPU_KEY_CHOICE: join(key->choices, buffer, size); break;
    case RPU_KEY_TEXT: snprintf(buffer, size, "a text of %" PRIu64 " to %" PRIu64 " bytes", key->low, key->high); break;
    case RPU_KEY_NAME:
        snprintf(buffer, size, "a letter, then letters, digits, _ or -, %" PRIu64 " at most, and not `default`",
                 key->high);
        break;
    }
    return buffer;
}

/* Edit distance of short words; swapped neighbours count as one. */
static size_t distance(const char *a, const char *b) {
    enum { MOST = 40 };
    size_t d[3][MOST + 1], la = strlen(a), lb = strlen(b);
    if (la > MOST || lb > MOST)
        return MOST;
    for (size_t j = 0; j <= lb; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *row = d[i % 3], *above = d[(i + 2) % 3], *before = d[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
    }
    return d[la % 3][lb];
}

const char *rpu_nearest(const char *name, const char *const *names) {
    const char *nearest = NULL;
    size_t least = strlen(name) / 3 + 2;
    for (; *names; names++) {
        const size_t d = distance(name, *names);
        if (d < least && 2 * d < strlen(*names)) {
            least = d;
            nearest = *names;
        }
    }
    return nearest;
}

/* ---- values ---- */

static void store32(const struct rpu_key *key, void *base, uint32_t v) {
    memcpy((char *)base + key->offset, &v, sizeof v);
}

static uint32_t load32(const struct rpu_key *key, const void *base) {
    uint32_t v;
    memcpy(&v, (const char *)base + key->offset, sizeof v);
    return v;
}

static int is_name(const char *text) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", more[] = "0123456789_-";
    const char *p = text + (*text && strchr(letters, *text));
    if (p == text || strcmp(text, "default") == 0)
        return 0;
    while (*p && (strchr(letters, *p) || strchr(more, *p)))
        p++;
    return !*p;
}

static int is_null(const char *text, int quoted) {
    return !quoted &&
           (!*text || !strcmp(text, "~") || !strcmp(text, "null") || !strcmp(text, "Null") || !strcmp(text, "NULL"));
}

static const char *parse_text(const struct rpu_key *key, const char *text, int quoted, void *base) {
    const size_t length = strlen(text);
    if (is_null(text, quoted))
        return "is no text";
    if (length < key->low)
        return "is empty";
    if (length > key->high)
        return "is too long";
    if (key->type == RPU_KEY_NAME && !is_name(text))
        return "is not a name";
    memset((char *)base + key->offset, 0, key->high + 1);
    memcpy((char *)base + key->offset, text, length);
    return NULL;
}

static const char *parse_integer(const struct rpu_key *key, const char *text, void *base) {
    uint64_t v = 0;
    const char *wrong = rpu_number_integer(text, &v);
    if (wrong)
        return *wrong ? wrong : "is out of range";
    if ((v < key->low || v > key->high) && !(key->or_off && v == 0))
        return "is out of range";
    if (key->type == RPU_KEY_SEED)
        memcpy((char *)base + key->offset, &v, sizeof v);
    else
        store32(key, base, (uint32_t)v);
    return NULL;
}

static int in_range(const struct rpu_key *key, float v) {
    return v >= (float)key->min && v <= (float)key->max;
}

static const char *parse_real(const struct rpu_key *key, const char *text, void *base) {
    float v = 0;
    const char *wrong = rpu_number_real(text, &v);
    if (wrong)
        return *wrong ? wrong : "is out of range";
    if (!in_range(key, v))
        return "is out of range";
    memcpy((char *)base + key->offset, &v, sizeof v);
    return NULL;
}

static const char *parse_choice(const struct rpu_key *key, const char *text, void *base) {
    for (uint32_t i = 0; key->choices[i]; i++)
        if (strcmp(key->choices[i], text) == 0) {
            store32(key, base, i);
            return NULL;
        }
    return "is none of the choices";
}

const char *rpu_key_parse(const struct rpu_key *key, const char *text, int quoted, void *base) {
    static const char *const booleans[] = {"false", "true", NULL};
    const int number = key->type == RPU_KEY_INTEGER || key->type == RPU_KEY_SEED || key->type == RPU_KEY_REAL;
    struct rpu_key boolean = *key;
    if (key->type == RPU_KEY_TEXT || key->type == RPU_KEY_NAME)
        return parse_text(key, text, quoted, base);
    if (key->type == RPU_KEY_CHOICE)
        return parse_choice(key, text, base);
    if (quoted && (number || key->type == RPU_KEY_BOOL))
        return "is a quoted text";
    if (key->type == RPU_KEY_BOOL) {
        boolean.choices = booleans;
        return parse_choice(&boolean, text, base) ? "is neither" : NULL;
    }
    if (number)
        return key->type == RPU_KEY_REAL ? parse_real(key, text, base) : parse_integer(key, text, base);
    return "is a single value";
}

void rpu_key_default(const struct rpu_key *key, unsigned kinds, void *base) {
    const struct rpu_key *other;
    if (!key->fallback)
        return;
    if (key->fallback[0] != '=') {
        rpu_key_parse(key, key->fallback, key->type == RPU_KEY_TEXT, base);
        return;
    }
    other = rpu_key_find(key->scope, kinds, key->fallback + 1);
    store32(key, base, load32(other, base));
}

static size_t member_size(const struct rpu_key *key) {
    switch (key->type) {
    case RPU_KEY_TEXT:
    case RPU_KEY_NAME: return (size_t)key->high + 1;
    case RPU_KEY_SEED: return sizeof(uint64_t);
    case RPU_KEY_MAP:
    case RPU_KEY_LAYERS:
    case RPU_KEY_ARRAYS: return 0;
    default: return sizeof(uint32_t);
    }
}

int rpu_key_equal(const struct rpu_key *key, const void *a, const void *b) {
    return memcmp((const char *)a + key->offset, (const char *)b + key->offset, member_size(key)) == 0;
}

static int text_value(const struct rpu_key *key, const void *base, struct rpu_value *value) {
    const char *text = (const char *)base + key->offset;
    const char *end = memchr(text, 0, (size_t)key->high + 1);
    value->type = RPU_VALUE_TEXT;
    value->text = text;
    return end && (uint64_t)(end - text) >= key->low && (key->type != RPU_KEY_NAME || is_name(text));
}

static int choice_value(const struct rpu_key *key, const void *base, struct rpu_value *value) {
    const uint32_t index = load32(key, base);
    uint32_t count = 0;
    while (key->choices[count])
        count++;
    value->type = RPU_VALUE_TEXT;
    value->text = index < count ? key->choices[index] : "";
    return index < count;
}

static int integer_value(const struct rpu_key *key, const void *base, char buffer[32], struct rpu_value *value) {
    value->integer = load32(key, base);
    if (key->type == RPU_KEY_SEED)
        memcpy(&value->integer, (const char *)base + key->offset, sizeof value->integer);
    snprintf(buffer, 32, "%" PRIu64, value->integer);
    value->type = RPU_VALUE_INTEGER;
    value->text = buffer;
    return (value->integer >= key->low && value->integer <= key->high) || (key->or_off && value->integer == 0);
}

int rpu_key_value(const struct rpu_key *key, const void *base, char buffer[32], struct rpu_value *value) {
    float real;
    memset(value, 0, sizeof *value);
    value->key = key;
    switch (key->type) {
    case RPU_KEY_TEXT:
    case RPU_KEY_NAME: return text_value(key, base, value);
    case RPU_KEY_CHOICE: return choice_value(key, base, value);
    case RPU_KEY_INTEGER:
    case RPU_KEY_SEED: return integer_value(key, base, buffer, value);
    case RPU_KEY_BOOL:
        value->type = RPU_VALUE_BOOL;
        value->boolean = load32(key, base) != 0;
        value->text = value->boolean ? "true" : "false";
        return load32(key, base) <= 1;
    case RPU_KEY_REAL:
        memcpy(&real, (const char *)base + key->offset, sizeof real);
        value->type = RPU_VALUE_REAL;
        value->real = rpu_number_print(real, buffer);
        value->text = buffer;
        return in_range(key, real);
    default: return 0;
    }
}

/* ---- names and presets ---- */

void rpu_default_name(const struct rpu_layer_spec *layer, uint32_t number, char name[RPU_NAME_MAX]) {
    memset(name, 0, RPU_NAME_MAX);
    snprintf(name, RPU_NAME_MAX, "%c%" PRIu32, layer->kind == RPU_LAYER_CONV ? 'K' : 'W', number);
}

const char *rpu_preset_name(size_t index) {
    return index < rpu_preset_count ? rpu_presets[index].name : NULL;
}

const char *rpu_preset_summary(size_t index) {
    return index < rpu_preset_count ? rpu_presets[index].summary : NULL;
}

const char *rpu_preset_yaml(const char *name) {
    for (size_t i = 0; name && i < rpu_preset_count; i++)
        if (strcmp(rpu_presets[i].name, name) == 0)
            return rpu_presets[i].text;
    return NULL;
}
