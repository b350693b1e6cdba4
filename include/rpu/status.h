/* SPDX-License-Identifier: Apache-2.0 */
/** @file status.h
 *  Status codes, the error object, and the export macro.
 *
 *  Every fallible function returns an `enum rpu_status`. Details go into a `struct rpu_error` that the
 *  caller owns; a null pointer is allowed wherever one is taken. The library never prints, exits or
 *  aborts because of its input. */
#ifndef RPU_STATUS_H
#define RPU_STATUS_H

#if defined(__GNUC__)
#define RPU_API               __attribute__((visibility("default")))
#define RPU_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define RPU_API
#define RPU_PRINTF(fmt, args)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** What a call came to. The values are stable: new ones are appended. */
enum rpu_status {
    RPU_OK = 0,
    RPU_ERR_ARG,         /**< a null or foreign handle, or an argument that no caller should pass */
    RPU_ERR_SHAPE,       /**< sizes that do not fit each other, or overflow */
    RPU_ERR_RANGE,       /**< a number outside its allowed range */
    RPU_ERR_NOMEM,       /**< an allocation failed */
    RPU_ERR_IO,          /**< the operating system refused to open, read, write, sync or rename */
    RPU_ERR_FORMAT,      /**< a data file is malformed, truncated or inconsistent */
    RPU_ERR_CONFIG,      /**< a configuration is malformed; `file`, `line` and `key` say where */
    RPU_ERR_UNSUPPORTED, /**< asked for something this build or this machine does not have */
    RPU_ERR_INTERRUPTED  /**< the caller's stop request was honoured */
};

/** Where and why a call failed. Strings are always terminated and empty when they do not apply. */
struct rpu_error {
    enum rpu_status status;
    long line;          /**< 1-based line in `file`, or 0 */
    char file[256];     /**< the file at fault, or a name such as "--set"; as it was given, but for its length */
    char key[128];      /**< dotted configuration key at fault, control characters as question marks */
    char value[128];    /**< what was found */
    char expected[192]; /**< what is allowed */
    char message[1024]; /**< the whole sentence, ready for a user: one line, without a newline, control
                             characters as question marks */
};

/** A short name of a status ("RPU_ERR_SHAPE"); never null. */
RPU_API const char *rpu_status_name(enum rpu_status status);

/** The version of the library that is running, for example "0.1.0". */
RPU_API const char *rpu_version(void);

#ifdef __cplusplus
}
#endif
#endif
