/* server/tls.h - the certificate, and sessions made with it.
 *
 * TLS 1.2 and 1.3 with OpenSSL's own choice of ciphers. A certificate is renewed while the server runs:
 * the files are read again on SIGHUP, sessions made after that use the new one, running ones keep
 * theirs. A pair of files that does not fit together changes nothing.
 * Deliberately absent: client certificates, session tickets shared between processes.
 *
 * Thread: open, reload, new_session and close by the server's thread; a session belongs to the
 * connection's io thread.  Memory: OpenSSL's heap.
 * Source: RFC 8446, RFC 5246; SSL_CTX_new(3). */
#pragma once

#include "base/alloc.h"

typedef struct krs_tls krs_tls;
struct ssl_st;

/* Read a certificate chain and its private key, both PEM. The paths are borrowed and outlive it.
 * Errors: KRS_EINVAL (one without the other), KRS_EFORMAT (unreadable, no PEM, key of another
 * certificate or under a passphrase; OpenSSL's reason), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_tls_open(const char *cert_path, const char *key_path,
                                     const krs_alloc *alloc, krs_tls **out, krs_error *err);
void krs_tls_close(krs_tls *tls);

/* Read both files again. On failure the old ones stay in use. Same errors. */
KRS_MUST_USE krs_status krs_tls_reload(krs_tls *tls, krs_error *err);

/* The server's side of one connection, or NULL without memory. */
struct ssl_st *krs_tls_new_session(const krs_tls *tls);
void krs_tls_free_session(struct ssl_st *session);

/* Tell the peer that nothing follows, so that it can tell an end from a cut. Best effort. */
void krs_tls_end_output(struct ssl_st *session);
