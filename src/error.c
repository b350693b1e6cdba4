/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include "small.h"

#include <rpu/version.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *rpu_status_name(enum rpu_status status) {
    switch (status) {
    case RPU_OK: return "RPU_OK";
    case RPU_ERR_ARG: return "RPU_ERR_ARG";
    case RPU_ERR_SHAPE: return "RPU_ERR_SHAPE";
    case RPU_ERR_RANGE: return "RPU_ERR_RANGE";
    case RPU_ERR_NOMEM: return "RPU_ERR_NOMEM";
    case RPU_ERR_IO: return "RPU_ERR_IO";
    case RPU_ERR_FORMAT: return "RPU_ERR_FORMAT";
    case RPU_ERR_CONFIG: return "RPU_ERR_CONFIG";
    case RPU_ERR_UNSUPPORTED: return "RPU_ERR_UNSUPPORTED";
    case RPU_ERR_INTERRUPTED: return "RPU_ERR_INTERRUPTED";
    case RPU_ERR_DIVERGED: return "RPU_ERR_DIVERGED";
    }
    return "RPU_ERR_UNKNOWN";
}

const char *rpu_version(void) {
    return RPU_VERSION_STRING;
}

void rpu_error_clear(struct rpu_error *err) {
    if (err)
        memset(err, 0, sizeof *err);
}

/* A message is one line, and what a file or a command line put into it drives no terminal. */
static void make_plain(char *text) {
    for (; *text; text++)
        *text = rpu_plain(*text);
}

enum rpu_status rpu_fail(struct rpu_error *err, enum rpu_status status, const char *format, ...) {
    if (err) {
        va_list args;
        rpu_error_clear(err);
        err->status = status;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        make_plain(err->message);
    }
    return status;
}

enum rpu_status rpu_fail_at(struct rpu_error *err, enum rpu_status status, const char *file, long line, const char *key,
                            const char *format, ...) {
    if (err) {
        va_list args;
        int used = 0;
        rpu_error_clear(err);
        err->status = status;
        err->line = line;
        if (file)
            snprintf(err->file, sizeof err->file, "%s", file);
        if (key)
            snprintf(err->key, sizeof err->key, "%s", key);
        if (file && *file && line > 0)
            used = snprintf(err->message, sizeof err->message, "%.255s:%ld: ", file, line);
        else if (file && *file)
            used = snprintf(err->message, sizeof err->message, "%.255s: ", file);
        if (key && *key)
            used += snprintf(err->message + used, sizeof err->message - (size_t)used, "%.127s: ", key);
        va_start(args, format);
        vsnprintf(err->message + used, sizeof err->message - (size_t)used, format, args);
        va_end(args);
        make_plain(err->key);
        make_plain(err->message);
    }
    return status;
}

enum rpu_status rpu_fail_system(struct rpu_error *err, const char *file, const char *what) {
    const int reason = errno;
    return rpu_fail_at(err, reason == ENOMEM ? RPU_ERR_NOMEM : RPU_ERR_IO, file, 0, NULL, "%s: %s", what,
                       strerror(reason));
}
