/* wire/msgpack.h - MessagePack in and out, with limits, over msgpack-c.
 *
 * Writing goes straight into a buffer and allocates nothing else. Reading makes the same tree that JSON
 * makes, so everything above knows one kind of request. A text is looked over before the library sees
 * it: msgpack-c takes memory for as many entries as a header claims, and five bytes may claim four
 * billion.
 *
 * Deliberately absent: extension types and binary strings that are not UTF-8 (refused), maps whose keys
 * are not strings (refused), duplicate keys (refused, as in JSON).
 *
 * Thread: any.  Memory: trees are jansson's; the library's zone lives during the call.
 * Source: github.com/msgpack/msgpack, spec.md. */
#pragma once

#include "wire/json.h"

#define KRS_MSGPACK_MAX_DEPTH 32 /* nesting of what is read: the stack that msgpack-c has */

/* One value filling all of bytes, as a tree (json_decref). Errors: KRS_EINVAL (broken, too deep, or
 * something JSON does not have), KRS_ETOOLARGE (more than max_values), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_msgpack_parse(krs_str bytes, size_t max_values, json_t **out,
                                          krs_error *err);

/* Append one value, or the head of a container. Errors: those of krs_buf. */
KRS_MUST_USE krs_status krs_msgpack_put_map(krs_buf *out, uint32_t n_pairs);
KRS_MUST_USE krs_status krs_msgpack_put_array(krs_buf *out, uint32_t n_items);
/* Bytes that are no UTF-8, such as a token's part of a character, become U+FFFD: readers refuse a whole message
 * for one of them. */
KRS_MUST_USE krs_status krs_msgpack_put_str(krs_buf *out, krs_str text);
KRS_MUST_USE krs_status krs_msgpack_put_uint(krs_buf *out, uint64_t n);
KRS_MUST_USE krs_status krs_msgpack_put_int(krs_buf *out, int64_t n);
KRS_MUST_USE krs_status krs_msgpack_put_double(krs_buf *out, double x);
KRS_MUST_USE krs_status krs_msgpack_put_bool(krs_buf *out, bool value);
KRS_MUST_USE krs_status krs_msgpack_put_nil(krs_buf *out);
/* Trees are no deeper than KRS_JSON_MAX_DEPTH: whoever made them saw to that. */
KRS_MUST_USE krs_status krs_msgpack_put_tree(krs_buf *out, const json_t *value);
