/* engine/guided.h - one answer under guidance: where its text is in the grammar, and what is forced next.
 *
 * Before each token the matcher says which may come (a mask for the sampler). Where bytes leave no choice, the
 * text ahead is cut into tokens as the tokenizer would, and those are taken without being drawn: their rows come
 * in one step, as a proposal of speculation, so a run of k of them costs one pass instead of k. The last token of
 * a run is left out unless the run ends the text or stands before a special token: what follows may be one
 * token with it.
 *
 * What is forced depends on the answer so far and nothing else, so an answer has the same tokens whether its
 * forced ones had rows of their own or came one a step.
 *
 * An answer is complete when its text may end and nothing may follow. It ends there, without an end token being
 * drawn: whatever min_tokens and ignore_eos say, there is nothing left to write.
 *
 * Thread: prep thread for _init, then the engine thread.
 * Memory: the matcher, and what a shared automaton grows by (guides.h). */
#pragma once

#include "engine/guides.h"

#include "api/generate.h"

#define KRS_GUIDED_MAX_FORCED       KRS_MAX_SPECULATION /* tokens of a run: they have rows in one step */
#define KRS_GUIDED_MAX_FORCED_BYTES 160u /* looked ahead: ten bytes a token are a long name's */

typedef struct krs_guided {
    krs_guides *guides;      /* borrowed; NULL: the answer is not guided */
    krs_guides_entry *entry; /* held */
    krs_matcher *matcher;    /* NULL until started */
    krs_encoder *encoder;    /* borrowed, the engine thread's */
    krs_metrics *metrics;
    uint32_t forced[KRS_GUIDED_MAX_FORCED]; /* [n_forced] tokens to take next */
    uint32_t n_forced;
    krs_buf ahead; /* scratch: the bytes that must come */
    bool is_complete;
} krs_guided;

static inline bool krs_guided_is_on(const krs_guided *g)
{
    return g->guides != NULL;
}

/* Errors: those of krs_guides_take. */
KRS_MUST_USE krs_status krs_guided_init(krs_guided *g, krs_guides *guides,
                                        const krs_guidance *guidance, bool is_reasoning,
                                        krs_error *err);
/* Legal on a zeroed one. */
void krs_guided_deinit(krs_guided *g);

/* At the beginning of the answer. encoder, metrics: borrowed. Errors: KRS_ENOMEM, KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_guided_start(krs_guided *g, krs_encoder *encoder, krs_metrics *metrics);

/* What may come next: words[*n_words] for krs_sample_input, until the next call of it.
 * Errors: KRS_ETOOLARGE, KRS_ENOMEM: the answer cannot be followed any further. */
KRS_MUST_USE krs_status krs_guided_mask(krs_guided *g, const uint64_t **words, size_t *n_words);

/* The token has been chosen, or was the first of the forced ones. Errors: as above. */
KRS_MUST_USE krs_status krs_guided_take(krs_guided *g, uint32_t token);

/* How many of tokens[n], one after the other, the grammar lets come. */
uint32_t krs_guided_check(krs_guided *g, const uint32_t *tokens, uint32_t n);
