/* server/listener.h - where connections come from: TCP, TLS over TCP, a Unix socket; several at once.
 *
 * A listener is bound when the server is opened, before any model is loaded: a port that is taken is noticed
 * at once, and who connects meanwhile waits in the system's queue. What a connection may do depends
 * on the way it came, so it keeps a pointer to its listener:
 *
 *   TCP on loopback   Host header checked (a web page may name any address as its own: DNS rebinding)
 *   TCP elsewhere     Host header checked only when names were configured
 *   Unix socket       file mode 0600 and the peer's user checked; may administrate
 *
 * Thread: opened and closed by the server's thread; immutable between, but for tls (tls.h).
 * Memory: in the server. */
#pragma once

#include "os/socket.h"
#include "server/mailbox.h"
#include "server/tls.h"

/* Which protocol is spoken there. */
typedef enum krs_listener_kind {
    KRS_LISTENER_HTTP,
    KRS_LISTENER_RPC,
} krs_listener_kind;

typedef struct krs_listener {
    krs_listener_kind kind;
    int fd; /* -1: closed */
    uint16_t port;
    bool is_unix;
    bool is_loopback;                    /* TCP that only this machine reaches */
    bool is_any_peer;                    /* Unix: do not ask who connects */
    krs_tls *tls;                        /* NULL: plain. Borrowed */
    char path[KRS_OS_SOCKET_PATH_BYTES]; /* "" unless is_unix */
} krs_listener;

/* Bind to host and port. Errors: those of krs_os_socket_listen. */
KRS_MUST_USE krs_status krs_listener_open_tcp(krs_listener *listener, const char *host,
                                              uint16_t port, krs_tls *tls, krs_error *err);

/* Bind at path. Errors: those of krs_os_socket_listen_unix. */
KRS_MUST_USE krs_status krs_listener_open_unix(krs_listener *listener, krs_listener_kind kind,
                                               const char *path, bool is_any_peer, krs_error *err);

/* Stop listening; takes the path of a Unix socket away. No-op when closed. */
void krs_listener_close(krs_listener *listener);

/* A descriptor that accept() gave: may its peer come in, and with which TLS? Fills out. False: the
 * descriptor has been closed. */
KRS_MUST_USE bool krs_listener_admit(const krs_listener *listener, int fd, krs_accepted *out);

/* Close a connection that nobody took over. */
void krs_accepted_close(krs_accepted *accepted);
