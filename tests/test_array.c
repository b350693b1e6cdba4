/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of several tiles against tiles whose reads are added by hand, reads in parts against whole ones, and networks
 * of such arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "range.h"
#include "small_network.h"

#include <rpu/network.h>

enum { M = 23, N = 61, COLUMNS = 9, ROWS = 3, COLS = 4, SEED = 5, INDEX = 2 };

static struct rpu_engine *engine;

static int open_engine(void **state) {
    (void)state;
    return rpu_engine_create(&engine, NULL, 2, NULL) != RPU_OK;
}

static int close_engine(void **state) {
    (void)state;
    rpu_engine_destroy(engine);
    return 0;
}

/* Everything that a periphery can do, with bounds that are reached. */
static struct rpu_tile_params lively(void) {
    struct rpu_tile_params p;
    rpu_tile_params_baseline(&p);
    p.forward.bm = p.backward.bm = RPU_BM_ITERATIVE;
    p.forward.bound = p.backward.bound = 0.25f;
    p.backward.nm = RPU_NM_ABS_MAX;
    p.update.um = 1;
    p.max_rows = 8;  /* 23 = 8 + 8 + 7 */
    p.max_cols = 16; /* 61 = 16 + 15 + 15 + 15 */
    return p;
}

static void fill(float *v, size_t n, uint32_t state) {
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        v[i] = (float)(int32_t)(state >> 8) * 0x1p-23f - 1.0f;
    }
}

static struct rpu_array *make(const struct rpu_tile_params *params, uint32_t m, uint32_t n) {
    struct rpu_array *a;
    struct rpu_error err;
    if (rpu_array_create(&a, engine, params, m, n, n, SEED, INDEX, 1, &err) != RPU_OK)
        fail_msg("%s", err.message);
    return a;
}

/* The tiles of the grid by hand, with the numbers that an array gives them. */
static void make_tiles(struct rpu_tile *tiles[ROWS][COLS], const struct rpu_tile_params *params) {
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < COLS; c++)
            assert_int_equal(rpu_tile_create(&tiles[r][c], engine, params,
                                             (uint32_t)(rpu_range(M, ROWS, r + 1) - rpu_range(M, ROWS, r)),
                                             (uint32_t)(rpu_range(N, COLS, c + 1) - rpu_range(N, COLS, c)), N, SEED,
                                             INDEX, (uint32_t)(r * COLS + c), NULL),
                             RPU_OK);
}

static void free_tiles(struct rpu_tile *tiles[ROWS][COLS]) {
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < COLS; c++)
            rpu_tile_destroy(tiles[r][c]);
}

/* y = sum over the columns of the grid, z = sum over its rows, from 0 on. */
static void reference(struct rpu_tile *tiles[ROWS][COLS], const struct rpu_block *where, const float *x, const float *d,
                      float *y, float *z, struct rpu_read_counts *forward, struct rpu_read_counts *backward) {
    float part[COLUMNS * N];
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < COLS; c++) {
            struct rpu_tile *t = tiles[r][c];
            const size_t row = rpu_range(M, ROWS, r), col = rpu_range(N, COLS, c);
            const size_t m = rpu_tile_outputs(t), n = rpu_tile_inputs(t);
            assert_int_equal(rpu_tile_forward(t, where, x + col, N, part, m, forward), RPU_OK);
            for (size_t p = 0; p < where->count; p++)
                for (size_t i = 0; i < m; i++)
                    y[p * M + row + i] = c == 0 ? part[p * m + i] : y[p * M + row + i] + part[p * m + i];
            assert_int_equal(rpu_tile_backward(t, where, d + row, M, part, n, backward), RPU_OK);
            for (size_t p = 0; p < where->count; p++)
                for (size_t j = 0; j < n; j++)
                    z[p * N + col + j] = r == 0 ? part[p * n + j] : z[p * N + col + j] + part[p * n + j];
        }
}

static void whole_weights(struct rpu_tile *tiles[ROWS][COLS], float *w) {
    float part[M * N];
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < COLS; c++) {
            const size_t n = rpu_tile_inputs(tiles[r][c]);
            rpu_tile_get_weights(tiles[r][c], part);
            for (size_t i = 0; i < rpu_tile_outputs(tiles[r][c]); i++)
                memcpy(w + (rpu_range(M, ROWS, r) + i) * N + rpu_range(N, COLS, c), part + i * n, n * sizeof *w);
        }
}

static void reads_and_updates_of_a_grid(void **state) {
    const struct rpu_tile_params params = lively();
    const struct rpu_block where = {3, 0, COLUMNS, 0};
    struct rpu_array *a = make(&params, M, N);
    struct rpu_tile *tiles[ROWS][COLS];
    struct rpu_read_counts forward[2] = {{0}}, backward[2] = {{0}};
    struct rpu_update_counts update[2] = {{0}};
    float x[COLUMNS * N], d[COLUMNS * M], y[2][COLUMNS * M], z[2][COLUMNS * N], w[2][M * N];
    uint64_t *trains = malloc(rpu_array_train_words(a, COLUMNS) * sizeof *trains);
    const struct rpu_block bands[] = {{3, 0, 4, 0}, {3, 4, COLUMNS - 4, 0}};
    void *scratch = aligned_alloc(64, rpu_array_scratch(a, COLUMNS));
    (void)state;
    assert_int_equal(a->rows, ROWS);
    assert_int_equal(a->cols, COLS);
    make_tiles(tiles, &params);
    fill(x, COLUMNS * N, 1);
    fill(d, COLUMNS * M, 2);
    for (int round = 0; round < 2; round++) { /* the second with updated weights */
        reference(tiles, &where, x, d, y[0], z[0], &forward[0], &backward[0]);
        rpu_array_read(a, RPU_ARRAY_FORWARD, &where, x, N, y[1], M, scratch, &forward[1]);
        rpu_array_read(a, RPU_ARRAY_BACKWARD, &where, d, M, z[1], N, scratch, &backward[1]);
        assert_memory_equal(y[0], y[1], sizeof y[0]);
        assert_memory_equal(z[0], z[1], sizeof z[0]);
        for (size_t r = 0; r < ROWS; r++)
            for (size_t c = 0; c < COLS; c++)
                rpu_tile_update(tiles[r][c], &where, x + rpu_range(N, COLS, c), N, d + rpu_range(M, ROWS, r), M, 0.05f,
                                &update[0]);
        for (size_t b = 2; b-- > 0;)
            rpu_array_draw(a, COLUMNS, &bands[b], x + bands[b].column * N, N, d + bands[b].column * M, M, 0.05f, trains,
                           scratch, &update[1]);
        for (size_t part = 0; part < rpu_array_tiles(a) * 3; part++)
            rpu_array_apply_part(a, &where, x, N, d, M, 0.05f, trains, 3, part, scratch, &update[1]);
        whole_weights(tiles, w[0]);
        rpu_array_get_weights(a, w[1]);
        assert_memory_equal(w[0], w[1], sizeof w[0]);
    }
    assert_memory_equal(&forward[0], &forward[1], sizeof forward[0]);
    assert_memory_equal(&backward[0], &backward[1], sizeof backward[0]);
    assert_memory_equal(&update[0], &update[1], sizeof update[0]);
    assert_true(forward[0].rereads > 0 && backward[0].columns == 2 * COLUMNS * ROWS * COLS);
    assert_true(update[0].coincidences > 100);
    free_tiles(tiles);
    free(trains);
    free(scratch);
    rpu_array_destroy(a);
}

/* Blocks of columns cut anywhere give the same bits. */
static void columns_do_not_depend_on_their_block(void **state) {
    const struct rpu_tile_params params = lively();
    struct rpu_array *a = make(&params, M, N);
    float x[COLUMNS * N], y[2][COLUMNS * M];
    void *scratch = aligned_alloc(64, rpu_array_scratch(a, COLUMNS));
    struct rpu_read_counts counts = {0, 0, 0};
    (void)state;
    fill(x, COLUMNS * N, 3);
    rpu_array_read(a, RPU_ARRAY_EVALUATE, &(struct rpu_block){1, 0, COLUMNS, 1}, x, N, y[0], M, scratch, &counts);
    for (uint32_t cut = 1; cut < COLUMNS; cut++) {
        rpu_array_read(a, RPU_ARRAY_EVALUATE, &(struct rpu_block){1, 0, cut, 1}, x, N, y[1], M, scratch, &counts);
        rpu_array_read(a, RPU_ARRAY_EVALUATE, &(struct rpu_block){1, cut, COLUMNS - cut, 1}, x + cut * N, N,
                       y[1] + cut * M, M, scratch, &counts);
        assert_memory_equal(y[0], y[1], sizeof y[0]);
    }
    free(scratch);
    rpu_array_destroy(a);
}

enum { WIDE = 500, HIGH = 410 };

/* A column in so many parts against the whole. `finishes`: the parts' sums have to be finished together. */
static void check_parts(struct rpu_array *a, enum rpu_array_read read, size_t most, const float *x, int finishes,
                        void *scratch) {
    const struct rpu_block where = {7, 0, 1, read == RPU_ARRAY_EVALUATE};
    const struct rpu_array_parts division = rpu_array_divide(a, read, most);
    struct rpu_read_counts whole = {0, 0, 0}, counts = {0, 0, 0}, parts[16];
    float out[2][WIDE], *stored = malloc((division.floats + 1) * sizeof *stored);
    assert_true(division.parts > 1 && division.parts <= 16);
    memset(parts, 0, sizeof parts);
    rpu_array_read(a, read, &where, x, WIDE, out[0], WIDE, scratch, &whole);
    for (size_t part = division.parts; part-- > 0;)
        rpu_array_read_part(a, read, &where, x, out[1], &division, part, stored, scratch, &parts[part]);
    assert_int_equal(division.needs_finish, finishes);
    if (finishes)
        rpu_array_read_finish(a, read, &where, x, out[1], &division, stored, parts, scratch, &counts);
    else
        for (size_t part = 0; part < division.parts; part++)
            rpu_array_count_part(part, &parts[part], &counts);
    assert_memory_equal(out[0], out[1], (read == RPU_ARRAY_BACKWARD ? WIDE : HIGH) * sizeof out[0][0]);
    assert_memory_equal(&whole, &counts, sizeof whole);
    free(stored);
}

/* One tile and a grid, with and without saturation. */
static void a_read_in_parts(void **state) {
    static const float bounds[] = {0.0f, 12.0f, 2.0f};
    static const uint32_t limits[] = {0, 150};
    float x[WIDE];
    (void)state;
    for (size_t b = 0; b < 3; b++)
        for (size_t l = 0; l < 2; l++)
            for (uint32_t devices = 0; devices < 4; devices++) { /* 0: perfect */
                struct rpu_tile_params p = lively();
                const int perfect = devices == 0, finishes = l == 1 ? !perfect : b == 2 && !perfect;
                p.forward.bound = p.backward.bound = bounds[b];
                p.forward.out_bits = p.backward.out_bits = bounds[b] > 0.0f ? 9 : 0;
                p.forward.bm = p.backward.bm = b == 2 ? RPU_BM_ITERATIVE : RPU_BM_NONE;
                p.devices = perfect ? 1 : devices;
                p.max_rows = limits[l];
                p.max_cols = limits[l] * p.devices;
                p.device.kind = perfect ? RPU_DEVICE_PERFECT : RPU_DEVICE_CONSTANT_STEP;
                p.device.bound = 6.0f;
                struct rpu_array *a = make(&p, HIGH, WIDE);
                void *scratch = aligned_alloc(64, rpu_array_scratch(a, 1));
                for (int read = RPU_ARRAY_FORWARD; read <= RPU_ARRAY_BACKWARD; read++)
                    for (size_t most = 2; most <= 5; most++) {
                        fill(x, WIDE, (uint32_t)most);
                        for (size_t i = 0; b == 2 && i < WIDE; i++) /* outputs that saturate */
                            x[i] = i % 2 ? 0.9f : -0.8f;
                        check_parts(a, (enum rpu_array_read)read, most, x, finishes, scratch);
                    }
                free(scratch);
                rpu_array_destroy(a);
            }
}

static void limits_decide_the_grid(void **state) {
    struct rpu_tile_params p = lively();
    struct rpu_array *a;
    struct rpu_error err;
    (void)state;
    p.max_rows = 23;
    p.max_cols = 61;
    a = make(&p, 23, 61);
    assert_int_equal(rpu_array_tiles(a), 1);
    rpu_array_destroy(a);
    p.max_rows = 0; /* no limit */
    p.max_cols = 60;
    a = make(&p, 23, 61);
    assert_int_equal(a->rows, 1);
    assert_int_equal(a->cols, 2);
    rpu_array_destroy(a);
    p.device.kind = RPU_DEVICE_PERFECT; /* exact products have no tiles */
    a = make(&p, 23, 61);
    assert_int_equal(rpu_array_tiles(a), 1);
    rpu_array_destroy(a);
    p = lively();
    p.max_rows = p.max_cols = 1;
    assert_int_equal(rpu_array_create(&a, engine, &p, 65, 64, 64, 1, 0, 1, &err), RPU_ERR_SHAPE);
    assert_null(a);
    assert_non_null(strstr(err.message, "4096 tiles"));
}

static void weights_across_tiles(void **state) {
    const struct rpu_tile_params params = lively();
    struct rpu_array *a = make(&params, M, N);
    float w[M * N], back[M * N], row[N];
    (void)state;
    fill(w, M * N, 9);
    for (size_t i = 0; i < M * N; i++)
        w[i] *= 0.05f; /* within nearly all bounds */
    rpu_array_set_weights(a, w);
    rpu_array_get_weights(a, back);
    size_t moved = 0;
    for (size_t i = 0; i < M * N; i++)
        moved += memcmp(&w[i], &back[i], sizeof w[i]) != 0;
    assert_true(moved < M * N / 50);
    for (size_t i = 0; i < M; i++) {
        rpu_array_row(a, i, row);
        assert_memory_equal(row, back + i * N, sizeof row);
    }
    for (size_t i = 0; i < M * N; i++)
        w[i] = 100.0f;
    rpu_array_set_weights(a, w);
    assert_true(rpu_array_at_bound(a) == 1.0);
    rpu_array_destroy(a);
}

/* ---- networks ---- */

static uint64_t digest_of(const struct rpu_config *c, int threads, uint32_t *tiles, uint64_t *columns) {
    struct rpu_engine *e;
    struct rpu_network *n;
    struct rpu_array_info info;
    struct rpu_array_stats stats;
    uint64_t digest = 0;
    assert_int_equal(rpu_engine_create(&e, NULL, threads, NULL), RPU_OK);
    n = trained_on_six(e, c, NULL);
    assert_int_equal(rpu_network_digest(n, &digest), RPU_OK);
    assert_int_equal(rpu_network_array_info(n, 1, &info), RPU_OK);
    assert_int_equal(rpu_network_array_stats(n, 1, &stats), RPU_OK);
    *tiles = info.tiles;
    *columns = stats.forward.columns;
    assert_int_equal(rpu_network_tile(n, 1) == NULL, info.tiles > 1);
    rpu_network_destroy(n);
    rpu_engine_destroy(e);
    return digest;
}

static void networks_of_divided_arrays(void **state) {
    struct rpu_config c;
    uint32_t tiles;
    uint64_t columns;
    (void)state;
    memset(&c, 0, sizeof c);
    c.n_layers = 5;
    c.layers[0] = (struct rpu_layer_spec){
        .kind = RPU_LAYER_CONV, .name = "K", .outputs = 20, .kernel = 2, .stride = 1, .bias = 1, .tile = lively()};
    c.layers[1] = (struct rpu_layer_spec){.kind = RPU_LAYER_TANH};
    c.layers[2] =
        (struct rpu_layer_spec){.kind = RPU_LAYER_FC, .name = "W", .outputs = 70, .bias = 1, .tile = lively()};
    c.layers[3] = (struct rpu_layer_spec){.kind = RPU_LAYER_FC, .name = "V", .outputs = 3, .tile = lively()};
    c.layers[4] = (struct rpu_layer_spec){.kind = RPU_LAYER_SOFTMAX};
    c.layers[2].tile.max_cols = 500; /* of 1281 inputs */
    c.layers[2].tile.max_rows = 40;
    c.eta = 0.02f;
    c.seed = 3;
    for (c.batch = 1; c.batch <= 3; c.batch += 2) {
        const uint64_t first = digest_of(&c, 1, &tiles, &columns);
        assert_int_equal(tiles, 6);
        assert_int_equal(columns, 6 * 6);
        for (int threads = 2; threads <= 5; threads++) {
            assert_true(digest_of(&c, threads, &tiles, &columns) == first);
            assert_int_equal(columns, 6 * 6);
        }
    }
    /* a limit that is not reached changes nothing; one that is does */
    c.batch = 1;
    const uint64_t divided = digest_of(&c, 2, &tiles, &columns);
    c.layers[2].tile.max_cols = c.layers[2].tile.max_rows = 4096;
    const uint64_t whole = digest_of(&c, 2, &tiles, &columns);
    assert_int_equal(tiles, 1);
    c.layers[2].tile.max_cols = c.layers[2].tile.max_rows = 0;
    assert_true(digest_of(&c, 1, &tiles, &columns) == whole);
    assert_true(divided != whole);
}

/* The weights of a network, and its digest, do not show how its arrays are divided. */
static void weights_of_a_network(void **state) {
    enum { OUT = 12, IN = 81 };
    struct rpu_config c;
    struct rpu_network *n[2];
    uint64_t digest[2];
    float w[OUT * IN], back[OUT * IN];
    (void)state;
    memset(&c, 0, sizeof c);
    c.n_layers = 2;
    c.layers[0] = (struct rpu_layer_spec){.kind = RPU_LAYER_FC, .name = "W", .outputs = OUT, .tile = lively()};
    c.layers[0].tile.device.bound_dtod = 0.0f; /* so that nothing is clipped */
    c.layers[1] = (struct rpu_layer_spec){.kind = RPU_LAYER_SOFTMAX};
    c.eta = 0.1f;
    c.batch = 1;
    fill(w, OUT * IN, 4);
    for (size_t i = 0; i < OUT * IN; i++)
        w[i] *= 0.5f;
    for (int k = 0; k < 2; k++) {
        if (k == 1)
            c.layers[0].tile.max_rows = c.layers[0].tile.max_cols = 0;
        assert_int_equal(rpu_network_create(&n[k], engine, &c, 9, 9, 1, OUT, NULL), RPU_OK);
        assert_int_equal(rpu_network_set_weights(n[k], 0, w), RPU_OK);
        assert_int_equal(rpu_network_get_weights(n[k], 0, back), RPU_OK);
        assert_memory_equal(w, back, sizeof w);
        assert_int_equal(rpu_network_digest(n[k], &digest[k]), RPU_OK);
        assert_true(rpu_network_at_bound(n[k], 0) == 0.0);
        assert_int_equal(rpu_network_get_weights(n[k], 1, back), RPU_ERR_ARG);
        assert_int_equal(rpu_network_set_weights(n[k], 0, NULL), RPU_ERR_ARG);
        rpu_network_destroy(n[k]);
    }
    assert_true(digest[0] == digest[1]);
}

/* Enough crosspoints to be drawn by three threads, whose shares end within tiles. */
static void drawn_by_any_number_of_threads(void **state) {
    enum { LARGE_M = 1001, LARGE_N = 1100 };
    struct rpu_tile_params p = lively();
    struct rpu_array *a[2];
    (void)state;
    for (p.max_rows = 0; p.max_rows <= 600; p.max_rows += 600) {
        p.max_cols = p.max_rows;
        for (int k = 0; k < 2; k++) {
            struct rpu_engine *e;
            assert_int_equal(rpu_engine_create(&e, NULL, k ? 3 : 1, NULL), RPU_OK);
            assert_int_equal(rpu_array_create(&a[k], e, &p, LARGE_M, LARGE_N, LARGE_N, SEED, INDEX, 1, NULL), RPU_OK);
            rpu_engine_destroy(e);
        }
        assert_int_equal(rpu_array_tiles(a[0]), p.max_rows ? 4 : 1);
        for (size_t t = 0; t < rpu_array_tiles(a[0]); t++) {
            const struct rpu_tile *x = a[0]->tiles[t], *y = a[1]->tiles[t];
            for (size_t i = 0; i < x->m; i++) {
                assert_memory_equal(x->w + i * x->ldw, y->w + i * x->ldw, x->n * sizeof *x->w);
                assert_memory_equal(x->dev + 4 * i * x->ldw, y->dev + 4 * i * x->ldw, 4 * x->n * sizeof *x->dev);
            }
        }
        rpu_array_destroy(a[0]);
        rpu_array_destroy(a[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_updates_of_a_grid),
        cmocka_unit_test(columns_do_not_depend_on_their_block),
        cmocka_unit_test(a_read_in_parts),
        cmocka_unit_test(limits_decide_the_grid),
        cmocka_unit_test(weights_across_tiles),
        cmocka_unit_test(networks_of_divided_arrays),
        cmocka_unit_test(weights_of_a_network),
        cmocka_unit_test(drawn_by_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
