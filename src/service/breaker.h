/* service/breaker.h - stop asking what keeps failing, and find out cheaply when it works again.
 *
 *   CLOSED --failures in a row, or too many of the recent calls--> OPEN --open time--> HALF_OPEN
 *   HALF_OPEN --enough good probes--> CLOSED;  HALF_OPEN --one bad probe--> OPEN, for twice as long
 *
 * Only failures that another caller would meet too count: a caller's mistake, a cancel, a full queue or a
 * deadline says nothing about what is behind. HALF_OPEN lets one call through at a time.
 * Deliberately absent: clocks and locks (time is an argument; breakers.h keeps a table of these), retries.
 *
 * Thread: a value with one owner.  Memory: none.
 * Source: Nygard, "Release It!", 2018, chapter 5 (circuit breaker). */
#pragma once

#include "base/status.h"

#define KRS_BREAKER_MAX_CONSECUTIVE 5  /* failures in a row that open it */
#define KRS_BREAKER_WINDOWS         6  /* of the rolling window */
#define KRS_BREAKER_MIN_CALLS       20 /* in the window, before its rate means anything */
#define KRS_BREAKER_GOOD_PROBES     2  /* in a row that close it */
#define KRS_BREAKER_WINDOW_NS       UINT64_C(10000000000) /* one of them; 60 s in all */
#define KRS_BREAKER_OPEN_NS         UINT64_C(10000000000) /* before the first probe */
#define KRS_BREAKER_MAX_OPEN_NS     UINT64_C(80000000000) /* doubled three times */

typedef enum krs_breaker_state {
    KRS_BREAKER_CLOSED,
    KRS_BREAKER_OPEN,
    KRS_BREAKER_HALF_OPEN,
} krs_breaker_state;

typedef enum krs_breaker_outcome {
    KRS_BREAKER_GOOD,
    KRS_BREAKER_BAD,
    KRS_BREAKER_NOTHING, /* the call says nothing about what is behind */
} krs_breaker_outcome;

typedef struct krs_breaker_window {
    uint64_t number; /* now_ns / KRS_BREAKER_WINDOW_NS */
    uint32_t n_calls;
    uint32_t n_bad;
} krs_breaker_window;

/* All zero: CLOSED. */
typedef struct krs_breaker {
    krs_breaker_state state;
    uint32_t n_bad_in_a_row;
    uint32_t n_good_probes;
    bool is_probing;      /* HALF_OPEN: a call is through */
    uint64_t open_ns;     /* OPEN: since */
    uint64_t open_for_ns; /* OPEN: so long */
    krs_breaker_window windows[KRS_BREAKER_WINDOWS];
} krs_breaker;

/* May a call pass? When it may not, *retry_after_ns says when one may. Changes nothing. */
bool krs_breaker_look(const krs_breaker *breaker, uint64_t now_ns, uint64_t *retry_after_ns);

/* As _look, and the call passes: it must be told to _leave how it ended. */
bool krs_breaker_enter(krs_breaker *breaker, uint64_t now_ns, uint64_t *retry_after_ns);

/* A call that passed has ended. True when that opened or closed the breaker. */
bool krs_breaker_leave(krs_breaker *breaker, krs_breaker_outcome outcome, uint64_t now_ns);

/* What a status says about what was called. */
krs_breaker_outcome krs_breaker_outcome_of(krs_status status);

/* "closed", "open", "half-open". */
const char *krs_breaker_state_name(krs_breaker_state state);
