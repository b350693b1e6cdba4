/* SPDX-License-Identifier: Apache-2.0 */
#include "config_number.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the C locale for one conversion: the caller's thread may have a decimal comma ---- */

static locale_t enter_c_locale(locale_t *old) {
    const locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    *old = c ? uselocale(c) : (locale_t)0;
    return c;
}

static void leave_c_locale(locale_t c, locale_t old) {
    if (c) {
        uselocale(old);
        freelocale(c);
    }
}

/* ---- grammar ---- */

static const char *skip_digits(const char *p) {
    return p + strspn(p, "0123456789");
}

/* Sign, then 0 or digits that do not start with 0. Null if this is something else; else what follows. */
static const char *skip_integer(const char *p, int *leading_zero) {
    const char *start = p + (*p == '-'), *end = skip_digits(start);
    *leading_zero = start[0] == '0' && end > start + 1;
    return end == start ? NULL : end;
}

static const char *skip_exponent(const char *p) {
    const char *start, *end;
    if (*p != 'e' && *p != 'E')
        return p;
    start = p + 1 + (p[1] == '+' || p[1] == '-');
    end = skip_digits(start);
    return end == start ? NULL : end;
}

/* Whether the text is a real; `leading_zero` is set as well when it is none for that reason. */
static int is_real(const char *text, int *leading_zero) {
    const char *p = skip_integer(text, leading_zero), *digits;
    if (!p) { /* ".5" */
        p = text + (*text == '-');
        if (*p != '.' || skip_digits(p + 1) == p + 1)
            return 0;
    }
    digits = p;
    if (*p == '.')
        p = skip_digits(digits + 1);
    p = skip_exponent(p);
    return p && !*p && !*leading_zero;
}

/* The ways in which YAML and C write what is not finite. */
static int is_not_finite(const char *text) {
    static const char *const names[] = {"inf", "nan", "infinity", ".inf", ".nan"};
    char lower[16] = "";
    text += *text == '-' || *text == '+';
    for (size_t i = 0; i + 1 < sizeof lower && text[i]; i++)
        lower[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i]);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(lower, names[i]) == 0)
            return 1;
    return 0;
}

static int is_other_base(const char *text) {
    text += *text == '-' || *text == '+';
    return text[0] == '0' && text[1] && strchr("xXoObB", text[1]);
}

static const char *why_no_number(const char *text, int leading_zero) {
    if (is_not_finite(text))
        return "is not finite";
    if (is_other_base(text))
        return "is not decimal";
    if (leading_zero)
        return "has a leading zero";
    return "is not a number";
}

/* ---- conversions ---- */

const char *rpu_number_integer(const char *text, uint64_t *value) {
    int leading_zero, zero_too;
    const char *end = skip_integer(text, &leading_zero), *p = text + (*text == '-');
    uint64_t v = 0;
    if (!end || *end || leading_zero)
        return is_real(text, &zero_too) ? "is not an integer" : why_no_number(text, leading_zero);
    for (; *p; p++) {
        const uint64_t digit = (uint64_t)(*p - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return "";
        v = v * 10 + digit;
    }
    if (*text == '-' && v > 0)
        return "";
    *value = v;
    return NULL;
}

const char *rpu_number_real(const char *text, float *value) {
    const size_t mantissa = strcspn(text, "eE");
    int leading_zero;
    locale_t c, old;
    float v;
    if (!is_real(text, &leading_zero))
        return why_no_number(text, leading_zero);
    c = enter_c_locale(&old);
    v = strtof(text, NULL);
    leave_c_locale(c, old);
    if (!isfinite(v) || (v == 0.0f && strcspn(text, "123456789") < mantissa))
        return "";
    *value = v == 0.0f ? 0.0f : v; /* no negative zero */
    return NULL;
}

double rpu_number_print(float value, char text[RPU_NUMBER_TEXT]) {
    locale_t old, c = enter_c_locale(&old);
    const double v = (double)value;
    double nearest;
    char *e;
    for (int digits = 1; digits <= FLT_DECIMAL_DIG; digits++) {
        snprintf(text, RPU_NUMBER_TEXT, "%.*g", digits, v);
        if (strtof(text, NULL) == value)
            break;
    }
    if (strchr(text, 'e') && v >= 1 && v < 1e9) /* 1e+03 */
        snprintf(text, RPU_NUMBER_TEXT, "%.0f", v);
    nearest = strtod(text, NULL);
    leave_c_locale(c, old);
    e = strchr(text, 'e');
    if (e && !strchr(text, '.')) { /* 1e-05 is a text to readers of YAML 1.1: 1.0e-05 */
        memmove(e + 2, e, strlen(e) + 1);
        memcpy(e, ".0", 2);
    }
    return nearest;
}
