/* telemetry/log.h - structured log records through a sink that is passed in.
 *
 *   krs_log_write(log, KRS_LOG_INFO, "model.loaded", id, fields, n)  ->  one line  ->  sink
 *
 * A record is an event name (area.action, the same names as on the bus), a level, the correlation id of
 * the request it belongs to, and typed fields. Lines are formatted on the stack with a hard limit, so
 * logging never allocates and may happen on the engine thread; a line that is too long drops fields
 * from its end and says so ("cut":true) and stays valid JSON.
 *
 * Deliberately absent: a global logger, printf-style messages (they cannot be searched), I/O (the sink
 * writes), sampling.
 *
 * Thread: any; a krs_log is immutable but for its level, its sink must take lines from any thread.
 * Memory: none.  Source: NDJSON; RFC 3339 for times. */
#pragma once

#include "base/status.h"
#include "base/str.h"

#define KRS_LOG_LINE_BYTES 4096 /* longest line; pipes write so much atomically on Linux */

typedef enum krs_log_level {
    KRS_LOG_DEBUG,
    KRS_LOG_INFO,
    KRS_LOG_WARN,
    KRS_LOG_ERROR,
    KRS_LOG_SILENT, /* as min_level: nothing passes */
} krs_log_level;

typedef enum krs_log_format {
    KRS_LOG_NDJSON, /* {"time":"...","level":"info","event":"model.loaded","id":"...",...} */
    KRS_LOG_TEXT,   /* 12:50:33.123 info  model.loaded id=... key=value ... */
} krs_log_format;

typedef enum krs_log_kind {
    KRS_LOG_KIND_STR,
    KRS_LOG_KIND_INT,
    KRS_LOG_KIND_DOUBLE,
    KRS_LOG_KIND_BOOL,
} krs_log_kind;

/* One key and value; keys are our own constants in snake_case with the unit last. */
typedef struct krs_log_field {
    const char *key;
    krs_log_kind kind;
    union {
        krs_str str; /* borrowed until the call returns; any bytes */
        int64_t number;
        double real;
        bool truth;
    } as;
} krs_log_field;

typedef struct krs_log_record {
    uint64_t wall_ns; /* since 1970-01-01 UTC */
    krs_log_level level;
    const char *event;          /* "area.action" */
    const char *correlation_id; /* NULL or "": none */
    const krs_log_field *fields;
    size_t n_fields;
} krs_log_record;

typedef struct krs_log {
    void *ctx;
    /* One whole line with its newline, valid during the call. Must not call the log. */
    void (*sink)(void *ctx, krs_log_level level, krs_str line);
    uint64_t (*wall_ns)(void);       /* krs_os_wall_ns; a fixed clock in tests */
    _Atomic krs_log_level min_level; /* may be set while others log; the rest is immutable */
    krs_log_format format;
} krs_log;

static inline krs_log_field krs_log_str(const char *key, krs_str value)
{
    return (krs_log_field){key, KRS_LOG_KIND_STR, {.str = value}};
}

/* value: NUL-terminated, NULL reads as "". */
static inline krs_log_field krs_log_text(const char *key, const char *value)
{
    return krs_log_str(key, krs_str_of(value));
}

static inline krs_log_field krs_log_int(const char *key, int64_t value)
{
    return (krs_log_field){key, KRS_LOG_KIND_INT, {.number = value}};
}

static inline krs_log_field krs_log_double(const char *key, double value)
{
    return (krs_log_field){key, KRS_LOG_KIND_DOUBLE, {.real = value}};
}

static inline krs_log_field krs_log_bool(const char *key, bool value)
{
    return (krs_log_field){key, KRS_LOG_KIND_BOOL, {.truth = value}};
}

/* Would a record of this level pass? For callers whose fields cost something. False for NULL. */
static inline bool krs_log_is_on(const krs_log *log, krs_log_level level)
{
    return log && log->sink && level >= log->min_level && level < KRS_LOG_SILENT;
}

/* Format and hand to the sink; nothing when the level is filtered or log is NULL.
 * correlation_id may be NULL. fields: [n_fields]. */
void krs_log_write(const krs_log *log, krs_log_level level, const char *event,
                   const char *correlation_id, const krs_log_field *fields, size_t n_fields);

/* A failure as a record: adds status, message, field and os_errno of err (which may be NULL). */
void krs_log_error(const krs_log *log, krs_log_level level, const char *event,
                   const char *correlation_id, const krs_error *err);

/* Format one record into out[KRS_LOG_LINE_BYTES] with its newline; returns the length. */
size_t krs_log_format_record(const krs_log_record *record, krs_log_format format,
                             char out[KRS_LOG_LINE_BYTES]);

/* "debug", "info", "warn", "error", "silent". */
const char *krs_log_level_name(krs_log_level level);

/* The reverse, for options. Errors: KRS_EINVAL (unknown name). */
KRS_MUST_USE krs_status krs_log_level_of(krs_str name, krs_log_level *out);
