/* SPDX-License-Identifier: Apache-2.0 */
/** @file config_number.h
 *  Numbers as text, strictly and the same in every locale. */
#ifndef RPU_SRC_CONFIG_NUMBER_H
#define RPU_SRC_CONFIG_NUMBER_H

#include <stddef.h>
#include <stdint.h>

/** Reads plain decimal digits without leading zeros, with "-" before them or not. Returns null, or what is wrong as the
 *  end of a sentence ("has a leading zero"); "" when it is an integer, but none of 0..2^64-1. */
const char *rpu_number_integer(const char *text, uint64_t *value);

/** Reads a decimal number with fraction and exponent or without. Returns null, or what is wrong; "" when it is too
 *  large or too small for a 32-bit float. */
const char *rpu_number_real(const char *text, float *value);

#define RPU_NUMBER_TEXT 32 /**< bytes for any number as text */

/** The shortest decimal that rpu_number_real reads back to the same float. Returns the double nearest to that text. */
double rpu_number_print(float value, char text[RPU_NUMBER_TEXT]);

#endif
