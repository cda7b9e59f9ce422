/* wire/jsonrpc.h - JSON-RPC 2.0 messages in a stream of bytes.
 *
 *   bytes --krs_framer_next--> one message --krs_rpc_parse--> method, params, id
 *
 * Framing: one line is one message, or (chosen at connect) 4 bytes of length, big-endian, and MessagePack.
 * The limit counts bytes of one message and is checked before they are kept. Of a message beyond it
 * only its first and last bytes are, and they are enough to find the id, so that its caller is told
 * instead of waiting for ever: the client we are compatible with writes the id last, others write it
 * early.
 *
 * Thread: one owner.  Memory: one buffer, up to the limit, reused.
 * Source: JSON-RPC 2.0 specification; github.com/msgpack/msgpack, spec.md. */
#pragma once

#include "wire/emit.h"

#define KRS_RPC_MAX_MESSAGE_BYTES (1u << 20) /* the contract's; bytes without the line's end */
#define KRS_RPC_MAX_VALUES        (1u << 18) /* of one message: each costs up to 150 bytes of tree */
#define KRS_RPC_MAX_ID_BYTES      256        /* of an id that is a string */
#define KRS_RPC_EDGE_BYTES        512        /* kept of either end of a message that is too long */

/* Codes of JSON-RPC itself; those of methods come from status.def. */
#define KRS_RPC_PARSE_ERROR     (-32700)
#define KRS_RPC_INVALID_REQUEST (-32600)

typedef struct krs_framer {
    krs_encoding encoding;
    size_t max_bytes;
    krs_buf body;
    size_t n_seen;     /* bytes of the current message so far */
    size_t n_expected; /* MessagePack: its length, once known */
    uint8_t prefix[4];
    uint8_t n_prefix;
    krs_status status; /* KRS_OK, or why the current message is being dropped */
    size_t n_head;
    size_t n_tail;
    char head[KRS_RPC_EDGE_BYTES];
    char tail[KRS_RPC_EDGE_BYTES];
} krs_framer;

typedef struct krs_frame {
    krs_status status; /* KRS_OK; KRS_ETOOLARGE or KRS_ENOMEM: dropped, and only id is known */
    krs_str message;   /* valid until the next call */
    json_t *id;        /* of a dropped message: a new reference, or NULL when it was not found */
} krs_frame;

void krs_framer_init(krs_framer *framer, size_t max_bytes, const krs_alloc *alloc);
void krs_framer_deinit(krs_framer *framer);

/* Cut the next message off *input (which moves forward). False: all of it was used, and more is needed.
 * Blank lines are no messages. Never fails: what cannot be kept is told as a dropped message. */
bool krs_framer_next(krs_framer *framer, krs_str *input, krs_frame *out);

/* The id near the beginning (or, failing that, at the end) of a message of which only the edges are
 * known; of longer texts only the edges are looked at. A new reference, or NULL. */
json_t *krs_rpc_find_id(krs_encoding encoding, krs_str head, krs_str tail);

typedef struct krs_rpc_call {
    json_t *root; /* owns the rest */
    krs_str method;
    json_t *params; /* NULL when absent; borrowed */
    json_t *id;     /* borrowed; NULL: a notification */
} krs_rpc_call;

/* Errors: KRS_EFORMAT (not JSON: -32700), KRS_EINVAL (not a request: -32600; *out then still holds the
 * id if there is one), KRS_ENOMEM. json_decref(out->root) in every case. */
KRS_MUST_USE krs_status krs_rpc_parse(krs_encoding encoding, krs_str message, krs_rpc_call *out,
                                      krs_error *err);

/* Begin a message of n_pairs pairs (jsonrpc is one of them and is written) at the end of e->out; _close ends
 * it, or takes everything back when e->status is not KRS_OK and returns that. */
KRS_MUST_USE size_t krs_rpc_open(krs_emit *e, uint32_t n_pairs);
KRS_MUST_USE krs_status krs_rpc_close(krs_emit *e, size_t start);
