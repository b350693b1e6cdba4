/* SPDX-License-Identifier: Apache-2.0 */
/* Which of its cores OpenBLAS takes. It chooses when it is loaded, by the processor or by OPENBLAS_CORETYPE; to have
 * another one the program starts itself again. Like is compared with like: where OpenBLAS would use AVX-512, which no
 * kernel of ours does, it is held to AVX2. */
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

static int uses_avx512(const char *core) {
    static const char *const cores[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
    for (size_t i = 0; i < sizeof cores / sizeof cores[0]; i++)
        if (strcasecmp(core, cores[i]) == 0)
            return 1;
    return 0;
}

static const char *avx2_core(void) {
#ifdef __x86_64__
    __builtin_cpu_init();
    return __builtin_cpu_is("amd") ? "Zen" : "Haswell";
#else
    return NULL;
#endif
}

const char *blas_core_first(void) {
    const char *first = getenv(FIRST_VARIABLE);
    return first ? first : openblas_get_corename();
}

/* The core to be had; null: the one that OpenBLAS takes or has taken. */
static const char *wanted(const char *asked) {
    if (asked)
        return strcmp(asked, "default") == 0 ? NULL : asked;
    if (getenv(CORE_VARIABLE) || !uses_avx512(openblas_get_corename()))
        return NULL;
    return avx2_core();
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
