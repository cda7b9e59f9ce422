/* server/listener.c - see listener.h. */
#include "server/listener.h"

#include <string.h>

krs_status krs_listener_open_tcp(krs_listener *listener, const char *host, uint16_t port,
                                 krs_tls *tls, krs_error *err)
{
    *listener = (krs_listener){.kind = KRS_LISTENER_HTTP, .fd = -1, .tls = tls};
    const krs_status status = krs_os_socket_listen(host, port, &listener->fd, &listener->port, err);
    listener->is_loopback = status == KRS_OK && krs_os_socket_is_loopback(listener->fd);
    return status;
}

krs_status krs_listener_open_unix(krs_listener *listener, krs_listener_kind kind, const char *path,
                                  bool is_any_peer, krs_error *err)
{
    *listener = (krs_listener){.kind = kind, .fd = -1, .is_unix = true, .is_any_peer = is_any_peer};
    const krs_status status = krs_os_socket_listen_unix(path, &listener->fd, err);
    if (status == KRS_OK) {
        memcpy(listener->path, path, strlen(path) + 1);
    }
    return status;
}

void krs_listener_close(krs_listener *listener)
{
    if (listener->fd < 0) {
        return;
    }
    if (listener->is_unix) {
        krs_os_socket_unlink(listener->fd, listener->path);
    }
    krs_os_socket_close(listener->fd);
    listener->fd = -1;
}

bool krs_listener_admit(const krs_listener *listener, int fd, krs_accepted *out)
{
    *out = (krs_accepted){.fd = fd, .listener = listener};
    bool is_welcome = !listener->is_unix || listener->is_any_peer || krs_os_socket_is_same_user(fd);
    if (is_welcome && listener->tls) {
        out->ssl = krs_tls_new_session(listener->tls);
        is_welcome = out->ssl != NULL;
    }
    if (!is_welcome) {
        krs_os_socket_close(fd);
    }
    return is_welcome;
}

void krs_accepted_close(krs_accepted *accepted)
{
    krs_tls_free_session(accepted->ssl);
    krs_os_socket_close(accepted->fd);
    *accepted = (krs_accepted){.fd = -1};
}
