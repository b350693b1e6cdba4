/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of a convolution's array: who has which position, and reads and updates against arrays that are driven by
 * hand. usage: test_copies [SEED [TEST]]; false alarms less than one seed in 1,000. */
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "range.h"
#include "small_network.h"
#include "tiles.h"

#include <rpu/network.h>

enum { M = 11, N = 27, COLUMNS = 40, COPIES = 3, INDEX = 4 };

static const enum rpu_division divisions[] = {RPU_DIVISION_BLOCKS, RPU_DIVISION_RANDOM, RPU_DIVISION_REDRAWN};
enum { DIVISIONS = sizeof divisions / sizeof divisions[0] };

/* Everything that a periphery can do, with bounds that are reached. */
static struct rpu_tile_params lively(enum rpu_division division) {
    struct rpu_tile_params p;
    rpu_tile_params_baseline(&p);
    p.forward.bm = p.backward.bm = RPU_BM_ITERATIVE;
    p.forward.bound = p.backward.bound = 0.4f;
    p.backward.nm = RPU_NM_ABS_MAX;
    p.update = (struct rpu_update_params){3, 1};
    p.copies = COPIES;
    p.division = division;
    return p;
}

static void fill(float *v, size_t n, uint32_t state) {
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        v[i] = (float)(int32_t)(state >> 8) * 0x1p-23f - 1.0f;
    }
}

static struct rpu_array *make_array(const struct rpu_tile_params *params, uint32_t columns) {
    struct rpu_array *a;
    struct rpu_error err;
    if (rpu_array_create(&a, engine, params, M, N, N, seed, INDEX, columns, &err) != RPU_OK)
        fail_msg("%s", err.message);
    return a;
}

/* ---- who has which position ---- */

struct shares {
    uint32_t owner[COLUMNS], ordinal[COLUMNS];
};

static struct shares shares_of(const struct rpu_copies *c, uint32_t image, uint32_t evaluate) {
    struct shares s;
    uint32_t order[COLUMNS];
    rpu_copies_divide(c, image, evaluate, s.owner, s.ordinal, order);
    return s;
}

static struct rpu_copies *make_copies(enum rpu_division division, uint64_t from, uint32_t array) {
    struct rpu_copies *c;
    assert_int_equal(rpu_copies_create(&c, division, COPIES, COLUMNS, from, array, NULL), RPU_OK);
    return c;
}

/* Every position has one owner, shares are even, numbers count up. */
static void test_shares(void **state) {
    (void)state;
    for (size_t k = 0; k < DIVISIONS; k++) {
        struct rpu_copies *c = make_copies(divisions[k], seed, 1);
        const struct shares s = shares_of(c, 5, 0);
        uint32_t count[COPIES] = {0};
        for (size_t p = 0; p < COLUMNS; p++) {
            assert_true(s.owner[p] < COPIES);
            assert_int_equal(s.ordinal[p], count[s.owner[p]]++);
            if (divisions[k] == RPU_DIVISION_BLOCKS)
                assert_true(p >= rpu_range(COLUMNS, COPIES, s.owner[p]) &&
                            p < rpu_range(COLUMNS, COPIES, s.owner[p] + 1));
        }
        for (size_t copy = 0; copy < COPIES; copy++)
            assert_int_equal(count[copy], rpu_range(COLUMNS, COPIES, copy + 1) - rpu_range(COLUMNS, COPIES, copy));
        rpu_copies_destroy(c);
    }
}

/* What is drawn once depends on seed and array, what is redrawn on image and evaluation as well. */
static void test_what_a_division_depends_on(void **state) {
    struct rpu_copies *a = make_copies(RPU_DIVISION_RANDOM, seed, 1),
                      *b = make_copies(RPU_DIVISION_RANDOM, seed + 1, 1),
                      *c = make_copies(RPU_DIVISION_RANDOM, seed, 2), *r = make_copies(RPU_DIVISION_REDRAWN, seed, 1);
    const struct shares first = shares_of(r, 5, 0), next = shares_of(r, 6, 0), test = shares_of(r, 5, 1),
                        same = shares_of(r, 5, 0);
    (void)state;
    assert_memory_not_equal(a->owner, b->owner, sizeof first.owner);
    assert_memory_not_equal(a->owner, c->owner, sizeof first.owner);
    assert_null(r->owner);
    const struct shares once = shares_of(a, 7, 1);
    assert_memory_equal(once.owner, a->owner, sizeof once.owner);
    assert_memory_not_equal(first.owner, next.owner, sizeof first.owner);
    assert_memory_not_equal(first.owner, test.owner, sizeof first.owner);
    assert_memory_equal(&first, &same, sizeof first);
    rpu_copies_destroy(a);
    rpu_copies_destroy(b);
    rpu_copies_destroy(c);
    rpu_copies_destroy(r);
}

/* Each copy is as likely to have a position, and two positions are together as often as any two of a permutation. */
static void test_divisions_are_random(void **state) {
    enum { IMAGES = 30000, FIRST = 14 }; /* copy 0 has 14 of 40 */
    struct rpu_copies *r = make_copies(RPU_DIVISION_REDRAWN, seed, 1);
    uint32_t mine[COLUMNS] = {0}, both = 0;
    const double p = (double)FIRST / COLUMNS, together = p * (FIRST - 1) / (COLUMNS - 1);
    (void)state;
    for (uint32_t image = 0; image < IMAGES; image++) {
        const struct shares s = shares_of(r, image, 0);
        for (size_t k = 0; k < COLUMNS; k++)
            mine[k] += s.owner[k] == 0;
        both += s.owner[3] == 0 && s.owner[4] == 0;
    }
    for (size_t k = 0; k < COLUMNS; k++)
        within("share of a position", (mine[k] - IMAGES * p) / sqrt(IMAGES * p * (1.0 - p)));
    within("neighbours together", (both - IMAGES * together) / sqrt(IMAGES * together * (1.0 - together)));
    rpu_copies_destroy(r);
}

/* ---- cycles ---- */

struct signals {
    float x[COLUMNS * N], d[COLUMNS * M], y[COLUMNS * M], z[COLUMNS * N];
    struct rpu_read_counts forward, backward;
    struct rpu_update_counts update;
    float w[COPIES * M * N];
};

static struct signals *make_signals(void) {
    struct signals *s = allocate(sizeof *s);
    fill(s->x, COLUMNS * N, 1);
    fill(s->d, COLUMNS * M, 2);
    return s;
}

/* A copy's columns, one after the other, through its tile; results back to their places. Evaluation reads forward
 * alone. */
static void by_hand(struct rpu_tile *t, const struct shares *shares, uint32_t copy, uint32_t image, uint32_t evaluate,
                    struct signals *s) {
    float x[COLUMNS * N], d[COLUMNS * M], y[COLUMNS * M], z[COLUMNS * N];
    uint32_t count = 0, at = 0;
    for (size_t p = 0; p < COLUMNS; p++)
        if (shares->owner[p] == copy) {
            memcpy(x + count * N, s->x + p * N, N * sizeof *x);
            memcpy(d + count * M, s->d + p * M, M * sizeof *d);
            count++;
        }
    const struct rpu_block where = {image, 0, count, evaluate};
    rpu_tile_forward(t, &where, x, N, y, M, &s->forward);
    if (!evaluate) {
        rpu_tile_backward(t, &where, d, M, z, N, &s->backward);
        rpu_tile_update(t, &where, x, N, d, M, 0.05f, &s->update);
    }
    for (size_t p = 0; p < COLUMNS; p++)
        if (shares->owner[p] == copy) {
            memcpy(s->y + p * M, y + at * M, M * sizeof *y);
            if (!evaluate)
                memcpy(s->z + p * N, z + at * N, N * sizeof *z);
            at++;
        }
    rpu_tile_get_weights(t, s->w + copy * (size_t)(M * N));
}

static void through_array(struct rpu_array *a, uint32_t image, const uint32_t *cuts, struct signals *s) {
    void *scratch = aligned_alloc(64, rpu_array_scratch(a, COLUMNS));
    uint64_t *trains = malloc(rpu_array_train_words(a, COLUMNS) * sizeof *trains);
    for (size_t k = 0; cuts[k] < COLUMNS; k++) {
        const uint32_t c = cuts[k];
        const struct rpu_block where = {image, c, cuts[k + 1] - c, 0};
        rpu_array_read(a, RPU_ARRAY_FORWARD, &where, s->x + c * N, N, s->y + c * M, M, scratch, &s->forward);
        rpu_array_read(a, RPU_ARRAY_BACKWARD, &where, s->d + c * M, M, s->z + c * N, N, scratch, &s->backward);
        rpu_array_draw(a, COLUMNS, &where, s->x + c * N, N, s->d + c * M, M, 0.05f, trains, scratch, &s->update);
    }
    const struct rpu_block all = {image, 0, COLUMNS, 0};
    for (size_t part = 2 * rpu_array_tiles(a); part-- > 0;)
        rpu_array_apply_part(a, &all, s->x, N, s->d, M, 0.05f, trains, 2, part, scratch, &s->update);
    rpu_array_get_weights(a, s->w);
    free(trains);
    free(scratch);
}

static void evaluate_array(const struct rpu_array *a, uint32_t image, const uint32_t *cuts, struct signals *s) {
    void *scratch = aligned_alloc(64, rpu_array_scratch(a, COLUMNS));
    for (size_t k = 0; cuts[k] < COLUMNS; k++) {
        const uint32_t c = cuts[k];
        const struct rpu_block where = {image, c, cuts[k + 1] - c, 1};
        rpu_array_read(a, RPU_ARRAY_EVALUATE, &where, s->x + c * N, N, s->y + c * M, M, scratch, &s->forward);
    }
    free(scratch);
}

/* Two images, whole and cut into bands: each is trained on, then evaluated. */
static void test_cycles_by_hand(void **state) {
    static const uint32_t cuts[][5] = {{0, COLUMNS}, {0, 1, 13, 39, COLUMNS}};
    (void)state;
    for (size_t k = 0; k < DIVISIONS; k++)
        for (size_t c = 0; c < 2; c++) {
            const struct rpu_tile_params p = lively(divisions[k]);
            struct rpu_array *a = make_array(&p, COLUMNS);
            struct rpu_copies *copies = make_copies(divisions[k], seed, INDEX);
            struct rpu_tile *tiles[COPIES];
            struct signals *want = make_signals(), *got = make_signals();
            assert_int_equal(rpu_array_copies(a), COPIES);
            assert_int_equal(rpu_array_tiles(a), COPIES);
            for (uint32_t copy = 0; copy < COPIES; copy++) {
                assert_int_equal(rpu_tile_make(&tiles[copy], engine, &p, M, N, N, seed, INDEX, 0, copy, NULL), RPU_OK);
                assert_int_equal(rpu_tiles_draw(&tiles[copy], 1, engine, N, NULL), RPU_OK);
            }
            for (uint32_t image = 7; image < 9; image++) {
                const struct shares shares = shares_of(copies, image, 0), again = shares_of(copies, image, 1);
                for (uint32_t copy = 0; copy < COPIES; copy++)
                    by_hand(tiles[copy], &shares, copy, image, 0, want);
                through_array(a, image, cuts[c], got);
                assert_memory_equal(want, got, sizeof *want);
                for (uint32_t copy = 0; copy < COPIES; copy++)
                    by_hand(tiles[copy], &again, copy, image, 1, want);
                evaluate_array(a, image, cuts[c], got);
                assert_memory_equal(want, got, sizeof *want);
            }
            assert_true(want->forward.rereads > 0 && want->forward.columns == 4 * COLUMNS);
            assert_true(want->update.coincidences > 100);
            for (uint32_t copy = 0; copy < COPIES; copy++)
                rpu_tile_destroy(tiles[copy]);
            rpu_copies_destroy(copies);
            rpu_array_destroy(a);
            test_free(want);
            test_free(got);
        }
}

/* Errors at one copy's positions alone change that copy alone. */
static void test_trained_on_their_own(void **state) {
    static const uint32_t cuts[] = {0, COLUMNS};
    (void)state;
    for (uint32_t copy = 0; copy < COPIES; copy++) {
        const struct rpu_tile_params p = lively(RPU_DIVISION_RANDOM);
        struct rpu_array *a = make_array(&p, COLUMNS);
        struct signals *s = make_signals();
        float before[COPIES * M * N];
        rpu_array_get_weights(a, before);
        for (size_t k = 0; k < COLUMNS; k++)
            if (a->copies->owner[k] != copy)
                memset(s->d + k * M, 0, M * sizeof *s->d);
        through_array(a, 1, cuts, s);
        for (uint32_t c = 0; c < COPIES; c++)
            assert_int_equal(
                memcmp(before + c * (size_t)(M * N), s->w + c * (size_t)(M * N), M * N * sizeof *s->w) != 0, c == copy);
        test_free(s);
        rpu_array_destroy(a);
    }
}

/* All begin alike, on devices of their own. */
static void test_begin_alike(void **state) {
    struct rpu_tile_params p = lively(RPU_DIVISION_BLOCKS);
    float w[COPIES * M * N], up[2][M * N];
    (void)state;
    p.device.bound = 10.0f; /* so that nothing is clipped */
    p.device.bound_dtod = 0.0f;
    struct rpu_array *a = make_array(&p, COLUMNS);
    rpu_array_get_weights(a, w);
    for (size_t c = 1; c < COPIES; c++) {
        assert_memory_equal(w, w + c * M * N, M * N * sizeof *w);
        rpu_tile_get_devices(a->tiles[0], up[0], NULL, NULL, NULL);
        rpu_tile_get_devices(a->tiles[c], up[1], NULL, NULL, NULL);
        assert_memory_not_equal(up[0], up[1], sizeof up[0]);
    }
    fill(w, COPIES * M * N, 5);
    rpu_array_set_weights(a, w);
    float back[COPIES * M * N];
    rpu_array_get_weights(a, back);
    assert_memory_equal(w, back, sizeof w);
    assert_true(rpu_array_at_bound(a) == 0.0);
    for (size_t i = 0; i < COPIES * M * N; i++)
        w[i] = 100.0f;
    rpu_array_set_weights(a, w);
    assert_true(rpu_array_at_bound(a) == 1.0);
    rpu_array_destroy(a);
}

/* ---- networks ---- */

static struct rpu_config network_of(enum rpu_division division, uint32_t devices) {
    struct rpu_config c;
    memset(&c, 0, sizeof c);
    c.n_layers = 5;
    c.layers[0] = (struct rpu_layer_spec){.kind = RPU_LAYER_CONV,
                                          .name = "K",
                                          .outputs = 20,
                                          .kernel = 2,
                                          .stride = 1,
                                          .bias = 1,
                                          .tile = lively(division)};
    c.layers[1] = (struct rpu_layer_spec){.kind = RPU_LAYER_TANH};
    c.layers[2] = (struct rpu_layer_spec){.kind = RPU_LAYER_CONV,
                                          .name = "L",
                                          .outputs = 9,
                                          .kernel = 3,
                                          .stride = 1,
                                          .bias = 1,
                                          .tile = lively(division)};
    c.layers[3] = (struct rpu_layer_spec){.kind = RPU_LAYER_FC, .name = "V", .outputs = 3, .tile = lively(division)};
    c.layers[4] = (struct rpu_layer_spec){.kind = RPU_LAYER_SOFTMAX};
    c.layers[2].tile.max_cols = 100; /* copies of two tiles each */
    c.layers[2].tile.devices = c.layers[0].tile.devices = devices;
    c.eta = 0.02f;
    c.seed = 3;
    c.batch = 2;
    return c;
}

static uint64_t digest_of(const struct rpu_config *c, int threads, double *loss) {
    const struct rpu_images images = six_images();
    struct rpu_engine *e;
    struct rpu_network *n;
    struct rpu_array_info info[3];
    uint64_t digest = 0, errors = 0;
    assert_int_equal(rpu_engine_create(&e, NULL, threads, NULL), RPU_OK);
    *loss = 0.0;
    n = trained_on_six(e, c, loss);
    assert_int_equal(rpu_network_evaluate(n, &images, 0, SIX, 0, &errors, loss), RPU_OK);
    assert_int_equal(rpu_network_digest(n, &digest), RPU_OK);
    for (size_t k = 0; k < 3; k++)
        assert_int_equal(rpu_network_array_info(n, k, &info[k]), RPU_OK);
    assert_int_equal(info[0].copies, c->layers[0].tile.copies);
    assert_int_equal(info[0].devices, c->layers[0].tile.devices);
    assert_int_equal(info[0].tiles, info[0].copies);
    assert_int_equal(info[2].copies, 1);
    assert_int_equal(rpu_network_tile(n, 0) == NULL, info[0].copies > 1);
    rpu_network_destroy(n);
    rpu_engine_destroy(e);
    return digest;
}

/* Threads change nothing; copies, their number and their division do. */
static void test_networks(void **state) {
    uint64_t seen[DIVISIONS + 2];
    size_t k = 0;
    double loss[2];
    (void)state;
    for (; k < DIVISIONS; k++) {
        const struct rpu_config c = network_of(divisions[k], 1 + (uint32_t)k);
        seen[k] = digest_of(&c, 1, &loss[0]);
        for (int threads = 2; threads <= 5; threads++) {
            assert_true(digest_of(&c, threads, &loss[1]) == seen[k]);
            assert_memory_equal(&loss[0], &loss[1], sizeof loss[0]);
        }
    }
    struct rpu_config c = network_of(RPU_DIVISION_RANDOM, 1);
    seen[k++] = digest_of(&c, 1, loss);
    c.layers[0].tile.copies = c.layers[2].tile.copies = 1;
    seen[k++] = digest_of(&c, 1, loss);
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    c.layers[0].tile.division = RPU_DIVISION_REDRAWN; /* of one copy: all the same */
    assert_true(digest_of(&c, 1, loss) == seen[k - 1]);
}

static void test_refused(void **state) {
    struct rpu_tile_params p = lively(RPU_DIVISION_BLOCKS);
    struct rpu_array *a;
    struct rpu_error err;
    (void)state;
    assert_int_equal(rpu_array_create(&a, engine, &p, M, N, N, seed, INDEX, 2, &err), RPU_ERR_SHAPE);
    assert_non_null(strstr(err.message, "3 copies"));
    assert_null(a);
    for (uint32_t n = 0; n <= 65; n += 65) {
        p.copies = n;
        assert_int_equal(rpu_tile_params_check(&p, &err), RPU_ERR_RANGE);
        assert_non_null(strstr(err.message, "copies"));
    }
    p.copies = 64;
    a = make_array(&p, 1); /* fully connected */
    assert_int_equal(rpu_array_copies(a), 1);
    rpu_array_destroy(a);
    p.device.kind = RPU_DEVICE_PERFECT;
    a = make_array(&p, COLUMNS);
    assert_int_equal(rpu_array_copies(a), 1);
    rpu_array_destroy(a);
}

int main(int argc, char **argv) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_what_a_division_depends_on),
        cmocka_unit_test(test_divisions_are_random),
        cmocka_unit_test(test_cycles_by_hand),
        cmocka_unit_test(test_trained_on_their_own),
        cmocka_unit_test(test_begin_alike),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_refused),
    };
    if (!begin(argc, argv, 20180705))
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rpu_engine_destroy(engine);
    return failed;
}
