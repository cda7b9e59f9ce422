/* bench/load/stream.c - one stream's life; see load.h. */
#define _GNU_SOURCE
#include "load.h"
#include "os/clock.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES    65536
#define PAUSER_RCVBUF 4096 /* so that little of what a pauser leaves lies in the kernel */
#define MAX_LEAVE     64   /* a leaving client is gone after fewer events */
#define RETRY_MS      200  /* after a refusal that names no time, and after a failed connection */
#define MAX_TOLD      8    /* faults told in words */

static void watch(const load_run *run, load_stream *s, int op, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.ptr = s}};
    (void)epoll_ctl(run->poller, op, s->fd, &event);
}

static void hang_up(load_stream *s, bool is_rude)
{
    if (s->fd < 0) {
        return;
    }
    if (is_rude) { /* a reset instead of an orderly end */
        const struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    (void)close(s->fd);
    s->fd = -1;
}

static void rest(load_run *run, load_stream *s, uint32_t ms)
{
    s->state = LOAD_IDLE;
    s->wake_ns = run->now_ns + ms * KRS_NS_PER_MS;
}

static void fail(load_run *run, load_stream *s, load_error error, const char *why)
{
    uint64_t n_all = 0;
    for (int i = 0; i < LOAD_ERROR_COUNT; i++) {
        n_all += run->counts.errors[i];
    }
    run->counts.errors[error]++;
    if (n_all < MAX_TOLD) {
        (void)fprintf(stderr,
                      "bench_load: stream %u, question %u, status %d, %u texts, usage %u: %s\n",
                      s->index, s->question, s->answer.http_status, s->n_texts, s->n_tokens, why);
    }
    hang_up(s, false);
    rest(run, s, RETRY_MS);
}

/* A pauser that the server gave up is what its limits promise, not an error. */
static void fail_stream(load_run *run, load_stream *s, load_error error, const char *why)
{
    if (s->has_paused) {
        run->counts.n_cut++;
        hang_up(s, false);
        rest(run, s, 0);
        return;
    }
    fail(run, s, error, why);
}

static void prepare(load_run *run, load_stream *s)
{
    const load_options *o = run->options;
    load_answer_reset(&s->answer);
    krs_buf_reset(&s->request);
    krs_buf_reset(&s->text);
    s->question = (uint32_t)(load_random(&s->random) % o->n_prompts);
    s->leave_at = UINT32_MAX;
    if (!s->is_pauser && load_random(&s->random) % 100 < o->kill_percent) {
        s->leave_at = load_random_between(&s->random, 1, MAX_LEAVE) -
                      1; /* mostly early: many answers are short */
    }
    s->n_sent = 0;
    s->n_texts = 0;
    s->n_tokens = 0;
    s->text_ns = 0;
    s->is_done = s->is_error = s->has_finish = s->has_usage = s->has_paused = false;
}

static void send_more(load_run *run, load_stream *s)
{
    while (s->n_sent < s->request.len) {
        const ssize_t n =
            send(s->fd, s->request.data + s->n_sent, s->request.len - s->n_sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            watch(run, s, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0) {
            fail(run, s, LOAD_ERROR_CLOSED, "cannot send");
            return;
        }
        s->n_sent += (size_t)n;
    }
    s->state = LOAD_READING;
    watch(run, s, EPOLL_CTL_MOD, EPOLLIN);
    if (s->leave_at == 0) { /* gone before the answer begins */
        run->counts.n_left++;
        hang_up(s, load_random(&s->random) % 2 == 0);
        rest(run, s, 0);
    }
}

void load_stream_start(load_run *run, load_stream *s)
{
    prepare(run, s);
    const load_tenant *tenant = &run->options->tenants[s->tenant];
    if (load_work_request(run->work, s->question, tenant, &s->request) != KRS_OK) {
        fail(run, s, LOAD_ERROR_CONNECT, "no memory for a request");
        return;
    }
    run->counts.n_asked++;
    s->asked_ns = run->now_ns;
    s->heard_ns = run->now_ns;
    s->state = LOAD_SENDING;
    if (s->fd >= 0) {
        send_more(run, s);
        return;
    }
    s->fd = load_connect(run->options, false, s->is_pauser ? PAUSER_RCVBUF : 0);
    if (s->fd < 0) {
        fail(run, s, LOAD_ERROR_CONNECT, "no connection");
        return;
    }
    watch(run, s, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

/* An event with text: the moment a reader feels. */
static void count_text(load_run *run, load_stream *s)
{
    const bool is_measured = run->now_ns >= run->measure_ns && run->now_ns < run->stop_ns;
    run->counts.n_texts++;
    s->n_texts++;
    if (is_measured) {
        s->n_measured++;
        if (s->text_ns == 0) {
            load_hist_add(&run->ttft, run->now_ns - s->asked_ns);
        } else if (s->state != LOAD_PAUSED) {
            load_hist_add(s->is_pauser ? &run->gap_pauser : &run->gap, run->now_ns - s->text_ns);
        }
    }
    s->text_ns = run->now_ns;
}

typedef struct feeding {
    load_run *run;
    load_stream *stream;
} feeding;

static bool take_event(void *ctx, krs_str data)
{
    const feeding *f = ctx;
    load_stream *s = f->stream;
    load_event event;
    if (s->n_texts >= s->leave_at) {
        return false; /* it has left: later events of the same read would follow a gap */
    }
    if (s->is_done || load_event_read(data, &event, &s->text) != KRS_OK) {
        s->answer.state = LOAD_ANSWER_BAD;
        s->answer.bad = s->is_done ? "an event after [DONE]" : "an event that is not JSON";
        return false;
    }
    s->is_done = event.is_done;
    s->is_error = s->is_error || event.is_error;
    s->has_finish = s->has_finish || event.finish[0] != '\0';
    s->has_usage = s->has_usage || event.has_usage;
    s->n_tokens = event.has_usage ? event.n_tokens : s->n_tokens;
    if (event.n_text > 0) {
        count_text(f->run, s);
    }
    return s->n_texts < s->leave_at;
}

/* A complete response that is no stream: the server is full, or something is wrong. */
static void end_refusal(load_run *run, load_stream *s)
{
    const int status = s->answer.http_status;
    if (status != 429 && status != 503) {
        fail(run, s, LOAD_ERROR_HTTP, s->answer.event.data ? s->answer.event.data : "no body");
        return;
    }
    run->counts.n_refused++;
    if (s->answer.will_close) {
        hang_up(s, false);
    }
    rest(run, s, s->answer.retry_after > 0 ? s->answer.retry_after * 1000 : RETRY_MS);
}

/* A stream that came to its end. */
static void end_answer(load_run *run, load_stream *s)
{
    if (s->is_error) {
        fail_stream(run, s, LOAD_ERROR_ERROR_EVENT, "an error in the stream");
    } else if (!s->is_done) {
        fail_stream(run, s, LOAD_ERROR_NO_DONE, "no [DONE]");
    } else if (!s->has_finish || !s->has_usage) {
        fail(run, s, LOAD_ERROR_NO_FINISH, "no finish_reason or no usage");
    } else if (!load_work_check(run->work, s->question, krs_buf_view(&s->text), true)) {
        fail(run, s, LOAD_ERROR_TEXT, "other text than before");
    } else {
        run->counts.n_whole++;
        run->counts.n_tokens += s->n_tokens;
        if (s->answer.will_close) {
            hang_up(s, false);
        }
        rest(run, s, 0);
    }
}

/* Gone in the middle, as decided when it began; what was seen so far must be right all the same. */
static void leave(load_run *run, load_stream *s)
{
    if (!load_work_check(run->work, s->question, krs_buf_view(&s->text), false)) {
        fail(run, s, LOAD_ERROR_TEXT, "other text than before");
        return;
    }
    run->counts.n_left++;
    hang_up(s, load_random(&s->random) % 2 == 0);
    rest(run, s, 0);
}

/* After every read: is it over, or time to stop reading? */
static void look(load_run *run, load_stream *s)
{
    if (s->answer.state == LOAD_ANSWER_BAD) {
        fail(run, s, LOAD_ERROR_MALFORMED, s->answer.bad);
    } else if (s->n_texts >= s->leave_at) {
        leave(run, s);
    } else if (s->answer.state == LOAD_ANSWER_END) {
        if (s->answer.http_status == 200) {
            end_answer(run, s);
        } else {
            end_refusal(run, s);
        }
    } else if (s->is_pauser && !s->has_paused && s->n_texts > 0) {
        const uint32_t pause_s = run->options->pause_s;
        s->has_paused = true;
        s->state = LOAD_PAUSED;
        s->wake_ns = pause_s > 0 ? run->now_ns + pause_s * KRS_NS_PER_S : run->stop_ns;
        watch(run, s, EPOLL_CTL_MOD, 0);
    }
}

static void read_more(load_run *run, load_stream *s)
{
    static char bytes[READ_BYTES]; /* of the one thread; nothing of it outlives the call */
    const ssize_t n = recv(s->fd, bytes, sizeof(bytes), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        fail_stream(run, s, LOAD_ERROR_CLOSED, "the connection ended");
        return;
    }
    s->heard_ns = run->now_ns;
    feeding f = {run, s};
    load_answer_feed(&s->answer, (krs_str){bytes, (size_t)n}, take_event, &f);
    look(run, s);
}

void load_stream_ready(load_run *run, load_stream *s, uint32_t events)
{
    if (s->state ==
        LOAD_IDLE) { /* the server closed a connection that waits for its next question */
        hang_up(s, false);
    } else if (s->state == LOAD_SENDING && (events & (EPOLLERR | EPOLLHUP)) != 0 &&
               s->n_sent == 0) {
        fail(run, s, LOAD_ERROR_CONNECT, "no connection");
    } else if (s->state == LOAD_SENDING && (events & EPOLLOUT) != 0) {
        send_more(run, s);
    } else {
        s->state = LOAD_READING;
        read_more(run, s);
    }
}

void load_stream_tick(load_run *run, load_stream *s)
{
    const uint64_t limit_ns = run->options->timeout_s * KRS_NS_PER_S;
    switch (s->state) {
    case LOAD_IDLE:
        if (run->now_ns >= s->wake_ns && run->now_ns < run->stop_ns) {
            load_stream_start(run, s);
        }
        break;
    case LOAD_PAUSED:
        if (run->now_ns >= s->wake_ns) {
            s->state = LOAD_READING;
            s->heard_ns = run->now_ns;
            s->text_ns = run->now_ns;
            watch(run, s, EPOLL_CTL_MOD, EPOLLIN);
        }
        break;
    default:
        if (run->now_ns > s->heard_ns + limit_ns) {
            fail(run, s, LOAD_ERROR_TIMEOUT, "silence");
        }
    }
}
