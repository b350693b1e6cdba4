/* SPDX-License-Identifier: Apache-2.0 */
#include "amount.h"

enum { DEVICE_BYTES = 8 }; /* of a crosspoint's parameters */

static struct amount read_amount(const struct rpu_tile_params *params, int back, const struct cycle_load *l) {
    const double inputs = l->columns * (back ? l->m : l->n), outputs = l->columns * (back ? l->n : l->m);
    const int managed = (back ? params->backward : params->forward).nm != RPU_NM_NONE;
    struct amount a = {.flops = 2.0 * (back ? l->n * l->errors : l->m * l->n * l->columns)};
    if (params->device.kind != RPU_DEVICE_PERFECT)
        a.flops += inputs * (FLOPS_CONVERTER + (managed ? FLOPS_MANAGED : 0.0)) +
                   outputs * (FLOPS_GAUSSIAN + FLOPS_OUTPUT + managed);
    a.bytes = a.set = sizeof(float) * (l->m * l->n + inputs + outputs);
    return a;
}

static struct amount update_amount(const struct rpu_tile_params *params, const struct cycle_load *l) {
    const double array = l->m * l->n, vectors = l->columns * (l->m + l->n),
                 crosspoint = DEVICE_BYTES + 2 * sizeof(float);
    struct amount a = {.writes = 1};
    if (params->device.kind == RPU_DEVICE_PERFECT) {
        a.flops = l->errors * (2.0 * l->n + 1.0);
        a.bytes = sizeof(float) * (2.0 * array + vectors);
        a.set = sizeof(float) * (array + vectors);
        return a;
    }
    a.flops = l->coincidences * FLOPS_COINCIDENCE + vectors * (1.0 + FLOPS_THRESHOLD);
    a.bytes = (l->coincidences < array ? l->coincidences : array) * crosspoint + sizeof(float) * vectors;
    a.set = array * (DEVICE_BYTES + sizeof(float)) + sizeof(float) * vectors;
    return a;
}

struct amount cycle_amount(enum rpu_cycle op, const struct rpu_tile_params *params, const struct cycle_load *load) {
    struct amount a =
        op == RPU_CYCLE_UPDATE ? update_amount(params, load) : read_amount(params, op == RPU_CYCLE_BACKWARD, load);
    a.crosspoints = load->m * load->n * load->columns;
    return a;
}
