/* text/pattern.c - see pattern.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pattern.h"

#include "base/check.h"
#include "text/unicode.h"

#include <pcre2.h>

#define JIT_STACK_START_BYTES (32u << 10) /* what PCRE2 suggests; grows to the ceiling on demand */

struct krs_pattern {
    const krs_alloc *alloc;
    char *literal; /* owned; used when code and scan are NULL */
    size_t n_literal;
    pcre2_code *code;
    bool has_jit;
    krs_scan *scan; /* owned; instead of code, for an expression that is known */
};

struct krs_pattern_room {
    const krs_alloc *alloc;
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

krs_status krs_pattern_new_literal(krs_str literal, const krs_alloc *alloc, krs_pattern **out,
                                   krs_error *err)
{
    *out = NULL;
    if (literal.len > KRS_PATTERN_MAX_BYTES) {
        return krs_fail(err, KRS_ETOOLARGE, "pattern: %zu bytes, limit %u", literal.len,
                        KRS_PATTERN_MAX_BYTES);
    }
    krs_pattern *pattern = krs_alloc_zero(alloc, sizeof(*pattern));
    char *text = krs_alloc_text(alloc, literal.ptr, literal.len);
    if (!pattern || !text) {
        krs_alloc_free(alloc, pattern);
        krs_alloc_free(alloc, text);
        return krs_fail(err, KRS_ENOMEM, "pattern: out of memory");
    }
    *pattern = (krs_pattern){.alloc = alloc, .literal = text, .n_literal = literal.len};
    *out = pattern;
    return KRS_OK;
}

/* An expression that text/scan.h knows. Errors: KRS_ENOENT (it does not), KRS_ENOMEM. */
static krs_status new_scanned(krs_str expression, const krs_alloc *alloc, krs_pattern **out)
{
    krs_scan *scan;
    const krs_status status = krs_scan_new(expression, alloc, &scan);
    if (status != KRS_OK) {
        return status;
    }
    krs_pattern *pattern = krs_alloc_zero(alloc, sizeof(*pattern));
    if (!pattern) {
        krs_scan_free(scan);
        return KRS_ENOMEM;
    }
    *pattern = (krs_pattern){.alloc = alloc, .scan = scan};
    *out = pattern;
    return KRS_OK;
}

const krs_scan *krs_pattern_scan(const krs_pattern *pattern)
{
    return pattern->scan;
}

/* Ruby's ^ and $ mean lines; \C would cut characters and is off. */
static krs_status compile(krs_str expression, pcre2_code **out, krs_error *err)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) {
        return krs_fail(err, KRS_ENOMEM, "pattern: out of memory");
    }
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    (void)pcre2_set_parens_nest_limit(context, 2 * KRS_PATTERN_MAX_DEPTH);
    int why = 0;
    size_t at = 0;
    *out = pcre2_compile((PCRE2_SPTR)expression.ptr, expression.len,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &why,
                         &at, context);
    pcre2_compile_context_free(context);
    if (*out) {
        return KRS_OK;
    }
    unsigned char text[120] = "";
    (void)pcre2_get_error_message(why, text, sizeof(text));
    const bool is_memory = why == PCRE2_ERROR_HEAP_FAILED;
    return krs_fail(err, is_memory ? KRS_ENOMEM : KRS_EFORMAT, "regex: %s at offset %zu",
                    (const char *)text, at);
}

krs_status krs_pattern_new_regex(krs_str expression, const krs_alloc *alloc, krs_pattern **out,
                                 krs_error *err)
{
    *out = NULL;
    if (expression.len > KRS_PATTERN_MAX_BYTES) {
        return krs_fail(err, KRS_ETOOLARGE, "regex: %zu bytes, limit %u", expression.len,
                        KRS_PATTERN_MAX_BYTES);
    }
    krs_status status = new_scanned(expression, alloc, out);
    if (status != KRS_ENOENT) {
        return status == KRS_OK ? status : krs_fail(err, status, "pattern: out of memory");
    }
    krs_buf spelled;
    krs_buf_init(&spelled, alloc, 64 * (size_t)KRS_PATTERN_MAX_BYTES);
    krs_pattern *pattern = NULL;
    status = krs_pattern_translate(expression, &spelled, err);
    if (status == KRS_OK) {
        pattern = krs_alloc_zero(alloc, sizeof(*pattern));
        status = pattern ? KRS_OK : krs_fail(err, KRS_ENOMEM, "pattern: out of memory");
    }
    if (status == KRS_OK) {
        KRS_DCHECK(pattern);
        pattern->alloc = alloc;
        status = compile(spelled.len ? krs_buf_view(&spelled) : KRS_STR(""), &pattern->code, err);
    }
    krs_buf_deinit(&spelled);
    if (status != KRS_OK) {
        krs_pattern_free(pattern);
        return status;
    }
    /* No JIT (a kernel that forbids writable code) is slower, not wrong. */
    pattern->has_jit = pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE) == 0;
    *out = pattern;
    return KRS_OK;
}

void krs_pattern_free(krs_pattern *pattern)
{
    if (pattern) {
        pcre2_code_free(pattern->code);
        krs_scan_free(pattern->scan);
        krs_alloc_free(pattern->alloc, pattern->literal);
        krs_alloc_free(pattern->alloc, pattern);
    }
}

krs_pattern_room *krs_pattern_room_new(const krs_alloc *alloc)
{
    krs_pattern_room *room = krs_alloc_zero(alloc, sizeof(*room));
    if (!room) {
        return NULL;
    }
    room->alloc = alloc;
    room->match = pcre2_match_data_create(1, NULL); /* one pair: no group is ever asked for */
    room->context = pcre2_match_context_create(NULL);
    room->stack = pcre2_jit_stack_create(JIT_STACK_START_BYTES, KRS_PATTERN_JIT_STACK_BYTES, NULL);
    if (!room->match || !room->context) {
        krs_pattern_room_free(room);
        return NULL;
    }
    (void)pcre2_set_match_limit(room->context, KRS_PATTERN_MAX_STEPS);
    if (room->stack) { /* NULL when PCRE2 has no JIT */
        pcre2_jit_stack_assign(room->context, NULL, room->stack);
    }
    return room;
}

void krs_pattern_room_free(krs_pattern_room *room)
{
    if (room) {
        pcre2_match_data_free(room->match);
        pcre2_match_context_free(room->context);
        pcre2_jit_stack_free(room->stack);
        krs_alloc_free(room->alloc, room);
    }
}

static krs_status find_regex(const krs_pattern_walk *walk, size_t *start, size_t *end)
{
    const krs_pattern *pattern = walk->pattern;
    krs_pattern_room *room = walk->room;
    const PCRE2_SPTR text = (PCRE2_SPTR)(walk->text.ptr ? walk->text.ptr : "");
    const int rc = pattern->has_jit ? pcre2_jit_match(pattern->code, text, walk->text.len, walk->at,
                                                      0, room->match, room->context)
                                    : pcre2_match(pattern->code, text, walk->text.len, walk->at,
                                                  PCRE2_NO_UTF_CHECK, room->match, room->context);
    if (rc >= 0) {
        const size_t *ends = pcre2_get_ovector_pointer(room->match);
        *start = ends[0];
        *end = ends[1];
        return KRS_OK;
    }
    switch (rc) {
    case PCRE2_ERROR_NOMATCH:
        return KRS_EEOF;
    case PCRE2_ERROR_NOMEMORY:
        return KRS_ENOMEM;
    default:
        return KRS_EINVAL; /* a limit: the expression backtracks too much on this text */
    }
}

static krs_status find_literal(const krs_pattern_walk *walk, size_t *start, size_t *end)
{
    const krs_str needle = {walk->pattern->literal, walk->pattern->n_literal};
    *start = krs_str_find(walk->text, needle, walk->at);
    *end = *start == SIZE_MAX ? *start : *start + needle.len;
    return *start == SIZE_MAX ? KRS_EEOF : KRS_OK;
}

static krs_status find_scanned(const krs_pattern_walk *walk, size_t *start, size_t *end)
{
    size_t at = walk->at;
    krs_span span;
    if (krs_scan_fill(walk->pattern->scan, walk->text, &at, &span, 1) == 0) {
        return KRS_EEOF;
    }
    *start = span.start;
    *end = span.end;
    return KRS_OK;
}

static krs_status find(const krs_pattern_walk *walk, size_t *start, size_t *end)
{
    if (walk->pattern->scan) {
        return find_scanned(walk, start, end);
    }
    return walk->pattern->code ? find_regex(walk, start, end) : find_literal(walk, start, end);
}

krs_status krs_pattern_next(krs_pattern_walk *walk, size_t *start, size_t *end)
{
    while (walk->at <= walk->text.len) {
        const krs_status status = find(walk, start, end);
        if (status != KRS_OK) {
            return status;
        }
        if (*start != *end || *end != walk->last_end) {
            walk->at = *end;
            walk->last_end = *end;
            return KRS_OK;
        }
        if (*end == walk->text.len) {
            break;
        }
        size_t n;
        (void)krs_utf8_decode((krs_str){walk->text.ptr + *end, walk->text.len - *end}, &n);
        walk->at = *end + n;
    }
    return KRS_EEOF;
}

krs_status krs_pattern_replace(const krs_pattern *pattern, krs_pattern_room *room, krs_str text,
                               krs_str content, krs_buf *out)
{
    text.ptr = text.ptr ? text.ptr : "";
    krs_pattern_walk walk = krs_pattern_walk_of(pattern, room, text);
    size_t done = 0;
    size_t start;
    size_t end;
    krs_status status;
    while ((status = krs_pattern_next(&walk, &start, &end)) == KRS_OK) {
        status = krs_buf_append(out, text.ptr + done, start - done);
        if (status == KRS_OK) {
            status = krs_buf_append_str(out, content);
        }
        if (status != KRS_OK) {
            return status;
        }
        done = end;
    }
    return status == KRS_EEOF ? krs_buf_append(out, text.ptr + done, text.len - done) : status;
}
