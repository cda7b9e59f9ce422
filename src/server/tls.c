/* server/tls.c - see tls.h. */
#include "server/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#define REASON_BYTES 160

struct krs_tls {
    const krs_alloc *alloc;
    const char *cert_path;
    const char *key_path;
    SSL_CTX *context;
};

/* OpenSSL keeps a queue of reasons for each thread; the first is where it began. */
static krs_status fail_openssl(krs_error *err, const char *field, const char *path,
                               const char *wanted)
{
    char reason[REASON_BYTES];
    ERR_error_string_n(ERR_peek_error(), reason, sizeof(reason));
    ERR_clear_error();
    return krs_fail_field(err, KRS_EFORMAT, field, "%s: \"%s\": want %s: %s", field, path, wanted,
                          reason);
}

static krs_status load(SSL_CTX *context, const krs_tls *tls, krs_error *err)
{
    if (SSL_CTX_use_certificate_chain_file(context, tls->cert_path) != 1) {
        return fail_openssl(err, "tls-cert", tls->cert_path, "a certificate chain, PEM");
    }
    if (SSL_CTX_use_PrivateKey_file(context, tls->key_path, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return fail_openssl(err, "tls-key", tls->key_path,
                            "the certificate's private key, PEM without a passphrase");
    }
    return KRS_OK;
}

/* Without this OpenSSL asks at the terminal, and a reload would hold all connections until someone answers. */
static int no_passphrase(char *out, int size, int is_writing, void *ctx)
{
    (void)out;
    (void)size;
    (void)is_writing;
    (void)ctx;
    return -1;
}

static SSL_CTX *new_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context) {
        return NULL;
    }
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* What could not be written is offered again from where libevent keeps it by then. */
    (void)SSL_CTX_set_mode(context,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return context;
}

krs_status krs_tls_reload(krs_tls *tls, krs_error *err)
{
    ERR_clear_error();
    SSL_CTX *context = new_context();
    if (!context) {
        return krs_fail(err, KRS_ENOMEM, "tls: no memory");
    }
    const krs_status status = load(context, tls, err);
    if (status != KRS_OK) {
        SSL_CTX_free(context);
        return status;
    }
    SSL_CTX_free(tls->context); /* counted: sessions made with it keep it */
    tls->context = context;
    return KRS_OK;
}

krs_status krs_tls_open(const char *cert_path, const char *key_path, const krs_alloc *alloc,
                        krs_tls **out, krs_error *err)
{
    *out = NULL;
    if (!cert_path || !key_path) {
        const char *given = cert_path ? "tls-cert" : "tls-key";
        return krs_fail_field(err, KRS_EINVAL, given, "%s: needs %s beside it", given,
                              cert_path ? "tls-key" : "tls-cert");
    }
    krs_tls *tls = krs_alloc_zero(alloc, sizeof(*tls));
    if (!tls) {
        return krs_fail(err, KRS_ENOMEM, "tls: no memory");
    }
    *tls = (krs_tls){.alloc = alloc, .cert_path = cert_path, .key_path = key_path};
    const krs_status status = krs_tls_reload(tls, err);
    if (status != KRS_OK) {
        krs_tls_close(tls);
        return status;
    }
    *out = tls;
    return KRS_OK;
}

void krs_tls_close(krs_tls *tls)
{
    if (tls) {
        SSL_CTX_free(tls->context);
        krs_alloc_free(tls->alloc, tls);
    }
}

struct ssl_st *krs_tls_new_session(const krs_tls *tls)
{
    return SSL_new(tls->context);
}

void krs_tls_free_session(struct ssl_st *session)
{
    SSL_free(session);
}

void krs_tls_end_output(struct ssl_st *session)
{
    if (session) {
        (void)SSL_shutdown(session);
        ERR_clear_error();
    }
}
