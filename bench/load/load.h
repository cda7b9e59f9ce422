/* bench/load/load.h - a run: streams that are kept open, and what they count.
 *
 *   IDLE --connect, send--> SENDING --all sent--> READING --[DONE], end--> IDLE --> ...
 *                                      |  ^
 *                               paused v  | pause over
 *                                     PAUSED          429/503: IDLE until Retry-After has passed
 *
 * One process, one thread, one poller: what the generator costs is measured (it prints its CPU time) and
 * can be kept on one core, so that the rest of the machine is the server's.
 *
 * Thread: main.  Memory: a few KiB a stream, histograms. */
#pragma once

#include "answer.h"
#include "event.h"
#include "options.h"
#include "stats.h"
#include "watch.h"
#include "work.h"

/* What can go wrong with an answer, by name as the report has it. */
#define LOAD_ERRORS(X)                                                                             \
    X(CONNECT, "connect", "no connection")                                                         \
    X(CLOSED, "closed", "the connection ended before the answer")                                  \
    X(HTTP, "http_status", "an answer that is neither 200 nor a refusal")                          \
    X(MALFORMED, "malformed", "no HTTP/1.1, no server-sent events, or no JSON")                    \
    X(ERROR_EVENT, "error_event", "the stream told an error")                                      \
    X(NO_DONE, "no_done", "the stream ended without [DONE]")                                       \
    X(NO_FINISH, "no_finish", "[DONE] without finish_reason and usage")                            \
    X(TEXT, "text_differs", "not the bytes that this question got before")                         \
    X(TIMEOUT, "timeout", "silence")

typedef enum load_error {
#define X(id, name, what) LOAD_ERROR_##id,
    LOAD_ERRORS(X)
#undef X
        LOAD_ERROR_COUNT
} load_error;

typedef enum load_state {
    LOAD_IDLE,
    LOAD_SENDING,
    LOAD_READING,
    LOAD_PAUSED,
} load_state;

typedef struct load_stream {
    load_state state;
    int fd; /* -1: none */
    uint32_t index;
    uint32_t tenant;
    bool is_pauser;
    bool has_paused; /* in this answer */
    uint64_t random;
    uint64_t wake_ns;  /* IDLE: not before; PAUSED: read again */
    uint64_t asked_ns; /* when sending began */
    uint64_t heard_ns; /* last byte */
    uint64_t text_ns;  /* last event with text; 0: none yet */
    uint32_t question;
    uint32_t n_texts;  /* events with text in this answer */
    uint32_t leave_at; /* close after so many; UINT32_MAX: stay */
    bool is_done;
    bool is_error;
    bool has_finish;
    bool has_usage;
    uint32_t n_tokens;
    load_answer answer;
    krs_buf request;
    size_t n_sent;
    krs_buf text;
    uint64_t n_measured; /* events with text while measuring */
} load_stream;

typedef struct load_counts {
    uint64_t n_asked;
    uint64_t n_whole;   /* answers complete and right */
    uint64_t n_left;    /* by us, on purpose */
    uint64_t n_refused; /* 429, 503 */
    uint64_t n_cut;     /* paused streams that the server gave up */
    uint64_t n_tokens;  /* of whole answers, by their usage */
    uint64_t n_texts;   /* events with text */
    uint64_t errors[LOAD_ERROR_COUNT];
} load_counts;

#define LOAD_MAX_THREADS 24 /* names of threads of a server; it has five or so */

typedef struct load_run {
    const load_options *options;
    load_work *work;
    int poller;
    load_stream *streams; /* [n_streams] */
    uint64_t now_ns;
    uint64_t start_ns;
    uint64_t measure_ns; /* from here ... */
    uint64_t stop_ns;    /* ... to here latencies count, and new answers begin */
    load_counts counts;
    load_hist ttft;
    load_hist gap;                            /* between two texts of a stream that reads */
    load_hist gap_pauser;                     /* of a stream that pauses, outside its pauses */
    load_trend rss;                           /* over seconds */
    uint64_t cpu_ns[2];                       /* of the server when measuring begins and ends */
    load_series threads[2][LOAD_MAX_THREADS]; /* the same by name of thread, in seconds */
    uint32_t n_threads[2];
    uint64_t own_cpu_ns[2];  /* of this process */
    uint32_t fds[2];         /* of the server at the start and at the very end */
    load_metrics metrics[3]; /* when measuring begins, when it ends, at the very end */
} load_run;

/* Begin the next answer of an idle stream. */
void load_stream_start(load_run *run, load_stream *s);
/* Its descriptor is ready. */
void load_stream_ready(load_run *run, load_stream *s, uint32_t events);
/* Look at its clock: a pause that is over, a wait that is over, silence. */
void load_stream_tick(load_run *run, load_stream *s);

/* The report, one JSON object, on standard output. */
krs_status load_report(const load_run *run);
