/* front/writer.h - JSON written piece by piece, straight into a buffer.
 *
 * An answer is written for every token of every stream, so no tree is built: a writer remembers the first
 * failure, and an object reads as the list of its pieces. Text goes through one escaper, numbers through
 * one formatter; everything else is a literal of ours.
 *
 * Thread: one owner.  Memory: the buffer's; none of its own. */
#pragma once

#include "base/buf.h"
#include "wire/json.h"

typedef struct krs_writer {
    krs_buf *out;
    krs_status status; /* KRS_OK, or why nothing more is written */
} krs_writer;

/* Bytes as they are. */
static inline void krs_put(krs_writer *w, krs_str text)
{
    if (w->status == KRS_OK) {
        w->status = krs_buf_append_str(w->out, text);
    }
}

/* A JSON string with its quotes. */
static inline void krs_put_string(krs_writer *w, krs_str text)
{
    if (w->status == KRS_OK) {
        w->status = krs_json_write_string(text, w->out);
    }
}

/* As krs_put_string, or null for an empty text. */
static inline void krs_put_string_or_null(krs_writer *w, krs_str text)
{
    if (text.len > 0) {
        krs_put_string(w, text);
    } else {
        krs_put(w, KRS_STR("null"));
    }
}

/* A whole number in decimal. */
void krs_put_number(krs_writer *w, uint64_t n);

/* A real number with so many significant digits (up to 17); what JSON cannot say (NaN, infinity) becomes null. */
void krs_put_real(krs_writer *w, double x, int n_digits);

static inline void krs_put_bool(krs_writer *w, bool truth)
{
    krs_put(w, truth ? KRS_STR("true") : KRS_STR("false"));
}

/* A tree that came with the request. Not for every token: jansson allocates. */
static inline void krs_put_tree(krs_writer *w, const json_t *tree)
{
    if (w->status == KRS_OK) {
        w->status = krs_json_write(tree, w->out);
    }
}
