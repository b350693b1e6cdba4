/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <inttypes.h>

static const char *const cycle_names[3] = {"forward", "backward", "update"};

static void print_header(FILE *out) {
    fprintf(out, "\n%-10s %13s %7s", "array", "shape", "ws");
    for (int c = 0; c < 3; c++)
        fprintf(out, " | %-25s", cycle_names[c]);
    fprintf(out, "\n%-10s %13s %7s", "", "", "");
    for (int c = 0; c < 3; c++)
        fprintf(out, " | %11s %13s", "ns/image", "crosspoints/s");
    fputc('\n', out);
}

static void print_cycle(FILE *out, const struct rpu_array_info *info, const struct rpu_array_stats *stats, int cycle) {
    const double seconds = stats->seconds[cycle];
    const double crosspoints = (double)info->outputs * info->inputs * info->columns;
    if ((cycle == RPU_CYCLE_BACKWARD && !info->has_backward) || stats->images == 0 || !(seconds > 0.0))
        fprintf(out, " | %11s %13s", "-", "-");
    else
        fprintf(out, " | %11.0f %13.3e", seconds * 1e9 / (double)stats->images,
                crosspoints * (double)stats->images / seconds);
}

static void print_arrays(FILE *out, const struct rpu_network *network) {
    print_header(out);
    for (size_t a = 0; a < rpu_network_array_count(network); a++) {
        struct rpu_array_info info;
        struct rpu_array_stats stats;
        char shape[32];
        if (rpu_network_array_info(network, a, &info) != RPU_OK ||
            rpu_network_array_stats(network, a, &stats) != RPU_OK)
            continue;
        snprintf(shape, sizeof shape, "%" PRIu32 "x%" PRIu32, info.outputs, info.inputs);
        fprintf(out, "%-10s %13s %7" PRIu32, info.name, shape, info.columns);
        for (int c = 0; c < 3; c++)
            print_cycle(out, &info, &stats, c);
        fputc('\n', out);
    }
}

void print_report(FILE *out, struct rpu_training *run, const struct rpu_dataset *data, const char *stopped) {
    const size_t epochs = rpu_training_epoch_count(run);
    const double seconds = rpu_training_seconds(run);
    const uint64_t images = rpu_training_images(run), alone = rpu_training_images_alone(run);
    uint64_t digest = 0;
    print_arrays(out, rpu_training_network(run));
    fputc('\n', out);
    if (stopped)
        fprintf(out, "%s after %" PRIu64 " images\n", stopped, images);
    if (epochs > 0)
        fprintf(out, "test error      %.2f %% of %" PRIu32 " images after %zu epoch%s\n",
                100.0 * rpu_training_epoch(run, epochs - 1)->test_error, data->test.count, epochs,
                epochs == 1 ? "" : "s");
    if (seconds > 0.0)
        fprintf(out, "training        %.1f images/s (%" PRIu64 " images in %.2f s)\n", (double)images / seconds, images,
                seconds);
    if (2 * alone > images - rpu_training_resumed(run))
        fprintf(out, "by one thread   %" PRIu64 " of these images, since that was faster\n", alone);
    if (rpu_network_digest(rpu_training_network(run), &digest) == RPU_OK)
        fprintf(out, "weights digest  %016" PRIx64 "\n", digest);
}
