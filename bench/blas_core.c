/* SPDX-License-Identifier: Apache-2.0 */
/* Which of its cores OpenBLAS takes. It chooses when it is loaded, by the processor or by OPENBLAS_CORETYPE; to have
 * another one the program starts itself again. Like is compared with like: on a processor with AVX2 it is held to AVX2,
 * where by itself it would use AVX-512, which no kernel of ours does, or, not knowing the processor, no more than SSE3.
 */
#include "bench.h"

#include <cblas.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CORE_VARIABLE "OPENBLAS_CORETYPE"
/* Set by the first start: the core that OpenBLAS took there. */
#define FIRST_VARIABLE "RPUBENCH_OPENBLAS_FIRST_CORE"

/* The core for AVX2 and FMA; null on a processor without them. */
static const char *avx2_core(void) {
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return __builtin_cpu_is("amd") ? "Zen" : "Haswell";
#endif
    return NULL;
}

const char *blas_core_first(void) {
    const char *first = getenv(FIRST_VARIABLE);
    return first ? first : openblas_get_corename();
}

/* The core to be had; null: the one that OpenBLAS takes or has taken. */
static const char *wanted(const char *asked) {
    if (asked)
        return strcmp(asked, "default") == 0 ? NULL : asked;
    return getenv(CORE_VARIABLE) ? NULL : avx2_core();
}

static int start_again(char **argv, const char *core) {
    execv("/proc/self/exe", argv);
    fprintf(stderr, "rpubench-bench: cannot start again with OpenBLAS core '%s': %s\n", core, strerror(errno));
    return 0;
}

int blas_core_choose(char **argv, const char *asked) {
    const char *have = openblas_get_corename(), *want = wanted(asked);
    if (asked && !want && getenv(CORE_VARIABLE)) {
        unsetenv(CORE_VARIABLE);
        return start_again(argv, asked);
    }
    if (!want || strcasecmp(have, want) == 0)
        return 1;
    if (getenv(FIRST_VARIABLE)) {
        fprintf(stderr, "rpubench-bench: OpenBLAS has no core '%s' for this processor, it took '%s'\n", want, have);
        return 0;
    }
    if (setenv(FIRST_VARIABLE, have, 1) != 0 || setenv(CORE_VARIABLE, want, 1) != 0)
        abort();
    return start_again(argv, want);
}
