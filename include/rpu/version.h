/* SPDX-License-Identifier: Apache-2.0 */
/** @file version.h
 *  The one place that states the version and its date; meson reads the version from here. */
#ifndef RPU_VERSION_H
#define RPU_VERSION_H

#define RPU_VERSION_MAJOR  0
#define RPU_VERSION_MINOR  1
#define RPU_VERSION_PATCH  0
#define RPU_VERSION_STRING "0.1.0"
#define RPU_VERSION_DATE   "2026-11-23" /**< changed with the version; the date of the man page */

#endif
