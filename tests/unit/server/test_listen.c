/* unit/server/test_listen.c - the ways in: a Unix socket beside TCP, TLS, and what may be renewed. */
#define _POSIX_C_SOURCE 200809L
#include "os/dir.h"
#include "os/socket.h"
#include "server/tls.h"
#include "server_fixture.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <sys/un.h>

typedef struct place {
    char dir[KRS_OS_PATH_BYTES];
    char socket[KRS_OS_PATH_BYTES + 16];
    char cert[KRS_OS_PATH_BYTES + 16];
    char key[KRS_OS_PATH_BYTES + 16];
} place;

static void make_place(place *p)
{
    assert_int_equal(krs_os_dir_temporary(p->dir, NULL), KRS_OK);
    (void)snprintf(p->socket, sizeof(p->socket), "%s/s", p->dir);
    (void)snprintf(p->cert, sizeof(p->cert), "%s/cert.pem", p->dir);
    (void)snprintf(p->key, sizeof(p->key), "%s/key.pem", p->dir);
}

static void drop_place(const place *p)
{
    (void)remove(p->cert);
    (void)remove(p->key);
    assert_int_equal(rmdir(p->dir), 0); /* the socket is gone with its server */
}

static client *unix_open(const char *path)
{
    client *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(c->fd >= 0);
    const struct timeval limit = {CLIENT_TIMEOUT_S, 0};
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    union {
        struct sockaddr_un path;
        struct sockaddr any;
    } to = {.path = {.sun_family = AF_UNIX}};
    (void)snprintf(to.path.sun_path, sizeof(to.path.sun_path), "%s", path);
    assert_int_equal(connect(c->fd, &to.any, sizeof(to.path)), 0);
    return c;
}

static void a_unix_socket_serves_beside_tcp(void **state)
{
    (void)state;
    place p;
    make_place(&p);
    fixture_options options = defaults();
    options.server.unix_path = p.socket;
    fixture *f = start_fixture(&options);
    struct stat at;
    assert_int_equal(stat(p.socket, &at), 0);
    assert_int_equal(at.st_mode & 0777, 0600);
    client *tcp = client_open(f->port);
    client *local = unix_open(p.socket);
    post_chat(tcp, "hi", ",\"stream\":true");
    post_chat(local, "hi", ",\"stream\":true");
    assert_non_null(strstr(expect(f, tcp, 200), "[DONE]"));
    assert_non_null(strstr(expect(f, local, 200), "[DONE]"));
    client_send(local, "GET /version HTTP/1.1\r\nHost: whatever\r\n\r\n"); /* no page comes here */
    (void)expect(f, local, 200);
    client_get(local, "GET", "/admin/models"); /* only this user could open it */
    (void)expect(f, local, 200);
    client_close(tcp);
    client_close(local);
    end_fixture(f);
    drop_place(&p);
}

/* A proxy of another user brings strangers. */
static void a_unix_socket_for_anyone_is_not_the_operators(void **state)
{
    (void)state;
    place p;
    make_place(&p);
    fixture_options options = defaults();
    options.server.unix_path = p.socket;
    options.server.is_unix_any = true;
    fixture *f = start_fixture(&options);
    client *c = unix_open(p.socket);
    client_get(c, "GET", "/v1/models");
    (void)expect(f, c, 200);
    client_get(c, "GET", "/admin/models");
    (void)expect(f, c, 403);
    client_close(c);
    end_fixture(f);
    drop_place(&p);
}

static void a_unix_socket_may_be_all_there_is(void **state)
{
    (void)state;
    place p;
    make_place(&p);
    fixture_options options = defaults();
    options.server.host = NULL;
    options.server.unix_path = p.socket;
    fixture *f = start_fixture(&options);
    assert_int_equal(krs_server_port(f->server), 0);
    client *c = unix_open(p.socket);
    post_chat(c, "hi", "");
    (void)expect(f, c, 200);
    client_close(c);
    end_fixture(f);
    drop_place(&p);
}

static krs_status open_at(const char *path)
{
    int fd = -1;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_os_socket_listen_unix(path, &fd, &err);
    krs_os_socket_close(fd); /* and leave the path, as a killed server does */
    return status;
}

static void a_stale_socket_is_replaced_and_nothing_else(void **state)
{
    (void)state;
    place p;
    make_place(&p);
    assert_int_equal(open_at(p.socket), KRS_OK);
    assert_int_equal(open_at(p.socket), KRS_OK); /* nobody listens there any more */
    fixture_options options = defaults();
    options.server.unix_path = p.socket;
    fixture *f = start_fixture(&options);
    assert_int_equal(open_at(p.socket), KRS_EEXIST); /* somebody does */
    end_fixture(f);
    FILE *file = fopen(p.socket, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(open_at(p.socket), KRS_EEXIST);
    assert_int_equal(remove(p.socket), 0); /* the file was still there */
    assert_int_equal(open_at("/no/such/folder/s"), KRS_EIO);
    char longer[200];
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(open_at(longer), KRS_EINVAL);
    drop_place(&p);
}

/* A certificate for "localhost" with its key, made anew; serial tells one from the next. */
static void write_certificate(const place *p, long serial)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    assert_true(key && x);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
    (void)X509_gmtime_adj(X509_getm_notBefore(x), -60);
    (void)X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    (void)X509_set_pubkey(x, key);
    X509_NAME *name = X509_get_subject_name(x);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
                                     -1, -1, 0);
    (void)X509_set_issuer_name(x, name);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    FILE *cert_file = fopen(p->cert, "w");
    FILE *key_file = fopen(p->key, "w");
    assert_true(cert_file && key_file);
    assert_int_equal(PEM_write_X509(cert_file, x), 1);
    assert_int_equal(PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(cert_file) | fclose(key_file), 0);
    X509_free(x);
    EVP_PKEY_free(key);
}

/* A client of TLS; NULL when the handshake failed. */
static SSL *tls_open(const fixture *f, client **c, int max_version)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_non_null(context);
    SSL_CTX_set_security_level(context, 0); /* so that old versions may be tried at all */
    (void)SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    (void)SSL_CTX_set_max_proto_version(context, max_version);
    *c = client_open(f->port);
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context);
    assert_non_null(ssl);
    (void)SSL_set_fd(ssl, (*c)->fd);
    if (SSL_connect(ssl) == 1) {
        return ssl;
    }
    SSL_free(ssl);
    return NULL;
}

/* Send, and read until `until` has come; the whole of what was read lies in c->in. */
static void tls_talk(SSL *ssl, client *c, const char *request, const char *until)
{
    assert_int_equal(SSL_write(ssl, request, (int)strlen(request)), (int)strlen(request));
    while (!strstr(c->in, until)) {
        const int n = SSL_read(ssl, c->in + c->n_in, (int)(CLIENT_MAX_BYTES - c->n_in));
        assert_true(n > 0);
        c->n_in += (size_t)n;
        c->in[c->n_in] = '\0';
    }
}

static long serial_of(const SSL *ssl)
{
    X509 *x = SSL_get1_peer_certificate(ssl);
    assert_non_null(x);
    const long serial = ASN1_INTEGER_get(X509_get0_serialNumber(x));
    X509_free(x);
    return serial;
}

static void tls_close(SSL *ssl, client *c)
{
    SSL_free(ssl);
    client_close(c);
}

static fixture *start_tls(place *p)
{
    make_place(p);
    write_certificate(p, 1);
    fixture_options options = defaults();
    options.server.tls_cert = p->cert;
    options.server.tls_key = p->key;
    return start_fixture(&options);
}

static void tls_carries_requests_and_streams(void **state)
{
    (void)state;
    place p;
    fixture *f = start_tls(&p);
    client *c = NULL;
    SSL *ssl = tls_open(f, &c, TLS1_3_VERSION);
    assert_non_null(ssl);
    assert_int_equal(SSL_version(ssl), TLS1_3_VERSION);
    tls_talk(ssl, c, "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n", "9.9.9");
    char body[256];
    char request[512];
    chat_body(body, sizeof(body), "long", ",\"stream\":true,\"max_tokens\":300");
    (void)snprintf(request, sizeof(request),
                   "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                   "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                   strlen(body), body);
    tls_talk(ssl, c, request, "data: [DONE]");
    for (int i = 0; i < 300; i++) {
        char want[32];
        (void)snprintf(want, sizeof(want), "\"w%d \"", i);
        assert_non_null(strstr(c->in, want));
    }
    /* The end is said in TLS too: a cut could not be told from it otherwise. */
    char rest[64];
    int n = 1;
    while (n > 0) {
        n = SSL_read(ssl, rest, sizeof(rest));
    }
    assert_int_equal(SSL_get_error(ssl, n), SSL_ERROR_ZERO_RETURN);
    tls_close(ssl, c);
    end_fixture(f);
    drop_place(&p);
}

static void old_versions_and_plain_text_are_refused(void **state)
{
    (void)state;
    place p;
    fixture *f = start_tls(&p);
    client *c = NULL;
    assert_null(tls_open(f, &c, TLS1_1_VERSION));
    client_close(c);
    SSL *ssl = tls_open(f, &c, TLS1_2_VERSION);
    assert_non_null(ssl);
    tls_close(ssl, c);
    c = client_open(f->port);
    client_get(c, "GET", "/version");
    while (client_more(c)) { /* an alert at most */
    }
    assert_null(strstr(c->in, "HTTP/1.1"));
    client_close(c);
    end_fixture(f);
    drop_place(&p);
}

static void a_paused_reader_of_tls_loses_nothing(void **state)
{
    (void)state;
    place p;
    make_place(&p);
    write_certificate(&p, 1);
    fixture_options options = defaults();
    options.step_ns = 20000;
    options.server.tls_cert = p.cert;
    options.server.tls_key = p.key;
    fixture *f = start_fixture(&options);
    client *c = NULL;
    SSL *ssl = tls_open(f, &c, TLS1_3_VERSION);
    assert_non_null(ssl);
    char body[256];
    char request[512];
    chat_body(body, sizeof(body), "long", ",\"stream\":true,\"max_tokens\":4000");
    (void)snprintf(request, sizeof(request),
                   "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\n"
                   "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                   strlen(body), body);
    assert_true(SSL_write(ssl, request, (int)strlen(request)) > 0);
    wait_for(&f->fake->n_pauses, 1);
    tls_talk(ssl, c, "", "data: [DONE]");
    assert_non_null(strstr(c->in, "\"w3999 \""));
    tls_close(ssl, c);
    end_fixture(f);
    drop_place(&p);
}

static void nobody_is_asked_for_a_keys_passphrase(void **state)
{
    (void)state;
    place p;
    make_place(&p);
    write_certificate(&p, 1);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *file = fopen(p.key, "wb");
    assert_true(key && file);
    static const unsigned char secret[] = "open sesame";
    assert_int_equal(PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), secret,
                                          (int)sizeof(secret) - 1, NULL, NULL),
                     1);
    (void)fclose(file);
    EVP_PKEY_free(key);
    krs_tls *tls;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_tls_open(p.cert, p.key, NULL, &tls, &err), KRS_EFORMAT);
    assert_string_equal(err.field, "tls-key");
    assert_non_null(strstr(err.message, "PEM without a passphrase"));
    assert_null(strstr(err.message, "UI routines")); /* OpenSSL's questions at the terminal */
    drop_place(&p);
}

static void the_certificate_is_read_again_on_reload(void **state)
{
    (void)state;
    place p;
    fixture *f = start_tls(&p);
    client *old_client = NULL;
    SSL *old = tls_open(f, &old_client, TLS1_3_VERSION);
    assert_non_null(old);
    assert_int_equal(serial_of(old), 1);
    write_certificate(&p, 2);
    krs_server_reload(f->server);
    const uint64_t deadline_ns = krs_os_now_ns() + WAIT_NS;
    long serial = 0;
    while (serial != 2) {
        assert_true(krs_os_now_ns() < deadline_ns);
        client *c = NULL;
        SSL *ssl = tls_open(f, &c, TLS1_3_VERSION);
        assert_non_null(ssl);
        serial = serial_of(ssl);
        tls_close(ssl, c);
    }
    FILE *file = fopen(p.key, "w"); /* what does not fit together changes nothing */
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    krs_server_reload(f->server);
    tls_talk(old, old_client, "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n", "9.9.9");
    client *c = NULL;
    SSL *ssl = tls_open(f, &c, TLS1_3_VERSION);
    assert_non_null(ssl);
    assert_int_equal(serial_of(ssl), 2);
    tls_close(ssl, c);
    tls_close(old, old_client);
    end_fixture(f);
    drop_place(&p);
}

static void faulty_certificates_are_refused_at_open(void **state)
{
    (void)state;
    place p;
    make_place(&p);
    write_certificate(&p, 1);
    krs_server_options options = defaults().server;
    krs_server *server = NULL;
    krs_error err = KRS_ERROR_INIT;
    options.tls_cert = p.cert;
    assert_int_equal(krs_server_open(&options, NULL, NULL, &server, &err), KRS_EINVAL);
    assert_string_equal(err.field, "tls-cert");
    options.tls_key = p.cert; /* holds no key */
    assert_int_equal(krs_server_open(&options, NULL, NULL, &server, &err), KRS_EFORMAT);
    assert_string_equal(err.field, "tls-key");
    options.tls_cert = "/no/such/file";
    assert_int_equal(krs_server_open(&options, NULL, NULL, &server, &err), KRS_EFORMAT);
    assert_null(server);
    drop_place(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unix_socket_serves_beside_tcp),
        cmocka_unit_test(a_unix_socket_for_anyone_is_not_the_operators),
        cmocka_unit_test(a_unix_socket_may_be_all_there_is),
        cmocka_unit_test(a_stale_socket_is_replaced_and_nothing_else),
        cmocka_unit_test(tls_carries_requests_and_streams),
        cmocka_unit_test(old_versions_and_plain_text_are_refused),
        cmocka_unit_test(a_paused_reader_of_tls_loses_nothing),
        cmocka_unit_test(nobody_is_asked_for_a_keys_passphrase),
        cmocka_unit_test(the_certificate_is_read_again_on_reload),
        cmocka_unit_test(faulty_certificates_are_refused_at_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
