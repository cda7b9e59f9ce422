/* grammar/matcher.c - one text on its way through an automaton; see matcher.h. */
#include "grammar/automaton_priv.h"

static void link_in(krs_automaton *a, krs_matcher *m)
{
    *m = (krs_matcher){
        .a = a, .next = a->matchers, .state = a->start, .probe = a->start, .slot = KRS_NO_ID};
    if (a->matchers) {
        a->matchers->prev = m;
    }
    a->matchers = m;
}

static void link_out(krs_matcher *m)
{
    if (m->next) {
        m->next->prev = m->prev;
    }
    if (m->prev) {
        m->prev->next = m->next;
    } else {
        m->a->matchers = m->next;
    }
}

krs_status krs_matcher_new(krs_automaton *a, krs_matcher **out)
{
    *out = krs_alloc_bytes(a->alloc, sizeof(**out));
    if (!*out) {
        return KRS_ENOMEM;
    }
    link_in(a, *out);
    return KRS_OK;
}

static void put_slot_back(krs_matcher *m)
{
    if (m->slot != KRS_NO_ID) {
        ((krs_mask_slot *)m->a->slots.items)[m->slot].n_refs--;
        m->slot = KRS_NO_ID;
    }
}

void krs_matcher_free(krs_matcher *m)
{
    if (m) {
        put_slot_back(m);
        link_out(m);
        krs_alloc_free(m->a->alloc, m);
    }
}

void krs_matcher_reset(krs_matcher *m)
{
    m->state = m->a->start;
    m->n_back = 0;
}

/* Move the probe over bytes, as far as they go; *n_read of them. When memory runs out between two bytes it
 * is dropped there, and the probe's state is one of those that stay. */
static krs_status probe(krs_matcher *m, krs_str bytes, size_t *n_read, krs_error *err)
{
    krs_automaton *a = m->a;
    krs_status status = KRS_OK;
    bool is_first = true;
    size_t i = 0;
    while (i < bytes.len && (status == KRS_OK || status == KRS_EAGAIN)) {
        krs_automaton_begin(a);
        const uint32_t next = krs_state_step(a, m->probe, (uint8_t)bytes.ptr[i]);
        status = krs_automaton_end(a, is_first, err);
        is_first = status == KRS_OK;
        if (status == KRS_OK) {
            if (next == KRS_STATE_DEAD) {
                break;
            }
            m->probe = next;
            i++;
        }
    }
    *n_read = i;
    return status;
}

krs_status krs_automaton_match(krs_automaton *a, krs_str text, krs_error *err)
{
    krs_matcher m;
    link_in(a, &m);
    size_t n_read;
    krs_status status = probe(&m, text, &n_read, err);
    if (status == KRS_OK && n_read < text.len) {
        status = krs_fail(err, KRS_EINVAL, "grammar: byte %zu (0x%02x) of the text does not fit",
                          n_read, (unsigned char)text.ptr[n_read]);
    } else if (status == KRS_OK && !krs_state_at(a, m.probe)->is_accepting) {
        status =
            krs_fail(err, KRS_EINVAL, "grammar: the text ends too early, after %zu bytes", n_read);
    }
    link_out(&m);
    return status;
}

static void move_to(krs_matcher *m, uint32_t state)
{
    m->back[m->back_at] = m->state;
    m->back_at = (m->back_at + 1) % KRS_MATCHER_MAX_UNDO;
    m->n_back += m->n_back < KRS_MATCHER_MAX_UNDO ? 1 : 0;
    m->state = state;
}

/* Can these bytes come? Then the probe is after them. */
static krs_status try_bytes(krs_matcher *m, krs_str bytes)
{
    size_t n_read;
    m->probe = m->state;
    const krs_status status = probe(m, bytes, &n_read, NULL);
    return status == KRS_OK && n_read < bytes.len ? KRS_EINVAL : status;
}

static bool is_end(const krs_matcher *m, uint32_t token)
{
    return (m->a->vocab->ends[token / 64] >> token % 64 & 1) != 0;
}

/* As try_bytes, for a token. */
static krs_status try_token(krs_matcher *m, uint32_t token)
{
    if (!m->a->vocab || token >= m->a->vocab->n_tokens) {
        return KRS_EINVAL;
    }
    if (is_end(m, token)) {
        m->probe = KRS_STATE_ENDED;
        return krs_state_at(m->a, m->state)->is_accepting ? KRS_OK : KRS_EINVAL;
    }
    const krs_str bytes = krs_grammar_vocab_token(m->a->vocab, token);
    return bytes.len == 0 || bytes.len > KRS_GRAMMAR_MAX_TOKEN_BYTES ? KRS_EINVAL
                                                                     : try_bytes(m, bytes);
}

krs_status krs_matcher_allows(krs_matcher *m, uint32_t token)
{
    return try_token(m, token);
}

krs_status krs_matcher_accept_token(krs_matcher *m, uint32_t token)
{
    const krs_status status = try_token(m, token);
    if (status == KRS_OK) {
        move_to(m, m->probe);
    }
    return status;
}

krs_status krs_matcher_accept_bytes(krs_matcher *m, krs_str bytes)
{
    if (m->state == KRS_STATE_ENDED) {
        return KRS_EINVAL;
    }
    const krs_status status = try_bytes(m, bytes);
    if (status == KRS_OK) {
        move_to(m, m->probe);
    }
    return status;
}

void krs_matcher_undo(krs_matcher *m, uint32_t n)
{
    for (; n > 0 && m->n_back > 0; n--) {
        m->back_at = (m->back_at + KRS_MATCHER_MAX_UNDO - 1) % KRS_MATCHER_MAX_UNDO;
        m->n_back--;
        m->state = m->back[m->back_at];
    }
}

void krs_matcher_settle(krs_matcher *m)
{
    m->n_back = 0;
}

uint32_t krs_matcher_n_undo(const krs_matcher *m)
{
    return m->n_back;
}

bool krs_matcher_is_accepting(const krs_matcher *m)
{
    return krs_state_at(m->a, m->state)->is_accepting;
}

bool krs_matcher_is_finished(krs_matcher *m)
{
    krs_status status = KRS_EAGAIN;
    bool is_final = false;
    for (bool is_first = true; status == KRS_EAGAIN; is_first = false) {
        krs_automaton_begin(m->a);
        is_final = krs_state_is_final(m->a, m->state);
        status = krs_automaton_end(m->a, is_first, NULL);
    }
    return status == KRS_OK && is_final;
}

krs_status krs_matcher_forced(krs_matcher *m, size_t max_bytes, krs_buf *out)
{
    const size_t len = out->len;
    krs_status status = KRS_OK;
    bool is_first = true;
    m->probe = m->state;
    while (out->len - len < max_bytes && (status == KRS_OK || status == KRS_EAGAIN)) {
        krs_automaton_begin(m->a);
        const int byte = krs_state_forced(m->a, m->probe);
        const uint32_t next =
            byte >= 0 ? krs_state_step(m->a, m->probe, (uint8_t)byte) : KRS_STATE_DEAD;
        status = krs_automaton_end(m->a, is_first, NULL);
        is_first = status == KRS_OK;
        if (status == KRS_OK) {
            if (byte < 0) {
                break;
            }
            status = krs_buf_append_char(out, (char)byte);
            m->probe = next;
        }
    }
    if (status != KRS_OK) {
        out->len = len;
    }
    return status;
}

krs_status krs_matcher_mask(krs_matcher *m, const uint64_t **words)
{
    krs_automaton *a = m->a;
    put_slot_back(m);
    if (m->state == KRS_STATE_ENDED) {
        *words = a->vocab->ends;
        return KRS_OK;
    }
    krs_status status = KRS_EAGAIN;
    uint32_t slot = KRS_NO_ID;
    for (bool is_first = true; status == KRS_EAGAIN; is_first = false) {
        krs_automaton_begin(a);
        slot = krs_mask_of(a, m->state);
        status = krs_automaton_end(a, is_first, NULL);
    }
    if (status == KRS_OK) {
        krs_mask_slot *shown = (krs_mask_slot *)a->slots.items + slot;
        shown->n_refs++;
        shown->is_recent = true;
        m->slot = slot;
        *words = shown->words;
    }
    return status;
}
