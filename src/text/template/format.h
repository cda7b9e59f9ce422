/* text/template/format.h - one value in one formatted field: what % and format() share.
 *
 * Both have sign, width, fill, precision and type, and differ in how the field is written down.
 *
 * Thread: see run.h.  Source: Python 3 printf-style formatting; format specification
 * mini-language. */
#pragma once

#include "text/template/run.h"

#define KRS_TFIELD_MAX_WIDTH     10000 /* characters of padding one field may ask for */
#define KRS_TFIELD_MAX_PRECISION 100   /* digits; a double has 17 that mean something */

typedef struct krs_tfield {
    char type;       /* s d x X o b c e E f F g G %, or 0 */
    char align;      /* < > ^ =, or 0 */
    char sign;       /* + - or blank */
    char separator;  /* , or _, or 0 */
    bool has_prefix; /* '#' */
    krs_str fill;
    int64_t width;
    int64_t precision; /* -1: not given */
} krs_tfield;

/* Digits at s[*at], moving *at behind them; false when there are none. Stops above the limits. */
bool krs_tfield_number(krs_str s, size_t *at, int64_t *out);
/* Errors: KRS_ETOOLARGE (width or precision). */
KRS_MUST_USE krs_status krs_tfield_check(krs_trun *run, const krs_tfield *f);
KRS_MUST_USE krs_status krs_tput_field_text(krs_trun *run, const krs_tval *v, const krs_tfield *f);
/* v: a number. */
KRS_MUST_USE krs_status krs_tput_field_number(krs_trun *run, const krs_tval *v,
                                              const krs_tfield *f);
