/* engine/guided.c - see guided.h. */
#include "engine/guided.h"

krs_status krs_guided_init(krs_guided *g, krs_guides *guides, const krs_guidance *guidance,
                           bool is_reasoning, krs_error *err)
{
    const krs_status status = krs_guides_take(guides, guidance, is_reasoning, &g->entry, err);
    g->guides = status == KRS_OK ? guides : NULL;
    krs_buf_init(&g->ahead, NULL, KRS_GUIDED_MAX_FORCED_BYTES);
    return status;
}

void krs_guided_deinit(krs_guided *g)
{
    if (krs_guided_is_on(g)) {
        krs_matcher_free(g->matcher);
        krs_guides_give(g->guides, g->entry);
        krs_buf_deinit(&g->ahead);
        *g = (krs_guided){0};
    }
}

/* ---- what is forced ---- */

/* Tokens of a text without special ones, behind those that are there; no more than fit. */
static void add_text(krs_guided *g, krs_str text)
{
    krs_ids ids = {NULL, 0};
    if (text.len == 0 || krs_encode(g->encoder, text, false, &ids, NULL) != KRS_OK) {
        return; /* not said ahead, but drawn under the mask */
    }
    for (size_t i = 0; i < ids.n && g->n_forced < KRS_GUIDED_MAX_FORCED; i++) {
        g->forced[g->n_forced++] = ids.ids[i];
    }
}

/* The bytes as tokens. is_end: nothing can follow them. */
static void cut(krs_guided *g, krs_str text, bool is_end)
{
    const krs_guide_vocab *vocab = krs_guides_vocab(g->guides);
    while (text.len > 0 && g->n_forced < KRS_GUIDED_MAX_FORCED) {
        const char *mark = memchr(text.ptr, KRS_GUIDE_SPECIAL, text.len);
        const size_t n_plain = mark ? (size_t)(mark - text.ptr) : text.len;
        const uint32_t n_before = g->n_forced;
        add_text(g, (krs_str){text.ptr, n_plain});
        if (!mark) {
            /* Cut off by the room, or open at its end: what stands there may go on. */
            const bool is_open = !is_end || g->n_forced == KRS_GUIDED_MAX_FORCED;
            g->n_forced -= is_open && g->n_forced > n_before;
            return;
        }
        const krs_str rest = {mark + 1, text.len - n_plain - 1};
        const uint32_t special = krs_guide_vocab_special_at(vocab, rest);
        if (special == UINT32_MAX || g->n_forced == KRS_GUIDED_MAX_FORCED) {
            return;
        }
        g->forced[g->n_forced++] = special;
        const size_t n = krs_tokenizer_token_bytes(vocab->tokenizer, special).len;
        text = (krs_str){rest.ptr + n, rest.len - n};
    }
}

/* Only the forced tokens that say the forced bytes: a tokenizer may write a blank in front, or change letters. */
static void keep_true(krs_guided *g)
{
    g->n_forced = krs_guided_check(g, g->forced, g->n_forced);
}

/* May the text end, and nothing follow? */
static krs_status see_end(krs_guided *g)
{
    const uint64_t *ends = krs_guides_vocab(g->guides)->ends;
    const uint64_t *words;
    size_t n_words;
    if (!krs_matcher_is_accepting(g->matcher)) {
        return KRS_OK;
    }
    const krs_status status = krs_guided_mask(g, &words, &n_words);
    for (size_t i = 0; status == KRS_OK && i < n_words; i++) {
        if ((words[i] & ~ends[i]) != 0) {
            return KRS_OK;
        }
    }
    g->is_complete = status == KRS_OK;
    return status;
}

/* Is the text complete behind the forced bytes? The matcher comes back. */
static bool ends_behind(krs_guided *g, krs_str text)
{
    if (krs_matcher_accept_bytes(g->matcher, text) != KRS_OK) {
        return false;
    }
    const bool is_end =
        krs_matcher_is_accepting(g->matcher) && see_end(g) == KRS_OK && g->is_complete;
    g->is_complete = false;
    krs_matcher_undo(g->matcher, 1);
    return is_end;
}

static krs_status look_ahead(krs_guided *g)
{
    krs_status status = see_end(g);
    if (status != KRS_OK || g->is_complete) {
        return status;
    }
    krs_buf_reset(&g->ahead);
    status = krs_matcher_forced(g->matcher, KRS_GUIDED_MAX_FORCED_BYTES, &g->ahead);
    if (status == KRS_OK && g->ahead.len > 0) {
        const krs_str forced = krs_buf_view(&g->ahead);
        cut(g, forced, forced.len < KRS_GUIDED_MAX_FORCED_BYTES && ends_behind(g, forced));
        keep_true(g);
    }
    return status;
}

/* ---- token by token ---- */

krs_status krs_guided_start(krs_guided *g, krs_encoder *encoder, krs_metrics *metrics)
{
    g->encoder = encoder;
    g->metrics = metrics;
    const krs_status status = krs_matcher_new(krs_guides_automaton(g->entry), &g->matcher);
    return status == KRS_OK ? look_ahead(g) : status;
}

krs_status krs_guided_mask(krs_guided *g, const uint64_t **words, size_t *n_words)
{
    *n_words = krs_grammar_vocab_n_words(krs_guides_vocab(g->guides)->tree);
    const krs_status status = krs_matcher_mask(g->matcher, words);
    const uint64_t n_made = krs_guides_grown(g->entry);
    krs_metrics_add(g->metrics,
                    n_made > 0 ? KRS_METRIC_GUIDANCE_MASKS_MADE : KRS_METRIC_GUIDANCE_MASKS_FOUND,
                    1);
    return status;
}

krs_status krs_guided_take(krs_guided *g, uint32_t token)
{
    const krs_status status = krs_matcher_accept_token(g->matcher, token);
    if (status != KRS_OK) {
        return status;
    }
    krs_matcher_settle(g->matcher); /* else each stream would hold the states of its last tokens */
    if (g->n_forced > 0) {
        g->n_forced--;
        memmove(g->forced, g->forced + 1, g->n_forced * sizeof(*g->forced));
        krs_metrics_add(g->metrics, KRS_METRIC_GUIDANCE_FORCED, 1);
    }
    return g->n_forced > 0 ? KRS_OK : look_ahead(g);
}

uint32_t krs_guided_check(krs_guided *g, const uint32_t *tokens, uint32_t n)
{
    uint32_t n_right = 0;
    while (n_right < n && krs_matcher_accept_token(g->matcher, tokens[n_right]) == KRS_OK) {
        n_right++;
    }
    krs_matcher_undo(g->matcher, n_right);
    return n_right;
}
