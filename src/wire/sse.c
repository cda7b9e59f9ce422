/* wire/sse.c - see sse.h. */
#include "wire/sse.h"

static bool has_line_end(krs_str text)
{
    return text.len > 0 && (memchr(text.ptr, '\n', text.len) || memchr(text.ptr, '\r', text.len));
}

/* Bytes of the first line of text; *n_end is its line end's length, 0 at the end of text. */
static size_t first_line(krs_str text, size_t *n_end)
{
    size_t n = 0;
    while (n < text.len && text.ptr[n] != '\n' && text.ptr[n] != '\r') {
        n++;
    }
    *n_end = n == text.len                                                        ? 0
             : text.ptr[n] == '\r' && n + 1 < text.len && text.ptr[n + 1] == '\n' ? 2
                                                                                  : 1;
    return n;
}

/* "prefix" text "\n" */
static krs_status append_line(krs_buf *out, krs_str prefix, krs_str text)
{
    krs_status status = krs_buf_append_str(out, prefix);
    if (status == KRS_OK) {
        status = krs_buf_append_str(out, text);
    }
    return status == KRS_OK ? krs_buf_append_char(out, '\n') : status;
}

static krs_status append_data(krs_buf *out, krs_str data)
{
    krs_status status = KRS_OK;
    size_t n_end;
    do {
        const size_t n = first_line(data, &n_end);
        status = append_line(out, KRS_STR("data: "), (krs_str){data.ptr, n});
        if (n_end > 0) {
            data = (krs_str){data.ptr + n + n_end, data.len - n - n_end};
        }
    } while (status == KRS_OK && n_end > 0);
    return status;
}

static krs_status undo_unless_ok(krs_buf *out, size_t before, krs_status status)
{
    if (status != KRS_OK && out->data) {
        out->len = before;
        out->data[before] = '\0';
    }
    return status;
}

krs_status krs_sse_append(krs_buf *out, const char *name, krs_str data)
{
    const size_t before = out->len;
    const krs_str event = krs_str_of(name);
    if (has_line_end(event)) {
        return KRS_EINVAL;
    }
    krs_status status = event.len > 0 ? append_line(out, KRS_STR("event: "), event) : KRS_OK;
    if (status == KRS_OK) {
        status = append_data(out, data);
    }
    if (status == KRS_OK) {
        status = krs_buf_append_char(out, '\n');
    }
    return undo_unless_ok(out, before, status);
}

krs_status krs_sse_append_comment(krs_buf *out, krs_str text)
{
    const size_t before = out->len;
    if (has_line_end(text)) {
        return KRS_EINVAL;
    }
    return undo_unless_ok(out, before, append_line(out, KRS_STR(": "), text));
}
