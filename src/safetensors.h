/* SPDX-License-Identifier: Apache-2.0 */
/** @file safetensors.h
 *  Files in the safetensors layout: the length of the header (8 bytes, little-endian), the header (a JSON object: for
 *  each tensor its dtype, shape and place; `__metadata__`, a map of texts), and the tensors' bytes, without gaps.
 *  What stands in them is the caller's matter, but for two texts of the metadata that are made and checked here:
 *
 *  tensors_xxh3   XXH3-64 of all tensors' bytes
 *  header_xxh3    XXH3-64 of the header as it stands in the file, with 20 zeros in the place of this number
 *
 *  so that any byte of the file that changes is noticed. Both are decimal; the second has 20 digits. */
#ifndef RPU_SRC_SAFETENSORS_H
#define RPU_SRC_SAFETENSORS_H

#include "outfile.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include <rpu/status.h>

#define RPU_SAFETENSORS_NAME       80         /**< bytes of a tensor's name, its end included */
#define RPU_SAFETENSORS_HEADER_MAX 100000000u /**< bytes of a header; the format's own limit */

/** A matrix of 32-bit floats, row-major. */
struct rpu_tensor {
    char name[RPU_SAFETENSORS_NAME];
    uint32_t rows, cols;
};

/* ---- writing ---- */

/** Copies row `row` of tensor `index` out. */
typedef void rpu_tensor_row_fn(const void *context, size_t index, size_t row, float *values);

/** Writes a file of `count` tensors. `metadata` (an object of texts) gets the two numbers above. Each row is asked for
 *  twice and has to be the same. RPU_ERR_IO, RPU_ERR_NOMEM; RPU_ERR_SHAPE where the header would be too long;
 *  RPU_ERR_RANGE where a value is not finite; RPU_ERR_ARG where two tensors have the same name. */
enum rpu_status rpu_safetensors_write(const char *path, json_t *metadata, const struct rpu_tensor *tensors,
                                      size_t count, rpu_tensor_row_fn *row, const void *context, struct rpu_error *err);

/* ---- reading ---- */

/** A file that was read. */
struct rpu_safetensors;

/** Reads a file of matrices of 32-bit floats and checks all of it: sizes against the file's length before anything is
 *  allocated, the layout, both checksums. RPU_ERR_IO, RPU_ERR_FORMAT, RPU_ERR_NOMEM; `err` names the file. */
enum rpu_status rpu_safetensors_read(struct rpu_safetensors **file, const char *path, struct rpu_error *err);
void rpu_safetensors_free(struct rpu_safetensors *file);

/** A text of the metadata, or null. */
const char *rpu_safetensors_text(const struct rpu_safetensors *file, const char *key);

size_t rpu_safetensors_count(const struct rpu_safetensors *file);
/** Tensor `index`, in the order of the header. */
const struct rpu_tensor *rpu_safetensors_tensor(const struct rpu_safetensors *file, size_t index);
const float *rpu_safetensors_values(const struct rpu_safetensors *file, size_t index);
/** The tensor of that name, which is found soonest where it is tensor `likely`; the count where there is none. */
size_t rpu_safetensors_find(const struct rpu_safetensors *file, const char *name, size_t likely);

#endif
