/* grammar/matcher.h - following a grammar token by token: which tokens may come next?
 *
 *   grammar + vocabulary -> automaton (one, shared by all sequences with this grammar) -> matchers
 *
 * The automaton is made while it is used: a state is the set of everything that the text so far could be,
 * its row of next states is filled byte by byte, and its mask (a bit a token) when somebody asks. All that
 * is kept, so a second sequence, or a second item of an array, finds it ready. When it outgrows its bytes,
 * everything but the states of living matchers is dropped, and made again when needed: what a mask says
 * never depends on what was there before. What living matchers hold comes on top of the bytes, so that a
 * call has the same room however many others there are.
 *
 * Bytes, not characters: a token that ends inside a UTF-8 character is allowed when some continuation of
 * the character is.
 *
 * Thread: one owner (the engine thread) for an automaton and all its matchers.
 * Memory: bounded by the options, from alloc; a step allocates only when it meets a state for the first time. */
#pragma once

#include "base/buf.h"
#include "grammar/grammar.h"
#include "grammar/vocab.h"

#define KRS_AUTOMATON_MAX_BYTES (32ul << 20) /* states of one grammar; 1 KiB and little more each */
#define KRS_AUTOMATON_MAX_MASK_BYTES                                                               \
    (8ul << 20) /* kept masks of one grammar: 512 of 128 thousand tokens */
#define KRS_AUTOMATON_MAX_HELD                                                                     \
    4u /* times max_bytes: 1,000 matchers of 32 KiB each under the engine's 8 MiB */
#define KRS_AUTOMATON_MAX_CONFIGS                                                                  \
    16384                       /* ways to read one text, at once; more is a grammar gone wrong */
#define KRS_MATCHER_MAX_UNDO 64 /* accepts that can be taken back: a draft of speculation */

typedef struct krs_automaton krs_automaton;
typedef struct krs_matcher krs_matcher;

typedef struct krs_automaton_options {
    /* Of states and what they are made of, beside the grammar's own bytes and, after a drop, those of living
     * matchers' states, which count for KRS_AUTOMATON_MAX_HELD times as much at most. */
    size_t max_bytes;
    size_t max_mask_bytes; /* of kept masks; one a matcher is always kept */
} krs_automaton_options;

#define KRS_AUTOMATON_OPTIONS_INIT                                                                 \
    {                                                                                              \
        .max_bytes = KRS_AUTOMATON_MAX_BYTES, .max_mask_bytes = KRS_AUTOMATON_MAX_MASK_BYTES,      \
    }

/* *grammar: taken over on success (and set to NULL), the caller's on failure. vocab: borrowed, outlives the
 * automaton; NULL for one that only matches bytes. options: NULL for the defaults. alloc: borrowed, NULL = heap.
 * Errors: KRS_ENOMEM, KRS_ETOOLARGE (the first state alone is beyond a limit). */
KRS_MUST_USE krs_status krs_automaton_new(krs_grammar **grammar, const krs_grammar_vocab *vocab,
                                          const krs_automaton_options *options,
                                          const krs_alloc *alloc, krs_automaton **out,
                                          krs_error *err);
/* All its matchers must be gone. */
void krs_automaton_free(krs_automaton *a);

typedef struct krs_automaton_stats {
    uint32_t n_states;    /* now */
    uint32_t n_masks;     /* kept now */
    size_t n_bytes;       /* now, with the grammar and the masks */
    uint64_t made_states; /* ever */
    uint64_t made_masks;
    uint64_t drops;      /* times the memory was dropped */
    uint32_t most_steps; /* of one call, of KRS_AUTOMATON_MAX_STEPS */
} krs_automaton_stats;

void krs_automaton_stats_get(const krs_automaton *a, krs_automaton_stats *out);

/* Does a whole text match? For checks; a matcher need not live.
 * Errors: KRS_EINVAL (it does not; err says at which byte), KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_automaton_match(krs_automaton *a, krs_str text, krs_error *err);

/* At the beginning of a text. a: borrowed, outlives the matcher. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_matcher_new(krs_automaton *a, krs_matcher **out);
void krs_matcher_free(krs_matcher *m);

/* To the beginning; nothing to undo. */
void krs_matcher_reset(krs_matcher *m);

/* The tokens that may come next: *words = [krs_grammar_vocab_n_words] bits, token t is bit t % 64 of word t / 64.
 * Text tokens whose bytes may come; end tokens where the text may end; after an end token, end tokens only.
 * Borrowed until this matcher's next call of _mask, or its end. Every text it lets come can be finished, byte by byte: never
 * all zero, if each byte is a token.
 * Errors: KRS_ETOOLARGE (the grammar is too ambiguous, or a mask would cost too much; the request should fail),
 * KRS_ENOMEM. The matcher is unchanged after an error.
 * Cost: a kept mask nothing; a new one 5 to 130 us for 128 thousand tokens, rarely 1 ms (docs/performance.md). */
KRS_MUST_USE krs_status krs_matcher_mask(krs_matcher *m, const uint64_t **words);

/* Is this one token allowed? Costs its bytes, no mask. Errors: KRS_EINVAL (it is not), KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_matcher_allows(krs_matcher *m, uint32_t token);

/* Take the token. Errors, with the matcher unchanged: KRS_EINVAL (not allowed here), KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_matcher_accept_token(krs_matcher *m, uint32_t token);
/* Take bytes, as one accept (for undo). Errors: as above; KRS_EINVAL also after an end token. */
KRS_MUST_USE krs_status krs_matcher_accept_bytes(krs_matcher *m, krs_str bytes);

/* Take back the last n accepts, n <= krs_matcher_n_undo. */
void krs_matcher_undo(krs_matcher *m, uint32_t n);
/* Accepts that can be taken back: those since _new, _reset or _settle, at most KRS_MATCHER_MAX_UNDO. */
uint32_t krs_matcher_n_undo(const krs_matcher *m);
/* What was accepted stays: nothing can be taken back, and no memory is held for it. */
void krs_matcher_settle(krs_matcher *m);

/* May the text end here (or has it ended with an end token)? */
bool krs_matcher_is_accepting(const krs_matcher *m);
/* May it end and nothing else? (false also when that could not be found out for want of memory.) */
bool krs_matcher_is_finished(krs_matcher *m);

/* Append to out the bytes that must come next, whatever is chosen: as long as one byte is possible and the text may
 * not end. At most max_bytes of them; none where there is a choice. The matcher does not move.
 * Errors: KRS_ETOOLARGE (the automaton's limits, or out's ceiling), KRS_ENOMEM; out is as before. */
KRS_MUST_USE krs_status krs_matcher_forced(krs_matcher *m, size_t max_bytes, krs_buf *out);
