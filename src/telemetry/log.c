/* telemetry/log.c - see log.h.
 *
 * The line is built with a writer that stops at its end and remembers the last point at which the line
 * could still be closed. Running out of room goes back to that point: a cut line loses whole fields,
 * never half of one. */
#include "telemetry/log.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define NS_PER_S UINT64_C(1000000000)
/* Kept free for what closes a cut line: ,"cut":true}\n */
#define LINE_TAIL_BYTES 16

typedef struct line {
    char *data; /* [KRS_LOG_LINE_BYTES] */
    size_t len;
    bool is_full;
} line;

static void put(line *to, const char *bytes, size_t n)
{
    if (to->is_full || n > KRS_LOG_LINE_BYTES - LINE_TAIL_BYTES - to->len) {
        to->is_full = true;
        return;
    }
    memcpy(to->data + to->len, bytes, n);
    to->len += n;
}

static void put_text(line *to, const char *text)
{
    put(to, text, strlen(text));
}

static void put_format(line *to, const char *format, ...) KRS_PRINTF(2, 3);

static void put_format(line *to, const char *format, ...)
{
    char piece[80]; /* numbers and times only */
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(piece, sizeof(piece), format, args);
    va_end(args);
    put(to, piece, n < 0 || (size_t)n >= sizeof(piece) ? 0 : (size_t)n);
}

/* One character of a JSON string; n is its UTF-8 length, 0 when it is broken. */
static void put_escaped(line *to, const char *s, size_t n)
{
    const unsigned char c = (unsigned char)s[0];
    if (n == 0) {
        put_text(to, "\xEF\xBF\xBD");
    } else if (c == '"' || c == '\\') {
        const char pair[2] = {'\\', (char)c};
        put(to, pair, 2);
    } else if (c == '\n') {
        put_text(to, "\\n");
    } else if (c < 0x20 || c == 0x7F) {
        put_format(to, "\\u%04x", c);
    } else {
        put(to, s, n);
    }
}

static void put_quoted(line *to, krs_str text)
{
    put(to, "\"", 1);
    for (size_t i = 0; i < text.len && !to->is_full;) {
        const size_t n = krs_utf8_length(text.ptr + i, text.len - i);
        put_escaped(to, text.ptr + i, n);
        i += n ? n : 1;
    }
    put(to, "\"", 1);
}

static void put_value(line *to, const krs_log_field *field)
{
    switch (field->kind) {
    case KRS_LOG_KIND_STR:
        put_quoted(to, field->as.str);
        break;
    case KRS_LOG_KIND_INT:
        put_format(to, "%" PRId64, field->as.number);
        break;
    case KRS_LOG_KIND_DOUBLE:
        /* JSON has no way to write infinity or not-a-number. */
        put_format(to, isfinite(field->as.real) ? "%.9g" : "null", field->as.real);
        break;
    case KRS_LOG_KIND_BOOL:
        put_text(to, field->as.truth ? "true" : "false");
        break;
    }
}

/* Civil date of a count of days since 1970-01-01, by walking 400-year cycles from 0000-03-01, so that
 * the leap day is the last day of its year. */
static void date_of(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    const uint64_t since = days + 719468; /* days from 0000-03-01 to 1970-01-01 */
    const uint64_t cycle = since / 146097;
    const unsigned of_cycle = (unsigned)(since % 146097);
    const unsigned of_years =
        (of_cycle - of_cycle / 1460 + of_cycle / 36524 - of_cycle / 146096) / 365;
    const unsigned of_year = of_cycle - (365 * of_years + of_years / 4 - of_years / 100);
    const unsigned shifted = (5 * of_year + 2) / 153; /* months since March */
    *day = of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = (unsigned)(cycle * 400) + of_years + (*month <= 2 ? 1 : 0);
}

static void put_clock(line *to, uint64_t wall_ns)
{
    const unsigned of_day = (unsigned)(wall_ns / NS_PER_S % 86400);
    put_format(to, "%02u:%02u:%02u.%03u", of_day / 3600, of_day / 60 % 60, of_day % 60,
               (unsigned)(wall_ns / 1000000 % 1000));
}

static void put_json_head(line *to, const krs_log_record *record)
{
    unsigned year;
    unsigned month;
    unsigned day;
    date_of(record->wall_ns / NS_PER_S / 86400, &year, &month, &day);
    put_format(to, "{\"time\":\"%04u-%02u-%02uT", year, month, day);
    put_clock(to, record->wall_ns);
    put_text(to, "Z\",\"level\":");
    put_quoted(to, krs_str_of(krs_log_level_name(record->level)));
    put_text(to, ",\"event\":");
    put_quoted(to, krs_str_of(record->event));
    if (record->correlation_id && record->correlation_id[0]) {
        put_text(to, ",\"id\":");
        put_quoted(to, krs_str_of(record->correlation_id));
    }
}

static void put_text_head(line *to, const krs_log_record *record)
{
    put_clock(to, record->wall_ns);
    put_format(to, " %-5s ", krs_log_level_name(record->level));
    put_text(to, record->event);
    if (record->correlation_id && record->correlation_id[0]) {
        put_text(to, " id=");
        put_quoted(to, krs_str_of(record->correlation_id));
    }
}

static void put_field(line *to, const krs_log_field *field, krs_log_format format)
{
    if (format == KRS_LOG_NDJSON) {
        put(to, ",", 1);
        put_quoted(to, krs_str_of(field->key));
        put(to, ":", 1);
    } else {
        put(to, " ", 1);
        put_text(to, field->key);
        put(to, "=", 1);
    }
    put_value(to, field);
}

/* All fields that fit whole; false when one did not. */
static bool put_fields(line *to, const krs_log_record *record, krs_log_format format)
{
    for (size_t i = 0; i < record->n_fields; i++) {
        const size_t closable = to->len;
        put_field(to, &record->fields[i], format);
        if (to->is_full) {
            to->len = closable;
            to->is_full = false;
            return false;
        }
    }
    return true;
}

size_t krs_log_format_record(const krs_log_record *record, krs_log_format format,
                             char out[KRS_LOG_LINE_BYTES])
{
    const bool is_json = format == KRS_LOG_NDJSON;
    line to = {.data = out};
    if (is_json) {
        put_json_head(&to, record);
    } else {
        put_text_head(&to, record);
    }
    if (to.is_full) { /* an event name or id of thousands of bytes: keep a valid line */
        to = (line){.data = out};
        put_text(&to, is_json ? "{\"event\":\"log.overlong\"" : "log.overlong");
    }
    const bool is_cut = !put_fields(&to, record, format);
    const char *tail = is_json ? (is_cut ? ",\"cut\":true}\n" : "}\n") : (is_cut ? " cut\n" : "\n");
    for (; *tail; tail++) { /* LINE_TAIL_BYTES were kept free */
        out[to.len++] = *tail;
    }
    return to.len;
}

void krs_log_write(const krs_log *log, krs_log_level level, const char *event,
                   const char *correlation_id, const krs_log_field *fields, size_t n_fields)
{
    if (!krs_log_is_on(log, level)) {
        return;
    }
    const krs_log_record record = {.wall_ns = log->wall_ns ? log->wall_ns() : 0,
                                   .level = level,
                                   .event = event,
                                   .correlation_id = correlation_id,
                                   .fields = fields,
                                   .n_fields = n_fields};
    char text[KRS_LOG_LINE_BYTES];
    const size_t n = krs_log_format_record(&record, log->format, text);
    log->sink(log->ctx, level, (krs_str){text, n});
}

void krs_log_error(const krs_log *log, krs_log_level level, const char *event,
                   const char *correlation_id, const krs_error *err)
{
    static const krs_error none = KRS_ERROR_INIT;
    err = err ? err : &none;
    krs_log_field fields[4];
    size_t n = 0;
    fields[n++] = krs_log_text("status", krs_status_name(err->status));
    fields[n++] = krs_log_text("message", err->message);
    if (err->field[0]) {
        fields[n++] = krs_log_text("field", err->field);
    }
    if (err->os_errno) {
        fields[n++] = krs_log_int("os_errno", err->os_errno);
    }
    krs_log_write(log, level, event, correlation_id, fields, n);
}

static const char *const level_names[] = {"debug", "info", "warn", "error", "silent"};

const char *krs_log_level_name(krs_log_level level)
{
    return level_names[(unsigned)level <= KRS_LOG_SILENT ? level : KRS_LOG_SILENT];
}

krs_status krs_log_level_of(krs_str name, krs_log_level *out)
{
    for (unsigned i = 0; i <= KRS_LOG_SILENT; i++) {
        if (krs_str_equal(name, krs_str_of(level_names[i]))) {
            *out = (krs_log_level)i;
            return KRS_OK;
        }
    }
    return KRS_EINVAL;
}
