/* text/wordpiece.h - a word as the longest token it begins with, then the longest that goes on, ...
 *
 * Tokens that go on inside a word carry a prefix ("##ing"). A word that cannot be cut this way to its
 * end, or has more characters than the model was trained for, is one unknown token as a whole.
 *
 * WordLevel is the same model without parts: a word is a token or unknown.
 *
 * Cost: linear in the word, times the longest token that matches at each cut.
 *
 * Thread: immutable after _seal; the scratch is a counter.  Memory: see krs_wordpiece_new.
 * Source: Wu et al. 2016, arXiv:1609.08144, section 4.1; huggingface/tokenizers models/wordpiece and
 * models/wordlevel. */
#pragma once

#include "text/model.h"
#include "text/vocab.h"

typedef struct krs_wordpiece krs_wordpiece;

typedef struct krs_wordpiece_options {
    size_t size;
    int64_t unk_id;     /* -1: none; a text that needs it is refused */
    krs_str prefix;     /* of tokens that go on; borrowed for krs_wordpiece_new */
    uint32_t max_chars; /* a longer word is unknown */
    bool is_whole;      /* WordLevel: no parts; prefix and max_chars do not count */
} krs_wordpiece_options;

#define KRS_WORDPIECE_OPTIONS_INIT                                                                 \
    {                                                                                              \
        .size = sizeof(krs_wordpiece_options), .unk_id = -1, .max_chars = UINT32_MAX               \
    }

/* vocab: borrowed, complete, outlives the model. Errors: KRS_ETOOLARGE (a token), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_wordpiece_new(const krs_vocab *vocab,
                                          const krs_wordpiece_options *options,
                                          const krs_alloc *alloc, krs_wordpiece **out,
                                          krs_error *err);
void krs_wordpiece_free(krs_wordpiece *wordpiece);

/* The model interface over wordpiece, which it owns from now on. */
krs_text_model krs_wordpiece_seal(krs_wordpiece *wordpiece);

/* Steps down the tree of tokens that a scratch of this model has taken: what encoding cost, for tests. */
uint64_t krs_wordpiece_n_steps(const void *scratch);
