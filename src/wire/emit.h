/* wire/emit.h - write a value straight into a buffer, as JSON or as MessagePack, without a tree.
 *
 * The stream of tokens is written with this: one pass, no allocation once the buffer has grown. The same
 * calls make either encoding, so nothing above knows which one a connection chose. MessagePack wants the
 * number of entries in front, which is why map and array take it; JSON ignores it.
 *
 *     krs_emit_map(&e, 1); krs_emit_key(&e, "n"); krs_emit_int(&e, 5); krs_emit_end(&e, '}');
 *
 * The first failure sticks in status and later calls do nothing; check once at the end.
 *
 * Thread: one owner.  Memory: the buffer's.  Source: RFC 8259; the MessagePack specification. */
#pragma once

#include "wire/json.h"

typedef enum krs_encoding {
    KRS_ENCODING_JSON,
    KRS_ENCODING_MSGPACK,
} krs_encoding;

typedef struct krs_emit {
    krs_buf *out;
    krs_encoding encoding;
    krs_status status;
    bool needs_comma;
} krs_emit;

static inline krs_emit krs_emit_to(krs_buf *out, krs_encoding encoding)
{
    return (krs_emit){.out = out, .encoding = encoding};
}

void krs_emit_map(krs_emit *e, uint32_t n_pairs);
void krs_emit_array(krs_emit *e, uint32_t n_items);
/* close: '}' or ']'. */
void krs_emit_end(krs_emit *e, char close);
void krs_emit_key(krs_emit *e, const char *key);
/* Broken UTF-8 becomes U+FFFD in JSON, and goes as it is in MessagePack. */
void krs_emit_str(krs_emit *e, krs_str text);
void krs_emit_int(krs_emit *e, int64_t n);
void krs_emit_uint(krs_emit *e, uint64_t n);
/* n_digits: significant ones, in JSON. What is not finite becomes null. */
void krs_emit_double(krs_emit *e, double x, int n_digits);
void krs_emit_bool(krs_emit *e, bool value);
void krs_emit_null(krs_emit *e);
/* A whole tree; NULL is null. */
void krs_emit_tree(krs_emit *e, const json_t *value);
/* Bytes that are values of this encoding already: pairs of a map, items of an array, or one value. */
void krs_emit_raw(krs_emit *e, krs_str bytes);

/* Key and value. */
void krs_emit_pair_str(krs_emit *e, const char *key, krs_str text);
void krs_emit_pair_int(krs_emit *e, const char *key, int64_t n);
void krs_emit_pair_double(krs_emit *e, const char *key, double x, int n_digits);
void krs_emit_pair_bool(krs_emit *e, const char *key, bool value);
