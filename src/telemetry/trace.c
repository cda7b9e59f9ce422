/* telemetry/trace.c - see trace.h. */
#include "telemetry/trace.h"

#include <string.h>

#define VERSION_00_CHARS (KRS_TRACEPARENT_BYTES - 1)
#define TRACE_ID_AT      3
#define SPAN_ID_AT       36
#define FLAGS_AT         53

/* Lower-case hexadecimal only: the standard refuses the other. */
static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_bytes(const char *hex, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const int high = digit_of(hex[2 * i]);
        const int low = digit_of(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* A later version may be longer, but then goes on with a dash. */
static bool is_framed(krs_str text, uint8_t version)
{
    const bool is_long = text.len > VERSION_00_CHARS;
    return version != 0xff && text.ptr[2] == '-' && text.ptr[SPAN_ID_AT - 1] == '-' &&
           text.ptr[FLAGS_AT - 1] == '-' &&
           (!is_long || (version > 0 && text.ptr[VERSION_00_CHARS] == '-'));
}

bool krs_trace_parse(krs_str traceparent, krs_trace *out)
{
    *out = (krs_trace){.is_set = false};
    krs_trace trace = {.is_set = true};
    uint8_t version = 0;
    if (traceparent.len < VERSION_00_CHARS || !read_bytes(traceparent.ptr, &version, 1) ||
        !is_framed(traceparent, version)) {
        return false;
    }
    const bool is_read = read_bytes(traceparent.ptr + TRACE_ID_AT, trace.trace_id, 16) &&
                         read_bytes(traceparent.ptr + SPAN_ID_AT, trace.span_id, 8) &&
                         read_bytes(traceparent.ptr + FLAGS_AT, &trace.flags, 1);
    if (!is_read || is_zero(trace.trace_id, 16) || is_zero(trace.span_id, 8)) {
        return false;
    }
    *out = trace;
    return true;
}

void krs_trace_child(const krs_trace *parent, const uint8_t random[24], krs_trace *out)
{
    const bool has_parent = parent && parent->is_set;
    krs_trace child = {.flags = has_parent ? parent->flags : 0, .is_set = true};
    memcpy(child.trace_id, has_parent ? parent->trace_id : random, 16);
    memcpy(child.span_id, random + 16, 8);
    child.span_id[7] |= is_zero(child.span_id, 8);
    child.trace_id[15] |= is_zero(child.trace_id, 16);
    *out = child;
}

static char *write_bytes(const uint8_t *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    return out;
}

void krs_trace_write(const krs_trace *trace, char out[KRS_TRACEPARENT_BYTES])
{
    out[0] = '\0';
    if (!trace->is_set) {
        return;
    }
    char *at = out;
    *at++ = '0';
    *at++ = '0';
    *at++ = '-';
    at = write_bytes(trace->trace_id, 16, at);
    *at++ = '-';
    at = write_bytes(trace->span_id, 8, at);
    *at++ = '-';
    at = write_bytes(&trace->flags, 1, at);
    *at = '\0';
}
