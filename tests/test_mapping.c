/* SPDX-License-Identifier: Apache-2.0 */
/* Mapping: the published table of AlexNet, tiles against those that a network really gets, times of copies, rereads and
 * pulse slots, and the copies that balance a pipeline against all others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "config_table.h"
#include "random.h"

#include <rpu/mapping.h>
#include <rpu/network.h>

enum { ALEXNET = 8 };

static struct rpu_mapping mapping_of(const char *preset, uint32_t height, uint32_t channels) {
    static struct rpu_mapping m;
    struct rpu_config c;
    struct rpu_error err;
    if (rpu_config_load(&c, preset, NULL, 0, &err) != RPU_OK ||
        rpu_mapping_of(&m, &c, height, height, channels, &err) != RPU_OK)
        fail_msg("%s", err.message);
    return m;
}

static void compute(struct rpu_mapping *m, const struct rpu_hardware *h) {
    struct rpu_error err;
    if (rpu_mapping_compute(m, h, &err) != RPU_OK)
        fail_msg("%s", err.message);
}

static struct rpu_hardware one_kind(uint32_t side, double t_meas) {
    const struct rpu_hardware h = {.n_kinds = 1, .kinds = {{side, side, t_meas}}};
    return h;
}

/* ---- AlexNet ---- */

/* AlexNet, the last preset, is a network of its own: 227x227x3 images, no biases, the arrays of lenet-rpu. */
static void alexnet_is_a_preset(void **state) {
    static const char expected[] = "conv 96, relu, maxpool, conv 256, relu, maxpool, conv 384, relu, conv 384, relu, "
                                   "conv 256, relu, maxpool, fc 4096, relu, fc 4096, relu, fc 1000, softmax, ";
    struct rpu_config c, lenet;
    char found[512] = "";
    (void)state;
    assert_int_equal(rpu_config_load(&c, "alexnet", NULL, 0, NULL), RPU_OK);
    assert_int_equal(rpu_config_load(&lenet, "lenet-rpu", NULL, 0, NULL), RPU_OK);
    assert_true(c.height == 227 && c.width == 227 && c.channels == 3);
    for (uint32_t i = 0; i < c.n_layers; i++) {
        const struct rpu_layer_spec *l = &c.layers[i];
        const size_t used = strlen(found);
        if (l->outputs)
            snprintf(found + used, sizeof found - used, "%s %u, ", rpu_layer_kinds[l->kind], l->outputs);
        else
            snprintf(found + used, sizeof found - used, "%s, ", rpu_layer_kinds[l->kind]);
        if (l->name[0])
            assert_memory_equal(&l->tile, &lenet.layers[0].tile, sizeof l->tile);
        assert_int_equal(l->bias, 0);
    }
    assert_string_equal(found, expected);
}

/* The table of the paper's discussion, as printed: MMAC, microseconds at 80 ns and at 10 ns (0: not given). */
static const struct {
    const char *name;
    uint32_t outputs, inputs, columns;
    double mmac, us_80, us_80_unit, us_10, us_10_unit;
} paper[ALEXNET] = {
    {"K1", 96, 363, 3025, 105, 242, 1, 30, 1},        {"K2", 256, 2400, 729, 448, 58, 1, 7.3, 0.1},
    {"K3", 384, 2304, 169, 150, 13.5, 0.1, 1.7, 0.1}, {"K4", 384, 3456, 169, 224, 13.5, 0.1, 1.7, 0.1},
    {"K5", 256, 3456, 169, 150, 13.5, 0.1, 1.7, 0.1}, {"W6", 4096, 9216, 1, 38, 0.08, 0.01, 0, 0},
    {"W7", 4096, 4096, 1, 17, 0.08, 0.01, 0, 0},      {"W8", 1000, 4096, 1, 4, 0.08, 0.01, 0, 0},
};

/* Whether a figure is what was printed, rounded to its last digit. */
static void assert_printed(double figure, double printed, double unit) {
    if (fabs(figure - printed) > 0.5 * unit + 1e-9)
        fail_msg("%g, but %g was printed", figure, printed);
}

static void the_table_of_the_paper(void **state) {
    struct rpu_mapping m = mapping_of("alexnet", 227, 3);
    const struct rpu_hardware large = one_kind(4096, 80.0), small = one_kind(512, 10.0);
    (void)state;
    assert_int_equal(m.n_arrays, ALEXNET);
    compute(&m, &large);
    for (size_t i = 0; i < ALEXNET; i++) {
        const struct rpu_mapped_array *a = &m.arrays[i];
        assert_string_equal(a->name, paper[i].name);
        assert_int_equal(a->outputs, paper[i].outputs);
        assert_int_equal(a->inputs, paper[i].inputs);
        assert_int_equal(a->columns, paper[i].columns);
        assert_printed((double)a->macs * 1e-6, paper[i].mmac, 1);
        assert_printed(a->ns[RPU_CYCLE_FORWARD] * 1e-3, paper[i].us_80, paper[i].us_80_unit);
        assert_true(a->ns[RPU_CYCLE_UPDATE] == a->ns[RPU_CYCLE_FORWARD]);
        assert_true(a->ns[RPU_CYCLE_BACKWARD] == (i ? a->ns[RPU_CYCLE_FORWARD] : 0.0));
    }
    assert_printed((double)m.macs * 1e-9, 1.14, 0.01);
    assert_string_equal(m.arrays[m.pace[RPU_USE_TRAINING].slowest].name, "K1");
    assert_true(m.pace[RPU_USE_TRAINING].ns == 2 * 3025 * 80.0 && m.pace[RPU_USE_INFERENCE].ns == 3025 * 80.0);
    compute(&m, &small);
    for (size_t i = 0; i < ALEXNET; i++)
        if (paper[i].us_10 > 0)
            assert_printed(m.arrays[i].ns[RPU_CYCLE_FORWARD] * 1e-3, paper[i].us_10, paper[i].us_10_unit);
}

/* Tiles by hand: the quotients of the paper's shapes and 512, rounded up. */
static void tiles_of_alexnet(void **state) {
    static const uint32_t rows[ALEXNET] = {1, 1, 1, 1, 1, 8, 8, 2}, cols[ALEXNET] = {1, 5, 5, 7, 7, 18, 8, 8};
    const struct rpu_hardware large = one_kind(4096, 80.0), small = one_kind(512, 10.0);
    struct rpu_mapping m = mapping_of("alexnet", 227, 3);
    (void)state;
    compute(&m, &small);
    for (size_t i = 0; i < ALEXNET; i++) {
        assert_int_equal(m.arrays[i].grid_rows, rows[i]);
        assert_int_equal(m.arrays[i].grid_cols, cols[i]);
        assert_true(fabs(m.arrays[i].used - paper[i].outputs * (double)paper[i].inputs / (rows[i] * cols[i]) / 262144) <
                    1e-12);
    }
    assert_int_equal(m.tiles, 249);
    assert_true(fabs(m.used - (double)m.weights / (249 * 262144.0)) < 1e-12);
    assert_true(m.crosspoints == 249 * 262144.0);
    compute(&m, &large);
    assert_int_equal(m.tiles, 10); /* one each, and three for the 9216 inputs of W6 */
    assert_int_equal(m.arrays[5].grid_cols, 3);
    assert_true(m.arrays[6].used == 1.0 && m.arrays[5].used == 0.75);
}

/* The first layer is small and slow, the others large: the first alone goes to the small, fast tiles. */
static void two_kinds_of_tiles(void **state) {
    const struct rpu_hardware h = {.n_kinds = 2, .kinds = {{4096, 4096, 80.0}, {512, 512, 10.0}}};
    struct rpu_mapping m = mapping_of("alexnet", 227, 3);
    (void)state;
    compute(&m, &h);
    for (size_t i = 0; i < ALEXNET; i++)
        assert_int_equal(m.arrays[i].tile.rows, i == 0 ? 512 : 4096);
    assert_true(m.arrays[0].ns[0] == 30250.0 && m.arrays[1].ns[0] == 58320.0);
    assert_string_equal(m.arrays[m.pace[RPU_USE_INFERENCE].slowest].name, "K2");
    assert_true(m.crosspoints == 262144.0 + 9 * 16777216.0);
    m.arrays[0].kind = 1; /* asked for */
    m.arrays[1].kind = 2;
    compute(&m, &h);
    assert_true(m.arrays[0].ns[0] == 242000.0 && m.arrays[1].ns[0] == 7290.0);
    assert_true(m.arrays[1].tiles == 5 && m.arrays[2].tiles == 1);
}

/* Of kinds that hold an array the fastest, of equally fast ones the smallest; of those that do not the largest. */
static void the_kind_that_suits(void **state) {
    static const struct {
        struct rpu_tile_kind kinds[3];
        uint32_t chosen;
    } rows[] = {
        {{{100, 400, 20.0}, {4096, 4096, 10.0}, {96, 363, 30.0}}, 1},
        {{{4096, 4096, 10.0}, {100, 400, 10.0}, {97, 400, 10.0}}, 2},
        {{{95, 4096, 1.0}, {4096, 362, 1.0}, {96, 363, 90.0}}, 2},
        {{{95, 100, 1.0}, {50, 360, 40.0}, {60, 360, 70.0}}, 2},
        {{{50, 200, 3.0}, {100, 100, 2.0}, {20, 500, 4.0}}, 1},
    };
    struct rpu_mapping m = mapping_of("alexnet", 227, 3);
    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        struct rpu_hardware h = {.n_kinds = 3};
        memcpy(h.kinds, rows[r].kinds, sizeof rows[r].kinds);
        compute(&m, &h);
        assert_memory_equal(&m.arrays[0].tile, &rows[r].kinds[rows[r].chosen], sizeof m.arrays[0].tile);
    }
}

/* ---- against real networks ---- */

static uint32_t below(uint64_t *random, uint32_t n) {
    return (uint32_t)(next_random(random) % n);
}

/* A network like LeNet with other numbers. */
static struct rpu_config vary(uint64_t *random) {
    struct rpu_config c;
    assert_int_equal(rpu_config_load(&c, "lenet-rpu", NULL, 0, NULL), RPU_OK);
    for (uint32_t i = 0; i + 1 < c.n_layers; i++) {
        struct rpu_layer_spec *l = &c.layers[i];
        if (l->kind == RPU_LAYER_MAXPOOL) {
            l->kernel = 1 + below(random, 3);
            l->stride = 1 + below(random, 3);
        }
        if (!l->name[0])
            continue;
        l->outputs = 10 + below(random, 60);
        l->bias = below(random, 2);
        l->tile.max_rows = below(random, 3) ? 5 + below(random, 40) : 0;
        l->tile.max_cols = below(random, 3) ? 5 + below(random, 200) : 0;
        if (l->kind != RPU_LAYER_CONV)
            continue;
        l->kernel = 1 + below(random, 5);
        l->stride = 1 + below(random, 2);
        l->padding = below(random, l->kernel);
        l->tile.devices = 1 + below(random, 3);
        l->tile.copies = 1 + below(random, 2);
    }
    return c;
}

static void arrays_are_those_of_the_network(void **state) {
    uint64_t random = 11;
    struct rpu_engine *engine;
    uint32_t divided = 0, checked = 0;
    (void)state;
    assert_int_equal(rpu_engine_create(&engine, NULL, 1, NULL), RPU_OK);
    for (int round = 0; round < 60; round++) {
        const struct rpu_config c = vary(&random);
        const struct rpu_hardware h = {.t_meas = 80.0};
        const uint32_t height = 14 + below(&random, 20), width = 14 + below(&random, 20),
                       channels = 1 + below(&random, 3);
        struct rpu_network *n = NULL;
        struct rpu_mapping m;
        const enum rpu_status status = rpu_network_create(&n, engine, &c, height, width, channels, 10, NULL);
        assert_int_equal(rpu_mapping_of(&m, &c, height, width, channels, NULL), status);
        if (status != RPU_OK)
            continue;
        compute(&m, &h);
        assert_int_equal(m.n_arrays, rpu_network_array_count(n));
        for (uint32_t a = 0; a < m.n_arrays; a++) {
            struct rpu_array_info info;
            assert_int_equal(rpu_network_array_info(n, a, &info), RPU_OK);
            assert_string_equal(m.arrays[a].name, info.name);
            assert_int_equal(m.arrays[a].outputs, info.outputs);
            assert_int_equal(m.arrays[a].inputs, info.inputs);
            assert_int_equal(m.arrays[a].columns, info.columns);
            assert_int_equal(m.arrays[a].has_backward, info.has_backward);
            assert_int_equal(m.arrays[a].tiles, info.tiles);
            assert_int_equal(m.arrays[a].copies, info.copies);
            assert_int_equal(m.arrays[a].devices, info.devices);
            divided += info.tiles > info.copies;
            checked++;
        }
        rpu_network_destroy(n);
    }
    assert_true(checked > 100 && divided > 50);
    rpu_engine_destroy(engine);
}

/* ---- times ---- */

static void copies_share_the_vectors(void **state) {
    const struct rpu_hardware h = one_kind(512, 10.0);
    struct rpu_mapping m = mapping_of("alexnet", 227, 3), single;
    (void)state;
    compute(&m, &h);
    single = m;
    m.arrays[0].copies = 4; /* 757, 756, 756 and 756 of 3025 */
    m.arrays[1].copies = 729;
    compute(&m, &h);
    assert_int_equal(m.arrays[0].longest, 757);
    assert_true(m.arrays[0].ns[0] == 7570.0 && m.arrays[0].ns[1] == 0.0 && m.arrays[0].ns[2] == 7570.0);
    assert_true(m.arrays[1].ns[0] == 10.0);
    assert_int_equal(m.arrays[0].tiles, 4);
    assert_int_equal(m.arrays[1].tiles, 729 * 5);
    assert_int_equal(m.tiles, single.tiles + 3 + 728 * 5);
    assert_true(m.arrays[1].used == single.arrays[1].used);
    assert_true(fabs(m.used - ((double)m.weights + 3 * 96 * 363.0 + 728 * 256 * 2400.0) / m.crosspoints) < 1e-12);
    assert_true(m.crosspoints == (double)m.tiles * 262144);
    assert_int_equal(m.macs, single.macs);
    assert_true(m.pace[RPU_USE_TRAINING].ns == 15140.0); /* still the first: twice 757 vectors against 3 x 169 */
    for (uint32_t copies = 1; copies <= 169; copies++) {
        m.arrays[2].copies = copies;
        compute(&m, &h);
        assert_true(m.arrays[2].longest * copies >= 169 && (m.arrays[2].longest - 1) * copies < 169);
    }
}

static void rereads_and_slots_take_time(void **state) {
    struct rpu_hardware h = one_kind(4096, 80.0);
    struct rpu_mapping m = mapping_of("lenet-rpu-nm-bm", 28, 1); /* BL 10 */
    (void)state;
    m.arrays[1].rereads[0] = 0.25;
    m.arrays[1].rereads[1] = 1.5;
    m.arrays[0].rereads[1] = 3.0; /* a cycle that the first array does not have */
    compute(&m, &h);
    assert_true(m.arrays[1].ns[0] == 64 * 100.0 && m.arrays[1].ns[1] == 64 * 200.0 && m.arrays[1].ns[2] == 64 * 80.0);
    assert_true(m.arrays[0].ns[1] == 0.0);
    assert_true(rpu_mapped_ns(&m.arrays[1], RPU_USE_TRAINING) == 64 * 380.0);
    assert_true(rpu_mapped_ns(&m.arrays[1], RPU_USE_INFERENCE) == 6400.0);
    h.t_slot = 2.0;
    compute(&m, &h);
    assert_true(m.arrays[1].ns[2] == 64 * 20.0 && m.arrays[3].ns[2] == 20.0);
    /* one image alone: all cycles of all arrays, one after the other */
    assert_true(m.pace[RPU_USE_TRAINING].alone_ns == 576 * (80.0 + 20.0) + 64 * (100.0 + 200.0 + 20.0) + 2 * 180.0);
    assert_true(m.pace[RPU_USE_INFERENCE].alone_ns == 576 * 80.0 + 64 * 100.0 + 2 * 80.0);
}

/* ---- balance ---- */

#define SLACK (1 + 1e-12) /* times are rounded */

/* Fewest tiles of all replications that reach `ns`, found by trying them all. */
static uint64_t fewest_tiles(struct rpu_mapping *m, const struct rpu_hardware *h, enum rpu_use use, double ns) {
    uint64_t fewest = UINT64_MAX;
    for (uint32_t i = 0; i < m->n_arrays; i++)
        m->arrays[i].copies = 1;
    for (;;) {
        uint32_t i = 0;
        compute(m, h);
        if (m->pace[use].ns <= ns * SLACK && m->tiles < fewest)
            fewest = m->tiles;
        while (i < m->n_arrays && ++m->arrays[i].copies > m->arrays[i].columns)
            m->arrays[i++].copies = 1;
        if (i == m->n_arrays)
            return fewest;
    }
}

/* Three arrays of a few vectors each: every step of the balance against all replications. */
static void no_cheaper_replication_keeps_up(void **state) {
    uint64_t random = 5;
    uint32_t steps_seen = 0;
    (void)state;
    for (int round = 0; round < 120; round++) {
        struct rpu_mapping m = mapping_of("alexnet", 227, 3);
        struct rpu_hardware h = {.n_kinds = 2, .kinds = {{64, 64, 10.0}, {512, 512, 4.1}}};
        struct rpu_balance steps[RPU_LAYERS_MAX];
        const enum rpu_use use = round % 2 ? RPU_USE_TRAINING : RPU_USE_INFERENCE;
        size_t n;
        m.n_arrays = 3;
        for (uint32_t i = 0; i < m.n_arrays; i++) {
            m.arrays[i].columns = 1 + below(&random, 12);
            m.arrays[i].kind = 1 + below(&random, 2);
            m.arrays[i].rereads[0] = below(&random, 3) * 0.1;
        }
        compute(&m, &h);
        n = rpu_mapping_balance(&m, use, steps);
        assert_in_range(n, 1, 3);
        steps_seen += (uint32_t)n;
        assert_true(steps[0].ns == m.pace[use].ns && steps[0].tiles == m.tiles);
        for (size_t s = 0; s < n; s++) {
            const double target = rpu_mapped_ns(&m.arrays[steps[s].leader], use);
            struct rpu_mapping copy = m;
            assert_true(s == 0 || steps[s].ns < steps[s - 1].ns);
            assert_int_equal(steps[s].copies[steps[s].leader], 1);
            for (uint32_t i = 0; i < m.n_arrays; i++)
                copy.arrays[i].copies = steps[s].copies[i];
            compute(&copy, &h);
            assert_true(copy.pace[use].ns == steps[s].ns && copy.pace[use].ns <= target * SLACK);
            assert_int_equal(copy.tiles, steps[s].tiles);
            assert_int_equal(fewest_tiles(&copy, &h, use, target), steps[s].tiles);
        }
    }
    assert_true(steps_seen > 200);
}

/* The end of balance: the fastest convolution, or a slower array of one vector. */
static void where_balance_ends(void **state) {
    struct rpu_hardware h = one_kind(4096, 80.0);
    struct rpu_mapping m = mapping_of("alexnet", 227, 3);
    struct rpu_balance steps[RPU_LAYERS_MAX];
    (void)state;
    compute(&m, &h);
    assert_int_equal(rpu_mapping_balance(&m, RPU_USE_INFERENCE, steps), 3);
    assert_int_equal(steps[0].leader, 0);
    assert_int_equal(steps[1].leader, 1);
    assert_int_equal(steps[1].copies[0], 5); /* 3025 vectors in the time of 729 */
    assert_int_equal(steps[2].leader, 2);
    assert_int_equal(steps[2].copies[0], 18); /* in that of 169 */
    assert_int_equal(steps[2].copies[1], 5);
    assert_true(steps[2].copies[3] == 1 && steps[2].copies[5] == 1 && steps[2].ns == 169 * 80.0);
    assert_int_equal(steps[2].tiles, 18 + 5 + 3 + 5);
    assert_int_equal(rpu_mapping_balance(&m, RPU_USE_TRAINING, steps), 3);
    assert_int_equal(steps[2].copies[0], 12); /* two cycles against three */
    m.arrays[6].rereads[0] = 30.0;            /* 31 reads of one vector on tiles of 1000 ns */
    h = (struct rpu_hardware){.n_kinds = 2, .kinds = {{4096, 4096, 1000.0}, {4095, 4095, 80.0}}};
    m.arrays[6].kind = m.arrays[5].kind = 1;
    compute(&m, &h);
    assert_int_equal(rpu_mapping_balance(&m, RPU_USE_INFERENCE, steps), 3);
    assert_int_equal(steps[2].leader, 6);
    assert_true(steps[2].ns <= 31000.0 && steps[2].copies[6] == 1 && steps[2].copies[2] == 1);
    assert_int_equal(steps[2].copies[0], 8); /* 387 vectors fit into 31 us */
    assert_int_equal(steps[2].copies[1], 2);
}

/* Times that are equal but for their rounding are equal. */
static void rounding_makes_no_copies(void **state) {
    struct rpu_hardware h = {.n_kinds = 2, .kinds = {{512, 512, 0.1}, {4096, 4096, 0.3}}};
    struct rpu_mapping m = mapping_of("alexnet", 227, 3);
    struct rpu_balance steps[RPU_LAYERS_MAX];
    (void)state;
    assert_true(39 * 0.1 > 13 * 0.3);
    m.n_arrays = 2;
    m.arrays[0].kind = 1;
    m.arrays[0].columns = 39;
    m.arrays[1].kind = 2;
    m.arrays[1].columns = 13;
    compute(&m, &h);
    assert_int_equal(rpu_mapping_balance(&m, RPU_USE_INFERENCE, steps), 1);
    assert_true(steps[0].copies[0] == 1 && steps[0].copies[1] == 1);
    for (uint32_t n = 2; n < 500; n++) { /* some n have a quotient below n */
        h.kinds[0].t_meas = h.kinds[1].t_meas = 0.1;
        m.arrays[0].columns = 3 * n;
        m.arrays[1].columns = n;
        compute(&m, &h);
        assert_int_equal(rpu_mapping_balance(&m, RPU_USE_INFERENCE, steps), 2);
        assert_true(steps[1].copies[0] == 3 && steps[1].copies[1] == 1);
    }
}

/* ---- errors ---- */

static void expect(enum rpu_status status, struct rpu_mapping *m, const struct rpu_hardware *h, const char *says) {
    struct rpu_error err = {0};
    assert_int_equal(rpu_mapping_compute(m, h, &err), status);
    if (!strstr(err.message, says))
        fail_msg("'%s' is missing in '%s'", says, err.message);
}

static void what_is_out_of_range_is_refused(void **state) {
    const struct rpu_mapping good = mapping_of("alexnet", 227, 3);
    const struct rpu_hardware h = one_kind(512, 10.0);
    struct rpu_mapping m = good;
    struct rpu_hardware bad = h;
    struct rpu_config c;
    struct rpu_error err;
    (void)state;
    m.arrays[2].copies = 170;
    expect(RPU_ERR_RANGE, &m, &h, "K3: 170 copies; allowed are 1 to 169");
    m.arrays[2].copies = 0;
    expect(RPU_ERR_RANGE, &m, &h, "K3: 0 copies");
    m = good;
    m.arrays[1].kind = 2;
    expect(RPU_ERR_RANGE, &m, &h, "K2: kind of tile 2; there are 1");
    m = good;
    m.arrays[1].rereads[1] = (double)NAN;
    expect(RPU_ERR_RANGE, &m, &h, "K2: nan rereads");
    m = good;
    m.arrays[1].devices = 16;
    bad.kinds[0].cols = 15;
    expect(RPU_ERR_RANGE, &m, &bad, "K2: 15 inputs of a tile cannot hold the 16 devices of a weight");
    bad.kinds[0].cols = 16;
    compute(&m, &bad);
    assert_int_equal(m.arrays[1].grid_cols, 2400); /* an input line of a weight each */
    assert_true(m.arrays[1].used > 0 && m.arrays[1].used <= 1.0);
    m = good;
    m.arrays[1].devices = 16;
    m.arrays[1].max_cols = 15;
    bad = (struct rpu_hardware){.t_meas = 80.0};
    expect(RPU_ERR_RANGE, &m, &bad, "K2: 15 inputs of a tile cannot hold");
    m = good;
    bad = h;
    bad.kinds[0].t_meas = 0.0;
    expect(RPU_ERR_RANGE, &m, &bad, "t_meas of a tile is 0 ns; allowed is above 0");
    bad = h;
    bad.kinds[0].rows = 0;
    expect(RPU_ERR_RANGE, &m, &bad, "a tile of 0 x 512");
    bad = h;
    bad.n_kinds = RPU_TILE_KINDS_MAX + 1;
    expect(RPU_ERR_RANGE, &m, &bad, "9 kinds");
    bad = h;
    bad.t_slot = -1.0;
    expect(RPU_ERR_RANGE, &m, &bad, "a slot of the pulse trains is -1 ns");
    bad = (struct rpu_hardware){.t_meas = (double)INFINITY};
    expect(RPU_ERR_RANGE, &m, &bad, "t_meas is inf ns");
    expect(RPU_ERR_ARG, &m, NULL, "hardware");
    assert_int_equal(rpu_config_load(&c, "alexnet", NULL, 0, NULL), RPU_OK);
    assert_int_equal(rpu_mapping_of(&m, &c, 28, 28, 1, &err), RPU_ERR_SHAPE);
    assert_non_null(strstr(err.message, "layer 6: the window is larger than its input"));
    assert_int_equal(rpu_mapping_of(&m, &c, 227, 0, 3, &err), RPU_ERR_SHAPE);
    assert_int_equal(rpu_mapping_of(&m, &c, UINT32_MAX, UINT32_MAX, UINT32_MAX, &err), RPU_ERR_SHAPE);
    assert_int_equal(rpu_mapping_of(&m, NULL, 227, 227, 3, &err), RPU_ERR_ARG);
    c.n_layers = 0;
    assert_int_equal(rpu_mapping_of(&m, &c, 227, 227, 3, &err), RPU_ERR_SHAPE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alexnet_is_a_preset),
        cmocka_unit_test(the_table_of_the_paper),
        cmocka_unit_test(tiles_of_alexnet),
        cmocka_unit_test(two_kinds_of_tiles),
        cmocka_unit_test(the_kind_that_suits),
        cmocka_unit_test(arrays_are_those_of_the_network),
        cmocka_unit_test(copies_share_the_vectors),
        cmocka_unit_test(rereads_and_slots_take_time),
        cmocka_unit_test(no_cheaper_replication_keeps_up),
        cmocka_unit_test(where_balance_ends),
        cmocka_unit_test(rounding_makes_no_copies),
        cmocka_unit_test(what_is_out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
