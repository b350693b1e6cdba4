/* SPDX-License-Identifier: Apache-2.0 */
/* Data sets: freeing, and the directory with the four standard names. */
#include <rpu/data.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"
#include "idx.h"

#define PATH_BYTES 4096

void rpu_images_free(struct rpu_images *images) {
    if (!images)
        return;
    free(images->pixels);
    free(images->labels);
    memset(images, 0, sizeof *images);
}

void rpu_dataset_free(struct rpu_dataset *set) {
    if (!set)
        return;
    rpu_images_free(&set->train);
    rpu_images_free(&set->test);
}

/* The names a file may have, in the order in which they are tried; null ends the list. */
static const char *const train_images[] = {"train-images-idx3-ubyte", "train-images-idx3-ubyte.gz",
                                           "train-images-idx4-ubyte", "train-images-idx4-ubyte.gz", NULL};
static const char *const train_labels[] = {"train-labels-idx1-ubyte", "train-labels-idx1-ubyte.gz", NULL};
static const char *const test_images[] = {"t10k-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz",
                                          "t10k-images-idx4-ubyte", "t10k-images-idx4-ubyte.gz", NULL};
static const char *const test_labels[] = {"t10k-labels-idx1-ubyte", "t10k-labels-idx1-ubyte.gz", NULL};

static enum rpu_status fail_missing(const char *directory, const char *const *names, struct rpu_error *err) {
    char list[160] = "";
    size_t used = 0;
    for (size_t k = 0; names[k]; k++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", k ? ", " : "", names[k]);
    return rpu_fail_at(err, RPU_ERR_IO, directory, 0, NULL, "none of these files is there: %s", list);
}

/* Puts the path of the first name that exists into `path`. */
static enum rpu_status find_file(const char *directory, const char *const *names, char path[PATH_BYTES],
                                 struct rpu_error *err) {
    struct stat st;
    for (size_t k = 0; names[k]; k++) {
        const int length = snprintf(path, PATH_BYTES, "%s/%s", directory, names[k]);
        if (length < 0 || length >= PATH_BYTES)
            return rpu_fail_at(err, RPU_ERR_IO, directory, 0, NULL, "the path is too long; at most %d bytes",
                               PATH_BYTES - 1);
        if (stat(path, &st) == 0)
            return RPU_OK;
    }
    return fail_missing(directory, names, err);
}

static enum rpu_status check_directory(const char *directory, struct rpu_error *err) {
    struct stat st;
    if (stat(directory, &st) != 0)
        return rpu_fail_system(err, directory, "cannot open the data directory");
    if (!S_ISDIR(st.st_mode))
        return rpu_fail_at(err, RPU_ERR_IO, directory, 0, NULL, "is not a directory; one with IDX files is needed");
    return RPU_OK;
}

static enum rpu_status read_set(struct rpu_images *out, const char *directory, const char *const *images,
                                const char *const *labels, uint32_t limit, struct rpu_error *err) {
    char image_path[PATH_BYTES], label_path[PATH_BYTES];
    enum rpu_status status = find_file(directory, images, image_path, err);
    if (status == RPU_OK)
        status = find_file(directory, labels, label_path, err);
    if (status == RPU_OK)
        status = rpu_idx_read_first(out, image_path, label_path, limit, err);
    return status;
}

/* Both sets must feed the same network. */
static enum rpu_status match_sets(struct rpu_dataset *set, const char *directory, struct rpu_error *err) {
    const struct rpu_images *a = &set->train, *b = &set->test;
    if (a->height != b->height || a->width != b->width || a->channels != b->channels)
        return rpu_fail_at(err, RPU_ERR_FORMAT, directory, 0, NULL,
                           "training images are %" PRIu32 " x %" PRIu32 " x %" PRIu32 ", test images %" PRIu32
                           " x %" PRIu32 " x %" PRIu32 " (height x width x channels); they must agree",
                           a->height, a->width, a->channels, b->height, b->width, b->channels);
    const uint32_t classes = a->classes > b->classes ? a->classes : b->classes;
    set->train.classes = set->test.classes = classes;
    return RPU_OK;
}

enum rpu_status rpu_dataset_read(struct rpu_dataset *out, const char *directory, uint32_t limit_train,
                                 uint32_t limit_test, struct rpu_error *err) {
    if (out)
        memset(out, 0, sizeof *out);
    if (!out || !directory)
        return rpu_fail(err, RPU_ERR_ARG, "data: a directory and a place for the images are needed");
    rpu_error_clear(err);
    enum rpu_status status = check_directory(directory, err);
    if (status == RPU_OK)
        status = read_set(&out->train, directory, train_images, train_labels, limit_train, err);
    if (status == RPU_OK)
        status = read_set(&out->test, directory, test_images, test_labels, limit_test, err);
    if (status == RPU_OK)
        status = match_sets(out, directory, err);
    if (status != RPU_OK)
        rpu_dataset_free(out);
    return status;
}
