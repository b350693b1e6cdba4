/* SPDX-License-Identifier: Apache-2.0 */
/** @file safetensors_inside.h  The header's checksum, which is written and read. */
#ifndef RPU_SRC_SAFETENSORS_INSIDE_H
#define RPU_SRC_SAFETENSORS_INSIDE_H

#include <stddef.h>
#include <string.h>

#define RPU_SAFETENSORS_ZEROS  "00000000000000000000"
#define RPU_SAFETENSORS_BEGIN  "{\"__metadata__\": {\"header_xxh3\": \""
#define RPU_SAFETENSORS_DIGITS ((int)sizeof RPU_SAFETENSORS_ZEROS - 1)

/** Where the checksum's digits stand in a header of `size` bytes: it is the first thing of it. Null where the header
 *  does not begin like that. */
static inline unsigned char *rpu_safetensors_seal(unsigned char *header, size_t size) {
    const size_t before = sizeof RPU_SAFETENSORS_BEGIN - 1;
    return size > before + (size_t)RPU_SAFETENSORS_DIGITS && memcmp(header, RPU_SAFETENSORS_BEGIN, before) == 0
               ? header + before
               : NULL;
}

#endif
