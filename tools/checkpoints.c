/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoints.h"

#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- options ---- */

/* "500images", "1epoch", "10minutes". */
static int parse_times(const char *text, struct rpu_checkpoint_times *times) {
    static const char *const units[] = {"image", "epoch", "minute"};
    char *unit;
    unsigned long n;
    size_t u = 0, length;
    if (*text < '0' || *text > '9')
        return 0;
    errno = 0;
    n = strtoul(text, &unit, 10);
    if (errno || n == 0 || n > UINT32_MAX)
        return 0;
    while (u < 3 && strncmp(unit, units[u], strlen(units[u])) != 0)
        u++;
    if (u == 3)
        return 0;
    length = strlen(units[u]);
    if (unit[length] && strcmp(unit + length, "s") != 0)
        return 0;
    times->images = u == 0 ? n : 0;
    times->epochs = u == 1 ? (uint32_t)n : 0;
    times->seconds = u == 2 ? 60.0 * (double)n : 0.0;
    return 1;
}

enum rpu_status checkpoints_every(struct rpu_checkpoint_times *times, const char *text, struct rpu_error *err) {
    return strlen(text) <= CHECKPOINTS_EVERY_MOST && parse_times(text, times)
               ? RPU_OK
               : rpu_fail(
                     err, RPU_ERR_CONFIG,
                     "--checkpoint-every: found '%.*s', allowed is a whole number from 1 to %u and a unit, images, "
                     "epochs or minutes, as in 500images or 1epoch, in at most %d characters",
                     CHECKPOINTS_EVERY_MOST, text, UINT32_MAX, CHECKPOINTS_EVERY_MOST);
}

enum rpu_status checkpoints_options(struct checkpoints *c, const struct cli_args *args, struct rpu_error *err) {
    const char *out = cli_value(args, "out"), *every = cli_value(args, "checkpoint-every");
    c->resume = cli_value(args, "resume") != NULL;
    c->every = every;
    if (!out && (every || c->resume))
        return rpu_fail(err, RPU_ERR_CONFIG, "--%s: the checkpoint is in the folder of --out, which is not given",
                        every ? "checkpoint-every" : "resume");
    if (every && checkpoints_every(&c->times, every, err) != RPU_OK)
        return RPU_ERR_CONFIG;
    if (out && (snprintf(c->folder, sizeof c->folder, "%s", out) >= (int)sizeof c->folder ||
                snprintf(c->path, sizeof c->path, "%s/" RPU_CHECKPOINT_NAME, out) >= (int)sizeof c->path))
        return rpu_fail(err, RPU_ERR_IO, "--out: the path is too long");
    return RPU_OK;
}

/* ---- going on ---- */

/* One that cannot be looked at counts. */
static int is_there(const struct checkpoints *c) {
    return access(c->path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static enum rpu_status resume(const struct checkpoints *c, struct rpu_training *run, struct rpu_error *err) {
    struct rpu_checkpoint *checkpoint = NULL;
    enum rpu_status status;
    if (!is_there(c))
        return RPU_OK;
    status = rpu_checkpoint_read(&checkpoint, c->path, err);
    if (status == RPU_OK) {
        status = rpu_checkpoint_resume(checkpoint, run, err);
        if (status != RPU_OK) {
            char why[sizeof err->message];
            memcpy(why, err->message, sizeof why);
            if (status == RPU_ERR_SHAPE || status == RPU_ERR_RANGE) /* the file's fault, not the caller's */
                status = RPU_ERR_FORMAT;
            rpu_fail(err, status, "--resume: %.200s: %.800s", c->path, why);
        }
    }
    rpu_checkpoint_free(checkpoint);
    return status;
}

enum rpu_status checkpoints_resume(struct checkpoints *c, struct rpu_training *run, const struct rpu_dist *dist,
                                   struct rpu_error *err) {
    uint64_t where[2] = {0, 0};
    enum rpu_status status;
    if (!c->resume)
        return RPU_OK;
    status = resume(c, run, err);
    if (status == RPU_OK) {
        where[0] = rpu_training_images(run);
        status = rpu_network_digest(rpu_training_network(run), &where[1]);
        if (status != RPU_OK)
            rpu_fail(err, status, "out of memory");
    }
    status = rpu_dist_agree(dist, status, err);
    return status == RPU_OK ? rpu_dist_same(dist, where, sizeof where, "the checkpoint's images and weights", err)
                            : status;
}

/* ---- writing ---- */

static int write_now(struct checkpoints *c, struct rpu_training *run) {
    struct rpu_error err;
    if (rpu_checkpoint_write(run, c->path, &err) != RPU_OK) {
        fprintf(stderr, CLI_PROGRAM " train: no checkpoint after %" PRIu64 " images: %s\n", rpu_training_images(run),
                err.message);
        c->failed = 1;
        return 0;
    }
    c->written = 1;
    c->images = rpu_training_images(run);
    c->epochs = rpu_training_epoch_count(run);
    return 1;
}

static void on_checkpoint(struct rpu_training *run, void *user) {
    write_now(user, run);
}

enum rpu_status checkpoints_begin(struct checkpoints *c, struct rpu_training *run, struct rpu_error *err) {
    struct rpu_outfile *trial;
    if (!c->resume && is_there(c))
        return rpu_fail(
            err, RPU_ERR_CONFIG,
            "--out: found %.200s, where a training stands that this one would replace; allowed is --resume, to "
            "go on from it, another folder, or to remove it first",
            c->path);
    if (!c->every && !c->resume)
        return RPU_OK;
    if (rpu_outfile_open(&trial, c->path, err) != RPU_OK)
        return err->status;
    rpu_outfile_abandon(trial);
    return c->every ? rpu_training_checkpoints(run, &c->times, on_checkpoint, c) : RPU_OK;
}

int checkpoints_end(struct checkpoints *c, struct rpu_training *run, int interrupted) {
    const int there = c->written && c->images == rpu_training_images(run) && c->epochs == rpu_training_epoch_count(run);
    if (*c->path && !there && (c->every || c->resume || interrupted))
        write_now(c, run);
    return !c->failed;
}
