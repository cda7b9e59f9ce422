/* text/model.h - what the rest of the tokenizer knows about its model: pieces in, ids out.
 *
 * The kinds are BPE (text/bpe.h), Unigram (text/unigram.h), WordPiece and WordLevel (text/wordpiece.h). A
 * kind is these four calls and a reader; nothing else in this folder asks which one it has.
 *
 * Thread: the model is immutable; scratch has one owner.  Memory: each side from its own alloc. */
#pragma once

#include "text/idlist.h"
#include "text/scan.h"

#include "base/str.h"

typedef struct krs_text_model_ops {
    void (*free)(void *self);
    /* Working memory and caches for one thread; NULL when there is no memory. */
    void *(*scratch_new)(const void *self, const krs_alloc *alloc);
    void (*scratch_free)(void *scratch);
    /* Append the ids of one pre-tokenised piece (well-formed UTF-8, not empty).
     * Errors: KRS_EINVAL (cannot be said), KRS_ETOOLARGE, KRS_ENOMEM. */
    krs_status (*encode)(const void *self, void *scratch, krs_str piece, krs_idlist *out,
                         krs_error *err);
    /* The same for n pieces of one text, in order; NULL: by n calls of encode. */
    krs_status (*encode_pieces)(const void *self, void *scratch, krs_str text,
                                const krs_span *pieces, size_t n, krs_idlist *out, krs_error *err);
} krs_text_model_ops;

typedef struct krs_text_model {
    const krs_text_model_ops *ops; /* NULL: none yet */
    void *self;
} krs_text_model;
