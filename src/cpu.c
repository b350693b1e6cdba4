/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch.h"

#include <rpu/engine.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* XCR0 says which register files the operating system saves: SSE (bit 1) and AVX (bit 2) are needed. */
static int os_saves_ymm(void) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    return (low & 6u) == 6u;
}

unsigned rpu_cpu_flags(void) {
    unsigned a, b, c, d, flags = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    if (!(c & bit_OSXSAVE) || !(c & bit_AVX) || !os_saves_ymm())
        return 0;
    if (c & bit_FMA)
        flags |= RPU_CPU_FMA;
    if (c & bit_F16C)
        flags |= RPU_CPU_F16C;
    if (c & bit_POPCNT)
        flags |= RPU_CPU_POPCNT;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return flags;
    if (b & bit_AVX2)
        flags |= RPU_CPU_AVX2;
    if ((b & bit_BMI) && (b & bit_BMI2))
        flags |= RPU_CPU_BMI;
    return flags;
}
#elif defined(__aarch64__)
unsigned rpu_cpu_flags(void) {
    return RPU_CPU_NEON; /* part of the base architecture */
}
#else
unsigned rpu_cpu_flags(void) {
    return 0;
}
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char features[64];
static char model[128] = "unknown";

static void describe(void) {
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {{RPU_CPU_AVX2, "avx2"},     {RPU_CPU_FMA, "fma"}, {RPU_CPU_F16C, "f16c"},
                 {RPU_CPU_POPCNT, "popcnt"}, {RPU_CPU_BMI, "bmi"}, {RPU_CPU_NEON, "neon"}};
    const unsigned flags = rpu_cpu_flags();
    char line[256];
    FILE *f;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (flags & names[i].flag) {
            if (features[0])
                strcat(features, " ");
            strcat(features, names[i].name);
        }
    }
    f = fopen("/proc/cpuinfo", "re");
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (colon && colon[1] == ' ' && strncmp(line, "model name", 10) == 0) {
            snprintf(model, sizeof model, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    if (f)
        fclose(f);
}

const char *rpu_cpu_features(void) {
    pthread_once(&once, describe);
    return features;
}

const char *rpu_cpu_model(void) {
    pthread_once(&once, describe);
    return model;
}
