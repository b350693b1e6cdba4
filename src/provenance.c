/* SPDX-License-Identifier: Apache-2.0 */
#include "app.h"
#include "commit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

const char *rpu_build_commit(void) {
    return RPU_COMMIT;
}

const char *rpu_build_compiler(void) {
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

const char *rpu_build_flags(void) {
    return RPU_BUILD_FLAGS;
}

void rpu_date(char date[32]) {
    const time_t now = time(NULL);
    struct tm utc;
    memset(&utc, 0, sizeof utc);
    gmtime_r(&now, &utc);
    if (strftime(date, 32, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        snprintf(date, 32, "unknown");
}
