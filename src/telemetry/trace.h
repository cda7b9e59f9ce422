/* telemetry/trace.h - W3C trace context: whose request this is part of, across programs.
 *
 *     traceparent: 00-<trace id, 32 hex digits>-<span id, 16>-<flags, 2>
 *
 * A request keeps its caller's trace id and gets a span id of its own, which is what we answer with and
 * write into our logs. What cannot be parsed is dropped and a new trace begins, as the standard says.
 *
 * Thread: values; any thread.  Memory: none.
 * Source: W3C Trace Context, Recommendation 2021, section 3.2. */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define KRS_TRACEPARENT_BYTES 56 /* the 55 characters of version 00, and a NUL */

typedef struct krs_trace {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t flags; /* bit 0: the caller records this trace */
    bool is_set;
} krs_trace;

/* Read a traceparent header. False (and *out unset) for anything malformed, for version ff and for ids of
 * all zeros; later versions are read as version 00, as far as that goes. */
bool krs_trace_parse(krs_str traceparent, krs_trace *out);

/* A new span under parent, or of a new trace when parent is not set. random: 24 random bytes. */
void krs_trace_child(const krs_trace *parent, const uint8_t random[24], krs_trace *out);

/* "00-...-...-01" and a NUL; "" when unset. */
void krs_trace_write(const krs_trace *trace, char out[KRS_TRACEPARENT_BYTES]);
