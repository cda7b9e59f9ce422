/* sample/stop_match.c - see stop_match.h.
 *
 * Held text is the longest state of any automaton: those bytes equal the beginning of that stop string,
 * so they are not stored a second time; a held byte is copied out of the string it matches. */
#include "sample/stop_match.h"

#include "base/check.h"

/* One stop string. state: how many of its bytes the text now ends with. */
typedef struct automaton {
    const char *text; /* [len] */
    uint32_t len;
    uint32_t state;
    uint16_t *border; /* [len + 1]: longest proper prefix of text[0 .. i) that is also its suffix */
} automaton;

struct krs_stop_match {
    const krs_alloc *alloc;
    uint32_t n;
    bool is_included;
    uint32_t found; /* place of the string that was completed, from 1; 0: none was */
    automaton automata[KRS_MAX_STOPS];
    uint16_t borders[KRS_MAX_STOPS][KRS_MAX_STOP_BYTES + 1];
    char texts[KRS_MAX_STOPS][KRS_MAX_STOP_BYTES];
};

static void automaton_init(automaton *a, const char *text, uint32_t len, uint16_t *border)
{
    *a = (automaton){text, len, 0, border};
    border[0] = 0;
    border[1] = 0;
    uint32_t k = 0;
    for (uint32_t i = 1; i < len; i++) {
        while (k > 0 && text[i] != text[k]) {
            k = border[k];
        }
        k += text[i] == text[k];
        border[i + 1] = (uint16_t)k;
    }
}

krs_status krs_stop_match_new(const krs_str *stops, uint32_t n, bool is_included,
                              const krs_alloc *alloc, krs_stop_match **out)
{
    *out = NULL;
    if (n > KRS_MAX_STOPS) {
        return KRS_EINVAL;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (stops[i].len == 0 || stops[i].len > KRS_MAX_STOP_BYTES) {
            return KRS_EINVAL;
        }
    }
    krs_stop_match *match = krs_alloc_bytes(alloc, sizeof(*match));
    if (!match) {
        return KRS_ENOMEM;
    }
    match->alloc = alloc;
    match->n = n;
    match->is_included = is_included;
    match->found = 0;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(match->texts[i], stops[i].ptr, stops[i].len);
        automaton_init(&match->automata[i], match->texts[i], (uint32_t)stops[i].len,
                       match->borders[i]);
    }
    *out = match;
    return KRS_OK;
}

void krs_stop_match_free(krs_stop_match *match)
{
    if (match) {
        krs_alloc_free(match->alloc, match);
    }
}

static void automaton_step(automaton *a, char byte)
{
    if (a->state == a->len) {
        a->state = a->border[a->len]; /* completed while it could not count */
    }
    while (a->state > 0 && a->text[a->state] != byte) {
        a->state = a->border[a->state];
    }
    a->state += a->text[a->state] == byte;
}

/* The longest stop string the text now ends with, or NULL. */
static const automaton *longest_complete(const krs_stop_match *match)
{
    const automaton *best = NULL;
    for (uint32_t i = 0; i < match->n; i++) {
        const automaton *a = &match->automata[i];
        if (a->state == a->len && (!best || a->len > best->len)) {
            best = a;
        }
    }
    return best;
}

/* Bytes that must be held after this one: complete strings are text by now, so of those only what
 * could begin the string again. */
static uint32_t held_bytes(const krs_stop_match *match)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < match->n; i++) {
        const automaton *a = &match->automata[i];
        const uint32_t n = a->state == a->len ? a->border[a->len] : a->state;
        held = n > held ? n : held;
    }
    return held;
}

/* The text since the last release is `carry` (held before this push, now text of `from`) followed by
 * text[0 .. n). Append all but its last n_keep bytes. */
static krs_status release(krs_str carry, krs_str text, size_t n_keep, krs_buf *out)
{
    const size_t total = carry.len + text.len;
    KRS_DCHECK(n_keep <= total);
    const size_t n = total - n_keep;
    const size_t from_carry = n < carry.len ? n : carry.len;
    krs_status status = krs_buf_reserve(out, n);
    if (status == KRS_OK) {
        status = krs_buf_append(out, carry.ptr, from_carry);
    }
    return status == KRS_OK ? krs_buf_append(out, text.ptr, n - from_carry) : status;
}

/* What is held now, as the beginning of a stop string. */
static krs_str held_text(const krs_stop_match *match)
{
    const uint32_t n = held_bytes(match);
    for (uint32_t i = 0; i < match->n; i++) {
        const automaton *a = &match->automata[i];
        const uint32_t state = a->state == a->len ? a->border[a->len] : a->state;
        if (state == n) {
            return (krs_str){a->text, n};
        }
    }
    return (krs_str){NULL, 0};
}

krs_status krs_stop_match_push(krs_stop_match *match, krs_str text, bool is_armed, krs_buf *out,
                               bool *is_stopped)
{
    *is_stopped = false;
    const krs_str carry = held_text(match);
    for (size_t i = 0; i < text.len; i++) {
        for (uint32_t a = 0; a < match->n; a++) {
            automaton_step(&match->automata[a], text.ptr[i]);
        }
        const automaton *found = is_armed ? longest_complete(match) : NULL;
        if (found) {
            *is_stopped = true;
            match->found = (uint32_t)(found - match->automata) + 1;
            const size_t n_drop = match->is_included ? 0 : found->len;
            return release(carry, (krs_str){text.ptr, i + 1}, n_drop, out);
        }
    }
    return release(carry, text, held_bytes(match), out);
}

krs_status krs_stop_match_finish(krs_stop_match *match, krs_buf *out)
{
    const krs_status status = krs_buf_append_str(out, held_text(match));
    for (uint32_t i = 0; status == KRS_OK && i < match->n; i++) {
        match->automata[i].state = 0;
    }
    return status;
}

uint32_t krs_stop_match_found(const krs_stop_match *match)
{
    return match->found;
}
