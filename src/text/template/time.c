/* text/template/time.c - strftime_now: the date as the C locale writes it, in UTC.
 *
 * Own code rather than the C library's strftime: that one depends on the process's locale and time
 * zone, and two servers must render one prompt the same. Calendar arithmetic is the usual one on days
 * since 1970-03-01 shifted by eras of 400 years. A conversion we do not know stays as it is written.
 *
 * Thread: any; pure.  Source: POSIX strftime; Hinnant, "chrono-compatible low-level date algorithms". */
#include "text/template/run.h"

typedef struct moment {
    int64_t year;
    int month, day; /* from 1 */
    int hour, minute, second;
    int weekday;  /* from 0 = Sunday */
    int year_day; /* from 1 */
    uint64_t unix_s;
} moment;

static const char *const day_names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};
static const char *const month_names[] = {"January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December"};

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static moment split(uint64_t unix_s)
{
    const int64_t days = (int64_t)(unix_s / 86400);
    const int64_t shifted = days + 719468; /* days from 0000-03-01 to 1970-01-01 */
    const int64_t era = shifted / 146097;
    const int64_t of_era = shifted - era * 146097;
    const int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month = (5 * of_year + 2) / 153; /* from 0 = March */
    moment m = {.unix_s = unix_s};
    m.day = (int)(of_year - (153 * month + 2) / 5 + 1);
    m.month = (int)(month < 10 ? month + 3 : month - 9);
    m.year = year_of_era + era * 400 + (m.month <= 2);
    m.hour = (int)(unix_s / 3600 % 24);
    m.minute = (int)(unix_s / 60 % 60);
    m.second = (int)(unix_s % 60);
    m.weekday = (int)((days + 4) % 7);
    /* of_year counts from March; January is day 306 of it. */
    m.year_day = (int)(of_year >= 306 ? of_year - 305 : of_year + 60 + is_leap(m.year));
    return m;
}

static int hour12(const moment *m)
{
    return m->hour % 12 ? m->hour % 12 : 12;
}

static krs_status put_name(krs_trun *run, const char *name, bool is_short)
{
    return krs_trun_write(run, (krs_str){name, is_short ? 3 : strlen(name)});
}

typedef enum field_pad {
    PAD_ZERO,
    PAD_SPACE,
    PAD_NONE,
} field_pad;

/* Conversions that are one number: width and padding, both changed by a '-' in front. */
static bool number_field(const moment *m, char what, int64_t *value, int *width, field_pad *pad)
{
    *width = 2;
    *pad = what == 'e' || what == 'k' || what == 'l' ? PAD_SPACE : PAD_ZERO;
    const struct {
        char what;
        int width;
        int64_t value;
    } fields[] = {
        {'Y', 1, m->year},
        {'y', 2, m->year % 100},
        {'m', 2, m->month},
        {'d', 2, m->day},
        {'e', 2, m->day},
        {'H', 2, m->hour},
        {'k', 2, m->hour},
        {'I', 2, hour12(m)},
        {'l', 2, hour12(m)},
        {'M', 2, m->minute},
        {'S', 2, m->second},
        {'j', 3, m->year_day},
        {'w', 1, m->weekday},
        {'u', 1, (m->weekday + 6) % 7 + 1},
        {'s', 1, (int64_t)m->unix_s},
        {'f', 6, 0},
        {'C', 2, m->year / 100},
        {'U', 2, (m->year_day + 6 - m->weekday) / 7},
        {'W', 2, (m->year_day + 6 - (m->weekday + 6) % 7) / 7},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (fields[i].what == what) {
            *value = fields[i].value;
            *width = fields[i].width;
            return true;
        }
    }
    return false;
}

static krs_status put_number(krs_trun *run, int64_t value, int width, field_pad pad)
{
    if (pad == PAD_NONE) {
        return krs_trun_putf(run, "%lld", (long long)value);
    }
    return pad == PAD_SPACE ? krs_trun_putf(run, "%*lld", width, (long long)value)
                            : krs_trun_putf(run, "%0*lld", width, (long long)value);
}

/* Conversions that stand for others. */
static const char *expansion(char what)
{
    switch (what) {
    case 'D':
    case 'x':
        return "%m/%d/%y";
    case 'F':
        return "%Y-%m-%d";
    case 'T':
    case 'X':
        return "%H:%M:%S";
    case 'R':
        return "%H:%M";
    case 'r':
        return "%I:%M:%S %p";
    case 'c':
        return "%a %b %e %H:%M:%S %Y";
    default:
        return NULL;
    }
}

static krs_status put_word(krs_trun *run, const moment *m, char what, bool *is_known)
{
    *is_known = true;
    switch (what) {
    case 'a':
    case 'A':
        return put_name(run, day_names[m->weekday], what == 'a');
    case 'b':
    case 'h':
    case 'B':
        return put_name(run, month_names[m->month - 1], what != 'B');
    case 'p':
        return krs_trun_write(run, m->hour < 12 ? KRS_STR("AM") : KRS_STR("PM"));
    case 'P':
        return krs_trun_write(run, m->hour < 12 ? KRS_STR("am") : KRS_STR("pm"));
    case 'Z':
    case 'z': /* Python's naive datetime has no zone */
        return KRS_OK;
    case 'n':
        return krs_trun_write(run, KRS_STR("\n"));
    case 't':
        return krs_trun_write(run, KRS_STR("\t"));
    case '%':
        return krs_trun_write(run, KRS_STR("%"));
    default:
        *is_known = false;
        return KRS_OK;
    }
}

/* The conversion whose letter is format[at]; is_bare: '-' asked for no padding. */
static krs_status put_one(krs_trun *run, const moment *m, char what, bool is_bare, bool *is_known)
{
    int64_t value = 0;
    int width = 0;
    field_pad pad = PAD_ZERO;
    if (number_field(m, what, &value, &width, &pad)) {
        *is_known = true;
        return put_number(run, value, width, is_bare ? PAD_NONE : pad);
    }
    const char *longer = expansion(what);
    if (longer) {
        *is_known = true;
        return krs_tput_time(run, krs_str_of(longer), m->unix_s);
    }
    return put_word(run, m, what, is_known);
}

krs_status krs_tput_time(krs_trun *run, krs_str format, uint64_t unix_s)
{
    const moment m = split(unix_s);
    krs_status status = KRS_OK;
    size_t from = 0;
    for (size_t at = 0; at + 1 < format.len && status == KRS_OK; at++) {
        if (format.ptr[at] != '%') {
            continue;
        }
        const bool is_bare = format.ptr[at + 1] == '-' && at + 2 < format.len;
        const size_t letter = at + 1 + is_bare;
        bool is_known = false;
        status = krs_trun_write(run, (krs_str){format.ptr + from, at - from});
        from = at;
        if (status == KRS_OK) {
            status = put_one(run, &m, format.ptr[letter], is_bare, &is_known);
        }
        from = is_known ? letter + 1 : from;
        at = letter;
    }
    return status == KRS_OK && format.len > from
               ? krs_trun_write(run, (krs_str){format.ptr + from, format.len - from})
               : status;
}
