/* service/breaker.c - see breaker.h. */
#include "service/breaker.h"

#include <string.h>

/* While a probe is out, another call is told to come back this much later. */
#define PROBE_RETRY_NS UINT64_C(1000000000)

const char *krs_breaker_state_name(krs_breaker_state state)
{
    static const char *const names[] = {"closed", "open", "half-open"};
    const unsigned i = (unsigned)state;
    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "unknown";
}

krs_breaker_outcome krs_breaker_outcome_of(krs_status status)
{
    switch (status) {
    case KRS_OK:
        return KRS_BREAKER_GOOD;
    case KRS_EUNAVAILABLE:
    case KRS_ENOMEM:
    case KRS_EIO:
    case KRS_EDEVICE:
    case KRS_EINTERNAL:
        return KRS_BREAKER_BAD;
    default:
        return KRS_BREAKER_NOTHING;
    }
}

bool krs_breaker_look(const krs_breaker *breaker, uint64_t now_ns, uint64_t *retry_after_ns)
{
    *retry_after_ns = 0;
    if (breaker->state == KRS_BREAKER_CLOSED) {
        return true;
    }
    const uint64_t until_ns = breaker->open_ns + breaker->open_for_ns;
    if (breaker->state == KRS_BREAKER_OPEN && now_ns < until_ns) {
        *retry_after_ns = until_ns - now_ns;
        return false;
    }
    if (breaker->is_probing) {
        *retry_after_ns = PROBE_RETRY_NS;
        return false;
    }
    return true;
}

bool krs_breaker_enter(krs_breaker *breaker, uint64_t now_ns, uint64_t *retry_after_ns)
{
    if (!krs_breaker_look(breaker, now_ns, retry_after_ns)) {
        return false;
    }
    if (breaker->state != KRS_BREAKER_CLOSED) {
        breaker->state = KRS_BREAKER_HALF_OPEN;
        breaker->is_probing = true;
    }
    return true;
}

/* The window of now, emptied when its place held an older one. */
static krs_breaker_window *window_of(krs_breaker *breaker, uint64_t now_ns)
{
    const uint64_t number = now_ns / KRS_BREAKER_WINDOW_NS;
    krs_breaker_window *window = &breaker->windows[number % KRS_BREAKER_WINDOWS];
    if (window->number != number) {
        *window = (krs_breaker_window){.number = number};
    }
    return window;
}

/* At least half of the recent calls failed, and there were enough of them. */
static bool is_rate_bad(const krs_breaker *breaker, uint64_t now_ns)
{
    const uint64_t number = now_ns / KRS_BREAKER_WINDOW_NS;
    uint32_t n_calls = 0;
    uint32_t n_bad = 0;
    for (uint32_t i = 0; i < KRS_BREAKER_WINDOWS; i++) {
        const krs_breaker_window *window = &breaker->windows[i];
        if (window->number + KRS_BREAKER_WINDOWS > number) {
            n_calls += window->n_calls;
            n_bad += window->n_bad;
        }
    }
    return n_calls >= KRS_BREAKER_MIN_CALLS && 2 * n_bad >= n_calls;
}

static void open_for(krs_breaker *breaker, uint64_t open_for_ns, uint64_t now_ns)
{
    *breaker = (krs_breaker){.state = KRS_BREAKER_OPEN,
                             .open_ns = now_ns,
                             .open_for_ns = open_for_ns < KRS_BREAKER_MAX_OPEN_NS
                                                ? open_for_ns
                                                : KRS_BREAKER_MAX_OPEN_NS};
}

static bool leave_closed(krs_breaker *breaker, bool is_bad, uint64_t now_ns)
{
    krs_breaker_window *window = window_of(breaker, now_ns);
    window->n_calls++;
    window->n_bad += is_bad;
    breaker->n_bad_in_a_row = is_bad ? breaker->n_bad_in_a_row + 1 : 0;
    const bool opens = is_bad && (breaker->n_bad_in_a_row >= KRS_BREAKER_MAX_CONSECUTIVE ||
                                  is_rate_bad(breaker, now_ns));
    if (opens) {
        open_for(breaker, KRS_BREAKER_OPEN_NS, now_ns);
    }
    return opens;
}

static bool leave_half_open(krs_breaker *breaker, bool is_bad, uint64_t now_ns)
{
    if (is_bad) {
        open_for(breaker, 2 * breaker->open_for_ns, now_ns);
        return true;
    }
    breaker->n_good_probes++;
    if (breaker->n_good_probes < KRS_BREAKER_GOOD_PROBES) {
        return false;
    }
    *breaker = (krs_breaker){.state = KRS_BREAKER_CLOSED};
    return true;
}

bool krs_breaker_leave(krs_breaker *breaker, krs_breaker_outcome outcome, uint64_t now_ns)
{
    if (breaker->state == KRS_BREAKER_HALF_OPEN) {
        breaker->is_probing = false;
    }
    if (outcome == KRS_BREAKER_NOTHING || breaker->state == KRS_BREAKER_OPEN) {
        return false; /* OPEN: a call from before, of which enough is known */
    }
    const bool is_bad = outcome == KRS_BREAKER_BAD;
    return breaker->state == KRS_BREAKER_CLOSED ? leave_closed(breaker, is_bad, now_ns)
                                                : leave_half_open(breaker, is_bad, now_ns);
}
