/* bench/load/answer.c - see answer.h. */
#define _POSIX_C_SOURCE 200809L /* strncasecmp */
#include "answer.h"

#include <stdlib.h>
#include <strings.h>

void load_answer_init(load_answer *a)
{
    *a = (load_answer){.state = LOAD_ANSWER_HEAD};
    krs_buf_init(&a->raw, NULL, LOAD_ANSWER_MAX_BYTES);
    krs_buf_init(&a->event, NULL, LOAD_ANSWER_MAX_BYTES);
}

void load_answer_deinit(load_answer *a)
{
    krs_buf_deinit(&a->raw);
    krs_buf_deinit(&a->event);
}

void load_answer_reset(load_answer *a)
{
    krs_buf raw = a->raw;
    krs_buf event = a->event;
    krs_buf_reset(&raw);
    krs_buf_reset(&event);
    *a = (load_answer){.state = LOAD_ANSWER_HEAD, .raw = raw, .event = event};
}

static void fail(load_answer *a, const char *why)
{
    a->state = LOAD_ANSWER_BAD;
    a->bad = why;
}

/* Value of a header of the head (NUL-terminated), or NULL. */
static const char *header(const char *head, const char *name)
{
    const size_t n = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':') {
            return line + 3 + n + strspn(line + 3 + n, " ");
        }
    }
    return NULL;
}

static bool says(const char *value, const char *word)
{
    return value && strncasecmp(value, word, strlen(word)) == 0;
}

static void read_head(load_answer *a, const char *head)
{
    if (strncmp(head, "HTTP/1.1 ", 9) != 0) {
        fail(a, "no HTTP/1.1 response");
        return;
    }
    a->http_status = (int)strtol(head + 9, NULL, 10);
    const char *retry = header(head, "Retry-After");
    a->retry_after = retry ? (uint32_t)strtoul(retry, NULL, 10) : 0;
    a->is_events = says(header(head, "Content-Type"), "text/event-stream");
    a->will_close = says(header(head, "Connection"), "close");
    if (says(header(head, "Transfer-Encoding"), "chunked")) {
        a->state = LOAD_ANSWER_SIZE;
        return;
    }
    const char *length = header(head, "Content-Length");
    if (!length) {
        fail(a, "neither chunked nor with a length");
        return;
    }
    a->left = (size_t)strtoull(length, NULL, 10);
    a->state = a->left > 0 ? LOAD_ANSWER_BODY : LOAD_ANSWER_END;
}

/* The `data` line of an event, or nothing for a comment. */
static bool end_event(load_answer *a, krs_str event, load_on_event on_event, void *ctx)
{
    const krs_str mark = KRS_STR("data: ");
    bool goes_on = true;
    if (krs_str_starts_with(event, mark) && !memchr(event.ptr, '\n', event.len)) {
        goes_on = on_event(ctx, (krs_str){event.ptr + mark.len, event.len - mark.len});
    } else if (!krs_str_starts_with(event, KRS_STR(":"))) {
        fail(a, "an event is not one line of data");
    }
    return goes_on;
}

static void take_events(load_answer *a, krs_str bytes, load_on_event on_event, void *ctx)
{
    if (krs_buf_append_str(&a->event, bytes) != KRS_OK) {
        fail(a, "an event is too long");
        return;
    }
    size_t begin = 0;
    size_t end;
    const krs_str all = krs_buf_view(&a->event);
    while (a->is_events && a->state != LOAD_ANSWER_BAD &&
           (end = krs_str_find(all, KRS_STR("\n\n"), begin)) != SIZE_MAX) {
        const krs_str event = {all.ptr + begin, end - begin};
        begin = end_event(a, event, on_event, ctx) ? end + 2 : all.len;
    }
    if (begin > 0) {
        krs_buf_consume(&a->event, begin);
    }
}

/* Take what belongs to the chunk or body; returns how much that was. */
static size_t take_data(load_answer *a, krs_str bytes, load_on_event on_event, void *ctx)
{
    const size_t n = bytes.len < a->left ? bytes.len : a->left;
    a->left -= n;
    const load_answer_state next =
        a->state == LOAD_ANSWER_DATA ? LOAD_ANSWER_BREAK : LOAD_ANSWER_END;
    take_events(a, (krs_str){bytes.ptr, n}, on_event, ctx);
    if (a->left == 0 && a->state != LOAD_ANSWER_BAD) {
        a->state = next;
    }
    return n;
}

/* A line of the chunked coding, without its end. */
static void take_line(load_answer *a, const char *line)
{
    char *end = NULL;
    switch (a->state) {
    case LOAD_ANSWER_SIZE:
        a->left = (size_t)strtoull(line, &end, 16);
        if (end == line || *end) {
            fail(a, "a chunk without a size");
        } else {
            a->state = a->left > 0 ? LOAD_ANSWER_DATA : LOAD_ANSWER_TRAILER;
        }
        break;
    case LOAD_ANSWER_BREAK:
        a->state = LOAD_ANSWER_SIZE;
        if (*line) {
            fail(a, "a chunk longer than its size");
        }
        break;
    default: /* TRAILER: lines until an empty one */
        a->state = *line ? a->state : LOAD_ANSWER_END;
    }
}

/* Collect the head or a line; returns how many bytes were used. */
static size_t take_control(load_answer *a, krs_str bytes)
{
    const krs_str mark = a->state == LOAD_ANSWER_HEAD ? KRS_STR("\r\n\r\n") : KRS_STR("\r\n");
    const size_t had = a->raw.len;
    if (krs_buf_append_str(&a->raw, bytes) != KRS_OK) {
        fail(a, "a head or line is too long");
        return bytes.len;
    }
    const size_t end = krs_str_find(krs_buf_view(&a->raw), mark, had < 3 ? 0 : had - 3);
    if (end == SIZE_MAX) {
        return bytes.len;
    }
    a->raw.data[end] = '\0';
    const size_t used = end + mark.len - had;
    if (a->state == LOAD_ANSWER_HEAD) {
        read_head(a, a->raw.data);
    } else {
        take_line(a, a->raw.data);
    }
    krs_buf_reset(&a->raw);
    return used;
}

void load_answer_feed(load_answer *a, krs_str bytes, load_on_event on_event, void *ctx)
{
    while (bytes.len > 0 && a->state != LOAD_ANSWER_BAD && a->state != LOAD_ANSWER_END) {
        const bool is_data = a->state == LOAD_ANSWER_DATA || a->state == LOAD_ANSWER_BODY;
        const size_t used = is_data ? take_data(a, bytes, on_event, ctx) : take_control(a, bytes);
        bytes = (krs_str){bytes.ptr + used, bytes.len - used};
    }
    if (bytes.len > 0 && a->state == LOAD_ANSWER_END) {
        fail(a, "bytes behind the end of the response");
    }
}
