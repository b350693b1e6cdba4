/* SPDX-License-Identifier: Apache-2.0 */
/** @file status.h
 *  Status codes, the error object, the export macro, and what holds for every function of the library.
 *
 *  **Errors.** Every fallible function returns an `enum rpu_status`. Details go into a `struct rpu_error` that the
 *  caller owns; a null pointer is allowed wherever one is taken. It is written when a call fails, and what it holds
 *  after one that does not is of no meaning. The library never prints, exits or aborts because of its input. Null and
 *  foreign handles are refused (RPU_ERR_ARG, or 0 or null from functions that return no status); one that was destroyed
 *  may not be used again. A `_destroy` or `_free` function takes null.
 *
 *  **Memory.** What a `_create` function gives is freed by the `_destroy` of that name, and texts that are malloc'd by
 *  free(). A constructor that fails leaves nothing behind and sets the place for the handle to null. Sizes are checked
 *  for overflow before anything is allocated. What is needed for training and evaluation is allocated at construction;
 *  an array of its own (tile.h) enlarges its scratch memory when a block is larger than any before. An allocation that
 *  fails is RPU_ERR_NOMEM, but for the state of a work list: without it one thread does the work, to the same bits. The
 *  runtime libraries of OpenMP and hwloc are excepted: they allocate when an engine is made and when its threads first
 *  start, and may end the process where there is no memory for them.
 *
 *  **Threads.** A handle may be used by any thread, by one at a time. Handles that have nothing in common may be used
 * at once. What was built on an engine (tiles, networks, trainings) has that engine in common: calls that take any of
 *  these may not overlap, constructors and destructors included. Whoever wants to train in two threads of his own makes
 *  two engines. Data sets and configurations are only read, and may be shared. Functions that take no handle may be
 *  called at any time. There is no global state that a call changes. The threads of an engine itself are the library's
 *  matter. Signals, the locale and the environment are left as they are. */
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
    RPU_ERR_INTERRUPTED, /**< the caller's stop request was honoured */
    RPU_ERR_DIVERGED     /**< a training's loss or weights are no finite numbers, or have grown beyond use */
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
