/* SPDX-License-Identifier: Apache-2.0 */
/** @file idx.h  Reading the first images of an IDX pair; the whole pair is rpu_idx_read of rpu/data.h. */
#ifndef RPU_SRC_IDX_H
#define RPU_SRC_IDX_H

#include <rpu/data.h>

/* What a file may ask for. Larger values in a header are taken for damage. */
#define RPU_IDX_MAX_IMAGE (UINT64_C(1) << 24) /**< bytes of one image: 16 MiB */
#define RPU_IDX_MAX_BYTES (UINT64_C(1) << 34) /**< bytes of all images: 16 GiB */

/** As rpu_idx_read; a limit > 0 keeps only the first images. What lies behind them is not read (and so not checked,
 *  but for the length of a plain file). */
enum rpu_status rpu_idx_read_first(struct rpu_images *out, const char *images_path, const char *labels_path,
                                   uint32_t limit, struct rpu_error *err);

#endif
