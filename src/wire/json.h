/* wire/json.h - JSON in and out, with limits, over jansson.
 *
 * Trees are plain jansson (json_t), whose API serves well as it is; this header adds what a server
 * needs around it: parsing with ceilings and our errors, and field readers that say which field,
 * which value, which limit. Duplicate keys are refused: two readers of one request must not see two
 * different requests.
 *
 * Thread: a tree has one owner; hand it over whole.  Memory: jansson's heap.
 * Source: RFC 8259. */
#pragma once

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

#include <jansson.h>

#define KRS_JSON_MAX_DEPTH 128 /* nesting of any document we read; real ones stay under 20 */

typedef struct krs_json_limits {
    size_t max_bytes;
    bool is_duplicate_ok; /* last one wins: for files by others, such as tokenizer.json */
} krs_json_limits;

/* Parse one value filling all of text; an integer beyond 64 bits is read as the nearest double. *out: a new
 * reference (json_decref), NULL on failure.
 * Errors: KRS_ETOOLARGE, KRS_EINVAL (with line and column), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_json_parse(krs_str text, const krs_json_limits *limits, json_t **out,
                                       krs_error *err);

/* How many values a JSON text holds, at most: read off its brackets and commas, before any tree exists.
 * A value costs up to some 150 bytes of tree however short it is, so that, not the length of the text, is
 * what bounds the memory of a text by a stranger. */
size_t krs_json_count_values(krs_str text);

/* Append value as compact JSON. Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_json_write(const json_t *value, krs_buf *out);

/* Append text as a JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
KRS_MUST_USE krs_status krs_json_write_string(krs_str text, krs_buf *out);

/* Field readers. An absent field, or null, leaves *out as it is (set your default first) and is
 * KRS_OK; a wrong type or a value out of [min, max] is KRS_EINVAL naming all of it, with err->field
 * set. An integral float (5.0) is an integer. */
KRS_MUST_USE krs_status krs_json_get_int(const json_t *object, const char *field, int64_t min,
                                         int64_t max, int64_t *out, krs_error *err);
KRS_MUST_USE krs_status krs_json_get_double(const json_t *object, const char *field, double min,
                                            double max, double *out, krs_error *err);
KRS_MUST_USE krs_status krs_json_get_bool(const json_t *object, const char *field, bool *out,
                                          krs_error *err);
/* *out: borrowed from object. */
KRS_MUST_USE krs_status krs_json_get_str(const json_t *object, const char *field, size_t max_bytes,
                                         krs_str *out, krs_error *err);
/* *out: borrowed; untouched when absent. type: JSON_OBJECT or JSON_ARRAY. */
KRS_MUST_USE krs_status krs_json_get_tree(const json_t *object, const char *field, json_type type,
                                          json_t **out, krs_error *err);
