/* tests/support/reply_record.h - the events of a reply as one line, whatever pieces they came in.
 *
 *   content:Hi|call:add|args:{"a": 1}|end|
 *
 * Pieces of one kind in a row are put together: what is compared is what a client puts together. */
#pragma once

#include "base/check.h"
#include "text/reply.h"

#define KRS_TEST_RECORD_BYTES (64u << 20)

typedef struct krs_test_record {
    krs_buf line;
    krs_reply_event_kind kind; /* of the piece that is open */
    bool is_open;
    uint32_t n_calls;
} krs_test_record;

static inline krs_status krs_test_record_event(void *user, const krs_reply_event *event)
{
    static const char *const names[] = {"content", "thought", "call", "args", "end"};
    krs_test_record *record = user;
    const bool is_text = event->kind != KRS_REPLY_CALL_BEGIN && event->kind != KRS_REPLY_CALL_END;
    KRS_CHECK(!is_text || event->text.len > 0);
    record->n_calls += event->kind == KRS_REPLY_CALL_BEGIN;
    if (event->kind >= KRS_REPLY_CALL_BEGIN) {
        KRS_CHECK(event->call + 1 == record->n_calls);
    }
    if (!record->is_open || record->kind != event->kind) {
        KRS_CHECK(krs_buf_printf(&record->line, "%s%s%s", record->is_open ? "|" : "",
                                 names[event->kind],
                                 event->kind == KRS_REPLY_CALL_END ? "" : ":") == KRS_OK);
    }
    KRS_CHECK(krs_buf_append_str(&record->line, event->text) == KRS_OK);
    if (event->id.len > 0) {
        KRS_CHECK(krs_buf_printf(&record->line, "#%.*s", KRS_STR_ARGS(event->id)) == KRS_OK);
    }
    if (event->is_broken) {
        KRS_CHECK(krs_buf_printf(&record->line, "!") == KRS_OK);
    }
    record->is_open = is_text;
    record->kind = event->kind;
    if (!is_text) {
        KRS_CHECK(krs_buf_append_char(&record->line, '|') == KRS_OK);
    }
    return KRS_OK;
}

static inline void krs_test_record_init(krs_test_record *record, const krs_alloc *alloc)
{
    *record = (krs_test_record){0};
    krs_buf_init(&record->line, alloc, KRS_TEST_RECORD_BYTES);
}

static inline krs_str krs_test_record_line(const krs_test_record *record)
{
    return krs_buf_view(&record->line);
}

/* Read text, cut before each of cuts[n_cuts] (ascending), into a fresh record. */
static inline krs_status krs_test_record_cut(const krs_reply_options *options, krs_str text,
                                             const size_t *cuts, size_t n_cuts,
                                             krs_test_record *record)
{
    krs_reply_parser *parser = NULL;
    const krs_reply_sink sink = {record, krs_test_record_event};
    krs_test_record_init(record, NULL);
    krs_status status = krs_reply_parser_new(options, NULL, &parser);
    size_t at = 0;
    for (size_t i = 0; i <= n_cuts && status == KRS_OK; i++) {
        const size_t end = i < n_cuts ? cuts[i] : text.len;
        status = krs_reply_parser_feed(parser, (krs_str){text.ptr + at, end - at}, &sink);
        at = end;
    }
    if (status == KRS_OK) {
        status = krs_reply_parser_end(parser, &sink);
        KRS_CHECK(krs_reply_parser_n_calls(parser) == record->n_calls);
    }
    krs_reply_parser_free(parser);
    return status;
}
