/* server/rpc_peer.h - JSON-RPC connections on an io thread: a Unix socket's, or our own standard streams.
 *
 *   descriptor --read--> krs_rpc_session (front/rpc.h) --output--> descriptor
 *                              ^--- streams of this io thread; posts of other threads, through the hub
 *
 * A hub is what all RPC connections of an io thread share: the desk and the list of posts. It is made with the
 * first connection; all of them live on one thread, so there is one.
 *
 * The client that `krs stdio` is compatible with dies when more than 64 KiB of unread and unfinished output lie
 * before it. So there the system may hold 16 KiB, and no line is longer than KRS_STDIO_LINE_BYTES: the two
 * together stay below. What does not fit waits with us, and pauses the streams it belongs to.
 *
 * Thread: the io's, but for krs_rpc_hub posting.  Memory: the server's allocator. */
#pragma once

#include "front/rpc.h"
#include "server/listener.h"

#define KRS_STDIO_LINE_BYTES (40u << 10)
#define KRS_STDIO_SEND_BYTES (8 << 10) /* Linux doubles it, and lets one piece in on top: 24 KiB */
#define KRS_RPC_READ_BYTES   (64u << 10) /* at once; what a socket holds */
#define KRS_RPC_GRACE_MS     2000 /* to send what is left, after shutdown or the end of input */

struct krs_io;
typedef struct krs_rpc_hub krs_rpc_hub;

/* Take over a connection; on failure it is closed. */
void krs_rpc_peer_open(struct krs_io *io, krs_accepted *accepted);

/* Our standard input and output, before the io thread runs. When it ends the server is stopped.
 * Errors: KRS_ENOMEM, KRS_EIO. */
KRS_MUST_USE krs_status krs_rpc_peer_open_stdio(struct krs_io *io, krs_error *err);

/* What an io thread does with such a peer. */
extern const struct krs_peer_ops krs_rpc_peer_ops;

/* rpc_hub.c: the io's hub, made when there is none. NULL: no memory, or no descriptor. */
krs_rpc_hub *krs_rpc_hub_of(struct krs_io *io, krs_error *err);
krs_rpc_desk *krs_rpc_hub_desk(const krs_rpc_hub *hub);
/* [KRS_RPC_READ_BYTES], for whoever reads now. */
char *krs_rpc_hub_input(krs_rpc_hub *hub);
/* Every peer is gone, every load has ended. NULL is a no-op. */
void krs_rpc_hub_free(krs_rpc_hub *hub);
