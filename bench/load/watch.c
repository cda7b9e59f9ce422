/* bench/load/watch.c - see watch.h. */
#define _GNU_SOURCE /* SOCK_NONBLOCK, clock_getcpuclockid */
#include "watch.h"

#include "answer.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define METRICS_BYTES     (256u << 10)
#define METRICS_TIMEOUT_S 10

typedef union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_un un;
} address;

/* false: no such address. host is numeric: the generator times a server, not a resolver. */
static bool address_of(const load_options *options, address *out, socklen_t *n)
{
    *out = (address){.in = {.sin_family = AF_INET, .sin_port = htons(options->port)}};
    *n = sizeof(out->in);
    if (!options->unix_path) {
        return inet_pton(AF_INET, options->host, &out->in.sin_addr) == 1;
    }
    *out = (address){.un = {.sun_family = AF_UNIX}};
    *n = sizeof(out->un);
    const size_t length = strlen(options->unix_path);
    if (length >= sizeof(out->un.sun_path)) {
        return false;
    }
    memcpy(out->un.sun_path, options->unix_path, length + 1);
    return true;
}

int load_connect(const load_options *options, bool is_blocking, int rcvbuf)
{
    address to;
    socklen_t n;
    if (!address_of(options, &to, &n)) {
        errno = EINVAL;
        return -1;
    }
    const int type = SOCK_STREAM | SOCK_CLOEXEC | (is_blocking ? 0 : SOCK_NONBLOCK);
    const int fd = socket(to.any.sa_family, type, 0);
    if (fd < 0) {
        return -1;
    }
    const struct timeval limit = {.tv_sec = METRICS_TIMEOUT_S};
    const int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails on a Unix socket */
    if (rcvbuf > 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
    }
    if (connect(fd, &to.any, n) != 0 && errno != EINPROGRESS) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static bool ignore_event(void *ctx, krs_str data)
{
    (void)ctx;
    (void)data;
    return true;
}

static krs_status exchange(int fd, krs_str request, load_answer *answer, krs_error *err)
{
    if (send(fd, request.ptr, request.len, MSG_NOSIGNAL) != (ssize_t)request.len) {
        return krs_fail_os(err, KRS_EIO, errno, "/metrics: send");
    }
    char bytes[16384];
    while (answer->state != LOAD_ANSWER_END && answer->state != LOAD_ANSWER_BAD) {
        const ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n <= 0) {
            return krs_fail_os(err, KRS_EIO, n < 0 ? errno : ECONNRESET, "/metrics: receive");
        }
        load_answer_feed(answer, (krs_str){bytes, (size_t)n}, ignore_event, NULL);
    }
    return answer->state == LOAD_ANSWER_END && answer->http_status == 200
               ? KRS_OK
               : krs_fail(err, KRS_EFORMAT, "/metrics: status %d", answer->http_status);
}

/* "name{labels} value" of each line, but for comments and buckets. */
static void read_series(const char *text, load_metrics *out)
{
    out->n = 0;
    while (*text && out->n < LOAD_MAX_SERIES) {
        const size_t n = strcspn(text, "\n");
        const char *value = memrchr(text, ' ', n);
        const size_t n_name = value ? (size_t)(value - text) : 0;
        const bool is_bucket = n_name > 0 && memmem(text, n_name, "_bucket{", 8);
        if (*text != '#' && n_name > 0 && n_name < LOAD_SERIES_NAME_BYTES && !is_bucket) {
            load_series *series = &out->series[out->n++];
            memcpy(series->name, text, n_name);
            series->name[n_name] = '\0';
            series->value = strtod(value, NULL);
        }
        text += n + (text[n] == '\n');
    }
}

krs_status load_metrics_fetch(const load_options *options, load_metrics *out, krs_error *err)
{
    const int fd = load_connect(options, true, 0);
    if (fd < 0) {
        return krs_fail_os(err, KRS_EIO, errno, "/metrics: connect");
    }
    load_answer answer;
    load_answer_init(&answer);
    krs_buf request;
    krs_buf_init(&request, NULL, METRICS_BYTES);
    const char *key = options->admin_key ? options->admin_key : options->tenants[0].key;
    krs_status status = krs_buf_printf(&request,
                                       "GET /metrics HTTP/1.1\r\nHost: %s\r\n%s%s%s"
                                       "Connection: close\r\n\r\n",
                                       options->host, *key ? "Authorization: Bearer " : "", key,
                                       *key ? "\r\n" : "");
    if (status == KRS_OK) {
        status = exchange(fd, krs_buf_view(&request), &answer, err);
    }
    if (status == KRS_OK && answer.event.data) {
        read_series(answer.event.data, out);
    }
    krs_buf_deinit(&request);
    load_answer_deinit(&answer);
    (void)close(fd);
    return status;
}

double load_metrics_value(const load_metrics *m, const char *name)
{
    for (uint32_t i = 0; i < m->n; i++) {
        if (strcmp(m->series[i].name, name) == 0) {
            return m->series[i].value;
        }
    }
    return 0;
}

uint64_t load_cpu_ns(int pid)
{
    clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
    struct timespec t;
    if ((pid > 0 && clock_getcpuclockid(pid, &clock) != 0) || clock_gettime(clock, &t) != 0) {
        return 0;
    }
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t load_rss_bytes(int pid)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    FILE *file = fopen(path, "r");
    if (!file) {
        return 0;
    }
    unsigned long long size = 0;
    unsigned long long resident = 0;
    const int n = fscanf(file, "%llu %llu", &size, &resident);
    (void)fclose(file);
    return n == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

uint32_t load_n_fds(int pid)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    if (!dir) {
        return 0;
    }
    uint32_t n = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        n += entry->d_name[0] != '.';
    }
    (void)closedir(dir);
    return n;
}

/* First line of a small file of /proc; false when the process or thread is gone. */
static bool read_line(const char *path, char *out, int max)
{
    FILE *file = fopen(path, "r");
    const bool is_read = file && fgets(out, max, file);
    if (file) {
        (void)fclose(file);
    }
    if (is_read) {
        out[strcspn(out, "\n")] = '\0';
    }
    return is_read;
}

static void add_thread(int pid, const char *tid, load_series *out, uint32_t max, uint32_t *n)
{
    char path[96];
    char name[32];
    char times[96];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%.20s/comm", pid, tid);
    const bool has_name = read_line(path, name, sizeof(name));
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat", pid, tid);
    if (!has_name || !read_line(path, times, sizeof(times))) {
        return;
    }
    uint32_t i = 0;
    while (i < *n && strcmp(out[i].name, name) != 0) {
        i++;
    }
    if (i == max) {
        return;
    }
    if (i == *n) {
        out[i] = (load_series){.value = 0};
        memcpy(out[i].name, name, sizeof(name));
        (*n)++;
    }
    out[i].value += strtod(times, NULL) / 1e9;
}

uint32_t load_thread_cpus(int pid, load_series *out, uint32_t max)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    uint32_t n = 0;
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            add_thread(pid, entry->d_name, out, max, &n);
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
    return n;
}
